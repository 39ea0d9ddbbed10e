use super::{Exact, Method, Multipliers, ParameterStep, Reads, Solver, Start, Timing};
use crate::Scalar;
use crate::parameter_step::Ridge;

impl<T: Scalar> Method<T> {
    /// Training without gradients: exact minimisation over every block, as in [`bcd`](Self::bcd) without its proximal terms, and a
    /// multiplier for every example at the output, kept in the bank.
    ///
    /// For the same networks as `bcd`. Penalties well above 1 for the activation functions help it (the authors have 10 there, and 1
    /// at the maps): [`layer_penalty`](crate::NetworkBuilder::layer_penalty).
    ///
    /// Taylor, Burmeister, Xu, Singh, Patel, Goldstein (2016), *Training neural networks without gradients: a scalable ADMM approach*,
    /// arXiv 1605.02026. Departs from it in the squared output loss instead of a hinge, in the order, output to input as for
    /// `bcd`, in the small `ridge` instead of a pseudo-inverse, and in a start at the forward pass instead of at random.
    pub fn admm(ridge: f64) -> Self {
        let solver = Solver::Ridge(Ridge { ridge, ..Ridge::default() });
        Self::new(Start::Persisted, Exact { steps: 1, proximal: 0.0 }, ParameterStep::new(Reads::Stored).solver(solver))
            .timing(Timing::EveryStep)
            .multipliers(Multipliers { highest_only: true, ..Multipliers::kept() })
    }
}
