//! Skip connection: a layer with its input added to its output.

use std::sync::Arc;

use rand::Rng;

use super::noise::{Passes, noise_len};
use super::{Layer, Noise, Shape, Tensor, Wiring};
use crate::machine::linalg::axpy;
use crate::{Error, MatMut, MatRef, Result, Scalar};

/// A map with its input added to its output, or a projection of its input where the map changes the shape,
///
/// ```text
/// ẑ = z + f(z; θ)           f: outputs and inputs of one width
/// ẑ = P(z; φ) + f(z; θ)     P: inputs and outputs as f
/// ```
///
/// Parameters: θ, then φ.
///
/// K. He, X. Zhang, S. Ren, J. Sun (2015), *Deep Residual Learning for Image Recognition*, arXiv:1512.03385, equations 1 and 2.
///
/// # Example
///
/// ```
/// use decoupled::layer::{Activation, Chain, Conv2d, Dense, Elementwise, Residual};
///
/// let block = Residual::<f64>::new(
///     Chain::new().then(Elementwise::new(8, Activation::Relu)).then(Dense::new(8, 8)),
/// );
/// decoupled::check::layer(&block)?;
///
/// // Half the height and width, twice the channels.
/// let conv = Conv2d::new([2, 6, 6], 4, [3, 3]).stride([2, 2]).padding([1, 1]);
/// let narrow = Residual::<f64>::new(conv).projection(Conv2d::new([2, 6, 6], 4, [1, 1]).stride([2, 2]));
/// decoupled::check::layer(&narrow)?;
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Scalar"))]
pub struct Residual<T> {
    inner: Arc<dyn Layer<T>>,
    /// None for the identity.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    projection: Option<Arc<dyn Layer<T>>>,
}

impl<T: Scalar> Residual<T> {
    /// Adds the input to the output of `inner`.
    pub fn new(inner: impl Layer<T> + 'static) -> Self {
        Self { inner: Arc::new(inner), projection: None }
    }

    /// Adds the output of `layer` in place of the input, such as a dense map or a convolution of 1 × 1 with a stride.
    #[must_use]
    pub fn projection(self, layer: impl Layer<T> + 'static) -> Self {
        Self { projection: Some(Arc::new(layer)), ..self }
    }

    /// The map f.
    pub fn inner(&self) -> &Arc<dyn Layer<T>> {
        &self.inner
    }

    /// The maps whose outputs are added: f, and P if there is one.
    fn maps(&self) -> impl Iterator<Item = &Arc<dyn Layer<T>>> {
        std::iter::once(&self.inner).chain(&self.projection)
    }

    /// Returns the shape that f has, or P if that of f is flat.
    fn picture(&self, shape: impl Fn(&Arc<dyn Layer<T>>) -> Shape) -> Shape {
        let own = shape(&self.inner);
        match &self.projection {
            Some(projection) if matches!(own, Shape::Flat(_)) => shape(projection),
            _ => own,
        }
    }

    /// Evaluates the maps and adds their outputs, with or without noise.
    fn run(
        &self,
        mut passes: Passes<'_, T>,
        params: &[T],
        input: MatRef<'_, T>,
        mut output: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let (own, _) = params.split_at(self.inner.param_len());
        let (own_cache, _) = cache.split_at_mut(self.inner.cache_len(input.cols()));
        passes.forward(&*self.inner, own, input, output.reborrow(), own_cache);
        self.add_skip(input, output, params, cache, |projection, params, branch, cache| {
            passes.forward(projection, params, input, branch, cache);
        });
    }

    /// Adds `identity` to `sum`, or the matrix like `sum` that `apply` fills, given the projection, its parameters and its cache.
    fn add_skip(
        &self,
        identity: MatRef<'_, T>,
        mut sum: MatMut<'_, T>,
        params: &[T],
        cache: &mut [T],
        apply: impl FnOnce(&dyn Layer<T>, &[T], MatMut<'_, T>, &mut [T]),
    ) {
        let Some(projection) = &self.projection else {
            return axpy(T::one(), identity.as_slice(), sum.as_mut_slice());
        };
        let (rows, examples) = (sum.rows(), sum.cols());
        let (_, params) = params.split_at(self.inner.param_len());
        let (_, cache) = cache.split_at_mut(self.inner.cache_len(examples));
        let (cache, branch) = cache.split_at_mut(projection.cache_len(examples));
        let (branch, _) = branch.split_at_mut(rows * examples);
        apply(&**projection, params, MatMut::new(branch, rows, examples), cache);
        axpy(T::one(), branch, sum.as_mut_slice());
    }
}

// The cache holds that of the map; with a projection also its cache, and the output or input gradient that is added.
impl<T: Scalar> Layer<T> for Residual<T> {
    fn input_dim(&self) -> usize {
        self.inner.input_dim()
    }

    fn output_dim(&self) -> usize {
        self.inner.output_dim()
    }

    fn input_shape(&self) -> Shape {
        self.picture(|map| map.input_shape())
    }

    fn output_shape(&self, input: Shape) -> Shape {
        self.picture(|map| map.output_shape(input))
    }

    fn param_len(&self) -> usize {
        self.maps().map(|map| map.param_len()).fold(0, usize::saturating_add)
    }

    fn cache_len(&self, examples: usize) -> usize {
        let branch = match &self.projection {
            Some(_) => self.input_dim().max(self.output_dim()).saturating_mul(examples),
            None => 0,
        };
        self.maps().map(|map| map.cache_len(examples)).fold(branch, usize::saturating_add)
    }

    fn name(&self) -> String {
        format!("Residual({})", self.maps().map(|map| map.name()).collect::<Vec<_>>().join(" + "))
    }

    fn validate(&self) -> Result<()> {
        self.maps().try_for_each(|map| map.validate())?;
        let same = |what: &'static str, [expected, found]: [usize; 2], shapes: [Shape; 2]| {
            if expected != found {
                return Err(Error::Shape { what, expected, found });
            }
            let [expected, found] = shapes;
            if expected.reads(found) { Ok(()) } else { Err(Error::UnequalShapes { what, expected, found }) }
        };
        let (inner, input) = (&self.inner, self.input_shape());
        let (inputs, output) = (inner.input_dim(), inner.output_shape(input));
        let Some(projection) = &self.projection else {
            let what = "output rows of the map in a residual block";
            return same(what, [inputs, inner.output_dim()], [input, output]);
        };
        let what = "input rows of the projection in a residual block";
        same(what, [inputs, projection.input_dim()], [inner.input_shape(), projection.input_shape()])?;
        let (what, dims) =
            ("output rows of the projection in a residual block", [inner.output_dim(), projection.output_dim()]);
        same(what, dims, [output, projection.output_shape(input)])
    }

    fn has_derivative(&self) -> bool {
        self.maps().all(|map| map.has_derivative())
    }

    fn is_straight_through(&self) -> bool {
        self.maps().any(|map| map.is_straight_through())
    }

    fn operations(&self) -> usize {
        self.maps().map(|map| map.operations()).fold(0, usize::saturating_add)
    }

    fn init_params(&self, mut params: &mut [T], rng: &mut dyn Rng) {
        for map in self.maps() {
            let (own, rest) = params.split_at_mut(map.param_len());
            map.init_params(own, rng);
            params = rest;
        }
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, output: MatMut<'_, T>, cache: &mut [T]) {
        self.run(Passes::plain(), params, input, output, cache);
    }

    fn input_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let (own, _) = params.split_at(self.inner.param_len());
        let (own_cache, _) = cache.split_at_mut(self.inner.cache_len(input.cols()));
        self.inner.input_gradient(own, input, cotangent, grad.reborrow(), own_cache);
        self.add_skip(cotangent, grad, params, cache, |projection, params, branch, cache| {
            projection.input_gradient(params, input, cotangent, branch, cache);
        });
    }

    fn param_gradient(
        &self,
        mut params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: &mut [T],
        mut cache: &mut [T],
    ) {
        for map in self.maps() {
            let (own, rest) = params.split_at(map.param_len());
            let (own_grad, rest_grad) = grad.split_at_mut(own.len());
            let (own_cache, rest_cache) = cache.split_at_mut(map.cache_len(input.cols()));
            if !own.is_empty() {
                map.param_gradient(own, input, cotangent, own_grad, own_cache);
            }
            (params, grad, cache) = (rest, rest_grad, rest_cache);
        }
    }

    fn noise(&self) -> Option<&dyn Noise<T>> {
        self.maps().any(|map| map.noise().is_some()).then_some(self)
    }

    fn wiring(&self) -> Option<Wiring> {
        let skip = match &self.projection {
            Some(projection) => projection.wiring()?,
            None => Wiring::unit_by_unit([]),
        };
        Some(self.inner.wiring()?.sum(skip))
    }

    fn tensors(&self) -> Vec<Tensor> {
        let Some(projection) = &self.projection else { return self.inner.tensors() };
        let parts = [("inner", &self.inner), ("projection", projection)].into_iter();
        parts.flat_map(|(name, map)| map.tensors().into_iter().map(move |tensor| tensor.within(name))).collect()
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Residual", self)
    }
}

/// Rows of noise are those of f, then of P.
impl<T: Scalar> Noise<T> for Residual<T> {
    fn noise_len(&self) -> usize {
        noise_len(self.maps())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Dense;

    #[test]
    fn a_map_of_another_width_is_refused() {
        let error = Residual::<f64>::new(Dense::new(3, 4)).validate().unwrap_err();
        assert!(matches!(error, Error::Shape { expected: 3, found: 4, .. }));
    }

    #[test]
    fn a_zero_map_leaves_the_identity() {
        let block = Residual::new(Dense::new(3, 3));
        let (input, mut output, mut grad) = ([1.0, -2.0, 0.5, 3.0, 4.0, 5.0], [f64::NAN; 6], [f64::NAN; 6]);
        block.forward(&[0.0; 12], MatRef::new(&input, 3, 2), MatMut::new(&mut output, 3, 2), &mut []);
        assert_eq!(output, input);
        let cotangent = MatRef::new(&[2.0, 0.0, 1.0, -1.0, 7.0, 0.25], 3, 2);
        let input = MatRef::new(&input, 3, 2);
        block.input_gradient(&[0.0; 12], input, cotangent, MatMut::new(&mut grad, 3, 2), &mut []);
        assert_eq!(grad, cotangent.as_slice());
    }
}
