//! Results do not depend on the number of threads, bit for bit, and follow from the seeds alone.

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Dense, LayerNorm, Residual};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::method::{Order, Reads, Start, Sweeps, Timing};
use decoupled::optimizer::{Adam, Sgd};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, EpochReport, FitConfig, MatRef, Method, Scalar};

use crate::builtin;

const EXAMPLES: usize = 150;

fn data<T: Scalar>(seed: u64) -> Dataset<T> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let inputs: Vec<T> = (0..EXAMPLES * 7).map(|_| T::standard_normal(&mut rng)).collect();
    let labels: Vec<usize> = (0..EXAMPLES).map(|_| rng.random_range(0..4)).collect();
    Dataset::classification(Examples::from_row_slice(&inputs, EXAMPLES, 7).unwrap(), &labels, 4).unwrap()
}

fn network<T: Scalar>(threads: usize, seed: u64) -> DecoupledNetwork<T> {
    DecoupledNetwork::builder(7)
        .dense(19, Activation::Relu)
        .layer(Residual::new(Chain::new().then(LayerNorm::new(19)).then(Dense::new(19, 19))))
        .dense(11, Activation::Tanh)
        .dense(4, Activation::Identity)
        .output_loss(SoftmaxCrossEntropy::new())
        .layer_optimizer(1, Sgd::new(0.01).momentum(0.5))
        .seed(seed)
        .threads(threads)
        .build()
        .unwrap()
}

/// Every preset for all networks, and variations that use what the presets leave out.
fn methods<T: Scalar>() -> Vec<Method<T>> {
    let own = [
        Method::predictive_coding(2, 0.1).reads(Reads::Stored).timing(Timing::AfterRelaxation { local_steps: 2 }),
        Method::joint(0.1).activation(Sweeps::new(Order::ReverseGaussSeidel, 2, 0.1).optimizer(Adam::new(0.01))),
        Method::predictive_coding(2, 0.05)
            .start(Start::Persisted)
            .activation(Sweeps::new(Order::Jacobi, 2, 0.05).optimizer(Sgd::new(0.05).momentum(0.6))),
    ];
    builtin::gradient_methods().into_iter().map(|(_, method)| method).chain(own).collect()
}

/// All numbers that a training leaves behind, as bits.
#[derive(Debug, PartialEq)]
struct Trace {
    params: Vec<u64>,
    bank: Vec<u64>,
    steps: Vec<u64>,
    history: Vec<u64>,
    outputs: Vec<u64>,
}

fn bits<T: Scalar>(values: &[T]) -> Vec<u64> {
    values.iter().map(|v| v.to_f64().to_bits()).collect()
}

fn history(epochs: &[EpochReport]) -> Vec<u64> {
    let numbers = |e: &EpochReport| {
        let validation = e.validation.unwrap();
        let scalars = [
            e.epoch as f64,
            e.energy,
            e.train_loss,
            e.train_score.unwrap(),
            validation.loss,
            validation.score.unwrap(),
        ];
        // A method that does not follow the curvature reports none.
        let curvature = e.curvature.unwrap_or(-1.0);
        let lists = e.residuals.iter().chain(&e.update_norms).copied();
        scalars
            .into_iter()
            .chain([e.residuals.len() as f64, curvature])
            .chain(lists)
            .map(f64::to_bits)
            .collect::<Vec<_>>()
    };
    epochs.iter().flat_map(numbers).collect()
}

/// Two fits, so that what persists between them counts as well; without a method by backpropagation.
fn train<T: Scalar>(
    mut net: DecoupledNetwork<T>,
    data: &Dataset<T>,
    method: Option<&Method<T>>,
    batch: usize,
    seed: u64,
) -> Trace {
    let held_out = self::data(77);
    let config = FitConfig::new().epochs(2).batch_size(batch).seed(seed).validation(&held_out);
    let reports: Vec<_> = (0..2)
        .flat_map(|_| {
            let report = match method {
                Some(method) => net.fit(data, &config.clone().method(method.clone())),
                None => net.fit_backprop(data, &config),
            };
            report.unwrap().epochs
        })
        .collect();
    let outputs = net.predict(data.inputs()).unwrap();
    let bank = net.bank();
    Trace {
        params: (0..net.depth()).flat_map(|t| bits(net.params(t))).collect(),
        bank: bank.map_or_else(Vec::new, |bank| (0..EXAMPLES).flat_map(|i| bits(&bank.example(i))).collect()),
        steps: bank.map_or_else(Vec::new, |bank| bank.steps()),
        history: history(&reports),
        outputs: bits(outputs.as_slice()),
    }
}

/// One lane; several lanes; several and a short last batch of one or of several; lanes of unequal length.
const BATCHES: [usize; 6] = [32, 64, 75, 149, 100, 150];

fn same_for_all_thread_counts<T: Scalar>() {
    let data = data::<T>(1);
    let methods = methods();
    for method in methods.iter().map(Some).chain([None]) {
        for batch in BATCHES {
            let alone = train(network(1, 3), &data, method, batch, 5);
            assert_eq!(alone.bank.is_empty(), method.is_none());
            for threads in 2..=4 {
                let other = train(network(threads, 3), &data, method, batch, 5);
                assert!(alone == other, "{threads} threads differ, batch {batch}, {method:?}");
            }
        }
    }
}

#[test]
fn single_precision_training_is_the_same_at_any_thread_count() {
    same_for_all_thread_counts::<f32>();
}

#[test]
fn double_precision_training_is_the_same_at_any_thread_count() {
    same_for_all_thread_counts::<f64>();
}

#[test]
fn the_whole_bank_with_its_optimizer_state_is_the_same_at_any_thread_count() {
    let data = data::<f32>(2);
    let method = Method::joint(0.1).activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Adam::new(0.01)));
    let config = FitConfig::new().epochs(3).batch_size(130).method(method);
    let banks: Vec<_> = (1..=4)
        .map(|threads| {
            let mut net = network(threads, 3);
            net.fit(&data, &config).unwrap();
            net.bank().unwrap().clone()
        })
        .collect();
    assert!(banks.iter().all(|bank| *bank == banks[0]));
}

#[test]
fn a_seed_gives_the_same_bits_twice_and_another_seed_does_not() {
    let data = data::<f32>(1);
    for method in methods().iter().map(Some).chain([None]) {
        let of = |init: u64, order: u64| train(network(2, init), &data, method, 64, order);
        let first = of(3, 5);
        assert_eq!(first, of(3, 5), "{method:?}");
        for other in [of(4, 5), of(3, 6)] {
            assert_ne!(first.params, other.params, "{method:?}");
            assert_ne!(first.history, other.history, "{method:?}");
            assert_ne!(first.outputs, other.outputs, "{method:?}");
            if method.is_some() {
                assert_ne!(first.bank, other.bank, "{method:?}");
            }
        }
    }
}

#[test]
fn large_predictions_are_the_same_at_any_thread_count_and_one_by_one() {
    let mut rng = ChaCha12Rng::seed_from_u64(9);
    let inputs: Vec<f32> = (0..7 * 1000).map(|_| f32::standard_normal(&mut rng)).collect();
    let net = network::<f32>(1, 3);
    let together = net.predict(MatRef::new(&inputs, 7, 1000)).unwrap();
    for threads in 2..=4 {
        assert_eq!(network::<f32>(threads, 3).predict(MatRef::new(&inputs, 7, 1000)).unwrap(), together);
    }
    for (i, input) in inputs.chunks(7).enumerate() {
        let alone = net.predict(MatRef::new(input, 7, 1)).unwrap();
        for (a, b) in alone.iter().zip(&together.column(i)) {
            assert!((a - b).abs() < 1e-5, "example {i}: {a} alone, {b} among others");
        }
    }
}
