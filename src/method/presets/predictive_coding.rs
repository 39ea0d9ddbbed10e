//! Predictive coding from the forward pass: Jacobi sweeps, then one parameter step.

use super::{Method, Order, Reads, Start, Sweeps};
use crate::Scalar;

impl<T: Scalar> Method<T> {
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
}
