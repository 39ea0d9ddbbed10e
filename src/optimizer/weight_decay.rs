//! A wrapper: L2 regularisation through the gradient.

use std::fmt;

use super::{Optimizer, Step, Weights};
use crate::machine::setting::require_non_negative;
use crate::{Result, Scalar};

/// Adds the gradient of ½λ‖θ‖² to the gradient, then hands it to another rule.
///
/// ```text
/// g ← g + λ·θ
/// ```
///
/// This is L2 regularisation, PyTorch's `weight_decay` on `SGD` and `Adam`; around Adam the moments rescale it, which
/// [`AdamW`](super::AdamW) avoids. All entries decay, biases too, as in PyTorch, unless it is for
/// [`weights_only`](Self::weights_only), as Keras' `kernel_regularizer` is (whose `L2(l)` has l‖θ‖²: λ = 2·l). On an activation
/// optimizer it is ½λ‖z‖² for every stored activation.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "kernel_regularizer")]
#[doc(alias = "regularization")]
#[doc(alias = "weight decay")]
pub struct WeightDecay<O> {
    inner: O,
    decay: f64,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    weights_only: bool,
}

impl<O: fmt::Debug> fmt::Debug for WeightDecay<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut form = f.debug_struct("WeightDecay");
        form.field("inner", &self.inner).field("decay", &self.decay);
        // Checkpoints are compared by this form, and old ones know no such setting.
        if self.weights_only {
            form.field("weights_only", &true);
        }
        form.finish()
    }
}

impl<O> WeightDecay<O> {
    /// Decays by λ = `decay` ≥ 0 through `inner`.
    pub fn new(inner: O, decay: f64) -> Self {
        Self { inner, decay, weights_only: false }
    }

    /// Decays [weights](Weights) alone: matrices, neither biases nor gains.
    pub fn weights_only(self) -> Self {
        Self { weights_only: true, ..self }
    }
}

impl<T: Scalar, O: Optimizer<T>> Optimizer<T> for WeightDecay<O> {
    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn is_elementwise(&self) -> bool {
        self.inner.is_elementwise()
    }

    fn update(&self, step: Step<'_, T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        let decay = T::of(self.decay);
        let weights = if self.weights_only { step.weights } else { Weights::all() };
        weights.zip(params, grad, |p, g| *g += decay * *p);
        self.inner.update(step, params, grad, state);
    }

    fn validate(&self) -> Result<()> {
        require_non_negative::<T>("WeightDecay::decay", self.decay)?;
        self.inner.validate()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        let Self { decay, weights_only, .. } = *self;
        let own = WeightDecay { inner: self.inner.describe()?, decay, weights_only };
        crate::description::Description::new("WeightDecay", &own)
    }
}
