//! Warnings about settings before a fit, and about its epochs afterwards.

use std::mem::discriminant;
use std::sync::Arc;

use super::{Baseline, Warning};
use crate::loss::Outputs;
use crate::machine::parallel::guarded;
use crate::method::Method;
use crate::method::block::Reads;
use crate::method::parameter_step::Timing;
use crate::method::schedule::Reach;
use crate::method::start::Start;
use crate::{DecoupledNetwork, EpochReport, Layer, Result, Scalar};

/// Parameter updates before a network is said to have learned nothing, and the share of the constant's loss by which it must be
/// better: noise that is fitted a little is nothing, too.
const UPDATES: u64 = 20;
const MARGIN: f64 = 1e-3;
/// Data whose loss is below this share of the best constant's are fitted.
const FITTED: f64 = 0.01;

impl Warning {
    /// Of layers without a derivative, those through which a gradient is asked for: by backpropagation, which is no method, that
    /// of any parameters at or below; by a method that of its own, if its solver is an optimizer, and that of what is stored
    /// below, if the activation steps are not exact.
    ///
    /// # Errors
    /// [`Error::Panicked`](crate::Error::Panicked) when a layer panics.
    pub(crate) fn no_derivative<T: Scalar>(
        layers: &[Arc<dyn Layer<T>>],
        moves: &[bool],
        method: Option<&Method<T>>,
    ) -> Result<Option<Self>> {
        let exact = method.is_some_and(|method| method.activation.streams());
        let (mut found, mut below) = (Vec::new(), false);
        for (t, (layer, &own)) in layers.iter().zip(moves).enumerate() {
            let by_gradient = method.is_none_or(|method| method.parameter.by_gradient(t));
            let asked = own && by_gradient || below && !exact;
            if asked && !guarded("has_derivative", t, || layer.has_derivative())? {
                found.push(t);
            }
            below |= own;
        }
        Ok(Some(found).filter(|layers| !layers.is_empty()).map(|layers| Self::NoDerivative { layers }))
    }

    /// Where a network's loss reads logits, and its last layer does not give all numbers.
    ///
    /// # Errors
    /// [`Error::Panicked`](crate::Error::Panicked) when the layer panics.
    pub(crate) fn bounded_logits<T: Scalar>(network: &DecoupledNetwork<T>) -> Result<Option<Self>> {
        let last = network.layers.last().filter(|_| network.decision.outputs != Outputs::Numbers);
        let Some(layer) = last else { return Ok(None) };
        let (least, most) = guarded("output_range", network.depth() - 1, || layer.output_range())?;
        let bounded = least > f64::NEG_INFINITY || most < f64::INFINITY;
        Ok(bounded.then_some(Self::BoundedLogits { least, most }))
    }

    /// Whether the network has learned nothing in a fit with this history.
    pub(crate) fn learned_nothing<T: Scalar>(
        network: &DecoupledNetwork<T>,
        history: &[EpochReport],
        baseline: &Baseline<'_, T>,
    ) -> Option<Self> {
        let last = history.last().filter(|_| network.updates() >= UPDATES)?;
        let constant_loss = baseline.constant_loss()?;
        let train_loss = baseline.loss_of(network).unwrap_or(last.train_loss);
        let nothing = train_loss >= constant_loss - MARGIN * constant_loss.abs();
        let epoch = last.epoch;
        let still = history.iter().all(|epoch| epoch.update_norms.iter().all(|&norm| norm == 0.0));
        let found =
            if still { Self::StoodStill { epoch } } else { Self::LearnedNothing { epoch, train_loss, constant_loss } };
        nothing.then_some(found)
    }

    /// Adds what the history gives reason to after its last epoch, each kind once. `moves` says of each layer whether it has
    /// parameters that are not frozen.
    pub(crate) fn of_history<T: Scalar>(
        method: Option<&Method<T>>,
        (moves, widths): (&[bool], &[usize]),
        history: &[EpochReport],
        constant_loss: &dyn Fn() -> Option<f64>,
        found: &mut Vec<Self>,
    ) {
        let dead = Self::dead(widths, history);
        // No signal fades on its way through dead units: it ends there.
        let jumps = dead.is_some() || found.iter().any(|warning| matches!(warning, Self::NoDerivative { .. }));
        // Data that are fitted leave no error to hand down.
        let train_loss = history.last().map_or(f64::INFINITY, |epoch| epoch.train_loss);
        let fitted = || constant_loss().is_some_and(|constant| train_loss <= FITTED * constant);
        let others = method.map(|method| Self::of_method(method, (moves, jumps), history, &fitted));
        for warning in dead.into_iter().chain(others.into_iter().flatten().flatten()) {
            if !found.iter().any(|old| discriminant(old) == discriminant(&warning)) {
                found.push(warning);
            }
        }
    }

    /// What training without backpropagation gives reason to; no signal is said to fade where `jumps` end it.
    fn of_method<T: Scalar>(
        method: &Method<T>,
        (moves, jumps): (&[bool], bool),
        history: &[EpochReport],
        fitted: &dyn Fn() -> bool,
    ) -> [Option<Self>; 5] {
        let Reach { unseen, unreached, visits } = method.reach(moves.len());
        let arrived = history.len() >= visits;
        let forward = method.start == Start::Anchored && method.parameter.reads == Reads::Forward;
        // With multipliers the energy is a Lagrangian: it may be negative, and high is not bad.
        let penalties = method.coupling.multipliers.is_none();
        let learns = |layers: usize| moves.iter().take(layers).any(|&moves| moves);
        [
            // A bank that begins at the forward pass, and that no layer learns to read, has nothing to cheat with.
            Self::part(history).filter(|_| penalties && !forward),
            Self::overshoot(method, history).filter(|_| penalties),
            // Frozen layers and those without parameters are not expected to learn.
            Some(unreached).filter(|&layers| learns(layers)).map(|layers| Self::OutOfReach { layers }),
            // Where no gradient goes through, none fades, and one that is still on its way has not faded.
            Self::faded(moves, history, (unreached, unseen))
                .filter(|&layers| learns(layers) && arrived && !jumps && !fitted())
                .map(|layers| Self::SignalFades { layers }),
            // The measurement starts from a forward pass; it applies only to methods that do, too.
            Self::turned(history).filter(|_| method.start == Start::Anchored),
        ]
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

    fn dead(widths: &[usize], history: &[EpochReport]) -> Option<Self> {
        let now = history.last()?;
        let layers = now.dead_units.iter().zip(widths).enumerate();
        let (at, (&dead, _)) = layers
            .filter(|(_, (dead, width))| 2 * **dead >= **width)
            .max_by(|(i, a), (j, b)| (a.0 * b.1).cmp(&(b.0 * a.1)).then(j.cmp(i)))?;
        Some(Self::DeadUnits { epoch: now.epoch, layer: at + 1, dead })
    }

    fn turned(history: &[EpochReport]) -> Option<Self> {
        let now = history.last()?;
        let cosines = now.decoupling.as_ref()?.cosine.iter().copied().enumerate();
        let (layer, cosine) = cosines.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        (cosine < 0.0).then_some(Self::TurnsAway { epoch: now.epoch, layer, cosine })
    }

    fn overshoot<T: Scalar>(method: &Method<T>, history: &[EpochReport]) -> Option<Self> {
        let now = history.last()?;
        let descends = method.start == Start::Anchored && method.parameter.timing != Timing::EveryStep;
        let above = descends && now.energy > 1.1 * now.train_loss;
        let exploded = history.iter().any(|epoch| now.energy > 100.0 * epoch.energy);
        (above || exploded).then_some(Self::Overshoot { epoch: now.epoch, energy: now.energy })
    }

    /// How many layers, from the input, have hardly moved: more than no signal comes to, and more than are measured before it does.
    fn faded(moves: &[bool], history: &[EpochReport], (unreached, unseen): (usize, usize)) -> Option<usize> {
        let EpochReport { residuals, update_norms, .. } = history.last()?;
        let largest = |norms: &[f64]| norms.iter().copied().fold(0.0, f64::max);
        let count = |norms: &[f64], moves_at_all: &dyn Fn(usize) -> bool| {
            let least = 1e-6 * largest(norms);
            let still = norms.iter().enumerate().take_while(|&(t, &by)| by < least || !moves_at_all(t));
            still.map(|(t, _)| t).filter(|&t| moves_at_all(t)).last()
        };
        let (last, dark) = match largest(residuals) > 0.0 {
            true => (count(residuals, &|_| true), unseen),
            false => (count(update_norms, &|t| moves.get(t).copied().unwrap_or_default()), unreached),
        };
        last.map(|t| t + 1).filter(|&layers| layers > dark)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::diagnostics::Decoupling;

    /// An epoch for each (energy, forward loss).
    fn history(ends: &[(f64, f64)]) -> Vec<EpochReport> {
        let report = |&(energy, train_loss): &(f64, f64)| EpochReport {
            epoch: 1,
            energy,
            train_loss,
            train_score: None,
            validation: None,
            energies: Vec::new(),
            residuals: Vec::new(),
            dead_units: Vec::new(),
            staleness: None,
            curvature: None,
            stability_margin: None,
            penalty_factor: 1.0,
            learning_rate_factor: 1.0,
            update_norms: Vec::new(),
            decoupling: None,
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
    fn a_negative_lagrangian_is_no_overshoot() {
        let mut found = Vec::new();
        let moves = [true; 2];
        Warning::of_history(
            Some(&Method::<f64>::admm(0.1)),
            (&moves, &[]),
            &history(&[(0.5, 0.4), (-1e-4, 0.3)]),
            &|| None,
            &mut found,
        );
        assert_eq!(found, []);
    }

    #[test]
    fn the_signal_fades_up_to_the_highest_of_the_low_layers_that_hardly_move() {
        let faded = |residuals: &[f64], update_norms: &[f64], sizes: &[usize]| {
            let epoch = EpochReport {
                residuals: residuals.to_vec(),
                update_norms: update_norms.to_vec(),
                ..history(&[(1.0, 1.0)]).remove(0)
            };
            let moves: Vec<_> = sizes.iter().map(|&size| size > 0).collect();
            Warning::faded(&moves, &[epoch], (0, 0))
        };
        let ones = [1.0; 5];
        assert_eq!(faded(&[0.0, 0.0, 9e-8, 0.1], &ones, &[3; 5]), Some(3));
        assert_eq!(faded(&[1e-5, 0.0, 9e-8, 0.1], &ones, &[3; 5]), None);
        // Without residuals, by the parameters, where there are any.
        assert_eq!(faded(&[0.0; 4], &[0.0, 1e-9, 0.0, 0.1, 0.2], &[3, 3, 0, 3, 3]), Some(2));
        assert_eq!(faded(&[0.0; 4], &[0.1, 0.0, 0.1, 0.0, 0.2], &[3, 0, 3, 0, 3]), None);
    }

    #[test]
    fn a_signal_that_has_faded_and_come_back_has_not_faded() {
        let of = |lowest| EpochReport { residuals: vec![lowest, 0.1, 0.1], ..history(&[(1.0, 1.0)]).remove(0) };
        let faded = |lowest: [f64; 2]| Warning::faded(&[true; 4], &lowest.map(of), (0, 0));
        assert_eq!(faded([0.1, 0.0]), Some(1));
        assert_eq!(faded([0.0, 0.1]), None);
    }

    #[test]
    fn a_signal_that_is_still_on_its_way_has_not_faded() {
        // One Jacobi step a visit and three hidden layers: three visits bring it down, and a fourth shows it.
        let dark = EpochReport { residuals: vec![0.0, 0.1, 0.1], ..history(&[(1.0, 1.0)]).remove(0) };
        let moves = [true; 4];
        for epochs in 1..=5 {
            let mut found = Vec::new();
            Warning::of_history(
                Some(&Method::<f64>::joint(0.1)),
                (&moves, &[]),
                &vec![dark.clone(); epochs],
                &|| None,
                &mut found,
            );
            assert_eq!(found == [Warning::SignalFades { layers: 1 }], epochs >= 4, "{found:?} after {epochs} epochs");
        }
    }

    #[test]
    fn no_signal_fades_where_the_data_are_fitted() {
        let dark = EpochReport { residuals: vec![0.0, 0.1], ..history(&[(1.0, 1.0)]).remove(0) };
        let moves = [true; 3];
        for (constant, fades) in [(None, true), (Some(99.0), true), (Some(101.0), false)] {
            let (mut found, history) = (Vec::new(), vec![dark.clone(); 3]);
            Warning::of_history(Some(&Method::<f64>::joint(0.1)), (&moves, &[]), &history, &|| constant, &mut found);
            assert_eq!(found == [Warning::SignalFades { layers: 1 }], fades, "{found:?} with {constant:?}");
        }
    }

    #[test]
    fn half_a_layer_is_dead_and_the_largest_share_is_told_first() {
        let dead = |dead_units: &[usize]| {
            let epoch = EpochReport { dead_units: dead_units.to_vec(), ..history(&[(1.0, 1.0)]).remove(0) };
            Warning::dead(&[8, 4, 5], &[epoch])
        };
        let of = |layer, dead| Some(Warning::DeadUnits { epoch: 1, layer, dead });
        assert_eq!(dead(&[3, 1, 2]), None);
        assert_eq!(dead(&[4, 1, 2]), of(1, 4));
        assert_eq!(dead(&[4, 1, 3]), of(3, 3));
        assert_eq!(dead(&[5, 3, 3]), of(2, 3));
        // The lowest of equals.
        assert_eq!(dead(&[4, 2, 2]), of(1, 4));
        assert_eq!(dead(&[0, 4, 5]), of(2, 4));
    }

    #[test]
    fn the_layer_that_turns_away_most_is_told_and_none_that_does_not() {
        let turned = |cosine: &[f64]| {
            let decoupling = Decoupling {
                relaxed_fraction: Vec::new(),
                backprop_fraction: Vec::new(),
                cosine: cosine.to_vec(),
                curvature: 1.0,
                sequential_products: 0,
                backprop_sequential_products: 0,
                equilibrium_error: 0.0,
            };
            let epoch = EpochReport { decoupling: Some(decoupling), ..history(&[(1.0, 1.0)]).remove(0) };
            Warning::turned(&[epoch])
        };
        assert_eq!(turned(&[0.0, 0.01, 1.0]), None);
        let expected = Warning::TurnsAway { epoch: 1, layer: 2, cosine: -0.7 };
        assert_eq!(turned(&[0.2, -0.1, -0.7, 1.0]), Some(expected));
        assert_eq!(Warning::turned(&history(&[(1.0, 1.0)])), None);
    }

    #[test]
    fn each_kind_is_told_once() {
        let mut found = Vec::new();
        let moves = [true; 4];
        let past = history(&[(2.0, 1.0), (3.0, 1.0)]);
        for epochs in 1..=2 {
            Warning::of_history(
                Some(&Method::<f64>::predictive_coding(1, 0.1)),
                (&moves, &[]),
                &past[..epochs],
                &|| None,
                &mut found,
            );
        }
        assert_eq!(found, [Warning::Overshoot { epoch: 1, energy: 2.0 }, Warning::OutOfReach { layers: 2 }]);
    }
}
