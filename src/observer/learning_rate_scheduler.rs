//! A learning rate by the epoch's number.

use std::fmt;

use super::Observer;
use crate::{Result, Scalar};

/// Multiplies the learning rate of every epoch by what a function of its number gives.
///
/// Epochs are counted from 1 over the life of the network, so that a fit that is resumed goes on where it was. The factor is on the
/// rate that the optimizer was made with; `LearningRateScheduler` of Keras gives the rate itself and counts from 0, `LambdaLR` of
/// PyTorch a factor, from 0 as well. For a schedule that moves with every update, see
/// [`Scheduled`](crate::optimizer::Scheduled).
///
/// # Example
///
/// Half the rate every ten epochs:
///
/// ```
/// use decoupled::layer::Activation;
/// use decoupled::observer::LearningRateScheduler;
/// use decoupled::{DecoupledNetwork, FitConfig, data};
///
/// let data = data::two_moons::<f32>(100, 0.1, 0)?;
/// let mut network = DecoupledNetwork::builder(2).dense(2, Activation::Identity).build()?;
/// let mut halves = LearningRateScheduler::new(|epoch| 0.5f64.powi((epoch as i32 - 1) / 10));
/// let report = network.fit_observed(&data, &FitConfig::new().epochs(21), &mut [&mut halves])?;
/// assert_eq!(report.epochs[9].learning_rate_factor, 1.0);
/// assert_eq!(report.epochs[20].learning_rate_factor, 0.25);
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct LearningRateScheduler<F> {
    factor: F,
}

impl<F: FnMut(usize) -> f64 + Send> LearningRateScheduler<F> {
    /// By this function from the number of an epoch to a factor ≥ 0.
    pub fn new(factor: F) -> Self {
        Self { factor }
    }
}

impl<F> fmt::Debug for LearningRateScheduler<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LearningRateScheduler")
    }
}

impl<T: Scalar, F: FnMut(usize) -> f64 + Send> Observer<T> for LearningRateScheduler<F> {
    fn learning_rate_factor(&mut self, epoch: usize) -> Result<f64> {
        Ok((self.factor)(epoch))
    }
}
