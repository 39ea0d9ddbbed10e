//! The order in which an epoch visits the examples.

use crate::machine::random::{Purpose, shuffle, stream};

/// A block's share of an epoch.
#[derive(Debug)]
pub(crate) struct Share {
    /// The block's number, and the first of its examples in the data.
    pub(crate) block: usize,
    pub(crate) first: usize,
    /// Its examples in the order of their visits.
    pub(crate) examples: Vec<usize>,
}

/// Returns all examples in the order of the data, in blocks of `block` examples.
pub(crate) fn natural_order(examples: usize, block: Option<usize>) -> Vec<Share> {
    let len = block.unwrap_or(examples).min(examples);
    let share = |first| Share { block: first / len, first, examples: (first..examples.min(first + len)).collect() };
    (0..examples).step_by(len).map(share).collect()
}

/// Shuffles the blocks, and the examples within each.
pub(crate) fn shuffled_order(examples: usize, block: Option<usize>, seed: u64, epoch: usize) -> Vec<Share> {
    let mut order = natural_order(examples, block);
    for share in &mut order {
        // One stream per epoch and block: the order does not depend on the blocks shuffled before.
        shuffle(&mut share.examples, &mut stream(seed, Purpose::Shuffle, epoch, share.block));
    }
    // After the examples, which are shuffled by their block's number, not by its place.
    shuffle(&mut order, &mut stream(seed, Purpose::Blocks, epoch, 0));
    order
}
