//! Borrowed matrices, and buffers whose lack of memory is an error.

use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut};

use crate::machine::linalg::all_finite;
use crate::{Error, Result, Scalar};

/// A borrowed, contiguous, column-major matrix; in this crate **columns are examples**.
///
/// A nalgebra view hides whether its columns touch, so neither a transposed product nor one pass over all
/// entries can be had from it without `unsafe`. This view owns up to its slice; [`view`](Self::view) gives
/// nalgebra's algebra back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
}

/// The mutable twin of [`MatRef`].
#[derive(Debug, PartialEq)]
pub struct MatMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
}

impl<'a, T> MatRef<'a, T> {
    /// A `rows × cols` matrix over `data`, column after column.
    ///
    /// # Panics
    /// When `data.len() != rows · cols`.
    #[inline]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert!(fits(data.len(), rows, cols), "a {rows} × {cols} matrix of {} entries", data.len());
        Self { data, rows, cols }
    }

    /// Number of rows: the width of the layer.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns: the examples.
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All entries, column after column.
    #[inline]
    pub fn as_slice(&self) -> &'a [T] {
        self.data
    }

    /// Column `j`, one example.
    ///
    /// # Panics
    /// When `j ≥ cols`.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "panics as documented")]
    pub fn column(&self, j: usize) -> &'a [T] {
        assert!(j < self.cols, "columns are 0..{}, found {j}", self.cols);
        &self.data[j * self.rows..(j + 1) * self.rows]
    }

    /// The columns in order.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "columns below their number")]
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &'a [T]> + use<'a, T> {
        let (data, rows) = (self.data, self.rows);
        (0..self.cols).map(move |j| &data[j * rows..(j + 1) * rows])
    }

    /// Blocks of `cols` columns in order, the last perhaps of fewer.
    pub(crate) fn blocks(&self, cols: usize) -> impl Iterator<Item = Self> + use<'a, T> {
        let (data, rows) = (self.data, self.rows);
        data.chunks((rows * cols).max(1)).map(move |block| Self { data: block, rows, cols: block.len() / rows })
    }

    /// The same matrix for nalgebra.
    #[inline]
    pub fn view(&self) -> DMatrixView<'a, T>
    where
        T: nalgebra::Scalar,
    {
        DMatrixView::from_slice(self.data, self.rows, self.cols)
    }
}

impl<'a, T: nalgebra::Scalar> From<&'a DMatrix<T>> for MatRef<'a, T> {
    fn from(matrix: &'a DMatrix<T>) -> Self {
        Self::new(matrix.as_slice(), matrix.nrows(), matrix.ncols())
    }
}

/// One example: a column of these entries.
impl<'a, T> From<&'a [T]> for MatRef<'a, T> {
    fn from(example: &'a [T]) -> Self {
        Self::new(example, example.len(), 1)
    }
}

impl<'a, T> MatMut<'a, T> {
    /// A mutable `rows × cols` matrix over `data`, column after column.
    ///
    /// # Panics
    /// When `data.len() != rows · cols`.
    #[inline]
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        assert!(fits(data.len(), rows, cols), "a {rows} × {cols} matrix of {} entries", data.len());
        Self { data, rows, cols }
    }

    /// Number of rows: the width of the layer.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns: the examples.
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All entries, column after column.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.data
    }

    /// All entries, for as long as the matrix was lent.
    #[inline]
    pub fn into_mut_slice(self) -> &'a mut [T] {
        self.data
    }

    /// Column `j`, one example.
    ///
    /// # Panics
    /// When `j ≥ cols`.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "panics as documented")]
    pub fn column_mut(&mut self, j: usize) -> &mut [T] {
        assert!(j < self.cols, "columns are 0..{}, found {j}", self.cols);
        &mut self.data[j * self.rows..(j + 1) * self.rows]
    }

    /// The columns in order.
    #[inline]
    pub fn columns_mut(&mut self) -> impl Iterator<Item = &mut [T]> {
        let rows = self.rows;
        // A matrix without rows has no entries, so a chunk length of 1 yields no column either way.
        self.data.chunks_exact_mut(rows.max(1))
    }

    /// Blocks of `cols` columns in order, the last perhaps of fewer.
    pub(crate) fn blocks_mut(&mut self, cols: usize) -> impl Iterator<Item = MatMut<'_, T>> {
        let rows = self.rows;
        self.data.chunks_mut((rows * cols).max(1)).map(move |data| {
            let cols = data.len() / rows;
            MatMut { data, rows, cols }
        })
    }

    /// A read-only view of the same entries.
    #[inline]
    pub fn as_ref(&self) -> MatRef<'_, T> {
        MatRef { data: self.data, rows: self.rows, cols: self.cols }
    }

    /// The same view for a shorter time, to lend it on.
    #[inline]
    pub fn reborrow(&mut self) -> MatMut<'_, T> {
        MatMut { data: self.data, rows: self.rows, cols: self.cols }
    }

    /// The same matrix for nalgebra.
    #[inline]
    pub fn view_mut(&mut self) -> DMatrixViewMut<'_, T>
    where
        T: nalgebra::Scalar,
    {
        DMatrixViewMut::from_slice(self.data, self.rows, self.cols)
    }
}

#[inline]
fn fits(len: usize, rows: usize, cols: usize) -> bool {
    rows.checked_mul(cols) == Some(len)
}

/// `len` times `value`, where so much memory can be had.
pub(crate) fn filled<T: Copy>(what: &'static str, len: usize, value: T) -> Result<Vec<T>> {
    let mut buffer = Vec::new();
    resize(what, &mut buffer, len, value)?;
    Ok(buffer)
}

/// Makes a buffer `len` long, with `value` where it is new, where so much memory can be had.
pub(crate) fn resize<T: Copy>(what: &'static str, buffer: &mut Vec<T>, len: usize, value: T) -> Result<()> {
    let bytes = len as u128 * size_of::<T>() as u128;
    let more = len.saturating_sub(buffer.len());
    buffer.try_reserve_exact(more).map_err(|_| Error::OutOfMemory { what, bytes })?;
    buffer.resize(len, value);
    Ok(())
}

/// Fails unless two lengths agree.
pub(crate) fn check_shape(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::Shape { what, expected, found }) }
}

/// Fails at the first entry that is NaN or infinite.
pub(crate) fn check_finite<T: Scalar>(what: &'static str, m: MatRef<'_, T>) -> Result<()> {
    if all_finite(m.as_slice()) {
        return Ok(());
    }
    let mut values = m.as_slice().iter().map(|x| x.to_f64()).enumerate();
    let (bad, value) = values.find(|(_, x)| !x.is_finite()).unwrap_or_default();
    Err(Error::NotFinite { what, example: bad / m.rows(), row: bad % m.rows(), value })
}

/// Fails when a number of a layer is NaN or infinite; the epoch is for the caller to fill in.
pub(crate) fn check_diverged<T: Scalar>(values: &[T], layer: usize, quantity: &'static str) -> Result<()> {
    if all_finite(values) { Ok(()) } else { Err(Error::Diverged { layer, epoch: 0, quantity }) }
}
