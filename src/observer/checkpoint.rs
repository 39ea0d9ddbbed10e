use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{Epoch, Observer, Plan, Step};
use crate::error::require;
use crate::{DecoupledNetwork, Result, Scalar, StopReason};

/// Writes a [checkpoint](DecoupledNetwork::save_checkpoint) after every epoch, or every n-th, and at the end: a process that is killed
/// goes on from the last one, bit for bit as if it had not been. Each waits for the disk, some 10 ms and more: where epochs are
/// shorter, write [every](Self::every) so many.
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
pub struct Checkpoint<'o, T: Scalar> {
    path: PathBuf,
    every: usize,
    others: Vec<&'o mut dyn Observer<T>>,
}

impl<T: Scalar> fmt::Debug for Checkpoint<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({:?}, every {} epochs, {} observers)", self.path, self.every, self.others.len())
    }
}

impl<'o, T: Scalar> Checkpoint<'o, T> {
    /// To this file, which is replaced each time.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), every: 1, others: Vec::new() }
    }

    /// After every so many `epochs` ≥ 1, counted over the life of the network, and at the end.
    pub fn every(mut self, epochs: usize) -> Self {
        self.every = epochs;
        self
    }

    /// With the state of this observer, in the order they are given.
    pub fn beside(mut self, observer: &'o mut dyn Observer<T>) -> Self {
        self.others.push(observer);
        self
    }

    fn write(&self, network: &DecoupledNetwork<T>) -> Result<()> {
        let others: Vec<&dyn Observer<T>> = self.others.iter().map(|observer| &**observer as _).collect();
        network.save_checkpoint(&self.path, &others)
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
        self.others.iter_mut().try_for_each(|observer| observer.start(plan, network))
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
        if epoch.report.epoch.is_multiple_of(self.every) {
            self.write(epoch.network)?;
        }
        Ok(flow)
    }

    fn end(&mut self, network: &mut DecoupledNetwork<T>, stop: StopReason) -> Result<()> {
        let goes_on = stop == StopReason::Observer;
        if goes_on {
            self.write(network)?;
        }
        self.others.iter_mut().try_for_each(|observer| observer.end(network, stop))?;
        if goes_on { Ok(()) } else { self.write(network) }
    }
}
