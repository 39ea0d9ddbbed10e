//! Stochastic gradient descent, with momentum or Nesterov's on request.

use super::{Optimizer, Step};
use crate::error::require;
use crate::machine::linalg::dispatch;
use crate::machine::setting::{require_positive, require_share};
use crate::{Result, Scalar};

/// Gradient descent, plain or with momentum.
///
/// ```text
/// plain       θ ← θ − η·g
/// momentum    v ← m·v + g,   θ ← θ − η·v
/// Nesterov    v ← m·v + g,   θ ← θ − η·(g + m·v)
/// ```
///
/// η is the learning rate times the schedule's rate, m the [`momentum`](Self::momentum), v the velocity, one
/// [slot](Optimizer::slots), present only with momentum. This is PyTorch's `SGD` without dampening. In Sutskever et al.
/// 2013, *On the importance of initialization and momentum in deep learning* (ICML), η stands inside the velocity,
/// v ← m·v − η·g: the same as long as η is constant.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Sgd {
    learning_rate: f64,
    momentum: f64,
    nesterov: bool,
}

impl Sgd {
    /// Plain descent with η = `learning_rate` > 0.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, momentum: 0.0, nesterov: false }
    }

    /// Sets m, 0 ≤ m < 1.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Looks ahead along the velocity (Nesterov 1983, as rewritten by Sutskever et al.); needs m > 0.
    pub fn nesterov(mut self) -> Self {
        self.nesterov = true;
        self
    }
}

impl<T: Scalar> Optimizer<T> for Sgd {
    fn slots(&self) -> usize {
        usize::from(self.momentum != 0.0)
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn update(&self, step: Step<'_, T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        let rate = T::of(self.learning_rate) * step.rate;
        let momentum = T::of(self.momentum);
        dispatch(
            #[inline(always)]
            || {
                let entries = params.iter_mut().zip(grad.iter());
                if self.momentum == 0.0 {
                    for (p, &g) in entries {
                        *p -= rate * g;
                    }
                } else if self.nesterov {
                    for ((p, &g), v) in entries.zip(state) {
                        *v = momentum * *v + g;
                        *p -= rate * (g + momentum * *v);
                    }
                } else {
                    for ((p, &g), v) in entries.zip(state) {
                        *v = momentum * *v + g;
                        *p -= rate * *v;
                    }
                }
            },
        );
    }

    fn validate(&self) -> Result<()> {
        require_positive::<T>("Sgd::learning_rate", self.learning_rate)?;
        require_share::<T>("Sgd::momentum", self.momentum)?;
        require(!self.nesterov || self.momentum > 0.0, "Sgd::momentum", "above 0 with Nesterov's rule", self.momentum)
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Sgd", self)
    }
}
