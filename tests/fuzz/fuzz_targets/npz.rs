#![no_main]

use decoupled::data::Npz;
use libfuzzer_sys::fuzz_target;

mod common;

fuzz_target!(|bytes: &[u8]| {
    let path = common::file(bytes);
    let Ok(mut file) = Npz::open(path) else { return };
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    for name in names {
        let _ = file.read::<f32>(&name);
        let _ = file.read::<f64>(&name);
        let _ = file.read_labels(&name);
    }
});
