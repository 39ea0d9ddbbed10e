use nalgebra::{DMatrix, DVector};

use crate::block::{Block, Reads};
use crate::energy::Objective;
use crate::error::require;
use crate::parallel::guarded;
use crate::{MatMut, MatRef, Result, Scalar};

/// Gauss–Newton steps on all hidden activations of an example at once, in error coordinates ε_t = z_t − ẑ_t.
///
/// With P_t the Jacobian of the output by ε_t, g and H gradient and Hessian of L_y at the present output, λ_t the multipliers,
/// the quadratic model of the energy has its minimum at
///
/// ```text
/// (I + H·A) v = g − H·Σ_t P_t (ε_t + λ_t/μ_t),    A = Σ_t P_t P_tᵀ/μ_t          d_T × d_T, one for each example
/// ε_t' = −(P_tᵀ v + λ_t)/μ_t
/// ```
///
/// and the step goes there, or half as far until the example's energy does not rise, or nowhere. For squared errors and linear
/// layers the first step is the equilibrium. The hidden losses count as squared errors of weight μ_t; with others the step is
/// a safe descent, no more.
///
/// The cost is that of d_T pull-backs through the whole depth: for outputs of some tens of rows.
///
/// Carreira-Perpiñán and Wang (2014), *Distributed optimization of deeply nested systems*, arXiv 1212.5921, take Gauss–Newton
/// steps in Z. Departs from them in the coordinates: what a step does not foresee of the layers' curvature changes the output,
/// never a hidden residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaussNewton {
    pub(crate) steps: usize,
}

/// How often a step is halved before the example stays where it is.
const HALVINGS: usize = 12;

impl GaussNewton {
    /// This many steps.
    pub const fn new(steps: usize) -> Self {
        Self { steps }
    }

    pub(super) fn validate(&self) -> Result<()> {
        require(self.steps > 0, "activation steps", "at least 1", self.steps as f64)
    }

    /// One step of every hidden layer.
    pub(super) fn step<T: Scalar>(&self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<()> {
        let top = block.layers();
        let before = objective.energies(block)?;
        let jacobians = jacobians(objective, block)?;
        let now = errors(block);
        let goal = minimum(objective, block, &jacobians, &now)?;

        // The largest share of the way, of 1, 1/2, 1/4, …, that does not raise the energy; every example its own.
        let mut share = vec![T::one(); block.examples()];
        for halving in 0..=HALVINGS {
            for t in 1..top {
                let width = block.stored(t).rows();
                let columns = block.stored_mut(t).chunks_exact_mut(width).zip(&share);
                let ends = now[t - 1].chunks_exact(width).zip(goal[t - 1].chunks_exact(width));
                for ((z, &share), (now, goal)) in columns.zip(ends) {
                    for (z, (&now, &goal)) in z.iter_mut().zip(now.iter().zip(goal)) {
                        // A goal that overflowed must not spoil an example that stays.
                        *z = if share > T::zero() { now + share * (goal - now) } else { now };
                    }
                }
            }
            objective.roll_out(block)?;
            let after = objective.energies(block)?;
            // Written so that a NaN counts as a rise.
            let rises = |i: usize| !matches!(after[i].partial_cmp(&before[i]), Some(o) if o.is_le());
            let rising: Vec<usize> = (0..share.len()).filter(|&i| share[i] > T::zero() && rises(i)).collect();
            if rising.is_empty() {
                break;
            }
            let half = if halving + 1 < HALVINGS { T::of(0.5) } else { T::zero() };
            rising.into_iter().for_each(|i| share[i] *= half);
        }
        Ok(())
    }
}

/// ε_t for all hidden layers, at the block's activations.
fn errors<T: Scalar>(block: &Block<T>) -> Vec<Vec<T>> {
    let error = |t| {
        let pairs = block.stored(t).as_slice().iter().zip(block.prediction(t - 1, Reads::Stored).as_slice());
        pairs.map(|(&z, &p)| z - p).collect()
    };
    (1..block.layers()).map(error).collect()
}

/// The rows of P_t, at `[row][t − 1]`, each `d_t × n`: what every output pulls back to every hidden activation.
fn jacobians<T: Scalar>(objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<Vec<Vec<Vec<T>>>> {
    let top = block.layers();
    let mut rows = Vec::new();
    for row in 0..block.stored(top).rows() {
        block.set_unit_cotangent(row);
        for t in (1..top).rev() {
            block.pull_back(objective.layers, objective.params, t, Reads::Stored)?;
            block.chain(t);
        }
        rows.push((1..top).map(|t| block.gradient(t).as_slice().to_vec()).collect());
    }
    Ok(rows)
}

/// ε_t' of every example, as [`errors`] has them.
fn minimum<T: Scalar>(
    objective: &Objective<'_, T>,
    block: &Block<T>,
    jacobians: &[Vec<Vec<T>>],
    now: &[Vec<T>],
) -> Result<Vec<Vec<T>>> {
    let (top, outputs, examples) = (block.layers(), jacobians.len(), block.examples());
    let target = block.stored(top);
    let prediction = block.prediction(top - 1, Reads::Stored);
    let mut gradient = vec![T::zero(); outputs * examples];
    // Column after column of H, for all examples.
    let mut hessian = vec![vec![T::zero(); outputs * examples]; outputs];
    guarded("the loss", top, || {
        objective.output_loss.gradient(target, prediction, MatMut::new(&mut gradient, outputs, examples));
        let mut direction = vec![T::zero(); outputs * examples];
        for (k, column) in hessian.iter_mut().enumerate() {
            direction.chunks_exact_mut(outputs).for_each(|d| d.fill(T::zero()));
            direction.chunks_exact_mut(outputs).for_each(|d| d[k] = T::one());
            let direction = MatRef::new(&direction, outputs, examples);
            let out = MatMut::new(column, outputs, examples);
            objective.output_loss.hessian_product(target, prediction, direction, out);
        }
    })?;

    let mut goal: Vec<Vec<T>> = now.iter().map(|errors| vec![T::zero(); errors.len()]).collect();
    for i in 0..examples {
        let own = |data: &[T], rows: usize| DVector::from_column_slice(&data[i * rows..(i + 1) * rows]);
        let mut spread = DMatrix::<T>::zeros(outputs, outputs);
        let mut shift = DVector::<T>::zeros(outputs);
        let mut maps = Vec::with_capacity(top - 1);
        for t in 1..top {
            let width = block.stored(t).rows();
            let p = DMatrix::from_fn(outputs, width, |k, j| jacobians[k][t - 1][i * width + j]);
            let reciprocal = T::one() / objective.loss(t).1;
            let lambda = block.multiplier(t).map_or_else(|| DVector::zeros(width), |m| own(m.as_slice(), width));
            shift += &p * (own(&now[t - 1], width) + &lambda * reciprocal);
            spread += &p * p.transpose() * reciprocal;
            maps.push((p, lambda, reciprocal));
        }
        let h = DMatrix::from_fn(outputs, outputs, |row, k| hessian[k][i * outputs + row]);
        let system = DMatrix::identity(outputs, outputs) + &h * spread;
        let right = own(&gradient, outputs) - h * shift;
        // For a convex L_y the system is regular. If rounding or another loss says no, the example stays where it is.
        let solution = system.lu().solve(&right);
        for (t, (p, lambda, reciprocal)) in maps.into_iter().enumerate() {
            let width = lambda.len();
            let out = &mut goal[t][i * width..(i + 1) * width];
            match &solution {
                Some(v) => out.copy_from_slice((-(p.transpose() * v + lambda) * reciprocal).as_slice()),
                None => out.copy_from_slice(&now[t][i * width..(i + 1) * width]),
            }
        }
    }
    Ok(goal)
}
