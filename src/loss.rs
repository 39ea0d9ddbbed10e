//! The trait [`Loss`] and the built-in losses.

use std::fmt::Debug;

#[cfg(feature = "serde")]
use crate::description::Description;
use crate::{MatMut, MatRef, Result, Scalar};

mod binary_cross_entropy;
mod huber;
mod mean_absolute_error;
mod relative_squared_error;
mod shared;
mod softmax_cross_entropy;
mod squared_error;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use huber::Huber;
pub use mean_absolute_error::MeanAbsoluteError;
pub use relative_squared_error::RelativeSquaredError;
pub use softmax_cross_entropy::SoftmaxCrossEntropy;
pub use squared_error::SquaredError;

/// A discrepancy between a target and a prediction, **summed** over units and examples: L_y at the output, or L_h
/// between a stored activation and its prediction.
///
/// Both matrices are `dim × n`, columns are examples; the value is a sum of one term a column. Gradients overwrite
/// what they write. As output loss only [`value`](Self::value) and [`gradient`](Self::gradient) are called; as hidden
/// loss also [`target_gradient`](Self::target_gradient), because the stored activation is trained as well.
///
/// [`check::loss`](crate::check::loss) tests a loss of your own.
///
/// # Example
///
/// log cosh, smooth and robust, Σ log cosh(ẑ − z):
///
/// ```
/// use decoupled::{Loss, MatMut, MatRef, Scalar};
///
/// #[derive(Debug)]
/// struct LogCosh;
///
/// impl<T: Scalar> Loss<T> for LogCosh {
///     fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
///         let pairs = target.as_slice().iter().zip(prediction.as_slice());
///         pairs.map(|(&z, &p)| (p - z).cosh().ln()).sum()
///     }
///     fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
///         let pairs = target.as_slice().iter().zip(prediction.as_slice());
///         for (g, (&z, &p)) in grad.as_mut_slice().iter_mut().zip(pairs) {
///             *g = (p - z).tanh();
///         }
///     }
///     fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
///         self.gradient(prediction, target, grad.reborrow());
///     }
/// }
///
/// decoupled::check::loss::<f64>(&LogCosh, 3)?;
/// # Ok::<(), decoupled::Error>(())
/// ```
pub trait Loss<T: Scalar>: Debug + Send + Sync {
    /// L(z, ẑ), summed over units and examples.
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T;

    /// grad = ∂L/∂ẑ, `dim × n`.
    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>);

    /// grad = ∂L/∂z, `dim × n`.
    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>);

    /// out = (∂²L/∂ẑ²) · direction, `dim × n`, example by example; asked of the output loss by Gauss–Newton steps.
    ///
    /// By central differences of [`gradient`](Self::gradient) unless written out, which is exact for squares and good to
    /// some ten digits (four in `f32`) for others.
    fn hessian_product(
        &self,
        target: MatRef<'_, T>,
        prediction: MatRef<'_, T>,
        direction: MatRef<'_, T>,
        mut out: MatMut<'_, T>,
    ) {
        let (rows, cols) = (prediction.rows(), prediction.cols());
        let largest = |m: MatRef<'_, T>| m.as_slice().iter().fold(T::one(), |most, x| most.max(x.abs()));
        let step = largest(prediction) * T::default_epsilon().cbrt() / largest(direction);
        let at = |step: T| {
            let pairs = prediction.as_slice().iter().zip(direction.as_slice());
            let moved: Vec<T> = pairs.map(|(&p, &d)| p + step * d).collect();
            let mut gradient = vec![T::zero(); moved.len()];
            self.gradient(target, MatRef::new(&moved, rows, cols), MatMut::new(&mut gradient, rows, cols));
            gradient
        };
        let ends = at(step).into_iter().zip(at(-step));
        for (out, (above, below)) in out.as_mut_slice().iter_mut().zip(ends) {
            *out = (above - below) / (step + step);
        }
    }

    /// Turns columns of outputs, `classes × n`, into class probabilities, each column a distribution, where the loss gives outputs
    /// that meaning. False, and nothing changed, unless said otherwise.
    fn probabilities(&self, outputs: MatMut<'_, T>) -> bool {
        let _ = outputs;
        false
    }

    /// Whether this is [`SquaredError`], up to nothing: least squares then fits the layer below exactly. False unless said
    /// otherwise.
    fn is_squared_error(&self) -> bool {
        false
    }

    /// Checks the loss's own settings; called once, when a network is built.
    ///
    /// # Errors
    /// Whatever is wrong with them; the default finds nothing.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Checks that the loss has a meaning for these targets (`dim × n`); called once for a data set.
    ///
    /// # Errors
    /// [`Error::Target`](crate::Error::Target) naming the first offending example; the default finds none.
    fn check_targets(&self, targets: MatRef<'_, T>) -> Result<()> {
        let _ = targets;
        Ok(())
    }

    /// Whether this loss may serve between layers: bounded below in the *target* as well, so that a stored activation
    /// cannot run away. True unless said otherwise.
    fn serves_hidden(&self) -> bool {
        true
    }

    /// What a file says of the loss, for [`Model::load`](crate::Model::load) to make it anew. None unless it is built in, or
    /// computes just what a built-in one does and hands on its description.
    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<Description> {
        None
    }
}
