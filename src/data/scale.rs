//! Scaling of features, to mean 0 and variance 1 or to the range from 0 to 1, and back.

use std::iter::repeat_n;

use crate::data::{Dataset, Examples, Kind};
use crate::layer::Shape;
use crate::machine::linalg::matrix::check_shape;
use crate::{Error, MatRef, Result, Scalar};

/// An affine map for each feature (row), x ↦ (x − center) / spread: fitted on the training part, applied to all. One for
/// [pictures](Self::standard_channels) has a map for each channel, the same for all of its pixels.
///
/// NaN is a value that is [missing](Examples::with_missing): it does not count where the map is fitted, and stays NaN, as with
/// scikit-learn's scalers.
///
/// A feature that is constant where the map was fitted, up to rounding, has spread 0: it is mapped to 0 everywhere. With ε of the
/// scalar and m the largest |x|, that is so if, over N examples,
///
/// ```text
/// standard   variance ≤ N ε₆₄ variance + (N mean ε₆₄)²   or   range ≤ 4 ε m
/// min-max    range < 10 ε m   or   range = 0
/// ```
///
/// The first is scikit-learn's rule, from the error of a variance in two passes (T. Chan, G. Golub, R. LeVeque, 1983, *Algorithms for computing the
/// sample variance*, [DOI 10.1080/00031305.1983.10483115](https://doi.org/10.1080/00031305.1983.10483115)), the second is for rounding in
/// `f32`, which it does not see. scikit-learn's third has no m: there a feature is constant for being small.
///
/// ```
/// use decoupled::data::{Scaler, digits};
///
/// let (train, test) = digits::<f64>()?.stratified_split(0.8, 7)?;
/// let scaler = Scaler::standard(train.inputs())?;
/// let (train, test) = (scaler.scale_inputs(&train)?, scaler.scale_inputs(&test)?);
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "MinMaxScaler")]
#[doc(alias = "StandardScaler")]
pub struct Scaler {
    maps: Vec<Map>,
    /// Consecutive features that share a map. A file of a map for each feature does not name it.
    #[cfg_attr(feature = "serde", serde(default = "one", skip_serializing_if = "is_one"))]
    pixels: usize,
}

#[cfg(feature = "serde")]
fn one() -> usize {
    1
}

#[cfg(feature = "serde")]
fn is_one(pixels: &usize) -> bool {
    *pixels == 1
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
struct Map {
    center: f64,
    spread: f64,
}

impl Scaler {
    /// To mean 0 and variance 1: center is the mean, spread the standard deviation (of the population, over N).
    ///
    /// # Errors
    /// [`Error::Empty`] without examples or features, [`Error::NotFinite`].
    pub fn standard<'m, T: Scalar>(data: impl Into<MatRef<'m, T>>) -> Result<Self> {
        Self::standard_of(data.into(), 1)
    }

    /// Each channel of pictures to mean 0 and variance 1 over all of its pixels in all examples, as
    /// [`standard`](Self::standard) maps a feature. Pictures are the columns of `data`, `(channels · height · width) × examples`; of a
    /// flat shape every entry is a channel.
    ///
    /// The rule for constants and that for NaN are those of a feature whose values are the channel's pixels, `height · width · N` of them.
    ///
    /// ```
    /// use decoupled::data::{Examples, Scaler};
    ///
    /// // Two pictures of two channels, each of 1 × 2 pixels.
    /// let pictures = Examples::from_rows(&[[1.0, 3.0, 0.0, 0.0], [3.0, 1.0, 10.0, 10.0]])?;
    /// let scaled = Scaler::standard_channels(&pictures, [2, 1, 2])?.apply(&pictures)?;
    /// assert_eq!(scaled.matrix().column(0), [-1.0, 1.0, -1.0, -1.0]);
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`standard`](Self::standard), where the row of an error is the first of its channel if all of it is missing; [`Error::Shape`]
    /// for a shape of another length than the examples.
    #[doc(alias = "Normalize")]
    pub fn standard_channels<'m, T: Scalar>(data: impl Into<MatRef<'m, T>>, shape: impl Into<Shape>) -> Result<Self> {
        let (data, shape) = (data.into(), shape.into());
        check_shape("length of pictures to scale (rows)", shape.len(), data.rows())?;
        let [_, height, width] = shape.image();
        Self::standard_of(data, height.saturating_mul(width))
    }

    fn standard_of<T: Scalar>(data: MatRef<'_, T>, pixels: usize) -> Result<Self> {
        let ranges = ranges(data, pixels)?;
        // Moments of the range mapped to [0, 1], so that no square overflows or vanishes.
        let maps: Vec<Map> = ranges.iter().map(Range::map).collect();
        let mut moments = vec![(0.0, 0.0, 0.0); maps.len()];
        for column in data.columns() {
            for ((_, _, count), channel) in moments.iter_mut().zip(column.chunks_exact(pixels)) {
                *count += known(channel).count() as f64;
            }
        }
        for column in data.columns() {
            for (((mean, _, count), map), channel) in moments.iter_mut().zip(&maps).zip(column.chunks_exact(pixels)) {
                known(channel).for_each(|x| *mean += map.apply(x) / *count);
            }
        }
        for column in data.columns() {
            let channels = column.chunks_exact(pixels);
            for (((mean, variance, count), map), channel) in moments.iter_mut().zip(&maps).zip(channels) {
                known(channel).for_each(|x| *variance += (map.apply(x) - *mean).powi(2) / *count);
            }
        }
        let eps = T::default_epsilon().to_f64();
        let standard = |(map, (range, (mean, variance, count))): (&Map, (&Range, (f64, f64, f64)))| {
            let (center, size) = (map.invert(mean), range.size());
            let (relative, mean) = (variance * (map.spread / size).powi(2), center / size);
            let bound = count * f64::EPSILON * relative + (count * mean * f64::EPSILON).powi(2);
            let constant = map.spread == 0.0 || relative <= bound || map.spread <= 4.0 * eps * size;
            Map { center, spread: if constant { 0.0 } else { map.spread * variance.sqrt() } }
        };
        Ok(Self { maps: maps.iter().zip(ranges.iter().zip(moments)).map(standard).collect(), pixels })
    }

    /// To [0, 1]: center is the smallest value, spread the range.
    ///
    /// # Errors
    /// [`Error::Empty`] without examples or features, [`Error::NotFinite`].
    pub fn min_max<'m, T: Scalar>(data: impl Into<MatRef<'m, T>>) -> Result<Self> {
        let eps = T::default_epsilon().to_f64();
        let constant = |range: &Range, map: Map| map.spread < 10.0 * eps * range.size();
        let map = |range: &Range| match range.map() {
            map if constant(range, map) => Map { spread: 0.0, ..map },
            map => map,
        };
        Ok(Self { maps: ranges(data.into(), 1)?.iter().map(map).collect(), pixels: 1 })
    }

    /// The scaled matrix, `features × examples` as `data`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `data` has other rows than what the map was fitted on, [`Error::Empty`] without examples.
    pub fn apply<'m, T: Scalar>(&self, data: impl Into<MatRef<'m, T>>) -> Result<Examples<T>> {
        self.each(data.into(), Map::apply)
    }

    /// Undoes [`apply`](Self::apply), as for predictions of scaled targets; a constant feature gets its constant back.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn invert<'m, T: Scalar>(&self, data: impl Into<MatRef<'m, T>>) -> Result<Examples<T>> {
        self.each(data.into(), Map::invert)
    }

    /// The data set with scaled inputs.
    ///
    /// # Errors
    /// [`Error::Shape`] for another input width, [`Error::NotFinite`] when a scaled input overflows.
    pub fn scale_inputs<T: Scalar>(&self, data: &Dataset<T>) -> Result<Dataset<T>> {
        data.with_inputs(self.apply(data.inputs())?)
    }

    /// The data set with scaled targets.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the targets are classes or labels, [`Error::Shape`] for another target width,
    /// [`Error::Target`] for one that differs from the constant that the map was fitted on, which would scale to an error of 0,
    /// [`Error::NotFinite`] when a scaled target overflows.
    pub fn scale_targets<T: Scalar>(&self, data: &Dataset<T>) -> Result<Dataset<T>> {
        if data.kind != Kind::Numbers {
            let why = "the targets are classes or labels, not numbers";
            return Err(Error::Unsupported { what: "scale_targets", why });
        }
        let scaled = self.apply(data.targets())?;
        for (example, column) in data.targets().columns().enumerate() {
            let differs = |(map, x): &(&Map, &T)| map.spread == 0.0 && !map.is_center(**x);
            if let Some((_, x)) = self.of_features().zip(column).find(differs) {
                let expected = "the constant that the scaler was fitted on";
                return Err(Error::Target { loss: "scale_targets", example, expected, found: x.to_f64() });
            }
        }
        data.with_matrices(data.inputs.clone(), scaled)
    }

    /// How many features it maps.
    pub fn features(&self) -> usize {
        self.maps.len().saturating_mul(self.pixels)
    }

    /// Returns the map of each feature.
    fn of_features(&self) -> impl Iterator<Item = &Map> {
        self.maps.iter().flat_map(|map| repeat_n(map, self.pixels))
    }

    fn each<T: Scalar>(&self, data: MatRef<'_, T>, map: impl Fn(&Map, f64) -> f64) -> Result<Examples<T>> {
        let (expected, found) = (self.features(), data.rows());
        if found != expected {
            return Err(Error::Shape { what: "features of a scaler (rows)", expected, found });
        }
        let entry = |(of, &x): (&Map, &T)| T::of(map(of, x.to_f64()));
        let entries = data.columns().flat_map(|column| self.of_features().zip(column).map(entry));
        Examples::from_columns(entries.collect(), data.cols(), data.rows())
    }
}

/// The smallest and the largest value of a feature, or of a channel.
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// To [0, 1].
    fn map(&self) -> Map {
        Map { center: self.low, spread: self.high - self.low }
    }

    /// The largest |x|.
    fn size(&self) -> f64 {
        self.low.abs().max(self.high.abs())
    }
}

/// The ranges of channels of `pixels` features each.
fn ranges<T: Scalar>(data: MatRef<'_, T>, pixels: usize) -> Result<Vec<Range>> {
    crate::data::check_and_hash("data to fit a scaler", data, true, 0)?;
    if data.as_slice().is_empty() {
        return Err(Error::Empty { what: "data to fit a scaler" });
    }
    let mut ranges: Vec<Range> =
        (0..data.rows() / pixels).map(|_| Range { low: f64::INFINITY, high: f64::NEG_INFINITY }).collect();
    for column in data.columns() {
        for (Range { low, high }, channel) in ranges.iter_mut().zip(column.chunks_exact(pixels)) {
            for x in known(channel) {
                (*low, *high) = (low.min(x), high.max(x));
            }
        }
    }
    match ranges.iter().position(|range| range.low > range.high) {
        Some(channel) => {
            let what = "data to fit a scaler, missing everywhere";
            Err(Error::NotFinite { what, example: 0, row: channel * pixels, value: f64::NAN })
        }
        None => Ok(ranges),
    }
}

/// The values that are not missing.
fn known<T: Scalar>(values: &[T]) -> impl Iterator<Item = f64> {
    values.iter().map(|x| x.to_f64()).filter(|x| x.is_finite())
}

impl Map {
    fn apply(&self, x: f64) -> f64 {
        if self.spread == 0.0 && !x.is_nan() { 0.0 } else { (x - self.center) / self.spread }
    }

    /// Up to rounding.
    fn is_center<T: Scalar>(&self, x: T) -> bool {
        let (x, eps) = (x.to_f64(), T::default_epsilon().to_f64());
        (x - self.center).abs() <= 10.0 * eps * x.abs().max(self.center.abs())
    }

    fn invert(&self, scaled: f64) -> f64 {
        scaled * self.spread + self.center
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features: ordinary, constant (0.1 + 0.1 + 0.1 ≠ 0.3), huge, tiny.
    const TABLE: [[f64; 4]; 3] = [[1.0, 0.1, 1e300, 3e-200], [2.0, 0.1, 3e300, -1e-200], [6.0, 0.1, -1e300, 1e-200]];

    fn table() -> Examples<f64> {
        Examples::from_rows(&TABLE).unwrap()
    }

    #[test]
    fn the_standard_map_gives_mean_0_and_variance_1() {
        let scaled = Scaler::standard(table().matrix()).unwrap().apply(table().matrix()).unwrap();
        for feature in 0..4 {
            let values: Vec<f64> = scaled.matrix().columns().map(|column| column[feature]).collect();
            let mean = values.iter().sum::<f64>() / 3.0;
            let variance = values.iter().map(|x| x * x).sum::<f64>() / 3.0;
            let expected = if feature == 1 { 0.0 } else { 1.0 };
            assert!(mean.abs() < 1e-14 && (variance - expected).abs() < 1e-14, "feature {feature}: {values:?}");
        }
    }

    #[test]
    fn the_standard_map_of_1_2_6_is_worked_by_hand() {
        // Mean 3, variance (4 + 1 + 9) / 3 = 14/3; 10 is 7 above the mean.
        let fitted = Scaler::standard(MatRef::new(&[1.0, 2.0, 6.0], 1, 3)).unwrap();
        let scaled = fitted.apply(MatRef::new(&[10.0], 1, 1)).unwrap().matrix().as_slice()[0];
        assert!((scaled - 7.0 / (14.0f64 / 3.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_min_max_map_fills_the_unit_interval_and_unseen_data_may_leave_it() {
        let fitted = Scaler::min_max(table().matrix()).unwrap();
        let scaled = fitted.apply(table().matrix()).unwrap();
        let expected = [0.0, 0.0, 0.5, 1.0, 0.2, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.5];
        let pairs = scaled.matrix().as_slice().iter().zip(expected);
        assert!(pairs.into_iter().all(|(x, e): (&f64, f64)| (x - e).abs() < 1e-15), "{scaled:?}");
        let outside = fitted.apply(MatRef::new(&[11.0, 5.0, 0.0, 0.0], 4, 1)).unwrap();
        assert_eq!(outside.matrix().as_slice()[..2], [2.0, 0.0]);
    }

    #[test]
    fn inverting_gives_the_data_back() {
        for fitted in [Scaler::standard(table().matrix()), Scaler::min_max(table().matrix())].map(Result::unwrap) {
            let back = fitted.invert(fitted.apply(table().matrix()).unwrap().matrix()).unwrap();
            for (found, given) in back.matrix().columns().zip(&TABLE) {
                for ((x, &given), size) in found.iter().zip(given).zip([6.0, 0.1, 3e300, 3e-200]) {
                    assert!((x - given).abs() <= 1e-15 * size, "{x} for {given}");
                }
            }
        }
    }

    #[test]
    fn a_data_set_keeps_what_is_not_scaled() {
        let labelled = Dataset::classification(table(), &[0, 1, 1], 2).unwrap();
        let scaler = Scaler::min_max(labelled.inputs()).unwrap();
        let scaled = scaler.scale_inputs(&labelled).unwrap();
        assert_eq!((scaled.targets(), scaled.labels()), (labelled.targets(), labelled.labels()));
        assert_eq!(scaled.inputs(), scaler.apply(labelled.inputs()).unwrap().matrix());
        assert!(matches!(scaler.scale_targets(&labelled), Err(Error::Unsupported { what: "scale_targets", .. })));

        let real = Dataset::regression(table(), table()).unwrap();
        let scaled = scaler.scale_targets(&real).unwrap();
        assert_eq!((scaled.inputs(), scaled.targets()), (real.inputs(), scaler.apply(real.inputs()).unwrap().matrix()));
    }

    #[test]
    fn misfits_are_errors() {
        let nothing = MatRef::<f64>::new(&[], 2, 0);
        assert!(matches!(Scaler::standard(nothing), Err(Error::Empty { what: "data to fit a scaler" })));
        let infinite = MatRef::new(&[0.0, 1.0, 2.0, f64::INFINITY], 2, 2);
        assert!(matches!(Scaler::min_max(infinite), Err(Error::NotFinite { example: 1, row: 1, .. })));
        let scaler = Scaler::standard(table().matrix()).unwrap();
        let narrow = scaler.apply(MatRef::new(&[1.0], 1, 1));
        assert!(matches!(narrow, Err(Error::Shape { what: "features of a scaler (rows)", expected: 4, found: 1 })));
        let far = Dataset::classification(Examples::from_rows(&[[0.0, 0.0, 0.0, 1e200]]).unwrap(), &[0], 1).unwrap();
        assert!(matches!(scaler.scale_inputs(&far), Err(Error::NotFinite { what: "inputs", row: 3, .. })));
    }
}
