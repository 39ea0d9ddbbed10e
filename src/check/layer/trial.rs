//! A layer under check with its points, and passes over buffers that the rules may spoil.

use std::iter::once;

use super::super::{Subject, batch, guard, nans};
use crate::machine::linalg::matrix::filled;
use crate::machine::random::{Purpose, stream};
use crate::{Layer, MatMut, MatRef, Result, Scalar};

/// Points that are tried before the differences count as hopeless.
const POINTS: usize = 6;

/// A layer, and points to try it at.
pub(super) struct Trial<'a, T> {
    pub(super) subject: Subject,
    pub(super) layer: &'a dyn Layer<T>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) examples: usize,
    pub(super) seed: u64,
    /// Initial parameters.
    pub(super) initial: Vec<T>,
    pub(super) point: Point<T>,
    /// More of them, for where the first is too near to a kink.
    others: Vec<Point<T>>,
}

pub(super) struct Point<T> {
    pub(super) params: Vec<T>,
    /// `inputs × examples`.
    pub(super) input: Vec<T>,
    /// `outputs × examples` each.
    pub(super) cotangents: [Vec<T>; 2],
}

/// What one forward pass leaves, for the gradients to be called on.
pub(super) struct Pass<'p, T> {
    params: &'p [T],
    input: Vec<T>,
    pub(super) output: Vec<T>,
    cache: Vec<T>,
}

impl<'a, T: Scalar> Trial<'a, T> {
    pub(super) fn new(
        layer: &'a dyn Layer<T>,
        (inputs, outputs): (usize, usize),
        examples: usize,
        seed: u64,
    ) -> Result<Self> {
        let initial = draw(layer, seed)?;
        let point = |point| {
            let mut rng = stream(seed, Purpose::Probe, point, 0);
            // Off the initial values, which may sit on a kink: a zero weight below a ReLU.
            let spread = T::one() / T::of(inputs as f64).sqrt();
            Ok(Point {
                params: initial.iter().map(|&p| p + spread * T::standard_normal(&mut rng)).collect(),
                input: batch(inputs, examples, &mut rng)?,
                cotangents: [batch(outputs, examples, &mut rng)?, batch(outputs, examples, &mut rng)?],
            })
        };
        let (first, others) = (point(0)?, (1..POINTS).map(point).collect::<Result<_>>()?);
        let subject = Subject::new(layer);
        Ok(Self { subject, layer, inputs, outputs, examples, seed, initial, point: first, others })
    }

    pub(super) fn points(&self) -> impl Iterator<Item = &Point<T>> {
        once(&self.point).chain(&self.others)
    }

    /// Initial parameters, drawn anew.
    pub(super) fn draw(&self) -> Result<Vec<T>> {
        draw(self.layer, self.seed)
    }

    /// Example j of so many rows each.
    pub(super) fn column<'v>(&self, values: &'v [T], rows: usize, j: usize) -> &'v [T] {
        values.chunks_exact(rows).nth(j).unwrap_or_default()
    }

    /// A pass that has yet to be run.
    pub(super) fn unwritten<'p>(&self, params: &'p [T], examples: usize) -> Result<Pass<'p, T>> {
        let cache = nans(guard("cache_len", || self.layer.cache_len(examples))?)?;
        Ok(Pass { params, input: Vec::new(), output: nans(self.outputs.saturating_mul(examples))?, cache })
    }

    /// Runs a pass over what another left.
    pub(super) fn run(&self, pass: &mut Pass<'_, T>, input: &[T]) -> Result<()> {
        self.run_by("forward", pass, input, |params, input, output, cache| {
            self.layer.forward(params, input, output, cache);
        })
    }

    /// Runs a pass by this function of parameters, input, output and cache.
    pub(super) fn run_by(
        &self,
        name: &'static str,
        pass: &mut Pass<'_, T>,
        input: &[T],
        by: impl FnOnce(&[T], MatRef<'_, T>, MatMut<'_, T>, &mut [T]),
    ) -> Result<()> {
        pass.input = input.to_vec();
        let examples = input.len() / self.inputs;
        let output = MatMut::new(&mut pass.output, self.outputs, examples);
        let input = MatRef::new(input, self.inputs, examples);
        guard(name, || by(pass.params, input, output, &mut pass.cache))
    }

    pub(super) fn forward<'p>(&self, params: &'p [T], input: &[T]) -> Result<Pass<'p, T>> {
        let mut pass = self.unwritten(params, input.len() / self.inputs)?;
        self.run(&mut pass, input)?;
        Ok(pass)
    }

    /// The pass at the first point.
    pub(super) fn first_pass(&self) -> Result<Pass<'_, T>> {
        self.forward(&self.point.params, &self.point.input)
    }

    pub(super) fn input_gradient(&self, pass: &mut Pass<'_, T>, cotangent: &[T]) -> Result<Vec<T>> {
        let examples = pass.input.len() / self.inputs;
        let mut grad = nans(pass.input.len())?;
        let input = MatRef::new(&pass.input, self.inputs, examples);
        let cotangent = MatRef::new(cotangent, self.outputs, examples);
        let out = MatMut::new(&mut grad, self.inputs, examples);
        guard("input_gradient", || self.layer.input_gradient(pass.params, input, cotangent, out, &mut pass.cache))?;
        Ok(grad)
    }

    pub(super) fn param_gradient(&self, pass: &mut Pass<'_, T>, cotangent: &[T]) -> Result<Vec<T>> {
        let mut grad = nans(pass.params.len())?;
        if grad.is_empty() {
            return Ok(grad);
        }
        let examples = pass.input.len() / self.inputs;
        let input = MatRef::new(&pass.input, self.inputs, examples);
        let cotangent = MatRef::new(cotangent, self.outputs, examples);
        let out = &mut grad[..];
        guard("param_gradient", || self.layer.param_gradient(pass.params, input, cotangent, out, &mut pass.cache))?;
        Ok(grad)
    }
}

fn draw<T: Scalar>(layer: &dyn Layer<T>, seed: u64) -> Result<Vec<T>> {
    let len = guard("param_len", || layer.param_len())?;
    let mut params = filled("the parameters of a layer", len, T::zero())?;
    guard("init_params", || layer.init_params(&mut params, &mut stream(seed, Purpose::Init, 0, 0)))?;
    Ok(params)
}
