//! A learning rate that falls when progress stalls.

use std::ops::ControlFlow;

use super::criterion::{Criterion, criterion};
use super::monitor::count;
use super::{Epoch, Mode, Monitor, Observer, Plan};
use crate::error::require;
use crate::{DecoupledNetwork, Error, Result, Scalar, StopReason};

/// Lowers the learning rate when a loss or score no longer gets better.
///
/// ```text
/// m better than the best so far         m < best − min_delta; to be maximised: m > best + min_delta
///
/// in the cooldown:                      cooldown left ← cooldown left − 1;  wait ← 0
/// m better:                             best ← m;  wait ← 0
/// else, and no cooldown left:           wait ← wait + 1
///     wait ≥ patience, f > min_factor:  f ← max(factor · f, min_factor);  cooldown left ← cooldown;  wait ← 0
/// ```
///
/// f multiplies the learning rate of every layer's optimizer from the next epoch on, and is 1 at first. The options and their defaults
/// are those of Keras 3,
/// [`keras.callbacks.ReduceLROnPlateau`](https://keras.io/api/callbacks/reduce_lr_on_plateau/), and so is what they do, except that
/// what the fit does not measure is refused, that the default of `monitor` is the training loss where nothing is validated, and that
/// the least rate is given as a factor, since every layer may have a rate of its own. PyTorch's class of this name counts one epoch more
/// before it lowers the rate, and measures `min_delta` as a share of the best. A NaN is never better.
///
/// A second fit that is given the same observer starts the count anew, at the rate that the first came to, as Keras does. Given the
/// [state](Observer::state) of another it goes on with its count as well. JSON holds the options alone.
///
/// The factor is the observer's: the optimizers keep their rates, and a fit without it takes these **in full**, where Keras has changed
/// the optimizer's. To go on at the lower rate give the same observer to the next fit, or the optimizer a rate of
/// [`learning_rate_factor`](crate::EpochReport::learning_rate_factor) times the old one by
/// [`set_optimizer`](DecoupledNetwork::set_optimizer).
///
/// # Example
///
/// ```
/// use decoupled::layer::Activation;
/// use decoupled::observer::{EarlyStopping, ReduceLrOnPlateau};
/// use decoupled::{DecoupledNetwork, FitConfig, data};
///
/// let (train, held_out) = data::two_moons::<f32>(200, 0.2, 0)?.stratified_split(0.8, 0)?;
/// let mut network = DecoupledNetwork::builder(2).dense(16, Activation::Tanh).dense(2, Activation::Identity).build()?;
/// let mut reduce = ReduceLrOnPlateau::new().factor(0.5).patience(5);
/// let mut stopping = EarlyStopping::new().patience(20);
/// let config = FitConfig::new().epochs(200).batch_size(20).validation(&held_out);
/// let report = network.fit_observed(&train, &config, &mut [&mut reduce, &mut stopping])?;
/// assert!(report.last().unwrap().learning_rate_factor < 1.0);
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct ReduceLrOnPlateau {
    monitor: Monitor,
    mode: Option<Mode>,
    factor: f64,
    patience: usize,
    min_delta: f64,
    cooldown: usize,
    min_factor: f64,
    #[cfg_attr(feature = "serde", serde(skip))]
    count: Count,
    /// Whether the count was given by `set_state`, for the next fit.
    #[cfg_attr(feature = "serde", serde(skip))]
    resumes: bool,
}

/// What changes in a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Count {
    /// On the learning rate, as it is now.
    factor: f64,
    /// The best number so far, negative if it is to be maximised.
    best: f64,
    /// Epochs since the last that was better.
    wait: usize,
    cooldown_left: usize,
}

impl Default for Count {
    fn default() -> Self {
        Self { factor: 1.0, best: f64::INFINITY, wait: 0, cooldown_left: 0 }
    }
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        Self {
            monitor: Monitor::default(),
            mode: None,
            factor: 0.1,
            patience: 10,
            min_delta: 1e-4,
            cooldown: 0,
            min_factor: 0.0,
            count: Count::default(),
            resumes: false,
        }
    }
}

impl ReduceLrOnPlateau {
    /// Takes a tenth of the rate after ten epochs whose loss is not 10⁻⁴ below the best.
    pub fn new() -> Self {
        Self::default()
    }

    criterion! { min_delta: "10⁻⁴ by default.", patience: "10 by default. 0 is as 1." }

    /// Sets what each fall multiplies the rate by, in (0, 1); 0.1 by default.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Sets how many epochs after a fall do not count; 0 by default.
    pub fn cooldown(mut self, epochs: usize) -> Self {
        self.cooldown = epochs;
        self
    }

    /// Sets the least that all falls together multiply the rate by, in [0, 1]; 0 by default. Keras's `min_lr` divided by the
    /// optimizer's rate.
    pub fn min_factor(mut self, factor: f64) -> Self {
        self.min_factor = factor;
        self
    }
}

impl<T: Scalar> Observer<T> for ReduceLrOnPlateau {
    fn start(&mut self, plan: &Plan, _: &DecoupledNetwork<T>) -> Result<()> {
        let Self { factor, min_factor, .. } = *self;
        self.criterion().check("ReduceLrOnPlateau::min_delta", plan)?;
        require(factor > 0.0 && factor < 1.0, "ReduceLrOnPlateau::factor", "in (0, 1)", factor)?;
        require((0.0..=1.0).contains(&min_factor), "ReduceLrOnPlateau::min_factor", "in [0, 1]", min_factor)?;
        if !self.resumes {
            self.count = Count { factor: self.count.factor, ..Count::default() };
        }
        self.resumes = false;
        Ok(())
    }

    fn learning_rate_factor(&mut self, _: usize) -> Result<f64> {
        Ok(self.count.factor)
    }

    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        let criterion = self.criterion();
        let Some(current) = criterion.cost_of(epoch.report) else { return Ok(ControlFlow::Continue(())) };
        let count = &mut self.count;
        if count.cooldown_left > 0 {
            count.cooldown_left -= 1;
            count.wait = 0;
        }
        if criterion.is_better(current, count.best) {
            (count.best, count.wait) = (current, 0);
        } else if count.cooldown_left == 0 {
            count.wait = count.wait.saturating_add(1);
            if count.wait >= self.patience && count.factor > self.min_factor {
                count.factor = (count.factor * self.factor).max(self.min_factor);
                (count.cooldown_left, count.wait) = (self.cooldown, 0);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The factor, epochs without gain, epochs of the cooldown that are left, and the cost of the best epoch.
    fn state(&self) -> Vec<f64> {
        let Count { factor, best, wait, cooldown_left } = self.count;
        vec![factor, wait as f64, cooldown_left as f64, best]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        let [factor, wait, cooldown_left, best] = *state else {
            let what = "numbers in the state of ReduceLrOnPlateau";
            return Err(Error::Shape { what, expected: 4, found: state.len() });
        };
        let whole = |value| count("a count in the state of ReduceLrOnPlateau", value);
        let (wait, cooldown_left) = (whole(wait)?, whole(cooldown_left)?);
        require((0.0..=1.0).contains(&factor), "the factor in the state of ReduceLrOnPlateau", "in [0, 1]", factor)?;
        require(!best.is_nan(), "the best number in the state of ReduceLrOnPlateau", "a number", best)?;
        self.count = Count { factor, best, wait, cooldown_left };
        self.resumes = true;
        Ok(())
    }
}
