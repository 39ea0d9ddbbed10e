//! The shape of one example: a vector, or a picture.

use std::fmt;

/// The shape of one example, on its way through a network.
///
/// A picture lies in its column channel after channel, each row after row, as in PyTorch: the entry of channel c, row y and column x
/// is number `(c · height + y) · width + x`. A picture and a flat shape fit each other if their lengths are equal, and a picture of one
/// pixel counts as flat: no layer is needed between them. Two other pictures must be equal. A sequence, such as a signal in time, is a
/// picture of height 1.
///
/// ```
/// use decoupled::layer::Shape;
///
/// assert_eq!(Shape::from([3, 32, 32]).to_string(), "3×32×32");
/// assert_eq!(Shape::from(784).len(), 784);
/// assert_eq!(Shape::from([2, 100]), Shape::from([2, 1, 100]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub enum Shape {
    /// A vector of this length.
    Flat(usize),
    /// A picture.
    Image {
        /// Numbers of a pixel, as 3 for red, green and blue.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

impl Shape {
    /// Returns the length of an example; saturates.
    pub const fn len(&self) -> usize {
        match *self {
            Self::Flat(len) => len,
            Self::Image { channels, height, width } => channels.saturating_mul(height).saturating_mul(width),
        }
    }

    /// Returns whether an example has no numbers.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns channels, height and width; one pixel whose channels are the entries for a flat shape.
    pub const fn image(&self) -> [usize; 3] {
        match *self {
            Self::Flat(len) => [len, 1, 1],
            Self::Image { channels, height, width } => [channels, height, width],
        }
    }

    /// Returns whether a layer with inputs of this shape reads those of shape `below`.
    pub fn reads(&self, below: Self) -> bool {
        // One pixel is as good as flat.
        let flat = |shape| matches!(shape, Self::Flat(_) | Self::Image { height: 1, width: 1, .. });
        *self == below || (flat(*self) || flat(below)) && self.len() == below.len()
    }
}

impl From<usize> for Shape {
    fn from(len: usize) -> Self {
        Self::Flat(len)
    }
}

/// Channels and length of a sequence: a picture of height 1.
impl From<[usize; 2]> for Shape {
    fn from([channels, width]: [usize; 2]) -> Self {
        Self::Image { channels, height: 1, width }
    }
}

/// Channels, height and width.
impl From<[usize; 3]> for Shape {
    fn from([channels, height, width]: [usize; 3]) -> Self {
        Self::Image { channels, height, width }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flat(len) => write!(f, "{len}"),
            Self::Image { channels, height, width } => write!(f, "{channels}×{height}×{width}"),
        }
    }
}
