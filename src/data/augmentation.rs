//! Random shifts and flips of the pictures that a fit trains on.

use rand::RngExt;

use crate::error::require;
use crate::layer::Shape;
use crate::machine::linalg::matrix::check_shape;
use crate::machine::random::{Purpose, stream};
use crate::{Result, Scalar};

/// Random changes of training pictures, other ones in every epoch: a shift, and a flip from left to right.
///
/// [`FitConfig::augment`](crate::FitConfig::augment) trains on pictures that are changed so. With H × W pixels in a channel, shifts of at
/// most k pixels, and r, s uniform in −k ..= k and f in {0, 1}, the same for all channels,
///
/// ```text
/// out(c, y, x) = in(c, y − r, x')     x' = x − s, or W − 1 − (x − s) if f = 1     0 where y − r is not in 0 .. H, or x' not in 0 .. W
/// ```
///
/// The 0 that comes in is that of the data as they are: after [`Scaler::standard_channels`](crate::data::Scaler::standard_channels) the
/// mean of the channel. r, s and f follow from the seed, the number of the epoch and that of the example alone.
///
/// Of shifts by zeros that come in and of flips: A. Krizhevsky, I. Sutskever, G. Hinton (2012), *ImageNet classification with deep
/// convolutional neural networks*, NIPS 25; K. He, X. Zhang, S. Ren, J. Sun (2016), *Deep residual learning for image recognition*,
/// [arXiv 1512.03385](https://arxiv.org/abs/1512.03385), whose CIFAR-10 pictures are shifted by at most 4 pixels.
///
/// ```
/// use decoupled::data::Augmentation;
///
/// let augmentation = Augmentation::new([1, 1, 3]).flip();
/// let mut out = [0.0; 3];
/// let mut flipped = 0;
/// for epoch in 1..=100 {
///     augmentation.apply(0, epoch, 7, &[1.0, 2.0, 3.0], &mut out)?;
///     assert!(out == [1.0, 2.0, 3.0] || out == [3.0, 2.0, 1.0]);
///     flipped += usize::from(out[0] == 3.0);
/// }
/// assert!((25..75).contains(&flipped));
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "RandomCrop")]
#[doc(alias = "RandomHorizontalFlip")]
pub struct Augmentation {
    shape: Shape,
    shift: usize,
    flip: bool,
}

impl Augmentation {
    /// Creates one that changes nothing, of pictures of this shape.
    pub fn new(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into(), shift: 0, flip: false }
    }

    /// Shifts each picture by at most `pixels` up or down, and by at most `pixels` to the left or to the right.
    pub fn shift(self, pixels: usize) -> Self {
        Self { shift: pixels, ..self }
    }

    /// Flips half of the pictures from left to right.
    pub fn flip(self) -> Self {
        Self { flip: true, ..self }
    }

    /// Writes to `out` the example of this index as a fit with this [seed](crate::FitConfig::seed) sees it in this epoch, counted from 1
    /// over the life of the network; `picture` is the example in the data, and both are as long as the shape.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a picture or an `out` of another length,
    /// [`Error::HyperParameter`](crate::Error::HyperParameter) for a shift that is not below height and width.
    pub fn apply<T: Scalar>(
        &self,
        seed: u64,
        epoch: usize,
        example: usize,
        picture: &[T],
        out: &mut [T],
    ) -> Result<()> {
        self.check(picture.len())?;
        check_shape("length of a picture that is written", self.shape.len(), out.len())?;
        self.write((seed, epoch), example, picture, out);
        Ok(())
    }

    /// Fails unless examples of this length have the shape, and a part of a picture that is shifted stays.
    pub(crate) fn check(&self, len: usize) -> Result<()> {
        check_shape("length of pictures to augment (rows of the inputs)", self.shape.len(), len)?;
        let [_, height, width] = self.shape.image();
        let fits = self.shift == 0 || self.shift < height.min(width);
        require(fits, "shift of an augmentation", "below height and width of the pictures", self.shift as f64)
    }

    /// Returns the shape of the pictures.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// As [`apply`](Self::apply), where lengths and settings have been checked.
    pub(crate) fn write<T: Scalar>(&self, (seed, epoch): (u64, usize), example: usize, picture: &[T], out: &mut [T]) {
        let mut rng = stream(seed, Purpose::Augment, epoch, example);
        let mut draw = || rng.random_range(0..=2 * self.shift);
        // From 0 on, so that rows and columns need no sign: the middle is no shift.
        let (down, right) = (draw(), draw());
        let flip = self.flip && rng.random();
        let [_, height, width] = self.shape.image();
        let shifted = |at: usize, by: usize, len: usize| (at + self.shift).checked_sub(by).filter(|&from| from < len);
        // Without pixels there are no rows either.
        for (row, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
            let (first, y) = (row / height * height, row % height);
            let from = shifted(y, down, height).and_then(|y| picture.chunks_exact(width).nth(first + y));
            for (x, out) in out.iter_mut().enumerate() {
                let x = shifted(x, right, width).map(|x| if flip { width - 1 - x } else { x });
                *out = x.and_then(|x| from?.get(x)).copied().unwrap_or(T::zero());
            }
        }
    }
}
