//! The linear map of a convolution, its transpose and its gradient by the kernels, each for one picture.

use std::ops::Range;

use rand::Rng;

use super::windows::Windows;
use super::{Init, Tensor};
use crate::error::require;
use crate::machine::linalg::{add_matmul_rows, add_matmul_tn_rows, matmul_nt_rows};
use crate::{MatMut, MatRef, Result, Scalar};

/// Entries of unfolded patches that are there at a time: they stay in the second cache.
const PATCHES: usize = 1 << 16;

/// The correlation of a picture z with kernels W,
///
/// ```text
/// (W ∗ z)[o, y, x] = Σ_{c, i, j} W[o, c, i, j] · z[c, y·s + i·d − p, x·s + j·d − p]        zeros outside the picture
/// ```
///
/// where channel o reads the channels c of its group. W is `channels × picture's channels / groups × kernel height × kernel width`, the
/// last index fastest, `z` the picture that the windows go over, and W ∗ z has a pixel for each window and channel.
///
/// Patches of the picture are unfolded, some rows of windows at a time, and multiplied by the kernels as matrices. The scratch of each
/// product holds the patches of one group and band of rows, [`scratch_len`](Self::scratch_len) entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correlation {
    pub(super) windows: Windows,
    pub(super) channels: usize,
    pub(super) groups: usize,
}

impl Correlation {
    /// Adds W ∗ z to `output`.
    pub(super) fn add_product<T: Scalar>(&self, weights: &[T], picture: &[T], output: &mut [T], scratch: &mut [T]) {
        let pixels = output.len() / self.channels;
        self.parts(|inputs, rows, windows, outputs| {
            let patches = &mut scratch[..windows.len() * self.weights_of_channel()];
            self.windows.unfold(picture, inputs, rows, patches);
            let patches = MatRef::new(patches, windows.len(), self.weights_of_channel());
            let output = &mut output[outputs.start * pixels..outputs.end * pixels];
            let output = MatMut::new(output, pixels, outputs.len());
            add_matmul_rows(patches, self.kernels(weights, &outputs), output, windows);
        });
    }

    /// Adds to `picture` the product of the map's transpose with `cotangent`, which has the pixels of W ∗ z: the gradient of
    /// ⟨cotangent, W ∗ z⟩ by z.
    pub(super) fn add_transpose<T: Scalar>(
        &self,
        weights: &[T],
        cotangent: &[T],
        picture: &mut [T],
        scratch: &mut [T],
    ) {
        self.parts(|inputs, rows, windows, outputs| {
            let patches = &mut scratch[..windows.len() * self.weights_of_channel()];
            let out = MatMut::new(patches, windows.len(), self.weights_of_channel());
            matmul_nt_rows(self.of_channels(cotangent, &outputs), windows, self.kernels(weights, &outputs), out);
            self.windows.fold(patches, inputs, rows, picture);
        });
    }

    /// Adds to `gradient` that of ⟨cotangent, W ∗ z⟩ by W.
    pub(super) fn add_gradient<T: Scalar>(
        &self,
        picture: &[T],
        cotangent: &[T],
        gradient: &mut [T],
        scratch: &mut [T],
    ) {
        let len = self.weights_of_channel();
        self.parts(|inputs, rows, windows, outputs| {
            let patches = &mut scratch[..windows.len() * len];
            self.windows.unfold(picture, inputs, rows, patches);
            let patches = MatRef::new(patches, windows.len(), len);
            let kernels = MatMut::new(&mut gradient[outputs.start * len..outputs.end * len], len, outputs.len());
            add_matmul_tn_rows(patches, self.of_channels(cotangent, &outputs), windows, kernels);
        });
    }

    /// Returns the entries of scratch for any of the products; saturates.
    pub(super) fn scratch_len(&self) -> usize {
        let [_, across] = self.windows.count();
        self.band().saturating_mul(across).saturating_mul(self.weights_of_channel())
    }

    /// Returns the number of weights; saturates.
    pub(super) fn weights_len(&self) -> usize {
        self.weights_of_channel().saturating_mul(self.channels)
    }

    /// Returns the weights of one kernel: those of a group's channels of the picture.
    pub(super) fn weights_of_channel(&self) -> usize {
        let [height, width] = self.windows.kernel;
        self.channels_of_group().saturating_mul(height).saturating_mul(width)
    }

    fn channels_of_group(&self) -> usize {
        let [channels, ..] = self.windows.input;
        channels / self.groups.max(1)
    }

    /// Returns the rows of windows that are unfolded at a time, for one group.
    fn band(&self) -> usize {
        let [down, across] = self.windows.count();
        (PATCHES / across.saturating_mul(self.weights_of_channel()).max(1)).clamp(1, down.max(1))
    }

    /// Calls `f` for every group and band of rows of windows: with the group's channels of the picture, the rows, the windows of these rows
    /// among those of the picture, and the group's kernels.
    fn parts(&self, mut f: impl FnMut(Range<usize>, Range<usize>, Range<usize>, Range<usize>)) {
        let [down, across] = self.windows.count();
        let (inputs, outputs) = (self.channels_of_group(), self.channels / self.groups);
        for group in 0..self.groups {
            for first in (0..down).step_by(self.band()) {
                let rows = first..down.min(first + self.band());
                let windows = rows.start * across..rows.end * across;
                f(group * inputs..(group + 1) * inputs, rows, windows, group * outputs..(group + 1) * outputs);
            }
        }
    }

    /// Returns some kernels, `weights × channels`.
    fn kernels<'a, T>(&self, weights: &'a [T], outputs: &Range<usize>) -> MatRef<'a, T> {
        let len = self.weights_of_channel();
        MatRef::new(&weights[outputs.start * len..outputs.end * len], len, outputs.len())
    }

    /// Returns some channels of W ∗ z, `pixels × channels`.
    fn of_channels<'a, T>(&self, picture: &'a [T], outputs: &Range<usize>) -> MatRef<'a, T> {
        let pixels = picture.len() / self.channels;
        MatRef::new(&picture[outputs.start * pixels..outputs.end * pixels], pixels, outputs.len())
    }

    /// Draws W with these numbers of inputs and outputs in the variance of independent entries.
    pub(super) fn draw<T: Scalar>(&self, init: Init, fans: [usize; 2], weights: &mut [T], rng: &mut dyn Rng) {
        let len = self.weights_of_channel();
        // Drawn as of a dense map, whose matrix lies the other way round.
        let mut drawn = vec![T::zero(); weights.len()];
        init.fill_fans(MatMut::new(&mut drawn, self.channels, len), fans, rng);
        for (kernel, o) in weights.chunks_exact_mut(len).zip(0..) {
            kernel.iter_mut().zip(drawn[o..].iter().step_by(self.channels)).for_each(|(w, drawn)| *w = *drawn);
        }
    }

    /// Returns W as a file has it.
    pub(super) fn tensor(&self) -> Tensor {
        let [height, width] = self.windows.kernel;
        Tensor::array("weight", [self.channels, self.channels_of_group(), height, width])
    }

    /// # Errors
    /// [`Error::HyperParameter`](crate::Error::HyperParameter) for a setting of 0, where no window fits into the picture, and for groups
    /// that do not divide the channels of both pictures.
    pub(super) fn validate(&self) -> Result<()> {
        self.windows.validate()?;
        let [channels, ..] = self.windows.input;
        let divides = |channels: usize| self.groups > 0 && channels.is_multiple_of(self.groups);
        let both = divides(channels) && divides(self.channels);
        require(both, "groups of a convolution", "a divisor of the input and output channels", self.groups as f64)
    }
}
