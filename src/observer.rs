//! The trait [`Observer`], who watches a fit and may end it, and the built-in ones.
//!
//! [`fit_observed`](DecoupledNetwork::fit_observed) and [`fit_backprop_observed`](DecoupledNetwork::fit_backprop_observed) take any
//! number of them. A closure that takes an [`EpochReport`] is one, called after every epoch.
//!
//! | observer | what it does |
//! |---|---|
//! | [`EarlyStopping`] | ends the fit when a loss or score no longer gets better, and brings the best parameters back |
//! | [`History`] | writes a row an epoch, as CSV or JSON lines |
//! | [`Table`] | prints a line an epoch |
//! | `Checkpoint` (feature `save`) | writes down what it takes to go on after a kill, or the best network |
//! | [`ReduceLrOnPlateau`] | lowers the learning rate when a loss or score no longer gets better |
//! | [`LearningRateScheduler`] | sets the learning rate of every epoch by a function |
//! | `Progress` (feature `progress`) | shows how far the fit is |
//! | [`Every`], [`OnNewBest`] | let another see only some of the epochs |
//!
//! # Example
//!
//! Trains until the loss on held-out examples has not fallen for ten epochs, and writes every epoch down:
//!
//! ```
//! use decoupled::layer::Activation;
//! use decoupled::observer::{EarlyStopping, History};
//! use decoupled::{DecoupledNetwork, FitConfig, StopReason, data};
//!
//! let (train, held_out) = data::two_moons::<f32>(300, 0.2, 0)?.stratified_split(0.8, 0)?;
//! let mut network = DecoupledNetwork::builder(2)
//!     .dense(16, Activation::Tanh)
//!     .dense(2, Activation::Identity)
//!     .build()?;
//!
//! let mut stopping = EarlyStopping::new().patience(10).restore_best_weights();
//! let path = std::env::temp_dir().join("decoupled-history.csv");
//! let mut history = History::csv(&path);
//! let config = FitConfig::new().epochs(500).batch_size(20).validation(&held_out);
//! let report = network.fit_observed(&train, &config, &mut [&mut stopping, &mut history])?;
//!
//! assert_eq!(report.stop, StopReason::EarlyStopping);
//! let best = report.best().and_then(|epoch| epoch.validation);
//! assert_eq!(Some(network.evaluate(&held_out)?), best);
//! // A row for every epoch, below the names of the columns.
//! let rows = std::fs::read_to_string(&path)?.lines().count();
//! assert_eq!(rows, 1 + report.epochs.len());
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ops::ControlFlow;

use crate::{DecoupledNetwork, EpochReport, Result, Scalar, StopReason};

mod audience;
#[cfg(feature = "save")]
mod best;
#[cfg(feature = "save")]
mod checkpoint;
mod criterion;
mod early_stopping;
mod every;
mod history;
mod learning_rate_scheduler;
mod monitor;
mod on_new_best;
#[cfg(feature = "progress")]
mod progress;
mod reduce_lr_on_plateau;
mod sink;
mod table;

pub(crate) use audience::Audience;
#[cfg(feature = "save")]
pub use checkpoint::Checkpoint;
pub use early_stopping::EarlyStopping;
pub use every::Every;
pub use history::History;
pub use learning_rate_scheduler::LearningRateScheduler;
pub use monitor::{Mode, Monitor};
pub use on_new_best::OnNewBest;
#[cfg(feature = "progress")]
pub use progress::Progress;
pub use reduce_lr_on_plateau::ReduceLrOnPlateau;
pub use table::Table;

/// Someone who watches a fit and may end it.
///
/// ```text
/// start                                before anything changes
/// for every epoch:
///     learning_rate_factor
///     for every batch:
///         visit, then step
///     measure and validate
///     epoch
///     new_best                         where the epoch is the best so far
/// end                                  before the last layer is refitted, where the method ends so
/// ```
///
/// Where there are several, each of these goes to all of them, in the order they were given, before anything else happens. All of
/// them see what one of them breaks off at; the reason of the first to break is that of the [report](crate::FitReport::stop).
///
/// An error ends the fit at once, and nobody is called any more, not even for the end. So it is with every error of the fit.
/// [`Error::other`](crate::Error::other) takes an error of your own.
///
/// # Example
///
/// Stops in the middle of an epoch when time is up:
///
/// ```
/// use std::ops::ControlFlow;
/// use std::time::{Duration, Instant};
///
/// use decoupled::observer::Step;
/// use decoupled::{Observer, Result, Scalar, StopReason};
///
/// struct Deadline(Instant);
///
/// impl<T: Scalar> Observer<T> for Deadline {
///     fn step(&mut self, _: &Step<'_, T>) -> Result<ControlFlow<StopReason>> {
///         let over = Instant::now() > self.0;
///         Ok(if over { ControlFlow::Break(StopReason::Observer) } else { ControlFlow::Continue(()) })
///     }
/// }
/// # use decoupled::{DecoupledNetwork, FitConfig, data, layer::Activation};
/// # let data = data::two_moons::<f32>(100, 0.1, 0)?;
/// # let mut network = DecoupledNetwork::builder(2).dense(2, Activation::Identity).build()?;
/// # let config = FitConfig::new().batch_size(20);
/// # let report = network.fit_observed(&data, &config, &mut [&mut Deadline(Instant::now())])?;
/// # assert_eq!((report.stop, network.updates()), (StopReason::Observer, 2));
/// # Ok::<(), decoupled::Error>(())
/// ```
#[doc(alias = "callback")]
pub trait Observer<T: Scalar>: Send {
    /// The fit is about to begin, with settings and data that are in order.
    ///
    /// # Errors
    /// For settings of the observer outside their domain, and for what it cannot open. Nothing has changed then.
    fn start(&mut self, plan: &Plan, network: &DecoupledNetwork<T>) -> Result<()> {
        let _ = (plan, network);
        Ok(())
    }

    /// Returns what the learning rates are multiplied by in the epoch of this number, which is about to begin: 1 by default. Epochs are
    /// counted from 1 over the life of the network. Factors of several observers multiply, with one another and with those of
    /// [schedules](crate::optimizer::Scheduled). They are on the optimizers of the layers: not on those of activations, nor on steps in
    /// closed form, which have no rate.
    ///
    /// # Errors
    /// Yours. All epochs before stand, as they do for a factor that is negative or not finite:
    /// [`Error::HyperParameter`](crate::Error::HyperParameter).
    fn learning_rate_factor(&mut self, epoch: usize) -> Result<f64> {
        let _ = epoch;
        Ok(1.0)
    }

    /// A batch has been visited, and the parameters have moved, or wait for more batches where gradients are
    /// [accumulated](crate::FitConfig::accumulate).
    ///
    /// `Break` ends the epoch here. It counts as one, its report is of the visits that took place, and `epoch` follows. Batches that are
    /// [in flight](crate::Method::in_flight) come back first, without a call.
    ///
    /// # Errors
    /// Yours. The network goes back to the parameters that the epoch started with.
    fn step(&mut self, step: &Step<'_, T>) -> Result<ControlFlow<StopReason>> {
        let _ = step;
        Ok(ControlFlow::Continue(()))
    }

    /// An epoch is over. `Break` ends the fit.
    ///
    /// # Errors
    /// Yours. The epoch stands.
    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        let _ = epoch;
        Ok(ControlFlow::Continue(()))
    }

    /// The epoch that is over has the lowest [loss](Monitor::Loss) so far: of this fit and, where the network was
    /// [resumed](DecoupledNetwork::resume), of the fits that it goes on from. The first has, unless it is NaN. `Break` ends the fit.
    ///
    /// # Errors
    /// Yours. The epoch stands.
    fn new_best(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        let _ = epoch;
        Ok(ControlFlow::Continue(()))
    }

    /// Training is over, and this is why. What is done to the network here stays, in the bank and the optimizers as well.
    ///
    /// # Errors
    /// Yours. All epochs stand.
    fn end(&mut self, network: &mut DecoupledNetwork<T>, stop: StopReason) -> Result<()> {
        let _ = (network, stop);
        Ok(())
    }

    /// What has to be kept so that another of the same settings can go on in a later fit.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes what [`state`](Self::state) gave: the next fit goes on where that one ended.
    ///
    /// # Errors
    /// For what is no state of such an observer; nothing has changed then.
    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        crate::machine::linalg::matrix::check_shape("numbers in an observer's state", 0, state.len())
    }
}

/// What a fit is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Number of the first epoch, counted from 1 over the life of the network.
    pub first_epoch: usize,
    /// Epochs, at most.
    pub epochs: usize,
    /// Visits in an epoch: batches.
    pub steps: usize,
    /// Whether epochs are validated.
    pub has_validation: bool,
    /// Whether there is a score beside the loss.
    pub has_score: bool,
}

/// What [`Observer::step`] sees.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Step<'a, T: Scalar> {
    /// What the fit was about to do.
    pub plan: &'a Plan,
    /// Number of the epoch, counted from 1 over the life of the network.
    pub epoch: usize,
    /// Number of the visit, counted from 1 in the epoch.
    pub number: usize,
    /// Mean forward loss over the visits of the epoch so far, as in [`EpochReport::train_loss`].
    pub train_loss: f64,
    /// The network, without its bank, which is in use. With micro-batches [in flight](crate::Method::in_flight) a batch counts as visited when
    /// all layers have taken its step; some may have taken those of later batches.
    pub network: &'a DecoupledNetwork<T>,
}

/// What [`Observer::epoch`] and [`Observer::new_best`] see.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Epoch<'a, T: Scalar> {
    /// What the fit was about to do.
    pub plan: &'a Plan,
    /// What happened in the epoch.
    pub report: &'a EpochReport,
    /// The best epoch so far, perhaps this one; none while all losses are NaN, and where it is of a fit that this one goes on from.
    pub best: Option<&'a EpochReport>,
    /// The network.
    pub network: &'a DecoupledNetwork<T>,
}

impl<T: Scalar, F: FnMut(&EpochReport) -> ControlFlow<()> + Send> Observer<T> for F {
    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        Ok(self(epoch.report).map_break(|()| StopReason::Observer))
    }
}
