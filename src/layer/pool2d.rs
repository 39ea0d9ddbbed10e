//! Pooling over pictures: the largest or the mean of the pixels of each window, channel by channel.

use super::windows::Windows;
use super::{Layer, Shape};
use crate::error::require;
use crate::{MatMut, MatRef, Result, Scalar};

/// The largest pixel of each window, channel by channel,
///
/// ```text
/// ẑ[c, y, x] = max_{i, j} z[c, y·s + i, x·s + j]
/// ```
///
/// Windows lie side by side unless a stride is set; rows and columns left over at the lower and right edge are dropped, as in PyTorch. The gradient goes to the first of
/// the largest.
///
/// ```
/// use decoupled::layer::{MaxPool2d, Shape};
///
/// assert_eq!(MaxPool2d::new([8, 28, 28], [2, 2]).output(), Shape::from([8, 14, 14]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct MaxPool2d {
    windows: Windows,
}

/// The mean of the pixels of each window, channel by channel,
///
/// ```text
/// ẑ[c, y, x] = mean_{i, j} z[c, y·s + i, x·s + j]
/// ```
///
/// Windows lie side by side unless a stride is set; rows and columns left over at the lower and right edge are dropped, as in PyTorch.
///
/// ```
/// use decoupled::layer::{AvgPool2d, Shape};
///
/// assert_eq!(AvgPool2d::global([64, 7, 7]).output(), Shape::from([64, 1, 1]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct AvgPool2d {
    windows: Windows,
}

impl AvgPool2d {
    /// Makes the mean over the whole of each channel.
    pub fn global(input: impl Into<Shape>) -> Self {
        let input = input.into();
        let [_, height, width] = input.image();
        Self::new(input, [height, width])
    }
}

macro_rules! pool {
    ($pool:ident) => {
        impl $pool {
            /// Pools windows of so many pixels, height and width, side by side.
            pub fn new(input: impl Into<Shape>, window: [usize; 2]) -> Self {
                Self { windows: Windows { stride: window, ..Windows::new(input.into(), window) } }
            }

            /// Sets how far the corners of neighbouring windows are apart, down and across.
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
        }
    };
}
pool!(MaxPool2d);
pool!(AvgPool2d);

/// The places of a window's pixels, row after row.
#[derive(Clone, Copy)]
struct Pixels {
    first: usize,
    /// Pixels of a window, and of a row of the picture.
    size: [usize; 2],
    width: usize,
}

impl Pixels {
    fn each(self) -> impl Iterator<Item = usize> {
        let Self { first, size: [height, across], width } = self;
        (0..height).flat_map(move |y| (0..across).map(move |x| first + y * width + x))
    }
}

/// Calls `f` for every window, with its number and its pixels' places in the picture.
fn each_window(windows: &Windows, mut f: impl FnMut(usize, Pixels)) {
    let ([channels, height, width], [down, across]) = (windows.input, windows.count());
    let mut window = 0;
    for channel in 0..channels {
        for y in 0..down {
            for x in 0..across {
                let first = (channel * height + y * windows.stride[0]) * width + x * windows.stride[1];
                f(window, Pixels { first, size: windows.kernel, width });
                window += 1;
            }
        }
    }
}

/// # Errors
/// As [`Windows::validate`]; a file may also say of a pool what only a convolution has.
fn validate(windows: &Windows) -> Result<()> {
    let [padding, dilation] = [windows.padding, windows.dilation].map(|[down, across]| down.max(across));
    require(windows.padding == [0; 2], "padding of a pool", "none", padding as f64)?;
    require(windows.dilation == [1; 2], "dilation of a pool", "1", dilation as f64)?;
    windows.validate()
}

/// Returns the place of the largest of a window's pixels, the first if there are several.
fn largest<T: Scalar>(picture: &[T], pixels: Pixels) -> usize {
    // Plain loops take half of the time of `each`, and are most of the layer's.
    let Pixels { first, size: [height, across], width } = pixels;
    let mut most = first;
    for row in 0..height {
        let start = first + row * width;
        for pixel in start..start + across {
            // A NaN stays, so that it shows.
            if picture[pixel] > picture[most] || picture[pixel].to_f64().is_nan() {
                most = pixel;
            }
        }
    }
    most
}

impl AvgPool2d {
    fn share<T: Scalar>(&self) -> T {
        let [height, width] = self.windows.kernel;
        T::one() / T::of((height * width) as f64)
    }
}

impl<T: Scalar> Layer<T> for MaxPool2d {
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

    fn validate(&self) -> Result<()> {
        validate(&self.windows)
    }

    fn forward(&self, _params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _cache: &mut [T]) {
        for (y, x) in output.columns_mut().zip(input.columns()) {
            each_window(&self.windows, |window, pixels| y[window] = x[largest(x, pixels)]);
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
        for ((grad, x), c) in grad.columns_mut().zip(input.columns()).zip(cotangent.columns()) {
            each_window(&self.windows, |window, pixels| grad[largest(x, pixels)] += c[window]);
        }
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("MaxPool2d", self)
    }
}

impl<T: Scalar> Layer<T> for AvgPool2d {
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

    fn validate(&self) -> Result<()> {
        validate(&self.windows)
    }

    fn forward(&self, _params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _cache: &mut [T]) {
        for (y, x) in output.columns_mut().zip(input.columns()) {
            each_window(&self.windows, |window, pixels| {
                y[window] = self.share::<T>() * pixels.each().map(|pixel| x[pixel]).sum::<T>();
            });
        }
    }

    fn input_gradient(
        &self,
        _params: &[T],
        _input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        _cache: &mut [T],
    ) {
        grad.as_mut_slice().fill(T::zero());
        for (grad, c) in grad.columns_mut().zip(cotangent.columns()) {
            each_window(&self.windows, |window, pixels| {
                pixels.each().for_each(|pixel| grad[pixel] += self.share::<T>() * c[window]);
            });
        }
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("AvgPool2d", self)
    }
}
