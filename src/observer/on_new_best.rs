//! A wrapper: another observer sees the best epochs only.

use std::ops::ControlFlow;

use super::{Epoch, Observer, Plan, Step};
use crate::{DecoupledNetwork, Result, Scalar, StopReason};

/// Lets another observer see only epochs that are the [best so far](Observer::new_best), and keeps the end of the fit from it: the
/// network is that of the last epoch then. All else passes through.
///
/// So a [history](super::History) has the best epochs alone, and a checkpoint the last of them. To go by another number than the
/// loss, and over fits, is [`Checkpoint::best_only`](super::Checkpoint::best_only).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct OnNewBest<O> {
    inner: O,
}

impl<O> OnNewBest<O> {
    /// Of this observer.
    pub fn new(inner: O) -> Self {
        Self { inner }
    }
}

impl<T: Scalar, O: Observer<T>> Observer<T> for OnNewBest<O> {
    fn start(&mut self, plan: &Plan, network: &DecoupledNetwork<T>) -> Result<()> {
        self.inner.start(plan, network)
    }

    fn learning_rate_factor(&mut self, epoch: usize) -> Result<f64> {
        self.inner.learning_rate_factor(epoch)
    }

    fn step(&mut self, step: &Step<'_, T>) -> Result<ControlFlow<StopReason>> {
        self.inner.step(step)
    }

    fn new_best(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        let flow = self.inner.epoch(epoch)?;
        let of_new_best = self.inner.new_best(epoch)?;
        Ok(if flow.is_break() { flow } else { of_new_best })
    }

    fn state(&self) -> Vec<f64> {
        self.inner.state()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        self.inner.set_state(state)
    }
}
