//! Numbers in cells as colours, with a bar that says what the colours mean.

use plotters::style::text_anchor::HPos;

use crate::Result;
use crate::plot::canvas::Stroke;
use crate::plot::colour::{self, INK};
use crate::plot::colour_bar::{ColourBar, EDGE, outline};
use crate::plot::scale::Scale;
use crate::plot::text::{Font, clean};
use crate::plot::{Picture, draw};

/// A matrix to look at. All rows are equally long; there is at least one cell.
#[derive(Debug)]
pub(super) struct Heat<'h> {
    /// From below to above, each from left to right; a cell without a value is grey.
    pub(super) rows: Vec<Vec<Option<f64>>>,
    /// The values of the darkest and the lightest colour, and numbers between.
    pub(super) scale: Scale,
    /// What the colours mean.
    pub(super) meaning: &'h str,
    /// Below, and at the left: names of the axes and numbers of the columns and rows.
    pub(super) names: [&'h str; 2],
    pub(super) numbers: [Vec<String>; 2],
    /// Square cells; values are written into them where there is room.
    pub(super) written: bool,
}

impl Heat<'_> {
    pub(super) fn draw(&self) -> Result<Picture> {
        let (rows, columns) = (self.rows.len(), self.rows.first().map_or(0, Vec::len));
        let few = self.written && rows.max(columns) <= 12;
        let small = |text: &String| Font::SMALL.width(text);
        let widest = |texts: &[String]| texts.iter().map(small).fold(0.0, f64::max);
        let [xs, ys] = &self.numbers;
        let (below, aside) = (widest(xs), widest(ys));
        let bar = ColourBar::new(&self.scale, self.meaning, colour::heat);

        let left = EDGE + 16.0 + 6.0 + aside + 6.0;
        let right = bar.width();
        let (top, bottom) = (EDGE + 8.0, 48.0);
        let [across, up] = self.names.map(|name| Font::AXIS.width(&clean(name)));
        let side = (340.0 / rows.max(columns) as f64).max(if few { 36.0 } else { 3.0 });
        let (mut width, mut height) = (640.0 - left - right, 420.0 - top - bottom);
        if self.written {
            (width, height) = (side * columns as f64, side * rows as f64);
        }
        let width = width.max(across - left - right + 2.0 * EDGE).max(across.min(200.0)).max(100.0);
        let height = height.max(up).max(bar.height()).max(100.0);
        let size = ((left + width + right).ceil() as u32, (top + height + bottom).ceil() as u32);
        let at = |x: f64, y: f64| (left + width * x, top + height * (1.0 - y));

        draw(size.0, size.1, |canvas| {
            let (dx, dy) = (1.0 / columns as f64, 1.0 / rows as f64);
            // From above to below and from left to right, each a little over its neighbours' edges: no seams show.
            for (r, row) in self.rows.iter().enumerate().rev() {
                for (c, value) in row.iter().enumerate() {
                    let (x, y) = (c as f64 * dx, r as f64 * dy);
                    let colour = value.map_or(colour::NONE, |value| colour::heat(self.scale.place(value)));
                    let more = (f64::from(u8::from(c + 1 < columns)) * 0.5, f64::from(u8::from(r > 0)) * 0.5);
                    let (right, below) = at(x + dx, y);
                    canvas.cell(at(x, y + dy), (right + more.0, below + more.1), colour)?;
                    if let Some(value) = value.filter(|_| few) {
                        let middle = at(x + dx / 2.0, y + dy / 2.0);
                        canvas.text(&written(value), middle, HPos::Center, Font::SMALL, colour::ink_on(colour))?;
                    }
                }
            }
            outline(canvas, at(0.0, 1.0), at(1.0, 0.0))?;
            for (c, number) in shown(xs, (below + 10.0) / (width * dx)) {
                let (x, y) = at((c as f64 + 0.5) * dx, 0.0);
                canvas.line(&[(x, y), (x, y + 4.0)], INK, Stroke::Solid, 1.0)?;
                canvas.text(number, (x, y + 13.0), HPos::Center, Font::SMALL, INK)?;
            }
            for (r, number) in shown(ys, 18.0 / (height * dy)) {
                let (x, y) = at(0.0, (r as f64 + 0.5) * dy);
                canvas.line(&[(x - 4.0, y), (x, y)], INK, Stroke::Solid, 1.0)?;
                canvas.text(number, (x - 7.0, y), HPos::Right, Font::SMALL, INK)?;
            }
            let middle = at(0.5, 0.5);
            let half = across / 2.0;
            let x = middle.0.min(f64::from(size.0) - EDGE - half).max(EDGE + half);
            canvas.text(self.names[0], (x, top + height + 34.0), HPos::Center, Font::AXIS, INK)?;
            canvas.upward(self.names[1], (EDGE + 8.0, middle.1), Font::AXIS)?;
            bar.draw(canvas, left + width, (top, top + height))
        })
    }
}

/// Two decimals, and no sign of a zero.
fn written(value: f64) -> String {
    let text = format!("{value:.2}").replace('-', "−");
    if text == "−0.00" { "0.00".to_owned() } else { text }
}

/// The numbers that are written, each with its cell, when one takes the room of `cells`.
fn shown(numbers: &[String], cells: f64) -> impl Iterator<Item = (usize, &String)> {
    let every = [1, 2, 5, 10, 20, 50, 100].into_iter().find(|&every| every as f64 >= cells);
    let every = every.unwrap_or_else(|| cells.ceil() as usize);
    // 1, 5, 10 reads better than 1, 6, 11; but 1, 3, 5 better than 2, 4, 6.
    let phase = if every > 2 { 1 } else { 0 };
    numbers.iter().enumerate().filter(move |(i, _)| *i == 0 || (i + phase) % every == 0)
}
