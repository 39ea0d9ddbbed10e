//! The elements of a picture, in pixels: lines, cells, markers and text. No other file draws with plotters.

use std::io;
use std::path::PathBuf;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, DashedPathElement, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, RGBColor, TextStyle, WHITE};

use crate::plot::colour::INK;
use crate::plot::text::{Font, clean};
use crate::{Error, Result};

/// Units of the document in a pixel: plotters rounds to whole ones.
pub(super) const UNITS: u32 = 10;

/// A point in pixels, from the upper left.
pub(super) type Point = (f64, f64);

/// How a line is drawn: in one piece, or by dashes and gaps of so many pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stroke {
    Solid,
    Dashes(f64, f64),
}

/// How to find a line, and its points, in the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) colour: RGBColor,
    pub(super) stroke: Option<Stroke>,
    /// The shape of its markers; they repeat after six, colours after seven.
    pub(super) marker: Option<usize>,
}

/// A drawing that goes into a string.
pub(super) struct Canvas<'s>(DrawingArea<SVGBackend<'s>, Shift>);

impl<'s> Canvas<'s> {
    pub(super) fn new(text: &'s mut String, width: u32, height: u32) -> Result<Self> {
        let area = SVGBackend::with_string(text, (width * UNITS, height * UNITS)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        Ok(Self(area))
    }

    pub(super) fn finish(self) -> Result<()> {
        self.0.present().map_err(failed)
    }

    /// A line of so many pixels' width through these points.
    pub(super) fn line(&self, points: &[Point], colour: RGBColor, stroke: Stroke, width: f64) -> Result<()> {
        let points: Vec<_> = points.iter().copied().map(units).collect();
        let style = colour.stroke_width(length(width).unsigned_abs());
        match stroke {
            _ if points.len() < 2 => Ok(()),
            Stroke::Solid => self.0.draw(&PathElement::new(points, style)).map_err(failed),
            Stroke::Dashes(dash, gap) => {
                let dashes = DashedPathElement::new(points, length(dash), length(gap), style);
                self.0.draw(&dashes).map_err(failed)
            }
        }
    }

    /// A filled rectangle between two corners.
    pub(super) fn cell(&self, upper_left: Point, lower_right: Point, colour: RGBColor) -> Result<()> {
        self.0.draw(&Rectangle::new([units(upper_left), units(lower_right)], colour.filled())).map_err(failed)
    }

    /// One of six shapes.
    pub(super) fn marker(&self, (x, y): Point, shape: usize, colour: RGBColor) -> Result<()> {
        let at = |dx: f64, dy: f64| (x + dx, y + dy);
        let polygon = |corners: &[Point]| {
            let corners: Vec<_> = corners.iter().copied().map(units).collect();
            self.0.draw(&Polygon::new(corners, colour.filled())).map_err(failed)
        };
        let bars = |a: [Point; 2], b: [Point; 2]| {
            self.line(&a, colour, Stroke::Solid, 1.8)?;
            self.line(&b, colour, Stroke::Solid, 1.8)
        };
        match shape % 6 {
            0 => self.0.draw(&Circle::new(units((x, y)), length(3.4), colour.filled())).map_err(failed),
            1 => polygon(&[at(0.0, -4.4), at(4.0, 3.0), at(-4.0, 3.0)]),
            2 => polygon(&[at(-3.1, -3.1), at(3.1, -3.1), at(3.1, 3.1), at(-3.1, 3.1)]),
            3 => bars([at(-3.3, -3.3), at(3.3, 3.3)], [at(-3.3, 3.3), at(3.3, -3.3)]),
            4 => polygon(&[at(0.0, -4.4), at(4.4, 0.0), at(0.0, 4.4), at(-4.4, 0.0)]),
            _ => bars([at(-4.2, 0.0), at(4.2, 0.0)], [at(0.0, -4.2), at(0.0, 4.2)]),
        }
    }

    /// Text beside, below or around a point, by where the point lies: left of it, in its middle, right of it.
    pub(super) fn text(&self, text: &str, at: Point, side: HPos, font: Font, colour: RGBColor) -> Result<()> {
        self.write(text, at, side, font, colour, FontTransform::None)
    }

    /// Text from below to above, its middle here.
    pub(super) fn upward(&self, text: &str, at: Point, font: Font) -> Result<()> {
        self.write(text, at, HPos::Center, font, INK, FontTransform::Rotate270)
    }

    /// A line of the title, its middle here.
    pub(super) fn title(&self, text: &str, at: Point) -> Result<()> {
        self.text(text, at, HPos::Center, Font::TITLE, INK)
    }

    fn write(
        &self,
        text: &str,
        at: Point,
        side: HPos,
        Font { size, bold }: Font,
        colour: RGBColor,
        turn: FontTransform,
    ) -> Result<()> {
        let text = clean(text);
        if text.trim().is_empty() {
            return Ok(());
        }
        let face = if bold { FontStyle::Bold } else { FontStyle::Normal };
        // A point is at half the height of an x, and shall be at half that of a digit.
        let at = match turn {
            FontTransform::None => (at.0, at.1 + 0.09 * size),
            _ => (at.0 + 0.09 * size, at.1),
        };
        // Plotters divides by 1.24 what it is given.
        let font = ("sans-serif", size * f64::from(UNITS) * 1.24, face).into_font().transform(turn);
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(side, VPos::Center));
        self.0.draw(&Text::new(text, units(at), style)).map_err(failed)
    }
}

fn length(pixels: f64) -> i32 {
    (pixels * f64::from(UNITS)).round() as i32
}

fn units((x, y): Point) -> (i32, i32) {
    (length(x), length(y))
}

/// A string takes whatever is written to it; should plotters think otherwise, this says so.
fn failed(error: DrawingAreaErrorKind<io::Error>) -> Error {
    Error::Io { path: PathBuf::from("a picture in memory"), source: io::Error::other(error.to_string()) }
}
