//! The activation bank: one stored, trainable activation for every hidden layer of every example.

use nalgebra::DMatrixView;

use crate::matrix::filled;
use crate::{Error, Result, Scalar};

/// The stored activations z_t^i of all hidden layers t and examples i.
///
/// One buffer of (Σ_t d_t) × N entries: a column is an example's whole state, its rows are grouped by layer. The
/// bank is keyed by the index of the example in its data set, so it survives shuffling and mini-batches; it
/// remembers which data set it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationBank<T> {
    /// First row of every hidden layer, and the number of rows at the end.
    offsets: Vec<usize>,
    slots: usize,
    /// Whose memory `state` is.
    rule: String,
    examples: usize,
    data_key: u64,
    activations: Vec<T>,
    /// What the activation optimizer remembers: `slots · rows` for each example.
    state: Vec<T>,
    /// λ_t^i, as the activations; empty until a method keeps multipliers.
    multipliers: Vec<T>,
    steps: Vec<u64>,
    visited: Vec<u64>,
}

/// One example's part of the bank, lent to a visit.
#[derive(Debug)]
pub(crate) struct Column<'a, T> {
    pub(crate) activations: &'a mut [T],
    pub(crate) state: &'a mut [T],
    /// Activation steps that this column has taken; 0 for one that was never visited.
    pub(crate) steps: &'a mut u64,
    /// Empty when the method keeps none.
    pub(crate) multipliers: &'a mut [T],
    /// The parameter update that the last visit led to; 0 for none.
    pub(crate) visited: &'a mut u64,
}

impl<T: Scalar> ActivationBank<T> {
    /// A bank of zeros for hidden layers of the given `widths`, with `slots` state entries an activation for the optimizer
    /// `rule`.
    ///
    /// # Errors
    /// [`Error::BankTooLarge`] before anything is allocated, [`Error::OutOfMemory`].
    pub(crate) fn new(
        widths: &[usize],
        (slots, rule): (usize, String),
        examples: usize,
        data_key: u64,
        limit: usize,
    ) -> Result<Self> {
        let mut offsets = vec![0];
        offsets.extend(widths.iter().scan(0usize, |row, width| {
            *row = row.saturating_add(*width);
            Some(*row)
        }));
        let rows = offsets[widths.len()];
        let all_rows = (rows as u128) * (1 + slots as u128);
        let bytes = (all_rows * size_of::<T>() as u128 + 2 * size_of::<u64>() as u128) * examples as u128;
        if bytes > limit as u128 {
            let rows = usize::try_from(all_rows).unwrap_or(usize::MAX);
            return Err(Error::BankTooLarge { bytes, rows, examples, limit: limit as u128 });
        }
        let zeros = |len: usize| filled("the activation bank", len, T::zero());
        Ok(Self {
            activations: zeros(rows * examples)?,
            state: zeros(rows * slots * examples)?,
            multipliers: Vec::new(),
            steps: vec![0; examples],
            visited: vec![0; examples],
            offsets,
            slots,
            rule,
            examples,
            data_key,
        })
    }

    /// Whether this bank was made for that data set and that memory.
    pub(crate) fn fits(&self, slots: usize, rule: &str, examples: usize, data_key: u64) -> bool {
        (self.slots, &*self.rule, self.examples, self.data_key) == (slots, rule, examples, data_key)
    }

    /// Makes room for a multiplier beside every activation, zero at first; those that are there stay.
    ///
    /// # Errors
    /// [`Error::BankTooLarge`], [`Error::OutOfMemory`]; nothing has changed then.
    pub(crate) fn keep_multipliers(&mut self, limit: usize) -> Result<()> {
        if self.multipliers.is_empty() {
            let bytes = (self.bytes() + size_of_val(&self.activations[..])) as u128;
            if bytes > limit as u128 {
                let rows = self.rows() * (2 + self.slots);
                return Err(Error::BankTooLarge { bytes, rows, examples: self.examples, limit: limit as u128 });
            }
            self.multipliers = filled("the multipliers", self.activations.len(), T::zero())?;
        }
        Ok(())
    }

    /// Number of examples: columns.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Number of hidden layers.
    pub fn layers(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Rows: the widths of all hidden layers together.
    pub fn rows(&self) -> usize {
        self.offsets[self.layers()]
    }

    /// Bytes of activations, multipliers, optimizer state and counts.
    pub fn bytes(&self) -> usize {
        let values = [&self.activations[..], &self.state[..], &self.multipliers[..]];
        let counts = [&self.steps[..], &self.visited[..]];
        values.map(size_of_val).into_iter().sum::<usize>() + counts.map(size_of_val).into_iter().sum::<usize>()
    }

    /// z_t for all examples, `d_t × N`, for t = 1 ..= layers; a view with row stride 1, not a copy.
    ///
    /// # Panics
    /// When `t` is 0 or larger than [`layers`](Self::layers).
    pub fn layer(&self, t: usize) -> DMatrixView<'_, T> {
        self.view(&self.activations, t)
    }

    /// λ_t for all examples, `d_t × N`, for t = 1 ..= layers; none unless a method keeps multipliers.
    ///
    /// # Panics
    /// As [`layer`](Self::layer).
    pub fn multipliers(&self, t: usize) -> Option<DMatrixView<'_, T>> {
        (!self.multipliers.is_empty()).then(|| self.view(&self.multipliers, t))
    }

    fn view<'a>(&'a self, values: &'a [T], t: usize) -> DMatrixView<'a, T> {
        assert!((1..=self.layers()).contains(&t), "hidden layers are 1..={}, found {t}", self.layers());
        let rows = self.offsets[t] - self.offsets[t - 1];
        DMatrixView::from_slice_with_strides_generic(
            &values[self.offsets[t - 1]..],
            nalgebra::Dyn(rows),
            nalgebra::Dyn(self.examples),
            nalgebra::Const::<1>,
            nalgebra::Dyn(self.rows()),
        )
    }

    /// The whole stored state of one example, layer after layer.
    ///
    /// # Panics
    /// When there is no such example.
    pub fn example(&self, index: usize) -> &[T] {
        &self.activations[index * self.rows()..(index + 1) * self.rows()]
    }

    /// How many activation steps each example has taken; 0 for one that was never visited.
    pub fn steps(&self) -> &[u64] {
        &self.steps
    }

    /// The parameter update ([`DecoupledNetwork::updates`](crate::DecoupledNetwork::updates)) that each example's last visit
    /// led to; 0 for one that was never visited.
    pub fn visited_at(&self) -> &[u64] {
        &self.visited
    }

    /// Every example's column, to be dealt out to the batches of an epoch.
    pub(crate) fn columns_mut(&mut self) -> impl Iterator<Item = Column<'_, T>> {
        let (rows, state_rows) = (self.rows(), self.rows() * self.slots);
        let multiplier_rows = if self.multipliers.is_empty() { 0 } else { rows };
        let (mut activations, mut state) = (&mut self.activations[..], &mut self.state[..]);
        let mut multipliers = &mut self.multipliers[..];
        self.steps.iter_mut().zip(&mut self.visited).map(move |(steps, visited)| Column {
            activations: front(&mut activations, rows),
            state: front(&mut state, state_rows),
            steps,
            multipliers: front(&mut multipliers, multiplier_rows),
            visited,
        })
    }
}

/// The first `len` entries of `slice`, which keeps the rest.
fn front<'a, T>(slice: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (front, rest) = std::mem::take(slice).split_at_mut(len);
    *slice = rest;
    front
}
