//! What the tests of files share.

use std::fs;
use std::path::PathBuf;

use decoupled::layer::Activation;
use decoupled::rand::{SeedableRng, rngs::ChaCha12Rng};
use decoupled::{DecoupledNetwork, Error, NetworkBuilder, Scalar};

pub(crate) fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("persist");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

pub(crate) fn draw<T: Scalar>(len: usize, seed: u64) -> Vec<T> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    (0..len).map(|_| T::standard_normal(&mut rng)).collect()
}

/// With all parameters off their initial values.
pub(crate) fn moved<T: Scalar>(builder: NetworkBuilder<T>) -> DecoupledNetwork<T> {
    let mut network = builder.threads(1).build().unwrap();
    for t in 0..network.depth() {
        let params = draw(network.params(t).len(), t as u64);
        network.set_params(t, &params).unwrap();
    }
    network
}

/// Two dense layers, 3-2-2.
pub(crate) fn small<T: Scalar>() -> DecoupledNetwork<T> {
    moved(DecoupledNetwork::builder(3).dense(2, Activation::Tanh).dense(2, Activation::Identity))
}

#[track_caller]
pub(crate) fn place<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Format { place, expected, found, .. }) => format!("{place}: expected {expected}, found {found}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

/// CRC-32 by its definition, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, bit: u32| if sum & 1 != bit { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum, |sum, i| step(sum, u32::from(byte >> i) & 1)))
}
