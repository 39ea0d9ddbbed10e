//! Layers in flight: a reverse sweep that every layer joins when the errors reach it.

use super::{Method, Timing};
use crate::Scalar;

impl<T: Scalar> Method<T> {
    /// Returns layers **in flight**: all layers work at every tick, each on a micro-batch of its own, from activations that were stored
    /// when that one passed.
    ///
    /// The layers are cut into `stages` of consecutive layers (at most one a layer), of which S work at the same time. At tick n stage s
    ///
    /// 1. receives micro-batch n − 2S + 1 + s from above: it sets its target by the reverse sweep of
    ///    [`backprop_by_sweep`](Self::backprop_by_sweep), adds its gradient, and hands the error down. When that was the last micro-batch
    ///    of a batch, its layers take their step;
    /// 2. receives micro-batch n − s from below, predicts, and hands the prediction up.
    ///
    /// So it knows its two neighbours only, and two products of each of its layers follow one another in a tick, however deep the network
    /// is. A batch takes as many ticks as it has micro-batches.
    ///
    /// A stage that is d updates late predicts with the parameters that it expects to have by then, θ + d · (the last step). To train
    /// without tuning, no stage is more than two updates late, for which a micro-batch has at most B / (S − 1) examples in batches of B (and
    /// S is at most B + 1); and the learning rate is warmed up linearly over the network's first 300 updates, or two epochs if these have
    /// fewer. An epoch ends when all of its micro-batches are back, as does each block of
    /// [`shuffle_blocks`](crate::FitConfig::shuffle_blocks) and of a bank in a file, which should hold many batches. With a single stage and the
    /// squared hidden loss this is backpropagation.
    ///
    /// The more stages and the smaller the micro-batches, the more work is in parallel, and the less efficient is each product: see
    /// [`guide::results`](crate::guide::results#the-sequential-lock).
    ///
    /// Narayanan et al. (2019), *PipeDream: generalized pipeline parallelism for DNN training*, SOSP; Chen, Yang, Cheng (2018), *Efficient
    /// and robust parallel DNN training through model parallelism on multi-GPU platform* (SpecTrain, arXiv 1809.02839), which predicts
    /// weights from the optimizer's momentum.
    #[doc(alias = "pipeline")]
    pub fn in_flight(stages: usize, micro_batch: usize) -> Self {
        Self::backprop_by_sweep().timing(Timing::InFlight { stages, micro_batch })
    }
}
