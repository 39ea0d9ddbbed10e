//! Ridge regression: θ_t in closed form, for layers with a regression under a squared error.

use std::sync::Arc;

use super::{LayerUpdate, ParameterStep, Sum};
#[cfg(feature = "serde")]
use crate::description::Description;
use crate::layer::{Change, Regression};
use crate::machine::linalg;
use crate::machine::linalg::matrix::{check_diverged, resize};
use crate::machine::parallel::guarded;
use crate::machine::setting::{require_non_negative, require_positive, require_share};
use crate::method::energy::Objective;
use crate::{Layer, Result, Scalar};

/// Least squares from the input of a layer to its pre-activation target:
///
/// ```text
/// argmin_θ  ½ Σ_i w_i ‖u_i − W·z_i − b‖² + (ridge/2μ)‖W‖² + (proximal/2μ)‖θ − θ_old‖²
/// ```
///
/// over the examples of a visit, and with [`memory`](Self::memory) over those of earlier visits; μ is the weight of the layer's
/// term in the objective, so that the step goes to the minimum of that term plus the two penalties. The w_i are the
/// [weights](crate::Dataset::with_weights) of the examples as given, 1 by default: doubling all of them halves the effect of the penalties, as
/// twice the examples do. If no example has a weight above 0, nothing changes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Ridge {
    /// Weight of ½‖W‖².
    pub ridge: f64,
    /// Weight of ½‖θ − θ_old‖².
    pub proximal: f64,
    /// The factor on the sums of earlier visits, to which this visit's are added, 0 ≤ memory < 1: a mini-batch alone determines too little.
    /// With 0 no sums are kept. Sums over data with weights are in units of the mean weight, so that data with other weights may follow.
    pub memory: f64,
    /// The largest change of the layer's pre-activations, relative to their spread, root mean square over the examples.
    pub trust: Option<f64>,
}

impl<T: Scalar> ParameterStep<T> for Ridge {
    fn sum(&self) -> Sum {
        Sum::Moments
    }

    fn step(&self, update: &mut LayerUpdate<'_, T>) -> Result<()> {
        let LayerUpdate { layer, penalty, t, .. } = *update;
        let (moments, params, memory, work) = update.scratch();
        if self.memory == 0.0 {
            // Without memory, a visit leaves no moments to the next.
            memory.clear();
            return self.minimise(t, (layer, penalty), params, moments, work);
        }
        // The memory of another step is no sum of moments.
        if memory.len() != moments.len() {
            memory.clear();
        }
        resize("the moments of a regression", memory, moments.len(), T::zero())?;
        let share = T::of(self.memory);
        // Decay before adding: this batch counts in full.
        memory.iter_mut().for_each(|m| *m *= share);
        linalg::axpy(T::one(), moments, memory);
        self.minimise(t, (layer, penalty), params, memory, work)
    }

    fn validate(&self) -> Result<()> {
        require_non_negative::<T>("ridge", self.ridge)?;
        require_non_negative::<T>("proximal weight of the parameters", self.proximal)?;
        require_share::<T>("memory of a ridge regression", self.memory)?;
        self.trust.map_or(Ok(()), |trust| require_positive::<T>("trust region", trust))
    }

    fn check(&self, objective: &Objective<'_, T>, t: usize) -> Result<()> {
        objective.check_squared("a parameter step by least squares (Ridge)", t)
    }

    fn in_units(&self, convert: &dyn Fn(f64) -> f64) -> Option<Arc<dyn ParameterStep<T>>> {
        Some(Arc::new(Self { ridge: convert(self.ridge), proximal: convert(self.proximal), ..*self }))
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<Description> {
        Description::new("Ridge", self)
    }
}

impl Ridge {
    /// Moves θ_t to the minimum that the moments determine, for a layer whose term has the factor `penalty`. `work` is scratch.
    fn minimise<T: Scalar>(
        &self,
        t: usize,
        (layer, penalty): (&dyn Layer<T>, T),
        params: &mut [T],
        moments: &[T],
        work: &mut Vec<f64>,
    ) -> Result<()> {
        check_diverged(moments, t, "the moments of the stored input")?;
        // If every example has weight 0, there is nothing to fit: the penalties alone would pull all parameters to zero.
        let empty = moments.iter().all(|moment| *moment == T::zero());
        if let Some(regression) = layer.regression().filter(|_| !empty) {
            let step = || self.solve(regression, moments, penalty, params, work);
            guarded("the regression", t, step)?.map_err(|error| error.at_layer(t))?;
        }
        Ok(())
    }

    /// Solves for the parameters. A step that leaves the trust region is shortened; as the objective is convex in θ, it still goes down.
    fn solve<T: Scalar>(
        &self,
        layer: &dyn Regression<T>,
        moments: &[T],
        penalty: T,
        params: &mut [T],
        work: &mut Vec<f64>,
    ) -> Result<()> {
        let (ridge, proximal) = (T::of(self.ridge) / penalty, T::of(self.proximal) / penalty);
        let Some(trust) = self.trust else { return layer.solve(moments, ridge, proximal, params, work) };
        let before = params.to_vec();
        layer.solve(moments, ridge, proximal, params, work)?;
        let Change { squared, spread } = layer.change(moments, &before, params);
        let most = trust * trust * spread;
        // Without a spread all examples have the same pre-activation, and the trust region has no unit.
        if squared > most && most > 0.0 {
            let share = T::of((most / squared).sqrt());
            params.iter_mut().zip(before).for_each(|(now, before)| *now = before + (*now - before) * share);
        }
        Ok(())
    }
}
