//! What an epoch reports.

use std::fmt;
use std::time::Duration;

use crate::diagnostics::Decoupling;
use crate::error::four_digits;

/// What happened in one epoch. Means are over examples, by their [weights](crate::Dataset::with_weights).
#[derive(Clone, Debug, PartialEq)]
pub struct EpochReport {
    /// Its number, counted from 1 over the life of the network.
    pub epoch: usize,
    /// Mean energy L(Θ, Z) over the visits, at the last point of each visit where all predictions from stored activations
    /// were at hand: after the activation steps when the parameter step follows them and reads stored activations, else
    /// before the last of them. For backpropagation the forward loss.
    pub energy: f64,
    /// Mean forward loss over the visits, each before its parameter step. Visits that start at persisted activations and whose
    /// parameter step reads them need no forward pass: of these every eighth, and all first ones.
    pub train_loss: f64,
    /// Mean score of the same forward passes.
    pub train_score: Option<f64>,
    /// Forward loss and score on the validation data, at the end of the epoch.
    pub validation: Option<crate::Scores>,
    /// Its terms: that of z_t for the hidden layers t = 1 .. T, then that of the output; empty for backpropagation.
    pub energies: Vec<f64>,
    /// ‖z_t − ẑ_t‖ / ‖z_t‖ over all examples for the hidden layers t = 1 .. T, where the energy was measured; empty for
    /// backpropagation.
    pub residuals: Vec<f64>,
    /// Units of the hidden layers t = 1 .. T that gave one and the same number for every example of the epoch, as a ReLU does that
    /// is never above zero: where the energy was measured, for backpropagation in its forward passes. Of a single example no unit
    /// counts.
    pub dead_units: Vec<usize>,
    /// Mean number of parameter updates that an example's column in the bank had missed when it was visited; none where all
    /// visits were first ones, and for backpropagation. Columns of a file that were stored after more updates than the network has
    /// had, by another run, do not count.
    pub staleness: Option<f64>,
    /// λmax of ∂²L/∂Z² as last estimated in the epoch, for a method whose activation rate follows it: the largest of at most 32
    /// examples, every hundredth visit. Over all examples, and later on, it may be a few times as large. Where layers follow their
    /// own ([`Sweeps::stable`](crate::Sweeps::stable)) it is the largest of them.
    pub curvature: Option<f64>,
    /// (2/λmax) / activation rate, with that λmax, the least of all layers: plain steps overshoot where it is below 1. A method
    /// that caps its rate keeps it above; [`decoupling`](Self::decoupling) has a λmax of more examples.
    pub stability_margin: Option<f64>,
    /// The factor on the penalties; 1 unless a schedule raised it.
    pub penalty_factor: f64,
    /// The factor that [observers](crate::Observer::learning_rate_factor) put on the learning rates of the layers; 1 without them. What
    /// [schedules](crate::optimizer::Scheduled) put on them is beside it.
    pub learning_rate_factor: f64,
    /// ‖θ_t − θ_t(start of the epoch)‖ for t = 0 .. T.
    pub update_norms: Vec<f64>,
    /// How decoupled the method is at the end of the epoch, with its penalties, where the fit was asked to
    /// [measure it](crate::FitConfig::measure_decoupling). It is measured from a forward pass: for a method that keeps its activations from
    /// visit to visit that is not where it trains.
    pub decoupling: Option<Decoupling>,
    /// Time of the epoch's training, without validation and what else is measured after it.
    pub time: Duration,
}

impl fmt::Display for EpochReport {
    /// One line of a table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {:4}  energy {:.4e}  loss {:.4e}", self.epoch, self.energy, self.train_loss)?;
        if let Some(score) = self.train_score {
            write!(f, "  score {score:.4}")?;
        }
        if let Some(validation) = self.validation {
            write!(f, "  validation loss {:.4e}", validation.loss)?;
            if let Some(score) = validation.score {
                write!(f, " score {score:.4}")?;
            }
        }
        if let Some(factor) = rate_factor(self) {
            write!(f, "  rate factor {factor}")?;
        }
        write!(f, "  {:.2} s", self.time.as_secs_f64())
    }
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// All epochs are done.
    Epochs,
    /// An observer said so.
    Observer,
    /// [`EarlyStopping`](crate::observer::EarlyStopping) lost its patience.
    EarlyStopping,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Epochs => "all epochs are done",
            Self::Observer => "an observer ended it",
            Self::EarlyStopping => "stopped early",
        })
    }
}

/// The factor of observers on the learning rates, in four digits; none where it is 1.
pub(crate) fn rate_factor(epoch: &EpochReport) -> Option<String> {
    let factor = epoch.learning_rate_factor;
    (factor != 1.0).then(|| four_digits(factor))
}
