//! The decoupling of a method: its gradients against backpropagation's, at the same parameters and examples.

use crate::machine::linalg;
use crate::machine::linalg::matrix::check_finite;
use crate::method::activation_step::Order;
use crate::method::activation_step::{ActivationStep, Sweeps, curvature};
use crate::method::backprop;
use crate::method::block::{Block, Reads};
use crate::method::energy::Objective;
use crate::{Dataset, DecoupledNetwork, Method, Result, Scalar};

/// How decoupled a method is at a network's present parameters; see [`decoupling`].
#[derive(Clone, Debug, PartialEq)]
pub struct Decoupling {
    /// ⟨z − a, z* − a⟩ / ‖z* − a‖² for the hidden layers t = 1 .. T: the share of the way from the forward activation a to
    /// the equilibrium z* that the activation steps go: 1 for a full relaxation, more or less than nothing where they
    /// overshoot.
    pub relaxed_fraction: Vec<f64>,
    /// ⟨z − a, −δ/μ⟩ / ‖δ/μ‖² for t = 1 .. T, with δ_t = ∂L_y/∂a_t: the displacement in units of the one that would make
    /// the method backpropagation, which has 1 everywhere.
    pub backprop_fraction: Vec<f64>,
    /// Cosine of ∂L/∂θ_t with backpropagation's gradient, for t = 0 .. T; 0 where one of the two is zero. Backpropagation by
    /// another road has 1 everywhere.
    pub cosine: Vec<f64>,
    /// λmax of ∂²L/∂Z² at the forward pass, by [`curvature`]: plain activation steps are stable below 2/λmax.
    pub curvature: f64,
    /// Products that must follow one another for one update; for layers [in flight](Method::in_flight), in one tick.
    pub sequential_products: usize,
    /// The same for backpropagation.
    pub backprop_sequential_products: usize,
    /// ‖∂L/∂Z‖ at z* over ‖∂L/∂Z‖ at the forward pass: how well the equilibrium was found. The fractions of relaxation
    /// are good to about this.
    pub equilibrium_error: f64,
}

/// Measures a method's activation steps on all of `data` (some hundred examples will do) at the network's present
/// parameters, from the forward pass and with Θ fixed.
///
/// The parameter gradients are those after the last activation step. The equilibrium is found by plain descent with an
/// adapted step, at most [`DESCENT`] steps of it: this is dear, and meant for now and then.
///
/// # Errors
/// As [`DecoupledNetwork::evaluate`] and [`DecoupledNetwork::fit`] for data or a method that do not fit, and
/// [`Error::NotFinite`](crate::Error::NotFinite) for an output that is not finite.
pub fn decoupling<T: Scalar>(
    network: &DecoupledNetwork<T>,
    data: &Dataset<T>,
    method: &Method<T>,
) -> Result<Decoupling> {
    measure(network, data, method, 1.0)
}

/// [`decoupling`], with this factor on the penalties.
pub(crate) fn measure<T: Scalar>(
    network: &DecoupledNetwork<T>,
    data: &Dataset<T>,
    method: &Method<T>,
    factor: f64,
) -> Result<Decoupling> {
    let objective = network.objective().with_factor(T::of(factor));
    method.check(&objective)?;
    network.check_data(data)?;
    network.pool.install(|| measured(network, data, method, &objective))
}

fn measured<T: Scalar>(
    network: &DecoupledNetwork<T>,
    data: &Dataset<T>,
    method: &Method<T>,
    objective: &Objective<'_, T>,
) -> Result<Decoupling> {
    let depth = network.depth();
    let forward = anchored(objective, data)?;
    check_finite("outputs", forward.prediction(depth - 1, Reads::Forward))?;

    let mut relaxed = forward.clone();
    method.activation_step().relax(objective, &mut relaxed)?;
    let mut local = gradient_buffers(network);
    for (t, gradient) in local.iter_mut().enumerate() {
        objective.parameter_gradient(&mut relaxed, t, method.parameter.reads, gradient)?;
    }

    let largest = curvature(objective, &mut forward.clone(), POWER_STEPS)?;
    let (equilibrium, equilibrium_error) = descend(objective, forward.clone())?;

    let mut chain = forward.clone();
    let mut global = gradient_buffers(network);
    backprop::gradients(objective, &mut chain, &mut global)?;

    let hidden = 1..depth;
    let displacement = |block: &Block<T>, t: usize| {
        let pairs = block.stored(t).as_slice().iter().zip(forward.stored(t).as_slice());
        pairs.map(|(&z, &a)| z - a).collect::<Vec<T>>()
    };
    let relaxed_fraction = |t| {
        let whole = displacement(&equilibrium, t);
        share(&displacement(&relaxed, t), &whole)
    };
    let backprop_fraction = |t: usize| {
        let scale = T::one() / objective.loss(t).1;
        let step: Vec<T> = chain.gradient(t).as_slice().iter().map(|&delta| -delta * scale).collect();
        share(&displacement(&relaxed, t), &step)
    };
    Ok(Decoupling {
        relaxed_fraction: hidden.clone().map(relaxed_fraction).collect(),
        backprop_fraction: hidden.map(backprop_fraction).collect(),
        cosine: local.iter().zip(&global).map(|(a, b)| cosine(a, b)).collect(),
        curvature: largest.to_f64(),
        sequential_products: method.sequential_products(depth),
        backprop_sequential_products: 2 * depth,
        equilibrium_error,
    })
}

/// A block with these examples at their forward pass.
pub(super) fn anchored<T: Scalar>(objective: &Objective<'_, T>, data: &Dataset<T>) -> Result<Block<T>> {
    let mut block = objective.block(data.len());
    block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
    block.stored_mut(objective.circuit.depth()).copy_from_slice(data.targets().as_slice());
    objective.anchor(&mut block)?;
    Ok(block)
}

/// Steps of the power iteration.
pub(super) const POWER_STEPS: usize = 50;

/// The most steps that [`decoupling`] takes towards the equilibrium.
pub const DESCENT: usize = 2000;

/// Descends the energy in Z: the step grows while the energy falls, and is halved and taken back when it rises.
fn descend<T: Scalar>(objective: &Objective<'_, T>, mut block: Block<T>) -> Result<(Block<T>, f64)> {
    let size = |objective: &Objective<'_, T>, block: &mut Block<T>| {
        (1..block.layers()).try_fold(0.0, |sum, t| {
            objective.activation_gradient(block, t)?;
            Ok::<_, crate::Error>(sum + linalg::norm_squared(block.gradient(t).as_slice()).to_f64())
        })
    };
    let start = size(objective, &mut block)?;
    let mut energy = objective.energy(&mut block)?;
    let mut rate = 0.1;
    for _ in 0..DESCENT {
        let mut trial = block.clone();
        Sweeps::new(Order::Jacobi, 1, rate).relax(objective, &mut trial)?;
        let found = objective.energy(&mut trial)?;
        if found <= energy {
            (block, energy, rate) = (trial, found, rate * 1.1);
        } else {
            rate *= 0.5;
        }
    }
    let end = size(objective, &mut block)?;
    Ok((block, if start > 0.0 { (end / start).sqrt() } else { 0.0 }))
}

fn gradient_buffers<T: Scalar>(network: &DecoupledNetwork<T>) -> Vec<Vec<T>> {
    network.params.iter().map(|params| vec![T::zero(); params.len()]).collect()
}

fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    linalg::sum_zip(a, b, |a, b| a.to_f64() * b.to_f64())
}

/// ⟨part, whole⟩ / ‖whole‖²; 0 where the whole is.
fn share<T: Scalar>(part: &[T], whole: &[T]) -> f64 {
    let size = dot(whole, whole);
    if size > 0.0 { dot(part, whole) / size } else { 0.0 }
}

fn cosine<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}
