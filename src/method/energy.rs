//! The equations. No other file differentiates the objective.
//!
//! ```text
//! ẑ_{t+1} = f(z_t; θ_t)                                                 every layer reads its own stored input
//!
//! L(Θ, Z) = Σ_i [ L_y(z_T, ẑ_T) + Σ_{t=1}^{T−1} μ_t L_h(z_t, ẑ_t) ]     z_0 = x and z_T = y are given
//!
//! ∂L/∂θ_t = Σ_i (∂f/∂θ_t)ᵀ c_{t+1}                                      parameter step: z_t and z_{t+1} suffice
//! ∂L/∂z_t = μ_t ∂L_h/∂z_t + (∂f/∂z_t)ᵀ c_{t+1}                          activation step: its neighbours suffice
//! ∂L/∂z_0 = (∂f/∂z_0)ᵀ c_1                                              only for an input that is inferred
//!
//! c_T = ∂L_y/∂ẑ_T,   c_t = μ_t ∂L_h/∂ẑ_t                                the error that layer t − 1 receives
//! ```
//!
//! With **weights** ([`Dataset::with_weights`](crate::Dataset::with_weights)) an example of weight w_i counts as w_i copies of it. L and
//! ∂L/∂θ_t take the factor w_i into their sums, and so do the moments of a regression. Activation steps and multipliers ignore it:
//! all copies share one stored activation. Neither its step, nor the stability of the step, nor the minimum over it depends on w_i.
//!
//! With **multipliers** (an augmented Lagrangian) every hidden term gains λ_tᵀ(z_t − ẑ_t), c_t loses λ_t and ∂L/∂z_t gains it.
//!
//! In **error coordinates** ε_t = z_t − ẑ_t, an activation that moves carries all activations above it along:
//!
//! ```text
//! ∂L/∂ε_t = μ_t ∂L_h/∂z_t + (∂f/∂z_t)ᵀ (c_{t+1} + ∂L/∂ε_{t+1})           from the output down, ∂L/∂ε_T = 0
//! ```

use std::ops::Range;
use std::sync::Arc;

use crate::machine::linalg;
use crate::machine::parallel::{for_row, guarded};
use crate::method::block::{Activations, Block, Group, Reads, Site};
use crate::method::circuit::Circuit;
use crate::method::coupling::Multipliers;
use crate::{Error, Loss, MatMut, MatRef, Result, Scalar, loss};

/// L_h and μ_t of one hidden layer.
#[derive(Clone, Debug)]
pub(crate) struct Hidden<T> {
    pub(crate) loss: Arc<dyn Loss<T>>,
    pub(crate) penalty: T,
}

/// The name of L_y in errors.
pub(crate) const OUTPUT_LOSS: &str = "the output loss";

/// The objective L at given parameters Θ, as a function of the activations in a [`Block`].
///
/// A network lends it by [`objective`](crate::DecoupledNetwork::objective). Energies are sums over the block's
/// examples; those of a block made by [`block`](Self::block) have weight 1. Layers count from 0, activations z_t from 0 at the input to T at the target.
///
/// # Errors
/// All its methods return [`Error::Panicked`] when a layer or a loss panics.
///
/// # Panics
/// For a t outside of the range that the method names.
#[derive(Clone, Copy, Debug)]
pub struct Objective<'a, T> {
    pub(crate) circuit: Circuit<'a, T>,
    pub(crate) output_loss: &'a dyn Loss<T>,
    /// For z_1 ..= z_{T−1}.
    pub(crate) hidden: &'a [Hidden<T>],
    /// The factor of a penalty schedule on every μ_t.
    pub(crate) factor: T,
}

impl<T: Scalar> Objective<'_, T> {
    /// Returns an empty block for `examples` examples: write inputs to z_0 and targets to z_T, then [`anchor`](Self::anchor).
    pub fn block(&self, examples: usize) -> Block<T> {
        Block::new(self.circuit.layers, examples)
    }

    /// Sets every z_t to the forward activation: every hidden residual is 0 then, and the energy is the forward loss.
    pub fn anchor(&self, block: &mut Block<T>) -> Result<()> {
        self.forward(block)?;
        block.store_forward(1..block.layers());
        Ok(())
    }

    /// Runs the ordinary forward pass, a_{t+1} = f(a_t; θ_t) for all t; z does not change.
    pub(crate) fn forward(&self, block: &mut Block<T>) -> Result<()> {
        block.begin_forward();
        self.forward_through(block, 0..block.layers())
    }

    /// Runs the forward pass through these layers, from the forward activation that is there.
    pub(crate) fn forward_through(&self, block: &mut Block<T>, layers: Range<usize>) -> Result<()> {
        for t in layers {
            self.evaluate(block, t, Reads::Forward)?;
            block.keep_forward(t);
        }
        Ok(())
    }

    /// Brings ẑ_{t+1} up to date, for t = 0 .. T.
    pub(crate) fn evaluate(&self, block: &mut Block<T>, t: usize, reads: Reads) -> Result<()> {
        self.circuit.evaluate(t, &block.activations, &mut block.sites[t], reads)
    }

    /// Computes ẑ_t from the stored z_{t−1}, for t = 1 ..= T.
    pub(crate) fn predict<'b>(&self, block: &'b mut Block<T>, t: usize) -> Result<MatRef<'b, T>> {
        self.evaluate(block, t - 1, Reads::Stored)?;
        Ok(block.prediction(t - 1, Reads::Stored))
    }

    /// Computes the term of L that compares z_t with ẑ_t, for t = 1 ..= T: μ_t Σ_i L_h, or Σ_i L_y at t = T.
    pub fn term(&self, block: &mut Block<T>, t: usize) -> Result<T> {
        self.evaluate(block, t - 1, Reads::Stored)?;
        self.term_of(&block.activations, t, &block.sites[t - 1])
    }

    /// Computes the [`term`](Self::term) from a prediction that is up to date.
    fn term_of(&self, of: &Activations<T>, t: usize, below: &Site<T>) -> Result<T> {
        let (target, prediction) = (of.stored(t), of.prediction(t - 1, below, Reads::Stored));
        let (loss, penalty) = self.loss(t);
        let weights = &of.weights;
        let value =
            penalty * T::of(guarded(self.loss_name(t), None, || loss::total(loss, target, prediction, weights))?);
        let Some(multiplier) = of.multiplier(t) else { return Ok(value) };
        if weights.is_empty() {
            return Ok(value + lagrangian(multiplier, target, prediction));
        }
        let own = |i| lagrangian(example(multiplier, i), example(target, i), example(prediction, i));
        Ok(value + weights.iter().enumerate().map(|(i, &weight)| weight * own(i)).sum())
    }

    /// Computes the terms of L for t in `terms`, within 1 ..= T, with the [`residual`]s of z_t, in parallel.
    pub(crate) fn terms(
        &self,
        block: &mut Block<T>,
        terms: Range<usize>,
        out: &mut Vec<(T, (f64, f64))>,
    ) -> Result<()> {
        out.resize(terms.len(), Default::default());
        let Block { activations: of, sites, .. } = block;
        let sites = &mut sites[terms.start - 1..terms.end - 1];
        for_row((sites, &mut out[..]), |i, (site, out)| {
            let below = terms.start - 1 + i;
            self.circuit.evaluate(below, of, site, Reads::Stored)?;
            let prediction = of.prediction(below, site, Reads::Stored);
            let residual = residual(of.stored(below + 1), prediction, &of.weights);
            *out = (self.term_of(of, below + 1, site)?, residual);
            Ok(())
        })
    }

    /// Computes L of every single example, at the block's activations.
    pub(crate) fn energies(&self, block: &mut Block<T>, energies: &mut Vec<T>) -> Result<()> {
        // Unweighted: they tell whether an example has more energy than before, whatever its weight.
        energies.clear();
        energies.resize(block.examples(), T::zero());
        for t in 1..=self.circuit.depth() {
            self.evaluate(block, t - 1, Reads::Stored)?;
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

    /// Computes L(Θ, Z), summed over the block's examples.
    pub fn energy(&self, block: &mut Block<T>) -> Result<T> {
        (1..=self.circuit.depth()).map(|t| self.term(block, t)).sum()
    }

    /// Computes the forward loss Σ_i L_y(y, a_T) at the last forward pass.
    pub(crate) fn forward_loss(&self, block: &Block<T>) -> Result<f64> {
        let top = self.circuit.depth();
        self.loss_of(block.stored(top), block.prediction(top - 1, Reads::Forward), block.weights())
    }

    /// Computes Σ_i w_i L_y of `outputs`, `d_T × n`.
    pub(crate) fn loss_of(&self, target: MatRef<'_, T>, outputs: MatRef<'_, T>, weights: &[T]) -> Result<f64> {
        guarded(OUTPUT_LOSS, None, || loss::total(self.output_loss, target, outputs, weights))
    }

    /// Computes ∂L/∂z_t for one hidden layer, t = 1 .. T; left in the block, `d_t × n`.
    pub fn activation_gradient(&self, block: &mut Block<T>, t: usize) -> Result<()> {
        self.activation_gradients(block, &Group::one(t))
    }

    /// Computes ∂L/∂z_t for the hidden layers of a group, in parallel; left in the block, `d_t × n`.
    pub fn activation_gradients(&self, block: &mut Block<T>, group: &Group) -> Result<()> {
        let Range { start, end } = group.range();
        // The slices below need a layer that moves.
        if start >= end {
            return Ok(());
        }
        let Block { activations: of, sites, cotangent, gradient, .. } = block;
        // Predictions and cotangents first, one layer below the group too: each z_t needs the terms on both of its sides.
        let row = (&mut sites[start - 1..end], &mut cotangent[start..=end]);
        for_row(row, |i, (site, cotangent)| {
            let t = start - 1 + i;
            if group.has(t) || group.has(t + 1) {
                self.circuit.evaluate(t, of, site, Reads::Stored)?;
            }
            match group.has(t) {
                true => self.differentiate(of, t + 1, By::Prediction, (site, Reads::Stored), cotangent),
                false => Ok(()),
            }
        })?;
        let row = ((&mut sites[start..end], &cotangent[start + 1..=end]), &mut gradient[start..end]);
        for_row(row, |i, ((site, cotangent), gradient)| match group.has(start + i) {
            true => {
                let (input, cache) = (of.stored(start + i), &mut site.at_mut(Reads::Stored).cache);
                self.circuit.input_gradient(start + i, input, cotangent, gradient, cache)
            }
            false => Ok(()),
        })?;
        // After all pull-backs, whose cotangents it overwrites.
        self.add_own_gradients(block, group)
    }

    /// gradient_t ← (∂f/∂z)ᵀ · cotangent_{t+1} at z_t or a_t.
    pub(crate) fn pull_back(&self, block: &mut Block<T>, t: usize, reads: Reads) -> Result<()> {
        let Block { activations: of, sites, cotangent, gradient, .. } = block;
        let cache = &mut sites[t].at_mut(reads).cache;
        self.circuit.input_gradient(t, of.input(t, reads), &cotangent[t + 1], &mut gradient[t], cache)
    }

    /// Adds ∂/∂z_t of z_t's own term to gradient_t, for the z_t of a group, whose predictions are up to date.
    fn add_own_gradients(&self, block: &mut Block<T>, group: &Group) -> Result<()> {
        let Range { start, end } = group.range();
        let Block { activations: of, sites, cotangent, gradient, .. } = block;
        // cotangent_t is free for scratch: whoever needs it writes it first.
        let row = ((&sites[start - 1..end - 1], &mut cotangent[start..end]), &mut gradient[start..end]);
        for_row(row, |i, ((below, scratch), gradient)| {
            if group.has(start + i) {
                self.differentiate(of, start + i, By::Target, (below, Reads::Stored), scratch)?;
                linalg::axpy(T::one(), scratch, gradient);
            }
            Ok(())
        })
    }

    /// Computes ∂L/∂z_0; left in the block, `d_0 × n`.
    pub fn input_gradient(&self, block: &mut Block<T>) -> Result<()> {
        // The pull-back is all of it: z_0 has no prediction, and so no term of its own.
        self.cotangent(block, 1, Reads::Stored)?;
        self.pull_back(block, 0, Reads::Stored)
    }

    /// Computes ∂L/∂ε_t for all hidden layers, in error coordinates ε_t = z_t − ẑ_t; left in the block as the gradients are. It is as
    /// sequential as backpropagation, and equals it at a forward-consistent block.
    pub fn error_gradients(&self, block: &mut Block<T>) -> Result<()> {
        let top = self.circuit.depth();
        // From the output down: ∂L/∂ε_t needs ∂L/∂ε_{t+1}.
        for t in (1..top).rev() {
            // For the own term of z_t, which compares it with ẑ_t.
            self.evaluate(block, t - 1, Reads::Stored)?;
            self.cotangent(block, t + 1, Reads::Stored)?;
            // The target does not move: ∂L/∂ε_T = 0.
            if t + 1 < top {
                linalg::axpy(T::one(), &block.gradient[t + 1], &mut block.cotangent[t + 1]);
            }
            self.pull_back(block, t, Reads::Stored)?;
            self.add_own_gradients(block, &Group::one(t))?;
        }
        Ok(())
    }

    /// Converts back from error coordinates: z_t ← f(z_{t−1}; θ_{t−1}) + ε_t, from the bottom up. Leaves every prediction but the last
    /// up to date.
    pub(crate) fn roll_out(&self, block: &mut Block<T>) -> Result<()> {
        for t in 1..block.layers() {
            self.evaluate(block, t - 1, Reads::Stored)?;
            block.add_prediction(t);
        }
        Ok(())
    }

    /// Computes ∂L/∂θ_t, t = 0 .. T, summed over the block's examples, from the stored or the forward input of layer t; the
    /// target is the stored z_{t+1} either way. Writes [`param_len`](crate::Layer::param_len) entries.
    pub fn parameter_gradient(&self, block: &mut Block<T>, t: usize, reads: Reads, grad: &mut [T]) -> Result<()> {
        let Block { activations: of, sites, cotangent, .. } = block;
        // In a lane that streams the buffer may come from another layer, at that layer's length.
        cotangent[t + 1].resize(of.stored(t + 1).as_slice().len(), T::zero());
        self.parameter_gradient_at(of, t, (&mut sites[t], reads, false), &mut cotangent[t + 1], grad)
    }

    /// Computes ∂L/∂θ_t for all layers in parallel, except those that `skip` names; `chained` takes the errors that the
    /// [chain rule](Self::chain_rule) has left. With weights the cotangents are scratch afterwards.
    pub(crate) fn parameter_gradients(
        &self,
        block: &mut Block<T>,
        (reads, chained): (Reads, bool),
        grads: &mut [Vec<T>],
        skip: impl Fn(usize) -> bool + Sync,
    ) -> Result<()> {
        let Block { activations: of, sites, cotangent, .. } = block;
        for_row(((&mut sites[..], &mut cotangent[1..]), grads), |t, ((site, cotangent), grad)| match skip(t) {
            true => Ok(()),
            false => self.parameter_gradient_at(of, t, (site, reads, chained), cotangent, grad),
        })
    }

    /// Computes δ_t = ∂L_y/∂a_t by the chain rule, at the last forward pass, left as the gradient of z_t; not below the lowest layer that
    /// `skip` does not name.
    pub(crate) fn chain_rule(&self, block: &mut Block<T>, skip: impl Fn(usize) -> bool) -> Result<()> {
        let depth = self.circuit.depth();
        self.cotangent(block, depth, Reads::Forward)?;
        // No gradient is needed below the lowest trained layer: stop the pull-backs there.
        let lowest = (0..depth).find(|&t| !skip(t)).unwrap_or(depth);
        for t in (lowest + 1..depth).rev() {
            self.pull_back(block, t, Reads::Forward)?;
            block.cotangent[t].copy_from_slice(&block.gradient[t]);
        }
        Ok(())
    }

    /// grad ← Σ weight · (∂f/∂θ)ᵀ · cotangent at the input of layer t; the cotangent is that of its term or, if `chained`, the one in the
    /// block, and keeps the weights.
    fn parameter_gradient_at(
        &self,
        of: &Activations<T>,
        t: usize,
        (site, reads, chained): (&mut Site<T>, Reads, bool),
        cotangent: &mut [T],
        grad: &mut [T],
    ) -> Result<()> {
        if !chained {
            self.circuit.evaluate(t, of, site, reads)?;
            self.differentiate(of, t + 1, By::Prediction, (site, reads), cotangent)?;
        }
        // Only for parameters: activation steps ignore the weights, and write their cotangents anew.
        linalg::scale_columns(cotangent, &of.weights);
        self.circuit.param_gradient(t, of.input(t, reads), cotangent, grad, &mut site.at_mut(reads).cache)
    }

    /// Computes c_t = ∂L/∂ẑ_t for t = 1 ..= T, left in the block.
    pub(crate) fn cotangent(&self, block: &mut Block<T>, t: usize, reads: Reads) -> Result<()> {
        self.evaluate(block, t - 1, reads)?;
        let Block { activations: of, sites, cotangent, .. } = block;
        self.differentiate(of, t, By::Prediction, (&sites[t - 1], reads), &mut cotangent[t])
    }

    /// out ← the derivative of the term of z_t by ẑ_t, c_t = μ_t ∂L_h/∂ẑ_t − λ_t or ∂L_y/∂ẑ_T, or by z_t itself, μ_t ∂L_h/∂z_t + λ_t; from
    /// a prediction that is up to date.
    fn differentiate(
        &self,
        of: &Activations<T>,
        t: usize,
        by: By,
        (below, reads): (&Site<T>, Reads),
        out: &mut [T],
    ) -> Result<()> {
        let (loss, penalty) = self.loss(t);
        let (target, prediction) = (of.stored(t), of.prediction(t - 1, below, reads));
        let grad = MatMut::new(out, target.rows(), target.cols());
        guarded(self.loss_name(t), None, || match by {
            By::Prediction => loss.gradient(target, prediction, grad),
            By::Target => loss.target_gradient(target, prediction, grad),
        })?;
        // Saves a pass over the entries in the usual case of penalty 1.
        if penalty != T::one() {
            out.iter_mut().for_each(|x| *x *= penalty);
        }
        if let Some(multiplier) = of.multiplier(t) {
            let sign = if by == By::Target { T::one() } else { -T::one() };
            linalg::axpy(sign, multiplier.as_slice(), out);
        }
        Ok(())
    }

    /// out ← ∂²L_y/∂ẑ_T² · cotangent_T, `d_T × n`, from a prediction that is up to date.
    pub(crate) fn output_hessian_product(&self, block: &Block<T>, out: MatMut<'_, T>) -> Result<()> {
        let top = block.layers();
        let (target, prediction) = (block.stored(top), block.prediction(top - 1, Reads::Stored));
        let direction = MatRef::new(&block.cotangent[top], target.rows(), target.cols());
        guarded(OUTPUT_LOSS, None, || self.output_loss.hessian_product(target, prediction, direction, out))
    }

    /// out ← the target pre-activation of layer t, for z_{t+1} shifted by its multiplier, from z_t or a_t. Does nothing for a layer
    /// without regression.
    pub(crate) fn pre_activation(&self, block: &mut Block<T>, t: usize, reads: Reads, out: &mut [T]) -> Result<()> {
        let (layer, params) = self.circuit.layer(t);
        let Some(regression) = layer.regression() else { return Ok(()) };
        let Block { activations: of, cotangent, .. } = block;
        // cotangent_{t+1} is free for scratch: whoever needs it writes it first.
        let (input, target) = (of.input(t, reads), self.shifted(of, t + 1, &mut cotangent[t + 1]));
        let out = MatMut::new(out, out.len() / input.cols(), input.cols());
        self.circuit.guarded("the regression", t, || regression.pre_activation(params, input, target.as_ref(), out))?
    }

    /// out ← λ_t + rate · μ_t (z_t − ẑ_t), from a prediction that is up to date.
    pub(crate) fn ascend(&self, block: &Block<T>, t: usize, reads: Reads, by: Multipliers, out: &mut Vec<T>) {
        let (z, prediction) = (block.stored(t), block.prediction(t - 1, reads));
        if let Some(multiplier) = block.multiplier(t) {
            out.resize(z.as_slice().len(), T::zero());
            by.ascend(self.loss(t).1, multiplier.as_slice(), z.as_slice(), prediction.as_slice(), out);
        }
    }

    /// out ← z_t + λ_t/μ_t: the target of a squared term μ_t/2 ‖z_t − ẑ_t‖² with a multiplier.
    pub(crate) fn shifted<'o>(&self, of: &Activations<T>, t: usize, out: &'o mut Vec<T>) -> MatMut<'o, T> {
        let z = of.stored(t);
        out.clear();
        out.extend_from_slice(z.as_slice());
        self.shift(of, t, T::one(), out);
        MatMut::new(out, z.rows(), z.cols())
    }

    /// out ← out + sign · λ_t/μ_t.
    pub(crate) fn shift(&self, of: &Activations<T>, t: usize, sign: T, out: &mut [T]) {
        if let Some(multiplier) = of.multiplier(t) {
            linalg::axpy(sign / self.loss(t).1, multiplier.as_slice(), out);
        }
    }

    /// Fails unless the loss of the output of layer t is the squared error, for `what`.
    pub(crate) fn check_squared(&self, what: &'static str, t: usize) -> Result<()> {
        let loss = self.loss(t + 1).0;
        if loss.is_squared_error() {
            return Ok(());
        }
        let which = if t + 1 == self.circuit.depth() { "output loss" } else { "hidden loss" };
        Err(Error::LossMismatch { what, which, layer: t, found: format!("{loss:?}") })
    }

    /// Returns this objective with penalties μ_t · factor.
    pub(crate) fn with_factor(self, factor: T) -> Self {
        Self { factor, ..self }
    }

    /// Returns the name of L_h or L_y in errors.
    fn loss_name(&self, t: usize) -> &'static str {
        if t < self.circuit.depth() { "the hidden loss" } else { OUTPUT_LOSS }
    }

    /// Returns L_h and μ_t for t < T, L_y and 1 for t = T.
    pub(crate) fn loss(&self, t: usize) -> (&dyn Loss<T>, T) {
        match self.hidden.get(t - 1) {
            Some(hidden) => (&*hidden.loss, hidden.penalty * self.factor),
            // No penalty on the output: those of the hidden layers are relative to its term.
            None => (self.output_loss, T::one()),
        }
    }
}

/// The variable by which the term of z_t is differentiated: ẑ_t or z_t.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Prediction,
    Target,
}

/// Returns the i-th column of `m`, one example.
fn example<T: Scalar>(m: MatRef<'_, T>, i: usize) -> MatRef<'_, T> {
    MatRef::new(m.column(i), m.rows(), 1)
}

/// Computes Σ λᵀ(z − ẑ).
fn lagrangian<T: Scalar>(multiplier: MatRef<'_, T>, z: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
    // As two sums over two slices each, which need no buffer for z − ẑ.
    let product = |x: MatRef<'_, T>| linalg::sum_zip(multiplier.as_slice(), x.as_slice(), |m, x| m * x);
    product(z) - product(prediction)
}

/// Computes Σ ‖z − ẑ‖² and Σ ‖z‖² over the examples, each by its weight.
fn residual<T: Scalar>(z: MatRef<'_, T>, prediction: MatRef<'_, T>, weights: &[T]) -> (f64, f64) {
    // Squares instead of their quotient: these add up over lanes and visits.
    let squares = |z: &[T], prediction: &[T]| {
        let difference = linalg::sum_zip(z, prediction, |z, p| (z - p) * (z - p));
        (difference.to_f64(), linalg::norm_squared(z).to_f64())
    };
    if weights.is_empty() {
        return squares(z.as_slice(), prediction.as_slice());
    }
    z.columns().zip(prediction.columns()).zip(weights).fold((0.0, 0.0), |sums, ((z, prediction), weight)| {
        let (own, weight) = (squares(z, prediction), weight.to_f64());
        (sums.0 + weight * own.0, sums.1 + weight * own.1)
    })
}
