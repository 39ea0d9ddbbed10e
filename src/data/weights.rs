//! Weights of examples, and the unit of the mean weight in which training adds them up.

use crate::data::Dataset;
use crate::machine::linalg::matrix::check_shape;
use crate::{Error, Result, Scalar};

/// Weights of examples, with the divisors that give them mean 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weighting {
    /// As they were given, one for each example.
    raw: Vec<f64>,
    largest: f64,
    /// In units of the largest, so that neither a sum overflows nor a quotient.
    mean: f64,
    uniform: bool,
}

impl Weighting {
    fn new(raw: Vec<f64>) -> Self {
        let uniform = raw.iter().zip(raw.iter().skip(1)).all(|(a, b)| a == b);
        let largest = raw.iter().copied().fold(0.0, f64::max);
        let mean = raw.iter().map(|weight| weight / largest).sum::<f64>() / raw.len() as f64;
        Self { raw, largest, mean, uniform }
    }

    /// The weight of an example in units of the mean weight.
    pub(crate) fn of(&self, example: usize) -> f64 {
        self.raw.get(example).map_or(0.0, |&weight| self.in_means(weight))
    }

    /// A number in units of the mean weight.
    fn in_means(&self, x: f64) -> f64 {
        x / self.largest / self.mean
    }
}

const OF_EXAMPLE: &str = "example";

/// Fails unless there are `examples` weights, finite, none below zero and one above.
pub(crate) fn check_weights(weights: &[f64], examples: usize) -> Result<()> {
    check_shape("weights, one for each example", examples, weights.len())?;
    check_each(OF_EXAMPLE, weights)?;
    let refused = |index, expected, found| Err(Error::Weight { what: OF_EXAMPLE, index, expected, found });
    let sum = weights.iter().sum::<f64>();
    if sum == 0.0 {
        return refused(0, "above 0, where all others are 0", 0.0);
    }
    match weights.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)) {
        Some((index, &found)) if !sum.is_finite() => {
            refused(index, "small enough for the sum of all to be finite", found)
        }
        _ => Ok(()),
    }
}

/// Fails for a weight that is negative or not finite.
fn check_each(what: &'static str, weights: &[f64]) -> Result<()> {
    let mut odd = weights.iter().enumerate().filter(|(_, weight)| !(**weight >= 0.0 && weight.is_finite()));
    odd.next().map_or(Ok(()), |(index, &found)| {
        Err(Error::Weight { what, index, expected: "non-negative and finite", found })
    })
}

impl<T: Scalar> Dataset<T> {
    /// Weighs the examples: one of weight w counts as w copies of it, in everything that adds over examples. scikit-learn and
    /// Keras call it `sample_weight`.
    ///
    /// ```text
    /// L(Θ, Z) = Σ_i w_i [ L_y(z_T^i, ẑ_T^i) + Σ_t μ_t L_h(z_t^i, ẑ_t^i) ]     w_i in units of the mean weight
    /// ```
    ///
    /// Energy, residuals, losses, scores, parameter gradients and the sums of a least-squares step have the factor w_i. The
    /// activation steps do not, in closed form neither: all copies of an example have the same stored activation, and it moves
    /// as that of one. Only ratios of weights count, as they are divided by their mean over the data set; learning rates keep
    /// their meaning, and equal weights are none. The mean over a batch divides by its number of examples, so it is unbiased.
    ///
    /// Least squares with penalties ([`Ridge`](crate::method::Ridge)) take the weights as they are, as scikit-learn's `Ridge` does: the
    /// penalties stand beside a sum over examples, so that more copies make them weaker.
    ///
    /// Training by every method, [`refit_output`](crate::DecoupledNetwork::refit_output),
    /// [`evaluate`](crate::DecoupledNetwork::evaluate) and [`score`](crate::DecoupledNetwork::score) follow the weights. Counts of
    /// units, the curvature, and [`measure_decoupling`](crate::FitConfig::measure_decoupling) take every example once.
    ///
    /// Replaces weights that were there. Parts of the data ([`split`](Self::split), [`k_folds`](Self::k_folds),
    /// [`select`](Self::select), [`take`](Self::take)) keep the weights of their examples, and each divides by a mean of its own.
    ///
    /// ```
    /// use decoupled::{Dataset, data::Examples};
    ///
    /// let inputs = Examples::from_rows(&[[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])?;
    /// let data = Dataset::classification(inputs, &[0, 0, 1], 2)?.with_weights(&[1.0, 0.5, 3.0])?;
    /// assert_eq!(data.take(2)?.weights(), Some(&[1.0, 0.5][..]));
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one weight for each example; [`Error::Weight`] for a weight that is negative or not
    /// finite, and when all are 0.
    #[doc(alias = "sample_weight")]
    pub fn with_weights(mut self, weights: &[f64]) -> Result<Self> {
        check_weights(weights, self.len())?;
        self.weighting = Some(Weighting::new(weights.to_vec()));
        Ok(self)
    }

    /// Weighs every example by the weight of its class, times the [weight](Self::with_weights) that it has already.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the targets are not classes, [`Error::Shape`] unless there is one weight for each class,
    /// [`Error::Weight`] for one that is negative or not finite, whether examples of the class occur or not, and as
    /// [`with_weights`](Self::with_weights).
    #[doc(alias = "class_weight")]
    #[doc(alias = "class weight")]
    pub fn with_class_weights(self, weights: &[f64]) -> Result<Self> {
        let why = "the targets are not classes: use with_weights";
        let labels = self.labels().ok_or(Error::Unsupported { what: "class weights", why })?;
        check_shape("weights, one for each class", self.classes().unwrap_or(0), weights.len())?;
        check_each("class", weights)?;
        let of_class = |(example, label): (usize, &usize)| {
            let own = self.weights().and_then(|weights| weights.get(example)).copied().unwrap_or(1.0);
            own * weights.get(*label).copied().unwrap_or(0.0)
        };
        let weights: Vec<f64> = labels.iter().enumerate().map(of_class).collect();
        self.with_weights(&weights)
    }

    /// Gives each class the same total weight: scikit-learn's `class_weight="balanced"`. Of n examples and k classes that occur,
    /// an example of a class with c examples has the weight n/(k·c), times the weight that it has already.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the targets are not classes.
    #[doc(alias = "class_weight")]
    pub fn with_balanced_classes(self) -> Result<Self> {
        let mut counts = vec![0_usize; self.classes().unwrap_or(0)];
        for &label in self.labels().unwrap_or_default() {
            counts.get_mut(label).into_iter().for_each(|count| *count += 1);
        }
        let (n, k) = (self.len() as f64, counts.iter().filter(|count| **count > 0).count() as f64);
        let weights: Vec<f64> =
            counts.iter().map(|&count| if count > 0 { n / (k * count as f64) } else { 0.0 }).collect();
        self.with_class_weights(&weights)
    }

    /// The weights as they were given, one for each example; none without.
    pub fn weights(&self) -> Option<&[f64]> {
        self.weighting.as_ref().map(|weighting| &weighting.raw[..])
    }

    /// The weight of an example in units of the mean weight.
    pub(crate) fn weight(&self, example: usize) -> f64 {
        self.weighting().map_or(1.0, |weighting| weighting.of(example))
    }

    /// Weights that are not all alike.
    pub(crate) fn weighting(&self) -> Option<&Weighting> {
        self.weighting.as_ref().filter(|weighting| !weighting.uniform)
    }

    /// The weights of these examples in units of the mean weight; empty where all are alike.
    pub(crate) fn weights_of(&self, examples: impl IntoIterator<Item = usize>) -> Vec<T> {
        let own = |weighting: &Weighting| examples.into_iter().map(|i| T::of(weighting.of(i))).collect();
        self.weighting().map(own).unwrap_or_default()
    }

    /// A number in units of the mean weight: weights that are all alike have a mean as well.
    pub(crate) fn in_mean_weights(&self, x: f64) -> f64 {
        self.weighting.as_ref().map_or(x, |weighting| weighting.in_means(x))
    }
}
