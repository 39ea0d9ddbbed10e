//! The baseline: the chain rule on the same network.

use crate::block::Block;
use crate::energy::Objective;
use crate::engine::Recipe;
use crate::observer::Audience;
use crate::{Dataset, DecoupledNetwork, FitConfig, FitReport, Observer, Result, Scalar};

impl<T: Scalar> DecoupledNetwork<T> {
    /// **The twin**: the same layers, loss, optimizers and batches, with the gradients of the chain rule. The bank stays as
    /// it is.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_backprop(&mut self, data: &Dataset<T>, config: &FitConfig<'_, T>) -> Result<FitReport> {
        self.fit_backprop_observed(data, config, &mut [])
    }

    /// [`fit_backprop`](Self::fit_backprop), watched by [observers](crate::observer).
    ///
    /// # Errors
    /// As [`fit_observed`](Self::fit_observed).
    pub fn fit_backprop_observed(
        &mut self,
        data: &Dataset<T>,
        config: &FitConfig<'_, T>,
        observers: &mut [&mut dyn Observer<T>],
    ) -> Result<FitReport> {
        if let Some((train, validation)) = config.cut(data)? {
            return self.fit_backprop_observed(&train, &config.judged_on(&validation), observers);
        }
        self.check_fit(data, config)?;
        data.check_known()?;
        let mut audience = Audience::start(self, self.plan(data, config), observers)?;
        self.train(&Recipe::backprop(self.depth()), data, config, &mut audience)
    }
}

/// The gradient of the forward loss, summed over the block's examples, by reverse accumulation: a forward pass, then one
/// product after the other from the output to the input. `grads[t]` takes ∂L_y/∂θ_t, t = 0 .. T; δ_t = ∂L_y/∂a_t is left
/// as the block's [gradient](Block::gradient) of z_t.
///
/// Rumelhart, Hinton and Williams (1986), *Learning representations by back-propagating errors*, Nature 323.
///
/// # Errors
/// [`Error::Panicked`](crate::Error::Panicked) when a layer or the loss panics.
pub fn gradients<T: Scalar>(objective: &Objective<'_, T>, block: &mut Block<T>, grads: &mut [Vec<T>]) -> Result<()> {
    objective.forward(block)?;
    objective.chain_rule(block, |_| false)?;
    objective.chained_gradients(block, grads, |_| false)
}
