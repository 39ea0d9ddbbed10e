//! Rules of a layer's two gradients: overwriting, linearity, sums over examples, agreement with differences.

use super::{
    super::{
        difference::{Outcome, compare},
        rounding,
    },
    trial::{Pass, Point, Trial},
};
use crate::machine::linalg::norm_squared;
use crate::machine::random::{Purpose, stream};
use crate::{Result, Scalar};

type Gradient<'a, T> = fn(&Trial<'a, T>, &mut Pass<'_, T>, &[T]) -> Result<Vec<T>>;

pub(super) fn input_gradient_overwrites<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [c, _] = &trial.point.cotangents;
    let found = trial.input_gradient(&mut trial.first_pass()?, c)?;
    trial.subject.finite("input_gradient into a buffer full of NaN", &found)
}

pub(super) fn param_gradient_overwrites<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [c, _] = &trial.point.cotangents;
    let found = trial.param_gradient(&mut trial.first_pass()?, c)?;
    trial.subject.finite("param_gradient into a buffer full of NaN", &found)
}

pub(super) fn input_gradient_repeats<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    repeats(trial, "input_gradient", Trial::input_gradient)
}

pub(super) fn param_gradient_repeats<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    repeats(trial, "param_gradient", Trial::param_gradient)
}

/// The gradient after another forward pass into the same buffers, and other gradient calls on this one.
fn repeats<'a, T: Scalar>(trial: &Trial<'a, T>, name: &str, gradient: Gradient<'a, T>) -> Result<()> {
    let ([c, other], input) = (&trial.point.cotangents, &trial.point.input);
    let expected = gradient(trial, &mut trial.first_pass()?, c)?;
    let mut pass = trial.unwritten(&trial.point.params, trial.examples)?;
    let elsewhere: Vec<T> = input.iter().map(|&x| T::of(0.5) - x).collect();
    trial.run(&mut pass, &elsewhere)?;
    trial.run(&mut pass, input)?;
    for _ in 0..2 {
        trial.input_gradient(&mut pass, other)?;
        trial.param_gradient(&mut pass, other)?;
        let found = gradient(trial, &mut pass, c)?;
        trial.subject.same(
            &format!("{name} after other gradient calls on the same forward pass"),
            &expected,
            &found,
        )?;
    }
    Ok(())
}

pub(super) fn input_gradient_ignores_other_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [c, _] = &trial.point.cotangents;
    let together = trial.input_gradient(&mut trial.first_pass()?, c)?;
    for (j, alone) in alone(trial, Trial::input_gradient)?.iter().enumerate() {
        let what = format!("input_gradient of example {j} in a batch, against the example alone");
        trial.subject.close(&what, alone, trial.column(&together, trial.inputs, j), rounding(&together))?;
    }
    Ok(())
}

pub(super) fn param_gradient_sums_over_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let [c, _] = &trial.point.cotangents;
    let together = trial.param_gradient(&mut trial.first_pass()?, c)?;
    let mut sum = vec![T::zero(); together.len()];
    for alone in alone(trial, Trial::param_gradient)? {
        sum.iter_mut().zip(alone).for_each(|(s, g)| *s += g);
    }
    let what = "param_gradient of a batch, against the sum over its examples";
    trial.subject.close(what, &sum, &together, rounding(&together))
}

/// The gradient of each example by itself.
fn alone<'a, T: Scalar>(trial: &Trial<'a, T>, gradient: Gradient<'a, T>) -> Result<Vec<Vec<T>>> {
    let Point { params, input, cotangents: [c, _] } = &trial.point;
    let one = |j| {
        let mut pass = trial.forward(params, trial.column(input, trial.inputs, j))?;
        gradient(trial, &mut pass, trial.column(c, trial.outputs, j))
    };
    (0..trial.examples).map(one).collect()
}

pub(super) fn input_gradient_is_linear<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    linear(trial, "input_gradient", Trial::input_gradient)
}

pub(super) fn param_gradient_is_linear<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    linear(trial, "param_gradient", Trial::param_gradient)
}

/// The gradient of a sum of two cotangents, one of them doubled, against those of each.
fn linear<'a, T: Scalar>(trial: &Trial<'a, T>, name: &str, gradient: Gradient<'a, T>) -> Result<()> {
    let [c, other] = &trial.point.cotangents;
    let combined = |a: &[T], b: &[T]| a.iter().zip(b).map(|(&a, &b)| a + a + b).collect::<Vec<T>>();
    let mut pass = trial.first_pass()?;
    let expected = combined(&gradient(trial, &mut pass, c)?, &gradient(trial, &mut pass, other)?);
    let found = gradient(trial, &mut pass, &combined(c, other))?;
    // Where cotangents cancel on their way there remains a rounding of what they were.
    let tolerance = rounding(&expected).max(1e-4 * rounding(c));
    trial.subject.close(&format!("{name} of a sum of cotangents"), &expected, &found, tolerance)
}

pub(super) fn input_gradient_agrees_with_differences<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    input_gradient_agrees(trial, |params, input| trial.forward(params, input))
}

/// The input gradient after these passes, which are functions of parameters and input, against their differences.
pub(super) fn input_gradient_agrees<T: Scalar>(
    trial: &Trial<'_, T>,
    forward: impl for<'p> Fn(&'p [T], &[T]) -> Result<Pass<'p, T>>,
) -> Result<()> {
    at_some_point(trial, &forward, |point, scale, rng| {
        let Point { params, input, cotangents: [c, _] } = point;
        let found = trial.input_gradient(&mut forward(params, input)?, c)?;
        compare(&trial.subject, "input_gradient", (input, &found), scale, rng, |input| {
            Ok(inner(&forward(params, input)?.output, c))
        })
    })
}

pub(super) fn param_gradient_agrees_with_differences<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    param_gradient_agrees(trial, |params, input| trial.forward(params, input))
}

/// The parameter gradient after these passes, which are functions of parameters and input, against their differences.
pub(super) fn param_gradient_agrees<T: Scalar>(
    trial: &Trial<'_, T>,
    forward: impl for<'p> Fn(&'p [T], &[T]) -> Result<Pass<'p, T>>,
) -> Result<()> {
    if trial.initial.is_empty() {
        return Ok(());
    }
    at_some_point(trial, &forward, |point, scale, rng| {
        let Point { params, input, cotangents: [c, _] } = point;
        let found = trial.param_gradient(&mut forward(params, input)?, c)?;
        compare(&trial.subject, "param_gradient", (params, &found), scale, rng, |params| {
            Ok(inner(&forward(params, input)?.output, c))
        })
    })
}

/// Compares at one point after another, with the size of what is summed up there, until the differences settle.
fn at_some_point<T: Scalar>(
    trial: &Trial<'_, T>,
    forward: &impl for<'p> Fn(&'p [T], &[T]) -> Result<Pass<'p, T>>,
    compare: impl Fn(&Point<T>, f64, &mut dyn rand::Rng) -> Result<Outcome>,
) -> Result<()> {
    if trial.layer.is_straight_through() || !trial.layer.has_derivative() {
        return Ok(());
    }
    for (i, point) in trial.points().enumerate() {
        let output = forward(&point.params, &point.input)?.output;
        let products: Vec<T> = output.iter().zip(&point.cotangents[0]).map(|(&y, &c)| y * c).collect();
        let scale = norm_squared(&products).to_f64().sqrt();
        if compare(point, scale, &mut stream(trial.seed, Purpose::Probe, i, 1))? == Outcome::Agrees {
            return Ok(());
        }
    }
    Err(trial.subject.breach("differences of forward settle on a derivative at some random point", 1.0, 0.0))
}

fn inner<T: Scalar>(output: &[T], cotangent: &[T]) -> f64 {
    output.iter().zip(cotangent).map(|(y, c)| y.to_f64() * c.to_f64()).sum()
}
