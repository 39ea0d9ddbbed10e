//! Predictive coding in error coordinates.

use super::{ErrorSteps, Method, Reads, Start};
use crate::Scalar;

impl<T: Scalar> Method<T> {
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
}
