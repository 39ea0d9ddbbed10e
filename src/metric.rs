use std::fmt;
use std::sync::Arc;

use crate::{Dataset, MatRef, Scalar};

/// A score of one example from its target and the network's output; reports show the mean over the examples.
#[derive(Clone)]
pub struct Metric<T> {
    name: &'static str,
    score: Arc<Score<T>>,
}

type Score<T> = dyn Fn(&[T], &[T]) -> f64 + Send + Sync;

impl<T> fmt::Debug for Metric<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metric({})", self.name)
    }
}

impl<T: Scalar> Metric<T> {
    /// A metric from `score(target, output)` of one example, each of `d_T` entries.
    pub fn new(name: &'static str, score: impl Fn(&[T], &[T]) -> f64 + Send + Sync + 'static) -> Self {
        Self { name, score: Arc::new(score) }
    }

    /// The share of examples whose largest output stands where the largest target does.
    pub fn accuracy() -> Self {
        Self::new("accuracy", |target, output| f64::from(argmax(target) == argmax(output)))
    }

    /// Accuracy for data with class labels, nothing for others.
    pub(crate) fn for_data(data: &Dataset<T>) -> Option<Self> {
        data.labels().map(|_| Self::accuracy())
    }

    /// Its name, as reports print it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Σ score over the columns.
    pub(crate) fn sum(&self, targets: MatRef<'_, T>, outputs: MatRef<'_, T>) -> f64 {
        targets.columns().zip(outputs.columns()).map(|(target, output)| (self.score)(target, output)).sum()
    }
}

/// Index of the first largest entry.
fn argmax<T: Scalar>(column: &[T]) -> usize {
    column.iter().enumerate().fold(0, |best, (i, x)| if *x > column[best] { i } else { best })
}
