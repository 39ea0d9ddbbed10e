//! A table's text cut into records and fields (RFC 4180), and errors that name line and field.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use crate::data::columns::{Dialect, beginning};
use crate::machine::file::format;
use crate::{Error, Result};

/// A table's text, whose header has been read: it can be scanned any number of times.
pub(super) struct Source<'t> {
    pub(super) path: &'t Path,
    text: &'t [u8],
    delimiter: u8,
    comment: Option<u8>,
    /// Where the records begin.
    at: usize,
    line: usize,
    /// The line of the header, or of the first record without one.
    pub(super) first_line: usize,
    /// What the columns are called: empty names without a header.
    pub(super) names: Vec<String>,
    /// The first record, if it is a single field.
    sole: Option<String>,
}

/// A field of a record, without the spaces around it.
pub(super) struct Cell<'t> {
    /// Where it begins, counted from 1: a record may reach over several lines.
    pub(super) line: usize,
    pub(super) text: Cow<'t, str>,
}

/// Takes records apart as RFC 4180 writes them, and refuses what it does not allow.
pub(super) struct Records<'s, 't> {
    source: &'s Source<'t>,
    at: usize,
    line: usize,
}

const QUOTE: u8 = b'"';

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

impl<'t> Source<'t> {
    /// # Errors
    /// [`Error::Format`] for a text that is not UTF-8, without a first line, or whose header has a name twice.
    pub(super) fn new(path: &'t Path, text: &'t [u8], dialect: &Dialect) -> Result<Self> {
        if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
            return Err(format(path, "byte 0", "UTF-8", "UTF-16"));
        }
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let Dialect { delimiter, comment, .. } = *dialect;
        let mut source =
            Self { path, text, delimiter, comment, at: 0, line: 1, first_line: 1, names: Vec::new(), sole: None };
        let mut cells = Vec::new();
        let mut records = source.records();
        if !records.take(&mut cells)? {
            return Err(format(path, "line 1", "a table", "nothing"));
        }
        let (at, line) = (records.at, records.line);
        source.first_line = cells.first().map_or(1, |cell| cell.line);
        source.sole = Some(&cells[..])
            .filter(|cells| cells.len() == 1)
            .and_then(|cells| cells.first())
            .map(|cell| cell.text.to_string());
        if dialect.header {
            (source.at, source.line) = (at, line);
            source.names = cells.iter().map(|cell| cell.text.to_string()).collect();
            source.refuse_twins(&cells)?;
        } else {
            source.names = vec![String::new(); cells.len()];
        }
        Ok(source)
    }

    fn refuse_twins(&self, header: &[Cell<'_>]) -> Result<()> {
        let mut seen = HashSet::new();
        for (field, cell) in header.iter().enumerate() {
            // Several columns may lack a name: none of them is used by it.
            if !cell.text.is_empty() && !seen.insert(&cell.text) {
                let found = excerpt(&cell.text) + &self.hint();
                return Err(self.fault(cell.line, field, "a name that no other column has", found));
            }
        }
        Ok(())
    }

    pub(super) fn records(&self) -> Records<'_, 't> {
        Records { source: self, at: self.at, line: self.line }
    }

    /// The error of a field, counted from 0.
    pub(super) fn fault(
        &self,
        line: usize,
        field: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Error {
        let name = self.names.get(field).filter(|name| !name.is_empty());
        let name = name.map_or_else(String::new, |name| format!(" ({})", beginning(name, 60)));
        format(self.path, format!("line {line}, field {}{name}", field + 1), expected, found)
    }

    /// The error of the line with the names.
    pub(super) fn header_fault(&self, expected: impl Into<String>) -> Error {
        let found = if self.names.iter().all(String::is_empty) {
            format!("{} columns", self.names.len())
        } else {
            format!("{:?}", self.names)
        };
        format(self.path, format!("line {}", self.first_line), expected, found + &self.hint())
    }

    /// What an error about the columns ends with, if the first line looks as if the file were written otherwise.
    pub(super) fn hint(&self) -> String {
        let fields = |mark: u8| self.sole.as_ref().map_or(1, |line| line.split(char::from(mark)).count());
        if let Some(mark) =
            [b';', b'\t', b'|', b','].into_iter().find(|&mark| mark != self.delimiter && fields(mark) > 1)
        {
            return format!("; by Options::delimiter(b{:?}) the line has {} fields", char::from(mark), fields(mark));
        }
        let numbers = self.names.iter().filter(|name| name.parse::<f64>().is_ok_and(f64::is_finite)).count();
        match numbers > 0 && 2 * numbers >= self.names.len() {
            true => "; if the first line is an example, Options::header(false) takes it as one".to_owned(),
            false => String::new(),
        }
    }
}

impl<'t> Records<'_, 't> {
    /// Reads the next record, which has as many fields as the first; `false` at the end.
    ///
    /// # Errors
    /// [`Error::Format`] for a quote that is not closed or stands inside a field, text behind a closing quote, a NUL, what is not
    /// UTF-8, and another number of fields.
    pub(super) fn next(&mut self, cells: &mut Vec<Cell<'t>>) -> Result<bool> {
        if !self.take(cells)? {
            return Ok(false);
        }
        let (expected, found) = (self.source.names.len(), cells.len());
        if found == expected {
            return Ok(true);
        }
        let line = cells.first().map_or(self.line, |cell| cell.line);
        Err(format(
            self.source.path,
            format!("line {line}"),
            format!("{expected} fields"),
            format!("{found}{}", self.source.hint()),
        ))
    }

    fn take(&mut self, cells: &mut Vec<Cell<'t>>) -> Result<bool> {
        cells.clear();
        self.skip_lines();
        if self.peek().is_none() {
            return Ok(false);
        }
        loop {
            let line = self.line;
            let text = self.field(cells.len())?;
            cells.push(Cell { line, text });
            match self.peek() {
                Some(byte) if byte == self.source.delimiter => self.at += 1,
                _ => break,
            }
        }
        self.skip_comment();
        self.skip_break();
        Ok(true)
    }

    fn peek(&self) -> Option<u8> {
        self.source.text.get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        self.source.text.get(self.at..).unwrap_or_default()
    }

    fn is_comment(&self, byte: u8) -> bool {
        self.source.comment == Some(byte)
    }

    fn skip_spaces(&mut self) {
        let space = |byte: &&u8| matches!(byte, b' ' | b'\t') && **byte != self.source.delimiter;
        self.at += self.rest().iter().take_while(space).count();
    }

    fn skip_comment(&mut self) {
        if self.peek().is_some_and(|byte| self.is_comment(byte)) {
            self.at += self.rest().iter().take_while(|byte| !is_break(**byte)).count();
        }
    }

    /// `\n`, `\r\n` and `\r` each end a line.
    fn skip_break(&mut self) {
        self.at += match self.rest() {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => return,
        };
        self.line += 1;
    }

    /// Lines that hold nothing, or a comment alone.
    fn skip_lines(&mut self) {
        loop {
            let start = self.at;
            self.skip_spaces();
            self.skip_comment();
            match self.peek() {
                Some(byte) if is_break(byte) => self.skip_break(),
                Some(_) => {
                    self.at = start;
                    return;
                }
                None => return,
            }
        }
    }

    fn field(&mut self, field: usize) -> Result<Cow<'t, str>> {
        self.skip_spaces();
        if self.peek() == Some(QUOTE) { self.quoted(field) } else { self.plain(field) }
    }

    fn plain(&mut self, field: usize) -> Result<Cow<'t, str>> {
        let rest = self.rest();
        let ends = |byte: u8| byte == self.source.delimiter || is_break(byte) || self.is_comment(byte);
        let special = |byte: u8| ends(byte) || byte == QUOTE || byte == 0;
        let length = rest.iter().position(|&byte| special(byte)).unwrap_or(rest.len());
        let (text, after) = rest.split_at(length);
        self.at += length;
        let fault = |expected, found| Err(self.source.fault(self.line, field, expected, found));
        match after.first() {
            Some(&QUOTE) => fault("quotes around the whole field, doubled within", self.line_at(self.at - length)),
            Some(0) => fault("text", "a NUL byte".to_owned()),
            _ => self.utf8(text, self.line, field).map(|text| Cow::Borrowed(text.trim())),
        }
    }

    fn quoted(&mut self, field: usize) -> Result<Cow<'t, str>> {
        let (start, line) = (self.at, self.line);
        self.at += 1;
        let mut text = Cow::Borrowed("");
        loop {
            let rest = self.rest();
            let length = rest.iter().position(|&byte| byte == QUOTE || byte == 0).unwrap_or(rest.len());
            let (part, after) = rest.split_at(length);
            let part = self.utf8(part, line, field)?;
            if text.is_empty() {
                text = Cow::Borrowed(part);
            } else {
                text.to_mut().push_str(part);
            }
            let breaks = part.bytes().zip(rest.iter().skip(1).copied().chain([0]));
            self.line += breaks.filter(|&(byte, next)| byte == b'\n' || (byte == b'\r' && next != b'\n')).count();
            self.at += length;
            match after {
                [QUOTE, QUOTE, ..] => {
                    text.to_mut().push('"');
                    self.at += 2;
                }
                [QUOTE, ..] => {
                    self.at += 1;
                    break;
                }
                [] => {
                    let found = format!("the end of the file after {}", self.line_at(start));
                    return Err(self.source.fault(line, field, "a closing quote", found));
                }
                _ => return Err(self.source.fault(line, field, "text", "a NUL byte")),
            }
        }
        self.skip_spaces();
        if self.peek().is_none_or(|byte| byte == self.source.delimiter || is_break(byte) || self.is_comment(byte)) {
            return Ok(match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            });
        }
        let expected = format!("nothing behind its closing quote in line {}", self.line);
        Err(self.source.fault(line, field, expected, self.line_at(self.at)))
    }

    fn utf8(&self, text: &'t [u8], line: usize, field: usize) -> Result<&'t str> {
        str::from_utf8(text).map_err(|_| self.source.fault(line, field, "UTF-8", "other bytes"))
    }

    /// The text from here to the end of the line, for an error.
    fn line_at(&self, at: usize) -> String {
        let rest = self.source.text.get(at..).unwrap_or_default();
        let length = rest.iter().position(|&byte| is_break(byte)).unwrap_or(rest.len());
        // Longer than what is shown of it.
        let line = rest.get(..length.min(400)).unwrap_or_default();
        excerpt(&String::from_utf8_lossy(line))
    }
}

/// The text in quotes, or how it begins.
pub(super) fn excerpt(text: &str) -> String {
    format!("{:?}", beginning(text, 60))
}
