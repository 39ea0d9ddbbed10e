//! What the crate promises where things go wrong, in figures: processes killed while they save, files that are damaged or made to
//! do harm, disks that are full, layers that panic, and a long run.
//!
//! Every line is a promise: how often it was put to the test, and whether it held. The last line has the figures: processes that
//! were killed, files that were *unreadable* then, *strays* beside them; *mutants*, changed files that were given to the readers,
//! and *panics* over them; *undetected flips*, bits and ends that were missing and nobody noticed. All but the first and the
//! fourth should be 0, and the program ends with 1 where they are not, or where another promise fails.
//!
//! ```text
//! cargo run --release --features csv,gz --example torture
//! cargo run --release --features csv,gz --example torture -- --quick
//! cargo run --release --features csv,gz --example torture -- --reader npz --mutants 1000000
//! ```
//!
//! Without the feature `csv` the reader of CSV is left out, without `gz` all that is gzipped or deflated.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

use decoupled::Result;

mod flips;
mod kills;
mod layers;
mod loaders;
mod memory;
mod mutants;
#[path = "../common/options.rs"]
mod options;
mod panics;
mod places;
mod sizes;
mod soak;

use kills::Victim;
use options::{Options, refuse};

const USAGE: &str = "\
--quick          100 kills, 100,000 mutants for each reader and 1,000 epochs, instead of ten times as many
--kills N        processes to kill
--mutants N      changed files for each reader
--epochs N       of the long run
--seed N         (0)
--reader NAME    does nothing but give changed files to the readers whose names begin so
--corpus FOLDER  does nothing but write the files that mutants are made of, for tests/fuzz";

struct Settings {
    kills: usize,
    mutants: usize,
    epochs: usize,
    seed: u64,
    reader: Option<String>,
}

/// Whether a promise held, with what there is to say.
pub(crate) enum Verdict {
    Held(String),
    Missed(String),
    Skipped(String),
}

impl Verdict {
    pub(crate) fn of(held: bool, what: impl Into<String>) -> Self {
        if held { Self::Held(what.into()) } else { Self::Missed(what.into()) }
    }
}

fn main() {
    let mut options = Options::from_command_line(USAGE);
    let times = if options.flag("quick") { 1 } else { 10 };
    let settings = Settings {
        kills: options.count("kills", 100 * times),
        mutants: options.count("mutants", 100_000 * times),
        epochs: options.count("epochs", 1_000 * times),
        seed: options.value("seed", 0),
        reader: options.optional("reader"),
    };
    let role: Option<String> = options.optional("role");
    let file: Option<PathBuf> = options.optional("file");
    let corpus: Option<PathBuf> = options.optional("corpus");
    options.finish();
    let outcome = match (role, file, corpus) {
        (Some(role), Some(file), _) => play(&role, &file, settings.seed).map(|()| true),
        (_, _, Some(folder)) => write_corpus(&folder).map(|()| true),
        _ => in_folders(|disk, memory| torture(&settings, disk, memory)),
    };
    match outcome {
        Ok(true) => {}
        Ok(false) => exit(1),
        Err(error) => options::fail(&error),
    }
}

/// What a process of this program does for another.
fn play(role: &str, file: &Path, seed: u64) -> Result<()> {
    match Victim::of(role) {
        Some(victim) => victim.write(file, seed),
        None => places::save_to_full_disk(file),
    }
}

/// Lends a folder on the disk and one in memory, where the system has that, and removes them.
fn in_folders<R>(work: impl FnOnce(&Path, &Path) -> R) -> R {
    let shared = Path::new("/dev/shm");
    let memory = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let [disk, memory] = [("disk", std::env::temp_dir()), ("memory", memory)].map(|(name, parent)| {
        let folder = parent.join(format!("decoupled-torture-{}-{name}", std::process::id()));
        make(&folder);
        folder
    });
    let result = work(&disk, &memory);
    for folder in [disk, memory] {
        let _ = fs::remove_dir_all(folder);
    }
    result
}

fn make(folder: &Path) {
    fs::create_dir_all(folder).unwrap_or_else(|error| refuse(format!("{}: {error}", folder.display())));
}

fn write_corpus(folder: &Path) -> Result<()> {
    make(folder);
    for loader in loaders::all(folder)? {
        let name = loader.name.split(' ').next().unwrap_or_default().to_lowercase();
        make(&folder.join(&name));
        for (i, file) in loader.files.iter().enumerate() {
            loaders::write(&folder.join(&name).join(format!("{}-{i}", loader.name.replace(' ', "-"))), file);
        }
    }
    Ok(())
}

/// Prints a line for each promise; whether all held.
fn torture(settings: &Settings, disk: &Path, memory: &Path) -> Result<bool> {
    let mut all_held = true;
    let mut line = |name: &str, verdict: Verdict| {
        let (word, what) = match verdict {
            Verdict::Held(what) => ("ok", what),
            Verdict::Missed(what) => ("FAILED", what),
            Verdict::Skipped(what) => ("skipped", what),
        };
        all_held &= word != "FAILED";
        println!("{name:22} {word:8} {what}");
    };
    if let Some(name) = &settings.reader {
        let mut loaders = loaders::all(memory)?;
        loaders.retain(|loader| loader.name.starts_with(name.as_str()));
        line("hostile sizes", sizes::run(&loaders, memory)?);
        let (mutants, panics) = change(&loaders, settings, memory, &mut line)?;
        println!("\nmutants={mutants} panics={panics}");
        return Ok(all_held);
    }
    // First, while nothing else has used memory.
    line("long run", soak::run(settings.epochs)?);
    for (name, verdict) in places::run(disk)?.into_iter().chain(layers::run()?) {
        line(name, verdict);
    }
    let loaders = loaders::all(memory)?;
    line("hostile sizes", sizes::run(&loaders, memory)?);

    let mut undetected = 0;
    for loader in loaders.iter().filter(|loader| ["model", "checkpoint"].contains(&loader.name)) {
        let (damaged, taken) = flips::run(loader, memory)?;
        let what = format!("{damaged} with one bit changed or the end missing, {taken} of them taken");
        line(&format!("damaged {}s", loader.name), Verdict::of(taken == 0, what));
        undetected += taken;
    }

    let killed = kills::run(disk, settings.kills as u64, settings.seed)?;
    let what = format!("{} processes, {} of them in the middle of a file", killed.kills, killed.amid);
    line("killed", Verdict::of(killed.unreadable.is_empty() && killed.strays.is_empty(), what));
    killed.unreadable.iter().for_each(|what| println!("  unreadable: {what}"));
    killed.strays.iter().for_each(|stray| println!("  stray: {}", stray.display()));

    let (mutants, panics) = change(&loaders, settings, memory, &mut line)?;
    println!(
        "\nkills={} unreadable={} strays={} mutants={mutants} panics={panics} undetected_flips={undetected}",
        killed.kills,
        killed.unreadable.len(),
        killed.strays.len()
    );
    Ok(all_held)
}

/// Gives every reader changed files, with a line for each; how many they were, and over how many it panicked.
fn change(
    loaders: &[loaders::Loader],
    settings: &Settings,
    folder: &Path,
    line: &mut impl FnMut(&str, Verdict),
) -> Result<(u64, usize)> {
    let (mut mutants, mut panics) = (0, 0);
    for (loader, stream) in loaders.iter().zip(1..) {
        let outcome = mutants::run(loader, folder, settings.mutants as u64, settings.seed + stream)?;
        let held = outcome.panics.is_empty() && outcome.greedy == 0;
        let what = format!(
            "{} mutants, {} of them taken, {} panics, {} kB of memory at most, {} beyond 2 × the file + 16 MB",
            outcome.mutants,
            outcome.taken,
            outcome.panics.len(),
            outcome.most / 1024,
            outcome.greedy
        );
        line(loader.name, Verdict::of(held, what));
        outcome.panics.first().into_iter().for_each(|message| println!("  the first: {message}"));
        mutants += outcome.mutants;
        panics += outcome.panics.len();
    }
    Ok((mutants, panics))
}
