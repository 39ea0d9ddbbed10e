//! The [safetensors](https://huggingface.co/docs/safetensors) format, with a checksum: it knows named tensors, and no networks.
//!
//! A file is the length of a header in eight bytes, the header in JSON, and the numbers, low byte first and matrices row by row.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::mem;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bank::Storage;
use crate::layer::Tensor;
use crate::machine::crc::Crc;
use crate::machine::file::{Input, format};
use crate::machine::linalg::all_finite;
use crate::machine::linalg::matrix::filled;
use crate::machine::linalg::scalar::{bf16, half};
use crate::machine::parallel::join;
use crate::{Result, Scalar};

/// How a header of ours begins, up to the digits of the checksum: the CRC-32 of the whole file with zeros for these digits.
const START: &str = r#"{"__metadata__":{"crc32":""#;
const ZEROS: &str = "00000000";
/// Of the metadata. The first must be the first in order.
const CHECKSUM: &str = "crc32";
const CONTENTS: &str = "decoupled";
/// Bytes of the header's length.
const LENGTH: usize = 8;
/// As the reference implementation has it.
const LONGEST_HEADER: u64 = 100_000_000;
/// About how many bytes are turned from columns to rows, summed and written at a time, and the fewest rows of them.
const BAND: usize = 1 << 20;
const ROWS: usize = 16;

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    /// The first byte, counted from the end of the header, and the one after the last.
    data_offsets: (u64, u64),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.dtype, self.shape)
    }
}

/// The numbers of a tensor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Real {
    F64,
    F32,
    F16,
    Bf16,
}

impl Real {
    const ALL: [Self; 4] = [Self::F64, Self::F32, Self::F16, Self::Bf16];

    fn of<T>() -> Self {
        if size_of::<T>() == 8 { Self::F64 } else { Self::F32 }
    }

    /// The format's name for them.
    fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// Bytes of one.
    fn width(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Rounds to the nearest of `T`.
    fn decode<T: Scalar>(self, from: &[u8], to: &mut [T]) {
        fn each<T: Scalar, const N: usize>(from: &[u8], to: &mut [T], value: impl Fn([u8; N]) -> f64) {
            let (from, _) = from.as_chunks();
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = T::of(value(from)));
        }
        match self {
            Self::F64 => each(from, to, f64::from_le_bytes),
            Self::F32 => each(from, to, |bytes| f64::from(f32::from_le_bytes(bytes))),
            Self::F16 => each(from, to, |bytes| half(u16::from_le_bytes(bytes))),
            Self::Bf16 => each(from, to, |bytes| bf16(u16::from_le_bytes(bytes))),
        }
    }
}

/// A tensor of bytes that only this crate understands, under a name of its own.
pub(super) type Blob<'a> = (String, Cow<'a, [u8]>);

/// What a tensor of bytes is called.
const BYTES: &str = "U8";

/// Writes what is to be said, tensors with the layer's parameters that hold them, one after the other, and blobs.
pub(super) fn write<T: Scalar>(
    file: &mut File,
    contents: String,
    layers: &[(Vec<Tensor>, &[T])],
    blobs: &[Blob<'_>],
) -> io::Result<()> {
    let metadata = [(CHECKSUM.to_owned(), ZEROS.to_owned()), (CONTENTS.to_owned(), contents)];
    let mut header = Header { metadata: Some(metadata.into()), tensors: BTreeMap::new() };
    let mut end = 0;
    let mut add = |name: &str, dtype: &str, shape: Vec<usize>, bytes: u64| {
        let start = end;
        end += bytes;
        header.tensors.insert(name.to_owned(), Entry { dtype: dtype.to_owned(), shape, data_offsets: (start, end) });
    };
    for tensor in layers.iter().flat_map(|(tensors, _)| tensors) {
        let real = Real::of::<T>();
        add(tensor.name(), real.name(), tensor.shape(), tensor.len() as u64 * real.width() as u64);
    }
    for (name, bytes) in blobs {
        add(name, BYTES, vec![bytes.len()], bytes.len() as u64);
    }
    let mut bytes = vec![0; LENGTH];
    serde_json::to_writer(&mut bytes, &header)?;
    bytes.resize(bytes.len().next_multiple_of(8), b' ');
    let length = (bytes.len() - LENGTH) as u64;
    bytes.iter_mut().zip(length.to_le_bytes()).for_each(|(to, byte)| *to = byte);

    let mut out = Ahead { file, crc: Crc::new(), ready: bytes, next: Vec::new() };
    for (tensors, params) in layers {
        let mut rest = *params;
        for tensor in tensors {
            let (own, others) = rest.split_at(tensor.len());
            write_tensor(&mut out, own, tensor.size())?;
            rest = others;
        }
    }
    let crc = out.finish(blobs)?;
    file.seek(SeekFrom::Start((LENGTH + START.len()) as u64))?;
    file.write_all(digits(crc).as_bytes())
}

fn digits(crc: Crc) -> String {
    format!("{:08x}", crc.sum())
}

/// A file with the checksum of the bytes that have been read.
struct Summed<'p> {
    input: Input<'p>,
    crc: Crc,
}

impl Summed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.input.fill(bytes)?;
        self.crc.add(bytes);
        Ok(())
    }
}

/// A file that takes bytes, and their checksum, while those that come next are made.
struct Ahead<'f> {
    file: &'f mut File,
    crc: Crc,
    ready: Vec<u8>,
    next: Vec<u8>,
}

impl Ahead<'_> {
    /// Writes what was made before, beside making the next.
    fn write(&mut self, make: impl FnOnce(&mut Vec<u8>) + Send) -> io::Result<()> {
        let Self { file, crc, ready, next } = self;
        let add = || {
            crc.add(ready);
            file.write_all(ready)
        };
        let ((), written) = join(|| make(next), add);
        mem::swap(ready, next);
        written
    }

    /// Writes what is left, and blobs.
    fn finish(self, blobs: &[Blob<'_>]) -> io::Result<Crc> {
        let Self { file, mut crc, ready, .. } = self;
        for bytes in [&*ready].into_iter().chain(blobs.iter().map(|(_, bytes)| &**bytes)) {
            let ((), written) = join(|| crc.add(bytes), || file.write_all(bytes));
            written?;
        }
        Ok(crc)
    }
}

/// Cuts `rows` into first rows and numbers of rows that make about a band.
fn bands(rows: usize, row_bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    let most = (BAND / row_bytes.max(1)).max(ROWS);
    (0..rows).step_by(most).map(move |first| (first, most.min(rows - first)))
}

#[expect(
    clippy::indexing_slicing,
    reason = "a band begins at one of the rows, and columns are as many as a row is long"
)]
fn write_tensor<T: Scalar>(out: &mut Ahead<'_>, params: &[T], size: (usize, usize)) -> io::Result<()> {
    let ((rows, cols), width) = (size, size_of::<T>());
    let mut values = Vec::new();
    for (first, count) in bands(rows, cols * width) {
        out.write(|bytes| {
            values.resize(count * cols, T::zero());
            bytes.resize(values.len() * width, 0);
            for (j, column) in params.chunks_exact(rows).enumerate() {
                let band = values.chunks_exact_mut(cols).zip(&column[first..]);
                band.for_each(|(row, &x)| row[j] = x);
            }
            let _exact = Storage::Full.encode(&values, bytes);
        })?;
    }
    Ok(())
}

#[expect(
    clippy::indexing_slicing,
    reason = "a band begins at one of the rows, and columns are as many as a row is long"
)]
fn read_tensor<T: Scalar>(
    from: &mut Summed<'_>,
    real: Real,
    params: &mut [T],
    (rows, cols): (usize, usize),
) -> Result<()> {
    let (mut values, mut bytes) = (Vec::new(), Vec::new());
    for (first, count) in bands(rows, cols * real.width().max(size_of::<T>())) {
        values.resize(count * cols, T::zero());
        bytes.resize(values.len() * real.width(), 0);
        from.read(&mut bytes)?;
        real.decode(&bytes, &mut values);
        for (j, column) in params.chunks_exact_mut(rows).enumerate() {
            let band = values.chunks_exact(cols).zip(&mut column[first..]);
            band.for_each(|(row, x)| *x = row[j]);
        }
    }
    Ok(())
}

/// A file that is open, with its header read.
pub(super) struct Source<'p> {
    path: &'p Path,
    data: Summed<'p>,
    header: Header,
    /// The checksum's digits, if the file has one.
    sum: Option<String>,
    /// Whether tensors of another precision are taken.
    cast: bool,
}

impl<'p> Source<'p> {
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), and [`Error::Format`](crate::Error::Format) unless every byte of the file has a place in
    /// its header.
    pub(super) fn open(path: &'p Path) -> Result<Self> {
        let mut input = Input::open(path)?;
        let cut =
            |expected: u64, size: u64| Err(format(path, "its length", format!("{expected} bytes"), size.to_string()));
        let length = input.read(LENGTH as u64)?;
        let Some(&length) = length.first_chunk() else { return cut(LENGTH as u64, length.len() as u64) };
        let mut crc = Crc::new();
        crc.add(&length);
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER {
            let expected = format!("the length of a safetensors header, at most {LONGEST_HEADER}");
            return Err(format(path, "its first eight bytes", expected, length.to_string()));
        }
        let end = LENGTH as u64 + length;
        let mut bytes = input.read(length)?;
        if bytes.len() as u64 != length {
            return cut(end, (LENGTH + bytes.len()) as u64);
        }
        let header: Header = serde_json::from_slice(&bytes)
            .map_err(|error| format(path, "its header", "that of a safetensors file", error.to_string()))?;

        let mut sum = None;
        if header.metadata.iter().flatten().any(|(key, _)| [CHECKSUM, CONTENTS].contains(&key.as_str())) {
            let place = START.len()..START.len() + ZEROS.len();
            let found = if bytes.starts_with(START.as_bytes()) { bytes.get_mut(place) } else { None };
            let none = || format(path, "the beginning of its header", "a checksum, as this crate writes it", "another");
            let found = found.ok_or_else(none)?;
            sum = Some(String::from_utf8_lossy(found).into_owned());
            found.copy_from_slice(ZEROS.as_bytes());
        }
        crc.add(&bytes);

        let mut places: Vec<_> = header.tensors.iter().map(|(name, entry)| (entry.data_offsets, name)).collect();
        places.sort();
        let mut used = 0;
        for ((start, stop), name) in places {
            if start != used || stop < start {
                let expected = format!("bytes from {used} on");
                return Err(format(path, tensor(name), &expected, format!("{start}..{stop}")));
            }
            used = stop;
        }
        let size = input.settle(used)?;
        if size != used {
            return cut(end.saturating_add(used), end.saturating_add(size));
        }
        Ok(Self { path, data: Summed { input, crc }, header, sum, cast: false })
    }

    /// The same, which takes tensors of another precision and rounds them.
    pub(super) fn casting(self, cast: bool) -> Self {
        Self { cast, ..self }
    }

    /// How many tensors the file has.
    pub(super) fn tensors(&self) -> usize {
        self.header.tensors.len()
    }

    /// What [`write`] was given, unless another program wrote the file.
    pub(super) fn contents(&self) -> Result<Option<&str>> {
        let contents = self.header.metadata.as_ref().and_then(|metadata| metadata.get(CONTENTS)).map(String::as_str);
        if contents.is_none() && self.sum.is_some() {
            return Err(format(self.path, "its metadata", CONTENTS, "none"));
        }
        Ok(contents)
    }

    /// The parameters of layers with these tensors, and the blobs of these names.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format) unless the file has just these, of `T` or another precision that is cast, all finite, and its
    /// checksum agrees; before anything is allocated that the file does not have the tensors for. [`Error::Io`](crate::Error::Io),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    #[expect(clippy::indexing_slicing, reason = "tensors and blobs by the numbers that the first loops give them")]
    pub(super) fn read<T: Scalar>(mut self, layers: &[Vec<Tensor>], blobs: &[String]) -> Result<Parts<T>> {
        let mut places = Vec::new();
        for (t, tensors) in layers.iter().enumerate() {
            let mut start = 0;
            for own in tensors {
                let real = self.real::<T>(own)?;
                let offsets = self.find(own.name(), (real.name(), real.width()), own.shape())?;
                places.push((offsets, Place::Tensor(t, start, own, real)));
                start = own.len().saturating_add(start);
            }
        }
        let mut bytes = Vec::with_capacity(blobs.len());
        for (i, name) in blobs.iter().enumerate() {
            let len = self.header.tensors.get(name).and_then(|entry| entry.shape.first().copied()).unwrap_or_default();
            places.push((self.find(name, (BYTES, 1), vec![len])?, Place::Blob(i)));
            bytes.push(filled("what a fit needs to go on", len, 0)?);
        }
        if let Some((name, entry)) = self.header.tensors.first_key_value() {
            return Err(format(self.path, tensor(name), "none of this name in the network", entry.to_string()));
        }
        places.sort_by_key(|&(offsets, _)| offsets);

        let len = |tensors: &Vec<Tensor>| tensors.iter().map(Tensor::len).fold(0, usize::saturating_add);
        let mut params = Vec::with_capacity(layers.len());
        for tensors in layers {
            params.push(filled("the parameters of a layer", len(tensors), T::zero())?);
        }
        for &(_, place) in &places {
            match place {
                Place::Tensor(t, start, own, real) => {
                    read_tensor(&mut self.data, real, &mut params[t][start..start + own.len()], own.size())?;
                }
                Place::Blob(i) => self.data.read(&mut bytes[i])?,
            }
        }
        let found = digits(self.data.crc);
        if let Some(expected) = self.sum.filter(|expected| *expected != found) {
            return Err(format(self.path, "its checksum", &expected, &found));
        }
        for &(_, place) in &places {
            let Place::Tensor(t, start, own, real) = place else { continue };
            let params: &[T] = &params[t][start..start + own.len()];
            if !all_finite(params) {
                let found = params.iter().find(|x| !x.is_finite()).map_or(f64::NAN, |x| x.to_f64());
                let expected = match real {
                    Real::F64 if size_of::<T>() == 4 => format!("finite numbers up to {:e}", f32::MAX),
                    _ => "finite numbers".to_owned(),
                };
                return Err(format(self.path, tensor(own.name()), expected, found.to_string()));
            }
        }
        Ok((params, bytes))
    }

    /// The precision of a tensor in the file: that of `T` unless others are taken.
    fn real<T: Scalar>(&self, own: &Tensor) -> Result<Real> {
        let wanted = Real::of::<T>();
        let Some(entry) = self.header.tensors.get(own.name()) else { return Ok(wanted) };
        match Real::ALL.into_iter().find(|real| entry.dtype == real.name()) {
            Some(real) if real == wanted || self.cast => Ok(real),
            None if !self.cast => Ok(wanted),
            other => {
                let expected = match other {
                    Some(_) => format!(
                        "{} {:?}; load_cast and load_params_cast round others to it",
                        wanted.name(),
                        own.shape()
                    ),
                    None => format!("F64, F32, F16 or BF16 {:?}", own.shape()),
                };
                Err(format(self.path, tensor(own.name()), expected, entry.to_string()))
            }
        }
    }

    /// Takes a tensor out of the header: where it lies.
    fn find(&mut self, name: &str, (dtype, width): (&str, usize), shape: Vec<usize>) -> Result<(u64, u64)> {
        let fault = |found: &str| Err(format(self.path, tensor(name), format!("{dtype} {shape:?}"), found));
        let Some(entry) = self.header.tensors.remove(name) else { return fault("none") };
        let (start, end) = entry.data_offsets;
        if entry.dtype != dtype || entry.shape != shape {
            return fault(&entry.to_string());
        }
        let bytes = shape.iter().fold(width as u128, |bytes, &n| bytes.saturating_mul(n as u128));
        if bytes != u128::from(end - start) {
            return fault(&format!("{} bytes", end - start));
        }
        Ok((start, end))
    }
}

/// The parameters of layers, and blobs.
type Parts<T> = (Vec<Vec<T>>, Vec<Vec<u8>>);

/// What lies at a place of the file.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// A tensor of a layer, whose parameters it is from this one on, and its numbers.
    Tensor(usize, usize, &'a Tensor, Real),
    Blob(usize),
}

fn tensor(name: &str) -> String {
    format!("tensor {name}")
}
