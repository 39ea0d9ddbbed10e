//! What `fit` promises beyond its gradients.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use decoupled::data::{self, Examples};
use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init, Residual};
use decoupled::loss::{SoftmaxCrossEntropy, SquaredError};
use decoupled::method::{Order, Penalty, PenaltyIncrease, Reads, Stall, Start, Sweeps, Timing};
use decoupled::optimizer::{Adam, Sgd, Step};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, FitConfig, FitReport, Layer, Loss, MatRef, Method, Metric, NetworkBuilder,
    Optimizer, StopReason, Warning,
};

use crate::builtin;
use crate::common::Still;

type Net = DecoupledNetwork<f64>;

/// Keeps a copy of every gradient it is given, and the parameters where they are.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<Vec<f64>>>>);

impl Optimizer<f64> for Recorder {
    fn update(&self, _: Step<f64>, _: &mut [f64], grad: &mut [f64], _: &mut [f64]) {
        self.0.lock().unwrap().push(grad.to_vec());
    }
}

fn draw(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    (0..n).map(|_| 2.0 * rng.random::<f64>() - 1.0).collect()
}

/// 150 examples of 3 features, labelled by a small random network.
fn teacher(seed: u64) -> Dataset<f64> {
    let inputs = draw(150 * 3, seed);
    let net = Net::builder(3).dense(5, Activation::Tanh).dense(2, Activation::Identity).seed(99).build().unwrap();
    let targets = net.predict(MatRef::new(&inputs, 3, 150)).unwrap();
    let inputs = Examples::from_row_slice(&inputs, 150, 3).unwrap();
    Dataset::regression(inputs, Examples::from_column_matrix(targets).unwrap()).unwrap()
}

fn builder() -> NetworkBuilder<f64> {
    let builder = Net::builder(3).dense(7, Activation::Tanh).dense(6, Activation::Gelu);
    builder.dense(2, Activation::Identity).threads(2).optimizer(Adam::new(0.005))
}

fn config<'a>(epochs: usize) -> FitConfig<'a, f64> {
    FitConfig::new().epochs(epochs).batch_size(40)
}

fn methods() -> [Method<f64>; 5] {
    let momentum =
        Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Sgd::new(0.05).momentum(0.5)));
    [Method::default(), Method::joint(0.1), Method::incremental(3, 0.1), Method::backprop_by_sweep(), momentum]
}

fn params(net: &Net) -> Vec<Vec<f64>> {
    (0..net.depth()).map(|t| net.params(t).to_vec()).collect()
}

fn without_time(epochs: &[EpochReport]) -> Vec<EpochReport> {
    epochs.iter().map(|epoch| EpochReport { time: Default::default(), ..epoch.clone() }).collect()
}

#[test]
fn two_fits_of_two_epochs_are_one_fit_of_four() {
    let data = teacher(1);
    let raise = PenaltyIncrease { stall: Stall::ForwardLoss, factor: 3.0, progress: 0.9, most: 100.0 };
    let raised = Method::joint(0.1).penalty(Penalty::Raised(raise));
    for method in methods().into_iter().chain([raised]) {
        let mut once = builder().build().unwrap();
        let mut twice = once.clone();
        let whole = once.fit(&data, &config(4).method(method.clone())).unwrap();
        let halves = [(); 2].map(|()| twice.fit(&data, &config(2).method(method.clone())).unwrap().epochs);
        assert_eq!(params(&once), params(&twice), "{method:?}");
        assert_eq!(once.bank(), twice.bank(), "{method:?}");
        assert_eq!(without_time(&whole.epochs), without_time(&halves.concat()), "{method:?}");
        assert_eq!((once.epochs(), twice.epochs()), (4, 4));
    }
    let mut once = builder().build().unwrap();
    let mut twice = once.clone();
    once.fit_backprop(&data, &config(4)).unwrap();
    twice.fit_backprop(&data, &config(2)).unwrap();
    twice.fit_backprop(&data, &config(2)).unwrap();
    assert_eq!(params(&once), params(&twice));
}

#[test]
fn stored_activations_belong_to_their_example_whatever_the_order_and_the_batches() {
    let data = teacher(1);
    // Without the default method, whose step size depends on the batch.
    let others = [
        Method::predictive_coding(4, 0.1),
        Method::joint(0.1).activation(Sweeps::new(Order::ReverseGaussSeidel, 1, 0.1)),
    ];
    for method in methods().into_iter().skip(1).chain(others) {
        let banks = [(150, 0), (40, 0), (40, 1), (7, 2)].map(|(batch, seed)| {
            let mut net = builder().optimizer(Still).build().unwrap();
            let config = FitConfig::new().epochs(3).batch_size(batch).seed(seed).method(method.clone());
            net.fit(&data, &config).unwrap();
            net.bank().unwrap().clone()
        });
        // The same example alone, in a data set of its own.
        for example in [0, 17, 149] {
            let mut net = builder().optimizer(Still).build().unwrap();
            net.fit(&data.select(&[example]).unwrap(), &config(3).method(method.clone())).unwrap();
            let alone = net.bank().unwrap().example(0).to_vec();
            for bank in &banks {
                // A product of one column sums in another order than that of many.
                let distance: f64 = alone.iter().zip(bank.example(example)).map(|(a, b)| (a - b).abs()).sum();
                assert!(distance < 1e-12, "example {example} is off by {distance:e}, {method:?}");
            }
        }
        for bank in &banks {
            assert_eq!(bank.steps(), banks[0].steps());
            assert_eq!((bank.examples(), bank.layers(), bank.rows()), (150, 2, 13));
        }
    }
}

#[test]
fn the_bank_counts_the_activation_steps_of_every_example() {
    let data = teacher(1);
    for (method, steps) in [
        (Method::joint(0.1), 3),
        (Method::predictive_coding(5, 0.1), 15),
        (Method::predictive_coding(5, 0.1).start(Start::Persisted), 15),
        (Method::incremental(4, 0.1), 12),
    ] {
        let mut net = builder().build().unwrap();
        net.fit(&data, &config(3).method(method)).unwrap();
        assert_eq!(net.bank().unwrap().steps(), [steps; 150]);
    }
}

#[test]
fn persisted_activations_go_on_and_anchored_ones_start_anew() {
    // With still parameters K steps a visit over E epochs are K·E steps from the forward pass if they persist, K if not.
    let data = teacher(1);
    let bank = |start, steps, epochs| {
        let mut net = builder().optimizer(Still).build().unwrap();
        let method = Method::predictive_coding(steps, 0.1).start(start);
        net.fit(&data, &config(epochs).method(method)).unwrap();
        let bank = net.bank().unwrap();
        (0..150).flat_map(|i| bank.example(i).to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(bank(Start::Persisted, 2, 3), bank(Start::Persisted, 6, 1));
    assert_eq!(bank(Start::Persisted, 6, 1), bank(Start::Anchored, 6, 1));
    assert_eq!(bank(Start::Anchored, 2, 3), bank(Start::Anchored, 2, 1));
    assert_ne!(bank(Start::Persisted, 2, 3), bank(Start::Anchored, 2, 3));
}

#[test]
fn a_clone_is_independent() {
    let data = teacher(1);
    let mut net = builder().build().unwrap();
    net.fit(&data, &config(1).method(Method::joint(0.1))).unwrap();
    let (before, bank) = (params(&net), net.bank().cloned());
    let mut copy = net.clone();
    copy.fit(&data, &config(2).method(Method::joint(0.1))).unwrap();
    assert_eq!((params(&net), net.bank().cloned(), net.epochs()), (before, bank, 1));
    net.fit(&data, &config(2).method(Method::joint(0.1))).unwrap();
    assert_eq!((params(&net), net.bank()), (params(&copy), copy.bank()));
}

#[test]
fn other_data_get_a_new_bank_and_the_same_data_keep_theirs() {
    let (first, second) = (teacher(1), teacher(2));
    let method = || Method::joint(0.1);
    let mut net = builder().optimizer(Still).build().unwrap();
    let fresh = {
        let mut net = net.clone();
        net.fit(&second, &config(1).method(method())).unwrap();
        net.bank().cloned().unwrap()
    };
    assert!(net.bank().is_none());
    net.fit(&first, &config(2).method(method())).unwrap();
    assert_eq!(net.bank().unwrap().steps(), [2; 150]);
    net.fit(&second, &config(1).method(method())).unwrap();
    let bank = net.bank().unwrap();
    assert!((0..150).all(|i| bank.example(i) == fresh.example(i)));
    assert_eq!(bank.steps(), fresh.steps());
    let equal = Dataset::clone(&second);
    net.fit(&equal, &config(1).method(method())).unwrap();
    assert_eq!(net.bank().unwrap().steps(), [2; 150]);
}

#[test]
fn backpropagation_leaves_the_bank_alone() {
    let data = teacher(1);
    let mut net = builder().build().unwrap();
    net.fit_backprop(&data, &config(1)).unwrap();
    assert!(net.bank().is_none());
    net.fit(&data, &config(1).method(Method::joint(0.1))).unwrap();
    let bank = net.bank().cloned();
    let report = net.fit_backprop(&data, &config(1)).unwrap();
    assert_eq!(net.bank().cloned(), bank);
    let epoch = report.last().unwrap();
    assert_eq!((epoch.epoch, epoch.energy, epoch.residuals.len()), (3, epoch.train_loss, 0));
}

#[test]
fn an_observer_sees_every_epoch_and_can_stop() {
    let data = teacher(1);
    for backprop in [false, true] {
        let mut net = builder().build().unwrap();
        let mut seen = Vec::new();
        let mut observe = |epoch: &EpochReport| {
            seen.push(epoch.clone());
            if epoch.epoch == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let report = match backprop {
            true => net.fit_backprop_observed(&data, &config(9), &mut [&mut observe]),
            false => net.fit_observed(&data, &config(9), &mut [&mut observe]),
        };
        let report = report.unwrap();
        assert_eq!((report.stop, net.epochs()), (StopReason::Observer, 3));
        assert_eq!(report.epochs, seen);
        assert_eq!(seen.iter().map(|e| e.epoch).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(report.time(), seen.iter().map(|e| e.time).sum());
        assert_eq!(net.fit(&data, &config(1)).unwrap().stop, StopReason::Epochs);
    }
}

#[test]
fn reports_say_what_evaluation_says() {
    let (data, held_out) = (teacher(1), teacher(2));
    let distance = Metric::new("distance", |z: &[f64], y: &[f64]| (z[0] - y[0]).hypot(z[1] - y[1]));
    let mut net = builder().optimizer(Still).build().unwrap();
    let scores = net.evaluate_with(&data, Some(&distance)).unwrap();

    // The mean of the loss over examples, from the public prediction.
    let outputs = net.predict(data.inputs()).unwrap();
    let value: f64 = SquaredError.value(data.targets(), MatRef::new(outputs.as_slice(), 2, 150));
    assert!((scores.loss - value / 150.0).abs() < 1e-14);
    let columns = data.targets().columns().zip(outputs.column_iter());
    let mean = columns.map(|(z, y)| (z[0] - y[0]).hypot(z[1] - y[1])).sum::<f64>() / 150.0;
    assert!((scores.score.unwrap() - mean).abs() < 1e-14);

    let config = config(1).validation(&held_out).metric(distance.clone());
    for report in [net.fit(&data, &config), net.fit_backprop(&data, &config)] {
        let epoch = report.unwrap().epochs.remove(0);
        assert!((epoch.train_loss - scores.loss).abs() < 1e-13 && scores.loss > 0.01);
        assert!((epoch.train_score.unwrap() - scores.score.unwrap()).abs() < 1e-13);
        assert_eq!(epoch.validation, Some(net.evaluate_with(&held_out, Some(&distance)).unwrap()));
        assert_eq!(epoch.update_norms, [0.0; 3]);
    }

    let mut net = builder().build().unwrap();
    let before = params(&net);
    let epoch = net.fit(&data, &config).unwrap().epochs.remove(0);
    assert_eq!(epoch.validation, Some(net.evaluate_with(&held_out, Some(&distance)).unwrap()));
    for ((norm, before), after) in epoch.update_norms.iter().zip(before).zip(params(&net)) {
        let expected = before.iter().zip(after).map(|(b, a)| (a - b) * (a - b)).sum::<f64>().sqrt();
        assert!((norm - expected).abs() < 1e-12 * expected && expected > 0.0);
    }
}

#[test]
fn accuracy_is_the_share_of_the_largest_outputs_that_name_the_class() {
    let inputs = Examples::from_rows(&[[3.0, 1.0], [1.0, 2.0], [0.0, 5.0], [4.0, 3.0]]).unwrap();
    let data = Dataset::classification(inputs, &[0, 1, 0, 1], 2).unwrap();
    let mut net = Net::builder(2).dense(2, Activation::Identity).build().unwrap();
    net.set_params(0, &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
    assert_eq!(net.evaluate(&data).unwrap().score, Some(0.5));
}

#[test]
fn the_reported_energy_and_residuals_are_those_of_the_bank_that_is_left() {
    // Stored reads measure after the activation steps; with still parameters the bank can be measured again afterwards.
    let data = teacher(1);
    for method in [
        Method::predictive_coding(4, 0.1).reads(Reads::Stored),
        Method::predictive_coding(3, 0.1).reads(Reads::Stored).start(Start::Persisted),
    ] {
        let mut net = builder().optimizer(Still).layer_penalty(1, 0.3).layer_penalty(2, 4.0).build().unwrap();
        let epoch = net.fit(&data, &config(2).method(method)).unwrap().epochs.remove(1);
        let (objective, bank) = (net.objective(), net.bank().unwrap());
        let mut block = objective.block(150);
        block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
        block.stored_mut(3).copy_from_slice(data.targets().as_slice());
        (1..=2).for_each(|t| block.stored_mut(t).copy_from_slice(bank.layer(t).clone_owned().as_slice()));
        let energy = objective.energy(&mut block).unwrap() / 150.0;
        assert!((epoch.energy - energy).abs() < 1e-12 * energy, "{} instead of {energy}", epoch.energy);
        for (t, penalty) in [(1, 0.3), (2, 4.0)] {
            let squares = 2.0 * objective.term(&mut block, t).unwrap() / penalty;
            let expected = (squares / bank.layer(t).norm_squared()).sqrt();
            assert!((epoch.residuals[t - 1] - expected).abs() < 1e-12 && expected > 1e-5);
        }
    }
}

/// One joint gradient step on still parameters, and the gradients that the layers were given.
fn recorded(build: impl Fn(NetworkBuilder<f64>) -> NetworkBuilder<f64>, method: Method<f64>) -> (Net, Vec<Vec<f64>>) {
    let recorders: [Recorder; 3] = Default::default();
    let builder = (0..3).fold(build(builder()), |builder, t| builder.layer_optimizer(t, recorders[t].clone()));
    let mut net = builder.build().unwrap();
    net.fit(&teacher(1), &FitConfig::new().epochs(1).full_batch().method(method)).unwrap();
    let last = recorders.map(|recorder| recorder.0.lock().unwrap().last().unwrap().clone());
    (net, last.to_vec())
}

#[test]
fn the_penalty_of_a_layer_weighs_its_residual_alone() {
    // One Jacobi step from the forward pass moves z_2 by −η·δ_2 whatever the penalties; the gradient of θ_1 is then that of
    // ½μ_2‖z_2 − ẑ_2‖², and z_1 has not moved, so θ_0 has none.
    let method = || Method::predictive_coding(1, 0.1);
    let (one, base) = recorded(|b| b, method());
    let (both, weighed) = recorded(|b| b.layer_penalty(2, 5.0).layer_penalty(1, 0.2), method());
    assert_eq!(one.bank().unwrap().layer(2), both.bank().unwrap().layer(2));
    assert!(base[0].iter().chain(&weighed[0]).all(|&g| g == 0.0));
    for (w, b) in weighed[1].iter().zip(&base[1]) {
        assert!((w - 5.0 * b).abs() <= 1e-13 * (5.0 * b).abs().max(1e-3), "{w} is not 5·{b}");
    }
    assert_eq!(weighed[2], base[2]);
    // After a reverse sweep z_1 has moved as well, by a step without μ_1: another μ_1 changes the gradient of θ_0 alone.
    let sweep = || Method::predictive_coding(1, 0.1).activation(Sweeps::new(Order::ReverseGaussSeidel, 1, 0.1));
    let (_, base) = recorded(|b| b, sweep());
    let (_, weighed) = recorded(|b| b.layer_penalty(1, 3.0), sweep());
    assert!(base[0].iter().any(|&g| g.abs() > 1e-5));
    for (w, b) in weighed[0].iter().zip(&base[0]) {
        assert!((w - 3.0 * b).abs() <= 1e-12 * (3.0 * b).abs().max(1e-3), "{w} is not 3·{b}");
    }
    assert_eq!(weighed[1..], base[1..]);
}

#[test]
fn each_layer_follows_its_own_optimizer() {
    let data = teacher(1);
    for backprop in [false, true] {
        let mut net = builder().layer_optimizer(1, Still).layer_optimizer(2, Sgd::new(0.3)).build().unwrap();
        let mut twin = builder().layer_optimizer(1, Still).layer_optimizer(2, Sgd::new(0.15)).build().unwrap();
        let before = params(&net);
        let config = FitConfig::new().epochs(1).full_batch().method(Method::red_black());
        for net in [&mut net, &mut twin] {
            if backprop { net.fit_backprop(&data, &config) } else { net.fit(&data, &config) }.unwrap();
        }
        assert_ne!(net.params(0), before[0]);
        assert_eq!(net.params(1), before[1]);
        assert_eq!(net.params(0), twin.params(0));
        for ((&start, &full), &half) in before[2].iter().zip(net.params(2)).zip(twin.params(2)) {
            assert!(((full - start) - 2.0 * (half - start)).abs() < 1e-14 && full != start);
        }
    }
}

/// A rule that is given every layer whole.
#[derive(Debug)]
struct Whole<O>(O);

impl<O: Optimizer<f64>> Optimizer<f64> for Whole<O> {
    fn slots(&self) -> usize {
        self.0.slots()
    }
    fn update(&self, step: Step<f64>, params: &mut [f64], grad: &mut [f64], state: &mut [f64]) {
        self.0.update(step, params, grad, state);
    }
}

/// Layers of three pieces and of two, from batches of several blocks.
#[test]
fn a_layer_that_is_moved_piece_by_piece_ends_where_it_would_be_moved_whole() {
    let trained = |builder: NetworkBuilder<f64>| {
        let mut net = builder.dense(2100, Activation::Tanh).dense(2, Activation::Identity).threads(2).build().unwrap();
        net.fit(&teacher(9), &FitConfig::new().epochs(3).full_batch()).unwrap();
        params(&net)
    };
    let (momentum, adam) = (Sgd::new(0.01).momentum(0.5), Adam::new(0.01));
    for (pieces, whole) in [
        (Net::builder(3).optimizer(momentum), Net::builder(3).optimizer(Whole(momentum))),
        (Net::builder(3).optimizer(adam), Net::builder(3).optimizer(Whole(adam))),
    ] {
        assert!(trained(pieces) == trained(whole));
    }
}

#[test]
fn local_steps_follow_the_same_targets_from_the_parameters_they_have_reached() {
    // A linear net with forward reads: θ_1's target z_2 and the inputs stand still, so k steps of plain descent on
    // ½‖z_T − W a − b‖²/n are the k-th power of one.
    let data = teacher(1);
    let build = || {
        let builder = Net::builder(3).dense(4, Activation::Identity).dense(2, Activation::Identity).threads(1);
        builder.optimizer(Sgd::new(0.2)).layer_optimizer(0, Still).build().unwrap()
    };
    let train = |local_steps| {
        let mut net = build();
        let method = Method::predictive_coding(1, 0.1).timing(Timing::AfterRelaxation { local_steps });
        net.fit(&data, &FitConfig::new().epochs(1).full_batch().method(method)).unwrap();
        net.params(1).to_vec()
    };
    let net = build();
    let hidden = Net::builder(3).dense(4, Activation::Identity).build().map(|mut lower| {
        lower.set_params(0, net.params(0)).unwrap();
        lower.predict(data.inputs()).unwrap()
    });
    let hidden = hidden.unwrap().insert_row(4, 1.0);
    let targets = data.targets().view().clone_owned();
    // [W b] as a 2 × 5 matrix, column after column: the layer's own order.
    let mut theta = decoupled::nalgebra::DMatrix::from_column_slice(2, 5, net.params(1));
    for step in 1..=4 {
        theta -= (&theta * &hidden - &targets) * hidden.transpose() * (0.2 / 150.0);
        for (found, expected) in train(step).iter().zip(theta.iter()) {
            assert!((found - expected).abs() < 1e-13, "{found} instead of {expected} after {step} steps");
        }
    }
}

#[test]
fn the_first_layer_steps_again_along_the_gradient_that_is_reused() {
    /// Notes every gradient, and leaves none of it, as an optimizer may.
    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<(u64, Vec<f64>)>>);
    impl Optimizer<f64> for Notes {
        fn is_elementwise(&self) -> bool {
            false
        }
        fn update(&self, step: Step<f64>, params: &mut [f64], grad: &mut [f64], _: &mut [f64]) {
            self.0.lock().unwrap().push((step.number, grad.to_vec()));
            params.iter_mut().zip(&*grad).for_each(|(p, g)| *p -= 0.5 * g);
            grad.fill(7.0);
        }
    }
    // 150 examples: several lanes, whose sums are added once.
    let data = teacher(1);
    let train = |method: Method<f64>| {
        let notes = [0, 1].map(|_| Arc::new(Notes::default()));
        let builder = Net::builder(3).dense(4, Activation::Tanh).dense(2, Activation::Identity).seed(3);
        let builder = builder.layer_optimizer(0, notes[0].clone()).layer_optimizer(1, notes[1].clone());
        let mut net = builder.build().unwrap();
        let before = net.params(0).to_vec();
        net.fit(&data, &FitConfig::new().epochs(2).batch_size(100).method(method)).unwrap();
        let notes = notes.map(|notes| notes.0.lock().unwrap().clone());
        (notes, before, params(&net))
    };
    let anew = train(Method::local_targets(3)).0;
    let ([first, second], mut expected, found) =
        train(Method::local_targets(3).timing(Timing::FirstGradientOnce { local_steps: 3 }));
    let numbers = |notes: &[(u64, Vec<f64>)]| notes.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    // Two batches an epoch, each with three steps of every layer.
    assert_eq!([numbers(&first), numbers(&second)], [(1..=12).collect::<Vec<_>>(), (1..=12).collect()]);
    for visit in first.chunks(3) {
        assert!(visit[0].1 == visit[1].1 && visit[0].1 == visit[2].1);
        visit.iter().for_each(|(_, grad)| expected.iter_mut().zip(grad).for_each(|(p, g)| *p -= 0.5 * g));
    }
    assert_eq!(found[0], expected);
    // The first visit starts from the same parameters: the first gradient is the one that is computed anyway, and the layer above, whose
    // input and target stand still, takes the same three steps.
    assert_eq!((&first[0], &second[..3]), (&anew[0][0], &anew[1][..3]));
    assert_ne!(first[1], anew[0][1]);
    // An only layer has no layer above it that would gain.
    let alone = |method: Method<f64>| {
        let mut net = Net::builder(3).dense(2, Activation::Tanh).seed(3).build().unwrap();
        net.fit(&data, &config(2).method(method)).unwrap();
        params(&net)
    };
    assert_eq!(alone(Method::default()), alone(Method::local_targets(2)));
}

#[test]
fn the_scale_cheat_is_warned_of_and_a_healthy_training_is_not() {
    // An output layer that grows by itself, and a bank that costs next to nothing to move: it reaches its targets ever
    // better while the forward loss rises.
    #[derive(Debug)]
    struct Grow;
    impl Optimizer<f64> for Grow {
        fn update(&self, _: Step<f64>, params: &mut [f64], _: &mut [f64], _: &mut [f64]) {
            params.iter_mut().for_each(|p| *p *= 1.04);
        }
    }
    let data = teacher(1);
    let mut net = builder().penalty(1e-3).optimizer(Still).layer_optimizer(2, Grow).build().unwrap();
    let method = Method::predictive_coding(10, 0.05).start(Start::Persisted).reads(Reads::Stored);
    let report = net.fit(&data, &config(6).method(method)).unwrap();
    let Some(Warning::EnergyAndLossPart { epoch, energy, train_loss }) = report.warnings.first().cloned() else {
        panic!("no warning: {:?}", report.epochs);
    };
    let (now, so_far) = (&report.epochs[epoch - 1], &report.epochs[..epoch]);
    let best = so_far.iter().min_by(|a, b| a.train_loss.total_cmp(&b.train_loss)).unwrap();
    assert_eq!((energy, train_loss), ((now.energy, best.energy), (now.train_loss, best.train_loss)));
    assert!(so_far.iter().all(|epoch| now.energy <= epoch.energy));
    assert!(energy.0 < 0.9 * energy.1 && train_loss.0 > 1.5 * train_loss.1);

    for method in methods() {
        let report = builder().build().unwrap().fit(&data, &config(20).method(method)).unwrap();
        assert_eq!(report.warnings, []);
    }
}

#[test]
fn activation_steps_that_overshoot_are_warned_of_once() {
    let data = teacher(1);
    // The parameters stand still, which is told as well.
    let told = |mut report: FitReport| {
        report.warnings.retain(|warning| !matches!(warning, Warning::StoodStill { .. }));
        report.warnings
    };
    // Rates well above 2/λmax: one example's energy rises instead of falling.
    for method in [Method::predictive_coding(6, 3.0), Method::joint(3.0)] {
        let mut net = builder().optimizer(Still).build().unwrap();
        let warnings = told(net.fit(&data, &config(8).method(method.clone())).unwrap());
        assert!(matches!(warnings[..], [Warning::Overshoot { .. }]), "{warnings:?} {method:?}");
        assert!(warnings[0].to_string().contains("Sweeps::stable"));
    }
    let method = Method::predictive_coding(6, 3.0).activation(Sweeps::new(Order::Jacobi, 6, 3.0).stable(1.0));
    let report = builder().optimizer(Still).build().unwrap().fit(&data, &config(8).method(method)).unwrap();
    assert_eq!(told(report), []);
}

#[test]
fn a_signal_that_fades_on_its_way_down_is_warned_of() {
    let data = teacher(1);
    let deep = |layers: usize| {
        // With the initialiser named, the weights stay as drawn.
        let hidden = |net: NetworkBuilder<f64>| net.dense_with(6, Activation::Tanh, Init::glorot_uniform());
        let builder = (0..layers).fold(Net::builder(3), |net, _| hidden(net));
        builder.dense(2, Activation::Identity).build().unwrap()
    };
    let report = deep(12).fit(&data, &config(1).method(Method::red_black())).unwrap();
    let residuals = &report.epochs[0].residuals;
    let largest = residuals.iter().copied().fold(0.0, f64::max);
    let faded = residuals.iter().filter(|&&r| r < 1e-6 * largest).count();
    assert!(faded > 0);
    assert_eq!(report.warnings, [Warning::SignalFades { layers: faded }]);
    assert_eq!(deep(2).fit(&data, &config(1)).unwrap().warnings, []);
}

#[test]
fn a_network_of_one_layer_trains_as_by_backpropagation() {
    let data = teacher(1);
    for method in [Method::red_black(), Method::joint(0.1), Method::backprop_by_sweep()] {
        let mut net = Net::builder(3).dense(2, Activation::Tanh).optimizer(Sgd::new(0.1)).build().unwrap();
        let mut twin = net.clone();
        net.fit(&data, &config(2).method(method.clone())).unwrap();
        twin.fit_backprop(&data, &config(2)).unwrap();
        assert_eq!(net.bank().unwrap().rows(), 0);
        for (a, b) in params(&net).concat().iter().zip(&params(&twin).concat()) {
            assert!((a - b).abs() < 1e-13, "{a} instead of {b}, {method:?}");
        }
    }
}

#[test]
fn the_literal_objective_learns_a_small_teacher() {
    let data = teacher(1);
    let mut net = builder().build().unwrap();
    let before = net.evaluate(&data).unwrap().loss;
    net.fit(&data, &config(300).method(Method::joint(0.3))).unwrap();
    let after = net.evaluate(&data).unwrap().loss;
    assert!(after < 0.1 * before, "{before} before, {after} after");
}

#[test]
fn every_method_learns_the_digits() {
    let (train, test) = data::digits::<f32>().unwrap().stratified_split(0.8, 1).unwrap();
    for (method, epochs) in [
        (Method::joint(0.3), 30),
        (Method::default(), 8),
        (Method::incremental(3, 0.1), 8),
        (Method::backprop_by_sweep(), 8),
    ] {
        let builder = DecoupledNetwork::<f32>::builder(64).dense(32, Activation::Relu).dense(10, Activation::Identity);
        let builder = builder.output_loss(SoftmaxCrossEntropy::new()).optimizer(Adam::new(0.003));
        let mut net = builder.threads(2).build().unwrap();
        net.fit(&train, &FitConfig::new().epochs(epochs).batch_size(64).method(method.clone())).unwrap();
        let accuracy = net.evaluate(&test).unwrap().score.unwrap();
        assert!(accuracy > 0.85, "{accuracy} with {method:?}");
    }
}

#[test]
fn a_jump_is_warned_of_because_nothing_below_it_moves_and_straight_through_mends_it() {
    let data = teacher(1);
    for activation in builtin::jumping().chain([Activation::Quantize(1)]) {
        let net = |straight: bool| {
            let jump = Elementwise::new(6, activation);
            let jump = if straight { jump.straight_through() } else { jump };
            let unit = Chain::new().then(Dense::new(7, 6)).then(jump);
            builder_of(unit).optimizer(Sgd::new(0.05)).build().unwrap()
        };
        for backprop in [true, false] {
            let fit = |net: &mut Net| match backprop {
                true => net.fit_backprop(&data, &config(3)).unwrap(),
                false => net.fit(&data, &config(3).method(Method::backprop_by_sweep())).unwrap(),
            };
            let mut dead = net(false);
            let start = params(&dead);
            let report = fit(&mut dead);
            assert_eq!(report.warnings, [Warning::NoDerivative { layers: vec![1] }]);
            assert_eq!(params(&dead)[..2], start[..2], "{activation:?}");
            assert_ne!(params(&dead)[2], start[2]);

            let mut alive = net(true);
            assert_eq!(params(&alive), start);
            assert_eq!(fit(&mut alive).warnings, []);
            params(&alive).iter().zip(&start).for_each(|(now, before)| assert_ne!(now, before, "{activation:?}"));
        }
    }
}

/// Three inputs, 7 units of tanh, the given 6, and two outputs.
fn builder_of(unit: impl Layer<f64> + 'static) -> NetworkBuilder<f64> {
    Net::builder(3).dense(7, Activation::Tanh).layer(unit).dense(2, Activation::Identity).threads(1)
}

#[test]
fn jumps_are_seen_wherever_they_hide_and_below_all_parameters_they_do_no_harm() {
    let data = teacher(1);
    let warnings =
        |builder: NetworkBuilder<f64>| builder.build().unwrap().fit_backprop(&data, &config(1)).unwrap().warnings;
    let sign = || Elementwise::new(6, Activation::Sign);
    let dense = || Dense::new(7, 6);
    let inside: [Box<dyn Fn() -> NetworkBuilder<f64>>; 4] = [
        Box::new(|| {
            Net::builder(3).dense(7, Activation::Tanh).dense(6, Activation::Step).dense(2, Activation::Identity)
        }),
        Box::new(|| builder_of(Chain::new().then(dense()).then(Chain::new().then(sign())))),
        Box::new(|| builder_of(Chain::new().then(dense()).then(Residual::new(sign())))),
        Box::new(|| builder_of(Arc::new(Chain::new().then(dense()).then(Arc::new(sign()))))),
    ];
    for builder in inside {
        assert_eq!(warnings(builder()), [Warning::NoDerivative { layers: vec![1] }]);
    }
    let [mixed, straight] = [sign(), sign().straight_through()].map(|first| {
        builder_of(Chain::new().then(dense()).then(Residual::new(Arc::new(first))).then(sign().straight_through()))
    });
    assert_eq!(warnings(mixed), [Warning::NoDerivative { layers: vec![1] }]);
    assert_eq!(warnings(straight), []);
    let below = Net::builder(3).layer(Elementwise::new(3, Activation::Sign)).dense(2, Activation::Identity);
    assert_eq!(warnings(below), []);
    // Exact steps ask for no derivative.
    let apart = Net::builder(3).store_pre_activations().dense(6, Activation::Sign).dense(2, Activation::Identity);
    assert_eq!(warnings(apart.clone()), [Warning::NoDerivative { layers: vec![1] }]);
    let exact = FitConfig::new().epochs(1).full_batch().method(Method::bcd(5.0));
    let report = apart.build().unwrap().fit(&data, &exact).unwrap();
    assert!(!report.warnings.iter().any(|warning| matches!(warning, Warning::NoDerivative { .. })));
    let text = Warning::NoDerivative { layers: vec![0, 1] }.to_string();
    for part in ["layers [0, 1]", "no gradient goes through a jump", "straight_through"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn straight_through_gradients_are_those_worked_by_hand_for_backpropagation_and_for_a_sweep() {
    // One input, one unit of sign, one output: with u = w·x + b and ŷ = v·sign(u) + c,
    // ∂L/∂ŷ = e = ŷ − y, ∂L/∂v = e·sign(u), ∂L/∂w = e·v·[|u| ≤ 1]·x, ∂L/∂b the same without x; means over the examples.
    let (xs, ys) = ([0.4, -0.9, 1.7, -3.0, 0.1], [1.0, 0.5, -0.3, 2.0, -1.0]);
    let inputs = Examples::from_row_slice(&xs, 5, 1).unwrap();
    let data = Dataset::regression(inputs, Examples::from_row_slice(&ys, 5, 1).unwrap()).unwrap();
    for method in [None, Some(Method::backprop_by_sweep())] {
        let recorder = Recorder::default();
        let unit = Chain::new().then(Dense::new(1, 1)).then(Elementwise::new(1, Activation::Sign).straight_through());
        let builder = Net::builder(1).layer(unit).dense(1, Activation::Identity).optimizer(recorder.clone()).threads(1);
        let mut net = builder.build().unwrap();
        let (w, v) = (net.params(0)[0], net.params(1)[0]);
        let mut expected = [[0.0; 2]; 2];
        for (x, y) in xs.into_iter().zip(ys) {
            let s = if w * x >= 0.0 { 1.0 } else { -1.0 };
            let e = v * s - y;
            let open = if (w * x).abs() <= 1.0 { 1.0 } else { 0.0 };
            for (sum, term) in expected.as_flattened_mut().iter_mut().zip([e * v * open * x, e * v * open, e * s, e]) {
                *sum += term / 5.0;
            }
        }
        let config = FitConfig::new().epochs(1).full_batch();
        match method {
            None => net.fit_backprop(&data, &config).unwrap(),
            Some(method) => net.fit(&data, &config.method(method)).unwrap(),
        };
        let found = recorder.0.lock().unwrap();
        for (found, expected) in found.iter().flatten().zip(expected.as_flattened()) {
            assert!((found - expected).abs() < 1e-14, "{found} instead of {expected}");
        }
        assert_eq!(found.len(), 2);
    }
}
