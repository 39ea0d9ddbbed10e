//! The parts of a `.npy` file, read up to the end of its entries, which stay bytes here.
//!
//! They are a magic string, a version, a length, the literal of a Python dictionary with the three keys of the format and no others,
//! and the entries.

use std::path::Path;

use crate::machine::file::{Input, format};
use crate::{Error, Result};

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Longer than any that NumPy reads (10,000 bytes).
const LONGEST_HEADER: u64 = u16::MAX as u64;

/// The kinds of entries that are understood.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Bool,
    Unsigned,
    Signed,
    Real,
}

/// The type of an entry.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Bytes of an entry.
    pub(super) width: usize,
    pub(super) big_endian: bool,
}

impl Entry {
    /// By a name that `numpy.dtype` takes: an order of bytes if they are several, a kind and their number, as NumPy writes it, or a
    /// word.
    fn named(name: &[u8]) -> Option<Self> {
        let (order, plain) = match name {
            [order @ (b'<' | b'>' | b'|' | b'='), plain @ ..] => (*order, plain),
            _ => (b'=', name),
        };
        let (kind, width) = match plain {
            b"b1" | b"?" | b"bool" => (Kind::Bool, 1),
            b"i1" | b"b" | b"int8" => (Kind::Signed, 1),
            b"i2" | b"h" | b"int16" => (Kind::Signed, 2),
            b"i4" | b"i" | b"int32" => (Kind::Signed, 4),
            b"i8" | b"q" | b"int64" => (Kind::Signed, 8),
            b"u1" | b"B" | b"uint8" => (Kind::Unsigned, 1),
            b"u2" | b"H" | b"uint16" => (Kind::Unsigned, 2),
            b"u4" | b"I" | b"uint32" => (Kind::Unsigned, 4),
            b"u8" | b"Q" | b"uint64" => (Kind::Unsigned, 8),
            b"f2" | b"e" | b"float16" => (Kind::Real, 2),
            b"f4" | b"f" | b"float32" => (Kind::Real, 4),
            b"f8" | b"d" | b"float64" => (Kind::Real, 8),
            _ => return None,
        };
        let big_endian = order == b'>' || (cfg!(target_endian = "big") && order != b'<');
        Some(Self { kind, width, big_endian })
    }
}

/// A file that has been understood.
pub(super) struct Array {
    pub(super) entry: Entry,
    /// Whether the first axis runs fastest instead of the last.
    pub(super) fortran: bool,
    pub(super) examples: usize,
    /// The lengths of the other axes.
    pub(super) axes: Vec<usize>,
    /// All entries, one after the other.
    pub(super) contents: Vec<u8>,
}

impl Array {
    /// Reads up to the end of the entries, and that nothing follows.
    pub(super) fn read(path: &Path, input: &mut Input<'_>) -> Result<Self> {
        let start = input.read(MAGIC.len() as u64 + 2)?;
        let mut reader = Reader { path, rest: &start, end: start.len() };
        let Some(version) = start.strip_prefix(MAGIC) else {
            let zip = start.starts_with(b"PK");
            return Err(reader.error(if zip { "\"\\x93NUMPY\"; Npz reads a .npz file" } else { "\"\\x93NUMPY\"" }));
        };
        reader.rest = version;
        let width = match version {
            [1, 0] => 2,
            [2 | 3, 0] => 4,
            _ => return Err(reader.error("version 1.0, 2.0 or 3.0")),
        };
        let mut length = [0; 4];
        let said = input.read(width)?;
        length.iter_mut().zip(&said).for_each(|(to, byte)| *to = *byte);
        let length = u64::from(u32::from_le_bytes(length));
        let fault = |expected: u64, found: u64| {
            Err(format(path, "header", format!("{expected} bytes"), format!("{found} bytes")))
        };
        if said.len() as u64 != width {
            return fault(width, said.len() as u64);
        }
        let header = input.read(length.min(LONGEST_HEADER))?;
        if header.len() as u64 != length {
            return if length > LONGEST_HEADER {
                fault(LONGEST_HEADER, length)
            } else {
                fault(length, header.len() as u64)
            };
        }
        let end = start.len() + said.len() + header.len();
        let (entry, fortran, examples, axes) = Reader { path, rest: &header, end }.dictionary()?;

        let lengths = [examples].into_iter().chain(axes.iter().copied());
        let empty = lengths.clone().any(|length| length == 0);
        let bytes = lengths.clone().try_fold(entry.width as u64, |bytes, length| bytes.checked_mul(length as u64));
        let bytes = if empty { Some(0) } else { bytes };
        let fault = |found: String| {
            let shape = lengths.clone().map(|length| length.to_string()).collect::<Vec<_>>().join(" × ");
            Err(format(path, "contents", format!("{shape} entries of {} bytes", entry.width), found))
        };
        let Some(bytes) = bytes.filter(|&bytes| isize::try_from(bytes).is_ok()) else {
            return fault("no file can hold as many".to_owned());
        };
        let contents = input.read(bytes + 1)?;
        match (contents.len() as u64).cmp(&bytes) {
            std::cmp::Ordering::Less => fault(format!("{} bytes", contents.len())),
            std::cmp::Ordering::Equal => Ok(Self { entry, fortran, examples, axes, contents }),
            std::cmp::Ordering::Greater => fault("more; numpy.savez keeps several arrays in a file".to_owned()),
        }
    }

    /// The number of entries of an example.
    pub(super) fn features(&self) -> usize {
        // Without examples, the others can be of any lengths.
        self.axes.iter().fold(1, |features, &length| features.saturating_mul(length))
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    path: &'a Path,
    rest: &'a [u8],
    /// Where `rest` ends in the file.
    end: usize,
}

/// The type of an entry, whether the first axis runs fastest, its length, and those of the others.
type Dictionary = (Entry, bool, usize, Vec<usize>);

impl<'a> Reader<'a> {
    fn dictionary(&mut self) -> Result<Dictionary> {
        let keys = "'descr', 'fortran_order' and 'shape', each once";
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.skip("}") {
            let before = *self;
            let key = self.text()?;
            self.expect(":")?;
            match key {
                b"descr" if descr.is_none() => descr = Some(self.descr()?),
                b"fortran_order" if fortran.is_none() => fortran = Some(self.truth()?),
                b"shape" if shape.is_none() => shape = Some(self.shape()?),
                _ => return Err(before.error(keys)),
            }
            if !self.skip(",") {
                self.expect("}")?;
                break;
            }
        }
        let (Some(entry), Some(fortran), Some((examples, axes))) = (descr, fortran, shape) else {
            return Err(self.error(keys));
        };
        match self.rest.trim_ascii() {
            [] => Ok((entry, fortran, examples, axes)),
            _ => Err(self.error("blanks up to the end of the header")),
        }
    }

    fn descr(&mut self) -> Result<Entry> {
        let before = *self;
        if self.skip("[") {
            return Err(before.error("numbers or booleans; numpy.save writes a record's field by its name, x['field']"));
        }
        Entry::named(self.text()?).ok_or_else(|| {
            let expected = "numbers or booleans, b1, i1 … i8, u1 … u8, f2, f4 or f8; x.astype('f8') makes f8 of x";
            before.error(expected)
        })
    }

    fn truth(&mut self) -> Result<bool> {
        let truth = self.skip("True");
        if truth || self.skip("False") { Ok(truth) } else { Err(self.error("True or False")) }
    }

    /// The number of examples, and the lengths of the other axes.
    fn shape(&mut self) -> Result<(usize, Vec<usize>)> {
        let before = *self;
        let mut lengths = Vec::new();
        self.expect("(")?;
        while !self.skip(")") {
            lengths.push(self.length()?);
            if !self.skip(",") {
                // `(3)` is a number, and no tuple.
                self.expect(if lengths.len() == 1 { "," } else { ")" })?;
                break;
            }
        }
        match lengths.split_first() {
            Some((&examples, axes)) => Ok((examples, axes.to_vec())),
            None => Err(before.error("(examples,) or (examples, features …); x.reshape(1, -1) is one example")),
        }
    }

    fn length(&mut self) -> Result<usize> {
        let rest = self.rest.trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, after) = rest.split_at(digits);
        // As in Python, no number begins with a zero that says nothing.
        let plain = digits == b"0" || !digits.starts_with(b"0");
        let length = std::str::from_utf8(digits).ok().filter(|_| plain).and_then(|digits| digits.parse().ok());
        let length = length.ok_or_else(|| self.error("a length"))?;
        // Python 2 wrote some as `3L`.
        self.rest = after.strip_prefix(b"L").unwrap_or(after);
        Ok(length)
    }

    /// What stands between two quotes.
    fn text(&mut self) -> Result<&'a [u8]> {
        let rest = self.rest.trim_ascii_start();
        // Python 2 may have put a `u` before it.
        if let [quote @ (b'\'' | b'"'), rest @ ..] = rest.strip_prefix(b"u").unwrap_or(rest)
            && let Some(length) = rest.iter().position(|byte| byte == quote)
            && let (text, [_, after @ ..]) = rest.split_at(length)
        {
            self.rest = after;
            return Ok(text);
        }
        Err(self.error("a text in quotes"))
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.skip(token) { Ok(()) } else { Err(self.error(token)) }
    }

    /// Steps over blanks and the token, if it is there.
    fn skip(&mut self, token: &str) -> bool {
        let after = self.rest.trim_ascii_start().strip_prefix(token.as_bytes());
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn error(&self, expected: &str) -> Error {
        let rest = self.rest.trim_ascii_start();
        let found = match rest {
            [] => "nothing".to_owned(),
            _ => format!("\"{}\"", rest.split_at(rest.len().min(20)).0.escape_ascii()),
        };
        format(self.path, format!("byte {}", self.end - rest.len()), expected, found)
    }
}
