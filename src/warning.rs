use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;

use crate::method::Method;
use crate::parallel::guarded;
use crate::start::Start;
use crate::{EpochReport, Layer, Result, Scalar, Timing};

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
    /// Gradients are asked for where there are none: these layers hold something that is constant but for jumps
    /// ([`Layer::has_derivative`]). Parameters below a jump get gradient zero and stay as they are.
    NoDerivative {
        /// The layers, counted from 0 at the input.
        layers: Vec<usize>,
    },
}

impl Warning {
    /// Of layers without a derivative, those at or above parameters.
    ///
    /// # Errors
    /// [`Error::Panicked`](crate::Error::Panicked) when a layer panics.
    pub(crate) fn no_derivative<T: Scalar>(layers: &[Arc<dyn Layer<T>>]) -> Result<Option<Self>> {
        let (mut found, mut parameters) = (Vec::new(), 0);
        for (t, layer) in layers.iter().enumerate() {
            parameters += layer.param_len();
            if !guarded("has_derivative", t, || layer.has_derivative())? && parameters > 0 {
                found.push(t);
            }
        }
        Ok(Some(found).filter(|layers| !layers.is_empty()).map(|layers| Self::NoDerivative { layers }))
    }

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
        let descends = method.start == Start::Anchored
            && method.parameter.timing != Timing::EveryStep
            && method.coupling.multipliers.is_none();
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
            Self::NoDerivative { layers } => write!(
                f,
                "layers {layers:?} are constant but for jumps: every parameter below a jump gets gradient zero and stays as it is; \
                 Elementwise::straight_through puts a derivative of its own in place of the one that is missing"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// An epoch for each (energy, forward loss).
    fn history(ends: &[(f64, f64)]) -> Vec<EpochReport> {
        let report = |&(energy, train_loss): &(f64, f64)| EpochReport {
            epoch: 1,
            energy,
            train_loss,
            train_score: None,
            validation: None,
            residuals: Vec::new(),
            curvature: None,
            stability_margin: None,
            penalty_factor: 1.0,
            update_norms: Vec::new(),
            time: Duration::ZERO,
        };
        ends.iter().map(report).collect()
    }

    #[test]
    fn energy_and_loss_part_at_nine_tenths_and_three_halves_of_the_best_epoch() {
        let parts = |ends: &[(f64, f64)]| Warning::part(&history(ends)).is_some();
        assert!(parts(&[(1.0, 1.0), (0.89, 1.51)]));
        assert!(!parts(&[(1.0, 1.0), (0.91, 1.51)]));
        assert!(!parts(&[(1.0, 1.0), (0.89, 1.49)]));
        // Not while the energy has been lower.
        assert!(!parts(&[(1.0, 1.0), (0.5, 2.0), (0.89, 2.0)]));
        assert!(parts(&[(2.0, 3.0), (1.0, 1.0), (0.89, 1.51)]));
    }

    #[test]
    fn steps_overshoot_at_eleven_tenths_of_the_loss_or_a_hundred_times_the_lowest_energy() {
        let anchored = Method::<f64>::predictive_coding(3, 0.1);
        let over = |method: &Method<f64>, ends: &[(f64, f64)]| Warning::overshoot(method, &history(ends)).is_some();
        assert!(over(&anchored, &[(1.11, 1.0)]));
        assert!(!over(&anchored, &[(1.09, 1.0)]));
        assert!(!over(&Method::joint(0.1), &[(1.11, 1.0)]));
        assert!(over(&Method::joint(0.1), &[(2.0, 1.0), (1.0, 1.0), (101.0, 1.0)]));
        assert!(!over(&Method::joint(0.1), &[(2.0, 1.0), (1.0, 1.0), (99.0, 1.0)]));
    }

    #[test]
    fn each_kind_is_told_once() {
        let mut found = Vec::new();
        let past = history(&[(2.0, 1.0), (3.0, 1.0)]);
        for epochs in 1..=2 {
            Warning::look(&Method::<f64>::predictive_coding(1, 0.1), 4, &past[..epochs], &mut found);
        }
        assert_eq!(found, [Warning::Overshoot { epoch: 1, energy: 2.0 }, Warning::OutOfReach { layers: 2 }]);
    }
}
