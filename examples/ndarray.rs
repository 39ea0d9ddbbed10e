//! Arrays of ndarray in and out: a surface over a grid, sin x · cos y, learned from 25 × 25 points and printed at others. Here you
//! learn how arrays whose rows are examples become data sets, and predictions become an array again.
//!
//! ```text
//! cargo run --release --features ndarray --example ndarray
//! ```

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::optimizer::{Adam, Schedule, Scheduled};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, MatRef, Result};
use ndarray::{Array1, Array2, Axis};

const EPOCHS: usize = 200;
const BATCH: usize = 25;

fn main() -> Result<()> {
    let points = grid(&Array1::linspace(-2.0, 2.0, 25));
    let inputs = Examples::try_from(points.view())?;
    let targets = Examples::try_from(surface(&points).view())?;
    let train = Dataset::regression(inputs, targets)?;

    let updates = (EPOCHS * train.len().div_ceil(BATCH)) as u64;
    let mut network = DecoupledNetwork::builder(2)
        .dense(32, Activation::Tanh)
        .dense(32, Activation::Tanh)
        .dense(1, Activation::Identity)
        .optimizer(Scheduled::new(Adam::new(1e-2), Schedule::Cosine { total: updates, floor: 0.0 }))
        .build()?;
    network.fit(&train, &FitConfig::new().epochs(EPOCHS).batch_size(BATCH))?;

    let side = Array1::linspace(-1.75, 1.75, 8);
    let points = grid(&side);
    let inputs = Examples::try_from(points.view())?;
    let predicted = Array2::from(MatRef::from(&network.predict(&inputs)?));
    let errors = &predicted - &surface(&points);

    println!("predicted sin x · cos y: x down, y across");
    println!("       {}", row(side.iter()));
    for (x, values) in side.iter().zip(predicted.axis_chunks_iter(Axis(0), side.len())) {
        println!("{x:6.2} {}", row(values.iter()));
    }
    let largest = errors.iter().fold(0.0f64, |most, error| most.max(error.abs()));
    println!("\nlargest_error={largest:.4}");
    Ok(())
}

/// All pairs of coordinates, one a row.
fn grid(side: &Array1<f64>) -> Array2<f64> {
    let n = side.len();
    Array2::from_shape_fn((n * n, 2), |(point, axis)| side[if axis == 0 { point / n } else { point % n }])
}

/// The value at each point, `points × 1`.
fn surface(points: &Array2<f64>) -> Array2<f64> {
    points.map_axis(Axis(1), |point| point[0].sin() * point[1].cos()).insert_axis(Axis(1))
}

fn row<'a>(values: impl Iterator<Item = &'a f64>) -> String {
    values.map(|value| format!("{value:7.2}")).collect()
}
