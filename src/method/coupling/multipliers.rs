//! Multipliers: the augmented Lagrangian's part of the coupling, and the step of λ.

use crate::machine::setting::require_positive;
use crate::{Result, Scalar};

/// Multipliers, kept in the bank: every hidden term of the objective gains λ_tᵀ(z_t − ẑ_t), and at the end of a visit
///
/// ```text
/// λ_t ← λ_t + rate · μ_t (z_t − ẑ_t)
/// ```
///
/// With them z = ẑ can hold at a stationary point without μ → ∞: it is stationary exactly where backpropagation is, and the
/// multipliers are then its errors, λ_t = −∂L_y/∂ẑ_t.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Multipliers {
    /// The factor on the step of λ_t; 1 is the method of multipliers.
    pub rate: f64,
    /// Whether only the highest hidden activation has multipliers; the others have penalties alone.
    pub highest_only: bool,
}

impl Multipliers {
    /// Returns multipliers for every hidden activation of every example, kept in the bank from visit to visit, with rate 1.
    pub const fn kept() -> Self {
        Self { rate: 1.0, highest_only: false }
    }

    /// Returns whether z_t has multipliers, 0 < t < T = `depth`.
    pub(crate) fn reaches(self, t: usize, depth: usize) -> bool {
        !self.highest_only || t + 1 == depth
    }

    pub(super) fn validate<T: Scalar>(self) -> Result<()> {
        require_positive::<T>("rate of the multipliers", self.rate)
    }

    /// out ← λ + rate · μ (z − ẑ), entry by entry.
    pub(crate) fn ascend<T: Scalar>(self, penalty: T, multiplier: &[T], z: &[T], prediction: &[T], out: &mut [T]) {
        // At rate 1 the new λ_t is the whole pull of its term on z_t, λ_t + μ_t (z_t − ẑ_t).
        let rate = T::of(self.rate) * penalty;
        let constraint = z.iter().zip(prediction).map(|(&z, &p)| z - p);
        for (out, (&multiplier, residual)) in out.iter_mut().zip(multiplier.iter().zip(constraint)) {
            *out = multiplier + rate * residual;
        }
    }
}
