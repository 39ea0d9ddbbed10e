//! Named matrices and vectors among a layer's parameters: the form that files keep, and the mark of a weight.

use std::collections::BTreeSet;

use super::Layer;
use crate::machine::parallel::guarded;
use crate::{Error, Result, Scalar};

/// A matrix, a vector or an array of more axes among a layer's parameters, with a name. A [saved](crate::DecoupledNetwork::save) network
/// consists of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    name: String,
    shape: Vec<usize>,
    /// Whether it lies column after column.
    by_columns: bool,
}

impl Tensor {
    /// A `rows × cols` matrix, column after column; in the file it lies row after row.
    pub fn matrix(name: impl Into<String>, rows: usize, cols: usize) -> Self {
        Self { name: name.into(), shape: vec![rows, cols], by_columns: true }
    }

    /// An array of several axes, the last of which is the fastest, in the layer as in the file.
    pub fn array(name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.into(), shape: shape.into(), by_columns: false }
    }

    /// So many numbers in a row.
    pub fn vector(name: impl Into<String>, len: usize) -> Self {
        Self::array(name, [len])
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rows and columns of a matrix; one column of all numbers for other tensors, which lie as in the file.
    pub fn size(&self) -> (usize, usize) {
        match *self.shape {
            [rows, cols] if self.by_columns => (rows, cols),
            _ => (self.len(), 1),
        }
    }

    /// Whether it has several axes, as weights have, and is not a vector.
    pub(crate) fn has_axes(&self) -> bool {
        self.shape.len() > 1
    }

    /// What a file calls its shape.
    pub fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    /// How many numbers it holds; saturates.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().copied().fold(1, usize::saturating_mul)
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
