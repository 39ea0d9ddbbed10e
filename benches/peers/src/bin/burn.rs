//! burn by backpropagation: `burn JOB`.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{relu, tanh};
use burn::tensor::{Device, Int, Tensor, TensorData};
use peers::{Batches, Convolution, Net, mnist, net, serve};

#[derive(Module, Debug)]
struct Network {
    convolutions: Vec<Conv2d>,
    pool: MaxPool2d,
    layers: Vec<Linear>,
    tanh: bool,
}

impl Network {
    fn forward(&self, mut z: Tensor<2>) -> Tensor<2> {
        if !self.convolutions.is_empty() {
            let examples = z.dims()[0];
            let mut picture = z.reshape([examples, 1, 28, 28]);
            for convolution in &self.convolutions {
                picture = self.pool.forward(relu(convolution.forward(picture)));
            }
            z = picture.flatten(1, 3);
        }
        for (t, layer) in self.layers.iter().enumerate() {
            z = layer.forward(z);
            if t + 1 < self.layers.len() {
                z = if self.tanh { tanh(z) } else { relu(z) };
            }
        }
        z
    }
}

fn main() {
    let Net { convolutions, widths, tanh } = net(&std::env::args().nth(1).expect("a job"));
    let device = Device::flex().autodiff();
    let data = mnist();
    let count = data.len();
    let inputs = Tensor::<2>::from_data(TensorData::new(data.inputs().as_slice().to_vec(), [count, 784]), &device);
    let labels: Vec<i64> = data.labels().expect("labels").iter().map(|&label| label as i64).collect();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [count]), &device);
    drop(data);

    let convolution = |of: &Convolution| {
        let (channels, padding) = ([of.inputs, of.channels], of.padding);
        let padding = PaddingConfig2d::Explicit(padding, padding, padding, padding);
        Conv2dConfig::new(channels, [of.kernel; 2]).with_padding(padding).init(&device)
    };
    let convolutions = convolutions.iter().map(convolution).collect();
    let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
    let layers = widths.windows(2).map(|pair| LinearConfig::new(pair[0], pair[1]).init(&device)).collect();
    let optimizer = AdamConfig::new().with_epsilon(1e-8).init();
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut batches = Batches::new(count);
    serve(
        (Some(Network { convolutions, pool, layers, tanh }), optimizer),
        |(model, optimizer): &mut (Option<Network>, ModuleOptimizer)| {
            for batch in batches.shuffled() {
                let network = model.take().expect("the model");
                let indices: Vec<i64> = batch.iter().map(|&i| i64::from(i)).collect();
                let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [batch.len()]), &device);
                let outputs = network.forward(inputs.clone().select(0, indices.clone()));
                let gradients = loss.forward(outputs, labels.clone().select(0, indices)).backward();
                let gradients = GradientsParams::from_grads(gradients, &network);
                *model = Some(optimizer.step(1e-3, network, gradients));
            }
        },
        |(model, _)| {
            let network = model.as_ref().expect("the model");
            let right = (0..count).step_by(1000).map(|begin| {
                let outputs = network.forward(inputs.clone().narrow(0, begin, 1000));
                let found = outputs.argmax(1).reshape([1000]);
                let labels = labels.clone().narrow(0, begin, 1000);
                found.equal(labels).int().sum().into_scalar::<i64>()
            });
            right.sum::<i64>() as f64 / count as f64
        },
    );
}
