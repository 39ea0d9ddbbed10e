//! Every warning's first advice, followed on a case that raises the warning, helps; and a fit that is good is not warned of.

use std::f64::consts::TAU;

use decoupled::data::{self, Examples, Scaler};
use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init};
use decoupled::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy};
use decoupled::method::{Order, Reads, Start, Sweeps};
use decoupled::observer::LearningRateScheduler;
use decoupled::optimizer::Adam;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, FitConfig, FitReport, Method, NetworkBuilder, Observer, Result, Scalar, Warning,
};

fn config<'a, T: Scalar>(epochs: usize) -> FitConfig<'a, T> {
    FitConfig::new().epochs(epochs).batch_size(32)
}

/// Hidden layers of these widths, and a classifier's output.
fn classifier<T: Scalar>(inputs: usize, hidden: &[usize], activation: Activation, classes: usize) -> NetworkBuilder<T> {
    let builder = hidden.iter().fold(DecoupledNetwork::builder(inputs), |net, &width| net.dense(width, activation));
    builder.dense(classes, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).threads(1)
}

fn regressor<T: Scalar>(inputs: usize, hidden: &[usize], outputs: usize) -> NetworkBuilder<T> {
    let builder =
        hidden.iter().fold(DecoupledNetwork::builder(inputs), |net, &width| net.dense(width, Activation::Tanh));
    builder.dense(outputs, Activation::Identity).threads(1)
}

fn digits() -> (Dataset<f32>, Dataset<f32>) {
    data::digits::<f32>().unwrap().stratified_split(0.8, 1).unwrap()
}

fn moons() -> Dataset<f64> {
    data::two_moons(200, 0.1, 0).unwrap()
}

/// One column of numbers for inputs, and one for targets.
fn pairs<T: Scalar>(inputs: &[f64], targets: &[f64]) -> Dataset<T> {
    let column = |numbers: &[f64]| {
        let numbers: Vec<T> = numbers.iter().map(|&x| T::of(x)).collect();
        Examples::from_row_slice(&numbers, numbers.len(), 1).unwrap()
    };
    Dataset::regression(column(inputs), column(targets)).unwrap()
}

/// By the network's own method, or by backpropagation.
fn fit<T: Scalar>(
    net: &mut DecoupledNetwork<T>,
    data: &Dataset<T>,
    config: &FitConfig<'_, T>,
    backprop: bool,
) -> FitReport {
    let report = if backprop { net.fit_backprop(data, config) } else { net.fit(data, config) };
    report.unwrap()
}

fn accuracy<T: Scalar>(net: &DecoupledNetwork<T>, data: &Dataset<T>) -> f64 {
    net.evaluate(data).unwrap().score.unwrap()
}

fn loss<T: Scalar>(net: &DecoupledNetwork<T>, data: &Dataset<T>) -> f64 {
    net.evaluate(data).unwrap().loss
}

fn has(report: &FitReport, is: impl Fn(&Warning) -> bool) -> bool {
    report.warnings.iter().any(is)
}

/// Whether a text names its advice first among what stands behind the last colon of the facts.
fn advises_first(warning: &Warning, advice: &str) {
    let text = warning.to_string();
    let (_, told) = text.rsplit_once(": ").unwrap();
    assert!(told.starts_with(advice), "{text}");
}

/// Three classes of sixty examples, told by a feature of size one and one of size a hundredth, beside one of size a thousand.
fn of_mixed_units() -> Dataset<f64> {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let mut normal = || f64::standard_normal(&mut rng);
    let labels: Vec<usize> = (0..180).map(|i| i % 3).collect();
    let rows: Vec<[f64; 3]> = labels
        .iter()
        .map(|&label| {
            let class = label as f64 - 1.0;
            let told = [2.0 * class + normal(), 3.0 * class * class + normal()];
            [0.3 * told[0], 750.0 + 300.0 * normal(), 0.01 * told[1]]
        })
        .collect();
    Dataset::classification(Examples::from_rows(&rows).unwrap(), &labels, 3).unwrap()
}

#[test]
fn inputs_of_mixed_units_are_told_and_a_scaler_helps() {
    let raw = of_mixed_units();
    let scaled = Scaler::standard(raw.inputs()).unwrap().scale_inputs(&raw).unwrap();
    for backprop in [false, true] {
        let run = |data: &Dataset<f64>| {
            let mut net = classifier(3, &[16], Activation::Relu, 3).optimizer(Adam::new(3e-3)).build().unwrap();
            let report = fit(&mut net, data, &config(20), backprop);
            (report.warnings, accuracy(&net, data))
        };
        let ((told, before), (silent, after)) = (run(&raw), run(&scaled));
        assert!(
            matches!(told[0], Warning::FeatureScales { what: "inputs", largest: (1, _), smallest: (2, _) }),
            "{told:?}"
        );
        advises_first(&told[0], "scale them by data::Scaler");
        assert_eq!(silent, []);
        assert!(before < 0.7 && after > 0.85, "{before} and {after}");
    }
}

#[test]
fn targets_far_from_one_are_told_and_a_scaler_helps() {
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let x: Vec<f64> = (0..200).map(|_| f64::standard_normal(&mut rng)).collect();
    let y: Vec<f64> = x.iter().map(|x| 150.0 + 80.0 * x.sin()).collect();
    let raw = pairs::<f64>(&x, &y);
    let scaler = Scaler::standard(raw.targets()).unwrap();
    let scaled = scaler.scale_targets(&raw).unwrap();
    let run = |data: &Dataset<f64>| {
        let mut net = regressor(1, &[16], 1).optimizer(Adam::new(3e-3)).build().unwrap();
        let report = net.fit(data, &config(20)).unwrap();
        (report, net.predict(data.inputs()).unwrap())
    };
    let mean = y.iter().sum::<f64>() / 200.0;
    let square = |difference: f64| difference * difference;
    let spread: f64 = y.iter().map(|y| square(y - mean)).sum();
    let r2 = |found: &[f64]| 1.0 - found.iter().zip(&y).map(|(p, y)| square(p - y)).sum::<f64>() / spread;

    let (report, found) = run(&raw);
    assert!(matches!(report.warnings[0], Warning::FeatureScales { what: "targets", .. }), "{:?}", report.warnings);
    let Some(Warning::LearnedNothing { epoch: 20, train_loss, constant_loss }) = report.warnings.last() else {
        panic!("{:?}", report.warnings)
    };
    // Half the variance, and half the mean square of what is left.
    assert!((constant_loss - 0.5 * spread / 200.0).abs() < 1e-9 * constant_loss);
    let r2_of_raw = r2(found.as_slice());
    assert!((train_loss / constant_loss - (1.0 - r2_of_raw)).abs() < 1e-9);
    assert!(r2_of_raw < -2.0);
    let (report, found) = run(&scaled);
    assert_eq!(report.warnings, []);
    assert!(r2(scaler.invert(&found).unwrap().matrix().as_slice()) > 0.9);
}

/// A quarter of an hour in seconds since 1970, of which singles tell eight instants apart.
#[test]
fn times_that_singles_cannot_tell_apart_are_told_and_scaling_in_double_precision_helps() {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let times: Vec<f64> = (0..240).map(|_| 1.7e9 + (900.0 * rng.random::<f64>()).floor()).collect();
    let heights: Vec<f64> = times.iter().map(|t| ((t - 1.7e9) / 900.0 * TAU).sin()).collect();
    let run = |data: &Dataset<f32>| {
        let mut net = regressor(1, &[32], 1).optimizer(Adam::new(1e-2)).build().unwrap();
        let report = net.fit(data, &config(80)).unwrap();
        (report.warnings, loss(&net, data))
    };
    let raw = pairs::<f32>(&times, &heights);
    let (told, _) = run(&raw);
    let Warning::FeaturePrecision { feature: 0, mean, spread, spacing: 128.0 } = told[0] else { panic!("{told:?}") };
    assert!((mean / 1.7e9 - 1.0).abs() < 1e-6 && (200.0..320.0).contains(&spread));
    advises_first(&told[0], "scale it in f64 (data::Scaler) before it becomes f32");

    let double = pairs::<f64>(&times, &heights);
    let double = Scaler::standard(double.inputs()).unwrap().scale_inputs(&double).unwrap();
    let (silent, before) = run(&pairs(double.inputs().as_slice(), &heights));
    assert_eq!(silent, []);
    // After the conversion it is too late.
    let (_, after) = run(&Scaler::standard(raw.inputs()).unwrap().scale_inputs(&raw).unwrap());
    assert!(before < 0.25 * after, "{before} and {after}");
}

#[test]
fn one_class_alone_is_told_and_examples_of_every_class_help() {
    let moons = moons();
    let mut order: Vec<usize> = (0..200).collect();
    order.sort_by_key(|&i| moons.labels().unwrap()[i]);
    let sorted = moons.select(&order).unwrap();
    let run = |train: &Dataset<f64>| {
        let mut net = classifier(2, &[16], Activation::Relu, 2).optimizer(Adam::new(1e-2)).build().unwrap();
        let report = net.fit(train, &config(20)).unwrap();
        (report.warnings, accuracy(&net, &sorted))
    };
    let (told, before) = run(&sorted.take(100).unwrap());
    assert_eq!(told, [Warning::TargetsAlike { examples: 100, class: Some(0) }]);
    advises_first(&told[0], "train on examples of every class");
    let (silent, after) = run(&sorted.stratified_split(0.5, 0).unwrap().0);
    assert_eq!(silent, []);
    assert!(before == 0.5 && after > 0.85, "{before} and {after}");
}

#[test]
fn a_rate_too_high_is_told_and_a_lower_one_helps() {
    let (train, test) = digits();
    for backprop in [false, true] {
        let run = |rate: f64| {
            let mut net = classifier(64, &[32, 32], Activation::Tanh, 10).optimizer(Adam::new(rate)).build().unwrap();
            let report = fit(&mut net, &train, &config(5), backprop);
            (report, accuracy(&net, &test))
        };
        let ((told, before), (silent, after)) = (run(1.0), run(0.01));
        let Some(warning @ Warning::LearnedNothing { epoch: 5, train_loss, constant_loss }) = told.warnings.last()
        else {
            panic!("{:?}", told.warnings)
        };
        // Ten classes, all but evenly.
        assert!((constant_loss - 10f64.ln()).abs() < 1e-3 && train_loss > constant_loss);
        assert!(warning.to_string().ends_with("else lower the learning rate"), "{warning}");
        assert_eq!(silent.warnings, []);
        assert!(before < 0.3 && after > 0.9, "{before} and {after}");
    }
}

/// Five local steps at three times the default rate are too many for so deep a network: it ends at one output for all digits.
#[test]
fn a_deep_network_that_collapses_is_told_and_a_lower_rate_helps() {
    let (train, test) = digits();
    let run = |rate: f64| {
        let mut net = classifier(64, &[32; 20], Activation::Tanh, 10).optimizer(Adam::new(rate)).build().unwrap();
        net.start_isometric(train.inputs(), 0).unwrap();
        let report = net.fit(&train, &config(15).method(Method::local_targets(5))).unwrap();
        (report.warnings, accuracy(&net, &test))
    };
    let ((told, before), (silent, after)) = (run(3e-3), run(3e-4));
    assert!(matches!(told[..], [Warning::LearnedNothing { epoch: 15, .. }]), "{told:?}");
    assert_eq!(silent, []);
    assert!(before < 0.3 && after > 0.87, "{before} and {after}");
}

#[test]
fn too_short_a_training_is_told_and_more_epochs_help_while_the_loss_falls() {
    let (train, _) = digits();
    let train = train.take(160).unwrap();
    let mut net = classifier(64, &[32, 32], Activation::Relu, 10).optimizer(Adam::new(3e-4)).build().unwrap();
    // Five updates an epoch: not judged before the twentieth.
    assert_eq!(net.fit(&train, &config(3).method(Method::red_black())).unwrap().warnings, []);
    let report = net.fit(&train, &config(1).method(Method::red_black())).unwrap();
    assert!(matches!(report.warnings[..], [Warning::LearnedNothing { epoch: 4, .. }]), "{:?}", report.warnings);
    assert!(report.warnings[0].to_string().contains("while the loss falls, train for more epochs"));
    assert_eq!(net.fit(&train, &config(40)).unwrap().warnings, []);
    assert!(accuracy(&net, &train) > 0.6);
}

/// Targets that are noise: a constant is the best there is, and that is said once.
#[test]
fn noise_is_not_learned_and_that_is_told() {
    let mut rng = ChaCha12Rng::seed_from_u64(4);
    let mut draw = || (0..2000).map(|_| f64::standard_normal(&mut rng)).collect::<Vec<_>>();
    let (x, y) = (draw(), draw());
    let mut net = regressor::<f64>(1, &[4], 1).build().unwrap();
    let report = net.fit(&pairs(&x, &y), &config(10)).unwrap();
    let [Warning::LearnedNothing { train_loss, constant_loss, .. }] = report.warnings[..] else {
        panic!("{:?}", report.warnings)
    };
    assert!((train_loss / constant_loss - 1.0).abs() < 5e-3);
    // A hundredth of the variance that can be explained is something.
    let y: Vec<f64> = x.iter().zip(&y).map(|(x, y)| 0.2 * x + y).collect();
    assert_eq!(net.fit(&pairs(&x, &y), &config(10)).unwrap().warnings, []);
}

#[test]
fn where_the_signal_fades_the_default_helps() {
    let (train, test) = digits();
    for (activation, depth, gain) in
        [(Activation::Tanh, 20, 0.03), (Activation::Relu, 20, 0.015), (Activation::Sigmoid, 12, 0.02)]
    {
        let net =
            || classifier::<f32>(64, &vec![32; depth], activation, 10).optimizer(Adam::new(1e-3)).build().unwrap();
        let mut faded = net();
        let told = faded.fit(&train, &config(15).method(Method::red_black())).unwrap();
        let warning = told.warnings.iter().find(|warning| matches!(warning, Warning::SignalFades { .. }));
        advises_first(warning.unwrap(), "train by the default (Method::default)");
        let mut advised = net();
        let report = advised.fit(&train, &config(15)).unwrap();
        assert_eq!(report.warnings, [], "{activation:?}");
        let (before, after) = (accuracy(&faded, &test), accuracy(&advised, &test));
        assert!(after > before + gain && after > 0.9, "{activation:?}: {before} and {after}");
    }
}

#[test]
fn steps_that_overshoot_are_told_and_a_lower_activation_rate_helps() {
    let moons = moons();
    let methods: [fn(f64) -> Method<f64>; 2] = [|rate| Method::predictive_coding(6, rate), Method::joint];
    for method in methods {
        let run = |method: Method<f64>| {
            let mut net = classifier(2, &[16, 16], Activation::Tanh, 2).optimizer(Adam::new(3e-3)).build().unwrap();
            (net.fit(&moons, &config(30).method(method)).unwrap(), accuracy(&net, &moons))
        };
        let ((told, before), (_, after)) = (run(method(3.0)), run(method(0.1)));
        assert!(matches!(told.warnings[0], Warning::Overshoot { .. }), "{:?}", told.warnings);
        advises_first(&told.warnings[0], "lower the activation rate");
        assert!(after > before + 0.1, "{before} and {after}");
    }
}

#[test]
fn layers_out_of_reach_are_told_and_as_many_more_steps_help() {
    let moons = moons();
    let run = |steps| {
        let mut net = classifier(2, &[8, 4, 4], Activation::Tanh, 2).optimizer(Adam::new(1e-2)).build().unwrap();
        (
            net.fit(&moons, &config(40).method(Method::predictive_coding(steps, 0.3))).unwrap().warnings,
            loss(&net, &moons),
        )
    };
    let (told, before) = run(1);
    assert_eq!(told, [Warning::OutOfReach { layers: 2 }]);
    advises_first(&told[0], "take more steps");
    let (silent, after) = run(3);
    assert_eq!(silent, []);
    assert!(after < 0.5 * before, "{before} and {after}");
}

#[test]
fn dead_units_are_told_and_a_lower_learning_rate_helps() {
    let (train, test) = digits();
    for backprop in [false, true] {
        let run = |rate: f64| {
            let mut net = classifier(64, &[32, 32], Activation::Relu, 10).optimizer(Adam::new(rate)).build().unwrap();
            (fit(&mut net, &train, &config(5), backprop), accuracy(&net, &test))
        };
        let ((told, before), (silent, after)) = (run(0.3), run(0.01));
        let dead = told.warnings.iter().find(|warning| matches!(warning, Warning::DeadUnits { .. })).unwrap();
        advises_first(dead, "lower the learning rate");
        assert_eq!(silent.warnings, []);
        assert!(before < 0.3 && after > 0.85, "{before} and {after}");
    }
}

#[test]
fn gradients_that_turn_away_are_told_and_a_lower_activation_rate_helps() {
    let (train, test) = digits();
    let train = train.take(600).unwrap();
    let run = |rate: f64| {
        let method = Method::predictive_coding(4, rate).reads(Reads::Stored);
        let mut net = classifier(64, &[32, 32], Activation::Relu, 10).optimizer(Adam::new(3e-3)).build().unwrap();
        let config = config(10).method(method).measure_decoupling(5, 32);
        (net.fit(&train, &config).unwrap(), accuracy(&net, &test))
    };
    let ((told, before), (better, after)) = (run(1.0), run(0.1));
    let turned = told.warnings.iter().find(|warning| matches!(warning, Warning::TurnsAway { .. })).unwrap();
    advises_first(turned, "lower the activation rate");
    assert!(!has(&better, |warning| matches!(warning, Warning::TurnsAway { .. })), "{:?}", better.warnings);
    assert!(before < 0.5 && after > 0.85, "{before} and {after}");
}

#[test]
fn a_jump_is_told_and_straight_through_helps() {
    let moons = moons();
    for backprop in [false, true] {
        let run = |straight: bool| {
            let jump = Elementwise::new(8, Activation::Sign);
            let jump = if straight { jump.straight_through() } else { jump };
            let builder = DecoupledNetwork::<f64>::builder(2).dense(8, Activation::Tanh);
            let builder = builder.layer(Chain::new().then(Dense::new(8, 8)).then(jump)).dense(2, Activation::Identity);
            let builder = builder.output_loss(SoftmaxCrossEntropy::new()).optimizer(Adam::new(1e-2)).threads(1);
            let mut net = builder.method(Method::local_targets(1)).build().unwrap();
            (fit(&mut net, &moons, &config(40), backprop).warnings, accuracy(&net, &moons))
        };
        let ((told, before), (silent, after)) = (run(false), run(true));
        assert_eq!(told, [Warning::NoDerivative { layers: vec![1] }]);
        assert!(told[0].to_string().contains("straight_through(), which brings a derivative of its own, and train by"));
        assert_eq!(silent, []);
        assert!(after > before + 0.05, "{before} and {after}");
    }
}

/// Over two classes of equal size, no logits from these bounds have a mean loss below the last number, worked by hand: class 0
/// is best at the lower bound, class 1 at the upper one, ½·(ln(1 + e^least) + ln(1 + e^−most)).
#[test]
fn logits_within_bounds_are_told_and_leaving_the_last_activation_out_helps() {
    let moons = moons().with_one_output().unwrap();
    let bounded = [
        (Activation::Sigmoid, (0.0, 1.0), 0.5032),
        (Activation::Tanh, (-1.0, 1.0), 0.3132),
        (Activation::Relu, (0.0, f64::INFINITY), 0.3465),
    ];
    for backprop in [false, true] {
        let run = |last: Activation| {
            let builder = DecoupledNetwork::builder(2).dense(16, Activation::Tanh).dense(1, last).threads(1);
            let mut net = builder.output_loss(BinaryCrossEntropy).optimizer(Adam::new(1e-2)).build().unwrap();
            (fit(&mut net, &moons, &config(120), backprop).warnings, loss(&net, &moons))
        };
        let (silent, after) = run(Activation::Identity);
        assert_eq!(silent, []);
        for (last, (least, most), at_best) in bounded {
            let (told, before) = run(last);
            assert_eq!(told[0], Warning::BoundedLogits { least, most }, "{last:?}");
            advises_first(&told[0], "leave the last activation out");
            assert!(before > at_best && after < 0.6 * at_best, "{last:?}: {before} and {after}");
        }
    }
    // The last of a chain counts, wherever it stands; other losses judge numbers.
    let told =
        |builder: NetworkBuilder<f64>, data: &Dataset<f64>| builder.build().unwrap().fit(data, &config(1)).unwrap();
    let builder = || DecoupledNetwork::<f64>::builder(2).threads(1);
    let is_bounded = |warning: &Warning| matches!(warning, Warning::BoundedLogits { .. });
    let apart =
        builder().store_pre_activations().dense(2, Activation::Softplus).output_loss(SoftmaxCrossEntropy::new());
    let own =
        Chain::new().then(Dense::new(2, 2)).then(Elementwise::new(2, Activation::HardTanh)).then(Dense::new(2, 2));
    let own = builder().layer(own).output_loss(SoftmaxCrossEntropy::new());
    let numbers = builder().dense(2, Activation::Sigmoid);
    let two = self::moons();
    assert!(has(&told(apart, &two), is_bounded));
    assert!(!has(&told(own, &two), is_bounded) && !has(&told(numbers, &two), is_bounded));
}

#[test]
fn a_network_that_is_frozen_is_told_alone_and_unfreezing_helps() {
    let moons = moons();
    for backprop in [false, true] {
        let mut net = classifier(2, &[16], Activation::Tanh, 2).optimizer(Adam::new(1e-2)).build().unwrap();
        (0..2).for_each(|t| net.freeze(t).unwrap());
        let (told, before) = (fit(&mut net, &moons, &config(30), backprop).warnings, loss(&net, &moons));
        assert_eq!(told, [Warning::NothingToTrain { frozen: 2 }]);
        advises_first(&told[0], "unfreeze those that are to learn");
        (0..2).for_each(|t| net.unfreeze(t).unwrap());
        assert_eq!(fit(&mut net, &moons, &config(30), backprop).warnings, []);
        let after = loss(&net, &moons);
        assert!(after < 0.6 * before, "{before} and {after}");

        let mut bare =
            DecoupledNetwork::builder(2).layer(Elementwise::new(2, Activation::Tanh)).threads(1).build().unwrap();
        assert_eq!(fit(&mut bare, &moons, &config(30), backprop).warnings, [Warning::NothingToTrain { frozen: 0 }]);
    }
}

#[test]
fn a_rate_of_zero_is_told_and_a_higher_one_helps() {
    let moons = moons();
    for backprop in [false, true] {
        let run = |factor: f64| {
            let mut net = regressor(2, &[], 2).optimizer(Adam::new(3e-2)).build().unwrap();
            let mut rate = LearningRateScheduler::new(move |_| factor);
            let observers: &mut [&mut dyn Observer<f64>] = &mut [&mut rate];
            let config = config(30);
            let report = match backprop {
                true => net.fit_backprop_observed(&moons, &config, observers),
                false => net.fit_observed(&moons, &config, observers),
            };
            (report.unwrap().warnings, loss(&net, &moons))
        };
        let ((told, before), (silent, after)) = (run(0.0), run(1.0));
        assert_eq!(told, [Warning::StoodStill { epoch: 30 }]);
        assert!(told[0].to_string().contains("then raise the learning rate"));
        assert_eq!(silent, []);
        assert!(after < 0.6 * before, "{before} and {after}");
    }
}

#[test]
fn the_scale_cheat_is_told_and_visits_from_a_forward_pass_help() {
    let moons = moons();
    for penalty in [1.0, 1e-2] {
        let run = |method: Method<f64>| {
            let net = classifier(2, &[16, 16], Activation::Relu, 2).penalty(penalty).optimizer(Adam::new(1e-2));
            let mut net = net.build().unwrap();
            (net.fit(&moons, &config(60).method(method)).unwrap(), loss(&net, &moons))
        };
        let sweeps = Sweeps::new(Order::Jacobi, 3, 0.1).stable(1.0);
        let method = Method::new(Start::Persisted, sweeps, Reads::Stored);
        let (told, before) = run(method.clone());
        assert!(matches!(told.warnings[..], [Warning::EnergyAndLossPart { .. }]), "{:?}", told.warnings);
        advises_first(
            &told.warnings[0],
            "begin visits at a forward pass (Start::Anchored) and let the parameter step read it",
        );
        let (silent, after) = run(method.start(Start::Anchored).reads(Reads::Forward));
        assert_eq!(silent.warnings, []);
        assert!(after < 0.3 * before, "{before} and {after}");
    }
}

/// Nothing is told of fits that are as good as these.
#[test]
fn a_good_fit_is_not_warned_of() -> Result<()> {
    let (train, test) = digits();
    for backprop in [false, true] {
        for config in [FitConfig::new(), config(10)] {
            let mut net = classifier(64, &[64], Activation::Relu, 10).build()?;
            let report = fit(&mut net, &train, &config, backprop);
            assert_eq!(report.warnings, []);
            assert!(accuracy(&net, &test) > 0.85);
        }
        // Epoch by epoch.
        let mut net = classifier(64, &[64], Activation::Relu, 10).build()?;
        for _ in 0..3 {
            assert_eq!(fit(&mut net, &train, &config(1), backprop).warnings, []);
        }

        let mut net = classifier(2, &[16, 16], Activation::Tanh, 2).optimizer(Adam::new(3e-3)).build()?;
        assert_eq!(fit(&mut net, &moons(), &config(30), backprop).warnings, []);

        let waves = data::sine::<f64>(512, 0.2, 0)?;
        let mut net = regressor(1, &[32, 32], 1).optimizer(Adam::new(1e-2)).build()?;
        assert_eq!(fit(&mut net, &waves, &config(40), backprop).warnings, []);

        let pixels = || Examples::from_column_matrix(train.inputs().view().into_owned());
        let itself = Dataset::regression(pixels()?, pixels()?)?;
        let mut net = regressor(64, &[32, 8, 32], 64).optimizer(Adam::new(3e-3)).build()?;
        assert_eq!(fit(&mut net, &itself, &config(10), backprop).warnings, []);

        // Yes or no: on which side of a line.
        let x: Vec<f64> = (0..200).map(|i| f64::from(i) / 50.0 - 2.0).collect();
        let y: Vec<f64> = x.iter().map(|&x| f64::from(u8::from(x > 0.7))).collect();
        let mut net =
            regressor::<f64>(1, &[8], 1).output_loss(BinaryCrossEntropy).optimizer(Adam::new(1e-2)).build()?;
        assert_eq!(fit(&mut net, &pairs(&x, &y), &config(20), backprop).warnings, []);
    }
    Ok(())
}

/// Residuals that are as small as rounding, because nothing is left to correct.
#[test]
fn data_that_are_fitted_perfectly_show_no_fading_signal() -> Result<()> {
    let small = data::two_moons::<f32>(20, 0.05, 0)?;
    let mut net = classifier(2, &[16; 6], Activation::Tanh, 2).optimizer(Adam::new(1e-2)).build()?;
    let report = net.fit(&small, &config(1500))?;
    assert!(!has(&report, |warning| matches!(warning, Warning::SignalFades { .. })), "{:?}", report.warnings);
    assert!(loss(&net, &small) < 1e-4);

    // Fitted before the fit begins: the identity.
    let x: Vec<f64> = (0..40).map(|i| f64::from(i) / 20.0 - 1.0).collect();
    let layer = || Dense::new(1, 1).without_bias().init(Init::constant(1.0));
    let builder = (0..8).fold(DecoupledNetwork::<f32>::builder(1), |net, _| net.layer(layer()));
    let mut net = builder.threads(1).build()?;
    for method in [Method::default(), Method::joint(0.1), Method::local_targets(2)] {
        assert_eq!(net.fit(&pairs(&x, &x), &config(30).method(method))?.warnings, []);
    }
    Ok(())
}

/// A frozen layer that no signal reaches is as it was to be.
#[test]
fn frozen_layers_are_not_said_to_be_out_of_reach() {
    let data = decoupled::data::two_moons::<f64>(50, 0.1, 0).unwrap();
    let mut builder = DecoupledNetwork::<f64>::builder(2);
    for _ in 0..8 {
        builder = builder.dense(4, Activation::Tanh);
    }
    let mut net = builder.dense(2, Activation::Identity).build().unwrap();
    let config = FitConfig::new().epochs(1).method(Method::predictive_coding(2, 0.1));
    let layers = |net: &mut DecoupledNetwork<f64>| {
        let warnings = net.fit(&data, &config).unwrap().warnings;
        warnings.iter().find_map(|w| if let Warning::OutOfReach { layers } = w { Some(*layers) } else { None })
    };
    let unreached = layers(&mut net).unwrap();
    (0..unreached).for_each(|t| net.freeze(t).unwrap());
    assert_eq!(layers(&mut net), None);
    net.unfreeze(unreached - 1).unwrap();
    assert_eq!(layers(&mut net), Some(unreached));
}
