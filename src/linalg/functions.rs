//! Functions of one number without branches and without tables, so that loops over them become vector instructions.
//!
//! Coefficients are this crate's own, from `tests/functions/derive.py`: interpolations at Chebyshev nodes. Each function is
//! written once for both precisions, and gives the same bits for an argument wherever it stands.
//!
//! # Errors
//!
//! With the unit δ = 10⁻⁶ for `f32` and 10⁻¹⁴ for `f64`, ω the least subnormal number, and for every argument, infinite ones
//! included (a NaN gives NaN):
//!
//! ```text
//! |error| ≤ δ·|exact| + ω             all but the two below; no overflow where the exact result is finite
//! |error| ≤ δ·(σ + |x|·σ') + (1 + |x|)·ω    x·σ(x), σ the sigmoid, and its derivative σ + x·σ'
//! |error| ≤ δ·(Φ + |x|·φ) + ω         the derivative Φ + x·φ of x·Φ(x)
//! ```
//!
//! The derivatives of the last two vanish somewhere, so that no bound relative to the result can hold there.

use crate::Scalar;

/// What the functions need of a precision, beside its arithmetic.
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
    use super::*;

    type Pair<T> = fn(T) -> (T, T);

    fn functions<T: Scalar>() -> [(&'static str, Pair<T>); 7] {
        let exp: Pair<T> = |x| (exp_to_one(x), exp_to_one(x));
        [
            ("exp", exp),
            ("tanh", tanh),
            ("sigmoid", sigmoid),
            ("softplus", softplus),
            ("silu", silu),
            ("gelu", gelu),
            ("gaussian", gaussian),
        ]
    }

    fn function<T: Scalar>(name: &str) -> Pair<T> {
        functions().into_iter().find(|(other, _)| *other == name).expect("a function").1
    }

    /// What an error of a derivative is measured against: its terms, which at most one of the two cancels.
    fn terms(name: &str, x: f64, derivative: f64) -> f64 {
        match name {
            "silu" => sigmoid(x).0 + x.abs() * sigmoid(x).1,
            "gelu" => gaussian(x).0 + x.abs() * gaussian(x).1,
            _ => derivative.abs(),
        }
    }

    /// The largest error in units of what is allowed, by function, value and derivative.
    fn check<T: Scalar>(kind: &str, unit: f64, least: f64, parse: impl Fn(&str) -> T) {
        let mut worst = std::collections::BTreeMap::new();
        for line in include_str!("../../tests/functions/values.csv").lines() {
            let fields: Vec<&str> = line.split(',').collect();
            let [of_kind, name, x, value, derivative] = fields[..] else { panic!("{line}") };
            if of_kind != kind {
                continue;
            }
            let x = parse(x);
            let (found_value, found_derivative) = function::<T>(name)(x);
            let [value, derivative]: [f64; 2] = [value, derivative].map(|field| field.parse().unwrap());
            let slack = if name == "silu" { (1.0 + x.to_f64().abs()) * least } else { least };
            let scale = terms(name, x.to_f64(), derivative);
            for (what, found, expected, scale) in
                [("value", found_value, value, value.abs()), ("derivative", found_derivative, derivative, scale)]
            {
                let error =
                    ((found.to_f64() - expected).abs() - slack).max(0.0) / (unit * scale).max(f64::MIN_POSITIVE);
                let entry = worst.entry((name.to_owned(), what)).or_insert((0.0, x));
                if error.is_nan() || error > entry.0 {
                    *entry = (error, x);
                }
            }
        }
        println!("{worst:?}");
        assert!(worst.values().all(|(error, _)| *error <= 1.0), "{worst:?}");
        assert_eq!(worst.len(), 14);
    }

    #[test]
    fn single_precision_is_exact_to_a_millionth() {
        check("f32", 1e-6, f64::from(f32::from_bits(1)), |bits| f32::from_bits(u32::from_str_radix(bits, 16).unwrap()));
    }

    #[test]
    fn double_precision_is_exact_to_fourteen_digits() {
        check("f64", 1e-14, f64::from_bits(1), |bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap()));
    }
}
