//! One unit of the study: a network trained by backpropagation, by every method, and by backpropagation in every way that a
//! control asks for, and all of them compared with the first.

use std::hash::{DefaultHasher, Hash, Hasher};

use decoupled::diagnostics::{Similarity, cost, similarity_from};
use decoupled::layer::{Activation, Init};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::optimizer::{Adam, Schedule, Scheduled, Sgd};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, FitReport, Method, Result, StopReason};
use serde_json::Value;

use crate::rows::{Row, row};

pub(crate) type Net = DecoupledNetwork<f32>;

/// A data set with a network.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) mnist: bool,
    /// From the input to the output.
    pub(crate) widths: Vec<usize>,
    pub(crate) activation: Activation,
    pub(crate) epochs: usize,
    pub(crate) batch: usize,
    pub(crate) rate: f64,
    /// The first so many of the training part.
    pub(crate) examples: Option<usize>,
}

/// Examples that training losses are compared on, and test examples that networks are.
const LOSS_SAMPLE: usize = 10_000;
const COMPARED: usize = 4_000;

/// The method that the sentences below the verdicts are about, and that is compared with itself.
pub(crate) const LOCAL_TARGETS: &str = "local_targets(2)";

/// The methods of the study, in the order of its tables.
pub(crate) fn methods() -> Vec<(&'static str, Method<f32>)> {
    vec![
        (LOCAL_TARGETS, Method::local_targets(2)),
        ("red_black", Method::red_black()),
        ("joint", Method::joint(0.1)),
        ("incremental", Method::incremental(4, 0.1)),
        ("error_based", Method::error_based(5, 0.02)),
        ("alm", Method::alm(0.7)),
        ("in_flight", Method::in_flight(usize::MAX, 32)),
        ("backprop_by_sweep", Method::backprop_by_sweep()),
    ]
}

/// A network in training, epoch by epoch.
pub(crate) struct Trajectory {
    /// After every epoch, without a bank.
    pub(crate) networks: Vec<Net>,
    /// Forward loss on the training sample, after every epoch.
    pub(crate) losses: Vec<f64>,
    pub(crate) report: FitReport,
}

impl Trajectory {
    pub(crate) fn last(&self) -> Option<(&Net, f64)> {
        self.networks.last().zip(self.losses.last().copied())
    }

    /// The first network with a loss that is not above this one, else the last.
    fn at(&self, loss: f64) -> Option<(&Net, f64)> {
        let found = self.losses.iter().position(|own| *own <= loss);
        found.map_or_else(|| self.last(), |epoch| Some((&self.networks[epoch], self.losses[epoch])))
    }
}

/// How a network is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way<'a> {
    /// Backpropagation without one.
    pub(crate) method: Option<&'a Method<f32>>,
    /// Seeds of the initial parameters and of the order of the examples.
    pub(crate) seeds: (u64, u64),
    /// Gradient descent with momentum instead of Adam.
    pub(crate) sgd: bool,
}

impl Task {
    /// The net and how it is trained, in words.
    pub(crate) fn heading(&self) -> String {
        let widths: Vec<String> = self.widths.iter().map(ToString::to_string).collect();
        let (net, part) = (widths.join("-"), self.examples.map_or("all".to_owned(), |count| count.to_string()));
        let Self { name, activation, epochs, batch, rate, .. } = self;
        format!("{name}: {net} {activation:?}, {epochs} epochs of {part} in batches of {batch}, Adam {rate}")
    }

    /// What was asked for, the methods' settings included, so that rows of others are not taken for these.
    pub(crate) fn unit(&self, seed: u64) -> String {
        let mut settings = DefaultHasher::new();
        format!("{:?}", methods()).hash(&mut settings);
        format!("{}, seed {seed}, settings {:016x}", self.heading(), settings.finish())
    }

    pub(crate) fn network(&self, way: Way<'_>, examples: usize) -> Result<Net> {
        let mut network = DecoupledNetwork::builder(self.widths[0]);
        let last = self.widths.len() - 1;
        for (t, &width) in self.widths.iter().enumerate().skip(1) {
            let activation = if t == last { Activation::Identity } else { self.activation };
            // Named, so that the weights stay as drawn.
            network = network.dense_with(width, activation, Init::for_activation(activation));
        }
        let steps = way.method.map_or(1, |method| method.parameter_steps(last));
        let total = (self.epochs * steps * examples.div_ceil(self.batch)) as u64;
        let schedule = Schedule::Cosine { total, floor: 0.0 };
        let network = network.output_loss(SoftmaxCrossEntropy::new()).seed(way.seeds.0);
        match way.sgd {
            true => network.optimizer(Scheduled::new(Sgd::new(0.05).momentum(0.9), schedule)).build(),
            false => network.optimizer(Scheduled::new(Adam::new(self.rate), schedule)).build(),
        }
    }

    /// Trains for all epochs, or fewer.
    pub(crate) fn train(&self, way: Way<'_>, data: &Dataset<f32>, epochs: usize) -> Result<Trajectory> {
        let start = self.network(way, data.len())?;
        let mut network = start.clone();
        let config = FitConfig::new().epochs(1).batch_size(self.batch).seed(way.seeds.1);
        let sample = data.take(data.len().min(LOSS_SAMPLE))?;
        let report = FitReport {
            epochs: Vec::new(),
            stop: StopReason::Epochs,
            restart: None,
            refit: None,
            warnings: Vec::new(),
        };
        let mut trajectory = Trajectory { networks: Vec::new(), losses: Vec::new(), report };
        for _ in 0..epochs {
            let report = match way.method {
                Some(method) => network.fit(data, &config.clone().method(method.clone()))?,
                None => network.fit_backprop(data, &config)?,
            };
            let mut copy = start.clone();
            (0..network.depth()).try_for_each(|t| copy.set_params(t, network.params(t)))?;
            trajectory.losses.push(copy.evaluate(&sample)?.loss);
            trajectory.networks.push(copy);
            trajectory.report.epochs.extend(report.epochs);
            trajectory.report.warnings.extend(report.warnings);
        }
        Ok(trajectory)
    }

    /// All rows of one seed.
    pub(crate) fn measure(&self, seed: u64, (train, test): (&Dataset<f32>, &Dataset<f32>)) -> Result<Vec<Row>> {
        let own = Way { method: None, seeds: (seed, seed), sgd: false };
        let start = self.network(own, train.len())?;
        let reference = self.train(own, train, self.epochs)?;
        let compared = test.take(test.len().min(COMPARED))?;
        let compare = Compare { start: &start, compared: &compared, test };
        let mut rows = Vec::new();
        // Far from every other seed of the study.
        let other = seed + 1000;
        let controls = [
            ("other order", Way { seeds: (seed, other), ..own }),
            ("other optimizer", Way { sgd: true, ..own }),
            ("other seed", Way { seeds: (other, other), ..own }),
        ];
        for (name, way) in controls {
            rows.extend(compare.both("control", name, &reference, &self.train(way, train, self.epochs)?)?);
        }
        for (name, method) in &methods() {
            let way = Way { method: Some(method), ..own };
            let trained = match self.train(way, train, self.epochs) {
                Err(error @ Error::Diverged { .. }) => {
                    let failed = [("at", "epochs".into()), ("failed", error.to_string().into())];
                    rows.push(named("method", name, row(failed)));
                    continue;
                }
                other => other?,
            };
            let cost = cost(&start, Some(method), train.len());
            for mut row in compare.both("method", name, &reference, &trained)? {
                row.insert("products".to_owned(), cost.sequential_products.into());
                row.insert("operations".to_owned(), cost.operations.into());
                row.insert("bank_bytes".to_owned(), (cost.bank_bytes as f64).into());
                rows.push(row);
            }
            if *name == LOCAL_TARGETS {
                let twin = self.train(Way { seeds: (seed, other), ..way }, train, self.epochs)?;
                rows.extend(compare.both("control", "local_targets(2), other order", &trained, &twin)?);
            }
        }
        if let Some((trained, loss)) = reference.last() {
            let untrained = start.evaluate(&train.take(train.len().min(LOSS_SAMPLE))?)?.loss;
            let mut row = compare.pair((trained, loss), (&start, untrained))?;
            row.insert("at".to_owned(), "epochs".into());
            rows.push(named("untrained", "untrained", row));
        }
        Ok(rows)
    }
}

/// What networks are compared with, and on.
struct Compare<'a> {
    start: &'a Net,
    compared: &'a Dataset<f32>,
    test: &'a Dataset<f32>,
}

impl Compare<'_> {
    /// At equal epochs, and at equal training loss: that of whichever ends higher.
    fn both(&self, kind: &str, name: &str, a: &Trajectory, b: &Trajectory) -> Result<Vec<Row>> {
        let (Some(ends_a), Some(ends_b)) = (a.last(), b.last()) else { return Ok(Vec::new()) };
        let loss = ends_a.1.max(ends_b.1);
        let (Some(loss_a), Some(loss_b)) = (a.at(loss), b.at(loss)) else { return Ok(Vec::new()) };
        let seconds: f64 = b.report.epochs.iter().map(|epoch| epoch.time.as_secs_f64()).sum();
        let twin_seconds: f64 = a.report.epochs.iter().map(|epoch| epoch.time.as_secs_f64()).sum();
        let mut at_end = self.pair(ends_a, ends_b)?;
        at_end.extend(row([("at", "epochs".into()), ("seconds", seconds.into()), ("bp_seconds", twin_seconds.into())]));
        let mut at_loss = self.pair(loss_a, loss_b)?;
        at_loss.insert("at".to_owned(), "loss".into());
        Ok([at_end, at_loss].map(|row| named(kind, name, row)).into())
    }

    fn pair(&self, (a, loss_a): (&Net, f64), (b, loss_b): (&Net, f64)) -> Result<Row> {
        let Similarity { raw, matched, cka, procrustes, function, .. } =
            similarity_from(self.start, a, b, self.compared)?;
        let accuracy = [a, b].map(|network| Ok(network.evaluate(self.test)?.score.unwrap_or(f64::NAN)));
        let [accuracy_a, accuracy_b]: [Result<f64>; 2] = accuracy;
        let (accuracy_a, accuracy_b) = (accuracy_a?, accuracy_b?);
        let layers = cka.len() as f64;
        let list = |values: &[f64]| Value::from(values.to_vec());
        let own: Vec<f64> = (0..cka.len()).map(|t| cka[t][t]).collect();
        Ok(row([
            ("accuracy", accuracy_b.into()),
            ("gap", (accuracy_b - accuracy_a).into()),
            ("bp_loss", loss_a.into()),
            ("loss", loss_b.into()),
            ("distance", raw.distance.into()),
            ("cosine", raw.cosine.into()),
            ("barrier", raw.path.barrier().into()),
            ("matched_distance", matched.distance.into()),
            ("matched_cosine", matched.cosine.into()),
            ("matched_barrier", matched.path.barrier().into()),
            ("cka", (own.iter().sum::<f64>() / layers).into()),
            ("procrustes", (procrustes.iter().sum::<f64>() / layers).into()),
            ("agreement", function.agreement.into()),
            ("beyond_chance", function.beyond_chance.into()),
            ("jensen_shannon", function.jensen_shannon.into()),
            ("cka_layers", list(&own)),
            ("procrustes_layers", list(&procrustes)),
            ("path", list(&raw.path.losses)),
            ("matched_path", list(&matched.path.losses)),
            ("cka_pairs", cka.iter().map(|row| list(row)).collect::<Vec<Value>>().into()),
        ]))
    }
}

fn named(kind: &str, name: &str, mut row: Row) -> Row {
    row.insert("kind".to_owned(), kind.into());
    row.insert("name".to_owned(), name.into());
    row
}
