//! The coupling of a stored activation to its prediction: penalties, multipliers, and the end of a fit.

use crate::error::require;
use crate::machine::setting::require_positive;
use crate::{Result, Scalar};

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
        if let Penalty::Raised(PenaltyIncrease { factor, progress, most, .. }) = self.penalty {
            require(factor > 1.0 && factor.is_finite(), "factor of a raised penalty", "above 1 and finite", factor)?;
            require((0.0..1.0).contains(&progress), "progress of a raised penalty", "in [0, 1)", progress)?;
            require(most >= 1.0 && most.is_finite(), "most of a raised penalty", "at least 1 and finite", most)?;
        }
        self.multipliers.map_or(Ok(()), |own| require_positive::<T>("rate of the multipliers", own.rate))
    }
}

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

/// How the penalties μ_t change during a fit; the next fit continues from there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Penalty {
    /// They keep the values that the network was built with.
    #[default]
    Constant,
    /// They rise, all by the same factor, after an epoch without progress.
    Raised(PenaltyIncrease),
}

/// Which quantity must make progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Stall {
    /// The largest relative residual ‖z_t − ẑ_t‖/‖z_t‖ of the hidden layers.
    Residual,
    /// The forward loss on the training data.
    ForwardLoss,
}

/// Raises the penalties when progress stalls, as the quadratic-penalty method and MAC do (Carreira-Perpiñán and Wang 2014, arXiv
/// 1212.5921): small at first, so that activations and parameters move freely; large in the end, so that the bank agrees with the
/// forward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct PenaltyIncrease {
    /// The quantity that must not stall.
    pub stall: Stall,
    /// Multiplies the penalties, above 1.
    pub factor: f64,
    /// An epoch is progress if it brings the quantity below (1 − progress) times its best, 0 ≤ progress < 1.
    pub progress: f64,
    /// The largest product of all increases, at least 1.
    pub most: f64,
}

impl PenaltyIncrease {
    /// Returns tenfold increases, up to a thousandfold, when the quantity falls by less than a hundredth of its best.
    pub const fn when(stall: Stall) -> Self {
        Self { stall, factor: 10.0, progress: 0.01, most: 1e3 }
    }
}

/// The present factor on the penalties, and the best value of the quantity since the last increase, if any.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "save", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(crate) struct PenaltyFactor {
    pub(crate) value: f64,
    best: Option<f64>,
}

impl PenaltyFactor {
    pub(crate) const fn new() -> Self {
        Self { value: 1.0, best: None }
    }

    /// Begins a fit: constant penalties return to those that the network was built with.
    pub(crate) fn begin(&mut self, penalty: Penalty) {
        if penalty == Penalty::Constant {
            *self = Self::new();
        }
    }

    /// Updates the factor after an epoch.
    pub(crate) fn update(&mut self, penalty: Penalty, residuals: &[f64], forward_loss: f64) {
        let Penalty::Raised(increase) = penalty else { return };
        let now = match increase.stall {
            // `f64::max` ignores NaN: a residual that is not a number does not stop it.
            Stall::Residual => residuals.iter().copied().fold(0.0, f64::max),
            Stall::ForwardLoss => forward_loss,
        };
        if now < (1.0 - increase.progress) * self.best.unwrap_or(f64::INFINITY) {
            self.best = Some(now);
        } else {
            self.value = (self.value * increase.factor).min(increase.most);
            // The quantity starts a new descent under the new penalty.
            self.best = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The factor after each of these epochs: residuals from the lowest layer up, and the forward loss.
    fn factors(stall: Stall, epochs: &[([f64; 2], f64)]) -> Vec<f64> {
        let penalty = Penalty::Raised(PenaltyIncrease { stall, factor: 10.0, progress: 0.1, most: 50.0 });
        let mut factor = PenaltyFactor::new();
        let after = |(residuals, loss): &([f64; 2], f64)| {
            factor.update(penalty, residuals, *loss);
            factor.value
        };
        epochs.iter().map(after).collect()
    }

    #[test]
    fn a_fall_by_less_than_the_progress_below_the_best_raises_the_penalties() {
        // Worked by hand: below 0.9 times the best is progress, and after a raise the next epoch sets a new best.
        let watched = [1.0, 0.85, 0.8, 3.0, 2.6, 2.3, 2.2, 7.0];
        let expected = [1.0, 1.0, 10.0, 10.0, 10.0, 10.0, 50.0, 50.0];
        let falling = (0..8).map(|i| 0.5_f64.powi(i));
        let residuals: Vec<_> =
            watched.iter().zip(falling.clone()).map(|(&watched, loss)| ([0.1, watched], loss)).collect();
        assert_eq!(factors(Stall::Residual, &residuals), expected);
        let losses: Vec<_> = watched.iter().zip(falling).map(|(&watched, least)| ([least, least], watched)).collect();
        assert_eq!(factors(Stall::ForwardLoss, &losses), expected);
    }
}
