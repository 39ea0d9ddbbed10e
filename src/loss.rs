//! The trait [`Loss`] and the built-in losses.

use std::fmt::Debug;

#[cfg(feature = "serde")]
use crate::description::Description;
use crate::{MatMut, MatRef, Result, Scalar};

mod binary_cross_entropy;
mod huber;
mod mean_absolute_error;
mod outputs;
mod relative_squared_error;
mod shared;
mod softmax_cross_entropy;
mod squared_error;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use huber::Huber;
pub use mean_absolute_error::MeanAbsoluteError;
pub use outputs::Outputs;
pub use relative_squared_error::RelativeSquaredError;
pub use softmax_cross_entropy::SoftmaxCrossEntropy;
pub use squared_error::SquaredError;

/// A discrepancy between a target and a prediction, **summed** over units and examples: L_y at the output, or L_h
/// between a stored activation and its prediction.
///
/// Both matrices are `dim × n`, columns are examples; the value is a sum of one term a column. Gradients overwrite
/// what they write. [`value`](Self::value) and [`gradient`](Self::gradient) make a loss; between hidden layers
/// [`target_gradient`](Self::target_gradient) is called as well, because the stored activation is trained too.
///
/// A whole data set is added up in `f64`, 256 columns at a time: a loss may add the terms of one call in `T`.
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

    /// grad = ∂L/∂z, `dim × n`; asked of a hidden loss only.
    ///
    /// By central differences of [`value`](Self::value) unless written out: `2·dim` values of every column, good to some ten
    /// digits (four in `f32`).
    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let columns = target.columns().zip(prediction.columns());
        for (grad, (z, p)) in grad.columns_mut().zip(columns) {
            let mut moved = z.to_vec();
            for (row, (grad, &z)) in grad.iter_mut().zip(z).enumerate() {
                let step = T::default_epsilon().cbrt() * z.abs().max(T::one());
                let mut at = |z: T| {
                    moved.iter_mut().skip(row).take(1).for_each(|entry| *entry = z);
                    self.value(MatRef::new(&moved, moved.len(), 1), MatRef::new(p, p.len(), 1))
                };
                let (above, below) = (at(z + step), at(z - step));
                at(z);
                *grad = (above - below) / (step + step);
            }
        }
    }

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

    /// The meaning of the outputs that this loss judges; asked once, when a network is built. Real numbers by default.
    fn outputs(&self) -> Outputs {
        Outputs::Numbers
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
    /// cannot run away. True by default; [`target_gradient`](Self::target_gradient) matters only then.
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

/// Columns whose values a loss adds up by itself.
const CHUNK: usize = 256;

/// Σ L over all columns, chunks of them in `f64`: in `f32` a sum of millions of terms would stop growing.
pub(crate) fn total<T: Scalar>(loss: &dyn Loss<T>, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> f64 {
    let rows = target.rows().max(1);
    let chunks = target.as_slice().chunks(CHUNK * rows).zip(prediction.as_slice().chunks(CHUNK * rows));
    let matrix = |entries| MatRef::new(entries, rows, <[T]>::len(entries) / rows);
    chunks.map(|(z, p)| loss.value(matrix(z), matrix(p)).to_f64()).sum()
}
