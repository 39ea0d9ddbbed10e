//! Settings in JSON: what comes back trains as what was written, and what is refused says why.

use std::sync::Arc;

use decoupled::bank::Storage;
use decoupled::data::Augmentation;
use decoupled::layer::{Activation, Conv1d, Dense, Init, Residual};
use decoupled::loss::{Huber, SoftmaxCrossEntropy, SquaredError};
use decoupled::method::activation_step::{Memory, Prepared};
use decoupled::method::energy::Objective;
use decoupled::method::{Block, ErrorSteps, Group, Multipliers, Order, Penalty, PenaltyIncrease, Stall, Start, Sweeps};
use decoupled::metrics::Average;
use decoupled::network::InferConfig;
use decoupled::observer::{EarlyStopping, Every, Mode, Monitor, OnNewBest, ReduceLrOnPlateau};
use decoupled::optimizer::{Adam, ClipNorm, Schedule, Scheduled, Sgd, Step};
use decoupled::rand::{SeedableRng, rngs::ChaCha12Rng};
use decoupled::search::{Scoring, Search, Space};
use decoupled::{
    ActivationStep, Dataset, DecoupledNetwork, FitConfig, Layer, Loss, Method, Metric, NetworkBuilder, Optimizer,
    Result, Scalar, data,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::builtin;

/// Settings of windows that a pool has no setters for, and would ignore.
#[test]
fn a_pool_with_padding_or_dilation_is_refused() {
    let builder = || DecoupledNetwork::<f64>::builder([1, 3, 3]).max_pool2d([2, 2]);
    let text = serde_json::to_string(&builder()).unwrap();
    let built = |text: &str| serde_json::from_str::<NetworkBuilder<f64>>(text).unwrap().build();
    assert!(built(&text).is_ok());
    for (plain, bad, name) in [
        ("\"padding\":[0,0]", "\"padding\":[0,1]", "padding of Pool2d"),
        ("\"dilation\":[1,1]", "\"dilation\":[1,2]", "dilation of Pool2d"),
    ] {
        assert!(text.contains(plain), "{text}");
        let error = built(&text.replace(plain, bad)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// Settings of rows, which a sequence has none of.
#[test]
fn a_convolution_of_sequences_with_rows_is_refused() {
    let builder = DecoupledNetwork::<f64>::builder([2, 5]).layer(Conv1d::new([2, 5], 3, 4));
    let text = serde_json::to_string(&builder).unwrap();
    for (plain, bad, name) in [
        ("\"kernel\":[1,4]", "\"kernel\":[2,4]", "rows of a kernel of Conv1d"),
        ("\"padding\":[0,0]", "\"padding\":[1,0]", "rows of padding of Conv1d"),
    ] {
        assert!(text.contains(plain), "{text}");
        let builder: NetworkBuilder<f64> = serde_json::from_str(&text.replace(plain, bad)).unwrap();
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// The form of a block without a projection is older than projections.
#[test]
fn a_block_names_its_projection_only_where_it_has_one() {
    let of = |layer: Residual<f64>| Layer::<f64>::describe(&layer).map(|said| serde_json::to_value(said).unwrap());
    let dense = |output| serde_json::to_value(Layer::<f64>::describe(&Dense::new(2, output))).unwrap();
    let block = Residual::new(Dense::new(2, 2));
    assert_eq!(of(block), Some(json!({ "kind": "Residual", "settings": { "inner": dense(2) } })));
    let block = Residual::new(Dense::new(2, 3)).projection(Dense::new(2, 3));
    let settings = json!({ "inner": dense(3), "projection": dense(3) });
    assert_eq!(of(block), Some(json!({ "kind": "Residual", "settings": settings })));
}

/// By way of JSON; what prints itself as another is no copy.
fn copy<S: Serialize + DeserializeOwned + std::fmt::Debug>(setting: &S) -> S {
    let text = serde_json::to_string(setting).unwrap();
    let copy = serde_json::from_str(&text).unwrap();
    assert_eq!(format!("{copy:?}"), format!("{setting:?}"), "{text}");
    copy
}

fn refused<S: DeserializeOwned>(value: Value) -> String {
    match serde_json::from_value::<S>(value.clone()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{value} was accepted"),
    }
}

fn few<T: Scalar>() -> Dataset<T> {
    let all = data::digits::<T>().unwrap();
    all.select(&(0..48).collect::<Vec<_>>()).unwrap()
}

/// All parameters after two epochs.
fn trained<T: Scalar>(optimizer: impl Optimizer<T> + 'static, config: &FitConfig<'_, T>) -> Vec<u64> {
    let data = few();
    let mut network = DecoupledNetwork::builder(data.input_dim())
        .store_pre_activations()
        .dense(5, Activation::Relu)
        .dense(10, Activation::Identity)
        .output_loss(SquaredError)
        .optimizer(optimizer)
        .threads(1)
        .build()
        .unwrap();
    network.fit(&data, config).unwrap();
    (0..network.depth()).flat_map(|t| network.params(t)).map(|p| p.to_f64().to_bits()).collect()
}

fn methods<T: Scalar>() -> Vec<Method<T>> {
    let cosine = Schedule::Cosine { total: 9, floor: 0.1 };
    let reverse = Sweeps::new(Order::ReverseGaussSeidel, 2, 0.1);
    let own = [
        Method::predictive_coding(2, 0.1)
            .start(Start::Blend(1.0 / 3.0))
            .activation(reverse.optimizer(Scheduled::new(Adam::new(1e-2), cosine)))
            .penalty(Penalty::Raised(PenaltyIncrease::when(Stall::Residual)))
            .multipliers(Multipliers::kept()),
        Method::error_based(2, 0.1).activation(ErrorSteps::new(2, 0.1).optimizer(Sgd::new(0.05).momentum(0.5))),
    ];
    builtin::methods().into_iter().map(|(_, method)| method).chain(own).collect()
}

fn every_method_trains_alike<T: Scalar>() {
    for method in methods::<T>() {
        let bits = |method: &Method<T>| {
            trained(Adam::new(1e-3), &FitConfig::new().epochs(2).batch_size(16).method(method.clone()))
        };
        assert_eq!(bits(&copy(&method)), bits(&method), "{method:?}");
    }
}

#[test]
fn a_method_from_json_trains_to_the_same_bits() {
    every_method_trains_alike::<f32>();
    every_method_trains_alike::<f64>();
}

#[test]
fn an_optimizer_from_json_trains_to_the_same_bits() {
    let config = FitConfig::new().epochs(2).batch_size(16);
    for optimizer in builtin::optimizers::<f32>() {
        let own = copy(&optimizer);
        let name = format!("{optimizer:?}");
        assert_eq!(trained(own, &config), trained(optimizer, &config), "{name}");
    }
}

#[test]
fn a_fit_from_json_is_the_same_but_for_its_data_and_metric() {
    let data = few::<f64>();
    let plain = FitConfig::new()
        .method(Method::joint(0.1))
        .epochs(3)
        .batch_size(7)
        .seed(u64::MAX)
        .shuffle_blocks(20)
        .measure_decoupling(2, 5);
    assert_eq!(trained(Adam::new(1e-3), &copy(&plain)), trained(Adam::new(1e-3), &plain));
    let augmentation = Augmentation::new([3, 4, 5]).shift(2).flip();
    let full = FitConfig::<f64>::new().full_batch().accumulate(2).augment(augmentation);
    assert_eq!(format!("{:?}", copy(&full)), format!("{full:?}"));
    assert_eq!(serde_json::to_value(&full).unwrap()["batch_size"], "full");
    let whole = plain.clone().validation(&data).metric(Metric::accuracy());
    assert_eq!(serde_json::to_value(&whole).unwrap(), serde_json::to_value(&plain).unwrap());
    copy(&InferConfig::new().steps(3).tolerance(0.1 + 0.2));
}

/// A network, its method and how it ends: all that an experiment consists of but its data.
#[test]
fn an_experiment_from_json_has_the_same_outcome() {
    let data = few::<f32>();
    let builder = DecoupledNetwork::builder(data.input_dim())
        .dense_with(7, Activation::Tanh, Init::he_uniform().gain(0.1 + 0.2))
        .layer(Residual::new(Dense::new(7, 7)))
        .dense(10, Activation::Identity)
        .output_loss(SoftmaxCrossEntropy::new().label_smoothing(0.1))
        .hidden_loss(Huber::new(1.0 / 3.0))
        .penalty(0.3)
        .layer_penalty(2, 0.7)
        .optimizer(Adam::new(1e-2))
        .layer_optimizer(1, Sgd::new(0.03))
        .freeze(1)
        .method(Method::joint(0.1))
        .bank_storage(Storage::Bf16)
        .seed(3);
    let stopping = EarlyStopping::new().monitor(Monitor::TrainLoss).mode(Mode::Max).patience(2).restore_best_weights();
    let outcome = |builder: NetworkBuilder<f32>, mut stopping: Every<EarlyStopping>| {
        let mut network = builder.build().unwrap();
        let config = FitConfig::new().epochs(9).batch_size(16);
        let report = network.fit_observed(&data, &config, &mut [&mut stopping]).unwrap();
        let params: Vec<u32> = (0..network.depth()).flat_map(|t| network.params(t)).map(|p| p.to_bits()).collect();
        (report.epochs.len(), params, format!("{stopping:?}"))
    };
    let own = outcome(builder.clone(), Every::new(2, stopping.clone()));
    assert_eq!(own.0, 6, "the options count: a loss that falls is no better, and every other epoch is seen");
    assert_eq!(outcome(copy(&builder), copy(&Every::new(2, stopping.clone()))), own);
    copy(&OnNewBest::new(stopping));
    // Where no number of threads is set, none is written: another machine has others.
    let value = |builder: &NetworkBuilder<f32>| serde_json::to_value(builder).unwrap();
    assert_eq!(value(&builder)["threads"], Value::Null);
    assert_eq!(value(&builder.clone().threads(2))["threads"], 2);
    // So is the storage: one that keeps nothing comes back as such, and trains to the same bits.
    let nothing = builder.bank_storage(Storage::Nothing).method(Method::local_targets(2));
    assert_eq!(value(&nothing)["storage"], "Nothing");
    let bytes = |builder: NetworkBuilder<f32>| {
        let mut network = builder.build().unwrap();
        network.fit(&data, &FitConfig::new().epochs(1)).unwrap();
        network.bank().unwrap().bytes()
    };
    assert_eq!([bytes(copy(&nothing)), bytes(nothing)], [16 * data.len(); 2]);
}

#[test]
fn a_batch_size_is_a_number_or_full() {
    for (wrong, found) in [(json!(null), "null"), (json!("all"), "string \"all\""), (json!(-3), "integer `-3`")] {
        let refused =
            serde_json::from_value::<FitConfig<'_, f32>>(json!({ "batch_size": wrong })).unwrap_err().to_string();
        let expected = format!("{found}, expected a number of examples, or \"full\" for all in one batch");
        assert!(refused.ends_with(&expected), "{refused}");
    }
}

#[test]
fn what_json_does_not_name_has_its_default() {
    let fit: FitConfig<'_, f32> = serde_json::from_value(json!({"epochs": 2, "batch_size": 16})).unwrap();
    assert_eq!(format!("{fit:?}"), format!("{:?}", FitConfig::<f32>::new().epochs(2).batch_size(16)));
    let stopping: EarlyStopping = serde_json::from_value(json!({"patience": 10, "min_delta": 0.01})).unwrap();
    assert_eq!(stopping, EarlyStopping::new().patience(10).min_delta(0.01));
    let reduce: ReduceLrOnPlateau = serde_json::from_value(json!({"patience": 3, "min_factor": 0.01})).unwrap();
    assert_eq!(reduce, ReduceLrOnPlateau::new().patience(3).min_factor(0.01));
    let infer: InferConfig = serde_json::from_value(json!({"steps": 3})).unwrap();
    assert_eq!(infer, InferConfig::new().steps(3));
}

/// A fit begins from nothing that another has counted.
#[test]
fn an_observer_in_json_is_its_options_alone() {
    let data = few::<f32>();
    let fresh = EarlyStopping::new().patience(1).min_delta(1e-3).restore_best_weights();
    let mut used = fresh.clone();
    let mut network = DecoupledNetwork::builder(data.input_dim()).dense(10, Activation::Identity).build().unwrap();
    network.fit_observed(&data, &FitConfig::new().epochs(2), &mut [&mut used]).unwrap();
    assert_ne!(used, fresh);
    let text = serde_json::to_string(&used).unwrap();
    assert_eq!(serde_json::from_str::<EarlyStopping>(&text).unwrap(), fresh);

    let fresh =
        ReduceLrOnPlateau::new().monitor(Monitor::TrainLoss).mode(Mode::Max).factor(0.3).cooldown(1).patience(1);
    let mut used = fresh.clone();
    network.fit_observed(&data, &FitConfig::new().epochs(2), &mut [&mut used]).unwrap();
    assert_ne!(used, fresh);
    let text = serde_json::to_string(&used).unwrap();
    assert_eq!(serde_json::from_str::<ReduceLrOnPlateau>(&text).unwrap(), fresh);
}

#[test]
fn a_search_from_json_tries_the_same_candidates() {
    let data = few::<f32>();
    let tried = |search: &Search| {
        let report = search.fit(&data, |candidate| {
            let rate = candidate.get("rate")?;
            let builder = DecoupledNetwork::builder(data.input_dim()).dense(10, Activation::Identity);
            Ok((builder.optimizer(Sgd::new(rate)).build()?, FitConfig::new().epochs(1).batch_size(16)))
        });
        format!("{:?}", report.unwrap())
    };
    let space = Space::new().log_uniform("rate", 1e-4, 0.1 + 0.2).uniform("even", -1.0, 1.0).choices("of", &[1.0, 3.0]);
    let drawn = Search::randomized(space, 3).cv(2).scoring(Scoring::Loss).seed(u64::MAX).threads(1);
    let grid = Search::grid(Space::new().choices("rate", &[0.1, 0.01])).cv(3);
    for search in [drawn, grid] {
        assert_eq!(tried(&copy(&search)), tried(&search));
    }
    copy(&Average::Weighted);
}

#[cfg(feature = "csv")]
#[test]
fn how_a_table_is_read_comes_back_from_json() {
    use decoupled::data::{Missing, csv::Options};

    for options in [
        Options::classes("species").feature_columns(["b", "a"]).missing(Missing::Keep),
        Options::known_classes(3, &["no", "yes"]).header(false).delimiter(b';'),
        Options::numbers(["price", "rent"]),
        Options::features(),
    ] {
        assert_eq!(copy(&options), options);
    }
    let mut value = serde_json::to_value(Options::features()).unwrap();
    value["quote"] = 39.into();
    assert!(refused::<Options>(value).contains("unknown field `quote`"));
}

#[test]
fn a_loss_from_json_trains_to_the_same_bits() {
    let data = few::<f32>();
    let trained = |loss: Arc<dyn Loss<f32>>| {
        let builder = DecoupledNetwork::builder(data.input_dim()).dense(10, Activation::Identity).output_loss(loss);
        let mut network = builder.build().unwrap();
        network.fit(&data, &FitConfig::new().epochs(2).batch_size(16)).unwrap();
        network.params(0).iter().map(|p| p.to_bits()).collect::<Vec<_>>()
    };
    for own in builtin::losses() {
        assert_eq!(trained(copy(&own)), trained(own));
    }
}

#[test]
fn layers_losses_and_activation_steps_come_back_from_json() {
    fn all<T: Scalar>() {
        builtin::layers::<T>(&mut ChaCha12Rng::seed_from_u64(1)).iter().for_each(|layer| drop(copy(layer)));
        builtin::losses::<T>().iter().for_each(|loss| drop(copy(loss)));
        builtin::activation_steps::<T>().iter().for_each(|step| drop(copy(step)));
    }
    all::<f32>();
    all::<f64>();
}

#[test]
fn what_is_not_known_is_refused_by_its_name() {
    let named = |error: String, name: &str| assert!(error.contains(name), "{error}");
    let with = |mut value: Value, place: &str| {
        let fields = if place.is_empty() { Some(&mut value) } else { value.pointer_mut(place) };
        fields.unwrap().as_object_mut().unwrap().insert("momenta".to_owned(), 1.into());
        value
    };
    let method = serde_json::to_value(Method::<f32>::default()).unwrap();
    for place in ["", "/activation/Sweeps", "/activation/Sweeps/optimizer", "/activation/Sweeps/optimizer/settings"] {
        named(refused::<Method<f32>>(with(method.clone(), place)), "unknown field `momenta`");
    }
    let errors = serde_json::to_value(Method::<f32>::error_based(1, 0.1)).unwrap();
    named(refused::<Method<f32>>(with(errors, "/activation/Errors")), "unknown field `momenta`");
    let fit = serde_json::to_value(FitConfig::<f32>::new()).unwrap();
    named(refused::<FitConfig<'_, f32>>(with(fit.clone(), "")), "unknown field `momenta`");
    let augmented = serde_json::to_value(FitConfig::<f32>::new().augment(Augmentation::new(3))).unwrap();
    named(refused::<FitConfig<'_, f32>>(with(augmented, "/augmentation")), "unknown field `momenta`");
    let mut data = fit;
    data["validation"] = Value::Null;
    named(refused::<FitConfig<'_, f32>>(data), "unknown field `validation`");
    for value in [
        refused::<NetworkBuilder<f32>>(with(serde_json::to_value(DecoupledNetwork::<f32>::builder(1)).unwrap(), "")),
        refused::<EarlyStopping>(with(serde_json::to_value(EarlyStopping::new()).unwrap(), "")),
        refused::<ReduceLrOnPlateau>(with(serde_json::to_value(ReduceLrOnPlateau::new()).unwrap(), "")),
        refused::<Search>(with(serde_json::to_value(Search::grid(Space::new())).unwrap(), "")),
    ] {
        named(value, "unknown field `momenta`");
    }
    named(refused::<InferConfig>(json!({"steps": 1, "tolerance": 1.0, "momenta": 1})), "unknown field `momenta`");
    let lion = json!({"kind": "Lion", "settings": null});
    named(refused::<Box<dyn Optimizer<f32>>>(lion.clone()), "unknown variant `Lion`");
    let inner = json!({"kind": "ClipNorm", "settings": {"inner": lion, "max_norm": 1.0}});
    named(refused::<Box<dyn Optimizer<f32>>>(inner), "unknown variant `Lion`");
    named(refused::<Box<dyn ActivationStep<f32>>>(json!({"Leaps": {}})), "unknown variant `Leaps`");
    let lacking = json!({"kind": "Sgd", "settings": {"learning_rate": 0.1, "momentum": 0.0}});
    named(refused::<Box<dyn Optimizer<f32>>>(lacking), "Sgd: missing field `nesterov`");
}

#[derive(Debug)]
struct Still;

impl<T: Scalar> Optimizer<T> for Still {
    fn update(&self, _: Step<T>, _: &mut [T], _: &mut [T], _: &mut [T]) {}
}

#[derive(Debug)]
struct Rest;

impl<T: Scalar> ActivationStep<T> for Rest {
    fn steps(&self, _: usize) -> usize {
        1
    }
    fn groups(&self, depth: usize) -> Vec<Group> {
        vec![Group::all(1..depth)]
    }
    fn step(
        &self,
        _: &Objective<'_, T>,
        _: &mut Block<T>,
        _: &Group,
        _: &Prepared<T>,
        _: &mut Memory<T>,
    ) -> Result<()> {
        Ok(())
    }
}

#[test]
fn an_optimizer_or_a_step_of_ones_own_is_an_error_that_says_so() {
    let sweeps = |optimizer: Box<dyn Optimizer<f32>>| Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(optimizer);
    let wrapped = Scheduled::new(ClipNorm::new(Still, 1.0), Schedule::Constant);
    for optimizer in [Box::new(Still) as Box<dyn Optimizer<f32>>, Box::new(wrapped)] {
        let error = serde_json::to_string(&Method::default().activation(sweeps(optimizer))).unwrap_err().to_string();
        assert_eq!(error, "ActivationStep that is not built in, or holds an optimizer that is not");
    }
    let error = serde_json::to_string(&Method::<f32>::default().activation(Rest)).unwrap_err().to_string();
    assert_eq!(error, "ActivationStep that is not built in, or holds an optimizer that is not");
}
