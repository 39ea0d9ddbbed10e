//! Observers set the learning rate of every epoch: what they ask for reaches every optimizer of a layer, and nothing else.

use std::ops::ControlFlow;

use decoupled::data::{self, Examples};
use decoupled::layer::{Activation, Dense};
use decoupled::method::{GradientStep, Order, Sweeps, Timing};
use decoupled::observer::{Epoch, Every, LearningRateScheduler, Mode, Monitor, OnNewBest, Plan, ReduceLrOnPlateau};
use decoupled::optimizer::{Adam, Schedule, Scheduled, Sgd};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, FitReport, Method, NetworkBuilder, Observer, Optimizer,
    Result, Scores, StopReason,
};

type Net = DecoupledNetwork<f64>;

fn moons() -> Dataset<f64> {
    data::two_moons(40, 0.2, 0).unwrap()
}

fn builder() -> NetworkBuilder<f64> {
    let builder = Net::builder(2).dense(5, Activation::Tanh).dense(4, Activation::Tanh);
    builder.dense(2, Activation::Identity).threads(1)
}

fn config<'a>(epochs: usize) -> FitConfig<'a, f64> {
    FitConfig::new().epochs(epochs).batch_size(10)
}

fn params(net: &Net) -> Vec<Vec<f64>> {
    (0..net.depth()).map(|t| net.params(t).to_vec()).collect()
}

fn factors(report: &FitReport) -> Vec<f64> {
    report.epochs.iter().map(|epoch| epoch.learning_rate_factor).collect()
}

/// Shows another observer these validation losses and scores instead of those of the fit.
struct WithNumbers<'a, O>(&'a [f64], &'a mut O);

impl<O: Observer<f64>> Observer<f64> for WithNumbers<'_, O> {
    fn start(&mut self, plan: &Plan, network: &Net) -> Result<()> {
        let mut plan = *plan;
        (plan.has_validation, plan.has_score) = (true, true);
        self.1.start(&plan, network)
    }

    fn learning_rate_factor(&mut self, epoch: usize) -> Result<f64> {
        self.1.learning_rate_factor(epoch)
    }

    fn epoch(&mut self, epoch: &Epoch<'_, f64>) -> Result<ControlFlow<StopReason>> {
        let number = self.0[epoch.report.epoch - 1];
        let validation = Some(Scores { loss: number, score: Some(number) });
        let report = EpochReport { validation, ..epoch.report.clone() };
        let mut shown = *epoch;
        shown.report = &report;
        self.1.epoch(&shown)
    }
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// The cases that `tests/keras/callbacks.py` printed.
#[test]
fn a_plateau_lowers_the_rate_as_keras_documents() {
    let data = moons();
    let start = Net::builder(2).dense(2, Activation::Identity).threads(1).build().unwrap();
    let (mut cases, mut falls) = (0, 0);
    for line in include_str!("../keras/callbacks.txt").lines().filter(|line| line.starts_with("plateau ")) {
        let [options, monitored, rates] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let [_, mode, factor, patience, min_delta, cooldown, min_lr] = options.split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("{line}")
        };
        let number = |text: &str| text.parse::<f64>().unwrap();
        let reduce = ReduceLrOnPlateau::new()
            .factor(number(factor))
            .patience(patience.parse().unwrap())
            .min_delta(number(min_delta))
            .cooldown(cooldown.parse().unwrap())
            .min_factor(number(min_lr));
        let by_score = reduce.clone().monitor(Monitor::ValidationScore);
        let by_loss = reduce.monitor(Monitor::ValidationLoss);
        // By what it monitors, and by the mode.
        let both = match mode {
            "min" => [by_loss, by_score.mode(Mode::Min)],
            _ => [by_score, by_loss.mode(Mode::Max)],
        };
        let (monitored, rates) = (numbers(monitored), numbers(rates));
        for mut reduce in both {
            let config = FitConfig::new().epochs(monitored.len()).full_batch();
            let mut shown = WithNumbers(&monitored, &mut reduce);
            let report = start.clone().fit_backprop_observed(&data, &config, &mut [&mut shown]).unwrap();
            assert_eq!(factors(&report), rates[..monitored.len()], "{line}");
            let next = Observer::<f64>::learning_rate_factor(&mut reduce, 0).unwrap();
            assert_eq!(next, rates[monitored.len()], "{line}");
        }
        cases += 1;
        falls += usize::from(rates.last() < Some(&1.0));
    }
    assert!(cases == 150 && falls > 100, "{falls} of {cases}");
}

/// Gradient descent on ½(w·x − y)² from w₀: (w − y/x) shrinks by 1 − η·f·x² in an epoch whose factor is f.
#[test]
fn a_step_is_as_long_as_the_factor_says() {
    let (x, y, rate, given) = (1.5, -0.6, 0.3, [1.0, 0.5, 0.0, 0.25, 1.25]);
    let example = |value| Examples::from_rows(&[[value]]).unwrap();
    let data = Dataset::regression(example(x), example(y)).unwrap();
    for backprop in [false, true] {
        let builder = Net::builder(1).layer(Dense::new(1, 1).without_bias()).threads(1);
        let mut net = builder.optimizer(Sgd::new(rate)).build().unwrap();
        net.set_params(0, &[2.0]).unwrap();
        let mut scheduler = LearningRateScheduler::new(|epoch| given[epoch - 1]);
        let config = FitConfig::new().epochs(given.len()).method(Method::red_black());
        let report = match backprop {
            true => net.fit_backprop_observed(&data, &config, &mut [&mut scheduler]),
            false => net.fit_observed(&data, &config, &mut [&mut scheduler]),
        };
        assert_eq!(factors(&report.unwrap()), given);
        let expected = y / x + (2.0 - y / x) * given.iter().map(|f| 1.0 - rate * f * x * x).product::<f64>();
        assert!((net.params(0)[0] - expected).abs() < 1e-14, "{} for {expected}", net.params(0)[0]);
    }
}

/// A factor by the epoch is the schedule that falls after as many updates as an epoch has, with every rule and method; what moves
/// activations is not touched.
#[test]
fn a_factor_by_epoch_is_a_schedule_of_the_layers_optimizers_bit_for_bit() {
    type Rule = Box<dyn Fn() -> Box<dyn Optimizer<f64>>>;
    let rules: Vec<Rule> = vec![
        Box::new(|| Box::new(Sgd::new(0.05))),
        Box::new(|| Box::new(Sgd::new(0.05).momentum(0.9))),
        Box::new(|| Box::new(Adam::new(0.01))),
    ];
    let by_gradient = Method::bcd(1.0).parameter(GradientStep).timing(Timing::AfterRelaxation { local_steps: 1 });
    let methods = [
        None,
        Some(Method::default()),
        Some(Method::joint(0.1)),
        Some(Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Adam::new(0.01)))),
        Some(by_gradient),
    ];
    let fit = |net: &mut Net, method: &Option<Method<f64>>, observers: &mut [&mut dyn Observer<f64>]| match method {
        Some(method) => net.fit_observed(&moons(), &config(3).method(method.clone()), observers),
        None => net.fit_backprop_observed(&moons(), &config(3), observers),
    };
    for method in &methods {
        // Linear maps and their activations apart, for exact activation steps.
        let squared = || {
            let builder = Net::builder(2).store_pre_activations().dense(5, Activation::Relu).dense(4, Activation::Relu);
            builder.dense(2, Activation::Identity).threads(1)
        };
        for rule in &rules {
            let mut watched = squared().optimizer(rule()).build().unwrap();
            let mut plain = watched.clone();
            let mut halves = LearningRateScheduler::new(|epoch| 0.5f64.powi(epoch as i32 - 1));
            let report = fit(&mut watched, method, &mut [&mut halves]).unwrap();
            assert_eq!(factors(&report), [1.0, 0.5, 0.25]);
            let every = watched.updates() / 3;
            let scheduled = Scheduled::new(rule(), Schedule::Step { every, factor: 0.5 });
            let mut expected = squared().optimizer(scheduled).build().unwrap();
            let report = fit(&mut expected, method, &mut []).unwrap();
            assert_eq!(factors(&report), [1.0; 3]);
            assert_eq!((params(&watched), watched.bank()), (params(&expected), expected.bank()), "{method:?}");
            fit(&mut plain, method, &mut []).unwrap();
            assert_ne!(params(&plain), params(&watched), "{method:?}");

            // A fit that nobody watches is at the full rate again.
            let mut rest = watched.clone();
            assert_eq!(factors(&fit(&mut rest, method, &mut []).unwrap()), [1.0; 3]);
        }
    }
}

#[test]
fn factors_multiply_and_wrappers_hand_them_on() {
    let by = |factor: f64| LearningRateScheduler::new(move |_| factor);
    let mut net = builder().build().unwrap();
    let report = net.fit_observed(
        &moons(),
        &config(3),
        &mut [&mut by(0.5), &mut Every::new(2, by(0.25)), &mut OnNewBest::new(by(4.0)), &mut |_: &EpochReport| {
            ControlFlow::Continue(())
        }],
    );
    assert_eq!(factors(&report.unwrap()), [0.5; 3]);
    let mut boxes: Vec<Box<dyn Observer<f64>>> = vec![Box::new(by(0.5)), Box::new(by(0.5))];
    let mut observers: Vec<_> = boxes.iter_mut().map(|observer| &mut **observer as &mut dyn Observer<f64>).collect();
    assert_eq!(factors(&net.fit_observed(&moons(), &config(1), &mut observers).unwrap()), [0.25]);
}

#[cfg(feature = "save")]
#[test]
fn a_checkpoint_hands_on_the_factors_of_those_beside_it() {
    use decoupled::observer::Checkpoint;

    let path = std::env::temp_dir().join(format!("decoupled-rates-{}", std::process::id()));
    let (mut a, mut b) = (LearningRateScheduler::new(|_| 0.5), LearningRateScheduler::new(|epoch| epoch as f64));
    let mut checkpoint = Checkpoint::new(&path).beside(&mut a).beside(&mut b);
    let report = builder().build().unwrap().fit_observed(&moons(), &config(3), &mut [&mut checkpoint]).unwrap();
    assert_eq!(factors(&report), [0.5, 1.0, 1.5]);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_factor_that_means_nothing_ends_the_fit_before_its_epoch() {
    for factor in [-1.0, f64::NAN, f64::INFINITY] {
        let mut reference = builder().build().unwrap();
        reference.fit(&moons(), &config(2)).unwrap();
        let mut net = builder().build().unwrap();
        let mut odd = LearningRateScheduler::new(|epoch| if epoch == 3 { factor } else { 1.0 });
        match net.fit_observed(&moons(), &config(5), &mut [&mut odd]).unwrap_err() {
            Error::HyperParameter { name: "a learning rate factor", found, .. } => {
                assert_eq!(found.to_bits(), factor.to_bits());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((net.epochs(), params(&net), net.bank()), (2, params(&reference), reference.bank()));
        net.fit(&moons(), &config(1)).unwrap();
    }
    // Beyond f32, alone or together.
    let data = data::two_moons::<f32>(20, 0.1, 0).unwrap();
    let mut net = DecoupledNetwork::<f32>::builder(2).dense(2, Activation::Identity).build().unwrap();
    for (a, b) in [(1e39, 1.0), (1e20, 1e20)] {
        let (mut a, mut b) = (LearningRateScheduler::new(|_| a), LearningRateScheduler::new(|_| b));
        let error = net.fit_observed(&data, &FitConfig::new(), &mut [&mut a, &mut b]).unwrap_err();
        assert!(matches!(error, Error::HyperParameter { name: "a learning rate factor", .. }), "{error}");
    }
    let mut panics = LearningRateScheduler::new(|_| panic!("no factor"));
    let error = net.fit_observed(&data, &FitConfig::new(), &mut [&mut panics]).unwrap_err();
    assert!(matches!(error, Error::ObserverPanicked { method: "learning_rate_factor", .. }), "{error}");
}

#[test]
fn a_second_fit_begins_at_the_rate_that_the_first_came_to_and_counts_anew() {
    // None is better than the first: a fall after every second epoch.
    let monitored = [1.0; 10];
    let mut reduce = ReduceLrOnPlateau::new().factor(0.5).patience(2).monitor(Monitor::ValidationLoss);
    let mut net = builder().build().unwrap();
    let mut fit = |reduce: &mut ReduceLrOnPlateau, epochs| {
        factors(&net.fit_observed(&moons(), &config(epochs), &mut [&mut WithNumbers(&monitored, reduce)]).unwrap())
    };
    assert_eq!(fit(&mut reduce, 4), [1.0, 1.0, 1.0, 0.5]);
    // One bad epoch was counted, and is forgotten; the first is the best of the fit.
    assert_eq!(fit(&mut reduce, 4), [0.5, 0.5, 0.5, 0.25]);
    // Given the state, it is not.
    let mut other = ReduceLrOnPlateau::new().factor(0.5).patience(2).monitor(Monitor::ValidationLoss);
    Observer::<f64>::set_state(&mut other, &Observer::<f64>::state(&reduce)).unwrap();
    assert_eq!(Observer::<f64>::state(&other), Observer::<f64>::state(&reduce));
    assert_eq!(fit(&mut other, 2), [0.25, 0.125]);
}

/// The factor is the observer's: a fit without it has the optimizer's own rate, and says so in no column.
#[test]
fn a_fit_without_the_observer_has_the_full_rate_and_reports_show_the_factor() {
    let data = moons();
    let mut net = builder().build().unwrap();
    // Nothing is better by so much: every epoch but the first takes half of the rate.
    let mut reduce = ReduceLrOnPlateau::new().factor(0.5).patience(1).min_delta(1e6);
    let watched = net.fit_observed(&data, &config(3), &mut [&mut reduce]).unwrap();
    assert_eq!(factors(&watched), [1.0, 1.0, 0.5]);
    let lines: Vec<String> = watched.epochs.iter().map(ToString::to_string).collect();
    assert!(!lines[1].contains("rate factor") && lines[2].contains("  rate factor 0.5  "), "{lines:?}");
    let table = watched.to_string();
    let column = table.lines().next().unwrap().find("rate factor").unwrap() + "rate factor".len();
    let cells: Vec<&str> =
        table.lines().skip(1).take(3).map(|line| line[..column].split(' ').next_back().unwrap()).collect();
    assert_eq!(cells, ["", "", "0.5"], "{table}");

    let plain = net.fit(&data, &config(1)).unwrap();
    assert_eq!(factors(&plain), [1.0]);
    assert!(!plain.to_string().contains("rate factor"));
}

#[test]
fn a_plateau_refuses_what_makes_no_sense_before_anything_changes() {
    let new = ReduceLrOnPlateau::new;
    let mut net = builder().build().unwrap();
    for (mut reduce, expected) in [
        (new().factor(1.0), "ReduceLrOnPlateau::factor must be in (0, 1), found 1"),
        (new().factor(0.0), "ReduceLrOnPlateau::factor must be in (0, 1), found 0"),
        (new().factor(f64::NAN), "ReduceLrOnPlateau::factor must be in (0, 1), found NaN"),
        (new().min_delta(-1.0), "ReduceLrOnPlateau::min_delta must be non-negative and finite, found -1"),
        (new().min_factor(1.5), "ReduceLrOnPlateau::min_factor must be in [0, 1], found 1.5"),
        (
            new().monitor(Monitor::ValidationLoss),
            "monitoring the validation: there is none; give FitConfig::validation or FitConfig::validation_fraction",
        ),
    ] {
        let error = net.fit_observed(&moons(), &config(2), &mut [&mut reduce]).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!((net.epochs(), net.bank().is_none()), (0, true));
    for bad in [&[][..], &[1.0; 3], &[2.0, 0.0, 0.0, 1.0], &[1.0, 0.5, 0.0, 1.0], &[1.0, 0.0, -1.0, 1.0]] {
        assert!(Observer::<f64>::set_state(&mut new(), bad).is_err(), "{bad:?}");
    }
    assert!(Observer::<f64>::set_state(&mut new(), &[1.0, 0.0, 0.0, f64::NAN]).is_err());
}

/// Two negative factors are none the better for their product.
#[cfg(feature = "save")]
#[test]
fn a_factor_beside_a_checkpoint_is_judged_by_itself() {
    let path = std::env::temp_dir().join(format!("decoupled-factors-{}.safetensors", std::process::id()));
    let negative = || decoupled::observer::LearningRateScheduler::new(|_| -1.0);
    let (mut a, mut b) = (negative(), negative());
    let mut checkpoint = decoupled::observer::Checkpoint::new(&path).beside(&mut a).beside(&mut b);
    let mut net = builder().build().unwrap();
    let outcome = net.fit_observed(&moons(), &config(1), &mut [&mut checkpoint]);
    assert!(matches!(outcome, Err(decoupled::Error::HyperParameter { .. })), "{outcome:?}");
}
