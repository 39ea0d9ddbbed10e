//! The default at every depth, with no method, start or penalty set: plain networks of 1 to 100 hidden layers, beside backpropagation at
//! the best of three learning rates, from the start that both take by themselves and, if that is another, from the weights as drawn.
//! Here you see what depth costs, and that neither road fades. With `--in-flight` all layers, or stages of them, work at the same time.
//!
//! The four unpacked IDX files (`train-images-idx3-ubyte` and so on) are read from the folder that `MNIST_DIR` names, with
//! `--digits` the digits that the crate has; without either the example says so and ends.
//!
//! ```text
//! MNIST_DIR=… cargo run --release --example any_depth -- --layers 1,4,10,30 --activation tanh --seeds 3
//! ```

use std::time::Instant;

use decoupled::layer::{Activation, Init};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::optimizer::{Adam, Schedule, Scheduled};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, NetworkBuilder, Result, data};

#[path = "common/mnist.rs"]
mod mnist;
#[path = "common/options.rs"]
mod options;

use options::{Options, refuse};

const USAGE: &str = "\
  --activation NAME    relu, tanh, sigmoid (relu)
  --layers D,D,…       numbers of hidden layers (1,2,4,6,10,15,20,30)
  --width W            units of a hidden layer (100, with --digits 64)
  --epochs N           visits to every example (10, with --digits 20)
  --bp-epochs N        the same for backpropagation, to compare at equal time (as many)
  --batch N            examples in a batch (128, with --digits 32)
  --examples N         the first N of MNIST's training part (20000)
  --seed S, --seeds N  N runs from the seeds S, S + 1, … (0, 1)
  --threads N          (all)
  --digits             the 8 × 8 digits instead of MNIST
  --in-flight S,B      Method::in_flight with S stages (0 for one a layer) and micro-batches of B, instead of the default
  --no-drawn           without backpropagation from the weights as drawn";

struct Settings {
    activation: Activation,
    layers: Vec<usize>,
    width: usize,
    epochs: usize,
    bp_epochs: usize,
    batch: usize,
    examples: usize,
    first_seed: u64,
    seeds: u64,
    threads: Option<usize>,
    drawn: bool,
    /// Stages and examples of a micro-batch.
    in_flight: Option<(usize, usize)>,
}

/// Test accuracy in percent, the mean over the seeds and the least of them, and seconds of training.
#[derive(Clone, Copy)]
struct Outcome {
    mean: f64,
    least: f64,
    seconds: f64,
}

fn main() {
    let mut options = Options::from_command_line(USAGE);
    let digits = options.flag("digits");
    let name: String = options.value("activation", "relu".to_owned());
    let activation = match &*name {
        "relu" => Activation::Relu,
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        other => refuse(format!("--activation does not take {other:?}")),
    };
    let layers: String = options.value("layers", "1,2,4,6,10,15,20,30".to_owned());
    let layer = |word: &str| match word.parse() {
        Ok(count) if count > 0 => count,
        _ => refuse(format!("--layers does not take {word:?}")),
    };
    let epochs = options.count("epochs", if digits { 20 } else { 10 });
    let settings = Settings {
        activation,
        layers: layers.split(',').map(layer).collect(),
        width: options.count("width", if digits { 64 } else { 100 }),
        epochs,
        bp_epochs: options.count("bp-epochs", epochs),
        batch: options.count("batch", if digits { 32 } else { 128 }),
        examples: options.count("examples", 20_000),
        first_seed: options.value("seed", 0),
        seeds: options.count("seeds", 1) as u64,
        threads: options.optional("threads"),
        drawn: !options.flag("no-drawn"),
        in_flight: options.optional("in-flight").map(|text: String| {
            let parts = text.split_once(',').and_then(|(s, b)| Some((s.parse().ok()?, b.parse().ok()?)));
            parts.unwrap_or_else(|| refuse(format!("--in-flight takes two numbers, not {text:?}")))
        }),
    };
    options.finish();
    if digits {
        let parts = data::digits::<f32>().and_then(|data| data.stratified_split(0.8, 0));
        if let Err(error) = parts.and_then(|(train, test)| settings.run(&train, &test)) {
            options::fail(&error);
        }
        return;
    }
    mnist::run(|train, test| settings.run(&train.take(settings.examples.min(train.len()))?, test));
}

impl Settings {
    fn run(&self, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<()> {
        println!(
            "{} examples, width {}, {} epochs (BP {}), seeds {}",
            train.len(),
            self.width,
            self.epochs,
            self.bp_epochs,
            self.seeds
        );
        println!(
            "layers  {:>11}  least     s  BP, best of 3  least     s  BP as drawn  products in sequence{}, BP's",
            if self.in_flight.is_some() { "in flight" } else { "the default" },
            if self.in_flight.is_some() { " (a tick)" } else { "" }
        );
        let mut last = None;
        for &layers in &self.layers {
            let own = self.outcome(layers, 1.0, false, train, test)?;
            let best = |drawn: bool| -> Result<Outcome> {
                let rates = [0.5, 1.0, 1.5].map(|share| self.outcome(layers, -share, drawn, train, test));
                let outcomes = rates.into_iter().collect::<Result<Vec<_>>>()?;
                Ok(outcomes.into_iter().reduce(|a, b| if b.mean > a.mean { b } else { a }).expect("three rates"))
            };
            let bp = best(false)?;
            let drawn = if self.drawn { format!("{:11.2}", best(true)?.mean) } else { format!("{:>11}", "–") };
            let sequence = [self.method(layers).sequential_products(layers + 1), 2 * (layers + 1)];
            println!(
                "{layers:6}  {:11.2}  {:5.2}  {:4.1}  {:13.2}  {:5.2}  {:4.1}  {drawn}  {:>12} {:>12}",
                own.mean, own.least, own.seconds, bp.mean, bp.least, bp.seconds, sequence[0], sequence[1]
            );
            last = Some((own, bp));
        }
        if let Some((own, bp)) = last {
            println!(
                "accuracy={:.4} bp_accuracy={:.4} seconds={:.2} bp_seconds={:.2}",
                own.mean / 100.0,
                bp.mean / 100.0,
                own.seconds,
                bp.seconds
            );
        }
        Ok(())
    }

    /// Trains one network a seed: by the default, or by backpropagation at minus this share of 0.002 or, beyond ten layers, 0.02 / layers.
    fn outcome(
        &self,
        layers: usize,
        share: f64,
        drawn: bool,
        train: &Dataset<f32>,
        test: &Dataset<f32>,
    ) -> Result<Outcome> {
        let (mut sum, mut least, mut seconds) = (0.0, f64::INFINITY, 0.0);
        for seed in self.first_seed..self.first_seed + self.seeds {
            let steps = if share > 0.0 { self.method(layers).parameter_steps(layers + 1) } else { 1 };
            let epochs = if share > 0.0 { self.epochs } else { self.bp_epochs };
            let updates = epochs * train.len().div_ceil(self.batch) * steps;
            let rule = match share > 0.0 {
                true => Adam::for_depth(layers),
                false => Adam::new(-share * f64::min(2e-3, 0.02 / layers as f64)),
            };
            let rule = Scheduled::new(rule, Schedule::Cosine { total: updates as u64, floor: 0.0 });
            let mut network = self.builder(layers, drawn, train).optimizer(rule).seed(seed).build()?;
            let config = FitConfig::new().method(self.method(layers)).epochs(epochs).batch_size(self.batch).seed(seed);
            let begin = Instant::now();
            let trained = match share > 0.0 {
                true => network.fit(train, &config),
                false => network.fit_backprop(train, &config),
            };
            seconds += begin.elapsed().as_secs_f64();
            // A divergence is a result: no digit is told.
            let score = match trained {
                Ok(_) => 100.0 * network.evaluate(test)?.score.unwrap_or(0.0),
                Err(_) => 0.0,
            };
            sum += score;
            least = least.min(score);
        }
        let count = self.seeds as f64;
        Ok(Outcome { mean: sum / count, least, seconds: seconds / count })
    }

    fn method(&self, layers: usize) -> Method<f32> {
        match self.in_flight {
            None => Method::default(),
            Some((0, micro_batch)) => Method::in_flight(layers + 1, micro_batch),
            Some((stages, micro_batch)) => Method::in_flight(stages, micro_batch),
        }
    }

    fn builder(&self, layers: usize, drawn: bool, train: &Dataset<f32>) -> NetworkBuilder<f32> {
        let activation = self.activation;
        let hidden = |net: NetworkBuilder<f32>| match drawn {
            false => net.dense(self.width, activation),
            // The same initialiser by its name stays as drawn.
            true => net.dense_with(self.width, activation, Init::for_activation(activation)),
        };
        let builder = (0..layers).fold(DecoupledNetwork::builder(train.input_dim()), |net, _| hidden(net));
        let builder = builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
        self.threads.iter().fold(builder, |builder, &threads| builder.threads(threads))
    }
}
