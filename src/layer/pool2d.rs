//! Pooling over pictures: the largest or the mean of the pixels of each window, channel by channel.

use super::windows::Windows;
use super::{Layer, Shape};
use crate::error::require;
use crate::{MatMut, MatRef, Result, Scalar};

/// The largest or the mean pixel of each window, channel by channel,
///
/// ```text
/// max     ẑ[c, y, x] = max_{i, j} z[c, y·s + i, x·s + j]          the gradient goes to the first of the largest
/// mean    ẑ[c, y, x] = mean_{i, j} z[c, y·s + i, x·s + j]
/// ```
///
/// with stride s. Windows lie side by side by default; rows and columns left over at the lower and right edge are dropped, as in PyTorch.
/// Input `channels · height · width × n`, output one pixel for each window, `× n`; no parameters. A NaN in a window is its largest pixel, so
/// that it shows.
///
/// ```
/// use decoupled::layer::{Pool2d, Shape};
///
/// assert_eq!(Pool2d::max([8, 28, 28], [2, 2]).output(), Shape::from([8, 14, 14]));
/// assert_eq!(Pool2d::global_mean([64, 7, 7]).output(), Shape::from([64, 1, 1]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "MaxPool2d")]
#[doc(alias = "MaxPooling2D")]
#[doc(alias = "AvgPool2d")]
#[doc(alias = "AveragePooling2D")]
#[doc(alias = "AdaptiveAvgPool2d")]
#[doc(alias = "GlobalAveragePooling2D")]
pub struct Pool2d {
    windows: Windows,
    reduction: Reduction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Reduction {
    Max,
    Mean,
}

impl Pool2d {
    fn new(input: Shape, window: [usize; 2], reduction: Reduction) -> Self {
        Self { windows: Windows { stride: window, ..Windows::new(input, window) }, reduction }
    }

    /// Takes the largest pixel of each window of this height and width.
    pub fn max(input: impl Into<Shape>, window: [usize; 2]) -> Self {
        Self::new(input.into(), window, Reduction::Max)
    }

    /// Takes the mean of each window of this height and width.
    pub fn mean(input: impl Into<Shape>, window: [usize; 2]) -> Self {
        Self::new(input.into(), window, Reduction::Mean)
    }

    /// Takes the mean of each channel.
    pub fn global_mean(input: impl Into<Shape>) -> Self {
        let input = input.into();
        let [_, height, width] = input.image();
        Self::mean(input, [height, width])
    }

    /// Sets the distance between the corners of neighbouring windows in pixels, down and across.
    #[must_use]
    pub const fn stride(mut self, stride: [usize; 2]) -> Self {
        self.windows.stride = stride;
        self
    }

    /// Returns the shape of the output; no pixels where no window fits.
    pub fn output(&self) -> Shape {
        let [channels, ..] = self.windows.input;
        self.windows.output(channels)
    }

    /// Returns the weight of each pixel of a window in its mean.
    fn share<T: Scalar>(&self) -> T {
        let [height, width] = self.windows.kernel;
        T::one() / T::of((height * width) as f64)
    }

    /// Calls `f` for every window, with its index and its pixels.
    fn each_window(&self, mut f: impl FnMut(usize, Pixels)) {
        let Windows { input: [channels, height, width], kernel: size, stride, .. } = self.windows;
        let [down, across] = self.windows.count();
        let mut window = 0;
        for channel in 0..channels {
            for y in 0..down {
                for x in 0..across {
                    let first = (channel * height + y * stride[0]) * width + x * stride[1];
                    f(window, Pixels { first, size, width });
                    window += 1;
                }
            }
        }
    }
}

/// The indices of a window's pixels in the picture.
#[derive(Clone, Copy)]
struct Pixels {
    first: usize,
    /// Height and width of the window.
    size: [usize; 2],
    /// Width of the picture.
    width: usize,
}

impl Pixels {
    // A plain loop takes half the time of an iterator over rows and columns, and is most of the layer's.
    #[inline(always)]
    fn each(self, mut f: impl FnMut(usize)) {
        let [height, across] = self.size;
        for row in 0..height {
            let start = self.first + row * self.width;
            (start..start + across).for_each(&mut f);
        }
    }

    /// Returns the index of the largest, the first if there are several, or of a NaN.
    #[inline(always)]
    fn largest<T: Scalar>(self, picture: &[T]) -> usize {
        let mut most = self.first;
        self.each(|pixel| {
            if picture[pixel] > picture[most] || picture[pixel].to_f64().is_nan() {
                most = pixel;
            }
        });
        most
    }
}

impl<T: Scalar> Layer<T> for Pool2d {
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

    fn name(&self) -> String {
        format!("{:?}Pool2d", self.reduction)
    }

    fn validate(&self) -> Result<()> {
        // Only a file can set them: pools ignore both.
        let Windows { padding, dilation, .. } = self.windows;
        require(padding == [0; 2], "padding of Pool2d", "0", padding[0].max(padding[1]) as f64)?;
        require(dilation == [1; 2], "dilation of Pool2d", "1", dilation[0].max(dilation[1]) as f64)?;
        self.windows.validate()
    }

    fn forward(&self, _params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _cache: &mut [T]) {
        let share = self.share::<T>();
        for (y, x) in output.columns_mut().zip(input.columns()) {
            self.each_window(|window, pixels| {
                y[window] = match self.reduction {
                    Reduction::Max => x[pixels.largest(x)],
                    Reduction::Mean => {
                        let mut sum = T::zero();
                        pixels.each(|pixel| sum += x[pixel]);
                        share * sum
                    }
                };
            });
        }
    }

    fn input_gradient(
        &self,
        _params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        _cache: &mut [T],
    ) {
        grad.as_mut_slice().fill(T::zero());
        let share = self.share::<T>();
        for ((grad, x), c) in grad.columns_mut().zip(input.columns()).zip(cotangent.columns()) {
            self.each_window(|window, pixels| match self.reduction {
                Reduction::Max => grad[pixels.largest(x)] += c[window],
                Reduction::Mean => pixels.each(|pixel| grad[pixel] += share * c[window]),
            });
        }
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Pool2d", self)
    }
}
