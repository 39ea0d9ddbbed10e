//! The activation step: Z moves, Θ is fixed. One file per step; implement [`ActivationStep`] for your own.

use std::fmt::Debug;
use std::sync::Arc;

#[cfg(feature = "serde")]
use crate::description::Description;
use crate::error::require;
use crate::machine::parallel::guarded;
use crate::machine::setting::require_positive;
use crate::method::block::{Block, Group};
use crate::method::energy::Objective;
use crate::method::schedule::{Stage, Work};
use crate::{Optimizer, Result, Scalar};

#[expect(clippy::indexing_slicing, reason = "one of everything for each hidden layer")]
mod curvature;
#[cfg(feature = "serde")]
mod described;
mod error_steps;
#[expect(clippy::indexing_slicing, reason = "one of everything for each hidden layer")]
mod exact;
#[expect(clippy::indexing_slicing, reason = "slices of the widths of the block's layers")]
mod gauss_newton;
mod memory;
mod sweeps;

pub use curvature::curvature;
pub(crate) use curvature::{Coordinates, curvatures};
pub use error_steps::ErrorSteps;
pub use exact::Exact;
pub use gauss_newton::GaussNewton;
pub use memory::{Memory, Prepared};
pub use sweeps::{Order, Rates, Sweeps};

/// How the stored activations move while the parameters are fixed.
///
/// A step moves *groups* of hidden layers, one after the other; the members of a group move at the same time. The engine runs it lane by
/// lane, so it must treat every example independently: the result may not depend on how a batch is cut into lanes.
/// [`check::activation_step`](crate::check::activation_step) tests that.
///
/// ```
/// use decoupled::method::activation_step::{Memory, Prepared};
/// use decoupled::method::energy::Objective;
/// use decoupled::{ActivationStep, Method, Result};
/// use decoupled::method::{Block, Group, Reads, Start};
///
/// /// Signs of the gradient alone, as in signSGD.
/// #[derive(Debug)]
/// struct Signs(f64);
///
/// impl ActivationStep<f64> for Signs {
///     fn steps(&self, _depth: usize) -> usize {
///         3
///     }
///     fn groups(&self, depth: usize) -> Vec<Group> {
///         vec![Group::all(1..depth)]
///     }
///     fn step(
///         &self,
///         objective: &Objective<'_, f64>,
///         block: &mut Block<f64>,
///         group: &Group,
///         _prepared: &Prepared<f64>,
///         _memory: &mut Memory<f64>,
///     ) -> Result<()> {
///         objective.activation_gradients(block, group)?;
///         for t in group.members() {
///             let signs: Vec<f64> = block.gradient(t).as_slice().iter().map(|g| g.signum()).collect();
///             block.stored_mut(t).iter_mut().zip(signs).for_each(|(z, sign)| *z -= self.0 * sign);
///         }
///         Ok(())
///     }
/// }
///
/// let method = Method::new(Start::Anchored, Signs(0.01), Reads::Forward);
/// println!("{}", method.schedule(3));
/// ```
pub trait ActivationStep<T: Scalar>: Debug + Send + Sync {
    /// Returns the number of steps of a visit, in a circuit of `depth` layers; at least 1.
    fn steps(&self, depth: usize) -> usize;

    /// Returns the groups of hidden activations z_t, 0 < t < `depth`, that one step moves one after the other. `depth` is at least 2.
    fn groups(&self, depth: usize) -> Vec<Group>;

    /// Moves the z_t of `group` once.
    ///
    /// # Errors
    /// Those of the [objective](Objective).
    fn step(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        group: &Group,
        prepared: &Prepared<T>,
        memory: &mut Memory<T>,
    ) -> Result<()>;

    /// Adapts the step to the curvature at a sample of the training data, of at most 32 examples at their forward pass: before the first
    /// visit of an epoch, and every hundredth. Does nothing by default.
    ///
    /// # Errors
    /// Those of the [objective](Objective).
    fn adapt(&self, objective: &Objective<'_, T>, sample: &mut Block<T>, prepared: &mut Prepared<T>) -> Result<()> {
        let _ = (objective, sample, prepared);
        Ok(())
    }

    /// Prepares the values that all examples share in the next step of this group, after every update of the parameters, for a step
    /// that [streams](Self::streams). Does nothing by default.
    ///
    /// # Errors
    /// Those of the layers.
    fn prepare(&self, objective: &Objective<'_, T>, group: &Group, prepared: &mut Prepared<T>) -> Result<()> {
        let _ = (objective, group, prepared);
        Ok(())
    }

    /// Returns the optimizer of the activations, if the step has one: the bank keeps its state if activations persist.
    fn optimizer(&self) -> Option<&dyn Optimizer<T>> {
        None
    }

    /// Returns the products of a step of a group, and how far a signal travels in it. [`Work::Local`] by default.
    fn work(&self) -> Work {
        Work::Local
    }

    /// Returns whether [`work`](Self::work) covers all products of the step, so that [`cost`](crate::diagnostics::cost()) can count them.
    /// True by default.
    fn is_counted(&self) -> bool {
        true
    }

    /// Returns whether a step of z_t reads z_{t−1}, z_t and z_{t+1} alone, with one t per group, from the output to the input. The engine
    /// then loads only these, for a batch of up to all examples. False by default.
    fn streams(&self) -> bool {
        false
    }

    /// Checks the step's own settings.
    ///
    /// # Errors
    /// An error for a setting outside its domain; the default returns none.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Checks that the layers and losses of a network have what the step needs.
    ///
    /// # Errors
    /// [`Error::Incapable`](crate::Error::Incapable), [`Error::LossMismatch`](crate::Error::LossMismatch) or
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the step does not fit; the default returns none.
    fn check(&self, objective: &Objective<'_, T>) -> Result<()> {
        let _ = objective;
        Ok(())
    }

    /// Relaxes a block: takes all steps of a visit, with the optimizer's state reset.
    ///
    /// # Errors
    /// [`Error::Panicked`](crate::Error::Panicked) when a layer, a loss or the optimizer panics.
    fn relax(&self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<()> {
        let (mut memory, mut prepared) = (Memory::default(), Prepared::default());
        memory.reset(block, self.optimizer().map_or(0, |optimizer| optimizer.slots()))?;
        // As in a visit, where a sample of the data takes the block's place.
        self.adapt(objective, block, &mut prepared)?;
        let depth = block.layers();
        let groups = if depth < 2 { Vec::new() } else { self.groups(depth) };
        for _ in 0..self.steps(depth) {
            memory.count();
            for group in &groups {
                // For every group anew: `prepared` has room for the factor of one.
                self.prepare(objective, group, &mut prepared)?;
                self.step(objective, block, group, &prepared, &mut memory)?;
            }
        }
        Ok(())
    }

    /// Returns the step's description for a file; none unless the step is built in.
    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<Description> {
        None
    }
}

/// Returns the stages of one step, in a circuit of `depth` layers.
pub(crate) fn stages<T: Scalar>(step: &dyn ActivationStep<T>, depth: usize) -> Vec<Stage> {
    // `groups` may expect at least one hidden layer.
    let groups = if depth < 2 { Vec::new() } else { step.groups(depth) };
    let relax = |(i, group)| Stage::Relax { group, begins: i == 0, work: step.work() };
    groups.into_iter().enumerate().map(relax).collect()
}

/// Checks the number of steps, their rate and its largest share of 1/λmax, and the rule of a step by gradients.
fn check_descent<T: Scalar>(
    (steps, rate, stable): (usize, f64, Option<f64>),
    optimizer: &dyn Optimizer<T>,
) -> Result<()> {
    require(steps > 0, "activation steps", "at least 1", steps as f64)?;
    require_positive::<T>("activation rate", rate)?;
    // 1 stands for no limit here: any valid number passes.
    let fraction = stable.unwrap_or(1.0);
    require(fraction > 0.0 && fraction < 2.0, "stable fraction", "in (0, 2)", fraction)?;
    guarded("the activation optimizer", None, || optimizer.validate().map(|()| optimizer.slots()))?.map(drop)
}

/// Returns the entries of optimizer state per activation.
pub(crate) fn slots<T: Scalar>(step: &dyn ActivationStep<T>) -> usize {
    step.optimizer().map_or(0, |optimizer| optimizer.slots())
}

macro_rules! pointer {
    ($pointer:ident) => {
        impl<T: Scalar, S: ActivationStep<T> + ?Sized> ActivationStep<T> for $pointer<S> {
            fn steps(&self, depth: usize) -> usize {
                (**self).steps(depth)
            }
            fn groups(&self, depth: usize) -> Vec<Group> {
                (**self).groups(depth)
            }
            fn step(
                &self,
                objective: &Objective<'_, T>,
                block: &mut Block<T>,
                group: &Group,
                prepared: &Prepared<T>,
                memory: &mut Memory<T>,
            ) -> Result<()> {
                (**self).step(objective, block, group, prepared, memory)
            }
            fn adapt(
                &self,
                objective: &Objective<'_, T>,
                sample: &mut Block<T>,
                prepared: &mut Prepared<T>,
            ) -> Result<()> {
                (**self).adapt(objective, sample, prepared)
            }
            fn prepare(&self, objective: &Objective<'_, T>, group: &Group, prepared: &mut Prepared<T>) -> Result<()> {
                (**self).prepare(objective, group, prepared)
            }
            fn optimizer(&self) -> Option<&dyn Optimizer<T>> {
                (**self).optimizer()
            }
            fn work(&self) -> Work {
                (**self).work()
            }
            fn is_counted(&self) -> bool {
                (**self).is_counted()
            }
            fn streams(&self) -> bool {
                (**self).streams()
            }
            fn validate(&self) -> Result<()> {
                (**self).validate()
            }
            fn check(&self, objective: &Objective<'_, T>) -> Result<()> {
                (**self).check(objective)
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
