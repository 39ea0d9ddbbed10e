//! The parameter step: Θ moves, Z is fixed.

use std::ops::Range;
use std::sync::Arc;

use crate::block::{Block, Reads};
use crate::energy::{Hidden, Objective};
use crate::error::require;
use crate::layer::pre_activation_rows;
use crate::matrix::{filled, resize};
use crate::optimizer::{Step, Weights};
use crate::parallel::{Chunks, Spare, for_row, guarded};
use crate::{Dataset, Error, Layer, MatRef, Optimizer, Result, Scalar, linalg};

mod ridge;

pub use ridge::Ridge;

/// When the parameters step in a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub enum Timing {
    /// After all activation steps: `local_steps` steps on the same activations.
    AfterRelaxation {
        /// Steps of every layer; at least 1.
        local_steps: usize,
    },
    /// Together with every activation step, both from gradients at the same point.
    EveryStep,
}
/// The rule by which the parameters of a layer move.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Solver {
    /// The layer's optimizer, along the gradient.
    #[default]
    Optimizer,
    /// Least squares, for layers that offer [`Regression`](crate::layer::Regression) and squared errors.
    Ridge(Ridge),
}

/// How the parameters move while the activations are fixed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct ParameterStep {
    /// When they step.
    pub timing: Timing,
    /// Which input the layers read.
    pub reads: Reads,
    /// The rule of all layers without a rule of their own.
    pub solver: Solver,
    /// Layers with a rule of their own: t = 0 .. T, and the rule. The last entry for a layer counts.
    pub layer_solvers: Vec<(usize, Solver)>,
}

impl ParameterStep {
    /// Returns one step of every layer's optimizer after the activation steps.
    pub const fn new(reads: Reads) -> Self {
        Self {
            timing: Timing::AfterRelaxation { local_steps: 1 },
            reads,
            solver: Solver::Optimizer,
            layer_solvers: Vec::new(),
        }
    }

    /// Sets the rule of all layers.
    pub fn solver(mut self, solver: Solver) -> Self {
        self.solver = solver;
        self
    }

    /// Sets the rule of layer t, t = 0 .. T.
    pub fn layer_solver(mut self, t: usize, solver: Solver) -> Self {
        self.layer_solvers.push((t, solver));
        self
    }

    /// Returns the rule of layer t.
    pub(crate) fn solver_of(&self, t: usize) -> Solver {
        // Reversed, so that a later call overrides an earlier one.
        self.layer_solvers.iter().rev().find(|(layer, _)| *layer == t).map_or(self.solver, |(_, solver)| *solver)
    }

    pub(crate) fn validate<T: Scalar>(&self) -> Result<()> {
        if let Timing::AfterRelaxation { local_steps } = self.timing {
            require(local_steps > 0, "local parameter steps", "at least 1", local_steps as f64)?;
        }
        let solvers = self.layer_solvers.iter().map(|(_, solver)| solver).chain([&self.solver]);
        for solver in solvers {
            if let Solver::Ridge(ridge) = solver {
                ridge.validate::<T>()?;
            }
        }
        Ok(())
    }

    /// Converts the penalties on parameters to units of the data's mean weight: the moments are in these units.
    ///
    /// # Errors
    /// [`Error::HyperParameter`] for a penalty that is not finite in these units.
    pub(crate) fn in_units_of<D: Scalar>(mut self, data: &Dataset<D>) -> Result<Self> {
        let solvers = self.layer_solvers.iter_mut().map(|(_, solver)| solver).chain([&mut self.solver]);
        for solver in solvers {
            if let Solver::Ridge(Ridge { ridge, proximal, .. }) = solver {
                (*ridge, *proximal) = (data.in_mean_weights(*ridge), data.in_mean_weights(*proximal));
            }
        }
        self.validate::<D>()?;
        Ok(self)
    }
}

/// The optimizer of one layer, with its state and that of its regression.
#[derive(Clone, Debug)]
pub(crate) struct Trained<T> {
    optimizer: Arc<dyn Optimizer<T>>,
    /// Entries of state for each parameter.
    slots: usize,
    /// Parameters in one call of the optimizer: all, unless it is elementwise.
    piece: usize,
    /// The factor on its learning rate in this epoch.
    pub(crate) rate: T,
    /// The optimizer's state: piece after piece, in each slot after slot; empty before the first fit that needs it.
    state: Vec<T>,
    /// Where the weights lie among the parameters.
    weights: Vec<Range<usize>>,
    /// Steps that the state has seen. Frozen layers take none, so Adam still corrects the bias of its moments by the right number.
    steps: u64,
    pub(crate) frozen: bool,
    /// The moments that a regression keeps between visits; empty before the first.
    pub(crate) moments: Vec<T>,
}

impl<T: Scalar> Trained<T> {
    /// Returns the optimizer's `Debug` text, its state and a regression's moments.
    #[cfg(feature = "save")]
    pub(crate) fn memory(&self) -> (String, [&[T]; 2]) {
        (format!("{:?}", self.optimizer), [&self.state, &self.moments])
    }

    /// Returns the length of the optimizer's state for `params` parameters.
    #[cfg(feature = "save")]
    pub(crate) fn room(&self, params: usize) -> usize {
        self.slots.saturating_mul(params)
    }

    /// Returns the number of steps that the optimizer has taken.
    #[cfg(feature = "save")]
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Restores the state and moments that [`memory`](Self::memory) returned after `steps` steps.
    #[cfg(feature = "save")]
    pub(crate) fn remember(&mut self, state: Vec<T>, moments: Vec<T>, steps: u64) {
        (self.state, self.moments, self.steps) = (state, moments, steps);
    }

    /// Discards the state, the moments and the number of steps.
    pub(crate) fn forget(&mut self) {
        self.state.fill(T::zero());
        self.moments.clear();
        self.steps = 0;
    }

    /// Replaces the optimizer. The new one keeps the old one's state if both are the same rule up to numbers.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn with_optimizer(&self, optimizer: Arc<dyn Optimizer<T>>, t: usize, params: usize) -> Result<Self> {
        let new = Self { weights: self.weights.clone(), frozen: self.frozen, ..Self::new(optimizer, t, params)? };
        let form =
            |own: &Self| guarded("Debug of the optimizer", t, || without_numbers(&format!("{:?}", own.optimizer)));
        // Compare the text without its numbers: a new learning rate must not cost Adam its moments.
        let same = new.slots == self.slots && new.piece == self.piece && form(&new)? == form(self)?;
        let (state, steps) = if same { (self.state.clone(), self.steps) } else { (Vec::new(), 0) };
        Ok(Self { state, steps, moments: self.moments.clone(), ..new })
    }
}

/// Replaces each number in a `Debug` text by `#`.
fn without_numbers(debug: &str) -> String {
    let breaks = |c: char| " ,:;()[]{}<>\"".contains(c);
    let parts = debug.split_inclusive(breaks).map(|part| {
        let word = part.trim_end_matches(breaks);
        if word.parse::<f64>().is_ok() { part.replacen(word, "#", 1) } else { part.to_owned() }
    });
    parts.collect()
}

/// Sums ∂L/∂θ_t, or the moments of a regression, over a block's examples, for every layer that is not frozen, from its own input and
/// target. `chained` takes the gradients of the chain rule, whose errors are in the block.
pub(crate) fn gather<T: Scalar>(
    (step, trained, chained): (&ParameterStep, &[Trained<T>], bool),
    objective: &Objective<'_, T>,
    block: &mut Block<T>,
    sums: &mut [Vec<T>],
) -> Result<()> {
    for (t, sum) in sums.iter_mut().enumerate().filter(|(t, _)| !trained[*t].frozen) {
        match step.solver_of(t) {
            Solver::Optimizer => sum.resize(objective.circuit.params[t].len(), T::zero()),
            Solver::Ridge(_) => {
                sum.clear();
                add_moments(objective, block, t, step.reads, sum)?;
            }
        }
    }
    let skip = |t: usize| trained[t].frozen || step.solver_of(t) != Solver::Optimizer;
    match chained {
        true => objective.chained_gradients(block, sums, skip),
        false => objective.parameter_gradients(block, step.reads, sums, skip),
    }
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

/// Parameters in one call of an elementwise optimizer: few enough that they, their gradient and their state stay in the cache.
const PIECE: usize = 4096;

/// A parameter step, with the penalties of the objective.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update<'u, T> {
    pub(crate) step: &'u ParameterStep,
    pub(crate) hidden: &'u [Hidden<T>],
    /// The factor on the penalties.
    pub(crate) factor: T,
    /// Scratch of closed forms.
    pub(crate) work: &'u Spare<Vec<f64>>,
}

impl<T: Scalar> Update<'_, T> {
    /// Moves the parameters of the layers of `span` by the sums of a batch's lanes, `sums[lane][t]`, added in lane order: along the mean
    /// gradient, or to the minimum for the sum of the moments and those kept from earlier visits. Overwrites the first lane's sums.
    ///
    /// # Errors
    /// [`Error::Diverged`] (epoch 0, for the caller to fill in) when a number is not finite, [`Error::NotPositiveDefinite`],
    /// [`Error::Panicked`]; some parameters may have moved by then.
    pub(crate) fn run(
        &self,
        span: Range<usize>,
        layers: &[Arc<dyn Layer<T>>],
        trained: &mut [Trained<T>],
        params: &mut [Vec<T>],
        sums: &mut [Vec<Vec<T>>],
        examples: usize,
    ) -> Result<()> {
        let Some((first, others)) = sums.split_first_mut() else { return Ok(()) };
        // Layers move in parallel: each has its own optimizer, parameters and sums.
        let own = ((&mut trained[span.clone()], &mut params[span.clone()]), &mut first[span.clone()]);
        for_row(own, |i, ((trained, params), first)| {
            let t = span.start + i;
            let other = |lane: usize| others.get(lane).map(|sums| &sums[t][..]);
            match self.step.solver_of(t) {
                _ if trained.frozen || params.is_empty() => Ok(()),
                Solver::Optimizer => trained.descend(t, params, (first, other), examples),
                Solver::Ridge(ridge) => {
                    // The output's term has no penalty, so its factor is 1.
                    let penalty = self.hidden.get(t).map_or(T::one(), |hidden| hidden.penalty * self.factor);
                    let others = (0..).map_while(other);
                    self.work
                        .lend(|work| trained.regress(t, ridge, (&*layers[t], penalty), params, (first, others), work))
                }
            }
        })
    }
}

fn finite<T: Scalar>(values: &[T], layer: usize, quantity: &'static str) -> Result<()> {
    match linalg::all_finite(values) {
        true => Ok(()),
        false => Err(Error::Diverged { layer, epoch: 0, quantity }),
    }
}

impl<T: Scalar> Trained<T> {
    /// Makes the initial record of layer t, with `params` parameters; allocates no state yet.
    ///
    /// # Errors
    /// [`Error::Panicked`] when the optimizer panics.
    pub(crate) fn new(optimizer: Arc<dyn Optimizer<T>>, t: usize, params: usize) -> Result<Self> {
        let (slots, elementwise) = guarded("the optimizer", t, || (optimizer.slots(), optimizer.is_elementwise()))?;
        let piece = if elementwise { PIECE } else { params.max(1) };
        let (state, weights, moments) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { optimizer, slots, piece, rate: T::one(), state, weights, steps: 0, frozen: false, moments })
    }

    /// Sets where the weights lie among the parameters.
    pub(crate) fn weights(self, weights: Vec<Range<usize>>) -> Self {
        Self { weights, ..self }
    }

    /// Returns whether the optimizer has state: then a parameter may move without a gradient, if it had one before.
    pub(crate) fn remembers(&self) -> bool {
        self.slots > 0
    }

    /// Allocates the optimizer's state for `params` parameters, before the first fit that needs it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn make_room(&mut self, params: usize) -> Result<()> {
        // Not at the build: a network that only predicts needs no such memory.
        if self.state.is_empty() {
            let len = self.slots.saturating_mul(params);
            self.state = filled("what the optimizer of a layer remembers", len, T::zero())?;
        }
        Ok(())
    }

    /// Sums the lanes' gradients, divides by `examples` and takes one step of the optimizer. The lanes are `gradient`, which is
    /// overwritten, and `other(0)`, `other(1)` and so on.
    fn descend<'a>(
        &mut self,
        t: usize,
        params: &mut [T],
        (gradient, other): (&mut [T], impl Fn(usize) -> Option<&'a [T]> + Sync),
        examples: usize,
    ) -> Result<()> {
        self.steps += 1;
        let Self { optimizer, slots, piece, rate, state, weights, steps, .. } = self;
        let share = T::one() / T::of(examples as f64);
        let chunks = |slice, slots| Chunks { slice, width: *piece * slots };
        for_row(((chunks(params, 1), chunks(gradient, 1)), chunks(state, *slots)), |i, ((params, gradient), state)| {
            let here = i * *piece..i * *piece + params.len();
            // Piece by piece, all lanes in order: the sum has the same bits, however the threads share the pieces.
            for block in (0..).map_while(&other) {
                linalg::axpy(T::one(), &block[here.clone()], gradient);
            }
            // Once, after the sum: the lanes' gradients are sums, not means, so lanes of unequal width weigh right.
            gradient.iter_mut().for_each(|g| *g *= share);
            // Before the optimizer: its state would keep a NaN for all later steps.
            finite(gradient, t, "the parameter gradient")?;
            let weights = Weights::of_layer(weights, here.start);
            let step = Step { weights, ..Step::new(*steps, *rate) };
            guarded("the optimizer", t, || optimizer.update(step, params, gradient, state))?;
            finite(params, t, "a parameter")
        })
    }

    /// Sums the lanes' moments and takes one least-squares step. The lanes are `moments`, which is overwritten, and `others`.
    fn regress<'a>(
        &mut self,
        t: usize,
        ridge: Ridge,
        term: (&dyn Layer<T>, T),
        params: &mut [T],
        (moments, others): (&mut [T], impl Iterator<Item = &'a [T]>),
        work: &mut Vec<f64>,
    ) -> Result<()> {
        if ridge.memory == 0.0 {
            // Without memory, a visit leaves no moments to the next.
            self.moments.clear();
            others.for_each(|own| linalg::axpy(T::one(), own, moments));
            return regress(t, ridge, term, params, (moments, work));
        }
        resize("the moments of a regression", &mut self.moments, moments.len(), T::zero())?;
        let memory = T::of(ridge.memory);
        // Decay before adding: this batch counts in full.
        self.moments.iter_mut().for_each(|m| *m *= memory);
        linalg::axpy(T::one(), moments, &mut self.moments);
        others.for_each(|own| linalg::axpy(T::one(), own, &mut self.moments));
        regress(t, ridge, term, params, (&self.moments, work))
    }
}

/// Moves θ_t to the minimum that the moments determine, for a layer whose term has the factor `penalty`. `work` is scratch.
fn regress<T: Scalar>(
    t: usize,
    ridge: Ridge,
    (layer, penalty): (&dyn Layer<T>, T),
    params: &mut [T],
    (moments, work): (&[T], &mut Vec<f64>),
) -> Result<()> {
    finite(moments, t, "the moments of the stored input")?;
    // If every example has weight 0, there is nothing to fit: the penalties alone would pull all parameters to zero.
    let empty = moments.iter().all(|moment| *moment == T::zero());
    if let Some(regression) = layer.regression().filter(|_| !params.is_empty() && !empty) {
        let step = || ridge.step(regression, moments, penalty, params, work);
        guarded("the regression", t, step)?.map_err(|error| error.at_layer(t))?;
    }
    finite(params, t, "a parameter")
}
