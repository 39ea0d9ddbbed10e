//! The activation step: Z moves, Θ stands.

use std::sync::Arc;

use crate::block::Block;
use crate::energy::Objective;
use crate::optimizer::Step;
use crate::parallel::guarded;
use crate::{Optimizer, Result, Scalar};

/// In which order the hidden layers of a block take an activation step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All layers at once, each from what its neighbours stored before: no layer waits for another.
    Jacobi,
    /// From the output to the input, each layer seeing the new activation above it. A signal crosses the whole depth in
    /// one sweep, at the price of being sequential.
    ReverseGaussSeidel,
}

/// Gradient steps on the stored activations: `steps` sweeps in the given order,
///
/// ```text
/// z_t ← z_t + u(∂L/∂z_t),    t = 1 .. T
/// ```
///
/// with u the rule of the optimizer, applied to one example and layer at a time. A plain gradient step is stable below
/// 2/λmax of the energy's Hessian in Z, which grows as the weights do.
#[derive(Clone, Debug)]
pub struct ActivationStep<T> {
    pub(crate) order: Order,
    pub(crate) steps: usize,
    pub(crate) optimizer: Arc<dyn Optimizer<T>>,
}

/// What the activation optimizer remembers of a block's examples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory<T> {
    /// For every hidden layer, `slots · d_t` entries an example.
    pub(crate) state: Vec<Vec<T>>,
    /// Steps that each example has taken.
    pub(crate) steps: Vec<u64>,
}

impl<T: Scalar> Memory<T> {
    /// The memory of a block whose examples have taken no step yet.
    pub(crate) fn reset(&mut self, block: &Block<T>, slots: usize) {
        self.state.resize(block.layers() - 1, Vec::new());
        for (t, state) in self.state.iter_mut().enumerate() {
            state.clear();
            state.resize(slots * block.stored(t + 1).as_slice().len(), T::zero());
        }
        self.steps.clear();
        self.steps.resize(block.examples(), 0);
    }
}

impl<T: Scalar> ActivationStep<T> {
    /// `steps` sweeps in this order with this rule.
    pub fn new(order: Order, steps: usize, optimizer: impl Optimizer<T> + 'static) -> Self {
        Self { order, steps, optimizer: Arc::new(optimizer) }
    }

    /// Relaxes a block: all sweeps, from an optimizer without memory.
    ///
    /// # Errors
    /// [`Error::Panicked`](crate::Error::Panicked) when a layer, a loss or the optimizer panics.
    pub fn relax(&self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<()> {
        let mut memory = Memory::default();
        memory.reset(block, self.optimizer.slots());
        (0..self.steps).try_for_each(|_| self.sweep(objective, block, &mut memory))
    }

    /// One step of every hidden layer.
    pub(crate) fn sweep(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        memory: &mut Memory<T>,
    ) -> Result<()> {
        let hidden = 1..block.layers();
        memory.steps.iter_mut().for_each(|steps| *steps += 1);
        match self.order {
            Order::Jacobi => {
                hidden.clone().try_for_each(|t| objective.activation_gradient(block, t))?;
                hidden.into_iter().try_for_each(|t| self.step(block, memory, t))
            }
            Order::ReverseGaussSeidel => hidden.rev().try_for_each(|t| {
                objective.activation_gradient(block, t)?;
                self.step(block, memory, t)
            }),
        }
    }

    fn step(&self, block: &mut Block<T>, memory: &mut Memory<T>, t: usize) -> Result<()> {
        let width = block.stored(t).rows();
        let (z, gradient) = block.descend(t);
        let examples = z.chunks_exact_mut(width).zip(gradient.chunks_exact_mut(width));
        let slots = self.optimizer.slots() * width;
        let mut state = &mut memory.state[t - 1][..];
        guarded("the activation optimizer", t, || {
            for ((z, gradient), &number) in examples.zip(&memory.steps) {
                let (own, rest) = std::mem::take(&mut state).split_at_mut(slots);
                self.optimizer.update(Step { number, rate: T::one() }, z, gradient, own);
                state = rest;
            }
        })?;
        block.stepped(t);
        Ok(())
    }
}
