//! The two precisions, `f32` and `f64`, and the values of half-precision numbers.

use std::iter::Sum;

use nalgebra::RealField;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

mod sealed {
    #[cfg(feature = "simd")]
    pub trait Sealed: crate::machine::linalg::Precision + crate::machine::linalg::Vectors {}
    #[cfg(not(feature = "simd"))]
    pub trait Sealed: crate::machine::linalg::Precision {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The number type of a network: `f32` or `f64`. Sealed, so that bounds can grow without breaking users.
///
/// The arithmetic comes from [`nalgebra::RealField`]; this trait adds conversions and the two draws that
/// initialisers need.
pub trait Scalar: RealField + Copy + Default + Sum + sealed::Sealed {
    /// The nearest value of this type. (`from_f64` would be ambiguous: nalgebra's traits bring num-traits'.)
    fn of(value: f64) -> Self;
    /// The same value as `f64`, exact.
    fn to_f64(self) -> f64;
    /// One draw from N(0, 1).
    fn standard_normal(rng: &mut dyn Rng) -> Self;
    /// One draw from the uniform distribution on [0, 1).
    fn uniform(rng: &mut dyn Rng) -> Self;
}

macro_rules! scalar {
    ($t:ty) => {
        impl Scalar for $t {
            #[inline]
            fn of(value: f64) -> Self {
                value as $t
            }
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn standard_normal(mut rng: &mut dyn Rng) -> Self {
                StandardNormal.sample(&mut rng)
            }
            fn uniform(mut rng: &mut dyn Rng) -> Self {
                (&mut rng).random::<$t>()
            }
        }
    };
}
scalar!(f32);
scalar!(f64);

/// The value of a number of half precision (IEEE 754 binary16), exact.
pub(crate) fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (u64::from(bits >> 10) & 31, u64::from(bits) & 0x3ff);
    let magnitude = match (exponent, fraction) {
        (0, _) => fraction as f64 / f64::from(1 << 24),
        (31, 0) => f64::INFINITY,
        (31, _) => f64::NAN,
        // The exponent counts from −15 there and from −1023 here.
        _ => f64::from_bits((exponent + 1008) << 52 | fraction << 42),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}

/// The value of a bf16, the upper half of a single.
pub(crate) fn bf16(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_is_a_fraction_of_ten_bits_at_a_power_of_two() {
        let value = |sign: i32, exponent: i32, fraction: i32| match exponent {
            0 => f64::from(sign) * f64::from(fraction) * 2f64.powi(-24),
            _ => f64::from(sign) * (1.0 + f64::from(fraction) / 1024.0) * 2f64.powi(exponent - 15),
        };
        for bits in 0..=u16::MAX {
            let (sign, exponent, fraction) = (bits >> 15, (bits >> 10) & 31, bits & 1023);
            let sign = if sign == 1 { -1 } else { 1 };
            match (exponent, fraction) {
                (31, 0) => assert_eq!(half(bits), f64::from(sign) * f64::INFINITY),
                (31, _) => assert!(half(bits).is_nan()),
                _ => {
                    let expected = value(sign, exponent.into(), fraction.into());
                    assert!(half(bits) == expected && half(bits).is_sign_negative() == (sign < 0), "{bits:#x}");
                }
            }
        }
    }
}
