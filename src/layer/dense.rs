//! The dense layer, with its regression and its proximal operator, which exact methods need.

use std::borrow::Cow;

use rand::Rng;

use super::{Activation, Change, Init, Layer, Proximal, Regression, Tensor, Tied, Unit, Wiring};
use crate::machine::linalg::{
    Cholesky, add_columns, add_gram, add_matmul, add_matmul_nt, axpy, bands, matmul, matmul_nt, matmul_tn,
    norm_squared, scale_columns, subtract_matmul, sum, sum_zip,
};
use crate::machine::setting::require_finite;
use crate::{Error, MatMut, MatRef, Result, Scalar};

/// The affine map
///
/// ```text
/// ẑ = W·z + b        W: output × input,  b: output
/// ```
///
/// Parameters: W column after column, then b. Unless set otherwise W is drawn by [`Init::glorot_uniform`] and b is zero.
///
/// # Example
///
/// ```
/// use decoupled::layer::{Dense, Init};
///
/// let layer = Dense::new(784, 256).init(Init::he_normal()).bias(0.1);
/// assert_eq!(layer.param_len(), 256 * 784 + 256);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Dense {
    input: usize,
    output: usize,
    init: Init,
    bias: Option<f64>,
}

impl Dense {
    /// A map from `input` to `output` features.
    pub const fn new(input: usize, output: usize) -> Self {
        Self { input, output, init: Init::glorot_uniform(), bias: Some(0.0) }
    }

    /// How W is drawn.
    #[must_use]
    pub const fn init(self, init: Init) -> Self {
        Self { init, ..self }
    }

    /// The initial value of every entry of b.
    #[must_use]
    pub const fn bias(self, value: f64) -> Self {
        Self { bias: Some(value), ..self }
    }

    /// Leaves b out.
    #[must_use]
    pub const fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// Rows of the input.
    pub const fn input_dim(&self) -> usize {
        self.input
    }

    /// Rows of the output.
    pub const fn output_dim(&self) -> usize {
        self.output
    }

    /// Whether its units are drawn in pairs that see u and −u.
    pub(crate) const fn has_paired_rows(&self) -> bool {
        self.init.has_paired_rows() && self.output > 1
    }

    /// Number of parameters: output · input weights, then output biases.
    pub const fn param_len(&self) -> usize {
        self.weights_len().saturating_add(if self.bias.is_some() { self.output } else { 0 })
    }

    /// Saturates, so that a map that no memory holds is refused for that.
    const fn weights_len(&self) -> usize {
        self.output.saturating_mul(self.input)
    }

    fn weights<'a, T>(&self, params: &'a [T]) -> MatRef<'a, T> {
        MatRef::new(&params[..self.weights_len()], self.output, self.input)
    }
}

impl<T: Scalar> Layer<T> for Dense {
    fn input_dim(&self) -> usize {
        self.input
    }

    fn output_dim(&self) -> usize {
        self.output
    }

    fn param_len(&self) -> usize {
        self.param_len()
    }

    fn validate(&self) -> Result<()> {
        require_finite::<T>("bias of Dense", self.bias.unwrap_or(0.0))?;
        self.init.validate()
    }

    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        let (weights, biases) = params.split_at_mut(self.weights_len());
        self.init.fill(MatMut::new(weights, self.output, self.input), rng);
        if let Some(bias) = self.bias {
            biases.fill(T::of(bias));
        }
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _cache: &mut [T]) {
        let (weights, bias) = (self.weights(params), &params[self.weights_len()..]);
        if self.bias.is_some() {
            output.columns_mut().for_each(|column| column.copy_from_slice(bias));
            add_matmul(weights, input, output);
        } else {
            matmul(weights, input, output);
        }
    }

    fn input_gradient(
        &self,
        params: &[T],
        _input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: MatMut<'_, T>,
        _cache: &mut [T],
    ) {
        matmul_tn(self.weights(params), cotangent, grad);
    }

    fn param_gradient(
        &self,
        _params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        _cache: &mut [T],
    ) {
        let (weights, bias) = grad.split_at_mut(self.weights_len());
        matmul_nt(cotangent, input, MatMut::new(weights, self.output, self.input));
        if self.bias.is_some() {
            bias.fill(T::zero());
            add_columns(cotangent.as_slice(), bias);
        }
    }

    fn regression(&self) -> Option<&dyn Regression<T>> {
        Some(self)
    }

    fn proximal(&self) -> Option<&dyn Proximal<T>> {
        Some(self)
    }

    fn unit(&self) -> Option<Unit> {
        Some(Unit { map: Some(*self), function: Activation::Identity })
    }

    fn wiring(&self) -> Option<Wiring> {
        let bias = self.bias.map(|_| Tied::Outputs);
        Some(Wiring::new([Tied::Weights].into_iter().chain(bias).collect::<Vec<_>>()).scales())
    }

    fn tensors(&self) -> Vec<Tensor> {
        let bias = self.bias.map(|_| Tensor::vector("bias", self.output));
        [Tensor::matrix("weight", self.output, self.input)].into_iter().chain(bias).collect()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Dense", self)
    }
}

/// The moments of a [`Dense`] layer over its examples (z, u), lent from one slice in this order, with m inputs and p outputs.
struct Moments<S> {
    /// Σ z·zᵀ, `m × m`, on and below the diagonal.
    gram: S,
    /// Σ z, m.
    inputs: S,
    /// Number of examples, 1.
    count: S,
    /// Σ u·[zᵀ 1], `p × (m + 1)`.
    cross: S,
}

impl Dense {
    const fn moments_len(&self) -> usize {
        let columns = self.input.saturating_add(1);
        let inputs = self.input.saturating_mul(columns).saturating_add(1);
        inputs.saturating_add(self.output.saturating_mul(columns))
    }

    fn moments<'a, T>(&self, all: &'a [T]) -> Moments<&'a [T]> {
        let (gram, rest) = all.split_at(self.input * self.input);
        let (inputs, rest) = rest.split_at(self.input);
        let (count, cross) = rest.split_at(1);
        Moments { gram, inputs, count, cross }
    }

    fn moments_mut<'a, T>(&self, all: &'a mut [T]) -> Moments<&'a mut [T]> {
        let (gram, rest) = all.split_at_mut(self.input * self.input);
        let (inputs, rest) = rest.split_at_mut(self.input);
        let (count, cross) = rest.split_at_mut(1);
        Moments { gram, inputs, count, cross }
    }
}

/// θ = [W b] solves θ·(G + D) = C + proximal·θ_old: G the Gram matrix of z with a row of ones below it, if there is a bias, C
/// that of u with it, D diagonal with ridge + proximal, for b proximal alone.
///
/// It is the parameter step of block coordinate descent (Zeng et al. 2019, *Global convergence of block coordinate descent in
/// deep learning*, arXiv 1803.00225), but for the bias, which is found together with the weights and not after them.
impl<T: Scalar> Regression<T> for Dense {
    fn pre_activation_dim(&self) -> usize {
        self.output
    }

    fn moments_len(&self) -> usize {
        self.moments_len()
    }

    fn pre_activation(
        &self,
        _params: &[T],
        _input: MatRef<'_, T>,
        target: MatRef<'_, T>,
        mut out: MatMut<'_, T>,
    ) -> Result<()> {
        out.as_mut_slice().copy_from_slice(target.as_slice());
        Ok(())
    }

    fn accumulate(&self, input: MatRef<'_, T>, pre_activation: MatRef<'_, T>, weights: &[T], moments: &mut [T]) {
        let Moments { gram, inputs, count, cross } = self.moments_mut(moments);
        let weighted = weighted(input, weights);
        let weighted = MatRef::new(&weighted, input.rows(), input.cols());
        let gram = MatMut::new(gram, self.input, self.input);
        if weights.is_empty() {
            // Half the work, as the product of a matrix with itself is symmetric.
            add_gram(input, gram);
            count[0] += T::of(input.cols() as f64);
        } else {
            add_matmul_nt(input, weighted, gram);
            count[0] += sum(weights.iter().copied());
        }
        add_columns(weighted.as_slice(), inputs);
        let (slopes, bias) = cross.split_at_mut(self.weights_len());
        add_matmul_nt(pre_activation, weighted, MatMut::new(slopes, self.output, self.input));
        if self.bias.is_some() {
            add_columns(&self::weighted(pre_activation, weights), bias);
        }
    }

    fn solve(&self, moments: &[T], ridge: T, proximal: T, params: &mut [T], work: &mut Vec<f64>) -> Result<()> {
        let Moments { gram, inputs, count, cross } = self.moments(moments);
        let (m, p, size) = (self.input, self.output, self.input + usize::from(self.bias.is_some()));
        work.resize(size * (size + p), 0.0);
        let (normal, solution) = work.split_at_mut(size * size);
        for (j, column) in normal.chunks_exact_mut(size).enumerate() {
            if j == m {
                column[m] = (count[0] + proximal).to_f64();
                continue;
            }
            for (entry, &value) in column[j..].iter_mut().zip(&gram[j * m + j..(j + 1) * m]) {
                *entry = value.to_f64();
            }
            column[j] += ridge.to_f64() + proximal.to_f64();
            if let Some(last) = column.get_mut(m) {
                *last = inputs[j].to_f64();
            }
        }
        // The moments have been rounded in T: a pivot below that is noise.
        let factor = factor::<T>(normal, size, "the parameters", "the ridge or the proximal weight of the parameters")?;
        for (first, rows, band) in bands(solution, size) {
            for (j, band) in band.chunks_exact_mut(rows).enumerate() {
                for ((s, &c), &old) in band.iter_mut().zip(&cross[j * p + first..]).zip(&params[j * p + first..]) {
                    *s = c.to_f64() + proximal.to_f64() * old.to_f64();
                }
            }
        }
        factor.solve_right(solution)?;
        for (first, rows, band) in bands(solution, size) {
            for (j, band) in band.chunks_exact(rows).enumerate() {
                params[j * p + first..].iter_mut().zip(band).for_each(|(p, &s)| *p = T::of(s));
            }
        }
        Ok(())
    }

    fn change(&self, moments: &[T], before: &[T], after: &[T]) -> Change {
        let Moments { gram, inputs, count, .. } = self.moments(moments);
        let (m, p, n) = (self.input, self.output, count[0].to_f64());
        let mean: Vec<f64> = inputs.iter().map(|&z| z.to_f64() / n).collect();
        let mut covariance = vec![0.0; m * m];
        for j in 0..m {
            for i in j..m {
                let entry = gram[i + j * m].to_f64() / n - mean[i] * mean[j];
                (covariance[i + j * m], covariance[j + i * m]) = (entry, entry);
            }
        }
        let mut image = vec![0.0; p * m];
        let mut spread = |weights: &[f64]| {
            let covariance = MatRef::new(&covariance, m, m);
            matmul(MatRef::new(weights, p, m), covariance, MatMut::new(&mut image, p, m));
            // The trace of W·cov·Wᵀ; rounding may leave it below zero.
            sum_zip(weights, &image, |w, i| w * i).max(0.0)
        };
        let old: Vec<f64> = before.iter().map(|b| b.to_f64()).collect();
        let step: Vec<f64> = after.iter().zip(&old).map(|(a, b)| a.to_f64() - b).collect();
        let (weights, bias) = step.split_at(self.weights_len());
        let mut shift = vec![0.0; p];
        matmul(MatRef::new(weights, p, m), MatRef::new(&mean, m, 1), MatMut::new(&mut shift, p, 1));
        if self.bias.is_some() {
            axpy(1.0, bias, &mut shift);
        }
        Change { squared: spread(weights) + norm_squared(&shift), spread: spread(&old[..self.weights_len()]) }
    }
}

/// z = near + K·(target − W·near − b) with K = Wᵀ(W·Wᵀ + weight·I)⁻¹ = (Wᵀ·W + weight·I)⁻¹Wᵀ, `input × output`; of the
/// two matrices to be inverted, the smaller.
impl<T: Scalar> Proximal<T> for Dense {
    fn prepared_len(&self) -> usize {
        self.weights_len()
    }

    fn prepare(&self, params: &[T], weight: T, prepared: &mut [T], work: &mut Vec<f64>) -> Result<()> {
        let (m, p) = (self.input, self.output);
        let (size, others) = (m.min(p), m.max(p));
        work.resize(size * (size + others), 0.0);
        let (normal, own) = work.split_at_mut(size * size);
        // W, or Wᵀ if that has fewer rows: entry (i, j) of a `size × others` matrix, here and in K.
        let entry = |i: usize, j: usize| if m < p { j + i * p } else { i + j * p };
        for (j, column) in own.chunks_exact_mut(size).enumerate() {
            column.iter_mut().enumerate().for_each(|(i, w)| *w = params[entry(i, j)].to_f64());
        }
        normal.fill(0.0);
        add_gram(MatRef::new(own, size, others), MatMut::new(normal, size, size));
        normal.iter_mut().step_by(size + 1).for_each(|d| *d += weight.to_f64());
        let factor = factor::<f64>(normal, size, "the stored input", "the penalty of the activations below it")?;
        for (first, rows, band) in bands(own, size) {
            for (j, band) in band.chunks_exact_mut(rows).enumerate() {
                band.iter_mut().enumerate().for_each(|(i, w)| *w = params[entry(j, first + i)].to_f64());
            }
        }
        factor.solve_right(own)?;
        for (first, rows, band) in bands(own, size) {
            for (j, band) in band.chunks_exact(rows).enumerate() {
                for (i, &k) in (first..).zip(band) {
                    prepared[if m < p { j + i * m } else { i + j * m }] = T::of(k);
                }
            }
        }
        Ok(())
    }

    fn solve(&self, params: &[T], prepared: &[T], _weight: T, mut target: MatMut<'_, T>, mut z: MatMut<'_, T>) {
        if self.bias.is_some() {
            let bias = &params[self.weights_len()..];
            target.columns_mut().for_each(|target| axpy(-T::one(), bias, target));
        }
        subtract_matmul(self.weights(params), z.as_ref(), target.reborrow());
        add_matmul(MatRef::new(prepared, self.input, self.output), target.as_ref(), z.reborrow());
    }
}

/// The columns of a matrix times their weights, if there are any.
fn weighted<'a, T: Scalar>(matrix: MatRef<'a, T>, weights: &[T]) -> Cow<'a, [T]> {
    let mut entries = Cow::Borrowed(matrix.as_slice());
    if !weights.is_empty() {
        scale_columns(entries.to_mut(), weights);
    }
    entries
}

/// The factor of a matrix whose entries were computed in the precision of T.
fn factor<'a, T: Scalar>(
    matrix: &'a mut [f64],
    size: usize,
    what: &'static str,
    raise: &'static str,
) -> Result<Cholesky<'a>> {
    let refused = |row| Error::NotPositiveDefinite { what, layer: 0, row, size, raise };
    Cholesky::new(matrix, size, T::default_epsilon().to_f64()).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::machine::random::{Purpose, stream};

    #[test]
    fn a_product_worked_by_hand_has_these_values_and_gradients() {
        // W = [1 2 3; 4 5 6], b = (10, 20), z = (1, 0, −1) and (2, 1, 0).
        let layer = Dense::new(3, 2);
        let params = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0, 10.0, 20.0];
        let input = MatRef::new(&[1.0, 0.0, -1.0, 2.0, 1.0, 0.0], 3, 2);
        let mut output = [f64::NAN; 4];
        layer.forward(&params, input, MatMut::new(&mut output, 2, 2), &mut []);
        assert_eq!(output, [8.0, 18.0, 14.0, 33.0]);

        let cotangent = MatRef::new(&[1.0, 0.0, 1.0, -1.0], 2, 2);
        let mut grad = [f64::NAN; 6];
        layer.input_gradient(&params, input, cotangent, MatMut::new(&mut grad, 3, 2), &mut []);
        assert_eq!(grad, [1.0, 2.0, 3.0, -3.0, -3.0, -3.0]);
        let mut grad = [f64::NAN; 8];
        layer.param_gradient(&params, input, cotangent, &mut grad, &mut []);
        assert_eq!(grad, [3.0, -2.0, 1.0, -1.0, -1.0, 0.0, 2.0, -1.0]);
    }

    #[test]
    fn parameters_start_as_set() {
        let mut rng = stream(1, Purpose::Init, 0, 0);
        let mut params = [0.0; 8];
        Dense::new(3, 2).init(Init::constant(0.5)).bias(0.1).init_params(&mut params, &mut rng);
        assert_eq!(params, [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1]);
        let mut params = [0.0; 6];
        Dense::new(3, 2).without_bias().init(Init::constant(0.5)).init_params(&mut params, &mut rng);
        assert_eq!(params, [0.5; 6]);
    }

    #[test]
    fn settings_that_are_not_finite_are_refused() {
        for bad in [Dense::new(1, 1).bias(f64::NAN), Dense::new(1, 1).init(Init::constant(f64::INFINITY))] {
            assert!(matches!(Layer::<f64>::validate(&bad), Err(Error::HyperParameter { .. })));
        }
    }
}
