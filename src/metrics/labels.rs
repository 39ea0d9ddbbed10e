use std::fmt;

use nalgebra::DMatrix;

use crate::data::check_labels;
use crate::matrix::{check_shape, filled};
use crate::{Error, Result, table};

/// The share of examples whose predicted class is the true one.
///
/// # Errors
/// [`Error::Empty`] without examples, [`Error::Shape`] unless there are as many predictions as labels.
pub fn accuracy(truth: &[usize], predicted: &[usize]) -> Result<f64> {
    check_pairs(truth, predicted)?;
    let hits = truth.iter().zip(predicted).filter(|(truth, predicted)| truth == predicted).count();
    Ok(hits as f64 / truth.len() as f64)
}

/// Counts how often each of so many classes is taken for each.
///
/// # Errors
/// [`Error::Empty`] without examples, [`Error::Shape`] unless there are as many predictions as labels,
/// [`Error::LabelOutOfRange`], and [`Error::OutOfMemory`] for `classes × classes` counts that do not fit.
pub fn confusion_matrix(truth: &[usize], predicted: &[usize], classes: usize) -> Result<ConfusionMatrix> {
    check_pairs(truth, predicted)?;
    check_labels(truth, classes)?;
    check_labels(predicted, classes)?;
    let counts = filled("the confusion matrix", classes.saturating_mul(classes), 0)?;
    let mut counts = DMatrix::from_vec(classes, classes, counts);
    for (&truth, &predicted) in truth.iter().zip(predicted) {
        counts.get_mut((truth, predicted)).into_iter().for_each(|count| *count += 1);
    }
    Ok(ConfusionMatrix { counts })
}

fn check_pairs(truth: &[usize], predicted: &[usize]) -> Result<()> {
    if truth.is_empty() {
        return Err(Error::Empty { what: "the list of labels" });
    }
    check_shape("predicted labels, one for each true label", truth.len(), predicted.len())
}

/// How often each class was taken for each: **rows are true classes, columns are predicted ones**. Printed, a table.
///
/// Precision, recall and F1 follow from it. Where one of them would divide by zero it is 0, as in scikit-learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    counts: DMatrix<usize>,
}

/// How well a class is told from the others, or a mean of that over classes.
///
/// ```text
/// precision = hits / predicted     recall = hits / support     F1 = 2·hits / (predicted + support)
/// ```
///
/// with `predicted` the examples taken for this class, and `hits` those of them that are of it. What divides by zero is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// The share of the examples taken for this class that are of it.
    pub precision: f64,
    /// The share of the examples of this class that are taken for it.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// Examples of this class.
    pub support: usize,
}

/// How scores of classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Average {
    /// The plain mean over the classes. One that neither occurs nor is predicted counts as 0, as in scikit-learn where all classes
    /// are given as `labels`.
    Macro,
    /// Hits and misses of all classes together; where every example has one class, all three scores are the accuracy.
    Micro,
    /// The mean over the classes, each with the weight of its support.
    Weighted,
}

impl ConfusionMatrix {
    /// The counts, `classes × classes`.
    pub fn counts(&self) -> &DMatrix<usize> {
        &self.counts
    }

    /// The scores of each class against all others. With two classes those of scikit-learn's `average='binary'` stand at index 1.
    pub fn per_class(&self) -> Vec<ClassScores> {
        let supports = self.counts.row_iter().map(|row| row.sum());
        let predicted = self.counts.column_iter().map(|column| column.sum());
        let hits = self.counts.diagonal();
        let classes = hits.iter().zip(predicted.zip(supports));
        classes.map(|(&hits, (predicted, support))| ClassScores::new(hits, predicted, support)).collect()
    }

    /// The scores of all classes as one, with all examples as support.
    pub fn average(&self, average: Average) -> ClassScores {
        let support = self.counts.sum();
        let weight: fn(&ClassScores) -> f64 = match average {
            Average::Micro => return ClassScores::new(self.counts.diagonal().sum(), support, support),
            Average::Macro => |_| 1.0,
            Average::Weighted => |class| class.support as f64,
        };
        let classes = self.per_class();
        let total: f64 = classes.iter().map(weight).sum();
        let mean = |score: fn(&ClassScores) -> f64| {
            classes.iter().map(|class| weight(class) * score(class)).sum::<f64>() / total
        };
        ClassScores {
            precision: mean(|class| class.precision),
            recall: mean(|class| class.recall),
            f1: mean(|class| class.f1),
            support,
        }
    }
}

impl ClassScores {
    fn new(hits: usize, predicted: usize, support: usize) -> Self {
        let ratio = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        Self {
            precision: ratio(hits, predicted),
            recall: ratio(hits, support),
            f1: ratio(2 * hits, predicted + support),
            support,
        }
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = 0..self.counts.ncols();
        let head = ["truth \\ predicted".to_owned()].into_iter().chain(classes.map(|class| class.to_string()));
        let rows = self.counts.row_iter().enumerate();
        let rows = rows.map(|(class, row)| [&class].into_iter().chain(row.iter()).map(usize::to_string).collect());
        f.write_str(&table::aligned(&[head.collect()].into_iter().chain(rows).collect::<Vec<_>>()))
    }
}
