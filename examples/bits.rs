//! The numbers that seeds give, as fingerprints: run it before and after a change of the code, and compare the two outputs.
//!
//! Trains on the digits by every preset and by backpropagation, and by variants that run other code in a visit; in `f32` and
//! `f64`, on 1 and 4 threads, with the bank in memory and in a file. Every run is one line: a hash of the bits of its parameters, of
//! its bank and of its history. Threads and the place of the bank must not change a line, and it fails if they do.
//!
//! ```text
//! cargo run --release --example bits
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use decoupled::bank::Storage;
use decoupled::data::{Examples, digits};
use decoupled::layer::{Activation, Init};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::method::{ErrorSteps, Order, Reads, Start, Sweeps};
use decoupled::nalgebra::DMatrix;
use decoupled::network::{Evidence, InferConfig};
use decoupled::optimizer::{Adam, Sgd};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, NetworkBuilder, Result, Scalar};

/// One case: how the network is built, how its data are made, and how it is trained.
struct Case<T: Scalar> {
    name: &'static str,
    build: fn() -> NetworkBuilder<T>,
    data: fn(Dataset<T>) -> Result<Dataset<T>>,
    /// None for backpropagation.
    method: Option<Method<T>>,
    accumulate: usize,
    full_batch: bool,
}

impl<T: Scalar> Case<T> {
    fn new(name: &'static str, method: impl Into<Option<Method<T>>>) -> Self {
        Self { name, build: classifier, data: Ok, method: method.into(), accumulate: 1, full_batch: false }
    }

    fn build(self, build: fn() -> NetworkBuilder<T>) -> Self {
        Self { build, ..self }
    }

    fn data(self, data: fn(Dataset<T>) -> Result<Dataset<T>>) -> Self {
        Self { data, ..self }
    }
}

fn classifier<T: Scalar>() -> NetworkBuilder<T> {
    let builder = DecoupledNetwork::builder(64).dense(24, Activation::Relu).dense(16, Activation::Tanh);
    builder.dense(12, Activation::Relu).dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).seed(3)
}

fn squared<T: Scalar>() -> NetworkBuilder<T> {
    let builder = DecoupledNetwork::builder(64).store_pre_activations().dense(24, Activation::Relu);
    builder.dense(16, Activation::Tanh).dense(10, Activation::Identity).seed(3)
}

fn fused<T: Scalar>() -> NetworkBuilder<T> {
    let builder = DecoupledNetwork::builder(64).dense(24, Activation::Relu).dense(16, Activation::Tanh);
    builder.dense(10, Activation::Identity).seed(3)
}

fn stored_in_bf16<T: Scalar>() -> NetworkBuilder<T> {
    classifier().bank_storage(Storage::Bf16)
}

fn partly_frozen<T: Scalar>() -> NetworkBuilder<T> {
    classifier().freeze(1)
}

fn uneven_penalties<T: Scalar>() -> NetworkBuilder<T> {
    classifier().layer_penalty(1, 0.5).layer_penalty(3, 2.0)
}

fn deep<T: Scalar>() -> NetworkBuilder<T> {
    let hidden = |builder: NetworkBuilder<T>, _| builder.dense_with(20, Activation::Tanh, Init::glorot_uniform());
    let builder = (0..7).fold(DecoupledNetwork::builder(64), hidden);
    builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).seed(4)
}

fn weighted<T: Scalar>(data: Dataset<T>) -> Result<Dataset<T>> {
    let weights: Vec<f64> = (0..data.len()).map(|i| (i % 4) as f64).collect();
    data.with_weights(&weights)
}

fn with_gaps<T: Scalar>(data: Dataset<T>) -> Result<Dataset<T>> {
    let entries = data.inputs().as_slice().iter().enumerate();
    let entries: Vec<T> = entries.map(|(i, &x)| if i % 37 == 0 { T::of(f64::NAN) } else { x }).collect();
    let labels: Vec<usize> = data.labels().map(<[usize]>::to_vec).unwrap_or_default();
    Dataset::classification(Examples::from_row_slice(&entries, data.len(), 64)?.with_missing(), &labels, 10)
}

fn cases<T: Scalar>() -> Vec<Case<T>> {
    let ridge = decoupled::method::Ridge { ridge: 0.1, proximal: 1.0, memory: 0.9, trust: Some(0.1) };
    let momentum = || Sgd::new(0.05).momentum(0.5);
    let jacobi = |rate| Sweeps::new(Order::Jacobi, 1, rate);
    vec![
        Case::new("backprop", None),
        Case::new("default", Method::default()),
        Case::new("red_black", Method::red_black()),
        Case::new("joint", Method::joint(0.5)),
        Case::new("predictive_coding", Method::predictive_coding(4, 0.1)),
        Case::new("incremental", Method::incremental(3, 0.1)),
        Case::new("error_based", Method::error_based(3, 0.02)),
        Case::new("local_targets", Method::local_targets(3)),
        Case::new("backprop_by_sweep", Method::backprop_by_sweep()),
        Case::new("alm", Method::alm(0.5)),
        Case::new("mac", Method::mac(2)),
        Case::new("bcd", Method::bcd(5.0)).build(squared),
        Case::new("admm", Method::admm(1.0)).build(squared),
        Case { full_batch: true, ..Case::new("bcd, all at once", Method::bcd(5.0)).build(squared) },
        Case::new(
            "bcd, then local steps",
            Method::bcd(5.0).timing(decoupled::method::Timing::AfterRelaxation { local_steps: 2 }),
        )
        .build(squared),
        Case::new("bcd by optimizers", Method::bcd(5.0).parameter(decoupled::method::GradientStep)).build(squared),
        Case::new("backprop, deep", None).build(deep),
        Case::new("default, deep", Method::default()).build(deep),
        Case::new("joint with momentum", Method::joint(0.5).activation(jacobi(0.5).optimizer(momentum()))),
        Case::new(
            "blend with Adam",
            Method::joint(0.5).start(Start::Blend(0.5)).activation(jacobi(0.5).optimizer(Adam::new(0.01))),
        ),
        Case::new("joint with multipliers", Method::joint(0.2).multipliers(decoupled::method::Multipliers::kept())),
        Case::new("alm, Jacobi", Method::alm(0.5).activation(jacobi(0.5).per_penalty())),
        Case::new("stored inputs", Method::predictive_coding(3, 0.1).reads(Reads::Stored)),
        Case::new("ridge", Method::local_targets(1).parameter(ridge).reads(Reads::Forward)).build(fused),
        Case::new(
            "error_based with momentum",
            Method::error_based(3, 0.02).activation(ErrorSteps::new(3, 0.02).optimizer(momentum())),
        ),
        Case::new("joint in bf16", Method::joint(0.5)).build(stored_in_bf16),
        Case::new("default, a layer frozen", Method::default()).build(partly_frozen),
        Case::new("backprop, a layer frozen", None).build(partly_frozen),
        Case::new("default, uneven penalties", Method::default()).build(uneven_penalties),
        Case::new("default, weighted", Method::default()).data(weighted),
        Case::new("joint, weighted", Method::joint(0.5)).data(weighted),
        Case::new("backprop, weighted", None).data(weighted),
        Case::new("default, inputs missing", Method::default()).data(with_gaps),
        Case::new("joint, inputs missing", Method::joint(0.5)).data(with_gaps),
        Case { full_batch: true, ..Case::new("default, all at once", Method::default()) },
        Case { full_batch: true, ..Case::new("backprop, all at once", None) },
        Case { full_batch: true, ..Case::new("joint, all at once", Method::joint(0.5)) },
        Case { accumulate: 3, ..Case::new("red_black, accumulated", Method::red_black()) },
        Case { accumulate: 3, ..Case::new("backprop, accumulated", None) },
    ]
}

/// Hashes numbers by their bits.
#[derive(Default)]
struct Fingerprint(DefaultHasher);

impl Fingerprint {
    fn add<T: Scalar>(&mut self, numbers: &[T]) {
        numbers.iter().for_each(|x| x.to_f64().to_bits().hash(&mut self.0));
    }

    fn add_text(&mut self, text: &str) {
        text.hash(&mut self.0);
    }

    fn finish(self) -> u32 {
        self.0.finish() as u32
    }
}

fn of_params<T: Scalar>(network: &DecoupledNetwork<T>) -> u32 {
    let mut params = Fingerprint::default();
    (0..network.depth()).for_each(|t| params.add(network.params(t)));
    params.finish()
}

/// Hashes activations, inputs, multipliers and counts, example by example, of a bank in memory or in a file.
fn of_bank<T: Scalar>(network: &DecoupledNetwork<T>) -> Result<u32> {
    let mut blocks = Vec::new();
    if let Some(file) = network.bank_file() {
        (0..file.blocks()).try_for_each(|k| file.block(k).map(|block| blocks.push(block)))?;
    }
    let mut bank = Fingerprint::default();
    for block in blocks.iter().chain(network.bank()) {
        let inputs = block.inputs();
        let multipliers: Vec<DMatrix<T>> = (1..=block.layers()).filter_map(|t| block.multipliers(t)).collect();
        for i in 0..block.examples() {
            bank.add(&block.example(i));
            inputs.iter().chain(&multipliers).for_each(|matrix| bank.add(matrix.column(i).as_slice()));
            bank.add_text(&format!("{} {}", block.steps()[i], block.visited_at()[i]));
        }
    }
    Ok(bank.finish())
}

/// Trains a case for two epochs, and returns its line.
fn trained<T: Scalar>(case: &Case<T>, threads: usize, in_file: bool) -> Result<String> {
    let data = (case.data)(digits()?.split(0.2, 5)?.0)?;
    let path = std::env::temp_dir().join(format!("decoupled-bits-{}.bank", std::process::id()));
    let mut builder = (case.build)().threads(threads);
    if in_file {
        builder = builder.bank_file(&path, 100);
    }
    let mut network = builder.build()?;
    let mut config = FitConfig::new().epochs(2).batch_size(48).accumulate(case.accumulate).shuffle_blocks(100);
    if case.full_batch {
        config = config.full_batch();
    }
    let report = match &case.method {
        Some(method) => network.fit(&data, &config.method(method.clone()))?,
        None => network.fit_backprop(&data, &config)?,
    };
    let mut history = Fingerprint::default();
    for mut epoch in report.epochs {
        // The only entry that differs from run to run.
        epoch.time = Duration::ZERO;
        history.add_text(&format!("{epoch:?}"));
    }
    history.add_text(&format!("{:?}", report.refit));
    let (params, bank) = (of_params(&network), of_bank(&network)?);
    // The network holds its bank's file open.
    drop(network);
    // Backpropagation makes no file: nothing to remove is no error.
    std::fs::remove_file(&path).unwrap_or_default();
    Ok(format!("parameters {params:08x}  bank {bank:08x}  history {:08x}", history.finish()))
}

/// Returns the lines of everything but fits: the starts from data, inference, a refit.
fn others<T: Scalar>() -> Result<Vec<(&'static str, String)>> {
    let data = digits::<T>()?.split(0.2, 5)?.0;
    let mut lines = Vec::new();
    let mut line = |name, hash: u32| lines.push((name, format!("{hash:08x}")));

    let mut network = deep::<T>().build()?;
    network.start_from_unit_variance(data.inputs(), 0.5)?;
    line("start_from_unit_variance", of_params(&network));
    network.start_isometric(data.inputs(), 0)?;
    line("start_isometric", of_params(&network));
    network.refit_output(&data)?;
    line("refit_output", of_params(&network));

    let network = fused::<T>().build()?;
    let known = DMatrix::from_fn(64, data.len(), |row, _| row % 3 > 0);
    let evidence = Evidence::new().clamp_where(0, data.inputs(), &known).clamp(network.depth(), data.targets());
    let found = network.infer(&evidence, &InferConfig::new().steps(20))?;
    let mut inferred = Fingerprint::default();
    inferred.add(found.inputs.as_slice());
    found.hidden.iter().for_each(|z| inferred.add(z.as_slice()));
    inferred.add(&found.energies);
    line("infer", inferred.finish());
    Ok(lines)
}

fn run<T: Scalar>(scalar: &str) -> Result<()> {
    for case in cases::<T>() {
        let line = trained(&case, 1, false)?;
        println!("{scalar}  {:28}  {line}", case.name);
        for (threads, in_file) in [(4, false), (1, true), (4, true)] {
            if !(in_file && case.full_batch) {
                let other = trained(&case, threads, in_file)?;
                assert_eq!(line, other, "{} on {threads} threads, bank in a file: {in_file}", case.name);
            }
        }
    }
    for (name, line) in others::<T>()? {
        println!("{scalar}  {name:28}  {line}");
    }
    Ok(())
}

fn main() -> Result<()> {
    run::<f32>("f32")?;
    run::<f64>("f64")
}
