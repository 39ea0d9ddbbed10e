//! Early stopping, with the best parameters brought back.

use std::ops::ControlFlow;

use super::criterion::{Criterion, criterion};
use super::monitor::count;
use super::{Epoch, Mode, Monitor, Observer, Plan};
use crate::error::require;
use crate::machine::linalg::matrix::check_shape;
use crate::{DecoupledNetwork, Error, Result, Scalar, StopReason};

/// Ends the fit when an epoch's loss or score no longer gets better.
///
/// ```text
/// m better than r                       m < r − min_delta; to be maximised: m > r + min_delta
///
/// wait ← wait + 1
/// m better than the best so far:        best ← m;  wait ← 0 if m is better than the baseline, or there is none
/// else, and wait ≥ patience:            stop, unless it is the first epoch
/// ```
///
/// The options and their defaults are those of Keras 3,
/// [`keras.callbacks.EarlyStopping`](https://keras.io/api/callbacks/early_stopping/), and so is what they do, except that what the
/// fit does not measure is refused, and that the default of `monitor` is the training loss where nothing is validated. A NaN is
/// never better.
///
/// A fit starts the count anew, unless it is given the [state](Observer::state) of another; JSON holds the options alone.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct EarlyStopping {
    monitor: Monitor,
    mode: Option<Mode>,
    min_delta: f64,
    patience: usize,
    baseline: Option<f64>,
    start_from_epoch: usize,
    restore_best_weights: bool,
    #[cfg_attr(feature = "serde", serde(skip))]
    count: Count,
    /// Whether the count was given by `set_state`, for the next fit.
    #[cfg_attr(feature = "serde", serde(skip))]
    resumes: bool,
}

/// What changes in a fit.
#[derive(Clone, Debug, PartialEq)]
struct Count {
    /// Epochs seen.
    epochs: usize,
    /// Epochs since the last that was better.
    wait: usize,
    /// The best number so far, negative if it is to be maximised, and the number of its epoch.
    best: f64,
    best_epoch: usize,
    /// Its parameters, layer after layer; or those of the first epoch that counts, while none has been better than nothing.
    weights: Vec<f64>,
}

impl Default for Count {
    fn default() -> Self {
        Self { epochs: 0, wait: 0, best: f64::INFINITY, best_epoch: 0, weights: Vec::new() }
    }
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self {
            monitor: Monitor::default(),
            mode: None,
            min_delta: 0.0,
            patience: 0,
            baseline: None,
            start_from_epoch: 0,
            restore_best_weights: false,
            count: Count::default(),
            resumes: false,
        }
    }
}

impl EarlyStopping {
    /// Stops at the first epoch whose loss is not below all before it, and leaves the network as it is then.
    pub fn new() -> Self {
        Self::default()
    }

    criterion! { min_delta: "0 unless set.", patience: "0 unless set." }

    /// What an epoch must be better than, beside the best so far, for the patience to begin anew.
    pub fn baseline(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// How many epochs to let pass unheeded.
    pub fn start_from_epoch(mut self, epochs: usize) -> Self {
        self.start_from_epoch = epochs;
        self
    }

    /// Brings back the parameters of the best epoch at the end of the fit, whoever ends it; if no epoch was better than infinitely
    /// bad, those of the first that counted. The bank and the optimizers stay as they are.
    pub fn restore_best_weights(mut self) -> Self {
        self.restore_best_weights = true;
        self
    }

    /// The best number of the last fit, with the number of its epoch.
    pub fn best(&self) -> Option<(usize, f64)> {
        let Count { best, best_epoch, .. } = self.count;
        (best_epoch > 0).then(|| (best_epoch, self.criterion().cost(best)))
    }
}

impl<T: Scalar> Observer<T> for EarlyStopping {
    fn start(&mut self, plan: &Plan, network: &DecoupledNetwork<T>) -> Result<()> {
        self.criterion().check("EarlyStopping::min_delta", plan)?;
        let baseline = self.baseline.unwrap_or_default();
        require(baseline.is_finite(), "EarlyStopping::baseline", "finite", baseline)?;
        if !self.resumes {
            self.count = Count::default();
        }
        if !self.count.weights.is_empty() {
            check_shape("parameters that EarlyStopping keeps", network.param_count(), self.count.weights.len())?;
        }
        self.resumes = false;
        Ok(())
    }

    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        let is_first = self.count.epochs == 0;
        self.count.epochs += 1;
        let criterion = self.criterion();
        let Some(current) = criterion.cost_of(epoch.report).filter(|_| self.count.epochs > self.start_from_epoch)
        else {
            return Ok(ControlFlow::Continue(()));
        };
        let is_best = criterion.is_better(current, self.count.best);
        let beats = |baseline| criterion.is_better(current, criterion.cost(baseline));
        let beats_baseline = self.baseline.is_none_or(beats);
        if self.restore_best_weights && (is_best || self.count.weights.is_empty()) {
            let network = epoch.network;
            let weights = (0..network.depth()).flat_map(|t| network.params(t)).map(|weight| weight.to_f64());
            self.count.weights.clear();
            self.count.weights.extend(weights);
        }
        let count = &mut self.count;
        count.wait += 1;
        if is_best {
            (count.best, count.best_epoch) = (current, epoch.report.epoch);
            if beats_baseline {
                count.wait = 0;
            }
        } else if count.wait >= self.patience && !is_first {
            return Ok(ControlFlow::Break(StopReason::EarlyStopping));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, network: &mut DecoupledNetwork<T>, _: StopReason) -> Result<()> {
        if self.count.weights.is_empty() {
            return Ok(());
        }
        let mut weights = self.count.weights.iter().map(|&weight| T::of(weight));
        (0..network.depth()).try_for_each(|t| {
            let own: Vec<T> = weights.by_ref().take(network.params(t).len()).collect();
            network.set_params(t, &own)
        })
    }

    /// Epochs seen, epochs without gain, the number of the best epoch (0 for none) and its cost, and the parameters to restore.
    fn state(&self) -> Vec<f64> {
        let Count { epochs, wait, best, best_epoch, weights } = &self.count;
        [*epochs as f64, *wait as f64, *best_epoch as f64, *best].into_iter().chain(weights.iter().copied()).collect()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        let [epochs, wait, best_epoch, best, ref weights @ ..] = *state else {
            return Err(Error::Shape {
                what: "numbers in the state of EarlyStopping",
                expected: 4,
                found: state.len(),
            });
        };
        let whole = |value| count("a count in the state of EarlyStopping", value);
        let (epochs, wait, best_epoch) = (whole(epochs)?, whole(wait)?, whole(best_epoch)?);
        require(!best.is_nan(), "the best number in the state of EarlyStopping", "a number", best)?;
        let odd = weights.iter().copied().find(|weight| !weight.is_finite());
        require(odd.is_none(), "a parameter in the state of EarlyStopping", "finite", odd.unwrap_or_default())?;
        self.count = Count { epochs, wait, best, best_epoch, weights: weights.to_vec() };
        self.resumes = true;
        Ok(())
    }
}
