//! Skip connection: a layer with its input added to its output.

use std::sync::Arc;

use rand::Rng;

use super::{Layer, Shape, Tensor, Wiring};
use crate::machine::linalg::axpy;
use crate::{Error, MatMut, MatRef, Result, Scalar};

/// A map with its input added to its output,
///
/// ```text
/// ẑ = z + f(z; θ)        f: as many outputs as inputs
/// ```
///
/// K. He, X. Zhang, S. Ren, J. Sun (2015), *Deep Residual Learning for Image Recognition*, arXiv:1512.03385.
///
/// # Example
///
/// ```
/// use decoupled::layer::{Activation, Chain, Dense, Elementwise, Residual};
///
/// let block = Residual::<f64>::new(
///     Chain::new().then(Elementwise::new(8, Activation::Relu)).then(Dense::new(8, 8)),
/// );
/// decoupled::check::layer(&block)?;
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Scalar"))]
pub struct Residual<T> {
    inner: Arc<dyn Layer<T>>,
}

impl<T: Scalar> Residual<T> {
    /// Adds the input to the output of `inner`.
    pub fn new(inner: impl Layer<T> + 'static) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The map f.
    pub fn inner(&self) -> &Arc<dyn Layer<T>> {
        &self.inner
    }
}

impl<T: Scalar> Layer<T> for Residual<T> {
    fn input_dim(&self) -> usize {
        self.inner.input_dim()
    }

    fn output_dim(&self) -> usize {
        self.inner.output_dim()
    }

    fn input_shape(&self) -> Shape {
        self.inner.input_shape()
    }

    fn output_shape(&self, input: Shape) -> Shape {
        self.inner.output_shape(input)
    }

    fn param_len(&self) -> usize {
        self.inner.param_len()
    }

    fn cache_len(&self, examples: usize) -> usize {
        self.inner.cache_len(examples)
    }

    fn name(&self) -> String {
        format!("Residual({})", self.inner.name())
    }

    fn validate(&self) -> Result<()> {
        self.inner.validate()?;
        let (expected, found) = (self.inner.input_dim(), self.inner.output_dim());
        if expected != found {
            return Err(Error::Shape { what: "output rows of the map in a residual block", expected, found });
        }
        let input = self.inner.input_shape();
        let output = self.inner.output_shape(input);
        if !output.reads(input) {
            return Err(Error::ShapeMismatch { layer: 0, expected: output, found: input });
        }
        Ok(())
    }

    fn has_derivative(&self) -> bool {
        self.inner.has_derivative()
    }

    fn is_straight_through(&self) -> bool {
        self.inner.is_straight_through()
    }

    fn operations(&self) -> usize {
        self.inner.operations()
    }

    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        self.inner.init_params(params, rng);
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        self.inner.forward(params, input, output.reborrow(), cache);
        axpy(T::one(), input.as_slice(), output.as_mut_slice());
    }

    fn input_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        self.inner.input_gradient(params, input, cotangent, grad.reborrow(), cache);
        axpy(T::one(), cotangent.as_slice(), grad.as_mut_slice());
    }

    fn param_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        self.inner.param_gradient(params, input, cotangent, grad, cache);
    }

    fn wiring(&self) -> Option<Wiring> {
        self.inner.wiring().map(Wiring::residual)
    }

    fn tensors(&self) -> Vec<Tensor> {
        self.inner.tensors()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Residual", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Dense;

    #[test]
    fn a_map_of_another_width_is_refused() {
        let error = Residual::<f64>::new(Dense::new(3, 4)).validate().unwrap_err();
        assert!(matches!(error, Error::Shape { expected: 3, found: 4, .. }));
    }

    #[test]
    fn a_zero_map_leaves_the_identity() {
        let block = Residual::new(Dense::new(3, 3));
        let (input, mut output, mut grad) = ([1.0, -2.0, 0.5, 3.0, 4.0, 5.0], [f64::NAN; 6], [f64::NAN; 6]);
        block.forward(&[0.0; 12], MatRef::new(&input, 3, 2), MatMut::new(&mut output, 3, 2), &mut []);
        assert_eq!(output, input);
        let cotangent = MatRef::new(&[2.0, 0.0, 1.0, -1.0, 7.0, 0.25], 3, 2);
        let input = MatRef::new(&input, 3, 2);
        block.input_gradient(&[0.0; 12], input, cotangent, MatMut::new(&mut grad, 3, 2), &mut []);
        assert_eq!(grad, cotangent.as_slice());
    }
}
