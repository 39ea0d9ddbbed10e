//! Your own table, from the file to a trained network in a file: a bar while it trains, an early stop, a history, a picture and the
//! model, which `predict_csv` reads.
//!
//! ```text
//! cargo run --release --features csv,plot,progress --example train_csv -- --table examples/data/iris.csv --target species
//! cargo run --release --features csv,plot,progress --example train_csv -- --table examples/data/plants.csv --target species
//! ```
//!
//! The second table has texts, dates and blanks; the example prints what became of each column.

use std::fs;
use std::path::{Path, PathBuf};

use decoupled::data::{Scaling, csv};
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::metrics::confusion_matrix;
use decoupled::observer::{EarlyStopping, History, Progress};
use decoupled::{DecoupledNetwork, Error, FitConfig, Pipeline, Result, plot};

#[path = "common/options.rs"]
#[expect(dead_code, reason = "no option of this example is a flag or a count")]
mod options;

const USAGE: &str = "\
--table FILE     a CSV file with a header (examples/data/iris.csv)
--target NAME    the column with the classes (species)
--out FOLDER     where the model, the history and the picture go (target/csv)";

fn main() {
    let mut options = options::Options::from_command_line(USAGE);
    let table = options.value("table", PathBuf::from("examples/data/iris.csv"));
    let target = options.value("target", "species".to_owned());
    let out = options.value("out", PathBuf::from("target/csv"));
    options.finish();
    run(&table, &target, &out).unwrap_or_else(|error| options::fail(&error));
}

fn run(table: &Path, target: &str, out: &Path) -> Result<()> {
    fs::create_dir_all(out).map_err(|source| Error::Io { path: out.to_owned(), source })?;
    // Every column that can be is a feature; a fifth of the lines is held out.
    let table = csv::Options::classes(target).read::<f32>(table)?;
    println!("{}\n", table.columns);
    if 2 * table.classes.len() > table.dataset.len() {
        let why = "most of its classes have one line: for numbers see \"Numbers for classes\" in the guide `living`";
        return Err(Error::Unsupported { what: "this target", why });
    }
    let (train, held_out) = table.dataset.stratified_split(0.8, 0)?;

    let network = DecoupledNetwork::builder(train.input_dim())
        .dense(16, Activation::Tanh)
        .dense(table.classes.len(), Activation::Identity)
        .output_loss(SoftmaxCrossEntropy::new())
        .build()?;
    println!("{}\n", network.summary());

    let mut bar = Progress::new();
    let mut stopping = EarlyStopping::new().patience(20).restore_best_weights();
    let mut history = History::csv(out.join("history.csv"));
    let config = FitConfig::new().epochs(500).batch_size(16).validation(&held_out);
    // Features are brought to mean 0 and variance 1, by what the training part has.
    let pipeline = Pipeline::new(network, config).scale_inputs(Scaling::Standard);
    let (model, report) = pipeline.fit_observed(&train, &mut [&mut bar, &mut stopping, &mut history])?;
    println!("{report}\n");
    if let Some((epoch, loss)) = stopping.best() {
        println!("the network is that of epoch {epoch}, whose validation loss is {loss:.3e}\n");
    }

    let (truth, found) = (held_out.labels().unwrap_or_default(), model.predict_class(held_out.inputs())?);
    let confusion = confusion_matrix(truth, &found, table.classes.len())?.with_names(&table.classes)?;
    println!("held out:\n{confusion}\n");
    println!("accuracy on held-out lines: {:.4}", model.score(&held_out)?);

    let path = out.join("model.safetensors");
    model.columns(table.columns).save(&path)?;
    // A picture that fails costs no training.
    plot::training_curves(&[("network", &report)])?.save(out.join("training.svg"))?;
    println!("written: {}, history.csv and training.svg beside it", path.display());
    Ok(())
}
