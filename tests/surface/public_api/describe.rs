//! A network is described: layers, losses, optimizers and the builder.

use std::sync::Arc;

use decoupled::bank::Storage;
use decoupled::layer::{
    Activation, Chain, Conv1d, Conv2d, ConvTranspose2d, Dense, Dropout, Elementwise, GroupNorm, Init, LayerNorm, Noise,
    Pool2d, Residual, Shape, Tensor, Upsample,
};
use decoupled::loss::{
    BinaryCrossEntropy, Huber, MeanAbsoluteError, RelativeSquaredError, SoftmaxCrossEntropy, SquaredError,
};
use decoupled::network::{LayerSummary, Summary};
use decoupled::optimizer::{
    Adam, AdamW, ClipNorm, ClipValue, L1, RmsProp, Schedule, Scheduled, Sgd, Step, WeightDecay, Weights,
};
use decoupled::rand::{SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Error, Layer, Loss, MatMut, MatRef, Method, NetworkBuilder, Optimizer, Result, Scalar, check};

use super::{Net, one, path};

/// A picture goes through two convolutions and three poolings.
#[test]
fn pictures_are_described_by_their_shapes() {
    let builder = Net::builder([2, 12, 9]).conv2d(4, [3, 2], Activation::Relu).max_pool2d([2, 2]);
    assert_eq!(builder.shape().image(), [4, 5, 4]);
    let conv = Conv2d::new(builder.shape(), 8, [3, 3]).stride([1, 2]).padding([1, 0]).dilation([2, 1]).groups(4);
    let conv = conv.without_bias().init(Init::lecun_normal());
    let pool = Pool2d::max(conv.output(), [2, 1]).stride([1, 1]);
    let unit = Chain::new().then(conv.bias(0.1)).then(pool).then(Pool2d::global_mean(pool.output()));
    let mean = Pool2d::mean([8, 1, 1], [1, 1]).stride([2, 2]);
    let net = builder.layer(unit).layer(mean).build().unwrap();
    let Shape::Image { channels, height, width } = mean.output() else { panic!("no picture") };
    assert_eq!((channels, height, width, net.output_dim()), (8, 1, 1, 8));
    let flat = Shape::Flat(8);
    assert!(flat.reads(mean.output()) && !flat.is_empty() && Layer::<f64>::operations(&mean) == 0);
    let shapes: Vec<_> = net.summary().layers.iter().map(|layer| (layer.input, layer.output)).collect();
    assert_eq!(
        (shapes[0].0, shapes[3].1, shapes[2].0),
        (Shape::from([2, 12, 9]), flat_picture(), Shape::from([4, 5, 4]))
    );
    let tensor = &Layer::<f64>::tensors(&conv)[0];
    assert_eq!((tensor.shape(), Tensor::array("weight", [8, 1, 3, 3])), (vec![8, 1, 3, 3], tensor.clone()));
    let wrong = Net::builder([3, 3, 3]).layer(conv).build().unwrap_err();
    assert!(matches!(wrong, Error::ShapeMismatch { layer: 0, expected: _, found } if found.image() == [4, 5, 4]));
}

/// Two channels of twelve numbers.
#[test]
fn sequences_are_described_by_channels_and_length() -> Result<()> {
    let conv =
        Conv1d::new([2, 12], 4, 3).stride(2).padding(1).dilation(2).groups(2).init(Init::lecun_normal()).bias(0.1);
    assert_eq!(conv.output(), Shape::from([4, 5]));
    let tensors: Vec<_> = Layer::<f64>::tensors(&conv).iter().map(Tensor::shape).collect();
    assert_eq!(tensors, [vec![4, 1, 3], vec![4]]);
    assert_eq!(Layer::<f64>::param_len(&conv.without_bias()), 12);
    Net::builder([2, 12]).layer(conv).dense(2, Activation::Identity).build()?;
    check::layer::<f64>(&conv)
}

/// A picture grows again.
#[test]
fn pictures_are_enlarged() -> Result<()> {
    let up = ConvTranspose2d::new([4, 3, 2], 6, [3, 3]).stride([2, 3]).padding([1, 0]).output_padding([1, 2]);
    let up = up.dilation([2, 1]).groups(2).init(Init::lecun_normal()).bias(0.1);
    assert_eq!(up.output(), Shape::from([6, 8, 8]));
    let params = |layer: ConvTranspose2d| Layer::<f64>::param_len(&layer);
    assert_eq!((params(up), params(up.without_bias())), (4 * 3 * 9 + 6, 4 * 3 * 9));
    check::layer::<f64>(&up)?;
    let twice = Upsample::new(up.output(), [2, 1]);
    assert_eq!(twice.output(), Shape::from([6, 16, 8]));
    check::layer::<f64>(&twice)?;
    check::layer::<f64>(&GroupNorm::new(up.output(), 3).epsilon(1e-3))
}

/// Two units of three examples, of which those are dropped whose numbers are below a quarter.
#[test]
fn units_are_dropped_by_random_numbers() -> Result<()> {
    let dropout = Dropout::new(2, 0.25);
    let noisy: &dyn Noise<f64> = dropout.noise().unwrap();
    let (input, u, mut out) = ([3.0, 6.0, 9.0, 12.0, 15.0, 18.0], [0.2, 0.3, 0.25, 0.0, 0.9, 0.1], [f64::NAN; 6]);
    let (input, u) = (MatRef::new(&input, 2, 3), MatRef::new(&u, noisy.noise_len(), 3));
    noisy.noisy_forward(&[], input, u, MatMut::new(&mut out, 2, 3), &mut [f64::NAN; 6]);
    assert_eq!(out, [0.0, 8.0, 12.0, 0.0, 20.0, 0.0]);
    assert!(Layer::<f64>::noise(&Dropout::new(2, 0.0)).is_none() && Layer::<f64>::noise(&Dense::new(2, 2)).is_none());
    check::layer::<f64>(&dropout)
}

fn flat_picture() -> Shape {
    [8, 1, 1].into()
}

#[test]
fn activation_functions_have_values_derivatives_and_best_inputs() {
    use Activation::{Gelu, HardTanh, Identity, LeakyRelu, Quantize, Relu, Sigmoid, Sign, Silu, Softplus, Step, Tanh};
    let at_one = [
        (Identity, 1.0),
        (Relu, 1.0),
        (LeakyRelu(0.1), 1.0),
        (Tanh, 1f64.tanh()),
        (Sigmoid, 1.0 / (1.0 + (-1f64).exp())),
        (Softplus, 1f64.exp().ln_1p()),
        (Gelu, 0.841_344_746_068_542_9),
        (Silu, 1.0 / (1.0 + (-1f64).exp())),
        (HardTanh, 1.0),
        (Sign, 1.0),
        (Step, 1.0),
        (Quantize(1), 1.0),
    ];
    for (activation, value) in at_one {
        assert!((activation.value(1.0) - value).abs() < 1e-12, "{activation:?}");
        assert_eq!(activation.has_derivative(), activation.derivative(0.3) != 0.0, "{activation:?}");
        let (least, most) = activation.range();
        assert!((least..=most).contains(&activation.value(1.0)), "{activation:?}");
        // ½(σ(1) − σ(z))² + ½(z − 1)² is least at 1.
        let (mut near, best) = ([1.0], activation.prox(value, 1.0, 1.0));
        activation.prox_all(&[value], &mut near, 1.0);
        assert!((best - 1.0).abs() < 1e-6 && near == [best], "{activation:?}: {best}");
    }
}

#[test]
fn initial_weights_are_drawn_or_given() -> Result<()> {
    let drawn = [
        Init::glorot_normal(),
        Init::glorot_uniform(),
        Init::he_normal(),
        Init::he_uniform(),
        Init::lecun_normal(),
        Init::lecun_uniform(),
        Init::orthogonal(),
    ];
    for init in drawn {
        init.validate()?;
        let (mut plain, mut doubled) = ([0f64; 6], [0f64; 6]);
        for (init, weights) in [(init, &mut plain), (init.gain(2.0), &mut doubled)] {
            init.fill(MatMut::new(weights, 2, 3), &mut ChaCha12Rng::seed_from_u64(1));
        }
        assert!(plain.iter().zip(doubled).all(|(a, b)| *a != 0.0 && (2.0 * a - b).abs() < 1e-15));
    }
    for (init, value) in [(Init::constant(0.5), 0.5), (Init::zeros(), 0.0)] {
        let mut weights = [1.0; 2];
        init.fill(MatMut::new(&mut weights, 1, 2), &mut ChaCha12Rng::seed_from_u64(1));
        assert_eq!(weights, [value; 2]);
    }
    Ok(())
}

#[test]
fn layers_are_put_together() -> Result<()> {
    let dense = Dense::new(3, 4).init(Init::he_normal()).bias(0.1);
    assert_eq!(
        (dense.input_dim(), dense.output_dim(), dense.param_len(), dense.without_bias().param_len()),
        (3, 4, 16, 12)
    );
    let sign = Elementwise::new(4, Activation::Sign).straight_through();
    assert_eq!((sign.dim(), sign.activation()), (4, Activation::Sign));
    let norm = LayerNorm::new(4).epsilon(1e-3);
    assert_eq!(norm.dim(), 4);
    let chain = Chain::<f64>::new().then(dense).then(norm).then(sign);
    assert_eq!(chain.layers().len(), 3);
    let block = Residual::<f64>::new(Arc::new(Dense::new(2, 2)));
    assert_eq!(block.inner().param_len(), 6);
    let wider = Residual::<f64>::new(Dense::new(2, 3)).projection(Dense::new(2, 3).without_bias());
    let halves = Residual::<f64>::new(Conv2d::new([1, 4, 4], 4, [2, 2]).stride([2, 2]));
    let Err(Error::UnequalShapes { expected, found, .. }) = halves.validate() else { panic!("pictures differ") };
    assert_eq!((expected, found), (Shape::from([1, 4, 4]), Shape::from([4, 2, 2])));
    let tensors: Vec<_> = wider.tensors().iter().map(|tensor| tensor.name().to_owned()).collect();
    assert_eq!(
        (tensors.join(" "), wider.name()),
        ("inner.weight inner.bias projection.weight".into(), "Residual(Dense + Dense)".into())
    );
    let layers: [&dyn Layer<f64>; 6] = [&dense, &sign, &norm, &chain, &block, &wider];
    layers.into_iter().try_for_each(check::layer)
}

#[test]
fn losses_serve_at_the_output_or_between_layers() -> Result<()> {
    let losses: [(&dyn Loss<f64>, f64); 4] = [
        (&SquaredError, 0.5 * 9.0),
        (&MeanAbsoluteError, 3.0),
        (&Huber::new(1.0), 2.5),
        (&RelativeSquaredError::new().epsilon(0.5), 0.5 * 9.0 / (0.5 * 17.0 + 0.5)),
    ];
    for (loss, value) in losses {
        assert!(loss.serves_hidden() && (loss.value(one(&[1.0]), one(&[4.0])) - value).abs() < 1e-12, "{loss:?}");
    }
    let outputs: [&dyn Loss<f64>; 2] = [&SoftmaxCrossEntropy::new().label_smoothing(0.1), &BinaryCrossEntropy];
    outputs.into_iter().for_each(|loss| assert!(!loss.serves_hidden()));
    Ok(())
}

/// θ after a first step from 1 along the gradient 2.
fn stepped(rule: &dyn Optimizer<f64>) -> f64 {
    let (mut theta, mut state) = ([1.0], vec![0.0; rule.slots()]);
    rule.update(Step::new(1, 1.0), &mut theta, &mut [2.0], &mut state);
    theta[0]
}

#[test]
fn optimizers_step_and_wrap_each_other() {
    let sgd = Sgd::new(0.1);
    let adam = Adam::new(0.1).beta1(0.8).beta2(0.9).epsilon(1e-12);
    let decayed = AdamW::new(0.1).weight_decay(0.5).beta1(0.8).beta2(0.9).epsilon(1e-12);
    let rules: [(&dyn Optimizer<f64>, f64); 12] = [
        (&sgd, 0.8),
        (&sgd.momentum(0.9), 0.8),
        (&sgd.momentum(0.9).nesterov(), 1.0 - 0.1 * (2.0 + 0.9 * 2.0)),
        (&adam, 0.9),
        (&decayed, 0.95 - 0.1),
        (&RmsProp::new(0.1).decay(0.75).epsilon(1e-12), 0.8),
        (&WeightDecay::new(sgd, 0.5), 1.0 - 0.1 * 2.5),
        (&L1::new(sgd, 0.5).weights_only(), 1.0 - 0.1 * 2.5),
        (&WeightDecay::new(sgd, 0.5).weights_only(), 1.0 - 0.1 * 2.5),
        (&decayed.weights_only(), 0.95 - 0.1),
        (&ClipNorm::new(sgd, 1.0), 0.9),
        (&ClipValue::new(sgd, 0.5), 0.95),
    ];
    for (rule, expected) in rules {
        assert!((stepped(rule) - expected).abs() < 1e-9, "{rule:?}: {}", stepped(rule));
    }
    assert!(Weights::all().within(3).eq(std::iter::once(0..3)));
    let schedules = [
        (Schedule::Constant, 1.0),
        (Schedule::Step { every: 1, factor: 0.5 }, 0.5),
        (Schedule::Exponential { factor: 0.9 }, 0.9),
        (Schedule::Cosine { total: 1, floor: 0.25 }, 0.25),
        (Schedule::WarmUp { steps: 4, then: Box::new(Schedule::Constant) }, 0.5),
        (Schedule::OneCycle { total: 4, rise: 0.5, start: 0.0, floor: 0.0 }, 1.0),
    ];
    for (schedule, second) in schedules {
        assert!((schedule.factor(2) - second).abs() < 1e-12, "{schedule:?}");
        let expected = 1.0 - 0.2 * schedule.factor(1);
        assert!((stepped(&Scheduled::new(sgd, schedule)) - expected).abs() < 1e-12);
    }
}

#[test]
fn a_builder_takes_them_all() -> Result<()> {
    let builder: NetworkBuilder<f64> = Net::builder(2)
        .dense(4, Activation::Relu)
        .dense_with(4, Activation::Tanh, Init::orthogonal())
        .layer(LayerNorm::new(4))
        .store_pre_activations()
        .dense(3, Activation::Sigmoid)
        .dense(2, Activation::Identity)
        .output_loss(SquaredError)
        .hidden_loss(Huber::new(1.0))
        .penalty(0.5)
        .layer_penalty(1, 2.0)
        .optimizer(Sgd::new(0.1))
        .layer_optimizer(0, Adam::new(0.01))
        .freeze(5)
        .method(Method::joint(0.1))
        .seed(7)
        .threads(2)
        .bank_limit(1 << 20)
        .bank_storage(Storage::Bf16);
    let in_file = builder.clone().bank_storage(Storage::F32).bank_file(path("never opened"), 8).build()?;
    assert!(builder.clone().bank_storage(Storage::Nothing).build().is_err());
    let mut net = builder.bank_storage(Storage::Full).build()?;
    assert_eq!((net.input_dim(), net.output_dim(), net.depth()), (2, 2, 6));
    assert_eq!(net.param_count(), 12 + 20 + 8 + 15 + 8);
    assert!(net.bank().is_none() && net.bank_file().is_none() && in_file.bank_file().is_none());
    assert_eq!((net.updates(), net.epochs()), (0, 0));
    net.set_params(5, &[0.5; 8])?;
    assert_eq!(net.params(5), [0.5; 8]);
    net.unfreeze(5)?;
    net.freeze(0)?;
    assert!(net.is_frozen(0) && !net.is_frozen(5));
    net.set_optimizer(Sgd::new(0.01))?;
    net.set_layer_optimizer(1, L1::new(Sgd::new(0.01), 1e-3))?;

    let summary: Summary = net.summary();
    let LayerSummary { name, params, .. } = &summary.layers[2];
    assert_eq!((name.as_str(), *params, Summary::EXAMPLES), ("LayerNorm", 8, 1000));
    assert_eq!(f32::of(0.5).to_f64(), 0.5);
    let mut rng = ChaCha12Rng::seed_from_u64(0);
    assert!(f64::standard_normal(&mut rng).is_finite() && (0.0..1.0).contains(&f64::uniform(&mut rng)));
    Ok(())
}
