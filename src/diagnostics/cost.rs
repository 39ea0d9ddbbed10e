use crate::activation_step::{ActivationStep, Order};
use crate::bank::Layout;
use crate::block::Reads;
use crate::parameter_step::{Solver, Timing};
use crate::start::Start;
use crate::{DecoupledNetwork, Method, Scalar};

/// What one visit of an example takes, counted from the definition of the method; see [`cost`]. Seconds are in the reports
/// ([`EpochReport::time`](crate::EpochReport::time)).
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Products that must follow one another for one update, however many processors there are
    /// ([`Method::sequential_products`]).
    pub sequential_products: usize,
    /// The products of every layer t = 0 .. T in one visit; none where their number depends on the data
    /// ([`GaussNewton`](crate::GaussNewton)) or where the work is not in products ([`Exact`](crate::Exact) activation steps, and
    /// parameter steps by least squares, [`Solver::Ridge`]).
    pub products: Option<Vec<Products>>,
    /// Floating-point operations of these products for one example: 2 for every parameter of the layer and every product, a
    /// multiplication and an addition. That is what a dense map takes, its biases counted as weights; a layer that uses a
    /// parameter more than once takes more, and one without parameters counts as nothing.
    pub operations: Option<f64>,
    /// Bytes of the activation bank for all examples, with what the activation optimizer remembers and the multipliers, in the
    /// network's [`Storage`](crate::Storage): [`ActivationBank::bytes`](crate::ActivationBank::bytes) of a bank that a fit opens
    /// anew. 0 for backpropagation.
    pub bank_bytes: u128,
}

/// How often each kind of product with a layer's parameters is taken in one visit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Products {
    /// Predictions: [`forward`](crate::Layer::forward).
    pub predictions: usize,
    /// Pull-backs to activations: [`input_gradient`](crate::Layer::input_gradient).
    pub to_activations: usize,
    /// Pull-backs to parameters: [`param_gradient`](crate::Layer::param_gradient).
    pub to_parameters: usize,
}

impl Products {
    /// All of them.
    pub const fn total(&self) -> usize {
        self.predictions + self.to_activations + self.to_parameters
    }
}

/// Counts what training a network by `method`, or by backpropagation where it is `None`, takes: the products of one visit, and the
/// bank for so many examples. Nothing is computed but the count.
///
/// The visit is one of many: what earlier ones leave is there. A prediction counts once for as long as what it reads stands. Products
/// with zeros are spared and do not count: after a forward pass every hidden residual is zero, and a signal from the output comes
/// down one layer in a Jacobi sweep. For that the hidden losses must have no slope where the residual is zero, as all losses here
/// have none.
///
/// Backpropagation takes a prediction and a pull-back to parameters in every layer, and a pull-back to activations in all but the
/// lowest. [Frozen](DecoupledNetwork::freeze) layers take no pull-back to parameters, and for backpropagation those below all others
/// none to activations. [`Method::default`] takes a forward pass, a pull-back to parameters in every layer at the end, and in between its sweeps,
/// the first of which moves the highest two hidden layers and each further one two more: what has moved takes a new prediction and
/// a pull-back from the layer above it.
///
/// Not counted: passes for the report alone (of visits that need no forward pass the first of an epoch takes one, and every eighth
/// from there on, and so does an example's very first visit); the estimate of λmax ([`Sweeps::stable`](crate::Sweeps::stable): every
/// hundredth visit of an epoch, from at most 32 examples); the refit at the end, validation, and what else is measured after an
/// epoch; all element-wise work, such as activation functions, losses and optimizers; and what it takes to read and write the bank.
/// A signal that rounds to zero on its way down spares more products than those counted, and so do parameters that a schedule or a
/// rule leaves where they are.
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
/// When the activation optimizer does.
pub fn cost<T: Scalar>(network: &DecoupledNetwork<T>, method: Option<&Method<T>>, examples: usize) -> Cost {
    let depth = network.depth();
    let products = match method {
        None => Some(backpropagation(network)),
        Some(method) => decoupled(network, method),
    };
    let operations = products.as_ref().map(|products| {
        let terms = network.params.iter().zip(products);
        terms.map(|(params, products)| 2.0 * params.len() as f64 * products.total() as f64).sum()
    });
    Cost {
        sequential_products: method.map_or(2 * depth, |method| method.sequential_products(depth)),
        products,
        operations,
        bank_bytes: method.map_or(0, |method| layout(network, method).bytes(examples)),
    }
}

/// How a fit lays its bank out.
fn layout<T: Scalar>(network: &DecoupledNetwork<T>, method: &Method<T>) -> Layout {
    let slots = if method.start == Start::Anchored { 0 } else { method.activation.slots() };
    let widths = network.layers[1..].iter().map(|layer| layer.input_dim());
    let memory = (slots, String::new());
    Layout::new::<T>(0, widths, memory, method.coupling.multipliers.is_some(), network.storage)
}

fn backpropagation<T: Scalar>(network: &DecoupledNetwork<T>) -> Vec<Products> {
    let lowest = (0..network.depth()).find(|&t| !network.trained[t].frozen).unwrap_or(network.depth());
    let each = |t: usize| Products {
        predictions: 1,
        to_activations: usize::from(t > lowest),
        to_parameters: usize::from(moves(network, t)),
    };
    (0..network.depth()).map(each).collect()
}

/// Whether layer t has parameters, and is not frozen.
fn moves<T: Scalar>(network: &DecoupledNetwork<T>, t: usize) -> bool {
    !network.params[t].is_empty() && !network.trained[t].frozen
}

/// The products of a visit like the one before it.
fn decoupled<T: Scalar>(network: &DecoupledNetwork<T>, method: &Method<T>) -> Option<Vec<Products>> {
    let depth = network.depth();
    let in_products = match method.activation {
        ActivationStep::Sweeps(_) | ActivationStep::Errors(_) => true,
        ActivationStep::GaussNewton(_) | ActivationStep::Exact(_) => false,
    };
    let by_gradient = |t: usize| !moves(network, t) || method.parameter.solver_of(t) == Solver::Optimizer;
    if !in_products || !(0..depth).all(by_gradient) {
        return None;
    }
    let mut visit = Visit::new(network, method);
    loop {
        let kept = (visit.had_gradient.clone(), visit.has_multiplier.clone());
        visit.run();
        if kept == (visit.had_gradient.clone(), visit.has_multiplier.clone()) {
            return Some(visit.products);
        }
    }
}

/// A visit without numbers: which predictions are out of date, and what is zero.
struct Visit<'a, T: Scalar> {
    method: &'a Method<T>,
    depth: usize,
    /// Whether the layer has parameters that may move.
    has_parameters: Vec<bool>,
    remembers: Vec<bool>,
    products: Vec<Products>,
    /// Whether z_t = a_t, the forward activation, for t = 0 .. T.
    same: Vec<bool>,
    /// Whether the prediction of layer t from z_t, and that from a_t, is up to date.
    stored: Vec<bool>,
    forward: Vec<bool>,
    /// Whether θ_t has moved since the forward pass, and whether it will with what the last parameter step found.
    moved: Vec<bool>,
    moves: Vec<bool>,
    /// Whether ∂L/∂θ_t was anything but zero, and λ_t is, at index t; kept from visit to visit.
    had_gradient: Vec<bool>,
    has_multiplier: Vec<bool>,
}

impl<'a, T: Scalar> Visit<'a, T> {
    fn new(network: &DecoupledNetwork<T>, method: &'a Method<T>) -> Self {
        let depth = network.depth();
        let none = vec![false; depth];
        Self {
            method,
            depth,
            has_parameters: (0..depth).map(|t| moves(network, t)).collect(),
            remembers: network.trained.iter().map(|trained| trained.remembers()).collect(),
            products: Vec::new(),
            same: none.clone(),
            stored: none.clone(),
            forward: none.clone(),
            moved: none.clone(),
            moves: none.clone(),
            had_gradient: none.clone(),
            has_multiplier: none,
        }
    }

    fn run(&mut self) {
        let Self { method, depth, .. } = *self;
        let (timing, reads) = (method.parameter.timing, method.parameter.reads);
        let steps = method.activation.steps(depth);
        self.products = vec![Products::default(); depth];
        self.begin();
        match timing {
            Timing::AfterRelaxation { local_steps } => {
                for step in 1..=steps {
                    if step == steps && reads == Reads::Forward {
                        self.measure();
                    }
                    self.activation_step();
                }
                if reads == Reads::Stored {
                    self.measure();
                }
                for round in 0..local_steps {
                    if round > 0 {
                        self.parameters_moved();
                    }
                    self.parameter_step(round == 0);
                }
            }
            Timing::EveryStep => {
                for round in 1..=steps {
                    if round > 1 {
                        self.parameters_moved();
                    }
                    if round == steps {
                        self.measure();
                    }
                    self.parameter_step(round == steps);
                    self.activation_step();
                }
            }
        }
    }

    /// The activations where the method starts them.
    fn begin(&mut self) {
        let (start, reads) = (self.method.start, self.method.parameter.reads);
        self.parameters_moved();
        self.moved.fill(false);
        let anchored = start == Start::Anchored;
        (0..self.depth).for_each(|t| self.same[t] = t == 0);
        if start != Start::Persisted || reads == Reads::Forward {
            (0..self.depth).for_each(|t| self.evaluate(t, Reads::Forward));
        }
        (0..self.depth).for_each(|t| self.same[t] = t == 0 || anchored);
    }

    fn parameters_moved(&mut self) {
        self.stored.fill(false);
        self.forward.fill(false);
        self.moved.iter_mut().zip(&self.moves).for_each(|(moved, moves)| *moved |= moves);
        self.moves.fill(false);
    }

    /// Brings the prediction of layer t up to date.
    fn evaluate(&mut self, t: usize, reads: Reads) {
        let serves_both = self.same[t] || reads == Reads::Forward;
        let fresh = if serves_both { &mut self.forward[t] } else { &mut self.stored[t] };
        self.products[t].predictions += usize::from(!*fresh);
        *fresh = true;
    }

    /// For the report.
    fn measure(&mut self) {
        (0..self.depth).for_each(|t| self.evaluate(t, Reads::Stored));
    }

    /// Whether z_t and what it is predicted to be differ, t = 1 ..= T.
    fn has_residual(&self, t: usize, reads: Reads) -> bool {
        let below = self.same[t - 1] || reads == Reads::Forward;
        t == self.depth || !self.same[t] || !below || self.moved[t - 1]
    }

    /// Whether c_t is anything but zero, t = 1 ..= T.
    fn pulls(&self, t: usize, reads: Reads) -> bool {
        self.has_residual(t, reads) || (t < self.depth && self.has_multiplier[t])
    }

    fn activation_step(&mut self) {
        let top = self.depth;
        match &self.method.activation {
            ActivationStep::Sweeps(sweeps) => match sweeps.order {
                Order::Jacobi => self.sweep(&(1..top).collect::<Vec<_>>()),
                Order::RedBlack => {
                    for first in [1, 2] {
                        let group = (1..top).filter(|t| (top - t) % 2 == first % 2);
                        self.sweep(&group.collect::<Vec<_>>());
                    }
                }
                Order::ReverseGaussSeidel => (1..top).rev().for_each(|t| self.sweep(&[t])),
            },
            ActivationStep::Errors(_) => self.error_step(),
            ActivationStep::GaussNewton(_) | ActivationStep::Exact(_) => {}
        }
    }

    /// Moves the z_t of a group at once.
    fn sweep(&mut self, group: &[usize]) {
        for &t in group {
            self.evaluate(t - 1, Reads::Stored);
            self.evaluate(t, Reads::Stored);
        }
        let is_moved = |visit: &mut Self, t: usize| {
            let pulled = visit.pulls(t + 1, Reads::Stored);
            visit.products[t].to_activations += usize::from(pulled);
            pulled || visit.pulls(t, Reads::Stored)
        };
        let moved: Vec<bool> = group.iter().map(|&t| is_moved(self, t)).collect();
        for (&t, moved) in group.iter().zip(moved) {
            if moved || !self.same[t] {
                self.same[t] = false;
                self.stored[t] = false;
            }
        }
    }

    /// A backward pass, and a forward pass with what it moved.
    fn error_step(&mut self) {
        let top = self.depth;
        let mut above = false;
        for t in (1..top).rev() {
            self.evaluate(t - 1, Reads::Stored);
            self.evaluate(t, Reads::Stored);
            let pulled = above || self.pulls(t + 1, Reads::Stored);
            self.products[t].to_activations += usize::from(pulled);
            above = pulled || self.pulls(t, Reads::Stored);
        }
        for t in 1..top {
            self.evaluate(t - 1, Reads::Stored);
            self.same[t] = false;
            self.stored[t] = false;
        }
    }

    /// ∂L/∂θ of all layers, at which the multipliers rise if this is their time.
    fn parameter_step(&mut self, raises: bool) {
        let reads = self.method.parameter.reads;
        (0..self.depth).for_each(|t| self.evaluate(t, reads));
        let has_gradient: Vec<bool> = (0..self.depth).map(|t| self.pulls(t + 1, reads)).collect();
        if let Some(multipliers) = self.method.coupling.multipliers.filter(|_| raises) {
            for t in (1..self.depth).filter(|&t| multipliers.reaches(t, self.depth)) {
                self.has_multiplier[t] |= self.has_residual(t, reads);
            }
        }
        for (t, has_gradient) in has_gradient.into_iter().enumerate().filter(|(t, _)| self.has_parameters[*t]) {
            self.products[t].to_parameters += usize::from(has_gradient);
            self.moves[t] |= has_gradient || (self.remembers[t] && self.had_gradient[t]);
            self.had_gradient[t] |= has_gradient;
        }
    }
}
