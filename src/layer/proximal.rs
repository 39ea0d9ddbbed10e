use std::fmt::Debug;

use crate::{MatMut, MatRef, Result, Scalar};

/// A layer for which the input that best explains an output is known in closed form:
///
/// ```text
/// z ← argmin_z  ½‖target − f(z; θ)‖² + (weight/2)‖z − near‖²        for every example
/// ```
///
/// Offered by [`Layer::proximal`](super::Layer::proximal); below a layer that cannot do so activations move by gradient steps.
///
/// The minimum must be the global one, or exact steps may raise the energy. [`check::layer`](crate::check::layer) does not call
/// this; test yours against a search.
///
/// # Example
///
/// The layer of the example at [`Layer`](super::Layer), ẑ = θ ⊙ z:
///
/// ```
/// use decoupled::layer::Proximal;
/// use decoupled::{MatMut, MatRef, Result};
///
/// #[derive(Debug)]
/// struct Scale;
///
/// impl Proximal<f64> for Scale {
///     fn prepare(&self, _params: &[f64], _weight: f64) -> Result<Vec<f64>> {
///         Ok(Vec::new())
///     }
///     fn solve(
///         &self,
///         params: &[f64],
///         _prepared: &[f64],
///         weight: f64,
///         target: MatRef<'_, f64>,
///         mut z: MatMut<'_, f64>,
///     ) {
///         for (z, target) in z.columns_mut().zip(target.columns()) {
///             for ((z, target), theta) in z.iter_mut().zip(target).zip(params) {
///                 *z = (theta * target + weight * *z) / (theta * theta + weight);
///             }
///         }
///     }
/// }
///
/// // ½(6 − 2z)² + ½ · 4 · (z − 1)² is least where its derivative 8z − 16 vanishes.
/// let mut z = [1.0];
/// Scale.solve(&[2.0], &[], 4.0, MatRef::new(&[6.0], 1, 1), MatMut::new(&mut z, 1, 1));
/// assert_eq!(z, [2.0]);
/// ```
pub trait Proximal<T: Scalar>: Debug + Send + Sync {
    /// What all examples share, for these parameters and this weight, which is positive.
    ///
    /// # Errors
    /// [`Error::NotPositiveDefinite`](crate::Error::NotPositiveDefinite) when the weight is lost beside the parameters in the
    /// working precision, or those are not finite.
    fn prepare(&self, params: &[T], weight: T) -> Result<Vec<T>>;

    /// z, `input_dim × n`, is `near` before and the minimiser after, for `target` (`output_dim × n`) and what
    /// [`prepare`](Self::prepare) made for the same parameters and weight.
    fn solve(&self, params: &[T], prepared: &[T], weight: T, target: MatRef<'_, T>, z: MatMut<'_, T>);
}
