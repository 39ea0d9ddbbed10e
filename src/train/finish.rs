//! The finish of a fit, if the coupling sets it: Z becomes the forward pass, and the last layer is refitted to it.

use std::ops::{ControlFlow, Range};
use std::slice;
use std::sync::Arc;

use crate::bank::Column;
use crate::bank::order::Share;
use crate::error::supported;
use crate::machine::linalg;
use crate::machine::linalg::matrix::{check_diverged, filled};
use crate::machine::parallel::{for_each, guarded};
use crate::method::block::{Block, Reads};
use crate::method::circuit::Circuit;
use crate::method::energy::Objective;
use crate::method::parameter_step::add_moments;
use crate::{Dataset, DecoupledNetwork, Error, Layer, Loss, MatRef, Result, Scalar};

/// The result of a refit: the mean forward loss on the training data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refit {
    /// Loss before the last layer was refitted.
    pub before: f64,
    /// Loss afterwards; never higher.
    pub after: f64,
}

/// Most descent steps.
const STEPS: usize = 100;
/// Most halvings of a step; then the descent ends.
const HALVINGS: usize = 30;
/// The descent ends after `PATIENCE` consecutive steps that each lower the loss by less than `PROGRESS` of it. Barzilai–Borwein steps
/// are uneven: a small gain does not mean that the next is small.
const PATIENCE: usize = 5;
const PROGRESS: f64 = 1e-5;
/// Examples of one task, and most tasks; each task holds its own gradient.
const CHUNK: usize = 256;
const FEATURES: &str = "the highest hidden activation of all examples";
const MAX_PARTS: usize = 16;

impl<T: Scalar> DecoupledNetwork<T> {
    /// Minimises the forward loss on these data over the last layer's parameters alone, with all other layers fixed. It solves least
    /// squares if the loss is the squared error and the layer an affine map, then takes at most a hundred Barzilai–Borwein steps of
    /// descent, each halved until the loss falls. Badly conditioned inputs leave it short of the last digit. Bank and optimizers do not
    /// change.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), [`Error::Unsupported`] when the last layer has no parameters or is
    /// [frozen](Self::freeze), and [`Error::Diverged`] (epoch 0) when a forward activation or the loss is not finite;
    /// nothing has changed in that case.
    pub fn refit_output(&mut self, data: &Dataset<T>) -> Result<Refit> {
        check(self)?;
        self.check_data(data)?;
        let pool = Arc::clone(&self.pool);
        pool.install(|| {
            let mut features = filled(FEATURES, top_width(self).saturating_mul(data.len()), T::zero())?;
            forward(self, &mut [], data.inputs().as_slice(), &mut features)?;
            let refit = refit(self, data, &features)?;
            // The last layer belongs to the hidden ones as they are.
            self.training.drawn = None;
            Ok(refit)
        })
    }
}

/// Returns the rows of the last layer's input.
fn top_width<T: Scalar>(net: &DecoupledNetwork<T>) -> usize {
    net.layers.last().map_or(0, |layer| layer.input_dim())
}

/// Fails when there is nothing to refit.
pub(crate) fn check<T: Scalar>(net: &DecoupledNetwork<T>) -> Result<()> {
    let what = "refitting the last layer";
    let why = "it is frozen: unfreeze it, or fit without a finish (Method::finish)";
    supported(!net.training.layers.last().is_some_and(|last| last.frozen), what, why)?;
    let why = "it has no parameters; make the activation function of the output a part of the layer below it";
    supported(net.params.last().is_some_and(|params| !params.is_empty()), what, why)
}

/// Sets the bank, which belongs to `data`, to the forward pass, block after block, and refits the last layer to it.
///
/// # Errors
/// [`Error::Panicked`](crate::Error::Panicked), [`Error::Diverged`](crate::Error::Diverged) (epoch 0) for a number that is not finite
/// or not in the range of the bank's format, and those of the bank's file. The parameters have not changed in that case.
pub(crate) fn finish<T: Scalar>(net: &mut DecoupledNetwork<T>, data: &Dataset<T>, blocks: &[Share]) -> Result<Refit> {
    let mut bank = std::mem::take(&mut net.bank);
    let (below, above) = (data.input_dim(), top_width(net));
    let mut features = filled(FEATURES, above.saturating_mul(data.len()), T::zero())?;
    #[expect(clippy::indexing_slicing, reason = "shares are of these data")]
    let visited = bank.visit(blocks, |share, columns| {
        let last = share.first + share.examples.len();
        let inputs = &data.inputs().as_slice()[share.first * below..last * below];
        forward(net, columns, inputs, &mut features[share.first * above..last * above]).map(ControlFlow::Continue)
    });
    // Before the error is returned: the network keeps its bank either way.
    net.bank = bank;
    visited?;
    refit(net, data, &features)
}

fn refit<T: Scalar>(net: &mut DecoupledNetwork<T>, data: &Dataset<T>, features: &[T]) -> Result<Refit> {
    let top = net.depth() - 1;
    let (Some(layer), Some(own)) = (net.layers.last(), net.params.last_mut()) else {
        return Err(Error::Empty { what: "the list of layers" });
    };
    let last = Last { layer, output_loss: &*net.output_loss, data, features, index: top };
    let mut params = own.clone();
    let before = last.at(&params)?.0;
    check_diverged(&[before], top, "the loss")?;
    last.least_squares(&mut params)?;
    let after = last.descend(&mut params)?;
    // Rounding can make the solution worse than the old parameters, or non-finite: keep the old ones then.
    if after <= before {
        *own = params;
    }
    Ok(Refit { before, after: after.min(before) })
}

/// Computes the last layer's input, `d × n`, for these inputs, and stores all hidden activations in the bank's columns, if there are
/// any.
fn forward<T: Scalar>(
    net: &DecoupledNetwork<T>,
    columns: &mut [Column<'_, T>],
    inputs: &[T],
    features: &mut [T],
) -> Result<()> {
    let top = net.depth() - 1;
    let mut columns = columns.chunks_mut(CHUNK);
    let inputs = inputs.chunks(CHUNK * net.input_dim());
    let jobs = inputs.zip(features.chunks_mut(CHUNK * top_width(net)));
    let mut jobs: Vec<_> = jobs.map(|(x, out)| (x, out, columns.next().unwrap_or_default())).collect();
    for_each(&mut jobs, |(x, out, columns)| {
        let mut z = x.to_vec();
        for (t, layer) in net.layers.iter().take(top).enumerate() {
            z = net.circuit().output(t, MatRef::new(&z, layer.input_dim(), z.len() / layer.input_dim()))?;
            check_diverged(&z, t + 1, "the input")?;
            let width = layer.output_dim();
            for (column, z) in columns.iter_mut().zip(z.chunks_exact(width)) {
                column.set_activation(t + 1, z)?;
                // The stored activations are those of the present parameters: their age is 0.
                column.visited_at(net.training.updates);
            }
        }
        out.copy_from_slice(&z);
        Ok(())
    })
}

/// The last layer over fixed inputs: an ordinary regression, as a circuit of one layer.
#[derive(Clone, Copy, Debug)]
struct Last<'a, T: Scalar> {
    layer: &'a Arc<dyn Layer<T>>,
    output_loss: &'a dyn Loss<T>,
    data: &'a Dataset<T>,
    features: &'a [T],
    index: usize,
}

impl<T: Scalar> Last<'_, T> {
    fn objective<'o>(&'o self, params: &'o Vec<T>) -> Objective<'o, T> {
        let (layers, params) = (slice::from_ref(self.layer), slice::from_ref(params));
        let circuit = Circuit { layers, params, first: self.index };
        Objective { circuit, output_loss: self.output_loss, hidden: &[], factor: T::one() }
    }

    /// Loads `examples` into the block.
    #[expect(clippy::indexing_slicing, reason = "examples are of these data")]
    fn load(&self, block: &mut Block<T>, examples: Range<usize>) {
        let part = |rows: usize| examples.start * rows..examples.end * rows;
        block.resize(examples.len());
        let (features, targets) = (self.features, self.data.targets());
        block.stored_mut(0).copy_from_slice(&features[part(self.layer.input_dim())]);
        block.stored_mut(1).copy_from_slice(&targets.as_slice()[part(targets.rows())]);
        block.set_weights(self.data.weights_of(examples).into_iter());
    }

    /// Moves to the exact minimum, if the loss is the squared error and the minimum is unique.
    fn least_squares(&self, params: &mut Vec<T>) -> Result<()> {
        let Some(regression) = self.layer.regression().filter(|_| self.output_loss.is_squared_error()) else {
            return Ok(());
        };
        let mut moments = Vec::new();
        let objective = self.objective(params);
        let mut block = objective.block(0);
        for first in (0..self.data.len()).step_by(CHUNK) {
            self.load(&mut block, first..self.data.len().min(first + CHUNK));
            add_moments(&objective, &mut block, 0, Reads::Stored, &mut moments)?;
        }
        let solve = || regression.solve(&moments, T::zero(), T::zero(), params, &mut Vec::new());
        match guarded("the regression", self.index, solve)? {
            // Not unique: the descent below finds one of the minima.
            Err(Error::NotPositiveDefinite { .. }) => Ok(()),
            other => other,
        }
    }

    /// Descends, and returns the final loss.
    fn descend(&self, params: &mut Vec<T>) -> Result<f64> {
        let (mut loss, mut gradient) = self.at(params)?;
        // Any first step will do: it is halved until the loss falls, and later steps follow the curvature.
        let mut rate = T::of(0.1);
        let mut slow = 0;
        for _ in 0..STEPS {
            let mut accepted = None;
            for _ in 0..HALVINGS {
                let mut trial = params.clone();
                linalg::axpy(-rate, &gradient, &mut trial);
                let found = self.at(&trial)?;
                if found.0 < loss {
                    accepted = Some((trial, found));
                    break;
                }
                rate *= T::of(0.5);
            }
            let Some((trial, (found, slope))) = accepted else { break };
            // ‖s‖²/⟨s, y⟩ is the best step for a quadratic with the curvature along the last one.
            let moved = linalg::sum_zip(&trial, params, |a, b| (a - b) * (a - b));
            let bent: Vec<T> = slope.iter().zip(&gradient).map(|(&a, &b)| a - b).collect();
            let steps: Vec<T> = trial.iter().zip(&*params).map(|(&a, &b)| a - b).collect();
            let along = linalg::sum_zip(&steps, &bent, |s, y| s * y);
            // Not convex along the step: the quotient is no step then.
            rate = if along > T::zero() { moved / along } else { rate * T::of(2.0) };
            slow = if loss - found < PROGRESS * found { slow + 1 } else { 0 };
            (*params, loss, gradient) = (trial, found, slope);
            if slow == PATIENCE {
                break;
            }
        }
        Ok(loss)
    }

    /// Computes the mean loss and its gradient, by the weights of the examples.
    fn at(&self, params: &Vec<T>) -> Result<(f64, Vec<T>)> {
        let objective = self.objective(params);
        let n = self.data.len();
        // Cut by the number of examples alone, so that sums have the same bits on any number of threads.
        let width = CHUNK.max(n.div_ceil(MAX_PARTS));
        let parts = (0..n).step_by(width);
        let mut parts: Vec<_> = parts.map(|first| (first, 0.0, vec![T::zero(); params.len()])).collect();
        for_each(&mut parts, |(first, loss, sum)| {
            let mut own = sum.clone();
            let mut block = objective.block(0);
            let end = n.min(*first + width);
            for first in (*first..end).step_by(CHUNK) {
                self.load(&mut block, first..end.min(first + CHUNK));
                objective.evaluate(&mut block, 0, Reads::Stored)?;
                let outputs = block.prediction(0, Reads::Stored);
                *loss += objective.loss_of(block.stored(1), outputs, block.weights())?;
                objective.parameter_gradient(&mut block, 0, Reads::Stored, &mut own)?;
                linalg::axpy(T::one(), &own, sum);
            }
            Ok(())
        })?;
        let share = 1.0 / n as f64;
        let mut gradient = vec![T::zero(); params.len()];
        parts.iter().for_each(|(.., sum)| linalg::axpy(T::of(share), sum, &mut gradient));
        Ok((share * parts.iter().map(|(_, loss, _)| loss).sum::<f64>(), gradient))
    }
}
