//! The Huber loss: squared error with a bounded pull.

use super::Loss;
use crate::machine::linalg::sum_zip;
use crate::machine::setting::require_positive;
use crate::{MatMut, MatRef, Result, Scalar};

/// Squared near zero, absolute beyond: an outlier pulls no harder than δ.
///
/// ```text
/// r = ẑ − z,   L(z, ẑ) = Σ ½r²            where |r| ≤ δ
///                        Σ δ·(|r| − ½δ)   where |r| > δ
/// ∂L/∂ẑ = min(max(r, −δ), δ) = −∂L/∂z
/// ```
///
/// Huber 1964, *Robust estimation of a location parameter*,
/// [doi 10.1214/aoms/1177703732](https://doi.org/10.1214/aoms/1177703732).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Huber {
    delta: f64,
}

impl Huber {
    /// Turns from squared to absolute at `delta` > 0, in the units of the activations.
    pub fn new(delta: f64) -> Self {
        Self { delta }
    }
}

impl<T: Scalar> Loss<T> for Huber {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        let (delta, half) = (T::of(self.delta), T::of(0.5));
        sum_zip(target.as_slice(), prediction.as_slice(), |z, p| {
            let distance = (p - z).abs();
            let near = if distance > delta { delta } else { distance };
            near * (distance - half * near)
        })
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let delta = T::of(self.delta);
        let pairs = target.as_slice().iter().zip(prediction.as_slice());
        for (g, (&z, &p)) in grad.as_mut_slice().iter_mut().zip(pairs) {
            *g = (p - z).clamp(-delta, delta);
        }
    }

    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>) {
        self.gradient(prediction, target, grad);
    }

    fn validate(&self) -> Result<()> {
        require_positive::<T>("Huber::delta", self.delta)
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Huber", self)
    }
}
