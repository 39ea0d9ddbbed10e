//! Local targets (LocoProp): one reverse sweep, then several parameter steps.

use super::{Method, Timing};
use crate::Scalar;

impl<T: Scalar> Method<T> {
    /// Returns local targets: one sweep from the output to the input sets a target for every layer, and every layer then takes
    /// `local_steps` steps of its optimizer towards its target, independently and from its forward input.
    ///
    /// With one local step and the squared hidden loss it is backpropagation ([`backprop_by_sweep`](Self::backprop_by_sweep)). With more, it learns more from
    /// each batch, with all layers in parallel: worthwhile if batches are few or expensive.
    ///
    /// Amid, Anil, Warmuth (2021), *LocoProp: enhancing backprop via local loss optimization*, arXiv 2106.06199, the
    /// variant LocoProp-S. Departs from it in that the target is set, and its distance measured, after the activation
    /// function instead of before it.
    pub fn local_targets(local_steps: usize) -> Self {
        Self::backprop_by_sweep().timing(Timing::AfterRelaxation { local_steps })
    }
}
