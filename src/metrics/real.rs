//! Metrics of real-valued predictions.

use super::row;
use crate::error::require;
use crate::machine::linalg::matrix::{check_finite, check_shape};
use crate::{Error, MatRef, Result, Scalar};

/// The mean of the squared errors, over examples and outputs; both matrices are `outputs × n`.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`] unless the shapes agree, and [`Error::NotFinite`].
pub fn mse<'t, 'p, T: Scalar>(targets: impl Into<MatRef<'t, T>>, predictions: impl Into<MatRef<'p, T>>) -> Result<f64> {
    mean(targets.into(), predictions.into(), |error| error * error)
}

/// The mean of the absolute errors, over examples and outputs; both matrices are `outputs × n`.
///
/// # Errors
/// As [`mse`].
pub fn mae<'t, 'p, T: Scalar>(targets: impl Into<MatRef<'t, T>>, predictions: impl Into<MatRef<'p, T>>) -> Result<f64> {
    mean(targets.into(), predictions.into(), f64::abs)
}

fn mean<T: Scalar>(targets: MatRef<'_, T>, predictions: MatRef<'_, T>, of: fn(f64) -> f64) -> Result<f64> {
    check(targets, predictions)?;
    let pairs = targets.as_slice().iter().zip(predictions.as_slice());
    let sum: f64 = pairs.map(|(y, p)| of(y.to_f64() - p.to_f64())).sum();
    Ok(sum / targets.as_slice().len() as f64)
}

/// The coefficient of determination, the plain mean over the outputs; both matrices are `outputs × n`.
///
/// ```text
/// R² = 1 − Σ_i (y_i − ŷ_i)² / Σ_i (y_i − mean y)²
/// ```
///
/// 1 is best, 0 is what the mean of the targets would have, and there is no worst. An output without an error has 1, and one with
/// errors whose targets are all equal has 0, as in scikit-learn.
///
/// # Errors
/// As [`mse`], and [`Error::HyperParameter`] for fewer than two examples.
pub fn r2<'t, 'p, T: Scalar>(targets: impl Into<MatRef<'t, T>>, predictions: impl Into<MatRef<'p, T>>) -> Result<f64> {
    let (targets, predictions) = (targets.into(), predictions.into());
    check(targets, predictions)?;
    let n = targets.cols() as f64;
    require(n > 1.0, "the number of examples for r2", "at least 2", n)?;
    let of_row = |output| determination(row(targets, output), row(predictions, output), n);
    Ok((0..targets.rows()).map(of_row).sum::<f64>() / targets.rows() as f64)
}

/// R² of one output.
fn determination(y: impl Iterator<Item = f64> + Clone, predicted: impl Iterator<Item = f64>, n: f64) -> f64 {
    let mean = y.clone().sum::<f64>() / n;
    let error: f64 = y.clone().zip(predicted).map(|(y, p)| (y - p).powi(2)).sum();
    // Not by the spread: the mean of equal numbers may round, and leave some.
    let constant = y.clone().zip(y.clone().skip(1)).all(|(a, b)| a == b);
    match (error == 0.0, constant) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => 1.0 - error / y.map(|y| (y - mean).powi(2)).sum::<f64>(),
    }
}

fn check<T: Scalar>(targets: MatRef<'_, T>, predictions: MatRef<'_, T>) -> Result<()> {
    if targets.as_slice().is_empty() {
        return Err(Error::Empty { what: "the matrix of targets" });
    }
    check_shape("rows of the predictions (outputs)", targets.rows(), predictions.rows())?;
    check_shape("columns of the predictions (examples)", targets.cols(), predictions.cols())?;
    check_finite("targets", targets)?;
    check_finite("predictions", predictions)
}
