//! Which parameters are weights, and which biases or gains, for rules that treat them differently.

use std::ops::Range;

use crate::layer::Tensor;

/// Which entries of a slice of parameters are weights: those of the **matrices** among the layer's
/// [tensors](crate::Layer::tensors). Vectors, such as biases and the gains of a [`LayerNorm`](crate::layer::LayerNorm), are none.
///
/// Of an activation, all entries count as weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights<'w> {
    /// Counted from the layer's first parameter, ascending.
    ranges: &'w [Range<usize>],
    /// The place of the slice's first entry in the layer.
    first: usize,
}

impl<'w> Weights<'w> {
    /// All entries of any slice.
    pub const fn all() -> Weights<'static> {
        const ALL: &[Range<usize>] = std::slice::from_ref(&(0..usize::MAX));
        Weights { ranges: ALL, first: 0 }
    }

    /// Returns the parts of a slice of `len` entries that are weights, from the left.
    pub fn within(self, len: usize) -> impl Iterator<Item = Range<usize>> + use<'w> {
        let Self { ranges, first } = self;
        let clip = move |place: usize| place.saturating_sub(first).min(len);
        ranges.iter().map(move |range| clip(range.start)..clip(range.end)).filter(|range| !range.is_empty())
    }

    /// Calls `f` with every weight among `params` and its entry of `grad`.
    pub(super) fn zip<T>(self, params: &mut [T], grad: &mut [T], f: impl Fn(&mut T, &mut T)) {
        for range in self.within(params.len()) {
            let entries = params.get_mut(range.clone()).into_iter().flatten();
            entries.zip(grad.get_mut(range).into_iter().flatten()).for_each(|(p, g)| f(p, g));
        }
    }

    /// Those of a layer, for a slice of its parameters that begins at `first`.
    pub(crate) fn of_layer(ranges: &'w [Range<usize>], first: usize) -> Self {
        Self { ranges, first }
    }
}

/// Where the matrices lie among a layer's parameters.
pub(crate) fn ranges_of_weights(tensors: &[Tensor]) -> Vec<Range<usize>> {
    let mut end = 0_usize;
    let place = |tensor: &Tensor| {
        let start = end;
        // Parameters that no memory holds are refused when it is asked for them.
        end = end.saturating_add(tensor.len());
        tensor.has_axes().then_some(start..end)
    };
    tensors.iter().filter_map(place).collect()
}
