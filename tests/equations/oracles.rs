//! The exact facts of the theory, one test each.

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init};
use decoupled::loss::{Huber, MeanAbsoluteError, RelativeSquaredError, SoftmaxCrossEntropy, SquaredError};
use decoupled::method::{Block, ErrorSteps, GaussNewton, Order, Reads, Sweeps, backprop};
use decoupled::nalgebra::{DMatrix, DVector};
use decoupled::optimizer::{Adam, Sgd};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{ActivationStep, Dataset, DecoupledNetwork, FitConfig, Loss, MatRef, Method, NetworkBuilder};

type Net = DecoupledNetwork<f64>;
type Matrix = DMatrix<f64>;

fn rng(seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(seed)
}

fn uniform(rng: &mut ChaCha12Rng, n: usize, bound: f64) -> Vec<f64> {
    (0..n).map(|_| bound * (2.0 * rng.random::<f64>() - 1.0)).collect()
}

/// One dense layer between each two widths; all but the last with this activation.
fn chain(widths: &[usize], activation: Activation) -> NetworkBuilder<f64> {
    let (&output, hidden) = widths[1..].split_last().unwrap();
    let builder = hidden.iter().fold(Net::builder(widths[0]), |builder, &units| builder.dense(units, activation));
    builder.dense(output, Activation::Identity).threads(1)
}

/// Replaces all parameters, biases too, by uniform draws scaled with the fan-in.
fn randomise(net: &mut Net, widths: &[usize], gain: f64, rng: &mut ChaCha12Rng) {
    for (t, &fan_in) in widths[..net.depth()].iter().enumerate() {
        let params = uniform(rng, net.params(t).len(), gain * (3.0 / fan_in as f64).sqrt());
        net.set_params(t, &params).unwrap();
    }
}

/// A block with these inputs and targets, anchored.
fn anchored(net: &Net, inputs: &[f64], targets: &[f64]) -> Block<f64> {
    let objective = net.objective();
    let mut block = objective.block(inputs.len() / net.input_dim());
    block.stored_mut(0).copy_from_slice(inputs);
    block.stored_mut(net.depth()).copy_from_slice(targets);
    objective.anchor(&mut block).unwrap();
    block
}

fn sweeps(order: Order, steps: usize, rate: f64) -> Box<dyn ActivationStep<f64>> {
    Box::new(Sweeps::new(order, steps, rate))
}

fn parameter_gradients(net: &Net, block: &mut Block<f64>, reads: Reads) -> Vec<Vec<f64>> {
    let gradient = |t: usize| {
        let mut grad = vec![f64::NAN; net.params(t).len()];
        net.objective().parameter_gradient(block, t, reads, &mut grad).unwrap();
        grad
    };
    (0..net.depth()).map(gradient).collect()
}

/// BP's ∂L_y/∂θ_t for t = 0 .. T, and δ_t for t = 1 .. T (index t − 1).
fn bp(net: &Net, block: &Block<f64>) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let mut block = block.clone();
    let mut grads: Vec<_> = (0..net.depth()).map(|t| vec![f64::NAN; net.params(t).len()]).collect();
    backprop::gradients(&net.objective(), &mut block, &mut grads).unwrap();
    (grads, (1..net.depth()).map(|t| block.gradient(t).as_slice().to_vec()).collect())
}

fn norm(a: &[f64]) -> f64 {
    a.iter().map(|a| a * a).sum::<f64>().sqrt()
}

/// ‖a − factor·b‖ / ‖factor·b‖.
fn distance(a: &[f64], b: &[f64], factor: f64) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - factor * b).collect();
    norm(&difference) / (factor.abs() * norm(b))
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    let d = distance(found, expected, 1.0);
    assert!(d <= tolerance, "{what}: off by {d:e}, {found:?} instead of {expected:?}");
}

/// A linear chain written out with dense matrices: W_t, b_t, and μ_t for t = 1 ..= T with μ_T = 1.
struct Linear {
    weights: Vec<Matrix>,
    biases: Vec<DVector<f64>>,
    penalties: Vec<f64>,
}

impl Linear {
    fn of(net: &Net, widths: &[usize], hidden_penalties: &[f64]) -> Self {
        let split = |t: usize| net.params(t).split_at(widths[t] * widths[t + 1]);
        Self {
            weights: (0..net.depth())
                .map(|t| Matrix::from_column_slice(widths[t + 1], widths[t], split(t).0))
                .collect(),
            biases: (0..net.depth()).map(|t| DVector::from_column_slice(split(t).1)).collect(),
            penalties: hidden_penalties.iter().copied().chain([1.0]).collect(),
        }
    }

    fn depth(&self) -> usize {
        self.weights.len()
    }

    fn apply(&self, t: usize, z: &Matrix) -> Matrix {
        let mut out = &self.weights[t] * z;
        out.column_iter_mut().for_each(|mut column| column += &self.biases[t]);
        out
    }

    fn forward(&self, x: &Matrix) -> Matrix {
        (0..self.depth()).fold(x.clone(), |z, t| self.apply(t, &z))
    }

    /// P_t = W_{T−1} … W_t, for t = 1 ..= T.
    fn to_output(&self, t: usize) -> Matrix {
        let outputs = self.weights[self.depth() - 1].nrows();
        self.weights[t..]
            .iter()
            .fold(None, |product, w| Some(product.map_or(w.clone(), |p: Matrix| w * p)))
            .unwrap_or_else(|| Matrix::identity(outputs, outputs))
    }

    /// S = I + Σ_t P_t P_tᵀ/μ_t.
    fn s(&self) -> Matrix {
        (1..=self.depth())
            .map(|t| (self.to_output(t), self.penalties[t - 1]))
            .map(|(p, mu)| &p * p.transpose() / mu)
            .sum()
    }

    /// The Hessian of the energy in the hidden activations of one example.
    fn hessian(&self) -> Matrix {
        let starts: Vec<usize> = (0..self.depth())
            .scan(0, |row, t| {
                let start = *row;
                *row += self.weights[t].nrows();
                Some(start)
            })
            .collect();
        let size = starts[self.depth() - 1];
        let mut h = Matrix::zeros(size, size);
        for t in 1..self.depth() {
            let (w, mu, above) = (&self.weights[t], self.penalties[t - 1], self.penalties[t]);
            let (start, d) = (starts[t - 1], w.ncols());
            let own = Matrix::identity(d, d) * mu + w.transpose() * w * above;
            h.view_mut((start, start), (d, d)).copy_from(&own);
            if t + 1 < self.depth() {
                let next = (starts[t], w.nrows());
                h.view_mut((start, next.0), (d, next.1)).copy_from(&(w.transpose() * -above));
                h.view_mut((next.0, start), (next.1, d)).copy_from(&(w * -above));
            }
        }
        h
    }
}

#[test]
fn a_linear_chain_settles_at_the_closed_form_equilibrium_by_every_road() {
    const EXAMPLES: usize = 3;
    let mut rng = rng(1);
    let mut done = 0;
    while done < 60 {
        let depth = 2 + rng.random_range(0..4);
        let widths: Vec<usize> = (0..=depth).map(|_| 1 + rng.random_range(0..6)).collect();
        let mut penalties: Vec<f64> = vec![[0.1, 1.0, 10.0][done % 3]; depth - 1];
        if done % 4 == 3 {
            penalties.iter_mut().for_each(|p| *p = 10f64.powf(2.0 * rng.random::<f64>() - 1.0));
        }
        let builder = penalties
            .iter()
            .enumerate()
            .fold(chain(&widths, Activation::Identity), |builder, (i, &penalty)| builder.layer_penalty(i + 1, penalty));
        let mut net = builder.build().unwrap();
        randomise(&mut net, &widths, 1.0, &mut rng);
        let inputs = uniform(&mut rng, widths[0] * EXAMPLES, 1.0);
        let targets = uniform(&mut rng, widths[depth] * EXAMPLES, 1.0);

        let linear = Linear::of(&net, &widths, &penalties);
        let eigenvalues = linear.hessian().symmetric_eigenvalues();
        let (low, high) = (eigenvalues.min(), eigenvalues.max());
        if high / low > 600.0 {
            continue;
        }
        let x = Matrix::from_column_slice(widths[0], EXAMPLES, &inputs);
        let r = Matrix::from_column_slice(widths[depth], EXAMPLES, &targets) - linear.forward(&x);
        let solved = linear.s().lu().solve(&r).unwrap();
        let energy = 0.5 * r.dot(&solved);

        let rate = 2.0 / (low + high);
        let contraction = (high - low) / (high + low);
        let count = 10 + (1e-14f64.ln() / contraction.ln()).ceil().min(2e4) as usize;
        // One Gauss–Newton step is enough, from any bank.
        let ways: [(&str, Box<dyn ActivationStep<f64>>, bool); 5] = [
            ("Jacobi", sweeps(Order::Jacobi, count, rate), false),
            ("red-black", sweeps(Order::RedBlack, count, rate), false),
            ("reverse", sweeps(Order::ReverseGaussSeidel, count, rate), false),
            ("Gauss-Newton", Box::new(GaussNewton::new(1)), false),
            ("Gauss-Newton from a random bank", Box::new(GaussNewton::new(1)), true),
        ];
        for (order, step, scattered) in ways {
            let objective = net.objective();
            let mut block = anchored(&net, &inputs, &targets);
            for t in (1..depth).filter(|_| scattered) {
                let z = uniform(&mut rng, widths[t] * EXAMPLES, 2.0);
                block.stored_mut(t).copy_from_slice(&z);
            }
            step.relax(&objective, &mut block).unwrap();
            let found = objective.energy(&mut block).unwrap();
            assert!((found - energy).abs() <= 1e-10 * energy, "energy {found} instead of {energy}, {order}");

            let grads = parameter_gradients(&net, &mut block, Reads::Stored);
            let mut weighted = 0.0;
            for t in 1..=depth {
                let below = Matrix::from_column_slice(widths[t - 1], EXAMPLES, block.stored(t - 1).as_slice());
                let z = Matrix::from_column_slice(widths[t], EXAMPLES, block.stored(t).as_slice());
                let mu = linear.penalties[t - 1];
                let expected = linear.to_output(t).transpose() * &solved / mu;
                let residual = z - linear.apply(t - 1, &below);
                close(residual.as_slice(), expected.as_slice(), 1e-8, &format!("ε_{t} of {widths:?}, {order}"));
                weighted += mu * residual.norm_squared();

                let (w, b) = grads[t - 1].split_at(widths[t - 1] * widths[t]);
                close(w, (&expected * below.transpose() * -mu).as_slice(), 1e-8, "weight gradient");
                close(b, (expected.column_sum() * -mu).as_slice(), 1e-8, "bias gradient");
            }
            assert!((weighted - 2.0 * energy).abs() <= 1e-9 * energy, "Σμ‖ε‖² = {weighted}, 2E* = {}", 2.0 * energy);
            assert!(weighted <= r.norm_squared() * (1.0 + 1e-12));
        }
        done += 1;
    }
}

#[test]
fn stable_descent_from_an_anchored_bank_never_lifts_the_energy_above_the_forward_loss() {
    let mut rng = rng(2);
    for (case, activation) in
        [Activation::Tanh, Activation::Gelu, Activation::Sigmoid].into_iter().cycle().take(30).enumerate()
    {
        let depth = 2 + rng.random_range(0..4);
        let widths: Vec<usize> = (0..=depth).map(|_| 1 + rng.random_range(0..12)).collect();
        let penalty = [0.1, 1.0, 10.0][case % 3];
        let mut net = chain(&widths, activation).penalty(penalty).build().unwrap();
        randomise(&mut net, &widths, 1.0, &mut rng);
        let inputs = uniform(&mut rng, widths[0] * 2, 1.0);
        let targets = uniform(&mut rng, widths[depth] * 2, 1.0);
        let mut block = anchored(&net, &inputs, &targets);
        let objective = net.objective();
        let loss = objective.energy(&mut block).unwrap();

        // Far below 2/λmax: ‖W‖² bounds the curvature that a layer adds, and all these σ have slopes of at most 1.13.
        let steepest = (1..depth).map(|t| 1.3 * norm(net.params(t)).powi(2)).fold(1.0, f64::max);
        let order = [Order::Jacobi, Order::ReverseGaussSeidel][case % 2];
        let step = sweeps(order, 1, 0.2 / ((1.0 + penalty) * (1.0 + steepest)));
        let mut last = loss;
        for _ in 0..100 {
            step.relax(&objective, &mut block).unwrap();
            let energy = objective.energy(&mut block).unwrap();
            assert!(energy <= last * (1.0 + 1e-14) && energy < loss, "{energy} after {last}, forward loss {loss}");
            last = energy;
        }
    }
}

#[test]
fn at_a_forward_consistent_bank_the_energy_is_the_forward_loss_and_only_the_top_layer_learns() {
    let mut rng = rng(3);
    for case in 0..30 {
        let depth = 2 + rng.random_range(0..4);
        let widths: Vec<usize> = (0..=depth).map(|_| 1 + rng.random_range(0..10)).collect();
        let builder = chain(&widths, [Activation::Tanh, Activation::Relu, Activation::Gelu][case % 3]).penalty(0.7);
        let builder = match case % 4 {
            0 => builder.hidden_loss(SquaredError),
            1 => builder.hidden_loss(Huber::new(0.1)),
            2 => builder.hidden_loss(RelativeSquaredError::new()),
            _ => builder.hidden_loss(SquaredError).layer_penalty(1, 3.0),
        };
        let mut net = builder.build().unwrap();
        randomise(&mut net, &widths, 1.0, &mut rng);
        let inputs = uniform(&mut rng, widths[0] * 4, 1.0);
        let targets = uniform(&mut rng, widths[depth] * 4, 1.0);
        let mut block = anchored(&net, &inputs, &targets);
        let objective = net.objective();

        let mut z = Matrix::from_column_slice(widths[0], 4, &inputs);
        for t in 0..depth {
            let (w, b) = net.params(t).split_at(widths[t] * widths[t + 1]);
            z = Matrix::from_column_slice(widths[t + 1], widths[t], w) * z;
            z.column_iter_mut().for_each(|mut column| column += DVector::from_column_slice(b));
            if t + 1 < depth {
                let activation = [Activation::Tanh, Activation::Relu, Activation::Gelu][case % 3];
                z.iter_mut().for_each(|z| *z = activation.value(*z));
                assert!(distance(block.stored(t + 1).as_slice(), z.as_slice(), 1.0) < 1e-13 || z.norm() == 0.0);
            }
        }
        let loss = 0.5 * (z - Matrix::from_column_slice(widths[depth], 4, &targets)).norm_squared();
        let energy = objective.energy(&mut block).unwrap();
        assert!((energy - loss).abs() <= 1e-13 * loss, "energy {energy}, forward loss {loss}");

        let (grads, deltas) = bp(&net, &block);
        for reads in [Reads::Stored, Reads::Forward] {
            let own = parameter_gradients(&net, &mut block, reads);
            assert!(own[..depth - 1].iter().flatten().all(|&g| g == 0.0), "a layer below the top moves: {own:?}");
            assert!(norm(&own[depth - 1]) > 0.0);
            close(&own[depth - 1], &grads[depth - 1], 1e-14, "gradient of the top layer");
        }
        for t in 1..depth {
            assert_eq!(objective.term(&mut block, t).unwrap(), 0.0, "hidden residual at {t}");
            objective.activation_gradient(&mut block, t).unwrap();
            let gradient = block.gradient(t).as_slice();
            if t + 1 < depth {
                assert!(gradient.iter().all(|&g| g == 0.0), "∂L/∂z_{t} = {gradient:?}");
            } else if norm(&deltas[t - 1]) > 0.0 {
                close(gradient, &deltas[t - 1], 1e-14, "gradient of the top activation");
            }
        }
    }
}

/// ∂E/∂ε at a forward-consistent bank is what backpropagation brings to every activation.
#[test]
fn error_gradients_from_the_forward_pass_are_backpropagations_errors() {
    let widths = [4, 6, 5, 7, 3];
    let mut rng = rng(14);
    let mut net = chain(&widths, Activation::Tanh).penalty(3.0).build().unwrap();
    randomise(&mut net, &widths, 1.0, &mut rng);
    let start = anchored(&net, &uniform(&mut rng, 4 * 5, 1.0), &uniform(&mut rng, 3 * 5, 1.0));
    let (_, deltas) = bp(&net, &start);
    let mut block = start.clone();
    net.objective().error_gradients(&mut block).unwrap();
    for t in 1..net.depth() {
        close(block.gradient(t).as_slice(), &deltas[t - 1], 1e-12, &format!("∂E/∂ε_{t}"));
    }
}

/// Gauss–Newton steps minimise: they end where the gradient vanishes, also for cross-entropy and curved layers.
#[test]
fn gauss_newton_steps_end_at_a_stationary_point_and_never_raise_an_example() {
    let mut rng = rng(15);
    for (case, activation) in [Activation::Tanh, Activation::Softplus, Activation::Gelu].into_iter().enumerate() {
        let widths = [4, 6, 5, 3];
        let builder = chain(&widths, activation).penalty([0.5, 1.0, 4.0][case]);
        let mut net = builder.output_loss(SoftmaxCrossEntropy::new()).build().unwrap();
        randomise(&mut net, &widths, 1.0, &mut rng);
        let mut targets = vec![0.0; 3 * 6];
        targets.chunks_exact_mut(3).enumerate().for_each(|(i, column)| column[i % 3] = 1.0);
        let inputs = uniform(&mut rng, 4 * 6, 1.0);
        let mut block = anchored(&net, &inputs, &targets);
        for (t, &width) in widths.iter().enumerate().take(3).skip(1) {
            let z = uniform(&mut rng, width * 6, 1.5);
            block.stored_mut(t).copy_from_slice(&z);
            // With multipliers as well.
            let multiplier = uniform(&mut rng, width * 6, 0.3);
            block.multiplier_mut(t).copy_from_slice(&multiplier);
        }
        let objective = net.objective();
        let mut last = f64::INFINITY;
        for _ in 0..60 {
            GaussNewton::new(1).relax(&objective, &mut block).unwrap();
            let energy = objective.energy(&mut block).unwrap();
            assert!(energy <= last * (1.0 + 1e-14), "{activation:?}: {last} to {energy}");
            last = energy;
        }
        for t in 1..3 {
            objective.activation_gradient(&mut block, t).unwrap();
            let size = norm(block.gradient(t).as_slice());
            assert!(size < 1e-7, "{activation:?}: ∂E/∂z_{t} is {size:e}");
        }
    }
}

/// The step along a slope.
type Rule = fn(f64) -> f64;

/// ε ← ε − η ∂E/∂ε, and then z from the bottom up, with the rule of the optimizer where one is given.
#[test]
fn a_step_in_error_coordinates_is_the_rule_applied_to_the_errors() {
    let widths = [4, 6, 5, 3];
    let mut rng = rng(17);
    let mut net = chain(&widths, Activation::Tanh).penalty(2.0).build().unwrap();
    randomise(&mut net, &widths, 1.0, &mut rng);
    let mut start = anchored(&net, &uniform(&mut rng, 4 * 3, 1.0), &uniform(&mut rng, 3 * 3, 1.0));
    for (t, width) in [(1, 6), (2, 5)] {
        start.stored_mut(t).copy_from_slice(&uniform(&mut rng, width * 3, 1.0));
    }
    let objective = net.objective();
    let mut slopes = start.clone();
    objective.error_gradients(&mut slopes).unwrap();
    let predict = |t: usize, below: &Matrix| {
        let (w, b) = net.params(t).split_at(widths[t] * widths[t + 1]);
        let mut u = Matrix::from_column_slice(widths[t + 1], widths[t], w) * below;
        u.column_iter_mut().for_each(|mut column| column += DVector::from_column_slice(b));
        u.map(f64::tanh)
    };
    // Adam's first step has the size of its rate, whatever the slope.
    let plain: Rule = |slope| -0.03 * slope;
    let adam: Rule = |slope| -0.02 * slope.signum();
    let rules: [(ErrorSteps<f64>, Rule); 2] =
        [(ErrorSteps::new(1, 0.03), plain), (ErrorSteps::new(1, 7.0).optimizer(Adam::new(0.02)), adam)];
    for (step, rule) in rules {
        let mut block = start.clone();
        step.relax(&objective, &mut block).unwrap();
        let matrix = |z: MatRef<'_, f64>| Matrix::from_column_slice(z.rows(), 3, z.as_slice());
        let mut below = (matrix(start.stored(0)), matrix(start.stored(0)));
        for t in 1..3 {
            let (old, slope) = (matrix(start.stored(t)), matrix(slopes.gradient(t)));
            let error = &old - predict(t - 1, &below.0);
            let expected = predict(t - 1, &below.1) + error + slope.map(rule);
            close(block.stored(t).as_slice(), expected.as_slice(), 1e-6, &format!("z_{t}"));
            below = (old, expected);
        }
    }
}

/// Far from the minimum the model is wrong, and no example may pay for it.
#[test]
fn a_gauss_newton_step_raises_no_example_however_curved_the_layers_are() {
    let widths = [3, 6, 5, 2];
    let mut rng = rng(18);
    for case in 0..20 {
        let mut net = chain(&widths, Activation::Softplus).penalty([0.01, 1.0][case % 2]).build().unwrap();
        randomise(&mut net, &widths, 5.0, &mut rng);
        let mut block = anchored(&net, &uniform(&mut rng, 3 * 8, 2.0), &uniform(&mut rng, 2 * 8, 20.0));
        for (t, width) in [(1, 6), (2, 5)] {
            block.stored_mut(t).copy_from_slice(&uniform(&mut rng, width * 8, 5.0));
        }
        let objective = net.objective();
        let energies = |block: &Block<f64>| -> Vec<f64> {
            let of = |i: usize| {
                let mut alone = objective.block(1);
                (0..=3).for_each(|t| alone.stored_mut(t).copy_from_slice(block.stored(t).column(i)));
                objective.energy(&mut alone).unwrap()
            };
            (0..8).map(of).collect()
        };
        let before = energies(&block);
        GaussNewton::new(1).relax(&objective, &mut block).unwrap();
        let after = energies(&block);
        assert!(
            after.iter().zip(&before).all(|(after, before)| *after <= before * (1.0 + 1e-12)),
            "{before:?}, {after:?}"
        );
        assert!(after.iter().sum::<f64>() < before.iter().sum());
    }
}

/// Over z, the energy of ŷ = tanh(z) with its target at 0: ½μ(z − a)² + ½ tanh(z)², where the model from z = a aims at
/// −s·tanh(a)/(μ + s²) from there, s being the slope. The further up, the flatter, and the longer that step.
#[test]
fn a_gauss_newton_step_that_leads_up_is_halved_for_its_example_alone_until_it_does_not() {
    let penalty = 1e-6;
    let mut net =
        Net::builder(1).dense(1, Activation::Identity).dense(1, Activation::Tanh).penalty(penalty).build().unwrap();
    (0..2).for_each(|t| net.set_params(t, &[1.0, 0.0]).unwrap());
    let inputs = [0.5, 1.3, 1.8, 2.2, 2.5];
    let mut block = anchored(&net, &inputs, &[0.0; 5]);
    GaussNewton::new(1).relax(&net.objective(), &mut block).unwrap();
    let mut halvings = Vec::new();
    for (a, z) in inputs.into_iter().zip(block.stored(1).as_slice()) {
        let energy = |e: f64| (penalty * e * e + (a + e).tanh().powi(2)) / 2.0;
        let slope = 1.0 - a.tanh().powi(2);
        let mut e = -slope * a.tanh() / (penalty + slope * slope);
        halvings.push(0);
        while energy(e) > energy(0.0) {
            e /= 2.0;
            *halvings.last_mut().unwrap() += 1;
        }
        assert!((z - (a + e)).abs() < 1e-9, "{z} instead of {} from {a}", a + e);
    }
    assert!([0, 1, 2, 3].iter().all(|n| halvings.contains(n)), "{halvings:?}");
}

/// At a forward pass that absolute hidden errors hold fast, any step is a step up.
#[test]
fn a_gauss_newton_step_that_only_leads_up_is_not_taken() {
    let widths = [3, 4, 2];
    let mut rng = rng(19);
    let mut net = chain(&widths, Activation::Tanh).hidden_loss(MeanAbsoluteError).penalty(1e3).build().unwrap();
    randomise(&mut net, &widths, 1.0, &mut rng);
    let start = anchored(&net, &uniform(&mut rng, 3 * 4, 1.0), &uniform(&mut rng, 2 * 4, 1.0));
    let mut block = start.clone();
    GaussNewton::new(1).relax(&net.objective(), &mut block).unwrap();
    close(block.stored(1).as_slice(), start.stored(1).as_slice(), 1e-14, "z_1");
}

/// The squares of these Jacobians are beyond the precision; the energy is not.
#[test]
fn a_gauss_newton_step_that_overflows_is_not_taken() {
    let mut net = chain(&[1, 2, 2], Activation::Identity).build().unwrap();
    net.set_params(0, &[1e-200, 2e-200, 0.0, 0.0]).unwrap();
    net.set_params(1, &[1e200, 3e200, 2e200, -1e200, 0.0, 0.0]).unwrap();
    let start = anchored(&net, &[1.0], &[0.5, 0.25]);
    let mut block = start.clone();
    GaussNewton::new(2).relax(&net.objective(), &mut block).unwrap();
    assert_eq!(block.stored(1), start.stored(1));
}

/// λ/μ is beyond the precision, and so is every part of the way there.
#[test]
fn a_gauss_newton_step_with_nowhere_to_go_leaves_a_number() {
    let mut net = chain(&[1, 1, 1], Activation::Identity).penalty(1e-160).build().unwrap();
    (0..2).for_each(|t| net.set_params(t, &[1.0, 0.0]).unwrap());
    let mut block = anchored(&net, &[1.0], &[0.5]);
    block.multiplier_mut(1).copy_from_slice(&[1e160]);
    GaussNewton::new(1).relax(&net.objective(), &mut block).unwrap();
    assert_eq!(block.stored(1).as_slice(), [1.0]);
}

/// With Θ fixed the multipliers of T visits are −δ, Z is the forward pass, and the parameter gradients are BP's; on a linear net
/// from any multipliers.
#[test]
fn multipliers_become_backpropagations_errors_and_the_gradients_its_own() {
    let widths = [4, 6, 5, 7, 3];
    let mut rng = rng(16);
    for (case, mu) in [0.2, 1.0, 5.0, 0.2, 1.0, 5.0].into_iter().enumerate() {
        for activation in [Activation::Identity, Activation::Tanh] {
            let mut net = chain(&widths, activation).penalty(mu).optimizer(Sgd::new(1e-300)).build().unwrap();
            randomise(&mut net, &widths, 1.0, &mut rng);
            let (x, y) = (uniform(&mut rng, 4 * 5, 1.0), uniform(&mut rng, 3 * 5, 1.0));
            let examples = |rows: &[f64], width| Examples::from_row_slice(rows, 5, width).unwrap();
            let data = Dataset::regression(examples(&x, 4), examples(&y, 3)).unwrap();
            let start = anchored(&net, &x, &y);
            let (grads, deltas) = bp(&net, &start);
            // All layers at once need a visit a layer; sweeps that take in seven tenths of what is new, some thirty.
            let (method, visits) = match case % 2 {
                0 => (Method::alm(1.0).activation(Sweeps::new(Order::Jacobi, 1, 1.0).per_penalty()), net.depth()),
                _ => (Method::alm(0.7), 30),
            };
            net.fit(&data, &FitConfig::new().method(method).epochs(visits).full_batch()).unwrap();
            let bank = net.bank().unwrap();
            let mut block = start.clone();
            for t in 1..net.depth() {
                let kept: Vec<f64> = bank.multipliers(t).unwrap().iter().copied().collect();
                let expected: Vec<f64> = deltas[t - 1].iter().map(|delta| -delta).collect();
                close(&kept, &expected, 1e-10, &format!("λ_{t}, μ = {mu}, {activation:?}"));
                block.multiplier_mut(t).copy_from_slice(&kept);
            }
            let found = parameter_gradients(&net, &mut block, Reads::Stored);
            for t in 0..net.depth() {
                let cosine =
                    found[t].iter().zip(&grads[t]).map(|(a, b)| a * b).sum::<f64>() / norm(&found[t]) / norm(&grads[t]);
                assert!(cosine > 0.9999, "cosine {cosine} in layer {t}");
                close(&found[t], &grads[t], 1e-9, &format!("∂L/∂θ_{t}"));
            }
        }
    }
}

#[test]
fn k_jacobi_steps_reach_the_top_k_hidden_layers_and_one_reverse_sweep_reaches_all() {
    let widths = [4, 6, 5, 6, 5, 6, 3];
    let hidden = widths.len() - 2;
    let mut rng = rng(4);
    let mut net = chain(&widths, Activation::Tanh).build().unwrap();
    randomise(&mut net, &widths, 1.0, &mut rng);
    let (inputs, targets) = (uniform(&mut rng, 4 * 3, 1.0), uniform(&mut rng, 3 * 3, 1.0));
    let moved = |step: &dyn ActivationStep<f64>| {
        let mut block = anchored(&net, &inputs, &targets);
        step.relax(&net.objective(), &mut block).unwrap();
        (1..=hidden).map(|t| block.stored(t) != block.forward(t)).collect::<Vec<_>>()
    };
    for k in 1..=hidden {
        let expected: Vec<bool> = (1..=hidden).map(|t| t > hidden - k).collect();
        assert_eq!(moved(&sweeps(Order::Jacobi, k, 0.1)), expected, "after {k} steps");
    }
    // The highest hidden layer is in the first group, so each sweep crosses two.
    for k in 1..=hidden.div_ceil(2) {
        let expected: Vec<bool> = (1..=hidden).map(|t| t + 2 * k > hidden).collect();
        assert_eq!(moved(&sweeps(Order::RedBlack, k, 0.1)), expected, "after {k} red-black sweeps");
    }
    assert_eq!(moved(&sweeps(Order::ReverseGaussSeidel, 1, 0.1)), [true; 5]);
    assert_eq!(moved(&ErrorSteps::new(1, 0.1)), [true; 5]);
    assert_eq!(moved(&GaussNewton::new(1)), [true; 5]);
}

#[test]
fn one_reverse_sweep_of_step_one_over_mu_is_backpropagation_for_any_penalty() {
    let mut rng = rng(5);
    for case in 0..54 {
        let activation = [Activation::Tanh, Activation::Gelu, Activation::Relu][case % 3];
        let mu = [0.1, 1.0, 10.0][case / 3 % 3];
        let cross_entropy = case / 9 % 2 == 1;
        let depth = 3 + rng.random_range(0..3);
        let widths: Vec<usize> = (0..=depth).map(|_| 4 + rng.random_range(0..9)).collect();
        let builder = chain(&widths, activation).penalty(mu);
        let builder = if cross_entropy { builder.output_loss(SoftmaxCrossEntropy::new()) } else { builder };
        let mut net = builder.build().unwrap();
        randomise(&mut net, &widths, 1.0, &mut rng);
        let inputs = uniform(&mut rng, widths[0] * 5, 1.0);
        let mut targets = uniform(&mut rng, widths[depth] * 5, 1.0);
        if cross_entropy {
            for column in targets.chunks_exact_mut(widths[depth]) {
                column.fill(0.0);
                column[rng.random_range(0..widths[depth])] = 1.0;
            }
        }
        let start = anchored(&net, &inputs, &targets);
        let (grads, deltas) = bp(&net, &start);
        let what = |t: usize| format!("layer {t} of {widths:?}, {activation:?}, μ = {mu}");

        let method = Method::backprop_by_sweep();
        let mut block = start.clone();
        method.activation_step().relax(&net.objective(), &mut block).unwrap();
        let forward_reads = parameter_gradients(&net, &mut block, Reads::Forward);
        for t in 0..depth {
            close(&forward_reads[t], &grads[t], 1e-12, &what(t));
        }
        for t in 1..depth {
            let (z, a) = (block.stored(t).as_slice(), block.forward(t).as_slice());
            let step: Vec<f64> = z.iter().zip(a).map(|(z, a)| mu * (a - z)).collect();
            close(&step, &deltas[t - 1], 1e-12, &what(t));
        }

        let stored_reads = parameter_gradients(&net, &mut block, Reads::Stored);
        close(&stored_reads[0], &grads[0], 1e-12, &what(0));
        for t in 1..depth {
            let d = distance(&stored_reads[t], &grads[t], 1.0);
            assert!(d > 1e-4, "relaxed inputs still give BP's gradient (off by {d:e}) in {}", what(t));
        }

        method.activation_step().relax(&net.objective(), &mut block).unwrap();
        let twice = parameter_gradients(&net, &mut block, Reads::Forward);
        assert!(distance(&twice[0], &grads[0], 1.0) > 1e-4, "a second sweep is still BP in {}", what(0));

        let rate = 0.4 / mu;
        let mut block = start.clone();
        sweeps(Order::ReverseGaussSeidel, 1, rate).relax(&net.objective(), &mut block).unwrap();
        let shorter = parameter_gradients(&net, &mut block, Reads::Forward);
        for t in 0..depth {
            let d = distance(&shorter[t], &grads[t], 0.4f64.powi((depth - 1 - t) as i32));
            assert!(d < 1e-11, "off by {d:e} with a shorter step in {}", what(t));
        }
    }
}

#[test]
fn training_by_reverse_sweeps_walks_with_backpropagation() {
    let mut rng = rng(6);
    let inputs = Examples::from_row_slice(&uniform(&mut rng, 50 * 3, 1.0), 50, 3).unwrap();
    let targets = Examples::from_row_slice(&uniform(&mut rng, 50 * 2, 1.0), 50, 2).unwrap();
    let data = Dataset::regression(inputs, targets).unwrap();
    for mu in [0.1, 1.0, 10.0] {
        let builder = chain(&[3, 8, 7, 2], Activation::Tanh).penalty(mu).optimizer(Sgd::new(0.1).momentum(0.5));
        let mut swept = builder.build().unwrap();
        let mut twin = swept.clone();
        let config = FitConfig::new().epochs(4).batch_size(16).method(Method::backprop_by_sweep());
        let report = swept.fit(&data, &config).unwrap();
        let other = twin.fit_backprop(&data, &config).unwrap();
        for t in 0..3 {
            close(swept.params(t), twin.params(t), 1e-11, &format!("θ_{t} with μ = {mu}"));
        }
        for (a, b) in report.epochs.iter().zip(&other.epochs) {
            assert!((a.train_loss - b.train_loss).abs() < 1e-11 * b.train_loss);
        }
    }
}

/// Relaxes until no activation has a gradient left.
fn settle(net: &Net, block: &mut Block<f64>, rate: f64, tolerance: f64) {
    let step = sweeps(Order::ReverseGaussSeidel, 50, rate);
    for _ in 0..4000 {
        step.relax(&net.objective(), block).unwrap();
        let largest = (1..net.depth())
            .map(|t| {
                net.objective().activation_gradient(block, t).unwrap();
                norm(block.gradient(t).as_slice())
            })
            .fold(0.0, f64::max);
        if largest < tolerance {
            return;
        }
    }
    panic!("no equilibrium reached");
}

#[test]
fn the_energy_at_equilibrium_falls_short_of_the_forward_loss_by_the_squared_errors_over_two_mu() {
    let widths = [3, 5, 4, 4, 2];
    let mut rng = rng(7);
    let (inputs, targets) = (uniform(&mut rng, 3 * 3, 1.0), uniform(&mut rng, 2 * 3, 1.0));
    for activation in [Activation::Tanh, Activation::Gelu, Activation::Softplus] {
        let mut drawn: Option<Vec<Vec<f64>>> = None;
        let mut remainders = Vec::new();
        for mu in [1e2, 1e3, 1e4] {
            let mut net = chain(&widths, activation).penalty(mu).build().unwrap();
            match &drawn {
                Some(params) => params.iter().enumerate().for_each(|(t, p)| net.set_params(t, p).unwrap()),
                None => {
                    randomise(&mut net, &widths, 0.8, &mut rng);
                    drawn = Some((0..net.depth()).map(|t| net.params(t).to_vec()).collect());
                }
            }
            let mut block = anchored(&net, &inputs, &targets);
            let loss = net.objective().energy(&mut block).unwrap();
            let squares: f64 = bp(&net, &block).1.iter().map(|delta| norm(delta).powi(2)).sum();
            settle(&net, &mut block, 0.2 / mu, 1e-9);
            let energy = net.objective().energy(&mut block).unwrap();
            assert!(squares / mu > 1e-6, "nothing to see: {squares}");
            remainders.push(energy - (loss - squares / (2.0 * mu)));
        }
        for pair in remainders.windows(2) {
            let fall = pair[0] / pair[1];
            assert!((80.0..125.0).contains(&fall), "{activation:?}: the remainder fell by {fall}: {remainders:?}");
        }
    }
}

/// Solves gradient(θ) = 0 by Newton's method with a Hessian of central differences; the root and the Hessian there.
fn newton(mut theta: DVector<f64>, gradient: impl Fn(&DVector<f64>) -> DVector<f64>) -> (DVector<f64>, Matrix) {
    let hessian = |theta: &DVector<f64>| jacobian(theta, &gradient);
    for _ in 0..30 {
        theta -= hessian(&theta).lu().solve(&gradient(&theta)).unwrap();
    }
    assert!(gradient(&theta).norm() < 1e-11, "Newton's method has not converged");
    let hessian = hessian(&theta);
    (theta, hessian)
}

fn jacobian(at: &DVector<f64>, f: impl Fn(&DVector<f64>) -> DVector<f64>) -> Matrix {
    const H: f64 = 1e-5;
    let columns: Vec<_> = (0..at.len())
        .map(|i| {
            let (mut up, mut down) = (at.clone(), at.clone());
            up[i] += H;
            down[i] -= H;
            (f(&up) - f(&down)) / (2.0 * H)
        })
        .collect();
    Matrix::from_columns(&columns)
}

#[test]
fn joint_stationary_points_sit_one_over_mu_away_from_backpropagations() {
    // y ≈ w₁·tanh(w₀·x), with noise so that the residual is not zero at the minimum.
    let inputs = [-2.0, -1.2, -0.5, 0.3, 0.9, 1.6, 2.4];
    let noise = [0.2, -0.15, 0.1, 0.2, -0.25, 0.1, -0.1];
    let teacher = DVector::from_column_slice(&[0.9, 1.5]);
    let targets: Vec<f64> = inputs.iter().zip(noise).map(|(x, n)| teacher[1] * f64::tanh(teacher[0] * x) + n).collect();
    let net_at = |theta: &DVector<f64>, mu: f64| {
        let dense = || Dense::new(1, 1).without_bias().init(Init::constant(1.0));
        let tanh = Chain::new().then(dense()).then(Elementwise::new(1, Activation::Tanh));
        let builder = Net::builder(1).layer(tanh).layer(dense());
        let mut net = builder.penalty(mu).threads(1).build().unwrap();
        (0..2).for_each(|t| net.set_params(t, &[theta[t]]).unwrap());
        net
    };
    let flat = |grads: Vec<Vec<f64>>| DVector::from_vec(grads.concat());
    let backprop = |theta: &DVector<f64>| {
        let net = net_at(theta, 1.0);
        bp(&net, &anchored(&net, &inputs, &targets))
    };
    let (optimum, hessian) = newton(teacher.clone(), |theta| flat(backprop(theta).0));
    let squares = |theta: &DVector<f64>| {
        DVector::from_element(1, backprop(theta).1.iter().map(|delta| norm(delta).powi(2)).sum::<f64>())
    };
    let slope = jacobian(&optimum, squares).transpose();
    let expected = hessian.lu().solve(&slope).unwrap().column(0) / 2.0;
    assert!(expected.norm() > 0.05, "nothing to see: {expected}");

    let errors: Vec<f64> = [1e2, 1e3]
        .into_iter()
        .map(|mu| {
            let (theta, _) = newton(optimum.clone(), |theta| {
                let net = net_at(theta, mu);
                let mut block = anchored(&net, &inputs, &targets);
                settle(&net, &mut block, 0.5 / mu, 1e-12);
                flat(parameter_gradients(&net, &mut block, Reads::Stored))
            });
            ((theta - &optimum) * mu - &expected).norm() / expected.norm()
        })
        .collect();
    assert!(errors[1] < 0.02 && (8.0..12.5).contains(&(errors[0] / errors[1])), "{errors:?}");
}

#[test]
fn backpropagation_gives_the_slopes_of_the_forward_loss() {
    let mut rng = rng(8);
    for case in 0..24 {
        let activation = [Activation::Tanh, Activation::Gelu, Activation::Silu, Activation::Softplus][case % 4];
        let depth = 1 + rng.random_range(0..5);
        let widths: Vec<usize> = (0..=depth).map(|_| 2 + rng.random_range(0..7)).collect();
        let builder = chain(&widths, activation);
        let builder = if case % 2 == 0 { builder } else { builder.output_loss(SoftmaxCrossEntropy::new()) };
        let mut net = builder.build().unwrap();
        randomise(&mut net, &widths, 1.0, &mut rng);
        let inputs = uniform(&mut rng, widths[0] * 3, 1.0);
        let targets: Vec<f64> = uniform(&mut rng, widths[depth] * 3, 1.0).into_iter().map(f64::abs).collect();
        let (grads, _) = bp(&net, &anchored(&net, &inputs, &targets));
        let loss = |net: &Net| {
            let outputs = net.predict(MatRef::new(&inputs, widths[0], 3)).unwrap();
            let matrix = |data| MatRef::new(data, widths[depth], 3);
            let (target, output) = (matrix(&targets), matrix(outputs.as_slice()));
            if case % 2 == 0 {
                SquaredError.value(target, output)
            } else {
                SoftmaxCrossEntropy::new().value(target, output)
            }
        };
        for (t, grad) in grads.iter().enumerate() {
            let theta = net.params(t).to_vec();
            let slopes: Vec<f64> = (0..theta.len())
                .map(|i| {
                    let mut at = |h: f64| {
                        let mut moved = theta.clone();
                        moved[i] += h;
                        net.set_params(t, &moved).unwrap();
                        loss(&net)
                    };
                    (at(1e-5) - at(-1e-5)) / 2e-5
                })
                .collect();
            net.set_params(t, &theta).unwrap();
            close(grad, &slopes, 1e-7, &format!("layer {t} of {widths:?}, {activation:?}"));
        }
    }
}
