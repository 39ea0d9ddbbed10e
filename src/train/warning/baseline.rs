//! The loss of the best constant output, against which a fit is measured.

use std::sync::{Arc, OnceLock};

use crate::machine::linalg;
use crate::machine::parallel::caught;
use crate::{Dataset, DecoupledNetwork, Loss, MatMut, MatRef, Result, Scalar};

/// What a fit is measured against: the least mean loss that one and the same output for every example has, on a sample of
/// the training data. Computed when it is first asked for.
#[derive(Debug)]
pub(crate) struct Baseline<'a, T: Scalar> {
    loss: Arc<dyn Loss<T>>,
    data: &'a Dataset<T>,
    sample: OnceLock<Option<Dataset<T>>>,
    constant: OnceLock<Option<f64>>,
}

/// Examples of the sample, and entries of its targets that there may be instead.
const EXAMPLES: (usize, usize) = (256, 4096);
const ENTRIES: usize = 1 << 15;

impl<'a, T: Scalar> Baseline<'a, T> {
    pub(crate) fn new(loss: &Arc<dyn Loss<T>>, data: &'a Dataset<T>) -> Self {
        Self { loss: Arc::clone(loss), data, sample: OnceLock::new(), constant: OnceLock::new() }
    }

    /// The loss of the best constant, mean over the sample; none where all targets that weigh anything are alike, or where the loss
    /// panics or is not finite: a fit does not fail for what is only said beside it.
    pub(crate) fn constant_loss(&self) -> Option<f64> {
        *self.constant.get_or_init(|| {
            let sample = self.sample()?;
            // Examples of weight 0 are none.
            let mut weighty = sample.targets().columns().enumerate().filter(|(i, _)| sample.weight(*i) > 0.0);
            let (_, first) = weighty.next()?;
            if weighty.all(|(_, column)| column == first) {
                return None;
            }
            let weights = sample.weighting().map(|weighting| (0..sample.len()).map(|i| weighting.of(i)).collect());
            let targets = Targets { matrix: sample.targets(), weights: weights.unwrap_or_default() };
            caught(|| best_constant(&*self.loss, &targets)).ok().flatten()
        })
    }

    /// The forward loss of the network, mean over the same sample; none where inputs are missing.
    pub(super) fn loss_of(&self, network: &DecoupledNetwork<T>) -> Option<f64> {
        let sample = self.sample().filter(|sample| sample.missing() == 0)?;
        // Its inputs and targets have been trained on: what fails here is a layer or a loss that counts its calls.
        let scores: Result<_> = network.evaluate_with(sample, None);
        scores.ok().map(|scores| scores.loss)
    }

    fn sample(&self) -> Option<&Dataset<T>> {
        let examples = (ENTRIES / self.data.target_dim()).clamp(EXAMPLES.0, EXAMPLES.1);
        if self.data.len() <= examples {
            return Some(self.data);
        }
        // With their weights, which may all be 0.
        let evenly = || (0..examples).map(|i| i * self.data.len() / examples).collect::<Vec<_>>();
        self.sample.get_or_init(|| self.data.select(&evenly()).ok()).as_ref()
    }
}

/// Most steps of the minimisation, and most trials of a step.
const STEPS: usize = 40;
const TRIALS: usize = 30;
/// Steps that it remembers.
const MEMORY: usize = 8;
/// A step that gains less than this share is the last.
const GAIN: f64 = 1e-8;
/// Columns that are evaluated at a time, so that sums in single precision stay short.
const COLUMNS: usize = 256;

/// The targets of a sample, `d × n`, and the weights of its examples, of mean 1; none where all are 1.
struct Targets<'a, T> {
    matrix: MatRef<'a, T>,
    weights: Vec<f64>,
}

/// A constant output, its mean loss, and the gradient of that.
struct Point {
    at: Vec<f64>,
    value: f64,
    slope: Vec<f64>,
}

/// The least mean loss of one output column for all targets: quasi-Newton steps with limited memory from the better of
/// the mean target and zero.
///
/// Nocedal (1980), *Updating quasi-Newton matrices with limited storage*, Mathematics of Computation 35; the line search is that
/// of Lewis, Overton (2013), *Nonsmooth optimization via quasi-Newton methods*, Mathematical Programming 141, which also takes the
/// corners of an absolute error.
fn best_constant<T: Scalar>(loss: &dyn Loss<T>, targets: &Targets<'_, T>) -> Option<f64> {
    let (rows, examples) = (targets.matrix.rows(), targets.matrix.cols() as f64);
    let mut mean = vec![0.0; rows];
    for column in targets.matrix.columns() {
        mean.iter_mut().zip(column).for_each(|(mean, z)| *mean += z.to_f64() / examples);
    }
    // For squares the mean is the minimum; among logits zero stands for equal probabilities, and a mean of targets for nothing.
    let starts = [evaluate(loss, targets, vec![0.0; rows]), evaluate(loss, targets, mean)];
    let mut now = starts.into_iter().flatten().min_by(|a, b| a.value.total_cmp(&b.value))?;
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..STEPS {
        let direction = direction(&memory, &now.slope);
        let Some(next) = search(loss, targets, &now, &direction) else { break };
        let gain = now.value - next.value;
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
        let (moved, turned) = (difference(&next.at, &now.at), difference(&next.slope, &now.slope));
        // Only pairs of positive curvature leave the inverse Hessian positive definite.
        if dot(&moved, &turned) > 0.0 {
            memory.push((moved, turned));
        }
        if memory.len() > MEMORY {
            memory.remove(0);
        }
        now = next;
        if gain <= GAIN * now.value.abs() {
            break;
        }
    }
    Some(now.value)
}

/// None unless value and gradient are finite.
fn evaluate<T: Scalar>(loss: &dyn Loss<T>, targets: &Targets<'_, T>, at: Vec<f64>) -> Option<Point> {
    let Targets { matrix, weights } = targets;
    let (rows, examples) = (matrix.rows(), matrix.cols() as f64);
    // A loss returns one sum for its columns: with weights, one column at a time.
    let columns = if weights.is_empty() { COLUMNS.min(matrix.cols()) } else { 1 };
    let column: Vec<T> = at.iter().map(|&x| T::of(x)).collect();
    let outputs = column.repeat(columns);
    let mut gradient = vec![T::zero(); outputs.len()];
    let (mut value, mut slope) = (0.0, vec![0.0; rows]);
    for (i, target) in matrix.as_slice().chunks(rows * columns).enumerate() {
        let share = weights.get(i).copied().unwrap_or(1.0) / examples;
        let (outputs, gradient) = (outputs.split_at(target.len()).0, gradient.split_at_mut(target.len()).0);
        let columns = target.len() / rows;
        let (target, outputs) = (MatRef::new(target, rows, columns), MatRef::new(outputs, rows, columns));
        value += share * loss.value(target, outputs).to_f64();
        loss.gradient(target, outputs, MatMut::new(gradient, rows, columns));
        for column in gradient.chunks_exact(rows) {
            slope.iter_mut().zip(column).for_each(|(sum, g)| *sum += share * g.to_f64());
        }
    }
    let finite = value.is_finite() && slope.iter().all(|g| g.is_finite());
    finite.then_some(Point { at, value, slope })
}

/// −H·slope, H the inverse Hessian that the remembered steps and turns of the slope imply.
fn direction(memory: &[(Vec<f64>, Vec<f64>)], slope: &[f64]) -> Vec<f64> {
    let mut direction: Vec<f64> = slope.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for (moved, turned) in memory.iter().rev() {
        let share = dot(moved, &direction) / dot(moved, turned);
        direction.iter_mut().zip(turned).for_each(|(d, y)| *d -= share * y);
        shares.push(share);
    }
    if let Some((moved, turned)) = memory.last() {
        let scale = dot(moved, turned) / dot(turned, turned);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((moved, turned), share) in memory.iter().zip(shares.into_iter().rev()) {
        let back = share - dot(turned, &direction) / dot(moved, turned);
        direction.iter_mut().zip(moved).for_each(|(d, s)| *d += back * s);
    }
    direction
}

/// A point along the direction that is lower, and where the slope along it has become less steep: the weak Wolfe conditions.
fn search<T: Scalar>(loss: &dyn Loss<T>, targets: &Targets<'_, T>, from: &Point, direction: &[f64]) -> Option<Point> {
    let descent = dot(&from.slope, direction);
    if descent >= 0.0 || !descent.is_finite() {
        return None;
    }
    let (mut low, mut high, mut step) = (0.0, f64::INFINITY, 1.0);
    let mut lowest: Option<Point> = None;
    for _ in 0..TRIALS {
        let at = from.at.iter().zip(direction).map(|(x, d)| x + step * d).collect();
        match evaluate(loss, targets, at) {
            Some(found) if found.value <= from.value + 1e-4 * step * descent => {
                let flat = dot(&found.slope, direction) >= 0.9 * descent;
                lowest = Some(found);
                if flat {
                    break;
                }
                low = step;
            }
            // Too far, or no finite loss there.
            _ => high = step,
        }
        step = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
    }
    lowest
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    linalg::sum_zip(a, b, |a, b| a * b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::one_hot;
    use crate::loss::{BinaryCrossEntropy, Huber, MeanAbsoluteError, SoftmaxCrossEntropy, SquaredError};

    /// In both precisions, against a number worked by hand.
    fn is(loss: &(impl Loss<f32> + Loss<f64>), targets: &[f64], rows: usize, expected: f64) {
        let all = |matrix| Targets { matrix, weights: Vec::new() };
        let found = best_constant::<f64>(loss, &all(MatRef::new(targets, rows, targets.len() / rows))).unwrap();
        assert!((found - expected).abs() <= 1e-6 * expected, "{loss:?}: {found} instead of {expected}");
        let single: Vec<f32> = targets.iter().map(|&x| x as f32).collect();
        let all = |matrix| Targets { matrix, weights: Vec::new() };
        let found = best_constant::<f32>(loss, &all(MatRef::new(&single, rows, single.len() / rows))).unwrap();
        assert!((found - expected).abs() <= 1e-4 * expected, "{loss:?}: {found} instead of {expected} in f32");
    }

    fn entropy(shares: &[f64]) -> f64 {
        shares.iter().map(|p| -p * p.ln()).sum()
    }

    #[test]
    fn of_squares_it_is_half_the_variance() {
        // 1, 2, 6: mean 3, variance 14/3. Far away, and in two rows: variances add up.
        is(&SquaredError, &[1.0, 2.0, 6.0], 1, 7.0 / 3.0);
        is(&SquaredError, &[1001.0, 10.0, 1002.0, 20.0, 1006.0, 60.0], 2, 7.0 / 3.0 + 700.0 / 3.0);
    }

    #[test]
    fn weights_count_examples_more_than_once() {
        // 1, 2, 6 and 6 once more, in units of the mean weight 4/3: mean 15/4, variance 83/16.
        let (matrix, weights) = (MatRef::new(&[1.0, 2.0, 6.0], 1, 3), vec![0.75, 0.75, 1.5]);
        let found = best_constant::<f64>(&SquaredError, &Targets { matrix, weights }).unwrap();
        assert!((found - 83.0 / 32.0).abs() < 1e-6, "{found}");
    }

    #[test]
    fn of_classes_it_is_the_entropy_of_their_shares() {
        let labels: Vec<usize> = (0..1000).map(|i| if i < 700 { 0 } else { 1 + i % 3 }).collect();
        let targets = one_hot::<f64>(&labels, 4).unwrap();
        let expected = entropy(&[0.7, 0.1, 0.1, 0.1]);
        is(&SoftmaxCrossEntropy::new(), targets.matrix().as_slice(), 4, expected);
        // One in ten thousand: the logits lie nine apart.
        let labels: Vec<usize> = (0..10_000).map(|i| usize::from(i == 5000)).collect();
        let targets = one_hot::<f64>(&labels, 2).unwrap();
        is(&SoftmaxCrossEntropy::new(), targets.matrix().as_slice(), 2, entropy(&[0.9999, 0.0001]));
    }

    #[test]
    fn of_yes_and_no_the_entropies_add_up() {
        // Shares 3/4 and 1/4, and 1/8 and 7/8.
        let targets: Vec<f64> = (0..8).flat_map(|i| [f64::from(i % 4 != 0), f64::from(i == 0)]).collect();
        let expected = entropy(&[0.75, 0.25]) + entropy(&[0.125, 0.875]);
        is(&BinaryCrossEntropy, &targets, 2, expected);
    }

    #[test]
    fn of_absolute_errors_it_is_the_distance_from_the_median_however_far() {
        // Median 100, distances 99, 90, 0, 900, 9900; a mean of 2222.2 to start from.
        is(&MeanAbsoluteError, &[1.0, 10.0, 100.0, 1000.0, 10_000.0], 1, 10_989.0 / 5.0);
        // Between −2 and 3 lies a point where the clipped pulls of 0, 0, 10 are even: −2c + 1 = 0 within δ = 1.
        let expected = (0.25 / 2.0 * 2.0 + (9.5 - 0.5)) / 3.0;
        is(&Huber::new(1.0), &[0.0, 0.0, 10.0], 1, expected);
    }

    #[test]
    fn the_last_turn_of_the_slope_asks_for_the_last_step() {
        // The secant condition H·y = s of the newest pair, whatever is remembered before it.
        let first = (vec![1.0, 2.0, -1.0], vec![3.0, 1.0, 0.5]);
        let last = (vec![0.5, -1.0, 2.0], vec![1.0, -0.25, 4.0]);
        for memory in [vec![last.clone()], vec![first, last.clone()]] {
            let found = direction(&memory, &last.1);
            assert!(found.iter().zip(&last.0).all(|(d, s)| (d + s).abs() < 1e-12), "{found:?}");
        }
    }

    #[test]
    fn a_loss_that_is_not_finite_has_none() {
        #[derive(Debug)]
        struct Broken;
        impl<T: Scalar> Loss<T> for Broken {
            fn value(&self, _: MatRef<'_, T>, _: MatRef<'_, T>) -> T {
                T::of(f64::NAN)
            }
            fn gradient(&self, _: MatRef<'_, T>, _: MatRef<'_, T>, _: MatMut<'_, T>) {}
            fn target_gradient(&self, _: MatRef<'_, T>, _: MatRef<'_, T>, _: MatMut<'_, T>) {}
        }
        let targets = Targets { matrix: MatRef::new(&[1.0, 2.0], 1, 2), weights: Vec::new() };
        assert_eq!(best_constant::<f64>(&Broken, &targets), None);
    }
}
