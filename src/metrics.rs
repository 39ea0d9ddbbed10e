//! How good predictions are: the numbers of scikit-learn's module of this name, to 10⁻¹² in `f64`.
//!
//! Labels are `0..classes`, and columns of matrices are examples, where scikit-learn has rows. What it warns of or answers with NaN
//! is an error here.
//!
//! | of | |
//! |---|---|
//! | labels and predicted labels | [`accuracy`], [`confusion_matrix`], which has precision, recall and F1 |
//! | labels and scores or probabilities, `classes × n` | [`top_k_accuracy`], [`log_loss`], [`roc_auc`] |
//! | real-valued targets and predictions, `outputs × n` | [`mse`], [`mae`], [`r2`] |
//!
//! [`SampleWeight`] has those of them that are means over examples, and [`r2`], for examples of unequal weight.
//!
//! [`Metric`] is what a fit reports after every epoch: a mean of one number an example, as accuracy is.
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

mod labels;
mod metric;
mod real;
mod sample_weight;
mod scores;

pub use labels::{Average, ClassScores, ConfusionMatrix, accuracy, confusion_matrix};
pub use metric::Metric;
pub(crate) use metric::argmax;
pub use real::{mae, mse, r2};
pub use sample_weight::SampleWeight;
pub use scores::{log_loss, roc_auc, top_k_accuracy};

/// The entries of a row, from left to right.
fn row<T: Scalar>(matrix: MatRef<'_, T>, row: usize) -> impl Iterator<Item = f64> + Clone {
    matrix.as_slice().iter().skip(row).step_by(matrix.rows().max(1)).map(|entry| entry.to_f64())
}
