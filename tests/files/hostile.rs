//! Files that are damaged, or made to do harm: every one is refused, and none takes memory.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use decoupled::layer::{Activation, Dense, Residual};
use decoupled::observer::EarlyStopping;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, Model, Observer, data};
use serde_json::{Value, json};

use crate::common::{crc32, path, place, small};

/// Remembers the largest request of each thread.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn watch(size: usize) {
    LARGEST.with(|largest| largest.set(largest.get().max(size)));
}

// Every request is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        watch(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        watch(size);
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

#[test]
fn every_bit_that_flips_and_every_byte_that_lacks_is_found() {
    let path = path("damaged");
    small::<f32>().save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() < 2000);
    let mut network = small::<f32>();
    let mut refused = |what: String| {
        assert!(matches!(Model::<f32>::load(&path), Err(Error::Format { .. })), "load, {what}");
        assert!(matches!(network.load_params(&path), Err(Error::Format { .. })), "load_params, {what}");
    };
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    for (at, &byte) in whole.iter().enumerate() {
        let mut put = |byte: u8| {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&[byte]).unwrap();
        };
        for bit in 0..8 {
            put(byte ^ (1 << bit));
            refused(format!("bit {bit} of byte {at}"));
        }
        put(byte);
    }
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(b" ").unwrap();
    refused("a byte more".to_owned());
    for length in (0..whole.len()).rev() {
        file.set_len(length as u64).unwrap();
        refused(format!("{length} bytes of {}", whole.len()));
    }
    fs::write(&path, &whole).unwrap();
    network.load_params(&path).unwrap();
}

/// A file whose checksum agrees, with this description, these entries after it in the header, and these bytes behind it.
fn forge(path: &Path, contents: &str, entries: &str, data: &[u8]) {
    let start = format!(r#"{{"__metadata__":{{"crc32":"{:08}","decoupled":{}}}"#, 0, json!(contents));
    let mut header = format!("{start}{}{entries}}}", if entries.is_empty() { "" } else { "," });
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
    let digits = format!("{:08x}", crc32(&bytes));
    bytes[34..42].copy_from_slice(digits.as_bytes());
    fs::write(path, bytes).unwrap();
}

fn described(layers: Value) -> String {
    let nothing = Value::Null;
    json!({
        "format": 1, "written_by": "a test", "layers": layers,
        "output_loss": { "kind": "SquaredError", "settings": nothing },
        "input_scaler": nothing, "target_scaler": nothing, "class_names": [],
    })
    .to_string()
}

fn dense(input: u64, output: u64) -> Value {
    let init = json!({ "gain": 1.0, "scheme": "Orthogonal" });
    json!({ "kind": "Dense", "settings": { "input": input, "output": output, "bias": null, "init": init } })
}

fn elementwise(dim: u64) -> Value {
    json!({ "kind": "Elementwise", "settings": { "dim": dim, "activation": "Relu", "straight_through": false } })
}

const ONE_BY_ONE: &str = r#""0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}"#;

#[test]
fn a_forged_file_is_read_if_nothing_is_wrong_with_it() {
    let path = path("forged");
    forge(&path, &described(json!([dense(1, 1)])), ONE_BY_ONE, &2.5f32.to_le_bytes());
    assert_eq!(DecoupledNetwork::<f32>::load(&path).unwrap().params(0), [2.5]);
}

#[test]
fn names_that_are_not_of_the_networks_width_are_refused() {
    let path = path("names");
    let load = |names: &str| {
        let contents = described(json!([dense(1, 1)])).replace(r#""class_names":[]"#, names);
        forge(&path, &contents, ONE_BY_ONE, &2.5f32.to_le_bytes());
        Model::<f32>::load(&path)
    };
    let two = load(r#""class_names":["no","yes"]"#).unwrap();
    assert_eq!(two.class_names, ["no", "yes"]);
    let three = load(r#""class_names":["no","perhaps","yes"]"#);
    assert!(matches!(three, Err(Error::Shape { what: "class names", expected: 2, found: 3 })), "{three:?}");
    let features = load(r#""class_names":[],"feature_names":["a","b"]"#);
    assert!(matches!(features, Err(Error::Shape { what: "feature names", expected: 1, found: 2 })), "{features:?}");
}

#[test]
fn claims_of_any_size_are_refused_and_take_no_memory() {
    let path = path("claims");
    let (huge, data) = (1 << 60, 1f32.to_le_bytes());
    let residual = |inner: Value| json!({ "kind": "Residual", "settings": { "inner": inner } });
    let entry = |shape: &str, offsets: &str| {
        format!(r#""0.weight":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let one = || described(json!([dense(1, 1)]));
    let files = [
        (described(json!([dense(huge, 1)])), ONE_BY_ONE.to_owned()),
        (described(json!([dense(huge, huge)])), ONE_BY_ONE.to_owned()),
        (described(json!([dense(huge, huge)])), entry("[1152921504606846976,1152921504606846976]", "[0,4]")),
        (described(json!([dense(1, 1), elementwise(huge)])), ONE_BY_ONE.to_owned()),
        (described(json!([elementwise(huge)])), String::new()),
        (described(json!([residual(elementwise(huge))])), String::new()),
        (described(json!([dense(0, huge)])), entry("[1152921504606846976,0]", "[0,0]")),
        (described(json!([])), String::new()),
        (one(), entry("[1,1]", "[0,18446744073709551615]")),
        (one(), entry("[1,1]", "[18446744073709551615,3]")),
        (one(), entry("[1,1]", "[4,4]")),
        (one(), entry("[1,1]", "[0,-4]")),
        (one(), entry("[18446744073709551616,1]", "[0,4]")),
        (one(), entry("[1,1]", "[0,2]") + r#","x":{"dtype":"F32","shape":[],"data_offsets":[0,4]}"#),
    ];
    for (contents, entries) in files {
        forge(&path, &contents, &entries, if entries.is_empty() { &[] } else { &data });
        LARGEST.set(0);
        let refused = DecoupledNetwork::<f32>::load(&path).is_err();
        assert!(refused && LARGEST.get() < 10_000, "{} bytes: {contents} {entries}", LARGEST.get());
    }
    for length in [1 << 63, u64::MAX, 100_000_001, 100_000_000, 3, 0] {
        fs::write(&path, [&length.to_le_bytes()[..], b"{}"].concat()).unwrap();
        LARGEST.set(0);
        assert!(matches!(DecoupledNetwork::<f32>::load(&path), Err(Error::Format { .. })), "{length}");
        assert!(LARGEST.get() < 10_000, "{} bytes: {length}", LARGEST.get());
    }
}

/// A checkpoint after an epoch, with an observer that counts.
fn trained(path: &Path) -> (DecoupledNetwork<f64>, Vec<u8>) {
    let builder = DecoupledNetwork::builder(2).dense(3, Activation::Tanh).dense(2, Activation::Identity);
    let mut network = builder.threads(1).build().unwrap();
    let mut stopping = EarlyStopping::new();
    network.fit_observed(&moons(), &one_epoch(), &mut [&mut stopping]).unwrap();
    network.save_checkpoint(path, &[&stopping]).unwrap();
    (network, fs::read(path).unwrap())
}

fn moons() -> Dataset<f64> {
    data::two_moons(6, 0.1, 0).unwrap()
}

fn one_epoch() -> FitConfig<'static, f64> {
    FitConfig::new().epochs(1).method(Method::alm(0.7))
}

/// The same file with `to` in place of `from`, in a header that is long enough for it, and the right checksum.
fn replaced(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = file.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    let mut bytes = file.to_vec();
    bytes.splice(at..at + from.len(), to.bytes());
    let header = u64::from_le_bytes(*file.first_chunk().unwrap()) + to.len() as u64 - from.len() as u64;
    bytes[..8].copy_from_slice(&header.to_le_bytes());
    bytes[34..42].copy_from_slice(b"00000000");
    let digits = format!("{:08x}", crc32(&bytes));
    bytes[34..42].copy_from_slice(digits.as_bytes());
    bytes
}

#[test]
fn what_a_checkpoint_claims_of_its_training_is_held_against_what_it_can_be() {
    let path = path("training");
    let (network, file) = trained(&path);
    let half = isize::MAX as u64;
    for (from, to, expected) in [
        ("\\\"epochs\\\":1,", "\\\"epochs\\\":18446744073709551615,", format!("its epochs: expected at most {half}")),
        (
            "\\\"updates\\\":1,",
            "\\\"updates\\\":18446744073709551615,",
            format!("its updates: expected at most {half}"),
        ),
        (
            "\\\"best_epoch\\\":[1,",
            "\\\"best_epoch\\\":[2,",
            "the best epoch so far: expected one of 1 epochs, and a number for its loss, found 2, ".to_owned(),
        ),
        ("{\\\"value\\\":1.0,", "{\\\"value\\\":-2.0,", "the factor on the penalties: expected at least 1".to_owned()),
    ] {
        fs::write(&path, replaced(&file, from, to)).unwrap();
        let found = place(network.clone().resume(&path, &mut [&mut EarlyStopping::new()]));
        assert!(found.starts_with(&expected), "{found}");
    }
    for observers in ["1000000000", "9223372036854775808", "18446744073709551615"] {
        let to = format!("\\\"observers\\\":{observers}");
        fs::write(&path, replaced(&file, "\\\"observers\\\":1", &to)).unwrap();
        LARGEST.set(0);
        let of_a_model = place(DecoupledNetwork::<f64>::load(&path));
        let of_params = place(network.clone().load_params(&path));
        let of_a_training = place(network.clone().resume(&path, &mut [&mut EarlyStopping::new()]));
        for found in [of_a_model, of_params, of_a_training] {
            assert!(found.starts_with("the number of its observers") && found.ends_with(observers), "{found}");
        }
        assert!(LARGEST.get() < 10_000, "{} bytes: {observers}", LARGEST.get());
    }
}

#[test]
fn counts_that_cannot_rise_are_refused_or_stay() {
    let path = path("counts");
    let (mut network, file) = trained(&path);
    // Steps of each example begin its record.
    let record = 16 + 2 * 3 * 8;
    let mut bytes = file.clone();
    (0..6).for_each(|i| {
        let at = bytes.len() - (6 - i) * record;
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    });
    fs::write(&path, replaced(&bytes, "\"crc32\"", "\"crc32\"")).unwrap();
    let mut stopping = EarlyStopping::new();
    network.resume(&path, &mut [&mut stopping]).unwrap();
    assert_eq!(network.bank().unwrap().steps(), [u64::MAX; 6]);
    network.fit(&moons(), &one_epoch()).unwrap();
    assert_eq!(network.bank().unwrap().steps(), [u64::MAX; 6]);

    for counts in [[1e300, 0.0, 0.0], [0.0, 2f64.powi(53), 0.0], [0.0, 0.0, f64::INFINITY], [-1.0, 0.0, 0.0]] {
        let found = Observer::<f64>::set_state(&mut stopping, &[&counts[..], &[0.5]].concat()).unwrap_err();
        assert!(matches!(found, Error::HyperParameter { .. }), "{found}");
    }
}

#[test]
fn nesting_without_end_is_refused_in_a_file_and_before_it_is_written() {
    let path = path("nested");
    let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    forge(&path, &format!("{open}{close}"), "", &[]);
    assert!(DecoupledNetwork::<f32>::load(&path).is_err());
    forge(&path, "", &format!(r#""x":{open}{close}"#), &[]);
    assert!(DecoupledNetwork::<f32>::load(&path).is_err());
    let residuals = r#"{"kind":"Residual","settings":{"inner":"#.repeat(100_000);
    forge(&path, &described(json!([])).replace("[]", &format!("[{residuals}")), "", &[]);
    assert!(DecoupledNetwork::<f32>::load(&path).is_err());

    let nest = |depth| (1..depth).fold(Residual::<f32>::new(Dense::new(2, 2)), |inner, _| Residual::new(inner));
    let nested = DecoupledNetwork::builder(2).layer(nest(20)).build().unwrap();
    nested.save(&path).unwrap();
    assert_eq!(DecoupledNetwork::<f32>::load(&path).unwrap().params(0), nested.params(0));
    let deep = DecoupledNetwork::builder(2).layer(nest(100)).build().unwrap();
    assert!(matches!(deep.save(&path), Err(Error::Unsupported { what: "saving", .. })));
}

#[test]
fn what_is_wrong_with_a_file_is_named() {
    let path = path("wrong");
    let load = |contents: &str, entries: &str, data: &[u8]| {
        forge(&path, contents, entries, data);
        place(DecoupledNetwork::<f32>::load(&path))
    };
    let one = described(json!([dense(1, 1)]));
    let data = 1f32.to_le_bytes();
    let newer = json!({ "format": 2, "of": "another kind" }).to_string();
    assert_eq!(load(&newer, ONE_BY_ONE, &data), "the version of its format: expected 1, found 2");
    assert_eq!(load("{}", ONE_BY_ONE, &data), "the version of its format: expected 1, found none");
    let other = ONE_BY_ONE.replace("0.weight", "0.gain");
    assert_eq!(load(&one, &other, &data), "tensor 0.weight: expected F32 [1, 1], found none");
    let more = format!(r#"{ONE_BY_ONE},"1.bias":{{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#);
    let expected = "tensor 1.bias: expected none of this name in the network, found F32 [1]";
    assert_eq!(load(&one, &more, &[data, data].concat()), expected);
    let flat = ONE_BY_ONE.replace("[1,1]", "[1]");
    assert_eq!(load(&one, &flat, &data), "tensor 0.weight: expected F32 [1, 1], found F32 [1]");
    for (bad, found) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-f32::INFINITY, "-inf")] {
        let expected = format!("tensor 0.weight: expected finite numbers, found {found}");
        assert_eq!(load(&one, ONE_BY_ONE, &bad.to_le_bytes()), expected);
    }
    for (from, to, what) in [
        ("Dense", "Tense", "Tense"),
        ("Orthogonal", "Diagonal", "Diagonal"),
        ("\"input\":1", "\"input\":1.5", "1.5"),
        ("\"input\":1", "\"input\":1,\"groups\":2", "groups"),
        ("SquaredError", "CubedError", "CubedError"),
    ] {
        let found = load(&one.replace(from, to), ONE_BY_ONE, &data);
        assert!(found.starts_with("its description") && found.contains(what), "{found}");
    }
    let found = load(&described(json!([null])), ONE_BY_ONE, &data);
    assert!(found.starts_with("layer 0: expected one that is built in"), "{found}");
    let infinite = one.replace("\"gain\":1.0", "\"gain\":1e999");
    assert!(load(&infinite, ONE_BY_ONE, &data).starts_with("its description"));
}

#[test]
fn random_bytes_are_refused() {
    let path = path("random");
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    for _ in 0..500 {
        let mut bytes: Vec<u8> = (0..rng.random_range(0..200)).map(|_| rng.random()).collect();
        if let Some(length) = bytes.get_mut(..8) {
            length.copy_from_slice(&rng.random_range(0..300u64).to_le_bytes());
        }
        fs::write(&path, bytes).unwrap();
        assert!(matches!(DecoupledNetwork::<f32>::load(&path), Err(Error::Format { .. })));
    }
}
