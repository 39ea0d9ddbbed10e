//! Examples from rows, features or matrices: whatever a constructor takes, columns are examples from then on.

use nalgebra::DMatrix;

use crate::{Error, MatRef, Result, Scalar};

/// A matrix of examples that owns its entries: `features × examples`, column-major, **columns are examples**.
///
/// Tables usually come the other way round, so every constructor says what its rows and columns are. What the
/// numbers are is checked when they become a [`Dataset`](crate::Dataset).
#[derive(Clone, Debug, PartialEq)]
pub struct Examples<T> {
    data: Vec<T>,
    features: usize,
    may_miss: bool,
}

impl<T: Scalar> Examples<T> {
    /// From a list of examples, each a slice of its features: the rows of a table.
    ///
    /// ```
    /// use decoupled::data::Examples;
    ///
    /// let table = Examples::from_rows(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])?;
    /// assert_eq!(table.matrix().column(1), [4.0, 5.0, 6.0]);
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`] without examples or features, [`Error::Shape`] when an example has another length than the
    /// first.
    pub fn from_rows<R: AsRef<[T]>>(examples: &[R]) -> Result<Self> {
        let features = examples.first().map_or(0, |first| first.as_ref().len());
        if let Some(ragged) = examples.iter().map(|e| e.as_ref().len()).find(|&len| len != features) {
            return Err(Error::Shape { what: "features of an example (a row)", expected: features, found: ragged });
        }
        let mut data = Vec::with_capacity(features * examples.len());
        examples.iter().for_each(|example| data.extend_from_slice(example.as_ref()));
        Self::from_columns(data, examples.len(), features)
    }

    /// From one flat slice, example after example: an `examples × features` table stored row by row.
    ///
    /// # Errors
    /// [`Error::Empty`] without examples or features, [`Error::Shape`] when the slice has another length.
    pub fn from_row_slice(data: &[T], examples: usize, features: usize) -> Result<Self> {
        let expected = examples.saturating_mul(features);
        if data.len() != expected {
            return Err(Error::Shape { what: "entries of rows × columns", expected, found: data.len() });
        }
        Self::from_columns(data.to_vec(), examples, features)
    }

    /// From one slice for each feature, as the columns of a data frame.
    ///
    /// ```
    /// use decoupled::data::Examples;
    ///
    /// let (height, width) = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]);
    /// let table = Examples::from_features(&[height, width])?;
    /// assert_eq!(table.matrix().column(2), [3.0, 6.0]);
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`] without examples or features, [`Error::Shape`] when a feature has another length than the
    /// first.
    pub fn from_features<F: AsRef<[T]>>(features: &[F]) -> Result<Self> {
        let examples = features.first().map_or(0, |first| first.as_ref().len());
        if let Some(ragged) = features.iter().map(|f| f.as_ref().len()).find(|&len| len != examples) {
            return Err(Error::Shape { what: "examples of a feature (a column)", expected: examples, found: ragged });
        }
        let entries =
            (0..examples).flat_map(|example| features.iter().filter_map(move |f| f.as_ref().get(example).copied()));
        Self::from_columns(entries.collect(), examples, features.len())
    }

    /// From a `features × examples` matrix: columns are examples, as everywhere inside this crate. Nothing is copied.
    ///
    /// # Errors
    /// [`Error::Empty`] without examples or features.
    pub fn from_column_matrix(matrix: DMatrix<T>) -> Result<Self> {
        let (features, examples) = matrix.shape();
        Self::from_columns(matrix.data.into(), examples, features)
    }

    /// From an `examples × features` matrix: rows are examples.
    ///
    /// # Errors
    /// [`Error::Empty`] without examples or features.
    pub fn from_row_matrix(matrix: &DMatrix<T>) -> Result<Self> {
        Self::from_column_matrix(matrix.transpose())
    }

    /// Says that NaN is an entry that is **missing**: as inputs of a [`Dataset`](crate::Dataset) these examples may have some, and
    /// [`fit`](crate::DecoupledNetwork::fit) infers them. In targets, in data to validate or to evaluate on and for
    /// [`fit_backprop`](crate::DecoupledNetwork::fit_backprop), which has no bank, NaN stays an error.
    ///
    /// ```text
    /// L(Θ, Z) is minimised over the missing entries of z_0 as well:   ∂L/∂z_0 = (∂f/∂z_0)ᵀ c_1, and 0 where z_0 is known
    /// ```
    ///
    /// They start at the [mean](crate::Dataset::known_means) of what is known of the feature, stay in the bank, and take one step at
    /// the end of every visit, after the hidden activations: as [`infer`](crate::DecoupledNetwork::infer) does, down the gradient to
    /// where the slope vanishes, or half as far until the energy does not rise. So there is no rate to choose. The bank gets
    /// `input_dim` numbers more for every example; known entries stay as they are.
    ///
    /// ```
    /// use decoupled::data::Examples;
    /// use decoupled::nalgebra::DMatrix;
    /// use decoupled::{Dataset, DecoupledNetwork, FitConfig};
    /// use decoupled::layer::Activation;
    /// use decoupled::network::{Evidence, InferConfig};
    ///
    /// let inputs = Examples::from_rows(&[[0.1, 0.9], [0.8, f64::NAN], [0.4, 0.5]])?.with_missing();
    /// let targets = Examples::from_rows(&[[1.0], [1.1], [0.9]])?;
    /// let data = Dataset::regression(inputs, targets)?;
    /// let mut network = DecoupledNetwork::builder(2).dense(8, Activation::Tanh).dense(1, Activation::Identity).build()?;
    /// network.fit(&data, &FitConfig::new())?;
    ///
    /// let completed = network.bank().and_then(|bank| bank.inputs()).unwrap(); // 2 × 3
    /// assert!(completed[(1, 1)].is_finite() && completed[(0, 1)] == 0.8);
    ///
    /// // A new example of which the second input is missing, and the output known: from the mean to what explains it.
    /// let means = data.known_means()?;
    /// let (input, known) = (DMatrix::from_vec(2, 1, vec![0.3, means[1]]), DMatrix::from_vec(2, 1, vec![true, false]));
    /// let output = DMatrix::from_vec(1, 1, vec![1.0]);
    /// let evidence = Evidence::new().clamp_where(0, &input, &known).clamp(network.depth(), &output);
    /// let found = network.infer(&evidence, &InferConfig::new())?;
    /// assert_eq!(found.inputs[(0, 0)], 0.3);
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # When it helps
    ///
    /// The energy does not know which inputs are likely: a missing entry moves to where it explains the target by the network as
    /// trained so far, errors of the network included. That helps where the targets determine much of the inputs, few entries are
    /// missing and training is long; otherwise filling in the means does better. With four independent inputs that eight targets
    /// determine, and 10 % missing, the loss on whole unseen examples is 0.012 instead of 0.033; with 50 % it is 0.283 instead of 0.158,
    /// and on the digits it gains nothing ([table and command](crate::guide::results#missing-inputs)). Where the output of an example is
    /// not known, its missing entries stay at the mean.
    pub fn with_missing(self) -> Self {
        Self { may_miss: true, ..self }
    }

    /// The same, with NaN as an entry that is not known if so.
    pub(super) fn missing_if(self, may_miss: bool) -> Self {
        Self { may_miss, ..self }
    }

    /// Whether NaN is an entry that is not known.
    pub(super) fn may_miss(&self) -> bool {
        self.may_miss
    }

    /// The `features × examples` matrix.
    pub fn matrix(&self) -> MatRef<'_, T> {
        MatRef::new(&self.data, self.features, self.data.len() / self.features)
    }

    /// Takes `data`, `features × examples` and already column-major.
    pub(crate) fn from_columns(data: Vec<T>, examples: usize, features: usize) -> Result<Self> {
        for (count, what) in [(examples, "the list of examples"), (features, "the list of features")] {
            if count == 0 {
                return Err(Error::Empty { what });
            }
        }
        debug_assert_eq!(data.len(), examples * features);
        Ok(Self { data, features, may_miss: false })
    }
}

impl<'a, T: Scalar> From<&'a Examples<T>> for MatRef<'a, T> {
    fn from(examples: &'a Examples<T>) -> Self {
        examples.matrix()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constructor_builds_the_same_matrix() {
        let reference = Examples::from_rows(&[vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]]).unwrap();
        assert_eq!(reference.matrix(), MatRef::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2));
        let others = [
            Examples::from_row_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3),
            Examples::from_features(&[[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]),
            Examples::from_column_matrix(nalgebra::dmatrix![1.0, 4.0; 2.0, 5.0; 3.0, 6.0]),
            Examples::from_row_matrix(&nalgebra::dmatrix![1.0, 2.0, 3.0; 4.0, 5.0, 6.0]),
        ];
        for other in others {
            assert_eq!(other.unwrap(), reference);
        }
    }

    #[test]
    fn ragged_tables_and_wrong_lengths_are_shape_errors() {
        let ragged = [vec![1.0], vec![2.0, 3.0]];
        assert!(matches!(
            Examples::from_rows(&ragged),
            Err(Error::Shape { what: "features of an example (a row)", expected: 1, found: 2 })
        ));
        assert!(matches!(
            Examples::from_features(&ragged),
            Err(Error::Shape { what: "examples of a feature (a column)", expected: 1, found: 2 })
        ));
        assert!(matches!(
            Examples::from_row_slice(&[0.0; 5], 2, 3),
            Err(Error::Shape { what: "entries of rows × columns", expected: 6, found: 5 })
        ));
        let overflow = Examples::from_row_slice(&[0.0; 4], usize::MAX / 2 + 3, 2);
        assert!(matches!(overflow, Err(Error::Shape { expected: usize::MAX, found: 4, .. })));
    }

    #[test]
    fn nothing_at_all_is_empty() {
        let none: [[f64; 2]; 0] = [];
        let without_examples = [
            Examples::from_rows(&none),
            Examples::from_row_slice(&[], 0, 2),
            Examples::from_features::<[f64; 0]>(&[[], []]),
            Examples::from_column_matrix(DMatrix::zeros(2, 0)),
            Examples::from_row_matrix(&DMatrix::zeros(0, 2)),
        ];
        for result in without_examples {
            assert!(matches!(result, Err(Error::Empty { what: "the list of examples" })), "{result:?}");
        }
        let without_features = [
            Examples::from_rows::<[f64; 0]>(&[[], []]),
            Examples::from_row_slice(&[], 2, 0),
            Examples::from_column_matrix(DMatrix::zeros(0, 2)),
            Examples::from_row_matrix(&DMatrix::zeros(2, 0)),
        ];
        for result in without_features {
            assert!(matches!(result, Err(Error::Empty { what: "the list of features" })), "{result:?}");
        }
    }
}
