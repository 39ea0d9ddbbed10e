//! A printed line for every epoch.

use std::io::{self, Write};
use std::ops::ControlFlow;

use super::sink::Sink;
use super::{Epoch, Observer};
use crate::{Result, Scalar, StopReason};

/// Prints a line an epoch: the [`EpochReport`](crate::EpochReport) as it displays itself.
#[derive(Debug)]
pub struct Table<'w> {
    sink: Sink<'w>,
}

impl<'w> Table<'w> {
    /// To standard output.
    pub fn new() -> Self {
        Self { sink: Sink::new("standard output", io::stdout()) }
    }

    /// To any writer; its errors end the fit.
    pub fn to(writer: impl Write + Send + 'w) -> Self {
        Self { sink: Sink::new("the writer of a table", writer) }
    }
}

impl Default for Table<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> Observer<T> for Table<'_> {
    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        self.sink.line(epoch.report.to_string())?;
        Ok(ControlFlow::Continue(()))
    }
}
