//! A wrapper: L1 regularisation through the gradient.

use super::{Optimizer, Step, Weights};
use crate::machine::setting::require_non_negative;
use crate::{Result, Scalar};

/// Adds a subgradient of λ‖θ‖₁ to the gradient, then hands it to another rule.
///
/// ```text
/// g ← g + λ·sign(θ)        sign(0) = 0
/// ```
///
/// This is L1 regularisation as in Keras (`kernel_regularizer=L1(λ)`); [`WeightDecay`](super::WeightDecay) inside or around it
/// makes it the elastic net (Zou & Hastie 2005, *Regularization and variable selection via the elastic net*). Around Adam the
/// moments rescale it. A subgradient step crosses zero rather than stopping there, so entries end within about a step of zero,
/// not at it: the lasso (Tibshirani 1996) has exact zeros, and needs a proximal step with the learning rate of the inner rule,
/// which a wrapper does not know. All entries shrink, biases too, unless it is for [`weights_only`](Self::weights_only).
///
/// ```
/// use decoupled::{Optimizer, optimizer::{L1, Sgd, Step}};
///
/// let mut params = [0.5, -0.5, 0.0];
/// L1::new(Sgd::new(1.0), 0.25).update(Step::new(1, 1.0), &mut params, &mut [0.0; 3], &mut []);
/// assert_eq!(params, [0.25, -0.25, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct L1<O> {
    inner: O,
    factor: f64,
    weights_only: bool,
}

impl<O> L1<O> {
    /// Adds λ = `factor` ≥ 0 times the sign of each entry, through `inner`.
    pub fn new(inner: O, factor: f64) -> Self {
        Self { inner, factor, weights_only: false }
    }

    /// Shrinks [weights](Weights) alone: matrices, neither biases nor gains.
    pub fn weights_only(self) -> Self {
        Self { weights_only: true, ..self }
    }
}

impl<T: Scalar, O: Optimizer<T>> Optimizer<T> for L1<O> {
    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn is_elementwise(&self) -> bool {
        self.inner.is_elementwise()
    }

    fn update(&self, step: Step<'_, T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        let factor = T::of(self.factor);
        let weights = if self.weights_only { step.weights } else { Weights::all() };
        weights.zip(params, grad, |p, g| {
            if *p != T::zero() {
                *g += factor * p.signum();
            }
        });
        self.inner.update(step, params, grad, state);
    }

    fn validate(&self) -> Result<()> {
        require_non_negative::<T>("L1::factor", self.factor)?;
        self.inner.validate()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        let Self { factor, weights_only, .. } = *self;
        let own = L1 { inner: self.inner.describe()?, factor, weights_only };
        crate::description::Description::new("L1", &own)
    }
}
