//! Arrays as they come: archives of NumPy, packed files, and pipes.

use std::fs;
use std::path::{Path, PathBuf};

use decoupled::data::{Npz, read_idx_images, read_idx_labels, read_npy, read_npy_labels};
use decoupled::{Error, Result};

/// Made by NumPy and Python, see files.py beside it.
const FILES: &str = include_str!("../arrays/files.txt");

/// A file with what NumPy reads in it.
struct File {
    bytes: Vec<u8>,
    arrays: Vec<Array>,
}

/// Examples, features and numbers of a name.
#[derive(Debug, PartialEq)]
struct Array {
    name: String,
    size: (usize, usize),
    numbers: Vec<f64>,
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn python(name: &str) -> File {
    let line = FILES.lines().find(|line| line.split(';').next() == Some(name)).unwrap();
    let mut fields = line.split(';').skip(1);
    let bytes = hex(fields.next().unwrap());
    let array = |field: &str| {
        let (name, rest) = field.split_once('=').unwrap();
        let (size, numbers) = rest.split_once(':').unwrap();
        let (examples, features) = size.split_once('x').unwrap();
        let size = (examples.parse().unwrap(), features.parse().unwrap());
        Array { name: name.to_owned(), size, numbers: numbers.split(',').map(|x| x.parse().unwrap()).collect() }
    };
    File { bytes, arrays: fields.map(array).collect() }
}

fn saved(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("arrays").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// All arrays of an archive.
fn read_all(path: &Path) -> Result<Vec<Array>> {
    let mut file = Npz::open(path)?;
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let read = |name: String| {
        let table = file.read::<f64>(&name)?;
        let size = (table.matrix().cols(), table.matrix().rows());
        Ok(Array { name, size, numbers: table.matrix().as_slice().to_vec() })
    };
    names.into_iter().map(read).collect()
}

#[track_caller]
fn assert_format_error<V: std::fmt::Debug>(result: Result<V>, at: &str, remedy: &str) {
    let Err(Error::Format { place, expected, found, .. }) = &result else { panic!("{result:?}") };
    assert!(place.starts_with(at) && (expected.contains(remedy) || found.contains(remedy)), "{result:?}");
}

const STORED: [&str; 6] = ["stored", "unnamed", "other_letters", "streamed", "comment", "wide"];
const PACKED: [&str; 6] = ["packed", "fortran", "zeros", "streamed_packed", "best", "wide_packed"];

fn assert_archive(name: &str) {
    let file = python(name);
    let path = saved(&format!("{name}.npz"), &file.bytes);
    assert_eq!(read_all(&path).unwrap(), file.arrays, "{name}");
    let mut open = Npz::open(&path).unwrap();
    // In any order, again and again, in either precision, and by the name that the archive has.
    for Array { name, size, numbers } in file.arrays.iter().rev().chain(&file.arrays) {
        let single = open.read::<f32>(&format!("{name}.npy")).unwrap();
        assert_eq!((single.matrix().cols(), single.matrix().rows()), *size);
        assert!(single.matrix().as_slice().iter().zip(numbers).all(|(&found, &x)| found == x as f32));
        if name == "labels" {
            let labels: Vec<usize> = numbers.iter().map(|&x| x as usize).collect();
            assert_eq!(open.read_labels(name).unwrap(), labels);
        }
    }
}

#[test]
fn an_archive_has_the_arrays_that_numpy_reads_in_it() {
    STORED.into_iter().for_each(assert_archive);
}

#[cfg(feature = "gz")]
#[test]
fn an_archive_that_is_packed_has_the_arrays_that_numpy_reads_in_it() {
    PACKED.into_iter().for_each(assert_archive);
}

#[test]
fn no_changed_byte_and_no_missing_end_gives_another_number() {
    for name in ["stored", "wide", "streamed_packed"] {
        let file = python(name);
        let read = |bytes: &[u8]| read_all(&saved("damaged.npz", bytes));
        let whole = |bytes: &[u8]| match read(bytes) {
            Ok(arrays) => assert_eq!(arrays, file.arrays),
            Err(Error::Format { .. } | Error::Empty { .. }) => {}
            Err(error) => panic!("{error:?}"),
        };
        for at in 0..file.bytes.len() {
            let mut changed = file.bytes.clone();
            for bit in [1, 0xff] {
                changed[at] = file.bytes[at] ^ bit;
                whole(&changed);
            }
            assert!(matches!(read(&file.bytes[..at]), Err(Error::Format { .. })), "{name}, {at} bytes");
        }
    }
}

#[test]
fn what_is_no_archive_or_not_in_it_is_refused_with_a_remedy() {
    let open = |name: &str, bytes: &[u8]| Npz::open(saved(name, bytes));
    let stored = python("stored").bytes;
    assert_format_error(open("stored.npz", &stored).unwrap().read::<f32>("y"), "its names", "x, labels, pictures");
    assert_format_error(open("none.npz", &python("none").bytes).unwrap().read::<f32>("y"), "its names", "one of");
    assert_format_error(open("table.npz", &python("npy_unpacked").bytes), "its end", "read_npy");
    assert_format_error(open("empty.npz", &[]), "its end", "numpy.savez");
    assert_format_error(open("table.npz", &stored).unwrap().read_labels("x"), "x, shape", "one label");
    assert_format_error(
        open("note.npz", &python("note").bytes).unwrap().read::<f64>("note.txt"),
        "note.txt, byte 0",
        "",
    );
    assert_eq!(open("note.npz", &python("note").bytes).unwrap().read::<f64>("x").unwrap().matrix().cols(), 3);
    let bzip2 = open("bzip2.npz", &python("bzip2").bytes).unwrap().read::<f64>("x");
    assert_format_error(bzip2, "x, its method", "8, deflated");

    let edit = |name: &str, signature: &[u8], at: usize, new: &[u8]| {
        let mut bytes = python(name).bytes;
        let start = bytes.windows(4).position(|window| window == signature).unwrap() + at;
        bytes[start..start + new.len()].copy_from_slice(new);
        bytes
    };
    // Flags, the sum and the name of the first entry, and the name of its own header.
    let encrypted = open("encrypted.npz", &edit("stored", b"PK\x01\x02", 8, &[1, 0])).unwrap().read::<f32>("x");
    assert_format_error(encrypted, "x, its flags", "no encryption");
    let sum = open("sum.npz", &edit("stored", b"PK\x01\x02", 16, &[0; 4])).unwrap().read::<f32>("x");
    assert_format_error(sum, "x, its checksum", "00000000");
    assert_format_error(open("twice.npz", &edit("wide", b"PK\x01\x02", 46, b"y")), "its names", "y twice");
    let other = open("other.npz", &edit("stored", b"PK\x01\x02", 46, b"z")).unwrap().read::<f32>("z");
    assert_format_error(other, "z, byte 0", "another member");
    let missing = Npz::open("no/such/file.npz");
    assert!(matches!(missing, Err(Error::Io { path, .. }) if path == Path::new("no/such/file.npz")));
}

#[test]
fn no_claim_of_an_archive_is_believed() {
    let stored = python("stored").bytes;
    let (entry, end) = (
        stored.windows(4).position(|window| window == b"PK\x01\x02").unwrap(),
        stored.windows(4).position(|window| window == b"PK\x05\x06").unwrap(),
    );
    let claim = |at: usize, new: &[u8]| {
        let mut bytes = stored.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        Npz::open(saved("claim.npz", &bytes)).and_then(|mut open| open.read::<f32>("x"))
    };
    let huge = [0xfe, 0xff, 0xff, 0xff];
    // The number of entries, the bytes of the directory and its place; of an entry its bytes, packed and not, and its place.
    assert_format_error(claim(end + 8, &[0xff; 4]), "its directory", "65535 entries");
    assert_format_error(claim(end + 12, &huge), "its directory", "4294967294 bytes");
    assert_format_error(claim(end + 16, &huge), "its directory", "from 4294967294 on");
    assert_format_error(claim(end + 8, &[2, 0, 2, 0]), "its directory", "58 bytes more");
    assert_format_error(claim(entry + 20, &huge), "entry 0 of its directory", "a member before");
    assert_format_error(claim(entry + 24, &huge), "x, its bytes", "4294967294");
    assert_format_error(claim(entry + 42, &huge), "entry 0 of its directory", "a member before");
    assert_format_error(claim(entry + 20, &[151, 0, 0, 0]), "x, its bytes", "151");
    // Fields of 64 bits that are not there, and an end beyond the file.
    assert_format_error(claim(entry + 24, &[0xff; 4]), "x, its bytes", "4294967295");
    let wide = python("wide").bytes;
    let locator = wide.windows(4).position(|window| window == b"PK\x06\x07").unwrap();
    for place in [u64::MAX, 1 << 63, wide.len() as u64, 7] {
        let mut bytes = wide.clone();
        bytes[locator + 8..locator + 16].copy_from_slice(&place.to_le_bytes());
        assert_format_error(Npz::open(saved("claim.npz", &bytes)), "its end", "zip archive");
    }
}

#[cfg(feature = "gz")]
#[test]
fn packed_files_are_read_as_if_they_were_not() {
    for name in ["images", "images_named", "images_unpacked"] {
        let File { bytes, arrays } = python(name);
        let images = read_idx_images::<f64>(saved(name, &bytes)).unwrap();
        assert_eq!((images.matrix().cols(), images.matrix().rows()), arrays[0].size);
        assert_eq!(images.matrix().as_slice(), arrays[0].numbers);
    }
    for name in ["digits", "digits_unpacked"] {
        assert_eq!(read_idx_labels(saved(name, &python(name).bytes)).unwrap(), [2, 0, 9]);
    }
    for name in ["npy", "npy_stored", "npy_parts", "npy_unpacked"] {
        let File { bytes, arrays } = python(name);
        let table = read_npy::<f64>(saved(name, &bytes)).unwrap();
        assert_eq!(table.matrix().as_slice(), arrays[0].numbers);
    }
}

#[cfg(feature = "gz")]
#[test]
fn a_packed_file_that_is_damaged_or_cut_is_refused() {
    let bytes = python("images").bytes;
    let expected = read_idx_images::<f64>(saved("images", &bytes)).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        for bit in [1, 8, 64, 0xff] {
            changed[at] = bytes[at] ^ bit;
            match read_idx_images::<f64>(saved("damaged.gz", &changed)) {
                // A time, flags and a system may be any.
                Ok(images) => assert!(images == expected && (3..10).contains(&at), "byte {at}"),
                Err(error) => assert!(matches!(error, Error::Format { .. }), "{error:?}"),
            }
        }
        assert!(
            matches!(read_idx_images::<f64>(saved("cut.gz", &bytes[..at])), Err(Error::Format { .. })),
            "{at} bytes"
        );
    }
    assert_format_error(read_idx_labels(saved("images.gz", &bytes)), "byte 0", "read_idx_images");
}

#[cfg(feature = "gz")]
#[test]
fn a_folder_of_packed_files_is_mnist_and_one_that_is_unpacked_comes_first() {
    let (images, digits) = (python("images").bytes, python("digits").bytes);
    for (folder, mark) in [("packed_dotted", '.'), ("packed_dashed", '-')] {
        for part in ["train", "t10k"] {
            saved(&format!("{folder}/{part}-images{mark}idx3-ubyte.gz"), &images);
            saved(&format!("{folder}/{part}-labels{mark}idx1-ubyte.gz"), &digits);
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("arrays").join(folder);
        let (train, test) = decoupled::data::mnist::<f64>(&folder).unwrap();
        assert_eq!(
            (train.inputs().as_slice(), train.labels()),
            (&*python("images").arrays[0].numbers, Some(&[2, 0, 9][..]))
        );
        assert_eq!(train, test);
        let unpacked = folder.join("t10k-labels-idx1-ubyte");
        fs::write(&unpacked, [0, 0, 8, 1, 0, 0, 0, 3, 1, 1, 1]).unwrap();
        assert_eq!(decoupled::data::mnist::<f64>(&folder).unwrap().1.labels(), Some(&[1, 1, 1][..]));
        fs::remove_file(unpacked).unwrap();
    }
}

#[cfg(not(feature = "gz"))]
#[test]
fn packed_files_name_the_feature_that_reads_them() {
    assert_format_error(read_idx_images::<f32>(saved("images", &python("images").bytes)), "byte 0", "feature gz");
    assert_format_error(read_npy::<f32>(saved("npy", &python("npy").bytes)), "byte 0", "feature gz");
    for name in PACKED {
        assert_format_error(read_all(&saved(name, &python(name).bytes)), "", "feature gz");
    }
}

#[test]
fn idx_files_of_other_kinds_say_what_they_are() {
    for (magic, found) in [
        ([0, 0, 8, 1], "0x00000801, unsigned bytes in 1 dimensions; read_idx_labels reads them"),
        (
            [0, 0, 0xc, 3],
            "0x00000c03, integers of 4 bytes in 3 dimensions; numpy.save makes a file for read_npy of an array",
        ),
        ([0, 0, 0xd, 2], "0x00000d02, floats in 2 dimensions; numpy.save makes a file for read_npy of an array"),
    ] {
        let read = read_idx_images::<f32>(saved("kind", &[&magic[..], &[0; 60]].concat()));
        assert_format_error(read, "byte 0", found);
    }
    let read = read_idx_labels(saved("kind", &python("images_unpacked").bytes));
    assert_format_error(read, "byte 0", "0x00000803, unsigned bytes in 3 dimensions; read_idx_images reads them");
}

#[cfg(unix)]
mod pipes {
    use std::process::Command;
    use std::thread;

    use super::*;

    /// What `read` makes of a pipe into which another thread writes.
    fn through<R>(bytes: &[u8], read: impl FnOnce(&Path) -> R) -> R {
        let name = thread::current().name().unwrap().replace("::", "-");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pipe"));
        // One that a test left when it was stopped.
        fs::remove_file(&path).unwrap_or_default();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let result = thread::scope(|scope| {
            // Nobody reads on when a file is refused.
            scope.spawn(|| fs::write(&path, bytes).unwrap_or_default());
            read(&path)
        });
        fs::remove_file(path).unwrap();
        result
    }

    #[test]
    fn arrays_come_through_a_pipe() {
        let expected = python("npy_unpacked").arrays;
        let table = through(&python("npy_unpacked").bytes, |path| read_npy::<f64>(path)).unwrap();
        assert_eq!(table.matrix().as_slice(), expected[0].numbers);
        let file = python("stored");
        assert_eq!(through(&file.bytes, read_all).unwrap(), file.arrays);
        let file = python("images_unpacked");
        let images = through(&file.bytes, |path| read_idx_images::<f64>(path)).unwrap();
        assert_eq!(images.matrix().as_slice(), file.arrays[0].numbers);
        assert_eq!(through(&python("digits_unpacked").bytes, |path| read_idx_labels(path)).unwrap(), [2, 0, 9]);
    }

    #[cfg(feature = "gz")]
    #[test]
    fn packed_arrays_come_through_a_pipe() {
        let file = python("packed");
        assert_eq!(through(&file.bytes, read_all).unwrap(), file.arrays);
        let file = python("images");
        let images = through(&file.bytes, |path| read_idx_images::<f64>(path)).unwrap();
        assert_eq!(images.matrix().as_slice(), file.arrays[0].numbers);
    }

    #[test]
    fn what_a_pipe_lacks_or_has_too_much_is_an_error() {
        for name in ["npy_unpacked", "digits_unpacked", "images_unpacked"] {
            let bytes = python(name).bytes;
            let read = |path: &Path| match name {
                "npy_unpacked" => read_npy::<f32>(path).err(),
                "digits_unpacked" => read_idx_labels(path).err(),
                _ => read_idx_images::<f32>(path).err(),
            };
            for bytes in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
                let error = through(bytes, read);
                assert!(matches!(&error, Some(Error::Format { place, .. }) if place == "contents"), "{error:?}");
            }
        }
    }

    /// What has no end is refused at its beginning.
    #[test]
    fn a_device_without_an_end_is_refused() {
        let zeros = "/dev/zero";
        if !Path::new(zeros).exists() {
            return;
        }
        assert_format_error(read_npy::<f32>(zeros), "byte 0", "NUMPY");
        assert_format_error(read_npy_labels(zeros), "byte 0", "NUMPY");
        assert_format_error(read_idx_images::<f32>(zeros), "byte 0", "0x00000000");
        assert_format_error(read_idx_labels(zeros), "byte 0", "0x00000000");
        assert_format_error(Npz::open(zeros), "byte 0", "PK");
    }

    #[cfg(feature = "csv")]
    #[test]
    fn a_table_comes_through_a_pipe() {
        let options = decoupled::data::csv::Options::classes("kind");
        let table = through(b"x,kind\n1,oak\n2,elm\n", |path| options.read::<f64>(path)).unwrap();
        assert_eq!(
            (table.dataset.inputs().as_slice(), table.classes),
            (&[1.0, 2.0][..], vec!["elm".into(), "oak".into()])
        );
    }

    #[cfg(feature = "save")]
    #[test]
    fn a_network_comes_through_a_pipe() {
        use decoupled::{DecoupledNetwork, layer::Activation};

        let network = DecoupledNetwork::<f32>::builder(300).dense(200, Activation::Tanh).build().unwrap();
        let path = saved("network.safetensors", &[]);
        network.save(&path).unwrap();
        let bytes = fs::read(path).unwrap();
        let load = |path: &Path| DecoupledNetwork::<f32>::load(path);
        assert_eq!(through(&bytes, load).unwrap().params(0), network.params(0));
        let mut other = DecoupledNetwork::<f32>::builder(300).dense(200, Activation::Tanh).seed(5).build().unwrap();
        through(&bytes, |path| other.load_params(path)).unwrap();
        assert_eq!(other.params(0), network.params(0));
        for bytes in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat(), &bytes[..50], &bytes[..5]] {
            assert_format_error(through(bytes, load).map(|_| ()), "its length", "");
        }
        assert_format_error(load(Path::new("/dev/zero")).map(|_| ()), "its header", "");
    }
}
