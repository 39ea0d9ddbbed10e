//! MNIST, EMNIST and other sets that are stored like them: pictures and labels in IDX files.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::data::idx::{self, read_idx_labels};
use crate::data::{Dataset, pictures};
use crate::{Error, Result, Scalar};

/// MNIST, or a set that is stored like it in ten classes (Fashion-MNIST, KMNIST): the training part and the test part,
/// pixels in [0, 1].
///
/// `dir` holds the four files, `train-images-idx3-ubyte` or `train-images.idx3-ubyte` and so on; with the feature `gz` they may be as
/// they are downloaded, `train-images-idx3-ubyte.gz`. A file that is unpacked comes first.
///
/// Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), *Gradient-based learning applied to document recognition*,
/// [DOI 10.1109/5.726791](https://doi.org/10.1109/5.726791).
///
/// # Errors
/// Those of [`read_idx_images`](crate::data::read_idx_images), [`Error::Shape`] when labels and images are not equally many or test images
/// are of another size, [`Error::Format`] for a label above 9.
pub fn mnist<T: Scalar>(dir: impl AsRef<Path>) -> Result<(Dataset<T>, Dataset<T>)> {
    read(dir.as_ref(), ["train", "t10k"], (0..10, false))
}

/// A set of EMNIST, by the name that its files have.
///
/// | set | classes | labels |
/// |---|---|---|
/// | `ByClass` | 62 | 0–9 digits, 10–35 capital letters, 36–61 small letters |
/// | `ByMerge` | 47 | 0–9 digits, 10–35 capital letters, 36–46 the small letters a b d e f g h n q r t, the others with their capitals |
/// | `Balanced` | 47 | as `ByMerge`, equally many of each |
/// | `Letters` | 26 | 0–25 letters, small with capital |
/// | `Digits`, `Mnist` | 10 | digits |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmnistSplit {
    /// `emnist-byclass`.
    ByClass,
    /// `emnist-bymerge`.
    ByMerge,
    /// `emnist-balanced`.
    Balanced,
    /// `emnist-letters`, whose files count labels from 1.
    Letters,
    /// `emnist-digits`.
    Digits,
    /// `emnist-mnist`.
    Mnist,
}

impl EmnistSplit {
    /// Returns its name in those of the files, and the labels that they have.
    const fn stored(self) -> (&'static str, Range<usize>) {
        match self {
            Self::ByClass => ("byclass", 0..62),
            Self::ByMerge => ("bymerge", 0..47),
            Self::Balanced => ("balanced", 0..47),
            Self::Letters => ("letters", 1..27),
            Self::Digits => ("digits", 0..10),
            Self::Mnist => ("mnist", 0..10),
        }
    }
}

/// A set of EMNIST, handwritten letters and digits: the training part and the test part, pixels in [0, 1], upright as those of
/// [`mnist`], labels from 0.
///
/// `dir` holds the four files, `emnist-letters-train-images-idx3-ubyte` and so on, spelled and packed as `mnist` takes them. They have
/// every picture transposed, and letters with labels from 1.
///
/// G. Cohen, S. Afshar, J. Tapson, A. van Schaik (2017), *EMNIST: an extension of MNIST to handwritten letters*,
/// [arXiv 1702.05373](https://arxiv.org/abs/1702.05373). That the pictures are transposed:
/// [TensorFlow Datasets](https://www.tensorflow.org/datasets/catalog/emnist).
///
/// ```no_run
/// use decoupled::data::{self, EmnistSplit};
///
/// let (train, test) = data::emnist::<f32>("emnist/gzip", EmnistSplit::Letters)?;
/// assert_eq!((train.input_dim(), train.classes()), (28 * 28, Some(26)));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// Those of [`mnist`], with [`Error::Format`] for a label that the set has not.
pub fn emnist<T: Scalar>(dir: impl AsRef<Path>, split: EmnistSplit) -> Result<(Dataset<T>, Dataset<T>)> {
    let (name, labels) = split.stored();
    let [train, test] = ["train", "test"].map(|part| format!("emnist-{name}-{part}"));
    read(dir.as_ref(), [&train, &test], (labels, true))
}

/// Reads the training part and the test part, with labels of this range and pictures that are stored transposed or not.
fn read<T: Scalar>(
    dir: &Path,
    [train, test]: [&str; 2],
    (labels, transposed): (Range<usize>, bool),
) -> Result<(Dataset<T>, Dataset<T>)> {
    let (train, test) = (part(dir, train, &labels, transposed)?, part(dir, test, &labels, transposed)?);
    let (expected, found) = (train.input_dim(), test.input_dim());
    if found != expected {
        return Err(Error::Shape { what: "pixels of a test image (rows of the inputs)", expected, found });
    }
    Ok((train, test))
}

fn part<T: Scalar>(dir: &Path, part: &str, known: &Range<usize>, transposed: bool) -> Result<Dataset<T>> {
    let ([images, height, width], mut pixels) = idx::read(&find(dir, &format!("{part}-images"), "idx3-ubyte"))?;
    if transposed {
        let columns = pixels.chunks_exact(height * width);
        pixels = columns.flat_map(|columns| transpose(columns, width)).collect();
    }
    let path = find(dir, &format!("{part}-labels"), "idx1-ubyte");
    let labels = read_idx_labels(&path)?.into_iter().enumerate();
    let labels =
        labels.map(|(i, found)| pictures::label(&path, ("label", known), i, found)).collect::<Result<Vec<_>>>()?;
    Dataset::classification(pictures::examples(&pixels, images, height * width)?, &labels, known.len())
}

/// Returns the columns of rows of this width, one after the other.
fn transpose(rows: &[u8], width: usize) -> impl Iterator<Item = u8> {
    (0..width).flat_map(move |x| rows.iter().skip(x).step_by(width).copied())
}

fn find(dir: &Path, name: &str, kind: &str) -> PathBuf {
    let plain = dir.join(format!("{name}-{kind}"));
    let others = [".", "-"].map(|mark| dir.join(format!("{name}{mark}{kind}.gz")));
    let spellings = [dir.join(format!("{name}.{kind}")), plain.clone()].into_iter().chain(others);
    spellings.into_iter().find(|path| path.is_file()).unwrap_or(plain)
}
