//! The products and reductions, and the only file that picks a kernel.
//!
//! A product goes to our own kernel in `product` where that is faster, and else to matrixmultiply through nalgebra's `gemm` on
//! strided views; to the latter always without the feature `simd`. nalgebra's own transposed products never reach a blocked
//! kernel, and its `gemm` reads out of bounds when a view has a row stride other than 1 and a dimension of at most 5
//! (dimforge/nalgebra issue 1616), so such thin products are spelled out here.

#[expect(clippy::indexing_slicing, reason = "a square matrix, as asserted at the door")]
mod cholesky;
#[expect(clippy::indexing_slicing, reason = "shapes are asserted at the door")]
mod elimination;
pub(crate) mod functions;
#[expect(clippy::indexing_slicing, reason = "entries that the offsets reach")]
mod gathered;
pub(crate) mod matrix;
#[cfg(feature = "simd")]
#[expect(clippy::indexing_slicing, reason = "tiles are cut to the shapes that `gemm` was given")]
mod product;
pub(crate) mod scalar;
mod simd;

pub(crate) use cholesky::{Cholesky, bands};
pub(crate) use elimination::solve;
pub(crate) use functions::Precision;
pub(crate) use gathered::{Gathered, rows_for, transpose};
#[cfg(feature = "simd")]
pub(crate) use product::Vectors;
pub(crate) use simd::{dispatch, dispatch_from};

use nalgebra::{DMatrixView, DMatrixViewMut, Dyn};

use crate::machine::parallel::{Chunks, for_row};
use crate::{MatMut, MatRef, Scalar};

/// nalgebra falls back to column-by-column kernels up to this dimension.
const THIN: usize = 5;

/// A matrix in memory, perhaps transposed: entry (i, j) is `data[i · row_stride + j · col_stride]`.
#[derive(Clone, Copy)]
struct Strided<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T: Scalar> Strided<'a, T> {
    fn plain(m: MatRef<'a, T>) -> Self {
        Self { data: m.as_slice(), rows: m.rows(), cols: m.cols(), row_stride: 1, col_stride: m.rows() }
    }

    fn transposed(m: MatRef<'a, T>) -> Self {
        Self::plain(m).transpose()
    }

    fn transpose(self) -> Self {
        let Self { data, rows, cols, row_stride, col_stride } = self;
        Self { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }

    /// Without the rows above `row`.
    #[expect(clippy::indexing_slicing, reason = "a row of the matrix")]
    fn without_rows_above(self, row: usize) -> Self {
        Self { data: &self.data[row * self.row_stride..], rows: self.rows - row, ..self }
    }

    fn view(self) -> DMatrixView<'a, T, Dyn, Dyn> {
        DMatrixView::from_slice_with_strides(self.data, self.rows, self.cols, self.row_stride, self.col_stride)
    }

    #[expect(clippy::indexing_slicing, reason = "an entry of the matrix")]
    fn at(&self, i: usize, j: usize) -> T {
        self.data[i * self.row_stride + j * self.col_stride]
    }
}

/// A part of a matrix in memory to write to: entry (i, j) is `data[i + j · col_stride]`.
struct StridedMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    col_stride: usize,
}

impl<'a, T> StridedMut<'a, T> {
    fn plain(m: MatMut<'a, T>) -> Self {
        let (rows, cols) = (m.rows(), m.cols());
        Self { data: m.into_mut_slice(), rows, cols, col_stride: rows }
    }
}

/// C = A·B, with A `m × k`, B `k × n`, C `m × n`.
///
/// # Panics
/// When the shapes do not fit; so do all products here.
pub fn matmul<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: MatMut<'_, T>) {
    assign(Strided::plain(a), Strided::plain(b), c);
}

/// C = Aᵀ·B, with A `k × m`, B `k × n`, C `m × n`.
pub fn matmul_tn<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: MatMut<'_, T>) {
    assign(Strided::transposed(a), Strided::plain(b), c);
}

/// C = A·Bᵀ, with A `m × k`, B `n × k`, C `m × n`.
pub fn matmul_nt<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: MatMut<'_, T>) {
    assign(Strided::plain(a), Strided::transposed(b), c);
}

/// C += A·B, with A `m × k`, B `k × n`, C `m × n`.
pub(crate) fn add_matmul<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: MatMut<'_, T>) {
    gemm(Strided::plain(a), Strided::plain(b), StridedMut::plain(c), Onto::Add);
}

/// C −= A·B, with A `m × k`, B `k × n`, C `m × n`.
pub(crate) fn subtract_matmul<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: MatMut<'_, T>) {
    gemm(Strided::plain(a), Strided::plain(b), StridedMut::plain(c), Onto::Subtract);
}

/// Columns of a sum over examples that are computed at a time.
const WIDE_PANEL: usize = 384;

/// C += A·Bᵀ, with A `m × k`, B `n × k`, C `m × n`; panels of it on threads of their own.
pub(crate) fn add_matmul_nt<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: MatMut<'_, T>) {
    let (m, n) = (c.rows(), c.cols());
    assert_eq!((a.rows(), b.rows()), (m, n), "shape of a product");
    for_panels(c.into_mut_slice(), m, WIDE_PANEL, |first, data| {
        let cols = data.len() / m;
        let beside = Strided { rows: cols, ..Strided::plain(b).without_rows_above(first) };
        gemm(Strided::plain(a), beside.transpose(), StridedMut { data, rows: m, cols, col_stride: m }, Onto::Add);
    });
}

/// Columns of a symmetric matrix that are computed at a time.
const PANEL: usize = 128;

/// C += A·Aᵀ on and below the diagonal, with A `m × k`, C `m × m`; some entries above it change as well. Panels of it on
/// threads of their own.
pub(crate) fn add_gram<T: Scalar>(a: MatRef<'_, T>, c: MatMut<'_, T>) {
    let m = a.rows();
    assert_eq!((m, m), (c.rows(), c.cols()), "shape of a product");
    for_panels(c.into_mut_slice(), m, PANEL, |first, data| {
        let cols = data.len() / m;
        let panel = Strided::plain(a).without_rows_above(first);
        let out = StridedMut { data: data.split_at_mut(first).1, rows: m - first, cols, col_stride: m };
        gemm(panel, Strided { rows: cols, ..panel }.transpose(), out, Onto::Add);
    });
}

/// Calls `f`, perhaps at the same time, with so many columns of a matrix with so many rows, and the first one's number.
fn for_panels<T: Scalar>(matrix: &mut [T], rows: usize, cols: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let panels = Chunks { slice: matrix, width: rows * cols };
    let done = for_row(panels, |i, panel| {
        f(i * cols, panel);
        Ok(())
    });
    debug_assert!(done.is_ok(), "nothing here fails");
}

fn assign<T: Scalar>(a: Strided<'_, T>, b: Strided<'_, T>, c: MatMut<'_, T>) {
    gemm(a, b, StridedMut::plain(c), Onto::Replace);
}

/// What becomes of what C held.
#[derive(Clone, Copy, PartialEq)]
enum Onto {
    Replace,
    Add,
    Subtract,
}

impl Onto {
    /// What becomes of one entry of C.
    #[cfg(feature = "simd")]
    #[inline(always)]
    fn put<T: Scalar>(self, c: &mut T, value: T) {
        match self {
            Self::Replace => *c = value,
            Self::Add => *c += value,
            Self::Subtract => *c -= value,
        }
    }

    /// The sign of A·B.
    fn sign<T: Scalar>(self) -> T {
        if self == Self::Subtract { -T::one() } else { T::one() }
    }
}

/// C ← A·B, C ← C + A·B or C ← C − A·B.
fn gemm<T: Scalar>(a: Strided<'_, T>, b: Strided<'_, T>, c: StridedMut<'_, T>, onto: Onto) {
    assert_eq!(a.cols, b.rows, "inner dimensions of a product");
    assert_eq!((a.rows, b.cols), (c.rows, c.cols), "shape of a product");
    #[cfg(feature = "simd")]
    if product::is_faster(&a, &b) {
        return T::take(product::Product { a, b, c, onto });
    }
    if a.rows.min(a.cols).min(b.cols) <= THIN {
        return thin(a, b, c, onto);
    }
    let mut c = DMatrixViewMut::from_slice_with_strides_mut(c.data, c.rows, c.cols, 1, c.col_stride);
    let keep = if onto == Onto::Replace { T::zero() } else { T::one() };
    c.gemm(onto.sign(), &a.view(), &b.view(), keep);
}

#[expect(clippy::indexing_slicing, reason = "columns of the matrices")]
fn thin<T: Scalar>(a: Strided<'_, T>, b: Strided<'_, T>, c: StridedMut<'_, T>, onto: Onto) {
    for j in 0..c.cols {
        let c = &mut c.data[j * c.col_stride..][..c.rows];
        if onto == Onto::Replace {
            c.fill(T::zero());
        }
        for k in 0..a.cols {
            let factor = onto.sign::<T>() * b.at(k, j);
            if a.row_stride == 1 {
                axpy(factor, &a.data[k * a.col_stride..][..a.rows], c);
            } else {
                for (i, c) in c.iter_mut().enumerate() {
                    *c += a.at(i, k) * factor;
                }
            }
        }
    }
}

/// y ← y + α·x.
pub(crate) fn axpy<T: Scalar>(alpha: T, x: &[T], y: &mut [T]) {
    dispatch_from(
        y.len(),
        #[inline(always)]
        || {
            for (y, &x) in y.iter_mut().zip(x) {
                *y += alpha * x;
            }
        },
    );
}

/// Multiplies every column by its weight; without weights they stay.
pub(crate) fn scale_columns<T: Scalar>(columns: &mut [T], weights: &[T]) {
    let Some(rows) = columns.len().checked_div(weights.len()).filter(|rows| *rows > 0) else { return };
    for (column, &weight) in columns.chunks_exact_mut(rows).zip(weights) {
        column.iter_mut().for_each(|x| *x *= weight);
    }
}

/// How many partial sums a reduction keeps, so that it vectorises; part of the result's bits.
pub(crate) const LANES: usize = 16;

/// Terms that are added up in `f32`: a sum of millions would lose what is added to it, and at 2²⁴ equal terms stop growing.
const BLOCK: usize = 4096;

/// Σᵢ f(aᵢ, bᵢ), in a fixed order. Narrower numbers than `f64` are added in blocks, and the blocks in `f64`.
#[inline]
pub(crate) fn sum_zip<T: Scalar, S: Scalar>(a: &[T], b: &[T], f: impl Fn(T, T) -> S) -> S {
    assert_eq!(a.len(), b.len(), "lengths of a reduction");
    if size_of::<S>() >= size_of::<f64>() || a.len() <= BLOCK {
        return sum_block(a, b, &f);
    }
    sum(a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(|(a, b)| sum_block(a, b, &f)))
}

/// Σ of terms that are sums themselves, or as many, in `f64`.
pub(crate) fn sum<S: Scalar>(terms: impl Iterator<Item = S>) -> S {
    S::of(terms.map(S::to_f64).sum())
}

/// out ← out + Σ of columns, of `out.len()` rows each; more than a block of them as in [`sum_zip`].
pub(crate) fn add_columns<T: Scalar>(columns: &[T], out: &mut [T]) {
    let rows = out.len().max(1);
    let add = |columns: &[T], out: &mut [T]| columns.chunks_exact(rows).for_each(|x| axpy(T::one(), x, out));
    if size_of::<T>() >= size_of::<f64>() || columns.len() <= BLOCK * rows {
        return add(columns, out);
    }
    let mut sums: Vec<f64> = out.iter().map(|x| x.to_f64()).collect();
    for block in columns.chunks(BLOCK * rows) {
        out.fill(T::zero());
        add(block, out);
        sums.iter_mut().zip(&*out).for_each(|(sum, x)| *sum += x.to_f64());
    }
    out.iter_mut().zip(sums).for_each(|(x, sum)| *x = T::of(sum));
}

/// Σᵢ f(aᵢ, bᵢ), all in `S`.
#[inline(always)]
fn sum_block<T: Scalar, S: Scalar>(a: &[T], b: &[T], f: &impl Fn(T, T) -> S) -> S {
    dispatch_from(
        a.len(),
        #[inline(always)]
        || {
            let mut lanes = [S::zero(); LANES];
            let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
            let tail: S = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(&a, &b)| f(a, b)).sum();
            for (a, b) in a_chunks.zip(b_chunks) {
                for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
                    *lane += f(a, b);
                }
            }
            lanes.into_iter().sum::<S>() + tail
        },
    )
}

/// ‖a‖².
pub(crate) fn norm_squared<T: Scalar>(a: &[T]) -> T {
    sum_zip(a, a, |a, b| a * b)
}

/// Whether no entry is NaN or infinite.
pub(crate) fn all_finite<T: Scalar>(a: &[T]) -> bool {
    // 0·x is 0 for every finite x and NaN otherwise; one vectorised sum instead of a branch an entry.
    sum_zip(a, a, |a, _| a * T::zero()) == T::zero()
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::machine::random::{Purpose, stream};

    #[test]
    fn products_equal_the_definition_for_thin_and_wide_shapes() {
        let mut rng = stream(1, Purpose::Probe, 0, 0);
        let mut draw = |n: usize| (0..n).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<_>>();
        for m in [1, 2, 5, 6, 9, 33, 130] {
            for k in [1, 4, 5, 6, 17, 600] {
                for n in [1, 3, 5, 6, 20, 40] {
                    let (a, b) = (draw(m * k), draw(k * n));
                    let transpose = |x: &[f64], rows: usize, cols: usize| {
                        (0..rows * cols).map(|e| x[(e / cols) + (e % cols) * rows]).collect::<Vec<_>>()
                    };
                    let (at, bt) = (transpose(&a, m, k), transpose(&b, k, n));
                    let mut expected = vec![0.0; m * n];
                    for i in 0..m {
                        for j in 0..n {
                            expected[i + j * m] = (0..k).map(|l| a[i + l * m] * b[l + j * k]).sum();
                        }
                    }
                    let mut found = [f64::NAN, f64::NAN, f64::NAN, 0.0, 0.0].map(|fill| vec![fill; m * n]);
                    let [plain, tn, nt, added, added_nt] = &mut found;
                    matmul(MatRef::new(&a, m, k), MatRef::new(&b, k, n), MatMut::new(plain, m, n));
                    matmul_tn(MatRef::new(&at, k, m), MatRef::new(&b, k, n), MatMut::new(tn, m, n));
                    matmul_nt(MatRef::new(&a, m, k), MatRef::new(&bt, n, k), MatMut::new(nt, m, n));
                    for _ in 0..2 {
                        add_matmul(MatRef::new(&a, m, k), MatRef::new(&b, k, n), MatMut::new(added, m, n));
                        add_matmul_nt(MatRef::new(&a, m, k), MatRef::new(&bt, n, k), MatMut::new(added_nt, m, n));
                    }
                    added.iter_mut().chain(added_nt).for_each(|c| *c /= 2.0);
                    for c in found {
                        for (c, e) in c.iter().zip(&expected) {
                            assert!((c - e).abs() < 1e-13, "{m}×{k}·{k}×{n}: {c} instead of {e}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn sums_over_examples_are_whole_whatever_the_number_of_panels() {
        let (m, n, k) = (300, 800, 7);
        let mut rng = stream(2, Purpose::Probe, 0, 0);
        let mut draw = |n: usize| (0..n).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<_>>();
        let (a, b) = (draw(m * k), draw(n * k));
        let dot = |x: &[f64], rows: usize, i: usize, y: &[f64], cols: usize, j: usize| {
            (0..k).map(|l| x[i + l * rows] * y[j + l * cols]).sum::<f64>()
        };
        let (mut product, mut gram) = (vec![1.0; m * n], vec![1.0; m * m]);
        add_matmul_nt(MatRef::new(&a, m, k), MatRef::new(&b, n, k), MatMut::new(&mut product, m, n));
        add_gram(MatRef::new(&a, m, k), MatMut::new(&mut gram, m, m));
        for i in 0..m {
            for j in 0..n {
                assert!((product[i + j * m] - 1.0 - dot(&a, m, i, &b, n, j)).abs() < 1e-13, "({i}, {j})");
            }
            for j in 0..=i {
                assert!((gram[i + j * m] - 1.0 - dot(&a, m, i, &a, m, j)).abs() < 1e-13, "({i}, {j})");
            }
        }
    }

    #[test]
    fn a_sum_of_no_terms_is_zero() {
        let empty = |rows, cols| MatRef::<f64>::new(&[], rows, cols);
        let mut c = [vec![1.0; 1600], vec![1.0; 1600], vec![1.0; 1600]];
        let [plain, tn, nt] = &mut c;
        matmul(empty(40, 0), empty(0, 40), MatMut::new(plain, 40, 40));
        matmul_tn(empty(0, 40), empty(0, 40), MatMut::new(tn, 40, 40));
        matmul_nt(empty(40, 0), empty(40, 0), MatMut::new(nt, 40, 40));
        assert!(c.iter().flatten().all(|c| *c == 0.0));
    }

    /// In `f32` a sum of tens of millions of ones, or of thirds, would stop at 2²⁴ of them.
    #[test]
    fn sums_of_tens_of_millions_in_single_precision_are_whole() {
        let n = 30_000_000;
        for x in [1.0, 1.0 / 3.0, 1e-30] {
            let all = vec![x; n];
            let expected = n as f64 * f64::from(x);
            let near = |found: f32, bound: f64| (f64::from(found) / expected - 1.0).abs() < bound;
            assert!(near(sum_zip(&all, &all, |x, _| x), 1e-6), "{x}");
            let mut rows = [0f32; 3];
            add_columns(&all, &mut rows);
            // The terms of a block are added one after the other, and each addition may round by ε/2.
            let bound = 0.5 * f64::from(f32::EPSILON) * BLOCK as f64;
            assert!(rows.iter().all(|&row| near(3.0 * row, bound)), "{rows:?}");
        }
        assert_eq!(norm_squared(&vec![1f32; n]), n as f32);
        assert!(all_finite(&vec![1f32; n]));
    }

    #[test]
    fn a_sum_of_one_block_is_that_of_its_lanes_to_the_bit_and_of_more_that_of_the_blocks() {
        let values = |n: usize| (0..n).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>();
        let few = values(BLOCK);
        assert_eq!(sum_zip(&few, &few, |x, _| x), sum_block(&few, &few, &|x, _| x));
        let many: Vec<f64> = values(3 * BLOCK + 5).into_iter().map(f64::from).collect();
        assert_eq!(sum_zip(&many, &many, |x, _| x), sum_block(&many, &many, &|x, _| x));
    }

    #[test]
    fn a_single_nan_or_infinity_is_found_anywhere() {
        for n in [1, 15, 16, 40] {
            let mut a = vec![f32::MAX; n];
            assert!(all_finite(&a));
            for i in 0..n {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    a[i] = bad;
                    assert!(!all_finite(&a));
                }
                a[i] = -1.0;
            }
        }
    }
}
