//! Block coordinate descent on the bank itself: one layer at a time, over all examples of a batch.
//!
//! The other methods move all layers of a few examples; here the parts of a batch meet after every layer, because each block's
//! minimum wants what all of them share (a factor of WᵀW) or sums over all of them (Gram matrices). What is worked on is taken
//! from the bank a few columns at a time and put back at once, so that no batch is held twice.

use crate::activation_step::{Exact, Shared};
use crate::bank::Column;
use crate::coupling::Multipliers;
use crate::energy::{OUTPUT_LOSS, weighted_residual};
use crate::layer::{CACHE, Regression, pre_activation_rows};
use crate::matrix::resize;
use crate::method::Method;
use crate::metrics::Judge;
use crate::parallel::{Chunks, Spare, for_row, guarded};
use crate::parameter_step::{Ridge, Solver, Timing, fade, regress};
use crate::start::Start;
use crate::tally::Tally;
use crate::{Dataset, DecoupledNetwork, Error, Layer, MatMut, MatRef, Result, Scalar, linalg, loss};

/// Columns that are worked on at a time: few for a small batch, so that every thread has some.
const FEWEST: usize = 64;
const MOST: usize = 256;
/// Columns whose moments are taken at a time.
const WIDE: usize = 512;
/// A sum over a batch is taken in so many parts at most: a long one in single precision loses digits.
const MAX_PARTS: usize = 16;

/// What visits leave to the next: buffers.
#[derive(Debug, Default)]
pub(crate) struct Alternation<T> {
    buffers: Spare<Buffers<T>>,
    /// One for all columns that are worked on at a time.
    tallies: Vec<Tally>,
    shared: Shared<T>,
    sums: Sums<T>,
    /// One for each part of a batch.
    gradients: Vec<Vec<T>>,
    /// Scratch of a layer's closed forms.
    work: Vec<f64>,
}

/// What a thread writes to while it works on some columns.
#[derive(Debug, Default)]
struct Buffers<T> {
    input: Vec<T>,
    output: Vec<T>,
    target: Vec<T>,
    cache: Vec<T>,
    /// A gradient, or a column.
    other: Vec<T>,
}

/// The moments of a layer on their way to the regression.
#[derive(Debug, Default)]
struct Sums<T> {
    input: Vec<T>,
    wanted: Vec<T>,
    /// Over a part of the batch, and over all of it where no visit remembers the last.
    part: Vec<T>,
    whole: Vec<T>,
}

/// What stays the same for a whole visit.
#[derive(Clone, Copy, Debug)]
struct Setting<'a, T: Scalar> {
    data: &'a Dataset<T>,
    multipliers: Option<Multipliers>,
    /// The factor on the penalties.
    factor: T,
}

/// What all columns read while a layer is worked on.
#[derive(Clone, Copy, Debug)]
struct Scene<'a, T: Scalar> {
    net: &'a DecoupledNetwork<T>,
    setting: Setting<'a, T>,
}

/// A batch, and how many of its columns are worked on at a time.
#[derive(Debug)]
struct Batch<'v, 'b, T> {
    examples: &'v [usize],
    columns: &'v mut [Column<'b, T>],
    width: usize,
}

/// Some columns in work.
#[derive(Debug)]
struct Work<'w, 'b, T> {
    examples: &'w [usize],
    columns: &'w mut [Column<'b, T>],
    buffers: &'w mut Buffers<T>,
    tally: &'w mut Tally,
}

impl<T: Scalar> Alternation<T> {
    /// Visits a batch: all blocks, as often as the method says; `tally` gains what it saw.
    ///
    /// # Errors
    /// [`Error::Diverged`] (epoch 0), [`Error::NotPositiveDefinite`], [`Error::Panicked`]; some blocks may have moved then.
    pub(crate) fn visit(
        &mut self,
        net: &mut DecoupledNetwork<T>,
        (method, exact): (&Method<T>, Exact),
        (data, metric): (&Dataset<T>, Option<Judge<'_, T>>),
        factor: T,
        (examples, columns): (&[usize], &mut [Column<'_, T>]),
        tally: &mut Tally,
    ) -> Result<()> {
        let depth = net.depth();
        let setting = Setting { data, multipliers: method.coupling.multipliers, factor };
        let width = examples.len().div_ceil(MAX_PARTS).clamp(FEWEST, MOST);
        let mut batch = Batch { examples, columns, width };
        self.tallies.resize_with(examples.len().div_ceil(width), Tally::default);

        self.for_columns(&mut batch, |work| setting.at(net).begin(method.start, metric, work))?;
        let every_step = method.parameter.timing == Timing::EveryStep;
        for sweep in 0..exact.steps {
            net.updates += u64::from(every_step);
            for t in (0..depth).rev() {
                if every_step {
                    self.move_parameters(net, setting, method, t, &mut batch)?;
                }
                if t > 0 {
                    let scene = setting.at(net);
                    let mut shared = std::mem::take(&mut self.shared);
                    let (layer, weights) = (scene.layer(t), (scene.penalty(t), scene.penalty(t + 1)));
                    guarded("prepare", t, || shared.prepare(&exact, layer, weights, &mut self.work))?
                        .map_err(|error| error.at_layer(t))?;
                    self.for_columns(&mut batch, |work| scene.minimise(t, &shared, sweep == 0, work))?;
                    self.shared = shared;
                }
            }
        }
        if let Timing::AfterRelaxation { local_steps } = method.parameter.timing {
            for step in 0..local_steps {
                net.updates += 1;
                // A regression is done at once.
                let goes_on = |t: &usize| step == 0 || method.parameter.solver_of(*t) == Solver::Optimizer;
                (0..depth)
                    .rev()
                    .filter(goes_on)
                    .try_for_each(|t| self.move_parameters(net, setting, method, t, &mut batch))?;
            }
        }
        self.for_columns(&mut batch, |work| setting.at(net).end(net.updates, exact.steps, work))?;
        self.tallies.iter().for_each(|own| tally.add(own));
        Ok(())
    }

    /// Calls `f` with all columns of a batch, so many at a time.
    fn for_columns(
        &mut self,
        batch: &mut Batch<'_, '_, T>,
        f: impl Fn(Work<'_, '_, T>) -> Result<()> + Sync,
    ) -> Result<()> {
        let &mut Batch { examples, ref mut columns, width } = batch;
        let row = (Chunks { slice: examples, width }, Chunks { slice: &mut **columns, width });
        for_row((row, &mut self.tallies[..]), |_, ((examples, columns), tally)| {
            self.buffers.lend(|buffers| f(Work { examples, columns, buffers, tally }))
        })
    }

    /// One step of θ_t from the stored z_t and z_{t+1}.
    fn move_parameters(
        &mut self,
        net: &mut DecoupledNetwork<T>,
        setting: Setting<'_, T>,
        method: &Method<T>,
        t: usize,
        batch: &mut Batch<'_, '_, T>,
    ) -> Result<()> {
        if net.params[t].is_empty() || net.trained[t].frozen {
            return Ok(());
        }
        match method.parameter.solver_of(t) {
            Solver::Ridge(ridge) => self.regress(net, setting, ridge, t, batch),
            Solver::Optimizer => self.descend(net, setting, t, batch),
        }
    }

    fn regress(
        &mut self,
        net: &mut DecoupledNetwork<T>,
        setting: Setting<'_, T>,
        ridge: Ridge,
        t: usize,
        batch: &mut Batch<'_, '_, T>,
    ) -> Result<()> {
        let layer = net.layers[t].clone();
        let Some(regression) = layer.regression() else { return Ok(()) };
        let remembers = ridge.memory > 0.0;
        let len = guarded("the regression", t, || regression.moments_len())?;
        let mut moments = std::mem::take(if remembers { &mut net.trained[t].moments } else { &mut self.sums.whole });
        let penalty = setting.at(net).penalty(t + 1);
        let step = fade(&mut moments, ridge, len)
            .and_then(|()| self.add_moments(setting.at(net), (t, regression), batch, &mut moments))
            .and_then(|()| regress(t, ridge, (&*layer, penalty), &mut net.params[t], (&moments, &mut self.work)));
        if remembers {
            net.trained[t].moments = moments;
        } else {
            // What an earlier visit left there is not of the visit before.
            net.trained[t].moments.clear();
            self.sums.whole = moments;
        }
        step
    }

    /// moments ← moments + those of the batch.
    fn add_moments(
        &mut self,
        scene: Scene<'_, T>,
        (t, regression): (usize, &dyn Regression<T>),
        batch: &Batch<'_, '_, T>,
        moments: &mut [T],
    ) -> Result<()> {
        let width = batch.examples.len().div_ceil(MAX_PARTS).max(WIDE);
        for (examples, columns) in batch.examples.chunks(width).zip(batch.columns.chunks(width)) {
            self.sums.part.clear();
            self.sums.part.resize(moments.len(), T::zero());
            for (examples, columns) in examples.chunks(WIDE).zip(columns.chunks(WIDE)) {
                scene.add_moments(t, regression, (examples, columns), &mut self.sums, &self.buffers)?;
            }
            linalg::axpy(T::one(), &self.sums.part, moments);
        }
        Ok(())
    }

    fn descend(
        &mut self,
        net: &mut DecoupledNetwork<T>,
        setting: Setting<'_, T>,
        t: usize,
        batch: &mut Batch<'_, '_, T>,
    ) -> Result<()> {
        let examples = batch.examples;
        let width = examples.len().div_ceil(MAX_PARTS).max(batch.width);
        self.gradients.resize_with(examples.len().div_ceil(width), Vec::new);
        let scene = setting.at(net);
        let row = (Chunks { slice: examples, width }, Chunks { slice: &*batch.columns, width });
        for_row((row, &mut self.gradients[..]), |_, ((examples, columns), gradient)| {
            gradient.clear();
            gradient.resize(net.params[t].len(), T::zero());
            self.buffers.lend(|buffers| {
                let mut chunks = examples.chunks(batch.width).zip(columns.chunks(batch.width));
                chunks.try_for_each(|(examples, columns)| scene.add_gradient(t, (examples, columns), buffers, gradient))
            })
        })?;
        let Some((first, others)) = self.gradients.split_first_mut() else { return Ok(()) };
        let other = |part: usize| others.get(part).map(|part| &part[..]);
        net.trained[t].descend(t, &mut net.params[t], (first, other), examples.len())
    }
}

impl<'a, T: Scalar> Setting<'a, T> {
    fn at<'n>(self, net: &'n DecoupledNetwork<T>) -> Scene<'n, T>
    where
        'a: 'n,
    {
        Scene { net, setting: self }
    }
}

impl<T: Scalar> Scene<'_, T> {
    /// μ_t for t = 1 ..= T, the output's 1.
    fn penalty(&self, t: usize) -> T {
        self.net.objective().with_factor(self.setting.factor).loss(t).1
    }

    /// A layer, and its parameters.
    fn layer(&self, t: usize) -> (&dyn Layer<T>, &[T]) {
        (&*self.net.layers[t], &self.net.params[t])
    }

    /// The weights of these examples; empty where all are 1. Only sums over examples have need of them: an example's weight stands
    /// before all terms of its energy, so that neither the minimum over its activations nor its multiplier depends on it.
    fn weights(&self, examples: &[usize]) -> Vec<T> {
        self.setting.data.weights_of(examples.iter().copied())
    }

    /// out ← z_t of these examples, `d_t × n`, for t = 0 ..= T.
    fn stored(&self, t: usize, examples: &[usize], columns: &[Column<'_, T>], out: &mut Vec<T>) {
        let depth = self.net.depth();
        let rows = if t == depth { self.net.output_dim() } else { self.net.layers[t].input_dim() };
        out.resize(rows * examples.len(), T::zero());
        let outs = out.chunks_exact_mut(rows);
        if t > 0 && t < depth {
            columns.iter().zip(outs).for_each(|(column, out)| column.activation(t, out));
        } else {
            let source = if t == 0 { self.setting.data.inputs() } else { self.setting.data.targets() };
            examples.iter().zip(outs).for_each(|(&example, out)| out.copy_from_slice(source.column(example)));
        }
    }

    /// out ← out + sign · λ_t/μ_t, where there are multipliers; `column` is scratch.
    fn shift(&self, t: usize, sign: T, columns: &[Column<'_, T>], out: &mut [T], column: &mut Vec<T>) {
        if self.has_multiplier(t) {
            let (rows, scale) = (out.len() / columns.len(), sign / self.penalty(t));
            column.resize(rows, T::zero());
            for (from, out) in columns.iter().zip(out.chunks_exact_mut(rows)) {
                from.multiplier(t, column);
                linalg::axpy(scale, column, out);
            }
        }
    }

    fn has_multiplier(&self, t: usize) -> bool {
        let hidden = t > 0 && t < self.net.depth();
        self.setting.multipliers.is_some_and(|multipliers| hidden && multipliers.reaches(t, self.net.depth()))
    }

    /// out ← what layer t is asked to give: z_{t+1}, with the multiplier that pulls at it.
    fn target(
        &self,
        t: usize,
        (examples, columns): (&[usize], &[Column<'_, T>]),
        out: &mut Vec<T>,
        column: &mut Vec<T>,
    ) {
        self.stored(t + 1, examples, columns, out);
        self.shift(t + 1, T::one(), columns, out, column);
    }

    /// out ← f(z; θ_t), `d_{t+1} × n`, and cache ← what the layer keeps for its gradients.
    fn evaluate(&self, t: usize, z: &[T], out: &mut Vec<T>, cache: &mut Vec<T>) -> Result<()> {
        let (layer, params) = self.layer(t);
        let input = MatRef::new(z, layer.input_dim(), z.len() / layer.input_dim());
        out.resize(layer.output_dim() * input.cols(), T::zero());
        guarded("forward", t, || {
            resize(CACHE, cache, layer.cache_len(input.cols()), T::zero())?;
            layer.forward(params, input, MatMut::new(out, layer.output_dim(), input.cols()), cache);
            Ok(())
        })?
    }

    /// Starts columns where the method says, and takes stock: the forward loss and score, and the output's term of the energy.
    fn begin(&self, start: Start, metric: Option<Judge<'_, T>>, work: Work<'_, '_, T>) -> Result<()> {
        let Work { examples, columns, buffers, tally } = work;
        let Buffers { input, output, target, cache, other } = buffers;
        let (top, outputs, n) = (self.net.depth(), self.net.output_dim(), examples.len());
        tally.begin(n);
        tally.residuals.resize(top - 1, (0.0, 0.0));
        tally.energies.resize(top, 0.0);
        self.stored(top, examples, columns, target);
        let target = MatRef::new(target, outputs, n);
        let weights = self.weights(examples);
        let value = |out: &[T]| {
            let out = MatRef::new(out, outputs, n);
            guarded(OUTPUT_LOSS, None, || loss::total(&*self.net.output_loss, target, out, &weights))
        };
        self.stored(0, examples, columns, input);
        for t in 0..top {
            self.evaluate(t, input, output, cache)?;
            std::mem::swap(input, output);
            if t + 1 < top {
                for (column, z) in columns.iter_mut().zip(input.chunks_exact(self.net.layers[t].output_dim())) {
                    if !column.is_visited() {
                        column.set_activation(t + 1, z)?;
                    } else if start != Start::Persisted {
                        other.clear();
                        other.extend_from_slice(z);
                        column.beside_activation(t + 1, other, |last, z| start.blend(last, z));
                        column.set_activation(t + 1, other)?;
                    }
                }
            }
        }
        tally.looked_at = n;
        tally.forward_loss = value(input)?;
        if let Some(metric) = metric {
            tally.score =
                metric.sum(target, MatRef::new(input, outputs, n), |i| self.setting.data.weight(examples[i]))?;
        }
        // The other terms of the energy are at hand where their activations are about to move.
        self.stored(top - 1, examples, columns, input);
        self.evaluate(top - 1, input, output, cache)?;
        tally.energy = value(output)?;
        tally.energies[top - 1] = tally.energy;
        Ok(())
    }

    /// z_t ← the minimum of its block. With `look` its term is measured before: in the first sweep all below is still as the
    /// visit found it.
    fn minimise(&self, t: usize, shared: &Shared<T>, look: bool, work: Work<'_, '_, T>) -> Result<()> {
        let Work { examples, columns, buffers, tally } = work;
        let Buffers { input, output: z, target, cache, other } = buffers;
        let ((layer, params), n) = (self.layer(t), examples.len());
        self.stored(t - 1, examples, columns, input);
        self.evaluate(t - 1, input, z, cache)?;
        self.stored(t, examples, columns, input);
        let old = &input[..];
        if look {
            self.measure(t, (old, &*z), (examples, columns), other, tally);
        }
        self.shift(t, -T::one(), columns, z, other);
        self.target(t, (examples, columns), target, other);
        guarded("solve", t, || {
            let target = MatMut::new(target, layer.output_dim(), n);
            shared.minimise(layer, params, MatRef::new(old, layer.input_dim(), n), target, z);
        })?;
        if !linalg::all_finite(z) {
            return Err(Error::Diverged { layer: t, epoch: 0, quantity: "the stored input" });
        }
        let mut columns = columns.iter_mut().zip(z.chunks_exact(layer.input_dim()));
        columns.try_for_each(|(column, z)| column.set_activation(t, z))
    }

    /// Adds the term of z_t, from its prediction.
    fn measure(
        &self,
        t: usize,
        (z, prediction): (&[T], &[T]),
        (examples, columns): (&[usize], &[Column<'_, T>]),
        multiplier: &mut Vec<T>,
        tally: &mut Tally,
    ) {
        let rows = z.len() / columns.len();
        let matrix = |entries| MatRef::new(entries, rows, columns.len());
        let weights = self.weights(examples);
        let (squares, norm) = weighted_residual(matrix(z), matrix(prediction), &weights);
        let mut term = 0.5 * self.penalty(t).to_f64() * squares;
        let (residual, size) = &mut tally.residuals[t - 1];
        *residual += squares;
        *size += norm;
        if self.has_multiplier(t) {
            multiplier.resize(rows, T::zero());
            let pairs = z.chunks_exact(rows).zip(prediction.chunks_exact(rows));
            for (i, (column, (z, prediction))) in columns.iter().zip(pairs).enumerate() {
                column.multiplier(t, multiplier);
                let along = |values| linalg::sum_zip(multiplier, values, |m, v| m * v).to_f64();
                term += self.setting.data.weight(examples[i]) * (along(z) - along(prediction));
            }
        }
        tally.energy += term;
        tally.energies[t - 1] += term;
        let below = &self.net.layers[..t - 1];
        let first = below.iter().map(|layer| layer.output_dim()).sum();
        tally.see_units(first, matrix(prediction));
    }

    /// Adds the moments of these examples for the regression of layer t to those of the part.
    fn add_moments(
        &self,
        t: usize,
        regression: &dyn Regression<T>,
        (examples, columns): (&[usize], &[Column<'_, T>]),
        sums: &mut Sums<T>,
        buffers: &Spare<Buffers<T>>,
    ) -> Result<()> {
        let (layer, params) = self.layer(t);
        let (inputs, n) = (layer.input_dim(), examples.len());
        let wanted_rows = pre_activation_rows(regression, t)?;
        let Sums { input, wanted, part, .. } = sums;
        input.resize(inputs * n, T::zero());
        resize("pre-activations", wanted, wanted_rows.saturating_mul(n), T::zero())?;
        let row = (Chunks { slice: examples, width: FEWEST }, Chunks { slice: columns, width: FEWEST });
        let out = (
            Chunks { slice: &mut input[..], width: FEWEST * inputs },
            Chunks { slice: &mut wanted[..], width: FEWEST * wanted_rows },
        );
        for_row((row, out), |_, ((examples, columns), (input, wanted))| {
            buffers.lend(|buffers| {
                let Buffers { input: z, target, other, .. } = buffers;
                let n = examples.len();
                self.stored(t, examples, columns, z);
                input.copy_from_slice(z);
                self.target(t, (examples, columns), target, other);
                let target = MatRef::new(target, layer.output_dim(), n);
                let out = MatMut::new(wanted, wanted_rows, n);
                guarded("the regression", t, || {
                    regression.pre_activation(params, MatRef::new(input, inputs, n), target, out)
                })?
            })
        })?;
        let (input, wanted) = (MatRef::new(input, inputs, n), MatRef::new(wanted, wanted_rows, n));
        let weights = self.weights(examples);
        guarded("the regression", t, || regression.accumulate(input, wanted, &weights, part))
    }

    /// gradient ← gradient + μ_{t+1} Σ weight · (∂f/∂θ)ᵀ (f(z_t; θ_t) − target) over these examples.
    fn add_gradient(
        &self,
        t: usize,
        (examples, columns): (&[usize], &[Column<'_, T>]),
        buffers: &mut Buffers<T>,
        gradient: &mut [T],
    ) -> Result<()> {
        let ((layer, params), n) = (self.layer(t), examples.len());
        let Buffers { input, output: cotangent, target, cache, other } = buffers;
        self.stored(t, examples, columns, input);
        self.target(t, (examples, columns), target, other);
        self.evaluate(t, input, cotangent, cache)?;
        let penalty = self.penalty(t + 1);
        cotangent.iter_mut().zip(&*target).for_each(|(c, &target)| *c = penalty * (*c - target));
        linalg::scale_columns(cotangent, &self.weights(examples));
        other.resize(params.len(), T::zero());
        guarded("param_gradient", t, || {
            let input = MatRef::new(input, layer.input_dim(), n);
            layer.param_gradient(params, input, MatRef::new(cotangent, layer.output_dim(), n), other, cache);
        })?;
        linalg::axpy(T::one(), other, gradient);
        Ok(())
    }

    /// The multipliers follow, and the visit is counted.
    fn end(&self, update: u64, steps: usize, work: Work<'_, '_, T>) -> Result<()> {
        let Work { examples, columns, buffers, .. } = work;
        let Buffers { input, output: prediction, target, cache, other } = buffers;
        for t in (1..self.net.depth()).filter(|&t| self.has_multiplier(t)) {
            let Some(multipliers) = self.setting.multipliers else { continue };
            self.stored(t - 1, examples, columns, input);
            self.evaluate(t - 1, input, prediction, cache)?;
            let rows = self.net.layers[t].input_dim();
            for buffer in [&mut *input, target, other] {
                buffer.resize(rows, T::zero());
            }
            let (z, old, new) = (&mut *input, &mut *target, &mut *other);
            for (column, prediction) in columns.iter_mut().zip(prediction.chunks_exact(rows)) {
                column.activation(t, z);
                column.multiplier(t, old);
                multipliers.ascend(self.penalty(t), old, z, prediction, new);
                if !linalg::all_finite(new) {
                    return Err(Error::Diverged { layer: t, epoch: 0, quantity: "a multiplier" });
                }
                column.set_multiplier(t, new)?;
            }
        }
        for column in columns {
            column.count(column.steps().saturating_add(steps as u64), update);
        }
        Ok(())
    }
}
