//! One logit for two classes, and independent labels: against scikit-learn (`tests/sklearn/classifiers.py` says how, and writes
//! `tests/sklearn/classifiers.txt`) and arithmetic.

use std::fmt::Debug;

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError};
use decoupled::metrics::{
    Average, ClassScores, PrecisionRecallCurve, RocCurve, accuracy, average_precision, confusion_matrix, hamming_loss,
    label_accuracy, log_loss, multi_label_average_precision, multi_label_confusion, multi_label_roc_auc,
    precision_recall_curve, roc_auc, roc_curve, subset_accuracy,
};
use decoupled::nalgebra::{DMatrix, dmatrix};
use decoupled::optimizer::Adam;
use decoupled::search::{Scoring, Search, Space};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Loss, MatRef, Metric, NetworkBuilder, Result};

use crate::case::Case;

type Net = DecoupledNetwork<f64>;

#[track_caller]
fn refused<R: Debug>(outcome: Result<R>, message: &str) {
    assert_eq!(outcome.expect_err("an error").to_string(), message);
}

/// Examples that a case writes row by row.
fn examples(case: &Case, key: &str, features: usize) -> Examples<f64> {
    let numbers = case.numbers(key);
    Examples::from_row_slice(numbers, numbers.len() / features, features).unwrap()
}

/// The network that scikit-learn fitted: its layers and weights.
fn network(case: &Case, inputs: usize, outputs: usize) -> Result<Net> {
    let hidden = case.number("hidden");
    let builder = Net::builder(inputs).threads(1).output_loss(BinaryCrossEntropy);
    let builder = if hidden > 0 { builder.dense(hidden, Activation::Tanh) } else { builder };
    let mut net = builder.dense(outputs, Activation::Identity).build()?;
    for t in 0..net.depth() {
        net.set_params(t, &[case.numbers(&format!("coef{t}")), case.numbers(&format!("intercept{t}"))].concat())?;
    }
    Ok(net)
}

fn agree(case: &Case, name: &str, scores: &[ClassScores]) {
    let of = |score: fn(&ClassScores) -> f64| scores.iter().map(score).collect::<Vec<_>>();
    case.agrees(&format!("{name}/precision"), &of(|scores| scores.precision));
    case.agrees(&format!("{name}/recall"), &of(|scores| scores.recall));
    case.agrees(&format!("{name}/f1"), &of(|scores| scores.f1));
}

const AVERAGES: [(&str, Average); 3] =
    [("micro", Average::Micro), ("macro", Average::Macro), ("weighted", Average::Weighted)];

#[test]
fn one_logit_says_what_scikit_learn_says_with_the_same_weights() -> Result<()> {
    for case in Case::all("binary/", 12) {
        let truth = case.labels("truth");
        let data = Dataset::classification(examples(&case, "inputs", 2), &truth, 1)?;
        let mut net = network(&case, 2, 1)?;
        if case.number("hidden") == 0 {
            case.agrees("logits", net.predict(data.inputs())?.as_slice());
        }
        let chance = net.predict_proba(data.inputs())?;
        assert_eq!(chance.shape(), (1, 40));
        case.agrees("proba", chance.as_slice());
        let predicted = net.predict_class(data.inputs())?;
        assert_eq!(predicted, case.labels("predict"));
        assert_eq!([net.score(&data)?], case.numbers("score"));
        assert_eq!(net.evaluate(&data)?.score, Some(net.score(&data)?));
        case.agrees("log_loss", &[net.evaluate(&data)?.loss]);
        case.agrees("log_loss", &[log_loss(&truth, &chance)?]);
        case.agrees("roc_auc", &[roc_auc(&truth, &chance)?]);
        case.agrees("average_precision", &[average_precision(&truth, &chance)?]);
        let confusion = confusion_matrix(&truth, &predicted, 2)?;
        agree(&case, "each", &confusion.per_class());
        AVERAGES.iter().for_each(|&(name, average)| agree(&case, name, &[confusion.average(average)]));
        assert_eq!(confusion.average(Average::Samples).f1, accuracy(&truth, &predicted)?);

        assert_eq!(net.threshold(), 0.5);
        for (name, threshold) in [("low", 0.2), ("high", 0.9)] {
            net.set_threshold(threshold)?;
            assert_eq!(net.predict_class(data.inputs())?, case.labels(&format!("{name}/predict")));
            assert_eq!([net.score(&data)?], case.numbers(&format!("{name}/score")));
        }
    }
    Ok(())
}

/// Two blobs in the plane, apart by more than they are wide.
fn blobs(n: usize) -> Dataset<f64> {
    let turn = |i: usize| (i as f64 * 2.4).sin_cos();
    let rows: Vec<[f64; 2]> = (0..n)
        .map(|i| {
            let (sin, cos) = turn(i);
            let side = if i % 2 == 0 { -1.0 } else { 1.0 };
            [side + 0.8 * sin, 0.5 * side + 0.8 * cos]
        })
        .collect();
    let labels: Vec<usize> = (0..n).map(|i| i % 2).collect();
    Dataset::classification(Examples::from_rows(&rows).unwrap(), &labels, 1).unwrap()
}

fn logistic() -> NetworkBuilder<f64> {
    Net::builder(2).dense(1, Activation::Identity).output_loss(BinaryCrossEntropy).threads(1)
}

/// By its default, which is the accuracy of `decision_function > 0` on what is held out, as `cross_val_score` has it for a
/// scikit-learn classifier.
#[test]
fn a_search_scores_one_logit_by_its_accuracy_and_takes_the_longer_training() -> Result<()> {
    let data = blobs(60);
    let build = |epochs: usize| Ok((logistic().optimizer(Adam::new(0.05)).build()?, FitConfig::new().epochs(epochs)));
    let search = Search::grid(Space::new().choices("epochs", &[1.0, 100.0])).cv(3);
    let report = search.fit(&data, |candidate| build(candidate.get("epochs")? as usize))?;
    for trial in &report.trials {
        let judge = |(train, held_out): (Dataset<f64>, Dataset<f64>)| {
            let (mut net, config) = build(trial.candidate.get("epochs")? as usize)?;
            net.fit(&train, &config)?;
            let logits = net.predict(held_out.inputs())?;
            let hits = logits.iter().zip(held_out.labels().unwrap()).filter(|&(&z, &label)| (z > 0.0) == (label == 1));
            Ok(hits.count() as f64 / held_out.len() as f64)
        };
        let expected: Vec<f64> = data.k_folds(3, 0)?.into_iter().map(judge).collect::<Result<_>>()?;
        assert_eq!(trial.scores.as_ref().unwrap(), &expected);
    }
    let best = report.best().unwrap();
    assert_eq!((best.candidate.get("epochs")?, best.mean_test_score()), (100.0, Some(1.0)));
    Ok(())
}

#[test]
fn a_search_that_would_have_no_score_says_so_before_it_trains() -> Result<()> {
    let data = blobs(20);
    let numbers = Dataset::regression(Examples::from_column_matrix(data.inputs().view().into_owned())?, {
        Examples::from_column_matrix(data.targets().view().into_owned())?
    })?;
    let search = Search::grid(Space::new().choices("epochs", &[1e9])).cv(2);
    let fit = |search: &Search, epochs: Option<usize>| {
        search.fit(&numbers, |candidate| {
            let epochs = epochs.map_or_else(|| candidate.get("epochs").map(|epochs| epochs as usize), Ok)?;
            Ok((logistic().build()?, FitConfig::new().epochs(epochs)))
        })
    };
    let report = fit(&search, None)?;
    assert!(report.best().is_none());
    let message = report.trials[0].scores.as_ref().unwrap_err().to_string();
    assert!(message.contains("Dataset::classification (with 1 output for one logit)"), "{message}");
    let by_loss = fit(&search.scoring(Scoring::Loss), Some(1))?;
    assert!(by_loss.best().is_some());
    Ok(())
}

#[test]
fn several_labels_are_what_scikit_learn_says_with_the_same_weights() -> Result<()> {
    for case in Case::all("several/", 3) {
        let count = case.number("labels");
        let data = Dataset::multi_label(examples(&case, "inputs", 4), examples(&case, "truth", count))?;
        let net = network(&case, 4, count)?;
        case.agrees("proba", net.predict_proba(data.inputs())?.as_slice());
        let predicted = net.predict_labels(data.inputs())?;
        assert_eq!(predicted.as_slice(), case.numbers("predict"));
        assert_eq!([net.score(&data)?], case.numbers("score"));
        assert_eq!(net.evaluate(&data)?.score, Some(net.score(&data)?));
        let confusion = multi_label_confusion(data.targets(), &predicted)?;
        agree(&case, "each", &confusion.per_label());
        agree(&case, "samples", &[confusion.average(Average::Samples)]);
        AVERAGES.iter().for_each(|&(name, average)| agree(&case, name, &[confusion.average(average)]));
    }
    Ok(())
}

#[test]
fn scores_of_predicted_labels_are_scikit_learns() -> Result<()> {
    for case in Case::all("multi/", 26) {
        let count = case.number("labels");
        let (truth, predicted) = (case.matrix("truth", count), case.matrix("predicted", count));
        case.agrees("subset", &[subset_accuracy(truth, predicted)?]);
        case.agrees("hamming", &[hamming_loss(truth, predicted)?]);
        case.agrees("accuracies", &label_accuracy(truth, predicted)?);
        let confusion = multi_label_confusion(truth, predicted)?;
        let counts = confusion.counts().iter().flat_map(|label| {
            [label.true_negatives, label.false_positives, label.false_negatives, label.true_positives]
        });
        case.agrees("confusion", &counts.map(|count| count as f64).collect::<Vec<_>>());
        let each = confusion.per_label();
        agree(&case, "each", &each);
        case.agrees("each/support", &each.iter().map(|label| label.support as f64).collect::<Vec<_>>());
        for (name, average) in AVERAGES.into_iter().chain([("samples", Average::Samples)]) {
            agree(&case, name, &[confusion.average(average)]);
            assert_eq!(confusion.average(average).support, truth.as_slice().iter().sum::<f64>() as usize);
        }
    }
    Ok(())
}

#[test]
fn areas_of_labels_are_scikit_learns_in_every_average() -> Result<()> {
    for case in Case::all("labels_auc/", 16) {
        let count = case.number("labels");
        let (truth, scores) = (case.matrix("truth", count), case.matrix("scores", count));
        for (name, average) in AVERAGES.into_iter().chain([("samples", Average::Samples)]) {
            case.agrees(&format!("{name}/roc_auc"), &[multi_label_roc_auc(truth, scores, average)?]);
            let found = multi_label_average_precision(truth, scores, average)?;
            case.agrees(&format!("{name}/average_precision"), &[found]);
        }
    }
    Ok(())
}

#[test]
fn average_precision_and_curves_are_scikit_learns() -> Result<()> {
    for case in Case::all("ranked/", 33) {
        let (truth, rows) = (case.labels("truth"), case.number("rows"));
        let scores = case.matrix("scores", rows);
        case.agrees("average_precision", &[average_precision(&truth, scores)?]);
        if rows > 2 {
            let what = "rows of the scores of a curve (of class 1, or probabilities of two classes)";
            refused(roc_curve(&truth, scores), &format!("{what}: expected 1, found {rows}"));
            refused(precision_recall_curve(&truth, scores), &format!("{what}: expected 1, found {rows}"));
            continue;
        }
        let RocCurve { false_positive_rates, true_positive_rates, thresholds } = roc_curve(&truth, scores)?;
        case.agrees("fpr", &false_positive_rates);
        case.agrees("tpr", &true_positive_rates);
        case.agrees("roc_thresholds", &thresholds);
        let PrecisionRecallCurve { precisions, recalls, thresholds } = precision_recall_curve(&truth, scores)?;
        case.agrees("precision", &precisions);
        case.agrees("recall", &recalls);
        case.agrees("pr_thresholds", &thresholds);
    }
    Ok(())
}

#[test]
fn log_loss_of_the_chance_of_class_1_is_scikit_learns() -> Result<()> {
    for case in Case::all("chance/", 10) {
        case.agrees("log_loss", &[log_loss(&case.labels("truth"), case.matrix("chance", 1))?]);
    }
    refused(
        log_loss(&[0, 1], MatRef::new(&[0.5, 1.5], 1, 2)),
        "log_loss: the probabilities of example 1 must be in [0, 1], found 1.5",
    );
    refused(log_loss(&[0, 2], MatRef::new(&[0.5, 0.5], 1, 2)), "label 2 of example 1 is out of range, expected 0..2");
    Ok(())
}

#[test]
fn what_scikit_learn_warns_of_is_a_typed_error() {
    let ones = dmatrix![1.0, 1.0, 1.0; 1.0, 0.0, 0.0];
    let zeros = DMatrix::<f64>::zeros(2, 3);
    let scores = dmatrix![0.1, 0.2, 0.3; 0.3, 0.2, 0.1];
    let says =
        |what: &str, found| format!("roc_auc: the number of {what} must be at least 1, and not all, found {found}");
    refused(multi_label_roc_auc(&ones, &scores, Average::Macro), &says("examples with label 0", 3));
    refused(multi_label_roc_auc(&ones, &scores, Average::Samples), &says("labels of example 0", 2));
    refused(
        multi_label_roc_auc(&zeros, &scores, Average::Micro),
        &says("labels that examples have, in rows up to 1", 0),
    );
    assert!(multi_label_average_precision(&ones, &scores, Average::Macro).is_ok());
    let none = "average_precision: the number of examples with label 0 must be at least 1, found 0";
    refused(multi_label_average_precision(&zeros, &scores, Average::Weighted), none);
    let none = "average_precision: the number of examples of class 1 must be at least 1, found 0";
    refused(average_precision(&[0, 0, 0], &dmatrix![0.1, 0.2, 0.3]), none);
    refused(precision_recall_curve(&[0, 0, 0], &dmatrix![0.1, 0.2, 0.3]), none);
    refused(roc_curve(&[1, 1, 1], &dmatrix![0.1, 0.2, 0.3]), &says("examples of class 1", 3));

    let half = dmatrix![0.5, 1.0, 0.0; 0.0, 0.0, 1.0];
    refused(subset_accuracy(&half, &ones), "subset_accuracy: a true label of example 0 must be 0 or 1, found 0.5");
    refused(hamming_loss(&ones, &half), "hamming_loss: a predicted label of example 0 must be 0 or 1, found 0.5");
    refused(label_accuracy(&ones, &zeros.clone().resize(3, 3, 0.0)), {
        "rows beside the true labels (labels): expected 2, found 3"
    });
    refused(subset_accuracy(&DMatrix::<f64>::zeros(2, 0), &DMatrix::zeros(2, 0)), "the matrix of labels is empty");
}

#[test]
fn tables_of_counts_are_printed_with_names() -> Result<()> {
    let matrix = confusion_matrix(&[0, 1, 2, 2], &[0, 2, 2, 2], 3)?.with_names(&["elm", "oak", "wych\nelm"])?;
    let table = "\
truth \\ predicted  elm  oak  wych elm
              elm    1    0         0
              oak    0    0         1
         wych elm    0    0         2";
    assert_eq!(matrix.to_string(), table);
    refused(matrix.with_names(&["elm", "oak"]), "names of classes: expected 3, found 2");
    let (truth, predicted) = (dmatrix![1.0, 0.0; 1.0, 1.0], dmatrix![1.0, 1.0; 0.0, 1.0]);
    let labels = multi_label_confusion(&truth, &predicted)?;
    let table = "\
label  true negatives  false positives  false negatives  true positives
    0               0                1                0               1
    1               0                0                1               1";
    assert_eq!(labels.to_string(), table);
    assert!(
        labels
            .clone()
            .with_names(&["a", "b"])?
            .to_string()
            .ends_with("    b               0                0                1               1")
    );
    refused(labels.with_names(&["a"]), "names of labels: expected 2, found 1");
    Ok(())
}

/// Outputs W·x, W given column after column.
fn linear(weights: &[f64], inputs: usize, loss: impl Loss<f64> + 'static) -> Result<Net> {
    let outputs = weights.len() / inputs;
    let mut net = Net::builder(inputs).dense(outputs, Activation::Identity).output_loss(loss).threads(1).build()?;
    net.set_params(0, &[weights, &vec![0.0; outputs]].concat())?;
    Ok(net)
}

#[test]
fn a_logit_of_zero_is_class_0_and_the_threshold_is_that_of_the_probability() -> Result<()> {
    let mut net = linear(&[1.0], 1, BinaryCrossEntropy)?;
    let inputs = dmatrix![0.0, 1e-9, -1e-9, 9f64.ln(), -(9f64.ln())];
    assert_eq!(net.predict_class(&inputs)?, [0, 1, 0, 1, 0]);
    let chance = net.predict_proba(&inputs)?;
    assert!(chance[0] == 0.5 && (chance[3] - 0.9).abs() < 1e-15 && (chance[4] - 0.1).abs() < 1e-15);
    net.set_threshold(0.89)?;
    assert_eq!(net.predict_class(&inputs)?, [0, 0, 0, 1, 0]);
    net.set_threshold(0.91)?;
    assert_eq!(net.predict_class(&inputs)?, [0; 5]);
    net.set_threshold(0.09)?;
    assert_eq!(net.predict_class(&inputs)?, [1; 5]);
    for threshold in [-0.1, 1.5, f64::NAN] {
        let message = format!("threshold must be in [0, 1], found {threshold}");
        refused(net.set_threshold(threshold), &message);
        refused(logistic().threshold(threshold).build(), &message);
    }
    assert_eq!((net.threshold(), logistic().threshold(0.3).build()?.threshold()), (0.09, 0.3));
    // Where the largest output decides, a threshold would change nothing.
    let classes = || Net::builder(2).dense(2, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
    for outcome in [classes().build()?.set_threshold(0.9), classes().threshold(0.9).build().map(drop)] {
        assert!(matches!(&outcome, Err(Error::Unsupported { what: "threshold", .. })), "{outcome:?}");
    }
    assert_eq!(net.clone().threshold(), 0.09);
    Ok(())
}

/// The squared error of 0 and 1, as of a sigmoid output: the number itself is compared with the threshold.
#[test]
fn numbers_that_stand_for_classes_are_compared_as_they_are() -> Result<()> {
    let net = linear(&[1.0], 1, SquaredError)?;
    let inputs = Examples::from_rows(&[[0.2], [0.5], [0.6], [1.4]])?;
    assert_eq!(net.predict_class(&inputs)?, [0, 0, 1, 1]);
    assert_eq!(net.predict_labels(&inputs)?, dmatrix![0.0, 0.0, 1.0, 1.0]);
    assert_eq!(net.score(&Dataset::classification(inputs.clone(), &[0, 1, 1, 1], 1)?)?, 0.75);
    let bits = Examples::from_rows(&[[1.0], [0.0], [1.0], [1.0]])?;
    assert_eq!(net.score(&Dataset::multi_label(inputs.clone(), bits.clone())?)?, 0.75);
    // Of the same numbers as real ones the score is R²: errors −0.8, 0.5, −0.4, 0.4 against a spread of 3·(1/4)² + (3/4)².
    let real = net.score(&Dataset::regression(inputs.clone(), bits)?)?;
    assert!((real - (1.0 - 1.21 / 0.75)).abs() < 1e-12, "{real}");
    let why = "the output loss does not turn outputs into probabilities: take SoftmaxCrossEntropy for classes, \
               BinaryCrossEntropy for labels, or predict";
    refused(net.predict_proba(&inputs), &format!("predict_proba: {why}"));
    Ok(())
}

#[test]
fn a_number_that_means_nothing_is_refused_and_the_remedy_named() -> Result<()> {
    let inputs = Examples::from_rows(&[[1.0], [-1.0]])?;
    let real = Dataset::regression(inputs.clone(), Examples::from_rows(&[[1.0], [0.0]])?)?;
    let one = linear(&[1.0], 1, BinaryCrossEntropy)?;
    let message = "score of real-valued targets: the outputs are logits of classes or labels: give the labels to \
                   Dataset::classification (with 1 output for one logit) or Dataset::multi_label, or take evaluate, which \
                   has the loss";
    refused(one.score(&real), message);
    // The loss has a meaning; log(1 + 1/e) for both.
    let scores = one.evaluate(&real)?;
    assert!(scores.score.is_none() && (scores.loss - (-1f64).exp().ln_1p()).abs() < 1e-15);

    let two = linear(&[1.0, -1.0], 1, SoftmaxCrossEntropy::new())?;
    let shares = Dataset::regression(inputs.clone(), Examples::from_rows(&[[0.5, 0.5], [0.1, 0.9]])?)?;
    refused(two.score(&shares), message);
    let exclusive = Dataset::multi_label(inputs.clone(), Examples::from_rows(&[[0.0, 1.0], [1.0, 0.0]])?)?;
    let message = "score of multi-label data: the output loss gives every example one class: take BinaryCrossEntropy";
    refused(two.score(&exclusive), message);
    assert_eq!(two.evaluate(&exclusive)?.score, None);
    let message = "predict_labels: the output loss gives every example one class: take predict_class, or BinaryCrossEntropy \
                   for independent labels";
    refused(two.predict_labels(&inputs), message);

    let labels = linear(&[1.0, -1.0], 1, BinaryCrossEntropy)?;
    let message = "predict_class: the outputs are independent labels, of which an example may have several: take \
                   predict_labels, or SoftmaxCrossEntropy for one class of several";
    refused(labels.predict_class(&inputs), message);
    assert_eq!(labels.predict_labels(&inputs)?, dmatrix![1.0, 0.0; 0.0, 1.0]);

    let hot = Dataset::classification(inputs.clone(), &[0, 1], 2)?;
    let rows = "rows of the targets (outputs; Dataset::with_one_output makes one of two classes): expected 1, found 2";
    refused(one.score(&hot), rows);
    refused(one.clone().fit(&hot, &FitConfig::new()), rows);
    assert_eq!(one.score(&hot.with_one_output()?)?, 0.0);
    let rows = "rows of the targets (outputs; Dataset::classification with 2 outputs makes two): expected 2, found 1";
    refused(two.score(&hot.with_one_output()?), rows);

    let single = Net::builder(1).dense(1, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).build();
    let message = "an output loss of classes, as SoftmaxCrossEntropy, with one output: its probability would be 1 whatever it \
                   is; use BinaryCrossEntropy, or an output for each class";
    refused(single, message);
    Ok(())
}

/// Nothing has been trained where a share of right answers would mean nothing.
#[test]
fn accuracies_of_targets_that_name_no_class_are_refused_and_a_metric_that_fits_is_named() -> Result<()> {
    let inputs = || Examples::from_rows(&[[1.0], [-1.0], [0.5]]);
    let set = |rows: &[&[f64]]| Dataset::regression(inputs()?, Examples::from_rows(rows)?);
    for (metric, rows, remedy) in [
        (Metric::accuracy(), [&[0.3][..], &[1.0], &[0.0]], "metrics::mse and mae"),
        (Metric::accuracy(), [&[0.0, 1.0], &[2.0, 1.0], &[1.0, 0.0]], "DecoupledNetwork::score, which is R²"),
        (Metric::accuracy(), [&[0.0, 1.0], &[0.5, 0.5], &[1.0, 0.0]], "Dataset::classification"),
        (Metric::accuracy(), [&[0.0, 1.0], &[1.0, 1.0], &[1.0, 0.0]], "Metric::subset_accuracy"),
        (Metric::subset_accuracy(), [&[0.0, 1.0], &[0.2, 0.8], &[1.0, 0.0]], "metrics::mse and mae"),
    ] {
        let data = set(&rows)?;
        let mut net = linear(&vec![1.0; rows[0].len()], 1, SquaredError)?;
        let config = FitConfig::new().epochs(1).metric(metric.clone());
        let outcomes = [
            net.fit(&data, &config).map(drop),
            net.fit_backprop(&data, &config).map(drop),
            net.evaluate_with(&data, Some(&metric)).map(drop),
        ];
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            let told = matches!(error, Error::Unsupported { .. }) && error.to_string().contains(remedy);
            assert!(told, "{error}");
        }
        assert_eq!(net.epochs(), 0);
    }

    // Others name one: 0 and 1, and shares of which one is the largest. Logits 1, −1 and ½ against those of the second class.
    let net = linear(&[1.0, -1.0], 1, SoftmaxCrossEntropy::new())?;
    let shares = set(&[&[0.6, 0.4], &[0.0, 1.0], &[0.1, 0.9]])?;
    assert_eq!(net.evaluate_with(&shares, Some(&Metric::accuracy()))?.score, Some(2.0 / 3.0));
    let bits = set(&[&[1.0], &[1.0], &[0.0]])?;
    assert_eq!(
        linear(&[1.0], 1, SquaredError)?.evaluate_with(&bits, Some(&Metric::accuracy()))?.score,
        Some(2.0 / 3.0)
    );
    // Of logits of one class of several no label has a threshold.
    let error = net.evaluate_with(&shares, Some(&Metric::subset_accuracy())).unwrap_err();
    assert!(error.to_string().contains("take Metric::accuracy"), "{error}");
    Ok(())
}

/// As scikit-learn's `OneVsRestClassifier`: the class of the largest of the independent probabilities.
#[test]
fn classes_under_independent_labels_are_one_against_the_rest() -> Result<()> {
    // Logits (x, −x, 0.3·x): the largest is the first above zero, the second below.
    let net = linear(&[1.0, -1.0, 0.3], 1, BinaryCrossEntropy)?;
    let inputs = Examples::from_rows(&[[2.0], [-1.0], [0.7], [-3.0]])?;
    let data = Dataset::classification(inputs, &[0, 1, 2, 1], 3)?;
    assert_eq!((net.score(&data)?, net.evaluate(&data)?.score), (0.75, Some(0.75)));
    Ok(())
}

#[test]
fn a_fit_reports_accuracy_of_one_logit_and_subset_accuracy_of_labels() -> Result<()> {
    let data = blobs(40);
    let config = FitConfig::new().epochs(60).batch_size(10).validation(&data);
    for backprop in [false, true] {
        let mut net = logistic().optimizer(Adam::new(0.05)).build()?;
        let report = if backprop { net.fit_backprop(&data, &config)? } else { net.fit(&data, &config)? };
        let last = report.last().unwrap();
        let predicted = net.predict_class(data.inputs())?;
        assert_eq!(last.validation.unwrap().score, Some(accuracy(data.labels().unwrap(), &predicted)?));
        // Both are separable.
        assert_eq!((last.train_score, net.score(&data)?), (Some(1.0), 1.0));
    }

    // Three labels: the signs of both inputs, and whether they are the same, which no line tells.
    let bits: Vec<[f64; 3]> = data
        .inputs()
        .columns()
        .map(|x| [x[0] > 0.0, x[1] > 0.0, x[0] * x[1] > 0.0])
        .map(|bits| bits.map(|bit| f64::from(u8::from(bit))))
        .collect();
    let inputs = Examples::from_column_matrix(data.inputs().view().into_owned())?;
    let several = Dataset::multi_label(inputs, Examples::from_rows(&bits)?)?;
    let builder = Net::builder(2).dense(12, Activation::Tanh).dense(3, Activation::Identity);
    let mut net = builder.output_loss(BinaryCrossEntropy).optimizer(Adam::new(0.02)).threads(1).build()?;
    let report = net.fit(&several, &FitConfig::new().epochs(150).batch_size(10).validation(&several))?;
    let expected = subset_accuracy(several.targets(), &net.predict_labels(several.inputs())?)?;
    assert_eq!(report.last().unwrap().validation.unwrap().score, Some(expected));
    assert_eq!(net.score(&several)?, expected);
    assert!(expected > 0.9, "{expected}");
    let largest = net.evaluate_with(&several, Some(&Metric::subset_accuracy()))?.score;
    assert_eq!((largest, Metric::<f64>::subset_accuracy().name()), (Some(expected), "subset accuracy"));
    Ok(())
}

#[test]
fn data_keep_their_kind_however_they_are_divided() -> Result<()> {
    let data = blobs(40);
    assert_eq!((data.target_dim(), data.classes(), data.is_multi_label()), (1, Some(2), false));
    assert!(data.targets().as_slice().iter().zip(data.labels().unwrap()).all(|(&y, &label)| y == label as f64));
    let (train, test) = data.stratified_split(0.75, 3)?;
    let ones = |data: &Dataset<f64>| data.labels().unwrap().iter().sum::<usize>();
    assert_eq!((train.len(), ones(&train), test.len(), ones(&test)), (30, 15, 10, 5));
    for (train, held_out) in data.k_folds(4, 0)? {
        assert_eq!((ones(&train), ones(&held_out), held_out.classes()), (15, 5, Some(2)));
    }
    assert_eq!(data.with_one_output()?, data);

    let inputs = || Examples::from_rows(&[[0.0], [1.0], [2.0], [3.0]]);
    let bits = Examples::from_rows(&[[1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])?;
    let several = Dataset::multi_label(inputs()?, bits)?;
    assert!(several.is_multi_label() && several.labels().is_none() && several.classes().is_none());
    let parts = several.split(0.5, 0)?;
    let folds = several.k_folds(2, 0)?;
    let scaler = decoupled::data::Scaler::standard(several.inputs())?;
    let scaled = scaler.scale_inputs(&several)?;
    for part in [&parts.0, &parts.1, &folds[0].0, &several.select(&[2])?, &several.shuffled(0)?, &scaled] {
        assert!(part.is_multi_label(), "{part:?}");
    }
    let says = "scale_targets: the targets are classes or labels, not numbers";
    for data in [&several, &data] {
        refused(decoupled::data::Scaler::standard(data.targets())?.scale_targets(data), says);
    }
    refused(several.stratified_split(0.5, 0), "stratified_split: the targets are not classes: use split");
    refused(several.with_one_output(), "with_one_output: the targets are not two classes");
    let three = Dataset::classification(inputs()?, &[0, 1, 2, 0], 3)?;
    refused(three.with_one_output(), "with_one_output: the targets are not two classes");

    refused(
        Dataset::classification(inputs()?, &[0, 1, 2, 0], 1),
        "label 2 of example 2 is out of range, expected 0..2",
    );
    for (bad, says) in [(0.5, "0.5"), (2.0, "2"), (-1.0, "-1")] {
        let bits = Examples::from_rows(&[[1.0], [0.0], [bad], [0.0]])?;
        let message = format!("Dataset::multi_label: target of example 2 must be 0 or 1, found {says}");
        refused(Dataset::multi_label(inputs()?, bits), &message);
    }
    let nan = Dataset::multi_label(inputs()?, Examples::from_rows(&[[1.0], [0.0], [f64::NAN], [0.0]])?);
    assert!(matches!(nan, Err(Error::NotFinite { what: "targets", example: 2, .. })));
    Ok(())
}

#[cfg(feature = "save")]
#[test]
fn a_model_of_one_logit_has_the_names_of_two_classes_and_keeps_its_threshold() -> Result<()> {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-logit.safetensors");
    let net = logistic().threshold(0.2).build()?;
    let model = decoupled::Model::new(net.clone()).class_names(["elm", "oak"]);
    model.save(&path)?;
    let loaded = decoupled::Model::<f64>::load(&path)?;
    assert_eq!((loaded.class_names, loaded.network.threshold()), (model.class_names, 0.2));
    let into = decoupled::Model::load_into(logistic().build()?, &path)?;
    assert_eq!((into.class_names.len(), into.network.threshold()), (2, 0.2));
    assert_eq!(Net::load(&path)?.threshold(), 0.2);
    let three = decoupled::Model::new(net.clone()).class_names(["elm", "oak", "ash"]);
    refused(three.save(&path), "class names: expected 2, found 3");
    let two = Net::builder(2).dense(2, Activation::Identity).build()?;
    refused(decoupled::Model::new(two).class_names(["elm"]).save(&path), "class names: expected 2, found 1");

    // The default leaves no word in the file.
    logistic().build()?.save(&path)?;
    assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("threshold"));
    assert_eq!(Net::load(&path)?.threshold(), 0.5);
    Ok(())
}

#[cfg(feature = "serde")]
#[test]
fn a_builder_in_json_has_its_threshold_or_the_default() -> Result<()> {
    let json = serde_json::to_value(logistic().threshold(0.25)).unwrap();
    let read: NetworkBuilder<f64> = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(read.build()?.threshold(), 0.25);
    let mut older = json;
    older.as_object_mut().unwrap().remove("threshold").unwrap();
    let read: NetworkBuilder<f64> = serde_json::from_value(older).unwrap();
    assert_eq!(read.build()?.threshold(), 0.5);
    Ok(())
}

#[cfg(feature = "plot")]
#[test]
fn the_boundary_of_one_logit_is_that_of_two_whose_difference_it_is() -> Result<()> {
    let data = blobs(20);
    let hot = Dataset::classification(
        Examples::from_column_matrix(data.inputs().view().into_owned())?,
        data.labels().unwrap(),
        2,
    )?;
    let one = linear(&[0.7, 1.3], 2, BinaryCrossEntropy)?;
    let two = linear(&[0.0, 0.7, 0.0, 1.3], 2, SoftmaxCrossEntropy::new())?;
    let picture = decoupled::plot::decision_boundary(&one, &data)?;
    assert_eq!(picture.svg(), decoupled::plot::decision_boundary(&two, &hot)?.svg());
    assert!(picture.svg().contains("class 1"));
    Ok(())
}
