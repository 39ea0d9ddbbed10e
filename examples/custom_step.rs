//! A custom activation step: gradient steps that never move an activation by more than a share of its own length, so that one
//! rate serves layers of any scale. It is checked, printed stage by stage, counted, and compared with the default. A step that does
//! not fit is refused before anything changes.
//!
//! ```text
//! cargo run --release --example custom_step
//! ```

use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::method::activation_step::{Memory, Prepared};
use decoupled::method::energy::Objective;
use decoupled::method::{Block, Group, Reads, Start};
use decoupled::{
    ActivationStep, DecoupledNetwork, FitConfig, Method, NetworkBuilder, Result, Scalar, check, data, diagnostics,
};

/// Red-black sweeps with a trust ratio,
///
/// ```text
/// z_t ← z_t − min(rate, share · ‖z_t‖ / ‖g_t‖) g_t,    g_t = ∂L/∂z_t
/// ```
///
/// for each example separately, as LARS does for parameters: You, Gitman, Ginsburg (2017), *Large batch training of convolutional
/// networks*, arXiv 1708.03888.
#[derive(Clone, Copy, Debug)]
struct TrustRatio {
    steps: usize,
    rate: f64,
    share: f64,
}

impl<T: Scalar> ActivationStep<T> for TrustRatio {
    fn steps(&self, _depth: usize) -> usize {
        self.steps
    }

    fn groups(&self, depth: usize) -> Vec<Group> {
        vec![Group::every_second(1..depth), Group::every_second(1..depth - 1)]
    }

    fn step(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        group: &Group,
        _prepared: &Prepared<T>,
        _memory: &mut Memory<T>,
    ) -> Result<()> {
        objective.activation_gradients(block, group)?;
        for t in group.members() {
            let gradient = block.gradient(t).as_slice().to_vec();
            let rows = block.stored(t).rows();
            for (z, g) in block.stored_mut(t).chunks_exact_mut(rows).zip(gradient.chunks_exact(rows)) {
                let length = |x: &[T]| x.iter().map(|&x| x * x).sum::<T>().sqrt();
                // A zero gradient moves nothing, and must not divide by zero.
                let most = T::of(self.share) * length(z) / length(g).max(T::default_epsilon());
                let rate = T::of(self.rate).min(most);
                z.iter_mut().zip(g).for_each(|(z, &g)| *z -= rate * g);
            }
        }
        Ok(())
    }
}

/// A faulty step: it would move the input as well.
#[derive(Debug)]
struct MovesTheInput;

impl<T: Scalar> ActivationStep<T> for MovesTheInput {
    fn steps(&self, _depth: usize) -> usize {
        1
    }
    fn groups(&self, depth: usize) -> Vec<Group> {
        vec![Group::all(0..depth)]
    }
    fn step(
        &self,
        _objective: &Objective<'_, T>,
        _block: &mut Block<T>,
        _group: &Group,
        _prepared: &Prepared<T>,
        _memory: &mut Memory<T>,
    ) -> Result<()> {
        Ok(())
    }
}

fn builder() -> NetworkBuilder<f32> {
    let builder = DecoupledNetwork::builder(64).dense(64, Activation::Relu).dense(64, Activation::Relu);
    builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new())
}

fn main() -> Result<()> {
    let step = TrustRatio { steps: 2, rate: 0.3, share: 0.1 };
    check::activation_step::<f64>(&step)?;
    println!("the step keeps its contract: hidden activations alone, examples apart, an energy that does not rise\n");

    let method = Method::new(Start::Anchored, step, Reads::Forward);
    println!("{}\n", method.schedule(3));

    let (train, test) = data::digits()?.stratified_split(0.8, 0)?;
    for (name, method) in [("a trust ratio", method), ("the default", Method::default())] {
        let mut network = builder().build()?;
        let operations = diagnostics::cost(&network, Some(&method), train.len()).operations.unwrap_or(f64::NAN);
        network.fit(&train, &FitConfig::new().batch_size(32).method(method))?;
        println!("{name:14} {:.4} on unseen digits, {operations:.0} operations a visit", network.score(&test)?);
    }

    let refused = Method::new(Start::Anchored, MovesTheInput, Reads::Forward);
    let outcome = builder().method(refused).build().map(drop);
    println!("\na step that moves the input: {}", outcome.err().map_or_else(String::new, |error| error.to_string()));
    Ok(())
}
