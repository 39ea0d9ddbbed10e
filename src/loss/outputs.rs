//! The meaning of outputs under a loss (numbers, classes or labels), and their way to probabilities.

use crate::machine::linalg::functions::{exp_to_one, sigmoid};
use crate::machine::linalg::{dispatch, sum_zip};
use crate::{MatMut, Scalar};

use super::softmax_cross_entropy::maximum;

/// The meaning that a loss gives to the outputs of a network, ẑ: probabilities, classes, labels and scores follow from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Outputs {
    /// Real numbers, as for the squared error. They are no probabilities; as scores of classes they are compared as they are.
    #[default]
    Numbers,
    /// Logits of one distribution over the classes, p = softmax(ẑ): an example has one class.
    Classes,
    /// Logits of independent labels, p = 1/(1 + exp(−ẑ)) each: an example has any number of them. A single output tells class 1
    /// from class 0.
    Labels,
}

impl Outputs {
    /// Turns logits, `d_T × n`, into probabilities; numbers stay.
    pub(crate) fn to_probabilities<T: Scalar>(self, mut outputs: MatMut<'_, T>) {
        match self {
            Self::Numbers => {}
            Self::Classes => {
                for column in outputs.columns_mut() {
                    let max = maximum(column);
                    column.iter_mut().for_each(|p| *p = exp_to_one(*p - max));
                    let total = sum_zip(column, column, |e, _| e);
                    column.iter_mut().for_each(|p| *p /= total);
                }
            }
            Self::Labels => {
                let logits = outputs.as_mut_slice();
                dispatch(
                    #[inline(always)]
                    || logits.iter_mut().for_each(|p| *p = sigmoid(*p).0),
                );
            }
        }
    }
}
