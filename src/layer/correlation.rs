//! The linear map of a convolution, its transpose and its gradient by the kernels.

use std::cell::RefCell;
use std::ops::Range;

use rand::Rng;

use super::windows::Windows;
use super::{Init, Tensor};
use crate::error::require;
use crate::machine::linalg::{Gathered, rows_for, transpose};
use crate::{MatMut, MatRef, Result, Scalar};

/// Entries that a product reads and writes at a time: they stay in the second cache.
const NEAR: usize = 1 << 16;

/// The correlation of a picture z with kernels W,
///
/// ```text
/// (W ∗ z)[o, y, x] = Σ_{c, i, j} W[o, c, i, j] · z[c, y·s + i·d − p, x·s + j·d − p]        zeros outside the picture
/// ```
///
/// where channel o reads the channels c of its group. W is `channels × picture's channels / groups × kernel height × kernel width`, the
/// last index fastest, `z` the picture that the windows go over, and W ∗ z has a pixel for each window and channel.
///
/// In each product the channels that are computed, or the cotangents, lie side by side, `channels × pixels`, so that vectors go along
/// them; patches are [gathered](Gathered) from pictures in a frame of zeros where they lie, and never unfolded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correlation {
    pub(super) windows: Windows,
    pub(super) channels: usize,
    pub(super) groups: usize,
}

/// The channels of a group in the picture and in W ∗ z, and its weights.
struct Group {
    below: Range<usize>,
    above: Range<usize>,
    weights: Range<usize>,
}

/// How many examples a product goes over at a time, and the entries of its [`Scratch`] for them.
struct Sizes {
    examples: usize,
    framed: usize,
    turned: usize,
    computed: usize,
}

/// The scratch of a product, for one group.
struct Scratch<'a, T> {
    /// Pictures in their frames.
    framed: &'a mut [T],
    /// Kernels, or their gradient, `channels × weights`.
    turned: &'a mut [T],
    /// The other side, `channels × pixels`.
    computed: &'a mut [T],
}

impl Correlation {
    /// Writes W ∗ z to `outputs`, column by column.
    pub(super) fn multiply<T: Scalar>(
        &self,
        weights: &[T],
        pictures: MatRef<'_, T>,
        mut outputs: MatMut<'_, T>,
        scratch: &mut [T],
    ) {
        let (frame, sizes) = (self.frame(), self.sizes(pictures.cols()));
        let Scratch { framed, turned, computed } = sizes.split(scratch);
        let pixels = outputs.rows() / self.channels;
        with_places(|[offsets, places, _]| {
            self.offsets(&frame, offsets);
            self.places(&frame, sizes.examples, places);
            for Group { below, above, weights: of_group } in self.groups() {
                let (height, len) = (rows_for(above.len()), offsets.len());
                let weights = MatRef::new(&weights[of_group], len, above.len());
                transpose(weights, len, turned, height);
                let kernels = MatRef::new(&turned[..len * height], height, len);
                for (pictures, mut outputs) in pictures.blocks(sizes.examples).zip(outputs.blocks_mut(sizes.examples)) {
                    let places = &places[..pictures.cols() * pixels];
                    let computed = &mut computed[..places.len() * height];
                    let patches =
                        Gathered { data: frame.put(pictures, below.clone(), framed), rows: offsets, cols: places };
                    patches.product(kernels, MatMut::new(computed, height, places.len()));
                    for (computed, output) in computed.chunks_exact(pixels * height).zip(outputs.columns_mut()) {
                        let output = &mut output[above.start * pixels..above.end * pixels];
                        let computed = MatRef::new(computed, height, pixels);
                        transpose(computed, above.len(), output, pixels);
                    }
                }
            }
        });
    }

    /// Writes the product of the map's transpose with `cotangents`, which have the pixels of W ∗ z, to `pictures`, column by column: the
    /// gradient of ⟨cotangent, W ∗ z⟩ by z.
    pub(super) fn multiply_transposed<T: Scalar>(
        &self,
        weights: &[T],
        cotangents: MatRef<'_, T>,
        mut pictures: MatMut<'_, T>,
        scratch: &mut [T],
    ) {
        let (frame, sizes) = (self.frame_above(), self.sizes(cotangents.cols()));
        let Scratch { framed, turned, computed } = sizes.split(scratch);
        let pixels = pictures.rows() / self.windows.input[0];
        with_places(|[offsets, places, reached]| {
            for phase in self.windows.phases() {
                self.places_of_phase(&frame, phase, sizes.examples, places, reached);
                for Group { below, above, weights: of_group } in self.groups() {
                    let height = rows_for(below.len());
                    self.turn(&frame, phase, &weights[of_group], offsets, turned.chunks_exact_mut(height));
                    let kernels = MatRef::new(&turned[..offsets.len() * height], height, offsets.len());
                    let blocks = cotangents.blocks(sizes.examples).zip(pictures.blocks_mut(sizes.examples));
                    for (cotangents, mut pictures) in blocks {
                        let places = &places[..cotangents.cols() * reached.len()];
                        let computed = &mut computed[..places.len() * height];
                        let data = frame.put(cotangents, above.clone(), framed);
                        let patches = Gathered { data, rows: offsets, cols: places };
                        patches.product(kernels, MatMut::new(computed, height, places.len()));
                        for (computed, picture) in
                            computed.chunks_exact(reached.len() * height).zip(pictures.columns_mut())
                        {
                            let picture = &mut picture[below.start * pixels..below.end * pixels];
                            let computed = MatRef::new(computed, height, reached.len());
                            if reached.len() == pixels {
                                transpose(computed, below.len(), picture, pixels);
                            } else {
                                for (computed, &pixel) in computed.columns().zip(&*reached) {
                                    let picture = picture[pixel..].iter_mut().step_by(pixels);
                                    picture.zip(computed).for_each(|(z, computed)| *z = *computed);
                                }
                            }
                        }
                    }
                }
            }
        });
    }

    /// Adds to `gradient` that of Σ ⟨cotangent, W ∗ z⟩ by W, over the columns.
    pub(super) fn add_gradient<T: Scalar>(
        &self,
        pictures: MatRef<'_, T>,
        cotangents: MatRef<'_, T>,
        gradient: &mut [T],
        scratch: &mut [T],
    ) {
        let (frame, sizes) = (self.frame(), self.sizes(pictures.cols()));
        let Scratch { framed, turned, computed } = sizes.split(scratch);
        let pixels = cotangents.rows() / self.channels;
        with_places(|[offsets, places, _]| {
            self.offsets(&frame, offsets);
            self.places(&frame, sizes.examples, places);
            for Group { below, above, weights: of_group } in self.groups() {
                let (height, len) = (rows_for(above.len()), offsets.len());
                let turned = &mut turned[..len * height];
                turned.fill(T::zero());
                for (pictures, cotangents) in pictures.blocks(sizes.examples).zip(cotangents.blocks(sizes.examples)) {
                    let places = &places[..pictures.cols() * pixels];
                    let given = &mut computed[..places.len() * height];
                    for (cotangent, given) in cotangents.columns().zip(given.chunks_exact_mut(pixels * height)) {
                        let cotangent = &cotangent[above.start * pixels..above.end * pixels];
                        let cotangent = MatRef::new(cotangent, pixels, above.len());
                        transpose(cotangent, pixels, given, height);
                    }
                    let patches =
                        Gathered { data: frame.put(pictures, below.clone(), framed), rows: places, cols: offsets };
                    patches.add_product(MatRef::new(given, height, places.len()), MatMut::new(turned, height, len));
                }
                let gradient = &mut gradient[of_group];
                for (turned, weight) in turned.chunks_exact(height).zip(0..) {
                    let gradient = gradient[weight..].iter_mut().step_by(len);
                    gradient.zip(turned).for_each(|(gradient, turned)| *gradient += *turned);
                }
            }
        });
    }

    /// Returns the entries of scratch for any of the products of this number of examples; saturates.
    pub(super) fn scratch_len(&self, examples: usize) -> usize {
        let Sizes { framed, turned, computed, .. } = self.sizes(examples);
        framed.saturating_add(turned).saturating_add(computed)
    }

    fn sizes(&self, examples: usize) -> Sizes {
        let product = |factors: [usize; 3]| factors.into_iter().fold(1, usize::saturating_mul);
        let ([_, height, width], [down, across]) = (self.windows.input, self.windows.count());
        let [below, above] = self.channels_of_group();
        let framed = [(self.frame(), below), (self.frame_above(), above)];
        let [framed, framed_above] = framed.map(|(frame, channels)| frame.extra().saturating_mul(channels));
        let framed = framed.max(framed_above);
        let computed = product([down, across, rows_for(above)]).max(product([height, width, rows_for(below)]));
        let pixels = self.windows.kernel[0].saturating_mul(self.windows.kernel[1]);
        let turned = product([pixels, below, rows_for(above)]).max(product([pixels, above, rows_for(below)]));
        let examples = (NEAR / framed.saturating_add(computed).max(1)).clamp(1, examples.max(1));
        let (framed, computed) = (framed.saturating_mul(examples), computed.saturating_mul(examples));
        Sizes { examples, framed, turned, computed }
    }

    fn groups(&self) -> impl Iterator<Item = Group> {
        let ([below, above], weights) = (self.channels_of_group(), self.weights_len() / self.groups);
        let part = |len: usize, group: usize| group * len..(group + 1) * len;
        (0..self.groups).map(move |group| Group {
            below: part(below, group),
            above: part(above, group),
            weights: part(weights, group),
        })
    }

    /// Returns the frame around the picture: its padding.
    fn frame(&self) -> Frame {
        let Windows { input: [channels, height, width], padding, .. } = self.windows;
        let framed = [0, 1].map(|axis| padding[axis].saturating_mul(2).saturating_add([height, width][axis]));
        Frame { channels, size: [height, width], corner: padding, framed }
    }

    /// Returns the frame around W ∗ z: as far as windows lie before and behind the one whose corner is at a pixel or just before.
    fn frame_above(&self) -> Frame {
        let Windows { input: [_, height, width], padding, stride, .. } = self.windows;
        let size = self.windows.count();
        let corner = [0, 1].map(|axis| (self.windows.extent(axis) - 1) / stride[axis].max(1));
        let framed = [0, 1].map(|axis| {
            let end = [height, width][axis].saturating_add(padding[axis]).div_ceil(stride[axis].max(1));
            corner[axis].saturating_add(size[axis].max(end))
        });
        Frame { channels: self.channels, size, corner, framed }
    }

    /// Writes where in the frame the first window reads for each weight of a kernel.
    fn offsets(&self, frame: &Frame, offsets: &mut Vec<usize>) {
        let Windows { kernel: [height, width], dilation: [down, across], .. } = self.windows;
        let [channels, _] = self.channels_of_group();
        offsets.clear();
        for (channel, i) in (0..channels).flat_map(|channel| (0..height).map(move |i| (channel, i))) {
            let row = frame.place(channel, i * down);
            offsets.extend((0..width).map(|j| row + j * across));
        }
    }

    /// Writes where in the frames of some examples each window begins.
    fn places(&self, frame: &Frame, examples: usize, places: &mut Vec<usize>) {
        let Windows { stride: [down, across], .. } = self.windows;
        let ([channels, _], [rows, columns]) = (self.channels_of_group(), self.windows.count());
        places.clear();
        for (example, y) in (0..examples).flat_map(|example| (0..rows).map(move |y| (example, y))) {
            let row = frame.place(frame.first(example, channels), y * down);
            places.extend((0..columns).map(|x| row + x * across));
        }
    }

    /// Writes where in the frames of some examples, around W ∗ z, the window is whose corner is at a pixel of the phase or just before,
    /// and which pixels of a picture these are.
    fn places_of_phase(
        &self,
        frame: &Frame,
        phase: [usize; 2],
        examples: usize,
        places: &mut Vec<usize>,
        reached: &mut Vec<usize>,
    ) {
        let Windows { input: [_, height, width], stride, padding, .. } = self.windows;
        let [_, channels] = self.channels_of_group();
        let rows = || (phase[0]..height).step_by(stride[0]);
        let columns = || (phase[1]..width).step_by(stride[1]);
        reached.clear();
        reached.extend(rows().flat_map(|y| columns().map(move |x| y * width + x)));
        places.clear();
        for (example, y) in (0..examples).flat_map(|example| rows().map(move |y| (example, y))) {
            let row = frame.place(frame.first(example, channels), (y + padding[0]) / stride[0]);
            places.extend(columns().map(|x| row + (x + padding[1]) / stride[1]));
        }
    }

    /// Writes a group's weights by which windows reach the pixels of a phase, one row for each, with the picture's channels side by side,
    /// and where in the frame these windows are, from the place of the pixel.
    fn turn<'a, T: Scalar>(
        &self,
        frame: &Frame,
        phase: [usize; 2],
        weights: &[T],
        offsets: &mut Vec<usize>,
        mut rows: impl Iterator<Item = &'a mut [T]>,
    ) {
        let Windows { kernel: [height, width], stride, padding, dilation, .. } = self.windows;
        let reaches = |axis: usize, pixel: usize| {
            (phase[axis] + padding[axis]) % stride[axis] == pixel * dilation[axis] % stride[axis]
        };
        offsets.clear();
        for (channel, kernel) in weights.chunks_exact(self.weights_of_channel()).enumerate() {
            for i in (0..height).filter(|i| reaches(0, *i)) {
                let row = frame.place(channel, frame.corner[0] - i * dilation[0] / stride[0]);
                for j in (0..width).filter(|j| reaches(1, *j)) {
                    offsets.push(row + frame.corner[1] - j * dilation[1] / stride[1]);
                    let weights = kernel[i * width + j..].iter().step_by(height * width);
                    rows.next().into_iter().flatten().zip(weights).for_each(|(to, weight)| *to = *weight);
                }
            }
        }
    }

    /// Returns the number of weights; saturates.
    pub(super) fn weights_len(&self) -> usize {
        self.weights_of_channel().saturating_mul(self.channels)
    }

    /// Returns the weights of one kernel: those of a group's channels of the picture.
    pub(super) fn weights_of_channel(&self) -> usize {
        let ([channels, _], [height, width]) = (self.channels_of_group(), self.windows.kernel);
        channels.saturating_mul(height).saturating_mul(width)
    }

    /// Returns the channels of a group in the picture and in W ∗ z.
    fn channels_of_group(&self) -> [usize; 2] {
        let [channels, ..] = self.windows.input;
        [channels, self.channels].map(|channels| channels / self.groups.max(1))
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
        let ([channels, _], [height, width]) = (self.channels_of_group(), self.windows.kernel);
        Tensor::array("weight", [self.channels, channels, height, width])
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

impl Sizes {
    fn split<'a, T>(&self, scratch: &'a mut [T]) -> Scratch<'a, T> {
        let (framed, rest) = scratch.split_at_mut(self.framed);
        let (turned, computed) = rest.split_at_mut(self.turned);
        Scratch { framed, turned, computed }
    }
}

/// A picture in a frame of zeros.
struct Frame {
    channels: usize,
    /// Rows and columns of the picture.
    size: [usize; 2],
    /// The row and column where the picture begins.
    corner: [usize; 2],
    /// Rows and columns with the frame.
    framed: [usize; 2],
}

impl Frame {
    /// Returns the entries of a channel that have to be written to frame it; 0 if there is nothing around the picture. Saturates.
    fn extra(&self) -> usize {
        if self.size == self.framed { 0 } else { self.framed[0].saturating_mul(self.framed[1]) }
    }

    /// Returns the number of an example's first channel among those that [`put`](Self::put) returns, for groups of `channels`.
    fn first(&self, example: usize, channels: usize) -> usize {
        example * if self.extra() == 0 { self.channels } else { channels }
    }

    /// Returns where a row of a channel begins.
    fn place(&self, channel: usize, row: usize) -> usize {
        (channel * self.framed[0] + row) * self.framed[1]
    }

    /// Returns some channels of pictures in their frames, or from there on the pictures, if there is nothing around them.
    fn put<'a, T: Scalar>(&self, pictures: MatRef<'a, T>, channels: Range<usize>, framed: &'a mut [T]) -> &'a [T] {
        let ([rows, columns], len) = (self.size, self.extra());
        if len == 0 {
            return &pictures.as_slice()[channels.start * rows * columns..];
        }
        framed.fill(T::zero());
        for (picture, framed) in pictures.columns().zip(framed.chunks_exact_mut(channels.len() * len)) {
            let picture = &picture[channels.start * rows * columns..];
            for (channel, framed) in picture.chunks_exact(rows * columns).zip(framed.chunks_exact_mut(len)) {
                let framed = framed.chunks_exact_mut(self.framed[1]).skip(self.corner[0]);
                for (row, framed) in channel.chunks_exact(columns).zip(framed) {
                    framed[self.corner[1]..][..columns].copy_from_slice(row);
                }
            }
        }
        framed
    }
}

/// Lends this thread's room for places, so that a product allocates nothing.
fn with_places<R>(f: impl FnOnce(&mut [Vec<usize>; 3]) -> R) -> R {
    thread_local!(static PLACES: RefCell<[Vec<usize>; 3]> = const { RefCell::new([const { Vec::new() }; 3]) });
    PLACES.with_borrow_mut(f)
}
