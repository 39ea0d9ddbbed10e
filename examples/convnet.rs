//! Pictures: a small convolutional network in the manner of LeNet (Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, 1998, *Gradient-based
//! learning applied to document recognition*), by any method of the family that goes by gradients, beside its twin by backpropagation.
//! Here you see how convolutions, pooling and dense layers are put together, and that nothing in the methods knows of pictures.
//!
//! A convolution, its activation and the pooling above are one unit: the bank keeps the output of the pooling, or with
//! `--storage nothing` none at all, and a fit needs memory for the activations of a batch alone.
//!
//! `--net vgg` is deeper and wider: four convolutions of 3 × 3 in the manner of VGG (K. Simonyan, A. Zisserman, 2014, *Very deep
//! convolutional networks for large-scale image recognition*), each pooled, and one dense layer.
//!
//! With `MNIST_DIR`, which names the folder with the four unpacked IDX files, it trains on MNIST; without, on the 8 × 8 digits that the
//! crate has.
//!
//! ```text
//! MNIST_DIR=… cargo run --release --example convnet -- --epochs 5
//! MNIST_DIR=… cargo run --release --example convnet -- --net vgg --storage nothing --epochs 1
//! cargo run --release --example convnet -- --preset predictive_coding
//! ```

use decoupled::bank::Storage;
use decoupled::layer::{Activation, Chain, Conv2d, Elementwise, Init, Pool2d};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::optimizer::{Adam, Schedule, Scheduled};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, NetworkBuilder, Result, data};

#[path = "common/options.rs"]
mod options;
#[path = "common/twins.rs"]
mod twins;

use options::{Options, refuse};

const USAGE: &str = "\
--preset NAME  default, red_black, joint, predictive_coding, incremental, error_based, local_targets, alm, backprop_by_sweep (default)
--net NAME     lenet, or vgg, which reads MNIST (lenet)
--storage NAME full, bf16 or nothing: what the bank keeps; nothing for methods that start at the forward pass (full)
--epochs N     visits to every example (5, on the digits 20)
--batch N      examples in a batch (128, on the digits 32)
--examples N   the first N of MNIST's training part (all)
--lr R         learning rate of Adam, annealed to zero along half a cosine (0.001)
--seeds N      runs from so many seeds, and reports the mean (1)
--no-bp        without the twin";

struct Settings {
    method: Method<f32>,
    storage: Storage,
    epochs: usize,
    batch: usize,
    learning_rate: f64,
    seeds: u64,
    twin: bool,
}

fn main() {
    let mut options = Options::from_command_line(USAGE);
    let folder = std::env::var_os("MNIST_DIR");
    let method = match &*options.value("preset", "default".to_owned()) {
        "default" => Method::default(),
        "red_black" => Method::red_black(),
        "joint" => Method::joint(0.1),
        "predictive_coding" => Method::predictive_coding(8, 0.1),
        "incremental" => Method::incremental(4, 0.1),
        "error_based" => Method::error_based(4, 0.1),
        "local_targets" => Method::local_targets(3),
        "alm" => Method::alm(0.7),
        "backprop_by_sweep" => Method::backprop_by_sweep(),
        other => refuse(format!("--preset does not take {other:?}")),
    };
    let storage = match &*options.value("storage", "full".to_owned()) {
        "full" => Storage::Full,
        "bf16" => Storage::Bf16,
        "nothing" => Storage::Nothing,
        other => refuse(format!("--storage does not take {other:?}")),
    };
    let vgg_like = match &*options.value("net", "lenet".to_owned()) {
        "lenet" => false,
        "vgg" if folder.is_none() => refuse("--net vgg reads MNIST: let MNIST_DIR name its folder"),
        "vgg" => true,
        other => refuse(format!("--net does not take {other:?}")),
    };
    let settings = Settings {
        method,
        storage,
        epochs: options.count("epochs", if folder.is_some() { 5 } else { 20 }),
        batch: options.count("batch", if folder.is_some() { 128 } else { 32 }),
        learning_rate: options.value("lr", 1e-3),
        seeds: options.count("seeds", 1) as u64,
        twin: !options.flag("no-bp"),
    };
    let examples = options.count("examples", usize::MAX);
    options.finish();
    let outcome = match folder {
        Some(folder) => data::mnist(folder).and_then(|(train, test)| {
            let train = train.take(examples.min(train.len()))?;
            settings.run(&train, &test, |builder| match vgg_like {
                true => vgg(builder),
                false => lenet(builder, [6, 16], [5, 5], &[120, 84]),
            })
        }),
        None => data::digits().and_then(|data| data.stratified_split(0.8, 0)).and_then(|(train, test)| {
            println!("MNIST_DIR is not set: the 8 × 8 digits instead\n");
            settings.run(&train, &test, |builder| lenet(builder, [8, 16], [3, 3], &[64]))
        }),
    };
    outcome.unwrap_or_else(|error| options::fail(&error));
}

/// A convolution, its activation, and half the height and width.
fn pooled(
    builder: NetworkBuilder<f32>,
    channels: usize,
    kernel: [usize; 2],
    padding: [usize; 2],
) -> NetworkBuilder<f32> {
    let conv = Conv2d::new(builder.shape(), channels, kernel).padding(padding);
    let conv = conv.init(Init::for_activation(Activation::Relu));
    let unit = Chain::new()
        .then(conv)
        .then(Elementwise::new(conv.output().len(), Activation::Relu))
        .then(Pool2d::max(conv.output(), [2, 2]));
    builder.layer(unit)
}

/// Two convolutions whose pictures keep their size, each pooled to half of it, and dense layers above.
fn lenet(
    mut builder: NetworkBuilder<f32>,
    channels: [usize; 2],
    kernel: [usize; 2],
    dense: &[usize],
) -> NetworkBuilder<f32> {
    for channels in channels {
        builder = pooled(builder, channels, kernel, kernel.map(|side| side / 2));
    }
    let builder = dense.iter().fold(builder, |builder, &units| builder.dense(units, Activation::Relu));
    builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new())
}

/// Four convolutions of 3 × 3, each pooled, and one dense layer. The lowest pads 28 × 28 pixels by 3 on each side: by 2 to 32 × 32, and
/// by 1 as the others, which keeps the size.
fn vgg(builder: NetworkBuilder<f32>) -> NetworkBuilder<f32> {
    let convolutions = [(32, 3), (64, 1), (128, 1), (128, 1)].into_iter();
    let builder =
        convolutions.fold(builder, |builder, (channels, padding)| pooled(builder, channels, [3, 3], [padding; 2]));
    builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new())
}

impl Settings {
    fn run(
        &self,
        train: &Dataset<f32>,
        test: &Dataset<f32>,
        layers: impl Fn(NetworkBuilder<f32>) -> NetworkBuilder<f32>,
    ) -> Result<()> {
        // The pictures are squares of one channel.
        let side = train.input_dim().isqrt();
        let rule = |steps: usize| {
            let total = (self.epochs * train.len().div_ceil(self.batch) * steps) as u64;
            Scheduled::new(Adam::new(self.learning_rate), Schedule::Cosine { total, floor: 0.0 })
        };
        let mut pairs = Vec::new();
        for seed in 0..self.seeds {
            let builder = layers(DecoupledNetwork::builder([1, side, side])).seed(seed).optimizer(rule(1));
            let network = builder.bank_storage(self.storage).build()?;
            let mut own = network.clone();
            own.set_optimizer(rule(self.method.parameter_steps(network.depth())))?;
            if seed == 0 {
                println!("{}\n", network.summary());
            }
            let config = FitConfig::new().epochs(self.epochs).batch_size(self.batch).seed(seed);
            let config = config.method(self.method.clone());
            let twin = self.twin.then(|| (network, config.clone()));
            // The table says how near to its equilibrium the method comes, which takes minutes to find for tens of thousands of units.
            let units: usize = own.summary().layers.iter().map(|layer| layer.output.len()).sum();
            let with_table = seed == 0 && units < 10_000;
            pairs.push(twins::train(own, twin, train, test, &config, &self.method, with_table)?);
        }
        twins::report("", &pairs);
        Ok(())
    }
}
