//! Every way to train against a computation in NumPy that shares nothing with this crate but the equations:
//! `tests/numpy/rederive.py` says how, and writes `tests/numpy/numbers.txt`. Parameters, bank and report agree to 10⁻¹⁰ in `f64`.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock, Mutex};

use decoupled::data::Examples;
use decoupled::layer::Activation::{self, Gelu, Identity, Relu, Tanh};
use decoupled::loss::{BinaryCrossEntropy, Huber, RelativeSquaredError, SoftmaxCrossEntropy};
use decoupled::method::{Order, Reads, Start, Sweeps, Timing};
use decoupled::optimizer::{Adam, AdamW, RmsProp, Sgd};
use decoupled::{Dataset, DecoupledNetwork, EpochReport, FitConfig, Method, Metric, NetworkBuilder};

const ORDER: &str = include_str!("../numpy/order.txt");
const SEED: u64 = 7;
const EPOCHS: usize = 4;
const TOLERANCE: f64 = 1e-10;

type Builder = NetworkBuilder<f64>;

static NUMBERS: LazyLock<HashMap<&str, Vec<f64>>> = LazyLock::new(|| {
    let lines = include_str!("../numpy/numbers.txt").lines().filter(|line| !line.starts_with('#'));
    let parse = |values: &str| values.split_whitespace().map(|v| v.parse().unwrap()).collect();
    lines.map(|line| line.split_once(':').unwrap()).map(|(key, values)| (key, parse(values))).collect()
});

fn numbers(key: &str) -> &'static [f64] {
    NUMBERS.get(key).unwrap_or_else(|| panic!("numbers.txt lacks {key}"))
}

#[derive(Clone, Copy, PartialEq)]
enum Targets {
    Classes,
    Real,
    Odds,
}

fn data(set: &str, targets: Targets) -> Dataset<f64> {
    let labels: Vec<usize> = numbers(&format!("{set}/labels")).iter().map(|&label| label as usize).collect();
    let rows = |key, width| Examples::from_row_slice(numbers(&format!("{set}/{key}")), labels.len(), width).unwrap();
    match targets {
        Targets::Classes => Dataset::classification(rows("inputs", 5), &labels, 3),
        Targets::Real => Dataset::regression(rows("inputs", 5), rows("real", 3)),
        Targets::Odds => Dataset::regression(rows("inputs", 5), rows("odds", 3)),
    }
    .unwrap()
}

fn network([a, b, c]: [Activation; 3]) -> Builder {
    DecoupledNetwork::builder(5).dense(6, a).dense(3, b).dense(4, c).dense(3, Identity)
}

/// Runs one way to train on full batches and on mini-batches, in one fit and in two, and compares all it can see; no
/// method is backpropagation.
#[track_caller]
fn check(name: &str, targets: Targets, network: Builder, method: Option<Method<f64>>) {
    check_on("small", [None, Some(8)], name, targets, network, method);
}

#[track_caller]
fn check_on(
    set: &str,
    sizes: [Option<usize>; 2],
    name: &str,
    targets: Targets,
    network: Builder,
    method: Option<Method<f64>>,
) {
    let data = data(set, targets);
    let mut untrained = network.threads(2).build().unwrap();
    for t in 0..untrained.depth() {
        untrained.set_params(t, numbers(&format!("{set}/start/{t}"))).unwrap();
    }
    let mut differences = String::new();
    for (size, batch) in sizes.into_iter().zip(["full", "batches"]) {
        for fits in [&[EPOCHS][..], &[1, EPOCHS - 1]] {
            let mut net = untrained.clone();
            let mut epochs = Vec::new();
            for &count in fits {
                let mut config = FitConfig::new().epochs(count).seed(SEED).validation(&data);
                config = size.map_or(config.clone().full_batch(), |size| config.batch_size(size));
                if targets != Targets::Classes {
                    let distance = |y: &[f64], out: &[f64]| y.iter().zip(out).map(|(y, out)| (y - out).abs()).sum();
                    config = config.metric(Metric::new("distance", distance));
                }
                let report = match &method {
                    Some(method) => net.fit(&data, &config.method(method.clone())),
                    None => net.fit_backprop(&data, &config),
                };
                epochs.extend(report.unwrap().epochs);
            }
            let found = observed(&net, &epochs);
            let case = format!("{name}/{batch}/");
            let known = NUMBERS.keys().filter(|key| key.starts_with(&case)).count();
            assert_eq!(found.len(), known, "quantities of {case}");
            for (key, values, parts) in found {
                let difference = difference(&values, numbers(&format!("{case}{key}")), parts);
                if difference.is_nan() || difference > TOLERANCE {
                    writeln!(differences, "{case}{key} in fits of {fits:?} epochs: {difference:.1e}").unwrap();
                }
            }
        }
    }
    assert!(differences.is_empty(), "relative differences from NumPy:\n{differences}");
}

/// What a run left behind, as `(key, numbers, into how many parts they fall, each with a norm of its own)`.
fn observed(net: &DecoupledNetwork<f64>, epochs: &[EpochReport]) -> Vec<(String, Vec<f64>, usize)> {
    let mut found = Vec::new();
    for t in 0..net.depth() {
        found.push((format!("params/{t}"), net.params(t).to_vec(), 1));
    }
    if let Some(bank) = net.bank() {
        for t in 1..=bank.layers() {
            found.push((format!("bank/{t}"), bank.layer(t).iter().copied().collect(), 1));
        }
        let steps: Vec<f64> = bank.steps().iter().map(|&steps| steps as f64).collect();
        found.push(("steps".into(), steps, bank.examples()));
    }
    let mut report = |key: &str, values: &dyn Fn(&EpochReport) -> Vec<f64>| {
        let values: Vec<f64> = epochs.iter().flat_map(values).collect();
        let parts = values.len();
        found.push((key.into(), values, parts));
    };
    report("energy", &|e| vec![e.energy]);
    report("loss", &|e| vec![e.train_loss]);
    report("score", &|e| vec![e.train_score.unwrap()]);
    report("residuals", &|e| e.residuals.clone());
    report("updates", &|e| e.update_norms.clone());
    report("held_loss", &|e| vec![e.validation.unwrap().loss]);
    report("held_score", &|e| vec![e.validation.unwrap().score.unwrap()]);
    found
}

/// The largest ‖found − expected‖/‖expected‖ over equal parts; 0 must be met by 0.
fn difference(found: &[f64], expected: &[f64], parts: usize) -> f64 {
    assert_eq!(found.len(), expected.len());
    if expected.is_empty() {
        return 0.0;
    }
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let size = expected.len() / parts;
    let parts = found.chunks(size).zip(expected.chunks(size)).map(|(found, expected)| {
        let gap = norm(&mut found.iter().zip(expected).map(|(f, e)| f - e));
        if gap == 0.0 { 0.0 } else { gap / norm(&mut expected.iter().copied()) }
    });
    parts.fold(0.0, |worst, part| if part <= worst { worst } else { part })
}

/// A metric that writes down which example it is shown, whose target is its own number, sees the order of the visits.
#[test]
fn examples_are_visited_in_the_order_that_numpy_was_told() {
    let mut lines = String::new();
    for (examples, batch) in [(23, 8), (150, 100)] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let spy = Metric::new("order", move |target: &[f64], _: &[f64]| {
            log.lock().unwrap().push(target[0] as usize);
            0.0
        });
        let column = || Examples::from_row_slice(&(0..examples).map(|i| i as f64).collect::<Vec<_>>(), examples, 1);
        let data = Dataset::regression(column().unwrap(), column().unwrap()).unwrap();
        let mut net = DecoupledNetwork::builder(1).dense(1, Identity).threads(1).build().unwrap();
        let config = FitConfig::new().epochs(EPOCHS).batch_size(batch).seed(SEED).metric(spy);
        net.fit_backprop(&data, &config).unwrap();
        for epoch in seen.lock().unwrap().chunks(examples) {
            let numbers: Vec<String> = epoch.iter().map(usize::to_string).collect();
            writeln!(lines, "{}", numbers.join(" ")).unwrap();
        }
    }
    assert!(lines == ORDER, "put this into order.txt and run rederive.py:\n{lines}");
}

#[test]
fn a_joint_step_on_a_persisted_bank_is_numpys() {
    let network = network([Tanh; 3]).output_loss(SoftmaxCrossEntropy::new()).optimizer(Adam::new(0.02));
    check("joint", Targets::Classes, network, Some(Method::joint(0.1)));
}

#[test]
fn momentum_on_a_persisted_bank_lives_across_visits_as_numpys() {
    let network = network([Tanh, Relu, Gelu]).output_loss(SoftmaxCrossEntropy::new()).optimizer(Adam::new(0.02));
    let network = network.layer_penalty(1, 0.7).layer_penalty(2, 1.3).layer_penalty(3, 2.0);
    let method =
        Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Sgd::new(0.1).momentum(0.6)));
    check("joint_momentum", Targets::Classes, network, Some(method));
}

#[test]
fn adam_on_a_persisted_bank_counts_each_examples_own_steps_as_numpys() {
    let network = network([Gelu; 3]).hidden_loss(Huber::new(0.05)).penalty(1.5);
    let network = network.optimizer(RmsProp::new(0.01).decay(0.9));
    let method = Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Adam::new(0.05)));
    check("joint_adam", Targets::Real, network, Some(method));
}

#[test]
fn predictive_coding_with_forward_reads_is_numpys() {
    let network = network([Relu; 3]).output_loss(SoftmaxCrossEntropy::new().label_smoothing(0.1)).penalty(1.7);
    let network = network.optimizer(Sgd::new(0.1).momentum(0.9).nesterov());
    check("predictive_coding", Targets::Classes, network, Some(Method::predictive_coding(4, 0.2)));
}

#[test]
fn predictive_coding_with_stored_reads_is_numpys() {
    let network = network([Tanh; 3]).hidden_loss(Huber::new(0.1)).penalty(2.0).layer_penalty(2, 0.5);
    let network = network.optimizer(AdamW::new(0.02).weight_decay(0.1));
    let method = Method::predictive_coding(3, 0.3).reads(Reads::Stored);
    check("stored_reads", Targets::Real, network, Some(method));
}

#[test]
fn reverse_gauss_seidel_sweeps_are_numpys() {
    let network = network([Gelu; 3]).output_loss(SoftmaxCrossEntropy::new());
    let network = network.hidden_loss(RelativeSquaredError::new()).penalty(1.2);
    let network = network.optimizer(RmsProp::new(0.005).decay(0.95));
    let method = Method::predictive_coding(3, 0.05).activation(Sweeps::new(Order::ReverseGaussSeidel, 3, 0.05));
    check("reverse", Targets::Classes, network, Some(method));
}

#[test]
fn local_steps_from_forward_reads_are_numpys() {
    let network = network([Tanh, Relu, Gelu]).output_loss(BinaryCrossEntropy).penalty(0.8);
    let network = network.optimizer(Adam::new(0.01));
    let method = Method::predictive_coding(3, 0.2).timing(Timing::AfterRelaxation { local_steps: 2 });
    check("local_steps", Targets::Odds, network, Some(method));
}

#[test]
fn local_steps_from_stored_reads_with_momentum_and_a_rule_for_each_layer_are_numpys() {
    let network = network([Tanh; 3]).output_loss(SoftmaxCrossEntropy::new());
    let network = network.hidden_loss(RelativeSquaredError::new()).layer_penalty(1, 0.6).layer_penalty(3, 1.4);
    let network = network.optimizer(AdamW::new(0.02).weight_decay(0.2));
    let network = network.layer_optimizer(1, RmsProp::new(0.01).decay(0.9));
    let network = network.layer_optimizer(2, Sgd::new(0.1).momentum(0.5)).layer_optimizer(3, Adam::new(0.03));
    let method = Method::predictive_coding(3, 0.05)
        .activation(Sweeps::new(Order::ReverseGaussSeidel, 3, 0.05).optimizer(Sgd::new(0.05).momentum(0.5)))
        .timing(Timing::AfterRelaxation { local_steps: 2 })
        .reads(Reads::Stored);
    check("local_steps_stored", Targets::Classes, network, Some(method));
}

#[test]
fn incremental_predictive_coding_is_numpys() {
    let network = network([Gelu; 3]).output_loss(BinaryCrossEntropy).hidden_loss(Huber::new(0.05));
    let network = network.layer_penalty(1, 0.5).layer_penalty(3, 1.5).optimizer(Adam::new(0.01));
    check("incremental", Targets::Odds, network, Some(Method::incremental(3, 0.2)));
}

#[test]
fn several_steps_a_visit_on_a_persisted_bank_with_forward_reads_are_numpys() {
    let network = network([Relu; 3]).penalty(1.3).optimizer(Sgd::new(0.02).momentum(0.8).nesterov());
    let sweeps = Sweeps::new(Order::Jacobi, 2, 0.1).optimizer(Sgd::new(0.1).momentum(0.4));
    let method = Method::predictive_coding(2, 0.1).activation(sweeps).start(Start::Persisted);
    check("persisted", Targets::Real, network, Some(method));
}

#[test]
fn backprop_by_sweep_is_numpys() {
    let network = network([Tanh, Relu, Gelu]).output_loss(SoftmaxCrossEntropy::new().label_smoothing(0.2));
    let network = network.penalty(2.0).optimizer(Adam::new(0.02));
    check("sweep", Targets::Classes, network, Some(Method::backprop_by_sweep()));
}

#[test]
fn backpropagation_is_numpys() {
    let network = network([Tanh, Relu, Gelu]).output_loss(SoftmaxCrossEntropy::new().label_smoothing(0.2));
    check("backprop", Targets::Classes, network.optimizer(Adam::new(0.02)), None);
}

#[test]
fn backpropagation_with_nesterovs_rule_is_numpys() {
    let network = network([Tanh; 3]).output_loss(BinaryCrossEntropy);
    check("backprop_nesterov", Targets::Odds, network.optimizer(Sgd::new(0.1).momentum(0.9).nesterov()), None);
}

/// So many examples that threads share a batch.
#[test]
fn large_batches_are_numpys() {
    let network = DecoupledNetwork::builder(5).dense(3, Tanh).dense(2, Relu).dense(2, Gelu).dense(3, Identity);
    let network = network.output_loss(SoftmaxCrossEntropy::new()).optimizer(Adam::new(0.02));
    check_on("large", [None, Some(100)], "large", Targets::Classes, network, Some(Method::joint(0.1)));
}
