//! The baseline: the chain rule on the same network.

use crate::method::block::{Block, Reads};
use crate::method::energy::Objective;
use crate::{Result, Scalar};

/// Computes the gradient of the forward loss, summed over the block's examples, by reverse accumulation: a forward pass, then the
/// sequential products from the output to the input. `grads[t]` takes ∂L_y/∂θ_t, t = 0 .. T; δ_t = ∂L_y/∂a_t is left
/// as the block's [gradient](Block::gradient) of z_t.
///
/// Rumelhart, Hinton and Williams (1986), *Learning representations by back-propagating errors*, Nature 323.
///
/// # Errors
/// [`Error::Panicked`](crate::Error::Panicked) when a layer or the loss panics.
pub fn gradients<T: Scalar>(objective: &Objective<'_, T>, block: &mut Block<T>, grads: &mut [Vec<T>]) -> Result<()> {
    objective.forward(block)?;
    objective.chain_rule(block, |_| false)?;
    let chained = true;
    objective.parameter_gradients(block, (Reads::Forward, chained), grads, |_| false)
}
