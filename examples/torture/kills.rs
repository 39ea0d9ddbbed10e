use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use decoupled::layer::Activation;
use decoupled::observer::Checkpoint;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, EpochReport, FitConfig, Method, Result, data};

use crate::options::refuse;

/// What a process that is to be killed writes again and again.
#[derive(Clone, Copy)]
pub(crate) enum Victim {
    Model,
    Checkpoint,
    Bank,
}

/// Of how many kills, in order, which are on what.
const SHARES: [(Victim, u64); 3] = [(Victim::Model, 45), (Victim::Checkpoint, 45), (Victim::Bank, 10)];

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) kills: u64,
    pub(crate) unreadable: Vec<String>,
    /// Files beside the one that is written and one draft of it.
    pub(crate) strays: BTreeSet<PathBuf>,
    /// Kills that left a draft or an epoch cut short: they came in the middle.
    pub(crate) amid: u64,
}

impl Victim {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Checkpoint => "checkpoint",
            Self::Bank => "bank",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        SHARES.into_iter().map(|(victim, _)| victim).find(|victim| victim.name() == name)
    }

    /// The name that a file has while it is made.
    fn draft(self) -> &'static str {
        match self {
            Self::Bank => "file.new",
            _ => "file.tmp",
        }
    }

    /// Writes until it is killed; says when it begins.
    pub(crate) fn write(self, path: &Path, seed: u64) -> Result<()> {
        let mut network = self.network(path, seed)?;
        let begins = || println!("writing");
        match self {
            Self::Model => {
                begins();
                loop {
                    network.save(path)?;
                }
            }
            Self::Checkpoint => {
                let mut first = |epoch: &EpochReport| {
                    if epoch.epoch == 1 {
                        begins();
                    }
                    ControlFlow::Continue(())
                };
                let mut checkpoint = Checkpoint::new(path);
                let config = config().epochs(usize::MAX / 2);
                network.fit_observed(&data()?, &config, &mut [&mut first, &mut checkpoint]).map(|_| ())
            }
            Self::Bank => {
                let data = data()?;
                network.fit(&data, &config())?;
                begins();
                loop {
                    network.fit(&data, &config())?;
                }
            }
        }
    }

    /// Files of 80 kB to 1 MB for models, 270 kB for the others.
    fn network(self, path: &Path, seed: u64) -> Result<DecoupledNetwork<f32>> {
        let (inputs, width) = if matches!(self, Self::Model) { (400, 50 + seed as usize % 600) } else { (2, 64) };
        let builder = DecoupledNetwork::builder(inputs).dense(width, Activation::Tanh).dense(2, Activation::Identity);
        let builder = if matches!(self, Self::Bank) { builder.bank_file(path, EXAMPLES / 5) } else { builder };
        builder.threads(1).seed(seed).build()
    }

    /// What a later process makes of the file.
    fn read(self, path: &Path) -> std::result::Result<(), String> {
        let read = || match self {
            Self::Model => DecoupledNetwork::<f32>::load(path).map(|_| Ok(())),
            Self::Checkpoint => self.network(path, 0)?.resume(path, &mut []).map(Ok),
            Self::Bank => {
                let mut network = self.network(path, 0)?;
                network.fit(&data()?, &config())?;
                Ok(network.bank_file().map_or(Err("no bank".to_owned()), |file| {
                    (0..file.blocks()).try_for_each(|k| {
                        let steps = file.block(k).map_err(|error| error.to_string())?.steps();
                        let whole = steps.iter().all(|&own| own == steps[0]);
                        if whole { Ok(()) } else { Err(format!("block {k} is of two versions")) }
                    })
                }))
            }
        };
        read().map_err(|error| error.to_string())?
    }

    /// Whether the last one was killed in the middle: by the draft it left, or what the bank says of its last epoch.
    fn was_writing(self, path: &Path) -> bool {
        let training = |bytes: Vec<u8>| bytes.get(4088..4096).is_some_and(|state| state == b"training");
        match self {
            Self::Bank => fs::read(path).is_ok_and(training),
            _ => path.with_file_name(self.draft()).exists(),
        }
    }
}

const EXAMPLES: usize = 1000;

fn data() -> Result<Dataset<f32>> {
    data::two_moons(EXAMPLES, 0.2, 0)
}

fn config() -> FitConfig<'static, f32> {
    FitConfig::new().epochs(1).batch_size(100).shuffle_blocks(EXAMPLES / 5).method(Method::joint(0.1))
}

/// Kills so many processes that write into a folder, at random instants, and reads what is left each time.
pub(crate) fn run(folder: &Path, kills: u64, seed: u64) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    for (victim, share) in SHARES {
        let folder = folder.join(victim.name());
        let path = folder.join("file");
        let failed = |error: io::Error| -> ! { refuse(format!("{}: {error}", folder.display())) };
        fs::create_dir_all(&folder).unwrap_or_else(|error| failed(error));
        // One is there from the start.
        match victim {
            Victim::Model => victim.network(&path, 0)?.save(&path)?,
            Victim::Checkpoint => victim.network(&path, 0)?.save_checkpoint(&path, &[])?,
            Victim::Bank => {}
        }
        for kill in 0..kills * share / 100 {
            kill_one(victim, &path, &mut rng).unwrap_or_else(|error| failed(error));
            outcome.kills += 1;
            outcome.amid += u64::from(victim.was_writing(&path));
            if let Err(error) = victim.read(&path) {
                outcome.unreadable.push(format!("{} after kill {kill}: {error}", victim.name()));
            }
            let own = [path.clone(), path.with_file_name(victim.draft())];
            let found = fs::read_dir(&folder).unwrap_or_else(|error| failed(error));
            outcome.strays.extend(found.flatten().map(|entry| entry.path()).filter(|found| !own.contains(found)));
        }
    }
    Ok(outcome)
}

/// Starts this program as the victim, lets it write for an instant, and kills it.
fn kill_one(victim: Victim, path: &Path, rng: &mut ChaCha12Rng) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--role", victim.name(), "--seed", &rng.random_range(0..10_000).to_string(), "--file"]).arg(path);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(out) = &mut child.stdout {
        BufReader::new(out).read_line(&mut line)?;
    }
    sleep(Duration::from_micros(rng.random_range(0..10_000)));
    let ended = child.try_wait()?;
    child.kill()?;
    child.wait()?;
    match (line.trim(), ended) {
        ("writing", None) => Ok(()),
        _ => Err(io::Error::other(format!("a {} process ended before it was killed", victim.name()))),
    }
}
