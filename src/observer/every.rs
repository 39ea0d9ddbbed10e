//! A wrapper: another observer sees every n-th epoch.

use std::ops::ControlFlow;

use super::{Epoch, Observer, Plan, Step};
use crate::error::require;
use crate::{DecoupledNetwork, Result, Scalar, StopReason};

/// Lets another observer see only every n-th epoch, counted over the life of the network; all else passes through.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Every<O> {
    epochs: usize,
    inner: O,
}

impl<O> Every<O> {
    /// Every so many `epochs` ≥ 1.
    pub fn new(epochs: usize, inner: O) -> Self {
        Self { epochs, inner }
    }
}

impl<T: Scalar, O: Observer<T>> Observer<T> for Every<O> {
    fn start(&mut self, plan: &Plan, network: &DecoupledNetwork<T>) -> Result<()> {
        require(self.epochs > 0, "Every::epochs", "at least 1", self.epochs as f64)?;
        self.inner.start(plan, network)
    }

    fn learning_rate_factor(&mut self, epoch: usize) -> Result<f64> {
        self.inner.learning_rate_factor(epoch)
    }

    fn step(&mut self, step: &Step<'_, T>) -> Result<ControlFlow<StopReason>> {
        self.inner.step(step)
    }

    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        match epoch.report.epoch.is_multiple_of(self.epochs) {
            true => self.inner.epoch(epoch),
            false => Ok(ControlFlow::Continue(())),
        }
    }

    fn new_best(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        self.inner.new_best(epoch)
    }

    fn end(&mut self, network: &mut DecoupledNetwork<T>, stop: StopReason) -> Result<()> {
        self.inner.end(network, stop)
    }

    fn state(&self) -> Vec<f64> {
        self.inner.state()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        self.inner.set_state(state)
    }
}
