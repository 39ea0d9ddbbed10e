use super::Loss;
use crate::error::require;
use crate::linalg::sum_zip;
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
/// An output loss only: it is linear in z, hence unbounded below over the stored activations.
///
/// ```
/// use decoupled::{Loss, MatRef, loss::SoftmaxCrossEntropy};
///
/// let (target, logits) = ([1.0, 0.0, 0.0, 0.0], [7.0; 4]);
/// let value: f64 = SoftmaxCrossEntropy::new().value(MatRef::new(&target, 4, 1), MatRef::new(&logits, 4, 1));
/// assert!((value - 4f64.ln()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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

/// max ẑ and log Σ exp(ẑ − max ẑ).
fn log_sum_exp<T: Scalar>(logits: &[T]) -> (T, T) {
    let max = maximum(logits);
    (max, sum_zip(logits, logits, |p, _| (p - max).exp()).ln())
}

fn maximum<T: Scalar>(logits: &[T]) -> T {
    logits.iter().copied().reduce(|a, b| if b > a { b } else { a }).unwrap_or_else(T::zero)
}

impl<T: Scalar> Loss<T> for SoftmaxCrossEntropy {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        let smooth = self.smoothing(target.rows());
        let columns = target.columns().zip(prediction.columns());
        let terms = columns.map(|(z, logits)| {
            let (max, log_sum) = log_sum_exp(logits);
            sum_zip(z, logits, |z, p| smooth(z) * (log_sum - (p - max)))
        });
        terms.sum()
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let smooth = self.smoothing(target.rows());
        for (grad, (z, logits)) in grad.columns_mut().zip(target.columns().zip(prediction.columns())) {
            let max = maximum(logits);
            for (g, &p) in grad.iter_mut().zip(logits) {
                *g = (p - max).exp();
            }
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
        let columns = target.columns().zip(prediction.columns().zip(direction.columns()));
        for (out, (z, (logits, direction))) in out.columns_mut().zip(columns) {
            let max = maximum(logits);
            for (o, &logit) in out.iter_mut().zip(logits) {
                *o = (logit - max).exp();
            }
            let (total, mass) = (sum_zip(out, out, |e, _| e), sum_zip(z, z, |z, _| smooth(z)));
            let mean = sum_zip(out, direction, |e, d| e * d) / total;
            for (o, &d) in out.iter_mut().zip(direction) {
                *o *= (d - mean) * mass / total;
            }
        }
    }

    fn target_gradient(&self, _target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let keep = T::of(1.0 - self.label_smoothing);
        for (grad, logits) in grad.columns_mut().zip(prediction.columns()) {
            let (max, log_sum) = log_sum_exp(logits);
            for (g, &p) in grad.iter_mut().zip(logits) {
                *g = keep * (log_sum - (p - max));
            }
        }
    }

    fn validate(&self) -> Result<()> {
        let share = self.label_smoothing;
        require((0.0..1.0).contains(&share), "SoftmaxCrossEntropy::label_smoothing", "in [0, 1)", share)
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
}
