//! The start of a visit: the forward pass, the bank, or a blend of both.

use crate::error::require;
use crate::{Result, Scalar};

/// Where the activations of a visited example start.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Start {
    /// At the forward pass, whatever the bank holds.
    Anchored,
    /// At the activations of the last visit; at the forward pass if there was none.
    ///
    /// A network keeps one bank, for the last data that it was fitted on. A fit on other data begins a new one, and the same examples
    /// in another order are other data: after fits on A, B and A again, the first visits to A are lost.
    Persisted,
    /// Between the two: this share, in (0, 1), of the last visit's activations, the rest of the forward pass.
    Blend(f64),
}

impl Start {
    pub(crate) fn validate(self) -> Result<()> {
        match self {
            Self::Anchored | Self::Persisted => Ok(()),
            Self::Blend(share) => require(share > 0.0 && share < 1.0, "share of a blended start", "in (0, 1)", share),
        }
    }

    /// z ← share · last + (1 − share) · z, where z holds the forward activation.
    pub(crate) fn blend<T: Scalar>(self, last: &[T], z: &mut [T]) {
        match self {
            Self::Anchored => {}
            Self::Persisted => z.copy_from_slice(last),
            Self::Blend(share) => {
                let share = T::of(share);
                // As z + share · (last − z): exactly z if both are equal.
                z.iter_mut().zip(last).for_each(|(z, &last)| *z += share * (last - *z));
            }
        }
    }
}
