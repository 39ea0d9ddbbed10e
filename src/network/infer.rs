//! Inference from partial knowledge: the free activations move, Θ is fixed.

use nalgebra::DMatrix;

use crate::error::require;
use crate::machine::linalg::matrix::check_finite;
use crate::machine::parallel::{for_row, guarded};
use crate::method::block::{Block, Reads};
use crate::method::energy::Objective;
use crate::network::CHUNK;
use crate::{DecoupledNetwork, Error, Loss, MatRef, Result, Scalar};

mod descent;
mod evidence;
mod known;

use descent::Outcome;
pub(crate) use descent::descend;
pub use evidence::Evidence;
use known::Known;

/// How far [`infer`](DecoupledNetwork::infer) goes.
///
/// Defaults: at most 500 steps, to a tolerance of 10⁻⁴.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct InferConfig {
    steps: usize,
    tolerance: f64,
}

impl Default for InferConfig {
    fn default() -> Self {
        Self { steps: 500, tolerance: 1e-4 }
    }
}

impl InferConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most steps that an example takes.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// An example has converged when no free entry of its ∂L/∂Z is larger than this.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    fn validate(&self) -> Result<()> {
        require(self.steps > 0, "InferConfig::steps", "at least 1", self.steps as f64)?;
        let tolerance = self.tolerance;
        require(tolerance >= 0.0, "InferConfig::tolerance", "non-negative", tolerance)
    }
}

/// What [`infer`](DecoupledNetwork::infer) finds: columns are examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference<T: Scalar> {
    /// z_0, `d_0 × n`: what was clamped as it was given, the rest completed.
    pub inputs: DMatrix<T>,
    /// z_t, `d_t × n`, for the hidden layers t = 1 .. T.
    pub hidden: Vec<DMatrix<T>>,
    /// ẑ_T, `d_T × n`: what the last layer makes of them, at entries that are known and at those that are not.
    pub outputs: DMatrix<T>,
    /// The energy of each example at the start, without the terms of unknown outputs.
    pub energies_before: Vec<f64>,
    /// The same at the end; never more.
    pub energies: Vec<f64>,
    /// Steps that each example took.
    pub steps: Vec<usize>,
    /// Whether each example came to the tolerance. One that did not ran out of steps, or stands where no step brings the energy
    /// down in the working precision.
    pub converged: Vec<bool>,
}

impl<T: Scalar> DecoupledNetwork<T> {
    /// **Completes what is partly known**: minimises the energy over all entries of z_0 … z_{T−1} that the evidence leaves free,
    /// with Θ as it is. So a network answers what a forward pass does not: which input belongs to an output, what a missing
    /// part of an input or an output is, which hidden activations explain both.
    ///
    /// ```text
    /// L(Z) = Σ_i [ L_y(z_T, ẑ_T) over the known rows + Σ_{t=1}^{T−1} μ_t L_h(z_t, ẑ_t) ]
    ///
    /// d ← −∂L/∂z + max(0, ⟨g, g − g'⟩ / ‖g'‖²) d,    z ← z + α d          g = ∂L/∂z now, g' one step before
    /// ```
    ///
    /// From what the evidence gives for z_0, and the forward pass above it, every example goes down by conjugate gradients (Polak
    /// and Ribière 1969) over all of its layers at once, α where the slope along d is 0 if it changes linearly, and half as far
    /// until the energy does not rise. For linear layers and squared errors these are exact: as many steps as there are free
    /// entries do, and far fewer where the known entries are few.
    ///
    /// With the inputs known, and no output, this is the forward pass. The energy says nothing of how likely an input is: one
    /// that is found for an output explains it, may look like none of the data, and where units saturate may run away. Where
    /// that matters let the network *make* the data, as predictive coding does (Salvatori et al. 2021, *Associative memories via
    /// predictive coding*, arXiv 2109.08063): its output is then what is partly known, and the layers below are the prior. The
    /// examples `occluded` and `generate` do it.
    ///
    /// ```
    /// use decoupled::layer::Activation;
    /// use decoupled::nalgebra::DMatrix;
    /// use decoupled::DecoupledNetwork;
    /// use decoupled::network::{Evidence, InferConfig};
    ///
    /// let network = DecoupledNetwork::<f64>::builder(2).dense(3, Activation::Tanh).dense(1, Activation::Identity).build()?;
    /// let output = network.predict(&DMatrix::from_column_slice(2, 1, &[0.5, -0.3]))?;
    ///
    /// // The second feature is 0.2; which first one goes with that output?
    /// let start = DMatrix::from_column_slice(2, 1, &[0.0, 0.2]);
    /// let known = DMatrix::from_column_slice(2, 1, &[false, true]);
    /// let evidence = Evidence::new().clamp_where(0, &start, &known).clamp(network.depth(), &output);
    /// let found = network.infer(&evidence, &InferConfig::new().tolerance(1e-8))?;
    ///
    /// assert!(found.converged[0] && found.energies[0] < 1e-10);
    /// assert_eq!(found.inputs[1], 0.2);
    /// assert!((network.predict(&found.inputs)?[0] - output[0]).abs() < 1e-4);
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// * [`Error::Empty`] for evidence that knows nothing, [`Error::LayerIndex`] for an activation that does not exist,
    /// * [`Error::Shape`] within [`Error::InLayer`] for matrices that do not fit the network or each other,
    /// * [`Error::NotFinite`] for a known entry, the start of a free input, an energy at the start, or an output at the end that is not
    ///   finite,
    /// * [`Error::Target`] for known outputs that the loss has no meaning for,
    /// * [`Error::HyperParameter`] for settings outside their domain,
    /// * [`Error::Panicked`] when a layer or a loss panics.
    pub fn infer(&self, evidence: &Evidence<'_, T>, config: &InferConfig) -> Result<Inference<T>> {
        config.validate()?;
        let widths = self.widths();
        let examples = evidence.check(&widths)?;
        let loss = Known(&*self.output_loss);
        let targets = evidence.targets(self.depth(), self.output_dim(), 0..examples);
        let targets = MatRef::new(&targets, self.output_dim(), examples);
        guarded("check_targets of the output loss", None, || loss.check_targets(targets))??;
        let objective = Objective { output_loss: &loss, ..self.objective() };
        let mut parts = vec![None; examples.div_ceil(CHUNK)];
        self.pool.install(|| {
            for_row(&mut parts[..], |i, part| {
                let span = i * CHUNK..examples.min((i + 1) * CHUNK);
                let mut block = objective.block(span.len());
                let free = evidence.write(&objective, &mut block, span.clone())?;
                let outcomes = descend(&objective, &mut block, &free, (config.steps, T::of(config.tolerance)))?;
                *part = Some((block, outcomes));
                Ok(())
            })
        })?;
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let inference = gather(self.depth(), examples, &parts);
        // Here, where examples are counted over all chunks; such an example has not moved.
        let start = inference.energies_before.iter().enumerate().find(|(_, energy)| !energy.is_finite());
        match start {
            Some((example, &value)) => Err(Error::NotFinite { what: "energy of the evidence", example, row: 0, value }),
            // An unknown output has no part in the energy.
            None => check_finite("outputs", (&inference.outputs).into()).map(|()| inference),
        }
    }
}

/// The parts of a query beside one another, example after example.
fn gather<T: Scalar>(top: usize, examples: usize, parts: &[(Block<T>, Vec<Outcome<T>>)]) -> Inference<T> {
    let matrix = |part: &dyn Fn(&Block<T>) -> Vec<T>| {
        let entries: Vec<T> = parts.iter().flat_map(|(block, _)| part(block)).collect();
        DMatrix::from_vec(entries.len() / examples, examples, entries)
    };
    let stored = |t: usize| matrix(&|block| block.stored(t).as_slice().to_vec());
    let outcomes = || parts.iter().flat_map(|(_, outcomes)| outcomes);
    Inference {
        inputs: stored(0),
        hidden: (1..top).map(stored).collect(),
        outputs: matrix(&|block| block.prediction(top - 1, Reads::Stored).as_slice().to_vec()),
        energies_before: outcomes().map(|outcome| outcome.before.to_f64()).collect(),
        energies: outcomes().map(|outcome| outcome.energy.to_f64()).collect(),
        steps: outcomes().map(|outcome| outcome.steps).collect(),
        converged: outcomes().map(|outcome| outcome.converged).collect(),
    }
}
