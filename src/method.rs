//! The ways to train: where a visit starts, how Z moves, when Θ moves and which input it reads.
//!
//! In reading order: [`energy`] has the objective, over the layers of a circuit and the activations of a [`Block`]; a visit begins at
//! a [`Start`], moves activations by an [`ActivationStep`] and parameters by a [`ParameterStep`], under a [`Coupling`]; [`schedule`] has
//! the list of stages that results, and [`Method`] puts all of them together.

use std::ops::Range;
use std::slice;
use std::sync::Arc;

use crate::error::{require, supported};
use crate::machine::parallel::guarded;
use crate::{Error, Result, Scalar};

pub mod activation_step;
pub mod backprop;
#[expect(clippy::indexing_slicing, reason = "one of everything for each layer, as `Block::new` makes them")]
pub(crate) mod block;
#[expect(clippy::indexing_slicing, reason = "one of everything for each layer")]
pub(crate) mod circuit;
pub(crate) mod coupling;
pub(crate) mod draws;
#[expect(clippy::indexing_slicing, reason = "one of everything for each layer, as `Block::new` makes them")]
pub mod energy;
pub(crate) mod flight_plan;
#[expect(clippy::indexing_slicing, reason = "one of everything for each layer, and the pieces of its parameters")]
pub mod parameter_step;
mod presets;
#[expect(clippy::indexing_slicing, reason = "one of everything for each layer")]
pub mod schedule;
pub(crate) mod start;

pub use activation_step::{ActivationStep, ErrorSteps, Exact, GaussNewton, Order, Sweeps, curvature};
pub use block::{Block, Group, Reads};
pub use coupling::{Coupling, Multipliers, Penalty, PenaltyIncrease, Stall};
pub use flight_plan::FlightPlan;
pub use parameter_step::{GradientStep, ParameterStep, Ridge, Timing};
pub use start::Start;

use circuit::Circuit;
use energy::Objective;
use parameter_step::ParameterSteps;
use schedule::{Reach, Schedule, Stage};

/// One way to minimise the objective over Θ and Z: a plain value, made by a preset and changed by setters.
///
/// It consists of four parts, as does a custom one ([`Method::new`]): where a visit starts ([`Start`]), how Z moves
/// with Θ fixed ([`ActivationStep`]), how Θ moves with Z fixed ([`ParameterStep`]), and how residuals are penalised
/// ([`Coupling`]).
///
/// | preset | start | activation step | parameter step | reads | coupling | needs |
/// |---|---|---|---|---|---|---|
/// | [`default`](Self::default) | anchored | 1 reverse sweep of 1/μ | 2 optimizer steps; the first layer takes both along one gradient | forward | penalty | |
/// | [`red_black`](Self::red_black) | anchored | 1 + ⌈hidden layers / 2⌉ red-black sweeps, at most 1.8/λmax | optimizer | forward | penalty | |
/// | [`joint`](Self::joint) | persisted | 1 Jacobi sweep | optimizer, with it | stored | penalty | |
/// | [`predictive_coding`](Self::predictive_coding) | anchored | K Jacobi sweeps | optimizer | forward | penalty | |
/// | [`incremental`](Self::incremental) | anchored | K Jacobi sweeps | optimizer, with each | stored | penalty | |
/// | [`error_based`](Self::error_based) | anchored | K steps in error coordinates | optimizer | stored | penalty | |
/// | [`local_targets`](Self::local_targets) | anchored | 1 reverse sweep of 1/μ | M optimizer steps | forward | penalty | |
/// | [`backprop_by_sweep`](Self::backprop_by_sweep) | anchored | 1 reverse sweep of 1/μ | optimizer | forward | penalty | |
/// | [`in_flight`](Self::in_flight) | anchored | 1 reverse sweep of 1/μ, a stage a tick | optimizer, stage by stage | forward | penalty | |
/// | [`alm`](Self::alm) | anchored | 1 reverse sweep of r/μ, r ≤ 1 | optimizer | forward | multipliers in the bank | a second bank |
/// | [`mac`](Self::mac) | persisted | 1 Gauss–Newton step | M optimizer steps | stored | rising penalty, finish | few outputs |
/// | [`bcd`](Self::bcd) | persisted | exact, layer by layer | least squares, with each | stored | penalty | squared errors, units apart |
/// | [`admm`](Self::admm) | persisted | exact, layer by layer | least squares, with each | stored | multipliers at the output | squared errors, units apart, a second bank |
///
/// *Squared errors*: [`SquaredError`](crate::loss::SquaredError) as output loss and as hidden loss. *Units apart*:
/// [`store_pre_activations`](crate::NetworkBuilder::store_pre_activations), and at best all examples in one batch
/// ([`full_batch`](crate::FitConfig::full_batch)). *Few outputs*: a [`GaussNewton`] step costs a pull-back through the whole depth
/// for each. *A second bank*: the multipliers take as much memory as the activations.
///
/// The default is [`local_targets`](Self::local_targets) with two steps: one sweep from the output sets a target for every layer, and all
/// layers then take two steps towards their targets, each by itself; the first layer, whose products are often the most expensive, takes both
/// [along one gradient](Timing::FirstGradientOnce). The gradients of the first step are backpropagation's, up to rounding; those of the second,
/// in the layers above the first from the parameters just reached, are not. After the same epochs, with twice the updates in 1.3 to 2 times
/// the time, and from the same start it is as accurate as backpropagation, within 0.4 points, or better, through one to a hundred hidden
/// layers.
/// [`guide::results`](crate::guide::results#any-depth) has the tables, with the commands that print them, and the alternatives.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Scalar"))]
pub struct Method<T> {
    pub(crate) start: Start,
    pub(crate) activation: Arc<dyn ActivationStep<T>>,
    pub(crate) parameter: ParameterSteps<T>,
    pub(crate) coupling: Coupling,
}

impl<T: Scalar> Default for Method<T> {
    /// Returns [`local_targets`](Method::local_targets) with two steps, those of the first layer
    /// [along one gradient](Timing::FirstGradientOnce). With T layers 2T + 2 products are sequential in a visit, which has two updates;
    /// backpropagation has 2T and one.
    fn default() -> Self {
        Self::local_targets(2).timing(Timing::FirstGradientOnce { local_steps: 2 })
    }
}

impl<T: Scalar> Method<T> {
    /// Puts a method together from where a visit starts, how Z moves with Θ fixed, and which input the layers read when Θ moves with Z
    /// fixed. Unless set otherwise, the parameters take one step of their [optimizers](crate::method::parameter_step::GradientStep) after the activations, and penalties are
    /// constant: [`parameter`](Self::parameter), [`timing`](Self::timing) and [`coupling`](Self::coupling) change that.
    ///
    /// ```
    /// use decoupled::Method;
    /// use decoupled::method::{GaussNewton, Reads, Start};
    ///
    /// let method = Method::<f32>::new(Start::Anchored, GaussNewton::new(1), Reads::Forward);
    /// ```
    pub fn new(start: Start, activation: impl ActivationStep<T> + 'static, reads: Reads) -> Self {
        let (activation, parameter) = (Arc::new(activation), ParameterSteps::new(reads));
        Self { start, activation, parameter, coupling: Coupling::default() }
    }

    /// Sets where a visit starts.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets how the activations move.
    pub fn activation(mut self, step: impl ActivationStep<T> + 'static) -> Self {
        self.activation = Arc::new(step);
        self
    }

    /// Sets how the parameters move, in all layers without a step of their own.
    pub fn parameter(mut self, step: impl ParameterStep<T> + 'static) -> Self {
        self.parameter.step = Arc::new(step);
        self
    }

    /// Sets how the parameters of layer t move, t = 0 .. T.
    pub fn layer_parameter(mut self, t: usize, step: impl ParameterStep<T> + 'static) -> Self {
        self.parameter.layer_steps.push((t, Arc::new(step)));
        self
    }

    /// Sets the penalties and multipliers that hold the activations to their predictions.
    pub fn coupling(mut self, coupling: Coupling) -> Self {
        self.coupling = coupling;
        self
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

    /// Sets the multipliers in addition to the penalties, or removes them.
    pub fn multipliers(mut self, multipliers: impl Into<Option<Multipliers>>) -> Self {
        self.coupling.multipliers = multipliers.into();
        self
    }

    /// Sets whether a fit ends by setting Z to the forward pass and refitting the last layer to it, as MAC does. This never raises the
    /// forward loss on the training data.
    pub fn finish(mut self, finish: bool) -> Self {
        self.coupling.finish = finish;
        self
    }

    /// Fails unless the activation step takes at least one step, and of hidden activations only.
    fn check_groups(&self, depth: usize) -> Result<()> {
        // Without hidden layers nothing moves, and `groups` may expect a depth of at least 2.
        if depth < 2 {
            return Ok(());
        }
        let step = &*self.activation;
        let (steps, groups) =
            guarded("groups of the activation step", None, || (step.steps(depth), step.groups(depth)))?;
        require(steps > 0, "activation steps", "at least 1", steps as f64)?;
        let remembers =
            step.streams() && guarded("optimizer of the activation step", None, || step.optimizer().is_some())?;
        let why = "activations that are loaded for one layer at a time have no room for the memory of its optimizer";
        supported(!remembers, "an activation step that streams", why)?;
        let breach = |what: &str, expected: usize, found: usize| {
            let (subject, rule) = (format!("{step:?}"), "groups_are_of_hidden_activations");
            Error::Contract { subject, rule, what: what.to_owned(), expected: expected as f64, found: found as f64 }
        };
        for group in &groups {
            if let Some(t) = group.members().find(|t| !(1..depth).contains(t)) {
                let (what, expected) = if t == 0 { ("lowest", 1) } else { ("highest", depth - 1) };
                return Err(breach(&format!("the {what} activation that may move"), expected, t));
            }
            let members = group.members().count();
            if step.streams() && members != 1 {
                return Err(breach("activations in a group of a step that streams", 1, members));
            }
        }
        Ok(())
    }

    /// Fails for a method that keeps an example's activations or multipliers from visit to visit. `what` names the random part of a visit.
    pub(crate) fn check_forgets(&self, what: &'static str) -> Result<()> {
        let start = "the bank would keep the activations of other draws; take a method that starts at the forward pass (Start::Anchored)";
        let multipliers = "the bank would keep the multipliers of other draws; take a method without";
        supported(self.start == Start::Anchored, what, start)?;
        supported(self.coupling.multipliers.is_none(), what, multipliers)
    }

    /// Fails for layers with noise unless all evaluations of an example's visit see one draw, and closed forms none.
    fn check_noise(&self, circuit: Circuit<'_, T>) -> Result<()> {
        let what = "layers with noise (Layer::noise), as Dropout";
        for (t, layer) in circuit.layers.iter().enumerate() {
            if circuit.guarded("noise", t, || layer.noise().is_some())? {
                self.check_forgets(what)?;
                let exact = "exact activation steps are those of maps without noise; take sweeps, Gauss–Newton or error coordinates";
                supported(!self.activation.streams(), what, exact)?;
                let squares = "least squares are those of maps without noise; take GradientStep for this layer (Method::layer_parameter)";
                supported(layer.param_len() == 0 || self.parameter.by_gradient(t), what, squares)?;
            }
        }
        Ok(())
    }

    /// Fails for a method in flight unless its error passes every layer once, from the output down, and starts at the forward pass.
    fn check_flight(&self, circuit: Circuit<'_, T>) -> Result<()> {
        let Timing::InFlight { .. } = self.parameter.timing else { return Ok(()) };
        let (depth, step) = (circuit.depth(), &*self.activation);
        let once = depth < 2
            || guarded("groups of the activation step", None, || {
                step.steps(depth) == 1 && step.groups(depth).into_iter().eq((1..depth).rev().map(Group::one))
            })?;
        let mut trains = circuit.layers.iter().enumerate().filter(|(_, layer)| layer.param_len() > 0);
        let by_gradient = trains.all(|(t, _)| self.parameter.by_gradient(t));
        let refusals = [
            (
                once && !step.streams(),
                "their activation step is one sweep from the output down, as of Method::in_flight",
            ),
            (self.start == Start::Anchored, "they start at the forward pass: Start::Anchored"),
            (self.parameter.reads == Reads::Forward, "their layers read forward activations: Reads::Forward"),
            (self.coupling.multipliers.is_none(), "they have no multipliers"),
            (by_gradient, "their layers step along gradients; take GradientStep in place of steps by least squares"),
        ];
        refusals.into_iter().try_for_each(|(holds, why)| supported(holds, "layers in flight (Timing::InFlight)", why))
    }

    /// Returns the activation step of this method, to relax your own block.
    pub fn activation_step(&self) -> &dyn ActivationStep<T> {
        &*self.activation
    }

    /// Returns the stages of a visit, in a network of `depth` layers.
    pub fn schedule(&self, depth: usize) -> Schedule {
        let all = 0..depth;
        let (reads, timing) = (self.parameter.reads, self.parameter.timing);
        let mut stages = Vec::new();
        // Persisted activations and stored inputs need no forward pass, the only sequential part of a visit.
        if self.start != Start::Persisted || reads == Reads::Forward {
            stages.push(Stage::Forward);
        }
        stages.push(Stage::Start(self.start));
        if self.activation.streams() {
            stages.extend(self.layer_by_layer(depth));
            return Schedule::new(stages, depth);
        }
        let (steps, step) = (self.activation.steps(depth), activation_step::stages(&*self.activation, depth));
        let gather = self.gather(all.clone());
        let (measure, update) = (Stage::Measure(1..depth + 1), Stage::Update(all));
        let ascend = self.coupling.multipliers.map(|_| Stage::Ascend);
        match timing {
            Timing::AfterRelaxation { .. } | Timing::FirstGradientOnce { .. } | Timing::InFlight { .. } => {
                let (local_steps, lowest) = match timing {
                    Timing::AfterRelaxation { local_steps } => (local_steps, 0),
                    Timing::FirstGradientOnce { local_steps } => (local_steps, usize::from(depth > 1)),
                    _ => (1, 0),
                };
                // Measure where the predictions from stored activations are there anyway, so that it costs nothing: before the gather if
                // that reads them, else before the last activation step.
                let early = if reads == Reads::Forward { steps.min(1) } else { 0 };
                stages.extend(Stage::repeat(steps - early, &step));
                stages.push(measure);
                stages.extend(Stage::repeat(early, &step));
                stages.push(gather.clone());
                // The multipliers step by the residuals that the gradients have just read.
                stages.extend(ascend);
                // The update of the last local step follows the store below.
                if local_steps > 1 {
                    let gather = self.gather(lowest..depth);
                    stages.push(update.clone());
                    stages.extend(Stage::repeat(local_steps - 2, &[gather.clone(), update.clone()]));
                    stages.push(gather);
                }
            }
            Timing::EveryStep => {
                // Gather before the step: both gradients are at the same point (Θ, Z).
                let joint: Vec<_> = [slice::from_ref(&gather), &step, slice::from_ref(&update)].concat();
                // The last step is apart from the others: it is measured, and its update follows the store.
                stages.extend(Stage::repeat(steps.saturating_sub(1), &joint));
                stages.extend([measure, gather]);
                stages.extend(ascend);
                stages.extend(step);
            }
        }
        // Before the barrier: a store behind it would be another pass over all lanes.
        stages.extend([Stage::Store, update]);
        let schedule = Schedule::new(stages, depth);
        match timing {
            Timing::InFlight { stages, micro_batch } => schedule.in_flight(FlightPlan::new(depth, stages, micro_batch)),
            _ => schedule,
        }
    }

    /// Returns the stages of steps that move one layer at a time, from the output to the input, in the bank itself.
    fn layer_by_layer(&self, depth: usize) -> Vec<Stage> {
        let groups = activation_step::stages(&*self.activation, depth);
        let of = |t: usize| groups.iter().filter(move |stage| stage.group().is_some_and(|group| group.has(t))).cloned();
        let parameters = |t: usize| [self.gather(t..t + 1), Stage::Update(t..t + 1)];
        let every_step = self.parameter.timing == Timing::EveryStep;
        let sweep = |measures: bool| {
            let mut stages = Vec::new();
            for t in (0..depth).rev() {
                stages.extend(every_step.then(|| parameters(t)).into_iter().flatten());
                // The layers below have not moved in this visit yet, so the prediction of z_t has not either.
                stages.extend((measures && t > 0).then_some(Stage::Measure(t..t + 1)));
                // After θ_t, the layer above z_t: with EveryStep it relaxes against the new parameters.
                stages.extend(of(t));
            }
            stages
        };
        // The output's term first, before the highest activation moves.
        let mut stages = vec![Stage::Measure(depth..depth + 1)];
        stages.extend(sweep(true));
        stages.extend(Stage::repeat(self.activation.steps(depth) - 1, &sweep(false)));
        if let Timing::AfterRelaxation { local_steps } | Timing::FirstGradientOnce { local_steps } =
            self.parameter.timing
        {
            stages.extend((0..depth).rev().flat_map(parameters));
            // A regression is at its minimum after one step.
            let by_gradient = (0..depth).rev().filter(|&t| self.parameter.by_gradient(t));
            stages.extend(Stage::repeat(local_steps - 1, &by_gradient.flat_map(parameters).collect::<Vec<_>>()));
        }
        stages.extend(self.coupling.multipliers.map(|_| Stage::Ascend));
        stages.push(Stage::Store);
        stages
    }

    fn gather(&self, layers: Range<usize>) -> Stage {
        let by_gradient = layers.clone().any(|t| self.parameter.by_gradient(t));
        Stage::Gather { layers, reads: self.parameter.reads, chained: false, by_gradient }
    }

    /// Counts the products that must follow one another for one update of a network of `depth` layers: the depth of the
    /// computation, however many processors there are. Backpropagation needs `2 · depth`. For layers [in flight](Self::in_flight), those of
    /// one tick: an update takes a tick for each of its micro-batches.
    ///
    /// An activation step needs the predictions and their pull-backs, each in parallel for all layers in Jacobi order;
    /// the first predictions after anchoring are the forward pass itself.
    pub fn sequential_products(&self, depth: usize) -> usize {
        self.schedule(depth).sequential_products()
    }

    /// Computes how far a signal from the output travels in a visit of a circuit of `depth` layers.
    pub(crate) fn reach(&self, depth: usize) -> Reach {
        let keeps = self.start != Start::Anchored || self.coupling.multipliers.is_some();
        Reach::of(&self.schedule(depth), keeps)
    }

    /// Returns the parameter steps of a visit, in a network of `depth` layers. Schedules of the learning rate count these.
    pub fn parameter_steps(&self, depth: usize) -> usize {
        self.schedule(depth).updates()
    }

    /// Fails unless the parts of the method fit each other and the network has the operators that they need.
    pub(crate) fn check(&self, objective: &Objective<'_, T>) -> Result<()> {
        self.start.validate()?;
        guarded("validate of the activation step", None, || self.activation.validate())??;
        self.parameter.validate()?;
        self.coupling.validate::<T>()?;
        let circuit = objective.circuit;
        self.check_noise(circuit)?;
        let count = circuit.depth();
        if let Some(&(found, _)) = self.parameter.layer_steps.iter().find(|(t, _)| *t >= count) {
            return Err(Error::LayerIndex { what: "layer_parameter", first: 0, count, found });
        }
        guarded("check of the activation step", None, || self.activation.check(objective))??;
        self.check_groups(count)?;
        let (resident, stored) = (!self.activation.streams(), self.parameter.reads == Reads::Stored);
        let why = "their parameter step reads stored activations: Reads::Stored";
        supported(resident || stored, "exact activation steps", why)?;
        for (t, layer) in circuit.layers.iter().enumerate() {
            // Its step is never taken, so it need not fit.
            if layer.param_len() == 0 {
                continue;
            }
            guarded("sum of the parameter step", t, || self.parameter.of(t).sum())?;
            if !self.parameter.by_gradient(t) && circuit.guarded("regression", t, || layer.regression().is_none())? {
                let lacks = "it offers no regression (Layer::regression) for a parameter step by least squares; \
                             GradientStep for this layer (Method::layer_parameter) does without";
                return Err(circuit.incapable(t, lacks));
            }
            guarded("check of the parameter step", t, || self.parameter.of(t).check(objective, t))??;
        }
        self.check_flight(circuit)
    }
}
