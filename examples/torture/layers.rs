use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use decoupled::layer::{Activation, Dense};
use decoupled::rand::Rng;
use decoupled::{DecoupledNetwork, Error, FitConfig, Layer, MatMut, MatRef, Result, data};

use crate::Verdict;
use crate::panics::silenced;

const SOUND: u8 = 0;
const PANICS: u8 = 1;
const NAN: u8 = 2;

/// A dense layer that fails when it is told to.
#[derive(Debug)]
struct Failing(Dense, Arc<AtomicU8>);

impl Layer<f32> for Failing {
    fn input_dim(&self) -> usize {
        Layer::<f32>::input_dim(&self.0)
    }
    fn output_dim(&self) -> usize {
        Layer::<f32>::output_dim(&self.0)
    }
    fn param_len(&self) -> usize {
        Layer::<f32>::param_len(&self.0)
    }
    fn init_params(&self, params: &mut [f32], rng: &mut dyn Rng) {
        self.0.init_params(params, rng);
    }
    fn forward(&self, params: &[f32], input: MatRef<'_, f32>, mut output: MatMut<'_, f32>, cache: &mut [f32]) {
        self.0.forward(params, input, output.reborrow(), cache);
        match self.1.load(Ordering::Relaxed) {
            PANICS => panic!("a layer of the user's"),
            NAN => output.as_mut_slice().fill(f32::NAN),
            _ => {}
        }
    }
    fn input_gradient(
        &self,
        params: &[f32],
        input: MatRef<'_, f32>,
        cotangent: MatRef<'_, f32>,
        grad: MatMut<'_, f32>,
        cache: &mut [f32],
    ) {
        self.0.input_gradient(params, input, cotangent, grad, cache);
    }
    fn param_gradient(
        &self,
        params: &[f32],
        input: MatRef<'_, f32>,
        cotangent: MatRef<'_, f32>,
        grad: &mut [f32],
        cache: &mut [f32],
    ) {
        self.0.param_gradient(params, input, cotangent, grad, cache);
    }
}

/// Lets a layer fail in the threads of the pool, then trains on.
pub(crate) fn run() -> Result<Vec<(&'static str, Verdict)>> {
    let state = Arc::new(AtomicU8::new(SOUND));
    let data = data::two_moons::<f32>(200, 0.1, 0)?;
    let builder =
        DecoupledNetwork::builder(2).dense(8, Activation::Tanh).layer(Failing(Dense::new(8, 6), state.clone()));
    let mut network = builder.dense(2, Activation::Identity).threads(2).build()?;
    let config = FitConfig::new().epochs(1).batch_size(40);
    let mut verdicts = Vec::new();
    for (name, failure) in [("layer that panics", PANICS), ("layer that gives NaN", NAN)] {
        network.fit(&data, &config)?;
        let before: Vec<f32> = (0..3).flat_map(|t| network.params(t).to_vec()).collect();
        state.store(failure, Ordering::Relaxed);
        let (outcome, _) = silenced(|| network.fit(&data, &config));
        state.store(SOUND, Ordering::Relaxed);
        let named = match outcome {
            Err(Error::Panicked { layer, .. }) => failure == PANICS && layer == Some(1),
            Err(Error::Diverged { layer, .. }) => failure == NAN && layer >= 1,
            _ => false,
        };
        let kept = (0..3).flat_map(|t| network.params(t)).eq(&before);
        let usable = network.fit(&data, &config).is_ok();
        verdicts
            .push((name, Verdict::of(named && kept && usable, "an error that names it, parameters kept, trains on")));
    }
    Ok(verdicts)
}
