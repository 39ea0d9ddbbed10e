//! A picture of a layer's output, channel by channel.

use crate::layer::Shape;
use crate::machine::parallel::guarded;
use crate::plot::scale::{Kind, Scale};
use crate::plot::tiles::Tiles;
use crate::plot::{Picture, drawable};
use crate::{DecoupledNetwork, Error, MatRef, Result, Scalar};

/// The forward activations of layer t for some inputs, `d_0 × n`, as pictures: a row for each input, and in it a grey tile for each
/// channel, from 0 on. The row of a single input is broken into lines.
///
/// Black is the least number, white the greatest; a bar says which.
///
/// ```
/// use decoupled::{DecoupledNetwork, data, layer::Activation, plot};
///
/// let digits = data::digits::<f32>()?.take(1)?;
/// let builder = DecoupledNetwork::builder([1, 8, 8]).conv2d(6, [3, 3], Activation::Relu);
/// let picture = plot::feature_maps(&builder.dense(10, Activation::Identity).build()?, 0, digits.inputs())?;
/// assert!(picture.svg().contains("activation"));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// As [`activations`](DecoupledNetwork::activations); [`Error::LayerIndex`], [`Error::Unsupported`] for a layer whose output is flat,
/// [`Error::Empty`] without inputs, [`Error::HyperParameter`] for an activation beyond ±1e300 and for more than a million pixels.
pub fn feature_maps<'x, T: Scalar>(
    network: &DecoupledNetwork<T>,
    t: usize,
    inputs: impl Into<MatRef<'x, T>>,
) -> Result<Picture> {
    let missing = Error::LayerIndex { what: "plot::feature_maps", first: 0, count: network.depth(), found: t };
    let layers = network.layers.get(..=t).ok_or(missing)?;
    let mut shape = Shape::Flat(network.input_dim());
    for (t, layer) in layers.iter().enumerate() {
        shape = guarded("output_shape", t, || layer.output_shape(if t == 0 { layer.input_shape() } else { shape }))?;
    }
    let Shape::Image { height, width, .. } = shape else {
        let why = "the layer's output is flat; name one whose output is a picture, as that of a convolution";
        return Err(Error::Unsupported { what: "a picture of feature maps", why });
    };
    let activations = network.activations(inputs)?;
    let outputs = activations.get(t).map(MatRef::from).ok_or(Error::Empty { what: "the list of layers" })?;
    for (example, output) in outputs.columns().enumerate() {
        output.iter().enumerate().try_for_each(|(row, x)| drawable("activations", example, row, x.to_f64()))?;
    }
    if outputs.cols() == 0 {
        return Err(Error::Empty { what: "the list of inputs" });
    }
    let scale = Scale::new(outputs.as_slice().iter().map(|x| x.to_f64()), Kind::Linear, 0.0);
    let rows = outputs.columns().map(|output| (String::new(), output.chunks_exact(height * width).collect())).collect();
    Tiles { rows, shape: [1, height, width], scale, meaning: "activation" }.draw()
}
