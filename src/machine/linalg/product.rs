//! C ← A·B, C + A·B or C − A·B, tile by tile in the processor's vector registers.
//!
//! A tile of C is a few vectors high and a few columns wide, and is summed where it stays, in registers. Where the larger factor is
//! the weights of a layer it is read where it lies, since a batch is too narrow to pay for a copy. Goto and van de Geijn (2008),
//! *Anatomy of high-performance matrix multiplication*, ACM TOMS 34(3), says what the tiles are good for.

use std::array::from_fn;
use std::cell::RefCell;

use pulp::{Arch, Simd, WithSimd};

use super::gathered::kernel::Product as Gathered;
use super::{Onto, Strided, StridedMut};
use crate::Scalar;

/// Terms of a sum that are taken before C is written: what a tile reads for them stays in the nearest caches.
const DEPTH: usize = 512;
/// Most numbers in the rows of a tile: two vectors of AVX-512.
const HEIGHT: usize = 32;
/// Columns of a tile; 12 vectors of sums hide how long one multiplication takes. What is left over is cut into 4, 2 and 1.
const WIDTH: usize = 6;
/// A product whose three sides are all longer uses every entry so often that a copy of it always pays.
const OFTEN: usize = 128;
/// Rows or columns of C that are too few for a copy of the factor they share to pay.
const FEW: usize = 16;
/// Bytes of a matrix that is still near the processor when training comes back to it.
const NEAR: usize = 1 << 18;
/// Rows of C that are put down side by side before they are turned.
const TURNED: usize = 96;
/// Entries of a line that are turned before the next line's, so that what they go to stays in the nearest cache.
const CORNER: usize = 16;

/// What a number type brings to the product: its vectors on the processor S.
pub trait Vectors: Copy + Default + 'static {
    /// A vector of numbers.
    type Of<S: Simd>: Copy;
    /// The numbers as vectors, without those that are left over.
    fn cut<S: Simd>(numbers: &[Self]) -> &[Self::Of<S>];
    /// The same for writing.
    fn cut_mut<S: Simd>(numbers: &mut [Self]) -> &mut [Self::Of<S>];
    /// A vector of one value.
    fn all<S: Simd>(simd: S, value: Self) -> Self::Of<S>;
    /// a·b + c, rounded once.
    fn fused<S: Simd>(simd: S, a: Self::Of<S>, b: Self::Of<S>, c: Self::Of<S>) -> Self::Of<S>;
    /// a + b.
    fn plus<S: Simd>(simd: S, a: Self::Of<S>, b: Self::Of<S>) -> Self::Of<S>;
    /// a − b.
    fn minus<S: Simd>(simd: S, a: Self::Of<S>, b: Self::Of<S>) -> Self::Of<S>;
    /// Swaps `other` for the room that this thread has for copies, and back.
    fn swap_scratch(other: &mut Vec<Self>);
    /// Takes a product. Compiled here and once: what is generic would be compiled again in every crate that calls it.
    #[expect(private_interfaces, reason = "sealed with the scalars")]
    fn take(product: Product<'_, Self>);
    /// The same for a gathered product.
    #[expect(private_interfaces, reason = "sealed with the scalars")]
    fn take_gathered(product: Gathered<'_, Self>);
}

macro_rules! vectors {
    ($t:ty, $of:ident, $cut:ident, $cut_mut:ident, $all:ident, $mul_add:ident, $plus:ident, $minus:ident) => {
        impl Vectors for $t {
            type Of<S: Simd> = S::$of;
            #[inline(always)]
            fn cut<S: Simd>(numbers: &[Self]) -> &[S::$of] {
                S::$cut(numbers).0
            }
            #[inline(always)]
            fn cut_mut<S: Simd>(numbers: &mut [Self]) -> &mut [S::$of] {
                S::$cut_mut(numbers).0
            }
            #[inline(always)]
            fn all<S: Simd>(simd: S, value: Self) -> S::$of {
                simd.$all(value)
            }
            #[inline(always)]
            fn fused<S: Simd>(simd: S, a: S::$of, b: S::$of, c: S::$of) -> S::$of {
                simd.$mul_add(a, b, c)
            }
            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$of, b: S::$of) -> S::$of {
                simd.$plus(a, b)
            }
            #[inline(always)]
            fn minus<S: Simd>(simd: S, a: S::$of, b: S::$of) -> S::$of {
                simd.$minus(a, b)
            }
            fn swap_scratch(other: &mut Vec<$t>) {
                thread_local!(static SCRATCH: RefCell<Vec<$t>> = const { RefCell::new(Vec::new()) });
                SCRATCH.with_borrow_mut(|scratch| std::mem::swap(scratch, other));
            }
            #[expect(private_interfaces, reason = "sealed with the scalars")]
            fn take(product: Product<'_, $t>) {
                Arch::new().dispatch(product);
            }
            #[expect(private_interfaces, reason = "sealed with the scalars")]
            fn take_gathered(product: Gathered<'_, $t>) {
                Arch::new().dispatch(product);
            }
        }
    };
}
vectors!(f32, f32s, as_simd_f32s, as_mut_simd_f32s, splat_f32s, mul_add_e_f32s, add_f32s, sub_f32s);
vectors!(f64, f64s, as_simd_f64s, as_mut_simd_f64s, splat_f64s, mul_add_e_f64s, add_f64s, sub_f64s);

/// Numbers in a vector.
pub(super) const fn lanes<T: Scalar, S: Simd>() -> usize {
    size_of::<T::Of<S>>() / size_of::<T>()
}

/// Whether this kernel is there and the faster one, by measurement, in training, on a processor with AVX-512. matrixmultiply copies
/// both factors first: that pays when each is used often or lies far from the processor, but not for a transposed A, which it
/// copies entry by entry.
pub(super) fn is_faster<T>(a: &Strided<'_, T>, b: &Strided<'_, T>) -> bool {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    let near = |entries: usize| entries * size_of::<T>() <= NEAR;
    let often = m.min(k).min(n) > OFTEN;
    let gains = k > 0 && (a.row_stride > 1 || m.min(n) <= FEW || near(m * k) && near(k * n) && near(m * n));
    gains && !often && !matches!(Arch::new(), Arch::Scalar)
}

/// A product to be taken.
pub(super) struct Product<'a, T> {
    pub(super) a: Strided<'a, T>,
    pub(super) b: Strided<'a, T>,
    pub(super) c: StridedMut<'a, T>,
    pub(super) onto: Onto,
}

impl<T: Scalar> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, c, onto } = self;
        let height = 2 * lanes::<T, S>();
        let mut scratch = Vec::new();
        T::swap_scratch(&mut scratch);
        scratch.resize(DEPTH * height, T::zero());
        // Pieces as long as each other.
        let depth = a.cols.div_ceil(a.cols.div_ceil(DEPTH));
        // The way that copies and turns less: A, or B and C.
        let across = a.row_stride > 1 && b.row_stride == 1 && a.rows * a.cols > a.cols * b.cols + a.rows * b.cols;
        let mut tiles = Tiles { simd, a, b, c, onto, start: 0, depth };
        while tiles.start < a.cols {
            tiles.depth = depth.min(a.cols - tiles.start);
            if across {
                tiles.across(&mut scratch)
            } else {
                tiles.down(&mut scratch)
            }
            tiles.start += depth;
            if tiles.onto == Onto::Replace {
                tiles.onto = Onto::Add;
            }
        }
        T::swap_scratch(&mut scratch);
    }
}

/// The tiles of C, to which the terms from `start` on are added, `depth` of them.
struct Tiles<'a, T, S> {
    simd: S,
    a: Strided<'a, T>,
    b: Strided<'a, T>,
    c: StridedMut<'a, T>,
    onto: Onto,
    start: usize,
    depth: usize,
}

/// Vectors for each term, one after the other, so many numbers apart.
#[derive(Clone, Copy)]
struct Panel<'a, T> {
    data: &'a [T],
    stride: usize,
}

/// Which rows or columns of C.
#[derive(Clone, Copy)]
struct Span {
    first: usize,
    count: usize,
}

impl<T: Scalar, S: Simd> Tiles<'_, T, S> {
    /// With vectors along the columns of C, which those of A are for.
    #[inline(always)]
    fn down(&mut self, scratch: &mut [T]) {
        let Self { a, start, depth, .. } = *self;
        let one = lanes::<T, S>();
        let turned = a.row_stride > 1;
        let mut first = 0;
        while first < a.rows {
            let left = a.rows - first;
            let height = if left >= 2 * one { 2 * one } else { one };
            let rows = Span { first, count: height.min(left) };
            let panel = if turned {
                turn(&a.data[start..], a.row_stride, rows, depth, height, scratch)
            } else {
                let panel = Panel { data: &a.data[start * a.col_stride + first..], stride: a.col_stride };
                if rows.count < height { fill_up(panel, rows.count, depth, height, scratch) } else { panel }
            };
            if height > one {
                self.strip::<2>(panel, rows)
            } else {
                self.strip::<1>(panel, rows)
            }
            first += rows.count;
        }
    }

    /// The tiles of some rows.
    #[inline(always)]
    fn strip<const V: usize>(&mut self, panel: Panel<'_, T>, rows: Span) {
        let done = self.tiles_down::<V, WIDTH>(panel, rows, 0);
        let done = self.tiles_down::<V, 4>(panel, rows, done);
        let done = self.tiles_down::<V, 2>(panel, rows, done);
        self.tiles_down::<V, 1>(panel, rows, done);
    }

    /// As many tiles of N columns as there are from column `j` on; returns the column after them.
    #[inline(always)]
    fn tiles_down<const V: usize, const N: usize>(&mut self, panel: Panel<'_, T>, rows: Span, mut j: usize) -> usize {
        let Self { b, start, depth, .. } = *self;
        while j + N <= b.cols {
            let sums = if b.row_stride == 1 {
                let columns = lines::<T, N>(&b.data[start..], b.col_stride, j, depth);
                self.tile::<V, N>(panel, |p| from_fn(|q| columns[q][p]))
            } else {
                let data = &b.data[start * b.row_stride + j..];
                self.tile::<V, N>(panel, |p| {
                    let row = &data[p * b.row_stride..][..N];
                    from_fn(|q| row[q])
                })
            };
            for (q, sums) in sums.into_iter().enumerate() {
                let c = &mut self.c.data[(j + q) * self.c.col_stride + rows.first..][..rows.count];
                store(self.simd, sums, c, self.onto);
            }
            j += N;
        }
        j
    }

    /// With vectors along the rows of C, which the columns of B are turned for; those of A are at hand as factors.
    #[inline(always)]
    fn across(&mut self, scratch: &mut [T]) {
        let Self { b, start, depth, .. } = *self;
        let one = lanes::<T, S>();
        let mut first = 0;
        while first < b.cols {
            let left = b.cols - first;
            let height = if left > one { 2 * one } else { one };
            let cols = Span { first, count: height.min(left) };
            let panel = turn(&b.data[start..], b.col_stride, cols, depth, height, scratch);
            if height > one {
                self.strip_across::<2>(panel, cols)
            } else {
                self.strip_across::<1>(panel, cols)
            }
            first += cols.count;
        }
    }

    /// The tiles of some columns, which are put down row by row and turned when there are many rows.
    #[inline(always)]
    fn strip_across<const V: usize>(&mut self, panel: Panel<'_, T>, cols: Span) {
        let mut turned = [[T::zero(); HEIGHT]; TURNED];
        let mut first = 0;
        while first < self.a.rows {
            let rows = Span { first, count: TURNED.min(self.a.rows - first) };
            let done = self.tiles_across::<V, WIDTH>(panel, rows, &mut turned, 0);
            let done = self.tiles_across::<V, 4>(panel, rows, &mut turned, done);
            let done = self.tiles_across::<V, 2>(panel, rows, &mut turned, done);
            self.tiles_across::<V, 1>(panel, rows, &mut turned, done);
            for e in 0..cols.count {
                let c = &mut self.c.data[(cols.first + e) * self.c.col_stride + first..][..rows.count];
                for (c, turned) in c.iter_mut().zip(&turned) {
                    self.onto.put(c, turned[e]);
                }
            }
            first += rows.count;
        }
    }

    /// As many tiles of N rows as there are from the `i`-th of `rows` on; returns the row after them.
    #[inline(always)]
    fn tiles_across<const V: usize, const N: usize>(
        &self,
        panel: Panel<'_, T>,
        rows: Span,
        turned: &mut [[T; HEIGHT]],
        mut i: usize,
    ) -> usize {
        let Self { a, start, depth, .. } = *self;
        while i + N <= rows.count {
            let rows = lines::<T, N>(&a.data[start..], a.row_stride, rows.first + i, depth);
            let sums = self.tile::<V, N>(panel, |p| from_fn(|q| rows[q][p]));
            for (turned, sums) in turned[i..i + N].iter_mut().zip(sums) {
                store(self.simd, sums, &mut turned[..V * lanes::<T, S>()], Onto::Replace);
            }
            i += N;
        }
        i
    }

    /// The sums of a tile: Σ_p of the panel's vectors at p by each of `factors(p)`.
    #[inline(always)]
    fn tile<const V: usize, const N: usize>(
        &self,
        panel: Panel<'_, T>,
        factors: impl Fn(usize) -> [T; N],
    ) -> [[T::Of<S>; V]; N] {
        let simd = self.simd;
        let mut sums = [[T::all(simd, T::zero()); V]; N];
        for p in 0..self.depth {
            let vectors = T::cut::<S>(&panel.data[p * panel.stride..][..V * lanes::<T, S>()]);
            let vectors: [T::Of<S>; V] = from_fn(|v| vectors[v]);
            for (sums, factor) in sums.iter_mut().zip(factors(p)) {
                let factor = T::all(simd, factor);
                for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                    *sum = T::fused(simd, vector, factor, *sum);
                }
            }
        }
        sums
    }
}

/// Copies vectors that are cut short after `rows` entries, and fills them up with zeros.
#[inline(always)]
fn fill_up<'a, T: Scalar>(
    panel: Panel<'_, T>,
    rows: usize,
    depth: usize,
    height: usize,
    scratch: &'a mut [T],
) -> Panel<'a, T> {
    for (p, copy) in scratch.chunks_exact_mut(height).take(depth).enumerate() {
        copy[rows..].fill(T::zero());
        copy.iter_mut().zip(&panel.data[p * panel.stride..][..rows]).for_each(|(copy, entry)| *copy = *entry);
    }
    Panel { data: scratch, stride: height }
}

/// Copies lines of `depth` entries, `stride` apart, side by side, and zeros beside them, to panels `height` apart.
#[inline(always)]
fn turn<'a, T: Scalar>(
    data: &[T],
    stride: usize,
    span: Span,
    depth: usize,
    height: usize,
    scratch: &'a mut [T],
) -> Panel<'a, T> {
    let scratch = &mut scratch[..depth * height];
    for (piece, scratch) in scratch.chunks_mut(CORNER * height).enumerate() {
        for j in 0..height {
            let copies = scratch[j..].iter_mut().step_by(height);
            if j < span.count {
                let line = &data[(span.first + j) * stride..][..depth];
                copies.zip(&line[piece * CORNER..]).for_each(|(copy, entry)| *copy = *entry);
            } else {
                copies.for_each(|copy| *copy = T::zero());
            }
        }
    }
    Panel { data: scratch, stride: height }
}

/// N lines of a matrix from line `first` on, `stride` apart, as long as said.
#[inline(always)]
fn lines<T, const N: usize>(data: &[T], stride: usize, first: usize, len: usize) -> [&[T]; N] {
    from_fn(|q| &data[(first + q) * stride..][..len])
}

/// Writes vectors to a column that may be shorter.
#[inline(always)]
pub(super) fn store<T: Scalar, S: Simd, const V: usize>(simd: S, vectors: [T::Of<S>; V], column: &mut [T], onto: Onto) {
    if column.len() == V * lanes::<T, S>() {
        for (c, vector) in T::cut_mut::<S>(column).iter_mut().zip(vectors) {
            *c = match onto {
                Onto::Replace => vector,
                Onto::Add => T::plus(simd, *c, vector),
                Onto::Subtract => T::minus(simd, *c, vector),
            };
        }
    } else {
        let mut numbers = [T::zero(); HEIGHT];
        for (number, vector) in T::cut_mut::<S>(&mut numbers).iter_mut().zip(vectors) {
            *number = vector;
        }
        column.iter_mut().zip(numbers).for_each(|(c, number)| onto.put(c, number));
    }
}
