//! What one update costs as a network grows deeper, at one and two threads, for the literal objective, whose layers all step at
//! once, and for backpropagation, whose layers wait for one another.
//!
//! ```text
//! cargo bench --bench depth
//! ```
//!
//! Hidden layers of 128, tanh. The ways take turns, round after round, and the medians are printed. After the tables comes what a
//! model of them expects of more cores: a prediction, not a measurement.

use std::time::Duration;

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::nalgebra::DMatrix;
use decoupled::optimizer::Sgd;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method};

const WIDTH: usize = 128;
const LAYERS: [usize; 3] = [8, 32, 128];
const BATCHES: [usize; 4] = [1, 8, 32, 128];
const THREADS: [usize; 2] = [1, 2];
const CORES: [usize; 2] = [8, 64];
const ROUNDS: usize = 9;

fn data(examples: usize) -> Dataset<f32> {
    let inputs = DMatrix::from_fn(WIDTH, examples, |i, j| ((i * 31 + j * 17) % 97) as f32 / 97.0 - 0.5);
    let labels: Vec<usize> = (0..examples).map(|example| example % 10).collect();
    let inputs = Examples::from_column_matrix(inputs).expect("examples");
    Dataset::classification(inputs, &labels, 10).expect("a label for each example")
}

fn network(layers: usize, threads: usize) -> DecoupledNetwork<f32> {
    let mut builder = DecoupledNetwork::builder(WIDTH);
    for _ in 0..layers {
        builder = builder.dense(WIDTH, Activation::Tanh);
    }
    let builder = builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
    builder.optimizer(Sgd::new(1e-3)).threads(threads).build().expect("a sound description")
}

/// Median seconds of one update: by one Jacobi tick, and by backpropagation.
fn measure(layers: usize, batch: usize, threads: usize) -> [f64; 2] {
    // Some tens of milliseconds an epoch.
    let updates = (40_000 / (layers * batch.max(8))).clamp(2, 200);
    let data = data(updates * batch);
    let config = FitConfig::new().epochs(1).batch_size(batch).method(Method::joint(0.1));
    let mut networks = [network(layers, threads), network(layers, threads)];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..=ROUNDS {
        let [own, twin] = &mut networks;
        let reports = [own.fit(&data, &config), twin.fit_backprop(&data, &config)];
        for (times, report) in times.iter_mut().zip(reports) {
            times.push(report.expect("a stable epoch").time());
        }
    }
    times.map(|times| median(&times[1..]).as_secs_f64() / updates as f64)
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

fn main() {
    println!(
        "microseconds of one update, and how many times faster the tick is than backpropagation at the same threads\n"
    );
    println!("batch layers |      tick 1       BP 1 ratio |      tick 2       BP 2 ratio | 2 threads: tick    BP");
    for batch in BATCHES {
        let mut rows = Vec::new();
        for layers in LAYERS {
            let [one, two] = THREADS.map(|threads| measure(layers, batch, threads));
            let show = |[tick, bp]: [f64; 2]| format!("{:11.1} {:10.1} {:5.2}", 1e6 * tick, 1e6 * bp, bp / tick);
            let speedup = [0, 1].map(|way| one[way] / two[way]);
            println!("{batch:5} {layers:6} |{} |{} | {:15.2} {:5.2}", show(one), show(two), speedup[0], speedup[1]);
            rows.push((layers, one, two));
        }
        predict(batch, &rows);
    }
}

/// Amdahl's law for each depth, from the times at one and two threads: the share s of the work that does not divide, and with it
/// the time at p cores, t₁·(s + (1 − s)/p).
fn predict(batch: usize, rows: &[(usize, [f64; 2], [f64; 2])]) {
    for &(layers, one, two) in rows {
        let at = |way: usize, cores: usize| {
            let serial = (2.0 * two[way] / one[way] - 1.0).clamp(0.0, 1.0);
            one[way] * (serial + (1.0 - serial) / cores as f64)
        };
        let ratios: Vec<_> = CORES
            .into_iter()
            .chain([layers])
            .map(|cores| format!("{cores} cores {:.2}", at(1, cores) / at(0, cores)))
            .collect();
        println!("      prediction, batch {batch}, {layers} layers, ratio at {}", ratios.join(", "));
    }
}
