//! The claim under test: does a network that is trained decoupled settle where backpropagation would, in its parameters and in what
//! it computes, and is it immune to what backpropagation suffers from? Every method beside backpropagation on the same network,
//! start and batches; backpropagation with another order of the examples, another optimizer and another seed as controls; and an
//! untrained network. Here you learn what "as near as" means, and where the claim fails.
//!
//! A method is *similar* in a sense where it is so by each of its measures: its mean lies in the range that the controls' 95 %
//! intervals span, or on the side that is more alike, and the whole of its interval is more alike than the untrained network. *Different* where it is so by
//! none, and else similar *in part*. Behind "as" stand the controls that it is as near as, each taken by itself. In parameter space
//! the measures are the cosine of the displacements and the distance, both after matching; in performance the gap in test accuracy,
//! the agreement beyond chance, and the Jensen–Shannon divergence.
//!
//! A method is *immune* to a difficulty where it does, on a network that has it, what backpropagation does on one that has been mended.
//!
//! ```text
//! MNIST_DIR=… cargo run --release --features plot --example claim
//! cargo run --release --example claim -- --quick
//! ```
//!
//! What is measured is written to `results.jsonl` in the folder that `--out` names, one JSON object a line; a run that was cut
//! off goes on where it stopped. Pictures come with the feature `plot`. Without `MNIST_DIR` the parts on MNIST are skipped.

use std::path::{Path, PathBuf};
use std::{fs, io};

use decoupled::layer::Activation;
use decoupled::{Dataset, Result, data};

#[path = "../common/deep.rs"]
mod deep;
mod immunity;
#[path = "../common/options.rs"]
mod options;
#[cfg(feature = "plot")]
mod pictures;
mod rows;
mod statistics;
mod study;
mod tables;

use options::{Options, refuse};
use rows::{Log, Row};
use study::Task;
use tables::Table;

const USAGE: &str = "\
--quick       only the digits, through two hidden layers, 3 seeds: a minute; ends in a line of four numbers: the gap in test
              accuracy of local_targets(2) to backpropagation and the largest among the controls, both as absolute values of means over
              the seeds, and the cosines of the displacements after matching, of local_targets(2) and the mean of the controls
--part NAME   study: how near each method comes to backpropagation; immunity: what backpropagation suffers from; all (all; quick:
              study)
--seeds N     networks of each kind (5; quick: 3)
--out FOLDER  where results.jsonl is read and written (target/claim)
--figures FOLDER  where pictures go (the same)";

/// How to read the tables on the screen.
const LEGEND: &str = "\
Every row is compared with backpropagation (BP) from the same start, ± 95 % intervals over the seeds; `local_targets(2), other
order` is local_targets(2) compared with itself. Controls come first: BP again, in another way.
  gap            test accuracy less BP's
  agreement      how often the two name the same class, from chance (0) to always (1)
  JS             Jensen–Shannon divergence of their class probabilities, 0 for the same
  cosine         of the two ways from the start, units matched (in results.jsonl: matched_cosine); raw: as they are
  distance       of the parameters relative to their size, units matched (matched_distance)
  barrier        how far the loss rises between the two, units matched (matched_barrier); raw: as they are
  CKA            how alike hidden layers are, 1 for the same up to rotation
  verdict        whether it is as near to BP as the controls are: decoupled::guide::study has the rule";

/// The training and the test part.
type Parts = (Dataset<f32>, Dataset<f32>);

fn main() {
    let mut options = Options::from_command_line(USAGE);
    let quick = options.flag("quick");
    let seeds = options.count("seeds", if quick { 3 } else { 5 }) as u64;
    let part: String = options.value("part", if quick { "study" } else { "all" }.to_owned());
    if !["study", "immunity", "all"].contains(&&*part) || (quick && part != "study") {
        refuse(format!("--part takes one of study, immunity, all (with --quick only study), not {part:?}"));
    }
    let out: PathBuf = options.value("out", PathBuf::from("target/claim"));
    let figures: PathBuf = options.value("figures", out.clone());
    options.finish();
    let mut log = Log::open(&out).unwrap_or_else(|error| give_up(&out, &error));
    fs::create_dir_all(&figures).unwrap_or_else(|error| give_up(&figures, &error));
    let mnist = if quick { Ok(None) } else { std::env::var_os("MNIST_DIR").map(data::mnist).transpose() };
    let mnist: Option<Parts> = mnist.unwrap_or_else(|error| options::fail(&error));
    if part != "immunity" {
        run(quick, seeds, (&mut log, &out), (mnist.as_ref(), &figures)).unwrap_or_else(|error| options::fail(&error));
    }
    if part != "study" {
        immune(seeds, (&mut log, &out), (mnist.as_ref(), &figures)).unwrap_or_else(|error| options::fail(&error));
    }
}

fn give_up(path: &Path, error: &io::Error) -> ! {
    refuse(format!("{}: {error}", path.display()))
}

fn tasks(quick: bool) -> Vec<Task> {
    let task = |name, mnist: bool, hidden: &[usize], activation, epochs| Task {
        name,
        mnist,
        widths: [if mnist { 784 } else { 64 }].into_iter().chain(hidden.iter().copied()).chain([10]).collect(),
        activation,
        epochs,
        batch: if mnist { 128 } else { 32 },
        rate: 1e-3,
        examples: None,
    };
    let two = [256, 256];
    if quick {
        return vec![task("digits, ReLU", false, &[64, 64], Activation::Relu, 10)];
    }
    let deep = [100; 9];
    vec![
        task("digits, ReLU", false, &two, Activation::Relu, 20),
        task("digits, tanh", false, &two, Activation::Tanh, 20),
        task("MNIST, ReLU", true, &two, Activation::Relu, 5),
        task("MNIST, tanh", true, &two, Activation::Tanh, 5),
        Task { examples: Some(20_000), ..task("MNIST, ten layers of tanh", true, &deep, Activation::Tanh, 5) },
    ]
}

/// What the tables of immunity say, and where they are written.
fn immune(seeds: u64, (log, out): (&mut Log, &Path), (mnist, figures): (Option<&Parts>, &Path)) -> Result<()> {
    let Some(mnist) = mnist else {
        println!("\nskipped: immunity, because MNIST_DIR does not name a folder with MNIST's four unpacked files");
        return Ok(());
    };
    let pages = immunity::run(log, out, mnist, seeds)?;
    write(&figures.join("immunity.md"), &pages);
    #[cfg(feature = "plot")]
    pictures::signals(&immunity::profiles(log), figures)?;
    Ok(())
}

/// The guide shows these files.
fn write(file: &Path, pages: &str) {
    fs::write(file, pages).unwrap_or_else(|error| give_up(file, &error));
}

fn run(
    quick: bool,
    seeds: u64,
    (log, out): (&mut Log, &Path),
    (mnist, figures): (Option<&Parts>, &Path),
) -> Result<()> {
    let digits = data::digits::<f32>()?;
    println!("{LEGEND}");
    let (mut pages, mut verdicts, mut sentences, mut last) = (String::new(), Vec::new(), String::new(), String::new());
    for task in tasks(quick) {
        if task.mnist && mnist.is_none() {
            println!("\nskipped: {}, because MNIST_DIR does not name a folder with its four unpacked files", task.name);
            continue;
        }
        let parts = |seed: u64| -> Result<Parts> {
            match mnist {
                Some((train, test)) if task.mnist => {
                    Ok((train.take(task.examples.unwrap_or(train.len()))?, test.clone()))
                }
                _ => digits.stratified_split(0.8, seed),
            }
        };
        for seed in 0..seeds {
            if !log.has(&task.unit(seed)) {
                let (train, test) = parts(seed)?;
                let rows = task.measure(seed, (&train, &test))?;
                log.add(&task.unit(seed), rows).unwrap_or_else(|error| give_up(out, &error));
                eprintln!("seed {seed} measured");
            }
        }
        let units: Vec<String> = (0..seeds).map(|seed| task.unit(seed)).collect();
        let rows: Vec<&Row> = units.iter().flat_map(|unit| log.of(unit)).collect();
        let table = Table { rows };
        let text = format!("\n### {}\n{}", task.heading(), table.markdown());
        println!("{text}\n{}", table.times());
        pages += &text;
        verdicts.push((task.name, table.verdicts()));
        sentences += &table.gap_in_words(task.name).unwrap_or_default();
        draw(&task, &table, &parts(0)?, figures)?;
        if quick {
            let own = |key: &str| table.estimate(study::LOCAL_TARGETS, "epochs", key).map_or(f64::NAN, |own| own.mean);
            last = format!(
                "\nperformance_gap={:.4} control_gap={:.4} parameter_similarity={:.4} control_similarity={:.4}",
                own("gap").abs(),
                table.control_gap("epochs"),
                own("matched_cosine"),
                table.control_mean("epochs", "matched_cosine")
            );
        }
    }
    let verdict = format!("# Verdicts\n\n{}\n{sentences}", in_one_table(&verdicts));
    println!("\n{verdict}{last}");
    write(&figures.join("study.md"), &pages);
    write(&figures.join("verdict.md"), &verdict);
    Ok(())
}

/// A row for each method, and a column for each task.
fn in_one_table(verdicts: &[(&str, Vec<(String, String)>)]) -> String {
    let tasks: Vec<&str> = verdicts.iter().map(|(task, _)| *task).collect();
    let mut text =
        format!("| parameters / performance | {} |\n|---|{}\n", tasks.join(" | "), "---|".repeat(tasks.len()));
    for (method, _) in verdicts.first().map_or(&[][..], |(_, methods)| methods) {
        let cell = |(_, methods): &(&str, Vec<(String, String)>)| {
            let own = methods.iter().find(|(name, _)| name == method);
            own.map_or("–".to_owned(), |(_, verdict)| verdict.clone())
        };
        let cells: Vec<String> = verdicts.iter().map(cell).collect();
        text += &format!("| {method} | {} |\n", cells.join(" | "));
    }
    text
}

#[cfg(feature = "plot")]
fn draw(task: &Task, table: &Table<'_>, parts: &Parts, folder: &Path) -> Result<()> {
    pictures::draw(task, table, parts, folder)
}

#[cfg(not(feature = "plot"))]
fn draw(_: &Task, _: &Table<'_>, _: &Parts, _: &Path) -> Result<()> {
    Ok(())
}
