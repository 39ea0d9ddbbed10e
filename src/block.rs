use std::ops::Range;
use std::sync::Arc;

use crate::layer::CACHE;
use crate::matrix::resize;
use crate::parallel::{for_row, guarded};
use crate::{Layer, MatMut, MatRef, Result, Scalar, linalg};

/// Which input a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// z_t at index t, 0 ..= T.
    z: Vec<Vec<T>>,
    /// a_t at index t, 0 .. T; empty at the bottom, where z_0 is its own forward activation.
    a: Vec<Vec<T>>,
    sites: Vec<Site<T>>,
    /// ∂L/∂ẑ_t at index t: what the gradients below it pull back.
    cotangent: Vec<Vec<T>>,
    /// ∂L/∂z_t at index t.
    gradient: Vec<Vec<T>>,
    /// λ_t at index t; all empty when the objective has no multipliers.
    multiplier: Vec<Vec<T>>,
    /// One for each example; empty where all are 1.
    weights: Vec<T>,
}

/// One layer, evaluated.
#[derive(Clone, Debug)]
struct Site<T> {
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
    /// z_t has moved.
    fn moved(&mut self, t: usize) {
        self.same = t == 0;
        self.stored.fresh = false;
        self.forward.fresh &= t > 0;
    }

    fn at(&self, reads: Reads) -> &Evaluation<T> {
        if self.same || reads == Reads::Forward { &self.forward } else { &self.stored }
    }

    fn at_mut(&mut self, reads: Reads) -> &mut Evaluation<T> {
        if self.same || reads == Reads::Forward { &mut self.forward } else { &mut self.stored }
    }
}

/// What the layers of a block read while each writes to a part of its own.
#[derive(Debug)]
struct Scene<'a, T> {
    widths: &'a [usize],
    examples: usize,
    z: &'a [Vec<T>],
    a: &'a [Vec<T>],
    multiplier: &'a [Vec<T>],
    weights: &'a [T],
    layers: &'a [Arc<dyn Layer<T>>],
    params: &'a [Vec<T>],
}

/// The hidden layers that take a step at once: t in a range, every so many from its end.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) layers: Range<usize>,
    pub(crate) every: usize,
}

impl Group {
    pub(crate) fn has(&self, t: usize) -> bool {
        self.layers.contains(&t) && (self.layers.end - 1 - t).is_multiple_of(self.every)
    }
}

impl<'a, T: Scalar> Scene<'a, T> {
    fn stored(&self, t: usize) -> MatRef<'a, T> {
        MatRef::new(&self.z[t], self.widths[t], self.examples)
    }

    /// What layer t reads.
    fn input(&self, t: usize, reads: Reads) -> MatRef<'a, T> {
        let forward = t > 0 && reads == Reads::Forward;
        MatRef::new(if forward { &self.a[t] } else { &self.z[t] }, self.widths[t], self.examples)
    }

    fn multiplier(&self, t: usize) -> Option<MatRef<'a, T>> {
        let data = &self.multiplier[t];
        (!data.is_empty()).then(|| MatRef::new(data, self.widths[t], self.examples))
    }

    /// Brings the prediction of layer t up to date.
    fn evaluate(&self, t: usize, site: &mut Site<T>, reads: Reads) -> Result<()> {
        let input = self.input(t, reads);
        let Evaluation { output, cache, fresh } = site.at_mut(reads);
        if !*fresh {
            let output = MatMut::new(output, self.widths[t + 1], self.examples);
            let layer = &self.layers[t];
            guarded("forward", t, || {
                resize(CACHE, cache, layer.cache_len(self.examples), T::zero())?;
                layer.forward(&self.params[t], input, output, cache);
                Ok(())
            })??;
            *fresh = true;
        }
        Ok(())
    }

    fn prediction<'s>(&self, t: usize, site: &'s Site<T>, reads: Reads) -> MatRef<'s, T> {
        let evaluation = site.at(reads);
        debug_assert!(evaluation.fresh, "the prediction of layer {t} is out of date");
        MatRef::new(&evaluation.output, self.widths[t + 1], self.examples)
    }

    /// Writes what `write(t, target, prediction, multiplier, out)` says of z_t, t = 1 ..= T, to `out`, after bringing its prediction
    /// up to date.
    fn compare(
        &self,
        t: usize,
        below: &mut Site<T>,
        reads: Reads,
        out: &mut [T],
        write: &(impl Compare<T> + ?Sized),
    ) -> Result<()> {
        self.evaluate(t - 1, below, reads)?;
        let out = MatMut::new(out, self.widths[t], self.examples);
        write(t, self.stored(t), self.prediction(t - 1, below, reads), self.multiplier(t), out)
    }

    /// gradient ← (∂f/∂z)ᵀ · cotangent at the input of layer t.
    fn pull_back(&self, t: usize, site: &mut Site<T>, reads: Reads, cotangent: &[T], gradient: &mut [T]) -> Result<()> {
        let cotangent = MatRef::new(cotangent, self.widths[t + 1], self.examples);
        if is_zero(cotangent) {
            // A layer that nothing pulls at yet, as most are after anchoring: spare the product.
            gradient.fill(T::zero());
            return Ok(());
        }
        let input = self.input(t, reads);
        let gradient = MatMut::new(gradient, self.widths[t], self.examples);
        guarded("input_gradient", t, || {
            self.layers[t].input_gradient(&self.params[t], input, cotangent, gradient, &mut site.at_mut(reads).cache)
        })
    }

    /// grad ← Σ weight · (∂f/∂θ)ᵀ · cotangent at the input of layer t; the weights stay in the cotangent.
    fn pull_back_to_parameters(
        &self,
        t: usize,
        site: &mut Site<T>,
        reads: Reads,
        cotangent: &mut [T],
        grad: &mut [T],
    ) -> Result<()> {
        linalg::scale_columns(cotangent, self.weights);
        let cotangent = MatRef::new(cotangent, self.widths[t + 1], self.examples);
        if grad.is_empty() || is_zero(cotangent) {
            grad.fill(T::zero());
            return Ok(());
        }
        let input = self.input(t, reads);
        guarded("param_gradient", t, || {
            self.layers[t].param_gradient(&self.params[t], input, cotangent, grad, &mut site.at_mut(reads).cache)
        })
    }
}

/// Compares z_t with its prediction: `(t, target, prediction, multiplier, out)`.
pub(crate) trait Compare<T>:
    Fn(usize, MatRef<'_, T>, MatRef<'_, T>, Option<MatRef<'_, T>>, MatMut<'_, T>) -> Result<()> + Sync
{
}

impl<T, F> Compare<T> for F where
    F: Fn(usize, MatRef<'_, T>, MatRef<'_, T>, Option<MatRef<'_, T>>, MatMut<'_, T>) -> Result<()> + Sync
{
}

impl<T: Scalar> Block<T> {
    /// A block for `examples` columns of these layers; every entry is zero.
    pub(crate) fn new(layers: &[Arc<dyn Layer<T>>], examples: usize) -> Self {
        let mut widths: Vec<usize> = layers.iter().map(|l| l.input_dim()).collect();
        widths.extend(layers.last().map(|l| l.output_dim()));
        let evaluation = || Evaluation { output: Vec::new(), cache: Vec::new(), fresh: false };
        let site = || Site { same: false, stored: evaluation(), forward: evaluation() };
        let mut block = Self {
            examples: 0,
            z: vec![Vec::new(); widths.len()],
            a: vec![Vec::new(); layers.len()],
            sites: layers.iter().map(|_| site()).collect(),
            cotangent: vec![Vec::new(); widths.len()],
            gradient: vec![Vec::new(); widths.len()],
            multiplier: vec![Vec::new(); widths.len()],
            weights: Vec::new(),
            widths,
        };
        block.resize(examples);
        block
    }

    /// Makes room for another number of examples; nothing that the block held is of use afterwards.
    pub(crate) fn resize(&mut self, examples: usize) {
        self.examples = examples;
        self.weights.clear();
        for (z, width) in self.z.iter_mut().zip(&self.widths) {
            z.resize(width * examples, T::zero());
        }
        for (t, site) in self.sites.iter_mut().enumerate() {
            let (below, above) = (self.widths[t] * examples, self.widths[t + 1] * examples);
            self.a[t].resize(if t == 0 { 0 } else { below }, T::zero());
            site.same = t == 0;
            for evaluation in [&mut site.stored, &mut site.forward] {
                evaluation.output.resize(above, T::zero());
                evaluation.fresh = false;
            }
            self.gradient[t].resize(below, T::zero());
            self.cotangent[t + 1].resize(above, T::zero());
            self.multiplier[t].clear();
        }
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
        MatRef::new(&self.z[t], self.widths[t], self.examples)
    }

    /// z_t for writing, column after column; `d_t · n` entries. Writing z_0 or z_T gives the block other examples.
    ///
    /// # Panics
    /// When t > T.
    pub fn stored_mut(&mut self, t: usize) -> &mut [T] {
        assert!(t < self.widths.len(), "activations are 0..={}, found {t}", self.layers());
        self.moved(t);
        &mut self.z[t]
    }

    /// a_t, `d_t × n`, for t = 0 .. T: the input of layer t in the last forward pass.
    ///
    /// # Panics
    /// When t ≥ T.
    pub fn forward(&self, t: usize) -> MatRef<'_, T> {
        MatRef::new(if t == 0 { &self.z[0] } else { &self.a[t] }, self.widths[t], self.examples)
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

    /// The weights of the examples; empty where all are 1.
    pub(crate) fn weights(&self) -> &[T] {
        &self.weights
    }

    /// Weighs the examples, until the next [`resize`](Self::resize).
    pub(crate) fn set_weights(&mut self, weights: impl Iterator<Item = T>) {
        self.weights.clear();
        self.weights.extend(weights);
    }

    /// ∂L/∂z_t as last computed, `d_t × n`.
    ///
    /// # Panics
    /// When t ≥ T.
    pub fn gradient(&self, t: usize) -> MatRef<'_, T> {
        MatRef::new(&self.gradient[t], self.widths[t], self.examples)
    }

    /// cotangent_t as last written, `d_t × n`.
    pub(crate) fn cotangent(&self, t: usize) -> MatRef<'_, T> {
        MatRef::new(&self.cotangent[t], self.widths[t], self.examples)
    }

    /// ẑ_{t+1} = f(z_t or a_t; θ_t), `d_{t+1} × n`, as last evaluated.
    pub(crate) fn prediction(&self, t: usize, reads: Reads) -> MatRef<'_, T> {
        let evaluation = self.sites[t].at(reads);
        debug_assert!(evaluation.fresh, "the prediction of layer {t} is out of date");
        MatRef::new(&evaluation.output, self.widths[t + 1], self.examples)
    }

    /// z_t has moved: its prediction is out of date.
    fn moved(&mut self, t: usize) {
        if let Some(site) = self.sites.get_mut(t) {
            site.moved(t);
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

    /// Moves the z_t of a group by `step(t, z, gradient, own)`, all at once; `own` has an entry for every layer of the group's range.
    pub(crate) fn step<S: Send>(
        &mut self,
        group: &Group,
        own: &mut [S],
        step: impl Fn(usize, &mut [T], &mut [T], &mut S) -> Result<()> + Sync,
    ) -> Result<()> {
        let Range { start, end } = group.layers;
        let Self { z, gradient, sites, a, .. } = self;
        let row = (&mut z[start..end], (&mut gradient[start..end], (&mut sites[start..end], own)));
        for_row(row, |i, (z, (gradient, (site, own)))| {
            let t = start + i;
            if !group.has(t) {
                return Ok(());
            }
            step(t, z, gradient, own)?;
            // Nothing that was up to date is out of date if nothing moved.
            if !(site.same && *z == a[t]) {
                site.moved(t);
            }
            Ok(())
        })
    }

    /// The ordinary forward pass: a_{t+1} = f(a_t; θ_t) for all t. Leaves z alone.
    pub(crate) fn run_forward(&mut self, layers: &[Arc<dyn Layer<T>>], params: &[Vec<T>]) -> Result<()> {
        // The parameters may be others than last time, so f(x; θ_0) counts as out of date as well.
        self.parameters_moved();
        for t in 0..self.layers() {
            self.sites[t].same = t == 0;
            self.evaluate(layers, params, t, Reads::Forward)?;
            if let Some(a) = self.a.get_mut(t + 1) {
                a.copy_from_slice(&self.sites[t].forward.output);
            }
        }
        Ok(())
    }

    /// z_t ← a_t for all hidden layers: the bank agrees with the forward pass.
    pub(crate) fn store_forward(&mut self) {
        for ((site, z), a) in self.sites.iter_mut().zip(&mut self.z).zip(&self.a).skip(1) {
            z.copy_from_slice(a);
            site.same = true;
        }
    }

    /// What all layers read, and what each writes to by itself: sites, cotangents (from index 1), gradients.
    #[expect(clippy::type_complexity, reason = "three slices, named where they are taken apart")]
    fn apart<'a>(
        &'a mut self,
        layers: &'a [Arc<dyn Layer<T>>],
        params: &'a [Vec<T>],
    ) -> (Scene<'a, T>, &'a mut [Site<T>], &'a mut [Vec<T>], &'a mut [Vec<T>]) {
        let Self { widths, examples, z, a, sites, cotangent, gradient, multiplier, weights } = self;
        let scene = Scene { widths, examples: *examples, z, a, multiplier, weights, layers, params };
        (scene, sites, cotangent, gradient)
    }

    /// Brings the prediction of layer t up to date.
    pub(crate) fn evaluate(
        &mut self,
        layers: &[Arc<dyn Layer<T>>],
        params: &[Vec<T>],
        t: usize,
        reads: Reads,
    ) -> Result<()> {
        let (scene, sites, ..) = self.apart(layers, params);
        scene.evaluate(t, &mut sites[t], reads)
    }

    /// Puts down what `look(t, target, prediction, multiplier, weights)` says of z_t for all t = 1 ..= T at once, from index 0 on;
    /// every prediction is brought up to date before.
    pub(crate) fn look<R: Send>(
        &mut self,
        layers: &[Arc<dyn Layer<T>>],
        params: &[Vec<T>],
        out: &mut [R],
        look: impl Fn(usize, MatRef<'_, T>, MatRef<'_, T>, Option<MatRef<'_, T>>, &[T]) -> Result<R> + Sync,
    ) -> Result<()> {
        let (scene, sites, ..) = self.apart(layers, params);
        for_row((sites, out), |below, (site, out)| {
            let t = below + 1;
            scene.evaluate(below, site, Reads::Stored)?;
            let prediction = scene.prediction(below, site, Reads::Stored);
            *out = look(t, scene.stored(t), prediction, scene.multiplier(t), scene.weights)?;
            Ok(())
        })
    }

    /// cotangent_t ← `write` of z_t.
    pub(crate) fn set_cotangent(
        &mut self,
        layers: &[Arc<dyn Layer<T>>],
        params: &[Vec<T>],
        t: usize,
        reads: Reads,
        write: &impl Compare<T>,
    ) -> Result<()> {
        let (scene, sites, cotangent, _) = self.apart(layers, params);
        scene.compare(t, &mut sites[t - 1], reads, &mut cotangent[t], write)
    }

    /// For the z_t of a group, all at once: what they are predicted to be, cotangent_{t+1} ← `write` of z_{t+1}, and
    /// gradient_t ← (∂f/∂z)ᵀ · cotangent_{t+1}.
    pub(crate) fn pull_back_group(
        &mut self,
        layers: &[Arc<dyn Layer<T>>],
        params: &[Vec<T>],
        group: &Group,
        write: &impl Compare<T>,
    ) -> Result<()> {
        let Range { start, end } = group.layers;
        if start >= end {
            return Ok(());
        }
        let (scene, sites, cotangent, gradient) = self.apart(layers, params);
        let row = (&mut sites[start - 1..end], &mut cotangent[start..=end]);
        for_row(row, |i, (site, cotangent)| {
            let t = start - 1 + i;
            match (group.has(t), group.has(t + 1)) {
                (true, _) => scene.compare(t + 1, site, Reads::Stored, cotangent, write),
                (false, true) => scene.evaluate(t, site, Reads::Stored),
                (false, false) => Ok(()),
            }
        })?;
        let row = ((&mut sites[start..end], &cotangent[start + 1..=end]), &mut gradient[start..end]);
        for_row(row, |i, ((site, cotangent), gradient)| match group.has(start + i) {
            true => scene.pull_back(start + i, site, Reads::Stored, cotangent, gradient),
            false => Ok(()),
        })
    }

    /// gradient_t gains `write` of z_t, for the z_t of a group, whose predictions are up to date.
    pub(crate) fn add_to_gradients(&mut self, group: &Group, write: &impl Compare<T>) -> Result<()> {
        let Range { start, end } = group.layers;
        if start >= end {
            return Ok(());
        }
        let (scene, sites, cotangent, gradient) = self.apart(&[], &[]);
        // cotangent_t is free for scratch: whoever needs it writes it first.
        let row = ((&sites[start - 1..end - 1], &mut cotangent[start..end]), &mut gradient[start..end]);
        for_row(row, |i, ((below, scratch), gradient)| {
            let t = start + i;
            if group.has(t) {
                let out = MatMut::new(scratch, scene.widths[t], scene.examples);
                let prediction = scene.prediction(t - 1, below, Reads::Stored);
                write(t, scene.stored(t), prediction, scene.multiplier(t), out)?;
                linalg::axpy(T::one(), scratch, gradient);
            }
            Ok(())
        })
    }

    /// gradient_t ← (∂f/∂z)ᵀ · cotangent_{t+1} at z_t or a_t.
    pub(crate) fn pull_back(
        &mut self,
        layers: &[Arc<dyn Layer<T>>],
        params: &[Vec<T>],
        t: usize,
        reads: Reads,
    ) -> Result<()> {
        let (scene, sites, cotangent, gradient) = self.apart(layers, params);
        scene.pull_back(t, &mut sites[t], reads, &cotangent[t + 1], &mut gradient[t])
    }

    /// grads ← Σ weight · (∂f/∂θ)ᵀ · cotangent_{t+1} at z_t or a_t for these layers at once, but for those that `skip` names;
    /// cotangent_{t+1} ← `write` of z_{t+1} before, unless it is there already. With weights it is scratch afterwards.
    pub(crate) fn pull_back_to_parameters<G: AsMut<[T]> + Send>(
        &mut self,
        layers: &[Arc<dyn Layer<T>>],
        params: &[Vec<T>],
        span: Range<usize>,
        reads: Reads,
        grads: &mut [G],
        (skip, write): (impl Fn(usize) -> bool + Sync, Option<&dyn Compare<T>>),
    ) -> Result<()> {
        let (scene, sites, cotangent, _) = self.apart(layers, params);
        let row = ((&mut sites[span.clone()], &mut cotangent[span.start + 1..=span.end]), grads);
        for_row(row, |i, ((site, cotangent), grad)| {
            let t = span.start + i;
            if skip(t) {
                return Ok(());
            }
            if let Some(write) = write {
                scene.compare(t + 1, site, reads, cotangent, write)?;
            }
            scene.pull_back_to_parameters(t, site, reads, cotangent, grad.as_mut())
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
    pub(crate) fn subtract_predictions(&mut self) {
        for ((z, t), below) in self.z[1..].iter_mut().zip(0..).zip(&self.sites) {
            if t + 1 < self.sites.len() {
                linalg::axpy(-T::one(), &below.at(Reads::Stored).output, z);
            }
        }
    }

    /// z_t ← ẑ_t + z_t from the bottom up, with each prediction from the new activation below it: back from error
    /// coordinates. Leaves every prediction but the last up to date.
    pub(crate) fn roll_out(&mut self, layers: &[Arc<dyn Layer<T>>], params: &[Vec<T>]) -> Result<()> {
        for t in 1..self.layers() {
            self.evaluate(layers, params, t - 1, Reads::Stored)?;
            linalg::axpy(T::one(), &self.sites[t - 1].at(Reads::Stored).output, &mut self.z[t]);
            self.moved(t);
        }
        Ok(())
    }
}

fn is_zero<T: Scalar>(m: MatRef<'_, T>) -> bool {
    m.as_slice().iter().all(|x| *x == T::zero())
}
