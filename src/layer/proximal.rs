use std::fmt::Debug;

use crate::{MatMut, MatRef, Result, Scalar};

/// A layer for which the input that best explains an output is known in closed form:
///
/// ```text
/// z ← argmin_z  ½‖target − f(z; θ)‖² + (weight/2)‖z − near‖²        for every example
/// ```
///
/// Offered by [`Layer::proximal`](super::Layer::proximal); below a layer that cannot do so activations move by gradient steps.
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
