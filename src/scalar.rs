use std::iter::Sum;

use nalgebra::RealField;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

mod sealed {
    #[cfg(feature = "simd")]
    pub trait Sealed: crate::linalg::Precision + crate::linalg::Vectors {}
    #[cfg(not(feature = "simd"))]
    pub trait Sealed: crate::linalg::Precision {}
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
