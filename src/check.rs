//! Checks of the contracts of [`Layer`](crate::Layer), [`Loss`](crate::Loss) and [`Optimizer`](crate::Optimizer): call them in a
//! test of your own type.
//!
//! Gradients are compared with central differences along coordinate axes and random directions. The differences are taken at
//! several distances; where they disagree with each other, as they do across a kink, the check moves closer, then to
//! another point, and in the end refuses the type. They are never weighed against the gradient under test, so a wrong gradient
//! has no excuse.
//!
//! Run the checks in `f64`, where a gradient must agree to 1e-6 of its root mean square. They work in `f32`, to about 3e-3.

mod difference;
mod layer;
mod loss;
mod optimizer;

pub use layer::{layer, layer_at};
pub use loss::{loss, loss_at};
pub use optimizer::optimizer;

use std::{
    any::Any,
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rand::Rng;

use crate::{Error, Result, Scalar, linalg::norm_squared};

/// The name of what is being checked, for errors about it.
struct Subject(String);

impl Subject {
    fn new(subject: &(impl Debug + ?Sized)) -> Self {
        Self(format!("{subject:?}"))
    }

    fn breach(&self, what: impl Into<String>, expected: f64, found: f64) -> Error {
        Error::Contract { subject: self.0.clone(), what: what.into(), expected, found }
    }

    /// The first entry that is NaN or infinite is a breach.
    fn finite<T: Scalar>(&self, what: &str, found: &[T]) -> Result<()> {
        match found.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            Some((i, v)) => Err(self.breach(format!("{what}, entry {i}, must be finite"), 0.0, v.to_f64())),
            None => Ok(()),
        }
    }

    /// Every difference of more than `tolerance` is a breach.
    fn close<T: Scalar>(&self, what: &str, expected: &[T], found: &[T], tolerance: f64) -> Result<()> {
        for (i, (e, f)) in expected.iter().zip(found).enumerate() {
            let (e, f) = (e.to_f64(), f.to_f64());
            // False for NaN.
            let agrees = (e - f).abs() <= tolerance;
            if !agrees {
                return Err(self.breach(format!("{what}, entry {i}"), e, f));
            }
        }
        Ok(())
    }

    fn same<T: Scalar>(&self, what: &str, expected: &[T], found: &[T]) -> Result<()> {
        self.close(what, expected, found, 0.0)
    }
}

/// `call()`, with a panic turned into [`Error::Panicked`].
fn guard<R>(what: &'static str, call: impl FnOnce() -> R) -> Result<R> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| Error::Panicked {
        what,
        layer: 0,
        message: message(&*payload),
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a payload that is not text").to_owned()
}

fn gaussian<T: Scalar>(len: usize, rng: &mut dyn Rng) -> Vec<T> {
    (0..len).map(|_| T::standard_normal(rng)).collect()
}

/// What rounding may do to a sum of many products of size `a`: 10⁴ units of it.
fn rounding<T: Scalar>(a: &[T]) -> f64 {
    1e4 * T::default_epsilon().to_f64() * norm_squared(a).to_f64().sqrt()
}
