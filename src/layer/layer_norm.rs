//! Layer normalisation: over the features of each example, never over the batch.

use rand::Rng;

use super::{Layer, Shape, Tensor, Tied, Wiring};
use crate::machine::linalg::{add_columns, sum_zip};
use crate::machine::setting::require_positive;
use crate::{MatMut, MatRef, Result, Scalar};

/// Layer normalisation: each example is brought to mean 0 and variance 1 over its features, then scaled and shifted by
/// what is learnt,
///
/// ```text
/// z̄ = (z − mean z) / √(var z + ε)
/// ẑ = γ ⊙ z̄ + β                        γ, β: dim
/// ```
///
/// with the variance a mean over the `dim` features. Parameters: γ (initially 1), then β (initially 0).
///
/// On pictures, [`GroupNorm`](super::GroupNorm) has a scale and a shift for each channel.
///
/// J. L. Ba, J. R. Kiros, G. E. Hinton (2016), *Layer Normalization*, arXiv:1607.06450.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "BatchNormalization")]
pub struct LayerNorm {
    dim: usize,
    epsilon: f64,
}

impl LayerNorm {
    /// Normalises `dim` features, with ε = 1e-5.
    pub const fn new(dim: usize) -> Self {
        Self { dim, epsilon: 1e-5 }
    }

    /// What is added to the variance; positive.
    #[must_use]
    pub const fn epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// Rows of input and output.
    pub const fn dim(&self) -> usize {
        self.dim
    }

    fn split<'a, T>(&self, cache: &'a mut [T], examples: usize) -> (&'a mut [T], &'a mut [T]) {
        cache.split_at_mut(self.dim * examples)
    }
}

/// Writes z̄ = (z − mean z) / √(var z + ε) and returns 1/√(var z + ε).
pub(super) fn standardise<T: Scalar>(z: &[T], epsilon: T, normal: &mut [T]) -> T {
    let share = T::one() / T::of(z.len() as f64);
    let mean = share * sum_zip(z, z, |z, _| z);
    let variance = share * sum_zip(z, z, |z, _| (z - mean) * (z - mean));
    let scale = T::one() / (variance + epsilon).sqrt();
    for (normal, &z) in normal.iter_mut().zip(z) {
        *normal = (z - mean) * scale;
    }
    scale
}

/// Turns the gradient d by z̄ into that by z, (d − mean d − z̄ · mean(d ⊙ z̄)) / √(var z + ε), where `scale` is 1/√(var z + ε).
pub(super) fn standardise_gradient<T: Scalar>(normal: &[T], scale: T, d: &mut [T]) {
    let share = T::one() / T::of(d.len() as f64);
    let mean = share * sum_zip(d, d, |d, _| d);
    let along = share * sum_zip(d, normal, |d, z| d * z);
    for (d, &z) in d.iter_mut().zip(normal) {
        *d = scale * (*d - mean - z * along);
    }
}

// The cache holds z̄ (dim × n), then 1/√(var z + ε) of each example.
impl<T: Scalar> Layer<T> for LayerNorm {
    fn input_dim(&self) -> usize {
        self.dim
    }

    fn output_dim(&self) -> usize {
        self.dim
    }

    fn output_shape(&self, input: Shape) -> Shape {
        input
    }

    fn param_len(&self) -> usize {
        self.dim.saturating_mul(2)
    }

    fn cache_len(&self, examples: usize) -> usize {
        self.dim.saturating_add(1).saturating_mul(examples)
    }

    fn validate(&self) -> Result<()> {
        require_positive::<T>("epsilon of LayerNorm", self.epsilon)
    }

    fn init_params(&self, params: &mut [T], _rng: &mut dyn Rng) {
        let (gain, bias) = params.split_at_mut(self.dim);
        gain.fill(T::one());
        bias.fill(T::zero());
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        let (gain, bias) = params.split_at(self.dim);
        let (normal, scales) = self.split(cache, input.cols());
        let epsilon = T::of(self.epsilon);
        let columns = output.columns_mut().zip(input.columns());
        for (((y, x), normal), scale) in columns.zip(normal.chunks_exact_mut(self.dim)).zip(scales) {
            *scale = standardise(x, epsilon, normal);
            for ((y, &normal), (&g, &b)) in y.iter_mut().zip(&*normal).zip(gain.iter().zip(bias)) {
                *y = g * normal + b;
            }
        }
    }

    fn input_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let (gain, _) = params.split_at(self.dim);
        let (normal, scales) = self.split(cache, input.cols());
        let columns = grad.columns_mut().zip(cotangent.columns());
        for (((grad, c), normal), &scale) in columns.zip(normal.chunks_exact(self.dim)).zip(&*scales) {
            for ((d, &g), &c) in grad.iter_mut().zip(gain).zip(c) {
                *d = g * c;
            }
            standardise_gradient(normal, scale, grad);
        }
    }

    fn param_gradient(
        &self,
        _params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        let (normal, _) = self.split(cache, input.cols());
        grad.fill(T::zero());
        let (gain, bias) = grad.split_at_mut(self.dim);
        for (normal, c) in normal.chunks_exact(self.dim).zip(cotangent.columns()) {
            for ((g, &z), &c) in gain.iter_mut().zip(normal).zip(c) {
                *g += z * c;
            }
        }
        add_columns(cotangent.as_slice(), bias);
    }

    fn wiring(&self) -> Option<Wiring> {
        Some(Wiring::unit_by_unit([Tied::Outputs, Tied::Outputs]))
    }

    fn tensors(&self) -> Vec<Tensor> {
        ["weight", "bias"].map(|name| Tensor::vector(name, self.dim)).into()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("LayerNorm", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn two_features_worked_by_hand_become_minus_one_and_one() {
        let layer = LayerNorm::new(2).epsilon(1e-300);
        let mut output = [f64::NAN; 4];
        let input = MatRef::new(&[3.0, 7.0, 1.0, -1.0], 2, 2);
        layer.forward(&[1.0, 2.0, 0.5, 0.0], input, MatMut::new(&mut output, 2, 2), &mut [f64::NAN; 6]);
        assert_eq!(output, [-0.5, 2.0, 1.5, -2.0]);
    }

    #[test]
    fn output_has_mean_zero_and_variance_one_whatever_shift_and_scale_the_input_has() {
        let input: Vec<f64> = (0..37).map(|i| 1e3 + 5.0 * f64::sin(f64::from(i))).collect();
        let layer = LayerNorm::new(37);
        let (mut params, mut output, mut cache) = (vec![1.0; 74], vec![f64::NAN; 37], vec![f64::NAN; 38]);
        params[37..].fill(0.0);
        layer.forward(&params, MatRef::new(&input, 37, 1), MatMut::new(&mut output, 37, 1), &mut cache);
        let mean = output.iter().sum::<f64>() / 37.0;
        let square = output.iter().map(|y| y * y).sum::<f64>() / 37.0;
        assert!(mean.abs() < 1e-12 && (square - 1.0).abs() < 1e-6);
    }

    #[test]
    fn an_epsilon_that_is_not_positive_is_refused() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Layer::<f64>::validate(&LayerNorm::new(2).epsilon(bad)).unwrap_err();
            assert!(matches!(error, Error::HyperParameter { .. }));
        }
    }
}
