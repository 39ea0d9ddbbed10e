use std::path::Path;

use decoupled::Result;

use crate::loaders::{Loader, write};

/// How many files with one bit changed, or cut short, there are, and how many of them the loader takes.
pub(crate) fn run(loader: &Loader, folder: &Path) -> Result<(u64, u64)> {
    let path = folder.join("damaged");
    let mut read = (loader.reader)(path.clone())?;
    let (mut damaged, mut taken) = (0, 0);
    let mut look = |bytes: &[u8]| {
        write(&path, bytes);
        damaged += 1;
        taken += u64::from(read().is_ok());
    };
    for file in &loader.files {
        let mut changed = file.clone();
        for bit in 0..8 * file.len() {
            changed[bit / 8] ^= 1 << (bit % 8);
            look(&changed);
            changed[bit / 8] = file[bit / 8];
        }
        (0..file.len()).for_each(|length| look(&file[..length]));
    }
    Ok((damaged, taken))
}
