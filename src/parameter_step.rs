//! The parameter step: Θ moves, Z stands.

use std::sync::Arc;

use crate::block::{Block, Reads};
use crate::energy::Objective;
use crate::error::require;
use crate::optimizer::Step;
use crate::parallel::{for_each, guarded};
use crate::{Error, Layer, MatMut, MatRef, Optimizer, Result, Scalar, linalg};

mod ridge;

pub use ridge::Ridge;

/// When the parameters of a visit step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Once the activation steps are done: this many local steps on the same activations.
    AfterRelaxation {
        /// Steps of every layer; at least 1.
        local_steps: usize,
    },
    /// Together with every activation step, both from gradients at the same point.
    EveryStep,
}
/// By which rule the parameters of a layer move.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Solver {
    /// The layer's optimizer, along the gradient.
    #[default]
    Optimizer,
    /// Least squares, for layers that offer [`Regression`](crate::layer::Regression) and squared errors.
    Ridge(Ridge),
}

/// How the parameters move while the activations stand.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterStep {
    /// When.
    pub timing: Timing,
    /// Which input the layers read.
    pub reads: Reads,
    /// By which rule.
    pub solver: Solver,
    /// Layers with a rule of their own: t = 0 .. T, and the rule.
    pub layer_solvers: Vec<(usize, Solver)>,
}

impl ParameterStep {
    /// One step of every layer's optimizer after the activation steps.
    pub const fn new(reads: Reads) -> Self {
        Self {
            timing: Timing::AfterRelaxation { local_steps: 1 },
            reads,
            solver: Solver::Optimizer,
            layer_solvers: Vec::new(),
        }
    }

    /// All layers by this rule.
    pub fn solver(mut self, solver: Solver) -> Self {
        self.solver = solver;
        self
    }

    /// Layer t, of t = 0 .. T, by this rule.
    pub fn layer_solver(mut self, t: usize, solver: Solver) -> Self {
        self.layer_solvers.push((t, solver));
        self
    }

    /// The rule of layer t.
    pub(crate) fn solver_of(&self, t: usize) -> Solver {
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
}

/// The changing part of one layer: its parameters, what its optimizer remembers, and the gradient it is about to follow.
#[derive(Clone, Debug)]
pub(crate) struct Trained<T> {
    pub(crate) optimizer: Arc<dyn Optimizer<T>>,
    pub(crate) state: Vec<T>,
    pub(crate) gradient: Vec<T>,
    /// The moments that a regression remembers; empty before the first.
    pub(crate) moments: Vec<T>,
}

impl<T: Scalar> Trained<T> {
    /// Forgets what earlier steps left.
    pub(crate) fn forget(&mut self) {
        self.state.fill(T::zero());
        self.moments.clear();
    }
}

/// What a block says about the parameters of every layer, each from its own input and target: ∂L/∂θ_t, or the moments of a
/// regression.
pub(crate) fn look<T: Scalar>(
    step: &ParameterStep,
    objective: &Objective<'_, T>,
    block: &mut Block<T>,
    found: &mut [Vec<T>],
) -> Result<()> {
    found.iter_mut().enumerate().try_for_each(|(t, found)| match step.solver_of(t) {
        Solver::Optimizer => {
            found.resize(objective.params[t].len(), T::zero());
            objective.parameter_gradient(block, t, step.reads, found)
        }
        Solver::Ridge(_) => moments(objective, block, t, step.reads, found),
    })
}

/// The moments of layer t over a block's examples.
fn moments<T: Scalar>(
    objective: &Objective<'_, T>,
    block: &Block<T>,
    t: usize,
    reads: Reads,
    moments: &mut Vec<T>,
) -> Result<()> {
    moments.clear();
    let Some(layer) = objective.layers[t].regression() else { return Ok(()) };
    let input = match reads {
        Reads::Stored => block.stored(t),
        Reads::Forward => block.forward(t),
    };
    let mut target = block.stored(t + 1).as_slice().to_vec();
    if let Some(multiplier) = block.multiplier(t + 1) {
        linalg::axpy(T::one() / objective.loss(t + 1).1, multiplier.as_slice(), &mut target);
    }
    let target = MatRef::new(&target, block.stored(t + 1).rows(), block.examples());
    guarded("the regression", t, || {
        moments.resize(layer.moments_len(), T::zero());
        let rows = layer.pre_activation_dim();
        let mut wanted = vec![T::zero(); rows * block.examples()];
        let out = MatMut::new(&mut wanted, rows, block.examples());
        layer.pre_activation(&objective.params[t], input, target, out)?;
        layer.accumulate(input, MatRef::new(&wanted, rows, block.examples()), moments);
        Ok(())
    })?
}

/// Puts together what the blocks of a batch found, in block order: the mean gradient, or the sum of the moments with what is
/// kept of earlier ones.
///
/// # Errors
/// [`Error::Diverged`] (epoch 0, for the caller to fill in) when a number is not finite; no parameter has moved then.
pub(crate) fn gather<T: Scalar>(
    step: &ParameterStep,
    trained: &mut [Trained<T>],
    blocks: &[&[Vec<T>]],
    examples: usize,
) -> Result<()> {
    let share = T::one() / T::of(examples as f64);
    let mut layers: Vec<_> = trained.iter_mut().enumerate().collect();
    for_each(&mut layers, |(t, layer)| {
        let blocks = blocks.iter().map(|found| &found[*t]);
        match step.solver_of(*t) {
            Solver::Optimizer => {
                sum(blocks, &mut layer.gradient);
                layer.gradient.iter_mut().for_each(|g| *g *= share);
                finite(&layer.gradient, *t, "the parameter gradient")
            }
            Solver::Ridge(ridge) => layer.remember(*t, ridge, blocks),
        }
    })
}

/// out = Σ of the parts, in their order.
fn sum<'a, T: Scalar>(mut parts: impl Iterator<Item = &'a Vec<T>>, out: &mut [T]) {
    if let Some(first) = parts.next() {
        out.copy_from_slice(first);
    }
    parts.for_each(|part| linalg::axpy(T::one(), part, out));
}

fn finite<T: Scalar>(values: &[T], layer: usize, quantity: &'static str) -> Result<()> {
    match linalg::all_finite(values) {
        true => Ok(()),
        false => Err(Error::Diverged { layer, epoch: 0, quantity }),
    }
}

impl<T: Scalar> Trained<T> {
    /// moments ← memory · moments + Σ parts.
    pub(crate) fn remember<'a>(
        &mut self,
        t: usize,
        ridge: Ridge,
        parts: impl Iterator<Item = &'a Vec<T>> + Clone,
    ) -> Result<()>
    where
        T: 'a,
    {
        let len = parts.clone().next().map_or(0, Vec::len);
        self.moments.resize(len, T::zero());
        let memory = T::of(ridge.memory);
        self.moments.iter_mut().for_each(|m| *m *= memory);
        parts.for_each(|part| linalg::axpy(T::one(), part, &mut self.moments));
        finite(&self.moments, t, "the moments of the stored input")
    }

    /// One step of layer t: along the gradient, or to the minimum that the moments tell of.
    pub(crate) fn advance(
        &mut self,
        solver: Solver,
        t: usize,
        objective_term: (&dyn Layer<T>, T),
        params: &mut [T],
        number: u64,
    ) -> Result<()> {
        let (layer, penalty) = objective_term;
        match solver {
            Solver::Optimizer => {
                let Self { optimizer, state, gradient, .. } = self;
                let step = Step { number, rate: T::one() };
                guarded("the optimizer", t, || optimizer.update(step, params, gradient, state))?;
            }
            Solver::Ridge(ridge) => {
                if let Some(regression) = layer.regression().filter(|_| !params.is_empty()) {
                    let step = || ridge.step(regression, &self.moments, penalty, params);
                    guarded("the regression", t, step)?.map_err(|error| error.at_layer(t))?;
                }
            }
        }
        finite(params, t, "a parameter")
    }
}

/// One step of every layer; `penalties` are those of the layers' terms, from the input.
///
/// # Errors
/// [`Error::Diverged`] (epoch 0, for the caller to fill in) when parameters are not finite, [`Error::NotPositiveDefinite`],
/// [`Error::Panicked`]; some layers may have taken their step then.
pub(crate) fn update<T: Scalar>(
    step: &ParameterStep,
    trained: &mut [Trained<T>],
    layers: &[Arc<dyn Layer<T>>],
    penalties: &[T],
    params: &mut [Vec<T>],
    number: u64,
) -> Result<()> {
    let parts = trained.iter_mut().zip(params).zip(layers.iter().zip(penalties));
    let mut parts: Vec<_> = parts.enumerate().collect();
    for_each(&mut parts, |(t, ((trained, params), (layer, penalty)))| {
        trained.advance(step.solver_of(*t), *t, (&***layer, **penalty), params, number)
    })
}
