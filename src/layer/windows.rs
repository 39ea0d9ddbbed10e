//! Windows that go over the rows and columns of a picture.

use super::Shape;
use crate::Result;
use crate::error::require;

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

    /// Returns the first pixel, down and across, of each phase: the windows that reach a pixel do so by the same pixels of theirs as those that
    /// reach a pixel a stride further.
    pub(super) fn phases(&self) -> impl Iterator<Item = [usize; 2]> {
        let [_, height, width] = self.input;
        let [down, across] = [self.stride[0].min(height), self.stride[1].min(width)];
        (0..down).flat_map(move |y| (0..across).map(move |x| [y, x]))
    }
}
