//! One thing wrong in an otherwise valid drawing, and the error that it is.

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init, LayerNorm, Residual};
use decoupled::loss::{BinaryCrossEntropy, Huber, RelativeSquaredError, SoftmaxCrossEntropy};
use decoupled::method::{
    ErrorSteps, Exact, GaussNewton, GradientStep, Multipliers, Order, Penalty, PenaltyIncrease, Reads, Ridge, Stall,
    Start, Sweeps, Timing,
};
use decoupled::optimizer::{Adam, AdamW, ClipNorm, ClipValue, L1, RmsProp, Schedule, Scheduled, Sgd, WeightDecay};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, MatRef, Method, NetworkBuilder, Scalar};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseResult;

use super::drawing::{Drawing, Kind, drawings_of};
use super::{params, state};

/// A drawing, a number that is no rate, and where in the drawing a fault goes.
pub(crate) fn faulty<T: Scalar>() -> impl Strategy<Value = (Drawing<T>, f64, usize)> {
    // The last is not finite in single precision.
    let bad =
        select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, if size_of::<T>() == 4 { 1e300 } else { -0.5 }]);
    // Methods that keep activations from visit to visit allow no dropout.
    let allowed = |drawing: &Drawing<T>| drawing.builder().build().is_ok();
    (drawings_of(Kind::Gradients).prop_filter("a method that the layers do not allow", allowed), bad, any::<usize>())
}

/// What an error is of, without the numbers in it.
fn kind(error: &Error) -> String {
    match error {
        Error::InLayer { source, .. } => format!("InLayer {}", kind(source)),
        other => format!("{other:?}").chars().take_while(|c| c.is_alphanumeric()).collect(),
    }
}

macro_rules! expect {
    ($outcome:expr, $kind:literal, $what:expr) => {
        match $outcome {
            Ok(_) => prop_assert!(false, "{} was accepted", $what),
            Err(error) => {
                prop_assert_eq!(kind(&error), $kind, "{}: {}", $what, error);
                prop_assert!(!error.to_string().is_empty());
            }
        }
    };
}

type Plant<T> = (&'static str, &'static str, Box<dyn Fn(NetworkBuilder<T>) -> NetworkBuilder<T>>);

fn plant<T: Scalar>(
    name: &'static str,
    kind: &'static str,
    change: impl Fn(NetworkBuilder<T>) -> NetworkBuilder<T> + 'static,
) -> Plant<T> {
    (name, kind, Box::new(change))
}

/// What is wrong with a description: of a network of that depth and width at the output, with that bad number.
fn wrong_descriptions<T: Scalar>(depth: usize, width: usize, bad: f64) -> Vec<Plant<T>> {
    let (hyper, inside) = ("HyperParameter", "InLayer HyperParameter");
    // A number that is no number, or none of that precision.
    let infinite = if T::of(bad).is_finite() { f64::NAN } else { bad };
    let relu = move |width| Elementwise::new(width, Activation::Relu);
    let chain = Chain::new;
    let mut all = vec![
        plant("a width of 0", "ZeroWidth", move |b| b.dense(0, Activation::Identity)),
        plant("a layer that is too wide", "LayerMismatch", move |b| b.layer(Dense::new(width + 1, 2))),
        plant("a norm that is too wide", "LayerMismatch", move |b| b.layer(LayerNorm::new(width + 2))),
        plant("an empty chain", "InLayer Empty", move |b| b.layer(chain())),
        plant("a chain that is too wide inside", "InLayer LayerMismatch", move |b| {
            b.layer(chain().then(Dense::new(width, 2)).then(relu(3)))
        }),
        plant("a chain of width 0 inside", "InLayer ZeroWidth", move |b| {
            b.layer(chain().then(Dense::new(width, 0)).then(Dense::new(0, 1)))
        }),
        plant("a block that changes the width", "InLayer Shape", move |b| {
            b.layer(Residual::new(Dense::new(width, width + 1)))
        }),
        plant("no slope", inside, move |b| b.dense(2, Activation::LeakyRelu(infinite))),
        plant("0 bits", inside, move |b| b.dense(2, Activation::Quantize(0))),
        plant("17 bits", inside, move |b| b.dense(2, Activation::Quantize(17))),
        plant("straight through a smooth unit", "InLayer Unsupported", move |b| {
            b.layer(relu(width).straight_through())
        }),
        plant("a norm's epsilon", inside, move |b| b.layer(LayerNorm::new(width).epsilon(bad))),
        plant("no gain", inside, move |b| b.dense_with(2, Activation::Relu, Init::he_normal().gain(f64::NAN))),
        plant("no constant", inside, move |b| b.dense_with(2, Activation::Tanh, Init::constant(f64::INFINITY))),
        plant("no bias", inside, move |b| b.layer(Dense::new(width, 2).bias(infinite))),
        plant("a penalty", hyper, move |b| b.penalty(bad)),
        plant("a penalty of layer 0", "LayerIndex", move |b| b.layer_penalty(0, 1.0)),
        plant("a penalty of the output", "LayerIndex", move |b| b.layer_penalty(depth, 1.0)),
        plant("an optimizer of no layer", "LayerIndex", move |b| b.layer_optimizer(depth, Sgd::new(0.1))),
        plant("an own optimizer", inside, move |b| b.layer_optimizer(depth - 1, Adam::new(bad))),
        plant("a rate", hyper, move |b| b.optimizer(Sgd::new(bad))),
        plant("a rate of 0", hyper, move |b| b.optimizer(Sgd::new(0.0))),
        plant("a momentum of 1", hyper, move |b| b.optimizer(Sgd::new(0.1).momentum(1.0))),
        plant("Nesterov's rule without momentum", hyper, move |b| b.optimizer(Sgd::new(0.1).nesterov())),
        plant("Adam's epsilon", hyper, move |b| b.optimizer(Adam::new(0.1).epsilon(bad))),
        plant("Adam's memory", hyper, move |b| b.optimizer(Adam::new(0.1).beta1(bad))),
        plant("AdamW's memory", hyper, move |b| b.optimizer(AdamW::new(0.1).beta2(1.0))),
        plant("AdamW's decay", hyper, move |b| b.optimizer(AdamW::new(0.1).weight_decay(bad))),
        plant("RmsProp's decay", hyper, move |b| b.optimizer(RmsProp::new(0.1).decay(bad))),
        plant("weight decay", hyper, move |b| b.optimizer(WeightDecay::new(Sgd::new(0.1), bad))),
        plant("an L1 penalty", hyper, move |b| b.optimizer(L1::new(Sgd::new(0.1), bad))),
        plant("a clipped norm", hyper, move |b| b.optimizer(ClipNorm::new(Sgd::new(0.1), bad))),
        plant("a clipped value", hyper, move |b| b.optimizer(ClipValue::new(Sgd::new(0.1), bad))),
        plant("a rate that is wrapped", hyper, move |b| b.optimizer(ClipValue::new(Sgd::new(bad), 1.0))),
        plant("Huber's delta at the output", hyper, move |b| b.output_loss(Huber::new(bad))),
        plant("Huber's delta between layers", hyper, move |b| b.hidden_loss(Huber::new(bad))),
        plant("a relative error's epsilon", hyper, move |b| b.hidden_loss(RelativeSquaredError::new().epsilon(bad))),
        plant("label smoothing", hyper, move |b| b.output_loss(SoftmaxCrossEntropy::new().label_smoothing(bad))),
        plant("softmax between layers", "Unsupported", move |b| b.hidden_loss(SoftmaxCrossEntropy::new())),
        plant("binary cross-entropy between layers", "Unsupported", move |b| b.hidden_loss(BinaryCrossEntropy)),
        plant("no thread", hyper, move |b| b.threads(0)),
        plant("too many threads", hyper, move |b| b.threads(257)),
        plant("no example in a block", hyper, move |b| b.bank_file("never made", 0)),
    ];
    if depth > 1 {
        all.push(plant("an own penalty", inside, move |b| b.layer_penalty(depth - 1, bad)));
    }
    let schedules = [
        Schedule::Step { every: 0, factor: 0.5 },
        Schedule::Step { every: 1, factor: 0.0 },
        Schedule::Exponential { factor: f64::NAN },
        Schedule::Cosine { total: 0, floor: 0.0 },
        Schedule::Cosine { total: 1, floor: 1.5 },
        Schedule::OneCycle { total: 9, rise: 1.0, start: 0.0, floor: 0.0 },
        Schedule::WarmUp { steps: 3, then: Box::new(Schedule::Exponential { factor: -1.0 }) },
    ];
    for schedule in schedules {
        all.push(plant("a schedule", hyper, move |b| b.optimizer(Scheduled::new(Sgd::new(0.1), schedule.clone()))));
    }
    all
}

/// What is wrong with a method.
fn wrong_methods<T: Scalar>(bad: f64) -> Vec<Method<T>> {
    let (stored, at) = (Reads::Stored, Start::Anchored);
    let method = Method::default;
    let sweeps = |rate| Sweeps::reaching(Order::RedBlack, rate);
    let raised = |raise| Method::default().penalty(Penalty::Raised(raise));
    let raise = PenaltyIncrease::when(Stall::Residual);
    vec![
        Method::joint(bad),
        Method::predictive_coding(0, 0.1),
        Method::predictive_coding(1, bad),
        Method::incremental(1, bad),
        Method::error_based(0, 0.1),
        Method::error_based(1, bad),
        Method::local_targets(0),
        Method::alm(1.5),
        Method::mac(0),
        method().activation(Sweeps::new(Order::RedBlack, 0, 0.3)),
        method().activation(sweeps(0.0)),
        method().activation(sweeps(0.3).stable(2.0)),
        method().activation(sweeps(0.3).stable(f64::NAN)),
        method().start(Start::Blend(0.0)),
        method().start(Start::Blend(1.0)),
        method().start(Start::Blend(bad)),
        method().timing(Timing::AfterRelaxation { local_steps: 0 }),
        method().timing(Timing::FirstGradientOnce { local_steps: 0 }),
        Method::in_flight(0, 1),
        Method::in_flight(1, 0),
        method().multipliers(Multipliers { rate: bad, ..Multipliers::kept() }),
        method().activation(sweeps(0.3).optimizer(Sgd::new(bad))),
        raised(PenaltyIncrease { factor: 1.0, ..raise }),
        raised(PenaltyIncrease { progress: 1.0, ..raise }),
        raised(PenaltyIncrease { most: 0.5, ..raise }),
        Method::new(at, GaussNewton::new(0), stored),
        Method::new(at, ErrorSteps::new(1, 0.1).optimizer(Adam::new(bad)), stored),
        Method::new(at, Sweeps::new(Order::RedBlack, 1, 1.1).per_penalty(), stored),
        Method::new(at, Exact { steps: 0, proximal: 0.0 }, stored),
        Method::new(at, Exact { steps: 1, proximal: bad }, stored),
        method().parameter(Ridge { ridge: bad, ..Ridge::default() }),
        method().parameter(Ridge { proximal: bad, ..Ridge::default() }),
        method().parameter(Ridge { memory: 1.0, ..Ridge::default() }),
        method().parameter(Ridge { trust: Some(bad), ..Ridge::default() }),
    ]
}

pub(crate) fn all_are_found<T: Scalar>((drawing, bad, place): &(Drawing<T>, f64, usize)) -> TestCaseResult {
    let (bad, place) = (*bad, *place);
    // A fit that would refit a last layer without parameters is refused for that, before its settings are.
    let method = drawing.method().clone().finish(false);
    let mut network = drawing.builder().method(method).threads(1).build().unwrap();
    let (depth, inputs, outputs) = (network.depth(), network.input_dim(), network.output_dim());
    for (name, kind, change) in wrong_descriptions::<T>(depth, outputs, bad) {
        let built = change(drawing.builder()).build();
        prop_assert_eq!(built.as_ref().err().map(self::kind), Some(kind.to_owned()), "{}: {:?}", name, built.err());
    }
    expect!(DecoupledNetwork::<T>::builder(inputs).build(), "Empty", "no layer");
    expect!(DecoupledNetwork::<T>::builder(0).dense(2, Activation::Tanh).build(), "Empty", "no input");
    let elsewhere = Method::default().layer_parameter(depth, GradientStep);
    expect!(drawing.builder().method(elsewhere).build(), "LayerIndex", "no such layer");

    let data = drawing.data(outputs);
    let (before, hash) = (state(&network), data.fingerprint());
    let config = || FitConfig::new().epochs(1);
    for method in wrong_methods::<T>(bad) {
        expect!(drawing.builder().method(method.clone()).build(), "HyperParameter", format!("{method:?}"));
        expect!(network.fit(&data, &config().method(method.clone())), "HyperParameter", format!("{method:?}"));
    }
    let lengths = [
        config().epochs(0),
        config().batch_size(0),
        config().shuffle_blocks(0),
        config().measure_decoupling(0, 1),
        config().measure_decoupling(1, 0),
    ];
    for config in &lengths {
        expect!(network.fit(&data, config), "HyperParameter", format!("{config:?}"));
        expect!(network.fit_backprop(&data, config), "HyperParameter", format!("{config:?}"));
    }
    wrong_data(&mut network, &data, place)?;
    prop_assert_eq!((state(&network), data.fingerprint()), (before, hash));

    if depth > 1 {
        let mut narrow = drawing.builder().threads(1).bank_limit(0).build().unwrap();
        let before = params(&narrow);
        // The refit of a last layer without parameters is refused before the bank is made.
        expect!(narrow.fit(&data, &config().method(Method::default())), "BankTooLarge", "a bank of 0 bytes");
        prop_assert!(params(&narrow) == before && narrow.bank().is_none());
    }
    Ok(())
}

/// The same entries with one of them replaced, row by row.
fn with<T: Scalar>(matrix: MatRef<'_, T>, index: usize, value: f64) -> Examples<T> {
    let mut entries = matrix.as_slice().to_vec();
    entries[index] = T::of(value);
    Examples::from_row_slice(&entries, matrix.cols(), matrix.rows()).unwrap()
}

fn wrong_data<T: Scalar>(network: &mut DecoupledNetwork<T>, data: &Dataset<T>, place: usize) -> TestCaseResult {
    let (inputs, targets, n) = (data.inputs(), data.targets(), data.len());
    let copy =
        |matrix: MatRef<'_, T>| Examples::from_row_slice(matrix.as_slice(), matrix.cols(), matrix.rows()).unwrap();
    for value in [f64::NAN, f64::INFINITY] {
        let index = place % inputs.as_slice().len();
        let expected = (index / inputs.rows(), index % inputs.rows());
        let refused = [
            Dataset::regression(with(inputs, index, value), copy(targets)).map(drop),
            network.predict(&with(inputs, index, value)).map(drop),
            match network.predict_class(&with(inputs, index, value)) {
                Err(Error::Unsupported { .. }) => network.predict_labels(&with(inputs, index, value)).map(drop),
                outcome => outcome.map(drop),
            },
            network.activations(&with(inputs, index, value)).map(drop),
        ];
        for outcome in refused {
            let Err(Error::NotFinite { example, row, .. }) = outcome else {
                return Err(TestCaseError::fail(format!("{outcome:?}")));
            };
            prop_assert_eq!((example, row), expected);
        }
        let index = place % targets.as_slice().len();
        expect!(Dataset::regression(copy(inputs), with(targets, index, value)), "NotFinite", "a target");
    }
    let mut labels = vec![0; n];
    labels[place % n] = 2 + place % 5;
    match Dataset::classification(copy(inputs), &labels, 2) {
        Err(Error::LabelOutOfRange { example, label, classes: 2 }) => {
            prop_assert_eq!((example, label), (place % n, 2 + place % 5));
        }
        other => prop_assert!(false, "{other:?}"),
    }
    expect!(Dataset::classification(copy(inputs), &vec![0; n], 0), "Empty", "no class");
    expect!(Dataset::classification(copy(inputs), &vec![0; n + 1], 2), "Shape", "a label too many");
    let longer = Examples::from_row_slice(&vec![T::zero(); n + 1], n + 1, 1).unwrap();
    expect!(Dataset::regression(copy(inputs), longer), "Shape", "a target too many");
    expect!(Examples::<T>::from_row_slice(&[], 0, 1), "Empty", "no example");
    expect!(data.take(0), "Empty", "no example of many");
    expect!(data.take(n + 1), "ExampleCount", "more examples than there are");
    expect!(data.select(&[n]), "ExampleIndex", "an example that is not there");

    let wide = |rows: usize| Examples::from_row_slice(&vec![T::zero(); n * rows], n, rows).unwrap();
    let wide_inputs = Dataset::regression(wide(inputs.rows() + 1), copy(targets)).unwrap();
    let wide_targets = Dataset::regression(copy(inputs), wide(targets.rows() + 1)).unwrap();
    let config = FitConfig::new().epochs(1);
    for wrong in [&wide_inputs, &wide_targets] {
        expect!(network.fit(wrong, &config), "Shape", "data of another width");
        expect!(network.fit_backprop(wrong, &config), "Shape", "data of another width");
        expect!(network.fit(data, &config.clone().validation(wrong)), "Shape", "validation data of another width");
        expect!(network.evaluate(wrong), "Shape", "data of another width");
        if !network.params(network.depth() - 1).is_empty() {
            expect!(network.refit_output(wrong), "Shape", "data of another width");
        }
    }
    expect!(network.predict(&wide(inputs.rows() + 1)), "Shape", "inputs of another width");

    let t = place % network.depth();
    let mut own = network.params(t).to_vec();
    expect!(network.set_params(network.depth(), &own), "LayerIndex", "no such layer");
    own.push(T::zero());
    expect!(network.set_params(t, &own), "InLayer Shape", "a parameter too many");
    own.pop();
    if !own.is_empty() {
        let index = place % own.len();
        own[index] = T::of(f64::NAN);
        expect!(network.set_params(t, &own), "ParameterNotFinite", "no number");
    }
    Ok(())
}
