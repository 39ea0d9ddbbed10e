//! Rules of an activation step: where it may write, that it repeats, and that the energy does not rise.

use super::{EXAMPLES, Trial};
use crate::check::guard;
use crate::method::block::Block;
use crate::{Result, Scalar};

impl<T: Scalar> Trial<'_, T> {
    /// Relaxes a copy of the block.
    fn relaxed(&self) -> Result<Block<T>> {
        self.relax(self.block.clone())
    }

    fn relax(&self, mut block: Block<T>) -> Result<Block<T>> {
        guard("relax", || self.step.relax(&self.network.objective(), &mut block))??;
        Ok(block)
    }

    /// Copies these examples of the block to a new one.
    fn part(&self, examples: std::ops::Range<usize>) -> Block<T> {
        let mut part = self.network.objective().block(examples.len());
        for t in 0..=self.network.depth() {
            let columns = part.stored_mut(t).chunks_exact_mut(self.block.stored(t).rows());
            columns.zip(examples.clone()).for_each(|(to, i)| to.copy_from_slice(self.block.stored(t).column(i)));
        }
        part
    }
}

pub(super) fn groups_are_of_hidden_activations<T: Scalar>(trial: &mut Trial<'_, T>) -> Result<()> {
    let depth = trial.network.depth();
    let (steps, groups) = guard("groups", || (trial.step.steps(depth), trial.step.groups(depth)))?;
    if steps == 0 {
        return Err(trial.subject.breach("steps of a visit are at least 1", 1.0, 0.0));
    }
    let mut members = groups.iter().flat_map(crate::method::block::Group::members);
    match members.find(|t| !(1..depth).contains(t)) {
        Some(0) => Err(trial.subject.breach("the lowest activation that may move", 1.0, 0.0)),
        Some(t) => Err(trial.subject.breach("the highest activation that may move", (depth - 1) as f64, t as f64)),
        None => Ok(()),
    }
}

pub(super) fn ends_stay<T: Scalar>(trial: &mut Trial<'_, T>) -> Result<()> {
    let after = trial.relaxed()?;
    for (what, t) in [("the input", 0), ("the target", trial.network.depth())] {
        trial.subject.same(what, trial.block.stored(t).as_slice(), after.stored(t).as_slice())?;
    }
    Ok(())
}

pub(super) fn activations_are_finite<T: Scalar>(trial: &mut Trial<'_, T>) -> Result<()> {
    let after = trial.relaxed()?;
    (1..trial.network.depth()).try_for_each(|t| trial.subject.finite(&format!("z_{t}"), after.stored(t).as_slice()))
}

pub(super) fn relaxations_repeat<T: Scalar>(trial: &mut Trial<'_, T>) -> Result<()> {
    let (once, again) = (trial.relaxed()?, trial.relaxed()?);
    let same = |t| trial.subject.same(&format!("z_{t}"), once.stored(t).as_slice(), again.stored(t).as_slice());
    (1..trial.network.depth()).try_for_each(same)
}

pub(super) fn examples_stay_apart<T: Scalar>(trial: &mut Trial<'_, T>) -> Result<()> {
    let whole = trial.relaxed()?;
    for cut in 1..EXAMPLES {
        let (low, high) = (trial.relax(trial.part(0..cut))?, trial.relax(trial.part(cut..EXAMPLES))?);
        for t in 1..trial.network.depth() {
            let parts = [low.stored(t).as_slice(), high.stored(t).as_slice()].concat();
            // How a product is rounded may depend on the number of its columns.
            let tolerance = 100.0 * T::default_epsilon().to_f64();
            let what = format!("z_{t} of examples that are cut after the first {cut}");
            trial.subject.close(&what, whole.stored(t).as_slice(), &parts, tolerance)?;
        }
    }
    Ok(())
}

pub(super) fn streams_read_neighbours<T: Scalar>(trial: &mut Trial<'_, T>) -> Result<()> {
    let depth = trial.network.depth();
    if !trial.step.streams() {
        return Ok(());
    }
    let objective = trial.network.objective();
    let (mut memory, mut prepared) = Default::default();
    for group in trial.step.groups(depth) {
        let members: Vec<usize> = group.members().collect();
        let [t] = members[..] else {
            return Err(trial.subject.breach(
                "activations in a group of a step that streams",
                1.0,
                members.len() as f64,
            ));
        };
        guard("prepare", || trial.step.prepare(&objective, &group, &mut prepared))??;
        let mut moved = trial.block.clone();
        let far = (0..=depth).filter(|other| other.abs_diff(t) > 1);
        far.for_each(|other| moved.stored_mut(other).iter_mut().for_each(|z| *z += T::one()));
        let mut there = trial.block.clone();
        for block in [&mut there, &mut moved] {
            guard("step", || trial.step.step(&objective, block, &group, &prepared, &mut memory))??;
        }
        trial.subject.same(&format!("z_{t}"), there.stored(t).as_slice(), moved.stored(t).as_slice())?;
    }
    Ok(())
}

pub(super) fn energy_does_not_rise<T: Scalar>(trial: &mut Trial<'_, T>) -> Result<()> {
    let mut after = trial.relaxed()?;
    let objective = trial.network.objective();
    let (before, after) = (objective.energy(&mut trial.block)?.to_f64(), objective.energy(&mut after)?.to_f64());
    // False for NaN.
    let falls = after <= before * (1.0 + 100.0 * T::default_epsilon().to_f64());
    if falls { Ok(()) } else { Err(trial.subject.breach("the energy does not rise", before, after)) }
}
