use super::{Optimizer, Step};
use crate::error::require_non_negative;
use crate::{Result, Scalar};

/// Adds the gradient of ½λ‖θ‖² to the gradient, then hands it to another rule.
///
/// ```text
/// g ← g + λ·θ
/// ```
///
/// This is L2 regularisation, PyTorch's `weight_decay` on `SGD` and `Adam`; around Adam the moments rescale it, which
/// [`AdamW`](super::AdamW) avoids. All entries decay, biases too. On an activation optimizer it is ½λ‖z‖² for every
/// stored activation.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct WeightDecay<O> {
    inner: O,
    decay: f64,
}

impl<O> WeightDecay<O> {
    /// Decays by λ = `decay` ≥ 0 through `inner`.
    pub fn new(inner: O, decay: f64) -> Self {
        Self { inner, decay }
    }
}

impl<T: Scalar, O: Optimizer<T>> Optimizer<T> for WeightDecay<O> {
    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn is_elementwise(&self) -> bool {
        self.inner.is_elementwise()
    }

    fn update(&self, step: Step<T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        let decay = T::of(self.decay);
        for (g, &p) in grad.iter_mut().zip(params.iter()) {
            *g += decay * p;
        }
        self.inner.update(step, params, grad, state);
    }

    fn validate(&self) -> Result<()> {
        require_non_negative::<T>("WeightDecay::decay", self.decay)?;
        self.inner.validate()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("WeightDecay", &WeightDecay::new(self.inner.describe()?, self.decay))
    }
}
