#![no_main]

use std::sync::LazyLock;

use decoupled::layer::Activation;
use decoupled::observer::EarlyStopping;
use decoupled::optimizer::Adam;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, data};
use libfuzzer_sys::fuzz_target;

mod common;

/// As in the example `torture`, which writes the first files.
static TRAINING: LazyLock<(DecoupledNetwork<f64>, Dataset<f64>)> = LazyLock::new(|| {
    let builder = DecoupledNetwork::builder(2).dense(3, Activation::Tanh).dense(2, Activation::Identity);
    let network = builder.optimizer(Adam::new(0.01)).threads(1).build().expect("a network");
    (network, data::two_moons(6, 0.1, 0).expect("a data set"))
});

fuzz_target!(|bytes: &[u8]| {
    let path = common::file(&common::mended(bytes));
    let (network, data) = &*TRAINING;
    let (mut network, mut stopping) = (network.clone(), EarlyStopping::new());
    if network.resume(path, &mut [&mut stopping]).is_ok() {
        let config = FitConfig::new().epochs(1).batch_size(3).method(Method::alm(0.7));
        let _ = network.fit_observed(data, &config, &mut [&mut stopping]);
    }
});
