//! Closed forms against minimisers that are not: normal equations by another road, brute force, and the energy itself.

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init, Proximal, Regression};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::method::{
    Exact, GaussNewton, GradientStep, Multipliers, Order, Penalty, PenaltyIncrease, Reads, Ridge, Stall, Start, Sweeps,
    Timing,
};
use decoupled::nalgebra::{DMatrix, DVector};
use decoupled::optimizer::Sgd;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    ActivationStep, Dataset, DecoupledNetwork, Error, FitConfig, Layer, MatMut, MatRef, Method, NetworkBuilder,
};

type Matrix = DMatrix<f64>;

fn rng(seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(seed)
}

fn uniform(rng: &mut ChaCha12Rng, n: usize, bound: f64) -> Vec<f64> {
    (0..n).map(|_| bound * (2.0 * rng.random::<f64>() - 1.0)).collect()
}

fn view(m: &Matrix) -> MatRef<'_, f64> {
    MatRef::new(m.as_slice(), m.nrows(), m.ncols())
}

fn random(rng: &mut ChaCha12Rng, rows: usize, cols: usize) -> Matrix {
    Matrix::from_vec(rows, cols, uniform(rng, rows * cols, 1.0))
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{f} instead of {e}");
    }
}

/// The minimum of a quadratic that is only known by its values: gradient and Hessian by differences, exact for a quadratic, then
/// one elimination.
fn minimum(start: &[f64], value: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let n = start.len();
    let at = |moves: &[(usize, f64)]| {
        let mut x = start.to_vec();
        moves.iter().for_each(|&(i, h)| x[i] += h);
        value(&x)
    };
    let h = 0.5;
    let gradient = DVector::from_fn(n, |i, _| (at(&[(i, h)]) - at(&[(i, -h)])) / (2.0 * h));
    let hessian = Matrix::from_fn(n, n, |i, j| {
        (at(&[(i, h), (j, h)]) - at(&[(i, h), (j, -h)]) - at(&[(i, -h), (j, h)]) + at(&[(i, -h), (j, -h)]))
            / (4.0 * h * h)
    });
    let step = hessian.lu().solve(&gradient).unwrap();
    start.iter().zip(step.iter()).map(|(x, s)| x - s).collect()
}

fn dense(inputs: usize, outputs: usize, bias: bool) -> Dense {
    let layer = Dense::new(inputs, outputs);
    if bias { layer } else { layer.without_bias() }
}

fn apply(layer: &dyn Layer<f64>, params: &[f64], z: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(layer.output_dim(), z.ncols());
    let (rows, cols) = out.shape();
    let mut cache = vec![f64::NAN; layer.cache_len(cols)];
    layer.forward(params, view(z), MatMut::new(out.as_mut_slice(), rows, cols), &mut cache);
    out
}

#[test]
fn the_input_that_best_explains_an_output_of_a_dense_layer_is_the_minimum_of_the_quadratic() {
    let mut rng = rng(1);
    // Wide, tall and square; the smaller of two matrices is inverted.
    for (inputs, outputs) in [(1, 1), (3, 5), (5, 3), (6, 6), (7, 1), (1, 7)] {
        for bias in [true, false] {
            for weight in [1e-3, 0.7, 50.0] {
                let layer = dense(inputs, outputs, bias);
                let params = uniform(&mut rng, layer.param_len(), 1.0);
                let (near, target) = (random(&mut rng, inputs, 1), random(&mut rng, outputs, 1));
                let value = |z: &[f64]| {
                    let z = Matrix::from_column_slice(inputs, 1, z);
                    0.5 * (&target - apply(&layer, &params, &z)).norm_squared()
                        + 0.5 * weight * (&z - &near).norm_squared()
                };
                let expected = minimum(near.as_slice(), value);
                let mut prepared = vec![f64::NAN; Proximal::<f64>::prepared_len(&layer)];
                // Scratch may hold anything.
                let mut work = vec![f64::NAN; 1000];
                Proximal::prepare(&layer, &params, weight, &mut prepared, &mut work).unwrap();
                // Beside other examples.
                let mut z = Matrix::from_columns(&[near.column(0), random(&mut rng, inputs, 1).column(0)]);
                let mut targets = Matrix::from_columns(&[target.column(0), random(&mut rng, outputs, 1).column(0)]);
                let out = MatMut::new(z.as_mut_slice(), inputs, 2);
                let targets = MatMut::new(targets.as_mut_slice(), outputs, 2);
                Proximal::solve(&layer, &params, &prepared, weight, targets, out);
                close(z.column(0).as_slice(), &expected, 1e-8);
            }
        }
    }
}

#[test]
fn regression_finds_the_minimum_of_the_penalised_squares() {
    let mut rng = rng(2);
    for (inputs, outputs, examples) in [(1, 1, 3), (3, 2, 10), (4, 3, 2)] {
        for bias in [true, false] {
            for (ridge, proximal) in [(0.3, 0.0), (0.0, 2.0), (0.5, 0.1)] {
                let layer = dense(inputs, outputs, bias);
                let old = uniform(&mut rng, layer.param_len(), 1.0);
                let (z, u) = (random(&mut rng, inputs, examples), random(&mut rng, outputs, examples));
                let value = |params: &[f64]| {
                    let weights: f64 = params[..inputs * outputs].iter().map(|w| w * w).sum();
                    let moved: f64 = params.iter().zip(&old).map(|(p, o)| (p - o) * (p - o)).sum();
                    0.5 * (&u - apply(&layer, params, &z)).norm_squared()
                        + 0.5 * ridge * weights
                        + 0.5 * proximal * moved
                };
                let mut moments = vec![0.0; Regression::<f64>::moments_len(&layer)];
                // In two parts.
                let split = examples / 2;
                for part in [0..split, split..examples] {
                    let take = |m: &Matrix| m.columns(part.start, part.len()).into_owned();
                    Regression::accumulate(&layer, view(&take(&z)), view(&take(&u)), &[], &mut moments);
                }
                let mut found = old.clone();
                Regression::solve(&layer, &moments, ridge, proximal, &mut found, &mut vec![f64::NAN; 1000]).unwrap();
                close(&found, &minimum(&old, value), 1e-8);
                // What a trust region measures.
                let change = Regression::change(&layer, &moments, &old, &found);
                let (before, after) = (apply(&layer, &old, &z), apply(&layer, &found, &z));
                let squared = (&after - &before).norm_squared() / examples as f64;
                let mean = before.column_mean();
                let spread: f64 =
                    before.column_iter().map(|c| (c - &mean).norm_squared()).sum::<f64>() / examples as f64;
                close(&[change.squared, change.spread], &[squared, spread], 1e-10);
            }
        }
    }
}

#[test]
fn too_few_examples_without_a_penalty_have_no_single_answer() {
    let layer = Dense::new(4, 2);
    let mut rng = rng(3);
    let mut moments = vec![0.0; Regression::<f64>::moments_len(&layer)];
    let (z, u) = (random(&mut rng, 4, 2), random(&mut rng, 2, 2));
    Regression::accumulate(&layer, view(&z), view(&u), &[], &mut moments);
    let mut params = vec![0.25; layer.param_len()];
    let refused = Regression::solve(&layer, &moments, 0.0, 0.0, &mut params, &mut Vec::new());
    assert!(matches!(refused, Err(Error::NotPositiveDefinite { size: 5, .. })), "{refused:?}");
    assert!(params.iter().all(|p| *p == 0.25));
}

/// What a chain wants of its map is a pre-activation that explains the target better, and moves little where it does already.
#[test]
fn the_wanted_pre_activation_of_a_chain_is_the_proximal_point_of_its_activation() {
    let mut rng = rng(4);
    for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid, Activation::HardTanh] {
        let chain = Chain::new().then(Dense::new(3, 2)).then(Elementwise::new(2, activation));
        let params = uniform(&mut rng, 8, 1.0);
        let (z, target) = (random(&mut rng, 3, 6), random(&mut rng, 2, 6));
        let regression = Layer::<f64>::regression(&chain).unwrap();
        let mut wanted = Matrix::zeros(2, 6);
        regression.pre_activation(&params, view(&z), view(&target), MatMut::new(wanted.as_mut_slice(), 2, 6)).unwrap();
        let now = apply(&Dense::new(3, 2), &params, &z);
        for ((&wanted, &now), &target) in wanted.iter().zip(now.iter()).zip(target.iter()) {
            let value = |u: f64| 0.5 * (target - activation.value(u)).powi(2) + 0.005 * (u - now).powi(2);
            let best = (-4000..=4000).map(|i| value(0.01 * f64::from(i))).fold(f64::INFINITY, f64::min);
            assert!(value(wanted) <= best + 1e-9, "{activation:?}: {} against {best}", value(wanted));
        }
    }
    let open = Chain::<f64>::new().then(Dense::new(3, 2)).then(Dense::new(2, 2));
    assert!(open.regression().is_none() && open.proximal().is_none());
}

fn split(widths: &[usize], activation: Activation, seed: u64) -> NetworkBuilder<f64> {
    let last = widths.len() - 1;
    let builder = DecoupledNetwork::builder(widths[0]).store_pre_activations().seed(seed).threads(1);
    widths.iter().enumerate().skip(1).fold(builder, |builder, (t, &width)| {
        let activation = if t == last { Activation::Identity } else { activation };
        builder.dense_with(width, activation, Init::glorot_normal())
    })
}

fn regression_data(rng: &mut ChaCha12Rng, n: usize, inputs: usize, outputs: usize) -> Dataset<f64> {
    let mut table = |width| Examples::from_row_slice(&uniform(rng, n * width, 1.0), n, width).unwrap();
    Dataset::regression(table(inputs), table(outputs)).unwrap()
}

/// Every block of Z, one at a time, against the energy as a function of that block.
#[test]
fn an_exact_step_is_the_minimum_over_each_block_and_never_raises_the_energy() {
    let mut rng = rng(5);
    let activations =
        [Activation::LeakyRelu(0.1), Activation::Relu, Activation::Tanh, Activation::Sign, Activation::HardTanh];
    for case in 0..20 {
        let activation = activations[case % 5];
        let builder = split(&[3, 4, 2], activation, case as u64).penalty([0.3, 1.0, 4.0][case % 3]);
        let net = builder.build().unwrap();
        let objective = net.objective();
        let mut block = objective.block(1);
        for t in 0..=net.depth() {
            let z = uniform(&mut rng, block.stored(t).rows(), 1.0);
            block.stored_mut(t).copy_from_slice(&z);
        }
        if case % 2 == 1 {
            let multiplier = uniform(&mut rng, 4, 0.5);
            block.multiplier_mut(2).copy_from_slice(&multiplier);
        }
        let before = objective.energy(&mut block).unwrap();
        let start = block.clone();
        let method = Method::new(Start::Persisted, Exact { steps: 1, proximal: 0.0 }, Reads::Stored);
        method.activation_step().relax(&objective, &mut block).unwrap();
        let after = objective.energy(&mut block).unwrap();
        assert!(after <= before * (1.0 + 1e-12), "{activation:?}: {before} to {after}");
        // z_2 came first, so it is the best one with z_1 as it was before.
        let value = |z: &[f64]| {
            let mut trial = start.clone();
            trial.stored_mut(2).copy_from_slice(z);
            objective.energy(&mut trial).unwrap()
        };
        close(block.stored(2).as_slice(), &minimum(start.stored(2).as_slice(), value), 1e-8);
        // z_1, below the activation function, has no worse rival nearby or far away.
        for _ in 0..200 {
            let mut rival = block.clone();
            let bound = [0.01, 0.3, 3.0][rng.random_range(0..3)];
            let step = uniform(&mut rng, 4, bound);
            rival.stored_mut(1).iter_mut().zip(step).for_each(|(z, s)| *z += s);
            assert!(objective.energy(&mut rival).unwrap() >= after - 1e-12, "{activation:?}");
        }
    }
}

/// The minimum over an activation does not depend on what that was, unless a proximal weight says so.
#[test]
fn an_exact_step_replaces_an_activation_that_is_no_number() {
    let mut rng = rng(10);
    let net = split(&[3, 4, 2], Activation::Tanh, 0).build().unwrap();
    let objective = net.objective();
    let mut block = objective.block(2);
    for t in 0..=net.depth() {
        let z = uniform(&mut rng, block.stored(t).as_slice().len(), 1.0);
        block.stored_mut(t).copy_from_slice(&z);
    }
    let mut lost = block.clone();
    // The first to move: all others see what it becomes.
    lost.stored_mut(2).fill(f64::NAN);
    for block in [&mut block, &mut lost] {
        Exact { steps: 1, proximal: 0.0 }.relax(&objective, block).unwrap();
    }
    (1..3).for_each(|t| assert_eq!(block.stored(t), lost.stored(t)));
}

/// The energy at the begin of each visit, with the energy of the whole set in one batch: what blocks of Z and Θ in turn bring.
#[test]
fn block_coordinate_descent_never_raises_the_energy_of_the_whole_bank() {
    let mut rng = rng(6);
    for (case, activation) in
        [Activation::Relu, Activation::Tanh, Activation::LeakyRelu(0.1), Activation::Sigmoid, Activation::Step]
            .into_iter()
            .enumerate()
    {
        let data = regression_data(&mut rng, 300, 4, 2);
        for timing in [Timing::EveryStep, Timing::AfterRelaxation { local_steps: 1 }] {
            let method = Method::bcd([1e-6, 2.0][case % 2]).timing(timing);
            let builder = split(&[4, 6, 5, 2], activation, 1).penalty(0.8).method(method);
            let mut net = builder.build().unwrap();
            let report = net.fit(&data, &FitConfig::new().epochs(12).full_batch()).unwrap();
            for pair in report.epochs.windows(2) {
                let (before, after) = (pair[0].energy, pair[1].energy);
                assert!(after <= before * (1.0 + 1e-10), "{activation:?}, {timing:?}: {before} to {after}");
            }
            assert!(report.epochs[11].energy < 0.9 * report.epochs[0].energy, "{activation:?}");
        }
    }
}

/// One affine layer has nothing to alternate: one visit is ordinary least squares.
#[test]
fn a_single_layer_is_fitted_by_ordinary_least_squares_in_one_visit() {
    let mut rng = rng(7);
    let data = regression_data(&mut rng, 40, 3, 2);
    for method in [
        Method::new(Start::Persisted, Exact { steps: 1, proximal: 0.0 }, Reads::Stored),
        Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored),
    ] {
        let method = method.parameter(Ridge::default());
        let mut net = DecoupledNetwork::builder(3).dense(2, Activation::Identity).method(method).build().unwrap();
        net.fit(&data, &FitConfig::new().epochs(1).full_batch()).unwrap();
        let column = |m: MatRef<'_, f64>| Matrix::from_column_slice(m.rows(), m.cols(), m.as_slice());
        let (x, y) = (column(data.inputs()), column(data.targets()));
        let x = x.insert_row(3, 1.0);
        let expected = &y * x.transpose() * (&x * x.transpose()).try_inverse().unwrap();
        close(net.params(0), expected.as_slice(), 1e-9);
    }
}

/// With a memory the moments of earlier batches still count, each visit less.
#[test]
fn a_regression_with_memory_weighs_earlier_batches_by_its_powers() {
    let mut rng = rng(8);
    let data = regression_data(&mut rng, 30, 3, 2);
    let ridge = Ridge { ridge: 0.1, memory: 0.5, ..Ridge::default() };
    let method = Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored).parameter(ridge);
    let mut net = DecoupledNetwork::builder(3).dense(2, Activation::Identity).method(method).build().unwrap();
    net.fit(&data, &FitConfig::new().epochs(3).full_batch()).unwrap();
    // The same examples thrice: weights 1 + 1/2 + 1/4.
    let column = |m: MatRef<'_, f64>| Matrix::from_column_slice(m.rows(), m.cols(), m.as_slice());
    let (x, y) = (column(data.inputs()).insert_row(3, 1.0), column(data.targets()));
    let mut gram = &x * x.transpose() * 1.75;
    (0..3).for_each(|i| gram[(i, i)] += 0.1);
    let expected = &y * x.transpose() * 1.75 * gram.try_inverse().unwrap();
    close(net.params(0), expected.as_slice(), 1e-9);
}

#[test]
fn a_trust_region_shortens_the_step_to_its_radius() {
    let mut rng = rng(9);
    let data = regression_data(&mut rng, 50, 3, 2);
    let fit = |trust| {
        let ridge = Ridge { trust, ..Ridge::default() };
        let method = Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored).parameter(ridge);
        let mut net = DecoupledNetwork::builder(3).dense(2, Activation::Identity).method(method).build().unwrap();
        let before = net.predict(data.inputs()).unwrap();
        net.fit(&data, &FitConfig::new().epochs(1).full_batch()).unwrap();
        (before.clone(), net.predict(data.inputs()).unwrap() - before)
    };
    let (before, whole) = fit(None);
    let mean = before.column_mean();
    let spread: f64 = before.column_iter().map(|c| (c - &mean).norm_squared()).sum();
    let (_, short) = fit(Some(0.1));
    assert!(whole.norm() > 0.2 * spread.sqrt());
    assert!((short.norm() - 0.1 * spread.sqrt()).abs() < 1e-9);
    // In the same direction.
    let along = short.dot(&whole) / (short.norm() * whole.norm());
    assert!((along - 1.0).abs() < 1e-12);
}

/// Solvers may differ from layer to layer: here least squares below, the optimizer on top, which cross-entropy needs.
#[test]
fn every_layer_may_have_a_solver_of_its_own() {
    let labels: Vec<usize> = (0..60).map(|i| i % 3).collect();
    let rows =
        labels.iter().flat_map(|&l| (0..4).map(move |k| if k == l { 1.0 } else { 0.1 * k as f64 })).collect::<Vec<_>>();
    let data = Dataset::classification(Examples::from_row_slice(&rows, 60, 4).unwrap(), &labels, 3).unwrap();
    let ridge = Ridge { ridge: 0.1, proximal: 1.0, memory: 0.5, trust: Some(0.5) };
    let all_ridge = Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored).parameter(ridge);
    let method = all_ridge.clone().layer_parameter(1, GradientStep);
    let builder = || {
        DecoupledNetwork::<f64>::builder(4)
            .dense(6, Activation::Tanh)
            .dense(3, Activation::Identity)
            .output_loss(SoftmaxCrossEntropy::new())
            .optimizer(Sgd::new(0.5))
    };
    let mut net = builder().method(method.clone()).build().unwrap();
    let (before, top) = (net.params(0).to_vec(), net.params(1).to_vec());
    let start = net.evaluate(&data).unwrap().loss;
    net.fit(&data, &FitConfig::new().epochs(20).batch_size(20)).unwrap();
    assert!(net.params(0) != before && net.params(1) != top);
    assert!(net.evaluate(&data).unwrap().loss < 0.5 * start);

    assert!(matches!(builder().method(all_ridge).build(), Err(Error::LossMismatch { layer: 1, .. })));
    let missing = method.layer_parameter(2, GradientStep);
    assert!(matches!(builder().method(missing).build(), Err(Error::LayerIndex { found: 2, .. })));
}

#[test]
fn a_method_that_a_network_cannot_do_is_refused_when_it_is_built_and_when_it_is_fitted() {
    let fused = || {
        DecoupledNetwork::<f64>::builder(3)
            .dense(4, Activation::Tanh)
            .dense(4, Activation::Tanh)
            .dense(2, Activation::Identity)
    };
    let refused = fused().method(Method::bcd(1.0)).build().unwrap_err();
    assert!(matches!(&refused, Error::Incapable { layer: 1, .. }), "{refused}");
    let message = refused.to_string();
    assert!(
        message.contains("layer 1")
            && message.contains("store_pre_activations")
            && message.contains("predictive_coding")
    );
    let mut net = fused().build().unwrap();
    let data = regression_data(&mut rng(10), 5, 3, 2);
    let before = net.params(0).to_vec();
    let refused = net.fit(&data, &FitConfig::new().method(Method::bcd(1.0)));
    assert!(matches!(refused, Err(Error::Incapable { layer: 1, .. })));
    assert!(net.params(0) == before && net.bank().is_none() && net.epochs() == 0);

    let split = || split(&[3, 4, 2], Activation::Relu, 0);
    let mismatch = |builder: NetworkBuilder<f64>| match builder.method(Method::bcd(1.0)).build() {
        Err(Error::LossMismatch { which, layer, .. }) => (which, layer),
        other => panic!("{:?}", other.err()),
    };
    assert_eq!(mismatch(split().output_loss(SoftmaxCrossEntropy::new())), ("output loss", 2));
    assert_eq!(mismatch(split().hidden_loss(decoupled::loss::Huber::new(1.0))), ("hidden loss", 0));
    let unsupported = |builder: NetworkBuilder<f64>| matches!(builder.build(), Err(Error::Unsupported { .. }));
    assert!(unsupported(split().method(Method::bcd(1.0).reads(Reads::Forward))));
    // A layer with parameters that no regression knows.
    let normed =
        DecoupledNetwork::<f64>::builder(3).layer(decoupled::layer::LayerNorm::new(3)).dense(2, Activation::Identity);
    let refused = normed.method(Method::bcd(1.0)).build().unwrap_err();
    assert!(matches!(refused, Error::Incapable { layer: 0, .. }), "{refused}");
}

/// A schedule counts visits' parameter steps, not layers; and layers without least squares follow their optimizer.
#[test]
fn a_visit_takes_as_many_parameter_steps_as_its_method_says_whatever_the_depth() {
    let data = regression_data(&mut rng(11), 30, 3, 2);
    for timing in [Timing::EveryStep, Timing::AfterRelaxation { local_steps: 3 }] {
        let method = Method::new(Start::Persisted, Exact { steps: 2, proximal: 0.1 }, Reads::Stored).timing(timing);
        let mut net =
            split(&[3, 5, 4, 2], Activation::Relu, 2).optimizer(Sgd::new(0.1)).method(method.clone()).build().unwrap();
        let before = net.evaluate(&data).unwrap().loss;
        net.fit(&data, &FitConfig::new().epochs(10).batch_size(15)).unwrap();
        assert_eq!(net.updates() as usize, 10 * 2 * method.parameter_steps(net.depth()));
        assert!(net.evaluate(&data).unwrap().loss < before);
    }
}

/// Block coordinate descent by normal equations and proximal points, one block after the other: maps at even t, the function
/// at odd t, and everything over all examples at once.
struct Descent {
    activation: Activation,
    /// z_0 ..= z_T.
    z: Vec<Matrix>,
    /// λ_t at index t; zeros where there is none.
    multipliers: Vec<Matrix>,
    /// [W b] at even t, nothing at odd t.
    maps: Vec<Matrix>,
    /// μ_t at index t, and 1 for the output.
    penalties: Vec<f64>,
}

/// θ moves along the mean gradient by this rate, or to the minimum with these weights of ½‖W‖² and of ½‖θ − θ_old‖².
#[derive(Clone, Copy, Debug)]
enum Rule {
    Gradient(f64),
    Squares(f64, f64),
}

fn with_ones(z: &Matrix) -> Matrix {
    z.clone().insert_row(z.nrows(), 1.0)
}

impl Descent {
    fn depth(&self) -> usize {
        self.z.len() - 1
    }

    fn predict(&self, t: usize, z: &Matrix) -> Matrix {
        if t.is_multiple_of(2) { &self.maps[t] * with_ones(z) } else { z.map(|z| self.activation.value(z)) }
    }

    /// z_{t+1} + λ_{t+1}/μ_{t+1}.
    fn target(&self, t: usize) -> Matrix {
        &self.z[t + 1] + &self.multipliers[t + 1] / self.penalties[t + 1]
    }

    fn energy(&self) -> f64 {
        let term = |t: usize| {
            let residual = &self.z[t] - self.predict(t - 1, &self.z[t - 1]);
            0.5 * self.penalties[t] * residual.norm_squared() + self.multipliers[t].dot(&residual)
        };
        (1..=self.depth()).map(term).sum()
    }

    fn move_activations(&mut self, t: usize, proximal: f64) {
        let (own, above) = (self.penalties[t], self.penalties[t + 1]);
        // The point that the terms below draw to, times μ_t.
        let drawn = self.predict(t - 1, &self.z[t - 1]) * own - &self.multipliers[t];
        let target = self.target(t);
        self.z[t] = if t.is_multiple_of(2) {
            let m = &self.maps[t];
            let (w, b) = (m.columns(0, m.ncols() - 1).into_owned(), m.column(m.ncols() - 1).into_owned());
            let mut wanted = target;
            wanted.column_iter_mut().for_each(|mut column| column -= &b);
            let system = w.transpose() * &w * above + Matrix::identity(w.ncols(), w.ncols()) * own;
            system.lu().solve(&(w.transpose() * wanted * above + drawn)).unwrap()
        } else {
            let near = (drawn + &self.z[t] * proximal) / (own + proximal);
            target.zip_map(&near, |target, near| self.activation.prox(target, near, (own + proximal) / above))
        };
    }

    fn move_map(&mut self, t: usize, rule: Rule) {
        let (z, target, old) = (with_ones(&self.z[t]), self.target(t), self.maps[t].clone());
        let above = self.penalties[t + 1];
        self.maps[t] = match rule {
            Rule::Gradient(rate) => &old - (&old * &z - target) * z.transpose() * (rate * above / z.ncols() as f64),
            Rule::Squares(ridge, proximal) => {
                let mut system = &z * z.transpose() * above;
                let last = system.nrows() - 1;
                (0..=last).for_each(|i| system[(i, i)] += proximal + if i < last { ridge } else { 0.0 });
                (target * z.transpose() * above + old * proximal) * system.try_inverse().unwrap()
            }
        };
    }

    fn sweep(&mut self, rule: Option<Rule>, proximal: f64) {
        for t in (0..self.depth()).rev() {
            if let Some(rule) = rule.filter(|_| t % 2 == 0) {
                self.move_map(t, rule);
            }
            if t > 0 {
                self.move_activations(t, proximal);
            }
        }
    }
}

#[test]
fn visits_of_block_coordinate_descent_are_its_closed_forms_one_after_the_other() {
    const EXAMPLES: usize = 300;
    let mut rng = rng(12);
    let every_step = Timing::EveryStep;
    let after = |local_steps| Timing::AfterRelaxation { local_steps };
    let squares = Rule::Squares(0.7, 1.3);
    let gradient = Rule::Gradient(0.02);
    let top = Multipliers { rate: 0.6, highest_only: true };
    let all = Multipliers { rate: 0.4, ..Multipliers::kept() };
    let penalties = [0.5, 2.0, 0.8, 3.0];
    let raise = PenaltyIncrease { factor: 3.0, progress: 0.99, ..PenaltyIncrease::when(Stall::ForwardLoss) };
    let cases = [
        (Start::Persisted, every_step, squares, None, Penalty::Constant),
        (Start::Persisted, every_step, gradient, Some(all), Penalty::Constant),
        (Start::Blend(0.25), after(2), squares, Some(top), Penalty::Raised(raise)),
        (Start::Anchored, after(3), gradient, Some(all), Penalty::Raised(raise)),
    ];
    for (case, (start, timing, rule, multipliers, penalty)) in cases.into_iter().enumerate() {
        for proximal in [0.0, 1.5] {
            let activation = [Activation::Tanh, Activation::LeakyRelu(0.1)][case % 2];
            let what = format!("{start:?}, {timing:?}, {rule:?}, {multipliers:?}, proximal {proximal}");
            let method = Method::new(start, Exact { steps: 2, proximal }, Reads::Stored).timing(timing);
            let method = match rule {
                Rule::Gradient(_) => method,
                Rule::Squares(ridge, proximal) => method.parameter(Ridge { ridge, proximal, ..Ridge::default() }),
            };
            let method = method.multipliers(multipliers).penalty(penalty);
            let builder = split(&[3, 4, 5, 2], activation, 1).optimizer(Sgd::new(0.02)).method(method.clone());
            let builder = (1..).zip(penalties).fold(builder, |builder, (t, penalty)| builder.layer_penalty(t, penalty));
            let mut net = builder.build().unwrap();
            let depth = net.depth();
            let data = regression_data(&mut rng, EXAMPLES, 3, 2);
            let matrix = |m: MatRef<'_, f64>| Matrix::from_column_slice(m.rows(), m.cols(), m.as_slice());

            let mut twin = Descent {
                activation,
                z: vec![matrix(data.inputs()); depth],
                multipliers: Vec::new(),
                maps: (0..depth).map(|t| Matrix::from_column_slice(1, net.params(t).len(), net.params(t))).collect(),
                penalties: Vec::new(),
            };
            for (t, inputs, outputs) in [(0, 3, 4), (2, 4, 5), (4, 5, 2)] {
                twin.maps[t] = Matrix::from_column_slice(outputs, inputs + 1, net.params(t));
            }
            (1..depth).for_each(|t| twin.z[t] = twin.predict(t - 1, &twin.z[t - 1]));
            twin.z.push(matrix(data.targets()));
            twin.multipliers = twin.z.iter().map(|z| z * 0.0).collect();

            let report = net.fit(&data, &FitConfig::new().epochs(4).full_batch()).unwrap();
            for epoch in &report.epochs {
                let own = penalties.map(|penalty| penalty * epoch.penalty_factor);
                twin.penalties = [f64::NAN].into_iter().chain(own).chain([1.0]).collect();
                let mut forward = twin.z[0].clone();
                for t in 1..depth {
                    forward = twin.predict(t - 1, &forward);
                    let share = match start {
                        Start::Anchored => 0.0,
                        Start::Persisted => 1.0,
                        Start::Blend(share) => share,
                        other => panic!("{other:?} is not in the twin"),
                    };
                    twin.z[t] = &twin.z[t] * share + &forward * (1.0 - share);
                }
                let loss = 0.5 * (&twin.z[depth] - twin.predict(depth - 1, &forward)).norm_squared();
                let n = EXAMPLES as f64;
                close(&[epoch.train_loss, epoch.energy], &[loss / n, twin.energy() / n], 1e-9);

                (0..2).for_each(|_| twin.sweep((timing == every_step).then_some(rule), proximal));
                if let Timing::AfterRelaxation { local_steps } = timing {
                    // Least squares is done at once, however many steps.
                    let steps = if matches!(rule, Rule::Gradient(_)) { local_steps } else { 1 };
                    (0..steps).for_each(|_| (0..depth).step_by(2).for_each(|t| twin.move_map(t, rule)));
                }
                if let Some(multipliers) = multipliers {
                    for t in (1..depth).filter(|&t| !multipliers.highest_only || t == depth - 1) {
                        let residual = &twin.z[t] - twin.predict(t - 1, &twin.z[t - 1]);
                        twin.multipliers[t] += residual * (multipliers.rate * twin.penalties[t]);
                    }
                }
            }
            assert!(penalty == Penalty::Constant || report.epochs[3].penalty_factor > 1.0, "{what}");
            let bank = net.bank().unwrap();
            for t in 0..depth {
                if t.is_multiple_of(2) {
                    close(net.params(t), twin.maps[t].as_slice(), 1e-8);
                }
                if t > 0 {
                    close(bank.layer(t).into_owned().as_slice(), twin.z[t].as_slice(), 1e-8);
                    let kept = bank.multipliers(t).map(|kept| kept.into_owned());
                    let none = Matrix::zeros(twin.z[t].nrows(), EXAMPLES);
                    close(kept.unwrap_or(none).as_slice(), twin.multipliers[t].as_slice(), 1e-8);
                }
            }
            assert!(bank.steps().iter().all(|&steps| steps == 8), "{what}");

            // The step of a block by itself, from here.
            let objective = net.objective();
            let mut block = objective.block(EXAMPLES);
            for t in 0..=depth {
                block.stored_mut(t).copy_from_slice(twin.z[t].as_slice());
            }
            if multipliers.is_some() {
                (1..depth).for_each(|t| block.multiplier_mut(t).copy_from_slice(twin.multipliers[t].as_slice()));
            }
            (1..depth).for_each(|t| twin.penalties[t] = penalties[t - 1]);
            method.activation_step().relax(&objective, &mut block).unwrap();
            (0..2).for_each(|_| twin.sweep(None, proximal));
            (1..depth).for_each(|t| close(block.stored(t).as_slice(), twin.z[t].as_slice(), 1e-7));
        }
    }
}

/// θ from what the layer reads, z_t or a_t, to z_{t+1} + λ_{t+1}/μ_{t+1}; both weights of the penalties in units of μ_{t+1}.
#[test]
fn least_squares_after_a_relaxation_aims_at_the_targets_with_their_multipliers() {
    let mut rng = rng(13);
    let data = regression_data(&mut rng, 40, 3, 2);
    let (penalties, ridge, proximal) = ([0.5, 3.0, 1.0], 0.7, 0.4);
    for reads in [Reads::Stored, Reads::Forward] {
        let sweep = Sweeps::new(Order::ReverseGaussSeidel, 1, 0.2);
        let method = Method::new(Start::Anchored, sweep, reads).multipliers(Multipliers::kept());
        let method = method.parameter(Ridge { ridge, proximal, ..Ridge::default() });
        let builder = split(&[3, 5, 4, 2], Activation::Identity, 3).method(method.clone());
        let mut net = builder.layer_penalty(1, penalties[0]).layer_penalty(2, penalties[1]).build().unwrap();
        let config = FitConfig::new().epochs(1).full_batch();
        net.fit(&data, &config).unwrap();

        let objective = net.objective();
        let mut block = objective.block(40);
        block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
        block.stored_mut(3).copy_from_slice(data.targets().as_slice());
        objective.anchor(&mut block).unwrap();
        for t in [1, 2] {
            let kept = net.bank().unwrap().multipliers(t).unwrap().into_owned();
            assert!(kept.norm() > 1e-3);
            block.multiplier_mut(t).copy_from_slice(kept.as_slice());
        }
        method.activation_step().relax(&objective, &mut block).unwrap();
        let matrix = |m: MatRef<'_, f64>| Matrix::from_column_slice(m.rows(), m.cols(), m.as_slice());
        let expected: Vec<Matrix> = (0..3)
            .map(|t| {
                let input = if reads == Reads::Stored { block.stored(t) } else { block.forward(t) };
                let mut target = matrix(block.stored(t + 1));
                if let Some(multiplier) = block.multiplier(t + 1) {
                    target += matrix(multiplier) / penalties[t];
                }
                let z = with_ones(&matrix(input));
                let mut system = &z * z.transpose() * penalties[t];
                let last = system.nrows() - 1;
                (0..=last).for_each(|i| system[(i, i)] += proximal + if i < last { ridge } else { 0.0 });
                let old = Matrix::from_column_slice(target.nrows(), last + 1, net.params(t));
                (target * z.transpose() * penalties[t] + old * proximal) * system.try_inverse().unwrap()
            })
            .collect();
        net.fit(&data, &config).unwrap();
        (0..3).for_each(|t| close(net.params(t), expected[t].as_slice(), 1e-9));
    }
}

/// Where all examples look alike to a layer there is no spread to measure a step by.
#[test]
fn a_trust_region_does_not_hold_a_layer_without_a_spread() {
    let data = regression_data(&mut rng(14), 50, 3, 2);
    let fitted = |trust| {
        let ridge = Ridge { trust, ..Ridge::default() };
        let method = Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored).parameter(ridge);
        let mut net = DecoupledNetwork::builder(3).dense(2, Activation::Identity).method(method).build().unwrap();
        net.set_params(0, &[0.0; 8]).unwrap();
        net.fit(&data, &FitConfig::new().epochs(1).full_batch()).unwrap();
        net.params(0).to_vec()
    };
    let whole = fitted(None);
    assert!(whole.iter().any(|p| p.abs() > 1e-3));
    assert_eq!(fitted(Some(0.1)), whole);
}

#[test]
fn a_chain_asks_its_map_for_what_its_functions_want_one_after_the_other() {
    let mut rng = rng(15);
    let functions = [Activation::Tanh, Activation::LeakyRelu(0.2), Activation::Softplus];
    let chain =
        functions.iter().fold(Chain::new().then(Dense::new(3, 2)), |chain, &f| chain.then(Elementwise::new(2, f)));
    let params = uniform(&mut rng, 8, 1.0);
    let (z, target) = (random(&mut rng, 3, 6), random(&mut rng, 2, 6));
    let mut wanted = Matrix::zeros(2, 6);
    let regression = Layer::<f64>::regression(&chain).unwrap();
    regression.pre_activation(&params, view(&z), view(&target), MatMut::new(wanted.as_mut_slice(), 2, 6)).unwrap();
    let now = apply(&Dense::new(3, 2), &params, &z);
    for ((&wanted, &now), &target) in wanted.iter().zip(now.iter()).zip(target.iter()) {
        let second = functions[0].value(now);
        let third = functions[1].value(second);
        let expected = [(functions[2], third), (functions[1], second), (functions[0], now)]
            .into_iter()
            .fold(target, |target, (function, near)| function.prox(target, near, 0.01));
        assert!((wanted - expected).abs() < 1e-12, "{wanted} instead of {expected}");
    }
}

#[test]
fn closed_forms_of_wide_layers_solve_their_equations() {
    let mut rng = rng(31);
    let (ridge, proximal, weight) = (0.3, 0.7, 0.9);
    for (inputs, outputs) in [(5, 300), (300, 5)] {
        let layer = dense(inputs, outputs, true);
        let old = uniform(&mut rng, layer.param_len(), 1.0);
        let (z, u) = (random(&mut rng, inputs, 40), random(&mut rng, outputs, 40));

        // θ·(G + D) = C + proximal·θ_old, with G = z⁺·z⁺ᵀ, C = u·z⁺ᵀ, and z⁺ = z over ones.
        let mut moments = vec![0.0; Regression::<f64>::moments_len(&layer)];
        Regression::accumulate(&layer, view(&z), view(&u), &[], &mut moments);
        let mut found = old.clone();
        Regression::solve(&layer, &moments, ridge, proximal, &mut found, &mut Vec::new()).unwrap();
        let mut above = z.clone().insert_row(inputs, 1.0);
        let matrix = |params: &[f64]| Matrix::from_column_slice(outputs, inputs + 1, params);
        let mut gram = &above * above.transpose();
        (0..=inputs).for_each(|i| gram[(i, i)] += proximal + if i < inputs { ridge } else { 0.0 });
        let right = &u * above.transpose() + matrix(&old) * proximal;
        close((matrix(&found) * gram).as_slice(), right.as_slice(), 1e-9);

        // weight·(z' − z) = Wᵀ·(u − W·z' − b).
        let mut prepared = vec![f64::NAN; Proximal::<f64>::prepared_len(&layer)];
        Proximal::prepare(&layer, &old, weight, &mut prepared, &mut Vec::new()).unwrap();
        let (mut target, mut best) = (u.clone(), z.clone());
        let target = MatMut::new(target.as_mut_slice(), outputs, 40);
        Proximal::solve(&layer, &old, &prepared, weight, target, MatMut::new(best.as_mut_slice(), inputs, 40));
        above.rows_mut(0, inputs).copy_from(&best);
        let weights = matrix(&old).columns(0, inputs).into_owned();
        let pull = weights.transpose() * (&u - matrix(&old) * above);
        close(((best - z) * weight).as_slice(), pull.as_slice(), 1e-9);
    }
}

/// y = w·x for so many x, and a network of one weight.
fn line(w: f64, examples: usize) -> (Dataset<f64>, NetworkBuilder<f64>) {
    let x: Vec<f64> = (0..examples).map(|i| i as f64 / examples as f64 + 0.5).collect();
    let y: Vec<f64> = x.iter().map(|x| w * x).collect();
    let table = |values: &[f64]| Examples::from_row_slice(values, examples, 1).unwrap();
    let network = DecoupledNetwork::builder(1).layer(Dense::new(1, 1).without_bias());
    (Dataset::regression(table(&x), table(&y)).unwrap(), network)
}

fn least_squares(memory: f64) -> FitConfig<'static, f64> {
    let ridge = Ridge { memory, ..Ridge::default() };
    let method = Method::new(Start::Persisted, Exact { steps: 1, proximal: 1.0 }, Reads::Stored).parameter(ridge);
    FitConfig::new().epochs(1).full_batch().method(method)
}

#[test]
fn a_regression_takes_in_every_example_of_a_batch_of_any_size() {
    // Where the slope changes with x, what is left out would show.
    for examples in [3, 600, 1500, 20_000] {
        let x: Vec<f64> = (0..examples).map(|i| (i as f64 * 0.37).sin() + 1.5).collect();
        let y: Vec<f64> = x.iter().enumerate().map(|(i, x)| x * (1.0 + i as f64 / examples as f64)).collect();
        let expected = x.iter().zip(&y).map(|(x, y)| x * y).sum::<f64>() / x.iter().map(|x| x * x).sum::<f64>();
        let table = |values: &[f64]| Examples::from_row_slice(values, examples, 1).unwrap();
        let data = Dataset::regression(table(&x), table(&y)).unwrap();
        let mut network = line(1.0, 1).1.build().unwrap();
        network.fit(&data, &least_squares(0.0)).unwrap();
        close(network.params(0), &[expected], 1e-11);
    }
}

#[test]
fn a_memory_is_of_the_visit_before_and_of_no_earlier_one() {
    let ((up, network), (down, _)) = (line(1.0, 20), line(-1.0, 20));
    let mut network = network.build().unwrap();
    for (data, memory, slope) in [(&up, 0.9, 1.0), (&down, 0.0, -1.0), (&down, 0.9, -1.0)] {
        network.fit(data, &least_squares(memory)).unwrap();
        close(network.params(0), &[slope], 1e-12);
    }
    // Nine tenths of that visit's sums beside the new ones; the visit without memory left nothing.
    network.fit(&up, &least_squares(0.9)).unwrap();
    close(network.params(0), &[(1.0 - 0.9) / (1.0 + 0.9)], 1e-12);
}

#[test]
fn block_coordinate_descent_over_many_columns_does_not_depend_on_the_threads() {
    let mut rng = rng(33);
    let inputs = Examples::from_column_matrix(random(&mut rng, 6, 1200)).unwrap();
    let labels: Vec<usize> = (0..1200).map(|i| i * i % 3).collect();
    let data = Dataset::classification(inputs, &labels, 3).unwrap();
    let trained = |threads| {
        let builder = DecoupledNetwork::builder(6).store_pre_activations().dense(20, Activation::Relu);
        let builder = builder.dense(3, Activation::Identity).output_loss(decoupled::loss::SquaredError);
        let mut network = builder.threads(threads).build().unwrap();
        let report = network.fit(&data, &FitConfig::new().epochs(3).full_batch().method(Method::bcd(1.0))).unwrap();
        let losses: Vec<u64> =
            report.epochs.iter().flat_map(|e| [e.train_loss.to_bits(), e.energy.to_bits()]).collect();
        let params: Vec<u64> =
            (0..network.depth()).flat_map(|t| network.params(t).to_vec()).map(f64::to_bits).collect();
        (losses, params)
    };
    let one = trained(1);
    assert_eq!(one, trained(2));
    assert_eq!(one, trained(3));
}
