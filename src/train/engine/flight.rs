//! Micro-batches in flight: every stage of layers works at every tick, each on another micro-batch.
//!
//! ```text
//! tick n     stage s receives micro-batch n − 2S + 1 + s from above        set targets, add gradients, hand down
//!            the last of a batch has come back to stage s                  its layers step
//!            stage s receives micro-batch n − s from below                 predict, and hand up
//! ```
//!
//! No two stages ever have the same micro-batch, so they run in parallel.

use std::mem::swap;
use std::ops::Range;

use super::lane::{Lane, LaneInput};
use super::{FitState, Share};
use crate::bank::Column;
use crate::machine::parallel::{Chunks, for_row};
use crate::method::block::Group;
use crate::method::circuit::Circuit;
use crate::method::flight_plan::FlightPlan;
use crate::train::reduce::{self, PIECE};
use crate::train::tally::Tally;
use crate::{DecoupledNetwork, Result, Scalar};

/// The state of all stages.
#[derive(Debug)]
pub(super) struct Flight<T> {
    plan: FlightPlan,
    stages: Vec<Range<usize>>,
    /// Examples of a full batch, and batches of an epoch.
    batch: usize,
    batches: usize,
    /// The micro-batch that each stage has on its way up, and on its way down.
    up: Vec<Slot<T>>,
    down: Vec<Slot<T>>,
    gathered: Vec<Gathered<T>>,
    /// The parameters that layers predict with.
    ahead: Vec<Vec<T>>,
    /// Batches with micro-batches in flight, and batches whose step the output layer has not taken yet.
    batches_in_flight: usize,
    pending_updates: u64,
}

/// Room for a micro-batch.
#[derive(Debug)]
struct Slot<T> {
    lane: Lane<T>,
    /// None for an empty slot.
    part: Option<Part>,
}

/// A micro-batch: a part of a batch.
#[derive(Debug)]
struct Part {
    /// Its columns in the share.
    columns: Range<usize>,
    /// Whether it is the first of its batch.
    begins: bool,
    /// The examples of the batch, if it is the last of it.
    completes: Option<usize>,
    /// The parameter update that the batch leads to.
    update: u64,
}

/// The sums of a stage over a batch, one for each of its layers.
#[derive(Debug)]
struct Gathered<T> {
    sums: Vec<Vec<T>>,
    /// The gradient of one layer over one micro-batch.
    own: Vec<T>,
}

impl<T: Scalar> Flight<T> {
    /// Makes the stages for batches of `batch` examples, `batches` of them in an epoch.
    pub(super) fn new(net: &DecoupledNetwork<T>, plan: &FlightPlan, batch: usize, batches: usize) -> Self {
        let plan = plan.for_batch(batch);
        let stages = plan.stages();
        let slots = || stages.iter().map(|_| Slot { lane: Lane::new(net, 0), part: None }).collect();
        let sums =
            |layers: &Range<usize>| net.params[layers.clone()].iter().map(|p| vec![T::zero(); p.len()]).collect();
        let gathered = stages.iter().map(|layers| Gathered { sums: sums(layers), own: Vec::new() });
        Self {
            up: slots(),
            down: slots(),
            gathered: gathered.collect(),
            ahead: Vec::new(),
            batches_in_flight: 0,
            pending_updates: 0,
            plan,
            stages,
            batch,
            batches,
        }
    }

    /// Returns the number of batches in flight whose update is still to come.
    pub(super) fn pending_updates(&self) -> u64 {
        self.pending_updates
    }

    /// Feeds the batch `batch` of a share to the lowest stage, one micro-batch a tick; without one, takes ticks until no micro-batch is in
    /// flight. Returns the number of batches completed meanwhile.
    pub(super) fn advance(
        &mut self,
        fit: &FitState<'_, T>,
        net: &mut DecoupledNetwork<T>,
        share: &mut Share<'_, '_, T>,
        batch: Option<Range<usize>>,
        tally: &mut Tally,
    ) -> Result<usize> {
        let before = self.batches_in_flight;
        let Some(batch) = batch else {
            while self.batches_in_flight > 0 {
                self.tick(fit, net, share, tally, None)?;
            }
            return Ok(before);
        };
        if before == 0 {
            // Nothing is late yet.
            self.ahead.clone_from(&net.params);
        }
        let (end, examples) = (batch.end, batch.len());
        self.batches_in_flight += 1;
        self.pending_updates += 1;
        let update = net.training.updates + self.pending_updates;
        // As many parts, of about the same size.
        let width = examples.div_ceil(examples.div_ceil(self.plan.micro_batch()));
        for from in batch.clone().step_by(width) {
            let columns = from..end.min(from + width);
            let completes = (columns.end == end).then_some(examples);
            let part = Part { begins: from == batch.start, completes, update, columns };
            self.tick(fit, net, share, tally, Some(part))?;
        }
        Ok(before + 1 - self.batches_in_flight)
    }

    fn tick(
        &mut self,
        fit: &FitState<'_, T>,
        net: &mut DecoupledNetwork<T>,
        share: &mut Share<'_, '_, T>,
        tally: &mut Tally,
        part: Option<Part>,
    ) -> Result<()> {
        let stages = &self.stages;
        let update = self.down[0].part.as_ref().map_or(0, |part| part.update);
        // Down first: a step that is taken now counts for the prediction of the same tick.
        let pass = fit.pass(net, false, update);
        for_row((&mut self.down[..], &mut self.gathered[..]), |s, (slot, gathered)| match &slot.part {
            Some(part) => slot.lane.backward_stage(&pass, stages[s].clone(), part.begins, gathered),
            None => Ok(()),
        })?;
        // Before the steps, as in every visit.
        let Slot { lane, part: back } = &mut self.down[0];
        if let Some(Part { columns, .. }) = back {
            if !fit.starts.is_empty() {
                // Missing inputs take their step by the parameters as they are, and not as they were expected to be.
                lane.block.parameters_moved();
            }
            lane.store(&pass, &share.examples[columns.clone()], &mut share.columns[columns.clone()])?;
            tally.add(&lane.tally);
        }
        for s in (0..stages.len()).rev() {
            if let Some(Part { completes: Some(examples), update, .. }) = self.down[s].part {
                self.step(fit, net, s, (examples, update))?;
            }
        }
        let back = self.down[0].part.take();
        self.batches_in_flight -= usize::from(back.is_some_and(|part| part.completes.is_some()));
        let mut pass = fit.pass(net, false, update);
        if let Some(part) = &part {
            let columns = part.columns.clone();
            self.up[0].lane.load_first(&pass, &share.examples[columns.clone()], &share.columns[columns])?;
        }
        self.up[0].part = part;
        pass.objective.circuit = Circuit::new(&net.layers, &self.ahead);
        let stages = &self.stages;
        for_row(&mut self.up[..], |s, slot| match slot.part {
            Some(_) => slot.lane.forward_stage(&pass, stages[s].clone()),
            None => Ok(()),
        })?;
        // One stage further: the highest turns round, and the one that has come back makes room for the next.
        let top = stages.len() - 1;
        self.down.rotate_left(1);
        swap(&mut self.down[top], &mut self.up[top]);
        self.up.rotate_right(1);
        Ok(())
    }

    /// Moves the parameters of stage s by the sums over a batch, and those that it predicts with.
    fn step(
        &mut self,
        fit: &FitState<'_, T>,
        net: &mut DecoupledNetwork<T>,
        s: usize,
        (examples, number): (usize, u64),
    ) -> Result<()> {
        let layers = self.stages[s].clone();
        let ahead = &mut self.ahead[layers.clone()];
        for (ahead, params) in ahead.iter_mut().zip(&net.params[layers.clone()]) {
            ahead.copy_from_slice(params);
        }
        let rate = fit.learning_rate_factor * self.plan.learning_rate_factor(number, self.batches);
        net.training.layers[layers.clone()].iter_mut().for_each(|state| state.rate = T::of(rate));
        fit.update(net, layers.clone(), &mut self.gathered[s].sums, examples)?;
        self.pending_updates -= u64::from(s + 1 == self.stages.len());
        let delay = T::of(self.plan.delay(s, self.batch));
        for_row((ahead, &net.params[layers]), |_, (ahead, params)| {
            let pieces = (Chunks { slice: &mut ahead[..], width: PIECE }, Chunks { slice: &params[..], width: PIECE });
            for_row(pieces, |_, (ahead, params)| {
                for (ahead, &now) in ahead.iter_mut().zip(params) {
                    // It still holds the parameters before the step.
                    *ahead = now + delay * (now - *ahead);
                }
                Ok(())
            })
        })
    }
}

impl<T: Scalar> Lane<T> {
    /// Loads `examples`, before the lowest stage.
    fn load_first(&mut self, pass: &LaneInput<'_, T>, examples: &[usize], columns: &[Column<'_, T>]) -> Result<()> {
        self.load(pass, examples, columns);
        self.block.begin_forward();
        self.reset_memory(pass)
    }

    /// Predicts with these layers, stores the predictions, and measures their terms.
    fn forward_stage(&mut self, pass: &LaneInput<'_, T>, layers: Range<usize>) -> Result<()> {
        let depth = self.block.layers();
        pass.objective.forward_through(&mut self.block, layers.clone())?;
        self.block.store_forward(layers.start + 1..depth.min(layers.end + 1));
        if layers.end == depth {
            self.report_forward(pass)?;
        }
        self.measure(&pass.objective, layers.start + 1..layers.end + 1)
    }

    /// Adds the gradients of these layers, and moves the activations that they read: the targets of the layers below.
    fn backward_stage(
        &mut self,
        pass: &LaneInput<'_, T>,
        layers: Range<usize>,
        begins: bool,
        Gathered { sums, own }: &mut Gathered<T>,
    ) -> Result<()> {
        for t in layers.clone().rev() {
            let sum = &mut sums[t - layers.start];
            if !sum.is_empty() && !pass.states[t].frozen {
                let reads = pass.fit.parameter.reads;
                if begins {
                    pass.objective.parameter_gradient(&mut self.block, t, reads, sum)?;
                } else {
                    own.resize(sum.len(), T::zero());
                    pass.objective.parameter_gradient(&mut self.block, t, reads, own)?;
                    reduce::add(sum, own)?;
                }
            }
            if t > 0 {
                self.step(pass, &Group::one(t), t + 1 == self.block.layers())?;
            }
        }
        Ok(())
    }
}
