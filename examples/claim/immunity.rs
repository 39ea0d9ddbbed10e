//! The second half of the claim: is what is trained decoupled immune to what backpropagation (BP) suffers from? Each difficulty
//! by itself, on a network where BP meets it: gradients that fade or explode on their way down, layers that wait for one another,
//! and units without a derivative. Here you learn which of them the method takes away, which its start takes away for BP as well,
//! and which are left.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use decoupled::data::Examples;
use decoupled::diagnostics::cost;
use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init};
use decoupled::loss::{SoftmaxCrossEntropy, SquaredError};
use decoupled::nalgebra::DMatrix;
use decoupled::optimizer::{Adam, Schedule, Scheduled, Sgd};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, Result};
#[cfg(feature = "plot")]
use serde_json::Value;

use crate::deep::{Deep, signals};
use crate::rows::{Log, Row, number, row, word};
use crate::study::Net;
use crate::tables::Table;
use crate::{Parts, give_up};

/// The first of the training part.
const EXAMPLES: usize = 20_000;
const BATCH: usize = 128;
/// Of Adam: for BP the best of these, judged by the test data.
const RATES: [f64; 3] = [3e-4, 1e-3, 3e-3];
/// So much below the reference is still beside it.
const MARGIN: f64 = 0.02;

/// Runs what has not been measured yet, prints the tables and returns them as Markdown. The times of updates are printed only: no
/// two runs have them alike.
pub(crate) fn run(log: &mut Log, out: &Path, mnist: &Parts, seeds: u64) -> Result<String> {
    let (train, test) = (mnist.0.take(mnist.0.len().min(EXAMPLES))?, &mnist.1);
    let chance = largest_class(test);
    let mut pages = format!(
        "\nA way to train is *immune* where the whole 95 % interval of its test accuracy lies above {}, the share of the \
         largest class, and the whole interval of its difference to the reference, seed by seed, above −{MARGIN}. It is *not \
         immune* where one of the two intervals lies wholly below, or where a run diverged; else *undecided*. Accuracies are \
         means over the seeds, {seeds} of them, after training on the first {} examples of MNIST.\n",
        short(chance),
        train.len()
    );
    println!("{pages}");
    let mut show = |text: String| {
        println!("{text}");
        pages += &text;
    };
    for task in Signal::all() {
        let units = task.units(seeds);
        for (seed, unit) in (0..).zip(&units) {
            measure(log, out, unit, || task.measure(seed, &train, test))?;
        }
        show(task.markdown(&task.chosen(log, &units), chance));
    }
    show(products()?);
    let units: Vec<String> = (0..seeds).map(depth_unit).collect();
    for (seed, unit) in (0..).zip(&units) {
        measure(log, out, unit, || accuracies(seed, &train, test))?;
    }
    show(accuracies_markdown(&Table { rows: units.iter().flat_map(|unit| log.of(unit)).collect() }));
    let unit = lock_unit();
    measure(log, out, &unit, times)?;
    println!("{}", times_in_words(&log.of(&unit).collect::<Vec<_>>()));
    let units: Vec<String> = (0..seeds).map(jumps_unit).collect();
    for (seed, unit) in (0..).zip(&units) {
        measure(log, out, unit, || jumps(seed, &train, test))?;
    }
    let table = Table { rows: units.iter().flat_map(|unit| log.of(unit)).collect() };
    show(jumps_markdown(&table, chance));
    Ok(pages)
}

/// Adds the rows of a unit, unless they are there.
fn measure(log: &mut Log, out: &Path, unit: &str, rows: impl FnOnce() -> Result<Vec<Row>>) -> Result<()> {
    if !log.has(unit) {
        log.add(unit, rows()?).unwrap_or_else(|error| give_up(out, &error));
        eprintln!("measured: {unit}");
    }
    Ok(())
}

/// What a constant answer is worth.
fn largest_class(data: &Dataset<f32>) -> f64 {
    let classes = data.target_dim();
    let mut counts = vec![0.0; classes];
    for targets in data.targets().as_slice().chunks(classes) {
        counts.iter_mut().zip(targets).for_each(|(count, &target)| *count += f64::from(target));
    }
    counts.iter().copied().fold(0.0, f64::max) / data.len() as f64
}

/// A deep plain network in which BP's signal is lost on its way down.
struct Signal {
    difficulty: &'static str,
    net: Deep,
    epochs: usize,
}

/// One way to train such a network.
struct Way {
    name: &'static str,
    /// Backpropagation without one.
    method: Option<Method<f32>>,
    start: Start,
    /// Of Adam.
    rates: Vec<f64>,
}

/// Where the hidden layers start.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    Drawn,
    /// The restart that a user asks for, or gets where no initialiser is named.
    Isometric,
}

/// What the others are compared with: BP from a start that keeps the signal.
const ISOMETRIC: &str = "BP from an isometric start";

impl Signal {
    fn all() -> [Self; 4] {
        let net = |activation, layers, gain| Deep { activation, layers, width: 100, gain };
        [
            Self { difficulty: "Vanishing", net: net(Activation::Sigmoid, 10, 1.0), epochs: 4 },
            Self { difficulty: "Vanishing", net: net(Activation::Sigmoid, 30, 1.0), epochs: 6 },
            Self { difficulty: "Vanishing", net: net(Activation::Relu, 10, 0.1), epochs: 6 },
            Self { difficulty: "Exploding", net: net(Activation::Tanh, 30, 3.0), epochs: 2 },
        ]
    }

    fn name(&self) -> String {
        let (activation, Deep { layers, gain, .. }) = (format!("{:?}", self.net.activation).to_lowercase(), self.net);
        format!("{}: {activation} × {layers}, gain {gain}", self.difficulty)
    }

    /// What was asked for, so that rows of other settings are not taken for these.
    fn title(&self) -> String {
        let (Deep { width, .. }, epochs) = (self.net, self.epochs);
        format!(
            "{}, width {width}, {epochs} epochs of {EXAMPLES} in batches of {BATCH} (BP at the best of the rates {RATES:?}, \
             the others at {:.1e})",
            self.name(),
            self.rate()
        )
    }

    fn units(&self, seeds: u64) -> Vec<String> {
        (0..seeds).map(|seed| format!("{}, seed {seed}", self.title())).collect()
    }

    /// That of [`Adam::for_depth`].
    fn rate(&self) -> f64 {
        Adam::for_depth(self.net.layers).learning_rate()
    }

    fn ways(&self) -> Vec<Way> {
        let way = |name, method, start, rates: &[f64]| Way { name, method, start, rates: rates.to_vec() };
        let (local, rate) = (Some(Method::local_targets(2)), [self.rate()]);
        let in_flight = Some(Method::in_flight(usize::MAX, 8));
        vec![
            way("BP as drawn", None, Start::Drawn, &RATES),
            way("local_targets(2) as drawn", local.clone(), Start::Drawn, &rate),
            way(ISOMETRIC, None, Start::Isometric, &RATES),
            way("local_targets(2) from an isometric start", local, Start::Isometric, &rate),
            way("in_flight from an isometric start", in_flight, Start::Isometric, &rate),
        ]
    }

    fn measure(&self, seed: u64, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for Way { name, method, start, rates } in self.ways() {
            let steps = method.as_ref().map_or(1, |method| method.parameter_steps(self.net.layers + 1));
            for rate in rates {
                let rule = adam(rate, self.epochs * steps * train.len().div_ceil(BATCH));
                let mut network = self.net.network(train, rule).seed(seed).build()?;
                if start == Start::Isometric {
                    network.start_isometric(train.inputs(), seed)?;
                }
                let sizes = signals(network.clone(), method.as_ref(), train)?;
                let trained = fit(&mut network, method.as_ref(), self.epochs, seed, train);
                let mut own = outcome(name, trained, &network, test)?;
                own.insert("rate".to_owned(), rate.into());
                own.insert("signals".to_owned(), sizes.clone().into());
                if let [lowest, .., top] = sizes[..] {
                    // Nothing at all has no logarithm: a number that JSON lacks becomes null.
                    own.insert("signal".to_owned(), (lowest / top).log10().into());
                }
                rows.push(own);
            }
        }
        Ok(rows)
    }

    /// The rows of every way at its best rate over the seeds, with the gap to the reference's.
    fn chosen(&self, log: &Log, units: &[String]) -> Vec<Row> {
        let at = |row: &Row, name: &str, rate: f64| word(row, "name") == name && number(row, "rate") == Some(rate);
        let sum = |name: &str, rate: f64| -> f64 {
            let rows = units.iter().flat_map(|unit| log.of(unit)).filter(|row| at(row, name, rate));
            rows.filter_map(|row| number(row, "accuracy")).sum()
        };
        let best = |way: &Way| {
            let rates = way.rates.iter().copied();
            rates.max_by(|&a, &b| sum(way.name, a).total_cmp(&sum(way.name, b))).unwrap_or(f64::NAN)
        };
        let best: Vec<(&str, f64)> = self.ways().iter().map(|way| (way.name, best(way))).collect();
        let of_unit = |unit: &String| {
            let rows = log.of(unit).filter(|row| best.iter().any(|&(name, rate)| at(row, name, rate)));
            against(ISOMETRIC, rows.cloned().collect())
        };
        units.iter().flat_map(of_unit).collect()
    }

    fn markdown(&self, rows: &[Row], chance: f64) -> String {
        let table = &Table { rows: rows.iter().collect() };
        let names: Vec<&str> = self.ways().iter().map(|way| way.name).collect();
        let mut text = format!(
            "\n### {}\n\nSignal: the lowest hidden layer's over the highest's after one update, as log10; of BP the gradient of \
             the loss, of the others how far their targets lie from the forward pass, in units of what is stored there.\n\n\
             | | Adam | test accuracy | against {ISOMETRIC} | signal |\n|---|---|---|---|---|\n",
            self.title()
        );
        for name in &names {
            let signal = match table.estimate(name, "", "signal") {
                Some(signal) => format!("{signal:.1}"),
                None => "0 in f32".to_owned(),
            };
            let rate = table.estimate(name, "", "rate").map_or("–".to_owned(), |rate| format!("{:.0e}", rate.mean));
            _ = writeln!(text, "| {name} | {rate} | {} | {signal} |", accuracy_cells(table, name));
        }
        text + &verdict(table, &names, ISOMETRIC, chance)
    }
}

/// A network by name, and for every way to train it the signal of each hidden layer in units of the highest's.
#[cfg(feature = "plot")]
pub(crate) type Profile = (String, Vec<(String, Vec<f64>)>);

/// Where the signal lives in each of the deep networks, for the first seed, at the first of the rates.
#[cfg(feature = "plot")]
pub(crate) fn profiles(log: &Log) -> Vec<Profile> {
    let of_task = |task: Signal| {
        let units = task.units(1);
        let line = |way: Way| {
            let row = units.iter().flat_map(|unit| log.of(unit)).find(|row| word(row, "name") == way.name)?;
            let sizes: Vec<f64> = row["signals"].as_array()?.iter().filter_map(Value::as_f64).collect();
            let top = *sizes.last()?;
            Some((way.name.to_owned(), sizes.iter().map(|size| size / top).collect()))
        };
        (task.name(), task.ways().into_iter().filter_map(line).collect())
    };
    Signal::all().map(of_task).into()
}

/// Annealed to zero along half a cosine of so many parameter steps.
fn adam(rate: f64, total: usize) -> Scheduled<Adam> {
    Scheduled::new(Adam::new(rate), Schedule::Cosine { total: total as u64, floor: 0.0 })
}

fn fit(net: &mut Net, method: Option<&Method<f32>>, epochs: usize, seed: u64, train: &Dataset<f32>) -> Result<()> {
    let config = FitConfig::new().epochs(epochs).batch_size(BATCH).seed(seed);
    match method {
        Some(method) => net.fit(train, &config.method(method.clone())).map(drop),
        None => net.fit_backprop(train, &config).map(drop),
    }
}

/// A row with the test accuracy, or with what ended the training.
fn outcome(name: &str, trained: Result<()>, network: &Net, test: &Dataset<f32>) -> Result<Row> {
    Ok(match trained {
        Ok(()) => row([("name", name.into()), ("accuracy", network.evaluate(test)?.score.into())]),
        Err(error @ Error::Diverged { .. }) => row([("name", name.into()), ("failed", error.to_string().into())]),
        Err(error) => return Err(error),
    })
}

/// The same rows with the gap in accuracy to that of the reference.
fn against(reference: &str, mut rows: Vec<Row>) -> Vec<Row> {
    let reference = rows.iter().find(|row| word(row, "name") == reference).and_then(|row| number(row, "accuracy"));
    for row in &mut rows {
        let gap = number(row, "accuracy").zip(reference).map(|(own, reference)| own - reference);
        row.insert("gap".to_owned(), gap.into());
    }
    rows
}

/// Accuracy, and its gap to the reference's.
fn accuracy_cells(table: &Table<'_>, name: &str) -> String {
    let failed = table.rows.iter().filter(|row| word(row, "name") == name && row.contains_key("failed")).count();
    let cell = |key| table.estimate(name, "", key).map_or("–".to_owned(), |own| format!("{own:.4}"));
    let remark = if failed > 0 { format!(", {failed} diverged") } else { String::new() };
    format!("{}{remark} | {}", cell("accuracy"), cell("gap"))
}

/// The sentence below a table of accuracies.
fn verdict(table: &Table<'_>, names: &[&str], reference: &str, chance: f64) -> String {
    let mut groups = [("immune", Vec::new()), ("not immune", Vec::new()), ("undecided", Vec::new())];
    for &name in names {
        let failed = table.rows.iter().any(|row| word(row, "name") == name && row.contains_key("failed"));
        let group = match (table.estimate(name, "", "accuracy"), table.estimate(name, "", "gap")) {
            _ if failed => 1,
            (Some(own), Some(gap)) if own.low() > chance && gap.low() > -MARGIN => 0,
            (Some(own), Some(gap)) if own.high() < chance || gap.high() < -MARGIN => 1,
            _ => 2,
        };
        groups[group].1.push(name);
    }
    format!("\n{} – beside {reference}, and above chance.\n", sentence(&groups))
}

/// What each group holds; one without members is left out.
fn sentence(groups: &[(&str, Vec<&str>)]) -> String {
    let parts = groups.iter().filter(|(_, names)| !names.is_empty());
    let parts: Vec<String> = parts.map(|(word, names)| format!("*{word}*: {}", names.join(", "))).collect();
    parts.join("; ")
}

fn short(value: f64) -> String {
    format!("{value:.4}")
}

/// Hidden layers, and examples in a batch, of the networks whose updates are counted and timed.
const DEPTHS: [usize; 5] = [4, 8, 16, 32, 64];
const BATCHES: [usize; 2] = [128, 8];
const THREADS: [usize; 2] = [1, 2];
const LOCK_WIDTH: usize = 128;
const ROUNDS: usize = 5;

fn lock_unit() -> String {
    format!("The sequential lock: tanh, width {LOCK_WIDTH}, {DEPTHS:?} hidden layers, {ROUNDS} rounds")
}

fn lock_network(layers: usize, threads: usize) -> Result<Net> {
    let init = Init::for_activation(Activation::Tanh);
    let hidden = |network: decoupled::NetworkBuilder<f32>, _| network.dense_with(LOCK_WIDTH, Activation::Tanh, init);
    let network = (0..layers).fold(DecoupledNetwork::builder(LOCK_WIDTH), hidden).dense(10, Activation::Identity);
    network.output_loss(SoftmaxCrossEntropy::new()).optimizer(Sgd::new(1e-3)).threads(threads).build()
}

/// A way whose updates are counted and timed.
struct Lock {
    name: &'static str,
    /// Backpropagation without one.
    method: Option<Method<f32>>,
}

impl Lock {
    fn all() -> [Self; 4] {
        let lock = |name, method| Self { name, method };
        [
            lock("BP", None),
            lock("local_targets(2)", Some(Method::local_targets(2))),
            lock("joint", Some(Method::joint(0.1))),
            lock("in_flight", Some(Method::in_flight(usize::MAX, 8))),
        ]
    }
}

/// The micro-batches of an update, each of which takes a tick.
fn ticks(method: &Method<f32>, layers: usize) -> usize {
    let schedule = method.schedule(layers + 1);
    schedule.flight_plan().map_or(1, |plan| BATCH.div_ceil(plan.for_batch(BATCH).micro_batch()))
}

/// Products that must follow one another in one update, which are the same in every run.
fn products() -> Result<String> {
    let mut text = format!(
        "\n### The sequential lock: tanh, width {LOCK_WIDTH}\n\nProducts that must follow one another, in one update \
         unless a row says otherwise, however many processors there are; in_flight takes a tick for each micro-batch.\n\n| hidden layers | {} |\n|---{}|\n",
        DEPTHS.map(|layers| layers.to_string()).join(" | "),
        "|---".repeat(DEPTHS.len())
    );
    let mut groups = [("immune", Vec::new()), ("not immune", Vec::new())];
    let mut add = |name: &'static str, counts: Vec<usize>| {
        let list: Vec<String> = counts.iter().map(ToString::to_string).collect();
        _ = writeln!(text, "| {name} | {} |", list.join(" | "));
        groups[usize::from(counts.iter().any(|count| *count != counts[0]))].1.push(name);
    };
    for Lock { name, method } in Lock::all() {
        let count = |layers| Ok(cost(&lock_network(layers, 1)?, method.as_ref(), EXAMPLES).sequential_products);
        let counts = DEPTHS.into_iter().map(count).collect::<Result<Vec<_>>>()?;
        let Some(method) = method.filter(|method| method.schedule(2).flight_plan().is_some()) else {
            add(name, counts);
            continue;
        };
        let ticks = DEPTHS.map(|layers| ticks(&method, layers));
        let update = counts.iter().zip(ticks).map(|(count, ticks)| count * ticks).collect();
        add("one tick of in_flight", counts);
        add("an update of in_flight, in small products", update);
    }
    Ok(text + &format!("\n{} – as many products at every depth.\n", sentence(&groups)))
}

/// Hidden layers of the networks whose accuracy stands beside their products, and epochs of their training.
const LOCK_DEPTHS: [usize; 3] = [4, 10, 30];
const LOCK_EPOCHS: usize = 10;

fn depth_unit(seed: u64) -> String {
    format!("Accuracy beside products in sequence, {LOCK_DEPTHS:?} hidden layers, {LOCK_EPOCHS} epochs, seed {seed}")
}

/// Trains networks with nothing set but the method, and a rate that is annealed.
fn accuracies(seed: u64, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for layers in LOCK_DEPTHS {
        let mut own = Vec::new();
        for Lock { name, method } in Lock::all() {
            let steps = method.as_ref().map_or(1, |method| method.parameter_steps(layers + 1));
            let total = LOCK_EPOCHS * steps * train.len().div_ceil(BATCH);
            let rule = adam(Adam::for_depth(layers).learning_rate(), total);
            let hidden = |net: decoupled::NetworkBuilder<f32>, _| net.dense(100, Activation::Relu);
            let network = (0..layers).fold(DecoupledNetwork::builder(train.input_dim()), hidden);
            let network =
                network.dense(test.target_dim(), Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
            let mut network = network.optimizer(rule).seed(seed).build()?;
            let products = cost(&network, method.as_ref(), EXAMPLES).sequential_products;
            let trained = fit(&mut network, method.as_ref(), LOCK_EPOCHS, seed, train);
            let mut row = outcome(name, trained, &network, test)?;
            row.insert("products".to_owned(), products.into());
            row.insert("at".to_owned(), layers.to_string().into());
            own.push(row);
        }
        rows.extend(against("BP", own));
    }
    Ok(rows)
}

fn accuracies_markdown(table: &Table<'_>) -> String {
    let mut text = format!(
        "\nTest accuracy beside them: ReLU, width 100, {LOCK_EPOCHS} epochs of {EXAMPLES} in batches of {BATCH}, nothing set but \
         the method and Adam annealed.\n\n| hidden layers | | products in sequence | test accuracy | against BP |\n\
         |---|---|---|---|---|\n"
    );
    for layers in LOCK_DEPTHS {
        for Lock { name, method } in Lock::all() {
            let at = layers.to_string();
            let cell = |key| table.estimate(name, &at, key).map_or("–".to_owned(), |own| format!("{own:.4}"));
            let products = table.estimate(name, &at, "products").map_or(f64::NAN, |own| own.mean);
            let products = match method.map_or(1, |method| ticks(&method, layers)) {
                1 => products.to_string(),
                ticks => format!("{products} a tick, {ticks} ticks"),
            };
            _ = writeln!(text, "| {layers} | {name} | {products} | {} | {} |", cell("accuracy"), cell("gap"));
        }
    }
    text
}

/// Those whose updates are timed. A flight is timed by its ticks: the benchmark `flight`.
fn timed() -> impl Iterator<Item = Lock> {
    Lock::all().into_iter().filter(|lock| lock.name != "in_flight")
}

/// Microseconds of one update: the ways take turns, round after round, and the medians count.
fn times() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in BATCHES {
        for layers in DEPTHS {
            // A report takes a forward pass of its own at every eighth update of `joint`.
            let updates = (20_000 / (layers * batch.max(32))).clamp(8, 96);
            let inputs =
                DMatrix::from_fn(LOCK_WIDTH, updates * batch, |i, j| ((i * 31 + j * 17) % 97) as f32 / 97.0 - 0.5);
            let labels: Vec<usize> = (0..updates * batch).map(|example| example % 10).collect();
            let data = Dataset::classification(Examples::from_column_matrix(inputs)?, &labels, 10)?;
            for threads in THREADS {
                let mut own = Vec::new();
                for Lock { name, method } in timed() {
                    own.push((name, method, lock_network(layers, threads)?, Vec::new()));
                }
                for _ in 0..=ROUNDS {
                    for (_, method, network, times) in &mut own {
                        let config = FitConfig::new().epochs(1).batch_size(batch);
                        let report = match method {
                            Some(method) => network.fit(&data, &config.method(method.clone()))?,
                            None => network.fit_backprop(&data, &config)?,
                        };
                        times.push(report.time());
                    }
                }
                for (name, _, _, mut times) in own {
                    times.remove(0);
                    times.sort();
                    let micros = 1e6 * times.get(ROUNDS / 2).map_or(f64::NAN, Duration::as_secs_f64) / updates as f64;
                    rows.push(row([
                        ("name", name.into()),
                        ("batch", batch.into()),
                        ("layers", layers.into()),
                        ("threads", threads.into()),
                        ("micros", micros.into()),
                    ]));
                }
            }
        }
    }
    Ok(rows)
}

/// The times, and what they say of the lock: which way is the fastest, and how each grows with depth.
fn times_in_words(rows: &[&Row]) -> String {
    let micros = |name: &str, batch: usize, layers: usize, threads: usize| {
        let is = |row: &&&Row, key: &str, value: usize| number(row, key) == Some(value as f64);
        let found = rows.iter().find(|row| {
            word(row, "name") == name
                && is(row, "batch", batch)
                && is(row, "layers", layers)
                && is(row, "threads", threads)
        });
        found.and_then(|row| number(row, "micros")).unwrap_or(f64::NAN)
    };
    let names: Vec<&str> = timed().map(|lock| lock.name).collect();
    let mut text = "microseconds of one update (on this machine, at this time)\n".to_owned();
    _ = writeln!(
        text,
        "batch threads layers |{}  BP/joint",
        names.iter().map(|name| format!("{name:>12}")).collect::<String>()
    );
    for batch in BATCHES {
        for threads in THREADS {
            for layers in DEPTHS {
                let shown = names.iter().map(|name| format!("{:12.1}", micros(name, batch, layers, threads)));
                let ratio = micros("BP", batch, layers, threads) / micros("joint", batch, layers, threads);
                _ = writeln!(text, "{batch:5} {threads:7} {layers:6} |{} {ratio:9.2}", shown.collect::<String>());
            }
            let [first, .., last] = DEPTHS;
            let grows = |name: &str| micros(name, batch, last, threads) / micros(name, batch, first, threads);
            let grows = names.iter().map(|name| format!("{name} {:.1}", grows(name))).collect::<Vec<_>>().join(", ");
            _ = writeln!(text, "  from {first} to {last} layers an update takes so many times as long: {grows}");
        }
    }
    text
}

const JUMPS: [usize; 4] = [784, 500, 500, 10];
const JUMP_EPOCHS: usize = 5;
/// Of Adam, for backpropagation and for local targets: what serves both on a part of MNIST.
const JUMP_RATE: f64 = 3e-3;
const LOCAL_STEPS: usize = 3;
const PENALTY: f64 = 0.01;
const PROXIMAL: f64 = 5.0;
const STRAIGHT_BP: &str = "BP straight through";
/// How far the signs of random maps go.
const READ_OUT: &str = "least squares at the output only";
const BCD: &str = "bcd";
const BCD_BEST: &str = "bcd at its least training loss";

fn jumps_title() -> String {
    format!(
        "No derivative: sign units {}, {JUMP_EPOCHS} epochs of {EXAMPLES} in batches of {BATCH}, Adam {JUMP_RATE} (local \
         targets: {LOCAL_STEPS} steps, penalty {PENALTY}; bcd: {JUMP_EPOCHS} passes over all at once, \
         proximal weight {PROXIMAL})",
        JUMPS.map(|width| width.to_string()).join("-")
    )
}

fn jumps_unit(seed: u64) -> String {
    format!("{}, seed {seed}", jumps_title())
}

/// Sign units and then a dense map in every layer, so that what is stored are pre-activations.
fn jump_network(straight: bool, steps: usize, examples: usize, seed: u64) -> Result<Net> {
    let mut network = DecoupledNetwork::builder(JUMPS[0]).penalty(PENALTY);
    for (t, pair) in JUMPS.windows(2).enumerate() {
        let dense = Dense::new(pair[0], pair[1]).init(Init::lecun_normal());
        let sign = Elementwise::new(pair[0], Activation::Sign);
        let sign = if straight { sign.straight_through() } else { sign };
        network = if t == 0 { network.layer(dense) } else { network.layer(Chain::new().then(sign).then(dense)) };
    }
    let rule = adam(JUMP_RATE, JUMP_EPOCHS * steps * examples.div_ceil(BATCH));
    network.output_loss(SoftmaxCrossEntropy::new()).optimizer(rule).seed(seed).build()
}

/// How many layers with parameters have moved.
fn moved(start: &Net, trained: &Net) -> usize {
    (0..start.depth()).filter(|&t| start.params(t) != trained.params(t)).count()
}

fn jumps(seed: u64, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let local = Method::local_targets(LOCAL_STEPS);
    let ways = [
        ("BP as it is", None, false),
        (STRAIGHT_BP, None, true),
        ("local_targets as it is", Some(&local), false),
        ("local_targets straight through", Some(&local), true),
    ];
    for (name, method, straight) in ways {
        let steps = if method.is_some() { LOCAL_STEPS } else { 1 };
        let start = jump_network(straight, steps, train.len(), seed)?;
        let mut network = start.clone();
        let trained = fit(&mut network, method, JUMP_EPOCHS, seed, train);
        let mut own = outcome(name, trained, &network, test)?;
        own.insert("moved".to_owned(), moved(&start, &network).into());
        rows.push(own);
    }
    rows.extend(closed_forms(seed, train, test)?);
    Ok(against(STRAIGHT_BP, rows))
}

/// Every block of variables set to its exact minimum, that of a pre-activation below a sign found by cases: no derivative at all.
fn closed_forms(seed: u64, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<Vec<Row>> {
    let mut network = DecoupledNetwork::builder(JUMPS[0]).store_pre_activations();
    for width in &JUMPS[1..3] {
        network = network.dense_with(*width, Activation::Sign, Init::lecun_normal());
    }
    network = network.dense_with(JUMPS[3], Activation::Identity, Init::lecun_normal());
    let start = network.output_loss(SquaredError).seed(seed).build()?;
    let mut network = start.clone();
    network.refit_output(train)?;
    let mut read_out = outcome(READ_OUT, Ok(()), &network, test)?;
    read_out.insert("moved".to_owned(), moved(&start, &network).into());
    let mut network = start.clone();
    let config = FitConfig::new().epochs(1).full_batch().method(Method::bcd(PROXIMAL));
    let mut best = (f64::INFINITY, None);
    let mut trained = Ok(());
    for _ in 0..JUMP_EPOCHS {
        trained = network.fit(train, &config).map(drop);
        if trained.is_err() {
            break;
        }
        let scores = network.evaluate(train)?;
        if scores.loss < best.0 {
            best = (scores.loss, network.evaluate(test)?.score);
        }
    }
    let mut own = outcome(BCD, trained, &network, test)?;
    own.insert("moved".to_owned(), moved(&start, &network).into());
    let mut rows = vec![read_out, own];
    if let (_, Some(accuracy)) = best {
        let count = moved(&start, &network);
        rows.push(row([("name", BCD_BEST.into()), ("accuracy", accuracy.into()), ("moved", count.into())]));
    }
    Ok(rows)
}

fn jumps_markdown(table: &Table<'_>, chance: f64) -> String {
    let mut names: Vec<&str> = Vec::new();
    for row in &table.rows {
        if !names.contains(&word(row, "name")) {
            names.push(word(row, "name"));
        }
    }
    let mut text = format!(
        "\n### {}\n\n| | test accuracy | against {STRAIGHT_BP} | layers that moved, of 3 |\n|---|---|---|---|\n",
        jumps_title()
    );
    for name in &names {
        let moved = table.estimate(name, "", "moved").map_or("–".to_owned(), |own| format!("{:.0}", own.mean));
        _ = writeln!(text, "| {name} | {} | {moved} |", accuracy_cells(table, name));
    }
    text + &verdict(table, &names, STRAIGHT_BP, chance)
}
