//! A fit that was interrupted, and what its checkpoint gives back.
#![cfg(feature = "save")]

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use decoupled::layer::Activation;
use decoupled::loss::SquaredError;
use decoupled::observer::{Checkpoint, EarlyStopping, Epoch};
use decoupled::optimizer::{Adam, Schedule, Scheduled, Sgd};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, Method, NetworkBuilder, Observer, Penalty, Raise, Reads,
    Result, Start, StopReason, Storage, Watch, data,
};

type Net = DecoupledNetwork<f64>;

const EPOCHS: usize = 5;

/// A path that goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("decoupled-checkpoint-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn examples() -> Dataset<f64> {
    data::two_moons(60, 0.2, 3).unwrap()
}

fn builder() -> NetworkBuilder<f64> {
    let rule = Scheduled::new(Adam::new(0.01), Schedule::Cosine { total: 40, floor: 0.1 });
    DecoupledNetwork::builder(2)
        .dense(7, Activation::Tanh)
        .dense(5, Activation::Relu)
        .dense(2, Activation::Identity)
        .optimizer(rule)
        .layer_optimizer(1, Sgd::new(0.01).momentum(0.9))
        .threads(2)
}

fn config(epochs: usize) -> FitConfig<'static, f64> {
    FitConfig::new().epochs(epochs).batch_size(16).seed(4)
}

/// A name, a network, and a method unless it is backpropagation.
type Way = (&'static str, NetworkBuilder<f64>, Option<Method<f64>>);

/// Ways to train, each with what it keeps between visits: nothing, activations, the memory of their optimizer, multipliers, rising
/// penalties, moments.
fn ways() -> Vec<Way> {
    let raised = Penalty::Raised(Raise { watch: Watch::ForwardLoss, factor: 2.0, progress: 0.2, most: 50.0 });
    let persisted = Method::predictive_coding(2, 0.1).start(Start::Persisted).reads(Reads::Stored);
    let mut remembering = Method::bcd(1.0);
    let squared = || builder().output_loss(SquaredError);
    let ridge = decoupled::Ridge { ridge: 0.1, proximal: 0.1, memory: 0.5, trust: None };
    let parameter = decoupled::ParameterStep::new(Reads::Forward).solver(decoupled::Solver::Ridge(ridge));
    remembering = remembering.parameter(parameter).activation(Method::local_targets(1).activation_step().clone());
    vec![
        ("backpropagation", builder(), None),
        ("default", builder(), Some(Method::default())),
        ("joint", builder(), Some(Method::joint(0.1))),
        ("momentum", builder(), Some(Method::joint(0.1).activation_optimizer(Sgd::new(0.05).momentum(0.5)))),
        ("adam on activations", builder(), Some(Method::joint(0.1).activation_optimizer(Adam::new(0.01)))),
        ("multipliers", builder(), Some(Method::alm(0.7))),
        ("rising penalties", builder(), Some(persisted.penalty(raised))),
        ("half the bytes", builder().bank_storage(Storage::Bf16), Some(Method::joint(0.1))),
        ("moments", squared().store_pre_activations(), Some(remembering.start(Start::Anchored))),
    ]
}

fn fit(
    net: &mut Net,
    method: Option<&Method<f64>>,
    epochs: usize,
    observers: &mut [&mut dyn Observer<f64>],
) -> Result<Vec<EpochReport>> {
    let report = match method {
        Some(method) => net.fit_observed(&examples(), &config(epochs).method(method.clone()), observers),
        None => net.fit_backprop_observed(&examples(), &config(epochs), observers),
    }?;
    Ok(report.epochs.into_iter().map(|epoch| EpochReport { time: Default::default(), ..epoch }).collect())
}

fn params(net: &Net) -> Vec<Vec<f64>> {
    (0..net.depth()).map(|t| net.params(t).to_vec()).collect()
}

fn assert_same(name: &str, a: &Net, b: &Net) {
    assert_eq!(params(a), params(b), "{name}");
    assert_eq!(a.bank(), b.bank(), "{name}");
    assert_eq!((a.epochs(), a.updates()), (b.epochs(), b.updates()), "{name}");
}

#[test]
fn a_fit_resumed_after_any_epoch_is_the_one_that_was_never_interrupted() {
    let scratch = Scratch::new("resume");
    for (name, builder, method) in ways() {
        let method = method.as_ref();
        let mut whole = builder.clone().build().unwrap();
        let path = scratch.file("every");
        // After every epoch a copy of what the observer wrote.
        let kept: Vec<_> = (1..=EPOCHS).map(|epoch| scratch.file(&format!("after-{epoch}"))).collect();
        let mut copy = Copying { from: path.clone(), to: kept.clone() };
        let mut checkpoint = Checkpoint::new(&path);
        let epochs = fit(&mut whole, method, EPOCHS, &mut [&mut checkpoint, &mut copy]).unwrap();
        for (done, kept) in (1..).zip(&kept) {
            let mut resumed = builder.clone().build().unwrap();
            resumed.resume(kept, &mut []).unwrap();
            assert_eq!(resumed.epochs(), done, "{name}");
            if done < EPOCHS {
                let rest = fit(&mut resumed, method, EPOCHS - done, &mut []).unwrap();
                assert_eq!(rest, epochs[done..], "{name}, after {done}");
            }
            assert_same(name, &resumed, &whole);
        }
    }
}

struct Copying {
    from: PathBuf,
    to: Vec<PathBuf>,
}

impl Observer<f64> for Copying {
    fn epoch(&mut self, epoch: &Epoch<'_, f64>) -> Result<ControlFlow<StopReason>> {
        fs::copy(&self.from, &self.to[epoch.report.epoch - 1]).unwrap();
        Ok(ControlFlow::Continue(()))
    }
}

#[test]
fn the_ways_above_do_keep_what_they_are_there_for() {
    let keeps = |name: &str| {
        let (_, builder, method) = ways().into_iter().find(|way| way.0 == name).unwrap();
        let mut net = builder.build().unwrap();
        let epochs = fit(&mut net, method.as_ref(), EPOCHS, &mut []).unwrap();
        (net, epochs)
    };
    let (multipliers, _) = keeps("multipliers");
    assert!(multipliers.bank().unwrap().multipliers(1).unwrap().iter().any(|&m| m != 0.0));
    let (_, epochs) = keeps("rising penalties");
    let factors: Vec<f64> = epochs.iter().map(|epoch| epoch.penalty_factor).collect();
    assert!(factors[0] == 1.0 && factors[EPOCHS - 1] > 1.0, "{factors:?}");
    let (half, full) = (keeps("half the bytes").0, keeps("joint").0);
    assert!(half.bank().unwrap().bytes() < full.bank().unwrap().bytes());
}

#[test]
fn early_stopping_counts_on_across_a_kill_at_any_epoch() {
    let scratch = Scratch::new("stopping");
    let data = examples();
    let (train, held_out) = data.stratified_split(0.7, 1).unwrap();
    let stopping = || EarlyStopping::new().patience(3).min_delta(0.02).restore_best_weights();
    let config = |epochs| config(epochs).validation(&held_out);
    let mut whole = builder().build().unwrap();
    let mut own = stopping();
    let report = whole.fit_observed(&train, &config(60), &mut [&mut own]).unwrap();
    assert_eq!(report.stop, StopReason::EarlyStopping);
    let stopped_after = report.epochs.len();

    for killed_after in [1, 2, stopped_after - 3, stopped_after - 1] {
        let path = scratch.file("run");
        let (mut first, mut killed) = (builder().build().unwrap(), stopping());
        let mut checkpoint = Checkpoint::new(&path).beside(&mut killed);
        let mut kill = |epoch: &EpochReport| match epoch.epoch == killed_after {
            true => panic!("killed"),
            false => ControlFlow::Continue(()),
        };
        let outcome = first.fit_observed(&train, &config(60), &mut [&mut checkpoint, &mut kill]);
        assert!(matches!(outcome, Err(Error::ObserverPanicked { .. })));

        let (mut second, mut again) = (builder().build().unwrap(), stopping());
        second.resume(&path, &mut [&mut again]).unwrap();
        let mut checkpoint = Checkpoint::new(&path).beside(&mut again);
        let left = 60 - second.epochs();
        let report = second.fit_observed(&train, &config(left), &mut [&mut checkpoint]).unwrap();
        assert_eq!((report.stop, second.epochs()), (StopReason::EarlyStopping, stopped_after), "after {killed_after}");
        assert_eq!(params(&second), params(&whole), "after {killed_after}");
        assert_eq!(again.best(), own.best());
    }
}

/// Between two checkpoints, with weights to bring back at the end that are not those to go on from.
#[test]
fn a_fit_that_an_observer_broke_off_goes_on_where_it_was() {
    let scratch = Scratch::new("broken-off");
    let (train, held_out) = examples().stratified_split(0.7, 1).unwrap();
    let stopping = || EarlyStopping::new().patience(50).min_delta(10.0).restore_best_weights();
    let config = |epochs| config(epochs).validation(&held_out);
    let mut whole = builder().build().unwrap();
    let mut own = stopping();
    whole.fit_observed(&train, &config(9), &mut [&mut own]).unwrap();
    assert_eq!(own.best().unwrap().0, 1, "the weights to bring back are those of the first epoch");

    let path = scratch.file("run");
    let (mut first, mut broken) = (builder().build().unwrap(), stopping());
    let mut checkpoint = Checkpoint::new(&path).every(100).beside(&mut broken);
    let mut interrupt = |epoch: &EpochReport| match epoch.epoch == 4 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let report = first.fit_observed(&train, &config(9), &mut [&mut interrupt, &mut checkpoint]).unwrap();
    assert_eq!((report.stop, first.epochs()), (StopReason::Observer, 4));
    let (mut second, mut again) = (builder().build().unwrap(), stopping());
    second.resume(&path, &mut [&mut again]).unwrap();
    assert_ne!(params(&second), params(&first), "the first network has the weights that were brought back");
    let report = second.fit_observed(&train, &config(5), &mut [&mut again]).unwrap();
    assert_eq!((report.epochs.len(), again.best()), (5, own.best()));
    assert_same("broken off", &second, &whole);
    assert_eq!(Observer::<f64>::state(&again), Observer::<f64>::state(&own));
}

#[test]
fn a_checkpoint_is_a_model_file_as_well() {
    let scratch = Scratch::new("model");
    let path = scratch.file("run");
    let mut net = builder().build().unwrap();
    fit(&mut net, Some(&Method::joint(0.1)), 2, &mut []).unwrap();
    net.save_checkpoint(&path, &[]).unwrap();
    let loaded = Net::load(&path).unwrap();
    assert_eq!(params(&loaded), params(&net));
    assert!(loaded.bank().is_none());
    let mut other = builder().seed(9).build().unwrap();
    other.load_params(&path).unwrap();
    assert_eq!(params(&other), params(&net));
    // And a model file is no checkpoint.
    net.save(&path).unwrap();
    match other.resume(&path, &mut []) {
        Err(Error::Format { expected, found, .. }) => assert_eq!((&*expected, &*found), ("a checkpoint", "none")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_at_the_end_has_the_weights_that_were_brought_back() {
    let scratch = Scratch::new("end");
    let path = scratch.file("run");
    let (train, held_out) = examples().stratified_split(0.7, 1).unwrap();
    let (mut net, mut stopping) = (builder().build().unwrap(), EarlyStopping::new());
    stopping = stopping.patience(3).min_delta(0.02).restore_best_weights();
    let mut checkpoint = Checkpoint::new(&path).every(100).beside(&mut stopping);
    let config = config(60).validation(&held_out);
    let report = net.fit_observed(&train, &config, &mut [&mut checkpoint]).unwrap();
    let (best, loss) = stopping.best().unwrap();
    assert_eq!((report.stop, report.epochs.len()), (StopReason::EarlyStopping, best + 3));
    let mut resumed = builder().build().unwrap();
    resumed.resume(&path, &mut [&mut EarlyStopping::new()]).unwrap();
    assert_same("at the end", &resumed, &net);
    assert_eq!(resumed.evaluate(&held_out).unwrap().loss, loss);
}

#[test]
fn every_n_epochs_means_those_whose_number_it_divides() {
    let scratch = Scratch::new("every");
    let path = scratch.file("run");
    let mut net = builder().build().unwrap();
    let mut checkpoint = Checkpoint::new(&path).every(3);
    let mut kill = |epoch: &EpochReport| if epoch.epoch == 5 { panic!("killed") } else { ControlFlow::Continue(()) };
    fit(&mut net, None, 8, &mut [&mut checkpoint, &mut kill]).unwrap_err();
    let mut resumed = builder().build().unwrap();
    resumed.resume(&path, &mut []).unwrap();
    assert_eq!(resumed.epochs(), 3);
    let mut never = Checkpoint::new(&path).every(0);
    let found = fit(&mut net, None, 1, &mut [&mut never]).unwrap_err();
    assert!(matches!(found, Error::HyperParameter { .. }), "{found}");
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let scratch = Scratch::new("refused");
    let path = scratch.file("run");
    let method = Method::joint(0.1);
    let mut net = builder().build().unwrap();
    fit(&mut net, Some(&method), 2, &mut []).unwrap();
    let mut stopping = EarlyStopping::new();
    net.save_checkpoint(&path, &[&stopping]).unwrap();

    let wide = DecoupledNetwork::builder(2).dense(8, Activation::Tanh).dense(5, Activation::Relu);
    let others = [
        ("another width", wide.dense(2, Activation::Identity)),
        ("another activation", {
            let other = DecoupledNetwork::builder(2).dense(7, Activation::Sigmoid).dense(5, Activation::Relu);
            other.dense(2, Activation::Identity)
        }),
        ("another loss", builder().output_loss(decoupled::loss::SoftmaxCrossEntropy::new())),
        ("another optimizer", builder().optimizer(Adam::new(0.02))),
        ("another storage", builder().bank_storage(Storage::F32)),
        ("a smaller limit", builder().bank_limit(100)),
        ("a bank in a file", builder().bank_file(scratch.file("bank"), 10)),
    ];
    for (name, other) in others {
        let mut other = other.seed(5).build().unwrap();
        let before = (params(&other), other.epochs());
        let found = other.resume(&path, &mut [&mut stopping]).unwrap_err();
        match name {
            "a smaller limit" => assert!(matches!(found, Error::BankTooLarge { .. }), "{name}: {found}"),
            "a bank in a file" => assert!(matches!(found, Error::Unsupported { .. }), "{name}: {found}"),
            "another storage" => {
                let Error::Format { expected, found, .. } = &found else { panic!("{name}: {found}") };
                let text = |width| format!("hidden widths 7, 5 in numbers of {width} bytes, of a network of 8 bytes");
                assert_eq!((expected, found), (&text(4), &text(8)));
            }
            _ => assert!(matches!(found, Error::Format { .. }), "{name}: {found}"),
        }
        assert_eq!((params(&other), other.epochs()), before, "{name}");
        assert!(other.bank().is_none(), "{name}");
    }
    let mut other = builder().seed(5).build().unwrap();
    let before = params(&other);
    assert!(matches!(other.resume(&path, &mut []), Err(Error::Format { .. })));
    // An observer that takes no such state gives back what another had taken.
    let mut counted = EarlyStopping::new().patience(9);
    let state = [4.0, 2.0, 3.0, 0.5];
    Observer::<f64>::set_state(&mut counted, &state).unwrap();
    let mut stateless = |_: &EpochReport| ControlFlow::Continue(());
    net.save_checkpoint(&path, &[&stopping, &stopping]).unwrap();
    let found = other.resume(&path, &mut [&mut counted, &mut stateless]).unwrap_err();
    assert!(matches!(found, Error::Shape { .. }), "{found}");
    assert_eq!(Observer::<f64>::state(&counted), state);
    assert_eq!(params(&other), before);

    let in_file = builder().bank_file(scratch.file("bank"), 10).build().unwrap();
    assert!(matches!(in_file.save_checkpoint(&path, &[]), Err(Error::Unsupported { .. })));
}

#[test]
fn a_checkpoint_with_a_bit_changed_or_cut_short_is_refused() {
    let scratch = Scratch::new("bits");
    let path = scratch.file("run");
    let small =
        || DecoupledNetwork::builder(2).dense(2, Activation::Tanh).dense(2, Activation::Identity).build().unwrap();
    let mut net: Net = small();
    let data = data::two_moons(6, 0.1, 0).unwrap();
    net.fit(&data, &FitConfig::new().epochs(1)).unwrap();
    net.save_checkpoint(&path, &[]).unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut resumed = small();
    for bit in (0..8 * bytes.len()).step_by(5) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &damaged).unwrap();
        assert!(resumed.resume(&path, &mut []).is_err(), "bit {bit} of {}", 8 * bytes.len());
    }
    for len in (0..bytes.len()).step_by(7) {
        fs::write(&path, &bytes[..len]).unwrap();
        assert!(resumed.resume(&path, &mut []).is_err(), "{len} bytes of {}", bytes.len());
    }
    assert_eq!(resumed.epochs(), 0);
    fs::write(&path, &bytes).unwrap();
    resumed.resume(&path, &mut []).unwrap();
    assert_same("undamaged", &resumed, &net);
}
