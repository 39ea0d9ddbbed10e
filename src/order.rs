//! In which order an epoch visits the examples.

use crate::random::{Purpose, shuffle, stream};

/// A block's share of an epoch.
#[derive(Debug)]
pub(crate) struct Share {
    /// Its number, and the first of its examples.
    pub(crate) block: usize,
    pub(crate) first: usize,
    /// Its examples as they are visited.
    pub(crate) examples: Vec<usize>,
}

/// All examples as they come, in blocks of so many.
pub(crate) fn natural_order(examples: usize, block: Option<usize>) -> Vec<Share> {
    let len = block.unwrap_or(examples).min(examples);
    let share = |first| Share { block: first / len, first, examples: (first..examples.min(first + len)).collect() };
    (0..examples).step_by(len).map(share).collect()
}

/// The blocks in an order of their own, and the examples of each in another.
pub(crate) fn shuffled_order(examples: usize, block: Option<usize>, seed: u64, epoch: usize) -> Vec<Share> {
    let mut order = natural_order(examples, block);
    for share in &mut order {
        shuffle(&mut share.examples, &mut stream(seed, Purpose::Shuffle, epoch, share.block));
    }
    shuffle(&mut order, &mut stream(seed, Purpose::Blocks, epoch, 0));
    order
}
