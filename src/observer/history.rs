use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::sink::Sink;
use super::{Epoch, Observer, Plan};
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
#[derive(Debug)]
pub struct History<'w> {
    form: Form,
    /// A file to open at the start of the fit, unless it is open.
    path: Option<PathBuf>,
    sink: Option<Sink<'w>>,
    /// Whether there are rows, or names of columns, to go on below.
    begun: bool,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Csv,
    JsonLines,
}

impl<'w> History<'w> {
    /// CSV in a file, which the start of a first fit creates, or empties.
    pub fn csv(path: impl Into<PathBuf>) -> Self {
        Self { form: Form::Csv, path: Some(path.into()), sink: None, begun: false }
    }

    /// CSV to any writer.
    pub fn csv_to(writer: impl Write + Send + 'w) -> Self {
        Self { form: Form::Csv, path: None, sink: Some(Sink::new("the writer of a history", writer)), begun: false }
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
            let file = match self.begun {
                true => OpenOptions::new().append(true).create(true).open(path),
                false => File::create(path),
            };
            let file = file.map_err(|error| io_at(path, error))?;
            self.sink = Some(Sink::new(path, file));
        }
        Ok(())
    }

    fn line(&mut self, line: String) -> Result<()> {
        self.sink.as_mut().map_or(Ok(()), |sink| sink.line(line))
    }
}

impl<T: Scalar> Observer<T> for History<'_> {
    fn start(&mut self, _: &Plan, network: &DecoupledNetwork<T>) -> Result<()> {
        self.open()?;
        if let (Form::Csv, false) = (self.form, self.begun) {
            self.line(row::csv_names(network.depth()))?;
        }
        self.begun = true;
        Ok(())
    }

    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        self.line(match self.form {
            Form::Csv => row::csv(epoch.report, epoch.network.depth()),
            Form::JsonLines => row::json(epoch.report),
        })?;
        Ok(ControlFlow::Continue(()))
    }

    /// Whether there are rows to go on below: 1 or 0.
    fn state(&self) -> Vec<f64> {
        vec![f64::from(self.begun)]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        check_shape("numbers in the state of History", 1, state.len())?;
        self.begun = state == [1.0];
        Ok(())
    }
}
