//! Transposed convolution over pictures.

use rand::Rng;

use super::channels::{add_channel_sums, add_to_channels};
use super::correlation::Correlation;
use super::windows::{Windows, picture};
use super::{Init, Layer, Shape, Tensor};
use crate::error::require;
use crate::machine::setting::require_finite;
use crate::{MatMut, MatRef, Result, Scalar};

/// A transposed convolution: the transpose of the linear map of a [`Conv2d`](super::Conv2d), from its output's shape to its input's, and
/// biases. Every input pixel adds its multiple of a kernel to the output,
///
/// ```text
/// ẑ[o, y·s + i·d − p, x·s + j·d − p] += W[c, o, i, j] · z[c, y, x]        from b[o]; nothing outside the picture
/// ```
///
/// with stride s, padding p and dilation d, each by height and width. With g groups, input channel c adds only to the output channels of
/// its group.
///
/// Input `input channels · height · width × n`, output `channels · ((height − 1)·s − 2p + d·(kernel height − 1) + output padding + 1) ·
/// (the same of the width) × n`. Parameters: W, `input channels × channels / groups × kernel height × kernel width`, the last index
/// fastest, as PyTorch's `ConvTranspose2d` has them; then b. [Shapes](Shape) of input and output are pictures.
///
/// M. D. Zeiler, D. Krishnan, G. W. Taylor, R. Fergus (2010), *Deconvolutional Networks*, CVPR; V. Dumoulin, F. Visin (2016), *A Guide to
/// Convolution Arithmetic for Deep Learning*, arXiv:1603.07285.
///
/// ```
/// use decoupled::layer::{Conv2d, ConvTranspose2d, Shape};
///
/// let down = Conv2d::new([1, 28, 28], 8, [3, 3]).stride([2, 2]).padding([1, 1]);
/// let up = ConvTranspose2d::new(down.output(), 1, [3, 3]).stride([2, 2]).padding([1, 1]).output_padding([1, 1]);
/// assert_eq!((down.output(), up.output()), (Shape::from([8, 14, 14]), Shape::from([1, 28, 28])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "Conv2DTranspose")]
#[doc(alias = "Deconvolution")]
pub struct ConvTranspose2d {
    /// Channels, height and width.
    input: [usize; 3],
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    output_padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    /// None without biases.
    bias: Option<f64>,
    init: Init,
}

impl ConvTranspose2d {
    /// Makes a transposed convolution of pictures with `kernel` (height, width) to `channels` channels: stride 1, no padding, one group,
    /// biases 0, weights by [`Init::he_normal`]. A flat input is refused at `build`, as by [`Conv2d::new`](super::Conv2d::new).
    pub fn new(input: impl Into<Shape>, channels: usize, kernel: [usize; 2]) -> Self {
        Self {
            input: picture(input.into()),
            channels,
            kernel,
            stride: [1; 2],
            padding: [0; 2],
            output_padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
            bias: Some(0.0),
            init: Init::he_normal(),
        }
    }

    /// Sets the distance in the output, down and across, between the kernels of neighbouring pixels of the input.
    #[must_use]
    pub const fn stride(self, stride: [usize; 2]) -> Self {
        Self { stride, ..self }
    }

    /// Sets the rows and columns that are cut off on each side of the output.
    #[must_use]
    pub const fn padding(self, padding: [usize; 2]) -> Self {
        Self { padding, ..self }
    }

    /// Sets the rows and columns added to the output's lower and right edge, fewer than the stride: a convolution with a stride maps
    /// that many sizes to the input's, and this chooses among them.
    #[must_use]
    pub const fn output_padding(self, output_padding: [usize; 2]) -> Self {
        Self { output_padding, ..self }
    }

    /// Sets the distance between the pixels of a kernel, down and across.
    #[must_use]
    pub const fn dilation(self, dilation: [usize; 2]) -> Self {
        Self { dilation, ..self }
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

    /// Sets the initialiser of the kernels. Their fan-in is the mean number of inputs that reach an output pixel, input channels / groups ·
    /// height · width / stride², their fan-out the outputs that an input reaches, output channels / groups · height · width. PyTorch takes
    /// the fan-out for the fan-in.
    #[must_use]
    pub const fn init(self, init: Init) -> Self {
        Self { init, ..self }
    }

    /// Returns the shape of the output; no pixels where the padding leaves none.
    pub fn output(&self) -> Shape {
        self.correlation().windows.input()
    }

    /// Returns the convolution's map that this one is the transpose of: from the output to the input.
    fn correlation(&self) -> Correlation {
        let Self { input: [inputs, ..], channels, kernel, stride, padding, dilation, groups, .. } = *self;
        let settings = Windows { input: [channels, 0, 0], kernel, stride, padding, dilation };
        let [height, width] = [0, 1].map(|axis| {
            let between = self.input[axis + 1].checked_sub(1).and_then(|pixels| pixels.checked_mul(stride[axis]));
            let padded = between.and_then(|between| between.checked_add(settings.extent(axis)));
            let padded = padded.and_then(|padded| padded.checked_add(self.output_padding[axis]));
            let both = padding[axis].checked_mul(2);
            padded.zip(both).and_then(|(padded, both)| padded.checked_sub(both)).unwrap_or(0)
        });
        Correlation { windows: Windows { input: [channels, height, width], ..settings }, channels: inputs, groups }
    }

    fn biases_len(&self) -> usize {
        if self.bias.is_some() { self.channels } else { 0 }
    }
}

// The cache is the scratch of the products.
impl<T: Scalar> Layer<T> for ConvTranspose2d {
    fn input_dim(&self) -> usize {
        Shape::from(self.input).len()
    }

    fn output_dim(&self) -> usize {
        self.output().len()
    }

    fn input_shape(&self) -> Shape {
        self.input.into()
    }

    fn output_shape(&self, _input: Shape) -> Shape {
        self.output()
    }

    fn param_len(&self) -> usize {
        self.correlation().weights_len().saturating_add(self.biases_len())
    }

    fn cache_len(&self, examples: usize) -> usize {
        self.correlation().scratch_len(examples)
    }

    fn operations(&self) -> usize {
        // A weight serves every pixel of the input, a bias every one of the output.
        let [_, down, across] = self.input;
        let [_, height, width] = self.output().image();
        let weights = self.correlation().weights_len().saturating_mul(down).saturating_mul(across);
        let biases = self.biases_len().saturating_mul(height).saturating_mul(width);
        weights.saturating_add(biases).saturating_mul(2)
    }

    fn validate(&self) -> Result<()> {
        let correlation = self.correlation();
        let windows = correlation.windows;
        Windows { input: self.input, ..windows }.validate_settings()?;
        for axis in [0, 1] {
            let what =
                ["height of a transposed convolution's output", "width of a transposed convolution's output"][axis];
            let [between, stride, added, cut] =
                [self.input[axis + 1] - 1, self.stride[axis], self.output_padding[axis], self.padding[axis]];
            require(added < stride, "output padding", "less than the stride", added as f64)?;
            let found = between as f64 * stride as f64 + windows.extent(axis) as f64 + added as f64 - 2.0 * cut as f64;
            require(windows.input[axis + 1] > 0, what, "at least 1 and below 2⁶⁴", found)?;
        }
        correlation.validate()?;
        require_finite::<T>("bias of a convolution", self.bias.unwrap_or(0.0))?;
        self.init.validate()
    }

    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        let correlation = self.correlation();
        let (weights, biases) = params.split_at_mut(correlation.weights_len());
        let [inputs, ..] = self.input;
        let [[height, width], [down, across]] = [self.kernel, self.stride];
        let reach = (inputs / self.groups * height * width / down.saturating_mul(across)).max(1);
        correlation.draw(self.init, [reach, correlation.weights_of_channel()], weights, rng);
        biases.fill(T::of(self.bias.unwrap_or(0.0)));
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        let correlation = self.correlation();
        let (weights, biases) = params.split_at(correlation.weights_len());
        correlation.multiply_transposed(weights, input, output.reborrow(), cache);
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
        correlation.multiply(weights, cotangent, grad, cache);
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
        correlation.add_gradient(cotangent, input, weights, cache);
        cotangent.columns().for_each(|c| add_channel_sums(c, biases));
    }

    fn tensors(&self) -> Vec<Tensor> {
        let bias = self.bias.map(|_| Tensor::vector("bias", self.channels));
        [self.correlation().tensor()].into_iter().chain(bias).collect()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("ConvTranspose2d", self)
    }
}
