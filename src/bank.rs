//! The activation bank: one stored, trainable activation for every hidden layer of every example.

use std::marker::PhantomData;
use std::ops::Range;

use nalgebra::DMatrix;

#[cfg(feature = "save")]
use crate::machine::linalg::matrix::check_shape;
use crate::machine::linalg::matrix::filled;
use crate::{Result, Scalar};

#[expect(clippy::indexing_slicing, reason = "a record is as long as the layout says")]
mod column;
mod file;
#[expect(clippy::indexing_slicing, reason = "hidden layers that there are, by all callers")]
mod layout;
pub(crate) mod order;
mod place;
mod storage;

pub(crate) use column::{Column, fill_gaps};
pub use file::BankFile;
pub(crate) use file::Plan;
pub(crate) use layout::Layout;
pub(crate) use place::Bank;
pub use storage::Storage;

/// The stored activations z_t^i of all hidden layers t and examples i.
///
/// One record for each example: its activations layer after layer, below them the input where entries of it are
/// [missing](crate::data::Examples::with_missing), and beside them what the activation optimizer remembers and
/// the multipliers, in the format of [`Storage`]. The bank is keyed by the index of the example in its data set, so it survives
/// shuffling and mini-batches; it remembers which data set it belongs to. What is read from it is decoded, and a copy.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationBank<T> {
    layout: Layout,
    examples: usize,
    data_key: u64,
    /// The records, one after the other.
    data: Vec<u8>,
    scalar: PhantomData<T>,
}

/// As errors name it.
const BANK: &str = "the activation bank (less with Storage::Bf16, Storage::Nothing or bank_file)";

impl<T: Scalar> ActivationBank<T> {
    /// A bank of zeros.
    ///
    /// # Errors
    /// [`Error::BankTooLarge`] before anything is allocated, [`Error::OutOfMemory`].
    pub(crate) fn new(layout: Layout, examples: usize, data_key: u64, limit: usize) -> Result<Self> {
        layout.check_limit(examples, limit)?;
        let data = filled(BANK, layout.bytes(examples) as usize, 0)?;
        Ok(Self { layout, examples, data_key, data, scalar: PhantomData })
    }

    /// A bank of these records.
    ///
    /// # Errors
    /// [`Error::BankTooLarge`]; [`Error::Shape`] for another number of bytes than the layout has.
    #[cfg(feature = "save")]
    pub(crate) fn of_records(
        (layout, examples, data_key): (Layout, usize, u64),
        data: Vec<u8>,
        limit: usize,
    ) -> Result<Self> {
        layout.check_limit(examples.max(1), limit)?;
        check_shape("bytes of the activation bank", layout.bytes(examples) as usize, data.len())?;
        Ok(Self { layout, examples, data_key, data, scalar: PhantomData })
    }

    /// What [`of_records`](Self::of_records) makes it of.
    #[cfg(feature = "save")]
    pub(crate) fn parts(&self) -> ((&Layout, usize, u64), &[u8]) {
        ((&self.layout, self.examples, self.data_key), &self.data)
    }

    /// Whether this bank was made for that data set and that memory; it may keep multipliers or not.
    pub(crate) fn fits(&self, layout: &Layout, examples: usize, data_key: u64) -> bool {
        let own = &self.layout;
        let is_of = (self.examples, self.data_key) == (examples, data_key);
        is_of && (*own == *layout || own.with_multipliers() == layout.with_multipliers())
    }

    /// Makes room for a multiplier beside every activation, zero at first; those that are there stay.
    ///
    /// # Errors
    /// [`Error::BankTooLarge`], [`Error::OutOfMemory`]; nothing has changed then.
    pub(crate) fn keep_multipliers(&mut self, limit: usize) -> Result<()> {
        if !self.layout.multipliers {
            let mut wide = Self::new(self.layout.with_multipliers(), self.examples, self.data_key, limit)?;
            // Multipliers come last in a record: the narrow record is the beginning of the wide one.
            let records = self.data.chunks_exact(self.layout.record());
            for (to, from) in wide.data.chunks_exact_mut(wide.layout.record()).zip(records) {
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
            }
            *self = wide;
        }
        Ok(())
    }

    /// Number of examples: columns.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Number of hidden layers; none with [`Storage::Nothing`].
    pub fn layers(&self) -> usize {
        self.layout.layers()
    }

    /// Rows: the widths of all these layers together.
    pub fn rows(&self) -> usize {
        self.layout.rows()
    }

    /// The format of its numbers.
    pub fn storage(&self) -> Storage {
        self.layout.storage
    }

    /// Bytes of inputs that are kept, activations, multipliers and optimizer state, and of two counts for every example.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// z_t for all examples, `d_t × N`, for t = 1 ..= layers.
    ///
    /// # Panics
    /// When `t` is 0 or larger than [`layers`](Self::layers).
    pub fn layer(&self, t: usize) -> DMatrix<T> {
        self.gather_layer(t, Layout::activation)
    }

    /// z_0 for all examples, `d_0 × N`, zeros for those never visited; none unless the data had
    /// [missing](crate::data::Examples::with_missing) inputs. These are as they have been inferred, the others as they were given,
    /// but for what [`Storage`] rounds.
    pub fn inputs(&self) -> Option<DMatrix<T>> {
        let rows = self.layout.inputs;
        (rows > 0).then(|| self.gather(rows, self.layout.input()))
    }

    /// λ_t for all examples, `d_t × N`, for t = 1 ..= layers; none unless a method keeps multipliers.
    ///
    /// # Panics
    /// As [`layer`](Self::layer).
    pub fn multipliers(&self, t: usize) -> Option<DMatrix<T>> {
        self.layout.multipliers.then(|| self.gather_layer(t, Layout::multiplier))
    }

    fn gather_layer(&self, t: usize, part: fn(&Layout, usize) -> Range<usize>) -> DMatrix<T> {
        assert!((1..=self.layers()).contains(&t), "hidden layers are 1..={}, found {t}", self.layers());
        self.gather(self.layout.height(t), part(&self.layout, t))
    }

    #[expect(clippy::indexing_slicing, reason = "the layout says where in a record a part lies")]
    fn gather(&self, rows: usize, bytes: Range<usize>) -> DMatrix<T> {
        let mut all = DMatrix::zeros(rows, self.examples);
        for (out, record) in all.as_mut_slice().chunks_exact_mut(rows).zip(self.records()) {
            self.layout.storage.decode(&record[bytes.clone()], out);
        }
        all
    }

    /// The whole stored state of one example, layer after layer.
    ///
    /// # Panics
    /// When there is no such example.
    #[expect(clippy::indexing_slicing, reason = "panics as documented")]
    pub fn example(&self, index: usize) -> Vec<T> {
        assert!(index < self.examples, "examples are 0..{}, found {index}", self.examples);
        let len = self.layout.record();
        let record = &self.data[index * len..][..len];
        let mut all = vec![T::zero(); self.rows()];
        let mut rest = &mut all[..];
        for t in 1..=self.layers() {
            let (own, above) = rest.split_at_mut(self.layout.height(t));
            self.layout.storage.decode(&record[self.layout.activation(t)], own);
            rest = above;
        }
        all
    }

    /// How many activation steps each example has taken; 0 for one that was never visited.
    pub fn steps(&self) -> Vec<u64> {
        self.records().map(|record| column::count(record, 0)).collect()
    }

    /// The parameter update ([`DecoupledNetwork::updates`](crate::DecoupledNetwork::updates)) that each example's last visit
    /// led to; 0 for one that was never visited.
    pub fn visited_at(&self) -> Vec<u64> {
        self.records().map(|record| column::count(record, 1)).collect()
    }

    /// Every example's column, to be dealt out to the batches of an epoch.
    pub(crate) fn columns_mut(&mut self) -> impl Iterator<Item = Column<'_, T>> {
        let layout = &self.layout;
        self.data.chunks_exact_mut(layout.record()).map(|record| Column::new(layout, record))
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.data.chunks_exact(self.layout.record())
    }
}
