//! A start that gives every unit the same variance over the data, for networks whose signal fades or explodes from the weights as drawn.

use crate::layer::{Regression, pre_activation_rows};
use crate::machine::linalg::matrix::{check_diverged, check_finite, check_shape, filled};
use crate::machine::parallel::guarded;
use crate::machine::setting::require_positive;
use crate::method::circuit::Circuit;
use crate::{DecoupledNetwork, Error, Layer, MatMut, MatRef, Result, Scalar};

impl<T: Scalar> DecoupledNetwork<T> {
    /// Scales and shifts every hidden unit, layer after layer from the input, so that its pre-activation has mean 0 and this
    /// `variance` over `inputs` (`d_0 × n`; some 2,000 examples will do).
    ///
    /// Every hidden layer must offer a [regression](crate::Layer::regression): a dense map fused with its activation function
    /// does, an activation function by itself does not. So this does not apply to networks with
    /// [`store_pre_activations`](crate::NetworkBuilder::store_pre_activations), nor to the methods that need it,
    /// [`bcd`](crate::Method::bcd) and [`admm`](crate::Method::admm).
    ///
    /// The output layer, the optimizers and the bank do not change: this is meant for before the first fit.
    ///
    /// Mishkin, Matas (2016), *All you need is a good init*, arXiv 1511.06422, and Krähenbühl et al. (2016), *Data-dependent
    /// initializations of convolutional neural networks*, arXiv 1511.06856. Departs from the first in that it makes nothing
    /// orthogonal and scales every unit separately.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Empty`] or [`Error::HyperParameter`] for inputs or a variance that do not fit;
    /// [`Error::Incapable`] for a hidden layer without [regression](crate::Layer::regression); [`Error::NotPositiveDefinite`];
    /// [`Error::Diverged`] (epoch 0) when a parameter is not finite; [`Error::Panicked`]; [`Error::Unsupported`] when a layer is
    /// [frozen](Self::freeze). Nothing has changed in that case.
    pub fn start_from_unit_variance<'x>(&mut self, inputs: impl Into<MatRef<'x, T>>, variance: f64) -> Result<()> {
        let inputs = inputs.into();
        require_positive::<T>("variance of the pre-activations", variance)?;
        self.check_unfrozen("start_from_unit_variance")?;
        self.check_sample(inputs)?;
        let params = self.pool.install(|| self.unit_variance(inputs, variance))?;
        self.start_with(params);
        Ok(())
    }

    /// Computes the parameters of [`start_from_unit_variance`](Self::start_from_unit_variance).
    fn unit_variance(&self, inputs: MatRef<'_, T>, variance: f64) -> Result<Vec<Vec<T>>> {
        let hidden = self.hidden_regressions()?;
        let mut params = self.params.clone();
        let mut z = inputs.as_slice().to_vec();
        for (t, (layer, rows)) in hidden.into_iter().enumerate() {
            let input = MatRef::new(&z, self.layers[t].input_dim(), inputs.cols());
            let output = Circuit::new(&self.layers, &params).output(t, input)?;
            let mut wanted = pre_activation((layer, rows), &params[t], input, &output, t)?;
            standardise(&mut wanted, rows, variance.sqrt());
            fit((layer, rows), &mut params[t], input, &wanted, t)?;
            // By the new parameters: the next layer is scaled for the input that it will have.
            z = Circuit::new(&self.layers, &params).output(t, input)?;
        }
        Ok(params)
    }

    pub(super) fn check_sample(&self, inputs: MatRef<'_, T>) -> Result<()> {
        check_shape("rows of the inputs (features)", self.input_dim(), inputs.rows())?;
        if inputs.cols() == 0 {
            return Err(Error::Empty { what: "the sample of inputs" });
        }
        check_finite("inputs", inputs)
    }

    /// Returns the regressions of the hidden layers, each with the rows of its pre-activation.
    fn hidden_regressions(&self) -> Result<Vec<(&dyn Regression<T>, usize)>> {
        let hidden = self.layers.iter().take(self.depth() - 1).enumerate();
        let own = hidden.map(|(t, layer)| {
            let regression = guarded("regression", t, || layer.regression())?.ok_or_else(|| incapable(t, &**layer))?;
            Ok((regression, pre_activation_rows(regression, t)?))
        });
        own.collect()
    }
}

/// Weight of ‖θ − θ_old‖², which keeps parameters that the examples do not determine, in units of the mean variance of the layer's inputs.
const PROXIMAL: f64 = 1e-5;

/// Computes the pre-activation, `rows × n`, from which the layer outputs `output`: the present one, if that is its present output.
fn pre_activation<T: Scalar>(
    (layer, rows): (&dyn Regression<T>, usize),
    params: &[T],
    input: MatRef<'_, T>,
    output: &[T],
    t: usize,
) -> Result<Vec<T>> {
    let examples = input.cols();
    let mut out = filled("pre-activations", rows.saturating_mul(examples), T::zero())?;
    let output = MatRef::new(output, output.len() / examples, examples);
    let wanted = MatMut::new(&mut out, rows, examples);
    guarded("pre_activation", t, || layer.pre_activation(params, input, output, wanted))?
        .map_err(|error| error.at_layer(t))?;
    Ok(out)
}

/// Fits a layer by least squares from `input` to `wanted`. Weights that the examples do not determine keep their values.
fn fit<T: Scalar>(
    (layer, rows): (&dyn Regression<T>, usize),
    params: &mut [T],
    input: MatRef<'_, T>,
    wanted: &[T],
    t: usize,
) -> Result<()> {
    let len = guarded("the regression", t, || layer.moments_len())?;
    let mut moments = filled("the moments of a regression", len, T::zero())?;
    // The moments are sums over examples, so the unit has their number as a factor.
    let unit = variances(input).iter().sum::<f64>() * input.cols() as f64 / input.rows() as f64;
    let proximal = T::of(PROXIMAL * unit.max(f64::MIN_POSITIVE));
    guarded("regression", t, || {
        layer.accumulate(input, MatRef::new(wanted, rows, input.cols()), &[], &mut moments);
        layer.solve(&moments, T::zero(), proximal, params, &mut Vec::new())
    })?
    .map_err(|error| error.at_layer(t))?;
    check_diverged(params, t, "a parameter")
}

fn incapable<T: Scalar>(layer: usize, own: &dyn Layer<T>) -> Error {
    Error::Incapable {
        layer,
        name: format!("{own:?}"),
        lacks: "it offers no regression (Layer::regression), by which a start fits it to the data; if it is an activation \
                function, fuse it with the map below, as dense does without store_pre_activations",
        methods: "every method that suits it, from the parameters as drawn",
    }
}

/// Computes the variance of every row.
fn variances<T: Scalar>(m: MatRef<'_, T>) -> Vec<f64> {
    let n = m.cols() as f64;
    let mut mean = vec![0.0; m.rows()];
    m.columns().for_each(|column| mean.iter_mut().zip(column).for_each(|(m, x)| *m += x.to_f64() / n));
    // In a second pass: sums of squares far from 0 would cancel.
    let mut variance = vec![0.0; m.rows()];
    for column in m.columns() {
        for ((v, m), x) in variance.iter_mut().zip(&mean).zip(column) {
            *v += (x.to_f64() - m).powi(2) / n;
        }
    }
    variance
}

/// Scales every row to mean 0 and standard deviation `spread`; a constant row gets zeros.
fn standardise<T: Scalar>(values: &mut [T], rows: usize, spread: f64) {
    let n = (values.len() / rows) as f64;
    let variances = variances(MatRef::new(values, rows, values.len() / rows));
    for (row, variance) in variances.into_iter().enumerate() {
        let own = || (row..).step_by(rows);
        let mean = own().take(n as usize).map(|i| values[i].to_f64()).sum::<f64>() / n;
        // The computed mean of equal values differs from them by rounding, so their variance is not exactly 0.
        let rounding = n * f64::EPSILON * mean;
        let scale = if variance > rounding * rounding { spread / variance.sqrt() } else { 0.0 };
        for i in own().take(n as usize) {
            values[i] = T::of((values[i].to_f64() - mean) * scale);
        }
    }
}
