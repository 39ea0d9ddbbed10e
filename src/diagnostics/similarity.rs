//! All comparisons of two networks in one report: parameters, layers and functions.

use nalgebra::DMatrix;

use super::function::{self, FunctionSimilarity};
use super::matching::{Matching, check_twins, inner, matching, normalised};
use super::path::{Path, path};
use super::representation::Representation;
use crate::{Dataset, DecoupledNetwork, MatRef, Result, Scalar};

/// How alike two trained networks are, in their parameters, in what their layers hold, and in what they compute; see
/// [`similarity`].
#[derive(Clone, Debug, PartialEq)]
pub struct Similarity {
    /// The parameters as they are.
    pub raw: ParameterSimilarity,
    /// The same after units were [normalised](normalised) and [matched](matching()): numbers and scales that mean nothing are out
    /// of the way.
    pub matched: ParameterSimilarity,
    /// Which unit of the second network is which of the first.
    pub matching: Matching,
    /// Linear centred kernel alignment, [`cka`](super::cka()): `cka[s][t]` of hidden layer s + 1 of the first network and hidden
    /// layer t + 1 of the second.
    pub cka: Vec<Vec<f64>>,
    /// Orthogonal [`procrustes`](super::procrustes()) distance of the hidden layers t = 1 .. T.
    pub procrustes: Vec<f64>,
    /// What they compute.
    pub function: FunctionSimilarity,
}

/// How near two sets of parameters θ_a and θ_b are to each other.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSimilarity {
    /// ‖θ_a − θ_b‖ / √((‖θ_a‖² + ‖θ_b‖²)/2): 0 for the same parameters, about √2 for unrelated ones.
    pub distance: f64,
    /// cos(θ_a − θ_0, θ_b − θ_0), of the displacements from the start that [`similarity_from`] is given; 0 where one of them has
    /// not moved.
    pub cosine: Option<f64>,
    /// What lies on the straight line between them; 11 points.
    pub path: Path,
}

/// Points on the line between two networks.
const POINTS: usize = 11;

/// Compares two networks of the same layers, as far as widths and numbers of parameters tell, on some data (10 000 examples take
/// seconds; CKA needs four). A layer of your own whose [`wiring`](crate::Layer::wiring) is wrong makes `matched` wrong: let
/// [`check::layer`](crate::check::layer) test it.
///
/// No number here means anything by itself: compare it with that of two networks of the same kind with other seeds, and with
/// that of an untrained network.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for networks of different layers or data that do not fit,
/// [`Error::Contract`](crate::Error::Contract) for a layer whose [`wiring`](crate::Layer::wiring) does not fit it, and as
/// [`DecoupledNetwork::evaluate`].
pub fn similarity<T: Scalar>(
    a: &DecoupledNetwork<T>,
    b: &DecoupledNetwork<T>,
    data: &Dataset<T>,
) -> Result<Similarity> {
    compare(None, a, b, data)
}

/// [`similarity`], with the direction in which each moved from a common `start`.
///
/// # Errors
/// As [`similarity`].
pub fn similarity_from<T: Scalar>(
    start: &DecoupledNetwork<T>,
    a: &DecoupledNetwork<T>,
    b: &DecoupledNetwork<T>,
    data: &Dataset<T>,
) -> Result<Similarity> {
    check_twins(a, start)?;
    compare(Some(start), a, b, data)
}

fn compare<T: Scalar>(
    start: Option<&DecoupledNetwork<T>>,
    a: &DecoupledNetwork<T>,
    b: &DecoupledNetwork<T>,
    data: &Dataset<T>,
) -> Result<Similarity> {
    check_twins(a, b)?;
    let raw = parameters(start, a, b, data)?;
    let (from, to) = (normalised(a)?, normalised(b)?);
    let matching = matching(&from, &to)?;
    let start = start.map(normalised).transpose()?;
    let matched = parameters(start.as_ref(), &from, &matching.renumber(&to)?, data)?;
    let representations = |network: &DecoupledNetwork<T>| {
        let mut layers = network.activations(data.inputs())?;
        layers.pop();
        layers.iter().map(|layer: &DMatrix<T>| Representation::new(MatRef::from(layer))).collect::<Result<Vec<_>>>()
    };
    let (first, second) = (representations(a)?, representations(b)?);
    let row = |own: &Representation| second.iter().map(|other| own.cka(other)).collect::<Result<Vec<f64>>>();
    Ok(Similarity {
        raw,
        matched,
        matching,
        cka: first.iter().map(row).collect::<Result<_>>()?,
        procrustes: first.iter().zip(&second).map(|(own, other)| own.procrustes(other)).collect::<Result<_>>()?,
        function: function::compare(a, b, data)?,
    })
}

fn parameters<T: Scalar>(
    start: Option<&DecoupledNetwork<T>>,
    a: &DecoupledNetwork<T>,
    b: &DecoupledNetwork<T>,
    data: &Dataset<T>,
) -> Result<ParameterSimilarity> {
    let product = |a: &[Vec<T>], b: &[Vec<T>]| a.iter().zip(b).map(|(a, b)| inner(a, b)).sum::<f64>();
    let minus = |a: &[Vec<T>], b: &[Vec<T>]| {
        let layer = |(a, b): (&Vec<T>, &Vec<T>)| a.iter().zip(b).map(|(&a, &b)| a - b).collect::<Vec<T>>();
        a.iter().zip(b).map(layer).collect::<Vec<Vec<T>>>()
    };
    let apart = minus(&a.params, &b.params);
    let size = 0.5 * (product(&a.params, &a.params) + product(&b.params, &b.params));
    let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let cosine = start.map(|start| {
        let (a, b) = (minus(&a.params, &start.params), minus(&b.params, &start.params));
        ratio(product(&a, &b), (product(&a, &a) * product(&b, &b)).sqrt())
    });
    Ok(ParameterSimilarity {
        distance: ratio(product(&apart, &apart), size).sqrt(),
        cosine,
        path: path(a, b, data, POINTS)?,
    })
}
