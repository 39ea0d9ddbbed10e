//! Small pictures side by side, in rows, with the bar of their grey scale.

use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use crate::plot::canvas::{Canvas, Point};
use crate::plot::colour::{self, INK};
use crate::plot::colour_bar::{ColourBar, EDGE, outline};
use crate::plot::scale::Scale;
use crate::plot::text::Font;
use crate::plot::{Picture, draw};
use crate::{Error, Result, Scalar, error};

/// Pixels between two tiles.
const GAP: f64 = 6.0;
/// Names are broken into lines of at most this width; then the height of a line, in pixels.
const NAME: f64 = 110.0;
const LINE: f64 = 16.0;
/// Documents of more would be too large for the programs that show them.
const MOST: usize = 1_000_000;
/// Stands beside the colour of pixels that are not known.
const UNKNOWN: &str = "not known";

/// Pictures of one size. All rows have a tile; a pixel that is not finite is not known.
#[derive(Debug)]
pub(super) struct Tiles<'t, T> {
    /// Each with a name, from above to below. A single row is broken into lines.
    pub(super) rows: Vec<(String, Vec<&'t [T]>)>,
    /// Channels, height and width: grey where there is one channel, else red, green and blue.
    pub(super) shape: [usize; 3],
    /// The values of black and white, and numbers between.
    pub(super) scale: Scale,
    /// Meaning of a number.
    pub(super) meaning: &'t str,
}

impl<T: Scalar> Tiles<'_, T> {
    pub(super) fn draw(&self) -> Result<Picture> {
        let [channels, height, width] = self.shape;
        let tiles = || self.rows.iter().flat_map(|(_, tiles)| tiles);
        if tiles().next().is_none() {
            return Err(Error::Empty { what: "the list of pictures" });
        }
        let pixels = tiles().count().saturating_mul(height.saturating_mul(width));
        error::require(pixels <= MOST, "pixels to be drawn", "at most 1000000", pixels as f64)?;

        let names: Vec<_> = self.rows.iter().map(|(name, _)| Font::SMALL.wrap(name, NAME)).collect();
        let widest = names.iter().flatten().map(|line| Font::SMALL.width(line)).fold(0.0, f64::max);
        let left = EDGE + if widest > 0.0 { widest + 10.0 } else { 0.0 };
        let meaning = if channels == 1 { self.meaning } else { "red, green, blue" };
        let bar = ColourBar::new(&self.scale, meaning, colour::grey);
        let room = (640.0 - left - bar.width(), 420.0 - 2.0 * EDGE);
        let columns = self.columns(room);
        // In tenths, which are drawn exactly: at least one pixel, and no more than is needed to see it.
        let side = ((self.side(columns, room) * 10.0).floor() / 10.0).clamp(1.0, 24.0);
        let (across, down) = (side * width as f64, side * height as f64);

        // The upper end of each row, and of the space below all.
        let mut ends = vec![EDGE];
        for ((_, tiles), name) in self.rows.iter().zip(&names) {
            let lines = tiles.len().div_ceil(columns) as f64;
            let own = (lines * (down + GAP) - GAP).max(LINE * name.len() as f64);
            ends.push(ends.last().copied().unwrap_or_default() + own + GAP);
        }
        let bottom = (ends.last().copied().unwrap_or_default() - GAP).max(EDGE + bar.height()).max(EDGE + 100.0);
        let right = left + (across + GAP) * columns as f64 - GAP;
        let unknown = tiles().any(|tile| tile.iter().any(|value| !value.is_finite()));
        let legend = if unknown { 28.0 } else { 0.0 };
        let legend_width = left + 20.0 + Font::SMALL.width(UNKNOWN) + EDGE;
        let size = ((right + bar.width()).max(legend_width).ceil() as u32, (bottom + legend + EDGE).ceil() as u32);

        draw(size.0, size.1, |canvas| {
            for (((_, tiles), name), &top) in self.rows.iter().zip(&names).zip(&ends) {
                let middle = top + (down.max(LINE * name.len() as f64)) / 2.0;
                for (line, text) in name.iter().enumerate() {
                    let y = middle + LINE * (line as f64 - (name.len() - 1) as f64 / 2.0);
                    canvas.text(text, (left - 10.0, y), HPos::Right, Font::SMALL, INK)?;
                }
                for (i, tile) in tiles.iter().enumerate() {
                    let (column, line) = ((i % columns) as f64, (i / columns) as f64);
                    let corner = (left + (across + GAP) * column, top + (down + GAP) * line);
                    self.tile(canvas, tile, corner, side)?;
                    outline(canvas, corner, (corner.0 + across, corner.1 + down))?;
                }
            }
            if unknown {
                let y = bottom + 8.0;
                canvas.cell((left, y), (left + 12.0, y + 12.0), colour::UNKNOWN)?;
                canvas.text(UNKNOWN, (left + 20.0, y + 6.0), HPos::Left, Font::SMALL, INK)?;
            }
            bar.draw(canvas, right, (EDGE, bottom))
        })
    }

    /// Tiles in a line: all of a row, or of a single row the number at which they are largest.
    fn columns(&self, room: (f64, f64)) -> usize {
        let longest = self.rows.iter().map(|(_, tiles)| tiles.len()).max().unwrap_or(1);
        let larger = |a: &usize, b: &usize| self.side(*a, room).total_cmp(&self.side(*b, room));
        // Of equally good ones the last, the fewest lines.
        if self.rows.len() == 1 { (1..=longest).max_by(larger).unwrap_or(1) } else { longest }
    }

    /// Returns the side of a pixel at which lines of `columns` tiles, and all lines, fit into the room.
    fn side(&self, columns: usize, (across, down): (f64, f64)) -> f64 {
        let lines: usize = self.rows.iter().map(|(_, tiles)| tiles.len().div_ceil(columns)).sum();
        let [_, height, width] = self.shape;
        let fit = |room: f64, tiles: usize, pixels: usize| ((room + GAP) / tiles as f64 - GAP) / pixels as f64;
        fit(across, columns, width).min(fit(down, lines, height))
    }

    /// One tile: runs of pixels of one colour, each a little over the next ones, which are drawn later: no seams show.
    fn tile(&self, canvas: &Canvas<'_>, tile: &[T], (left, top): Point, side: f64) -> Result<()> {
        let [_, height, width] = self.shape;
        let colours: Vec<RGBColor> = (0..height * width).map(|pixel| self.colour(tile, pixel)).collect();
        for (line, pixels) in colours.chunks_exact(width).enumerate() {
            let y = top + side * line as f64;
            let mut begin = 0;
            for run in pixels.chunk_by(|a, b| a == b) {
                let Some(&colour) = run.first() else { continue };
                let end = begin + run.len();
                let [right, down] = [end < width, line + 1 < height].map(|inside| if inside { 1.0 } else { 0.0 });
                let corner = (left + side * end as f64 + right, y + side + down);
                canvas.cell((left + side * begin as f64, y), corner, colour)?;
                begin = end;
            }
        }
        Ok(())
    }

    fn colour(&self, tile: &[T], pixel: usize) -> RGBColor {
        let [channels, height, width] = self.shape;
        let value =
            |channel: usize| tile.get(channel * height * width + pixel).map_or(f64::NAN, |value| value.to_f64());
        let values = if channels == 1 { [value(0); 3] } else { [value(0), value(1), value(2)] };
        let known = values.iter().all(|value| value.is_finite());
        if known { colour::rgb(values.map(|value| self.scale.place(value))) } else { colour::UNKNOWN }
    }
}
