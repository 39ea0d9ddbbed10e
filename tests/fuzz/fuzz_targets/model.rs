#![no_main]

use decoupled::Model;
use decoupled::nalgebra::DMatrix;
use libfuzzer_sys::fuzz_target;

mod common;

fuzz_target!(|bytes: &[u8]| {
    let path = common::file(&common::mended(bytes));
    if let Ok(model) = Model::<f32>::load(path) {
        let inputs = DMatrix::from_element(model.network.input_dim(), 2, 0.5);
        let _ = model.network.predict(&inputs);
    }
});
