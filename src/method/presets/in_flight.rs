//! Layers in flight: a reverse sweep that every layer joins when the errors reach it.

use super::{Method, Timing};
use crate::Scalar;

impl<T: Scalar> Method<T> {
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
}
