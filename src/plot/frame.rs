//! Two axes with their names and numbers, and a legend above them.

use plotters::style::text_anchor::HPos;

use crate::Result;
use crate::plot::canvas::{Canvas, Look, Point, Stroke};
use crate::plot::colour::{GRID, INK};
use crate::plot::scale::Scale;
use crate::plot::text::{Font, clean};
use crate::plot::{Picture, draw};

/// Pixels of a line in the legend.
const ROW: f64 = 20.0;
/// Between the picture's edge and what is nearest to it.
const EDGE: f64 = 12.0;

/// Where everything stands.
#[derive(Debug)]
pub(super) struct Frame {
    x: Scale,
    y: Scale,
    names: [String; 2],
    legend: Vec<(Point, String, Look)>,
    size: (u32, u32),
    /// The left upper and the right lower corner of what the axes span.
    upper_left: Point,
    lower_right: Point,
}

impl Frame {
    /// Axes with their names, and a legend's entries.
    pub(super) fn new((x, x_name): (Scale, &str), (y, y_name): (Scale, &str), entries: Vec<(String, Look)>) -> Self {
        let names = [clean(x_name) + &x.unit, clean(y_name) + &y.unit];
        let [across, up] = names.each_ref().map(|name| Font::AXIS.width(name));
        let numbers = y.ticks.iter().map(|(_, text)| Font::SMALL.width(text)).fold(0.0, f64::max);
        let last = x.ticks.last().map_or(0.0, |(_, text)| Font::SMALL.width(text) / 2.0);
        let left = EDGE + 16.0 + 6.0 + numbers + 8.0;
        let right = EDGE + last.max(6.0);
        let entries: Vec<_> = entries.into_iter().map(|(name, look)| (clean(&name), look)).collect();
        let entry = |name: &str, look: &Look| width_of(look) + 8.0 + Font::SMALL.width(name);
        let widest = entries.iter().map(|(name, look)| entry(name, look)).fold(0.0, f64::max);
        let width = (left + right + across).max(2.0 * EDGE + widest).max(640.0).ceil();

        let (mut at, mut rows) = (left, 1.0);
        let begin = left.min(width - EDGE - widest);
        let mut legend = Vec::new();
        for (name, look) in entries {
            let own = entry(&name, &look);
            if at + own > width - EDGE && at > begin {
                (at, rows) = (begin, rows + 1.0);
            }
            legend.push(((at.min(width - EDGE - own), EDGE + ROW * (rows - 0.5)), name, look));
            at += own + 18.0;
        }
        let top = EDGE + ROW * rows + 8.0;
        let spanned = (420.0 - 2.0 * ROW - EDGE - 8.0 - 52.0_f64).max(up);
        let bottom = top + spanned;
        let size = (width as u32, (bottom + 52.0_f64).ceil().max(420.0) as u32);
        let bottom = f64::from(size.1) - 52.0;
        Self { x, y, names, legend, size, upper_left: (left, top), lower_right: (width - right, bottom) }
    }

    /// The point for two values.
    pub(super) fn point(&self, x: f64, y: f64) -> Point {
        self.at(self.x.place(x), self.y.place(y))
    }

    /// The point for two places, from 0 at the left and lower end to 1.
    pub(super) fn at(&self, x: f64, y: f64) -> Point {
        let ((left, top), (right, bottom)) = (self.upper_left, self.lower_right);
        (left + x * (right - left), bottom - y * (bottom - top))
    }

    /// The values at two places of linear axes.
    pub(super) fn values(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x.value(x), self.y.value(y))
    }

    /// The picture: a grid unless something covers it, the content, axes and legend.
    pub(super) fn draw(&self, grid: bool, content: impl FnOnce(&Canvas<'_>) -> Result<()>) -> Result<Picture> {
        draw(self.size.0, self.size.1, |canvas| {
            if grid {
                let across = |&(at, _): &(f64, String)| [self.at(0.0, at), self.at(1.0, at)];
                self.y.ticks.iter().try_for_each(|tick| canvas.line(&across(tick), GRID, Stroke::Solid, 0.8))?;
            }
            content(canvas)?;
            self.axes(canvas)?;
            self.legend.iter().try_for_each(|((x, y), name, look)| {
                sample(canvas, (*x, *y), look)?;
                canvas.text(name, (x + width_of(look) + 8.0, *y), HPos::Left, Font::SMALL, INK)
            })
        })
    }

    fn axes(&self, canvas: &Canvas<'_>) -> Result<()> {
        let corners = [self.at(0.0, 1.0), self.at(0.0, 0.0), self.at(1.0, 0.0)];
        canvas.line(&corners, INK, Stroke::Solid, 1.0)?;
        for (at, text) in &self.x.ticks {
            let (x, y) = self.at(*at, 0.0);
            canvas.line(&[(x, y), (x, y + 5.0)], INK, Stroke::Solid, 1.0)?;
            canvas.text(text, (x, y + 15.0), HPos::Center, Font::SMALL, INK)?;
        }
        for (at, text) in &self.y.ticks {
            let (x, y) = self.at(0.0, *at);
            canvas.line(&[(x - 5.0, y), (x, y)], INK, Stroke::Solid, 1.0)?;
            canvas.text(text, (x - 8.0, y), HPos::Right, Font::SMALL, INK)?;
        }
        let ((x, y), [across, up]) = (self.at(0.5, 0.5), &self.names);
        let (width, half) = (f64::from(self.size.0), Font::AXIS.width(across) / 2.0);
        // A long name need not be in the middle of its axis.
        let x = x.min(width - EDGE - half).max(EDGE + half);
        canvas.text(across, (x, self.at(0.0, 0.0).1 + 38.0), HPos::Center, Font::AXIS, INK)?;
        canvas.upward(up, (EDGE + 8.0, y), Font::AXIS)
    }
}

/// Pixels of the sample in the legend.
fn width_of(look: &Look) -> f64 {
    if look.stroke.is_some() { 34.0 } else { 10.0 }
}

/// A piece of the line, and its marker.
fn sample(canvas: &Canvas<'_>, (x, y): Point, look: &Look) -> Result<()> {
    if let Some(stroke) = look.stroke {
        canvas.line(&[(x, y), (x + width_of(look), y)], look.colour, stroke, 1.8)?;
    }
    look.marker.map_or(Ok(()), |shape| canvas.marker((x + width_of(look) / 2.0, y), shape, look.colour))
}
