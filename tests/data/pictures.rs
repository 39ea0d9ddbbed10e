//! Sets of pictures, from files that are made by hand as their formats are described.

use std::fs;
use std::path::{Path, PathBuf};

use decoupled::data::{EmnistSplit, cifar10, cifar100, emnist};
use decoupled::{Dataset, Error, Result};

/// A new folder for the files of a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures").join(name);
    fs::remove_dir_all(&folder).unwrap_or_default();
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The byte of picture n at a channel, a row and a column: other wherever one of the four is other, for most.
fn byte(n: usize, c: usize, y: usize, x: usize) -> u8 {
    ((n * 31 + c * 101 + y * 7 + x * 3) % 251) as u8
}

/// A record of CIFAR: labels, then channel by channel, row by row.
fn record(labels: &[u8], n: usize) -> Vec<u8> {
    let mut record = labels.to_vec();
    for c in 0..3 {
        for y in 0..32 {
            for x in 0..32 {
                record.push(byte(n, c, y, x));
            }
        }
    }
    record
}

/// Whether the data have these pictures, by number, with these labels.
fn assert_pictures(data: &Dataset<f64>, pictures: impl Iterator<Item = (usize, usize)>, classes: usize) {
    let mut expected = 0;
    for (i, (n, label)) in pictures.enumerate() {
        assert_eq!(data.labels().unwrap()[i], label, "picture {i}");
        let column = data.inputs().column(i);
        for (c, y, x) in [(0, 0, 0), (0, 0, 31), (0, 31, 0), (1, 0, 0), (1, 17, 5), (2, 3, 30), (2, 31, 31)] {
            assert_eq!(
                column[(c * 32 + y) * 32 + x],
                f64::from(byte(n, c, y, x)) / 255.0,
                "picture {i}: {c}, {y}, {x}"
            );
        }
        expected += 1;
    }
    assert_eq!((data.len(), data.input_dim(), data.classes()), (expected, 3072, Some(classes)));
}

/// The error's place, what it expected, and what it found in the file at `path`.
#[track_caller]
fn fault<R: std::fmt::Debug>(read: Result<R>, at: &Path) -> (String, String, String) {
    match read {
        Err(Error::Format { path, place, expected, found }) if path == at => (place, expected, found),
        other => panic!("{other:?}"),
    }
}

fn cifar10_folder(name: &str) -> PathBuf {
    let folder = folder(name);
    for batch in 1..=5 {
        // Batch b has b pictures.
        let records: Vec<u8> = (0..batch).flat_map(|i| record(&[(batch + i) as u8], 10 * batch + i)).collect();
        fs::write(folder.join(format!("data_batch_{batch}.bin")), records).unwrap();
    }
    fs::write(folder.join("test_batch.bin"), [record(&[0], 99), record(&[9], 98)].concat()).unwrap();
    folder
}

fn cifar100_folder(name: &str) -> PathBuf {
    let folder = folder(name);
    fs::write(folder.join("train.bin"), [record(&[19, 0], 1), record(&[0, 99], 2), record(&[7, 7], 3)].concat())
        .unwrap();
    fs::write(folder.join("test.bin"), record(&[3, 42], 4)).unwrap();
    folder
}

#[test]
fn the_batches_of_cifar_10_come_one_after_the_other() {
    let (train, test) = cifar10::<f64>(cifar10_folder("cifar10")).unwrap();
    let pictures = (1..=5).flat_map(|batch| (0..batch).map(move |i| (10 * batch + i, batch + i)));
    assert_pictures(&train, pictures, 10);
    assert_pictures(&test, [(99, 0), (98, 9)].into_iter(), 10);
}

#[test]
fn cifar_100_has_its_fine_labels() {
    let (train, test) = cifar100::<f64>(cifar100_folder("cifar100")).unwrap();
    assert_pictures(&train, [(1, 0), (2, 99), (3, 7)].into_iter(), 100);
    assert_pictures(&test, [(4, 42)].into_iter(), 100);
}

#[test]
fn a_file_of_cifar_that_is_cut_empty_or_of_the_other_set_is_named_with_its_length() {
    let ten = cifar10_folder("cut-10");
    let at = ten.join("data_batch_3.bin");
    let whole = fs::read(&at).unwrap();
    for length in [0, 1, 3072, 3074, 3 * 3073 - 1] {
        fs::write(&at, &whole[..length]).unwrap();
        let expected = "records of 3073 bytes each, at least one".to_owned();
        assert_eq!(fault(cifar10::<f32>(&ten), &at), ("contents".to_owned(), expected, format!("{length} bytes")));
    }
    let hundred = cifar100_folder("cut-100");
    let at = hundred.join("test.bin");
    for bytes in [vec![], record(&[1], 0), [record(&[1, 1], 0), vec![0]].concat()] {
        fs::write(&at, &bytes).unwrap();
        let expected = "records of 3074 bytes each, at least one".to_owned();
        let found = format!("{} bytes", bytes.len());
        assert_eq!(fault(cifar100::<f32>(&hundred), &at), ("contents".to_owned(), expected, found));
    }
}

#[test]
fn a_label_of_cifar_that_is_no_class_is_named_with_its_file_and_picture() {
    let words = |place: &str, expected: &str, found: &str| (place.to_owned(), expected.to_owned(), found.to_owned());
    let ten = cifar10_folder("label-10");
    let at = ten.join("data_batch_2.bin");
    fs::write(&at, [record(&[9], 0), record(&[10], 1)].concat()).unwrap();
    assert_eq!(fault(cifar10::<f32>(&ten), &at), words("label of picture 1", "one of 0..10", "10"));

    let hundred = cifar100_folder("label-100");
    let at = hundred.join("train.bin");
    for (labels, fine, expected, found) in
        [([20, 0], "coarse", "one of 0..20", "20"), ([0, 100], "fine", "one of 0..100", "100")]
    {
        fs::write(&at, record(&labels, 0)).unwrap();
        let place = format!("{fine} label of picture 0");
        assert_eq!(fault(cifar100::<f32>(&hundred), &at), words(&place, expected, found));
    }
}

#[test]
fn a_file_of_cifar_that_is_not_there_is_named() {
    let folder = cifar10_folder("missing-10");
    let at = folder.join("data_batch_5.bin");
    fs::remove_file(&at).unwrap();
    assert!(matches!(cifar10::<f32>(&folder), Err(Error::Io { path, .. }) if path == at));
    assert!(matches!(cifar100::<f32>(&folder), Err(Error::Io { path, .. }) if path == folder.join("train.bin")));
}

#[cfg(feature = "gz")]
fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;

    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[cfg(feature = "gz")]
#[test]
fn files_of_cifar_may_be_packed() {
    let folder = cifar100_folder("packed");
    let plain = cifar100::<f64>(&folder).unwrap();
    let at = folder.join("train.bin");
    fs::write(&at, packed(&fs::read(&at).unwrap())).unwrap();
    assert_eq!(cifar100::<f64>(&folder).unwrap(), plain);
}

/// Pictures of EMNIST's, by number: upright they have H rows of W pixels, and their file has W rows of H.
fn transposed([height, width]: [usize; 2], numbers: std::ops::Range<usize>) -> Vec<u8> {
    let dimensions = [0x0803, numbers.len(), width, height].map(|word| (word as u32).to_be_bytes());
    let mut bytes = dimensions.concat();
    for n in numbers {
        for x in 0..width {
            for y in 0..height {
                bytes.push(byte(n, 0, y, x));
            }
        }
    }
    bytes
}

fn labels(labels: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, 1], &(labels.len() as u32).to_be_bytes()[..], labels].concat()
}

const EMNIST: [(EmnistSplit, &str, u8, usize); 6] = [
    (EmnistSplit::ByClass, "byclass", 0, 62),
    (EmnistSplit::ByMerge, "bymerge", 0, 47),
    (EmnistSplit::Balanced, "balanced", 0, 47),
    (EmnistSplit::Letters, "letters", 1, 26),
    (EmnistSplit::Digits, "digits", 0, 10),
    (EmnistSplit::Mnist, "mnist", 0, 10),
];

/// Training labels are the first, the last and the first; test labels the last.
fn emnist_folder(name: &str, size: [usize; 2]) -> PathBuf {
    let folder = folder(name);
    for (_, set, first, classes) in EMNIST {
        let last = first + classes as u8 - 1;
        let file = |part: &str, kind: &str| folder.join(format!("emnist-{set}-{part}-{kind}-ubyte"));
        fs::write(file("train", "images-idx3"), transposed(size, 0..3)).unwrap();
        fs::write(file("train", "labels-idx1"), labels(&[first, last, first])).unwrap();
        fs::write(file("test", "images-idx3"), transposed(size, 7..8)).unwrap();
        fs::write(file("test", "labels-idx1"), labels(&[last])).unwrap();
    }
    folder
}

#[test]
fn pictures_of_emnist_stand_upright_and_labels_count_from_0() {
    for size in [[28, 28], [3, 2], [1, 5]] {
        let folder = emnist_folder("emnist", size);
        for (split, _, _, classes) in EMNIST {
            let (train, test) = emnist::<f64>(&folder, split).unwrap();
            let last = classes - 1;
            for (data, numbers, labels) in [(&train, 0..3, &[0, last, 0][..]), (&test, 7..8, &[last][..])] {
                assert_eq!((data.labels(), data.classes()), (Some(labels), Some(classes)), "{split:?}");
                for (n, column) in numbers.zip(data.inputs().columns()) {
                    for (i, &pixel) in column.iter().enumerate() {
                        let (y, x) = (i / size[1], i % size[1]);
                        assert_eq!(pixel, f64::from(byte(n, 0, y, x)) / 255.0, "{split:?}, {y}, {x} of {size:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_label_that_a_set_of_emnist_has_not_is_named_with_its_file_and_picture() {
    let folder = emnist_folder("emnist-labels", [3, 2]);
    for (split, set, first, classes) in EMNIST {
        let at = folder.join(format!("emnist-{set}-train-labels-idx1-ubyte"));
        let (first, end) = (usize::from(first), usize::from(first) + classes);
        // Letters have no label 0.
        for other in first.checked_sub(1).into_iter().chain([end, 255]) {
            fs::write(&at, labels(&[first as u8, other as u8, first as u8])).unwrap();
            let words = ("label of picture 1".to_owned(), format!("one of {first}..{end}"), other.to_string());
            assert_eq!(fault(emnist::<f32>(&folder, split), &at), words);
        }
    }
}

#[test]
fn a_set_of_emnist_that_lacks_a_file_or_a_label_is_refused() {
    let folder = emnist_folder("emnist-lacks", [3, 2]);
    let file = |name: &str| folder.join(name);
    fs::write(file("emnist-digits-test-labels-idx1-ubyte"), labels(&[1, 2])).unwrap();
    let read = emnist::<f32>(&folder, EmnistSplit::Digits);
    assert!(matches!(read, Err(Error::Shape { expected: 1, found: 2, .. })), "{read:?}");
    fs::write(file("emnist-mnist-test-images-idx3-ubyte"), transposed([3, 3], 7..8)).unwrap();
    let read = emnist::<f32>(&folder, EmnistSplit::Mnist);
    assert!(matches!(read, Err(Error::Shape { expected: 6, found: 9, .. })), "{read:?}");
    let at = file("emnist-letters-test-images-idx3-ubyte");
    fs::write(&at, &transposed([3, 2], 7..8)[..21]).unwrap();
    let (place, expected, found) = fault(emnist::<f32>(&folder, EmnistSplit::Letters), &at);
    assert_eq!((&*place, &*expected, &*found), ("contents", "1 × 2 × 3 bytes", "5 bytes"));
    fs::remove_file(&at).unwrap();
    assert!(matches!(emnist::<f32>(&folder, EmnistSplit::Letters), Err(Error::Io { path, .. }) if path == at));
}

#[cfg(feature = "gz")]
#[test]
fn files_of_emnist_may_be_as_they_are_downloaded() {
    let folder = emnist_folder("emnist-packed", [3, 2]);
    let plain = emnist::<f64>(&folder, EmnistSplit::Balanced).unwrap();
    for kind in ["train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1"] {
        let at = folder.join(format!("emnist-balanced-{kind}-ubyte"));
        fs::write(at.with_extension("gz"), packed(&fs::read(&at).unwrap())).unwrap();
        fs::remove_file(at).unwrap();
    }
    assert_eq!(emnist::<f64>(&folder, EmnistSplit::Balanced).unwrap(), plain);
}
