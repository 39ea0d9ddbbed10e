//! Outputs that are NaN or infinite, and losses that are, are found where they arise: an error names the example and the output.

use std::fmt::Debug;

use decoupled::data::Examples;
use decoupled::layer::{Activation, Dense};
use decoupled::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy};
use decoupled::nalgebra::{DMatrix, dmatrix};
use decoupled::network::{Evidence, InferConfig};
use decoupled::{
    Dataset, DecoupledNetwork, Error, FitConfig, Loss, MatMut, MatRef, NetworkBuilder, Result, Scalar, diagnostics,
};

#[track_caller]
fn refused<R: Debug>(outcome: Result<R>, message: &str) {
    assert_eq!(outcome.expect_err("an error").to_string(), message);
}

type Net = DecoupledNetwork<f32>;

const HUGE: f32 = 1e30;

/// Two inputs, two hidden units that may overflow, and their difference in each of the outputs: NaN where both do.
fn network(outputs: usize, set: impl Fn(NetworkBuilder<f32>) -> NetworkBuilder<f32>) -> Result<Net> {
    let builder = Net::builder(2).layer(Dense::new(2, 2).without_bias()).layer(Dense::new(2, outputs).without_bias());
    let mut net = set(builder).threads(1).build()?;
    net.set_params(0, &[HUGE, 0.0, 0.0, HUGE])?;
    // Column after column.
    let difference = [vec![1.0; outputs], vec![-1.0; outputs]].concat();
    net.set_params(1, &difference)?;
    Ok(net)
}

/// The second of three has a NaN, or an infinity, for every output.
fn examples(second: [f32; 2]) -> Examples<f32> {
    Examples::from_rows(&[[1.0, 2.0], second, [-1.0, 0.5]]).unwrap()
}

#[test]
fn no_prediction_is_made_of_outputs_that_are_not_finite() -> Result<()> {
    for (second, value) in [([HUGE, HUGE], "NaN"), ([HUGE, 0.0], "inf"), ([0.0, HUGE], "-inf")] {
        let inputs = examples(second);
        let message = format!("outputs: example 1, row 0 is {value}, expected a finite number");
        let binary = network(1, |builder| builder.output_loss(BinaryCrossEntropy))?;
        let classes = network(2, |builder| builder.output_loss(SoftmaxCrossEntropy::new()))?;
        refused(binary.predict(&inputs), &message);
        refused(binary.predict_proba(&inputs), &message);
        refused(binary.predict_class(&inputs), &message);
        refused(binary.predict_labels(&inputs), &message);
        refused(classes.predict_proba(&inputs), &message);
        refused(classes.predict_class(&inputs), &message);

        for (net, outputs) in [(&binary, 1), (&classes, 2)] {
            let data = Dataset::classification(inputs.clone(), &[0, 1, 0], outputs)?;
            refused(net.evaluate(&data), &message);
            refused(net.score(&data), &message);
            refused(net.clone().refit_output(&data), {
                "training diverged in epoch 0: the input of layer 1 is not finite; try a smaller learning rate, activation rate \
                 or penalty, and check::layer on a layer of your own"
            });
            refused(diagnostics::similarity(net, net, &data), &message);
        }
        let numbers = network(1, |builder| builder)?;
        let data = Dataset::regression(inputs.clone(), Examples::from_rows(&[[0.0], [1.0], [2.0]])?)?;
        refused(numbers.score(&data), &message);
        refused(numbers.evaluate_with(&data, None), &message);
        refused(numbers.activations(&inputs), &format!("in layer 0: {}", &message_of(second)));
    }
    Ok(())
}

/// What the lowest layer gives of such an example.
fn message_of(second: [f32; 2]) -> String {
    let row = if second[0] == HUGE { 0 } else { 1 };
    format!("outputs: example 1, row {row} is inf, expected a finite number")
}

#[test]
fn an_unknown_output_that_is_not_finite_is_found_by_infer() -> Result<()> {
    let mut net = Net::builder(1).layer(Dense::new(1, 2).without_bias()).threads(1).build()?;
    net.set_params(0, &[1e-30, HUGE])?;
    let (input, output) = (dmatrix![1.0, HUGE], dmatrix![0.0, 1.0; 0.0, 0.0]);
    let known = dmatrix![true, true; false, false];
    let evidence = Evidence::new().clamp(0, &input).clamp_where(1, &output, &known);
    refused(net.infer(&evidence, &InferConfig::new()), "outputs: example 1, row 1 is inf, expected a finite number");
    let known = dmatrix![true, true; true, true];
    let evidence = Evidence::new().clamp(0, &input).clamp_where(1, &output, &known);
    // Where it is known its square counts, and 10⁶⁰ is no number of f32.
    let message = "energy of the evidence: example 0, row 0 is inf, expected a finite number";
    refused(net.infer(&evidence, &InferConfig::new()), message);
    Ok(())
}

#[test]
fn a_validation_whose_outputs_are_not_finite_ends_the_fit_after_an_epoch_that_stands() -> Result<()> {
    let targets = || Examples::from_rows(&[[0.0], [1.0], [2.0]]);
    let rows = |scale: f32| Examples::from_rows(&[[0.1, 0.2], [0.3 * scale, 0.4 * scale], [0.5, 0.6]]);
    let (train, far) = (Dataset::regression(rows(1.0)?, targets()?)?, Dataset::regression(rows(1e38)?, targets()?)?);
    let mut net = Net::builder(2).dense(4, Activation::Relu).dense(1, Activation::Identity).threads(1).build()?;
    net.set_params(0, &[10.0; 12])?;
    net.set_params(1, &[1.0; 5])?;
    let error = net.fit(&train, &FitConfig::new().epochs(3).validation(&far)).unwrap_err();
    assert!(matches!(error, Error::NotFinite { what: "outputs", example: 1, row: 0, .. }), "{error:?}");
    assert_eq!(net.epochs(), 1);
    Ok(())
}

/// The half of a squared distance, by a plain sum.
#[derive(Debug)]
struct Plain;

impl<T: Scalar> Loss<T> for Plain {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        target.as_slice().iter().zip(prediction.as_slice()).map(|(&z, &p)| T::of(0.5) * (p - z) * (p - z)).sum()
    }
    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let pairs = target.as_slice().iter().zip(prediction.as_slice());
        grad.as_mut_slice().iter_mut().zip(pairs).for_each(|(g, (&z, &p))| *g = p - z);
    }
}

#[test]
fn a_loss_that_is_not_finite_names_its_example_and_one_whose_sum_overflows_is_added_up() -> Result<()> {
    let squared = |builder: NetworkBuilder<f32>| builder;
    for set in [squared, |builder: NetworkBuilder<f32>| builder.output_loss(Plain)] {
        let mut net = set(Net::builder(1).layer(Dense::new(1, 1).without_bias())).threads(1).build()?;
        net.set_params(0, &[1.0])?;
        let data = |inputs: Vec<f32>| {
            let targets = vec![0.0; inputs.len()];
            let column = |entries: &[f32]| Examples::from_row_slice(entries, entries.len(), 1);
            Dataset::regression(column(&inputs)?, column(&targets)?)
        };
        let mut inputs = vec![1.0; 300];
        inputs[280] = HUGE;
        refused(net.evaluate(&data(inputs)?), "the output loss: example 280, row 0 is inf, expected a finite number");
        // Each has 2·10³⁷, and f32 ends at 3.4·10³⁸.
        let loss = net.evaluate(&data(vec![6.324_555e18; 600])?)?.loss;
        assert!((loss / 2e37 - 1.0).abs() < 1e-5, "{loss}");
    }
    Ok(())
}

#[test]
fn outputs_that_are_finite_are_as_before_up_to_the_largest_number() -> Result<()> {
    let mut net = Net::builder(1).layer(Dense::new(1, 1).without_bias()).threads(1).build()?;
    net.set_params(0, &[1.0])?;
    assert_eq!(net.predict(&dmatrix![f32::MAX, f32::MIN])?, dmatrix![f32::MAX, f32::MIN]);
    assert_eq!(net.predict(&DMatrix::zeros(1, 0))?.shape(), (1, 0));
    Ok(())
}
