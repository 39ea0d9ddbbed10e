use std::path::Path;
use std::time::{Duration, Instant};

use decoupled::Result;

use crate::Verdict;
use crate::loaders::{Loader, write};
use crate::memory::most_of;

/// How long a refusal may take, and what memory.
const LONGEST: Duration = Duration::from_millis(10);
const MOST: usize = 1 << 20;

/// Gives readers small files that claim to be huge.
pub(crate) fn run(loaders: &[Loader], folder: &Path) -> Result<Verdict> {
    let path = folder.join("claim");
    let (mut claims, mut slowest, mut most, mut bad) = (0, Duration::ZERO, 0, Vec::new());
    for loader in loaders {
        let mut read = (loader.reader)(path.clone())?;
        for (claim, bytes) in claims_of(loader) {
            write(&path, &bytes);
            let mut time = Duration::MAX;
            // The least of three: other programs run as well.
            for _ in 0..3 {
                let start = Instant::now();
                let (result, held) = most_of(&mut read);
                time = time.min(start.elapsed());
                most = most.max(held);
                if result.is_ok() || held > MOST {
                    bad.push(format!("{}, {claim}", loader.name));
                }
            }
            if time > LONGEST {
                bad.push(format!("{}, {claim}: {time:?}", loader.name));
            }
            slowest = slowest.max(time);
            claims += 1;
        }
    }
    Ok(match bad.is_empty() {
        true => {
            Verdict::Held(format!("{claims} claims refused, the slowest in {slowest:.1?}, {} kB at most", most / 1024))
        }
        false => Verdict::Missed(bad.join("; ")),
    })
}

/// With what is claimed.
fn claims_of(loader: &Loader) -> Vec<(String, Vec<u8>)> {
    let zeros = vec![0; 1000];
    match loader.name {
        "model" | "checkpoint" | "weights" => tensors(loader),
        "npz" => archives(loader),
        "IDX images" => [[u32::MAX; 3], [1 << 11, 1 << 10, 1 << 11], [1 << 31, 1 << 31, 4], [1, 1, u32::MAX]]
            .map(|size| {
                let header = [0x0803].into_iter().chain(size).flat_map(u32::to_be_bytes);
                (format!("{size:?}"), header.chain(zeros.iter().copied()).collect())
            })
            .to_vec(),
        "IDX labels" => [u32::MAX, 1 << 31, 1001]
            .map(|count| {
                let header = [0x0801, count].into_iter().flat_map(u32::to_be_bytes);
                (count.to_string(), header.chain(zeros.iter().copied()).collect())
            })
            .to_vec(),
        "npy" => ["1073741824,", "9223372036854775808,", "4294967296, 4294967296", "2, 4611686018427387905", "0, 250"]
            .map(|shape| {
                let dictionary = format!("{{'descr': '<f4', 'fortran_order': True, 'shape': ({shape})}}\n");
                let length = [dictionary.len() as u8, 0];
                (shape.to_owned(), [b"\x93NUMPY\x01\x00", &length[..], dictionary.as_bytes(), &zeros].concat())
            })
            .into_iter()
            .chain([("a header of 4 GB".to_owned(), [b"\x93NUMPY\x02\x00\xff\xff\xff\xff", &zeros[..]].concat())])
            .collect(),
        // Text and a bank's file claim nothing: the former has what it has, the latter is held against a plan of the network's.
        _ => Vec::new(),
    }
}

/// Claims of the end and of the first entry of a directory.
fn archives(loader: &Loader) -> Vec<(String, Vec<u8>)> {
    let places = [("entries", "PK\x05\x06", 8), ("directory", "PK\x05\x06", 12), ("start", "PK\x05\x06", 16)]
        .into_iter()
        .chain([("packed", "PK\x01\x02", 20), ("bytes", "PK\x01\x02", 24), ("place", "PK\x01\x02", 42)]);
    let claims = places.flat_map(|(field, signature, offset)| {
        loader.files.iter().filter_map(move |file| {
            let at = file.windows(4).position(|window| window == signature.as_bytes())? + offset;
            let mut bytes = file.clone();
            bytes[at..at + 4].copy_from_slice(&[0xfe, 0xff, 0xff, 0xff]);
            Some((format!("{field} of 4294967294"), bytes))
        })
    });
    claims.collect()
}

fn tensors(loader: &Loader) -> Vec<(String, Vec<u8>)> {
    let Some(file) = loader.files.first() else { return Vec::new() };
    let lengths = [1 << 63, u64::MAX, 1 << 32, 100_000_000].map(|length: u64| {
        let mut bytes = file.clone();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        (format!("a header of {length} bytes"), bytes)
    });
    let texts = [
        ("\\\"input\\\":2", "\\\"input\\\":1152921504606846976"),
        ("\\\"input\\\":3", "\\\"input\\\":9223372036854775808"),
        ("\\\"output\\\":2", "\\\"output\\\":4294967296"),
        ("\\\"dim\\\":2", "\\\"dim\\\":1152921504606846976"),
        ("\\\"examples\\\":6", "\\\"examples\\\":1152921504606846976"),
        ("\\\"observers\\\":1", "\\\"observers\\\":9223372036854775808"),
        ("\\\"offsets\\\":[0,3]", "\\\"offsets\\\":[0,9223372036854775808]"),
        ("[2,3]", "[9223372036854775808,2]"),
        ("[2]", "[4294967296]"),
        ("[0,", "[18446744073709551615,"),
        ("[0,8]", "[0,4294967296]"),
    ];
    let changed = texts.into_iter().flat_map(|(from, to)| {
        loader.files.iter().filter_map(move |file| {
            let at = file.windows(from.len()).position(|window| window == from.as_bytes())?;
            let mut bytes = file.clone();
            bytes.splice(at..at + from.len(), to.bytes());
            if let Some(mend) = loader.mend {
                mend(&mut bytes, file);
            }
            Some((to.to_owned(), bytes))
        })
    });
    lengths.into_iter().chain(changed).collect()
}
