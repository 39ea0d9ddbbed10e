//! Loss and score on the straight line between two networks.

use super::matching::check_twins;
use crate::error::require;
use crate::machine::linalg::matrix::filled;
use crate::{Dataset, DecoupledNetwork, Metric, Result, Scalar};

/// What lies on the straight line between two networks; see [`path`].
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The forward loss, mean over the examples, at equal distances from the first network to the second.
    pub losses: Vec<f64>,
    /// The score there, as [`DecoupledNetwork::evaluate`] has it; none for real-valued targets.
    pub scores: Vec<Option<f64>>,
}

impl Path {
    /// The loss barrier: the most by which the loss lies above the straight line between its two ends; 0 where it never does, NaN
    /// where a loss on the way is none.
    pub fn barrier(&self) -> f64 {
        let last = self.losses.len().saturating_sub(1);
        let ends = self.losses.first().zip(self.losses.last());
        ends.map_or(0.0, |(from, to)| {
            let above = self.losses.iter().enumerate().map(|(i, loss)| {
                let share = i as f64 / last.max(1) as f64;
                loss - ((1.0 - share) * from + share * to)
            });
            // `f64::max` would forget a NaN.
            let most = |most: f64, above: f64| if above > most || above.is_nan() { above } else { most };
            above.skip(1).take(last.saturating_sub(1)).fold(0.0, most)
        })
    }
}

/// Forward loss and score at so many `points` (2 at least) on the straight line (1 − s)·θ_a + s·θ_b, s = 0 … 1. The loss is that
/// of `a`.
///
/// Two networks that compute the same with other numbers of their units have a barrier between them: see
/// [`matching`](super::matching()).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for networks of different layers, [`Error::HyperParameter`](crate::Error::HyperParameter)
/// for fewer points, [`Error::OutOfMemory`](crate::Error::OutOfMemory) for too many, and as [`DecoupledNetwork::evaluate`].
pub fn path<T: Scalar>(
    a: &DecoupledNetwork<T>,
    b: &DecoupledNetwork<T>,
    data: &Dataset<T>,
    points: usize,
) -> Result<Path> {
    check_twins(a, b)?;
    require(points > 1, "points on the line between two networks", "at least 2", points as f64)?;
    let metric = Metric::for_data(data, a.decision.outputs);
    let losses = filled("the losses on a line", points, 0.0)?;
    let mut found = Path { losses, scores: filled("the scores on a line", points, None)? };
    for (point, (loss, score)) in found.losses.iter_mut().zip(&mut found.scores).enumerate() {
        let share = T::of(point as f64 / (points - 1) as f64);
        let between = |(a, b): (&Vec<T>, &Vec<T>)| {
            a.iter().zip(b).map(|(&a, &b)| (T::one() - share) * a + share * b).collect::<Vec<T>>()
        };
        let network = a.with_params(a.params.iter().zip(&b.params).map(between).collect());
        let scores = network.evaluate_with(data, metric.as_ref())?;
        (*loss, *score) = (scores.loss, scores.score);
    }
    Ok(found)
}
