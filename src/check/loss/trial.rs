//! A loss under check with its points, and comparisons with differences of its value.

use std::iter::once;

use super::super::{
    Subject,
    difference::{Outcome, compare},
    guard,
};
use crate::machine::linalg::norm_squared;
use crate::machine::random::{Purpose, stream};
use crate::{Loss, MatMut, MatRef, Result, Scalar};

/// A loss, and points to try it at.
pub(super) struct Trial<'a, T> {
    pub(super) subject: Subject,
    pub(super) loss: &'a dyn Loss<T>,
    pub(super) rows: usize,
    pub(super) examples: usize,
    pub(super) point: Point<T>,
    /// More of them, for where the first is too near to a kink.
    pub(super) others: Vec<Point<T>>,
}

/// Two matrices, `rows × examples`.
pub(super) struct Point<T> {
    pub(super) targets: Vec<T>,
    pub(super) predictions: Vec<T>,
}

/// What writes a matrix for targets and predictions, such as [`Loss::gradient`].
pub(super) type Write<'w, T> = &'w dyn Fn(MatRef<'_, T>, MatRef<'_, T>, MatMut<'_, T>);

impl<T: Scalar> Trial<'_, T> {
    pub(super) fn points(&self) -> impl Iterator<Item = &Point<T>> {
        once(&self.point).chain(&self.others)
    }

    /// Entries as columns, as many as there are.
    pub(super) fn matrix<'v>(&self, entries: &'v [T]) -> MatRef<'v, T> {
        MatRef::new(entries, self.rows, entries.len() / self.rows)
    }

    pub(super) fn value(&self, targets: &[T], predictions: &[T]) -> Result<T> {
        guard("value", || self.loss.value(self.matrix(targets), self.matrix(predictions)))
    }

    /// What is written over so much junk.
    pub(super) fn over(
        &self,
        junk: f64,
        name: &'static str,
        write: Write<'_, T>,
        targets: &[T],
        predictions: &[T],
    ) -> Result<Vec<T>> {
        let mut out = vec![T::of(junk); targets.len()];
        guard(name, || {
            let examples = targets.len() / self.rows;
            write(self.matrix(targets), self.matrix(predictions), MatMut::new(&mut out, self.rows, examples));
        })?;
        Ok(out)
    }

    pub(super) fn written(
        &self,
        name: &'static str,
        write: Write<'_, T>,
        targets: &[T],
        predictions: &[T],
    ) -> Result<Vec<T>> {
        self.over(f64::NAN, name, write, targets, predictions)
    }

    /// What is written at the first point is finite and the same over NaN and over sevens.
    pub(super) fn overwrites(&self, name: &'static str, write: Write<'_, T>) -> Result<()> {
        let Point { targets, predictions } = &self.point;
        let written = self.written(name, write, targets, predictions)?;
        self.subject.finite(&format!("{name} into a buffer full of NaN"), &written)?;
        let again = self.over(7.0, name, write, targets, predictions)?;
        self.subject.same(&format!("{name} into a buffer full of sevens"), &written, &again)
    }

    /// Compares with differences of `value`, which is of (targets, predictions) with `moved` in the place of what is followed,
    /// at one point after another until they settle.
    pub(super) fn at_some_point<'p>(
        &self,
        points: impl Iterator<Item = &'p Point<T>>,
        name: &'static str,
        found: impl Fn(&Point<T>) -> Result<Vec<T>>,
        followed: impl Fn(&Point<T>) -> &[T],
        value: impl Fn(&Point<T>, &[T]) -> Result<f64>,
    ) -> Result<()>
    where
        T: 'p,
    {
        for (i, point) in points.enumerate() {
            let gradient = found(point)?;
            let norm = |m: &[T]| norm_squared(m).to_f64().sqrt();
            let size = value(point, followed(point))?.abs() + norm(&point.targets) + norm(&point.predictions);
            let mut rng = stream(self.examples as u64, Purpose::Probe, i, 1);
            let outcome = compare(&self.subject, name, (followed(point), &gradient), size, &mut rng, |moved| {
                value(point, moved)
            })?;
            if outcome == Outcome::Agrees {
                return Ok(());
            }
        }
        let what = format!("differences settle on a derivative, for {name}, at some random point");
        Err(self.subject.breach(what, 1.0, 0.0))
    }
}
