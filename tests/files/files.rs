//! Where files are written: through links, with the mode that is there, and nowhere but in regular files.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use decoupled::data::write_npy;
use decoupled::layer::Activation;
use decoupled::observer::{Checkpoint, History, OnNewBest};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, MatRef, Model, NetworkBuilder, Observer, Result, data};

use crate::common::crc32;

type Net = DecoupledNetwork<f64>;

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("decoupled-files-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn moons() -> Dataset<f64> {
    data::two_moons(12, 0.1, 0).unwrap()
}

fn builder() -> NetworkBuilder<f64> {
    Net::builder(2).dense(3, Activation::Tanh).dense(2, Activation::Identity).threads(1)
}

fn net() -> Net {
    builder().build().unwrap()
}

fn watched(observer: &mut dyn Observer<f64>) -> Result<()> {
    net().fit_observed(&moons(), &FitConfig::new().epochs(2), &mut [observer]).map(drop)
}

/// What writes a file, and whether it writes into one that is there instead of replacing it.
type Writer = (&'static str, bool, fn(&Path) -> Result<()>);

const WRITERS: &[Writer] = &[
    ("save", false, |path| net().save(path)),
    ("model", false, |path| Model::new(net()).save(path)),
    ("save_checkpoint", false, |path| net().save_checkpoint(path, &[])),
    ("checkpoint", false, |path| watched(&mut Checkpoint::new(path))),
    ("best", false, |path| watched(&mut Checkpoint::new(path).best_only())),
    ("npy", false, |path| write_npy(path, MatRef::<f64>::new(&[1.0, 2.0], 2, 1))),
    #[cfg(feature = "plot")]
    ("picture", false, |path| {
        let report = net().fit(&moons(), &FitConfig::new().epochs(2))?;
        decoupled::plot::training_curves(&[("a", &report)])?.save(path)
    }),
    ("csv", true, |path| watched(&mut History::csv(path))),
    ("json lines", true, |path| watched(&mut History::json_lines(path))),
];

/// It makes its file and opens one that is its own.
const BANK: Writer = ("bank", true, |path| {
    let mut net = builder().bank_file(path, 4).build()?;
    net.fit(&moons(), &FitConfig::new().epochs(1)).map(drop)
});

fn all() -> impl Iterator<Item = Writer> {
    WRITERS.iter().copied().chain([BANK])
}

const OLD: &[u8] = b"old";

#[test]
fn a_link_stays_and_its_target_is_written() {
    for (name, _, write) in WRITERS {
        let folder = Folder::new("links");
        fs::create_dir_all(folder.file("deep/er")).unwrap();
        // Absolute, relative, one that climbs, a chain of three; through a folder that is a link.
        let target = folder.file("deep/target");
        symlink(&target, folder.file("absolute")).unwrap();
        symlink("deep/target", folder.file("relative")).unwrap();
        symlink("../target", folder.file("deep/er/climbs")).unwrap();
        symlink("deep/er/climbs", folder.file("chain")).unwrap();
        symlink("deep/er", folder.file("folder")).unwrap();
        for link in ["absolute", "relative", "deep/er/climbs", "chain", "folder/climbs"] {
            fs::write(&target, OLD).unwrap();
            write(&folder.file(link)).unwrap_or_else(|error| panic!("{name}, {link}: {error}"));
            assert!(fs::symlink_metadata(folder.file(link)).unwrap().is_symlink(), "{name}: {link} is no link");
            assert_ne!(fs::read(&target).unwrap(), OLD, "{name}: the target of {link} is stale");
        }
        assert_eq!(folder.names(), ["absolute", "chain", "deep", "folder", "relative"], "{name}");
        assert_eq!(fs::read_dir(folder.file("deep")).unwrap().count(), 2, "{name}");
    }
}

#[test]
fn a_link_that_ends_nowhere_is_followed_to_where_the_file_is_to_be() {
    for (name, _, write) in all() {
        let folder = Folder::new("dangling");
        fs::create_dir(folder.file("deep")).unwrap();
        symlink("second", folder.file("first")).unwrap();
        symlink("deep/target", folder.file("second")).unwrap();
        write(&folder.file("first")).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(fs::symlink_metadata(folder.file("first")).unwrap().is_symlink(), "{name}");
        assert!(fs::symlink_metadata(folder.file("deep/target")).unwrap().is_file(), "{name}");
        assert_eq!((folder.names().len(), fs::read_dir(folder.file("deep")).unwrap().count()), (3, 1), "{name}");
        // And a second time, to the file that is there now.
        write(&folder.file("first")).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(fs::symlink_metadata(folder.file("second")).unwrap().is_symlink(), "{name}");

        // To a folder that is not there.
        symlink("missing/target", folder.file("lost")).unwrap();
        assert!(matches!(write(&folder.file("lost")), Err(Error::Io { path, .. }) if path == folder.file("lost")));
    }
}

#[test]
fn links_in_a_loop_are_an_error() {
    for (name, _, write) in all() {
        let folder = Folder::new("loop");
        symlink("b", folder.file("a")).unwrap();
        symlink("a", folder.file("b")).unwrap();
        symlink("self", folder.file("self")).unwrap();
        for link in ["a", "self"] {
            let error = write(&folder.file(link)).unwrap_err();
            assert!(matches!(&error, Error::Io { path, .. } if *path == folder.file(link)), "{name}: {error:?}");
        }
        assert_eq!(folder.names(), ["a", "b", "self"], "{name}");
    }
}

#[test]
fn a_file_keeps_its_mode_and_a_new_one_has_that_of_any_new_file() {
    for (name, _, write) in WRITERS {
        let folder = Folder::new("modes");
        let path = folder.file("file");
        for mode in [0o600, 0o640, 0o666, 0o604] {
            fs::write(&path, OLD).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            write(&path).unwrap();
            let found = fs::metadata(&path).unwrap();
            assert_eq!((found.mode() & 0o7777, found.len() > 3), (mode, true), "{name}: {:o}", found.mode());
        }
        fs::remove_file(&path).unwrap();
        write(&path).unwrap();
        File::create(folder.file("other")).unwrap();
        let mode = |path| fs::metadata(path).unwrap().mode();
        assert_eq!(mode(path), mode(folder.file("other")), "{name}");
    }
}

#[test]
fn a_file_keeps_its_owner_and_group_where_the_system_lets() {
    for (name, _, write) in WRITERS {
        let folder = Folder::new("owners");
        let path = folder.file("file");
        fs::write(&path, OLD).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
        // Only root gives files away.
        if chown(&path, Some(12_345), Some(54_321)).is_err() {
            return;
        }
        write(&path).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (12_345, 54_321, 0o660), "{name}");
    }
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A child of this test's own would hang in `open` if the refusal came too late: so a FIFO has a reader and a writer here.
#[test]
fn what_is_no_regular_file_is_refused_and_stays() {
    for (name, _, write) in all() {
        let folder = Folder::new("kinds");
        let (pipe, socket, inner) = (folder.file("fifo"), folder.file("socket"), folder.file("folder"));
        fifo(&pipe);
        let _both = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let _socket = UnixListener::bind(&socket).unwrap();
        fs::create_dir(&inner).unwrap();
        symlink("fifo", folder.file("link")).unwrap();
        let before = folder.names();
        let cases =
            [("fifo", "a FIFO"), ("socket", "a socket"), ("folder", "a folder"), ("link", "a FIFO"), (".", "a folder")];
        for (file, expected) in cases {
            let error = write(&folder.file(file)).unwrap_err();
            assert!(
                matches!(&error, Error::NotAFile { path, found } if *path == folder.file(file) && *found == expected),
                "{name}, {file}: {error:?}"
            );
            assert!(error.to_string().ends_with(&format!("expected a regular file, found {expected}")), "{error}");
        }
        let kind = |path: &Path| fs::symlink_metadata(path).unwrap().file_type();
        assert!(kind(&pipe).is_fifo() && kind(&socket).is_socket() && kind(&inner).is_dir(), "{name}");
        assert!(kind(&folder.file("link")).is_symlink() && folder.names() == before, "{name}: {:?}", folder.names());
    }
}

/// Beside the file, where a draft of it would be made.
#[test]
fn a_draft_that_is_no_regular_file_is_refused_and_stays() {
    for (name, in_place, write) in all() {
        if in_place && name != "bank" {
            continue;
        }
        let folder = Folder::new("drafts");
        let draft = folder.file(if name == "bank" { "file.new" } else { "file.tmp" });
        let refused = |expected| {
            let error = write(&folder.file("file")).unwrap_err();
            let own = matches!(&error, Error::NotAFile { path, found } if *path == draft && *found == expected);
            assert!(own && folder.names().len() == 1, "{name}: {error:?}");
        };
        fifo(&draft);
        refused("a FIFO");
        fs::remove_file(&draft).unwrap();
        symlink("elsewhere", &draft).unwrap();
        refused("a symbolic link");
    }
}

#[test]
fn a_name_may_be_as_long_as_the_system_has_them() {
    for (name, in_place, write) in all() {
        for length in [251, 252, 255] {
            let folder = Folder::new("long");
            let long = "n".repeat(length);
            let path = folder.file(&long);
            for _ in 0..2 {
                write(&path).unwrap_or_else(|error| panic!("{name}, {length} bytes: {error}"));
                assert_eq!(folder.names(), [&*long], "{name}");
            }
            if in_place {
                continue;
            }
            // What a process left that was killed is replaced, unless it is still written.
            let short = format!("{:08x}.tmp", crc32(long.as_bytes()));
            let draft = folder.file(&if length == 251 { format!("{long}.tmp") } else { short });
            fs::write(&draft, b"left").unwrap();
            let held = File::open(&draft).unwrap();
            held.lock().unwrap();
            assert!(matches!(write(&path), Err(Error::Io { .. })), "{name}");
            assert_eq!(fs::read(&draft).unwrap(), b"left", "{name}");
            drop(held);
            write(&path).unwrap();
            assert_eq!(folder.names(), [&*long], "{name}");
        }
        let folder = Folder::new("too-long");
        let path = folder.file(&"n".repeat(256));
        assert!(matches!(write(&path), Err(Error::Io { .. })), "{name}");
        assert!(folder.names().is_empty(), "{name}: {:?}", folder.names());
    }
}

/// As documented: a hard link is another name of the old file.
#[test]
fn other_hard_links_keep_the_old_file_where_it_is_replaced() {
    for (name, in_place, write) in WRITERS {
        let folder = Folder::new("hard");
        fs::write(folder.file("one"), OLD).unwrap();
        fs::hard_link(folder.file("one"), folder.file("other")).unwrap();
        write(&folder.file("one")).unwrap();
        assert_eq!(fs::read(folder.file("other")).unwrap() == OLD, !in_place, "{name}");
    }
}

/// Nobody waits fifty epochs for it.
#[test]
fn a_place_that_cannot_be_written_is_found_at_the_start() {
    let folder = Folder::new("start");
    fs::create_dir(folder.file("folder")).unwrap();
    fs::write(folder.file("plain"), OLD).unwrap();
    fifo(&folder.file("fifo"));
    let _both = fs::OpenOptions::new().read(true).write(true).open(folder.file("fifo")).unwrap();
    let closed = folder.file("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
    let mut places = vec![folder.file("missing/file"), folder.file("folder"), folder.file("plain/file")];
    places.push(folder.file("fifo"));
    // Root writes everywhere, but for a file system that has no files to be made.
    if File::create(closed.join("probe")).is_err() {
        places.push(closed.join("file"));
    }
    // The name of a folder, though there is none.
    places.push(folder.file("slash/"));
    if cfg!(target_os = "linux") {
        places.push(PathBuf::from("/proc/file"));
    }
    for place in places {
        let mut observers: Vec<Box<dyn Observer<f64>>> = vec![
            Box::new(Checkpoint::new(&place)),
            Box::new(Checkpoint::new(&place).every(50)),
            Box::new(Checkpoint::new(&place).best_only()),
            Box::new(OnNewBest::new(Checkpoint::new(&place))),
            Box::new(History::csv(&place)),
            Box::new(History::json_lines(&place).append()),
        ];
        for (number, observer) in observers.iter_mut().enumerate() {
            let mut net = net();
            let error = net.fit_observed(&moons(), &FitConfig::new().epochs(50), &mut [&mut **observer]).unwrap_err();
            let named = matches!(&error, Error::Io { path, .. } | Error::NotAFile { path, .. } if *path == place);
            assert!(named, "{number}: {error:?}");
            assert_eq!((net.epochs(), net.updates(), net.bank().is_none()), (0, 0, true), "{number}, {place:?}");
        }
    }
    fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(folder.names(), ["closed", "fifo", "folder", "plain"]);
    assert_eq!(fs::read(folder.file("plain")).unwrap(), OLD);
}

/// Who fails after another has started leaves the other's file as it was.
#[test]
fn a_fit_that_does_not_begin_changes_no_file() {
    let folder = Folder::new("untouched");
    let (csv, file) = (folder.file("run.csv"), folder.file("run"));
    fs::write(&csv, OLD).unwrap();
    fs::write(&file, OLD).unwrap();
    let (mut history, mut checkpoint) = (History::csv(&csv), Checkpoint::new(&file));
    let mut fails = Checkpoint::new(folder.file("missing/file"));
    let outcome = net().fit_observed(&moons(), &FitConfig::new(), &mut [&mut history, &mut checkpoint, &mut fails]);
    assert!(matches!(outcome, Err(Error::Io { .. })));
    assert_eq!((fs::read(&csv).unwrap(), fs::read(&file).unwrap(), folder.names().len()), (OLD.into(), OLD.into(), 2));
}
