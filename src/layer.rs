//! The trait [`Layer`] and the built-in layers.

use std::fmt::Debug;

use rand::Rng;

#[cfg(feature = "serde")]
use crate::description::Description;
use crate::{Error, MatMut, MatRef, Result, Scalar};

mod activation;
mod chain;
mod channels;
mod conv1d;
mod conv2d;
#[expect(clippy::indexing_slicing, reason = "two axes")]
mod conv_transpose2d;
#[expect(clippy::indexing_slicing, reason = "weights and pictures have the sizes that the windows give")]
mod correlation;
#[expect(clippy::indexing_slicing, reason = "parameters and columns have the widths that the layer gives")]
mod dense;
mod dropout;
mod group_norm;
mod init;
mod layer_norm;
mod noise;
#[expect(clippy::indexing_slicing, reason = "pixels that the windows reach")]
mod pool2d;
mod prox;
mod proximal;
mod regression;
mod residual;
pub(crate) mod shape;
mod shared;
mod tensor;
mod upsample;
#[expect(clippy::indexing_slicing, reason = "two axes, and pixels that the windows reach")]
mod windows;
#[expect(clippy::indexing_slicing, reason = "parameters in the places that the wiring gives, and units that there are")]
mod wiring;

pub use activation::{Activation, Elementwise};
pub use chain::Chain;
pub use conv_transpose2d::ConvTranspose2d;
pub use conv1d::Conv1d;
pub use conv2d::Conv2d;
pub use dense::Dense;
pub use dropout::Dropout;
pub use group_norm::GroupNorm;
pub use init::Init;
pub use layer_norm::LayerNorm;
pub use noise::Noise;
pub use pool2d::Pool2d;
pub use proximal::Proximal;
pub(crate) use regression::pre_activation_rows;
pub use regression::{Change, Regression};
pub use residual::Residual;
pub use shape::Shape;
pub use tensor::Tensor;
pub(crate) use tensor::tensors_of;
pub use upsample::Upsample;
pub use wiring::{Tied, Wiring};

/// What memory is asked for where a layer's [`cache_len`](Layer::cache_len) is.
pub(crate) const CACHE: &str = "the cache of a layer";

/// One map ẑ = f(z; θ) of the circuit: an immutable description. Parameters, outputs and scratch belong to the
/// network and are lent as slices, so a layer is shared freely between threads and needs no lock.
///
/// # Which step calls which method
///
/// | step | calls |
/// |---|---|
/// | prediction ẑ_{t+1} = f(z_t; θ_t) | [`forward`](Self::forward), or the pass with [`noise`](Self::noise) in training |
/// | activation step (∂L/∂z_t), and backpropagation | [`input_gradient`](Self::input_gradient) |
/// | parameter step (∂L/∂θ_t) | [`param_gradient`](Self::param_gradient) |
/// | activation and parameter steps in closed form | [`proximal`](Self::proximal) and [`regression`](Self::regression), if the layer has them |
///
/// That the parameter step needs nothing but this layer's stored input and the cotangent at its own output is
/// the decoupling.
///
/// # Contract
///
/// * Shapes: input `input_dim × n`, output and cotangent `output_dim × n`, for any n ≥ 1; columns are examples,
///   and no column may influence another.
/// * `forward`, `input_gradient` and `param_gradient` **overwrite** all of what they write; its former content
///   may be anything, NaN included.
/// * `cache` has [`cache_len`](Self::cache_len)`(n)` entries. A gradient method is called only after `forward`, or the
///   pass with [`noise`](Self::noise), with the same parameters and input, and finds in the cache what that pass and other gradient calls
///   left there. A layer may keep there what it would otherwise compute twice, and use the rest as scratch.
/// * All methods are pure functions of their arguments: the same call gives the same bits.
///
/// * `cache_len` does not fall as the batch grows, and inputs in the thousands may give infinities, but no NaN.
///
/// [`check::layer`](crate::check::layer()) tests all of this on your own layer, and [`noise`](Self::noise),
/// [`proximal`](Self::proximal) and [`regression`](Self::regression), if it has them, rule by rule:
/// [`LAYER_RULES`](crate::check::LAYER_RULES).
///
/// # Example
///
/// A layer that scales each feature by a parameter, ẑ = θ ⊙ z:
///
/// ```
/// use decoupled::{Layer, MatMut, MatRef, Scalar, rand::Rng};
///
/// #[derive(Debug)]
/// struct Scale {
///     dim: usize,
/// }
///
/// impl<T: Scalar> Layer<T> for Scale {
///     fn input_dim(&self) -> usize {
///         self.dim
///     }
///     fn output_dim(&self) -> usize {
///         self.dim
///     }
///     fn param_len(&self) -> usize {
///         self.dim
///     }
///     fn init_params(&self, params: &mut [T], _rng: &mut dyn Rng) {
///         params.fill(T::one());
///     }
///     fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _cache: &mut [T]) {
///         for (y, x) in output.columns_mut().zip(input.columns()) {
///             for ((y, &x), &p) in y.iter_mut().zip(x).zip(params) {
///                 *y = p * x;
///             }
///         }
///     }
///     fn input_gradient(
///         &self,
///         params: &[T],
///         _input: MatRef<'_, T>,
///         cotangent: MatRef<'_, T>,
///         mut grad: MatMut<'_, T>,
///         _cache: &mut [T],
///     ) {
///         for (g, c) in grad.columns_mut().zip(cotangent.columns()) {
///             for ((g, &c), &p) in g.iter_mut().zip(c).zip(params) {
///                 *g = p * c;
///             }
///         }
///     }
///     fn param_gradient(
///         &self,
///         _params: &[T],
///         input: MatRef<'_, T>,
///         cotangent: MatRef<'_, T>,
///         grad: &mut [T],
///         _cache: &mut [T],
///     ) {
///         grad.fill(T::zero());
///         for (x, c) in input.columns().zip(cotangent.columns()) {
///             for ((g, &x), &c) in grad.iter_mut().zip(x).zip(c) {
///                 *g += x * c;
///             }
///         }
///     }
/// }
///
/// decoupled::check::layer::<f64>(&Scale { dim: 3 })?;
/// # Ok::<(), decoupled::Error>(())
/// ```
pub trait Layer<T: Scalar>: Debug + Send + Sync {
    /// Rows of the input.
    fn input_dim(&self) -> usize;

    /// Rows of the output.
    fn output_dim(&self) -> usize;

    /// Returns the shape of the input: a picture for a layer that takes one. By default [`Shape::Flat`], which reads a picture of the same
    /// length too.
    fn input_shape(&self) -> Shape {
        Shape::Flat(self.input_dim())
    }

    /// Returns the shape of the output for an input of shape `input`, whose length is [`input_dim`](Self::input_dim): a picture for a layer
    /// that returns one, `input` for an element-wise one. [`Shape::Flat`] by default.
    fn output_shape(&self, input: Shape) -> Shape {
        let _ = input;
        Shape::Flat(self.output_dim())
    }

    /// Number of parameters; 0 for a fixed map.
    fn param_len(&self) -> usize {
        0
    }

    /// Entries of `cache` for a batch of `examples` columns.
    fn cache_len(&self, examples: usize) -> usize {
        let _ = examples;
        0
    }

    /// What [summaries](crate::network::Summary) call it: the head of its debug form unless said otherwise.
    fn name(&self) -> String {
        let debug = format!("{self:?}");
        debug.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    }

    /// Checks the layer's own settings; called once, when a network is built.
    ///
    /// # Errors
    /// Whatever is wrong with them; the default finds nothing.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Whether the gradient methods have a derivative to go by: not where the map is constant but for jumps, for
    /// [`Activation::Sign`] say. Training by gradients warns of a layer that has none.
    fn has_derivative(&self) -> bool {
        true
    }

    /// Whether the gradient methods give something else than the derivative, on purpose:
    /// [`Elementwise::straight_through`] does. [`check::layer`](crate::check::layer) compares it with no differences then, and
    /// still asks that it be linear in the cotangent.
    fn is_straight_through(&self) -> bool {
        false
    }

    /// Returns bounds that no entry of the output leaves, whatever input and parameters, the lower one first: (0, 1) for
    /// [`Activation::Sigmoid`]. (−∞, ∞) unless said otherwise. A fit warns of a last layer with bounds under a loss that reads logits.
    fn output_range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }

    /// Returns the floating-point operations of one product with the parameters, for one example, which the
    /// [cost](crate::diagnostics::cost) counts: by default 2 for each parameter, a multiplication and an addition. A convolution uses each
    /// parameter for every pixel.
    fn operations(&self) -> usize {
        self.param_len().saturating_mul(2)
    }

    /// Writes initial parameters; called once, with [`param_len`](Self::param_len) zeros.
    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        let _ = (params, rng);
    }

    /// output = f(input; params).
    fn forward(&self, params: &[T], input: MatRef<'_, T>, output: MatMut<'_, T>, cache: &mut [T]);

    /// grad = (∂f/∂z)ᵀ · cotangent, column by column; `input_dim × n`.
    fn input_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: MatMut<'_, T>,
        cache: &mut [T],
    );

    /// grad = Σ over the examples of (∂f/∂θ)ᵀ · cotangent; [`param_len`](Self::param_len) entries.
    ///
    /// Not called when there are no parameters.
    fn param_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        let _ = (params, input, cotangent, cache);
        debug_assert!(grad.is_empty(), "a layer with parameters must write their gradient");
    }

    /// The parameters by least squares, for layers that can: [`Regression`]. None unless said otherwise.
    fn regression(&self) -> Option<&dyn Regression<T>> {
        None
    }

    /// The input by a closed form, for layers that can: [`Proximal`]. None unless said otherwise.
    fn proximal(&self) -> Option<&dyn Proximal<T>> {
        None
    }

    /// The map that training evaluates in place of [`forward`](Self::forward), with random numbers, for layers that have one: [`Noise`].
    /// None by default.
    fn noise(&self) -> Option<&dyn Noise<T>> {
        None
    }

    /// The map and the function of a layer σ(W·z + b), whose parameters are the map's:
    /// [`start_isometric`](crate::DecoupledNetwork::start_isometric) starts such a layer. None unless said otherwise.
    fn unit(&self) -> Option<Unit> {
        None
    }

    /// Which unit each parameter belongs to, for layers that can tell: [`Wiring`]. None unless said otherwise; two networks are
    /// then [compared](crate::diagnostics::matching) with the units around the layer as they are numbered.
    fn wiring(&self) -> Option<Wiring> {
        None
    }

    /// The matrices and vectors that the parameters are, one after the other, by which a network is
    /// [saved](crate::DecoupledNetwork::save): their sizes must add up to [`param_len`](Self::param_len), and each needs a name of
    /// its own. One vector `params` unless said otherwise.
    fn tensors(&self) -> Vec<Tensor> {
        let params = Tensor::vector("params", self.param_len());
        if params.len() > 0 { vec![params] } else { Vec::new() }
    }

    /// What a file says of the layer, for [`Model::load`](crate::Model::load) to make it anew. None unless it is built in, or
    /// computes just what a built-in one does and hands on its description.
    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<Description> {
        None
    }
}

/// Returns the shape of the output of layer t above an output of shape `below`.
///
/// # Errors
/// [`Error::LayerMismatch`] for another number of inputs, [`Error::ShapeMismatch`] where it takes another picture,
/// [`Error::Contract`] for shapes of other numbers than its dimensions.
pub(crate) fn shape_above<T: Scalar>(t: usize, below: Shape, layer: &dyn Layer<T>) -> Result<Shape> {
    if layer.input_dim() != below.len() && matches!(layer.input_shape(), Shape::Flat(_)) {
        return Err(Error::LayerMismatch { layer: t, expected: below.len(), found: layer.input_dim() });
    }
    let own = layer.input_shape();
    let has = |what: &str, expected: usize, found: usize| {
        let breach = || {
            let (subject, rule, what) =
                (format!("layer {t}, {layer:?}"), "shapes_have_their_dimensions", what.to_owned());
            Error::Contract { subject, rule, what, expected: expected as f64, found: found as f64 }
        };
        if expected == found { Ok(()) } else { Err(breach()) }
    };
    has("numbers of input_shape", layer.input_dim(), own.len())?;
    if !own.reads(below) {
        return Err(Error::ShapeMismatch { layer: t, expected: below, found: own });
    }
    let above = layer.output_shape(below);
    has("numbers of output_shape", layer.output_dim(), above.len())?;
    Ok(above)
}

/// A layer σ(W·z + b), or σ(z) without a map, as [`Layer::unit`] tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// W and b.
    pub map: Option<Dense>,
    /// σ.
    pub function: Activation,
}
