//! This crate: `ours JOB`, or `ours energies FILE` for the accuracy of a relaxation.

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Conv2d, Dense, Elementwise, Init, Pool2d};
use decoupled::loss::{SoftmaxCrossEntropy, SquaredError};
use decoupled::optimizer::Sgd;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, NetworkBuilder};
use decoupled::method::{Order, Reads, Start, Sweeps};
use peers::{Convolution, Net, THREADS, mnist, net, serve};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["energies", file] => energies(file),
        [job] => train(job),
        _ => panic!("ours JOB, or ours energies FILE"),
    }
}

fn train(job: &str) {
    let labelled = mnist();
    let data = if job == "bp_autoencoder" { onto_itself(&labelled) } else { labelled };
    let config = FitConfig::new().epochs(1).batch_size(128);
    let (network, config) = match job {
        "bp_mlp" | "bp_deep" | "default" | "memory" | "lenet" | "vgg" => {
            let net = net(job);
            let activation = if net.tanh { Activation::Tanh } else { Activation::Relu };
            (described(&net, activation).output_loss(SoftmaxCrossEntropy::new()), config)
        }
        "bp_autoencoder" => (dense(&[784, 1000, 500, 250, 30, 250, 500, 1000, 784], Activation::Tanh), config),
        "pc" | "pc_lenet" => {
            let net = net(if job == "pc" { "bp_mlp" } else { "lenet" });
            let network = described(&net, Activation::LeakyRelu(0.01));
            let sweeps = Sweeps::new(Order::Jacobi, 8, 0.01).optimizer(Sgd::new(0.01).momentum(0.5).nesterov());
            let method = Method::new(Start::Anchored, sweeps, Reads::Stored);
            (network.output_loss(SoftmaxCrossEntropy::new()), config.method(method))
        }
        "pc_heun" => {
            let network = dense(&[784, 300, 300, 10], Activation::Relu);
            (network, config.batch_size(64).method(relaxation(HEUN_STEPS)))
        }
        "bcd" => (split(&[784, 1500, 1500, 1500, 10]), config.full_batch().method(Method::bcd(5.0))),
        _ => panic!("no such job: {job}"),
    };
    let network = network.threads(THREADS).build().expect("a sound description");
    serve(
        network,
        |network| {
            let fit =
                if job.starts_with("bp_") || ["lenet", "vgg"].contains(&job) { network.fit_backprop(&data, &config) } else { network.fit(&data, &config) };
            fit.expect("a stable epoch");
        },
        |network| {
            let scores = network.evaluate(&data).expect("scores");
            scores.score.unwrap_or(2.0 * scores.loss / data.target_dim() as f64)
        },
    );
}

/// The least steps whose energy is at most that of jpc's relaxation; `energies` shows it.
const HEUN_STEPS: usize = 3;

/// Predictive coding as published: the parameter step reads the relaxed activations. The rate is the default's.
fn relaxation(steps: usize) -> Method<f32> {
    let sweeps = Sweeps::new(Order::Jacobi, steps, 0.1).stable(1.5);
    Method::new(Start::Anchored, sweeps, Reads::Stored)
}

fn described(net: &Net, activation: Activation) -> NetworkBuilder<f32> {
    let mut builder = match &net.convolutions[..] {
        [] => DecoupledNetwork::builder(784),
        _ => DecoupledNetwork::builder([1, 28, 28]),
    };
    for &Convolution { channels, kernel, padding, .. } in &net.convolutions {
        let conv = Conv2d::new(builder.shape(), channels, [kernel; 2]).padding([padding; 2]);
        let conv = conv.init(Init::for_activation(activation));
        let above = Elementwise::new(conv.output().len(), activation);
        builder = builder.layer(Chain::new().then(conv).then(above).then(Pool2d::max(conv.output(), [2, 2])));
    }
    let last = net.widths.len() - 1;
    (1..=last).fold(builder, |builder, t| {
        builder.dense(net.widths[t], if t == last { Activation::Identity } else { activation })
    })
}

fn dense(widths: &[usize], activation: Activation) -> NetworkBuilder<f32> {
    let last = widths.len() - 1;
    (1..=last).fold(DecoupledNetwork::builder(widths[0]), |network, t| {
        network.dense(widths[t], if t == last { Activation::Identity } else { activation })
    })
}

/// The network that block coordinate descent wants: pre-activations are stored, weights start from N(0, 0.01²), biases at 0.1.
fn split(widths: &[usize]) -> NetworkBuilder<f32> {
    let last = widths.len() - 1;
    (1..=last).fold(DecoupledNetwork::builder(widths[0]).output_loss(SquaredError), |network, t| {
        let init = Init::lecun_normal().gain(0.01 * (widths[t - 1] as f64).sqrt());
        let activation = if t == last { Activation::Identity } else { Activation::Relu };
        let map = Dense::new(widths[t - 1], widths[t]).init(init).bias(0.1);
        network.layer(map).layer(Elementwise::new(widths[t], activation))
    })
}

fn onto_itself(data: &Dataset<f32>) -> Dataset<f32> {
    let pixels = || Examples::from_column_matrix(data.inputs().view().into_owned()).expect("pixels");
    Dataset::regression(pixels(), pixels()).expect("a target for each example")
}

/// Prints the energy per example after several numbers of steps, from the weights and the batch that jpc left in a
/// file of `f32`: for each of the three layers W column after column and b, then inputs and targets, example after example.
fn energies(file: &str) {
    const EXAMPLES: usize = 64;
    let bytes = std::fs::read(file).expect("the file that jpc left");
    let mut numbers = bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().expect("four bytes")));
    let mut network = dense(&[784, 300, 300, 10], Activation::Relu).build().expect("a sound description");
    for t in 0..network.depth() {
        let params: Vec<f32> = numbers.by_ref().take(network.params(t).len()).collect();
        network.set_params(t, &params).expect("as many as the layer has");
    }
    let objective = network.objective();
    let mut block = objective.block(EXAMPLES);
    block.stored_mut(0).fill_with(|| numbers.next().expect("pixels"));
    block.stored_mut(network.depth()).fill_with(|| numbers.next().expect("targets"));
    for steps in 1..=8 {
        objective.anchor(&mut block).expect("a forward pass");
        relaxation(steps).activation_step().relax(&objective, &mut block).expect("a relaxation");
        let energy = objective.energy(&mut block).expect("an energy") / EXAMPLES as f32;
        println!("steps={steps} energy={energy:.6}");
    }
}
