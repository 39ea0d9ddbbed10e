//! Incremental predictive coding: Θ moves with every activation step.

use super::{Method, Reads, Timing};
use crate::Scalar;

impl<T: Scalar> Method<T> {
    /// Returns incremental predictive coding: `steps` times a joint step on activations and parameters, from the forward pass.
    ///
    /// It needs small rates: Θ moves while the activations are still far from equilibrium.
    ///
    /// Salvatori et al. (2022), *A stable, fast, and fully automatic learning algorithm for predictive coding networks*,
    /// arXiv 2212.00720.
    pub fn incremental(steps: usize, activation_rate: f64) -> Self {
        Self::predictive_coding(steps, activation_rate).timing(Timing::EveryStep).reads(Reads::Stored)
    }
}
