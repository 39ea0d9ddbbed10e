//! In what format the bank keeps its numbers, and in which order it is visited.

use decoupled::bank::Storage;
use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::method::{Multipliers, Order, Start, Sweeps};
use decoupled::optimizer::{Adam, Sgd, Step};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, NetworkBuilder, Optimizer, Scalar};

use crate::common::Still;

const EXAMPLES: usize = 90;

fn data<T: Scalar>(scale: f64) -> Dataset<T> {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let mut draw = |width: usize| {
        let values: Vec<T> = (0..EXAMPLES * width).map(|_| T::of(scale * (2.0 * rng.random::<f64>() - 1.0))).collect();
        Examples::from_row_slice(&values, EXAMPLES, width).unwrap()
    };
    Dataset::regression(draw(4), draw(2)).unwrap()
}

fn builder<T: Scalar>() -> NetworkBuilder<T> {
    DecoupledNetwork::builder(4)
        .dense(9, Activation::Tanh)
        .dense(6, Activation::Gelu)
        .dense(2, Activation::Identity)
        .threads(1)
}

fn params<T: Scalar>(net: &DecoupledNetwork<T>) -> Vec<u64> {
    (0..net.depth()).flat_map(|t| net.params(t)).map(|p| p.to_f64().to_bits()).collect()
}

/// x to 8 significant bits, ties to even: for numbers in the middle of the range.
fn to_eight_bits(x: f64) -> f64 {
    let unit = 2f64.powi(x.abs().log2().floor() as i32 - 7);
    if x == 0.0 { x } else { (x / unit).round_ties_even() * unit }
}

fn stores_the_rounded_activations<T: Scalar>() {
    let data = data::<T>(1.0);
    for method in [Method::predictive_coding(3, 0.1), Method::joint(0.1)] {
        let config = FitConfig::new().epochs(1).batch_size(40).method(method);
        let banks = [Storage::Full, Storage::F32, Storage::Bf16].map(|storage| {
            let mut net = builder::<T>().optimizer(Still).bank_storage(storage).build().unwrap();
            net.fit(&data, &config).unwrap();
            net.bank().unwrap().clone()
        });
        for t in 1..=2 {
            let layers = banks.each_ref().map(|bank| bank.layer(t));
            for ((full, single), half) in layers[0].iter().zip(&layers[1]).zip(&layers[2]) {
                let full = full.to_f64();
                assert_eq!(single.to_f64(), f64::from(full as f32));
                assert_eq!(half.to_f64(), to_eight_bits(full));
            }
        }
    }
}

#[test]
fn a_reduced_bank_holds_the_activations_rounded_and_nothing_else_changes_in_their_first_visit() {
    stores_the_rounded_activations::<f32>();
    stores_the_rounded_activations::<f64>();
}

#[test]
fn arithmetic_that_does_not_read_the_bank_gives_the_same_bits_whatever_its_format() {
    let data = data::<f32>(1.0);
    let config = FitConfig::new().epochs(3).batch_size(40);
    let [full, reduced] = [Storage::Full, Storage::Bf16].map(|storage| {
        let mut net = builder::<f32>().bank_storage(storage).build().unwrap();
        net.fit(&data, &config).unwrap();
        params(&net)
    });
    assert_eq!(full, reduced);
}

#[test]
fn a_reduced_bank_takes_the_bytes_of_its_format() {
    let data = data::<f64>(1.0);
    let momentum =
        Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Sgd::new(0.05).momentum(0.5)));
    // Fifteen activations, and as many numbers of state or multipliers, beside two counts of eight bytes.
    for (method, numbers) in [(Method::joint(0.1), 15), (momentum, 30), (Method::alm(0.7), 30)] {
        for (storage, width) in [(Storage::Full, 8), (Storage::F32, 4), (Storage::Bf16, 2)] {
            let mut net = builder::<f64>().bank_storage(storage).build().unwrap();
            net.fit(&data, &FitConfig::new().epochs(1).method(method.clone())).unwrap();
            let bank = net.bank().unwrap();
            assert_eq!((bank.bytes(), bank.storage()), (EXAMPLES * (numbers * width + 16), storage), "{method:?}");
        }
    }
}

#[test]
fn what_the_format_cannot_hold_is_a_divergence_and_never_an_infinity() {
    // Beyond a single's range, and well within a double's: layers that pass on what they get.
    let data = data::<f64>(1e40);
    let net = |storage| {
        let net = DecoupledNetwork::builder(4).dense(3, Activation::Identity).dense(2, Activation::Identity);
        net.optimizer(Still).bank_storage(storage).threads(1).build().unwrap()
    };
    for method in [Method::predictive_coding(1, 1e-3), Method::joint(1e-3), Method::alm(0.7)] {
        let config = FitConfig::new().epochs(1).method(method);
        net(Storage::Full).fit(&data, &config).unwrap();
        for storage in [Storage::F32, Storage::Bf16] {
            let mut net = net(storage);
            let before = params(&net);
            let error = net.fit(&data, &config).unwrap_err();
            assert!(matches!(error, Error::Diverged { layer: 1, epoch: 1, .. }), "{error:?}");
            assert!(error.to_string().contains("in the bank's format"), "{error}");
            assert_eq!((params(&net), net.bank()), (before, None));
        }
    }
}

#[test]
fn a_method_that_persists_trains_on_a_reduced_bank() {
    let data = data::<f32>(1.0);
    let adam = Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Adam::new(0.01)));
    for method in [Method::joint(0.1), Method::predictive_coding(2, 0.1).start(Start::Blend(0.5)), adam] {
        let config = FitConfig::new().epochs(40).batch_size(30).method(method.clone());
        let [full, reduced] = [Storage::Full, Storage::Bf16].map(|storage| {
            let mut net = builder::<f32>().optimizer(Adam::new(0.01)).bank_storage(storage).build().unwrap();
            let report = net.fit(&data, &config).unwrap();
            (report.epochs[0].train_loss, net.evaluate(&data).unwrap().loss)
        });
        assert!(reduced.1 < 0.9 * reduced.0, "{method:?}: {reduced:?}");
        assert!((reduced.1 - full.1).abs() < 0.05 * full.1, "{method:?}: {reduced:?} instead of {full:?}");
    }
}

/// The batch in which each example was visited last, counted over the life of the network.
fn visits(config: &FitConfig<'_, f64>) -> Vec<u64> {
    let mut net = builder::<f64>().optimizer(Still).build().unwrap();
    net.fit(&data(1.0), &config.clone().method(Method::joint(0.1))).unwrap();
    net.bank().unwrap().visited_at()
}

#[test]
fn an_epoch_takes_block_after_block_and_no_batch_mixes_two() {
    // Twelve blocks of 7 and one of 6, each in batches of 4 and what is left.
    let config = FitConfig::new().epochs(1).batch_size(4).shuffle_blocks(7);
    let visits = |seed| visits(&config.clone().seed(seed));
    for seed in 0..4 {
        let batches = visits(seed);
        assert_eq!(*batches.iter().max().unwrap(), 26);
        let mut starts = Vec::new();
        for block in batches.chunks(7) {
            let first = *block.iter().min().unwrap();
            assert!(first % 2 == 1, "a block begins a batch: {block:?}");
            let count = |batch| block.iter().filter(|&&own| own == batch).count();
            assert_eq!((count(first), count(first + 1)), (4, block.len() - 4), "{block:?}");
            starts.push(first);
        }
        assert!(!starts.is_sorted(), "the blocks are in order");
        let inner: Vec<bool> = batches.chunks(7).map(|block| block.is_sorted()).collect();
        assert!(inner.iter().filter(|sorted| **sorted).count() < 6, "the examples of blocks are in order");
        assert_eq!(batches, visits(seed));
        assert_ne!(batches, visits(seed + 1));
    }
}

#[test]
fn blocks_are_taken_in_another_order_in_every_epoch() {
    let config = |epochs| FitConfig::new().epochs(epochs).batch_size(7).shuffle_blocks(7);
    let second: Vec<u64> = visits(&config(2)).into_iter().map(|update| update - 13).collect();
    assert_ne!(visits(&config(1)), second);
}

#[test]
fn one_block_of_all_examples_is_no_block_and_a_full_batch_is_a_block() {
    let config = || FitConfig::new().epochs(2).batch_size(16);
    assert_eq!(visits(&config()), visits(&config().shuffle_blocks(EXAMPLES)));
    assert_eq!(visits(&config()), visits(&config().shuffle_blocks(usize::MAX)));
    let whole = visits(&config().epochs(1).full_batch().shuffle_blocks(40));
    assert!(whole.chunks(40).all(|block| block.iter().all(|&update| update == block[0])));
    assert_eq!(*whole.iter().max().unwrap(), 3);
}

#[test]
fn both_roads_take_the_same_batches_block_by_block() {
    // A network of one layer has no bank to speak of: both train by the gradient of the loss.
    let data = data::<f64>(1.0);
    let single = DecoupledNetwork::builder(4).dense(2, Activation::Tanh).threads(1).method(Method::red_black());
    let single = single.build().unwrap();
    let (mut own, mut twin) = (single.clone(), single.clone());
    let config = FitConfig::new().epochs(3).batch_size(4).shuffle_blocks(7);
    own.fit(&data, &config).unwrap();
    twin.fit_backprop(&data, &config).unwrap();
    assert_eq!((params(&own), own.updates()), (params(&twin), 3 * 26));
    let mut other = single.clone();
    other.fit_backprop(&data, &config.shuffle_blocks(EXAMPLES)).unwrap();
    assert_ne!(params(&other), params(&twin));
}

/// Plain descent at the rate 0.1, which leaves a mark in all the memory that it has, and fails where it finds another.
#[derive(Debug)]
struct Marking;

impl Optimizer<f64> for Marking {
    fn slots(&self) -> usize {
        2
    }
    fn update(&self, step: Step<f64>, params: &mut [f64], grad: &mut [f64], state: &mut [f64]) {
        assert!(state.iter().all(|mark| *mark == if step.number == 1 { 0.0 } else { 7.0 }), "{state:?}");
        Sgd::new(0.1).update(step, params, grad, &mut []);
        state.fill(7.0);
    }
}

#[test]
fn memory_of_two_numbers_an_activation_and_multipliers_lie_apart() {
    let method = Method::joint(0.1).multipliers(Multipliers::kept());
    let trained = |method: Method<f64>| {
        let mut net = builder::<f64>().build().unwrap();
        net.fit(&data(1.0), &FitConfig::new().epochs(3).batch_size(40).method(method)).unwrap();
        net
    };
    let sweep = || Sweeps::new(Order::Jacobi, 1, 0.1);
    let marked = trained(method.clone().activation(sweep().optimizer(Marking)));
    let plain = trained(method.activation(sweep().optimizer(Sgd::new(0.1))));
    let (own, twin) = (marked.bank().unwrap(), plain.bank().unwrap());
    for t in 1..=2 {
        assert_eq!((own.layer(t), own.multipliers(t)), (twin.layer(t), twin.multipliers(t)), "layer {t}");
        assert!(own.multipliers(t).unwrap().iter().all(|multiplier| *multiplier != 0.0), "layer {t}");
    }
    assert_eq!(params(&marked), params(&plain));
    assert_eq!(own.bytes(), EXAMPLES * (15 * (1 + 2 + 1) * 8 + 16));
}
