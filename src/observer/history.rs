//! A history on disk: a row for every epoch, continued below an earlier fit's.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::sink::Sink;
use super::{Epoch, Observer, Plan};
use crate::error::require;
use crate::machine::file::{Place, format, io_at};
use crate::machine::linalg::matrix::check_shape;
use crate::{DecoupledNetwork, Result, Scalar, StopReason};

mod row;

/// Writes a row for every epoch, as CSV or as JSON lines: an object a line. Each row is flushed, so that a process that is killed
/// loses none.
///
/// | column, key | of [`EpochReport`](crate::EpochReport) |
/// |---|---|
/// | `epoch` | its number, counted from 1 over the life of the network |
/// | `energy`, `train_loss`, `train_score` | the fields of these names |
/// | `validation_loss`, `validation_score` | those of `validation` |
/// | `staleness`, `curvature`, `stability_margin`, `penalty_factor`, `learning_rate_factor` | the fields of these names |
/// | `seconds` | `time` |
/// | `energy_1` .. `energy_T` | `energies`; in JSON an array of this name, as below |
/// | `residual_1` .. `residual_{T−1}` | `residuals` |
/// | `dead_units_1` .. `dead_units_{T−1}` | `dead_units` |
/// | `update_norm_0` .. `update_norm_{T−1}` | `update_norms` |
///
/// T is the number of layers. What was not measured is an empty field, in JSON `null` or an empty array. Numbers are decimals that
/// give the same bits when they are read again. NaN and infinities are `NaN`, `inf` and `-inf`, in JSON `null`.
/// [`decoupling`](crate::EpochReport::decoupling) is left out.
///
/// A second fit with the same value, or with another that is given its [state](Observer::state), goes on below the rows of the first.
/// What the file has beyond those of the state is cut off: rows of epochs that came after a checkpoint, which are trained anew. A
/// history without the state goes on by [`append`](Self::append).
///
/// A file that cannot be written is found at the start of the fit. It changes with the first row.
#[derive(Debug)]
#[doc(alias = "CSVLogger")]
pub struct History<'w> {
    form: Form,
    /// A file to open at the start of the fit, unless it is open.
    path: Option<PathBuf>,
    sink: Option<Sink<'w>>,
    append: bool,
    /// Bytes of the rows, and names of columns, to go on below.
    written: u64,
    /// Whether `set_state` gave them.
    resumes: bool,
    /// Whether the file has yet to be cut to them.
    uncut: bool,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Csv,
    JsonLines,
}

impl<'w> History<'w> {
    /// CSV in a file, which the first row of a first fit creates, or empties.
    pub fn csv(path: impl Into<PathBuf>) -> Self {
        Self::new(Form::Csv, Some(path.into()), None)
    }

    /// CSV to any writer.
    pub fn csv_to(writer: impl Write + Send + 'w) -> Self {
        Self::new(Form::Csv, None, Some(Sink::new("the writer of a history", writer)))
    }

    /// JSON lines in a file, which the first row of a first fit creates, or empties.
    pub fn json_lines(path: impl Into<PathBuf>) -> Self {
        Self::new(Form::JsonLines, Some(path.into()), None)
    }

    /// JSON lines to any writer.
    pub fn json_lines_to(writer: impl Write + Send + 'w) -> Self {
        Self { form: Form::JsonLines, ..Self::csv_to(writer) }
    }

    /// Goes on below the rows of a history that is there, as Keras's `CSVLogger(append=True)` does; to a writer, leaves out the names
    /// of the columns. In the fit of a network that has been trained, rows at the end that are of its epochs, or later, are cut
    /// off first: they are of epochs after the checkpoint that it goes on from.
    pub fn append(mut self) -> Self {
        self.append = true;
        self
    }

    fn new(form: Form, path: Option<PathBuf>, sink: Option<Sink<'w>>) -> Self {
        Self { form, path, sink, append: false, written: 0, resumes: false, uncut: false }
    }

    /// Opens the file, which stays as it is, and finds where to go on in it.
    fn open(&mut self, plan: &Plan, depth: usize) -> Result<()> {
        let (Some(path), None) = (&self.path, &self.sink) else { return Ok(()) };
        let found = match Place::of(path)?.found {
            Some(_) => fs::read(path).map_err(|error| io_at(path, error))?,
            None => Vec::new(),
        };
        let first = plan.first_epoch;
        let written = match (self.resumes, self.append) {
            (true, _) => self.written.min(found.len() as u64),
            (false, true) => found.len() as u64 - trailing(&found, first),
            (false, false) if first > 1 && !found.is_empty() => {
                let place = format!("a history of epochs before {first}");
                let expected = "its state, or History::append, to go on below it";
                return Err(format(path, place, expected, "neither"));
            }
            (false, false) => 0,
        };
        if written > 0 || (self.append && !found.is_empty()) {
            self.check_first(path, &found, depth)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(|error| io_at(path, error))?;
        (self.sink, self.written, self.uncut) = (Some(Sink::new(path, file)), written, true);
        Ok(())
    }

    /// Fails unless the first line is that of such a history.
    fn check_first(&self, path: &Path, found: &[u8], depth: usize) -> Result<()> {
        let first = found.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let (is_own, expected) = match self.form {
            Form::Csv => (first == row::csv_names(depth).as_bytes(), "the columns of a history of this network"),
            Form::JsonLines => (row::is_json(first), "a row of a history in JSON lines"),
        };
        if is_own { Ok(()) } else { Err(format(path, "line 1", expected, "something else")) }
    }

    /// Writes a row, and before the first of a file or writer the names of the columns.
    fn row(&mut self, row: String, depth: usize) -> Result<()> {
        if let (Some(path), true) = (&self.path, self.uncut) {
            cut(path, self.written).map_err(|error| io_at(path, error))?;
        }
        self.uncut = false;
        let is_named = self.written > 0 || (self.append && self.path.is_none());
        if let (Form::Csv, false) = (self.form, is_named) {
            self.line(row::csv_names(depth))?;
        }
        self.line(row)
    }

    fn line(&mut self, line: String) -> Result<()> {
        let bytes = line.len() as u64 + 1;
        self.sink.as_mut().map_or(Ok(()), |sink| sink.line(line))?;
        self.written += bytes;
        Ok(())
    }
}

/// Leaves the file its first so many bytes.
fn cut(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() > bytes { file.set_len(bytes) } else { Ok(()) }
}

/// Bytes at the end of a history that are no whole row, or rows of a later epoch than those before this one.
fn trailing(history: &[u8], first_epoch: usize) -> u64 {
    let goes = |line: &&[u8]| {
        let is_later = first_epoch > 1 && row::epoch(line).is_some_and(|epoch| epoch >= first_epoch);
        is_later || !line.ends_with(b"\n")
    };
    let lines: Vec<&[u8]> = history.split_inclusive(|&byte| byte == b'\n').collect();
    lines.into_iter().rev().take_while(goes).map(|line| line.len() as u64).sum()
}

impl<T: Scalar> Observer<T> for History<'_> {
    fn start(&mut self, plan: &Plan, network: &DecoupledNetwork<T>) -> Result<()> {
        self.open(plan, network.depth())
    }

    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        let depth = epoch.network.depth();
        let row = match self.form {
            Form::Csv => row::csv(epoch.report, depth),
            Form::JsonLines => row::json(epoch.report),
        };
        self.row(row, depth)?;
        Ok(ControlFlow::Continue(()))
    }

    /// How many bytes have been written.
    fn state(&self) -> Vec<f64> {
        vec![self.written as f64]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        check_shape("numbers in the state of History", 1, state.len())?;
        let bytes = state.first().copied().unwrap_or_default();
        let whole = bytes >= 0.0 && bytes.fract() == 0.0;
        require(whole, "bytes in the state of History", "a whole number", bytes)?;
        (self.written, self.resumes) = (bytes as u64, true);
        if self.path.is_some() {
            // To be opened where the state says.
            self.sink = None;
        }
        Ok(())
    }
}
