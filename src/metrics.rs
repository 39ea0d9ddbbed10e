//! How good predictions are: the numbers of scikit-learn's module of this name, to 10⁻¹² in `f64`.
//!
//! Labels are `0..classes`, and columns of matrices are examples, where scikit-learn has rows. What it warns of or answers with NaN
//! is an error here.
//!
//! | of | |
//! |---|---|
//! | labels and predicted labels | [`accuracy`], [`confusion_matrix`], which has precision, recall and F1 |
//! | labels and scores or probabilities, `classes × n`, or `1 × n` of class 1 | [`top_k_accuracy`] (no `1 × n`), [`log_loss`], [`roc_auc`], [`average_precision`], [`roc_curve`], [`precision_recall_curve`] |
//! | several labels an example, 0 or 1, and predicted ones, `labels × n` | [`subset_accuracy`], [`label_accuracy`], [`hamming_loss`], [`multi_label_confusion`], which has precision, recall and F1 |
//! | several labels an example and their scores, `labels × n` | [`multi_label_roc_auc`], [`multi_label_average_precision`] |
//! | real-valued targets and predictions, `outputs × n` | [`mse`], [`mae`], [`r2`] |
//!
//! [`Metric`] is what a fit reports after every epoch: a mean of one number an example, as accuracy is. [`predict_class`],
//! [`predict_labels`] and [`predict_proba`] give what the others take.
//!
//! [`predict_class`]: crate::DecoupledNetwork::predict_class
//! [`predict_labels`]: crate::DecoupledNetwork::predict_labels
//! [`predict_proba`]: crate::DecoupledNetwork::predict_proba
//!
//! ```
//! use decoupled::metrics::{Average, accuracy, confusion_matrix};
//!
//! let (truth, predicted) = ([0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0]);
//! let matrix = confusion_matrix(&truth, &predicted, 3)?;
//! assert_eq!(matrix.counts()[(0, 1)], 1);
//! assert_eq!(matrix.per_class()[1].recall, 1.0);
//! assert_eq!(matrix.average(Average::Micro).f1, accuracy(&truth, &predicted)?);
//! let table = "
//! truth \\ predicted  0  1  2
//!                 0  1  1  0
//!                 1  0  2  0
//!                 2  1  0  1";
//! assert_eq!(matrix.to_string(), table.trim_start());
//! # Ok::<(), decoupled::Error>(())
//! ```

use crate::{MatRef, Scalar};

mod decision;
mod labels;
mod metric;
mod multi_label;
mod ranking;
mod real;
mod scores;

pub(crate) use decision::Decision;
pub use labels::{Average, ClassScores, ConfusionMatrix, accuracy, confusion_matrix};
pub use metric::Metric;
pub(crate) use metric::{Judge, argmax};
pub use multi_label::{
    LabelCounts, MultiLabelConfusion, hamming_loss, label_accuracy, multi_label_confusion, subset_accuracy,
};
pub use ranking::{
    PrecisionRecallCurve, RocCurve, average_precision, multi_label_average_precision, multi_label_roc_auc,
    precision_recall_curve, roc_auc, roc_curve,
};
pub use real::{mae, mse, r2};
pub use scores::{log_loss, top_k_accuracy};

/// The entries of a row, from left to right.
fn row<T: Scalar>(matrix: MatRef<'_, T>, row: usize) -> impl Iterator<Item = f64> + Clone {
    matrix.as_slice().iter().skip(row).step_by(matrix.rows().max(1)).map(|entry| entry.to_f64())
}
