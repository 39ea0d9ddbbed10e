//! λmax of the energy in Z by power iteration, for rates that stay stable.

use crate::machine::random::{Purpose, stream};
use crate::method::block::{Block, Group};
use crate::method::energy::Objective;
use crate::{Result, Scalar};

/// Estimates λmax of ∂²L/∂Z² at a block's activations, the largest in absolute value over its examples. A plain activation step is
/// stable below 2/λmax.
///
/// Power iteration on every example at once (their Hessians are separate blocks), with Hessian products by central
/// differences of ∂L/∂z. The estimate is a lower bound, within a few percent after `iterations` = 20. Activations are
/// restored.
///
/// # Errors
/// [`Error::Panicked`](crate::Error::Panicked) when a layer or a loss panics.
pub fn curvature<T: Scalar>(objective: &Objective<'_, T>, block: &mut Block<T>, iterations: usize) -> Result<f64> {
    let hidden = block.layers() - 1;
    let mut iteration = PowerIteration::default();
    let largest = iteration.run(objective, block, (hidden.max(1), Coordinates::Activations), iterations)?;
    Ok(largest.first().copied().unwrap_or(0.0))
}

/// The variables of the Hessian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Coordinates {
    /// z_t.
    Activations,
    /// ε_t = z_t − ẑ_t, of all hidden layers at once.
    Errors,
}

impl Coordinates {
    /// Converts the stored activations to these coordinates.
    fn enter<T: Scalar>(self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<()> {
        if self == Self::Errors {
            (1..block.layers()).try_for_each(|t| objective.predict(block, t).map(drop))?;
            block.subtract_predictions();
        }
        Ok(())
    }

    /// Converts them back.
    fn leave<T: Scalar>(self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<()> {
        if self == Self::Errors { objective.roll_out(block) } else { Ok(()) }
    }

    /// Computes the gradient with respect to these coordinates, for the layers of a group.
    fn gradients<T: Scalar>(self, objective: &Objective<'_, T>, block: &mut Block<T>, group: &Group) -> Result<()> {
        match self {
            Self::Activations => objective.activation_gradients(block, group),
            Self::Errors => objective.error_gradients(block),
        }
    }
}

/// The scratch of [`curvature`]: vectors with an entry per stored activation, and values per example.
#[derive(Clone, Debug, Default)]
pub(crate) struct PowerIteration<T> {
    origin: Vec<Vec<T>>,
    home: Vec<Vec<T>>,
    direction: Vec<Vec<T>>,
    product: Vec<Vec<T>>,
    /// Per diagonal block of the Hessian, and per example.
    lengths: Vec<Vec<T>>,
    steps: Vec<Vec<T>>,
    largest: Vec<f64>,
}

impl<T: Scalar> PowerIteration<T> {
    /// Estimates λmax of the Hessian's diagonal blocks, each of `layers` hidden layers, from the input to the output: 1 for each z_t
    /// separately, or all of them for the whole Hessian.
    pub(crate) fn run(
        &mut self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        (layers, coordinates): (usize, Coordinates),
        iterations: usize,
    ) -> Result<&[f64]> {
        let hidden = 1..block.layers();
        let examples = block.examples();
        let Self { origin, home, direction, product, lengths, steps, largest } = self;
        // The same start in every estimate: it changes with the network, not by chance.
        let mut rng = stream(0, Purpose::Probe, 0, 0);
        for vectors in [&mut *origin, &mut *home, &mut *direction, &mut *product] {
            vectors.resize(hidden.len(), Vec::new());
        }
        let copy = |block: &Block<T>, to: &mut Vec<Vec<T>>| {
            for (t, to) in hidden.clone().zip(to) {
                to.clear();
                to.extend_from_slice(block.stored(t).as_slice());
            }
        };
        copy(block, origin);
        // By the activations' size in errors too, which are zero at a forward pass: a smaller difference would round away in z.
        column_norms(origin, layers, examples, steps);
        coordinates.enter(objective, block)?;
        copy(block, home);
        for (home, direction) in home.iter().zip(&mut *direction) {
            direction.clear();
            direction.extend(home.iter().map(|_| T::standard_normal(&mut rng)));
        }
        // The cube root of the precision, relative to the activations' size: best for central differences.
        let step = |size: &mut T| *size = (T::one() + *size) * T::default_epsilon().cbrt();
        steps.iter_mut().flatten().for_each(step);
        // Separate layers may move together if they are not neighbours: two gradients then serve all of them.
        let every = if layers > 1 { 1 } else { 2 };
        for _ in 0..iterations {
            column_norms(direction, layers, examples, lengths);
            for (v, lengths) in
                direction.chunks_mut(layers).zip(&*lengths).flat_map(|(vs, l)| vs.iter_mut().map(move |v| (v, l)))
            {
                let width = v.len() / examples;
                for (v, &length) in v.chunks_exact_mut(width).zip(lengths) {
                    v.iter_mut().for_each(|v| *v /= length);
                }
            }
            for (product, v) in product.iter_mut().zip(&*direction) {
                product.clear();
                product.resize(v.len(), T::zero());
            }
            for last in (0..every.min(hidden.len())).map(|skipped| hidden.end - skipped) {
                let group = if every == 1 { Group::all(1..last) } else { Group::every_second(1..last) };
                let members = || hidden.clone().filter(|&t| group.has(t));
                for sign in [T::one(), -T::one()] {
                    for t in members() {
                        let (z, v, steps) = (&home[t - 1], &direction[t - 1], &steps[(t - 1) / layers]);
                        let width = z.len() / examples;
                        let moved = block.stored_mut(t).iter_mut().zip(z.iter().zip(v)).enumerate();
                        moved.for_each(|(i, (m, (&z, &v)))| *m = z + sign * steps[i / width] * v);
                    }
                    coordinates.leave(objective, block)?;
                    coordinates.gradients(objective, block, &group)?;
                    for t in members() {
                        let (product, steps) = (&mut product[t - 1], &steps[(t - 1) / layers]);
                        let width = product.len() / examples;
                        let pairs = product.iter_mut().zip(block.gradient(t).as_slice()).enumerate();
                        pairs.for_each(|(i, (p, &g))| *p += sign * g / (steps[i / width] + steps[i / width]));
                    }
                }
                // Restored before the neighbours move: their products are at the same point.
                members().for_each(|t| block.stored_mut(t).copy_from_slice(&home[t - 1]));
            }
            column_norms(product, layers, examples, lengths);
            largest.clear();
            largest.extend(lengths.iter().map(|part| part.iter().fold(0.0, |l: f64, n| l.max(n.to_f64()))));
            // The product, normalised at the next iteration, is the next direction.
            std::mem::swap(direction, product);
        }
        // Bit for bit, which a way back through the errors is not.
        hidden.zip(origin).for_each(|(t, z)| block.stored_mut(t).copy_from_slice(z));
        Ok(largest)
    }
}

/// norms ← ‖column‖ over `layers` layers at a time, at least the machine epsilon, because it is a divisor.
fn column_norms<T: Scalar>(all: &[Vec<T>], layers: usize, examples: usize, norms: &mut Vec<Vec<T>>) {
    norms.resize(all.len().div_ceil(layers), Vec::new());
    for (part, norms) in all.chunks(layers).zip(norms) {
        norms.clear();
        norms.resize(examples, T::zero());
        for layer in part {
            for (square, column) in norms.iter_mut().zip(layer.chunks_exact(layer.len() / examples)) {
                // Per example, over the layers of a part: examples have separate Hessians.
                *square += crate::machine::linalg::norm_squared(column);
            }
        }
        norms.iter_mut().for_each(|s| *s = s.sqrt().max(T::default_epsilon()));
    }
}
