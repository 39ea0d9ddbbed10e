//! Sweeps: local gradient steps on the z_t, in one of three orders.

use std::sync::Arc;

use super::curvature::Coordinates;
use super::{ActivationStep, Memory, Prepared, check_descent};
use crate::error::require;
use crate::method::block::{Block, Group};
use crate::method::energy::Objective;
use crate::optimizer::Sgd;
use crate::{Optimizer, Result, Scalar};

/// The order in which the hidden layers of a block take an activation step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Order {
    /// All layers at once, each from the old activations of its neighbours: no layer waits for another.
    Jacobi,
    /// Every other layer at once, the highest among them, then the rest. Neighbours never move together, and there are only two
    /// sequential groups, however many layers there are.
    RedBlack,
    /// From the output to the input, each layer reading the new activation above it. A signal crosses the whole depth in
    /// one sweep, but the sweep is sequential.
    ReverseGaussSeidel,
}

/// The factors on an activation optimizer's learning rate.
#[derive(Clone, Debug, Default)]
pub struct Rates<T> {
    /// For every hidden layer; empty for steps that have none.
    pub layers: Vec<T>,
    /// The λmax that the rates follow, for [`EpochReport::curvature`](crate::EpochReport::curvature).
    pub curvature: Option<f64>,
    /// The least ratio of the largest stable rate to the rate, for
    /// [`EpochReport::stability_margin`](crate::EpochReport::stability_margin).
    pub margin: Option<f64>,
}

/// Gradient steps on the stored activations: a number of sweeps in the given order,
///
/// ```text
/// z_t ← z_t + u(∂L/∂z_t),    t = 1 .. T
/// ```
///
/// with u the rule of the optimizer, applied to one example and layer at a time.
///
/// A plain gradient step is stable below 2/λmax of the energy's Hessian in Z, and λmax grows as the weights do: tenfold and
/// more in a long training. [`stable`](Self::stable) keeps the step below it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Scalar"))]
pub struct Sweeps<T> {
    pub(crate) order: Order,
    /// Sweeps; without a number, one more than a signal from the output needs to reach the lowest layer.
    pub(crate) steps: Option<usize>,
    pub(crate) optimizer: Arc<dyn Optimizer<T>>,
    /// The factor on the optimizer's learning rate.
    pub(crate) rate: f64,
    /// Whether the rate is in units of 1/μ_t.
    per_penalty: bool,
    /// The largest rate in units of 1/λmax.
    pub(crate) stable: Option<f64>,
}

impl<T: Scalar> Sweeps<T> {
    /// Returns `steps` sweeps of plain gradient descent, z ← z − rate · ∂L/∂z.
    pub fn new(order: Order, steps: usize, rate: f64) -> Self {
        // A rule of rate 1, so that `rate` alone scales the step.
        let optimizer = Arc::new(Sgd::new(1.0));
        Self { order, steps: Some(steps), optimizer, rate, per_penalty: false, stable: None }
    }

    /// Returns one sweep more than a signal from the output needs to reach the lowest layer in this order.
    pub fn reaching(order: Order, rate: f64) -> Self {
        Self { steps: None, ..Self::new(order, 1, rate) }
    }

    /// Sets the rule that moves the activations, at its own learning rate.
    pub fn optimizer(mut self, optimizer: impl Optimizer<T> + 'static) -> Self {
        self.optimizer = Arc::new(optimizer);
        self.rate = 1.0;
        self
    }

    /// Divides the rate of every layer by its penalty μ_t: a rate of 1 then takes a squared hidden loss alone to its
    /// minimum, whatever its weight. Rates above 1 are refused.
    pub fn per_penalty(mut self) -> Self {
        self.per_penalty = true;
        self
    }

    /// Keeps the rate at or below fraction/λmax, with the present λmax. If all layers move at once ([`Order::Jacobi`]), it is that of the
    /// whole Hessian, the [`curvature`](super::curvature). In the other orders every layer has its own, that of ∂²L/∂z_t², since
    /// neighbours do not move together. Plain descent is stable for fractions below 2; with another rule, of learning rate η, the
    /// product η · rate should stay below 2/λmax.
    pub fn stable(mut self, fraction: f64) -> Self {
        self.stable = Some(fraction);
        self
    }

    /// Returns the number of hidden layers that a signal from the output crosses in one sweep.
    fn reach(&self, hidden: usize) -> usize {
        match self.order {
            Order::Jacobi => 1,
            Order::RedBlack => 2,
            Order::ReverseGaussSeidel => hidden,
        }
    }
}

impl<T: Scalar> ActivationStep<T> for Sweeps<T> {
    fn steps(&self, depth: usize) -> usize {
        let hidden = depth.saturating_sub(1);
        // Without hidden layers a reverse sweep reaches none: no division by 0.
        self.steps.unwrap_or_else(|| 1 + hidden.div_ceil(self.reach(hidden).max(1)))
    }

    fn groups(&self, depth: usize) -> Vec<Group> {
        match self.order {
            Order::Jacobi => vec![Group::all(1..depth)],
            Order::RedBlack => {
                // A single hidden layer has no second group.
                let second = (depth > 2).then(|| Group::every_second(1..depth - 1));
                // The group next to the output first: the other sees what it moved, so a sweep carries a signal down two layers.
                std::iter::once(Group::every_second(1..depth)).chain(second).collect()
            }
            Order::ReverseGaussSeidel => (1..depth).rev().map(Group::one).collect(),
        }
    }

    /// Sets the factors on the optimizer's learning rate, and estimates λmax if the rate follows it.
    fn adapt(&self, objective: &Objective<'_, T>, sample: &mut Block<T>, prepared: &mut Prepared<T>) -> Result<()> {
        let hidden = sample.layers() - 1;
        // Layers that move together are stable only below the rate of the whole Hessian.
        let together = if self.order == Order::Jacobi { hidden } else { 1 };
        prepared.follow(objective, sample, (self.rate, self.stable), (together, Coordinates::Activations))
    }

    #[expect(clippy::indexing_slicing, reason = "a rate for every hidden layer")]
    fn step(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        group: &Group,
        prepared: &Prepared<T>,
        memory: &mut Memory<T>,
    ) -> Result<()> {
        objective.activation_gradients(block, group)?;
        memory.descend(&*self.optimizer, block, group, |t| {
            // The present penalty, with the factor of its schedule.
            let (_, penalty) = objective.loss(t);
            let rate = prepared.rates.layers[t - 1];
            if self.per_penalty { rate / penalty } else { rate }
        })
    }

    fn optimizer(&self) -> Option<&dyn Optimizer<T>> {
        Some(&*self.optimizer)
    }

    fn validate(&self) -> Result<()> {
        check_descent((self.steps.unwrap_or(1), self.rate, self.stable), &*self.optimizer)?;
        require(!self.per_penalty || self.rate <= 1.0, "activation rate in units of 1/μ", "at most 1", self.rate)
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Sweeps", self)
    }
}
