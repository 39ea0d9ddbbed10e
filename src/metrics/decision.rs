//! From outputs to classes and labels: the threshold, and when the largest output decides.

use super::argmax;
use crate::loss::Outputs;
use crate::machine::linalg::functions::sigmoid;
use crate::{Error, Result, Scalar, error};

/// How outputs become classes and labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) outputs: Outputs,
    /// What a probability, or a number, must exceed to be a yes.
    pub(crate) threshold: f64,
}

impl Decision {
    pub(crate) const DEFAULT_THRESHOLD: f64 = 0.5;

    /// # Errors
    /// [`Error::HyperParameter`], and [`Error::Unsupported`] for a threshold where the largest output decides.
    pub(crate) fn validate(self) -> Result<()> {
        if self.outputs == Outputs::Classes && self.threshold != Self::DEFAULT_THRESHOLD {
            let why = "the largest output names the class: for a threshold between two classes take one output, \
                       Dataset::with_one_output and BinaryCrossEntropy";
            return Err(Error::Unsupported { what: "threshold", why });
        }
        error::require((0.0..=1.0).contains(&self.threshold), "threshold", "in [0, 1]", self.threshold)
    }

    /// Whether an output by itself is a yes.
    pub(crate) fn is_yes<T: Scalar>(self, output: T) -> bool {
        let share = if self.outputs == Outputs::Labels { sigmoid(output).0 } else { output };
        share > T::of(self.threshold)
    }

    /// The class of an example: by the threshold for one output, that of the largest for several, the first of equal ones.
    pub(crate) fn class<T: Scalar>(self, outputs: &[T]) -> usize {
        match *outputs {
            [output] => self.is_yes(output).into(),
            _ => argmax(outputs),
        }
    }

    /// # Errors
    /// [`Error::Unsupported`] where outputs tell no class.
    pub(crate) fn check_class(self, outputs: usize) -> Result<()> {
        if self.outputs != Outputs::Labels || outputs == 1 {
            return Ok(());
        }
        let why = "the outputs are independent labels, of which an example may have several: take predict_labels, or \
                   SoftmaxCrossEntropy for one class of several";
        Err(Error::Unsupported { what: "predict_class", why })
    }

    /// # Errors
    /// [`Error::Unsupported`] where outputs are one class of several.
    pub(crate) fn check_labels(self) -> Result<()> {
        if self.outputs != Outputs::Classes {
            return Ok(());
        }
        let why = "the output loss gives every example one class: take predict_class, or BinaryCrossEntropy for independent labels";
        Err(Error::Unsupported { what: "predict_labels", why })
    }
}
