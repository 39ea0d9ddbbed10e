//! Metrics of predicted classes: accuracy, confusion matrix, and scores per class.

use std::fmt;

use nalgebra::DMatrix;

use crate::data::check_labels;
use crate::machine::linalg::matrix::{check_shape, filled};
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
    Ok(ConfusionMatrix { counts, names: Vec::new() })
}

fn check_pairs(truth: &[usize], predicted: &[usize]) -> Result<()> {
    if truth.is_empty() {
        return Err(Error::Empty { what: "the list of labels" });
    }
    check_shape("predicted labels, one for each true label", truth.len(), predicted.len())
}

/// How often each class was taken for each: **rows are true classes, columns are predicted ones**. Printed, a table, with the
/// [names](Self::with_names) of the classes where it has them.
///
/// Precision, recall and F1 follow from it. Where one of them would divide by zero it is 0, as in scikit-learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    counts: DMatrix<usize>,
    /// Empty where the classes are printed as numbers.
    names: Vec<String>,
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

/// How scores of classes, or of labels of which an example may have several, become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Average {
    /// The plain mean over the classes. One that neither occurs nor is predicted counts as 0, as in scikit-learn where all classes
    /// are given as `labels`.
    Macro,
    /// Hits and misses of all classes together; where every example has one class, all three scores are the accuracy.
    Micro,
    /// The mean over the classes, each with the weight of its support.
    Weighted,
    /// The plain mean over the examples, of the labels of each; where every example has one class, all three scores are the accuracy.
    Samples,
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
        match average {
            Average::Micro | Average::Samples => ClassScores::new(self.counts.diagonal().sum(), support, support),
            Average::Macro => averaged(&self.per_class(), |_| 1.0, support),
            Average::Weighted => averaged(&self.per_class(), |class| class.support as f64, support),
        }
    }

    /// Names the classes, to be printed: such as [`Model::class_names`](crate::Model::class_names), or the classes
    /// of a [table](crate::data::csv::Table::classes).
    ///
    /// ```
    /// use decoupled::metrics::confusion_matrix;
    ///
    /// let matrix = confusion_matrix(&[0, 0, 1], &[0, 1, 1], 2)?.with_names(&["oak", "elm"])?;
    /// let table = "
    /// truth \\ predicted  oak  elm
    ///               oak    1    1
    ///               elm    0    1";
    /// assert_eq!(matrix.to_string(), table.trim_start());
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a name for each class.
    pub fn with_names(self, names: &[impl AsRef<str>]) -> Result<Self> {
        Ok(Self { names: check_names("names of classes", self.counts.ncols(), names)?, ..self })
    }
}

/// The mean of the scores by these weights; 0 where all weigh nothing.
pub(super) fn averaged(all: &[ClassScores], weight: fn(&ClassScores) -> f64, support: usize) -> ClassScores {
    let total: f64 = all.iter().map(weight).sum();
    let mean = |score: fn(&ClassScores) -> f64| {
        let sum: f64 = all.iter().map(|class| weight(class) * score(class)).sum();
        if total > 0.0 { sum / total } else { 0.0 }
    };
    ClassScores {
        precision: mean(|class| class.precision),
        recall: mean(|class| class.recall),
        f1: mean(|class| class.f1),
        support,
    }
}

/// As many names as there are classes or labels.
pub(super) fn check_names(what: &'static str, expected: usize, names: &[impl AsRef<str>]) -> Result<Vec<String>> {
    check_shape(what, expected, names.len())?;
    // A line break would tear the table apart.
    Ok(names.iter().map(|name| name.as_ref().replace(char::is_control, " ")).collect())
}

/// As a table names a class or label.
pub(super) fn shown(names: &[String], number: usize) -> String {
    names.get(number).cloned().unwrap_or_else(|| number.to_string())
}

impl ClassScores {
    pub(super) fn new(hits: usize, predicted: usize, support: usize) -> Self {
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
        let name = |class: usize| shown(&self.names, class);
        let head = ["truth \\ predicted".to_owned()].into_iter().chain(classes.map(name));
        let rows = self.counts.row_iter().enumerate();
        let rows = rows.map(|(class, row)| [name(class)].into_iter().chain(row.iter().map(usize::to_string)).collect());
        f.write_str(&table::aligned(&[head.collect()].into_iter().chain(rows).collect::<Vec<_>>()))
    }
}
