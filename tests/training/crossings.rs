//! Where two features meet: weights, frozen layers, rules, thresholds, what a fit says of itself.

use std::ops::ControlFlow;

use decoupled::data::{Examples, two_moons};
use decoupled::layer::Activation;
use decoupled::loss::{BinaryCrossEntropy, SquaredError};
use decoupled::method::{GradientStep, Timing};
use decoupled::observer::Step;
use decoupled::optimizer::{Adam, Sgd, WeightDecay};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, Observer, Result, StopReason, Warning};

type Net = DecoupledNetwork<f64>;

fn net(rule: impl decoupled::Optimizer<f64> + 'static) -> Net {
    Net::builder(2)
        .dense(4, Activation::Tanh)
        .dense(2, Activation::Identity)
        .optimizer(rule)
        .threads(1)
        .build()
        .unwrap()
}

/// A rule is of a layer, and so is being frozen: neither has a part in the other.
#[test]
fn another_rule_leaves_frozen_layers_frozen() {
    let mut net = net(Sgd::new(0.1));
    net.freeze(0).unwrap();
    net.freeze(1).unwrap();
    net.set_optimizer(Adam::new(0.1)).unwrap();
    net.set_layer_optimizer(1, Sgd::new(0.2)).unwrap();
    assert!(net.is_frozen(0) && net.is_frozen(1));
    let before = [0, 1].map(|t| net.params(t).to_vec());
    net.fit(&two_moons(20, 0.1, 0).unwrap(), &FitConfig::new().epochs(1)).unwrap();
    assert_eq!([0, 1].map(|t| net.params(t).to_vec()), before);
}

/// The step of a rule that is set later is that of one that was there from the start.
#[test]
fn a_rule_for_weights_only_that_is_set_later_finds_the_weights() {
    let rule = || WeightDecay::new(Sgd::new(0.1), 0.5).weights_only();
    let (mut late, mut early) = (net(Sgd::new(0.1)), net(rule()));
    late.set_optimizer(rule()).unwrap();
    let moons = two_moons(20, 0.1, 0).unwrap();
    for net in [&mut late, &mut early] {
        net.fit_backprop(&moons, &FitConfig::new().epochs(2)).unwrap();
    }
    assert!((0..2).all(|t| late.params(t) == early.params(t)));
}

/// Fails in the third step.
struct Fails(usize);

impl Observer<f64> for Fails {
    fn step(&mut self, _: &Step<'_, f64>) -> Result<ControlFlow<StopReason>> {
        self.0 += 1;
        if self.0 == 3 { Err(Error::Empty { what: "patience" }) } else { Ok(ControlFlow::Continue(())) }
    }
}

/// "The optimizers start anew": as those of a network that was never trained.
#[test]
fn optimizers_start_anew_after_an_error_in_training() {
    let moons = two_moons(40, 0.1, 0).unwrap();
    let config = FitConfig::new().epochs(1).batch_size(10);
    let (mut failed, mut fresh) = (net(Adam::new(0.01)), net(Adam::new(0.01)));
    assert!(failed.fit_backprop_observed(&moons, &config, &mut [&mut Fails(0)]).is_err());
    for net in [&mut failed, &mut fresh] {
        net.fit_backprop(&moons, &config).unwrap();
    }
    assert!((0..2).all(|t| failed.params(t) == fresh.params(t)));
}

/// With stored activations that are not at their predictions the Lagrangian's term is not 0.
#[test]
fn the_term_of_the_multipliers_is_weighed() {
    let (weights, of) = ([1.0, 3.0, 0.0, 2.0, 1.0, 4.0], [0, 1, 1, 1, 3, 3, 4, 5, 5, 5, 5]);
    let data = two_moons::<f64>(6, 0.1, 0).unwrap();
    let method = Method::joint(0.1).multipliers(decoupled::method::Multipliers::kept());
    let config = FitConfig::new().epochs(5).full_batch().method(method);
    let (mut weighted, mut copied) = (net(Sgd::new(0.1)), net(Sgd::new(0.1)));
    let a = weighted.fit(&data.clone().with_weights(&weights).unwrap(), &config).unwrap();
    let b = copied.fit(&data.select(&of).unwrap(), &config).unwrap();
    let (a, b) = (a.last().unwrap().energy, b.last().unwrap().energy);
    assert!((a - b).abs() < 1e-12 * b.abs(), "{a} {b}");
}

/// An example's weight cancels in its own activations, and multiplies its part of the gradient, as copies of it do.
#[test]
fn exact_steps_follow_weights_beside_any_rule() {
    let (weights, of) = ([1.0, 3.0, 0.0, 2.0, 1.0, 4.0], [0, 1, 1, 1, 3, 3, 4, 5, 5, 5, 5]);
    let data = two_moons::<f64>(6, 0.1, 0).unwrap();
    let method = Method::bcd(0.1).parameter(GradientStep).timing(Timing::AfterRelaxation { local_steps: 1 });
    let config = FitConfig::new().epochs(5).full_batch().method(method);
    let builder = Net::builder(2).store_pre_activations().dense(4, Activation::Relu).dense(2, Activation::Identity);
    let builder = builder.output_loss(SquaredError).optimizer(Sgd::new(0.1));
    let [mut weighted, mut copied] = [builder.clone().build().unwrap(), builder.build().unwrap()];
    weighted.fit(&data.clone().with_weights(&weights).unwrap(), &config).unwrap();
    copied.fit(&data.select(&of).unwrap(), &config).unwrap();
    for t in 0..weighted.depth() {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(weighted.params(t).iter().zip(copied.params(t)).all(near), "layer {t}");
    }
}

/// Both sides of the verdict are those of the copies.
#[test]
fn what_was_learned_is_judged_by_the_weights() {
    // ±1 of equal numbers: the best constant has loss ½. By weights 9 and 1 it has 2·0.9·0.1 = 0.18.
    let inputs = Examples::from_rows(&[[0.0], [0.0]]).unwrap();
    let targets = Examples::from_rows(&[[1.0], [-1.0]]).unwrap();
    let data = Dataset::<f64>::regression(inputs, targets).unwrap().with_weights(&[9.0, 1.0]).unwrap();
    let mut net = Net::builder(1).dense(1, Activation::Identity).optimizer(Sgd::new(0.5)).build().unwrap();

    let report = net.fit_backprop(&data, &FitConfig::new().epochs(60).full_batch()).unwrap();
    let found = report.warnings.iter().find_map(|warning| match warning {
        Warning::LearnedNothing { train_loss, constant_loss, .. } => Some((*train_loss, *constant_loss)),
        _ => None,
    });
    let (train_loss, constant_loss) = found.expect("the inputs tell nothing");
    assert!((train_loss - 0.18).abs() < 1e-6 && (constant_loss - 0.18).abs() < 1e-6, "{train_loss} {constant_loss}");
}

/// "Must exceed": a probability of just the threshold is a no.
#[test]
fn a_probability_at_the_threshold_is_a_no() {
    let builder = Net::builder(1).dense(1, Activation::Identity).output_loss(BinaryCrossEntropy);
    let mut net = builder.build().unwrap();
    net.set_params(0, &[1.0, 0.0]).unwrap();
    // σ(0) = ½ exactly.
    assert_eq!(net.predict_class(&[0.0][..]).unwrap(), [0]);
    assert_eq!(net.predict_labels(&[0.0][..]).unwrap()[0], 0.0);
    assert_eq!(net.predict_class(&[1e-9][..]).unwrap(), [1]);
}

/// The scaler of a pipeline is that of what its steps give, as a file of it shows.
#[test]
fn a_scaler_behind_steps_is_fitted_behind_them() -> Result<()> {
    let times = |by: f64| {
        move |inputs: decoupled::MatRef<'_, f64>| {
            Examples::from_row_slice(
                &inputs.as_slice().iter().map(|x| by * x).collect::<Vec<_>>(),
                inputs.cols(),
                inputs.rows(),
            )
        }
    };
    let moons = two_moons(20, 0.1, 0)?;
    let pipeline = decoupled::Pipeline::new(net(Sgd::new(0.1)), FitConfig::new().epochs(1));
    let pipeline = pipeline.step(|_: &Dataset<f64>| Ok(times(10.0))).scale_inputs(decoupled::data::Scaling::Standard);
    let (model, _) = pipeline.fit(&moons)?;
    let expected = decoupled::data::Scaler::standard(&times(10.0)(moons.inputs())?)?;
    assert_eq!(model.input_scaler, Some(expected));
    Ok(())
}

/// Of logits of both signs, where 0.5 and 0.8 part.
#[test]
fn reports_and_labels_follow_the_threshold() -> Result<()> {
    let data = two_moons::<f64>(60, 0.2, 0)?.with_one_output()?;
    let builder = Net::builder(2).dense(1, Activation::Identity).output_loss(BinaryCrossEntropy).threads(1);
    let mut net = builder.optimizer(Sgd::new(1e-300)).threshold(0.8).build()?;
    net.set_params(0, &[2.0, -1.0, 0.3])?;
    let probabilities = net.predict_proba(data.inputs())?;
    let yes: Vec<f64> = probabilities.iter().map(|&p| if p > 0.8 { 1.0 } else { 0.0 }).collect();
    assert!(probabilities.iter().any(|&p| p > 0.5 && p < 0.8) && yes.contains(&1.0));
    assert_eq!(net.predict_labels(data.inputs())?.as_slice(), yes);
    let hits = yes.iter().zip(data.targets().as_slice()).filter(|(a, b)| a == b).count();
    let report = net.fit_backprop(&data, &FitConfig::new().epochs(1).full_batch())?;
    assert_eq!(report.epochs[0].train_score, Some(hits as f64 / 60.0));
    Ok(())
}
