//! Every built-in layer keeps the contract at many shapes, and the check finds layers that do not.

use decoupled::{
    Error, Layer, MatMut, MatRef, check,
    layer::{Activation, Chain, Dense, Elementwise, LayerNorm, Residual, Tensor},
    rand::{Rng, RngExt, SeedableRng, rngs::ChaCha12Rng},
};

use crate::builtin;

const SHAPES: u64 = 100;

/// Settings beside those of the list, at the ends of their domains among them.
const SETTINGS: [Activation; 5] = [
    Activation::LeakyRelu(0.01),
    Activation::LeakyRelu(-0.5),
    Activation::Quantize(1),
    Activation::Quantize(2),
    Activation::Quantize(16),
];

fn activations() -> impl Iterator<Item = Activation> {
    builtin::ACTIVATIONS.into_iter().chain(SETTINGS)
}

/// Bounds that the values come near, and none leaves.
#[test]
fn the_range_of_an_activation_is_that_of_its_values() {
    let bounded = |activation: Activation| {
        let values = || (-40_000..=40_000).map(|i| activation.value(f64::from(i) / 1000.0));
        let (least, most) = activation.range();
        assert!(values().all(|y| least <= y && y <= most), "{activation:?}");
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let tight = |bound: f64, found: f64, far: f64| {
            if bound.is_finite() { (bound - found).abs() < 1e-4 } else { found == far }
        };
        // Without a bound they go as far as the line.
        let slope = if let Activation::LeakyRelu(slope) = activation { slope } else { 1.0 };
        assert!(tight(least, low, -40.0 * slope) && tight(most, high, 40.0), "{activation:?}: {low} and {high}");
    };
    activations().for_each(bounded);
    // It folds what is below zero up.
    assert_eq!(Activation::LeakyRelu(-0.5).range(), (0.0, f64::INFINITY));
}

#[test]
fn every_layer_keeps_the_contract_at_a_hundred_random_shapes() {
    for seed in 0..SHAPES {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let examples = rng.random_range(1..=9);
        let more: Vec<_> = SETTINGS.into_iter().flat_map(|own| builtin::units(rng.random_range(1..=40), own)).collect();
        for layer in builtin::layers(&mut rng).into_iter().chain(more) {
            if let Err(error) = check::layer_at::<f64>(&*layer, examples, seed) {
                panic!("shape {seed}, {examples} examples: {error}");
            }
        }
    }
}

#[test]
fn every_layer_keeps_the_contract_in_single_precision() {
    for activation in activations() {
        let block = Residual::new(Chain::new().then(Elementwise::new(6, activation)).then(Dense::new(6, 6)));
        check::layer::<f32>(&Chain::new().then(Dense::new(7, 6)).then(block).then(LayerNorm::new(6))).unwrap();
    }
}

/// Two units that are brought to ±1 leave next to nothing of a gradient, but for its rounding.
#[test]
fn gradients_that_cancel_on_their_way_keep_the_contract() {
    let nearly_signs = Chain::new().then(Dense::new(3, 2)).then(LayerNorm::new(2).epsilon(1e-3));
    let signs = nearly_signs.then(Elementwise::new(2, Activation::Sign).straight_through());
    for seed in 0..2000 {
        check::layer_at::<f64>(&signs, 4, seed).unwrap();
    }
}

/// ẑ = p ⊙ z², with a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    Nothing,
    InputGradient,
    ParamGradient,
    ForgottenInputGradient,
    OneEntry,
    NanOutput,
    NanGradient,
    Panics,
    AddsToGradient,
    AddsToOutput,
    LeavesHoles,
    StaleCache,
    DestroysCache,
    MixesColumns,
    MeanGradient,
    DrawsUnlikeBefore,
    ZeroWidth,
    Jumps,
    JumpsAsItSays,
    Doubles,
    DoublesAsItSays,
    Clips,
    ClipsParams,
    LacksTensors,
    SameTensors,
}

static DRAWS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

const ROWS: usize = 4;

impl Layer<f64> for Broken {
    fn input_dim(&self) -> usize {
        if *self == Self::ZeroWidth { 0 } else { ROWS }
    }
    fn output_dim(&self) -> usize {
        ROWS
    }
    fn param_len(&self) -> usize {
        ROWS
    }
    fn cache_len(&self, examples: usize) -> usize {
        ROWS * examples
    }
    fn has_derivative(&self) -> bool {
        *self != Self::JumpsAsItSays
    }
    fn is_straight_through(&self) -> bool {
        matches!(self, Self::DoublesAsItSays | Self::Clips | Self::ClipsParams)
    }
    fn tensors(&self) -> Vec<Tensor> {
        match self {
            Self::LacksTensors => vec![Tensor::matrix("params", ROWS - 1, 1)],
            Self::SameTensors => vec![Tensor::vector("half", ROWS / 2); 2],
            _ => vec![Tensor::vector("first", 1), Tensor::matrix("others", 1, ROWS - 1)],
        }
    }
    fn init_params(&self, params: &mut [f64], _rng: &mut dyn Rng) {
        params.fill(1.0);
        if *self == Self::DrawsUnlikeBefore {
            params[0] = DRAWS.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f64;
        }
    }
    fn forward(&self, params: &[f64], input: MatRef<'_, f64>, mut output: MatMut<'_, f64>, cache: &mut [f64]) {
        assert!(*self != Self::Panics, "on purpose");
        let stale = *self == Self::StaleCache && !cache[0].is_nan();
        for (i, ((y, &x), kept)) in output.as_mut_slice().iter_mut().zip(input.as_slice()).zip(cache).enumerate() {
            if !stale {
                *kept = 2.0 * x;
            }
            let value = params[i % ROWS] * x * x;
            match self {
                Self::AddsToOutput => *y += value,
                Self::LeavesHoles if i == 2 => {}
                Self::NanOutput if i == 3 => *y = f64::NAN,
                Self::Jumps | Self::JumpsAsItSays => *y = value + 1e-3 * (1e12 * x).sin(),
                _ => *y = value,
            }
        }
        if *self == Self::MixesColumns {
            let (first, last) = (input.column(0)[0], input.column(input.cols() - 1)[0]);
            output.as_mut_slice()[0] += 1e-3 * (last - first);
        }
    }
    fn input_gradient(
        &self,
        params: &[f64],
        _input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        mut grad: MatMut<'_, f64>,
        cache: &mut [f64],
    ) {
        for (i, ((g, &c), kept)) in grad.as_mut_slice().iter_mut().zip(cotangent.as_slice()).zip(cache).enumerate() {
            let value = params[i % ROWS] * *kept * c;
            match self {
                Self::InputGradient => *g = value * (1.0 + 1e-4),
                Self::ForgottenInputGradient => *g = 0.0,
                Self::Doubles | Self::DoublesAsItSays => *g = 2.0 * value,
                Self::Clips => *g = value.clamp(-0.1, 0.1),
                Self::OneEntry => *g = if i == 1 { value + 1e-4 } else { value },
                Self::AddsToGradient => *g += value,
                Self::NanGradient if i == 0 => *g = f64::NAN,
                _ => *g = value,
            }
            if *self == Self::DestroysCache {
                *kept = 0.0;
            }
        }
    }
    fn param_gradient(
        &self,
        _params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: &mut [f64],
        _cache: &mut [f64],
    ) {
        grad.fill(0.0);
        for (i, (&x, &c)) in input.as_slice().iter().zip(cotangent.as_slice()).enumerate() {
            grad[i % ROWS] += x * x * c;
        }
        match self {
            Self::ParamGradient => grad.iter_mut().for_each(|g| *g *= 1.0 - 1e-4),
            Self::ClipsParams => grad.iter_mut().for_each(|g| *g = g.abs()),
            Self::MeanGradient => grad.iter_mut().for_each(|g| *g /= input.cols() as f64),
            _ => {}
        }
    }
}

/// The rule named by the error with which the check refuses `layer`.
fn broken_rule(layer: Broken) -> String {
    match check::layer(&layer) {
        Err(Error::Contract { subject, what, .. }) => {
            assert_eq!(subject, format!("{layer:?}"));
            what
        }
        other => panic!("{layer:?}: {other:?}"),
    }
}

#[test]
fn a_sound_layer_passes_and_each_fault_is_named() {
    for sound in [Broken::Nothing, Broken::JumpsAsItSays, Broken::DoublesAsItSays] {
        check::layer(&sound).unwrap();
    }
    let faults = [
        (Broken::InputGradient, "input_gradient along"),
        (Broken::ForgottenInputGradient, "input_gradient along"),
        (Broken::OneEntry, "input_gradient of a sum of cotangents, entry 1"),
        (Broken::ParamGradient, "param_gradient along"),
        (Broken::NanOutput, "output of forward"),
        (Broken::NanGradient, "input_gradient into a buffer full of NaN, entry 0"),
        (Broken::AddsToGradient, "input_gradient into a buffer full of NaN"),
        (Broken::AddsToOutput, "output of forward into buffers full of NaN"),
        (Broken::LeavesHoles, "output of forward into buffers full of NaN, entry 2"),
        (Broken::StaleCache, "input_gradient after other gradient calls"),
        (Broken::DestroysCache, "input_gradient after other gradient calls"),
        (Broken::MixesColumns, "of example 0 in a batch"),
        (Broken::MeanGradient, "param_gradient of a batch"),
        (Broken::DrawsUnlikeBefore, "initial parameters, drawn again"),
        (Broken::Jumps, "settle on a derivative"),
        // A surrogate that does not call itself one.
        (Broken::Doubles, "input_gradient along"),
        // A surrogate is still to be linear, and the sum over the examples.
        (Broken::Clips, "input_gradient of a sum of cotangents"),
        (Broken::ClipsParams, "param_gradient of"),
        (Broken::LacksTensors, "the tensors hold all parameters"),
        (Broken::SameTensors, "every tensor has a name of its own"),
    ];
    for (layer, rule) in faults {
        let found = broken_rule(layer);
        assert!(found.contains(rule), "{layer:?}: {found}");
    }
}

#[test]
fn a_panic_a_width_of_zero_and_bad_settings_are_errors_of_their_own() {
    let panicked = check::layer(&Broken::Panics).unwrap_err();
    assert!(matches!(panicked, Error::Panicked { what: "forward", message, .. } if message == "on purpose"));
    assert!(matches!(check::layer(&Broken::ZeroWidth), Err(Error::ZeroWidth { layer: 0 })));
    assert!(matches!(check::layer::<f64>(&LayerNorm::new(2).epsilon(-1.0)), Err(Error::HyperParameter { .. })));
    assert!(matches!(check::layer_at::<f64>(&Dense::new(1, 1), 0, 0), Err(Error::Empty { .. })));
}
