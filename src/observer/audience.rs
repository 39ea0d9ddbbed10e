//! A fit's side of observation: calls all observers in order, and catches their panics.

use std::fmt;
use std::ops::ControlFlow;

use super::{Epoch, Monitor, Observer, Plan, Step};
use crate::machine::parallel::caught;
use crate::machine::setting::require_non_negative;
use crate::train::tally::Tally;
use crate::{DecoupledNetwork, EpochReport, Error, Result, Scalar, StopReason};

/// All observers of a fit.
pub(crate) struct Audience<'s, 'o, T: Scalar> {
    observers: &'s mut [&'o mut dyn Observer<T>],
    plan: Plan,
    /// Visits of this epoch.
    steps: usize,
    /// That of the first to break off.
    stop: Option<StopReason>,
}

impl<T: Scalar> fmt::Debug for Audience<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Audience({} observers, {:?})", self.observers.len(), self.plan)
    }
}

impl<'s, 'o, T: Scalar> Audience<'s, 'o, T> {
    /// Tells everyone what is about to happen.
    pub(crate) fn start(
        network: &DecoupledNetwork<T>,
        plan: Plan,
        observers: &'s mut [&'o mut dyn Observer<T>],
    ) -> Result<Self> {
        let mut audience = Self { observers, plan, steps: 0, stop: None };
        audience.all("start", |observer| observer.start(&plan, network).map(ControlFlow::Continue))?;
        Ok(audience)
    }

    /// The product of all factors on the learning rate in this epoch.
    pub(crate) fn learning_rate_factor(&mut self, epoch: usize) -> Result<f64> {
        let mut product = 1.0;
        self.all("learning_rate_factor", |observer| {
            let factor = observer.learning_rate_factor(epoch)?;
            product *= factor;
            [factor, product].iter().try_for_each(|&x| require_non_negative::<T>("a learning rate factor", x))?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(product)
    }

    pub(crate) fn step(&mut self, network: &DecoupledNetwork<T>, tally: &Tally) -> Result<ControlFlow<()>> {
        self.steps += 1;
        let plan = self.plan;
        let train_loss = tally.forward_loss / tally.forward_examples as f64;
        let step = Step { plan: &plan, epoch: network.epochs() + 1, number: self.steps, train_loss, network };
        self.all("step", |observer| observer.step(&step))?;
        Ok(if self.stop.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Why to end after the last of the fit's epochs, if anybody says so or has said so in one of its steps.
    pub(crate) fn epoch(
        &mut self,
        network: &mut DecoupledNetwork<T>,
        epochs: &[EpochReport],
    ) -> Result<Option<StopReason>> {
        self.steps = 0;
        let plan = self.plan;
        if let Some(last) = epochs.last() {
            let loss = Monitor::Loss.value(last).filter(|loss| !loss.is_nan());
            if let Some(loss) = loss.filter(|&loss| network.training.best_epoch.is_none_or(|(_, best)| loss < best)) {
                network.training.best_epoch = Some((last.epoch, loss));
            }
            let network = &*network;
            // None of these if it is an epoch before the fit.
            let best =
                network.training.best_epoch.and_then(|(best, _)| epochs.iter().find(|epoch| epoch.epoch == best));
            let epoch = Epoch { plan: &plan, report: last, best, network };
            self.all("epoch", |observer| observer.epoch(&epoch))?;
            if best.is_some_and(|best| best.epoch == last.epoch) {
                self.all("new_best", |observer| observer.new_best(&epoch))?;
            }
        }
        Ok(self.stop)
    }

    pub(crate) fn end(&mut self, network: &mut DecoupledNetwork<T>, stop: StopReason) -> Result<()> {
        self.all("end", |observer| observer.end(network, stop).map(ControlFlow::Continue))
    }

    /// Calls everyone, up to the first error.
    fn all(
        &mut self,
        method: &'static str,
        mut call: impl FnMut(&mut dyn Observer<T>) -> Result<ControlFlow<StopReason>>,
    ) -> Result<()> {
        for (number, observer) in self.observers.iter_mut().enumerate() {
            let panicked = |message| Error::ObserverPanicked { observer: number, method, message };
            let flow = caught(|| call(&mut **observer)).map_err(panicked)??;
            self.stop = self.stop.or(flow.break_value());
        }
        Ok(())
    }
}
