use std::fmt;

use super::{EpochReport, FitReport, StopReason};
use crate::table;

/// Epochs that a table has at most, but for the last.
const ROWS: usize = 20;

/// A column: its head, and what an epoch has to say there.
type Column = (&'static str, fn(&EpochReport) -> Option<String>);

const COLUMNS: [Column; 7] = [
    ("epoch", |epoch| Some(epoch.epoch.to_string())),
    ("energy", |epoch| Some(format!("{:.4e}", epoch.energy))),
    ("loss", |epoch| Some(format!("{:.4e}", epoch.train_loss))),
    ("score", |epoch| epoch.train_score.map(|score| format!("{score:.4}"))),
    ("validation loss", |epoch| epoch.validation.map(|scores| format!("{:.4e}", scores.loss))),
    ("validation score", |epoch| epoch.validation?.score.map(|score| format!("{score:.4}"))),
    ("time", |epoch| Some(format!("{:.2} s", epoch.time.as_secs_f64()))),
];

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Epochs => "all epochs are done",
            Self::Observer => "an observer ended it",
            Self::EarlyStopping => "stopped early",
        })
    }
}

impl fmt::Display for FitReport {
    /// A table of the epochs, of many a few and the last; then why it ended, what a refit brought, and the warnings.
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
        if let Some(refit) = self.refit {
            write!(f, "\nrefit of the last layer: loss {:.4e}, before {:.4e}", refit.after, refit.before)?;
        }
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}
