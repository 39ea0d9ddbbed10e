//! A layer of one's own: a gated linear unit with two weight matrices. The crate has no such layer; here you learn what a
//! layer must provide, how its gradients share work through the cache, and how `check::layer` proves them right before
//! anything is trained. Networks are then trained on it by layer-local gradients and by backpropagation, without a word
//! about either in the layer.
//!
//! ```text
//! cargo run --release --example custom_layer
//! ```

use decoupled::layer::{Activation, Init};
use decoupled::linalg::{matmul, matmul_nt, matmul_tn};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::rand::Rng;
use decoupled::{DecoupledNetwork, FitConfig, Layer, MatMut, MatRef, Method, Result, Scalar, check, data};

#[path = "common/twins.rs"]
mod twins;

/// Values that pass through gates,
///
/// ```text
/// ẑ = u ⊙ s,   u = A·z,   s = σ(B·z)        A, B  output × input,  σ(x) = 1 / (1 + e⁻ˣ)
/// ```
///
/// Dauphin, Fan, Auli and Grangier (2017), *Language Modeling with Gated Convolutional Networks*, arXiv 1612.08083; here
/// without biases.
#[derive(Debug)]
struct Gated {
    input: usize,
    output: usize,
}

impl Gated {
    /// A and B, one after the other among the parameters.
    fn matrices<'a, T>(&self, params: &'a [T]) -> [MatRef<'a, T>; 2] {
        let (a, b) = params.split_at(self.output * self.input);
        [a, b].map(|m| MatRef::new(m, self.output, self.input))
    }

    /// What `forward` keeps, u and s, and room for two cotangents; each `output × n`.
    fn parts<'a, T>(&self, cache: &'a mut [T], examples: usize) -> [&'a mut [T]; 4] {
        let (u, rest) = cache.split_at_mut(self.output * examples);
        let (s, rest) = rest.split_at_mut(u.len());
        let (to_u, rest) = rest.split_at_mut(u.len());
        let to_gate = &mut rest[..u.len()];
        [u, s, to_u, to_gate]
    }

    /// The cotangents at A·z and at B·z for one at the output: s ⊙ c and u ⊙ s ⊙ (1 − s) ⊙ c.
    fn cotangents<'a, T: Scalar>(&self, cotangent: MatRef<'_, T>, cache: &'a mut [T]) -> [MatRef<'a, T>; 2] {
        let [u, s, to_u, to_gate] = self.parts(cache, cotangent.cols());
        let kept = u.iter().zip(s).zip(cotangent.as_slice());
        for ((to_u, to_gate), ((u, s), &c)) in to_u.iter_mut().zip(to_gate.iter_mut()).zip(kept) {
            *to_u = *s * c;
            *to_gate = *u * *s * (T::one() - *s) * c;
        }
        [to_u, to_gate].map(|m| MatRef::new(m, self.output, cotangent.cols()))
    }
}

impl<T: Scalar> Layer<T> for Gated {
    fn input_dim(&self) -> usize {
        self.input
    }

    fn output_dim(&self) -> usize {
        self.output
    }

    fn param_len(&self) -> usize {
        2 * self.output * self.input
    }

    fn cache_len(&self, examples: usize) -> usize {
        (4 * self.output + self.input) * examples
    }

    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        for half in params.chunks_exact_mut(self.output * self.input) {
            Init::he_normal().fill(MatMut::new(half, self.output, self.input), rng);
        }
    }

    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        let [a, b] = self.matrices(params);
        let [u, s, ..] = self.parts(cache, input.cols());
        matmul(a, input, MatMut::new(u, self.output, input.cols()));
        matmul(b, input, MatMut::new(s, self.output, input.cols()));
        for ((y, u), s) in output.as_mut_slice().iter_mut().zip(u).zip(s) {
            *s = Activation::Sigmoid.value(*s);
            *y = *u * *s;
        }
    }

    fn input_gradient(
        &self,
        params: &[T],
        _input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        let [a, b] = self.matrices(params);
        let (cache, through_gate) = cache.split_at_mut(4 * self.output * cotangent.cols());
        let [to_u, to_gate] = self.cotangents(cotangent, cache);
        matmul_tn(a, to_u, grad.reborrow());
        matmul_tn(b, to_gate, MatMut::new(through_gate, self.input, cotangent.cols()));
        grad.as_mut_slice().iter_mut().zip(through_gate).for_each(|(g, more)| *g += *more);
    }

    fn param_gradient(
        &self,
        _params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        let halves = grad.chunks_exact_mut(self.output * self.input);
        for (half, cotangent) in halves.zip(self.cotangents(cotangent, cache)) {
            matmul_nt(cotangent, input, MatMut::new(half, self.output, self.input));
        }
    }
}

fn main() -> Result<()> {
    check::layer::<f64>(&Gated { input: 5, output: 3 })?;
    println!("the layer keeps its contract: gradients, overwriting, independence of the examples\n");

    let (train, test) = data::digits::<f32>()?.stratified_split(0.8, 0)?;
    let network = DecoupledNetwork::builder(train.input_dim())
        .layer(Gated { input: 64, output: 64 })
        .layer(Gated { input: 64, output: 32 })
        .dense(10, Activation::Identity)
        .output_loss(SoftmaxCrossEntropy::new())
        .build()?;
    let config = FitConfig::new().epochs(15).batch_size(32);
    let twin = Some((network.clone(), config.clone()));
    twins::report("decoupled_", &[twins::train(network, twin, &train, &test, &config, &Method::default(), true)?]);
    Ok(())
}
