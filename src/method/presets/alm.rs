//! Augmented Lagrangian: one reverse sweep, with multipliers that the bank keeps.

use super::{Method, Multipliers, Order, Reads, Start, Sweeps};
use crate::Scalar;

impl<T: Scalar> Method<T> {
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
}
