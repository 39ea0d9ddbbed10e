//! Your own table, from the file to predictions in another program.
//!
//! # Two programs
//!
//! The first reads a CSV file, holds a fifth of its lines out, and trains with a bar in the terminal until the loss on the held-out
//! lines has not fallen for twenty epochs. It leaves a folder with the model, the history of the training as a table, and its picture:
//!
//! ```text
//! cargo run --release --features csv,plot,progress --example train_csv -- --table examples/data/iris.csv --target species
//! ```
//!
//! The second knows nothing but that model:
//!
//! ```text
//! cargo run --release --features csv --example predict_csv -- --model target/csv/model.safetensors --table new.csv
//! ```
//!
//! To do so from a crate of your own, enable the features and copy the function `run`:
//!
//! ```toml
//! [dependencies]
//! decoupled = { path = "../decoupled", features = ["csv", "plot", "progress"] } # and "gz" for gzipped tables
//! ```
//!
//! The model records how every column of the table was read: texts that were encoded, blanks that were filled, dates that were left
//! out. The second program finds the columns in the new table by their names, ignores the others, encodes them alike, and says
//! which one is missing. A category that the first table did not have is an error, unless the second program
//! [ignores it](crate::data::Columns::set_unknown_categories).
//!
//! The first program:
//!
//! ```ignore
#![doc = include_str!("../../examples/train_csv.rs")]
//! ```
//!
//! The second:
//!
//! ```ignore
#![doc = include_str!("../../examples/predict_csv.rs")]
//! ```
//!
//! # Numbers for classes
//!
//! Every text in the target's column is a class. Where the targets are numbers, say so, and scale them like the
//! inputs: networks learn from and to numbers of unit size. The model keeps both scalers, and predicts in the units of the table.
//!
//! ```no_run
//! # #[cfg(all(feature = "csv", feature = "save"))]
//! # {
//! use decoupled::data::{Scaling, csv};
//! use decoupled::layer::Activation;
//! use decoupled::{DecoupledNetwork, FitConfig, Model, Pipeline};
//!
//! let table = csv::Options::numbers(["price"]).read::<f32>("houses.csv")?;
//! println!("{}", table.columns); // how each column was read
//! let network = DecoupledNetwork::builder(table.dataset.input_dim())
//!     .dense(32, Activation::Tanh)
//!     .dense(1, Activation::Identity)
//!     .build()?;
//! let pipeline = Pipeline::new(network, FitConfig::new().epochs(100).batch_size(16));
//! let pipeline = pipeline.scale_inputs(Scaling::Standard).scale_targets(Scaling::Standard);
//! let (train, test) = table.dataset.split(0.8, 0)?;
//! let (model, _) = pipeline.fit(&train)?;
//! println!("R² {:.3}", model.score(&test)?);
//! model.columns(table.columns).save("houses.safetensors")?;
//!
//! let model = Model::<f32>::load("houses.safetensors")?;
//! println!("the first price: {:.0}", model.read_and_predict("new.csv")?[(0, 0)]);
//! # }
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! # While it trains
//!
//! [`fit_observed`](crate::DecoupledNetwork::fit_observed) takes [observers](crate::observer): a bar, a [table](crate::observer::Table),
//! a [history](crate::observer::History) in CSV or JSON lines, [early stopping](crate::observer::EarlyStopping) with the options of
//! Keras, or a closure of your own. To stop by Ctrl-C with the state intact, see the example `interrupt`. It stops after a step, in the
//! middle of an epoch; to go on from a [checkpoint](crate::observer::Checkpoint) as if it had never stopped, stop in
//! `Observer::epoch` instead of `step`.
//!
//! # Settings
//!
//! With the feature `serde` (and `serde_json` in your own `[dependencies]`), all that an experiment consists of but its data goes into
//! a file of settings and comes back: the
//! [builder](crate::NetworkBuilder) of a network of built-in parts, [`FitConfig`](crate::FitConfig), early stopping, a
//! [search](crate::search::Search), how a table is read. An unknown setting is refused by its name. A
//! [`FitConfig`](crate::FitConfig) or [`EarlyStopping`](crate::observer::EarlyStopping) may be as short as
//! `{"epochs": 60, "batch_size": 16}` or `{"patience": 10}`; a builder is written by a program.
//!
//! ```
//! use decoupled::layer::Activation;
//! use decoupled::{DecoupledNetwork, FitConfig, NetworkBuilder, data};
//!
//! # #[cfg(feature = "serde")]
//! # {
//! let builder = DecoupledNetwork::<f32>::builder(2).dense(8, Activation::Tanh).dense(2, Activation::Identity);
//! let text = serde_json::to_string(&(builder, FitConfig::<f32>::new().epochs(3))).unwrap();
//!
//! let (builder, config): (NetworkBuilder<f32>, FitConfig<f32>) = serde_json::from_str(&text).unwrap();
//! builder.build()?.fit(&data::two_moons(100, 0.1, 0)?, &config)?;
//! # }
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! # Files
//!
//! | you want to keep | write | read |
//! |---|---|---|
//! | a network of built-in layers | `network.save(path)` | `DecoupledNetwork::load(path)` |
//! | a network with layers or a loss of your own | the same | build it, then `network.load_params(path)` |
//! | the scaler and the names of features and classes as well | `Model::new(network)…save(path)` | `Model::load(path)`, or build the network, then `Model::load_into(network, path)` |
//! | all that a training needs to go on, bit for bit | the observer `Checkpoint` ([an example](crate::observer::Checkpoint)), or `network.save_checkpoint(path, &[])` | build it, then `network.resume(path, &mut [])` |
//!
//! All are [safetensors](https://huggingface.co/docs/safetensors) with a checksum. Python reads them, weights as `Linear` of PyTorch has
//! them; any bit that changes is found; and a file is replaced as a whole, so that a process killed while it writes leaves the old one.
//!
//! ```text
//! import safetensors.torch
//! weights = safetensors.torch.load_file("target/csv/model.safetensors")      # 0.0.weight, 0.0.bias, 1.weight, 1.bias
//! ```
//!
//! A name begins with the layer's number. A map with its activation is a chain of two, and the map part 0 of it. Scalers and names
//! are in the metadata; the iris network above in NumPy:
//!
//! ```text
//! import json, numpy, safetensors
//! with safetensors.safe_open("target/csv/model.safetensors", "np") as file:
//!     w = {name: file.get_tensor(name) for name in file.keys()}
//!     about = json.loads(file.metadata()["decoupled"])
//! center, spread = (numpy.array([m[key] for m in about["input_scaler"]["maps"]]) for key in ("center", "spread"))
//! hidden = numpy.tanh((x - center) / spread @ w["0.0.weight"].T + w["0.0.bias"])         # x: a line an example
//! print([about["class_names"][k] for k in (hidden @ w["1.weight"].T + w["1.bias"]).argmax(1)])
//! ```
//!
//! From NumPy and back: `numpy.save("x.npy", x)`, then `data::read_npy::<f32>("x.npy")`; [`Npz`](crate::data::Npz) opens archives;
//! `data::write_npy("y.npy", &outputs)` goes the other way, one example a row. Parameters in half precision, or in `f64` for a network in
//! `f32`, are rounded by `load_params_cast` and `Model::load_cast`.
//!
//! # Inference from partial data
//!
//! [`infer`](crate::DecoupledNetwork::infer) clamps the known entries of input, hidden layers and output, and finds the rest at the least
//! energy: missing pixels, an input for an output. The energy does not measure how likely an input is; where that matters, let the
//! network make the data, as the examples `occluded` and `generate` do. Clamp the output as well: a free input with no target stays where
//! it started. All is in the units that the network was trained in; [`Scaler::invert`](crate::data::Scaler::invert) goes back.
