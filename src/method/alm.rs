use super::{Method, Multipliers, Order, ParameterStep, Reads, Start, Sweeps};
use crate::Scalar;

impl<T: Scalar> Method<T> {
    /// An augmented Lagrangian with **multipliers kept in the bank**: from the forward pass, one activation step of size 1/μ_t of
    /// all layers at once; a parameter step from the forward inputs; and every example's multipliers follow.
    ///
    /// A multiplier is the error that backpropagation would bring to its activation, as it was at the last visit. So no
    /// signal has to cross the depth in a visit: each layer hands down what the one above it knew an epoch ago, and after T visits with
    /// Θ fixed the parameter gradients are backpropagation's.
    ///
    /// Gradient-free training by multipliers: Taylor et al. (2016), arXiv 1605.02026; for predictive coding PC-ALM, arXiv 2605.31022,
    /// which departs from this in taking many activation steps a visit and keeping no multiplier after it.
    pub fn alm() -> Self {
        let sweep = Sweeps::new(Order::Jacobi, 1, 1.0).per_penalty();
        Self::new(Start::Anchored, sweep, ParameterStep::new(Reads::Forward)).multipliers(Multipliers::kept())
    }
}
