//! Conversions to and from ndarray, where rows are examples.

use ::ndarray::{Array2, ArrayView2, aview2};

use crate::data::Examples;
use crate::{Error, MatRef, Result, Scalar};

/// From an `examples × features` array, of any strides: in ndarray **rows are examples**.
///
/// Labels need no conversion: `to_vec` of an array gives them as
/// [`Dataset::classification`](crate::Dataset::classification) takes them. For a single feature there is `insert_axis(Axis(1))`.
///
/// ```
/// use decoupled::data::Examples;
/// use decoupled::layer::Activation;
/// use decoupled::{Dataset, DecoupledNetwork, FitConfig, MatRef};
/// use ndarray::{Array2, array};
///
/// let (x, y) = (array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], array![0, 1, 1, 0]);
/// let inputs = Examples::try_from(x.view())?;
/// let data = Dataset::classification(inputs.clone(), &y.to_vec(), 2)?;
/// let mut network = DecoupledNetwork::builder(2).dense(8, Activation::Tanh).dense(2, Activation::Identity).build()?;
/// network.fit(&data, &FitConfig::new().epochs(1))?;
///
/// let outputs = Array2::from(MatRef::from(&network.predict(&inputs)?));
/// assert_eq!(outputs.dim(), (4, 2)); // examples × outputs
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] without examples or features.
impl<T: Scalar> TryFrom<ArrayView2<'_, T>> for Examples<T> {
    type Error = Error;

    fn try_from(array: ArrayView2<'_, T>) -> Result<Self> {
        Self::from_columns(array.iter().copied().collect(), array.nrows(), array.ncols())
    }
}

/// The same entries as an array, `columns × rows`: in ndarray **rows are examples**. Nothing is copied.
impl<'a, T> From<MatRef<'a, T>> for ArrayView2<'a, T> {
    fn from(matrix: MatRef<'a, T>) -> Self {
        // ndarray counts no further than isize::MAX, which only a matrix without entries can exceed.
        Self::from_shape((matrix.cols(), matrix.rows()), matrix.as_slice()).unwrap_or_else(|_| aview2::<T, 0>(&[]))
    }
}

/// The same matrix as an array, `columns × rows`: in ndarray **rows are examples**.
impl<T: Clone> From<MatRef<'_, T>> for Array2<T> {
    fn from(matrix: MatRef<'_, T>) -> Self {
        ArrayView2::from(matrix).to_owned()
    }
}
