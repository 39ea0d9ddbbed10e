//! Feed-forward networks trained by **layer-local objectives**: no gradient runs through more than one layer.
//!
//! # The method from zero
//!
//! A network of T layers maps `z_t` to `ẑ_{t+1} = f(z_t; θ_t)`. Backpropagation runs an example up through all layers and its
//! error down again, one layer after the other; every gradient is a product over all layers above.
//!
//! Here every training example keeps, for every hidden layer, an **auxiliary activation** z_t of its own, stored in the
//! [activation bank](bank::ActivationBank) and trained like a parameter. Each layer reads its own *stored* input and is asked to
//! hit its own *stored* target:
//!
//! ```text
//! L(Θ, Z) = Σ_i [ L_y(z_T, ẑ_T) + Σ_{t=1}^{T−1} μ_t L_h(z_t, ẑ_t) ]
//!
//! z_0 = x and z_T = y are given, every other z_t is trained
//! ```
//!
//! The first term is the error at the output, the others penalise any difference between a stored activation and its
//! prediction; without differences this is an ordinary network. Each gradient is local:
//!
//! * the **activation step** moves z_t, and needs its two neighbours,
//! * the **parameter step** moves θ_t, and needs z_t and z_{t+1},
//!
//! so, with Z given, all layers can step at once. How Z is set is the method's choice: by local steps alone, or by a sweep that passes the
//! error down layer by layer. The equations are
//! written once, in [`energy`](method::energy); the ways to minimise them are values of [`Method`], each made of four independent parts;
//! [`DecoupledNetwork`] owns layers, parameters and bank.
//!
//! Taken literally, as [`Method::joint`] does, this works and is slow. The default of [`fit`](DecoupledNetwork::fit) is
//! local targets: at every visit the stored activations start from an ordinary forward pass (*anchored*), one sweep from the output
//! sets a target for every layer, and all layers at once take two steps towards their stored targets from their forward inputs (the first
//! layer both along one gradient).
//! [`guide::results`] has its accuracies, times and limits.
//!
//! ```
//! use decoupled::layer::Activation;
//! use decoupled::loss::SoftmaxCrossEntropy;
//! use decoupled::{DecoupledNetwork, FitConfig, data};
//!
//! let (train, test) = data::digits::<f32>()?.stratified_split(0.8, 0)?;
//! let mut network = DecoupledNetwork::builder(train.input_dim())
//!     .dense(64, Activation::Relu)
//!     .dense(10, Activation::Identity)
//!     .output_loss(SoftmaxCrossEntropy::new())
//!     .build()?;
//! let mut twin = network.clone();
//!
//! let config = FitConfig::new().epochs(10).batch_size(32);
//! network.fit(&train, &config)?; // layer-local gradients
//! twin.fit_backprop(&train, &config)?; // the chain rule: same start, same batches
//!
//! let accuracy = network.evaluate(&test)?.score.unwrap();
//! let of_twin = twin.evaluate(&test)?.score.unwrap();
//! assert!(accuracy > 0.9 && of_twin > 0.9);
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! The [`guide`] explains all this slowly, term by term, with measurements.
//!
//! # Overview
//!
//! | you want to | look at |
//! |---|---|
//! | see the objective and its gradients | [`method::energy`] |
//! | choose how to train | [`Method`] and its presets, [`FitConfig`] |
//! | put a method together, and read its visit stage by stage | [`method`]; [`Method::schedule`] |
//! | write a layer, a loss, an optimizer or an activation step | [`Layer`], [`Loss`], [`Optimizer`], [`ActivationStep`]; [`check`] tests yours |
//! | train on pictures | [`builder`](DecoupledNetwork::builder)`([channels, height, width])`, [`layer::Conv2d`], [`layer::Pool2d`]; [`data::cifar10`], [`FitConfig::augment`] |
//! | train on inputs of which some are missing; it helps where they are few and the targets determine them | [`data::Examples::with_missing`] |
//! | complete inputs or outputs that are partly known | [`DecoupledNetwork::infer`], [`Evidence`](network::Evidence) |
//! | get data in | [`data`], [`Dataset`] |
//! | judge predictions | [`metrics`], [`DecoupledNetwork::score`] |
//! | watch a fit, stop it early, write down its history | [`Observer`] and the built-in ones of [`observer`] |
//! | find learning rates, activation rates and penalties | [`search`], [`diagnostics::find_step`] |
//! | keep a bank larger than memory, or none | [`bank`], [`NetworkBuilder::bank_file`], [`Storage::Nothing`](bank::Storage::Nothing) |
//! | scale data, and predict in the data's units | [`Pipeline`], [`Model`], [`data::Scaler`] |
//! | come from Keras, scikit-learn or PyTorch | [`guide::coming`] |
//! | keep a trained network | [`DecoupledNetwork::save`], [`Model::save`] |
//! | compare with backpropagation, or one trained network with another | [`DecoupledNetwork::fit_backprop`], [`diagnostics`] |
//!
//! # Promises
//!
//! * The same seed gives the same bits, at any number of threads, for parameters, bank and reports.
//! * Bad input is a typed [`enum@Error`] before anything changes; a layer of yours that panics or goes to NaN ends the fit
//!   with an error, and the network stays usable.
//! * A bank in a [file](bank::BankFile) gives the bits of one in memory, and a process that is killed leaves every block of it whole.
//! * Columns are examples, everywhere inside; constructors that take rows say so.
//!
//! # What it is not
//!
//! * Not a tensor framework: no automatic differentiation (a layer brings its two gradients), no recurrent nets, no GPU.
//! * Not less arithmetic: an epoch of the default costs 1.3 to 2 times one of backpropagation, and where BP has 2T products of layers in
//!   sequence the default has 2T + 2. [`Method::red_black`] has no sweep from the output to the input, but some 3T;
//!   [`Method::joint`] has two, at any depth, and [`Method::in_flight`] keeps all layers at work on micro-batches of their own.
//! * Not free of memory: the bank takes the hidden widths times the number of examples. [`Storage`](bank::Storage) halves the
//!   bytes, or saves them [all](bank::Storage::Nothing) where a method needs none of earlier visits, as the default; a bank that is
//!   still too large can [be in a file](bank::BankFile).
//!
//! # Features
//!
//! * `parallel` (default): threads of rayon's that networks share; without it, the same bits on one thread.
//! * `simd` (default): element-wise passes and narrow products by the processor's widest vectors, AVX-512 or AVX2, picked at run
//!   time; without it, by those of the compilation target and by matrixmultiply.
//! * `save` (default): [`DecoupledNetwork::save`] and [`load`](DecoupledNetwork::load), and those of [`Model`].
//! * `serde`: settings are `Serialize` and `Deserialize`, [`NetworkBuilder`] and [`FitConfig`] among them; `save` brings it along.
//! * `csv`: [`data`] reads tables.
//! * `gz`: tables, IDX files and `.npz` archives may be gzipped or deflated.
//! * `ndarray`: arrays whose rows are examples become [`Examples`](data::Examples), and a [`MatRef`] becomes such an array.
//! * `plot`: pictures of reports and networks, as SVG.
//! * `progress`: `observer::Progress`, a bar in the terminal.

#![forbid(unsafe_code)]
// Tests may panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod bank;
pub mod check;
pub mod data;
#[cfg(feature = "serde")]
pub mod description;
pub mod diagnostics;
mod error;
pub mod guide;
pub mod layer;
pub mod loss;
mod machine;
pub mod method;
pub mod metrics;
mod model;
pub mod network;
pub mod observer;
pub mod optimizer;
#[cfg(feature = "save")]
mod persist;
mod pipeline;
#[cfg(feature = "plot")]
pub mod plot;
pub mod search;
mod table;
pub mod train;

pub use data::Dataset;
pub use error::{Error, Result};
pub use layer::Layer;
pub use loss::Loss;
pub use machine::linalg;
pub use machine::linalg::matrix::{MatMut, MatRef};
pub use machine::linalg::scalar::Scalar;
pub use method::Method;
pub use method::activation_step::ActivationStep;
pub use method::parameter_step::ParameterStep;
pub use metrics::Metric;
pub use model::Model;
pub use network::{DecoupledNetwork, NetworkBuilder, Scores};
pub use observer::Observer;
pub use optimizer::Optimizer;
pub use pipeline::Pipeline;
pub use train::epoch::{EpochReport, StopReason};
pub use train::fit::{FitConfig, FitReport};
pub use train::warning::Warning;

pub use nalgebra;
#[cfg(feature = "ndarray")]
pub use ndarray;
pub use rand;

#[cfg(all(doctest, feature = "save"))]
#[doc = include_str!("../README.md")]
struct Readme;
