//! Gauss–Newton: all z_t of an example at the minimum of a quadratic model, shortened until its energy does not rise.

use super::{ActivationStep, Memory, Prepared};
use crate::error::require;
use crate::machine::linalg;
use crate::method::block::{Block, Group, Reads};
use crate::method::energy::Objective;
use crate::method::schedule::Work;
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
/// and the step goes there, halved until the example's energy does not rise, or nowhere. For squared errors and linear
/// layers the first step is the equilibrium. The hidden losses count as squared errors of weight μ_t; with other losses the
/// step is only a safe descent.
///
/// The cost is that of d_T pull-backs through the whole depth, so it suits outputs of some tens of rows at most.
///
/// Carreira-Perpiñán and Wang (2014), *Distributed optimization of deeply nested systems*, arXiv 1212.5921, take Gauss–Newton
/// steps in Z. Departs from them in the coordinates: curvature of the layers that the model leaves out changes the output, never
/// a hidden residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct GaussNewton {
    pub(crate) steps: usize,
}

/// Most halvings of a step; then the example does not move.
const HALVINGS: usize = 12;

impl GaussNewton {
    /// Returns `steps` steps.
    pub const fn new(steps: usize) -> Self {
        Self { steps }
    }
}

impl<T: Scalar> ActivationStep<T> for GaussNewton {
    fn steps(&self, _depth: usize) -> usize {
        self.steps
    }

    fn groups(&self, depth: usize) -> Vec<Group> {
        vec![Group::all(1..depth)]
    }

    fn step(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        _all: &Group,
        _prepared: &Prepared<T>,
        memory: &mut Memory<T>,
    ) -> Result<()> {
        let model = &mut memory.model;
        // Leaves the predictions up to date, which the model reads.
        objective.energies(block, &mut model.before)?;
        model.linearise(objective, block)?;
        model.minimise(objective, block);

        // Per example, the largest step of 1, 1/2, 1/4, … that does not raise the energy.
        let Model { now, goal, before, after, share, .. } = model;
        share.clear();
        share.resize(block.examples(), T::one());
        for halving in 0..=HALVINGS {
            for (t, (now, goal)) in (1..block.layers()).zip(now.iter().zip(&*goal)) {
                let width = block.stored(t).rows();
                let columns = block.stored_mut(t).chunks_exact_mut(width).zip(&*share);
                let ends = now.chunks_exact(width).zip(goal.chunks_exact(width));
                for ((z, &share), (now, goal)) in columns.zip(ends) {
                    for (z, (&now, &goal)) in z.iter_mut().zip(now.iter().zip(goal)) {
                        // 0 · ∞ is NaN: a goal that overflowed must not reach an example that stays.
                        *z = if share > T::zero() { now + share * (goal - now) } else { now };
                    }
                }
            }
            // `z` holds ε until here; every share needs a forward pass of its own.
            objective.roll_out(block)?;
            objective.energies(block, after)?;
            // The last halving is to 0, so every example ends at an energy that has not risen.
            let half = if halving + 1 < HALVINGS { T::of(0.5) } else { T::zero() };
            let mut rising = false;
            for (share, (after, before)) in share.iter_mut().zip(after.iter().zip(&*before)) {
                // A NaN counts as a rise.
                let descends = after <= before;
                if *share > T::zero() && !descends {
                    *share *= half;
                    rising = true;
                }
            }
            if !rising {
                break;
            }
        }
        Ok(())
    }

    fn work(&self) -> Work {
        Work::Through
    }

    // The number of pull-backs is that of the outputs, and the number of roll-outs depends on the data.
    fn is_counted(&self) -> bool {
        false
    }

    fn validate(&self) -> Result<()> {
        require(self.steps > 0, "activation steps", "at least 1", self.steps as f64)
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("GaussNewton", self)
    }
}

/// The quadratic model of a block's energy, and the scratch of a step to its minimum.
#[derive(Clone, Debug, Default)]
pub(super) struct Model<T> {
    /// P_tᵀ of every example, `d_t × d_T`, for each hidden layer.
    pulls: Vec<Vec<T>>,
    /// H of every example, `d_T × d_T`.
    hessian: Vec<T>,
    /// g of every example.
    gradient: Vec<T>,
    /// ε_t and ε_t' of every example, for each hidden layer.
    now: Vec<Vec<T>>,
    goal: Vec<Vec<T>>,
    /// A, Σ_t P_t (ε_t + λ_t/μ_t) and I + H·A of one example.
    spread: Vec<T>,
    shift: Vec<T>,
    system: Vec<T>,
    /// Scratch for a product before it is added or copied.
    product: Vec<T>,
    /// The energy of every example before and after the step, and its share of the full step.
    before: Vec<T>,
    after: Vec<T>,
    share: Vec<T>,
}

impl<T: Scalar> Model<T> {
    /// Computes the model at the block's activations, whose predictions are up to date: P_t, H, g and ε_t.
    fn linearise(&mut self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<()> {
        let Self { pulls, hessian, gradient, now, product, .. } = self;
        let (top, examples) = (block.layers(), block.examples());
        let outputs = block.stored(top).rows();
        for layers in [&mut *pulls, &mut *now] {
            layers.resize(top - 1, Vec::new());
        }
        for (t, (pulls, now)) in (1..top).zip(pulls.iter_mut().zip(now)) {
            let (z, prediction) = (block.stored(t).as_slice(), block.prediction(t - 1, Reads::Stored).as_slice());
            pulls.resize(z.len() * outputs, T::zero());
            now.clear();
            now.extend(z.iter().zip(prediction).map(|(&z, &p)| z - p));
        }
        let hessian = zeros(hessian, outputs * outputs * examples);
        // Row by row of P_t, the pull-back of one output to the hidden activations, and column by column of H.
        for k in 0..outputs {
            // The pull-back of unit vector k is row k of the Jacobian.
            for column in block.cotangent[top].chunks_exact_mut(outputs) {
                column.fill(T::zero());
                column[k] = T::one();
            }
            for t in (1..top).rev() {
                objective.pull_back(block, t, Reads::Stored)?;
                block.cotangent[t].copy_from_slice(&block.gradient[t]);
                set_columns(&mut pulls[t - 1], k, outputs, block.gradient(t));
            }
            let mut column = MatMut::new(zeros(product, outputs * examples), outputs, examples);
            objective.output_hessian_product(block, column.reborrow())?;
            set_columns(hessian, k, outputs, column.as_ref());
        }
        objective.cotangent(block, top, Reads::Stored)?;
        gradient.clone_from(&block.cotangent[top]);
        Ok(())
    }

    /// Computes ε_t' of every example, the minimum of the model; v overwrites g.
    fn minimise(&mut self, objective: &Objective<'_, T>, block: &Block<T>) {
        let Self { pulls, hessian, gradient, now, goal, spread, shift, system, product, .. } = self;
        let top = block.layers();
        let outputs = block.stored(top).rows();
        // Until then `goal` holds ε_t + λ_t/μ_t.
        goal.clone_from(now);
        for i in 0..block.examples() {
            let own = |len: usize| i * len..(i + 1) * len;
            let (spread, shift) = (zeros(spread, outputs * outputs), zeros(shift, outputs));
            let product = zeros(product, outputs * outputs);
            for (t, (pulls, offset)) in (1..top).zip(pulls.iter().zip(&mut *goal)) {
                let width = block.stored(t).rows();
                let p = MatRef::new(&pulls[own(width * outputs)], width, outputs);
                let reciprocal = T::one() / objective.loss(t).1;
                let offset = &mut offset[own(width)];
                if let Some(multiplier) = block.multiplier(t) {
                    linalg::axpy(reciprocal, multiplier.column(i), offset);
                }
                linalg::matmul_tn(p, p, MatMut::new(product, outputs, outputs));
                linalg::axpy(reciprocal, product, spread);
                let product = &mut product[..outputs];
                linalg::matmul_tn(p, MatRef::new(offset, width, 1), MatMut::new(product, outputs, 1));
                linalg::axpy(T::one(), product, shift);
            }

            // (I + H·A) v = g − H·Σ_t P_t (ε_t + λ_t/μ_t)
            let h = MatRef::new(&hessian[own(outputs * outputs)], outputs, outputs);
            let system = zeros(system, outputs * outputs);
            system.iter_mut().step_by(outputs + 1).for_each(|diagonal| *diagonal = T::one());
            linalg::add_matmul(h, MatRef::new(spread, outputs, outputs), MatMut::new(system, outputs, outputs));
            let v = &mut gradient[own(outputs)];
            linalg::subtract_matmul(h, MatRef::new(shift, outputs, 1), MatMut::new(v, outputs, 1));
            // For a convex L_y the system is regular. If rounding or another loss makes it singular, the example does not move.
            let regular = linalg::solve(system, v);

            // ε_t' = −(P_tᵀ v + λ_t)/μ_t
            for (t, (pulls, (now, goal))) in (1..top).zip(pulls.iter().zip(now.iter().zip(&mut *goal))) {
                let width = block.stored(t).rows();
                let goal = &mut goal[own(width)];
                if !regular {
                    goal.copy_from_slice(&now[own(width)]);
                    continue;
                }
                let p = MatRef::new(&pulls[own(width * outputs)], width, outputs);
                linalg::matmul(p, MatRef::new(v, outputs, 1), MatMut::new(goal, width, 1));
                if let Some(multiplier) = block.multiplier(t) {
                    linalg::axpy(T::one(), multiplier.column(i), goal);
                }
                let penalty = objective.loss(t).1;
                goal.iter_mut().for_each(|goal| *goal = -*goal / penalty);
            }
        }
    }
}

/// Resizes a buffer to `len` zeros.
fn zeros<T: Scalar>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    buffer.clear();
    buffer.resize(len, T::zero());
    buffer
}

/// Sets column k of every example's matrix, of `columns` columns, to the example's column of `from`.
fn set_columns<T: Scalar>(matrices: &mut [T], k: usize, columns: usize, from: MatRef<'_, T>) {
    let rows = from.rows();
    for (matrix, column) in matrices.chunks_exact_mut(rows * columns).zip(from.columns()) {
        matrix[k * rows..(k + 1) * rows].copy_from_slice(column);
    }
}
