//! Charts: lines with markers over two axes, as most pictures here are.

use crate::plot::canvas::{Look, Stroke};
use crate::plot::colour;
use crate::plot::frame::Frame;
use crate::plot::scale::{Kind, Scale};
use crate::plot::{Picture, drawable};
use crate::{Error, Result};

/// A line has at most about so many markers.
const MARKERS: usize = 12;

/// A line, its name in the legend and its points.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) look: Look,
    pub(super) points: Vec<(f64, f64)>,
}

/// The i-th solid line, with colour and marker of its own.
pub(super) fn solid(i: usize) -> Look {
    Look { colour: colour::line(i), stroke: Some(Stroke::Solid), marker: Some(i) }
}

/// The lines in one picture; `what` are their values in errors.
pub(super) fn chart(
    what: &'static str,
    lines: &[Line],
    (x_name, x_kind): (&str, Kind),
    (y_name, y_kind): (&str, Kind),
) -> Result<Picture> {
    if lines.is_empty() {
        return Err(Error::Empty { what: "the list of lines" });
    }
    for (row, line) in lines.iter().enumerate() {
        if line.points.is_empty() {
            return Err(Error::Empty { what });
        }
        line.points.iter().enumerate().try_for_each(|(point, &(_, y))| drawable(what, point, row, y))?;
    }
    let points = || lines.iter().flat_map(|line| &line.points);
    let x = Scale::new(points().map(|&(x, _)| x), x_kind, 0.02);
    let y = Scale::new(points().map(|&(_, y)| y), y_kind, 0.05);
    let legend = lines.iter().map(|line| (line.name.clone(), line.look)).collect();
    let frame = Frame::new((x, x_name), (y, y_name), legend);
    frame.draw(true, |canvas| {
        for (i, Line { look, points, .. }) in lines.iter().enumerate() {
            let points: Vec<_> = points.iter().map(|&(x, y)| frame.point(x, y)).collect();
            if let Some(stroke) = look.stroke {
                canvas.line(&points, look.colour, stroke, 1.8)?;
            }
            if let Some(shape) = look.marker {
                let every = points.len().div_ceil(MARKERS);
                // Lines that lie on one another show their markers by turns.
                let marked = points.iter().skip(i * every / lines.len()).step_by(every);
                marked.copied().try_for_each(|point| canvas.marker(point, shape, look.colour))?;
            }
        }
        Ok(())
    })
}
