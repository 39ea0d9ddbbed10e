//! The trait that least squares in a layer's parameters ask of it.

use std::fmt::Debug;

use crate::machine::parallel::guarded;
use crate::{Error, MatMut, MatRef, Result, Scalar};

/// A layer whose parameters can be found by least squares: an affine map W·z + b, perhaps with fixed functions on top of it.
///
/// Offered by [`Layer::regression`](super::Layer::regression); a layer that cannot do so is trained by gradient steps. What the
/// map is to give, the *pre-activation*, follows from what the whole layer is to give, the target; then the examples
/// count only through sums over them, the *moments*, which can be taken over any part of the examples and added up.
///
/// The layout of the moments is the layer's own: others only add them up, entry by entry, and multiply them by a factor. They
/// must hold what [`solve`](Self::solve) and [`change`](Self::change) need, for the latter the number of examples and the mean
/// input.
///
/// [`check::layer`](crate::check::layer()) tests it: that the moments add up, that the solution is the minimum, and that the change is
/// that of the pre-activations.
///
/// # Example
///
/// The layer of the example at [`Layer`](super::Layer), ẑ = θ ⊙ z, where every unit is a regression of its own. The moments
/// are n, and then Σz, Σz² and Σu·z for each unit.
///
/// ```
/// use decoupled::layer::{Change, Regression};
/// use decoupled::{Error, MatMut, MatRef, Result};
///
/// #[derive(Debug)]
/// struct Scale {
///     dim: usize,
/// }
///
/// impl Regression<f64> for Scale {
///     fn pre_activation_dim(&self) -> usize {
///         self.dim
///     }
///     fn moments_len(&self) -> usize {
///         1 + 3 * self.dim
///     }
///     fn pre_activation(
///         &self,
///         _params: &[f64],
///         _input: MatRef<'_, f64>,
///         target: MatRef<'_, f64>,
///         mut out: MatMut<'_, f64>,
///     ) -> Result<()> {
///         out.as_mut_slice().copy_from_slice(target.as_slice());
///         Ok(())
///     }
///     fn accumulate(
///         &self,
///         input: MatRef<'_, f64>,
///         pre_activation: MatRef<'_, f64>,
///         weights: &[f64],
///         moments: &mut [f64],
///     ) {
///         for (i, (z, u)) in input.columns().zip(pre_activation.columns()).enumerate() {
///             let weight = weights.get(i).copied().unwrap_or(1.0);
///             moments[0] += weight;
///             for ((sums, &z), &u) in moments[1..].chunks_exact_mut(3).zip(z).zip(u) {
///                 sums[0] += weight * z;
///                 sums[1] += weight * z * z;
///                 sums[2] += weight * u * z;
///             }
///         }
///     }
///     fn solve(
///         &self,
///         moments: &[f64],
///         ridge: f64,
///         proximal: f64,
///         params: &mut [f64],
///         _work: &mut Vec<f64>,
///     ) -> Result<()> {
///         let units = || moments[1..].chunks_exact(3);
///         if let Some(row) = units().position(|sums| sums[1] + ridge + proximal <= 0.0) {
///             let (what, raise) = ("the parameters", "the ridge");
///             return Err(Error::NotPositiveDefinite { what, layer: 0, row, size: self.dim, raise });
///         }
///         for (theta, sums) in params.iter_mut().zip(units()) {
///             *theta = (sums[2] + proximal * *theta) / (sums[1] + ridge + proximal);
///         }
///         Ok(())
///     }
///     fn change(&self, moments: &[f64], before: &[f64], after: &[f64]) -> Change {
///         let mut change = Change { squared: 0.0, spread: 0.0 };
///         for ((sums, before), after) in moments[1..].chunks_exact(3).zip(before).zip(after) {
///             let (mean, square) = (sums[0] / moments[0], sums[1] / moments[0]);
///             change.squared += (after - before).powi(2) * square;
///             change.spread += before.powi(2) * (square - mean * mean);
///         }
///         change
///     }
/// }
///
/// // u = 3z in one unit and −z in the other, at z = 1 and z = 2.
/// let (scale, mut params) = (Scale { dim: 2 }, [0.0; 2]);
/// let (z, u) = ([1.0, 1.0, 2.0, 2.0], [3.0, -1.0, 6.0, -2.0]);
/// let mut moments = vec![0.0; scale.moments_len()];
/// scale.accumulate(MatRef::new(&z, 2, 2), MatRef::new(&u, 2, 2), &[], &mut moments);
/// scale.solve(&moments, 0.0, 0.0, &mut params, &mut Vec::new())?;
/// assert_eq!(params, [3.0, -1.0]);
/// // On the way there the outputs move by 9⟨z²⟩ + ⟨z²⟩ with ⟨z²⟩ = 2.5; at 0 they had no spread.
/// assert_eq!(scale.change(&moments, &[0.0; 2], &params), Change { squared: 25.0, spread: 0.0 });
/// # Ok::<(), decoupled::Error>(())
/// ```
pub trait Regression<T: Scalar>: Debug + Send + Sync {
    /// Rows of the pre-activation.
    fn pre_activation_dim(&self) -> usize;

    /// Entries of the moments.
    fn moments_len(&self) -> usize;

    /// out = the pre-activation, `pre_activation_dim × n`, that is wanted of the affine map for the layer to give `target`
    /// (`output_dim × n`) from `input` (`input_dim × n`).
    ///
    /// For a bare affine map it is the target itself. With functions on top several may do: take one near the present one,
    /// W·z + b, and that one when the target is what the layer gives at present. What `out` holds before may be anything.
    ///
    /// # Errors
    /// As [`Proximal::prepare`](super::Proximal::prepare).
    fn pre_activation(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        target: MatRef<'_, T>,
        out: MatMut<'_, T>,
    ) -> Result<()>;

    /// Adds the moments of these examples, each times its weight; moments start as zeros. There is one weight for each column, or
    /// none where all are 1. An example of weight w counts as w copies, in the number of examples as well.
    fn accumulate(&self, input: MatRef<'_, T>, pre_activation: MatRef<'_, T>, weights: &[T], moments: &mut [T]);

    /// Replaces `params` by
    ///
    /// ```text
    /// argmin_θ  ½ Σ‖u − W·z − b‖² + (ridge/2)‖W‖² + (proximal/2)‖θ − params‖²
    /// ```
    ///
    /// over the examples (z, u) in the moments. `work` is scratch of any length and content, which keeps its memory from call
    /// to call.
    ///
    /// # Errors
    /// [`Error::NotPositiveDefinite`](crate::Error::NotPositiveDefinite) when that has no single answer in the working
    /// precision, as with fewer examples than weights a unit and both penalties 0; `params` are as they were then.
    fn solve(&self, moments: &[T], ridge: T, proximal: T, params: &mut [T], work: &mut Vec<f64>) -> Result<()>;

    /// How far the pre-activations of the examples in the moments move when `before` becomes `after`.
    fn change(&self, moments: &[T], before: &[T], after: &[T]) -> Change;
}

/// Two numbers for a trust region, means over examples and summed over units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// ⟨‖u_after − u_before‖²⟩.
    pub squared: f64,
    /// ⟨‖u_before − ⟨u_before⟩‖²⟩: how far the pre-activations spread round their mean.
    pub spread: f64,
}

/// The rows of the pre-activation of layer t.
///
/// # Errors
/// [`Error::Contract`] for none, [`Error::Panicked`].
pub(crate) fn pre_activation_rows<T: Scalar>(regression: &dyn Regression<T>, t: usize) -> Result<usize> {
    guarded("the regression", t, || match regression.pre_activation_dim() {
        0 => Err(Error::Contract {
            subject: format!("{regression:?}"),
            rule: "regression_knows_the_present_pre_activation",
            what: "the pre-activation has a row".to_owned(),
            expected: 1.0,
            found: 0.0,
        }),
        rows => Ok(rows),
    })?
}
