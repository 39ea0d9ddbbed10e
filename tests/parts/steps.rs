//! Steps of one's own: the contract tells broken ones from the built-in ones, and a fit survives those that fail.

use std::sync::atomic::{AtomicUsize, Ordering};

use decoupled::layer::Activation;
use decoupled::method::activation_step::{Memory, Prepared};
use decoupled::method::energy::Objective;
use decoupled::method::parameter_step::{LayerUpdate, Sum};
use decoupled::method::{Block, Group, Reads, Ridge, Start};
use decoupled::optimizer::Sgd;
use decoupled::{
    ActivationStep, DecoupledNetwork, Error, FitConfig, Method, ParameterStep, Result, Scalar, check, data,
};

/// Plain descent, broken in one way.
#[derive(Debug)]
enum Broken {
    MovesTheInput,
    NoStep,
    WritesTheTarget,
    WritesNan,
    MixesExamples,
    CountsCalls(AtomicUsize),
    ClaimsToStream,
    Ascends,
    Panics,
}

impl<T: Scalar> ActivationStep<T> for Broken {
    fn steps(&self, _depth: usize) -> usize {
        usize::from(!matches!(self, Self::NoStep))
    }

    fn groups(&self, depth: usize) -> Vec<Group> {
        match self {
            Self::MovesTheInput => vec![Group::all(0..depth)],
            Self::ClaimsToStream => (1..depth).rev().map(Group::one).collect(),
            _ => vec![Group::all(1..depth)],
        }
    }

    fn step(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        group: &Group,
        _prepared: &Prepared<T>,
        _memory: &mut Memory<T>,
    ) -> Result<()> {
        assert!(!matches!(self, Self::Panics), "planned");
        objective.activation_gradients(block, group)?;
        let rate = match self {
            Self::Ascends => -0.1,
            Self::CountsCalls(calls) => 0.01 * (calls.fetch_add(1, Ordering::Relaxed) % 7) as f64,
            _ => 0.1,
        };
        // The highest activation, which the lowest must not feel.
        let top = block.layers() - 1;
        let far: Vec<T> = block.stored(top).columns().map(|column| T::of(1e-3) * column[0]).collect();
        for t in group.members() {
            let gradient = block.gradient(t).as_slice().to_vec();
            let z = block.stored_mut(t);
            z.iter_mut().zip(&gradient).for_each(|(z, &g)| *z -= T::of(rate) * g);
            match self {
                Self::MixesExamples => z[0] += T::of(1e-3) * gradient[gradient.len() - 1],
                Self::WritesNan => z[0] = T::of(f64::NAN),
                Self::ClaimsToStream => {
                    let rows = z.len() / far.len();
                    z.chunks_exact_mut(rows).zip(&far).for_each(|(z, &far)| z[0] += far);
                }
                _ => {}
            }
        }
        if matches!(self, Self::WritesTheTarget) {
            let target = block.layers();
            block.stored_mut(target)[0] += T::one();
        }
        Ok(())
    }

    fn streams(&self) -> bool {
        matches!(self, Self::ClaimsToStream)
    }
}

#[test]
fn a_step_that_is_broken_breaks_the_rule_of_that_name() {
    for (step, expected) in [
        (Broken::MovesTheInput, "groups_are_of_hidden_activations"),
        (Broken::NoStep, "groups_are_of_hidden_activations"),
        (Broken::WritesTheTarget, "ends_stay"),
        (Broken::WritesNan, "activations_are_finite"),
        (Broken::CountsCalls(AtomicUsize::new(0)), "relaxations_repeat"),
        (Broken::MixesExamples, "examples_stay_apart"),
        (Broken::ClaimsToStream, "streams_read_neighbours"),
        (Broken::Ascends, "energy_does_not_rise"),
    ] {
        let outcome = check::activation_step::<f64>(&step);
        assert!(matches!(&outcome, Err(Error::Contract { rule, .. }) if *rule == expected), "{step:?}: {outcome:?}");
    }
    let outcome = check::activation_step::<f64>(&Broken::Panics);
    assert!(matches!(&outcome, Err(Error::Panicked { message, .. }) if message == "planned"), "{outcome:?}");
}

/// Refused before anything changes, or an error of the fit that leaves the network as it was.
#[test]
fn a_fit_survives_a_step_that_fails() {
    let moons = data::two_moons::<f64>(40, 0.1, 0).unwrap();
    let mut net = DecoupledNetwork::builder(2)
        .dense(5, Activation::Tanh)
        .dense(4, Activation::Tanh)
        .dense(2, Activation::Identity)
        .threads(2)
        .build()
        .unwrap();
    let before: Vec<Vec<f64>> = (0..3).map(|t| net.params(t).to_vec()).collect();
    let mut outcome = |step| {
        let method = Method::new(Start::Anchored, step, Reads::Forward);
        let outcome = net.fit(&moons, &FitConfig::new().epochs(1).method(method)).map(drop);
        (0..3).for_each(|t| assert_eq!(net.params(t), before[t], "{outcome:?}"));
        outcome.unwrap_err()
    };
    let found = outcome(Broken::MovesTheInput);
    assert!(matches!(found, Error::Contract { rule: "groups_are_of_hidden_activations", .. }), "{found:?}");
    let found = outcome(Broken::NoStep);
    assert!(matches!(found, Error::HyperParameter { name: "activation steps", .. }), "{found:?}");
    let found = outcome(Broken::Panics);
    assert!(matches!(&found, Error::Panicked { layer: None, message, .. } if message == "planned"), "{found:?}");
    let found = outcome(Broken::WritesNan);
    assert!(matches!(found, Error::Diverged { epoch: 1, .. }), "{found:?}");
    net.fit(&moons, &FitConfig::new().epochs(1)).unwrap();
}

/// A parameter step that fails in one way.
#[derive(Clone, Copy, Debug)]
enum Failing {
    WritesNan,
    Panics,
    Refuses,
}

impl ParameterStep<f64> for Failing {
    fn sum(&self) -> Sum {
        Sum::Gradient
    }
    fn step(&self, update: &mut LayerUpdate<'_, f64>) -> Result<()> {
        let (t, (_, params, _)) = (update.t, update.parts());
        match self {
            // Every parameter but this one is in order.
            Self::WritesNan => params[t] = f64::NAN,
            Self::Panics => panic!("on purpose"),
            Self::Refuses => return Err(Error::other("not today")),
        }
        Ok(())
    }
}

#[test]
fn a_fit_survives_parameter_steps_that_fail() {
    for step in [Failing::WritesNan, Failing::Panics, Failing::Refuses] {
        for (method, t) in [(Method::default(), 1), (Method::joint(0.1), 0)] {
            let data = data::two_moons::<f64>(40, 0.1, 0).unwrap();
            let builder = DecoupledNetwork::builder(2).dense(5, Activation::Tanh).dense(2, Activation::Identity);
            let mut net = builder.build().unwrap();
            let before = [net.params(0).to_vec(), net.params(1).to_vec()];
            let config = |method: Method<f64>| FitConfig::new().epochs(2).batch_size(10).method(method);
            let error = net.fit(&data, &config(method.clone().layer_parameter(t, step))).unwrap_err();
            let told = match (&error, step) {
                (Error::Diverged { layer, epoch: 1, quantity: "a parameter" }, Failing::WritesNan) => *layer == t,
                (Error::Panicked { layer, what: "the parameter step", .. }, Failing::Panics) => *layer == Some(t),
                (error, Failing::Refuses) => error.to_string().contains("not today"),
                _ => false,
            };
            assert!(told, "{step:?}: {error:?}");
            assert_eq!([net.params(0), net.params(1)], before, "{step:?}");
            net.fit(&data, &config(method)).unwrap();
        }
    }
}

/// Descent with momentum, whose velocity is the step's own memory.
#[derive(Debug)]
struct HeavyBall;

impl ParameterStep<f64> for HeavyBall {
    fn sum(&self) -> Sum {
        Sum::Gradient
    }
    fn step(&self, update: &mut LayerUpdate<'_, f64>) -> Result<()> {
        let share = 1.0 / update.examples as f64;
        let (sum, params, velocity) = update.parts();
        velocity.resize(params.len(), 0.0);
        for ((theta, g), v) in params.iter_mut().zip(sum).zip(velocity) {
            *v = 0.9 * *v + *g * share;
            *theta -= 0.05 * *v;
        }
        Ok(())
    }
}

/// The memory of a step goes through a checkpoint; an error discards it, as it discards an optimizer's state.
#[test]
fn a_parameter_steps_memory_is_kept_from_visit_to_visit_and_in_checkpoints() {
    let data = data::two_moons::<f64>(40, 0.1, 0).unwrap();
    let build = || {
        let builder = DecoupledNetwork::builder(2).dense(5, Activation::Tanh).dense(2, Activation::Identity);
        builder.optimizer(Sgd::new(0.05).momentum(0.9)).build().unwrap()
    };
    let config = |epochs, method: Method<f64>| FitConfig::new().epochs(epochs).batch_size(10).method(method);
    let own = || Method::red_black().parameter(HeavyBall);
    let (mut whole, mut twin) = (build(), build());
    whole.fit(&data, &config(4, own())).unwrap();
    twin.fit(&data, &config(4, Method::red_black())).unwrap();
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!((0..2).all(|t| near(whole.params(t), twin.params(t))), "the optimizer with the same rule");

    #[cfg(feature = "save")]
    {
        let (mut first, mut resumed) = (build(), build());
        first.fit(&data, &config(2, own())).unwrap();
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("heavy_ball");
        first.save_checkpoint(&path, &[]).unwrap();
        resumed.resume(&path, &mut []).unwrap();
        resumed.fit(&data, &config(2, own())).unwrap();
        assert!((0..2).all(|t| resumed.params(t) == whole.params(t)));
    }

    // Least squares after it do not take the velocity for moments.
    let ridge = || Method::default().layer_parameter(1, Ridge { ridge: 1.0, memory: 0.5, ..Ridge::default() });
    let squared = || {
        let builder = DecoupledNetwork::builder(2).dense(5, Activation::Tanh).dense(2, Activation::Identity);
        builder.build().unwrap()
    };
    let (mut after, mut alone) = (squared(), squared());
    after.fit(&data, &config(1, Method::default().layer_parameter(1, HeavyBall))).unwrap();
    (0..2).for_each(|t| alone.set_params(t, after.params(t)).unwrap());
    after.set_optimizer(Sgd::new(0.1)).unwrap();
    alone.set_optimizer(Sgd::new(0.1)).unwrap();
    let one = config(1, ridge()).full_batch();
    for net in [&mut after, &mut alone] {
        net.fit(&data, &one).unwrap();
    }
    assert!(near(after.params(1), alone.params(1)));
}
