use std::fs;
use std::path::{Path, PathBuf};

/// A file with these bytes, in memory where the system has a folder there.
pub(crate) fn file(bytes: &[u8]) -> PathBuf {
    let folder = Path::new("/dev/shm");
    let folder = if folder.is_dir() { folder.to_owned() } else { std::env::temp_dir() };
    let path = folder.join(format!("decoupled-fuzz-{}", std::process::id()));
    fs::write(&path, bytes).expect("a folder for temporary files");
    path
}

/// The same with the right checksum, where a safetensors file of this crate has it.
#[allow(dead_code, reason = "not every format has one")]
pub(crate) fn mended(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: std::ops::Range<usize> = 34..42;
    let mut bytes = bytes.to_vec();
    if bytes.len() >= DIGITS.end {
        bytes[DIGITS].copy_from_slice(b"00000000");
        let digits = format!("{:08x}", crc32fast::hash(&bytes));
        bytes[DIGITS].copy_from_slice(digits.as_bytes());
    }
    bytes
}
