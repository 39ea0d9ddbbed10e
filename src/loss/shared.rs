//! `Loss` for an `Arc` of one.

use std::sync::Arc;

use super::{Loss, Outputs};
use crate::{MatMut, MatRef, Result, Scalar};

/// A shared loss is the loss: losses hold nothing that changes. It is also how a loss read from JSON is set.
impl<T: Scalar, L: Loss<T> + ?Sized> Loss<T> for Arc<L> {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        (**self).value(target, prediction)
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>) {
        (**self).gradient(target, prediction, grad);
    }

    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>) {
        (**self).target_gradient(target, prediction, grad);
    }

    fn hessian_product(
        &self,
        target: MatRef<'_, T>,
        prediction: MatRef<'_, T>,
        direction: MatRef<'_, T>,
        out: MatMut<'_, T>,
    ) {
        (**self).hessian_product(target, prediction, direction, out);
    }

    fn outputs(&self) -> Outputs {
        (**self).outputs()
    }

    fn is_squared_error(&self) -> bool {
        (**self).is_squared_error()
    }

    fn validate(&self) -> Result<()> {
        (**self).validate()
    }

    fn check_targets(&self, targets: MatRef<'_, T>) -> Result<()> {
        (**self).check_targets(targets)
    }

    fn serves_hidden(&self) -> bool {
        (**self).serves_hidden()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        (**self).describe()
    }
}
