//! The faults that users reported, each in the words of its report and only with what the crate had then: on commit `ea5bcb4`, before
//! they were mended, every test of this file fails.

use std::fmt::Debug;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use decoupled::bank::Storage;
use decoupled::data::csv::{Options, Table};
use decoupled::data::{self, Examples, Scaler};
use decoupled::layer::{Activation, Dense, Init};
use decoupled::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy};
use decoupled::observer::{Checkpoint, OnNewBest};
use decoupled::optimizer::{self, Adam, Sgd};
use decoupled::search::{Search, Space};
use decoupled::{
    Dataset, DecoupledNetwork, FitConfig, FitReport, Loss, MatMut, MatRef, Method, NetworkBuilder, Optimizer, Result,
    Warning,
};
use rayon::prelude::*;

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("decoupled-reported-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One feature an example.
fn column<T: decoupled::Scalar>(numbers: &[T]) -> Examples<T> {
    Examples::from_row_slice(numbers, numbers.len(), 1).unwrap()
}

/// w·x + b.
fn line(w: f64, b: f64) -> NetworkBuilder<f64> {
    DecoupledNetwork::builder(1).layer(Dense::new(1, 1).init(Init::constant(w)).bias(b)).threads(1)
}

fn moons_net(threads: usize) -> DecoupledNetwork<f32> {
    let builder = DecoupledNetwork::builder(2).dense(4, Activation::Tanh).dense(2, Activation::Identity);
    builder.output_loss(SoftmaxCrossEntropy::new()).threads(threads).build().unwrap()
}

// 1. A pool of the caller's.

const CHILD: &str = "DECOUPLED_TEST_IN_A_PROCESS_OF_ITS_OWN";

/// Runs a test, by its name, in a process of its own, for it may abort or never end.
fn apart(name: &str, work: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        return work();
    }
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([name, "--nocapture"]).env(CHILD, "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it has not ended within a minute");
        }
        sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{}: {out}{err}", output.status);
}

#[test]
fn predictions_within_par_iter_overflow_no_stack() {
    apart("predictions_within_par_iter_overflow_no_stack", || {
        let layer = Dense::new(1, 1).init(Init::constant(2.0)).bias(0.5);
        let net = DecoupledNetwork::<f32>::builder(1).layer(layer).threads(2).build().unwrap();
        let sum = (0..10_000).into_par_iter().map(|i| net.predict(&[i as f32][..]).unwrap()[0]).sum::<f32>();
        // Σ (2i + ½) = 10⁴(10⁴ − 1) + ½·10⁴, to the rounding of singles.
        assert!((sum / 99_995_000.0 - 1.0).abs() < 1e-4, "{sum}");
    });
}

#[test]
fn a_sweep_of_build_fit_and_score_within_par_iter_ends() {
    apart("a_sweep_of_build_fit_and_score_within_par_iter_ends", || {
        let moons = data::two_moons(40, 0.1, 0).unwrap();
        let score = |i: u64| {
            let mut net = moons_net(2);
            net.fit(&moons, &FitConfig::new().epochs(1).batch_size(20).seed(i % 10)).unwrap();
            net.score(&moons).unwrap()
        };
        let found: Vec<f64> = (0..3000).into_par_iter().map(score).collect();
        // A seed has one outcome.
        assert!((0..3000).all(|i| found[i] == found[i % 10]));
    });
}

#[test]
fn a_mutex_around_a_network_within_par_iter_is_released() {
    apart("a_mutex_around_a_network_within_par_iter_is_released", || {
        let inputs = Examples::from_row_slice(&[0.5; 2000], 1000, 2).unwrap();
        let lock = Mutex::new(moons_net(2));
        (0..2000).into_par_iter().for_each(|_| drop(lock.lock().unwrap().predict(&inputs).unwrap()));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_hundred_networks_have_no_two_hundred_threads() {
    apart("a_hundred_networks_have_no_two_hundred_threads", || {
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        let inputs = Examples::from_row_slice(&[0.5; 2000], 1000, 2).unwrap();
        let networks: Vec<_> = (0..100).map(|_| moons_net(2)).collect();
        networks.iter().for_each(|network| drop(network.predict(&inputs).unwrap()));
        assert!(threads() <= before + 2, "{} threads", threads() - before);
    });
}

// 2. Where files are saved.

#[cfg(unix)]
#[test]
fn a_fifo_is_not_replaced_by_a_file() {
    use std::os::unix::fs::FileTypeExt;

    let folder = Folder::new("fifo");
    let path = folder.file("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let outcome = line(1.0, 0.0).build().unwrap().save(&path);
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo(), "no FIFO any more, and {outcome:?}");
    outcome.unwrap_err();
}

#[cfg(unix)]
#[test]
fn a_save_to_a_link_writes_its_target() {
    let folder = Folder::new("link");
    let (link, target) = (folder.file("link"), folder.file("target"));
    line(1.0, 0.0).build().unwrap().save(&target).unwrap();
    std::os::unix::fs::symlink("target", &link).unwrap();
    line(2.0, 0.0).build().unwrap().save(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "no link any more");
    assert_eq!(DecoupledNetwork::<f64>::load(&target).unwrap().params(0), [2.0, 0.0]);
}

#[cfg(unix)]
#[test]
fn a_file_that_nobody_else_may_read_stays_one() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new("mode");
    let path = folder.file("file");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    line(1.0, 0.0).build().unwrap().save(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert!(mode == 0o600, "mode {mode:o}");
}

#[cfg(unix)]
#[test]
fn a_file_may_have_a_name_of_255_bytes() {
    let folder = Folder::new("long");
    let path = folder.file(&"n".repeat(255));
    line(3.0, 0.0).build().unwrap().save(&path).unwrap();
    assert_eq!(DecoupledNetwork::<f64>::load(&path).unwrap().params(0), [3.0, 0.0]);
}

// 3. Tables that are no CSV by RFC 4180.

fn table(name: &str, text: &str) -> Result<Table<f64>> {
    let folder = Folder::new(name);
    fs::write(folder.file("table.csv"), text).unwrap();
    Options::classes("kind").read(folder.file("table.csv"))
}

#[track_caller]
fn no_table(name: &str, text: &str) {
    let outcome = table(name, text).map(|table| (table.classes, table.features, table.dataset.len()));
    assert!(outcome.is_err(), "{outcome:?}");
}

#[test]
fn a_quote_that_is_not_closed_swallows_no_lines() {
    no_table("quote", "x,kind\n1,oak\n2,\"elm\n3,oak\n4,elm\n");
}

#[test]
fn a_quote_inside_a_field_is_an_error() {
    no_table("inside", "x,kind\n1,o\"ak\n2,elm\n");
}

#[test]
fn text_after_a_quoted_field_is_an_error() {
    no_table("after", "x,kind\n1,\"o\"ak\n2,elm\n");
}

#[test]
fn a_nul_byte_is_an_error() {
    no_table("nul", "x,kind\n1,o\0ak\n2,elm\n");
}

#[test]
fn a_name_that_stands_twice_in_the_header_is_an_error() {
    no_table("twice", "x,x,kind\n1,2,oak\n3,4,elm\n");
}

// 4. Sums over a data set.

const MILLION: usize = 1_000_000;

/// A network that gives two classes the same logit: every example's loss is ln 2.
fn undecided() -> (DecoupledNetwork<f32>, Dataset<f32>) {
    let layer = Dense::new(1, 2).init(Init::constant(0.0));
    let builder = DecoupledNetwork::builder(1).layer(layer).output_loss(SoftmaxCrossEntropy::new());
    let labels: Vec<usize> = (0..MILLION).map(|i| i % 2).collect();
    (builder.threads(1).build().unwrap(), Dataset::classification(column(&vec![0.0; MILLION]), &labels, 2).unwrap())
}

#[test]
fn a_million_losses_of_ln_2_have_the_mean_ln_2() {
    let (net, data) = undecided();
    let found = net.evaluate(&data).unwrap().loss;
    assert!((found - 2f64.ln()).abs() < 1e-6, "{found}");
}

#[test]
fn a_fit_reports_the_mean_of_a_million_losses() {
    let (mut net, data) = undecided();
    // All inputs are 0 and both classes as many: the gradient is 0.
    let report = net.fit(&data, &FitConfig::new().epochs(1).full_batch()).unwrap();
    let found = report.epochs[0].train_loss;
    assert!((found - 2f64.ln()).abs() < 1e-6, "{found}");
}

// 5. One logit, and targets 0 and 1.

/// 1 where x is positive.
fn signs() -> Dataset<f64> {
    let x: Vec<f64> = (0..40).map(|i| (f64::from(i) - 19.5) / 10.0).collect();
    let y: Vec<f64> = x.iter().map(|&x| f64::from(u8::from(x > 0.0))).collect();
    Dataset::regression(column(&x), column(&y)).unwrap()
}

fn logistic(w: f64) -> NetworkBuilder<f64> {
    line(w, 0.0).output_loss(BinaryCrossEntropy)
}

#[test]
fn one_logit_that_is_positive_is_class_1() {
    let found = logistic(5.0).build().unwrap().predict_class(&column(&[-2.0, -0.1, 0.1, 2.0])).unwrap();
    assert_eq!(found, [0, 0, 1, 1]);
}

#[test]
fn one_logit_has_the_probability_of_the_logistic_function() {
    let found = logistic(5.0).build().unwrap().predict_proba(&column(&[-2.0, 0.0, 0.1])).unwrap();
    for (found, logit) in found.iter().zip([-10f64, 0.0, 0.5]) {
        assert!((found - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-12, "{found}");
    }
}

#[test]
fn the_score_of_one_logit_is_no_r2_of_logits() {
    // All signs are right: an accuracy of 1, where there is a score.
    let score = logistic(5.0).build().unwrap().score(&signs());
    assert!(score.as_ref().map_or(true, |&score| score == 1.0), "{score:?}");
}

#[test]
fn a_search_over_one_logit_takes_no_candidate_that_learned_nothing() {
    let space = Space::new().choices("rate", &[1e-9, 0.3]);
    let search = Search::grid(space).cv(4).threads(1);
    let report = search.fit(&signs(), |candidate| {
        let net = logistic(-0.1).optimizer(Adam::new(candidate.get("rate")?)).build()?;
        Ok((net, FitConfig::new().epochs(100)))
    });
    let report = report.unwrap();
    let best = report.best().map(|best| best.candidate.get("rate").unwrap());
    assert!(best != Some(1e-9), "{report}");
}

#[test]
fn softmax_over_one_output_is_refused_at_build() {
    let outcome = line(1.0, 0.0).output_loss(SoftmaxCrossEntropy::new()).build().map(drop);
    outcome.unwrap_err();
}

// 6. Checkpoints.

#[test]
fn a_checkpoint_on_new_best_is_the_best_network() {
    let folder = Folder::new("best");
    let path = folder.file("best");
    let x = [-1.0, 0.5, 1.0];
    let train = Dataset::regression(column(&x), column(&x)).unwrap();
    let opposite = Dataset::regression(column(&x), column(&x.map(|x| -x))).unwrap();
    let fit = |epochs| {
        let mut net = line(0.0, 0.0).optimizer(Sgd::new(0.1)).build().unwrap();
        let config = FitConfig::new().epochs(epochs).full_batch().validation(&opposite);
        net.fit_observed(&train, &config, &mut [&mut OnNewBest::new(Checkpoint::new(&path))]).unwrap();
        net
    };
    let after_one = fit(1);
    // The nearer to the training data, the farther from the opposite: the first epoch is the best.
    assert!(fit(5).params(0)[0] > after_one.params(0)[0]);
    let mut net = line(0.0, 0.0).optimizer(Sgd::new(0.1)).build().unwrap();
    net.resume(&path, &mut []).unwrap();
    assert_eq!((net.epochs(), net.params(0)), (1, after_one.params(0)));
}

#[test]
fn a_checkpoint_where_no_file_can_be_is_found_at_the_start() {
    let folder = Folder::new("missing");
    let mut net = line(0.0, 0.0).build().unwrap();
    let mut checkpoint = Checkpoint::new(folder.file("no/folder")).every(100);
    let data = Dataset::regression(column(&[1.0]), column(&[1.0])).unwrap();
    net.fit_observed(&data, &FitConfig::new().epochs(5), &mut [&mut checkpoint]).unwrap_err();
    assert_eq!(net.epochs(), 0, "found after these epochs");
}

// 7. Logits that are NaN.

/// ∞ − ∞ for every class.
fn not_a_number() -> (DecoupledNetwork<f32>, Dataset<f32>) {
    let wide = Dense::new(1, 2).without_bias().init(Init::constant(1e30));
    let builder = DecoupledNetwork::builder(1).layer(wide).layer(Dense::new(2, 2).without_bias());
    let mut net = builder.output_loss(SoftmaxCrossEntropy::new()).threads(1).build().unwrap();
    net.set_params(1, &[1.0, 1.0, -1.0, -1.0]).unwrap();
    (net, Dataset::classification(column(&[1e30]), &[0], 2).unwrap())
}

#[track_caller]
fn refused<R: Debug>(outcome: Result<R>) {
    let error = outcome.expect_err("an error").to_string();
    assert!(error.contains("NaN") || error.contains("inf"), "{error}");
}

#[test]
fn not_a_number_is_no_class() {
    let (net, data) = not_a_number();
    refused(net.predict_class(data.inputs()));
}

#[test]
fn not_a_number_is_no_probability() {
    let (net, data) = not_a_number();
    refused(net.predict_proba(data.inputs()));
}

#[test]
fn not_a_number_has_no_loss() {
    let (net, data) = not_a_number();
    refused(net.evaluate(&data));
}

// 8. Fits that learned nothing.

fn classifier(inputs: usize, hidden: &[usize], activation: Activation, classes: usize) -> NetworkBuilder<f32> {
    let builder = hidden.iter().fold(DecoupledNetwork::builder(inputs), |net, &width| net.dense(width, activation));
    builder.dense(classes, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).threads(1)
}

/// Holds that a network is not much better than chance, and that the report of its fit says something.
#[track_caller]
fn is_told(net: &DecoupledNetwork<f32>, data: &Dataset<f32>, report: FitReport) {
    let accuracy = net.evaluate(data).unwrap().score.unwrap();
    let chance = 1.0 / data.classes().unwrap() as f64;
    assert!(accuracy < 1.2 * chance, "{accuracy}");
    assert!(!report.warnings.is_empty(), "accuracy {accuracy}, warnings {:?}", report.warnings);
}

/// Three classes by a feature of size one, beside one of thousands that tells nothing.
#[test]
fn inputs_that_are_not_scaled_are_told() {
    let (labels, rows): (Vec<usize>, Vec<[f32; 2]>) = (0..180)
        .map(|i| {
            let noise = (i * 7919 % 1000) as f32 / 1000.0;
            (i % 3, [(i % 3) as f32 - 1.0 + 0.1 * noise, 5000.0 * noise])
        })
        .unzip();
    let data = Dataset::classification(Examples::from_rows(&rows).unwrap(), &labels, 3).unwrap();
    let mut net = classifier(2, &[16], Activation::Tanh, 3).build().unwrap();
    let report = net.fit(&data, &FitConfig::new().epochs(20).batch_size(32)).unwrap();
    is_told(&net, &data, report);
}

#[test]
fn a_learning_rate_that_is_too_high_is_told() {
    let digits = data::digits().unwrap();
    let mut net = classifier(64, &[32, 32], Activation::Sigmoid, 10).optimizer(Adam::new(1.0)).build().unwrap();
    let report = net.fit_backprop(&digits, &FitConfig::new().epochs(5).batch_size(32)).unwrap();
    is_told(&net, &digits, report);
}

#[test]
fn a_deep_network_that_collapses_is_told() {
    let digits = data::digits().unwrap().stratified_split(0.8, 1).unwrap().0;
    let mut net = classifier(64, &[32; 20], Activation::Tanh, 10).optimizer(Adam::new(3e-3)).build().unwrap();
    net.start_isometric(digits.inputs(), 0).unwrap();
    let config = FitConfig::new().epochs(15).batch_size(32).method(Method::local_targets(5));
    let report = net.fit(&digits, &config).unwrap();
    is_told(&net, &digits, report);
}

/// The identity, and targets that differ from the inputs in the last bits of singles.
#[test]
fn no_signal_fades_where_nothing_is_left_to_learn() {
    let x: Vec<f32> = (0..40).map(|i| i as f32 / 20.0 - 1.0).collect();
    let identity = || Dense::new(1, 1).without_bias().init(Init::constant(1.0));
    let builder = (0..8).fold(DecoupledNetwork::<f32>::builder(1), |net, _| net.layer(identity()));
    let mut net = builder.optimizer(Sgd::new(1e-3)).threads(1).build().unwrap();
    let targets: Vec<f32> = x.iter().map(|x| x * (1.0 + 2.0 * f32::EPSILON)).collect();
    let data = Dataset::regression(column(&x), column(&targets)).unwrap();
    let warnings = net.fit(&data, &FitConfig::new().epochs(30)).unwrap().warnings;
    assert!(!warnings.iter().any(|w| matches!(w, Warning::SignalFades { .. })), "{warnings:?}");
}

// 9. Columns of rounding noise.

/// scikit-learn says `scale_ == 1` of it, so that no difference of the column grows.
#[test]
fn a_column_of_rounding_noise_is_not_blown_up() {
    let noise = column(&[0.1f64 + 0.2, 0.3, 0.3]);
    for scaler in [Scaler::standard(noise.matrix()).unwrap(), Scaler::min_max(noise.matrix()).unwrap()] {
        let scaled = scaler.apply(noise.matrix()).unwrap();
        let found: Vec<f64> = scaled.matrix().as_slice().to_vec();
        assert!((found[0] - found[1]).abs() <= 1e-16, "{found:?}");
    }
}

// 10. Small ones.

#[test]
fn a_banks_file_that_is_deleted_while_in_use_is_missed() {
    let folder = Folder::new("bank");
    let path = folder.file("bank");
    let builder = DecoupledNetwork::<f64>::builder(2).dense(4, Activation::Tanh).dense(2, Activation::Identity);
    let mut net = builder.bank_file(&path, 10).threads(1).build().unwrap();
    let data = data::two_moons(20, 0.1, 0).unwrap();
    let config = FitConfig::new().epochs(1);
    net.fit(&data, &config).unwrap();
    fs::remove_file(&path).unwrap();
    let outcome = net.fit(&data, &config).map(drop);
    assert!(outcome.is_err(), "{outcome:?}, and the file is there: {}", path.exists());
}

#[test]
fn a_bank_of_another_kind_in_a_checkpoint_is_described_in_words() {
    let folder = Folder::new("kinds");
    let path = folder.file("checkpoint");
    let net = |storage| {
        let builder = DecoupledNetwork::<f64>::builder(2).dense(4, Activation::Tanh).dense(2, Activation::Identity);
        builder.bank_storage(storage).threads(1).build().unwrap()
    };
    let mut trained = net(Storage::Full);
    trained.fit(&data::two_moons(20, 0.1, 0).unwrap(), &FitConfig::new().epochs(1)).unwrap();
    trained.save_checkpoint(&path, &[]).unwrap();
    let message = net(Storage::Bf16).resume(&path, &mut []).unwrap_err().to_string();
    assert!(!message.contains('{') && message.contains("8 bytes"), "{message}");
}

#[derive(Debug)]
struct Breaks;

impl Loss<f64> for Breaks {
    fn value(&self, _: MatRef<'_, f64>, _: MatRef<'_, f64>) -> f64 {
        panic!("no value")
    }
    fn gradient(&self, _: MatRef<'_, f64>, _: MatRef<'_, f64>, _: MatMut<'_, f64>) {
        panic!("no gradient")
    }
    fn target_gradient(&self, _: MatRef<'_, f64>, _: MatRef<'_, f64>, _: MatMut<'_, f64>) {
        panic!("no gradient")
    }
}

impl Optimizer<f64> for Breaks {
    fn update(&self, _: optimizer::Step<f64>, _: &mut [f64], _: &mut [f64], _: &mut [f64]) {}

    fn validate(&self) -> Result<()> {
        panic!("no settings")
    }
}

#[test]
fn a_loss_of_ones_own_that_panics_is_in_no_layer() {
    let mut net = line(0.0, 0.0).output_loss(Breaks).build().unwrap();
    let data = Dataset::regression(column(&[1.0]), column(&[1.0])).unwrap();
    let message = net.fit(&data, &FitConfig::new().epochs(1)).unwrap_err().to_string();
    assert!(!message.contains("layer") && message.contains("no "), "{message}");
}

#[test]
fn an_optimizer_of_all_layers_that_panics_is_in_no_layer() {
    let message = line(0.0, 0.0).optimizer(Breaks).build().map(drop).unwrap_err().to_string();
    assert!(!message.contains("layer") && message.contains("no settings"), "{message}");
}

#[test]
fn a_rate_that_f32_has_not_is_refused_for_that() {
    let outcome = DecoupledNetwork::<f32>::builder(1).dense(1, Activation::Identity).optimizer(Adam::new(1e-300));
    let message = outcome.build().map(drop).unwrap_err().to_string();
    assert!(message.contains("f32"), "{message}");
}

#[test]
fn a_batch_size_of_null_is_no_full_batch() {
    let read = |text| serde_json::from_str::<FitConfig<'_, f32>>(text).map(|config| format!("{config:?}"));
    let (default, null) = (read("{}").unwrap(), read(r#"{"batch_size": null}"#));
    assert!(null.as_ref().map_or(true, |null| *null == default), "{null:?}");
}
