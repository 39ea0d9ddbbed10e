use super::{
    Subject,
    difference::{Outcome, compare},
    gaussian, guard, rounding,
};
use rand::rngs::ChaCha12Rng;

use crate::{
    Error, Layer, MatMut, MatRef, Result, Scalar,
    layer::tensors_of,
    linalg::norm_squared,
    matrix::filled,
    random::{Purpose, shuffle, stream},
};

/// Points that are tried before the differences count as hopeless.
const POINTS: usize = 6;

/// Checks a layer against the contract of [`Layer`], on batches of 1, 3 and 8 examples.
///
/// * Its widths are not zero and [`validate`](Layer::validate) accepts it.
/// * Initial parameters are finite, and the same for the same random stream.
/// * `forward` and the gradients give the same bits each time, in any order, and overwrite what they write, the cache included.
/// * No example influences another.
/// * Both gradients agree with differences, at random inputs and parameters near the initial ones.
/// * Of a layer that is [straight-through](Layer::is_straight_through) or has [no derivative](Layer::has_derivative) they are
///   linear in the cotangent instead: differences say nothing there, or, over a fine staircase, the slope of its flight.
///
/// * Its [tensors](Layer::tensors) have names of their own and hold all parameters.
/// * Renumbered units give renumbered outputs, if it tells its [`wiring`](Layer::wiring), and scales go through if it says so.
///
/// What else a layer may offer, [`Layer::regression`] and [`Layer::proximal`], is not called: it needs tests of its own.
///
/// # Errors
/// [`Error::Contract`] naming the broken rule, [`Error::Panicked`] when the layer panics, [`Error::ZeroWidth`], or
/// whatever `validate` finds.
///
/// # Example
///
/// ```
/// use decoupled::{check, layer::Dense};
///
/// check::layer::<f64>(&Dense::new(5, 3))?;
/// # Ok::<(), decoupled::Error>(())
/// ```
pub fn layer<T: Scalar>(layer: &dyn Layer<T>) -> Result<()> {
    [1, 3, 8].into_iter().try_for_each(|examples| layer_at(layer, examples, 0))
}

/// As [`layer()`], on one batch of `examples` columns, all drawn from `seed`.
///
/// # Errors
/// As [`layer()`]; [`Error::Empty`] without examples.
pub fn layer_at<T: Scalar>(layer: &dyn Layer<T>, examples: usize, seed: u64) -> Result<()> {
    if examples == 0 {
        return Err(Error::Empty { what: "the batch to check a layer with" });
    }
    if layer.input_dim() == 0 || layer.output_dim() == 0 {
        return Err(Error::ZeroWidth { layer: 0 });
    }
    guard("validate", || layer.validate())??;
    let subject = Subject::new(layer);
    let initial = initial_params(&subject, layer, seed)?;
    tensors_of(layer, 0, initial.len())?;
    for point in 0..POINTS {
        let mut rng = stream(seed, Purpose::Probe, point, 0);
        // Off the initial values, which may sit on a kink: a zero weight below a ReLU.
        let spread = T::one() / T::of(layer.input_dim() as f64).sqrt();
        let params = initial.iter().map(|&p| p + spread * T::standard_normal(&mut rng)).collect();
        let trial = Trial { subject: &subject, layer, params, examples };
        let mut draw = |rows: usize| {
            let mut batch = filled("the batch to check a layer with", rows.saturating_mul(examples), T::zero())?;
            batch.iter_mut().for_each(|x| *x = T::standard_normal(&mut rng));
            Ok(batch)
        };
        let input = draw(layer.input_dim())?;
        let cotangents = [draw(layer.output_dim())?, draw(layer.output_dim())?];
        if point == 0 {
            trial.pure_and_overwriting(&input, &cotangents)?;
            trial.independent_columns(&input, &cotangents[0])?;
            trial.wired(&input, &mut stream(seed, Purpose::Probe, point, 1))?;
        }
        if layer.is_straight_through() || !layer.has_derivative() {
            return trial.linear(&input, &cotangents);
        }
        if trial.gradients(&input, &cotangents[0], &mut rng)? == Outcome::Agrees {
            return Ok(());
        }
    }
    Err(subject.breach("differences of forward settle on a derivative at some random point", 1.0, 0.0))
}

fn initial_params<T: Scalar>(subject: &Subject, layer: &dyn Layer<T>, seed: u64) -> Result<Vec<T>> {
    let draw = || {
        let mut params = filled("the parameters of a layer", layer.param_len(), T::zero())?;
        guard("init_params", || layer.init_params(&mut params, &mut stream(seed, Purpose::Init, 0, 0)))?;
        Ok(params)
    };
    let params = draw()?;
    subject.finite("initial parameters", &params)?;
    subject.same("initial parameters, drawn again from the same stream", &params, &draw()?)?;
    Ok(params)
}

struct Trial<'a, T> {
    subject: &'a Subject,
    layer: &'a dyn Layer<T>,
    params: Vec<T>,
    examples: usize,
}

/// What one forward pass leaves, for the gradients to be called on.
struct Pass<T> {
    input: Vec<T>,
    output: Vec<T>,
    cache: Vec<T>,
}

impl<T: Scalar> Trial<'_, T> {
    fn empty_pass(&self, examples: usize) -> Pass<T> {
        let nan = |len| vec![T::of(f64::NAN); len];
        Pass {
            input: Vec::new(),
            output: nan(self.layer.output_dim() * examples),
            cache: nan(self.layer.cache_len(examples)),
        }
    }

    fn run(&self, pass: &mut Pass<T>, params: &[T], input: &[T]) -> Result<()> {
        pass.input = input.to_vec();
        let (inputs, outputs) = (self.layer.input_dim(), self.layer.output_dim());
        let examples = input.len() / inputs;
        let output = MatMut::new(&mut pass.output, outputs, examples);
        let input = MatRef::new(input, inputs, examples);
        guard("forward", || self.layer.forward(params, input, output, &mut pass.cache))
    }

    fn forward(&self, params: &[T], input: &[T]) -> Result<Pass<T>> {
        let mut pass = self.empty_pass(input.len() / self.layer.input_dim());
        self.run(&mut pass, params, input)?;
        Ok(pass)
    }

    fn input_gradient(&self, pass: &mut Pass<T>, cotangent: &[T]) -> Result<Vec<T>> {
        let (inputs, outputs) = (self.layer.input_dim(), self.layer.output_dim());
        let examples = pass.input.len() / inputs;
        let mut grad = vec![T::of(f64::NAN); pass.input.len()];
        let input = MatRef::new(&pass.input, inputs, examples);
        let cotangent = MatRef::new(cotangent, outputs, examples);
        let out = MatMut::new(&mut grad, inputs, examples);
        guard("input_gradient", || self.layer.input_gradient(&self.params, input, cotangent, out, &mut pass.cache))?;
        Ok(grad)
    }

    fn param_gradient(&self, pass: &mut Pass<T>, cotangent: &[T]) -> Result<Vec<T>> {
        let mut grad = vec![T::of(f64::NAN); self.params.len()];
        if grad.is_empty() {
            return Ok(grad);
        }
        let (inputs, outputs) = (self.layer.input_dim(), self.layer.output_dim());
        let examples = pass.input.len() / inputs;
        let input = MatRef::new(&pass.input, inputs, examples);
        let cotangent = MatRef::new(cotangent, outputs, examples);
        let out = &mut grad[..];
        guard("param_gradient", || self.layer.param_gradient(&self.params, input, cotangent, out, &mut pass.cache))?;
        Ok(grad)
    }

    fn pure_and_overwriting(&self, input: &[T], [c, other]: &[Vec<T>; 2]) -> Result<()> {
        let subject = self.subject;
        let reference = self.forward(&self.params, input)?;
        subject.finite("output of forward into buffers full of NaN", &reference.output)?;
        let by_input = self.input_gradient(&mut self.forward(&self.params, input)?, c)?;
        subject.finite("input_gradient into a buffer full of NaN", &by_input)?;
        let by_params = self.param_gradient(&mut self.forward(&self.params, input)?, c)?;
        subject.finite("param_gradient into a buffer full of NaN", &by_params)?;

        let mut pass = self.empty_pass(self.examples);
        let elsewhere: Vec<T> = input.iter().map(|&x| T::of(0.5) - x).collect();
        self.run(&mut pass, &self.params, &elsewhere)?;
        self.run(&mut pass, &self.params, input)?;
        subject.same("output of forward into used buffers", &reference.output, &pass.output)?;
        self.input_gradient(&mut pass, other)?;
        self.param_gradient(&mut pass, other)?;
        let order = "after other gradient calls on the same forward pass";
        for _ in 0..2 {
            let (what, found) = (format!("param_gradient {order}"), self.param_gradient(&mut pass, c)?);
            subject.same(&what, &by_params, &found)?;
            let (what, found) = (format!("input_gradient {order}"), self.input_gradient(&mut pass, c)?);
            subject.same(&what, &by_input, &found)?;
        }
        Ok(())
    }

    #[expect(clippy::indexing_slicing, reason = "as many columns as examples")]
    fn independent_columns(&self, input: &[T], cotangent: &[T]) -> Result<()> {
        let (inputs, outputs) = (self.layer.input_dim(), self.layer.output_dim());
        let mut batch = self.forward(&self.params, input)?;
        let by_input = self.input_gradient(&mut batch, cotangent)?;
        let by_params = self.param_gradient(&mut batch, cotangent)?;
        let mut sum = vec![T::zero(); self.params.len()];
        for j in 0..self.examples {
            let mut single = self.forward(&self.params, &input[j * inputs..][..inputs])?;
            let close = |what: &str, together: &[T], alone: &[T], rows: usize| {
                let what = format!("{what} of example {j} in a batch, against the example alone");
                self.subject.close(&what, alone, &together[j * rows..][..rows], rounding(together))
            };
            close("output", &batch.output, &single.output, outputs)?;
            let c = &cotangent[j * outputs..][..outputs];
            close("input_gradient", &by_input, &self.input_gradient(&mut single, c)?, inputs)?;
            for (s, g) in sum.iter_mut().zip(self.param_gradient(&mut single, c)?) {
                *s += g;
            }
        }
        let what = "param_gradient of a batch, against the sum over its examples";
        self.subject.close(what, &sum, &by_params, rounding(&by_params))
    }

    /// The output for renumbered and rescaled units, against the renumbered and rescaled output.
    fn wired(&self, input: &[T], rng: &mut ChaCha12Rng) -> Result<()> {
        let Some(wiring) = guard("wiring", || self.layer.wiring())? else { return Ok(()) };
        let (inputs, outputs) = (self.layer.input_dim(), self.layer.output_dim());
        let subject = self.subject;
        let expected = wiring.param_len(outputs, inputs);
        if expected != self.params.len() || wiring.is_unit_by_unit() && inputs != outputs {
            let what = "the wiring tells of all parameters, and has an input for each output if it is unit by unit";
            return Err(subject.breach(what, expected as f64, self.params.len() as f64));
        }
        let mut draw = |len: usize| {
            let (mut order, mut factors): (Vec<usize>, Vec<T>) = ((0..len).collect(), vec![T::one(); len]);
            shuffle(&mut order, rng);
            gaussian::<T>(len, rng).iter().zip(&mut factors).for_each(|(g, f)| *f += T::of(0.5) * g.abs());
            (order, factors)
        };
        let above = draw(outputs);
        let below = if wiring.is_unit_by_unit() { above.clone() } else { draw(inputs) };
        let output = self.forward(&self.params, input)?.output;
        let tolerance = T::of(8.0).to_f64() * rounding(&output);

        let renumbered = |values: &[T], order: &[usize]| {
            let columns = values.chunks_exact(order.len());
            columns.flat_map(|column| order.iter().filter_map(|&i| column.get(i).copied())).collect::<Vec<T>>()
        };
        let params = wiring.renumber(&self.params, &above.0, &below.0);
        let found = self.forward(&params, &renumbered(input, &below.0))?.output;
        subject.close("output of renumbered units", &renumbered(&output, &above.0), &found, tolerance)?;

        let rescaled = |values: &[T], factors: &[T]| {
            values.iter().zip(factors.iter().cycle()).map(|(&v, &f)| v * f).collect::<Vec<T>>()
        };
        let ones = |factors: &[T], scales: bool| if scales { factors.to_vec() } else { vec![T::one(); factors.len()] };
        let mut above = ones(&above.1, wiring.scales_out());
        let below = ones(&below.1, wiring.scales_in());
        if wiring.is_unit_by_unit() {
            above.clone_from(&below);
        }
        let mut params = self.params.clone();
        wiring.rescale(&mut params, &above, &below);
        let found = self.forward(&params, &rescaled(input, &below))?.output;
        let largest = above.iter().fold(T::one(), |most, &f| most.max(f)).to_f64();
        subject.close("output of rescaled units", &rescaled(&output, &above), &found, largest * tolerance)
    }

    /// The gradients of a sum of two cotangents, one of them doubled, against those of each.
    fn linear(&self, input: &[T], [c, other]: &[Vec<T>; 2]) -> Result<()> {
        let combined = |a: &[T], b: &[T]| a.iter().zip(b).map(|(&a, &b)| a + a + b).collect::<Vec<T>>();
        let mut pass = self.forward(&self.params, input)?;
        let sum = combined(c, other);
        let expected = combined(&self.input_gradient(&mut pass, c)?, &self.input_gradient(&mut pass, other)?);
        let found = self.input_gradient(&mut pass, &sum)?;
        self.subject.close("input_gradient of a sum of cotangents", &expected, &found, rounding(&expected))?;
        let expected = combined(&self.param_gradient(&mut pass, c)?, &self.param_gradient(&mut pass, other)?);
        let found = self.param_gradient(&mut pass, &sum)?;
        self.subject.close("param_gradient of a sum of cotangents", &expected, &found, rounding(&expected))
    }

    fn gradients(&self, input: &[T], cotangent: &[T], rng: &mut dyn rand::Rng) -> Result<Outcome> {
        let mut pass = self.forward(&self.params, input)?;
        self.subject.finite("output of forward", &pass.output)?;
        let by_input = self.input_gradient(&mut pass, cotangent)?;
        let by_params = self.param_gradient(&mut pass, cotangent)?;
        let inner = |output: &[T]| output.iter().zip(cotangent).map(|(y, c)| y.to_f64() * c.to_f64()).sum::<f64>();
        let products: Vec<T> = pass.output.iter().zip(cotangent).map(|(&y, &c)| y * c).collect();
        let scale = norm_squared(&products).to_f64().sqrt();

        let along_input = compare(self.subject, "input_gradient", (input, &by_input), scale, rng, |input| {
            Ok(inner(&self.forward(&self.params, input)?.output))
        })?;
        if self.params.is_empty() || along_input == Outcome::Unsettled {
            return Ok(along_input);
        }
        compare(self.subject, "param_gradient", (&self.params, &by_params), scale, rng, |params| {
            Ok(inner(&self.forward(params, input)?.output))
        })
    }
}
