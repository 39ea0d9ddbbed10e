//! Checkpoints during a fit, every n epochs or of the best one.

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::best::Best;
use super::monitor::count;
use super::{Epoch, Mode, Monitor, Observer, Plan, Step};
use crate::error::require;
use crate::machine::file::{Place, check_replace, format};
use crate::machine::setting::require_non_negative;
use crate::persist::restore;
use crate::{DecoupledNetwork, Error, Result, Scalar, StopReason};

/// Writes a [checkpoint](DecoupledNetwork::save_checkpoint) after every epoch, or every n-th, and at the end: a process that is killed
/// goes on from the last one, bit for bit as if it had not been. Each waits for the disk, some 10 ms and more: where epochs are
/// shorter, write [every](Self::every) so many. With [`best_only`](Self::best_only) it writes after epochs that are the best so far.
///
/// A place that cannot be written is found at the start of the fit.
///
/// A method that ends with a [finish](crate::Method::finish) refits the last layer after everything here: no checkpoint has that.
/// [Save](DecoupledNetwork::save) the network after the fit, or [refit](DecoupledNetwork::refit_output) one that was resumed at its end.
///
/// Observers with a state of their own are given to it: it passes everything on to them, and writes their state beside the network's.
/// What is written at the end has what they did there, such as the weights that [`EarlyStopping`](super::EarlyStopping) brought
/// back, unless an observer broke the fit off ([`StopReason::Observer`]): then it is what the next fit goes on from, bit for bit if
/// that was after an epoch. Broken off in the middle of one, after a step, the next fit begins with the next epoch. Early stopping
/// does so again after the first epoch of the next fit: ask the [report](crate::FitReport::stop) before you go on.
///
/// # Example
///
/// Can be killed and started again at any time:
///
/// ```
/// use decoupled::layer::Activation;
/// use decoupled::observer::{Checkpoint, EarlyStopping};
/// use decoupled::{DecoupledNetwork, FitConfig, data};
///
/// const EPOCHS: usize = 20;
/// let (train, held_out) = data::two_moons::<f32>(200, 0.2, 0)?.stratified_split(0.8, 0)?;
/// let builder = DecoupledNetwork::builder(2).dense(16, Activation::Tanh);
/// let mut network = builder.dense(2, Activation::Identity).build()?;
/// let mut stopping = EarlyStopping::new().patience(5);
///
/// # let folder = std::env::temp_dir().join(format!("decoupled-checkpoint-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// let path = folder.join("run.safetensors");
/// if path.exists() {
///     network.resume(&path, &mut [&mut stopping])?;
/// }
/// if network.epochs() < EPOCHS {
///     let config = FitConfig::new().epochs(EPOCHS - network.epochs()).batch_size(20).validation(&held_out);
///     let mut checkpoint = Checkpoint::new(&path).beside(&mut stopping);
///     network.fit_observed(&train, &config, &mut [&mut checkpoint])?;
/// }
/// # assert!(path.exists());
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// Keeps two files, the last epoch to go on from and the best to use. What the second has seen is beside the first:
///
/// ```
/// use decoupled::layer::Activation;
/// use decoupled::observer::{Checkpoint, Monitor};
/// use decoupled::{DecoupledNetwork, FitConfig, data};
///
/// let (train, held_out) = data::two_moons::<f32>(200, 0.2, 0)?.stratified_split(0.8, 0)?;
/// let builder = DecoupledNetwork::builder(2).dense(16, Activation::Tanh);
/// let mut network = builder.dense(2, Activation::Identity).build()?;
/// # let folder = std::env::temp_dir().join(format!("decoupled-best-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// let (last, best) = (folder.join("last.safetensors"), folder.join("best.safetensors"));
/// let mut best_only = Checkpoint::new(&best).best_only().monitor(Monitor::ValidationScore);
/// if last.exists() {
///     network.resume(&last, &mut [&mut best_only])?;
/// }
/// let config = FitConfig::new().epochs(20).batch_size(20).validation(&held_out);
/// network.fit_observed(&train, &config, &mut [&mut Checkpoint::new(&last).beside(&mut best_only)])?;
///
/// let (_, score) = best_only.best().unwrap();
/// let best = DecoupledNetwork::<f32>::load(&best)?;
/// assert_eq!(best.evaluate(&held_out)?.score, Some(score));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), decoupled::Error>(())
/// ```
#[doc(alias = "ModelCheckpoint")]
pub struct Checkpoint<'o, T: Scalar> {
    path: PathBuf,
    every: usize,
    best_only: bool,
    best: Best,
    others: Vec<&'o mut dyn Observer<T>>,
}

impl<T: Scalar> fmt::Debug for Checkpoint<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.best_only { "if it is the best" } else { "and at the end" };
        let Self { path, every, others, .. } = self;
        write!(f, "Checkpoint({path:?}, every {every} epochs, {when}, {} observers)", others.len())
    }
}

impl<'o, T: Scalar> Checkpoint<'o, T> {
    /// To this file, which is replaced each time.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), every: 1, best_only: false, best: Best::default(), others: Vec::new() }
    }

    /// After every so many `epochs` ≥ 1, counted over the life of the network, and at the end.
    pub fn every(mut self, epochs: usize) -> Self {
        self.every = epochs;
        self
    }

    /// Writes only after epochs that are better than all before, as Keras's `ModelCheckpoint(save_best_only=True)` does, and nothing at
    /// the end: so the file has the best network. With [`every`](Self::every), of these epochs alone. A NaN is never better.
    ///
    /// The best is that of all fits with this value. Another goes on with it if it is given the [state](Observer::state) of this one,
    /// as from a checkpoint that has this one [beside](Self::beside) it. The file has it as well: to resume from it, its observers are
    /// this one, without others beside it yet, and then those that were beside it.
    ///
    /// A network that has been trained, and a file that is there, need one of these, or an
    /// [`initial_value_threshold`](Self::initial_value_threshold): else [`Error::Format`] at the start of the fit, since the file
    /// may be the best of epochs before.
    pub fn best_only(mut self) -> Self {
        self.best_only = true;
        self
    }

    /// Sets the number to judge by, for [`best_only`](Self::best_only).
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.best.monitor = Some(monitor);
        self
    }

    /// Sets whether less or more of it is better, instead of less of a loss and more of a score.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.best.mode = Some(mode);
        self
    }

    /// Sets what the first epoch to be written must be better than, for [`best_only`](Self::best_only).
    pub fn initial_value_threshold(mut self, value: f64) -> Self {
        self.best.threshold = Some(value);
        self
    }

    /// Returns the number of the best epoch so far, with [`best_only`](Self::best_only), and the number that it was judged by.
    pub fn best(&self) -> Option<(usize, f64)> {
        self.best.best()
    }

    /// With the state of this observer, in the order they are given.
    pub fn beside(mut self, observer: &'o mut dyn Observer<T>) -> Self {
        self.others.push(observer);
        self
    }

    fn write(&self, network: &DecoupledNetwork<T>) -> Result<()> {
        let own = self.best_only.then_some(&self.best as &dyn Observer<T>);
        let others = self.others.iter().map(|observer| &**observer as &dyn Observer<T>);
        network.save_checkpoint(&self.path, &own.into_iter().chain(others).collect::<Vec<_>>())
    }

    /// Fails for settings that say nothing, and for a file that may be better than all that is to come.
    fn check_best(&self, plan: &Plan) -> Result<()> {
        if !self.best_only {
            let what = "monitor, mode or initial_value_threshold of Checkpoint";
            let error = Error::Unsupported { what, why: "they are for best_only, which is not set" };
            return if self.best.is_set() { Err(error) } else { Ok(()) };
        }
        self.best.check(plan)?;
        if plan.first_epoch > 1 && !self.best.is_known() && Place::of(&self.path)?.found.is_some() {
            let expected = "the best so far from its state, or an initial_value_threshold, to replace it";
            return Err(format(&self.path, "a checkpoint of epochs before", expected, "neither"));
        }
        Ok(())
    }

    /// Calls the others, up to the first error; the first reason to stop counts.
    fn all(
        &mut self,
        call: impl FnMut(&mut &'o mut dyn Observer<T>) -> Result<ControlFlow<StopReason>>,
    ) -> Result<ControlFlow<StopReason>> {
        let flows = self.others.iter_mut().map(call).collect::<Result<Vec<_>>>()?;
        Ok(flows.into_iter().find(ControlFlow::is_break).unwrap_or(ControlFlow::Continue(())))
    }
}

impl<T: Scalar> Observer<T> for Checkpoint<'_, T> {
    fn start(&mut self, plan: &Plan, network: &DecoupledNetwork<T>) -> Result<()> {
        require(self.every > 0, "Checkpoint::every", "at least 1", self.every as f64)?;
        network.check_checkpoint()?;
        check_replace(&self.path)?;
        self.check_best(plan)?;
        self.best.begin();
        self.others.iter_mut().try_for_each(|observer| observer.start(plan, network))
    }

    fn learning_rate_factor(&mut self, epoch: usize) -> Result<f64> {
        self.others.iter_mut().try_fold(1.0, |product, observer| {
            let factor = observer.learning_rate_factor(epoch)?;
            require_non_negative::<T>("a learning rate factor", factor)?;
            Ok(product * factor)
        })
    }

    fn step(&mut self, step: &Step<'_, T>) -> Result<ControlFlow<StopReason>> {
        self.all(|observer| observer.step(step))
    }

    /// Calls `new_best` of the others as well where there is one, so that what is written is the state after it.
    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        let mut flow = self.all(|observer| observer.epoch(epoch))?;
        if epoch.best.is_some_and(|best| best.epoch == epoch.report.epoch) {
            let of_best = self.all(|observer| observer.new_best(epoch))?;
            flow = if flow.is_break() { flow } else { of_best };
        }
        if epoch.report.epoch.is_multiple_of(self.every) && (!self.best_only || self.best.consider(epoch.report)) {
            self.write(epoch.network)?;
        }
        Ok(flow)
    }

    fn end(&mut self, network: &mut DecoupledNetwork<T>, stop: StopReason) -> Result<()> {
        let goes_on = stop == StopReason::Observer;
        if goes_on && !self.best_only {
            self.write(network)?;
        }
        self.others.iter_mut().try_for_each(|observer| observer.end(network, stop))?;
        if goes_on || self.best_only { Ok(()) } else { self.write(network) }
    }

    /// With [`best_only`](Self::best_only) the number of the best epoch (0 for none) and its cost; of every observer beside it the length
    /// of its state, and the state.
    fn state(&self) -> Vec<f64> {
        let own = if self.best_only { Observer::<T>::state(&self.best) } else { Vec::new() };
        let others = self.others.iter().map(|observer| observer.state());
        own.into_iter().chain(others.flat_map(|state| std::iter::once(state.len() as f64).chain(state))).collect()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        let fault = || Error::Shape {
            what: "numbers in the state of Checkpoint",
            expected: self.state().len(),
            found: state.len(),
        };
        let (own, mut rest) = state.split_at_checked(if self.best_only { 2 } else { 0 }).ok_or_else(fault)?;
        let mut states = Vec::with_capacity(self.others.len());
        for _ in &self.others {
            let (len, after) = rest.split_first().ok_or_else(fault)?;
            let len = count("the length of a state in the state of Checkpoint", *len)?;
            let (state, after) = after.split_at_checked(len).ok_or_else(fault)?;
            states.push(state.to_vec());
            rest = after;
        }
        if !rest.is_empty() {
            return Err(fault());
        }
        let mut best = self.best.clone();
        if self.best_only {
            Observer::<T>::set_state(&mut best, own)?;
        }
        restore(&mut self.others, &states)?;
        self.best = best;
        Ok(())
    }
}
