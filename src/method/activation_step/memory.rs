//! The memory of activation steps: an optimizer's state per example, and values per group that all examples share.

use super::Rates;
use super::curvature::{Coordinates, curvatures};
use super::gauss_newton::Model;
use crate::machine::linalg::matrix::resize;
use crate::machine::parallel::guarded;
use crate::method::block::{Block, Group};
use crate::method::energy::Objective;
use crate::optimizer::Step;
use crate::{Optimizer, Result, Scalar};

/// The state of an activation optimizer for a block's examples, and the scratch of a step.
#[derive(Clone, Debug, Default)]
pub struct Memory<T> {
    /// For every hidden layer, `slots · d_t` entries per example.
    pub(crate) state: Vec<Vec<T>>,
    /// Steps that each example has taken.
    pub(crate) steps: Vec<u64>,
    /// The scratch of Gauss–Newton steps.
    pub(super) model: Model<T>,
}

/// The values that all examples share in a step.
#[derive(Clone, Debug, Default)]
pub struct Prepared<T> {
    /// The rates, as [`ActivationStep::adapt`](super::ActivationStep::adapt) left them.
    pub rates: Rates<T>,
    /// The values from [`ActivationStep::prepare`](super::ActivationStep::prepare), such as a factor of the layer's map.
    pub factor: Vec<T>,
    /// Scratch.
    pub work: Vec<f64>,
}

impl<T: Scalar> Prepared<T> {
    /// Sets the rate of every hidden layer: `rate`, or `stable`/λmax where that is less. `together` hidden layers share a λmax, that of
    /// their block of the Hessian in these coordinates at `sample`.
    pub(super) fn follow(
        &mut self,
        objective: &Objective<'_, T>,
        sample: &mut Block<T>,
        (rate, stable): (f64, Option<f64>),
        (together, coordinates): (usize, Coordinates),
    ) -> Result<()> {
        let hidden = sample.layers() - 1;
        let Some(fraction) = stable.filter(|_| hidden > 0) else {
            self.rates = Rates { layers: vec![T::of(rate); hidden], curvature: None, margin: None };
            return Ok(());
        };
        let largest = curvatures(objective, sample, (together, coordinates), 8)?;
        let each = largest
            .iter()
            .flat_map(|&largest| std::iter::repeat_n((largest, (fraction / largest).min(rate)), together));
        self.rates = Rates {
            layers: each.clone().map(|(_, rate)| T::of(rate)).collect(),
            curvature: Some(largest.iter().copied().fold(0.0, f64::max)),
            margin: Some(each.map(|(largest, rate)| 2.0 / (largest * rate)).fold(f64::INFINITY, f64::min)),
        };
        Ok(())
    }
}

impl<T: Scalar> Memory<T> {
    /// Resets to the state before the first step of the block's examples.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn reset(&mut self, block: &Block<T>, slots: usize) -> Result<()> {
        self.state.resize(block.layers() - 1, Vec::new());
        for (t, state) in self.state.iter_mut().enumerate() {
            let len = slots.saturating_mul(block.stored(t + 1).as_slice().len());
            state.clear();
            resize("what the activation optimizer remembers", state, len, T::zero())?;
        }
        self.steps.clear();
        self.steps.resize(block.examples(), 0);
        Ok(())
    }

    /// Counts another step of every example.
    pub(crate) fn count(&mut self) {
        // The count of a column from a file may be any number: saturate.
        self.steps.iter_mut().for_each(|steps| *steps = steps.saturating_add(1));
    }

    /// z_t ← z_t + u(∂L/∂z_t) by the optimizer's rule u, for every example separately and the z_t of a group in parallel. `rate(t)`
    /// multiplies the learning rate. The gradients, which are overwritten, are those of
    /// [`Objective::activation_gradients`](crate::method::energy::Objective::activation_gradients).
    ///
    /// # Errors
    /// [`Error::Panicked`](crate::Error::Panicked) when the optimizer does.
    pub fn descend(
        &mut self,
        optimizer: &dyn Optimizer<T>,
        block: &mut Block<T>,
        group: &Group,
        rate: impl Fn(usize) -> T + Sync,
    ) -> Result<()> {
        let Self { state, steps, .. } = self;
        // State index t − 1 belongs to z_t.
        let (_, state) = state.split_at_mut(group.range().start - 1);
        block.step(group, state, |t, z, gradient, state| {
            let rate = rate(t);
            guarded("the activation optimizer", t, || {
                let (width, slots) = (z.len() / steps.len(), state.len() / steps.len());
                let examples = z.chunks_exact_mut(width).zip(gradient.chunks_exact_mut(width));
                let mut state = &mut state[..];
                // One call for each example: a rule that reads a whole slice, as a clipped norm does, must not mix examples.
                for ((z, gradient), &number) in examples.zip(steps.iter()) {
                    let (own, rest) = std::mem::take(&mut state).split_at_mut(slots);
                    optimizer.update(Step::new(number, rate), z, gradient, own);
                    state = rest;
                }
            })
        })
    }
}
