//! Convolution over pictures.

use rand::Rng;

use super::channels::{add_channel_sums, add_to_channels};
use super::correlation::Correlation;
use super::windows::Windows;
use super::{Init, Layer, Shape, Tensor};
use crate::machine::setting::require_finite;
use crate::{MatMut, MatRef, Result, Scalar};

/// A convolution, cross-correlation to be exact: every output channel o has one kernel over the input channels,
///
/// ```text
/// ẑ[o, y, x] = b[o] + Σ_{c, i, j} W[o, c, i, j] · z[c, y·s + i·d − p, x·s + j·d − p]        zeros outside the picture
/// ```
///
/// with stride s, padding p and dilation d, each by height and width. With g groups, output channel o reads only the input channels of its
/// group; a group for each channel makes it depthwise.
///
/// Input `channels · height · width × n`, output one pixel for each window and channel, `× n`. Parameters: W, `channels × input channels /
/// groups × kernel height × kernel width`, the last index fastest, as PyTorch's `Conv2d` has them; then b. [Shapes](Shape) of input and
/// output are pictures.
///
/// Patches are multiplied by the kernels as matrices, as in K. Chellapilla, S. Puri, P. Simard (2006), *High Performance Convolutional
/// Neural Networks for Document Processing*, inria-00112631, but read where they lie: nothing is unfolded.
///
/// ```
/// use decoupled::layer::{Conv2d, Shape};
///
/// let layer = Conv2d::new([1, 28, 28], 8, [3, 3]).stride([2, 2]).padding([1, 1]);
/// assert_eq!(layer.output(), Shape::from([8, 14, 14]));
/// decoupled::check::layer::<f64>(&Conv2d::new([2, 5, 5], 3, [3, 2]))?;
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Conv2d {
    windows: Windows,
    channels: usize,
    groups: usize,
    /// None without biases.
    bias: Option<f64>,
    init: Init,
}

impl Conv2d {
    /// Makes a convolution of pictures with `kernel` (height, width) to `channels` channels: stride 1, no padding, one group, biases
    /// 0, weights by [`Init::he_normal`]. A flat input is refused at `build`: pictures need
    /// [`builder([channels, height, width])`](crate::DecoupledNetwork::builder), since a data set has columns and no shape.
    pub fn new(input: impl Into<Shape>, channels: usize, kernel: [usize; 2]) -> Self {
        let windows = Windows::new(input.into(), kernel);
        Self { windows, channels, groups: 1, bias: Some(0.0), init: Init::he_normal() }
    }

    /// Sets the distance between the corners of neighbouring windows in pixels, down and across.
    #[must_use]
    pub const fn stride(mut self, stride: [usize; 2]) -> Self {
        self.windows.stride = stride;
        self
    }

    /// Sets the rows and columns of zeros added on each side.
    #[must_use]
    pub const fn padding(mut self, padding: [usize; 2]) -> Self {
        self.windows.padding = padding;
        self
    }

    /// Sets the distance between the pixels of a window, down and across.
    #[must_use]
    pub const fn dilation(mut self, dilation: [usize; 2]) -> Self {
        self.windows.dilation = dilation;
        self
    }

    /// Sets the number of groups of input and output channels; channels connect within a group only.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Sets the initial biases.
    #[must_use]
    pub const fn bias(self, bias: f64) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// Leaves the biases out.
    #[must_use]
    pub const fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// Sets the initialiser of the kernels. Their fan-in is input channels / groups · height · width, their fan-out output channels ·
    /// height · width, as in PyTorch.
    #[must_use]
    pub const fn init(self, init: Init) -> Self {
        Self { init, ..self }
    }

    /// Returns the shape of the output; no pixels where no window fits.
    pub fn output(&self) -> Shape {
        self.windows.output(self.channels)
    }

    pub(super) fn correlation(&self) -> Correlation {
        let Self { windows, channels, groups, .. } = *self;
        Correlation { windows, channels, groups }
    }
}

// The cache is the scratch of the products.
impl<T: Scalar> Layer<T> for Conv2d {
    fn input_dim(&self) -> usize {
        self.windows.input().len()
    }

    fn output_dim(&self) -> usize {
        self.output().len()
    }

    fn input_shape(&self) -> Shape {
        self.windows.input()
    }

    fn output_shape(&self, _input: Shape) -> Shape {
        self.output()
    }

    fn param_len(&self) -> usize {
        self.correlation().weights_len().saturating_add(if self.bias.is_some() { self.channels } else { 0 })
    }

    fn cache_len(&self, examples: usize) -> usize {
        self.correlation().scratch_len(examples)
    }

    fn operations(&self) -> usize {
        let [down, across] = self.windows.count();
        Layer::<T>::param_len(self).saturating_mul(down).saturating_mul(across).saturating_mul(2)
    }

    fn validate(&self) -> Result<()> {
        self.correlation().validate()?;
        require_finite::<T>("bias of a convolution", self.bias.unwrap_or(0.0))?;
        self.init.validate()
    }

    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        let correlation = self.correlation();
        let (weights, biases) = params.split_at_mut(correlation.weights_len());
        let [height, width] = self.windows.kernel;
        let fans = [correlation.weights_of_channel(), self.channels * height * width];
        correlation.draw(self.init, fans, weights, rng);
        biases.fill(T::of(self.bias.unwrap_or(0.0)));
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        let correlation = self.correlation();
        let (weights, biases) = params.split_at(correlation.weights_len());
        correlation.multiply(weights, input, output.reborrow(), cache);
        output.columns_mut().for_each(|y| add_to_channels(biases, y));
    }

    fn input_gradient(
        &self,
        params: &[T],
        _input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let correlation = self.correlation();
        let (weights, _) = params.split_at(correlation.weights_len());
        correlation.multiply_transposed(weights, cotangent, grad, cache);
    }

    fn param_gradient(
        &self,
        _params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        let correlation = self.correlation();
        grad.fill(T::zero());
        let (weights, biases) = grad.split_at_mut(correlation.weights_len());
        correlation.add_gradient(input, cotangent, weights, cache);
        cotangent.columns().for_each(|c| add_channel_sums(c, biases));
    }

    fn tensors(&self) -> Vec<Tensor> {
        let bias = self.bias.map(|_| Tensor::vector("bias", self.channels));
        [self.correlation().tensor()].into_iter().chain(bias).collect()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Conv2d", self)
    }
}
