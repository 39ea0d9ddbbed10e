//! Learning rate and activation rate for the digits, by a random search: every candidate is trained on three parts of the training
//! data and judged on what each of them holds out. What was best is then trained on all of them, and so are the defaults; the test
//! data, which no candidate has seen, compare the two.
//!
//! A search as short as this one mostly says which orders of magnitude will not do. Before it, `diagnostics::find_step` says which
//! activation rates are stable where training starts.
//!
//! ```text
//! cargo run --release --example search
//! ```

use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::optimizer::Adam;
use decoupled::search::{Scoring, Search, Space};
use decoupled::{DecoupledNetwork, FitConfig, Method, NetworkBuilder, Order, Result, data, diagnostics};

#[path = "common/options.rs"]
mod options;

const USAGE: &str = "\
--candidates N   candidates to draw (32)
--epochs N       visits to every example (20)
--seed N         of the split, the folds and the draws (0)
--loss           judges by the forward loss instead of accuracy";

fn main() {
    let mut options = options::Options::from_command_line(USAGE);
    let candidates = options.count("candidates", 32);
    let epochs = options.count("epochs", 20);
    let seed = options.value("seed", 0);
    let scoring = if options.flag("loss") { Scoring::Loss } else { Scoring::Score };
    options.finish();
    run((candidates, scoring), epochs, seed).unwrap_or_else(|error| options::fail(&error));
}

fn run((candidates, scoring): (usize, Scoring), epochs: usize, seed: u64) -> Result<()> {
    let (train, test) = data::digits::<f32>()?.stratified_split(0.8, seed)?;
    let config = FitConfig::new().epochs(epochs).batch_size(32);
    let mut default = circuit().build()?;

    let advice = diagnostics::find_step(&default, &train)?;
    println!(
        "stable at the start: activation rates up to {:.3} in red-black order",
        advice.largest_stable(Order::RedBlack)
    );
    println!("{candidates} candidates, each trained for {epochs} epochs on three parts of {} digits\n", train.len());

    // No cap on the rate, so that the table shows what a large one does.
    let uncapped = |rate| Method::predictive_coding(2, rate).order(Order::RedBlack);
    let space = Space::new().log_uniform("learning_rate", 1e-4, 1e-1).log_uniform("activation_rate", 1e-2, 10.0);
    let report = Search::randomized(space, candidates).cv(3).scoring(scoring).seed(seed).fit(&train, |candidate| {
        let network = circuit().optimizer(Adam::new(candidate.get("learning_rate")?)).build()?;
        Ok((network, config.clone().method(uncapped(candidate.get("activation_rate")?))))
    })?;
    println!("{report}\n");

    default.fit(&train, &config)?;
    let default_score = default.score(&test)?;
    let Some(best) = report.best().map(|trial| &trial.candidate) else {
        println!("no candidate could be trained; default_score={default_score:.4}");
        return Ok(());
    };
    let (learning_rate, activation_rate) = (best.get("learning_rate")?, best.get("activation_rate")?);
    let mut network = circuit().optimizer(Adam::new(learning_rate)).build()?;
    network.fit(&train, &config.method(uncapped(activation_rate)))?;
    println!(
        "best_learning_rate={learning_rate:.5} best_activation_rate={activation_rate:.4} score={:.4} default_score={default_score:.4}",
        network.score(&test)?
    );
    Ok(())
}

fn circuit() -> NetworkBuilder<f32> {
    DecoupledNetwork::builder(64)
        .dense(64, Activation::Relu)
        .dense(32, Activation::Relu)
        .dense(10, Activation::Identity)
        .output_loss(SoftmaxCrossEntropy::new())
}
