//! Files of numpy: read as numpy wrote them, written as numpy would, and refused when they are something else.

use std::fs;
use std::path::PathBuf;

use decoupled::data::{Examples, read_npy, read_npy_labels, write_npy};
use decoupled::{Error, MatRef, Scalar};

/// Made by numpy, see files.py beside it.
const FILES: &str = include_str!("../npy/files.txt");

/// Arrays of every kind with their numbers, see grid.py beside it.
const GRID: &str = include_str!("../npy/grid.txt");

const REALS: [[f64; 3]; 2] = [[1.5, -0.0, 3.25], [1e30, -2.5, 0.125]];

fn numpy(name: &str) -> Vec<u8> {
    let fields = |line: &'static str| -> Vec<_> { line.split('|').collect() };
    // The dictionary may have bars of its own.
    let fields = FILES.lines().map(fields).find(|fields| fields[0] == name).unwrap();
    let (dictionary, entries) = (fields[2..fields.len() - 1].join("|"), fields[fields.len() - 1]);
    padded(fields[1], &dictionary, entries)
}

/// A file whose header ends at byte 127.
fn padded(start: &str, dictionary: &str, entries: &str) -> Vec<u8> {
    let mut bytes = hex(start);
    bytes.extend(dictionary.bytes());
    bytes.resize(127, b' ');
    bytes.push(b'\n');
    bytes.extend(hex(entries));
    bytes
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Version 1.0 with this dictionary and these entries.
fn file(dictionary: &str, entries: &[u8]) -> Vec<u8> {
    let length = u16::try_from(dictionary.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], dictionary.as_bytes(), entries].concat()
}

fn saved(name: &str, bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.npy"));
    fs::write(&path, bytes).unwrap();
    path
}

#[track_caller]
fn assert_reads<T: Scalar>(name: &str, expected: &[&[f64]]) {
    let read: Examples<T> = read_npy(saved(name, &numpy(name))).unwrap();
    assert_eq!((read.matrix().cols(), read.matrix().rows()), (expected.len(), expected[0].len()), "{name}");
    for (column, &row) in read.matrix().columns().zip(expected) {
        let bits = |x: f64| x.to_bits();
        assert!(
            column.iter().map(|x| bits(x.to_f64())).eq(row.iter().map(|&x| bits(x))),
            "{name}: {column:?}, not {row:?}"
        );
    }
}

#[track_caller]
fn assert_format_error<V: std::fmt::Debug>(result: Result<V, Error>, at: &str) {
    assert!(matches!(&result, Err(Error::Format { place, .. }) if place == at), "not at {at}: {result:?}");
}

#[test]
fn reals_are_read_in_either_order_of_entries_and_bytes_and_from_every_version() {
    for name in ["c_f8", "fortran_f8", "big_f8"] {
        assert_reads::<f64>(name, &REALS.each_ref().map(|row| &row[..]));
    }
    let single = REALS.map(|row| row.map(|x| f64::from(x as f32)));
    for name in ["c_f4", "fortran_big_f4", "f4_version_2", "f4_version_3"] {
        assert_reads::<f32>(name, &single.each_ref().map(|row| &row[..]));
        assert_reads::<f64>(name, &single.each_ref().map(|row| &row[..]));
    }
}

/// The bits of numbers that Python printed, all NaNs alike.
fn bits(numbers: impl Iterator<Item = f64>) -> Vec<u64> {
    numbers.map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() }).collect()
}

#[test]
fn every_type_order_version_and_shape_gives_the_numbers_that_numpy_has() {
    fn read<T: Scalar>(file: &[u8]) -> (usize, Vec<u64>) {
        let read: Examples<T> = read_npy(saved("grid", file)).unwrap();
        (read.matrix().cols(), bits(read.matrix().as_slice().iter().map(|x| x.to_f64())))
    }
    for line in GRID.lines() {
        let fields: Vec<&str> = line.split(';').collect();
        let file = padded(fields[0], fields[1], fields[2]);
        let numbers = |field: &str| bits(field.split(',').map(|number| number.parse().unwrap()));
        let examples = fields[1].split_once("'shape': (").unwrap().1.split(',').next().unwrap().parse().unwrap();
        assert_eq!(read::<f64>(&file), (examples, numbers(fields[3])), "{line}");
        assert_eq!(read::<f32>(&file), (examples, numbers(fields[4])), "{line}");
    }
    assert_eq!(GRID.lines().count(), 240);
}

#[test]
fn whole_numbers_are_read_and_an_array_of_one_axis_is_one_feature() {
    assert_reads::<f32>("sliced_i8", &[&[3.0, 5.0], &[-1.0, 1.0], &[-5.0, -3.0]]);
    for name in ["i4", "big_i4"] {
        assert_reads::<f64>(name, &[&[-7.0, 2_147_483_647.0], &[0.0, -2_147_483_648.0]]);
    }
    assert_reads::<f32>("big_i8", &[&[3.0], &[0.0], &[70_000.0]]);
    assert_reads::<f64>("u1", &[&[0.0], &[1.0], &[255.0]]);
    assert_reads::<f32>("bool", &[&[1.0], &[0.0]]);
}

#[test]
fn labels_are_whole_numbers_of_any_kind() {
    for (name, expected) in [("big_i8", &[3, 0, 70_000][..]), ("u1", &[0, 1, 255]), ("bool", &[1, 0])] {
        assert_eq!(read_npy_labels(saved(&format!("labels_{name}"), &numpy(name))).unwrap(), expected);
    }
    let dictionary = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}";
    let labels = |values: [f64; 2]| {
        read_npy_labels(saved("labels_f8", &file(dictionary, &values.map(f64::to_le_bytes).concat())))
    };
    assert_eq!(labels([4.0, 9_223_372_036_854_775_808.0]).unwrap(), [4, 1 << 63]);
    for bad in [0.5, -1.0, f64::NAN, f64::INFINITY, 18_446_744_073_709_551_616.0, 2f64.powi(127), 1e300] {
        assert_format_error(labels([0.0, bad]), "example 1, feature 0");
    }
    assert_format_error(read_npy_labels(saved("labels_i8", &numpy("sliced_i8"))), "shape");
    let negative = file("{'descr': '<i4', 'fortran_order': False, 'shape': (1,)}", &(-1i32).to_le_bytes());
    assert_format_error(read_npy_labels(saved("labels_i4", &negative)), "example 0, feature 0");
}

#[test]
fn numbers_are_rounded_to_the_nearest_and_one_too_large_is_an_error() {
    let read = read_npy::<f32>(saved("rounded_f8", &numpy("fortran_f8"))).unwrap();
    let rounded = REALS.map(|row| row.map(|x| x as f32));
    assert_eq!(read.matrix().as_slice(), rounded.as_flattened());
    // 2⁵³ + 1 lies between two numbers and goes to the even one, 2⁵³.
    let read = read_npy::<f64>(saved("rounded_i8", &numpy("precise_i8"))).unwrap();
    assert_eq!(read.matrix().as_slice()[0], 9_007_199_254_740_992.0);
    let large = [3e38, 3.5e38].map(f64::to_le_bytes).concat();
    let path = saved("too_large", &file("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", &large));
    assert_format_error(read_npy::<f32>(&path), "example 1, feature 0");

    let dictionary = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}";
    let entries = [f64::NAN, f64::NEG_INFINITY].map(f64::to_le_bytes).concat();
    let read = read_npy::<f32>(saved("not_finite", &file(dictionary, &entries))).unwrap();
    assert!(read.matrix().as_slice()[0].is_nan() && read.matrix().as_slice()[1] == f32::NEG_INFINITY);

    let truth = file("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", &[1, 2]);
    assert_format_error(read_npy::<f64>(saved("neither", &truth)), "example 1, feature 0");
}

#[test]
fn arrays_of_other_kinds_or_without_axes_are_refused_where_the_header_says_so_with_a_remedy() {
    for (name, place, remedy) in [
        ("scalar", "byte 60", "x.reshape(1, -1)"),
        ("record", "byte 20", "x['field']"),
        ("long_double", "byte 20", "x.astype('f8')"),
        ("complex", "byte 20", "x.astype('f8')"),
        ("text", "byte 20", "x.astype('f8')"),
        ("bytes", "byte 20", "x.astype('f8')"),
        ("dates", "byte 20", "x.astype('f8')"),
        ("objects", "byte 20", "x.astype('f8')"),
    ] {
        let read = read_npy::<f64>(saved(name, &numpy(name)));
        assert_format_error(read, place);
        let labels = read_npy_labels(saved(name, &numpy(name)));
        assert!(matches!(&labels, Err(Error::Format { expected, .. }) if expected.contains(remedy)), "{labels:?}");
    }
    assert_reads::<f32>("half", &[&[1.0]]);
    assert_reads::<f32>("cube", &[&[0.0]]);
    let labels = read_npy_labels(saved("one_hot", &numpy("sliced_i8")));
    assert!(matches!(&labels, Err(Error::Format { expected, .. }) if expected.contains("x.argmax(1)")), "{labels:?}");
    let zip = read_npy::<f32>(saved("zip", b"PK\x03\x04 and so on"));
    assert!(matches!(&zip, Err(Error::Format { expected, .. }) if expected.contains("Npz")), "{zip:?}");
    for (name, expected) in [("no_examples", "the list of examples"), ("no_features", "the list of features")] {
        let read = read_npy::<f64>(saved(name, &numpy(name)));
        assert!(matches!(read, Err(Error::Empty { what }) if what == expected), "{read:?}");
    }
}

#[test]
fn what_is_written_are_the_bytes_that_numpy_writes() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("written.npy");
    write_npy(&path, &Examples::from_rows(&REALS).unwrap()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), numpy("c_f8"));
    let single = REALS.map(|row| row.map(|x| x as f32));
    write_npy(&path, MatRef::new(single.as_flattened(), 3, 2)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), numpy("c_f4"));
    write_npy(&path, MatRef::<f64>::new(&[], 2, 0)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), numpy("no_examples"));
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_named_and_no_draft_stays() {
    let missing = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("missing.npy");
    assert!(matches!(read_npy::<f64>(&missing), Err(Error::Io { path, .. }) if path == missing));
    assert!(matches!(read_npy_labels(&missing), Err(Error::Io { path, .. }) if path == missing));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("folder.npy");
    fs::create_dir_all(folder.join("not empty")).unwrap();
    let written = write_npy(&folder, MatRef::from(&[1.0, 2.0][..]));
    assert!(matches!(written, Err(Error::NotAFile { path, found: "a folder" }) if path == folder));
    assert!(!PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("folder.npy.tmp").exists());
}

#[test]
fn the_header_is_the_literal_of_a_dictionary_with_three_keys_and_nothing_else() {
    let read = |dictionary: &str| read_npy::<f64>(saved("literal", &file(dictionary, &[7; 16])));
    for good in [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }",
        "{'shape':(2,1,),'fortran_order':True,\"descr\":\"<f8\"}",
        " {\n'descr' : '<f8' ,\t'fortran_order' : False , 'shape' : ( 2 , ) } \n ",
        // As NumPy reads them too: of Python 2, and other names of the type.
        "{u'descr': u'<f8', 'fortran_order': False, 'shape': (2L, 1L)}",
        "{'descr': '=f8', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '|f8', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': 'float64', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<d', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<u1', 'fortran_order': False, 'shape': (4, 2, 2)}",
        "{'descr': '>b', 'fortran_order': True, 'shape': (1, 1, 16)}",
    ] {
        assert!(read(good).is_ok(), "{good}: {:?}", read(good));
    }
    // Where in the dictionary, which begins at byte 10, it goes wrong.
    let cases = [
        ("", 0),
        ("{}", 2),
        ("['descr', '<f8']", 0),
        ("{,}", 1),
        ("{'descr': '<f8', 'fortran_order': False, }", 42),
        ("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", 17),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'x': 1}", 56),
        ("{'descr': '<f8' 'fortran_order': False, 'shape': (2,)}", 16),
        ("{'descr' '<f8', 'fortran_order': False, 'shape': (2,)}", 9),
        ("{'descr: <f8, fortran_order: False, shape: (2,)}", 1),
        ("{'descr\": '<f8', 'fortran_order': False, 'shape': (2,)}", 11),
        ("{descr: '<f8', 'fortran_order': False, 'shape': (2,)}", 1),
        ("{'\\x64escr': '<f8', 'fortran_order': False, 'shape': (2,)}", 1),
        ("{'descr': '<=f8', 'fortran_order': False, 'shape': (2,)}", 10),
        ("{'descr': '', 'fortran_order': False, 'shape': (2,)}", 10),
        ("{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", 10),
        ("{'descr': '<f80', 'fortran_order': False, 'shape': (2,)}", 10),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", 10),
        ("{'descr': '<f8', 'fortran_order': 0, 'shape': (2,)}", 34),
        ("{'descr': '<f8', 'fortran_order': Falsehood, 'shape': (2,)}", 39),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': 2}", 50),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': [2]}", 50),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2)}", 52),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (,)}", 51),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2 1)}", 53),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1 1)}", 56),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (02,)}", 51),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (+2,)}", 51),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2.,)}", 52),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2l,)}", 52),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2LL,)}", 53),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", 50),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (0x2,)}", 52),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1_0,)}", 52),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,", 53),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)", 54),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}}", 55),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)} # two", 56),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}\0", 55),
    ];
    for (bad, place) in cases {
        assert_format_error(read(bad), &format!("byte {}", 10 + place));
    }
}

#[test]
fn no_claim_is_believed_that_the_length_of_the_file_does_not_bear_out() {
    let shape = |shape: &str, entries: usize| {
        let dictionary = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
        file(&dictionary, &vec![0; entries])
    };
    // Some come to 0 or 16 bytes when 64 bits are all that is kept of a product.
    for claim in [
        "(1,)",
        "(3,)",
        "(2, 2)",
        "(2, 1, 2)",
        "(2, 2305843009213693952, 2305843009213693952, 4)",
        "(536870912,)",
        "(4294967296, 4294967296)",
        "(9223372036854775808,)",
        "(2305843009213693954, 1)",
        "(3, 6148914691236517206)",
        "(18446744073709551615, 18446744073709551615)",
    ] {
        for entries in [16, 1000] {
            assert_format_error(read_npy::<f64>(saved("claim", &shape(claim, entries))), "contents");
            assert_format_error(read_npy::<f32>(saved("claim", &shape(claim, entries))), "contents");
        }
    }
    for claim in ["(18446744073709551616,)", "(-2,)", "(-1, -2)", "(2, -1)"] {
        let place = if claim == "(2, -1)" { "byte 64" } else { "byte 61" };
        assert_format_error(read_npy::<f64>(saved("claim", &shape(claim, 16))), place);
    }
    // As many examples as there can be, of no features: nothing to read, and no time to be spent on it.
    for (claim, missing) in [
        ("(18446744073709551615, 0)", "the list of features"),
        ("(0, 18446744073709551615)", "the list of examples"),
        ("(0, 4294967296, 4294967296)", "the list of examples"),
        ("(4294967296, 4294967296, 0)", "the list of features"),
    ] {
        let result = read_npy::<f64>(saved("claim", &shape(claim, 0)));
        assert!(matches!(result, Err(Error::Empty { what }) if what == missing), "{result:?}");
    }
    let mut bytes = numpy("f4_version_2");
    for length in [u32::MAX, 1 << 31, bytes.len() as u32 - 11] {
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        assert_format_error(read_npy::<f32>(saved("claim", &bytes)), "header");
    }
}
