//! Real-valued targets: a noisy sine, in `f64`, with squared error at the output. Nothing about the method asks for classes;
//! here you learn how to report a metric of your own and how to predict. The plot shows the sine without noise, the
//! decoupled network's curve and the samples it was trained on.
//!
//! ```text
//! cargo run --release --example regression
//! ```

use std::f64::consts::PI;

use decoupled::layer::Activation;
use decoupled::optimizer::{Adam, Schedule, Scheduled};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, FitReport, MatRef, Metric, Result, data};

const EPOCHS: usize = 150;
const BATCH: usize = 32;

fn main() -> Result<()> {
    let train = data::sine::<f64>(512, 0.2, 0)?;
    let test = data::sine(512, 0.0, 1)?;
    let updates = EPOCHS * train.len().div_ceil(BATCH);
    let mut network = DecoupledNetwork::builder(1)
        .dense(32, Activation::Tanh)
        .dense(32, Activation::Tanh)
        .dense(1, Activation::Identity)
        .optimizer(Scheduled::new(Adam::new(1e-2), Schedule::Cosine { total: updates as u64, floor: 0.0 }))
        .build()?;
    let mut twin = network.clone();

    let square = Metric::new("squared error", |target: &[f64], output: &[f64]| (output[0] - target[0]).powi(2));
    let config = FitConfig::new().epochs(EPOCHS).batch_size(BATCH).metric(square).validation(&test);
    let report = network.fit(&train, &config)?;
    let twin_report = twin.fit_backprop(&train, &config)?;

    println!("root mean square error against the sine without noise (the samples' own is 0.2)");
    println!("epoch   decoupled   backpropagation");
    for (epoch, twin) in report.epochs.iter().zip(&twin_report.epochs).filter(|(e, _)| e.epoch % 25 == 0) {
        println!("{:5} {:11.4} {:17.4}", epoch.epoch, error(epoch), error(twin));
    }
    plot(&network, &train)?;
    let last = |report: &FitReport| report.last().map_or(f64::NAN, error);
    println!(
        "\ndecoupled_error={:.4} bp_error={:.4} seconds={:.3} bp_seconds={:.3}",
        last(&report),
        last(&twin_report),
        report.time().as_secs_f64(),
        twin_report.time().as_secs_f64()
    );
    Ok(())
}

fn error(epoch: &decoupled::EpochReport) -> f64 {
    epoch.validation.and_then(|scores| scores.score).map_or(f64::NAN, f64::sqrt)
}

/// Samples as dots, the sine as dashes, the prediction as o, over [−π, π) × [−1.5, 1.5].
fn plot(network: &DecoupledNetwork<f64>, samples: &Dataset<f64>) -> Result<()> {
    const WIDTH: usize = 90;
    const HEIGHT: usize = 21;
    let column = |x: f64| ((x + PI) / (2.0 * PI) * WIDTH as f64) as usize;
    let row = |y: f64| ((1.5 - y) / 3.0 * (HEIGHT - 1) as f64).round().clamp(0.0, (HEIGHT - 1) as f64) as usize;
    let mut canvas = vec![[' '; WIDTH]; HEIGHT];
    for (&x, &y) in samples.inputs().as_slice().iter().zip(samples.targets().as_slice()) {
        canvas[row(y)][column(x).min(WIDTH - 1)] = '.';
    }
    let grid: Vec<f64> = (0..WIDTH).map(|i| (i as f64 + 0.5) / WIDTH as f64 * 2.0 * PI - PI).collect();
    let predictions = network.predict(MatRef::new(&grid, 1, WIDTH))?;
    for (&x, &y) in grid.iter().zip(predictions.iter()) {
        canvas[row(x.sin())][column(x)] = '-';
        canvas[row(y)][column(x)] = 'o';
    }
    println!("\n. samples   - sine   o prediction");
    for line in canvas {
        println!("{}", line.iter().collect::<String>().trim_end());
    }
    Ok(())
}
