//! What the element-wise passes cost over 10⁶ numbers, each beside the same loop written with `std`'s functions.
//!
//! ```text
//! cargo bench --bench elementwise
//! cargo bench --bench elementwise --no-default-features    # compiled for the target alone
//! ```

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use decoupled::layer::{Activation, Elementwise};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::optimizer::{Adam, RmsProp, Sgd, Step};
use decoupled::{Layer, Loss, MatMut, MatRef, Optimizer, Scalar};

const LEN: usize = 1_000_000;

fn numbers<T: Scalar>(len: usize) -> Vec<T> {
    (0..len).map(|i| T::of(((i * 31) % 1009) as f64 / 100.0 - 5.0)).collect()
}

/// Times `own` and `plain` one after the other.
fn compare(criterion: &mut Criterion, name: &str, len: usize, mut own: impl FnMut(), mut plain: impl FnMut()) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(len as u64));
    group.bench_function("crate", |bencher| bencher.iter(&mut own));
    group.bench_function("std", |bencher| bencher.iter(&mut plain));
}

/// Value and, where the layer keeps it, derivative.
fn activation<T: Scalar>(criterion: &mut Criterion, name: &str, activation: Activation, plain: impl Fn(T) -> (T, T)) {
    let layer = Elementwise::new(LEN, activation);
    let input = numbers::<T>(LEN);
    let (mut y, mut slope) = (vec![T::zero(); LEN], vec![T::zero(); Layer::<T>::cache_len(&layer, 1)]);
    let (mut plain_y, mut plain_slope) = (y.clone(), slope.clone());
    let own = || {
        let input = MatRef::new(black_box(&input), LEN, 1);
        layer.forward(&[], input, MatMut::new(black_box(&mut y), LEN, 1), black_box(&mut slope));
    };
    let plain = || {
        let (y, slope) = (black_box(&mut plain_y), black_box(&mut plain_slope));
        if slope.is_empty() {
            y.iter_mut().zip(black_box(&input)).for_each(|(y, &x)| *y = plain(x).0);
        } else {
            for ((y, slope), &x) in y.iter_mut().zip(slope).zip(black_box(&input)) {
                (*y, *slope) = plain(x);
            }
        }
    };
    compare(criterion, name, LEN, own, plain);
}

fn activations(criterion: &mut Criterion) {
    fn sigmoid(x: f32) -> (f32, f32) {
        let q = (-x.abs()).exp();
        let reciprocal = 1.0 / (1.0 + q);
        (if x > 0.0 { reciprocal } else { q * reciprocal }, q * reciprocal * reciprocal)
    }
    activation(criterion, "relu f32", Activation::Relu, |x: f32| (if x <= 0.0 { 0.0 } else { x }, 0.0));
    activation(criterion, "tanh f32", Activation::Tanh, |x: f32| (x.tanh(), 4.0 * sigmoid(2.0 * x).1));
    activation(criterion, "sigmoid f32", Activation::Sigmoid, sigmoid);
    activation(criterion, "softplus f32", Activation::Softplus, |x: f32| {
        (x.max(0.0) + (-x.abs()).exp().ln_1p(), sigmoid(x).0)
    });
    activation(criterion, "silu f32", Activation::Silu, |x: f32| {
        let (value, slope) = sigmoid(x);
        (x * value, value + x * slope)
    });
    let gelu = |x: f64| {
        use std::f64::consts::{FRAC_1_SQRT_2, PI};
        let (distribution, density) = (0.5 * libm::erfc(-x * FRAC_1_SQRT_2), (-0.5 * x * x).exp() / (2.0 * PI).sqrt());
        (x * distribution, distribution + x * density)
    };
    activation(criterion, "gelu f32", Activation::Gelu, |x: f32| {
        let (value, slope) = gelu(f64::from(x));
        (value as f32, slope as f32)
    });
    activation(criterion, "tanh f64", Activation::Tanh, |x: f64| {
        let q = (-2.0 * x.abs()).exp();
        (x.tanh(), 4.0 * q / ((1.0 + q) * (1.0 + q)))
    });
    activation(criterion, "gelu f64", Activation::Gelu, gelu);
}

fn pull_back(criterion: &mut Criterion) {
    for (name, activation) in [("relu f32, gradient", Activation::Relu), ("tanh f32, gradient", Activation::Tanh)] {
        let layer = Elementwise::new(LEN, activation);
        let (x, cotangent) = (numbers::<f32>(LEN), numbers::<f32>(LEN));
        let mut cache = numbers::<f32>(Layer::<f32>::cache_len(&layer, 1));
        let (mut grad, mut plain_grad) = (vec![0.0; LEN], vec![0.0; LEN]);
        let own = || {
            let [x, cotangent] = [&x, &cotangent].map(|m| MatRef::new(black_box(m), LEN, 1));
            layer.input_gradient(&[], x, cotangent, MatMut::new(black_box(&mut grad), LEN, 1), &mut cache);
        };
        let kept = activation == Activation::Tanh;
        let plain = || {
            let pairs = black_box(&mut plain_grad).iter_mut().zip(black_box(&cotangent)).zip(black_box(&x));
            if kept {
                pairs.for_each(|((g, &c), &slope)| *g = c * slope);
            } else {
                pairs.for_each(|((g, &c), &x)| *g = if x <= 0.0 { 0.0 } else { c });
            }
        };
        compare(criterion, name, LEN, own, plain);
    }
}

fn optimizer(
    criterion: &mut Criterion,
    name: &str,
    rule: impl Optimizer<f32>,
    plain: impl Fn(&mut f32, f32, &mut f32, &mut f32),
) {
    let (mut params, mut grad) = (vec![0.5f32; LEN], numbers::<f32>(LEN));
    let mut state = vec![0.0; rule.slots() * LEN];
    let (mut plain_params, plain_grad, mut plain_state) = (params.clone(), grad.clone(), vec![0.0; 2 * LEN]);
    let mut number = 0;
    let own = || {
        number += 1;
        rule.update(Step::new(number, 1e-3), black_box(&mut params), black_box(&mut grad), black_box(&mut state));
    };
    let plain = || {
        let (first, second) = black_box(&mut plain_state).split_at_mut(LEN);
        let moments = first.iter_mut().zip(second);
        for ((p, &g), (m, v)) in black_box(&mut plain_params).iter_mut().zip(black_box(&plain_grad)).zip(moments) {
            plain(p, g, m, v);
        }
    };
    compare(criterion, name, LEN, own, plain);
}

fn optimizers(criterion: &mut Criterion) {
    optimizer(criterion, "sgd f32", Sgd::new(0.1), |p, g, _, _| *p -= 1e-4 * g);
    optimizer(criterion, "momentum f32", Sgd::new(0.1).momentum(0.9), |p, g, m, _| {
        *m = 0.9 * *m + g;
        *p -= 1e-4 * *m;
    });
    optimizer(criterion, "rms_prop f32", RmsProp::new(0.1), |p, g, _, v| {
        *v = 0.99 * *v + 0.01 * (g * g);
        *p -= 1e-4 * g / (v.sqrt() + 1e-8);
    });
    optimizer(criterion, "adam f32", Adam::new(0.1), |p, g, m, v| {
        *m = 0.9 * *m + 0.1 * g;
        *v = 0.999 * *v + 0.001 * (g * g);
        *p -= 1e-4 * *m / (v.sqrt() * 1.1 + 1e-8);
    });
}

/// The loss of a batch of `examples` columns, and its gradient.
fn softmax(criterion: &mut Criterion, classes: usize, examples: usize) {
    let len = classes * examples;
    let logits = numbers::<f32>(len);
    let targets: Vec<f32> = (0..len).map(|i| if i % classes == i / classes % classes { 1.0 } else { 0.0 }).collect();
    let (mut grad, mut plain_grad) = (vec![0.0; len], vec![0.0; len]);
    let loss = SoftmaxCrossEntropy::new();
    let name = format!("softmax cross-entropy f32, {classes}x{examples}");
    let matrices = || [&targets, &logits].map(|m| MatRef::new(black_box(m), classes, examples));
    let plain_columns = || black_box(&targets).chunks_exact(classes).zip(black_box(&logits).chunks_exact(classes));
    let highest = |logits: &[f32]| logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    compare(
        criterion,
        &format!("{name}, value"),
        len,
        || {
            let [targets, logits] = matrices();
            black_box(loss.value(targets, logits));
        },
        || {
            let terms = plain_columns().map(|(targets, logits)| {
                let max = highest(logits);
                let log_sum = logits.iter().map(|p| (p - max).exp()).sum::<f32>().ln();
                targets.iter().zip(logits).map(|(z, p)| z * (log_sum - (p - max))).sum::<f32>()
            });
            black_box(terms.sum::<f32>());
        },
    );
    compare(
        criterion,
        &format!("{name}, gradient"),
        len,
        || {
            let [targets, logits] = matrices();
            loss.gradient(targets, logits, MatMut::new(black_box(&mut grad), classes, examples));
        },
        || {
            for (grad, (targets, logits)) in black_box(&mut plain_grad).chunks_exact_mut(classes).zip(plain_columns()) {
                let max = highest(logits);
                grad.iter_mut().zip(logits).for_each(|(g, p)| *g = (p - max).exp());
                let factor = targets.iter().sum::<f32>() / grad.iter().sum::<f32>();
                grad.iter_mut().zip(targets).for_each(|(g, z)| *g = *g * factor - z);
            }
        },
    );
}

fn losses(criterion: &mut Criterion) {
    softmax(criterion, 10, 128);
    softmax(criterion, LEN, 1);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = activations, pull_back, optimizers, losses
}
criterion_main!(benches);
