//! Rules of a loss's Hessian products.

use std::iter::once;

use super::{
    super::{gaussian, loose},
    Point, Trial,
};
use crate::machine::linalg::norm_squared;
use crate::machine::random::{Purpose, stream};
use crate::{MatMut, MatRef, Result, Scalar};

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

/// A direction of the first example alone leads to nothing in the others.
pub(super) fn hessian_product_ignores_other_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let (rows, Point { targets, predictions }, [mut direction, _]) = (trial.rows, &trial.point, directions(trial));
    direction.iter_mut().skip(rows).for_each(|d| *d = T::zero());
    let found = product(trial, targets, predictions, &direction)?;
    let others: Vec<T> = found.into_iter().skip(rows).collect();
    let what = "hessian_product in the other examples, for a direction of the first";
    trial.subject.close(what, &vec![T::zero(); others.len()], &others, loose::<T>())
}

/// At some point: differences of a gradient may step across a kink.
pub(super) fn hessian_product_is_symmetric<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [a, b] = directions(trial);
    let mut outcome = Ok(());
    for Point { targets, predictions } in trial.points() {
        let [of_a, of_b] = [product(trial, targets, predictions, &a)?, product(trial, targets, predictions, &b)?];
        let size = |a: &[T], b: &[T]| (norm_squared(a) * norm_squared(b)).to_f64().sqrt();
        let tolerance = loose::<T>() * (1.0 + size(&b, &of_a).max(size(&a, &of_b)));
        let (expected, found) = (inner(&b, &of_a), inner(&a, &of_b));
        outcome = trial.subject.close("⟨a, H·b⟩, against ⟨b, H·a⟩", &[expected], &[found], tolerance);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// ⟨H·a, direction⟩ is the derivative of ⟨a, gradient⟩; at some point, as for the symmetry.
pub(super) fn hessian_product_agrees_with_differences<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [a, _] = directions(trial);
    let gradient = |z: MatRef<'_, T>, p: MatRef<'_, T>, grad: MatMut<'_, T>| trial.loss.gradient(z, p, grad);
    let mut outcome = Ok(());
    for point in trial.points() {
        outcome = trial.at_some_point(
            once(point),
            "hessian_product",
            |point| product(trial, &point.targets, &point.predictions, &a),
            |point| &point.predictions,
            |point, p| Ok(inner(&a, &trial.written("gradient", &gradient, &point.targets, p)?)),
        );
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
