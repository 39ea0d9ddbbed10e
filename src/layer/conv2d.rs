//! Convolution over pictures.

use std::ops::Range;

use rand::Rng;

use super::windows::Windows;
use super::{Init, Layer, Shape, Tensor};
use crate::error::require;
use crate::machine::linalg::{add_matmul_rows, add_matmul_tn_rows, matmul_nt_rows, sum_zip};
use crate::machine::setting::require_finite;
use crate::{MatMut, MatRef, Result, Scalar};

/// Entries of unfolded patches that are there at a time: they stay in the second cache.
const PATCHES: usize = 1 << 16;

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
/// Patches of the picture are unfolded, some rows of windows at a time, and multiplied by the kernels as matrices: K. Chellapilla,
/// S. Puri, P. Simard (2006), *High Performance Convolutional Neural Networks for Document Processing*, inria-00112631. No more than
/// these rows are ever unfolded, and nothing of them is kept for the gradients.
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

    /// Returns the weights of an output channel: those of a group's input channels.
    fn weights_of_channel(&self) -> usize {
        let [channels, ..] = self.windows.input;
        let [height, width] = self.windows.kernel;
        (channels / self.groups.max(1)).saturating_mul(height).saturating_mul(width)
    }

    fn weights_len(&self) -> usize {
        self.weights_of_channel().saturating_mul(self.channels)
    }

    /// Returns the rows of windows that are unfolded at a time, for one group.
    fn band(&self) -> usize {
        let [down, across] = self.windows.count();
        (PATCHES / across.saturating_mul(self.weights_of_channel()).max(1)).clamp(1, down.max(1))
    }

    /// Calls `f` for every group and band of rows of windows: with the group's input channels, the rows, the windows of these rows among
    /// those of the picture, and the group's output channels.
    fn parts(&self, mut f: impl FnMut(Range<usize>, Range<usize>, Range<usize>, Range<usize>)) {
        let ([channels, ..], [down, across]) = (self.windows.input, self.windows.count());
        let (inputs, outputs) = (channels / self.groups, self.channels / self.groups);
        for group in 0..self.groups {
            for first in (0..down).step_by(self.band()) {
                let rows = first..down.min(first + self.band());
                let windows = rows.start * across..rows.end * across;
                f(group * inputs..(group + 1) * inputs, rows, windows, group * outputs..(group + 1) * outputs);
            }
        }
    }

    /// Returns the kernels of some output channels, `weights × channels`.
    fn kernels<'a, T>(&self, params: &'a [T], outputs: &Range<usize>) -> MatRef<'a, T> {
        let len = self.weights_of_channel();
        MatRef::new(&params[outputs.start * len..outputs.end * len], len, outputs.len())
    }

    /// Returns some channels of a picture of outputs, `pixels × channels`.
    fn of_channels<'a, T>(&self, picture: &'a [T], outputs: &Range<usize>) -> MatRef<'a, T> {
        let pixels = picture.len() / self.channels;
        MatRef::new(&picture[outputs.start * pixels..outputs.end * pixels], pixels, outputs.len())
    }
}

// The cache holds the patches of one group and band, for one example.
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
        self.weights_len().saturating_add(if self.bias.is_some() { self.channels } else { 0 })
    }

    fn cache_len(&self, _examples: usize) -> usize {
        let [_, across] = self.windows.count();
        self.band().saturating_mul(across).saturating_mul(self.weights_of_channel())
    }

    fn operations(&self) -> usize {
        let [down, across] = self.windows.count();
        Layer::<T>::param_len(self).saturating_mul(down).saturating_mul(across).saturating_mul(2)
    }

    fn validate(&self) -> Result<()> {
        self.windows.validate()?;
        let [channels, ..] = self.windows.input;
        let divides = |channels: usize| self.groups > 0 && channels.is_multiple_of(self.groups);
        require(divides(channels), "groups of Conv2d", "a divisor of the input channels", self.groups as f64)?;
        require(divides(self.channels), "groups of Conv2d", "a divisor of the output channels", self.groups as f64)?;
        require_finite::<T>("bias of Conv2d", self.bias.unwrap_or(0.0))?;
        self.init.validate()
    }

    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        let (weights, biases) = params.split_at_mut(self.weights_len());
        let (inputs, outputs) = (self.weights_of_channel(), self.channels);
        let [height, width] = self.windows.kernel;
        // Drawn as of a dense map, whose matrix lies the other way round.
        let mut drawn = vec![T::zero(); weights.len()];
        self.init.fill_fans(MatMut::new(&mut drawn, outputs, inputs), [inputs, outputs * height * width], rng);
        for (kernel, o) in weights.chunks_exact_mut(inputs).zip(0..) {
            kernel.iter_mut().zip(drawn[o..].iter().step_by(outputs)).for_each(|(w, drawn)| *w = *drawn);
        }
        biases.fill(T::of(self.bias.unwrap_or(0.0)));
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        let biases = &params[self.weights_len()..];
        for (y, x) in output.columns_mut().zip(input.columns()) {
            let pixels = y.len() / self.channels;
            match biases {
                [] => y.fill(T::zero()),
                biases => y.chunks_exact_mut(pixels).zip(biases).for_each(|(y, &bias)| y.fill(bias)),
            }
            self.parts(|inputs, rows, windows, outputs| {
                let patches = &mut cache[..windows.len() * self.weights_of_channel()];
                self.windows.unfold(x, inputs, rows, patches);
                let patches = MatRef::new(patches, windows.len(), self.weights_of_channel());
                let y = &mut y[outputs.start * pixels..outputs.end * pixels];
                let y = MatMut::new(y, pixels, outputs.len());
                add_matmul_rows(patches, self.kernels(params, &outputs), y, windows);
            });
        }
    }

    fn input_gradient(
        &self,
        params: &[T],
        _input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        grad.as_mut_slice().fill(T::zero());
        for (grad, c) in grad.columns_mut().zip(cotangent.columns()) {
            self.parts(|inputs, rows, windows, outputs| {
                let patches = &mut cache[..windows.len() * self.weights_of_channel()];
                let out = MatMut::new(patches, windows.len(), self.weights_of_channel());
                matmul_nt_rows(self.of_channels(c, &outputs), windows, self.kernels(params, &outputs), out);
                self.windows.fold(patches, inputs, rows, grad);
            });
        }
    }

    fn param_gradient(
        &self,
        _params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        grad.fill(T::zero());
        let len = self.weights_of_channel();
        let (weights, biases) = grad.split_at_mut(self.weights_len());
        for (x, c) in input.columns().zip(cotangent.columns()) {
            self.parts(|inputs, rows, windows, outputs| {
                let patches = &mut cache[..windows.len() * len];
                self.windows.unfold(x, inputs, rows, patches);
                let patches = MatRef::new(patches, windows.len(), len);
                let kernels = MatMut::new(&mut weights[outputs.start * len..outputs.end * len], len, outputs.len());
                add_matmul_tn_rows(patches, self.of_channels(c, &outputs), windows, kernels);
            });
            let pixels = c.len() / self.channels;
            biases.iter_mut().zip(c.chunks_exact(pixels)).for_each(|(b, c)| *b += sum_zip(c, c, |c, _| c));
        }
    }

    fn tensors(&self) -> Vec<Tensor> {
        let [channels, ..] = self.windows.input;
        let [height, width] = self.windows.kernel;
        let weight = Tensor::array("weight", [self.channels, channels / self.groups.max(1), height, width]);
        let bias = self.bias.map(|_| Tensor::vector("bias", self.channels));
        [weight].into_iter().chain(bias).collect()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Conv2d", self)
    }
}
