//! The numbers that scikit-learn wrote.

use std::collections::HashMap;
use std::sync::LazyLock;

use decoupled::MatRef;

const TOLERANCE: f64 = 1e-12;

static NUMBERS: LazyLock<HashMap<&str, Vec<f64>>> = LazyLock::new(|| {
    let texts = [include_str!("../sklearn/metrics.txt"), include_str!("../sklearn/classifiers.txt")];
    let lines = texts.into_iter().flat_map(str::lines).filter(|line| !line.starts_with('#'));
    let parse = |values: &str| values.split_whitespace().map(|v| v.parse().unwrap()).collect();
    lines.map(|line| line.split_once(':').unwrap()).map(|(key, values)| (key, parse(values))).collect()
});

/// One case of scikit-learn's: its inputs, and what it makes of them.
pub(crate) struct Case(String);

impl Case {
    /// Those of a kind, as many as the script writes.
    pub(crate) fn all(kind: &str, count: usize) -> Vec<Self> {
        let named = NUMBERS.keys().filter_map(|key| key.strip_suffix("/truth").or(key.strip_suffix("/targets")));
        let cases: Vec<Self> = named.filter(|name| name.starts_with(kind)).map(|name| Self(name.to_owned())).collect();
        assert_eq!(cases.len(), count, "cases of {kind}");
        cases
    }

    pub(crate) fn numbers(&self, key: &str) -> &'static [f64] {
        let key = format!("{}/{key}", self.0);
        NUMBERS.get(&*key).unwrap_or_else(|| panic!("scikit-learn's numbers lack {key}"))
    }

    pub(crate) fn number(&self, key: &str) -> usize {
        self.numbers(key)[0] as usize
    }

    pub(crate) fn labels(&self, key: &str) -> Vec<usize> {
        self.numbers(key).iter().map(|&label| label as usize).collect()
    }

    pub(crate) fn matrix(&self, key: &str, rows: usize) -> MatRef<'static, f64> {
        let numbers = self.numbers(key);
        MatRef::new(numbers, rows, numbers.len() / rows)
    }

    #[track_caller]
    pub(crate) fn agrees(&self, key: &str, found: &[f64]) {
        let expected = self.numbers(key);
        let near = |(found, expected): (&f64, &f64)| {
            found == expected || (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
        };
        let agrees = found.len() == expected.len() && found.iter().zip(expected).all(near);
        assert!(agrees, "{}/{key}: {found:?}, scikit-learn has {expected:?}", self.0);
    }
}
