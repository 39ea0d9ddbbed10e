//! Which parameters belong to which unit, so that units can be renumbered and rescaled.

use std::ops::Range;

use crate::Scalar;

/// What some of a layer's parameters belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tied {
    /// One parameter for every output unit and input unit: an `outputs × inputs` matrix, column after column.
    Weights,
    /// One parameter for every output unit.
    Outputs,
    /// One parameter for every input unit.
    Inputs,
}

/// How a layer's parameters belong to the units below and above it: what has to move along when units get other numbers, or
/// other scales, and the network computes what it did before.
///
/// [`diagnostics::matching`](crate::diagnostics::matching) finds by it which unit of one network is which of another. With a
/// permutation π of the outputs and κ of the inputs the layer promises f(κz; θ') = π f(z; θ), where θ' is θ with the rows of its
/// weights permuted by π, their columns by κ, and so on; [`check::layer`](crate::check::layer) tests it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    params: Vec<Tied>,
    same_units: bool,
    scales_in: bool,
    scales_out: bool,
}

impl Wiring {
    /// A layer whose outputs are units of their own, such as an affine map; its parameters, group after group.
    pub fn new(params: impl Into<Vec<Tied>>) -> Self {
        Self { params: params.into(), same_units: false, scales_in: false, scales_out: false }
    }

    /// A layer whose output unit i goes with input unit i, such as an activation function: π = κ.
    pub fn unit_by_unit(params: impl Into<Vec<Tied>>) -> Self {
        Self { same_units: true, ..Self::new(params) }
    }

    /// Says that scales go through, too, for factors c > 0. Of a layer with units of its own: multiplying what belongs to an output
    /// (its row of the weights, its entries of [`Tied::Outputs`]) by c multiplies that output by c, and an input times c is made
    /// up for by its column of the weights divided by c. Of one that is unit by unit: an input times c gives that output times c.
    #[must_use]
    pub fn scales(self) -> Self {
        Self { scales_in: true, scales_out: true, ..self }
    }

    /// Whether output unit i goes with input unit i.
    pub fn is_unit_by_unit(&self) -> bool {
        self.same_units
    }

    /// That of `below` and `above` in a row; none where units are left between them.
    pub(crate) fn chain(below: Self, above: Self) -> Option<Self> {
        let plain = |wiring: &Self| wiring.same_units && !wiring.params.contains(&Tied::Weights);
        let passes = |wiring: &Self| wiring.same_units && wiring.scales_in;
        let (scales_in, scales_out) = match (below.same_units, above.same_units) {
            (true, true) => (below.scales_in && above.scales_in, below.scales_in && above.scales_in),
            (true, false) if plain(&below) => (passes(&below) && above.scales_in, above.scales_out),
            // A factor passes through `above` as it is: what belongs to its units does not take part in it, and a wiring has no
            // word for parameters that stay behind.
            (false, true) if plain(&above) => {
                (below.scales_in, below.scales_out && passes(&above) && above.params.is_empty())
            }
            _ => return None,
        };
        // The units between the two are inputs of the chain, or its outputs, or both.
        let (lower, upper) = (below.same_units, above.same_units);
        let of_below = |tied| if upper { tied } else { Tied::Inputs };
        let of_above = |tied| if upper && !lower { Tied::Outputs } else { tied };
        let params = below.params.into_iter().map(of_below).chain(above.params.into_iter().map(of_above)).collect();
        Some(Self { params, same_units: lower && upper, scales_in, scales_out })
    }

    /// That of the sum of two layers' outputs, whose parameters follow one another.
    pub(crate) fn sum(self, other: Self) -> Self {
        // A factor that the parameters of one make up for passes through the other unchanged, if only one is unit by unit.
        let alike = self.same_units == other.same_units;
        Self {
            params: [self.params, other.params].concat(),
            same_units: self.same_units || other.same_units,
            scales_in: alike && self.scales_in && other.scales_in,
            scales_out: alike && self.scales_out && other.scales_out,
        }
    }

    /// Whether a factor on an input is made up for by the weights, or passes through.
    pub(crate) fn scales_in(&self) -> bool {
        self.scales_in
    }

    /// Whether a factor on an output is one on parameters, or on the input.
    pub(crate) fn scales_out(&self) -> bool {
        self.scales_out
    }

    /// The groups of parameters with their places, for so many outputs and inputs.
    pub(crate) fn places(&self, outputs: usize, inputs: usize) -> impl Iterator<Item = (Tied, Range<usize>)> {
        let mut end = 0usize;
        self.params.iter().map(move |&tied| {
            let start = end;
            end = start.saturating_add(match tied {
                Tied::Weights => outputs.saturating_mul(inputs),
                Tied::Outputs => outputs,
                Tied::Inputs => inputs,
            });
            (tied, start..end)
        })
    }

    /// How many parameters these are.
    pub(crate) fn param_len(&self, outputs: usize, inputs: usize) -> usize {
        self.places(outputs, inputs).last().map_or(0, |(_, place)| place.end)
    }

    /// `params` with unit `outputs[i]` as output i, and unit `inputs[k]` as input k.
    pub(crate) fn renumber<T: Scalar>(&self, params: &[T], outputs: &[usize], inputs: &[usize]) -> Vec<T> {
        let mut all = Vec::with_capacity(params.len());
        for (tied, place) in self.places(outputs.len(), inputs.len()) {
            let own = &params[place];
            match tied {
                Tied::Weights => {
                    let column = |&k: &usize| &own[k * outputs.len()..(k + 1) * outputs.len()];
                    all.extend(inputs.iter().map(column).flat_map(|column| outputs.iter().map(|&i| column[i])));
                }
                Tied::Outputs => all.extend(outputs.iter().map(|&i| own[i])),
                Tied::Inputs => all.extend(inputs.iter().map(|&k| own[k])),
            }
        }
        all
    }

    /// Multiplies what belongs to each output by its factor, and divides the weights of each input by its own.
    pub(crate) fn rescale<T: Scalar>(&self, params: &mut [T], outputs: &[T], inputs: &[T]) {
        if self.same_units {
            // What goes through unit by unit needs no parameters for it.
            return;
        }
        for (tied, place) in self.places(outputs.len(), inputs.len()) {
            let own = &mut params[place];
            match tied {
                Tied::Weights => {
                    for (column, &input) in own.chunks_exact_mut(outputs.len()).zip(inputs) {
                        column.iter_mut().zip(outputs).for_each(|(w, &output)| *w = *w * output / input);
                    }
                }
                Tied::Outputs => own.iter_mut().zip(outputs).for_each(|(p, &output)| *p *= output),
                Tied::Inputs => {}
            }
        }
    }
}
