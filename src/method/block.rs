//! The numbers of a block of examples: activations, predictions, gradients, and which of them are stale. No equations.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::machine::linalg;
use crate::machine::parallel::for_row;
use crate::method::draws::Draws;
use crate::{Layer, MatRef, Result, Scalar};

/// Which input a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reads {
    /// The stored activation z_t.
    Stored,
    /// The forward activation a_t, of the forward pass at the start of the visit.
    Forward,
}

/// Working state of a block of examples: stored activations z, forward activations a, and every layer's evaluation at either.
///
/// ```text
/// z_0 = x,   z_t stored for 0 < t < T,   z_T = y
/// a_0 = x,   a_{t+1} = f(a_t; θ_t)       as of the last forward pass
/// ```
///
/// It tracks which cached predictions are stale, so nothing is computed twice: f(x; θ_0), for example, only once until θ_0
/// moves. The equations over it are in [`Objective`](crate::method::energy::Objective).
#[derive(Clone, Debug)]
pub struct Block<T> {
    pub(crate) activations: Activations<T>,
    /// One per layer.
    pub(crate) sites: Vec<Site<T>>,
    /// ∂L/∂ẑ_t at index t: the error that layer t − 1 pulls back.
    pub(crate) cotangent: Vec<Vec<T>>,
    /// ∂L/∂z_t at index t.
    pub(crate) gradient: Vec<Vec<T>>,
    /// Free buffers of layers outside of the [window](Self::narrow), for those that enter it.
    spare: Vec<Vec<T>>,
}

/// The shared, read-only part of a block while its layers run in parallel. Each layer writes to its own site, cotangent and gradient.
#[derive(Clone, Debug)]
pub(crate) struct Activations<T> {
    widths: Vec<usize>,
    examples: usize,
    /// z_t at index t, 0 ..= T.
    z: Vec<Vec<T>>,
    /// a_t at index t, 0 .. T; empty at the bottom, where z_0 is its own forward activation.
    a: Vec<Vec<T>>,
    /// λ_t at index t; all empty when the objective has no multipliers.
    multiplier: Vec<Vec<T>>,
    /// One per example; empty if all are 1.
    pub(crate) weights: Vec<T>,
    pub(crate) draws: Draws,
}

/// The evaluations of one layer, at z_t and at a_t.
#[derive(Clone, Debug, Default)]
pub(crate) struct Site<T> {
    /// Whether z_t = a_t, entry by entry: then the forward evaluation serves both.
    same: bool,
    stored: Evaluation<T>,
    forward: Evaluation<T>,
    /// The random numbers of the visit, for all evaluations; empty until the first that needs them.
    pub(crate) noise: Vec<T>,
}

/// A layer's output, with its cache for gradients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evaluation<T> {
    pub(crate) output: Vec<T>,
    pub(crate) cache: Vec<T>,
    pub(crate) fresh: bool,
}

impl<T> Site<T> {
    /// Marks the evaluations at z_t stale.
    fn moved(&mut self, t: usize) {
        // The input is its own forward activation: z_0 = a_0 always, so its evaluation is shared and goes stale with it.
        self.same = t == 0;
        self.stored.fresh = false;
        self.forward.fresh &= t > 0;
    }

    pub(crate) fn at(&self, reads: Reads) -> &Evaluation<T> {
        if self.same || reads == Reads::Forward { &self.forward } else { &self.stored }
    }

    pub(crate) fn at_mut(&mut self, reads: Reads) -> &mut Evaluation<T> {
        if self.same || reads == Reads::Forward { &mut self.forward } else { &mut self.stored }
    }
}

/// Activations z_t that move at the same time: every `every`-th of a range, counted from its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    layers: Range<usize>,
    every: usize,
}

impl Group {
    /// Returns the group of all z_t with t in `layers`.
    pub const fn all(layers: Range<usize>) -> Self {
        Self { layers, every: 1 }
    }

    /// Returns the group of z_t alone.
    pub const fn one(t: usize) -> Self {
        Self::all(t..t + 1)
    }

    /// Returns the group of the highest z_t with t in `layers`, and every second one below it: no two of them are neighbours.
    pub const fn every_second(layers: Range<usize>) -> Self {
        Self { layers, every: 2 }
    }

    /// Returns whether z_t is a member.
    pub fn has(&self, t: usize) -> bool {
        self.layers.contains(&t) && (self.layers.end - 1 - t).is_multiple_of(self.every)
    }

    /// Returns the t of its members, from the input up.
    pub fn members(&self) -> impl DoubleEndedIterator<Item = usize> + Clone {
        let Range { start, end } = self.layers;
        // The grid is anchored at the highest member, next to the output.
        let first = if start < end { start + (end - 1 - start) % self.every } else { start };
        (first..end).step_by(self.every)
    }

    /// Returns the range that holds the members.
    pub(crate) fn range(&self) -> Range<usize> {
        self.layers.clone()
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut members = self.members();
        let (first, last) = (members.next(), members.next_back());
        match (first, last, self.every) {
            (None, ..) => f.write_str("none"),
            (Some(first), None, _) => write!(f, "z_{first}"),
            (Some(first), Some(last), 1) => write!(f, "z_{first} … z_{last}"),
            (Some(first), Some(last), every) if first + every == last => write!(f, "z_{first}, z_{last}"),
            (Some(first), Some(last), every) => write!(f, "z_{first}, z_{} … z_{last}", first + every),
        }
    }
}

impl<T: Scalar> Activations<T> {
    fn matrix<'a>(&self, t: usize, entries: &'a [T]) -> MatRef<'a, T> {
        MatRef::new(entries, self.widths[t], self.examples)
    }

    pub(crate) fn stored(&self, t: usize) -> MatRef<'_, T> {
        self.matrix(t, &self.z[t])
    }

    /// Returns a_t.
    pub(crate) fn forward(&self, t: usize) -> MatRef<'_, T> {
        self.matrix(t, if t == 0 { &self.z[0] } else { &self.a[t] })
    }

    /// Returns the input of layer t.
    pub(crate) fn input(&self, t: usize, reads: Reads) -> MatRef<'_, T> {
        match reads {
            Reads::Stored => self.stored(t),
            Reads::Forward => self.forward(t),
        }
    }

    pub(crate) fn multiplier(&self, t: usize) -> Option<MatRef<'_, T>> {
        let entries = &self.multiplier[t];
        (!entries.is_empty()).then(|| self.matrix(t, entries))
    }

    /// Returns the prediction ẑ_{t+1} of layer t, as last evaluated.
    pub(crate) fn prediction<'s>(&self, t: usize, site: &'s Site<T>, reads: Reads) -> MatRef<'s, T> {
        let evaluation = site.at(reads);
        // Reading a stale prediction is a bug of the caller, not bad input.
        debug_assert!(evaluation.fresh, "the prediction of layer {t} is out of date");
        self.matrix(t + 1, &evaluation.output)
    }
}

impl<T: Scalar> Block<T> {
    /// Makes a block for `examples` columns of `layers`; every entry is zero.
    pub(crate) fn new(layers: &[Arc<dyn Layer<T>>], examples: usize) -> Self {
        let mut widths: Vec<usize> = layers.iter().map(|l| l.input_dim()).collect();
        // T layers, but T + 1 activations.
        widths.extend(layers.last().map(|l| l.output_dim()));
        let each = |count| vec![Vec::new(); count];
        let mut block = Self {
            sites: layers.iter().map(|_| Site::default()).collect(),
            cotangent: each(widths.len()),
            gradient: each(widths.len()),
            spare: Vec::new(),
            activations: Activations {
                examples: 0,
                z: each(widths.len()),
                a: each(layers.len()),
                multiplier: each(widths.len()),
                weights: Vec::new(),
                draws: Draws::default(),
                widths,
            },
        };
        block.resize(examples);
        block
    }

    /// Resizes the block to another number of examples. Its old content is meaningless afterwards.
    pub(crate) fn resize(&mut self, examples: usize) {
        let Self {
            activations: Activations { widths, z, a, multiplier, weights, draws, .. },
            sites,
            cotangent,
            gradient,
            ..
        } = self;
        weights.clear();
        draws.examples.clear();
        for (z, width) in z.iter_mut().zip(&*widths) {
            z.resize(width * examples, T::zero());
        }
        for (t, site) in sites.iter_mut().enumerate() {
            let (below, above) = (widths[t] * examples, widths[t + 1] * examples);
            // No copy of the input: a_0 is read from z_0.
            a[t].resize(if t == 0 { 0 } else { below }, T::zero());
            site.same = t == 0;
            site.noise.clear();
            // Their outputs take memory when a layer is evaluated: few methods need both.
            site.stored.fresh = false;
            site.forward.fresh = false;
            gradient[t].resize(below, T::zero());
            cotangent[t + 1].resize(above, T::zero());
            // Empty is none: whoever has multipliers writes them after the resize.
            multiplier[t].clear();
        }
        self.activations.examples = examples;
    }

    /// Resizes the z_t of `window` to another number of examples and drops all else, for a batch that is processed layer by layer. Layers
    /// that enter the window reuse the buffers of those that leave it.
    pub(crate) fn narrow(&mut self, examples: usize, window: Range<usize>) {
        let Self { activations, sites, cotangent, gradient, spare } = self;
        let Activations { widths, z, multiplier, weights, draws, .. } = activations;
        weights.clear();
        draws.examples.clear();
        multiplier.iter_mut().for_each(Vec::clear);
        let layer = |t: usize| window.contains(&t) && window.contains(&(t + 1));
        // `z` and `gradient` in one chain: index modulo their common length.
        let outside =
            z.iter_mut().chain(&mut *gradient).enumerate().filter(|(i, _)| !window.contains(&(i % widths.len())));
        spare.extend(outside.map(|(_, buffer)| std::mem::take(buffer)).filter(|buffer| buffer.capacity() > 0));
        for (t, (site, cotangent)) in sites.iter_mut().zip(&mut cotangent[1..]).enumerate() {
            site.same = t == 0;
            site.noise.clear();
            let Site { stored, forward, .. } = site;
            for evaluation in [stored, forward] {
                evaluation.fresh = false;
                if !layer(t) {
                    let buffers = [&mut evaluation.output, &mut evaluation.cache].map(std::mem::take);
                    spare.extend(buffers.into_iter().filter(|buffer| buffer.capacity() > 0));
                }
            }
            if !layer(t) && cotangent.capacity() > 0 {
                spare.push(std::mem::take(cotangent));
            }
        }
        let mut take = |buffer: &mut Vec<T>| {
            // A layer that was in the last window still has its own.
            if buffer.capacity() == 0 {
                *buffer = spare.pop().unwrap_or_default();
            }
        };
        for t in window.clone() {
            take(&mut z[t]);
            z[t].resize(widths[t] * examples, T::zero());
            take(&mut gradient[t]);
            if layer(t) {
                let Site { stored, forward, .. } = &mut sites[t];
                // The evaluation at z_0 is the forward one: z_0 = a_0.
                let Evaluation { output, cache, .. } = if t == 0 { forward } else { stored };
                take(output);
                take(cache);
                take(&mut cotangent[t + 1]);
            }
        }
        self.activations.examples = examples;
    }

    /// Returns d_t, the rows of z_t.
    pub(crate) fn width(&self, t: usize) -> usize {
        self.activations.widths[t]
    }

    /// Returns the number of layers T.
    pub fn layers(&self) -> usize {
        self.sites.len()
    }

    /// Returns the number of examples n: columns of every matrix here.
    pub fn examples(&self) -> usize {
        self.activations.examples
    }

    /// Returns z_t, `d_t × n`, for t = 0 ..= T (z_0 is the input, z_T the target).
    ///
    /// # Panics
    /// When t > T.
    pub fn stored(&self, t: usize) -> MatRef<'_, T> {
        self.activations.stored(t)
    }

    /// Returns z_t for writing, column after column; `d_t · n` entries. Writing z_0 or z_T gives the block other examples.
    ///
    /// # Panics
    /// When t > T.
    pub fn stored_mut(&mut self, t: usize) -> &mut [T] {
        assert!(t <= self.layers(), "activations are 0..={}, found {t}", self.layers());
        self.moved(t);
        &mut self.activations.z[t]
    }

    /// Returns a_t, `d_t × n`, for t = 0 .. T: the input of layer t in the last forward pass.
    ///
    /// # Panics
    /// When t ≥ T.
    pub fn forward(&self, t: usize) -> MatRef<'_, T> {
        self.activations.forward(t)
    }

    /// Returns λ_t, `d_t × n`, if the objective has multipliers here; see [`Objective`](crate::method::energy::Objective).
    ///
    /// # Panics
    /// When t > T.
    pub fn multiplier(&self, t: usize) -> Option<MatRef<'_, T>> {
        self.activations.multiplier(t)
    }

    /// Returns λ_t for writing, `d_t · n` entries for 0 < t < T; zeros at first. The call gives the objective a multiplier at z_t.
    ///
    /// # Panics
    /// Unless 0 < t < T.
    pub fn multiplier_mut(&mut self, t: usize) -> &mut [T] {
        assert!(t > 0 && t < self.layers(), "hidden activations are 1..{}, found {t}", self.layers());
        let Activations { widths, examples, multiplier, .. } = &mut self.activations;
        multiplier[t].resize(widths[t] * *examples, T::zero());
        &mut multiplier[t]
    }

    /// Returns the weights of the examples; empty if all are 1.
    pub(crate) fn weights(&self) -> &[T] {
        &self.activations.weights
    }

    /// Sets the weights of the examples, until the next [`resize`](Self::resize).
    pub(crate) fn set_weights(&mut self, weights: impl Iterator<Item = T>) {
        self.activations.weights.clear();
        self.activations.weights.extend(weights);
    }

    /// Names the examples whose noise the layers see in this epoch of a fit, until the next [`resize`](Self::resize).
    pub(crate) fn set_draws(&mut self, (seed, epoch): (u64, usize), examples: &[usize]) {
        let draws = &mut self.activations.draws;
        (draws.seed, draws.epoch) = (seed, epoch);
        draws.examples.clear();
        draws.examples.extend_from_slice(examples);
    }

    /// Returns ∂L/∂z_t as last computed, `d_t × n`.
    ///
    /// # Panics
    /// When t ≥ T.
    pub fn gradient(&self, t: usize) -> MatRef<'_, T> {
        self.activations.matrix(t, &self.gradient[t])
    }

    /// Returns ẑ_{t+1} = f(z_t or a_t; θ_t), `d_{t+1} × n`, as last evaluated.
    pub(crate) fn prediction(&self, t: usize, reads: Reads) -> MatRef<'_, T> {
        self.activations.prediction(t, &self.sites[t], reads)
    }

    /// Marks the predictions from z_t stale, after it has moved.
    fn moved(&mut self, t: usize) {
        if let Some(site) = self.sites.get_mut(t) {
            site.moved(t);
        }
    }

    /// Marks every prediction stale, after Θ has moved. Call it before you reuse a block after training;
    /// [`anchor`](crate::method::energy::Objective::anchor) does so by itself.
    pub fn parameters_moved(&mut self) {
        for site in &mut self.sites {
            site.stored.fresh = false;
            site.forward.fresh = false;
        }
    }

    /// Moves the z_t of a group by `step(t, z, gradient, own)`, in parallel; `own` has an entry for every layer of the group's range.
    pub(crate) fn step<S: Send>(
        &mut self,
        group: &Group,
        own: &mut [S],
        step: impl Fn(usize, &mut [T], &mut [T], &mut S) -> Result<()> + Sync,
    ) -> Result<()> {
        let Range { start, end } = group.range();
        let Self { activations: Activations { z, a, .. }, sites, gradient, .. } = self;
        let row = (&mut z[start..end], (&mut gradient[start..end], (&mut sites[start..end], own)));
        for_row(row, |i, (z, (gradient, (site, own)))| {
            let t = start + i;
            if !group.has(t) {
                return Ok(());
            }
            step(t, z, gradient, own)?;
            // If z_t did not change, its cached prediction stays valid.
            if !(site.same && *z == a[t]) {
                site.moved(t);
            }
            Ok(())
        })
    }

    /// a_{t+1} ← the prediction from a_t, which is up to date.
    pub(crate) fn keep_forward(&mut self, t: usize) {
        // None for the outputs: a ends at T − 1.
        if let Some(a) = self.activations.a.get_mut(t + 1) {
            a.copy_from_slice(&self.sites[t].forward.output);
        }
    }

    /// Marks all predictions stale, and z_t different from a_t, before a forward pass.
    pub(crate) fn begin_forward(&mut self) {
        // The parameters may have changed, so f(x; θ_0) is stale as well, although x never moves.
        self.parameters_moved();
        self.sites.iter_mut().enumerate().for_each(|(t, site)| site.same = t == 0);
    }

    /// z_t ← a_t for these hidden layers: with all of them, the bank agrees with the forward pass.
    pub(crate) fn store_forward(&mut self, layers: Range<usize>) {
        let Activations { z, a, .. } = &mut self.activations;
        let (sites, z, a) = (&mut self.sites[layers.clone()], &mut z[layers.clone()], &a[layers]);
        for ((site, z), a) in sites.iter_mut().zip(z).zip(a) {
            // The forward evaluation serves z_t as well from here on: no new prediction.
            z.copy_from_slice(a);
            site.same = true;
        }
    }

    /// z_t ← gradient_t, into which a step has written the new activation.
    pub(crate) fn accept_gradient(&mut self, t: usize) {
        self.activations.z[t].copy_from_slice(&self.gradient[t]);
        self.moved(t);
    }

    /// z_t ← z_t − ẑ_t for every hidden layer: the stored activations in error coordinates, until
    /// [`add_prediction`](Self::add_prediction) converts each back. Every prediction must be up to date.
    pub(crate) fn subtract_predictions(&mut self) {
        let hidden = self.sites.len() - 1;
        for (z, below) in self.activations.z[1..].iter_mut().zip(&self.sites[..hidden]) {
            linalg::axpy(-T::one(), &below.at(Reads::Stored).output, z);
        }
    }

    /// z_t ← ẑ_t + z_t, from a prediction that is up to date.
    pub(crate) fn add_prediction(&mut self, t: usize) {
        linalg::axpy(T::one(), &self.sites[t - 1].at(Reads::Stored).output, &mut self.activations.z[t]);
        self.moved(t);
    }
}
