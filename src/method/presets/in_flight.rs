//! Layers in flight: a reverse sweep that every layer joins when the errors reach it.

use super::{Method, Timing};
use crate::Scalar;

impl<T: Scalar> Method<T> {
    /// Returns layers **in flight**: all layers work at every tick, each on a micro-batch of its own, from activations that were stored
    /// when that one passed.
    ///
    /// The layers are cut into `stages` of consecutive layers (at most one a layer). At tick n stage s, of S, receives micro-batch n − s
    /// from below, predicts, and hands it up; and it receives micro-batch n − 2S + 1 + s from above, sets its target by the reverse sweep of
    /// [`backprop_by_sweep`](Self::backprop_by_sweep), adds its gradient and hands the error down. It knows its two neighbours only, so
    /// that two products of each of its layers follow one another in a tick, however deep the network is. When the last micro-batch of a
    /// batch has come back, the layers of the stage take their step.
    ///
    /// A stage that is d updates late predicts with the parameters that it expects to have by then, θ + d · (the last step). To train
    /// without tuning, a micro-batch has at most B / (S − 1) examples for batches of B, so that no stage is more than two updates late, and
    /// the learning rate is warmed up linearly over the optimizer's first 300 steps, or two epochs if these have fewer. An epoch ends when
    /// all of its micro-batches are back. With a single stage this is backpropagation.
    ///
    /// The more stages and the smaller the micro-batches, the more work is in parallel, and the less efficient is each product: see
    /// [`guide::results`](crate::guide::results#the-sequential-lock).
    ///
    /// Narayanan et al. (2019), *PipeDream: generalized pipeline parallelism for DNN training*, SOSP; Chen, Yang, Cheng (2018), *Efficient
    /// and robust parallel DNN training through model parallelism on multi-GPU platform* (SpecTrain, arXiv 1809.02839), which predicts
    /// weights from the optimizer's momentum.
    pub fn in_flight(stages: usize, micro_batch: usize) -> Self {
        Self::backprop_by_sweep().timing(Timing::InFlight { stages, micro_batch })
    }
}
