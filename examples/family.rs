//! Every method of the family on MNIST, beside backpropagation on the same network from the same start: which preset, what
//! it reads, which loss, how deep. Here you learn which choices keep up with backpropagation, which do not, and what each
//! costs.
//!
//! The four unpacked IDX files (`train-images-idx3-ubyte` and so on) are read from the folder that `MNIST_DIR` names;
//! without it the example says so and ends. Fashion-MNIST and KMNIST come in the same format.
//!
//! ```text
//! MNIST_DIR=… cargo run --release --example family -- --preset local_targets --epochs 2
//! ```

use std::fmt::Debug;

use decoupled::layer::{Activation, Dense, Elementwise, Init};
use decoupled::loss::{SoftmaxCrossEntropy, SquaredError};
use decoupled::method::{ErrorSteps, Exact, GaussNewton, Multipliers, Order, Reads, Start, Sweeps, Timing};
use decoupled::optimizer::{AdamW, Schedule, Scheduled, Sgd};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, NetworkBuilder, Result};

#[path = "common/mnist.rs"]
mod mnist;
#[path = "common/options.rs"]
mod options;
#[path = "common/twins.rs"]
mod twins;

use options::{Options, refuse};

const USAGE: &str = "\
network
  --net I-A-B-…-O          widths from the input to the output (784-256-256-10), or
  --width W --depth D      D hidden layers of W
  --activation NAME        relu, leaky_relu, tanh, sigmoid, softplus, gelu, silu, hard_tanh, identity (relu)
  --loss ce|mse            softmax cross-entropy or squared error at the output (ce)
  --init NAME              he, glorot, lecun (normal), torch (uniform on 1/√inputs) (by the activation)
  --gain G                 multiplies the initial weights; needs --init (1)
  --penalty P              weight of the hidden losses (1)
method
  --preset NAME            default, red_black, joint, mac, admm, bcd, alm, predictive_coding, incremental, error_based,
                           local_targets, backprop_by_sweep (default)
  --activation-steps K     activation steps a visit (the preset's; 4 where it asks for a number)
  --activation-rate R      their size (the preset's; 0.1 where it asks for a number)
  --z-momentum M           momentum of the activation steps; needs --activation-rate
  --order jacobi|redblack|reverse   all layers at once, in two groups, or from the output to the input (the preset's)
  --start anchored|persisted|SHARE  at the forward pass, where the last visit ended, or a blend (the preset's)
  --reads forward|stored   input of the parameter step (the preset's)
  --local-steps N          parameter steps after the activation steps (the preset's; 5 where it asks for a number)
  --proximal A             weight of bcd's proximal terms (5)
  --ridge R                weight of admm's ridge (1)
  --activation-penalty P   weight of the terms of activation functions, in bcd and admm (1)
  --multipliers none|kept  none, or kept in the bank (the preset's)
training
  --lr R                   learning rate of Adam (0.001)
  --weight-decay W         makes it AdamW (0)
  --schedule cosine|constant   of the learning rate: to zero along half a cosine, or none (cosine)
  --epochs N               visits to every example (10)
  --bp-epochs N            the same for the twin (as many; at most 10 for bcd and admm)
  --batch N                examples in a batch (128; all for bcd and admm)
  --examples N             the first N of the training part (all)
  --seed S, --seeds N      N runs from the seeds S, S + 1, … (0, 1)
  --threads N              (all)
  --no-bp                  without the twin";

fn main() {
    let mut options = Options::from_command_line(USAGE);
    let settings = Settings::take(&mut options);
    options.finish();
    mnist::run(|train, test| settings.run(train, test));
}

#[derive(Debug)]
struct Settings {
    widths: Vec<usize>,
    init: Option<Init>,
    activation: Activation,
    squared_error: bool,
    penalty: f64,
    method: Method<f32>,
    /// Whether the method takes exact activation steps.
    exact: bool,
    activation_penalty: f64,
    learning_rate: f64,
    weight_decay: f64,
    cosine: bool,
    epochs: usize,
    /// All examples without a number.
    batch: Option<usize>,
    backprop_epochs: usize,
    examples: Option<usize>,
    first_seed: u64,
    seeds: u64,
    threads: Option<usize>,
    with_backprop: bool,
}

impl Settings {
    fn take(options: &mut Options) -> Self {
        let widths = widths(options);
        let method = method(options);
        let exact = method.activation_step().streams();
        let epochs = options.count("epochs", 10);
        let batch = options.optional("batch");
        if batch == Some(0) {
            refuse("--batch takes at least 1");
        }
        Self {
            widths,
            init: init(options),
            activation: activation(options),
            squared_error: exact || choice(options, "loss", [("ce", false), ("mse", true)]).unwrap_or(false),
            penalty: options.value("penalty", 1.0),
            method,
            exact,
            activation_penalty: if exact { options.value("activation-penalty", 1.0) } else { 1.0 },
            learning_rate: options.value("lr", 1e-3),
            weight_decay: options.value("weight-decay", 0.0),
            cosine: choice(options, "schedule", [("cosine", true), ("constant", false)]).unwrap_or(true),
            epochs,
            batch: batch.or((!exact).then_some(128)),
            backprop_epochs: options.count("bp-epochs", if exact { epochs.min(10) } else { epochs }),
            examples: options.optional("examples"),
            first_seed: options.value("seed", 0),
            seeds: options.count("seeds", 1) as u64,
            threads: options.optional("threads"),
            with_backprop: !options.flag("no-bp"),
        }
    }

    fn run(&self, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<()> {
        let part = self.examples.map(|count| train.take(count)).transpose()?;
        let train = part.as_ref().unwrap_or(train);
        println!("{} examples, widths {:?}\n{:?}\n", train.len(), self.widths, self.method);
        let mut pairs = Vec::new();
        for seed in (self.first_seed..).take(self.seeds as usize) {
            // The schedule of the learning rate counts parameter steps, and a method may take several in a visit.
            let steps = self.method.parameter_steps(self.widths.len() - 1);
            let own = self.optimized(self.network(), train, self.epochs * steps).seed(seed).build()?;
            let twin = self.optimized(self.fused(), train, self.backprop_epochs).seed(seed).build()?;
            let config = FitConfig::new().method(self.method.clone()).epochs(self.epochs).seed(seed);
            let twin = (twin, config.clone().epochs(self.backprop_epochs).batch_size(self.batch.unwrap_or(128)));
            let config = match self.batch {
                Some(batch) => config.batch_size(batch),
                None => config.full_batch(),
            };
            let twin = Some(twin).filter(|_| self.with_backprop);
            let with_table = seed == self.first_seed;
            pairs.push(twins::train(own, twin, train, test, &config, &self.method, with_table)?);
        }
        twins::report("", &pairs);
        Ok(())
    }

    fn network(&self) -> NetworkBuilder<f32> {
        if self.exact { self.split() } else { self.fused() }
    }

    /// A map and its activation function in a unit.
    fn fused(&self) -> NetworkBuilder<f32> {
        let mut network = DecoupledNetwork::builder(self.widths[0]).penalty(self.penalty);
        let last = self.widths.len() - 1;
        for (t, &width) in self.widths.iter().enumerate().skip(1) {
            let activation = if t == last { Activation::Identity } else { self.activation };
            // Named either way, so that the weights stay as drawn.
            let init = self.init.unwrap_or_else(|| Init::for_activation(activation));
            network = network.dense_with(width, activation, init);
        }
        match self.squared_error {
            true => network.output_loss(SquaredError),
            false => network.output_loss(SoftmaxCrossEntropy::new()),
        }
    }

    /// Units as block coordinate descent and ADMM want them, with the authors' start: weights from N(0, 0.01²), biases 0.1, and at
    /// the top an activation of its own for the output, between two identities.
    fn split(&self) -> NetworkBuilder<f32> {
        let mut network = DecoupledNetwork::builder(self.widths[0]).penalty(self.penalty).output_loss(SquaredError);
        let last = self.widths.len() - 1;
        let mut stored = 0;
        for (t, pair) in self.widths.windows(2).enumerate() {
            let (inputs, width) = (pair[0], pair[1]);
            let init = self.init.unwrap_or(Init::lecun_normal().gain(0.01 * (inputs as f64).sqrt()));
            let activation = if t + 1 == last { Activation::Identity } else { self.activation };
            network = network.layer(Dense::new(inputs, width).init(init).bias(0.1));
            network = network.layer(Elementwise::new(width, activation));
            stored += 2;
            if t + 1 < last {
                network = network.layer_penalty(stored, self.activation_penalty);
            }
        }
        network
    }

    fn optimized(&self, network: NetworkBuilder<f32>, train: &Dataset<f32>, epochs: usize) -> NetworkBuilder<f32> {
        let adam = AdamW::new(self.learning_rate).weight_decay(self.weight_decay);
        let updates = epochs * train.len().div_ceil(self.batch.unwrap_or(128));
        let schedule =
            if self.cosine { Schedule::Cosine { total: updates as u64, floor: 0.0 } } else { Schedule::Constant };
        let network = network.optimizer(Scheduled::new(adam, schedule));
        match self.threads {
            Some(threads) => network.threads(threads),
            None => network,
        }
    }
}

/// From the input to the output.
fn widths(options: &mut Options) -> Vec<usize> {
    match (options.optional("net"), options.optional("width"), options.optional("depth")) {
        (None, width, depth) => {
            let mut widths = vec![width.unwrap_or(256); depth.unwrap_or(2) + 2];
            (widths[0], *widths.last_mut().expect("two at least")) = (784, 10);
            widths
        }
        (Some(list), None, None) => {
            let list: String = list;
            let width = |word: &str| word.parse().unwrap_or_else(|_| refuse(format!("--net does not take {list:?}")));
            let widths: Vec<usize> = list.split('-').map(width).collect();
            match widths[..] {
                [784, .., 10] => widths,
                _ => refuse("--net begins with the 784 pixels and ends with the 10 classes"),
            }
        }
        _ => refuse("--net goes without --width and --depth"),
    }
}

fn init(options: &mut Options) -> Option<Init> {
    let choices = [
        ("he", Init::he_normal()),
        ("glorot", Init::glorot_uniform()),
        ("lecun", Init::lecun_normal()),
        ("torch", Init::lecun_uniform().gain(3f64.sqrt().recip())),
    ];
    let init = choice(options, "init", choices);
    match (init, options.optional("gain")) {
        (None, Some(_)) => refuse("--gain needs --init"),
        // The gain of `torch` is part of its definition.
        (Some(init), Some(gain)) => {
            Some(if init == choices[3].1 { init.gain(gain / 3f64.sqrt()) } else { init.gain(gain) })
        }
        (init, None) => init,
    }
}

fn activation(options: &mut Options) -> Activation {
    let choices = [
        ("relu", Activation::Relu),
        ("leaky_relu", Activation::LeakyRelu(0.01)),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid),
        ("softplus", Activation::Softplus),
        ("gelu", Activation::Gelu),
        ("silu", Activation::Silu),
        ("hard_tanh", Activation::HardTanh),
        ("identity", Activation::Identity),
    ];
    choice(options, "activation", choices).unwrap_or(Activation::Relu)
}

/// A preset, and what the command line changes in it.
fn method(options: &mut Options) -> Method<f32> {
    let preset: String = options.value("preset", "default".to_owned());
    // What the preset's activation step has no use for is left on the command line, and refused there.
    let mut method = match &*preset {
        "default" => Method::default(),
        "red_black" => Method::red_black().activation(sweeps(options, Order::RedBlack, None, 0.3).stable(1.8)),
        "joint" => Method::joint(0.1).activation(sweeps(options, Order::Jacobi, Some(1), 0.1)),
        "mac" => Method::mac(5).activation(GaussNewton::new(options.value("activation-steps", 1))),
        "alm" => Method::alm(0.7).activation(sweeps(options, Order::ReverseGaussSeidel, Some(1), 0.7).per_penalty()),
        "bcd" => {
            let (proximal, steps) = (options.value("proximal", 5.0), options.value("activation-steps", 1));
            Method::bcd(proximal).activation(Exact { steps, proximal })
        }
        "admm" => {
            let step = Exact { steps: options.value("activation-steps", 1), proximal: 0.0 };
            Method::admm(options.value("ridge", 1.0)).activation(step)
        }
        "predictive_coding" => {
            Method::predictive_coding(4, 0.1).activation(sweeps(options, Order::Jacobi, Some(4), 0.1))
        }
        "incremental" => Method::incremental(4, 0.1).activation(sweeps(options, Order::Jacobi, Some(4), 0.1)),
        "error_based" => {
            let (rate, rule) = rate_and_rule(options, 0.1);
            let steps = ErrorSteps::new(options.value("activation-steps", 4), rate);
            Method::error_based(4, 0.1).activation(rule.into_iter().fold(steps, ErrorSteps::optimizer))
        }
        "local_targets" => {
            let sweeps = sweeps(options, Order::ReverseGaussSeidel, Some(1), 1.0);
            Method::local_targets(5).activation(sweeps.per_penalty())
        }
        "backprop_by_sweep" => {
            let sweeps = sweeps(options, Order::ReverseGaussSeidel, Some(1), 1.0);
            Method::backprop_by_sweep().activation(sweeps.per_penalty())
        }
        _ => refuse(format!("--preset does not take {preset:?}; --help lists what it takes")),
    };
    let exact = method.activation_step().streams();
    if let Some(local_steps) = (!exact).then(|| options.optional("local-steps")).flatten() {
        method = method.timing(Timing::AfterRelaxation { local_steps });
    }
    if let Some(word) = options.optional::<String>("start") {
        method = method.start(match (&*word, word.parse()) {
            ("anchored", _) => Start::Anchored,
            ("persisted", _) => Start::Persisted,
            (_, Ok(share)) => Start::Blend(share),
            _ => refuse(format!("--start does not take {word:?}")),
        });
    }
    if let Some(reads) = choice(options, "reads", [("forward", Reads::Forward), ("stored", Reads::Stored)]) {
        method = method.reads(reads);
    }
    if let Some(multipliers) = choice(options, "multipliers", [("none", None), ("kept", Some(Multipliers::kept()))]) {
        method = method.multipliers(multipliers);
    }
    method
}

/// A preset's sweeps, and what the command line changes in them; without a number, as many as reach the lowest layer and one more.
fn sweeps(options: &mut Options, order: Order, steps: Option<usize>, rate: f64) -> Sweeps<f32> {
    let orders = [("jacobi", Order::Jacobi), ("redblack", Order::RedBlack), ("reverse", Order::ReverseGaussSeidel)];
    let order = choice(options, "order", orders).unwrap_or(order);
    let (rate, rule) = rate_and_rule(options, rate);
    let sweeps = match options.optional("activation-steps").or(steps) {
        Some(steps) => Sweeps::new(order, steps, rate),
        None => Sweeps::reaching(order, rate),
    };
    rule.into_iter().fold(sweeps, Sweeps::optimizer)
}

/// The size of an activation step, which is the preset's unless the command line has another, and its rule if it has momentum.
fn rate_and_rule(options: &mut Options, preset: f64) -> (f64, Option<Sgd>) {
    let own: Option<f64> = options.optional("activation-rate");
    let rule = options.optional("z-momentum").map(|momentum| {
        let rate = own.unwrap_or_else(|| refuse("--z-momentum needs --activation-rate"));
        Sgd::new(rate).momentum(momentum)
    });
    (own.unwrap_or(preset), rule)
}

/// The meaning of the word after `--name`, if it is there.
fn choice<V: Clone, const N: usize>(options: &mut Options, name: &str, choices: [(&str, V); N]) -> Option<V> {
    let word: String = options.optional(name)?;
    let Some((_, meaning)) = choices.iter().find(|(choice, _)| *choice == word) else {
        let names = choices.map(|(choice, _)| choice).join(", ");
        refuse(format!("--{name} takes one of {names}, not {word:?}"))
    };
    Some(meaning.clone())
}
