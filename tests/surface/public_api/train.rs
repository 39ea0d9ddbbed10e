//! A network is trained: methods and their parts, fits, starts from data, and the objective by itself.

use decoupled::data::{Examples, Scaling, Transform};
use decoupled::energy::Objective;
use decoupled::layer::Activation;
use decoupled::observer::EarlyStopping;
use decoupled::optimizer::Sgd;
use decoupled::{
    ActivationStep, BankStart, Block, Coupling, Dataset, ErrorSteps, Exact, FitConfig, FitReport, GaussNewton, MatRef,
    Method, Metric, Model, Multipliers, Order, ParameterStep, Penalty, Pipeline, Raise, Reads, Refit, Result, Ridge,
    Solver, Start, StopReason, Sweeps, Timing, Watch, backprop, curvature,
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
    // prediction is the forward pass's.
    let steps: [(ActivationStep<f64>, usize); 4] = [
        (ActivationStep::Sweeps(sweeps), 2 + 3),
        (ActivationStep::Errors(ErrorSteps::new(2, 0.1).optimizer(Sgd::new(0.1))), 3 + 4),
        (ActivationStep::GaussNewton(GaussNewton::new(1)), 3),
        (ActivationStep::Exact(Exact { steps: 1, proximal: 1.0 }), 3),
    ];
    for (step, products) in steps {
        let method = Method::new(Start::Anchored, step, ParameterStep::new(Reads::Stored));
        // The forward pass before it; then a prediction from where the step came to, and the gradient.
        assert_eq!(method.sequential_products(3), 3 + products + 1 + 1, "{method:?}");
    }
    let ridge = Ridge { ridge: 0.1, proximal: 1.0, memory: 0.5, trust: Some(0.5) };
    let step = ParameterStep::new(Reads::Forward).solver(Solver::Ridge(ridge)).layer_solver(0, Solver::Optimizer);
    let raise = Raise::when(Watch::Residual);
    let coupling = Coupling { penalty: Penalty::Constant, multipliers: None, finish: false };
    let method = Method::default()
        .start(Start::Blend(0.5))
        .activation(GaussNewton::new(1))
        .parameter(step)
        .coupling(coupling)
        .order(Order::Jacobi)
        .order(Order::RedBlack)
        .activation_steps(2)
        .activation_rate(0.05)
        .activation_optimizer(Sgd::new(0.05))
        .stable(1.0)
        .timing(Timing::AfterRelaxation { local_steps: 2 })
        .reads(Reads::Stored)
        .penalty(Penalty::Raised(Raise { watch: Watch::ForwardLoss, ..raise }))
        .multipliers(Multipliers::kept())
        .finish(true);
    assert_eq!(method.parameter_steps(3), 2);
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
    assert!(bank.bytes() > 30 * 6 * 8 && bank.storage() == decoupled::Storage::Full);
    // Two updates for each of four batches, and every example in one of them.
    assert!(net.updates() == 8 && bank.steps().iter().all(|&steps| steps == 2));
    assert!(bank.visited_at().into_iter().all(|at| (1..=8).contains(&at)));
    Ok(())
}

#[test]
fn parameters_start_from_the_data_and_end_refitted() -> Result<()> {
    let (mut net, data) = (net(), moons());
    net.start_from_unit_variance(data.inputs(), 1.0)?;
    let residuals =
        net.start_from_bank(data.inputs(), &BankStart::new().spread(0.4).centre(0.1).ridge(1e-3).seed(1))?;
    assert!(residuals.len() == 2 && residuals.iter().all(|r| *r < 1.0));
    assert!(net.params(2).iter().all(|p| *p == 0.0));
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
    let by_hand = Model::new(model.network.clone()).step(halve).input_scaler(scaler.clone());
    assert_eq!(by_hand.predict_proba(data.inputs())?, model.predict_proba(data.inputs())?);
    assert_eq!(by_hand.evaluate(&data)?, model.network.evaluate(&model.transform(&data)?)?);
    assert_eq!(scaler.transform(data.inputs())?, scaler.apply(data.inputs())?);

    let numbers = Pipeline::from((net(), FitConfig::new())).scale_targets(Scaling::MinMax);
    assert!(numbers.fit(&data).is_err(), "targets are classes");
    Ok(())
}
