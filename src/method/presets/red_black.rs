//! Predictive coding in red-black order, which keeps its own rates stable.

use super::{Method, Order, Reads, Start, Sweeps};
use crate::Scalar;

impl<T: Scalar> Method<T> {
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
}
