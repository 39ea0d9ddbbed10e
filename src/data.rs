//! Data sets, and where they come from. Inside, **columns are examples**.

use std::fmt;

use crate::machine::linalg::matrix::check_finite;
use crate::{Error, MatRef, Result, Scalar};

mod augmentation;
mod cifar;
#[cfg_attr(not(any(feature = "csv", feature = "serde")), expect(dead_code, reason = "tables and files make them"))]
mod columns;
#[cfg(feature = "csv")]
pub mod csv;
mod digits;
mod examples;
mod folds;
mod idx;
mod mnist;
#[cfg(feature = "ndarray")]
mod ndarray;
mod npy;
mod npz;
mod pictures;
mod scale;
mod split;
mod synthetic;
mod transform;
mod weights;

pub use augmentation::Augmentation;
pub use cifar::{cifar10, cifar100};
pub use columns::{Columns, LeftOut, Missing, Unknown};
pub use digits::digits;
pub use examples::Examples;
pub use idx::{read_idx_images, read_idx_labels};
pub use mnist::{EmnistSplit, emnist, mnist};
pub use npy::{read_npy, read_npy_labels, write_npy};
pub use npz::Npz;
pub use scale::Scaler;
pub use synthetic::{sine, two_moons};
pub use transform::{Scaling, Transform};
pub(crate) use weights::{Weighting, check_weights};

/// Inputs with their targets, checked once: equally many, and every number finite, but for inputs that are said to be
/// [missing](Examples::with_missing).
///
/// Inputs are `input_dim × N`, targets `target_dim × N`; example i is column i of both, for good.
///
/// ```
/// use decoupled::{Dataset, data::Examples};
///
/// let inputs = Examples::from_rows(&[[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])?;
/// let data = Dataset::classification(inputs, &[0, 0, 1], 2)?;
/// assert_eq!(data.inputs().column(1), [1.0, 0.0]);
/// assert_eq!(data.targets().column(2), [0.0, 1.0]);
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Dataset<T> {
    inputs: Examples<T>,
    targets: Examples<T>,
    kind: Kind,
    weighting: Option<Weighting>,
    missing: usize,
    fingerprint: u64,
}

/// What the targets are.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Numbers,
    /// The class of each example: one-hot, or of two in a single row as it is.
    Classes(Vec<usize>),
    /// 0 or 1 in every row, each by itself.
    MultiLabel,
}

impl<T: Scalar> fmt::Debug for Dataset<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("len", &self.len())
            .field("input_dim", &self.input_dim())
            .field("target_dim", &self.target_dim())
            .field("classes", &self.classes())
            .field("multi_label", &self.is_multi_label())
            .finish_non_exhaustive()
    }
}

#[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
impl<T: Scalar> Dataset<T> {
    /// Makes a data set of classes, for a network of so many outputs: `labels[i]` is the class of example i.
    ///
    /// | `outputs` | labels | targets |
    /// |---|---|---|
    /// | 1 | 0 and 1 | `1 × N`, the labels themselves, for [`BinaryCrossEntropy`](crate::loss::BinaryCrossEntropy) |
    /// | k ≥ 2 | `0..k` | `k × N`, one-hot, for [`SoftmaxCrossEntropy`](crate::loss::SoftmaxCrossEntropy) |
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one label for each example, [`Error::LabelOutOfRange`], [`Error::Empty`]
    /// without outputs, [`Error::NotFinite`] for an input that is infinite, or NaN and not
    /// said to be [missing](Examples::with_missing).
    #[doc(alias = "LabelEncoder")]
    #[doc(alias = "categorical")]
    #[doc(alias = "to_categorical")]
    pub fn classification(inputs: Examples<T>, labels: &[usize], outputs: usize) -> Result<Self> {
        same_length("labels, one for each example (a column of the inputs)", &inputs, labels.len())?;
        let targets = if outputs == 1 { one_row(labels)? } else { one_hot(labels, outputs)? };
        Self::checked(inputs, targets, Kind::Classes(labels.to_vec()))
    }

    /// Makes a data set of examples that have any number of labels: `targets`, `labels × N`, has 1 where an example has the label and 0 where it has not,
    /// as scikit-learn's `MultiLabelBinarizer` writes them (there rows are examples).
    ///
    /// ```
    /// use decoupled::{Dataset, data::Examples};
    ///
    /// let inputs = Examples::from_rows(&[[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])?;
    /// let films = Examples::from_rows(&[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0]])?; // of three genres
    /// let data = Dataset::multi_label(inputs, films)?;
    /// assert!(data.is_multi_label() && data.target_dim() == 3 && data.classes().is_none());
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`regression`](Self::regression), and [`Error::Target`] for a target that is neither 0 nor 1.
    #[doc(alias = "MultiLabelBinarizer")]
    #[doc(alias = "multi label")]
    #[doc(alias = "multi-label")]
    pub fn multi_label(inputs: Examples<T>, targets: Examples<T>) -> Result<Self> {
        let data = Self::regression(inputs, targets)?;
        for (example, column) in data.targets().columns().enumerate() {
            if let Some(other) = column.iter().find(|&&target| target != T::zero() && target != T::one()) {
                let (loss, found) = ("Dataset::multi_label", other.to_f64());
                return Err(Error::Target { loss, example, expected: "0 or 1", found });
            }
        }
        Ok(Self { kind: Kind::MultiLabel, ..data })
    }

    /// Returns the same examples of two classes for a network of one output: the labels 0 and 1 as targets, `1 × N`.
    ///
    /// ```
    /// let moons = decoupled::data::two_moons::<f32>(50, 0.1, 0)?; // one-hot
    /// let one = moons.with_one_output()?;
    /// assert_eq!((moons.target_dim(), one.target_dim()), (2, 1));
    /// assert_eq!((one.labels(), one.classes()), (moons.labels(), Some(2)));
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] for targets that are not classes, or more than two.
    pub fn with_one_output(&self) -> Result<Self> {
        let (Kind::Classes(labels), Some(2)) = (&self.kind, self.classes()) else {
            return Err(Error::Unsupported { what: "with_one_output", why: "the targets are not two classes" });
        };
        self.with_matrices(self.inputs.clone(), one_row(labels)?)
    }

    /// Real numbers as targets; also the way to give each example a column of probabilities.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one target for each example, [`Error::NotFinite`] for an input or a target
    /// that is NaN or infinite, but for inputs that are said to be [missing](Examples::with_missing).
    pub fn regression(inputs: Examples<T>, targets: Examples<T>) -> Result<Self> {
        same_length("targets, one for each example (a column of the inputs)", &inputs, targets.matrix().cols())?;
        Self::checked(inputs, targets, Kind::Numbers)
    }

    fn checked(inputs: Examples<T>, targets: Examples<T>, kind: Kind) -> Result<Self> {
        let state = check_and_hash("inputs", inputs.matrix(), inputs.may_miss(), 0)?;
        let fingerprint = check_and_hash("targets", targets.matrix(), false, state)?;
        let missing = inputs.matrix().as_slice().iter().filter(|x| !x.is_finite()).count();
        // What may miss and does not is as what may not: parts of the data equal what they are parts of.
        let inputs = inputs.missing_if(missing > 0);
        Ok(Self { inputs, targets, kind, weighting: None, missing, fingerprint })
    }

    /// The same examples with other inputs and targets, in the same order; inputs may be missing where these may.
    pub(crate) fn with_matrices(&self, inputs: Examples<T>, targets: Examples<T>) -> Result<Self> {
        let inputs = if self.missing > 0 { inputs.with_missing() } else { inputs };
        let data = Self::checked(inputs, targets, self.kind.clone())?;
        Ok(Self { weighting: self.weighting.clone(), ..data })
    }

    /// [`with_matrices`](Self::with_matrices), of inputs.
    pub(crate) fn with_inputs(&self, inputs: Examples<T>) -> Result<Self> {
        self.with_matrices(inputs, self.targets.clone())
    }

    /// The inputs, `input_dim × N`; NaN where they are missing.
    pub fn inputs(&self) -> MatRef<'_, T> {
        self.inputs.matrix()
    }

    /// The targets, `target_dim × N`; for classes one-hot, or the labels 0 and 1 in one row.
    pub fn targets(&self) -> MatRef<'_, T> {
        self.targets.matrix()
    }

    /// The class of each example, if the targets are classes.
    pub fn labels(&self) -> Option<&[usize]> {
        match &self.kind {
            Kind::Classes(labels) => Some(labels),
            Kind::Numbers | Kind::MultiLabel => None,
        }
    }

    /// The number of classes, if the targets are classes: 2 with one row of targets.
    pub fn classes(&self) -> Option<usize> {
        self.labels().map(|_| self.target_dim().max(2))
    }

    /// Returns whether the targets are any number of [labels](Self::multi_label) for each example.
    pub fn is_multi_label(&self) -> bool {
        self.kind == Kind::MultiLabel
    }

    /// The number of inputs that are [missing](Examples::with_missing).
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// The mean of what is known of every feature, `input_dim` entries.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a feature that is missing in every example.
    pub fn known_means(&self) -> Result<Vec<T>> {
        let known = |x: &&T| x.is_finite();
        let mean = |row: usize| {
            let feature = || self.inputs().as_slice().iter().skip(row).step_by(self.input_dim()).filter(known);
            let count = feature().count() as f64;
            let mean = feature().map(|x| x.to_f64() / count).sum::<f64>();
            let what = "the mean of an input that is missing everywhere";
            if count > 0.0 { Ok(T::of(mean)) } else { Err(Error::NotFinite { what, example: 0, row, value: f64::NAN }) }
        };
        (0..self.input_dim()).map(mean).collect()
    }

    /// Fails at the first input that is missing.
    pub(crate) fn check_known(&self) -> Result<()> {
        check_finite("inputs (only those that a fit trains on may be missing)", self.inputs())
    }

    /// The number of examples, at least 1.
    pub fn len(&self) -> usize {
        self.inputs().cols()
    }

    /// Features of an example.
    pub fn input_dim(&self) -> usize {
        self.inputs().rows()
    }

    /// Entries of a target.
    pub fn target_dim(&self) -> usize {
        self.targets().rows()
    }

    /// A hash of both matrices and their shapes. Other contents, or the same in another order, give another value (up to
    /// chance, 2⁻⁶⁴); it is the same on every machine, and for the same values in `f32` and `f64`. The
    /// [weights](Self::with_weights) have no part in it: a bank goes on when they change.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// The `classes × N` matrix with a 1 in row `labels[i]` of column i and 0 elsewhere.
///
/// # Errors
/// [`Error::Empty`] without labels or classes, [`Error::LabelOutOfRange`] for the first label that is not in
/// `0..classes`, [`Error::HyperParameter`] when so many classes do not fit into memory.
pub fn one_hot<T: Scalar>(labels: &[usize], classes: usize) -> Result<Examples<T>> {
    if classes == 0 {
        return Err(Error::Empty { what: "the set of classes" });
    }
    check_labels(labels, classes)?;
    let mut data = Vec::new();
    let entries = classes.checked_mul(labels.len());
    let Some(entries) = entries.filter(|&entries| data.try_reserve_exact(entries).is_ok()) else {
        let expected = "so few that a column of them for each example fits into memory";
        return Err(Error::HyperParameter { name: "classes", expected, found: classes as f64 });
    };
    data.resize(entries, T::zero());
    for (column, &label) in data.chunks_exact_mut(classes).zip(labels) {
        if let Some(entry) = column.get_mut(label) {
            *entry = T::one();
        }
    }
    Examples::from_columns(data, labels.len(), classes)
}

/// The labels 0 and 1 as they are, `1 × N`.
fn one_row<T: Scalar>(labels: &[usize]) -> Result<Examples<T>> {
    check_labels(labels, 2)?;
    Examples::from_columns(labels.iter().map(|&label| T::of(label as f64)).collect(), labels.len(), 1)
}

/// Fails at the first label that is not in `0..classes`.
pub(crate) fn check_labels(labels: &[usize], classes: usize) -> Result<()> {
    match labels.iter().enumerate().find(|&(_, &label)| label >= classes) {
        Some((example, &label)) => Err(Error::LabelOutOfRange { example, label, classes }),
        None => Ok(()),
    }
}

fn same_length<T: Scalar>(what: &'static str, inputs: &Examples<T>, found: usize) -> Result<()> {
    let expected = inputs.matrix().cols();
    if found == expected { Ok(()) } else { Err(Error::Shape { what, expected, found }) }
}

/// Continues the hash `state` over a matrix while looking for numbers that are not finite, nor missing where they may be.
fn check_and_hash<T: Scalar>(what: &'static str, matrix: MatRef<'_, T>, may_miss: bool, state: u64) -> Result<u64> {
    let shape = [matrix.rows() as u64, matrix.cols() as u64];
    let mut state = shape.into_iter().fold(state, mix);
    let good = |value: f64| value.is_finite() || (may_miss && value.is_nan());
    for (example, column) in matrix.columns().enumerate() {
        let mut all_good = true;
        for value in column.iter().map(|value| value.to_f64()) {
            all_good &= good(value);
            // One of the many NaNs for all of them.
            state = mix(state, if value.is_nan() { u64::MAX } else { value.to_bits() });
        }
        if !all_good {
            let mut values = column.iter().map(|value| value.to_f64()).enumerate();
            let (row, value) = values.find(|&(_, value)| !good(value)).unwrap_or_default();
            return Err(Error::NotFinite { what, example, row, value });
        }
    }
    Ok(state)
}

/// One round of a multiply-and-fold hash: both halves of the 128-bit product, so that high bits (signs and exponents)
/// reach low ones, which a plain multiplication never lets them.
fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ word) * 0xa076_1d64_78bd_642f;
    (product >> 64) as u64 ^ product as u64
}
