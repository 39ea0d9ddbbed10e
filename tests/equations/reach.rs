//! Which layers a visit reaches, and the step that follows the curvature.

use decoupled::data::Examples;
use decoupled::layer::{Activation, Dense, Init};
use decoupled::method::activation_step::Prepared;
use decoupled::method::{Block, ErrorSteps, Order, Sweeps, Timing, curvature};
use decoupled::optimizer::Sgd;
use decoupled::{
    ActivationStep, Dataset, DecoupledNetwork, Error, FitConfig, Method, NetworkBuilder, Result, Scalar, Warning, data,
    diagnostics, nalgebra,
};
use nalgebra::DMatrix;

use crate::builtin;

/// Hidden widths 6, five hidden layers.
fn deep<T: Scalar>() -> Result<(DecoupledNetwork<T>, Dataset<T>)> {
    let data = data::two_moons(32, 0.1, 0)?;
    let mut builder = DecoupledNetwork::builder(2);
    for _ in 0..5 {
        builder = builder.dense(6, Activation::Tanh);
    }
    Ok((builder.dense(2, Activation::Identity).build()?, data))
}

#[test]
fn the_warning_counts_exactly_the_layers_that_did_not_move() -> Result<()> {
    for timing in [Timing::AfterRelaxation { local_steps: 1 }, Timing::EveryStep] {
        for steps in 1..=7 {
            let (mut net, data) = deep::<f64>()?;
            let before: Vec<Vec<f64>> = (0..net.depth()).map(|t| net.params(t).to_vec()).collect();
            let method = Method::predictive_coding(steps, 0.1).timing(timing).reads(decoupled::method::Reads::Stored);
            let report = net.fit(&data, &FitConfig::new().method(method).epochs(1).full_batch())?;
            let unmoved = (0..net.depth()).filter(|&t| net.params(t) == &before[t][..]).count();
            let expected = if unmoved > 0 { vec![Warning::OutOfReach { layers: unmoved }] } else { vec![] };
            assert_eq!(report.warnings, expected, "{timing:?}, {steps} steps");
        }
    }
    Ok(())
}

#[test]
fn the_default_reaches_every_layer() -> Result<()> {
    let (mut net, data) = deep::<f64>()?;
    let report = net.fit(&data, &FitConfig::new().epochs(1).full_batch())?;
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert!(report.epochs[0].update_norms.iter().all(|&norm| norm > 0.0));
    Ok(())
}

/// One sweep more than the signal needs, which crosses one, two or all ten hidden layers in each.
#[test]
fn the_default_counts_its_sweeps_by_their_order() {
    // The forward pass has 11 products; a sweep 2, 4 or 1 + 10, of which the first finds its first predictions done; then the gradient.
    for (order, sweeps, each) in [(Order::Jacobi, 11, 2), (Order::RedBlack, 6, 4), (Order::ReverseGaussSeidel, 2, 11)] {
        let method = Method::<f32>::red_black().activation(Sweeps::reaching(order, 0.3).stable(1.8));
        assert_eq!(method.sequential_products(11), 11 + sweeps * each - 1 + 1, "{order:?}");
        assert_eq!(method.sequential_products(2), 2 + 2 * 2, "{order:?}: a single hidden layer, in two sweeps");
        assert_eq!(method.sequential_products(1), 2, "{order:?}: nothing to relax");
    }
}

/// A linear chain with two examples, and its Hessian in Z, which is block tridiagonal: μ_t + μ_{t+1} W_tᵀW_t on the diagonal,
/// −μ_{t+1} W_t beside it, μ being 1 at the output.
fn linear_chain<T: Scalar>(
    widths: &[usize],
    penalty: f64,
    seed: u64,
) -> Result<(DecoupledNetwork<T>, Dataset<T>, DMatrix<f64>)> {
    let mut builder = DecoupledNetwork::<T>::builder(widths[0]).penalty(penalty).seed(seed);
    for &width in &widths[1..] {
        builder = builder.dense(width, Activation::Identity);
    }
    let net = builder.build()?;
    let (top, size) = (net.depth(), widths[1..net.depth()].iter().sum());
    let mut hessian = DMatrix::<f64>::identity(size, size) * penalty;
    let mut add = |row, col, block: DMatrix<f64>| {
        let mut view = hessian.view_mut((row, col), block.shape());
        view += &block;
    };
    let mut at = 0;
    for t in 1..top {
        let entries = net.params(t)[..widths[t] * widths[t + 1]].iter().map(|w| w.to_f64());
        let w = DMatrix::from_iterator(widths[t + 1], widths[t], entries);
        let (own, above) = (at, at + widths[t]);
        if t + 1 == top {
            add(own, own, w.transpose() * &w);
        } else {
            add(own, own, w.transpose() * &w * penalty);
            add(above, own, -&w * penalty);
            add(own, above, -w.transpose() * penalty);
        }
        at = above;
    }
    let column = |of: fn(f64) -> f64, rows: usize| (0..rows).map(move |i| T::of(of(i as f64))).collect::<Vec<T>>();
    let inputs = Examples::from_rows(&[column(f64::sin, widths[0]), column(f64::cos, widths[0])])?;
    let targets = Examples::from_rows(&[column(|_| 1.0, widths[top]), column(|i| i - 1.0, widths[top])])?;
    Ok((net, Dataset::regression(inputs, targets)?, hessian))
}

/// A block at the forward pass of all examples.
fn anchored<T: Scalar>(net: &DecoupledNetwork<T>, data: &Dataset<T>) -> Result<Block<T>> {
    let objective = net.objective();
    let mut block = objective.block(data.len());
    block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
    block.stored_mut(net.depth()).copy_from_slice(data.targets().as_slice());
    objective.anchor(&mut block)?;
    Ok(block)
}

#[test]
fn the_curvature_of_a_linear_chain_is_that_of_a_dense_eigensolver() -> Result<()> {
    for (seed, penalty) in [(1, 0.3), (2, 1.0), (3, 7.0)] {
        let (net, data, hessian) = linear_chain::<f64>(&[4, 7, 5, 3], penalty, seed)?;
        let expected = hessian.symmetric_eigenvalues().max();
        let mut block = anchored(&net, &data)?;
        let (z1, found) = (block.stored(1).as_slice().to_vec(), curvature(&net.objective(), &mut block, 200)?);
        assert!((found / expected - 1.0).abs() < 0.01, "{found} instead of {expected}");
        assert!(found <= expected * (1.0 + 1e-6));
        assert_eq!(block.stored(1).as_slice(), z1, "activations are left as they were");
    }
    Ok(())
}

/// Over the input z of a unit tanh(w·z) the energy ½μ(z − ẑ)² + ½(f − y)² has the curvature μ + f'² + (f − y)·f''.
#[test]
fn the_curvature_of_a_bent_unit_is_the_second_derivative_of_its_energy() -> Result<()> {
    let (w, target, penalty) = (1.5, 0.8, 0.3);
    let mut net = DecoupledNetwork::<f64>::builder(1).penalty(penalty);
    for activation in [Activation::Identity, Activation::Tanh] {
        net = net.dense(1, activation);
    }
    let mut net = net.build()?;
    net.set_params(0, &[1.0, 0.0])?;
    net.set_params(1, &[w, 0.0])?;
    // The step of the differences depends on the size of z.
    for z in [0.0f64, 0.4, 1.0, -3.0] {
        let mut block = net.objective().block(1);
        for (t, value) in [0.7, z, target].into_iter().enumerate() {
            block.stored_mut(t)[0] = value;
        }
        let f = (w * z).tanh();
        let slope = w * (1.0 - f * f);
        let expected = penalty + slope * slope - (f - target) * 2.0 * f * w * slope;
        let found = curvature(&net.objective(), &mut block, 1)?;
        assert!((found - expected.abs()).abs() < 1e-8, "{found} instead of {expected} at {z}");
    }
    Ok(())
}

/// The energies before and after so many plain sweeps at this rate.
fn relaxed<T: Scalar>(
    net: &DecoupledNetwork<T>,
    data: &Dataset<T>,
    (order, steps, rate): (Order, usize, f64),
) -> Result<(T, T)> {
    let (objective, mut block) = (net.objective(), anchored(net, data)?);
    let start = objective.energy(&mut block)?;
    Sweeps::new(order, steps, rate).relax(&objective, &mut block)?;
    Ok((start, objective.energy(&mut block)?))
}

/// The proposed rates lie below what a dense eigensolver finds stable, and not far below; at 2.2/λmax the energy rises.
fn advice_fits_the_eigenvalues<T: Scalar>() -> Result<()> {
    let mut ratios = Vec::new();
    for (seed, penalty) in [(1, 0.3), (2, 1.0), (3, 7.0)] {
        let widths = [4, 7, 5, 6, 3];
        let (net, data, hessian) = linear_chain::<T>(&widths, penalty, seed)?;
        let advice = diagnostics::find_step(&net, &data)?;
        let largest = hessian.clone().symmetric_eigenvalues().max();
        let mut at = 0;
        let own = widths[1..4].iter().map(|&width| {
            at += width;
            hessian.view((at - width, at - width), (width, width)).into_owned().symmetric_eigenvalues().max()
        });
        let own: Vec<f64> = own.collect();
        let near = |found: f64, expected: f64| found > 0.97 * expected && found < 1.001 * expected;
        assert!(near(advice.curvature, largest), "{} {largest}", advice.curvature);
        assert_eq!(advice.layer_curvatures.len(), 3);
        let layers = advice.layer_curvatures.iter().zip(&own);
        assert!(layers.clone().all(|(&found, &own)| near(found, own)), "{:?} {own:?}", advice.layer_curvatures);

        let of_layers = own.iter().copied().fold(0.0, f64::max);
        ratios.push(of_layers / largest);
        let bounds = [(Order::Jacobi, largest), (Order::RedBlack, of_layers), (Order::ReverseGaussSeidel, of_layers)];
        for (order, bound) in bounds {
            let (stable, proposed) = (advice.largest_stable(order), advice.proposed(order));
            assert!(near(2.0 / stable, bound), "{order:?}: {stable}, bound {bound}");
            assert!(1.0 / bound < proposed && proposed < 2.0 / bound, "{order:?}: {proposed}, bound {bound}");
            let (before, after) = relaxed(&net, &data, (order, 1, proposed))?;
            assert!(after < before, "{order:?}: {before} to {after} in one sweep");
            let (before, after) = relaxed(&net, &data, (order, 100, proposed))?;
            assert!(after < before, "{order:?}: {before} to {after}");
        }
        let (before, after) = relaxed(&net, &data, (Order::Jacobi, 100, 2.2 / largest))?;
        assert!(after > before, "{before} to {after}");
    }
    assert!(ratios.iter().any(|&ratio| ratio < 0.8), "the bounds of the orders are too much alike: {ratios:?}");
    Ok(())
}

#[test]
fn the_proposed_step_is_stable_and_large_in_double_precision() -> Result<()> {
    advice_fits_the_eigenvalues::<f64>()
}

#[test]
fn the_proposed_step_is_stable_and_large_in_single_precision() -> Result<()> {
    advice_fits_the_eigenvalues::<f32>()
}

/// Two groups that do not couple inside: λmax of the whole is at most twice that of the larger one.
#[test]
fn red_black_order_has_as_much_room_as_jacobi_order_and_at_most_twice_as_much() -> Result<()> {
    for seed in 0..6 {
        let (net, data, _) = linear_chain::<f64>(&[3, 8, 8, 8, 8, 8, 2], 1.0, seed)?;
        let advice = diagnostics::find_step(&net, &data)?;
        let (together, apart) = (advice.largest_stable(Order::Jacobi), advice.largest_stable(Order::RedBlack));
        assert!(together < apart && apart < 2.0 * together * 1.001, "{together} {apart}");
    }
    Ok(())
}

#[test]
fn no_step_is_proposed_where_nothing_could_step_or_numbers_run_away() -> Result<()> {
    let (net, data, _) = linear_chain::<f32>(&[4, 3], 1.0, 0)?;
    assert!(matches!(diagnostics::find_step(&net, &data), Err(Error::Unsupported { what: "find_step", .. })));
    let (mut net, data, _) = linear_chain::<f32>(&[4, 5, 5, 3], 1.0, 0)?;
    for t in 0..3 {
        let huge: Vec<f32> = net.params(t).iter().map(|&w| w * 1e30).collect();
        net.set_params(t, &huge)?;
    }
    assert!(matches!(diagnostics::find_step(&net, &data), Err(Error::Unsupported { what: "find_step", .. })));
    let other = data::two_moons(8, 0.1, 0)?;
    assert!(matches!(diagnostics::find_step(&net, &other), Err(Error::Shape { expected: 4, found: 2, .. })));
    Ok(())
}

#[test]
fn a_stable_fraction_is_a_rate_in_units_of_the_curvature() -> Result<()> {
    let (mut net, data) = deep::<f64>()?;
    let mut twin = net.clone();
    let follow = Method::predictive_coding(6, 1.0).activation(Sweeps::new(Order::Jacobi, 6, 1.0).stable(0.5));
    let report = net.fit(&data, &FitConfig::new().method(follow).epochs(1).full_batch())?;
    let largest = report.epochs[0].curvature.expect("the method follows the curvature");
    let fixed = Method::predictive_coding(6, 0.5 / largest);
    twin.fit(&data, &FitConfig::new().method(fixed).epochs(1).full_batch())?;
    for t in 0..net.depth() {
        for (a, b) in net.params(t).iter().zip(twin.params(t)) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }
    Ok(())
}

#[test]
fn relaxation_never_raises_the_energy_below_the_stable_fraction_and_blows_up_beyond() -> Result<()> {
    let (net, data) = deep::<f64>()?;
    let objective = net.objective();
    for order in builtin::ORDERS {
        for (fraction, stable) in [(0.5, true), (1.5, true), (4.0, false)] {
            let mut block = anchored(&net, &data)?;
            let start = objective.energy(&mut block)?;
            let rate = fraction / curvature(&objective, &mut block, 60)?;
            Sweeps::new(order, 60, rate).relax(&objective, &mut block)?;
            let end = objective.energy(&mut block)?;
            match (stable, order) {
                (true, _) => assert!(end < start, "{order:?} {fraction}: {start} to {end}"),
                // A reverse sweep may bear a larger step: it needs only each layer's own block to be stable.
                (false, Order::Jacobi) => assert!(end > start, "{order:?} {fraction}: {start} to {end}"),
                (false, _) => {}
            }
        }
    }
    Ok(())
}

/// A chain of single linear units z ← w·z with penalties μ: over z_t alone the energy has the curvature μ_t + w_t²·μ_{t+1}, the
/// output's weight being 1.
#[test]
fn in_an_order_of_layers_each_follows_the_curvature_of_its_own_block() -> Result<()> {
    let (weights, penalties) = ([0.7, -2.0, 0.3, 3.0], [0.5, 2.0, 1.5]);
    let mut net = DecoupledNetwork::<f64>::builder(1);
    for (w, above) in weights.iter().zip(1..) {
        net = net.layer(Dense::new(1, 1).without_bias().init(Init::constant(*w)));
        if above <= penalties.len() {
            net = net.layer_penalty(above, penalties[above - 1]);
        }
    }
    let net = net.optimizer(Sgd::new(1e-300)).build()?;
    let inputs = Examples::from_rows(&[[1.0]; 8])?;
    let data = Dataset::regression(inputs, Examples::from_rows(&[[0.4]; 8])?)?;
    let above = [penalties[1], penalties[2], 1.0];
    let own: Vec<f64> = (0..3).map(|t| penalties[t] + weights[t + 1] * weights[t + 1] * above[t]).collect();
    let (fraction, cap) = (1.2f64, 0.3f64);
    let rates: Vec<f64> = own.iter().map(|own| cap.min(fraction / own)).collect();
    // One rate is the cap, the others are not.
    assert_eq!(rates.iter().filter(|&&rate| rate == cap).count(), 1, "{rates:?}");
    for order in [Order::RedBlack, Order::ReverseGaussSeidel] {
        let method = Method::predictive_coding(1, cap).activation(Sweeps::new(order, 1, cap).stable(fraction));
        let objective = net.objective();
        let mut block = objective.block(1);
        block.stored_mut(0)[0] = 1.0;
        block.stored_mut(4)[0] = 0.4;
        // Off the forward pass, so that every layer has a gradient.
        (1..4).for_each(|t| block.stored_mut(t)[0] = 0.2 * t as f64);
        let mut by_hand: Vec<f64> = (0..=4).map(|t| block.stored(t).as_slice()[0]).collect();
        method.activation_step().relax(&objective, &mut block)?;
        let sequence: &[usize] = if order == Order::RedBlack { &[3, 1, 2] } else { &[3, 2, 1] };
        for &t in sequence {
            let error = |t: usize| by_hand[t] - weights[t - 1] * by_hand[t - 1];
            let gradient = penalties[t - 1] * error(t) - weights[t] * above[t - 1] * error(t + 1);
            by_hand[t] -= rates[t - 1] * gradient;
        }
        for (t, by_hand) in by_hand.iter().enumerate() {
            let found = block.stored(t).as_slice()[0];
            assert!((found - by_hand).abs() < 1e-8, "{order:?} z_{t}: {found}, by hand {by_hand}");
        }
        let report = net.clone().fit(&data, &FitConfig::new().method(method).epochs(1).full_batch())?;
        let largest = own.iter().copied().fold(0.0, f64::max);
        let margin = own.iter().zip(&rates).map(|(own, rate)| 2.0 / (own * rate)).fold(f64::INFINITY, f64::min);
        let epoch = &report.epochs[0];
        assert!((epoch.curvature.unwrap() - largest).abs() < 1e-7 * largest, "{:?} {largest}", epoch.curvature);
        assert!((epoch.stability_margin.unwrap() - margin).abs() < 1e-7, "{:?} {margin}", epoch.stability_margin);
    }
    Ok(())
}

#[test]
fn the_stable_rate_is_a_cap_and_no_goal() -> Result<()> {
    let (mut net, data) = deep::<f64>()?;
    let mut twin = net.clone();
    let config = |method| FitConfig::new().method(method).epochs(2).full_batch();
    let stable = Sweeps::new(Order::Jacobi, 6, 0.01).stable(1.9);
    let capped = net.fit(&data, &config(Method::predictive_coding(6, 0.01).activation(stable)))?;
    twin.fit(&data, &config(Method::predictive_coding(6, 0.01)))?;
    assert!(1.9 / capped.epochs[0].curvature.unwrap() > 0.02);
    (0..net.depth()).for_each(|t| assert_eq!(net.params(t), twin.params(t)));
    Ok(())
}

/// With all examples alike any sample of them has the curvature of the whole.
#[test]
fn the_reported_curvature_is_near_the_largest_eigenvalue() -> Result<()> {
    let (mut net, data) = deep::<f64>()?;
    let data = data.select(&[3; 32])?;
    let largest = curvature(&net.objective(), &mut anchored(&net, &data)?, 500)?;
    let together = Method::red_black().activation(Sweeps::reaching(Order::Jacobi, 0.3).stable(1.8));
    let report = net.fit(&data, &FitConfig::new().method(together).epochs(1).full_batch())?;
    let found = report.epochs[0].curvature.unwrap();
    assert!(found > 0.95 * largest && found < 1.0001 * largest, "{found} of {largest}");
    Ok(())
}

#[test]
fn the_curvature_of_several_examples_is_the_largest_of_theirs() -> Result<()> {
    let (net, data) = deep::<f64>()?;
    let of = |examples: &[usize]| {
        let mut block = anchored(&net, &data.select(examples)?)?;
        curvature(&net.objective(), &mut block, 2000)
    };
    let each = [of(&[0])?, of(&[5])?, of(&[20])?];
    let largest = each.into_iter().fold(0.0, f64::max);
    assert!(each.iter().any(|l| *l < 0.99 * largest), "{each:?} are too much alike for a test");
    for order in [[0, 5, 20], [20, 0, 5], [5, 20, 0]] {
        let found = of(&order)?;
        assert!((found - largest).abs() < 1e-3 * largest, "{found} of {largest}");
    }
    Ok(())
}

/// In linear layers with penalties μ the energy is ½‖r − Σ P_t ε_t‖² + ½ μ Σ ‖ε_t‖², P_t the product of the maps above z_t: its Hessian in
/// the errors is μ + PᵀP, P = [P_1 … P_{T−1}].
#[test]
fn error_steps_follow_the_curvature_in_error_coordinates() -> Result<()> {
    let widths = [3, 4, 5, 2];
    let penalty = 0.8;
    let method = |fraction: f64| {
        let method = Method::error_based(2, 10.0);
        method.activation(ErrorSteps::new(2, 10.0).stable(fraction))
    };
    let build = |init: Init, fraction: f64| {
        let layer = |net: NetworkBuilder<f64>, &width: &usize| net.dense_with(width, Activation::Identity, init);
        let builder = widths[1..].iter().fold(DecoupledNetwork::<f64>::builder(widths[0]), layer);
        builder.penalty(penalty).optimizer(Sgd::new(0.01)).method(method(fraction)).seed(4).threads(1).build()
    };
    for (gain, fraction) in [(0.5, 0.5), (1.0, 1.5), (3.0, 1.9)] {
        let mut net = build(Init::glorot_normal().gain(gain), fraction)?;
        let map = |t: usize| {
            DMatrix::from_column_slice(widths[t + 1], widths[t], &net.params(t)[..widths[t + 1] * widths[t]])
        };
        let top = map(2);
        let below = &top * map(1);
        let gram = &top * top.transpose() + &below * below.transpose();
        let largest = penalty + gram.symmetric_eigenvalues().max();
        // A fourth of the batch is the sample, and each of its examples begins the iteration in a direction of its own.
        let wave = |rate: f64, len: usize| (0..len).map(|i| (i as f64 * rate).sin()).collect::<Vec<_>>();
        let data = Dataset::regression(
            Examples::from_row_slice(&wave(0.7, 3 * 40), 40, 3)?,
            Examples::from_row_slice(&wave(1.3, 2 * 40), 40, 2)?,
        )?;
        let report = net.fit(&data, &FitConfig::new().epochs(1).full_batch())?;
        let found = report.epochs[0].curvature.unwrap();
        // Eight power iterations: a lower bound.
        assert!(found < largest * (1.0 + 1e-9) && found > 0.95 * largest, "gain {gain}: {found} of {largest}");
        let margin = report.epochs[0].stability_margin.unwrap();
        assert!((margin - 2.0 / fraction).abs() < 1e-9, "the rate 10 is far above: {margin}");

        // A step by hand at that rate; and what is relaxed starts where it was, wherever that is.
        let net = build(Init::glorot_normal().gain(gain), fraction)?;
        let objective = net.objective();
        let mut block = objective.block(40);
        block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
        block.stored_mut(3).copy_from_slice(data.targets().as_slice());
        objective.anchor(&mut block)?;
        block.stored_mut(1).iter_mut().for_each(|z| *z += 0.25);
        let (mut own, mut twin) = (block.clone(), block);
        let (mut prepared, step) = (Prepared::default(), ErrorSteps::new(1, 10.0).stable(fraction));
        step.adapt(&objective, &mut own, &mut prepared)?;
        assert!((1..3).all(|t| own.stored(t) == twin.stored(t)), "restored bit for bit");
        step.relax(&objective, &mut own)?;
        ErrorSteps::new(1, fraction / prepared.rates.curvature.unwrap()).relax(&objective, &mut twin)?;
        for t in 1..3 {
            assert!(own.stored(t).as_slice().iter().zip(twin.stored(t).as_slice()).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }
    for bad in [0.0, 2.0, f64::NAN] {
        assert!(build(Init::glorot_normal(), bad).is_err());
    }
    Ok(())
}
