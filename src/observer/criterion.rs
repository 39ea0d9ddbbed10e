//! The comparison of epochs that early stopping, falls of the rate and checkpoints share, with its setters.

use super::{Mode, Monitor, Plan};
use crate::error::require;
use crate::{EpochReport, Result};

/// How an observer judges epochs: by a number, in a direction, and by how much one must be better than another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Criterion {
    pub(super) monitor: Monitor,
    pub(super) mode: Option<Mode>,
    pub(super) min_delta: f64,
}

impl Criterion {
    /// Fails for a least difference of this name that is none, and where the fit does not measure the number.
    pub(super) fn check(self, min_delta: &'static str, plan: &Plan) -> Result<()> {
        let delta = self.min_delta;
        require(delta >= 0.0 && delta.is_finite(), min_delta, "non-negative and finite", delta)?;
        self.monitor.check(plan)
    }

    /// Returns the number of an epoch as a cost, of which less is better; none where it was not measured.
    pub(super) fn cost_of(self, report: &EpochReport) -> Option<f64> {
        self.monitor.value(report).map(|value| self.cost(value))
    }

    /// Returns the number if less is better, else its negative; and back.
    pub(super) fn cost(self, value: f64) -> f64 {
        self.monitor.cost(self.mode, value)
    }

    /// Whether a cost is better than another; a NaN never is.
    pub(super) fn is_better(self, cost: f64, than: f64) -> bool {
        cost < than - self.min_delta
    }
}

/// The setters of an observer with the fields `monitor`, `mode`, `min_delta` and `patience`, and the [`Criterion`] that the first
/// three are. Takes the texts that tell the defaults of the last two.
macro_rules! criterion {
    (min_delta: $min_delta:literal, patience: $patience:literal) => {
        /// Sets the number to judge by: the validation loss if epochs are validated, else the training loss, unless set.
        pub fn monitor(mut self, monitor: Monitor) -> Self {
            self.monitor = monitor;
            self
        }

        /// Sets whether less or more of it is better, instead of less of a loss and more of a score.
        pub fn mode(mut self, mode: Mode) -> Self {
            self.mode = Some(mode);
            self
        }

        #[doc = concat!("Sets by how much a number must be better than the best, ≥ 0; ", $min_delta)]
        pub fn min_delta(mut self, min_delta: f64) -> Self {
            self.min_delta = min_delta;
            self
        }

        #[doc = concat!("Sets how many epochs in a row may be no better; ", $patience)]
        pub fn patience(mut self, epochs: usize) -> Self {
            self.patience = epochs;
            self
        }

        fn criterion(&self) -> Criterion {
            Criterion { monitor: self.monitor, mode: self.mode, min_delta: self.min_delta }
        }
    };
}

pub(super) use criterion;
