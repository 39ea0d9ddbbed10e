//! Plain networks of many hidden layers, and how much of the signal from the output is left in each.

use decoupled::layer::{Activation, Init};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::method::backprop;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, NetworkBuilder, Optimizer, Result};

/// Hidden layers of one kind below an output of classes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deep {
    pub(crate) activation: Activation,
    pub(crate) layers: usize,
    pub(crate) width: usize,
    /// Multiplies the initial weights, N(0, 1/inputs), for ReLU N(0, 2/inputs).
    pub(crate) gain: f64,
}

/// Examples that a signal is measured on.
const MEASURED: usize = 128;

impl Deep {
    /// With the weights as drawn.
    pub(crate) fn network(&self, data: &Dataset<f32>, rule: impl Optimizer<f32> + 'static) -> NetworkBuilder<f32> {
        let init = match self.activation {
            Activation::Relu => Init::he_normal(),
            _ => Init::lecun_normal(),
        };
        let init = init.gain(self.gain);
        let mut network = DecoupledNetwork::builder(data.input_dim());
        for _ in 0..self.layers {
            network = network.dense_with(self.width, self.activation, init);
        }
        network = network.dense_with(data.target_dim(), Activation::Identity, init);
        network.output_loss(SoftmaxCrossEntropy::new()).optimizer(rule)
    }
}

/// The signal in every hidden layer after one update by the method, or by backpropagation without one: how far it moves the
/// stored activations from the forward pass, in units of their size, or the gradient of the loss; root mean squares over some
/// examples.
pub(crate) fn signals(
    mut network: DecoupledNetwork<f32>,
    method: Option<&Method<f32>>,
    data: &Dataset<f32>,
) -> Result<Vec<f64>> {
    let batch = data.take(data.len().min(MEASURED))?;
    let config = FitConfig::new().epochs(1).full_batch();
    match method {
        Some(method) => network.fit(&batch, &config.method(method.clone()))?,
        None => network.fit_backprop(&batch, &config)?,
    };
    let (objective, depth) = (network.objective(), network.depth());
    let mut block = objective.block(batch.len());
    block.stored_mut(0).copy_from_slice(batch.inputs().as_slice());
    block.stored_mut(depth).copy_from_slice(batch.targets().as_slice());
    let Some(method) = method else {
        let mut gradients: Vec<_> = (0..depth).map(|t| vec![0.0; network.params(t).len()]).collect();
        backprop::gradients(&objective, &mut block, &mut gradients)?;
        let share = (batch.len() as f64).sqrt();
        return Ok((1..depth).map(|t| norm(block.gradient(t).as_slice()) / share).collect());
    };
    objective.anchor(&mut block)?;
    let forward: Vec<Vec<f32>> = (0..depth).map(|t| block.stored(t).as_slice().to_vec()).collect();
    method.activation_step().relax(&objective, &mut block)?;
    let size = |t: usize| {
        let z = block.stored(t).as_slice();
        let moved: Vec<f32> = z.iter().zip(&forward[t]).map(|(z, a)| z - a).collect();
        norm(&moved) / norm(z)
    };
    Ok((1..depth).map(size).collect())
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}
