//! Deep plain networks whose gradient fades or explodes, trained anyway: an isometric start, then layer-local steps. Beside it three
//! baselines by backpropagation: SGD and Adam from the weights as drawn, and Adam from the same start. Here you learn where the
//! signal dies in each, and what the start alone is worth.
//!
//! The four unpacked IDX files (`train-images-idx3-ubyte` and so on) are read from the folder that `MNIST_DIR` names;
//! without it the example says so and ends.
//!
//! ```text
//! MNIST_DIR=… cargo run --release --example depth -- --activation sigmoid --layers 30 --epochs 10
//! ```

use decoupled::layer::Activation;
use decoupled::optimizer::{Adam, Schedule, Scheduled, Sgd};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, Optimizer, Result};

#[path = "common/deep.rs"]
mod deep;
#[path = "common/mnist.rs"]
mod mnist;
#[path = "common/options.rs"]
mod options;

use deep::Deep;
use options::{Options, refuse};

/// Examples that the start of unit variance looks at.
const SAMPLE: usize = 2000;

const USAGE: &str = "\
network
  --activation NAME        sigmoid, tanh, relu (sigmoid)
  --layers D --width W     D hidden layers of W (10, 100)
  --gain G                 multiplies the initial weights, N(0, 1/inputs), for relu N(0, 2/inputs) (1)
start
  --start NAME             given: weights as drawn; unit: scaled to unit variance (4 for sigmoid); isometric (isometric)
training
  --local-steps M          parameter steps of each layer a visit (2, as the default)
  --lr R                   learning rate of Adam, annealed to zero along half a cosine (that of Adam::for_depth)
  --epochs N               visits to every example (20)
  --batch N                examples in a batch (128)
  --examples N             the first N of the training part (20000)
  --seed S, --seeds N      N runs from the seeds S, S + 1, … (0, 1)
  --threads N              (all)
  --no-baselines           without the two baselines from the weights as drawn";

fn main() {
    let mut options = Options::from_command_line(USAGE);
    let settings = Settings::take(&mut options);
    options.finish();
    mnist::run(|train, test| settings.run(train, test));
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Given,
    Unit,
    Isometric,
}

#[derive(Debug)]
struct Settings {
    net: Deep,
    start: From,
    local_steps: usize,
    learning_rate: f64,
    epochs: usize,
    batch: usize,
    examples: usize,
    first_seed: u64,
    seeds: u64,
    threads: Option<usize>,
    baselines: bool,
}

/// Test accuracy as a fraction of one (0 after a divergence), and seconds of training with the start.
type Outcome = (f64, f64);

/// One way to train the network, with its outcome for every seed.
#[derive(Debug)]
struct Run {
    name: String,
    /// Backpropagation without one.
    method: Option<Method<f32>>,
    start: From,
    rule: Rule,
    outcomes: Vec<Outcome>,
}

/// What moves the parameters, with its learning rate.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Sgd(f64),
    Adam(f64),
}

impl Settings {
    fn take(options: &mut Options) -> Self {
        let activation = match &*options.value("activation", "sigmoid".to_owned()) {
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "relu" => Activation::Relu,
            word => refuse(format!("--activation takes one of sigmoid, tanh, relu, not {word:?}")),
        };
        let start = match &*options.value("start", "isometric".to_owned()) {
            "given" => From::Given,
            "unit" => From::Unit,
            "isometric" => From::Isometric,
            word => refuse(format!("--start takes one of given, unit, isometric, not {word:?}")),
        };
        let net = Deep {
            activation,
            layers: options.count("layers", 10),
            width: options.count("width", 100),
            gain: options.value("gain", 1.0),
        };
        Self {
            net,
            start,
            local_steps: options.count("local-steps", 2),
            learning_rate: options.value("lr", Adam::for_depth(net.layers).learning_rate()),
            epochs: options.count("epochs", 20),
            batch: options.count("batch", 128),
            examples: options.count("examples", 20_000),
            first_seed: options.value("seed", 0),
            seeds: options.count("seeds", 1) as u64,
            threads: options.optional("threads"),
            baselines: !options.flag("no-baselines"),
        }
    }

    fn run(&self, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<()> {
        let train = &train.take(self.examples)?;
        let Self { net: Deep { activation, layers, width, gain }, start, local_steps, learning_rate, .. } = self;
        println!("{} examples, {layers} hidden layers of {width}, {activation:?}, gain {gain}", train.len());
        println!("from {start:?}: {local_steps} local steps at {learning_rate}\n");
        let method = Method::local_targets(self.local_steps);
        self.profile("backpropagation, weights as drawn", None, From::Given, train)?;
        self.profile(&format!("the method, from {start:?}"), Some(&method), self.start, train)?;
        println!();
        let mut runs = self.runs(&method);
        for seed in (self.first_seed..).take(self.seeds as usize) {
            for run in &mut runs {
                let outcome = self.fit(run, (train, test), seed)?;
                run.outcomes.push(outcome);
            }
        }
        let means: Vec<Outcome> = runs.iter().map(|run| mean(&run.outcomes)).collect();
        if self.seeds > 1 {
            println!("\nmeans of {} seeds", self.seeds);
            runs.iter().zip(&means).for_each(|(run, &mean)| println!("{}", line(&run.name, mean)));
        }
        if let [.., a, b, c, (accuracy, seconds)] = means[..] {
            // The rate that serves backpropagation from this start best over all seeds, judged by the test data.
            let twin = [a, b, c].into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or(a);
            println!(
                "\naccuracy={accuracy:.4} bp_accuracy={:.4} seconds={seconds:.3} bp_seconds={:.3}",
                twin.0, twin.1
            );
        }
        Ok(())
    }

    /// The two baselines from the weights as drawn, backpropagation from this start, and the method.
    fn runs(&self, method: &Method<f32>) -> Vec<Run> {
        let start = self.start;
        let run = |name: String, start, rule| Run { name, method: None, start, rule, outcomes: Vec::new() };
        let mut runs = Vec::new();
        if self.baselines {
            runs.push(run("backpropagation, Given, SGD 0.1".to_owned(), From::Given, Rule::Sgd(0.1)));
        }
        // From the weights as drawn, then from the start asked for, unless they are the same.
        let given = (self.baselines && start != From::Given).then_some(From::Given);
        for start in given.into_iter().chain([start]) {
            runs.extend(
                self.rates()
                    .map(|rate| run(format!("backpropagation, {start:?}, Adam {rate:.0e}"), start, Rule::Adam(rate))),
            );
        }
        let rate = self.learning_rate;
        let own = run(format!("the method, {start:?}, Adam {rate:.0e}"), start, Rule::Adam(rate));
        runs.push(Run { method: Some(method.clone()), ..own });
        runs
    }

    /// Three learning rates for backpropagation with Adam; a very deep network wants smaller ones.
    fn rates(&self) -> [f64; 3] {
        if self.net.layers >= 50 { [1e-4, 3e-4, 1e-3] } else { [3e-4, 1e-3, 3e-3] }
    }

    fn network(
        &self,
        optimizer: impl Optimizer<f32> + 'static,
        (train, start): (&Dataset<f32>, From),
        seed: u64,
    ) -> Result<DecoupledNetwork<f32>> {
        let mut network = self.net.network(train, optimizer).seed(seed);
        if let Some(threads) = self.threads {
            network = network.threads(threads);
        }
        let mut network = network.build()?;
        match start {
            From::Given => {}
            From::Unit => {
                let sample = train.take(train.len().min(SAMPLE))?;
                // The middle of a sigmoid is four times as flat as that of tanh.
                let variance = if self.net.activation == Activation::Sigmoid { 4.0 } else { 1.0 };
                network.start_from_unit_variance(sample.inputs(), variance)?;
            }
            From::Isometric => drop(network.start_isometric(train.inputs(), seed)?),
        }
        Ok(network)
    }

    /// Trains by the run's method, or by backpropagation without one, and prints a line.
    fn fit(&self, run: &Run, (train, test): (&Dataset<f32>, &Dataset<f32>), seed: u64) -> Result<Outcome> {
        // The schedule counts parameter steps, and the method takes several in a visit.
        let steps = run.method.as_ref().map_or(1, |method| method.parameter_steps(self.net.layers + 1));
        let total = self.epochs * train.len().div_ceil(self.batch) * steps;
        let schedule = Schedule::Cosine { total: total as u64, floor: 0.0 };
        let begin = std::time::Instant::now();
        let from = (train, run.start);
        let mut network = match run.rule {
            Rule::Sgd(rate) => self.network(Scheduled::new(Sgd::new(rate).momentum(0.9), schedule), from, seed)?,
            Rule::Adam(rate) => self.network(Scheduled::new(Adam::new(rate), schedule), from, seed)?,
        };
        let config = FitConfig::new().epochs(self.epochs).batch_size(self.batch).seed(seed);
        let trained = match &run.method {
            Some(method) => network.fit(train, &config.method(method.clone())),
            None => network.fit_backprop(train, &config),
        };
        let seconds = begin.elapsed().as_secs_f64();
        let (accuracy, remark) = match trained {
            Ok(_) => (network.evaluate(test)?.score.unwrap_or(0.0), String::new()),
            Err(error) => (0.0, format!("  {error}")),
        };
        println!("seed {seed}  {}{remark}", line(&run.name, (accuracy, seconds)));
        Ok((accuracy, seconds))
    }

    /// Where the signal lives after one update: log10 of the root mean square over examples, layer by layer from the input.
    fn profile(&self, name: &str, method: Option<&Method<f32>>, start: From, train: &Dataset<f32>) -> Result<()> {
        let network = self.network(Adam::new(self.learning_rate), (train, start), self.first_seed)?;
        let sizes = deep::signals(network, method, train)?;
        let quantity = if method.is_some() { "‖z − ẑ‖ / ‖z‖" } else { "‖∂L/∂z‖" };
        // A deep network shows about ten of its layers.
        let step = sizes.len().div_ceil(10);
        let shown: Vec<_> =
            (0..sizes.len()).step_by(step).map(|t| format!("{}:{:.1}", t + 1, sizes[t].log10())).collect();
        println!("log10 {quantity}, {name}, after one update, layer by layer:\n  {}", shown.join("  "));
        Ok(())
    }
}

fn line(name: &str, (accuracy, seconds): Outcome) -> String {
    format!("{name:<46} {:6.2} % in {seconds:.1} s", 100.0 * accuracy)
}

fn mean(outcomes: &[Outcome]) -> Outcome {
    let share = 1.0 / outcomes.len() as f64;
    outcomes.iter().fold((0.0, 0.0), |sum, outcome| (sum.0 + share * outcome.0, sum.1 + share * outcome.1))
}
