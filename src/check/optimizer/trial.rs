//! An optimizer under check with its gradients, and runs over them.

use super::super::{Subject, guard};
use crate::machine::linalg::matrix::filled;
use crate::optimizer::Step;
use crate::{Optimizer, Result, Scalar};

/// An optimizer, where to start, and gradients to step along.
pub(super) struct Trial<'a, T> {
    pub(super) subject: Subject,
    pub(super) optimizer: &'a dyn Optimizer<T>,
    pub(super) slots: usize,
    pub(super) start: Vec<T>,
    pub(super) gradients: [Vec<T>; 3],
}

/// Parameters and state under way.
#[derive(Clone)]
pub(super) struct Run<'a, T> {
    optimizer: &'a dyn Optimizer<T>,
    pub(super) number: u64,
    pub(super) params: Vec<T>,
    pub(super) state: Vec<T>,
}

impl<T: Scalar> Trial<'_, T> {
    pub(super) fn begin(&self) -> Result<Run<'_, T>> {
        self.begin_at(&self.start)
    }

    pub(super) fn begin_at(&self, start: &[T]) -> Result<Run<'_, T>> {
        let state = filled("what an optimizer remembers", self.slots.saturating_mul(start.len()), T::zero())?;
        Ok(Run { optimizer: self.optimizer, number: 0, params: start.to_vec(), state })
    }

    /// After a step along each of the gradients.
    pub(super) fn run(&self, rate: f64) -> Result<Run<'_, T>> {
        let mut run = self.begin()?;
        self.gradients.iter().try_for_each(|grad| run.step(rate, grad))?;
        Ok(run)
    }
}

impl<T: Scalar> Run<'_, T> {
    pub(super) fn step(&mut self, rate: f64, grad: &[T]) -> Result<()> {
        self.number += 1;
        let step = Step::new(self.number, T::of(rate));
        let mut grad = grad.to_vec();
        guard("update", || self.optimizer.update(step, &mut self.params, &mut grad, &mut self.state))
    }
}
