//! Inputs of the training data that are missing.

use decoupled::bank::Storage;
use decoupled::data::{Examples, Scaler};
use decoupled::layer::{Activation, Dense, Init};
use decoupled::method::{Order, Start, Sweeps};
use decoupled::nalgebra::{DMatrix, DVector};
use decoupled::optimizer::{Adam, Sgd};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, MatRef, Method, NetworkBuilder, Scalar};

use crate::builtin;

type Net = DecoupledNetwork<f64>;

const NAN: f64 = f64::NAN;
const EXAMPLES: usize = 50;

fn normal(rows: usize, cols: usize, seed: u64) -> DMatrix<f64> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    DMatrix::from_fn(rows, cols, |_, _| f64::standard_normal(&mut rng))
}

/// NaN with this probability.
fn holed(whole: &DMatrix<f64>, share: f64) -> DMatrix<f64> {
    let mut rng = ChaCha12Rng::seed_from_u64(9);
    whole.map(|x| if rng.random::<f64>() < share { NAN } else { x })
}

fn dataset(inputs: &DMatrix<f64>, targets: &DMatrix<f64>) -> Dataset<f64> {
    let inputs = Examples::from_column_matrix(inputs.clone()).unwrap().with_missing();
    Dataset::regression(inputs, Examples::from_column_matrix(targets.clone()).unwrap()).unwrap()
}

/// A third of `5 × 50` inputs is missing, with 3 targets each.
fn data() -> Dataset<f64> {
    dataset(&holed(&normal(5, EXAMPLES, 1), 0.33), &normal(3, EXAMPLES, 2))
}

fn builder() -> NetworkBuilder<f64> {
    let builder = DecoupledNetwork::builder(5).dense(7, Activation::Tanh).dense(6, Activation::Tanh);
    builder.dense(3, Activation::Identity).threads(2)
}

/// Gradient sweeps, error coordinates and Gauss–Newton, from the forward pass and from the bank, with multipliers and memory. None
/// refits the last layer: that wants inputs that are given.
fn methods() -> Vec<Method<f64>> {
    let adam = Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Adam::new(0.01));
    let own = [Method::joint(0.1).activation(adam), Method::predictive_coding(2, 0.1).start(Start::Blend(0.5))];
    let presets = builtin::gradient_methods().into_iter().map(|(_, method)| method.finish(false));
    presets.chain(own).collect()
}

fn config(epochs: usize) -> FitConfig<'static, f64> {
    FitConfig::new().epochs(epochs).batch_size(16).seed(3)
}

fn inputs(network: &Net) -> DMatrix<f64> {
    network.bank().unwrap().inputs().unwrap()
}

fn params(network: &Net) -> Vec<Vec<f64>> {
    (0..network.depth()).map(|t| network.params(t).to_vec()).collect()
}

fn assert_same(a: &Net, b: &Net) {
    assert_eq!((params(a), a.bank()), (params(b), b.bank()));
}

#[test]
fn with_the_parameters_at_rest_a_linear_network_comes_to_least_squares() {
    let (holed, targets) = (holed(&normal(5, EXAMPLES, 1), 0.33), normal(15, EXAMPLES, 2));
    // A step of this rate is lost in rounding.
    let dense = Dense::new(5, 15).init(Init::he_normal()).bias(0.3);
    let mut network = DecoupledNetwork::builder(5).layer(dense).optimizer(Sgd::new(1e-300)).build().unwrap();
    let before = params(&network);
    network.fit(&dataset(&holed, &targets), &config(300)).unwrap();
    assert_eq!(params(&network), before);

    let bias = network.predict(&DMatrix::zeros(5, 1)).unwrap();
    let weights = network.predict(&DMatrix::identity(5, 5)).unwrap().map_with_location(|row, _, x| x - bias[row]);
    let (found, mut compared) = (inputs(&network), 0);
    for i in 0..EXAMPLES {
        let free: Vec<usize> = (0..5).filter(|&row| holed[(row, i)].is_nan()).collect();
        let given = DVector::from_fn(5, |row, _| if free.contains(&row) { 0.0 } else { holed[(row, i)] });
        if free.is_empty() {
            continue;
        }
        let rest = targets.column(i) - bias.column(0) - &weights * given;
        let best = weights.select_columns(&free).svd(true, true).solve(&rest, 0.0).unwrap();
        for (&row, best) in free.iter().zip(best.iter()) {
            assert!((found[(row, i)] - best).abs() < 1e-6, "example {i}, row {row}: {} for {best}", found[(row, i)]);
            compared += 1;
        }
    }
    assert!(compared > 50);
}

/// L at these inputs, with the hidden activations of the bank.
fn energy(network: &Net, inputs: &DMatrix<f64>, data: &Dataset<f64>) -> f64 {
    let objective = network.objective();
    let mut block = objective.block(EXAMPLES);
    block.stored_mut(0).copy_from_slice(inputs.as_slice());
    for t in 1..network.depth() {
        block.stored_mut(t).copy_from_slice(network.bank().unwrap().layer(t).as_slice());
    }
    block.stored_mut(network.depth()).copy_from_slice(data.targets().as_slice());
    objective.energy(&mut block).unwrap()
}

#[test]
fn a_visit_takes_every_example_from_the_means_down_the_gradient_of_the_whole_energy() {
    let data = data();
    let holed = data.inputs().view().into_owned();
    let mut network = builder().optimizer(Sgd::new(1e-300)).build().unwrap();
    network.fit(&data, &config(1).method(Method::predictive_coding(3, 0.1))).unwrap();
    let mean = |row: usize| {
        let known: Vec<f64> = holed.row(row).iter().copied().filter(|x| !x.is_nan()).collect();
        known.iter().sum::<f64>() / known.len() as f64
    };
    let starts = holed.map_with_location(|row, _, x| if x.is_nan() { mean(row) } else { x });
    let moved = inputs(&network) - &starts;
    let mut turned = 0;
    for i in 0..EXAMPLES {
        let free: Vec<usize> = (0..5).filter(|&row| holed[(row, i)].is_nan()).collect();
        let slope = |row: &usize| {
            let at = |step: f64| {
                let mut inputs = starts.clone();
                inputs[(*row, i)] += step;
                energy(&network, &inputs, &data)
            };
            (at(1e-5) - at(-1e-5)) / 2e-5
        };
        let gradient = DVector::from_iterator(free.len(), free.iter().map(slope));
        let step = DVector::from_iterator(free.len(), free.iter().map(|&row| moved[(row, i)]));
        if gradient.norm() > 1e-3 {
            let cosine = step.dot(&gradient) / (step.norm() * gradient.norm());
            assert!((cosine + 1.0).abs() < 1e-5, "example {i}: {cosine}");
            turned += 1;
        }
    }
    assert!(turned > 20, "{turned}");
    assert!(energy(&network, &inputs(&network), &data) < energy(&network, &starts, &data));
}

#[test]
fn known_entries_stay_bit_for_bit_and_missing_ones_move_whatever_the_method() {
    let data = data();
    for method in methods() {
        let mut network = builder().build().unwrap();
        network.fit(&data, &config(2).method(method.clone())).unwrap();
        let (before, found) = (data.known_means().unwrap(), inputs(&network));
        let mut moved = 0;
        for (entry, (given, found)) in data.inputs().as_slice().iter().zip(&found).enumerate() {
            assert!(found.is_finite() && (given.is_nan() || given.to_bits() == found.to_bits()), "{method:?}");
            moved += usize::from(given.is_nan() && *found != before[entry % 5]);
        }
        assert_eq!(moved, data.missing(), "{method:?}");
        let bank = network.bank().unwrap();
        let memory = method.activation_step();
        let slots = if format!("{memory:?}").contains("Adam") { 2 } else { 0 };
        let numbers = 5 + 13 * (1 + slots + usize::from(bank.multipliers(1).is_some()));
        assert_eq!(bank.bytes(), EXAMPLES * (16 + 8 * numbers), "{method:?}");
    }
}

#[test]
fn what_is_inferred_is_what_the_next_visit_reads() {
    let data = data();
    let mut network = builder().build().unwrap();
    network.fit(&data, &config(3)).unwrap();
    // At rest, the forward loss that an epoch of one batch reports is that at the inputs which it found.
    let completed = inputs(&network);
    let mut still = builder().optimizer(Sgd::new(1e-300)).build().unwrap();
    still.fit(&data, &config(1)).unwrap();
    let completed_at_rest = inputs(&still);
    assert_ne!(completed, completed_at_rest);
    let report = still.fit(&data, &FitConfig::new().epochs(1).full_batch()).unwrap();
    let outputs = still.predict(&completed_at_rest).unwrap();
    let expected = (outputs - data.targets().view()).norm_squared() / 2.0 / EXAMPLES as f64;
    assert!((report.epochs[0].train_loss - expected).abs() < 1e-12);
}

#[test]
fn data_without_gaps_train_to_the_same_bits_whether_they_may_have_some_or_not() {
    let (whole, targets) = (normal(5, EXAMPLES, 1), normal(3, EXAMPLES, 2));
    let examples = |matrix: &DMatrix<f64>| Examples::from_column_matrix(matrix.clone()).unwrap();
    let plain = Dataset::regression(examples(&whole), examples(&targets)).unwrap();
    let open = dataset(&whole, &targets);
    assert_eq!((open.missing(), open.fingerprint()), (0, plain.fingerprint()));
    for method in methods() {
        let (mut a, mut b) = (builder().build().unwrap(), builder().build().unwrap());
        a.fit(&plain, &config(3).method(method.clone())).unwrap();
        b.fit(&open, &config(3).method(method)).unwrap();
        assert_same(&a, &b);
        assert_eq!(b.bank().unwrap().inputs(), None);
    }
}

#[test]
fn threads_make_no_difference_nor_does_a_bank_in_a_file() {
    let data = data();
    let path = std::env::temp_dir().join(format!("decoupled-missing-{}.bank", std::process::id()));
    for method in [Method::default(), Method::joint(0.1), Method::alm(0.7)] {
        let fit = |builder: NetworkBuilder<f64>| {
            let mut network = builder.build().unwrap();
            network.fit(&data, &config(3).method(method.clone()).shuffle_blocks(20)).unwrap();
            network
        };
        let one = fit(builder().threads(1));
        assert_same(&one, &fit(builder().threads(3)));
        let filed = fit(builder().bank_file(&path, 20));
        assert_eq!(params(&one), params(&filed));
        let second = filed.bank_file().unwrap().block(1).unwrap().inputs().unwrap();
        assert_eq!(second, inputs(&one).columns(20, 20));
        drop(filed);
        std::fs::remove_file(&path).unwrap();
    }
}

#[cfg(feature = "save")]
#[test]
fn a_fit_resumed_after_any_epoch_is_the_one_that_was_never_interrupted() {
    let data = data();
    let path = std::env::temp_dir().join(format!("decoupled-missing-{}.safetensors", std::process::id()));
    for method in methods() {
        let mut whole = builder().build().unwrap();
        whole.fit(&data, &config(4).method(method.clone())).unwrap();
        for done in 1..4 {
            let (mut first, mut second) = (builder().build().unwrap(), builder().build().unwrap());
            first.fit(&data, &config(done).method(method.clone())).unwrap();
            first.save_checkpoint(&path, &[]).unwrap();
            second.resume(&path, &mut []).unwrap();
            assert_eq!(first.bank(), second.bank());
            second.fit(&data, &config(4 - done).method(method.clone())).unwrap();
            assert_same(&second, &whole);
        }
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn bf16_rounds_what_is_kept_and_not_what_is_known() {
    let data = data();
    let fit = |epochs| {
        let mut network = builder().bank_storage(Storage::Bf16).optimizer(Sgd::new(1e-300)).build().unwrap();
        let report = network.fit(&data, &FitConfig::new().full_batch().epochs(epochs)).unwrap();
        (network, report.last().unwrap().train_loss)
    };
    let (network, _) = fit(1);
    let (_, second) = fit(2);
    let kept = inputs(&network);
    let read = data.inputs().view().zip_map(&kept, |x, kept| if x.is_nan() { kept } else { x });
    let nearest = |(x, kept): (&f64, &f64)| (x - kept).abs() <= x.abs() / 256.0;
    assert!(read.iter().zip(&kept).all(nearest) && read != kept);
    let loss = |inputs: &DMatrix<f64>| {
        (network.predict(inputs).unwrap() - data.targets().view()).norm_squared() / 2.0 / EXAMPLES as f64
    };
    assert!((second - loss(&read)).abs() < 1e-12 && (second - loss(&kept)).abs() > 1e-9);
}

#[test]
fn what_the_targets_tell_is_recovered_better_than_by_the_mean() {
    let whole = normal(3, 300, 4);
    let targets = normal(6, 3, 5) * &whole;
    let data = dataset(&holed(&whole, 0.1), &targets);
    let mut network = DecoupledNetwork::builder(3).dense(6, Activation::Identity).build().unwrap();
    network.fit(&data, &FitConfig::new().epochs(300).batch_size(32)).unwrap();
    let (means, found) = (data.known_means().unwrap(), inputs(&network));
    let (mut by_mean, mut by_bank) = (0.0, 0.0);
    for (entry, x) in
        data.inputs().as_slice().iter().enumerate().filter(|(_, x)| x.is_nan()).map(|(e, _)| (e, whole[e]))
    {
        by_mean += (x - means[entry % 3]).powi(2);
        by_bank += (x - found[entry]).powi(2);
    }
    assert!(by_bank < 0.05 * by_mean, "{by_bank} of {by_mean}");
}

#[test]
fn whatever_cannot_infer_refuses_before_anything_changes() {
    let data = data();
    let exact = Method::bcd(1.0);
    let pairs = || builder().store_pre_activations();
    let layered = DecoupledNetwork::builder(5).layer(Dense::new(5, 4)).layer(Dense::new(4, 3)).threads(1);
    for (builder, config) in [
        (layered, config(1).method(exact)),
        (pairs(), config(1).method(Method::default().finish(true))),
        (builder(), config(1).measure_decoupling(1, 4)),
    ] {
        let mut network = builder.build().unwrap();
        let before = params(&network);
        let error = network.fit(&data, &config).unwrap_err();
        assert!(matches!(error, Error::Unsupported { what: "a fit on missing inputs", .. }), "{error:?}");
        assert_eq!((params(&network), network.bank(), network.epochs()), (before, None, 0));
    }
    let mut network = builder().build().unwrap();
    let before = params(&network);
    let whole = dataset(&normal(5, 4, 1), &normal(3, 4, 2));
    let row = data.inputs().as_slice().iter().position(|x| x.is_nan()).unwrap();
    let errors = [
        network.fit_backprop(&data, &config(1)).unwrap_err(),
        network.fit(&whole, &config(1).validation(&data)).unwrap_err(),
        network.evaluate(&data).unwrap_err(),
        network.predict(data.inputs()).unwrap_err(),
        network.refit_output(&data).unwrap_err(),
    ];
    for error in errors {
        let Error::NotFinite { example, row: found, .. } = error else { panic!("{error:?}") };
        assert_eq!(example * 5 + found, row);
    }
    let nowhere = dataset(&DMatrix::from_fn(5, 4, |row, i| if row == 2 { NAN } else { i as f64 }), &normal(3, 4, 2));
    let error = network.fit(&nowhere, &config(1)).unwrap_err();
    assert!(matches!(error, Error::NotFinite { row: 2, .. }), "{error:?}");
    assert_eq!((params(&network), network.bank()), (before, None));
}

#[test]
fn only_nan_is_missing_and_only_among_inputs_that_may_miss() {
    let examples = |x: f64| Examples::from_rows(&[[1.0, 2.0], [3.0, x]]).unwrap();
    let targets = || Examples::from_rows(&[[0.0], [1.0]]).unwrap();
    assert!(matches!(Dataset::regression(examples(NAN), targets()), Err(Error::NotFinite { example: 1, row: 1, .. })));
    let infinite = Dataset::regression(examples(f64::INFINITY).with_missing(), targets());
    assert!(matches!(infinite, Err(Error::NotFinite { what: "inputs", example: 1, row: 1, .. })));
    let target = Dataset::regression(examples(4.0), examples(NAN).with_missing());
    assert!(matches!(target, Err(Error::NotFinite { what: "targets", example: 1, row: 1, .. })));

    let data = Dataset::classification(examples(NAN).with_missing(), &[0, 1], 2).unwrap();
    assert_eq!((data.missing(), data.known_means().unwrap()), (1, vec![2.0, 2.0]));
    let other = Dataset::classification(examples(-NAN).with_missing(), &[0, 1], 2).unwrap();
    assert_eq!(data.fingerprint(), other.fingerprint());
    assert_ne!(data.fingerprint(), Dataset::classification(examples(4.0), &[0, 1], 2).unwrap().fingerprint());
    assert_eq!((data.select(&[1, 1]).unwrap().missing(), data.select(&[0]).unwrap().missing()), (2, 0));
}

/// `StandardScaler` and `MinMaxScaler` of scikit-learn: "NaNs are treated as missing values: disregarded in fit, and maintained in
/// transform". Without the NaN: mean 3, variance (4 + 1 + 9) / 3 = 14/3, range 1 to 6.
#[test]
fn a_scaler_disregards_what_is_missing_and_leaves_it() {
    let features = [[1.0, NAN, 2.0, 6.0], [NAN, 7.0, 7.0, 7.0]];
    let inputs = Examples::from_features(&features).unwrap().with_missing();
    let data = Dataset::classification(inputs, &[0; 4], 1).unwrap();
    let spread = (14.0f64 / 3.0).sqrt();
    for (scaler, expected) in [
        (Scaler::standard(data.inputs()), [-2.0 / spread, NAN, -1.0 / spread, 3.0 / spread]),
        (Scaler::min_max(data.inputs()), [0.0, NAN, 0.2, 1.0]),
    ] {
        let scaled = scaler.unwrap().scale_inputs(&data).unwrap();
        assert_eq!(scaled.missing(), 2);
        for (column, (first, second)) in scaled.inputs().columns().zip(expected.into_iter().zip([NAN, 0.0, 0.0, 0.0])) {
            let same =
                |found: f64, expected: f64| (found - expected).abs() < 1e-15 || (found.is_nan() && expected.is_nan());
            assert!(same(column[0], first) && same(column[1], second), "{column:?}");
        }
    }
    let nothing = Scaler::standard(MatRef::new(&[1.0, NAN, 2.0, NAN], 2, 2));
    assert!(matches!(nothing, Err(Error::NotFinite { row: 1, .. })));
}
