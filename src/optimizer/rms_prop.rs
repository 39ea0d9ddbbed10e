//! RMSProp: steps over a running root mean square.

use super::{Optimizer, Step};
use crate::machine::linalg::dispatch;
use crate::machine::setting::{require_positive, require_share};
use crate::{Result, Scalar};

/// Steps divided by a running root mean square of the gradient.
///
/// ```text
/// v ← ρ·v + (1 − ρ)·g²,   θ ← θ − η·g/(√v + ε)
/// ```
///
/// η is the learning rate times the schedule's rate, ρ the [`decay`](Self::decay), v the one [slot](Optimizer::slots).
/// Tieleman & Hinton 2012, *Lecture 6.5: RMSProp* (Coursera, Neural networks for machine learning), where ρ = 0.9. This
/// is PyTorch's `RMSprop`, neither centred nor with momentum. v starts at 0 without a correction, so the first steps are
/// up to 1/√(1 − ρ) times the later ones.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct RmsProp {
    learning_rate: f64,
    decay: f64,
    epsilon: f64,
}

impl RmsProp {
    /// η = `learning_rate` > 0, ρ = 0.99, ε = 10⁻⁸.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, decay: 0.99, epsilon: 1e-8 }
    }

    /// Sets ρ, 0 ≤ ρ < 1.
    pub fn decay(mut self, decay: f64) -> Self {
        self.decay = decay;
        self
    }

    /// Sets ε > 0.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

impl<T: Scalar> Optimizer<T> for RmsProp {
    fn slots(&self) -> usize {
        1
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn update(&self, step: Step<'_, T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        let rate = T::of(self.learning_rate) * step.rate;
        let (keep, take) = (T::of(self.decay), T::of(1.0 - self.decay));
        let epsilon = T::of(self.epsilon);
        dispatch(
            #[inline(always)]
            || {
                for ((p, &g), v) in params.iter_mut().zip(grad.iter()).zip(state) {
                    *v = keep * *v + take * (g * g);
                    *p -= rate * g / (v.sqrt() + epsilon);
                }
            },
        );
    }

    fn validate(&self) -> Result<()> {
        require_positive::<T>("RmsProp::learning_rate", self.learning_rate)?;
        require_share::<T>("RmsProp::decay", self.decay)?;
        require_positive::<T>("RmsProp::epsilon", self.epsilon)
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("RmsProp", self)
    }
}
