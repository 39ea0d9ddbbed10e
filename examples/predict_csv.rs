//! What a network that `train_csv` wrote says of a table without targets: a line for each of its lines.
//!
//! ```text
//! cargo run --release --features csv --example predict_csv -- --model target/csv/model.safetensors --table new.csv
//! ```

use std::path::{Path, PathBuf};

use decoupled::{Model, Result};

#[path = "common/options.rs"]
#[expect(dead_code, reason = "no option of this example is a flag, a count or optional")]
mod options;

const USAGE: &str = "\
--model FILE     a model (target/csv/model.safetensors)
--table FILE     a CSV file with the model's features, by their names (examples/data/iris.csv)";

fn main() {
    let mut options = options::Options::from_command_line(USAGE);
    let model = options.value("model", PathBuf::from("target/csv/model.safetensors"));
    let table = options.value("table", PathBuf::from("examples/data/iris.csv"));
    options.finish();
    run(&model, &table).unwrap_or_else(|error| options::fail(&error));
}

fn run(model: &Path, table: &Path) -> Result<()> {
    let model = Model::<f32>::load(model)?;
    // In whatever order, and among whatever others they stand.
    let inputs = model.read_inputs(table)?;
    let (names, classes) = (model.predict_name(&inputs)?, model.predict_class(&inputs)?);
    let probabilities = model.predict_proba(&inputs)?;
    for (example, (name, class)) in names.into_iter().zip(classes).enumerate() {
        // A single output has the probability of class 1.
        let own = match probabilities.nrows() {
            1 if class == 0 => 1.0 - probabilities[(0, example)],
            1 => probabilities[(0, example)],
            _ => probabilities[(class, example)],
        };
        println!("{name} {own:.3}");
    }
    Ok(())
}
