//! Weights of examples: an example of weight w is w copies of it. Metrics are compared with scikit-learn (`tests/sklearn/weights.py`
//! says how, and writes `tests/sklearn/weights.txt`).

use std::collections::HashMap;
use std::sync::LazyLock;

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::loss::{SoftmaxCrossEntropy, SquaredError};
use decoupled::method::{GradientStep, Multipliers, Reads, Ridge, Start, Timing};
use decoupled::metrics::SampleWeight;
use decoupled::nalgebra::{DMatrix, DVector};
use decoupled::optimizer::{Adam, Sgd};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, MatRef, Method, NetworkBuilder, Optimizer, Result,
};

use crate::builtin;

type Net = DecoupledNetwork<f64>;

static NUMBERS: LazyLock<HashMap<&str, Vec<f64>>> = LazyLock::new(|| {
    let lines = include_str!("../sklearn/weights.txt").lines().filter(|line| !line.starts_with('#'));
    let parse = |values: &str| values.split_whitespace().map(|v| v.parse().unwrap()).collect();
    lines.map(|line| line.split_once(':').unwrap()).map(|(key, values)| (key, parse(values))).collect()
});

/// Calls `f` with the name of each of `count` cases of a kind.
fn cases(kind: &str, count: usize, mut f: impl FnMut(&str)) {
    (0..count).for_each(|i| f(&format!("{kind}{i}")));
    assert!(!NUMBERS.contains_key(&*format!("{kind}{count}/weights")), "more cases of {kind}");
}

fn numbers(case: &str, key: &str) -> &'static [f64] {
    &NUMBERS[&*format!("{case}/{key}")]
}

fn labels(case: &str, key: &str) -> Vec<usize> {
    numbers(case, key).iter().map(|&label| label as usize).collect()
}

fn matrix(case: &str, key: &str, rows: usize) -> MatRef<'static, f64> {
    let numbers = numbers(case, key);
    MatRef::new(numbers, rows, numbers.len() / rows)
}

#[track_caller]
fn near(what: &str, found: &[f64], expected: &[f64]) {
    let agrees = |(found, expected): (&f64, &f64)| (found - expected).abs() <= 1e-12 * expected.abs().max(1.0);
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(agrees),
        "{what}: {found:?} not {expected:?}"
    );
}

#[test]
fn weighted_metrics_are_scikit_learns() {
    cases("labels", 7, |case| {
        let (truth, predicted, classes) =
            (labels(case, "truth"), labels(case, "predicted"), labels(case, "classes")[0]);
        let weighted = SampleWeight::new(numbers(case, "weights")).unwrap();
        near(case, &[weighted.accuracy(&truth, &predicted).unwrap()], numbers(case, "accuracy"));
        let confusion = weighted.confusion_matrix(&truth, &predicted, classes).unwrap();
        near(case, confusion.transpose().as_slice(), numbers(case, "confusion"));
    });
    cases("probabilities", 5, |case| {
        let (truth, classes) = (labels(case, "truth"), labels(case, "classes")[0]);
        let weighted = SampleWeight::new(numbers(case, "weights")).unwrap();
        let loss = weighted.log_loss(&truth, matrix(case, "probabilities", classes)).unwrap();
        near(case, &[loss], numbers(case, "log_loss"));
    });
    cases("numbers", 6, |case| {
        let outputs = labels(case, "outputs")[0];
        let (targets, predictions) = (matrix(case, "targets", outputs), matrix(case, "predictions", outputs));
        let weighted = SampleWeight::new(numbers(case, "weights")).unwrap();
        near(case, &[weighted.mse(targets, predictions).unwrap()], numbers(case, "mse"));
        near(case, &[weighted.mae(targets, predictions).unwrap()], numbers(case, "mae"));
        near(case, &[weighted.r2(targets, predictions).unwrap()], numbers(case, "r2"));
    });
}

#[test]
fn targets_of_which_two_are_equal_still_vary() {
    // Mean 3/2 of the weighted targets; the errors are 2 · 1², the deviations 3 · (1/2)² + (3/2)².
    let weighted = SampleWeight::new(&[1.0, 2.0, 1.0]).unwrap();
    let r2 = weighted.r2(MatRef::new(&[1.0, 1.0, 3.0], 1, 3), MatRef::new(&[1.0, 2.0, 3.0], 1, 3)).unwrap();
    assert!((r2 - 1.0 / 3.0).abs() < 1e-15, "{r2}");
    // Nothing is explained of targets that are constant where they weigh anything.
    let weighted = SampleWeight::new(&[1.0, 2.0, 0.0]).unwrap();
    let r2 = weighted.r2(MatRef::new(&[1.0, 1.0, 3.0], 1, 3), MatRef::new(&[1.0, 2.0, 3.0], 1, 3)).unwrap();
    assert_eq!(r2, 0.0);
}

#[test]
fn balanced_classes_have_scikit_learns_weights() {
    cases("labels", 7, |case| {
        let (truth, classes) = (labels(case, "truth"), labels(case, "classes")[0]);
        let inputs = Examples::from_row_slice(&vec![0.5; truth.len()], truth.len(), 1).unwrap();
        let data = Dataset::classification(inputs, &truth, classes).unwrap().with_balanced_classes().unwrap();
        near(case, data.weights().unwrap(), numbers(case, "balanced"));
    });
}

const WEIGHTS: [f64; 6] = [1.0, 3.0, 0.0, 2.0, 1.0, 4.0];

fn inputs() -> Examples<f64> {
    let entry = |i: usize| ((i * 7 + 3) % 11) as f64 / 5.0 - 1.0;
    Examples::from_row_slice(&(0..18).map(entry).collect::<Vec<_>>(), 6, 3).unwrap()
}

fn classes() -> Dataset<f64> {
    Dataset::classification(inputs(), &[0, 1, 0, 0, 1, 1], 2).unwrap()
}

fn real() -> Dataset<f64> {
    let targets = [[0.5, 1.0], [-1.0, 0.25], [2.0, 2.0], [0.0, -1.0], [1.5, -0.5], [0.75, 0.0]];
    Dataset::regression(inputs(), Examples::from_rows(&targets).unwrap()).unwrap()
}

/// As many copies of each example as its weight says.
fn copies(data: &Dataset<f64>, weights: &[f64]) -> Dataset<f64> {
    let copies = weights.iter().enumerate().flat_map(|(i, &weight)| vec![i; weight as usize]);
    data.select(&copies.collect::<Vec<_>>()).unwrap()
}

fn builder(rule: impl Optimizer<f64> + 'static) -> NetworkBuilder<f64> {
    let builder = Net::builder(3).dense(5, Activation::Tanh).dense(4, Activation::Tanh).dense(2, Activation::Identity);
    builder.optimizer(rule).seed(2).threads(1)
}

fn fit(net: &mut Net, method: Option<&Method<f64>>, data: &Dataset<f64>, config: FitConfig<'_, f64>) -> EpochReport {
    let report = match method {
        Some(method) => net.fit(data, &config.method(method.clone())),
        None => net.fit_backprop(data, &config),
    };
    report.unwrap().epochs.pop().unwrap()
}

/// None of them refits the last layer: that is a closed form, of which there are those below.
fn ways() -> Vec<(&'static str, Option<Method<f64>>)> {
    let own = [
        ("backpropagation", None),
        ("predictive coding", Some(Method::predictive_coding(3, 0.1).reads(Reads::Stored))),
    ];
    let presets = builtin::gradient_methods().into_iter().map(|(name, method)| (name, Some(method.finish(false))));
    presets.chain(own).collect()
}

/// The same sums in another order.
#[test]
fn integer_weights_are_copies_in_everything_that_a_full_batch_reports_and_moves() {
    for (name, method) in ways() {
        for (data, score) in [(classes(), true), (real(), false)] {
            let builder = match score {
                true => builder(Sgd::new(0.1)).output_loss(SoftmaxCrossEntropy::new()),
                false => builder(Sgd::new(0.1)).output_loss(SquaredError),
            };
            weights_are_copies(name, method.as_ref(), builder, &data, &WEIGHTS);
        }
    }
}

fn weights_are_copies(
    name: &str,
    method: Option<&Method<f64>>,
    builder: NetworkBuilder<f64>,
    data: &Dataset<f64>,
    weights: &[f64],
) {
    let (mut weighted, mut copied) = (builder.clone().build().unwrap(), builder.build().unwrap());
    let (heavy, copies) = (data.clone().with_weights(weights).unwrap(), copies(data, weights));
    let config = || FitConfig::new().epochs(7).full_batch();
    let found = fit(&mut weighted, method, &heavy, config().validation(&heavy));
    let expected = fit(&mut copied, method, &copies, config().validation(&copies));
    for t in 0..weighted.depth() {
        near(&format!("{name}, layer {t}"), weighted.params(t), copied.params(t));
    }
    near(name, &[found.energy, found.train_loss], &[expected.energy, expected.train_loss]);
    near(name, &found.energies, &expected.energies);
    near(name, &found.residuals, &expected.residuals);
    near(name, found.train_score.as_slice(), expected.train_score.as_slice());
    let [found, expected] = [found, expected].map(|epoch| epoch.validation.unwrap());
    near(name, &[found.loss], &[expected.loss]);
    near(name, found.score.as_slice(), expected.score.as_slice());
    near(name, &[weighted.score(&heavy).unwrap()], &[copied.score(&copies).unwrap()]);
    assert_eq!(found.score.is_some(), data.labels().is_some());
}

const RIDGE: Ridge = Ridge { ridge: 0.1, proximal: 0.2, memory: 0.5, trust: Some(0.5) };

const AFTER: Timing = Timing::AfterRelaxation { local_steps: 1 };

fn closed_forms() -> Vec<(&'static str, Method<f64>)> {
    let mixed = |method: Method<f64>, reads| method.parameter(GradientStep).layer_parameter(2, RIDGE).reads(reads);
    vec![
        ("bcd", Method::bcd(1.0)),
        ("bcd, one layer by least squares", mixed(Method::bcd(1.0), Reads::Stored).timing(AFTER)),
        ("bcd with a finish", Method::bcd(1.0).parameter(RIDGE).timing(AFTER).finish(true)),
        ("admm", Method::admm(0.1)),
        ("admm with all multipliers", Method::admm(0.1).multipliers(Multipliers::kept())),
        ("mac", Method::mac(2)),
        ("gradient steps on activations", Method::joint(0.1).parameter(RIDGE).timing(AFTER)),
        ("one layer by least squares", mixed(Method::joint(0.1), Reads::Forward).timing(AFTER)),
        ("alm with a finish", Method::alm(0.5).finish(true)),
    ]
}

/// Thirty examples, which no affine map fits: the minimum of every regression is one point.
fn noisy() -> Dataset<f64> {
    let noise = |count: usize| (0..count).map(|i| ((i * i * 7919 + i * 613 + 5) % 1009) as f64 / 500.0 - 1.0);
    let examples = |rows: usize| Examples::from_row_slice(&noise(30 * rows).collect::<Vec<_>>(), 30, rows).unwrap();
    Dataset::regression(examples(3), examples(2)).unwrap()
}

/// The class is which of the two targets is larger.
fn noisy_classes() -> Dataset<f64> {
    let data = noisy();
    let labels: Vec<usize> = data.targets().columns().map(|y| usize::from(y[1] > y[0])).collect();
    Dataset::classification(Examples::from_row_slice(data.inputs().as_slice(), 30, 3).unwrap(), &labels, 2).unwrap()
}

fn noisy_weights() -> Vec<f64> {
    WEIGHTS.repeat(5)
}

/// Activation functions are units of their own.
fn apart() -> NetworkBuilder<f64> {
    let builder = Net::builder(3).store_pre_activations().optimizer(Sgd::new(0.1)).seed(2).threads(1);
    builder.dense(4, Activation::Tanh).dense(4, Activation::Relu).dense(2, Activation::Identity)
}

/// The penalties on parameters stand beside sums over examples, where twice as many count twice.
#[test]
fn integer_weights_are_copies_in_closed_forms() {
    for (name, method) in closed_forms() {
        for data in [noisy_classes(), noisy()] {
            for weights in [noisy_weights(), vec![2.0; 30]] {
                weights_are_copies(name, Some(&method), apart(), &data, &weights);
            }
        }
    }
}

/// One affine map: θ·Σ w z⁺z⁺ᵀ + ridge·[W 0] = Σ w u z⁺ᵀ, with z⁺ = z over 1.
#[test]
fn one_layer_finds_weighted_least_squares() {
    let weights = [0.5, 2.25, 0.0, 1.0, 0.125, 3.0].repeat(5);
    let expected = |ridge: f64| {
        let above = DMatrix::from_column_slice(3, 30, noisy().inputs().as_slice()).insert_row(3, 1.0);
        let weights = DMatrix::from_diagonal(&DVector::from_row_slice(&weights));
        let penalty = DMatrix::from_diagonal(&DVector::from_row_slice(&[ridge, ridge, ridge, 0.0]));
        let targets = DMatrix::from_column_slice(2, 30, noisy().targets().as_slice());
        let normal = &above * &weights * above.transpose() + penalty;
        (targets * weights * above.transpose() * normal.try_inverse().unwrap()).as_slice().to_vec()
    };
    let data = noisy().with_weights(&weights).unwrap();
    let net = || Net::builder(3).dense(2, Activation::Identity).seed(1).build().unwrap();
    let ridge = Ridge { ridge: 0.7, ..Ridge::default() };
    let gradient = Method::joint(0.1).parameter(ridge).timing(AFTER);
    for method in [Method::admm(0.7), gradient] {
        let mut net = net();
        net.fit(&data, &FitConfig::new().epochs(1).full_batch().method(method)).unwrap();
        near("ridge", net.params(0), &expected(0.7));
    }
    let mut refitted = net();
    refitted.refit_output(&data).unwrap();
    near("refit", refitted.params(0), &expected(0.0));
}

/// Where no regression solves it, by descent.
#[test]
fn a_refit_to_classes_follows_the_weights() {
    let builder = Net::builder(3).dense(2, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).seed(1);
    let (mut weighted, mut copied) = (builder.clone().build().unwrap(), builder.build().unwrap());
    let found = weighted.refit_output(&noisy_classes().with_weights(&noisy_weights()).unwrap()).unwrap();
    let expected = copied.refit_output(&copies(&noisy_classes(), &noisy_weights())).unwrap();
    near("loss before", &[found.before], &[expected.before]);
    assert!(found.after < found.before - 0.01, "{found:?}");
    near("loss after", &[found.after], &[expected.after]);
    near("parameters", weighted.params(0), copied.params(0));
}

/// The penalties alone would send all parameters to 0.
#[test]
fn batches_of_weight_0_move_nothing_by_least_squares() {
    let mut weights = [0.0; 6];
    weights[3] = 5.0;
    let ridge = Ridge { memory: 0.0, trust: None, ..RIDGE };
    let gradient = Method::joint(0.1).parameter(ridge).timing(AFTER);
    for method in [Method::admm(0.1), gradient] {
        let (mut weighted, mut copied) = (apart().build().unwrap(), apart().build().unwrap());
        let config = FitConfig::new().epochs(1).method(method);
        weighted.fit(&real().with_weights(&weights).unwrap(), &config.clone().batch_size(1)).unwrap();
        copied.fit(&copies(&real(), &weights), &config.full_batch()).unwrap();
        (0..weighted.depth()).for_each(|t| near("parameters", weighted.params(t), copied.params(t)));
    }
}

/// With multipliers the energy has a term of its own for each example.
#[test]
fn multipliers_are_weighed_as_well() {
    let method = Method::alm(0.5).multipliers(Multipliers::kept());
    let builder = builder(Sgd::new(0.1));
    let (mut weighted, mut copied) = (builder.clone().build().unwrap(), builder.build().unwrap());
    for _ in 0..3 {
        let config = || FitConfig::new().epochs(2).full_batch();
        let found = fit(&mut weighted, Some(&method), &real().with_weights(&WEIGHTS).unwrap(), config());
        let expected = fit(&mut copied, Some(&method), &copies(&real(), &WEIGHTS), config());
        near("energies", &found.energies, &expected.energies);
        (0..3).for_each(|t| near("parameters", weighted.params(t), copied.params(t)));
    }
}

/// The step of plain descent at rate 1 is the gradient: of Σ w_i E_i / Σ w_i, each E_i at activations that relaxed by themselves.
#[test]
fn a_step_follows_the_slope_of_the_weighted_energy() {
    const STEP: f64 = 1e-5;
    let weights = [0.5, 2.25, 0.0, 1.0, 0.125, 3.0];
    let method = Method::predictive_coding(3, 0.2).reads(Reads::Stored).start(Start::Anchored);
    let (data, mut net) = (real(), builder(Sgd::new(1.0)).build().unwrap());
    let mut probe = net.clone();
    let relaxed = |i: usize| {
        let objective = net.objective();
        let mut block = objective.block(1);
        block.stored_mut(0).copy_from_slice(data.inputs().column(i));
        block.stored_mut(3).copy_from_slice(data.targets().column(i));
        objective.anchor(&mut block).unwrap();
        method.activation_step().relax(&objective, &mut block).unwrap();
        block
    };
    let mut blocks: Vec<_> = (0..6).map(relaxed).collect();
    let mut energy = |t: usize, params: &[f64]| {
        let own = probe.params(t).to_vec();
        probe.set_params(t, params).unwrap();
        let mean = blocks.iter_mut().zip(weights).map(|(block, weight)| {
            block.parameters_moved();
            weight * probe.objective().energy(block).unwrap()
        });
        let mean = mean.sum::<f64>() / weights.iter().sum::<f64>();
        probe.set_params(t, &own).unwrap();
        mean
    };
    let before: Vec<Vec<f64>> = (0..3).map(|t| net.params(t).to_vec()).collect();
    let config = FitConfig::new().epochs(1).full_batch().method(method.clone());
    net.fit(&data.clone().with_weights(&weights).unwrap(), &config).unwrap();
    for (t, before) in before.iter().enumerate() {
        for (i, (&old, &new)) in before.iter().zip(net.params(t)).enumerate() {
            let mut at = |by: f64| {
                let mut moved = before.clone();
                moved[i] += by;
                energy(t, &moved)
            };
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            assert!((old - new - slope).abs() < 1e-8, "layer {t}, parameter {i}: {} not {slope}", old - new);
        }
    }
}

/// A batch divides by its number of examples, not by its weight: each is an unbiased sample.
#[test]
fn batches_keep_the_weights_in_units_of_their_mean_over_the_data() {
    let data = real().with_weights(&WEIGHTS).unwrap();
    let mut net = builder(Sgd::new(1e-9)).build().unwrap();
    let each = |i: usize| net.evaluate(&real().select(&[i]).unwrap()).unwrap().loss;
    let expected = (0..6).map(|i| WEIGHTS[i] * each(i)).sum::<f64>() / WEIGHTS.iter().sum::<f64>();
    let loss = net.evaluate(&data).unwrap().loss;
    near("evaluate", &[loss], &[expected]);
    let report = net.fit_backprop(&data, &FitConfig::new().epochs(1).batch_size(2)).unwrap();
    assert!((report.epochs[0].train_loss - loss).abs() < 1e-6, "at a rate that moves nothing");
}

#[test]
fn equal_weights_are_none_bit_for_bit() {
    for (name, method) in ways() {
        let mut nets = [(); 2].map(|()| builder(Adam::new(0.01)).build().unwrap());
        let [plain, equal] = &mut nets;
        let config = || FitConfig::new().epochs(3).batch_size(4);
        let mut found = fit(equal, method.as_ref(), &real().with_weights(&[0.1; 6]).unwrap(), config());
        let expected = fit(plain, method.as_ref(), &real(), config());
        found.time = expected.time;
        assert_eq!(found, expected, "{name}");
        (0..3).for_each(|t| assert_eq!(plain.params(t), equal.params(t), "{name}"));
    }
}

#[test]
fn weights_of_1_are_none_bit_for_bit_in_closed_forms() {
    for (name, method) in closed_forms() {
        let mut nets = [(); 2].map(|()| apart().build().unwrap());
        let [plain, equal] = &mut nets;
        let config = || FitConfig::new().epochs(3).batch_size(6);
        let mut found = fit(equal, Some(&method), &real().with_weights(&[1.0; 6]).unwrap(), config());
        let expected = fit(plain, Some(&method), &real(), config());
        found.time = expected.time;
        assert_eq!(found, expected, "{name}");
        (0..plain.depth()).for_each(|t| assert_eq!(plain.params(t), equal.params(t), "{name}"));
    }
}

/// Beside examples of next to no weight every penalty is infinite.
#[test]
fn penalties_that_weights_put_out_of_range_are_refused_before_anything_changes() {
    let data = real().with_weights(&WEIGHTS.map(|weight| weight * 1e-310)).unwrap();
    let mut net = apart().build().unwrap();
    let refused = net.fit(&data, &FitConfig::new().method(Method::admm(0.1)));
    assert!(matches!(refused, Err(Error::HyperParameter { name: "ridge", .. })), "{refused:?}");
    assert!(net.bank().is_none() && net.updates() == 0);
}

#[test]
fn parts_of_the_data_keep_their_weights() -> Result<()> {
    let weights = [0.5, 1.0, 2.0, 3.0, 4.0, 5.0];
    let data = classes().with_weights(&weights)?;
    assert_eq!(data.weights(), Some(&weights[..]));
    assert_eq!(data.take(2)?.weights(), Some(&weights[..2]));
    assert_eq!(data.select(&[5, 1, 5])?.weights(), Some(&[5.0, 1.0, 5.0][..]));
    // The first input tells the examples apart but for two, which have other second ones.
    let key = |data: &Dataset<f64>, i: usize| data.inputs().column(i).to_vec();
    let own = |input: &[f64]| (0..6).find(|&i| key(&data, i) == input).map(|i| weights[i]);
    let (left, right) = data.split(0.5, 3)?;
    let (upper, lower) = data.stratified_split(0.5, 3)?;
    let folds = data.k_folds(3, 1)?.into_iter().flat_map(|(train, held_out)| [train, held_out]);
    for part in [left, right, upper, lower, data.shuffled(2)?].into_iter().chain(folds) {
        for (i, &weight) in part.weights().unwrap().iter().enumerate() {
            assert_eq!(own(&key(&part, i)), Some(weight));
        }
    }
    // Weights are no part of what a bank is of.
    assert_eq!(data.fingerprint(), classes().fingerprint());
    assert!(data != classes() && classes().weights().is_none());

    let classed = classes().with_class_weights(&[1.0, 3.0])?;
    assert_eq!(classed.weights(), Some(&[1.0, 3.0, 1.0, 1.0, 3.0, 3.0][..]));
    let both = data.with_class_weights(&[1.0, 3.0])?;
    assert_eq!(both.weights(), Some(&[0.5, 3.0, 2.0, 3.0, 12.0, 15.0][..]));
    Ok(())
}

#[test]
fn weights_outside_their_domain_are_refused() {
    let refused = |weights: &[f64], example: usize| {
        let of_data = real().with_weights(weights).map(drop);
        let of_metrics = SampleWeight::new(weights).map(drop);
        for outcome in [of_data, of_metrics] {
            let Err(Error::Weight { what: "example", index: at, .. }) = outcome else {
                panic!("{weights:?}: {outcome:?}")
            };
            assert_eq!(at, example, "{weights:?}");
        }
    };
    refused(&[1.0, -0.5, 1.0, 1.0, 1.0, 1.0], 1);
    refused(&[1.0, 1.0, f64::NAN, 1.0, 1.0, 1.0], 2);
    refused(&[1.0, 1.0, 1.0, f64::INFINITY, 1.0, 1.0], 3);
    refused(&[0.0; 6], 0);
    refused(&[1.0, 1.0, 1.0, 1.0, 1e308, 1.5e308], 5);
    assert!(matches!(real().with_weights(&[1.0; 5]), Err(Error::Shape { expected: 6, found: 5, .. })));
    assert!(matches!(classes().with_class_weights(&[1.0; 3]), Err(Error::Shape { expected: 2, found: 3, .. })));
    assert!(
        matches!(classes().with_class_weights(&[1.0, -1.0]), Err(Error::Weight { what: "class", index: 1, found, .. }) if found == -1.0)
    );
    for outcome in [real().with_class_weights(&[1.0; 2]), real().with_balanced_classes()] {
        assert!(matches!(outcome, Err(Error::Unsupported { .. })), "{outcome:?}");
    }
    // The only example of a part has none of the weight.
    let lopsided = real().with_weights(&WEIGHTS).unwrap();
    assert!(matches!(lopsided.select(&[2]), Err(Error::Weight { what: "example", index: 0, .. })));
    let weighted = SampleWeight::new(&[1.0, 2.0]).unwrap();
    assert!(matches!(weighted.accuracy(&[0, 1, 1], &[0, 1, 1]), Err(Error::Shape { expected: 3, found: 2, .. })));
    assert!(weighted.accuracy(&[], &[]).is_err());
}

/// The mean weight underflows where it is taken without care.
#[test]
fn weights_of_any_size_train() {
    for size in [1e-310, 1e300] {
        let weights = WEIGHTS.map(|weight| weight * size);
        let mut nets = [(); 2].map(|()| builder(Sgd::new(0.1)).build().unwrap());
        let [plain, scaled] = &mut nets;
        let config = FitConfig::new().epochs(2).full_batch();
        plain.fit(&real().with_weights(&WEIGHTS).unwrap(), &config).unwrap();
        scaled.fit(&real().with_weights(&weights).unwrap(), &config).unwrap();
        for t in 0..3 {
            let pairs = plain.params(t).iter().zip(scaled.params(t));
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-9, "{a} not {b}"));
        }
    }
    // In single precision as well.
    let inputs = Examples::from_row_slice(&[0.5f32, -1.0, 2.0], 3, 1).unwrap();
    let data = Dataset::regression(inputs.clone(), inputs).unwrap().with_weights(&[1e-60, 1e60, 0.0]).unwrap();
    let mut net = DecoupledNetwork::<f32>::builder(1).dense(1, Activation::Identity).build().unwrap();
    assert!(net.fit(&data, &FitConfig::new()).unwrap().last().unwrap().train_loss.is_finite());
}

/// What a fit says of data is what it says of the data without the examples of weight 0.
#[test]
fn examples_of_weight_0_are_none_to_warnings() -> Result<()> {
    let data = classes();
    let labels = data.labels().unwrap();
    let own: Vec<usize> = (0..data.len()).filter(|&i| labels[i] == 0).collect();
    let weights: Vec<f64> = labels.iter().map(|&label| if label == 0 { 1.0 } else { 0.0 }).collect();
    let config = FitConfig::new().epochs(50).full_batch();
    let mut without = builder(Sgd::new(0.1)).build()?;
    let mut with = without.clone();
    let expected = without.fit_backprop(&data.select(&own)?, &config)?.warnings;
    let alike = expected.iter().any(|warning| matches!(warning, decoupled::Warning::TargetsAlike { .. }));
    assert!(alike, "{expected:?}");
    assert_eq!(with.fit_backprop(&data.with_weights(&weights)?, &config)?.warnings, expected);
    Ok(())
}
