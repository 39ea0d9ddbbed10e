//! A lane: some examples of a batch, and the stages that need no other lane.

use std::ops::Range;

use super::FitState;
use crate::bank::Column;
use crate::machine::linalg::matrix::check_diverged;
use crate::machine::parallel::{for_row, guarded};
use crate::method::activation_step::{self, Memory};
use crate::method::block::{Block, Group, Reads};
use crate::method::energy::Objective;
use crate::method::parameter_step::{self, LayerState};
use crate::method::schedule::Stage;
use crate::method::start::Start;
use crate::train::missing;
use crate::train::tally::Tally;
use crate::{Dataset, DecoupledNetwork, MatRef, Result, Scalar};

/// Shared, read-only input of the lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneInput<'p, T: Scalar> {
    pub(super) objective: Objective<'p, T>,
    pub(super) fit: &'p FitState<'p, T>,
    pub(super) states: &'p [LayerState<T>],
    pub(super) report: bool,
    /// The parameter update that the visit leads to.
    pub(super) update: u64,
}

/// A fixed share of a batch, independent of the others between two updates. Its layers may run in parallel.
#[derive(Debug)]
pub(super) struct Lane<T> {
    pub(super) block: Block<T>,
    pub(super) memory: Memory<T>,
    /// λ_t for t = 1 .. T after this visit.
    pub(super) multipliers: Vec<Vec<T>>,
    /// Terms of the energy and residuals.
    pub(super) terms: Vec<(T, (f64, f64))>,
    pub(super) tally: Tally,
    pub(super) scratch: Scratch<T>,
}

/// Buffers of a lane that streams.
#[derive(Debug, Default)]
pub(super) struct Scratch<T> {
    pub(super) input: Vec<T>,
    pub(super) output: Vec<T>,
    pub(super) cache: Vec<T>,
    pub(super) target: Vec<T>,
    pub(super) gradient: Vec<T>,
}

/// As errors name a step that panics.
pub(super) const STEP: &str = "the activation step";

impl<T: Scalar> Lane<T> {
    pub(super) fn new(net: &DecoupledNetwork<T>, examples: usize) -> Self {
        Self {
            block: Block::new(&net.layers, examples),
            memory: Memory::default(),
            multipliers: vec![Vec::new(); net.depth() - 1],
            terms: Vec::new(),
            tally: Tally::default(),
            scratch: Scratch::default(),
        }
    }

    /// Loads the inputs, targets and weights of `examples`.
    pub(super) fn load(&mut self, pass: &LaneInput<'_, T>, examples: &[usize], columns: &[Column<'_, T>]) {
        self.block.resize(examples.len());
        for t in [0, self.block.layers()] {
            read(&mut self.block, t, pass.fit, examples);
        }
        set_weights(&mut self.block, pass.fit.data, examples);
        self.block.set_draws((pass.fit.seed, pass.fit.epoch), examples);
        self.tally.begin(examples.len());
        if !pass.fit.starts.is_empty() {
            let inputs = self.block.stored_mut(0).chunks_exact_mut(pass.fit.starts.len());
            columns.iter().zip(inputs).for_each(|(column, input)| column.complete(&pass.fit.starts, input));
        }
    }

    /// Runs `stages` on the activations that the lane holds.
    pub(super) fn run(
        &mut self,
        pass: &LaneInput<'_, T>,
        stages: &[Stage],
        (examples, columns): (&[usize], &mut [Column<'_, T>]),
        sums: &mut [Vec<T>],
    ) -> Result<()> {
        let objective = &pass.objective;
        for stage in stages {
            match stage {
                Stage::Forward => self.forward(pass)?,
                Stage::Start(start) => self.start(pass, *start, columns)?,
                Stage::ChainRule => {
                    objective.chain_rule(&mut self.block, |t| pass.states[t].frozen)?;
                    // Backpropagation has no stored activations, so its energy is the forward loss.
                    self.tally.energy = self.tally.forward_loss;
                    self.see_units(0..self.block.layers() - 1, Reads::Forward);
                }
                Stage::Relax { group, begins, .. } => self.step(pass, group, *begins)?,
                Stage::Measure(terms) => self.measure(objective, terms.clone())?,
                Stage::Gather { layers, chained, .. } => {
                    let by = (&pass.fit.parameter, pass.states);
                    parameter_step::gather(by, (layers, *chained), objective, &mut self.block, sums)?;
                }
                Stage::Ascend => {
                    for t in pass.multipliers() {
                        self.ascend(pass, t)?;
                    }
                }
                Stage::Store => self.store(pass, examples, columns)?,
                Stage::Repeat { times, stages } => {
                    (0..*times).try_for_each(|_| self.run(pass, stages, (examples, columns), sums))?;
                }
                Stage::Update(_) => {}
            }
        }
        Ok(())
    }

    /// Runs `stages` that each read a few layers only: loads their activations from the bank, and stores them there.
    pub(super) fn stream(
        &mut self,
        pass: &LaneInput<'_, T>,
        stages: &[Stage],
        examples: &[usize],
        columns: &mut [Column<'_, T>],
    ) -> Result<()> {
        let window = |stages: &[Stage]| {
            let each = stages.iter().filter_map(|stage| match stage {
                Stage::Measure(terms) => Some(terms.start - 1..terms.end),
                Stage::Relax { group, .. } => Some(group.range().start - 1..group.range().end + 1),
                _ => None,
            });
            each.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
        };
        let mut loaded = false;
        for stage in stages {
            if matches!(stage, Stage::Measure(_) | Stage::Relax { .. })
                // One load serves all stages of the run: the window spans every layer that they read. Not before the first of them, because
                // a start still writes to the bank.
                && !std::mem::replace(&mut loaded, true)
                && let Some(window) = window(stages)
            {
                load(&mut self.block, window, pass.fit, (examples, columns));
            }
            match stage {
                Stage::Start(start) => self.start_in_bank(pass, *start, examples, columns)?,
                Stage::Relax { group, begins, .. } => {
                    self.step(pass, group, *begins)?;
                    group.members().try_for_each(|t| self.put_back(t, columns))?;
                }
                Stage::Measure(terms) => self.measure(&pass.objective, terms.clone())?,
                Stage::Ascend => {
                    for t in pass.multipliers() {
                        load(&mut self.block, t - 1..t + 1, pass.fit, (examples, columns));
                        // The load has made the prediction stale, and the multiplier's step reads it.
                        pass.objective.evaluate(&mut self.block, t - 1, Reads::Stored)?;
                        self.ascend(pass, t)?;
                        self.put_back_multiplier(t, columns)?;
                    }
                }
                Stage::Store => {
                    let steps =
                        pass.fit.method.map_or(0, |method| method.activation.steps(pass.objective.circuit.depth()));
                    for column in &mut *columns {
                        column.count(column.steps().saturating_add(steps as u64), pass.update);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn forward(&mut self, pass: &LaneInput<'_, T>) -> Result<()> {
        pass.objective.forward(&mut self.block)?;
        self.report_forward(pass)
    }

    /// Records loss and score of the forward pass.
    pub(super) fn report_forward(&mut self, pass: &LaneInput<'_, T>) -> Result<()> {
        let (top, block) = (self.block.layers(), &self.block);
        self.tally.forward_examples = block.examples();
        self.tally.forward_loss = pass.objective.forward_loss(block)?;
        if let Some(judge) = pass.fit.judge {
            let outputs = block.prediction(top - 1, Reads::Forward);
            let weight = |i: usize| block.weights().get(i).map_or(1.0, |weight| weight.to_f64());
            self.tally.score = judge.sum(block.stored(top), outputs, weight)?;
        }
        Ok(())
    }

    /// Sets activations, multipliers and the state of the activations' optimizer to the method's start.
    pub(super) fn start(&mut self, pass: &LaneInput<'_, T>, start: Start, columns: &[Column<'_, T>]) -> Result<()> {
        let forward = self.tally.forward_examples > 0;
        // A column never visited has no stored activations: it starts at the forward pass, whatever the method.
        if !forward && (pass.report || !columns.iter().all(Column::is_visited)) {
            self.forward(pass)?;
        }
        // A forward pass is there, needed or for the report: start from it, then overwrite visited columns below.
        if self.tally.forward_examples > 0 {
            self.block.store_forward(1..self.block.layers());
        }
        self.reset_memory(pass)?;
        let examples = columns.len();
        // Of columns never visited too: the bank begins with zeros.
        for t in pass.multipliers() {
            for (i, column) in columns.iter().enumerate() {
                column.multiplier(t, part_mut(self.block.multiplier_mut(t), examples, i));
            }
        }
        if start != Start::Anchored {
            for (i, column) in columns.iter().enumerate().filter(|(_, column)| column.is_visited()) {
                self.memory.steps[i] = column.steps();
                for t in 1..self.block.layers() {
                    let own = part_mut(self.block.stored_mut(t), examples, i);
                    // A blend needs both, the stored value and the forward activation that `own` still holds.
                    column.beside_activation(t, own, |last, own| start.blend(last, own));
                    column.state(t, part_mut(&mut self.memory.state[t - 1], examples, i));
                }
            }
        }
        Ok(())
    }

    /// Resets what the activation step remembers of the examples.
    pub(super) fn reset_memory(&mut self, pass: &LaneInput<'_, T>) -> Result<()> {
        let slots = pass.fit.method.map_or(0, |method| activation_step::slots(&*method.activation));
        self.memory.reset(&self.block, slots)
    }

    /// Sets the activations in the bank to the method's start, from a forward pass that keeps one layer at a time.
    fn start_in_bank(
        &mut self,
        pass: &LaneInput<'_, T>,
        start: Start,
        examples: &[usize],
        columns: &mut [Column<'_, T>],
    ) -> Result<()> {
        let circuit = pass.objective.circuit;
        let (top, n) = (circuit.depth(), examples.len());
        self.tally.begin(n);
        // Activations that go on from where they are need no pass, but for the report.
        if start == Start::Persisted && !pass.report && columns.iter().all(Column::is_visited) {
            return Ok(());
        }
        let Scratch { input, output, cache, target, .. } = &mut self.scratch;
        input.resize(circuit.layers[0].input_dim() * n, T::zero());
        pass.fit.read_inputs(examples, input);
        for t in 0..top {
            let rows = circuit.layers[t].output_dim();
            output.resize(rows * n, T::zero());
            circuit.forward(t, MatRef::new(input, input.len() / n, n), output, cache)?;
            // Two buffers suffice, however deep the network is.
            std::mem::swap(input, output);
            if t + 1 < top {
                for (column, z) in columns.iter_mut().zip(input.chunks_exact(rows)) {
                    if !column.is_visited() {
                        column.set_activation(t + 1, z)?;
                    } else if start != Start::Persisted {
                        target.clear();
                        target.extend_from_slice(z);
                        column.beside_activation(t + 1, target, |last, z| start.blend(last, z));
                        column.set_activation(t + 1, target)?;
                    }
                }
            }
        }
        target.clear();
        examples.iter().for_each(|&example| target.extend_from_slice(pass.fit.data.targets().column(example)));
        let (target, outputs) = (MatRef::new(target, target.len() / n, n), MatRef::new(input, input.len() / n, n));
        let weights = pass.fit.data.weights_of(examples.iter().copied());
        self.tally.forward_examples = n;
        self.tally.forward_loss = pass.objective.loss_of(target, outputs, &weights)?;
        if let Some(judge) = pass.fit.judge {
            self.tally.score = judge.sum(target, outputs, |i| pass.fit.data.weight(examples[i]))?;
        }
        Ok(())
    }

    /// Takes an activation step of `group`.
    pub(super) fn step(&mut self, pass: &LaneInput<'_, T>, group: &Group, begins: bool) -> Result<()> {
        let Some(method) = pass.fit.method else { return Ok(()) };
        if begins {
            self.memory.count();
        }
        let Self { block, memory, .. } = self;
        guarded(STEP, None, || method.activation.step(&pass.objective, block, group, &pass.fit.prepared, memory))?
    }

    /// Adds the energy and the residuals of z_t for t in `terms`, every prediction taken from its stored input.
    pub(super) fn measure(&mut self, objective: &Objective<'_, T>, terms: Range<usize>) -> Result<()> {
        objective.terms(&mut self.block, terms.clone(), &mut self.terms)?;
        let depth = self.block.layers();
        let Tally { energy, energies, residuals, .. } = &mut self.tally;
        // In T within a lane, in f64 over lanes and visits.
        *energy += self.terms.iter().map(|(term, _)| *term).sum::<T>().to_f64();
        energies.resize(depth, 0.0);
        residuals.resize(depth - 1, (0.0, 0.0));
        for (t, (term, residual)) in terms.clone().zip(&self.terms) {
            // Once in a visit, so nothing is there to add to.
            energies[t - 1] = term.to_f64();
            // The output has a term and no residual.
            residuals.iter_mut().skip(t - 1).take(1).for_each(|own| *own = *residual);
        }
        self.see_units(terms.start - 1..terms.end.min(depth) - 1, Reads::Stored);
        Ok(())
    }

    /// Records the unit outputs of hidden `layers`, for the count of dead units.
    fn see_units(&mut self, layers: Range<usize>, reads: Reads) {
        // Units are numbered over all hidden layers, so that one vector holds them.
        let mut first = (0..layers.start).map(|t| self.block.width(t + 1)).sum();
        for t in layers {
            let outputs = self.block.prediction(t, reads);
            self.tally.see_units(first, outputs);
            first += outputs.rows();
        }
    }

    /// Computes λ_t after this visit, from the residuals that the parameter step has just read. The rest of the visit still reads the old
    /// λ_t.
    fn ascend(&mut self, pass: &LaneInput<'_, T>, t: usize) -> Result<()> {
        let Some(multipliers) = pass.fit.method.and_then(|method| method.coupling.multipliers) else { return Ok(()) };
        let out = &mut self.multipliers[t - 1];
        pass.objective.ascend(&self.block, t, pass.fit.parameter.reads, multipliers, out);
        check_diverged(out, t, "a multiplier")
    }

    /// Writes activations, multipliers and the state of the activations' optimizer to the bank, before the update that ends the visit.
    pub(super) fn store(
        &mut self,
        pass: &LaneInput<'_, T>,
        examples: &[usize],
        columns: &mut [Column<'_, T>],
    ) -> Result<()> {
        if !pass.fit.starts.is_empty() {
            missing::step(&pass.objective, &mut self.block, pass.fit.data, examples)?;
        }
        let Self { block, memory, multipliers, .. } = self;
        // Check all layers before the first write: a divergence leaves no column half written.
        (1..block.layers()).try_for_each(|t| check_diverged(block.stored(t).as_slice(), t, "the stored input"))?;
        let examples = columns.len();
        let anchored = pass.fit.method.is_some_and(|method| method.start == Start::Anchored);
        for_row(columns, |i, column| {
            column.set_input(block.stored(0).column(i))?;
            for t in 1..block.layers() {
                column.set_activation(t, block.stored(t).column(i))?;
                // An anchored start resets the state, so the bank keeps none.
                if !anchored {
                    column.set_state(t, part(&memory.state[t - 1], examples, i))?;
                }
            }
            for t in pass.multipliers() {
                column.set_multiplier(t, part(&multipliers[t - 1], examples, i))?;
            }
            let steps = memory.steps[i];
            // An anchored start has reset the count to 0; otherwise it went on from the column's own.
            column.count(if anchored { column.steps().saturating_add(steps) } else { steps }, pass.update);
            Ok(())
        })
    }

    /// Writes z_t to the bank.
    fn put_back(&self, t: usize, columns: &mut [Column<'_, T>]) -> Result<()> {
        check_diverged(self.block.stored(t).as_slice(), t, "the stored input")?;
        let mut columns = columns.iter_mut().zip(self.block.stored(t).columns());
        columns.try_for_each(|(column, z)| column.set_activation(t, z))
    }

    /// Writes λ_t to the bank.
    fn put_back_multiplier(&self, t: usize, columns: &mut [Column<'_, T>]) -> Result<()> {
        let (own, n) = (&self.multipliers[t - 1], columns.len());
        columns.iter_mut().enumerate().try_for_each(|(i, column)| column.set_multiplier(t, part(own, n, i)))
    }
}

impl<T: Scalar> LaneInput<'_, T> {
    /// Returns the t of the hidden activations that have multipliers.
    fn multipliers(&self) -> impl Iterator<Item = usize> + use<T> {
        let multipliers = self.fit.method.and_then(|method| method.coupling.multipliers);
        let depth = self.objective.circuit.depth();
        (1..depth).filter(move |&t| multipliers.is_some_and(|multipliers| multipliers.reaches(t, depth)))
    }
}

/// Writes z_0 or z_T of `examples` to the block.
fn read<T: Scalar>(block: &mut Block<T>, t: usize, fit: &FitState<'_, T>, examples: &[usize]) {
    match t {
        0 => fit.read_inputs(examples, block.stored_mut(0)),
        _ => copy(fit.data.targets(), examples.iter().copied(), block.stored_mut(t)),
    }
}

/// Copies columns of `source` to `out`.
pub(super) fn copy<T: Scalar>(source: MatRef<'_, T>, columns: impl Iterator<Item = usize>, out: &mut [T]) {
    for (out, column) in out.chunks_exact_mut(source.rows()).zip(columns) {
        out.copy_from_slice(source.column(column));
    }
}

/// Loads z_t and λ_t for t in `window` from data and bank, and drops all others.
pub(super) fn load<T: Scalar>(
    block: &mut Block<T>,
    window: Range<usize>,
    fit: &FitState<'_, T>,
    (examples, columns): (&[usize], &[Column<'_, T>]),
) {
    let (depth, n) = (block.layers(), examples.len());
    // Only these layers take memory, however deep the network is.
    block.narrow(n, window.clone());
    set_weights(block, fit.data, examples);
    let multipliers = fit.method.and_then(|method| method.coupling.multipliers);
    for t in window {
        if t == 0 || t == depth {
            read(block, t, fit, examples);
            continue;
        }
        let z = block.stored_mut(t);
        columns.iter().enumerate().for_each(|(i, column)| column.activation(t, part_mut(z, n, i)));
        if multipliers.is_some_and(|multipliers| multipliers.reaches(t, depth)) {
            let each = columns.iter().enumerate();
            each.for_each(|(i, column)| column.multiplier(t, part_mut(block.multiplier_mut(t), n, i)));
        }
    }
}

fn set_weights<T: Scalar>(block: &mut Block<T>, data: &Dataset<T>, examples: &[usize]) {
    // Without a weighting the block's list stays empty: all weights are 1.
    let weights = data.weighting().into_iter();
    block.set_weights(weights.flat_map(|weighting| examples.iter().map(|&example| T::of(weighting.of(example)))));
}

/// Returns the i-th of `parts` equal parts of `whole`.
fn part<T>(whole: &[T], parts: usize, i: usize) -> &[T] {
    let len = whole.len() / parts;
    &whole[i * len..(i + 1) * len]
}

/// Returns the i-th of `parts` equal parts of `whole` for writing.
fn part_mut<T>(whole: &mut [T], parts: usize, i: usize) -> &mut [T] {
    let len = whole.len() / parts;
    &mut whole[i * len..(i + 1) * len]
}
