use std::fmt;
use std::mem::discriminant;

use crate::method::{Method, Start};
use crate::{EpochReport, Scalar, Timing};

/// Something that a reader of a fit's numbers should know; printed, it says what to do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The scale cheat: the energy is at its lowest, and less than 0.9 of what it was when the forward loss was at its
    /// lowest, while the forward loss is more than 1.5 times that. The bank agrees with the layers ever better, and the
    /// network gets worse.
    EnergyAndLossPart {
        /// The epoch in which it was noticed.
        epoch: usize,
        /// Mean energy then, and in the epoch of the lowest forward loss.
        energy: (f64, f64),
        /// Mean forward loss on the training data in the same epochs.
        train_loss: (f64, f64),
    },
    /// The activation steps overshoot: after steps from the forward pass the energy lies above the forward loss by more than a
    /// tenth, or it is more than a hundred times its lowest.
    Overshoot {
        /// The epoch in which it was noticed.
        epoch: usize,
        /// Mean energy then.
        energy: f64,
    },
    /// The activation steps are too few for the depth: in every visit a signal that starts at the output crosses one layer a
    /// Jacobi step, and these layers see none.
    OutOfReach {
        /// How many layers, from the input, are never trained.
        layers: usize,
    },
    /// The signal fades on its way down: these stored activations moved from their predictions by less than a millionth of what
    /// another did, relative to their size. The layers below them learn next to nothing, unless their optimizer makes up for
    /// the size of a gradient, and little even then.
    SignalFades {
        /// How many hidden layers, from the input.
        layers: usize,
    },
}

impl Warning {
    /// Adds what the history gives reason to after its last epoch, each kind once.
    pub(crate) fn look<T: Scalar>(method: &Method<T>, depth: usize, history: &[EpochReport], found: &mut Vec<Self>) {
        let new = [
            Self::part(history),
            Self::overshoot(method, history),
            Some(method.unreached(depth)).filter(|&layers| layers > 0).map(|layers| Self::OutOfReach { layers }),
            Self::fading(history),
        ];
        for warning in new.into_iter().flatten() {
            if !found.iter().any(|old| discriminant(old) == discriminant(&warning)) {
                found.push(warning);
            }
        }
    }

    fn part(history: &[EpochReport]) -> Option<Self> {
        let now = history.last()?;
        let best = history.iter().min_by(|a, b| a.train_loss.total_cmp(&b.train_loss))?;
        let lowest = history.iter().all(|epoch| now.energy <= epoch.energy);
        let part = lowest && now.energy < 0.9 * best.energy && now.train_loss > 1.5 * best.train_loss;
        part.then_some(Self::EnergyAndLossPart {
            epoch: now.epoch,
            energy: (now.energy, best.energy),
            train_loss: (now.train_loss, best.train_loss),
        })
    }

    fn overshoot<T: Scalar>(method: &Method<T>, history: &[EpochReport]) -> Option<Self> {
        let now = history.last()?;
        let descends = method.start == Start::Anchored && method.timing != Timing::EveryStep;
        let above = descends && now.energy > 1.1 * now.train_loss;
        let exploded = history.iter().any(|epoch| now.energy > 100.0 * epoch.energy);
        (above || exploded).then_some(Self::Overshoot { epoch: now.epoch, energy: now.energy })
    }

    fn fading(history: &[EpochReport]) -> Option<Self> {
        let residuals = &history.last()?.residuals;
        let largest = residuals.iter().copied().fold(0.0, f64::max);
        // Those that have not moved at all are out of reach, if they could.
        let layers = residuals.iter().filter(|&&r| r > 0.0 && r < 1e-6 * largest).count();
        (layers > 0).then_some(Self::SignalFades { layers })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnergyAndLossPart { epoch, energy, train_loss } => write!(
                f,
                "epoch {epoch}: the energy fell from {:.3e} to {:.3e} while the forward loss rose from {:.3e} to {:.3e} (scale \
                 cheat): raise the penalty, take RelativeSquaredError as hidden loss, or start anchored",
                energy.1, energy.0, train_loss.1, train_loss.0
            ),
            Self::Overshoot { epoch, energy } => write!(
                f,
                "epoch {epoch}: the activation steps overshoot, the energy is {energy:.3e}: lower the activation rate, or keep it \
                 below the stable one with Method::stable"
            ),
            Self::OutOfReach { layers } => write!(
                f,
                "the lowest {layers} layers are out of reach of the activation steps and stay as they are: take more steps, or \
                 Order::ReverseGaussSeidel"
            ),
            Self::SignalFades { layers } => write!(
                f,
                "the signal fades on its way down to the lowest {layers} hidden layers: raise the activation rate, take \
                 Order::ReverseGaussSeidel, or a shallower network"
            ),
        }
    }
}
