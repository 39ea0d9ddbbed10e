//! Metrics of scores by their order alone: ROC and precision-recall curves, and their areas.

use super::scores::{check, check_probabilities};
use super::{Average, row};
use crate::{Error, MatRef, Result, Scalar};

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
/// [`Error::Metric`] for a class of which no example is, or every one, and for probabilities as in [`log_loss`](super::log_loss).
#[doc(alias = "roc_auc_score")]
pub fn roc_auc<'s, T: Scalar>(truth: &[usize], scores: impl Into<MatRef<'s, T>>) -> Result<f64> {
    one_against_others(truth, scores.into(), &AREA)
}

/// Computes the average precision, which is the area under the precision-recall curve without interpolation; also called PR AUC.
///
/// ```text
/// Σ_k (R_k − R_{k−1}) P_k     precision and recall of the examples with the highest scores, down to the k-th distinct score
/// ```
///
/// Rows of `scores` are as in [`roc_auc`]; of three or more the plain mean over the classes, each against all others.
///
/// ```
/// use decoupled::{MatRef, metrics::average_precision};
///
/// let scores = [0.1, 0.4, 0.35, 0.8];
/// let found = average_precision(&[0, 0, 1, 1], MatRef::new(&scores, 1, 4))?;
/// assert!((found - 5.0 / 6.0).abs() < 1e-15); // half of them at precision 1, the other half at 2/3
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// As [`roc_auc`], but that every example may be of the class.
#[doc(alias = "average_precision_score")]
#[doc(alias = "pr_auc")]
pub fn average_precision<'s, T: Scalar>(truth: &[usize], scores: impl Into<MatRef<'s, T>>) -> Result<f64> {
    one_against_others(truth, scores.into(), &PRECISION)
}

/// Computes the [area under the receiver operating characteristic](roc_auc) of labels that examples have independently: `truth`, 0 or 1, and
/// any `scores` are both `labels × n`.
///
/// | average | area |
/// |---|---|
/// | `Macro`, `Weighted` | the mean over the labels, plain or by the number of examples that have them |
/// | `Micro` | of all labels of all examples together |
/// | `Samples` | the plain mean over the examples: of the labels that one has against those that it has not |
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`] unless the shapes agree, [`Error::NotFinite`], and [`Error::Metric`] for a truth that is neither
/// 0 nor 1 and for a label that no example has, or every one (`Samples`: an example without labels, or with all of them).
pub fn multi_label_roc_auc<'t, 's, T: Scalar>(
    truth: impl Into<MatRef<'t, T>>,
    scores: impl Into<MatRef<'s, T>>,
    average: Average,
) -> Result<f64> {
    over_labels(truth.into(), scores.into(), average, &AREA)
}

/// Computes the [average precision](average_precision) of labels that examples have independently, with shapes and averages as in
/// [`multi_label_roc_auc`].
///
/// # Errors
/// As [`multi_label_roc_auc`], but that every example may have a label.
pub fn multi_label_average_precision<'t, 's, T: Scalar>(
    truth: impl Into<MatRef<'t, T>>,
    scores: impl Into<MatRef<'s, T>>,
    average: Average,
) -> Result<f64> {
    over_labels(truth.into(), scores.into(), average, &PRECISION)
}

/// The receiver operating characteristic: what share of each class has at least such a score, for falling thresholds. Points on a
/// straight line between their neighbours are left out, as by scikit-learn's default.
#[derive(Clone, Debug, PartialEq)]
pub struct RocCurve {
    /// The share of class 0 at or above the threshold, from 0 to 1.
    pub false_positive_rates: Vec<f64>,
    /// The share of class 1 at or above it, from 0 to 1.
    pub true_positive_rates: Vec<f64>,
    /// The thresholds; the first is infinite.
    pub thresholds: Vec<f64>,
}

/// Precision and recall of class 1 for rising thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecallCurve {
    /// The share of class 1 among the examples at or above the threshold; at the end a 1 that belongs to none.
    pub precisions: Vec<f64>,
    /// The share of the examples of class 1 that lie at or above it; at the end a 0 that belongs to none.
    pub recalls: Vec<f64>,
    /// The thresholds, one less than points: every distinct score.
    pub thresholds: Vec<f64>,
}

/// Computes the receiver operating characteristic of class 1 against class 0, by scores of class 1, `1 × n`, or probabilities,
/// `2 × n`. Its area is [`roc_auc`].
///
/// # Errors
/// As [`roc_auc`], and [`Error::Shape`] for three rows or more.
pub fn roc_curve<'s, T: Scalar>(truth: &[usize], scores: impl Into<MatRef<'s, T>>) -> Result<RocCurve> {
    let steps = binary(truth, scores.into(), &AREA)?;
    let kept = |k: usize| {
        let neighbours =
            k.checked_sub(1).and_then(|before| Some((steps.get(before)?, steps.get(k)?, steps.get(k + 1)?)));
        neighbours.is_none_or(|(a, b, c)| {
            a.hits + c.hits != 2 * b.hits || (a.seen - a.hits) + (c.seen - c.hits) != 2 * (b.seen - b.hits)
        })
    };
    let last = steps.last().copied().unwrap_or_default();
    let (hits, misses) = (last.hits as f64, (last.seen - last.hits) as f64);
    let start = Step { score: f64::INFINITY, ..Step::default() };
    let kept = || [start].into_iter().chain((0..).zip(&steps).filter(|&(k, _)| kept(k)).map(|(_, step)| *step));
    Ok(RocCurve {
        false_positive_rates: kept().map(|step| (step.seen - step.hits) as f64 / misses).collect(),
        true_positive_rates: kept().map(|step| step.hits as f64 / hits).collect(),
        thresholds: kept().map(|step| step.score).collect(),
    })
}

/// Computes precision and recall of class 1 for every threshold, by scores of class 1, `1 × n`, or probabilities, `2 × n`. Its area
/// is [`average_precision`].
///
/// # Errors
/// As [`average_precision`], and [`Error::Shape`] for three rows or more.
pub fn precision_recall_curve<'s, T: Scalar>(
    truth: &[usize],
    scores: impl Into<MatRef<'s, T>>,
) -> Result<PrecisionRecallCurve> {
    let steps = binary(truth, scores.into(), &PRECISION)?;
    let hits = steps.last().map_or(0, |step| step.hits) as f64;
    let rising = || steps.iter().rev();
    Ok(PrecisionRecallCurve {
        precisions: rising().map(|step| step.hits as f64 / step.seen as f64).chain([1.0]).collect(),
        recalls: rising().map(|step| step.hits as f64 / hits).chain([0.0]).collect(),
        thresholds: rising().map(|step| step.score).collect(),
    })
}

/// A number that a ranking has.
struct Ranking {
    metric: &'static str,
    /// Of whom it needs one or more.
    expected: &'static str,
    needs_others: bool,
    of: fn(&[Step]) -> f64,
}

const AREA: Ranking = Ranking { metric: "roc_auc", expected: "at least 1, and not all", needs_others: true, of: area };
const PRECISION: Ranking =
    Ranking { metric: "average_precision", expected: "at least 1", needs_others: false, of: precision };

/// All with at least this score: how many, and how many of them are hits.
#[derive(Clone, Copy, Default)]
struct Step {
    score: f64,
    seen: usize,
    hits: usize,
}

impl Ranking {
    /// The distinct scores, highest first, of `(score, whether it is a hit)`.
    ///
    /// # Errors
    /// [`Error::Metric`] of these words where the number of hits does not allow an answer.
    fn steps(&self, mut ranked: Vec<(f64, bool)>, what: &'static str, index: usize) -> Result<Vec<Step>> {
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut last = Step::default();
        let levels = ranked.chunk_by(|a, b| a.0 == b.0);
        let steps: Vec<Step> = levels
            .map(|level| {
                last.score = level.first().map_or(last.score, |(score, _)| *score);
                last.seen += level.len();
                last.hits += level.iter().filter(|(_, hit)| *hit).count();
                last
            })
            .collect();
        if last.hits == 0 || (self.needs_others && last.hits == last.seen) {
            let (metric, expected, found) = (self.metric, self.expected, last.hits as f64);
            return Err(Error::Metric { metric, what, index, expected, found });
        }
        Ok(steps)
    }
}

/// Of each step and the one before it, the first after nothing.
fn pairs(steps: &[Step]) -> impl Iterator<Item = (Step, Step)> {
    [Step::default()].into_iter().chain(steps.iter().copied()).zip(steps.iter().copied())
}

/// U/(n₁·n₀) of Mann and Whitney.
fn area(steps: &[Step]) -> f64 {
    let last = steps.last().copied().unwrap_or_default();
    let won = pairs(steps).map(|(before, step)| {
        let (hits, below) = (step.hits - before.hits, last.seen - last.hits - (step.seen - step.hits));
        let level = (step.seen - before.seen) - hits;
        hits as f64 * (below as f64 + 0.5 * level as f64)
    });
    won.sum::<f64>() / (last.hits as f64 * (last.seen - last.hits) as f64)
}

/// Σ ΔR·P.
fn precision(steps: &[Step]) -> f64 {
    let hits = steps.last().map_or(0, |step| step.hits) as f64;
    let term =
        |(before, step): (Step, Step)| (step.hits - before.hits) as f64 / hits * (step.hits as f64 / step.seen as f64);
    pairs(steps).map(term).sum()
}

const OF_CLASS: &str = "the number of examples of class";

/// The steps of one class against all others, by one row.
fn of_class<T: Scalar>(truth: &[usize], class: usize, scores: MatRef<'_, T>, ranking: &Ranking) -> Result<Vec<Step>> {
    let scores = row(scores, class.min(scores.rows() - 1));
    ranking.steps(scores.zip(truth.iter().map(|&label| label == class)).collect(), OF_CLASS, class)
}

fn one_against_others<T: Scalar>(truth: &[usize], scores: MatRef<'_, T>, ranking: &Ranking) -> Result<f64> {
    let classes = scores.rows().max(2);
    check(truth, scores, classes)?;
    if scores.rows() > 1 {
        check_probabilities(ranking.metric, scores)?;
    }
    let judged = if classes == 2 { 1..2 } else { 0..classes };
    let count = judged.len() as f64;
    let found = judged.map(|class| of_class(truth, class, scores, ranking).map(|steps| (ranking.of)(&steps)));
    Ok(found.sum::<Result<f64>>()? / count)
}

/// The steps of class 1.
fn binary<T: Scalar>(truth: &[usize], scores: MatRef<'_, T>, ranking: &Ranking) -> Result<Vec<Step>> {
    if scores.rows() > 2 {
        let what = "rows of the scores of a curve (of class 1, or probabilities of two classes)";
        return Err(Error::Shape { what, expected: 1, found: scores.rows() });
    }
    check(truth, scores, 2)?;
    if scores.rows() == 2 {
        check_probabilities(ranking.metric, scores)?;
    }
    of_class(truth, 1, scores, ranking)
}

fn over_labels<T: Scalar>(
    truth: MatRef<'_, T>,
    scores: MatRef<'_, T>,
    average: Average,
    ranking: &Ranking,
) -> Result<f64> {
    super::multi_label::check(ranking.metric, truth, "scores", scores)?;
    let hits = |truth: &mut dyn Iterator<Item = f64>| truth.map(|truth| truth > 0.5).collect::<Vec<bool>>();
    let of = |scores: &mut dyn Iterator<Item = f64>, hits: &[bool], what, index| {
        let steps = ranking.steps(scores.zip(hits.iter().copied()).collect(), what, index)?;
        Ok::<_, Error>((ranking.of)(&steps))
    };
    let all = |matrix: MatRef<'_, T>| matrix.as_slice().to_vec().into_iter().map(T::to_f64);
    let (mut sum, mut weights) = (0.0, 0.0);
    match average {
        Average::Micro => {
            let hits = hits(&mut all(truth));
            return of(
                &mut all(scores),
                &hits,
                "the number of labels that examples have, in rows up to",
                truth.rows() - 1,
            );
        }
        Average::Samples => {
            for (example, (truth, scores)) in truth.columns().zip(scores.columns()).enumerate() {
                let hits = hits(&mut truth.iter().map(|t| t.to_f64()));
                sum += of(&mut scores.iter().map(|s| s.to_f64()), &hits, "the number of labels of example", example)?;
                weights += 1.0;
            }
        }
        Average::Macro | Average::Weighted => {
            for label in 0..truth.rows() {
                let hits = hits(&mut row(truth, label));
                let found = of(&mut row(scores, label), &hits, "the number of examples with label", label)?;
                let count = hits.iter().filter(|hit| **hit).count() as f64;
                let weight = if average == Average::Weighted { count } else { 1.0 };
                sum += weight * found;
                weights += weight;
            }
        }
    }
    Ok(sum / weights)
}
