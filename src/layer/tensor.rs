//! Named matrices and vectors among a layer's parameters: the form that files keep, and the mark of a weight.

use std::collections::BTreeSet;

use super::Layer;
use crate::machine::parallel::guarded;
use crate::{Error, Result, Scalar};

/// A matrix or a vector among a layer's parameters, with a name: what a [saved](crate::DecoupledNetwork::save) network is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    name: String,
    rows: usize,
    /// None for a vector.
    cols: Option<usize>,
}

impl Tensor {
    /// A `rows × cols` matrix, column after column; in the file it lies row after row.
    pub fn matrix(name: impl Into<String>, rows: usize, cols: usize) -> Self {
        Self { name: name.into(), rows, cols: Some(cols) }
    }

    /// So many numbers in a row.
    pub fn vector(name: impl Into<String>, len: usize) -> Self {
        Self { name: name.into(), rows: len, cols: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rows and columns; one column for a vector.
    pub fn size(&self) -> (usize, usize) {
        (self.rows, self.cols.unwrap_or(1))
    }

    /// Whether it is a matrix, not a vector.
    pub(crate) fn is_matrix(&self) -> bool {
        self.cols.is_some()
    }

    /// What a file calls its shape.
    pub fn shape(&self) -> Vec<usize> {
        [self.rows].into_iter().chain(self.cols).collect()
    }

    /// How many numbers it holds; saturates.
    pub(crate) fn len(&self) -> usize {
        self.rows.saturating_mul(self.cols.unwrap_or(1))
    }

    /// The same as a part of the layer or network that calls it so.
    pub(crate) fn within(self, name: impl std::fmt::Display) -> Self {
        Self { name: format!("{name}.{}", self.name), ..self }
    }
}

/// The tensors of layer t, which has so many parameters, as it tells them.
///
/// # Errors
/// [`Error::Contract`] unless they have names of their own and cover the parameters; [`Error::Panicked`].
pub(crate) fn tensors_of<T: Scalar>(layer: &dyn Layer<T>, t: usize, params: usize) -> Result<Vec<Tensor>> {
    guarded("tensors", t, || {
        let tensors = layer.tensors();
        let names: BTreeSet<_> = tensors.iter().map(Tensor::name).collect();
        let breach = |what: &str, expected: usize, found: usize| {
            let (subject, what) = (format!("{layer:?}"), what.to_owned());
            let (rule, expected, found) = ("tensors_cover_the_parameters", expected as f64, found as f64);
            Err(Error::Contract { subject, rule, what, expected, found })
        };
        let covered = tensors.iter().map(Tensor::len).fold(0, usize::saturating_add);
        if covered != params {
            return breach("the tensors hold all parameters", params, covered);
        }
        if names.len() != tensors.len() {
            return breach("every tensor has a name of its own", tensors.len(), names.len());
        }
        Ok(tensors)
    })?
}
