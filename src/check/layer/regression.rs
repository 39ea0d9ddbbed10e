//! Rules of a layer's regression: its moments, its pre-activation, and that it finds the least squares.

use super::{
    super::{gaussian, guard, loose, nans, rounding},
    trial::Trial,
};
use crate::layer::{Regression, pre_activation_rows};
use crate::machine::linalg::matrix::filled;
use crate::machine::linalg::{norm_squared, sum_zip};
use crate::machine::random::{Purpose, stream};
use crate::{Error, MatMut, MatRef, Result, Scalar};

/// The weight by which solutions keep to the parameters before: with it there always is one.
const KEEP: f64 = 1.0;

/// Least squares of a layer at the first point of a trial.
struct Lesson<'a, T> {
    trial: &'a Trial<'a, T>,
    regression: &'a dyn Regression<T>,
    /// Of the pre-activation.
    rows: usize,
    /// What is wanted of the affine map: what it gives, and noise.
    wanted: Vec<T>,
    moments: Vec<T>,
}

impl<'a, T: Scalar> Lesson<'a, T> {
    /// None for a layer without regression.
    fn of(trial: &'a Trial<'a, T>) -> Result<Option<Self>> {
        let Some(regression) = guard("regression", || trial.layer.regression())? else { return Ok(None) };
        let rows = pre_activation_rows(regression, 0)?;
        let mut lesson = Self { trial, regression, rows, wanted: Vec::new(), moments: Vec::new() };
        let present = lesson.present(&trial.point.params)?;
        let noise = gaussian::<T>(present.len(), &mut lesson.rng());
        lesson.wanted = present.iter().zip(noise).map(|(&u, noise)| u + noise).collect();
        lesson.moments = lesson.moments(&lesson.wanted)?;
        Ok(Some(lesson))
    }

    fn rng(&self) -> impl rand::Rng + use<T> {
        stream(self.trial.seed, Purpose::Probe, 0, 4)
    }

    /// The pre-activation at these parameters: the one that is wanted for the output to stay as it is.
    fn present(&self, params: &[T]) -> Result<Vec<T>> {
        let Trial { inputs, outputs, examples, .. } = *self.trial;
        let input = &self.trial.point.input;
        let output = self.trial.forward(params, input)?.output;
        let mut found = nans(self.rows.saturating_mul(examples))?;
        guard("pre_activation of the regression", || {
            let (input, target) = (MatRef::new(input, inputs, examples), MatRef::new(&output, outputs, examples));
            self.regression.pre_activation(params, input, target, MatMut::new(&mut found, self.rows, examples))
        })??;
        Ok(found)
    }

    /// Adds the moments of these examples, by these weights.
    #[expect(clippy::indexing_slicing, reason = "examples of the trial, as many as `present` wrote columns")]
    fn accumulate(
        &self,
        wanted: &[T],
        examples: std::ops::Range<usize>,
        weights: &[T],
        moments: &mut [T],
    ) -> Result<()> {
        let (inputs, rows, count) = (self.trial.inputs, self.rows, examples.len());
        let input = &self.trial.point.input[examples.start * inputs..examples.end * inputs];
        let wanted = &wanted[examples.start * rows..examples.end * rows];
        let (input, wanted) = (MatRef::new(input, inputs, count), MatRef::new(wanted, rows, count));
        guard("accumulate of the regression", || self.regression.accumulate(input, wanted, weights, moments))
    }

    fn moments(&self, wanted: &[T]) -> Result<Vec<T>> {
        let len = guard("moments_len of the regression", || self.regression.moments_len())?;
        let mut moments = filled("the moments of a regression", len, T::zero())?;
        self.accumulate(wanted, 0..self.trial.examples, &[], &mut moments)?;
        Ok(moments)
    }

    /// The solution from the parameters of the first point.
    fn solve(&self, moments: &[T], ridge: f64, proximal: f64, mut work: Vec<f64>) -> Result<Vec<T>> {
        let mut params = self.trial.point.params.clone();
        self.solve_into(moments, ridge, proximal, &mut params, &mut work)?;
        Ok(params)
    }

    fn solve_into(
        &self,
        moments: &[T],
        ridge: f64,
        proximal: f64,
        params: &mut [T],
        work: &mut Vec<f64>,
    ) -> Result<()> {
        let (ridge, proximal) = (T::of(ridge), T::of(proximal));
        guard("solve of the regression", || self.regression.solve(moments, ridge, proximal, params, work))?
    }

    /// ½ Σ‖u − W·z − b‖² + (KEEP/2)‖θ − params‖².
    fn objective(&self, params: &[T]) -> Result<f64> {
        let square = |a: &[T], b: &[T]| sum_zip(a, b, |a, b| (a - b) * (a - b)).to_f64();
        let moved = square(params, &self.trial.point.params);
        Ok(0.5 * (square(&self.wanted, &self.present(params)?) + KEEP * moved))
    }
}

pub(super) fn regression_moments_add_up<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(lesson) = Lesson::of(trial)? else { return Ok(()) };
    let mut sum = vec![T::zero(); lesson.moments.len()];
    for j in 0..trial.examples {
        lesson.accumulate(&lesson.wanted, j..j + 1, &[], &mut sum)?;
    }
    let what = "moments of a batch, against those of its examples one after the other";
    trial.subject.close(what, &sum, &lesson.moments, rounding(&sum))
}

/// Weights 0, 1, 2, 0 and so on, against so many copies.
pub(super) fn regression_moments_follow_the_weights<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(lesson) = Lesson::of(trial)? else { return Ok(()) };
    let weights: Vec<T> = (0..trial.examples).map(|j| T::of((j % 3) as f64)).collect();
    let (mut weighted, mut copied) = (vec![T::zero(); lesson.moments.len()], vec![T::zero(); lesson.moments.len()]);
    lesson.accumulate(&lesson.wanted, 0..trial.examples, &weights, &mut weighted)?;
    for j in (0..trial.examples).flat_map(|j| std::iter::repeat_n(j, j % 3)) {
        lesson.accumulate(&lesson.wanted, j..j + 1, &[], &mut copied)?;
    }
    let what = "moments of examples of weights 0, 1 and 2, against those of so many copies";
    trial.subject.close(what, &copied, &weighted, rounding(&lesson.moments))
}

pub(super) fn regression_knows_the_present_pre_activation<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(lesson) = Lesson::of(trial)? else { return Ok(()) };
    let params = &trial.point.params;
    let moments = lesson.moments(&lesson.present(params)?)?;
    let found = lesson.solve(&moments, 0.0, KEEP, Vec::new())?;
    let tolerance = loose::<T>() * norm_squared(params).to_f64().sqrt();
    trial.subject.close("parameters solved for what the layer gives at present", params, &found, tolerance)
}

pub(super) fn regression_ignores_its_scratch<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(lesson) = Lesson::of(trial)? else { return Ok(()) };
    let expected = lesson.solve(&lesson.moments, 0.5, KEEP, Vec::new())?;
    trial.subject.finite("parameters of the regression", &expected)?;
    let found = lesson.solve(&lesson.moments, 0.5, KEEP, vec![f64::NAN; 7 + expected.len()])?;
    trial.subject.same("parameters solved with scratch full of NaN", &expected, &found)
}

/// At the minimum of a parabola two points opposite each other are equally high, and none is lower.
pub(super) fn regression_finds_the_least_squares<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(lesson) = Lesson::of(trial)? else { return Ok(()) };
    let params = lesson.solve(&lesson.moments, 0.0, KEEP, Vec::new())?;
    let least = lesson.objective(&params)?;
    let mut rng = lesson.rng();
    for _ in 0..8 {
        let way: Vec<T> = gaussian(params.len(), &mut rng);
        let at = |sign: T| {
            let moved: Vec<T> = params.iter().zip(&way).map(|(&p, &w)| p + sign * w).collect();
            lesson.objective(&moved)
        };
        let (one, other) = (at(T::one())?, at(-T::one())?);
        let tolerance = loose::<T>() * (1.0 + one.abs().max(other.abs()));
        let balanced = (one - other).abs() <= tolerance && least <= one + tolerance;
        if !balanced {
            return Err(trial.subject.breach("the objective on both sides of the solution", one, other));
        }
    }
    Ok(())
}

pub(super) fn regression_ridge_presses_on_the_weights<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(lesson) = Lesson::of(trial)? else { return Ok(()) };
    let scale = 1.0 + norm_squared(&lesson.moments).to_f64().sqrt();
    let params = lesson.solve(&lesson.moments, 1e9 * scale, KEEP, Vec::new())?;
    let (rows, found) = (lesson.rows, lesson.present(&params)?);
    let first = trial.column(&found, rows, 0);
    let size = 1.0 + norm_squared(&lesson.wanted).to_f64().sqrt();
    for column in found.chunks_exact(rows) {
        let what = "pre-activations under a huge ridge, which leaves every example the bias";
        trial.subject.close(what, first, column, loose::<T>() * size)?;
    }
    Ok(())
}

pub(super) fn regression_refuses_what_has_no_answer<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(lesson) = Lesson::of(trial)? else { return Ok(()) };
    let moments = vec![T::zero(); lesson.moments.len()];
    let mut params = trial.point.params.clone();
    match lesson.solve_into(&moments, 0.0, 0.0, &mut params, &mut Vec::new()) {
        Err(Error::NotPositiveDefinite { .. }) => {
            trial.subject.same("parameters after equations without an answer", &trial.point.params, &params)
        }
        Err(panicked @ Error::Panicked { .. }) => Err(panicked),
        _ => Err(trial.subject.breach("equations of no examples and no penalty are not positive definite", 1.0, 0.0)),
    }
}

pub(super) fn regression_change_is_of_pre_activations<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(lesson) = Lesson::of(trial)? else { return Ok(()) };
    let before = &trial.point.params;
    let noise = gaussian::<T>(before.len(), &mut lesson.rng());
    let after: Vec<T> = before.iter().zip(noise).map(|(&p, noise)| p + noise).collect();
    let change = guard("change of the regression", || lesson.regression.change(&lesson.moments, before, &after))?;

    let [old, new] = [lesson.present(before)?, lesson.present(&after)?];
    let (rows, n) = (lesson.rows, trial.examples as f64);
    let squared = sum_zip(&old, &new, |a, b| (a - b) * (a - b)).to_f64() / n;
    let spread: f64 = (0..rows)
        .map(|i| {
            let unit = || old.iter().skip(i).step_by(rows).map(|u| u.to_f64());
            let mean = unit().sum::<f64>() / n;
            unit().map(|u| (u - mean).powi(2)).sum::<f64>() / n
        })
        .sum();
    let size = 1.0 + squared + norm_squared(&old).to_f64() / n;
    let (expected, found) = ([squared, spread], [change.squared, change.spread]);
    trial.subject.close("change, its mean square and the spread before", &expected, &found, loose::<T>() * size)
}
