//! A picture of the loss between two networks.

use crate::plot::Picture;
use crate::plot::chart::{Line, chart, solid};
use crate::plot::scale::Kind;
use crate::{Error, Result};

/// The loss along the straight line between two networks, `(1 − α) Θ_a + α Θ_b`, at equally spaced α from 0 to 1. A hump
/// between the ends is a barrier: the two lie in different basins.
///
/// ```
/// let picture = decoupled::plot::barrier(&[("digits", &[0.08, 0.9, 2.1, 1.0, 0.09])])?;
/// assert!(picture.svg().contains("digits"));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] without lines or points, [`Error::Shape`] for a line of one point, [`Error::NotFinite`] (`row` is the
/// line, `example` the point), [`Error::HyperParameter`] for a loss beyond ±1e300.
pub fn barrier(losses: &[(&str, &[f64])]) -> Result<Picture> {
    if losses.iter().any(|(_, losses)| losses.len() == 1) {
        return Err(Error::Shape { what: "points between two networks, both ends included", expected: 2, found: 1 });
    }
    let line = |(i, (name, losses)): (usize, &(&str, &[f64]))| {
        let last = losses.len().max(2) - 1;
        let points = losses.iter().enumerate().map(|(k, &loss)| (k as f64 / last as f64, loss)).collect();
        Line { name: (*name).to_owned(), look: solid(i), points }
    };
    let lines: Vec<_> = losses.iter().enumerate().map(line).collect();
    let x = ("α, from one network (0) to the other (1)", Kind::Linear);
    chart("losses between two networks", &lines, x, ("loss (mean per example)", Kind::Linear))
}
