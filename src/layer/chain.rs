//! Several layers fused into one: nothing is stored in the bank between them.

use std::sync::Arc;

use rand::Rng;

use super::noise::{Passes, noise_len};
use super::{Activation, Change, Layer, Noise, Regression, Shape, Tensor, Unit, Wiring, shape_above};
use crate::{Error, MatMut, MatRef, Result, Scalar};

/// Several maps in a row as one unit, ẑ = f_k(… f_2(f_1(z))), differentiated as a whole.
///
/// What stands inside has no activation of its own in the bank: a chain of one affine map and one activation function is the
/// usual layer. Parameters are those of the maps, one after the other.
///
/// # Example
///
/// ```
/// use decoupled::{
///     Layer,
///     layer::{Activation, Chain, Dense, Elementwise},
/// };
///
/// let unit = Chain::<f64>::new().then(Dense::new(3, 5)).then(Elementwise::new(5, Activation::Tanh));
/// assert_eq!((unit.input_dim(), unit.output_dim(), unit.param_len()), (3, 5, 20));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Scalar"))]
pub struct Chain<T> {
    layers: Vec<Arc<dyn Layer<T>>>,
}

impl<T: Scalar> Default for Chain<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> Chain<T> {
    /// A chain without maps; add at least one.
    pub const fn new() -> Self {
        Self { layers: Vec::new() }
    }

    /// Adds `layer` on top.
    #[must_use]
    pub fn then(mut self, layer: impl Layer<T> + 'static) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// The maps, from the input up.
    pub fn layers(&self) -> &[Arc<dyn Layer<T>>] {
        &self.layers
    }

    /// Evaluates the maps one after the other, with or without noise.
    fn run(
        &self,
        mut passes: Passes<'_, T>,
        mut params: &[T],
        input: MatRef<'_, T>,
        output: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let examples = input.cols();
        let (mut input, mut cache) = (input, cache);
        let Some((last, below)) = self.layers.split_last() else { return };
        for layer in below {
            let (own_params, rest_params) = params.split_at(layer.param_len());
            let (own_cache, rest) = cache.split_at_mut(layer.cache_len(examples));
            let len = layer.output_dim() * examples;
            let (between, rest) = rest.split_at_mut(len);
            let (_cotangent, rest) = rest.split_at_mut(len);
            let output = MatMut::new(between, layer.output_dim(), examples);
            passes.forward(&**layer, own_params, input, output, own_cache);
            input = MatRef::new(between, layer.output_dim(), examples);
            (params, cache) = (rest_params, rest);
        }
        passes.forward(&**last, params, input, output, cache);
    }
}

/// Cuts the last `len` entries off `slice`.
fn split_end<'a, T>(slice: &mut &'a [T], len: usize) -> &'a [T] {
    let (rest, end) = slice.split_at(slice.len() - len);
    *slice = rest;
    end
}

/// Cuts the last `len` entries off `slice`.
fn split_end_mut<'a, T>(slice: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let start = slice.len() - len;
    let (rest, end) = std::mem::take(slice).split_at_mut(start);
    *slice = rest;
    end
}

// The cache holds, map after map: the map's input and the cotangent at its input (not for the lowest map, whose are lent
// by the caller), then the map's own cache. The forward pass walks it from the start, the backward sweep from the end.
impl<T: Scalar> Layer<T> for Chain<T> {
    fn input_dim(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.input_dim())
    }

    fn output_dim(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.output_dim())
    }

    fn input_shape(&self) -> Shape {
        let Some(first) = self.layers.first() else { return Shape::Flat(0) };
        // Below the first map of pictures, element-wise maps take the same picture.
        let flat = |layer: &&Arc<dyn Layer<T>>| matches!(layer.input_shape(), Shape::Flat(_));
        let picture = self.layers.iter().find(|layer| !flat(layer)).map(|layer| layer.input_shape());
        let keeps = |shape: Shape| self.layers.iter().take_while(flat).all(|layer| layer.output_shape(shape) == shape);
        picture.filter(|&shape| shape.len() == first.input_dim() && keeps(shape)).unwrap_or(first.input_shape())
    }

    fn output_shape(&self, input: Shape) -> Shape {
        self.layers.iter().fold(input, |shape, layer| layer.output_shape(shape))
    }

    fn param_len(&self) -> usize {
        self.layers.iter().map(|layer| layer.param_len()).fold(0, usize::saturating_add)
    }

    fn cache_len(&self, examples: usize) -> usize {
        let own = self.layers.iter().map(|layer| layer.cache_len(examples));
        let between =
            self.layers.iter().skip(1).map(|layer| layer.input_dim().saturating_mul(2).saturating_mul(examples));
        own.chain(between).fold(0, usize::saturating_add)
    }

    fn name(&self) -> String {
        self.layers.iter().map(|layer| layer.name()).collect::<Vec<_>>().join(" → ")
    }

    fn validate(&self) -> Result<()> {
        if self.layers.is_empty() {
            return Err(Error::Empty { what: "a chain of layers" });
        }
        let mut shape = self.input_shape();
        for (index, layer) in self.layers.iter().enumerate() {
            let valid = layer.validate();
            // A window that does not fit leaves no width either; the error of the layer's `validate` is clearer.
            let empty = layer.input_dim() == 0 || layer.output_dim() == 0;
            if empty && !matches!(valid, Err(Error::HyperParameter { .. })) {
                return Err(Error::ZeroWidth { layer: index });
            }
            valid?;
            shape = shape_above(index, shape, &**layer)?;
        }
        Ok(())
    }

    fn unit(&self) -> Option<Unit> {
        let (first, above) = self.layers.split_first()?;
        above.iter().try_fold(first.unit()?, |unit, layer| match layer.unit()? {
            Unit { map: None, function: Activation::Identity } => Some(unit),
            // Only directly above the map: two functions in a row are no `Activation`.
            Unit { map: None, function } if unit.function == Activation::Identity => Some(Unit { function, ..unit }),
            _ => None,
        })
    }

    fn has_derivative(&self) -> bool {
        self.layers.iter().all(|layer| layer.has_derivative())
    }

    fn is_straight_through(&self) -> bool {
        self.layers.iter().any(|layer| layer.is_straight_through())
    }

    fn output_range(&self) -> (f64, f64) {
        self.layers.last().map_or((f64::NEG_INFINITY, f64::INFINITY), |layer| layer.output_range())
    }

    fn operations(&self) -> usize {
        self.layers.iter().map(|layer| layer.operations()).fold(0, usize::saturating_add)
    }

    fn init_params(&self, mut params: &mut [T], rng: &mut dyn Rng) {
        for layer in &self.layers {
            let (own, rest) = params.split_at_mut(layer.param_len());
            layer.init_params(own, rng);
            params = rest;
        }
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, output: MatMut<'_, T>, cache: &mut [T]) {
        self.run(Passes::plain(), params, input, output, cache);
    }

    fn input_gradient(
        &self,
        mut params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let examples = input.cols();
        let (mut cotangent, mut cache) = (cotangent, cache);
        let Some((first, above)) = self.layers.split_first() else { return };
        for layer in above.iter().rev() {
            let own_params = split_end(&mut params, layer.param_len());
            let own_cache = split_end_mut(&mut cache, layer.cache_len(examples));
            let dim = layer.input_dim();
            let below = split_end_mut(&mut cache, dim * examples);
            let between = MatRef::new(split_end_mut(&mut cache, dim * examples), dim, examples);
            layer.input_gradient(own_params, between, cotangent, MatMut::new(below, dim, examples), own_cache);
            cotangent = MatRef::new(below, dim, examples);
        }
        first.input_gradient(params, input, cotangent, grad, cache);
    }

    fn param_gradient(
        &self,
        mut params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: &mut [T],
        cache: &mut [T],
    ) {
        let examples = input.cols();
        let (mut cotangent, mut cache) = (cotangent, cache);
        let Some((first, above)) = self.layers.split_first() else { return };
        for layer in above.iter().rev() {
            let own_params = split_end(&mut params, layer.param_len());
            let own_grad = split_end_mut(&mut grad, layer.param_len());
            let own_cache = split_end_mut(&mut cache, layer.cache_len(examples));
            let dim = layer.input_dim();
            let below = split_end_mut(&mut cache, dim * examples);
            let between = MatRef::new(split_end_mut(&mut cache, dim * examples), dim, examples);
            if !own_grad.is_empty() {
                layer.param_gradient(own_params, between, cotangent, own_grad, own_cache);
            }
            if grad.is_empty() {
                return;
            }
            layer.input_gradient(own_params, between, cotangent, MatMut::new(below, dim, examples), own_cache);
            cotangent = MatRef::new(below, dim, examples);
        }
        first.param_gradient(params, input, cotangent, grad, cache);
    }

    fn regression(&self) -> Option<&dyn Regression<T>> {
        let (first, above) = self.layers.split_first()?;
        first.regression()?;
        above.iter().all(|layer| layer.param_len() == 0 && layer.proximal().is_some()).then_some(self)
    }

    fn noise(&self) -> Option<&dyn Noise<T>> {
        self.layers.iter().any(|layer| layer.noise().is_some()).then_some(self)
    }

    fn wiring(&self) -> Option<Wiring> {
        let (first, above) = self.layers.split_first()?;
        above.iter().try_fold(first.wiring()?, |below, layer| Wiring::chain(below, layer.wiring()?))
    }

    fn tensors(&self) -> Vec<Tensor> {
        let parts = self.layers.iter().enumerate();
        parts.flat_map(|(i, layer)| layer.tensors().into_iter().map(move |tensor| tensor.within(i))).collect()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Chain", self)
    }
}

/// Rows of noise are those of the maps, one after the other.
impl<T: Scalar> Noise<T> for Chain<T> {
    fn noise_len(&self) -> usize {
        noise_len(&self.layers)
    }

    fn noisy_forward(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        noise: MatRef<'_, T>,
        output: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        self.run(Passes::with(noise), params, input, output, cache);
    }
}

/// How much the wanted pre-activation of a chain keeps to the present one, beside the wanted output.
const KEEP: f64 = 0.01;

/// The lowest map by its own regression. What it is to give follows from what the chain is to give, function after function
/// from the top: the point that best explains it near the present one, [`Proximal`](super::Proximal) with a small weight.
///
/// Its methods are called on chains that offer it, by [`Layer::regression`]; another is silent.
impl<T: Scalar> Regression<T> for Chain<T> {
    fn pre_activation_dim(&self) -> usize {
        self.affine().map_or(0, |affine| affine.pre_activation_dim())
    }

    fn moments_len(&self) -> usize {
        self.affine().map_or(0, |affine| affine.moments_len())
    }

    fn pre_activation(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        target: MatRef<'_, T>,
        mut out: MatMut<'_, T>,
    ) -> Result<()> {
        let examples = input.cols();
        // What every map gives at present, from the lowest up.
        let mut outputs: Vec<Vec<T>> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let own = if outputs.is_empty() { params } else { &[] };
            let below = outputs.last().map_or(input, |below| MatRef::new(below, layer.input_dim(), examples));
            let mut output = vec![T::zero(); layer.output_dim() * examples];
            let mut cache = vec![T::zero(); layer.cache_len(examples)];
            layer.forward(own, below, MatMut::new(&mut output, layer.output_dim(), examples), &mut cache);
            outputs.push(output);
        }
        let mut wanted = target.as_slice().to_vec();
        let mut work = Vec::new();
        for (layer, mut near) in self.layers.iter().skip(1).zip(outputs).rev() {
            let Some(proximal) = layer.proximal() else { continue };
            let mut prepared = vec![T::zero(); proximal.prepared_len()];
            proximal.prepare(&[], T::of(KEEP), &mut prepared, &mut work)?;
            let target = MatMut::new(&mut wanted, layer.output_dim(), examples);
            let z = MatMut::new(&mut near, layer.input_dim(), examples);
            proximal.solve(&[], &prepared, T::of(KEEP), target, z);
            wanted = near;
        }
        out.as_mut_slice().copy_from_slice(&wanted);
        Ok(())
    }

    fn accumulate(&self, input: MatRef<'_, T>, pre_activation: MatRef<'_, T>, weights: &[T], moments: &mut [T]) {
        if let Some(affine) = self.affine() {
            affine.accumulate(input, pre_activation, weights, moments);
        }
    }

    fn solve(&self, moments: &[T], ridge: T, proximal: T, params: &mut [T], work: &mut Vec<f64>) -> Result<()> {
        self.affine().map_or(Ok(()), |affine| affine.solve(moments, ridge, proximal, params, work))
    }

    fn change(&self, moments: &[T], before: &[T], after: &[T]) -> Change {
        let none = Change { squared: 0.0, spread: 0.0 };
        self.affine().map_or(none, |affine| affine.change(moments, before, after))
    }
}

impl<T: Scalar> Chain<T> {
    /// The map that regression serves.
    fn affine(&self) -> Option<&dyn Regression<T>> {
        self.layers.first().and_then(|layer| layer.regression())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Activation, Dense, Elementwise};

    #[test]
    fn a_chain_worked_by_hand_has_these_values_and_gradients() {
        // relu(2z + 1), then 3u: 3·relu(2z + 1) at z = 2 and −3.
        let chain =
            Chain::new().then(Dense::new(1, 1)).then(Elementwise::new(1, Activation::Relu)).then(Dense::new(1, 1));
        let (params, input) = ([2.0, 1.0, 3.0, 0.0], MatRef::new(&[2.0, -3.0], 1, 2));
        let (mut output, mut cache) = ([f64::NAN; 2], vec![f64::NAN; chain.cache_len(2)]);
        chain.forward(&params, input, MatMut::new(&mut output, 1, 2), &mut cache);
        assert_eq!(output, [15.0, 0.0]);
        let cotangent = MatRef::new(&[1.0, 10.0], 1, 2);
        let (mut by_input, mut by_params) = ([f64::NAN; 2], [f64::NAN; 4]);
        chain.input_gradient(&params, input, cotangent, MatMut::new(&mut by_input, 1, 2), &mut cache);
        assert_eq!(by_input, [6.0, 0.0]);
        chain.param_gradient(&params, input, cotangent, &mut by_params, &mut cache);
        assert_eq!(by_params, [6.0, 3.0, 5.0, 11.0]);
    }

    #[test]
    fn chains_that_do_not_fit_are_refused() {
        let refused = |chain: Chain<f64>| chain.validate().unwrap_err();
        assert!(matches!(refused(Chain::new()), Error::Empty { .. }));
        let mismatch = refused(Chain::new().then(Dense::new(2, 3)).then(Dense::new(4, 1)));
        assert!(matches!(mismatch, Error::LayerMismatch { layer: 1, expected: 3, found: 4 }));
        let zero = refused(Chain::new().then(Dense::new(2, 3)).then(Dense::new(3, 0)));
        assert!(matches!(zero, Error::ZeroWidth { layer: 1 }));
        let inner = refused(Chain::new().then(Dense::new(2, 3).bias(f64::NAN)));
        assert!(matches!(inner, Error::HyperParameter { .. }));
    }
}
