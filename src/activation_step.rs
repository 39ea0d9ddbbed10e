//! The activation step: Z moves, Θ stands.

use crate::block::{Block, Group};
use crate::energy::Objective;
use crate::schedule::{Stage, Work};
use crate::{Optimizer, Result, Scalar};

#[expect(clippy::indexing_slicing, reason = "one of everything for each hidden layer")]
mod curvature;
mod error_steps;
#[expect(clippy::indexing_slicing, reason = "one of everything for each hidden layer")]
mod exact;
#[expect(clippy::indexing_slicing, reason = "slices of the widths of the block's layers")]
mod gauss_newton;
mod memory;
mod sweeps;

pub(crate) use curvature::PowerIteration;
pub use curvature::curvature;
pub use error_steps::ErrorSteps;
pub use exact::Exact;
pub use gauss_newton::GaussNewton;
pub(crate) use memory::{Memory, Prepared};
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
        let (mut memory, mut prepared) = (Memory::default(), Prepared::default());
        memory.reset(block, self.slots())?;
        let rates = self.rates(objective, block, &mut PowerIteration::default())?;
        let groups = self.groups(block.layers());
        for _ in 0..self.steps(block.layers()) {
            memory.count();
            for group in &groups {
                self.prepare(objective, group, &mut prepared)?;
                self.step(objective, block, group, &mut memory, (&rates.layers, &prepared))?;
            }
        }
        Ok(())
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

    /// The stages of one step, in a circuit of `depth` layers.
    pub(crate) fn stages(&self, depth: usize) -> Vec<Stage> {
        let work = match self {
            Self::Sweeps(_) | Self::Exact(_) => Work::Local,
            Self::Errors(_) | Self::GaussNewton(_) => Work::Through,
        };
        let relax = |(i, group)| Stage::Relax { group, begins: i == 0, work };
        self.groups(depth).into_iter().enumerate().map(relax).collect()
    }

    /// The hidden activations that move at the same time, one group after the other.
    fn groups(&self, depth: usize) -> Vec<Group> {
        if depth < 2 {
            return Vec::new();
        }
        match self {
            Self::Sweeps(step) => step.groups(depth),
            Self::Errors(_) | Self::GaussNewton(_) => vec![Group::all(1..depth)],
            Self::Exact(_) => (1..depth).rev().map(Group::one).collect(),
        }
    }

    /// Whether [`Cost`](crate::diagnostics::Cost) knows the number of its products.
    pub(crate) fn is_counted(&self) -> bool {
        matches!(self, Self::Sweeps(_) | Self::Errors(_))
    }

    /// Whether a group reads its neighbours alone, so that a batch need not hold all layers at a time.
    pub(crate) fn streams(&self) -> bool {
        matches!(self, Self::Exact(_))
    }

    /// Prepares what all examples share of a step of this group.
    pub(crate) fn prepare(
        &self,
        objective: &Objective<'_, T>,
        group: &Group,
        prepared: &mut Prepared<T>,
    ) -> Result<()> {
        match self {
            Self::Exact(step) => step.prepare(objective, group, prepared),
            Self::Sweeps(_) | Self::Errors(_) | Self::GaussNewton(_) => Ok(()),
        }
    }

    /// One step of a group, with the rates of all layers and what has been prepared.
    pub(crate) fn step(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        group: &Group,
        memory: &mut Memory<T>,
        (rates, prepared): (&[T], &Prepared<T>),
    ) -> Result<()> {
        match self {
            Self::Sweeps(step) => step.step(objective, block, group, memory, rates),
            Self::Errors(step) => step.step(objective, block, group, memory),
            Self::GaussNewton(step) => step.step(objective, block, &mut memory.model),
            Self::Exact(step) => step.step(objective, block, group, prepared),
        }
    }
}
