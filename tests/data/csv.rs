//! Tables from CSV files.

use std::fs;
use std::path::PathBuf;

use decoupled::Error;
use decoupled::data::csv::{Options, Table};
use decoupled::data::{LeftOut, Missing};

fn at(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.csv"))
}

fn read(options: &Options, name: &str, text: impl AsRef<[u8]>) -> Result<Table<f64>, Error> {
    fs::write(at(name), text).unwrap();
    options.read(at(name))
}

#[track_caller]
fn assert_format_error(result: Result<Table<f64>, Error>, at: &str) {
    // The column's name follows in parentheses.
    let is_there = |place: &str| place.split(" (").next() == Some(at);
    assert!(matches!(&result, Err(Error::Format { place, .. }) if is_there(place)), "{result:?}");
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
fn classes_of_which_one_is_no_number_are_in_the_order_of_their_texts() {
    for (name, text) in [("last", "x,y\n1,10\n2,9\n3,a\n"), ("first", "x,y\n3,a\n2,9\n1,10\n")] {
        let table = read(&Options::classes("y"), name, text).unwrap();
        assert_eq!(table.classes, ["10", "9", "a"]);
        let labels: Vec<(f64, usize)> =
            table.dataset.inputs().as_slice().iter().copied().zip(table.dataset.labels().unwrap().to_vec()).collect();
        for (x, label) in [(1.0, 0), (2.0, 1), (3.0, 2)] {
            assert!(labels.contains(&(x, label)), "{labels:?}");
        }
    }
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
    assert!(missing.contains("a column named \"c\""), "{missing}");
    let nameless = read(&Options::classes(1).header(false), "nameless", "1,u,2\n3,v,4\n").unwrap();
    assert!(nameless.features.is_empty());
}

#[test]
fn cells_that_are_not_finite_numbers_name_line_and_field() {
    for bad in ["", "NaN", "inf", "-infinity", "1e999", "1.0.0", "one", "1,5"] {
        let quoted = format!("x,y,z\n1,2,3\n\n4,5,\"{bad}\"\n");
        let options = Options::numbers(["x"]).missing(Missing::Refuse);
        assert_format_error(read(&options, "cells", &quoted), "line 4, field 3");
        assert_format_error(read(&Options::numbers(["z"]), "cells", &quoted), "line 4, field 3");
    }
    assert_format_error(read(&Options::classes("y"), "cells", "x,y\n1,a\n2,\n"), "line 3, field 2");
}

#[test]
fn features_that_may_be_missing_are_empty_or_nan_and_targets_are_not() {
    let options = Options::numbers(["y"]).missing(Missing::Keep);
    let table = read(&options, "missing", "u,v,y\n1, ,3\nnan,5,6\n7,8,9\n").unwrap();
    let found: Vec<Option<f64>> =
        table.dataset.inputs().as_slice().iter().map(|&x| Some(x).filter(|x| !x.is_nan())).collect();
    assert_eq!(found, [Some(1.0), None, None, Some(5.0), Some(7.0), Some(8.0)]);
    assert_eq!(table.dataset.missing(), 2);
    for (bad, place) in [("1,2,", 3), ("1,2,NaN", 3), ("inf,2,3", 1), ("?,2,3", 1)] {
        let text = format!("u,v,y\n1,2,3\n{bad}\n");
        assert_format_error(read(&options, "missing", text), &format!("line 3, field {place}"));
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
        let text = ["x,y", "z,a", "1,b"].join(end);
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
fn columns_that_are_not_there_are_errors() {
    let text = "x,y,z\n1,2,3\n";
    for options in [Options::classes("w"), Options::numbers([3]), Options::classes("x").leave_out(["w"])] {
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
fn a_name_that_stands_twice_is_refused_on_reading_and_names_that_are_empty_are_not() {
    let text = "x,w,y,w\n1,2,3,4\n";
    let all = [
        Options::numbers(["y"]),
        Options::numbers(["y"]).feature_columns(["x"]),
        Options::numbers([2]).leave_out([1, 3]),
    ];
    for options in all {
        assert_format_error(read(&options, "twice", text), "line 1, field 4");
    }
    assert_format_error(read(&Options::numbers(["y"]), "twice", "\n\nx,y,x\n1,2,3\n"), "line 3, field 3");
    let table = read(&Options::numbers(["y"]), "twice", ",x,y,\n7,1,2,\n8,3,4,\n").unwrap();
    assert_eq!(table.dataset.inputs().as_slice(), [1.0, 3.0]);
    // A column that stands for two things is found there as well.
    for options in [
        Options::numbers(["y", "y"]),
        Options::numbers(["y"]).feature_columns(["x", "x"]),
        Options::numbers(["y"]).leave_out(["y"]),
        Options::numbers(["y"]).leave_out(["x"]).categories(["x"]),
    ] {
        let result = read(&options, "twice", "x,y,z\n1,2,3\n");
        assert!(
            matches!(&result, Err(Error::Format { place, .. }) if place.starts_with("line 1, field ")),
            "{result:?}"
        );
    }
}

#[test]
fn tables_without_lines_or_features_are_empty() {
    assert_format_error(read(&Options::classes("y"), "empty", "x,y\n"), "below its header");
    let result = read(&Options::classes("y"), "empty", "y\na\n");
    assert!(matches!(result, Err(Error::Empty { what: "the list of features" })), "{result:?}");
    // Where there are columns it says why they are none.
    let result = read(&Options::classes("y"), "empty", "id,note,y\n1,u,a\n2,v,b\n").unwrap_err().to_string();
    assert!(result.contains("id (an index), note (free text)"), "{result}");
}

#[test]
fn neither_a_target_nor_a_column_without_a_name_is_a_feature() {
    let text = ",x,y\n0,2,0\n1,5,1\n";
    for options in [Options::classes("y"), Options::numbers(["y"])] {
        assert_format_error(read(&options.clone().feature_columns(["x", "y"]), "leak", text), "line 1, field 3");
        let table = read(&options, "leak", text).unwrap();
        assert_eq!(table.columns.left_out().collect::<Vec<_>>(), [("", LeftOut::Unnamed)]);
        assert_eq!(table.dataset.inputs().as_slice(), [2.0, 5.0]);
        // Who names the features has said that it is one, or that it is not.
        for (columns, first) in [(vec![1], 2.0), (vec![0, 1], 0.0)] {
            let table = read(&options.clone().feature_columns(columns), "leak", text).unwrap();
            assert_eq!(table.dataset.inputs().as_slice()[0], first);
            assert_eq!(table.columns.read::<f64>(at("leak")).unwrap(), table);
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
    for options in [Options::classes("y"), Options::numbers([0]).header(false), Options::classes(1).delimiter(b';')] {
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

/// The line and the field that a text's error names, by every way of ending a line.
#[track_caller]
fn assert_refused(options: &Options, text: &str, place: &str, found: &str) {
    for end in ["\n", "\r\n", "\r"] {
        let result = read(options, "refused", text.replace('\n', end));
        let is = |error: &Error| matches!(error, Error::Format { place: p, found: f, .. } if p == place && f.contains(found));
        assert!(result.as_ref().is_err_and(is), "{end:?}: {result:?}");
    }
}

#[test]
fn quotes_that_rfc_4180_does_not_allow_are_refused_in_every_column() {
    // The first is left out and the last is the target: no column is spared.
    let all = [Options::classes("kind").leave_out(["x"]), Options::classes("kind"), Options::classes("x")];
    for options in all {
        let refused = |text: &str, place: &str, found: &str| assert_refused(&options, text, place, found);
        // Never closed: one at the end, and one whose record has swallowed the rest.
        refused("x,kind\n1,oak\n2,\"elm\n3,oak\n4,elm\n", "line 3, field 2 (kind)", "the end of the file");
        refused("x,kind\n1,oak\n\"2,elm\n3,oak\n4,elm\n", "line 3, field 1 (x)", "the end of the file");
        refused("x,kind\n1,oak\n2,\"elm", "line 3, field 2 (kind)", "the end of the file");
        refused("x,kind\n1,oak\n2,\"", "line 3, field 2 (kind)", "the end of the file");
        refused("x,kind\n1,oak\n2,\"a\"\"", "line 3, field 2 (kind)", "the end of the file");
        // Closed by the quote of another.
        refused("x,kind\n1,\"oak\n2,\"elm\"\n", "line 2, field 2 (kind)", "elm");
        // Within a field, and behind one.
        refused("x,kind\n1,oak\n\n2,e\"l\"m\n", "line 4, field 2 (kind)", "e\\\"l\\\"m");
        refused("x,kind\n1,oak\n2\",elm\n", "line 3, field 1 (x)", "2\\\"");
        refused("x,kind\n1,oak\n2,\"el\"m\n", "line 3, field 2 (kind)", "m");
        refused("x,kind\n1,oak\n2,\"el\" \"m\"\n", "line 3, field 2 (kind)", "m");
        refused("x,kind\n1,oak\n\"2\"3,elm\n", "line 3, field 1 (x)", "3,elm");
        // Bytes that are no text.
        refused("x,kind\n1,oak\n2,e\0m\n", "line 3, field 2 (kind)", "NUL");
        refused("x,kind\n1,oak\n\"\n\0\",elm\n", "line 3, field 1 (x)", "NUL");
        // In the header, whose names are not yet known.
        refused("x,\"kind\n1,oak\n", "line 1, field 2", "the end of the file");
        refused("\n\nx,ki\"nd\n1,oak\n", "line 3, field 2", "nd");
        // Of another length.
        refused("x,kind\n1,oak\n2,elm,3\n", "line 3", "3");
        refused("x,kind\n\"\n1\",oak\n2\n", "line 4", "1");
        refused("x,kind\n1,oak\n2,elm,\n", "line 3", "3");
    }
}

#[test]
fn a_line_is_counted_once_however_it_ends() {
    let options = Options::numbers(["x"]);
    // Seven lines before the one with the fault, some of them within quotes.
    assert_refused(&options, "\n\nx,s\n1,\"a\n\nb\"\n\nz,a\n", "line 8, field 1 (x)", "z");
    let mixed = "x,s\r1,a\n2,b\r\n3,a\r\r4,\"b\r\"\n\rz,a";
    assert_format_error(read(&options, "mixed", mixed), "line 9, field 1");
    let commented = "# one\nx,s # two\n1,a# three\n # four\nz,b\n";
    assert_format_error(read(&options.clone().comment(b'#'), "commented", commented), "line 5, field 1");
    let bytes = [b"\xff\xfe".as_slice(), &"x,y\n1,2\n".bytes().flat_map(|byte| [byte, 0]).collect::<Vec<_>>()].concat();
    assert_format_error(read(&options, "utf16", bytes), "byte 0");
    // A header with a break in its first name is said to be where it begins.
    assert_format_error(read(&options, "two lines", "\n\"a\nb\",s\n1,2\n"), "line 2");
}

#[test]
fn spaces_before_and_behind_a_quoted_cell_are_none_of_it() {
    let text = "x, s ,y\n1, \"u, v\" ,3\n2,\t\"w\",4\n5,\"u, v\",6\n7,w,8\n";
    let table = read(&Options::classes("s"), "spaces", text).unwrap();
    assert_eq!(table.classes, ["u, v", "w"]);
    assert_eq!(table.dataset.labels(), Some(&[0, 1, 0, 1][..]));
    assert_eq!(table.dataset.inputs().as_slice(), [1.0, 3.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
}

#[test]
fn every_cell_of_a_legal_table_comes_back() {
    // Cells with all that may stand in quotes, written by the rule: what is read is what was written, trimmed.
    let pieces = ["a", "\"", ",", "\n", "\r", "\r\n", "ä", " ", "", "\"\"", "'"];
    let names: Vec<String> = (0..121).map(|i| format!("{}x{}", pieces[i / 11], pieces[i % 11])).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    let text: Vec<String> = quoted.iter().map(|cell| format!("{cell},1,{cell}")).collect();
    let table = read(&Options::classes(0).header(false).categories([2]), "legal", text.join("\n")).unwrap();
    let mut expected: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    let trimmed = expected.clone();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(table.classes, expected);
    let labels: Vec<usize> = trimmed.iter().map(|name| expected.binary_search(name).unwrap()).collect();
    assert_eq!(table.dataset.labels(), Some(&labels[..]));
    let inputs = table.dataset.inputs();
    assert!((0..121).all(|i| inputs.column(i)[0] == 1.0 && inputs.column(i)[1 + labels[i]] == 1.0));
}

#[test]
fn marks_that_cannot_be_told_apart_are_refused() {
    let new = || Options::numbers(["x"]);
    let bad = [b'"', b'\n', b'\r', 0, b'a', b'0', 0xc3].map(|byte| new().delimiter(byte));
    let others = [
        new().decimal(b'1'),
        new().decimal(b'-'),
        new().thousands(b'e'),
        new().thousands(b'.'),
        new().decimal(b',').thousands(b','),
        new().comment(b'"'),
        new().comment(b','),
        new().comment(b'.'),
    ];
    for options in bad.into_iter().chain(others) {
        assert!(matches!(read(&options, "marks", "x,y\n1,2\n"), Err(Error::Unsupported { .. })), "{options:?}");
    }
}

/// `/dev/null` ends at once; others may never.
#[cfg(unix)]
#[test]
fn a_device_is_refused() {
    let refused = Options::features().read_inputs::<f64>("/dev/null");
    assert!(matches!(&refused, Err(Error::NotAFile { found: "a device", .. })), "{refused:?}");
}
