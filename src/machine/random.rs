//! Random numbers: every stream of the crate begins here, from a seed and a purpose.

use rand::{SeedableRng, rngs::ChaCha12Rng};

/// What a stream of random numbers is for. Each purpose has a stream of its own, so that drawing more for
/// one never shifts another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Init = 1,
    Shuffle = 2,
    Split = 3,
    Probe = 4,
    Synthetic = 5,
    Blocks = 7,
    Folds = 8,
    Search = 9,
    Isometry = 10,
    Augment = 11,
    Noise = 12,
}

/// The ChaCha12 stream of `(seed, purpose, epoch, layer)`: nothing to save, and the same at any thread count.
pub(crate) fn stream(seed: u64, purpose: Purpose, epoch: usize, layer: usize) -> ChaCha12Rng {
    let mut key = [0u8; 32];
    for (chunk, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, epoch as u64, layer as u64]) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha12Rng::from_seed(key)
}

/// Fisher–Yates shuffle of `items`, spelled out so that the order belongs to this crate's version and not to
/// that of a dependency.
pub(crate) fn shuffle<I>(items: &mut [I], rng: &mut ChaCha12Rng) {
    use rand::RngExt;
    for last in (1..items.len()).rev() {
        items.swap(last, rng.random_range(0..=last));
    }
}
