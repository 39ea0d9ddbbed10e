//! Checkpoints: a network with the state of its training, so that a resumed fit gives the same bits.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::container::Blob;
use super::{Contents, Source, blobs, contents, describe, named_tensors_of, parse, write};
use crate::bank::{ActivationBank, Bank, Layout, Storage};
use crate::description::Description;
use crate::machine::file::format;
use crate::machine::linalg::matrix::{check_shape, filled};
use crate::machine::parallel::{caught, guarded};
use crate::method::coupling::PenaltyFactor;
use crate::metrics::Decision;
use crate::{DecoupledNetwork, Error, Observer, Result, Scalar};

/// What a file says of a training, beside what lies in it as bytes: what optimizers and regressions remember, the bank's records, and
/// the state of observers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Training {
    epochs: usize,
    updates: u64,
    /// The best epoch so far, and the bits of its loss, which may be infinite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best_epoch: Option<(usize, u64)>,
    /// In files of before there were frozen layers: the updates that no optimizer remembers, instead of `steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    optimizers_since: Option<u64>,
    /// Of each layer's optimizer.
    #[serde(default)]
    steps: Vec<u64>,
    #[serde(default)]
    frozen: Vec<usize>,
    /// The seed of parameters that a first fit may still draw anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drawn: Option<u64>,
    penalty_factor: PenaltyFactor,
    /// As they print themselves.
    optimizers: Vec<String>,
    bank: Option<BankShape>,
    observers: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BankShape {
    layout: Layout,
    examples: usize,
    data_key: u64,
}

const BANK: &str = "bank";

impl Training {
    /// The names of the bytes, for a network of so many layers: the memory of every optimizer, the moments of every layer, the state of
    /// every observer, and the bank.
    pub(super) fn blobs(&self, layers: usize) -> impl Iterator<Item = String> + use<> {
        let each = |what: &'static str, count: usize| (0..count).map(move |i| format!("{what}.{i}"));
        let bank = self.bank.as_ref().map(|_| BANK.to_owned());
        each("optimizer", layers).chain(each("moments", layers)).chain(each("observer", self.observers)).chain(bank)
    }

    /// Fails for more observers than the file can have states of.
    pub(super) fn check_observers(&self, path: &Path, tensors: usize) -> Result<()> {
        if self.observers <= tensors {
            return Ok(());
        }
        Err(format(path, "the number of its observers", format!("at most {tensors}"), self.observers.to_string()))
    }

    /// The steps that the optimizers of `layers` layers remember.
    fn steps(&self, layers: usize) -> Vec<u64> {
        match self.optimizers_since {
            Some(since) => vec![self.updates.saturating_sub(since); layers],
            None => self.steps.clone(),
        }
    }

    /// Fails for counts that no training of `layers` layers comes to, and that a next one could not go on from.
    fn check_counts(&self, path: &Path, layers: usize) -> Result<()> {
        let most = isize::MAX as u64;
        for (place, count) in [("its epochs", self.epochs as u64), ("its updates", self.updates)] {
            if count > most {
                return Err(format(path, place, format!("at most {most}"), count.to_string()));
            }
        }
        let expected = || format!("at most {} updates", self.updates);
        if let Some(since) = self.optimizers_since.filter(|since| *since > self.updates) {
            return Err(format(path, "updates without a memory", expected(), since.to_string()));
        }
        let steps = self.steps(layers);
        if steps.len() != layers {
            return Err(format(
                path,
                "the steps of its optimizers",
                format!("{layers} numbers"),
                steps.len().to_string(),
            ));
        }
        // An update may take several steps of a layer: only the absurd is refused.
        if let Some(found) = steps.iter().find(|steps| **steps > u64::MAX / 2) {
            return Err(format(
                path,
                "the steps of an optimizer",
                format!("at most {}", u64::MAX / 2),
                found.to_string(),
            ));
        }
        if let Some(found) = self.frozen.iter().find(|t| **t >= layers) {
            return Err(format(path, "its frozen layers", format!("one of 0..{layers}"), found.to_string()));
        }
        if let Some((best, loss)) = self.best_epoch {
            let loss = f64::from_bits(loss);
            if best > self.epochs || loss.is_nan() {
                let expected = format!("one of {} epochs, and a number for its loss", self.epochs);
                return Err(format(path, "the best epoch so far", expected, format!("{best}, {loss}")));
            }
        }
        let factor = self.penalty_factor.value;
        if factor >= 1.0 && factor.is_finite() {
            return Ok(());
        }
        Err(format(path, "the factor on the penalties", "at least 1 and finite", factor.to_string()))
    }
}

impl<T: Scalar> DecoupledNetwork<T> {
    /// Writes all that training has come to: what [`save`](Self::save) writes, and the memory of optimizers and regressions, the bank
    /// with multipliers and the activation optimizer's memory, the counts of epochs and updates on which schedules and the order of
    /// the examples depend, the loss of the best epoch, which layers are [frozen](Self::freeze), the factor on the penalties, and the
    /// [state](Observer::state) of these observers.
    ///
    /// The file is replaced all at once, as by `save`. It can be [loaded](Self::load) like any other.
    ///
    /// [`Checkpoint`](crate::observer::Checkpoint) does so after every epoch.
    ///
    /// # Errors
    /// As [`save`](Self::save), and [`Error::Unsupported`] for a bank in a [file](Self::bank_file), which goes on by itself.
    pub fn save_checkpoint(&self, path: impl AsRef<Path>, observers: &[&dyn Observer<T>]) -> Result<()> {
        self.check_checkpoint()?;
        let layers = self.training.layers.iter().enumerate();
        let memories = layers.map(|(t, state)| guarded("Debug of the optimizer", t, || state.parts()));
        let (optimizers, memories): (Vec<_>, Vec<_>) = memories.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let states = observers.iter().enumerate().map(|(i, observer)| state(i, *observer));
        let states = states.collect::<Result<Vec<_>>>()?;
        let bank = self.bank.memory().map(ActivationBank::parts);
        let described =
            bank.map(|((layout, examples, data_key), _)| BankShape { layout: layout.clone(), examples, data_key });
        let training = Training {
            epochs: self.training.epochs,
            updates: self.training.updates,
            best_epoch: self.training.best_epoch.map(|(epoch, loss)| (epoch, loss.to_bits())),
            optimizers_since: None,
            steps: self.training.layers.iter().map(|own| own.steps).collect(),
            drawn: self.training.drawn,
            frozen: self.training.layers.iter().enumerate().filter(|(_, own)| own.frozen).map(|(t, _)| t).collect(),
            penalty_factor: self.training.penalty_factor,
            optimizers,
            bank: described,
            observers: observers.len(),
        };
        let of_optimizers = memories.iter().map(|[own, _]| *own);
        let of_regressions = memories.iter().map(|[_, own]| *own);
        let numbers = of_optimizers.chain(of_regressions).map(|own| Cow::Owned(to_bytes(own)));
        let numbers = numbers.chain(states.iter().map(|state| Cow::Owned(to_bytes(state))));
        let records = bank.map(|(_, records)| Cow::Borrowed(records));
        let blobs: Vec<Blob<'_>> = training.blobs(self.depth()).zip(numbers.chain(records)).collect();
        let mut contents = describe(self)?;
        contents.training = Some(training);
        write(path.as_ref(), self, &contents, &blobs)
    }

    /// Goes back to what [`save_checkpoint`](Self::save_checkpoint) wrote of a network that was built alike, and of as many observers: a
    /// fit of the same data and settings, for the epochs that are left, then gives what it would have given without the
    /// interruption, bit for bit. Build the network with the optimizers of then; [`set_optimizer`](Self::set_optimizer) changes
    /// them afterwards, and keeps their memory where just numbers differ.
    ///
    /// # Errors
    /// Neither the network nor the observers have changed then. As [`load_params`](Self::load_params); [`Error::Format`] for a file
    /// that is no checkpoint, of other layers, another loss or optimizer, another bank or another number of observers; [`Error::BankTooLarge`];
    /// [`Error::Unsupported`] for a network whose bank lies in a file; and those of [`Observer::set_state`].
    pub fn resume(&mut self, path: impl AsRef<Path>, observers: &mut [&mut dyn Observer<T>]) -> Result<()> {
        self.check_checkpoint()?;
        let path = path.as_ref();
        let tensors = named_tensors_of(self)?;
        let source = Source::open(path)?;
        let none = || format(path, "its description", "a checkpoint", "none");
        let said = parse::<Description, Description>(path, contents(path, &source)?.ok_or_else(none)?)?;
        let names = blobs(path, &source, &said)?;
        self.check_description(path, &said)?;
        let training = said.training.ok_or_else(none)?;
        self.check_training(path, &training, observers.len())?;
        let threshold = said.threshold.unwrap_or(Decision::DEFAULT_THRESHOLD);
        let decision = Decision { threshold, ..self.decision };
        decision.validate()?;
        let (params, bytes) = source.read::<T>(&tensors, &names)?;

        let mut bytes = names.iter().zip(bytes);
        let mut memories = [Vec::new(), Vec::new()];
        for memory in &mut memories {
            for t in 0..self.depth() {
                let (name, bytes) = bytes.next().ok_or_else(none)?;
                let own = from_bytes::<T>(path, name, &bytes)?;
                // The other memory is a parameter step's own, of a length that only the step knows.
                let room = if name.starts_with("moments") { own.len() } else { self.room(t) };
                if !own.is_empty() && own.len() != room {
                    return Err(format(path, name, format!("{room} numbers"), own.len().to_string()));
                }
                memory.push(own);
            }
        }
        let mut states = Vec::with_capacity(observers.len());
        for _ in 0..observers.len() {
            let (name, bytes) = bytes.next().ok_or_else(none)?;
            states.push(from_bytes::<f64>(path, name, &bytes)?);
        }
        let steps = training.steps(self.depth());
        let bank = match (training.bank, bytes.next()) {
            (Some(BankShape { layout, examples, data_key }), Some((_, records))) => {
                Some(ActivationBank::of_records((layout, examples, data_key), records, self.bank_limit)?)
            }
            _ => None,
        };

        restore(observers, &states)?;
        let [optimizers, moments] = memories;
        self.start_with(params);
        self.training.drawn = training.drawn;
        let memories = optimizers.into_iter().zip(moments).zip(steps);
        for (t, (own, ((state, moments), steps))) in self.training.layers.iter_mut().zip(memories).enumerate() {
            (own.state, own.memory, own.steps) = (state, moments, steps);
            own.frozen = training.frozen.contains(&t);
        }
        self.bank = bank.map_or(Bank::Nowhere, Bank::Memory);
        self.decision = decision;
        (self.training.epochs, self.training.updates) = (training.epochs, training.updates);
        self.training.best_epoch = training.best_epoch.map(|(epoch, loss)| (epoch, f64::from_bits(loss)));
        self.training.resumed = true;
        self.training.penalty_factor = training.penalty_factor;
        Ok(())
    }

    /// Whether a checkpoint can be made.
    pub(crate) fn check_checkpoint(&self) -> Result<()> {
        match &self.bank_file {
            Some(_) => Err(Error::Unsupported {
                what: "a checkpoint of a network whose bank lies in a file",
                why: "the file goes on by itself",
            }),
            None => Ok(()),
        }
    }

    /// Whether layers and output loss are described as those of this network.
    fn check_description(&self, path: &Path, said: &Contents<Description, Description>) -> Result<()> {
        let own = describe(self)?;
        check_shape("layers of the network in the file", own.layers.len(), said.layers.len())?;
        let layers = own.layers.iter().zip(&said.layers).enumerate();
        let layers = layers.map(|(t, pair)| (format!("layer {t}"), pair));
        for (place, (own, found)) in
            layers.chain([("the output loss".to_owned(), (&own.output_loss, &said.output_loss))])
        {
            if let Some([setting, expected, found]) = Description::difference(own, found) {
                let place = if setting.is_empty() { place } else { format!("{place}, {setting}") };
                return Err(format(path, place, expected, found));
            }
        }
        Ok(())
    }

    fn check_training(&self, path: &Path, training: &Training, observers: usize) -> Result<()> {
        if training.observers != observers {
            let expected = observers.to_string();
            return Err(format(path, "the number of its observers", &expected, training.observers.to_string()));
        }
        for (t, trained) in self.training.layers.iter().enumerate() {
            let (own, _) = guarded("Debug of the optimizer", t, || trained.parts())?;
            let found = training.optimizers.get(t).map_or("none", String::as_str);
            if own != found {
                return Err(format(path, format!("the optimizer of layer {t}"), &own, found));
            }
        }
        training.check_counts(path, self.depth())?;
        if let Some(BankShape { layout, .. }) = &training.bank {
            let own = layout.of::<T>(self.layers.iter().map(|layer| layer.input_dim()), self.storage);
            if own != *layout {
                return Err(format(path, "its bank", own.to_string(), layout.to_string()));
            }
        }
        Ok(())
    }

    /// How many numbers the optimizer of layer t remembers.
    fn room(&self, t: usize) -> usize {
        let layers = self.training.layers.iter().zip(&self.params).nth(t);
        layers.map_or(0, |(state, params)| state.slots.saturating_mul(params.len()))
    }
}

fn state<T: Scalar>(number: usize, observer: &dyn Observer<T>) -> Result<Vec<f64>> {
    caught(|| observer.state()).map_err(|message| Error::ObserverPanicked {
        observer: number,
        method: "state",
        message,
    })
}

/// Gives every observer its state, or none of them.
pub(crate) fn restore<T: Scalar>(observers: &mut [&mut dyn Observer<T>], states: &[Vec<f64>]) -> Result<()> {
    let before = observers.iter().enumerate().map(|(i, observer)| state(i, &**observer)).collect::<Result<Vec<_>>>()?;
    let mut set = |states: &[Vec<f64>]| {
        observers.iter_mut().zip(states).enumerate().try_for_each(|(number, (observer, state))| {
            let panicked = |message| Error::ObserverPanicked { observer: number, method: "set_state", message };
            caught(|| observer.set_state(state)).map_err(panicked)?
        })
    };
    set(states).inspect_err(|_| {
        // What they were before is a state of theirs.
        set(&before).unwrap_or_default();
    })
}

fn to_bytes<T: Scalar>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = vec![0; size_of_val(numbers)];
    let _exact = Storage::Full.encode(numbers, &mut bytes);
    bytes
}

fn from_bytes<T: Scalar>(path: &Path, name: &str, bytes: &[u8]) -> Result<Vec<T>> {
    if !bytes.len().is_multiple_of(size_of::<T>()) {
        return Err(format(
            path,
            name,
            format!("numbers of {} bytes", size_of::<T>()),
            format!("{} bytes", bytes.len()),
        ));
    }
    let mut numbers = filled("what a fit needs to go on", bytes.len() / size_of::<T>(), T::zero())?;
    Storage::Full.decode(bytes, &mut numbers);
    Ok(numbers)
}
