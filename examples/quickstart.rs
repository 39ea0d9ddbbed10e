//! The shortest way to see the method work: handwritten digits that come with the crate, a network trained by layer-local
//! gradients over its activation bank, and its twin, which starts from the same parameters, sees the same batches and
//! follows the gradients of backpropagation.
//!
//! Look at three things. The *energy* falls together with the *loss* of the ordinary forward pass, so the stored
//! activations have not run away from what the layers compute. The *residuals* ‖z − ẑ‖ / ‖z‖ say how far each hidden
//! layer's stored activation is from its prediction. And both networks end at about the same test accuracy.
//!
//! ```text
//! cargo run --release --example quickstart -- --seeds 5
//! ```

use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::optimizer::Adam;
use decoupled::{DecoupledNetwork, FitConfig, Method, Result, data};

#[path = "common/options.rs"]
mod options;
#[path = "common/twins.rs"]
mod twins;

const USAGE: &str = "\
--seeds N    runs from so many seeds, and reports the mean (1)
--epochs N   visits to every example (30)
--no-bp      without the twin";

fn main() {
    let mut options = options::Options::from_command_line(USAGE);
    let seeds = options.count("seeds", 1);
    let epochs = options.count("epochs", 30);
    let with_backprop = !options.flag("no-bp");
    options.finish();
    run(seeds, epochs, with_backprop).unwrap_or_else(|error| options::fail(&error));
}

fn run(seeds: usize, epochs: usize, with_backprop: bool) -> Result<()> {
    let digits = data::digits::<f32>()?;
    println!("1797 digits of 8 × 8 pixels, 80 % to train and 20 % to test; a 64-128-64-10 network, ReLU\n");
    let mut pairs = Vec::new();
    for seed in 0..seeds as u64 {
        let (train, test) = digits.stratified_split(0.8, seed)?;
        let network = DecoupledNetwork::builder(train.input_dim())
            .dense(128, Activation::Relu)
            .dense(64, Activation::Relu)
            .dense(10, Activation::Identity)
            .output_loss(SoftmaxCrossEntropy::new())
            .optimizer(Adam::new(2e-3))
            .seed(seed)
            .build()?;
        let config = FitConfig::new().epochs(epochs).batch_size(32).seed(seed);
        let twin = with_backprop.then(|| (network.clone(), config.clone()));
        pairs.push(twins::train(network, twin, &train, &test, &config, &Method::default(), seed == 0)?);
    }
    twins::report("decoupled_", &pairs);
    Ok(())
}
