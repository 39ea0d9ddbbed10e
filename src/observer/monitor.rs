//! Which number of an epoch an observer judges by, and in which direction.

use super::Plan;
use crate::error::require;
use crate::{EpochReport, Error, Result};

/// A number of every epoch to judge it by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Monitor {
    /// The validation loss if epochs are validated, else the training loss.
    #[default]
    Loss,
    /// [`EpochReport::train_loss`].
    TrainLoss,
    /// The loss on the validation data.
    ValidationLoss,
    /// [`EpochReport::train_score`].
    TrainScore,
    /// The score on the validation data.
    ValidationScore,
}

/// Whether less or more of a number is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mode {
    /// Less.
    Min,
    /// More.
    Max,
}

impl Monitor {
    /// The number of this epoch; none where it was not measured.
    pub fn value(self, report: &EpochReport) -> Option<f64> {
        match self {
            Self::Loss => Some(report.validation.map_or(report.train_loss, |scores| scores.loss)),
            Self::TrainLoss => Some(report.train_loss),
            Self::ValidationLoss => report.validation.map(|scores| scores.loss),
            Self::TrainScore => report.train_score,
            Self::ValidationScore => report.validation.and_then(|scores| scores.score),
        }
    }

    /// Returns the number if less is better, else its negative; and back. Without a mode more of a score is better.
    pub(super) fn cost(self, mode: Option<Mode>, value: f64) -> f64 {
        let by_default = if self.is_score() { Mode::Max } else { Mode::Min };
        match mode.unwrap_or(by_default) {
            Mode::Min => value,
            Mode::Max => -value,
        }
    }

    /// Whether it is a score.
    fn is_score(self) -> bool {
        matches!(self, Self::TrainScore | Self::ValidationScore)
    }

    /// # Errors
    /// [`Error::Unsupported`] where the fit does not measure it.
    pub(super) fn check(self, plan: &Plan) -> Result<()> {
        let validation = matches!(self, Self::ValidationLoss | Self::ValidationScore);
        if validation && !plan.has_validation {
            let (what, why) = (
                "monitoring the validation",
                "there is none; give FitConfig::validation or FitConfig::validation_fraction",
            );
            return Err(Error::Unsupported { what, why });
        }
        if self.is_score() && !plan.has_score {
            let (what, why) = (
                "monitoring the score",
                "there is none for real-valued targets; give class labels, multi-label data or FitConfig::metric",
            );
            return Err(Error::Unsupported { what, why });
        }
        Ok(())
    }
}

/// A whole number of an observer's state.
///
/// # Errors
/// [`Error::HyperParameter`] with this name.
pub(super) fn count(name: &'static str, value: f64) -> Result<usize> {
    /// 2^53: below it every whole number is a number of the state.
    const MOST: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;

    let whole = (0.0..MOST).contains(&value) && value.fract() == 0.0;
    require(whole, name, "a whole number below 2^53", value)?;
    Ok(value as usize)
}
