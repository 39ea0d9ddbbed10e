//! Pictures and labels in the IDX format.

use std::cmp::Ordering;
use std::path::Path;

use crate::data::{Examples, pictures};
use crate::machine::file::{Input, format};
use crate::{Result, Scalar};

/// Reads a file of grey images in the IDX format (magic number 0x00000803), as MNIST comes in: `pixels × images`, each
/// image row by row, each byte divided by 255 so that pixels lie in [0, 1].
///
/// With the feature `gz` the file may be gzipped, as it is downloaded; it may be a pipe.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when it cannot be read, [`Error::Format`](crate::Error::Format) when it is not such a file or its
/// length is not what its header says, [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub fn read_idx_images<T: Scalar>(path: impl AsRef<Path>) -> Result<Examples<T>> {
    let ([images, height, width], pixels) = read(path.as_ref())?;
    pictures::examples(&pixels, images, height * width)
}

/// Reads a file of labels in the IDX format (magic number 0x00000801), gzipped or not as [`read_idx_images`].
///
/// # Errors
/// As [`read_idx_images`].
pub fn read_idx_labels(path: impl AsRef<Path>) -> Result<Vec<usize>> {
    let ([_], labels) = read(path.as_ref())?;
    Ok(labels.into_iter().map(usize::from).collect())
}

/// The `D` dimensions and the bytes of an IDX file.
pub(super) fn read<const D: usize>(path: &Path) -> Result<([usize; D], Vec<u8>)> {
    let mut input = Input::open(path)?.unpacked()?;
    let length = 4 * (1 + D as u64);
    let header = input.read(length)?;
    if header.len() as u64 != length {
        return Err(format(path, "header", format!("{length} bytes"), format!("{} bytes", header.len())));
    }
    let (words, _) = header.as_chunks();
    let mut words = words.iter().map(|&word| u32::from_be_bytes(word));
    let magic = 0x0800 + D as u32;
    let found = words.next().unwrap_or_default();
    if found != magic {
        let remedy = match found {
            0x0801 => "; read_idx_labels reads them",
            0x0803 => "; read_idx_images reads them",
            _ => "; numpy.save makes a file for read_npy of an array",
        };
        return Err(format(path, "byte 0", described(magic), described(found) + remedy));
    }
    let mut dimensions = [0; D];
    let mut entries = Some(1u64);
    for ((dimension, found), i) in dimensions.iter_mut().zip(words).zip(1..) {
        if found == 0 {
            return Err(format(path, format!("byte {}", 4 * i), "at least 1", "0"));
        }
        *dimension = found as usize;
        entries = entries.and_then(|entries| entries.checked_mul(u64::from(found)));
    }
    let fault = |found: String| {
        let product = dimensions.map(|dimension| dimension.to_string()).join(" × ");
        Err(format(path, "contents", format!("{product} bytes"), found))
    };
    let Some(entries) = entries.filter(|&entries| isize::try_from(entries).is_ok()) else {
        return fault("no file can hold as many".to_owned());
    };
    let bytes = input.read(entries + 1)?;
    match (bytes.len() as u64).cmp(&entries) {
        Ordering::Less => fault(format!("{} bytes", bytes.len())),
        Ordering::Equal => Ok((dimensions, bytes)),
        Ordering::Greater => fault("more".to_owned()),
    }
}

/// A magic number, with its meaning where it has one.
fn described(magic: u32) -> String {
    let kind = match magic >> 8 {
        0x08 => "unsigned bytes",
        0x09 => "signed bytes",
        0x0b => "integers of 2 bytes",
        0x0c => "integers of 4 bytes",
        0x0d => "floats",
        0x0e => "doubles",
        _ => return format!("{magic:#010x}"),
    };
    format!("{magic:#010x}, {kind} in {} dimensions", magic & 0xff)
}
