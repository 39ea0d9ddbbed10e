//! Warnings about the data, before a fit.

use super::Warning;
use crate::{Dataset, MatRef, Scalar};

/// Examples that are looked at, evenly among all.
const EXAMPLES: usize = 4096;
/// Sizes beyond which features are far from one, and the factor by which they may differ.
const LARGE: f64 = 100.0;
const SMALL: f64 = 0.01;
const APART: f64 = 1e3;
/// Numbers of the working precision in a standard deviation that tell a feature's values apart well enough.
const STEPS: f64 = 1000.0;

impl Warning {
    /// What the data give reason to before a fit.
    pub(crate) fn of_data<T: Scalar>(data: &Dataset<T>) -> Vec<Self> {
        let inputs = features(data.inputs());
        let targets = if data.labels().is_none() { features(data.targets()) } else { Vec::new() };
        // Small targets, as probabilities of many classes, are no hardship.
        let large = Self::scales("targets", &targets).filter(|warning| match warning {
            Self::FeatureScales { largest, .. } => largest.1 >= LARGE,
            _ => true,
        });
        let found = [Self::alike(data), Self::precision::<T>(&inputs), Self::scales("inputs", &inputs), large];
        found.into_iter().flatten().collect()
    }

    fn alike<T: Scalar>(data: &Dataset<T>) -> Option<Self> {
        // Examples of weight 0 are none.
        let mut weighty = data.targets().columns().enumerate().filter(|(example, _)| data.weight(*example) > 0.0);
        let (example, first) = weighty.next()?;
        let mut examples = 1;
        let alike = weighty.all(|(_, column)| {
            examples += 1;
            column == first
        });
        let class = data.labels().and_then(|labels| labels.get(example).copied());
        (examples > 1 && alike).then_some(Self::TargetsAlike { examples, class })
    }

    fn precision<T: Scalar>(features: &[Feature]) -> Option<Self> {
        let steps = |feature: &Feature| feature.spread / spacing::<T>(feature.mean);
        let coarse = features.iter().filter(|feature| steps(feature) < STEPS);
        let worst = coarse.min_by(|a, b| steps(a).total_cmp(&steps(b)))?;
        let Feature { index, mean, spread, .. } = *worst;
        Some(Self::FeaturePrecision { feature: index, mean, spread, spacing: spacing::<T>(mean) })
    }

    fn scales(what: &'static str, features: &[Feature]) -> Option<Self> {
        // The first of equals.
        let largest = features.iter().rev().max_by(|a, b| a.size().total_cmp(&b.size()))?;
        // A feature that is mostly 0, as of rare words or classes, varies little and is none the smaller for it.
        let dense = features.iter().filter(|feature| !feature.sparse);
        let smallest = dense.min_by(|a, b| a.spread.total_cmp(&b.spread));
        let small = smallest.is_some() && !largest.sparse && largest.size() <= SMALL;
        let apart = smallest.is_some_and(|smallest| largest.size() >= APART * smallest.spread);
        let smallest = smallest.unwrap_or(largest);
        (small || apart || largest.size() >= LARGE).then_some(Self::FeatureScales {
            what,
            largest: (largest.index, largest.size()),
            smallest: (smallest.index, smallest.spread),
        })
    }
}

/// A feature that is not constant.
#[derive(Clone, Copy, Debug)]
struct Feature {
    index: usize,
    mean: f64,
    /// Standard deviation.
    spread: f64,
    /// Whether most of its values are 0.
    sparse: bool,
}

impl Feature {
    fn size(&self) -> f64 {
        self.mean.abs().max(self.spread)
    }
}

/// The features (rows) that are not constant over what is known of the examples.
fn features<T: Scalar>(matrix: MatRef<'_, T>) -> Vec<Feature> {
    #[derive(Clone, Copy, Default)]
    struct Sums {
        known: f64,
        zeros: f64,
        first: f64,
        /// Of the differences from the first: squares of the values themselves would cancel far from 0.
        sum: f64,
        squares: f64,
    }
    let count = matrix.cols().min(EXAMPLES);
    let mut sums = vec![Sums::default(); matrix.rows()];
    for example in (0..count).map(|i| i * matrix.cols() / count) {
        for (sums, x) in sums.iter_mut().zip(matrix.column(example)) {
            let x = x.to_f64();
            if !x.is_finite() {
                continue;
            }
            if sums.known == 0.0 {
                sums.first = x;
            }
            let difference = x - sums.first;
            sums.known += 1.0;
            sums.zeros += f64::from(u8::from(x == 0.0));
            sums.sum += difference;
            sums.squares += difference * difference;
        }
    }
    let of = |(index, sums): (usize, &Sums)| {
        let mean = sums.sum / sums.known;
        // Rounding can make the variance negative.
        let spread = (sums.squares / sums.known - mean * mean).max(0.0).sqrt();
        let sparse = 2.0 * sums.zeros > sums.known;
        (spread > 0.0).then_some(Feature { index, mean: sums.first + mean, spread, sparse })
    };
    sums.iter().enumerate().filter_map(of).collect()
}

/// How far the numbers of this precision near `x` are from one another.
fn spacing<T: Scalar>(x: f64) -> f64 {
    T::default_epsilon().to_f64() * x.abs().log2().floor().exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Examples;

    fn of(rows: &[&[f64]]) -> Vec<Warning> {
        let inputs = Examples::from_rows(rows).unwrap();
        let targets: Vec<[f64; 1]> = (0..rows.len()).map(|i| [i as f64 / rows.len() as f64]).collect();
        Warning::of_data(&Dataset::regression(inputs, Examples::from_rows(&targets).unwrap()).unwrap())
    }

    fn scales(largest: (usize, f64), smallest: (usize, f64)) -> Vec<Warning> {
        vec![Warning::FeatureScales { what: "inputs", largest, smallest }]
    }

    #[test]
    fn sizes_are_means_and_standard_deviations_worked_by_hand() {
        // Means 2 and 200, standard deviations 1 and 100: the second is far from one by its mean.
        assert_eq!(of(&[&[1.0, 100.0], &[3.0, 300.0]]), scales((1, 200.0), (0, 1.0)));
        // By its spread alone.
        assert_eq!(of(&[&[1.0, -128.0], &[3.0, 128.0]]), scales((1, 128.0), (0, 1.0)));
        // 50 and 1/32 are apart by 1,600; 32 and 1/16 by 512.
        assert_eq!(of(&[&[49.0, 0.0], &[51.0, 0.0625]]), scales((0, 50.0), (1, 0.03125)));
        assert_eq!(of(&[&[31.0, 0.0], &[33.0, 0.125]]), []);
        // All of them small.
        assert_eq!(of(&[&[0.0, 0.0], &[0.0078125, 0.015625]]), scales((1, 0.0078125), (0, 0.00390625)));
    }

    #[test]
    fn constant_binary_and_sparse_features_are_of_no_unusual_size() {
        assert_eq!(of(&[&[1e6, 0.0, 1.0], &[1e6, 1.0, 2.0]]), []);
        // Rare words: 0 but for one in two thousand.
        let rows: Vec<Vec<f64>> = (0..2000).map(|i| vec![f64::from(i == 7), f64::from(i % 2)]).collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        assert_eq!(of(&rows), []);
        let rare: Vec<&[f64]> = rows.iter().map(|row| row.split_at(1).0).collect();
        assert_eq!(of(&rare), []);
    }

    #[test]
    fn a_thousand_numbers_to_a_standard_deviation_tell_values_apart() {
        // Near 2³⁰ singles are 128 apart.
        assert_eq!(spacing::<f32>(1.7e9), 128.0);
        assert_eq!(spacing::<f64>(1.0), f64::EPSILON);
        assert_eq!(spacing::<f32>(0.0), 0.0);
        let far = |spread: f32| {
            let inputs = Examples::from_rows(&[[1.6e9 - spread], [1.6e9 + spread]]).unwrap();
            let found = Warning::of_data(&Dataset::classification(inputs, &[0, 1], 2).unwrap());
            found
                .into_iter()
                .any(|warning| matches!(warning, Warning::FeaturePrecision { feature: 0, spacing: 128.0, .. }))
        };
        assert!(far(127_872.0) && !far(128_000.0));
        assert!(of(&[&[1.7e9], &[1.7e9 + 60.0]]).iter().all(|w| !matches!(w, Warning::FeaturePrecision { .. })));
    }

    #[test]
    fn targets_that_are_all_alike_and_targets_far_from_one_are_told() {
        let inputs = || Examples::from_rows(&[[0.0], [1.0], [2.0]]).unwrap();
        let class = Warning::of_data(&Dataset::classification(inputs(), &[1, 1, 1], 3).unwrap());
        assert_eq!(class, [Warning::TargetsAlike { examples: 3, class: Some(1) }]);
        assert_eq!(Warning::of_data(&Dataset::classification(inputs(), &[1, 1, 0], 3).unwrap()), []);
        let real = |targets: [f64; 3]| {
            let targets = Examples::from_row_slice(&targets, 3, 1).unwrap();
            Warning::of_data(&Dataset::regression(inputs(), targets).unwrap())
        };
        assert_eq!(real([5.0; 3]), [Warning::TargetsAlike { examples: 3, class: None }]);
        assert_eq!(real([1e-5, 2e-5, 3e-5]), []);
        let found = real([150.0, 200.0, 250.0]);
        let [Warning::FeatureScales { what: "targets", largest: (0, 200.0), smallest: (0, spread) }] = found[..] else {
            panic!("{found:?}")
        };
        // √((50² + 0 + 50²)/3).
        assert!((spread - (5000.0f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
