use std::sync::Arc;

use crate::parallel::guarded;
use crate::{Layer, MatMut, MatRef, Result, Scalar, linalg};

/// Which input a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The stored activation z_t.
    Stored,
    /// The forward activation a_t: what an ordinary forward pass gave at the start of the visit.
    Forward,
}

/// A block of examples in work: their stored activations z, forward activations a, and every layer evaluated at either.
///
/// ```text
/// z_0 = x,   z_t stored for 0 < t < T,   z_T = y
/// a_0 = x,   a_{t+1} = f(a_t; θ_t)       as of the last forward pass
/// ```
///
/// It knows which of its predictions are out of date, so nothing is computed twice: f(x; θ_0), say, once for as long
/// as θ_0 stands. The equations over it are in [`Objective`](crate::energy::Objective).
#[derive(Clone, Debug)]
pub struct Block<T> {
    widths: Vec<usize>,
    examples: usize,
    sites: Vec<Site<T>>,
    target: Vec<T>,
    /// ∂L/∂ẑ_t at index t: what the gradients below it pull back.
    cotangent: Vec<Vec<T>>,
    /// ∂L/∂z_t at index t.
    gradient: Vec<Vec<T>>,
    /// λ_t at index t; all empty when the objective has no multipliers.
    multiplier: Vec<Vec<T>>,
}

/// The input side of one layer.
#[derive(Clone, Debug)]
struct Site<T> {
    z: Vec<T>,
    /// Empty at the bottom, where z_0 is its own forward activation.
    a: Vec<T>,
    /// Whether z = a, entry for entry; then the forward evaluation serves for both.
    same: bool,
    stored: Evaluation<T>,
    forward: Evaluation<T>,
}

/// A layer's output, with what it keeps for its gradients.
#[derive(Clone, Debug, Default)]
struct Evaluation<T> {
    output: Vec<T>,
    cache: Vec<T>,
    fresh: bool,
}

impl<T> Site<T> {
    fn at(&mut self, reads: Reads) -> (&[T], &mut Evaluation<T>) {
        match reads {
            _ if self.same => (&self.z, &mut self.forward),
            Reads::Stored => (&self.z, &mut self.stored),
            Reads::Forward => (&self.a, &mut self.forward),
        }
    }
}

impl<T: Scalar> Block<T> {
    /// A block for `examples` columns of these layers; every entry is zero.
    pub(crate) fn new(layers: &[Arc<dyn Layer<T>>], examples: usize) -> Self {
        let mut widths: Vec<usize> = layers.iter().map(|l| l.input_dim()).collect();
        widths.extend(layers.last().map(|l| l.output_dim()));
        let evaluation = || Evaluation { output: Vec::new(), cache: Vec::new(), fresh: false };
        let site = || Site { z: Vec::new(), a: Vec::new(), same: false, stored: evaluation(), forward: evaluation() };
        let mut block = Self {
            examples: 0,
            sites: layers.iter().map(|_| site()).collect(),
            target: Vec::new(),
            cotangent: vec![Vec::new(); widths.len()],
            gradient: vec![Vec::new(); widths.len()],
            multiplier: vec![Vec::new(); widths.len()],
            widths,
        };
        block.resize(examples);
        block
    }

    /// Makes room for another number of examples; nothing that the block held is of use afterwards.
    pub(crate) fn resize(&mut self, examples: usize) {
        self.examples = examples;
        for (t, site) in self.sites.iter_mut().enumerate() {
            let (below, above) = (self.widths[t] * examples, self.widths[t + 1] * examples);
            site.z.resize(below, T::zero());
            site.a.resize(if t == 0 { 0 } else { below }, T::zero());
            site.same = t == 0;
            for evaluation in [&mut site.stored, &mut site.forward] {
                evaluation.output.resize(above, T::zero());
                evaluation.fresh = false;
            }
            self.gradient[t].resize(below, T::zero());
            self.cotangent[t + 1].resize(above, T::zero());
            self.multiplier[t].clear();
        }
        self.target.resize(self.widths[self.sites.len()] * examples, T::zero());
    }

    /// Number of layers T.
    pub fn layers(&self) -> usize {
        self.sites.len()
    }

    /// Number of examples: columns of every matrix here.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// z_t, `d_t × n`, for t = 0 ..= T (z_0 is the input, z_T the target).
    ///
    /// # Panics
    /// When t > T.
    pub fn stored(&self, t: usize) -> MatRef<'_, T> {
        let data = self.sites.get(t).map_or(&self.target, |site| &site.z);
        MatRef::new(data, self.widths[t], self.examples)
    }

    /// z_t for writing, column after column; `d_t · n` entries. Writing z_0 or z_T gives the block other examples.
    ///
    /// # Panics
    /// When t > T.
    pub fn stored_mut(&mut self, t: usize) -> &mut [T] {
        assert!(t < self.widths.len(), "activations are 0..={}, found {t}", self.layers());
        self.moved(t);
        self.sites.get_mut(t).map_or(&mut self.target, |site| &mut site.z)
    }

    /// a_t, `d_t × n`, for t = 0 .. T: the input of layer t in the last forward pass.
    ///
    /// # Panics
    /// When t ≥ T.
    pub fn forward(&self, t: usize) -> MatRef<'_, T> {
        let site = &self.sites[t];
        MatRef::new(if t == 0 { &site.z } else { &site.a }, self.widths[t], self.examples)
    }

    /// λ_t, `d_t × n`, if the objective has multipliers here; see [`Objective`](crate::energy::Objective).
    ///
    /// # Panics
    /// When t > T.
    pub fn multiplier(&self, t: usize) -> Option<MatRef<'_, T>> {
        let data = &self.multiplier[t];
        (!data.is_empty()).then(|| MatRef::new(data, self.widths[t], self.examples))
    }

    /// λ_t for writing, `d_t · n` entries for 0 < t < T; zeros at first. From then on the objective has a multiplier at z_t.
    ///
    /// # Panics
    /// Unless 0 < t < T.
    pub fn multiplier_mut(&mut self, t: usize) -> &mut [T] {
        assert!(t > 0 && t < self.layers(), "hidden activations are 1..{}, found {t}", self.layers());
        let len = self.widths[t] * self.examples;
        self.multiplier[t].resize(len, T::zero());
        &mut self.multiplier[t]
    }

    /// ∂L/∂z_t as last computed, `d_t × n`.
    ///
    /// # Panics
    /// When t ≥ T.
    pub fn gradient(&self, t: usize) -> MatRef<'_, T> {
        MatRef::new(&self.gradient[t], self.widths[t], self.examples)
    }

    /// ẑ_{t+1} = f(z_t or a_t; θ_t), `d_{t+1} × n`, as last evaluated.
    pub(crate) fn prediction(&self, t: usize, reads: Reads) -> MatRef<'_, T> {
        let site = &self.sites[t];
        let forward = site.same || reads == Reads::Forward;
        let evaluation = if forward { &site.forward } else { &site.stored };
        debug_assert!(evaluation.fresh, "the prediction of layer {t} is out of date");
        MatRef::new(&evaluation.output, self.widths[t + 1], self.examples)
    }

    /// z_t has moved: its prediction is out of date.
    fn moved(&mut self, t: usize) {
        if let Some(site) = self.sites.get_mut(t) {
            site.same = t == 0;
            site.stored.fresh = false;
            site.forward.fresh &= t > 0;
        }
    }

    /// Θ has moved: every prediction is out of date. Call it when you look at a block again after training;
    /// [`anchor`](crate::energy::Objective::anchor) does so by itself.
    pub fn parameters_moved(&mut self) {
        for site in &mut self.sites {
            site.stored.fresh = false;
            site.forward.fresh = false;
        }
    }

    /// z_t with its gradient, for an activation step; follow with [`stepped`](Self::stepped).
    pub(crate) fn descend(&mut self, t: usize) -> (&mut [T], &mut [T]) {
        (&mut self.sites[t].z, &mut self.gradient[t])
    }

    /// An optimizer has had z_t: its prediction is out of date, unless nothing moved.
    pub(crate) fn stepped(&mut self, t: usize) {
        let site = &self.sites[t];
        if !(site.same && site.z == site.a) {
            self.moved(t);
        }
    }

    /// The ordinary forward pass: a_{t+1} = f(a_t; θ_t) for all t. Leaves z alone.
    pub(crate) fn run_forward(&mut self, layers: &[Arc<dyn Layer<T>>], params: &[Vec<T>]) -> Result<()> {
        // The parameters may be others than last time, so f(x; θ_0) counts as out of date as well.
        self.parameters_moved();
        for t in 0..self.layers() {
            self.sites[t].same = t == 0;
            self.evaluate(layers, params, t, Reads::Forward)?;
            if let [below, above, ..] = &mut self.sites[t..] {
                above.a.copy_from_slice(&below.forward.output);
            }
        }
        Ok(())
    }

    /// z_t ← a_t for all hidden layers: the bank agrees with the forward pass.
    pub(crate) fn store_forward(&mut self) {
        for site in self.sites.iter_mut().skip(1) {
            site.z.copy_from_slice(&site.a);
            site.same = true;
        }
    }

    /// Brings the prediction of layer t up to date.
    pub(crate) fn evaluate(
        &mut self,
        layers: &[Arc<dyn Layer<T>>],
        params: &[Vec<T>],
        t: usize,
        reads: Reads,
    ) -> Result<()> {
        let (input, evaluation) = self.sites[t].at(reads);
        if !evaluation.fresh {
            let Evaluation { output, cache, fresh } = evaluation;
            let input = MatRef::new(input, self.widths[t], self.examples);
            let output = MatMut::new(output, self.widths[t + 1], self.examples);
            guarded("forward", t, || {
                cache.resize(layers[t].cache_len(self.examples), T::zero());
                layers[t].forward(&params[t], input, output, cache);
            })?;
            *fresh = true;
        }
        Ok(())
    }

    /// Writes ∂L/∂ẑ_t, `d_t × n`, through `write(target, prediction, multiplier, cotangent)`.
    pub(crate) fn set_cotangent(
        &mut self,
        t: usize,
        reads: Reads,
        write: impl FnOnce(MatRef<'_, T>, MatRef<'_, T>, Option<MatRef<'_, T>>, MatMut<'_, T>),
    ) {
        let mut cotangent = std::mem::take(&mut self.cotangent[t]);
        let out = MatMut::new(&mut cotangent, self.widths[t], self.examples);
        write(self.stored(t), self.prediction(t - 1, reads), self.multiplier(t), out);
        self.cotangent[t] = cotangent;
    }

    /// gradient_t ← (∂f/∂z)ᵀ · cotangent_{t+1} at z_t or a_t.
    pub(crate) fn pull_back(
        &mut self,
        layers: &[Arc<dyn Layer<T>>],
        params: &[Vec<T>],
        t: usize,
        reads: Reads,
    ) -> Result<()> {
        let cotangent = MatRef::new(&self.cotangent[t + 1], self.widths[t + 1], self.examples);
        let gradient = &mut self.gradient[t];
        if is_zero(cotangent) {
            // A layer that nothing pulls at yet, as most are after anchoring: spare the product.
            gradient.fill(T::zero());
            return Ok(());
        }
        let (input, evaluation) = self.sites[t].at(reads);
        let input = MatRef::new(input, self.widths[t], self.examples);
        let gradient = MatMut::new(gradient, self.widths[t], self.examples);
        guarded("input_gradient", t, || {
            layers[t].input_gradient(&params[t], input, cotangent, gradient, &mut evaluation.cache)
        })
    }

    /// grad ← Σ (∂f/∂θ)ᵀ · cotangent_{t+1} at z_t or a_t.
    pub(crate) fn pull_back_to_parameters(
        &mut self,
        layers: &[Arc<dyn Layer<T>>],
        params: &[Vec<T>],
        t: usize,
        reads: Reads,
        grad: &mut [T],
    ) -> Result<()> {
        let cotangent = MatRef::new(&self.cotangent[t + 1], self.widths[t + 1], self.examples);
        if grad.is_empty() || is_zero(cotangent) {
            grad.fill(T::zero());
            return Ok(());
        }
        let (input, evaluation) = self.sites[t].at(reads);
        let input = MatRef::new(input, self.widths[t], self.examples);
        guarded("param_gradient", t, || {
            layers[t].param_gradient(&params[t], input, cotangent, grad, &mut evaluation.cache)
        })
    }

    /// cotangent_t ← gradient_t: the chain rule.
    pub(crate) fn chain(&mut self, t: usize) {
        self.cotangent[t].copy_from_slice(&self.gradient[t]);
    }

    /// cotangent_t ← cotangent_t + gradient_t: the chain rule through a stored activation that moves with its prediction.
    pub(crate) fn add_chain(&mut self, t: usize) {
        linalg::axpy(T::one(), &self.gradient[t], &mut self.cotangent[t]);
    }

    /// cotangent_T ← one row of the identity for every example.
    pub(crate) fn set_unit_cotangent(&mut self, row: usize) {
        let top = self.layers();
        for column in self.cotangent[top].chunks_exact_mut(self.widths[top]) {
            column.fill(T::zero());
            column[row] = T::one();
        }
    }

    /// z_t ← z_t − ẑ_t for every hidden layer: the stored activations in error coordinates, until
    /// [`roll_out`](Self::roll_out). Every prediction must be up to date.
    pub(crate) fn to_errors(&mut self) {
        for t in (1..self.layers()).rev() {
            let mut z = std::mem::take(&mut self.sites[t].z);
            linalg::axpy(-T::one(), self.prediction(t - 1, Reads::Stored).as_slice(), &mut z);
            self.sites[t].z = z;
        }
    }

    /// z_t ← ẑ_t + z_t from the bottom up, with each prediction from the new activation below it: back from error
    /// coordinates. Leaves every prediction but the last up to date.
    pub(crate) fn roll_out(&mut self, layers: &[Arc<dyn Layer<T>>], params: &[Vec<T>]) -> Result<()> {
        for t in 1..self.layers() {
            self.evaluate(layers, params, t - 1, Reads::Stored)?;
            let mut z = std::mem::take(&mut self.sites[t].z);
            linalg::axpy(T::one(), self.prediction(t - 1, Reads::Stored).as_slice(), &mut z);
            self.sites[t].z = z;
            self.moved(t);
        }
        Ok(())
    }

    /// ∂L/∂z_t gains `term`, which is written by `write(target, prediction, multiplier, out)` into scratch.
    pub(crate) fn add_target_gradient(
        &mut self,
        t: usize,
        write: impl FnOnce(MatRef<'_, T>, MatRef<'_, T>, Option<MatRef<'_, T>>, MatMut<'_, T>),
    ) {
        // cotangent_t is free for scratch: whoever needs it writes it first.
        self.set_cotangent(t, Reads::Stored, write);
        for (g, &c) in self.gradient[t].iter_mut().zip(&self.cotangent[t]) {
            *g += c;
        }
    }
}

fn is_zero<T: Scalar>(m: MatRef<'_, T>) -> bool {
    m.as_slice().iter().all(|x| *x == T::zero())
}
