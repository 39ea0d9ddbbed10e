//! The same metrics with weighted examples.

use nalgebra::DMatrix;

use super::{accuracy, confusion_matrix, log_loss, mae, mse, r2, row};
use crate::data::check_weights;
use crate::machine::linalg::matrix::check_shape;
use crate::{MatRef, Result, Scalar};

/// Metrics in which example i counts w_i times: scikit-learn's argument `sample_weight`. Means are Σ w_i·x_i / Σ w_i.
///
/// ```
/// use decoupled::metrics::SampleWeight;
///
/// let weighted = SampleWeight::new(&[3.0, 1.0])?;
/// assert_eq!(weighted.accuracy(&[0, 1], &[0, 0])?, 0.75);
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(alias = "sample_weight")]
pub struct SampleWeight<'w> {
    weights: &'w [f64],
    sum: f64,
}

impl<'w> SampleWeight<'w> {
    /// Takes one weight for each example.
    ///
    /// # Errors
    /// [`Error::Weight`](crate::Error::Weight) for a weight that is negative or not finite, when all are 0, or when their sum
    /// overflows.
    pub fn new(weights: &'w [f64]) -> Result<Self> {
        check_weights(weights, weights.len())?;
        Ok(Self { weights, sum: weights.iter().sum() })
    }

    /// Computes [`accuracy`](super::accuracy): the share of the weight that is on examples predicted right.
    ///
    /// # Errors
    /// As [`accuracy`](super::accuracy), and [`Error::Shape`](crate::Error::Shape) unless there is a weight for each example.
    pub fn accuracy(&self, truth: &[usize], predicted: &[usize]) -> Result<f64> {
        accuracy(truth, predicted)?;
        let hits = truth.iter().zip(predicted).map(|(truth, predicted)| Ok(f64::from(truth == predicted)));
        self.mean(truth.len(), hits)
    }

    /// Sums the weights that each class has in each predicted one, `classes × classes`: rows are true classes, columns predicted
    /// ones, as in [`confusion_matrix`](super::confusion_matrix).
    ///
    /// # Errors
    /// As [`confusion_matrix`](super::confusion_matrix), and [`Error::Shape`](crate::Error::Shape) unless there is a weight for
    /// each example.
    pub fn confusion_matrix(&self, truth: &[usize], predicted: &[usize], classes: usize) -> Result<DMatrix<f64>> {
        let counts = confusion_matrix(truth, predicted, classes)?;
        self.check(truth.len())?;
        let mut sums = counts.counts().map(|_| 0.0);
        for ((&truth, &predicted), weight) in truth.iter().zip(predicted).zip(self.weights) {
            sums.get_mut((truth, predicted)).into_iter().for_each(|sum| *sum += weight);
        }
        Ok(sums)
    }

    /// Computes [`log_loss`](super::log_loss); `probabilities` is `classes × n`.
    ///
    /// # Errors
    /// As [`log_loss`](super::log_loss), and [`Error::Shape`](crate::Error::Shape) unless there is a weight for each example.
    pub fn log_loss<'p, T: Scalar>(&self, truth: &[usize], probabilities: impl Into<MatRef<'p, T>>) -> Result<f64> {
        let probabilities = probabilities.into();
        log_loss(truth, probabilities)?;
        let own = truth.iter().zip(probabilities.columns());
        self.mean(truth.len(), own.map(|(label, column)| log_loss(&[*label], one(column))))
    }

    /// Computes [`mse`](super::mse); both matrices are `outputs × n`.
    ///
    /// # Errors
    /// As [`mse`](super::mse), and [`Error::Shape`](crate::Error::Shape) unless there is a weight for each example.
    pub fn mse<'t, 'p, T: Scalar>(
        &self,
        targets: impl Into<MatRef<'t, T>>,
        predictions: impl Into<MatRef<'p, T>>,
    ) -> Result<f64> {
        let (targets, predictions) = (targets.into(), predictions.into());
        mse(targets, predictions)?;
        let pairs = targets.columns().zip(predictions.columns());
        self.mean(targets.cols(), pairs.map(|(y, p)| mse(one(y), one(p))))
    }

    /// Computes [`mae`](super::mae); both matrices are `outputs × n`.
    ///
    /// # Errors
    /// As [`mse`](Self::mse).
    pub fn mae<'t, 'p, T: Scalar>(
        &self,
        targets: impl Into<MatRef<'t, T>>,
        predictions: impl Into<MatRef<'p, T>>,
    ) -> Result<f64> {
        let (targets, predictions) = (targets.into(), predictions.into());
        mae(targets, predictions)?;
        let pairs = targets.columns().zip(predictions.columns());
        self.mean(targets.cols(), pairs.map(|(y, p)| mae(one(y), one(p))))
    }

    /// Computes [`r2`](super::r2), the means and squares weighted; both matrices are `outputs × n`.
    ///
    /// # Errors
    /// As [`r2`](super::r2), and [`Error::Shape`](crate::Error::Shape) unless there is a weight for each example.
    pub fn r2<'t, 'p, T: Scalar>(
        &self,
        targets: impl Into<MatRef<'t, T>>,
        predictions: impl Into<MatRef<'p, T>>,
    ) -> Result<f64> {
        let (targets, predictions) = (targets.into(), predictions.into());
        r2(targets, predictions)?;
        self.check(targets.cols())?;
        let of_row = |output| self.determination(row(targets, output), row(predictions, output));
        Ok((0..targets.rows()).map(of_row).sum::<f64>() / targets.rows() as f64)
    }

    /// R² of one output.
    fn determination(&self, y: impl Iterator<Item = f64> + Clone, predicted: impl Iterator<Item = f64>) -> f64 {
        let weighted = || y.clone().zip(self.weights).filter(|(_, weight)| **weight > 0.0);
        let mean = weighted().map(|(y, weight)| weight * y).sum::<f64>() / self.sum;
        let terms = y.clone().zip(predicted).zip(self.weights);
        let error: f64 = terms.map(|((y, p), weight)| weight * (y - p).powi(2)).sum();
        // The mean of equal targets may round, and their spread then is not 0: compare the targets themselves.
        let constant = weighted().zip(weighted().skip(1)).all(|((a, _), (b, _))| a == b);
        match (error == 0.0, constant) {
            (true, _) => 1.0,
            (false, true) => 0.0,
            (false, false) => 1.0 - error / weighted().map(|(y, weight)| weight * (y - mean).powi(2)).sum::<f64>(),
        }
    }

    /// The mean of one number for each of `examples` examples.
    fn mean(&self, examples: usize, of: impl Iterator<Item = Result<f64>>) -> Result<f64> {
        self.check(examples)?;
        let terms = of.zip(self.weights).map(|(value, weight)| Ok(weight * value?));
        Ok(terms.sum::<Result<f64>>()? / self.sum)
    }

    fn check(&self, examples: usize) -> Result<()> {
        check_shape("weights, one for each example", examples, self.weights.len())
    }
}

/// The column of one example.
fn one<T: Scalar>(column: &[T]) -> MatRef<'_, T> {
    MatRef::new(column, column.len(), 1)
}
