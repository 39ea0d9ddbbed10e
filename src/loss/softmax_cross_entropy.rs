//! Softmax cross-entropy on logits, with label smoothing. At the output only.

use super::{Loss, Outputs};
use crate::machine::linalg::functions::exp_to_one;
use crate::machine::linalg::{LANES, dispatch, sum, sum_zip};
use crate::machine::setting::require_share;
use crate::{Error, MatMut, MatRef, Result, Scalar};

/// Cross-entropy between a column of class probabilities z and the softmax of a column of logits ẑ.
///
/// ```text
/// p = softmax(ẑ),   t = (1 − s)·z + s/d,   L(z, ẑ) = −Σ_k t_k·log p_k
/// ∂L/∂ẑ = p·Σ_k t_k − t,   ∂L/∂z = −(1 − s)·log p
/// ```
///
/// with `d` classes and `s` the [`label_smoothing`](Self::label_smoothing), 0 at first. log p is taken as
/// ẑ − max ẑ − log Σ exp(ẑ − max ẑ), which is finite for logits up to half the largest number. Targets must be non-negative and sum to 1
/// within 10⁻⁴ in each column.
///
/// An output loss only: it is linear in z, hence unbounded below over the stored activations. Of two outputs or more: one alone
/// has probability 1 whatever it is, and [`BinaryCrossEntropy`](super::BinaryCrossEntropy) is its loss.
///
/// ```
/// use decoupled::{Loss, MatRef, loss::SoftmaxCrossEntropy};
///
/// let (target, logits) = ([1.0, 0.0, 0.0, 0.0], [7.0; 4]);
/// let value: f64 = SoftmaxCrossEntropy::new().value(MatRef::new(&target, 4, 1), MatRef::new(&logits, 4, 1));
/// assert!((value - 4f64.ln()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "CrossEntropyLoss")]
#[doc(alias = "categorical_crossentropy")]
#[doc(alias = "sparse_categorical_crossentropy")]
pub struct SoftmaxCrossEntropy {
    label_smoothing: f64,
}

impl SoftmaxCrossEntropy {
    /// Without label smoothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Mixes a share `s`, 0 ≤ s < 1, of the uniform distribution into the targets (Szegedy et al. 2016, *Rethinking the
    /// Inception architecture for computer vision*, [arXiv 1512.00567](https://arxiv.org/abs/1512.00567)).
    pub fn label_smoothing(mut self, share: f64) -> Self {
        self.label_smoothing = share;
        self
    }

    /// The map z ↦ t for columns of `classes` rows.
    fn smoothing<T: Scalar>(&self, classes: usize) -> impl Fn(T) -> T + use<T> {
        let keep = T::of(1.0 - self.label_smoothing);
        let uniform = T::of(self.label_smoothing / classes as f64);
        move |z| keep * z + uniform
    }
}

/// out = exp(ẑ − max ẑ), the maximum that of each column.
fn exponentials<T: Scalar>(logits: MatRef<'_, T>, out: &mut [T]) {
    dispatch(
        #[inline(always)]
        || {
            for (out, logits) in out.chunks_exact_mut(logits.rows().max(1)).zip(logits.columns()) {
                let max = maximum(logits);
                out.iter_mut().zip(logits).for_each(|(o, &p)| *o = p - max);
            }
            // All columns in one loop: a column of a few classes would not fill a vector.
            out.iter_mut().for_each(|o| *o = exp_to_one(*o));
        },
    );
}

/// max ẑ and log Σ exp(ẑ − max ẑ) of each column.
fn log_sums<T: Scalar>(logits: MatRef<'_, T>) -> impl Iterator<Item = (T, T)> {
    logits.columns().map(|logits| {
        let max = maximum(logits);
        let sum = sum_zip(
            logits,
            logits,
            #[inline(always)]
            |p, _| exp_to_one(p - max),
        );
        (max, sum.ln())
    })
}

#[inline(always)]
pub(super) fn maximum<T: Scalar>(logits: &[T]) -> T {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let Some(&first) = logits.first() else { return T::zero() };
    let mut lanes = [first; LANES];
    let chunks = logits.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(first, |a, &b| larger(a, b));
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &b)| *lane = larger(*lane, b));
    }
    lanes.into_iter().fold(rest, larger)
}

impl<T: Scalar> Loss<T> for SoftmaxCrossEntropy {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        let smooth = self.smoothing(target.rows());
        let columns = target.columns().zip(prediction.columns()).zip(log_sums(prediction));
        let terms =
            columns.map(|((z, logits), (max, log_sum))| sum_zip(z, logits, |z, p| smooth(z) * (log_sum - (p - max))));
        sum(terms)
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let smooth = self.smoothing(target.rows());
        exponentials(prediction, grad.as_mut_slice());
        for (grad, z) in grad.columns_mut().zip(target.columns()) {
            let mass = sum_zip(z, z, |z, _| smooth(z));
            let factor = mass / sum_zip(grad, grad, |e, _| e);
            for (g, &z) in grad.iter_mut().zip(z) {
                *g = *g * factor - smooth(z);
            }
        }
    }

    fn hessian_product(
        &self,
        target: MatRef<'_, T>,
        prediction: MatRef<'_, T>,
        direction: MatRef<'_, T>,
        mut out: MatMut<'_, T>,
    ) {
        // (diag p − ppᵀ)·d = p ⊙ (d − pᵀd), times the mass of the target.
        let smooth = self.smoothing(target.rows());
        exponentials(prediction, out.as_mut_slice());
        for (out, (z, direction)) in out.columns_mut().zip(target.columns().zip(direction.columns())) {
            let (total, mass) = (sum_zip(out, out, |e, _| e), sum_zip(z, z, |z, _| smooth(z)));
            let mean = sum_zip(out, direction, |e, d| e * d) / total;
            for (o, &d) in out.iter_mut().zip(direction) {
                *o *= (d - mean) * mass / total;
            }
        }
    }

    fn target_gradient(&self, _target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let keep = T::of(1.0 - self.label_smoothing);
        for ((grad, logits), (max, log_sum)) in grad.columns_mut().zip(prediction.columns()).zip(log_sums(prediction)) {
            for (g, &p) in grad.iter_mut().zip(logits) {
                *g = keep * (log_sum - (p - max));
            }
        }
    }

    fn outputs(&self) -> Outputs {
        Outputs::Classes
    }

    fn validate(&self) -> Result<()> {
        let share = self.label_smoothing;
        require_share::<T>("SoftmaxCrossEntropy::label_smoothing", share)
    }

    fn check_targets(&self, targets: MatRef<'_, T>) -> Result<()> {
        const LOSS: &str = "SoftmaxCrossEntropy";
        for (example, z) in targets.columns().enumerate() {
            let negative = z.iter().map(|z| z.to_f64()).find(|z| !(0.0..).contains(z));
            if let Some(found) = negative {
                return Err(Error::Target { loss: LOSS, example, expected: "a column of non-negative numbers", found });
            }
            let found = z.iter().map(|z| z.to_f64()).sum::<f64>();
            if (found - 1.0).abs() > 1e-4 {
                return Err(Error::Target { loss: LOSS, example, expected: "a column that sums to 1", found });
            }
        }
        Ok(())
    }

    fn serves_hidden(&self) -> bool {
        false
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("SoftmaxCrossEntropy", self)
    }
}
