//! The gradients of the energy against central differences of the energy, over random networks.

use std::sync::Arc;

use decoupled::layer::{Chain, Dense, Elementwise, Init, LayerNorm, Residual};
use decoupled::loss::{BinaryCrossEntropy, Outputs};
use decoupled::method::{Block, Reads};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{DecoupledNetwork, Loss, NetworkBuilder, Scalar};

use crate::builtin;

type Net = DecoupledNetwork<f64>;

fn normal(rng: &mut ChaCha12Rng, n: usize) -> Vec<f64> {
    (0..n).map(|_| f64::standard_normal(rng)).collect()
}

fn random_layer(builder: NetworkBuilder<f64>, below: &mut usize, rng: &mut ChaCha12Rng) -> NetworkBuilder<f64> {
    let activations: Vec<_> = builtin::differentiable().collect();
    let activation = activations[rng.random_range(0..activations.len())];
    let width = 1 + rng.random_range(0..40);
    match rng.random_range(0..6) {
        0 if width > 3 => {
            let dense = Dense::new(*below, width).without_bias().init(Init::lecun_normal());
            *below = width;
            builder
                .layer(Chain::new().then(dense).then(LayerNorm::new(width)).then(Elementwise::new(width, activation)))
        }
        1 => {
            let inner = Chain::new().then(Elementwise::new(*below, activation)).then(Dense::new(*below, *below));
            builder.layer(Residual::new(inner))
        }
        2 => builder.layer(Elementwise::new(*below, activation)),
        _ => {
            *below = width;
            builder.dense(width, activation)
        }
    }
}

/// A network and a block of which nothing agrees with anything: random parameters, inputs, activations and targets.
fn random_case(case: usize, rng: &mut ChaCha12Rng) -> (Net, Block<f64>) {
    let input = 1 + rng.random_range(0..40);
    let depth = 1 + case % 5;
    let mut below = input;
    let mut builder = Net::builder(input).seed(case as u64).threads(1);
    for t in 0..depth {
        builder = random_layer(builder, &mut below, rng);
        if t > 0 {
            builder = builder.layer_penalty(t, 10f64.powf(2.0 * rng.random::<f64>() - 1.0));
        }
    }
    let losses = builtin::losses();
    let output_loss: Arc<dyn Loss<f64>> = match &losses[case % losses.len()] {
        // Of classes there are two or more.
        loss if loss.outputs() == Outputs::Classes && below == 1 => Arc::new(BinaryCrossEntropy),
        loss => Arc::clone(loss),
    };
    let serving: Vec<_> = losses.into_iter().filter(|loss| loss.serves_hidden()).collect();
    let hidden_loss = Arc::clone(&serving[rng.random_range(0..serving.len())]);
    let mut net = builder.output_loss(Arc::clone(&output_loss)).hidden_loss(hidden_loss).build().unwrap();
    for t in 0..depth {
        let noise = normal(rng, net.params(t).len());
        let params: Vec<f64> = net.params(t).iter().zip(noise).map(|(p, n)| p + 0.1 * n).collect();
        net.set_params(t, &params).unwrap();
    }

    let objective = net.objective();
    let mut block = objective.block(1 + rng.random_range(0..5));
    for t in 0..=depth {
        let z = normal(rng, block.stored(t).as_slice().len());
        block.stored_mut(t).copy_from_slice(&z);
    }
    let width = net.output_dim();
    for column in block.stored_mut(depth).chunks_exact_mut(width) {
        match output_loss.outputs() {
            Outputs::Classes => {
                let sum: f64 = column.iter().map(|z| z.abs()).sum();
                column.iter_mut().for_each(|z| *z = z.abs() / sum);
            }
            Outputs::Labels => column.iter_mut().for_each(|z| *z = 1.0 / (1.0 + z.exp())),
            Outputs::Numbers => {}
        }
    }
    // A forward pass of its own, so that a ≠ z.
    let stored: Vec<Vec<f64>> = (1..depth).map(|t| block.stored(t).as_slice().to_vec()).collect();
    objective.anchor(&mut block).unwrap();
    stored.iter().enumerate().for_each(|(i, z)| block.stored_mut(i + 1).copy_from_slice(z));
    (net, block)
}

/// Counts comparisons, and those that had to be left out because the differences themselves see a kink.
#[derive(Default)]
struct Checks {
    compared: usize,
    kinks: usize,
}

impl Checks {
    /// Compares gradient · v with the slope of `value(step · v)`, for v along the gradient, of random signs, and along one
    /// coordinate.
    fn compare(&mut self, gradient: &[f64], rng: &mut ChaCha12Rng, what: &str, mut value: impl FnMut(&[f64]) -> f64) {
        let n = gradient.len();
        assert!(gradient.iter().all(|g| g.is_finite()), "{what}: {gradient:?}");
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let signs = (0..n).map(|_| [1.0, -1.0][rng.random_range(0..2)] / (n as f64).sqrt()).collect();
        let one = rng.random_range(0..n);
        let coordinate = (0..n).map(|i| f64::from(i == one)).collect();
        let along: Vec<f64> = gradient.iter().map(|g| g / norm.max(1e-300)).collect();
        let size = value(&vec![0.0; n]).abs();
        for v in [along, signs, coordinate] {
            let mut slope = |h: f64| {
                let mut at = |h: f64| value(&v.iter().map(|v| h * v).collect::<Vec<_>>());
                (at(h) - at(-h)) / (2.0 * h)
            };
            let (wide, narrow) = (slope(3e-5), slope(4e-6));
            let found: f64 = gradient.iter().zip(&v).map(|(g, v)| g * v).sum();
            // Differences of a number of this size have so much rounding in them.
            let tolerance = 1e-6 * found.abs().max(norm / (n as f64).sqrt()) + 1e-10 * size;
            if (wide - narrow).abs() > 0.5 * tolerance {
                self.kinks += 1;
                continue;
            }
            self.compared += 1;
            assert!((found - narrow).abs() <= tolerance, "{what}: {found} instead of {narrow} (or {wide})");
        }
    }
}

/// z_t − ẑ_t.
fn residual_at(net: &Net, block: &Block<f64>, t: usize) -> Vec<f64> {
    // ∂/∂λ of the energy is the residual: the multiplier term is linear in it.
    let at = |i: usize, size: f64| {
        let mut probe = block.clone();
        let len = probe.stored(t).as_slice().len();
        probe.multiplier_mut(t).copy_from_slice(&(0..len).map(|k| if k == i { size } else { 0.0 }).collect::<Vec<_>>());
        net.objective().term(&mut probe, t).unwrap()
    };
    (0..block.stored(t).as_slice().len()).map(|i| (at(i, 1.0) - at(i, -1.0)) / 2.0).collect()
}

#[test]
fn gradients_of_the_energy_are_its_slopes_for_random_networks() {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let mut checks = Checks::default();
    for case in 0..210 {
        let (net, mut block) = random_case(case, &mut rng);
        let depth = net.depth();
        for t in (1..depth).filter(|t| (case + t) % 3 == 0) {
            let multiplier = normal(&mut rng, block.stored(t).as_slice().len());
            block.multiplier_mut(t).copy_from_slice(&multiplier);
        }
        let block = block;
        let what = |which: &str, t: usize| format!("∂L/∂{which}_{t} in case {case}, {depth} layers");
        for t in 0..depth {
            let mut block = block.clone();
            match t {
                0 => net.objective().input_gradient(&mut block).unwrap(),
                _ => net.objective().activation_gradient(&mut block, t).unwrap(),
            }
            let gradient = block.gradient(t).as_slice().to_vec();
            let z = block.stored(t).as_slice().to_vec();
            checks.compare(&gradient, &mut rng, &what("z", t), |step| {
                block.stored_mut(t).iter_mut().zip(z.iter().zip(step)).for_each(|(to, (z, s))| *to = z + s);
                net.objective().energy(&mut block).unwrap()
            });
        }
        // In error coordinates an activation carries along those above it.
        let mut errors = block.clone();
        net.objective().error_gradients(&mut errors).unwrap();
        for t in 1..depth {
            let gradient = errors.gradient(t).as_slice().to_vec();
            checks.compare(&gradient, &mut rng, &what("ε", t), |step| {
                let mut moved = block.clone();
                for above in t..depth {
                    let error = residual_at(&net, &block, above);
                    let prediction = residual_at(&net, &moved, above);
                    let z = moved.stored(above).as_slice().to_vec();
                    let own = moved.stored_mut(above).iter_mut().enumerate();
                    own.for_each(|(i, to)| {
                        *to = z[i] - prediction[i] + error[i] + if above == t { step[i] } else { 0.0 }
                    });
                }
                net.objective().energy(&mut moved).unwrap()
            });
        }
        for t in (0..depth).filter(|&t| !net.params(t).is_empty()) {
            for reads in [Reads::Stored, Reads::Forward] {
                let mut gradient = vec![f64::NAN; net.params(t).len()];
                net.objective().parameter_gradient(&mut block.clone(), t, reads, &mut gradient).unwrap();
                // With forward reads it is the slope of the same term with a_t where z_t stood.
                let mut block = block.clone();
                if reads == Reads::Forward {
                    let a = block.forward(t).as_slice().to_vec();
                    block.stored_mut(t).copy_from_slice(&a);
                }
                let mut moved = net.clone();
                checks.compare(&gradient, &mut rng, &what("θ", t), |step| {
                    let params: Vec<f64> = net.params(t).iter().zip(step).map(|(p, s)| p + s).collect();
                    moved.set_params(t, &params).unwrap();
                    block.parameters_moved();
                    match reads {
                        Reads::Stored => moved.objective().energy(&mut block).unwrap(),
                        Reads::Forward => moved.objective().term(&mut block, t + 1).unwrap(),
                    }
                });
            }
        }
    }
    assert!(checks.compared > 2500, "only {} comparisons", checks.compared);
    let share = checks.kinks as f64 / checks.compared as f64;
    assert!(share < 0.03, "{share} of the differences are no use");
}

#[test]
fn the_energy_is_the_sum_of_its_terms_and_adds_up_over_examples() {
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    for case in 0..35 {
        let (net, mut block) = random_case(case, &mut rng);
        let objective = net.objective();
        let energy = objective.energy(&mut block).unwrap();
        let terms: f64 = (1..=net.depth()).map(|t| objective.term(&mut block, t).unwrap()).sum();
        assert!((energy - terms).abs() <= 1e-14 * energy.abs());
        let each: f64 = (0..block.examples())
            .map(|i| {
                let mut alone = objective.block(1);
                (0..=net.depth()).for_each(|t| alone.stored_mut(t).copy_from_slice(block.stored(t).column(i)));
                objective.energy(&mut alone).unwrap()
            })
            .sum();
        assert!((energy - each).abs() <= 1e-12 * energy.abs(), "{energy} together, {each} one by one");
    }
}

#[test]
fn a_block_can_be_anchored_again_after_the_parameters_have_moved() {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    for case in 0..20 {
        let (mut net, mut block) = random_case(case, &mut rng);
        net.objective().anchor(&mut block).unwrap();
        net.objective().energy(&mut block).unwrap();
        for t in 0..net.depth() {
            let params: Vec<f64> = net.params(t).iter().map(|p| 1.1 * p - 0.05).collect();
            net.set_params(t, &params).unwrap();
        }
        net.objective().anchor(&mut block).unwrap();
        let mut fresh = net.objective().block(block.examples());
        fresh.stored_mut(0).copy_from_slice(block.stored(0).as_slice());
        fresh.stored_mut(net.depth()).copy_from_slice(block.stored(net.depth()).as_slice());
        net.objective().anchor(&mut fresh).unwrap();
        for t in 1..net.depth() {
            assert_eq!(block.stored(t), fresh.stored(t));
        }
        let (again, anew) = (net.objective().energy(&mut block).unwrap(), net.objective().energy(&mut fresh).unwrap());
        assert_eq!(again, anew);
    }
}

#[test]
fn a_block_that_is_given_other_examples_or_activations_forgets_its_predictions() {
    let mut rng = ChaCha12Rng::seed_from_u64(9);
    for case in 0..20 {
        let (net, mut block) = random_case(case, &mut rng);
        let objective = net.objective();
        objective.energy(&mut block).unwrap();
        for t in 0..=net.depth() {
            let moved = normal(&mut rng, block.stored(t).as_slice().len());
            if t < net.depth() {
                block.stored_mut(t).copy_from_slice(&moved);
            }
            let mut fresh = objective.block(block.examples());
            (0..=net.depth()).for_each(|t| fresh.stored_mut(t).copy_from_slice(block.stored(t).as_slice()));
            assert_eq!(objective.energy(&mut block).unwrap(), objective.energy(&mut fresh).unwrap(), "z_{t}");
        }
    }
}
