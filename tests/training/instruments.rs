//! What a fit reports of every layer, against the bank, the definition, and numbers that are known beforehand.

use decoupled::diagnostics::decoupling;
use decoupled::layer::{Activation, Dense};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::method::{Penalty, PenaltyIncrease, Stall, Start, Timing};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, NetworkBuilder, Result, Warning, data};

use crate::builtin;
use crate::common::Still;

type Net = DecoupledNetwork<f64>;

fn moons() -> Result<Dataset<f64>> {
    data::two_moons(60, 0.1, 3)
}

fn builder() -> NetworkBuilder<f64> {
    let builder = Net::builder(2).dense(7, Activation::Tanh).dense(6, Activation::Relu).dense(5, Activation::Gelu);
    builder.dense(2, Activation::Identity).penalty(0.7)
}

fn split() -> NetworkBuilder<f64> {
    let builder = Net::builder(2).store_pre_activations().dense(7, Activation::Relu).dense(6, Activation::Relu);
    builder.dense(2, Activation::Identity)
}

#[test]
fn the_terms_of_the_energy_add_up_to_it() -> Result<()> {
    let data = moons()?;
    for (_, method) in builtin::gradient_methods() {
        let mut net = builder().output_loss(SoftmaxCrossEntropy::new()).build()?;
        for epoch in net.fit(&data, &FitConfig::new().epochs(2).batch_size(25).method(method.clone()))?.epochs {
            assert_eq!(epoch.energies.len(), 4);
            let sum: f64 = epoch.energies.iter().sum();
            assert!((sum - epoch.energy).abs() < 1e-12 * epoch.energy.abs(), "{sum} and {}, {method:?}", epoch.energy);
        }
    }
    for (_, method) in builtin::exact_methods() {
        // In the first of them the bank is at the forward pass.
        let report = split().build()?.fit(&data, &FitConfig::new().epochs(3).full_batch().method(method))?;
        for epoch in report.epochs {
            let sum: f64 = epoch.energies.iter().sum();
            assert_eq!(epoch.energies.len(), 5);
            assert!((sum - epoch.energy).abs() < 1e-12 * epoch.energy.abs());
        }
    }
    let report = builder().build()?.fit_backprop(&data, &FitConfig::new().epochs(1))?;
    assert!(report.epochs[0].energies.is_empty());
    Ok(())
}

/// The parameters stand still, so the next visit of `joint` begins where the bank was left.
#[test]
fn each_term_is_that_of_the_stored_activations() -> Result<()> {
    let data = moons()?;
    let mut net = builder().optimizer(Still).build()?;
    let config = FitConfig::new().epochs(1).batch_size(20).method(Method::joint(0.3));
    // A signal comes down one layer a visit.
    net.fit(&data, &config.clone().epochs(4))?;
    let (objective, bank) = (net.objective(), net.bank().unwrap());
    let mut block = objective.block(data.len());
    block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
    block.stored_mut(4).copy_from_slice(data.targets().as_slice());
    (1..4).for_each(|t| block.stored_mut(t).copy_from_slice(bank.layer(t).as_slice()));
    let expected: Vec<f64> =
        (1..=4).map(|t| objective.term(&mut block, t).map(|term| term / 60.0)).collect::<Result<_>>()?;
    let found = &net.fit(&data, &config)?.epochs[0].energies;
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-12 && *found > 0.0, "{found} instead of {expected}");
    }
    Ok(())
}

/// A block's term is measured before the block moves, and before the parameters below it do.
#[test]
fn each_term_of_a_descent_by_blocks_is_that_of_the_stored_activations() -> Result<()> {
    let data = moons()?;
    let mut net = split().build()?;
    let config = FitConfig::new().full_batch().method(Method::bcd(5.0));
    net.fit(&data, &config.clone().epochs(3))?;
    let (objective, bank) = (net.objective(), net.bank().unwrap());
    let mut block = objective.block(data.len());
    block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
    block.stored_mut(5).copy_from_slice(data.targets().as_slice());
    (1..5).for_each(|t| block.stored_mut(t).copy_from_slice(bank.layer(t).as_slice()));
    let expected: Vec<f64> =
        (1..=5).map(|t| objective.term(&mut block, t).map(|term| term / 60.0)).collect::<Result<_>>()?;
    let epoch = &net.fit(&data, &config.epochs(1))?.epochs[0];
    for (found, expected) in epoch.energies.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-12 && *found > 0.0, "{:?} instead of {expected:?}", epoch.energies);
    }
    Ok(())
}

/// Unit k of the first twelve says something for example k alone, and that of the second twelve something less: whichever part of
/// a batch, and whichever batch, has that example.
#[test]
fn a_unit_that_moves_once_in_an_epoch_is_not_dead() -> Result<()> {
    let units = 24;
    let inputs: Vec<f64> = (0..60 * units).map(|at| f64::from(u8::from(at / units == at % units))).collect();
    let inputs = data::Examples::from_row_slice(&inputs, 60, units)?;
    let data = Dataset::regression(inputs, data::Examples::from_row_slice(&[0.5; 60], 60, 1)?)?;
    let builder = Net::builder(units).dense(units, Activation::Relu).dense(1, Activation::Identity);
    let mut net = builder.optimizer(Still).build()?;
    let mut params = vec![0.0; units * units + units];
    for k in 0..units {
        params[k * units + k] = if k < 12 { 1.0 } else { -1.0 };
        params[units * units + k] = if k < 12 { 0.0 } else { 1.0 };
    }
    net.set_params(0, &params)?;
    for batch in [60, 20, 7] {
        let config = FitConfig::new().epochs(1).batch_size(batch);
        assert_eq!(net.clone().fit(&data, &config)?.epochs[0].dead_units, [0], "batches of {batch}");
        assert_eq!(net.clone().fit_backprop(&data, &config)?.epochs[0].dead_units, [0], "batches of {batch}");
    }
    // Two that never do.
    params[units * units..][..2].fill(-2.0);
    net.set_params(0, &params)?;
    assert_eq!(net.fit(&data, &FitConfig::new().epochs(1).full_batch())?.epochs[0].dead_units, [2]);
    Ok(())
}

/// Small weights: a bias of −100 keeps a ReLU at zero, and one of +10 lets it live.
#[test]
fn units_that_never_move_are_counted() -> Result<()> {
    let data = moons()?;
    let doomed = |mut net: Net, width: usize, inputs: usize, t: usize, dead: usize| -> Result<Net> {
        let mut params = net.params(t).to_vec();
        params[..inputs * width].iter_mut().for_each(|weight| *weight *= 0.1);
        params[inputs * width..].fill(10.0);
        params[inputs * width..][..dead].fill(-100.0);
        net.set_params(t, &params)?;
        Ok(net)
    };
    let fused = Net::builder(2).dense(8, Activation::Relu).dense(6, Activation::Relu).dense(2, Activation::Identity);
    let net = doomed(doomed(fused.optimizer(Still).build()?, 8, 2, 0, 3)?, 6, 8, 1, 2)?;
    let config = FitConfig::new().epochs(1).batch_size(20);
    for method in [Method::default(), Method::joint(1e-3), Method::incremental(2, 1e-3)] {
        let report = net.clone().fit(&data, &config.clone().method(method))?;
        assert_eq!(report.epochs[0].dead_units, [3, 2]);
        assert!(report.warnings.iter().all(|warning| !matches!(warning, Warning::DeadUnits { .. })));
    }
    assert_eq!(net.clone().fit_backprop(&data, &config)?.epochs[0].dead_units, [3, 2]);
    // Stored apart: the maps' outputs vary, those of the activation functions do not.
    let net = doomed(split().optimizer(Still).build()?, 7, 2, 0, 6)?;
    let report = net.clone().fit(&data, &FitConfig::new().epochs(1).full_batch().method(Method::bcd(5.0)))?;
    assert_eq!(report.epochs[0].dead_units[..2], [0, 6]);
    let dead = report.warnings.iter().find(|warning| matches!(warning, Warning::DeadUnits { .. }));
    assert_eq!(dead, Some(&Warning::DeadUnits { epoch: 1, layer: 2, dead: 6 }));
    // Backpropagation is told as well.
    let report = net.clone().fit_backprop(&data, &config)?;
    assert!(report.warnings.contains(&Warning::DeadUnits { epoch: 1, layer: 2, dead: 6 }), "{:?}", report.warnings);
    Ok(())
}

/// All that one example says of a unit is one number.
#[test]
fn a_single_example_makes_no_unit_dead() -> Result<()> {
    let single = moons()?.take(1)?;
    let config = FitConfig::new().epochs(2);
    for method in [Method::default(), Method::joint(0.1)] {
        let report = builder().build()?.fit(&single, &config.clone().method(method))?;
        assert!(report.epochs.iter().all(|epoch| epoch.dead_units == [0; 3]), "{:?}", report.epochs);
        assert!(!report.warnings.iter().any(|warning| matches!(warning, Warning::DeadUnits { .. })));
    }
    assert_eq!(builder().build()?.fit_backprop(&single, &config)?.epochs[0].dead_units, [0; 3]);
    let report = split().build()?.fit(&single, &config.method(Method::bcd(5.0)))?;
    assert_eq!(report.epochs[0].dead_units, [0; 4]);
    Ok(())
}

/// With k batches of one size a column misses as many updates as lie between its places in two epochs: k − 1 in the mean.
#[test]
fn columns_miss_the_updates_between_two_visits() -> Result<()> {
    let data = moons()?;
    for (batch, expected) in [(60, 0.0), (20, 2.0), (10, 5.0), (1, 59.0)] {
        let mut net = builder().build()?;
        let config = FitConfig::new().epochs(3).batch_size(batch).method(Method::joint(0.1));
        let stale: Vec<_> = net.fit(&data, &config)?.epochs.iter().map(|epoch| epoch.staleness).collect();
        assert_eq!(stale, [None, Some(expected), Some(expected)], "batches of {batch}");
        // Several parameter steps a visit count each.
        let method = Method::predictive_coding(2, 0.1).timing(Timing::AfterRelaxation { local_steps: 3 });
        let report = builder().build()?.fit(&data, &config.clone().epochs(2).method(method))?;
        let last = report.epochs[1].staleness.unwrap();
        assert!((last - 3.0 * expected).abs() <= 2.0, "{last} for batches of {batch}");
        assert_eq!(builder().build()?.fit_backprop(&data, &config)?.epochs[2].staleness, None);
        // One update a sweep.
        let report = split().build()?.fit(&data, &config.method(Method::bcd(5.0)))?;
        assert_eq!(report.epochs[2].staleness, Some(expected));
    }
    Ok(())
}

#[test]
fn the_decoupling_is_measured_when_asked_and_leaves_the_training_alone() -> Result<()> {
    let data = moons()?;
    let config = FitConfig::new().epochs(2).batch_size(20);
    let (mut measured, mut plain) = (builder().build()?, builder().build()?);
    let report = measured.fit(&data, &config.clone().epochs(5).measure_decoupling(2, 20))?;
    let when: Vec<usize> = report.epochs.iter().filter(|e| e.decoupling.is_some()).map(|e| e.epoch).collect();
    assert_eq!(when, [2, 4]);
    plain.fit(&data, &config)?;
    // Every third of sixty.
    let sample = data.select(&(0..20).map(|i| 3 * i).collect::<Vec<_>>())?;
    assert_eq!(report.epochs[1].decoupling, Some(decoupling(&plain, &sample, &Method::default())?));
    plain.fit(&data, &config.clone().epochs(3))?;
    (0..4).for_each(|t| assert_eq!(measured.params(t), plain.params(t)));
    // More than there are: all.
    let all = builder().build()?.fit(&data, &config.clone().epochs(1).measure_decoupling(1, 1000))?;
    assert!(all.epochs[0].decoupling.is_some());
    let backprop = builder().build()?.fit_backprop(&data, &config.clone().measure_decoupling(1, 5))?;
    assert!(backprop.epochs.iter().all(|epoch| epoch.decoupling.is_none()));
    for (every, examples) in [(0, 5), (5, 0)] {
        let outcome = plain.fit(&data, &config.clone().measure_decoupling(every, examples));
        assert!(matches!(outcome, Err(Error::HyperParameter { .. })));
    }
    Ok(())
}

/// The parameters stand still, so that the loss does not fall and the penalties rise.
#[test]
fn the_decoupling_is_measured_with_the_penalties_of_its_epoch() -> Result<()> {
    let data = moons()?;
    let raise = PenaltyIncrease { factor: 2.0, ..PenaltyIncrease::when(Stall::ForwardLoss) };
    let plain = Method::predictive_coding(3, 0.05);
    let config = FitConfig::new().epochs(4).method(plain.clone().penalty(Penalty::Raised(raise)));
    let mut net = builder().optimizer(Still).build()?;
    // Chosen parameters stay: the nets below have not been fitted.
    let lowest = net.params(0).to_vec();
    net.set_params(0, &lowest)?;
    let report = net.fit(&data, &config.measure_decoupling(1, 60))?;
    let factors: Vec<f64> = report.epochs.iter().map(|epoch| epoch.penalty_factor).collect();
    assert!(factors.contains(&1.0) && factors.contains(&2.0), "{factors:?}");
    for epoch in report.epochs {
        let expected = decoupling(&builder().penalty(0.7 * epoch.penalty_factor).build()?, &data, &plain)?;
        assert_eq!(epoch.decoupling, Some(expected), "{}", epoch.penalty_factor);
    }
    Ok(())
}

/// With relaxed inputs at a large rate the layers below learn what the label leaks to them.
#[test]
fn a_gradient_that_points_away_is_told() -> Result<()> {
    let data = moons()?;
    let mut net = Net::builder(2).layer(Dense::new(2, 1)).layer(Dense::new(1, 1).without_bias()).build()?;
    let data = Dataset::regression(
        data::Examples::from_row_slice(data.inputs().as_slice(), 60, 2)?,
        data::Examples::from_row_slice(&vec![5.0; 60], 60, 1)?,
    )?;
    net.set_params(0, &[0.0, 0.0, 1.0])?;
    net.set_params(1, &[1.0])?;
    // z = 1, ẑ = 1, y = 5: one step of 1.5 takes z past the target, to 7, and θ_1, which reads it, down instead of up.
    let method = Method::predictive_coding(1, 1.5).reads(decoupled::method::Reads::Stored);
    // What is measured starts at a forward pass: where training does not, it says nothing of training.
    for (start, is_told) in [(Start::Anchored, true), (Start::Persisted, false), (Start::Blend(0.5), false)] {
        let mut net = net.clone();
        let method = method.clone().start(start);
        let config = FitConfig::new().epochs(1).full_batch().method(method).measure_decoupling(1, 60);
        let report = net.fit(&data, &config)?;
        let cosines = &report.epochs[0].decoupling.as_ref().unwrap().cosine;
        assert!(cosines[1] < 0.0, "{start:?}: {cosines:?}");
        let found = report.warnings.iter().find(|warning| matches!(warning, Warning::TurnsAway { .. }));
        let expected = matches!(found, Some(Warning::TurnsAway { epoch: 1, layer: 1, .. }));
        assert!(if is_told { expected } else { found.is_none() }, "{start:?}: {:?}", report.warnings);
    }
    Ok(())
}
