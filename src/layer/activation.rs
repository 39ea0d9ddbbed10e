use super::Layer;
use crate::{MatMut, MatRef, Result, Scalar, error::require};

/// A scalar function σ, applied to every entry by [`Elementwise`].
///
/// At a kink the derivative is the one from the left: ReLU'(0) = 0. All are accurate, and neither overflow nor give a
/// NaN, for any finite x.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// σ(x) = x.
    Identity,
    /// σ(x) = max(x, 0).
    Relu,
    /// σ(x) = x for x > 0, else slope · x. A. Maas, A. Hannun, A. Ng (2013), *Rectifier Nonlinearities Improve Neural Network
    /// Acoustic Models*, ICML workshop.
    LeakyRelu(
        /// The slope below zero, finite.
        f64,
    ),
    /// σ(x) = tanh x.
    Tanh,
    /// σ(x) = 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// σ(x) = log(1 + eˣ).
    Softplus,
    /// σ(x) = x · Φ(x), Φ the distribution function of N(0, 1); exact, not the tanh approximation.
    /// D. Hendrycks, K. Gimpel (2016), *Gaussian Error Linear Units*, arXiv:1606.08415.
    Gelu,
    /// σ(x) = x / (1 + e⁻ˣ), also called swish. S. Elfwing, E. Uchibe, K. Doya (2017), *Sigmoid-Weighted Linear Units*,
    /// arXiv:1702.03118.
    Silu,
    /// σ(x) = x cut off at −1 and 1.
    HardTanh,
}

/// Runs `$body` with `$f: T -> (value, derivative)` bound to the function, one copy per function, so that the choice stays
/// outside of the loops in it.
macro_rules! with_function {
    ($activation:expr, $f:ident => $body:expr) => {
        match $activation {
            Activation::Identity => {
                let $f = |x: T| (x, T::one());
                $body
            }
            Activation::Relu => {
                let $f = relu::<T>;
                $body
            }
            Activation::LeakyRelu(slope) => {
                let slope = T::of(slope);
                let $f = |x: T| leaky(x, slope);
                $body
            }
            Activation::Tanh => {
                let $f = tanh::<T>;
                $body
            }
            Activation::Sigmoid => {
                let $f = sigmoid::<T>;
                $body
            }
            Activation::Softplus => {
                let $f = softplus::<T>;
                $body
            }
            Activation::Gelu => {
                let $f = gelu::<T>;
                $body
            }
            Activation::Silu => {
                let $f = silu::<T>;
                $body
            }
            Activation::HardTanh => {
                let $f = hard_tanh::<T>;
                $body
            }
        }
    };
}

impl Activation {
    /// σ(x).
    pub fn value<T: Scalar>(self, x: T) -> T {
        with_function!(self, f => f(x).0)
    }

    /// σ'(x).
    pub fn derivative<T: Scalar>(self, x: T) -> T {
        with_function!(self, f => f(x).1)
    }

    /// Whether σ' costs so much that it is worth keeping from the forward pass.
    fn keeps_derivative(self) -> bool {
        match self {
            Self::Identity | Self::Relu | Self::LeakyRelu(_) | Self::HardTanh => false,
            Self::Tanh | Self::Sigmoid | Self::Softplus | Self::Gelu | Self::Silu => true,
        }
    }
}

#[inline]
fn relu<T: Scalar>(x: T) -> (T, T) {
    // Written so that a NaN goes through.
    if x <= T::zero() { (T::zero(), T::zero()) } else { (x, T::one()) }
}

#[inline]
fn leaky<T: Scalar>(x: T, slope: T) -> (T, T) {
    if x > T::zero() { (x, T::one()) } else { (slope * x, slope) }
}

#[inline]
fn hard_tanh<T: Scalar>(x: T) -> (T, T) {
    let inside = x > -T::one() && x <= T::one();
    (x.clamp(-T::one(), T::one()), if inside { T::one() } else { T::zero() })
}

#[inline]
fn tanh<T: Scalar>(x: T) -> (T, T) {
    // 1 − tanh² would lose every digit in the tails; with q = e^(−2|x|) it is 4q / (1 + q)².
    let q = (-(x.abs() + x.abs())).exp();
    let reciprocal = T::one() / (T::one() + q);
    (x.tanh(), T::of(4.0) * q * reciprocal * reciprocal)
}

#[inline]
fn sigmoid<T: Scalar>(x: T) -> (T, T) {
    let q = (-x.abs()).exp();
    let reciprocal = T::one() / (T::one() + q);
    let value = if x > T::zero() { reciprocal } else { q * reciprocal };
    (value, q * reciprocal * reciprocal)
}

#[inline]
fn softplus<T: Scalar>(x: T) -> (T, T) {
    let q = (-x.abs()).exp();
    let value = x.max(T::zero()) + q.ln_1p();
    let reciprocal = T::one() / (T::one() + q);
    (value, if x > T::zero() { reciprocal } else { q * reciprocal })
}

#[inline]
fn silu<T: Scalar>(x: T) -> (T, T) {
    let (s, ds) = sigmoid(x);
    (x * s, s + x * ds)
}

#[inline]
fn gelu<T: Scalar>(x: T) -> (T, T) {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};
    let x = x.to_f64();
    let distribution = 0.5 * libm::erfc(-x * FRAC_1_SQRT_2);
    let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
    (T::of(x * distribution), T::of(distribution + x * density))
}

/// An [`Activation`] applied to each of `dim` rows: ẑ = σ(z). No parameters.
///
/// # Example
///
/// ```
/// use decoupled::layer::{Activation, Chain, Dense, Elementwise};
///
/// let unit = Chain::<f32>::new().then(Dense::new(784, 256)).then(Elementwise::new(256, Activation::Relu));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elementwise {
    dim: usize,
    activation: Activation,
}

impl Elementwise {
    /// `activation` on `dim` rows.
    pub const fn new(dim: usize, activation: Activation) -> Self {
        Self { dim, activation }
    }

    /// Rows of input and output.
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// The function.
    pub const fn activation(&self) -> Activation {
        self.activation
    }
}

impl<T: Scalar> Layer<T> for Elementwise {
    fn input_dim(&self) -> usize {
        self.dim
    }

    fn output_dim(&self) -> usize {
        self.dim
    }

    fn cache_len(&self, examples: usize) -> usize {
        if self.activation.keeps_derivative() { self.dim * examples } else { 0 }
    }

    fn validate(&self) -> Result<()> {
        match self.activation {
            Activation::LeakyRelu(slope) => require(slope.is_finite(), "slope of LeakyRelu", "finite", slope),
            _ => Ok(()),
        }
    }

    fn forward(&self, _params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        let pairs = output.as_mut_slice().iter_mut().zip(input.as_slice());
        with_function!(self.activation, f => {
            if self.activation.keeps_derivative() {
                for ((y, &x), d) in pairs.zip(cache) {
                    (*y, *d) = f(x);
                }
            } else {
                for (y, &x) in pairs {
                    *y = f(x).0;
                }
            }
        });
    }

    fn input_gradient(
        &self,
        _params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let pairs = grad.as_mut_slice().iter_mut().zip(cotangent.as_slice());
        if self.activation.keeps_derivative() {
            for ((g, &c), &d) in pairs.zip(cache.iter()) {
                *g = c * d;
            }
        } else {
            with_function!(self.activation, f => for ((g, &c), &x) in pairs.zip(input.as_slice()) {
                *g = c * f(x).1;
            });
        }
    }
}
