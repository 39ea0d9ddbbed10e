use crate::block::{Block, Group};
use crate::energy::Objective;
use crate::random::{Purpose, stream};
use crate::{Result, Scalar};

/// λmax of ∂²L/∂Z² at a block's activations, the largest in absolute value over its examples: a plain activation step is stable below
/// 2/λmax.
///
/// Power iteration on every example at once (their Hessians are separate blocks), with Hessian products by central
/// differences of ∂L/∂z. A lower bound that is within a few percent after `iterations` = 20; activations are left as
/// they were.
///
/// # Errors
/// [`Error::Panicked`](crate::Error::Panicked) when a layer or a loss panics.
pub fn curvature<T: Scalar>(objective: &Objective<'_, T>, block: &mut Block<T>, iterations: usize) -> Result<f64> {
    PowerIteration::default().run(objective, block, iterations)
}

/// The scratch of [`curvature`]: vectors with an entry for every stored activation, and numbers for every example.
#[derive(Clone, Debug, Default)]
pub(crate) struct PowerIteration<T> {
    home: Vec<Vec<T>>,
    direction: Vec<Vec<T>>,
    product: Vec<Vec<T>>,
    lengths: Vec<T>,
    steps: Vec<T>,
}

impl<T: Scalar> PowerIteration<T> {
    pub(crate) fn run(&mut self, objective: &Objective<'_, T>, block: &mut Block<T>, iterations: usize) -> Result<f64> {
        let hidden = 1..block.layers();
        let examples = block.examples();
        let Self { home, direction, product, lengths, steps } = self;
        let mut rng = stream(0, Purpose::Probe, 0, 0);
        for vectors in [&mut *home, &mut *direction, &mut *product] {
            vectors.resize(hidden.len(), Vec::new());
        }
        for (t, (home, direction)) in hidden.clone().zip(home.iter_mut().zip(&mut *direction)) {
            home.clear();
            home.extend_from_slice(block.stored(t).as_slice());
            direction.clear();
            direction.extend(home.iter().map(|_| T::standard_normal(&mut rng)));
        }
        column_norms(home, examples, steps);
        // The cube root of the precision, relative to the activations' size: best for central differences.
        steps.iter_mut().for_each(|size| *size = (T::one() + *size) * T::default_epsilon().cbrt());
        let mut largest = 0.0;
        for _ in 0..iterations {
            column_norms(direction, examples, lengths);
            for v in direction.iter_mut() {
                let width = v.len() / examples;
                for (v, &length) in v.chunks_exact_mut(width).zip(&*lengths) {
                    v.iter_mut().for_each(|v| *v /= length);
                }
            }
            for (product, v) in product.iter_mut().zip(&*direction) {
                product.clear();
                product.resize(v.len(), T::zero());
            }
            for sign in [T::one(), -T::one()] {
                for (t, (z, v)) in hidden.clone().zip(home.iter().zip(&*direction)) {
                    let width = z.len() / examples;
                    let moved = block.stored_mut(t).iter_mut().zip(z.iter().zip(v)).enumerate();
                    moved.for_each(|(i, (m, (&z, &v)))| *m = z + sign * steps[i / width] * v);
                }
                objective.activation_gradients(block, &Group { layers: hidden.clone(), every: 1 })?;
                for (t, product) in hidden.clone().zip(product.iter_mut()) {
                    let width = product.len() / examples;
                    let pairs = product.iter_mut().zip(block.gradient(t).as_slice()).enumerate();
                    pairs.for_each(|(i, (p, &g))| *p += sign * g / (steps[i / width] + steps[i / width]));
                }
            }
            column_norms(product, examples, lengths);
            largest = lengths.iter().fold(0.0, |l: f64, n| l.max(n.to_f64()));
            std::mem::swap(direction, product);
        }
        for (t, z) in hidden.zip(&*home) {
            block.stored_mut(t).copy_from_slice(z);
        }
        Ok(largest)
    }
}

/// norms ← ‖column‖ over all layers, at least the machine epsilon: it is divided by.
fn column_norms<T: Scalar>(layers: &[Vec<T>], examples: usize, norms: &mut Vec<T>) {
    norms.clear();
    norms.resize(examples, T::zero());
    for layer in layers {
        for (square, column) in norms.iter_mut().zip(layer.chunks_exact(layer.len() / examples)) {
            *square += crate::linalg::norm_squared(column);
        }
    }
    norms.iter_mut().for_each(|s| *s = s.sqrt().max(T::default_epsilon()));
}
