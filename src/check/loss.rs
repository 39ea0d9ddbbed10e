use rand::Rng;

use super::{
    Subject,
    difference::{Outcome, compare},
    gaussian, guard,
};
use crate::{
    Error, Loss, MatMut, MatRef, Result, Scalar,
    linalg::norm_squared,
    random::{Purpose, stream},
};

/// Points that are tried before the differences count as hopeless.
const POINTS: usize = 6;
/// How far along a ray of targets a hidden loss is followed, and how far below its start it may then be.
const RAY: f64 = 1e6;
const DEPTH: f64 = 1e3;

/// Checks a loss on `dim` rows against the contract of [`Loss`], on 1, 3 and 8 examples.
///
/// * [`validate`](Loss::validate) accepts it.
/// * The value is finite and the sum of the values of the columns.
/// * Value and gradients give the same bits each time, and gradients overwrite what they write.
/// * Both gradients agree with differences.
/// * If it [serves between layers](Loss::serves_hidden), it does not fall without bound along random rays of targets.
/// * [`probabilities`](Loss::probabilities) gives columns that are not negative and sum to 1, or changes nothing and says so.
///
/// Predictions are draws from N(0, 1). So are the targets, unless [`check_targets`](Loss::check_targets) refuses them: then
/// columns of positive numbers that sum to 1, which also serve a loss for targets between 0 and 1. For anything else
/// take [`loss_at`].
///
/// # Errors
/// [`Error::Contract`] naming the broken rule, [`Error::Panicked`] when the loss panics, [`Error::Empty`] for `dim` 0, or
/// whatever `validate` and `check_targets` find.
pub fn loss<T: Scalar>(loss: &dyn Loss<T>, dim: usize) -> Result<()> {
    if dim == 0 {
        return Err(Error::Empty { what: "the column to check a loss with" });
    }
    for examples in [1, 3, 8] {
        let mut settled = false;
        for point in 0..POINTS {
            let mut rng = stream(examples as u64, Purpose::Probe, point, 0);
            let predictions: Vec<T> = gaussian(dim * examples, &mut rng);
            let mut targets: Vec<T> = gaussian(dim * examples, &mut rng);
            if guard("check_targets", || loss.check_targets(MatRef::new(&targets, dim, examples)))?.is_err() {
                for column in targets.chunks_exact_mut(dim) {
                    let sum = column.iter().map(|t| t.exp()).sum::<T>();
                    column.iter_mut().for_each(|t| *t = t.exp() / sum);
                }
            }
            let (targets, predictions) =
                (MatRef::new(&targets, dim, examples), MatRef::new(&predictions, dim, examples));
            if at(loss, targets, predictions, &mut rng)? == Outcome::Agrees {
                settled = true;
                break;
            }
        }
        if !settled {
            return Err(unsettled(loss));
        }
    }
    Ok(())
}

/// As [`loss()`], for these targets and predictions, both `dim × n`, which must not lie on a kink of the loss.
///
/// # Errors
/// As [`loss()`]; [`Error::Shape`] when the matrices differ in shape.
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
    match at(loss, targets, predictions, &mut stream(0, Purpose::Probe, 0, 0))? {
        Outcome::Agrees => Ok(()),
        Outcome::Unsettled => Err(unsettled(loss)),
    }
}

fn unsettled<T: Scalar>(loss: &dyn Loss<T>) -> Error {
    Subject::new(loss).breach("differences of the value settle on a derivative at some random point", 1.0, 0.0)
}

fn at<T: Scalar>(loss: &dyn Loss<T>, z: MatRef<'_, T>, p: MatRef<'_, T>, rng: &mut dyn Rng) -> Result<Outcome> {
    guard("validate", || loss.validate())??;
    guard("check_targets", || loss.check_targets(z))??;
    let subject = &Subject::new(loss);
    let value = |z: MatRef<'_, T>, p: MatRef<'_, T>| guard("value", || loss.value(z, p));
    let total = value(z, p)?;
    subject.finite("value", &[total])?;
    subject.same("value, asked again", &[total], &[value(z, p)?])?;
    let columns = z.columns().zip(p.columns()).map(|(z, p)| value(column(z), column(p))).collect::<Result<Vec<T>>>()?;
    let sum = columns.iter().copied().sum::<T>();
    let size = columns.iter().map(|v| v.to_f64().abs()).sum::<f64>() + norm(z) + norm(p);
    let tolerance = 1e4 * T::default_epsilon().to_f64() * size;
    subject.close("value, against the sum of its columns' values", &[sum], &[total], tolerance)?;

    let by_prediction = gradient(subject, "gradient", p, |grad| loss.gradient(z, p, grad))?;
    let by_target = gradient(subject, "target_gradient", z, |grad| loss.target_gradient(z, p, grad))?;
    probabilities(subject, loss, p)?;
    if loss.serves_hidden() {
        bounded_below(subject, z, rng, |z| value(z, p))?;
    }
    let (rows, cols) = (z.rows(), z.cols());
    let along_prediction = compare(subject, "gradient", (p.as_slice(), &by_prediction), size, rng, |p| {
        Ok(value(z, MatRef::new(p, rows, cols))?.to_f64())
    })?;
    if along_prediction == Outcome::Unsettled {
        return Ok(Outcome::Unsettled);
    }
    compare(subject, "target_gradient", (z.as_slice(), &by_target), size, rng, |z| {
        Ok(value(MatRef::new(z, rows, cols), p)?.to_f64())
    })
}

fn column<T>(entries: &[T]) -> MatRef<'_, T> {
    MatRef::new(entries, entries.len(), 1)
}

fn norm<T: Scalar>(m: MatRef<'_, T>) -> f64 {
    norm_squared(m.as_slice()).to_f64().sqrt()
}

fn gradient<T: Scalar>(
    subject: &Subject,
    what: &'static str,
    shape: MatRef<'_, T>,
    write: impl Fn(MatMut<'_, T>),
) -> Result<Vec<T>> {
    let over = |junk: f64| {
        let mut grad = vec![T::of(junk); shape.as_slice().len()];
        guard(what, || write(MatMut::new(&mut grad, shape.rows(), shape.cols())))?;
        Ok(grad)
    };
    let grad = over(f64::NAN)?;
    subject.finite(&format!("{what} into a buffer full of NaN"), &grad)?;
    subject.same(&format!("{what} into a buffer full of sevens"), &grad, &over(7.0)?)?;
    Ok(grad)
}

fn probabilities<T: Scalar>(subject: &Subject, loss: &dyn Loss<T>, p: MatRef<'_, T>) -> Result<()> {
    let mut found = p.as_slice().to_vec();
    if !guard("probabilities", || loss.probabilities(MatMut::new(&mut found, p.rows(), p.cols())))? {
        return subject.same("outputs, where they are no probabilities", p.as_slice(), &found);
    }
    if let Some(negative) = found.iter().map(|p| p.to_f64()).find(|p| !(0.0..).contains(p)) {
        return Err(subject.breach("a probability is not negative", 0.0, negative));
    }
    let sums: Vec<T> = found.chunks_exact(p.rows()).map(|column| column.iter().copied().sum()).collect();
    let tolerance = 1e2 * T::default_epsilon().to_f64();
    subject.close("sum of a column of probabilities", &vec![T::one(); sums.len()], &sums, tolerance)
}

fn bounded_below<T: Scalar>(
    subject: &Subject,
    z: MatRef<'_, T>,
    rng: &mut dyn Rng,
    value: impl Fn(MatRef<'_, T>) -> Result<T>,
) -> Result<()> {
    let floor = -DEPTH * (1.0 + value(z)?.to_f64().abs());
    for _ in 0..8 {
        let direction: Vec<T> = gaussian(z.as_slice().len(), rng);
        for t in [RAY, -RAY] {
            let far: Vec<T> = z.as_slice().iter().zip(&direction).map(|(&z, &d)| z + T::of(t) * d).collect();
            let found = value(MatRef::new(&far, z.rows(), z.cols()))?.to_f64();
            if found.is_nan() || found < floor {
                return Err(subject.breach("value far along a ray of targets is bounded below", floor, found));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σ (z − p)² / 2 a row, with a fault; `Linear` is −Σ z·p.
    #[derive(Debug, PartialEq)]
    enum Custom {
        Squared,
        Linear,
        LinearOutputOnly,
        SharesOnly,
        MeanOverColumns,
        Gradient,
        TargetGradient,
        Adds,
        Nan,
        Panics,
        Absolute,
        Invalid,
        RefusesAll,
        NoShares,
        NegativeShares,
        SecretShares,
    }

    impl Loss<f64> for Custom {
        fn value(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>) -> f64 {
            let pairs = target.as_slice().iter().zip(prediction.as_slice());
            match self {
                Self::Linear | Self::LinearOutputOnly => pairs.map(|(z, p)| -z * p).sum(),
                Self::MeanOverColumns => pairs.map(|(z, p)| (z - p).powi(2) / 2.0).sum::<f64>() / target.cols() as f64,
                Self::Nan => f64::NAN,
                Self::Panics => panic!("on purpose"),
                Self::Absolute => pairs.map(|(z, p)| (z - p).abs()).sum(),
                _ => pairs.map(|(z, p)| (z - p).powi(2) / 2.0).sum(),
            }
        }
        fn gradient(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>, mut grad: MatMut<'_, f64>) {
            let pairs = target.as_slice().iter().zip(prediction.as_slice());
            for (g, (z, p)) in grad.as_mut_slice().iter_mut().zip(pairs) {
                match self {
                    Self::Linear | Self::LinearOutputOnly => *g = -z,
                    Self::Gradient => *g = (p - z) * 1.0001,
                    Self::Adds => *g += p - z,
                    Self::Absolute => *g = (p - z).signum(),
                    _ => *g = p - z,
                }
            }
        }
        fn target_gradient(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>, mut grad: MatMut<'_, f64>) {
            self.gradient(prediction, target, grad.reborrow());
            if *self == Self::TargetGradient {
                grad.as_mut_slice()[0] += 1e-4;
            }
        }
        fn probabilities(&self, mut outputs: MatMut<'_, f64>) -> bool {
            match self {
                Self::NoShares => {}
                Self::NegativeShares => outputs.columns_mut().for_each(|p| (p[0], p[1], p[2]) = (2.0, -1.0, 0.0)),
                Self::SecretShares => outputs.as_mut_slice().fill(0.0),
                _ => return false,
            }
            *self != Self::SecretShares
        }
        fn validate(&self) -> Result<()> {
            crate::error::require(*self != Self::Invalid, "a setting", "valid", 0.0)
        }
        fn check_targets(&self, targets: MatRef<'_, f64>) -> Result<()> {
            let share =
                |column: &[f64]| column.iter().all(|&t| t > 0.0 && t <= 1.0) && column.iter().sum::<f64>() < 1.0 + 1e-9;
            if *self == Self::RefusesAll || *self == Self::SharesOnly && !targets.columns().all(share) {
                return Err(Error::Target { loss: "Custom", example: 0, expected: "shares", found: -1.0 });
            }
            Ok(())
        }
        fn serves_hidden(&self) -> bool {
            *self != Self::LinearOutputOnly
        }
    }

    #[test]
    fn sound_losses_pass_with_the_targets_they_take() {
        for sound in [Custom::Squared, Custom::LinearOutputOnly, Custom::SharesOnly, Custom::Absolute] {
            for dim in [1, 2, 10] {
                loss(&sound, dim).unwrap();
            }
        }
    }

    #[test]
    fn each_fault_is_named() {
        let faults = [
            (Custom::Linear, "bounded below"),
            (Custom::MeanOverColumns, "sum of its columns"),
            (Custom::Gradient, "gradient along entry 0"),
            (Custom::TargetGradient, "target_gradient along entry 0"),
            (Custom::Adds, "gradient into a buffer full of NaN"),
            (Custom::Nan, "value, entry 0, must be finite"),
            (Custom::NoShares, "probabilit"),
            (Custom::NegativeShares, "a probability is not negative"),
            (Custom::SecretShares, "no probabilities"),
        ];
        for (faulty, rule) in faults {
            match loss(&faulty, 3) {
                Err(Error::Contract { what, .. }) => assert!(what.contains(rule), "{faulty:?}: {what}"),
                other => panic!("{faulty:?}: {other:?}"),
            }
        }
        assert!(matches!(loss(&Custom::Panics, 3), Err(Error::Panicked { what: "value", .. })));
        assert!(matches!(loss(&Custom::Invalid, 3), Err(Error::HyperParameter { .. })));
        assert!(matches!(loss(&Custom::RefusesAll, 3), Err(Error::Target { .. })));
        assert!(matches!(loss(&Custom::Squared, 0), Err(Error::Empty { .. })));
    }

    #[test]
    fn given_points_are_checked_and_must_agree_in_shape() {
        let (a, b) = ([0.5, 1.0, -2.0, 0.25], [1.0, 1.0, 1.0, 2.0]);
        let check = |loss: Custom, rows| loss_at(&loss, MatRef::new(&a, 2, 2), MatRef::new(&b, rows, 4 / rows));
        check(Custom::Squared, 2).unwrap();
        assert!(matches!(check(Custom::Squared, 4), Err(Error::Shape { expected: 2, found: 4, .. })));
        // The second entries are equal: the kink of |z − p|.
        assert!(matches!(check(Custom::Absolute, 2), Err(Error::Contract { .. })));
    }
}
