//! The layers with their parameters. No other file calls the forward and gradient methods of a network's layers.
//!
//! So a panic of a layer, or a lack of memory for its cache, becomes an error in one place.

use std::sync::Arc;

use crate::layer::CACHE;
use crate::machine::linalg::matrix::{filled, resize};
use crate::machine::parallel::guarded;
use crate::method::block::{Activations, Evaluation, Reads, Site};
use crate::{Error, Layer, MatMut, MatRef, Result, Scalar};

/// ẑ_{t+1} = f(z_t; θ_t) for consecutive layers, and the two pull-backs of each.
///
/// # Errors
/// All its methods return [`Error::Panicked`](crate::Error::Panicked) when a layer panics, and
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if there is no memory for a layer's cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circuit<'a, T> {
    pub(crate) layers: &'a [Arc<dyn Layer<T>>],
    pub(crate) params: &'a [Vec<T>],
    /// The number of the lowest layer in the whole network: errors count from it.
    pub(crate) first: usize,
}

impl<'a, T: Scalar> Circuit<'a, T> {
    /// Returns all layers of a network.
    pub(crate) fn new(layers: &'a [Arc<dyn Layer<T>>], params: &'a [Vec<T>]) -> Self {
        Self { layers, params, first: 0 }
    }

    /// Returns the layers from `t` on, `count` of them.
    pub(crate) fn part(self, t: usize, count: usize) -> Self {
        let (layers, params) = (&self.layers[t..t + count], &self.params[t..t + count]);
        Self { layers, params, first: self.first + t }
    }

    /// Returns the number of layers T.
    pub(crate) fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Returns layer t, and its parameters.
    pub(crate) fn layer(&self, t: usize) -> (&'a dyn Layer<T>, &'a [T]) {
        (&*self.layers[t], &self.params[t])
    }

    /// Returns the error of a layer that lacks an operator.
    pub(crate) fn incapable(&self, t: usize, lacks: &'static str) -> Error {
        let methods = "the default, joint, predictive_coding, incremental, error_based, local_targets, backprop_by_sweep, alm, mac";
        Error::Incapable { layer: self.first + t, name: format!("{:?}", self.layers[t]), lacks, methods }
    }

    /// Calls another operator of layer t; errors name it `what`.
    pub(crate) fn guarded<R>(&self, what: &'static str, t: usize, call: impl FnOnce() -> R) -> Result<R> {
        guarded(what, self.first + t, call)
    }

    /// output ← f(input; θ_t), `d_{t+1} × n`, and cache ← the layer's intermediate results for its gradients.
    pub(crate) fn forward(&self, t: usize, input: MatRef<'_, T>, output: &mut [T], cache: &mut Vec<T>) -> Result<()> {
        let (layer, params) = self.layer(t);
        self.apply(t, input.cols(), output, cache, |output, cache| layer.forward(params, input, output, cache))
    }

    /// Runs a forward pass of layer t, plain or with noise, with a cache of its length.
    fn apply(
        &self,
        t: usize,
        examples: usize,
        output: &mut [T],
        cache: &mut Vec<T>,
        pass: impl FnOnce(MatMut<'_, T>, &mut [T]),
    ) -> Result<()> {
        let layer = &self.layers[t];
        let output = MatMut::new(output, layer.output_dim(), examples);
        self.guarded("forward", t, || {
            // The cache's size is the layer's own, so asking for it is guarded as well.
            resize(CACHE, cache, layer.cache_len(examples), T::zero())?;
            pass(output, cache);
            Ok(())
        })?
    }

    /// Returns f(input; θ_t), `d_{t+1} × n`.
    pub(crate) fn output(&self, t: usize, input: MatRef<'_, T>) -> Result<Vec<T>> {
        let len = self.layers[t].output_dim().saturating_mul(input.cols());
        let mut output = filled("the activations of a layer", len, T::zero())?;
        self.forward(t, input, &mut output, &mut Vec::new())?;
        Ok(output)
    }

    /// gradient ← (∂f/∂z)ᵀ · cotangent, `d_t × n`; the cache is that of the forward evaluation at the same input.
    pub(crate) fn input_gradient(
        &self,
        t: usize,
        input: MatRef<'_, T>,
        cotangent: &[T],
        gradient: &mut [T],
        cache: &mut [T],
    ) -> Result<()> {
        if is_zero(cotangent) {
            // Zero cotangent, as in the lower layers after a forward pass: skip the product.
            gradient.fill(T::zero());
            return Ok(());
        }
        let (layer, params) = self.layer(t);
        let cotangent = MatRef::new(cotangent, layer.output_dim(), input.cols());
        let gradient = MatMut::new(gradient, input.rows(), input.cols());
        self.guarded("input_gradient", t, || layer.input_gradient(params, input, cotangent, gradient, cache))
    }

    /// grad ← Σ (∂f/∂θ)ᵀ · cotangent over the examples; the cache is that of the forward evaluation at the same input.
    pub(crate) fn param_gradient(
        &self,
        t: usize,
        input: MatRef<'_, T>,
        cotangent: &[T],
        grad: &mut [T],
        cache: &mut [T],
    ) -> Result<()> {
        if grad.is_empty() || is_zero(cotangent) {
            grad.fill(T::zero());
            return Ok(());
        }
        let (layer, params) = self.layer(t);
        let cotangent = MatRef::new(cotangent, layer.output_dim(), input.cols());
        self.guarded("param_gradient", t, || layer.param_gradient(params, input, cotangent, grad, cache))
    }

    /// Brings the prediction of layer t from z_t or a_t up to date, with the noise that the block's examples have.
    pub(crate) fn evaluate(&self, t: usize, of: &Activations<T>, site: &mut Site<T>, reads: Reads) -> Result<()> {
        // Lazy: the same prediction serves several stages until something it reads moves.
        if site.at(reads).fresh {
            return Ok(());
        }
        let input = of.input(t, reads);
        let (layer, params) = self.layer(t);
        let noisy = if of.draws.examples.is_empty() { None } else { self.guarded("noise", t, || layer.noise())? };
        // Taken out while the evaluation beside it is written; drawn again after an error.
        let mut noise = std::mem::take(&mut site.noise);
        let Evaluation { output, cache, fresh } = site.at_mut(reads);
        // After a change of window the buffer is another layer's, or none.
        output.resize(layer.output_dim() * input.cols(), T::zero());
        match noisy {
            Some(noisy) => {
                let rows = self.guarded("noise_len", t, || noisy.noise_len())?;
                if noise.is_empty() {
                    of.draws.draw(self.first + t, rows, &mut noise)?;
                }
                let noise = MatRef::new(&noise, rows, input.cols());
                let pass = |output: MatMut<'_, T>, cache: &mut [T]| {
                    noisy.noisy_forward(params, input, noise, output, cache);
                };
                self.apply(t, input.cols(), output, cache, pass)?;
            }
            None => self.forward(t, input, output, cache)?,
        }
        *fresh = true;
        site.noise = noise;
        Ok(())
    }
}

fn is_zero<T: Scalar>(entries: &[T]) -> bool {
    entries.iter().all(|x| *x == T::zero())
}
