//! The parameter step: Θ moves, Z stands.

use std::sync::Arc;

use crate::block::{Block, Reads};
use crate::energy::Objective;
use crate::error::require;
use crate::optimizer::Step;
use crate::parallel::{for_each, guarded};
use crate::{Error, Optimizer, Result, Scalar, linalg};

/// When the parameters of a visit step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Once the activation steps are done: this many local steps on the same activations.
    AfterRelaxation {
        /// Steps of every layer; at least 1.
        local_steps: usize,
    },
    /// Together with every activation step, both from gradients at the same point.
    EveryStep,
}
/// How the parameters move while the activations stand.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterStep {
    /// When.
    pub timing: Timing,
    /// Which input the layers read.
    pub reads: Reads,
}

impl ParameterStep {
    /// One step of every layer's optimizer after the activation steps.
    pub const fn new(reads: Reads) -> Self {
        Self { timing: Timing::AfterRelaxation { local_steps: 1 }, reads }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        match self.timing {
            Timing::AfterRelaxation { local_steps } => {
                require(local_steps > 0, "local parameter steps", "at least 1", local_steps as f64)
            }
            Timing::EveryStep => Ok(()),
        }
    }
}

/// The changing part of one layer: its parameters, what its optimizer remembers, and the gradient it is about to follow.
#[derive(Clone, Debug)]
pub(crate) struct Trained<T> {
    pub(crate) optimizer: Arc<dyn Optimizer<T>>,
    pub(crate) state: Vec<T>,
    pub(crate) gradient: Vec<T>,
}

/// ∂L/∂θ_t of a block for every layer, each from its own input and target.
pub(crate) fn gradients<T: Scalar>(
    objective: &Objective<'_, T>,
    block: &mut Block<T>,
    reads: Reads,
    grads: &mut [Vec<T>],
) -> Result<()> {
    grads.iter_mut().enumerate().try_for_each(|(t, grad)| objective.parameter_gradient(block, t, reads, grad))
}

/// Averages over the batch what its blocks found: gradient_t ← (1/n) Σ_blocks, in block order.
///
/// # Errors
/// [`Error::Diverged`] (epoch 0, for the caller to fill in) when a gradient is not finite; no parameter has moved then.
pub(crate) fn average<T: Scalar>(trained: &mut [Trained<T>], blocks: &[&[Vec<T>]], examples: usize) -> Result<()> {
    let share = T::one() / T::of(examples as f64);
    let mut layers: Vec<_> = trained.iter_mut().map(|layer| &mut layer.gradient).enumerate().collect();
    for_each(&mut layers, |(t, sum)| {
        let mut blocks = blocks.iter().map(|grads| &grads[*t]);
        if let Some(first) = blocks.next() {
            sum.copy_from_slice(first);
        }
        blocks.for_each(|grad| linalg::axpy(T::one(), grad, sum));
        sum.iter_mut().for_each(|g| *g *= share);
        match linalg::all_finite(sum) {
            true => Ok(()),
            false => Err(Error::Diverged { layer: *t, epoch: 0, quantity: "the parameter gradient" }),
        }
    })
}

/// One step of every layer along its gradient.
///
/// # Errors
/// [`Error::Diverged`] (epoch 0, for the caller to fill in) when parameters are not finite, [`Error::Panicked`]; some layers
/// may have taken their step then.
pub(crate) fn update<T: Scalar>(trained: &mut [Trained<T>], params: &mut [Vec<T>], number: u64) -> Result<()> {
    let mut layers: Vec<_> = trained.iter_mut().zip(params).enumerate().collect();
    for_each(&mut layers, |(t, (layer, params))| {
        let Trained { optimizer, state, gradient } = &mut **layer;
        guarded("the optimizer", *t, || optimizer.update(Step { number, rate: T::one() }, params, gradient, state))?;
        match linalg::all_finite(params) {
            true => Ok(()),
            false => Err(Error::Diverged { layer: *t, epoch: 0, quantity: "a parameter" }),
        }
    })
}
