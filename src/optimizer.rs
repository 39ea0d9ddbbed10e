//! The trait [`Optimizer`] and the built-in rules, schedules and wrappers.

use std::fmt::Debug;
use std::sync::Arc;

#[cfg(feature = "serde")]
use crate::description::Description;
use crate::{Result, Scalar};

mod adam;
mod adam_w;
mod clip_norm;
mod clip_value;
mod rms_prop;
mod schedule;
mod sgd;
mod weight_decay;

pub use adam::Adam;
pub use adam_w::AdamW;
pub use clip_norm::ClipNorm;
pub use clip_value::ClipValue;
pub use rms_prop::RmsProp;
pub use schedule::{Schedule, Scheduled};
pub use sgd::Sgd;
pub use weight_decay::WeightDecay;

/// Where an update stands: its number and the factor that schedules and observers put on the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<T> {
    /// The number of this update, counted from 1.
    pub number: u64,
    /// Multiply your learning rate by this; 1 unless a schedule wraps the optimizer, or an
    /// [observer](crate::Observer::learning_rate_factor) has a factor on the epoch.
    pub rate: T,
}

/// A first-order rule: θ ← θ + u(g, state). An immutable description; the state is flat data of the network.
///
/// The same trait moves parameters and activations. Parameters come a layer at a time (a piece of one, if the rule is
/// [elementwise](Self::is_elementwise)), with the gradient averaged over the batch. Activations come one example and one layer at a time, with the gradient of that example's own energy; so
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

    /// Whether every parameter's step depends on its own entry of the gradient and its own state alone, so that a layer may be
    /// updated piece by piece: true of most rules, not of one that looks at the norm of a layer's gradient. False unless said
    /// otherwise, which is always right and costs time.
    fn is_elementwise(&self) -> bool {
        false
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

    /// What JSON says of the rule, for it to be made anew. None unless it is built in, or does just what a built-in one does and
    /// hands on its description.
    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<Description> {
        None
    }
}

macro_rules! pointer {
    ($pointer:ident) => {
        impl<T: Scalar, O: Optimizer<T> + ?Sized> Optimizer<T> for $pointer<O> {
            fn slots(&self) -> usize {
                (**self).slots()
            }
            fn is_elementwise(&self) -> bool {
                (**self).is_elementwise()
            }
            fn update(&self, step: Step<T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
                (**self).update(step, params, grad, state);
            }
            fn validate(&self) -> Result<()> {
                (**self).validate()
            }
            #[cfg(feature = "serde")]
            fn describe(&self) -> Option<Description> {
                (**self).describe()
            }
        }
    };
}
pointer!(Box);
pointer!(Arc);
