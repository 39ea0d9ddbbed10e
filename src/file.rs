//! What all files of this crate share.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::Error;

pub(crate) fn io_at(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

pub(crate) fn format(path: &Path, place: &str, expected: &str, found: &str) -> Error {
    let (place, expected, found) = (place.to_owned(), expected.to_owned(), found.to_owned());
    Error::Format { path: path.to_owned(), place, expected, found }
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
