//! Missing inputs of the training data: how they are inferred, and which methods do not support them.

use crate::bank::Storage;
use crate::error::supported;
use crate::method::Method;
use crate::method::block::Block;
use crate::method::energy::Objective;
use crate::network::infer::descend;
use crate::{Dataset, Result, Scalar};

/// Fails for a method, a storage or a measurement that does not support missing inputs.
pub(crate) fn check<T: Scalar>(method: &Method<T>, storage: Storage, measures_decoupling: bool) -> Result<()> {
    let exact =
        "exact activation steps know no minimum over a part of z_0; take sweeps, Gauss–Newton or error coordinates";
    let finish = "the finish refits the last layer to inputs that are given; say Method::finish(false)";
    let decoupling = "the decoupling is measured on inputs that are given; leave out measure_decoupling";
    let nothing = "they are inferred in the bank, which keeps nothing (Storage::Nothing); set another bank_storage";
    let needs = [
        (!method.activation.streams(), exact),
        (!method.coupling.finish, finish),
        (!measures_decoupling, decoupling),
        (storage != Storage::Nothing, nothing),
    ];
    needs.into_iter().try_for_each(|(holds, why)| supported(holds, "a fit on missing inputs", why))
}

/// Moves the entries of z_0 that are missing in the data: one step of [`infer`](crate::DecoupledNetwork::infer) with all else
/// clamped, so it can only lower the one term of the energy that sees them.
pub(crate) fn step<T: Scalar>(
    objective: &Objective<'_, T>,
    block: &mut Block<T>,
    data: &Dataset<T>,
    examples: &[usize],
) -> Result<()> {
    let inputs = examples.iter().flat_map(|&example| data.inputs().column(example));
    let free: Vec<bool> = inputs.map(|x| !x.is_finite()).collect();
    // z_0 enters the energy only through the lowest layer: a circuit of that layer suffices.
    let lowest = Objective { circuit: objective.circuit.part(0, 1), ..*objective };
    // Tolerance 0: one step, however small the gradient.
    if free.contains(&true) { descend(&lowest, block, &free, (1, T::zero())).map(drop) } else { Ok(()) }
}
