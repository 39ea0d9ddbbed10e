//! A network of units that say yes or no, whose derivative is zero wherever there is one: trained by local targets and
//! straight-through gradients, beside backpropagation on the same network, and then packed into few bits. Here you learn what a
//! function that jumps does to backpropagation, what mends it, and what is left of the accuracy in a fraction of the bytes.
//!
//! What is stored are pre-activations; their targets lie δ/P away, and every layer takes a few local steps towards them. At equal
//! epochs, if not in equal time, that is as good as backpropagation on MNIST, each at its best rate of those below (98.14 against
//! 98.09, `--seeds 9`, which differ by less than seeds do), where all learn the training part by heart, and better on its first
//! 10,000 examples (96.03 against 95.54, `--examples 10000 --lr 3e-3 --seeds 3`). With one local step the two are the same but for rounding.
//! Test accuracy in % after 10 epochs in batches of 128, 784-500-500-10, sign, seed 0:
//!
//! ```text
//!                                        10,000 examples          60,000 examples
//! learning rate                        1e-3    3e-3    5e-3     3e-4    5e-4    1e-3    2e-3    3e-3    5e-3
//! backpropagation                      94.70   95.46   95.69    97.20           97.88           98.20   97.87
//! 2 local steps, P = 1                                                                  97.69
//! 2 local steps, P = 0.1                                                        98.07   98.07
//! 2 local steps, P = 0.01                      95.65                            98.04
//! 3 local steps, P = 1                                          97.19           97.72
//! 3 local steps, P = 0.01              95.75   96.05            98.00   98.18   97.97           97.81
//! 3 local steps, P = 0.001             95.41
//! 3, P = 0.01, units' outputs stored   95.60   95.64
//! 3, P = 1, Huber loss of 0.01                 92.93
//! ```
//!
//! On MNIST where `MNIST_DIR` names the folder of its four unpacked files, else on the digits that come with the crate.
//!
//! ```text
//! MNIST_DIR=… cargo run --release --example binary -- --activation sign --weight-bits 4
//! ```

use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::optimizer::{Adam, Schedule, Scheduled};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, FitReport, Method, Result, data};

#[path = "common/options.rs"]
mod options;

use options::{Options, refuse};

const USAGE: &str = "\
network
  --net I-A-B-…-O       widths from the input to the output (784-500-500-10; digits: 64-128-128-10)
  --activation NAME     sign, step, quantize2, quantize4 (sign)
  --weight-bits 1|2|4|8 bits of a weight in the packed network (4)
training
  --local-steps M       steps of every layer towards its target (3)
  --penalty P           a target lies δ/P from the forward activation, δ its gradient (0.01)
  --lr R                learning rate of Adam for the rule (0.0005; digits: 0.003)
  --bp-lr R             the same for backpropagation (0.003)
  --epochs N            visits to every example (10; digits: 30)
  --batch N             examples in a batch (128; digits: 32)
  --examples N          the first N of the training part (all)
  --seed S, --seeds N   N runs from the seeds S, S + 1, … (0, 1)
  --threads N           (all)
  --no-bp               without the twins";

fn main() {
    let mut options = Options::from_command_line(USAGE);
    let folder = std::env::var_os("MNIST_DIR");
    let settings = Settings::take(&mut options, folder.is_some());
    options.finish();
    let run = match folder {
        Some(folder) => data::mnist(folder).and_then(|(train, test)| settings.run(&train, &test)),
        None => {
            println!(
                "MNIST_DIR is not set: instead of MNIST these are the digits of 8 × 8 pixels, and a smaller network"
            );
            data::digits()
                .and_then(|all| all.stratified_split(0.8, 0))
                .and_then(|(train, test)| settings.run(&train, &test))
        }
    };
    run.unwrap_or_else(|error| options::fail(&error));
}

struct Settings {
    widths: Vec<usize>,
    activation: Activation,
    bits: usize,
    local_steps: usize,
    penalty: f64,
    rate: f64,
    backprop_rate: f64,
    epochs: usize,
    batch: usize,
    examples: Option<usize>,
    first_seed: u64,
    seeds: u64,
    threads: Option<usize>,
    with_backprop: bool,
}

/// Mean over the seeds, of the rule, of backpropagation and of the packed network.
#[derive(Default)]
struct Means {
    accuracy: f64,
    backprop_accuracy: f64,
    packed_accuracy: f64,
    seconds: f64,
    backprop_seconds: f64,
}

impl Settings {
    fn take(options: &mut Options, mnist: bool) -> Self {
        let (net, epochs, batch, rate) =
            if mnist { ("784-500-500-10", 10, 128, 5e-4) } else { ("64-128-128-10", 30, 32, 3e-3) };
        let list: String = options.value("net", net.to_owned());
        let widths: Vec<usize> = list.split('-').filter_map(|word| word.parse().ok()).collect();
        let ends = if mnist { [784, 10] } else { [64, 10] };
        if widths.len() != list.split('-').count() || widths.len() < 2 || [widths[0], widths[widths.len() - 1]] != ends
        {
            refuse(format!("--net does not take {list:?}: widths from the {} pixels to the 10 classes", ends[0]));
        }
        let activation = match options.value("activation", "sign".to_owned()).as_str() {
            "sign" => Activation::Sign,
            "step" => Activation::Step,
            "quantize2" => Activation::Quantize(2),
            "quantize4" => Activation::Quantize(4),
            other => refuse(format!("--activation takes one of sign, step, quantize2, quantize4, not {other:?}")),
        };
        let bits = options.value("weight-bits", 4);
        if ![1, 2, 4, 8].contains(&bits) {
            refuse(format!("--weight-bits takes one of 1, 2, 4, 8, not {bits}"));
        }
        Self {
            widths,
            activation,
            bits,
            local_steps: options.count("local-steps", 3),
            penalty: options.value("penalty", 0.01),
            rate: options.value("lr", rate),
            backprop_rate: options.value("bp-lr", 3e-3),
            epochs: options.count("epochs", epochs),
            batch: options.count("batch", batch),
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
        println!("{} examples, widths {:?}, {:?}", train.len(), self.widths, self.activation);
        let method = Method::local_targets(self.local_steps);
        let (mut means, mut bytes) = (Means::default(), 0);
        let share = 1.0 / self.seeds as f64;
        for seed in (self.first_seed..).take(self.seeds as usize) {
            let config = FitConfig::new().method(method.clone()).epochs(self.epochs).batch_size(self.batch).seed(seed);
            let outcome = |name: &str, network: &DecoupledNetwork<f32>, report: &FitReport| -> Result<(f64, f64)> {
                let accuracy = network.evaluate(test)?.score.unwrap_or(f64::NAN);
                let trained = report.last().and_then(|epoch| epoch.train_score).unwrap_or(f64::NAN);
                let seconds = report.time().as_secs_f64();
                println!(
                    "{name:<42} {:6.2} % (training {:6.2} %) in {seconds:.1} s",
                    100.0 * accuracy,
                    100.0 * trained
                );
                report.warnings.iter().for_each(|warning| println!("warning: {warning}"));
                Ok((accuracy, seconds))
            };
            println!("\nseed {seed}");
            let mut network = self.network(train, seed, true, self.rate, self.local_steps)?;
            let report = network.fit(train, &config)?;
            let (accuracy, seconds) = outcome("local targets, straight through", &network, &report)?;
            means.accuracy += share * accuracy;
            means.seconds += share * seconds;

            if self.with_backprop {
                let mut twin = self.network(train, seed, true, self.backprop_rate, 1)?;
                let report = twin.fit_backprop(train, &config)?;
                let (accuracy, seconds) = outcome("backpropagation, straight through", &twin, &report)?;
                means.backprop_accuracy += share * accuracy;
                means.backprop_seconds += share * seconds;
            }
            if self.with_backprop && seed == self.first_seed {
                let mut plain = self.network(train, seed, false, self.backprop_rate, 1)?;
                let report = plain.fit_backprop(train, &config)?;
                outcome("backpropagation, derivative as it is", &plain, &report)?;
            }

            bytes = self.pack(&mut network)?;
            let accuracy = network.evaluate(test)?.score.unwrap_or(f64::NAN);
            let whole = 4 * network.param_count();
            let name = format!("packed, weights of {} bits", self.bits);
            println!("{name:<42} {:6.2} %, {bytes} bytes instead of {whole}", 100.0 * accuracy);
            means.packed_accuracy += share * accuracy;
        }
        let Means { accuracy, backprop_accuracy, packed_accuracy, seconds, backprop_seconds } = means;
        let packed = format!("packed_accuracy={packed_accuracy:.4} packed_bytes={bytes}");
        match self.with_backprop {
            true => println!(
                "\naccuracy={accuracy:.4} bp_accuracy={backprop_accuracy:.4} {packed} seconds={seconds:.3} \
                 bp_seconds={backprop_seconds:.3}"
            ),
            false => println!("\naccuracy={accuracy:.4} {packed} seconds={seconds:.3}"),
        }
        Ok(())
    }

    /// Every unit is the function that jumps and then a dense map, so what is stored are pre-activations: real numbers that a
    /// layer can be asked for. The schedule of the learning rate counts parameter steps, of which there are several in a visit.
    fn network(
        &self,
        train: &Dataset<f32>,
        seed: u64,
        straight: bool,
        rate: f64,
        steps: usize,
    ) -> Result<DecoupledNetwork<f32>> {
        let mut network = DecoupledNetwork::builder(train.input_dim()).penalty(self.penalty);
        for (t, pair) in self.widths.windows(2).enumerate() {
            let dense = Dense::new(pair[0], pair[1]).init(Init::lecun_normal());
            let jump = Elementwise::new(pair[0], self.activation);
            network = match (t, straight) {
                (0, _) => network.layer(dense),
                (_, true) => network.layer(Chain::new().then(jump.straight_through()).then(dense)),
                (_, false) => network.layer(Chain::new().then(jump).then(dense)),
            };
        }
        let total = (self.epochs * train.len().div_ceil(self.batch) * steps) as u64;
        let optimizer = Scheduled::new(Adam::new(rate), Schedule::Cosine { total, floor: 0.0 });
        network = network.output_loss(SoftmaxCrossEntropy::new()).optimizer(optimizer).seed(seed);
        match self.threads {
            Some(threads) => network.threads(threads),
            None => network,
        }
        .build()
    }

    /// Packs every layer, replaces its parameters by what the bytes say, and returns their number.
    fn pack(&self, network: &mut DecoupledNetwork<f32>) -> Result<usize> {
        let mut bytes = 0;
        for (t, pair) in self.widths.windows(2).enumerate() {
            let packed = pack(network.params(t), pair[0], pair[1], self.bits);
            network.set_params(t, &unpack(&packed, pair[0], pair[1], self.bits))?;
            bytes += packed.len();
        }
        Ok(bytes)
    }
}

/// The weight that stands for a code: 2ᵇ levels, evenly spaced from −scale to scale.
fn level(code: u8, scale: f32, bits: usize) -> f32 {
    let last = ((1u16 << bits) - 1) as f32;
    scale * (2.0 * f32::from(code) / last - 1.0)
}

/// The code of the nearest level.
fn nearest(weight: f32, scale: f32, bits: usize) -> u8 {
    let last = ((1u16 << bits) - 1) as f32;
    // A conversion to an integer cuts off what lies beyond its ends, but those of the levels may be nearer.
    ((weight / scale + 1.0) * last / 2.0).round().clamp(0.0, last) as u8
}

/// Parameters of a dense layer, W `outputs × inputs` column after column and then b. Of each output unit: scale and bias in four
/// bytes each, then the codes of its weights from the low bits to the high. The scale is that of a hundred, up to the largest
/// weight, which errs least in squares.
fn pack(params: &[f32], inputs: usize, outputs: usize, bits: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for unit in 0..outputs {
        let weights: Vec<f32> = params[..inputs * outputs].iter().skip(unit).step_by(outputs).copied().collect();
        let error = |scale: f32| {
            weights.iter().map(|&w| (w - level(nearest(w, scale, bits), scale, bits)).powi(2)).sum::<f32>()
        };
        let largest = weights.iter().fold(f32::MIN_POSITIVE, |most, w| most.max(w.abs()));
        let scales = (1..=100).map(|percent| largest * percent as f32 / 100.0);
        let scale = scales.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(largest);
        bytes.extend(scale.to_le_bytes());
        bytes.extend(params[inputs * outputs + unit].to_le_bytes());
        for group in weights.chunks(8 / bits) {
            let codes = group.iter().enumerate();
            bytes.push(codes.fold(0, |byte, (i, &w)| byte | nearest(w, scale, bits) << (i * bits)));
        }
    }
    bytes
}

/// The parameters that [`pack`] has left.
fn unpack(bytes: &[u8], inputs: usize, outputs: usize, bits: usize) -> Vec<f32> {
    let mut params = vec![0.0; (inputs + 1) * outputs];
    let unit_bytes = 8 + inputs.div_ceil(8 / bits);
    for (unit, bytes) in bytes.chunks(unit_bytes).enumerate() {
        let number = |at: usize| f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mask = u8::MAX >> (8 - bits);
        for input in 0..inputs {
            let code = bytes[8 + input * bits / 8] >> (input * bits % 8) & mask;
            params[input * outputs + unit] = level(code, number(0), bits);
        }
        params[inputs * outputs + unit] = number(4);
    }
    params
}
