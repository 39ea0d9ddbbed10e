//! Metrics of labels of which an example may have several.

use std::fmt;

use super::labels::{Average, ClassScores, averaged, check_names, shown};
use super::row;
use crate::machine::linalg::matrix::{check_finite, check_shape};
use crate::{Error, MatRef, Result, Scalar, table};

/// Computes the share of examples all of whose labels are predicted as they are; both matrices are `labels × n`, of 0 and 1. It is what
/// scikit-learn's `accuracy_score` makes of such matrices.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`] unless the shapes agree, [`Error::NotFinite`], and [`Error::Metric`] for an entry that is neither
/// 0 nor 1.
#[doc(alias = "accuracy_score")]
pub fn subset_accuracy<'t, 'p, T: Scalar>(
    truth: impl Into<MatRef<'t, T>>,
    predicted: impl Into<MatRef<'p, T>>,
) -> Result<f64> {
    let (truth, predicted) = (truth.into(), predicted.into());
    check_both("subset_accuracy", truth, predicted)?;
    let hits = truth.columns().zip(predicted.columns()).filter(|(truth, predicted)| truth == predicted).count();
    Ok(hits as f64 / truth.cols() as f64)
}

/// Computes for each label the share of examples for which it is predicted as it is; both matrices are `labels × n`, of 0 and
/// 1.
///
/// # Errors
/// As [`subset_accuracy`].
pub fn label_accuracy<'t, 'p, T: Scalar>(
    truth: impl Into<MatRef<'t, T>>,
    predicted: impl Into<MatRef<'p, T>>,
) -> Result<Vec<f64>> {
    let (truth, predicted) = (truth.into(), predicted.into());
    check_both("label_accuracy", truth, predicted)?;
    let hits = |label| row(truth, label).zip(row(predicted, label)).filter(|(truth, predicted)| truth == predicted);
    Ok((0..truth.rows()).map(|label| hits(label).count() as f64 / truth.cols() as f64).collect())
}

/// Computes the share of labels, of all examples together, that are predicted wrong; both matrices are `labels × n`, of 0 and 1.
///
/// # Errors
/// As [`subset_accuracy`].
pub fn hamming_loss<'t, 'p, T: Scalar>(
    truth: impl Into<MatRef<'t, T>>,
    predicted: impl Into<MatRef<'p, T>>,
) -> Result<f64> {
    let (truth, predicted) = (truth.into(), predicted.into());
    check_both("hamming_loss", truth, predicted)?;
    let entries = truth.as_slice().iter().zip(predicted.as_slice());
    Ok(entries.filter(|(truth, predicted)| truth != predicted).count() as f64 / truth.as_slice().len() as f64)
}

/// Counts for each label, with or without it, how often examples are taken for either; both matrices are `labels × n`, of 0 and 1.
///
/// ```
/// use decoupled::data::Examples;
/// use decoupled::metrics::{Average, multi_label_confusion};
///
/// let truth = Examples::from_rows(&[[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])?;
/// let predicted = Examples::from_rows(&[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])?;
/// let counts = multi_label_confusion(&truth, &predicted)?.with_names(&["drama", "comedy"])?;
/// assert_eq!(counts.average(Average::Micro).recall, 0.5);
/// let table = "
///  label  true negatives  false positives  false negatives  true positives
///  drama               1                0                1               1
/// comedy               1                0                1               1";
/// assert_eq!(counts.to_string(), table[1..]);
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// As [`subset_accuracy`].
#[doc(alias = "multilabel_confusion_matrix")]
pub fn multi_label_confusion<'t, 'p, T: Scalar>(
    truth: impl Into<MatRef<'t, T>>,
    predicted: impl Into<MatRef<'p, T>>,
) -> Result<MultiLabelConfusion> {
    let (truth, predicted) = (truth.into(), predicted.into());
    check_both("multi_label_confusion", truth, predicted)?;
    let mut counts = vec![LabelCounts::default(); truth.rows()];
    let mut samples = Vec::with_capacity(truth.cols());
    for (truth, predicted) in truth.columns().zip(predicted.columns()) {
        let mut sample = LabelCounts::default();
        for (label, (&truth, &predicted)) in counts.iter_mut().zip(truth.iter().zip(predicted)) {
            for counts in [label, &mut sample] {
                let count = match (truth == T::one(), predicted == T::one()) {
                    (false, false) => &mut counts.true_negatives,
                    (false, true) => &mut counts.false_positives,
                    (true, false) => &mut counts.false_negatives,
                    (true, true) => &mut counts.true_positives,
                };
                *count += 1;
            }
        }
        samples.push(sample.scores());
    }
    let support = counts.iter().map(|label| label.scores().support).sum();
    let samples = averaged(&samples, |_| 1.0, support);
    Ok(MultiLabelConfusion { counts, samples, names: Vec::new() })
}

/// How often examples with and without each label are taken for either. Printed, a table with a line for each label.
///
/// Precision, recall and F1 follow from it. Where one of them would divide by zero it is 0, as in scikit-learn.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiLabelConfusion {
    counts: Vec<LabelCounts>,
    /// The mean over the examples.
    samples: ClassScores,
    names: Vec<String>,
}

/// The four numbers of a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Examples without the label that are taken for such.
    pub true_negatives: usize,
    /// Examples without the label that are taken for some with it.
    pub false_positives: usize,
    /// Examples with the label that are taken for some without it.
    pub false_negatives: usize,
    /// Examples with the label that are taken for such.
    pub true_positives: usize,
}

impl LabelCounts {
    fn scores(self) -> ClassScores {
        let Self { false_positives, false_negatives, true_positives: hits, .. } = self;
        ClassScores::new(hits, hits + false_positives, hits + false_negatives)
    }
}

impl MultiLabelConfusion {
    /// Returns the counts of each label.
    pub fn counts(&self) -> &[LabelCounts] {
        &self.counts
    }

    /// Computes the scores of each label.
    pub fn per_label(&self) -> Vec<ClassScores> {
        self.counts.iter().map(|label| label.scores()).collect()
    }

    /// Computes the scores of all labels as one, with all labels that examples have as support.
    pub fn average(&self, average: Average) -> ClassScores {
        let support = self.samples.support;
        match average {
            Average::Samples => self.samples,
            Average::Macro => averaged(&self.per_label(), |_| 1.0, support),
            Average::Weighted => averaged(&self.per_label(), |label| label.support as f64, support),
            Average::Micro => {
                let sum = |of: fn(&LabelCounts) -> usize| self.counts.iter().map(of).sum::<usize>();
                let (hits, false_positives) = (sum(|label| label.true_positives), sum(|label| label.false_positives));
                ClassScores::new(hits, hits + false_positives, support)
            }
        }
    }

    /// Names the labels, to be printed.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a name for each label.
    pub fn with_names(self, names: &[impl AsRef<str>]) -> Result<Self> {
        Ok(Self { names: check_names("names of labels", self.counts.len(), names)?, ..self })
    }
}

impl fmt::Display for MultiLabelConfusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["label", "true negatives", "false positives", "false negatives", "true positives"];
        let rows = self.counts.iter().enumerate().map(|(label, counts)| {
            let LabelCounts { true_negatives, false_positives, false_negatives, true_positives } = counts;
            let counts = [true_negatives, false_positives, false_negatives, true_positives];
            [shown(&self.names, label)].into_iter().chain(counts.map(usize::to_string)).collect()
        });
        let rows: Vec<_> = [head.map(str::to_owned).to_vec()].into_iter().chain(rows).collect();
        f.write_str(&table::aligned(&rows))
    }
}

fn check_both<T: Scalar>(metric: &'static str, truth: MatRef<'_, T>, predicted: MatRef<'_, T>) -> Result<()> {
    check(metric, truth, "predicted labels", predicted)?;
    check_bits(metric, "a predicted label of example", predicted)
}

/// Fails unless the truth is 0 or 1, and beside it something finite of the same shape.
pub(super) fn check<T: Scalar>(
    metric: &'static str,
    truth: MatRef<'_, T>,
    what: &'static str,
    beside: MatRef<'_, T>,
) -> Result<()> {
    if truth.as_slice().is_empty() {
        return Err(Error::Empty { what: "the matrix of labels" });
    }
    check_shape("rows beside the true labels (labels)", truth.rows(), beside.rows())?;
    check_shape("columns beside the true labels (examples)", truth.cols(), beside.cols())?;
    check_finite(what, beside)?;
    check_bits(metric, "a true label of example", truth)
}

fn check_bits<T: Scalar>(metric: &'static str, what: &'static str, labels: MatRef<'_, T>) -> Result<()> {
    for (index, column) in labels.columns().enumerate() {
        if let Some(&other) = column.iter().find(|&&label| label != T::zero() && label != T::one()) {
            return Err(Error::Metric { metric, what, index, expected: "0 or 1", found: other.to_f64() });
        }
    }
    Ok(())
}
