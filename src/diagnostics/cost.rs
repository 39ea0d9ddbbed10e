//! The cost of a visit, counted from its schedule without running it.

use std::sync::Arc;

use crate::method::schedule::{Products, Schedule, Traits, Walk};
use crate::{DecoupledNetwork, Layer, Method, Scalar};

/// The cost of one visit of an example, counted from the definition of the method; see [`cost`]. Seconds are in the reports
/// ([`EpochReport::time`](crate::EpochReport::time)).
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Products that must follow one another for one update, for layers [in flight](Method::in_flight) in one tick, however many processors
    /// there are ([`Method::sequential_products`]).
    pub sequential_products: usize,
    /// The products of every layer t = 0 .. T in one visit; none where their number depends on the data
    /// ([`GaussNewton`](crate::method::GaussNewton)) or where the work is not in products ([`Exact`](crate::method::Exact) activation steps, and
    /// parameter steps by least squares, [`Ridge`](crate::method::Ridge)).
    pub products: Option<Vec<Products>>,
    /// Floating-point operations of these products for one example, as the layers [tell](crate::Layer::operations) them: a multiplication
    /// and an addition for every use of a parameter in every product, biases counted as weights. A layer without parameters counts as 0.
    pub operations: Option<f64>,
    /// Bytes of the activation bank for all examples, with the state of the activation optimizer and the multipliers, in the network's
    /// [`Storage`](crate::bank::Storage): [`ActivationBank::bytes`](crate::bank::ActivationBank::bytes) of a new bank. 0 for backpropagation.
    pub bank_bytes: u128,
    /// Bytes of the micro-batches [in flight](Method::in_flight), two for each stage, if all examples are one batch (smaller batches may
    /// take smaller ones): for every layer its input, as predicted and as it moves, its output, the errors of both, and its
    /// [cache](crate::Layer::cache_len). The second copy of the parameters is not counted. 0 for other methods.
    pub in_flight_bytes: u128,
}

/// Counts the cost of training a network by `method`, or by backpropagation if it is `None`: the products of one visit, and the bank
/// for `examples` examples. Only counts; runs no layer.
///
/// The visit is a later one, after earlier visits have left their state. A prediction counts once until its input or parameters change.
/// Products with zeros are skipped and do not count: after a forward pass every hidden residual is zero, and a signal from the output
/// travels down one layer per Jacobi sweep. This assumes that the hidden losses have no slope at a zero residual, which holds for all
/// losses of this crate.
///
/// Backpropagation takes a prediction and a pull-back to parameters in every layer, and a pull-back to activations in all but the
/// lowest. [Frozen](DecoupledNetwork::freeze) layers take no pull-back to parameters, and for backpropagation those below all trained
/// layers none to activations. [`Method::default`] takes a forward pass, a pull-back for every hidden activation, and two pull-backs to parameters in
/// every layer but the lowest, the second after a new prediction; in the lowest one.
///
/// Not counted: passes for the report alone (of visits that need no forward pass, the first of an epoch and every eighth after it take
/// one, as does an example's first visit); the estimate of λmax ([`Sweeps::stable`](crate::method::Sweeps::stable): every
/// hundredth visit of an epoch, from at most 32 examples); the refit at the end, validation, and other measurements after an
/// epoch; all element-wise work, such as activation functions, losses and optimizers; and reading and writing the bank. If a signal
/// rounds to zero on its way down, or a schedule or rule leaves parameters unchanged, a visit skips more products than this counts.
///
/// ```
/// use decoupled::{DecoupledNetwork, Method, diagnostics::cost, layer::Activation};
///
/// let builder = DecoupledNetwork::<f32>::builder(64).dense(32, Activation::Relu).dense(10, Activation::Identity);
/// let network = builder.build()?;
/// let (own, twin) = (cost(&network, Some(&Method::default()), 1000), cost(&network, None, 1000));
/// let (lower, upper) = ((64 + 1) * 32, (32 + 1) * 10);
/// assert_eq!(own.operations, Some(2.0 * (2 * lower + 5 * upper) as f64));
/// assert_eq!(twin.operations, Some(2.0 * (2 * lower + 3 * upper) as f64));
/// assert_eq!((own.sequential_products, twin.sequential_products), (6, 4));
/// assert_eq!((own.bank_bytes, twin.bank_bytes), (1000 * (32 * 4 + 16), 0));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Panics
/// When the activation optimizer panics, or a layer when asked for the size of its cache.
pub fn cost<T: Scalar>(network: &DecoupledNetwork<T>, method: Option<&Method<T>>, examples: usize) -> Cost {
    let depth = network.depth();
    let products = products(network, method);
    let operations = products.as_ref().map(|products| {
        let terms = network.layers.iter().zip(products);
        terms.map(|(layer, products)| layer.operations() as f64 * products.total() as f64).sum()
    });
    Cost {
        sequential_products: method.map_or(2 * depth, |method| method.sequential_products(depth)),
        products,
        operations,
        bank_bytes: method.map_or(0, |method| network.layout(method, 0).bytes(examples)),
        in_flight_bytes: method.map_or(0, |method| in_flight_bytes(network, method, examples)),
    }
}

fn in_flight_bytes<T: Scalar>(network: &DecoupledNetwork<T>, method: &Method<T>, examples: usize) -> u128 {
    let schedule = method.schedule(network.depth());
    let Some(plan) = schedule.flight_plan() else { return 0 };
    let plan = plan.for_batch(examples);
    let size = plan.micro_batch();
    let numbers = |layer: &Arc<dyn Layer<T>>| {
        let widths = 3 * layer.input_dim() as u128 + 2 * layer.output_dim() as u128;
        widths * size as u128 + layer.cache_len(size) as u128
    };
    let layers: u128 = network.layers.iter().map(numbers).sum();
    // The lowest input does not move, and the targets are there beside the outputs.
    let micro_batch = layers + size as u128 * network.output_dim() as u128 - size as u128 * network.input_dim() as u128;
    2 * plan.stages().len() as u128 * micro_batch * size_of::<T>() as u128
}

/// Returns whether layer t has parameters and is not frozen.
fn moves<T: Scalar>(network: &DecoupledNetwork<T>, t: usize) -> bool {
    !network.params[t].is_empty() && !network.training.layers[t].frozen
}

/// Counts the products of a visit like the one before it; none if their number depends on the data or the work is not in products.
fn products<T: Scalar>(network: &DecoupledNetwork<T>, method: Option<&Method<T>>) -> Option<Vec<Products>> {
    let depth = network.depth();
    if let Some(method) = method {
        let by_gradient = |t: usize| !moves(network, t) || method.parameter.by_gradient(t);
        if !method.activation.is_counted() || !(0..depth).all(by_gradient) {
            return None;
        }
    }
    let traits = network.training.layers.iter().enumerate().map(|(t, own)| Traits {
        trains: moves(network, t),
        frozen: own.frozen,
        remembers: own.slots > 0,
    });
    let mut walk = Walk::new(traits.collect(), true, method.and_then(|method| method.coupling.multipliers));
    walk.settle(method.map_or_else(|| Schedule::backprop(depth), |method| method.schedule(depth)).stages());
    Some(walk.products)
}
