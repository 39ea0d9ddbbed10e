//! One example's record, lent to a visit: the only way in which training reads and writes the bank's numbers.

use std::marker::PhantomData;
use std::ops::Range;

use super::Layout;
use crate::{Error, Result, Scalar};

/// One example's part of the bank, lent to a visit. Layers are t = 1 ..= hidden layers.
#[derive(Debug)]
pub(crate) struct Column<'a, T> {
    layout: &'a Layout,
    record: &'a mut [u8],
    scalar: PhantomData<T>,
}

/// Numbers that are decoded at a time where they are not copied.
const PIECE: usize = 64;

impl<'a, T: Scalar> Column<'a, T> {
    pub(super) fn new(layout: &'a Layout, record: &'a mut [u8]) -> Self {
        Self { layout, record, scalar: PhantomData }
    }

    /// Activation steps that this column has taken; 0 for one that was never visited.
    pub(crate) fn steps(&self) -> u64 {
        count(self.record, 0)
    }

    /// The parameter update that the last visit led to; 0 before the first.
    pub(crate) fn last_visit(&self) -> u64 {
        count(self.record, 1)
    }

    /// Whether there was a visit.
    pub(crate) fn is_visited(&self) -> bool {
        self.last_visit() > 0
    }

    /// Notes the steps taken so far, and the parameter update that the last visit led to.
    pub(crate) fn count(&mut self, steps: u64, update: u64) {
        self.record[..8].copy_from_slice(&steps.to_le_bytes());
        self.visited_at(update);
    }

    /// Notes the parameter update that the last visit led to.
    pub(crate) fn visited_at(&mut self, update: u64) {
        self.record[8..16].copy_from_slice(&update.to_le_bytes());
    }

    /// Takes z_t.
    pub(crate) fn activation(&self, t: usize, out: &mut [T]) {
        self.get(self.layout.activation(t), out);
    }

    /// Calls `f` with pieces of z_t, each beside the same piece of `own`.
    pub(crate) fn beside_activation(&self, t: usize, own: &mut [T], f: impl Fn(&[T], &mut [T])) {
        self.beside(self.layout.activation(t), own, f);
    }

    /// Writes what is kept of the input to the entries of `input` that are NaN; those of `starts` before the first visit.
    pub(crate) fn complete(&self, starts: &[T], input: &mut [T]) {
        match self.is_visited() {
            true => self.beside(self.layout.input(), input, fill_gaps),
            // The record holds zeros until then, which are no inputs.
            false => fill_gaps(starts, input),
        }
    }

    fn beside(&self, bytes: Range<usize>, own: &mut [T], f: impl Fn(&[T], &mut [T])) {
        // In pieces through the stack: no allocation for every layer of every column.
        let mut buffer = [T::zero(); PIECE];
        let pieces = self.record[bytes].chunks(PIECE * self.layout.width);
        for (piece, own) in pieces.zip(own.chunks_mut(PIECE)) {
            let last = &mut buffer[..own.len()];
            self.layout.storage.decode(piece, last);
            f(last, own);
        }
    }

    /// Takes what the optimizer remembers of z_t.
    pub(crate) fn state(&self, t: usize, out: &mut [T]) {
        self.get(self.layout.state(t), out);
    }

    /// Takes λ_t.
    ///
    /// # Panics
    /// When the bank keeps no multipliers; as does [`set_multiplier`](Self::set_multiplier).
    pub(crate) fn multiplier(&self, t: usize, out: &mut [T]) {
        self.get(self.layout.multiplier(t), out);
    }

    /// Puts z_0 back, if the bank keeps it.
    ///
    /// # Errors
    /// As [`set_activation`](Self::set_activation).
    pub(crate) fn set_input(&mut self, z: &[T]) -> Result<()> {
        // An empty range, unless inputs are kept.
        self.set(self.layout.input(), &z[..self.layout.inputs], 0, "the stored input, in the bank's format,")
    }

    /// Puts z_t back.
    ///
    /// # Errors
    /// [`Error::Diverged`] (epoch 0) when the bank's format cannot hold a number.
    pub(crate) fn set_activation(&mut self, t: usize, z: &[T]) -> Result<()> {
        self.set(self.layout.activation(t), z, t, "the stored input, in the bank's format,")
    }

    /// Puts the optimizer's state back.
    ///
    /// # Errors
    /// As [`set_activation`](Self::set_activation).
    pub(crate) fn set_state(&mut self, t: usize, state: &[T]) -> Result<()> {
        self.set(self.layout.state(t), state, t, "the activation optimizer's state, in the bank's format,")
    }

    /// Puts λ_t back.
    ///
    /// # Errors
    /// As [`set_activation`](Self::set_activation).
    pub(crate) fn set_multiplier(&mut self, t: usize, multiplier: &[T]) -> Result<()> {
        self.set(self.layout.multiplier(t), multiplier, t, "a multiplier, in the bank's format,")
    }

    fn get(&self, bytes: Range<usize>, out: &mut [T]) {
        self.layout.storage.decode(&self.record[bytes], out);
    }

    fn set(&mut self, bytes: Range<usize>, values: &[T], layer: usize, quantity: &'static str) -> Result<()> {
        match self.layout.storage.encode(values, &mut self.record[bytes]) {
            true => Ok(()),
            false => Err(Error::Diverged { layer, epoch: 0, quantity }),
        }
    }
}

/// Writes to the entries that are NaN.
pub(crate) fn fill_gaps<T: Scalar>(from: &[T], to: &mut [T]) {
    to.iter_mut().zip(from).filter(|(to, _)| !to.is_finite()).for_each(|(to, &from)| *to = from);
}

/// Count 0 (steps) or 1 (last update) of a record.
pub(super) fn count(record: &[u8], which: usize) -> u64 {
    u64::from_le_bytes(record.as_chunks().0[which])
}
