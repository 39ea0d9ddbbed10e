//! What one update costs as a network grows deeper, at one and two threads, for the literal objective, whose layers all step at
//! once, and for backpropagation, whose layers wait for one another.
//!
//! ```text
//! cargo bench --bench depth
//! ```
//!
//! Hidden layers of 128, tanh. The ways take turns, round after round, and the medians are printed. After each table comes what a
//! model of it expects of more cores: a prediction, not a measurement.

use std::time::Duration;

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::nalgebra::DMatrix;
use decoupled::optimizer::Sgd;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method};

const WIDTH: usize = 128;
const LAYERS: [usize; 5] = [8, 16, 32, 64, 128];
const BATCHES: [usize; 4] = [1, 8, 32, 128];
const THREADS: [usize; 2] = [1, 2];
const CORES: [usize; 2] = [8, 64];
const ROUNDS: usize = 9;
/// How many times faster a tick through ten layers of 256 by batches of 128 should be at two threads than at one.
const BAR: f64 = 1.85;

fn data(width: usize, examples: usize) -> Dataset<f32> {
    let inputs = DMatrix::from_fn(width, examples, |i, j| ((i * 31 + j * 17) % 97) as f32 / 97.0 - 0.5);
    let labels: Vec<usize> = (0..examples).map(|example| example % 10).collect();
    let inputs = Examples::from_column_matrix(inputs).expect("examples");
    Dataset::classification(inputs, &labels, 10).expect("a label for each example")
}

fn network(width: usize, layers: usize, threads: usize) -> DecoupledNetwork<f32> {
    let mut builder = DecoupledNetwork::builder(width);
    for _ in 0..layers {
        builder = builder.dense(width, Activation::Tanh);
    }
    let builder = builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
    builder.optimizer(Sgd::new(1e-3)).threads(threads).build().expect("a sound description")
}

/// Median seconds of one update: by one Jacobi tick, and by backpropagation.
fn measure(width: usize, layers: usize, batch: usize, threads: usize) -> [f64; 2] {
    // Some tens of milliseconds an epoch.
    let updates = (40_000 / (layers * batch.max(8))).clamp(2, 200);
    let data = data(width, updates * batch);
    let config = FitConfig::new().epochs(1).batch_size(batch).method(Method::joint(0.1));
    let mut networks = [network(width, layers, threads), network(width, layers, threads)];
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
            let [one, two] = THREADS.map(|threads| measure(WIDTH, layers, batch, threads));
            let show = |[tick, bp]: [f64; 2]| format!("{:11.1} {:10.1} {:5.2}", 1e6 * tick, 1e6 * bp, bp / tick);
            let speedup = [0, 1].map(|way| one[way] / two[way]);
            println!("{batch:5} {layers:6} |{} |{} | {:15.2} {:5.2}", show(one), show(two), speedup[0], speedup[1]);
            rows.push((layers, one, two));
        }
        predict(batch, &rows);
    }
    let [one, two] = THREADS.map(|threads| measure(256, 10, 128, threads)[0]);
    let (speedup, times) = (one / two, [one, two].map(|seconds| format!("{:.1}", 1e6 * seconds)).join(" -> "));
    let met = if speedup >= BAR { "yes" } else { "no" };
    println!(
        "\none tick, 10 layers of 256, batch 128, 1 -> 2 threads: {times}, {speedup:.2} times; at least {BAR}: {met}"
    );
}

/// Times of a depth at one and two threads, each by a tick and by backpropagation.
type Row = (usize, [f64; 2], [f64; 2]);

/// The work of one update on the busiest of p cores, in units of the whole: whole layers of whole lanes, in which a batch comes from
/// 32 examples on. Of backpropagation's products two in three wait for the next layer and divide by lanes alone; with one lane they
/// do not divide, and are found in the serial share.
fn path(way: usize, batch: usize, layers: usize, cores: usize) -> f64 {
    let lanes = (batch / 16).clamp(1, 2);
    let parts = lanes * layers;
    let chain = if way == 1 && lanes > 1 { 2.0 / 3.0 } else { 0.0 };
    chain / lanes.min(cores) as f64 + (1.0 - chain) * parts.div_ceil(cores) as f64 / parts as f64
}

/// t(p) = t(1)·(s + (1 − s)·path(p)) for each depth, Amdahl's law with a share s that does not divide, found from the times at one
/// and two threads. How well it carries over is seen at the depths between others: their times at two threads, foretold with the
/// mean share of their neighbours.
fn predict(batch: usize, rows: &[Row]) {
    let time = |way: usize, (layers, one, _): &Row, serial: f64, cores: usize| {
        one[way] * (serial + (1.0 - serial) * path(way, batch, *layers, cores))
    };
    let shares = [0, 1].map(|way| {
        let share = |(layers, one, two): &Row| {
            let divided = path(way, batch, *layers, 2);
            ((two[way] / one[way] - divided) / (1.0 - divided)).clamp(0.0, 1.0)
        };
        rows.iter().map(share).collect::<Vec<f64>>()
    });
    for (i, row) in rows.iter().enumerate() {
        let ratios: Vec<_> = CORES
            .into_iter()
            .chain([row.0])
            .map(|cores| {
                let [tick, bp] = [0, 1].map(|way| time(way, row, shares[way][i], cores));
                format!("{cores} cores {:.2}", bp / tick)
            })
            .collect();
        println!("      prediction, batch {batch}, {} layers, ratio at {}", row.0, ratios.join(", "));
    }
    let errors = [0, 1].map(|way| {
        let held_out = (1..rows.len() - 1).step_by(2).map(|i| {
            let foretold = time(way, &rows[i], 0.5 * (shares[way][i - 1] + shares[way][i + 1]), 2);
            format!("{:.0} %", 100.0 * (foretold / rows[i].2[way] - 1.0).abs())
        });
        held_out.collect::<Vec<_>>().join(" ")
    });
    println!(
        "      two threads at every second depth, foretold from its neighbours: off by {} (tick), {} (BP)",
        errors[0], errors[1]
    );
}
