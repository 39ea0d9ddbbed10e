//! Starts of the hidden layers that keep distances, by which deep networks train; a fit takes one where the drawn parameters let no
//! signal through.

use std::fmt;

use crate::error::four_digits;
use crate::layer::{Activation, Dense, Init, Unit};
use crate::machine::linalg;
use crate::machine::linalg::matrix::{check_diverged, filled};
use crate::machine::parallel::guarded;
use crate::machine::random::{Purpose, stream};
use crate::method::circuit::Circuit;
use crate::method::energy::Objective;
use crate::{Dataset, DecoupledNetwork, Error, Layer, MatMut, MatRef, Result, Scalar};

/// A new start of the hidden layers before the first epoch of a fit: an [isometry](DecoupledNetwork::start_isometric) in place of the
/// parameters as drawn.
///
/// Both numbers are ‖∂L/∂a_1‖ / ‖∂L/∂a_{T−1}‖ on at most 256 examples, the norm of the error at the lowest hidden layer by that at the
/// highest: 1 for an isometry, small where the error fades, large where it explodes, and not a number where it is zero at the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Restart {
    /// With the parameters as drawn.
    pub before: f64,
    /// With those that the fit begins with.
    pub after: f64,
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (four_digits(self.before), four_digits(self.after));
        write!(
            f,
            "restarted as an isometry: of an error at the highest hidden layer {after} reaches the lowest, of the weights as drawn {before}"
        )
    }
}

/// Examples that a start looks at, and that tell whether the signal passes.
const SAMPLE: usize = 2000;
const BATCH: usize = 256;
/// A start is an isometry if the norm of the error changes by a larger factor than 10 to the power of this on its way down.
const CHANGE: f64 = 0.25;
/// From these numbers of hidden layers on an isometry trains better, whatever the first batch says: with pairs of units, and without.
const DEEP: [usize; 2] = [15, 10];
/// Beyond this many hidden layers the pre-activations begin half as large: the deviations from an isometry add up.
const VERY_DEEP: usize = 50;

impl<T: Scalar> DecoupledNetwork<T> {
    /// Starts the hidden layers as an **isometry**: [orthogonal or mirrored](Init::isometric) weights, with pre-activations that are
    /// centred and scaled over `inputs` (`d_0 × n`; some 2,000 examples will do), so that at the start the norms of signals and errors
    /// change little on their way through a hundred layers. A tanh gets pre-activations of root mean square 0.5, other functions 1; beyond
    /// 50 hidden layers half of that. Of the ReLU family only the lowest layer is centred and scaled: those above it preserve that. The
    /// output layer stays as it is.
    ///
    /// Layers that are no affine map with a function of it (residual blocks, normalisations, layers of your own without
    /// [`Layer::unit`]) stay as they are as well; returns their indices, t = 0 .. T − 1. A residual block with a small
    /// branch is nearly an isometry by itself.
    ///
    /// A first fit does this by itself where [`fit`](Self::fit) says; not with missing inputs, frozen layers or fewer than two hidden layers,
    /// nor if it would make things worse.
    ///
    /// Optimizers and bank do not change: this is meant for before the first fit.
    ///
    /// Orthogonal starts: Saxe, McClelland, Ganguli (2014), arXiv 1312.6120; Pennington, Schoenholz, Ganguli (2017), arXiv 1711.04735.
    /// Mirrored: Balduzzi et al. (2017), arXiv 1702.08591. Scaling by data: Mishkin, Matas (2016), arXiv 1511.06422, here one factor for a
    /// whole layer, which leaves it an isometry.
    ///
    /// ```
    /// use decoupled::{DecoupledNetwork, data, layer::Activation};
    ///
    /// let data = data::two_moons::<f32>(100, 0.1, 0)?;
    /// let builder = DecoupledNetwork::builder(2).dense(20, Activation::Tanh).dense(20, Activation::Tanh);
    /// let mut network = builder.dense(2, Activation::Identity).build()?;
    /// assert!(network.start_isometric(data.inputs(), 0)?.is_empty());
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`] or [`Error::Empty`] for inputs that do not fit; [`Error::Incapable`] for the lowest hidden
    /// layer if no hidden layer is an affine map; [`Error::Diverged`] (epoch 0) when an activation or a parameter is not finite;
    /// [`Error::Panicked`]; [`Error::Unsupported`] when a layer is [frozen](Self::freeze). Nothing has changed in that case.
    pub fn start_isometric<'x>(&mut self, inputs: impl Into<MatRef<'x, T>>, seed: u64) -> Result<Vec<usize>> {
        let inputs = inputs.into();
        self.check_unfrozen("start_isometric")?;
        self.check_sample(inputs)?;
        let (params, left) = self.pool.install(|| self.isometric(inputs, seed))?;
        if !left.is_empty() && left.len() + 1 == self.depth() {
            let lacks = "no hidden layer is an affine map with a function of it (Layer::unit), which a start could make an isometry";
            return Err(self.circuit().incapable(0, lacks));
        }
        self.start_with(params);
        Ok(left)
    }

    /// Makes the hidden layers an isometry before the first fit, if nobody chose their parameters and the signal does not pass.
    ///
    /// # Errors
    /// [`Error::Panicked`] when a layer or the loss panics.
    pub(crate) fn restart(&mut self, data: &Dataset<T>) -> Result<Option<Restart>> {
        let Some(seed) = self.training.drawn else { return Ok(None) };
        let hidden = self.depth() - 1;
        // A frozen layer was given its parameters on purpose, or is meant to keep these; and unknown inputs give no outputs.
        if hidden < 2 || data.missing() > 0 || self.check_unfrozen("a restart").is_err() {
            return Ok(None);
        }
        let batch = data.evenly(BATCH)?;
        let before = self.passed(&self.params, &batch)?;
        let paired = |t: usize| self.layers.get(t).and_then(|layer| layer.unit()?.function.pairs()).is_some();
        let [deep_pairs, deep] = DEEP;
        let limit = if (0..hidden).all(paired) { deep_pairs } else { deep };
        // Neither 0 nor a NaN is a small change.
        let change = |ratio: f64| if ratio > 0.0 && ratio.is_finite() { ratio.log10().abs() } else { f64::INFINITY };
        if change(before) <= CHANGE && hidden < limit {
            return Ok(None);
        }
        let sample = data.evenly(SAMPLE)?;
        let pool = std::sync::Arc::clone(&self.pool);
        let (params, left) = match pool.install(|| self.isometric(sample.inputs(), seed)) {
            Ok(start) => start,
            // An activation function that overflows there, for one: the parameters as drawn stay.
            Err(Error::Diverged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let after = self.passed(&params, &batch)?;
        let worse = change(after) > change(before).max(CHANGE) || change(after) == f64::INFINITY;
        if worse || left.len() == hidden {
            // No gain: keep the parameters that the user has seen.
            return Ok(None);
        }
        self.params = params;
        Ok(Some(Restart { before, after }))
    }

    /// Computes ‖∂L/∂a_1‖ / ‖∂L/∂a_{T−1}‖ by the chain rule, at `params`.
    fn passed(&self, params: &[Vec<T>], batch: &Dataset<T>) -> Result<f64> {
        let objective = Objective { circuit: Circuit::new(&self.layers, params), ..self.objective() };
        let mut block = objective.block(batch.len());
        block.stored_mut(0).copy_from_slice(batch.inputs().as_slice());
        let top = self.depth();
        block.stored_mut(top).copy_from_slice(batch.targets().as_slice());
        objective.forward(&mut block)?;
        objective.chain_rule(&mut block, |_| false)?;
        let norm = |t: usize| block.gradient(t).as_slice().iter().map(|g| g.to_f64().powi(2)).sum::<f64>().sqrt();
        Ok(norm(1) / norm(top - 1))
    }

    /// Computes the parameters of [`start_isometric`](Self::start_isometric), and the hidden layers that stay as they are.
    fn isometric(&self, inputs: MatRef<'_, T>, seed: u64) -> Result<(Vec<Vec<T>>, Vec<usize>)> {
        let hidden = self.depth() - 1;
        let halved = if hidden > VERY_DEEP { 0.5 } else { 1.0 };
        let (mut params, mut left) = (self.params.clone(), Vec::new());
        let mut z = inputs.as_slice().to_vec();
        // The slope of a pair of the units below, ReLU(u) − ReLU(−u) = u; none if they are not paired.
        let mut below = None;
        for (t, layer) in self.layers.iter().take(hidden).enumerate() {
            let input = MatRef::new(&z, z.len() / inputs.cols(), inputs.cols());
            let unit = guarded("unit", t, || layer.unit())?;
            match unit {
                // A function by itself, above its map: pairs stay pairs.
                Some(Unit { map: None, .. }) => {}
                Some(Unit { map: Some(map), function }) if fits(&map, &**layer, &params[t]) => {
                    // The function of a map by itself is the unit above it.
                    let above = || {
                        guarded("unit", t + 1, || self.layers[t + 1].unit())
                            .map(|unit| unit.filter(|u| u.map.is_none()))
                    };
                    let function = match function {
                        Activation::Identity => above()?.map_or(function, |unit| unit.function),
                        _ => function,
                    };
                    let (rows, pairs) = (map.output_dim(), function.pairs());
                    let (weights, bias) = params[t].split_at_mut(rows * map.input_dim());
                    let mut weights = MatMut::new(weights, rows, map.input_dim());
                    let init = Init::mirrored(pairs.is_some(), below.is_some()).gain(1.0 / below.unwrap_or(1.0));
                    init.fill(weights.reborrow(), &mut stream(seed, Purpose::Isometry, 0, t));
                    bias.fill(T::zero());
                    // Above pairs of units the map is an isometry as it stands; a shift would tear the pairs apart.
                    if pairs.is_none() || below.is_none() {
                        let size = if function == Activation::Tanh { 0.5 } else { 1.0 };
                        standardise(t, input, (weights, bias), size * halved)?;
                    }
                    // A single unit has no partner.
                    below = pairs.filter(|_| rows > 1);
                }
                _ => {
                    left.push(t);
                    below = None;
                }
            }
            check_diverged(&params[t], t, "a parameter")?;
            z = Circuit::new(&self.layers, &params).output(t, input)?;
            check_diverged(&z, t + 1, "the input")?;
        }
        Ok((params, left))
    }
}

/// Returns whether a map has the shape of its layer: one of a user's own may not.
fn fits<T: Scalar>(map: &Dense, layer: &dyn Layer<T>, params: &[T]) -> bool {
    let shape = (map.input_dim(), map.output_dim(), map.param_len());
    shape == (layer.input_dim(), layer.output_dim(), params.len())
}

/// Shifts the biases, if there are any, and scales the map so that every W·z + b has mean 0 over the examples, and all of them together the
/// root mean square `size`. A map that gives nothing stays as it is.
fn standardise<T: Scalar>(
    t: usize,
    input: MatRef<'_, T>,
    (mut weights, bias): (MatMut<'_, T>, &mut [T]),
    size: f64,
) -> Result<()> {
    let (rows, n) = (weights.rows(), input.cols());
    let mut u = filled("pre-activations", rows.saturating_mul(n), T::zero())?;
    linalg::matmul(weights.as_ref(), input, MatMut::new(&mut u, rows, n));
    let mean_square = |u: &[T]| u.iter().map(|u| u.to_f64().powi(2)).sum::<f64>() / u.len() as f64;
    let raw = mean_square(&u);
    if !bias.is_empty() {
        let mut mean = vec![0.0; rows];
        u.chunks_exact(rows).for_each(|u| mean.iter_mut().zip(u).for_each(|(m, u)| *m += u.to_f64() / n as f64));
        bias.iter_mut().zip(&mean).for_each(|(b, m)| *b = T::of(-m));
        u.chunks_exact_mut(rows).for_each(|u| u.iter_mut().zip(&*bias).for_each(|(u, b)| *u += *b));
    }
    let square = mean_square(&u);
    check_diverged(&[raw, square], t, "the input")?;
    // Below this they are the rounding of the mean: all inputs are alike.
    let rounding = n as f64 * T::default_epsilon().to_f64();
    if square > rounding * rounding * raw {
        let factor = T::of(size / square.sqrt());
        weights.as_mut_slice().iter_mut().chain(bias).for_each(|entry| *entry *= factor);
    }
    Ok(())
}
