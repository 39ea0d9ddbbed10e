//! The engine: runs the stages of a visit over a batch of examples.
//!
//! A batch is cut into lanes. Between two updates every lane runs independently; an update adds the lanes' sums and
//! moves the parameters. How a batch is cut depends on its size alone, so results do not depend on the number of threads.
//!
//! A lane usually holds all activations of its examples from the first stage to the last. For steps that read one layer at a time
//! ([`streams`](crate::ActivationStep::streams)) it loads from the bank only the activations that a stage reads, and stores those that
//! moved: a full batch is never decoded.

use std::ops::Range;

use crate::bank::{Column, fill_gaps};
use crate::layer::pre_activation_rows;
use crate::machine::linalg;
use crate::machine::linalg::matrix::resize;
use crate::machine::parallel::{Chunks, Spare, for_row, guarded};
use crate::method::Method;
use crate::method::activation_step::{self, Memory, Prepared};
use crate::method::block::{Block, Group, Reads};
use crate::method::energy::Objective;
use crate::method::parameter_step::{self, LayerState, ParameterSteps, Sum};
use crate::method::schedule::{Schedule, Stage};
use crate::method::start::Start;
use crate::metrics::Judge;
use crate::train::missing;
use crate::train::reduce::{self, sum_lanes};
use crate::train::tally::Tally;
use crate::{Dataset, DecoupledNetwork, Error, MatRef, Result, Scalar};

/// A method prepared for a network, or backpropagation.
#[derive(Clone, Debug)]
pub(crate) struct Recipe<'a, T> {
    /// None for backpropagation, which has no activations of its own.
    pub(crate) method: Option<&'a Method<T>>,
    parameter: ParameterSteps<T>,
    schedule: Schedule,
}

impl<'a, T: Scalar> Recipe<'a, T> {
    pub(crate) fn decoupled(method: &'a Method<T>, depth: usize) -> Self {
        Self { method: Some(method), parameter: method.parameter.clone(), schedule: method.schedule(depth) }
    }

    pub(crate) fn backprop(depth: usize) -> Self {
        Self { method: None, parameter: ParameterSteps::new(Reads::Forward), schedule: Schedule::backprop(depth) }
    }

    fn streams(&self) -> bool {
        self.method.is_some_and(|method| method.activation.streams())
    }
}

/// Runs the visits of a fit.
#[derive(Debug)]
pub(crate) struct Engine<'a, T: Scalar> {
    fit: FitState<'a, T>,
    lanes: Vec<Lane<T>>,
    /// `sums[lane][t]`: the gradient or the moments of layer t. A batch that streams has parts instead of lanes.
    sums: Vec<Vec<Vec<T>>>,
    streams: Streams<T>,
    /// Visits of this epoch.
    visits: usize,
    /// The examples that estimate the curvature.
    sample: Option<Block<T>>,
    accumulator: Accumulator<T>,
}

/// The parts of a fit that stay the same while lanes run.
#[derive(Debug)]
struct FitState<'a, T: Scalar> {
    recipe: &'a Recipe<'a, T>,
    data: &'a Dataset<T>,
    judge: Option<Judge<'a, T>>,
    /// Start values of missing inputs, one per row; empty if none is missing.
    starts: Vec<T>,
    prepared: Prepared<T>,
    /// The factor on the penalties.
    factor: T,
}

impl<T: Scalar> FitState<'_, T> {
    /// Lends lanes what they read, on the way to the parameter update `update`.
    fn pass<'p>(&'p self, net: &'p DecoupledNetwork<T>, report: bool, update: u64) -> LaneInput<'p, T> {
        LaneInput {
            objective: net.objective().with_factor(self.factor),
            method: self.recipe.method,
            parameter: &self.recipe.parameter,
            states: &net.training.layers,
            data: self.data,
            judge: self.judge,
            starts: &self.starts,
            prepared: &self.prepared,
            report,
            update,
        }
    }
}

/// Buffers of lanes that stream.
#[derive(Debug, Default)]
struct Streams<T> {
    lanes: Spare<Option<Lane<T>>>,
    /// One per lane of the batch.
    tallies: Vec<Tally>,
    /// Inputs and pre-activations of a regression, and its moments over a part of the batch.
    input: Vec<T>,
    wanted: Vec<T>,
    part: Vec<T>,
    /// Used sums, for the next layer: each is as large as a layer, so only one layer's are allocated.
    used: Vec<Vec<T>>,
}

/// Gradients on their way to a parameter step that several batches share.
#[derive(Debug)]
struct Accumulator<T> {
    /// Number of batches that share a step.
    batches: usize,
    /// Batches summed so far, their examples, and the sum of their gradients, layer by layer.
    waiting: usize,
    examples: usize,
    sum: Vec<Vec<T>>,
    /// Scratch of closed forms.
    work: Spare<Vec<f64>>,
}

/// A batch during its visit.
#[derive(Debug)]
struct Batch<'v, 'b, T> {
    examples: &'v [usize],
    columns: &'v mut [Column<'b, T>],
    /// Examples of a lane.
    width: usize,
    /// Number of sums that belong to this batch.
    parts: usize,
    /// Whether its lanes are still to be loaded.
    begins: bool,
    /// Whether the report wants a forward pass.
    report: bool,
}

/// Shared, read-only input of the lanes.
#[derive(Clone, Copy, Debug)]
struct LaneInput<'p, T: Scalar> {
    objective: Objective<'p, T>,
    method: Option<&'p Method<T>>,
    parameter: &'p ParameterSteps<T>,
    states: &'p [LayerState<T>],
    data: &'p Dataset<T>,
    judge: Option<Judge<'p, T>>,
    starts: &'p [T],
    prepared: &'p Prepared<T>,
    report: bool,
    /// The parameter update that the visit leads to.
    update: u64,
}

/// A fixed share of a batch, independent of the others between two updates. Its layers may run in parallel.
#[derive(Debug)]
struct Lane<T> {
    block: Block<T>,
    memory: Memory<T>,
    /// λ_t for t = 1 .. T after this visit.
    multipliers: Vec<Vec<T>>,
    /// Terms of the energy and residuals.
    terms: Vec<(T, (f64, f64))>,
    tally: Tally,
    scratch: Scratch<T>,
}

/// Buffers of a lane that streams.
#[derive(Debug, Default)]
struct Scratch<T> {
    input: Vec<T>,
    output: Vec<T>,
    cache: Vec<T>,
    target: Vec<T>,
    gradient: Vec<T>,
}

/// As errors name a step that panics.
const STEP: &str = "the activation step";
/// Most columns of a lane, unless [`MAX_LANES`] lanes of this width do not cover the batch.
const LANE: usize = 64;
/// A batch that fits one lane is still cut in two if each half has at least this many columns.
const SMALL_LANE: usize = 16;
/// Most lanes of a batch, because every lane holds a gradient of all parameters. A batch that streams is summed in at most this many
/// parts, each by itself first: one long sum in single precision loses digits.
const MAX_LANES: usize = 16;
/// Most columns of a lane that streams.
const MOST: usize = 256;
/// Columns that one call of a regression accumulates.
const WIDE: usize = 512;
/// Methods that need no forward pass run one every `REPORT_EVERY` visits, to report the loss. It is their only sequential part.
const REPORT_EVERY: usize = 8;
/// A method that follows the curvature estimates it every `CURVATURE_EVERY` visits (parameter steps, if batches share one), from at most
/// `CURVATURE_SAMPLE` examples. They are always the same: gradients scale with the rate, and an optimizer such as Adam takes jumps of it
/// for noise.
const CURVATURE_EVERY: usize = 100;
const CURVATURE_SAMPLE: usize = 32;
/// The sample is at most the `CURVATURE_SHARE`-th part of a batch: the estimate costs about sixteen visits of its examples.
const CURVATURE_SHARE: usize = 4;

impl<'a, T: Scalar> Engine<'a, T> {
    /// # Errors
    /// As [`Dataset::known_means`].
    pub(crate) fn new(
        recipe: &'a Recipe<'a, T>,
        data: &'a Dataset<T>,
        judge: Option<Judge<'a, T>>,
        accumulate: usize,
    ) -> Result<Self> {
        let accumulator =
            Accumulator { batches: accumulate, waiting: 0, examples: 0, sum: Vec::new(), work: Spare::default() };
        let starts = if data.missing() > 0 { data.known_means()? } else { Vec::new() };
        let fit = FitState { recipe, data, judge, starts, prepared: Prepared::default(), factor: T::one() };
        Ok(Self {
            fit,
            lanes: Vec::new(),
            sums: Vec::new(),
            streams: Streams::default(),
            visits: 0,
            sample: None,
            accumulator,
        })
    }

    /// Begins an epoch, with `factor` on the penalties.
    pub(crate) fn begin_epoch(&mut self, factor: f64) {
        self.visits = 0;
        self.fit.factor = T::of(factor);
    }

    /// Returns the last estimate of λmax, for a method that follows it.
    pub(crate) fn curvature(&self) -> Option<f64> {
        self.fit.prepared.rates.curvature
    }

    /// Returns how far a rate that follows λmax stays below the largest stable one.
    pub(crate) fn stability_margin(&self) -> Option<f64> {
        self.fit.prepared.rates.margin
    }

    /// Returns whether visits score their examples.
    pub(crate) fn scores(&self) -> bool {
        self.fit.judge.is_some()
    }

    /// Visits the examples of a batch and moves activations and parameters; adds its report to `tally`.
    ///
    /// # Errors
    /// [`Error::Panicked`], [`Error::NotPositiveDefinite`], or [`Error::Diverged`] (epoch 0) before a number that is not finite reaches
    /// parameters or bank. Some of them may have moved by then.
    pub(crate) fn visit(
        &mut self,
        net: &mut DecoupledNetwork<T>,
        examples: &[usize],
        columns: &mut [Column<'_, T>],
        tally: &mut Tally,
    ) -> Result<()> {
        // Before the visit stamps the columns anew.
        tally.count_updates_since(net.training.updates, columns);
        self.adapt_step(net, examples.len())?;
        // The first visit of an epoch always reports, so every epoch has a loss.
        let report = self.visits.is_multiple_of(REPORT_EVERY);
        self.visits += 1;
        let width = self.cut(net, examples.len());
        // Lanes that stream have no sums of their own: each gather sets the number of its parts.
        let parts = if self.fit.recipe.streams() { 0 } else { examples.len().div_ceil(width) };
        let mut batch = Batch { examples, columns, width, parts, begins: true, report };
        self.run(net, self.fit.recipe.schedule.stages(), &mut batch)?;
        match self.fit.recipe.streams() {
            true => self.streams.tallies.iter().for_each(|own| tally.add(own)),
            // A smaller batch leaves the last lanes without examples.
            false => self.lanes[..parts].iter().for_each(|lane| tally.add(&lane.tally)),
        }
        Ok(())
    }

    /// Ends an epoch: takes the step of batches that still wait for others.
    ///
    /// # Errors
    /// As [`visit`](Self::visit).
    pub(crate) fn end_epoch(&mut self, net: &mut DecoupledNetwork<T>) -> Result<()> {
        self.accumulator.step(net, &self.fit.recipe.parameter, self.fit.factor)
    }

    /// Adapts the activation step, which sets the rates of sweeps, to the curvature or not: at the first visit of an epoch, and every
    /// [`CURVATURE_EVERY`]-th.
    fn adapt_step(&mut self, net: &DecoupledNetwork<T>, batch: usize) -> Result<()> {
        // Batches that share a step count as one: the rate changes only between parameter steps.
        let batches = self.accumulator.batches;
        if let Some(method) = self.fit.recipe.method
            && !self.fit.recipe.streams()
            && self.visits.is_multiple_of(CURVATURE_EVERY.saturating_mul(batches))
        {
            let batch = batch.saturating_mul(batches).min(self.fit.data.len());
            let examples = batch.div_ceil(CURVATURE_SHARE).min(CURVATURE_SAMPLE).min(self.fit.data.len());
            let block = self.sample.get_or_insert_with(|| Block::new(&net.layers, examples));
            block.resize(examples);
            // Spread evenly: data sorted by class still give a mixed sample.
            fill(block, self.fit.data, (0..examples).map(|i| i * self.fit.data.len() / examples));
            if !self.fit.starts.is_empty() {
                // The sample's bank columns are not among this batch's: take the start values of missing inputs.
                let columns = block.stored_mut(0).chunks_exact_mut(self.fit.starts.len());
                columns.for_each(|column| fill_gaps(&self.fit.starts, column));
            }
            let objective = net.objective().with_factor(self.fit.factor);
            objective.anchor(block)?;
            guarded(STEP, None, || method.activation.adapt(&objective, block, &mut self.fit.prepared))??;
        }
        Ok(())
    }

    /// Makes the lanes for a batch of `batch` examples, and returns the examples of each.
    fn cut(&mut self, net: &DecoupledNetwork<T>, batch: usize) -> usize {
        if self.fit.recipe.streams() {
            let width = batch.div_ceil(MAX_LANES).clamp(LANE, MOST);
            self.streams.tallies.resize_with(batch.div_ceil(width), Tally::default);
            return width;
        }
        let lanes = batch.div_ceil(LANE).max((batch / SMALL_LANE).min(2)).clamp(1, MAX_LANES);
        let width = batch.div_ceil(lanes);
        while self.lanes.len() < lanes {
            self.lanes.push(Lane::new(net, width));
            // Kept from visit to visit, so allocated only once.
            self.sums.push(net.params.iter().map(|p| vec![T::zero(); p.len()]).collect());
        }
        width
    }

    /// Runs `stages` in order; the local stages between two updates run lane by lane, without waiting for other lanes.
    fn run(&mut self, net: &mut DecoupledNetwork<T>, stages: &[Stage], batch: &mut Batch<'_, '_, T>) -> Result<()> {
        let streams = self.fit.recipe.streams();
        // Lanes that stream share one prepared factor, that of a single group of layers, so a relaxation ends their run; and they are
        // summed in other parts than they relax in, so a gather runs apart.
        let apart = |stage: &Stage| streams && matches!(stage, Stage::Gather { .. } | Stage::Repeat { .. });
        let ends = |stage: &Stage| streams && matches!(stage, Stage::Relax { .. });
        let together = |a: &Stage, b: &Stage| {
            let both = a.is_local() && b.is_local();
            both && !apart(a) && !apart(b) && !ends(a)
        };
        for part in stages.chunk_by(together) {
            match part {
                [Stage::Update(layers)] => self.update(net, layers.clone(), batch)?,
                [Stage::Gather { layers, .. }] if streams => self.gather(net, layers.clone(), batch)?,
                [stage @ Stage::Repeat { times, stages }] if streams || !stage.is_local() => {
                    (0..*times).try_for_each(|_| self.run(net, stages, batch))?;
                }
                _ if streams => self.run_streamed(net, part, batch)?,
                _ => self.run_resident(net, part, batch)?,
            }
        }
        Ok(())
    }

    /// Runs `stages` in lanes that hold all activations of their examples.
    fn run_resident(
        &mut self,
        net: &DecoupledNetwork<T>,
        stages: &[Stage],
        batch: &mut Batch<'_, '_, T>,
    ) -> Result<()> {
        // The age of a stored column counts from the update that follows the store, so that update is included already.
        let update = net.training.updates + u64::from(self.fit.recipe.schedule.ends_in_update());
        let pass = self.fit.pass(net, batch.report, update);
        let begins = std::mem::take(&mut batch.begins);
        let Batch { examples, ref mut columns, width, parts, .. } = *batch;
        // The same cut in examples, sums and columns, so lanes share nothing that they write.
        let row = ((&mut self.lanes[..parts], Chunks { slice: examples, width }), &mut self.sums[..parts]);
        let row = (row, Chunks { slice: &mut columns[..], width });
        for_row(row, |_, (((lane, examples), sums), columns)| {
            if begins {
                lane.load(&pass, examples, columns);
            }
            lane.run(&pass, stages, (examples, columns), sums)
        })
    }

    /// Runs `stages` in lanes that load the activations they need from the bank, and store those that move.
    fn run_streamed(
        &mut self,
        net: &DecoupledNetwork<T>,
        stages: &[Stage],
        batch: &mut Batch<'_, '_, T>,
    ) -> Result<()> {
        let objective = net.objective().with_factor(self.fit.factor);
        let Streams { lanes, tallies, .. } = &mut self.streams;
        if let (Some(method), Some(group)) = (self.fit.recipe.method, stages.iter().find_map(Stage::group)) {
            guarded(STEP, None, || method.activation.prepare(&objective, group, &mut self.fit.prepared))??;
        }
        // Here the store follows the last update, which the counter has already.
        let pass = self.fit.pass(net, batch.report, net.training.updates);
        let Batch { examples, ref mut columns, width, .. } = *batch;
        let row = (Chunks { slice: examples, width }, Chunks { slice: &mut columns[..], width });
        for_row((row, &mut tallies[..]), |_, ((examples, columns), tally)| {
            lanes.lend(|lane| {
                let lane = lane.get_or_insert_with(|| Lane::new(net, 0));
                // Any lane may serve any part of the batch, but tallies are added in the order of the parts.
                std::mem::swap(&mut lane.tally, tally);
                let outcome = lane.stream(&pass, stages, examples, columns);
                std::mem::swap(&mut lane.tally, tally);
                outcome
            })
        })
    }

    /// Sums the gradients or the moments of `layers` over a batch that streams.
    fn gather(&mut self, net: &DecoupledNetwork<T>, layers: Range<usize>, batch: &mut Batch<'_, '_, T>) -> Result<()> {
        let objective = net.objective().with_factor(self.fit.factor);
        for t in layers.filter(|&t| !net.params[t].is_empty() && !net.training.layers[t].frozen) {
            match self.fit.recipe.parameter.of(t).sum() {
                Sum::Gradient => self.gather_gradient(net, &objective, t, batch)?,
                Sum::Moments => self.gather_moments(net, &objective, t, batch)?,
            }
        }
        Ok(())
    }

    fn gather_gradient(
        &mut self,
        net: &DecoupledNetwork<T>,
        objective: &Objective<'_, T>,
        t: usize,
        batch: &mut Batch<'_, '_, T>,
    ) -> Result<()> {
        // Several lanes to a sum: each sum is as large as the layer.
        let width = batch.examples.len().div_ceil(MAX_LANES).max(batch.width);
        batch.parts = batch.examples.len().div_ceil(width);
        self.sums.resize_with(batch.parts.max(self.sums.len()), || vec![Vec::new(); net.depth()]);
        self.sums[..batch.parts].iter_mut().for_each(|sums| sums[t] = self.streams.used.pop().unwrap_or_default());
        let (data, lanes, columns) = (self.fit.data, &self.streams.lanes, &*batch.columns);
        let row = (Chunks { slice: batch.examples, width }, Chunks { slice: columns, width });
        for_row((row, &mut self.sums[..batch.parts]), |_, ((examples, columns), sums)| {
            let sum = &mut sums[t];
            sum.clear();
            sum.resize(net.params[t].len(), T::zero());
            lanes.lend(|lane| {
                let Lane { block, scratch: Scratch { gradient, .. }, .. } =
                    lane.get_or_insert_with(|| Lane::new(net, 0));
                gradient.resize(sum.len(), T::zero());
                for (examples, columns) in examples.chunks(batch.width).zip(columns.chunks(batch.width)) {
                    load(block, t..t + 2, (data, self.fit.recipe.method), (examples, columns));
                    objective.parameter_gradient(block, t, Reads::Stored, gradient)?;
                    linalg::axpy(T::one(), gradient, sum);
                }
                Ok(())
            })
        })
    }

    fn gather_moments(
        &mut self,
        net: &DecoupledNetwork<T>,
        objective: &Objective<'_, T>,
        t: usize,
        batch: &mut Batch<'_, '_, T>,
    ) -> Result<()> {
        let Some(regression) = net.layers[t].regression() else { return Ok(()) };
        let inputs = net.layers[t].input_dim();
        let rows = pre_activation_rows(regression, t)?;
        let len = objective.circuit.guarded("the regression", t, || regression.moments_len())?;
        batch.parts = 1;
        self.sums.resize_with(self.sums.len().max(1), || vec![Vec::new(); net.depth()]);
        let Streams { lanes, input, wanted, part, used, .. } = &mut self.streams;
        let sum = &mut self.sums[0][t];
        *sum = used.pop().unwrap_or_default();
        sum.clear();
        resize("the moments of a regression", sum, len, T::zero())?;
        // Each part is summed by itself, then added: short sums lose fewer digits in single precision.
        let width = batch.examples.len().div_ceil(MAX_LANES).max(WIDE);
        for (examples, columns) in batch.examples.chunks(width).zip(batch.columns.chunks(width)) {
            part.clear();
            resize("the moments of a regression", part, len, T::zero())?;
            for (examples, columns) in examples.chunks(WIDE).zip(columns.chunks(WIDE)) {
                let n = examples.len();
                input.resize(inputs * n, T::zero());
                resize("pre-activations", wanted, rows.saturating_mul(n), T::zero())?;
                let row = (Chunks { slice: examples, width: LANE }, Chunks { slice: columns, width: LANE });
                let out = (
                    Chunks { slice: &mut input[..], width: LANE * inputs },
                    Chunks { slice: &mut wanted[..], width: LANE * rows },
                );
                for_row((row, out), |_, ((examples, columns), (input, wanted))| {
                    lanes.lend(|lane| {
                        let Lane { block, .. } = lane.get_or_insert_with(|| Lane::new(net, 0));
                        load(block, t..t + 2, (self.fit.data, self.fit.recipe.method), (examples, columns));
                        // Lanes only collect columns here; the regression accumulates all of them in one call.
                        input.copy_from_slice(block.stored(t).as_slice());
                        objective.pre_activation(block, t, Reads::Stored, wanted)
                    })
                })?;
                let (input, wanted) = (MatRef::new(input, inputs, n), MatRef::new(wanted, rows, n));
                let weights = self.fit.data.weights_of(examples.iter().copied());
                let accumulate = || regression.accumulate(input, wanted, &weights, part);
                objective.circuit.guarded("the regression", t, accumulate)?;
            }
            linalg::axpy(T::one(), part, sum);
        }
        Ok(())
    }

    /// Moves the parameters of `layers` by the sums of all lanes: a barrier.
    fn update(&mut self, net: &mut DecoupledNetwork<T>, layers: Range<usize>, batch: &Batch<'_, '_, T>) -> Result<()> {
        let sums = &mut self.sums[..batch.parts];
        sum_lanes(sums, |t| !layers.contains(&t) || net.training.layers[t].frozen)?;
        // Layers without parameters have gathered nothing, and their update counts all the same.
        let sum = sums.first_mut().map_or_else(|| &mut [][..], |sum| &mut sum[..]);
        let (parameter, factor) = (&self.fit.recipe.parameter, self.fit.factor);
        self.accumulator.add(net, parameter, factor, layers.clone(), sum, batch.examples.len())?;
        if self.fit.recipe.streams() {
            let used = sums.iter_mut().flat_map(|sums| &mut sums[layers.clone()]);
            self.streams.used.extend(used.map(std::mem::take).filter(|sum| sum.capacity() > 0));
        }
        // Cached predictions are those of the old parameters.
        self.lanes.iter_mut().for_each(|lane| lane.block.parameters_moved());
        Ok(())
    }
}

impl<T: Scalar> Accumulator<T> {
    /// Takes a parameter step from the sums over a batch; if several batches share a step, adds them to `sum` until the last of these.
    fn add(
        &mut self,
        net: &mut DecoupledNetwork<T>,
        steps: &ParameterSteps<T>,
        factor: T,
        layers: Range<usize>,
        sums: &mut [Vec<T>],
        examples: usize,
    ) -> Result<()> {
        // The usual case needs no sum of its own: the batch's is the step's.
        if self.batches == 1 {
            return update(net, (steps, factor, &self.work), layers, sums, examples);
        }
        if self.sum.is_empty() {
            self.sum = net.params.iter().map(|params| vec![T::zero(); params.len()]).collect();
        }
        for_row((&mut self.sum[..], &*sums), |t, (sum, own)| {
            // The last step has overwritten the sum.
            if self.waiting == 0 {
                sum.fill(T::zero());
            }
            if net.training.layers[t].frozen { Ok(()) } else { reduce::add(sum, own) }
        })?;
        self.waiting += 1;
        // The mean is over all examples that wait: batches may differ in size.
        self.examples += examples;
        if self.waiting < self.batches { Ok(()) } else { self.step(net, steps, factor) }
    }

    /// Takes the step of the waiting batches, if any.
    fn step(&mut self, net: &mut DecoupledNetwork<T>, steps: &ParameterSteps<T>, factor: T) -> Result<()> {
        // Taken before the step: no batch waits if it fails.
        let (waiting, examples) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.examples));
        let layers = 0..net.depth();
        if waiting == 0 { Ok(()) } else { update(net, (steps, factor, &self.work), layers, &mut self.sum, examples) }
    }
}

/// Takes one parameter step of `layers` from the sums over the examples.
fn update<T: Scalar>(
    net: &mut DecoupledNetwork<T>,
    (steps, factor, work): (&ParameterSteps<T>, T, &Spare<Vec<f64>>),
    layers: Range<usize>,
    sums: &mut [Vec<T>],
    examples: usize,
) -> Result<()> {
    // Layer by layer, the topmost layer's step counts for the whole update.
    net.training.updates += u64::from(layers.end == net.depth());
    let DecoupledNetwork { training, layers: all, params, hidden, .. } = net;
    parameter_step::Update { steps, hidden, factor, work }.run(
        layers,
        all,
        &mut training.layers,
        params,
        sums,
        examples,
    )
}

impl<T: Scalar> Lane<T> {
    fn new(net: &DecoupledNetwork<T>, examples: usize) -> Self {
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
    fn load(&mut self, pass: &LaneInput<'_, T>, examples: &[usize], columns: &[Column<'_, T>]) {
        self.block.resize(examples.len());
        fill(&mut self.block, pass.data, examples.iter().copied());
        set_weights(&mut self.block, pass.data, examples);
        self.tally.begin(examples.len());
        if !pass.starts.is_empty() {
            let inputs = self.block.stored_mut(0).chunks_exact_mut(pass.starts.len());
            columns.iter().zip(inputs).for_each(|(column, input)| column.complete(pass.starts, input));
        }
    }

    /// Runs `stages` on the activations that the lane holds.
    fn run(
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
                Stage::Gather { chained, .. } => {
                    let by = (pass.parameter, pass.states, *chained);
                    parameter_step::gather(by, objective, &mut self.block, sums)?;
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
    fn stream(
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
        let source = (pass.data, pass.method);
        let mut loaded = false;
        for stage in stages {
            if matches!(stage, Stage::Measure(_) | Stage::Relax { .. })
                // One load serves all stages of the run: the window spans every layer that they read. Not before the first of them, because
                // a start still writes to the bank.
                && !std::mem::replace(&mut loaded, true)
                && let Some(window) = window(stages)
            {
                load(&mut self.block, window, source, (examples, columns));
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
                        load(&mut self.block, t - 1..t + 1, source, (examples, columns));
                        // The load has made the prediction stale, and the multiplier's step reads it.
                        pass.objective.evaluate(&mut self.block, t - 1, Reads::Stored)?;
                        self.ascend(pass, t)?;
                        self.put_back_multiplier(t, columns)?;
                    }
                }
                Stage::Store => {
                    let steps = pass.method.map_or(0, |method| method.activation.steps(pass.objective.circuit.depth()));
                    for column in &mut *columns {
                        column.count(column.steps().saturating_add(steps as u64), pass.update);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn forward(&mut self, pass: &LaneInput<'_, T>) -> Result<()> {
        pass.objective.forward(&mut self.block)?;
        let (top, block) = (self.block.layers(), &self.block);
        self.tally.forward_examples = block.examples();
        self.tally.forward_loss = pass.objective.forward_loss(block)?;
        if let Some(judge) = pass.judge {
            let outputs = block.prediction(top - 1, Reads::Forward);
            let weight = |i: usize| block.weights().get(i).map_or(1.0, |weight| weight.to_f64());
            self.tally.score = judge.sum(block.stored(top), outputs, weight)?;
        }
        Ok(())
    }

    /// Sets activations, multipliers and the state of the activations' optimizer to the method's start.
    fn start(&mut self, pass: &LaneInput<'_, T>, start: Start, columns: &[Column<'_, T>]) -> Result<()> {
        let forward = self.tally.forward_examples > 0;
        // A column never visited has no stored activations: it starts at the forward pass, whatever the method.
        if !forward && (pass.report || !columns.iter().all(Column::is_visited)) {
            self.forward(pass)?;
        }
        // A forward pass is there, needed or for the report: start from it, then overwrite visited columns below.
        if self.tally.forward_examples > 0 {
            self.block.store_forward();
        }
        self.memory.reset(&self.block, pass.method.map_or(0, |method| activation_step::slots(&*method.activation)))?;
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
        let of = |source: MatRef<'_, T>, out: &mut Vec<T>| {
            out.clear();
            examples.iter().for_each(|&example| out.extend_from_slice(source.column(example)));
        };
        let Scratch { input, output, cache, target, .. } = &mut self.scratch;
        of(pass.data.inputs(), input);
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
        of(pass.data.targets(), target);
        let (target, outputs) = (MatRef::new(target, target.len() / n, n), MatRef::new(input, input.len() / n, n));
        let weights = pass.data.weights_of(examples.iter().copied());
        self.tally.forward_examples = n;
        self.tally.forward_loss = pass.objective.loss_of(target, outputs, &weights)?;
        if let Some(judge) = pass.judge {
            self.tally.score = judge.sum(target, outputs, |i| pass.data.weight(examples[i]))?;
        }
        Ok(())
    }

    /// Takes an activation step of `group`.
    fn step(&mut self, pass: &LaneInput<'_, T>, group: &Group, begins: bool) -> Result<()> {
        let Some(method) = pass.method else { return Ok(()) };
        if begins {
            self.memory.count();
        }
        let Self { block, memory, .. } = self;
        guarded(STEP, None, || method.activation.step(&pass.objective, block, group, pass.prepared, memory))?
    }

    /// Adds the energy and the residuals of z_t for t in `terms`, every prediction taken from its stored input.
    fn measure(&mut self, objective: &Objective<'_, T>, terms: Range<usize>) -> Result<()> {
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
        let Some(multipliers) = pass.method.and_then(|method| method.coupling.multipliers) else { return Ok(()) };
        let out = &mut self.multipliers[t - 1];
        pass.objective.ascend(&self.block, t, pass.parameter.reads, multipliers, out);
        match linalg::all_finite(out) {
            true => Ok(()),
            false => Err(Error::Diverged { layer: t, epoch: 0, quantity: "a multiplier" }),
        }
    }

    /// Writes activations, multipliers and the state of the activations' optimizer to the bank, before the update that ends the visit.
    fn store(&mut self, pass: &LaneInput<'_, T>, examples: &[usize], columns: &mut [Column<'_, T>]) -> Result<()> {
        if !pass.starts.is_empty() {
            missing::step(&pass.objective, &mut self.block, pass.data, examples)?;
        }
        let Self { block, memory, multipliers, .. } = self;
        // Check all layers before the first write: a divergence leaves no column half written.
        (1..block.layers()).try_for_each(|t| check_finite(block, t))?;
        let examples = columns.len();
        let anchored = pass.method.is_some_and(|method| method.start == Start::Anchored);
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
        check_finite(&self.block, t)?;
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
        let (depth, multipliers) = (self.objective.circuit.depth(), self.method.and_then(|m| m.coupling.multipliers));
        (1..depth).filter(move |&t| multipliers.is_some_and(|multipliers| multipliers.reaches(t, depth)))
    }
}

/// Writes inputs and targets of `examples` to the block, up to its number of examples.
fn fill<T: Scalar>(block: &mut Block<T>, data: &Dataset<T>, examples: impl Iterator<Item = usize> + Clone) {
    for t in [0, block.layers()] {
        copy(block, t, data, examples.clone());
    }
}

/// Writes z_0 or z_T of `examples` to the block.
fn copy<T: Scalar>(block: &mut Block<T>, t: usize, data: &Dataset<T>, examples: impl Iterator<Item = usize>) {
    let source = if t == 0 { data.inputs() } else { data.targets() };
    for (column, example) in block.stored_mut(t).chunks_exact_mut(source.rows()).zip(examples) {
        column.copy_from_slice(source.column(example));
    }
}

/// Loads z_t and λ_t for t in `window` from data and bank, and drops all others.
fn load<T: Scalar>(
    block: &mut Block<T>,
    window: Range<usize>,
    (data, method): (&Dataset<T>, Option<&Method<T>>),
    (examples, columns): (&[usize], &[Column<'_, T>]),
) {
    let (depth, n) = (block.layers(), examples.len());
    // Only these layers take memory, however deep the network is.
    block.narrow(n, window.clone());
    set_weights(block, data, examples);
    let multipliers = method.and_then(|method| method.coupling.multipliers);
    for t in window {
        if t == 0 || t == depth {
            copy(block, t, data, examples.iter().copied());
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

fn check_finite<T: Scalar>(block: &Block<T>, t: usize) -> Result<()> {
    match linalg::all_finite(block.stored(t).as_slice()) {
        true => Ok(()),
        false => Err(Error::Diverged { layer: t, epoch: 0, quantity: "the stored input" }),
    }
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
