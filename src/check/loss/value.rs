//! Rules of a loss's value, and of what it says about itself.

use super::{super::gaussian, Point, Trial};
use crate::machine::linalg::{norm_squared, sum_zip};
use crate::machine::random::{Purpose, stream};
use crate::{Result, Scalar};

/// How far along a ray of targets a hidden loss is followed, and how far below its start it may then be.
const RAY: f64 = 1e6;
const DEPTH: f64 = 1e3;

fn first<T: Scalar>(trial: &Trial<'_, T>) -> Result<T> {
    trial.value(&trial.point.targets, &trial.point.predictions)
}

pub(super) fn value_is_finite<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    trial.subject.finite("value", &[first(trial)?])
}

pub(super) fn value_repeats<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    trial.subject.same("value, asked again", &[first(trial)?], &[first(trial)?])
}

pub(super) fn value_sums_over_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Point { targets, predictions } = &trial.point;
    let columns = targets.chunks_exact(trial.rows).zip(predictions.chunks_exact(trial.rows));
    let values = columns.map(|(z, p)| trial.value(z, p)).collect::<Result<Vec<T>>>()?;
    let norm = |m: &[T]| norm_squared(m).to_f64().sqrt();
    let size = values.iter().map(|v| v.to_f64().abs()).sum::<f64>() + norm(targets) + norm(predictions);
    let (sum, tolerance) = (values.into_iter().sum(), 1e4 * T::default_epsilon().to_f64() * size);
    trial.subject.close("value, against the sum of its columns' values", &[sum], &[first(trial)?], tolerance)
}

pub(super) fn value_far_out_is_no_nan<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let far: Vec<T> = trial.point.predictions.iter().map(|&p| T::of(1e3) * p).collect();
    let found = trial.value(&trial.point.targets, &far)?;
    trial.subject.no_nan("value for predictions in the thousands", &[found])
}

pub(super) fn squared_error_is_half_the_square<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    if !trial.loss.is_squared_error() {
        return Ok(());
    }
    let Point { targets, predictions } = &trial.point;
    let expected = T::of(0.5) * sum_zip(targets, predictions, |z, p| (z - p) * (z - p));
    let tolerance = 1e4 * T::default_epsilon().to_f64() * (1.0 + expected.to_f64());
    trial.subject.close("value of a squared error", &[expected], &[first(trial)?], tolerance)
}

/// The value of the loss that a file makes of the description.
#[cfg(feature = "save")]
pub(super) fn description_has_the_same_value<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    use crate::{Loss, check::guard};

    let Some(description) = guard("describe", || trial.loss.describe())? else { return Ok(()) };
    let subject = &trial.subject;
    let made = serde_json::to_value(description).and_then(serde_json::from_value::<Box<dyn Loss<T>>>);
    let made =
        made.map_err(|error| subject.breach(format!("a loss is made of the description ({error})"), 1.0, 0.0))?;
    let Point { targets, predictions } = &trial.point;
    let found = guard("value", || made.value(trial.matrix(targets), trial.matrix(predictions)))?;
    subject.same("value of the described loss", &[first(trial)?], &[found])
}

pub(super) fn hidden_value_is_bounded_below<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    if !trial.loss.serves_hidden() {
        return Ok(());
    }
    let Point { targets, predictions } = &trial.point;
    let floor = -DEPTH * (1.0 + first(trial)?.to_f64().abs());
    let mut rng = stream(trial.examples as u64, Purpose::Probe, 0, 2);
    for _ in 0..8 {
        let direction: Vec<T> = gaussian(targets.len(), &mut rng);
        for t in [RAY, -RAY] {
            let far: Vec<T> = targets.iter().zip(&direction).map(|(&z, &d)| z + T::of(t) * d).collect();
            let found = trial.value(&far, predictions)?.to_f64();
            if found.is_nan() || found < floor {
                return Err(trial.subject.breach("value far along a ray of targets is bounded below", floor, found));
            }
        }
    }
    Ok(())
}
