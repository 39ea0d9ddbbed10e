//! Adam: moments of the gradient with bias correction.

use super::{Optimizer, Step};
use crate::machine::linalg::dispatch;
use crate::machine::setting::{require_positive, require_share};
use crate::{Result, Scalar};

/// Steps scaled by running moments of the gradient.
///
/// ```text
/// m ← β₁·m + (1 − β₁)·g        m̂ = m/(1 − β₁ᵏ)
/// v ← β₂·v + (1 − β₂)·g²       v̂ = v/(1 − β₂ᵏ)
/// θ ← θ − η·m̂/(√v̂ + ε)
/// ```
///
/// η is the learning rate times the schedule's rate, k the [number](Step::number) of the step, m and v the two
/// [slots](Optimizer::slots). Kingma & Ba 2015, *Adam: a method for stochastic optimization*,
/// [arXiv 1412.6980](https://arxiv.org/abs/1412.6980), algorithm 1; PyTorch's `Adam` is the same. ε = 0 is refused,
/// because an entry whose gradient was always 0 would become 0/0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Adam {
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
}

impl Adam {
    /// η = `learning_rate` > 0, β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }

    /// Returns [`new`](Self::new) at a learning rate that suits networks of D hidden layers, the steps of which add up: 0.002 for up to ten,
    /// 0.02/D for up to thirty, and 0.11/D^1.5 for more. The default of [`NetworkBuilder`](crate::NetworkBuilder). The example `depth` tries
    /// it with [`Method::default`](crate::Method) and with backpropagation; the latter alone bears half as much again.
    pub fn for_depth(hidden_layers: usize) -> Self {
        let depth = hidden_layers.max(1) as f64;
        // 0.02 √30 = 0.11: the rules meet at thirty.
        Self::new(2e-3_f64.min(0.02 / depth).min(0.02 * 30_f64.sqrt() / (depth * depth.sqrt())))
    }

    /// Returns η.
    pub const fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Sets β₁, the memory of the first moment, 0 ≤ β₁ < 1.
    pub fn beta1(mut self, beta1: f64) -> Self {
        self.beta1 = beta1;
        self
    }

    /// Sets β₂, the memory of the second moment, 0 ≤ β₂ < 1.
    pub fn beta2(mut self, beta2: f64) -> Self {
        self.beta2 = beta2;
        self
    }

    /// Sets ε > 0, which keeps the step finite where the gradient vanishes.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// 1 − η·λ with λ = `decay`.
    pub(super) fn shrink<T: Scalar>(&self, decay: f64, step: Step<'_, T>) -> T {
        T::one() - T::of(self.learning_rate * decay) * step.rate
    }

    /// θ ← θ − η·λ·θ with λ = `decay`, and the step, in one pass.
    pub(super) fn decay_and_step<T: Scalar>(
        &self,
        decay: f64,
        step: Step<'_, T>,
        params: &mut [T],
        grad: &mut [T],
        state: &mut [T],
    ) {
        let (first, second) = state.split_at_mut(params.len());
        let number = step.number as f64;
        let pass = Pass {
            keep: [self.beta1, self.beta2].map(T::of),
            take: [self.beta1, self.beta2].map(|beta| T::of(1.0 - beta)),
            rate: T::of(self.learning_rate / (1.0 - self.beta1.powf(number))) * step.rate,
            unbias: T::of(1.0 / (1.0 - self.beta2.powf(number)).sqrt()),
            shrink: self.shrink(decay, step),
            epsilon: T::of(self.epsilon),
        };
        dispatch(
            #[inline(always)]
            || pass.over(params, grad, first, second),
        );
    }
}

/// The constants of one step.
struct Pass<T> {
    keep: [T; 2],
    take: [T; 2],
    rate: T,
    unbias: T,
    shrink: T,
    epsilon: T,
}

impl<T: Scalar> Pass<T> {
    #[inline(always)]
    fn over(self, params: &mut [T], grad: &[T], first: &mut [T], second: &mut [T]) {
        let Self { keep: [b1, b2], take: [a1, a2], rate, unbias, shrink, epsilon } = self;
        for ((p, &g), (m, v)) in params.iter_mut().zip(grad).zip(first.iter_mut().zip(second)) {
            let (mean, square) = (b1 * *m + a1 * g, b2 * *v + a2 * (g * g));
            *p = shrink * *p - rate * mean / (square.sqrt() * unbias + epsilon);
            (*m, *v) = (mean, square);
        }
    }
}

impl<T: Scalar> Optimizer<T> for Adam {
    fn slots(&self) -> usize {
        2
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn update(&self, step: Step<'_, T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        self.decay_and_step(0.0, step, params, grad, state);
    }

    fn validate(&self) -> Result<()> {
        require_positive::<T>("Adam::learning_rate", self.learning_rate)?;
        require_share::<T>("Adam::beta1", self.beta1)?;
        require_share::<T>("Adam::beta2", self.beta2)?;
        require_positive::<T>("Adam::epsilon", self.epsilon)
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Adam", self)
    }
}
