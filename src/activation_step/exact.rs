use crate::block::Block;
use crate::energy::Objective;
use crate::error::{require, require_non_negative};
use crate::{Layer, MatMut, MatRef, Result, Scalar};

/// Block coordinate descent: the activations of one layer at a time are set to the exact minimum of the energy over them, from the
/// output to the input,
///
/// ```text
/// z_t ← argmin_z  (μ_t/2)‖z − ẑ_t‖² + (μ_{t+1}/2)‖z_{t+1} − f(z; θ_t)‖² + (α/2)‖z − z_t‖²
/// ```
///
/// for squared errors and layers that offer [`Proximal`](crate::layer::Proximal): affine maps and activation functions as units of
/// their own. With [`Timing::EveryStep`](crate::Timing::EveryStep) each θ_t moves right before z_t; otherwise all follow once
/// the sweeps are done. Either way the energy of a batch never rises where bare affine maps move by
/// [`Solver::Ridge`](crate::Solver::Ridge) without memory, but for what the bank's storage rounds; and a batch may be all examples
/// at once: only the bank holds all layers of all examples.
///
/// Zeng, Lau, Lin, Yao (2019), *Global convergence of block coordinate descent in deep learning*, arXiv 1803.00225.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Exact {
    /// Sweeps over all layers in a visit.
    pub steps: usize,
    /// α, the weight of what keeps an activation near where it was, for activations that feed a layer without parameters;
    /// the others are held by the affine map above them.
    pub proximal: f64,
}

impl Exact {
    pub(super) fn validate<T: Scalar>(&self) -> Result<()> {
        require(self.steps > 0, "activation steps", "at least 1", self.steps as f64)?;
        require_non_negative::<T>("proximal weight of the activations", self.proximal)
    }

    /// α for the activations that feed this layer.
    fn stays<T: Scalar>(&self, layer: &dyn Layer<T>) -> T {
        if layer.param_len() == 0 { T::of(self.proximal) } else { T::zero() }
    }

    /// One sweep over the hidden layers of a block.
    pub(super) fn step<T: Scalar>(&self, objective: &Objective<'_, T>, block: &mut Block<T>) -> Result<()> {
        let (mut shared, mut work) = (Shared::default(), Vec::new());
        for t in (1..block.layers()).rev() {
            let (layer, params) = objective.circuit.layer(t);
            let weights = (objective.loss(t).1, objective.loss(t + 1).1);
            let prepare = || shared.prepare(self, (layer, params), weights, &mut work);
            objective.circuit.guarded("prepare", t, prepare)?.map_err(|e| e.at_layer(t))?;
            let mut z = objective.predict(block, t)?.as_slice().to_vec();
            let mut target = block.stored(t + 1).as_slice().to_vec();
            objective.shift(block, t, -T::one(), &mut z);
            objective.shift(block, t + 1, T::one(), &mut target);
            let target = MatMut::new(&mut target, block.stored(t + 1).rows(), block.examples());
            let solve = || shared.minimise(layer, params, block.stored(t), target, &mut z);
            objective.circuit.guarded("solve", t, solve)?;
            block.stored_mut(t).copy_from_slice(&z);
        }
        Ok(())
    }
}

/// What all examples share of a block's minimum.
#[derive(Debug, Default)]
pub(crate) struct Shared<T> {
    prepared: Vec<T>,
    /// The weight on the point that z is to stay near, in units of the weight of the term above.
    weight: T,
    /// How much of that point is the present z; the rest is the prediction.
    stay: T,
}

impl<T: Scalar> Shared<T> {
    /// For the minimum over the input of `layer`, whose own term has the weight `above` and that of its input's prediction the
    /// weight `below`; with scratch.
    ///
    /// # Errors
    /// As [`Proximal::prepare`](crate::layer::Proximal::prepare).
    pub(crate) fn prepare(
        &mut self,
        exact: &Exact,
        (layer, params): (&dyn Layer<T>, &[T]),
        (below, above): (T, T),
        work: &mut Vec<f64>,
    ) -> Result<()> {
        let proximal = exact.stays(layer);
        self.weight = (below + proximal) / above;
        self.stay = proximal / (below + proximal);
        let Some(layer) = layer.proximal() else { return Ok(()) };
        self.prepared.resize(layer.prepared_len(), T::zero());
        layer.prepare(params, self.weight, &mut self.prepared, work)
    }

    /// z is the prediction before, and the minimum after; `old` is the present activation, and `target` serves as scratch.
    pub(crate) fn minimise(
        &self,
        layer: &dyn Layer<T>,
        params: &[T],
        old: MatRef<'_, T>,
        target: MatMut<'_, T>,
        z: &mut [T],
    ) {
        if self.stay > T::zero() {
            z.iter_mut().zip(old.as_slice()).for_each(|(z, &old)| *z += self.stay * (old - *z));
        }
        if let Some(layer) = layer.proximal() {
            layer.solve(params, &self.prepared, self.weight, target, MatMut::new(z, old.rows(), old.cols()));
        }
    }
}
