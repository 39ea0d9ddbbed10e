//! Block coordinate descent: exact steps and least squares, layer by layer.

use super::{Exact, Method, Reads, Start, Timing};
use crate::Scalar;
use crate::method::parameter_step::Ridge;

impl<T: Scalar> Method<T> {
    /// Returns block coordinate descent: from the activations of the last visit, every block of variables, from the output to the input, is
    /// set to the exact minimum of the objective over it, θ_t by least squares and then z_t in closed form; `proximal`
    /// (5 in the authors' main experiment) keeps parameters and pre-activations near their old values. There is no
    /// gradient and no rate; with all examples in one batch the energy never rises.
    ///
    /// It applies to networks whose maps and activation functions are separate units
    /// ([`store_pre_activations`](crate::NetworkBuilder::store_pre_activations)), with squared errors, and at its best with all
    /// examples in one batch ([`full_batch`](crate::FitConfig::full_batch)). Units that jump (sign, step, levels) are minimised
    /// exactly as well, but with them the forward loss rises after the first passes while the energy still falls:
    /// pre-activations move to where the unit jumps, and the forward pass falls on either side.
    ///
    /// Zeng, Lau, Lin, Yao (2019), *Global convergence of block coordinate descent in deep learning*, arXiv 1803.00225, the
    /// three-splitting variant. Departs from it in solving for weights and biases together, and in the proximal term on the
    /// output's pre-activation, which the authors leave out.
    pub fn bcd(proximal: f64) -> Self {
        let squares = Ridge { proximal, ..Ridge::default() };
        Self::new(Start::Persisted, Exact { steps: 1, proximal }, Reads::Stored)
            .parameter(squares)
            .timing(Timing::EveryStep)
    }
}
