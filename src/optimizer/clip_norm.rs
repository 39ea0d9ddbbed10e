//! A wrapper: clips the gradient's norm, per layer and not over the network, so that layers stay independent.

use super::{Optimizer, Step};
use crate::machine::linalg::sum_zip;
use crate::machine::setting::require_positive;
use crate::{Result, Scalar};

/// Shortens the gradient to a largest Euclidean norm, then hands it to another rule.
///
/// ```text
/// g ← g·min(1, c/‖g‖)
/// ```
///
/// Pascanu et al. 2013, *On the difficulty of training recurrent neural networks*,
/// [arXiv 1211.5063](https://arxiv.org/abs/1211.5063), algorithm 1. The norm is that of one layer's parameters (or of one
/// example's activation), not of the whole network as in PyTorch's `clip_grad_norm_`: layers stay independent. It is taken
/// in `f64`, so that no `f32` gradient overflows it.
///
/// ```
/// use decoupled::{Optimizer, optimizer::{ClipNorm, Sgd, Step}};
///
/// let mut params = [0.0, 0.0];
/// ClipNorm::new(Sgd::new(1.0), 2.5).update(Step::new(1, 1.0), &mut params, &mut [3.0, -4.0], &mut []);
/// assert_eq!(params, [-1.5, 2.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct ClipNorm<O> {
    inner: O,
    max_norm: f64,
}

impl<O> ClipNorm<O> {
    /// Clips to c = `max_norm` > 0 before `inner`.
    pub fn new(inner: O, max_norm: f64) -> Self {
        Self { inner, max_norm }
    }
}

impl<T: Scalar, O: Optimizer<T>> Optimizer<T> for ClipNorm<O> {
    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn update(&self, step: Step<'_, T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        let norm = sum_zip(grad, grad, |g, _| g.to_f64() * g.to_f64()).sqrt();
        if norm > self.max_norm {
            let factor = T::of(self.max_norm / norm);
            for g in &mut *grad {
                *g *= factor;
            }
        }
        self.inner.update(step, params, grad, state);
    }

    fn validate(&self) -> Result<()> {
        require_positive::<T>("ClipNorm::max_norm", self.max_norm)?;
        self.inner.validate()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("ClipNorm", &ClipNorm::new(self.inner.describe()?, self.max_norm))
    }
}
