//! A network's bank, in memory, in a file or nowhere yet, and the way through it in an epoch's order.

use std::ops::ControlFlow;
use std::path::Path;

use super::{ActivationBank, BankFile, Column, Plan};
use crate::bank::order::Share;
use crate::{Result, Scalar};

/// The stored activations of a network, in memory or in a file.
#[derive(Debug, Default)]
pub(crate) enum Bank<T> {
    /// Before the first fit.
    #[default]
    Nowhere,
    Memory(ActivationBank<T>),
    File(BankFile<T>),
}

impl<T: Clone> Clone for Bank<T> {
    /// A file has one writer, and stays with the network that opened it.
    fn clone(&self) -> Self {
        match self {
            Self::Memory(bank) => Self::Memory(bank.clone()),
            Self::File(_) | Self::Nowhere => Self::Nowhere,
        }
    }
}

impl<T: Scalar> Bank<T> {
    pub(crate) fn memory(&self) -> Option<&ActivationBank<T>> {
        match self {
            Self::Memory(bank) => Some(bank),
            Self::File(_) | Self::Nowhere => None,
        }
    }

    pub(crate) fn file(&self) -> Option<&BankFile<T>> {
        match self {
            Self::File(file) => Some(file),
            Self::Memory(_) | Self::Nowhere => None,
        }
    }

    /// Keeps the bank if it fits `plan`; otherwise opens or makes one, in the file at `path` if it is given. A bank with the state of another
    /// optimizer does not fit.
    ///
    /// # Errors
    /// [`Error::BankTooLarge`](crate::Error::BankTooLarge), [`Error::OutOfMemory`](crate::Error::OutOfMemory), and those of the file.
    pub(crate) fn open(&mut self, plan: Plan, path: Option<&Path>, limit: usize) -> Result<()> {
        let Some(path) = path else {
            let Plan { layout, examples, data_key, .. } = plan;
            let keeps = layout.multipliers;
            if !self.memory().is_some_and(|bank| bank.fits(&layout, examples, data_key)) {
                *self = Self::Memory(ActivationBank::new(layout, examples, data_key, limit)?);
            }
            // A bank that lacks multipliers is widened, and keeps its activations.
            return match self {
                Self::Memory(bank) if keeps => bank.keep_multipliers(limit),
                _ => Ok(()),
            };
        };
        if let Self::File(file) = self {
            // The open file is no longer the one at its path: drop it, so that the next fit opens that one or makes a new one.
            if let Err(error) = file.check_place() {
                *self = Self::Nowhere;
                return Err(error);
            }
            return file.check(&plan);
        }
        *self = Self::File(BankFile::open(path, &plan, limit)?);
        Ok(())
    }

    /// Visits the shares of an epoch one after the other, each with the columns of its examples in their order, until one breaks.
    ///
    /// # Errors
    /// Those of `visit`, and of the file.
    pub(crate) fn visit(
        &mut self,
        order: &[Share],
        mut visit: impl FnMut(&Share, &mut [Column<'_, T>]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        match self {
            Self::Nowhere => {
                for share in order {
                    if visit(share, &mut [])?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
            Self::Memory(bank) => {
                let mut columns = deal(bank, order.iter().flat_map(|share| share.examples.iter().copied()));
                let mut columns = &mut columns[..];
                for share in order {
                    let (own, rest) = std::mem::take(&mut columns).split_at_mut(share.examples.len());
                    if visit(share, own)?.is_break() {
                        break;
                    }
                    columns = rest;
                }
                Ok(())
            }
            Self::File(file) => {
                let blocks: Vec<usize> = order.iter().map(|share| share.block).collect();
                file.visit(&blocks, |place, bank| {
                    let Some(share) = order.get(place) else { return Ok(ControlFlow::Break(())) };
                    visit(share, &mut deal(bank, share.examples.iter().map(|example| example - share.first)))
                })
            }
        }
    }

    /// Discards the records after a divergence.
    pub(crate) fn forget(&mut self) {
        match self {
            // If clearing fails, it is retried before the next use.
            Self::File(file) => file.forget().unwrap_or_default(),
            Self::Memory(_) | Self::Nowhere => *self = Self::Nowhere,
        }
    }
}

/// Returns the columns of the examples in `order`, each counted from the bank's first.
fn deal<'b, T: Scalar>(bank: &'b mut ActivationBank<T>, order: impl Iterator<Item = usize>) -> Vec<Column<'b, T>> {
    // Each column is taken at most once, so that all can be borrowed for writing together.
    let mut columns: Vec<_> = bank.columns_mut().map(Some).collect();
    order.filter_map(|example| columns.get_mut(example)?.take()).collect()
}
