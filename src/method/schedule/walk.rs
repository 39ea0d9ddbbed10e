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

/// Properties of a network that decide which products a visit takes.
#[derive(Clone, Debug)]
pub(crate) struct Assumptions {
    /// Whether products with zeros are skipped, and do not count.
    pub(crate) skips_zeros: bool,
    /// Whether θ_t may move, for t = 0 .. T.
    pub(crate) trains: Vec<bool>,
    /// Whether layer t is frozen, and takes no part in a gather.
    pub(crate) frozen: Vec<bool>,
    /// The layer that the chain rule stops at.
    pub(crate) lowest: usize,
    /// Whether θ_t may move without a gradient, by the memory of its optimizer.
    pub(crate) remembers: Vec<bool>,
    pub(crate) multipliers: Option<Multipliers>,
}

impl Assumptions {
    /// Returns the worst case: every parameter moves at every update, and every activation in its turn.
    pub(crate) fn everything_moves(depth: usize) -> Self {
        let (trains, frozen, remembers) = (vec![true; depth], vec![false; depth], vec![true; depth]);
        Self { skips_zeros: false, trains, frozen, lowest: 0, remembers, multipliers: None }
    }
}

/// A visit without numbers: tracks which predictions are stale and which signals are zero, and counts products.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    depth: usize,
    assumptions: Assumptions,
    pub(crate) products: Vec<Products>,
    /// Sequential products so far: up to the present activations, and up to the last sums over parameters, which run in parallel to
    /// activation steps until the next update.
    clock: usize,
    gathered: usize,
    /// Whether the latest predictions were made by a measurement, which does not count their time itself.
    reported: bool,
    state: State,
}

#[derive(Clone, Debug, PartialEq)]
struct State {
    /// Whether z_t = a_t, the forward activation, for t = 0 .. T.
    same: Vec<bool>,
    /// Whether the prediction of layer t from z_t, and that from a_t, is up to date.
    stored: Vec<bool>,
    forward: Vec<bool>,
    /// Whether θ_t has moved since the forward pass, and whether it will with the gradients of the last parameter step.
    moved: Vec<bool>,
    moves: Vec<bool>,
    /// Whether ∂L/∂θ_t has been nonzero, and whether λ_t is, at index t; kept from visit to visit.
    had_gradient: Vec<bool>,
    has_multiplier: Vec<bool>,
    /// The input that the last parameter step has read.
    reads: Reads,
}

/// The products of one stage: sequential, and all.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    sequential: usize,
    products: usize,
}

/// A stage as it is printed.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) sequential: usize,
    pub(crate) products: usize,
}

impl Walk {
    pub(crate) fn new(depth: usize, assumptions: Assumptions) -> Self {
        let none = vec![false; depth];
        let (same, stored, forward) = (none.clone(), none.clone(), none.clone());
        let (moved, moves, had_gradient, has_multiplier) = (none.clone(), none.clone(), none.clone(), none);
        let state = State { same, stored, forward, moved, moves, had_gradient, has_multiplier, reads: Reads::Stored };
        let products = vec![Products::default(); depth];
        Self { depth, assumptions, products, clock: 0, gathered: 0, reported: false, state }
    }

    /// Runs visits until one leaves the kept state as it was, and counts that one.
    pub(crate) fn settle(&mut self, stages: &[Stage]) {
        // It ends: what is kept only ever turns from false to true.
        loop {
            let kept = (self.state.had_gradient.clone(), self.state.has_multiplier.clone());
            self.products.fill(Products::default());
            self.run(stages);
            if kept == (self.state.had_gradient.clone(), self.state.has_multiplier.clone()) {
                return;
            }
        }
    }

    /// Runs a visit.
    pub(crate) fn run(&mut self, stages: &[Stage]) {
        self.begin();
        self.run_all(stages);
    }

    /// Returns the number of sequential products.
    pub(crate) fn sequential(&self) -> usize {
        self.clock.max(self.gathered)
    }

    /// Runs a visit, and returns its stages with their products, those of a repeated one indented.
    pub(crate) fn lines(&mut self, stages: &[Stage]) -> Vec<Line> {
        fn texts(stages: &[Stage], indent: usize, out: &mut Vec<String>) {
            for stage in stages {
                out.push(format!("{:indent$}{stage}", ""));
                if let Stage::Repeat { stages, .. } = stage {
                    texts(stages, indent + 2, out);
                }
            }
        }
        let mut all = Vec::new();
        texts(stages, 0, &mut all);
        self.begin();
        let line =
            |(text, taken): (String, Taken)| Line { text, sequential: taken.sequential, products: taken.products };
        all.into_iter().zip(self.run_all(stages)).map(line).collect()
    }

    fn begin(&mut self) {
        self.state.moved.fill(false);
        self.state.moves.fill(false);
        // Other examples: nothing is cached. `moves` is cleared before, because `stale` takes it for moved.
        self.stale(0..self.depth);
        self.state.same.iter_mut().enumerate().for_each(|(t, same)| *same = t == 0);
    }

    /// Runs stages, and returns the products of each, followed by those of the stages within it.
    fn run_all(&mut self, stages: &[Stage]) -> Vec<Taken> {
        let mut all = Vec::new();
        for stage in stages {
            if let Stage::Repeat { times, stages } = stage {
                all.push(Taken::default());
                all.extend(self.repeat(*times, stages));
            } else {
                let before = self.total();
                let sequential = self.stage(stage);
                all.push(Taken { sequential, products: self.total() - before });
            }
        }
        all
    }

    /// Runs stages until they return to the same state, and multiplies from there: `times` may be large.
    fn repeat(&mut self, times: usize, stages: &[Stage]) -> Vec<Taken> {
        let mut all: Vec<Taken> = Vec::new();
        let mut done = 0;
        while done < times {
            let (state, clock, products) = (self.state.clone(), self.sequential(), self.products.clone());
            let taken = self.run_all(stages);
            done += 1;
            // The same state again: all further repetitions take the same products.
            let rest = if self.state == state { times - done } else { 0 };
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
            all.resize(taken.len(), Taken::default());
            for (sum, taken) in all.iter_mut().zip(taken) {
                let each = |sum: usize, own: usize| sum.saturating_add(own.saturating_mul(1 + rest));
                sum.sequential = each(sum.sequential, taken.sequential);
                sum.products = each(sum.products, taken.products);
            }
        }
        all
    }

    fn total(&self) -> usize {
        self.products.iter().fold(0, |sum, products| sum.saturating_add(products.total()))
    }

    /// Runs a stage, and returns its sequential products.
    fn stage(&mut self, stage: &Stage) -> usize {
        let before = self.clock;
        match stage {
            Stage::Forward => {
                let stale = (0..self.depth).filter(|&t| self.evaluate(t, Reads::Forward)).count();
                add(&mut self.clock, stale);
            }
            Stage::Start(start) => {
                let anchored = *start == Start::Anchored;
                self.state.same.iter_mut().enumerate().for_each(|(t, same)| *same = t == 0 || anchored);
            }
            Stage::ChainRule => {
                // The lowest trained layer needs no error below it, as in `Objective::chain_rule`.
                let pulled = self.products.iter_mut().skip(self.assumptions.lowest + 1);
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
                self.state.reads = *reads;
                if *by_gradient {
                    let stale =
                        layers.clone().filter(|&t| !chained && !self.assumptions.frozen[t] && self.evaluate(t, *reads));
                    let stale = stale.count();
                    self.predictions(stale);
                    layers.clone().for_each(|t| self.gather(t, *chained));
                    // The clock itself does not advance: activation steps do not wait for parameter gradients.
                    self.gathered = self.clock.saturating_add(1);
                    return self.gathered - before;
                }
            }
            Stage::Ascend => {
                if let Some(multipliers) = self.assumptions.multipliers {
                    for t in (1..self.depth).filter(|&t| multipliers.reaches(t, self.depth)) {
                        // λ_t begins at zero, and stays there as long as there is no residual.
                        self.state.has_multiplier[t] |= self.has_residual(t, self.state.reads);
                    }
                }
            }
            Stage::Store => {}
            Stage::Update(layers) => {
                // A barrier: it waits for activations and for sums.
                self.clock = self.sequential();
                self.stale(layers.clone());
                return 0;
            }
            Stage::Repeat { times, stages } => drop(self.repeat(*times, stages)),
        }
        self.clock - before
    }

    /// Marks the predictions of `layers` stale, after their parameters moved.
    fn stale(&mut self, layers: std::ops::Range<usize>) {
        for t in layers {
            self.state.stored[t] = false;
            self.state.forward[t] = false;
            self.state.moved[t] |= self.state.moves[t];
            self.state.moves[t] = false;
        }
    }

    /// Brings the prediction of layer t up to date, and returns whether it was stale.
    fn evaluate(&mut self, t: usize, reads: Reads) -> bool {
        let State { same, stored, forward, .. } = &mut self.state;
        let fresh = if same[t] || reads == Reads::Forward { &mut forward[t] } else { &mut stored[t] };
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
        let State { same, moved, .. } = &self.state;
        let below = same[t - 1] || reads == Reads::Forward;
        // From a forward pass on, z_t equals its prediction until either moves; a target hardly ever does.
        !self.assumptions.skips_zeros || t == self.depth || !same[t] || !below || moved[t - 1]
    }

    /// Returns whether ∂L/∂ẑ_t may be nonzero, t = 1 ..= T.
    fn pulls(&self, t: usize, reads: Reads) -> bool {
        self.has_residual(t, reads) || (t < self.depth && self.state.has_multiplier[t])
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
            if moved || !self.state.same[t] {
                self.state.same[t] = false;
                self.state.stored[t] = false;
            }
        }
    }

    /// Moves the z_t of a group to minima near their predictions.
    fn solve(&mut self, group: &Group) {
        let stale = group.members().filter(|&t| self.evaluate(t - 1, Reads::Stored)).count();
        self.predictions(stale);
        for t in group.members() {
            self.state.same[t] = false;
            self.state.stored[t] = false;
        }
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
            self.state.same[t] = false;
            self.state.stored[t] = false;
        }
    }

    /// Counts ∂L/∂θ_t.
    fn gather(&mut self, t: usize, chained: bool) {
        let has_gradient = chained || self.pulls(t + 1, self.state.reads);
        if self.assumptions.trains[t] {
            add(&mut self.products[t].to_parameters, usize::from(has_gradient));
            let State { moves, had_gradient, .. } = &mut self.state;
            moves[t] |= has_gradient || (self.assumptions.remembers[t] && had_gradient[t]);
            had_gradient[t] |= has_gradient;
        }
    }
}

/// Adds to a count; saturates, because a method may take any number of steps.
fn add(count: &mut usize, more: usize) {
    *count = count.saturating_add(more);
}
