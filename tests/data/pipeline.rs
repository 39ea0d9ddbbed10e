//! Whatever is fitted on data is fitted inside every fold: pipelines, and searches over them.

use std::sync::{Arc, Mutex};

use decoupled::data::{self, Examples, Scaler, Scaling};
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::observer::EarlyStopping;
use decoupled::optimizer::Adam;
use decoupled::rand::{SeedableRng, rngs::ChaCha12Rng};
use decoupled::search::{Candidate, Scoring, Search, SearchReport, Space};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, MatRef, Pipeline, Result, Scalar, StopReason,
};

/// Two moons far from one, and stretched.
fn moons() -> Dataset<f32> {
    let moons = data::two_moons::<f32>(60, 0.2, 1).unwrap();
    let stretch = |example: &[f32]| [1000.0 + 250.0 * example[0], 1e-3 * example[1]];
    let inputs = Examples::from_rows(&moons.inputs().columns().map(stretch).collect::<Vec<_>>()).unwrap();
    Dataset::classification(inputs, moons.labels().unwrap(), 2).unwrap()
}

fn network(rate: f64) -> Result<DecoupledNetwork<f32>> {
    let builder = DecoupledNetwork::builder(2).dense(6, Activation::Tanh).dense(2, Activation::Identity);
    builder.output_loss(SoftmaxCrossEntropy::new()).optimizer(Adam::new(rate)).seed(4).build()
}

const RATES: [f64; 3] = [0.003, 0.03, 0.1];

fn rates() -> Search {
    Search::grid(Space::new().choices("rate", &RATES)).cv(3).seed(7)
}

/// The scores of every candidate, bit for bit.
fn bits(report: &SearchReport) -> Vec<Vec<u64>> {
    let of = |scores: &Vec<f64>| scores.iter().map(|score| score.to_bits()).collect();
    report.trials.iter().map(|trial| of(trial.scores.as_ref().unwrap())).collect()
}

/// By a loop that knows of no search.
fn by_hand(data: &Dataset<f32>, score: impl Fn(f64, &Dataset<f32>, &Dataset<f32>) -> Result<f64>) -> Vec<Vec<u64>> {
    let folds = data.k_folds(3, 7).unwrap();
    let of = |rate| folds.iter().map(|(train, held_out)| score(rate, train, held_out).unwrap().to_bits()).collect();
    RATES.into_iter().map(of).collect()
}

#[test]
fn the_scaler_of_a_fold_is_that_of_its_training_part() -> Result<()> {
    let moons = moons();
    let pipeline = Pipeline::new(network(0.01)?, FitConfig::new().epochs(1)).scale_inputs(Scaling::Standard);
    let mut centers = Vec::new();
    for (train, _) in moons.k_folds(4, 0)? {
        let (model, _) = pipeline.fit(&train)?;
        let scaler = model.input_scaler.unwrap();
        for row in 0..2 {
            let feature: Vec<f64> = train.inputs().columns().map(|example| f64::from(example[row])).collect();
            let mean = feature.iter().sum::<f64>() / feature.len() as f64;
            let variance = feature.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / feature.len() as f64;
            // One standard deviation above the mean is 1, and the mean 0.
            let probe = [mean, mean + variance.sqrt()].map(|x| if row == 0 { [x, 0.0] } else { [0.0, x] });
            let scaled = scaler.apply(&Examples::from_rows(&probe)?)?;
            assert!(scaled.matrix().column(0)[row].abs() < 1e-9);
            assert!((scaled.matrix().column(1)[row] - 1.0).abs() < 1e-9);
        }
        centers.push(scaler);
    }
    assert!((1..4).all(|fold| centers[fold] != centers[0]), "every fold has another scaler");
    Ok(())
}

#[test]
fn scores_of_a_search_are_those_of_a_loop_over_folds_at_any_number_of_threads() -> Result<()> {
    let moons = moons();
    let config = || FitConfig::new().epochs(12).batch_size(10);
    for scoring in [Scoring::Score, Scoring::Loss] {
        let expected = by_hand(&moons, |rate, train, held_out| {
            let scaler = Scaler::standard(train.inputs())?;
            let (train, held_out) = (scaler.scale_inputs(train)?, scaler.scale_inputs(held_out)?);
            let mut network = network(rate)?;
            network.fit(&train, &config())?;
            match scoring {
                Scoring::Score => network.score(&held_out),
                _ => Ok(network.evaluate(&held_out)?.loss),
            }
        });
        for threads in [1, 2, 8] {
            let report = rates().scoring(scoring).threads(threads).fit(&moons, |candidate| {
                Ok(Pipeline::new(network(candidate.get("rate")?)?, config()).scale_inputs(Scaling::Standard))
            })?;
            assert_eq!(bits(&report), expected, "{scoring:?}, {threads} threads");
        }
    }
    Ok(())
}

/// R² of predictions in real units, whatever the fold's scaler; that of a loop by hand.
#[test]
fn targets_are_scaled_inside_the_folds_and_judged_in_their_units() -> Result<()> {
    let sine = data::sine::<f64>(40, 0.1, 0)?;
    let far: Vec<f64> = sine.targets().as_slice().iter().map(|y| 5e4 + 2e3 * y).collect();
    let inputs = Examples::from_row_slice(sine.inputs().as_slice(), 40, 1)?;
    let data = Dataset::regression(inputs, Examples::from_row_slice(&far, 40, 1)?)?;
    let network =
        || DecoupledNetwork::<f64>::builder(1).dense(8, Activation::Tanh).dense(1, Activation::Identity).build();
    let config = || FitConfig::new().epochs(30).batch_size(8);
    let report = Search::grid(Space::new().choices("one", &[1.0])).cv(3).fit(&data, |_| {
        Ok(Pipeline::new(network()?, config()).scale_inputs(Scaling::Standard).scale_targets(Scaling::Standard))
    })?;
    let scores = report.trials[0].scores.as_ref().unwrap();
    for ((train, held_out), score) in data.k_folds(3, 0)?.iter().zip(scores) {
        let (inputs, targets) = (Scaler::standard(train.inputs())?, Scaler::standard(train.targets())?);
        let mut network = network()?;
        network.fit(&targets.scale_targets(&inputs.scale_inputs(train)?)?, &config())?;
        let predicted = targets.invert(&network.predict(&inputs.apply(held_out.inputs())?)?)?;
        let (truth, predicted) = (held_out.targets().as_slice(), predicted.matrix().as_slice());
        let mean = truth.iter().sum::<f64>() / truth.len() as f64;
        let error: f64 = truth.iter().zip(predicted).map(|(y, p)| (y - p).powi(2)).sum();
        let r2 = 1.0 - error / truth.iter().map(|y| (y - mean).powi(2)).sum::<f64>();
        assert!((score - r2).abs() < 1e-9, "{score} for {r2}");
    }
    Ok(())
}

const FEATURES: usize = 400;
const CHOSEN: usize = 10;

/// Noise, with labels that nothing tells.
fn noise(seed: u64) -> Dataset<f64> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let inputs: Vec<f64> = (0..50 * FEATURES).map(|_| f64::standard_normal(&mut rng)).collect();
    let labels: Vec<usize> = (0..50).map(|i| i % 2).collect();
    Dataset::classification(Examples::from_row_slice(&inputs, 50, FEATURES).unwrap(), &labels, 2).unwrap()
}

/// Keeps the features whose means in the two classes are furthest apart: a step that sees the targets.
fn choose(train: &Dataset<f64>) -> Result<impl Fn(MatRef<'_, f64>) -> Result<Examples<f64>> + Send + Sync + use<>> {
    let labels = train.labels().unwrap();
    let apart = |row: &usize| {
        let signed = |(example, label): (&[f64], &usize)| if *label == 0 { example[*row] } else { -example[*row] };
        train.inputs().columns().zip(labels).map(signed).sum::<f64>().abs()
    };
    let mut rows: Vec<usize> = (0..train.input_dim()).collect();
    rows.sort_by(|a, b| apart(b).total_cmp(&apart(a)));
    rows.truncate(CHOSEN);
    Ok(move |inputs: MatRef<'_, f64>| {
        let pick = |example: &[f64]| rows.iter().map(|&row| example[row]).collect::<Vec<_>>();
        Examples::from_rows(&inputs.columns().map(pick).collect::<Vec<_>>())
    })
}

/// scikit-learn shows the same in "Common pitfalls and recommended practices" (features chosen on all data: accuracy 0.76 on noise;
/// in a pipeline: 0.46).
#[test]
fn a_step_that_sees_targets_leaks_nothing_inside_the_folds() -> Result<()> {
    let (mut outside, mut inside) = (0.0, 0.0);
    for seed in 0..6 {
        let data = noise(seed);
        let pipeline = || {
            let builder = DecoupledNetwork::builder(CHOSEN).dense(2, Activation::Identity);
            let network = builder.output_loss(SoftmaxCrossEntropy::new()).optimizer(Adam::new(0.05)).build()?;
            Ok::<_, Error>(Pipeline::new(network, FitConfig::new().epochs(15).full_batch()))
        };
        let search = Search::grid(Space::new().choices("one", &[1.0])).cv(5).seed(seed);
        let mean = |report: SearchReport| report.trials[0].mean_test_score().unwrap() / 6.0;
        let chosen = choose(&data)?(data.inputs())?;
        let leaked = Dataset::classification(chosen, data.labels().unwrap(), 2)?;
        outside += mean(search.fit(&leaked, |_| pipeline())?);
        inside += mean(search.fit(&data, |_| Ok(pipeline()?.step(choose)))?);
    }
    // 300 draws of a fair coin: a standard deviation of 0.029.
    assert!(outside > 0.7, "chosen on all data: {outside}");
    assert!((inside - 0.5).abs() < 0.1, "chosen inside the folds: {inside}");
    Ok(())
}

#[test]
fn a_step_is_fitted_on_training_parts_and_nothing_else() -> Result<()> {
    let (moons, seen) = (moons(), Mutex::new(Vec::new()));
    let search = Search::grid(Space::new().choices("one", &[1.0])).cv(4).threads(1);
    let report = search.fit(&moons, |_| {
        let spy = |train: &Dataset<f32>| {
            seen.lock().unwrap().push(train.fingerprint());
            Scaler::min_max(train.inputs())
        };
        Ok(Pipeline::new(network(0.01)?, FitConfig::new().epochs(1)).step(spy))
    })?;
    assert!(report.trials[0].scores.is_ok());
    let expected: Vec<u64> = moons.k_folds(4, 0)?.iter().map(|(train, _)| train.fingerprint()).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
    Ok(())
}

#[test]
fn early_stopping_in_every_fold_starts_anew_and_sees_a_part_of_the_training_part() -> Result<()> {
    let moons = moons();
    let config = || FitConfig::new().epochs(200).batch_size(10).seed(5);
    let stopping = || EarlyStopping::new().patience(4).restore_best_weights();
    let stops = Mutex::new(Vec::new());
    let expected = by_hand(&moons, |rate, train, held_out| {
        let scaler = Scaler::standard(train.inputs())?;
        let (train, held_out) = (scaler.scale_inputs(train)?, scaler.scale_inputs(held_out)?);
        let (rest, validation) = train.stratified_split(0.8, 5)?;
        let mut network = network(rate)?;
        let config = config().validation(&validation);
        let report = network.fit_observed(&rest, &config, &mut [&mut stopping()])?;
        stops.lock().unwrap().push((report.stop, report.epochs.len()));
        network.score(&held_out)
    });
    let stops = stops.into_inner().unwrap();
    assert!(stops.iter().any(|(stop, epochs)| *stop == StopReason::EarlyStopping && *epochs < 200), "{stops:?}");
    for threads in [1, 2, 8] {
        let epochs = Arc::new(Mutex::new(0));
        let report = rates().threads(threads).fit(&moons, |candidate| {
            let epochs = Arc::clone(&epochs);
            let count = move |_: &EpochReport| {
                *epochs.lock().unwrap() += 1;
                std::ops::ControlFlow::Continue(())
            };
            let pipeline = Pipeline::new(network(candidate.get("rate")?)?, config().validation_fraction(0.2));
            Ok(pipeline.scale_inputs(Scaling::Standard).observer(stopping()).observer(count))
        })?;
        assert_eq!(bits(&report), expected, "{threads} threads");
        assert_eq!(*epochs.lock().unwrap(), stops.iter().map(|(_, epochs)| epochs).sum::<usize>());
    }
    Ok(())
}

#[test]
fn candidates_are_trained_by_backpropagation_where_asked() -> Result<()> {
    let moons = moons();
    let config = || FitConfig::new().epochs(12).batch_size(10);
    let expected = by_hand(&moons, |rate, train, held_out| {
        let scaler = Scaler::standard(train.inputs())?;
        let mut network = network(rate)?;
        network.fit_backprop(&scaler.scale_inputs(train)?, &config())?;
        Ok(network.evaluate(&scaler.scale_inputs(held_out)?)?.loss)
    });
    let search = |backprop: bool| {
        rates().scoring(Scoring::Loss).fit(&moons, |candidate| {
            let pipeline = Pipeline::new(network(candidate.get("rate")?)?, config()).scale_inputs(Scaling::Standard);
            Ok(if backprop { pipeline.backprop() } else { pipeline })
        })
    };
    assert_eq!(bits(&search(true)?), expected);
    assert_ne!(bits(&search(false)?), expected);
    Ok(())
}

#[test]
fn the_best_candidate_is_fitted_on_all_data() -> Result<()> {
    let moons = moons();
    let build = |candidate: &Candidate| {
        let config = FitConfig::new().epochs(12).batch_size(10);
        Ok(Pipeline::new(network(candidate.get("rate")?)?, config).scale_inputs(Scaling::Standard))
    };
    let report = rates().fit(&moons, build)?;
    let means: Vec<f64> = report.trials.iter().map(|trial| trial.mean_test_score().unwrap()).collect();
    let most = means.iter().copied().fold(f64::MIN, f64::max);
    let best = means.iter().position(|mean| *mean == most).unwrap();
    assert_eq!(report.best_index(), Some(best));
    assert_eq!(report.best().unwrap().candidate.get("rate")?, RATES[best]);

    let (model, fit) = report.refit(&moons, build)?;
    let scaler = Scaler::standard(moons.inputs())?;
    let mut by_hand = network(RATES[best])?;
    let expected = by_hand.fit(&scaler.scale_inputs(&moons)?, &FitConfig::new().epochs(12).batch_size(10))?;
    assert_eq!(fit.last().unwrap().train_loss.to_bits(), expected.last().unwrap().train_loss.to_bits());
    assert_eq!((model.input_scaler, model.network.params(0)), (Some(scaler), by_hand.params(0)));

    let none = rates().fit(&moons, |_| -> Result<Pipeline<'_, f32>> { Err(Error::Empty { what: "luck" }) })?;
    assert_eq!(none.best_index(), None);
    assert!(matches!(none.refit(&moons, build), Err(Error::Empty { .. })));
    Ok(())
}

#[test]
fn validation_data_pass_through_the_steps_as_they_were_fitted() -> Result<()> {
    let (train, validation) = moons().stratified_split(0.7, 0)?;
    let config = FitConfig::new().epochs(6).batch_size(10).validation(&validation);
    let halve = |_: &Dataset<f32>| {
        Ok(|inputs: MatRef<'_, f32>| {
            Examples::from_rows(&inputs.columns().map(|x| [0.5 * x[0], 0.5 * x[1]]).collect::<Vec<_>>())
        })
    };
    let pipeline = Pipeline::new(network(0.01)?, config).step(halve).scale_inputs(Scaling::MinMax);
    let (model, report) = pipeline.fit(&train)?;
    assert_eq!(report.last().unwrap().validation, Some(model.evaluate(&validation)?));
    Ok(())
}

#[test]
fn a_fraction_to_validate_on_is_a_split_by_hand() -> Result<()> {
    let moons = data::two_moons::<f32>(50, 0.1, 0)?;
    let config = || FitConfig::new().epochs(4).batch_size(10).seed(3);
    let (train, validation) = moons.stratified_split(0.7, 3)?;
    let count = |data: &Dataset<f32>| data.labels().unwrap().iter().filter(|label| **label == 0).count();
    assert_eq!((train.len(), validation.len(), 2 * count(&train)), (35, 15, 35 + 35 % 2));
    for backprop in [false, true] {
        let fit = |data: &Dataset<f32>, config: FitConfig<'_, f32>| {
            let mut network = network(0.01)?;
            let report = if backprop { network.fit_backprop(data, &config) } else { network.fit(data, &config) }?;
            Ok::<_, Error>((network.params(0).to_vec(), report.last().unwrap().validation))
        };
        let cut = fit(&moons, config().validation_fraction(0.3))?;
        assert_eq!(cut, fit(&train, config().validation(&validation))?);
        for fraction in [0.0, 1.0, -0.1, f64::NAN] {
            let found = fit(&moons, config().validation_fraction(fraction));
            assert!(matches!(found, Err(Error::HyperParameter { name: "validation_fraction", .. })), "{found:?}");
        }
        let found = fit(&moons, config().validation(&validation).validation_fraction(0.3));
        assert!(matches!(found, Err(Error::Unsupported { what: "validation_fraction", .. })), "{found:?}");
    }
    // Numbers are not stratified.
    let sine = data::sine::<f64>(20, 0.1, 0)?;
    let network = || DecoupledNetwork::<f64>::builder(1).dense(1, Activation::Identity).build();
    let (mut cut, mut by_hand) = (network()?, network()?);
    cut.fit(&sine, &FitConfig::new().seed(2).validation_fraction(0.25))?;
    let (train, validation) = sine.split(0.75, 2)?;
    by_hand.fit(&train, &FitConfig::new().seed(2).validation(&validation))?;
    assert_eq!(cut.params(0), by_hand.params(0));
    Ok(())
}

#[test]
fn a_step_fills_in_what_is_missing() -> Result<()> {
    let rows = [[0.0, 1.0], [f64::NAN, 2.0], [4.0, f64::NAN], [2.0, 6.0]];
    let inputs = Examples::from_rows(&rows)?.with_missing();
    let data = Dataset::regression(inputs, Examples::from_rows(&[[1.0], [2.0], [3.0], [4.0]])?)?;
    let fill = |train: &Dataset<f64>| {
        let means = train.known_means()?;
        Ok(move |inputs: MatRef<'_, f64>| {
            let fill = |(x, mean): (&f64, &f64)| if x.is_nan() { *mean } else { *x };
            let fill = |example: &[f64]| example.iter().zip(&means).map(fill).collect::<Vec<_>>();
            Examples::from_rows(&inputs.columns().map(fill).collect::<Vec<_>>())
        })
    };
    let network = || DecoupledNetwork::builder(2).dense(1, Activation::Identity).build();
    let pipeline = Pipeline::new(network()?, FitConfig::new().epochs(2)).backprop();
    assert!(matches!(pipeline.fit(&data), Err(Error::NotFinite { .. })), "backpropagation has no bank");
    let (model, _) = pipeline.step(fill).fit(&data)?;
    assert_eq!(model.predict(&[f64::NAN, 3.0][..])?, model.predict(&[2.0, f64::NAN][..])?);
    Ok(())
}

#[test]
fn errors_of_steps_end_a_fit_and_leave_the_pipeline_as_it_was() -> Result<()> {
    let moons = moons();
    let pipeline = Pipeline::new(network(0.01)?, FitConfig::new().epochs(2));
    let found = pipeline.clone().scale_targets(Scaling::Standard).fit(&moons).unwrap_err();
    assert!(matches!(found, Error::Unsupported { what: "scale_targets", .. }), "{found}");
    let found = pipeline.clone().step(|_| -> Result<Scaler> { Err(Error::Empty { what: "it" }) }).fit(&moons);
    assert!(matches!(found, Err(Error::Empty { what: "it" })));
    let one = |_: &Dataset<f32>| Ok(|_: MatRef<'_, f32>| Examples::from_rows(&[[1.0f32, 2.0]]));
    let found = pipeline.clone().step(one).fit(&moons).unwrap_err();
    assert!(matches!(found, Error::Shape { expected: 60, found: 1, .. }), "{found}");
    // A fit starts from the network as it was given.
    let params = |(model, _): (decoupled::Model<f32>, _)| model.network.params(0).to_vec();
    assert_eq!(params(pipeline.fit(&moons)?), params(pipeline.fit(&moons)?));
    Ok(())
}

#[test]
fn observers_that_cannot_be_copied_watch_a_single_fit_beside_the_others() -> Result<()> {
    let moons = moons();
    let config = FitConfig::new().epochs(9).batch_size(10).validation_fraction(0.2);
    let pipeline = Pipeline::new(network(0.01)?, config).observer(EarlyStopping::new().patience(1).min_delta(1e3));
    let (mut losses, mut own) = (Vec::new(), EarlyStopping::new().patience(9));
    let mut watch = |epoch: &EpochReport| {
        losses.push(epoch.train_loss);
        std::ops::ControlFlow::Continue(())
    };
    let (_, report) = pipeline.fit_observed(&moons, &mut [&mut watch, &mut own])?;
    // No epoch after the first is better by 1000.
    assert_eq!((report.stop, report.epochs.len(), losses.len()), (StopReason::EarlyStopping, 2, 2));
    assert!(own.best().is_some());
    Ok(())
}
