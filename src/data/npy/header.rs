//! What stands before the entries of a `.npy` file: a magic string, a version, a length, and the literal of a Python
//! dictionary with the three keys of the format and no others.

use std::path::Path;

use crate::file::format;
use crate::{Error, Result};

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// The kinds of entries that are understood.
#[derive(Clone, Copy)]
pub(super) enum Entry {
    Bool,
    U8,
    I32,
    I64,
    F32,
    F64,
}

impl Entry {
    /// Bytes of an entry.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Bool | Self::U8 => 1,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

/// A file whose header has been understood.
pub(super) struct Array<'a> {
    pub(super) entry: Entry,
    pub(super) big_endian: bool,
    /// Whether features follow one another instead of examples.
    pub(super) fortran: bool,
    pub(super) examples: usize,
    pub(super) features: usize,
    /// `examples · features` entries.
    pub(super) contents: &'a [u8],
}

impl<'a> Array<'a> {
    pub(super) fn parse(path: &'a Path, file: &'a [u8]) -> Result<Self> {
        let mut reader = Reader { path, rest: file, end: file.len() };
        let Some(rest) = file.strip_prefix(MAGIC) else { return Err(reader.error("\"\\x93NUMPY\"")) };
        reader.rest = rest;
        let (length, rest) = match *rest {
            [1, 0, a, b, ref rest @ ..] => (u32::from_le_bytes([a, b, 0, 0]), rest),
            [2 | 3, 0, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]), rest),
            _ => return Err(reader.error("version 1.0, 2.0 or 3.0 and the length of the header")),
        };
        let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let Some((header, contents)) = split else {
            let (expected, found) = (format!("{length} bytes"), format!("{} bytes", rest.len()));
            return Err(format(path, "header", expected, found));
        };
        let (entry, big_endian, fortran, [examples, features]) =
            Reader { path, rest: header, end: file.len() - contents.len() }.dictionary()?;
        let width = entry.width();
        if examples.checked_mul(features).and_then(|count| count.checked_mul(width)) != Some(contents.len()) {
            let expected = format!("{examples} × {features} entries of {width} bytes");
            return Err(format(path, "contents", expected, format!("{} bytes", contents.len())));
        }
        Ok(Self { entry, big_endian, fortran, examples, features, contents })
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    path: &'a Path,
    rest: &'a [u8],
    /// Where `rest` ends in the file.
    end: usize,
}

impl<'a> Reader<'a> {
    fn dictionary(&mut self) -> Result<(Entry, bool, bool, [usize; 2])> {
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
        let (Some((entry, big_endian)), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
            return Err(self.error(keys));
        };
        match self.rest.trim_ascii() {
            [] => Ok((entry, big_endian, fortran, shape)),
            _ => Err(self.error("blanks up to the end of the header")),
        }
    }

    /// The kind of an entry, and whether its highest byte comes first.
    fn descr(&mut self) -> Result<(Entry, bool)> {
        let before = *self;
        let text = self.text()?;
        let entry = match text {
            b"|b1" => Entry::Bool,
            b"|u1" => Entry::U8,
            b"<i4" | b">i4" => Entry::I32,
            b"<i8" | b">i8" => Entry::I64,
            b"<f4" | b">f4" => Entry::F32,
            b"<f8" | b">f8" => Entry::F64,
            _ => return Err(before.error("one of '|b1', '|u1' and, with < or >, '<i4', '<i8', '<f4', '<f8'")),
        };
        Ok((entry, text.starts_with(b">")))
    }

    fn truth(&mut self) -> Result<bool> {
        let truth = self.skip("True");
        if truth || self.skip("False") { Ok(truth) } else { Err(self.error("True or False")) }
    }

    /// Examples and features.
    fn shape(&mut self) -> Result<[usize; 2]> {
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
        match lengths[..] {
            [examples] => Ok([examples, 1]),
            [examples, features] => Ok([examples, features]),
            _ => Err(before.error("one or two lengths, (examples,) or (examples, features)")),
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
        self.rest = after;
        Ok(length)
    }

    /// What stands between two quotes.
    fn text(&mut self) -> Result<&'a [u8]> {
        let rest = self.rest.trim_ascii_start();
        if let [quote @ (b'\'' | b'"'), rest @ ..] = rest
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
