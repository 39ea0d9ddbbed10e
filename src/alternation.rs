//! Block coordinate descent on the bank itself: one layer at a time, over all examples of a batch.
//!
//! The other methods move all layers of a few examples; here the parts of a batch meet after every layer, because each block's
//! minimum wants what all of them share (a factor of WᵀW) or sums over all of them (Gram matrices).

use std::ops::Range;

use crate::activation_step::{Exact, Shared};
use crate::bank;
use crate::coupling::Multipliers;
use crate::method::Method;
use crate::parallel::{for_each, guarded};
use crate::parameter_step::{Solver, Timing};
use crate::start::Start;
use crate::visit::Tally;
use crate::{Dataset, DecoupledNetwork, Error, MatMut, MatRef, Metric, Result, Scalar, linalg};

/// Columns that are worked on at a time.
const CHUNK: usize = 256;
/// Every part holds sums of its own, so there are not more than this.
const MAX_PARTS: usize = 16;

/// One example's activations and multipliers, decoded for the visit.
#[derive(Debug)]
struct Column<'v, T> {
    activations: &'v mut [T],
    /// Empty when the method keeps none.
    multipliers: &'v mut [T],
    is_visited: bool,
}

/// A fixed share of a batch, worked on by one thread from end to end.
#[derive(Debug)]
struct Part<'v, 'b, T> {
    examples: &'v [usize],
    stored: &'v mut [bank::Column<'b, T>],
    columns: Vec<Column<'v, T>>,
    /// Moments or gradient of the layer at hand.
    sums: Vec<T>,
    tally: Tally,
}

/// What stays the same for a whole visit.
#[derive(Debug)]
struct Plan<'a, T: Scalar> {
    data: &'a Dataset<T>,
    /// First row of every hidden activation in a column of the bank.
    offsets: Vec<usize>,
    /// μ_t for t = 1 ..= T at index t − 1, the output's 1.
    penalties: Vec<T>,
    multipliers: Option<Multipliers>,
}

/// What every part reads while it works on a layer.
#[derive(Clone, Copy, Debug)]
struct Scene<'a, T: Scalar> {
    net: &'a DecoupledNetwork<T>,
    plan: &'a Plan<'a, T>,
}

/// Visits a batch: all blocks, as often as the method says.
///
/// # Errors
/// [`Error::Diverged`] (epoch 0), [`Error::NotPositiveDefinite`], [`Error::Panicked`]; some blocks may have moved then.
pub(crate) fn visit<T: Scalar>(
    net: &mut DecoupledNetwork<T>,
    (method, exact): (&Method<T>, Exact),
    (data, metric): (&Dataset<T>, Option<&Metric<T>>),
    factor: T,
    batch: &[usize],
    columns: &mut [bank::Column<'_, T>],
) -> Result<Tally> {
    let depth = net.depth();
    let plan = Plan::new(net, data, method.coupling.multipliers, factor);
    let rows = plan.offsets[depth - 1];
    let multiplier_rows = if plan.multipliers.is_some() { rows } else { 0 };
    let width = batch.len().div_ceil(MAX_PARTS).max(CHUNK);
    let mut columns = columns.chunks_mut(width);
    let mut decoded = vec![T::zero(); (rows + multiplier_rows) * batch.len()];
    let mut decoded = &mut decoded[..];
    let mut take = |len: usize| {
        let (front, rest) = std::mem::take(&mut decoded).split_at_mut(len);
        decoded = rest;
        front
    };
    let mut part = |examples| {
        let stored = columns.next().unwrap_or_default();
        let column = |stored: &bank::Column<'_, T>| Column {
            activations: take(rows),
            multipliers: take(multiplier_rows),
            is_visited: stored.is_visited(),
        };
        let columns = stored.iter().map(column).collect();
        Part { examples, stored, columns, sums: Vec::new(), tally: Tally::default() }
    };
    let mut parts: Vec<_> = batch.chunks(width).map(&mut part).collect();

    for_each(&mut parts, |part| {
        plan.decode(part);
        Ok(())
    })?;
    for_each(&mut parts, |part| plan.at(net).begin(method.start, metric, part))?;
    let every_step = method.parameter.timing == Timing::EveryStep;
    for sweep in 0..exact.steps {
        net.updates += u64::from(every_step);
        for t in (0..depth).rev() {
            if every_step {
                move_parameters(net, &plan, method, t, &mut parts)?;
            }
            if t > 0 {
                let scene = plan.at(net);
                let shared = scene.prepare(t, exact)?;
                for_each(&mut parts, |part| scene.minimise(t, &shared, sweep == 0, part))?;
            }
        }
    }
    if let Timing::AfterRelaxation { local_steps } = method.parameter.timing {
        for step in 0..local_steps {
            net.updates += 1;
            // A regression is done at once.
            let goes_on = |t: &usize| step == 0 || method.parameter.solver_of(*t) == Solver::Optimizer;
            (0..depth).rev().filter(goes_on).try_for_each(|t| move_parameters(net, &plan, method, t, &mut parts))?;
        }
    }
    for_each(&mut parts, |part| plan.at(net).end(net.updates, exact.steps, part))?;
    let mut tally = Tally::default();
    parts.iter().for_each(|part| tally.add(&part.tally));
    Ok(tally)
}

/// One step of θ_t from the stored z_t and z_{t+1}.
fn move_parameters<T: Scalar>(
    net: &mut DecoupledNetwork<T>,
    plan: &Plan<'_, T>,
    method: &Method<T>,
    t: usize,
    parts: &mut [Part<'_, '_, T>],
) -> Result<()> {
    if net.params[t].is_empty() {
        return Ok(());
    }
    let solver = method.parameter.solver_of(t);
    for_each(parts, |part| plan.at(net).look(t, solver, part))?;
    let trained = &mut net.trained[t];
    match solver {
        Solver::Ridge(ridge) => {
            trained.remember(t, ridge, parts.iter().map(|part| &part.sums))?;
            trained.regress(t, ridge, (&*net.layers[t], plan.penalties[t]), &mut net.params[t])
        }
        Solver::Optimizer => {
            let examples = parts.iter().map(|part| part.examples.len()).sum();
            let Some((first, others)) = parts.split_first_mut() else { return Ok(()) };
            let other = |part: usize| others.get(part).map(|part| &part.sums[..]);
            let number = net.updates - net.optimizers_since;
            trained.descend(t, &mut net.params[t], (&mut first.sums, other), (examples, number))
        }
    }
}

impl<'a, T: Scalar> Plan<'a, T> {
    fn new(net: &DecoupledNetwork<T>, data: &'a Dataset<T>, multipliers: Option<Multipliers>, factor: T) -> Self {
        let mut offsets = vec![0];
        for layer in &net.layers[1..] {
            offsets.push(offsets[offsets.len() - 1] + layer.input_dim());
        }
        Self { data, offsets, penalties: net.objective().with_factor(factor).penalties(), multipliers }
    }

    fn at<'n>(&'n self, net: &'n DecoupledNetwork<T>) -> Scene<'n, T> {
        Scene { net, plan: self }
    }

    /// Takes the part's examples out of the bank.
    fn decode(&self, part: &mut Part<'_, '_, T>) {
        for (column, stored) in part.columns.iter_mut().zip(&*part.stored) {
            for t in 1..self.offsets.len() {
                stored.activation(t, &mut column.activations[self.rows(t)]);
                if self.multipliers.is_some() {
                    stored.multiplier(t, &mut column.multipliers[self.rows(t)]);
                }
            }
        }
    }

    /// The rows of z_t in a column.
    fn rows(&self, t: usize) -> Range<usize> {
        self.offsets[t - 1]..self.offsets[t]
    }
}

impl<T: Scalar> Scene<'_, T> {
    /// z_t of these examples, `d_t × n`, for t = 0 ..= T.
    fn stored(&self, t: usize, examples: &[usize], columns: &[Column<'_, T>]) -> Vec<T> {
        if t > 0 && t < self.net.depth() {
            let rows = self.plan.rows(t);
            let columns = columns.iter().map(|column| &column.activations[rows.clone()]);
            return concat(columns, examples.len() * rows.len());
        }
        let source = if t == 0 { self.plan.data.inputs() } else { self.plan.data.targets() };
        concat(examples.iter().map(|&example| source.column(example)), examples.len() * source.rows())
    }

    /// out ← out + sign · λ_t/μ_t, where there are multipliers.
    fn shift(&self, t: usize, sign: T, columns: &[Column<'_, T>], out: &mut [T]) {
        if self.has_multiplier(t) {
            let (rows, scale) = (self.plan.rows(t), sign / self.plan.penalties[t - 1]);
            for (column, out) in columns.iter().zip(out.chunks_exact_mut(rows.len())) {
                linalg::axpy(scale, &column.multipliers[rows.clone()], out);
            }
        }
    }

    fn has_multiplier(&self, t: usize) -> bool {
        let hidden = t > 0 && t < self.net.depth();
        self.plan.multipliers.is_some_and(|multipliers| hidden && multipliers.reaches(t, self.net.depth()))
    }

    /// What layer t is asked to give: z_{t+1}, with the multiplier that pulls at it.
    fn target(&self, t: usize, examples: &[usize], columns: &[Column<'_, T>]) -> Vec<T> {
        let mut target = self.stored(t + 1, examples, columns);
        self.shift(t + 1, T::one(), columns, &mut target);
        target
    }

    /// f(z; θ_t), `d_{t+1} × n`, and what the layer keeps for its gradients.
    fn evaluate(&self, t: usize, z: &[T]) -> Result<(Vec<T>, Vec<T>)> {
        let layer = &self.net.layers[t];
        let examples = z.len() / layer.input_dim();
        let mut out = vec![T::zero(); layer.output_dim() * examples];
        let mut cache = vec![T::zero(); layer.cache_len(examples)];
        let input = MatRef::new(z, layer.input_dim(), examples);
        guarded("forward", t, || {
            let out = MatMut::new(&mut out, layer.output_dim(), examples);
            layer.forward(&self.net.params[t], input, out, &mut cache);
        })?;
        Ok((out, cache))
    }

    /// Starts a part where the method says, and takes stock: forward loss, score, the output's term of the energy.
    fn begin(&self, start: Start, metric: Option<&Metric<T>>, part: &mut Part<'_, '_, T>) -> Result<()> {
        let top = self.net.depth();
        let outputs = self.net.output_dim();
        let hidden = top - 1;
        let Part { examples, columns, tally, .. } = part;
        let count = examples.len();
        *tally = Tally { examples: count, looked_at: count, residuals: vec![(0.0, 0.0); hidden], ..Tally::default() };
        for (examples, columns) in examples.chunks(CHUNK).zip(columns.chunks_mut(CHUNK)) {
            let target = self.stored(top, examples, columns);
            let target = MatRef::new(&target, outputs, examples.len());
            let value = |out: &[T]| {
                let out = MatRef::new(out, outputs, examples.len());
                guarded("the loss", top, || self.net.output_loss.value(target, out).to_f64())
            };
            let mut z = self.stored(0, examples, columns);
            for t in 0..top {
                z = self.evaluate(t, &z)?.0;
                if t + 1 < top {
                    let rows = self.plan.rows(t + 1);
                    for (column, z) in columns.iter_mut().zip(z.chunks_exact(rows.len())) {
                        let own = &mut column.activations[rows.clone()];
                        if !column.is_visited || start == Start::Anchored {
                            own.copy_from_slice(z);
                        } else {
                            let mut blended = z.to_vec();
                            start.blend(own, &mut blended);
                            own.copy_from_slice(&blended);
                        }
                    }
                }
            }
            tally.forward_loss += value(&z)?;
            if let Some(metric) = metric {
                tally.score += metric.sum(top, target, MatRef::new(&z, outputs, examples.len()))?;
            }
            // The other terms of the energy are at hand where their activations are about to move.
            tally.energy += value(&self.evaluate(top - 1, &self.stored(top - 1, examples, columns))?.0)?;
        }
        Ok(())
    }

    fn prepare(&self, t: usize, exact: Exact) -> Result<Shared<T>> {
        let (layer, weights) = (&*self.net.layers[t], (self.plan.penalties[t - 1], self.plan.penalties[t]));
        let shared = guarded("prepare", t, || exact.prepare(layer, &self.net.params[t], weights))?;
        shared.map_err(|error| error.at_layer(t))
    }

    /// z_t ← the minimum of its block. With `look` its term is measured before: in the first sweep all below is still as the
    /// visit found it.
    fn minimise(&self, t: usize, shared: &Shared<T>, look: bool, part: &mut Part<'_, '_, T>) -> Result<()> {
        let layer = &*self.net.layers[t];
        let rows = self.plan.rows(t);
        for (examples, columns) in part.examples.chunks(CHUNK).zip(part.columns.chunks_mut(CHUNK)) {
            let n = examples.len();
            let (mut z, _) = self.evaluate(t - 1, &self.stored(t - 1, examples, columns))?;
            let (old, target) = (self.stored(t, examples, columns), self.target(t, examples, columns));
            if look {
                self.measure(t, &old, &z, columns, &mut part.tally);
            }
            self.shift(t, -T::one(), columns, &mut z);
            guarded("solve", t, || {
                let (old, target) = (MatRef::new(&old, rows.len(), n), MatRef::new(&target, layer.output_dim(), n));
                shared.minimise(layer, &self.net.params[t], old, target, &mut z);
            })?;
            if !linalg::all_finite(&z) {
                return Err(Error::Diverged { layer: t, epoch: 0, quantity: "the stored input" });
            }
            for (column, z) in columns.iter_mut().zip(z.chunks_exact(rows.len())) {
                column.activations[rows.clone()].copy_from_slice(z);
            }
        }
        Ok(())
    }

    /// Adds the term of z_t, from its prediction.
    fn measure(&self, t: usize, z: &[T], prediction: &[T], columns: &[Column<'_, T>], tally: &mut Tally) {
        let squares = linalg::sum_zip(z, prediction, |z, p| (z - p) * (z - p)).to_f64();
        tally.energy += 0.5 * self.plan.penalties[t - 1].to_f64() * squares;
        let (residual, size) = &mut tally.residuals[t - 1];
        *residual += squares;
        *size += linalg::norm_squared(z).to_f64();
        if self.has_multiplier(t) {
            let rows = self.plan.rows(t);
            let examples = z.chunks_exact(rows.len()).zip(prediction.chunks_exact(rows.len()));
            for (column, (z, prediction)) in columns.iter().zip(examples) {
                let multiplier = &column.multipliers[rows.clone()];
                let along = |values| linalg::sum_zip(multiplier, values, |m, v| m * v).to_f64();
                tally.energy += along(z) - along(prediction);
            }
        }
    }

    /// What a part says about θ_t.
    fn look(&self, t: usize, solver: Solver, part: &mut Part<'_, '_, T>) -> Result<()> {
        let (layer, params) = (&self.net.layers[t], &self.net.params[t]);
        let (inputs, outputs) = (layer.input_dim(), layer.output_dim());
        let Part { examples, columns, sums, .. } = part;
        let regression = layer.regression();
        let len = match (solver, regression) {
            (Solver::Ridge(_), Some(layer)) => layer.moments_len(),
            _ => params.len(),
        };
        sums.clear();
        sums.resize(len, T::zero());
        for (examples, columns) in examples.chunks(CHUNK).zip(columns.chunks(CHUNK)) {
            let n = examples.len();
            let (z, target) = (self.stored(t, examples, columns), self.target(t, examples, columns));
            let (input, target) = (MatRef::new(&z, inputs, n), MatRef::new(&target, outputs, n));
            match (solver, regression) {
                (Solver::Ridge(_), Some(layer)) => guarded("the regression", t, || {
                    let rows = layer.pre_activation_dim();
                    let mut wanted = vec![T::zero(); rows * n];
                    layer.pre_activation(params, input, target, MatMut::new(&mut wanted, rows, n))?;
                    layer.accumulate(input, MatRef::new(&wanted, rows, n), sums);
                    Ok(())
                })??,
                _ => {
                    let (mut cotangent, mut cache) = self.evaluate(t, &z)?;
                    let pairs = cotangent.iter_mut().zip(target.as_slice());
                    pairs.for_each(|(c, &target)| *c = self.plan.penalties[t] * (*c - target));
                    let mut own = vec![T::zero(); params.len()];
                    guarded("param_gradient", t, || {
                        let cotangent = MatRef::new(&cotangent, outputs, n);
                        layer.param_gradient(params, input, cotangent, &mut own, &mut cache);
                    })?;
                    linalg::axpy(T::one(), &own, sums);
                }
            }
        }
        Ok(())
    }

    /// The multipliers follow, and all goes back into the bank.
    fn end(&self, update: u64, steps: usize, part: &mut Part<'_, '_, T>) -> Result<()> {
        for (examples, columns) in part.examples.chunks(CHUNK).zip(part.columns.chunks_mut(CHUNK)) {
            for t in (1..self.net.depth()).filter(|&t| self.has_multiplier(t)) {
                let Some(multipliers) = self.plan.multipliers else { continue };
                let (prediction, _) = self.evaluate(t - 1, &self.stored(t - 1, examples, columns))?;
                let rows = self.plan.rows(t);
                for (column, prediction) in columns.iter_mut().zip(prediction.chunks_exact(rows.len())) {
                    let old = column.multipliers[rows.clone()].to_vec();
                    let (z, out) = (&column.activations[rows.clone()], &mut column.multipliers[rows.clone()]);
                    multipliers.ascend(self.plan.penalties[t - 1], &old, z, prediction, out);
                    if !linalg::all_finite(out) {
                        return Err(Error::Diverged { layer: t, epoch: 0, quantity: "a multiplier" });
                    }
                }
            }
        }
        for (column, stored) in part.columns.iter().zip(&mut *part.stored) {
            for t in 1..self.net.depth() {
                stored.set_activation(t, &column.activations[self.plan.rows(t)])?;
                if self.has_multiplier(t) {
                    stored.set_multiplier(t, &column.multipliers[self.plan.rows(t)])?;
                }
            }
            stored.count(stored.steps() + steps as u64, update);
        }
        Ok(())
    }
}

/// All columns, one after the other; `len` entries.
fn concat<'c, T: Scalar>(columns: impl Iterator<Item = &'c [T]>, len: usize) -> Vec<T> {
    let mut all = Vec::with_capacity(len);
    columns.for_each(|column| all.extend_from_slice(column));
    all
}
