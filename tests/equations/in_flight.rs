//! Layers in flight, against a plain simulation and against backpropagation.

use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex};

use decoupled::data::Examples;
use decoupled::layer::{Activation, Init, LayerNorm};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::method::{Multipliers, Order, Reads, Ridge, Start, Sweeps, Timing};
use decoupled::nalgebra::DMatrix;
use decoupled::observer::{LearningRateScheduler, Step};
use decoupled::optimizer::{Adam, Sgd};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, Error, FitConfig, Layer, MatMut, MatRef, Method, NetworkBuilder, Observer, StopReason,
};

type Net = DecoupledNetwork<f64>;
type Matrix = DMatrix<f64>;

/// The identity, which notes the first entry of each of its inputs.
#[derive(Debug)]
struct Noting {
    width: usize,
    seen: Arc<Mutex<Vec<f64>>>,
}

impl Layer<f64> for Noting {
    fn input_dim(&self) -> usize {
        self.width
    }
    fn output_dim(&self) -> usize {
        self.width
    }
    fn forward(&self, _: &[f64], input: MatRef<'_, f64>, mut output: MatMut<'_, f64>, _: &mut [f64]) {
        self.seen.lock().unwrap().extend(input.columns().map(|column| column[0]));
        output.as_mut_slice().copy_from_slice(input.as_slice());
    }
    fn input_gradient(
        &self,
        _: &[f64],
        _: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        mut gradient: MatMut<'_, f64>,
        _: &mut [f64],
    ) {
        gradient.as_mut_slice().copy_from_slice(cotangent.as_slice());
    }
    fn param_gradient(&self, _: &[f64], _: MatRef<'_, f64>, _: MatRef<'_, f64>, _: &mut [f64], _: &mut [f64]) {}
}

/// A dense layer with Adam, as the textbook has it.
struct Plain {
    weights: Matrix,
    bias: Matrix,
    moments: [[Matrix; 2]; 2],
    steps: i32,
    /// The last step.
    last: [Matrix; 2],
    sums: [Matrix; 2],
    tanh: bool,
}

const RATE: f64 = 0.01;

impl Plain {
    /// From parameters as the crate keeps them: the weights, column after column, then the biases.
    fn new(params: &[f64], inputs: usize, tanh: bool) -> Self {
        let units = params.len() / (inputs + 1);
        let zero = || [Matrix::zeros(units, inputs), Matrix::zeros(units, 1)];
        Self {
            weights: Matrix::from_column_slice(units, inputs, &params[..units * inputs]),
            bias: Matrix::from_column_slice(units, 1, &params[units * inputs..]),
            moments: [zero(), zero()],
            steps: 0,
            last: zero(),
            sums: zero(),
            tanh,
        }
    }

    fn params(&self) -> Vec<f64> {
        self.weights.iter().chain(self.bias.iter()).copied().collect()
    }

    /// The output with the parameters expected `delay` steps from now.
    fn forward(&self, input: &Matrix, delay: f64) -> Matrix {
        let (weights, bias) = (&self.weights + delay * &self.last[0], &self.bias + delay * &self.last[1]);
        let sums = weights * input;
        let sums = Matrix::from_fn(sums.nrows(), sums.ncols(), |i, j| sums[(i, j)] + bias[(i, 0)]);
        if self.tanh { sums.map(f64::tanh) } else { sums }
    }

    /// Adds the gradient, and returns the error of the input.
    fn backward(&mut self, input: &Matrix, output: &Matrix, error: &Matrix) -> Matrix {
        let error = if self.tanh { error.zip_map(output, |e, y| e * (1.0 - y * y)) } else { error.clone() };
        self.sums[0] += &error * input.transpose();
        self.sums[1] += Matrix::from_fn(error.nrows(), 1, |i, _| error.row(i).sum());
        self.weights.transpose() * error
    }

    fn step(&mut self, examples: usize, factor: f64) {
        self.steps += 1;
        let (first, second) = (1.0 - 0.9_f64.powi(self.steps), 1.0 - 0.999_f64.powi(self.steps));
        for (k, params) in [&mut self.weights, &mut self.bias].into_iter().enumerate() {
            let gradient = &self.sums[k] / examples as f64;
            self.moments[0][k] = 0.9 * &self.moments[0][k] + 0.1 * &gradient;
            self.moments[1][k] = 0.999 * &self.moments[1][k] + 0.001 * gradient.map(|g| g * g);
            let scaled =
                self.moments[0][k].zip_map(&self.moments[1][k], |m, v| (m / first) / ((v / second).sqrt() + 1e-8));
            self.last[k] = -RATE * factor * scaled;
            *params += &self.last[k];
            self.sums[k].fill(0.0);
        }
    }
}

/// A micro-batch of the simulation.
struct Micro {
    examples: Vec<usize>,
    /// Examples of its batch, if it is the last of it.
    completes: Option<usize>,
    /// The input of every layer, and the output.
    activations: Vec<Matrix>,
    error: Matrix,
}

/// An epoch of the schedule that `Method::in_flight` describes: ticks, each of which takes micro-batches down, then up. `full` has the
/// micro-batches of a full batch; `factor` tells the one on the learning rate of an update.
fn simulate(
    layers: &mut [Plain],
    stages: &[Range<usize>],
    (inputs, targets): (&Matrix, &Matrix),
    batches: Vec<Vec<Vec<usize>>>,
    full: usize,
    factor: impl Fn(i32) -> f64,
) {
    let count = stages.len();
    let mut all = Vec::new();
    for batch in batches {
        let (examples, parts) = (batch.iter().map(Vec::len).sum(), batch.len());
        for (i, part) in batch.into_iter().enumerate() {
            let completes = (i + 1 == parts).then_some(examples);
            all.push(Micro { examples: part, completes, activations: Vec::new(), error: Matrix::zeros(0, 0) });
        }
    }
    // Adam's last step of an epoch is no forecast for the first ticks of the next: nothing is late there.
    layers.iter_mut().for_each(|layer| layer.last.iter_mut().for_each(|last| last.fill(0.0)));
    for tick in 0..all.len() + 2 * count - 1 {
        for s in (0..count).rev() {
            let Some(m) = (tick + s + 1).checked_sub(2 * count).filter(|&m| m < all.len()) else { continue };
            let micro = &mut all[m];
            for t in stages[s].clone().rev() {
                micro.error = layers[t].backward(&micro.activations[t], &micro.activations[t + 1], &micro.error);
            }
            if let Some(examples) = micro.completes {
                for layer in &mut layers[stages[s].clone()] {
                    layer.step(examples, factor(layer.steps + 1));
                }
            }
        }
        for (s, layers_of_stage) in stages.iter().enumerate() {
            let Some(m) = tick.checked_sub(s).filter(|&m| m < all.len()) else { continue };
            let micro = &mut all[m];
            if s == 0 {
                micro.activations.push(inputs.select_columns(&micro.examples));
            }
            for t in layers_of_stage.clone() {
                let delay = 2.0 * (count - 1 - s) as f64 / full as f64;
                micro.activations.push(layers[t].forward(&micro.activations[t], delay));
            }
            if s + 1 == count {
                micro.error = micro.activations.last().unwrap() - targets.select_columns(&micro.examples);
            }
        }
    }
}

fn uniform(rows: usize, cols: usize, seed: u64) -> Matrix {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    Matrix::from_fn(rows, cols, |_, _| 2.0 * rng.random::<f64>() - 1.0)
}

fn dense(inputs: usize, hidden: usize, width: usize, output: usize) -> NetworkBuilder<f64> {
    let builder = (0..hidden).fold(Net::builder(inputs), |net, _| {
        net.dense_with(width, Activation::Tanh, Init::for_activation(Activation::Tanh))
    });
    builder.dense_with(output, Activation::Identity, Init::for_activation(Activation::Tanh))
}

fn dataset(inputs: &Matrix, targets: &Matrix) -> Dataset<f64> {
    let [inputs, targets] = [inputs, targets].map(|of| Examples::from_column_matrix(of.clone()).unwrap());
    Dataset::regression(inputs, targets).unwrap()
}

/// A network in flight beside its simulation.
struct Case {
    hidden: usize,
    /// As asked for.
    stages: usize,
    micro_batch: usize,
    examples: usize,
    batch: usize,
    epochs: usize,
    /// The first layer of each stage, and the sizes of the micro-batches of a full batch and of the last one, by hand.
    first: &'static [usize],
    full: &'static [usize],
    last: &'static [usize],
    /// Updates of the warm-up, by hand.
    warm_up: f64,
}

/// The factor of an observer on the learning rate in an epoch.
const FACTORS: [f64; 3] = [1.0, 0.5, 0.8];

impl Case {
    fn check(&self) {
        let &Case { hidden, stages, micro_batch, examples, batch, epochs, .. } = self;
        let (mut inputs, targets) = (uniform(3, examples, 1), uniform(2, examples, 2));
        // The example's number, for `Noting`.
        (0..examples).for_each(|i| inputs[(0, i)] = i as f64 / examples as f64);
        let data = dataset(&inputs, &targets);
        let method = Method::in_flight(stages, micro_batch);
        let mut net = dense(3, hidden, 4, 2).optimizer(Adam::new(RATE)).method(method).seed(5).build().unwrap();
        let widths = |t: usize| if t == 0 { 3 } else { 4 };
        let mut plain: Vec<Plain> = (0..=hidden).map(|t| Plain::new(net.params(t), widths(t), t < hidden)).collect();
        let config = FitConfig::new().epochs(epochs).batch_size(batch).seed(9);
        let order = order_of(&data, &config);
        let factor = |epoch: usize| FACTORS[(epoch - 1) % 3];
        net.fit_observed(&data, &config, &mut [&mut LearningRateScheduler::new(factor)]).unwrap();

        let ends = self.first.iter().copied().skip(1).chain([hidden + 1]);
        let ranges: Vec<Range<usize>> = self.first.iter().copied().zip(ends).map(|(a, b)| a..b).collect();
        for (epoch, order) in order.chunks(examples).enumerate() {
            let parts = order.chunks(batch).map(|own| {
                let sizes = if own.len() == batch { self.full } else { self.last };
                let mut rest = own.iter().copied();
                sizes.iter().map(|&size| rest.by_ref().take(size).collect()).collect::<Vec<Vec<usize>>>()
            });
            let warm = |update: i32| if ranges.len() == 1 { 1.0 } else { (f64::from(update) / self.warm_up).min(1.0) };
            let factor = |update| FACTORS[epoch % 3] * warm(update);
            simulate(&mut plain, &ranges, (&inputs, &targets), parts.collect(), self.full.len(), factor);
        }
        let what = format!("{hidden} hidden layers, {stages} stages");
        for (t, plain) in plain.iter().enumerate() {
            for (found, expected) in net.params(t).iter().zip(plain.params()) {
                assert!((found - expected).abs() < 1e-12, "{what}, layer {t}: {found} instead of {expected}");
            }
        }
        // Each example bears the number of the update that its batch led to.
        let batches = examples.div_ceil(batch);
        let stamps = net.bank().unwrap().visited_at();
        for (i, &example) in order[(epochs - 1) * examples..].iter().enumerate() {
            assert_eq!(stamps[example], ((epochs - 1) * batches + i / batch + 1) as u64, "{what}");
        }
    }
}

/// The order in which a fit visits the examples, which is that of its seed whatever the network: one that notes it.
fn order_of(data: &Dataset<f64>, config: &FitConfig<'_, f64>) -> Vec<usize> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noting = Noting { width: 3, seen: Arc::clone(&seen) };
    let mut net = Net::builder(3).layer(noting).dense(2, Activation::Identity).threads(1).build().unwrap();
    // A build tries its layers out.
    seen.lock().unwrap().clear();
    let report = net.fit_backprop(data, &config.clone().batch_size(1)).unwrap();
    let count = data.len() * report.epochs.len();
    let seen = seen.lock().unwrap();
    seen.iter().take(count).map(|x| (x * data.len() as f64).round() as usize).collect()
}

/// The parameters after some epochs are those of a simulation on dense matrices, for several depths, numbers of stages and micro-batches,
/// with batches that do not divide.
#[test]
fn a_flight_is_what_a_plain_simulation_says() {
    let base = Case {
        hidden: 1,
        stages: 1,
        micro_batch: 3,
        examples: 23,
        batch: 8,
        epochs: 3,
        first: &[0],
        full: &[3, 3, 2],
        last: &[3, 3, 1],
        // Two epochs.
        warm_up: 6.0,
    };
    let cases = [
        Case { ..base },
        Case { stages: 2, micro_batch: 8, first: &[0, 1], full: &[8], last: &[7], ..base },
        Case { stages: 2, micro_batch: 7, first: &[0, 1], full: &[4, 4], last: &[7], ..base },
        Case { hidden: 3, stages: 2, micro_batch: 2, first: &[0, 2], full: &[2; 4], last: &[2, 2, 2, 1], ..base },
        // At most two updates late: 16 examples, of the 6 micro-batches on their way.
        Case { hidden: 3, stages: 4, micro_batch: 4, first: &[0, 1, 2, 3], full: &[2; 4], last: &[2, 2, 2, 1], ..base },
        // Nine examples in three parts, by fours at most.
        Case {
            hidden: 3,
            stages: 3,
            micro_batch: 4,
            batch: 9,
            first: &[0, 1, 2],
            full: &[3; 3],
            last: &[3, 2],
            ..base
        },
        Case { hidden: 5, stages: 6, micro_batch: 8, first: &[0, 1, 2, 3, 4, 5], full: &[1; 8], last: &[1; 7], ..base },
        // A batch of four leaves room for five stages.
        Case {
            hidden: 5,
            stages: 6,
            batch: 4,
            first: &[0, 1, 2, 3, 4],
            full: &[1; 4],
            last: &[1; 3],
            warm_up: 12.0,
            ..base
        },
        // More than 300 updates, of two epochs that have 320.
        Case {
            hidden: 2,
            stages: 2,
            examples: 160,
            batch: 1,
            epochs: 2,
            first: &[0, 1],
            full: &[1],
            last: &[1],
            warm_up: 300.0,
            ..base
        },
    ];
    cases.iter().for_each(Case::check);
}

/// Soft targets of three classes, with weights.
fn weighted() -> Dataset<f64> {
    let inputs = Examples::from_column_matrix(uniform(4, 29, 3)).unwrap();
    let labels: Vec<usize> = (0..29).map(|i| i * 7 % 3).collect();
    let weights: Vec<f64> = (0..29).map(|i| 0.5 + f64::from(i % 4)).collect();
    Dataset::classification(inputs, &labels, 3).unwrap().with_weights(&weights).unwrap()
}

fn classifier(method: Method<f64>) -> NetworkBuilder<f64> {
    let relu = Init::he_normal();
    let net = Net::builder(4).dense_with(6, Activation::Tanh, relu).layer(LayerNorm::new(6));
    let net = net.dense_with(5, Activation::Silu, relu).dense_with(3, Activation::Identity, relu);
    net.output_loss(SoftmaxCrossEntropy::new()).penalty(0.7).optimizer(Adam::new(0.02)).method(method).seed(3)
}

fn assert_equal(net: &Net, twin: &Net, what: &str) {
    for t in 0..net.depth() {
        for (found, expected) in net.params(t).iter().zip(twin.params(t)) {
            assert!((found - expected).abs() < 1e-12, "{what}, layer {t}: {found} instead of {expected}");
        }
    }
}

#[test]
fn a_single_stage_is_backpropagation() {
    let (data, config) = (weighted(), FitConfig::new().epochs(4).batch_size(8).seed(1));
    for micro_batch in [1, 3, 8, 1000] {
        for frozen in [None, Some(0), Some(2)] {
            let builder = classifier(Method::in_flight(1, micro_batch));
            let mut net = frozen.into_iter().fold(builder, NetworkBuilder::freeze).build().unwrap();
            let mut twin = net.clone();
            let report = net.fit(&data, &config).unwrap();
            let other = twin.fit_backprop(&data, &config).unwrap();
            assert_equal(&net, &twin, &format!("micro-batches of {micro_batch}, {frozen:?} frozen"));
            assert_eq!(net.updates(), twin.updates());
            for (own, other) in report.epochs.iter().zip(&other.epochs) {
                assert!((own.train_loss - other.train_loss).abs() < 1e-12);
                assert!((own.energy - own.train_loss).abs() < 1e-12, "measured on the way up, where residuals are 0");
                let scores = own.train_score.unwrap() - other.train_score.unwrap();
                assert!(scores.abs() < 1e-12, "sums of more parts");
                assert_eq!(own.dead_units, other.dead_units);
                assert!(own.residuals.iter().all(|&residual| residual == 0.0));
            }
        }
    }
}

/// All micro-batches of an epoch that has a single update pass before it; with two stages that is one micro-batch alone in flight.
#[test]
fn an_update_alone_is_backpropagations_through_any_number_of_stages() {
    let data = weighted().take(5).unwrap();
    for stages in 2..=4 {
        // The first update is taken at half the rate: so is the twin's.
        let net = |method, rate| classifier(method).optimizer(Sgd::new(rate)).build().unwrap();
        let (mut net, mut twin) = (net(Method::in_flight(stages, 1000), 0.1), net(Method::default(), 0.05));
        let config = FitConfig::new().epochs(1).full_batch();
        net.fit(&data, &config).unwrap();
        twin.fit_backprop(&data, &config).unwrap();
        assert_equal(&net, &twin, &format!("{stages} stages"));
    }
}

/// z_t = a_t − δ_t/μ_t, with δ_t by the chain rule, at parameters that hardly move.
#[test]
fn the_bank_keeps_the_targets_that_came_down() {
    let data = weighted();
    let mut net = classifier(Method::in_flight(4, 2)).optimizer(Sgd::new(1e-13)).build().unwrap();
    let objective = net.objective();
    let mut block = objective.block(data.len());
    block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
    block.stored_mut(4).copy_from_slice(data.targets().as_slice());
    let mut gradients: Vec<Vec<f64>> = (0..4).map(|t| vec![0.0; net.params(t).len()]).collect();
    decoupled::method::backprop::gradients(&objective, &mut block, &mut gradients).unwrap();
    net.fit(&data, &FitConfig::new().epochs(1).batch_size(8)).unwrap();
    let bank = net.bank().unwrap();
    for t in 1..4 {
        let stored = bank.layer(t);
        let (forward, delta) = (block.forward(t), block.gradient(t));
        for i in 0..data.len() {
            for (j, found) in stored.column(i).iter().enumerate() {
                let expected = forward.column(i)[j] - delta.column(i)[j] / 0.7;
                assert!((found - expected).abs() < 1e-10, "z_{t} of example {i}: {found} instead of {expected}");
            }
        }
    }
    assert!(bank.visited_at().iter().all(|at| (1..=4).contains(at)));
    assert!(bank.steps().iter().all(|&steps| steps == 1));
}

#[test]
fn stages_cut_layers_evenly_and_are_two_updates_late_at_most() {
    let of =
        |depth, stages, size| Method::<f64>::in_flight(stages, size).schedule(depth).flight_plan().cloned().unwrap();
    assert_eq!(of(7, 3, 1).stages(), [0..2, 2..4, 4..7]);
    assert_eq!(of(3, 100, 1).stages(), [0..1, 1..2, 2..3]);
    assert_eq!(of(3, usize::MAX, usize::MAX).for_batch(usize::MAX).stages().len(), 3);
    // 31 stages: two updates of 128 examples are 256, of which each of the 60 others on their way has 4.
    assert_eq!(of(31, 31, 1000).for_batch(128).micro_batch(), 4);
    assert_eq!(of(31, 31, 2).for_batch(128).micro_batch(), 2);
    // Of 7 examples, two updates are 14: seven stages above the lowest have one each, up and down.
    let few = of(31, 31, 8).for_batch(7);
    assert_eq!((few.micro_batch(), few.stages().len(), few.delay(0, 7)), (1, 8, 2.0));
    assert_eq!(of(31, 1, 1000).for_batch(128).micro_batch(), 128);
    let late = of(11, 11, 8).for_batch(128);
    assert_eq!(late.delay(10, 128), 0.0);
    // Ten stages above, each of which has a micro-batch on its way up and one on its way down; 16 make an update.
    assert_eq!(late.delay(0, 128), 1.25);
    for (stages, sequence) in [(1, 22), (2, 12), (4, 6), (11, 2), (50, 2)] {
        assert_eq!(Method::<f64>::in_flight(stages, 8).sequential_products(11), sequence, "{stages} stages");
    }
}

#[test]
fn what_does_not_fly_is_refused_before_anything_changes() {
    let data = weighted();
    let flying = || Method::<f64>::in_flight(2, 4);
    let timing = Timing::InFlight { stages: 2, micro_batch: 4 };
    let refused: [(&str, Method<f64>); 8] = [
        ("one sweep from the output down", Method::red_black().timing(timing)),
        ("one sweep from the output down", flying().activation(Sweeps::new(Order::ReverseGaussSeidel, 2, 1.0))),
        ("one sweep from the output down", Method::error_based(1, 0.1).timing(timing).reads(Reads::Forward)),
        ("Start::Anchored", flying().start(Start::Persisted)),
        ("Reads::Forward", flying().reads(Reads::Stored)),
        ("no multipliers", flying().multipliers(Multipliers::kept())),
        ("GradientStep", flying().parameter(Ridge::default())),
        ("one sweep from the output down", Method::bcd(1.0).timing(timing)),
    ];
    for (why, method) in refused {
        // Dense maps apart from their activation functions, so that closed forms fit it.
        let builder = Net::builder(4).dense(5, Activation::Identity).dense(4, Activation::Identity);
        let builder = builder.dense(3, Activation::Identity);
        let mut net = builder.build().unwrap();
        let before: Vec<_> = (0..3).map(|t| net.params(t).to_vec()).collect();
        let error = net.fit(&data, &FitConfig::new().method(method.clone())).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{method:?}: {error}");
        assert!(error.to_string().contains(why), "{error}");
        assert!((0..3).all(|t| net.params(t) == before[t]) && net.bank().is_none());
    }
    for method in [Method::in_flight(0, 4), Method::in_flight(4, 0)] {
        let error = classifier(method).build().unwrap_err();
        assert!(matches!(error, Error::HyperParameter { .. }), "{error}");
    }
    let error = classifier(flying()).build().unwrap().fit(&data, &FitConfig::new().accumulate(2)).unwrap_err();
    assert!(error.to_string().contains("larger batches"), "{error}");
}

/// Breaks off after some steps, and notes them.
struct Breaks(usize, Vec<usize>);

impl Observer<f64> for Breaks {
    fn step(&mut self, step: &Step<'_, f64>) -> decoupled::Result<ControlFlow<StopReason>> {
        assert!(step.train_loss.is_finite(), "every batch of which a step is told has been predicted");
        self.1.push(step.number);
        Ok(if step.number == self.0 { ControlFlow::Break(StopReason::Observer) } else { ControlFlow::Continue(()) })
    }
}

#[test]
fn observers_see_every_batch_when_it_is_back_and_a_break_waits_for_those_in_flight() {
    let (data, config) = (weighted(), FitConfig::new().epochs(1).batch_size(4));
    let mut all = Breaks(100, Vec::new());
    let mut net = classifier(Method::in_flight(4, 1)).build().unwrap();
    net.fit_observed(&data, &config, &mut [&mut all]).unwrap();
    assert_eq!(all.1, (1..=8).collect::<Vec<_>>());
    assert_eq!(net.updates(), 8);

    let mut some = Breaks(2, Vec::new());
    let mut net = classifier(Method::in_flight(4, 1)).build().unwrap();
    let report = net.fit_observed(&data, &config, &mut [&mut some]).unwrap();
    assert_eq!((some.1.len(), report.stop), (2, StopReason::Observer));
    // Seven ticks from the start to the end of a way of four stages: more batches than two were sent off, and all of them are back.
    let visited = net.bank().unwrap().visited_at().iter().filter(|&&at| at > 0).count();
    assert_eq!(visited, 4 * net.updates() as usize);
    assert!((3..8).contains(&net.updates()), "{}", net.updates());
}

#[test]
fn an_error_in_flight_leaves_a_network_to_train_on() {
    /// Fails at its second step.
    struct Fails(usize);
    impl Observer<f64> for Fails {
        fn step(&mut self, step: &Step<'_, f64>) -> decoupled::Result<ControlFlow<StopReason>> {
            self.0 = step.number;
            if step.number == 2 {
                Err(Error::other(std::io::Error::other("enough")))
            } else {
                Ok(ControlFlow::Continue(()))
            }
        }
    }
    let (data, config) = (weighted(), FitConfig::new().epochs(2).batch_size(4));
    let mut net = classifier(Method::in_flight(4, 1)).build().unwrap();
    let before: Vec<Vec<f64>> = (0..4).map(|t| net.params(t).to_vec()).collect();
    net.fit_observed(&data, &config, &mut [&mut Fails(0)]).unwrap_err();
    assert!((0..4).all(|t| net.params(t) == before[t]), "those of the start of the epoch");
    let report = net.fit(&data, &config).unwrap();
    assert!(report.last().unwrap().train_loss < report.epochs[0].train_loss);

    let mut wild = classifier(Method::in_flight(4, 1)).optimizer(Sgd::new(1e200)).build().unwrap();
    let error = wild.fit(&data, &config).unwrap_err();
    assert!(matches!(error, Error::Diverged { epoch: 1, layer: 0..4, .. }), "{error}");
    assert!((0..4).all(|t| wild.params(t).iter().all(|p| p.is_finite())) && wild.bank().is_none());
}

/// Age in updates: every example is visited once an epoch, so on average as many updates ago as an epoch has, less the one it led to.
#[test]
fn staleness_counts_updates_that_are_still_to_come() {
    for stages in [1, 2, 4] {
        let mut net = classifier(Method::in_flight(stages, 2)).build().unwrap();
        let mut sweep = classifier(Method::backprop_by_sweep()).build().unwrap();
        let config = FitConfig::new().epochs(3).batch_size(8);
        let staleness = |net: &mut Net| -> Vec<_> {
            net.fit(&weighted(), &config).unwrap().epochs.iter().map(|epoch| epoch.staleness).collect()
        };
        assert_eq!(staleness(&mut net), staleness(&mut sweep), "{stages} stages");
    }
}
