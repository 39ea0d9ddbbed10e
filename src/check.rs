//! Checks of the contracts that layers, losses, optimizers and activation steps must keep: call one in a test of your own type.
//!
//! The contracts are those of [`Layer`](crate::Layer), [`Loss`](crate::Loss), [`Optimizer`](crate::Optimizer) and
//! [`ActivationStep`](crate::ActivationStep).
//!
//! Gradients are compared with central differences along coordinate axes and random directions. The differences are taken at
//! several distances; where they disagree with each other, as they do across a kink, the check moves closer, then to
//! another point, and in the end refuses the type. They are never weighed against the gradient under test, so a wrong gradient
//! has no excuse.
//!
//! Every rule has a name, which the error of a type that breaks it bears: [`LAYER_RULES`], [`LOSS_RULES`], [`OPTIMIZER_RULES`] and
//! [`ACTIVATION_STEP_RULES`] list them.
//!
//! Run the checks in `f64`, where a gradient must agree to 1e-6 of its root mean square. They work in `f32`, to about 3e-3.

mod difference;

/// The rules of a contract: a list of their names, and `hold`, which calls the functions of these names, one after the other,
/// until one of them fails.
macro_rules! rules {
    ($(#[$doc:meta])* $list:ident of $trial:ident: $($module:ident { $($(#[$on:meta])* $rule:ident,)+ })+) => {
        $(#[$doc])*
        pub const $list: &[&str] = &[$($($(#[$on])* stringify!($rule),)+)+];

        fn hold<T: Scalar>(trial: &mut $trial<'_, T>) -> Result<()> {
            $($($(#[$on])* {
                trial.subject.rule = stringify!($rule);
                $module::$rule(trial)?;
            })+)+
            Ok(())
        }
    };
}

mod activation_step;
mod layer;
mod loss;
mod optimizer;

pub use activation_step::{ACTIVATION_STEP_RULES, activation_step};
pub use layer::{LAYER_RULES, layer, layer_at};
pub use loss::{LOSS_RULES, loss, loss_at};
pub use optimizer::{OPTIMIZER_RULES, optimizer};

use std::{
    any::Any,
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rand::Rng;

use crate::machine::linalg::matrix::filled;
use crate::machine::linalg::norm_squared;
use crate::{Error, Result, Scalar};

/// What is being checked and the rule that is, for errors about it.
struct Subject {
    name: String,
    rule: &'static str,
}

impl Subject {
    fn new(subject: &(impl Debug + ?Sized)) -> Self {
        Self { name: format!("{subject:?}"), rule: "" }
    }

    fn breach(&self, what: impl Into<String>, expected: f64, found: f64) -> Error {
        Error::Contract { subject: self.name.clone(), rule: self.rule, what: what.into(), expected, found }
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

    /// Every difference in bits is a breach, but for the sign of zero.
    fn same<T: Scalar>(&self, what: &str, expected: &[T], found: &[T]) -> Result<()> {
        self.close(what, expected, found, 0.0)
    }

    /// Two numbers of which there are to be as many.
    fn count(&self, what: &str, expected: usize, found: usize) -> Result<()> {
        if expected == found { Ok(()) } else { Err(self.breach(what, expected as f64, found as f64)) }
    }

    fn no_nan<T: Scalar>(&self, what: &str, found: &[T]) -> Result<()> {
        match found.iter().position(|v| v.to_f64().is_nan()) {
            Some(i) => Err(self.breach(format!("{what}, entry {i}, must be a number"), 0.0, f64::NAN)),
            None => Ok(()),
        }
    }
}

/// `call()`, with a panic turned into [`Error::Panicked`].
fn guard<R>(what: &'static str, call: impl FnOnce() -> R) -> Result<R> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| Error::Panicked {
        what,
        layer: None,
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

/// The relative error that a number found by differences, or by solving equations, may have.
fn loose<T: Scalar>() -> f64 {
    (10.0 * T::default_epsilon().to_f64().sqrt()).max(1e-6)
}

/// `rows × examples` draws from N(0, 1), where there is room for them.
fn batch<T: Scalar>(rows: usize, examples: usize, rng: &mut dyn Rng) -> Result<Vec<T>> {
    let mut batch = filled("a batch to check with", rows.saturating_mul(examples), T::zero())?;
    batch.iter_mut().for_each(|x| *x = T::standard_normal(rng));
    Ok(batch)
}

/// A buffer to be overwritten, where there is room for it.
fn nans<T: Scalar>(len: usize) -> Result<Vec<T>> {
    filled("a buffer to check with", len, T::of(f64::NAN))
}
