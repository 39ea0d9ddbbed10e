use super::{
    super::{gaussian, loose},
    Point, Trial,
};
use crate::{
    MatMut, MatRef, Result, Scalar,
    linalg::norm_squared,
    random::{Purpose, stream},
};

/// Two directions, as large as the predictions.
fn directions<T: Scalar>(trial: &Trial<'_, T>) -> [Vec<T>; 2] {
    let mut rng = stream(trial.examples as u64, Purpose::Probe, 0, 3);
    [(); 2].map(|()| gaussian(trial.point.targets.len(), &mut rng))
}

fn product<T: Scalar>(trial: &Trial<'_, T>, targets: &[T], predictions: &[T], direction: &[T]) -> Result<Vec<T>> {
    let write = |z: MatRef<'_, T>, p: MatRef<'_, T>, out: MatMut<'_, T>| {
        trial.loss.hessian_product(z, p, trial.matrix(direction), out);
    };
    trial.written("hessian_product", &write, targets, predictions)
}

fn inner<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
}

pub(super) fn hessian_product_overwrites<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [direction, _] = directions(trial);
    let direction = trial.matrix(&direction);
    trial.overwrites("hessian_product", &|z, p, out| trial.loss.hessian_product(z, p, direction, out))
}

pub(super) fn hessian_product_ignores_other_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let (rows, Point { targets, predictions }, [direction, _]) = (trial.rows, &trial.point, directions(trial));
    let together = product(trial, targets, predictions, &direction)?;
    let tolerance = loose::<T>() * (1.0 + norm_squared(&together).to_f64().sqrt());
    let columns = targets.chunks_exact(rows).zip(predictions.chunks_exact(rows));
    let columns = columns.zip(direction.chunks_exact(rows)).zip(together.chunks_exact(rows));
    for (j, (((z, p), direction), found)) in columns.enumerate() {
        let what = format!("hessian_product of example {j} in a batch, against the example alone");
        trial.subject.close(&what, &product(trial, z, p, direction)?, found, tolerance)?;
    }
    Ok(())
}

pub(super) fn hessian_product_is_symmetric<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let (Point { targets, predictions }, [a, b]) = (&trial.point, directions(trial));
    let [of_a, of_b] = [product(trial, targets, predictions, &a)?, product(trial, targets, predictions, &b)?];
    let size = [(&b, &of_a), (&a, &of_b)].map(|(a, b)| (norm_squared(a) * norm_squared(b)).to_f64().sqrt());
    let (expected, found) = (inner(&b, &of_a), inner(&a, &of_b));
    let tolerance = loose::<T>() * (1.0 + size[0].max(size[1]));
    trial.subject.close("⟨a, H·b⟩, against ⟨b, H·a⟩", &[expected], &[found], tolerance)
}

/// ⟨H·a, direction⟩ is the derivative of ⟨a, gradient⟩.
pub(super) fn hessian_product_agrees_with_differences<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [a, _] = directions(trial);
    let gradient = |z: MatRef<'_, T>, p: MatRef<'_, T>, grad: MatMut<'_, T>| trial.loss.gradient(z, p, grad);
    trial.at_some_point(
        "hessian_product",
        |point| product(trial, &point.targets, &point.predictions, &a),
        |point| &point.predictions,
        |point, p| Ok(inner(&a, &trial.written("gradient", &gradient, &point.targets, p)?)),
    )
}
