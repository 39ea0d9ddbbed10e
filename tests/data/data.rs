//! Data sets: what they check, how they split, what they read.

use std::fs;
use std::path::PathBuf;

use decoupled::data::{Examples, digits, mnist, one_hot, read_idx_images, read_idx_labels};
use decoupled::layer::Activation;
use decoupled::{Dataset, DecoupledNetwork, Error};

fn labelled(sizes: &[usize]) -> Dataset<f64> {
    let labels: Vec<usize> = sizes.iter().enumerate().flat_map(|(class, &size)| vec![class; size]).collect();
    let rows: Vec<[f64; 1]> = (0..labels.len()).map(|i| [i as f64]).collect();
    Dataset::classification(Examples::from_rows(&rows).unwrap(), &labels, sizes.len()).unwrap()
}

fn ids(data: &Dataset<f64>) -> Vec<usize> {
    data.inputs().as_slice().iter().map(|&id| id as usize).collect()
}

fn count(data: &Dataset<f64>, class: usize) -> usize {
    data.labels().unwrap().iter().filter(|&&label| label == class).count()
}

#[test]
fn one_hot_columns_follow_the_labels() {
    let targets = one_hot::<f32>(&[2, 0], 3).unwrap();
    assert_eq!(targets.matrix().as_slice(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_classification_says_what_it_holds() {
    let data = labelled(&[2, 0, 1]);
    assert_eq!((data.len(), data.input_dim(), data.target_dim(), data.classes()), (3, 1, 3, Some(3)));
    assert_eq!(data.labels(), Some(&[0, 0, 2][..]));
}

#[test]
fn a_slice_is_one_example_wherever_a_matrix_is_asked_for() {
    let mut network = DecoupledNetwork::<f64>::builder(2).dense(1, Activation::Identity).build().unwrap();
    network.set_params(0, &[2.0, 3.0, 4.0]).unwrap();
    // 2 · 5 + 3 · 6 + 4 and 2 · 7 + 3 · 8 + 4
    assert_eq!(network.predict(&[5.0, 6.0][..]).unwrap().as_slice(), [32.0]);
    let rows = vec![vec![5.0, 6.0], vec![7.0, 8.0]];
    assert_eq!(network.predict(&Examples::from_rows(&rows).unwrap()).unwrap().as_slice(), [32.0, 42.0]);
    assert!(matches!(network.predict(&[5.0][..]), Err(Error::Shape { expected: 2, found: 1, .. })));
}

#[test]
fn a_regression_has_no_classes() {
    let (x, y) = (Examples::from_rows(&[[1.0], [2.0]]), Examples::from_rows(&[[3.0, 4.0], [5.0, 6.0]]));
    let data = Dataset::regression(x.unwrap(), y.unwrap()).unwrap();
    assert_eq!((data.len(), data.target_dim(), data.classes(), data.labels()), (2, 2, None, None));
    assert!(matches!(data.stratified_split(0.5, 0), Err(Error::Unsupported { what: "stratified_split", .. })));
}

#[test]
fn bad_contents_are_typed_errors() {
    let x = || Examples::from_rows(&[[1.0], [2.0]]).unwrap();
    let bad = || Examples::from_rows(&[[0.0, 1.0], [2.0, f64::NEG_INFINITY]]).unwrap();
    assert!(matches!(Dataset::classification(x(), &[0], 2), Err(Error::Shape { expected: 2, found: 1, .. })));
    assert!(matches!(Dataset::classification(x(), &[0, 0], 0), Err(Error::Empty { what: "the set of classes" })));
    assert!(matches!(
        Dataset::classification(x(), &[0, 2], 2),
        Err(Error::LabelOutOfRange { example: 1, label: 2, classes: 2 })
    ));
    for classes in [usize::MAX, usize::MAX / 64] {
        let result = Dataset::classification(x(), &[0, 0], classes);
        assert!(matches!(result, Err(Error::HyperParameter { name: "classes", .. })));
    }
    let three = Examples::from_rows(&[[1.0]; 3]).unwrap();
    assert!(matches!(Dataset::regression(x(), three), Err(Error::Shape { expected: 2, found: 3, .. })));
    assert!(matches!(
        Dataset::regression(bad(), x()),
        Err(Error::NotFinite { what: "inputs", example: 1, row: 1, value: f64::NEG_INFINITY })
    ));
    assert!(matches!(
        Dataset::regression(x(), bad()),
        Err(Error::NotFinite { what: "targets", example: 1, row: 1, value: f64::NEG_INFINITY })
    ));
    let nan = Examples::from_rows(&[[1.0], [f64::NAN]]).unwrap();
    assert!(matches!(Dataset::classification(nan, &[0, 0], 1), Err(Error::NotFinite { example: 1, row: 0, .. })));
}

#[test]
fn fingerprints_differ_with_contents_order_shape_and_targets() {
    let data = |inputs: &[f64], features: usize, targets: &[f64]| {
        let examples = inputs.len() / features;
        let inputs = Examples::from_row_slice(inputs, examples, features).unwrap();
        let targets = Examples::from_row_slice(targets, examples, targets.len() / examples).unwrap();
        Dataset::regression(inputs, targets).unwrap().fingerprint()
    };
    let mut seen = vec![
        data(&[1.0, 2.0, 3.0, 4.0], 2, &[5.0, 6.0]),
        data(&[3.0, 4.0, 1.0, 2.0], 2, &[5.0, 6.0]),
        data(&[3.0, 4.0, 1.0, 2.0], 2, &[6.0, 5.0]),
        data(&[1.0, 2.0, 3.0, 4.0], 2, &[6.0, 5.0]),
        data(&[1.0, 2.0, 3.0, 4.0], 4, &[5.0, 6.0]),
        data(&[1.0, 2.0, 3.0, 4.0], 4, &[5.0]),
    ];
    // Every sign pattern: a hash that only multiplies lets two flipped sign bits cancel.
    for signs in 1..16u32 {
        let sign = |bit: u32| if signs >> bit & 1 == 1 { -1.0 } else { 1.0 };
        seen.push(data(&[sign(0), 2.0 * sign(1), 3.0 * sign(2), 4.0 * sign(3)], 2, &[5.0, 6.0]));
    }
    let total = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), total);
}

#[test]
fn the_fingerprint_of_equal_values_is_the_same_in_both_precisions() {
    // The value was computed with Python's integers from the definition of the hash.
    let single = Dataset::classification(Examples::from_rows(&[[0.5f32, -2.0]]).unwrap(), &[1], 2).unwrap();
    let double = Dataset::classification(Examples::from_rows(&[[0.5f64, -2.0]]).unwrap(), &[1], 2).unwrap();
    assert_eq!(single.fingerprint(), double.fingerprint());
    assert_eq!(single.fingerprint(), 0x54f4_2bd7_6772_9c9e);
}

#[test]
fn every_example_ends_up_in_exactly_one_part() {
    for (seed, sizes) in [&[2, 0][..], &[1, 1], &[1, 2], &[3, 50, 7], &[1, 0, 1, 2], &[97, 4]].into_iter().enumerate() {
        let data = labelled(sizes);
        for fraction in [1e-9, 0.1, 0.33, 0.5, 0.8, 1.0 - 1e-9] {
            let seed = seed as u64;
            for (first, second) in
                [data.split(fraction, seed), data.stratified_split(fraction, seed)].map(Result::unwrap)
            {
                let mut all = [ids(&first), ids(&second)].concat();
                all.sort_unstable();
                assert_eq!(all, ids(&data));
                for part in [first, second] {
                    let labels: Vec<usize> = ids(&part).iter().map(|&id| data.labels().unwrap()[id]).collect();
                    assert_eq!(part.labels().unwrap(), labels, "labels must follow their examples");
                    // With one output the labels themselves.
                    let label = |&label: &usize| label as f64;
                    let targets = match sizes.len() {
                        1 => Examples::from_row_slice(&labels.iter().map(label).collect::<Vec<f64>>(), labels.len(), 1),
                        classes => one_hot(&labels, classes),
                    };
                    assert_eq!(part.targets(), targets.unwrap().matrix());
                }
            }
        }
    }
}

#[test]
fn a_split_has_the_asked_size() {
    let data = labelled(&[10]);
    for (fraction, size) in [(0.01, 1), (0.24, 2), (0.25, 3), (0.5, 5), (0.99, 9)] {
        assert_eq!(data.split(fraction, 3).unwrap().0.len(), size);
    }
}

#[test]
fn strata_get_their_largest_remainders() {
    // Shares 0.4 · (5, 4, 6, 10) = (2.0, 1.6, 2.4, 4.0): the odd one of 10 goes to the remainder 0.6.
    let (first, _) = labelled(&[5, 4, 6, 10]).stratified_split(0.4, 1).unwrap();
    assert_eq!([0, 1, 2, 3].map(|class| count(&first, class)), [2, 2, 2, 4]);
    // Shares 0.1 · (2, 2, 96): both pairs need one, so the large class gives way and the size stays 10.
    let (first, _) = labelled(&[2, 2, 96]).stratified_split(0.1, 1).unwrap();
    assert_eq!([0, 1, 2].map(|class| count(&first, class)), [1, 1, 8]);
}

#[test]
fn every_stratum_of_two_is_in_both_parts() {
    let sizes = [2, 3, 40, 2, 9];
    for fraction in [0.001, 0.2, 0.5, 0.9, 0.999] {
        let (first, second) = labelled(&sizes).stratified_split(fraction, 5).unwrap();
        for class in 0..sizes.len() {
            assert!(count(&first, class) > 0 && count(&second, class) > 0, "class {class} at {fraction}");
        }
    }
}

#[test]
fn seeds_decide_the_split_and_the_order() {
    let data = labelled(&[50, 50]);
    assert_eq!(data.stratified_split(0.5, 1).unwrap(), data.stratified_split(0.5, 1).unwrap());
    assert_ne!(data.stratified_split(0.5, 1).unwrap(), data.stratified_split(0.5, 2).unwrap());
    let shuffled = data.shuffled(1).unwrap();
    assert_ne!(ids(&shuffled), ids(&data));
    assert_ne!(shuffled.fingerprint(), data.fingerprint());
    let mut sorted = ids(&shuffled);
    sorted.sort_unstable();
    assert_eq!(sorted, ids(&data));
}

#[test]
fn selections_keep_their_order() {
    let data = labelled(&[2, 2]);
    assert_eq!(ids(&data.take(3).unwrap()), [0, 1, 2]);
    let selected = data.select(&[3, 0, 3]).unwrap();
    assert_eq!((ids(&selected), selected.labels()), (vec![3, 0, 3], Some(&[1, 0, 1][..])));
    assert_eq!(data.select(&[0, 1, 2, 3]).unwrap().fingerprint(), data.fingerprint());
}

#[test]
fn splits_that_make_no_sense_are_errors() {
    let data = labelled(&[2, 2]);
    for fraction in [0.0, 1.0, -0.5, f64::NAN] {
        let name = "fraction_of_first";
        assert!(matches!(data.split(fraction, 0), Err(Error::HyperParameter { name: n, .. }) if n == name));
        assert!(matches!(data.stratified_split(fraction, 0), Err(Error::HyperParameter { name: n, .. }) if n == name));
    }
    assert!(matches!(labelled(&[1]).split(0.5, 0), Err(Error::Empty { what: "one part of a split" })));
    assert!(matches!(data.select(&[0, 4]), Err(Error::ExampleIndex { count: 4, found: 4 })));
    assert!(matches!(data.select(&[]), Err(Error::Empty { .. })));
    assert!(matches!(data.take(5), Err(Error::ExampleCount { what: "take", most: 4, found: 5 })));
    assert!(matches!(data.take(0), Err(Error::Empty { .. })));
}

#[test]
fn the_digits_are_those_of_scikit_learn() {
    let data = digits::<f64>().unwrap();
    assert_eq!((data.input_dim(), data.len(), data.classes()), (64, 1797, Some(10)));
    // The counts that scikit-learn documents for `load_digits`.
    let counts: Vec<usize> = (0..10).map(|class| count(&data, class)).collect();
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    // Computed from the file with Python: Σ pixel and Σ (i + 1)(j + 1) · pixel j of example i, in sixteenths.
    let sixteenth = |value: &f64| (value * 16.0) as u64;
    let (mut sum, mut weighted) = (0, 0);
    for (i, column) in (1..).zip(data.inputs().columns()) {
        sum += column.iter().map(sixteenth).sum::<u64>();
        weighted += (1..).zip(column).map(|(j, pixel)| i * j * sixteenth(pixel)).sum::<u64>();
    }
    assert_eq!((sum, weighted), (561_718, 16_337_198_609));
    assert!(data.inputs().as_slice().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// Three images of 2 × 2 pixels: magic number, three dimensions, pixels.
const IMAGES: [u8; 28] = [0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6];
const LABELS: [u8; 11] = [0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 255];

#[test]
fn idx_files_are_read_as_they_are_specified() {
    let images = read_idx_images::<f64>(file("images", &IMAGES)).unwrap();
    assert_eq!((images.matrix().rows(), images.matrix().cols()), (4, 3));
    assert_eq!(images.matrix().column(0), [0.0, 0.2, 0.4, 0.6]);
    assert_eq!(images.matrix().column(1), [0.8, 1.0, 1.0 / 255.0, 2.0 / 255.0]);
    assert_eq!(read_idx_labels(file("labels", &LABELS)).unwrap(), [9, 0, 255]);
}

#[test]
fn no_changed_byte_and_no_other_length_passes_an_idx_header() {
    for (bytes, header) in [(&IMAGES[..], 16), (&LABELS[..], 8)] {
        let path = |bytes: &[u8]| file(&format!("mutated-{header}"), bytes);
        let is_format_error = |bytes: &[u8]| {
            let path = path(bytes);
            let error = if header == 16 { read_idx_images::<f32>(&path).err() } else { read_idx_labels(&path).err() };
            matches!(error, Some(Error::Format { path: at, .. }) if at == path)
        };
        for at in 0..bytes.len() {
            let mut mutated = bytes.to_vec();
            for value in (0..=255).filter(|&value| value != bytes[at]) {
                mutated[at] = value;
                assert_eq!(is_format_error(&mutated), at < header, "byte {at} = {value}");
            }
            assert!(is_format_error(&bytes[..at]), "length {at}");
        }
        assert!(is_format_error(&[bytes, &[0]].concat()));
        // Dimensions whose product overflows, and in `u32` arithmetic would be right.
        let mut huge = bytes.to_vec();
        huge[4..header].fill(255);
        assert!(is_format_error(&huge));
    }
}

#[test]
fn an_idx_file_without_an_entry_is_refused_at_its_dimension() {
    let place = |error: Option<Error>| match error {
        Some(Error::Format { place, found, .. }) => (place, found),
        other => panic!("{other:?}"),
    };
    let labels = read_idx_labels(file("no-labels", &[0, 0, 8, 1, 0, 0, 0, 0])).err();
    assert_eq!(place(labels), ("byte 4".to_owned(), "0".to_owned()));
    for at in [4, 8, 12] {
        // All that follows the header would be right.
        let mut bytes = IMAGES[..16].to_vec();
        bytes[at..at + 4].fill(0);
        let images = read_idx_images::<f32>(file("no-images", &bytes)).err();
        assert_eq!(place(images), (format!("byte {at}"), "0".to_owned()));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("missing");
    assert!(matches!(read_idx_labels(&missing), Err(Error::Io { path, .. }) if path == missing));
    let expected = missing.join("train-images-idx3-ubyte");
    assert!(matches!(mnist::<f32>(&missing), Err(Error::Io { path, .. }) if path == expected));
}

#[test]
fn a_folder_like_mnist_is_read_under_either_spelling() {
    let labels = [0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 4];
    for (folder, dot) in [("dotted", '.'), ("dashed", '-')] {
        let path = |name: &str, kind: &str| format!("{folder}/{name}{dot}{kind}");
        for part in ["train", "t10k"] {
            file(&path(&format!("{part}-labels"), "idx1-ubyte"), &labels);
            file(&path(&format!("{part}-images"), "idx3-ubyte"), &IMAGES);
        }
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
        let (train, test) = mnist::<f64>(&dir).unwrap();
        assert_eq!(train, test);
        assert_eq!((train.input_dim(), train.classes(), train.labels()), (4, Some(10), Some(&[9, 0, 4][..])));

        file(&path("t10k-labels", "idx1-ubyte"), &LABELS);
        let read = mnist::<f64>(&dir);
        let named = |at: &PathBuf, place: &str| {
            at.ends_with(path("t10k-labels", "idx1-ubyte")) && place == "label of picture 2"
        };
        assert!(
            matches!(&read, Err(Error::Format { path, place, found, .. }) if named(path, place) && found == "255"),
            "{read:?}"
        );
        file(&path("t10k-labels", "idx1-ubyte"), &[0, 0, 8, 1, 0, 0, 0, 1, 9]);
        assert!(matches!(mnist::<f64>(&dir), Err(Error::Shape { expected: 3, found: 1, .. })));
        file(&path("t10k-images", "idx3-ubyte"), &[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 7, 8]);
        assert!(matches!(mnist::<f64>(&dir), Err(Error::Shape { expected: 4, found: 2, .. })));
    }
}

#[test]
fn the_real_mnist_has_its_published_sizes() {
    let Ok(dir) = std::env::var("MNIST_DIR") else {
        println!("skipped: MNIST_DIR does not name the folder with MNIST's four files");
        return;
    };
    let (train, test) = mnist::<f32>(dir).unwrap();
    assert_eq!((train.len(), test.len(), train.input_dim(), train.classes()), (60_000, 10_000, 784, Some(10)));
    // The class counts and the mean pixel, 0.1307, are those that every account of MNIST gives.
    let counts: Vec<usize> =
        (0..10).map(|class| train.labels().unwrap().iter().filter(|&&label| label == class).count()).collect();
    assert_eq!(counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    let sum: f64 = train.inputs().as_slice().iter().map(|&pixel| f64::from(pixel)).sum();
    assert!((sum / (60_000.0 * 784.0) - 0.1307).abs() < 5e-5);
}

/// Equal data are equal, however they came about.
#[test]
fn parts_that_are_the_whole_equal_it() {
    let moons = decoupled::data::two_moons::<f64>(10, 0.1, 0).unwrap();
    assert!(moons.take(10).unwrap() == moons);
    assert!(moons.select(&(0..10).collect::<Vec<_>>()).unwrap() == moons);
    assert!(moons.take(9).unwrap() != moons);
}
