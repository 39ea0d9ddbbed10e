//! Augmented pictures: the networks and the methods that train on them.

use crate::data::Augmentation;
use crate::error::supported;
use crate::machine::parallel::guarded;
use crate::method::Method;
use crate::{Dataset, DecoupledNetwork, Error, Result, Scalar};

/// Fails unless examples are pictures of the augmentation's shape, and the network reads them.
pub(crate) fn check_network<T: Scalar>(
    net: &DecoupledNetwork<T>,
    augmentation: Augmentation,
    data: &Dataset<T>,
) -> Result<()> {
    augmentation.check(data.input_dim())?;
    let Some(lowest) = net.layers.first() else { return Ok(()) };
    let (expected, found) = (augmentation.shape(), guarded("input_shape", 0, || lowest.input_shape())?);
    if found.reads(expected) { Ok(()) } else { Err(Error::ShapeMismatch { layer: 0, expected, found }) }
}

/// Fails for a method that keeps something of an example from visit to visit, and for inputs of which some are missing.
pub(crate) fn check_method<T: Scalar>(method: &Method<T>, data: &Dataset<T>) -> Result<()> {
    let what = "augmented pictures (augment)";
    method.check_forgets(what)?;
    supported(data.missing() == 0, what, "the bank would keep the missing inputs of another picture")
}
