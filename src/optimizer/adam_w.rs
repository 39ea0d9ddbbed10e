//! AdamW: Adam with decoupled weight decay.

use std::fmt;

use super::{Adam, Optimizer, Step};
use crate::machine::setting::require_non_negative;
use crate::{Result, Scalar};

/// [`Adam`] with weight decay apart from the gradient, so that the moments do not rescale it.
///
/// ```text
/// θ ← θ − η·λ·θ,   then Adam's step
/// ```
///
/// η is the learning rate times the schedule's rate, λ the [`weight_decay`](Self::weight_decay). Loshchilov & Hutter
/// 2019, *Decoupled weight decay regularization*, [arXiv 1711.05101](https://arxiv.org/abs/1711.05101), algorithm 2. There
/// only the schedule multiplies λ; as in PyTorch's `AdamW`, here the learning rate does so as well. All entries decay,
/// biases too, unless it is for [`weights_only`](Self::weights_only).
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct AdamW {
    adam: Adam,
    weight_decay: f64,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    weights_only: bool,
}

impl fmt::Debug for AdamW {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut form = f.debug_struct("AdamW");
        form.field("adam", &self.adam).field("weight_decay", &self.weight_decay);
        // Checkpoints are compared by this form, and old ones know no such setting.
        if self.weights_only {
            form.field("weights_only", &true);
        }
        form.finish()
    }
}

impl AdamW {
    /// λ = 0.01, and [`Adam::new`]'s defaults.
    pub fn new(learning_rate: f64) -> Self {
        Self { adam: Adam::new(learning_rate), weight_decay: 0.01, weights_only: false }
    }

    /// Sets λ ≥ 0.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Decays [weights](super::Weights) alone: matrices, neither biases nor gains.
    pub fn weights_only(mut self) -> Self {
        self.weights_only = true;
        self
    }

    /// Sets β₁, as [`Adam::beta1`].
    pub fn beta1(mut self, beta1: f64) -> Self {
        self.adam = self.adam.beta1(beta1);
        self
    }

    /// Sets β₂, as [`Adam::beta2`].
    pub fn beta2(mut self, beta2: f64) -> Self {
        self.adam = self.adam.beta2(beta2);
        self
    }

    /// Sets ε, as [`Adam::epsilon`].
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.adam = self.adam.epsilon(epsilon);
        self
    }
}

impl<T: Scalar> Optimizer<T> for AdamW {
    fn slots(&self) -> usize {
        Optimizer::<T>::slots(&self.adam)
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn update(&self, step: Step<'_, T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        if !self.weights_only {
            return self.adam.decay_and_step(self.weight_decay, step, params, grad, state);
        }
        let shrink = self.adam.shrink(self.weight_decay, step);
        step.weights.zip(params, grad, |p, _| *p *= shrink);
        self.adam.decay_and_step(0.0, step, params, grad, state);
    }

    fn validate(&self) -> Result<()> {
        Optimizer::<T>::validate(&self.adam)?;
        require_non_negative::<T>("AdamW::weight_decay", self.weight_decay)
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("AdamW", self)
    }
}
