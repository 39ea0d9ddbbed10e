use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::sink::Sink;
use super::{Epoch, Observer, Plan};
use crate::error::require;
use crate::file::io_at;
use crate::matrix::check_shape;
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
/// | `staleness`, `curvature`, `stability_margin`, `penalty_factor` | the fields of these names |
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
/// What the file has beyond those of the state is cut off: rows of epochs that came after a checkpoint, which are trained anew.
#[derive(Debug)]
pub struct History<'w> {
    form: Form,
    /// A file to open at the start of the fit, unless it is open.
    path: Option<PathBuf>,
    sink: Option<Sink<'w>>,
    /// Bytes of the rows, and names of columns, to go on below.
    written: u64,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Csv,
    JsonLines,
}

impl<'w> History<'w> {
    /// CSV in a file, which the start of a first fit creates, or empties.
    pub fn csv(path: impl Into<PathBuf>) -> Self {
        Self { form: Form::Csv, path: Some(path.into()), sink: None, written: 0 }
    }

    /// CSV to any writer.
    pub fn csv_to(writer: impl Write + Send + 'w) -> Self {
        Self { form: Form::Csv, path: None, sink: Some(Sink::new("the writer of a history", writer)), written: 0 }
    }

    /// JSON lines in a file, which the start of a first fit creates, or empties.
    pub fn json_lines(path: impl Into<PathBuf>) -> Self {
        Self { form: Form::JsonLines, ..Self::csv(path) }
    }

    /// JSON lines to any writer.
    pub fn json_lines_to(writer: impl Write + Send + 'w) -> Self {
        Self { form: Form::JsonLines, ..Self::csv_to(writer) }
    }

    fn open(&mut self) -> Result<()> {
        if let (Some(path), None) = (&self.path, &self.sink) {
            let (file, length) = open_after(path, self.written).map_err(|error| io_at(path, error))?;
            (self.sink, self.written) = (Some(Sink::new(path, file)), length);
        }
        Ok(())
    }

    fn line(&mut self, line: String) -> Result<()> {
        let bytes = line.len() as u64 + 1;
        self.sink.as_mut().map_or(Ok(()), |sink| sink.line(line))?;
        self.written += bytes;
        Ok(())
    }
}

/// The file, to write after its first so many bytes, or as many as it has.
fn open_after(path: &Path, bytes: u64) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    if length > bytes {
        OpenOptions::new().write(true).open(path)?.set_len(bytes)?;
    }
    Ok((file, length.min(bytes)))
}

impl<T: Scalar> Observer<T> for History<'_> {
    fn start(&mut self, _: &Plan, network: &DecoupledNetwork<T>) -> Result<()> {
        self.open()?;
        if let (Form::Csv, 0) = (self.form, self.written) {
            self.line(row::csv_names(network.depth()))?;
        }
        Ok(())
    }

    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        self.line(match self.form {
            Form::Csv => row::csv(epoch.report, epoch.network.depth()),
            Form::JsonLines => row::json(epoch.report),
        })?;
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
        self.written = bytes as u64;
        Ok(())
    }
}
