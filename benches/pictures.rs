//! Convolution and pooling, forward and both gradients, at the shapes of LeNet and VGG5: operations a second on one thread, beside those
//! of a dense layer of 512 × 512 in the same run.
//!
//! ```text
//! cargo bench --bench pictures
//! ```

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use decoupled::layer::{Conv2d, ConvTranspose2d, Dense, Pool2d};
use decoupled::{Layer, MatMut, MatRef};

/// A lane's share of a batch of 128 on two threads.
const EXAMPLES: usize = 64;

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 31) % 1009) as f32 / 1009.0 - 0.5).collect()
}

fn layer(criterion: &mut Criterion, name: &str, layer: &dyn Layer<f32>, operations: usize) {
    let [inputs, outputs] = [layer.input_dim(), layer.output_dim()];
    let (params, x, c) = (numbers(layer.param_len()), numbers(inputs * EXAMPLES), numbers(outputs * EXAMPLES));
    let (input, cotangent) = (MatRef::new(&x, inputs, EXAMPLES), MatRef::new(&c, outputs, EXAMPLES));
    let (mut y, mut grad, mut by_params) = (c.clone(), x.clone(), params.clone());
    let mut cache = vec![0.0; layer.cache_len(EXAMPLES)];
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements((operations * EXAMPLES) as u64));
    group.bench_function("forward", |bencher| {
        bencher.iter(|| {
            let y = MatMut::new(black_box(&mut y), outputs, EXAMPLES);
            layer.forward(black_box(&params), black_box(input), y, &mut cache);
        });
    });
    group.bench_function("input_gradient", |bencher| {
        bencher.iter(|| {
            let grad = MatMut::new(black_box(&mut grad), inputs, EXAMPLES);
            layer.input_gradient(black_box(&params), input, black_box(cotangent), grad, &mut cache);
        });
    });
    if !params.is_empty() {
        group.bench_function("param_gradient", |bencher| {
            bencher.iter(|| {
                layer.param_gradient(&params, black_box(input), cotangent, black_box(&mut by_params), &mut cache);
            });
        });
    }
}

fn convolutions(criterion: &mut Criterion) {
    let mut convolution = |name: &str, of: &dyn Layer<f32>| layer(criterion, name, of, of.operations());
    convolution("dense 512 → 512", &Dense::new(512, 512));
    convolution("LeNet 1 → 6, 5 × 5", &Conv2d::new([1, 28, 28], 6, [5, 5]).padding([2, 2]));
    convolution("LeNet 6 → 16, 5 × 5", &Conv2d::new([6, 14, 14], 16, [5, 5]).padding([2, 2]));
    convolution("VGG5 1 → 32, 3 × 3", &Conv2d::new([1, 28, 28], 32, [3, 3]).padding([3, 3]));
    convolution("VGG5 32 → 64, 3 × 3", &Conv2d::new([32, 16, 16], 64, [3, 3]).padding([1, 1]));
    convolution("VGG5 64 → 128, 3 × 3", &Conv2d::new([64, 8, 8], 128, [3, 3]).padding([1, 1]));
    convolution("VGG5 128 → 128, 3 × 3", &Conv2d::new([128, 4, 4], 128, [3, 3]).padding([1, 1]));
    convolution("strided 32 → 64, 3 × 3", &Conv2d::new([32, 16, 16], 64, [3, 3]).padding([1, 1]).stride([2, 2]));
    convolution("depthwise 32, 3 × 3", &Conv2d::new([32, 16, 16], 32, [3, 3]).padding([1, 1]).groups(32));
    convolution(
        "transposed 32 → 16, 4 × 4",
        &ConvTranspose2d::new([32, 7, 7], 16, [4, 4]).stride([2, 2]).padding([1, 1]),
    );
}

/// A comparison or an addition for each pixel.
fn poolings(criterion: &mut Criterion) {
    layer(criterion, "max 6 × 28 × 28, 2 × 2", &Pool2d::max([6, 28, 28], [2, 2]), 6 * 28 * 28);
    layer(criterion, "mean 6 × 28 × 28, 2 × 2", &Pool2d::mean([6, 28, 28], [2, 2]), 6 * 28 * 28);
    layer(criterion, "max 32 × 32 × 32, 2 × 2", &Pool2d::max([32, 32, 32], [2, 2]), 32 * 32 * 32);
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    targets = convolutions, poolings
}
criterion_main!(benches);
