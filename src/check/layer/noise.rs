//! Rules of a layer's pass with noise, and of its gradients after one.

use super::{
    super::{guard, rounding},
    gradients::{input_gradient_agrees, param_gradient_agrees},
    trial::{Pass, Trial},
};
use crate::layer::Noise;
use crate::machine::linalg::matrix::filled;
use crate::machine::random::{Purpose, stream};
use crate::{MatRef, Result, Scalar};

/// Random numbers for the points of a trial.
struct Task<'a, T> {
    trial: &'a Trial<'a, T>,
    noisy: &'a dyn Noise<T>,
    /// `rows × examples`.
    noise: Vec<T>,
    rows: usize,
}

impl<'a, T: Scalar> Task<'a, T> {
    /// None for a layer without noise.
    fn of(trial: &'a Trial<'a, T>) -> Result<Option<Self>> {
        let Some(noisy) = guard("noise", || trial.layer.noise())? else { return Ok(None) };
        let rows = guard("noise_len", || noisy.noise_len())?;
        let mut noise = filled("the noise of a layer", rows.saturating_mul(trial.examples), T::zero())?;
        let mut rng = stream(trial.seed, Purpose::Probe, 0, 6);
        noise.fill_with(|| T::uniform(&mut rng));
        Ok(Some(Self { trial, noisy, noise, rows }))
    }

    /// Runs a pass over the buffers that another pass has written.
    fn run(&self, pass: &mut Pass<'_, T>, input: &[T], noise: &[T]) -> Result<()> {
        let noise = MatRef::new(noise, self.rows, input.len() / self.trial.inputs);
        self.trial.run_by("noisy_forward", pass, input, |params, input, output, cache| {
            self.noisy.noisy_forward(params, input, noise, output, cache);
        })
    }

    fn forward<'p>(&self, params: &'p [T], input: &[T], noise: &[T]) -> Result<Pass<'p, T>> {
        let mut pass = self.trial.unwritten(params, input.len() / self.trial.inputs)?;
        self.run(&mut pass, input, noise)?;
        Ok(pass)
    }

    /// The pass at the first point.
    fn first_pass(&self) -> Result<Pass<'_, T>> {
        self.forward(&self.trial.point.params, &self.trial.point.input, &self.noise)
    }

    /// Runs a pass over the buffers that passes at another input have written, with other noise and without.
    fn used_pass(&self) -> Result<Pass<'_, T>> {
        let Trial { point, examples, .. } = self.trial;
        let mut pass = self.trial.unwritten(&point.params, *examples)?;
        let elsewhere: Vec<T> = point.input.iter().map(|&x| T::of(0.5) - x).collect();
        let other: Vec<T> = self.noise.iter().rev().copied().collect();
        self.run(&mut pass, &elsewhere, &other)?;
        self.trial.run(&mut pass, &elsewhere)?;
        self.run(&mut pass, &point.input, &self.noise)?;
        Ok(pass)
    }

    /// The gradients by input and by parameters, one after the other.
    fn gradients(&self, pass: &mut Pass<'_, T>) -> Result<Vec<T>> {
        let [c, _] = &self.trial.point.cotangents;
        Ok([self.trial.input_gradient(pass, c)?, self.trial.param_gradient(pass, c)?].concat())
    }
}

pub(super) fn noise_len_stays_the_same<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let again = guard("noise", || trial.layer.noise().map(Noise::noise_len))?;
    trial.subject.count("noise_len, asked again", task.rows, again.unwrap_or_default())
}

pub(super) fn noisy_forward_overwrites<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    trial.subject.finite("output of noisy_forward into buffers full of NaN", &task.first_pass()?.output)
}

pub(super) fn noisy_forward_repeats<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let (expected, found) = (task.first_pass()?, task.used_pass()?);
    trial.subject.same("output of noisy_forward into used buffers", &expected.output, &found.output)
}

pub(super) fn noisy_forward_ignores_other_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let together = task.first_pass()?.output;
    for j in 0..trial.examples {
        let (input, noise) = (trial.column(&trial.point.input, trial.inputs, j), j * task.rows..(j + 1) * task.rows);
        let alone = task.forward(&trial.point.params, input, task.noise.get(noise).unwrap_or_default())?.output;
        let what = format!("output of example {j} with noise in a batch, against the example alone");
        trial.subject.close(&what, &alone, trial.column(&together, trial.outputs, j), rounding(&together))?;
    }
    Ok(())
}

pub(super) fn noisy_forward_far_out_is_no_nan<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let far: Vec<T> = trial.point.input.iter().map(|&x| T::of(1e3) * x).collect();
    let pass = task.forward(&trial.point.params, &far, &task.noise)?;
    trial.subject.no_nan("output of noisy_forward for inputs in the thousands", &pass.output)
}

pub(super) fn noisy_gradients_overwrite<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let found = task.gradients(&mut task.first_pass()?)?;
    trial.subject.finite("gradients after noisy_forward into buffers full of NaN", &found)
}

pub(super) fn noisy_gradients_repeat<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let expected = task.gradients(&mut task.first_pass()?)?;
    let mut pass = task.used_pass()?;
    for what in ["gradients after noisy_forward into used buffers", "the same gradients, asked again"] {
        trial.subject.same(what, &expected, &task.gradients(&mut pass)?)?;
    }
    Ok(())
}

pub(super) fn noisy_input_gradient_agrees_with_differences<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    input_gradient_agrees(trial, |params, input| task.forward(params, input, &task.noise))
}

pub(super) fn noisy_param_gradient_agrees_with_differences<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    param_gradient_agrees(trial, |params, input| task.forward(params, input, &task.noise))
}

pub(super) fn noise_leaves_the_plain_pass<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(task) = Task::of(trial)? else { return Ok(()) };
    let mut pass = task.first_pass()?;
    task.gradients(&mut pass)?;
    trial.run(&mut pass, &trial.point.input)?;
    let mut plain = trial.first_pass()?;
    trial.subject.same("output of forward after noisy_forward", &plain.output, &pass.output)?;
    let (expected, found) = (task.gradients(&mut plain)?, task.gradients(&mut pass)?);
    trial.subject.same("gradients of a plain pass after one with noise", &expected, &found)
}
