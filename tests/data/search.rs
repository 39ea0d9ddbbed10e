//! Folds, and the search for hyper-parameters that is judged on them.

use std::collections::HashSet;
use std::f64::consts::PI;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use decoupled::data::{self, Examples, Scaling};
use decoupled::layer::{Activation, Dense};
use decoupled::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError};
use decoupled::metrics::{self, Average};
use decoupled::observer::Mode;
use decoupled::optimizer::{Adam, Sgd};
use decoupled::search::{Candidate, Scoring, Search, SearchReport, Space, Trial};
use decoupled::{
    Dataset, DecoupledNetwork, Error, FitConfig, Loss, MatMut, MatRef, Method, Model, NetworkBuilder, Pipeline, Result,
};

/// Example i has input i, and the class that its place in the list says.
fn numbered(labels: &[usize], classes: usize) -> Dataset<f64> {
    let inputs: Vec<f64> = (0..labels.len()).map(|i| i as f64).collect();
    let inputs = Examples::from_row_slice(&inputs, labels.len(), 1).unwrap();
    Dataset::classification(inputs, labels, classes).unwrap()
}

fn numbers(data: &Dataset<f64>) -> Vec<usize> {
    data.inputs().as_slice().iter().map(|&x| x as usize).collect()
}

/// y = 3x over eleven points, which no fold sees alike.
fn line() -> Dataset<f64> {
    let points: Vec<f64> = (0..11).map(|i| 0.1 * f64::from(i * i)).collect();
    let of = |slope: f64| {
        let values: Vec<f64> = points.iter().map(|x| slope * x).collect();
        Examples::from_row_slice(&values, points.len(), 1).unwrap()
    };
    Dataset::regression(of(1.0), of(3.0)).unwrap()
}

/// ŷ = slope · x, and training that does not move it.
fn sloped(slope: f64) -> Result<(DecoupledNetwork<f64>, FitConfig<'static, f64>)> {
    let layer = Dense::new(1, 1).without_bias();
    let mut network = DecoupledNetwork::builder(1).layer(layer).optimizer(Sgd::new(1e-300)).build()?;
    network.set_params(0, &[slope])?;
    Ok((network, FitConfig::new().epochs(1).full_batch()))
}

fn by_slope(candidate: &Candidate) -> Result<(DecoupledNetwork<f64>, FitConfig<'static, f64>)> {
    sloped(candidate.get("slope")?)
}

fn moons_net(learning_rate: f64) -> Result<(DecoupledNetwork<f32>, FitConfig<'static, f32>)> {
    let network = DecoupledNetwork::builder(2)
        .dense(8, Activation::Tanh)
        .dense(2, Activation::Identity)
        .optimizer(Adam::new(learning_rate))
        .seed(2)
        .build()?;
    Ok((network, FitConfig::new().epochs(20).batch_size(10)))
}

/// The candidates that a search tries, each of which fails at once.
fn candidates(search: &Search) -> Vec<Candidate> {
    let refuse = |_: &Candidate| -> Result<Pipeline<'_, f64>> { Err(Error::Empty { what: "nothing to train" }) };
    let report = search.fit(&line(), refuse).unwrap();
    report.trials.into_iter().map(|trial| trial.candidate).collect()
}

fn values(search: &Search, name: &'static str) -> Vec<f64> {
    candidates(search).iter().map(|candidate| candidate.get(name).unwrap()).collect()
}

#[test]
fn folds_hold_out_every_example_once_and_train_on_all_others() -> Result<()> {
    let labels: Vec<usize> = (0..23).map(|i| [0, 0, 1, 0, 2, 1, 0][i % 7]).collect();
    let classes = numbered(&labels, 4);
    let inputs = Examples::from_row_slice(classes.inputs().as_slice(), 23, 1)?;
    let real = Dataset::regression(inputs, Examples::from_rows(&[[0.5]; 23])?)?;
    for data in [classes, real] {
        for k in [2, 3, 5, 23] {
            let folds = data.k_folds(k, 7)?;
            assert_eq!(folds.len(), k);
            let mut seen = Vec::new();
            for (train, held_out) in &folds {
                let (train, held_out) = (numbers(train), numbers(held_out));
                assert!([&train, &held_out].iter().all(|part| part.is_sorted()), "the order of the examples is kept");
                let mut all = [&train[..], &held_out[..]].concat();
                all.sort_unstable();
                assert_eq!(all, (0..23).collect::<Vec<_>>(), "{k} folds");
                seen.extend(held_out);
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..23).collect::<Vec<_>>(), "{k} folds");
        }
    }
    Ok(())
}

#[test]
fn folds_differ_by_at_most_one_example_in_size_and_in_every_class() -> Result<()> {
    let labels = [[0; 13].as_slice(), &[1; 6], &[2; 3], &[4; 1]].concat();
    let data = numbered(&labels, 5);
    for k in [2, 3, 4, 7] {
        for seed in 0..5 {
            let folds = data.k_folds(k, seed)?;
            let spread = |count: &dyn Fn(&Dataset<f64>) -> usize| {
                let counts: Vec<usize> = folds.iter().map(|(_, held_out)| count(held_out)).collect();
                counts.iter().max().unwrap() - counts.iter().min().unwrap()
            };
            assert!(spread(&|part| part.len()) <= 1, "{k} folds, seed {seed}");
            for class in 0..5 {
                let count = |part: &Dataset<f64>| part.labels().unwrap().iter().filter(|&&own| own == class).count();
                assert!(spread(&count) <= 1, "class {class}, {k} folds, seed {seed}");
            }
        }
    }
    Ok(())
}

#[test]
fn seeds_decide_the_folds() -> Result<()> {
    let data = numbered(&[0; 40], 1);
    let first = |seed| Ok::<_, Error>(numbers(&data.k_folds(4, seed)?[0].1));
    assert_eq!(first(1)?, first(1)?);
    assert_ne!(first(1)?, first(2)?);
    assert_ne!(first(1)?, (0..40).step_by(4).collect::<Vec<_>>(), "drawn, not counted off");
    Ok(())
}

/// The mean of ½(slope − 3)²x² over what is held out, and its spread over the folds.
#[test]
fn losses_are_those_of_the_held_out_examples_and_the_least_is_best() -> Result<()> {
    let (data, slopes) = (line(), [1.0, 3.5, 2.0, 7.0]);
    let search = Search::grid(Space::new().choices("slope", &slopes)).cv(3).seed(5).scoring(Scoring::Loss);
    let report = search.fit(&data, by_slope)?;
    let squares = |(_, held_out): &(_, Dataset<f64>)| {
        held_out.inputs().as_slice().iter().map(|x| x * x).sum::<f64>() / held_out.len() as f64
    };
    let squares: Vec<f64> = data.k_folds(3, 5)?.iter().map(squares).collect();
    assert_eq!(report.trials.len(), slopes.len());
    for (trial, slope) in report.trials.iter().zip(slopes) {
        let expected: Vec<f64> = squares.iter().map(|square| 0.5 * (slope - 3.0) * (slope - 3.0) * square).collect();
        let mean = expected.iter().sum::<f64>() / 3.0;
        let variance = expected.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / 3.0;
        let scores = trial.scores.as_ref().unwrap();
        assert!(scores.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{scores:?} {expected:?}");
        assert!((trial.mean_test_score().unwrap() - mean).abs() < 1e-12);
        assert!((trial.std_test_score().unwrap() - variance.sqrt()).abs() < 1e-12);
    }
    assert_eq!(report.best().unwrap().candidate.get("slope")?, 3.5);
    Ok(())
}

/// R² of ŷ = slope · x is 1 − (slope − 3)² Σx² / Σ(3x − 3x̄)².
#[test]
fn scores_are_those_of_the_held_out_examples_and_the_largest_is_best() -> Result<()> {
    let data = line();
    let report = Search::grid(Space::new().choices("slope", &[5.0, 2.9])).cv(2).fit(&data, by_slope)?;
    for trial in &report.trials {
        let slope = trial.candidate.get("slope")?;
        for ((_, held_out), score) in data.k_folds(2, 0)?.iter().zip(trial.scores.as_ref().unwrap()) {
            let x = held_out.inputs();
            let mean = x.as_slice().iter().sum::<f64>() / x.cols() as f64;
            let sum = |of: &dyn Fn(f64) -> f64| x.as_slice().iter().map(|&x| of(x)).sum::<f64>();
            let expected = 1.0 - (slope - 3.0).powi(2) * sum(&|x| x * x) / sum(&|x| 9.0 * (x - mean) * (x - mean));
            assert!((score - expected).abs() < 1e-12, "{score} {expected}");
        }
    }
    assert_eq!(report.best().unwrap().candidate.get("slope")?, 2.9);
    Ok(())
}

/// Steps of 10⁻⁹ leave a network where it starts, and steps of 10⁴ throw it about.
#[test]
fn the_one_learning_rate_that_works_is_found() -> Result<()> {
    let moons = data::two_moons(60, 0.05, 0)?;
    let space = Space::new().choices("learning_rate", &[1e-9, 1e4, 0.05, 1e-8]).choices("unused", &[1.0, 2.0]);
    for search in [Search::grid(space.clone()), Search::randomized(space, 12).seed(1)] {
        for scoring in [Scoring::Score, Scoring::Loss] {
            let report = search.clone().cv(3).scoring(scoring).fit(&moons, |c| moons_net(c.get("learning_rate")?))?;
            let best = report.best().unwrap();
            assert_eq!(best.candidate.get("learning_rate")?, 0.05, "{report}");
            assert!(scoring == Scoring::Loss || best.mean_test_score().unwrap() > 0.85, "{report}");
        }
    }
    Ok(())
}

#[test]
fn the_report_is_the_same_at_any_number_of_threads() -> Result<()> {
    let moons = data::two_moons(40, 0.1, 0)?;
    let space = Space::new().log_uniform("learning_rate", 1e-3, 1e-1).log_uniform("activation_rate", 0.05, 1e6);
    let report = |threads, seed| {
        let search = Search::randomized(space.clone(), 6).cv(2).scoring(Scoring::Loss).seed(seed).threads(threads);
        let report = search.fit(&moons, |candidate| {
            let (network, config) = moons_net(candidate.get("learning_rate")?)?;
            let method = Method::predictive_coding(8, candidate.get("activation_rate")?);
            Ok((network, config.method(method)))
        });
        // The shortest decimals that give each number back.
        report.map(|report| format!("{report:?}"))
    };
    let one = report(1, 3)?;
    assert!(one.contains("Ok(") && one.contains("Diverged"), "both outcomes are compared: {one}");
    assert_eq!(one, report(2, 3)?);
    assert_eq!(one, report(4, 3)?);
    assert_eq!(one, report(4, 3)?);
    assert_ne!(one, report(1, 4)?);
    Ok(())
}

#[test]
fn a_candidate_that_fails_or_panics_is_reported_and_never_best() -> Result<()> {
    let moons = data::two_moons(30, 0.1, 0)?;
    let space = Space::new().choices("kind", &[0.0, 1.0, 2.0, 3.0, 4.0]);
    let report = Search::grid(space).cv(3).threads(2).fit(&moons, |candidate| {
        let (network, config) = moons_net(1e-2)?;
        match candidate.get("kind")? as usize {
            0 => panic!("no such luck"),
            1 => Err(Error::Empty { what: "this candidate" }),
            2 => Ok((network, config.method(Method::predictive_coding(200, 1e6)))),
            3 => Ok((network, config.epochs(0))),
            _ => Ok((network, config)),
        }
    })?;
    let failed = |kind: usize| report.trials[kind].scores.as_ref().unwrap_err();
    assert!(matches!(failed(0), Error::CandidatePanicked { message } if message == "no such luck"));
    assert!(matches!(failed(1), Error::Empty { what: "this candidate" }));
    assert!(matches!(failed(2), Error::Diverged { .. }), "{:?}", failed(2));
    assert!(matches!(failed(3), Error::HyperParameter { name: "epochs", .. }));
    assert_eq!(report.best().unwrap().candidate.get("kind")?, 4.0);
    for trial in &report.trials[..4] {
        assert_eq!((trial.mean_test_score(), trial.std_test_score()), (None, None));
    }
    Ok(())
}

#[test]
fn where_all_candidates_fail_there_is_no_best() -> Result<()> {
    let search = Search::grid(Space::new().choices("slope", &[1.0, 2.0]));
    let report = search.fit(&line(), |candidate| sloped(candidate.get("slop")?))?;
    assert!(report.best().is_none());
    for trial in &report.trials {
        assert!(matches!(&trial.scores, Err(Error::InDimension { name, .. }) if name == "slop"), "{:?}", trial.scores);
    }
    Ok(())
}

/// The squared error, which sees who calls it, and may have another value for four examples, together or each by itself.
#[derive(Debug)]
struct Probe {
    of_four: Option<f64>,
    callers: Arc<Mutex<HashSet<ThreadId>>>,
}

impl Loss<f64> for Probe {
    fn value(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>) -> f64 {
        self.callers.lock().unwrap().insert(thread::current().id());
        let value = || SquaredError.value(target, prediction);
        self.of_four.filter(|_| [1, 4].contains(&target.cols())).unwrap_or_else(value)
    }
    fn gradient(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>, grad: MatMut<'_, f64>) {
        self.callers.lock().unwrap().insert(thread::current().id());
        SquaredError.gradient(target, prediction, grad);
    }
    fn target_gradient(&self, target: MatRef<'_, f64>, prediction: MatRef<'_, f64>, grad: MatMut<'_, f64>) {
        SquaredError.target_gradient(target, prediction, grad);
    }
}

#[test]
fn a_score_that_is_no_finite_number_is_never_best() -> Result<()> {
    // Twelve examples: eight to train on, four held out.
    let data = data::sine::<f64>(12, 0.1, 0)?;
    let values = [Some(-f64::NAN), Some(f64::NAN), None, Some(f64::INFINITY), Some(f64::NEG_INFINITY)];
    let search = Search::grid(Space::new().choices("value", &[0.0, 1.0, 2.0, 3.0, 4.0])).cv(3).scoring(Scoring::Loss);
    let report = search.fit(&data, |candidate| {
        let loss = Probe { of_four: values[candidate.get("value")? as usize], callers: Arc::default() };
        let network = DecoupledNetwork::builder(1).dense(1, Activation::Identity).output_loss(loss).build()?;
        Ok((network, FitConfig::new().epochs(1).full_batch()))
    })?;
    let finite = report.trials.iter().map(|trial| trial.mean_test_score().is_some());
    assert_eq!(finite.collect::<Vec<_>>(), [false, false, true, false, false]);
    for trial in report.trials.iter().filter(|trial| trial.mean_test_score().is_none()) {
        let found = trial.scores.as_ref();
        assert!(matches!(found, Err(Error::NotFinite { what: "the output loss", example: 0, .. })), "{found:?}");
    }
    assert_eq!(report.best().unwrap().candidate.get("value")?, 2.0);
    Ok(())
}

#[test]
fn every_fit_runs_on_one_thread() -> Result<()> {
    let data = data::sine::<f64>(600, 0.1, 0)?;
    let callers: Vec<Arc<Mutex<HashSet<ThreadId>>>> = (0..4).map(|_| Arc::default()).collect();
    let search = Search::grid(Space::new().choices("candidate", &[0.0, 1.0, 2.0, 3.0])).cv(2).threads(2);
    let report = search.fit(&data, |candidate| {
        let callers = Arc::clone(&callers[candidate.get("candidate")? as usize]);
        let mut network = DecoupledNetwork::builder(1);
        for _ in 0..6 {
            network = network.dense(16, Activation::Tanh);
        }
        let network =
            network.dense(1, Activation::Identity).hidden_loss(Probe { of_four: None, callers }).threads(4).build()?;
        Ok((network, FitConfig::new().epochs(3).full_batch()))
    })?;
    assert!(report.trials.iter().all(|trial| trial.scores.is_ok()));
    for callers in callers {
        assert_eq!(callers.lock().unwrap().len(), 1);
    }
    Ok(())
}

#[test]
fn a_grid_is_all_combinations_in_the_order_of_its_choices() {
    let space = Space::new().choices("a", &[1.0, 2.0]).choices("b", &[5.0, 4.0, 5.5]);
    let candidates = candidates(&Search::grid(space));
    let found: Vec<_> = candidates.iter().map(|c| c.iter().collect::<Vec<_>>()).collect();
    let expected = [(1.0, 5.0), (1.0, 4.0), (1.0, 5.5), (2.0, 5.0), (2.0, 4.0), (2.0, 5.5)];
    assert_eq!(found, expected.map(|(a, b)| vec![("a", a), ("b", b)]));
}

/// A uniform draw has the variance (high − low)²/12: four standard errors of the mean of 4000 are allowed.
#[test]
fn draws_have_the_distribution_that_their_dimension_names() {
    const DRAWS: usize = 4000;
    let space = Space::new().log_uniform("log", 1e-5, 1e-1).uniform("even", -2.0, 6.0).choices("of", &[1.0, 2.0, 4.0]);
    let search = Search::randomized(space, DRAWS).seed(1);
    let even = |values: &[f64], low: f64, high: f64| {
        assert!(values.iter().all(|value| (low..=high).contains(value)));
        let mean = values.iter().sum::<f64>() / DRAWS as f64;
        let error = (high - low) / (12.0 * DRAWS as f64).sqrt();
        assert!((mean - (low + high) / 2.0).abs() < 4.0 * error, "{mean} in {low}..{high}");
        let lowest = values.iter().filter(|&&value| value < low + 0.1 * (high - low)).count() as f64;
        // A binomial of probability 0.1: four standard deviations.
        assert!((lowest - 400.0).abs() < 4.0 * 360f64.sqrt(), "{lowest} of {DRAWS} in the lowest tenth");
    };
    even(&values(&search, "even"), -2.0, 6.0);
    let logarithms: Vec<f64> = values(&search, "log").iter().map(|value| value.log10()).collect();
    even(&logarithms, -5.0, -1.0);
    let chosen = values(&search, "of");
    for choice in [1.0, 2.0, 4.0] {
        let count = chosen.iter().filter(|&&value| value == choice).count() as f64;
        assert!((count - DRAWS as f64 / 3.0).abs() < 4.0 * (DRAWS as f64 * 2.0 / 9.0).sqrt(), "{count} times {choice}");
    }
}

#[test]
fn neither_more_candidates_nor_more_dimensions_change_a_draw() {
    let few = Space::new().uniform("a", 0.0, 1.0);
    let more = few.clone().log_uniform("b", 1.0, 2.0);
    let drawn = values(&Search::randomized(few, 5).seed(9), "a");
    assert_eq!(drawn, values(&Search::randomized(more.clone(), 12).seed(9), "a")[..5]);
    assert_ne!(drawn, values(&Search::randomized(more, 5).seed(8), "a"));
    assert!(drawn.iter().all(|value| drawn.iter().filter(|other| *other == value).count() == 1));
}

#[test]
fn bad_input_is_refused_before_anything_is_built() {
    let error = |search: Search| {
        let report = search.fit(&line(), |_| -> Result<Pipeline<'_, f64>> { unreachable!("nothing is built") });
        report.map(|_: SearchReport| ()).unwrap_err()
    };
    let named = |error: Error, bad: &str| match error {
        Error::HyperParameter { name, .. } => assert_eq!(name, bad),
        other => panic!("another error: {other:?}"),
    };
    let inner = |error: Error, dimension: &str| match error {
        Error::InDimension { name, source } if name == dimension => *source,
        other => panic!("another error: {other:?}"),
    };
    let good = || Space::new().choices("a", &[1.0]);
    for cv in [0, 1] {
        named(error(Search::grid(good()).cv(cv)), "folds");
    }
    assert!(matches!(error(Search::grid(good()).cv(12)), Error::ExampleCount { most: 11, found: 12, .. }));
    named(error(Search::grid(good()).threads(0)), "threads");
    named(error(Search::grid(good()).threads(257)), "threads");
    for count in [0, 1_000_001, usize::MAX] {
        named(error(Search::randomized(good(), count)), "n_iter");
    }
    let many = (0..17).fold(Space::new(), |space, i| space.choices(&"abcdefghijklmnopq"[i..=i], &[0.0; 16]));
    named(error(Search::grid(many)), "combinations of a grid");
    for search in [Search::grid as fn(Space) -> Search, |space| Search::randomized(space, 3)] {
        assert!(matches!(error(search(Space::new())), Error::Empty { .. }));
        assert!(matches!(inner(error(search(good().choices("b", &[]))), "b"), Error::Empty { .. }));
        assert!(matches!(inner(error(search(good().choices("a", &[2.0]))), "a"), Error::Unsupported { .. }));
        let in_b = |space: Space, bad| named(inner(error(search(space)), "b"), bad);
        in_b(good().choices("b", &[1.0, f64::NAN]), "a choice");
        let (lower, upper) = ("its lower bound", "its upper bound");
        for (low, high, bad) in [
            (2.0, 1.0, upper),
            (1.0, 1.0, upper),
            (1.0, f64::INFINITY, upper),
            (f64::NAN, 1.0, lower),
            (1.0, f64::NAN, upper),
        ] {
            in_b(good().uniform("b", low, high), bad);
            in_b(good().log_uniform("b", low, high), bad);
        }
        in_b(good().uniform("b", f64::NEG_INFINITY, 0.0), lower);
        for low in [0.0, -1.0] {
            in_b(good().log_uniform("b", low, 1.0), lower);
        }
    }
    let range = error(Search::grid(good().uniform("b", 0.0, 1.0)));
    assert_eq!(range.to_string(), "in dimension b of the search: a range in a grid: give its values as choices");
}

#[test]
fn a_report_prints_as_a_table_with_the_best_and_what_failed() -> Result<()> {
    let space = Space::new().choices("slope", &[2.0, 3.0, 0.0]).choices("unused", &[0.000123456]);
    let search = Search::grid(space).scoring(Scoring::Loss);
    let report = search.fit(&line(), |candidate| match candidate.get("slope")? {
        0.0 => Err(Error::Empty { what: "flat land" }),
        slope => sloped(slope),
    })?;
    let of =
        |trial: &Trial| [trial.mean_test_score(), trial.std_test_score()].map(|score| format!("{:.4}", score.unwrap()));
    let [mean, std] = of(&report.trials[0]);
    let (wide, narrow) = (mean.len(), std.len());
    let table = format!(
        "
candidate  slope     unused  {:>wide$}  {:>narrow$}
        0      2  0.0001235  {mean}  {std}
        1      3  0.0001235  {:>wide$}  {:>narrow$}
        2      0  0.0001235  {:>wide$}  {:>narrow$}
best: slope=3 unused=0.0001235
candidate 2: flat land is empty",
        "loss", "std", "0.0000", "0.0000", "failed", "failed"
    );
    assert_eq!(report.to_string(), table.trim_start());
    Ok(())
}

/// A search's scores, against the metric called by hand on every fold, and its best against the mean of those.
fn is_judged_by<'c>(
    scoring: Scoring,
    (data, space): (&Dataset<f64>, Space),
    build: impl Fn(&Candidate) -> Result<Pipeline<'c, f64>> + Sync,
    by_hand: impl Fn(&Model<f64>, &Dataset<f64>) -> Result<f64>,
) -> Result<()> {
    let report = Search::grid(space).cv(3).scoring(scoring).fit(data, &build)?;
    let mut means = Vec::new();
    for trial in &report.trials {
        let judge = |(train, held_out): &(Dataset<f64>, Dataset<f64>)| {
            by_hand(&build(&trial.candidate)?.fit(train)?.0, held_out)
        };
        let expected: Vec<f64> = data.k_folds(3, 0)?.iter().map(judge).collect::<Result<_>>()?;
        assert_eq!(trial.scores.as_ref().unwrap(), &expected, "{scoring}");
        means.push(expected.iter().sum::<f64>() / 3.0);
    }
    let sign = if scoring.mode() == Mode::Max { 1.0 } else { -1.0 };
    let best = means.iter().map(|mean| sign * mean).fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(report.best_index().map(|i| sign * means[i]), Some(best), "{report}");
    assert!(means.iter().any(|mean| sign * mean < best), "{scoring}: all candidates are alike, {means:?}");
    assert!(report.to_string().contains(&scoring.to_string()), "{report}");
    Ok(())
}

#[test]
fn candidates_are_judged_by_any_metric_of_classes_labels_and_numbers() -> Result<()> {
    let space = || Space::new().choices("seed", &[1.0, 2.0, 3.0, 4.0]);
    let net = |candidate: &Candidate, outputs: usize| -> Result<NetworkBuilder<f64>> {
        let builder = DecoupledNetwork::builder(2).dense(6, Activation::Tanh).dense(outputs, Activation::Identity);
        Ok(builder.optimizer(Adam::new(3e-3)).seed(candidate.get("seed")? as u64))
    };
    let trained = |builder: NetworkBuilder<f64>| {
        let config = FitConfig::new().epochs(3).batch_size(10);
        Ok(Pipeline::new(builder.build()?, config).scale_inputs(Scaling::Standard))
    };

    let two = data::two_moons::<f64>(60, 0.2, 0)?.with_one_output()?;
    let yes = |c: &Candidate| trained(net(c, 1)?.output_loss(BinaryCrossEntropy));
    let labels = |data: &Dataset<f64>| data.labels().unwrap().to_vec();
    let of_two = || (&two, space());
    is_judged_by(Scoring::RocAuc, of_two(), yes, |m, d| metrics::roc_auc(&labels(d), &m.predict_proba(d.inputs())?))?;
    is_judged_by(Scoring::AveragePrecision, of_two(), yes, |m, d| {
        metrics::average_precision(&labels(d), &m.predict_proba(d.inputs())?)
    })?;
    is_judged_by(Scoring::LogLoss, of_two(), yes, |m, d| metrics::log_loss(&labels(d), &m.predict_proba(d.inputs())?))?;
    let class_1 = |m: &Model<f64>, d: &Dataset<f64>| {
        Ok(metrics::confusion_matrix(&labels(d), &m.predict_class(d.inputs())?, 2)?.per_class()[1])
    };
    is_judged_by(Scoring::F1, of_two(), yes, |m, d| Ok(class_1(m, d)?.f1))?;
    is_judged_by(Scoring::Precision, of_two(), yes, |m, d| Ok(class_1(m, d)?.precision))?;
    is_judged_by(Scoring::Recall, of_two(), yes, |m, d| Ok(class_1(m, d)?.recall))?;

    // Three classes in thirds of the circle.
    let points: Vec<[f64; 2]> = (0..60).map(|i| (0.7 * f64::from(i)).sin_cos()).map(|(s, c)| [s, c]).collect();
    let third = |x: &[f64; 2]| ((x[0].atan2(x[1]) + PI) / (2.0 * PI / 3.0)).floor().min(2.0) as usize;
    let thirds: Vec<usize> = points.iter().map(third).collect();
    let three = Dataset::classification(Examples::from_rows(&points)?, &thirds, 3)?;
    let one_of_three = |c: &Candidate| trained(net(c, 3)?.output_loss(SoftmaxCrossEntropy::new()));
    let of_three = || (&three, space());
    is_judged_by(Scoring::F1, of_three(), one_of_three, |m, d| {
        let matrix = metrics::confusion_matrix(&labels(d), &m.predict_class(d.inputs())?, 3)?;
        Ok(matrix.per_class().iter().map(|class| class.f1).sum::<f64>() / 3.0)
    })?;
    is_judged_by(Scoring::TopKAccuracy(2), of_three(), one_of_three, |m, d| {
        metrics::top_k_accuracy(&labels(d), &m.predict(d.inputs())?, 2)
    })?;

    // Two labels: the signs of both inputs.
    let signs: Vec<[f64; 2]> = points.iter().map(|x| x.map(|x| f64::from(u8::from(x > 0.0)))).collect();
    let several = Dataset::multi_label(Examples::from_rows(&points)?, Examples::from_rows(&signs)?)?;
    let both = |c: &Candidate| trained(net(c, 2)?.output_loss(BinaryCrossEntropy));
    let of_several = || (&several, space());
    is_judged_by(Scoring::RocAuc, of_several(), both, |m, d| {
        metrics::multi_label_roc_auc(d.targets(), &m.predict_proba(d.inputs())?, Average::Macro)
    })?;
    is_judged_by(Scoring::F1, of_several(), both, |m, d| {
        let counts = metrics::multi_label_confusion(d.targets(), &m.predict_labels(d.inputs())?)?;
        Ok(counts.per_label().iter().map(|label| label.f1).sum::<f64>() / 2.0)
    })?;
    is_judged_by(Scoring::HammingLoss, of_several(), both, |m, d| {
        metrics::hamming_loss(d.targets(), &m.predict_labels(d.inputs())?)
    })?;

    // In the units of the targets, whatever they are scaled by.
    let numbers: Vec<[f64; 1]> = points.iter().map(|x| [500.0 + 100.0 * x[0]]).collect();
    let numbers = Dataset::regression(Examples::from_rows(&points)?, Examples::from_rows(&numbers)?)?;
    let scaled = |c: &Candidate| Ok(trained(net(c, 1)?)?.scale_targets(Scaling::Standard));
    is_judged_by(Scoring::Mse, (&numbers, space()), scaled, |m, d| metrics::mse(d.targets(), &m.predict(d.inputs())?))?;
    is_judged_by(Scoring::Mae, (&numbers, space()), scaled, |m, d| metrics::mae(d.targets(), &m.predict(d.inputs())?))
}

#[test]
fn a_metric_that_says_nothing_of_the_data_is_refused_before_any_training() -> Result<()> {
    let (moons, real) = (data::two_moons::<f64>(20, 0.1, 0)?, {
        let moons = data::two_moons::<f64>(20, 0.1, 0)?;
        let copy = |of: MatRef<'_, f64>| Examples::from_column_matrix(of.view().into_owned());
        Dataset::regression(copy(moons.inputs())?, copy(moons.inputs())?)?
    });
    let refused = |scoring: Scoring, data: &Dataset<f64>, logits: bool, words: &str| {
        let report = Search::grid(Space::new().choices("unused", &[1.0])).cv(2).scoring(scoring).fit(data, |_| {
            let builder = DecoupledNetwork::builder(2).dense(2, Activation::Identity);
            let builder = if logits { builder.output_loss(SoftmaxCrossEntropy::new()) } else { builder };
            // Would not end.
            Ok((builder.build()?, FitConfig::new().epochs(1_000_000_000)))
        });
        let report = report.unwrap();
        let error = report.trials[0].scores.as_ref().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    for scoring in [Scoring::RocAuc, Scoring::AveragePrecision, Scoring::F1, Scoring::Precision, Scoring::Recall] {
        refused(scoring, &real, false, "the targets are real numbers: take Score (R²), Mse, Mae or Loss");
    }
    refused(Scoring::LogLoss, &real, false, "the targets are not class labels");
    refused(Scoring::TopKAccuracy(1), &real, false, "the targets are not class labels");
    refused(Scoring::HammingLoss, &moons, true, "Dataset::multi_label");
    // Any of the three is enough: labels, several of them, or outputs that are logits.
    let several = {
        let moons = data::two_moons::<f64>(20, 0.1, 0)?;
        let copy = |of: MatRef<'_, f64>| Examples::from_column_matrix(of.view().into_owned());
        Dataset::multi_label(copy(moons.inputs())?, copy(moons.targets())?)?
    };
    for scoring in [Scoring::Mse, Scoring::Mae] {
        for (data, logits) in [(&moons, true), (&moons, false), (&several, false), (&real, true)] {
            refused(scoring, data, logits, "take RocAuc, LogLoss or Loss");
        }
    }
    refused(Scoring::RocAuc, &moons, false, "take SoftmaxCrossEntropy for classes");
    refused(Scoring::TopKAccuracy(0), &moons, true, "k of Scoring::TopKAccuracy must be at least 1, found 0");
    Ok(())
}

/// Candidates that differ in a value nobody reads are equal to the last bit.
#[test]
fn of_equal_candidates_the_first_is_best() -> Result<()> {
    let space = Space::new().choices("slope", &[2.0, 3.5, 4.5]).choices("unused", &[1.0, 2.0, 3.0]);
    let report = Search::grid(space).cv(3).fit(&line(), by_slope)?;
    let best = report.best().unwrap();
    let tied = |trial: &&Trial| trial.mean_test_score() == best.mean_test_score();
    assert_eq!(report.trials.iter().filter(tied).count(), 3, "{report}");
    let first = report.trials.iter().position(|trial| tied(&trial)).unwrap();
    assert_eq!((report.best_index(), best.candidate.get("unused")?), (Some(first), 1.0), "{report}");
    Ok(())
}
