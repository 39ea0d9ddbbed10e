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
}

impl Best {
    fn monitored(&self) -> Monitor {
        self.monitor.unwrap_or_default()
    }

    /// Whether anything is said of what is best.
    pub(super) fn is_set(&self) -> bool {
        self.monitor.is_some() || self.mode.is_some() || self.threshold.is_some()
    }

    /// Whether there is something to be better than.
    pub(super) fn is_known(&self) -> bool {
        self.epoch.is_some() || self.threshold.is_some()
    }

    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        let threshold = self.threshold.unwrap_or_default();
        require(!threshold.is_nan(), "Checkpoint::initial_value_threshold", "a number", threshold)?;
        self.monitored().check(plan)
    }

    /// Whether the epoch is better than all before; it is the best then.
    pub(super) fn look(&mut self, report: &EpochReport) -> bool {
        let Some(value) = self.monitored().value(report) else { return false };
        let cost = |value| self.monitored().cost(self.mode, value);
        let best = self.epoch.map(|(_, cost)| cost).or(self.threshold.map(cost)).unwrap_or(f64::INFINITY);
        let is_better = cost(value) < best;
        if is_better {
            self.epoch = Some((report.epoch, cost(value)));
        }
        is_better
    }

    pub(super) fn best(&self) -> Option<(usize, f64)> {
        self.epoch.map(|(epoch, cost)| (epoch, self.monitored().cost(self.mode, cost)))
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
        self.epoch = (epoch > 0).then_some((epoch, cost));
        Ok(())
    }
}
