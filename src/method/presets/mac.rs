//! Method of auxiliary coordinates: Gauss–Newton in Z, increasing penalties, a finish.

use super::{GaussNewton, Method, Penalty, Reads, Start, Timing};
use crate::Scalar;
use crate::method::coupling::{PenaltyIncrease, Stall};

impl<T: Scalar> Method<T> {
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
}
