//! The common ground of picture files: bytes become pixels, and a file's labels count from 0.

use std::ops::Range;
use std::path::Path;

use crate::data::Examples;
use crate::machine::file::format;
use crate::{Result, Scalar};

/// Returns the pictures of these bytes, `pixels × pictures`, each byte divided by 255.
pub(super) fn examples<T: Scalar>(bytes: &[u8], pictures: usize, pixels: usize) -> Result<Examples<T>> {
    let entries = bytes.iter().map(|&byte| T::of(f64::from(byte) / 255.0));
    Examples::from_columns(entries.collect(), pictures, pixels)
}

/// Returns the label of a picture counted from 0, where the labels of the file at `path` are those of `known`.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) for any other.
pub(super) fn label(path: &Path, (kind, known): (&str, &Range<usize>), picture: usize, found: usize) -> Result<usize> {
    if known.contains(&found) {
        return Ok(found - known.start);
    }
    let expected = format!("one of {}..{}", known.start, known.end);
    Err(format(path, format!("{kind} of picture {picture}"), expected, found.to_string()))
}
