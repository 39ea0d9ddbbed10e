//! A bank eight times as large as the memory that it is given: MNIST by a method that keeps multipliers for every example, once
//! with the bank in memory and once in a file, under a limit that the system puts on the process.
//!
//! Every run is a process of its own. The first trains by backpropagation, without a bank, and says how much memory that takes;
//! an eighth of the bank more is the limit. Under it the bank in memory is refused; in a file it trains. Look at what the file
//! costs in time, and that the parameters are the same bit for bit. With `--storage bf16` a network of full storage trains
//! beside it, for what the rounding costs.
//!
//! ```text
//! MNIST_DIR=… cargo run --release --example large_bank -- --epochs 2
//! MNIST_DIR=… cargo run --release --example large_bank -- --width 256 --epochs 10 --storage bf16
//! ```

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use decoupled::bank::Storage;
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::optimizer::{Adam, Schedule, Scheduled};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, Result};

#[path = "common/mnist.rs"]
mod mnist;
#[path = "common/options.rs"]
mod options;

use options::{Options, refuse};

const USAGE: &str = "\
--width N        units of each of the two hidden layers (1024)
--epochs N       visits to every example (2)
--examples N     training examples, the first so many (all)
--batch N        (128)
--storage NAME   full, f32 or bf16: the format of the bank (full)
--folder PATH    where the bank's file is made, and removed at the end (the system's for temporary files)
--no-limit       without a limit on the process, which wants Linux
--threads N      of the network's pool (the machine's)
--seed N         (0)";

/// The bank is so many times what it is given. Half of that is for three blocks, the rest for the threads that read and write
/// them and for what the method has in hand.
const SHARE: usize = 8;

fn main() {
    let mut options = Options::from_command_line(USAGE);
    let settings = Settings::take(&mut options);
    let role: Option<String> = options.optional("role");
    let file: Option<PathBuf> = options.optional("file");
    options.finish();
    mnist::run(|train, test| match role {
        None => settings.compare(train),
        Some(role) => settings.train(&role, file, train, test),
    });
}

struct Settings {
    width: usize,
    epochs: usize,
    examples: Option<usize>,
    batch: usize,
    storage: String,
    folder: PathBuf,
    limited: bool,
    threads: Option<usize>,
    seed: u64,
}

impl Settings {
    fn take(options: &mut Options) -> Self {
        Self {
            width: options.count("width", 1024),
            epochs: options.count("epochs", 2),
            examples: options.optional("examples"),
            batch: options.count("batch", 128),
            storage: options.value("storage", "full".to_owned()),
            folder: options.value("folder", std::env::temp_dir()),
            limited: !options.flag("no-limit"),
            threads: options.optional("threads"),
            seed: options.value("seed", 0),
        }
    }

    fn storage(&self) -> Storage {
        match &*self.storage {
            "full" => Storage::Full,
            "f32" => Storage::F32,
            "bf16" => Storage::Bf16,
            word => refuse(format!("--storage takes one of full, f32, bf16, not {word:?}")),
        }
    }

    /// Whole batches in a block, so many that three blocks are half of an eighth of the bank.
    fn block(&self, examples: usize) -> usize {
        (examples / (3 * 2 * SHARE) / self.batch * self.batch).max(1)
    }

    /// One run, in a process of its own; its last line says how it went.
    fn train(&self, role: &str, file: Option<PathBuf>, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<()> {
        let first = self.examples.map(|examples| train.take(examples)).transpose()?;
        let train = first.as_ref().unwrap_or(train);
        let block = self.block(train.len());
        let updates = self.epochs * train.len().div_ceil(self.batch);
        let builder = DecoupledNetwork::builder(train.input_dim())
            .dense(self.width, Activation::Relu)
            .dense(self.width, Activation::Relu)
            .dense(train.target_dim(), Activation::Identity)
            .output_loss(SoftmaxCrossEntropy::new())
            .method(Method::alm(0.7))
            .optimizer(Scheduled::new(Adam::new(1e-3), Schedule::Cosine { total: updates as u64, floor: 0.0 }))
            .bank_storage(self.storage())
            .seed(self.seed);
        let builder = self.threads.into_iter().fold(builder, |builder, threads| builder.threads(threads));
        let builder = file.into_iter().fold(builder, |builder, path| builder.bank_file(path, block));
        let mut network = builder.build()?;
        let config = FitConfig::new().batch_size(self.batch).shuffle_blocks(block).seed(self.seed);
        if role == "bare" {
            network.fit_backprop(train, &config.epochs(1))?;
            network.evaluate(test)?;
            println!(
                "peak={}",
                peak().unwrap_or_else(|| refuse("this example needs Linux, for the memory of a process"))
            );
            return Ok(());
        }
        let report = network.fit(train, &config.epochs(self.epochs))?;
        let bytes = network.bank().map(|bank| bank.bytes() as u64);
        let bytes = bytes.or(network.bank_file().map(|file| file.bytes())).unwrap_or(0);
        let accuracy = network.evaluate(test)?.score.unwrap_or(f64::NAN);
        let seconds = report.time().as_secs_f64();
        println!("seconds={seconds} accuracy={accuracy} bytes={bytes} params={:016x}", fingerprint(&network));
        Ok(())
    }

    fn compare(&self, train: &Dataset<f32>) -> Result<()> {
        let examples = self.examples.unwrap_or(train.len());
        let storage = self.storage();
        println!(
            "{examples} examples, 784-{0}-{0}-10, {1} epochs, multipliers kept in the bank ({storage:?})\n",
            self.width, self.epochs
        );
        let memory = self.child("memory", None, None).unwrap_or_else(|error| refuse(error));
        let bytes: u64 = memory.number("bytes");
        println!("the bank              {:7.0} MB", mega(bytes));
        println!("in memory             {}", memory.show());
        let limit = self.limited.then(|| {
            let bare = self.child("bare", None, None).unwrap_or_else(|error| refuse(error));
            let limit = bare.number::<u64>("peak") + bytes / SHARE as u64;
            println!(
                "limit of a process    {:7.0} MB, of which for the bank {:.0}",
                mega(limit),
                mega(bytes / SHARE as u64)
            );
            match self.child("memory", None, Some(limit)) {
                Ok(run) => println!("in memory, limited    {} (the limit does not bind)", run.show()),
                Err(error) => println!("in memory, limited    {error}"),
            }
            limit
        });
        let path = self.folder.join(format!("decoupled-large-bank-{}", std::process::id()));
        let file = self.child("file", Some(&path), limit);
        // It may not have come to be.
        let _ = std::fs::remove_file(&path);
        let file = file.unwrap_or_else(|error| refuse(error));
        println!("in a file             {}", file.show());
        let (own, reference): (f64, f64) = (file.number("seconds"), memory.number("seconds"));
        let same = file.word("params") == memory.word("params");
        let mut line = format!(
            "memory_seconds={reference:.3} file_seconds={own:.3} speed={:.3} same_bits={same} bank_bytes={bytes} \
             limit_bytes={} accuracy={:.4}",
            reference / own,
            limit.unwrap_or(0),
            file.number::<f64>("accuracy")
        );
        if storage != Storage::Full {
            let full = Self { storage: "full".to_owned(), folder: self.folder.clone(), ..*self };
            let full = full.child("memory", None, None).unwrap_or_else(|error| refuse(error));
            println!("full storage          {}", full.show());
            let share = bytes as f64 / full.number::<f64>("bytes");
            line += &format!(" full_accuracy={:.4} share_of_bytes={share:.4}", full.number::<f64>("accuracy"));
        }
        println!("\n{line}");
        Ok(())
    }

    /// Runs this program again, in so many bytes of memory; what its last line says, or its error.
    fn child(&self, role: &str, file: Option<&PathBuf>, limit: Option<u64>) -> std::result::Result<Run, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new("sh");
        let limit = limit.map_or_else(String::new, |bytes| format!("ulimit -v {}; ", bytes / 1024));
        command.arg("-c").arg(format!("{limit}exec \"$0\" \"$@\"")).arg(own);
        command.args(["--role", role, "--width", &self.width.to_string(), "--epochs", &self.epochs.to_string()]);
        command.args(["--batch", &self.batch.to_string(), "--storage", &self.storage]);
        command.args(["--seed", &self.seed.to_string()]);
        // An arena for each thread reserves address space that the limit counts and nothing uses.
        command.env("MALLOC_ARENA_MAX", "1");
        self.examples.iter().for_each(|examples| _ = command.args(["--examples", &examples.to_string()]));
        self.threads.iter().for_each(|threads| _ = command.args(["--threads", &threads.to_string()]));
        file.iter().for_each(|path| _ = command.arg("--file").arg(path));
        let output = command.output().map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().lines().last().unwrap_or_default().to_owned();
        if output.status.success() { Ok(Run(text(&output.stdout))) } else { Err(text(&output.stderr)) }
    }
}

/// The last line of a run.
struct Run(String);

impl Run {
    fn word(&self, key: &str) -> &str {
        let pairs = self.0.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.filter(|(found, _)| *found == key).map(|(_, value)| value).next().unwrap_or_default()
    }

    fn number<V: std::str::FromStr>(&self, key: &str) -> V {
        self.word(key).parse().unwrap_or_else(|_| refuse(format!("a run said {:?}", self.0)))
    }

    fn show(&self) -> String {
        let (seconds, accuracy) = (Duration::from_secs_f64(self.number("seconds")), self.number::<f64>("accuracy"));
        format!("{:7.2} s  {:.2} %", seconds.as_secs_f64(), 100.0 * accuracy)
    }
}

/// The most address space that this process has had, in bytes; what a limit is about.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// FNV-1a over the bits of all parameters.
fn fingerprint(network: &DecoupledNetwork<f32>) -> u64 {
    let bits = (0..network.depth()).flat_map(|t| network.params(t)).flat_map(|p| p.to_le_bytes());
    bits.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
