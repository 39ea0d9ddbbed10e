//! The activation step: Z moves, Θ stands.

use std::sync::Arc;

use crate::block::Block;
use crate::energy::Objective;
use crate::error::{require, require_positive};
use crate::optimizer::{Sgd, Step};
use crate::parallel::guarded;
use crate::random::{Purpose, stream};
use crate::{Optimizer, Result, Scalar};

/// In which order the hidden layers of a block take an activation step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All layers at once, each from what its neighbours stored before: no layer waits for another.
    Jacobi,
    /// From the output to the input, each layer seeing the new activation above it. A signal crosses the whole depth in
    /// one sweep, at the price of being sequential.
    ReverseGaussSeidel,
}

/// Gradient steps on the stored activations: a number of sweeps in the given order,
///
/// ```text
/// z_t ← z_t + u(∂L/∂z_t),    t = 1 .. T
/// ```
///
/// with u the rule of the optimizer, applied to one example and layer at a time.
///
/// A plain gradient step is stable below 2/λmax of the energy's Hessian in Z, and λmax grows as the weights do: tenfold and
/// more in a long training. [`stable`](Self::stable) keeps the step below it.
#[derive(Clone, Debug)]
pub struct ActivationStep<T> {
    pub(crate) order: Order,
    /// Sweeps; without a number, one more than there are hidden layers.
    pub(crate) steps: Option<usize>,
    pub(crate) optimizer: Arc<dyn Optimizer<T>>,
    /// What multiplies the optimizer's learning rate.
    pub(crate) rate: f64,
    /// The largest rate in units of 1/λmax.
    pub(crate) stable: Option<f64>,
}

/// What the activation optimizer remembers of a block's examples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory<T> {
    /// For every hidden layer, `slots · d_t` entries an example.
    pub(crate) state: Vec<Vec<T>>,
    /// Steps that each example has taken.
    pub(crate) steps: Vec<u64>,
}

impl<T: Scalar> Memory<T> {
    /// The memory of a block whose examples have taken no step yet.
    pub(crate) fn reset(&mut self, block: &Block<T>, slots: usize) {
        self.state.resize(block.layers() - 1, Vec::new());
        for (t, state) in self.state.iter_mut().enumerate() {
            state.clear();
            state.resize(slots * block.stored(t + 1).as_slice().len(), T::zero());
        }
        self.steps.clear();
        self.steps.resize(block.examples(), 0);
    }
}

impl<T: Scalar> ActivationStep<T> {
    /// `steps` sweeps of plain gradient descent, z ← z − rate · ∂L/∂z.
    pub fn new(order: Order, steps: usize, rate: f64) -> Self {
        Self { order, steps: Some(steps), optimizer: Arc::new(Sgd::new(1.0)), rate, stable: None }
    }

    /// Moves the activations by this rule, at its own learning rate.
    pub fn optimizer(mut self, optimizer: impl Optimizer<T> + 'static) -> Self {
        self.optimizer = Arc::new(optimizer);
        self.rate = 1.0;
        self
    }

    /// Keeps the rate at or below fraction/λmax, with λmax the present [`curvature`]. Plain descent is stable for fractions
    /// below 2; with another rule, of learning rate η, the product η · rate is what should stay there.
    pub fn stable(mut self, fraction: f64) -> Self {
        self.stable = Some(fraction);
        self
    }

    /// Sweeps in a circuit of `depth` layers.
    pub(crate) fn sweeps(&self, depth: usize) -> usize {
        self.steps.unwrap_or(depth)
    }

    /// The factor on the optimizer's learning rate at a block's present activations, and λmax if it was asked for.
    pub(crate) fn rate(&self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<(T, Option<f64>)> {
        let Some(fraction) = self.stable.filter(|_| block.layers() > 1) else { return Ok((T::of(self.rate), None)) };
        let largest = curvature(objective, block, 8)?;
        Ok((T::of((fraction / largest).min(self.rate)), Some(largest)))
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let steps = self.steps.unwrap_or(1);
        require(steps > 0, "activation steps", "at least 1", steps as f64)?;
        require_positive::<T>("activation rate", self.rate)?;
        let fraction = self.stable.unwrap_or(1.0);
        require(fraction > 0.0 && fraction < 2.0, "stable fraction", "in (0, 2)", fraction)?;
        guarded("the activation optimizer", 1, || self.optimizer.validate().map(|()| self.optimizer.slots()))?.map(drop)
    }

    /// Relaxes a block: all sweeps, from an optimizer without memory.
    ///
    /// # Errors
    /// [`Error::Panicked`](crate::Error::Panicked) when a layer, a loss or the optimizer panics.
    pub fn relax(&self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<()> {
        let mut memory = Memory::default();
        memory.reset(block, self.optimizer.slots());
        let (rate, _) = self.rate(objective, block)?;
        (0..self.sweeps(block.layers())).try_for_each(|_| self.sweep(objective, block, &mut memory, rate))
    }

    /// One step of every hidden layer.
    pub(crate) fn sweep(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        memory: &mut Memory<T>,
        rate: T,
    ) -> Result<()> {
        let hidden = 1..block.layers();
        memory.steps.iter_mut().for_each(|steps| *steps += 1);
        match self.order {
            Order::Jacobi => {
                hidden.clone().try_for_each(|t| objective.activation_gradient(block, t))?;
                hidden.into_iter().try_for_each(|t| self.step(block, memory, t, rate))
            }
            Order::ReverseGaussSeidel => hidden.rev().try_for_each(|t| {
                objective.activation_gradient(block, t)?;
                self.step(block, memory, t, rate)
            }),
        }
    }

    fn step(&self, block: &mut Block<T>, memory: &mut Memory<T>, t: usize, rate: T) -> Result<()> {
        let width = block.stored(t).rows();
        let (z, gradient) = block.descend(t);
        let examples = z.chunks_exact_mut(width).zip(gradient.chunks_exact_mut(width));
        let slots = self.optimizer.slots() * width;
        let mut state = &mut memory.state[t - 1][..];
        guarded("the activation optimizer", t, || {
            for ((z, gradient), &number) in examples.zip(&memory.steps) {
                let (own, rest) = std::mem::take(&mut state).split_at_mut(slots);
                self.optimizer.update(Step { number, rate }, z, gradient, own);
                state = rest;
            }
        })?;
        block.stepped(t);
        Ok(())
    }
}

/// λmax of ∂²L/∂Z² at a block's activations, the largest in absolute value over its examples: a plain activation step is stable below
/// 2/λmax.
///
/// Power iteration on every example at once (their Hessians are separate blocks), with Hessian products by central
/// differences of ∂L/∂z. A lower bound that is within a few percent after `iterations` = 20; activations are left as
/// they were.
///
/// # Errors
/// [`Error::Panicked`](crate::Error::Panicked) when a layer or a loss panics.
pub fn curvature<T: Scalar>(objective: &Objective<'_, T>, block: &mut Block<T>, iterations: usize) -> Result<f64> {
    let hidden = 1..block.layers();
    let examples = block.examples();
    let home: Vec<Vec<T>> = hidden.clone().map(|t| block.stored(t).as_slice().to_vec()).collect();
    let mut rng = stream(0, Purpose::Probe, 0, 0);
    let mut direction: Vec<Vec<T>> =
        home.iter().map(|z| z.iter().map(|_| T::standard_normal(&mut rng)).collect()).collect();
    let mut largest = 0.0;
    for _ in 0..iterations {
        let lengths = column_norms(&direction, examples);
        largest = 0.0_f64;
        for (v, z) in direction.iter_mut().zip(&home) {
            let width = z.len() / examples;
            for (v, length) in v.chunks_exact_mut(width).zip(&lengths) {
                v.iter_mut().for_each(|v| *v /= *length);
            }
        }
        // The cube root of the precision, relative to the activations' size: best for central differences.
        let sizes = column_norms(&home, examples);
        let step: Vec<T> = sizes.iter().map(|size| (T::one() + *size) * T::default_epsilon().cbrt()).collect();
        let mut product: Vec<Vec<T>> = home.iter().map(|z| vec![T::zero(); z.len()]).collect();
        for sign in [T::one(), -T::one()] {
            for (t, (z, v)) in hidden.clone().zip(home.iter().zip(&direction)) {
                let width = z.len() / examples;
                let moved = block.stored_mut(t).iter_mut().zip(z.iter().zip(v)).enumerate();
                moved.for_each(|(i, (m, (&z, &v)))| *m = z + sign * step[i / width] * v);
            }
            for (t, product) in hidden.clone().zip(&mut product) {
                objective.activation_gradient(block, t)?;
                let width = product.len() / examples;
                let pairs = product.iter_mut().zip(block.gradient(t).as_slice()).enumerate();
                pairs.for_each(|(i, (p, &g))| *p += sign * g / (step[i / width] + step[i / width]));
            }
        }
        largest = column_norms(&product, examples).iter().fold(largest, |l, n| l.max(n.to_f64()));
        direction = product;
    }
    for (t, z) in hidden.zip(&home) {
        block.stored_mut(t).copy_from_slice(z);
    }
    Ok(largest)
}

/// ‖column‖ over all layers, at least the machine epsilon: it is divided by.
fn column_norms<T: Scalar>(layers: &[Vec<T>], examples: usize) -> Vec<T> {
    let mut squares = vec![T::zero(); examples];
    for layer in layers {
        for (square, column) in squares.iter_mut().zip(layer.chunks_exact(layer.len() / examples)) {
            *square += crate::linalg::norm_squared(column);
        }
    }
    squares.into_iter().map(|s| s.sqrt().max(T::default_epsilon())).collect()
}
