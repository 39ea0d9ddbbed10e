//! Enlarging pictures by repeating their pixels.

use super::windows::{picture, require_picture};
use super::{Layer, Shape};
use crate::error::require;
use crate::{MatMut, MatRef, Result, Scalar};

/// A picture enlarged by whole factors down and across, each pixel repeated,
///
/// ```text
/// ẑ[c, y, x] = z[c, ⌊y / down⌋, ⌊x / across⌋]
/// ```
///
/// whose input gradient sums over the copies. Input `channels · height · width × n`, output `channels · height·down · width·across × n`; no
/// parameters. Nearest neighbours, as in PyTorch's `Upsample` and Keras' `UpSampling2D` by default.
///
/// ```
/// use decoupled::layer::{Shape, Upsample};
///
/// assert_eq!(Upsample::new([8, 7, 7], [2, 3]).output(), Shape::from([8, 14, 21]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "UpSampling2D")]
#[doc(alias = "UpsamplingNearest2d")]
pub struct Upsample {
    /// Channels, height and width.
    input: [usize; 3],
    /// Down and across.
    factors: [usize; 2],
}

impl Upsample {
    /// Repeats each pixel these numbers of times down and across.
    pub fn new(input: impl Into<Shape>, factors: [usize; 2]) -> Self {
        Self { input: picture(input.into()), factors }
    }

    /// Returns the shape of the output.
    pub const fn output(&self) -> Shape {
        let ([channels, height, width], [down, across]) = (self.input, self.factors);
        Shape::Image { channels, height: height.saturating_mul(down), width: width.saturating_mul(across) }
    }

    /// Returns the width of the input, of the output, and the numbers of the output that one row of the input becomes.
    fn widths(&self) -> [usize; 3] {
        let ([_, _, width], [down, across]) = (self.input, self.factors);
        [width, width * across, width * across * down]
    }
}

impl<T: Scalar> Layer<T> for Upsample {
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

    fn validate(&self) -> Result<()> {
        require_picture("rows and columns of the picture that Upsample enlarges", self.input)?;
        let [down, across] = self.factors;
        require(down > 0 && across > 0, "factors of Upsample", "at least 1", 0.0)
    }

    fn forward(&self, _params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _cache: &mut [T]) {
        let ([width, wide, copies], [_, across]) = (self.widths(), self.factors);
        let rows = input.as_slice().chunks_exact(width);
        for (row, copies) in rows.zip(output.as_mut_slice().chunks_exact_mut(copies)) {
            let (first, others) = copies.split_at_mut(wide);
            row.iter().zip(first.chunks_exact_mut(across)).for_each(|(&pixel, run)| run.fill(pixel));
            others.chunks_exact_mut(wide).for_each(|copy| copy.copy_from_slice(first));
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
        let ([width, wide, copies], [_, across]) = (self.widths(), self.factors);
        let rows = grad.as_mut_slice().chunks_exact_mut(width);
        for (row, copies) in rows.zip(cotangent.as_slice().chunks_exact(copies)) {
            row.fill(T::zero());
            for copy in copies.chunks_exact(wide) {
                let runs = copy.chunks_exact(across);
                row.iter_mut().zip(runs).for_each(|(pixel, run)| *pixel += run.iter().copied().sum::<T>());
            }
        }
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Upsample", self)
    }
}
