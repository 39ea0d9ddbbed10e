#![no_main]

use decoupled::data::csv::Options;
use decoupled::data::{Missing, Unknown};
use libfuzzer_sys::fuzz_target;

mod common;

fuzz_target!(|bytes: &[u8]| {
    let path = common::file(bytes);
    let _ = Options::known_classes(2, &["0", "2"]).missing(Missing::Keep).read::<f32>(&path);
    let _ = Options::numbers([0]).header(false).delimiter(b';').read::<f64>(&path);
    let european = Options::classes("kind").delimiter(b';').decimal(b',').thousands(b'.').comment(b'#');
    let european = european.na_values(["-1", "?"]).missing(Missing::Median).unknown_categories(Unknown::Other);
    let places = Options::features().header(false).missing(Missing::MostFrequent);
    let _ = Options::labels(["kind"]).read::<f64>(&path);
    for options in [Options::classes("kind"), european.categories(["code"]), places] {
        if let Ok(mut columns) = options.fit(&path) {
            let _ = columns.set_unknown_categories(Unknown::Ignore);
            let _ = columns.to_string();
            let inputs = columns.read_inputs::<f64>(&path).expect("what was fitted is read");
            assert_eq!(inputs.matrix().rows(), columns.input_dim());
        }
    }
});
