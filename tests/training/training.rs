//! Habits from elsewhere: layers are frozen, optimizers changed between fits, weights decay without biases, gradients accumulate.

use std::ops::ControlFlow;

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Dense, Elementwise, LayerNorm};
use decoupled::method::{Reads, Ridge, Start};
use decoupled::observer::Step;
use decoupled::optimizer::{Adam, AdamW, ClipNorm, L1, RmsProp, Schedule, Scheduled, Sgd, WeightDecay};
use decoupled::{
    Dataset, DecoupledNetwork, Error, FitConfig, Layer, MatMut, MatRef, Method, NetworkBuilder, Observer, Optimizer,
    Result, Scalar, StopReason, check, diagnostics,
};

use crate::builtin;

type Net = DecoupledNetwork<f64>;

fn data() -> Dataset<f64> {
    let entry = |i: usize| ((i * 7 + 3) % 19) as f64 / 9.0 - 1.0;
    let inputs = Examples::from_row_slice(&(0..30).map(entry).collect::<Vec<_>>(), 10, 3).unwrap();
    let targets = Examples::from_row_slice(&(40..60).map(entry).collect::<Vec<_>>(), 10, 2).unwrap();
    Dataset::regression(inputs, targets).unwrap()
}

fn builder(rule: impl Optimizer<f64> + 'static) -> NetworkBuilder<f64> {
    let builder = Net::builder(3).dense(5, Activation::Tanh).dense(4, Activation::Tanh).dense(2, Activation::Identity);
    builder.optimizer(rule).seed(2).threads(1)
}

fn all(net: &Net) -> Vec<Vec<f64>> {
    (0..net.depth()).map(|t| net.params(t).to_vec()).collect()
}

fn train(net: &mut Net, method: Option<&Method<f64>>, config: FitConfig<'_, f64>) {
    match method {
        Some(method) => net.fit(&data(), &config.method(method.clone())).unwrap(),
        None => net.fit_backprop(&data(), &config).unwrap(),
    };
}

#[track_caller]
fn near(what: &str, found: &[Vec<f64>], expected: &[Vec<f64>]) {
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{what}: {found} not {expected}");
    }
}

fn by_ridge(steps: usize) -> Method<f64> {
    let ridge = Ridge { proximal: 1.0, ..Ridge::default() };
    Method::predictive_coding(steps, 0.1).parameter(ridge).reads(Reads::Stored)
}

#[test]
fn a_frozen_layer_stands_and_those_around_it_move_by_any_method() {
    let own = [("backpropagation", None), ("ridge", Some(by_ridge(4)))];
    for (name, method) in builtin::methods().into_iter().map(|(name, method)| (name, Some(method))).chain(own) {
        let apart = builtin::exact_methods::<f64>().iter().any(|(exact, _)| *exact == name);
        let builder = if apart { Net::builder(3).store_pre_activations() } else { Net::builder(3) };
        let builder = builder.dense(5, Activation::Tanh).dense(4, Activation::Tanh).dense(2, Activation::Identity);
        let (first, frozen, last) = if apart { (0, 2, 4) } else { (0, 1, 2) };
        let mut net = builder.optimizer(Adam::new(0.01)).freeze(frozen).threads(2).build().unwrap();
        assert!(net.is_frozen(frozen) && !net.is_frozen(first) && !net.is_frozen(last));
        let before = all(&net);
        // A signal takes three visits to the lowest layer where each visit brings it down by one.
        train(&mut net, method.as_ref(), FitConfig::new().epochs(4).batch_size(5));
        let moved = |net: &Net| (0..net.depth()).filter(|&t| net.params(t) != before[t]).collect::<Vec<_>>();
        assert_eq!(moved(&net), [first, last], "{name}");
        net.unfreeze(frozen).unwrap();
        train(&mut net, method.as_ref(), FitConfig::new().epochs(1).batch_size(5));
        assert_eq!(moved(&net), [first, frozen, last], "{name}");
    }
}

/// The same as putting the layer back after every step of plain descent.
#[test]
fn a_frozen_layer_is_one_that_is_put_back_after_every_step() {
    for method in [None, Some(Method::default()), Some(Method::joint(0.1))] {
        for frozen in 0..3 {
            let (mut stands, mut returns) =
                (builder(Sgd::new(0.1)).build().unwrap(), builder(Sgd::new(0.1)).build().unwrap());
            stands.freeze(frozen).unwrap();
            train(&mut stands, method.as_ref(), FitConfig::new().epochs(4).full_batch());
            let own = returns.params(frozen).to_vec();
            for _ in 0..4 {
                train(&mut returns, method.as_ref(), FitConfig::new().epochs(1).full_batch());
                returns.set_params(frozen, &own).unwrap();
            }
            assert_eq!(all(&stands), all(&returns), "layer {frozen}, {method:?}");
        }
    }
}

/// Adam's first step has the size of the learning rate in every entry, if its moments are corrected by the number of its own steps.
#[test]
fn an_optimizer_counts_its_own_steps_through_freezing_and_a_change_of_rule() {
    const RATE: f64 = 1e-3;
    let first_step = |net: &mut Net, t: usize| {
        let before = net.params(t).to_vec();
        net.fit_backprop(&data(), &FitConfig::new().epochs(1).full_batch()).unwrap();
        let moves = net.params(t).iter().zip(before).map(|(now, before)| (now - before).abs());
        moves.for_each(|by| assert!((by - RATE).abs() < 1e-3 * RATE, "moved by {by}"));
    };
    let mut net = builder(Adam::new(RATE)).freeze(0).build().unwrap();
    net.fit_backprop(&data(), &FitConfig::new().epochs(9).batch_size(4)).unwrap();
    net.unfreeze(0).unwrap();
    first_step(&mut net, 0);
    net.set_layer_optimizer(1, RmsProp::new(0.1)).unwrap();
    net.set_layer_optimizer(1, Adam::new(RATE)).unwrap();
    first_step(&mut net, 1);
    // Least squares leave Adam nothing.
    let mut net = builder(Adam::new(RATE)).build().unwrap();
    train(&mut net, Some(&by_ridge(2)), FitConfig::new().epochs(3));
    first_step(&mut net, 2);
}

#[test]
fn freezing_names_a_layer_that_there_is_and_nothing_sets_its_parameters_behind_its_back() -> Result<()> {
    let mut net = builder(Sgd::new(0.1)).build()?;
    for outcome in [net.freeze(3), net.unfreeze(3), net.set_layer_optimizer(3, Sgd::new(0.1))] {
        assert!(matches!(outcome, Err(Error::LayerIndex { first: 0, count: 3, found: 3, .. })), "{outcome:?}");
    }
    let refused = builder(Sgd::new(0.1)).freeze(4).build();
    assert!(matches!(refused, Err(Error::LayerIndex { what: "freeze", count: 3, found: 4, .. })));

    net.freeze(2)?;
    let (before, data) = (all(&net), data());
    let outcomes = [
        net.refit_output(&data).map(drop),
        net.fit(&data, &FitConfig::new().method(Method::joint(0.1).finish(true))).map(drop),
        net.start_from_unit_variance(data.inputs(), 1.0),
        net.start_isometric(data.inputs(), 0).map(drop),
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(Error::Unsupported { why, .. }) if why.contains("unfreeze")), "{outcome:?}");
    }
    assert!(all(&net) == before && net.updates() == 0);
    net.set_params(2, &[0.5; 10])?;
    assert_eq!(net.params(2), [0.5; 10]);
    Ok(())
}

#[test]
fn a_summary_shows_what_is_frozen_and_counts_operations_as_layers_tell_them() {
    let builder = Net::builder(64).dense(32, Activation::Relu).dense(10, Activation::Identity);
    let table = "
layer                   unit    shape  parameters
    0  Dense → Relu (frozen)  64 → 32        2080
    1                  Dense  32 → 10         330
2410 parameters (2080 frozen), 288000 bytes of activation bank for 1000 examples
an update: 6 products that wait for one another, 7460 operations an example
by backpropagation: 4 products that wait for one another, 5480 operations an example";
    let summary = builder.clone().freeze(0).bank_storage(decoupled::bank::Storage::Full).build().unwrap().summary();
    // 2 for each parameter and product: one of the frozen layer, five and two of the other.
    assert_eq!(summary.cost.operations, Some(2.0 * (2080 + 5 * 330) as f64));
    assert_eq!(summary.backprop.operations, Some(2.0 * (2080 + 2 * 330) as f64));
    assert_eq!(summary.to_string(), table.trim_start().replace("288000", &summary.cost.bank_bytes.to_string()));
    let shared = Net::builder(3).layer(Chain::new().then(Mean(3))).dense(1, Activation::Identity).build().unwrap();
    // A prediction and a gradient of the first layer's one parameter, three of the other's four.
    assert_eq!(shared.summary().backprop.operations, Some(2.0 * (2 * 3 + 3 * 4) as f64));
}

/// ẑ = θ·z with one θ for all features.
#[derive(Debug)]
struct Mean(usize);

impl<T: Scalar> Layer<T> for Mean {
    fn input_dim(&self) -> usize {
        self.0
    }
    fn output_dim(&self) -> usize {
        self.0
    }
    fn param_len(&self) -> usize {
        1
    }
    fn operations(&self) -> usize {
        2 * self.0
    }
    fn init_params(&self, params: &mut [T], _: &mut dyn decoupled::rand::Rng) {
        params.fill(T::one());
    }
    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _: &mut [T]) {
        output.as_mut_slice().iter_mut().zip(input.as_slice()).for_each(|(y, &x)| *y = params[0] * x);
    }
    fn input_gradient(&self, params: &[T], _: MatRef<'_, T>, c: MatRef<'_, T>, mut grad: MatMut<'_, T>, _: &mut [T]) {
        grad.as_mut_slice().iter_mut().zip(c.as_slice()).for_each(|(g, &c)| *g = params[0] * c);
    }
    fn param_gradient(&self, _: &[T], input: MatRef<'_, T>, c: MatRef<'_, T>, grad: &mut [T], _: &mut [T]) {
        grad[0] = input.as_slice().iter().zip(c.as_slice()).map(|(&x, &c)| x * c).sum();
    }
}

/// The products that are counted for a frozen layer are those that are taken.
#[test]
fn frozen_layers_are_spared_products() {
    let mut net = builder(Sgd::new(0.1)).build().unwrap();
    (0..2).for_each(|t| net.freeze(t).unwrap());
    let products = diagnostics::cost(&net, None, 1).products.unwrap();
    let counts: Vec<_> = products.iter().map(|p| (p.predictions, p.to_activations, p.to_parameters)).collect();
    assert_eq!(counts, [(1, 0, 0), (1, 0, 0), (1, 0, 1)]);
}

/// ẑ = θ·1 for the target 0: the gradient is θ.
fn scalar(rule: impl Optimizer<f64> + 'static) -> Net {
    let mut net = Net::builder(1).layer(Dense::new(1, 1).without_bias()).optimizer(rule).threads(1).build().unwrap();
    net.set_params(0, &[1.0]).unwrap();
    net
}

fn steps(net: &mut Net, count: usize) -> f64 {
    let one = |value| Examples::from_rows(&[[value]]).unwrap();
    let data = Dataset::regression(one(1.0), one(0.0)).unwrap();
    net.fit_backprop(&data, &FitConfig::new().epochs(count)).unwrap();
    net.params(0)[0]
}

#[test]
fn another_learning_rate_keeps_the_memory_and_another_rule_does_not() {
    // v ← 0.5·v + θ, θ ← θ − η·v, in numbers that are exact.
    let mut net = scalar(Sgd::new(0.5).momentum(0.5));
    assert_eq!(steps(&mut net, 1), 0.5);
    net.set_optimizer(Sgd::new(0.25).momentum(0.5)).unwrap();
    assert_eq!(steps(&mut net, 1), 0.5 - 0.25 * (0.5 * 1.0 + 0.5));
    net.set_optimizer(Sgd::new(0.25).momentum(0.5).nesterov()).unwrap();
    // From rest: v = g, and the step is η·(g + m·v).
    assert_eq!(steps(&mut net, 1), 0.25 - 0.25 * (0.25 + 0.5 * 0.25));

    // Adam by its equations, with another rate after two steps.
    let (mut theta, mut m, mut v) = (1.0f64, 0.0, 0.0);
    let mut adam = |k: i32, rate: f64| {
        (m, v) = (0.9 * m + 0.1 * theta, 0.999 * v + 0.001 * theta * theta);
        theta -= rate * (m / (1.0 - 0.9f64.powi(k))) / ((v / (1.0 - 0.999f64.powi(k))).sqrt() + 1e-8);
        theta
    };
    let mut net = scalar(Scheduled::new(Adam::new(0.1), Schedule::Exponential { factor: 1.0 }));
    for k in 1..=2 {
        assert!((steps(&mut net, 1) - adam(k, 0.1)).abs() < 1e-14);
    }
    net.set_layer_optimizer(0, Scheduled::new(Adam::new(0.01), Schedule::Exponential { factor: 1.0 })).unwrap();
    for k in 3..=5 {
        assert!((steps(&mut net, 1) - adam(k, 0.01)).abs() < 1e-14);
    }
    // The rule that a file gives back is the same as the one that it was made of.
    let boxed: Box<dyn Optimizer<f64>> =
        Box::new(Scheduled::new(Adam::new(0.02), Schedule::Exponential { factor: 1.0 }));
    net.set_optimizer(boxed).unwrap();
    assert!((steps(&mut net, 1) - adam(6, 0.02)).abs() < 1e-14);
}

#[test]
fn an_optimizer_that_is_refused_changes_nothing() {
    let mut net = scalar(Sgd::new(0.5).momentum(0.5));
    steps(&mut net, 1);
    let mut twin = net.clone();
    assert!(matches!(net.set_optimizer(Sgd::new(-1.0)), Err(Error::HyperParameter { found: -1.0, .. })));
    let refused = net.set_layer_optimizer(0, Adam::new(f64::NAN));
    assert!(matches!(refused, Err(Error::InLayer { layer: 0, .. })), "{refused:?}");
    assert_eq!(steps(&mut net, 2), steps(&mut twin, 2));
}

/// θ of every layer after one step on all data.
fn stepped(rule: impl Optimizer<f64> + 'static) -> (Net, Vec<Vec<f64>>) {
    // More than one piece of an elementwise rule, with the seam of weights and biases in the second.
    let lower = Chain::new().then(Dense::new(3, 1500).bias(0.5)).then(Elementwise::new(1500, Activation::Tanh));
    let builder = Net::builder(3).layer(lower).layer(LayerNorm::new(1500));
    let mut net = builder.layer(Dense::new(1500, 2).bias(-0.25)).optimizer(rule).threads(1).build().unwrap();
    let before = net.clone();
    net.fit_backprop(&data(), &FitConfig::new().epochs(1).full_batch()).unwrap();
    (before, all(&net))
}

#[test]
fn matrices_decay_and_vectors_do_not_where_it_is_for_weights_only() {
    const RATE: f64 = 0.125;
    let matrices = [4500, 0, 3000];
    type Rule = Box<dyn Optimizer<f64>>;
    type Pull = fn(f64) -> f64;
    let (decay, sign): (Pull, Pull) = (|p| 0.5 * p, |p| 0.5 * p.signum());
    let sgd = Sgd::new(RATE);
    let wide = ClipNorm::new(sgd, 1e9);
    let half = Schedule::Constant;
    let rules: Vec<(&str, Rule, Rule, Pull)> = vec![
        ("weight decay", Box::new(sgd), Box::new(WeightDecay::new(sgd, 0.5).weights_only()), decay),
        ("l1", Box::new(sgd), Box::new(L1::new(sgd, 0.5).weights_only()), sign),
        ("not elementwise", Box::new(wide), Box::new(WeightDecay::new(wide, 0.5).weights_only()), decay),
        ("wrapped", Box::new(sgd), Box::new(Scheduled::new(WeightDecay::new(sgd, 0.5).weights_only(), half)), decay),
        ("adam w", Box::new(Adam::new(RATE)), Box::new(AdamW::new(RATE).weight_decay(0.5).weights_only()), decay),
    ];
    for (name, plain, decayed, pull) in rules {
        let ((start, plain), (_, decayed)) = (stepped(plain), stepped(decayed));
        for t in 0..3 {
            for (i, (plain, decayed)) in plain[t].iter().zip(&decayed[t]).enumerate() {
                let expected = if i < matrices[t] { RATE * pull(start.params(t)[i]) } else { 0.0 };
                assert!((plain - decayed - expected).abs() < 1e-12, "{name}, layer {t}, entry {i}");
            }
        }
    }
    // All entries, as ever, without it.
    let ((start, plain), (_, decayed)) = (stepped(sgd), stepped(WeightDecay::new(sgd, 0.5)));
    let ends = |t: usize| (plain[t].last().unwrap(), decayed[t].last().unwrap(), start.params(t).last().unwrap());
    for (plain, decayed, start) in (0..3).map(ends) {
        assert!((plain - decayed - RATE * 0.5 * start).abs() < 1e-12);
    }
}

#[test]
fn the_elastic_net_is_both_penalties() {
    let rule = L1::new(WeightDecay::new(Sgd::new(0.5), 0.25), 0.125);
    check::optimizer::<f64>(&rule).unwrap();
    check::optimizer::<f32>(&L1::new(Adam::new(1e-3), 0.01).weights_only()).unwrap();
    // θ − ½(g + ¼θ + ⅛ sign θ)
    let mut params = [1.0, -2.0, 0.0];
    rule.update(decoupled::optimizer::Step::new(1, 1.0), &mut params, &mut [1.0, 0.5, -1.0], &mut []);
    assert_eq!(params, [1.0 - 0.5 * 1.375, -2.0 - 0.5 * (0.5 - 0.5 - 0.125), 0.5]);
    let refused = Optimizer::<f64>::validate(&L1::new(Sgd::new(0.1), -1.0));
    assert!(matches!(refused, Err(Error::HyperParameter { name: "L1::factor", found: -1.0, .. })));
}

#[test]
fn accumulated_batches_are_larger_batches() {
    let ways = [
        ("backpropagation", None),
        ("red-black", Some(Method::red_black())),
        ("joint", Some(Method::joint(0.1))),
        ("persisted", Some(Method::predictive_coding(2, 0.1).start(Start::Persisted).reads(Reads::Stored))),
        ("error based", Some(Method::error_based(2, 0.1))),
    ];
    let weights: Vec<f64> = (0..10).map(|i| f64::from(i % 4)).collect();
    for (name, method) in ways {
        for data in [data(), data().with_weights(&weights).unwrap()] {
            let (mut parts, mut whole) =
                (builder(Adam::new(0.01)).build().unwrap(), builder(Adam::new(0.01)).build().unwrap());
            // Ten examples: six and four, or three batches of two and the two that are left.
            let configs = [FitConfig::new().batch_size(2).accumulate(3), FitConfig::new().batch_size(6)];
            for (net, config) in [&mut parts, &mut whole].into_iter().zip(configs) {
                let config = config.epochs(5).seed(3);
                match &method {
                    Some(method) => net.fit(&data, &config.method(method.clone())).unwrap(),
                    None => net.fit_backprop(&data, &config).unwrap(),
                };
            }
            assert_eq!((parts.updates(), whole.updates()), (10, 10), "{name}");
            near(name, &all(&parts), &all(&whole));
            if method.is_some() {
                let visits = |net: &Net| net.bank().unwrap().visited_at();
                assert_eq!(visits(&parts), visits(&whole), "{name}");
            }
        }
    }
}

/// Breaks off after its second batch.
struct Second;

impl Observer<f64> for Second {
    fn step(&mut self, step: &Step<'_, f64>) -> Result<ControlFlow<StopReason>> {
        assert_eq!((step.plan.steps, step.network.updates()), (5, 0));
        Ok(if step.number == 2 { ControlFlow::Break(StopReason::Observer) } else { ControlFlow::Continue(()) })
    }
}

#[test]
fn an_epoch_that_is_broken_off_steps_along_what_it_has() {
    let mut net = builder(Sgd::new(0.1)).build().unwrap();
    let before = all(&net);
    let config = FitConfig::new().batch_size(2).accumulate(4);
    net.fit_backprop_observed(&data(), &config, &mut [&mut Second]).unwrap();
    assert!(net.updates() == 1 && all(&net) != before);
}

#[test]
fn methods_that_step_otherwise_than_once_in_a_visit_do_not_accumulate() {
    let config = || FitConfig::new().batch_size(2).accumulate(2);
    let apart = || Net::builder(3).store_pre_activations().dense(4, Activation::Tanh).dense(2, Activation::Identity);
    let methods =
        [Method::local_targets(2), Method::incremental(3, 0.1), Method::mac(2), Method::bcd(1.0), by_ridge(2)];
    for method in methods {
        let mut net =
            if method.clone().parameter_steps(3) == 1 { apart() } else { builder(Sgd::new(0.1)) }.build().unwrap();
        let refused = net.fit(&data(), &config().method(method.clone()));
        assert!(matches!(refused, Err(Error::Unsupported { what, .. }) if what.contains("accumulate")), "{method:?}");
        assert!(net.updates() == 0 && net.bank().is_none());
    }
    let refused = builder(Sgd::new(0.1)).build().unwrap().fit_backprop(&data(), &config().accumulate(0));
    assert!(matches!(refused, Err(Error::HyperParameter { found: 0.0, .. })), "{refused:?}");
}

/// A frozen layer takes no step, so its solver refuses neither weights nor accumulated gradients.
#[test]
fn the_solver_of_a_frozen_layer_refuses_nothing() -> decoupled::Result<()> {
    use decoupled::method::Ridge;

    let weights: Vec<f64> = (0..40).map(|i| 1.0 + f64::from(i % 3)).collect();
    let data = decoupled::data::two_moons::<f64>(40, 0.1, 0)?.with_weights(&weights)?;
    let builder = decoupled::DecoupledNetwork::<f64>::builder(2).dense(4, decoupled::layer::Activation::Tanh);
    let mut net = builder.dense(2, decoupled::layer::Activation::Identity).build()?;
    let ridge = Ridge { ridge: 0.1, proximal: 0.0, memory: 0.0, trust: None };
    let method = decoupled::Method::red_black().layer_parameter(0, ridge);
    let config = decoupled::FitConfig::new().epochs(1).batch_size(10).accumulate(2).method(method);
    assert!(matches!(net.fit(&data, &config), Err(decoupled::Error::Unsupported { .. })));
    net.freeze(0)?;
    let before = net.params(0).to_vec();
    net.fit(&data, &config)?;
    assert_eq!(net.params(0), before);
    Ok(())
}
