//! The coupling of a stored activation to its prediction: penalties, multipliers, and the end of a fit.

use crate::{Result, Scalar};

mod multipliers;
mod penalty;

pub use multipliers::Multipliers;
pub(crate) use penalty::PenaltyFactor;
pub use penalty::{Penalty, PenaltyIncrease, Stall};

/// How the constraint z_t = ẑ_t is enforced; by default by constant penalties alone.
///
/// A relative coupling, independent of the activations' scale, is a hidden loss:
/// [`RelativeSquaredError`](crate::loss::RelativeSquaredError).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Coupling {
    /// How the penalties change during a fit.
    pub penalty: Penalty,
    /// Multipliers in addition to the penalties: an augmented Lagrangian.
    pub multipliers: Option<Multipliers>,
    /// Whether a fit ends by setting Z to the forward pass and refitting the last layer to it: see
    /// [`Method::finish`](crate::Method::finish).
    pub finish: bool,
}

impl Coupling {
    pub(crate) fn validate<T: Scalar>(&self) -> Result<()> {
        self.penalty.validate()?;
        self.multipliers.map_or(Ok(()), |multipliers| multipliers.validate::<T>())
    }
}
