//! The ways to train: where a visit starts, how Z moves, when Θ moves and what it reads.

use crate::activation_step::{ActivationStep, Order};
use crate::block::Reads;
use crate::parameter_step::Timing;
use crate::{Optimizer, Result, Scalar, error};

/// Where the activations of a visited example start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the forward pass, whatever the bank holds.
    Anchored,
    /// Where the last visit left them; at the forward pass when there was none.
    Persisted,
}

/// One way to minimise the objective over Θ and Z: a plain value, made by a preset and changed by setters.
///
/// | preset | start | activation steps | parameter step | reads |
/// |---|---|---|---|---|
/// | [`default`](Self::default) | anchored | T, at most 1.5/λmax | once afterwards | forward |
/// | [`joint`](Self::joint) | persisted | 1 | with the activation step | stored |
/// | [`predictive_coding`](Self::predictive_coding) | anchored | K | once afterwards | forward |
/// | [`incremental`](Self::incremental) | anchored | K | at every activation step | stored |
/// | [`backprop_by_sweep`](Self::backprop_by_sweep) | anchored | 1 reverse sweep of 1/μ | once afterwards | forward |
///
/// # Why this default
///
/// Of what keeps up with backpropagation on MNIST and on the digits for less than 1.6 times its time and is not backpropagation by
/// another road, it is what does so safely: a fixed rate twice as large does as well while the learning rate falls in time, and
/// overshoots when it does not.
/// Test accuracy in % after 10 epochs of MNIST, 784-256-256-10 ReLU, softmax cross-entropy, batches of 128, Adam with its rate
/// annealed from 10⁻³ to 0 along half a cosine, seed 0 (the first two rows: means of three seeds, `--seeds 3`), by the example `mnist` with
/// the options given. Time is in units of backpropagation's, in the same run on two threads; `cos` is the cosine of each
/// layer's parameter gradient with backpropagation's after training:
///
/// | options | accuracy | time | cos, from the input |
/// |---|---|---|---|
/// | backpropagation | 98.29 | 1 | 1, 1, 1 |
/// | (none: the default) | 98.23 | 1.3 | 0.986, 1.000, 1 |
/// | `--method backprop_by_sweep` | 98.29 | 1.0 | 1, 1, 1 |
/// | `--method predictive_coding --activation-steps 4 --activation-rate 0.2` | 98.28 | 1.4 | 0.916, 0.931, 1 |
/// | the same with `--schedule constant` (backpropagation: 97.96) | 96.87 | 1.4 | 0.648, 0.964, 1 |
/// | `--method predictive_coding --activation-steps 2 --activation-rate 0.05 --order reverse` | 98.24 | 1.2 | 0.987, 1.000, 1 |
/// | `--method predictive_coding --activation-steps 8 --activation-rate 0.01 --z-momentum 0.5` | 98.38 | 2.1 | 0.988, 1.000, 1 |
/// | `--method predictive_coding --activation-steps 4 --activation-rate 0.1 --reads stored` | 97.91 | 1.5 | 0.592, −0.020, 0.967 |
/// | `--method incremental --activation-steps 4 --activation-rate 0.1` | 96.45 | 3.5 | 0.975, −0.664, 0.855 |
/// | `--method predictive_coding --activation-steps 3 --activation-rate 0.1 --local-steps 2` | 95.48 | 2.1 | −0.318, 0.992, 1 |
///
/// On the digits (`quickstart -- --seeds 5`) the default has 98.22, backpropagation 98.16, at 1.5 times its time.
///
/// Three things decide. *Reads*: a parameter step that reads the relaxed activation, which already holds something of the
/// label, trains on what it will not have when it predicts. *Step size*: above 2/λmax the steps overshoot, and λmax grows from 8
/// to 30 in these runs; so the default keeps below it. It does so as a cap only, because the hidden layers' gradients go with the
/// rate, and Adam takes a rate that follows 1/λmax all the time for a falling learning rate: that cost 0.1 to 0.2 points.
/// *Number of steps*: from the forward pass the signal needs one step a layer to reach the bottom, and more than one beyond
/// that bought nothing here.
///
/// The default is not backpropagation: all layers step at once, it relaxes the top hidden layer by about a sixth of
/// the way to its equilibrium and the others by less, and its gradients turn away from backpropagation's as training goes on.
/// Nor is it far from it; [`diagnostics::decoupling`](crate::diagnostics::decoupling) says how far, for any method, network
/// and data. A shallow network saves nothing in sequence: T forward, then two products for each step.
///
/// # Where it ends
///
/// A Jacobi step hands on a share of the signal, about the rate times ‖W‖. Through many layers little is left, and the
/// default falls behind: 96.6, 96.5 and 86.9 % through 4, 6 and 10 hidden layers of 100 on the first 20,000 examples, where
/// backpropagation has 96.5 in each (`--width 100 --depth D --examples 20000`). Deep networks want an activation
/// step that does not diffuse.
#[derive(Clone, Debug)]
pub struct Method<T> {
    pub(crate) start: Start,
    pub(crate) activation: ActivationStep<T>,
    pub(crate) timing: Timing,
    pub(crate) reads: Reads,
}

impl<T: Scalar> Default for Method<T> {
    /// [`predictive_coding`](Method::predictive_coding) with one step more than there are hidden layers, so that the signal
    /// reaches the lowest, of size 0.1, or 1.5/λmax where that is less. With T layers 3T products follow one another in an
    /// update; backpropagation has 2T.
    fn default() -> Self {
        let mut method = Self::predictive_coding(1, 0.1).stable(1.5);
        method.activation.steps = None;
        method
    }
}

impl<T: Scalar> Method<T> {
    /// The objective taken literally: a persisted bank, and one joint gradient step on (Θ, Z) a visit. Two products follow
    /// one another, whatever the depth.
    ///
    /// The nearest published relative is Local Propagation (Marra et al. 2020, arXiv 2002.07720), which keeps multipliers
    /// as well. It works and it is slow: information moves one layer a visit. Rates near 1 with small batches and many
    /// epochs serve best: 95.2 % on the first 10,000 examples of MNIST after 60 epochs at rate 1, batches of 32 and weight
    /// decay 0.1, where backpropagation has 96.8.
    pub fn joint(activation_rate: f64) -> Self {
        Self {
            start: Start::Persisted,
            activation: ActivationStep::new(Order::Jacobi, 1, activation_rate),
            timing: Timing::EveryStep,
            reads: Reads::Stored,
        }
    }

    /// Anchored relaxation: `steps` activation steps of size `activation_rate` from the forward pass, all layers at once;
    /// then every layer takes a parameter step towards its stored target.
    ///
    /// Predictive coding, Whittington and Bogacz (2017), *An approximation of the error backpropagation algorithm in a
    /// predictive coding network with local Hebbian synaptic plasticity*, Neural Computation 29. Departs from it in that
    /// the parameter step reads the forward activation: with the relaxed one as input, which already holds something of
    /// the label, accuracy rises and then falls. `.reads(Reads::Stored)` gives the original.
    pub fn predictive_coding(steps: usize, activation_rate: f64) -> Self {
        Self {
            start: Start::Anchored,
            activation: ActivationStep::new(Order::Jacobi, steps, activation_rate),
            timing: Timing::AfterRelaxation { local_steps: 1 },
            reads: Reads::Forward,
        }
    }

    /// Incremental predictive coding: `steps` times a joint step on activations and parameters, from the forward pass.
    ///
    /// It wants small rates: Θ moves under activations that are still on their way.
    ///
    /// Salvatori et al. (2022), *A stable, fast, and fully automatic learning algorithm for predictive coding networks*,
    /// arXiv 2212.00720.
    pub fn incremental(steps: usize, activation_rate: f64) -> Self {
        Self { timing: Timing::EveryStep, reads: Reads::Stored, ..Self::predictive_coding(steps, activation_rate) }
    }

    /// **Backpropagation by another road**: one sweep from the output to the input with step 1/μ from the forward pass, then
    /// a parameter step that reads forward activations. Its parameter gradients *are* BP's (for the squared hidden loss with
    /// penalty μ on every layer, which must be the network's own), and its sweep is as sequential. For comparison and for
    /// tests.
    ///
    /// Song et al. (2020), *Can the brain do backpropagation? Exact implementation of backpropagation in predictive coding
    /// networks*, NeurIPS 33.
    pub fn backprop_by_sweep(penalty: f64) -> Self {
        Self {
            activation: ActivationStep::new(Order::ReverseGaussSeidel, 1, 1.0 / penalty),
            ..Self::predictive_coding(1, 1.0)
        }
    }

    /// Where a visit starts.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// The order of the layers in an activation step.
    pub fn order(mut self, order: Order) -> Self {
        self.activation.order = order;
        self
    }

    /// Activation steps a visit.
    pub fn activation_steps(mut self, steps: usize) -> Self {
        self.activation.steps = Some(steps);
        self
    }

    /// The size of an activation step.
    pub fn activation_rate(mut self, rate: f64) -> Self {
        self.activation.rate = rate;
        self
    }

    /// The rule that moves the activations, at its own learning rate.
    pub fn activation_optimizer(mut self, optimizer: impl Optimizer<T> + 'static) -> Self {
        self.activation = self.activation.optimizer(optimizer);
        self
    }

    /// Keeps the activation rate at or below fraction/λmax: [`ActivationStep::stable`].
    pub fn stable(mut self, fraction: f64) -> Self {
        self.activation = self.activation.stable(fraction);
        self
    }

    /// When the parameters step.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Which input the parameter step reads.
    pub fn reads(mut self, reads: Reads) -> Self {
        self.reads = reads;
        self
    }

    /// The activation step of this method, to relax a block of one's own.
    pub fn activation_step(&self) -> &ActivationStep<T> {
        &self.activation
    }

    /// How many products must follow one another for one update of a network of `depth` layers: the depth of the
    /// computation, however many processors there are. Backpropagation needs `2 · depth`.
    ///
    /// An activation step asks for the predictions and for their pull-backs, each at once for all layers in Jacobi order;
    /// the first predictions after anchoring are the forward pass itself.
    pub fn sequential_products(&self, depth: usize) -> usize {
        let hidden = depth.saturating_sub(1);
        if hidden == 0 {
            return 2 * self.rounds(depth);
        }
        let steps = self.activation.sweeps(depth);
        let sweep = match self.activation.order {
            Order::Jacobi => 2,
            Order::ReverseGaussSeidel => 1 + hidden,
        };
        // Persisted activations need no forward pass, unless the parameter step reads it.
        let anchored = self.start == Start::Anchored;
        let forward = if anchored || self.reads == Reads::Forward { depth } else { 0 };
        let saved = usize::from(anchored);
        match self.timing {
            Timing::AfterRelaxation { local_steps } => {
                let relaxation = forward + steps * sweep - saved;
                let prediction = usize::from(self.reads == Reads::Stored);
                relaxation + prediction + 2 * local_steps - 1
            }
            // The parameters' products run beside the activations', and move every prediction.
            Timing::EveryStep => forward + steps * sweep - saved,
        }
    }

    /// How many layers, from the input, get no parameter gradient in a visit of a circuit of `depth` layers: a signal that
    /// starts at the output crosses one layer in a Jacobi step.
    pub(crate) fn unreached(&self, depth: usize) -> usize {
        let reach = match (self.start, self.activation.order, self.timing) {
            (Start::Anchored, Order::Jacobi, Timing::AfterRelaxation { .. }) => self.activation.sweeps(depth),
            (Start::Anchored, Order::Jacobi, Timing::EveryStep) => self.activation.sweeps(depth) - 1,
            _ => depth,
        };
        (depth - 1).saturating_sub(reach)
    }

    /// Parameter steps a visit.
    pub(crate) fn rounds(&self, depth: usize) -> usize {
        match self.timing {
            Timing::AfterRelaxation { local_steps } => local_steps,
            Timing::EveryStep => self.activation.sweeps(depth),
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if let Timing::AfterRelaxation { local_steps } = self.timing {
            error::require(local_steps > 0, "local parameter steps", "at least 1", local_steps as f64)?;
        }
        self.activation.validate()
    }
}
