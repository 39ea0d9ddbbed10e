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
    let largest = curvatures(objective, block, (hidden.max(1), Coordinates::Activations), iterations)?;
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

/// Estimates λmax of the Hessian's diagonal blocks, each of `layers` hidden layers, from the input to the output: 1 for each z_t
/// separately, or all of them for the whole Hessian.
pub(crate) fn curvatures<T: Scalar>(
    objective: &Objective<'_, T>,
    block: &mut Block<T>,
    (layers, coordinates): (usize, Coordinates),
    iterations: usize,
) -> Result<Vec<f64>> {
    let (hidden, examples) = (1..block.layers(), block.examples());
    // The same start in every estimate: it changes with the network, not by chance.
    let mut rng = stream(0, Purpose::Probe, 0, 0);
    let copy = |block: &Block<T>| hidden.clone().map(|t| block.stored(t).as_slice().to_vec()).collect::<Vec<_>>();
    let origin = copy(block);
    // By the activations' size in errors too, which are zero at a forward pass: a smaller difference would round away in z.
    let (mut steps, mut lengths) = (Vec::new(), Vec::new());
    column_norms(&origin, layers, examples, &mut steps);
    coordinates.enter(objective, block)?;
    let home = copy(block);
    let draw = |home: &Vec<T>| home.iter().map(|_| T::standard_normal(&mut rng)).collect::<Vec<_>>();
    let mut direction: Vec<Vec<T>> = home.iter().map(draw).collect();
    let mut product = home.clone();
    // The cube root of the precision, relative to the activations' size: best for central differences.
    let step = |size: &mut T| *size = (T::one() + *size) * T::default_epsilon().cbrt();
    steps.iter_mut().flatten().for_each(step);
    // Separate layers may move together if they are not neighbours: two gradients then serve all of them.
    let every = if layers > 1 { 1 } else { 2 };
    let mut largest = Vec::new();
    for _ in 0..iterations {
        column_norms(&direction, layers, examples, &mut lengths);
        for (vs, lengths) in direction.chunks_mut(layers).zip(&lengths) {
            for v in vs {
                let width = v.len() / examples;
                let columns = v.chunks_exact_mut(width).zip(lengths);
                columns.for_each(|(v, &length)| v.iter_mut().for_each(|v| *v /= length));
            }
        }
        product.iter_mut().for_each(|product| product.fill(T::zero()));
        for last in (0..every.min(hidden.len())).map(|skipped| hidden.end - skipped) {
            let group = if every == 1 { Group::all(1..last) } else { Group::every_second(1..last) };
            for sign in [T::one(), -T::one()] {
                for t in group.members() {
                    let (z, v, steps) = (&home[t - 1], &direction[t - 1], &steps[(t - 1) / layers]);
                    let width = z.len() / examples;
                    let moved = block.stored_mut(t).iter_mut().zip(z.iter().zip(v)).enumerate();
                    moved.for_each(|(i, (m, (&z, &v)))| *m = z + sign * steps[i / width] * v);
                }
                coordinates.leave(objective, block)?;
                coordinates.gradients(objective, block, &group)?;
                for t in group.members() {
                    let (product, steps) = (&mut product[t - 1], &steps[(t - 1) / layers]);
                    let width = product.len() / examples;
                    let pairs = product.iter_mut().zip(block.gradient(t).as_slice()).enumerate();
                    pairs.for_each(|(i, (p, &g))| *p += sign * g / (steps[i / width] + steps[i / width]));
                }
            }
            // Restored before the neighbours move: their products are at the same point.
            group.members().for_each(|t| block.stored_mut(t).copy_from_slice(&home[t - 1]));
        }
        column_norms(&product, layers, examples, &mut lengths);
        largest = lengths.iter().map(|part| part.iter().fold(0.0, |l: f64, n| l.max(n.to_f64()))).collect();
        // The product, normalised at the next iteration, is the next direction.
        std::mem::swap(&mut direction, &mut product);
    }
    // Bit for bit, which a way back through the errors is not.
    hidden.zip(origin).for_each(|(t, z)| block.stored_mut(t).copy_from_slice(&z));
    Ok(largest)
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
