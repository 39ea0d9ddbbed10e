//! Two networks compared as functions, by their outputs alone.

use nalgebra::DMatrix;

use crate::loss::Outputs;
use crate::machine::linalg::matrix::check_shape;
use crate::{Dataset, DecoupledNetwork, Metric, Result, Scalar};

/// How alike two networks A and B are as functions, on one data set. Gaps are A − B; means are over the examples.
///
/// Two networks that err seldom agree for that alone: [`beyond_chance`](Self::beyond_chance) takes it away. It still takes all
/// examples for equally hard, which they are not, so that networks trained apart show more than 0: compare with controls, such as two
/// networks that differ in the seed alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FunctionSimilarity {
    /// For class labels, the share of examples to which both give the same class, as
    /// [`predict_class`](DecoupledNetwork::predict_class) does.
    pub agreement: Option<f64>,
    /// The agreement of independent networks with these error rates e and C classes, whose wrong labels are uniform:
    ///
    /// ```text
    /// (1 − e_A)·(1 − e_B) + e_A·e_B/(C − 1)
    /// ```
    pub chance: Option<f64>,
    /// (agreement − chance) / (1 − chance): 1 where they always agree, 0 for independent ones; none where chance is 1, when neither
    /// makes an error.
    pub beyond_chance: Option<f64>,
    /// The mean Jensen–Shannon divergence of their class probabilities P and Q, in nats, between 0 and ln 2; none unless the outputs
    /// of both tell classes apart ([`Loss::outputs`](crate::Loss::outputs)); a single logit tells two:
    ///
    /// ```text
    /// JS = ½ Σ_k [ P_k·ln(P_k/M_k) + Q_k·ln(Q_k/M_k) ],   M = (P + Q)/2
    /// ```
    ///
    /// Lin (1991), *Divergence measures based on the Shannon entropy*, IEEE Transactions on Information Theory 37.
    pub jensen_shannon: Option<f64>,
    /// Accuracy of A less that of B, for class labels; for multi-label data the subset accuracy.
    pub score_gap: Option<f64>,
    /// Mean forward loss of A less that of B, each by its own output loss.
    pub loss_gap: f64,
}

/// Compares two networks on a data set that fits both.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for networks of other inputs or outputs, and as [`DecoupledNetwork::evaluate`].
pub(crate) fn compare<T: Scalar>(
    a: &DecoupledNetwork<T>,
    b: &DecoupledNetwork<T>,
    data: &Dataset<T>,
) -> Result<FunctionSimilarity> {
    check_shape("rows of the other network's input (features)", a.input_dim(), b.input_dim())?;
    check_shape("rows of the other network's output", a.output_dim(), b.output_dim())?;
    for network in [a, b] {
        network.check_data(data)?;
    }
    let metric = |network: &DecoupledNetwork<T>| Metric::for_data(data, network.decision.outputs);
    let outputs = [a.predict(data.inputs())?, b.predict(data.inputs())?];
    let [of_a, of_b] = &outputs;
    let scores = [a.scores(data, metric(a).as_ref(), of_a.into())?, b.scores(data, metric(b).as_ref(), of_b.into())?];

    let agreement = data.labels().map(|_| {
        let (a, b) = (a.classes(of_a), b.classes(of_b));
        a.iter().zip(b).filter(|&(&a, b)| a == b).count() as f64 / data.len() as f64
    });
    let chance = match (scores[0].score, scores[1].score, data.classes()) {
        (Some(a), Some(b), Some(classes)) => Some(chance(a, b, classes)),
        _ => None,
    };
    let beyond_chance = agreement.zip(chance).and_then(|(agreement, chance)| beyond(agreement, chance));
    let score_gap = scores[0].score.zip(scores[1].score).map(|(a, b)| a - b);
    let loss_gap = scores[0].loss - scores[1].loss;
    let [of_a, of_b] = outputs;
    let jensen_shannon = match (distributions(a, of_a), distributions(b, of_b)) {
        (Some(p), Some(q)) => Some(divergence(&p, &q)),
        _ => None,
    };
    Ok(FunctionSimilarity { agreement, chance, beyond_chance, jensen_shannon, score_gap, loss_gap })
}

/// The probability of each class, `classes × n`, where the outputs tell it.
fn distributions<T: Scalar>(network: &DecoupledNetwork<T>, outputs: DMatrix<T>) -> Option<DMatrix<T>> {
    match (network.decision.outputs, outputs.nrows()) {
        (Outputs::Classes, _) => Some(network.to_probabilities(outputs)),
        (Outputs::Labels, 1) => {
            // σ(−ẑ) is 1 − σ(ẑ) to all digits.
            let both = outputs.iter().flat_map(|&logit| [-logit, logit]).collect();
            let both = DMatrix::from_vec(2, outputs.ncols(), both);
            Some(network.to_probabilities(both))
        }
        _ => None,
    }
}

/// The agreement of independent classifiers of these accuracies whose wrong labels are uniform.
fn chance(a: f64, b: f64, classes: usize) -> f64 {
    let both_wrong = (1.0 - a) * (1.0 - b);
    // With one class nobody is wrong.
    a * b + if classes > 1 { both_wrong / (classes - 1) as f64 } else { 0.0 }
}

fn beyond(agreement: f64, chance: f64) -> Option<f64> {
    (chance < 1.0).then(|| (agreement - chance) / (1.0 - chance))
}

/// The mean Jensen–Shannon divergence of the columns.
fn divergence<T: Scalar>(p: &DMatrix<T>, q: &DMatrix<T>) -> f64 {
    let term = |p: f64, m: f64| if p > 0.0 { p * (p / m).ln() } else { 0.0 };
    let pairs = p.as_slice().iter().zip(q.as_slice());
    let sum: f64 = pairs
        .map(|(p, q)| {
            let (p, q) = (p.to_f64(), q.to_f64());
            let mean = 0.5 * (p + q);
            term(p, mean) + term(q, mean)
        })
        .sum();
    (0.5 * sum / p.ncols() as f64).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Examples;
    use crate::layer::Activation;
    use crate::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError};
    use crate::{Error, Loss};

    /// Logits W·x of one layer.
    fn linear(inputs: usize, weights: &[f64], loss: impl Loss<f64> + 'static) -> DecoupledNetwork<f64> {
        let outputs = weights.len() / inputs;
        let builder = DecoupledNetwork::builder(inputs).dense(outputs, Activation::Identity).output_loss(loss);
        let mut net = builder.build().unwrap();
        let params: Vec<f64> = weights.iter().copied().chain(vec![0.0; outputs]).collect();
        net.set_params(0, &params).unwrap();
        net
    }

    /// Five examples, each a row of the identity: outputs are columns of W, so that they can be written down.
    fn labelled(labels: [usize; 5]) -> Dataset<f64> {
        let rows: Vec<[f64; 5]> = (0..5).map(|i| std::array::from_fn(|j| f64::from(u8::from(i == j)))).collect();
        Dataset::classification(Examples::from_rows(&rows).unwrap(), &labels, 3).unwrap()
    }

    /// Weights, column after column, that say these classes so loudly.
    fn says(classes: [usize; 5], loudness: f64) -> Vec<f64> {
        classes.iter().flat_map(|&class| (0..3).map(move |k| if k == class { loudness } else { 0.0 })).collect()
    }

    #[test]
    fn agreement_chance_and_gaps_are_those_counted_by_hand() {
        let data = labelled([0, 1, 2, 0, 1]);
        // A errs once, in example 4; B twice, in examples 3 and 4; in 4 they err alike.
        let loss = SoftmaxCrossEntropy::new;
        let a = linear(5, &says([0, 1, 2, 0, 2], 1.0), loss());
        let b = linear(5, &says([0, 1, 2, 1, 2], 1.0), loss());
        let found = compare(&a, &b, &data).unwrap();
        let chance = 0.8 * 0.6 + 0.2 * 0.4 / 2.0;
        let close = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-15, "{found:?}");
        close(found.agreement, 0.8);
        close(found.chance, chance);
        close(found.beyond_chance, (0.8 - chance) / (1.0 - chance));
        close(found.score_gap, 0.2);
        // One example more that B gets wrong costs it the logit between right and wrong.
        assert!((found.loss_gap + 0.2).abs() < 1e-15, "{}", found.loss_gap);
        // One column of five differs: e/(e + 2) against 1/(e + 2), twice.
        let (p, q) = (1f64.exp() / (1f64.exp() + 2.0), 1.0 / (1f64.exp() + 2.0));
        let mean = (p + q) / 2.0;
        close(found.jensen_shannon, (p * (p / mean).ln() + q * (q / mean).ln()) / 5.0);
        let other = compare(&b, &a, &data).unwrap();
        assert_eq!((other.score_gap, other.loss_gap), (found.score_gap.map(|gap| -gap), -found.loss_gap));
        assert_eq!((other.agreement, other.jensen_shannon), (found.agreement, found.jensen_shannon));
    }

    #[test]
    fn a_network_is_itself_and_opposite_certainties_are_ln_2_apart() {
        let data = labelled([0, 1, 2, 0, 1]);
        let a = linear(5, &says([0, 1, 2, 0, 2], 3.0), SoftmaxCrossEntropy::new());
        let same = compare(&a, &a, &data).unwrap();
        assert_eq!((same.agreement, same.beyond_chance, same.jensen_shannon), (Some(1.0), Some(1.0), Some(0.0)));
        assert_eq!((same.score_gap, same.loss_gap), (Some(0.0), 0.0));
        for loudness in [50.0, 2000.0] {
            let sure = linear(5, &says([0; 5], loudness), SoftmaxCrossEntropy::new());
            let other = linear(5, &says([1; 5], loudness), SoftmaxCrossEntropy::new());
            let found = compare(&sure, &other, &data).unwrap().jensen_shannon.unwrap();
            assert!((found - 2f64.ln()).abs() < 1e-12, "{found}");
        }
        // Nobody errs: all agreement is chance.
        let right = linear(5, &says([0, 1, 2, 0, 1], 1.0), SoftmaxCrossEntropy::new());
        let found = compare(&right, &right, &data).unwrap();
        assert_eq!((found.agreement, found.chance, found.beyond_chance), (Some(1.0), Some(1.0), None));
    }

    #[test]
    fn a_single_logit_tells_two_classes_apart() {
        let inputs = Examples::from_column_matrix(DMatrix::<f64>::identity(5, 5)).unwrap();
        let data = Dataset::classification(inputs, &[0, 1, 1, 0, 1], 1).unwrap();
        // A errs never, B in example 2.
        let a = linear(5, &[-1.0, 1.0, 1.0, -1.0, 1.0], BinaryCrossEntropy);
        let b = linear(5, &[-1.0, 1.0, -1.0, -1.0, 1.0], BinaryCrossEntropy);
        let found = compare(&a, &b, &data).unwrap();
        let close = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-15, "{found:?}");
        close(found.agreement, 0.8);
        close(found.chance, 0.8);
        close(found.beyond_chance, 0.0);
        close(found.score_gap, 0.2);
        // There the one has p for class 1, and the other 1 − p.
        let (p, q) = (1.0 / (1.0 + (-1f64).exp()), 1.0 / (1.0 + 1f64.exp()));
        close(found.jensen_shannon, (p * (2.0 * p).ln() + q * (2.0 * q).ln()) / 5.0);
    }

    #[test]
    fn what_has_no_meaning_is_none() {
        let data = labelled([0, 1, 2, 0, 1]);
        let weights = says([0, 1, 2, 0, 2], 1.0);
        let squared = linear(5, &weights, SquaredError);
        let soft = linear(5, &weights, SoftmaxCrossEntropy::new());
        for (a, b) in [(&squared, &soft), (&soft, &squared)] {
            let found = compare(a, b, &data).unwrap();
            assert_eq!((found.jensen_shannon, found.agreement), (None, Some(1.0)));
        }
        // Independent units are no distribution over classes.
        let units = linear(5, &weights, BinaryCrossEntropy);
        assert_eq!(compare(&units, &units, &data).unwrap().jensen_shannon, None);
        let inputs = Examples::from_column_matrix(DMatrix::<f64>::identity(5, 5)).unwrap();
        let targets = Examples::from_column_matrix(DMatrix::from_element(3, 5, 1.0 / 3.0)).unwrap();
        let odds = Dataset::regression(inputs, targets).unwrap();
        let found = compare(&soft, &soft, &odds).unwrap();
        assert_eq!((found.agreement, found.chance, found.beyond_chance, found.score_gap), (None, None, None, None));
        assert_eq!(found.jensen_shannon, Some(0.0));
    }

    #[test]
    fn networks_and_data_that_do_not_fit_are_shape_errors() {
        let data = labelled([0, 1, 2, 0, 1]);
        let net = linear(5, &says([0; 5], 1.0), SoftmaxCrossEntropy::new());
        for (other, expected) in [(linear(4, &[0.0; 12], SquaredError), 5), (linear(5, &[0.0; 10], SquaredError), 3)] {
            let error = compare(&net, &other, &data).unwrap_err();
            assert!(matches!(error, Error::Shape { expected: e, .. } if e == expected), "{error:?}");
        }
        let narrow = linear(4, &[0.0; 12], SquaredError);
        assert!(matches!(compare(&narrow, &narrow, &data), Err(Error::Shape { expected: 4, found: 5, .. })));
    }
}
