//! Rules of a loss's gradients by the prediction and, for hidden losses, by the target.

use super::{super::rounding, Point, Trial, trial::Write};
use crate::{MatMut, MatRef, Result, Scalar};

pub(super) fn gradient_overwrites<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    trial.overwrites("gradient", &|z, p, grad| trial.loss.gradient(z, p, grad))
}

pub(super) fn target_gradient_overwrites<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    if !trial.loss.serves_hidden() {
        return Ok(());
    }
    trial.overwrites("target_gradient", &|z, p, grad| trial.loss.target_gradient(z, p, grad))
}

pub(super) fn gradient_ignores_other_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    one_by_one(trial, "gradient", &|z, p, grad| trial.loss.gradient(z, p, grad))
}

pub(super) fn target_gradient_ignores_other_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    if !trial.loss.serves_hidden() {
        return Ok(());
    }
    one_by_one(trial, "target_gradient", &|z, p, grad| trial.loss.target_gradient(z, p, grad))
}

fn one_by_one<T: Scalar>(trial: &Trial<'_, T>, name: &'static str, write: Write<'_, T>) -> Result<()> {
    let (rows, Point { targets, predictions }) = (trial.rows, &trial.point);
    let together = trial.written(name, write, targets, predictions)?;
    let columns = targets.chunks_exact(rows).zip(predictions.chunks_exact(rows));
    for (j, ((z, p), found)) in columns.zip(together.chunks_exact(rows)).enumerate() {
        let what = format!("{name} of example {j} in a batch, against the example alone");
        trial.subject.close(&what, &trial.written(name, write, z, p)?, found, rounding(&together))?;
    }
    Ok(())
}

pub(super) fn gradient_far_out_is_no_nan<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let far: Vec<T> = trial.point.predictions.iter().map(|&p| T::of(1e3) * p).collect();
    let gradient = |z: MatRef<'_, T>, p: MatRef<'_, T>, grad: MatMut<'_, T>| trial.loss.gradient(z, p, grad);
    let found = trial.written("gradient", &gradient, &trial.point.targets, &far)?;
    trial.subject.no_nan("gradient for predictions in the thousands", &found)
}

pub(super) fn gradient_agrees_with_differences<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let gradient = |z: MatRef<'_, T>, p: MatRef<'_, T>, grad: MatMut<'_, T>| trial.loss.gradient(z, p, grad);
    trial.at_some_point(
        trial.points(),
        "gradient",
        |point| trial.written("gradient", &gradient, &point.targets, &point.predictions),
        |point| &point.predictions,
        |point, p| Ok(trial.value(&point.targets, p)?.to_f64()),
    )
}

pub(super) fn target_gradient_agrees_with_differences<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    if !trial.loss.serves_hidden() {
        return Ok(());
    }
    let gradient = |z: MatRef<'_, T>, p: MatRef<'_, T>, grad: MatMut<'_, T>| trial.loss.target_gradient(z, p, grad);
    trial.at_some_point(
        trial.points(),
        "target_gradient",
        |point| trial.written("target_gradient", &gradient, &point.targets, &point.predictions),
        |point| &point.targets,
        |point, z| Ok(trial.value(z, &point.predictions)?.to_f64()),
    )
}
