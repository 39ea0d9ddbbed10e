//! Whatever the builder accepts trains a step without a panic, and whatever is wrong with one part of it is the error of that
//! part. Networks, data and settings are drawn at random; of one that fails the least that still does is printed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use decoupled::bank::Storage;
use decoupled::rand::{SeedableRng, rngs::ChaCha12Rng};
use decoupled::{DecoupledNetwork, Error, FitReport, Method, Result, Scalar};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

use crate::builtin::{self, names};

mod drawing;
mod faults;
mod parts;

use drawing::{Drawing, Kind, drawings};
use faults::{all_are_found, faulty};

/// Holds of so many drawings, the same ones in every run.
fn holds<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng).run(&strategy, property).unwrap_or_else(|failure| panic!("{failure}"));
}

/// An empty folder of this name.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("properties").join(name);
    fs::remove_dir_all(&folder).unwrap_or_default();
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// All that a network has learnt, as bits: parameters, what a bank in memory holds, and the counts.
#[derive(Debug, PartialEq)]
struct State {
    params: Vec<Vec<u64>>,
    bank: Option<Vec<u64>>,
    updates: u64,
    epochs: usize,
}

fn bits<T: Scalar>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.to_f64().to_bits()).collect()
}

fn params<T: Scalar>(network: &DecoupledNetwork<T>) -> Vec<Vec<u64>> {
    (0..network.depth()).map(|t| bits(network.params(t))).collect()
}

fn state<T: Scalar>(network: &DecoupledNetwork<T>) -> State {
    let bank = network.bank();
    State {
        params: params(network),
        bank: bank.map(|bank| (1..=bank.layers()).flat_map(|t| bits(bank.layer(t).as_slice())).collect()),
        updates: network.updates(),
        epochs: network.epochs(),
    }
}

/// All that a fit says, but for how long it took, to the last bit: a NaN is written as one.
fn said(outcome: &Result<FitReport>) -> String {
    let mut outcome = format!(
        "{:?}",
        outcome.as_ref().map(|report| {
            let mut report = report.clone();
            report.epochs.iter_mut().for_each(|epoch| epoch.time = Duration::ZERO);
            report
        })
    );
    outcome.retain(|c| c != '\n');
    outcome
}

fn all_finite<T: Scalar>(network: &DecoupledNetwork<T>) -> bool {
    let bank = network.bank();
    let stored = bank.is_none_or(|bank| (1..=bank.layers()).all(|t| bank.layer(t).iter().all(|z| z.is_finite())));
    stored && (0..network.depth()).all(|t| network.params(t).iter().all(|p| p.is_finite()))
}

/// Whether the documentation of `build` and `fit` has this error for a drawing of that kind.
fn may_be<T: Scalar>(error: &Error, drawing: &Drawing<T>, network: Option<&DecoupledNetwork<T>>) -> bool {
    match error {
        Error::Incapable { .. } | Error::LossMismatch { .. } => drawing.kind == Kind::Mixed && network.is_none(),
        // A fit that ends with a refit of a last layer that has no parameters.
        Error::Unsupported { what: "refitting the last layer", .. } => {
            network.is_some_and(|network| network.params(network.depth() - 1).is_empty())
        }
        // A method whose bank carries something of an example from visit to visit, or closed forms.
        Error::Unsupported { what: "layers with noise (Layer::noise), as Dropout", .. } => {
            drawing.drops() && network.is_none()
        }
        Error::Diverged { .. } | Error::NotFinite { what: "outputs" | "the output loss", .. } => {
            drawing.kind == Kind::Wild
        }
        _ => false,
    }
}

fn trains<T: Scalar>(drawing: &Drawing<T>) -> TestCaseResult {
    let folder = folder(std::any::type_name::<T>());
    let build = |name: &str, threads| drawing.builder_in(&folder, name).threads(threads).build();
    let mut network = match build("one", 1) {
        Ok(network) => network,
        Err(error) => {
            prop_assert!(may_be(&error, drawing, None), "build: {error}");
            return Ok(());
        }
    };
    let mut twin = build("two", 2).unwrap();
    let (before, fresh) = (params(&network), network.clone());
    prop_assert_eq!(state(&network), state(&twin));
    let data = drawing.data(network.output_dim());
    let hash = data.fingerprint();

    let config = drawing.config().validation(&data);
    let outcome = network.fit(&data, &config);
    prop_assert_eq!(said(&outcome), said(&twin.fit(&data, &config)), "at one thread and at two");
    prop_assert_eq!(state(&network), state(&twin), "at one thread and at two");
    prop_assert_eq!(data.fingerprint(), hash);
    prop_assert!(all_finite(&network));
    if drawing.storage() == Storage::Nothing {
        let mut full = drawing.builder().bank_storage(Storage::Full).threads(1).build().unwrap();
        prop_assert_eq!(said(&outcome), said(&full.fit(&data, &config)), "with a bank and without");
        prop_assert_eq!(params(&network), params(&full), "with a bank and without");
    }
    match &outcome {
        Ok(report) => succeeded(drawing, &network, report, &data)?,
        Err(error) => {
            prop_assert!(may_be(error, drawing, Some(&network)), "fit: {error}");
            // The parameters are those of the epochs that stand.
            let mut anew = build("anew", 1).unwrap();
            if network.epochs() > 0 {
                let method = drawing.method().clone().finish(false);
                anew.fit(&data, &drawing.config().method(method).epochs(network.epochs())).unwrap();
            }
            prop_assert_eq!(params(&network), params(&anew), "after {}", error);
        }
    }
    predicts(drawing, &network, &data)?;
    #[cfg(feature = "save")]
    comes_back(&network, &data, &folder.join("saved"))?;

    let mut twin = fresh;
    let outcome = twin.fit_backprop(&data, &config);
    prop_assert!(all_finite(&twin) && twin.bank().is_none());
    match outcome {
        Ok(report) => prop_assert!(report.epochs.iter().all(|epoch| epoch.energy.is_finite())),
        Err(error) => {
            prop_assert!(may_be(&error, drawing, None), "backprop: {error}");
            prop_assert!(twin.epochs() > 0 || params(&twin) == before);
        }
    }
    Ok(())
}

/// What a report is by its documentation.
fn succeeded<T: Scalar>(
    drawing: &Drawing<T>,
    network: &DecoupledNetwork<T>,
    report: &FitReport,
    data: &decoupled::Dataset<T>,
) -> TestCaseResult {
    let depth = network.depth();
    prop_assert_eq!((report.epochs.len(), network.epochs()), (drawing.epochs(), drawing.epochs()));
    let updates = drawing.epochs() * drawing.batches() * drawing.method().parameter_steps(depth);
    prop_assert_eq!(network.updates(), updates as u64);
    for epoch in &report.epochs {
        prop_assert!(epoch.energy.is_finite() && epoch.train_loss.is_finite());
        prop_assert_eq!((epoch.energies.len(), epoch.residuals.len()), (depth, depth - 1));
        prop_assert_eq!((epoch.update_norms.len(), epoch.dead_units.len()), (depth, depth - 1));
        // The energy is the sum of its terms, but for what multipliers add and rounding.
        let (sum, size) = epoch.energies.iter().fold((0.0, 0.0), |(sum, size), e| (sum + e, size + e.abs()));
        prop_assert!((epoch.energy - sum).abs() <= 1e-4 * size, "{} is no sum of {:?}", epoch.energy, epoch.energies);
    }
    let validation = report.last().and_then(|epoch| epoch.validation).unwrap();
    let now = network.evaluate(data);
    match report.refit {
        // Rounding in the sums over examples, which are taken in another order.
        Some(refit) => prop_assert!(refit.after <= refit.before),
        None => prop_assert_eq!(format!("{validation:?}"), format!("{:?}", now.unwrap())),
    }
    Ok(())
}

fn predicts<T: Scalar>(
    drawing: &Drawing<T>,
    network: &DecoupledNetwork<T>,
    data: &decoupled::Dataset<T>,
) -> TestCaseResult {
    let (outputs, activations) = (network.predict(data.inputs()), network.activations(data.inputs()));
    // The last step may have gone where predictions overflow.
    for error in [outputs.as_ref().err(), activations.as_ref().err()].into_iter().flatten() {
        let overflows = match error {
            Error::InLayer { source, .. } => matches!(**source, Error::NotFinite { what: "outputs", .. }),
            error => matches!(error, Error::NotFinite { what: "outputs", .. }),
        };
        prop_assert!(overflows && drawing.kind == Kind::Wild, "{error}");
    }
    let (Ok(outputs), Ok(activations)) = (outputs, activations) else { return Ok(()) };
    prop_assert_eq!(outputs.shape(), (network.output_dim(), data.len()));
    prop_assert_eq!(activations.len(), network.depth());
    prop_assert_eq!(bits(activations[network.depth() - 1].as_slice()), bits(outputs.as_slice()));
    match network.predict_class(data.inputs()) {
        Ok(classes) => {
            prop_assert!(
                classes.len() == data.len() && classes.iter().all(|&class| class < network.output_dim().max(2))
            );
        }
        Err(error) => {
            prop_assert!(matches!(error, Error::Unsupported { what: "predict_class", .. }), "{error}");
            let labels = network.predict_labels(data.inputs()).unwrap();
            prop_assert!(labels.iter().all(|&label| label == T::zero() || label == T::one()));
        }
    }
    Ok(())
}

#[cfg(feature = "save")]
fn comes_back<T: Scalar>(
    network: &DecoupledNetwork<T>,
    data: &decoupled::Dataset<T>,
    path: &std::path::Path,
) -> TestCaseResult {
    if network.param_count() == 0 {
        let refused = matches!(network.save(path), Err(Error::Empty { .. }));
        prop_assert!(refused);
        return Ok(());
    }
    network.save(path).unwrap();
    let loaded = DecoupledNetwork::<T>::load(path).unwrap();
    prop_assert_eq!(params(&loaded), params(network));
    let said = |network: &DecoupledNetwork<T>| {
        format!("{:?}", network.predict(data.inputs()).map(|outputs| bits(outputs.as_slice())))
    };
    let [own, its] = [network, &loaded].map(said);
    prop_assert_eq!(own, its);
    Ok(())
}

/// The values of a strategy, the same ones in every run.
fn drawn<S: Strategy>(strategy: S) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..500).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn every_built_in_part_is_drawn() {
    let circuits: String =
        drawn(drawings::<f64>()).iter().map(|drawing| format!("{:?}", drawing.circuit().build())).collect();
    for layer in names(builtin::layers::<f64>(&mut ChaCha12Rng::seed_from_u64(0))) {
        assert!(circuits.contains(&format!("{layer} {{")), "no {layer}");
    }
    assert_eq!(names(drawn(parts::output_losses::<f64>())), names(builtin::losses::<f64>()));
    let serving = builtin::losses::<f64>().into_iter().filter(|loss| loss.serves_hidden());
    assert_eq!(names(drawn(parts::hidden_losses::<f64>())), names(serving));
    assert_eq!(names(drawn(parts::rules::<f64>(false))), names(builtin::optimizers::<f64>()));
    assert_eq!(names(drawn(parts::schedules())), names(builtin::schedules()));
    let methods = [drawn(parts::gradient_methods::<f64>(false)), drawn(parts::exact_methods())].concat();
    assert_eq!(names(methods.iter().map(Method::activation_step)), names(builtin::activation_steps::<f64>()));
}

#[test]
fn whatever_is_built_in_single_precision_trains_or_says_why_not() {
    holds(600, drawings::<f32>(), |drawing| trains(&drawing));
}

#[test]
fn whatever_is_built_in_double_precision_trains_or_says_why_not() {
    holds(600, drawings::<f64>(), |drawing| trains(&drawing));
}

#[test]
fn one_thing_wrong_is_the_error_of_that_thing_and_changes_nothing() {
    holds(25, faulty::<f32>(), |faulty| all_are_found(&faulty));
    holds(25, faulty::<f64>(), |faulty| all_are_found(&faulty));
}
