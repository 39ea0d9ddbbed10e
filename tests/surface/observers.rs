//! Who watches a fit sees what happens, in order, may end it, and leaves no trace otherwise.

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::nalgebra::DMatrix;
use decoupled::observer::{EarlyStopping, Epoch, Every, History, Mode, Monitor, OnNewBest, Plan, Step, Table};
use decoupled::optimizer::Adam;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, FitReport, Method, NetworkBuilder, Observer, Result,
    Scores, StopReason,
};

type Net = DecoupledNetwork<f64>;
type Flow = Result<ControlFlow<StopReason>>;

const GO_ON: Flow = Ok(ControlFlow::Continue(()));
const STOP: Flow = Ok(ControlFlow::Break(StopReason::Observer));

/// 150 examples of 3 features.
fn data() -> Dataset<f64> {
    let inputs = DMatrix::from_fn(3, 150, |i, j| ((i * 31 + j * 17) % 97) as f64 / 48.5 - 1.0);
    let targets = DMatrix::from_fn(2, 150, |i, j| (inputs[(i, j)] + inputs[(2, j)]).sin());
    let examples = |matrix| Examples::from_column_matrix(matrix).unwrap();
    Dataset::regression(examples(inputs.clone()), examples(targets)).unwrap()
}

fn builder() -> NetworkBuilder<f64> {
    let builder = Net::builder(3).dense(7, Activation::Tanh).dense(6, Activation::Gelu);
    builder.dense(2, Activation::Identity).threads(2).optimizer(Adam::new(0.005))
}

/// Four visits an epoch.
fn config<'a>(epochs: usize) -> FitConfig<'a, f64> {
    FitConfig::new().epochs(epochs).batch_size(40)
}

fn params(net: &Net) -> Vec<Vec<f64>> {
    (0..net.depth()).map(|t| net.params(t).to_vec()).collect()
}

fn without_time(report: &FitReport) -> Vec<EpochReport> {
    report.epochs.iter().map(|epoch| EpochReport { time: Default::default(), ..epoch.clone() }).collect()
}

/// A folder of a test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("decoupled-observers-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Does as it is told at every call, which it is given as words.
struct Scripted<F>(F);

impl<F: FnMut(&str, &Net) -> Flow + Send> Observer<f64> for Scripted<F> {
    fn start(&mut self, plan: &Plan, network: &Net) -> Result<()> {
        let Plan { first_epoch, epochs, steps, .. } = *plan;
        (self.0)(&format!("start at {first_epoch}, {epochs} epochs of {steps}"), network).map(|_| ())
    }

    fn step(&mut self, step: &Step<'_, f64>) -> Flow {
        (self.0)(&format!("step {}.{}", step.epoch, step.number), step.network)
    }

    fn epoch(&mut self, epoch: &Epoch<'_, f64>) -> Flow {
        (self.0)(&format!("epoch {}", epoch.report.epoch), epoch.network)
    }

    fn new_best(&mut self, epoch: &Epoch<'_, f64>) -> Flow {
        assert_eq!(epoch.best, Some(epoch.report));
        (self.0)(&format!("best {}", epoch.report.epoch), epoch.network)
    }

    fn end(&mut self, network: &mut Net, stop: StopReason) -> Result<()> {
        (self.0)(&format!("end, {stop:?}"), network).map(|_| ())
    }
}

/// Shows another observer these validation losses instead of those of the fit.
struct WithLosses<'a, O> {
    losses: &'a [f64],
    inner: &'a mut O,
}

impl<O: Observer<f64>> Observer<f64> for WithLosses<'_, O> {
    fn start(&mut self, plan: &Plan, network: &Net) -> Result<()> {
        let mut plan = *plan;
        (plan.has_validation, plan.has_score) = (true, true);
        self.inner.start(&plan, network)
    }

    fn learning_rate_factor(&mut self, epoch: usize) -> Result<f64> {
        self.inner.learning_rate_factor(epoch)
    }

    fn epoch(&mut self, epoch: &Epoch<'_, f64>) -> Flow {
        let loss = self.losses[epoch.report.epoch - 1];
        let report = EpochReport { validation: Some(Scores { loss, score: Some(loss) }), ..epoch.report.clone() };
        let mut shown = *epoch;
        shown.report = &report;
        self.inner.epoch(&shown)
    }

    fn end(&mut self, network: &mut Net, stop: StopReason) -> Result<()> {
        self.inner.end(network, stop)
    }
}

#[test]
fn everyone_is_called_in_the_documented_order() {
    let data = data();
    for backprop in [false, true] {
        let mut net = builder().build().unwrap();
        let calls = Mutex::new(Vec::new());
        let listener = |name: &'static str| {
            let calls = &calls;
            Scripted(move |call: &str, _: &Net| {
                calls.lock().unwrap().push(format!("{name}: {call}"));
                GO_ON
            })
        };
        let (mut a, mut b) = (listener("a"), listener("b"));
        // Blocks of 70, 70 and 10 examples: 2 + 2 + 1 batches.
        let config = config(2).shuffle_blocks(70);
        let report = match backprop {
            true => net.fit_backprop_observed(&data, &config, &mut [&mut a, &mut b]),
            false => net.fit_observed(&data, &config, &mut [&mut a, &mut b]),
        };
        let losses: Vec<_> = report.unwrap().epochs.iter().map(|epoch| epoch.train_loss).collect();
        assert!(losses[1] < losses[0]);
        let mut expected = vec!["start at 1, 2 epochs of 5".to_owned()];
        for epoch in 1..=2 {
            expected.extend((1..=5).map(|step| format!("step {epoch}.{step}")));
            expected.extend([format!("epoch {epoch}"), format!("best {epoch}")]);
        }
        expected.push("end, Epochs".to_owned());
        let expected: Vec<_> = expected.iter().flat_map(|call| [format!("a: {call}"), format!("b: {call}")]).collect();
        assert_eq!(*calls.lock().unwrap(), expected);
        calls.lock().unwrap().clear();
        net.fit(&data, &config).unwrap();
        net.fit_observed(&data, &config, &mut [&mut listener("c")]).unwrap();
        assert_eq!(calls.lock().unwrap()[0], "c: start at 5, 2 epochs of 5");
    }
}

#[test]
fn a_fit_that_is_watched_is_the_same_bit_for_bit() {
    let data = data();
    let (mut alone, mut watched) = (builder().build().unwrap(), builder().build().unwrap());
    let config = config(4).validation(&data);
    let expected = alone.fit(&data, &config).unwrap();
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    let found = watched.fit_observed(
        &data,
        &config,
        &mut [
            &mut EarlyStopping::new().patience(4),
            &mut History::csv_to(&mut rows),
            &mut Table::to(&mut lines),
            &mut Scripted(|_: &str, _: &Net| GO_ON),
            &mut |_: &EpochReport| ControlFlow::Continue(()),
        ],
    );
    assert_eq!(without_time(&found.unwrap()), without_time(&expected));
    assert_eq!((params(&watched), watched.bank()), (params(&alone), alone.bank()));
}

#[test]
fn the_first_to_break_gives_the_reason_and_all_see_the_last_epoch() {
    let data = data();
    let breaks = |at: &'static str, reason| {
        Scripted(move |call: &str, _: &Net| {
            Ok(if call == at { ControlFlow::Break(reason) } else { ControlFlow::Continue(()) })
        })
    };
    let (mut first, mut second) =
        (breaks("best 2", StopReason::Observer), breaks("epoch 2", StopReason::EarlyStopping));
    let mut seen = Vec::new();
    let mut last = Scripted(|call: &str, _: &Net| {
        seen.push(call.to_owned());
        GO_ON
    });
    let mut net = builder().build().unwrap();
    let report = net.fit_observed(&data, &config(9), &mut [&mut first, &mut second, &mut last]).unwrap();
    assert_eq!((report.stop, report.epochs.len(), net.epochs()), (StopReason::EarlyStopping, 2, 2));
    assert_eq!(seen[seen.len() - 3..], ["epoch 2", "best 2", "end, EarlyStopping"]);
}

#[test]
fn a_break_in_a_step_leaves_the_network_as_it_is_then() {
    let data = data();
    let folder = Folder::new("step");
    for in_file in [false, true] {
        // Two blocks of 75: the break is in the first.
        let builder = || match in_file {
            true => builder().bank_file(folder.0.join("bank"), 75),
            false => builder(),
        };
        let whole = FitConfig::new().epochs(3).batch_size(20).shuffle_blocks(75).method(Method::red_black());
        let mut at_two = Vec::new();
        let mut look = Scripted(|call: &str, net: &Net| {
            if call == "step 1.2" {
                at_two = params(net);
            }
            GO_ON
        });
        {
            let mut net = builder().build().unwrap();
            net.fit_observed(&data, &whole, &mut [&mut look]).unwrap();
        }
        let _ = fs::remove_file(folder.0.join("bank"));

        let mut net = builder().build().unwrap();
        let mut calls = Vec::new();
        let mut stop = Scripted(|call: &str, _: &Net| {
            calls.push(call.to_owned());
            if call == "step 1.2" { STOP } else { GO_ON }
        });
        let report = net.fit_observed(&data, &whole, &mut [&mut stop]).unwrap();
        let expected = ["start at 1, 3 epochs of 8", "step 1.1", "step 1.2", "epoch 1", "best 1", "end, Observer"];
        assert_eq!(calls, expected);
        assert_eq!((report.stop, report.epochs.len()), (StopReason::Observer, 1));
        assert_eq!((net.epochs(), net.updates(), params(&net)), (1, 2, at_two));
        let visited: Vec<u64> = match net.bank_file() {
            Some(file) => (0..file.blocks()).flat_map(|k| file.block(k).unwrap().visited_at()).collect(),
            None => net.bank().unwrap().visited_at(),
        };
        let of = |update| visited.iter().filter(|&&at| at == update).count();
        assert_eq!((visited.len(), of(0), of(1), of(2)), (150, 110, 20, 20));

        // It can be trained on, and by another process.
        assert_eq!(net.fit(&data, &whole).unwrap().epochs.len(), 3);
        drop(net);
        builder().build().unwrap().fit(&data, &whole).unwrap();
    }
}

#[test]
fn a_step_says_the_loss_so_far() {
    let data = data();
    let mut net = builder().build().unwrap();
    struct Losses(Vec<f64>);
    impl Observer<f64> for Losses {
        fn step(&mut self, step: &Step<'_, f64>) -> Flow {
            self.0.push(step.train_loss);
            GO_ON
        }
    }
    let mut losses = Losses(Vec::new());
    let before = net.evaluate(&data).unwrap().loss;
    let report = net.fit_observed(&data, &config(1).full_batch(), &mut [&mut losses]).unwrap();
    assert!((losses.0[0] - before).abs() < 1e-12);
    assert_eq!(losses.0, [report.epochs[0].train_loss]);
    losses.0.clear();
    let report = net.fit_observed(&data, &config(1), &mut [&mut losses]).unwrap();
    assert_eq!((losses.0.len(), losses.0[3]), (4, report.epochs[0].train_loss));
}

#[test]
fn an_error_of_an_observer_ends_the_fit_with_a_network_that_can_be_used() {
    let data = data();
    // When it fails, epochs that stand, and whether optimizers remember them.
    for (at, stand) in [("start", 0), ("step 2.3", 1), ("epoch 2", 2), ("best 2", 2), ("end", 2)] {
        let mut reference = builder().build().unwrap();
        if stand > 0 {
            reference.fit(&data, &config(stand)).unwrap();
        }
        for panics in [false, true] {
            let mut fails = Scripted(|call: &str, _: &Net| match call.starts_with(at) {
                true if panics => panic!("at {call}"),
                true => Err(Error::Io { path: "mine".into(), source: io::Error::other("full") }),
                false => GO_ON,
            });
            let mut calls = 0;
            let mut other = Scripted(|call: &str, _: &Net| {
                calls += usize::from(call.starts_with(at));
                GO_ON
            });
            let mut net = builder().build().unwrap();
            let mut quiet = |_: &EpochReport| ControlFlow::Continue(());
            let error = net.fit_observed(&data, &config(2), &mut [&mut quiet, &mut fails, &mut other]).unwrap_err();
            match error {
                Error::Io { source, .. } if !panics => assert_eq!(source.to_string(), "full"),
                Error::ObserverPanicked { observer: 1, method, message } if panics => {
                    let called = at.split(' ').next().unwrap();
                    assert_eq!(method, if called == "best" { "new_best" } else { called });
                    assert!(message.starts_with(&format!("at {at}")), "{message}");
                }
                other => panic!("{at}: {other:?}"),
            }
            assert_eq!((calls, net.epochs(), params(&net)), (0, stand, params(&reference)), "{at}");
            assert_eq!(net.bank().is_some(), at != "start");
            net.fit(&data, &config(1)).unwrap();
        }
    }
}

#[test]
fn the_best_epoch_is_that_of_the_lowest_loss_and_never_a_nan() {
    let data = data();
    let mut net = builder().build().unwrap();
    let mut report = net.fit(&data, &config(5).validation(&data)).unwrap();
    let best = |report: &FitReport| report.best().map(|epoch| epoch.epoch);
    for (losses, expected) in [
        ([3.0, 1.0, 2.0, 1.0, 4.0], Some(2)),
        ([f64::NAN, 5.0, f64::NAN, 4.0, -f64::NAN], Some(4)),
        ([f64::INFINITY, f64::NAN, f64::NAN, f64::NAN, f64::NAN], Some(1)),
        ([f64::NAN; 5], None),
    ] {
        for (epoch, loss) in report.epochs.iter_mut().zip(losses) {
            epoch.validation = Some(Scores { loss, score: None });
        }
        assert_eq!(best(&report), expected, "{losses:?}");
    }
    // Without validation it is the training loss, which falls.
    report.epochs.iter_mut().for_each(|epoch| epoch.validation = None);
    assert!(report.epochs.windows(2).all(|pair| pair[1].train_loss < pair[0].train_loss));
    assert_eq!(best(&report), Some(5));
}

#[test]
fn a_new_best_is_told_when_the_loss_is_below_all_before() {
    let data = data();
    // On the way from 0 to their targets, outputs come near half of them and go away again.
    let halves = DMatrix::from_fn(2, 150, |i, j| data.targets().column(j)[i] / 2.0);
    let inputs = DMatrix::from_fn(3, 150, |i, j| data.inputs().column(j)[i]);
    let examples = |matrix| Examples::from_column_matrix(matrix).unwrap();
    let halves = Dataset::regression(examples(inputs), examples(halves)).unwrap();
    let mut net = builder().build().unwrap();
    let (mut told, mut thinned, mut every) = (Vec::new(), Vec::new(), Vec::new());
    let mut tell = Scripted(|call: &str, _: &Net| {
        told.extend(call.strip_prefix("best ").map(|epoch| epoch.parse::<usize>().unwrap()));
        GO_ON
    });
    let mut thin = OnNewBest::new(|epoch: &EpochReport| {
        thinned.push(epoch.epoch);
        ControlFlow::Continue(())
    });
    let mut every_third = Every::new(3, |epoch: &EpochReport| {
        every.push(epoch.epoch);
        ControlFlow::Continue(())
    });
    let report = net
        .fit_observed(&data, &config(10).validation(&halves), &mut [&mut tell, &mut thin, &mut every_third])
        .unwrap();
    // The count goes on in another fit.
    net.fit_observed(&data, &config(3), &mut [&mut every_third]).unwrap();
    assert_eq!(every, [3, 6, 9, 12]);
    let mut lowest = f64::INFINITY;
    let mut expected = Vec::new();
    for epoch in &report.epochs {
        let loss = epoch.validation.unwrap().loss;
        if loss < lowest {
            lowest = loss;
            expected.push(epoch.epoch);
        }
    }
    assert!(expected.len() > 1 && expected.len() < 10, "{expected:?}");
    assert_eq!((&told, &thinned), (&expected, &expected));
}

#[test]
fn what_thins_out_epochs_passes_all_else_on() {
    let data = data();
    for best in [false, true] {
        let mut calls = Vec::new();
        let inner = Scripted(|call: &str, _: &Net| {
            calls.push(call.to_owned());
            if call == "epoch 2" { STOP } else { GO_ON }
        });
        let mut net = builder().build().unwrap();
        let config = config(5).full_batch();
        let report = match best {
            true => net.fit_observed(&data, &config, &mut [&mut OnNewBest::new(inner)]),
            false => net.fit_observed(&data, &config, &mut [&mut Every::new(2, inner)]),
        };
        assert_eq!(report.unwrap().stop, StopReason::Observer);
        let epoch_1: &[&str] = if best { &["epoch 1", "best 1"] } else { &["best 1"] };
        let epoch_2 = ["step 2.1", "epoch 2", "best 2"];
        // The network of the end is not that of the best epoch, as far as one who sees only the best can tell.
        let end: &[&str] = if best { &[] } else { &["end, Observer"] };
        let expected = [&["start at 1, 5 epochs of 1", "step 1.1"], epoch_1, &epoch_2, end].concat();
        assert_eq!(calls, expected);
    }
    let mut stopping = EarlyStopping::new();
    let state = [4.0, 1.0, 3.0, 0.5];
    Observer::<f64>::set_state(&mut stopping, &state).unwrap();
    let (mut every, mut on_best) = (Every::new(2, stopping.clone()), OnNewBest::new(stopping));
    assert_eq!((Observer::<f64>::state(&every), Observer::<f64>::state(&on_best)), (state.to_vec(), state.to_vec()));
    assert!(Observer::<f64>::set_state(&mut every, &[]).is_err());
    assert!(Observer::<f64>::set_state(&mut on_best, &[]).is_err());
}

#[test]
fn every_epoch_is_a_choice_of_every_and_none_is_not() {
    let mut seen = Vec::new();
    let mut every = Every::new(1, |epoch: &EpochReport| {
        seen.push(epoch.epoch);
        ControlFlow::Continue(())
    });
    builder().build().unwrap().fit_observed(&data(), &config(3), &mut [&mut every]).unwrap();
    assert_eq!(seen, [1, 2, 3]);
    let mut never = Every::new(0, |_: &EpochReport| ControlFlow::Continue(()));
    let found = builder().build().unwrap().fit_observed(&data(), &config(3), &mut [&mut never]);
    assert!(matches!(found, Err(Error::HyperParameter { .. })), "{found:?}");
}

#[test]
fn an_observer_that_keeps_nothing_takes_nothing_back() {
    let mut watch = |_: &EpochReport| ControlFlow::Continue(());
    assert!(Observer::<f64>::state(&watch).is_empty());
    Observer::<f64>::set_state(&mut watch, &[]).unwrap();
    let found = Observer::<f64>::set_state(&mut watch, &[1.0]);
    assert!(matches!(found, Err(Error::Shape { expected: 0, found: 1, .. })), "{found:?}");
}

/// What `keras.callbacks.EarlyStopping` is documented to do, on one sequence of the monitored number: epochs run, the epoch whose
/// weights are restored, both counted from 0, and whether it stopped.
fn keras(values: &[f64], options: &Options) -> (usize, Option<usize>, bool) {
    let Options { maximise, min_delta, patience, baseline, start_from_epoch } = *options;
    let improves = |value: f64, reference: f64| match maximise {
        true => value - min_delta > reference,
        false => value + min_delta < reference,
    };
    let mut best = if maximise { f64::NEG_INFINITY } else { f64::INFINITY };
    let mut restored = None;
    let mut waited = 0;
    for (epoch, &value) in values.iter().enumerate().skip(start_from_epoch) {
        // The first epoch that is monitored is the one to restore until another is better.
        restored.get_or_insert(epoch);
        waited += 1;
        if improves(value, best) {
            best = value;
            restored = Some(epoch);
            if baseline.is_none_or(|baseline| improves(value, baseline)) {
                waited = 0;
            }
        } else if waited >= patience && epoch > 0 {
            return (epoch + 1, restored, true);
        }
    }
    (values.len(), restored, false)
}

#[derive(Clone, Copy, Debug)]
struct Options {
    maximise: bool,
    min_delta: f64,
    patience: usize,
    baseline: Option<f64>,
    start_from_epoch: usize,
}

impl Options {
    fn draw(rng: &mut ChaCha12Rng) -> Self {
        Self {
            maximise: rng.random(),
            min_delta: [0.0, 0.0, 0.125, 0.5][rng.random_range(0..4)],
            patience: rng.random_range(0..5),
            baseline: [None, Some(0.5), Some(1.0)][rng.random_range(0..3)],
            start_from_epoch: [0, 0, 1, 3, 20][rng.random_range(0..5)],
        }
    }

    fn observer(&self, by_mode: bool) -> EarlyStopping {
        let monitor = match (self.maximise, by_mode) {
            (true, false) => Monitor::ValidationScore,
            _ => Monitor::ValidationLoss,
        };
        let stopping = EarlyStopping::new().monitor(monitor).min_delta(self.min_delta).patience(self.patience);
        let stopping = self.baseline.into_iter().fold(stopping, EarlyStopping::baseline);
        let mode = if self.maximise { Mode::Max } else { Mode::Min };
        let stopping = if by_mode { stopping.mode(mode) } else { stopping };
        stopping.start_from_epoch(self.start_from_epoch).restore_best_weights()
    }
}

/// Few different numbers, so that some are equal or just min_delta apart; some are odd.
fn draw_values(rng: &mut ChaCha12Rng) -> Vec<f64> {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let mut value = || match rng.random_range(0..12) {
        k @ 0..3 if rng.random_range(0..3) > 0 || k == 0 => odd[k],
        _ => rng.random_range(0..16) as f64 / 8.0,
    };
    (0..12).map(|_| value()).collect()
}

/// Remembers the parameters after every epoch.
fn remember(all: &mut Vec<Vec<Vec<f64>>>) -> impl Observer<f64> + '_ {
    Scripted(move |call: &str, net: &Net| {
        if call.starts_with("epoch") {
            all.push(params(net));
        }
        GO_ON
    })
}

#[test]
fn early_stopping_does_as_keras_does() {
    let data = data();
    let start = builder().threads(1).build().unwrap();
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let (mut stopped, mut went_on) = (0, 0);
    for case in 0..400 {
        let (values, options) = (draw_values(&mut rng), Options::draw(&mut rng));
        let (epochs, restored, stops) = keras(&values, &options);
        let mut stopping = options.observer(case % 2 == 0);
        let (mut net, mut all) = (start.clone(), Vec::new());
        let report = net
            .fit_observed(
                &data,
                &config(values.len()).full_batch(),
                &mut [&mut remember(&mut all), &mut WithLosses { losses: &values, inner: &mut stopping }],
            )
            .unwrap();
        let reason = if stops { StopReason::EarlyStopping } else { StopReason::Epochs };
        assert_eq!((report.stop, report.epochs.len()), (reason, epochs), "{values:?}, {options:?}");
        let expected = &all[restored.unwrap_or(epochs - 1)];
        assert_eq!(&params(&net), expected, "{values:?}, {options:?}");
        if let Some((best, value)) = stopping.best() {
            assert_eq!((Some(best - 1), value), (restored, values[best - 1]), "{values:?}, {options:?}");
        }
        if stops { stopped += 1 } else { went_on += 1 }
    }
    assert!(stopped > 50 && went_on > 50, "{stopped} stopped, {went_on} went on");
}

#[test]
fn early_stopping_goes_on_from_its_state_as_if_never_interrupted() {
    let data = data();
    let start = builder().threads(1).build().unwrap();
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let mut stopped = 0;
    for _ in 0..100 {
        let (values, options) = (draw_values(&mut rng), Options::draw(&mut rng));
        let (epochs, restored, stops) = keras(&values, &options);
        if epochs < 5 {
            continue;
        }
        let config = config(4).full_batch();
        let (mut net, mut all) = (start.clone(), Vec::new());
        // The first fit is left as it is: a checkpoint is of its middle.
        let mut first = options.observer(false);
        let mut state = Vec::new();
        {
            let mut remember = remember(&mut all);
            let mut shown = WithLosses { losses: &values, inner: &mut first };
            let mut take = Unrestored(&mut shown);
            net.fit_observed(&data, &config, &mut [&mut remember, &mut take]).unwrap();
        }
        state.extend(Observer::<f64>::state(&first));
        let mut second = options.observer(false);
        Observer::<f64>::set_state(&mut second, &state).unwrap();
        assert_eq!(Observer::<f64>::state(&second), state);
        let report = {
            let mut remember = remember(&mut all);
            let mut shown = WithLosses { losses: &values, inner: &mut second };
            net.fit_observed(&data, &config.epochs(values.len() - 4), &mut [&mut remember, &mut shown]).unwrap()
        };
        assert_eq!((4 + report.epochs.len(), report.stop == StopReason::EarlyStopping), (epochs, stops));
        assert_eq!(params(&net), all[restored.unwrap_or(epochs - 1)], "{values:?}, {options:?}");
        stopped += usize::from(stops);
    }
    assert!(stopped > 10, "{stopped}");
}

/// Keeps the end from another observer.
struct Unrestored<'a, O>(&'a mut O);

impl<O: Observer<f64>> Observer<f64> for Unrestored<'_, O> {
    fn start(&mut self, plan: &Plan, network: &Net) -> Result<()> {
        self.0.start(plan, network)
    }

    fn epoch(&mut self, epoch: &Epoch<'_, f64>) -> Flow {
        self.0.epoch(epoch)
    }
}

#[test]
fn early_stopping_begins_anew_in_a_fit_that_is_not_given_a_state() {
    let (data, losses) = (data(), [1.0, 2.0, 5.0, 6.0]);
    let mut stopping = EarlyStopping::new();
    let mut net = builder().build().unwrap();
    for best in [(1, 1.0), (3, 5.0)] {
        let report =
            net.fit_observed(&data, &config(9), &mut [&mut WithLosses { losses: &losses, inner: &mut stopping }]);
        assert_eq!((report.unwrap().epochs.len(), stopping.best()), (2, Some(best)));
    }
}

#[test]
fn early_stopping_refuses_what_makes_no_sense_before_anything_changes() {
    let data = data();
    let mut net = builder().build().unwrap();
    let fresh = params(&net);
    let new = EarlyStopping::new;
    for (mut stopping, expected) in [
        (new().min_delta(-1e-3), "EarlyStopping::min_delta must be non-negative and finite, found -0.001"),
        (new().min_delta(f64::NAN), "EarlyStopping::min_delta must be non-negative and finite, found NaN"),
        (new().baseline(f64::INFINITY), "EarlyStopping::baseline must be finite, found inf"),
        (
            new().monitor(Monitor::ValidationLoss),
            "monitoring the validation: there is none; give FitConfig::validation or FitConfig::validation_fraction",
        ),
        (
            new().monitor(Monitor::TrainScore),
            "monitoring the score: there is none for real-valued targets; give class labels, multi-label data or FitConfig::metric",
        ),
    ] {
        let error = net.fit_observed(&data, &config(2), &mut [&mut stopping]).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let error = net.fit_observed(&data, &config(2), &mut [&mut Every::new(0, new())]).unwrap_err();
    assert_eq!(error.to_string(), "Every::epochs must be at least 1, found 0");
    let mut other = new();
    Observer::<f64>::set_state(&mut other, &[1.0, 0.0, 1.0, 0.5, 7.0]).unwrap();
    let error = net.fit_observed(&data, &config(2), &mut [&mut other]).unwrap_err();
    assert!(matches!(error, Error::Shape { expected: 90, found: 1, .. }), "{error}");
    assert_eq!((net.epochs(), params(&net), net.bank().is_none()), (0, fresh, true));

    let nan = f64::NAN;
    for bad in [
        &[][..],
        &[0.0; 3],
        &[0.5, 0.0, 0.0, 1.0],
        &[0.0, -1.0, 0.0, 1.0],
        &[0.0, 0.0, nan, 1.0],
        &[0.0, 0.0, 0.0, nan],
    ] {
        assert!(Observer::<f64>::set_state(&mut new(), bad).is_err(), "{bad:?}");
    }
    assert!(Observer::<f64>::set_state(&mut new(), &[0.0, 0.0, 0.0, 1.0, f64::INFINITY]).is_err());
}

#[test]
fn the_last_layer_is_refitted_to_the_weights_that_are_restored() {
    let data = data();
    let losses = [2.0, 1.0, 3.0, 3.0];
    let mut net = builder().build().unwrap();
    let (mut all, mut stopping) = (Vec::new(), EarlyStopping::new().patience(2).restore_best_weights());
    let config = config(9).method(Method::mac(3).finish(true));
    let report = net
        .fit_observed(
            &data,
            &config,
            &mut [&mut remember(&mut all), &mut WithLosses { losses: &losses, inner: &mut stopping }],
        )
        .unwrap();
    assert_eq!((params(&net)[..2] == all[1][..2], params(&net)[2] == all[1][2]), (true, false));
    let mut best = net.clone();
    best.set_params(2, &all[1][2]).unwrap();
    let refit = report.refit.unwrap();
    assert!((refit.before - best.evaluate(&data).unwrap().loss).abs() < 1e-12);
    assert!((refit.after - net.evaluate(&data).unwrap().loss).abs() < 1e-12);
}

/// Numbers that are hard to write down.
const HARD: [f64; 8] = [0.1, f64::NAN, f64::INFINITY, -0.0, f64::MIN_POSITIVE, f64::NEG_INFINITY, 1.0 / 3.0, -f64::MAX];

/// What a history must say of an epoch: name, and the bits, if there is a number.
fn columns(epoch: &EpochReport, layers: usize) -> Vec<(String, Option<f64>)> {
    let named = |name: &str, value| (name.to_owned(), value);
    let mut columns = vec![
        named("epoch", Some(epoch.epoch as f64)),
        named("energy", Some(epoch.energy)),
        named("train_loss", Some(epoch.train_loss)),
        named("train_score", epoch.train_score),
        named("validation_loss", epoch.validation.map(|v| v.loss)),
        named("validation_score", epoch.validation.and_then(|v| v.score)),
        named("staleness", epoch.staleness),
        named("curvature", epoch.curvature),
        named("stability_margin", epoch.stability_margin),
        named("penalty_factor", Some(epoch.penalty_factor)),
        named("learning_rate_factor", Some(epoch.learning_rate_factor)),
        named("seconds", Some(epoch.time.as_secs_f64())),
    ];
    let number = |values: &[f64], i: usize| values.get(i).copied();
    columns.extend((1..=layers).map(|t| named(&format!("energy_{t}"), number(&epoch.energies, t - 1))));
    columns.extend((1..layers).map(|t| named(&format!("residual_{t}"), number(&epoch.residuals, t - 1))));
    let dead = |t: usize| epoch.dead_units.get(t - 1).map(|&units| units as f64);
    columns.extend((1..layers).map(|t| named(&format!("dead_units_{t}"), dead(t))));
    columns.extend((0..layers).map(|t| named(&format!("update_norm_{t}"), number(&epoch.update_norms, t))));
    columns
}

fn with_losses(report: &FitReport, losses: &[f64]) -> Vec<EpochReport> {
    let validation = |loss: f64| Some(Scores { loss, score: Some(loss) });
    let epochs = report.epochs.iter().zip(losses);
    epochs.map(|(epoch, &loss)| EpochReport { validation: validation(loss), ..epoch.clone() }).collect()
}

#[test]
fn a_history_in_csv_gives_every_number_back() {
    let data = data();
    for backprop in [false, true] {
        let mut text = Vec::new();
        let mut history = History::csv_to(&mut text);
        let mut net = builder().build().unwrap();
        let config = config(HARD.len());
        let mut shown = WithLosses { losses: &HARD, inner: &mut history };
        let report = match backprop {
            true => net.fit_backprop_observed(&data, &config, &mut [&mut shown]),
            false => net.fit_observed(&data, &config, &mut [&mut shown]),
        };
        let report = report.unwrap();
        drop(history);
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap().split(',').collect();
        let mut epochs = 0;
        for (line, epoch) in lines.zip(with_losses(&report, &HARD)) {
            let expected = columns(&epoch, 3);
            assert_eq!(names, expected.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(fields.len(), expected.len());
            for (field, (name, value)) in fields.iter().zip(expected) {
                let found = (!field.is_empty()).then(|| field.parse::<f64>().unwrap().to_bits());
                assert_eq!(found, value.map(f64::to_bits), "{name}: {field}");
            }
            epochs += 1;
        }
        assert_eq!((epochs, text.ends_with('\n')), (HARD.len(), true));
    }
}

#[test]
fn a_history_in_json_lines_gives_every_number_back() {
    let data = data();
    let mut text = Vec::new();
    let mut history = History::json_lines_to(&mut text);
    let mut net = builder().build().unwrap();
    let mut shown = WithLosses { losses: &HARD, inner: &mut history };
    let report = net.fit_observed(&data, &config(HARD.len()), &mut [&mut shown]).unwrap();
    drop(history);
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), HARD.len());
    for (line, epoch) in text.lines().zip(with_losses(&report, &HARD)) {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for (name, value) in &columns(&epoch, 3)[..12] {
            let expected = value.filter(|value| value.is_finite()).map(f64::to_bits);
            assert_eq!(row[name].as_f64().map(f64::to_bits), expected, "{name}: {line}");
            assert_eq!(row[name].is_null(), expected.is_none());
        }
        let array = |name: &str| row[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
        let dead: Vec<f64> = epoch.dead_units.iter().map(|&units| units as f64).collect();
        assert_eq!((array("energies"), array("residuals")), (epoch.energies, epoch.residuals));
        assert_eq!((array("dead_units"), array("update_norms")), (dead, epoch.update_norms));
        assert_eq!(row.len(), 16);
    }
}

#[test]
fn a_history_is_in_the_file_after_every_epoch_and_goes_on_there() {
    let (data, folder) = (data(), Folder::new("history"));
    for csv in [true, false] {
        let path = folder.0.join(if csv { "run.csv" } else { "run.jsonl" });
        let new = || if csv { History::csv(&path) } else { History::json_lines(&path) };
        fs::write(&path, "of an older run\n").unwrap();
        let head = usize::from(csv);
        let lines = || fs::read_to_string(&path).unwrap().lines().count();
        let mut net = builder().build().unwrap();
        let mut history = new();
        let mut look = |epoch: &EpochReport| {
            assert_eq!(lines(), head + epoch.epoch);
            ControlFlow::Continue(())
        };
        // The same value, then another that is told how far it was.
        net.fit_observed(&data, &config(2), &mut [&mut history, &mut look]).unwrap();
        net.fit_observed(&data, &config(1), &mut [&mut history, &mut look]).unwrap();
        let mut next = new();
        Observer::<f64>::set_state(&mut next, &Observer::<f64>::state(&history)).unwrap();
        drop(history);
        net.fit_observed(&data, &config(2), &mut [&mut next, &mut look]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let starts: Vec<String> = text.lines().skip(head).map(|line| line[..10].to_owned()).collect();
        let begin = |epoch: usize| if csv { format!("{epoch},") } else { format!("{{\"epoch\":{epoch}") };
        assert!((1..=5).zip(&starts).all(|(epoch, start)| start.starts_with(&begin(epoch))), "{text}");
        assert_eq!((lines(), starts.len()), (head + 5, 5));

        let mut afresh = new();
        Observer::<f64>::set_state(&mut afresh, &[0.0]).unwrap();
        net.fit_observed(&data, &config(1), &mut [&mut afresh]).unwrap();
        assert_eq!(lines(), head + 1);
    }
    for odd in [&[][..], &[0.5], &[-1.0], &[f64::NAN], &[1.0, 1.0]] {
        assert!(Observer::<f64>::set_state(&mut History::csv("x"), odd).is_err(), "{odd:?}");
    }
}

/// As of a process that is killed after it has written a row, and before the checkpoint of that epoch.
#[cfg(feature = "save")]
#[test]
fn a_history_that_is_ahead_of_its_checkpoint_has_every_row_once() {
    let (data, folder) = (data(), Folder::new("ahead"));
    let (path, checkpoint) = (folder.0.join("run.csv"), folder.0.join("run.safetensors"));
    let mut net = builder().build().unwrap();
    let mut history = History::csv(&path);
    net.fit_observed(&data, &config(2), &mut [&mut history]).unwrap();
    net.save_checkpoint(&checkpoint, &[&history]).unwrap();
    net.fit_observed(&data, &config(2), &mut [&mut history]).unwrap();
    drop(history);
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"5,0.1").unwrap();
    let whole = fs::read_to_string(&path).unwrap();

    let (mut net, mut history) = (builder().build().unwrap(), History::csv(&path));
    net.resume(&checkpoint, &mut [&mut history]).unwrap();
    net.fit_observed(&data, &config(3), &mut [&mut history]).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    // But for the seconds, the rows of epochs 3 and 4 are those that the first process wrote.
    let fields = |text: &str, line: usize| {
        let line = text.lines().nth(line).unwrap().split(',').enumerate();
        line.filter(|(column, _)| *column != 11).map(|(_, field)| field.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(text.lines().next().unwrap().split(',').nth(11), Some("seconds"));
    assert!((0..=4).all(|line| fields(&text, line) == fields(&whole, line)), "{text}\n{whole}");
    assert_eq!((text.lines().count(), fields(&text, 5)[0].as_str()), (6, "5"));

    // A file that is gone has nothing to go on below: it begins with the names.
    fs::remove_file(&path).unwrap();
    let (mut net, mut history) = (builder().build().unwrap(), History::csv(&path));
    net.resume(&checkpoint, &mut [&mut history]).unwrap();
    net.fit_observed(&data, &config(1), &mut [&mut history]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().next(), text.lines().next());
}

/// The epochs of a file's rows.
fn rows(path: &std::path::Path) -> Vec<usize> {
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.trim_start_matches("{\"epoch\":").split(',').next()?.parse().ok());
    rows.collect()
}

#[test]
fn a_history_without_its_state_empties_no_file_of_a_run_that_goes_on() {
    let (data, folder) = (data(), Folder::new("stateless"));
    for csv in [true, false] {
        let path = folder.0.join(if csv { "run.csv" } else { "run.jsonl" });
        let new = || if csv { History::csv(&path) } else { History::json_lines(&path) };
        let mut net = builder().build().unwrap();
        net.fit_observed(&data, &config(3), &mut [&mut new()]).unwrap();
        let before = fs::read(&path).unwrap();
        let error = net.fit_observed(&data, &config(2), &mut [&mut new()]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(&error, Error::Format { path: found, .. } if *found == path), "{error:?}");
        assert!(text.contains("a history of epochs before 4") && text.contains("History::append"), "{text}");
        assert_eq!((net.epochs(), fs::read(&path).unwrap()), (3, before));
        // Told to, it goes on.
        net.fit_observed(&data, &config(2), &mut [&mut new().append()]).unwrap();
        assert_eq!(rows(&path), [1, 2, 3, 4, 5]);
        let names = fs::read_to_string(&path).unwrap().lines().filter(|line| line.starts_with("epoch,")).count();
        assert_eq!(names, usize::from(csv));

        // One that was killed in the middle of its seventh row, after a checkpoint of the fourth epoch: a network of four epochs.
        net.fit_observed(&data, &config(1), &mut [&mut new().append()]).unwrap();
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"7,0.1").unwrap();
        let mut net = builder().build().unwrap();
        net.fit(&data, &config(4)).unwrap();
        net.fit_observed(&data, &config(1), &mut [&mut new().append()]).unwrap();
        assert_eq!(rows(&path), [1, 2, 3, 4, 5]);
        // A new run goes below, and when it goes on in turn, only its own rows make way.
        let mut net = builder().build().unwrap();
        net.fit_observed(&data, &config(3), &mut [&mut new().append()]).unwrap();
        assert_eq!(rows(&path), [1, 2, 3, 4, 5, 1, 2, 3]);
        let mut net = builder().build().unwrap();
        net.fit(&data, &config(1)).unwrap();
        net.fit_observed(&data, &config(1), &mut [&mut new().append()]).unwrap();
        assert_eq!(rows(&path), [1, 2, 3, 4, 5, 1, 2]);

        // Where there is none it begins one.
        fs::remove_file(&path).unwrap();
        net.fit_observed(&data, &config(1), &mut [&mut new().append()]).unwrap();
        assert_eq!((rows(&path), fs::read_to_string(&path).unwrap().lines().count()), (vec![3], 1 + usize::from(csv)));
    }
}

#[test]
fn a_history_is_not_put_below_what_is_none() {
    let (data, folder) = (data(), Folder::new("foreign"));
    let path = folder.0.join("file");
    let narrow = || Net::builder(3).dense(2, Activation::Identity).threads(1).build().unwrap();
    narrow().fit_observed(&data, &config(1), &mut [&mut History::csv(&path)]).unwrap();
    let of_another = fs::read(&path).unwrap();
    for csv in [true, false] {
        for text in [&b"notes\n"[..], b"notes\n1,2", b"notes", b"1,2\n", &of_another] {
            fs::write(&path, text).unwrap();
            let mut history = if csv { History::csv(&path) } else { History::json_lines(&path) }.append();
            let error = builder().build().unwrap().fit_observed(&data, &config(1), &mut [&mut history]).unwrap_err();
            assert!(matches!(&error, Error::Format { place, .. } if place == "line 1"), "{error:?}");
            assert_eq!(fs::read(&path).unwrap(), text);
        }
    }
    // A writer's rows are its own affair: the names are left out.
    let mut text = Vec::new();
    narrow().fit_observed(&data, &config(2), &mut [&mut History::csv_to(&mut text).append()]).unwrap();
    assert!(text.starts_with(b"1,") && text.iter().filter(|&&byte| byte == b'\n').count() == 2);
}

/// The same value, after its network went back.
#[test]
fn a_history_that_is_given_a_state_goes_back_to_it() {
    let (data, folder) = (data(), Folder::new("back"));
    let path = folder.0.join("run.csv");
    let (mut net, mut history) = (builder().build().unwrap(), History::csv(&path));
    net.fit_observed(&data, &config(2), &mut [&mut history]).unwrap();
    let (back, state) = (net.clone(), Observer::<f64>::state(&history));
    net.fit_observed(&data, &config(2), &mut [&mut history]).unwrap();
    assert_eq!(rows(&path), [1, 2, 3, 4]);
    Observer::<f64>::set_state(&mut history, &state).unwrap();
    net = back;
    net.fit_observed(&data, &config(1), &mut [&mut history]).unwrap();
    assert_eq!(rows(&path), [1, 2, 3]);
}

/// An error of a program's own.
#[derive(Debug, PartialEq)]
struct Own(usize);

impl std::fmt::Display for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the disk of machine {} is full", self.0)
    }
}

impl std::error::Error for Own {}

#[test]
fn an_error_of_an_observers_own_comes_back_as_it_is() {
    use std::error::Error as _;

    let data = data();
    for at in ["start", "step 1.1", "epoch 1", "best 1", "end"] {
        let mut fails = Scripted(|call: &str, _: &Net| match call.starts_with(at) {
            true => Err(Error::other(Own(7))),
            false => GO_ON,
        });
        let error = builder().build().unwrap().fit_observed(&data, &config(1), &mut [&mut fails]).unwrap_err();
        assert_eq!(error.to_string(), "the disk of machine 7 is full", "{at}");
        assert_eq!(error.source().unwrap().downcast_ref(), Some(&Own(7)), "{at}");
        match error {
            Error::Other { source } => assert_eq!(*source.downcast::<Own>().unwrap(), Own(7)),
            other => panic!("{other:?}"),
        }
    }
    // Any error will do, and a text.
    let fallible = || -> Result<()> { fs::read("").map(drop).map_err(Error::other) };
    assert!(fallible().unwrap_err().source().unwrap().is::<io::Error>());
    assert_eq!(Error::other("no room").to_string(), "no room");
}

/// Takes so many lines.
struct Narrow(usize);

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_history_or_table_that_cannot_be_written_is_an_error() {
    let (data, folder) = (data(), Folder::new("unwritable"));
    let mut net = builder().build().unwrap();
    let path = folder.0.join("nowhere").join("run.csv");
    let error = net.fit_observed(&data, &config(2), &mut [&mut History::csv(&path)]).unwrap_err();
    assert!(matches!(&error, Error::Io { path: found, .. } if *found == path), "{error}");
    assert_eq!((net.epochs(), net.bank().is_none()), (0, true));

    let (mut history, mut table) = (History::csv_to(Narrow(2)), Table::to(Narrow(1)));
    let full = |error: Error| matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull);
    assert!(full(net.fit_observed(&data, &config(3), &mut [&mut history]).unwrap_err()));
    assert_eq!(net.epochs(), 2);
    assert!(full(net.fit_observed(&data, &config(3), &mut [&mut table]).unwrap_err()));
    assert_eq!(net.epochs(), 4);
}

#[test]
fn a_table_has_a_line_an_epoch() {
    let data = data();
    let mut text = Vec::new();
    let mut table = Table::to(&mut text);
    let report = builder().build().unwrap().fit_observed(&data, &config(3), &mut [&mut table]).unwrap();
    drop(table);
    let expected: String = report.epochs.iter().map(|epoch| format!("{epoch}\n")).collect();
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}

#[test]
fn observers_may_be_boxed_and_shared_with_other_threads() {
    let data = data();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&seen);
    let mut boxes: Vec<Box<dyn Observer<f64>>> = vec![
        Box::new(EarlyStopping::new().patience(3)),
        Box::new(move |epoch: &EpochReport| {
            theirs.lock().unwrap().push(epoch.epoch);
            ControlFlow::Continue(())
        }),
    ];
    let mut observers: Vec<_> = boxes.iter_mut().map(|observer| &mut **observer as &mut dyn Observer<f64>).collect();
    builder().build().unwrap().fit_observed(&data, &config(2), &mut observers).unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 2]);
}
