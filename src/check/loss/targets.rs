//! Rules of the targets that a loss refuses.

use super::{super::guard, Trial};
use crate::{Error, Result, Scalar};

/// Whether the loss takes these targets.
fn accepted<T: Scalar>(trial: &Trial<'_, T>, targets: &[T]) -> Result<Result<()>> {
    guard("check_targets", || trial.loss.check_targets(trial.matrix(targets)))
}

/// The answer to targets whose last entry is NaN, of a loss that refuses something.
fn answer_to_nan<T: Scalar>(trial: &Trial<'_, T>) -> Result<Option<Result<()>>> {
    let beyond = |factor: f64| trial.point.targets.iter().map(|&z| T::of(factor) * z - T::of(3.0)).collect::<Vec<T>>();
    if accepted(trial, &beyond(10.0))?.is_ok() && accepted(trial, &beyond(-10.0))?.is_ok() {
        return Ok(None);
    }
    let mut targets = trial.point.targets.clone();
    if let Some(last) = targets.last_mut() {
        *last = T::of(f64::NAN);
    }
    accepted(trial, &targets).map(Some)
}

pub(super) fn refused_targets_include_nan<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    match answer_to_nan(trial)? {
        Some(Ok(())) => Err(trial.subject.breach("check_targets, which refuses numbers, refuses NaN", 1.0, 0.0)),
        _ => Ok(()),
    }
}

pub(super) fn refused_targets_are_told<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let expected = trial.examples - 1;
    match answer_to_nan(trial)? {
        Some(Err(Error::Target { example, .. })) => {
            trial.subject.count("the example of Error::Target, for NaN in the last", expected, example)
        }
        Some(Err(_)) => Err(trial.subject.breach("targets are refused by Error::Target", 1.0, 0.0)),
        _ => Ok(()),
    }
}
