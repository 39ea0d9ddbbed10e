#![no_main]

use decoupled::data::{read_idx_images, read_idx_labels, read_npy, read_npy_labels};
use libfuzzer_sys::fuzz_target;

mod common;

fuzz_target!(|bytes: &[u8]| {
    let path = common::file(bytes);
    let _ = read_idx_images::<f32>(&path);
    let _ = read_idx_labels(&path);
    let _ = read_npy::<f64>(&path);
    let _ = read_npy_labels(&path);
});
