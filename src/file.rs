//! What all files of this crate share.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

mod input;

#[cfg(feature = "csv")]
pub(crate) use input::read_bytes;
pub(crate) use input::{Input, inflate};

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

/// Replaces the file at `path` by what `write` puts down, all or nothing: a process or a machine that stops on the way leaves the
/// old one. The new one grows beside it under a name that ends in `.tmp`.
///
/// # Errors
/// [`Error::Io`] with `path`; the old file is as it was then, unless it is only the folder that could not be
/// synchronised.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let run = || {
        if path.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let mut name = path.file_name().map(OsStr::to_owned).ok_or(ErrorKind::InvalidFilename)?;
        name.push(".tmp");
        let draft = path.with_file_name(name);
        let file = begin(&draft)?;
        finish(file, &draft, path, write).inspect_err(|_| {
            // What is left of it is in nobody's way: the next one begins anew.
            let _ = fs::remove_file(&draft);
        })?;
        sync_folder(path)
    };
    run().map_err(|error| io_at(path, error))
}

/// A new file, in place of one that a process left when it was stopped; not of one that another is writing.
fn begin(draft: &PathBuf) -> io::Result<File> {
    match File::open(draft) {
        Ok(left) => {
            lock(&left)?;
            fs::remove_file(draft)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = File::create_new(draft)?;
    lock(&file)?;
    Ok(file)
}

fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::Error::new(ErrorKind::ResourceBusy, "another save writes to it")),
        // Not every file system has locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn finish(
    mut file: File,
    draft: &Path,
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(draft, path)
}
