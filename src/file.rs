use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file beside its place, and moves it there when it is whole. After an error, a file that was there before is as it
/// was.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    fs::write(&draft, contents).and_then(|()| fs::rename(&draft, path)).map_err(|source| {
        // What is left of the draft is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&draft);
        Error::Io { path: path.to_owned(), source }
    })
}
