//! The directory at the end of a zip archive: which arrays it holds, where each begins, and its checksum.
//!
//! [The format](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT) gives members a header of their own as well, but that is
//! written before their lengths and sums are known.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::Result;
use crate::machine::file::{Input, format, io_at};

/// The lengths of the records, without names and comments.
const END: usize = 22;
const LOCATOR: u64 = 20;
const END_64: u64 = 56;
const ENTRY: u64 = 46;
const LOCAL: u64 = 30;
/// A field whose value stands elsewhere, in 64 bits.
const ELSEWHERE: u64 = u32::MAX as u64;

/// A file in the archive.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) encrypted: bool,
    pub(super) method: u16,
    pub(super) crc: u32,
    /// Bytes in the archive, and unpacked.
    pub(super) packed: u64,
    pub(super) bytes: u64,
    /// Where its own header begins.
    start: u64,
}

impl Member {
    /// The name of the array.
    pub(super) fn array(&self) -> &str {
        self.name.strip_suffix(".npy").unwrap_or(&self.name)
    }

    /// Goes to its first byte.
    pub(super) fn find(&self, path: &Path, source: &mut (impl Read + Seek)) -> Result<()> {
        let header = record(path, source, self.start, LOCAL)?;
        let lengths = || {
            let mut fields = Fields(&header);
            fields.signature(b"PK\x03\x04")?;
            // The others are those of the directory.
            fields.bytes(22)?;
            Some((fields.two()?, fields.two()?))
        };
        let fault = |found: &str| Err(format(path, format!("byte {}", self.start), "the member's header", found));
        let Some((name, extra)) = lengths() else { return fault("other bytes") };
        let name = record(path, source, self.start + LOCAL, name.into())?;
        if String::from_utf8_lossy(&name) != self.name {
            return fault("that of another member");
        }
        let first = self.start + LOCAL + name.len() as u64 + u64::from(extra);
        source.seek(SeekFrom::Start(first)).map(|_| ()).map_err(|error| io_at(path, error))
    }
}

/// Where the directory lies.
struct Place {
    entries: u64,
    start: u64,
    bytes: u64,
}

/// Reads the directory of an archive.
pub(super) fn read(path: &Path, source: &mut (impl Read + Seek)) -> Result<Vec<Member>> {
    let length = source.seek(SeekFrom::End(0)).map_err(|error| io_at(path, error))?;
    let (end, place) = find(path, source, length)?;
    let fits =
        place.start.checked_add(place.bytes).is_some_and(|stop| stop <= end) && place.entries <= place.bytes / ENTRY;
    if !fits {
        let expected = format!("{} entries of at least {ENTRY} bytes before byte {end}", place.entries);
        return Err(format(path, "its directory", expected, format!("{} bytes from {} on", place.bytes, place.start)));
    }
    let directory = record(path, source, place.start, place.bytes)?;
    let mut fields = Fields(&directory);
    let mut members = Vec::new();
    for entry in 0..place.entries {
        let fault = |expected: String, found: &str| {
            Err(format(path, format!("entry {entry} of its directory"), expected, found))
        };
        let Some(member) = fields.member() else { return fault("that of a zip archive".to_owned(), "other bytes") };
        if member.start.checked_add(member.packed).is_none_or(|stop| stop > place.start) {
            return fault(format!("a member before byte {}", place.start), "one that goes on behind it");
        }
        members.push(member);
    }
    match fields.0.len() {
        0 => Ok(members),
        more => Err(format(path, "its directory", format!("{} entries", place.entries), format!("{more} bytes more"))),
    }
}

/// The place of the directory, and the end of the bytes where it may lie.
fn find(path: &Path, source: &mut (impl Read + Seek), length: u64) -> Result<(u64, Place)> {
    // A comment may follow, of a length in two bytes.
    let room = (END as u64 + u64::from(u16::MAX)).min(length);
    let tail = record(path, source, length - room, room)?;
    let end_at = |at: &usize| Fields(tail.split_at(*at).1).end().is_some();
    let Some(at) = (0..tail.len()).rev().find(end_at) else {
        let array = record(path, source, 0, 6)? == b"\x93NUMPY";
        let found = if array { "a .npy file; read_npy reads it" } else { "none" };
        return Err(format(path, "its end", "that of a zip archive, as numpy.savez writes it", found));
    };
    let (end, place) = (length - room + at as u64, Fields(tail.split_at(at).1).end());
    let locator = match end.checked_sub(LOCATOR) {
        Some(start) => Fields(&record(path, source, start, LOCATOR)?).locator().map(|at| (start, at)),
        None => None,
    };
    let (end, place) = match locator {
        Some((end, at)) if at <= end => (end, Fields(&record(path, source, at, END_64)?).end_64()),
        Some((end, _)) => (end, None),
        None => (end, place),
    };
    let none = || format(path, "its end", "that of a zip archive in one part", "other bytes");
    Ok((end, place.ok_or_else(none)?))
}

/// The bytes from `start` on, fewer where the file ends.
fn record(path: &Path, source: &mut (impl Read + Seek), start: u64, bytes: u64) -> Result<Vec<u8>> {
    source.seek(SeekFrom::Start(start)).map_err(|error| io_at(path, error))?;
    Input::of(path, source, 0).read(bytes)
}

/// Bytes of which fields are taken, the low byte first.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn signature(&mut self, signature: &[u8; 4]) -> Option<()> {
        self.array().filter(|found| found == signature).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn two(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn four(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn eight(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The end of an archive, if that is all there is.
    fn end(mut self) -> Option<Place> {
        self.signature(b"PK\x05\x06")?;
        self.bytes(4)?;
        let (here, entries) = (self.two()?, self.two()?);
        let (bytes, start) = (self.four()?.into(), self.four()?.into());
        let comment = self.two()?;
        let whole = here == entries && self.0.len() == usize::from(comment);
        whole.then_some(Place { entries: entries.into(), start, bytes })
    }

    /// Where the end stands whose fields have 64 bits.
    fn locator(mut self) -> Option<u64> {
        self.signature(b"PK\x06\x07")?;
        self.bytes(4)?;
        self.eight()
    }

    fn end_64(mut self) -> Option<Place> {
        self.signature(b"PK\x06\x06")?;
        self.bytes(20)?;
        let (here, entries) = (self.eight()?, self.eight()?);
        let (bytes, start) = (self.eight()?, self.eight()?);
        (here == entries).then_some(Place { entries, start, bytes })
    }

    fn member(&mut self) -> Option<Member> {
        self.signature(b"PK\x01\x02")?;
        self.bytes(4)?;
        let (flags, method) = (self.two()?, self.two()?);
        self.bytes(4)?;
        let crc = self.four()?;
        let [mut packed, mut bytes] = [self.four()?, self.four()?].map(u64::from);
        let [name, extra, comment] = [self.two()?, self.two()?, self.two()?].map(usize::from);
        self.bytes(8)?;
        let mut start = self.four()?.into();
        let name = String::from_utf8_lossy(self.bytes(name)?).into_owned();
        let mut extra = Fields(self.bytes(extra)?);
        self.bytes(comment)?;
        while let Some(id) = extra.two() {
            let length = extra.two()?.into();
            let mut wide = Fields(extra.bytes(length)?);
            for field in [&mut bytes, &mut packed, &mut start] {
                if id == 1 && *field == ELSEWHERE {
                    *field = wide.eight()?;
                }
            }
        }
        Some(Member { name, encrypted: flags & 1 != 0, method, crc, packed, bytes, start })
    }
}
