//! The ways to train: where a visit starts, how Z moves, when Θ moves and which input it reads.

use std::ops::Range;
use std::slice;

use crate::activation_step::{ActivationStep, ErrorSteps, Exact, GaussNewton, Order, Sweeps};
use crate::block::Reads;
use crate::coupling::{Coupling, Multipliers, Penalty};
use crate::energy::Objective;
use crate::parallel::guarded;
use crate::parameter_step::{ParameterStep, Solver, Timing};
use crate::schedule::{Reach, Schedule, Stage};
use crate::start::Start;
use crate::{Error, Optimizer, Result, Scalar};

mod admm;
mod alm;
mod backprop_by_sweep;
mod bcd;
mod error_based;
mod incremental;
mod joint;
mod local_targets;
mod mac;
mod predictive_coding;

/// One way to minimise the objective over Θ and Z: a plain value, made by a preset and changed by setters.
///
/// It consists of four parts, and so does one of your own ([`Method::new`]): where a visit starts ([`Start`]), how Z moves
/// with Θ fixed ([`ActivationStep`]), how Θ moves with Z fixed ([`ParameterStep`]), and how residuals are penalised
/// ([`Coupling`]).
///
/// | preset | start | activation step | parameter step | reads | coupling | needs |
/// |---|---|---|---|---|---|---|
/// | [`default`](Self::default) | anchored | 1 + ⌈hidden layers / 2⌉ red-black sweeps, at most 1.8/λmax | optimizer | forward | penalty | |
/// | [`joint`](Self::joint) | persisted | 1 Jacobi sweep | optimizer, with it | stored | penalty | |
/// | [`predictive_coding`](Self::predictive_coding) | anchored | K Jacobi sweeps | optimizer | forward | penalty | |
/// | [`incremental`](Self::incremental) | anchored | K Jacobi sweeps | optimizer, with each | stored | penalty | |
/// | [`error_based`](Self::error_based) | anchored | K steps in error coordinates | optimizer | stored | penalty | |
/// | [`local_targets`](Self::local_targets) | anchored | 1 reverse sweep of 1/μ | M optimizer steps | forward | penalty | |
/// | [`backprop_by_sweep`](Self::backprop_by_sweep) | anchored | 1 reverse sweep of 1/μ | optimizer | forward | penalty | |
/// | [`alm`](Self::alm) | anchored | 1 reverse sweep below 1/μ | optimizer | forward | multipliers in the bank | a second bank |
/// | [`mac`](Self::mac) | persisted | 1 Gauss–Newton step | M optimizer steps | stored | rising penalty, finish | few outputs |
/// | [`bcd`](Self::bcd) | persisted | exact, layer by layer | least squares, with each | stored | penalty | squared errors, units apart |
/// | [`admm`](Self::admm) | persisted | exact, layer by layer | least squares, with each | stored | multipliers at the output | squared errors, units apart, a second bank |
///
/// *Squared errors*: [`SquaredError`](crate::loss::SquaredError) as output loss and as hidden loss. *Units apart*:
/// [`store_pre_activations`](crate::NetworkBuilder::store_pre_activations), and at best all examples in one batch
/// ([`full_batch`](crate::FitConfig::full_batch)). *Few outputs*: a [`GaussNewton`] step costs a pull-back through the whole depth
/// for each. *A second bank*: the multipliers take as much memory as the activations.
///
/// The default is predictive coding that starts at a forward pass and keeps its own rate stable. On MNIST through two hidden layers it
/// is as accurate as backpropagation (98.25 % and 98.33 %) in 1.3 times the time. Its gradients are close to backpropagation's and not
/// equal to them ([`diagnostics::decoupling`](crate::diagnostics::decoupling())). Beyond ten hidden layers too little of the signal
/// arrives at the lowest: take [`local_targets`](Self::local_targets) after
/// [`start_from_bank`](crate::DecoupledNetwork::start_from_bank) there. [`guide::results`](crate::guide::results#the-default-and-its-alternatives)
/// has every preset's accuracy and time, with the commands that print them, and the reasons for this default.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Scalar"))]
pub struct Method<T> {
    pub(crate) start: Start,
    pub(crate) activation: ActivationStep<T>,
    pub(crate) parameter: ParameterStep,
    pub(crate) coupling: Coupling,
}

impl<T: Scalar> Default for Method<T> {
    /// Returns [`predictive_coding`](Method::predictive_coding) in [`Order::RedBlack`], every layer at rate 0.3 or at 1.8/λmax of its own
    /// block where that is less, with one sweep more than the signal needs to reach the lowest layer: 1 + ⌈hidden layers / 2⌉. With T layers some 3T products
    /// follow one another in an update; backpropagation has 2T.
    fn default() -> Self {
        let method = Self::predictive_coding(1, 0.3).order(Order::RedBlack).stable(1.8);
        method.sweeps(|sweeps| sweeps.steps = None)
    }
}

impl<T: Scalar> Method<T> {
    /// Puts a method together from where a visit starts, how Z moves with Θ fixed and how Θ moves with Z fixed. Penalties are
    /// constant by default; [`coupling`](Self::coupling) changes that.
    ///
    /// ```
    /// use decoupled::{GaussNewton, Method, ParameterStep, Reads, Start};
    ///
    /// let method = Method::<f32>::new(Start::Anchored, GaussNewton::new(1), ParameterStep::new(Reads::Forward));
    /// ```
    pub fn new(start: Start, activation: impl Into<ActivationStep<T>>, parameter: ParameterStep) -> Self {
        Self { start, activation: activation.into(), parameter, coupling: Coupling::default() }
    }

    /// Sets where a visit starts.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets how the activations move.
    pub fn activation(mut self, step: impl Into<ActivationStep<T>>) -> Self {
        self.activation = step.into();
        self
    }

    /// Sets how the parameters move.
    pub fn parameter(mut self, step: ParameterStep) -> Self {
        self.parameter = step;
        self
    }

    /// Sets the penalties and multipliers that hold the activations to their predictions.
    pub fn coupling(mut self, coupling: Coupling) -> Self {
        self.coupling = coupling;
        self
    }

    /// Takes the activation steps in this order of the layers: gradient sweeps, which replace any other step. The
    /// [`default`](Self::default) takes one sweep more than this order needs to reach the lowest layer.
    pub fn order(self, order: Order) -> Self {
        self.sweeps(|sweeps| sweeps.order = order)
    }

    /// Sets the number of activation steps a visit.
    pub fn activation_steps(mut self, steps: usize) -> Self {
        match &mut self.activation {
            ActivationStep::Sweeps(own) => own.steps = Some(steps),
            ActivationStep::Errors(own) => own.steps = steps,
            ActivationStep::GaussNewton(own) => own.steps = steps,
            ActivationStep::Exact(own) => own.steps = steps,
        }
        self
    }

    /// Sets the size of an activation step; Gauss–Newton and exact steps have none and stay as they are.
    pub fn activation_rate(mut self, rate: f64) -> Self {
        match &mut self.activation {
            ActivationStep::Sweeps(own) => own.rate = rate,
            ActivationStep::Errors(own) => own.rate = rate,
            ActivationStep::GaussNewton(_) | ActivationStep::Exact(_) => {}
        }
        self
    }

    /// Sets the optimizer that moves the activations, at its own learning rate; steps that take none become sweeps.
    pub fn activation_optimizer(mut self, optimizer: impl Optimizer<T> + 'static) -> Self {
        match &mut self.activation {
            ActivationStep::Errors(own) => *own = own.clone().optimizer(optimizer),
            _ => return self.sweeps(|sweeps| *sweeps = sweeps.clone().optimizer(optimizer)),
        }
        self
    }

    /// Keeps the activation rate at or below fraction/λmax: [`Sweeps::stable`]. Other steps become sweeps.
    pub fn stable(self, fraction: f64) -> Self {
        self.sweeps(|sweeps| sweeps.stable = Some(fraction))
    }

    /// Sets when the parameters step.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.parameter.timing = timing;
        self
    }

    /// Sets which input the parameter step reads.
    pub fn reads(mut self, reads: Reads) -> Self {
        self.parameter.reads = reads;
        self
    }

    /// Sets how the penalties change during a fit.
    pub fn penalty(mut self, penalty: Penalty) -> Self {
        self.coupling.penalty = penalty;
        self
    }

    /// Sets the multipliers beside the penalties, or removes them.
    pub fn multipliers(mut self, multipliers: impl Into<Option<Multipliers>>) -> Self {
        self.coupling.multipliers = multipliers.into();
        self
    }

    /// Sets whether a fit ends by setting Z to the forward pass and refitting the last layer to it, as MAC does: the forward loss
    /// on the training data is never worse for it.
    pub fn finish(mut self, finish: bool) -> Self {
        self.coupling.finish = finish;
        self
    }

    /// Returns the activation step of this method, to relax a block of your own.
    pub fn activation_step(&self) -> &ActivationStep<T> {
        &self.activation
    }

    /// Changes the gradient sweeps of this method; they replace another activation step.
    fn sweeps(self, change: impl FnOnce(&mut Sweeps<T>)) -> Self {
        let mut sweeps = match self.activation {
            ActivationStep::Sweeps(sweeps) => sweeps,
            other => Sweeps::new(Order::Jacobi, other.steps(1), 0.1),
        };
        change(&mut sweeps);
        Self { activation: sweeps.into(), ..self }
    }

    /// Returns the stages of a visit, in a network of `depth` layers.
    pub fn schedule(&self, depth: usize) -> Schedule {
        let all = 0..depth;
        let (reads, timing) = (self.parameter.reads, self.parameter.timing);
        let mut stages = Vec::new();
        if self.start != Start::Persisted || reads == Reads::Forward {
            stages.push(Stage::Forward);
        }
        stages.push(Stage::Start(self.start));
        if self.activation.streams() {
            stages.extend(self.layer_by_layer(depth));
            return Schedule::new(stages, depth);
        }
        let (steps, step) = (self.activation.steps(depth), self.activation.stages(depth));
        let gather = self.gather(all.clone());
        let (measure, update) = (Stage::Measure(1..depth + 1), Stage::Update(all));
        let ascend = self.coupling.multipliers.map(|_| Stage::Ascend);
        match timing {
            Timing::AfterRelaxation { local_steps } => {
                // The parameter step evaluates the layers at the stored activations only if it reads them: otherwise measure where the last
                // activation step evaluates them.
                let early = if reads == Reads::Forward { steps.min(1) } else { 0 };
                stages.extend(Stage::repeat(steps - early, &step));
                stages.push(measure);
                stages.extend(Stage::repeat(early, &step));
                stages.push(gather.clone());
                stages.extend(ascend);
                if local_steps > 1 {
                    stages.push(update.clone());
                    stages.extend(Stage::repeat(local_steps - 2, &[gather.clone(), update.clone()]));
                    stages.push(gather);
                }
            }
            Timing::EveryStep => {
                let joint: Vec<_> = [slice::from_ref(&gather), &step, slice::from_ref(&update)].concat();
                stages.extend(Stage::repeat(steps.saturating_sub(1), &joint));
                stages.extend([measure, gather]);
                stages.extend(ascend);
                stages.extend(step);
            }
        }
        stages.extend([Stage::Store, update]);
        Schedule::new(stages, depth)
    }

    /// The stages of steps that move one layer at a time, from the output to the input, in the bank itself.
    fn layer_by_layer(&self, depth: usize) -> Vec<Stage> {
        let groups = self.activation.stages(depth);
        let of = |t: usize| groups.iter().filter(move |stage| stage.group().is_some_and(|group| group.has(t))).cloned();
        let parameters = |t: usize| [self.gather(t..t + 1), Stage::Update(t..t + 1)];
        let every_step = self.parameter.timing == Timing::EveryStep;
        let sweep = |measures: bool| {
            let mut stages = Vec::new();
            for t in (0..depth).rev() {
                stages.extend(every_step.then(|| parameters(t)).into_iter().flatten());
                // All below is still as the visit has found it, and so is the prediction of z_t.
                stages.extend((measures && t > 0).then_some(Stage::Measure(t..t + 1)));
                stages.extend(of(t));
            }
            stages
        };
        let mut stages = vec![Stage::Measure(depth..depth + 1)];
        stages.extend(sweep(true));
        stages.extend(Stage::repeat(self.activation.steps(depth) - 1, &sweep(false)));
        if let Timing::AfterRelaxation { local_steps } = self.parameter.timing {
            stages.extend((0..depth).rev().flat_map(parameters));
            // A regression is done at once.
            let by_gradient = (0..depth).rev().filter(|&t| self.parameter.solver_of(t) == Solver::Optimizer);
            stages.extend(Stage::repeat(local_steps - 1, &by_gradient.flat_map(parameters).collect::<Vec<_>>()));
        }
        stages.extend(self.coupling.multipliers.map(|_| Stage::Ascend));
        stages.push(Stage::Store);
        stages
    }

    fn gather(&self, layers: Range<usize>) -> Stage {
        let by_gradient = layers.clone().any(|t| self.parameter.solver_of(t) == Solver::Optimizer);
        Stage::Gather { layers, reads: self.parameter.reads, chained: false, by_gradient }
    }

    /// Counts the products that must follow one another for one update of a network of `depth` layers: the depth of the
    /// computation, however many processors there are. Backpropagation needs `2 · depth`.
    ///
    /// An activation step needs the predictions and their pull-backs, each at once for all layers in Jacobi order;
    /// the first predictions after anchoring are the forward pass itself.
    pub fn sequential_products(&self, depth: usize) -> usize {
        self.schedule(depth).sequential_products()
    }

    /// How far a signal from the output comes in a visit of a circuit of `depth` layers.
    pub(crate) fn reach(&self, depth: usize) -> Reach {
        let keeps = self.start != Start::Anchored || self.coupling.multipliers.is_some();
        Reach::of(&self.schedule(depth), keeps)
    }

    /// Returns the parameter steps of a visit, in a network of `depth` layers: what a schedule of the learning rate counts.
    pub fn parameter_steps(&self, depth: usize) -> usize {
        self.schedule(depth).updates()
    }

    /// Fails unless the parts of the method fit each other and the network has the operators that they need.
    pub(crate) fn check(&self, objective: &Objective<'_, T>) -> Result<()> {
        self.start.validate()?;
        self.activation.validate()?;
        self.parameter.validate::<T>()?;
        self.coupling.validate::<T>()?;
        let count = objective.circuit.layers.len();
        if let Some(&(found, _)) = self.parameter.layer_solvers.iter().find(|(t, _)| *t >= count) {
            return Err(Error::LayerIndex { what: "layer_solver", first: 0, count, found });
        }
        let exact = self.activation.streams();
        if exact {
            self.check_exact(objective)?;
        }
        for (t, layer) in objective.circuit.layers.iter().enumerate() {
            let closed = self.parameter.solver_of(t) != Solver::Optimizer && layer.param_len() > 0;
            let no_regression = closed && guarded("regression", t, || layer.regression().is_none())?;
            let no_proximal = exact && t > 0 && guarded("proximal", t, || layer.proximal().is_none())?;
            if let Some(lacks) = lacking(no_regression, no_proximal) {
                let methods = "the default, joint, predictive_coding, incremental, error_based, local_targets, \
                               backprop_by_sweep, alm, mac";
                return Err(Error::Incapable { layer: t, name: format!("{layer:?}"), lacks, methods });
            }
            if closed {
                check_squared("a parameter step by least squares (Solver::Ridge)", objective, t)?;
            }
        }
        Ok(())
    }

    fn check_exact(&self, objective: &Objective<'_, T>) -> Result<()> {
        for t in 0..objective.circuit.layers.len() {
            check_squared("exact activation steps (Method::bcd, Method::admm)", objective, t)?;
        }
        match self.parameter.reads {
            Reads::Stored => Ok(()),
            Reads::Forward => Err(Error::Unsupported {
                what: "exact activation steps",
                why: "their parameter step reads stored activations: Reads::Stored",
            }),
        }
    }
}

/// Names the operators that a layer lacks for steps in closed form.
fn lacking(regression: bool, proximal: bool) -> Option<&'static str> {
    match (regression, proximal) {
        (false, false) => None,
        (true, false) => Some(
            "it offers no regression (Layer::regression) for a parameter step by least squares; Solver::Optimizer for this \
             layer (ParameterStep::layer_solver) does without",
        ),
        (false, true) => Some(
            "it offers no proximal operator (Layer::proximal) for exact activation steps; if it is a map fused with its \
             activation function, make them two layers, as dense does after store_pre_activations",
        ),
        (true, true) => Some(
            "it offers neither a proximal operator (Layer::proximal) for exact activation steps nor a regression \
             (Layer::regression) for a parameter step by least squares",
        ),
    }
}

/// Fails unless the loss of the output of layer t is the squared error.
fn check_squared<T: Scalar>(what: &'static str, objective: &Objective<'_, T>, t: usize) -> Result<()> {
    let loss = objective.loss(t + 1).0;
    if loss.is_squared_error() {
        return Ok(());
    }
    let which = if t + 1 == objective.circuit.layers.len() { "output loss" } else { "hidden loss" };
    Err(Error::LossMismatch { what, which, layer: t, found: format!("{loss:?}") })
}
