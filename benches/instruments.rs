//! What the dear instruments cost: the comparison of two networks, its parts, and the decoupling of a method.
//!
//! ```text
//! cargo bench --bench instruments
//! ```
//!
//! Two networks of 784-256-256-10 and 10,000 examples, drawn; the whole comparison should take less than five seconds on two cores.
//!
//! Of what is always on only one thing takes a pass of its own over numbers: the range of every hidden unit's outputs, for
//! `dead_units`. Its time on one core, with numbers from afar, stands beside an epoch of the default: an upper bound of its share,
//! which should not be above 3 %.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use decoupled::data::Examples;
use decoupled::diagnostics::{cka, decoupling, matching, path, procrustes, similarity};
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::nalgebra::DMatrix;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, MatRef, Method};

const EXAMPLES: usize = 10_000;

fn data() -> Dataset<f32> {
    let mut rng = ChaCha12Rng::seed_from_u64(0);
    let inputs = DMatrix::from_fn(784, EXAMPLES, |_, _| rng.random::<f32>());
    let labels: Vec<usize> = (0..EXAMPLES).map(|_| rng.random_range(0..10)).collect();
    let inputs = Examples::from_column_matrix(inputs).expect("examples");
    Dataset::classification(inputs, &labels, 10).expect("a label for each example")
}

fn network(seed: u64) -> DecoupledNetwork<f32> {
    let builder = DecoupledNetwork::builder(784).dense(256, Activation::Relu).dense(256, Activation::Relu);
    let builder = builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
    builder.seed(seed).build().expect("a sound description")
}

fn instruments(criterion: &mut Criterion) {
    let (data, a, b) = (data(), network(0), network(1));
    let few = data.take(64).expect("as many");
    let [first, second] = [&a, &b].map(|net| net.activations(data.inputs()).expect("activations").remove(0));
    let mut group = criterion.benchmark_group("instruments, 784-256-256-10, 10,000 examples");
    group.sample_size(10);
    group.bench_function("similarity", |bench| bench.iter(|| similarity(&a, &b, &data).expect("twins")));
    group.bench_function("matching", |bench| bench.iter(|| matching(&a, &b).expect("twins")));
    group.bench_function("path of 11 points", |bench| bench.iter(|| path(&a, &b, &data, 11).expect("twins")));
    let views = || (MatRef::from(&first), MatRef::from(&second));
    group.bench_function("CKA, 256 units", |bench| bench.iter(|| cka(views().0, views().1).expect("examples")));
    group.bench_function("Procrustes, 256 units", |bench| {
        bench.iter(|| procrustes(views().0, views().1).expect("examples"));
    });
    group.bench_function("decoupling of the default, 64 examples", |bench| {
        bench.iter(|| decoupling(&a, &few, &Method::default()).expect("a sound method"));
    });
    let config = FitConfig::new().epochs(1).batch_size(128);
    group.bench_function("an epoch of the default", |bench| {
        bench.iter_batched(
            || a.clone(),
            |mut net| net.fit(&data, &config).expect("a stable epoch"),
            BatchSize::PerIteration,
        );
    });
    let hidden = a.activations(data.inputs()).expect("activations");
    group.bench_function("the range of every hidden unit, always on", |bench| {
        bench.iter(|| hidden[..2].iter().map(ranges).collect::<Vec<_>>());
    });
    group.finish();
}

/// The least and the largest of each row.
fn ranges(outputs: &DMatrix<f32>) -> (Vec<f64>, Vec<f64>) {
    let (mut low, mut high) = (vec![f64::INFINITY; outputs.nrows()], vec![f64::NEG_INFINITY; outputs.nrows()]);
    for column in outputs.as_slice().chunks_exact(outputs.nrows()) {
        for ((low, high), x) in low.iter_mut().zip(&mut high).zip(column) {
            let x = f64::from(*x);
            *low = if x < *low { x } else { *low };
            *high = if x > *high { x } else { *high };
        }
    }
    (low, high)
}

criterion_group!(benches, instruments);
criterion_main!(benches);
