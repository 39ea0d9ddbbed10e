//! A fit is watched: observers, reports, warnings and errors.

use std::ops::ControlFlow;

use decoupled::layer::Activation;
use decoupled::observer::{
    Checkpoint, EarlyStopping, Epoch, Every, History, LearningRateScheduler, Mode, Monitor, OnNewBest, Plan, Progress,
    ReduceLrOnPlateau, Step, Table,
};
use decoupled::{DecoupledNetwork, EpochReport, Error, FitConfig, FitReport, Observer, Result, StopReason, Warning};

use super::{Net, moons, net, path};

/// Writes down what it is called for.
#[derive(Debug, Default)]
struct Diary(Vec<&'static str>);

impl Observer<f64> for Diary {
    fn start(&mut self, plan: &Plan, _: &DecoupledNetwork<f64>) -> Result<()> {
        assert_eq!((plan.first_epoch, plan.epochs, plan.steps), (1, 4, 3));
        self.0.push("start");
        Ok(())
    }
    fn step(&mut self, step: &Step<'_, f64>) -> Result<ControlFlow<StopReason>> {
        assert!(step.number <= step.plan.steps);
        self.0.push("step");
        Ok(ControlFlow::Continue(()))
    }
    fn epoch(&mut self, _: &Epoch<'_, f64>) -> Result<ControlFlow<StopReason>> {
        self.0.push("epoch");
        Ok(ControlFlow::Continue(()))
    }
    fn new_best(&mut self, _: &Epoch<'_, f64>) -> Result<ControlFlow<StopReason>> {
        self.0.push("new_best");
        Ok(ControlFlow::Continue(()))
    }
    fn end(&mut self, _: &mut DecoupledNetwork<f64>, stop: StopReason) -> Result<()> {
        assert_eq!(stop, StopReason::Observer);
        self.0.push("end");
        Ok(())
    }
    fn state(&self) -> Vec<f64> {
        vec![self.0.len() as f64]
    }
    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        self.0.resize(state[0] as usize, "before");
        Ok(())
    }
}

#[test]
fn observers_of_every_kind_watch_one_fit() -> Result<()> {
    let (mut net, data) = (net(), moons());
    let (csv, json, checkpoint) = (path("history.csv"), path("history.jsonl"), path("checkpoint"));
    let (mut rows, mut lines, mut table) = (Vec::new(), Vec::new(), Vec::new());
    let (mut diary, mut beside) = (Diary::default(), EarlyStopping::new());
    let mut stopping = EarlyStopping::new()
        .monitor(Monitor::ValidationLoss)
        .mode(Mode::Min)
        .min_delta(0.0)
        .patience(50)
        .baseline(10.0)
        .start_from_epoch(1)
        .restore_best_weights();
    let mut scored = EarlyStopping::new().monitor(Monitor::TrainScore).mode(Mode::Max).patience(50);
    let mut third =
        |epoch: &EpochReport| if epoch.epoch == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let config = FitConfig::new().epochs(4).batch_size(10).validation(&data);
    let report: FitReport = net.fit_observed(
        &data,
        &config,
        &mut [
            &mut diary,
            &mut History::csv(&csv),
            &mut History::csv_to(&mut rows),
            &mut Every::new(2, History::json_lines(&json)),
            &mut OnNewBest::new(History::json_lines_to(&mut lines)),
            &mut Table::to(&mut table),
            &mut Progress::new(),
            &mut stopping,
            &mut scored,
            &mut Checkpoint::new(&checkpoint).every(1).beside(&mut beside),
            &mut third,
        ],
    )?;
    assert_eq!((report.stop, report.epochs.len()), (StopReason::Observer, 3));
    assert_eq!(diary.0.iter().filter(|call| **call == "step").count(), 9);
    assert!(diary.0.starts_with(&["start", "step"]) && diary.0.contains(&"new_best") && diary.0.ends_with(&["end"]));
    assert_eq!(std::fs::read(&csv).unwrap(), rows);
    assert!(checkpoint.exists() && !lines.is_empty() && !table.is_empty());
    assert_eq!(stopping.best().map(|(epoch, _)| epoch), report.best().map(|epoch| epoch.epoch));
    assert!(scored.best().is_some() && report.time() >= report.epochs[0].time);
    let of = |monitor: Monitor| monitor.value(&report.epochs[0]);
    assert_eq!(of(Monitor::Loss), of(Monitor::ValidationLoss));
    assert!(of(Monitor::TrainLoss).is_some() && of(Monitor::ValidationScore).is_some());
    let _ = Table::new();
    Ok(())
}

#[test]
fn observers_set_the_rate_and_keep_the_best() -> Result<()> {
    let (data, history, best) = (moons(), path("rates.csv"), path("best"));
    let mut reduce = ReduceLrOnPlateau::new()
        .monitor(Monitor::TrainLoss)
        .mode(Mode::Min)
        .factor(0.5)
        .patience(1)
        .min_delta(1e9)
        .cooldown(0)
        .min_factor(0.25);
    let mut scheduler = LearningRateScheduler::new(|epoch| 1.0 / epoch as f64);
    let mut checkpoint = Checkpoint::new(&best)
        .best_only()
        .monitor(Monitor::TrainScore)
        .mode(Mode::Max)
        .initial_value_threshold(0.0)
        .beside(&mut scheduler);
    assert_eq!(Observer::<f64>::learning_rate_factor(&mut reduce, 1)?, 1.0);
    let mut rows = History::csv(&history).append();
    let config = FitConfig::new().epochs(4);
    let report = net().fit_observed(&data, &config, &mut [&mut reduce, &mut checkpoint, &mut rows])?;
    let factors: Vec<f64> = report.epochs.iter().map(|epoch| epoch.learning_rate_factor).collect();
    assert_eq!(factors, [1.0, 0.5, 0.5 / 3.0, 0.25 / 4.0]);
    assert!(checkpoint.best().is_some() && best.exists());
    assert_eq!(std::fs::read_to_string(&history).unwrap().lines().count(), 5);
    Ok(())
}

#[test]
fn early_stopping_says_so() -> Result<()> {
    let mut stopping = EarlyStopping::new().patience(1).min_delta(1e9);
    let report = net().fit_observed(&moons(), &FitConfig::new().epochs(9), &mut [&mut stopping])?;
    assert_eq!(report.stop, StopReason::EarlyStopping);
    Ok(())
}

/// What a warning is of.
fn concern(warning: &Warning) -> &'static str {
    match warning {
        Warning::EnergyAndLossPart { .. } => "energy and loss part",
        Warning::Overshoot { .. } => "overshooting",
        Warning::OutOfReach { .. } => "layers out of reach",
        Warning::SignalFades { .. } => "a fading signal",
        Warning::DeadUnits { .. } => "dead units",
        Warning::TurnsAway { .. } => "gradients that turn away",
        Warning::NoDerivative { .. } => "no derivative",
        Warning::LearnedNothing { .. } => "nothing learned",
        Warning::BoundedLogits { .. } => "logits within bounds",
        Warning::NothingToTrain { .. } => "nothing to train",
        Warning::StoodStill { .. } => "a rate of zero",
        Warning::FeatureScales { .. } => "features far from unit size",
        Warning::FeaturePrecision { .. } => "values that cannot be told apart",
        Warning::TargetsAlike { .. } => "a single target",
        _ => "something new",
    }
}

#[test]
fn reports_warn() -> Result<()> {
    let mut net = Net::builder(2).dense(3, Activation::Sign).dense(2, Activation::Identity).threads(1).build()?;
    let report = net.fit(&moons(), &FitConfig::new().epochs(1))?;
    assert!(report.warnings.iter().map(concern).any(|concern| concern == "no derivative"));
    Ok(())
}

/// Whose fault an error is.
fn fault(error: &Error) -> &'static str {
    match error {
        Error::Empty { .. } | Error::Shape { .. } | Error::NotFinite { .. } | Error::LabelOutOfRange { .. } => "data",
        Error::Target { .. } | Error::ExampleIndex { .. } | Error::ExampleCount { .. } | Error::Weight { .. } => "data",
        Error::LayerMismatch { .. } | Error::ZeroWidth { .. } | Error::InLayer { .. } => "layers",
        Error::LayerIndex { .. } | Error::ParameterNotFinite { .. } | Error::Incapable { .. } => "layers",
        Error::HyperParameter { .. } | Error::LossMismatch { .. } | Error::Unsupported { .. } => "settings",
        Error::InDimension { .. } | Error::Metric { .. } => "what is judged",
        Error::BankTooLarge { .. } | Error::BankInUse { .. } | Error::OutOfMemory { .. } => "room",
        Error::Diverged { .. } | Error::NotPositiveDefinite { .. } => "numbers",
        Error::Panicked { .. } | Error::ObserverPanicked { .. } | Error::CandidatePanicked { .. } => "own code",
        Error::Contract { .. } => "own code",
        Error::Other { .. } => "own code",
        Error::Io { .. } | Error::Format { .. } | Error::NotAFile { .. } => "a file",
        Error::UnknownCategory { .. } => "a file",
        Error::ThreadPool { .. } => "the system",
        _ => "something new",
    }
}

#[test]
fn errors_are_told_apart() {
    let refused = |outcome: Result<Net>| outcome.map_err(|error| fault(&error)).map(drop).unwrap_err();
    assert_eq!(refused(Net::builder(2).build()), "data");
    assert_eq!(refused(Net::builder(2).dense(0, Activation::Relu).build()), "layers");
    assert_eq!(refused(Net::builder(2).dense(1, Activation::Relu).penalty(-1.0).build()), "settings");
    assert_eq!(refused(Err(Error::other("no answer"))), "own code");
}
