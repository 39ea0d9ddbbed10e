//! Archives of NumPy arrays (`.npz`): each member is read as a `.npy` file, and its checksum is compared.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::data::{Examples, npy};
use crate::machine::crc::Crc;
use crate::machine::file::{Input, format, inflate, io_at};
use crate::{Error, Result, Scalar};

mod directory;

use directory::Member;

/// Methods of compression.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Of an error's text.
const MOST_NAMES: usize = 20;

/// A `.npz` file that is open: arrays with names, as `numpy.savez` and, with the feature `gz`, `numpy.savez_compressed` write them.
///
/// Only the arrays that are read take memory. Keras' `mnist.npz`, for instance:
///
/// ```no_run
/// use decoupled::Dataset;
/// use decoupled::data::Npz;
///
/// let mut file = Npz::open("mnist.npz")?;
/// println!("{:?}", file.names().collect::<Vec<_>>()); // ["x_test", "x_train", "y_test", "y_train"]
/// let train = Dataset::classification(file.read::<f32>("x_train")?, &file.read_labels("y_train")?, 10)?;
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Debug)]
pub struct Npz {
    path: PathBuf,
    source: Source,
    members: Vec<Member>,
}

/// A file, or all of a pipe.
#[derive(Debug)]
enum Source {
    File(File),
    Pipe(Cursor<Vec<u8>>),
}

impl Read for Source {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(bytes),
            Self::Pipe(pipe) => pipe.read(bytes),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Pipe(pipe) => pipe.seek(to),
        }
    }
}

impl Npz {
    /// Opens a file and reads the list of its arrays.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Format`] when it is no zip archive or has a name twice,
    /// [`Error::OutOfMemory`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |error| io_at(path, error);
        let file = File::open(path).map_err(failed)?;
        let mut source = match file.metadata().map_err(failed)?.is_file() {
            true => Source::File(file),
            false => Source::Pipe(Cursor::new(whole(path, file)?)),
        };
        let members = directory::read(path, &mut source)?;
        let mut names = BTreeSet::new();
        let twice = members.iter().map(Member::array).find(|name| !names.insert(*name));
        if let Some(twice) = twice {
            return Err(format(path, "its names", "each once", format!("{twice} twice")));
        }
        Ok(Self { path: path.to_owned(), source, members })
    }

    /// Returns the names of the arrays in the order of the file, as `files` of `numpy.load` does.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.members.iter().map(Member::array)
    }

    /// Reads the table of numbers that has this name, as [`read_npy`](crate::data::read_npy) reads one from its file.
    ///
    /// # Errors
    /// As [`read_npy`](crate::data::read_npy), with the name in the place of an error; [`Error::Format`] for a name that is not there, and
    /// an array that is damaged or encrypted.
    pub fn read<T: Scalar>(&mut self, name: &str) -> Result<Examples<T>> {
        self.member(name, npy::table)
    }

    /// Reads the labels that have this name, as [`read_npy_labels`](crate::data::read_npy_labels) reads them from their file.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`read_npy_labels`](crate::data::read_npy_labels).
    pub fn read_labels(&mut self, name: &str) -> Result<Vec<usize>> {
        self.member(name, npy::labels)
    }

    fn member<R>(&mut self, name: &str, read: impl FnOnce(&Path, &mut Input<'_>) -> Result<R>) -> Result<R> {
        let Self { path, source, members } = self;
        // A name with or without its ending, as NumPy has it.
        let Some(member) = members.iter().find(|member| member.array() == name || member.name == name) else {
            let mut names: Vec<_> = members.iter().map(Member::array).take(MOST_NAMES + 1).collect();
            if let Some(last) = names.get_mut(MOST_NAMES) {
                *last = "…";
            }
            return Err(format(&*path, "its names", format!("one of {}", names.join(", ")), name));
        };
        let run = || {
            let fault = |place: &str, expected, found: String| Err(format(&*path, place, expected, found));
            if member.encrypted {
                return fault("its flags", "no encryption", "encrypted bytes".to_owned());
            }
            if ![STORED, DEFLATED].contains(&member.method) {
                return fault("its method", "0, stored, or 8, deflated", member.method.to_string());
            }
            member.find(path, source)?;
            let stored = source.take(member.packed);
            let (bytes, left): (Box<dyn Read>, _) = match member.method {
                DEFLATED => (inflate(path, "its deflated bytes".to_owned(), stored)?, 0),
                _ => (Box::new(stored), member.packed),
            };
            let checked = Checked { path, bytes, crc: Crc::new(), count: 0, member };
            read(path, &mut Input::of(path, checked, left))
        };
        run().map_err(|error| match error {
            Error::Format { path, place, expected, found } => {
                Error::Format { path, place: format!("{name}, {place}"), expected, found }
            }
            other => other,
        })
    }
}

/// All that comes out of a pipe, if it begins as an archive: one that is none may have no end.
fn whole(path: &Path, pipe: File) -> Result<Vec<u8>> {
    let mut input = Input::of(path, pipe, 0);
    let mut bytes = input.read(2)?;
    if bytes != b"PK" {
        let found = format!("\"{}\"", bytes.escape_ascii());
        return Err(format(path, "byte 0", "\"PK\", as a zip archive begins", found));
    }
    bytes.append(&mut input.read(u64::MAX)?);
    Ok(bytes)
}

/// The bytes of a member, of which the number and the sum are checked where they end.
struct Checked<'a> {
    path: &'a Path,
    bytes: Box<dyn Read + 'a>,
    crc: Crc,
    count: u64,
    member: &'a Member,
}

impl Read for Checked<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(bytes)?;
        self.crc.add(bytes.get(..count).unwrap_or_default());
        self.count = self.count.saturating_add(count as u64);
        let (sum, whole) = (self.crc.sum(), self.member.bytes);
        let fault = |place, expected, found| Err(io::Error::other(format(self.path, place, expected, found)));
        if count == 0 && !bytes.is_empty() && self.count != whole {
            return fault("its bytes", whole.to_string(), self.count.to_string());
        }
        if count == 0 && !bytes.is_empty() && sum != self.member.crc {
            return fault("its checksum", format!("{:08x}", self.member.crc), format!("{sum:08x}"));
        }
        Ok(count)
    }
}
