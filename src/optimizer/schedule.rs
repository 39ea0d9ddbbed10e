//! Learning rates by the number of the update.

use std::f64::consts::PI;

use super::{Optimizer, Step};
use crate::error::require;
use crate::{Result, Scalar};

/// A factor on the learning rate for each update k = 1, 2, ….
///
/// Lengths are in **updates**, epochs × batches in an epoch (of batches that [accumulate](crate::FitConfig::accumulate), those of a step
/// together count as one); a layer that is frozen takes none. After its length a schedule stays at its last factor.
/// Only rates are scheduled: momenta and decay factors stay as they are.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub enum Schedule {
    /// 1.
    Constant,
    /// `factor`^⌊(k − 1)/every⌋: a fall after each `every` updates.
    Step {
        /// Updates between two falls, at least 1.
        every: u64,
        /// What each multiplies the rate by, > 0.
        factor: f64,
    },
    /// `factor`ᵏ⁻¹.
    Exponential {
        /// What each update multiplies the rate by, > 0; above 1 it sweeps the rate upwards, to find a good one.
        factor: f64,
    },
    /// From 1 to `floor` along half a cosine: ramp(1, floor, (k − 1)/total), where
    ///
    /// ```text
    /// ramp(a, b, x) = b + (a − b)·½(1 + cos πx)
    /// ```
    ///
    /// Loshchilov & Hutter 2017, *SGDR*, [arXiv 1608.03983](https://arxiv.org/abs/1608.03983), without restarts.
    Cosine {
        /// Updates until `floor`, at least 1.
        total: u64,
        /// The last factor, in [0, 1].
        floor: f64,
    },
    /// k/steps times the first factor of `then` while k ≤ steps; `then`, counted from its own 1, afterwards.
    ///
    /// Goyal et al. 2017, *Accurate, large minibatch SGD*, [arXiv 1706.02677](https://arxiv.org/abs/1706.02677).
    WarmUp {
        /// Length of the rise; 0 for none.
        steps: u64,
        /// What follows.
        then: Box<Schedule>,
    },
    /// Up from `start` to 1 and down to `floor`:
    ///
    /// ```text
    /// p = rise·total
    /// ramp(start, 1, (k − 1)/(p − 1))        k < p
    /// ramp(1, floor, (k − p)/(total − p))    p ≤ k ≤ total
    /// ```
    ///
    /// Smith & Topin 2019, *Super-convergence*, [arXiv 1708.07120](https://arxiv.org/abs/1708.07120). The two ramps are those of
    /// fastai and PyTorch, the paper's are linear with a third at the end; momentum is not cycled.
    OneCycle {
        /// Updates in the cycle, at least 1.
        total: u64,
        /// The share of them that rises, in (0, 1); 0.3 is usual.
        rise: f64,
        /// The first factor, in [0, 1]; 0.04 is usual.
        start: f64,
        /// The last factor, in [0, 1]; 4·10⁻⁶ is usual.
        floor: f64,
    },
}

impl Schedule {
    /// The factor of update number `step_number`, counted from 1.
    pub fn factor(&self, step_number: u64) -> f64 {
        let number = step_number.max(1);
        let k = number as f64;
        match self {
            Self::Constant => 1.0,
            Self::Step { every, factor } => factor.powf(((number - 1) / (*every).max(1)) as f64),
            Self::Exponential { factor } => factor.powf(k - 1.0),
            Self::Cosine { total, floor } => ramp(1.0, *floor, (k - 1.0) / *total as f64),
            Self::WarmUp { steps, then } if number <= *steps => k / *steps as f64 * then.factor(1),
            Self::WarmUp { steps, then } => then.factor(number - steps),
            Self::OneCycle { total, rise, start, floor } => {
                let total = *total as f64;
                let peak = rise * total;
                if k < peak {
                    ramp(*start, 1.0, (k - 1.0) / (peak - 1.0))
                } else {
                    ramp(1.0, *floor, (k - peak) / (total - peak))
                }
            }
        }
    }

    fn validate(&self) -> Result<()> {
        let length = |name, updates: u64| require(updates > 0, name, "at least 1", updates as f64);
        let positive = |name, x: f64| require(x > 0.0 && x.is_finite(), name, "positive and finite", x);
        let share = |name, x: f64| require((0.0..=1.0).contains(&x), name, "in [0, 1]", x);
        match self {
            Self::Constant => Ok(()),
            Self::Step { every, factor } => {
                length("Schedule::Step::every", *every)?;
                positive("Schedule::Step::factor", *factor)
            }
            Self::Exponential { factor } => positive("Schedule::Exponential::factor", *factor),
            Self::Cosine { total, floor } => {
                length("Schedule::Cosine::total", *total)?;
                share("Schedule::Cosine::floor", *floor)
            }
            Self::WarmUp { then, .. } => then.validate(),
            Self::OneCycle { total, rise, start, floor } => {
                length("Schedule::OneCycle::total", *total)?;
                require(*rise > 0.0 && *rise < 1.0, "Schedule::OneCycle::rise", "in (0, 1)", *rise)?;
                share("Schedule::OneCycle::start", *start)?;
                share("Schedule::OneCycle::floor", *floor)
            }
        }
    }
}

/// From `a` at x = 0 to `b` at x ≥ 1 along half a cosine.
fn ramp(a: f64, b: f64, x: f64) -> f64 {
    b + (a - b) * 0.5 * (1.0 + (PI * x.min(1.0)).cos())
}

/// Multiplies the rate of another rule by a [`Schedule`].
///
/// ```
/// use decoupled::optimizer::{Adam, Schedule, Scheduled};
///
/// let (epochs, batches) = (20, 469);
/// let cosine = Schedule::Cosine { total: epochs * batches, floor: 0.01 };
/// let adam = Scheduled::new(Adam::new(1e-3), Schedule::WarmUp { steps: batches, then: Box::new(cosine) });
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "CosineDecay")]
#[doc(alias = "learning rate")]
#[doc(alias = "learning rate schedule")]
#[doc(alias = "lr_scheduler")]
pub struct Scheduled<O> {
    inner: O,
    schedule: Schedule,
}

impl<O> Scheduled<O> {
    /// `inner` at a rate that follows `schedule`.
    pub fn new(inner: O, schedule: Schedule) -> Self {
        Self { inner, schedule }
    }
}

impl<T: Scalar, O: Optimizer<T>> Optimizer<T> for Scheduled<O> {
    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn is_elementwise(&self) -> bool {
        self.inner.is_elementwise()
    }

    fn update(&self, step: Step<'_, T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        let rate = step.rate * T::of(self.schedule.factor(step.number));
        self.inner.update(Step { rate, ..step }, params, grad, state);
    }

    fn validate(&self) -> Result<()> {
        self.schedule.validate()?;
        self.inner.validate()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new(
            "Scheduled",
            &Scheduled::new(self.inner.describe()?, self.schedule.clone()),
        )
    }
}
