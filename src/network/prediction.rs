//! What the outputs of a network say of class labels and real-valued targets.

use nalgebra::DMatrix;

use crate::metrics::{SampleWeight, accuracy, argmax, r2};
use crate::parallel::guarded;
use crate::{Dataset, DecoupledNetwork, Error, MatMut, MatRef, Result, Scalar};

impl<T: Scalar> DecoupledNetwork<T> {
    /// The probability of each class, `d_T × n`, for inputs `d_0 × n`, as the output loss understands the outputs
    /// ([`Loss::probabilities`](crate::Loss::probabilities)); each column sums to 1.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and [`Error::Unsupported`] for a loss to which outputs are no such probabilities.
    pub fn predict_proba<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<DMatrix<T>> {
        let why =
            "the output loss does not turn outputs into class probabilities: take SoftmaxCrossEntropy, or predict";
        let probabilities = self.probabilities(self.predict(inputs)?)?;
        probabilities.ok_or(Error::Unsupported { what: "predict_proba", why })
    }

    /// The class of each example for inputs `d_0 × n`: that of the largest output, the first of equal ones.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_class<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<Vec<usize>> {
        let outputs = self.predict(inputs)?;
        Ok(MatRef::from(&outputs).columns().map(argmax).collect())
    }

    /// How good the network is on a data set, at most 1: the [`accuracy`] for class labels, else [R²](r2), by the
    /// [weights](Dataset::with_weights) of the examples.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate) and, for real-valued targets, as [`r2`].
    pub fn score(&self, data: &Dataset<T>) -> Result<f64> {
        self.check_data(data)?;
        let weights = data.weights().map(SampleWeight::new).transpose()?;
        match (data.labels(), weights) {
            (Some(labels), None) => accuracy(labels, &self.predict_class(data.inputs())?),
            (Some(labels), Some(weights)) => weights.accuracy(labels, &self.predict_class(data.inputs())?),
            (None, None) => r2(data.targets(), &self.predict(data.inputs())?),
            (None, Some(weights)) => weights.r2(data.targets(), &self.predict(data.inputs())?),
        }
    }

    /// What the output loss makes of the outputs, if they mean probabilities.
    pub(crate) fn probabilities(&self, mut outputs: DMatrix<T>) -> Result<Option<DMatrix<T>>> {
        let (rows, cols) = outputs.shape();
        let means = guarded("probabilities of the loss", self.depth(), || {
            self.output_loss.probabilities(MatMut::new(outputs.as_mut_slice(), rows, cols))
        })?;
        Ok(means.then_some(outputs))
    }
}
