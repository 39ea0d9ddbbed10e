//! candle by backpropagation: `candle JOB`.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{
    AdamW, Conv2d, Conv2dConfig, Linear, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, conv2d, linear, loss,
};
use peers::{Batches, Convolution, Net, mnist, net, serve};

fn forward(convolutions: &[Conv2d], layers: &[Linear], tanh: bool, inputs: &Tensor) -> Result<Tensor> {
    let (last, hidden) = layers.split_last().expect("a layer");
    let mut z = inputs.clone();
    if !convolutions.is_empty() {
        z = z.reshape((z.dim(0)?, 1, 28, 28))?;
        for convolution in convolutions {
            z = convolution.forward(&z)?.relu()?.max_pool2d(2)?;
        }
        z = z.flatten_from(1)?;
    }
    for layer in hidden {
        z = layer.forward(&z)?;
        z = if tanh { z.tanh()? } else { z.relu()? };
    }
    last.forward(&z)
}

fn main() -> Result<()> {
    let Net { convolutions, widths, tanh } = net(&std::env::args().nth(1).expect("a job"));
    let device = Device::Cpu;
    let data = mnist();
    let count = data.len();
    let inputs = Tensor::from_slice(data.inputs().as_slice(), (count, 784), &device)?;
    let labels: Vec<u32> = data.labels().expect("labels").iter().map(|&label| label as u32).collect();
    let labels = Tensor::from_vec(labels, count, &device)?;
    drop(data);

    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &device);
    let convolution = |(t, of): (usize, &Convolution)| {
        let config = Conv2dConfig { padding: of.padding, ..Conv2dConfig::default() };
        conv2d(of.inputs, of.channels, of.kernel, config, builder.pp(format!("convolution{t}")))
    };
    let convolutions: Vec<Conv2d> = convolutions.iter().enumerate().map(convolution).collect::<Result<_>>()?;
    let layers: Vec<Linear> = widths
        .windows(2)
        .enumerate()
        .map(|(t, pair)| linear(pair[0], pair[1], builder.pp(t)))
        .collect::<Result<_>>()?;
    // Without weight decay it is Adam.
    let adam = ParamsAdamW { lr: 1e-3, weight_decay: 0.0, ..ParamsAdamW::default() };
    let optimizer = AdamW::new(variables.all_vars(), adam)?;
    let mut batches = Batches::new(count);
    let mut epoch = |optimizer: &mut AdamW| -> Result<()> {
        for batch in batches.shuffled() {
            let indices = Tensor::from_slice(batch, batch.len(), &device)?;
            let outputs = forward(&convolutions, &layers, tanh, &inputs.index_select(&indices, 0)?)?;
            optimizer.backward_step(&loss::cross_entropy(&outputs, &labels.index_select(&indices, 0)?)?)?;
        }
        Ok(())
    };
    let score = || -> Result<f64> {
        let mut right = 0;
        for begin in (0..count).step_by(1000) {
            let found = forward(&convolutions, &layers, tanh, &inputs.narrow(0, begin, 1000)?)?.argmax(1)?;
            right += found.eq(&labels.narrow(0, begin, 1000)?)?.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()?;
        }
        Ok(f64::from(right) / count as f64)
    };
    serve(optimizer, |optimizer| epoch(optimizer).expect("an epoch"), |_| score().expect("a score"));
    Ok(())
}
