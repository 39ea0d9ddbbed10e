//! What holds Z to its predictions, and where a visit starts: schedules, multipliers, the finish, blends, and ages.

use decoupled::data::Examples;
use decoupled::layer::{Activation, Dense};
use decoupled::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy};
use decoupled::method::{Coupling, Multipliers, Order, Penalty, PenaltyIncrease, Reads, Stall, Start, Sweeps, Timing};
use decoupled::nalgebra::DMatrix;
use decoupled::optimizer::{Adam, Sgd};
use decoupled::train::Refit;
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, MatRef, Method, NetworkBuilder, Result};

type Net = DecoupledNetwork<f64>;

fn builder() -> NetworkBuilder<f64> {
    Net::builder(3).dense(6, Activation::Tanh).dense(5, Activation::Tanh).dense(2, Activation::Identity).seed(5)
}

fn data() -> Dataset<f64> {
    let table = |width: usize, phase: f64| {
        let values: Vec<f64> =
            (0..40 * width).map(|i| (i as f64 * 0.7 + phase).sin() * (1.3 * i as f64).cos()).collect();
        Examples::from_row_slice(&values, 40, width).unwrap()
    };
    Dataset::regression(table(3, 0.0), table(2, 1.0)).unwrap()
}

fn still(builder: NetworkBuilder<f64>) -> Net {
    // Parameters that do not move leave the activations alone to be looked at.
    builder.optimizer(Sgd::new(1e-300)).build().unwrap()
}

fn layer(net: &Net, t: usize) -> Vec<f64> {
    net.bank().unwrap().layer(t).iter().copied().collect()
}

/// The activations of a forward pass through the two hidden layers.
fn forward(net: &Net, data: &Dataset<f64>, t: usize) -> Vec<f64> {
    let objective = net.objective();
    let mut block = objective.block(data.len());
    block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
    block.stored_mut(3).copy_from_slice(data.targets().as_slice());
    objective.anchor(&mut block).unwrap();
    block.stored(t).as_slice().to_vec()
}

#[test]
fn a_blended_start_lies_between_the_forward_pass_and_the_last_visit() {
    let data = data();
    let fit = |net: &mut Net, start| {
        let method = Method::predictive_coding(1, 1e-9).reads(Reads::Stored).start(start);
        net.fit(&data, &FitConfig::new().method(method).epochs(1).full_batch()).unwrap();
    };
    // The first visit goes far from the forward pass; the second, with steps next to nothing, shows where it starts.
    let mut away = still(builder());
    let far = Method::predictive_coding(5, 0.2).reads(Reads::Stored).start(Start::Persisted);
    away.fit(&data, &FitConfig::new().method(far).epochs(1).full_batch()).unwrap();
    for t in [1, 2] {
        let (a, z) = (forward(&away, &data, t), layer(&away, t));
        for (start, share) in [(Start::Anchored, 0.0), (Start::Blend(0.25), 0.25), (Start::Persisted, 1.0)] {
            let mut net = away.clone();
            fit(&mut net, start);
            for ((found, &a), &z) in layer(&net, t).iter().zip(&a).zip(&z) {
                let expected = a + share * (z - a);
                assert!((found - expected).abs() < 1e-7, "{start:?}: {found} instead of {expected}");
            }
        }
    }
}

#[test]
fn the_bank_knows_when_each_column_was_visited() {
    let data = data();
    let mut net = builder().method(Method::red_black()).build().unwrap();
    // 40 examples in batches of 15: three updates an epoch, of 15, 15 and 10.
    net.fit(&data, &FitConfig::new().epochs(2).batch_size(15)).unwrap();
    assert_eq!(net.updates(), 6);
    let mut counts = [0; 7];
    net.bank().unwrap().visited_at().iter().for_each(|&update| counts[update as usize] += 1);
    assert_eq!(counts, [0, 0, 0, 0, 15, 15, 10]);
    // With two local steps a visit leads to two updates.
    net.fit(&data, &FitConfig::new().method(Method::local_targets(2)).epochs(1).full_batch()).unwrap();
    assert_eq!(net.updates(), 8);
    assert!(net.bank().unwrap().visited_at().iter().all(|&update| update == 8));
}

#[test]
fn penalties_rise_by_the_factor_when_progress_stalls_and_not_beyond_the_most() {
    let data = data();
    for stall in [Stall::Residual, Stall::ForwardLoss] {
        // Nothing moves, so no epoch after the first brings progress; every second one is the first under a new penalty.
        let raise = PenaltyIncrease { factor: 4.0, most: 10.0, ..PenaltyIncrease::when(stall) };
        let method = Method::predictive_coding(1, 1e-9).penalty(Penalty::Raised(raise));
        let mut net = still(builder());
        let report = net.fit(&data, &FitConfig::new().method(method).epochs(6).full_batch()).unwrap();
        let factors: Vec<f64> = report.epochs.iter().map(|epoch| epoch.penalty_factor).collect();
        let expected = [1.0, 1.0, 4.0, 4.0, 10.0, 10.0];
        if stall == Stall::ForwardLoss {
            assert_eq!(factors, expected);
        } else {
            // The residual is 0 at the forward pass: never a fall.
            assert!(factors[5] == 10.0 && factors.windows(2).all(|pair| pair[1] <= 4.0 * pair[0]), "{factors:?}");
        }
        // The network's own penalties are what they were.
        let again = net.fit(&data, &FitConfig::new().epochs(1)).unwrap();
        assert_eq!(again.epochs[0].penalty_factor, 1.0);
    }
}

/// A penalty raised to k·μ is a network built with k·μ.
#[test]
fn a_raised_penalty_weighs_as_one_that_was_built_in() -> Result<()> {
    let data = data();
    let step = || Method::predictive_coding(3, 0.05).start(Start::Anchored).reads(Reads::Stored);
    let raise = PenaltyIncrease { factor: 3.0, most: 3.0, ..PenaltyIncrease::when(Stall::ForwardLoss) };
    let mut raised = still(builder());
    let method = step().penalty(Penalty::Raised(raise));
    let report = raised.fit(&data, &FitConfig::new().method(method).epochs(3).full_batch())?;
    assert_eq!(report.epochs[2].penalty_factor, 3.0);
    let mut built = still(builder().penalty(3.0));
    let own = built.fit(&data, &FitConfig::new().method(step()).epochs(1).full_batch())?;
    let gap = (report.epochs[2].energy - own.epochs[0].energy).abs();
    assert!(gap < 1e-12 * own.epochs[0].energy);
    for t in [1, 2] {
        for (a, b) in layer(&raised, t).iter().zip(&layer(&built, t)) {
            assert!((a - b).abs() < 1e-12);
        }
    }
    Ok(())
}

#[test]
fn multipliers_are_kept_and_stand_where_they_are_asked_for() {
    let data = data();
    let fit = |multipliers: Multipliers, epochs| {
        let method =
            Method::alm(1.0).activation(Sweeps::new(Order::Jacobi, 1, 1.0).per_penalty()).multipliers(multipliers);
        let mut net = still(builder());
        net.fit(&data, &FitConfig::new().method(method).epochs(epochs).batch_size(16)).unwrap();
        net
    };
    let size = |net: &Net, t| net.bank().unwrap().multipliers(t).map(|m| m.norm());
    // From the forward pass only the top hidden layer feels a force at first; its multiplier reaches the next a visit later.
    let (one, two) = (fit(Multipliers::kept(), 1), fit(Multipliers::kept(), 2));
    assert!(size(&one, 2).unwrap() > 1e-3 && size(&one, 1) == Some(0.0));
    assert!(size(&two, 1).unwrap() > 1e-3);
    let top = fit(Multipliers { highest_only: true, ..Multipliers::kept() }, 3);
    assert!(size(&top, 2).unwrap() > 1e-3 && size(&top, 1) == Some(0.0));
    // A rate of one half takes half of the way.
    let half = fit(Multipliers { rate: 0.5, ..Multipliers::kept() }, 1);
    assert!((size(&half, 2).unwrap() / size(&one, 2).unwrap() - 0.5).abs() < 1e-12);
    // They cost as much memory as the activations.
    let mut plain = still(builder());
    plain.fit(&data, &FitConfig::new().method(Method::alm(1.0).multipliers(None)).batch_size(16)).unwrap();
    assert_eq!(size(&plain, 1), None);
    let plain = plain.bank().unwrap().bytes();
    assert_eq!(one.bank().unwrap().bytes() - plain, 40 * 11 * 8);
}

#[test]
fn a_method_that_comes_later_finds_the_multipliers_that_were_kept() {
    let data = data();
    let mut net = still(builder());
    let config = || FitConfig::new().epochs(1).full_batch();
    net.fit(&data, &config().method(Method::alm(0.7))).unwrap();
    let kept = net.bank().unwrap().multipliers(2).unwrap().norm();
    net.fit(&data, &config().method(Method::default())).unwrap();
    assert_eq!(net.bank().unwrap().multipliers(2).unwrap().norm(), kept);
}

/// The finish never worsens the forward loss, sets the bank to the forward pass, and for squared errors ends at least squares.
#[test]
fn the_finish_refits_the_last_layer_and_leaves_a_consistent_bank() -> Result<()> {
    let data = data();
    let method = || Method::default().coupling(Coupling { finish: true, ..Coupling::default() });
    let mut net = builder().optimizer(Adam::new(1e-3)).build()?;
    let mut twin = net.clone();
    let report = net.fit(&data, &FitConfig::new().method(method()).epochs(2).batch_size(15))?;
    let refit = report.refit.expect("the method ends so");
    twin.fit(&data, &FitConfig::new().epochs(2).batch_size(15))?;
    assert!((0..2).all(|t| net.params(t) == twin.params(t)) && net.params(2) != twin.params(2));
    let (before, after) = (twin.evaluate(&data)?.loss, net.evaluate(&data)?.loss);
    assert!((refit.before - before).abs() < 1e-12 && (refit.after - after).abs() < 1e-12 && after < before);
    for t in [1, 2] {
        assert_eq!(layer(&net, t), forward(&net, &data, t));
    }
    assert!(net.bank().unwrap().visited_at().iter().all(|&update| update == net.updates()));
    // Least squares from the last hidden activations.
    let features = forward(&net, &data, 2);
    let h = DMatrix::from_column_slice(5, 40, &features).insert_row(5, 1.0);
    let y = DMatrix::from_column_slice(2, 40, data.targets().as_slice());
    let best = &y * h.transpose() * (&h * h.transpose()).try_inverse().unwrap();
    let least = 0.5 * (y - best * h).norm_squared() / 40.0;
    assert!(after >= least - 1e-12 && after - least < 1e-9 * before, "{before}, {after}, {least}");

    let labels: Vec<usize> = (0..40).map(|i| i % 2).collect();
    let inputs = MatRef::new(data.inputs().as_slice(), 3, 40);
    let rows: Vec<f64> = inputs.as_slice().to_vec();
    let classes = Dataset::classification(Examples::from_row_slice(&rows, 40, 3)?, &labels, 2)?;
    let mut net = builder().output_loss(SoftmaxCrossEntropy::new()).build()?;
    let refit = net.fit(&classes, &FitConfig::new().method(method()).epochs(1))?.refit.unwrap();
    assert!(refit.after < refit.before);
    assert!((net.evaluate(&classes)?.loss - refit.after).abs() < 1e-12);
    Ok(())
}

#[test]
fn the_network_is_trained_by_its_own_method_unless_the_fit_has_another() -> Result<()> {
    let data = data();
    let config = || FitConfig::new().epochs(1);
    let (mut own, mut given) = (builder().method(Method::joint(0.5)).build()?, builder().build()?);
    own.fit(&data, &config())?;
    given.fit(&data, &config().method(Method::joint(0.5)))?;
    assert!((0..3).all(|t| own.params(t) == given.params(t)));
    own.fit(&data, &config().method(Method::default()))?;
    given.fit(&data, &config())?;
    assert!((0..3).all(|t| own.params(t) == given.params(t)));
    Ok(())
}

/// More examples than one task works on, sorted, so that no part looks like the whole.
#[test]
fn a_refit_is_the_least_squares_of_all_examples() -> Result<()> {
    let x: Vec<f64> = (0..700).map(|i| f64::from(i) / 350.0 - 1.0).collect();
    let y: Vec<f64> = x.iter().map(|x| x + 2.0 * x * x + 0.3 * (40.0 * x).sin()).collect();
    let data = Dataset::regression(Examples::from_row_slice(&x, 700, 1)?, Examples::from_row_slice(&y, 700, 1)?)?;
    let mut net = Net::builder(1).dense(1, Activation::Identity).build()?;
    let refit = net.refit_output(&data)?;
    // Slope and height of the line, from the moments.
    let mean = |values: &[f64]| values.iter().sum::<f64>() / 700.0;
    let (mx, my) = (mean(&x), mean(&y));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mx) * b).sum::<f64>();
    let slope = product(&x, &y) / product(&x, &x);
    let expected = [slope, my - slope * mx];
    assert!(net.params(0).iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-9), "{:?}", net.params(0));
    let loss = mean(&x.iter().zip(&y).map(|(x, y)| 0.5 * (y - slope * x - expected[1]).powi(2)).collect::<Vec<_>>());
    assert!((refit.after - loss).abs() < 1e-12 && refit.after < refit.before);
    Ok(())
}

/// u = 3z at z = 10⁻⁹ and 2·10⁻⁹: moments of 10⁻¹⁸ are as good as any others.
#[test]
fn a_regression_of_tiny_numbers_has_the_slope_of_large_ones() -> Result<()> {
    for size in [1e-9, 1.0, 1e9] {
        let column = |factor: f64| Examples::from_row_slice(&[factor * size, 2.0 * factor * size], 2, 1);
        let data = Dataset::regression(column(1.0)?, column(3.0)?)?;
        let mut net = Net::builder(1).layer(Dense::new(1, 1).without_bias()).build()?;
        net.set_params(0, &[-1.0])?;
        net.refit_output(&data)?;
        assert!((net.params(0)[0] - 3.0).abs() < 1e-12, "{size:e}: {:?}", net.params(0));
    }
    Ok(())
}

/// Nothing is better than no error at all, and least squares would come a rounding error away from it.
#[test]
fn a_refit_that_would_be_worse_is_not_taken() -> Result<()> {
    let moons = decoupled::data::two_moons::<f64>(50, 0.1, 1)?;
    let mut net = Net::builder(2).dense(7, Activation::Tanh).dense(3, Activation::Identity).threads(1).build()?;
    let params: Vec<f64> = (0..24).map(|i| (1.7 * f64::from(i)).sin()).collect();
    net.set_params(1, &params)?;
    let inputs = Examples::from_row_slice(moons.inputs().as_slice(), 50, 2)?;
    let outputs = Examples::from_row_slice(net.predict(moons.inputs())?.as_slice(), 50, 3)?;
    let data = Dataset::regression(inputs, outputs)?;
    assert_eq!(net.refit_output(&data)?, Refit { before: 0.0, after: 0.0 });
    assert_eq!(net.params(1), params);
    Ok(())
}

/// A logistic regression whose first step overshoots, against Newton's method.
#[test]
fn a_refit_by_descent_comes_near_the_minimum_of_a_convex_loss() -> Result<()> {
    let x: Vec<f64> = (0..700).map(|i| f64::from(i) / 7.0 - 50.0).collect();
    let y: Vec<f64> = x.iter().enumerate().map(|(i, x)| f64::from(x + 15.0 * (1.7 * i as f64).sin() > 0.0)).collect();
    let data = Dataset::regression(Examples::from_row_slice(&x, 700, 1)?, Examples::from_row_slice(&y, 700, 1)?)?;
    let mut net = Net::builder(1).dense(1, Activation::Identity).output_loss(BinaryCrossEntropy).build()?;
    net.set_params(0, &[0.0; 2])?;
    let refit = net.refit_output(&data)?;
    let (mut w, mut b) = (0.0, 0.0);
    let at = |w: f64, b: f64, i: usize| 1.0 / (1.0 + (-w * x[i] - b).exp());
    for _ in 0..50 {
        let sum = |f: &dyn Fn(usize) -> f64| (0..700).map(f).sum::<f64>();
        let (gw, gb) = (sum(&|i| (at(w, b, i) - y[i]) * x[i]), sum(&|i| at(w, b, i) - y[i]));
        let bend = |i: usize| at(w, b, i) * (1.0 - at(w, b, i));
        let (hww, hwb, hbb) = (sum(&|i| bend(i) * x[i] * x[i]), sum(&|i| bend(i) * x[i]), sum(&bend));
        let det = hww * hbb - hwb * hwb;
        (w, b) = (w - (hbb * gw - hwb * gb) / det, b - (hww * gb - hwb * gw) / det);
    }
    let loss = |i: usize| -if y[i] > 0.5 { at(w, b, i).ln() } else { (1.0 - at(w, b, i)).ln() };
    let least = (0..700).map(loss).sum::<f64>() / 700.0;
    assert!(least < 0.6 * refit.before && refit.after > least * (1.0 - 1e-9), "{least}, {refit:?}");
    assert!(refit.after < 1.01 * least, "{least}, {refit:?}");
    Ok(())
}

#[test]
fn a_refit_from_a_forward_pass_that_overflows_is_a_divergence_and_changes_nothing() -> Result<()> {
    let line = Examples::from_row_slice(&[1.0, 2.0], 2, 1)?;
    let data = Dataset::regression(line.clone(), line)?;
    let diverges_in = |outcome: Result<Refit>| match outcome {
        Err(Error::Diverged { layer, .. }) => layer,
        other => panic!("{other:?}"),
    };
    let mut single = Net::builder(1).dense(1, Activation::Identity).build()?;
    single.set_params(0, &[1e200, 0.0])?;
    assert_eq!((diverges_in(single.refit_output(&data)), single.params(0)), (0, &[1e200, 0.0][..]));

    // A unit that is bounded gives a loss that is finite.
    let builder = Net::builder(1).dense(1, Activation::Relu).dense(1, Activation::Relu).dense(1, Activation::HardTanh);
    let mut net = builder.dense(1, Activation::Identity).build()?;
    for t in 0..4 {
        net.set_params(t, &[1e200, 0.0])?;
    }
    assert_eq!((diverges_in(net.refit_output(&data)), net.params(3)), (2, &[1e200, 0.0][..]));

    // The same at the end of a fit whose last step went there: no bank is left that could not be trained on.
    let builder = Net::builder(1).dense(1, Activation::Relu).dense(1, Activation::Relu).dense(1, Activation::Identity);
    let mut net = builder.optimizer(Sgd::new(1e200)).build()?;
    for t in 0..3 {
        net.set_params(t, &[-1.0, 3.0])?;
    }
    let outcome = net.fit(&data, &FitConfig::new().epochs(1).method(Method::red_black().finish(true)));
    assert!(matches!(outcome, Err(Error::Diverged { epoch: 1, .. })), "{outcome:?}");
    assert!(net.bank().is_none() && net.epochs() == 1);
    Ok(())
}

/// What the multiplier of a visit follows is the residual that its first parameter step reads.
#[test]
fn multipliers_rise_once_a_visit_by_the_penalty_times_the_residual_that_was_read() {
    let data = data();
    let (penalties, rate) = ([0.5, 3.0], 0.3);
    for reads in [Reads::Stored, Reads::Forward] {
        for local_steps in [1, 3] {
            let method = Method::predictive_coding(2, 0.05).reads(reads);
            let method = method.timing(Timing::AfterRelaxation { local_steps });
            let method = method.multipliers(Multipliers { rate, ..Multipliers::kept() });
            let builder = builder().layer_penalty(1, penalties[0]).layer_penalty(2, penalties[1]);
            let mut net = builder.optimizer(Sgd::new(0.05)).build().unwrap();
            let config = FitConfig::new().method(method.clone()).epochs(1).full_batch();
            let mut before = [vec![0.0; 40 * 6], vec![0.0; 40 * 5]];
            for visit in 1..=3 {
                let parameters = net.clone();
                net.fit(&data, &config).unwrap();
                for t in [1, 2] {
                    // The activations in the bank are those that the step read.
                    let below = if t == 1 { data.inputs().as_slice().to_vec() } else { layer(&net, 1) };
                    let prediction = if reads == Reads::Forward {
                        forward(&parameters, &data, t)
                    } else {
                        predict(&parameters, t - 1, &below)
                    };
                    let z = layer(&net, t);
                    let kept: Vec<f64> = net.bank().unwrap().multipliers(t).unwrap().iter().copied().collect();
                    for (i, kept) in kept.iter().enumerate() {
                        let expected = before[t - 1][i] + rate * penalties[t - 1] * (z[i] - prediction[i]);
                        assert!(
                            (kept - expected).abs() < 1e-12,
                            "{reads:?}, {local_steps} steps, visit {visit}, λ_{t}"
                        );
                    }
                    before[t - 1] = kept;
                }
            }
        }
    }
}

/// tanh(W·z + b) of a hidden layer for all examples.
fn predict(net: &Net, t: usize, z: &[f64]) -> Vec<f64> {
    let rows = [6, 5][t];
    let z = DMatrix::from_column_slice(z.len() / 40, 40, z).insert_row(z.len() / 40, 1.0);
    let map = DMatrix::from_column_slice(rows, z.nrows(), net.params(t));
    (map * z).map(f64::tanh).as_slice().to_vec()
}
