//! The activation step: Z moves, Θ stands.

use crate::block::Block;
use crate::energy::Objective;
use crate::{Optimizer, Result, Scalar};

#[expect(clippy::indexing_slicing, reason = "one of everything for each hidden layer")]
mod curvature;
mod error_steps;
mod exact;
#[expect(clippy::indexing_slicing, reason = "slices of the widths of the block's layers")]
mod gauss_newton;
mod memory;
mod sweeps;

pub(crate) use curvature::PowerIteration;
pub use curvature::curvature;
pub use error_steps::ErrorSteps;
pub use exact::Exact;
pub(crate) use exact::Shared;
pub use gauss_newton::GaussNewton;
pub(crate) use memory::Memory;
pub(crate) use sweeps::Rates;
pub use sweeps::{Order, Sweeps};

/// How the stored activations move while the parameters stand.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Scalar"))]
pub enum ActivationStep<T> {
    /// Gradient steps, layer by layer.
    Sweeps(Sweeps<T>),
    /// Gradient steps in error coordinates.
    Errors(ErrorSteps<T>),
    /// Gauss–Newton steps on all hidden layers at once.
    GaussNewton(GaussNewton),
    /// Exact minimisation, layer by layer.
    Exact(Exact),
}

impl<T> From<Sweeps<T>> for ActivationStep<T> {
    fn from(step: Sweeps<T>) -> Self {
        Self::Sweeps(step)
    }
}

impl<T> From<ErrorSteps<T>> for ActivationStep<T> {
    fn from(step: ErrorSteps<T>) -> Self {
        Self::Errors(step)
    }
}

impl<T> From<GaussNewton> for ActivationStep<T> {
    fn from(step: GaussNewton) -> Self {
        Self::GaussNewton(step)
    }
}

impl<T> From<Exact> for ActivationStep<T> {
    fn from(step: Exact) -> Self {
        Self::Exact(step)
    }
}

impl<T: Scalar> ActivationStep<T> {
    /// Relaxes a block: all steps of a visit, from an optimizer without memory.
    ///
    /// # Errors
    /// [`Error::Panicked`](crate::Error::Panicked) when a layer, a loss or the optimizer panics.
    pub fn relax(&self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<()> {
        let mut memory = Memory::default();
        memory.reset(block, self.slots())?;
        let rates = self.rates(objective, block, &mut PowerIteration::default())?;
        (0..self.steps(block.layers())).try_for_each(|_| self.step(objective, block, &mut memory, &rates.layers))
    }

    pub(crate) fn validate(&self) -> Result<()> {
        match self {
            Self::Sweeps(step) => step.validate(),
            Self::Errors(step) => step.validate(),
            Self::GaussNewton(step) => step.validate(),
            Self::Exact(step) => step.validate::<T>(),
        }
    }

    /// Steps of a visit, in a circuit of `depth` layers.
    pub(crate) fn steps(&self, depth: usize) -> usize {
        match self {
            Self::Sweeps(step) => step.steps(depth - 1),
            Self::Errors(step) => step.steps,
            Self::GaussNewton(step) => step.steps,
            Self::Exact(step) => step.steps,
        }
    }

    /// The rule that moves the activations, where a step has one.
    pub(crate) fn optimizer(&self) -> Option<&dyn Optimizer<T>> {
        match self {
            Self::Sweeps(step) => Some(&*step.optimizer),
            Self::Errors(step) => Some(&*step.optimizer),
            Self::GaussNewton(_) | Self::Exact(_) => None,
        }
    }

    /// Entries that the rule remembers for each activation.
    pub(crate) fn slots(&self) -> usize {
        self.optimizer().map_or(0, |optimizer| optimizer.slots())
    }

    /// The rates at a block's present activations, and λmax if the step asks for it.
    pub(crate) fn rates(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        iteration: &mut PowerIteration<T>,
    ) -> Result<Rates<T>> {
        match self {
            Self::Sweeps(step) => step.rates(objective, block, iteration),
            Self::Errors(_) | Self::GaussNewton(_) | Self::Exact(_) => Ok(Rates::default()),
        }
    }

    /// One step of every hidden layer.
    pub(crate) fn step(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        memory: &mut Memory<T>,
        rates: &[T],
    ) -> Result<()> {
        match self {
            Self::Sweeps(step) => step.sweep(objective, block, memory, rates),
            Self::Errors(step) => step.step(objective, block, memory),
            Self::GaussNewton(step) => step.step(objective, block, &mut memory.model),
            Self::Exact(step) => step.step(objective, block),
        }
    }

    /// How many products of one step follow one another, in a circuit with `hidden` > 0 hidden layers. In error coordinates
    /// they are those of a backward pass and of a forward pass.
    pub(crate) fn sequential_products(&self, hidden: usize) -> usize {
        match self {
            Self::Sweeps(step) => step.sequential_products(hidden),
            Self::Errors(_) | Self::GaussNewton(_) => hidden.saturating_mul(2),
            // The prediction beside the target's pull, then the product with what they share; layer after layer.
            Self::Exact(_) => hidden.saturating_mul(2),
        }
    }

    /// How many hidden layers a signal from the output crosses in one step.
    pub(crate) fn reach(&self, hidden: usize) -> usize {
        match self {
            Self::Sweeps(step) => step.reach(hidden),
            Self::Errors(_) | Self::GaussNewton(_) | Self::Exact(_) => hidden,
        }
    }
}
