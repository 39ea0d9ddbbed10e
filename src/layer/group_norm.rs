//! Group normalisation: over groups of channels of each picture, never over the batch.

use rand::Rng;

use super::channels::add_channel_sums;
use super::layer_norm::{standardise, standardise_gradient};
use super::{Layer, Shape, Tensor};
use crate::error::require;
use crate::machine::linalg::sum_zip;
use crate::machine::setting::require_positive;
use crate::{MatMut, MatRef, Result, Scalar};

/// Group normalisation: each group of consecutive channels of each example is brought to mean 0 and variance 1 over its pixels, and
/// each channel is then scaled and shifted by parameters,
///
/// ```text
/// z̄[c, y, x] = (z[c, y, x] − mean z_g) / √(var z_g + ε)        z_g: the channels of c's group
/// ẑ[c, y, x] = γ[c] · z̄[c, y, x] + β[c]
/// ```
///
/// with the variance a mean over the group's numbers. A group for each channel is instance normalisation; one group of all channels is
/// layer normalisation of a picture. Input and output `channels · height · width × n`; of a flat shape, every number is a channel.
/// Parameters: γ (initially 1), then β (initially 0), `channels` each.
///
/// There is no batch normalisation: it normalises each channel over the examples of a batch, and
/// [no column may influence another](Layer#contract). Here every example has activations of its own that are stored and updated from one
/// visit to the next; with statistics of a batch they would depend on the examples that it happens to be drawn with. `GroupNorm` takes its
/// place between layers. For a signal that passes through many dense layers at the start of training, an
/// [isometric start](crate::DecoupledNetwork::start_isometric) does without any normalisation.
///
/// Y. Wu, K. He (2018), *Group Normalization*, arXiv:1803.08494; D. Ulyanov, A. Vedaldi, V. Lempitsky (2016), *Instance Normalization: The
/// Missing Ingredient for Fast Stylization*, arXiv:1607.08022.
///
/// ```
/// use decoupled::layer::GroupNorm;
///
/// let instance_norm = GroupNorm::new([6, 3, 2], 6);
/// [GroupNorm::new([6, 3, 2], 3), instance_norm].iter().try_for_each(|layer| decoupled::check::layer::<f64>(layer))?;
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "GroupNormalization")]
#[doc(alias = "InstanceNorm2d")]
#[doc(alias = "InstanceNormalization")]
#[doc(alias = "BatchNorm2d")]
pub struct GroupNorm {
    shape: Shape,
    groups: usize,
    epsilon: f64,
}

impl GroupNorm {
    /// Normalises `groups` groups of channels, a divisor of their number, with ε = 1e-5.
    pub fn new(shape: impl Into<Shape>, groups: usize) -> Self {
        Self { shape: shape.into(), groups, epsilon: 1e-5 }
    }

    /// Sets the number that is added to the variance; positive.
    #[must_use]
    pub const fn epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    fn channels(&self) -> usize {
        let [channels, ..] = self.shape.image();
        channels
    }

    fn pixels(&self) -> usize {
        self.shape.len() / self.channels()
    }

    /// Splits the cache into z̄ and 1/√(var z + ε).
    fn split<'a, T>(&self, cache: &'a mut [T], examples: usize) -> (&'a mut [T], &'a mut [T]) {
        cache.split_at_mut(self.shape.len() * examples)
    }
}

// The cache holds z̄ (channels · height · width × n), then 1/√(var z + ε) of each group (groups × n).
impl<T: Scalar> Layer<T> for GroupNorm {
    fn input_dim(&self) -> usize {
        self.shape.len()
    }

    fn output_dim(&self) -> usize {
        self.shape.len()
    }

    fn input_shape(&self) -> Shape {
        self.shape
    }

    fn output_shape(&self, _input: Shape) -> Shape {
        self.shape
    }

    fn param_len(&self) -> usize {
        self.channels().saturating_mul(2)
    }

    fn cache_len(&self, examples: usize) -> usize {
        self.shape.len().saturating_add(self.groups).saturating_mul(examples)
    }

    fn validate(&self) -> Result<()> {
        let divides = self.groups > 0 && self.channels().is_multiple_of(self.groups);
        require(divides, "groups of GroupNorm", "a divisor of the channels", self.groups as f64)?;
        // A single number is its mean: the output would be β, whatever the input.
        let numbers = self.shape.len() / self.groups;
        require(numbers > 1, "numbers of a group of GroupNorm", "at least 2", numbers as f64)?;
        require_positive::<T>("epsilon of GroupNorm", self.epsilon)
    }

    fn init_params(&self, params: &mut [T], _rng: &mut dyn Rng) {
        let (gain, bias) = params.split_at_mut(self.channels());
        gain.fill(T::one());
        bias.fill(T::zero());
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        let (gain, bias) = params.split_at(self.channels());
        let (normal, scales) = self.split(cache, input.cols());
        let (numbers, epsilon) = (self.shape.len() / self.groups, T::of(self.epsilon));
        let groups = input.as_slice().chunks_exact(numbers).zip(normal.chunks_exact_mut(numbers));
        for ((z, normal), scale) in groups.zip(scales) {
            *scale = standardise(z, epsilon, normal);
        }
        for (y, normal) in output.columns_mut().zip(normal.chunks_exact(self.shape.len())) {
            let channels = y.chunks_exact_mut(self.pixels()).zip(normal.chunks_exact(self.pixels()));
            for ((y, normal), (&g, &b)) in channels.zip(gain.iter().zip(bias)) {
                y.iter_mut().zip(normal).for_each(|(y, &normal)| *y = g * normal + b);
            }
        }
    }

    fn input_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let (gain, _) = params.split_at(self.channels());
        for (grad, c) in grad.columns_mut().zip(cotangent.columns()) {
            let channels = grad.chunks_exact_mut(self.pixels()).zip(c.chunks_exact(self.pixels()));
            for ((d, c), &g) in channels.zip(gain) {
                d.iter_mut().zip(c).for_each(|(d, &c)| *d = g * c);
            }
        }
        let (normal, scales) = self.split(cache, input.cols());
        let numbers = self.shape.len() / self.groups;
        let groups = grad.as_mut_slice().chunks_exact_mut(numbers).zip(normal.chunks_exact(numbers));
        for ((d, normal), &scale) in groups.zip(&*scales) {
            standardise_gradient(normal, scale, d);
        }
    }

    fn param_gradient(
        &self,
        _params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        let (normal, _) = self.split(cache, input.cols());
        grad.fill(T::zero());
        let (gain, bias) = grad.split_at_mut(self.channels());
        for (normal, c) in normal.chunks_exact(self.shape.len()).zip(cotangent.columns()) {
            let channels = normal.chunks_exact(self.pixels()).zip(c.chunks_exact(self.pixels()));
            for (g, (normal, c)) in gain.iter_mut().zip(channels) {
                *g += sum_zip(normal, c, |z, c| z * c);
            }
            add_channel_sums(c, bias);
        }
    }

    fn tensors(&self) -> Vec<Tensor> {
        ["weight", "bias"].map(|name| Tensor::vector(name, self.channels())).into()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("GroupNorm", self)
    }
}
