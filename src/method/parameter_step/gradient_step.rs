//! Gradient step: the layer's optimizer. The default.

use super::{LayerUpdate, ParameterStep, Sum};
#[cfg(feature = "serde")]
use crate::description::Description;
use crate::{Result, Scalar};

/// The layer's [optimizer](crate::Optimizer), along the mean of the gradient over the examples of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GradientStep;

impl<T: Scalar> ParameterStep<T> for GradientStep {
    fn sum(&self) -> Sum {
        Sum::Gradient
    }

    fn step(&self, update: &mut LayerUpdate<'_, T>) -> Result<()> {
        update.optimizer_step()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<Description> {
        Description::new("Optimizer", &())
    }
}
