//! A wrapper: clips each entry of the gradient.

use super::{Optimizer, Step};
use crate::machine::setting::require_positive;
use crate::{Result, Scalar};

/// Cuts every entry of the gradient to a largest size, then hands it to another rule.
///
/// ```text
/// g ← min(max(g, −c), c)
/// ```
///
/// It changes the gradient's direction; [`ClipNorm`](super::ClipNorm) does not.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct ClipValue<O> {
    inner: O,
    max_value: f64,
}

impl<O> ClipValue<O> {
    /// Clips to c = `max_value` > 0 before `inner`.
    pub fn new(inner: O, max_value: f64) -> Self {
        Self { inner, max_value }
    }
}

impl<T: Scalar, O: Optimizer<T>> Optimizer<T> for ClipValue<O> {
    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn is_elementwise(&self) -> bool {
        self.inner.is_elementwise()
    }

    fn update(&self, step: Step<'_, T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        let max = T::of(self.max_value);
        for g in &mut *grad {
            *g = g.clamp(-max, max);
        }
        self.inner.update(step, params, grad, state);
    }

    fn validate(&self) -> Result<()> {
        require_positive::<T>("ClipValue::max_value", self.max_value)?;
        self.inner.validate()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("ClipValue", &ClipValue::new(self.inner.describe()?, self.max_value))
    }
}
