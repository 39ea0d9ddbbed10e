//! How a fit ends when the coupling asks for it: Z becomes the forward pass, and the last layer is refitted to it.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::bank::Column;
use crate::energy::OUTPUT_LOSS;
use crate::fit::Share;
use crate::layer::CACHE;
use crate::matrix::filled;
use crate::parallel::{for_each, guarded};
use crate::{Dataset, DecoupledNetwork, Error, Layer, Loss, MatMut, MatRef, Result, Scalar, linalg, loss};

/// What the end of a fit brought: the mean forward loss on the training data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refit {
    /// Before the last layer was refitted.
    pub before: f64,
    /// After; never more than before.
    pub after: f64,
}

/// Descent steps at most.
const STEPS: usize = 100;
/// Halvings of a step before the descent ends.
const HALVINGS: usize = 30;
/// Descent ends when so many steps in a row have each brought less than this share of the loss: Barzilai–Borwein steps are
/// uneven, and a small gain does not mean that the next is small.
const PATIENCE: usize = 5;
const PROGRESS: f64 = 1e-5;
/// Examples that one task works on, and tasks at most, each with a gradient of its own.
const CHUNK: usize = 256;
const FEATURES: &str = "the highest hidden activation of all examples";
const MAX_PARTS: usize = 16;

impl<T: Scalar> DecoupledNetwork<T> {
    /// Minimises the forward loss on these data over the last layer's parameters alone, all other layers as they are: by least
    /// squares where the loss is one of squares and the layer an affine map, then by at most a hundred Barzilai–Borwein
    /// steps of descent, halved until the loss falls: not to the last digit where the inputs are badly conditioned. Neither the bank nor optimizers change.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), [`Error::Unsupported`] when the last layer has no parameters or is
    /// [frozen](Self::freeze), and [`Error::Diverged`] (epoch 0) when a forward activation or the loss is not finite;
    /// nothing has changed then.
    pub fn refit_output(&mut self, data: &Dataset<T>) -> Result<Refit> {
        check(self)?;
        self.check_data(data)?;
        let pool = Arc::clone(&self.pool);
        pool.install(|| {
            let mut features = filled(FEATURES, top_width(self).saturating_mul(data.len()), T::zero())?;
            forward(self, Vec::new(), data.inputs().as_slice(), &mut features)?;
            refit(self, data, &features)
        })
    }
}

/// Rows of what the last layer reads.
fn top_width<T: Scalar>(net: &DecoupledNetwork<T>) -> usize {
    net.layers.last().map_or(0, |layer| layer.input_dim())
}

/// Fails when there is nothing to refit.
pub(crate) fn check<T: Scalar>(net: &DecoupledNetwork<T>) -> Result<()> {
    if net.trained.last().is_some_and(|last| last.frozen) {
        let why = "it is frozen: unfreeze it, or fit without a finish (Method::finish)";
        return Err(Error::Unsupported { what: "refitting the last layer", why });
    }
    match net.params.last() {
        Some(params) if !params.is_empty() => Ok(()),
        _ => Err(Error::Unsupported {
            what: "refitting the last layer",
            why: "it has no parameters; make the activation function of the output a part of the layer below it",
        }),
    }
}

/// Sets the bank, which is that of these data, to the forward pass, block after block, and refits the last layer to it.
///
/// # Errors
/// [`Error::Panicked`](crate::Error::Panicked), [`Error::Diverged`](crate::Error::Diverged) (epoch 0) for what is not finite or what
/// the bank's format cannot hold, and those of the bank's file; the parameters are as they were then.
pub(crate) fn finish<T: Scalar>(net: &mut DecoupledNetwork<T>, data: &Dataset<T>, blocks: &[Share]) -> Result<Refit> {
    let (mut bank, mut file) = (net.bank.take(), net.file.0.take());
    let (below, above) = (data.input_dim(), top_width(net));
    let mut features = filled(FEATURES, above.saturating_mul(data.len()), T::zero())?;
    #[expect(clippy::indexing_slicing, reason = "shares are of these data")]
    let mut visit = |share: &Share, columns: Vec<Column<'_, T>>| {
        let last = share.first + share.examples.len();
        let inputs = &data.inputs().as_slice()[share.first * below..last * below];
        forward(net, columns, inputs, &mut features[share.first * above..last * above])
    };
    let outcome = match &mut file {
        Some(file) => {
            let order: Vec<usize> = blocks.iter().map(|share| share.block).collect();
            file.visit(&order, |place, bank| {
                let Some(share) = blocks.get(place) else { return Ok(ControlFlow::Break(())) };
                visit(share, bank.columns_mut().collect()).map(ControlFlow::Continue)
            })
        }
        None => {
            let mut columns = bank.iter_mut().flat_map(|bank| bank.columns_mut());
            blocks.iter().try_for_each(|share| visit(share, columns.by_ref().take(share.examples.len()).collect()))
        }
    };
    (net.bank, net.file.0) = (bank, file);
    outcome?;
    refit(net, data, &features)
}

fn refit<T: Scalar>(net: &mut DecoupledNetwork<T>, data: &Dataset<T>, features: &[T]) -> Result<Refit> {
    let top = net.depth() - 1;
    let (Some(layer), Some(own)) = (net.layers.last(), net.params.last_mut()) else {
        return Err(Error::Empty { what: "the list of layers" });
    };
    let last = Last { layer: &**layer, loss: &*net.output_loss, data, features, index: top };
    let mut params = own.clone();
    let before = last.at(&params)?.0;
    if !before.is_finite() {
        return Err(Error::Diverged { layer: top, epoch: 0, quantity: "the loss" });
    }
    last.least_squares(&mut params)?;
    let after = last.descend(&mut params)?;
    // Rounding may leave least squares a trifle above a minimum that was there before, or beyond the finite numbers.
    if after <= before {
        *own = params;
    }
    Ok(Refit { before, after: after.min(before) })
}

/// The input of the last layer for these inputs, `d × n`; the columns of a bank, if there are any, take all hidden activations on
/// the way.
fn forward<T: Scalar>(
    net: &DecoupledNetwork<T>,
    mut columns: Vec<Column<'_, T>>,
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
        for (t, (layer, params)) in net.layers.iter().zip(&net.params).take(top).enumerate() {
            z = evaluate(&**layer, params, &z, t)?;
            if !linalg::all_finite(&z) {
                return Err(Error::Diverged { layer: t + 1, epoch: 0, quantity: "the input" });
            }
            let width = layer.output_dim();
            for (column, z) in columns.iter_mut().zip(z.chunks_exact(width)) {
                column.set_activation(t + 1, z)?;
                column.visited_at(net.updates);
            }
        }
        out.copy_from_slice(&z);
        Ok(())
    })
}

/// f(z; θ), `output × n`.
pub(crate) fn evaluate<T: Scalar>(layer: &dyn Layer<T>, params: &[T], z: &[T], t: usize) -> Result<Vec<T>> {
    let examples = z.len() / layer.input_dim();
    let mut out = vec![T::zero(); layer.output_dim() * examples];
    guarded("forward", t, || {
        let mut cache = filled(CACHE, layer.cache_len(examples), T::zero())?;
        let out = MatMut::new(&mut out, layer.output_dim(), examples);
        layer.forward(params, MatRef::new(z, layer.input_dim(), examples), out, &mut cache);
        Ok(())
    })??;
    Ok(out)
}

/// The last layer over fixed inputs: an ordinary regression.
#[derive(Clone, Copy, Debug)]
struct Last<'a, T: Scalar> {
    layer: &'a dyn Layer<T>,
    loss: &'a dyn Loss<T>,
    data: &'a Dataset<T>,
    features: &'a [T],
    index: usize,
}

impl<T: Scalar> Last<'_, T> {
    /// The exact minimum, if it is one of least squares and determined.
    fn least_squares(&self, params: &mut [T]) -> Result<()> {
        let Some(layer) = self.layer.regression().filter(|_| self.loss.is_squared_error()) else { return Ok(()) };
        let (inputs, outputs) = (self.layer.input_dim(), self.layer.output_dim());
        guarded("the regression", self.index, || {
            let mut moments = filled("the moments of a regression", layer.moments_len(), T::zero())?;
            let targets = self.data.targets().as_slice().chunks(CHUNK * outputs);
            for (first, (z, y)) in (0..).step_by(CHUNK).zip(self.features.chunks(CHUNK * inputs).zip(targets)) {
                let n = z.len() / inputs;
                let weights = self.data.weights_of(first..first + n);
                let rows = layer.pre_activation_dim();
                let (input, target) = (MatRef::new(z, inputs, n), MatRef::new(y, outputs, n));
                let mut wanted = filled("pre-activations", rows.saturating_mul(n), T::zero())?;
                layer.pre_activation(params, input, target, MatMut::new(&mut wanted, rows, n))?;
                layer.accumulate(input, MatRef::new(&wanted, rows, n), &weights, &mut moments);
            }
            match layer.solve(&moments, T::zero(), T::zero(), params, &mut Vec::new()) {
                Err(Error::NotPositiveDefinite { .. }) => Ok(()),
                other => other,
            }
        })?
    }

    /// Descends, and returns the loss where it ends.
    fn descend(&self, params: &mut Vec<T>) -> Result<f64> {
        let (mut loss, mut gradient) = self.at(params)?;
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
            // ‖s‖²/⟨s, y⟩ is the step that a quadratic of the curvature seen last would want.
            let moved = linalg::sum_zip(&trial, params, |a, b| (a - b) * (a - b));
            let bent: Vec<T> = slope.iter().zip(&gradient).map(|(&a, &b)| a - b).collect();
            let steps: Vec<T> = trial.iter().zip(&*params).map(|(&a, &b)| a - b).collect();
            let along = linalg::sum_zip(&steps, &bent, |s, y| s * y);
            rate = if along > T::zero() { moved / along } else { rate * T::of(2.0) };
            slow = if loss - found < PROGRESS * found { slow + 1 } else { 0 };
            (*params, loss, gradient) = (trial, found, slope);
            if slow == PATIENCE {
                break;
            }
        }
        Ok(loss)
    }

    /// Mean loss and its gradient, by the weights of the examples.
    fn at(&self, params: &[T]) -> Result<(f64, Vec<T>)> {
        let (inputs, outputs) = (self.layer.input_dim(), self.layer.output_dim());
        let width = CHUNK.max(self.data.len().div_ceil(MAX_PARTS));
        let targets = self.data.targets().as_slice().chunks(width * outputs);
        let parts = (0..).step_by(width).zip(self.features.chunks(width * inputs).zip(targets));
        let mut parts: Vec<_> = parts.map(|(i, (z, y))| (i, z, y, 0.0, vec![T::zero(); params.len()])).collect();
        for_each(&mut parts, |(first, z, y, loss, sum)| {
            let mut own = sum.clone();
            let chunks = z.chunks(CHUNK * inputs).zip(y.chunks(CHUNK * outputs));
            for (first, (z, y)) in (*first..).step_by(CHUNK).zip(chunks) {
                let examples = z.len() / inputs;
                let weights = self.data.weights_of(first..first + examples);
                let input = MatRef::new(z, inputs, examples);
                let target = MatRef::new(y, outputs, examples);
                let mut prediction = vec![T::zero(); y.len()];
                let mut cotangent = vec![T::zero(); y.len()];
                let cache = guarded("cache_len", self.index, || self.layer.cache_len(examples))?;
                let mut cache = filled(CACHE, cache, T::zero())?;
                guarded("forward", self.index, || {
                    self.layer.forward(params, input, MatMut::new(&mut prediction, outputs, examples), &mut cache);
                })?;
                let prediction = MatRef::new(&prediction, outputs, examples);
                *loss += guarded(OUTPUT_LOSS, None, || {
                    self.loss.gradient(target, prediction, MatMut::new(&mut cotangent, outputs, examples));
                    linalg::scale_columns(&mut cotangent, &weights);
                    loss::total(self.loss, target, prediction, &weights)
                })?;
                if !params.is_empty() {
                    let cotangent = MatRef::new(&cotangent, outputs, examples);
                    guarded("param_gradient", self.index, || {
                        self.layer.param_gradient(params, input, cotangent, &mut own, &mut cache);
                    })?;
                }
                linalg::axpy(T::one(), &own, sum);
            }
            Ok(())
        })?;
        let share = 1.0 / self.data.len() as f64;
        let mut gradient = vec![T::zero(); params.len()];
        parts.iter().for_each(|(.., sum)| linalg::axpy(T::of(share), sum, &mut gradient));
        Ok((share * parts.iter().map(|(.., loss, _)| loss).sum::<f64>(), gradient))
    }
}
