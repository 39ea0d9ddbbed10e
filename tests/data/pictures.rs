//! Sets of pictures, from files that are made by hand as their formats are described.

use std::fs;
use std::path::{Path, PathBuf};

use decoupled::data::{cifar10, cifar100};
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
#[test]
fn files_of_cifar_may_be_packed() {
    use std::io::Write;

    let folder = cifar100_folder("packed");
    let plain = cifar100::<f64>(&folder).unwrap();
    let at = folder.join("train.bin");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&fs::read(&at).unwrap()).unwrap();
    fs::write(&at, packer.finish().unwrap()).unwrap();
    assert_eq!(cifar100::<f64>(&folder).unwrap(), plain);
}
