//! A picture of layers against layers.

use crate::plot::Picture;
use crate::plot::heat::Heat;
use crate::plot::scale::Scale;
use crate::{Error, Result, error};

/// How alike the layers of two networks are, such as by centred kernel alignment: `values[i][j]` is of layer i + 1 of `a` and
/// layer j + 1 of `b`. Rows go up from the lowest layer. Up to 12 × 12 values are written into their cells. Colours go from 0 to
/// 1; what a debiased estimate has below 0 has the colour of 0.
///
/// ```
/// let alike = [vec![0.98, 0.61], vec![0.55, 0.93]];
/// let picture = decoupled::plot::cka("decoupled", "BP", &alike)?;
/// assert!(picture.svg().contains("0.61"));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] without values, [`Error::Shape`] for rows of unequal lengths, [`Error::NotFinite`] (`row` is i, `example`
/// j), [`Error::HyperParameter`] for a value that is outside −1 ..= 1 by more than 1e-6.
pub fn cka(a: &str, b: &str, values: &[Vec<f64>]) -> Result<Picture> {
    let columns = values.first().map_or(0, Vec::len);
    for (row, own) in values.iter().enumerate() {
        if own.len() != columns {
            return Err(Error::Shape { what: "columns of similarities", expected: columns, found: own.len() });
        }
        for (example, &value) in own.iter().enumerate() {
            let what = "similarities of layers";
            if !value.is_finite() {
                return Err(Error::NotFinite { what, example, row, value });
            }
            error::require(value.abs() <= 1.0 + 1e-6, what, "in -1 ..= 1", value)?;
        }
    }
    if columns == 0 {
        return Err(Error::Empty { what: "the matrix of similarities" });
    }
    let count = |layers: usize| (1..=layers).map(|layer| layer.to_string()).collect();
    let rows = values.iter().map(|row| row.iter().map(|value| Some(*value)).collect()).collect();
    let names = [format!("layer of {b}"), format!("layer of {a}")];
    let names = [&*names[0], &*names[1]];
    let numbers = [count(columns), count(values.len())];
    Heat { rows, scale: Scale::fixed(0.0, 1.0), meaning: "CKA", names, numbers, written: true }.draw()
}
