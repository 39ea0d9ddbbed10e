use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::data::{Dataset, Examples};
use crate::file::{format, io_at};
use crate::{Error, Result, Scalar};

/// Reads a file of grey images in the IDX format (magic number 0x00000803), as MNIST comes in: `pixels × images`, each
/// image row by row, each byte divided by 255 so that pixels lie in [0, 1].
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Format`] when it is not such a file or its length is not what its
/// header says.
pub fn read_idx_images<T: Scalar>(path: impl AsRef<Path>) -> Result<Examples<T>> {
    let ([images, height, width], pixels) = read(path.as_ref())?;
    let pixels = pixels.into_iter().map(|pixel| T::of(f64::from(pixel) / 255.0));
    Examples::from_columns(pixels.collect(), images, height * width)
}

/// Reads a file of labels in the IDX format (magic number 0x00000801).
///
/// # Errors
/// As [`read_idx_images`].
pub fn read_idx_labels(path: impl AsRef<Path>) -> Result<Vec<usize>> {
    let ([_], labels) = read(path.as_ref())?;
    Ok(labels.into_iter().map(usize::from).collect())
}

/// MNIST, or a set that is stored like it in ten classes (Fashion-MNIST, KMNIST): the training part and the test part,
/// pixels in [0, 1].
///
/// `dir` holds the four unpacked files, `train-images-idx3-ubyte` or `train-images.idx3-ubyte` and so on.
///
/// Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), *Gradient-based learning applied to document recognition*,
/// [DOI 10.1109/5.726791](https://doi.org/10.1109/5.726791).
///
/// # Errors
/// Those of [`read_idx_images`], [`Error::Shape`] when labels and images are not equally many or test images are of
/// another size, [`Error::LabelOutOfRange`] for a label above 9.
pub fn mnist<T: Scalar>(dir: impl AsRef<Path>) -> Result<(Dataset<T>, Dataset<T>)> {
    let (train, test) = (part(dir.as_ref(), "train")?, part(dir.as_ref(), "t10k")?);
    let (expected, found) = (train.input_dim(), test.input_dim());
    if found != expected {
        return Err(Error::Shape { what: "pixels of a test image (rows of the inputs)", expected, found });
    }
    Ok((train, test))
}

fn part<T: Scalar>(dir: &Path, part: &str) -> Result<Dataset<T>> {
    let images = read_idx_images(find(dir, &format!("{part}-images"), "idx3-ubyte"))?;
    let labels = read_idx_labels(find(dir, &format!("{part}-labels"), "idx1-ubyte"))?;
    Dataset::classification(images, &labels, 10)
}

fn find(dir: &Path, name: &str, kind: &str) -> PathBuf {
    let dotted = dir.join(format!("{name}.{kind}"));
    if dotted.is_file() { dotted } else { dir.join(format!("{name}-{kind}")) }
}

/// The `D` dimensions and the bytes of an IDX file. What the header says is compared with the file's length before
/// anything of that size is allocated.
fn read<const D: usize>(path: &Path) -> Result<([usize; D], Vec<u8>)> {
    let io_error = |error| io_at(path, error);
    let format_error = |place: &str, expected: String, found: String| format(path, place, expected, found);
    let mut file = File::open(path).map_err(io_error)?;
    let length = file.metadata().map_err(io_error)?.len();
    let header_length = 4 * (1 + D as u64);
    if length < header_length {
        return Err(format_error("header", format!("{header_length} bytes"), format!("{length} bytes")));
    }
    let magic = 0x0800 + D as u32;
    let found = word(&mut file).map_err(io_error)?;
    if found != magic {
        return Err(format_error("byte 0", format!("{magic:#010x}"), format!("{found:#010x}")));
    }
    let mut dimensions = [0; D];
    let mut entries = Some(1u64);
    for (i, dimension) in dimensions.iter_mut().enumerate() {
        let found = word(&mut file).map_err(io_error)?;
        if found == 0 {
            return Err(format_error(&format!("byte {}", 4 * (i + 1)), "at least 1".to_owned(), "0".to_owned()));
        }
        *dimension = found as usize;
        entries = entries.and_then(|entries| entries.checked_mul(u64::from(found)));
    }
    let fits = entries.filter(|&entries| entries == length - header_length).and_then(|n| usize::try_from(n).ok());
    let Some(entries) = fits else {
        let product = dimensions.map(|dimension| dimension.to_string()).join(" × ");
        return Err(format_error("contents", format!("{product} bytes"), format!("{} bytes", length - header_length)));
    };
    let mut bytes = vec![0; entries];
    file.read_exact(&mut bytes).map_err(io_error)?;
    Ok((dimensions, bytes))
}

fn word(file: &mut File) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}
