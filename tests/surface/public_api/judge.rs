//! A network is judged: predictions, metrics, diagnostics, a search, and pictures of them.

use decoupled::data::Examples;
use decoupled::diagnostics::{
    self, Cost, Decoupling, FunctionSimilarity, Matching, ParameterSimilarity, Path, Products,
};
use decoupled::diagnostics::{Similarity, StepAdvice};
use decoupled::layer::Activation;
use decoupled::loss::{BinaryCrossEntropy, Outputs};
use decoupled::method::Order;
use decoupled::metrics::{
    self, Average, ClassScores, ConfusionMatrix, LabelCounts, MultiLabelConfusion, PrecisionRecallCurve, RocCurve,
    SampleWeight,
};
use decoupled::observer::Mode;
use decoupled::optimizer::Adam;
use decoupled::plot::{self, Picture};
use decoupled::search::{Candidate, Scoring, Search, SearchReport, Space, Trial};
use decoupled::{Dataset, FitConfig, MatRef, Method, Metric, Model, Result, Scores};

use super::{Net, moons, net, one, path, trained};

#[test]
fn predictions_are_outputs_probabilities_or_classes() -> Result<()> {
    let (net, data) = (trained(), moons());
    let (outputs, shares) = (net.predict(data.inputs())?, net.predict_proba(data.inputs())?);
    let classes = net.predict_class(data.inputs())?;
    assert_eq!((outputs.shape(), shares.shape(), classes.len()), ((2, 30), (2, 30), 30));
    assert!(shares.column_iter().all(|column| (column.sum() - 1.0).abs() < 1e-12));
    assert_eq!(net.activations(data.inputs())?.len(), 3);
    let Scores { loss, score } = net.evaluate(&data)?;
    let of_classes = metrics::accuracy(data.labels().unwrap(), &classes)?;
    assert_eq!((score, net.score(&data)?), (Some(of_classes), of_classes));
    assert!((metrics::log_loss(data.labels().unwrap(), &shares)? - loss).abs() < 1e-12);
    // A metric of one's own: the largest output, meaned over the examples.
    let largest = Metric::new("largest", |_: &[f64], outputs: &[f64]| outputs.iter().copied().fold(f64::MIN, f64::max));
    let expected = outputs.column_iter().map(|column| column.max()).sum::<f64>() / 30.0;
    let found = net.evaluate_with(&data, Some(&largest))?.score.unwrap();
    assert!(largest.name() == "largest" && (found - expected).abs() < 1e-12);
    assert_eq!(Metric::<f64>::accuracy().name(), "accuracy");
    Ok(())
}

/// Two examples of two classes, about which nothing is known.
fn halves() -> MatRef<'static, f64> {
    MatRef::new(&[0.5; 4], 2, 2)
}

#[test]
fn metrics_judge_labels_scores_and_numbers() -> Result<()> {
    let confusion: ConfusionMatrix = metrics::confusion_matrix(&[0, 0, 1, 1], &[0, 1, 1, 1], 2)?;
    assert_eq!(confusion.counts().as_slice(), [1, 0, 1, 2]);
    let ClassScores { precision, recall, f1, support } = confusion.per_class()[1];
    assert!((precision - 2.0 / 3.0).abs() < 1e-12 && recall == 1.0 && (f1 - 0.8).abs() < 1e-12 && support == 2);
    assert_eq!(confusion.average(Average::Micro).recall, 0.75);
    assert_eq!(confusion.average(Average::Macro).recall, 0.75);
    assert_eq!(confusion.average(Average::Weighted).support, 4);
    assert!(confusion.with_names(&["no", "yes"])?.to_string().contains("yes"));
    let scores = [0.9, 0.1, 0.6, 0.4, 0.2, 0.8];
    let scores = MatRef::new(&scores, 2, 3);
    assert_eq!(metrics::top_k_accuracy(&[0, 1, 1], scores, 1)?, 2.0 / 3.0);
    assert_eq!(metrics::roc_auc(&[0, 1, 1], scores)?, 1.0);
    let (truth, found) = ([1.0, 2.0, 3.0], [1.0, 2.0, 5.0]);
    let (truth, found) = (one(&truth), one(&found));
    assert_eq!((metrics::mse(truth, found)?, metrics::mae(truth, found)?), (4.0 / 3.0, 2.0 / 3.0));
    let (truth, found) = (MatRef::new(truth.as_slice(), 1, 3), MatRef::new(found.as_slice(), 1, 3));
    let twice = SampleWeight::new(&[1.0, 1.0, 2.0])?;
    assert_eq!((twice.mse(truth, found)?, twice.mae(truth, found)?), (2.0, 1.0));
    assert_eq!((twice.r2(truth, found)?, twice.accuracy(&[0, 1, 1], &[0, 0, 1])?), (1.0 - 8.0 / 2.75, 0.75));
    assert_eq!(twice.confusion_matrix(&[0, 1, 1], &[0, 0, 1], 2)?.as_slice(), [1.0, 1.0, 0.0, 2.0]);
    let (plain, weighted) = (metrics::log_loss(&[0, 1], halves())?, SampleWeight::new(&[1.0, 3.0])?);
    assert_eq!(weighted.log_loss(&[0, 1], halves())?, plain);
    let (truth, found) = ([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]);
    assert_eq!(metrics::r2(MatRef::new(&truth, 1, 3), MatRef::new(&found, 1, 3))?, 0.5);
    Ok(())
}

#[test]
fn one_logit_and_labels_are_judged() -> Result<()> {
    let data = moons().with_one_output()?;
    let builder = Net::builder(2).dense(1, Activation::Identity).output_loss(BinaryCrossEntropy).threads(1);
    let mut net = builder.threshold(0.4).build()?;
    let classes = net.predict_class(data.inputs())?;
    assert_eq!((net.predict_proba(data.inputs())?.shape(), net.threshold()), ((1, 30), 0.4));
    net.set_threshold(0.5)?;
    assert_eq!(classes.len(), 30);
    let logits = net.predict(data.inputs())?;
    let labels = data.labels().unwrap();
    let RocCurve { false_positive_rates, true_positive_rates, thresholds } = metrics::roc_curve(labels, &logits)?;
    assert_eq!((false_positive_rates.len(), true_positive_rates.len()), (thresholds.len(), thresholds.len()));
    let PrecisionRecallCurve { precisions, recalls, thresholds } = metrics::precision_recall_curve(labels, &logits)?;
    assert_eq!((precisions.len(), recalls.len()), (thresholds.len() + 1, thresholds.len() + 1));
    assert!((0.0..=1.0).contains(&metrics::average_precision(labels, &logits)?));
    assert_ne!(Outputs::Labels, Outputs::Numbers);

    let inputs = Examples::from_column_matrix(data.inputs().view().into_owned())?;
    let bits = Examples::from_column_matrix(data.targets().view().into_owned())?;
    let several = Dataset::multi_label(inputs, bits)?;
    assert!(several.is_multi_label());
    let (truth, predicted) = (several.targets(), net.predict_labels(several.inputs())?);
    assert_eq!(Model::new(net.clone()).predict_labels(several.inputs())?, predicted);
    let share = metrics::subset_accuracy(truth, &predicted)?;
    assert_eq!((net.score(&several)?, metrics::label_accuracy(truth, &predicted)?), (share, vec![share]));
    assert!((metrics::hamming_loss(truth, &predicted)? - (1.0 - share)).abs() < 1e-12);
    let confusion: MultiLabelConfusion = metrics::multi_label_confusion(truth, &predicted)?.with_names(&["moon"])?;
    let LabelCounts { true_negatives, false_positives, false_negatives, true_positives } = confusion.counts()[0];
    assert_eq!(true_negatives + false_positives + false_negatives + true_positives, 30);
    assert_eq!(confusion.per_label()[0].f1, confusion.average(Average::Macro).f1);
    assert!(confusion.average(Average::Samples).recall <= 1.0);
    for average in [Average::Macro, Average::Micro] {
        assert!(metrics::multi_label_roc_auc(truth, &logits, average)? <= 1.0);
        assert!(metrics::multi_label_average_precision(truth, &logits, average)? <= 1.0);
    }
    assert_eq!(net.evaluate_with(&several, Some(&Metric::subset_accuracy()))?.score, Some(share));
    Ok(())
}

#[test]
fn diagnostics_say_how_it_trains() -> Result<()> {
    let (net, data) = (trained(), moons());
    let few = data.take(4)?;
    let Decoupling { cosine, backprop_sequential_products, .. } =
        diagnostics::decoupling(&net, &few, &Method::backprop_by_sweep())?;
    assert!(cosine.iter().all(|cosine| (cosine - 1.0).abs() < 1e-6) && backprop_sequential_products == 6);
    let Cost { products, sequential_products, .. } = diagnostics::cost(&net, None, 100);
    let products: Vec<Products> = products.unwrap();
    // The lowest layer hands nothing down.
    assert_eq!((sequential_products, products.iter().map(|layer| layer.total()).collect()), (6, vec![2, 3, 3]));
    let advice: StepAdvice = diagnostics::find_step(&net, &data)?;
    assert!((advice.largest_stable(Order::Jacobi) - 2.0 / advice.curvature).abs() < 1e-12);
    assert!(advice.proposed(Order::RedBlack) < advice.largest_stable(Order::RedBlack));
    const { assert!(diagnostics::DESCENT > 100) };
    Ok(())
}

#[test]
fn two_networks_are_compared_and_drawn() -> Result<()> {
    let (start, own, data) = (net(), trained(), moons());
    let mut twin = net();
    twin.fit_backprop(&data, &FitConfig::new().epochs(3).batch_size(10))?;
    let matching: Matching = diagnostics::matching(&own, &twin)?;
    let renumbered = matching.renumber(&twin)?;
    let same = |a: &Net, b: &Net| (a.predict(data.inputs()).unwrap() - b.predict(data.inputs()).unwrap()).amax();
    assert!(same(&renumbered, &twin) < 1e-12 && same(&diagnostics::normalised(&twin)?, &twin) < 1e-12);
    let path_between: Path = diagnostics::path(&own, &twin, &data, 3)?;
    assert!(path_between.losses.len() == 3 && path_between.barrier().is_finite());
    let Similarity { raw, cka, function, .. } = diagnostics::similarity(&own, &own, &data)?;
    let ParameterSimilarity { distance, .. } = raw;
    let FunctionSimilarity { agreement, loss_gap, .. } = function;
    assert_eq!((distance, agreement, loss_gap), (0.0, Some(1.0), 0.0));
    assert!(diagnostics::similarity_from(&start, &own, &twin, &data)?.raw.cosine.is_some());
    let inputs = data.inputs();
    assert!((diagnostics::cka(inputs, inputs)? - 1.0).abs() < 1e-9);
    assert!(diagnostics::procrustes(inputs, inputs)?.abs() < 1e-6);

    let report = net().fit(&data, &FitConfig::new().epochs(3).method(Method::red_black()))?;
    let picture: Picture = plot::training_curves(&[("decoupled", &report)])?;
    let titled = picture.titled("Training")?;
    assert!(titled.svg().contains("Training") && titled.width() > 0 && titled.height() > 0);
    let file = path("picture.svg");
    titled.save(&file)?;
    assert!(file.exists());
    plot::residuals(&report)?;
    plot::cka("decoupled", "backpropagation", &cka)?;
    plot::depth_profile("residual", &[("decoupled", &report.epochs[0].residuals)])?;
    plot::barrier(&[("raw", &path_between.losses)])?;
    plot::decision_boundary(&own, &data)?;
    plot::pictures(&[("moons", inputs)], [1, 1, 2])?;
    let convolutional = Net::builder([1, 1, 2]).conv2d(2, [1, 1], Activation::Tanh).dense(2, Activation::Identity);
    let convolutional = convolutional.threads(1).build()?;
    plot::filters(&convolutional, 0)?;
    plot::feature_maps(&convolutional, 0, inputs).map(drop)
}

#[test]
fn settings_are_searched_for() -> Result<()> {
    let data = moons();
    let build = |candidate: &Candidate| {
        let rate = candidate.get("rate")?;
        let net = Net::builder(2).dense(candidate.get("units")? as usize, Activation::Tanh);
        let net = net.dense(2, Activation::Identity).optimizer(Adam::new(rate)).build()?;
        Ok((net, FitConfig::new().epochs(2)))
    };
    let space = Space::new().log_uniform("rate", 1e-3, 1e-1).choices("units", &[2.0, 4.0]).uniform("unused", 0.0, 1.0);
    let search = Search::randomized(space, 3).cv(2).scoring(Scoring::Loss).seed(1).threads(1);
    let report: SearchReport = search.fit(&data, build)?;
    let best: &Trial = report.best().unwrap();
    assert!(report.trials.iter().all(|trial| trial.mean_test_score() >= best.mean_test_score()));
    assert!(best.std_test_score().is_some() && best.candidate.iter().count() == 3);
    assert!(report.best_index().is_some_and(|i| report.trials[i].candidate == best.candidate));
    let (model, _) = report.refit(&data, build)?;
    assert_eq!(model.predict(data.inputs())?, model.network.predict(data.inputs())?);
    let grid =
        Search::grid(Space::new().choices("rate", &[0.01, 0.1]).choices("units", &[3.0])).scoring(Scoring::Score);
    assert_eq!(grid.fit(&data, build)?.trials.len(), 2);
    let more = [Scoring::RocAuc, Scoring::AveragePrecision, Scoring::F1, Scoring::Precision, Scoring::Recall];
    assert!([&more[..], &[Scoring::TopKAccuracy(1)]].concat().iter().all(|scoring| scoring.mode() == Mode::Max));
    let less = [Scoring::LogLoss, Scoring::HammingLoss, Scoring::Mse, Scoring::Mae];
    assert!(less.iter().all(|scoring| scoring.mode() == Mode::Min));
    Ok(())
}
