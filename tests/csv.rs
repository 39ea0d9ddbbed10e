//! Tables from CSV files.
#![cfg(feature = "csv")]

use std::fs;
use std::path::PathBuf;

use decoupled::Error;
use decoupled::data::csv::{Options, Table};

fn read(options: &Options, name: &str, text: impl AsRef<[u8]>) -> Result<Table<f64>, Error> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.csv"));
    fs::write(&path, text).unwrap();
    options.read(path)
}

#[track_caller]
fn assert_format_error(result: Result<Table<f64>, Error>, at: &str) {
    assert!(matches!(&result, Err(Error::Format { place, .. }) if place == at), "{result:?}");
}

#[test]
fn named_classes_are_sorted_and_all_other_columns_are_features() {
    let text = "a,species,b\n1, lily ,2\n3,\"aster\",-4e-1\n\n5,lily,6\n";
    let table = read(&Options::classes("species"), "named", text).unwrap();
    assert_eq!(table.classes, ["aster", "lily"]);
    assert_eq!(table.dataset.labels(), Some(&[1, 0, 1][..]));
    assert_eq!(table.dataset.inputs().as_slice(), [1.0, 2.0, 3.0, -0.4, 5.0, 6.0]);
}

#[test]
fn integer_classes_are_in_the_order_of_their_numbers() {
    let table = read(&Options::classes(1).header(false).delimiter(b';'), "integers", "1;10\n2;9\n3;-1\n4;10").unwrap();
    assert_eq!(table.classes, ["-1", "9", "10"]);
    assert_eq!(table.dataset.labels(), Some(&[2, 1, 0, 2][..]));
    assert_eq!(table.dataset.inputs().as_slice(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn known_classes_keep_their_labels_though_some_are_missing() {
    let options = Options::known_classes("y", &["c", "a", "b"]);
    let table = read(&options, "known", "x,y\n1,b\n2,c\n").unwrap();
    assert_eq!((table.dataset.labels(), table.dataset.classes()), (Some(&[2, 0][..]), Some(3)));
    assert_format_error(read(&options, "unknown", "x,y\n1,b\n2,d\n"), "line 3, field 2");
    let none: [&str; 0] = [];
    assert_format_error(read(&Options::known_classes("y", &none), "none", "x,y\n1,b\n"), "line 2, field 2");
}

#[test]
fn numbers_are_targets_in_the_asked_order() {
    let table = read(&Options::numbers(["v", "u"]), "numbers", "u,x,v\n1,2,3\n4,5,6\n").unwrap();
    assert_eq!(table.dataset.inputs().as_slice(), [2.0, 5.0]);
    assert_eq!(table.dataset.targets().as_slice(), [3.0, 1.0, 6.0, 4.0]);
    assert_eq!((table.dataset.labels(), table.classes.len()), (None, 0));
}

#[test]
fn feature_columns_are_found_by_their_names_in_the_asked_order() {
    let train = read(&Options::classes("y"), "asked", "b,y,a\n1,u,2\n3,v,4\n").unwrap();
    assert_eq!(train.features, ["b", "a"]);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("asked.csv");
    fs::write(&path, "more,a,b\nu,3,4\nv,5,6\n").unwrap();
    let inputs =
        |features: &[&str]| Options::features().feature_columns(features.iter().copied()).read_inputs::<f64>(&path);
    assert_eq!(inputs(&["b", "a"]).unwrap().matrix().as_slice(), [4.0, 3.0, 6.0, 5.0]);
    let missing = inputs(&["b", "c"]).unwrap_err().to_string();
    assert!(missing.contains("one column named \"c\""), "{missing}");
    let nameless = read(&Options::classes(1).header(false), "nameless", "1,u,2\n3,v,4\n").unwrap();
    assert!(nameless.features.is_empty());
}

#[test]
fn cells_that_are_not_finite_numbers_name_line_and_field() {
    for bad in ["", "NaN", "inf", "-infinity", "1e999", "1.0.0", "one", "1,5"] {
        let quoted = format!("x,y,z\n1,2,3\n\n4,5,\"{bad}\"\n");
        assert_format_error(read(&Options::numbers(["x"]), "cells", &quoted), "line 4, field 3");
        assert_format_error(read(&Options::numbers(["z"]), "cells", &quoted), "line 4, field 3");
    }
    assert_format_error(read(&Options::classes("y"), "cells", "x,y\n1,a\n2,\n"), "line 3, field 2");
}

#[test]
fn features_that_may_be_missing_are_empty_or_nan_and_targets_are_not() {
    let options = Options::numbers(["y"]).missing(true);
    let table = read(&options, "missing", "u,v,y\n1, ,3\nnan,5,6\n7,8,9\n").unwrap();
    let found: Vec<Option<f64>> =
        table.dataset.inputs().as_slice().iter().map(|&x| Some(x).filter(|x| !x.is_nan())).collect();
    assert_eq!(found, [Some(1.0), None, None, Some(5.0), Some(7.0), Some(8.0)]);
    assert_eq!(table.dataset.missing(), 2);
    for (bad, place) in [("1,2,", 3), ("1,2,NaN", 3), ("inf,2,3", 1), ("?,2,3", 1)] {
        assert_format_error(read(&options, "missing", format!("u,v,y\n{bad}\n")), &format!("line 2, field {place}"));
    }
}

#[test]
fn lines_are_counted_in_every_kind_of_file() {
    let options = Options::classes("y");
    for (start, end) in [("", "\n"), ("", "\r\n"), ("\u{feff}", "\n"), ("\u{feff}", "\r\n")] {
        let text = ["x,y", "1,a", "2,\"b", "c\"", "", "z,a", "3,a"].join(end);
        assert_format_error(read(&options, "lines", format!("{start}{text}")), "line 6, field 1");
        let text = ["x,y", "1,a", "", "", "2,a,b", ""].join(end);
        assert_format_error(read(&options, "lines", format!("{start}{text}")), "line 5");
        let text = ["x,y", "z,a"].join(end);
        assert_format_error(read(&options, "lines", format!("{start}{text}")), "line 2, field 1");
    }
}

#[test]
fn a_number_too_large_for_f32_is_an_error() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("large.csv");
    fs::write(&path, "x,y\n1e39,1\n").unwrap();
    assert!(Options::numbers(["y"]).read::<f64>(&path).is_ok());
    assert!(matches!(Options::numbers(["y"]).read::<f32>(&path), Err(Error::Format { .. })));
}

#[test]
fn broken_tables_name_the_line() {
    let options = Options::classes("y");
    assert_format_error(read(&options, "ragged", "x,y\n1,a\n2,b,3\n"), "line 3");
    assert_format_error(read(&options, "utf8", b"x,y\n1,a\n2,\xff\n"), "line 3, field 2");
}

#[test]
fn columns_that_are_not_there_or_there_twice_are_errors() {
    let text = "x,y,y\n1,2,3\n";
    for options in [Options::classes("z"), Options::classes("y"), Options::numbers([3])] {
        assert_format_error(read(&options, "columns", text), "line 1");
        assert_format_error(read(&options, "columns", ""), "line 1");
    }
    assert!(matches!(read(&Options::classes("x").header(false), "columns", text), Err(Error::Unsupported { .. })));
    let none: [usize; 0] = [];
    assert!(matches!(read(&Options::numbers(none), "columns", text), Err(Error::Empty { .. })));
}

/// With one class there is one output, which would tell it from a class that nobody named.
#[test]
fn a_single_class_is_refused() {
    let text = "x,kind\n1,oak\n2,oak\n";
    for (options, name) in
        [(Options::classes("kind"), "one.csv"), (Options::known_classes("kind", &["oak"]), "known.csv")]
    {
        let message = read(&options, name, text).unwrap_err().to_string();
        assert!(message.ends_with("its classes: expected two or more, found \"oak\" alone"), "{message}");
    }
    let both = read(&Options::known_classes("kind", &["oak", "elm"]), "both.csv", text).unwrap();
    assert_eq!((both.dataset.labels(), both.dataset.classes()), (Some(&[0, 0][..]), Some(2)));
    let one = both.dataset.with_one_output().unwrap();
    assert_eq!((one.targets().as_slice(), one.classes()), (&[0.0, 0.0][..], Some(2)));
}

#[test]
fn tables_without_lines_or_features_are_empty() {
    assert_format_error(read(&Options::classes("y"), "empty", "x,y\n"), "below its header");
    let result = read(&Options::classes("y"), "empty", "y\na\n");
    assert!(matches!(result, Err(Error::Empty { what: "the list of features" })), "{result:?}");
}

#[test]
fn neither_a_target_nor_a_column_without_a_name_is_a_feature() {
    let text = ",x,y\n0,2,0\n1,5,1\n";
    for options in [Options::classes("y"), Options::numbers(["y"])] {
        assert_format_error(read(&options.clone().feature_columns(["x", "y"]), "leak", text), "line 1, field 3");
        assert_format_error(read(&options, "leak", text), "line 1, field 1");
        // Who names the features has said that it is one, or that it is not.
        for (columns, first) in [(vec![1], 2.0), (vec![0, 1], 0.0)] {
            let table = read(&options.clone().feature_columns(columns), "leak", text).unwrap();
            assert_eq!(table.dataset.inputs().as_slice()[0], first);
        }
    }
    assert_format_error(read(&Options::classes(",y").feature_columns([""]), "leak", text), "line 1");
    assert_eq!(read(&Options::classes(2).header(false), "leak", "0,2,0\n1,5,1\n").unwrap().dataset.input_dim(), 2);
}

#[test]
fn a_missing_file_is_named() {
    let missing = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nowhere.csv");
    let result = Options::classes(0).read::<f64>(&missing);
    assert!(matches!(result, Err(Error::Io { path, .. }) if path == missing));
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let text = b"x,\"y\"\r\n1,a\n2,\"b\"\n";
    for options in [Options::classes("y"), Options::numbers([0]).header(false), Options::classes(1).delimiter(b'"')] {
        for at in 0..text.len() {
            let mut mutated = text.to_vec();
            for value in (0..=255).step_by(5).chain(*b"\",\r\n") {
                mutated[at] = value;
                let _ = read(&options, "mutated", &mutated);
            }
            let _ = read(&options, "mutated", &text[..at]);
        }
    }
    assert_format_error(read(&Options::classes("y"), "mutated", "x,y\n1,a,b\n"), "line 2");
}

#[test]
fn features_are_read_without_targets_and_beside_them() {
    let saved = |name: &str, text: &str| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let path = saved("features.csv", "a,b,kind\n1,2,x\n3,4.5,y\n");
    let read = Options::classes("kind").read_inputs::<f64>(&path).unwrap();
    assert_eq!(read.matrix().as_slice(), [1.0, 2.0, 3.0, 4.5]);
    let path = saved("unlabelled.csv", "a,b\n1,2\n3,4.5\n");
    assert_eq!(Options::features().read_inputs::<f64>(&path).unwrap(), read);
    assert!(matches!(Options::features().read::<f64>(&path), Err(Error::Empty { .. })));
    assert!(matches!(Options::classes("kind").read_inputs::<f64>(&path), Err(Error::Format { .. })));
}
