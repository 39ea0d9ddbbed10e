use crate::error::{require_non_negative, require_positive, require_share};
use crate::layer::{Change, Regression};
use crate::{Result, Scalar};

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

impl Ridge {
    pub(crate) fn validate<T: Scalar>(&self) -> Result<()> {
        require_non_negative::<T>("ridge", self.ridge)?;
        require_non_negative::<T>("proximal weight of the parameters", self.proximal)?;
        require_share::<T>("memory of a ridge regression", self.memory)?;
        self.trust.map_or(Ok(()), |trust| require_positive::<T>("trust region", trust))
    }

    /// Takes one parameter step of a layer whose term in the objective has the weight `penalty`.
    ///
    /// `work` is scratch. A step that leaves the trust region is shortened; as the objective is convex in θ, it still goes down.
    ///
    /// # Errors
    /// As [`Regression::solve`].
    pub(crate) fn step<T: Scalar>(
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
