//! Tables as they come: against pandas and scikit-learn (`tests/sklearn/tables.py` says how, and writes `tests/sklearn/tables.json`),
//! and what the columns say of themselves.

use std::fs;
use std::path::PathBuf;

use decoupled::data::csv::{Column, Options, Table};
use decoupled::data::{Columns, LeftOut, Missing, Scaler, Unknown};
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::{DecoupledNetwork, Error, FitConfig, MatRef, Result, Scalar};
use serde_json::Value;

fn file(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tables-{}", name.replace(' ', "-")));
    fs::write(&path, bytes).unwrap();
    path
}

fn read(options: &Options, name: &str, text: &str) -> Result<Table<f64>> {
    options.read(file(name, text))
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn byte(value: &Value) -> u8 {
    value.as_str().unwrap().as_bytes()[0]
}

/// The options of a case of the script's.
fn options(case: &Value) -> Options {
    let column = case["column"].as_u64().map(|index| Column::Index(index as usize));
    let column = column.unwrap_or_else(|| case["column"].as_str().unwrap().into());
    let new = if case["target"] == "classes" { Options::classes(column) } else { Options::numbers([column]) };
    case["options"].as_object().unwrap().iter().fold(new, |options, (key, value)| match key.as_str() {
        "header" => options.header(value.as_bool().unwrap()),
        "delimiter" => options.delimiter(byte(value)),
        "decimal" => options.decimal(byte(value)),
        "thousands" => options.thousands(byte(value)),
        "comment" => options.comment(byte(value)),
        "na_values" => options.na_values(strings(value)),
        "keep_default_na" => options.keep_default_na(value.as_bool().unwrap()),
        "categories" => options.categories(&strings(value)),
        "missing" => options.missing(match value.as_str().unwrap() {
            "Median" => Missing::Median,
            "MostFrequent" => Missing::MostFrequent,
            "Keep" => Missing::Keep,
            other => panic!("missing: {other}"),
        }),
        "unknown" => options.unknown_categories(match value.as_str().unwrap() {
            "Ignore" => Unknown::Ignore,
            "Other" => Unknown::Other,
            other => panic!("unknown: {other}"),
        }),
        other => panic!("{other}"),
    })
}

/// Means are added in another order there.
fn assert_inputs<T: Scalar>(found: MatRef<'_, T>, rows: &Value, name: &str) {
    let rows = rows.as_array().unwrap();
    assert_eq!(found.cols(), rows.len(), "{name}");
    for (column, row) in found.columns().zip(rows) {
        let row: Vec<f64> = row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect();
        let equal = |(x, y): (&T, &f64)| {
            let y = T::of(*y).to_f64();
            x.to_f64() == y || (x.to_f64().is_nan() && y.is_nan()) || (x.to_f64() - y).abs() < 1e-15
        };
        assert!(column.len() == row.len() && column.iter().zip(&row).all(equal), "{name}: {column:?} for {row:?}");
    }
}

#[test]
fn tables_are_those_of_pandas_and_scikit_learn() {
    let all: Value = serde_json::from_str(include_str!("../sklearn/tables.json")).unwrap();
    let cases = all["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 63);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let packed = case["packed"].as_str().unwrap_or_default();
        if !packed.is_empty() && !cfg!(feature = "gz") {
            continue;
        }
        let packed =
            packed.as_bytes().chunks(2).map(|hex| u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap());
        let mut bytes: Vec<u8> = packed.collect();
        if bytes.is_empty() {
            bytes = case["text"].as_str().unwrap().as_bytes().to_vec();
        }
        let path = file(name, bytes);
        let options = options(case);
        let table = options.read::<f64>(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(table.features, strings(&case["features"]), "{name}");
        assert_eq!((table.columns.features(), table.columns.classes()), (table.features.clone(), &table.classes[..]));
        assert_eq!(table.columns.input_dim(), table.dataset.input_dim());
        assert_eq!(table.classes, strings(&case["classes"]), "{name}");
        assert_inputs(table.dataset.inputs(), &case["inputs"], name);
        match table.dataset.labels() {
            Some(labels) => assert_eq!(Value::from(labels), case["labels"], "{name}"),
            None => {
                let targets = case["targets"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap());
                assert_eq!(table.dataset.targets().as_slice(), targets.collect::<Vec<_>>(), "{name}");
            }
        }
        // Read by its columns it is the same table; in f32 it is rounded once.
        let same = |read: Table<f64>| {
            let bits =
                |table: &Table<f64>| table.dataset.inputs().as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            bits(&read) == bits(&table) && read.columns == table.columns && read.classes == table.classes
        };
        assert!(same(table.columns.read(&path).unwrap()), "{name}");
        assert_eq!(options.fit(&path).unwrap(), table.columns, "{name}");
        if name != "digits" {
            assert_inputs(options.read::<f32>(&path).unwrap().dataset.inputs(), &case["inputs"], name);
        }
        if let Some(later) = case["later"].as_str() {
            let inputs = table.columns.read_inputs::<f64>(file("later", later)).unwrap();
            assert_inputs(inputs.matrix(), &case["later_inputs"], name);
        }
    }
}

const PLANTS: &str = "\
,height,colour,wild,found,note,id,weight,species
0,1.5,red,yes,2024-01-02,tall one,17,NA,aster
1,,blue,no,2024-01-03,by the road,12,2.5,lily
2,n/a,red,,2024-02-01,old,11,3.5,aster
3,4.5,,yes,2024-02-02,very old,9,null,lily

4,0.5,blue,no,2024-02-03,dead,8,1.0,lily
";

#[test]
fn no_column_of_a_mixed_table_has_to_be_handled_and_the_report_has_a_line_for_each() -> Result<()> {
    let table = read(&Options::classes("species"), "plants", PLANTS)?;
    let left_out: Vec<(&str, LeftOut)> = table.columns.left_out().collect();
    let expected =
        [("", LeftOut::Unnamed), ("found", LeftOut::Dates), ("note", LeftOut::FreeText), ("id", LeftOut::Index)];
    assert_eq!(left_out, expected);
    let report = "\
(0)      left out: it has no name
height   number; 2 blanks are filled with the mean, 2.1666666666666665
colour   one-hot: blue, red; 1 blank is 0 in all
wild     boolean, yes and true are 1; 1 blank is filled with the mean, 0.5
found    left out: dates
note     left out: free text
id       left out: an index
weight   number; 2 blanks are filled with the mean, 2.3333333333333335
species  target, 2 classes: aster, lily";
    assert_eq!(table.columns.to_string(), report);
    assert_eq!(table.dataset.missing(), 0);
    let options = Options::classes("species").leave_out(["height"]).categories(["note"]).missing(Missing::MostFrequent);
    let report = read(&options, "plants", PLANTS)?.columns.to_string();
    for line in [
        "height   left out: as asked",
        "colour   one-hot: blue, red; 1 blank is filled with the most frequent, blue",
        "note     one-hot: by the road, dead, old, tall one, very old",
        "wild     boolean, yes and true are 1; 1 blank is filled with the most frequent, 0",
    ] {
        assert!(report.lines().any(|found| found == line), "{line} is not in\n{report}");
    }
    let named = read(&Options::classes("species").feature_columns(["id", "wild"]), "plants", PLANTS)?;
    assert_eq!(
        (named.features, named.dataset.inputs().column(0)),
        (vec!["id".to_owned(), "wild".to_owned()], &[17.0, 1.0][..])
    );
    assert!(named.columns.to_string().contains("height   left out: not among the features that are named"));
    Ok(())
}

#[test]
fn the_report_names_eight_classes_and_categories_and_counts_the_others() -> Result<()> {
    for (many, more) in [(8, ""), (9, ", … (9 in all)")] {
        // Each occurs twice: a column whose lines all differ would be free text.
        let lines: String = (0..2 * many).map(|i| format!("k{},c{}\n", i % many, i % many)).collect();
        let report = read(&Options::classes("y"), "many", &format!("a,y\n{lines}"))?.columns.to_string();
        let first = |letter: char| (0..8).map(|i| format!("{letter}{i}")).collect::<Vec<_>>().join(", ");
        assert_eq!(
            report,
            format!("a  one-hot: {}{more}\ny  target, {many} classes: {}{more}", first('k'), first('c'))
        );
    }
    Ok(())
}

#[test]
fn columns_are_told_apart_by_their_cells() {
    use LeftOut::{Blank, Dates, FreeText, Index, Unnamed};
    let of = |name: &str, cells: &[&str]| {
        let lines: Vec<String> = cells.iter().map(|cell| format!("\"{cell}\",1\n")).collect();
        let table = read(
            &Options::numbers(["y"]),
            "kinds",
            &format!("{name},y,z\n{}", lines.concat().replace(",1\n", ",1,0\n")),
        );
        let columns = table.unwrap().columns;
        let left_out = columns.left_out().next().map(|(_, why)| why);
        (left_out, columns.features().len() - 1)
    };
    let dates: [&[&str]; 12] = [
        &["2024-01-02", "2024-12-31", ""],
        &["31.12.2024", "1.2.2024"],
        &["12/31/2024", "1/2/24"],
        &["2024/01/02", "2024/1/2"],
        &["2024-01", "2023-12"],
        &["12 Jan 2024", "1 December 2023"],
        &["Jan 12, 2024", "may 2024"],
        &["12-Jan-2024", "NA"],
        &["2024-02-29T10:30:00Z", "2024-02-29 10:30", "2024-02-29 10:30:00.123+02:00"],
        &["10:30", "23:59:59.5"],
        &["10:30 PM", "9:05 am"],
        &["2024-02-29T10:30:00+0200", "2024-02-29 10:30-05:00"],
    ];
    for cells in dates {
        assert_eq!(of("a", cells), (Some(Dates), 0), "{cells:?}");
    }
    // The end of a day, and a leap second.
    assert_eq!(of("a", &["24:00", "23:59:60"]), (Some(Dates), 0));
    // Beside a time they make categories.
    let no_dates = [
        "25:00",
        "10:60",
        "10:30:61",
        "10:30:",
        "10:30:05.",
        "10:30:05.x",
        "10:30:0x",
        "100:30",
        "10:30+0",
        "10:30+02x0",
        "10:30 XM",
        "2024-00",
        "2024-13",
        "2024-01-32",
        "2024-13-01",
        "32.1.2024",
        "0.1.2024",
        "13/13/2024",
        "1/2/100",
        "1-2-24",
        "12 Ja 2024",
        "12 Janx 2024",
        "32 May 2024",
        "12 13 2024",
        "May 2024 2023",
        "May 12",
        "2024-01-02 25:00",
        "soon 10:30",
        "2024-01-02T",
    ];
    for cell in no_dates {
        assert_eq!(of("a", &[cell, cell, "10:30"]), (None, 2), "{cell}");
    }
    assert_eq!(of("a", &["", "NA", ""]), (Some(Blank), 0));
    assert_eq!(of("", &["1", "3", "3"]), (Some(Unnamed), 0));
    assert_eq!(of("Unnamed: 12", &["1", "3", "3"]), (Some(Unnamed), 0));
    for name in ["id", "ID", "Index", "row", "rownames", "#"] {
        assert_eq!(of(name, &["3", "1", "2"]), (Some(Index), 0), "{name}");
        assert_eq!(of(name, &["3", "1", "3"]), (None, 1), "{name}");
        assert_eq!(of(name, &["3", "1", "2.5"]), (None, 1), "{name}");
    }
    for (name, cells) in [("ide", ["3", "1", "2"]), ("year", ["2022", "2023", "2024"])] {
        assert_eq!(of(name, &cells), (None, 1));
    }
    // Names that only end like one: the numbers count the lines, or the column is a feature.
    for name in ["PassengerId", "user_id", "EmployeeID", "userid"] {
        for cells in [["1", "2", "3"], ["0", "1", "2"], ["1.0", "2.0", "3"]] {
            assert_eq!(of(name, &cells), (Some(Index), 0), "{name}, {cells:?}");
        }
        for cells in
            [["2", "3", "4"], ["1", "3", "2"], ["1", "2", "2"], ["0", "2", "3"], ["1", "0", "2"], ["1", "2", "4"]]
        {
            assert_eq!(of(name, &cells), (None, 1), "{name}, {cells:?}");
        }
    }
    for name in ["idle", "i", "é", "Passenger"] {
        assert_eq!(of(name, &["1", "2", "3"]), (None, 1), "{name}");
    }
    assert_eq!(of("a", &["u", "v", "w"]), (Some(FreeText), 0));
    assert_eq!(of("a", &["u", "v", "u"]), (None, 2));
    assert_eq!(of("a", &["2024-13-02", "2024-13-02", "31.31.2024"]), (None, 2));
    assert_eq!(of("a", &["2024-01-02", "2024-01-02", "soon"]), (None, 2));
    assert_eq!(of("a", &["yes", "no", "maybe", "no"]), (None, 3));
    assert_eq!(of("a", &["TRUE", "no", ""]), (None, 1));
    // Text that repeats: twenty kinds are categories, more only in twice as many lines, and more than a thousand never.
    let kinds = |count: usize, lines: usize| (0..lines).map(|line| format!("k{}", line % count)).collect::<Vec<_>>();
    for (count, lines, categories) in
        [(20, 21, true), (21, 42, true), (21, 41, false), (1000, 2000, true), (1001, 3003, false)]
    {
        let cells = kinds(count, lines);
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let expected = if categories { (None, count) } else { (Some(FreeText), 0) };
        assert_eq!(of("a", &cells), expected, "{count} of {lines}");
    }
}

#[test]
fn a_column_that_is_almost_numbers_is_an_error_with_its_remedies() -> Result<()> {
    let text = "age,y\n31,1\n\nabc,2\n29,3\n31,4\n";
    let error = read(&Options::numbers(["y"]), "almost", text).unwrap_err();
    let Error::Format { place, expected, found, .. } = &error else { panic!("{error:?}") };
    assert_eq!((place.as_str(), expected.as_str()), ("line 4, field 1 (age)", "a finite number"));
    assert!(["\"abc\"", "na_values", "categories", "leave_out"].iter().all(|word| found.contains(word)), "{found}");
    // Each of them helps.
    let missing = read(&Options::numbers(["y"]).na_values(["abc"]), "almost", text)?;
    assert_eq!(missing.dataset.inputs().as_slice(), [31.0, 91.0 / 3.0, 29.0, 31.0]);
    let categories = read(&Options::numbers(["y"]).categories(["age"]), "almost", text)?;
    assert_eq!(categories.features, ["age=29", "age=31", "age=abc"]);
    let text = text
        .replace("y\n", "y,z\n")
        .replace("31,1\n", "31,1,7\n")
        .replace("abc,2", "abc,2,8")
        .replace("29,3", "29,3,9");
    let without = read(&Options::numbers(["y"]).leave_out(["age"]), "almost", &text.replace("31,4", "31,4,0"))?;
    assert_eq!(without.features, ["z"]);
    // Numbers by other marks are no text, of which they would be as many as lines.
    for (cells, options) in [
        ("1,5;2,5;3", Options::numbers(["y"]).decimal(b',')),
        ("1,234.5;2,500;3", Options::numbers(["y"]).thousands(b',')),
        ("1.234,5;2.500,1;3,2", Options::numbers(["y"]).decimal(b',').thousands(b'.')),
        ("1 234,5;2 500,1;3,2", Options::numbers(["y"]).decimal(b',').thousands(b' ')),
        ("1'234;2'500;3'000", Options::numbers(["y"]).thousands(b'\'')),
    ] {
        let text: String = cells.split(';').map(|cell| format!("\"{cell}\",1\n")).collect();
        let text = format!("a,y\n{text}");
        let error = read(&Options::numbers(["y"]), "marks", &text).unwrap_err().to_string();
        assert!(error.contains("line 2, field 1 (a)") && error.contains("Options::decimal"), "{error}");
        assert!(read(&options, "marks", &text).is_ok(), "{cells}");
    }
    // And a mark in the wrong place makes no number.
    for cell in ["1.23", "1.2345", "12.34.567", ".123", "1..234", "1.234.", "1,234.567"] {
        let text = format!("a;y\n1;1\n\"{cell}\";2\n");
        let options = Options::numbers(["y"]).delimiter(b';').decimal(b',').thousands(b'.');
        assert!(matches!(read(&options, "groups", &text), Err(Error::Format { .. })), "{cell}");
    }
    Ok(())
}

#[test]
fn a_later_table_is_read_like_the_first_or_refused() -> Result<()> {
    let columns = read(&Options::classes("species"), "plants", PLANTS)?.columns;
    let later = |text: &str| columns.read::<f64>(file("later-plants", text));
    let header = "species,weight,more,wild,colour,height";
    let table = later(&format!("{header}\nlily,1,?,False,,2\naster,,,1,red,\n"))?;
    assert_eq!((table.dataset.labels(), table.dataset.classes()), (Some(&[1, 0][..]), Some(2)));
    assert_eq!(table.dataset.inputs().column(0), [2.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(table.dataset.inputs().column(1), [6.5 / 3.0, 0.0, 1.0, 1.0, 7.0 / 3.0]);
    let inputs = columns.read_inputs::<f64>(file("later-plants", "height,colour,wild,weight\n2,,no,1\n"))?;
    assert_eq!(inputs.matrix().as_slice(), [2.0, 0.0, 0.0, 0.0, 1.0]);

    let unknown = later(&format!("{header}\nlily,1,?,no,red,2\n\nlily,1,?,no,green,2\n")).unwrap_err();
    let Error::UnknownCategory { line, column, found, categories, .. } = &unknown else { panic!("{unknown:?}") };
    assert_eq!((*line, column.as_str(), found.as_str(), *categories), (4, "colour", "green", 2));
    assert!(unknown.to_string().contains("unknown_categories"), "{unknown}");
    for cell in ["2", "maybe"] {
        let unknown = later(&format!("{header}\nlily,1,?,{cell},red,2\n")).unwrap_err();
        let Error::UnknownCategory { line, column, found, categories, .. } = &unknown else { panic!("{unknown:?}") };
        assert_eq!((*line, column.as_str(), found.as_str(), *categories), (2, "wild", cell, 2));
    }
    for (line, place) in [
        ("rose,1,?,no,red,2", "line 2, field 1 (species)"),
        ("NA,1,?,no,red,2", "line 2, field 1 (species)"),
        ("lily,x,?,no,red,2", "line 2, field 2 (weight)"),
    ] {
        let result = later(&format!("{header}\n{line}\n"));
        assert!(matches!(&result, Err(Error::Format { place: found, .. }) if found == place), "{result:?}");
    }
    for header in ["species,weight,more,wild,colour,hight", "species,weight,wild,wild,colour,height"] {
        let result = later(&format!("{header}\nlily,1,1,no,red,2\n"));
        assert!(matches!(&result, Err(Error::Format { place, .. }) if place.starts_with("line 1")), "{result:?}");
    }
    Ok(())
}

/// A column of booleans is the feature `yes` of the same column as categories, with cells that the training table did not have as well.
#[test]
fn booleans_that_were_not_seen_are_encoded_as_categories_are() -> Result<()> {
    let text = "b,x,y\nyes,1,1\nno,2,2\n,3,3\nyes,4,4\n";
    let later = file("unseen-later", "b,x\nmaybe,1\nyes,2\n2,3\nno,4\n");
    for missing in [Missing::MostFrequent, Missing::Keep] {
        for (unknown, names) in [(Unknown::Ignore, &["b", "x"][..]), (Unknown::Other, &["b", "b=(other)", "x"])] {
            let options = Options::numbers(["y"]).missing(missing).unknown_categories(unknown);
            let booleans = read(&options, "unseen", text)?;
            let categories = read(&options.categories(["b"]), "unseen", text)?;
            assert_eq!(booleans.features, names);
            assert_eq!(booleans.columns.input_dim(), names.len());
            assert_eq!(categories.features[..2], ["b=no", "b=yes"]);
            let read = (booleans.columns.read_inputs::<f64>(&later)?, categories.columns.read_inputs::<f64>(&later)?);
            let pairs = [(booleans.dataset.inputs(), categories.dataset.inputs()), (read.0.matrix(), read.1.matrix())];
            for (booleans, categories) in pairs {
                for (boolean, category) in booleans.columns().zip(categories.columns()) {
                    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
                    assert!(boolean.iter().zip(&category[1..]).all(same), "{boolean:?} {category:?}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn who_predicts_may_ignore_what_the_training_table_refused() -> Result<()> {
    let mut columns = read(&Options::classes("species"), "plants", PLANTS)?.columns;
    let inputs = |columns: &Columns| {
        columns.read_inputs::<f64>(file("ignored", "height,colour,wild,weight\n2,green,perhaps,1\n2,red,yes,1\n"))
    };
    assert!(matches!(inputs(&columns), Err(Error::UnknownCategory { .. })));
    let before = columns.clone();
    let error = columns.set_unknown_categories(Unknown::Other).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }) && columns == before, "{error}");
    columns.set_unknown_categories(Unknown::Ignore)?;
    assert_eq!(columns.features(), before.features());
    assert_eq!(inputs(&columns)?.matrix().as_slice(), [2.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 1.0, 1.0, 1.0]);
    columns.set_unknown_categories(Unknown::Refuse)?;
    assert_eq!(columns, before);
    // Back from a feature more there is no way either, but where there is no such column.
    let options = Options::numbers(["y"]).unknown_categories(Unknown::Other);
    for (text, fits) in [("a,y\nyes,1\nno,2\n", false), ("a,y\nu,1\nu,2\n", false), ("a,y\n3,1\n4,2\n", true)] {
        let mut columns = read(&options, "other", text)?.columns;
        assert_eq!(columns.set_unknown_categories(Unknown::Ignore).is_ok(), fits, "{text}");
    }
    Ok(())
}

#[test]
fn numbers_with_a_unit_are_said_to_be_no_numbers() -> Result<()> {
    let of = |cells: &[&str]| {
        let lines: String = cells.iter().map(|cell| format!("\"{cell}\";7;1\n")).collect();
        read(&Options::numbers(["y"]).delimiter(b';'), "units", &format!("a;b;y\n{lines}"))
    };
    for (cells, unit) in [
        (["7%", "12.5%", "-3%"], "%"),
        (["$3", "$1,200", "-$4.50"], "$"),
        (["12 kg", "7kg", "0.5 kg"], "kg"),
        (["3 €", "2,50 €", "1 €"], "€"),
        (["20°C", "21 °C", "19.5 °C"], "°C"),
        (["1'000 km/h", "3km/h", "+4 km/h"], "km/h"),
    ] {
        // As categories the report says so, and as free text there is no column without a word.
        let report = of(&[&cells[..], &cells[..]].concat())?.columns.to_string();
        assert!(report.contains("one-hot") && report.contains(&format!("numbers with a unit ({unit})")), "{report}");
        let error = of(&cells).unwrap_err();
        let Error::Format { place, expected, found, .. } = &error else { panic!("{error:?}") };
        assert_eq!((place.as_str(), expected.as_str()), ("line 2, field 1 (a)", "a finite number"));
        let words = [&format!("unit ({unit})"), cells[0], "categories", "leave_out"];
        assert!(words.iter().all(|word| found.contains(word)), "{found}");
    }
    // Codes, places and what has no unit in common are text.
    for cells in [
        ["k1", "k2", "k3"],
        ["1st", "2nd", "3rd"],
        ["#1", "#2", "#3"],
        ["7%", "8kg", "9%"],
        ["7 of 9", "8 of 9", "9 of 9"],
    ] {
        assert!(of(&cells)?.columns.left_out().eq([("a", LeftOut::FreeText)]), "{cells:?}");
    }
    // A unit may be as long as a line; sixty characters of it are shown.
    let long = "k".repeat(61);
    let cells = ["7", "8", "9"].map(|number| format!("{number}{long}"));
    let error = of(&cells.each_ref().map(|cell| &**cell)).unwrap_err().to_string();
    assert!(error.contains(&format!("unit ({}…)", "k".repeat(60))), "{error}");
    // Among numbers it is the first that is none.
    let error = of(&["7", "8", "9%"]).unwrap_err().to_string();
    assert!(error.contains("line 4, field 1 (a)") && error.contains("without their unit"), "{error}");
    Ok(())
}

#[test]
fn continuous_numbers_are_no_classes() -> Result<()> {
    let prices: Vec<f64> = (0..30).map(|k| f64::from(k) * 0.5).collect();
    let table = |prices: &[f64]| prices.iter().map(|price| format!("1,{price}\n")).collect::<String>();
    let text = format!("a,price\n{}", table(&prices));
    let error = read(&Options::classes("price"), "prices", &text).unwrap_err();
    let Error::Format { place, expected, found, .. } = &error else { panic!("{error:?}") };
    assert_eq!((place.as_str(), expected.as_str()), ("line 1, field 2 (price)", "classes"));
    assert!(found.contains("30 different numbers in 30 lines") && found.contains("Options::numbers"), "{found}");
    assert_eq!(read(&Options::numbers(["price"]), "prices", &text)?.dataset.targets().as_slice(), prices);
    let names: Vec<String> = prices.iter().map(f64::to_string).collect();
    assert_eq!(read(&Options::known_classes("price", &names), "prices", &text)?.classes.len(), 30);
    // Whole numbers may be names, and halves that come twice are grades.
    let whole: Vec<f64> = prices.iter().map(|price| price * 2.0).collect();
    for lines in [whole, [&prices[..], &prices[..]].concat()] {
        let text = format!("a,price\n{}", table(&lines));
        assert_eq!(read(&Options::classes("price"), "grades", &text)?.classes.len(), 30);
    }
    Ok(())
}

#[test]
fn columns_of_zeros_and_ones_are_labels() -> Result<()> {
    let text = "x,action,drama,comedy\n1,0,yes,True\n2,1.0,no,false\n3,1,yes,TRUE\n";
    let options = Options::labels(["drama", "action", "comedy"]);
    let table = read(&options, "labels", text)?;
    assert!(table.dataset.is_multi_label() && table.classes.is_empty());
    assert_eq!(table.dataset.targets().as_slice(), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
    assert_eq!(table.dataset.inputs().as_slice(), [1.0, 2.0, 3.0]);
    let labels = "action  target, label\ndrama   target, label\ncomedy  target, label";
    assert!(table.columns.to_string().ends_with(labels), "{}", table.columns);
    assert_eq!(table.columns.read::<f64>(file("labels", text))?, table);
    for bad in ["", "2", "0.5", "maybe", "NA", "inf"] {
        let text = format!("x,action,drama,comedy\n1,0,yes,no\n2,{bad},no,no\n");
        for result in [read(&options, "labels", &text), table.columns.read(file("labels", &text))] {
            let Err(Error::Format { place, .. }) = &result else { panic!("{bad}: {result:?}") };
            assert_eq!(place, "line 3, field 2 (action)");
        }
    }
    let none: [&str; 0] = [];
    assert!(matches!(read(&Options::labels(none), "labels", text), Err(Error::Empty { .. })));
    Ok(())
}

#[test]
fn errors_say_how_else_the_file_may_be_written() {
    let message = |options: Options, text: &str| read(&options, "hints", text).unwrap_err().to_string();
    for (mark, text) in [(';', "a;b;y\n1,5;2;3\n2;3;4\n"), ('\t', "a\tb\ty\n1\t2\t3\n"), ('|', "a|b|y\n1|2|3\n")] {
        let hint = format!("Options::delimiter(b{mark:?}) the line has 3 fields");
        for options in [Options::numbers(["y"]), Options::numbers([2]), Options::numbers([2]).header(false)] {
            let found = message(options, text);
            assert!(found.contains(&hint), "{found}");
        }
        // Where the first fault is a line of another length, and where no column is asked for.
        let comma = message(Options::numbers([0]), &text.replace("\n1", "\n,1"));
        assert!(comma.contains(&hint), "{comma}");
        let free = Options::features().fit(file("hints", text.replace(",5", ""))).unwrap_err().to_string();
        assert!(free.contains(&hint), "{free}");
    }
    let comma = message(Options::numbers(["y"]).delimiter(b';'), "a,y\n1,2\n");
    assert!(comma.contains("Options::delimiter(b',') the line has 2 fields"), "{comma}");
    assert!(!message(Options::numbers(["y"]), "\"a,b\"\n1\n").contains("delimiter"));
    for text in ["1,2,3\n4,5,6\n", "5.1,-3e2,setosa\n4,5,6\n", "1,2,1\n4,5,6\n"] {
        let found = message(Options::numbers(["y"]), text);
        assert!(found.contains("Options::header(false)"), "{found}");
    }
    for text in ["a,b,c\n4,5,6\n", "country,year,2020\n4,5,6\n"] {
        assert!(!message(Options::numbers(["y"]), text).contains("header("), "{text}");
    }
}

#[test]
fn without_a_header_the_places_must_be_those_of_the_training_table() -> Result<()> {
    let options = Options::numbers([2, 3]).header(false);
    let columns = read(&options, "places", "1,u,5,6\n2,v,7,8\n3,u,9,0\n")?.columns;
    assert_eq!(columns.to_string(), "(0)  number\n(1)  one-hot: u, v\n(2)  target, number\n(3)  target, number");
    let inputs = |text: &str| columns.read_inputs::<f64>(file("places", text));
    // Targets at the end may be missing altogether.
    for text in ["4,v,0,0\n", "4,v\n"] {
        assert_eq!(inputs(text)?.matrix().as_slice(), [4.0, 0.0, 1.0]);
    }
    for text in ["4\n", "4,v,0\n", "4,v,0,0,0\n"] {
        assert!(matches!(inputs(text), Err(Error::Format { .. })), "{text}");
    }
    assert!(matches!(columns.read::<f64>(file("places", "4,v\n")), Err(Error::Format { .. })));
    let first = read(&Options::numbers([0]).header(false), "places", "1,2,5\n2,3,7\n")?.columns;
    assert!(matches!(first.read_inputs::<f64>(file("places", "2,5\n")), Err(Error::Format { .. })));
    // Where one target of two stands first, a table without them would be read from the wrong places.
    let ends =
        read(&Options::numbers([0, 4]).header(false).leave_out([3]), "places", "1,2,5,6,9\n2,3,7,4,8\n")?.columns;
    assert_eq!(ends.read_inputs::<f64>(file("places", "1,2,5,6,9\n"))?.matrix().as_slice(), [2.0, 5.0]);
    assert!(matches!(ends.read_inputs::<f64>(file("places", "2,5,6\n")), Err(Error::Format { .. })));
    Ok(())
}

#[test]
fn what_would_be_other_features_in_another_table_is_fitted_first() -> Result<()> {
    for text in ["a,b\n1,u\n2,v\n3,u\n", "a,b\n1,\n2,3\n"] {
        let path = file("fitted", text);
        assert!(matches!(Options::features().read_inputs::<f64>(&path), Err(Error::Format { .. })));
        let columns = Options::features().fit(&path)?;
        assert_eq!(columns.read_inputs::<f64>(&path)?.matrix().rows(), columns.input_dim());
        assert!(matches!(columns.read::<f64>(&path), Err(Error::Empty { .. })));
    }
    let kept = Options::features().missing(Missing::Keep).read_inputs::<f64>(file("fitted", "a,b\n1,\n2,3\n"))?;
    assert!(kept.matrix().column(0)[1].is_nan());
    // What is missing is missing in every feature of its column.
    let options = Options::numbers(["y"]).missing(Missing::Keep).unknown_categories(Unknown::Other);
    let table = read(&options, "kept", "s,y\nu,1\n,2\nv,3\nu,4\n")?;
    assert_eq!(table.dataset.missing(), 3);
    Ok(())
}

#[test]
fn classes_may_be_known_and_none_twice() -> Result<()> {
    let options = Options::known_classes("y", &["10", "2", "NA"]);
    let mut table = read(&options, "known", "x,y\n1,2.0\n2,1e1\n3,NA\n").unwrap_err();
    assert!(
        table.to_string().contains("line 2, field 2 (y)"),
        "a class that is no number makes all of them text: {table}"
    );
    table = read(&Options::known_classes("y", &["1", "1.0"]), "known", "x,y\n1,1\n").unwrap_err();
    assert!(matches!(table, Error::Unsupported { what: "known_classes", .. }));
    let table = read(&Options::known_classes("y", &["10", "2"]), "known", "x,y\n1,2.0\n2,1e1\n")?;
    assert_eq!((table.dataset.labels(), table.classes), (Some(&[1, 0][..]), vec!["10".to_owned(), "2".to_owned()]));
    let table = read(&Options::known_classes("y", &["NA", "b"]), "known", "x,y\n1,b\n2,NA\n")?;
    assert_eq!(table.dataset.labels(), Some(&[1, 0][..]));
    Ok(())
}

#[test]
fn means_and_medians_of_the_largest_numbers_do_not_overflow() -> Result<()> {
    let of = |cells: &str| -> Result<f64> {
        let text: String = cells.split(' ').map(|cell| format!("{cell},1\n")).collect();
        let table = read(&Options::numbers(["y"]), "means", &format!("a,y\n{text}NA,1\n"))?;
        Ok(*table.dataset.inputs().as_slice().last().unwrap())
    };
    assert!((of("1.7e308 1.7e308 1.7e308")? / 1e308 - 1.7).abs() < 1e-15);
    assert!((of("1.5e308 1.5e308 -1e308 -1e308 0 0")? / 1e308 - 1.0 / 6.0).abs() < 1e-15);
    let median = |cells: &str| -> Result<f64> {
        let text: String = cells.split(' ').map(|cell| format!("{cell},1\n")).collect();
        let options = Options::numbers(["y"]).missing(Missing::Median);
        Ok(*read(&options, "means", &format!("a,y\n{text}NA,1\n"))?.dataset.inputs().as_slice().last().unwrap())
    };
    assert!((median("1.7e308 1.5e308")? / 1e308 - 1.6).abs() < 1e-15);
    assert_eq!(median("5e-324 5e-324")?, 5e-324);
    Ok(())
}

/// Trained and held-out part, and a table without the species in another order, by the columns of the first.
#[test]
fn a_mixed_table_is_trained_validated_and_predicted_without_a_word_about_its_columns() -> Result<()> {
    let text = include_str!("../../examples/data/plants.csv");
    let table = Options::classes("species").read::<f32>(file("garden", text))?;
    assert_eq!(
        (table.dataset.len(), table.dataset.missing(), &*table.classes),
        (63, 0, &["alder", "hawthorn", "juniper"].map(String::from)[..])
    );
    let names = "height_m girth_cm leaf=lobed leaf=needle leaf=oval flower=white flower=yellow evergreen soil_ph";
    assert_eq!(table.features.join(" "), names);
    let (train, held_out) = table.dataset.stratified_split(0.8, 0)?;
    let scaler = Scaler::standard(train.inputs())?;
    let (train, held_out) = (scaler.scale_inputs(&train)?, scaler.scale_inputs(&held_out)?);
    let builder =
        DecoupledNetwork::builder(train.input_dim()).dense(8, Activation::Tanh).dense(3, Activation::Identity);
    let mut network = builder.output_loss(SoftmaxCrossEntropy::new()).threads(1).build()?;
    network.fit(&train, &FitConfig::new().epochs(60).batch_size(8).validation(&held_out))?;
    assert!(network.score(&held_out)? > 0.9);

    let mut lines = text.lines().map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        // Seven columns, a note in quotes with a comma in it, the species: nothing but the features, backwards.
        cells[1..7].iter().rev().copied().collect::<Vec<_>>().join(",") + "\n"
    });
    let turned: String = lines.by_ref().collect();
    let inputs = table.columns.read_inputs::<f32>(file("turned", turned))?;
    assert_eq!(inputs.matrix(), table.dataset.inputs());
    let found = network.predict_class(&scaler.apply(inputs.matrix())?)?;
    assert!(found.iter().zip(table.dataset.labels().unwrap()).filter(|(found, truth)| found == truth).count() > 57);
    Ok(())
}

/// Columns come from a file that anyone may have written.
#[cfg(feature = "serde")]
#[test]
fn columns_that_were_tampered_with_do_not_make_the_reader_panic() {
    let path = file("tampered", PLANTS);
    let headless = file("headless", "1,u,5\n2,v,7\n3,u,9\n");
    let mut read = 0;
    for (options, path) in [(Options::classes("species"), &path), (Options::numbers([2]).header(false), &headless)] {
        let text = serde_json::to_string(&options.fit(path).unwrap()).unwrap();
        let numbers = text.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at);
        let other = |at: usize, new: &str| {
            let rest = text[at..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            format!("{}{new}{rest}", &text[..at])
        };
        let new = ["0", "1", "7", "34", "255", "18446744073709551615", "1e308", "-1"];
        let numbers = numbers.flat_map(|at| new.map(|new| other(at, new)));
        let words = ["true", "[]", "\"aster\"", "\"Mean\"", "\"Refuse\""];
        let words = words.iter().flat_map(|word| {
            ["false", "null", "[\"1\",\"2\"]", "\"\"", "\"Keep\"", "\"Other\""].map(|new| text.replace(word, new))
        });
        for text in numbers.chain(words) {
            if let Ok(columns) = serde_json::from_str::<Columns>(&text) {
                let _ = (columns.to_string(), columns.features(), columns.read_inputs::<f32>(path));
                let _ = columns.read::<f64>(path);
                read += 1;
            }
        }
    }
    assert!(read > 100, "{read} were columns");
}

#[cfg(feature = "serde")]
#[test]
fn columns_come_back_from_json_and_read_alike() -> Result<()> {
    for options in [
        Options::classes("species"),
        Options::numbers(["weight"]).na_values(["?"]).missing(Missing::Median).unknown_categories(Unknown::Ignore),
        Options::features().leave_out(["wild"]).missing(Missing::Keep),
    ] {
        let path = file("json", PLANTS.replace("NA", "4").replace("null", "5"));
        let columns = options.fit(&path)?;
        let copy: Columns = serde_json::from_str(&serde_json::to_string(&columns).unwrap()).unwrap();
        assert_eq!(copy, columns);
        let bits = |columns: &Columns| -> Result<Vec<u64>> {
            Ok(columns.read_inputs::<f64>(&path)?.matrix().as_slice().iter().map(|x| x.to_bits()).collect())
        };
        assert_eq!(bits(&copy)?, bits(&columns)?);
    }
    let mut value = serde_json::to_value(Options::features().fit(file("json", "a\n1\n"))?).unwrap();
    value["quote"] = 39.into();
    assert!(serde_json::from_value::<Columns>(value).unwrap_err().to_string().contains("unknown field `quote`"));
    Ok(())
}

#[cfg(feature = "gz")]
#[test]
fn gzip_that_is_damaged_or_not_a_table_is_refused() {
    // By Python: gzip.compress(b"a,y\n1,2\n", mtime=0).
    let packed = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0x4b, 0xd4, 0xa9, 0xe4, 0x32, 0xd4, 0x31, 0xe2, 2, 0, 0x23, 0xf5, 0x86,
        0x63, 8, 0, 0, 0,
    ];
    let read = |bytes: &[u8]| Options::numbers(["y"]).read::<f64>(file("damaged.gz", bytes));
    let whole = read(&packed);
    assert!(whole.as_ref().is_ok_and(|table| table.dataset.inputs().as_slice() == [1.0]), "{whole:?}");
    for at in 0..packed.len() {
        let cut = read(&packed[..at]);
        assert!(cut.is_err(), "{at}: {cut:?}");
        for bit in 0..8 {
            let mut bytes = packed;
            bytes[at] ^= 1 << bit;
            // Bits that do not matter, as those of the time, leave the table as it is.
            let flipped = read(&bytes);
            let same = |table: &Table<f64>| whole.as_ref().is_ok_and(|whole| table == whole);
            assert!(flipped.is_err() || flipped.as_ref().is_ok_and(same), "{at}, {bit}: {flipped:?}");
        }
    }
    // Two files one after the other are one.
    let twice = read(&[&packed[..], &packed[..]].concat());
    assert!(matches!(twice, Err(Error::Format { .. })), "a header among the lines: {twice:?}");
}

#[cfg(not(feature = "gz"))]
#[test]
fn gzip_names_the_feature_that_reads_it() {
    let result = Options::features().fit(file("packed.gz", [0x1f, 0x8b, 8, 0]));
    assert!(result.unwrap_err().to_string().contains("feature gz"));
}
