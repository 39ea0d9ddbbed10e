//! Squared error: the default at the output and between layers, and the only loss that exact steps accept.

use super::Loss;
use crate::machine::linalg::sum_zip;
use crate::{MatMut, MatRef, Scalar};

/// Half the squared distance.
///
/// ```text
/// L(z, ẑ) = ½‖z − ẑ‖²,   ∂L/∂ẑ = ẑ − z,   ∂L/∂z = z − ẑ
/// ```
///
/// As hidden loss it is the one of the method of auxiliary coordinates (Carreira-Perpiñán & Wang 2014,
/// *Distributed optimization of deeply nested systems*, [arXiv 1212.5921](https://arxiv.org/abs/1212.5921)) and of
/// predictive coding with unit precision. It knows no scale: see
/// [`RelativeSquaredError`](super::RelativeSquaredError).
///
/// ```
/// use decoupled::{Loss, MatRef, loss::SquaredError};
///
/// let (target, prediction) = ([1.0, 2.0], [4.0, -2.0]);
/// let value = SquaredError.value(MatRef::new(&target, 2, 1), MatRef::new(&prediction, 2, 1));
/// assert_eq!(value, 12.5);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SquaredError;

impl<T: Scalar> Loss<T> for SquaredError {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        let squares = sum_zip(target.as_slice(), prediction.as_slice(), |z, p| (p - z) * (p - z));
        T::of(0.5) * squares
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let pairs = target.as_slice().iter().zip(prediction.as_slice());
        for (g, (&z, &p)) in grad.as_mut_slice().iter_mut().zip(pairs) {
            *g = p - z;
        }
    }

    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>) {
        self.gradient(prediction, target, grad);
    }

    fn hessian_product(
        &self,
        _target: MatRef<'_, T>,
        _prediction: MatRef<'_, T>,
        direction: MatRef<'_, T>,
        mut out: MatMut<'_, T>,
    ) {
        out.as_mut_slice().copy_from_slice(direction.as_slice());
    }

    fn is_squared_error(&self) -> bool {
        true
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("SquaredError", self)
    }
}
