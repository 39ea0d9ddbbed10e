#![no_main]

use decoupled::layer::Activation;
use decoupled::{DecoupledNetwork, Scalar};
use libfuzzer_sys::fuzz_target;

mod common;

fn network<T: Scalar>() -> DecoupledNetwork<T> {
    DecoupledNetwork::builder(3).dense(2, Activation::Identity).threads(1).build().expect("a network")
}

fuzz_target!(|bytes: &[u8]| {
    let path = common::file(bytes);
    let (mut single, mut double) = (network::<f32>(), network::<f64>());
    let _ = single.load_params_cast(&path);
    let _ = double.load_params_cast(&path);
    let _ = double.load_params(&path);
});
