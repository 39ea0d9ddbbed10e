//! The objective taken literally: one joint gradient step on Θ and Z from the bank.

use super::{Method, Order, Reads, Start, Sweeps, Timing};
use crate::Scalar;

impl<T: Scalar> Method<T> {
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
}
