//! A picture of one number for every hidden layer.

use crate::Result;
use crate::plot::Picture;
use crate::plot::chart::{Line, chart, solid};
use crate::plot::scale::Kind;

/// A value for each hidden layer, the first being layer 1; `what` is the name of the values. Their axis is logarithmic when
/// all are positive and the largest is more than 100 times the smallest. Of values that have one for the output as well, such as
/// [`EpochReport::energies`](crate::EpochReport::energies), leave the last out.
///
/// ```
/// let picture = decoupled::plot::depth_profile("‖∂L/∂θ‖", &[("BP", &[1e-6, 1e-4, 1e-2]), ("decoupled", &[0.1, 0.2, 0.3])])?;
/// assert!(picture.svg().contains("10⁻⁴"));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty) without lines or points, [`Error::NotFinite`](crate::Error::NotFinite) (`row` is the
/// line, `example` the point), [`Error::HyperParameter`](crate::Error::HyperParameter) for a value beyond ±1e300.
pub fn depth_profile(what: &str, values: &[(&str, &[f64])]) -> Result<Picture> {
    let line = |(i, (name, values)): (usize, &(&str, &[f64]))| {
        let points = values.iter().zip(1..).map(|(&value, layer)| (f64::from(layer), value)).collect();
        Line { name: (*name).to_owned(), look: solid(i), points }
    };
    let lines: Vec<_> = values.iter().enumerate().map(line).collect();
    chart("values of hidden layers", &lines, ("hidden layer", Kind::Whole), (what, Kind::Spread(100.0)))
}
