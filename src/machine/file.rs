//! Files of every kind: where one is, how it is replaced all or nothing, and its errors.

use std::ffi::OsStr;
use std::fs::{self, File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf, is_separator};
use std::thread;
use std::time::Duration;

use crate::machine::crc::Crc;
use crate::{Error, Result};

mod input;

pub(crate) use input::{Input, inflate, read_bytes};

pub(crate) fn io_at(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

pub(crate) fn format(
    path: &Path,
    place: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Error {
    Error::Format { path: path.to_owned(), place: place.into(), expected: expected.into(), found: found.into() }
}

/// Makes sure that the folder remembers the file's name, where folders can be synchronised.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match File::open(folder)?.sync_all() {
            // Not every file system can.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {}
            other => return other,
        }
    }
    Ok(())
}

/// Links that are followed one after the other, as Linux has it.
const LINKS: usize = 40;

/// Where a file is, or will be.
#[derive(Debug)]
pub(crate) struct Place {
    /// With all links followed, those that lead to no file yet as well.
    pub(crate) path: PathBuf,
    /// Of the regular file that is there.
    pub(crate) found: Option<Metadata>,
}

impl Place {
    /// # Errors
    /// [`Error::NotAFile`] for whatever else is there; [`Error::Io`], also for links that lead to one another.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let found = match fs::metadata(path) {
            Ok(found) => Some(require_file(path, found)?),
            // With a slash at its end it is the name of a folder.
            Err(error) if error.kind() == ErrorKind::NotFound && ends_in_slash(path) => {
                return Err(io_at(path, ErrorKind::IsADirectory.into()));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(io_at(path, error)),
        };
        let mut place = path.to_owned();
        for _ in 0..LINKS {
            let Ok(target) = fs::read_link(&place) else { break };
            place = place.parent().unwrap_or(Path::new("")).join(target);
        }
        Ok(Self { path: place, found })
    }

    /// Where the file grows until it is whole: beside its place, under its name and this ending, or the checksum of a name that is
    /// too long for that.
    ///
    /// # Errors
    /// [`Error::NotAFile`] where that is not a regular file, [`Error::Io`].
    pub(crate) fn draft(&self, ending: &str) -> Result<PathBuf> {
        let failed = |error| io_at(&self.path, error);
        let name = self.path.file_name().ok_or_else(|| failed(ErrorKind::InvalidFilename.into()))?;
        let beside = |name: &OsStr| {
            let mut name = name.to_owned();
            name.push(ending);
            self.path.with_file_name(name)
        };
        let mut draft = beside(name);
        let mut found = fs::symlink_metadata(&draft);
        if found.as_ref().is_err_and(|error| error.kind() == ErrorKind::InvalidFilename) {
            let mut crc = Crc::new();
            crc.add(name.as_encoded_bytes());
            draft = beside(format!("{:08x}", crc.sum()).as_ref());
            found = fs::symlink_metadata(&draft);
        }
        match found {
            Ok(found) => require_file(&draft, found).map(|_| draft),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(draft),
            Err(error) => Err(failed(error)),
        }
    }
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|&byte| is_separator(char::from(byte)))
}

fn require_file(path: &Path, found: Metadata) -> Result<Metadata> {
    match found.is_file() {
        true => Ok(found),
        false => Err(Error::NotAFile { path: path.to_owned(), found: kind(found.file_type()) }),
    }
}

const DEVICE: &str = "a device";

fn kind(file: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file.is_fifo() {
            return "a FIFO";
        }
        if file.is_socket() {
            return "a socket";
        }
        if file.is_char_device() || file.is_block_device() {
            return DEVICE;
        }
    }
    if file.is_dir() {
        "a folder"
    } else if file.is_symlink() {
        "a symbolic link"
    } else {
        "something else"
    }
}

/// Replaces the file at `path` by what `write` puts down, all or nothing: a process or a machine that stops on the way leaves the
/// old one. The new one grows beside it under a name that ends in `.tmp`. A link stays and its target is replaced; mode, owner and
/// group stay as the old file has them, the latter two where the system lets; other hard links keep the old file.
///
/// # Errors
/// [`Error::NotAFile`], [`Error::Io`] with `path`; the old file is as it was then, unless it is only the folder that could not be
/// synchronised.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let place = Place::of(path)?;
    let draft = place.draft(".tmp")?;
    let run = || {
        let file = begin(&draft, &place)?;
        finish(file, &draft, &place, write).inspect_err(|_| {
            // What is left of it is in nobody's way: the next one begins anew.
            let _ = fs::remove_file(&draft);
        })?;
        sync_folder(&place.path)
    };
    run().map_err(|error| io_at(path, error))
}

/// Fails where [`replace`] would now, and writes nothing: a draft is begun and removed.
///
/// # Errors
/// As [`replace`].
#[cfg(feature = "save")]
pub(crate) fn check_replace(path: &Path) -> Result<()> {
    let place = Place::of(path)?;
    let draft = place.draft(".tmp")?;
    begin(&draft, &place).and_then(|_| fs::remove_file(&draft)).map_err(|error| io_at(path, error))
}

/// A new file, in place of one that a process left when it was stopped; not of one that another is writing.
fn begin(draft: &Path, place: &Place) -> io::Result<File> {
    #[cfg(not(unix))]
    let _ = place;
    match File::open(draft) {
        Ok(left) => {
            lock(&left)?;
            fs::remove_file(draft)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    if let Some(old) = &place.found {
        use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
        // Nobody reads it who may not read the old one; the group comes at the end.
        options.mode(old.mode() & 0o007 | 0o600);
    }
    let file = options.open(draft)?;
    lock(&file)?;
    Ok(file)
}

/// Attempts to lock a file, and the milliseconds between two.
const ATTEMPTS: usize = 20;
const PAUSE: u64 = 5;

fn lock(file: &File) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        match file.try_lock() {
            // A process that another thread is just starting holds our locks until it has become the other program.
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(PAUSE)),
            // Not every file system has locks.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "another save writes to it"))
}

fn finish(
    mut file: File,
    draft: &Path,
    place: &Place,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    write(&mut file)?;
    if let Some(old) = &place.found {
        inherit(&file, old)?;
    }
    file.sync_all()?;
    fs::rename(draft, &place.path)
}

/// Gives the file owner, group and mode of the old one.
#[cfg(unix)]
fn inherit(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    let new = file.metadata()?;
    let mut mode = old.mode() & 0o777;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        let group = Some(old.gid());
        let kept = fchown(file, Some(old.uid()), group).or_else(|_| fchown(file, None, group));
        if kept.is_err() && new.gid() != old.gid() {
            // They were rights of another group.
            mode &= !0o070;
        }
    }
    // Not every file system has modes; one that has none gives both files the same.
    if new.mode() & 0o777 == mode { Ok(()) } else { file.set_permissions(fs::Permissions::from_mode(mode)) }
}

#[cfg(not(unix))]
fn inherit(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}
