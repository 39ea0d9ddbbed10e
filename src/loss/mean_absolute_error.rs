//! Mean absolute error: the built-in loss that divides by the number of units.

use super::Loss;
use crate::machine::linalg::sum_zip;
use crate::{MatMut, MatRef, Scalar};

/// The absolute error, a mean over the units and a sum over the examples.
///
/// ```text
/// L(z, ẑ) = (1/d)·Σ_units |ẑ − z|,   ∂L/∂ẑ = sign(ẑ − z)/d = −∂L/∂z
/// ```
///
/// for a column of d units; sign 0 = 0 is the subgradient taken. As every [`Loss`] it adds up the examples, so divide
/// the value by their number for the mean absolute error of a table. Of the built-in losses only this one divides by
/// the number of units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MeanAbsoluteError;

impl<T: Scalar> Loss<T> for MeanAbsoluteError {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        share::<T>(target.rows()) * sum_zip(target.as_slice(), prediction.as_slice(), |z, p| (p - z).abs())
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let share = share::<T>(target.rows());
        let pairs = target.as_slice().iter().zip(prediction.as_slice());
        for (g, (&z, &p)) in grad.as_mut_slice().iter_mut().zip(pairs) {
            let residual = p - z;
            *g = if residual > T::zero() {
                share
            } else if residual < T::zero() {
                -share
            } else {
                // 0, or a NaN to pass on.
                residual
            };
        }
    }

    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>) {
        self.gradient(prediction, target, grad);
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("MeanAbsoluteError", self)
    }
}

/// 1/d.
fn share<T: Scalar>(units: usize) -> T {
    T::of(1.0 / units as f64)
}
