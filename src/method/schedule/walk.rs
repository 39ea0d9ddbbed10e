//! A visit walked without numbers, to count its products: all of them, and those in sequence.

use super::{Stage, Work};
use crate::method::block::{Group, Reads};
use crate::method::coupling::Multipliers;
use crate::method::start::Start;

/// Number of products with a layer's parameters in one visit, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Products {
    /// Predictions: [`forward`](crate::Layer::forward).
    pub predictions: usize,
    /// Pull-backs to activations: [`input_gradient`](crate::Layer::input_gradient).
    pub to_activations: usize,
    /// Pull-backs to parameters: [`param_gradient`](crate::Layer::param_gradient).
    pub to_parameters: usize,
}

impl Products {
    /// Returns the number of all products.
    pub const fn total(&self) -> usize {
        self.predictions.saturating_add(self.to_activations).saturating_add(self.to_parameters)
    }
}

/// Properties of a layer that decide which products a visit takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// Whether θ_t may move.
    pub(crate) trains: bool,
    /// Whether it is frozen, and takes no part in a gather.
    pub(crate) frozen: bool,
    /// Whether θ_t may move without a gradient, by the memory of its optimizer.
    pub(crate) remembers: bool,
}

/// A visit without numbers: tracks which predictions are stale and which signals are zero, and counts products.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    layers: Vec<Traits>,
    /// Whether products with zeros are skipped, and do not count.
    skips_zeros: bool,
    multipliers: Option<Multipliers>,
    pub(crate) products: Vec<Products>,
    /// Sequential products so far: up to the present activations, and up to the last sums over parameters, which run in parallel to
    /// activation steps until the next update.
    clock: usize,
    gathered: usize,
    /// Whether the latest predictions were made by a measurement, which does not count their time itself.
    reported: bool,
    sites: Vec<Site>,
    /// The input that the last parameter step has read.
    reads: Reads,
}

/// The state of layer t and its input z_t.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Site {
    /// Whether z_t = a_t, the forward activation.
    same: bool,
    /// Whether the prediction from z_t, and that from a_t, is up to date.
    stored: bool,
    forward: bool,
    /// Whether θ_t has moved since the forward pass, and whether it will with the gradients of the last parameter step.
    moved: bool,
    moves: bool,
    /// Whether ∂L/∂θ_t has been nonzero, and whether λ_t is; kept from visit to visit.
    had_gradient: bool,
    has_multiplier: bool,
}

/// A stage as it is printed, with its products: sequential, and all.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) sequential: usize,
    pub(crate) products: usize,
}

impl Walk {
    pub(crate) fn new(layers: Vec<Traits>, skips_zeros: bool, multipliers: Option<Multipliers>) -> Self {
        let (products, sites) = (vec![Products::default(); layers.len()], vec![Site::default(); layers.len()]);
        let (clock, gathered, reported, reads) = (0, 0, false, Reads::Stored);
        Self { layers, skips_zeros, multipliers, products, clock, gathered, reported, sites, reads }
    }

    /// Makes a walk of the worst case: every parameter moves at every update, and every activation in its turn.
    pub(crate) fn everything_moves(depth: usize) -> Self {
        Self::new(vec![Traits { trains: true, frozen: false, remembers: true }; depth], false, None)
    }

    /// Runs visits until one leaves the kept state as it was, and counts that one.
    pub(crate) fn settle(&mut self, stages: &[Stage]) {
        let kept = |walk: &Self| walk.sites.iter().map(|at| (at.had_gradient, at.has_multiplier)).collect::<Vec<_>>();
        // It ends: what is kept only ever turns from false to true.
        loop {
            let before = kept(self);
            self.products.fill(Products::default());
            self.run(stages);
            if before == kept(self) {
                return;
            }
        }
    }

    /// Returns the number of sequential products.
    pub(crate) fn sequential(&self) -> usize {
        self.clock.max(self.gathered)
    }

    /// Runs a visit, and returns its stages with their products, those of a repeated one indented.
    pub(crate) fn run(&mut self, stages: &[Stage]) -> Vec<Line> {
        for (t, at) in self.sites.iter_mut().enumerate() {
            // Other examples: nothing is cached.
            let Site { had_gradient, has_multiplier, .. } = *at;
            *at = Site { same: t == 0, had_gradient, has_multiplier, ..Site::default() };
        }
        self.run_all(stages, 0)
    }

    /// Runs stages, and returns the line of each, followed by those of the stages within it.
    fn run_all(&mut self, stages: &[Stage], indent: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        for stage in stages {
            let text = format!("{:indent$}{stage}", "");
            if let Stage::Repeat { times, stages } = stage {
                lines.push(Line { text, sequential: 0, products: 0 });
                lines.extend(self.repeat(*times, stages, indent + 2));
            } else {
                let before = self.total();
                let sequential = self.stage(stage);
                lines.push(Line { text, sequential, products: self.total() - before });
            }
        }
        lines
    }

    /// Runs stages until they return to the same state, and multiplies from there: `times` may be large.
    fn repeat(&mut self, times: usize, stages: &[Stage], indent: usize) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        let mut done = 0;
        while done < times {
            let (sites, reads) = (self.sites.clone(), self.reads);
            let (clock, products) = (self.sequential(), self.products.clone());
            let mut taken = self.run_all(stages, indent);
            done += 1;
            // The same state again: all further repetitions take the same products.
            let rest = if self.sites == sites && self.reads == reads { times - done } else { 0 };
            done += rest;
            let more = |now: usize, before: usize| now.saturating_add((now - before).saturating_mul(rest));
            if rest > 0 {
                self.clock = more(self.sequential(), clock);
                self.gathered = self.clock;
            }
            for (now, before) in self.products.iter_mut().zip(&products) {
                now.predictions = more(now.predictions, before.predictions);
                now.to_activations = more(now.to_activations, before.to_activations);
                now.to_parameters = more(now.to_parameters, before.to_parameters);
            }
            for (i, line) in taken.iter_mut().enumerate() {
                let (sequential, products) = lines.get(i).map_or((0, 0), |sum| (sum.sequential, sum.products));
                line.sequential = sequential.saturating_add(line.sequential.saturating_mul(1 + rest));
                line.products = products.saturating_add(line.products.saturating_mul(1 + rest));
            }
            lines = taken;
        }
        lines
    }

    fn total(&self) -> usize {
        self.products.iter().fold(0, |sum, products| sum.saturating_add(products.total()))
    }

    /// Runs a stage, and returns its sequential products.
    fn stage(&mut self, stage: &Stage) -> usize {
        let (before, depth) = (self.clock, self.layers.len());
        match stage {
            Stage::Forward => {
                let stale = (0..depth).filter(|&t| self.evaluate(t, Reads::Forward)).count();
                add(&mut self.clock, stale);
            }
            Stage::Start(start) => {
                let anchored = *start == Start::Anchored;
                self.sites.iter_mut().enumerate().for_each(|(t, at)| at.same = t == 0 || anchored);
            }
            Stage::ChainRule => {
                // The lowest layer that is not frozen needs no error below it, as in `Objective::chain_rule`.
                let lowest = self.layers.iter().position(|layer| !layer.frozen).unwrap_or(depth);
                let pulled = self.products.iter_mut().skip(lowest + 1);
                let count = pulled.map(|products| add(&mut products.to_activations, 1)).count();
                add(&mut self.clock, count);
            }
            Stage::Relax { group, work: Work::Local, .. } => self.sweep(group),
            Stage::Relax { group, work: Work::ClosedForm, .. } => self.solve(group),
            Stage::Relax { group, work: Work::Through, .. } => self.pass(group),
            Stage::Measure(terms) => {
                let stale = terms.clone().filter(|t| self.evaluate(t - 1, Reads::Stored)).count();
                // They can run in parallel to the step that reads them next, which counts their time.
                self.reported |= stale > 0;
            }
            Stage::Gather { layers, reads, chained, by_gradient } => {
                self.reads = *reads;
                if *by_gradient {
                    let stale =
                        layers.clone().filter(|&t| !chained && !self.layers[t].frozen && self.evaluate(t, *reads));
                    let stale = stale.count();
                    self.predictions(stale);
                    layers.clone().for_each(|t| self.gather(t, *chained));
                    // The clock itself does not advance: activation steps do not wait for parameter gradients.
                    self.gathered = self.clock.saturating_add(1);
                    return self.gathered - before;
                }
            }
            Stage::Ascend => {
                for t in (1..depth).filter(|&t| self.multipliers.is_some_and(|own| own.reaches(t, depth))) {
                    // λ_t begins at zero, and stays there as long as there is no residual.
                    self.sites[t].has_multiplier |= self.has_residual(t, self.reads);
                }
            }
            Stage::Update(layers) => {
                // A barrier: it waits for activations and for sums.
                self.clock = self.sequential();
                for at in &mut self.sites[layers.clone()] {
                    // The predictions are those of the old parameters.
                    *at = Site { stored: false, forward: false, moved: at.moved || at.moves, moves: false, ..*at };
                }
                return 0;
            }
            // `run_all` runs the repeated stages.
            Stage::Store | Stage::Repeat { .. } => {}
        }
        self.clock - before
    }

    /// Brings the prediction of layer t up to date, and returns whether it was stale.
    fn evaluate(&mut self, t: usize, reads: Reads) -> bool {
        let at = &mut self.sites[t];
        let fresh = if at.same || reads == Reads::Forward { &mut at.forward } else { &mut at.stored };
        let stale = !std::mem::replace(fresh, true);
        add(&mut self.products[t].predictions, usize::from(stale));
        stale
    }

    /// Counts one sequential product for predictions made in parallel: `stale` here, or earlier ones for a measurement.
    fn predictions(&mut self, stale: usize) {
        add(&mut self.clock, usize::from(stale > 0 || self.reported));
        self.reported = false;
    }

    /// Returns whether z_t and its prediction may differ, t = 1 ..= T.
    fn has_residual(&self, t: usize, reads: Reads) -> bool {
        let below = self.sites[t - 1];
        // From a forward pass on, z_t equals its prediction until either moves; a target hardly ever does.
        let same = self.sites.get(t).is_some_and(|at| at.same) && (below.same || reads == Reads::Forward);
        !self.skips_zeros || !same || below.moved
    }

    /// Returns whether ∂L/∂ẑ_t may be nonzero, t = 1 ..= T.
    fn pulls(&self, t: usize, reads: Reads) -> bool {
        self.has_residual(t, reads) || self.sites.get(t).is_some_and(|at| at.has_multiplier)
    }

    /// Moves the z_t of a group in parallel.
    fn sweep(&mut self, group: &Group) {
        let stale = group.members().filter(|&t| {
            let below = self.evaluate(t - 1, Reads::Stored);
            self.evaluate(t, Reads::Stored) || below
        });
        let stale = stale.count();
        // All decisions before any z_t moves: the members of a group see the same state.
        let moved: Vec<(usize, bool)> = group
            .members()
            .map(|t| {
                let pulled = self.pulls(t + 1, Reads::Stored);
                add(&mut self.products[t].to_activations, usize::from(pulled));
                (t, pulled || self.pulls(t, Reads::Stored))
            })
            .collect();
        if !moved.is_empty() {
            self.predictions(stale);
            add(&mut self.clock, 1);
        }
        for (t, moved) in moved {
            // As in `Block::step`: z_t that has not moved from the forward pass keeps its prediction.
            if moved || !self.sites[t].same {
                self.moved(t);
            }
        }
    }

    /// Moves the z_t of a group to minima near their predictions.
    fn solve(&mut self, group: &Group) {
        let stale = group.members().filter(|&t| self.evaluate(t - 1, Reads::Stored)).count();
        self.predictions(stale);
        group.members().for_each(|t| self.moved(t));
    }

    /// Marks z_t as moved away from the forward pass, and its prediction as stale.
    fn moved(&mut self, t: usize) {
        let at = &mut self.sites[t];
        (at.same, at.stored) = (false, false);
    }

    /// Runs a backward pass through the z_t of a group, and a forward pass with the moved activations.
    fn pass(&mut self, group: &Group) {
        let mut stale = 0;
        let mut above = false;
        for t in group.members().rev() {
            let below = self.evaluate(t - 1, Reads::Stored);
            stale += usize::from(self.evaluate(t, Reads::Stored) || below);
            let pulled = above || self.pulls(t + 1, Reads::Stored);
            add(&mut self.products[t].to_activations, usize::from(pulled));
            above = pulled || self.pulls(t, Reads::Stored);
        }
        self.predictions(stale);
        for t in group.members() {
            let stale = self.evaluate(t - 1, Reads::Stored);
            add(&mut self.clock, 1 + usize::from(stale));
            // The roll-out writes every z_t, moved or not, and so makes its prediction stale.
            self.moved(t);
        }
    }

    /// Counts ∂L/∂θ_t.
    fn gather(&mut self, t: usize, chained: bool) {
        let has_gradient = chained || self.pulls(t + 1, self.reads);
        let Traits { trains, remembers, .. } = self.layers[t];
        if trains {
            add(&mut self.products[t].to_parameters, usize::from(has_gradient));
            let at = &mut self.sites[t];
            at.moves |= has_gradient || (remembers && at.had_gradient);
            at.had_gradient |= has_gradient;
        }
    }
}

/// Adds to a count; saturates, because a method may take any number of steps.
fn add(count: &mut usize, more: usize) {
    *count = count.saturating_add(more);
}
