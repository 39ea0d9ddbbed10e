//! The check of an activation step: its rules, and the networks and points that it is tried on.

mod relaxation;

use super::{Subject, gaussian, guard};
use crate::layer::Activation;
use crate::machine::random::{Purpose, stream};
use crate::method::block::Block;
use crate::{ActivationStep, DecoupledNetwork, Result, Scalar};

rules! {
    /// The properties that [`activation_step()`] tests, in this order.
    ///
    /// * It takes at least one step a visit, of groups of hidden activations z_t, 0 < t < T.
    /// * Inputs, targets and parameters do not change; hidden activations are finite afterwards.
    /// * Relaxing the same block again gives the same bits.
    /// * Examples do not influence one another: a block that is cut in two, at any place, gives the bits of the whole.
    /// * A step that [streams](ActivationStep::streams) moves z_t by z_{t−1}, z_t and z_{t+1} alone.
    /// * On an objective whose Hessian is near the identity, where any step of moderate size descends, the energy does not rise.
    ACTIVATION_STEP_RULES of Trial:
    relaxation {
        groups_are_of_hidden_activations,
        ends_stay,
        activations_are_finite,
        relaxations_repeat,
        examples_stay_apart,
        streams_read_neighbours,
        energy_does_not_rise,
    }
}

/// A step on a network, at activations other than the forward pass.
struct Trial<'a, T: Scalar> {
    subject: Subject,
    step: &'a dyn ActivationStep<T>,
    network: DecoupledNetwork<T>,
    block: Block<T>,
}

/// Columns of a trial's block.
const EXAMPLES: usize = 6;

/// Checks an activation step against the contract of [`ActivationStep`], by the [rules](ACTIVATION_STEP_RULES), on networks of 2, 4 and
/// 8 layers of maps and separate tanh units with squared errors, from the forward pass and from other activations; before
/// that, [`validate`](ActivationStep::validate) and [`check`](ActivationStep::check) accept it.
///
/// ```
/// use decoupled::check;
/// use decoupled::method::{Order, Sweeps};
///
/// check::activation_step::<f64>(&Sweeps::new(Order::RedBlack, 3, 0.1))?;
/// assert!(check::activation_step::<f64>(&Sweeps::new(Order::Jacobi, 3, 10.0)).is_err());
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Contract`](crate::Error::Contract) naming the broken rule, [`Error::Panicked`](crate::Error::Panicked) when the step
/// panics, and the errors of `validate` and `check`.
pub fn activation_step<T: Scalar>(step: &dyn ActivationStep<T>) -> Result<()> {
    guard("validate", || step.validate())??;
    for (layers, beside) in [(1, false), (2, false), (2, true), (4, false), (4, true)] {
        let network = network(layers)?;
        let objective = network.objective();
        guard("check", || step.check(&objective))??;
        let mut block = objective.block(EXAMPLES);
        let mut rng = stream(0, Purpose::Probe, layers, usize::from(beside));
        let depth = network.depth();
        for t in [0, depth] {
            let drawn = gaussian(block.stored(t).as_slice().len(), &mut rng);
            block.stored_mut(t).copy_from_slice(&drawn);
        }
        objective.anchor(&mut block)?;
        for t in (1..depth).filter(|_| beside) {
            let drawn = gaussian::<T>(block.stored(t).as_slice().len(), &mut rng);
            block.stored_mut(t).iter_mut().zip(drawn).for_each(|(z, d)| *z += T::of(0.3) * d);
        }
        hold(&mut Trial { subject: Subject::new(step), step, network, block })?;
    }
    Ok(())
}

/// Builds `hidden` maps and as many separate tanh units, with weights so small that neighbours are almost uncoupled.
fn network<T: Scalar>(hidden: usize) -> Result<DecoupledNetwork<T>> {
    let builder = DecoupledNetwork::builder(4).store_pre_activations().threads(1);
    let maps = (1..hidden).fold(builder, |builder, _| builder.dense(4, Activation::Tanh));
    // The highest hidden activation is that of a map.
    let mut network = maps.dense(4, Activation::Identity).dense(3, Activation::Identity).build()?;
    for t in 0..network.depth() {
        let small: Vec<T> = network.params(t).iter().map(|&p| T::of(0.2) * p).collect();
        network.set_params(t, &small)?;
    }
    Ok(network)
}
