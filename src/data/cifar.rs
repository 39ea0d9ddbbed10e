//! CIFAR-10 and CIFAR-100 in their binary format.

use std::ops::Range;
use std::path::Path;

use crate::data::{Dataset, pictures};
use crate::machine::file::{format, read_bytes};
use crate::{Result, Scalar};

/// Bytes of a picture: red, green and blue, each 32 × 32.
const PICTURE: usize = 3 * 32 * 32;

/// CIFAR-10: the training part and the test part, pixels in [0, 1], ten classes.
///
/// An example is a picture of [shape](crate::layer::Shape) 3 × 32 × 32, `3072 × n` all together: red, green, blue, each row by row.
/// `dir` is the unpacked folder of the binary version, `cifar-10-batches-bin`, with `data_batch_1.bin` to `data_batch_5.bin`, which come
/// one after the other, and `test_batch.bin`. A record is one byte for the label and 3,072 for the picture; a file may have any number of
/// records. With the feature `gz` the files may be gzipped.
///
/// A. Krizhevsky (2009), *Learning multiple layers of features from tiny images*; format:
/// [cs.toronto.edu/~kriz/cifar.html](https://www.cs.toronto.edu/~kriz/cifar.html).
///
/// ```no_run
/// use decoupled::data::{self, Scaler};
///
/// let (train, test) = data::cifar10::<f32>("cifar-10-batches-bin")?;
/// let scaler = Scaler::standard_channels(train.inputs(), [3, 32, 32])?;
/// let (train, test) = (scaler.scale_inputs(&train)?, scaler.scale_inputs(&test)?);
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when a file cannot be read, [`Error::NotAFile`](crate::Error::NotAFile) for a device,
/// [`Error::Format`](crate::Error::Format) for a file that is empty or does not consist of whole records, and for a label that is no
/// class, [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub fn cifar10<T: Scalar>(dir: impl AsRef<Path>) -> Result<(Dataset<T>, Dataset<T>)> {
    let batches = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
    let read = |names: &[&str]| read(dir.as_ref(), names, &[], ("label", 0..10));
    Ok((read(&batches)?, read(&["test_batch.bin"])?))
}

/// CIFAR-100: as [`cifar10`], with a hundred classes, the *fine* labels.
///
/// `dir` is the unpacked folder of the binary version, `cifar-100-binary`, with `train.bin` and `test.bin`. A record is a byte for the
/// coarse label, one of twenty groups of five classes each, one for the fine label and 3,072 for the picture. The coarse label, which
/// follows from the fine one, is checked and left out.
///
/// # Errors
/// As [`cifar10`].
pub fn cifar100<T: Scalar>(dir: impl AsRef<Path>) -> Result<(Dataset<T>, Dataset<T>)> {
    let read = |name| read(dir.as_ref(), &[name], &[("coarse label", 0..20)], ("fine label", 0..100));
    Ok((read("train.bin")?, read("test.bin")?))
}

/// Reads files of records: a byte for each of the labels that are left out, one for the class, and a picture.
fn read<T: Scalar>(
    dir: &Path,
    names: &[&str],
    left_out: &[(&str, Range<usize>)],
    (kind, classes): (&str, Range<usize>),
) -> Result<Dataset<T>> {
    let record = left_out.len() + 1 + PICTURE;
    let (mut bytes, mut labels) = (Vec::new(), Vec::new());
    for path in names.iter().map(|name| dir.join(name)) {
        let file = read_bytes(&path)?;
        let (records, rest) = (file.chunks_exact(record), file.len() % record);
        if records.len() == 0 || rest > 0 {
            let expected = format!("records of {record} bytes each, at least one");
            return Err(format(&path, "contents", expected, format!("{} bytes", file.len())));
        }
        for (picture, own) in records.enumerate() {
            let mut own = own.iter().copied();
            for ((kind, known), found) in left_out.iter().zip(own.by_ref()) {
                pictures::label(&path, (kind, known), picture, found.into())?;
            }
            let found = own.next().unwrap_or_default();
            labels.push(pictures::label(&path, (kind, &classes), picture, found.into())?);
            bytes.extend(own);
        }
    }
    Dataset::classification(pictures::examples(&bytes, labels.len(), PICTURE)?, &labels, classes.len())
}
