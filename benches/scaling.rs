//! What share of the processor's peak training reaches, and how its cost grows with examples, width, depth and batch.
//!
//! ```text
//! cargo bench --bench scaling
//! ```
//!
//! Operations are those of the products that a method asks for by its definition, counted by `diagnostics::cost`: neither
//! element-wise passes nor the optimizer nor the estimate of λmax, so that every share is a lower bound. Through many layers the
//! default's signal rounds to nothing on its way down, and products with zeros are spared: its exponent of depth lies below what
//! is counted. The peak is that of fused multiply-adds on registers, measured in the same rounds. Everything takes turns, round
//! after round; times are medians.

use decoupled::data::Examples;
use decoupled::diagnostics::cost;
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::nalgebra::DMatrix;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method};

#[path = "common/machine.rs"]
mod machine;

use machine::{median, peak};

const CLASSES: usize = 10;
const ROUNDS: usize = 7;
/// The share of the peak that the default method should reach at two threads.
const BAR: f64 = 0.6;
/// How far a measured exponent may lie above the arithmetic's.
const TOLERANCE: f64 = 0.05;
const WAYS: [&str; 2] = ["default", "backpropagation"];

/// A network and how it is trained.
#[derive(Clone, Copy)]
struct Net {
    inputs: usize,
    hidden: usize,
    width: usize,
    examples: usize,
    batch: usize,
    threads: usize,
}

impl Net {
    fn build(&self) -> DecoupledNetwork<f32> {
        let mut builder = DecoupledNetwork::builder(self.inputs);
        for _ in 0..self.hidden {
            builder = builder.dense(self.width, Activation::Relu);
        }
        let builder = builder.dense(CLASSES, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
        builder.threads(self.threads).build().expect("a sound description")
    }

    /// Inputs in [0, 1) and labels, drawn: a pattern is soon learnt, and then gradients become too small to count as numbers do.
    fn data(&self) -> Dataset<f32> {
        let mut rng = ChaCha12Rng::seed_from_u64(0);
        let inputs = DMatrix::from_fn(self.inputs, self.examples, |_, _| rng.random::<f32>());
        let labels: Vec<usize> = (0..self.examples).map(|_| rng.random_range(0..CLASSES)).collect();
        let inputs = Examples::from_column_matrix(inputs).expect("examples");
        Dataset::classification(inputs, &labels, CLASSES).expect("a label for each example")
    }
}

/// A network in training by each of [`WAYS`], with the seconds of its epochs.
struct Job {
    net: Net,
    data: Dataset<f32>,
    networks: [DecoupledNetwork<f32>; 2],
    seconds: [Vec<f64>; 2],
}

impl Job {
    fn new(net: Net) -> Self {
        Self { net, data: net.data(), networks: [net.build(), net.build()], seconds: Default::default() }
    }

    /// Floating-point operations of one epoch, for each of [`WAYS`]: 2·mₜ for every example and product of layer t = 0 .. T with
    /// its mₜ weights, as many products as [`cost`] counts.
    fn operations(&self) -> [f64; 2] {
        let Net { inputs, hidden, width, examples, .. } = self.net;
        let widths: Vec<usize> = [inputs].into_iter().chain(vec![width; hidden]).chain([CLASSES]).collect();
        [Some(&Method::default()), None].map(|method| {
            let products = cost(&self.networks[0], method, examples).products.expect("a method of products alone");
            let layers = widths.windows(2).zip(products);
            let each: usize = layers.map(|(pair, products)| 2 * pair[0] * pair[1] * products.total()).sum();
            each as f64 * examples as f64
        })
    }

    /// One epoch each.
    fn run(&mut self) {
        let config = FitConfig::new().epochs(1).batch_size(self.net.batch);
        let [own, twin] = &mut self.networks;
        let reports = [own.fit(&self.data, &config), twin.fit_backprop(&self.data, &config)];
        for (seconds, report) in self.seconds.iter_mut().zip(reports) {
            seconds.push(report.expect("a stable epoch").time().as_secs_f64());
        }
    }

    /// Median seconds of an epoch, but for the first.
    fn medians(&self) -> [f64; 2] {
        self.seconds.each_ref().map(|seconds| median(&seconds[1..]))
    }
}

/// Four numbers from `first` to ten times as much, each about the same multiple of the one before.
fn decade(first: usize) -> [usize; 4] {
    [0, 1, 2, 3].map(|i| (first as f64 * 10f64.powf(f64::from(i) / 3.0)).round() as usize)
}

/// The slope of the line through (ln x, ln y) with the least squares.
fn exponent(xs: &[usize], ys: &[f64]) -> f64 {
    let logs = |values: Vec<f64>| {
        let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        logs.into_iter().map(move |log| log - mean).collect::<Vec<_>>()
    };
    let (x, y) = (logs(xs.iter().map(|&x| x as f64).collect()), logs(ys.to_vec()));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(&x, &y) / product(&x, &x)
}

fn shares() {
    let net = |threads| Net { inputs: 784, hidden: 2, width: 1000, examples: 8192, batch: 256, threads };
    let mut jobs = [1, 2].map(|threads| Job::new(net(threads)));
    let mut peaks = [Vec::new(), Vec::new()];
    for _ in 0..=ROUNDS {
        for (job, peaks) in jobs.iter_mut().zip(&mut peaks) {
            peaks.push(peak(job.net.threads));
            job.run();
        }
    }
    println!("784-1000-1000-10, batch 256: operations a second, in 10⁹, and their share of the peak\n");
    println!("threads    peak  {:>16} {:>24}", WAYS[0], WAYS[1]);
    for (job, peaks) in jobs.iter().zip(&peaks) {
        let peak = peaks.iter().copied().fold(0.0, f64::max);
        let rates = [0, 1].map(|way| job.operations()[way] / job.medians()[way]);
        let [own, twin] = rates.map(|rate| format!("{:8.1} {:6.1} %", rate / 1e9, 100.0 * rate / peak));
        let met = if rates[0] >= BAR * peak { "yes" } else { "no" };
        let bar = if job.net.threads == 2 { format!("   at least {:.0} %: {met}", 100.0 * BAR) } else { String::new() };
        println!("{:7} {:7.1}  {own} {twin:>24}{bar}", job.net.threads, peak / 1e9);
    }
}

fn exponents() {
    let net = Net { inputs: 784, hidden: 2, width: 256, examples: 6_000, batch: 128, threads: 2 };
    let series = [
        ("examples", decade(2_000), (|net, examples| Net { examples, ..net }) as fn(Net, usize) -> Net),
        ("width", decade(100), |net, width| Net { width, ..net }),
        ("depth", decade(4), |net, hidden| Net { inputs: 128, hidden, width: 128, examples: 2_000, ..net }),
        ("batch", decade(32), |net, batch| Net { batch, ..net }),
    ];
    let mut jobs = series.map(|(_, points, at)| points.map(|point| Job::new(at(net, point))));
    for _ in 0..=ROUNDS {
        jobs.iter_mut().flatten().for_each(Job::run);
    }
    println!(
        "\nseconds of an epoch, 784-256-256-10 by batches of 128 but for what varies (depth: 128 inputs, hidden layers of 128)\n"
    );
    println!(
        "{:9} {:22} way               seconds                       exponent  arithmetic's  not above",
        "", "points"
    );
    for ((name, points, _), jobs) in series.iter().zip(&jobs) {
        for (way, by) in WAYS.iter().enumerate() {
            let seconds: Vec<f64> = jobs.iter().map(|job| job.medians()[way]).collect();
            let operations: Vec<f64> = jobs.iter().map(|job| job.operations()[way]).collect();
            let [measured, counted] = [&seconds, &operations].map(|values| exponent(points, values));
            let verdict = if measured <= counted + TOLERANCE { "yes" } else { "no" };
            let show = |values: Vec<String>| values.join(" ");
            println!(
                "{name:9} {:22} {by:16} {:30} {measured:8.2} {counted:13.2}  {verdict}",
                show(points.iter().map(ToString::to_string).collect()),
                show(seconds.iter().map(|seconds| format!("{seconds:.4}")).collect()),
            );
        }
    }
    println!("\nnot above: by at most {TOLERANCE}");
}

fn main() {
    shares();
    exponents();
}
