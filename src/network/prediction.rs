//! Predictions of classes, labels and real-valued targets from a network's outputs.

use nalgebra::DMatrix;

use crate::error::supported;
use crate::loss::Outputs;
use crate::metrics::{Decision, SampleWeight, r2};
use crate::{Dataset, DecoupledNetwork, Error, MatMut, MatRef, Metric, Result, Scalar};

/// Computes R² of predictions, `d_T × n`, by the weights of the data.
pub(crate) fn determination<T: Scalar>(data: &Dataset<T>, predictions: &DMatrix<T>) -> Result<f64> {
    match data.weights() {
        Some(weights) => SampleWeight::new(weights)?.r2(data.targets(), predictions),
        None => r2(data.targets(), predictions),
    }
}

impl<T: Scalar> DecoupledNetwork<T> {
    /// Computes probabilities, `d_T × n`, for inputs `d_0 × n`, as the output loss understands the outputs
    /// ([`Loss::outputs`](crate::Loss::outputs)):
    ///
    /// | outputs | row k |
    /// |---|---|
    /// | [`Classes`](Outputs::Classes), as of `SoftmaxCrossEntropy` | the probability of class k; each column sums to 1 |
    /// | one of [`Labels`](Outputs::Labels), as of `BinaryCrossEntropy` | the only one: the probability of class 1 (scikit-learn has two columns, 1 − p and p) |
    /// | several of them | the probability of label k, each by itself |
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and [`Error::Unsupported`] for a loss to which outputs are real numbers.
    pub fn predict_proba<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<DMatrix<T>> {
        self.check_proba()?;
        Ok(self.to_probabilities(self.predict(inputs)?))
    }

    /// Fails if the outputs are not logits.
    pub(crate) fn check_proba(&self) -> Result<()> {
        let why = "the output loss does not turn outputs into probabilities: take SoftmaxCrossEntropy for classes, \
                   BinaryCrossEntropy for labels, or predict";
        supported(self.decision.outputs != Outputs::Numbers, "predict_proba", why)
    }

    /// Returns the class of each example for inputs `d_0 × n`: that of the largest output, the first of equal ones; with one output class 1
    /// where it exceeds the [threshold](Self::threshold), else class 0.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and [`Error::Unsupported`] for several outputs that are independent
    /// [labels](Outputs::Labels): [`predict_labels`](Self::predict_labels) has those.
    pub fn predict_class<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<Vec<usize>> {
        self.decision.check_class(self.output_dim())?;
        Ok(self.classes(&self.predict(inputs)?))
    }

    /// Returns the labels of each example, `d_T × n`, for inputs `d_0 × n`: 1 for every output that exceeds the
    /// [threshold](Self::threshold), 0 for the others.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and [`Error::Unsupported`] where the output loss gives every example one class.
    pub fn predict_labels<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<DMatrix<T>> {
        self.decision.check_labels()?;
        let outputs = self.predict(inputs)?;
        Ok(outputs.map(|output| if self.decision.is_yes(output) { T::one() } else { T::zero() }))
    }

    /// Returns the number that the probability of a [label](Outputs::Labels) must exceed to be a yes, or the output itself where
    /// outputs are numbers; 0.5 by default.
    pub fn threshold(&self) -> f64 {
        self.decision.threshold
    }

    /// Sets the [threshold](Self::threshold), say between two of those in a
    /// [`precision_recall_curve`](crate::metrics::precision_recall_curve), which counts a probability equal to its threshold as a yes. A saved
    /// network keeps it.
    ///
    /// # Errors
    /// [`Error::HyperParameter`] outside of \[0, 1\].
    pub fn set_threshold(&mut self, threshold: f64) -> Result<()> {
        let decision = Decision { threshold, ..self.decision };
        decision.validate()?;
        self.decision = decision;
        Ok(())
    }

    /// Computes how good the network is on a data set, at most 1: the [`accuracy`](crate::metrics::accuracy) for classes, the
    /// [subset accuracy](crate::metrics::subset_accuracy) for multi-label data, [R²](r2) for real-valued targets; by the
    /// [weights](Dataset::with_weights) of the examples.
    ///
    /// Class labels under a loss of independent labels with several outputs are one class against the rest, each by its own
    /// probability: the class is that of the largest, as in scikit-learn's `OneVsRestClassifier`.
    /// [`predict_class`](Self::predict_class), which sees no labels, cannot distinguish this from several labels per example, and refuses; take
    /// the largest of [`predict_proba`](Self::predict_proba), or train by [`SoftmaxCrossEntropy`](crate::loss::SoftmaxCrossEntropy).
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate) without its loss and, for real-valued targets, as [`r2`]; [`Error::Unsupported`] for targets
    /// of another kind than the outputs, such as real numbers for logits: no score has a meaning there.
    pub fn score(&self, data: &Dataset<T>) -> Result<f64> {
        self.check_data(data)?;
        self.check_score(data)?;
        let outputs = self.predict(data.inputs())?;
        match Metric::for_data(data, self.decision.outputs) {
            Some(metric) => {
                let judge = metric.judge(self.decision);
                let sum = judge.sum(data.targets(), (&outputs).into(), |example| data.weight(example))?;
                Ok(sum / data.len() as f64)
            }
            None => determination(data, &outputs),
        }
    }

    /// Fails if there is no score for data of this kind.
    pub(crate) fn check_score(&self, data: &Dataset<T>) -> Result<()> {
        let outputs = self.decision.outputs;
        if Metric::for_data(data, outputs).is_some() || (outputs == Outputs::Numbers && !data.is_multi_label()) {
            return Ok(());
        }
        let (what, why) = if data.is_multi_label() {
            ("score of multi-label data", "the output loss gives every example one class: take BinaryCrossEntropy")
        } else {
            let why = "the outputs are logits of classes or labels: give the labels to Dataset::classification (with 1 output \
                       for one logit) or Dataset::multi_label, or take evaluate, which has the loss";
            ("score of real-valued targets", why)
        };
        Err(Error::Unsupported { what, why })
    }

    /// Returns the class of each column of `outputs`, `d_T × n`.
    pub(crate) fn classes(&self, outputs: &DMatrix<T>) -> Vec<usize> {
        MatRef::from(outputs).columns().map(|column| self.decision.class(column)).collect()
    }

    /// Converts outputs, `d_T × n`, to probabilities, as the output loss reads them; numbers do not change.
    pub(crate) fn to_probabilities(&self, mut outputs: DMatrix<T>) -> DMatrix<T> {
        let (rows, cols) = outputs.shape();
        self.decision.outputs.to_probabilities(MatMut::new(outputs.as_mut_slice(), rows, cols));
        outputs
    }
}
