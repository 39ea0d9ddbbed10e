use super::{super::guard, Trial};
use crate::{MatMut, Result, Scalar};

/// What becomes of outputs, and whether those are probabilities.
fn asked<T: Scalar>(trial: &Trial<'_, T>, outputs: &[T]) -> Result<(bool, Vec<T>)> {
    let mut found = outputs.to_vec();
    let examples = outputs.len() / trial.rows;
    let are = guard("probabilities", || trial.loss.probabilities(MatMut::new(&mut found, trial.rows, examples)))?;
    Ok((are, found))
}

pub(super) fn probabilities_are_not_negative<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let (true, found) = asked(trial, &trial.point.predictions)? else { return Ok(()) };
    match found.iter().map(|p| p.to_f64()).find(|p| !(0.0..).contains(p)) {
        Some(negative) => Err(trial.subject.breach("a probability is not negative", 0.0, negative)),
        None => Ok(()),
    }
}

pub(super) fn probabilities_sum_to_one<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let (true, found) = asked(trial, &trial.point.predictions)? else { return Ok(()) };
    let sums: Vec<T> = found.chunks_exact(trial.rows).map(|column| column.iter().copied().sum()).collect();
    let tolerance = 1e2 * T::default_epsilon().to_f64();
    trial.subject.close("sum of a column of probabilities", &vec![T::one(); sums.len()], &sums, tolerance)
}

pub(super) fn probabilities_ignore_other_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let outputs = &trial.point.predictions;
    let (true, together) = asked(trial, outputs)? else { return Ok(()) };
    let tolerance = 1e2 * T::default_epsilon().to_f64();
    let columns = outputs.chunks_exact(trial.rows).zip(together.chunks_exact(trial.rows));
    for (j, (outputs, found)) in columns.enumerate() {
        let what = format!("probabilities of example {j} in a batch, against the example alone");
        trial.subject.close(&what, &asked(trial, outputs)?.1, found, tolerance)?;
    }
    Ok(())
}

pub(super) fn outputs_without_probabilities_stay<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let outputs = &trial.point.predictions;
    let (false, found) = asked(trial, outputs)? else { return Ok(()) };
    trial.subject.same("outputs, where they are no probabilities", outputs, &found)
}
