//! The sum over the lanes of a batch.

use crate::machine::linalg;
use crate::machine::parallel::{Chunks, for_row};
use crate::{Result, Scalar};

/// Entries that one task takes: few enough that they stay in the cache.
pub(crate) const PIECE: usize = 4096;

/// Adds the sums of all lanes, `sums[lane][t]`, into the first, for every layer t that `skip` does not name. Overwrites the others.
///
/// The additions form a binary tree: first neighbours, then pairs, then pairs of pairs. Its shape depends on the number of lanes alone, so
/// the sum has the same bits at any number of threads, and an aligned half of the lanes is a subtree that may be summed elsewhere.
pub(crate) fn sum_lanes<T: Scalar>(sums: &mut [Vec<Vec<T>>], skip: impl Fn(usize) -> bool + Sync) -> Result<()> {
    let mut stride = 1;
    while stride < sums.len() {
        for_row(Chunks { slice: &mut *sums, width: 2 * stride }, |_, pair| {
            let (first, second) = pair.split_at_mut(stride.min(pair.len()));
            // An odd one out waits for the next level.
            let (Some(first), Some(second)) = (first.first_mut(), second.first()) else { return Ok(()) };
            for_row((&mut first[..], &second[..]), |t, (sum, own)| if skip(t) { Ok(()) } else { add(sum, own) })
        })?;
        stride *= 2;
    }
    Ok(())
}

/// sum ← sum + own.
pub(crate) fn add<T: Scalar>(sum: &mut [T], own: &[T]) -> Result<()> {
    for_row((Chunks { slice: sum, width: PIECE }, Chunks { slice: own, width: PIECE }), |_, (sum, own)| {
        linalg::axpy(T::one(), own, sum);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree by hand, with numbers that each order of additions rounds differently.
    #[test]
    fn neighbours_are_added_first() {
        for lanes in 1..=9 {
            let value = |lane: usize, t: usize| 0.1_f32 + 1.7_f32.powi((lane * (t + 3)) as i32 % 23);
            fn tree(range: std::ops::Range<usize>, value: &impl Fn(usize) -> f32) -> f32 {
                if range.len() == 1 {
                    return value(range.start);
                }
                // The left subtree is the largest power of two below the length.
                let half = range.len().next_power_of_two() / 2;
                tree(range.start..range.start + half, value) + tree(range.start + half..range.end, value)
            }
            let mut sums: Vec<Vec<Vec<f32>>> =
                (0..lanes).map(|lane| (0..2).map(|t| vec![value(lane, t); 5000]).collect()).collect();
            sum_lanes(&mut sums, |t| t == 2).unwrap();
            for (t, sum) in sums[0].iter().enumerate() {
                assert_eq!(*sum, vec![tree(0..lanes, &|lane| value(lane, t)); 5000], "{lanes} lanes");
            }
        }
    }

    #[test]
    fn skipped_layers_keep_their_first_lane() {
        let mut sums = vec![vec![vec![1.0_f64], vec![2.0]], vec![vec![10.0], vec![]]];
        sum_lanes(&mut sums, |t| t == 1).unwrap();
        assert_eq!(sums[0], [[11.0], [2.0]]);
    }
}
