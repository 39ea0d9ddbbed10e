//! The engine: runs the stages of a visit over a batch of examples.
//!
//! A batch is cut into lanes. Between two updates every lane runs independently; an update adds the lanes' sums and
//! moves the parameters. How a batch is cut depends on its size alone, so results do not depend on the number of threads.
//!
//! A lane usually holds all activations of its examples from the first stage to the last. For steps that read one layer at a time
//! ([`streams`](crate::ActivationStep::streams)) it loads from the bank only the activations that a stage reads, and stores those that
//! moved: a full batch is never decoded.

use std::ops::Range;
use std::sync::Arc;

use lane::{Lane, LaneInput, STEP, Scratch, copy, load};

use crate::bank::{Column, fill_gaps};
use crate::data::Augmentation;
use crate::layer::pre_activation_rows;
use crate::machine::linalg;
use crate::machine::linalg::matrix::resize;
use crate::machine::parallel::{Chunks, Spare, for_row, guarded};
use crate::method::Method;
use crate::method::activation_step::Prepared;
use crate::method::block::{Block, Reads};
use crate::method::energy::Objective;
use crate::method::parameter_step::{ParameterSteps, Sum, Timing};
use crate::method::schedule::{Schedule, Stage};
use crate::metrics::Judge;
use crate::train::reduce::{self, sum_lanes};
use crate::train::tally::Tally;
use crate::{Dataset, DecoupledNetwork, MatRef, Result, Scalar};

mod flight;
mod lane;

use flight::Flight;

/// Runs the visits of a fit.
#[derive(Debug)]
pub(crate) struct Engine<'a, T: Scalar> {
    fit: FitState<'a, T>,
    lanes: Vec<Lane<T>>,
    /// `sums[lane][t]`: the gradient or the moments of layer t. A batch that streams has parts instead of lanes.
    sums: Vec<Vec<Vec<T>>>,
    /// The first layer's sum, where later steps of the visit reuse it.
    first_sum: Vec<T>,
    streams: Streams<T>,
    /// Visits of this epoch.
    visits: usize,
    /// The examples that estimate the curvature.
    sample: Option<Block<T>>,
    accumulator: Accumulator<T>,
    flight: Option<Flight<T>>,
}

/// Examples of an epoch that are there together, with their columns: none for backpropagation.
#[derive(Debug)]
pub(crate) struct Share<'s, 'b, T> {
    pub(crate) examples: &'s [usize],
    pub(crate) columns: &'s mut [Column<'b, T>],
}

/// The parts of a fit that stay the same while lanes run.
#[derive(Debug)]
struct FitState<'a, T: Scalar> {
    /// None for backpropagation, which has no activations of its own.
    method: Option<&'a Method<T>>,
    parameter: ParameterSteps<T>,
    /// Shared, because a visit that reads its stages changes the engine.
    schedule: Arc<Schedule>,
    data: &'a Dataset<T>,
    /// How inputs are changed.
    augmentation: Option<Augmentation>,
    /// The fit's seed and the number of this epoch, from which the draws of a visit follow.
    seed: u64,
    epoch: usize,
    judge: Option<Judge<'a, T>>,
    /// Start values of missing inputs, one per row; empty if none is missing.
    starts: Vec<T>,
    prepared: Prepared<T>,
    /// The factor on the penalties.
    factor: T,
    /// That of observers on the learning rates, in this epoch.
    learning_rate_factor: f64,
    /// Scratch of closed forms.
    work: Spare<Vec<f64>>,
}

impl<T: Scalar> FitState<'_, T> {
    fn streams(&self) -> bool {
        self.method.is_some_and(|method| method.activation.streams())
    }

    /// Lends lanes what they read, on the way to the parameter update `update`.
    fn pass<'p>(&'p self, net: &'p DecoupledNetwork<T>, report: bool, update: u64) -> LaneInput<'p, T> {
        let objective = net.objective().with_factor(self.factor);
        LaneInput { objective, fit: self, states: &net.training.layers, report, update }
    }

    /// Writes the inputs of `examples` as the visits of this epoch see them; no visit reads them elsewhere.
    fn read_inputs(&self, examples: &[usize], out: &mut [T]) {
        let inputs = self.data.inputs();
        let Some(augmentation) = self.augmentation else {
            return copy(inputs, examples.iter().copied(), out);
        };
        for (out, &example) in out.chunks_exact_mut(inputs.rows()).zip(examples) {
            augmentation.write((self.seed, self.epoch), example, inputs.column(example), out);
        }
    }

    /// The barrier: moves the parameters of `layers` by their sums over the examples, one each, which it overwrites.
    fn update(
        &self,
        net: &mut DecoupledNetwork<T>,
        layers: Range<usize>,
        sums: &mut [Vec<T>],
        examples: usize,
    ) -> Result<()> {
        // Layer by layer, the topmost layer's step counts for the whole update.
        net.training.updates += u64::from(layers.end == net.depth());
        // Layers without parameters may have gathered nothing.
        if sums.is_empty() {
            return Ok(());
        }
        let DecoupledNetwork { training, layers: all, params, hidden, .. } = net;
        // Layers move in parallel: each has its own optimizer, parameters and sum.
        let own = ((&mut training.layers[layers.clone()], &mut params[layers.clone()]), sums);
        for_row(own, |i, ((state, params), sum)| {
            let t = layers.start + i;
            if state.frozen || params.is_empty() {
                return Ok(());
            }
            // The output's term has no penalty, so its factor is 1.
            let penalty = hidden.get(t).map_or(T::one(), |hidden| hidden.penalty * self.factor);
            let term = (t, &*all[t], penalty);
            self.work.lend(|work| self.parameter.update(term, (state, params), (sum, examples), work))
        })
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
    /// The layers whose sums are those of the last gather.
    gathered: Range<usize>,
    /// Whether its lanes are still to be loaded.
    begins: bool,
    /// Whether the report wants a forward pass.
    report: bool,
}

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
        net: &DecoupledNetwork<T>,
        method: Option<&'a Method<T>>,
        (data, augmentation, seed): (&'a Dataset<T>, Option<Augmentation>, u64),
        judge: Option<Judge<'a, T>>,
        (batch, batches, accumulate): (usize, usize, usize),
    ) -> Result<Self> {
        let accumulator = Accumulator { batches: accumulate, waiting: 0, examples: 0, sum: Vec::new() };
        let starts = if data.missing() > 0 { data.known_means()? } else { Vec::new() };
        let depth = net.depth();
        let fit = FitState {
            method,
            parameter: method.map_or_else(|| ParameterSteps::new(Reads::Forward), |method| method.parameter.clone()),
            schedule: Arc::new(method.map_or_else(|| Schedule::backprop(depth), |method| method.schedule(depth))),
            data,
            augmentation,
            seed,
            epoch: 0,
            judge,
            starts,
            prepared: Prepared::default(),
            factor: T::one(),
            learning_rate_factor: 1.0,
            work: Spare::default(),
        };
        Ok(Self {
            flight: fit.schedule.flight_plan().map(|plan| Flight::new(net, plan, batch, batches)),
            fit,
            lanes: Vec::new(),
            sums: Vec::new(),
            first_sum: Vec::new(),
            streams: Streams::default(),
            visits: 0,
            sample: None,
            accumulator,
        })
    }

    /// Begins the epoch of this number, with these factors on the penalties and on the learning rates.
    pub(crate) fn begin_epoch(&mut self, epoch: usize, factor: f64, learning_rate_factor: f64) {
        self.visits = 0;
        self.fit.epoch = epoch;
        self.fit.factor = T::of(factor);
        self.fit.learning_rate_factor = learning_rate_factor;
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

    /// Visits the examples of a batch of the share and moves activations and parameters; adds its report to `tally`. Without a batch, at
    /// the end of a share, waits for what is in flight. Returns the number of batches that are done: others than this one, and none for some
    /// time, if they are in flight.
    ///
    /// # Errors
    /// [`Error::Panicked`], [`Error::NotPositiveDefinite`], or [`Error::Diverged`] (epoch 0) before a number that is not finite reaches
    /// parameters or bank. Some of them may have moved by then.
    pub(crate) fn visit(
        &mut self,
        net: &mut DecoupledNetwork<T>,
        share: &mut Share<'_, '_, T>,
        batch: Option<Range<usize>>,
        tally: &mut Tally,
    ) -> Result<usize> {
        let Some(batch) = batch else {
            return self.flight.as_mut().map_or(Ok(0), |flight| flight.advance(&self.fit, net, share, None, tally));
        };
        let examples = &share.examples[batch.clone()];
        let columns = share.columns.get_mut(batch.clone()).unwrap_or_default();
        // Before the visit stamps the columns anew.
        let pending = self.flight.as_ref().map_or(0, Flight::pending_updates);
        tally.count_updates_since(net.training.updates + pending, columns);
        self.adapt_step(net, examples.len())?;
        if let Some(flight) = &mut self.flight {
            self.visits += 1;
            return flight.advance(&self.fit, net, share, Some(batch), tally);
        }
        // The first visit of an epoch always reports, so every epoch has a loss.
        let report = self.visits.is_multiple_of(REPORT_EVERY);
        self.visits += 1;
        let width = self.cut(net, examples.len());
        // Lanes that stream have no sums of their own: each gather sets the number of its parts.
        let parts = if self.fit.streams() { 0 } else { examples.len().div_ceil(width) };
        let mut batch = Batch { examples, columns, width, parts, gathered: 0..0, begins: true, report };
        let schedule = Arc::clone(&self.fit.schedule);
        self.run(net, schedule.stages(), &mut batch)?;
        match self.fit.streams() {
            true => self.streams.tallies.iter().for_each(|own| tally.add(own)),
            // A smaller batch leaves the last lanes without examples.
            false => self.lanes[..parts].iter().for_each(|lane| tally.add(&lane.tally)),
        }
        Ok(1)
    }

    /// Ends an epoch: takes the step of batches that still wait for others.
    ///
    /// # Errors
    /// As [`visit`](Self::visit).
    pub(crate) fn end_epoch(&mut self, net: &mut DecoupledNetwork<T>) -> Result<()> {
        self.accumulator.step(net, &self.fit)
    }

    /// Adapts the activation step, which sets the rates of sweeps, to the curvature or not: at the first visit of an epoch, and every
    /// [`CURVATURE_EVERY`]-th.
    fn adapt_step(&mut self, net: &DecoupledNetwork<T>, batch: usize) -> Result<()> {
        // Batches that share a step count as one: the rate changes only between parameter steps.
        let batches = self.accumulator.batches;
        if let Some(method) = self.fit.method
            && !self.fit.streams()
            && self.visits.is_multiple_of(CURVATURE_EVERY.saturating_mul(batches))
        {
            let batch = batch.saturating_mul(batches).min(self.fit.data.len());
            let examples = batch.div_ceil(CURVATURE_SHARE).min(CURVATURE_SAMPLE).min(self.fit.data.len());
            let block = self.sample.get_or_insert_with(|| Block::new(&net.layers, examples));
            block.resize(examples);
            // Spread evenly: data sorted by class still give a mixed sample. As they are in the data, and without noise: both would be others
            // in every epoch.
            let (data, top) = (self.fit.data, block.layers());
            let sample = (0..examples).map(|i| i * data.len() / examples);
            copy(data.inputs(), sample.clone(), block.stored_mut(0));
            copy(data.targets(), sample, block.stored_mut(top));
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
        if self.fit.streams() {
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
        let streams = self.fit.streams();
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
        let update = net.training.updates + u64::from(self.fit.schedule.ends_in_update());
        let pass = self.fit.pass(net, batch.report, update);
        let begins = std::mem::take(&mut batch.begins);
        if let Some(Stage::Gather { layers, .. }) = stages.iter().find(|stage| matches!(stage, Stage::Gather { .. })) {
            batch.gathered = layers.clone();
        }
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
        if let (Some(method), Some(group)) = (self.fit.method, stages.iter().find_map(Stage::group)) {
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
            match self.fit.parameter.of(t).sum() {
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
        let (fit, lanes, columns) = (&self.fit, &self.streams.lanes, &*batch.columns);
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
                    load(block, t..t + 2, fit, (examples, columns));
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
                        load(block, t..t + 2, &self.fit, (examples, columns));
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
        let streams = self.fit.streams();
        let sums = &mut self.sums[..batch.parts];
        // The first layer steps again along its last sum where the stages gather it only once.
        let again = |t: usize| t < batch.gathered.start;
        sum_lanes(sums, |t| !layers.contains(&t) || again(t) || net.training.layers[t].frozen)?;
        if matches!(self.fit.parameter.timing, Timing::FirstGradientOnce { local_steps } if local_steps > 1) && !streams
        {
            // A step may overwrite its sum.
            match again(0) {
                false => self.first_sum.clone_from(&sums[0][0]),
                true => sums[0][0].clone_from(&self.first_sum),
            }
        }
        // Layers without parameters have gathered nothing, and their update counts all the same.
        let sum = sums.first_mut().map_or_else(|| &mut [][..], |sum| &mut sum[..]);
        self.accumulator.add(net, &self.fit, layers.clone(), sum, batch.examples.len())?;
        if self.fit.streams() {
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
        fit: &FitState<'_, T>,
        layers: Range<usize>,
        sums: &mut [Vec<T>],
        examples: usize,
    ) -> Result<()> {
        // The usual case needs no sum of its own: the batch's is the step's.
        if self.batches == 1 {
            return fit.update(net, layers.clone(), sums.get_mut(layers).unwrap_or_default(), examples);
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
        if self.waiting < self.batches { Ok(()) } else { self.step(net, fit) }
    }

    /// Takes the step of the waiting batches, if any.
    fn step(&mut self, net: &mut DecoupledNetwork<T>, fit: &FitState<'_, T>) -> Result<()> {
        // Taken before the step: no batch waits if it fails.
        let (waiting, examples) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.examples));
        if waiting == 0 { Ok(()) } else { fit.update(net, 0..net.depth(), &mut self.sum, examples) }
    }
}
