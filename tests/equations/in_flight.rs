//! Layers in flight, against a plain simulation and against backpropagation.

use std::sync::{Arc, Mutex};

use decoupled::data::Examples;
use decoupled::layer::{Activation, Init};
use decoupled::nalgebra::DMatrix;
use decoupled::optimizer::Adam;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Layer, MatMut, MatRef, Method, NetworkBuilder};

type Net = DecoupledNetwork<f64>;
type Matrix = DMatrix<f64>;

/// The identity, which notes the first entry of each of its inputs.
#[derive(Debug)]
struct Noting {
    width: usize,
    seen: Arc<Mutex<Vec<f64>>>,
}

impl Layer<f64> for Noting {
    fn input_dim(&self) -> usize {
        self.width
    }
    fn output_dim(&self) -> usize {
        self.width
    }
    fn forward(&self, _: &[f64], input: MatRef<'_, f64>, mut output: MatMut<'_, f64>, _: &mut [f64]) {
        self.seen.lock().unwrap().extend(input.columns().map(|column| column[0]));
        output.as_mut_slice().copy_from_slice(input.as_slice());
    }
    fn input_gradient(
        &self,
        _: &[f64],
        _: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        mut gradient: MatMut<'_, f64>,
        _: &mut [f64],
    ) {
        gradient.as_mut_slice().copy_from_slice(cotangent.as_slice());
    }
    fn param_gradient(&self, _: &[f64], _: MatRef<'_, f64>, _: MatRef<'_, f64>, _: &mut [f64], _: &mut [f64]) {}
}

/// A dense layer with Adam, as the textbook has it.
struct Plain {
    weights: Matrix,
    bias: Matrix,
    moments: [[Matrix; 2]; 2],
    steps: i32,
    /// The last step.
    last: [Matrix; 2],
    sums: [Matrix; 2],
    tanh: bool,
}

const RATE: f64 = 0.01;

impl Plain {
    /// From parameters as the crate keeps them: the weights, column after column, then the biases.
    fn new(params: &[f64], inputs: usize, tanh: bool) -> Self {
        let units = params.len() / (inputs + 1);
        let zero = || [Matrix::zeros(units, inputs), Matrix::zeros(units, 1)];
        Self {
            weights: Matrix::from_column_slice(units, inputs, &params[..units * inputs]),
            bias: Matrix::from_column_slice(units, 1, &params[units * inputs..]),
            moments: [zero(), zero()],
            steps: 0,
            last: zero(),
            sums: zero(),
            tanh,
        }
    }

    fn params(&self) -> Vec<f64> {
        self.weights.iter().chain(self.bias.iter()).copied().collect()
    }

    /// The output with the parameters expected `delay` steps from now.
    fn forward(&self, input: &Matrix, delay: f64) -> Matrix {
        let (weights, bias) = (&self.weights + delay * &self.last[0], &self.bias + delay * &self.last[1]);
        let sums = weights * input;
        let sums = Matrix::from_fn(sums.nrows(), sums.ncols(), |i, j| sums[(i, j)] + bias[(i, 0)]);
        if self.tanh { sums.map(f64::tanh) } else { sums }
    }

    /// Adds the gradient, and returns the error of the input.
    fn backward(&mut self, input: &Matrix, output: &Matrix, error: &Matrix) -> Matrix {
        let error = if self.tanh { error.zip_map(output, |e, y| e * (1.0 - y * y)) } else { error.clone() };
        self.sums[0] += &error * input.transpose();
        self.sums[1] += Matrix::from_fn(error.nrows(), 1, |i, _| error.row(i).sum());
        self.weights.transpose() * error
    }

    fn step(&mut self, examples: usize, factor: f64) {
        self.steps += 1;
        let (first, second) = (1.0 - 0.9_f64.powi(self.steps), 1.0 - 0.999_f64.powi(self.steps));
        for (k, params) in [&mut self.weights, &mut self.bias].into_iter().enumerate() {
            let gradient = &self.sums[k] / examples as f64;
            self.moments[0][k] = 0.9 * &self.moments[0][k] + 0.1 * &gradient;
            self.moments[1][k] = 0.999 * &self.moments[1][k] + 0.001 * gradient.map(|g| g * g);
            let scaled = self.moments[0][k].zip_map(&self.moments[1][k], |m, v| {
                (m / first) / ((v / second).sqrt() + 1e-8)
            });
            self.last[k] = -RATE * factor * scaled;
            *params += &self.last[k];
            self.sums[k].fill(0.0);
        }
    }
}

/// A micro-batch of the simulation.
struct Micro {
    examples: Vec<usize>,
    /// Examples of its batch, if it is the last of it.
    completes: Option<usize>,
    /// The input of every layer, and the output.
    activations: Vec<Matrix>,
    error: Matrix,
}

/// An epoch of the schedule that `Method::in_flight` describes: ticks, each of which takes micro-batches down, then up.
fn simulate(
    layers: &mut [Plain],
    stages: usize,
    (inputs, targets): (&Matrix, &Matrix),
    batches: Vec<Vec<Vec<usize>>>,
    (full, warm_up): (usize, f64),
) {
    let per_stage = layers.len() / stages;
    let mut all = Vec::new();
    for batch in batches {
        let (examples, parts) = (batch.iter().map(Vec::len).sum(), batch.len());
        for (i, part) in batch.into_iter().enumerate() {
            let completes = (i + 1 == parts).then_some(examples);
            all.push(Micro { examples: part, completes, activations: Vec::new(), error: Matrix::zeros(0, 0) });
        }
    }
    // Adam's last step of an epoch is no forecast for the first ticks of the next: nothing is late there.
    layers.iter_mut().for_each(|layer| layer.last.iter_mut().for_each(|last| last.fill(0.0)));
    for tick in 0..all.len() + 2 * stages - 1 {
        for s in (0..stages).rev() {
            let Some(m) = (tick + s + 1).checked_sub(2 * stages).filter(|&m| m < all.len()) else { continue };
            let micro = &mut all[m];
            for t in (s * per_stage..(s + 1) * per_stage).rev() {
                micro.error = layers[t].backward(&micro.activations[t], &micro.activations[t + 1], &micro.error);
            }
            if let Some(examples) = micro.completes {
                for layer in &mut layers[s * per_stage..(s + 1) * per_stage] {
                    let warm = f64::from(layer.steps + 1) / warm_up;
                    let factor = if stages == 1 { 1.0 } else { warm.min(1.0) };
                    layer.step(examples, if stages > 11 { 0.5 * factor } else { factor });
                }
            }
        }
        for s in 0..stages {
            let Some(m) = tick.checked_sub(s).filter(|&m| m < all.len()) else { continue };
            let micro = &mut all[m];
            if s == 0 {
                micro.activations.push(inputs.select_columns(&micro.examples));
            }
            for t in s * per_stage..(s + 1) * per_stage {
                let delay = 2.0 * (stages - 1 - s) as f64 / full as f64;
                micro.activations.push(layers[t].forward(&micro.activations[t], delay));
            }
            if s + 1 == stages {
                micro.error = micro.activations.last().unwrap() - targets.select_columns(&micro.examples);
            }
        }
    }
}

fn uniform(rows: usize, cols: usize, seed: u64) -> Matrix {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    Matrix::from_fn(rows, cols, |_, _| 2.0 * rng.random::<f64>() - 1.0)
}

fn dense(inputs: usize, hidden: usize, width: usize, output: usize) -> NetworkBuilder<f64> {
    let builder = (0..hidden).fold(Net::builder(inputs), |net, _| {
        net.dense_with(width, Activation::Tanh, Init::for_activation(Activation::Tanh))
    });
    builder.dense_with(output, Activation::Identity, Init::for_activation(Activation::Tanh))
}

fn dataset(inputs: &Matrix, targets: &Matrix) -> Dataset<f64> {
    let [inputs, targets] = [inputs, targets].map(|of| Examples::from_column_matrix(of.clone()).unwrap());
    Dataset::regression(inputs, targets).unwrap()
}

/// The parameters after some epochs are those of a simulation on dense matrices, for several depths, numbers of stages and micro-batches,
/// with batches that do not divide.
#[test]
fn a_flight_is_what_a_plain_simulation_says() {
    // Hidden layers, stages, micro-batch, examples of a batch; and the examples of the parts of a full batch and of the last of 23 examples,
    // by hand.
    type Case = (usize, usize, usize, usize, &'static [usize], &'static [usize]);
    let cases: [Case; 7] = [
        (1, 1, 3, 8, &[3, 3, 2], &[3, 3, 1]),
        (1, 2, 8, 8, &[8], &[7]),
        (3, 2, 2, 8, &[2, 2, 2, 2], &[2, 2, 2, 1]),
        (3, 4, 4, 8, &[4, 4], &[4, 3]),
        (5, 6, 8, 8, &[3, 3, 2], &[3, 3, 1]),
        (5, 3, 1, 4, &[1, 1, 1, 1], &[1, 1, 1]),
        (11, 12, 9, 23, &[8, 8, 7], &[8, 8, 7]),
    ];
    for (hidden, stages, micro_batch, batch, full, last) in cases {
        let (examples, epochs) = (23, 3);
        let (mut inputs, targets) = (uniform(3, examples, 1), uniform(2, examples, 2));
        // The example's number, for `Noting`.
        (0..examples).for_each(|i| inputs[(0, i)] = i as f64 / 23.0);
        let data = dataset(&inputs, &targets);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut net = dense(3, hidden, 4, 2)
            .optimizer(Adam::new(RATE))
            .method(Method::in_flight(stages, micro_batch))
            .seed(5)
            .threads(1)
            .build()
            .unwrap();
        let widths = |t: usize| if t == 0 { 3 } else { 4 };
        let mut plain: Vec<Plain> =
            (0..=hidden).map(|t| Plain::new(net.params(t), widths(t), t < hidden)).collect();
        // The order of an epoch is that of the seed for every method: a network that notes it.
        let mut noting = Net::builder(3)
            .layer(Noting { width: 3, seen: Arc::clone(&seen) })
            .dense(2, Activation::Identity)
            .threads(1)
            .build()
            .unwrap();
        // A build tries its layers out.
        seen.lock().unwrap().clear();
        let config = FitConfig::new().epochs(epochs).batch_size(batch).seed(9);
        noting.fit_backprop(&data, &config.clone().batch_size(1)).unwrap();
        let order: Vec<usize> =
            seen.lock().unwrap().iter().map(|x| (x * 23.0).round() as usize).take(examples * epochs).collect();

        net.fit(&data, &config).unwrap();
        let batches = examples.div_ceil(batch);
        for epoch in order.chunks(examples) {
            let parts = epoch.chunks(batch).map(|own| {
                let sizes = if own.len() == batch { full } else { last };
                let mut rest = own.iter().copied();
                sizes.iter().map(|&size| rest.by_ref().take(size).collect()).collect::<Vec<Vec<usize>>>()
            });
            let warm_up = batches.div_ceil(2) as f64;
            simulate(&mut plain, stages, (&inputs, &targets), parts.collect(), (full.len(), warm_up));
        }
        for (t, plain) in plain.iter().enumerate() {
            for (found, expected) in net.params(t).iter().zip(plain.params()) {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{hidden} hidden layers, {stages} stages, layer {t}: {found} instead of {expected}"
                );
            }
        }
    }
}
