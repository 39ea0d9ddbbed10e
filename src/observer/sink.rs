//! Lines to a writer, each flushed, with errors that name the file.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use crate::Result;
use crate::machine::file::io_at;

/// Something that takes lines.
pub(super) struct Sink<'w> {
    /// Its path, or what stands for it in errors.
    name: PathBuf,
    writer: Box<dyn Write + Send + 'w>,
}

impl<'w> Sink<'w> {
    pub(super) fn new(name: impl Into<PathBuf>, writer: impl Write + Send + 'w) -> Self {
        Self { name: name.into(), writer: Box::new(writer) }
    }

    /// Writes a line at once, so that a process that is killed loses none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn line(&mut self, mut line: String) -> Result<()> {
        line.push('\n');
        let written = self.writer.write_all(line.as_bytes()).and_then(|()| self.writer.flush());
        written.map_err(|error| io_at(&self.name, error))
    }
}

impl fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sink({})", self.name.display())
    }
}
