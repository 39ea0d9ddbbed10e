//! Checks of settings in the working precision, in which they are used.

use crate::error::require;
use crate::{Result, Scalar};

/// [`require`] of a number that is positive and finite in the working precision.
pub(crate) fn require_positive<T: Scalar>(name: &'static str, value: f64) -> Result<()> {
    let rounded = T::of(value).to_f64();
    let expected = match value > 0.0 && value.is_finite() && is_single::<T>() {
        true => "in f32's range, from 1.4e-45 to 3.4e38",
        false => "positive and finite",
    };
    require(rounded > 0.0 && rounded.is_finite(), name, expected, value)
}

/// [`require`] of a number that is not negative, and finite in the working precision.
pub(crate) fn require_non_negative<T: Scalar>(name: &'static str, value: f64) -> Result<()> {
    let expected = match value.is_finite() && value >= 0.0 && is_single::<T>() {
        true => "in f32's range, at most 3.4e38",
        false => "non-negative and finite",
    };
    require(value >= 0.0 && T::of(value).is_finite(), name, expected, value)
}

/// [`require`] of a number that is finite in the working precision.
pub(crate) fn require_finite<T: Scalar>(name: &'static str, value: f64) -> Result<()> {
    let expected = match value.is_finite() && is_single::<T>() {
        true => "in f32's range, from -3.4e38 to 3.4e38",
        false => "finite",
    };
    require(T::of(value).is_finite(), name, expected, value)
}

/// [`require`] of a share that is below 1 in the working precision, too.
pub(crate) fn require_share<T: Scalar>(name: &'static str, value: f64) -> Result<()> {
    let expected = match value < 1.0 && is_single::<T>() {
        true => "in [0, 1), at most 0.99999994 in f32",
        false => "in [0, 1)",
    };
    require(value >= 0.0 && T::of(value) < T::one(), name, expected, value)
}

/// Whether the working precision is `f32`.
fn is_single<T>() -> bool {
    size_of::<T>() == size_of::<f32>()
}
