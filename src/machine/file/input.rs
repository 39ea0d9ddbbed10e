//! Bytes in: from files and pipes, unpacked if they are gzipped or deflated, within a limit.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::Path;

use super::{format, io_at};
use crate::{Error, Result};

/// How a gzip file begins: two bytes of its own, and deflate as the only method there is.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// Packed bytes may come to this many, and to more only up to `RATIO` times their number. Zeros pack to a thousandth.
#[cfg(feature = "gz")]
const ROOM: u64 = 1 << 30;
#[cfg(feature = "gz")]
const RATIO: u64 = 200;

/// Bytes that are read once, from a file or a pipe. Memory grows with those that come; a length that the system tells is a hint.
pub(crate) struct Input<'a> {
    path: &'a Path,
    reader: Box<dyn Read + 'a>,
    /// About how many are left; 0 where nobody knows.
    left: u64,
}

impl<'a> Input<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self> {
        let open = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file, if metadata.is_file() { metadata.len() } else { 0 }))
        };
        let (file, left) = open().map_err(|error| io_at(path, error))?;
        Ok(Self::of(path, file, left))
    }

    /// What `reader` gives of the file at `path`: about `left` bytes.
    pub(crate) fn of(path: &'a Path, reader: impl Read + 'a, left: u64) -> Self {
        Self { path, reader: Box::new(reader), left }
    }

    /// The same, unpacked if it begins as a gzip file does.
    pub(crate) fn unpacked(mut self) -> Result<Self> {
        let head = self.read(GZIP.len() as u64)?;
        let Self { path, reader, left } = self;
        let (packed, left) = (head == GZIP, left.saturating_add(head.len() as u64));
        let whole = Cursor::new(head).chain(reader);
        if packed { Ok(Self { path, reader: gunzip(path, whole)?, left: 0 }) } else { Ok(Self::of(path, whole, left)) }
    }

    /// Takes `most` bytes, or fewer where they end.
    pub(crate) fn read(&mut self, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let room = self.left.min(most);
        let reserved = usize::try_from(room).is_ok_and(|room| bytes.try_reserve_exact(room).is_ok());
        if !reserved {
            return Err(Error::OutOfMemory { what: "what a file holds", bytes: room.into() });
        }
        (&mut self.reader).take(most).read_to_end(&mut bytes).map_err(|error| self.fault(error))?;
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Ok(bytes)
    }

    /// Takes as many bytes as the buffer has.
    #[cfg(feature = "save")]
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.reader.read_exact(bytes).map_err(|error| self.fault(error))?;
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Ok(())
    }

    /// How many bytes are left, of which `most` are expected: those of a pipe are read for it, as far as one that is too many.
    #[cfg(feature = "save")]
    pub(crate) fn settle(&mut self, most: u64) -> Result<u64> {
        if self.left == 0 {
            let bytes = self.read(most.saturating_add(1))?;
            self.left = bytes.len() as u64;
            self.reader = Box::new(Cursor::new(bytes));
        }
        Ok(self.left)
    }

    /// Readers hand errors of this crate through as errors of the system.
    fn fault(&self, error: io::Error) -> Error {
        error.downcast().unwrap_or_else(|error| io_at(self.path, error))
    }
}

/// All bytes of a file or a pipe, unpacked if they are gzipped.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let found = super::kind(fs::metadata(path).map_err(|error| io_at(path, error))?.file_type());
    if found == super::DEVICE {
        // It may never end.
        return Err(Error::NotAFile { path: path.to_owned(), found });
    }
    Input::open(path)?.unpacked()?.read(u64::MAX)
}

#[cfg(feature = "gz")]
fn gunzip<'a>(path: &'a Path, packed: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    let place = "its gzip stream".to_owned();
    Ok(Box::new(Unpacked::new(path, place, packed, ROOM, flate2::read::MultiGzDecoder::new)))
}

/// Unpacks what is deflated without a header, at `place` of a file.
#[cfg(feature = "gz")]
pub(crate) fn inflate<'a>(path: &'a Path, place: String, packed: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    Ok(Box::new(Unpacked::new(path, place, packed, ROOM, flate2::read::DeflateDecoder::new)))
}

#[cfg(not(feature = "gz"))]
fn gunzip<'a>(path: &'a Path, _: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    Err(format(path, "byte 0", "a file that is not packed, or this crate with its feature gz", "a gzip file"))
}

#[cfg(not(feature = "gz"))]
pub(crate) fn inflate<'a>(path: &'a Path, place: String, _: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    Err(format(path, place, "stored bytes (numpy.savez), or this crate with its feature gz", "deflated ones"))
}

#[cfg(feature = "gz")]
mod unpacked {
    use std::cell::Cell;
    use std::io::ErrorKind;
    use std::rc::Rc;

    use super::*;

    /// Bytes as they come out of a decoder, up to the limit.
    pub(super) struct Unpacked<'a> {
        path: &'a Path,
        place: String,
        decoder: Box<dyn Read + 'a>,
        taken: Rc<Cell<u64>>,
        given: u64,
        room: u64,
    }

    /// Counts the packed bytes.
    pub(super) struct Counted<R> {
        packed: R,
        taken: Rc<Cell<u64>>,
    }

    impl<R: Read> Read for Counted<R> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let count = self.packed.read(bytes)?;
            self.taken.set(self.taken.get().saturating_add(count as u64));
            Ok(count)
        }
    }

    impl<'a> Unpacked<'a> {
        pub(super) fn new<R: Read + 'a, D: Read + 'a>(
            path: &'a Path,
            place: String,
            packed: R,
            room: u64,
            decoder: impl FnOnce(Counted<R>) -> D,
        ) -> Self {
            let taken = Rc::new(Cell::new(0));
            let decoder = Box::new(decoder(Counted { packed, taken: Rc::clone(&taken) }));
            Self { path, place, decoder, taken, given: 0, room }
        }

        fn fault(&self, expected: impl Into<String>, found: impl Into<String>) -> io::Error {
            io::Error::other(format(self.path, &*self.place, expected, found))
        }
    }

    impl Read for Unpacked<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let count = self.decoder.read(bytes).map_err(|error| match error.kind() {
                ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                    self.fault("whole and undamaged packed bytes", error.to_string())
                }
                _ => error,
            })?;
            self.given = self.given.saturating_add(count as u64);
            if self.given > self.room && self.given / RATIO > self.taken.get() {
                let expected = format!(
                    "at most {} bytes, or {RATIO} times the packed ones; if it is no bomb, unpack it first",
                    self.room
                );
                return Err(self.fault(expected, format!("{} of {} packed ones", self.given, self.taken.get())));
            }
            Ok(count)
        }
    }
}

#[cfg(feature = "gz")]
use unpacked::Unpacked;

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one by one, as a slow pipe may.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let count = bytes.len().min(1);
            self.0.read(bytes.get_mut(..count).unwrap_or_default())
        }
    }

    #[test]
    fn bytes_come_whole_whatever_is_said_of_their_number() {
        let bytes: Vec<u8> = (0..200).collect();
        for left in [0, 100, 200, 300] {
            let mut input = Input::of(Path::new("slow"), Slow(&bytes), left).unpacked().unwrap();
            assert_eq!(input.read(150).unwrap(), bytes[..150]);
            assert_eq!(input.read(u64::MAX).unwrap(), bytes[150..]);
            assert!(input.read(1).unwrap().is_empty());
        }
        for short in 0..3 {
            let mut input = Input::of(Path::new("short"), &GZIP[..short], 9).unpacked().unwrap();
            assert_eq!(input.read(9).unwrap(), GZIP[..short]);
        }
    }

    #[cfg(feature = "gz")]
    #[test]
    fn zeros_come_out_up_to_the_room_and_then_up_to_the_ratio() {
        use std::io::Write;

        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![0; 1 << 20]).unwrap();
        let packed = packer.finish().unwrap();
        assert!(packed.len() * (RATIO as usize) < 1 << 20);
        let path = Path::new("zeros");
        let unpack = |room| {
            let reader = Unpacked::new(path, "all".to_owned(), &*packed, room, flate2::read::DeflateDecoder::new);
            Input::of(path, reader, 0).read(u64::MAX)
        };
        assert_eq!(unpack(1 << 20).unwrap(), vec![0; 1 << 20]);
        let refused = unpack((1 << 20) - 1);
        assert!(matches!(&refused, Err(Error::Format { place, .. }) if place == "all"), "{refused:?}");
    }
}
