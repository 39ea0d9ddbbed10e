//! The numbers of an epoch for the user, and why a fit stopped.

use std::fmt;
use std::time::Duration;

use crate::diagnostics::Decoupling;
use crate::error::four_digits;

/// The report of one epoch. Means are over examples, by their [weights](crate::Dataset::with_weights).
#[derive(Clone, Debug, PartialEq)]
pub struct EpochReport {
    /// Number of the epoch, counted from 1 over the life of the network.
    pub epoch: usize,
    /// Mean energy L(Θ, Z) over the visits, at the last point of each visit where all predictions from stored activations
    /// were available: after the activation steps when the parameter step follows them and reads stored activations, else
    /// before the last of them. For backpropagation the forward loss.
    pub energy: f64,
    /// Mean forward loss over the visits, each before its parameter step. Visits that start at persisted activations and whose
    /// parameter step reads them need no forward pass: of these, every eighth counts, and every example's first.
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
    /// Number of units in the hidden layers t = 1 .. T whose output was the same for every example of the epoch, such as a ReLU that is
    /// never above zero. Taken where the energy was measured; for backpropagation, in its forward passes. With a single example no
    /// unit counts.
    pub dead_units: Vec<usize>,
    /// Mean number of parameter updates between two visits of an example's column in the bank; none if all visits were first
    /// ones, and for backpropagation. Columns that another run stored in a file, after more updates than the network has had, are
    /// ignored.
    pub staleness: Option<f64>,
    /// Last estimate of λmax of ∂²L/∂Z² in the epoch, for a method whose activation rate follows it: the largest of at most 32
    /// examples, every hundredth visit. Over all examples, or later, it may be a few times as large. If every layer follows its own
    /// λmax ([`Sweeps::stable`](crate::method::Sweeps::stable)), this is the largest of them.
    pub curvature: Option<f64>,
    /// (2/λmax) / activation rate, with that λmax, the least of all layers: plain steps overshoot if it is below 1. A method that caps
    /// its rate keeps it above; [`decoupling`](Self::decoupling) has a λmax of more examples.
    pub stability_margin: Option<f64>,
    /// The factor on the penalties; 1 unless a schedule raised it.
    pub penalty_factor: f64,
    /// The factor of [observers](crate::Observer::learning_rate_factor) on the learning rates of the layers; 1 without them. The factors
    /// of [schedules](crate::optimizer::Scheduled) are not included.
    pub learning_rate_factor: f64,
    /// ‖θ_t − θ_t(start of the epoch)‖ for t = 0 .. T.
    pub update_norms: Vec<f64>,
    /// How decoupled the method is at the end of the epoch, with its penalties, if the fit
    /// [measures it](crate::FitConfig::measure_decoupling). The measurement starts at a forward pass; a method that keeps its activations
    /// from visit to visit trains elsewhere.
    pub decoupling: Option<Decoupling>,
    /// Training time of the epoch, without validation and other measurements after it.
    pub time: Duration,
}

impl fmt::Display for EpochReport {
    /// Writes one line of a table.
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
    /// An observer ended it.
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

/// Formats the factor of observers on the learning rates in four digits; none if it is 1.
pub(crate) fn rate_factor(epoch: &EpochReport) -> Option<String> {
    let factor = epoch.learning_rate_factor;
    // Reports without such observers leave the column out.
    (factor != 1.0).then(|| four_digits(factor))
}
