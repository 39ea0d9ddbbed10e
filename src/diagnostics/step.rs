//! Activation rates that are stable at a network's present parameters.

use super::decoupling::{POWER_STEPS, anchored};
use crate::method::activation_step::{Coordinates, Order, curvature, curvatures};
use crate::{Dataset, DecoupledNetwork, Error, Result, Scalar};

/// How large an activation step may be at a network's present parameters; see [`find_step`].
#[derive(Clone, Debug, PartialEq)]
pub struct StepAdvice {
    /// λmax of ∂²L/∂Z² at the forward pass, by [`curvature`](crate::method::curvature()).
    pub curvature: f64,
    /// λmax of ∂²L/∂z_t² for the hidden layers t = 1 .. T, each by itself; none is above that of the whole.
    pub layer_curvatures: Vec<f64>,
}

/// What is proposed, as a share of what is stable: power iteration finds a little less than λmax.
const SHARE: f64 = 0.9;

/// The most examples that [`find_step`] looks at.
const EXAMPLES: usize = 256;

impl StepAdvice {
    /// The rate below which plain activation steps in this order lower an energy that is quadratic in Z: 2/λmax, in Jacobi order,
    /// where all layers move at once, of the whole; in the other orders, where neighbours move one after the other and each
    /// layer's step is a descent by itself, of the layer that has the largest.
    ///
    /// Above it Jacobi sweeps diverge, while the others may still hold. Where the energy is convex, red-black order has as much
    /// room as Jacobi order, and at most twice as much.
    pub fn largest_stable(&self, order: Order) -> f64 {
        let largest = match order {
            Order::Jacobi => self.curvature,
            Order::RedBlack | Order::ReverseGaussSeidel => self.layer_curvatures.iter().copied().fold(0.0, f64::max),
        };
        2.0 / largest
    }

    /// The rate to take in this order: 0.9 of the [largest stable](Self::largest_stable) one.
    pub fn proposed(&self, order: Order) -> f64 {
        SHARE * self.largest_stable(order)
    }
}

/// Proposes an activation rate for a network at its present parameters, from the forward pass of at most 256 examples that lie
/// evenly in `data`.
///
/// λmax grows as the weights do: what is stable before a training is seldom so at its end.
/// [`Sweeps::stable`](crate::method::Sweeps::stable) keeps the rate below it all the time.
///
/// ```
/// use decoupled::{DecoupledNetwork, FitConfig, Method, data, diagnostics};
/// use decoupled::layer::Activation;
/// use decoupled::method::Order;
///
/// let moons = data::two_moons::<f32>(100, 0.1, 0)?;
/// let builder = DecoupledNetwork::builder(2).dense(8, Activation::Tanh).dense(8, Activation::Tanh);
/// let mut network = builder.dense(2, Activation::Identity).build()?;
///
/// let advice = diagnostics::find_step(&network, &moons)?;
/// let method = Method::predictive_coding(4, advice.proposed(Order::Jacobi));
/// network.fit(&moons, &FitConfig::new().method(method).epochs(1))?;
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// As [`DecoupledNetwork::evaluate`]; [`Error::Unsupported`] for a network without hidden layers, and where the forward pass or its
/// curvature is not finite.
pub fn find_step<T: Scalar>(network: &DecoupledNetwork<T>, data: &Dataset<T>) -> Result<StepAdvice> {
    network.check_data(data)?;
    let unsupported = |why| Error::Unsupported { what: "find_step", why };
    if network.depth() < 2 {
        return Err(unsupported("the network has no hidden layer, and so no activation that could step"));
    }
    let sample = data.evenly(EXAMPLES)?;
    let objective = network.objective();
    network.pool.install(|| {
        let mut block = anchored(&objective, &sample)?;
        let layers = curvatures(&objective, &mut block, (1, Coordinates::Activations), POWER_STEPS)?;
        let advice =
            StepAdvice { curvature: curvature(&objective, &mut block, POWER_STEPS)?, layer_curvatures: layers };
        // Norms that are NaN look like 0 to a maximum: the gradients themselves have to be looked at.
        let mut finite = advice.curvature.is_finite();
        for t in 1..network.depth() {
            objective.activation_gradient(&mut block, t)?;
            finite &= block.gradient(t).as_slice().iter().all(|entry| entry.is_finite());
        }
        finite.then_some(advice).ok_or_else(|| unsupported("the forward pass or its curvature is not finite"))
    })
}
