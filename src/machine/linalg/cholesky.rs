//! Cholesky factorisation in blocks, and solutions by it in parallel, in `f64`.

use super::{Onto, Strided, StridedMut, axpy, gemm};
use crate::Result;
use crate::machine::parallel::{Chunks, for_row};

/// Columns that are worked on one by one between two products.
const BLOCK: usize = 64;

/// A = L·Lᵀ for a symmetric positive definite A, in blocks of columns, so that nearly all of the work is in products.
///
/// In double precision whatever the network's own: a Gram matrix squares the condition of its data.
#[derive(Debug)]
pub(crate) struct Cholesky<'a> {
    size: usize,
    /// L on and below the diagonal of a `size × size` matrix; what stands above is of no meaning.
    factor: &'a [f64],
}

/// Rows of a right-hand side that are solved for together, on a thread of their own.
const BAND: usize = 256;

/// The bands of a right-hand side `rows × size` for [`Cholesky::solve_right`]: as many rows of it as in any but the last,
/// column after column. Each with the number of its first row, and its rows.
pub(crate) fn bands(b: &mut [f64], size: usize) -> impl Iterator<Item = (usize, usize, &mut [f64])> {
    b.chunks_mut(BAND * size).enumerate().map(move |(i, band)| (i * BAND, band.len() / size, band))
}

impl<'a> Cholesky<'a> {
    /// Factors A in its place, of which only what stands on and below the diagonal is read, column after column.
    ///
    /// # Errors
    /// The first row whose pivot is not above `tolerance` times its diagonal entry: A is not positive definite there, or cannot
    /// be told from such a matrix.
    pub(crate) fn new(a: &'a mut [f64], size: usize, tolerance: f64) -> std::result::Result<Self, usize> {
        assert_eq!(a.len(), size * size, "entries of a square matrix");
        for first in (0..size).step_by(BLOCK) {
            let cols = BLOCK.min(size - first);
            let rows = size - first;
            // What stands on the diagonal before anything is subtracted.
            let mut diagonal = [0.0; BLOCK];
            diagonal.iter_mut().zip(a[first * size + first..].iter().step_by(size + 1)).for_each(|(d, &a)| *d = a);
            let (left, right) = a.split_at_mut(first * size);
            if first > 0 {
                let below = Strided { data: &left[first..], rows, cols: first, row_stride: 1, col_stride: size };
                let beside = Strided { rows: cols, ..below }.transpose();
                let out = StridedMut { data: &mut right[first..], rows, cols, col_stride: size };
                gemm(below, beside, out, Onto::Subtract);
            }
            for j in 0..cols {
                let (done, column) = right.split_at_mut(j * size);
                let column = &mut column[first + j..size];
                for done in done.chunks_exact(size) {
                    let done = &done[first + j..];
                    axpy(-done[0], done, column);
                }
                let pivot = column[0];
                // Written so that a NaN is refused.
                if !(pivot > tolerance * diagonal[j] && pivot.is_finite()) {
                    return Err(first + j);
                }
                let scale = pivot.sqrt().recip();
                column.iter_mut().for_each(|x| *x *= scale);
            }
        }
        Ok(Self { size, factor: a })
    }

    /// B ← B·A⁻¹, with B `rows × size`, in [`bands`].
    pub(crate) fn solve_right(&self, b: &mut [f64]) -> Result<()> {
        for_row(Chunks { slice: b, width: BAND * self.size }, |_, band| {
            self.solve_band(band);
            Ok(())
        })
    }

    fn solve_band(&self, b: &mut [f64]) {
        let (n, rows) = (self.size, b.len() / self.size);
        assert_eq!(b.len(), rows * n, "entries of a right-hand side");
        let l = |i: usize, j: usize| self.factor[i + j * n];
        // Y·Lᵀ = B, from the left.
        for first in (0..n).step_by(BLOCK) {
            let cols = BLOCK.min(n - first);
            let (done, rest) = b.split_at_mut(first * rows);
            let block = &mut rest[..cols * rows];
            if first > 0 {
                let done = Strided { data: done, rows, cols: first, row_stride: 1, col_stride: rows };
                let beside = Strided { data: &self.factor[first..], rows: first, cols, row_stride: n, col_stride: 1 };
                gemm(done, beside, StridedMut { data: block, rows, cols, col_stride: rows }, Onto::Subtract);
            }
            for j in 0..cols {
                let (done, column) = block.split_at_mut(j * rows);
                let column = &mut column[..rows];
                for (k, done) in done.chunks_exact(rows).enumerate() {
                    axpy(-l(first + j, first + k), done, column);
                }
                let scale = l(first + j, first + j).recip();
                column.iter_mut().for_each(|x| *x *= scale);
            }
        }
        // X·L = Y, from the right.
        for first in (0..n).step_by(BLOCK).rev() {
            let cols = BLOCK.min(n - first);
            let (rest, done) = b.split_at_mut((first + cols) * rows);
            let block = &mut rest[first * rows..];
            let below = n - first - cols;
            if below > 0 {
                let done = Strided { data: done, rows, cols: below, row_stride: 1, col_stride: rows };
                let data = &self.factor[first * n + first + cols..];
                let factor = Strided { data, rows: below, cols, row_stride: 1, col_stride: n };
                gemm(done, factor, StridedMut { data: block, rows, cols, col_stride: rows }, Onto::Subtract);
            }
            for j in (0..cols).rev() {
                let (column, done) = block[j * rows..].split_at_mut(rows);
                for (k, done) in done.chunks_exact(rows).enumerate() {
                    axpy(-l(first + j + 1 + k, first + j), done, column);
                }
                let scale = l(first + j, first + j).recip();
                column.iter_mut().for_each(|x| *x *= scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;
    use rand::RngExt;

    use super::*;
    use crate::machine::random::{Purpose, stream};

    #[test]
    fn systems_are_solved_like_by_elimination_whatever_the_number_of_blocks() {
        let mut rng = stream(1, Purpose::Probe, 0, 0);
        for n in [1, 2, 5, 63, 64, 65, 129, 200] {
            for rows in [1, 7, 300] {
                let root = DMatrix::from_fn(n, n, |_, _| rng.random::<f64>() - 0.5);
                let a = &root * root.transpose() + DMatrix::identity(n, n) * 0.1;
                let b = DMatrix::from_fn(rows, n, |_, _| rng.random::<f64>() - 0.5);
                // Nothing above the diagonal may be read.
                let lower = DMatrix::from_fn(n, n, |i, j| if i >= j { a[(i, j)] } else { f64::NAN });
                let mut lower = lower.as_slice().to_vec();
                let factor = Cholesky::new(&mut lower, n, 1e-15).unwrap();
                let mut banded = vec![f64::NAN; rows * n];
                for (first, height, band) in bands(&mut banded, n) {
                    band.copy_from_slice(b.rows(first, height).into_owned().as_slice());
                }
                factor.solve_right(&mut banded).unwrap();
                let mut found = DMatrix::zeros(rows, n);
                for (first, height, band) in bands(&mut banded, n) {
                    found.rows_mut(first, height).copy_from(&DMatrix::from_column_slice(height, n, band));
                }
                let expected = a.clone().lu().solve(&b.transpose()).unwrap().transpose();
                let gap = (found - &expected).amax();
                assert!(gap < 1e-10 * expected.amax().max(1.0), "{n}, {rows}: {gap:e}");
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused_at_its_row() {
        let diagonal = |n: usize, bad: usize, value: f64| {
            let mut a = vec![0.0; n * n];
            (0..n).for_each(|i| a[i + i * n] = if i == bad { value } else { 1.0 });
            a
        };
        for (n, bad) in [(1, 0), (70, 3), (70, 69)] {
            for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
                assert_eq!(Cholesky::new(&mut diagonal(n, bad, value), n, 1e-15).unwrap_err(), bad);
            }
        }
        // Two equal rows: the second pivot is 0, or rounding noise.
        assert_eq!(Cholesky::new(&mut [0.1; 4], 2, 1e-15).unwrap_err(), 1);
    }
}
