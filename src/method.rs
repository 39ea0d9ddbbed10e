//! The ways to train: where a visit starts, how Z moves, when Θ moves and what it reads.

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
/// It is put together from four parts, and so is one of your own ([`Method::new`]): where a visit starts ([`Start`]), how Z moves
/// with Θ fixed ([`ActivationStep`]), how Θ moves with Z fixed ([`ParameterStep`]), and what holds the two together
/// ([`Coupling`]).
///
/// | preset | start | activation step | parameter step | reads | coupling | asks for |
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
/// # Why this default
///
/// Of what keeps up with backpropagation on MNIST and on the digits, through two hidden layers and through ten, and is not
/// backpropagation by another road, it is what never goes down through the layers one after another: in a sweep only two groups
/// wait for one another. Test accuracy in % after 10 epochs of MNIST, 784-256-256-10 ReLU, softmax cross-entropy, batches of 128, Adam with its rate
/// annealed from 10⁻³ to 0 along half a cosine, seed 0 (the first two rows: means of three seeds, `--seeds 3`), by the example `family` with
/// the options given. Time is in units of backpropagation's, in the same run on two threads; `cos` is the cosine of each
/// layer's parameter gradient with backpropagation's after training:
///
/// | options | accuracy | time | cos, from the input |
/// |---|---|---|---|
/// | backpropagation | 98.33 | 1 | 1, 1, 1 |
/// | (none: the default) | 98.25 | 1.3 | 0.988, 0.995, 1 |
/// | `--schedule constant --seeds 3` (backpropagation: 97.97) | 97.61 | 1.3 | 0.954, 0.990, 1 |
/// | `--preset default --order jacobi --activation-rate 0.1` | 98.28 | 1.3 | 0.974, 1.000, 1 |
/// | the same with `--schedule constant` (backpropagation: 98.10) | 98.20 | 1.3 | 0.966, 1.000, 1 |
/// | `--preset backprop_by_sweep` | 98.36 | 1.0 | 1, 1, 1 |
/// | `--preset predictive_coding --activation-steps 4 --activation-rate 0.2` | 98.31 | 1.4 | 0.912, 0.914, 1 |
/// | the same with `--schedule constant` (backpropagation: 98.10) | 96.31 | 1.6 | 0.765, 0.884, 1 |
/// | `--preset predictive_coding --activation-steps 2 --activation-rate 0.05 --order reverse` | 98.21 | 1.2 | 0.985, 1.000, 1 |
/// | `--preset predictive_coding --activation-steps 8 --activation-rate 0.01 --z-momentum 0.5` | 98.32 | 2.1 | 0.989, 1.000, 1 |
/// | `--preset predictive_coding --activation-steps 4 --activation-rate 0.1 --reads stored` | 97.78 | 1.5 | 0.726, 0.042, 0.960 |
/// | `--preset incremental --activation-steps 4 --activation-rate 0.1` | 97.39 | 3.5 | 0.979, 0.550, 0.850 |
/// | `--preset predictive_coding --activation-steps 3 --activation-rate 0.1 --local-steps 2` | 95.23 | 2.1 | −0.145, 0.979, 1 |
///
/// With a constant rate single epochs scatter by 0.2 about their trend. On the digits (`quickstart -- --seeds 5`) the default has 98.16, as
/// has backpropagation, at 1.6 times its time.
///
/// Three things decide. *Reads*: a parameter step that reads the relaxed activation, which already holds something of the
/// label, trains on what it will not have when it predicts. *Step size*: above 2/λmax the steps overshoot, and λmax grows from 8
/// to 30 in these runs. Red-black order makes more room: neighbours never move together, so that each layer answers to
/// [its own λmax](Sweeps::stable), and the default keeps below that. It does so as a cap only, because the hidden layers' gradients
/// go with the rate, and Adam takes a rate that follows 1/λmax all the time for a falling learning rate: that cost 0.1 to 0.2
/// points. *Number of sweeps*: a red-black sweep carries the signal down two layers, and more than one sweep beyond the lowest
/// bought nothing here.
///
/// The default is not backpropagation: half of the layers step at once, it relaxes the hidden layers by an eighth to a third of
/// the way to their equilibrium, and its gradients turn away from backpropagation's as training goes on.
/// Nor is it far from it; [`diagnostics::decoupling`](crate::diagnostics::decoupling) says how far, for any method, network
/// and data. It saves nothing in sequence: T products forward, then four for each sweep, some 3T in all, where backpropagation
/// has 2T.
///
/// # The others
///
/// The same network and data by other presets, by the example `family` with the options given (one seed unless said):
///
/// | options | accuracy | backpropagation | published |
/// |---|---|---|---|
/// | `--preset local_targets --epochs 2 --seeds 3` | 98.24 | 97.07, in as many epochs | |
/// | `--preset alm --seeds 3` | 98.26 | 98.33 | |
/// | `--preset alm --order jacobi --activation-rate 1` | 97.64 | 98.32 | |
/// | the same with `--multipliers none`: the lowest layer learns nothing | 96.38 | 98.32 | |
/// | `--preset mac --epochs 3` | 96.08 | | |
/// | the same with `--start anchored` | 96.23 | | |
/// | `--preset error_based` (after epoch 3 it warns of overshooting) | 97.52 | 98.32 | |
/// | `--preset error_based --activation-rate 0.02 --activation-steps 5` | 97.85 | 98.32 | |
/// | `--preset admm --epochs 20` | 88.72 | 98.32 | |
/// | `--preset bcd --net 784-1500-1500-1500-10 --epochs 22 --seeds 3`; 94.75 after 29 passes of seed 0 | 94.60 | | 94.4 to 94.9 at 50 (Zeng et al.) |
/// | `--preset incremental --net 784-128-128-128-10 --activation gelu --init torch --loss mse --activation-steps 8 --activation-rate 0.85 --z-momentum 0.35 --lr 2.5e-4 --weight-decay 0.03 --epochs 25 --seeds 3` | 98.26 | | 98.3 to 98.5 (PCX) |
///
/// What a bank that persists buys is in these rows too. Kept multipliers bring the signal to the lowest layer that one Jacobi step
/// from the forward pass does not reach: 1.3 points. In `bcd` it brings
/// 87.0 instead of 85.9 after 20 passes over 10,000 examples (`--preset bcd --examples 10000 --epochs 20 --no-bp`, and with
/// `--start anchored`). In `mac` it costs: stored inputs that hold
/// something of the label are worse to learn from than those of a new forward pass.
///
/// # Where it ends
///
/// Every layer that the signal crosses hands on a share of it, about the rate times ‖W‖. What arrives at the lowest is a
/// difference z − a, which in single precision has seven digits: through ten hidden layers enough is left, through fifteen it is not.
/// In %, on the first 20,000 examples of MNIST through D hidden layers of 100
/// (`--preset default --width 100 --depth D --examples 20000`, and `--activation tanh`; one seed):
///
/// | D | ReLU | backpropagation |
/// |---|---|---|
/// | 4 | 96.34 | 96.36 |
/// | 6 | 96.41 | 96.71 |
/// | 10 | 96.28 | 96.48 |
/// | 15 | 88.76 | 95.98 |
/// | 20 | 71.16 | 95.68 |
/// | 15, tanh | 94.74 | 95.87 |
///
/// Deeper networks want an activation step that does not diffuse, and a start that lets the signal through:
/// [`BankStart`](crate::BankStart) with [`local_targets`](Self::local_targets) at a lower learning rate, which by itself has 96.71 %
/// through those fifteen layers.
///
/// The order decides how far it goes. In Jacobi order all layers move at once, and small steps are needed, one for each layer; in
/// reverse order one sweep would do, one layer after another, as sequential as backpropagation. In %, after 5 epochs through ten
/// layers, means of five seeds, by `--preset default --width 100 --depth 10 --examples 20000 --epochs 5 --seeds 5
/// --activation A` and:
///
/// | options | tanh | ReLU | products in sequence | time |
/// |---|---|---|---|---|
/// | backpropagation | 95.36 | 95.84 | 22 | 1 |
/// | (none: the default) | 95.32 | 95.35 | 35 | 2.7 |
/// | `--order jacobi --activation-rate 0.1` | 90.55 | 83.71 | 33 | 4.1 |
/// | `--order reverse` | 95.25 | 95.44 | 33 | 1.7 |
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
    /// [`predictive_coding`](Method::predictive_coding) in [`Order::RedBlack`], every layer at rate 0.3 or at 1.8/λmax of its own
    /// block where that is less, with one sweep more than the signal needs to reach the lowest layer: 1 + ⌈hidden layers / 2⌉. With T layers some 3T products
    /// follow one another in an update; backpropagation has 2T.
    fn default() -> Self {
        let method = Self::predictive_coding(1, 0.3).order(Order::RedBlack).stable(1.8);
        method.sweeps(|sweeps| sweeps.steps = None)
    }
}

impl<T: Scalar> Method<T> {
    /// A method of one's own: where a visit starts, how Z moves with Θ fixed, how Θ moves with Z fixed. The coupling is by
    /// constant penalties until [`coupling`](Self::coupling) says otherwise.
    ///
    /// ```
    /// use decoupled::{GaussNewton, Method, ParameterStep, Reads, Start};
    ///
    /// let method = Method::<f32>::new(Start::Anchored, GaussNewton::new(1), ParameterStep::new(Reads::Forward));
    /// ```
    pub fn new(start: Start, activation: impl Into<ActivationStep<T>>, parameter: ParameterStep) -> Self {
        Self { start, activation: activation.into(), parameter, coupling: Coupling::default() }
    }

    /// Where a visit starts.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// How the activations move.
    pub fn activation(mut self, step: impl Into<ActivationStep<T>>) -> Self {
        self.activation = step.into();
        self
    }

    /// How the parameters move.
    pub fn parameter(mut self, step: ParameterStep) -> Self {
        self.parameter = step;
        self
    }

    /// What holds the activations to their predictions.
    pub fn coupling(mut self, coupling: Coupling) -> Self {
        self.coupling = coupling;
        self
    }

    /// Takes the activation steps in this order of the layers: gradient sweeps, whatever the step was before. The
    /// [`default`](Self::default) takes as many as the order asks for to reach the lowest layer, and one more.
    pub fn order(self, order: Order) -> Self {
        self.sweeps(|sweeps| sweeps.order = order)
    }

    /// Activation steps a visit.
    pub fn activation_steps(mut self, steps: usize) -> Self {
        match &mut self.activation {
            ActivationStep::Sweeps(own) => own.steps = Some(steps),
            ActivationStep::Errors(own) => own.steps = steps,
            ActivationStep::GaussNewton(own) => own.steps = steps,
            ActivationStep::Exact(own) => own.steps = steps,
        }
        self
    }

    /// The size of an activation step; Gauss–Newton and exact steps have none and stay as they are.
    pub fn activation_rate(mut self, rate: f64) -> Self {
        match &mut self.activation {
            ActivationStep::Sweeps(own) => own.rate = rate,
            ActivationStep::Errors(own) => own.rate = rate,
            ActivationStep::GaussNewton(_) | ActivationStep::Exact(_) => {}
        }
        self
    }

    /// The rule that moves the activations, at its own learning rate; steps that have none become sweeps.
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

    /// When the parameters step.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.parameter.timing = timing;
        self
    }

    /// Which input the parameter step reads.
    pub fn reads(mut self, reads: Reads) -> Self {
        self.parameter.reads = reads;
        self
    }

    /// What becomes of the penalties during a fit.
    pub fn penalty(mut self, penalty: Penalty) -> Self {
        self.coupling.penalty = penalty;
        self
    }

    /// Multipliers beside the penalties, or none.
    pub fn multipliers(mut self, multipliers: impl Into<Option<Multipliers>>) -> Self {
        self.coupling.multipliers = multipliers.into();
        self
    }

    /// Whether a fit ends by setting Z to the forward pass and refitting the last layer to it, as MAC does: the forward loss
    /// on the training data is never worse for it.
    pub fn finish(mut self, finish: bool) -> Self {
        self.coupling.finish = finish;
        self
    }

    /// The activation step of this method, to relax a block of one's own.
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

    /// Returns the number of products that must follow one another for one update of a network of `depth` layers: the depth of the
    /// computation, however many processors there are. Backpropagation needs `2 · depth`.
    ///
    /// An activation step asks for the predictions and for their pull-backs, each at once for all layers in Jacobi order;
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

    /// Fails unless the parts of the method fit each other, and the network offers what they ask for.
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

/// What a layer lacks for steps in closed form, in words.
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
