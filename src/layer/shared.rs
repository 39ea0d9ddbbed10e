//! `Layer` for an `Arc` of one.

use std::sync::Arc;

use rand::Rng;

use super::{Layer, Noise, Proximal, Regression, Shape, Tensor, Unit, Wiring};
use crate::{MatMut, MatRef, Result, Scalar};

/// A shared layer is the layer: layers hold nothing that changes, so one description may stand in many places.
impl<T: Scalar, L: Layer<T> + ?Sized> Layer<T> for Arc<L> {
    fn input_dim(&self) -> usize {
        (**self).input_dim()
    }

    fn output_dim(&self) -> usize {
        (**self).output_dim()
    }

    fn input_shape(&self) -> Shape {
        (**self).input_shape()
    }

    fn output_shape(&self, input: Shape) -> Shape {
        (**self).output_shape(input)
    }

    fn param_len(&self) -> usize {
        (**self).param_len()
    }

    fn cache_len(&self, examples: usize) -> usize {
        (**self).cache_len(examples)
    }

    fn name(&self) -> String {
        (**self).name()
    }

    fn validate(&self) -> Result<()> {
        (**self).validate()
    }

    fn unit(&self) -> Option<Unit> {
        (**self).unit()
    }

    fn has_derivative(&self) -> bool {
        (**self).has_derivative()
    }

    fn is_straight_through(&self) -> bool {
        (**self).is_straight_through()
    }

    fn output_range(&self) -> (f64, f64) {
        (**self).output_range()
    }

    fn operations(&self) -> usize {
        (**self).operations()
    }

    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        (**self).init_params(params, rng);
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, output: MatMut<'_, T>, cache: &mut [T]) {
        (**self).forward(params, input, output, cache);
    }

    fn input_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        (**self).input_gradient(params, input, cotangent, grad, cache);
    }

    fn param_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        (**self).param_gradient(params, input, cotangent, grad, cache);
    }

    fn regression(&self) -> Option<&dyn Regression<T>> {
        (**self).regression()
    }

    fn proximal(&self) -> Option<&dyn Proximal<T>> {
        (**self).proximal()
    }

    fn noise(&self) -> Option<&dyn Noise<T>> {
        (**self).noise()
    }

    fn wiring(&self) -> Option<Wiring> {
        (**self).wiring()
    }

    fn tensors(&self) -> Vec<Tensor> {
        (**self).tensors()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        (**self).describe()
    }
}
