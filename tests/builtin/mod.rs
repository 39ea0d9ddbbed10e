//! The built-in activation functions, layers, losses, optimizers, activation steps and presets, each kind in one list that the
//! suites take: a part that is added here is in all of them, and `surface::complete` finds one that is not. A suite that wants
//! further settings appends its own.
//!
//! Settings have no short decimals where that does no harm: a file that rounds them gives another part.

#![allow(dead_code, reason = "most suites are of a few kinds only")]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use decoupled::layer::{
    Activation, Chain, Conv1d, Conv2d, ConvTranspose2d, Dense, Dropout, Elementwise, GroupNorm, Init, LayerNorm,
    Pool2d, Residual, Shape, Upsample,
};
use decoupled::loss::{
    BinaryCrossEntropy, Huber, MeanAbsoluteError, RelativeSquaredError, SoftmaxCrossEntropy, SquaredError,
};
use decoupled::method::{ErrorSteps, Exact, GaussNewton, GradientStep, Order, Ridge, Sweeps};
use decoupled::optimizer::{Adam, AdamW, ClipNorm, ClipValue, L1, RmsProp, Schedule, Scheduled, Sgd, WeightDecay};
use decoupled::rand::{RngExt, rngs::ChaCha12Rng};
use decoupled::{ActivationStep, Layer, Loss, Method, Optimizer, ParameterStep, Scalar};

/// What parts call themselves: their types, or their variants.
pub(crate) fn names(parts: impl IntoIterator<Item = impl Debug>) -> BTreeSet<String> {
    let name = |part| format!("{part:?}").chars().take_while(|c| c.is_alphanumeric()).collect();
    parts.into_iter().map(name).collect()
}

pub(crate) const ACTIVATIONS: [Activation; 12] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu(0.1 + 0.2),
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Softplus,
    Activation::Gelu,
    Activation::Silu,
    Activation::HardTanh,
    Activation::Sign,
    Activation::Step,
    Activation::Quantize(3),
];

/// Those that have a derivative.
pub(crate) fn differentiable() -> impl Iterator<Item = Activation> {
    ACTIVATIONS.into_iter().filter(|activation| activation.has_derivative())
}

/// Those that have none.
pub(crate) fn jumping() -> impl Iterator<Item = Activation> {
    ACTIVATIONS.into_iter().filter(|activation| !activation.has_derivative())
}

/// Alone and within one another, of random widths.
pub(crate) fn layers<T: Scalar>(rng: &mut ChaCha12Rng) -> Vec<Arc<dyn Layer<T>>> {
    let mut width = || rng.random_range(1..=40);
    let (a, b, c) = (width(), width(), width());
    let mut layers: Vec<Arc<dyn Layer<T>>> = vec![
        Arc::new(Dense::new(a, b)),
        Arc::new(Dense::new(a, b).without_bias().init(Init::orthogonal())),
        Arc::new(LayerNorm::new(a)),
        Arc::new(
            Chain::new().then(Dense::new(a, b).init(Init::he_normal())).then(Elementwise::new(b, Activation::Relu)),
        ),
        Arc::new(Chain::new().then(Elementwise::new(a, Activation::Silu))),
        Arc::new(
            Chain::new()
                .then(Elementwise::new(a, Activation::Tanh))
                .then(Dense::new(a, b))
                .then(LayerNorm::new(b))
                .then(Elementwise::new(b, Activation::Gelu))
                .then(Dense::new(b, c).without_bias()),
        ),
        Arc::new(Dropout::new(a, 0.1 + 0.2)),
        Arc::new(Dropout::new(a, 0.0)),
        Arc::new(
            Chain::new()
                .then(Dropout::new(a, 0.2))
                .then(Dense::new(a, b))
                .then(Elementwise::new(b, Activation::Tanh))
                .then(Residual::new(Dropout::new(b, 0.9)))
                .then(Dropout::new(b, 0.5)),
        ),
        Arc::new(
            Residual::new(Chain::new().then(Dense::new(a, b)).then(Dropout::new(b, 0.5)))
                .projection(Chain::new().then(Dropout::new(a, 0.4)).then(Dense::new(a, b))),
        ),
        Arc::new(Residual::new(Dense::new(a, a))),
        Arc::new(Residual::new(
            Chain::new()
                .then(Chain::new().then(Dense::new(a, b)).then(Elementwise::new(b, Activation::Softplus)))
                .then(Residual::new(Elementwise::new(b, Activation::Sigmoid)))
                .then(Dense::new(b, a)),
        )),
    ];
    layers.extend(ACTIVATIONS.into_iter().flat_map(|activation| units(a, activation)));
    let conv = convolution(rng);
    let widths: [usize; 2] = [Layer::<T>::input_dim(&conv), Layer::<T>::output_dim(&conv)];
    let window = |shape: Shape, rng: &mut ChaCha12Rng| {
        let [_, height, width] = shape.image();
        [rng.random_range(1..=height), rng.random_range(1..=width)]
    };
    let (below, above) = (window(conv.output(), rng), Elementwise::new(conv.output().len(), Activation::Silu));
    layers.extend([
        Arc::new(conv) as Arc<dyn Layer<T>>,
        Arc::new(Chain::new().then(conv).then(above).then(Pool2d::mean(conv.output(), below))),
        Arc::new(Pool2d::max(conv.output(), below)),
        Arc::new(Pool2d::max(conv.output(), below).stride([1, 2])),
        Arc::new(Pool2d::mean(conv.output(), below).stride([2, 1])),
        Arc::new(Pool2d::global_mean(conv.output())),
        Arc::new(Residual::new(Conv2d::new([a.min(6), b.min(9), c.min(9)], a.min(6), [3, 3]).padding([1, 1]))),
        Arc::new(Residual::new(Dense::new(a, b)).projection(Dense::new(a, b).without_bias())),
        Arc::new(Residual::new(Residual::new(conv).projection(Dense::new(widths[0], widths[1]))).projection(conv)),
        Arc::new(
            Residual::new(Conv2d::new([2, b.min(9), c.min(9)], 3, [3, 3]).stride([2, 3]).padding([1, 1]))
                .projection(Conv2d::new([2, b.min(9), c.min(9)], 3, [1, 1]).stride([2, 3])),
        ),
        Arc::new(transposed(rng)),
        Arc::new(normalisation(rng)),
        Arc::new(sequential(rng)),
        Arc::new(Upsample::new(conv.output(), [rng.random_range(1..=3), rng.random_range(1..=3)])),
    ]);
    layers
}

/// A convolution of random settings.
pub(crate) fn convolution(rng: &mut ChaCha12Rng) -> Conv2d {
    let mut draw = |range: std::ops::RangeInclusive<usize>| rng.random_range(range);
    let (groups, kernel) = (draw(1..=3), [draw(1..=3), draw(1..=3)]);
    let (stride, dilation, padding) =
        ([draw(1..=3), draw(1..=3)], [draw(1..=2), draw(1..=2)], [draw(0..=2), draw(0..=3)]);
    let (inputs, outputs) = (groups * draw(1..=3), groups * draw(1..=3));
    // The window fits, without the padding too.
    let size = [0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1) + draw(1..=6));
    let conv = Conv2d::new([inputs, size[0], size[1]], outputs, kernel);
    let conv = conv.stride(stride).dilation(dilation).padding(padding).groups(groups).init(Init::lecun_uniform());
    if draw(0..=3) == 0 { conv.without_bias() } else { conv.bias(0.1 + 0.2) }
}

/// A convolution of a sequence, of random settings.
pub(crate) fn sequential(rng: &mut ChaCha12Rng) -> Conv1d {
    let mut draw = |range: std::ops::RangeInclusive<usize>| rng.random_range(range);
    let (groups, kernel, dilation) = (draw(1..=3), draw(1..=4), draw(1..=2));
    let (inputs, outputs, length) = (groups * draw(1..=3), groups * draw(1..=3), dilation * (kernel - 1) + draw(1..=8));
    let conv = Conv1d::new([inputs, length], outputs, kernel).dilation(dilation).groups(groups);
    let conv = conv.stride(draw(1..=3)).padding(draw(0..=3)).init(Init::lecun_uniform());
    if draw(0..=3) == 0 { conv.without_bias() } else { conv.bias(0.1 + 0.2) }
}

/// A transposed convolution of random settings.
pub(crate) fn transposed(rng: &mut ChaCha12Rng) -> ConvTranspose2d {
    let mut draw = |range: std::ops::RangeInclusive<usize>| rng.random_range(range);
    let (groups, kernel) = (draw(1..=3), [draw(1..=3), draw(1..=3)]);
    let (inputs, outputs) = (groups * draw(1..=3), groups * draw(1..=3));
    let (stride, dilation, size) = ([draw(1..=3), draw(1..=3)], [draw(1..=2), draw(1..=2)], [draw(1..=4), draw(1..=5)]);
    let added = stride.map(|stride| draw(0..=stride - 1));
    // At least one pixel is left.
    let padding = [0, 1].map(|axis| {
        let full = (size[axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1 + added[axis];
        draw(0..=2.min((full - 1) / 2))
    });
    let layer = ConvTranspose2d::new([inputs, size[0], size[1]], outputs, kernel).stride(stride).padding(padding);
    let layer = layer.output_padding(added).dilation(dilation).groups(groups).init(Init::lecun_uniform());
    if draw(0..=3) == 0 { layer.without_bias() } else { layer.bias(0.1 + 0.2) }
}

/// A normalisation of random groups.
pub(crate) fn normalisation(rng: &mut ChaCha12Rng) -> GroupNorm {
    let mut draw = |range: std::ops::RangeInclusive<usize>| rng.random_range(range);
    let groups = draw(1..=3);
    GroupNorm::new([groups * draw(1..=3), draw(1..=4), draw(2..=4)], groups).epsilon(1e-4 / 3.0)
}

/// An activation function as a layer: as it is, and straight through where it jumps.
pub(crate) fn units<T: Scalar>(width: usize, activation: Activation) -> Vec<Arc<dyn Layer<T>>> {
    let unit = Elementwise::new(width, activation);
    let mut units: Vec<Arc<dyn Layer<T>>> = vec![Arc::new(unit)];
    if !activation.has_derivative() {
        let straight = unit.straight_through();
        units.push(Arc::new(straight));
        units.push(Arc::new(Residual::new(Chain::new().then(Dense::new(width, width)).then(straight))));
    }
    units
}

pub(crate) fn losses<T: Scalar>() -> Vec<Arc<dyn Loss<T>>> {
    vec![
        Arc::new(SquaredError),
        Arc::new(RelativeSquaredError::new()),
        Arc::new(RelativeSquaredError::new().epsilon(1.0 / 3.0)),
        Arc::new(MeanAbsoluteError),
        Arc::new(Huber::new(1.0)),
        Arc::new(Huber::new(0.01 / 3.0)),
        Arc::new(SoftmaxCrossEntropy::new()),
        Arc::new(SoftmaxCrossEntropy::new().label_smoothing(0.1 + 0.2)),
        Arc::new(BinaryCrossEntropy),
    ]
}

pub(crate) fn schedules() -> [Schedule; 6] {
    [
        Schedule::Constant,
        Schedule::Step { every: 2, factor: 0.1 + 0.2 },
        Schedule::Exponential { factor: 0.9 },
        Schedule::Cosine { total: 5, floor: 0.1 },
        Schedule::WarmUp { steps: 2, then: Box::new(Schedule::Constant) },
        Schedule::OneCycle { total: 6, rise: 0.3, start: 0.04, floor: 4e-6 },
    ]
}

pub(crate) fn optimizers<T: Scalar>() -> Vec<Arc<dyn Optimizer<T>>> {
    let mut rules: Vec<Arc<dyn Optimizer<T>>> = vec![
        Arc::new(Sgd::new(0.1)),
        Arc::new(Sgd::new(0.1).momentum(0.9)),
        Arc::new(Sgd::new(1.0 / 30.0).momentum(0.9).nesterov()),
        Arc::new(RmsProp::new(1e-3)),
        Arc::new(RmsProp::new(0.01).decay(0.9).epsilon(1e-6)),
        Arc::new(Adam::new(1e-3)),
        Arc::new(Adam::new(1e-3).beta1(0.8).beta2(0.9).epsilon(1e-6)),
        Arc::new(AdamW::new(1e-3).weight_decay(0.1 + 0.2)),
        Arc::new(AdamW::new(1e-3).weight_decay(0.1).weights_only()),
        Arc::new(ClipNorm::new(Adam::new(1e-3), 1.0)),
        Arc::new(ClipNorm::new(WeightDecay::new(Sgd::new(0.1), 0.01), 1.0 / 3.0)),
        Arc::new(ClipValue::new(Sgd::new(0.1), 0.5)),
        Arc::new(ClipValue::new(Adam::new(1e-3), 1e-3)),
        Arc::new(WeightDecay::new(Sgd::new(0.1), 0.01)),
        Arc::new(WeightDecay::new(Adam::new(1e-3), 0.1).weights_only()),
        Arc::new(L1::new(Sgd::new(0.1), 0.01)),
        Arc::new(L1::new(L1::new(Sgd::new(0.1), 1.0 / 3.0).weights_only(), 0.01)),
        Arc::new(Scheduled::new(Adam::new(0.01), Schedule::Step { every: 10, factor: 0.9 })),
    ];
    rules.extend(schedules().map(|schedule| {
        Arc::new(Scheduled::new(ClipNorm::new(Sgd::new(0.1), 0.5), schedule)) as Arc<dyn Optimizer<T>>
    }));
    rules
}

pub(crate) const ORDERS: [Order; 3] = [Order::Jacobi, Order::RedBlack, Order::ReverseGaussSeidel];

pub(crate) fn parameter_steps<T: Scalar>() -> Vec<Arc<dyn ParameterStep<T>>> {
    let ridge = Ridge { ridge: 0.1 + 0.2, proximal: 1.0 / 3.0, memory: 0.7, trust: Some(0.5) };
    vec![Arc::new(GradientStep), Arc::new(ridge)]
}

pub(crate) fn activation_steps<T: Scalar>() -> Vec<Arc<dyn ActivationStep<T>>> {
    let momentum = || Sgd::new(0.05).momentum(0.5);
    let mut steps: Vec<Arc<dyn ActivationStep<T>>> = Vec::new();
    for order in ORDERS {
        steps.push(Arc::new(Sweeps::new(order, 3, 0.1)));
        steps.push(Arc::new(Sweeps::reaching(order, 0.1 + 0.2).stable(1.5)));
        steps.push(Arc::new(Sweeps::new(order, 1, 0.5).per_penalty()));
        steps.push(Arc::new(Sweeps::new(order, 2, 0.1).optimizer(momentum())));
    }
    steps.push(Arc::new(ErrorSteps::new(3, 0.05)));
    steps.push(Arc::new(ErrorSteps::new(2, 0.3).stable(1.5)));
    steps.push(Arc::new(ErrorSteps::new(2, 0.1).optimizer(momentum())));
    steps.push(Arc::new(GaussNewton::new(2)));
    steps.push(Arc::new(Exact { steps: 2, proximal: 0.0 }));
    steps.push(Arc::new(Exact { steps: 1, proximal: 1.0 / 3.0 }));
    steps
}

macro_rules! presets {
    ($($name:ident($($setting:expr),*)),+ $(,)?) => { vec![$((stringify!($name), Method::$name($($setting),*))),+] };
}

/// The presets, by name.
pub(crate) fn methods<T: Scalar>() -> Vec<(&'static str, Method<T>)> {
    [gradient_methods(), exact_methods()].concat()
}

/// Those for all networks.
pub(crate) fn gradient_methods<T: Scalar>() -> Vec<(&'static str, Method<T>)> {
    presets![
        default(),
        joint(0.1 + 0.2),
        predictive_coding(4, 0.1),
        red_black(),
        incremental(4, 0.1),
        error_based(4, 0.1),
        local_targets(3),
        backprop_by_sweep(),
        in_flight(3, 5),
        alm(0.7),
        mac(2),
    ]
}

/// Those for squared errors, where maps and activation functions are units of their own.
pub(crate) fn exact_methods<T: Scalar>() -> Vec<(&'static str, Method<T>)> {
    presets![bcd(0.1), admm(0.1)]
}
