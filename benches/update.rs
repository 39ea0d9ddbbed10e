//! What one parameter update costs, for every way to train beside backpropagation's, a whole epoch of the default, and the three
//! products beneath them.
//!
//! ```text
//! cargo bench --bench update
//! ```
//!
//! The table of ratios at the end takes the ways in turn, round after round, so that a machine that slows down or speeds up
//! does so for all of them.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::linalg::{matmul, matmul_nt, matmul_tn};
use decoupled::loss::{SoftmaxCrossEntropy, SquaredError};
use decoupled::nalgebra::DMatrix;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, MatMut, MatRef, Method};

const BATCH: usize = 128;
/// Updates in one epoch, which is timed as a whole; as many as one estimate of the curvature serves.
const UPDATES: usize = 100;
const ROUNDS: usize = 15;

/// A way to train a 784-256-256-10 network, warmed up by one epoch, which also fills the bank. Exact activation steps take squared
/// errors, units apart and all examples at once.
struct Way {
    name: &'static str,
    network: DecoupledNetwork<f32>,
    config: FitConfig<'static, f32>,
    backprop: bool,
}

impl Way {
    fn new(name: &'static str, method: Option<Method<f32>>, data: &Dataset<f32>) -> Self {
        let backprop = method.is_none();
        let method = method.unwrap_or_default();
        let (builder, config) = (DecoupledNetwork::builder(data.input_dim()), FitConfig::new().epochs(1));
        let (builder, config) = if method.activation_step().streams() {
            (builder.store_pre_activations().output_loss(SquaredError), config.full_batch())
        } else {
            (builder.output_loss(SoftmaxCrossEntropy::new()), config.batch_size(BATCH))
        };
        let network = builder
            .dense(256, Activation::Relu)
            .dense(256, Activation::Relu)
            .dense(data.target_dim(), Activation::Identity)
            .build()
            .expect("a sound description");
        let mut way = Self { name, network, config: config.method(method), backprop };
        way.network = way.train(data).0;
        way
    }

    /// The network after one more epoch, and its time.
    fn train(&self, data: &Dataset<f32>) -> (DecoupledNetwork<f32>, Duration) {
        let mut network = self.network.clone();
        let report =
            if self.backprop { network.fit_backprop(data, &self.config) } else { network.fit(data, &self.config) };
        (network, report.expect("a stable epoch").time())
    }

    /// One update's share of an epoch.
    fn update(&self, data: &Dataset<f32>) -> Duration {
        self.train(data).1 / UPDATES as u32
    }
}

fn ways(data: &Dataset<f32>) -> Vec<Way> {
    [
        ("backpropagation", None),
        ("default", Some(Method::default())),
        ("joint", Some(Method::joint(0.1))),
        ("predictive coding, 4 steps", Some(Method::predictive_coding(4, 0.1))),
        ("incremental, 4 steps", Some(Method::incremental(4, 0.1))),
        ("backpropagation by sweep", Some(Method::backprop_by_sweep())),
        ("local targets, 5 steps", Some(Method::local_targets(5))),
        ("multipliers in the bank", Some(Method::alm(0.7))),
        ("error coordinates, 4 steps", Some(Method::error_based(4, 0.1))),
        ("auxiliary coordinates, 5 steps", Some(Method::mac(5))),
        ("block coordinate descent", Some(Method::bcd(5.0))),
        ("exact, output multipliers", Some(Method::admm(1.0))),
    ]
    .map(|(name, method)| Way::new(name, method, data))
    .into()
}

fn data(examples: usize) -> Dataset<f32> {
    let inputs = DMatrix::from_fn(784, examples, |i, j| ((i * 31 + j * 17) % 97) as f32 / 97.0);
    let labels: Vec<usize> = (0..examples).map(|example| example % 10).collect();
    let inputs = Examples::from_column_matrix(inputs).expect("examples");
    Dataset::classification(inputs, &labels, 10).expect("a label for each example")
}

fn update(criterion: &mut Criterion) {
    let data = data(UPDATES * BATCH);
    let mut group = criterion.benchmark_group("update");
    // Every time reported stands for UPDATES of them.
    group
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    for way in ways(&data) {
        group.bench_function(way.name, |bencher| {
            bencher.iter_custom(|iterations| (0..iterations).map(|_| way.update(&data)).sum());
        });
    }
}

/// A whole epoch of 6,000 examples.
fn epoch(criterion: &mut Criterion) {
    let data = data(6_000);
    let mut group = criterion.benchmark_group("epoch");
    group.throughput(Throughput::Elements(data.len() as u64)).sampling_mode(SamplingMode::Flat);
    for (name, method) in [("backpropagation", None), ("default", Some(Method::default()))] {
        let way = Way::new(name, method, &data);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| (0..iterations).map(|_| way.train(&data).1).sum());
        });
    }
}

fn ratios(_: &mut Criterion) {
    let data = data(UPDATES * BATCH);
    let ways = ways(&data);
    let mut times = vec![Vec::with_capacity(ROUNDS); ways.len()];
    for _ in 0..ROUNDS {
        for (way, times) in ways.iter().zip(&mut times) {
            times.push(way.update(&data).as_secs_f64());
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    println!("\n{:28} ms an update   times backpropagation's", "one update, medians");
    for (way, time) in ways.iter().zip(&medians) {
        println!("{:28} {:12.3} {:24.2}", way.name, 1e3 * time, time / medians[0]);
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// W·Z, Wᵀ·δ and δ·Zᵀ, for W `m × k`, Z `k × n`, δ `m × n`.
fn products(criterion: &mut Criterion) {
    for (m, k, n) in [(256, 784, BATCH), (10, 256, BATCH)] {
        let mut group = criterion.benchmark_group(format!("products/{m}x{k}x{n}"));
        group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
        let fill = |len: usize| (0..len).map(|i| (i % 13) as f32 - 6.0).collect::<Vec<_>>();
        let (w, z, delta) = (fill(m * k), fill(k * n), fill(m * n));
        let (w, z, delta) = (MatRef::new(&w, m, k), MatRef::new(&z, k, n), MatRef::new(&delta, m, n));
        let mut out = vec![0.0; (m * k).max(k * n).max(m * n)];
        group.bench_function(BenchmarkId::from_parameter("W Z"), |bencher| {
            bencher.iter(|| matmul(black_box(w), black_box(z), MatMut::new(&mut out[..m * n], m, n)));
        });
        group.bench_function(BenchmarkId::from_parameter("W^T delta"), |bencher| {
            bencher.iter(|| matmul_tn(black_box(w), black_box(delta), MatMut::new(&mut out[..k * n], k, n)));
        });
        group.bench_function(BenchmarkId::from_parameter("delta Z^T"), |bencher| {
            bencher.iter(|| matmul_nt(black_box(delta), black_box(z), MatMut::new(&mut out[..m * k], m, k)));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = products, update, epoch, ratios
}
criterion_main!(benches);
