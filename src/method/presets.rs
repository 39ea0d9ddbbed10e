//! Methods by name. The documentation cites the paper and says where we depart from it.

use crate::Scalar;
use crate::method::Method;
use crate::method::activation_step::{ErrorSteps, Exact, GaussNewton, Order, Sweeps};
use crate::method::block::Reads;
use crate::method::coupling::{Multipliers, Penalty, PenaltyIncrease, Stall};
use crate::method::parameter_step::{Ridge, Timing};
use crate::method::start::Start;

impl<T: Scalar> Method<T> {
    /// Returns local targets: one sweep from the output to the input sets a target for every layer, and every layer then takes
    /// `local_steps` steps of its optimizer towards its target, independently and from its forward input.
    ///
    /// With one local step and the squared hidden loss it is backpropagation ([`backprop_by_sweep`](Self::backprop_by_sweep)). With more,
    /// it learns more from each batch, with all layers in parallel: worthwhile if batches are few or expensive.
    ///
    /// Amid, Anil, Warmuth (2021), *LocoProp: enhancing backprop via local loss optimization*, arXiv 2106.06199, the
    /// variant LocoProp-S. Departs from it in that the target is set, and its distance measured, after the activation
    /// function instead of before it.
    pub fn local_targets(local_steps: usize) -> Self {
        Self::backprop_by_sweep().timing(Timing::AfterRelaxation { local_steps })
    }

    /// Returns **backpropagation as a sweep**: one sweep from the output to the input with step 1/μ_t from the forward pass, then
    /// a parameter step that reads forward activations. Its parameter gradients *are* BP's (for the squared hidden loss, with
    /// any penalties), and its sweep is as sequential. For comparison and for tests.
    ///
    /// Song et al. (2020), *Can the brain do backpropagation? Exact implementation of backpropagation in predictive coding
    /// networks*, NeurIPS 33.
    pub fn backprop_by_sweep() -> Self {
        let sweep = Sweeps::new(Order::ReverseGaussSeidel, 1, 1.0).per_penalty();
        Self::new(Start::Anchored, sweep, Reads::Forward)
    }

    /// Returns [`predictive_coding`](Method::predictive_coding) in [`Order::RedBlack`], every layer at rate 0.3 or at 1.8/λmax of its own
    /// block where that is less, with one sweep more than the signal needs to reach the lowest layer: 1 + ⌈hidden layers / 2⌉. With T layers
    /// some 3T products are sequential in an update.
    ///
    /// No sweep runs from the output to the input, and no gradient is backpropagation's. Each layer hands down less than a third of the
    /// signal, so that beyond some ten hidden layers too little of it reaches the lowest: a fit warns of that.
    pub fn red_black() -> Self {
        let sweeps = Sweeps::reaching(Order::RedBlack, 0.3).stable(1.8);
        Self::new(Start::Anchored, sweeps, Reads::Forward)
    }

    /// Returns the objective taken literally: a persisted bank, and one joint gradient step on (Θ, Z) a visit. Two products are
    /// sequential, whatever the depth.
    ///
    /// The nearest published relative is Local Propagation (Marra et al. 2020, arXiv 2002.07720), which keeps multipliers
    /// as well. It works and is slow: information moves one layer a visit. Rates near 1 with small batches and many
    /// epochs do best: [95.27 %](crate::guide::results#tasks) on the first 10,000 examples of MNIST after 60 epochs at rate 1,
    /// batches of 32 and weight decay 0.1, where backpropagation has 96.76.
    pub fn joint(activation_rate: f64) -> Self {
        let sweep = Sweeps::new(Order::Jacobi, 1, activation_rate);
        Self::new(Start::Persisted, sweep, Reads::Stored).timing(Timing::EveryStep)
    }

    /// Returns anchored relaxation: `steps` activation steps of size `activation_rate` from the forward pass, all layers at once;
    /// then every layer takes a parameter step towards its stored target.
    ///
    /// Start with rate 0.1, held below 1.5/λmax ([`Sweeps::stable`]):
    /// `.activation(Sweeps::new(Order::Jacobi, steps, 0.1).stable(1.5))`; or in [`Order::RedBlack`], which is stable with larger steps, as
    /// [`Method::red_black`] does. Steps above 2/λmax overshoot, and λmax grows while the network learns: a fixed rate that works
    /// at first may later undo the training, unless the learning rate falls in time
    /// ([`Scheduled`](crate::optimizer::Scheduled)).
    ///
    /// Predictive coding, Whittington and Bogacz (2017), *An approximation of the error backpropagation algorithm in a
    /// predictive coding network with local Hebbian synaptic plasticity*, Neural Computation 29. Departs from it in that
    /// the parameter step reads the forward activation: with the relaxed one as input, which already carries information
    /// about the label, accuracy rises and then falls. `.reads(Reads::Stored)` gives the original.
    pub fn predictive_coding(steps: usize, activation_rate: f64) -> Self {
        let sweeps = Sweeps::new(Order::Jacobi, steps, activation_rate);
        Self::new(Start::Anchored, sweeps, Reads::Forward)
    }

    /// Returns incremental predictive coding: `steps` times a joint step on activations and parameters, from the forward pass.
    ///
    /// It needs small rates: Θ moves while the activations are still far from equilibrium.
    ///
    /// Salvatori et al. (2022), *A stable, fast, and fully automatic learning algorithm for predictive coding networks*,
    /// arXiv 2212.00720.
    pub fn incremental(steps: usize, activation_rate: f64) -> Self {
        Self::predictive_coding(steps, activation_rate).timing(Timing::EveryStep).reads(Reads::Stored)
    }

    /// Returns predictive coding in error coordinates: `steps` gradient steps of size `activation_rate` on all errors ε_t = z_t − ẑ_t
    /// at once, from the forward pass; then a parameter step that reads the relaxed activations.
    ///
    /// It approaches the equilibrium of predictive coding in few steps at any depth, because no signal has to diffuse; steps on the
    /// activations themselves need more with every layer. Each step costs a backward pass through all layers.
    ///
    /// Goemaere, Oguz, Demeester (2025), *Error-based predictive coding*, arXiv 2505.20137.
    pub fn error_based(steps: usize, activation_rate: f64) -> Self {
        Self::new(Start::Anchored, ErrorSteps::new(steps, activation_rate), Reads::Stored)
    }

    /// Returns layers **in flight**: all layers work at every tick, each on another micro-batch, from activations that were stored
    /// when that one passed.
    ///
    /// The layers are cut into S stages of consecutive layers, `stages` or at most one a layer, which all work at the same time. At tick n
    /// stage s
    ///
    /// 1. receives micro-batch n − 2S + 1 + s from above: it sets its target by the reverse sweep of
    ///    [`backprop_by_sweep`](Self::backprop_by_sweep), adds its gradient, and hands the error down. When that was the last micro-batch
    ///    of a batch, its layers take their step;
    /// 2. receives micro-batch n − s from below, predicts, and hands the prediction up.
    ///
    /// So it knows its two neighbours only, and two products of each of its layers follow one another in a tick, however deep the network
    /// is. A batch takes as many ticks as it has micro-batches: the depth is hidden behind the work on other micro-batches.
    ///
    /// A stage may take d updates while a micro-batch is above it, so it predicts with θ + d · (the last step). d is kept at 2 or less:
    /// `micro_batch` is an upper limit, and micro-batches have at most B / (S − 1) examples in batches of B (4, with batches of 128 and 33
    /// stages), and S is at most B + 1. The learning rate is the network's own, warmed up linearly over its first 300 updates, or two epochs
    /// if these have fewer: train for ten epochs or more. An epoch ends when all of its micro-batches are back, as does each block of
    /// [`shuffle_blocks`](crate::FitConfig::shuffle_blocks) and of a bank in a file, which should hold many batches. With a single stage and the
    /// squared hidden loss this is backpropagation.
    ///
    /// The more stages and the smaller the micro-batches, the more work is in parallel, and the less efficient is each product: on two cores
    /// it is about as fast as backpropagation on the same micro-batches ([`guide::results`](crate::guide::results#the-sequential-lock)).
    /// [`Cost::in_flight_bytes`](crate::diagnostics::Cost::in_flight_bytes) has its memory, beside a second copy of the parameters.
    ///
    /// ```
    /// use decoupled::{DecoupledNetwork, FitConfig, Method, data, layer::Activation};
    ///
    /// let data = data::two_moons::<f32>(200, 0.1, 0)?;
    /// let builder = DecoupledNetwork::builder(2).dense(16, Activation::Tanh).dense(16, Activation::Tanh);
    /// let mut network = builder.dense(2, Activation::Identity).build()?;
    /// // A stage a layer, micro-batches of at most 8.
    /// network.fit(&data, &FitConfig::new().method(Method::in_flight(usize::MAX, 8)))?;
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// Narayanan et al. (2019), *PipeDream: generalized pipeline parallelism for DNN training*, SOSP; Chen, Yang, Cheng (2018), *Efficient
    /// and robust parallel DNN training through model parallelism on multi-GPU platform* (SpecTrain, arXiv 1809.02839), which predicts
    /// weights from the optimizer's momentum.
    #[doc(alias = "pipeline")]
    pub fn in_flight(stages: usize, micro_batch: usize) -> Self {
        Self::backprop_by_sweep().timing(Timing::InFlight { stages, micro_batch })
    }

    /// Returns an augmented Lagrangian with **multipliers kept in the bank**: from the forward pass, one sweep from the output to the input
    /// with step `activation_rate`/μ_t, at most 1/μ_t; a parameter step from the forward inputs; then an update of every example's
    /// multipliers.
    ///
    /// A multiplier converges to backpropagation's error at its activation. With rate r a layer's error is r parts of this visit's
    /// error and 1 − r parts of earlier visits'; with r = 1 earlier visits have no part and the method is backpropagation.
    /// With Θ fixed the parameter gradients become backpropagation's in either case.
    ///
    /// In [`Order::Jacobi`], with rate 1, no layer waits for another after the forward pass: each receives the error
    /// that the layer above it had at the last visit. That is a delay of one epoch per layer: it works with two hidden layers
    /// ([97.64 %](crate::guide::results#the-other-presets) on MNIST after 10 epochs, 96.38 without multipliers, when the lowest layer learns
    /// nothing; backpropagation has 98.32) and fails with four.
    ///
    /// Multipliers instead of gradients: Taylor et al. (2016), arXiv 1605.02026; in predictive coding PC-ALM, arXiv 2605.31022, which
    /// departs from this in taking many activation steps a visit and keeping no multiplier after it.
    pub fn alm(activation_rate: f64) -> Self {
        let sweep = Sweeps::new(Order::ReverseGaussSeidel, 1, activation_rate).per_penalty();
        Self::new(Start::Anchored, sweep, Reads::Forward).multipliers(Multipliers::kept())
    }

    /// Returns the method of auxiliary coordinates: from the activations of the last visit, one Gauss–Newton step on them;
    /// then `local_steps` parameter steps of every layer; penalties that rise when the residual stalls; in the end Z is set to
    /// the forward pass and the last layer is refitted.
    ///
    /// Carreira-Perpiñán and Wang (2014), *Distributed optimization of deeply nested systems*, arXiv 1212.5921. Departs from it
    /// in that batches are visited in turn, with the layers' optimizers instead of a full solve of each layer.
    pub fn mac(local_steps: usize) -> Self {
        Self::new(Start::Persisted, GaussNewton::new(1), Reads::Stored)
            .timing(Timing::AfterRelaxation { local_steps })
            .penalty(Penalty::Raised(PenaltyIncrease::when(Stall::Residual)))
            .finish(true)
    }

    /// Returns block coordinate descent: from the activations of the last visit, every block of variables, from the output to the input, is
    /// set to the exact minimum of the objective over it, θ_t by least squares and then z_t in closed form; `proximal`
    /// (5 in the authors' main experiment) keeps parameters and pre-activations near their old values. There is no
    /// gradient and no rate; with all examples in one batch the energy never rises.
    ///
    /// It applies to networks whose maps and activation functions are separate units
    /// ([`store_pre_activations`](crate::NetworkBuilder::store_pre_activations)), with squared errors, and at its best with all
    /// examples in one batch ([`full_batch`](crate::FitConfig::full_batch)). Units that jump (sign, step, levels) are minimised
    /// exactly as well, but with them the forward loss rises after the first passes while the energy still falls:
    /// pre-activations move to where the unit jumps, and the forward pass falls on either side.
    ///
    /// Zeng, Lau, Lin, Yao (2019), *Global convergence of block coordinate descent in deep learning*, arXiv 1803.00225, the
    /// three-splitting variant. Departs from it in solving for weights and biases together, and in the proximal term on the
    /// output's pre-activation, which the authors leave out.
    pub fn bcd(proximal: f64) -> Self {
        let squares = Ridge { proximal, ..Ridge::default() };
        Self::new(Start::Persisted, Exact { steps: 1, proximal }, Reads::Stored)
            .parameter(squares)
            .timing(Timing::EveryStep)
    }

    /// Returns ADMM, training without gradients: exact minimisation over every block, as in [`bcd`](Self::bcd) without its proximal terms, and a
    /// multiplier for every example at the output, kept in the bank.
    ///
    /// It applies to the same networks as `bcd`. The authors weigh the terms of the activation functions by 10 and those of the maps by 1
    /// ([`layer_penalty`](crate::NetworkBuilder::layer_penalty)); here that changes little, nor does the multiplier.
    /// Test accuracy in % on MNIST after 20 passes over the first 10,000 examples, 784-256-256-10 ReLU, seed 0, by
    /// `family --preset admm --examples 10000 --epochs 20 --no-bp` with the options given:
    ///
    /// | `--ridge` | 0.1 | 1 | 10 |
    /// |---|---|---|---|
    /// | `--activation-penalty 1` | 86.52 | 88.61 | 87.86 |
    /// | `--activation-penalty 10` | 86.72 | 88.13 | 87.65 |
    /// | `--multipliers none` | | 88.63 | |
    ///
    /// All 60,000 (`--preset admm --epochs 20`) bring it to 88.72.
    ///
    /// Taylor, Burmeister, Xu, Singh, Patel, Goldstein (2016), *Training neural networks without gradients: a scalable ADMM approach*,
    /// arXiv 1605.02026. Departs from it in the squared output loss instead of a hinge, in the order, output to input as for
    /// `bcd`, in the small `ridge` instead of a pseudo-inverse, and in a start at the forward pass instead of at random.
    pub fn admm(ridge: f64) -> Self {
        let squares = Ridge { ridge, ..Ridge::default() };
        Self::new(Start::Persisted, Exact { steps: 1, proximal: 0.0 }, Reads::Stored)
            .parameter(squares)
            .timing(Timing::EveryStep)
            .multipliers(Multipliers { highest_only: true, ..Multipliers::kept() })
    }
}
