//! A network is trained: methods and their parts, fits, starts from data, and the objective by itself.

use std::sync::Arc;

use decoupled::data::{Augmentation, Examples, Scaling, Transform};
use decoupled::layer::{Activation, Dense, Init, LayerNorm, Unit};
use decoupled::method::activation_step::{Memory, Prepared, Rates};
use decoupled::method::energy::Objective;
use decoupled::method::parameter_step::{LayerUpdate, Sum};
use decoupled::method::schedule::{Schedule, Stage, Work};
use decoupled::method::{
    Block, Coupling, ErrorSteps, Exact, FlightPlan, GaussNewton, GradientStep, Group, Multipliers, Order, Penalty,
    PenaltyIncrease, Reads, Ridge, Stall, Start, Sweeps, Timing, backprop, curvature,
};
use decoupled::network::Restart;
use decoupled::observer::{EarlyStopping, LearningRateScheduler};
use decoupled::optimizer::{Adam, Sgd};
use decoupled::train::Refit;
use decoupled::{
    ActivationStep, Dataset, Error, FitConfig, FitReport, Layer, MatRef, Method, Metric, Model, ParameterStep,
    Pipeline, Result, StopReason,
};

use super::{Net, moons, net, numbers};

#[test]
fn every_preset_trains_the_networks_that_it_is_for() -> Result<()> {
    let gradients = [
        Method::default(),
        Method::joint(0.1),
        Method::predictive_coding(2, 0.1),
        Method::incremental(2, 0.05),
        Method::error_based(2, 0.1),
        Method::local_targets(2),
        Method::backprop_by_sweep(),
        Method::alm(0.5),
        Method::mac(1),
    ];
    let plain = Net::builder(2).dense(3, Activation::Tanh).dense(2, Activation::Identity).threads(1);
    let apart = Net::builder(2).store_pre_activations().dense(3, Activation::Relu).dense(2, Activation::Identity);
    let nets = gradients.into_iter().map(|method| (&plain, method));
    let exact = [Method::bcd(1.0), Method::admm(0.1)].into_iter().map(|method| (&apart, method));
    for (builder, method) in nets.chain(exact) {
        let mut net = builder.clone().threads(1).method(method).build()?;
        let report = net.fit(&numbers(), &FitConfig::new().epochs(2).full_batch())?;
        assert_eq!((report.stop, net.epochs()), (StopReason::Epochs, 2));
        assert!(report.last().unwrap().train_loss < report.epochs[0].train_loss);
    }
    Ok(())
}

#[test]
fn a_method_is_put_together_from_its_parts() -> Result<()> {
    let sweeps = Sweeps::new(Order::ReverseGaussSeidel, 2, 0.1).optimizer(Sgd::new(0.1)).per_penalty().stable(1.5);
    // Of two hidden layers: each sweep a prediction and two pull-backs, each step of another kind its way down and up; the first
    // prediction is the forward pass's. Exact steps solve, near predictions that are the forward pass's as well.
    // Then a prediction from where the step came to, and the gradient, of all layers at once; after exact steps of one layer after
    // the other, and no prediction for the lowest, whose input stands.
    let steps: [(Box<dyn ActivationStep<f64>>, usize, usize); 4] = [
        (Box::new(sweeps), 2 + 3, 1 + 1),
        (Box::new(ErrorSteps::new(2, 0.1).optimizer(Sgd::new(0.1))), 3 + 4, 1 + 1),
        (Box::new(GaussNewton::new(1)), 3, 1 + 1),
        (Box::new(Exact { steps: 1, proximal: 1.0 }), 0, 2 + 2 + 1),
    ];
    for (step, products, gradients) in steps {
        let method = Method::new(Start::Anchored, step, Reads::Stored);
        // The forward pass before it.
        assert_eq!(method.sequential_products(3), 3 + products + gradients, "{method:?}");
    }
    let ridge = Ridge { ridge: 0.1, proximal: 1.0, memory: 0.5, trust: Some(0.5) };
    let raise = PenaltyIncrease::when(Stall::Residual);
    let coupling = Coupling { penalty: Penalty::Constant, multipliers: None, finish: false };
    let method = Method::default()
        .start(Start::Blend(0.5))
        .activation(Sweeps::new(Order::RedBlack, 2, 0.05).optimizer(Sgd::new(0.05)).stable(1.0))
        .parameter(ridge)
        .layer_parameter(0, GradientStep)
        .coupling(coupling)
        .timing(Timing::FirstGradientOnce { local_steps: 1 })
        .timing(Timing::AfterRelaxation { local_steps: 2 })
        .reads(Reads::Stored)
        .penalty(Penalty::Raised(PenaltyIncrease { stall: Stall::ForwardLoss, ..raise }))
        .multipliers(Multipliers::kept())
        .finish(true);
    assert_eq!(method.parameter_steps(3), 2);
    let visit = Method::<f64>::in_flight(3, 4).schedule(3);
    let plan: &FlightPlan = visit.flight_plan().unwrap();
    assert_eq!((plan.stages().len(), plan.for_batch(8).micro_batch(), plan.delay(2, 8)), (3, 4, 0.0));
    assert_eq!(
        Method::<f64>::backprop_by_sweep().timing(Timing::InFlight { stages: 3, micro_batch: 4 }).schedule(3),
        visit
    );
    assert_eq!(method.clone().timing(Timing::EveryStep).start(Start::Persisted).parameter_steps(3), 2);
    let mut net = Net::builder(2).dense(3, Activation::Tanh).dense(2, Activation::Identity).threads(1).build()?;
    let data = moons();
    let config = FitConfig::new()
        .method(method)
        .epochs(1)
        .batch_size(10)
        .seed(3)
        .shuffle_blocks(15)
        .accumulate(1)
        .validation(&data)
        .measure_decoupling(1, 4)
        .metric(Metric::accuracy());
    let report = net.fit(&data, &config)?;
    let Refit { before, after } = report.refit.unwrap();
    assert!(after <= before && report.last().unwrap().decoupling.is_some());
    let bank = net.bank().unwrap();
    assert_eq!((bank.examples(), bank.layers(), bank.rows(), bank.example(0).len()), (30, 1, 3, 3));
    assert_eq!((bank.layer(1).shape(), bank.multipliers(1).unwrap().shape()), ((3, 30), (3, 30)));
    assert!(bank.bytes() > 30 * 6 * 8 && bank.storage() == decoupled::bank::Storage::Full);
    // Two updates for each of four batches, and every example in one of them.
    assert!(net.updates() == 8 && bank.steps().iter().all(|&steps| steps == 2));
    assert!(bank.visited_at().into_iter().all(|at| (1..=8).contains(&at)));
    Ok(())
}

#[test]
fn pictures_are_augmented() -> Result<()> {
    let augmentation = Augmentation::new([1, 2, 2]).shift(1).flip();
    let mut out = [0.0; 4];
    augmentation.apply(3, 1, 0, &[1.0, 2.0, 3.0, 4.0], &mut out)?;
    let inputs = Examples::from_rows(&[[1.0, 2.0, 3.0, 4.0]])?;
    let made = Dataset::classification(Examples::from_rows(&[out])?, &[1], 2)?;
    let data = Dataset::classification(inputs, &[1], 2)?;
    let build = || Net::builder([1, 2, 2]).conv2d(2, [2, 2], Activation::Tanh).dense(2, Activation::Identity).build();
    let (mut net, mut by_hand) = (build()?, build()?);
    let config = FitConfig::new().epochs(1).seed(3);
    let report = net.fit(&data, &config.clone().augment(augmentation))?;
    assert_eq!(report.epochs[0].train_loss, by_hand.fit(&made, &config)?.epochs[0].train_loss);
    Ok(())
}

/// Descent of all layers at once, at a rate of its own.
#[derive(Debug)]
struct Plain(f64);

/// As if it had been measured.
const CURVATURE: f64 = 4.0;

impl ActivationStep<f64> for Plain {
    fn steps(&self, _depth: usize) -> usize {
        2
    }
    fn groups(&self, depth: usize) -> Vec<Group> {
        vec![Group::all(1..depth)]
    }
    fn adapt(&self, _: &Objective<'_, f64>, sample: &mut Block<f64>, prepared: &mut Prepared<f64>) -> Result<()> {
        let (layers, margin) = (vec![self.0; sample.layers() - 1], Some(2.0 / (CURVATURE * self.0)));
        prepared.rates = Rates { layers, curvature: Some(CURVATURE), margin };
        Ok(())
    }
    fn step(
        &self,
        objective: &Objective<'_, f64>,
        block: &mut Block<f64>,
        group: &Group,
        prepared: &Prepared<f64>,
        memory: &mut Memory<f64>,
    ) -> Result<()> {
        objective.activation_gradients(block, group)?;
        memory.descend(&Sgd::new(1.0), block, group, |t| prepared.rates.layers[t - 1])
    }
    fn check(&self, objective: &Objective<'_, f64>) -> Result<()> {
        let is_deep = objective.block(1).layers() > 3;
        let error = Error::Unsupported { what: "plain steps", why: "they are for shallow networks" };
        if is_deep { Err(error) } else { Ok(()) }
    }
}

#[test]
fn a_step_of_ones_own_trains() -> Result<()> {
    let method = Method::new(Start::Anchored, Plain(0.1), Reads::Forward);
    let config = |method: &Method<f64>| FitConfig::new().epochs(2).batch_size(10).method(method.clone());
    let (mut own, mut twin) = (net(), net());
    let report = own.fit(&moons(), &config(&method))?;
    twin.fit(&moons(), &config(&Method::predictive_coding(2, 0.1)))?;
    assert!((0..3).all(|t| own.params(t) == twin.params(t) && own.params(t) != net().params(t)));
    let last = report.last().unwrap();
    assert_eq!((last.curvature, last.stability_margin), (Some(4.0), Some(5.0)));

    let deep = Net::builder(2).dense(4, Activation::Tanh).dense(4, Activation::Tanh).dense(4, Activation::Tanh);
    let refused = deep.dense(2, Activation::Identity).method(method).build();
    assert!(matches!(refused, Err(Error::Unsupported { what: "plain steps", .. })));
    Ok(())
}

/// θ ← θ − rate · the mean gradient, counting its steps.
#[derive(Debug)]
struct PlainDescent {
    rate: f64,
}

impl ParameterStep<f64> for PlainDescent {
    fn sum(&self) -> Sum {
        Sum::Gradient
    }
    fn step(&self, update: &mut LayerUpdate<'_, f64>) -> Result<()> {
        let share = update.learning_rate_factor / update.examples as f64;
        let (sum, params, memory) = update.parts();
        memory.resize(1, 0.0);
        memory[0] += 1.0;
        params.iter_mut().zip(sum).for_each(|(theta, g)| *theta -= self.rate * (*g * share));
        Ok(())
    }
    fn validate(&self) -> Result<()> {
        if self.rate > 0.0 { Ok(()) } else { Err(Error::other("a rate above zero")) }
    }
    fn check(&self, objective: &Objective<'_, f64>, t: usize) -> Result<()> {
        let error = Error::Unsupported { what: "plain descent", why: "it is for shallow networks" };
        if objective.block(1).layers() > 3 && t > 0 { Err(error) } else { Ok(()) }
    }
    fn in_units(&self, convert: &dyn Fn(f64) -> f64) -> Option<Arc<dyn ParameterStep<f64>>> {
        assert_eq!(convert(3.0), 3.0, "data without weights");
        None
    }
}

#[test]
fn a_parameter_step_of_ones_own_trains() -> Result<()> {
    let own = Method::local_targets(2).parameter(PlainDescent { rate: 0.1 }).layer_parameter(0, GradientStep);
    let config = |method: &Method<f64>| FitConfig::new().epochs(2).batch_size(10).method(method.clone());
    let (mut net, mut twin) = (net(), net());
    net.set_optimizer(Sgd::new(0.1))?;
    twin.set_optimizer(Sgd::new(0.1))?;
    // At half of the rate in the second epoch.
    for (net, method) in [(&mut net, &own), (&mut twin, &Method::local_targets(2))] {
        let mut halved = LearningRateScheduler::new(|epoch| if epoch == 2 { 0.5 } else { 1.0 });
        net.fit_observed(&moons(), &config(method), &mut [&mut halved])?;
    }
    assert!((0..3).all(|t| net.params(t) == twin.params(t)));

    let refused = net.clone().fit(&moons(), &config(&Method::default().parameter(PlainDescent { rate: -1.0 })));
    assert!(matches!(refused, Err(Error::Other { .. })), "{refused:?}");
    let deep = Net::builder(2).dense(4, Activation::Tanh).dense(4, Activation::Tanh).dense(4, Activation::Tanh);
    let refused = deep.dense(2, Activation::Identity).method(own).build();
    assert!(matches!(refused, Err(Error::Unsupported { what: "plain descent", .. })));
    Ok(())
}

/// Half of the way to the least squares, and steps of equal size along the gradient.
#[derive(Debug)]
struct HalfWay;
#[derive(Debug)]
struct Signs;

impl ParameterStep<f64> for HalfWay {
    fn sum(&self) -> Sum {
        Sum::Moments
    }
    fn step(&self, update: &mut LayerUpdate<'_, f64>) -> Result<()> {
        let regression = update.layer.regression().unwrap();
        let (moments, params, _) = update.parts();
        let mut least = params.to_vec();
        regression.solve(moments, 0.0, 0.0, &mut least, &mut Vec::new())?;
        params.iter_mut().zip(least).for_each(|(theta, least)| *theta = 0.5 * (*theta + least));
        Ok(())
    }
}

impl ParameterStep<f64> for Signs {
    fn sum(&self) -> Sum {
        Sum::Gradient
    }
    fn step(&self, update: &mut LayerUpdate<'_, f64>) -> Result<()> {
        let examples = update.examples as f64;
        update.sum.iter_mut().for_each(|g| *g = g.signum() * examples);
        update.optimizer_step()
    }
}

#[test]
fn steps_of_ones_own_read_moments_and_lead_the_optimizer() -> Result<()> {
    let build = || Net::builder(2).dense(2, Activation::Identity).optimizer(Sgd::new(0.25)).build();
    let config = |method: Method<f64>| FitConfig::new().epochs(1).full_batch().method(method);
    let (start, mut half, mut least, mut signs) = (build()?, build()?, build()?, build()?);
    half.fit(&numbers(), &config(Method::joint(0.1).parameter(HalfWay)))?;
    least.fit(&numbers(), &config(Method::joint(0.1).parameter(Ridge::default())))?;
    for ((before, half), least) in start.params(0).iter().zip(half.params(0)).zip(least.params(0)) {
        assert!((half - 0.5 * (before + least)).abs() < 1e-12);
    }
    signs.fit(&numbers(), &config(Method::joint(0.1).parameter(Signs)))?;
    let moved = start.params(0).iter().zip(signs.params(0)).map(|(before, after)| (after - before).abs());
    assert!(moved.into_iter().all(|moved| (moved - 0.25).abs() < 1e-12));
    // No regression, no moments.
    let normalised = Net::builder(2).layer(LayerNorm::new(2)).method(Method::joint(0.1).parameter(HalfWay));
    assert!(matches!(normalised.build(), Err(Error::Incapable { layer: 0, .. })));
    Ok(())
}

#[test]
fn a_deep_network_starts_as_an_isometry() -> Result<()> {
    let data = moons();
    let builder = (0..12).fold(Net::builder(2), |net, _| net.dense(6, Activation::Sigmoid)).threads(1);
    let mut net = builder.dense(2, Activation::Identity).build()?;
    let mut chosen = net.clone();
    let report = net.fit(&data, &FitConfig::new().epochs(1))?;
    let Restart { before, after, .. } = report.restart.unwrap();
    assert!(before < 1e-3 && after > 0.1, "{before} {after}");
    assert!(chosen.start_isometric(data.inputs(), 7)?.is_empty());
    assert_eq!(chosen.fit(&data, &FitConfig::new().epochs(1))?.restart, None);

    let unit: Unit = Layer::<f64>::unit(&Dense::new(2, 3)).unwrap();
    assert_eq!(unit, Unit { map: Some(Dense::new(2, 3)), function: Activation::Identity });
    assert_eq!(format!("{:?}", Adam::for_depth(20)), format!("{:?}", Adam::new(1e-3)));
    assert_eq!(format!("{:?}", Adam::for_depth(0)), format!("{:?}", Adam::new(2e-3)));
    // 0.02 √30 / 120^1.5 = 0.02 / 240.
    assert!((Adam::for_depth(120).learning_rate() / (0.02 / 240.0) - 1.0).abs() < 1e-12);
    assert_eq!(
        [Activation::Gelu, Activation::Tanh].map(Init::for_activation),
        [Init::he_normal(), Init::glorot_uniform()]
    );
    let named =
        Net::builder(2).dense_with(4, Activation::Relu, Init::isometric()).dense(2, Activation::Identity).build()?;
    assert_eq!(named.params(0)[0], -named.params(0)[2]);
    assert_eq!(Method::<f64>::red_black().sequential_products(3), 9);
    Ok(())
}

#[test]
fn a_visit_is_a_list_of_stages() {
    assert_eq!(Group::every_second(1..6).members().collect::<Vec<_>>(), [1, 3, 5]);
    assert!(Group::one(2).has(2) && !Group::one(2).has(1) && !Group::every_second(1..6).has(4));
    // One sweep more than the two groups of each need for a signal to cross four hidden layers.
    assert_eq!(ActivationStep::<f64>::steps(&Sweeps::<f64>::reaching(Order::RedBlack, 0.3), 5), 3);

    let gather = |reads, chained| Stage::Gather { layers: 0..3, reads, chained, by_gradient: true };
    let relax = |work| Stage::Relax { group: Group::all(1..3), begins: true, work };
    let joint: Schedule = Method::<f64>::joint(0.1).schedule(3);
    let stages = [
        Stage::Start(Start::Persisted),
        Stage::Measure(1..4),
        gather(Reads::Stored, false),
        relax(Work::Local),
        Stage::Store,
        Stage::Update(0..3),
    ];
    assert_eq!((joint.stages(), joint.updates()), (&stages[..], 1));
    // Predictions, then pull-backs, all at once: three, and three to parameters with two to activations.
    assert_eq!(joint.sequential_products(), 2);
    assert_eq!(joint.to_string().lines().last().unwrap().split_whitespace().collect::<Vec<_>>(), ["all", "2", "8"]);

    let backprop = Schedule::backprop(3);
    let stages = [Stage::Forward, Stage::ChainRule, gather(Reads::Forward, true), Stage::Update(0..3)];
    assert_eq!((backprop.stages(), backprop.sequential_products(), backprop.updates()), (&stages[..], 6, 1));

    let twice = Stage::Repeat { times: 2, stages: vec![relax(Work::Through)] };
    assert_eq!(
        Method::<f64>::error_based(2, 0.1).schedule(3).stages()[..2],
        [Stage::Forward, Stage::Start(Start::Anchored)]
    );
    assert_eq!(Method::<f64>::error_based(2, 0.1).schedule(3).stages()[2], twice);
    let solve = Stage::Relax { group: Group::one(2), begins: true, work: Work::ClosedForm };
    assert!(Method::<f64>::bcd(1.0).schedule(3).stages().contains(&solve));
    let ascends = |method: Method<f64>| method.schedule(3).stages().contains(&Stage::Ascend);
    assert!(ascends(Method::alm(0.5)) && !ascends(Method::backprop_by_sweep()));
}

#[test]
fn parameters_start_from_the_data_and_end_refitted() -> Result<()> {
    let (mut net, data) = (net(), moons());
    net.start_from_unit_variance(data.inputs(), 1.0)?;
    let output = vec![0.0; net.params(2).len()];
    net.set_params(2, &output)?;
    let Refit { before, after } = net.refit_output(&data)?;
    assert!((before - 2f64.ln()).abs() < 1e-12 && after < before);
    let report = net.fit_backprop(&data, &FitConfig::new().epochs(2))?;
    assert!(report.last().unwrap().energies.is_empty());
    net.fit_backprop_observed(&data, &FitConfig::new().epochs(1), &mut []).map(drop)
}

#[test]
fn the_objective_can_be_looked_at_and_relaxed() -> Result<()> {
    let (net, data) = (net(), moons());
    let objective: Objective<'_, f64> = net.objective();
    let mut block: Block<f64> = objective.block(data.len());
    block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
    block.stored_mut(3).copy_from_slice(data.targets().as_slice());
    objective.anchor(&mut block)?;
    assert_eq!((block.layers(), block.examples()), (3, 30));
    assert_eq!(block.stored(2), block.forward(2));
    // At the forward pass all is the term of the output, and errors in error coordinates are backpropagation's.
    let forward = 30.0 * net.evaluate(&data)?.loss;
    assert!((objective.energy(&mut block)? - forward).abs() < 1e-9 && objective.term(&mut block, 1)? == 0.0);
    objective.activation_gradient(&mut block, 2)?;
    let top = block.gradient(2).as_slice().to_vec();
    objective.error_gradients(&mut block)?;
    assert_eq!(block.gradient(2).as_slice(), top);
    objective.input_gradient(&mut block)?;
    assert!(block.gradient(0).as_slice().iter().all(|g| *g == 0.0));
    let mut own = vec![0.0; net.params(2).len()];
    objective.parameter_gradient(&mut block, 2, Reads::Forward, &mut own)?;
    let mut all: Vec<Vec<f64>> = (0..3).map(|t| vec![0.0; net.params(t).len()]).collect();
    backprop::gradients(&objective, &mut block, &mut all)?;
    assert_eq!(all[2], own);
    assert!(curvature(&objective, &mut block, 10)? >= 1.0);

    let relaxed = &mut block.clone();
    relaxed.parameters_moved();
    Method::<f64>::predictive_coding(3, 0.1).activation_step().relax(&objective, relaxed)?;
    assert!(objective.energy(relaxed)? < forward);
    assert!(relaxed.multiplier(1).is_none());
    relaxed.multiplier_mut(1)[0] = 1.0;
    assert_eq!(relaxed.multiplier(1).unwrap().as_slice()[0], 1.0);
    Ok(())
}

#[test]
fn a_pipeline_fits_steps_and_network_on_the_same_data() -> Result<()> {
    let data = moons();
    let halve = |inputs: MatRef<'_, f64>| {
        let half = |example: &[f64]| [0.5 * example[0], 0.5 * example[1]];
        Examples::from_rows(&inputs.columns().map(half).collect::<Vec<_>>())
    };
    let config = FitConfig::new().epochs(3).batch_size(10).validation_fraction(0.2);
    let pipeline = Pipeline::new(net(), config)
        .step(move |_: &Dataset<f64>| Ok(halve))
        .scale_inputs(Scaling::Standard)
        .observer(EarlyStopping::new().patience(9))
        .backprop();
    let (model, report): (Model<f64>, FitReport) = pipeline.fit(&data)?;
    assert_eq!(report.epochs.len(), 3);
    assert!(report.last().is_some_and(|epoch| epoch.validation.is_some() && epoch.energies.is_empty()));

    let scaler = Scaling::Standard.fit(&halve(data.inputs())?)?;
    assert_eq!(Scaling::StandardChannels(2.into()).fit(&halve(data.inputs())?)?, scaler);
    let by_hand = Model::new(model.network.clone()).step(halve).input_scaler(scaler.clone());
    assert_eq!(by_hand.predict_proba(data.inputs())?, model.predict_proba(data.inputs())?);
    assert_eq!(by_hand.evaluate(&data)?, model.network.evaluate(&model.transform(&data)?)?);
    assert_eq!(scaler.transform(data.inputs())?, scaler.apply(data.inputs())?);

    let numbers = Pipeline::from((net(), FitConfig::new())).scale_targets(Scaling::MinMax);
    assert!(numbers.fit(&data).is_err(), "targets are classes");
    Ok(())
}
