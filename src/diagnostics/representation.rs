//! Two layers compared by their activations for the same examples: CKA and Procrustes distance.

use nalgebra::DMatrix;

use crate::machine::linalg;
use crate::machine::linalg::matrix::filled;
use crate::machine::linalg::matrix::{check_finite, check_shape};
use crate::{Error, MatMut, MatRef, Result, Scalar, error};

/// Linear centred kernel alignment of two representations of the same n ≥ 4 examples, **debiased**: x is `d_x × n`, y `d_y × n`,
/// columns are examples.
///
/// ```text
/// CKA = HSIC(K, L) / √(HSIC(K, K)·HSIC(L, L)),   K = XᵀX,  L = YᵀY,   in [−1, 1]
///
/// HSIC(K, L) = [tr(K̃L̃) + 1ᵀK̃1·1ᵀL̃1/((n−1)(n−2)) − 2/(n−2)·1ᵀK̃L̃1] / (n(n−3)),   K̃ = K without its diagonal
/// ```
///
/// 1 for representations that a rotation, one factor and a shift take into each other; 0 in the mean for independent ones, and
/// below it by chance, however few the examples are. The plain estimator would find about d/(n + d) in independent ones.
///
/// No kernel is formed. X and Y are centred first, which changes the estimator by nothing (it gives K̃ᵢⱼ a sum aᵢ + aⱼ, and the
/// estimator is the product of K̃ and L̃ without such sums), takes away what would cancel, and leaves K1 = L1 = 0, so that
///
/// ```text
/// n(n−3)·HSIC(K, L) = ‖XYᵀ‖²_F − n/(n−2)·Σ kᵢᵢlᵢᵢ + Σ kᵢᵢ·Σ lᵢᵢ/((n−1)(n−2))
/// ```
///
/// in O(n·d_x·d_y) operations, all of them in `f64`. A representation that is the same for all examples, or for all but one, has
/// no CKA: the result is 0 then.
///
/// Kornblith, Norouzi, Lee, Hinton (2019), *Similarity of neural network representations revisited*, arXiv 1905.00414. The
/// estimator is that of Song et al. (2012), *Feature selection via dependence maximization*, JMLR 13, used for this by Nguyen,
/// Raghu, Kornblith (2021), *Do wide and deep networks learn the same things?*, arXiv 2010.15327.
///
/// ```
/// use decoupled::{MatRef, diagnostics::cka};
///
/// let x = [0.0, 1.0, 2.0, 5.0, 1.0];
/// let y = x.map(|x| 3.0 - 2.0 * x);
/// let (x, y) = (MatRef::new(&x, 1, 5), MatRef::new(&y, 1, 5));
/// assert!((cka(x, y)? - 1.0_f64).abs() < 1e-12);
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for other numbers of examples, [`Error::HyperParameter`](crate::Error::HyperParameter)
/// for fewer than 4, [`Error::Empty`](crate::Error::Empty) without rows, [`Error::NotFinite`](crate::Error::NotFinite).
pub fn cka<T: Scalar>(x: MatRef<'_, T>, y: MatRef<'_, T>) -> Result<f64> {
    Representation::new(x)?.cka(&Representation::new(y)?)
}

/// Orthogonal Procrustes distance of two representations of the same n examples: x is `d_x × n`, y `d_y × n`, columns are
/// examples; of any widths.
///
/// ```text
/// ‖X‖²_F + ‖Y‖²_F − 2‖XYᵀ‖_*,   X and Y centred, and scaled to ‖X‖_F = ‖Y‖_F = 1;   in [0, 2]
/// ```
///
/// with ‖·‖_* the sum of the singular values. For equal widths it is the least ‖X − QY‖²_F over all orthogonal Q; the narrower of
/// two is thought of as filled up with rows of zeros. 0 where a rotation, one factor and a shift take one into the other.
/// Independent ones are nearer than 2, the more so the fewer the examples: compare with what controls have at the same n.
///
/// A representation that is the same for all examples stays all zeros: its distance from another is 1, from one of its kind 0.
///
/// O(n·d_x·d_y) operations and a singular value decomposition of the `d_x × d_y` matrix, in `f64`.
///
/// Ding, Denain, Steinhardt (2021), *Grounding representation similarity with statistical testing*, arXiv 2108.01661.
///
/// # Errors
/// As [`cka`], for 1 example or more.
pub fn procrustes<T: Scalar>(x: MatRef<'_, T>, y: MatRef<'_, T>) -> Result<f64> {
    Representation::new(x)?.procrustes(&Representation::new(y)?)
}

/// One representation, `d × n`, made ready to be compared with many.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    /// Centred, with a Frobenius norm of 1, or all zeros where the examples do not differ; column after column.
    data: Vec<f64>,
    rows: usize,
    /// kᵢᵢ of every example, and their sum.
    diagonal: Vec<f64>,
    trace: f64,
    /// n(n−3)·HSIC(K, K); 0 where rounding is all there is of it.
    own: f64,
}

/// Below this share of its first term, HSIC(K, K) is rounding.
const ROUNDING: f64 = 1e-12;

impl Representation {
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], [`Error::OutOfMemory`].
    pub(crate) fn new<T: Scalar>(x: MatRef<'_, T>) -> Result<Self> {
        let (rows, examples) = (x.rows(), x.cols());
        for (count, what) in [(rows, "the rows of a representation"), (examples, "the examples of a representation")] {
            if count == 0 {
                return Err(Error::Empty { what });
            }
        }
        check_finite("a representation", x)?;
        let mut data = filled("a representation", rows * examples, 0.0)?;
        standardise(x, &mut data);
        let diagonal: Vec<f64> = data.chunks_exact(rows).map(linalg::norm_squared).collect();
        let mut gram = filled("the products of a representation", rows * rows, 0.0)?;
        linalg::add_gram(MatRef::new(&data, rows, examples), MatMut::new(&mut gram, rows, rows));
        // ‖XXᵀ‖²_F, of which the lower triangle is at hand.
        let columns = gram.chunks_exact(rows).enumerate();
        let square = |(j, column): (usize, &[f64])| {
            let (_, lower) = column.split_at(j);
            let diagonal = lower.first().copied().unwrap_or_default();
            2.0 * linalg::norm_squared(lower) - diagonal * diagonal
        };
        let square = columns.map(square).sum();
        let mut own = Self { trace: diagonal.iter().sum(), data, rows, diagonal, own: 0.0 };
        let alignment = own.alignment(&own, square);
        own.own = if alignment > ROUNDING * square { alignment } else { 0.0 };
        Ok(own)
    }

    /// Columns.
    fn examples(&self) -> usize {
        self.diagonal.len()
    }

    /// [`cka`] with another.
    pub(crate) fn cka(&self, other: &Self) -> Result<f64> {
        let examples = self.examples();
        let domain = "at least 4";
        error::require(examples >= 4, "examples of a debiased alignment (cka)", domain, examples as f64)?;
        let scale = (self.own * other.own).sqrt();
        let product = self.product(other)?;
        if scale == 0.0 {
            return Ok(0.0);
        }
        Ok((self.alignment(other, linalg::norm_squared(&product)) / scale).clamp(-1.0, 1.0))
    }

    /// [`procrustes`] distance from another.
    pub(crate) fn procrustes(&self, other: &Self) -> Result<f64> {
        let size = |own: &Self| if own.trace > 0.0 { 1.0 } else { 0.0 };
        let product = DMatrix::from_vec(self.rows, other.rows, self.product(other)?);
        let nuclear = if self.trace * other.trace > 0.0 { product.singular_values().sum() } else { 0.0 };
        Ok((size(self) + size(other) - 2.0 * nuclear).clamp(0.0, 2.0))
    }

    /// X·Yᵀ, `d_x × d_y`.
    fn product(&self, other: &Self) -> Result<Vec<f64>> {
        let examples = self.examples();
        check_shape("columns of the other representation (examples)", examples, other.examples())?;
        let mut product = filled("the product of two representations", self.rows * other.rows, 0.0)?;
        let (x, y) = (MatRef::new(&self.data, self.rows, examples), MatRef::new(&other.data, other.rows, examples));
        linalg::add_matmul_nt(x, y, MatMut::new(&mut product, self.rows, other.rows));
        Ok(product)
    }

    /// n(n−3)·HSIC(K, L) from ‖XYᵀ‖²_F.
    fn alignment(&self, other: &Self, square: f64) -> f64 {
        let n = self.examples() as f64;
        let diagonals = linalg::sum_zip(&self.diagonal, &other.diagonal, |k, l| k * l);
        square - n / (n - 2.0) * diagonals + self.trace * other.trace / ((n - 1.0) * (n - 2.0))
    }
}

/// out ← x centred over its columns and scaled to a Frobenius norm of 1; zeros where its columns are all the same.
fn standardise<T: Scalar>(x: MatRef<'_, T>, out: &mut [f64]) {
    let (rows, first) = (x.rows(), x.column(0));
    let largest = x.as_slice().iter().fold(0.0, |most: f64, x| most.max(x.to_f64().abs()));
    // Halved and scaled, so that nothing overflows; counted from the first column, so that what is constant is exactly zero.
    let scaled = |x: &T| if largest > 0.0 { 0.5 * (x.to_f64() / largest) } else { 0.0 };
    for (out, x) in out.chunks_exact_mut(rows).zip(x.columns()) {
        for (out, (x, first)) in out.iter_mut().zip(x.iter().zip(first)) {
            *out = scaled(x) - scaled(first);
        }
    }
    let largest = out.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if largest == 0.0 {
        return;
    }
    out.iter_mut().for_each(|x| *x /= largest);
    let share = 1.0 / x.cols() as f64;
    let mut mean = vec![0.0; rows];
    // The mean of what is left is of the size of rounding: the second time takes that away as well.
    for _ in 0..2 {
        mean.fill(0.0);
        out.chunks_exact(rows).for_each(|x| linalg::axpy(share, x, &mut mean));
        out.chunks_exact_mut(rows).for_each(|x| linalg::axpy(-1.0, &mean, x));
    }
    let norm = linalg::norm_squared(out).sqrt();
    out.iter_mut().for_each(|x| *x /= norm);
}
