//! The matching of two networks' hidden units by their weights, and the renumbering that it gives.

use nalgebra::DMatrix;

use super::assignment::assignment;
use crate::layer::{Tied, Wiring};
use crate::machine::linalg;
use crate::machine::linalg::matrix::check_shape;
use crate::machine::parallel::guarded;
use crate::{DecoupledNetwork, Error, MatMut, MatRef, Result, Scalar};

/// Which hidden unit of one network is which of another; see [`matching`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// For the hidden layers t = 1 .. T: `units[t − 1][i]` is the unit of the second network that is unit i of the first.
    pub units: Vec<Vec<usize>>,
}

/// Finds which hidden unit of `b` is which of `a`, by their weights: the numbering π of the units of `b` with a large
/// ⟨θ_a, π(θ_b)⟩. What the network computes does not depend on it.
///
/// Coordinate descent: with all other layers as they are, the best numbering of one is a linear assignment; layers take turns
/// from the input up until none gains. It goes once from the numbering as it is, and once from none (a layer then counts only
/// what is fixed or was found before); of the two ends the better is taken, the first if they are equal. That is a local
/// optimum: the best of all is out of reach.
///
/// S. Ainsworth, J. Hayase, S. Srinivasa (2022), *Git Re-Basin: Merging Models modulo Permutation Symmetries*,
/// [arXiv 2209.04836](https://arxiv.org/abs/2209.04836). ReLU units may be scaled as well: compare
/// [normalised](normalised) networks. Signs, which a tanh unit may change, are left as they are.
///
/// Units that go through a layer one by one are numbered together; those around a layer that does not tell its
/// [`wiring`](crate::Layer::wiring) stay as they are, as inputs and outputs do. A wiring is taken at its word, but for its lengths:
/// [`check::layer`](crate::check::layer) is what tests it. Layers are compared by widths and numbers of parameters alone.
///
/// # Errors
/// [`Error::Shape`] for networks of different layers, [`Error::Contract`] for a wiring that does not fit its layer,
/// [`Error::Panicked`].
pub fn matching<T: Scalar>(a: &DecoupledNetwork<T>, b: &DecoupledNetwork<T>) -> Result<Matching> {
    check_twins(a, b)?;
    let groups = Groups::of(a)?;
    let from_here = Search::new(&groups, a, b).run(vec![true; groups.sizes.len()]);
    let from_none = Search::new(&groups, a, b).run(groups.fixed.clone());
    let best = if from_none.1 > from_here.1 { from_none.0 } else { from_here.0 };
    let hidden = 1..a.depth();
    Ok(Matching { units: hidden.map(|t| best[groups.at[t]].clone()).collect() })
}

impl Matching {
    /// The network with its hidden units renumbered: the same function, up to rounding. It has no bank, and its optimizers start
    /// anew.
    ///
    /// # Errors
    /// [`Error::Shape`] for a network of other widths, [`Error::Contract`] for a numbering that its layers do not allow,
    /// [`Error::Panicked`].
    pub fn renumber<T: Scalar>(&self, network: &DecoupledNetwork<T>) -> Result<DecoupledNetwork<T>> {
        let depth = network.depth();
        check_shape("hidden layers of the numbering", depth - 1, self.units.len())?;
        let widths = network.widths();
        let as_they_are = |t: usize| (0..widths[t]).collect::<Vec<usize>>();
        let mut units = vec![as_they_are(0)];
        for (own, &width) in self.units.iter().zip(&widths[1..]) {
            let mut sorted = own.clone();
            sorted.sort_unstable();
            check_shape("units of a hidden layer of the numbering", width, own.len())?;
            if sorted.iter().enumerate().any(|(i, &unit)| i != unit) {
                return Err(not_allowed("a numbering names every unit of a layer once"));
            }
            units.push(own.clone());
        }
        units.push(as_they_are(depth));
        let renumber = |t: usize| match wiring(network, t)? {
            Some(wiring) if wiring.is_unit_by_unit() && units[t] != units[t + 1] => {
                Err(not_allowed("units that go through a layer one by one are numbered together"))
            }
            Some(wiring) => Ok(wiring.renumber(&network.params[t], &units[t + 1], &units[t])),
            None if [t, t + 1].iter().any(|&t| units[t] != as_they_are(t)) => {
                Err(not_allowed("units around a layer without a wiring stay as they are"))
            }
            None => Ok(network.params[t].clone()),
        };
        Ok(network.with_params((0..depth).map(renumber).collect::<Result<_>>()?))
    }
}

/// The network with each hidden unit scaled to incoming weights of norm 1, from the input up, where its layers say that
/// [scales go through](Wiring::scales): between them a positive factor moves freely. Biases and outgoing weights make up for it, so
/// that it is the same function, up to rounding, if every wiring is true. It has no bank, and its optimizers start anew.
///
/// # Errors
/// [`Error::Contract`] for a wiring of other lengths than its layer's, [`Error::Panicked`].
pub fn normalised<T: Scalar>(network: &DecoupledNetwork<T>) -> Result<DecoupledNetwork<T>> {
    let (depth, widths, groups) = (network.depth(), network.widths(), Groups::of(network)?);
    let mut params = network.params.clone();
    for t in 0..depth {
        let (outputs, inputs) = (widths[t + 1], widths[t]);
        let group = groups.at[t + 1];
        let Some(wiring) = groups.wirings[t].as_ref().filter(|wiring| !wiring.is_unit_by_unit()) else { continue };
        if !groups.scale(group) {
            continue;
        }
        let mut squares = vec![T::zero(); outputs];
        for (_, place) in wiring.places(outputs, inputs).filter(|(tied, _)| *tied == Tied::Weights) {
            for column in params[t][place].chunks_exact(outputs) {
                squares.iter_mut().zip(column).for_each(|(sum, &w)| *sum += w * w);
            }
        }
        let factors: Vec<T> =
            squares.iter().map(|&sum| if sum > T::zero() { T::one() / sum.sqrt() } else { T::one() }).collect();
        let ones = |units: usize| vec![T::one(); units];
        wiring.rescale(&mut params[t], &factors, &ones(inputs));
        for (above, wiring) in groups.wirings.iter().enumerate() {
            if groups.at[above] == group
                && let Some(wiring) = wiring
            {
                wiring.rescale(&mut params[above], &ones(widths[above + 1]), &factors);
            }
        }
    }
    Ok(network.with_params(params))
}

/// Fails unless the two have the same layers, as far as widths and numbers of parameters tell.
pub(crate) fn check_twins<T: Scalar>(a: &DecoupledNetwork<T>, b: &DecoupledNetwork<T>) -> Result<()> {
    check_shape("layers of the other network", a.depth(), b.depth())?;
    check_shape("rows of the other network's input (features)", a.input_dim(), b.input_dim())?;
    for (t, (a, b)) in a.layers.iter().zip(&b.layers).enumerate() {
        let outputs = check_shape("outputs of the other network's layer", a.output_dim(), b.output_dim());
        outputs.map_err(|error| error.in_layer(t))?;
    }
    for (t, (a, b)) in a.params.iter().zip(&b.params).enumerate() {
        check_shape("parameters", a.len(), b.len()).map_err(|error| error.in_layer(t))?;
    }
    Ok(())
}

fn not_allowed(what: &str) -> Error {
    let (subject, what) = ("a matching of units".to_owned(), what.to_owned());
    Error::Contract { subject, rule: "matchings_renumber_units", what, expected: 1.0, found: 0.0 }
}

/// The wiring of layer t, if it has one.
fn wiring<T: Scalar>(network: &DecoupledNetwork<T>, t: usize) -> Result<Option<Wiring>> {
    let layer = &network.layers[t];
    let (wiring, found) = (guarded("wiring", t, || layer.wiring())?, network.params[t].len());
    let (outputs, inputs) = (layer.output_dim(), layer.input_dim());
    match wiring.as_ref().map(|wiring| (wiring.param_len(outputs, inputs), wiring.is_unit_by_unit())) {
        Some((expected, unit_by_unit)) if expected != found || unit_by_unit && inputs != outputs => {
            let what =
                "the wiring tells of all parameters, and has an input for each output if it is unit by unit".to_owned();
            let (subject, rule) = (format!("layer {t}, {layer:?}"), "wiring_covers_the_parameters");
            Err(Error::Contract { subject, rule, what, expected: expected as f64, found: found as f64 })
        }
        _ => Ok(wiring),
    }
}

/// Activations whose units are numbered together.
struct Groups {
    /// That of z_t, t = 0 ..= T.
    at: Vec<usize>,
    /// Units of each.
    sizes: Vec<usize>,
    /// Whether they stay as they are.
    fixed: Vec<bool>,
    wirings: Vec<Option<Wiring>>,
}

impl Groups {
    fn of<T: Scalar>(network: &DecoupledNetwork<T>) -> Result<Self> {
        let wirings = (0..network.depth()).map(|t| wiring(network, t)).collect::<Result<Vec<_>>>()?;
        let (mut at, mut sizes) = (vec![0], vec![network.input_dim()]);
        for (wiring, width) in wirings.iter().zip(network.widths().into_iter().skip(1)) {
            if !wiring.as_ref().is_some_and(Wiring::is_unit_by_unit) {
                sizes.push(width);
            }
            at.push(sizes.len() - 1);
        }
        let mut fixed = vec![false; sizes.len()];
        fixed[0] = true;
        fixed[at[network.depth()]] = true;
        for t in (0..network.depth()).filter(|&t| wirings[t].is_none()) {
            fixed[at[t]] = true;
            fixed[at[t + 1]] = true;
        }
        Ok(Self { at, sizes, fixed, wirings })
    }

    /// Whether each unit of a group may be scaled.
    fn scale(&self, group: usize) -> bool {
        let passes = |t: usize| {
            let wiring = &self.wirings[t];
            (self.at[t + 1] != group || wiring.as_ref().is_some_and(Wiring::scales_out))
                && (self.at[t] != group || wiring.as_ref().is_some_and(Wiring::scales_in))
        };
        !self.fixed[group] && (0..self.wirings.len()).all(passes)
    }
}

/// A search for the numbering of every group.
struct Search<'a, T: Scalar> {
    groups: &'a Groups,
    a: &'a DecoupledNetwork<T>,
    b: &'a DecoupledNetwork<T>,
    /// The numbering so far.
    units: Vec<Vec<usize>>,
}

impl<'a, T: Scalar> Search<'a, T> {
    fn new(groups: &'a Groups, a: &'a DecoupledNetwork<T>, b: &'a DecoupledNetwork<T>) -> Self {
        Self { groups, a, b, units: groups.sizes.iter().map(|&size| (0..size).collect()).collect() }
    }

    /// Rounds until none gains; first only ties to what is `known` count, those of a group to itself not either. The numbering, and ⟨θ_a, π(θ_b)⟩.
    fn run(mut self, mut known: Vec<bool>) -> (Vec<Vec<usize>>, f64) {
        let mut reached = self.product();
        loop {
            let before = reached;
            let first = known.contains(&false);
            for group in (0..self.units.len()).filter(|&group| !self.groups.fixed[group]) {
                let found = assignment(&self.gains(group, &known), self.groups.sizes[group]);
                let old = std::mem::replace(&mut self.units[group], found);
                let product = self.product();
                // What a round gains has to be more than rounding.
                if first || product > reached + 1e-9 * reached.abs() {
                    reached = product;
                } else {
                    self.units[group] = old;
                }
                known[group] = true;
            }
            // Where sums overflow both may be no number: nothing is gained then.
            let gained = reached > before;
            if !first && !gained {
                return (self.units, reached);
            }
        }
    }

    /// ⟨θ_a, π(θ_b)⟩.
    fn product(&self) -> f64 {
        let layer = |t: usize| {
            let (outputs, inputs) = (&self.units[self.groups.at[t + 1]], &self.units[self.groups.at[t]]);
            let (a, b) = (&self.a.params[t], &self.b.params[t]);
            match &self.groups.wirings[t] {
                Some(wiring) => inner(a, &wiring.renumber(b, outputs, inputs)),
                None => inner(a, b),
            }
        };
        (0..self.a.depth()).map(layer).sum()
    }

    /// What it gains to have unit j of `b` as unit i of `a`, row after row, with all other groups as they are.
    fn gains(&self, group: usize, known: &[bool]) -> Vec<f64> {
        let size = self.groups.sizes[group];
        let as_they_are: Vec<usize> = (0..size).collect();
        let (mut gains, mut product) = (DMatrix::<T>::zeros(size, size), vec![T::zero(); size * size]);
        for t in 0..self.a.depth() {
            let Some(wiring) = &self.groups.wirings[t] else { continue };
            let (above, below) = (self.groups.at[t + 1], self.groups.at[t]);
            let (outputs, inputs) = (self.groups.sizes[above], self.groups.sizes[below]);
            let (a, b) = (&self.a.params[t], &self.b.params[t]);
            let mut add =
                |multiply: fn(MatRef<'_, T>, MatRef<'_, T>, MatMut<'_, T>), a: MatRef<'_, T>, b: MatRef<'_, T>| {
                    multiply(a, b, MatMut::new(&mut product, size, size));
                    linalg::axpy(T::one(), &product, gains.as_mut_slice());
                };
            // As what the layer gives.
            if above == group {
                let b = wiring.renumber(b, &as_they_are, &self.units[below]);
                for (tied, place) in wiring.places(outputs, inputs) {
                    let columns = if tied == Tied::Weights { inputs } else { 1 };
                    if tied == Tied::Outputs || tied == Tied::Weights && known[below] {
                        let of = |params| MatRef::new(params, size, columns);
                        add(linalg::matmul_nt, of(&a[place.clone()]), of(&b[place]));
                    }
                }
            }
            // As what it reads.
            if below == group {
                let b = wiring.renumber(b, &self.units[above], &as_they_are);
                for (tied, place) in wiring.places(outputs, inputs) {
                    let rows = if tied == Tied::Weights { outputs } else { 1 };
                    if tied == Tied::Inputs || tied == Tied::Weights && known[above] {
                        let of = |params| MatRef::new(params, rows, size);
                        add(linalg::matmul_tn, of(&a[place.clone()]), of(&b[place]));
                    }
                }
            }
        }
        let row = |i: usize| gains.row(i).iter().map(|gain| gain.to_f64()).collect::<Vec<f64>>();
        (0..size).flat_map(row).collect()
    }
}

/// ⟨a, b⟩.
pub(crate) fn inner<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    linalg::sum_zip(a, b, |a, b| a.to_f64() * b.to_f64())
}
