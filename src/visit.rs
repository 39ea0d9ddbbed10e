//! One visit: a batch of examples is taken from the bank, relaxed, followed by the parameters, and put back.

use crate::activation_step::{ActivationStep, Memory, PowerIteration, Rates};
use crate::alternation::Alternation;
use crate::bank::{Column, fill_gaps};
use crate::block::{Block, Reads};
use crate::energy::Objective;
use crate::method::Method;
use crate::metrics::Judge;
use crate::missing;
use crate::parallel::{Chunks, for_row};
use crate::parameter_step::{self, ParameterStep, Timing, Trained};
use crate::start::Start;
use crate::tally::Tally;
use crate::{Dataset, DecoupledNetwork, Error, Result, Scalar, backprop, linalg};

/// By which road the parameters get their gradients.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule<'a, T> {
    Decoupled(&'a Method<T>),
    Backprop,
}

/// Visits batches, cut into lanes. How a batch is cut depends on its size alone, and sums over lanes are taken in their
/// order: so no result depends on the number of threads.
#[derive(Debug)]
pub(crate) struct Visitor<'a, T: Scalar> {
    rule: Rule<'a, T>,
    data: &'a Dataset<T>,
    metric: Option<Judge<'a, T>>,
    /// Where missing inputs start; empty where none is missing.
    starts: Vec<T>,
    lanes: Vec<Lane<T>>,
    /// What each lane says about the parameters: gradient or moments of every layer.
    found: Vec<Vec<Vec<T>>>,
    /// Visits of this epoch.
    visits: usize,
    rates: Rates<T>,
    /// The examples that estimate it, and its scratch.
    sample: Option<Block<T>>,
    iteration: PowerIteration<T>,
    /// What block coordinate descent keeps between visits.
    alternation: Alternation<T>,
    /// The factor on the penalties.
    factor: T,
    pending: Pending<T>,
}

/// Gradients on their way to a parameter step that several batches share.
#[derive(Debug)]
struct Pending<T> {
    /// Batches that share a step.
    batches: usize,
    /// Those that wait for it, their examples, and the sum of their gradients, layer by layer.
    waiting: usize,
    examples: usize,
    sum: Vec<Vec<Vec<T>>>,
}

/// A fixed share of a batch, worked on by itself from end to end; its layers may be worked on side by side.
#[derive(Debug)]
struct Lane<T> {
    block: Block<T>,
    memory: Memory<T>,
    /// λ_t for t = 1 .. T as they will be after this visit.
    multipliers: Vec<Vec<T>>,
    /// Terms of the energy and residuals for t = 1 ..= T.
    terms: Vec<(T, (f64, f64))>,
    tally: Tally,
}

/// Columns of a lane, unless the batch is so large that [`MAX_LANES`] of them do not cover it.
const LANE: usize = 64;
/// A batch that fits one lane is still cut in two if each has so many columns.
const SMALL_LANE: usize = 16;
/// Every lane holds a gradient of all parameters, so there are not more than this.
const MAX_LANES: usize = 16;
/// Visits that need no forward pass take one every so often all the same, for the report: it is the one thing in them whose layers
/// wait for one another.
const LOOK_EVERY: usize = 8;
/// A method that follows the curvature estimates it anew after this many visits (parameter steps, where batches share one), from
/// this many examples: always the same ones, because the gradients' size goes with the rate, and an optimizer such as Adam takes jumps in it for noise.
const CURVATURE_EVERY: usize = 100;
const CURVATURE_SAMPLE: usize = 32;
/// A sample is at most this part of a batch: the estimate costs about as much as sixteen visits of its examples.
const CURVATURE_SHARE: usize = 4;

impl<'a, T: Scalar> Visitor<'a, T> {
    /// # Errors
    /// As [`Dataset::known_means`].
    pub(crate) fn new(
        rule: Rule<'a, T>,
        data: &'a Dataset<T>,
        metric: Option<Judge<'a, T>>,
        accumulate: usize,
    ) -> Result<Self> {
        let pending = Pending { batches: accumulate, waiting: 0, examples: 0, sum: Vec::new() };
        let starts = if data.missing() > 0 { data.known_means()? } else { Vec::new() };
        Ok(Self {
            rule,
            data,
            metric,
            starts,
            lanes: Vec::new(),
            found: Vec::new(),
            visits: 0,
            rates: Rates::default(),
            sample: None,
            iteration: PowerIteration::default(),
            alternation: Alternation::default(),
            factor: T::one(),
            pending,
        })
    }

    /// A new epoch begins, with this factor on the penalties.
    pub(crate) fn begin_epoch(&mut self, factor: f64) {
        self.visits = 0;
        self.factor = T::of(factor);
    }

    /// λmax as last estimated, for a method that follows it.
    pub(crate) fn curvature(&self) -> Option<f64> {
        self.rates.curvature
    }

    /// How far the rate that follows it stays below the largest stable one.
    pub(crate) fn stability_margin(&self) -> Option<f64> {
        self.rates.margin
    }

    /// Whether visits score their examples.
    pub(crate) fn scores(&self) -> bool {
        self.metric.is_some()
    }

    /// Every now and then, sets the rate of a method that follows the curvature.
    fn follow_curvature(&mut self, net: &DecoupledNetwork<T>, batch: usize) -> Result<()> {
        // As batches that are so much larger would.
        let batches = self.pending.batches;
        if let Rule::Decoupled(method) = self.rule
            && self.visits.is_multiple_of(CURVATURE_EVERY.saturating_mul(batches))
        {
            let batch = batch.saturating_mul(batches).min(self.data.len());
            let examples = batch.div_ceil(CURVATURE_SHARE).min(CURVATURE_SAMPLE).min(self.data.len());
            let block = self.sample.get_or_insert_with(|| Block::new(&net.layers, examples));
            block.resize(examples);
            fill(block, self.data, (0..examples).map(|i| i * self.data.len() / examples));
            if !self.starts.is_empty() {
                // Its examples are not at hand; where they started will do.
                let columns = block.stored_mut(0).chunks_exact_mut(self.starts.len());
                columns.for_each(|column| fill_gaps(&self.starts, column));
            }
            let objective = net.objective().with_factor(self.factor);
            objective.anchor(block)?;
            self.rates = method.activation.rates(&objective, block, &mut self.iteration)?;
        }
        Ok(())
    }

    /// Sees to as many lanes as a batch wants, and returns their number and width.
    fn cut(&mut self, net: &DecoupledNetwork<T>, batch: usize) -> (usize, usize) {
        let lanes = batch.div_ceil(LANE).max((batch / SMALL_LANE).min(2)).clamp(1, MAX_LANES);
        let width = batch.div_ceil(lanes);
        while self.lanes.len() < lanes {
            let block = Block::new(&net.layers, width);
            let multipliers = vec![Vec::new(); net.depth() - 1];
            let (memory, terms, tally) = (Memory::default(), Vec::new(), Tally::default());
            self.lanes.push(Lane { block, memory, multipliers, terms, tally });
            self.found.push(net.params.iter().map(|p| vec![T::zero(); p.len()]).collect());
        }
        // The last lanes may be out of work.
        (batch.div_ceil(width), width)
    }

    /// Visits the examples of a batch and moves activations and parameters; `tally` gains what it saw.
    ///
    /// # Errors
    /// [`Error::Panicked`], or [`Error::Diverged`] before anything that is not finite reaches parameters or bank.
    pub(crate) fn visit(
        &mut self,
        net: &mut DecoupledNetwork<T>,
        batch: &[usize],
        columns: &mut [Column<'_, T>],
        tally: &mut Tally,
    ) -> Result<()> {
        tally.count_updates_since(net.updates, columns);
        if let Rule::Decoupled(method) = self.rule
            && let ActivationStep::Exact(exact) = method.activation
        {
            let data = (self.data, self.metric);
            return self.alternation.visit(net, (method, exact), data, self.factor, (batch, columns), tally);
        }
        self.follow_curvature(net, batch.len())?;
        let look = self.visits.is_multiple_of(LOOK_EVERY);
        self.visits += 1;
        let (lanes, width) = self.cut(net, batch.len());
        let (data, metric, rates, factor) = (self.data, self.metric, &self.rates.layers[..], self.factor);
        let starts = &self.starts[..];
        let (lanes, found) = (&mut self.lanes[..lanes], &mut self.found[..lanes]);
        match self.rule {
            Rule::Backprop => {
                let row = ((&mut lanes[..], Chunks { slice: batch, width }), &mut found[..]);
                for_row(row, |_, ((lane, examples), found)| {
                    lane.load(data, examples);
                    lane.backprop(&net.objective(), &net.trained, metric, found)
                })?;
                self.pending.follow(net, &ParameterStep::new(Reads::Forward), factor, found, batch.len())?;
            }
            Rule::Decoupled(method) => {
                let rounds = method.parameter_steps(net.depth());
                for round in 0..rounds {
                    let row = ((&mut lanes[..], Chunks { slice: batch, width }), &mut found[..]);
                    let row = (row, Chunks { slice: &mut columns[..], width });
                    for_row(row, |_, (((lane, examples), found), columns)| {
                        let objective = net.objective().with_factor(factor);
                        if round == 0 {
                            lane.load(data, examples);
                            lane.complete(starts, columns);
                            lane.begin(&objective, method, (metric, look), columns)?;
                        } else {
                            lane.block.parameters_moved();
                        }
                        lane.work(&objective, method, &net.trained, (round, rates), found)?;
                        if round + 1 < rounds {
                            return Ok(());
                        }
                        if !starts.is_empty() {
                            missing::step(&objective, &mut lane.block, data, examples)?;
                        }
                        lane.store(method, columns, net.updates + 1)
                    })?;
                    self.pending.follow(net, &method.parameter, factor, found, batch.len())?;
                }
            }
        }
        lanes.iter().for_each(|lane| tally.add(&lane.tally));
        Ok(())
    }

    /// Ends an epoch: batches that wait for others take their step.
    ///
    /// # Errors
    /// As [`visit`](Self::visit).
    pub(crate) fn end_epoch(&mut self, net: &mut DecoupledNetwork<T>) -> Result<()> {
        let step = match self.rule {
            Rule::Decoupled(method) => &method.parameter,
            Rule::Backprop => &ParameterStep::new(Reads::Forward),
        };
        self.pending.step(net, step, self.factor)
    }
}

impl<T: Scalar> Pending<T> {
    /// Takes a parameter step from what the lanes found, or keeps it until there are batches enough for one.
    fn follow(
        &mut self,
        net: &mut DecoupledNetwork<T>,
        step: &ParameterStep,
        factor: T,
        found: &mut [Vec<Vec<T>>],
        examples: usize,
    ) -> Result<()> {
        if self.batches == 1 {
            return follow(net, step, factor, found, examples);
        }
        if self.sum.is_empty() {
            self.sum.push(net.params.iter().map(|params| vec![T::zero(); params.len()]).collect());
        }
        for_row(&mut self.sum[0][..], |t, sum| {
            if self.waiting == 0 {
                sum.fill(T::zero());
            }
            if !net.trained[t].frozen && !sum.is_empty() {
                found.iter().for_each(|lane| linalg::axpy(T::one(), &lane[t], sum));
            }
            Ok(())
        })?;
        self.waiting += 1;
        self.examples += examples;
        if self.waiting < self.batches { Ok(()) } else { self.step(net, step, factor) }
    }

    /// Takes the step of the batches that wait, if there are any.
    fn step(&mut self, net: &mut DecoupledNetwork<T>, step: &ParameterStep, factor: T) -> Result<()> {
        let (waiting, examples) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.examples));
        if waiting == 0 { Ok(()) } else { follow(net, step, factor, &mut self.sum, examples) }
    }
}

/// One parameter step of every layer from what the lanes found.
fn follow<T: Scalar>(
    net: &mut DecoupledNetwork<T>,
    step: &ParameterStep,
    factor: T,
    found: &mut [Vec<Vec<T>>],
    examples: usize,
) -> Result<()> {
    net.updates += 1;
    let hidden = &net.hidden;
    let penalty = |t: usize| hidden.get(t).map_or(T::one(), |hidden| hidden.penalty * factor);
    let DecoupledNetwork { trained, layers, params, .. } = net;
    parameter_step::follow(step, trained, (layers, penalty), params, found, examples)
}

impl<T: Scalar> Lane<T> {
    /// Takes the examples' inputs, targets and weights.
    fn load(&mut self, data: &Dataset<T>, examples: &[usize]) {
        self.block.resize(examples.len());
        fill(&mut self.block, data, examples.iter().copied());
        if let Some(weighting) = data.weighting() {
            self.block.set_weights(examples.iter().map(|&example| T::of(weighting.of(example))));
        }
        self.tally.begin(examples.len());
    }

    /// Puts what was last inferred where an input is missing.
    fn complete(&mut self, starts: &[T], columns: &[Column<'_, T>]) {
        if !starts.is_empty() {
            let inputs = self.block.stored_mut(0).chunks_exact_mut(starts.len());
            columns.iter().zip(inputs).for_each(|(column, input)| column.complete(starts, input));
        }
    }

    fn backprop(
        &mut self,
        objective: &Objective<'_, T>,
        trained: &[Trained<T>],
        metric: Option<Judge<'_, T>>,
        found: &mut [Vec<T>],
    ) -> Result<()> {
        backprop::gradients_but(objective, &mut self.block, found, |t| trained[t].frozen)?;
        self.look(objective, metric)?;
        self.tally.energy = self.tally.forward_loss;
        self.see_units(Reads::Forward);
        Ok(())
    }

    /// The activations where the method starts them, from the forward pass unless nobody reads it.
    fn begin(
        &mut self,
        objective: &Objective<'_, T>,
        method: &Method<T>,
        (metric, look): (Option<Judge<'_, T>>, bool),
        columns: &[Column<'_, T>],
    ) -> Result<()> {
        let reads = method.start != Start::Persisted || method.parameter.reads == Reads::Forward;
        if look || reads || !columns.iter().all(Column::is_visited) {
            objective.anchor(&mut self.block)?;
            self.look(objective, metric)?;
        }
        self.memory.reset(&self.block, method.activation.slots())?;
        let hidden = 1..self.block.layers();
        let examples = columns.len();
        if let Some(multipliers) = method.coupling.multipliers {
            let depth = self.block.layers();
            for (i, column) in columns.iter().enumerate() {
                for t in hidden.clone().filter(|&t| multipliers.reaches(t, depth)) {
                    column.multiplier(t, part_mut(self.block.multiplier_mut(t), examples, i));
                }
            }
        }
        if method.start != Start::Anchored {
            for (i, column) in columns.iter().enumerate().filter(|(_, column)| column.is_visited()) {
                self.memory.steps[i] = column.steps();
                for t in hidden.clone() {
                    let own = part_mut(self.block.stored_mut(t), examples, i);
                    column.beside_activation(t, own, |last, own| method.start.blend(last, own));
                    column.state(t, part_mut(&mut self.memory.state[t - 1], examples, i));
                }
            }
        }
        Ok(())
    }

    /// One round: activation steps and parameter gradients, as the method orders them.
    fn work(
        &mut self,
        objective: &Objective<'_, T>,
        method: &Method<T>,
        trained: &[Trained<T>],
        (round, rates): (usize, &[T]),
        found: &mut [Vec<T>],
    ) -> Result<()> {
        let steps = method.activation.steps(self.block.layers());
        let (timing, reads) = (method.parameter.timing, method.parameter.reads);
        // After relaxation nothing but a measurement would evaluate the layers at the stored activations again when the
        // parameter step reads the forward ones: measure before the last step instead.
        let early = reads == Reads::Forward && round == 0;
        match timing {
            Timing::AfterRelaxation { .. } => {
                let sweeps = if round == 0 { steps } else { 0 };
                for sweep in 1..=sweeps {
                    if early && sweep == sweeps {
                        self.measure(objective)?;
                    }
                    method.activation.step(objective, &mut self.block, &mut self.memory, rates)?;
                }
                if !early && round == 0 {
                    self.measure(objective)?;
                }
                parameter_step::look(&method.parameter, trained, objective, &mut self.block, found)?;
                if round == 0 { self.raise(objective, method) } else { Ok(()) }
            }
            Timing::EveryStep => {
                if round + 1 == steps {
                    self.measure(objective)?;
                }
                parameter_step::look(&method.parameter, trained, objective, &mut self.block, found)?;
                if round + 1 == steps {
                    self.raise(objective, method)?;
                }
                method.activation.step(objective, &mut self.block, &mut self.memory, rates)
            }
        }
    }

    /// The multipliers after this visit, from the residuals that the parameter step has just read; the visit goes on with those
    /// it began with.
    fn raise(&mut self, objective: &Objective<'_, T>, method: &Method<T>) -> Result<()> {
        let Some(multipliers) = method.coupling.multipliers else { return Ok(()) };
        let block = &self.block;
        for (t, out) in (1..).zip(&mut self.multipliers) {
            let (z, prediction) = (block.stored(t), block.prediction(t - 1, method.parameter.reads));
            let Some(multiplier) = block.multiplier(t) else { continue };
            out.resize(z.as_slice().len(), T::zero());
            let (_, penalty) = objective.loss(t);
            multipliers.ascend(penalty, multiplier.as_slice(), z.as_slice(), prediction.as_slice(), out);
            if !linalg::all_finite(out) {
                return Err(Error::Diverged { layer: t, epoch: 0, quantity: "a multiplier" });
            }
        }
        Ok(())
    }

    /// Puts the activations back into the bank, after the visit that leads to this parameter update.
    fn store(&mut self, method: &Method<T>, columns: &mut [Column<'_, T>], update: u64) -> Result<()> {
        let Self { block, memory, multipliers: raised, .. } = self;
        for t in 1..block.layers() {
            if !linalg::all_finite(block.stored(t).as_slice()) {
                return Err(Error::Diverged { layer: t, epoch: 0, quantity: "the stored input" });
            }
        }
        let examples = columns.len();
        let anchored = method.start == Start::Anchored;
        for_row(columns, |i, column| {
            column.set_input(block.stored(0).column(i))?;
            for t in 1..block.layers() {
                column.set_activation(t, block.stored(t).column(i))?;
                if !anchored {
                    column.set_state(t, part(&memory.state[t - 1], examples, i))?;
                }
                if let Some(multipliers) = method.coupling.multipliers
                    && multipliers.reaches(t, block.layers())
                {
                    column.set_multiplier(t, part(&raised[t - 1], examples, i))?;
                }
            }
            let steps = memory.steps[i];
            column.count(if anchored { column.steps().saturating_add(steps) } else { steps }, update);
            Ok(())
        })
    }

    /// Forward loss and score, at the forward pass.
    fn look(&mut self, objective: &Objective<'_, T>, metric: Option<Judge<'_, T>>) -> Result<()> {
        let (top, block) = (self.block.layers(), &self.block);
        self.tally.looked_at = block.examples();
        self.tally.forward_loss = objective.forward_loss(block)?;
        if let Some(metric) = metric {
            let outputs = block.prediction(top - 1, Reads::Forward);
            let weight = |i: usize| block.weights().get(i).map_or(1.0, |weight| weight.to_f64());
            self.tally.score = metric.sum(block.stored(top), outputs, weight)?;
        }
        Ok(())
    }

    /// Energy and residuals, with every prediction from its stored input.
    fn measure(&mut self, objective: &Objective<'_, T>) -> Result<()> {
        objective.terms(&mut self.block, &mut self.terms)?;
        let Tally { energy, energies, residuals, .. } = &mut self.tally;
        *energy = self.terms.iter().map(|(term, _)| *term).sum::<T>().to_f64();
        energies.clear();
        energies.extend(self.terms.iter().map(|(term, _)| term.to_f64()));
        residuals.clear();
        let hidden = self.block.layers() - 1;
        residuals.extend(self.terms[..hidden].iter().map(|(_, residual)| *residual));
        self.see_units(Reads::Stored);
        Ok(())
    }

    /// What the hidden units gave.
    fn see_units(&mut self, reads: Reads) {
        let mut first = 0;
        for t in 0..self.block.layers() - 1 {
            let outputs = self.block.prediction(t, reads);
            self.tally.see_units(first, outputs);
            first += outputs.rows();
        }
    }
}

/// Writes the inputs and targets of the first of these examples, as many as the block has room for.
fn fill<T: Scalar>(block: &mut Block<T>, data: &Dataset<T>, examples: impl Iterator<Item = usize> + Clone) {
    for (t, source) in [(0, data.inputs()), (block.layers(), data.targets())] {
        let columns = block.stored_mut(t).chunks_exact_mut(source.rows());
        for (column, example) in columns.zip(examples.clone()) {
            column.copy_from_slice(source.column(example));
        }
    }
}

/// The i-th of `parts` equal parts.
fn part<T>(whole: &[T], parts: usize, i: usize) -> &[T] {
    let len = whole.len() / parts;
    &whole[i * len..(i + 1) * len]
}

/// The same for writing.
fn part_mut<T>(whole: &mut [T], parts: usize, i: usize) -> &mut [T] {
    let len = whole.len() / parts;
    &mut whole[i * len..(i + 1) * len]
}
