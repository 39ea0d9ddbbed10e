//! The equations. No other file differentiates the objective.
//!
//! ```text
//! ẑ_{t+1} = f(z_t; θ_t)                                                 every layer reads its own stored input
//!
//! L(Θ, Z) = Σ_i [ L_y(z_T, ẑ_T) + Σ_{t=1}^{T−1} μ_t L_h(z_t, ẑ_t) ]     z_0 = x and z_T = y are given
//!
//! ∂L/∂θ_t = Σ_i (∂f/∂θ_t)ᵀ c_{t+1}                                      parameter step: z_t and z_{t+1} suffice
//! ∂L/∂z_t = μ_t ∂L_h/∂z_t + (∂f/∂z_t)ᵀ c_{t+1}                          activation step: its neighbours suffice
//! ∂L/∂z_0 = (∂f/∂z_0)ᵀ c_1                                              an input that is not given, when it is inferred
//!
//! c_T = ∂L_y/∂ẑ_T,   c_t = μ_t ∂L_h/∂ẑ_t                                what layer t − 1 is asked to change
//! ```
//!
//! With **weights** ([`Dataset::with_weights`](crate::Dataset::with_weights)) an example of weight w_i counts as w_i copies of it. L and
//! ∂L/∂θ_t take the factor w_i into their sums, and so do the moments of a regression. Activation steps do without, and multipliers:
//! all copies have the same stored activation, which moves as that of one copy, and neither its step nor the stability of it nor
//! the minimum over it depends on w_i.
//!
//! With **multipliers** (an augmented Lagrangian) every hidden term gains λ_tᵀ(z_t − ẑ_t), c_t loses λ_t and ∂L/∂z_t gains it.
//!
//! In **error coordinates** ε_t = z_t − ẑ_t, an activation carries along all that stands above it:
//!
//! ```text
//! ∂L/∂ε_t = μ_t ∂L_h/∂z_t + (∂f/∂z_t)ᵀ (c_{t+1} + ∂L/∂ε_{t+1})           from the output down, ∂L/∂ε_T = 0
//! ```

use std::sync::Arc;

use crate::block::{Block, Compare, Group, Reads};
use crate::parallel::guarded;
use crate::{Layer, Loss, MatMut, MatRef, Result, Scalar, linalg, loss};

/// L_h and μ_t of one hidden layer.
#[derive(Clone, Debug)]
pub(crate) struct Hidden<T> {
    pub(crate) loss: Arc<dyn Loss<T>>,
    pub(crate) penalty: T,
}

/// As errors name L_y.
pub(crate) const OUTPUT_LOSS: &str = "the output loss";

/// The objective L at given parameters Θ, as a function of the activations in a [`Block`].
///
/// A network lends it by [`objective`](crate::DecoupledNetwork::objective). Energies are sums over the block's
/// examples, each with weight 1. Layers count from 0, activations z_t from 0 at the input to T at the target.
///
/// # Errors
/// All its methods return [`Error::Panicked`](crate::Error::Panicked) when a layer or a loss panics.
///
/// # Panics
/// For a t outside of the range that the method names.
#[derive(Clone, Copy, Debug)]
pub struct Objective<'a, T> {
    pub(crate) layers: &'a [Arc<dyn Layer<T>>],
    pub(crate) params: &'a [Vec<T>],
    pub(crate) output_loss: &'a dyn Loss<T>,
    /// For z_1 ..= z_{T−1}.
    pub(crate) hidden: &'a [Hidden<T>],
    /// What a schedule multiplies every μ_t by.
    pub(crate) factor: T,
}

impl<T: Scalar> Objective<'_, T> {
    /// An empty block for `examples` examples: write inputs to z_0 and targets to z_T, then [`anchor`](Self::anchor).
    pub fn block(&self, examples: usize) -> Block<T> {
        Block::new(self.layers, examples)
    }

    /// Sets every z_t to the forward activation: every hidden residual is 0 then, and the energy is the forward loss.
    pub fn anchor(&self, block: &mut Block<T>) -> Result<()> {
        self.forward(block)?;
        block.store_forward();
        Ok(())
    }

    /// The ordinary forward pass; z stays.
    pub(crate) fn forward(&self, block: &mut Block<T>) -> Result<()> {
        block.run_forward(self.layers, self.params)
    }

    /// ẑ_t from the stored z_{t−1}, for t = 1 ..= T.
    pub(crate) fn predict<'b>(&self, block: &'b mut Block<T>, t: usize) -> Result<MatRef<'b, T>> {
        block.evaluate(self.layers, self.params, t - 1, Reads::Stored)?;
        Ok(block.prediction(t - 1, Reads::Stored))
    }

    /// The term of L that compares z_t with ẑ_t, for t = 1 ..= T: μ_t Σ_i L_h, or Σ_i L_y at t = T.
    pub fn term(&self, block: &mut Block<T>, t: usize) -> Result<T> {
        block.evaluate(self.layers, self.params, t - 1, Reads::Stored)?;
        let prediction = block.prediction(t - 1, Reads::Stored);
        self.compared(t, block.stored(t), prediction, block.multiplier(t), block.weights())
    }

    /// The term of z_t from its comparison.
    fn compared(
        &self,
        t: usize,
        target: MatRef<'_, T>,
        prediction: MatRef<'_, T>,
        multiplier: Option<MatRef<'_, T>>,
        weights: &[T],
    ) -> Result<T> {
        let (loss, penalty) = self.loss(t);
        let value =
            penalty * T::of(guarded(self.loss_name(t), None, || loss::total(loss, target, prediction, weights))?);
        let Some(multiplier) = multiplier else { return Ok(value) };
        if weights.is_empty() {
            return Ok(value + lagrangian(multiplier, target, prediction));
        }
        let own = |i| lagrangian(example(multiplier, i), example(target, i), example(prediction, i));
        Ok(value + weights.iter().enumerate().map(|(i, &weight)| weight * own(i)).sum())
    }

    /// The terms of L at t = 1 ..= T with the [`residual`]s of z_t, all at once.
    pub(crate) fn terms(&self, block: &mut Block<T>, out: &mut Vec<(T, (f64, f64))>) -> Result<()> {
        out.resize(self.layers.len(), Default::default());
        block.look(self.layers, self.params, out, |t, target, prediction, multiplier, weights| {
            let term = self.compared(t, target, prediction, multiplier, weights)?;
            Ok((term, weighted_residual(target, prediction, weights)))
        })
    }

    /// L of every single example, at the block's activations.
    pub(crate) fn energies(&self, block: &mut Block<T>, energies: &mut Vec<T>) -> Result<()> {
        energies.clear();
        energies.resize(block.examples(), T::zero());
        for t in 1..=self.layers.len() {
            block.evaluate(self.layers, self.params, t - 1, Reads::Stored)?;
            let (target, prediction) = (block.stored(t), block.prediction(t - 1, Reads::Stored));
            let (loss, penalty) = self.loss(t);
            for (i, energy) in energies.iter_mut().enumerate() {
                let (z, p) = (example(target, i), example(prediction, i));
                *energy += penalty * guarded(self.loss_name(t), None, || loss.value(z, p))?;
                *energy += block.multiplier(t).map_or(T::zero(), |m| lagrangian(example(m, i), z, p));
            }
        }
        Ok(())
    }

    /// L(Θ, Z), summed over the block's examples.
    pub fn energy(&self, block: &mut Block<T>) -> Result<T> {
        (1..=self.layers.len()).map(|t| self.term(block, t)).sum()
    }

    /// The forward loss Σ_i L_y(y, forward pass of x), without the bank, at the last forward pass.
    pub(crate) fn forward_loss(&self, block: &Block<T>) -> Result<f64> {
        let top = self.layers.len();
        let (target, prediction) = (block.stored(top), block.prediction(top - 1, Reads::Forward));
        guarded(OUTPUT_LOSS, None, || loss::total(self.output_loss, target, prediction, block.weights()))
    }

    /// ∂L/∂z_t for one hidden layer, t = 1 .. T; left in the block, `d_t × n`.
    pub fn activation_gradient(&self, block: &mut Block<T>, t: usize) -> Result<()> {
        self.activation_gradients(block, &Group { layers: t..t + 1, every: 1 })
    }

    /// ∂L/∂z_t for the hidden layers of a group, all at once.
    pub(crate) fn activation_gradients(&self, block: &mut Block<T>, group: &Group) -> Result<()> {
        block.pull_back_group(self.layers, self.params, group, &self.cotangents())?;
        block.add_to_gradients(group, &self.own_gradients())
    }

    /// ∂L/∂z_0; left in the block, `d_0 × n`.
    pub fn input_gradient(&self, block: &mut Block<T>) -> Result<()> {
        self.cotangent(block, 1, Reads::Stored)?;
        block.pull_back(self.layers, self.params, 0, Reads::Stored)
    }

    /// ∂L/∂ε_t for all hidden layers, in error coordinates ε_t = z_t − ẑ_t; left in the block as the gradients are. As
    /// sequential as backpropagation, which it equals at a forward-consistent block.
    pub fn error_gradients(&self, block: &mut Block<T>) -> Result<()> {
        let top = self.layers.len();
        for t in (1..top).rev() {
            block.evaluate(self.layers, self.params, t - 1, Reads::Stored)?;
            self.cotangent(block, t + 1, Reads::Stored)?;
            if t + 1 < top {
                block.add_chain(t + 1);
            }
            block.pull_back(self.layers, self.params, t, Reads::Stored)?;
            block.add_to_gradients(&Group { layers: t..t + 1, every: 1 }, &self.own_gradients())?;
        }
        Ok(())
    }

    /// Back from error coordinates: z_t ← f(z_{t−1}; θ_{t−1}) + ε_t, from the bottom up.
    pub(crate) fn roll_out(&self, block: &mut Block<T>) -> Result<()> {
        block.roll_out(self.layers, self.params)
    }

    /// ∂L/∂θ_t, t = 0 .. T, summed over the block's examples, from the stored or the forward input of layer t; the
    /// target is the stored z_{t+1} either way. Writes [`param_len`](Layer::param_len) entries.
    pub fn parameter_gradient(&self, block: &mut Block<T>, t: usize, reads: Reads, mut grad: &mut [T]) -> Result<()> {
        let grads = std::slice::from_mut(&mut grad);
        let write = &self.cotangents();
        block.pull_back_to_parameters(self.layers, self.params, t..t + 1, reads, grads, (|_| false, Some(write)))
    }

    /// ∂L/∂θ_t for all layers at once, but for those that `skip` names.
    pub(crate) fn parameter_gradients(
        &self,
        block: &mut Block<T>,
        reads: Reads,
        grads: &mut [Vec<T>],
        skip: impl Fn(usize) -> bool + Sync,
    ) -> Result<()> {
        let (all, write) = (0..self.layers.len(), &self.cotangents());
        block.pull_back_to_parameters(self.layers, self.params, all, reads, grads, (skip, Some(write)))
    }

    /// c_t = ∂L/∂ẑ_t for t = 1 ..= T, left in the block.
    pub(crate) fn cotangent(&self, block: &mut Block<T>, t: usize, reads: Reads) -> Result<()> {
        block.set_cotangent(self.layers, self.params, t, reads, &self.cotangents())
    }

    /// c_t = μ_t ∂L_h/∂ẑ_t − λ_t, or ∂L_y/∂ẑ_T.
    fn cotangents(&self) -> impl Compare<T> {
        |t,
         target: MatRef<'_, T>,
         prediction: MatRef<'_, T>,
         multiplier: Option<MatRef<'_, T>>,
         mut out: MatMut<'_, T>| {
            let (loss, penalty) = self.loss(t);
            guarded(self.loss_name(t), None, || loss.gradient(target, prediction, out.reborrow()))?;
            scale(out.reborrow(), penalty);
            add(out, -T::one(), multiplier);
            Ok(())
        }
    }

    /// μ_t ∂L_h/∂z_t + λ_t: what ∂L/∂z_t has beside what is pulled back to it.
    fn own_gradients(&self) -> impl Compare<T> {
        |t,
         target: MatRef<'_, T>,
         prediction: MatRef<'_, T>,
         multiplier: Option<MatRef<'_, T>>,
         mut out: MatMut<'_, T>| {
            let (loss, penalty) = self.loss(t);
            guarded(self.loss_name(t), None, || loss.target_gradient(target, prediction, out.reborrow()))?;
            scale(out.reborrow(), penalty);
            add(out, T::one(), multiplier);
            Ok(())
        }
    }

    /// The same with other penalties: μ_t · factor.
    pub(crate) fn with_factor(self, factor: T) -> Self {
        Self { factor, ..self }
    }

    /// As errors name L_h or L_y.
    fn loss_name(&self, t: usize) -> &'static str {
        if t < self.layers.len() { "the hidden loss" } else { OUTPUT_LOSS }
    }

    /// L_h and μ_t, or L_y and 1.
    pub(crate) fn loss(&self, t: usize) -> (&dyn Loss<T>, T) {
        match self.hidden.get(t - 1) {
            Some(hidden) => (&*hidden.loss, hidden.penalty * self.factor),
            None => (self.output_loss, T::one()),
        }
    }
}

fn scale<T: Scalar>(mut m: MatMut<'_, T>, factor: T) {
    if factor != T::one() {
        m.as_mut_slice().iter_mut().for_each(|x| *x *= factor);
    }
}

/// m ← m + sign · multiplier, where there is one.
fn add<T: Scalar>(mut m: MatMut<'_, T>, sign: T, multiplier: Option<MatRef<'_, T>>) {
    if let Some(multiplier) = multiplier {
        linalg::axpy(sign, multiplier.as_slice(), m.as_mut_slice());
    }
}

/// The i-th example by itself.
fn example<T: Scalar>(m: MatRef<'_, T>, i: usize) -> MatRef<'_, T> {
    MatRef::new(m.column(i), m.rows(), 1)
}

/// Σ λᵀ(z − ẑ).
fn lagrangian<T: Scalar>(multiplier: MatRef<'_, T>, z: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
    let product = |a, b| {
        linalg::sum_zip(multiplier.as_slice(), a, |m, x| m * x)
            - linalg::sum_zip(multiplier.as_slice(), b, |m, x| m * x)
    };
    product(z.as_slice(), prediction.as_slice())
}

/// [`residual`] of weighted examples.
pub(crate) fn weighted_residual<T: Scalar>(z: MatRef<'_, T>, prediction: MatRef<'_, T>, weights: &[T]) -> (f64, f64) {
    if weights.is_empty() {
        return residual(z, prediction);
    }
    weights.iter().enumerate().fold((0.0, 0.0), |sums, (i, weight)| {
        let (own, weight) = (residual(example(z, i), example(prediction, i)), weight.to_f64());
        (sums.0 + weight * own.0, sums.1 + weight * own.1)
    })
}

/// ‖z − ẑ‖² and ‖z‖² over all entries.
pub(crate) fn residual<T: Scalar>(z: MatRef<'_, T>, prediction: MatRef<'_, T>) -> (f64, f64) {
    let difference = linalg::sum_zip(z.as_slice(), prediction.as_slice(), |z, p| (z - p) * (z - p));
    (difference.to_f64(), linalg::norm_squared(z.as_slice()).to_f64())
}
