//! The output loss over the known rows of each target.

use crate::machine::linalg::sum;
use crate::{Error, Loss, MatMut, MatRef, Result, Scalar};

/// A loss over the rows of each example whose target is known: a NaN is not.
#[derive(Debug)]
pub(super) struct Known<'a, T>(pub(super) &'a dyn Loss<T>);

/// The rows of a target that are known.
fn known<T: Scalar>(target: &[T]) -> Vec<usize> {
    target.iter().enumerate().filter(|(_, value)| value.is_finite()).map(|(row, _)| row).collect()
}

fn select<T: Scalar>(column: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().filter_map(|&row| column.get(row).copied()).collect()
}

fn column<T>(entries: &[T]) -> MatRef<'_, T> {
    MatRef::new(entries, entries.len(), 1)
}

impl<T: Scalar> Known<'_, T> {
    /// Writes what `gradient` says of the known rows, and 0 to the others.
    fn scatter(
        &self,
        target: MatRef<'_, T>,
        prediction: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        gradient: impl Fn(MatRef<'_, T>, MatRef<'_, T>, MatMut<'_, T>),
    ) {
        // Column by column: each knows rows of its own.
        for (out, (z, p)) in grad.columns_mut().zip(target.columns().zip(prediction.columns())) {
            let rows = known(z);
            let mut own = vec![T::zero(); rows.len()];
            if !rows.is_empty() {
                gradient(column(&select(z, &rows)), column(&select(p, &rows)), MatMut::new(&mut own, rows.len(), 1));
            }
            out.fill(T::zero());
            let known = out.iter_mut().zip(z).filter(|(_, z)| z.is_finite());
            known.zip(own).for_each(|((out, _), own)| *out = own);
        }
    }
}

impl<T: Scalar> Loss<T> for Known<'_, T> {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        let term = |(z, p)| {
            let rows = known(z);
            if rows.is_empty() { T::zero() } else { self.0.value(column(&select(z, &rows)), column(&select(p, &rows))) }
        };
        sum(target.columns().zip(prediction.columns()).map(term))
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>) {
        self.scatter(target, prediction, grad, |z, p, grad| self.0.gradient(z, p, grad));
    }

    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>) {
        self.scatter(target, prediction, grad, |z, p, grad| self.0.target_gradient(z, p, grad));
    }

    fn check_targets(&self, targets: MatRef<'_, T>) -> Result<()> {
        for (example, z) in targets.columns().enumerate() {
            let own = select(z, &known(z));
            if own.is_empty() {
                continue;
            }
            // The loss sees this one column, and calls it example 0.
            self.0.check_targets(column(&own)).map_err(|error| match error {
                Error::Target { loss, expected, found, .. } => Error::Target { loss, example, expected, found },
                other => other,
            })?;
        }
        Ok(())
    }
}
