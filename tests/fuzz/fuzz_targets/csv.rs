#![no_main]

use decoupled::data::csv::Options;
use libfuzzer_sys::fuzz_target;

mod common;

fuzz_target!(|bytes: &[u8]| {
    let path = common::file(bytes);
    let _ = Options::classes("kind").read::<f64>(&path);
    let _ = Options::known_classes(2, &["0", "2"]).read::<f32>(&path);
    let _ = Options::numbers([0]).header(false).delimiter(b';').read::<f64>(&path);
});
