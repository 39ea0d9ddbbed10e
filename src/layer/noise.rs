//! The trait of layers that compute another map in training, with random numbers that they are given.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use super::Layer;
use crate::{MatMut, MatRef, Scalar};

/// A layer that training evaluates with noise, ẑ = f(z; θ, u), as [`Dropout`](super::Dropout) is.
///
/// Offered by [`Layer::noise`](super::Layer::noise). The numbers u are an argument like any other, so the layer stays a pure function; it
/// draws none itself.
///
/// # Which pass has noise
///
/// Every evaluation in the visit of an example, by [`fit`](crate::DecoupledNetwork::fit) and by
/// [`fit_backprop`](crate::DecoupledNetwork::fit_backprop), sees the same u: forward pass, activation steps, energy and gradients agree on
/// one map. u follows from the [seed](crate::FitConfig::seed) of the fit, the number of the epoch over the life of the network, that of
/// the example and that of the layer alone, not from batches or threads. [Frozen](crate::DecoupledNetwork::freeze) layers see it too. The
/// losses and the energy of a [report](crate::EpochReport) are those of the visits, with noise, and so are the activations in the bank.
///
/// All else calls [`forward`](super::Layer::forward), the plain map: predictions, validation,
/// [inference](crate::DecoupledNetwork::infer), the [finish](crate::Method::finish) of a fit, starts, estimates of the curvature,
/// [diagnostics](crate::diagnostics) and warnings that evaluate the data. It should be the mean over u, or stand for it.
///
/// A method that keeps an example's activations or multipliers from visit to visit would mix the maps of both, and closed forms are those
/// of the plain map: both are [`Error::Unsupported`](crate::Error::Unsupported) for a network with such a layer.
///
/// # Example
///
/// A layer that adds the same small number to all units of an example:
///
/// ```
/// use decoupled::layer::Noise;
/// use decoupled::{Layer, MatMut, MatRef};
///
/// #[derive(Debug)]
/// struct Shaken;
///
/// impl Layer<f64> for Shaken {
///     fn input_dim(&self) -> usize {
///         3
///     }
///     fn output_dim(&self) -> usize {
///         3
///     }
///     fn forward(&self, _: &[f64], input: MatRef<'_, f64>, mut output: MatMut<'_, f64>, _: &mut [f64]) {
///         output.as_mut_slice().copy_from_slice(input.as_slice());
///     }
///     fn input_gradient(
///         &self,
///         _: &[f64],
///         _: MatRef<'_, f64>,
///         cotangent: MatRef<'_, f64>,
///         mut grad: MatMut<'_, f64>,
///         _: &mut [f64],
///     ) {
///         grad.as_mut_slice().copy_from_slice(cotangent.as_slice());
///     }
///     fn noise(&self) -> Option<&dyn Noise<f64>> {
///         Some(self)
///     }
/// }
///
/// impl Noise<f64> for Shaken {
///     fn noise_len(&self) -> usize {
///         1
///     }
///     fn noisy_forward(
///         &self,
///         _: &[f64],
///         input: MatRef<'_, f64>,
///         noise: MatRef<'_, f64>,
///         mut output: MatMut<'_, f64>,
///         _: &mut [f64],
///     ) {
///         for ((y, x), u) in output.columns_mut().zip(input.columns()).zip(noise.as_slice()) {
///             y.iter_mut().zip(x).for_each(|(y, x)| *y = x + 0.1 * (u - 0.5));
///         }
///     }
/// }
///
/// decoupled::check::layer(&Shaken)?;
/// # Ok::<(), decoupled::Error>(())
/// ```
pub trait Noise<T: Scalar>: Debug + Send + Sync {
    /// Returns the random numbers that one example takes.
    fn noise_len(&self) -> usize;

    /// output = f(input; params, noise), in place of [`Layer::forward`](super::Layer::forward), whose contract it keeps. `noise` is
    /// [`noise_len`](Self::noise_len) `× n`, each entry uniform on [0, 1) in multiples of 2⁻²⁴.
    ///
    /// The layer's gradient methods are then called as after `forward`, and must be those of this map: leave in the cache what they
    /// need to know of the noise. Gradients after a later `forward` into the same cache are those of the plain map again.
    fn noisy_forward(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        noise: MatRef<'_, T>,
        output: MatMut<'_, T>,
        cache: &mut [T],
    );
}

/// The forward passes of a layer's parts, one after the other: plain, or each with its rows of the layer's noise.
pub(super) struct Passes<'n, T> {
    noise: Option<MatRef<'n, T>>,
    /// Rows of the parts so far.
    taken: usize,
}

impl<'n, T: Scalar> Passes<'n, T> {
    pub(super) fn plain() -> Self {
        Self { noise: None, taken: 0 }
    }

    pub(super) fn with(noise: MatRef<'n, T>) -> Self {
        Self { noise: Some(noise), taken: 0 }
    }

    /// Evaluates the next part.
    pub(super) fn forward(
        &mut self,
        part: &dyn Layer<T>,
        params: &[T],
        input: MatRef<'_, T>,
        output: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let Some((noise, noisy)) = self.noise.zip(part.noise()) else {
            return part.forward(params, input, output, cache);
        };
        let (first, rows) = (self.taken, noisy.noise_len());
        self.taken += rows;
        // The usual layer has one such part, which takes the matrix as it is.
        let own = match rows == noise.rows() {
            true => Cow::Borrowed(noise.as_slice()),
            false => noise.columns().flat_map(|column| column.iter().skip(first).take(rows)).copied().collect(),
        };
        noisy.noisy_forward(params, input, MatRef::new(&own, rows, noise.cols()), output, cache);
    }
}

/// Returns the random numbers that an example takes in all of a layer's parts.
pub(super) fn noise_len<'l, T: Scalar>(parts: impl IntoIterator<Item = &'l Arc<dyn Layer<T>>>) -> usize {
    parts.into_iter().filter_map(|part| part.noise()).map(Noise::noise_len).fold(0, usize::saturating_add)
}
