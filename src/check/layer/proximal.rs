//! Rules of a layer's proximal operator: no point that is tried may be better than its solution.

use super::{
    super::{gaussian, guard, loose, nans, rounding},
    trial::Trial,
};
use crate::layer::Proximal;
use crate::machine::linalg::sum_zip;
use crate::machine::random::{Purpose, stream};
use crate::{MatMut, Result, Scalar};

const WEIGHT: f64 = 0.3;
/// Distances at which lower points are looked for.
const AROUND: [f64; 5] = [1e-3, 1e-2, 0.1, 1.0, 4.0];

/// An output to be explained at the first point of a trial.
struct Task<'a, T> {
    trial: &'a Trial<'a, T>,
    proximal: &'a dyn Proximal<T>,
    target: Vec<T>,
}

impl<'a, T: Scalar> Task<'a, T> {
    /// None for a layer without a proximal operator.
    fn of(trial: &'a Trial<'a, T>) -> Result<Option<Self>> {
        let Some(proximal) = guard("proximal", || trial.layer.proximal())? else { return Ok(None) };
        let [noise, _] = &trial.point.cotangents;
        let target = trial.first_pass()?.output.iter().zip(noise).map(|(&y, &noise)| y + noise).collect();
        Ok(Some(Self { trial, proximal, target }))
    }

    fn prepare(&self, mut work: Vec<f64>) -> Result<Vec<T>> {
        let mut prepared = nans(guard("prepared_len of the proximal operator", || self.proximal.prepared_len())?)?;
        let (params, weight) = (&self.trial.point.params, T::of(WEIGHT));
        guard("prepare of the proximal operator", || self.proximal.prepare(params, weight, &mut prepared, &mut work))??;
        Ok(prepared)
    }

    fn solve(&self, prepared: &[T], near: &[T], target: &[T]) -> Result<Vec<T>> {
        let (mut z, mut target) = (near.to_vec(), target.to_vec());
        let (inputs, outputs) = (self.trial.inputs, self.trial.outputs);
        let examples = near.len() / inputs;
        guard("solve of the proximal operator", || {
            let (target, z) = (MatMut::new(&mut target, outputs, examples), MatMut::new(&mut z, inputs, examples));
            self.proximal.solve(&self.trial.point.params, prepared, T::of(WEIGHT), target, z);
        })?;
        Ok(z)
    }

    /// ½‖target − f(z; θ)‖² + (weight/2)‖z − near‖² of every example.
    fn objective(&self, z: &[T]) -> Result<Vec<f64>> {
        let Trial { inputs, outputs, .. } = *self.trial;
        let output = self.trial.forward(&self.trial.point.params, z)?.output;
        let square = |a: &[T], b: &[T]| sum_zip(a, b, |a, b| (a - b) * (a - b)).to_f64();
        let missed = output.chunks_exact(outputs).zip(self.target.chunks_exact(outputs)).map(|(y, t)| square(y, t));
        let moved = z.chunks_exact(inputs).zip(self.trial.point.input.chunks_exact(inputs)).map(|(z, n)| square(z, n));
        Ok(missed.zip(moved).map(|(missed, moved)| 0.5 * (missed + WEIGHT * moved)).collect())
    }

    fn solution(&self) -> Result<Vec<T>> {
        self.solve(&self.prepare(Vec::new())?, &self.trial.point.input, &self.target)
    }

    /// No example of the solution is higher than at the other points.
    fn no_worse(&self, what: &str, least: &[f64], there: &[T]) -> Result<()> {
        for (j, (found, bound)) in least.iter().zip(self.objective(there)?).enumerate() {
            let no_worse = *found <= bound + loose::<T>() * (1.0 + bound);
            if !no_worse {
                let what = format!("the objective of example {j} at the solution, against {what}");
                return Err(self.trial.subject.breach(what, bound, *found));
            }
        }
        Ok(())
    }
}

pub(super) fn proximal_repeats<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let prepared = task.prepare(Vec::new())?;
    trial.subject.finite("what is prepared, into a buffer full of NaN", &prepared)?;
    let again = task.prepare(vec![f64::NAN; 7 + prepared.len()])?;
    trial.subject.same("what is prepared with scratch full of NaN", &prepared, &again)?;
    let z = task.solution()?;
    trial.subject.finite("input found by the proximal operator", &z)?;
    trial.subject.same("input found by the proximal operator, asked again", &z, &task.solution()?)
}

pub(super) fn proximal_ignores_other_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let (prepared, together) = (task.prepare(Vec::new())?, task.solution()?);
    for j in 0..trial.examples {
        let near = trial.column(&trial.point.input, trial.inputs, j);
        let alone = task.solve(&prepared, near, trial.column(&task.target, trial.outputs, j))?;
        let what = format!("input found for example {j} in a batch, against the example alone");
        let found = trial.column(&together, trial.inputs, j);
        trial.subject.close(&what, &alone, found, rounding(&together))?;
    }
    Ok(())
}

pub(super) fn proximal_is_no_worse_than_its_start<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let least = task.objective(&task.solution()?)?;
    task.no_worse("where it began", &least, &trial.point.input)
}

pub(super) fn proximal_is_no_worse_than_other_points<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let z = task.solution()?;
    let least = task.objective(&z)?;
    let mut rng = stream(trial.seed, Purpose::Probe, 0, 5);
    for distance in AROUND {
        for _ in 0..4 {
            let way = gaussian::<T>(z.len(), &mut rng);
            let there: Vec<T> = z.iter().zip(way).map(|(&z, w)| z + T::of(distance) * w).collect();
            task.no_worse("a point near it", &least, &there)?;
        }
    }
    Ok(())
}
