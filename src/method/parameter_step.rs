//! The parameter step: Θ moves, Z is fixed. One file per step; implement [`ParameterStep`] for your own.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

#[cfg(feature = "serde")]
use crate::description::Description;
use crate::error::require;
use crate::layer::pre_activation_rows;
use crate::machine::linalg::matrix::{check_diverged, check_shape, filled, resize};
use crate::machine::parallel::guarded;
use crate::method::block::{Block, Reads};
use crate::method::energy::Objective;
use crate::{Dataset, Layer, MatRef, Result, Scalar};

#[cfg(feature = "serde")]
mod described;
mod gradient_step;
mod ridge;
mod state;

pub use gradient_step::GradientStep;
pub use ridge::Ridge;
pub(crate) use state::LayerState;

/// How the parameters of a layer move while the activations are fixed.
///
/// The lanes of a batch gather a [sum](Self::sum) over its examples; when the sums of all lanes have been added, the step moves the
/// parameters by it. It is called once for every local step, with sums at the parameters just reached (layer 0 of the default with
/// [the first](Timing::FirstGradientOnce)). Layers move in parallel, each by its own step.
///
/// ```
/// use decoupled::method::parameter_step::{LayerUpdate, ParameterStep, Sum};
/// use decoupled::{Method, Result};
///
/// /// The layer's optimizer, along the signs of the gradient.
/// #[derive(Debug)]
/// struct Signs;
///
/// impl ParameterStep<f64> for Signs {
///     fn sum(&self) -> Sum {
///         Sum::Gradient
///     }
///     fn step(&self, update: &mut LayerUpdate<'_, f64>) -> Result<()> {
///         // The optimizer divides by the number of examples.
///         let examples = update.examples as f64;
///         update.sum.iter_mut().for_each(|g| *g = g.signum() * examples);
///         update.optimizer_step()
///     }
/// }
///
/// let method = Method::default().parameter(Signs);
/// ```
pub trait ParameterStep<T: Scalar>: Debug + Send + Sync {
    /// Returns which sum over the examples of a batch the step reads.
    fn sum(&self) -> Sum;

    /// Moves the parameters of one layer.
    ///
    /// # Errors
    /// [`Error::NotPositiveDefinite`](crate::Error::NotPositiveDefinite), [`Error::Diverged`](crate::Error::Diverged) (epoch 0) and
    /// others of the step's own; they end the fit.
    fn step(&self, update: &mut LayerUpdate<'_, T>) -> Result<()>;

    /// Checks the step's own settings.
    ///
    /// # Errors
    /// An error for a setting outside its domain; the default returns none.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Checks that layer t and the loss of its term have what the step needs. A layer without
    /// [`Regression`](crate::layer::Regression) has been refused already, if the step reads moments.
    ///
    /// # Errors
    /// [`Error::Incapable`](crate::Error::Incapable), [`Error::LossMismatch`](crate::Error::LossMismatch) or
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the step does not fit; the default returns none.
    fn check(&self, objective: &Objective<'_, T>, t: usize) -> Result<()> {
        let _ = (objective, t);
        Ok(())
    }

    /// Returns the step with its settings in the units of the sums, which weigh examples in units of their mean weight w̄: a setting that is
    /// added to a sum, as a ridge, must be divided by w̄ too, which `convert` does. None by default: a step without such settings.
    fn in_units(&self, convert: &dyn Fn(f64) -> f64) -> Option<Arc<dyn ParameterStep<T>>> {
        let _ = convert;
        None
    }

    /// Returns the step's description for a file; none unless the step is built in.
    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<Description> {
        None
    }
}

macro_rules! pointer {
    ($pointer:ident) => {
        impl<T: Scalar, S: ParameterStep<T> + ?Sized> ParameterStep<T> for $pointer<S> {
            fn sum(&self) -> Sum {
                (**self).sum()
            }
            fn step(&self, update: &mut LayerUpdate<'_, T>) -> Result<()> {
                (**self).step(update)
            }
            fn validate(&self) -> Result<()> {
                (**self).validate()
            }
            fn check(&self, objective: &Objective<'_, T>, t: usize) -> Result<()> {
                (**self).check(objective, t)
            }
            fn in_units(&self, convert: &dyn Fn(f64) -> f64) -> Option<Arc<dyn ParameterStep<T>>> {
                (**self).in_units(convert)
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

/// A sum over the examples of a batch, each by its weight in units of the mean weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sum {
    /// ∂L/∂θ_t: one product for each layer.
    Gradient,
    /// The moments of the layer's [`Regression`](crate::layer::Regression), whose minimum one step reaches.
    Moments,
}

/// One layer at the barrier of a visit: the sum over a batch, and the parameters that it moves.
#[derive(Debug)]
#[non_exhaustive]
pub struct LayerUpdate<'u, T: Scalar> {
    /// The index of the layer, t = 0 .. T.
    pub t: usize,
    /// The layer.
    pub layer: &'u dyn Layer<T>,
    /// The factor on the layer's term in the objective: μ_{t+1}, or 1 for the highest.
    pub penalty: T,
    /// Number of examples in the sum.
    pub examples: usize,
    /// The factor on the learning rate that [observers](crate::Observer::learning_rate_factor) set for this epoch, and the method
    /// ([`in_flight`](crate::Method::in_flight)) for this step.
    pub learning_rate_factor: T,
    /// The sum over the examples, which the step may overwrite: [`param_len`](Layer::param_len) entries of a gradient, or
    /// [`moments_len`](crate::layer::Regression::moments_len) moments.
    pub sum: &'u mut [T],
    params: &'u mut [T],
    state: &'u mut LayerState<T>,
    work: &'u mut Vec<f64>,
    /// Whether the step wrote parameters itself.
    writes: bool,
}

impl<T: Scalar> LayerUpdate<'_, T> {
    /// Takes one step of the layer's optimizer along the mean gradient, `sum / examples`. Overwrites the sum.
    ///
    /// # Errors
    /// [`Error::Diverged`](crate::Error::Diverged) (epoch 0) when a number is not finite, [`Error::Panicked`](crate::Error::Panicked)
    /// when the optimizer panics.
    pub fn optimizer_step(&mut self) -> Result<()> {
        let (expected, found) = (self.params.len(), self.sum.len());
        check_shape("the gradient along which the optimizer steps", expected, found)
            .map_err(|error| error.in_layer(self.t))?;
        self.state.descend(self.t, self.params, self.sum, self.examples)
    }

    /// Returns the sum, the parameters, and the layer's memory, for the step to use as it likes: empty before the first visit, and kept
    /// from visit to visit, in checkpoints too. A step that is set after another for the same layer finds the other's.
    pub fn parts(&mut self) -> (&mut [T], &mut [T], &mut Vec<T>) {
        // Whoever is lent the parameters may write them, so `ParameterSteps::update` checks them afterwards.
        self.writes = true;
        (self.sum, self.params, &mut self.state.memory)
    }

    /// Returns the sum, the parameters, the memory and scratch.
    fn scratch(&mut self) -> (&[T], &mut [T], &mut Vec<T>, &mut Vec<f64>) {
        self.writes = true;
        (self.sum, self.params, &mut self.state.memory, self.work)
    }
}

/// When the parameters step in a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub enum Timing {
    /// After all activation steps: `local_steps` steps on the same activations.
    AfterRelaxation {
        /// Steps of every layer; at least 1.
        local_steps: usize,
    },
    /// The same, but layer 0, if there are others, takes all of its steps by the sum of the first, while the layers above compute theirs
    /// anew. Its products are the most expensive where the input is wider than the hidden layers. For steps that
    /// [stream](crate::ActivationStep::streams) as `AfterRelaxation`.
    FirstGradientOnce {
        /// Steps of every layer; at least 1.
        local_steps: usize,
    },
    /// Together with every activation step, both from gradients at the same point; exact steps move θ_t first, then z_t.
    EveryStep,
    /// Stage by stage of `stages`, each when the errors of a batch have reached it, a micro-batch after the other; see
    /// [`Method::in_flight`](crate::Method::in_flight).
    InFlight {
        /// Stages of consecutive layers, at least 1; more than there are layers mean one a layer.
        stages: usize,
        /// The most examples in a micro-batch, at least 1.
        micro_batch: usize,
    },
}

/// When, from which input and how the parameters of the layers move.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Scalar"))]
pub(crate) struct ParameterSteps<T> {
    pub(crate) timing: Timing,
    pub(crate) reads: Reads,
    /// The step of all layers without one of their own.
    #[cfg_attr(feature = "serde", serde(rename = "solver"))]
    pub(crate) step: Arc<dyn ParameterStep<T>>,
    /// Layers with a step of their own. The last entry for a layer counts.
    #[cfg_attr(feature = "serde", serde(rename = "layer_solvers"))]
    pub(crate) layer_steps: Vec<(usize, Arc<dyn ParameterStep<T>>)>,
}

impl<T: Scalar> ParameterSteps<T> {
    /// Returns one step of every layer's optimizer after the activation steps.
    pub(crate) fn new(reads: Reads) -> Self {
        let timing = Timing::AfterRelaxation { local_steps: 1 };
        Self { timing, reads, step: Arc::new(GradientStep), layer_steps: Vec::new() }
    }

    /// Returns the step of layer t.
    pub(crate) fn of(&self, t: usize) -> &dyn ParameterStep<T> {
        // Reversed, so that a later call overrides an earlier one.
        let own = self.layer_steps.iter().rev().find(|(layer, _)| *layer == t);
        &**own.map_or(&self.step, |(_, step)| step)
    }

    /// Returns whether layer t moves along its gradient.
    pub(crate) fn by_gradient(&self, t: usize) -> bool {
        self.of(t).sum() == Sum::Gradient
    }

    /// Moves the parameters of layer t, whose term has the factor `penalty`, by their sum over a batch of `examples`, which it overwrites.
    /// `work` is scratch.
    ///
    /// # Errors
    /// [`Error::Diverged`] (epoch 0, for the caller to fill in) when a number is not finite, [`Error::NotPositiveDefinite`],
    /// [`Error::Panicked`]; some parameters may have moved by then.
    pub(crate) fn update(
        &self,
        (t, layer, penalty): (usize, &dyn Layer<T>, T),
        (state, params): (&mut LayerState<T>, &mut [T]),
        (sum, examples): (&mut [T], usize),
        work: &mut Vec<f64>,
    ) -> Result<()> {
        let (learning_rate_factor, writes) = (state.rate, false);
        let mut update =
            LayerUpdate { t, layer, penalty, examples, learning_rate_factor, sum, params, state, work, writes };
        guarded("the parameter step", t, || self.of(t).step(&mut update))??;
        // The optimizer checks what it writes, piece by piece while a piece is in the cache.
        if update.writes { check_diverged(update.params, t, "a parameter") } else { Ok(()) }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        match self.timing {
            Timing::AfterRelaxation { local_steps } | Timing::FirstGradientOnce { local_steps } => {
                require(local_steps > 0, "local parameter steps", "at least 1", local_steps as f64)?;
            }
            Timing::EveryStep => {}
            Timing::InFlight { stages, micro_batch } => {
                require(stages > 0, "stages in flight", "at least 1", stages as f64)?;
                require(micro_batch > 0, "examples in a micro-batch", "at least 1", micro_batch as f64)?;
            }
        }
        // The common step as well, even if every layer has its own: a setting outside its domain is never ignored.
        let mut steps = self.layer_steps.iter().map(|(_, step)| step).chain([&self.step]);
        steps.try_for_each(|step| guarded("validate of the parameter step", None, || step.validate())?)
    }

    /// Converts settings to units of the data's mean weight.
    ///
    /// # Errors
    /// [`Error::HyperParameter`](crate::Error::HyperParameter) for a setting that is not finite in these units.
    pub(crate) fn in_units_of(mut self, data: &Dataset<T>) -> Result<Self> {
        let steps = self.layer_steps.iter_mut().map(|(_, step)| step).chain([&mut self.step]);
        for step in steps {
            let converted =
                guarded("in_units of the parameter step", None, || step.in_units(&|x| data.in_mean_weights(x)))?;
            *step = converted.unwrap_or_else(|| Arc::clone(step));
        }
        // A small mean weight may have taken a setting out of the finite numbers.
        self.validate()?;
        Ok(self)
    }
}

/// Sums ∂L/∂θ_t, or the moments of a regression, over a block's examples, for every one of `layers` that is not frozen, from its own input
/// and target. `chained` takes the gradients of the chain rule, whose errors are in the block.
pub(crate) fn gather<T: Scalar>(
    (steps, states): (&ParameterSteps<T>, &[LayerState<T>]),
    (layers, chained): (&Range<usize>, bool),
    objective: &Objective<'_, T>,
    block: &mut Block<T>,
    sums: &mut [Vec<T>],
) -> Result<()> {
    let rests = |t: usize| !layers.contains(&t) || states[t].frozen;
    for (t, sum) in sums.iter_mut().enumerate().filter(|(t, _)| !rests(*t)) {
        match steps.of(t).sum() {
            Sum::Gradient => sum.resize(objective.circuit.params[t].len(), T::zero()),
            Sum::Moments => {
                // Empty stands for zeros, and `add_moments` adds to them.
                sum.clear();
                add_moments(objective, block, t, steps.reads, sum)?;
            }
        }
    }
    let skip = |t: usize| rests(t) || !steps.by_gradient(t);
    objective.parameter_gradients(block, (steps.reads, chained), sums, skip)
}

/// Adds the moments of a block's examples for the regression of layer t to `moments`, which may be empty for zeros. Does nothing for a
/// layer without regression.
pub(crate) fn add_moments<T: Scalar>(
    objective: &Objective<'_, T>,
    block: &mut Block<T>,
    t: usize,
    reads: Reads,
    moments: &mut Vec<T>,
) -> Result<()> {
    let Some(regression) = objective.circuit.layers[t].regression() else { return Ok(()) };
    let rows = pre_activation_rows(regression, objective.circuit.first + t)?;
    let examples = block.examples();
    let mut wanted = filled("pre-activations", rows.saturating_mul(examples), T::zero())?;
    objective.pre_activation(block, t, reads, &mut wanted)?;
    objective.circuit.guarded("the regression", t, || {
        resize("the moments of a regression", moments, regression.moments_len(), T::zero())?;
        let (input, wanted) = (block.activations.input(t, reads), MatRef::new(&wanted, rows, examples));
        regression.accumulate(input, wanted, block.weights(), moments);
        Ok(())
    })?
}
