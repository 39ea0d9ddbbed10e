//! A random network with random data and settings for its training, all of it plain values that can be printed.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use decoupled::bank::Storage;
use decoupled::data::Examples;
use decoupled::layer::{
    Chain, Conv1d, Conv2d, ConvTranspose2d, Dense, Dropout, Elementwise, GroupNorm, LayerNorm, Pool2d, Residual,
    Upsample,
};
use decoupled::loss::{BinaryCrossEntropy, Outputs, SquaredError};
use decoupled::method::Start;
use decoupled::method::schedule::Stage;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Layer, Method, NetworkBuilder, Scalar};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::parts::{
    Rule, Target, Unit, affine_units, exact_methods, gradient_methods, hidden_losses, output_losses, rates, rules,
    target, units,
};

/// How the parts of a drawing go together, and so what may come of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Any network by gradients, of moderate size: it must train.
    Gradients,
    /// A network that closed forms serve, by closed forms: it must train.
    Closed,
    /// Any network by closed forms: a part that does not serve them is an error.
    Mixed,
    /// Any network, with numbers of any size: it may diverge.
    Wild,
}

#[derive(Clone, Debug)]
pub(crate) struct Drawing<T> {
    pub(crate) kind: Kind,
    inputs: usize,
    /// Each with its width, where it has one of its own.
    units: Vec<(Unit, usize)>,
    /// Whether maps and activation functions are units of their own.
    apart: bool,
    output_loss: Target<T>,
    hidden_loss: Target<T>,
    /// Those of all layers and of one, by its place among them.
    optimizer: Rule<T>,
    own_optimizer: Option<(f64, Rule<T>)>,
    penalty: f64,
    own_penalty: Option<(f64, f64)>,
    method: Method<T>,
    storage: Storage,
    /// Whether the bank lies in a file, and the examples in a block.
    in_file: bool,
    block: Option<usize>,
    seed: u64,
    examples: usize,
    /// The largest number in the data, and their seed.
    size: f64,
    data_seed: u64,
    classes: bool,
    epochs: usize,
    batch: Option<usize>,
    measured: bool,
}

pub(crate) fn drawings<T: Scalar>() -> impl Strategy<Value = Drawing<T>> {
    let kinds = select(vec![Kind::Gradients, Kind::Gradients, Kind::Closed, Kind::Mixed, Kind::Wild]);
    kinds.prop_flat_map(drawings_of)
}

pub(crate) fn drawings_of<T: Scalar>(kind: Kind) -> impl Strategy<Value = Drawing<T>> {
    let wild = kind == Kind::Wild;
    let closed = kind == Kind::Closed;
    let squared = Just(SquaredError).prop_map(target).boxed();
    let units = if closed { affine_units().boxed() } else { units().boxed() };
    let circuit = (1usize..=5, vec((units, 1usize..=5), 1..=5), any::<bool>());
    let losses = if closed { (squared.clone(), squared) } else { (output_losses(), hidden_losses()) };
    let optimizers = (rules(wild), option::of((0.0..1.0, rules(wild))));
    let penalties: Range<f64> = if wild { 1e-6..1e6 } else { 0.3..3.0 };
    let penalties = (penalties.clone(), option::of((0.0..1.0, penalties)));
    let methods = match kind {
        Kind::Gradients | Kind::Wild => gradient_methods(wild),
        Kind::Closed | Kind::Mixed => exact_methods(),
    };
    let storage = select(vec![Storage::Full, Storage::Full, Storage::F32, Storage::Bf16, Storage::Nothing]);
    let bank = (storage, prop::bool::weighted(0.1), option::weighted(0.3, 1usize..12));
    let sizes = if wild { rates(true).prop_map(|rate| rate * rate).boxed() } else { (0.1..1.0).boxed() };
    let data = (1usize..=9, sizes, any::<u64>(), any::<bool>());
    let length = (1usize..=2, option::of(1usize..12), prop::bool::weighted(0.02));
    (circuit, losses, optimizers, penalties, methods, bank, any::<u64>(), data, length).prop_map(
        move |(circuit, losses, optimizers, penalties, method, bank, seed, data, length)| Drawing {
            kind,
            inputs: circuit.0,
            units: circuit.1,
            apart: circuit.2 || closed,
            output_loss: losses.0,
            hidden_loss: losses.1,
            optimizer: optimizers.0,
            own_optimizer: optimizers.1,
            penalty: penalties.0,
            own_penalty: penalties.1,
            // Methods that go on from the bank, and files, want one with numbers.
            storage: if bank.0 == Storage::Nothing && (goes_on(&method) || bank.1) { Storage::Full } else { bank.0 },
            method,
            in_file: bank.1,
            block: bank.2,
            seed,
            examples: data.0,
            size: data.1,
            data_seed: data.2,
            classes: data.3,
            epochs: length.0,
            batch: length.1,
            measured: length.2,
        },
    )
}

/// Whether the bank carries something from a visit to the next, or from a stage to the next.
fn goes_on<T: Scalar>(method: &Method<T>) -> bool {
    let schedule = method.schedule(2);
    let kept = |stage: &Stage| match stage {
        Stage::Start(start) => *start != Start::Anchored,
        stage => *stage == Stage::Ascend,
    };
    method.activation_step().streams() || schedule.stages().iter().any(kept)
}

fn circuit<T: Scalar>(mut builder: NetworkBuilder<T>, units: &[(Unit, usize)], mut below: usize) -> NetworkBuilder<T> {
    for (unit, width) in units {
        let width = match unit {
            Unit::Elementwise(_) | Unit::StraightThrough(_) | Unit::Norm(_) | Unit::Residual(_) | Unit::Twice(_) => {
                below
            }
            Unit::Plain(_)
            | Unit::With(..)
            | Unit::Dense(..)
            | Unit::Fused(_)
            | Unit::Normed(_)
            | Unit::Convolved(_)
            | Unit::Enlarged(_)
            | Unit::Dropping(..) => *width,
        };
        let dense = Dense::new(below, width);
        builder = match *unit {
            Unit::Plain(activation) => builder.dense(width, activation),
            Unit::With(activation, init) => builder.dense_with(width, activation, init),
            Unit::Dense(init, Some(bias)) => builder.layer(dense.init(init).bias(bias)),
            Unit::Dense(init, None) => builder.layer(dense.init(init).without_bias()),
            Unit::Fused(activation) => {
                builder.layer(Chain::new().then(dense).then(Elementwise::new(width, activation)))
            }
            Unit::Normed(activation) => {
                let norm = LayerNorm::new(width).epsilon(0.1);
                builder.layer(Chain::new().then(dense).then(norm).then(Elementwise::new(width, activation)))
            }
            Unit::Elementwise(activation) => builder.layer(Elementwise::new(width, activation)),
            Unit::StraightThrough(activation) => builder.layer(Elementwise::new(width, activation).straight_through()),
            Unit::Norm(epsilon) => builder.layer(LayerNorm::new(width).epsilon(epsilon)),
            Unit::Convolved(activation) => {
                let conv = Conv2d::new([1, 1, below], width, [1, below.min(3)]).padding([0, 1]);
                let pool = Pool2d::max(conv.output(), [1, 2]).stride([1, 1]);
                let function = Elementwise::new(conv.output().len(), activation);
                builder
                    .layer(Chain::new().then(conv).then(function).then(pool).then(Pool2d::global_mean(pool.output())))
            }
            Unit::Enlarged(activation) => {
                let line = Conv1d::new([1, below], 2, below.min(3)).padding(1);
                let twice = Upsample::new(line.output(), [2, 1]);
                let up = ConvTranspose2d::new(twice.output(), width, [2, 2]).stride([2, 1]).output_padding([1, 0]);
                let norm = GroupNorm::new(up.output(), width).epsilon(0.1);
                let function = Elementwise::new(up.output().len(), activation);
                let unit = Chain::new().then(line).then(twice).then(up).then(norm).then(function);
                builder.layer(unit.then(Pool2d::global_mean(up.output())))
            }
            Unit::Residual(activation) => {
                builder.layer(Residual::new(Chain::new().then(dense).then(Elementwise::new(width, activation))))
            }
            Unit::Dropping(activation, p) => {
                let function = Elementwise::new(width, activation);
                builder.layer(Chain::new().then(dense).then(function).then(Dropout::new(width, p)))
            }
            Unit::Twice(activation) => {
                let shared: Arc<dyn Layer<T>> = Arc::new(Elementwise::new(width, activation));
                builder.layer(Chain::new().then(dense).then(Arc::clone(&shared))).layer(shared)
            }
        };
        below = width;
    }
    builder
}

/// One of so many, by a number in 0 .. 1.
fn one_of(count: usize, place: f64) -> usize {
    (place * count as f64) as usize
}

impl<T: Scalar> Drawing<T> {
    /// The layers alone, with defaults for the rest.
    pub(crate) fn circuit(&self) -> NetworkBuilder<T> {
        let builder = DecoupledNetwork::builder(self.inputs).threads(1);
        let builder = if self.apart { builder.store_pre_activations() } else { builder };
        circuit(builder, &self.units, self.inputs)
    }

    /// As drawn, but that a single output is none of several classes.
    fn loss(&self, outputs: usize) -> Target<T> {
        match self.output_loss.outputs() {
            Outputs::Classes if outputs == 1 => Arc::new(BinaryCrossEntropy),
            _ => Arc::clone(&self.output_loss),
        }
    }

    /// The whole network, but for where a bank that is in a file lies.
    pub(crate) fn builder(&self) -> NetworkBuilder<T> {
        let depth = self.circuit().build().unwrap().depth();
        let outputs = self.circuit().build().unwrap().output_dim();
        let mut builder = self
            .circuit()
            .output_loss(self.loss(outputs))
            .hidden_loss(Arc::clone(&self.hidden_loss))
            .optimizer(Arc::clone(&self.optimizer))
            .penalty(self.penalty)
            .method(self.method.clone())
            .bank_storage(self.storage)
            .seed(self.seed);
        if let Some((place, rule)) = &self.own_optimizer {
            builder = builder.layer_optimizer(one_of(depth, *place), Arc::clone(rule));
        }
        if let Some((place, penalty)) = self.own_penalty.filter(|_| depth > 1) {
            builder = builder.layer_penalty(1 + one_of(depth - 1, place), penalty);
        }
        builder
    }

    /// With its bank in that folder, if it is to be in a file.
    pub(crate) fn builder_in(&self, folder: &Path, name: &str) -> NetworkBuilder<T> {
        match self.in_file {
            true => self.builder().bank_file(folder.join(name), self.block.unwrap_or(3)),
            false => self.builder(),
        }
    }

    /// As many targets as the network has outputs, of the kind that its loss takes.
    pub(crate) fn data(&self, outputs: usize) -> Dataset<T> {
        let mut rng = ChaCha12Rng::seed_from_u64(self.data_seed);
        let mut draw = |range: Range<f64>, rows: usize, constant: f64| {
            let mut columns = vec![vec![T::of(range.start); self.examples]; rows];
            for column in &mut columns {
                if rng.random::<f64>() >= constant {
                    column.fill_with(|| T::of(rng.random_range(range.clone())));
                }
            }
            Examples::from_features(&columns).unwrap()
        };
        let inputs = draw(-self.size..self.size, self.inputs, 0.2);
        match self.loss(outputs).outputs() {
            Outputs::Labels => Dataset::regression(inputs, draw(0.0..1.0, outputs, 0.2)),
            Outputs::Numbers if !self.classes => Dataset::regression(inputs, draw(-self.size..self.size, outputs, 0.0)),
            _ => {
                let labels: Vec<usize> = (0..self.examples).map(|_| rng.random_range(0..outputs)).collect();
                Dataset::classification(inputs, &labels, outputs)
            }
        }
        .unwrap()
    }

    pub(crate) fn config<'a>(&self) -> FitConfig<'a, T> {
        let config = FitConfig::new().epochs(self.epochs).seed(self.seed).method(self.method.clone());
        let config = self.batch.into_iter().fold(config, FitConfig::batch_size);
        let config = if self.in_file { config } else { self.block.into_iter().fold(config, FitConfig::shuffle_blocks) };
        if self.measured { config.measure_decoupling(1, 2) } else { config }
    }

    pub(crate) fn storage(&self) -> Storage {
        self.storage
    }

    pub(crate) fn drops(&self) -> bool {
        self.units.iter().any(|(unit, _)| matches!(unit, Unit::Dropping(_, p) if *p > 0.0))
    }

    pub(crate) fn epochs(&self) -> usize {
        self.epochs
    }

    pub(crate) fn method(&self) -> &Method<T> {
        &self.method
    }

    pub(crate) fn batches(&self) -> usize {
        let block = match self.in_file {
            true => self.block.unwrap_or(3),
            false => self.block.unwrap_or(self.examples),
        };
        let blocks = (0..self.examples).step_by(block).map(|first| block.min(self.examples - first));
        blocks.map(|examples| examples.div_ceil(self.batch.unwrap_or(128))).sum()
    }
}
