//! The best epoch so far, for checkpoints of the best network alone.

use super::criterion::Criterion;
use super::monitor::count;
use super::{Mode, Monitor, Observer, Plan};
use crate::error::require;
use crate::{EpochReport, Error, Result, Scalar};

/// The best epoch so far, as Keras's `ModelCheckpoint` judges.
#[derive(Clone, Debug, Default)]
pub(super) struct Best {
    pub(super) monitor: Option<Monitor>,
    pub(super) mode: Option<Mode>,
    /// What the first epoch must be better than.
    pub(super) threshold: Option<f64>,
    /// Its number and cost.
    epoch: Option<(usize, f64)>,
    /// Whether a fit or a state has said which it is, or that there is none.
    seen: bool,
}

impl Best {
    fn criterion(&self) -> Criterion {
        Criterion { monitor: self.monitor.unwrap_or_default(), mode: self.mode, min_delta: 0.0 }
    }

    /// Whether anything is said of what is best.
    pub(super) fn is_set(&self) -> bool {
        self.monitor.is_some() || self.mode.is_some() || self.threshold.is_some()
    }

    /// Whether there is something to be better than.
    pub(super) fn is_known(&self) -> bool {
        self.seen || self.threshold.is_some()
    }

    /// A fit begins, of which every epoch will be seen.
    pub(super) fn begin(&mut self) {
        self.seen = true;
    }

    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        let threshold = self.threshold.unwrap_or_default();
        require(!threshold.is_nan(), "Checkpoint::initial_value_threshold", "a number", threshold)?;
        self.criterion().monitor.check(plan)
    }

    /// Whether the epoch is better than all before; it is the best then.
    pub(super) fn consider(&mut self, report: &EpochReport) -> bool {
        let criterion = self.criterion();
        let Some(cost) = criterion.cost_of(report) else { return false };
        let threshold = self.threshold.map(|value| criterion.cost(value));
        let best = self.epoch.map(|(_, cost)| cost).or(threshold).unwrap_or(f64::INFINITY);
        let is_better = criterion.is_better(cost, best);
        if is_better {
            self.epoch = Some((report.epoch, cost));
        }
        is_better
    }

    pub(super) fn best(&self) -> Option<(usize, f64)> {
        self.epoch.map(|(epoch, cost)| (epoch, self.criterion().cost(cost)))
    }
}

/// Of its state alone.
impl<T: Scalar> Observer<T> for Best {
    fn state(&self) -> Vec<f64> {
        let (epoch, cost) = self.epoch.unwrap_or((0, f64::INFINITY));
        vec![epoch as f64, cost]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        let [epoch, cost] = *state else {
            let what = "numbers in the state of a best-only Checkpoint";
            return Err(Error::Shape { what, expected: 2, found: state.len() });
        };
        let epoch = count("the best epoch in the state of Checkpoint", epoch)?;
        require(!cost.is_nan(), "the best number in the state of Checkpoint", "a number", cost)?;
        (self.epoch, self.seen) = ((epoch > 0).then_some((epoch, cost)), true);
        Ok(())
    }
}
