//! The report of a fit as a table of its epochs.

use std::fmt;
use std::time::Duration;

use crate::network::isometry::Restart;
use crate::observer::Monitor;
use crate::train::epoch::{EpochReport, StopReason, rate_factor};
use crate::train::finish::Refit;
use crate::{Warning, table};

/// The report of a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct FitReport {
    /// One entry for each epoch.
    pub epochs: Vec<EpochReport>,
    /// Why the fit ended.
    pub stop: StopReason,
    /// The new start of the hidden layers before the first epoch, if the first fit of a network found that its signal did not pass.
    pub restart: Option<Restart>,
    /// The losses before and after the refit of the last layer, for a method with a [finish](crate::Method::finish).
    pub refit: Option<Refit>,
    /// Warnings, each kind once (sizes of features once for inputs and once for targets); empty when all is well.
    pub warnings: Vec<Warning>,
}

impl FitReport {
    /// Returns the training time of all epochs, without validation and other measurements after them.
    pub fn time(&self) -> Duration {
        self.epochs.iter().map(|e| e.time).sum()
    }

    /// Returns the last epoch.
    pub fn last(&self) -> Option<&EpochReport> {
        self.epochs.last()
    }

    /// Returns the epoch of the lowest [loss](Monitor::Loss), on the validation data if there are any, else in training; the first of
    /// equal ones. A NaN is never best.
    pub fn best(&self) -> Option<&EpochReport> {
        let loss = |epoch: &EpochReport| Monitor::Loss.value(epoch).filter(|loss| !loss.is_nan());
        let losses = self.epochs.iter().filter_map(|epoch| Some((loss(epoch)?, epoch)));
        losses.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, epoch)| epoch)
    }
}

/// Most epochs in a table, without the last.
const ROWS: usize = 20;

/// A column: its head, and its cell for an epoch.
type Column = (&'static str, fn(&EpochReport) -> Option<String>);

const COLUMNS: [Column; 8] = [
    ("epoch", |epoch| Some(epoch.epoch.to_string())),
    ("energy", |epoch| Some(format!("{:.4e}", epoch.energy))),
    ("loss", |epoch| Some(format!("{:.4e}", epoch.train_loss))),
    ("score", |epoch| epoch.train_score.map(|score| format!("{score:.4}"))),
    ("validation loss", |epoch| epoch.validation.map(|scores| format!("{:.4e}", scores.loss))),
    ("validation score", |epoch| epoch.validation?.score.map(|score| format!("{score:.4}"))),
    ("rate factor", rate_factor),
    ("time", |epoch| Some(format!("{:.2} s", epoch.time.as_secs_f64()))),
];

impl fmt::Display for FitReport {
    /// Writes a table of the epochs (of many, a few and the last), then why the fit ended, the losses of a refit, and the warnings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.epochs.len().div_ceil(ROWS).max(1);
        let last = self.epochs.len().saturating_sub(1);
        let shown = self.epochs.iter().enumerate().filter(|(i, _)| i % step == 0 || *i == last);
        let shown: Vec<&EpochReport> = shown.map(|(_, epoch)| epoch).collect();
        let columns: Vec<_> =
            COLUMNS.iter().filter(|(_, cell)| shown.iter().any(|epoch| cell(epoch).is_some())).collect();
        let head = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let rows = shown.iter().map(|epoch| columns.iter().map(|(_, cell)| cell(epoch).unwrap_or_default()).collect());
        writeln!(f, "{}", table::aligned(&[head].into_iter().chain(rows).collect::<Vec<_>>()))?;
        write!(f, "{} after {:.2} s", self.stop, self.time().as_secs_f64())?;
        if let Some(restart) = self.restart {
            write!(f, "\n{restart}")?;
        }
        if let Some(refit) = self.refit {
            write!(f, "\nrefit of the last layer: loss {:.4e}, before {:.4e}", refit.after, refit.before)?;
        }
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}
