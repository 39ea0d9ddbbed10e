//! A picture of the kernels of a convolution.

use crate::layer::tensors_of;
use crate::plot::scale::{Kind, Scale};
use crate::plot::tiles::Tiles;
use crate::plot::{Picture, drawable};
use crate::{DecoupledNetwork, Error, Result, Scalar};

/// The kernels of layer t of a network, one tile for each output channel, row by row: those of one input channel grey, of three red, green
/// and blue. With another number of input channels every output channel has a row, named by its number from 0, of a tile for each input
/// channel. (Of a [`ConvTranspose2d`](crate::layer::ConvTranspose2d), which has its kernels the other way round, rows are input channels.)
///
/// Mid-grey is 0; black and white are as far from it as the largest weight.
///
/// The kernels are the first [tensor](crate::layer::Tensor) of the layer with the axes channels, channels, height and width, or with three
/// axes, as in [`Conv1d`](crate::layer::Conv1d); so those of a chain are found as well.
///
/// ```
/// use decoupled::{DecoupledNetwork, layer::Activation, plot};
///
/// let builder = DecoupledNetwork::<f32>::builder([1, 8, 8]).conv2d(6, [3, 3], Activation::Relu);
/// let picture = plot::filters(&builder.dense(10, Activation::Identity).build()?, 0)?;
/// assert!(picture.svg().contains("weight"));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::LayerIndex`], [`Error::Unsupported`] for a layer without kernels, [`Error::ParameterNotFinite`], [`Error::HyperParameter`] for
/// a weight beyond ±1e300 and for more than a million weights, [`Error::Contract`] or [`Error::Panicked`] where the layer's tensors are
/// not those of its parameters.
pub fn filters<T: Scalar>(network: &DecoupledNetwork<T>, t: usize) -> Result<Picture> {
    let (Some(layer), Some(params)) = (network.layers.get(t), network.params.get(t)) else {
        return Err(Error::LayerIndex { what: "plot::filters", first: 0, count: network.depth(), found: t });
    };
    let (mut rest, mut first) = (params.as_slice(), 0);
    for tensor in tensors_of(&**layer, t, params.len())? {
        let (weights, after) = rest.split_at(tensor.len().min(rest.len()));
        let shape = match tensor.shape()[..] {
            [outputs, inputs, height, width] => [outputs, inputs, height, width],
            [outputs, inputs, width] => [outputs, inputs, 1, width],
            _ => [0; 4],
        };
        if !shape.contains(&0) {
            return draw(weights, shape, (t, first));
        }
        (rest, first) = (after, first + weights.len());
    }
    let why = "the layer has no kernels; name one that is a convolution";
    Err(Error::Unsupported { what: "a picture of filters", why })
}

/// The weights of layer t from its parameter `first` on, and their axes: outputs, inputs, height and width, none of them 0.
fn draw<'w, T: Scalar>(
    weights: &'w [T],
    [_, inputs, height, width]: [usize; 4],
    (layer, first): (usize, usize),
) -> Result<Picture> {
    let mut largest = 0.0_f64;
    for (i, weight) in weights.iter().enumerate() {
        let (value, index) = (weight.to_f64(), first + i);
        if !value.is_finite() {
            return Err(Error::ParameterNotFinite { layer, index, value });
        }
        drawable("weights of a filter", 0, index, value)?;
        largest = largest.max(value.abs());
    }
    let scale = Scale::new([-largest, largest].into_iter(), Kind::Linear, 0.0);
    let kernels = weights.chunks_exact(inputs * height * width);
    let (channels, rows) = if [1, 3].contains(&inputs) {
        (inputs, vec![(String::new(), kernels.collect())])
    } else {
        let row = |(i, kernel): (usize, &'w [T])| (i.to_string(), kernel.chunks_exact(height * width).collect());
        (1, kernels.enumerate().map(row).collect())
    };
    Tiles { rows, shape: [channels, height, width], scale, meaning: "weight" }.draw()
}
