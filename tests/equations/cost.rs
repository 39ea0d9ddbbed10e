//! What `cost` counts against what a fit does: every layer counts the examples of each product that it is asked for.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use decoupled::bank::Storage;
use decoupled::data::Examples;
use decoupled::diagnostics::{Products, cost};
use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init};
use decoupled::loss::{SoftmaxCrossEntropy, SquaredError};
use decoupled::method::{Multipliers, Order, Reads, Start, Sweeps, Timing};
use decoupled::optimizer::{Adam, Sgd};
use decoupled::rand::{Rng, RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, FitConfig, Layer, Loss, MatMut, MatRef, Method, NetworkBuilder, Scalar,
};

use crate::builtin;

const EXAMPLES: usize = 24;

/// Examples of the products asked for: predictions, pull-backs to activations and to parameters.
type Counts = Arc<[AtomicUsize; 3]>;

/// A layer that counts.
#[derive(Debug)]
struct Counting<L> {
    layer: L,
    counts: Counts,
}

impl<L: Layer<f64>> Layer<f64> for Counting<L> {
    fn input_dim(&self) -> usize {
        self.layer.input_dim()
    }
    fn output_dim(&self) -> usize {
        self.layer.output_dim()
    }
    fn param_len(&self) -> usize {
        self.layer.param_len()
    }
    fn cache_len(&self, examples: usize) -> usize {
        self.layer.cache_len(examples)
    }
    fn init_params(&self, params: &mut [f64], rng: &mut dyn Rng) {
        self.layer.init_params(params, rng);
    }
    fn forward(&self, params: &[f64], input: MatRef<'_, f64>, output: MatMut<'_, f64>, cache: &mut [f64]) {
        self.counts[0].fetch_add(input.cols(), Relaxed);
        self.layer.forward(params, input, output, cache);
    }
    fn input_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: MatMut<'_, f64>,
        cache: &mut [f64],
    ) {
        self.counts[1].fetch_add(input.cols(), Relaxed);
        self.layer.input_gradient(params, input, cotangent, grad, cache);
    }
    fn param_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: &mut [f64],
        cache: &mut [f64],
    ) {
        self.counts[2].fetch_add(input.cols(), Relaxed);
        self.layer.param_gradient(params, input, cotangent, grad, cache);
    }
}

fn data() -> Dataset<f64> {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let inputs: Vec<f64> = (0..4 * EXAMPLES).map(|_| rng.random::<f64>() - 0.5).collect();
    let labels: Vec<usize> = (0..EXAMPLES).map(|i| i % 3).collect();
    Dataset::classification(Examples::from_row_slice(&inputs, EXAMPLES, 4).unwrap(), &labels, 3).unwrap()
}

/// Layers of these units with tanh between them, fused with the map or units of their own, that count; and their counts.
fn counting(units: &[usize], apart: bool) -> (NetworkBuilder<f64>, Vec<Counts>) {
    let mut builder = DecoupledNetwork::builder(4).output_loss(SoftmaxCrossEntropy::new());
    let mut all = Vec::new();
    let mut counts = || {
        all.push(Counts::default());
        all[all.len() - 1].clone()
    };
    let mut below = 4;
    for (i, &above) in units.iter().enumerate() {
        let dense = Dense::new(below, above).init(Init::glorot_normal());
        let tanh = Elementwise::new(above, Activation::Tanh);
        builder = match i + 1 < units.len() {
            true if apart => builder
                .layer(Counting { layer: dense, counts: counts() })
                .layer(Counting { layer: tanh, counts: counts() }),
            true => builder.layer(Counting { layer: Chain::new().then(dense).then(tanh), counts: counts() }),
            false => builder.layer(Counting { layer: dense, counts: counts() }),
        };
        below = above;
    }
    (builder, all)
}

/// Products a visit of one example in an epoch, by batches of so many, after some epochs.
fn counted(
    net: &DecoupledNetwork<f64>,
    counts: &[Counts],
    method: Option<&Method<f64>>,
    data: &Dataset<f64>,
    batch: usize,
) -> Vec<[usize; 3]> {
    let mut net = net.clone();
    // Before the fit looks back on what it has learned.
    let read = || counts.iter().map(|counts| [0, 1, 2].map(|kind| counts[kind].load(Relaxed))).collect();
    let mut found = Vec::new();
    let mut fit = |epochs| {
        let config = FitConfig::new().epochs(epochs).batch_size(batch);
        let mut after = |_: &EpochReport| {
            found = read();
            ControlFlow::Continue(())
        };
        match method {
            Some(method) => net.fit_observed(data, &config.method(method.clone()), &mut [&mut after]),
            None => net.fit_backprop_observed(data, &config, &mut [&mut after]),
        }
        .unwrap();
    };
    // So many that what is kept from visit to visit has come to every layer.
    fit(12);
    counts.iter().flat_map(|counts| &**counts).for_each(|count| count.store(0, Relaxed));
    fit(1);
    found
}

/// What the report takes for itself, and the estimate of λmax, fall to the first visit of an epoch: twice the count of two
/// visits an epoch less that of one visit is the count of a visit without them.
#[track_caller]
fn check(name: &str, builder: NetworkBuilder<f64>, counts: &[Counts], method: Option<Method<f64>>) {
    let (net, data) = (builder.threads(2).build().unwrap(), data());
    let [whole, halves] = [EXAMPLES, EXAMPLES / 2].map(|batch| counted(&net, counts, method.as_ref(), &data, batch));
    let found: Vec<[usize; 3]> = whole
        .iter()
        .zip(&halves)
        .map(|(whole, halves)| [0, 1, 2].map(|kind| (2 * halves[kind] - whole[kind]) as f64 / EXAMPLES as f64))
        .map(|counts| {
            assert!(counts.iter().all(|count| count.fract() == 0.0), "{name}: {counts:?}");
            counts.map(|count| count as usize)
        })
        .collect();
    let cost = cost(&net, method.as_ref(), EXAMPLES);
    let all = |p: &Products| [p.predictions, p.to_activations, p.to_parameters];
    let products: Vec<_> = cost.products.as_ref().unwrap().iter().map(all).collect();
    assert_eq!(products, found, "{name}, {} layers", net.depth());
    let operations: usize =
        found.iter().enumerate().map(|(t, c)| 2 * net.params(t).len() * c.iter().sum::<usize>()).sum();
    assert_eq!(cost.operations, Some(operations as f64), "{name}");
}

#[test]
fn the_products_are_those_that_a_visit_asks_for() {
    let pc = || Method::<f64>::predictive_coding(3, 0.1);
    let pc_in = |order| pc().activation(Sweeps::new(order, 3, 0.1));
    let momentum = Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Sgd::new(0.05).momentum(0.5));
    // A Gauss–Newton step has no fixed products.
    let presets = builtin::gradient_methods().into_iter().filter(|(name, _)| *name != "mac");
    let own: Vec<(&str, Option<Method<f64>>)> = vec![
        ("backpropagation", None),
        ("joint with momentum", Some(Method::joint(0.1).activation(momentum))),
        ("reads stored", Some(pc().reads(Reads::Stored))),
        ("incremental, reads forward", Some(pc().timing(Timing::EveryStep))),
        ("error-based, reads forward", Some(Method::error_based(2, 0.1).reads(Reads::Forward))),
        ("error-based, every step", Some(Method::error_based(2, 0.1).timing(Timing::EveryStep))),
        ("error-based, persisted", Some(Method::error_based(2, 0.1).start(Start::Persisted))),
        ("alm, Jacobi", Some(Method::alm(1.0).activation(Sweeps::new(Order::Jacobi, 1, 1.0).per_penalty()))),
        ("alm, two sweeps of the highest", {
            let highest = Multipliers { highest_only: true, ..Multipliers::kept() };
            let sweeps = Sweeps::new(Order::Jacobi, 2, 0.5).per_penalty();
            Some(Method::alm(0.5).activation(sweeps).multipliers(highest))
        }),
        ("alm, every step", {
            let sweeps = Sweeps::new(Order::ReverseGaussSeidel, 2, 0.5).per_penalty();
            Some(Method::alm(0.5).timing(Timing::EveryStep).activation(sweeps))
        }),
        ("blend", Some(pc().start(Start::Blend(0.5)))),
        ("persisted, reads forward", Some(pc().start(Start::Persisted))),
        ("persisted, reads stored", Some(pc().start(Start::Persisted).reads(Reads::Stored))),
        ("persisted, local steps", {
            let timing = Timing::AfterRelaxation { local_steps: 2 };
            Some(pc().start(Start::Persisted).reads(Reads::Stored).timing(timing))
        }),
        ("red-black", Some(pc_in(Order::RedBlack))),
        ("one red-black sweep, reads stored", {
            Some(pc().activation(Sweeps::new(Order::RedBlack, 1, 0.1)).reads(Reads::Stored))
        }),
        ("red-black, every step", Some(pc_in(Order::RedBlack).timing(Timing::EveryStep).reads(Reads::Stored))),
        ("reverse sweeps", Some(pc_in(Order::ReverseGaussSeidel))),
        ("reverse, persisted", Some(pc_in(Order::ReverseGaussSeidel).start(Start::Persisted))),
        ("out of reach", Some(Method::predictive_coding(1, 0.1))),
        ("the first gradient once", { Some(pc().timing(Timing::FirstGradientOnce { local_steps: 3 })) }),
        ("the first gradient once, reads stored", {
            Some(pc().reads(Reads::Stored).timing(Timing::FirstGradientOnce { local_steps: 2 }))
        }),
        ("out of reach, local steps", {
            let timing = Timing::AfterRelaxation { local_steps: 3 };
            Some(Method::predictive_coding(1, 0.1).timing(timing))
        }),
    ];
    for (name, method) in presets.map(|(name, method)| (name, Some(method))).chain(own) {
        for units in [&[3][..], &[5, 3], &[6, 5, 3], &[6, 5, 4, 7, 3]] {
            for apart in [false, true] {
                for plain in [false, true] {
                    let (builder, counts) = counting(units, apart);
                    let builder =
                        if plain { builder.optimizer(Sgd::new(1e-3)) } else { builder.optimizer(Adam::new(1e-3)) };
                    check(name, builder, &counts, method.clone());
                }
            }
        }
    }
}

#[test]
fn what_depends_on_the_data_or_is_no_product_is_not_counted() {
    let builder = || DecoupledNetwork::<f64>::builder(4).output_loss(SquaredError);
    let dense = builder().dense(5, Activation::Tanh).dense(3, Activation::Identity).build().unwrap();
    let apart =
        builder().store_pre_activations().dense(5, Activation::Relu).dense(3, Activation::Identity).build().unwrap();
    let ridge = decoupled::method::Ridge::default();
    for (net, method, sequential) in [
        // A step down and up over the one hidden layer, then a prediction and a gradient, twice.
        (&dense, Method::mac(2), 2 + 2 * 2),
        // A prediction of each of two hidden layers, one after the other; what is solved for takes no product.
        (&apart, Method::bcd(5.0), 2),
        (&apart, Method::admm(1.0), 2),
        // A forward pass. In the first sweep every prediction is there: two pull-backs. In the second z_2 wants new ones of both layers
        // about it, and z_1 finds them. A regression takes no product.
        (&apart, Method::red_black().parameter(ridge), 3 + (1 + 1) + (2 + 1)),
    ] {
        let cost = cost(net, Some(&method), 10);
        assert_eq!((cost.operations, cost.products), (None, None), "{method:?}");
        assert_eq!(cost.sequential_products, sequential, "{method:?}");
    }
}

fn bank_of<T: Scalar>(builder: NetworkBuilder<T>, data: &Dataset<T>, method: Option<Method<T>>)
where
    SoftmaxCrossEntropy: Loss<T>,
{
    let builder = builder.output_loss(SoftmaxCrossEntropy::new());
    let mut net =
        builder.dense(7, Activation::Tanh).dense(5, Activation::Tanh).dense(3, Activation::Identity).build().unwrap();
    let found = cost(&net, method.as_ref(), data.len()).bank_bytes;
    let config = FitConfig::new().epochs(1).batch_size(8);
    match &method {
        Some(method) => net.fit(data, &config.method(method.clone())).unwrap(),
        None => net.fit_backprop(data, &config).unwrap(),
    };
    assert_eq!(found, net.bank().map_or(0, |bank| bank.bytes()) as u128, "{method:?}");
}

#[test]
fn the_bank_takes_the_bytes_that_a_fit_allocates() {
    let data = data();
    let narrow = {
        let inputs: Vec<f32> = data.inputs().as_slice().iter().map(|&x| x as f32).collect();
        let inputs = Examples::from_row_slice(&inputs, EXAMPLES, 4).unwrap();
        Dataset::<f32>::classification(inputs, data.labels().unwrap(), 3).unwrap()
    };
    let momentum = Sgd::new(0.05).momentum(0.5);
    for storage in [Storage::Full, Storage::F32, Storage::Bf16] {
        let builder = || DecoupledNetwork::builder(4).bank_storage(storage);
        bank_of(builder(), &data, None);
        for method in [
            Method::default(),
            Method::joint(0.1),
            Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(momentum)),
            Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Adam::new(0.01))),
            // What starts at the forward pass forgets what the optimizer knew.
            Method::predictive_coding(2, 0.1).activation(Sweeps::new(Order::Jacobi, 2, 0.1).optimizer(momentum)),
            Method::alm(0.5),
            Method::alm(0.5)
                .start(Start::Blend(0.5))
                .activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(momentum)),
            Method::mac(1),
        ] {
            bank_of(builder(), &data, Some(method));
        }
        let builder = || DecoupledNetwork::builder(4).bank_storage(storage);
        let moved = Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(momentum));
        bank_of::<f32>(builder(), &narrow, Some(moved));
        bank_of::<f32>(builder(), &narrow, Some(Method::alm(0.5)));
    }
    bank_of(DecoupledNetwork::builder(4).bank_storage(Storage::Nothing), &data, Some(Method::default()));
    let nothing = DecoupledNetwork::builder(4).bank_storage(Storage::Nothing);
    bank_of::<f32>(nothing, &narrow, Some(Method::in_flight(2, 4)));
}

#[test]
fn a_bank_too_large_for_any_memory_is_counted() {
    let net =
        DecoupledNetwork::<f64>::builder(2).dense(3, Activation::Tanh).dense(1, Activation::Identity).build().unwrap();
    let found = cost(&net, Some(&Method::joint(0.1)), usize::MAX).bank_bytes;
    assert_eq!(found, (3 * 8 + 16) * usize::MAX as u128);
}

/// By hand: 4-7-5-3 in three stages by fours, six micro-batches.
#[test]
fn micro_batches_in_flight_take_the_bytes_of_their_layers() {
    let net = DecoupledNetwork::<f32>::builder(4);
    let net = net.dense(7, Activation::Tanh).dense(5, Activation::Tanh).dense(3, Activation::Identity).build().unwrap();
    // z_0 … z_3, a_1, a_2, the outputs of all layers, and errors of inputs and of outputs.
    // And in the caches of the tanh units their sums, the errors of these, and the slopes.
    let numbers = 3 * (7 + 5) + (4 + 7 + 5 + 3) + (7 + 5) + (7 + 5 + 3) + (4 + 7 + 5) + (7 + 5 + 3);
    let of = |method| cost(&net, Some(&method), 1000).in_flight_bytes;
    assert_eq!(of(Method::in_flight(3, 4)), 6 * 4 * numbers * 4);
    assert_eq!(of(Method::in_flight(1, 4)), 2 * 4 * numbers * 4);
    assert_eq!((of(Method::default()), cost(&net, None, 1000).in_flight_bytes), (0, 0));
    assert_eq!(of(Method::in_flight(3, 4)), of(Method::in_flight(9, 4)), "at most one stage a layer");
    // Three stages and ten examples: at most five in a micro-batch.
    assert_eq!(cost(&net, Some(&Method::in_flight(3, 100)), 10).in_flight_bytes, 6 * 5 * numbers * 4);
}
