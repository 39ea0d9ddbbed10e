//! ADMM: exact steps, and multipliers at the output.

use super::{Exact, Method, Multipliers, Reads, Start, Timing};
use crate::Scalar;
use crate::method::parameter_step::Ridge;

impl<T: Scalar> Method<T> {
    /// Returns ADMM, training without gradients: exact minimisation over every block, as in [`bcd`](Self::bcd) without its proximal terms, and a
    /// multiplier for every example at the output, kept in the bank.
    ///
    /// It applies to the same networks as `bcd`. The authors weigh the terms of the activation functions by 10 and those of the maps by 1
    /// ([`layer_penalty`](crate::NetworkBuilder::layer_penalty)); here that changes little, nor does the multiplier.
    /// Test accuracy in % on MNIST after 20 passes over the first 10,000 examples, 784-256-256-10 ReLU, seed 0, by
    /// `family --preset admm --examples 10000 --epochs 20 --no-bp` with the options given:
    ///
    /// | `--ridge` | 0.1 | 1 | 10 |
    /// |---|---|---|---|
    /// | `--activation-penalty 1` | 86.52 | 88.61 | 87.86 |
    /// | `--activation-penalty 10` | 86.72 | 88.13 | 87.65 |
    /// | `--multipliers none` | | 88.63 | |
    ///
    /// All 60,000 (`--preset admm --epochs 20`) bring it to 88.72.
    ///
    /// Taylor, Burmeister, Xu, Singh, Patel, Goldstein (2016), *Training neural networks without gradients: a scalable ADMM approach*,
    /// arXiv 1605.02026. Departs from it in the squared output loss instead of a hinge, in the order, output to input as for
    /// `bcd`, in the small `ridge` instead of a pseudo-inverse, and in a start at the forward pass instead of at random.
    pub fn admm(ridge: f64) -> Self {
        let squares = Ridge { ridge, ..Ridge::default() };
        Self::new(Start::Persisted, Exact { steps: 1, proximal: 0.0 }, Reads::Stored)
            .parameter(squares)
            .timing(Timing::EveryStep)
            .multipliers(Multipliers { highest_only: true, ..Multipliers::kept() })
    }
}
