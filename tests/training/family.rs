//! One suite for the whole family: every preset with every built-in layer and loss learns from a small teacher, gives the same
//! bits at any number of threads, or refuses what it cannot do before anything changes.

use std::sync::Arc;

use decoupled::data::{self, Examples};
use decoupled::layer::{Activation, Chain, Dense, Elementwise, LayerNorm, Residual};
use decoupled::loss::{Outputs, SoftmaxCrossEntropy};
use decoupled::method::{
    ErrorSteps, Exact, GaussNewton, Multipliers, Order, Penalty, PenaltyIncrease, Reads, Ridge, Stall, Start, Sweeps,
    Timing,
};
use decoupled::optimizer::Adam;
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Layer, MatRef, Method, NetworkBuilder};

use crate::builtin;

type Net = DecoupledNetwork<f64>;

const INPUTS: usize = 5;
const WIDTH: usize = 8;
const OUTPUTS: usize = 3;

/// The presets, and three of them in another order or from another start.
fn presets() -> Vec<(&'static str, Method<f64>)> {
    let own = [
        ("alm, all layers at once", Method::alm(1.0).activation(Sweeps::new(Order::Jacobi, 1, 1.0).per_penalty())),
        (
            "predictive_coding, red-black",
            Method::predictive_coding(3, 0.1).activation(Sweeps::new(Order::RedBlack, 3, 0.1)),
        ),
        ("predictive_coding, blended", Method::predictive_coding(4, 0.1).start(Start::Blend(0.3))),
    ];
    builtin::methods().into_iter().chain(own).collect()
}

fn is_exact(preset: &str) -> bool {
    builtin::exact_methods::<f64>().iter().any(|(name, _)| *name == preset)
}

/// Outputs of a random network, as they are or as what the loss takes.
#[derive(Clone, Copy, PartialEq)]
enum Targets {
    Real,
    Classes,
    Bits,
}

fn teacher(targets: Targets) -> Dataset<f64> {
    const EXAMPLES: usize = 96;
    let net =
        Net::builder(INPUTS).dense(12, Activation::Tanh).dense(OUTPUTS, Activation::Identity).seed(42).build().unwrap();
    // A low-discrepancy set of inputs in [−1, 1]⁵.
    let roots = [2.0, 3.0, 5.0, 7.0, 11.0].map(f64::sqrt);
    let inputs: Vec<f64> =
        (1..=EXAMPLES).flat_map(|i| roots.map(|root| 2.0 * (i as f64 * root).fract() - 1.0)).collect();
    // An example is a row to the reader, a column inside: the same order in memory.
    let outputs = net.predict(MatRef::new(&inputs, INPUTS, EXAMPLES)).unwrap();
    let inputs = Examples::from_row_slice(&inputs, EXAMPLES, INPUTS).unwrap();
    match targets {
        Targets::Classes => {
            let labels: Vec<usize> = outputs.column_iter().map(|column| column.argmax().0).collect();
            Dataset::classification(inputs, &labels, OUTPUTS).unwrap()
        }
        Targets::Bits => {
            let bits: Vec<f64> = outputs.iter().map(|y| f64::from(u8::from(*y > 0.0))).collect();
            let rows = Examples::from_row_slice(&bits, EXAMPLES, OUTPUTS).unwrap();
            Dataset::regression(inputs, rows).unwrap()
        }
        Targets::Real => {
            let rows = Examples::from_row_slice(outputs.as_slice(), EXAMPLES, OUTPUTS).unwrap();
            Dataset::regression(inputs, rows).unwrap()
        }
    }
}

/// Two hidden units of the given kind and an affine output.
fn network(hidden: &dyn Fn(usize) -> Vec<Arc<dyn Layer<f64>>>) -> NetworkBuilder<f64> {
    let mut builder = Net::builder(INPUTS).optimizer(Adam::new(0.01)).seed(3);
    for below in [INPUTS, WIDTH] {
        for unit in hidden(below) {
            builder = builder.layer(unit);
        }
    }
    builder.layer(Dense::new(WIDTH, OUTPUTS))
}

fn fused(activation: Activation) -> impl Fn(usize) -> Vec<Arc<dyn Layer<f64>>> {
    move |below| {
        let unit = Chain::new().then(Dense::new(below, WIDTH)).then(Elementwise::new(WIDTH, activation));
        vec![Arc::new(unit)]
    }
}

fn split(activation: Activation) -> impl Fn(usize) -> Vec<Arc<dyn Layer<f64>>> {
    move |below| vec![Arc::new(Dense::new(below, WIDTH)), Arc::new(Elementwise::new(WIDTH, activation))]
}

/// Trains on one and on three threads; returns the forward loss before and after.
fn train(builder: &NetworkBuilder<f64>, method: &Method<f64>, data: &Dataset<f64>, what: &str) -> (f64, f64) {
    let config = FitConfig::new().method(method.clone()).epochs(25).batch_size(48);
    let mut before = 0.0;
    let mut fit = |threads| {
        let mut net = builder.clone().threads(threads).build().unwrap();
        before = net.evaluate(data).unwrap().loss;
        let report = net.fit(data, &config).unwrap_or_else(|error| panic!("{what}: {error}"));
        (net, report)
    };
    let ((one, first), (three, second)) = (fit(1), fit(3));
    let start = builder.clone().build().unwrap();
    for t in 0..one.depth() {
        // The output layer alone would lower the loss, too.
        assert!(one.params(t).is_empty() || one.params(t) != start.params(t), "{what}: layer {t} has not moved");
        assert_eq!(one.params(t), three.params(t), "{what}: layer {t} depends on the number of threads");
    }
    assert_eq!(one.bank(), three.bank(), "{what}");
    let losses =
        |report: &decoupled::FitReport| report.epochs.iter().map(|e| (e.energy, e.train_loss)).collect::<Vec<_>>();
    assert_eq!(losses(&first), losses(&second), "{what}");
    (before, one.evaluate(data).unwrap().loss)
}

#[track_caller]
fn learns(builder: &NetworkBuilder<f64>, method: &Method<f64>, data: &Dataset<f64>, what: &str) {
    let (before, after) = train(builder, method, data, what);
    assert!(after < 0.9 * before, "{what}: forward loss {before} to {after}");
}

/// Nothing happens to a network that is asked for what it cannot do.
#[track_caller]
fn refuses(builder: &NetworkBuilder<f64>, method: &Method<f64>, data: &Dataset<f64>, what: &str) {
    assert!(builder.clone().method(method.clone()).build().is_err(), "{what} is built");
    let mut net = builder.clone().build().unwrap();
    let before: Vec<_> = (0..net.depth()).map(|t| net.params(t).to_vec()).collect();
    let refused = net.fit(data, &FitConfig::new().method(method.clone()));
    let is_expected = |error: &Error| {
        matches!(error, Error::Incapable { .. } | Error::LossMismatch { .. } | Error::Unsupported { .. })
    };
    assert!(refused.as_ref().is_err_and(is_expected), "{what}: {refused:?}");
    assert!((0..net.depth()).all(|t| net.params(t) == before[t]) && net.bank().is_none(), "{what}");
}

#[test]
fn every_preset_trains_every_activation() {
    let data = teacher(Targets::Real);
    for (name, method) in presets() {
        for activation in builtin::differentiable() {
            let what = format!("{name}, {activation:?}");
            learns(&network(&split(activation)), &method, &data, &what);
            match is_exact(name) {
                true => refuses(&network(&fused(activation)), &method, &data, &what),
                false => learns(&network(&fused(activation)), &method, &data, &what),
            }
        }
    }
}

/// Units that jump have no derivative: gradients want them straight through, exact steps take them as they are.
#[test]
fn every_preset_trains_units_that_jump() {
    let data = teacher(Targets::Real);
    for activation in builtin::jumping() {
        let straight = |below: usize| -> Vec<Arc<dyn Layer<f64>>> {
            let jump = Elementwise::new(WIDTH, activation).straight_through();
            vec![Arc::new(Chain::new().then(Dense::new(below, WIDTH)).then(jump))]
        };
        for (name, method) in presets() {
            let what = format!("{name}, {activation:?}");
            if is_exact(name) {
                refuses(&network(&straight), &method, &data, &what);
            }
            if name == "admm" {
                learns(&network(&split(activation)), &method, &data, &what);
                continue;
            }
            if name == "bcd" {
                // The energy falls, though not the forward loss for long: pre-activations gather where the unit jumps.
                let mut net = network(&split(activation)).build().unwrap();
                let before = net.params(0).to_vec();
                let report = net.fit(&data, &FitConfig::new().method(method).epochs(10).full_batch()).unwrap();
                let (first, last) = (report.epochs[1].energy, report.epochs[9].energy);
                assert!(last < 0.9 * first && net.params(0) != before, "{what}: energy {first} to {last}");
                continue;
            }
            learns(&network(&straight), &method, &data, &what);
            // The output layer learns either way; those below it only straight through.
            for (builder, moves) in [(network(&straight), true), (network(&fused(activation)), false)] {
                let mut net = builder.build().unwrap();
                let before = [net.params(0).to_vec(), net.params(1).to_vec()];
                net.fit(&data, &FitConfig::new().method(method.clone()).epochs(3).batch_size(48)).unwrap();
                for (t, before) in before.iter().enumerate() {
                    assert_eq!(net.params(t) != before, moves, "{what}, straight through: {moves}, layer {t}");
                }
            }
        }
    }
}

#[test]
fn every_preset_trains_or_refuses_layers_that_are_no_affine_map() {
    let data = teacher(Targets::Real);
    let normed = |below: usize| -> Vec<Arc<dyn Layer<f64>>> {
        let unit = Chain::new().then(Dense::new(below, WIDTH)).then(LayerNorm::new(WIDTH));
        vec![Arc::new(unit.then(Elementwise::new(WIDTH, Activation::Tanh)))]
    };
    let residual = |below: usize| -> Vec<Arc<dyn Layer<f64>>> {
        let inner = Chain::new().then(Dense::new(WIDTH, WIDTH)).then(Elementwise::new(WIDTH, Activation::Tanh));
        vec![Arc::new(Dense::new(below, WIDTH)), Arc::new(Residual::new(inner))]
    };
    for (name, method) in presets() {
        for (kind, builder) in [("layer norm", network(&normed)), ("residual", network(&residual))] {
            let what = format!("{name}, {kind}");
            match is_exact(name) {
                true => refuses(&builder, &method, &data, &what),
                false => learns(&builder, &method, &data, &what),
            }
        }
    }
}

#[test]
fn every_preset_trains_or_refuses_every_output_loss() {
    let (real, classes, bits) = (teacher(Targets::Real), teacher(Targets::Classes), teacher(Targets::Bits));
    let base = || network(&split(Activation::Tanh));
    for (name, method) in presets() {
        for loss in builtin::losses() {
            let what = format!("{name}, {loss:?}");
            let data = match loss.outputs() {
                Outputs::Numbers => &real,
                Outputs::Classes => &classes,
                Outputs::Labels => &bits,
            };
            let serves = !is_exact(name) || format!("{loss:?}") == "SquaredError";
            let builder = base().output_loss(loss);
            match serves {
                true => learns(&builder, &method, data, &what),
                false => refuses(&builder, &method, data, &what),
            }
        }
    }
}

#[test]
fn every_preset_trains_or_refuses_every_hidden_loss() {
    let data = teacher(Targets::Real);
    let base = || network(&fused(Activation::Tanh));
    for (name, method) in presets() {
        for loss in builtin::losses().into_iter().filter(|loss| loss.serves_hidden()) {
            let what = format!("{name}, {loss:?}");
            let builder = base().hidden_loss(loss);
            match is_exact(name) {
                true => refuses(&builder, &method, &data, &what),
                false => learns(&builder, &method, &data, &what),
            }
        }
    }
}

/// Every setting of a preset, as its documentation tells it.
#[test]
fn every_preset_is_the_method_that_its_documentation_spells_out() {
    let squares = |ridge, proximal| Ridge { ridge, proximal, ..Ridge::default() };
    let sweep = |order, steps, rate| Sweeps::<f64>::new(order, steps, rate);
    let (stored, forward) = (Reads::Stored, Reads::Forward);
    let (anchored, persisted) = (Start::Anchored, Start::Persisted);
    let backward = Order::ReverseGaussSeidel;
    let after = |local_steps| Timing::AfterRelaxation { local_steps };
    let raise = Penalty::Raised(PenaltyIncrease::when(Stall::Residual));
    let top = Multipliers { highest_only: true, ..Multipliers::kept() };
    let exact = |proximal| Exact { steps: 1, proximal };
    let presets: [(Method<f64>, Method<f64>); 12] = [
        (Method::joint(0.3), Method::new(persisted, sweep(Order::Jacobi, 1, 0.3), stored).timing(Timing::EveryStep)),
        (Method::predictive_coding(4, 0.1), Method::new(anchored, sweep(Order::Jacobi, 4, 0.1), forward)),
        (Method::red_black(), Method::new(anchored, Sweeps::reaching(Order::RedBlack, 0.3).stable(1.8), forward)),
        (
            Method::incremental(4, 0.1),
            Method::new(anchored, sweep(Order::Jacobi, 4, 0.1), stored).timing(Timing::EveryStep),
        ),
        (Method::backprop_by_sweep(), Method::new(anchored, sweep(backward, 1, 1.0).per_penalty(), forward)),
        (
            Method::in_flight(3, 5),
            Method::new(anchored, sweep(backward, 1, 1.0).per_penalty(), forward)
                .timing(Timing::InFlight { stages: 3, micro_batch: 5 }),
        ),
        (
            Method::local_targets(3),
            Method::new(anchored, sweep(backward, 1, 1.0).per_penalty(), forward).timing(after(3)),
        ),
        (
            Method::alm(0.7),
            Method::new(anchored, sweep(backward, 1, 0.7).per_penalty(), forward).multipliers(Multipliers::kept()),
        ),
        (Method::error_based(4, 0.1), Method::new(anchored, ErrorSteps::new(4, 0.1), stored)),
        (
            Method::mac(2),
            Method::new(persisted, GaussNewton::new(1), stored).timing(after(2)).penalty(raise).finish(true),
        ),
        (
            Method::bcd(0.3),
            Method::new(persisted, exact(0.3), stored).parameter(squares(0.0, 0.3)).timing(Timing::EveryStep),
        ),
        (
            Method::admm(0.2),
            Method::new(persisted, exact(0.0), stored)
                .parameter(squares(0.2, 0.0))
                .timing(Timing::EveryStep)
                .multipliers(top),
        ),
    ];
    assert_eq!(presets.len() + 1, builtin::methods::<f64>().len(), "all but the default");
    for (preset, spelt_out) in presets {
        assert_eq!(format!("{preset:?}"), format!("{spelt_out:?}"));
    }
}

/// λmax in error coordinates grows with the weights: five steps of 0.2 undo the training in time, and do not where they stay below.
#[test]
fn error_steps_below_their_curvature_hold_for_a_hundred_epochs() {
    let (train, test) = data::digits::<f32>().unwrap().stratified_split(0.8, 0).unwrap();
    let after = |step: ErrorSteps<f32>| {
        let method = Method::error_based(5, 0.2).activation(step);
        let builder = (0..3).fold(DecoupledNetwork::builder(64), |net, _| net.dense(64, Activation::Relu));
        let builder = builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
        let mut net = builder.optimizer(Adam::new(3e-3)).method(method).build().unwrap();
        net.fit(&train, &FitConfig::new().epochs(100).batch_size(32)).unwrap();
        net.evaluate(&test).unwrap().score.unwrap()
    };
    let (fixed, stable) = (after(ErrorSteps::new(5, 0.2)), after(ErrorSteps::new(5, 0.2).stable(1.5)));
    assert!(fixed < 0.6 && stable > 0.85, "{fixed} and {stable}");
}
