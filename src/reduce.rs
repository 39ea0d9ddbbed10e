//! The sum over the lanes of a batch.

use crate::parallel::{Chunks, for_row};
use crate::{Result, Scalar, linalg};

/// Entries that one task adds: few enough that they stay in the cache.
const PIECE: usize = 4096;

/// Adds the sums of all lanes, `sums[lane][t]`, into the first in lane order, for every layer t that `skip` does not name.
pub(crate) fn sum_lanes<T: Scalar>(sums: &mut [Vec<Vec<T>>], skip: impl Fn(usize) -> bool + Sync) -> Result<()> {
    let Some((first, others)) = sums.split_first_mut() else { return Ok(()) };
    others.iter().try_for_each(|own| {
        for_row((&mut first[..], &own[..]), |t, (sum, own)| if skip(t) { Ok(()) } else { add(sum, own) })
    })
}

/// sum ← sum + own.
pub(crate) fn add<T: Scalar>(sum: &mut [T], own: &[T]) -> Result<()> {
    for_row((Chunks { slice: sum, width: PIECE }, Chunks { slice: own, width: PIECE }), |_, (sum, own)| {
        linalg::axpy(T::one(), own, sum);
        Ok(())
    })
}
