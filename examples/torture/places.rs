use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use decoupled::layer::Activation;
use decoupled::{DecoupledNetwork, Error, Result};

use crate::Verdict;
use crate::loaders::write;

/// A network whose file has 160 kB.
fn network() -> Result<DecoupledNetwork<f32>> {
    DecoupledNetwork::builder(200).dense(200, Activation::Relu).threads(1).build()
}

/// Writes to a full disk, a read-only folder and a folder's name, each beside or over a file that must stay.
pub(crate) fn run(folder: &Path) -> Result<Vec<(&'static str, Verdict)>> {
    let network = network()?;
    let folder = folder.join("places");
    let old = folder.join("file");
    let failed = |error: std::io::Error| Error::Io { path: folder.clone(), source: error };
    fs::create_dir_all(&folder).map_err(failed)?;
    network.save(&old)?;
    let before = fs::read(&old).map_err(failed)?;
    let as_it_was = || {
        let alone = fs::read_dir(&folder).is_ok_and(|entries| entries.count() == 1);
        alone && fs::read(&old).is_ok_and(|bytes| bytes == before)
    };
    let is_refused = |path: &Path| match network.save(path) {
        Err(Error::Io { path: named, .. }) => named == path && as_it_was(),
        _ => false,
    };

    // Writes fail from 16 kB on, as on a full disk: ignored, the signal becomes an error.
    let own = std::env::current_exe().map_err(failed)?;
    let mut full = Command::new("sh");
    full.args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" --role full --file \"$1\""]).arg(own).arg(&old);
    let status = full.status().map_err(failed)?;
    let full = Verdict::of(status.success() && as_it_was(), "an error, the old file intact, no draft left");

    let permissions = fs::metadata(&folder).map_err(failed)?.permissions();
    let mut read_only = permissions.clone();
    read_only.set_readonly(true);
    fs::set_permissions(&folder, read_only).map_err(failed)?;
    let writable = File::create(folder.join("probe")).is_ok();
    let locked = if writable {
        let _ = fs::remove_file(folder.join("probe"));
        Verdict::Skipped("this user may write into one".to_owned())
    } else {
        Verdict::of(is_refused(&old), "an error, the old file intact")
    };
    fs::set_permissions(&folder, permissions).map_err(failed)?;

    let inner = folder.join("folder");
    fs::create_dir(&inner).map_err(failed)?;
    write(&inner.join("kept"), b"kept");
    let refused = matches!(network.save(&inner), Err(Error::Io { path, .. }) if path == inner)
        && matches!(network.save_checkpoint(&inner, &[]), Err(Error::Io { .. }))
        && DecoupledNetwork::<f32>::load(&inner).is_err();
    let kept = fs::read(inner.join("kept")).is_ok_and(|bytes| bytes == b"kept");
    fs::remove_dir_all(&inner).map_err(failed)?;
    let a_folder = Verdict::of(refused && kept && as_it_was(), "an error, all files intact");
    Ok(vec![("full disk", full), ("read-only folder", locked), ("path is a folder", a_folder)])
}

/// In the process for which the disk is full.
pub(crate) fn save_to_full_disk(path: &Path) -> Result<()> {
    match network()?.save(path) {
        Err(Error::Io { path: named, .. }) if named == path => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(Error::Unsupported { what: "a full disk", why: "the file was written" }),
    }
}
