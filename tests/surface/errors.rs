//! Every error that the public interface can produce, and that nothing has changed when one is returned.

use std::collections::BTreeSet;

use decoupled::data::{self, Examples};
use decoupled::layer::{Activation, Chain, Conv2d, Dense, Elementwise, Init, LayerNorm, Pool2d, Residual, Shape};
use decoupled::loss::{
    BinaryCrossEntropy, Huber, MeanAbsoluteError, RelativeSquaredError, SoftmaxCrossEntropy, SquaredError,
};
use decoupled::method::{
    Exact, GaussNewton, Multipliers, Order, Penalty, PenaltyIncrease, Reads, Ridge, Stall, Start, Sweeps, Timing,
};
use decoupled::observer::{EarlyStopping, Monitor};
use decoupled::optimizer::{Adam, AdamW, ClipNorm, ClipValue, L1, RmsProp, Schedule, Scheduled, Sgd, WeightDecay};
use decoupled::search::{Search, Space};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, Layer, Loss, MatMut, MatRef, Method, NetworkBuilder,
    Optimizer, Result, Scalar, check, metrics,
};

use crate::builtin;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

macro_rules! refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err(error) => assert!(matches!(&error, $pattern $(if $guard)?), "another error: {error:?}"),
            Ok(_) => panic!("accepted: {}", stringify!($result)),
        }
    };
}

/// An error found in layer `$layer`.
macro_rules! in_layer {
    ($error:expr, $layer:expr, $pattern:pat) => {
        matches!($error, Error::InLayer { layer, source } if *layer == $layer && matches!(&**source, $pattern))
    };
}

fn builder<T: Scalar>() -> NetworkBuilder<T> {
    DecoupledNetwork::builder(3).dense(4, Activation::Tanh).dense(2, Activation::Identity).threads(1)
}

fn examples(rows: &[[f64; 3]]) -> Examples<f64> {
    Examples::from_rows(rows).unwrap()
}

fn regression(n: usize, inputs: usize, targets: usize) -> Dataset<f64> {
    let table = |width: usize| {
        let values: Vec<f64> = (0..n * width).map(|i| (i as f64 * 0.7).sin()).collect();
        Examples::from_row_slice(&values, n, width).unwrap()
    };
    Dataset::regression(table(inputs), table(targets)).unwrap()
}

#[test]
fn layers_that_make_no_circuit_are_refused() {
    refused!(DecoupledNetwork::<f64>::builder(3).build(), Error::Empty { what: "the list of layers" });
    let dense = |builder: NetworkBuilder<f64>, units| builder.dense(units, Activation::Relu);
    refused!(dense(DecoupledNetwork::builder(0), 2).build(), Error::Empty { what: "the network's input" });
    refused!(dense(DecoupledNetwork::builder(3), 0).build(), Error::ZeroWidth { layer: 0 });
    refused!(dense(dense(dense(DecoupledNetwork::builder(3), 2), 0), 2).build(), Error::ZeroWidth { layer: 1 });
    refused!(
        DecoupledNetwork::<f64>::builder(3).layer(Dense::new(2, 2)).build(),
        Error::LayerMismatch { layer: 0, expected: 3, found: 2 }
    );
    refused!(
        DecoupledNetwork::<f64>::builder(3).layer(Dense::new(3, 4)).layer(Dense::new(5, 2)).build(),
        Error::LayerMismatch { layer: 1, expected: 4, found: 5 }
    );
    refused!(
        DecoupledNetwork::<f64>::builder(3).layer(Chain::new()).build(),
        e if in_layer!(e, 0, Error::Empty { what: "a chain of layers" })
    );
    let conv = Conv2d::new([1, 2, 2], 2, [1, 2]);
    refused!(
        DecoupledNetwork::<f64>::builder([1, 4, 1]).layer(conv).build(),
        Error::ShapeMismatch { layer: 0, expected, found }
            if (*expected, *found) == (Shape::from([1, 4, 1]), Shape::from([1, 2, 2]))
    );
    refused!(
        DecoupledNetwork::<f64>::builder(4).layer(Chain::new().then(conv).then(Pool2d::max([1, 2, 2], [1, 1]))).build(),
        e if in_layer!(e, 0, Error::ShapeMismatch { layer: 1, .. })
    );
    let chain = Chain::new().then(Dense::new(3, 4)).then(Dense::new(5, 2));
    refused!(
        DecoupledNetwork::<f64>::builder(3).layer(chain).build(),
        e if in_layer!(e, 0, Error::LayerMismatch { layer: 1, expected: 4, found: 5 })
    );
    refused!(
        DecoupledNetwork::<f64>::builder(3).layer(Residual::new(Dense::new(3, 4))).build(),
        e if in_layer!(e, 0, Error::Shape { expected: 3, found: 4, .. })
    );
    let projected = Residual::new(Dense::new(3, 4)).projection(Dense::new(3, 5));
    refused!(
        DecoupledNetwork::<f64>::builder(3).layer(projected).build(),
        e if in_layer!(e, 0, Error::Shape { expected: 4, found: 5, .. })
    );
}

#[test]
fn widths_that_do_not_fit_into_memory_are_refused() {
    for units in [1 << 50, usize::MAX / 4, usize::MAX] {
        let outcome = DecoupledNetwork::<f64>::builder(1).dense(units, Activation::Identity).build();
        refused!(outcome, Error::OutOfMemory { .. });
        let fixed = Elementwise::new(units, Activation::Tanh);
        refused!(DecoupledNetwork::<f64>::builder(units).layer(fixed).build(), Error::OutOfMemory { .. });
    }
    // 64 weights and a bias for each unit: a few more numbers than can be counted.
    let units = usize::MAX / 65 + 1;
    for activation in [Activation::Identity, Activation::Relu] {
        refused!(DecoupledNetwork::<f64>::builder(64).dense(units, activation).build(), Error::OutOfMemory { .. });
    }
}

#[test]
fn settings_of_layers_outside_their_domain_are_refused() {
    let layers: [Box<dyn Fn() -> NetworkBuilder<f64>>; 10] = [
        Box::new(|| DecoupledNetwork::builder(3).layer(Dense::new(3, 3).bias(NAN))),
        Box::new(|| DecoupledNetwork::builder(3).layer(Dense::new(3, 3).init(Init::he_normal().gain(NAN)))),
        Box::new(|| DecoupledNetwork::builder(3).layer(Dense::new(3, 3).init(Init::constant(INF)))),
        Box::new(|| DecoupledNetwork::builder(3).dense(3, Activation::LeakyRelu(NAN))),
        Box::new(|| DecoupledNetwork::builder(3).dense(3, Activation::Quantize(0))),
        Box::new(|| DecoupledNetwork::builder(3).dense(3, Activation::Quantize(17))),
        Box::new(|| {
            DecoupledNetwork::builder(3).layer(Elementwise::new(3, Activation::Quantize(u32::MAX)).straight_through())
        }),
        Box::new(|| DecoupledNetwork::builder(3).layer(LayerNorm::new(3).epsilon(0.0))),
        Box::new(|| DecoupledNetwork::builder(3).layer(LayerNorm::new(3).epsilon(NAN))),
        Box::new(|| DecoupledNetwork::builder(3).layer(Residual::new(Dense::new(3, 3).bias(INF)))),
    ];
    for network in layers {
        refused!(network().build(), e if in_layer!(e, 0, Error::HyperParameter { .. }));
    }
    for bits in [1, 16] {
        DecoupledNetwork::<f64>::builder(3).dense(3, Activation::Quantize(bits)).build().unwrap();
    }
    for activation in [Activation::Identity, Activation::Relu, Activation::Tanh, Activation::HardTanh] {
        let straight = Chain::new().then(Elementwise::new(3, activation).straight_through());
        refused!(
            DecoupledNetwork::<f64>::builder(3).layer(straight).build(),
            e if in_layer!(e, 0, Error::Unsupported { what: "straight_through", .. })
        );
    }
}

#[test]
fn settings_of_the_network_outside_their_domain_are_refused() {
    for penalty in [0.0, -1.0, NAN, INF] {
        refused!(builder::<f64>().penalty(penalty).build(), Error::HyperParameter { name: "penalty", .. });
        refused!(
            builder::<f64>().layer_penalty(1, penalty).build(),
            e if in_layer!(e, 1, Error::HyperParameter { name: "penalty", .. })
        );
    }
    // Positive and finite, but not in single precision.
    for penalty in [1e-60, 1e60] {
        refused!(builder::<f32>().penalty(penalty).build(), Error::HyperParameter { name: "penalty", .. });
        builder::<f64>().penalty(penalty).build().unwrap();
    }
    for t in [0, 2, usize::MAX] {
        refused!(
            builder::<f64>().layer_penalty(t, 1.0).build(),
            Error::LayerIndex { what: "layer_penalty", first: 1, count: 1, found } if *found == t
        );
    }
    for t in [2, usize::MAX] {
        refused!(
            builder::<f64>().layer_optimizer(t, Sgd::new(0.1)).build(),
            Error::LayerIndex { what: "layer_optimizer", first: 0, count: 2, found } if *found == t
        );
    }
    refused!(builder::<f64>().bank_file("bank", 0).build(), Error::HyperParameter { found: 0.0, .. });
    refused!(builder::<f64>().threads(0).build(), Error::HyperParameter { name: "threads", .. });
    refused!(builder::<f64>().threads(usize::MAX).build(), Error::HyperParameter { name: "threads", .. });
}

#[test]
fn settings_of_losses_outside_their_domain_are_refused() {
    for share in [1.0, -0.1, NAN] {
        let loss = SoftmaxCrossEntropy::new().label_smoothing(share);
        refused!(builder::<f64>().output_loss(loss).build(), Error::HyperParameter { .. });
    }
    for size in [0.0, -1.0, NAN, INF] {
        let relative = RelativeSquaredError::new().epsilon(size);
        refused!(builder::<f64>().output_loss(Huber::new(size)).build(), Error::HyperParameter { .. });
        refused!(builder::<f64>().hidden_loss(Huber::new(size)).build(), Error::HyperParameter { .. });
        refused!(builder::<f64>().hidden_loss(relative).build(), Error::HyperParameter { .. });
    }
    let unbounded =
        |builder: NetworkBuilder<f64>| refused!(builder.build(), Error::Unsupported { what: "hidden loss", .. });
    unbounded(builder().hidden_loss(SoftmaxCrossEntropy::new()));
    unbounded(builder().hidden_loss(BinaryCrossEntropy));
    builder::<f64>().hidden_loss(MeanAbsoluteError).build().unwrap();
}

fn bad_optimizers() -> Vec<Box<dyn Optimizer<f64>>> {
    let mut bad: Vec<Box<dyn Optimizer<f64>>> = vec![Box::new(Sgd::new(0.1).nesterov())];
    for rate in [0.0, -0.1, NAN, INF] {
        bad.push(Box::new(Sgd::new(rate)));
        bad.push(Box::new(Adam::new(rate)));
        bad.push(Box::new(AdamW::new(rate)));
        bad.push(Box::new(RmsProp::new(rate)));
        bad.push(Box::new(Adam::new(0.1).epsilon(rate)));
        bad.push(Box::new(RmsProp::new(0.1).epsilon(rate)));
        bad.push(Box::new(ClipNorm::new(Sgd::new(0.1), rate)));
        bad.push(Box::new(ClipValue::new(Sgd::new(0.1), rate)));
        bad.push(Box::new(ClipNorm::new(Sgd::new(rate), 1.0)));
        bad.push(Box::new(ClipValue::new(Sgd::new(rate), 1.0)));
        bad.push(Box::new(WeightDecay::new(Sgd::new(rate), 0.1)));
        bad.push(Box::new(L1::new(Sgd::new(rate), 0.1)));
        bad.push(Box::new(Scheduled::new(Sgd::new(rate), Schedule::Constant)));
        bad.push(Box::new(Scheduled::new(Sgd::new(0.1), Schedule::Exponential { factor: rate })));
        bad.push(Box::new(Scheduled::new(Sgd::new(0.1), Schedule::Step { every: 5, factor: rate })));
    }
    for share in [1.0, -0.1, NAN] {
        bad.push(Box::new(Sgd::new(0.1).momentum(share)));
        bad.push(Box::new(Adam::new(0.1).beta1(share)));
        bad.push(Box::new(Adam::new(0.1).beta2(share)));
        bad.push(Box::new(AdamW::new(0.1).beta1(share)));
        bad.push(Box::new(RmsProp::new(0.1).decay(share)));
    }
    for decay in [-0.1, NAN, INF] {
        bad.push(Box::new(WeightDecay::new(Sgd::new(0.1), decay)));
        bad.push(Box::new(AdamW::new(0.1).weight_decay(decay)));
        bad.push(Box::new(L1::new(Sgd::new(0.1), decay)));
        bad.push(Box::new(Scheduled::new(Sgd::new(0.1), Schedule::Cosine { total: 5, floor: decay })));
    }
    bad.push(Box::new(Scheduled::new(Sgd::new(0.1), Schedule::Step { every: 0, factor: 0.5 })));
    bad.push(Box::new(Scheduled::new(Sgd::new(0.1), Schedule::Cosine { total: 0, floor: 0.5 })));
    for (rise, start, floor) in [(0.0, 0.1, 0.1), (1.0, 0.1, 0.1), (NAN, 0.1, 0.1), (0.3, NAN, 0.1), (0.3, 0.1, 1.1)] {
        bad.push(Box::new(Scheduled::new(Sgd::new(0.1), Schedule::OneCycle { total: 9, rise, start, floor })));
    }
    assert_eq!(builtin::names(&bad), builtin::names(builtin::optimizers::<f64>()));
    bad
}

/// Parameters, bank and epochs.
fn snapshot(net: &DecoupledNetwork<f64>) -> String {
    let params: Vec<_> = (0..net.depth()).map(|t| net.params(t)).collect();
    format!("{params:?} {:?} {}", net.bank(), net.epochs())
}

#[test]
fn settings_of_optimizers_outside_their_domain_are_refused_for_parameters_and_activations() {
    let data = regression(5, 3, 2);
    let mut net = builder::<f64>().build().unwrap();
    net.fit(&data, &FitConfig::new().epochs(1)).unwrap();
    let before = snapshot(&net);
    for bad in bad_optimizers() {
        let method = Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(bad));
        refused!(net.fit(&data, &FitConfig::new().method(method)), Error::HyperParameter { .. });
    }
    assert_eq!(snapshot(&net), before);
    for bad in bad_optimizers() {
        refused!(builder::<f64>().optimizer(bad).build(), Error::HyperParameter { .. });
    }
    for bad in bad_optimizers() {
        let built = builder::<f64>().layer_optimizer(1, bad).build();
        refused!(built, e if in_layer!(e, 1, Error::HyperParameter { .. }));
    }
}

#[test]
fn settings_of_a_fit_outside_their_domain_are_refused_before_anything_changes() {
    let data = regression(5, 3, 2);
    let mut fresh = builder::<f64>().build().unwrap();
    let mut trained = fresh.clone();
    trained.fit(&data, &FitConfig::new().epochs(2)).unwrap();
    let (other_data, config) = (regression(6, 3, 2), FitConfig::new);
    let no_sweep = || Sweeps::new(Order::RedBlack, 0, 0.3).stable(1.8);
    let zero_steps = Timing::AfterRelaxation { local_steps: 0 };
    let mut bad = vec![
        config().epochs(0),
        config().batch_size(0),
        config().shuffle_blocks(0),
        config().method(Method::default().activation(no_sweep())),
        config().method(Method::default().timing(Timing::EveryStep).activation(no_sweep())),
        config().method(Method::default().timing(zero_steps)),
    ];
    for rate in [0.0, -1.0, NAN, INF] {
        bad.push(config().method(Method::joint(rate)));
        bad.push(config().method(Method::predictive_coding(2, rate)));
        bad.push(config().method(Method::incremental(2, rate)));
        let reverse = Sweeps::new(Order::ReverseGaussSeidel, 1, rate).per_penalty();
        bad.push(config().method(Method::backprop_by_sweep().activation(reverse)));
        bad.push(config().method(Method::error_based(2, rate)));
        bad.push(config().method(Method::alm(rate)));
        bad.push(config().method(Method::alm(0.7).multipliers(Multipliers { rate, ..Multipliers::kept() })));
    }
    for fraction in [0.0, 2.0, -1.0, NAN] {
        let sweeps = Sweeps::reaching(Order::RedBlack, 0.3).stable(fraction);
        bad.push(config().method(Method::default().activation(sweeps)));
    }
    for share in [0.0, 1.0, -1.0, NAN] {
        bad.push(config().method(Method::default().start(Start::Blend(share))));
    }
    let ridge = |ridge: Ridge| Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored).parameter(ridge);
    let raise = PenaltyIncrease::when(Stall::Residual);
    for raise in [
        PenaltyIncrease { factor: 1.0, ..raise },
        PenaltyIncrease { factor: NAN, ..raise },
        PenaltyIncrease { progress: 1.0, ..raise },
        PenaltyIncrease { progress: -0.1, ..raise },
        PenaltyIncrease { most: 0.5, ..raise },
        PenaltyIncrease { most: INF, ..raise },
    ] {
        bad.push(config().method(Method::default().penalty(Penalty::Raised(raise))));
    }
    bad.push(config().method(Method::default().activation(GaussNewton::new(0))));
    bad.push(config().method(Method::error_based(0, 0.1)));
    bad.push(config().method(Method::default().activation(Exact { steps: 0, proximal: 0.0 })));
    for weight in [-1.0, NAN, INF] {
        bad.push(config().method(Method::default().activation(Exact { steps: 1, proximal: weight })));
        bad.push(config().method(ridge(Ridge { ridge: weight, ..Ridge::default() })));
        bad.push(config().method(ridge(Ridge { proximal: weight, ..Ridge::default() })));
        bad.push(config().method(ridge(Ridge { trust: Some(weight), ..Ridge::default() })));
        bad.push(config().method(ridge(Ridge { memory: weight, ..Ridge::default() })));
    }
    for net in [&mut fresh, &mut trained] {
        let before = snapshot(net);
        for config in &bad {
            refused!(net.fit(&other_data, config), Error::HyperParameter { .. });
        }
        refused!(net.fit_backprop(&other_data, &config().epochs(0)), Error::HyperParameter { name: "epochs", .. });
        refused!(net.fit_backprop(&other_data, &config().batch_size(0)), Error::HyperParameter { .. });
        assert_eq!(snapshot(net), before);
    }
}

#[test]
fn data_that_are_no_data_are_refused() {
    let good = || examples(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    for bad in [NAN, INF, -INF] {
        let spoilt = || examples(&[[1.0, 2.0, 3.0], [4.0, bad, 6.0]]);
        refused!(
            Dataset::regression(spoilt(), good()),
            Error::NotFinite { what: "inputs", example: 1, row: 1, value } if value.to_bits() == bad.to_bits()
        );
        refused!(
            Dataset::regression(good(), spoilt()),
            Error::NotFinite { what: "targets", example: 1, row: 1, value } if value.to_bits() == bad.to_bits()
        );
        refused!(Dataset::classification(spoilt(), &[0, 1], 2), Error::NotFinite { what: "inputs", .. });
    }
    let three = examples(&[[0.0; 3]; 3]);
    refused!(Dataset::regression(good(), three), Error::Shape { expected: 2, found: 3, .. });
    refused!(Dataset::classification(good(), &[0], 2), Error::Shape { expected: 2, found: 1, .. });
    refused!(Dataset::classification(good(), &[0, 2], 2), Error::LabelOutOfRange { example: 1, label: 2, classes: 2 });
    refused!(Dataset::classification(good(), &[0, 0], 0), Error::Empty { .. });
    refused!(Examples::<f64>::from_rows::<[f64; 3]>(&[]), Error::Empty { .. });
    refused!(Examples::from_rows(&[vec![1.0], vec![1.0, 2.0]]), Error::Shape { expected: 1, found: 2, .. });
    refused!(Examples::from_row_slice(&[1.0; 5], 2, 3), Error::Shape { expected: 6, found: 5, .. });
}

#[test]
fn data_that_do_not_fit_the_network_are_refused_before_anything_changes() {
    let data = regression(5, 3, 2);
    let mut net = builder::<f64>().build().unwrap();
    net.fit(&data, &FitConfig::new().epochs(1)).unwrap();
    let before = snapshot(&net);
    for (bad, wide, narrow) in [(regression(5, 4, 2), 3, 4), (regression(5, 3, 1), 2, 1)] {
        let is_expected =
            |e: &Error| matches!(e, Error::Shape { expected, found, .. } if (*expected, *found) == (wide, narrow));
        refused!(net.fit(&bad, &FitConfig::new()), e if is_expected(e));
        refused!(net.fit_backprop(&bad, &FitConfig::new()), e if is_expected(e));
        refused!(net.fit(&data, &FitConfig::new().validation(&bad)), e if is_expected(e));
        refused!(net.evaluate(&bad), e if is_expected(e));
    }
    let shape = |rows, expected: usize| {
        let inputs = vec![0.5; rows * 2];
        refused!(
            net.predict(MatRef::new(&inputs, rows, 2)),
            Error::Shape { expected: e, found, .. } if (*e, *found) == (expected, rows)
        );
    };
    shape(2, 3);
    shape(4, 3);
    refused!(
        net.predict(MatRef::new(&[0.0, 0.0, 0.0, 0.0, 0.0, NAN], 3, 2)),
        Error::NotFinite { what: "inputs", example: 1, row: 2, value } if value.is_nan()
    );
    refused!(net.set_params(2, &[0.0]), Error::LayerIndex { first: 0, count: 2, found: 2, .. });
    refused!(net.set_params(1, &[0.0]), e if in_layer!(e, 1, Error::Shape { expected: 10, found: 1, .. }));
    let mut params = [0.5; 10];
    params[3] = INF;
    refused!(net.set_params(1, &params), Error::ParameterNotFinite { layer: 1, index: 3, value: INF });
    assert_eq!(snapshot(&net), before);
    assert_eq!(net.predict(MatRef::new(&[], 3, 0)).unwrap().shape(), (2, 0));
}

#[test]
fn targets_without_a_meaning_for_the_loss_are_refused_before_anything_changes() {
    let data = |second: [f64; 2]| {
        let targets = Examples::from_rows(&[[0.25, 0.75], second]).unwrap();
        Dataset::regression(examples(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), targets).unwrap()
    };
    let check = |loss: Box<dyn Fn() -> NetworkBuilder<f64>>, bad: &[[f64; 2]]| {
        let mut net = loss().build().unwrap();
        net.fit(&data([1.0, 0.0]), &FitConfig::new().epochs(1)).unwrap();
        let before = snapshot(&net);
        for &column in bad {
            let bad = data(column);
            refused!(net.fit(&bad, &FitConfig::new()), Error::Target { example: 1, .. });
            refused!(net.fit_backprop(&bad, &FitConfig::new()), Error::Target { example: 1, .. });
            refused!(net.fit(&data([1.0, 0.0]), &FitConfig::new().validation(&bad)), Error::Target { example: 1, .. });
            refused!(net.evaluate(&bad), Error::Target { example: 1, .. });
        }
        assert_eq!(snapshot(&net), before);
    };
    check(Box::new(|| builder().output_loss(SoftmaxCrossEntropy::new())), &[[0.5, 0.6], [-0.5, 1.5], [0.0, 0.0]]);
    check(Box::new(|| builder().output_loss(BinaryCrossEntropy)), &[[0.5, 1.1], [-0.1, 0.5]]);
}

/// A fixed map of one number to many equal ones, without parameters.
#[derive(Debug)]
struct Spread {
    input: usize,
    output: usize,
}

impl Layer<f64> for Spread {
    fn input_dim(&self) -> usize {
        self.input
    }
    fn output_dim(&self) -> usize {
        self.output
    }
    fn forward(&self, _: &[f64], input: MatRef<'_, f64>, mut output: MatMut<'_, f64>, _: &mut [f64]) {
        output.columns_mut().zip(input.columns()).for_each(|(out, x)| out.fill(x[0]));
    }
    fn input_gradient(
        &self,
        _: &[f64],
        _: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        mut grad: MatMut<'_, f64>,
        _: &mut [f64],
    ) {
        for (grad, c) in grad.columns_mut().zip(cotangent.columns()) {
            grad.fill(0.0);
            grad[0] = c.iter().sum();
        }
    }
}

#[test]
fn a_bank_above_its_limit_is_refused_before_anything_changes() {
    let (small, large) = (regression(5, 3, 2), regression(6, 3, 2));
    let method = || Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Adam::new(0.1)));
    let config = || FitConfig::new().epochs(1).method(method());
    let mut free = builder::<f64>().build().unwrap();
    free.fit(&small, &config()).unwrap();
    let needed = free.bank().unwrap().bytes();
    // Four units, each with its activation and two moments, a step count and the number of the last update.
    assert_eq!(needed, 5 * (4 * 3 * 8 + 2 * 8));

    let mut tight = builder::<f64>().bank_limit(needed - 1).build().unwrap();
    let before = snapshot(&tight);
    let is_expected = |bytes: usize, limit: usize, error: &Error| matches!(error, Error::BankTooLarge { bytes: b, limit: l, .. } if (*b, *l) == (bytes as u128, limit as u128));
    refused!(tight.fit(&small, &config()), e if is_expected(needed, needed - 1, e));
    assert_eq!(snapshot(&tight), before);
    tight.fit_backprop(&small, &config()).unwrap();

    let mut exact = builder::<f64>().bank_limit(needed).build().unwrap();
    exact.fit(&small, &config()).unwrap();
    let before = snapshot(&exact);
    refused!(exact.fit(&large, &config()), Error::BankTooLarge { rows: 12, examples: 6, .. });
    assert_eq!(snapshot(&exact), before);
    exact.fit(&small, &config()).unwrap();
}

#[test]
fn a_bank_that_no_machine_could_hold_is_refused_before_anything_changes() {
    // 2⁴⁷ bytes are all the address space that a process gets; this is more, and the limit allows it.
    let (width, n) = (4_500_000, 4_500_000);
    let column = || Examples::from_row_slice(&vec![0.5; n], n, 1).unwrap();
    let data = Dataset::regression(column(), column()).unwrap();
    let spread = |input, output| Spread { input, output };
    let builder = DecoupledNetwork::builder(1).layer(spread(1, width)).layer(spread(width, 1)).threads(1);
    let mut net = builder.bank_limit(usize::MAX).build().unwrap();
    let before = snapshot(&net);
    refused!(net.fit(&data, &FitConfig::new()), e if matches!(e, Error::OutOfMemory { what, .. } if what.contains("bank") && what.contains("Storage::Nothing")));
    assert_eq!(snapshot(&net), before);
}

/// One sample of each variant, from calls that a user can make.
fn samples() -> Vec<Error> {
    #[derive(Debug)]
    struct Panicking;
    impl<T: Scalar> Loss<T> for Panicking {
        fn value(&self, _: MatRef<'_, T>, _: MatRef<'_, T>) -> T {
            T::one()
        }
        fn gradient(&self, _: MatRef<'_, T>, _: MatRef<'_, T>, _: MatMut<'_, T>) {
            panic!("on purpose")
        }
        fn target_gradient(&self, _: MatRef<'_, T>, _: MatRef<'_, T>, _: MatMut<'_, T>) {}
    }
    fn fit(builder: NetworkBuilder<f64>) -> Result<decoupled::FitReport> {
        builder.build()?.fit(&regression(5, 3, 2), &FitConfig::new().epochs(3))
    }
    fn error<R>(outcome: Result<R>) -> Error {
        outcome.err().expect("an error")
    }
    /// What a search says of a candidate for whom this makes the network.
    fn searched(build: fn() -> Result<DecoupledNetwork<f64>>) -> Error {
        let search = Search::randomized(Space::new().uniform("rate", 0.0, 1.0), 1);
        let report = search.fit(&regression(5, 3, 2), |_| Ok((build()?, FitConfig::new())));
        report.unwrap().trials.remove(0).scores.unwrap_err()
    }
    let file = std::env::temp_dir().join(format!("decoupled-errors-{}.idx", std::process::id()));
    std::fs::write(&file, b"not an index file").unwrap();
    let bank = std::env::temp_dir().join(format!("decoupled-errors-{}.bank", std::process::id()));
    let mut holder = builder::<f64>().bank_file(&bank, 5).build().unwrap();
    holder.fit(&regression(5, 3, 2), &FitConfig::new().epochs(1)).unwrap();
    let samples = vec![
        error(DecoupledNetwork::<f64>::builder(3).build()),
        error(Examples::from_row_slice(&[1.0; 5], 2, 3)),
        error(builder::<f64>().layer(Dense::new(7, 1)).build()),
        error(DecoupledNetwork::<f64>::builder(3).layer(Pool2d::max([1, 2, 2], [2, 2])).build()),
        error(Layer::<f64>::validate(&Residual::new(Conv2d::new([1, 4, 4], 4, [2, 2]).stride([2, 2])))),
        error(DecoupledNetwork::<f64>::builder(3).dense(0, Activation::Relu).build()),
        error(builder::<f64>().layer_penalty(9, 1.0).build()),
        error(regression(5, 3, 2).select(&[5])),
        error(regression(5, 3, 2).take(6)),
        error(builder::<f64>().layer_optimizer(1, Adam::new(-1.0)).build()),
        error(builder::<f64>().build().and_then(|mut net| net.set_params(1, &[NAN; 10]))),
        error(builder::<f64>().output_loss(SoftmaxCrossEntropy::new()).method(Method::bcd(1.0)).build()),
        error(builder::<f64>().penalty(NAN).build()),
        error(Dataset::regression(examples(&[[NAN; 3]]), examples(&[[0.0; 3]]))),
        error(Dataset::classification(examples(&[[0.0; 3]]), &[5], 2)),
        error(regression(2, 3, 2).with_weights(&[1.0, -1.0])),
        error(fit(builder().output_loss(BinaryCrossEntropy))),
        error(metrics::log_loss(&[0], MatRef::new(&[0.5, 0.25], 2, 1))),
        error(builder::<f64>().dense(2, Activation::Tanh).method(Method::bcd(1.0)).build()),
        // Sines of one frequency span two dimensions, too few for three weights and a bias.
        error(fit(DecoupledNetwork::builder(3)
            .dense(2, Activation::Identity)
            .method(Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored).parameter(Ridge::default())))),
        error(fit(builder().bank_limit(10))),
        error(fit(builder().bank_file(&bank, 5))),
        error(DecoupledNetwork::<f64>::builder(1).dense(1 << 55, Activation::Identity).build()),
        error(fit(builder().optimizer(Sgd::new(1e200)))),
        error(fit(builder().output_loss(Panicking))),
        error(builder().build().and_then(|mut net| {
            let mut observer = |_: &EpochReport| panic!("on purpose");
            net.fit_observed(&regression(5, 3, 2), &FitConfig::new(), &mut [&mut observer])
        })),
        searched(|| panic!("no network")),
        error(
            Search::grid(Space::new().uniform("rate", 0.0, 1.0))
                .fit(&regression(5, 3, 2), |_| Ok((builder::<f64>().build()?, FitConfig::new()))),
        ),
        error(builder::<f32>().layer(Dense::new(2, 2).init(Init::constant(1e300))).build()),
        error(builder::<f64>().hidden_loss(BinaryCrossEntropy).build()),
        error(data::read_idx_labels("no/such/file")),
        error(data::write_npy(std::env::temp_dir(), MatRef::new(&[0.5], 1, 1))),
        Error::other("the server does not answer"),
        error(data::read_idx_labels(&file)),
        #[cfg(feature = "csv")]
        error({
            std::fs::write(&file, "colour\nred\nblue\nred\n").unwrap();
            let columns = data::csv::Options::features().fit(&file).unwrap();
            std::fs::write(&file, "colour\ngreen\n").unwrap();
            columns.read_inputs::<f64>(&file)
        }),
    ];
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(&bank).unwrap();
    samples
}

#[test]
fn every_variant_is_reached_and_says_what_it_is_about() {
    let declared: BTreeSet<&str> = include_str!("../../src/error.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" {"))
        .filter(|name| name.chars().all(|c| c.is_ascii_alphabetic()))
        .collect();
    let samples = samples();
    let reached: BTreeSet<String> = samples
        .iter()
        .map(|error| format!("{error:?}").chars().take_while(|c| c.is_ascii_alphabetic()).collect())
        .collect();
    // No portable way makes the system refuse threads, and tables are read by a feature.
    let spared = |name: &str| name == "ThreadPool" || (name == "UnknownCategory" && !cfg!(feature = "csv"));
    let missing: Vec<_> = declared.iter().filter(|name| !spared(name) && !reached.contains(**name)).collect();
    assert!(declared.len() > 15 && missing.is_empty(), "not reached: {missing:?}");
    for error in &samples {
        let message = error.to_string();
        assert!(message.len() > 15 && !message.contains('\n'), "{message}");
    }
}

/// Half the square, of targets that are 0 or 1.
#[derive(Debug)]
struct Bits;

impl Loss<f64> for Bits {
    fn value(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>) -> f64 {
        SquaredError.value(target, prediction)
    }
    fn gradient(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>, grad: MatMut<'_, f64>) {
        SquaredError.gradient(target, prediction, grad);
    }
    fn check_targets(&self, targets: MatRef<'_, f64>) -> Result<()> {
        let odd =
            targets.columns().enumerate().find_map(|(i, z)| Some((i, *z.iter().find(|z| ![0.0, 1.0].contains(*z))?)));
        let error = |(example, found)| Err(Error::Target { loss: "Bits", example, expected: "0 or 1", found });
        odd.map_or(Ok(()), error)
    }
}

#[test]
fn messages_say_what_was_expected_what_was_found_and_where() {
    let says = |error: Error, expected: &str| assert_eq!(error.to_string(), expected);
    let net = || DecoupledNetwork::<f64>::builder(3).dense(4, Activation::Identity);
    let refused = |builder: NetworkBuilder<f64>| builder.build().unwrap_err();
    says(
        refused(net().dense(2, Activation::Quantize(40))),
        "in layer 1: bits of Quantize must be one of 1 ..= 16, found 40",
    );
    says(
        refused(net().layer(Residual::new(Dense::new(4, 5)))),
        "in layer 1: output rows of the map in a residual block: expected 4, found 5",
    );
    says(refused(net().penalty(-1e300)), "penalty must be positive and finite, found -1e300");
    says(refused(net().penalty(-0.25)), "penalty must be positive and finite, found -0.25");
    says(refused(net().penalty(INF)), "penalty must be positive and finite, found inf");
    says(refused(net().layer_penalty(1, 1.0)), "layer_penalty names layer 1, but there is no hidden layer");
    says(
        refused(net().dense(2, Activation::Tanh).layer_penalty(2, 1.0)),
        "layer_penalty names layer 2, expected one of 1..2",
    );
    says(regression(200, 1, 1).take(2000).unwrap_err(), "take: expected at most 200 examples, found 2000");

    let classes = |labels: &[usize]| Dataset::classification(examples(&[[1.0; 3]; 2]), labels, 2).unwrap();
    says(
        classes(&[0, 1]).with_class_weights(&[1.0, -1.0]).unwrap_err(),
        "the weight of class 1 must be non-negative and finite, found -1",
    );
    let nothing = "the weight of example 0 must be above 0, where all others are 0, found 0";
    says(classes(&[0, 0]).with_class_weights(&[0.0, 1.0]).unwrap_err(), nothing);
    says(classes(&[0, 1]).with_weights(&[0.0, 0.0]).unwrap_err(), nothing);
    says(
        check::loss::<f64>(&Bits, 2).unwrap_err(),
        "check::loss at random targets: the loss takes neither draws from N(0, 1) nor columns of positive numbers that sum to 1: \
         give targets that it takes to check::loss_at",
    );
    let mut stopping = EarlyStopping::new().monitor(Monitor::ValidationLoss);
    let unmeasured = net().build().unwrap().fit_observed(&regression(9, 3, 4), &FitConfig::new(), &mut [&mut stopping]);
    says(
        unmeasured.unwrap_err(),
        "monitoring the validation: there is none; give FitConfig::validation or FitConfig::validation_fraction",
    );

    let exact = || net().store_pre_activations().dense(2, Activation::Tanh).method(Method::bcd(1.0));
    says(
        refused(exact().output_loss(BinaryCrossEntropy)),
        "exact activation steps (Method::bcd, Method::admm): the output loss above layer 2 is BinaryCrossEntropy, expected \
         SquaredError",
    );
    says(
        refused(exact().hidden_loss(MeanAbsoluteError)),
        "exact activation steps (Method::bcd, Method::admm): the hidden loss above layer 0 is MeanAbsoluteError, expected \
         SquaredError",
    );
    let ridge = Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored).layer_parameter(1, Ridge::default());
    says(
        refused(net().dense(2, Activation::Tanh).output_loss(BinaryCrossEntropy).method(ridge)),
        "a parameter step by least squares (Ridge): the output loss above layer 1 is BinaryCrossEntropy, expected \
         SquaredError",
    );
}

#[test]
fn a_layer_that_lacks_two_capabilities_is_told_of_that_for_activations_first() {
    let lacks = |builder: NetworkBuilder<f64>, method| match builder.method(method).build() {
        Err(Error::Incapable { layer: 2, lacks, methods, .. }) => {
            assert!(["default", "backprop_by_sweep", "mac"].iter().all(|method| methods.contains(method)), "{methods}");
            (lacks.contains("Layer::proximal"), lacks.contains("Layer::regression"))
        }
        other => panic!("{:?}", other.err()),
    };
    let normalised = || builder().layer(LayerNorm::new(2));
    assert_eq!(lacks(normalised(), Method::bcd(1.0)), (true, false));
    let ridge = Method::default().parameter(Ridge::default());
    assert_eq!(lacks(normalised(), ridge.clone()), (false, true));
    // A fused unit can be fitted.
    let fused = || builder().dense(2, Activation::Tanh);
    assert_eq!(lacks(fused(), Method::bcd(1.0)), (true, false));
    assert!(fused().method(ridge).build().is_ok());
}

/// Finite as they are written, and neither finite nor positive as a network of `f32` computes with them.
#[test]
fn settings_that_the_working_precision_cannot_hold_are_refused() {
    let builder = || DecoupledNetwork::<f32>::builder(2).dense(2, Activation::Relu);
    for lost in [1e300, 1e-300] {
        let refused = [
            builder().layer(LayerNorm::new(2).epsilon(lost)).build().map(drop),
            builder()
                .method(Method::default().multipliers(Multipliers { rate: lost, ..Multipliers::kept() }))
                .build()
                .map(drop),
        ];
        for outcome in refused {
            let error = outcome.unwrap_err();
            let expected = "must be in f32's range, from 1.4e-45 to 3.4e38, found 1e";
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    let exact = Exact { steps: 1, proximal: 1e300 };
    let method = Method::new(Start::Persisted, exact, Reads::Stored);
    let refused = [
        builder().layer(Dense::new(2, 1).bias(1e300)).build(),
        builder().dense(1, Activation::LeakyRelu(-1e300)).build(),
        DecoupledNetwork::builder(2).dense(2, Activation::Identity).method(method).build(),
    ];
    for outcome in refused {
        let error = outcome.unwrap_err();
        let expected =
            if error.to_string().contains("proximal") { "at most 3.4e38, found 1e300" } else { "3.4e38, found" };
        assert!(error.to_string().contains(expected), "{error}");
    }
    // What no precision holds is told as ever, and f64 has no such limits.
    let refused = DecoupledNetwork::<f32>::builder(2).layer(Dense::new(2, 1).bias(f64::NAN)).build().unwrap_err();
    assert!(refused.to_string().ends_with("bias of Dense must be finite, found NaN"), "{refused}");
    let refused = Optimizer::<f32>::validate(&Adam::new(1e-300)).unwrap_err().to_string();
    assert_eq!(refused, "Adam::learning_rate must be in f32's range, from 1.4e-45 to 3.4e38, found 1e-300");
    let refused = Optimizer::<f32>::validate(&Adam::new(-1.0)).unwrap_err().to_string();
    assert_eq!(refused, "Adam::learning_rate must be positive and finite, found -1");
    assert!(Optimizer::<f64>::validate(&Adam::new(1e-300)).is_ok());
}

/// Below 1 as they are written, and 1 as a network of `f32` computes with them: the numbers nearest 1 are 2⁻²⁴ below it.
#[test]
fn shares_that_the_working_precision_rounds_to_one_are_refused() {
    let of = |share: f64| -> [Result<()>; 2] {
        let adam = Adam::new(0.1).beta1(share);
        [Optimizer::<f32>::validate(&Sgd::new(0.1).momentum(share)), Optimizer::<f32>::validate(&adam)]
    };
    let nearest = 1.0 - 0.5_f64.powi(24);
    assert!(of(nearest).iter().all(Result::is_ok));
    for outcome in of(1.0 - 0.5_f64.powi(26)) {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("in [0, 1), at most 0.99999994 in f32"), "{error}");
    }
    assert!(of(1.0).iter().all(|outcome| outcome.as_ref().unwrap_err().to_string().contains("in [0, 1), found 1")));
    assert!(Optimizer::<f64>::validate(&Sgd::new(0.1).momentum(1.0 - 0.5_f64.powi(26))).is_ok());
}
