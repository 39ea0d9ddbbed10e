//! Exact steps: each z_t goes to the minimum of its own two terms. The only built-in step that streams.

use super::{ActivationStep, Memory, Prepared};
use crate::error::require;
use crate::machine::setting::require_non_negative;
use crate::method::block::{Block, Group, Reads};
use crate::method::energy::Objective;
use crate::method::schedule::Work;
use crate::{Layer, MatMut, Result, Scalar};

/// Block coordinate descent: the activations of one layer at a time are set to the exact minimum of the energy over them, from the
/// output to the input,
///
/// ```text
/// z_t ← argmin_z  (μ_t/2)‖z − ẑ_t‖² + (μ_{t+1}/2)‖z_{t+1} − f(z; θ_t)‖² + (α/2)‖z − z_t‖²
/// ```
///
/// for squared errors and layers that offer [`Proximal`](crate::layer::Proximal): affine maps and activation functions as separate
/// units. With [`Timing::EveryStep`](crate::method::Timing::EveryStep) each θ_t moves right before z_t; otherwise all follow after the sweeps.
/// Either way the energy of a batch never rises if bare affine maps move by [`Ridge`](crate::method::Ridge) without memory,
/// except by rounding in the bank's storage. A batch may be all examples at once: only the bank holds all layers of all examples.
///
/// Zeng, Lau, Lin, Yao (2019), *Global convergence of block coordinate descent in deep learning*, arXiv 1803.00225.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Exact {
    /// Sweeps over all layers in a visit.
    pub steps: usize,
    /// α, the weight of the proximal term, for activations that feed a layer without parameters; for the others the affine map
    /// above them takes its place.
    pub proximal: f64,
}

impl Exact {
    /// Returns α for the activations that feed `layer`.
    fn stays<T: Scalar>(&self, layer: &dyn Layer<T>) -> T {
        if layer.param_len() == 0 { T::of(self.proximal) } else { T::zero() }
    }

    /// Returns the weight of the point that z_t stays near, in units of the weight of the term above, and the share of the present z_t in
    /// that point; the rest is its prediction.
    fn weights<T: Scalar>(&self, objective: &Objective<'_, T>, t: usize) -> (T, T) {
        let (below, above) = (objective.loss(t).1, objective.loss(t + 1).1);
        let proximal = self.stays(objective.circuit.layer(t).0);
        // Two squares in z add up to one around their mean; an operator has weight 1 on its own term, so divide by μ_{t+1}.
        ((below + proximal) / above, proximal / (below + proximal))
    }
}

impl<T: Scalar> ActivationStep<T> for Exact {
    fn steps(&self, _depth: usize) -> usize {
        self.steps
    }

    fn groups(&self, depth: usize) -> Vec<Group> {
        (1..depth).rev().map(Group::one).collect()
    }

    /// Prepares the factor of the layer above z_t.
    fn prepare(
        &self,
        objective: &Objective<'_, T>,
        group: &Group,
        Prepared { factor, work, .. }: &mut Prepared<T>,
    ) -> Result<()> {
        for t in group.members() {
            let (layer, params) = objective.circuit.layer(t);
            let Some(proximal) = layer.proximal() else { continue };
            let (weight, _) = self.weights(objective, t);
            let prepare = || {
                // Once for all examples: it depends on the parameters and the weights of the terms alone.
                factor.resize(proximal.prepared_len(), T::zero());
                proximal.prepare(params, weight, factor, work)
            };
            objective.circuit.guarded("prepare", t, prepare)?.map_err(|error| error.at_layer(t))?;
        }
        Ok(())
    }

    fn step(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        group: &Group,
        prepared: &Prepared<T>,
        _memory: &mut Memory<T>,
    ) -> Result<()> {
        for t in group.members() {
            let (layer, params) = objective.circuit.layer(t);
            let (weight, stay) = self.weights(objective, t);
            objective.evaluate(block, t - 1, Reads::Stored)?;
            // Gradient and cotangent are free for scratch: whoever needs them writes them first.
            let Block { activations: of, sites, cotangent, gradient, .. } = &mut *block;
            let (old, z) = (of.stored(t), &mut gradient[t]);
            z.clear();
            z.extend_from_slice(of.prediction(t - 1, &sites[t - 1], Reads::Stored).as_slice());
            // (μ_t/2)‖z − ẑ_t‖² + λ_tᵀ(z − ẑ_t) has its minimum at ẑ_t − λ_t/μ_t.
            objective.shift(of, t, -T::one(), z);
            if stay > T::zero() {
                z.iter_mut().zip(old.as_slice()).for_each(|(z, &old)| *z += stay * (old - *z));
            }
            // `check` has refused layers without one.
            if let Some(layer) = layer.proximal() {
                let target = objective.shifted(of, t + 1, &mut cotangent[t + 1]);
                let out = MatMut::new(z, old.rows(), old.cols());
                let solve = || layer.solve(params, &prepared.factor, weight, target, out);
                objective.circuit.guarded("solve", t, solve)?;
            }
            block.accept_gradient(t);
        }
        Ok(())
    }

    fn work(&self) -> Work {
        Work::ClosedForm
    }

    // Its work is in the layers' proximal operators, which are none of the products that a schedule counts.
    fn is_counted(&self) -> bool {
        false
    }

    fn streams(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        require(self.steps > 0, "activation steps", "at least 1", self.steps as f64)?;
        require_non_negative::<T>("proximal weight of the activations", self.proximal)
    }

    fn check(&self, objective: &Objective<'_, T>) -> Result<()> {
        for (t, layer) in objective.circuit.layers.iter().enumerate() {
            objective.check_squared("exact activation steps (Method::bcd, Method::admm)", t)?;
            if t > 0 && objective.circuit.guarded("proximal", t, || layer.proximal().is_none())? {
                let lacks = "it offers no proximal operator (Layer::proximal) for exact activation steps; if it is a map fused \
                             with its activation function, make them two layers, as dense does after store_pre_activations";
                return Err(objective.circuit.incapable(t, lacks));
            }
        }
        Ok(())
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Exact", self)
    }
}
