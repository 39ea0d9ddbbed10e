//! The baseline: the chain rule on the same network.

use crate::block::{Block, Reads};
use crate::energy::Objective;
use crate::{Result, Scalar};

/// The gradient of the forward loss for every layer, by reverse accumulation: a forward pass, then one product after
/// the other from the output to the input. Leaves δ_t = ∂L_y/∂a_t as the gradient of z_t in the block.
///
/// Rumelhart, Hinton and Williams (1986), *Learning representations by back-propagating errors*, Nature 323.
pub(crate) fn gradients<T: Scalar>(
    objective: &Objective<'_, T>,
    block: &mut Block<T>,
    grads: &mut [Vec<T>],
) -> Result<()> {
    let Objective { layers, params, .. } = *objective;
    objective.forward(block)?;
    objective.cotangent(block, layers.len(), Reads::Forward)?;
    for (t, grad) in grads.iter_mut().enumerate().rev() {
        block.pull_back_to_parameters(layers, params, t, Reads::Forward, grad)?;
        if t > 0 {
            block.pull_back(layers, params, t, Reads::Forward)?;
            block.chain(t);
        }
    }
    Ok(())
}
