//! What the tests of training share.

use decoupled::optimizer::Step;
use decoupled::{Optimizer, Scalar};

/// Keeps the parameters where they are.
#[derive(Debug)]
pub(crate) struct Still;

impl<T: Scalar> Optimizer<T> for Still {
    fn update(&self, _: Step<T>, _: &mut [T], _: &mut [T], _: &mut [T]) {}
}
