//! Layers with noise: the masks of a visit are those that their seeds give, the same in all its evaluations, and in visits alone.

use std::sync::{Arc, Mutex};

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Dense, Dropout, Elementwise, Noise, Regression, Residual};
use decoupled::method::{Ridge, Start};
#[cfg(feature = "save")]
use decoupled::optimizer::Adam;
use decoupled::optimizer::Sgd;
use decoupled::rand::{Rng, RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Layer, MatMut, MatRef, Method, Scalar};

use crate::builtin;
use crate::common::{bits, fit, forgetful, losses};

const P: f64 = 0.3;

/// The numbers of an example in a layer by the documentation of the stream: purpose 12, and the layer as ChaCha's stream.
fn uniform(seed: u64, epoch: usize, example: usize, layer: usize, len: usize) -> Vec<f64> {
    let key: Vec<u8> = [seed, 12, epoch as u64, example as u64].into_iter().flat_map(u64::to_le_bytes).collect();
    let mut rng = ChaCha12Rng::from_seed(key.try_into().unwrap());
    rng.set_stream(layer as u64);
    (0..len).map(|_| f64::from(rng.next_u32() >> 8) * 2f64.powi(-24)).collect()
}

fn mask(key: (u64, usize, usize), layer: usize, width: usize) -> Vec<f64> {
    let numbers = uniform(key.0, key.1, key.2, layer, width);
    numbers.into_iter().map(|u| if u < P { 0.0 } else { 1.0 / (1.0 - P) }).collect()
}

/// Multiplies each example by the same numbers, which a test sets: a plain layer.
#[derive(Clone, Debug)]
struct Fixed(Arc<Mutex<Vec<f64>>>);

impl Fixed {
    fn new(width: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![1.0; width])))
    }

    fn set(&self, mask: Vec<f64>) {
        *self.0.lock().unwrap() = mask;
    }

    fn scale<T: Scalar>(&self, from: MatRef<'_, T>, mut to: MatMut<'_, T>) {
        let mask = self.0.lock().unwrap();
        for (to, from) in to.columns_mut().zip(from.columns()) {
            to.iter_mut().zip(from).zip(&*mask).for_each(|((to, &from), &m)| *to = T::of(m) * from);
        }
    }
}

impl<T: Scalar> Layer<T> for Fixed {
    fn input_dim(&self) -> usize {
        self.0.lock().unwrap().len()
    }
    fn output_dim(&self) -> usize {
        self.0.lock().unwrap().len()
    }
    fn forward(&self, _: &[T], input: MatRef<'_, T>, output: MatMut<'_, T>, _: &mut [T]) {
        self.scale(input, output);
    }
    fn input_gradient(&self, _: &[T], _: MatRef<'_, T>, cotangent: MatRef<'_, T>, grad: MatMut<'_, T>, _: &mut [T]) {
        self.scale(cotangent, grad);
    }
}

/// Inputs with their noise.
type Columns = Vec<(Vec<f64>, Vec<f64>)>;

/// The identity, which writes down the columns that come with noise, and the noise.
#[derive(Clone, Debug, Default)]
struct Recorder {
    width: usize,
    seen: Arc<Mutex<Columns>>,
}

impl Recorder {
    fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    fn take(&self) -> Columns {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Layer<f64> for Recorder {
    fn input_dim(&self) -> usize {
        self.width
    }
    fn output_dim(&self) -> usize {
        self.width
    }
    fn forward(&self, _: &[f64], input: MatRef<'_, f64>, mut output: MatMut<'_, f64>, _: &mut [f64]) {
        output.as_mut_slice().copy_from_slice(input.as_slice());
    }
    fn input_gradient(
        &self,
        _: &[f64],
        _: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        mut grad: MatMut<'_, f64>,
        _: &mut [f64],
    ) {
        grad.as_mut_slice().copy_from_slice(cotangent.as_slice());
    }
    fn noise(&self) -> Option<&dyn Noise<f64>> {
        Some(self)
    }
}

impl Noise<f64> for Recorder {
    fn noise_len(&self) -> usize {
        5
    }
    fn noisy_forward(
        &self,
        _: &[f64],
        input: MatRef<'_, f64>,
        noise: MatRef<'_, f64>,
        mut output: MatMut<'_, f64>,
        _: &mut [f64],
    ) {
        output.as_mut_slice().copy_from_slice(input.as_slice());
        let columns = input.columns().zip(noise.columns()).map(|(x, u)| (x.to_vec(), u.to_vec()));
        self.seen.lock().unwrap().extend(columns);
    }
}

fn data<T: Scalar>(examples: usize) -> Dataset<T> {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let mut rows =
        |width: usize| -> Vec<T> { (0..examples * width).map(|_| T::of(rng.random_range(-1.0..1.0))).collect() };
    let (inputs, targets) = (rows(3), rows(2));
    let [inputs, targets] =
        [(inputs, 3), (targets, 2)].map(|(all, width)| Examples::from_row_slice(&all, examples, width).unwrap());
    Dataset::regression(inputs, targets).unwrap()
}

/// Three units, the first two of which end in these layers. Parameters were set, so that no fit starts them anew.
fn network<T: Scalar>(
    ends: [Option<Arc<dyn Layer<T>>>; 2],
    threads: usize,
    adapt: impl Fn(decoupled::NetworkBuilder<T>) -> decoupled::NetworkBuilder<T>,
) -> DecoupledNetwork<T> {
    let unit = |[below, width]: [usize; 2], end: Option<Arc<dyn Layer<T>>>| {
        let unit = Chain::new().then(Dense::new(below, width)).then(Elementwise::new(width, Activation::Tanh));
        match end {
            Some(end) => unit.then(end),
            None => unit,
        }
    };
    let [first, second] = ends;
    let builder = DecoupledNetwork::builder(3).layer(unit([3, 6], first)).layer(unit([6, 5], second));
    let builder = builder.dense(2, Activation::Identity).optimizer(Sgd::new(0.1)).threads(threads);
    let mut network = adapt(builder).build().unwrap();
    let params = network.params(0).to_vec();
    network.set_params(0, &params).unwrap();
    network
}

fn dropping<T: Scalar>(p: f64, threads: usize) -> DecoupledNetwork<T> {
    network([Some(Arc::new(Dropout::new(6, p))), Some(Arc::new(Dropout::new(5, p)))], threads, |builder| builder)
}

fn plain<T: Scalar>() -> DecoupledNetwork<T> {
    network([None, None], 1, |builder| builder)
}

#[test]
fn a_visit_of_one_example_equals_one_with_its_masks_as_plain_layers() {
    let data = data::<f64>(1);
    for method in forgetful() {
        let fixed = [Fixed::new(6), Fixed::new(5)];
        let ends = fixed.clone().map(|fixed| Some(Arc::new(fixed) as Arc<dyn Layer<f64>>));
        let (mut own, mut other) = (dropping(P, 1), network(ends, 1, |builder| builder));
        for epoch in 1..=6 {
            let config = FitConfig::new().epochs(1).seed(11);
            fixed[0].set(mask((11, epoch, 0), 0, 6));
            fixed[1].set(mask((11, epoch, 0), 1, 5));
            let found = fit(&mut own, &data, method.as_ref(), config.clone()).unwrap();
            let expected = fit(&mut other, &data, method.as_ref(), config).unwrap();
            assert_eq!(losses(&found), losses(&expected), "{method:?}");
            assert_eq!(bits(&own), bits(&other), "epoch {epoch}, {method:?}");
        }
        assert_eq!(own.bank().map(|bank| bank.layer(2)), other.bank().map(|bank| bank.layer(2)));
    }
}

/// The step of a batch is the mean of the steps on its examples, each by the masks of its place in the data.
#[test]
fn a_batch_takes_the_mean_step_of_its_examples_with_their_masks() {
    let data = data::<f64>(40);
    let start = plain::<f64>();
    for method in [None, Some(Method::predictive_coding(3, 0.1)), Some(Method::backprop_by_sweep())] {
        let mut own = dropping::<f64>(P, 2);
        fit(&mut own, &data, method.as_ref(), FitConfig::new().epochs(1).seed(4).full_batch()).unwrap();
        let mut mean: Vec<Vec<f64>> = (0..3).map(|t| vec![0.0; start.params(t).len()]).collect();
        for example in 0..40 {
            let fixed = [(0, 6), (1, 5)].map(|(layer, width)| {
                let fixed = Fixed::new(width);
                fixed.set(mask((4, 1, example), layer, width));
                Some(Arc::new(fixed) as Arc<dyn Layer<f64>>)
            });
            let mut alone = network(fixed, 1, |builder| builder);
            let one = data.select(&[example]).unwrap();
            fit(&mut alone, &one, method.as_ref(), FitConfig::new().epochs(1)).unwrap();
            for (t, mean) in mean.iter_mut().enumerate() {
                let steps = alone.params(t).iter().zip(start.params(t)).map(|(after, before)| after - before);
                mean.iter_mut().zip(steps).for_each(|(mean, step)| *mean += step / 40.0);
            }
        }
        for (t, mean) in mean.iter().enumerate() {
            for ((after, before), step) in own.params(t).iter().zip(start.params(t)).zip(mean) {
                assert!((after - before - step).abs() < 1e-13, "layer {t}: {after}, {before} and {step}, {method:?}");
            }
        }
    }
}

/// By loops over units alone.
#[test]
fn a_gradient_step_of_backpropagation_is_that_by_hand() {
    let data = data::<f64>(30);
    let unit = Chain::new().then(Dense::new(3, 4)).then(Elementwise::new(4, Activation::Tanh)).then(Dropout::new(4, P));
    let builder = DecoupledNetwork::builder(3).layer(unit).dense(2, Activation::Identity);
    let mut network = builder.optimizer(Sgd::new(1.0)).threads(2).build().unwrap();
    let before = [network.params(0).to_vec(), network.params(1).to_vec()];
    network.set_params(0, &before[0]).unwrap();
    network.fit_backprop(&data, &FitConfig::new().epochs(1).seed(8).full_batch()).unwrap();
    let [mut first, mut second] = before.clone();
    for example in 0..30 {
        let (x, y) = (data.inputs().column(example), data.targets().column(example));
        let mask = mask((8, 1, example), 0, 4);
        let tanh: Vec<f64> = (0..4)
            .map(|i| ((0..3).map(|k| before[0][k * 4 + i] * x[k]).sum::<f64>() + before[0][12 + i]).tanh())
            .collect();
        let hidden: Vec<f64> = tanh.iter().zip(&mask).map(|(h, m)| h * m).collect();
        let mut pulled = [0.0; 4];
        for o in 0..2 {
            let out = (0..4).map(|i| before[1][i * 2 + o] * hidden[i]).sum::<f64>() + before[1][8 + o];
            let error = (out - y[o]) / 30.0;
            for i in 0..4 {
                second[i * 2 + o] -= error * hidden[i];
                pulled[i] += error * before[1][i * 2 + o];
            }
            second[8 + o] -= error;
        }
        for i in 0..4 {
            let error = pulled[i] * mask[i] * (1.0 - tanh[i] * tanh[i]);
            (0..3).for_each(|k| first[k * 4 + i] -= error * x[k]);
            first[12 + i] -= error;
        }
    }
    for (t, expected) in [first, second].iter().enumerate() {
        for (found, expected) in network.params(t).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-13, "layer {t}: {found} and {expected}");
        }
    }
}

/// The lowest recorder tells examples apart by their inputs.
#[test]
fn every_evaluation_of_a_visit_has_the_noise_of_its_example_epoch_and_layer() {
    let (examples, seed) = (70, 5);
    let mut repeated = 0;
    let data = data::<f64>(examples);
    for method in forgetful().into_iter().chain([Some(Method::red_black())]) {
        let [lowest, above] = [Recorder::new(3), Recorder::new(4)];
        let unit = Chain::new().then(Dense::new(3, 4)).then(Elementwise::new(4, Activation::Tanh)).then(above.clone());
        let builder = DecoupledNetwork::builder(3).layer(lowest.clone()).layer(unit).dense(2, Activation::Identity);
        let mut network = builder.threads(2).build().unwrap();
        let (mut counts, mut all) = (Vec::new(), std::collections::BTreeSet::new());
        for epoch in 1..=3 {
            let config =
                FitConfig::new().epochs(1).batch_size(32).seed(seed).validation(&data).measure_decoupling(3, 5);
            fit(&mut network, &data, method.as_ref(), config).unwrap();
            let expected = |layer| (0..examples).map(|i| uniform(seed, epoch, i, layer, 5)).collect::<Vec<_>>();
            let (below, top) = (expected(0), expected(1));
            let mut seen = vec![0; examples];
            for (input, noise) in lowest.take() {
                let example = (0..examples).find(|&i| data.inputs().column(i) == input).unwrap();
                assert_eq!(noise, below[example], "{method:?}");
                seen[example] += 1;
            }
            assert!(seen.iter().all(|&count| count > 0 && count == seen[0]), "{method:?}");
            let mut of_top = vec![0; examples];
            for (_, noise) in above.take() {
                of_top[top.iter().position(|own| *own == noise).unwrap()] += 1;
            }
            assert!(of_top.iter().all(|&count| count > 0 && count == of_top[0]), "{method:?}");
            counts.push(of_top[0]);
            all.extend(below.into_iter().chain(top).map(|noise| noise.iter().map(|u| u.to_bits()).collect::<Vec<_>>()));
        }
        // No two draws of epochs, examples and layers are alike.
        assert_eq!(all.len(), 3 * 2 * examples);
        repeated += usize::from(counts.iter().all(|&count| count > 1));
        network.predict(data.inputs()).unwrap();
        network.evaluate(&data).unwrap();
        network.refit_output(&data).unwrap();
        assert!(lowest.take().is_empty() && above.take().is_empty());
    }
    // Visits of these evaluate a layer more than once.
    assert!(repeated >= 4, "{repeated}");
}

/// Inputs of ones, which dropout leaves at 0 or 1/(1 − p).
#[test]
fn the_share_that_is_kept_is_that_of_its_probability() {
    let (examples, width, epochs) = (200, 50, 10);
    let ones = |rows| Examples::from_row_slice(&vec![1.0; examples * rows], examples, rows).unwrap();
    let data = Dataset::regression(ones(width), ones(1)).unwrap();
    for p in [0.1, 0.5, 0.9] {
        let recorder = Recorder::new(width);
        let unit = Chain::new().then(Dropout::new(width, p)).then(recorder.clone());
        let mut network = DecoupledNetwork::builder(width).layer(unit).dense(1, Activation::Identity).build().unwrap();
        network.fit_backprop(&data, &FitConfig::new().epochs(epochs)).unwrap();
        let seen = recorder.take();
        assert_eq!(seen.len(), examples * epochs);
        let mut kept = vec![0.0; width];
        for (column, _) in seen {
            for (kept, x) in kept.iter_mut().zip(column) {
                assert!(x == 0.0 || x == 1.0 / (1.0 - p));
                *kept += f64::from(u8::from(x > 0.0));
            }
        }
        let (each, variance) = ((examples * epochs) as f64, p * (1.0 - p));
        for kept in &kept {
            assert!((kept - each * (1.0 - p)).abs() < 5.0 * (each * variance).sqrt(), "{kept} of {each} at {p}");
        }
        let (all, total) = (each * width as f64, kept.iter().sum::<f64>());
        assert!((total - all * (1.0 - p)).abs() < 5.0 * (all * variance).sqrt(), "{total} of {all} at {p}");
    }
}

/// Chains and residual blocks give each part its rows.
#[test]
fn parts_of_a_layer_have_noise_of_their_own() {
    let chain = Chain::<f64>::new().then(Dropout::new(2, P)).then(Dense::new(2, 3)).then(Dropout::new(3, P));
    let block = Residual::new(chain).projection(Chain::new().then(Dense::new(2, 3)).then(Dropout::new(3, P)));
    let layer: Arc<dyn Layer<f64>> = Arc::new(block);
    let noisy = layer.noise().unwrap();
    assert_eq!(noisy.noise_len(), 2 + 3 + 3);
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let mut draw = |len: usize| (0..len).map(|_| rng.random()).collect::<Vec<f64>>();
    let (params, input, noise) = (draw(18), draw(2 * 4), draw(8 * 4));
    let (mut output, mut cache) = (vec![f64::NAN; 3 * 4], vec![f64::NAN; layer.cache_len(4)]);
    let (x, u) = (MatRef::new(&input, 2, 4), MatRef::new(&noise, 8, 4));
    noisy.noisy_forward(&params, x, u, MatMut::new(&mut output, 3, 4), &mut cache);
    let drop = |x: f64, u: f64| if u < P { 0.0 } else { x / (1.0 - P) };
    for example in 0..4 {
        let (x, u) = (x.column(example), u.column(example));
        let below = [drop(x[0], u[0]), drop(x[1], u[1])];
        for i in 0..3 {
            let map =
                |from: usize, z: &[f64]| params[from + i] * z[0] + params[from + 3 + i] * z[1] + params[from + 6 + i];
            let expected = drop(map(0, &below), u[2 + i]) + drop(map(9, x), u[5 + i]);
            assert!((output[3 * example + i] - expected).abs() < 1e-14);
        }
    }
}

#[test]
fn a_probability_of_zero_changes_no_bit() {
    let data = data::<f32>(50);
    let all = builtin::gradient_methods().into_iter().map(|(_, method)| Some(method)).chain([None]);
    for method in all {
        let config = FitConfig::new().epochs(3).batch_size(20);
        let (mut own, mut other) = (dropping::<f32>(0.0, 2), plain());
        let found = fit(&mut own, &data, method.as_ref(), config.clone()).unwrap();
        let expected = fit(&mut other, &data, method.as_ref(), config).unwrap();
        assert_eq!((losses(&found), bits(&own)), (losses(&expected), bits(&other)), "{method:?}");
    }
}

#[test]
fn masks_are_the_same_at_any_number_of_threads() {
    let data = data::<f32>(150);
    for method in forgetful().into_iter().chain([Some(Method::red_black())]) {
        let run = |threads| {
            let mut network = dropping::<f32>(P, threads);
            let config = FitConfig::new().epochs(2).batch_size(100);
            let report = fit(&mut network, &data, method.as_ref(), config).unwrap();
            (losses(&report), bits(&network))
        };
        let alone = run(1);
        assert!((2..=4).all(|threads| run(threads) == alone), "{method:?}");
    }
}

#[test]
fn masks_are_the_same_in_single_and_in_double_precision() {
    let (single, double) = (data::<f32>(30), data::<f64>(30));
    let config = |epochs| (FitConfig::new().epochs(epochs), FitConfig::new().epochs(epochs));
    let (mut own, mut other) = (dropping::<f32>(P, 1), dropping::<f64>(P, 1));
    for t in 0..3 {
        let params: Vec<f32> = other.params(t).iter().map(|&p| p as f32).collect();
        own.set_params(t, &params).unwrap();
    }
    let (of_own, of_other) = config(3);
    let (found, expected) = (own.fit(&single, &of_own).unwrap(), other.fit(&double, &of_other).unwrap());
    for (found, expected) in found.epochs.iter().zip(&expected.epochs) {
        assert!((found.train_loss - expected.train_loss).abs() < 1e-5 * expected.train_loss);
    }
}

#[test]
fn masks_do_not_depend_on_batches_that_share_a_step() {
    let data = data::<f64>(96);
    for method in [None, Some(Method::predictive_coding(3, 0.1)), Some(Method::backprop_by_sweep())] {
        let run = |config: FitConfig<'static, f64>| {
            let mut network = dropping::<f64>(P, 2);
            fit(&mut network, &data, method.as_ref(), config.epochs(3)).unwrap();
            network.params(0).to_vec()
        };
        let whole = run(FitConfig::new().full_batch());
        for (batch, share) in [(32, 3), (7, 14)] {
            let parts = run(FitConfig::new().batch_size(batch).accumulate(share));
            assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-12), "{method:?}");
        }
    }
}

#[test]
fn the_twin_by_backpropagation_sees_the_same_masks() {
    let data = data::<f64>(60);
    let config = FitConfig::new().epochs(4).batch_size(20);
    let (mut own, mut twin) = (dropping::<f64>(P, 2), dropping(P, 2));
    // Its gradients are backpropagation's, up to rounding.
    let report = own.fit(&data, &config.clone().method(Method::backprop_by_sweep())).unwrap();
    let of_twin = twin.fit_backprop(&data, &config).unwrap();
    for (a, b) in report.epochs.iter().zip(&of_twin.epochs) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-12, "{} and {}", a.train_loss, b.train_loss);
    }
    assert!((0..3).all(|t| own.params(t).iter().zip(twin.params(t)).all(|(a, b)| (a - b).abs() < 1e-12)));
}

#[test]
fn all_but_visits_computes_the_network_without_dropout() {
    let data = data::<f64>(60);
    for method in [None, Some(Method::default()), Some(Method::default().finish(true))] {
        let mut own = dropping::<f64>(P, 2);
        let config = FitConfig::new().epochs(2).batch_size(25).validation(&data);
        let report = fit(&mut own, &data, method.as_ref(), config).unwrap();
        let mut other = plain::<f64>();
        (0..3).for_each(|t| other.set_params(t, own.params(t)).unwrap());
        let [found, expected] = [&own, &other].map(|network| network.predict(data.inputs()).unwrap());
        assert_eq!(found, expected);
        assert_eq!(own.predict(data.inputs()).unwrap(), found);
        assert_eq!(own.activations(data.inputs()).unwrap(), other.activations(data.inputs()).unwrap());
        let loss = other.evaluate(&data).unwrap().loss;
        match report.refit {
            Some(refit) => {
                assert!((refit.after - loss).abs() < 1e-12 && refit.after < refit.before);
                let (stored, forward) = (own.bank().unwrap().layer(2), &other.activations(data.inputs()).unwrap()[1]);
                assert!((stored - forward).abs().max() < 1e-12);
            }
            None => assert_eq!(report.epochs[1].validation.unwrap().loss, loss),
        }
        let method = Method::default();
        let [found, expected] =
            [&own, &other].map(|network| decoupled::diagnostics::decoupling(network, &data, &method).unwrap());
        assert_eq!(found, expected);
    }
    let config = FitConfig::new().epochs(1).batch_size(25).method(Method::red_black());
    let curvature = |mut network: DecoupledNetwork<f64>| network.fit(&data, &config).unwrap().epochs[0].curvature;
    // At the first visit, before any parameter moves.
    assert_eq!(curvature(dropping(P, 1)), curvature(plain()));
    let start = |mut network: DecoupledNetwork<f64>| {
        network.start_isometric(data.inputs(), 1).unwrap();
        bits(&network)
    };
    assert_eq!(start(dropping(P, 1)), start(plain()));
}

#[cfg(feature = "save")]
#[test]
fn a_fit_that_resumes_and_a_network_that_is_loaded_go_on_with_the_same_masks() {
    let data = data::<f32>(60);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let config = |epochs| FitConfig::new().epochs(epochs).batch_size(25).seed(9);
    let adam = || {
        let ends: [Option<Arc<dyn Layer<f32>>>; 2] =
            [Some(Arc::new(Dropout::new(6, P))), Some(Arc::new(Dropout::new(5, P)))];
        network(ends, 2, |builder| builder.optimizer(Adam::new(0.01)))
    };
    let mut whole = adam();
    whole.fit(&data, &config(5)).unwrap();
    let mut first = adam();
    first.fit(&data, &config(2)).unwrap();
    first.save_checkpoint(folder.join("dropout.checkpoint"), &[]).unwrap();
    let mut second = adam();
    second.resume(folder.join("dropout.checkpoint"), &mut []).unwrap();
    second.fit(&data, &config(3)).unwrap();
    assert_eq!(bits(&second), bits(&whole));
    assert_eq!(second.bank(), whole.bank());

    whole.save(folder.join("dropout.safetensors")).unwrap();
    let mut loaded = DecoupledNetwork::<f32>::load(folder.join("dropout.safetensors")).unwrap();
    assert_eq!(loaded.predict(data.inputs()).unwrap(), whole.predict(data.inputs()).unwrap());
    // A loaded network begins another life, and so with the masks of a first epoch.
    let mut other = adam();
    (0..3).for_each(|t| other.set_params(t, whole.params(t)).unwrap());
    loaded.set_optimizer(Adam::new(0.01)).unwrap();
    for network in [&mut loaded, &mut other] {
        network.fit(&data, &config(1)).unwrap();
    }
    assert_eq!(bits(&loaded), bits(&other));
}

/// A dense map that offers least squares, and noise beside it.
#[derive(Debug)]
struct Both(Dense);

impl Layer<f64> for Both {
    fn input_dim(&self) -> usize {
        Layer::<f64>::input_dim(&self.0)
    }
    fn output_dim(&self) -> usize {
        Layer::<f64>::output_dim(&self.0)
    }
    fn param_len(&self) -> usize {
        Layer::<f64>::param_len(&self.0)
    }
    fn forward(&self, params: &[f64], input: MatRef<'_, f64>, output: MatMut<'_, f64>, cache: &mut [f64]) {
        self.0.forward(params, input, output, cache);
    }
    fn input_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: MatMut<'_, f64>,
        cache: &mut [f64],
    ) {
        self.0.input_gradient(params, input, cotangent, grad, cache);
    }
    fn param_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: &mut [f64],
        cache: &mut [f64],
    ) {
        self.0.param_gradient(params, input, cotangent, grad, cache);
    }
    fn regression(&self) -> Option<&dyn Regression<f64>> {
        self.0.regression()
    }
    fn noise(&self) -> Option<&dyn Noise<f64>> {
        Some(self)
    }
}

impl Noise<f64> for Both {
    fn noise_len(&self) -> usize {
        0
    }
    fn noisy_forward(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        noise: MatRef<'_, f64>,
        output: MatMut<'_, f64>,
        cache: &mut [f64],
    ) {
        assert_eq!((noise.rows(), noise.cols()), (0, input.cols()));
        self.0.forward(params, input, output, cache);
    }
}

#[test]
fn methods_that_keep_something_of_an_example_are_refused_before_anything_changes() {
    let data = data::<f64>(20);
    let blend = Method::default().start(Start::Blend(0.5));
    for method in [Method::joint(0.1), Method::mac(1), blend, Method::alm(0.5), Method::bcd(0.1), Method::admm(0.1)] {
        let unit = || Chain::new().then(Dense::new(3, 4)).then(Dropout::new(4, P));
        let builder = || DecoupledNetwork::builder(3).layer(unit()).dense(2, Activation::Identity).threads(1);
        let built = builder().method(method.clone()).build().map(drop);
        let mut network = builder().build().unwrap();
        let before = bits(&network);
        let refused = network.fit(&data, &FitConfig::new().method(method.clone())).map(drop);
        for refused in [built, refused] {
            assert!(matches!(&refused, Err(Error::Unsupported { what, .. }) if what.contains("noise")), "{refused:?}");
        }
        assert!(bits(&network) == before && network.bank().is_none() && network.updates() == 0, "{method:?}");
    }
}

#[test]
fn closed_forms_of_layers_with_noise_are_refused() {
    let refused = |method: Method<f64>| {
        let builder = DecoupledNetwork::builder(3).layer(Both(Dense::new(3, 4))).dense(2, Activation::Identity);
        builder.method(method).threads(1).build().map(drop)
    };
    let least_squares = Method::default().parameter(Ridge::default());
    let exact = Method::bcd(0.1).start(Start::Anchored);
    for (method, why) in [(least_squares, "least squares"), (exact, "exact")] {
        let refused = refused(method);
        assert!(matches!(&refused, Err(Error::Unsupported { why: found, .. }) if found.contains(why)), "{refused:?}");
    }
    refused(Method::default()).unwrap();
}

/// No numbers for an example are as good as some.
#[test]
fn a_layer_whose_noise_takes_no_numbers_trains() {
    let data = data::<f64>(20);
    let builder = |layer: Arc<dyn Layer<f64>>| DecoupledNetwork::builder(3).layer(layer).dense(2, Activation::Identity);
    let fitted = |layer: Arc<dyn Layer<f64>>| {
        let mut network = builder(layer).threads(1).build().unwrap();
        // Set, so that none is drawn.
        network.set_params(0, &[0.5; 16]).unwrap();
        network.fit(&data, &FitConfig::new().epochs(2)).unwrap();
        bits(&network)
    };
    assert_eq!(fitted(Arc::new(Both(Dense::new(3, 4)))), fitted(Arc::new(Dense::new(3, 4))));
}

#[test]
fn probabilities_outside_of_their_domain_are_refused() {
    for p in [1.0, -1e-9, 1.5, f64::NAN, f64::INFINITY] {
        let found = Layer::<f64>::validate(&Dropout::new(3, p));
        assert!(matches!(found, Err(Error::HyperParameter { name: "p of Dropout", .. })), "{p}: {found:?}");
        let builder = DecoupledNetwork::<f64>::builder(3).layer(Dropout::new(3, p)).dense(2, Activation::Identity);
        assert!(builder.build().is_err());
    }
    let built = DecoupledNetwork::<f64>::builder(3).layer(Dropout::new(0, P)).build();
    assert!(matches!(built, Err(Error::LayerMismatch { .. } | Error::ZeroWidth { .. })), "{built:?}");
}

/// Inferred inputs are the example's, whatever a visit drops.
#[test]
fn missing_inputs_are_inferred_beside_dropout() {
    let known = data::<f64>(40);
    let mut holes = known.inputs().as_slice().to_vec();
    holes.iter_mut().step_by(7).for_each(|x| *x = f64::NAN);
    let holes = Examples::from_row_slice(&holes, 40, 3).unwrap().with_missing();
    let targets = Examples::from_row_slice(known.targets().as_slice(), 40, 2).unwrap();
    let data = Dataset::regression(holes, targets).unwrap();
    let run = |threads| {
        let mut network = dropping::<f64>(P, threads);
        network.fit(&data, &FitConfig::new().epochs(3).batch_size(15)).unwrap();
        assert!(network.bank().unwrap().inputs().unwrap().iter().all(|x| x.is_finite()));
        bits(&network)
    };
    assert_eq!(run(1), run(3));
}
