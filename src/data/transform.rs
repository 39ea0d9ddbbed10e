//! The trait of fitted steps before a network, and the choice of a scaler.

use crate::data::{Examples, Scaler};
use crate::layer::Shape;
use crate::{MatRef, Result, Scalar};

/// A fitted step before the network: it maps inputs, and has learned how from the data that it was fitted on.
///
/// A [`Scaler`] is one, and so is a closure. [`Pipeline::step`](crate::Pipeline::step) takes the closure that fits it.
pub trait Transform<T: Scalar>: Send + Sync {
    /// Maps inputs, `features × n`, to as many examples, perhaps of other features. Each is mapped by itself.
    ///
    /// # Errors
    /// Yours, as for other features than the step was fitted on.
    fn transform(&self, inputs: MatRef<'_, T>) -> Result<Examples<T>>;
}

impl<T: Scalar> Transform<T> for Scaler {
    fn transform(&self, inputs: MatRef<'_, T>) -> Result<Examples<T>> {
        self.apply(inputs)
    }
}

impl<T: Scalar, F: Fn(MatRef<'_, T>) -> Result<Examples<T>> + Send + Sync> Transform<T> for F {
    fn transform(&self, inputs: MatRef<'_, T>) -> Result<Examples<T>> {
        self(inputs)
    }
}

/// Which [`Scaler`] is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Scaling {
    /// [`Scaler::standard`]: to mean 0 and variance 1.
    Standard,
    /// [`Scaler::min_max`]: to [0, 1].
    MinMax,
    /// [`Scaler::standard_channels`]: each channel of pictures of this shape to mean 0 and variance 1.
    StandardChannels(Shape),
}

impl Scaling {
    /// Fits the scaler to data, `features × n`.
    ///
    /// # Errors
    /// As [`Scaler::standard`], [`Scaler::min_max`] and [`Scaler::standard_channels`].
    pub fn fit<'m, T: Scalar>(self, data: impl Into<MatRef<'m, T>>) -> Result<Scaler> {
        match self {
            Self::Standard => Scaler::standard(data),
            Self::MinMax => Scaler::min_max(data),
            Self::StandardChannels(shape) => Scaler::standard_channels(data, shape),
        }
    }
}
