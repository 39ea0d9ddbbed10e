//! Metrics against scikit-learn (`tests/sklearn/metrics.py` says how, and writes `tests/sklearn/metrics.txt`) and closed forms; what a
//! network says of classes, and how networks and reports are printed.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Dense, Elementwise, LayerNorm, Residual};
use decoupled::loss::{Outputs, SoftmaxCrossEntropy, SquaredError};
use decoupled::metrics::{
    Average, ClassScores, accuracy, confusion_matrix, log_loss, mae, mse, r2, roc_auc, top_k_accuracy,
};
use decoupled::nalgebra::{DMatrix, dmatrix};
use decoupled::train::Refit;
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, FitReport, Layer, Loss, MatMut, MatRef, Method, Result,
    Scalar, Scores, StopReason, Warning,
};

use crate::case::Case;

#[test]
fn scores_of_labels_are_scikit_learns() -> Result<()> {
    for case in Case::all("labels/", 21) {
        let (truth, predicted, classes) = (case.labels("truth"), case.labels("predicted"), case.number("classes"));
        case.agrees("accuracy", &[accuracy(&truth, &predicted)?]);
        let matrix = confusion_matrix(&truth, &predicted, classes)?;
        let counts: Vec<f64> = matrix.counts().transpose().iter().map(|&count| count as f64).collect();
        case.agrees("confusion", &counts);
        let agrees = |average: &str, scores: &[ClassScores]| {
            let of = |score: fn(&ClassScores) -> f64| scores.iter().map(score).collect::<Vec<_>>();
            case.agrees(&format!("{average}/precision"), &of(|scores| scores.precision));
            case.agrees(&format!("{average}/recall"), &of(|scores| scores.recall));
            case.agrees(&format!("{average}/f1"), &of(|scores| scores.f1));
        };
        let each = matrix.per_class();
        agrees("each", &each);
        case.agrees("each/support", &each.iter().map(|class| class.support as f64).collect::<Vec<_>>());
        for (name, average) in [("macro", Average::Macro), ("micro", Average::Micro), ("weighted", Average::Weighted)] {
            agrees(name, &[matrix.average(average)]);
            assert_eq!(matrix.average(average).support, truth.len());
        }
        if let [_, ClassScores { precision, recall, f1, .. }] = each[..] {
            case.agrees("binary", &[precision, recall, f1]);
        }
    }
    Ok(())
}

#[test]
fn top_k_accuracy_is_scikit_learns_with_ties_and_absent_classes() -> Result<()> {
    for case in Case::all("top_k/", 25) {
        let (truth, classes) = (case.labels("truth"), case.number("classes"));
        let scores = case.matrix("scores", classes);
        let found: Result<Vec<f64>> = (1..=classes).map(|k| top_k_accuracy(&truth, scores, k)).collect();
        case.agrees("top_k", &found?);
        assert_eq!(top_k_accuracy(&truth, scores, usize::MAX)?, 1.0);
    }
    Ok(())
}

#[test]
fn log_loss_is_scikit_learns_where_it_is_clipped_as_well() -> Result<()> {
    for case in Case::all("log_loss/", 38) {
        let probabilities = case.matrix("probabilities", case.number("classes"));
        case.agrees("log_loss", &[log_loss(&case.labels("truth"), probabilities)?]);
    }
    Ok(())
}

#[test]
fn log_loss_is_clipped_at_the_precision_of_the_numbers_given() -> Result<()> {
    let wrong = dmatrix![1.0f32; 0.0];
    let found = log_loss(&[1], &wrong)?;
    assert!((found - 23.0 * 2f64.ln()).abs() < 1e-12, "{found}");
    // 1 − 2⁻²³ instead of 1.
    let found = log_loss(&[0], &wrong)?;
    assert!((found + (-(2f64.powi(-23))).ln_1p()).abs() < 1e-18, "{found}");
    Ok(())
}

#[test]
fn areas_under_the_curve_are_scikit_learns() -> Result<()> {
    for case in Case::all("auc/", 32) {
        let scores = case.matrix("scores", case.number("rows"));
        case.agrees("auc", &[roc_auc(&case.labels("truth"), scores)?]);
    }
    Ok(())
}

/// The area is a matter of order alone, and turns round with it.
#[test]
fn areas_follow_the_order_of_the_scores() -> Result<()> {
    for case in Case::all("auc/ties_", 4) {
        let (truth, scores) = (case.labels("truth"), case.numbers("scores"));
        let of = |f: fn(f64) -> f64| {
            let scores: Vec<f64> = scores.iter().map(|&score| f(score)).collect();
            roc_auc(&truth, MatRef::new(&scores, 1, scores.len()))
        };
        let area = of(|score| score)?;
        assert_eq!(of(f64::exp)?, area);
        assert!((of(|score| -score)? + area - 1.0).abs() < 1e-15);
    }
    Ok(())
}

#[test]
fn scores_of_real_targets_are_scikit_learns() -> Result<()> {
    for case in Case::all("real/", 20) {
        let outputs = case.number("outputs");
        let (targets, predictions) = (case.matrix("targets", outputs), case.matrix("predictions", outputs));
        case.agrees("mse", &[mse(targets, predictions)?]);
        case.agrees("mae", &[mae(targets, predictions)?]);
        case.agrees("r2", &[r2(targets, predictions)?]);
    }
    Ok(())
}

#[test]
fn equal_targets_have_no_spread_even_if_their_mean_rounds() -> Result<()> {
    let targets = dmatrix![0.1, 0.1, 0.1];
    assert_ne!(targets.sum() / 3.0, 0.1);
    assert_eq!(r2(&targets, &dmatrix![0.1, 0.1, 0.2])?, 0.0);
    assert_eq!(r2(&targets, &targets)?, 1.0);
    Ok(())
}

#[track_caller]
fn refused<R: Debug>(outcome: Result<R>, message: &str) {
    assert_eq!(outcome.expect_err("an error").to_string(), message);
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    refused(accuracy(&[], &[]), "the list of labels is empty");
    refused(confusion_matrix(&[], &[], 2), "the list of labels is empty");
    let unequal = "predicted labels, one for each true label: expected 2, found 1";
    refused(accuracy(&[0, 1], &[0]), unequal);
    refused(confusion_matrix(&[0, 1], &[0], 2), unequal);
    refused(confusion_matrix(&[0, 2], &[0, 1], 2), "label 2 of example 1 is out of range, expected 0..2");
    refused(confusion_matrix(&[0, 1], &[7, 1], 2), "label 7 of example 0 is out of range, expected 0..2");
    refused(confusion_matrix(&[0], &[0], 0), "label 0 of example 0 is out of range, expected 0..0");
    for classes in [1 << 31, usize::MAX] {
        let outcome = confusion_matrix(&[0], &[0], classes);
        assert!(matches!(outcome, Err(Error::OutOfMemory { what: "the confusion matrix", .. })), "{outcome:?}");
    }
}

#[test]
fn scores_that_do_not_fit_are_refused() {
    type Score = fn(&[usize], &DMatrix<f64>) -> Result<f64>;
    let all: [Score; 3] = [|y, s| top_k_accuracy(y, s, 1), |y, s| log_loss(y, s), |y, s| roc_auc(y, s)];
    for score in all {
        refused(score(&[], &DMatrix::zeros(3, 0)), "the matrix of scores is empty");
        refused(score(&[0], &DMatrix::zeros(0, 1)), "the matrix of scores is empty");
        let even = DMatrix::from_element(2, 3, 0.5);
        let unequal = "labels, one for each example (a column of the scores): expected 3, found 2";
        refused(score(&[0, 1], &even), unequal);
        refused(score(&[0, 1, 2], &even), "label 2 of example 2 is out of range, expected 0..2");
        for (bad, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            let scores = dmatrix![0.5, 0.5, 0.5; 0.5, 0.5, bad];
            let message = format!("scores: example 2, row 1 is {name}, expected a finite number");
            refused(score(&[0, 1, 0], &scores), &message);
        }
    }
    refused(top_k_accuracy(&[0], &dmatrix![1.0; 0.0], 0), "k of top_k_accuracy must be at least 1, found 0");
    for (metric, score) in [("log_loss", all[1]), ("roc_auc", all[2])] {
        let says = |of: &str| format!("{metric}: the probabilities of example 1 must be {of}");
        let second = |a, b| dmatrix![0.5, a; 0.5, b];
        refused(score(&[0, 1], &second(0.5, 0.25)), &says("a column that sums to 1, found 0.75"));
        refused(score(&[0, 1], &second(-0.5, 1.5)), &says("in [0, 1], found -0.5"));
        assert!(score(&[0, 1], &second(0.5, 0.500009)).is_ok());
        assert!(score(&[0, 1], &second(0.5, 0.500011)).is_err());
    }
}

#[test]
fn an_area_needs_examples_of_the_class_and_of_others() {
    let says = |class, found| {
        format!("roc_auc: the number of examples of class {class} must be at least 1, and not all, found {found}")
    };
    let scores = dmatrix![0.1, 0.2, 0.3];
    refused(roc_auc(&[0, 0, 0], &scores), &says(1, 0));
    refused(roc_auc(&[1, 1, 1], &scores), &says(1, 3));
    refused(roc_auc(&[0, 1, 2], &scores), "label 2 of example 2 is out of range, expected 0..2");
    let three = dmatrix![0.1, 0.2, 0.3; 0.8, 0.7, 0.6; 0.1, 0.1, 0.1];
    refused(roc_auc(&[0, 0, 1], &three), &says(2, 0));
}

#[test]
fn real_targets_that_do_not_fit_are_refused() {
    type Score = fn(&DMatrix<f64>, &DMatrix<f64>) -> Result<f64>;
    let all: [Score; 3] = [|y, p| mse(y, p), |y, p| mae(y, p), |y, p| r2(y, p)];
    for score in all {
        let zeros = DMatrix::<f64>::zeros;
        refused(score(&zeros(2, 0), &zeros(2, 0)), "the matrix of targets is empty");
        refused(score(&zeros(0, 2), &zeros(0, 2)), "the matrix of targets is empty");
        refused(score(&zeros(2, 3), &zeros(3, 3)), "rows of the predictions (outputs): expected 2, found 3");
        refused(score(&zeros(2, 3), &zeros(2, 4)), "columns of the predictions (examples): expected 3, found 4");
        let bad = dmatrix![0.0, 0.0, 0.0; 0.0, f64::NAN, 0.0];
        refused(score(&bad, &zeros(2, 3)), "targets: example 1, row 1 is NaN, expected a finite number");
        refused(score(&zeros(2, 3), &bad), "predictions: example 1, row 1 is NaN, expected a finite number");
    }
    refused(r2(&dmatrix![1.0], &dmatrix![1.0]), "the number of examples for r2 must be at least 2, found 1");
}

#[test]
fn a_confusion_matrix_is_printed_with_its_columns_under_each_other() -> Result<()> {
    let truth: Vec<usize> = [0; 12].into_iter().chain([1; 3]).collect();
    let predicted: Vec<usize> = [0; 11].into_iter().chain([1; 4]).collect();
    let table = "truth \\ predicted   0  1\n                0  11  1\n                1   0  3";
    assert_eq!(confusion_matrix(&truth, &predicted, 2)?.to_string(), table);
    Ok(())
}

/// Outputs W·x of one layer, W given column after column.
fn linear<T: Scalar>(weights: &[T], inputs: usize, loss: impl Loss<T> + 'static) -> Result<DecoupledNetwork<T>> {
    let layer = Dense::new(inputs, weights.len() / inputs).without_bias();
    let mut net = DecoupledNetwork::builder(inputs).layer(layer).output_loss(loss).threads(1).build()?;
    net.set_params(0, weights)?;
    Ok(net)
}

#[test]
fn predicted_probabilities_are_the_softmax_and_classes_are_the_largest() -> Result<()> {
    // Odds 1 : 2 : 4, and the same squared and to the power of zero.
    let net = linear(&[1f64.ln(), 2f64.ln(), 4f64.ln()], 1, SoftmaxCrossEntropy::new())?;
    let inputs = dmatrix![1.0, 2.0, 0.0, -1.0];
    let expected = dmatrix![
        1.0 / 7.0, 1.0 / 21.0, 1.0 / 3.0, 4.0 / 7.0;
        2.0 / 7.0, 4.0 / 21.0, 1.0 / 3.0, 2.0 / 7.0;
        4.0 / 7.0, 16.0 / 21.0, 1.0 / 3.0, 1.0 / 7.0
    ];
    assert!((net.predict_proba(&inputs)? - expected).amax() < 1e-15);
    // Of equal ones the first.
    assert_eq!(net.predict_class(&inputs)?, [2, 2, 0, 0]);
    assert_eq!(net.predict_proba(&DMatrix::zeros(1, 0))?.shape(), (3, 0));
    assert!(net.predict_class(&DMatrix::zeros(1, 0))?.is_empty());
    for outcome in [net.predict_proba(&dmatrix![1.0; 1.0]).map(drop), net.predict_class(&dmatrix![1.0; 1.0]).map(drop)]
    {
        refused(outcome, "rows of the inputs (features): expected 1, found 2");
    }
    Ok(())
}

#[test]
fn single_precision_gives_probabilities_that_the_metrics_take() -> Result<()> {
    let weights: Vec<f32> = (0..500).map(|i| (i as f32).sin()).collect();
    let net = linear(&weights, 1, SoftmaxCrossEntropy::new())?;
    let data = Dataset::classification(Examples::from_rows(&[[9.0f32], [-5.0], [0.1]])?, &[1, 2, 3], 500)?;
    let probabilities = net.predict_proba(data.inputs())?;
    let loss = log_loss(&[1, 2, 3], &probabilities)?;
    assert!((loss - net.evaluate(&data)?.loss).abs() < 1e-5 * loss, "{loss}");
    let doubled = probabilities.map(f64::from);
    assert!((log_loss(&[1, 2, 3], &doubled)? - loss).abs() < 1e-6);
    Ok(())
}

#[test]
fn a_loss_to_which_outputs_are_no_probabilities_is_a_typed_error() -> Result<()> {
    let net = linear(&[1.0, 2.0], 1, SquaredError)?;
    let outcome = net.predict_proba(&dmatrix![1.0]);
    assert!(matches!(outcome, Err(Error::Unsupported { what: "predict_proba", .. })), "{outcome:?}");
    assert_eq!(net.predict_class(&dmatrix![1.0])?, [1]);
    Ok(())
}

/// A loss whose meaning cannot be had.
#[derive(Debug)]
struct Panicking;

impl<T: Scalar> Loss<T> for Panicking {
    fn value(&self, _: MatRef<'_, T>, _: MatRef<'_, T>) -> T {
        T::zero()
    }
    fn gradient(&self, _: MatRef<'_, T>, _: MatRef<'_, T>, _: MatMut<'_, T>) {}
    fn outputs(&self) -> Outputs {
        panic!("on purpose")
    }
}

#[test]
fn a_loss_that_panics_over_its_outputs_is_an_error_that_names_no_layer() {
    refused(linear(&[1.0, 2.0], 1, Panicking), "outputs of the output loss panicked: on purpose");
}

#[test]
fn the_score_is_accuracy_for_labels_and_r2_for_real_targets() -> Result<()> {
    let rows = |rows: &[[f64; 1]]| Examples::from_rows(rows);
    let inputs = rows(&[[1.0], [2.0], [3.0], [5.0]])?;
    let net = linear(&[1.0, -1.0], 1, SoftmaxCrossEntropy::new())?;
    let labelled = Dataset::classification(inputs.clone(), &[0, 1, 0, 0], 2)?;
    assert_eq!(net.score(&labelled)?, 0.75);
    assert_eq!(Some(net.score(&labelled)?), net.evaluate(&labelled)?.score);

    let double = linear(&[2.0], 1, SquaredError)?;
    // Errors −1, 0, 1, 0; the targets 3, 4, 5, 10 lie 2.5, 1.5, 0.5, −4.5 below their mean.
    let data = Dataset::regression(inputs.clone(), rows(&[[3.0], [4.0], [5.0], [10.0]])?)?;
    assert!((double.score(&data)? - (1.0 - 2.0 / 29.0)).abs() < 1e-15);
    let single = Dataset::regression(rows(&[[1.0]])?, rows(&[[2.0]])?)?;
    refused(double.score(&single), "the number of examples for r2 must be at least 2, found 1");
    let remedy =
        "rows of the targets (outputs; Dataset::with_one_output makes one of two classes): expected 1, found 2";
    refused(double.score(&labelled), remedy);
    Ok(())
}

/// A layer that says what it is called.
#[derive(Debug)]
struct Named;

impl<T: Scalar> Layer<T> for Named {
    fn input_dim(&self) -> usize {
        3
    }
    fn output_dim(&self) -> usize {
        3
    }
    fn name(&self) -> String {
        "as it pleases".to_owned()
    }
    fn forward(&self, _: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _: &mut [T]) {
        output.as_mut_slice().copy_from_slice(input.as_slice());
    }
    fn input_gradient(
        &self,
        _: &[T],
        _: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        _: &mut [T],
    ) {
        grad.as_mut_slice().copy_from_slice(cotangent.as_slice());
    }
}

#[test]
fn a_summary_names_the_layers_and_counts_what_they_hold_and_take() -> Result<()> {
    let block = Chain::new().then(Elementwise::new(3, Activation::Tanh)).then(Dense::new(3, 3).without_bias());
    let net = DecoupledNetwork::<f64>::builder(4)
        .dense(3, Activation::Relu)
        .layer(Residual::new(block))
        .layer(Arc::new(Named))
        .layer(LayerNorm::new(3))
        .dense(12, Activation::Identity)
        .method(Method::joint(0.1))
        .build()?;
    let summary = net.summary();
    // A unit of joint: a prediction of every layer, and both pull-backs, of which the lowest has one.
    let (dense, block, norm, top) = (15, 9, 6, 48);
    let joint = 2 * (2 * dense + 3 * (block + norm + top));
    assert_eq!(summary.cost.operations, Some(joint as f64));
    assert_eq!(summary.backprop.operations, Some(joint as f64));
    // Four hidden activations of 3 units in eight bytes, and two counts of eight.
    assert_eq!(summary.cost.bank_bytes, 1000 * (12 * 8 + 16));
    let table = "\
layer                    unit   shape  parameters
    0            Dense → Relu   4 → 3          15
    1  Residual(Tanh → Dense)   3 → 3           9
    2           as it pleases   3 → 3           0
    3               LayerNorm   3 → 3           6
    4                   Dense  3 → 12          48
78 parameters, 112000 bytes of activation bank for 1000 examples
an update: 2 products that wait for one another, 438 operations an example
by backpropagation: 10 products that wait for one another, 438 operations an example";
    assert_eq!(summary.to_string(), table);
    let uncounted = DecoupledNetwork::<f64>::builder(4).dense(3, Activation::Relu).dense(2, Activation::Identity);
    let text = uncounted.method(Method::bcd(1.0)).build()?.summary().to_string();
    assert!(text.contains("operations that are not counted\n"), "{text}");
    Ok(())
}

fn epoch(number: usize, score: Option<f64>, validation: Option<Scores>) -> EpochReport {
    EpochReport {
        epoch: number,
        energy: 0.25 / number as f64,
        train_loss: 0.5 / number as f64,
        train_score: score,
        validation,
        energies: Vec::new(),
        residuals: Vec::new(),
        dead_units: Vec::new(),
        staleness: None,
        curvature: None,
        stability_margin: None,
        penalty_factor: 1.0,
        learning_rate_factor: 1.0,
        update_norms: Vec::new(),
        decoupling: None,
        time: Duration::from_millis(1500),
    }
}

#[test]
fn a_report_is_a_table_of_what_was_measured() {
    let validation = Some(Scores { loss: 0.75, score: Some(0.5) });
    let full = FitReport {
        epochs: vec![epoch(1, Some(0.9), validation), epoch(2, Some(0.95), validation)],
        stop: StopReason::Observer,
        restart: None,
        refit: Some(Refit { before: 0.5, after: 0.25 }),
        warnings: vec![Warning::OutOfReach { layers: 2 }],
    };
    let table = "\
epoch     energy       loss   score  validation loss  validation score    time
    1  2.5000e-1  5.0000e-1  0.9000        7.5000e-1            0.5000  1.50 s
    2  1.2500e-1  2.5000e-1  0.9500        7.5000e-1            0.5000  1.50 s
an observer ended it after 3.00 s
refit of the last layer: loss 2.5000e-1, before 5.0000e-1
warning: the lowest 2 layers are out of reach";
    assert!(full.to_string().starts_with(table), "{full}");
    let bare = FitReport {
        epochs: vec![epoch(1, None, None)],
        stop: StopReason::Epochs,
        restart: None,
        refit: None,
        warnings: Vec::new(),
    };
    let table = "\
epoch     energy       loss    time
    1  2.5000e-1  5.0000e-1  1.50 s
all epochs are done after 1.50 s";
    assert_eq!(bare.to_string(), table);
}

#[test]
fn a_long_report_is_short_and_ends_with_the_last_epoch() {
    for (count, shown) in [(20, 20), (21, 11), (45, 16), (46, 16), (1000, 21)] {
        let epochs = (1..=count).map(|number| epoch(number, None, None)).collect();
        let report = FitReport { epochs, stop: StopReason::Epochs, restart: None, refit: None, warnings: Vec::new() };
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), shown + 2, "{text}");
        let number = |line: &str| line.split_whitespace().next().unwrap().parse::<usize>().unwrap();
        assert_eq!((number(lines[1]), number(lines[shown])), (1, count));
        assert!(lines[1..=shown].iter().all(|line| line.len() == lines[0].len()), "{text}");
    }
}

#[test]
fn a_fit_that_was_broken_off_says_so_in_print() -> Result<()> {
    let rows = Examples::from_rows(&[[1.0], [2.0]])?;
    let data = Dataset::regression(rows.clone(), rows)?;
    let mut stop = |_: &EpochReport| ControlFlow::Break(());
    let report = linear(&[0.5], 1, SquaredError)?.fit_observed(&data, &FitConfig::new(), &mut [&mut stop])?;
    assert!(report.to_string().contains("\nan observer ended it after "), "{report}");
    assert_eq!(report.to_string().lines().count(), 3 + report.warnings.len());
    Ok(())
}
