//! Rules of an optimizer's steps and state.

use super::{super::guard, trial::Trial};
use crate::machine::linalg::sum_zip;
use crate::{Result, Scalar};

/// Steps within which a parabola must be descended.
const STEPS: u64 = 2000;

pub(super) fn slots_stay_the_same<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    trial.subject.count("slots, asked again", trial.slots, guard("slots", || trial.optimizer.slots())?)
}

pub(super) fn steps_are_finite<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    trial.subject.finite("parameters after steps", &trial.run(1.0)?.params)
}

pub(super) fn state_stays_finite<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    trial.subject.finite("state after steps", &trial.run(1.0)?.state)
}

pub(super) fn zero_gradients_are_survived<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let mut run = trial.begin()?;
    run.step(1.0, &vec![T::zero(); trial.start.len()])?;
    trial.subject.finite("parameters after a step along zeros", &run.params)?;
    trial.subject.finite("state after a step along zeros", &run.state)
}

pub(super) fn steps_repeat<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [first, again] = [trial.run(1.0)?, trial.run(1.0)?];
    trial.subject.same("parameters after the same steps", &first.params, &again.params)
}

pub(super) fn state_repeats<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [first, again] = [trial.run(1.0)?, trial.run(1.0)?];
    trial.subject.same("state after the same steps", &first.state, &again.state)
}

/// Goes on from a copy: as another network, or one that was saved.
pub(super) fn state_may_be_moved<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let mut here = trial.run(1.0)?;
    let mut there = here.clone();
    let [grad, ..] = &trial.gradients;
    here.step(1.0, grad)?;
    there.step(1.0, grad)?;
    trial.subject.same("parameters after a step from a copy of the state", &here.params, &there.params)
}

/// The number of a step comes with it, and what others did is none of its business.
pub(super) fn steps_leave_no_trace<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [grad, ..] = &trial.gradients;
    let before = trial.run(1.0)?;
    let mut elsewhere = trial.begin()?;
    elsewhere.number = 1_000_000;
    elsewhere.step(1.0, grad)?;
    let after = trial.run(1.0)?;
    trial.subject.same("parameters, after a late step elsewhere", &before.params, &after.params)
}

pub(super) fn rate_zero_keeps_the_parameters<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    trial.subject.same("parameters after steps at rate 0", &trial.start, &trial.run(0.0)?.params)
}

pub(super) fn small_rates_move_less<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [grad, ..] = &trial.gradients;
    let moved = |rate| {
        let mut run = trial.begin()?;
        run.step(rate, grad)?;
        Ok(sum_zip(&run.params, &trial.start, |a, b| (a - b) * (a - b)).to_f64().sqrt())
    };
    let (whole, little) = (moved(1.0)?, moved(1e-2)?);
    let less = little < whole;
    if less { Ok(()) } else { Err(trial.subject.breach("a step at rate 0.01 is shorter than at 1", whole, little)) }
}

pub(super) fn elementwise_updates_divide<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    if !guard("is_elementwise", || trial.optimizer.is_elementwise())? {
        return Ok(());
    }
    let middle = trial.start.len() / 2;
    let (left, right) = trial.start.split_at(middle);
    let (mut left, mut right) = (trial.begin_at(left)?, trial.begin_at(right)?);
    for grad in &trial.gradients {
        let (of_left, of_right) = grad.split_at(middle);
        left.step(1.0, of_left)?;
        right.step(1.0, of_right)?;
    }
    let parts = [left.params, right.params].concat();
    let whole = trial.run(1.0)?.params;
    trial.subject.same("parameters of an elementwise rule, updated in two parts", &whole, &parts)
}

pub(super) fn parabola_is_descended<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let start = &trial.start;
    let mut stuck = (0, 0.0);
    for rate in [1.0, 1e-3, 1e-6] {
        let mut run = trial.begin()?;
        let mut came_closer = vec![false; start.len()];
        for _ in 0..STEPS {
            let grad = run.params.clone();
            run.step(rate, &grad)?;
            for ((closer, p), s) in came_closer.iter_mut().zip(&run.params).zip(start) {
                *closer |= p.abs() < s.abs();
            }
            match came_closer.iter().zip(start).enumerate().find(|(_, (closer, _))| !**closer) {
                Some((i, (_, began))) => stuck = (i, began.to_f64()),
                None => return Ok(()),
            }
        }
    }
    let (stuck, began) = stuck;
    let what = format!("parameter {stuck} comes closer to the minimum of a parabola than it began");
    Err(trial.subject.breach(what, 0.0, began))
}
