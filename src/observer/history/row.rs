//! One epoch as a row of a history, in CSV or JSON, and the epoch that a given row is of.

use std::ops::Range;

use crate::EpochReport;
use crate::error::number;

/// A name, and how to get the number.
type Scalar = (&'static str, fn(&EpochReport) -> Option<f64>);

const SCALARS: [Scalar; 12] = [
    ("epoch", |report| Some(report.epoch as f64)),
    ("energy", |report| Some(report.energy)),
    ("train_loss", |report| Some(report.train_loss)),
    ("train_score", |report| report.train_score),
    ("validation_loss", |report| report.validation.map(|scores| scores.loss)),
    ("validation_score", |report| report.validation.and_then(|scores| scores.score)),
    ("staleness", |report| report.staleness),
    ("curvature", |report| report.curvature),
    ("stability_margin", |report| report.stability_margin),
    ("penalty_factor", |report| Some(report.penalty_factor)),
    ("learning_rate_factor", |report| Some(report.learning_rate_factor)),
    ("seconds", |report| Some(report.time.as_secs_f64())),
];

/// What there is a number of for every layer.
struct PerLayer {
    /// The name of the array, and of a column without its layer.
    array: &'static str,
    column: &'static str,
    /// The layers, by the depth T.
    layers: fn(usize) -> Range<usize>,
    values: fn(&EpochReport) -> Vec<f64>,
}

const PER_LAYER: [PerLayer; 4] = [
    PerLayer {
        array: "energies",
        column: "energy",
        layers: |depth| 1..depth + 1,
        values: |report| report.energies.clone(),
    },
    PerLayer {
        array: "residuals",
        column: "residual",
        layers: |depth| 1..depth,
        values: |report| report.residuals.clone(),
    },
    PerLayer {
        array: "dead_units",
        column: "dead_units",
        layers: |depth| 1..depth,
        values: |report| report.dead_units.iter().map(|&units| units as f64).collect(),
    },
    PerLayer {
        array: "update_norms",
        column: "update_norm",
        layers: |depth| 0..depth,
        values: |report| report.update_norms.clone(),
    },
];

/// The names of the columns for a network of so many layers.
pub(super) fn csv_names(depth: usize) -> String {
    let scalars = SCALARS.iter().map(|(name, _)| (*name).to_owned());
    let of_layers = |of: &PerLayer| (of.layers)(depth).map(|t| format!("{}_{t}", of.column)).collect::<Vec<_>>();
    scalars.chain(PER_LAYER.iter().flat_map(of_layers)).collect::<Vec<_>>().join(",")
}

pub(super) fn csv(report: &EpochReport, depth: usize) -> String {
    let scalars = SCALARS.iter().map(|(_, value)| value(report));
    let of_layers = |of: &PerLayer| {
        let values = (of.values)(report).into_iter().map(Some).chain(std::iter::repeat(None));
        values.take((of.layers)(depth).len()).collect::<Vec<_>>()
    };
    let fields = scalars.chain(PER_LAYER.iter().flat_map(of_layers));
    fields.map(|field| field.map_or_else(String::new, number)).collect::<Vec<_>>().join(",")
}

pub(super) fn json(report: &EpochReport) -> String {
    let show = |value: Option<f64>| value.filter(|v| v.is_finite()).map_or_else(|| "null".to_owned(), number);
    let scalars = SCALARS.iter().map(|(name, value)| format!("\"{name}\":{}", show(value(report))));
    let arrays = PER_LAYER.iter().map(|PerLayer { array, values, .. }| {
        let values: Vec<_> = values(report).into_iter().map(|value| show(Some(value))).collect();
        format!("\"{array}\":[{}]", values.join(","))
    });
    format!("{{{}}}", scalars.chain(arrays).collect::<Vec<_>>().join(","))
}

/// How a row in JSON begins.
const JSON: &[u8] = b"{\"epoch\":";

pub(super) fn is_json(line: &[u8]) -> bool {
    line.starts_with(JSON)
}

/// The epoch of a line in either form.
pub(super) fn epoch(line: &[u8]) -> Option<usize> {
    let number = line.strip_prefix(JSON).unwrap_or(line).split(|&byte| byte == b',').next()?;
    std::str::from_utf8(number).ok()?.parse().ok()
}
