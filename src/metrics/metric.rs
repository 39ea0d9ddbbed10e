use std::fmt;
use std::sync::Arc;

use crate::parallel::guarded;
use crate::{Dataset, Error, MatRef, Result, Scalar};

/// A score of one example from its target and the network's output; reports show the mean over the examples. Scores that are no such
/// mean are in [`metrics`](crate::metrics).
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

    /// The share of examples whose largest output stands where the largest target does; of equal ones the first counts. A
    /// target without a single largest entry names no class: score such data by a metric of your own.
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

    /// Σ weight(i)·score over the columns.
    ///
    /// # Errors
    /// [`Error::Panicked`], or [`Error::Contract`] for a sum that is not finite.
    pub(crate) fn sum(
        &self,
        depth: usize,
        targets: MatRef<'_, T>,
        outputs: MatRef<'_, T>,
        weight: impl Fn(usize) -> f64,
    ) -> Result<f64> {
        let columns = targets.columns().zip(outputs.columns()).enumerate();
        let score = |(i, (target, output))| weight(i) * (self.score)(target, output);
        let sum = guarded("the metric", depth, || columns.map(score).sum())?;
        if f64::is_finite(sum) {
            return Ok(sum);
        }
        let what = "scores are finite numbers".to_owned();
        let (subject, rule) = (format!("{self:?}"), "scores_are_finite");
        Err(Error::Contract { subject, rule, what, expected: 0.0, found: sum })
    }
}

/// Index of the first largest entry.
pub(crate) fn argmax<T: Scalar>(column: &[T]) -> usize {
    let mut entries = column.iter().enumerate();
    let Some(first) = entries.next() else { return 0 };
    entries.fold(first, |best, entry| if entry.1 > best.1 { entry } else { best }).0
}
