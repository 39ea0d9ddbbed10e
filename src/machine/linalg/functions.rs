//! Functions of one number without branches and without tables, so that loops over them become vector instructions.
//!
//! Coefficients are this crate's own, from `tests/functions/derive.py`: interpolations at Chebyshev nodes. Each function is
//! written once for both precisions, and gives the same bits for an argument wherever it stands.
//!
//! # Errors
//!
//! With the unit δ = 10⁻⁶ for `f32` and 10⁻¹⁴ for `f64`, and ω the least subnormal number, for every argument, infinite ones
//! included:
//!
//! ```text
//! |error| ≤ δ·|exact| + ω                     all but these three:
//! |error| ≤ δ·|exact| + (1 + |x|)·ω           x·σ(x), σ the sigmoid
//! |error| ≤ δ·(σ + |x|·σ') + (1 + |x|)·ω      its derivative σ + x·σ'
//! |error| ≤ δ·(Φ + |x|·φ) + ω                 the derivative Φ + x·φ of x·Φ(x)
//! ```
//!
//! The last two have a zero, near which no bound relative to the result can hold. Nothing overflows where the exact result is
//! finite, a NaN gives NaN, and what vanishes at zero keeps its sign. The tests find up to 0.4 δ.

use crate::Scalar;

/// What the functions need of a precision, beside its arithmetic. Public for the sake of [`Scalar`]'s bounds alone.
pub trait Precision: Sized + 'static {
    /// Below it 4·eˣ is 0.
    #[doc(hidden)]
    const EXP_END: Self;
    /// log 2 in two parts; any n that occurs times the first is exact.
    #[doc(hidden)]
    const LN_2: (Self, Self);
    /// Added to a number, it leaves the nearest integer n, and in the last bits the exponent of 2ⁿ.
    #[doc(hidden)]
    const ROUND: Self;
    /// (eʳ − 1 − r)/r² for |r| ≤ (log 2)/2, from the constant term on, as all polynomials here.
    #[doc(hidden)]
    const EXP: &'static [Self];
    /// log(1 + q)/y in y², for y = 2q/(2 + q) and 0 ≤ q ≤ 1.
    #[doc(hidden)]
    const LOG: &'static [Self];
    /// Beyond it e^(−t²/2) is 0.
    #[doc(hidden)]
    const GAUSSIAN_END: Self;
    /// e^(t²/2)·Φ(−t) for 0 ≤ t ≤ `GAUSSIAN_END`, numerator and denominator; all positive, so that nothing cancels.
    #[doc(hidden)]
    const MILLS: (&'static [Self], &'static [Self]);
    /// 2ⁿ, from n + `ROUND`.
    #[doc(hidden)]
    fn power_of_two(rounded: Self) -> Self;
    /// The number without the lower half of its digits, so that its square is exact.
    #[doc(hidden)]
    fn upper_digits(self) -> Self;
    // What nalgebra's traits have as well, but not always inline.
    #[doc(hidden)]
    fn size(self) -> Self;
    #[doc(hidden)]
    fn with_sign_of(self, other: Self) -> Self;
}

macro_rules! precision {
    ($t:ty, $exponent:expr, $mantissa:expr, $upper:expr, { $($constants:tt)* }) => {
        impl Precision for $t {
            $($constants)*
            const ROUND: Self = 1.5 * (1u64 << $mantissa) as Self + ((1 << ($exponent - 1)) - 1) as Self;

            #[inline(always)]
            fn power_of_two(rounded: Self) -> Self {
                Self::from_bits(rounded.to_bits() << $mantissa)
            }

            #[inline(always)]
            fn upper_digits(self) -> Self {
                Self::from_bits(self.to_bits() >> $upper << $upper)
            }

            #[inline(always)]
            fn size(self) -> Self {
                self.abs()
            }

            #[inline(always)]
            fn with_sign_of(self, other: Self) -> Self {
                self.copysign(other)
            }
        }
    };
}

precision!(f32, 8, 23, 12, {
    const EXP_END: Self = -106.0;
    const LN_2: (Self, Self) = (0.69314575, 1.4286068e-06);
    const EXP: &'static [Self] = &[0.5, 0.16666578, 0.041666556, 0.008363173, 0.0013926176];
    const LOG: &'static [Self] = &[1.0, 0.0833329, 0.012507686, 0.002184778, 0.00054995663];
    const GAUSSIAN_END: Self = 15.0;
    const MILLS: (&'static [Self], &'static [Self]) = (
        &[0.5, 0.44769955, 0.1904504, 0.043135688, 0.004506935],
        &[1.0, 1.6932846, 1.2319361, 0.48857495, 0.10812953, 0.011297136],
    );
});
precision!(f64, 11, 52, 27, {
    const EXP_END: Self = -748.0;
    const LN_2: (Self, Self) = (0.6931471805598903, 5.497923018708371e-14);
    const EXP: &'static [Self] = &[
        0.5000000000000001,
        0.16666666666666669,
        0.041666666666624164,
        0.008333333333330065,
        0.0013888888917196719,
        0.00019841269863040545,
        2.4801521322368692e-05,
        2.7557268480310024e-06,
        2.7620075879983367e-07,
        2.5100375832561234e-08,
    ];
    const LOG: &'static [Self] = &[
        1.0,
        0.08333333333335322,
        0.012499999998527375,
        0.0022321428993482156,
        0.0004340271652606696,
        8.878349511950152e-05,
        1.8754487608510295e-05,
        4.147737269769255e-06,
        7.538443793308095e-07,
        3.3914115574099163e-07,
    ];
    const GAUSSIAN_END: Self = 39.5;
    const MILLS: (&'static [Self], &'static [Self]) = (
        &[
            0.5,
            0.7762147866853394,
            0.5959632269777076,
            0.29068442926729243,
            0.09829780176655506,
            0.023802444604585707,
            0.004126857706971333,
            0.0004957267615208836,
            3.7722653495915614e-05,
            1.405711550989241e-06,
        ],
        &[
            1.0,
            2.350314134173537,
            2.5672058146494705,
            1.720507195624448,
            0.7858519446004562,
            0.25655142356431854,
            0.06089943655046193,
            0.01043905487389063,
            0.0012461263134063943,
            9.455666984522663e-05,
            3.5235963196932184e-06,
        ],
    );
});

/// By pairs of terms, which halves the chain of sums that wait for one another.
#[expect(clippy::indexing_slicing, reason = "pairs of two, and at least one coefficient")]
#[inline(always)]
fn polynomial<T: Scalar>(coefficients: &[T], x: T) -> T {
    let square = x * x;
    let (pairs, last) = coefficients.split_at((coefficients.len() - 1) / 2 * 2);
    let last = if let [even, odd] = last { *even + *odd * x } else { last[0] };
    pairs.rchunks_exact(2).fold(last, |sum, pair| sum * square + (pair[0] + pair[1] * x))
}

// Comparisons that a NaN passes unchanged.
#[inline(always)]
fn at_most<T: Scalar>(x: T, most: T) -> T {
    if x > most { most } else { x }
}

#[inline(always)]
fn at_least<T: Scalar>(x: T, least: T) -> T {
    if x < least { least } else { x }
}

/// √(eˣ) for x ≤ 0, as 2ⁿ·eʳ with |r| ≤ (log 2)/2. The root, because it is far from underflow where its square is subnormal.
struct Root<T> {
    value: T,
    less_one: T,
}

impl<T: Scalar> Root<T> {
    /// Of x = 2·(`half` + `small`), n chosen for `half` alone. The reduction in two parts is that of W. J. Cody, W. Waite
    /// (1980), *Software Manual for the Elementary Functions*.
    #[inline(always)]
    fn new(half: T, small: T) -> Self {
        let half = at_least(half, T::of(0.5) * T::EXP_END);
        let rounded = half * T::of(std::f64::consts::LOG2_E) + T::ROUND;
        let n = rounded - T::ROUND;
        let r = (half - n * T::LN_2.0) - n * T::LN_2.1 + small;
        let power = T::power_of_two(rounded);
        let rest = power * (r + r * r * polynomial(T::EXP, r));
        Self { value: power + rest, less_one: (power - T::one()) + rest }
    }
}

/// −0, which no sum needs to look at.
#[inline(always)]
fn nothing<T: Scalar>() -> T {
    -T::zero()
}

/// eˣ for x ≤ 0.
#[inline(always)]
pub(crate) fn exp_to_one<T: Scalar>(x: T) -> T {
    let root = Root::new(T::of(0.5) * x, nothing()).value;
    root * root
}

/// tanh x and its derivative.
#[inline(always)]
pub(crate) fn tanh<T: Scalar>(x: T) -> (T, T) {
    // With q = e^(−2|x|): (1 − q)/(1 + q) and 4q/(1 + q)². 1 − q would cancel near 0 and 1 − tanh² in the tails.
    let Root { value: root, less_one } = Root::new(-x.size(), nothing());
    let reciprocal = T::one() / (T::one() + root * root);
    let value = (less_one * (less_one + T::of(2.0)) * reciprocal).with_sign_of(x);
    let slope = (root + root) * reciprocal;
    (value, slope * slope)
}

/// 1/(1 + e⁻ˣ) and its derivative.
#[inline(always)]
pub(crate) fn sigmoid<T: Scalar>(x: T) -> (T, T) {
    let root = Root::new(T::of(-0.5) * x.size(), nothing()).value;
    let q = root * root;
    let right = T::one() / (T::one() + q);
    let (left, slope) = (q * right, root * right);
    (if x > T::zero() { right } else { left }, slope * slope)
}

/// log(1 + eˣ) and its derivative.
#[inline(always)]
pub(crate) fn softplus<T: Scalar>(x: T) -> (T, T) {
    // log(1 + q) = 2 artanh(q/(2 + q)), and both divisions in one.
    let q = exp_to_one(-x.size());
    let (one, two) = (T::one() + q, T::of(2.0) + q);
    let reciprocal = T::one() / (one * two);
    let y = (q + q) * (one * reciprocal);
    let log = y * polynomial(T::LOG, y * y);
    let (right, left) = (two * reciprocal, q * (two * reciprocal));
    let positive = x > T::zero();
    (log + if positive { x } else { T::zero() }, if positive { right } else { left })
}

/// x/(1 + e⁻ˣ) and its derivative.
#[inline(always)]
pub(crate) fn silu<T: Scalar>(x: T) -> (T, T) {
    let (value, slope) = sigmoid(x);
    // Not 0·∞ at the ends.
    let from_below = at_least(x, T::EXP_END);
    let bounded = at_most(from_below, -T::EXP_END);
    (from_below * value, value + bounded * slope)
}

/// For t = |x|, cut off where e^(−t²/2) is 0: t, √(e^(−t²/2)) and e^(t²/2)·Φ(−t).
#[inline(always)]
fn tail<T: Scalar>(x: T) -> (T, T, T) {
    let t = at_most(x.size(), T::GAUSSIAN_END);
    // The rounding error of t² would be one of the exponent.
    let upper = t.upper_digits();
    let quarter = T::of(-0.25);
    let root = Root::new(quarter * (upper * upper), quarter * ((t + upper) * (t - upper))).value;
    (t, root, polynomial(T::MILLS.0, t) / polynomial(T::MILLS.1, t))
}

#[inline(always)]
fn density_at_zero<T: Scalar>() -> T {
    T::of(0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2)
}

/// x·Φ(x), Φ the distribution function of N(0, 1), and its derivative Φ(x) + x·φ(x).
#[inline(always)]
pub(crate) fn gelu<T: Scalar>(x: T) -> (T, T) {
    let (t, root, mills) = tail(x);
    // Both sides, then a choice between the two numbers; a choice of what to compute would be a branch.
    let (value_left, value_right) = (-(t * mills) * root * root, x * (T::one() - mills * root * root));
    let slope = (mills - t * density_at_zero()) * root * root;
    let slope_right = T::one() - slope;
    let left = x < T::zero();
    (if left { value_left } else { value_right }, if left { slope } else { slope_right })
}

/// Distribution function and density of N(0, 1).
#[inline(always)]
pub(crate) fn gaussian<T: Scalar>(x: T) -> (T, T) {
    let (_, root, mills) = tail(x);
    let below = mills * root * root;
    let above = T::one() - below;
    (if x < T::zero() { below } else { above }, density_at_zero::<T>() * root * root)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::machine::linalg::dispatch;

    type Function<T> = fn(T) -> (T, T);

    /// Value and derivative; of the exponential the two are the same.
    fn functions<T: Scalar>() -> BTreeMap<&'static str, Function<T>> {
        let exp: Function<T> = |x| (exp_to_one(x), exp_to_one(x));
        BTreeMap::from([
            ("exp", exp),
            ("tanh", tanh),
            ("sigmoid", sigmoid),
            ("softplus", softplus),
            ("silu", silu),
            ("gelu", gelu),
            ("gaussian", gaussian),
        ])
    }

    /// What is promised: the unit δ, and the least subnormal number ω.
    struct Promise {
        unit: f64,
        least: f64,
    }

    const SINGLE: Promise = Promise { unit: 1e-6, least: f32::from_bits(1) as f64 };
    const DOUBLE: Promise = Promise { unit: 1e-14, least: f64::from_bits(1) };

    impl Promise {
        /// The larger of the errors of value and derivative, in units of δ.
        fn error<T: Scalar>(&self, name: &str, x: T, expected: [f64; 2]) -> f64 {
            let (value, derivative) = functions::<T>()[name](x);
            let x = x.to_f64();
            let (slope_scale, slack) = match name {
                "silu" => (sigmoid(x).0 + x.abs() * sigmoid(x).1, (1.0 + x.abs()) * self.least),
                "gelu" => (gaussian(x).0 + x.abs() * gaussian(x).1, self.least),
                _ => (expected[1].abs(), self.least),
            };
            let error = |found: T, expected: f64, scale: f64| {
                let beyond = (found.to_f64() - expected).abs() - slack;
                if beyond.is_nan() { f64::INFINITY } else { beyond.max(0.0) / scale.max(f64::MIN_POSITIVE) / self.unit }
            };
            error(value, expected[0], expected[0].abs()).max(error(derivative, expected[1], slope_scale))
        }
    }

    fn check_table<T: Scalar>(kind: &str, promise: &Promise, from_bits: impl Fn(u64) -> T) {
        let mut lines = 0;
        for line in include_str!("../../../tests/functions/values.csv").lines() {
            let fields: Vec<&str> = line.split(',').collect();
            let [of_kind, name, bits, value, derivative] = fields[..] else { panic!("{line}") };
            if of_kind != kind {
                continue;
            }
            let x = from_bits(u64::from_str_radix(bits, 16).unwrap());
            let error = promise.error(name, x, [value, derivative].map(|number| number.parse().unwrap()));
            assert!(error <= 1.0, "{name}({x}): {error} units");
            lines += 1;
        }
        assert!(lines > 900, "{lines} lines");
    }

    #[test]
    fn values_and_derivatives_are_those_of_sixty_digits_in_centre_tails_and_subnormal_range() {
        check_table("f32", &SINGLE, |bits| f32::from_bits(u32::try_from(bits).unwrap()));
        check_table("f64", &DOUBLE, f64::from_bits);
    }

    /// By the standard library and libm.
    fn reference(name: &str, x: f64) -> [f64; 2] {
        use std::f64::consts::{FRAC_1_SQRT_2, PI};
        let q = (-x.abs()).exp();
        let value = if x > 0.0 { 1.0 / (1.0 + q) } else { q / (1.0 + q) };
        let slope = value / (1.0 + x.exp());
        let (distribution, density) = (0.5 * libm::erfc(-x * FRAC_1_SQRT_2), (-0.5 * x * x).exp() / (2.0 * PI).sqrt());
        match name {
            "exp" => [x.exp(), x.exp()],
            "tanh" => [x.tanh(), x.cosh().powi(-2)],
            "sigmoid" => [value, slope],
            "softplus" => [x.max(0.0) + q.ln_1p(), value],
            "silu" => [x * value, value + x * slope],
            "gelu" => [x * distribution, distribution + x * density],
            "gaussian" => [distribution, density],
            _ => unreachable!(),
        }
    }

    /// The largest error over the arguments is as promised.
    fn check_against_reference<T: Scalar>(promise: &Promise, name: &str, arguments: impl Iterator<Item = T>) {
        let defined = arguments.filter(|&x| name != "exp" || x <= T::zero());
        let errors = defined.map(|x| (promise.error(name, x, reference(name, x.to_f64())), x));
        let (error, x) = errors.reduce(|most, other| if other.0 > most.0 { other } else { most }).unwrap();
        assert!(error <= 1.0, "{name}({x}): {error} units");
    }

    #[test]
    fn a_walk_through_all_single_precision_numbers_finds_no_larger_error() {
        // Where the reference does not overflow. Further out nothing changes.
        let arguments = (0..=u32::MAX).step_by(4999).map(f32::from_bits).filter(|x| x.abs() < 700.0);
        for name in functions::<f32>().into_keys() {
            check_against_reference(&SINGLE, name, arguments.clone());
        }
    }

    #[test]
    fn a_dense_scan_in_double_precision_finds_no_larger_error() {
        // Where rounding in the reference's own arguments is below the promise.
        let ends = BTreeMap::from([("tanh", 9.0), ("gelu", 4.0), ("gaussian", 4.0)]);
        for name in functions::<f64>().into_keys() {
            let end = ends.get(name).copied().unwrap_or(20.0);
            let arguments = (-200_000..=200_000).map(|i| end * f64::from(i) / 200_000.0);
            check_against_reference(&DOUBLE, name, arguments);
        }
    }

    fn check_ends<T: Scalar>(largest: T) {
        let (zero, one, half) = (T::zero(), T::one(), T::of(0.5));
        let infinity = T::of(f64::INFINITY);
        for (name, left, right) in [
            ("tanh", (-one, zero), (one, zero)),
            ("sigmoid", (zero, zero), (one, zero)),
            ("softplus", (zero, zero), (infinity, one)),
            ("silu", (zero, zero), (infinity, one)),
            ("gelu", (zero, zero), (infinity, one)),
            ("gaussian", (zero, zero), (one, zero)),
        ] {
            let function = functions::<T>()[name];
            assert_eq!(function(-infinity), left, "{name}(-inf)");
            assert_eq!(function(-largest), left, "{name}(-MAX)");
            assert_eq!(function(infinity), right, "{name}(inf)");
            let finite = if right.0 == infinity { largest } else { right.0 };
            assert_eq!(function(largest), (finite, right.1), "{name}(MAX)");
        }
        assert_eq!(exp_to_one(-infinity), zero);
        assert_eq!(exp_to_one(zero), one);
        assert_eq!((sigmoid(zero).0, gaussian(zero).0), (half, half));
        for vanishing in [tanh::<T>, silu::<T>, gelu::<T>] {
            assert!(
                (one / vanishing(zero).0) == infinity && (one / vanishing(-zero).0) == -infinity,
                "the sign of zero"
            );
        }
        for (name, function) in functions::<T>() {
            let (value, derivative) = function(T::of(f64::NAN));
            assert!(value.to_f64().is_nan() && derivative.to_f64().is_nan(), "{name}(NaN)");
        }
    }

    #[test]
    fn limits_are_exact_a_zero_keeps_its_sign_and_a_nan_stays_one() {
        check_ends(f32::MAX);
        check_ends(f64::MAX);
    }

    /// A pass by this processor's vectors against one call after another.
    fn check_passes<T: Scalar + PartialEq>(pass: fn(&[T], &mut [(T, T)]), single: Function<T>) {
        let x: Vec<T> = (0..150).map(|i| T::of(f64::from(i * i % 151) / 7.0 - 11.0)).collect();
        let alone: Vec<(T, T)> = x.iter().map(|&x| std::hint::black_box(single)(x)).collect();
        for start in [0, 1, 3] {
            for end in start + 1..x.len() {
                let mut together = vec![(T::zero(), T::zero()); end - start];
                pass(&x[start..end], &mut together);
                assert_eq!(together, alone[start..end]);
            }
        }
    }

    /// Each of the functions in a loop of its own, for both precisions.
    macro_rules! check_passes {
        ($($function:ident),*) => {$(
            check_passes::<f32>(|x, out| pass(x, out, $function), $function);
            check_passes::<f64>(|x, out| pass(x, out, $function), $function);
        )*};
    }

    fn pass<T: Scalar>(x: &[T], out: &mut [(T, T)], function: impl Fn(T) -> (T, T)) {
        dispatch(
            #[inline(always)]
            || out.iter_mut().zip(x).for_each(|(out, &x)| *out = function(x)),
        );
    }

    #[test]
    fn the_bits_of_an_entry_depend_neither_on_its_place_nor_on_the_processors_vectors() {
        check_passes!(tanh, sigmoid, softplus, silu, gelu, gaussian);
    }
}
