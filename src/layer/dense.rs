use rand::Rng;

use super::{Init, Layer};
use crate::{
    MatMut, MatRef, Result, Scalar,
    error::require,
    linalg::{axpy, matmul, matmul_nt, matmul_tn},
};

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

    /// Number of parameters: output · input weights, then output biases.
    pub const fn param_len(&self) -> usize {
        self.weights_len() + if self.bias.is_some() { self.output } else { 0 }
    }

    const fn weights_len(&self) -> usize {
        self.output * self.input
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
        let bias = self.bias.unwrap_or(0.0);
        require(bias.is_finite(), "bias of Dense", "finite", bias)?;
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
        matmul(self.weights(params), input, output.reborrow());
        if self.bias.is_some() {
            let bias = &params[self.weights_len()..];
            for column in output.columns_mut() {
                for (y, &b) in column.iter_mut().zip(bias) {
                    *y += b;
                }
            }
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
            for column in cotangent.columns() {
                axpy(T::one(), column, bias);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Error,
        random::{Purpose, stream},
    };

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
