//! Binary cross-entropy on logits, for labels that are independent. At the output only.

use super::{Loss, Outputs};
use crate::machine::linalg::functions::{sigmoid, softplus};
use crate::machine::linalg::{dispatch, sum_zip};
use crate::{Error, MatMut, MatRef, Result, Scalar};

/// Cross-entropy of independent yes-or-no outputs: probabilities z against logits ẑ. With one output it tells two classes apart
/// (logistic regression); with several it is the loss of multi-label data.
///
/// ```text
/// p = 1/(1 + exp(−ẑ)),   L(z, ẑ) = −Σ z·log p + (1 − z)·log(1 − p)
///                                =  Σ max(ẑ, 0) − z·ẑ + log(1 + exp(−|ẑ|))
/// ∂L/∂ẑ = p − z,   ∂L/∂z = −ẑ
/// ```
///
/// The second form is computed; it is finite for all finite logits. Targets must lie in [0, 1].
///
/// An output loss only: it is linear in z, hence unbounded below over the stored activations.
///
/// ```
/// use decoupled::data::Examples;
/// use decoupled::layer::Activation;
/// use decoupled::loss::BinaryCrossEntropy;
/// use decoupled::{Dataset, DecoupledNetwork, FitConfig};
///
/// let inputs = Examples::from_rows(&[[-2.0], [-1.0], [1.0], [2.0]])?;
/// let data = Dataset::classification(inputs, &[0, 0, 1, 1], 1)?; // one output: the labels themselves
/// let builder = DecoupledNetwork::builder(1).dense(1, Activation::Identity);
/// let mut network = builder.output_loss(BinaryCrossEntropy).build()?;
/// network.fit(&data, &FitConfig::new().epochs(300))?;
///
/// let chance = network.predict_proba(data.inputs())?; // 1 × 4, of class 1
/// assert!(chance[0] < 0.5 && chance[3] > 0.5);
/// assert_eq!(network.predict_class(data.inputs())?, [0, 0, 1, 1]);
/// assert_eq!(network.score(&data)?, 1.0);
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[doc(alias = "BCEWithLogitsLoss")]
#[doc(alias = "binary_crossentropy")]
pub struct BinaryCrossEntropy;

/// g = σ(p) − z, or the same through σ(−p) where σ(p) is near 1 and the difference would cancel.
#[inline(always)]
fn differences<T: Scalar>(z: &[T], p: &[T], g: &mut [T]) {
    for (g, (&z, &p)) in g.iter_mut().zip(z.iter().zip(p)) {
        let small = sigmoid(-p.abs()).0;
        let (left, right) = (small - z, (T::one() - z) - small);
        *g = if p < T::zero() { left } else { right };
    }
}

impl<T: Scalar> Loss<T> for BinaryCrossEntropy {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        sum_zip(
            target.as_slice(),
            prediction.as_slice(),
            #[inline(always)]
            |z, p| {
                let positive = if p < T::zero() { T::zero() } else { p };
                positive - z * p + softplus(-p.abs()).0
            },
        )
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let (z, p, g) = (target.as_slice(), prediction.as_slice(), grad.as_mut_slice());
        dispatch(
            #[inline(always)]
            || differences(z, p, g),
        );
    }

    fn target_gradient(&self, _target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        for (g, &p) in grad.as_mut_slice().iter_mut().zip(prediction.as_slice()) {
            *g = -p;
        }
    }

    fn check_targets(&self, targets: MatRef<'_, T>) -> Result<()> {
        for (example, z) in targets.columns().enumerate() {
            if let Some(found) = z.iter().map(|z| z.to_f64()).find(|z| !(0.0..=1.0).contains(z)) {
                return Err(Error::Target { loss: "BinaryCrossEntropy", example, expected: "in [0, 1]", found });
            }
        }
        Ok(())
    }

    fn outputs(&self) -> Outputs {
        Outputs::Labels
    }

    fn serves_hidden(&self) -> bool {
        false
    }

    #[cfg(feature = "serde")]
    fn describe(&self) -> Option<crate::description::Description> {
        crate::description::Description::new("BinaryCrossEntropy", self)
    }
}
