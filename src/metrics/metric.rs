//! The score of a fit's reports and of evaluations: a mean over examples.

use std::fmt;
use std::sync::Arc;

use super::Decision;
use super::scores::check_probabilities;
use crate::loss::Outputs;
use crate::machine::parallel::guarded;
use crate::{Dataset, Error, MatRef, Result, Scalar};

/// A score of one example from its target and the network's output; reports show the mean over the examples. Scores that are no such
/// mean are in [`metrics`](crate::metrics).
#[derive(Clone)]
pub struct Metric<T> {
    name: &'static str,
    score: Score<T>,
}

#[derive(Clone)]
enum Score<T> {
    Accuracy,
    SubsetAccuracy,
    Own(Arc<Own<T>>),
}

type Own<T> = dyn Fn(&[T], &[T]) -> f64 + Send + Sync;

impl<T> fmt::Debug for Metric<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metric({})", self.name)
    }
}

impl<T: Scalar> Metric<T> {
    /// A metric from `score(target, output)` of one example, each of `d_T` entries; outputs are as
    /// [`predict`](crate::DecoupledNetwork::predict) gives them.
    pub fn new(name: &'static str, score: impl Fn(&[T], &[T]) -> f64 + Send + Sync + 'static) -> Self {
        Self { name, score: Score::Own(Arc::new(score)) }
    }

    /// The share of examples whose [class](crate::DecoupledNetwork::predict_class) is the true one, also where several outputs are
    /// independent labels, of which `predict_class` names none: the largest output stands where
    /// the largest target does, the first of equal ones; a single output lies on the side of the network's
    /// [threshold](crate::DecoupledNetwork::threshold) on which a target of 0 or 1 does.
    ///
    /// Of [class labels](Dataset::classification), and of other targets that name a class: 0 or 1 for one output, for several a
    /// distribution with a single largest entry. Where others are to be scored it is [`Error::Unsupported`], as are real numbers.
    pub fn accuracy() -> Self {
        Self { name: "accuracy", score: Score::Accuracy }
    }

    /// The share of examples all of whose [labels](crate::DecoupledNetwork::predict_labels) are the true ones, for targets of 0 and 1;
    /// [`Error::Unsupported`] for others, and where the output loss gives every example one class.
    pub fn subset_accuracy() -> Self {
        Self { name: "subset accuracy", score: Score::SubsetAccuracy }
    }

    /// Accuracy for classes, subset accuracy for labels; nothing for real-valued targets, and where the outputs are of another kind.
    pub(crate) fn for_data(data: &Dataset<T>, outputs: Outputs) -> Option<Self> {
        if data.labels().is_some() {
            Some(Self::accuracy())
        } else if data.is_multi_label() && outputs != Outputs::Classes {
            Some(Self::subset_accuracy())
        } else {
            None
        }
    }

    /// Fails where the score would mean nothing: for targets that name no class, or are no labels, and labels by logits of classes.
    pub(crate) fn check(&self, data: &Dataset<T>, outputs: Outputs) -> Result<()> {
        let (what, means_something, why) = match self.score {
            Score::Own(_) => return Ok(()),
            Score::Accuracy => (
                "Metric::accuracy of targets that name no class",
                data.labels().is_some() || data.targets().columns().all(names_a_class),
                "for class labels take Dataset::classification; score several labels by Metric::subset_accuracy, real numbers by \
                 DecoupledNetwork::score, which is R², by metrics::mse and mae, or by a mean of your own, Metric::new",
            ),
            Score::SubsetAccuracy if outputs == Outputs::Classes => (
                "Metric::subset_accuracy",
                false,
                "the output loss gives every example one class: take Metric::accuracy, or BinaryCrossEntropy for independent labels",
            ),
            Score::SubsetAccuracy => (
                "Metric::subset_accuracy of targets that are not 0 or 1",
                data.targets().as_slice().iter().all(is_bit),
                "score real numbers by DecoupledNetwork::score, which is R², by metrics::mse and mae, or by a mean of your own, \
                 Metric::new",
            ),
        };
        if means_something { Ok(()) } else { Err(Error::Unsupported { what, why }) }
    }

    /// Its name, as reports print it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The metric of a network that decides so.
    pub(crate) fn judge(&self, decision: Decision) -> Judge<'_, T> {
        Judge { metric: self, decision }
    }
}

/// A metric with what it needs to know of the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'m, T> {
    metric: &'m Metric<T>,
    decision: Decision,
}

impl<T: Scalar> Judge<'_, T> {
    /// Σ weight(i)·score over the columns.
    ///
    /// # Errors
    /// [`Error::Panicked`], or [`Error::Contract`] for a sum that is not finite.
    pub(crate) fn sum(
        &self,
        targets: MatRef<'_, T>,
        outputs: MatRef<'_, T>,
        weight: impl Fn(usize) -> f64,
    ) -> Result<f64> {
        let Self { metric, decision } = *self;
        // Targets are 0 or 1 where a threshold judges them.
        let truth = |target: T| target > T::of(0.5);
        let agree = |target: &[T], output: &[T]| {
            target.iter().zip(output).all(|(&target, &output)| truth(target) == decision.is_yes(output))
        };
        let one_output = targets.rows() == 1;
        let score = |(target, output): (&[T], &[T])| match &metric.score {
            Score::Accuracy if one_output => f64::from(agree(target, output)),
            Score::Accuracy => f64::from(argmax(target) == argmax(output)),
            Score::SubsetAccuracy => f64::from(agree(target, output)),
            Score::Own(score) => score(target, output),
        };
        let columns = targets.columns().zip(outputs.columns()).enumerate();
        let sum = guarded("the metric", None, || columns.map(|(i, pair)| weight(i) * score(pair)).sum())?;
        if f64::is_finite(sum) {
            return Ok(sum);
        }
        let what = "scores are finite numbers".to_owned();
        let (subject, rule) = (format!("{metric:?}"), "scores_are_finite");
        Err(Error::Contract { subject, rule, what, expected: 0.0, found: sum })
    }
}

fn is_bit<T: Scalar>(target: &T) -> bool {
    *target == T::zero() || *target == T::one()
}

/// Whether a target is 0 or 1, or of several entries a distribution with a single largest one.
fn names_a_class<T: Scalar>(target: &[T]) -> bool {
    if let [target] = target {
        return is_bit(target);
    }
    let largest = target.iter().fold(T::zero(), |most, &entry| most.max(entry));
    let single = target.iter().filter(|entry| **entry == largest).count() == 1;
    single && check_probabilities("accuracy", MatRef::new(target, target.len(), 1)).is_ok()
}

/// Index of the first largest entry.
pub(crate) fn argmax<T: Scalar>(column: &[T]) -> usize {
    let mut entries = column.iter().enumerate();
    let Some(first) = entries.next() else { return 0 };
    entries.fold(first, |best, entry| if entry.1 > best.1 { entry } else { best }).0
}
