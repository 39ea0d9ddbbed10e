//! Backpropagation's gradients from one reverse sweep.

use super::{Method, Order, Reads, Start, Sweeps};
use crate::Scalar;

impl<T: Scalar> Method<T> {
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
}
