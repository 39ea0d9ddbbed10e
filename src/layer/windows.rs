//! Windows that go over the rows and columns of a picture.

use std::ops::Range;

use super::Shape;
use crate::error::require;
use crate::{Result, Scalar};

/// Windows of `kernel` pixels, `dilation` apart, whose corners are `stride` pixels apart, over a picture with `padding` rows and columns of
/// zeros on each side; all of these are height × width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(super) struct Windows {
    /// Channels, height and width of the picture.
    pub(super) input: [usize; 3],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) dilation: [usize; 2],
}

/// Returns channels, height and width of an input; none of a flat one, which would pass for channels of one pixel otherwise, and which
/// [`require_picture`] refuses.
pub(super) fn picture(input: Shape) -> [usize; 3] {
    if let Shape::Flat(len) = input { [len, 0, 0] } else { input.image() }
}

/// # Errors
/// [`Error::HyperParameter`](crate::Error::HyperParameter) for a picture without rows or columns, which is how a flat input comes here.
pub(super) fn require_picture(what: &'static str, [_, height, width]: [usize; 3]) -> Result<()> {
    let expected = "a picture, as of builder([channels, height, width])";
    require(height > 0 && width > 0, what, expected, height.min(width) as f64)
}

impl Windows {
    pub(super) fn new(input: Shape, kernel: [usize; 2]) -> Self {
        Self { input: picture(input), kernel, stride: [1; 2], padding: [0; 2], dilation: [1; 2] }
    }

    /// Returns the picture's shape.
    pub(super) fn input(&self) -> Shape {
        self.input.into()
    }

    /// Returns the rows or columns from the first pixel of a window to the last; saturates.
    pub(super) fn extent(&self, axis: usize) -> usize {
        self.dilation[axis].saturating_mul(self.kernel[axis].saturating_sub(1)).saturating_add(1)
    }

    /// Returns the number of windows down and across; 0 where none fits.
    pub(super) fn count(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            // None fits into a picture whose size is beyond all numbers.
            let padded = self.padding[axis].checked_mul(2).and_then(|both| both.checked_add(self.input[axis + 1]));
            let rest = padded.and_then(|padded| padded.checked_sub(self.extent(axis)));
            rest.map_or(0, |rest| rest / self.stride[axis].max(1) + 1)
        })
    }

    /// Returns the shape of pictures with `channels` channels and a pixel for each window.
    pub(super) fn output(&self, channels: usize) -> Shape {
        let [height, width] = self.count();
        Shape::Image { channels, height, width }
    }

    /// # Errors
    /// [`Error::HyperParameter`](crate::Error::HyperParameter) for a setting of 0, and where no window fits into the picture.
    pub(super) fn validate(&self) -> Result<()> {
        self.validate_settings()?;
        for axis in [0, 1] {
            let (what, most) = (
                ["height of a window, dilated", "width of a window, dilated"][axis],
                ["at most the picture's height, padded", "at most the picture's width, padded"][axis],
            );
            require(self.count()[axis] > 0, what, most, self.extent(axis) as f64)?;
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::HyperParameter`](crate::Error::HyperParameter) for a setting of 0.
    pub(super) fn validate_settings(&self) -> Result<()> {
        require_picture("rows and columns of what windows go over", self.input)?;
        for axis in [0, 1] {
            require(self.kernel[axis] > 0, "pixels along a side of a window", "at least 1", 0.0)?;
            require(self.stride[axis] > 0, "stride of windows", "at least 1", 0.0)?;
            require(self.dilation[axis] > 0, "dilation of a window", "at least 1", 0.0)?;
        }
        Ok(())
    }

    /// Calls `f` for the pixels of the picture that the windows of `rows` read, run after run: with their places in a matrix that has a
    /// row for each of these windows and a column for each pixel of a window in each of `channels`, and the first one's place in the
    /// picture, where they are the horizontal stride apart.
    pub(super) fn runs(&self, channels: Range<usize>, rows: Range<usize>, mut f: impl FnMut(Range<usize>, usize)) {
        let [_, height, width] = self.input;
        let [_, across] = self.count();
        let mut start = 0;
        for channel in channels {
            for ky in 0..self.kernel[0] {
                for kx in 0..self.kernel[1] {
                    let offset = kx * self.dilation[1];
                    // The windows whose pixel lies in the picture, not in the padding.
                    let beyond = |end: usize| end.saturating_sub(offset).div_ceil(self.stride[1]).min(across);
                    let (first, end) = (beyond(self.padding[1]), beyond(width + self.padding[1]));
                    for row in rows.clone() {
                        let y = (row * self.stride[0] + ky * self.dilation[0]).wrapping_sub(self.padding[0]);
                        if y < height && first < end {
                            let x = first * self.stride[1] + offset - self.padding[1];
                            f(start + first..start + end, (channel * height + y) * width + x);
                        }
                        start += across;
                    }
                }
            }
        }
    }

    /// Writes the pixels that the windows of `rows` read in `channels`: a row for each window, column after column.
    pub(super) fn unfold<T: Scalar>(
        &self,
        picture: &[T],
        channels: Range<usize>,
        rows: Range<usize>,
        patches: &mut [T],
    ) {
        if self.padding != [0; 2] {
            patches.fill(T::zero());
        }
        self.runs(channels, rows, |run, first| {
            let (run, pixels) = (&mut patches[run], &picture[first..]);
            match self.stride[1] {
                1 => run.copy_from_slice(&pixels[..run.len()]),
                stride => run.iter_mut().zip(pixels.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
            }
        });
    }

    /// Adds the entries of `patches` to the pixels that they were unfolded from: the transpose of [`unfold`](Self::unfold).
    pub(super) fn fold<T: Scalar>(&self, patches: &[T], channels: Range<usize>, rows: Range<usize>, picture: &mut [T]) {
        self.runs(channels, rows, |run, first| {
            let (run, pixels) = (&patches[run], &mut picture[first..]);
            match self.stride[1] {
                // Beside each other: several at a time.
                1 => pixels.iter_mut().zip(run).for_each(|(pixel, from)| *pixel += *from),
                stride => pixels.iter_mut().step_by(stride).zip(run).for_each(|(pixel, from)| *pixel += *from),
            }
        });
    }
}
