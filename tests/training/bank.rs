//! In what format the bank keeps its numbers, and in which order it is visited.

use std::time::Duration;

use decoupled::bank::Storage;
use decoupled::data::{Augmentation, Examples};
use decoupled::layer::{Activation, Pool2d};
use decoupled::method::{
    ErrorSteps, Exact, GaussNewton, Multipliers, Order, Penalty, PenaltyIncrease, Reads, Ridge, Stall, Start, Sweeps,
};
use decoupled::observer::{EarlyStopping, ReduceLrOnPlateau};
use decoupled::optimizer::{Adam, Sgd, Step};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, FitReport, Method, NetworkBuilder, Optimizer, Scalar};

use crate::builtin;
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

/// The presets that begin every visit at the forward pass and have no multipliers, and those that go on from the bank.
const WITHOUT: [&str; 8] = [
    "default",
    "predictive_coding",
    "red_black",
    "incremental",
    "error_based",
    "local_targets",
    "backprop_by_sweep",
    "in_flight",
];
const WITH: [&str; 5] = ["joint", "alm", "mac", "bcd", "admm"];

fn without_a_bank<T: Scalar>() -> Vec<(&'static str, Method<T>)> {
    let momentum = || Sweeps::new(Order::RedBlack, 2, 0.1).optimizer(Sgd::new(0.05).momentum(0.5));
    let raised = PenaltyIncrease::when(Stall::Residual);
    let others = [
        ("memory of the activations' optimizer", Method::predictive_coding(2, 0.1).activation(momentum())),
        ("rising penalties", Method::red_black().penalty(Penalty::Raised(PenaltyIncrease { progress: 0.9, ..raised }))),
        ("a finish", Method::local_targets(2).finish(true)),
        ("Gauss-Newton", Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored)),
        ("least squares", Method::backprop_by_sweep().parameter(Ridge { ridge: 1.0, memory: 0.5, ..Ridge::default() })),
        ("errors", Method::new(Start::Anchored, ErrorSteps::new(2, 0.1).stable(1.5), Reads::Forward)),
    ];
    let presets = builtin::methods().into_iter().filter(|(name, _)| WITHOUT.contains(name));
    presets.chain(others).collect()
}

/// All that a fit reports, but for the time that it took.
fn said(report: &FitReport) -> String {
    let mut report = report.clone();
    report.epochs.iter_mut().for_each(|epoch| epoch.time = Duration::ZERO);
    format!("{report:?}")
}

/// All that training comes to, but for the activations in the bank.
fn outcome<T: Scalar>(net: &DecoupledNetwork<T>) -> (Vec<u64>, u64, usize, Vec<u64>, Vec<u64>) {
    let bank = net.bank().unwrap();
    (params(net), net.updates(), net.epochs(), bank.steps(), bank.visited_at())
}

/// Fits twice, on one and on four threads, with a bank that keeps all and with one that keeps nothing: the same bits.
fn gives_the_same_without<T: Scalar>(
    builder: &NetworkBuilder<T>,
    data: &Dataset<T>,
    config: &FitConfig<'_, T>,
    what: &str,
) {
    let trained = |storage, threads| {
        let mut net = builder.clone().bank_storage(storage).threads(threads).build().unwrap();
        let (mut stop, mut reduce) = (
            EarlyStopping::new().patience(1).restore_best_weights(),
            ReduceLrOnPlateau::new().patience(1).min_delta(1.0),
        );
        let watched = net.fit_observed(data, config, &mut [&mut stop, &mut reduce]).unwrap();
        let first = outcome(&net);
        // The second fit goes on from the first: of the bank it reads how old its columns are.
        let second = net.fit(data, config).unwrap();
        (said(&watched), first, said(&second), outcome(&net), net)
    };
    let full = trained(Storage::Full, 1);
    assert!(full.4.bank().unwrap().bytes() > 16 * data.len() && full.2.contains("staleness: Some"), "{what}");
    for threads in [1, 4] {
        let none = trained(Storage::Nothing, threads);
        assert_eq!((&none.0, &none.1), (&full.0, &full.1), "{what}, {threads} threads");
        assert_eq!((&none.2, &none.3), (&full.2, &full.3), "{what}, {threads} threads, the second fit");
        let bank = none.4.bank().unwrap();
        assert_eq!((bank.storage(), bank.examples(), bank.bytes()), (Storage::Nothing, data.len(), 16 * data.len()));
        assert_eq!((bank.layers(), bank.rows(), bank.example(0).len()), (0, 0, 0));
    }
}

fn every_method_gives_the_same_without<T: Scalar>() {
    let (data, validation) = data::<T>(1.0).split(0.8, 1).unwrap();
    let weights: Vec<f64> = (0..data.len()).map(|example| f64::from(example as u32 % 3)).collect();
    let weighted = data.clone().with_weights(&weights).unwrap();
    for (name, method) in without_a_bank() {
        let one_step = ["red_black", "predictive_coding", "backprop_by_sweep", "error_based"].contains(&name);
        let config = || FitConfig::new().epochs(4).batch_size(23).method(method.clone()).validation(&validation);
        // Lanes want batches of more than one of them; and blocks, weights and a full batch come without further lanes.
        gives_the_same_without(&builder(), &data, &config().batch_size(40), name);
        gives_the_same_without(
            &builder(),
            &weighted,
            &config().shuffle_blocks(31),
            &format!("{name}, weights, blocks"),
        );
        gives_the_same_without(&builder(), &data, &config().full_batch(), &format!("{name}, full batch"));
        if one_step {
            gives_the_same_without(&builder(), &data, &config().accumulate(2), &format!("{name}, accumulation"));
        }
    }
}

#[test]
fn a_bank_that_keeps_nothing_gives_the_bits_of_one_that_keeps_all() {
    every_method_gives_the_same_without::<f64>();
    every_method_gives_the_same_without::<f32>();
}

#[test]
fn pictures_train_to_the_same_bits_without_a_bank() {
    let data = decoupled::data::digits::<f32>().unwrap().take(150).unwrap();
    let pictures = DecoupledNetwork::builder([1, 8, 8]).conv2d(4, [3, 3], Activation::Relu);
    let pool = Pool2d::max(pictures.shape(), [2, 2]);
    let pictures = pictures.layer(pool).dense(10, Activation::Identity);
    for method in [Method::default(), Method::in_flight(2, 8), Method::red_black()] {
        let config = FitConfig::new().epochs(2).batch_size(32).method(method.clone()).measure_decoupling(1, 4);
        gives_the_same_without(&pictures, &data, &config, &format!("{method:?}"));
        let augmented = config.augment(Augmentation::new([1, 8, 8]).shift(1));
        gives_the_same_without(&pictures, &data, &augmented, &format!("{method:?}, augmented"));
    }
}

#[test]
fn a_fit_that_diverges_without_a_bank_ends_as_with_one() {
    // Beyond the largest double after a few steps.
    let wild = || builder::<f64>().optimizer(Sgd::new(1e200)).penalty(1e3);
    let config = FitConfig::new().epochs(3).batch_size(40).method(Method::backprop_by_sweep());
    let [full, none] = [Storage::Full, Storage::Nothing].map(|storage| {
        let mut net = wild().bank_storage(storage).build().unwrap();
        let error = net.fit(&data(1.0), &config).unwrap_err();
        assert!(matches!(error, Error::Diverged { .. }), "{error:?}");
        (error.to_string(), params(&net), net.updates(), net.bank().is_none())
    });
    assert_eq!(full, none);
}

/// Refused by the fit and by the builder, for that reason, before anything changes.
#[track_caller]
fn refuses(builder: NetworkBuilder<f64>, data: &Dataset<f64>, method: Method<f64>, reasons: [&str; 2]) {
    let because = |error: Error| match error {
        Error::Unsupported { what, why } => {
            assert!(
                what.contains("Storage::Nothing") && reasons.iter().all(|reason| why.contains(reason)),
                "{what}: {why}"
            );
        }
        other => panic!("{other:?}"),
    };
    let builder = builder.bank_storage(Storage::Nothing);
    because(builder.clone().method(method.clone()).build().unwrap_err());
    let mut net = builder.build().unwrap();
    let before = params(&net);
    because(net.fit(data, &FitConfig::new().method(method)).unwrap_err());
    assert_eq!((params(&net), net.updates(), net.epochs(), net.bank()), (before, 0, 0, None));
    // It trains by another method all the same.
    net.fit(data, &FitConfig::new().epochs(1)).unwrap();
}

#[test]
fn methods_that_go_on_from_the_bank_are_refused_where_it_keeps_nothing() {
    let data = data(1.0);
    let apart = || {
        let builder = DecoupledNetwork::builder(4).store_pre_activations().dense(5, Activation::Relu);
        builder.dense(2, Activation::Identity).threads(1)
    };
    let start = ["Start::Anchored", "bank_storage"];
    for (name, method) in builtin::methods() {
        assert_ne!(WITHOUT.contains(&name), WITH.contains(&name), "{name} is of one kind");
        if WITH.contains(&name) {
            let reasons = if name == "alm" { ["Method::multipliers(None)", "Method::alm"] } else { [start[0], name] };
            refuses(apart(), &data, method, reasons);
        }
    }
    let persisted = Method::predictive_coding(2, 0.1).start(Start::Persisted);
    let blended = Method::predictive_coding(2, 0.1).start(Start::Blend(0.5));
    let kept = Method::default().multipliers(Multipliers::kept());
    let exact = Method::bcd(1.0).start(Start::Anchored);
    refuses(builder(), &data, persisted, start);
    refuses(builder(), &data, blended, start);
    refuses(builder(), &data, kept, ["Method::multipliers(None)", "bank_storage"]);
    refuses(apart(), &data, exact, ["Exact", "Sweeps"]);
    let streamed = Method::new(Start::Anchored, Exact { steps: 1, proximal: 0.0 }, Reads::Stored);
    refuses(apart(), &data, streamed, ["Exact", "bank_storage"]);
}

#[test]
fn missing_inputs_and_a_file_are_refused_where_the_bank_keeps_nothing() {
    let known = data::<f64>(1.0);
    let mut inputs = known.inputs().as_slice().to_vec();
    inputs[5] = f64::NAN;
    let inputs = Examples::from_row_slice(&inputs, EXAMPLES, 4).unwrap().with_missing();
    let targets = Examples::from_row_slice(known.targets().as_slice(), EXAMPLES, 2).unwrap();
    let holes = Dataset::regression(inputs, targets).unwrap();
    let mut net = builder().bank_storage(Storage::Nothing).build().unwrap();
    let before = params(&net);
    let error = net.fit(&holes, &FitConfig::new()).unwrap_err();
    assert!(matches!(&error, Error::Unsupported { why, .. } if why.contains("Storage::Nothing")), "{error:?}");
    assert_eq!((params(&net), net.updates(), net.bank()), (before, 0, None));

    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("of nothing.bank");
    let error = builder::<f64>().bank_storage(Storage::Nothing).bank_file(&path, 8).build().unwrap_err();
    assert!(matches!(&error, Error::Unsupported { why, .. } if why.contains("bank_file")), "{error:?}");
    assert!(!path.exists());
}

#[test]
fn a_limit_that_a_full_bank_exceeds_holds_one_that_keeps_nothing() {
    let data = data::<f64>(1.0);
    let fit = |storage, limit| {
        let mut net = builder::<f64>().bank_storage(storage).bank_limit(limit).build().unwrap();
        net.fit(&data, &FitConfig::new().epochs(1)).map(drop)
    };
    fit(Storage::Nothing, 16 * EXAMPLES).unwrap();
    for (storage, limit) in [(Storage::Nothing, 16 * EXAMPLES - 1), (Storage::Full, 16 * EXAMPLES)] {
        let error = fit(storage, limit).unwrap_err();
        assert!(matches!(&error, Error::BankTooLarge { limit: found, .. } if *found == limit as u128), "{error:?}");
        for remedy in ["Storage::Bf16", "Storage::Nothing", "bank_file", "bank_limit"] {
            assert!(error.to_string().contains(remedy), "{error}");
        }
    }
}
