//! Relative squared error: a hidden loss that no scale of the activations can lower.

use super::Loss;
use crate::machine::linalg::{sum, sum_zip};
use crate::machine::setting::require_positive;
use crate::{MatMut, MatRef, Result, Scalar};

/// The squared error in units of the activations' own size: a hidden loss that shrinking cannot buy.
///
/// ```text
/// s = (‖z‖² + ‖ẑ‖²)/2d + ε,   L(z, ẑ) = ‖z − ẑ‖²/2s
/// ∂L/∂ẑ = (ẑ − z − (L/d)·ẑ)/s
/// ∂L/∂z = (z − ẑ − (L/d)·z)/s
/// ```
///
/// for each column of d units; values add up over the columns. s is the mean square of a unit, over both columns.
///
/// # Why
///
/// With positively homogeneous layers (ReLU, linear) and [`SquaredError`](super::SquaredError) between them, all hidden
/// activations can shrink by a factor c, the last layer grow by 1/c, and the circuit computes the same function at c² of
/// every hidden penalty: the objective then puts no price on arbitrary codes. Dividing by a square size takes c out.
///
/// Why by this size: over ‖z‖² alone, or ‖ẑ‖² alone, the loss has no bound where that column vanishes before the other.
/// s is symmetric and vanishes only with both, so that 0 ≤ L < 2d, and L is smooth. The minimum 0 is taken at z = ẑ,
/// where both gradients are 0. The factor d in s makes L equal to ½‖z − ẑ‖² where s = 1, so that penalties and step
/// sizes tuned for unit-variance activations carry over.
///
/// What it does not do: a distant prediction pulls less than with the squared error (L/d → 2 at ẑ = −z, where the
/// gradient is 0), and activations that are constant over the examples cost nothing here either.
///
/// ε > 0 is a mean square as well. It makes L smooth and 0 at z = ẑ = 0, where a dead layer would otherwise give 0/0;
/// the invariance holds for activations well above √ε, 10⁻⁴ at first.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct RelativeSquaredError {
    epsilon: f64,
}

impl RelativeSquaredError {
    /// With ε = 10⁻⁸.
    pub fn new() -> Self {
        Self { epsilon: 1e-8 }
    }

    /// Sets ε > 0.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// The loss of one column, and 1/s.
    fn column<T: Scalar>(&self, z: &[T], p: &[T]) -> (T, T) {
        let half = T::of(0.5);
        let squares = sum_zip(z, p, |z, p| z * z + p * p);
        let scale = T::one() / (squares * half / T::of(z.len() as f64) + T::of(self.epsilon));
        (half * sum_zip(z, p, |z, p| (p - z) * (p - z)) * scale, scale)
    }
}

impl Default for RelativeSquaredError {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> Loss<T> for RelativeSquaredError {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        sum(target.columns().zip(prediction.columns()).map(|(z, p)| self.column(z, p).0))
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let share = T::of(1.0 / target.rows() as f64);
        for (grad, (z, p)) in grad.columns_mut().zip(target.columns().zip(prediction.columns())) {
            let (loss, scale) = self.column(z, p);
            let shrink = loss * share;
            for ((g, &z), &p) in grad.iter_mut().zip(z).zip(p) {
                *g = scale * (p - z - shrink * p);
            }
        }
    }

    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>) {
        self.gradient(prediction, target, grad);
    }

    fn validate(&self) -> Result<()> {
        require_positive::<T>("RelativeSquaredError::epsilon", self.epsilon)
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("RelativeSquaredError", self)
    }
}
