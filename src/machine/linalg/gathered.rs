//! Products with a matrix that is gathered from data where they lie, as the patches of pictures are, and never copied.

use std::array::from_fn;

use super::{Onto, dispatch};
use crate::{MatMut, MatRef, Scalar};

/// The matrix G, `rows × cols`: entry (k, j) is `data[rows[k] + cols[j]]`.
#[derive(Clone, Copy)]
pub(crate) struct Gathered<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: &'a [usize],
    pub(crate) cols: &'a [usize],
}

/// Returns `rows` rounded up to whole vectors, the height of A and C; 1 for a single row. Saturates.
pub(crate) fn rows_for(rows: usize) -> usize {
    if rows == 1 { 1 } else { rows.checked_next_multiple_of(ROWS).unwrap_or(usize::MAX) }
}

/// The most numbers of a vector.
const ROWS: usize = 16;
/// Columns of a single row that are summed at a time.
const COLUMNS: usize = 8;

impl<T: Scalar> Gathered<'_, T> {
    /// C = A·G, with A `m × rows`, C `m × cols`, and m by [`rows_for`].
    pub(crate) fn product(self, a: MatRef<'_, T>, c: MatMut<'_, T>) {
        self.put_product(a, c, Onto::Replace);
    }

    /// C += A·G, with the same shapes.
    pub(crate) fn add_product(self, a: MatRef<'_, T>, c: MatMut<'_, T>) {
        self.put_product(a, c, Onto::Add);
    }

    fn put_product(self, a: MatRef<'_, T>, mut c: MatMut<'_, T>, onto: Onto) {
        assert_eq!((a.cols(), self.cols.len()), (self.rows.len(), c.cols()), "shape of a gathered product");
        assert_eq!((a.rows(), c.rows()), (c.rows(), rows_for(a.rows())), "rows of a gathered product");
        #[cfg(feature = "simd")]
        if a.rows() > 1 && kernel::is_there() {
            return T::take_gathered(kernel::Product { a, g: self, c, onto });
        }
        if onto == Onto::Replace {
            c.as_mut_slice().fill(T::zero());
        }
        if a.rows() == 1 {
            return dispatch(
                #[inline(always)]
                || self.add_row(a.as_slice(), c.into_mut_slice()),
            );
        }
        self.add_columns(a, c);
    }

    fn add_columns(self, a: MatRef<'_, T>, mut c: MatMut<'_, T>) {
        for (c, &col) in c.columns_mut().zip(self.cols) {
            for (a, &row) in a.columns().zip(self.rows) {
                super::axpy(self.data[row + col], a, c);
            }
        }
    }

    /// The same for a single row, with vectors along runs of G: several neighbours in a row or a column that lie side by side.
    #[inline(always)]
    fn add_row(self, a: &[T], c: &mut [T]) {
        let Self { data, rows, cols } = self;
        if rows.len() < cols.len() {
            let mut first = 0;
            while first < cols.len() {
                let run = run(&cols[first..]);
                let c = &mut c[first..first + run];
                let mut sums = [T::zero(); ROWS];
                sums[..run].copy_from_slice(c);
                for (&a, &row) in a.iter().zip(rows) {
                    add_multiple(a, &data[row + cols[first]..][..run], &mut sums);
                }
                c.copy_from_slice(&sums[..run]);
                first += run;
            }
        } else {
            for (c, cols) in c.chunks_mut(COLUMNS).zip(cols.chunks(COLUMNS)) {
                let mut sums = [[T::zero(); ROWS]; COLUMNS];
                let mut first = 0;
                while first < rows.len() {
                    let run = run(&rows[first..]);
                    for (sums, &col) in sums.iter_mut().zip(cols) {
                        add_products(&a[first..first + run], &data[rows[first] + col..][..run], sums);
                    }
                    first += run;
                }
                c.iter_mut().zip(sums).for_each(|(c, sums)| *c += sums.into_iter().sum());
            }
        }
    }
}

/// Returns how many places from the first on are neighbours, up to a vector.
#[inline(always)]
fn run(places: &[usize]) -> usize {
    let first = places[0];
    if places.len() >= ROWS && places[ROWS - 1] == first + ROWS - 1 {
        return ROWS;
    }
    places.iter().take(ROWS - 1).zip(first..).take_while(|(place, next)| *place == next).count()
}

/// y ← y + α·x, as far as x goes. A loop over a whole vector is compiled without a branch.
#[inline(always)]
fn add_multiple<T: Scalar>(alpha: T, x: &[T], y: &mut [T; ROWS]) {
    match x.as_array::<ROWS>() {
        Some(x) => y.iter_mut().zip(x).for_each(|(y, x)| *y += alpha * *x),
        None => y.iter_mut().zip(x).for_each(|(y, x)| *y += alpha * *x),
    }
}

/// y ← y + a ⊙ b, as far as these go.
#[inline(always)]
fn add_products<T: Scalar>(a: &[T], b: &[T], y: &mut [T; ROWS]) {
    match a.as_array::<ROWS>().zip(b.as_array::<ROWS>()) {
        Some((a, b)) => y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y += *a * *b),
        None => y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y += *a * *b),
    }
}

/// Rows and columns that are transposed at a time.
const BLOCK: usize = 4;

/// Writes the transpose of the first `rows` rows of a matrix: row i of it from `to[i · stride]` on.
pub(crate) fn transpose<T: Scalar>(from: MatRef<'_, T>, rows: usize, to: &mut [T], stride: usize) {
    dispatch(
        #[inline(always)]
        || transpose_blocks(from, rows, to, stride),
    );
}

#[inline(always)]
fn transpose_blocks<T: Scalar>(from: MatRef<'_, T>, rows: usize, to: &mut [T], stride: usize) {
    let (height, cols, from) = (from.rows(), from.cols(), from.as_slice());
    let whole = |len: usize| len / BLOCK * BLOCK;
    for top in (0..whole(rows)).step_by(BLOCK) {
        for left in (0..whole(cols)).step_by(BLOCK) {
            let columns: [&[T]; BLOCK] = from_fn(|j| &from[(left + j) * height + top..][..BLOCK]);
            for i in 0..BLOCK {
                to[(top + i) * stride + left..][..BLOCK].copy_from_slice(&columns.map(|column| column[i]));
            }
        }
    }
    for i in 0..rows {
        let left = if i < whole(rows) { whole(cols) } else { 0 };
        for j in left..cols {
            to[i * stride + j] = from[j * height + i];
        }
    }
}

#[cfg(feature = "simd")]
pub(super) mod kernel {
    use std::array::from_fn;

    use pulp::{Arch, Simd, WithSimd};

    use super::{Gathered, Onto};
    use crate::machine::linalg::product::{lanes, store};
    use crate::{MatMut, MatRef, Scalar};

    pub(super) fn is_there() -> bool {
        !matches!(Arch::new(), Arch::Scalar)
    }

    /// C = A·G or C += A·G. Vectors go down the columns of A and C; an entry of G is at hand as a factor, from wherever it lies.
    pub(in crate::machine::linalg) struct Product<'a, T> {
        pub(super) a: MatRef<'a, T>,
        pub(super) g: Gathered<'a, T>,
        pub(super) c: MatMut<'a, T>,
        pub(super) onto: Onto,
    }

    impl<T: Scalar> WithSimd for Product<'_, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, simd: S) {
            let one = lanes::<T, S>();
            let mut first = 0;
            while first < self.a.rows() {
                // Twelve vectors of sums either way, which hide how long one multiplication takes.
                if self.a.rows() - first >= 2 * one {
                    self.strip::<S, 2, 6>(simd, first);
                    first += 2 * one;
                } else {
                    self.strip::<S, 1, 6>(simd, first);
                    first += one;
                }
            }
        }
    }

    impl<T: Scalar> Product<'_, T> {
        /// V vectors of rows of all columns.
        #[inline(always)]
        fn strip<S: Simd, const V: usize, const N: usize>(&mut self, simd: S, first: usize) {
            let cols = self.g.cols.len();
            let mut col = 0;
            while col + N <= cols {
                self.tile::<S, V, N>(simd, first, col);
                col += N;
            }
            while col + 2 <= cols {
                self.tile::<S, V, 2>(simd, first, col);
                col += 2;
            }
            if col < cols {
                self.tile::<S, V, 1>(simd, first, col);
            }
        }

        /// V vectors of rows of N columns.
        #[inline(always)]
        fn tile<S: Simd, const V: usize, const N: usize>(&mut self, simd: S, first: usize, col: usize) {
            let (Gathered { data, rows, cols }, height, len) = (self.g, self.a.rows(), V * lanes::<T, S>());
            let columns: [&[T]; N] = from_fn(|n| &data[cols[col + n]..]);
            let mut sums = [[T::all(simd, T::zero()); V]; N];
            for (a, &row) in self.a.as_slice().chunks_exact(height).zip(rows) {
                let vectors = T::cut::<S>(&a[first..first + len]);
                let vectors: [T::Of<S>; V] = from_fn(|v| vectors[v]);
                for (sums, column) in sums.iter_mut().zip(columns) {
                    let factor = T::all(simd, column[row]);
                    for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                        *sum = T::fused(simd, vector, factor, *sum);
                    }
                }
            }
            for (n, sums) in sums.into_iter().enumerate() {
                let c = &mut self.c.as_mut_slice()[(col + n) * height + first..][..len];
                store(simd, sums, c, self.onto);
            }
        }
    }
}
