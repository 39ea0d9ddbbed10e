//! The trait that exact activation steps ask of a layer.

use std::fmt::Debug;

use crate::{MatMut, Result, Scalar};

/// A layer for which the input that best explains an output is known in closed form:
///
/// ```text
/// z ← argmin_z  ½‖target − f(z; θ)‖² + (weight/2)‖z − near‖²        for every example
/// ```
///
/// Offered by [`Layer::proximal`](super::Layer::proximal); below a layer that cannot do so activations move by gradient steps.
///
/// The minimum must be the global one, or exact steps may raise the energy. [`check::layer`](crate::check::layer()) looks for
/// lower points around it; a test of yours may search everywhere.
///
/// # Example
///
/// The layer of the example at [`Layer`](super::Layer), ẑ = θ ⊙ z:
///
/// ```
/// use decoupled::layer::Proximal;
/// use decoupled::MatMut;
///
/// #[derive(Debug)]
/// struct Scale;
///
/// impl Proximal<f64> for Scale {
///     fn solve(
///         &self,
///         params: &[f64],
///         _prepared: &[f64],
///         weight: f64,
///         target: MatMut<'_, f64>,
///         mut z: MatMut<'_, f64>,
///     ) {
///         for (z, target) in z.columns_mut().zip(target.as_ref().columns()) {
///             for ((z, target), theta) in z.iter_mut().zip(target).zip(params) {
///                 *z = (theta * target + weight * *z) / (theta * theta + weight);
///             }
///         }
///     }
/// }
///
/// // ½(6 − 2z)² + ½ · 4 · (z − 1)² is least where its derivative 8z − 16 vanishes.
/// let (mut target, mut z) = ([6.0], [1.0]);
/// Scale.solve(&[2.0], &[], 4.0, MatMut::new(&mut target, 1, 1), MatMut::new(&mut z, 1, 1));
/// assert_eq!(z, [2.0]);
/// ```
pub trait Proximal<T: Scalar>: Debug + Send + Sync {
    /// Entries of what all examples share; none unless a layer says otherwise.
    fn prepared_len(&self) -> usize {
        0
    }

    /// Writes what all examples share, [`prepared_len`](Self::prepared_len) entries that may be anything before, for these
    /// parameters and this weight, which is positive. `work` is scratch of any length and content, which keeps its memory from call to call.
    ///
    /// # Errors
    /// [`Error::NotPositiveDefinite`](crate::Error::NotPositiveDefinite) when the weight is lost beside the parameters in the
    /// working precision, or those are not finite.
    fn prepare(&self, params: &[T], weight: T, prepared: &mut [T], work: &mut Vec<f64>) -> Result<()> {
        let _ = (params, weight, work);
        debug_assert!(prepared.is_empty(), "a layer whose examples share something must write it");
        Ok(())
    }

    /// z, `input_dim × n`, is `near` before and the minimiser after, for `target` (`output_dim × n`) and what
    /// [`prepare`](Self::prepare) wrote for the same parameters and weight. What `target` holds after is of no meaning: it may
    /// serve as scratch.
    fn solve(&self, params: &[T], prepared: &[T], weight: T, target: MatMut<'_, T>, z: MatMut<'_, T>);
}
