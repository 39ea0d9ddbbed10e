//! Arrays of NumPy in `.npy` files, in and out.

use std::io::Write;
use std::path::Path;

use crate::data::Examples;
use crate::machine::file::{Input, format, replace};
use crate::machine::linalg::scalar::half;
use crate::{Error, MatRef, Result, Scalar};

mod header;

use header::{Array, Entry, Kind};

/// Reads a table of numbers from a `.npy` file, as `numpy.save` writes it, in any version of the
/// [format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): an array of shape (examples, features), or
/// (examples,) for a single feature. Further axes are flattened, as `x.reshape(len(x), -1)` does: grey pictures of shape
/// (examples, height, width) have height · width features, row by row. Either order of entries (C or Fortran) and of bytes will do, and
/// so does a pipe, or with the feature `gz` a file that is gzipped.
///
/// Entries may be `bool`, `int8` to `int64`, `uint8` to `uint64`, `float16`, `float32` or `float64`, and are rounded to the nearest `T`,
/// as `numpy.ndarray.astype` does.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Format`] when it is not such a file, its length is not what its header says or a
/// number is too large for `T`, [`Error::Empty`] without examples or features, [`Error::OutOfMemory`].
pub fn read_npy<T: Scalar>(path: impl AsRef<Path>) -> Result<Examples<T>> {
    let path = path.as_ref();
    table(path, &mut Input::open(path)?.unpacked()?)
}

/// The table of numbers that comes out of the file at `path`.
pub(super) fn table<T: Scalar>(path: &Path, input: &mut Input<'_>) -> Result<Examples<T>> {
    let array = Array::read(path, input)?;
    let largest = T::max_value().map_or(f64::INFINITY, Scalar::to_f64);
    let expected = format!("a number that {} can hold, at most {largest:e}", std::any::type_name::<T>());
    let entries = array.entries(path, &expected, Number::scalar)?;
    Examples::from_columns(entries, array.examples, array.features())
}

/// Reads labels from a `.npy` file: whole numbers from 0 in an array of shape (examples,) or (examples, 1), of any kind that
/// [`read_npy`] takes.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Format`] when it is not such a file, [`Error::OutOfMemory`].
pub fn read_npy_labels(path: impl AsRef<Path>) -> Result<Vec<usize>> {
    let path = path.as_ref();
    labels(path, &mut Input::open(path)?.unpacked()?)
}

/// The labels that come out of the file at `path`.
pub(super) fn labels(path: &Path, input: &mut Input<'_>) -> Result<Vec<usize>> {
    let array = Array::read(path, input)?;
    if array.features() != 1 {
        let found = format!("{} for each example", array.features());
        let expected = "one label for each example; of a column for each class, x.argmax(1) makes labels";
        return Err(format(path, "shape", expected, found));
    }
    array.entries(path, "a label, a whole number from 0", Number::label)
}

/// Writes a matrix to a `.npy` file, version 1.0, little-endian: `numpy.load` gives an array of shape (examples, features)
/// of the same bits, `float32` or `float64` as `T` is. It is written beside its place, and moved there when it is whole; a link
/// stays, and a file that was there gives its mode.
///
/// ```
/// use decoupled::data::{Examples, read_npy, write_npy};
///
/// let path = std::env::temp_dir().join("decoupled-doctest.npy");
/// let table = Examples::from_rows(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])?;
/// write_npy(&path, &table)?;
/// assert_eq!(read_npy::<f64>(&path)?, table);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`](crate::Error::Io), [`Error::NotAFile`](crate::Error::NotAFile); a file that was there before is then as it was.
pub fn write_npy<'m, T: Scalar>(path: impl AsRef<Path>, matrix: impl Into<MatRef<'m, T>>) -> Result<()> {
    let matrix = matrix.into();
    let single = size_of::<T>() == 4;
    let (descr, examples, features) = (if single { "<f4" } else { "<f8" }, matrix.cols(), matrix.rows());
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({examples}, {features}), }}");
    // Entries begin at a multiple of 64 bytes: magic string, version and length take 10 of them, 118 are left.
    let mut bytes = [header::MAGIC, &[1, 0, 118, 0], format!("{header:<117}\n").as_bytes()].concat();
    bytes.reserve_exact(size_of_val(matrix.as_slice()));
    for &entry in matrix.as_slice() {
        match single {
            true => bytes.extend((entry.to_f64() as f32).to_le_bytes()),
            false => bytes.extend(entry.to_f64().to_le_bytes()),
        }
    }
    replace(path.as_ref(), |file| file.write_all(&bytes))
}

/// An entry of a file.
#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Real(f64),
}

impl Number {
    fn scalar<T: Scalar>(self) -> Option<T> {
        let real = match self {
            // Rounding to f64 first could round twice.
            Self::Integer(whole) if size_of::<T>() == 4 => f64::from(whole as f32),
            Self::Integer(whole) => whole as f64,
            Self::Real(real) => real,
        };
        let scalar = T::of(real);
        (scalar.is_finite() == real.is_finite()).then_some(scalar)
    }

    fn label(self) -> Option<usize> {
        match self {
            Self::Integer(whole) => usize::try_from(whole).ok(),
            Self::Real(real) if real as i128 as f64 == real => usize::try_from(real as i128).ok(),
            Self::Real(_) => None,
        }
    }
}

impl Entry {
    /// The number that these bytes stand for; none for a boolean that is neither.
    fn number(self, bytes: &[u8]) -> Option<Number> {
        let join = |word: u64, &byte: &u8| word << 8 | u64::from(byte);
        let word = if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
        // The sign bit of an integer goes to the top and back.
        let unused = 64 - 8 * self.width as u32;
        match (self.kind, self.width) {
            (Kind::Bool, _) => (word < 2).then_some(Number::Integer(word.into())),
            (Kind::Unsigned, _) => Some(Number::Integer(word.into())),
            (Kind::Signed, _) => Some(Number::Integer(((word << unused) as i64 >> unused).into())),
            (Kind::Real, 2) => Some(Number::Real(half(word as u16))),
            (Kind::Real, 4) => Some(Number::Real(f32::from_bits(word as u32).into())),
            (Kind::Real, _) => Some(Number::Real(f64::from_bits(word))),
        }
    }
}

impl Array {
    /// All entries, example after example, by `convert`, which gives nothing for what is not `expected`.
    fn entries<E>(&self, path: &Path, expected: &str, convert: impl Fn(Number) -> Option<E>) -> Result<Vec<E>> {
        let (width, features) = (self.entry.width, self.features());
        // No more than there are bytes for.
        let count = self.contents.len() / width;
        let mut entries = Vec::new();
        if entries.try_reserve_exact(count).is_err() {
            let bytes = count as u128 * size_of::<E>() as u128;
            return Err(Error::OutOfMemory { what: "the entries of an array", bytes });
        }
        for i in 0..count {
            let start = width * if self.fortran { self.fortran_place(i) } else { i };
            let number = self.contents.get(start..start + width).and_then(|bytes| self.entry.number(bytes));
            entries.push(number.and_then(&convert).ok_or_else(|| {
                let found = match number {
                    Some(Number::Integer(whole)) => whole.to_string(),
                    Some(Number::Real(real)) => format!("{real:e}"),
                    None => "a bool that is neither 0 nor 1".to_owned(),
                };
                let (example, feature) = (i / features, i % features);
                format(path, format!("example {example}, feature {feature}"), expected, found)
            })?);
        }
        Ok(entries)
    }

    /// Where the entry lies that is number `i` when the last axis runs fastest.
    fn fortran_place(&self, i: usize) -> usize {
        let (mut rest, mut place) = (i, 0);
        for &length in self.axes.iter().rev() {
            place = place * length + rest % length;
            rest /= length;
        }
        place * self.examples + rest
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};

    use super::*;

    fn of<'a>(path: &'a Path, file: &'a [u8]) -> Input<'a> {
        Input::of(path, file, file.len() as u64)
    }

    #[test]
    fn no_file_that_has_been_tampered_with_makes_the_reader_panic_or_find_more_than_is_there() {
        let file = |version: &[u8], dictionary: &str, entries: &[u8]| {
            [header::MAGIC, version, dictionary.as_bytes(), entries].concat()
        };
        let files = [
            file(&[1, 0, 57, 0], "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3)}\n", &[0; 48]),
            file(&[1, 0, 65, 0], "{'descr': '>i4', 'fortran_order': False, 'shape': (12, 1)}       ", &[0; 48]),
            file(&[3, 0, 57, 0, 0, 0], "{'descr': '<f4', 'fortran_order': True, 'shape': (6, 3)}\n", &[60; 72]),
            file(&[1, 0, 57, 0], "{'descr': '|u1', 'fortran_order': False, 'shape': (98,)}\n", &[200; 98]),
            file(&[2, 0, 57, 0, 0, 0], "{'descr': '|b1', 'fortran_order': False, 'shape': (20,)}\n", &[1; 20]),
            file(&[1, 0, 60, 0], "{'descr': '<f2', 'fortran_order': True, 'shape': (3, 2, 4)}\n", &[60; 48]),
            file(&[1, 0, 57, 0], "{'descr': '>u8', 'fortran_order': False, 'shape': (6,)}\n ", &[5; 48]),
        ];
        let path = Path::new("tampered");
        assert!(files.iter().all(|file| table::<f32>(path, &mut of(path, file)).is_ok()));
        let mut rng = ChaCha12Rng::seed_from_u64(6);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let mut bytes = files[rng.random_range(0..files.len())].clone();
            for _ in 0..rng.random_range(1..4) {
                tamper(&mut bytes, &files, &mut rng);
            }
            let single = table::<f32>(path, &mut of(path, &bytes)).map(|read| read.matrix().as_slice().len());
            let double = table::<f64>(path, &mut of(path, &bytes)).map(|read| read.matrix().as_slice().len());
            for result in [single, double, labels(path, &mut of(path, &bytes)).map(|labels| labels.len())] {
                match result {
                    // A header takes more bytes than these.
                    Ok(entries) if entries + 60 < bytes.len() => taken += 1,
                    Err(Error::Format { .. } | Error::Empty { .. }) => refused += 1,
                    other => panic!("{other:?} for {}", bytes.escape_ascii()),
                }
            }
        }
        assert!(taken > 1000 && refused > 1000, "{taken} taken, {refused} refused");
    }

    /// Flips a bit, cuts the end off, puts a piece of some file somewhere, or changes a digit of the header.
    fn tamper(bytes: &mut Vec<u8>, files: &[Vec<u8>], rng: &mut ChaCha12Rng) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..4) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes.truncate(at),
            2 => {
                let other = &files[rng.random_range(0..files.len())];
                let start = rng.random_range(0..=other.len());
                let piece = &other[start..rng.random_range(start..=other.len())];
                let end = rng.random_range(at..=bytes.len());
                bytes.splice(at..end, piece.iter().copied());
            }
            _ => {
                let digits: Vec<usize> = (12..bytes.len().min(80)).filter(|&at| bytes[at].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    let at = digits[rng.random_range(0..digits.len())];
                    let digits = "9223372036854775808".as_bytes();
                    let new = &digits[..rng.random_range(0..=digits.len())];
                    bytes.splice(at..=at, new.iter().copied());
                }
            }
        }
    }
}
