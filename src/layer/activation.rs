//! Activation functions, and the layer that applies one to every unit.

use super::{Layer, Proximal, Shape, Unit, Wiring};
use crate::error::require;
use crate::machine::linalg::dispatch;
use crate::machine::linalg::functions::{gelu, sigmoid, silu, softplus, tanh};
use crate::machine::setting::require_finite;
use crate::{Error, MatMut, MatRef, Result, Scalar};

/// A scalar function σ, applied to every entry by [`Elementwise`].
///
/// At a kink the derivative is the one from the left: ReLU'(0) = 0. Functions that are constant but for jumps have the
/// derivative 0 everywhere; [`Elementwise::straight_through`] puts another in its place. Values and derivatives are exact to
/// 10⁻⁶ in `f32` and 10⁻¹⁴ in `f64`, in the tails too (where terms cancel, as in the derivatives of GELU and SiLU near their
/// zeros, relative to the terms), and neither overflow nor give a NaN, for any finite x.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// σ(x) = 1 for x ≥ 0, else −1. Its derivative is 0.
    Sign,
    /// σ(x) = 1 for x ≥ 0, else 0. Its derivative is 0.
    Step,
    /// The nearest of 2ᵇ levels, evenly spaced from −1 to 1; half-way the upper one. Its derivative is 0; one bit is
    /// [`Sign`](Self::Sign).
    Quantize(
        /// The bits b, 1 ..= 16.
        u32,
    ),
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
            Activation::Sign => {
                let $f = |x: T| (step(x, -T::one()), T::zero());
                $body
            }
            Activation::Step => {
                let $f = |x: T| (step(x, T::zero()), T::zero());
                $body
            }
            Activation::Quantize(bits) => {
                let half = half_steps::<T>(bits);
                let $f = |x: T| (quantize(x, half), T::zero());
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

    /// Whether σ' is anything but 0 everywhere.
    pub const fn has_derivative(self) -> bool {
        !matches!(self, Self::Sign | Self::Step | Self::Quantize(_))
    }

    /// Returns bounds that no value leaves, the lower one first: (0, 1) of a sigmoid, (0, ∞) of a ReLU, and (−∞, ∞) where there
    /// are none. Those of GELU and SiLU, whose least values are −0.16997… and −0.27846…, are rounded outwards.
    pub const fn range(self) -> (f64, f64) {
        match self {
            Self::Identity => (f64::NEG_INFINITY, f64::INFINITY),
            Self::LeakyRelu(slope) if slope > 0.0 => (f64::NEG_INFINITY, f64::INFINITY),
            Self::Relu | Self::LeakyRelu(_) | Self::Softplus => (0.0, f64::INFINITY),
            Self::Gelu => (-0.17, f64::INFINITY),
            Self::Silu => (-0.2785, f64::INFINITY),
            Self::Sigmoid | Self::Step => (0.0, 1.0),
            Self::Tanh | Self::HardTanh | Self::Sign | Self::Quantize(_) => (-1.0, 1.0),
        }
    }

    /// Returns c for a function with σ(u) − σ(−u) = c·u for all u, as the ReLU family has it.
    pub(crate) fn pairs(self) -> Option<f64> {
        match self {
            Self::Relu | Self::Softplus | Self::Gelu | Self::Silu => Some(1.0),
            Self::LeakyRelu(slope) => Some(1.0 + slope).filter(|sum| *sum > 0.0),
            _ => None,
        }
    }

    /// Whether σ' costs so much that it is worth keeping from the forward pass.
    fn keeps_derivative(self) -> bool {
        match self {
            Self::Identity | Self::Relu | Self::LeakyRelu(_) | Self::HardTanh => false,
            Self::Sign | Self::Step | Self::Quantize(_) => false,
            Self::Tanh | Self::Sigmoid | Self::Softplus | Self::Gelu | Self::Silu => true,
        }
    }
}

#[inline(always)]
fn relu<T: Scalar>(x: T) -> (T, T) {
    // Written so that a NaN goes through.
    if x <= T::zero() { (T::zero(), T::zero()) } else { (x, T::one()) }
}

#[inline(always)]
fn leaky<T: Scalar>(x: T, slope: T) -> (T, T) {
    if x > T::zero() { (x, T::one()) } else { (slope * x, slope) }
}

#[inline(always)]
fn hard_tanh<T: Scalar>(x: T) -> (T, T) {
    let inside = x > -T::one() && x <= T::one();
    (x.clamp(-T::one(), T::one()), if inside { T::one() } else { T::zero() })
}

#[inline(always)]
fn step<T: Scalar>(x: T, low: T) -> T {
    if x >= T::zero() {
        T::one()
    } else if x < T::zero() {
        low
    } else {
        x
    }
}

/// Half the number of steps between the levels of [`Activation::Quantize`], (2ᵇ − 1)/2.
pub(super) fn half_steps<T: Scalar>(bits: u32) -> T {
    T::of((f64::from(bits).exp2() - 1.0) / 2.0)
}

/// The cell that x lies in, its lower end at cell / half; cells −(half + ½) ..= half − ½ have a level of their own.
#[inline(always)]
pub(super) fn cell<T: Scalar>(x: T, half: T) -> T {
    let last = half + T::of(0.5);
    (x * half).floor().clamp(-last, last - T::one())
}

/// The level of a cell.
#[inline(always)]
pub(super) fn level<T: Scalar>(cell: T, half: T) -> T {
    (cell + T::of(0.5)) / half
}

#[inline(always)]
fn quantize<T: Scalar>(x: T, half: T) -> T {
    level(cell(x, half), half)
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Elementwise {
    dim: usize,
    activation: Activation,
    straight_through: bool,
}

impl Elementwise {
    /// `activation` on `dim` rows.
    pub const fn new(dim: usize, activation: Activation) -> Self {
        Self { dim, activation, straight_through: false }
    }

    /// Pulls gradients back through a function that jumps as if it had this derivative:
    ///
    /// ```text
    /// Sign, Quantize      1 for |x| ≤ 1, else 0      that of hard tanh
    /// Step                ½ for |x| ≤ 1, else 0      that of the hard sigmoid, (1 + x)/2 cut off at 0 and 1
    /// ```
    ///
    /// Each is the slope of what the function is *on average* when a uniform shift of one step of its staircase is added to x
    /// (a width of 2 for `Sign` and `Step`, 2/(2ᵇ − 1) for `Quantize(b)`). So `Step`, which is (1 + `Sign`)/2, has half the slope
    /// over the same window. Pre-activations should be of about unit size: beyond the window nothing is learnt.
    ///
    /// The straight-through estimator: Y. Bengio, N. Léonard, A. Courville (2013), *Estimating or Propagating Gradients Through
    /// Stochastic Neurons for Conditional Computation*, arXiv:1308.3432, who let the gradient through unchanged. That it is
    /// cancelled where |x| > 1 is of I. Hubara, M. Courbariaux, D. Soudry, R. El-Yaniv, Y. Bengio (2016), *Binarized Neural
    /// Networks*, NeurIPS 29, arXiv:1602.02830. Where σ has a derivative of its own [`validate`](Layer::validate) refuses it.
    ///
    /// ```
    /// use decoupled::layer::{Activation, Chain, Dense, Elementwise};
    ///
    /// let sign = Elementwise::new(256, Activation::Sign).straight_through();
    /// let unit = Chain::<f32>::new().then(Dense::new(784, 256)).then(sign);
    /// ```
    #[must_use]
    pub const fn straight_through(self) -> Self {
        Self { straight_through: true, ..self }
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

// Slices that are arguments are known not to overlap, those that a closure captures are not.

/// y = f(x) without the derivative.
#[inline(always)]
fn values<T: Scalar>(x: &[T], y: &mut [T], f: impl Fn(T) -> (T, T)) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(x).0;
    }
}

/// (y, d) = f(x).
#[inline(always)]
fn values_and_derivatives<T: Scalar>(x: &[T], y: &mut [T], d: &mut [T], f: impl Fn(T) -> (T, T)) {
    for ((y, &x), d) in y.iter_mut().zip(x).zip(d) {
        (*y, *d) = f(x);
    }
}

/// g = c · slope(x).
#[inline(always)]
fn scaled<T: Scalar>(c: &[T], x: &[T], g: &mut [T], slope: impl Fn(T) -> T) {
    for ((g, &c), &x) in g.iter_mut().zip(c).zip(x) {
        *g = c * slope(x);
    }
}

impl<T: Scalar> Layer<T> for Elementwise {
    fn input_dim(&self) -> usize {
        self.dim
    }

    fn output_dim(&self) -> usize {
        self.dim
    }

    fn output_shape(&self, input: Shape) -> Shape {
        input
    }

    fn cache_len(&self, examples: usize) -> usize {
        if self.activation.keeps_derivative() { self.dim.saturating_mul(examples) } else { 0 }
    }

    fn name(&self) -> String {
        format!("{:?}", self.activation)
    }

    fn has_derivative(&self) -> bool {
        self.straight_through || self.activation.has_derivative()
    }

    fn unit(&self) -> Option<Unit> {
        Some(Unit { map: None, function: self.activation })
    }

    fn is_straight_through(&self) -> bool {
        self.straight_through
    }

    fn output_range(&self) -> (f64, f64) {
        self.activation.range()
    }

    fn validate(&self) -> Result<()> {
        if self.straight_through && self.activation.has_derivative() {
            return Err(Error::Unsupported {
                what: "straight_through",
                why: "the activation function has a derivative of its own; leave it out",
            });
        }
        match self.activation {
            Activation::LeakyRelu(slope) => require_finite::<T>("slope of LeakyRelu", slope),
            Activation::Quantize(bits) => {
                require((1..=16).contains(&bits), "bits of Quantize", "one of 1 ..= 16", f64::from(bits))
            }
            _ => Ok(()),
        }
    }

    fn forward(&self, _params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        let (x, y) = (input.as_slice(), output.as_mut_slice());
        with_function!(self.activation, f => {
            if self.activation.keeps_derivative() {
                dispatch(#[inline(always)] || values_and_derivatives(x, y, cache, f));
            } else {
                dispatch(#[inline(always)] || values(x, y, f));
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
        let (c, x, g) = (cotangent.as_slice(), input.as_slice(), grad.as_mut_slice());
        if self.straight_through {
            let slope = if self.activation == Activation::Step { T::of(0.5) } else { T::one() };
            let window = |x: T| if x.abs() <= T::one() { slope } else { T::zero() };
            dispatch(
                #[inline(always)]
                || scaled(c, x, g, window),
            );
        } else if self.activation.keeps_derivative() {
            dispatch(
                #[inline(always)]
                || scaled(c, cache, g, |d| d),
            );
        } else {
            with_function!(self.activation, f => dispatch(#[inline(always)] || scaled(c, x, g, |x| f(x).1)));
        }
    }

    fn proximal(&self) -> Option<&dyn Proximal<T>> {
        Some(self)
    }

    fn wiring(&self) -> Option<Wiring> {
        let wiring = Wiring::unit_by_unit([]);
        let scales = matches!(self.activation, Activation::Identity | Activation::Relu | Activation::LeakyRelu(_));
        Some(if scales { wiring.scales() } else { wiring })
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Elementwise", self)
    }
}

impl<T: Scalar> Proximal<T> for Elementwise {
    fn solve(&self, _params: &[T], _prepared: &[T], weight: T, target: MatMut<'_, T>, mut z: MatMut<'_, T>) {
        self.activation.prox_all(target.as_ref().as_slice(), z.as_mut_slice(), weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMOOTH: [Activation; 5] =
        [Activation::Tanh, Activation::Sigmoid, Activation::Softplus, Activation::Gelu, Activation::Silu];

    fn close(found: f64, expected: f64, what: &str) {
        assert!((found - expected).abs() <= 2e-14 * expected.abs(), "{what}: {found:e} instead of {expected:e}");
    }

    // Expectations computed with mpmath at 60 digits.
    #[test]
    fn values_and_derivatives_are_exact_to_the_last_digits_in_centre_and_tails() {
        let table = [
            (Activation::Tanh, -20.0, -1.0, 1.6993417021166355e-17),
            (Activation::Tanh, -3.0, -0.9950547536867305, 0.00986603716544019),
            (Activation::Tanh, -0.5, -0.46211715726000974, 0.7864477329659274),
            (Activation::Tanh, 0.001, 0.0009999996666668, 0.9999990000006667),
            (Activation::Tanh, 0.75, 0.6351489523872873, 0.5965858082813315),
            (Activation::Tanh, 4.0, 0.999329299739067, 0.001340950683025897),
            (Activation::Sigmoid, -20.0, 2.0611536181902037e-09, 2.061153613941849e-09),
            (Activation::Sigmoid, -3.0, 0.04742587317756678, 0.04517665973091213),
            (Activation::Sigmoid, -0.5, 0.37754066879814546, 0.2350037122015945),
            (Activation::Sigmoid, 0.001, 0.5002499999791666, 0.24999993750001043),
            (Activation::Sigmoid, 0.75, 0.679178699175393, 0.21789499376181404),
            (Activation::Sigmoid, 4.0, 0.9820137900379085, 0.017662706213291118),
            (Activation::Softplus, -20.0, 2.061153620314381e-09, 2.0611536181902037e-09),
            (Activation::Softplus, -3.0, 0.04858735157374206, 0.04742587317756678),
            (Activation::Softplus, -0.5, 0.4740769841801067, 0.37754066879814546),
            (Activation::Softplus, 0.001, 0.6936473055599401, 0.5002499999791666),
            (Activation::Softplus, 0.75, 1.1368710061148999, 0.679178699175393),
            (Activation::Softplus, 4.0, 4.0181499279178094, 0.9820137900379085),
            (Activation::Gelu, -20.0, -5.507248237212468e-88, -1.1014360483133464e-86),
            (Activation::Gelu, -3.0, -0.0040496940948902835, -0.011945647204183927),
            (Activation::Gelu, -0.5, -0.15426876936299344, 0.13250487534383715),
            (Activation::Gelu, 0.001, 0.000500398942213911, 0.5007978842948414),
            (Activation::Gelu, 0.75, 0.5800294857173488, 0.9992257217392351),
            (Activation::Gelu, 4.0, 3.9998733150326675, 1.0005036496612263),
            (Activation::Silu, -20.0, -4.122307236380407e-08, -3.9161918660646786e-08),
            (Activation::Silu, -3.0, -0.14227761953270035, -0.08810410601516962),
            (Activation::Silu, -0.5, -0.18877033439907273, 0.2600388126973482),
            (Activation::Silu, 0.001, 0.0005002499999791667, 0.5004999999166667),
            (Activation::Silu, 0.75, 0.5093840243815447, 0.8425999444967535),
            (Activation::Silu, 4.0, 3.928055160151634, 1.052664614891073),
        ];
        for (activation, x, value, derivative) in table {
            close(activation.value(x), value, &format!("{activation:?}({x})"));
            close(activation.derivative(x), derivative, &format!("{activation:?}'({x})"));
        }
    }

    #[test]
    fn nothing_overflows_and_the_limits_are_right_far_out() {
        for activation in SMOOTH {
            for x in [1e2, 1e3, 1e4] {
                let (far, unit) =
                    if matches!(activation, Activation::Tanh | Activation::Sigmoid) { (1.0, 0.0) } else { (x, 1.0) };
                close(activation.value(x), far, "right value");
                assert!((activation.derivative(x) - unit).abs() < 1e-40, "{activation:?}'({x})");
                let left = if activation == Activation::Tanh { -1.0 } else { 0.0 };
                assert!((activation.value(-x) - left).abs() < 1e-40, "{activation:?}(-{x})");
                assert!(activation.derivative(-x).abs() < 1e-40, "{activation:?}'(-{x})");
                for x in [x as f32, -x as f32] {
                    assert!(activation.value(x).is_finite() && activation.derivative(x).is_finite());
                }
            }
        }
    }

    #[test]
    fn kinked_functions_take_the_derivative_from_the_left() {
        let values = |a: Activation| [-2.0, -1.0, 0.0, 1.0, 2.0].map(|x| a.value::<f64>(x));
        let derivatives = |a: Activation| [-2.0, -1.0, 0.0, 1.0, 2.0].map(|x| a.derivative::<f64>(x));
        assert_eq!(values(Activation::Relu), [0.0, 0.0, 0.0, 1.0, 2.0]);
        assert_eq!(derivatives(Activation::Relu), [0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(values(Activation::LeakyRelu(0.25)), [-0.5, -0.25, 0.0, 1.0, 2.0]);
        assert_eq!(derivatives(Activation::LeakyRelu(0.25)), [0.25, 0.25, 0.25, 1.0, 1.0]);
        assert_eq!(values(Activation::HardTanh), [-1.0, -1.0, 0.0, 1.0, 1.0]);
        assert_eq!(derivatives(Activation::HardTanh), [0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(values(Activation::Identity), [-2.0, -1.0, 0.0, 1.0, 2.0]);
        assert_eq!(derivatives(Activation::Identity), [1.0; 5]);
    }

    #[test]
    fn a_nan_goes_through_every_function() {
        let kinked = [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.1), Activation::HardTanh];
        for activation in SMOOTH.into_iter().chain(kinked) {
            assert!(activation.value(f64::NAN).is_nan(), "{activation:?}");
        }
    }

    #[test]
    fn a_slope_that_is_not_finite_is_refused() {
        for slope in [f64::NAN, f64::INFINITY] {
            let layer = Elementwise::new(1, Activation::LeakyRelu(slope));
            assert!(matches!(Layer::<f64>::validate(&layer), Err(crate::Error::HyperParameter { .. })));
        }
    }

    /// The gradient of an [`Elementwise`] at x for the cotangent 1.
    fn pulled_back(layer: Elementwise, x: f64) -> f64 {
        let (input, cotangent) = ([x], [1.0]);
        let [input, cotangent] = [&input, &cotangent].map(|values| MatRef::new(values, 1, 1));
        let (mut value, mut cache, mut grad) = ([f64::NAN], [f64::NAN], [f64::NAN]);
        layer.forward(&[], input, MatMut::new(&mut value, 1, 1), &mut cache);
        layer.input_gradient(&[], input, cotangent, MatMut::new(&mut grad, 1, 1), &mut cache);
        grad[0]
    }

    #[test]
    fn straight_through_is_the_slope_of_the_mean_over_a_uniform_shift_by_one_step() {
        const SHIFTS: i32 = 100_000;
        let jumping = [
            (Activation::Sign, 2.0),
            (Activation::Step, 2.0),
            (Activation::Quantize(1), 2.0),
            (Activation::Quantize(2), 2.0 / 3.0),
            (Activation::Quantize(4), 2.0 / 15.0),
        ];
        for (activation, width) in jumping {
            let mean = |x: f64| {
                let shift = |i: i32| width * ((f64::from(i) + 0.5) / f64::from(SHIFTS) - 0.5);
                (0..SHIFTS).map(|i| activation.value(x + shift(i))).sum::<f64>() / f64::from(SHIFTS)
            };
            for x in [-2.3, -1.01, -0.98, -0.7, -0.31, 0.0, 0.013, 0.5, 0.97, 1.02, 1.6] {
                let slope = (mean(x + 0.005) - mean(x - 0.005)) / 0.01;
                let found = pulled_back(Elementwise::new(1, activation).straight_through(), x);
                assert!((found - slope).abs() < 5e-3, "{activation:?} at {x}: {found}, not {slope}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_window_belong_to_it_and_without_it_the_gradient_is_zero() {
        let table = [(Activation::Sign, 1.0), (Activation::Step, 0.5), (Activation::Quantize(3), 1.0)];
        for (activation, slope) in table {
            let jumping = Elementwise::new(1, activation);
            for x in [-1.0f64, 0.0, 1.0] {
                assert_eq!(pulled_back(jumping.straight_through(), x), slope);
                assert_eq!(pulled_back(jumping, x), 0.0);
            }
            for x in [-1.0 - 1e-15, 1.0 + 1e-15, -9.0, 9.0] {
                assert_eq!(pulled_back(jumping.straight_through(), x), 0.0);
            }
        }
    }
}
