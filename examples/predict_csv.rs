//! What a network that `train_csv` wrote says of a table without targets: a line for each of its lines.
//!
//! ```text
//! cargo run --release --features csv --example predict_csv -- --model target/csv/model.safetensors --table new.csv
//! ```

use std::path::{Path, PathBuf};

use decoupled::data::csv;
use decoupled::{Model, Result};

#[path = "common/options.rs"]
#[expect(dead_code, reason = "no option of this example is a flag or a count")]
mod options;

const USAGE: &str = "\
--model FILE     a model (target/csv/model.safetensors)
--table FILE     a CSV file with a header and the model's features, in their order (examples/data/iris.csv)
--target NAME    a column that is no feature (none)";

fn main() {
    let mut options = options::Options::from_command_line(USAGE);
    let model = options.value("model", PathBuf::from("target/csv/model.safetensors"));
    let table = options.value("table", PathBuf::from("examples/data/iris.csv"));
    let target: Option<String> = options.optional("target");
    options.finish();
    run(&model, &table, target).unwrap_or_else(|error| options::fail(&error));
}

fn run(model: &Path, table: &Path, target: Option<String>) -> Result<()> {
    let model = Model::<f32>::load(model)?;
    let columns = target.map_or_else(csv::Options::features, |name| csv::Options::classes(&*name));
    let mut inputs = columns.read_inputs::<f32>(table)?;
    if let Some(scaler) = &model.input_scaler {
        inputs = scaler.apply(inputs.matrix())?;
    }
    let classes = model.network.predict_class(&inputs)?;
    let probabilities = model.network.predict_proba(&inputs)?;
    for (example, class) in classes.into_iter().enumerate() {
        let name = model.class_names.get(class).map_or_else(|| class.to_string(), String::clone);
        println!("{name} {:.3}", probabilities[(class, example)]);
    }
    Ok(())
}
