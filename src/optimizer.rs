//! The trait [`Optimizer`] and the built-in rules, schedules and wrappers.

use std::fmt::Debug;

use crate::error::require;
use crate::{Result, Scalar};

mod adam;
mod sgd;

pub use adam::Adam;
pub use sgd::Sgd;

/// Where an update stands: its number and the factor that schedules put on the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<T> {
    /// The number of this update, counted from 1.
    pub number: u64,
    /// Multiply your learning rate by this; 1 unless a schedule wraps the optimizer.
    pub rate: T,
}

/// A first-order rule: θ ← θ + u(g, state). An immutable description; the state is flat data of the network.
///
/// The same trait moves parameters and activations. Parameters come a layer at a time, with the gradient averaged over
/// the batch. Activations come one example and one layer at a time, with the gradient of that example's own energy; so
/// a norm clipped there is the norm of one example's activation.
///
/// [`check::optimizer`](crate::check::optimizer) tests a rule of your own.
///
/// # Example
///
/// Sign descent, θ ← θ − η·sign(g):
///
/// ```
/// use decoupled::{Optimizer, Scalar, optimizer::Step};
///
/// #[derive(Debug)]
/// struct SignDescent {
///     learning_rate: f64,
/// }
///
/// impl<T: Scalar> Optimizer<T> for SignDescent {
///     fn update(&self, step: Step<T>, params: &mut [T], grad: &mut [T], _state: &mut [T]) {
///         let rate = T::of(self.learning_rate) * step.rate;
///         for (p, &g) in params.iter_mut().zip(grad.iter()) {
///             if g != T::zero() {
///                 *p -= rate * g.signum();
///             }
///         }
///     }
/// }
///
/// decoupled::check::optimizer::<f64>(&SignDescent { learning_rate: 0.01 })?;
/// # Ok::<(), decoupled::Error>(())
/// ```
pub trait Optimizer<T: Scalar>: Debug + Send + Sync {
    /// State entries for each parameter (momenta and the like); 0 by default. State starts at zero.
    fn slots(&self) -> usize {
        0
    }

    /// Takes one step on `params` along `grad`, which may be overwritten. `state` has `slots · params.len()` entries, slot
    /// after slot, as the last call left them.
    fn update(&self, step: Step<T>, params: &mut [T], grad: &mut [T], state: &mut [T]);

    /// Checks the hyper-parameters; called once, when a network is built or a fit begins.
    ///
    /// # Errors
    /// [`Error::HyperParameter`](crate::Error::HyperParameter); the default finds nothing.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
}

/// [`require`] of a number that is positive and finite in the working precision.
fn require_positive<T: Scalar>(name: &'static str, value: f64) -> Result<()> {
    let rounded = T::of(value).to_f64();
    require(rounded > 0.0 && rounded.is_finite(), name, "positive and finite", value)
}
