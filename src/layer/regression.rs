use std::fmt::Debug;

use crate::{MatMut, MatRef, Result, Scalar};

/// A layer whose parameters can be found by least squares: an affine map W·z + b, perhaps with fixed functions on top of it.
///
/// Offered by [`Layer::regression`](super::Layer::regression); a layer that cannot do so is trained by gradient steps. What the
/// map is to give, the *pre-activation*, follows from what the whole layer is to give, the target; then the examples
/// count only through sums over them, the *moments*, which can be taken over any part of the examples and added up.
pub trait Regression<T: Scalar>: Debug + Send + Sync {
    /// Rows of the pre-activation.
    fn pre_activation_dim(&self) -> usize;

    /// Entries of the moments.
    fn moments_len(&self) -> usize;

    /// out = the pre-activation, `pre_activation_dim × n`, that is wanted of the affine map for the layer to give `target`
    /// (`output_dim × n`) from `input` (`input_dim × n`).
    ///
    /// For a bare affine map it is the target itself.
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

    /// Adds the moments of these examples; moments start as zeros.
    fn accumulate(&self, input: MatRef<'_, T>, pre_activation: MatRef<'_, T>, moments: &mut [T]);

    /// Replaces `params` by
    ///
    /// ```text
    /// argmin_θ  ½ Σ‖u − W·z − b‖² + (ridge/2)‖W‖² + (proximal/2)‖θ − params‖²
    /// ```
    ///
    /// over the examples (z, u) in the moments.
    ///
    /// # Errors
    /// [`Error::NotPositiveDefinite`](crate::Error::NotPositiveDefinite) when that has no single answer in the working
    /// precision, as with fewer examples than weights a unit and both penalties 0; `params` are as they were then.
    fn solve(&self, moments: &[T], ridge: T, proximal: T, params: &mut [T]) -> Result<()>;

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
