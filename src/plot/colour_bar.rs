//! The bar of a colour scale.

use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use crate::Result;
use crate::plot::canvas::{Canvas, Point, Stroke};
use crate::plot::colour::INK;
use crate::plot::scale::Scale;
use crate::plot::text::{Font, clean};

/// Cells of the bar, and its width in pixels.
const SHADES: u32 = 64;
const BAR: f64 = 18.0;
/// Between the drawing and the bar.
const GAP: f64 = 24.0;
/// Between the picture's edge and the nearest mark.
pub(super) const EDGE: f64 = 12.0;

/// A bar with the numbers of its scale and a name, at the right edge of a picture.
#[derive(Debug)]
pub(super) struct ColourBar<'b> {
    scale: &'b Scale,
    meaning: String,
    /// Of a place on the scale, from 0 to 1.
    colour: fn(f64) -> RGBColor,
}

impl<'b> ColourBar<'b> {
    pub(super) fn new(scale: &'b Scale, meaning: &str, colour: fn(f64) -> RGBColor) -> Self {
        Self { scale, meaning: clean(meaning) + &scale.unit, colour }
    }

    /// Pixels from the drawing to the edge of the picture.
    pub(super) fn width(&self) -> f64 {
        let numbers = self.scale.ticks.iter().map(|(_, text)| Font::SMALL.width(text)).fold(0.0, f64::max);
        GAP + BAR + 8.0 + numbers + 10.0 + 16.0 + EDGE
    }

    /// Pixels that its name takes.
    pub(super) fn height(&self) -> f64 {
        Font::AXIS.width(&self.meaning)
    }

    /// Draws it right of `left`, from `top` to `bottom`.
    pub(super) fn draw(&self, canvas: &Canvas<'_>, left: f64, (top, bottom): (f64, f64)) -> Result<()> {
        let (x, right) = (left + GAP, left + self.width());
        let at = |place: f64| top + (bottom - top) * (1.0 - place);
        for i in 0..SHADES {
            let [low, high] = [i, i + 1].map(|i| f64::from(i) / f64::from(SHADES));
            let over = if i + 1 < SHADES { 0.5 } else { 0.0 };
            canvas.cell((x, at(high) - over), (x + BAR, at(low)), (self.colour)((low + high) / 2.0))?;
        }
        outline(canvas, (x, top), (x + BAR, bottom))?;
        for (place, text) in &self.scale.ticks {
            let y = at(*place);
            canvas.line(&[(x + BAR, y), (x + BAR + 4.0, y)], INK, Stroke::Solid, 1.0)?;
            canvas.text(text, (x + BAR + 8.0, y), HPos::Left, Font::SMALL, INK)?;
        }
        canvas.upward(&self.meaning, (right.ceil() - EDGE - 8.0, (top + bottom) / 2.0), Font::AXIS)
    }
}

/// A rectangle's edges, between two corners.
pub(super) fn outline(canvas: &Canvas<'_>, (left, top): Point, (right, bottom): Point) -> Result<()> {
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    canvas.line(&corners, INK, Stroke::Solid, 1.0)
}
