//! Metrics of class scores and probabilities.

use crate::data::check_labels;
use crate::error::require;
use crate::machine::linalg::matrix::{check_finite, check_shape};
use crate::{Error, MatRef, Result, Scalar};

/// By how much the sum of a column of probabilities may differ from 1.
const TOLERANCE: f64 = 1e-5;

/// The share of examples whose true class is among the `k` with the highest scores (`classes × n`: logits, probabilities or others).
///
/// Of classes with equal scores the higher ones come first, as in scikit-learn for three classes and more. (With two and `k = 1` it
/// takes the scores of one class against a threshold, and the lower class where they meet it. So does
/// [`predict_class`](crate::DecoupledNetwork::predict_class), with any number of classes.)
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`] unless there is a label for each column, [`Error::LabelOutOfRange`], [`Error::NotFinite`], and
/// [`Error::HyperParameter`] for a `k` of zero and for scores of one class alone.
pub fn top_k_accuracy<'s, T: Scalar>(truth: &[usize], scores: impl Into<MatRef<'s, T>>, k: usize) -> Result<f64> {
    let scores = scores.into();
    check(truth, scores, scores.rows().max(2))?;
    let rows = scores.rows() as f64;
    require(rows > 1.0, "rows of the scores (classes) for top_k_accuracy", "at least 2", rows)?;
    require(k > 0, "k of top_k_accuracy", "at least 1", k as f64)?;
    let hit = |&(&label, column): &(&usize, &[T])| {
        let own = column.get(label);
        let ahead = |&(class, score): &(usize, &T)| Some(score) > own || (Some(score) == own && class > label);
        column.iter().enumerate().filter(ahead).count() < k
    };
    let hits = truth.iter().zip(scores.columns()).filter(hit).count();
    Ok(hits as f64 / truth.len() as f64)
}

/// Minus the mean logarithm of the probability given to the true class, in nats; `probabilities` is `classes × n`, or `1 × n` for the
/// probability of class 1 of two.
///
/// ```text
/// −1/n Σ_i ln min(max(p_i, ε), 1 − ε)
/// ```
///
/// with ε the distance from 1 to the next number of type `T`, as in scikit-learn since 1.5.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`] unless there is a label for each column, [`Error::LabelOutOfRange`], [`Error::NotFinite`], and
/// [`Error::Metric`] for a number outside \[0, 1\] or a column whose sum differs from 1 by more than 10⁻⁵.
pub fn log_loss<'p, T: Scalar>(truth: &[usize], probabilities: impl Into<MatRef<'p, T>>) -> Result<f64> {
    let probabilities = probabilities.into();
    check(truth, probabilities, probabilities.rows().max(2))?;
    check_probabilities("log_loss", probabilities)?;
    let (least, most) = (T::default_epsilon(), T::one() - T::default_epsilon());
    let terms = truth.iter().zip(probabilities.columns());
    let own = terms.filter_map(|(&label, column)| match (column, label) {
        (&[yes], 0) => Some(T::one() - yes),
        (&[yes], _) => Some(yes),
        _ => column.get(label).copied(),
    });
    let sum: f64 = own.map(|p| -p.clamp(least, most).to_f64().ln()).sum();
    Ok(sum / truth.len() as f64)
}

pub(super) fn check<T: Scalar>(truth: &[usize], scores: MatRef<'_, T>, classes: usize) -> Result<()> {
    if scores.as_slice().is_empty() {
        return Err(Error::Empty { what: "the matrix of scores" });
    }
    check_shape("labels, one for each example (a column of the scores)", scores.cols(), truth.len())?;
    check_labels(truth, classes)?;
    check_finite("scores", scores)
}

/// Fails unless every column is a distribution over the classes, or a single probability.
pub(super) fn check_probabilities<T: Scalar>(metric: &'static str, probabilities: MatRef<'_, T>) -> Result<()> {
    let what = "the probabilities of example";
    for (index, column) in probabilities.columns().enumerate() {
        let entries = || column.iter().map(|p| p.to_f64());
        if let Some(found) = entries().find(|p| !(0.0..=1.0).contains(p)) {
            return Err(Error::Metric { metric, what, index, expected: "in [0, 1]", found });
        }
        let found: f64 = entries().sum();
        if column.len() > 1 && (found - 1.0).abs() > TOLERANCE {
            return Err(Error::Metric { metric, what, index, expected: "a column that sums to 1", found });
        }
    }
    Ok(())
}
