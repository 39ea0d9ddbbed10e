//! Pooling over pictures: the largest or the mean of the pixels of each window, channel by channel.

use std::ops::Range;

use super::windows::Windows;
use super::{Layer, Shape};
use crate::error::require;
use crate::machine::linalg::{LANES, dispatch};
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

    /// Calls `f` for up to [`LANES`] neighbouring windows at a time, with their numbers and the first pixel of the first one.
    #[inline(always)]
    fn each_block(&self, mut f: impl FnMut(Range<usize>, usize)) {
        let Windows { input: [channels, height, width], stride, .. } = self.windows;
        let [down, across] = self.windows.count();
        for row in 0..channels * down {
            let corner = (row / down * height + row % down * stride[0]) * width;
            for first in (0..across).step_by(LANES) {
                f(row * across + first..row * across + across.min(first + LANES), corner + first * stride[1]);
            }
        }
    }

    /// Returns how far a pixel of a window is from the first, by its place in the window.
    #[inline(always)]
    fn offset(&self, place: usize) -> usize {
        let Windows { input: [.., width], kernel: [_, across], .. } = self.windows;
        place / across * width + place % across
    }
}

/// Returns entries `stride` apart, and zeros for those beyond the first `lanes`.
// The strides that pooling has almost always are loops without a branch; `from_fn` is not always inlined here.
#[inline(always)]
fn gather<T: Scalar>(entries: &[T], stride: usize, lanes: usize) -> [T; LANES] {
    let mut gathered = [T::zero(); LANES];
    match (stride, entries.first_chunk::<LANES>(), entries.first_chunk::<{ 2 * LANES }>()) {
        (1, Some(entries), _) => gathered = *entries,
        (2, _, Some(entries)) => (0..LANES).for_each(|lane| gathered[lane] = entries[2 * lane]),
        _ => (0..lanes).for_each(|lane| gathered[lane] = entries[lane * stride]),
    }
    gathered
}

/// Adds to entries `stride` apart, the first `lanes` of them; values beyond are zeros.
#[inline(always)]
fn scatter<T: Scalar>(entries: &mut [T], stride: usize, lanes: usize, values: [T; LANES]) {
    if stride == 1
        && let Some(entries) = entries.first_chunk_mut::<LANES>()
    {
        (0..LANES).for_each(|lane| entries[lane] += values[lane]);
    } else if stride == 2
        && let Some(entries) = entries.first_chunk_mut::<{ 2 * LANES }>()
    {
        (0..LANES).for_each(|lane| entries[2 * lane] += values[lane]);
    } else {
        entries.iter_mut().step_by(stride).zip(values).take(lanes).for_each(|(entry, value)| *entry += value);
    }
}

#[inline(always)]
#[expect(clippy::eq_op, reason = "a NaN alone differs from itself, and vectors compare as they are")]
fn is_nan<T: Scalar>(x: T) -> bool {
    x != x
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

    fn cache_len(&self, examples: usize) -> usize {
        match self.reduction {
            Reduction::Max => self.output().len().saturating_mul(examples),
            Reduction::Mean => 0,
        }
    }

    // The cache holds the place of the largest pixel of each window. Nothing branches on the pixels: which is the largest cannot be
    // foreseen, and a wrong guess costs as much as a dozen of them.
    fn forward(&self, _params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        let (share, stride) = (self.share::<T>(), self.windows.stride[1]);
        let mut caches = cache.chunks_exact_mut(output.rows());
        for (y, x) in output.columns_mut().zip(input.columns()) {
            let places = caches.next().unwrap_or_default();
            dispatch(
                #[inline(always)]
                || {
                    self.each_block(
                        #[inline(always)]
                        |windows, first| {
                            let lanes = windows.len();
                            let (mut sums, mut at) = (gather(&x[first..], stride, lanes), [T::zero(); LANES]);
                            for place in 1..self.windows.kernel[0] * self.windows.kernel[1] {
                                let x = gather(&x[first + self.offset(place)..], stride, lanes);
                                let place = T::of(place as f64);
                                match self.reduction {
                                    Reduction::Mean => (0..LANES).for_each(|lane| sums[lane] += x[lane]),
                                    Reduction::Max => {
                                        for lane in 0..LANES {
                                            let larger = (x[lane] > sums[lane]) | is_nan(x[lane]);
                                            sums[lane] = if larger { x[lane] } else { sums[lane] };
                                            at[lane] = if larger { place } else { at[lane] };
                                        }
                                    }
                                }
                            }
                            match self.reduction {
                                Reduction::Mean => {
                                    y[windows].iter_mut().zip(sums).for_each(|(y, sum)| *y = share * sum)
                                }
                                Reduction::Max => {
                                    y[windows.clone()].copy_from_slice(&sums[..lanes]);
                                    places[windows].copy_from_slice(&at[..lanes]);
                                }
                            }
                        },
                    );
                },
            );
        }
    }

    fn input_gradient(
        &self,
        _params: &[T],
        _input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        grad.as_mut_slice().fill(T::zero());
        let (share, stride) = (self.share::<T>(), self.windows.stride[1]);
        let mut caches = cache.chunks_exact(cotangent.rows());
        for (grad, c) in grad.columns_mut().zip(cotangent.columns()) {
            let places = caches.next().unwrap_or_default();
            dispatch(
                #[inline(always)]
                || {
                    self.each_block(
                        #[inline(always)]
                        |windows, first| {
                            let lanes = windows.len();
                            let c = gather(&c[windows.clone()], 1, lanes);
                            let at = match self.reduction {
                                Reduction::Max => gather(&places[windows], 1, lanes),
                                Reduction::Mean => [T::zero(); LANES],
                            };
                            for place in 0..self.windows.kernel[0] * self.windows.kernel[1] {
                                let grad = &mut grad[first + self.offset(place)..];
                                let place = T::of(place as f64);
                                let mut values = [T::zero(); LANES];
                                for lane in 0..LANES {
                                    values[lane] = match self.reduction {
                                        Reduction::Max if at[lane] == place => c[lane],
                                        Reduction::Max => T::zero(),
                                        Reduction::Mean => share * c[lane],
                                    };
                                }
                                scatter(grad, stride, lanes, values);
                            }
                        },
                    );
                },
            );
        }
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Pool2d", self)
    }
}
