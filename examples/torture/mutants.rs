use std::fs::File;
use std::io::{Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use decoupled::Result;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};

use crate::loaders::Loader;
use crate::memory::most_of;
use crate::options::refuse;
use crate::panics::silenced;

/// What became of the mutants of one loader.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) mutants: u64,
    /// How many were files that it takes.
    pub(crate) taken: u64,
    pub(crate) panics: Vec<String>,
    /// How many took more memory than they may, and the most that any took.
    pub(crate) greedy: u64,
    pub(crate) most: usize,
}

/// Mutants are drawn in pieces of so many, each from a stream of its own.
const PIECE: u64 = 1000;
/// The memory that any load may take beside twice its file.
const ROOM: usize = 16 << 20;

/// Gives the loader so many mutants of its files, on all processors.
pub(crate) fn run(loader: &Loader, folder: &Path, mutants: u64, seed: u64) -> Result<Outcome> {
    let next = AtomicU64::new(0);
    let work = |worker: usize| {
        let path = folder.join(format!("mutant-{worker}"));
        let mut file = File::create(&path).unwrap_or_else(|error| refuse(format!("{}: {error}", path.display())));
        let mut read = (loader.reader)(path)?;
        let mut outcome = Outcome::default();
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            let count = PIECE.min(mutants.saturating_sub(piece * PIECE));
            if count == 0 {
                return Ok(outcome);
            }
            let mut rng = ChaCha12Rng::seed_from_u64(seed);
            rng.set_stream(piece);
            for _ in 0..count {
                let mutant = mutant(loader, &mut rng);
                put(&mut file, &mutant).unwrap_or_else(|error| refuse(error));
                let (read, most) = most_of(|| catch_unwind(AssertUnwindSafe(&mut read)));
                outcome.mutants += 1;
                outcome.taken += u64::from(matches!(read, Ok(Ok(()))));
                outcome.greedy += u64::from(most > 2 * mutant.len() + ROOM);
                outcome.most = outcome.most.max(most);
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let (outcomes, panics) = silenced(|| {
        thread::scope(|scope| {
            let work = &work;
            let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| refuse("a worker panicked"))).collect()
        })
    });
    let outcomes: Result<Vec<Outcome>> = outcomes;
    let add = |a: Outcome, b: Outcome| Outcome {
        mutants: a.mutants + b.mutants,
        taken: a.taken + b.taken,
        greedy: a.greedy + b.greedy,
        most: a.most.max(b.most),
        ..a
    };
    Ok(outcomes?.into_iter().fold(Outcome { panics, ..Outcome::default() }, add))
}

fn put(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// One of the files, changed in up to three places; half of those that have a checksum get the right one.
fn mutant(loader: &Loader, rng: &mut ChaCha12Rng) -> Vec<u8> {
    let file = pick(&loader.files, rng);
    let mut bytes = file.clone();
    for _ in 0..rng.random_range(1..4) {
        change(&mut bytes, &loader.files, rng);
    }
    if let Some(mend) = loader.mend.filter(|_| rng.random()) {
        mend(&mut bytes, file);
    }
    bytes
}

fn pick<'a, V>(from: &'a [V], rng: &mut ChaCha12Rng) -> &'a V {
    &from[rng.random_range(0..from.len())]
}

/// What stands in place of a number in text.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1.5",
    "00",
    "NaN",
    "1e308",
    "-1e999",
    "65536",
    "4294967296",
    "1152921504606846976",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
];
/// And in place of one in bytes.
const WORDS: [u64; 10] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 60, 1 << 63, u64::MAX];
/// What opens a level of JSON.
const LEVELS: [&str; 4] = ["[", "{\"a\":", "{\\\"kind\\\":", "{\\\"inner\\\":"];
/// Where most of a header lies.
const HEAD: usize = 256;

fn change(bytes: &mut Vec<u8>, files: &[Vec<u8>], rng: &mut ChaCha12Rng) {
    let within = if rng.random() { bytes.len().min(HEAD) } else { bytes.len() };
    let at = rng.random_range(0..=within);
    let end = rng.random_range(at..=bytes.len().min(at + 64));
    match rng.random_range(0..9) {
        0 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
        1 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte = rng.random()),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let other = pick(files, rng);
            let start = rng.random_range(0..=other.len());
            let piece = &other[start..rng.random_range(start..=other.len())];
            bytes.splice(at..end, piece.iter().copied());
        }
        5 => {
            let piece = bytes[at..end].repeat(rng.random_range(1..20));
            bytes.splice(at..at, piece);
        }
        6 => {
            let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else { return };
            let start = at + start;
            let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            bytes.splice(start..start + digits, pick(&NUMBERS, rng).bytes());
        }
        7 => {
            let (word, width) = (*pick(&WORDS, rng), *pick(&[1, 2, 4, 8], rng));
            let little = word.to_le_bytes();
            let mut piece = little[..width].to_vec();
            if rng.random() {
                piece.reverse();
            }
            // Fields lie at multiples of four, where a header is of fields.
            let at = if rng.random() { at / 4 * 4 } else { at };
            bytes[at..].iter_mut().zip(piece).for_each(|(byte, new)| *byte = new);
        }
        _ => {
            let levels = pick(&LEVELS, rng).repeat(*pick(&[1, 10, 100, 2000], rng));
            bytes.splice(at..at, levels.into_bytes());
        }
    }
}
