//! Scalers on columns that are constant, or almost: against scikit-learn (`tests/sklearn/scaler.py` says how, and writes
//! `tests/sklearn/scaler.txt`). Scalers of pictures: against those of a feature for each channel.

use std::collections::HashMap;

use decoupled::data::{Examples, Scaler};
use decoupled::{Dataset, Error, MatRef, Scalar};

/// The scaled column.
fn scaled<T: Scalar>(kind: &str, column: &[f64]) -> Vec<f64> {
    let column: Vec<T> = column.iter().map(|&x| T::of(x)).collect();
    let data = MatRef::new(&column, 1, column.len());
    let scaler = if kind == "standard" { Scaler::standard(data) } else { Scaler::min_max(data) }.unwrap();
    let scaled = scaler.apply(data).unwrap();
    let back = scaler.invert(scaled.matrix()).unwrap();
    let near = |(x, y): (&T, &T)| (x.to_f64() - y.to_f64()).abs() <= 8.0 * T::default_epsilon().to_f64();
    assert!(back.matrix().as_slice().iter().zip(&column).all(near), "{kind}: {column:?} comes back as {back:?}");
    scaled.matrix().as_slice().iter().map(|x| x.to_f64()).collect()
}

#[test]
fn columns_of_rounding_noise_are_constant_where_they_are_for_scikit_learn() {
    let lines = include_str!("../sklearn/scaler.txt").lines().filter(|line| !line.starts_with('#'));
    let numbers = |text: &str| text.split_whitespace().map(|x| x.parse().unwrap()).collect::<Vec<f64>>();
    let all: HashMap<&str, Vec<f64>> =
        lines.map(|line| line.split_once(": ").unwrap()).map(|(key, values)| (key, numbers(values))).collect();
    let mut cases: Vec<&str> = all.keys().filter_map(|key| key.strip_suffix("/column")).collect();
    cases.sort_unstable();
    assert_eq!(cases.len(), 68);
    let mut constants = 0;
    for case in cases {
        let of = |key: &str| &all[format!("{case}/{key}").as_str()];
        let (kind, single) = (case.rsplit('/').next().unwrap(), case.contains("/float32/"));
        let column = of("column");
        let found = if single { scaled::<f32>(kind, column) } else { scaled::<f64>(kind, column) };
        // Of a constant there is left what it varies by; here 0.
        let constant = found.iter().all(|&x| x == 0.0);
        assert_eq!(constant, of("constant")[0] == 1.0, "{case}: {found:?}");
        constants += usize::from(constant);
        // It subtracts the mean in the scalar's precision, so what is left has that error of the largest.
        let (low, high) = column.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| (low.min(x), high.max(x)));
        let eps = if single { f64::from(f32::EPSILON) } else { f64::EPSILON };
        let close = |(x, y): (&f64, &f64)| (x - y).abs() <= 32.0 * eps * low.abs().max(high.abs()) / (high - low);
        assert!(constant || found.iter().zip(of("scaled")).all(close), "{case}: {found:?} for {:?}", of("scaled"));
    }
    assert_eq!(constants, 43);
}

#[test]
fn noise_is_noise_at_any_size_and_in_single_precision() {
    for size in [1e-300, 1e-20, 1.0, 1e20, 1e300] {
        let noise = [0.1 + 0.2, 0.3, 0.3].map(|x| x * size);
        let signal = [1.0, 2.0, 6.0].map(|x| x * size);
        for kind in ["standard", "min-max"] {
            let map = |column: &[f64]| {
                let data = MatRef::new(column, 1, 3);
                let scaler = if kind == "standard" { Scaler::standard(data) } else { Scaler::min_max(data) };
                scaler.unwrap().apply(data).unwrap().matrix().as_slice().to_vec()
            };
            assert_eq!(map(&noise), [0.0; 3], "{kind} at {size}");
            let spread = if kind == "standard" { (14.0_f64 / 3.0).sqrt() } else { 5.0 };
            let found = map(&signal);
            assert!(((found[2] - found[0]) * spread - 5.0).abs() < 1e-12, "{kind} at {size}: {found:?}");
        }
    }
    // 0.1 + 0.6 and 0.7 in f32 are one rounding apart.
    let (sum, plain) = (0.1_f32 + 0.6, 0.7_f32);
    assert!(sum != plain);
    assert_eq!(scaled::<f32>("standard", &[sum, plain, plain].map(f64::from)), [0.0; 3]);
}

/// Three pictures of two channels, 2 × 3 pixels each: channels of other means and sizes.
const SHAPE: [usize; 3] = [2, 2, 3];

fn pictures<T: Scalar>() -> Examples<T> {
    let pixel = |i: usize| {
        let (picture, channel, pixel) = (i / 12, i % 12 / 6, i % 6);
        T::of((1 + picture * picture + 7 * pixel) as f64 * [0.3, -20.0][channel] + [0.0, 500.0][channel])
    };
    Examples::from_row_slice(&(0..36).map(pixel).collect::<Vec<_>>(), 3, 12).unwrap()
}

/// Pixels of a channel as a feature, `channels × (pixels · examples)`.
fn by_channel<T: Scalar>(pictures: MatRef<'_, T>, [channels, height, width]: [usize; 3]) -> Examples<T> {
    let pixels = height * width;
    let channel = |c: usize| pictures.columns().flat_map(move |x| x[c * pixels..(c + 1) * pixels].to_vec()).collect();
    Examples::from_features(&(0..channels).map(channel).collect::<Vec<Vec<T>>>()).unwrap()
}

fn channels_are_features<T: Scalar>(pictures: &Examples<T>, shape: [usize; 3]) {
    let scaler = Scaler::standard_channels(pictures, shape).unwrap();
    assert_eq!(scaler.features(), pictures.matrix().rows());
    let scaled = scaler.apply(pictures).unwrap();
    let features = by_channel(pictures.matrix(), shape);
    let of_features = Scaler::standard(&features).unwrap();
    let bits = |x: &Examples<T>| x.matrix().as_slice().iter().map(|x| x.to_f64().to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&by_channel(scaled.matrix(), shape)), bits(&of_features.apply(&features).unwrap()), "{shape:?}");
    let back = scaler.invert(&scaled).unwrap();
    let of_features = of_features.invert(&by_channel(scaled.matrix(), shape)).unwrap();
    assert_eq!(bits(&by_channel(back.matrix(), shape)), bits(&of_features), "{shape:?}");
}

#[test]
fn a_channel_is_scaled_as_a_feature_of_all_its_pixels() {
    for shape in [SHAPE, [1, 3, 4], [12, 1, 1], [4, 3, 1]] {
        channels_are_features(&pictures::<f64>(), shape);
        channels_are_features(&pictures::<f32>(), shape);
    }
    let mut holes = pictures::<f64>().matrix().as_slice().to_vec();
    // Of the second channel one pixel is missing, of the first but one; and the second is constant, up to rounding.
    holes.iter_mut().enumerate().filter(|(i, _)| i % 12 < 6 && *i != 15).for_each(|(_, x)| *x = f64::NAN);
    holes[6] = f64::NAN;
    channels_are_features(&Examples::from_row_slice(&holes, 3, 12).unwrap(), SHAPE);
    let constant: Vec<f64> = (0..36).map(|i| if i % 5 == 0 { 0.1 + 0.2 } else { 0.3 }).collect();
    let constant = Examples::from_row_slice(&constant, 3, 12).unwrap();
    channels_are_features(&constant, SHAPE);
    let scaler = Scaler::standard_channels(&constant, SHAPE).unwrap();
    assert_eq!(scaler.apply(&constant).unwrap().matrix().as_slice(), [0.0; 36]);
    // Of a flat shape every entry is a channel.
    assert_eq!(
        Scaler::standard_channels(&pictures::<f64>(), 12).unwrap(),
        Scaler::standard(&pictures::<f64>()).unwrap()
    );
}

#[test]
fn a_channel_gets_mean_0_and_variance_1_and_its_differences_keep_their_ratio() {
    let data = pictures::<f64>();
    let scaled = Scaler::standard_channels(&data, SHAPE).unwrap().apply(&data).unwrap();
    for (channel, raw) in [0, 1].map(|c| (scaled.matrix().columns().map(move |x| &x[6 * c..6 * c + 6]), 6 * c)) {
        let values: Vec<f64> = channel.flatten().copied().collect();
        let mean = values.iter().sum::<f64>() / 18.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 18.0;
        assert!(mean.abs() < 1e-14 && (variance - 1.0).abs() < 1e-14, "{mean}, {variance}");
        let given: Vec<f64> = data.matrix().columns().flat_map(|x| x[raw..raw + 6].to_vec()).collect();
        for i in 2..18 {
            let ratio = |x: &[f64]| (x[i] - x[0]) / (x[1] - x[0]);
            assert!((ratio(&values) - ratio(&given)).abs() < 1e-12);
        }
    }
}

#[test]
fn shapes_and_pictures_that_do_not_fit_a_scaler_of_channels_are_refused() {
    let data = pictures::<f64>();
    for (shape, expected) in [([2, 2, 2], 8), ([0, 2, 3], 0), ([usize::MAX, 2, 3], usize::MAX)] {
        let error = Scaler::standard_channels(&data, shape).unwrap_err();
        assert!(matches!(error, Error::Shape { expected: e, found: 12, .. } if e == expected), "{error}");
    }
    for shape in [[0, 2, 3], [2, 0, usize::MAX]] {
        let none = Scaler::standard_channels(MatRef::<f64>::new(&[], 0, 4), shape);
        assert!(matches!(none, Err(Error::Empty { .. })), "{none:?}");
    }
    let none = Scaler::standard_channels(MatRef::<f64>::new(&[], 12, 0), SHAPE);
    assert!(matches!(none, Err(Error::Empty { .. })), "{none:?}");
    let mut holes = data.matrix().as_slice().to_vec();
    holes.iter_mut().enumerate().filter(|(i, _)| i % 12 >= 6).for_each(|(_, x)| *x = f64::NAN);
    let missing = Scaler::standard_channels(MatRef::new(&holes, 12, 3), SHAPE);
    assert!(matches!(missing, Err(Error::NotFinite { row: 6, .. })), "{missing:?}");
    holes[4] = f64::INFINITY;
    let infinite = Scaler::standard_channels(MatRef::new(&holes, 12, 3), SHAPE);
    assert!(matches!(infinite, Err(Error::NotFinite { example: 0, row: 4, .. })), "{infinite:?}");
    let scaler = Scaler::standard_channels(&data, SHAPE).unwrap();
    assert!(matches!(scaler.apply(MatRef::new(&[1.0; 2], 2, 1)), Err(Error::Shape { expected: 12, found: 2, .. })));
    // As targets, a channel that was constant must stay so.
    let flat = Scaler::standard_channels(MatRef::new(&[5.0, 5.0, 1.0, 2.0], 4, 1), [2, 1, 2]).unwrap();
    let targets = Examples::from_rows(&[[5.0, 6.0, 1.0, 2.0]]).unwrap();
    let real = Dataset::regression(targets.clone(), targets).unwrap();
    assert!(matches!(flat.scale_targets(&real), Err(Error::Target { found: 6.0, .. })));
}

#[cfg(feature = "serde")]
#[test]
fn a_scaler_of_features_is_written_and_read_as_before_there_were_channels() {
    let old = r#"{"maps":[{"center":1.0,"spread":2.0},{"center":3.0,"spread":4.0}]}"#;
    let scaler: Scaler = serde_json::from_str(old).unwrap();
    assert_eq!(serde_json::to_string(&scaler).unwrap(), old);
    assert_eq!(scaler.apply(MatRef::new(&[3.0, 11.0], 2, 1)).unwrap().matrix().as_slice(), [1.0, 2.0]);

    let channels = Scaler::standard_channels(&pictures::<f64>(), SHAPE).unwrap();
    let text = serde_json::to_string(&channels).unwrap();
    assert_eq!(serde_json::from_str::<Scaler>(&text).unwrap(), channels);
    // Two maps, whatever the size of the pictures; and a file that was tampered with maps nothing.
    assert_eq!(text.matches("center").count(), 2);
    for pixels in ["0", "18446744073709551615"] {
        let other: Scaler =
            serde_json::from_str(&text.replace(r#""pixels":6"#, &format!(r#""pixels":{pixels}"#))).unwrap();
        assert!(matches!(other.apply(&pictures::<f64>()), Err(Error::Shape { found: 12, .. })));
    }
}
