use super::row;
use crate::data::check_labels;
use crate::error::require;
use crate::matrix::{check_finite, check_shape};
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
/// [`Error::HyperParameter`] for a `k` of zero.
pub fn top_k_accuracy<'s, T: Scalar>(truth: &[usize], scores: impl Into<MatRef<'s, T>>, k: usize) -> Result<f64> {
    let scores = scores.into();
    check(truth, scores, scores.rows())?;
    require(k > 0, "k of top_k_accuracy", "at least 1", k as f64)?;
    let hit = |&(&label, column): &(&usize, &[T])| {
        let own = column.get(label);
        let ahead = |&(class, score): &(usize, &T)| Some(score) > own || (Some(score) == own && class > label);
        column.iter().enumerate().filter(ahead).count() < k
    };
    let hits = truth.iter().zip(scores.columns()).filter(hit).count();
    Ok(hits as f64 / truth.len() as f64)
}

/// Minus the mean logarithm of the probability given to the true class, in nats; `probabilities` is `classes × n`.
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
    check(truth, probabilities, probabilities.rows())?;
    check_distributions("log_loss", probabilities)?;
    let (least, most) = (T::default_epsilon(), T::one() - T::default_epsilon());
    let terms = truth.iter().zip(probabilities.columns());
    let own = terms.filter_map(|(&label, column)| column.get(label));
    let sum: f64 = own.map(|p| -p.clamp(least, most).to_f64().ln()).sum();
    Ok(sum / truth.len() as f64)
}

/// The area under the receiver operating characteristic: the chance that an example of a class has a higher score for it than one
/// of another class; equal scores count half.
///
/// | rows of `scores` | area |
/// |---|---|
/// | 1 | of class 1 against 0, by any scores of class 1 |
/// | 2 | of class 1 against 0, by the second row |
/// | more | the plain mean over the classes, each against all others (`multi_class='ovr'` in scikit-learn) |
///
/// Two rows or more are probabilities: each column sums to 1.
///
/// ```
/// use decoupled::{MatRef, metrics::roc_auc};
///
/// let scores = [0.1, 0.4, 0.35, 0.8];
/// assert_eq!(roc_auc(&[0, 0, 1, 1], MatRef::new(&scores, 1, 4))?, 0.75);
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`] unless there is a label for each column, [`Error::LabelOutOfRange`], [`Error::NotFinite`], and
/// [`Error::Metric`] for a class of which no example is, or every one, and for probabilities as in [`log_loss`].
pub fn roc_auc<'s, T: Scalar>(truth: &[usize], scores: impl Into<MatRef<'s, T>>) -> Result<f64> {
    let scores = scores.into();
    let classes = scores.rows().max(2);
    check(truth, scores, classes)?;
    if scores.rows() > 1 {
        check_distributions("roc_auc", scores)?;
    }
    let judged = if classes == 2 { 1..2 } else { 0..classes };
    let areas = judged.clone().map(|class| area(truth, class, row(scores, class.min(scores.rows() - 1))));
    Ok(areas.sum::<Result<f64>>()? / judged.len() as f64)
}

/// The area of one class against all others: U/(n₁·n₀) of Mann and Whitney.
fn area(truth: &[usize], class: usize, scores: impl Iterator<Item = f64>) -> Result<f64> {
    let mut ranked: Vec<(f64, bool)> = scores.zip(truth.iter().map(|&label| label == class)).collect();
    ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let count = |part: &[(f64, bool)]| part.iter().filter(|(_, own)| *own).count();
    let own = count(&ranked);
    let others = ranked.len() - own;
    if own == 0 || others == 0 {
        let expected = "at least 1, and not all";
        let what = "the number of examples of class";
        return Err(Error::Metric { metric: "roc_auc", what, index: class, expected, found: own as f64 });
    }
    let (mut below, mut won) = (0, 0.0);
    for level in ranked.chunk_by(|a, b| a.0 == b.0) {
        let own = count(level);
        let others = level.len() - own;
        won += own as f64 * (below as f64 + 0.5 * others as f64);
        below += others;
    }
    Ok(won / (own as f64 * others as f64))
}

fn check<T: Scalar>(truth: &[usize], scores: MatRef<'_, T>, classes: usize) -> Result<()> {
    if scores.as_slice().is_empty() {
        return Err(Error::Empty { what: "the matrix of scores" });
    }
    check_shape("labels, one for each example (a column of the scores)", scores.cols(), truth.len())?;
    check_labels(truth, classes)?;
    check_finite("scores", scores)
}

/// Fails unless every column is a distribution over the classes.
fn check_distributions<T: Scalar>(metric: &'static str, probabilities: MatRef<'_, T>) -> Result<()> {
    let what = "the probabilities of example";
    for (index, column) in probabilities.columns().enumerate() {
        let entries = || column.iter().map(|p| p.to_f64());
        if let Some(found) = entries().find(|p| !(0.0..=1.0).contains(p)) {
            return Err(Error::Metric { metric, what, index, expected: "in [0, 1]", found });
        }
        let found: f64 = entries().sum();
        if (found - 1.0).abs() > TOLERANCE {
            return Err(Error::Metric { metric, what, index, expected: "a column that sums to 1", found });
        }
    }
    Ok(())
}
