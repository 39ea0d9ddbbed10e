//! Dropout: random units are zero in training.

use super::{Activation, Layer, Noise, Shape, Unit, Wiring};
use crate::error::require;
use crate::{MatMut, MatRef, Result, Scalar};

/// Units that a visit drops at random, each with probability p and independently of all others, and enlarges where it keeps them,
///
/// ```text
/// ẑ = m ⊙ z     m = 0 where u < p, else 1/(1 − p)     u uniform on [0, 1), one for each unit of each example
/// ```
///
/// Input and output `width × n`; no parameters. The mean over the masks m is the identity, which predictions and all else that is no
/// [visit](Noise) compute. All evaluations of a visit have the same mask, and another epoch another one.
///
/// Put it at the end of a [`Chain`](super::Chain): the activation in the bank is then the one after dropping. As a layer it is a unit
/// with an activation of its own. p = 0 is the identity, without [noise](Layer::noise).
///
/// N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov (2014), *Dropout: a simple way to prevent neural networks from
/// overfitting*, JMLR 15, with the factor 1/(1 − p) in training in place of 1 − p in predictions.
///
/// ```
/// use decoupled::data;
/// use decoupled::layer::{Activation, Chain, Dense, Dropout, Elementwise};
/// use decoupled::{DecoupledNetwork, FitConfig};
///
/// let moons = data::two_moons::<f64>(100, 0.1, 0)?;
/// let unit = Chain::new()
///     .then(Dense::new(2, 16))
///     .then(Elementwise::new(16, Activation::Tanh))
///     .then(Dropout::new(16, 0.2));
/// let mut network = DecoupledNetwork::builder(2).layer(unit).dense(2, Activation::Identity).build()?;
/// network.fit(&moons, &FitConfig::new().epochs(2))?;
/// assert_eq!(network.predict(moons.inputs())?, network.predict(moons.inputs())?);
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Dropout {
    width: usize,
    p: f64,
}

impl Dropout {
    /// Drops each of `width` units with probability `p`, 0 ≤ p < 1.
    pub const fn new(width: usize, p: f64) -> Self {
        Self { width, p }
    }
}

// The cache holds the mask: ones after a plain pass.
impl<T: Scalar> Layer<T> for Dropout {
    fn input_dim(&self) -> usize {
        self.width
    }

    fn output_dim(&self) -> usize {
        self.width
    }

    fn output_shape(&self, input: Shape) -> Shape {
        input
    }

    fn cache_len(&self, examples: usize) -> usize {
        self.width.saturating_mul(examples)
    }

    fn validate(&self) -> Result<()> {
        require((0.0..1.0).contains(&self.p), "p of Dropout", "in [0, 1)", self.p)
    }

    fn unit(&self) -> Option<Unit> {
        Some(Unit { map: None, function: Activation::Identity })
    }

    fn forward(&self, _params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        cache.fill(T::one());
        output.as_mut_slice().copy_from_slice(input.as_slice());
    }

    fn input_gradient(
        &self,
        _params: &[T],
        _input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let each = grad.as_mut_slice().iter_mut().zip(cotangent.as_slice()).zip(&*cache);
        each.for_each(|((g, &c), &m)| *g = m * c);
    }

    fn noise(&self) -> Option<&dyn Noise<T>> {
        (self.p > 0.0).then_some(self)
    }

    fn wiring(&self) -> Option<Wiring> {
        Some(Wiring::unit_by_unit([]).scales())
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("Dropout", self)
    }
}

impl<T: Scalar> Noise<T> for Dropout {
    fn noise_len(&self) -> usize {
        self.width
    }

    fn noisy_forward(
        &self,
        _params: &[T],
        input: MatRef<'_, T>,
        noise: MatRef<'_, T>,
        mut output: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let kept = T::of(1.0 / (1.0 - self.p));
        let each = output.as_mut_slice().iter_mut().zip(input.as_slice()).zip(noise.as_slice()).zip(cache);
        for (((y, &x), u), m) in each {
            let drops = u.to_f64() < self.p;
            *m = if drops { T::zero() } else { kept };
            // Not m · x: a dropped infinity is no NaN.
            *y = if drops { T::zero() } else { kept * x };
        }
    }
}
