//! A fit that was interrupted, and what its checkpoint gives back.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use decoupled::bank::Storage;
use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::loss::SquaredError;
use decoupled::method::{Order, Penalty, PenaltyIncrease, Reads, Stall, Start, Sweeps};
use decoupled::nalgebra::DMatrix;
use decoupled::observer::{
    Checkpoint, EarlyStopping, Epoch, Every, Mode, Monitor, OnNewBest, Plan, ReduceLrOnPlateau, Step,
};
use decoupled::optimizer::{Adam, Schedule, Scheduled, Sgd};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, Method, NetworkBuilder, Observer, Result, Scores,
    StopReason, data,
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
    let raised = Penalty::Raised(PenaltyIncrease { stall: Stall::ForwardLoss, factor: 2.0, progress: 0.2, most: 50.0 });
    let persisted = Method::predictive_coding(2, 0.1).start(Start::Persisted).reads(Reads::Stored);
    let mut remembering = Method::bcd(1.0);
    let squared = || builder().output_loss(SquaredError);
    let ridge = decoupled::method::Ridge { ridge: 0.1, proximal: 0.1, memory: 0.5, trust: None };
    let once = decoupled::method::Timing::AfterRelaxation { local_steps: 1 };
    remembering = remembering
        .parameter(ridge)
        .reads(Reads::Forward)
        .timing(once)
        .activation(Sweeps::new(Order::ReverseGaussSeidel, 1, 1.0).per_penalty());
    let jacobi = || Sweeps::new(Order::Jacobi, 1, 0.1);
    vec![
        ("backpropagation", builder(), None),
        ("default", builder(), Some(Method::default())),
        ("joint", builder(), Some(Method::joint(0.1))),
        ("momentum", builder(), Some(Method::joint(0.1).activation(jacobi().optimizer(Sgd::new(0.05).momentum(0.5))))),
        ("adam on activations", builder(), Some(Method::joint(0.1).activation(jacobi().optimizer(Adam::new(0.01))))),
        ("multipliers", builder(), Some(Method::alm(0.7))),
        ("rising penalties", builder(), Some(persisted.penalty(raised))),
        ("half the bytes", builder().bank_storage(Storage::Bf16), Some(Method::joint(0.1))),
        ("no bytes", builder().bank_storage(Storage::Nothing), Some(Method::default())),
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
        // Nothing is as much better as that: the rate falls after the third epoch and after the fifth.
        let reduce = || ReduceLrOnPlateau::new().factor(0.3).patience(2).min_delta(10.0);
        let mut own = reduce();
        let mut checkpoint = Checkpoint::new(&path).beside(&mut own);
        let epochs = fit(&mut whole, method, EPOCHS, &mut [&mut checkpoint, &mut copy]).unwrap();
        let factors: Vec<f64> = epochs.iter().map(|epoch| epoch.learning_rate_factor).collect();
        assert_eq!(factors, [1.0, 1.0, 1.0, 0.3, 0.3], "{name}");
        for (done, kept) in (1..).zip(&kept) {
            let (mut resumed, mut again) = (builder.clone().build().unwrap(), reduce());
            resumed.resume(kept, &mut [&mut again]).unwrap();
            assert_eq!(resumed.epochs(), done, "{name}");
            if done < EPOCHS {
                let rest = fit(&mut resumed, method, EPOCHS - done, &mut [&mut again]).unwrap();
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
    let (none, full) = (keeps("no bytes"), keeps("default"));
    assert_eq!((params(&none.0), none.1), (params(&full.0), full.1));
    assert_eq!(none.0.bank().unwrap().bytes(), 16 * examples().len());
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
        ("another depth", builder().dense(2, Activation::Identity)),
        ("another loss", builder().output_loss(decoupled::loss::SoftmaxCrossEntropy::new())),
        ("another optimizer", builder().optimizer(Adam::new(0.02))),
        ("another storage", builder().bank_storage(Storage::F32)),
        ("no storage", builder().bank_storage(Storage::Nothing)),
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
            "another depth" => assert!(matches!(found, Error::Shape { expected: 4, found: 3, .. }), "{name}: {found}"),
            "another storage" => {
                let Error::Format { expected, found, .. } = &found else { panic!("{name}: {found}") };
                let text = |width| format!("hidden widths 7, 5 in numbers of {width} bytes, of a network of 8 bytes");
                assert_eq!((expected, found), (&text(4), &text(8)));
            }
            _ => assert!(matches!(found, Error::Format { .. }), "{name}: {found}"),
        }
        // The setting, not two whole layers.
        let differs = match name {
            "another width" => "layer 0, layers.0.output: expected 8, found 7",
            "another activation" => "layer 0, layers.1.activation: expected \"Sigmoid\", found \"Tanh\"",
            "another loss" => "the output loss: expected SoftmaxCrossEntropy, found SquaredError",
            _ => "",
        };
        assert!(found.to_string().ends_with(differs), "{found}");
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

/// Shows another observer these validation losses and scores instead of those of the fit.
struct WithNumbers<'a, O>(&'a [f64], &'a mut O);

impl<O: Observer<f64>> Observer<f64> for WithNumbers<'_, O> {
    fn start(&mut self, plan: &Plan, network: &Net) -> Result<()> {
        let mut plan = *plan;
        (plan.has_validation, plan.has_score) = (true, true);
        self.1.start(&plan, network)
    }

    fn epoch(&mut self, epoch: &Epoch<'_, f64>) -> Result<ControlFlow<StopReason>> {
        let number = self.0[epoch.report.epoch - 1];
        let validation = Some(Scores { loss: number, score: Some(number) });
        let report = EpochReport { validation, ..epoch.report.clone() };
        let mut shown = *epoch;
        shown.report = &report;
        self.1.epoch(&shown)
    }

    fn end(&mut self, network: &mut Net, stop: StopReason) -> Result<()> {
        self.1.end(network, stop)
    }

    fn state(&self) -> Vec<f64> {
        self.1.state()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        self.1.set_state(state)
    }
}

fn tiny() -> Net {
    DecoupledNetwork::builder(2).dense(2, Activation::Identity).threads(1).build().unwrap()
}

/// The cases that `tests/keras/callbacks.py` printed.
#[test]
fn best_only_writes_when_keras_documents_it() {
    let scratch = Scratch::new("keras");
    let path = scratch.file("best");
    let data = data::two_moons(6, 0.1, 0).unwrap();
    let (mut cases, mut kept) = (0, 0);
    for line in include_str!("../keras/callbacks.txt").lines().filter(|line| line.starts_with("best ")) {
        let [options, monitored, saved] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let [_, mode, threshold] = options.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let numbers = |text: &str| text.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<f64>>();
        let (monitored, saved) = (numbers(monitored), numbers(saved));
        let _ = fs::remove_file(&path);
        // By what it monitors, or by the mode.
        let best = Checkpoint::new(&path).best_only();
        let best = match (mode, cases % 2) {
            ("min", 0) => best.monitor(Monitor::ValidationLoss),
            ("min", _) => best.monitor(Monitor::ValidationScore).mode(Mode::Min),
            (_, 0) => best.monitor(Monitor::ValidationScore),
            _ => best.monitor(Monitor::ValidationLoss).mode(Mode::Max),
        };
        let mut best = threshold.parse().into_iter().fold(best, Checkpoint::initial_value_threshold);
        let mut found = Vec::new();
        let mut look = |_: &EpochReport| {
            let mut net = tiny();
            if path.exists() {
                net.resume(&path, &mut [&mut Checkpoint::new("elsewhere").best_only()]).unwrap();
            }
            found.push(net.epochs() as f64);
            ControlFlow::Continue(())
        };
        let config = FitConfig::new().epochs(monitored.len()).full_batch();
        let mut shown = WithNumbers(&monitored, &mut best);
        tiny().fit_observed(&data, &config, &mut [&mut shown, &mut look]).unwrap();
        assert_eq!(found, saved, "{line}");
        let last = *saved.last().unwrap();
        let expected = (last > 0.0).then(|| (last as usize, monitored[last as usize - 1]));
        assert_eq!(best.best(), expected, "{line}");
        // And nothing at the end.
        let mut net = tiny();
        if path.exists() {
            net.resume(&path, &mut [&mut Checkpoint::new("elsewhere").best_only()]).unwrap();
        }
        assert_eq!(net.epochs() as f64, last, "{line}");
        cases += 1;
        kept += usize::from(last < 10.0);
    }
    assert!(cases == 60 && kept > 40, "{kept} of {cases}");
}

/// A linear map and data for it, of which the second are to validate: on the way from 0 to the targets of the first it comes near half
/// of them, and goes away again.
fn there_and_away() -> (Net, Dataset<f64>, Dataset<f64>) {
    let inputs = DMatrix::from_fn(2, 60, |i, j| ((i * 31 + j * 17) % 97) as f64 / 48.5 - 1.0);
    let targets = |part: f64| DMatrix::from_fn(2, 60, |i, j| part * (inputs[(0, j)] + inputs[(i, j)]));
    let examples = |matrix| Examples::from_column_matrix(matrix).unwrap();
    let data = |part| Dataset::regression(examples(inputs.clone()), examples(targets(part))).unwrap();
    let builder = DecoupledNetwork::builder(2).dense(2, Activation::Identity).optimizer(Sgd::new(0.4));
    let mut net = builder.threads(1).build().unwrap();
    net.set_params(0, &[0.0; 6]).unwrap();
    (net, data(1.0), data(0.5))
}

/// Writes down of which epochs it is told that they are the best.
#[derive(Default)]
struct Told(Vec<usize>);

impl Observer<f64> for Told {
    fn new_best(&mut self, epoch: &Epoch<'_, f64>) -> Result<ControlFlow<StopReason>> {
        assert_eq!(epoch.best, Some(epoch.report));
        self.0.push(epoch.report.epoch);
        Ok(ControlFlow::Continue(()))
    }
}

#[test]
fn a_new_best_after_a_kill_is_one_without_it() {
    let scratch = Scratch::new("new-best");
    let (net, train, halves) = there_and_away();
    let config = |epochs| FitConfig::new().epochs(epochs).validation(&halves);
    let (path, best) = (scratch.file("run"), scratch.file("best"));
    let (mut whole, mut told) = (net.clone(), Told::default());
    let mut of_best = OnNewBest::new(Checkpoint::new(&best));
    whole.fit_observed(&train, &config(12), &mut [&mut told, &mut of_best]).unwrap();
    let last = *told.0.last().unwrap();
    assert!(told.0.len() > 1 && last < 11, "{:?}", told.0);
    // The last network is not in the file of the best.
    let mut kept = net.clone();
    kept.resume(&best, &mut []).unwrap();
    assert_eq!(kept.epochs(), last);

    for killed_after in 1..12 {
        let (mut first, mut early) = (net.clone(), Told::default());
        first.fit_observed(&train, &config(killed_after), &mut [&mut early]).unwrap();
        first.save_checkpoint(&path, &[]).unwrap();
        let (mut second, mut late) = (net.clone(), Told::default());
        second.resume(&path, &mut []).unwrap();
        let mut of_best = OnNewBest::new(Checkpoint::new(&best));
        second.fit_observed(&train, &config(12 - killed_after), &mut [&mut late, &mut of_best]).unwrap();
        assert_eq!([early.0, late.0].concat(), told.0, "after {killed_after}");
        assert_eq!(params(&second), params(&whole));
        kept.resume(&best, &mut []).unwrap();
        assert_eq!(kept.epochs(), last, "after {killed_after}");
        // Another fit is judged by itself.
        let mut anew = Told::default();
        second.fit_observed(&train, &config(1), &mut [&mut anew]).unwrap();
        assert_eq!(anew.0, [13], "after {killed_after}");
    }
}

#[test]
fn the_best_is_kept_over_fits_and_files() {
    let scratch = Scratch::new("best");
    let (net, train, halves) = there_and_away();
    let config = |epochs| FitConfig::new().epochs(epochs).validation(&halves);
    let (last, best) = (scratch.file("last"), scratch.file("best"));
    fn of<'o>(path: &std::path::Path) -> Checkpoint<'o, f64> {
        Checkpoint::new(path).best_only().monitor(Monitor::ValidationLoss)
    }
    let in_file = || {
        let (mut kept, mut observer) = (net.clone(), of(&best));
        kept.resume(&best, &mut [&mut observer]).unwrap();
        assert_eq!(observer.best().unwrap().0, kept.epochs());
        (kept.evaluate(&halves).unwrap().loss, observer.best().unwrap())
    };
    let (mut whole, mut own) = (net.clone(), of(&best));
    let report = whole.fit_observed(&train, &config(12), &mut [&mut own]).unwrap();
    let expected = report.best().map(|epoch| (epoch.epoch, epoch.validation.unwrap().loss)).unwrap();
    assert!(expected.0 > 1 && expected.0 < 11, "{expected:?}");
    assert_eq!((own.best(), in_file()), (Some(expected), (expected.1, expected)));
    // A second fit with the same value goes on with it.
    whole.fit_observed(&train, &config(3), &mut [&mut own]).unwrap();
    assert_eq!((own.best(), in_file()), (Some(expected), (expected.1, expected)));

    for killed_after in 1..12 {
        fs::remove_file(&best).unwrap();
        let (mut first, mut own) = (net.clone(), of(&best));
        let mut both = Checkpoint::new(&last).beside(&mut own);
        let mut kill = |epoch: &EpochReport| match epoch.epoch == killed_after {
            true => panic!("killed"),
            false => ControlFlow::Continue(()),
        };
        first.fit_observed(&train, &config(12), &mut [&mut both, &mut kill]).unwrap_err();
        // From the last epoch.
        let (mut second, mut again) = (net.clone(), of(&best));
        second.resume(&last, &mut [&mut again]).unwrap();
        assert_eq!(second.epochs(), killed_after);
        let mut both = Checkpoint::new(&last).beside(&mut again);
        second.fit_observed(&train, &config(12 - killed_after), &mut [&mut both]).unwrap();
        assert_eq!((again.best(), in_file()), (Some(expected), (expected.1, expected)), "after {killed_after}");

        // From the best one, with an observer beside it.
        let stopping = || EarlyStopping::new().patience(50);
        let (mut first, mut beside) = (net.clone(), stopping());
        let mut own = of(&best).initial_value_threshold(1e9).beside(&mut beside);
        first.fit_observed(&train, &config(killed_after), &mut [&mut own]).unwrap();
        let (mut second, mut again, mut other) = (net.clone(), of(&best), stopping());
        second.resume(&best, &mut [&mut again, &mut other]).unwrap();
        assert_eq!(second.epochs(), killed_after.min(expected.0));
        let left = 12 - second.epochs();
        let mut again = again.beside(&mut other);
        second.fit_observed(&train, &config(left), &mut [&mut again]).unwrap();
        assert_eq!(again.best(), Some(expected), "after {killed_after}");
        assert_eq!(other.best(), Some(expected), "after {killed_after}");
    }
}

/// Takes the state of any observer.
struct Keeps(Vec<f64>);

impl Observer<f64> for Keeps {
    fn state(&self) -> Vec<f64> {
        self.0.clone()
    }
    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        self.0 = state.to_vec();
        Ok(())
    }
}

/// `golden/checkpoint-1.safetensors` was written by a version without frozen layers after two of these epochs, with one observer.
#[test]
fn a_checkpoint_of_an_older_format_is_gone_on_from() {
    let inputs = Examples::from_rows(&[[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, -1.0], [-1.0, 0.25]]).unwrap();
    let targets = Examples::from_rows(&[[1.0], [-1.0], [0.5], [0.25], [2.0]]).unwrap();
    let data = Dataset::regression(inputs, targets).unwrap();
    let net = || {
        let builder = Net::builder(2).dense(3, Activation::Tanh).dense(1, Activation::Identity);
        builder.optimizer(Adam::new(0.01)).method(Method::joint(0.1)).seed(3).threads(1).build().unwrap()
    };
    let (mut whole, mut resumed, mut observer) = (net(), net(), Keeps(Vec::new()));
    resumed.resume("tests/golden/checkpoint-1.safetensors", &mut [&mut observer]).unwrap();
    assert_eq!((resumed.epochs(), resumed.updates(), observer.0.len()), (2, 6, 4));
    assert!((0..2).all(|t| !resumed.is_frozen(t)));
    resumed.fit(&data, &FitConfig::new().epochs(3).batch_size(2)).unwrap();
    whole.fit(&data, &FitConfig::new().epochs(5).batch_size(2)).unwrap();
    for t in 0..2 {
        // Processors may round otherwise.
        let pairs = whole.params(t).iter().zip(resumed.params(t));
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} not {b}"));
    }
}

#[test]
fn best_only_looks_at_every_nth_epoch_where_it_is_told_to() {
    let scratch = Scratch::new("best-every");
    let data = data::two_moons(6, 0.1, 0).unwrap();
    let numbers = [1.0, 5.0, 2.0, 3.0, 0.0, 4.0, 0.0];
    for wrapped in [false, true] {
        let mut best = Checkpoint::new(scratch.file("run")).best_only().monitor(Monitor::ValidationLoss);
        let config = FitConfig::new().epochs(7);
        if wrapped {
            let mut every = Every::new(2, WithNumbers(&numbers, &mut best));
            tiny().fit_observed(&data, &config, &mut [&mut every]).unwrap();
        } else {
            best = best.every(2);
            tiny().fit_observed(&data, &config, &mut [&mut WithNumbers(&numbers, &mut best)]).unwrap();
        }
        assert_eq!(best.best(), Some((4, 3.0)));
    }
}

#[test]
fn a_best_that_is_not_known_replaces_no_file() {
    let scratch = Scratch::new("unknown");
    let path = scratch.file("best");
    let data = examples();
    let (mut net, mut own) = (builder().build().unwrap(), Checkpoint::new(&path).best_only());
    // A network that has not been trained begins a file anew, as Keras does.
    fs::write(&path, "of an older run").unwrap();
    net.fit_observed(&data, &config(2), &mut [&mut own]).unwrap();
    let before = fs::read(&path).unwrap();
    let mut refused = |mut other: Checkpoint<'_, f64>| {
        let error = net.fit_observed(&data, &config(2), &mut [&mut other]).unwrap_err();
        assert_eq!((net.epochs(), fs::read(&path).unwrap() == before), (2, true));
        error.to_string()
    };
    let text = refused(Checkpoint::new(&path).best_only());
    assert!(text.contains("a checkpoint of epochs before: expected the best so far from its state"), "{text}");
    let text = refused(Checkpoint::new(&path).monitor(Monitor::TrainLoss));
    let expected = "monitor, mode or initial_value_threshold of Checkpoint: they are for best_only, which is not set";
    assert_eq!(text, expected);
    assert!(refused(Checkpoint::new(&path).mode(Mode::Max)).contains("best_only"));
    assert!(refused(Checkpoint::new(&path).initial_value_threshold(0.0)).contains("best_only"));
    let text = refused(Checkpoint::new(&path).best_only().initial_value_threshold(f64::NAN));
    assert_eq!(text, "Checkpoint::initial_value_threshold must be a number, found NaN");
    let text = refused(Checkpoint::new(&path).best_only().monitor(Monitor::ValidationScore));
    assert!(text.starts_with("monitoring the validation"), "{text}");
    // One that has seen all epochs, though none was better than nothing, and one that knows so from a state.
    let nan = [f64::NAN; 5];
    let mut own = Checkpoint::new(&path).best_only();
    for first in [true, false] {
        let mut fresh = builder().build().unwrap();
        if !first {
            fresh.fit(&data, &config(2)).unwrap();
            let mut other = Checkpoint::new(&path).best_only();
            other.set_state(&Observer::<f64>::state(&own)).unwrap();
            own = other;
        }
        for _ in 0..2 {
            fresh.fit_observed(&data, &config(1), &mut [&mut WithNumbers(&nan, &mut own)]).unwrap();
        }
        assert_eq!((own.best(), fs::read(&path).unwrap() == before), (None, true));
    }
    // One that says from what on.
    let mut other = Checkpoint::new(&path).best_only().initial_value_threshold(f64::INFINITY);
    net.fit_observed(&data, &config(1), &mut [&mut other]).unwrap();
    assert_eq!(other.best().unwrap().0, 3);
}

#[test]
fn a_checkpoint_beside_another_has_the_states_of_those_beside_it() {
    let (mut stopping, mut reduce) = (EarlyStopping::new(), ReduceLrOnPlateau::new());
    let (of_stopping, of_reduce) = (vec![4.0, 1.0, 3.0, 0.5], vec![0.1, 2.0, 0.0, 0.25]);
    Observer::<f64>::set_state(&mut stopping, &of_stopping).unwrap();
    Observer::<f64>::set_state(&mut reduce, &of_reduce).unwrap();
    let mut full = Checkpoint::<f64>::new("nowhere").best_only().beside(&mut stopping).beside(&mut reduce);
    let lengths = [vec![7.0, 0.125], vec![4.0], of_stopping, vec![4.0], of_reduce].concat();
    full.set_state(&lengths).unwrap();
    assert_eq!((full.state(), full.best()), (lengths.clone(), Some((7, 0.125))));
    for bad in [&[][..], &lengths[..1], &lengths[..6], &lengths[..11], &[&lengths[..], &[0.0]].concat()] {
        assert!(matches!(full.set_state(bad), Err(Error::Shape { .. })), "{bad:?}");
    }
    // An odd number in one state leaves the others as they are.
    for (at, odd) in [(0, 0.5), (1, f64::NAN), (2, -1.0), (3, 0.5), (8, 7.0)] {
        let mut bad = lengths.clone();
        bad[at] = odd;
        if at != 1 {
            bad[1] = 0.25;
        }
        if at == 8 {
            bad[3] = 5.0;
        }
        assert!(full.set_state(&bad).is_err(), "{bad:?}");
        assert_eq!(full.state(), lengths, "{bad:?}");
    }
    assert!(Checkpoint::<f64>::new("nowhere").state().is_empty());
}

#[test]
fn what_is_frozen_and_how_often_each_optimizer_stepped_come_back() {
    let scratch = Scratch::new("frozen");
    let path = scratch.file("checkpoint");
    let mut whole: Net = builder().freeze(0).build().unwrap();
    whole.fit(&examples(), &config(2)).unwrap();
    whole.freeze(1).unwrap();
    whole.unfreeze(0).unwrap();
    whole.fit(&examples(), &config(1)).unwrap();
    whole.save_checkpoint(&path, &[]).unwrap();
    let mut resumed: Net = builder().build().unwrap();
    resumed.freeze(2).unwrap();
    resumed.resume(&path, &mut []).unwrap();
    assert_eq!([0, 1, 2].map(|t| resumed.is_frozen(t)), [false, true, false]);
    for net in [&mut whole, &mut resumed] {
        net.fit(&examples(), &config(1)).unwrap();
        net.unfreeze(1).unwrap();
        net.fit(&examples(), &config(2)).unwrap();
    }
    assert!((0..3).all(|t| whole.params(t) == resumed.params(t)));
}

#[test]
fn the_learning_rate_is_changed_after_a_resume() {
    let scratch = Scratch::new("rate");
    let path = scratch.file("checkpoint");
    let build = |rate| builder().optimizer(Adam::new(rate)).build().unwrap();
    let (mut whole, mut resumed): (Net, Net) = (build(0.01), build(0.01));
    whole.fit(&examples(), &config(2)).unwrap();
    whole.save_checkpoint(&path, &[]).unwrap();
    // One that is built with another rate is not the one that was written, until it is given that of then.
    let mut other: Net = build(0.001);
    assert!(matches!(other.resume(&path, &mut []), Err(Error::Format { .. })));
    other.set_layer_optimizer(0, Adam::new(0.01)).unwrap();
    other.set_layer_optimizer(2, Adam::new(0.01)).unwrap();
    for net in [&mut resumed, &mut other] {
        net.resume(&path, &mut []).unwrap();
    }
    for net in [&mut whole, &mut resumed, &mut other] {
        net.set_layer_optimizer(0, Adam::new(0.001)).unwrap();
        net.fit(&examples(), &config(2)).unwrap();
    }
    let forgot = {
        let mut net: Net = build(0.01);
        net.resume(&path, &mut []).unwrap();
        net.set_layer_optimizer(0, Sgd::new(0.1)).unwrap();
        net.set_layer_optimizer(0, Adam::new(0.001)).unwrap();
        net.fit(&examples(), &config(2)).unwrap();
        net
    };
    assert!((0..3).all(|t| whole.params(t) == resumed.params(t) && whole.params(t) == other.params(t)));
    assert_ne!(whole.params(0), forgot.params(0));
    // The next checkpoint is of the new rule.
    whole.save_checkpoint(&path, &[]).unwrap();
    resumed.resume(&path, &mut []).unwrap();
}

/// Scores are part of what an interrupted fit would have given, and they follow the threshold.
#[test]
fn a_threshold_comes_back() {
    let build = || {
        let builder = Net::builder(2).dense(1, Activation::Identity);
        builder.output_loss(decoupled::loss::BinaryCrossEntropy).build().unwrap()
    };
    let path = std::env::temp_dir().join(format!("decoupled-threshold-{}.safetensors", std::process::id()));
    let mut net = build();
    net.set_threshold(0.8).unwrap();
    net.save_checkpoint(&path, &[]).unwrap();
    let mut other = build();
    other.resume(&path, &mut []).unwrap();
    assert_eq!(other.threshold(), 0.8);
    net.set_threshold(0.5).unwrap();
    net.save_checkpoint(&path, &[]).unwrap();
    other.resume(&path, &mut []).unwrap();
    assert_eq!(other.threshold(), 0.5);
    fs::remove_file(&path).unwrap();
}

/// Fails in its third step.
struct Fails(usize);

impl Observer<f64> for Fails {
    fn step(&mut self, _: &Step<'_, f64>) -> Result<ControlFlow<StopReason>> {
        self.0 += 1;
        if self.0 == 3 { Err(Error::Empty { what: "patience" }) } else { Ok(ControlFlow::Continue(())) }
    }
}

/// An error in training makes optimizers start anew, while the network's updates count on: Adam's own count is the smaller one.
#[test]
fn optimizers_that_started_anew_come_back_with_the_count_of_their_own() {
    let scratch = Scratch::new("anew");
    let path = scratch.file("checkpoint");
    let build = || builder().optimizer(Adam::new(0.01)).build().unwrap();
    let mut whole: Net = build();
    whole.fit(&examples(), &config(2)).unwrap();
    assert!(whole.fit_observed(&examples(), &config(1), &mut [&mut Fails(0)]).is_err());
    whole.fit(&examples(), &config(1)).unwrap();
    whole.save_checkpoint(&path, &[]).unwrap();
    let mut resumed: Net = build();
    resumed.resume(&path, &mut []).unwrap();
    // The next steps differ where the count does.
    for net in [&mut whole, &mut resumed] {
        net.fit(&examples(), &config(2)).unwrap();
    }
    assert_same("anew", &whole, &resumed);
}

/// An error about another bank says all that the two may differ in.
#[test]
fn a_bank_in_another_format_is_described() {
    let scratch = Scratch::new("described");
    let path = scratch.file("checkpoint");
    let rule = Sgd::new(0.05).momentum(0.5);
    let step = Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(rule);
    let method = Method::joint(0.1).multipliers(decoupled::method::Multipliers::kept()).activation(step);
    let of = |second: f64, may_miss: bool| {
        let inputs = Examples::from_rows(&[[0.5, second], [1.0, -1.0]]).unwrap();
        let inputs = if may_miss { inputs.with_missing() } else { inputs };
        Dataset::classification(inputs, &[0, 1], 2).unwrap()
    };
    let (plain, data) = (of(0.0, false), of(f64::NAN, true));
    let described = |data: &Dataset<f64>, method: Method<f64>| {
        let mut net: Net = builder().build().unwrap();
        net.fit(data, &config(1).method(method)).unwrap();
        net.save_checkpoint(&path, &[]).unwrap();
        let mut other: Net = builder().bank_storage(Storage::Bf16).build().unwrap();
        match other.resume(&path, &mut []).unwrap_err() {
            Error::Format { place, expected, found, .. } => {
                assert_eq!(place, "its bank");
                let [own, other] = [expected, found].map(|text| {
                    let (widths, rest) = text.split_once(" in numbers of ").unwrap();
                    let (bytes, rest) = rest.split_once(" bytes, of a network of 8 bytes").unwrap();
                    assert_eq!(widths, "hidden widths 7, 5");
                    (bytes.to_owned(), rest.to_owned())
                });
                assert_eq!((&*own.0, &*other.0, &own.1), ("2", "8", &other.1));
                own.1
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(described(&plain, Method::joint(0.1)), "");
    assert_eq!(described(&data, method), format!(", 2 inputs, 1 numbers an activation for {rule:?}, multipliers"));
}
