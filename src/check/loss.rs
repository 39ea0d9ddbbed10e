//! The check of a loss: its rules, and the targets and predictions that it is tried on.

mod curvature;
mod gradients;
mod targets;
mod trial;
mod value;

use super::{Subject, batch, guard};
use crate::machine::random::{Purpose, stream};
use crate::{Error, Loss, MatRef, Result, Scalar};
use trial::{Point, Trial};

/// Points that are tried before the differences count as hopeless.
const POINTS: usize = 6;

rules! {
    /// What [`loss()`] tests, in that order.
    ///
    /// * A loss that refuses some [targets](Loss::check_targets) refuses NaN, and says which example it was.
    /// * The value is finite, the same each time, and the sum of the values of the columns; far out it may be infinite.
    /// * A loss that calls itself the [squared error](Loss::is_squared_error) is just that; what is made from its
    ///   [description](Loss::describe), if it has one, has the same value.
    /// * The gradient overwrites what it writes, takes the examples one by one, and agrees with differences; so do
    ///   [products with the Hessian](Loss::hessian_product), which is symmetric.
    /// * If it [serves between layers](Loss::serves_hidden), so does its [`target_gradient`](Loss::target_gradient), and the value
    ///   does not fall without bound along random rays of targets.
    LOSS_RULES of Trial:
    targets {
        refused_targets_include_nan,
        refused_targets_are_told,
    }
    value {
        value_is_finite,
        value_repeats,
        value_sums_over_examples,
        value_far_out_is_no_nan,
        squared_error_is_half_the_square,
        #[cfg(feature = "save")]
        description_has_the_same_value,
        hidden_value_is_bounded_below,
    }
    gradients {
        gradient_overwrites,
        target_gradient_overwrites,
        gradient_ignores_other_examples,
        target_gradient_ignores_other_examples,
        gradient_far_out_is_no_nan,
        gradient_agrees_with_differences,
        target_gradient_agrees_with_differences,
    }
    curvature {
        hessian_product_overwrites,
        hessian_product_ignores_other_examples,
        hessian_product_is_symmetric,
        hessian_product_agrees_with_differences,
    }
}

/// Checks a loss on `dim` rows against the contract of [`Loss`], by the [rules](LOSS_RULES), on 1, 3 and 8 examples; before that,
/// [`validate`](Loss::validate) accepts it.
///
/// Predictions are draws from N(0, 1). So are the targets, unless [`check_targets`](Loss::check_targets) refuses them: then
/// columns of positive numbers that sum to 1, which also serve a loss for targets between 0 and 1. For anything else
/// take [`loss_at`].
///
/// # Errors
/// [`Error::Contract`] naming the broken rule, [`Error::Panicked`] when the loss panics, [`Error::Empty`] for `dim` 0,
/// [`Error::Unsupported`] for a loss that takes neither kind of targets, or whatever `validate` finds.
pub fn loss<T: Scalar>(loss: &dyn Loss<T>, dim: usize) -> Result<()> {
    if dim == 0 {
        return Err(Error::Empty { what: "the column to check a loss with" });
    }
    for examples in [1, 3, 8] {
        let point = |point| {
            let mut rng = stream(examples as u64, Purpose::Probe, point, 0);
            let predictions: Vec<T> = batch(dim, examples, &mut rng)?;
            let mut targets: Vec<T> = batch(dim, examples, &mut rng)?;
            if guard("check_targets", || loss.check_targets(MatRef::new(&targets, dim, examples)))?.is_err() {
                for column in targets.chunks_exact_mut(dim) {
                    let sum = column.iter().map(|t| t.exp()).sum::<T>();
                    column.iter_mut().for_each(|t| *t = t.exp() / sum);
                }
                if guard("check_targets", || loss.check_targets(MatRef::new(&targets, dim, examples)))?.is_err() {
                    let why = "the loss takes neither draws from N(0, 1) nor columns of positive numbers that sum to 1: give \
                               targets that it takes to check::loss_at";
                    return Err(Error::Unsupported { what: "check::loss at random targets", why });
                }
            }
            Ok(Point { targets, predictions })
        };
        let others = (1..POINTS).map(point).collect::<Result<_>>()?;
        check(Trial { subject: Subject::new(loss), loss, rows: dim, examples, point: point(0)?, others })?;
    }
    Ok(())
}

/// As [`loss()`], for these targets and predictions, both `dim × n`, which must not lie on a kink of the loss.
///
/// # Errors
/// As [`loss()`], and whatever `check_targets` finds; [`Error::Shape`] when the matrices differ in shape.
pub fn loss_at<T: Scalar>(loss: &dyn Loss<T>, targets: MatRef<'_, T>, predictions: MatRef<'_, T>) -> Result<()> {
    let shapes = [
        ("rows of the predictions", targets.rows(), predictions.rows()),
        ("columns of the predictions", targets.cols(), predictions.cols()),
    ];
    for (what, expected, found) in shapes {
        if expected != found {
            return Err(Error::Shape { what, expected, found });
        }
        if expected == 0 {
            return Err(Error::Empty { what: "the matrix to check a loss with" });
        }
    }
    let point = Point { targets: targets.as_slice().to_vec(), predictions: predictions.as_slice().to_vec() };
    let (subject, rows, examples) = (Subject::new(loss), targets.rows(), targets.cols());
    check(Trial { subject, loss, rows, examples, point, others: Vec::new() })
}

fn check<T: Scalar>(mut trial: Trial<'_, T>) -> Result<()> {
    guard("validate", || trial.loss.validate())??;
    for point in trial.points() {
        guard("check_targets", || trial.loss.check_targets(trial.matrix(&point.targets)))??;
    }
    hold(&mut trial)
}
