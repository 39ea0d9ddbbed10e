//! Scalers on columns that are constant, or almost: against scikit-learn (`tests/sklearn/scaler.py` says how, and writes
//! `tests/sklearn/scaler.txt`).

use std::collections::HashMap;

use decoupled::data::Scaler;
use decoupled::{MatRef, Scalar};

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
