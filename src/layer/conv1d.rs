//! Convolution over sequences.

use rand::Rng;

use super::windows::Windows;
use super::{Conv2d, Init, Layer, Shape, Tensor};
use crate::error::require;
use crate::{MatMut, MatRef, Result, Scalar};

/// A convolution along one axis, such as time: a [`Conv2d`] whose pictures have a single row,
///
/// ```text
/// ẑ[o, x] = b[o] + Σ_{c, j} W[o, c, j] · z[c, x·s + j·d − p]        zeros beyond the ends
/// ```
///
/// with stride s, padding p and dilation d. Input `channels · length × n`, output one entry for each window and channel, `× n`. Parameters:
/// W, `channels × input channels / groups × kernel`, the last index fastest, as PyTorch's `Conv1d` has them; then b.
///
/// [Shapes](Shape) of input and output are pictures of height 1, which `[channels, length]` stands for. So layers of pictures read them:
/// [`Pool2d::max`](super::Pool2d::max)`(conv.output(), [1, 2])` takes the larger of two neighbours.
///
/// ```
/// use decoupled::DecoupledNetwork;
/// use decoupled::layer::{Conv1d, Pool2d, Shape};
///
/// let conv = Conv1d::new([2, 100], 8, 5).padding(2);
/// let pool = Pool2d::max(conv.output(), [1, 2]);
/// assert_eq!((conv.output(), pool.output()), (Shape::from([8, 100]), Shape::from([8, 50])));
/// DecoupledNetwork::<f32>::builder([2, 100]).layer(conv).layer(pool).build()?;
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Conv1d {
    conv: Conv2d,
}

impl Conv1d {
    /// Makes a convolution of sequences with a kernel of this length to `channels` channels, with the defaults of [`Conv2d::new`]. A flat
    /// input is refused at `build`: sequences need `builder([channels, length])`.
    pub fn new(input: impl Into<Shape>, channels: usize, kernel: usize) -> Self {
        Self { conv: Conv2d::new(input, channels, [1, kernel]) }
    }

    /// Sets the distance between the first entries of neighbouring windows.
    #[must_use]
    pub const fn stride(self, stride: usize) -> Self {
        Self { conv: self.conv.stride([1, stride]) }
    }

    /// Sets the zeros added at each end.
    #[must_use]
    pub const fn padding(self, padding: usize) -> Self {
        Self { conv: self.conv.padding([0, padding]) }
    }

    /// Sets the distance between the entries of a window.
    #[must_use]
    pub const fn dilation(self, dilation: usize) -> Self {
        Self { conv: self.conv.dilation([1, dilation]) }
    }

    /// Sets the number of groups of input and output channels; channels connect within a group only.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { conv: self.conv.groups(groups) }
    }

    /// Sets the initial biases.
    #[must_use]
    pub const fn bias(self, bias: f64) -> Self {
        Self { conv: self.conv.bias(bias) }
    }

    /// Leaves the biases out.
    #[must_use]
    pub const fn without_bias(self) -> Self {
        Self { conv: self.conv.without_bias() }
    }

    /// Sets the initialiser of the kernels, whose fans are those of [`Conv2d::init`].
    #[must_use]
    pub const fn init(self, init: Init) -> Self {
        Self { conv: self.conv.init(init) }
    }

    /// Returns the shape of the output; no entries where no window fits.
    pub fn output(&self) -> Shape {
        self.conv.output()
    }
}

impl<T: Scalar> Layer<T> for Conv1d {
    fn input_dim(&self) -> usize {
        Layer::<T>::input_dim(&self.conv)
    }

    fn output_dim(&self) -> usize {
        Layer::<T>::output_dim(&self.conv)
    }

    fn input_shape(&self) -> Shape {
        Layer::<T>::input_shape(&self.conv)
    }

    fn output_shape(&self, _input: Shape) -> Shape {
        self.output()
    }

    fn param_len(&self) -> usize {
        Layer::<T>::param_len(&self.conv)
    }

    fn cache_len(&self, examples: usize) -> usize {
        Layer::<T>::cache_len(&self.conv, examples)
    }

    fn operations(&self) -> usize {
        Layer::<T>::operations(&self.conv)
    }

    fn validate(&self) -> Result<()> {
        let Windows { input: [_, height, _], kernel: [rows, _], padding: [above, _], .. } =
            self.conv.correlation().windows;
        require(height == 1, "rows of what Conv1d goes over", "1, as of builder([channels, length])", height as f64)?;
        // Only a file can set these.
        require(rows == 1, "rows of a kernel of Conv1d", "1", rows as f64)?;
        require(above == 0, "rows of padding of Conv1d", "0", above as f64)?;
        Layer::<T>::validate(&self.conv)
    }

    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        self.conv.init_params(params, rng);
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, output: MatMut<'_, T>, cache: &mut [T]) {
        self.conv.forward(params, input, output, cache);
    }

    fn input_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        self.conv.input_gradient(params, input, cotangent, grad, cache);
    }

    fn param_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        self.conv.param_gradient(params, input, cotangent, grad, cache);
    }

    fn tensors(&self) -> Vec<Tensor> {
        let without_rows = |tensor: Tensor| match tensor.shape()[..] {
            [outputs, inputs, 1, kernel] => Tensor::array(tensor.name(), [outputs, inputs, kernel]),
            _ => tensor,
        };
        Layer::<T>::tensors(&self.conv).into_iter().map(without_rows).collect()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Conv1d", self)
    }
}
