//! Pictures of the reports of [`fit`](crate::DecoupledNetwork::fit), of [`diagnostics`](crate::diagnostics), and of the pictures that convolutions
//! read and make, as SVG.
//!
//! They need the feature `plot`. Lines have the colours of Okabe and Ito and a marker each; heat maps are viridis, whose lightness grows
//! with the value. Both can be told apart in grey and by colour-blind readers. Pictures are grey from black to white, or in their colours.
//! The same input gives the same bytes.
//!
//! M. Okabe, K. Ito (2008), [*Color Universal Design*](https://jfly.uni-koeln.de/color/); N. Smith, S. van der Walt (2015),
//! [*A better default colormap*](https://bids.github.io/colormap/).
//!
//! ```
//! use decoupled::plot;
//!
//! let (linear, curved) = ([1.0, 2.0, 3.0], [1.0, 4.0, 1.5]);
//! let picture = plot::barrier(&[("aligned", &linear), ("as trained", &curved)])?;
//! assert!(picture.svg().contains("as trained"));
//! let path = std::env::temp_dir().join("barrier.svg");
//! picture.titled("Two ways to 3")?.save(&path)?;
//! # std::fs::remove_file(path).unwrap();
//! # Ok::<(), decoupled::Error>(())
//! ```

use std::fmt;
use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

mod barrier;
mod canvas;
mod chart;
mod cka;
mod colour;
mod colour_bar;
mod decision_boundary;
mod depth_profile;
mod feature_maps;
mod filters;
mod frame;
mod heat;
mod pictures;
mod residuals;
mod scale;
mod text;
mod tiles;
mod training_curves;

pub use barrier::barrier;
pub use cka::cka;
pub use decision_boundary::decision_boundary;
pub use depth_profile::depth_profile;
pub use feature_maps::feature_maps;
pub use filters::filters;
pub use pictures::pictures;
pub use residuals::residuals;
pub use training_curves::training_curves;

use canvas::{Canvas, UNITS};
use text::Font;

/// A picture, drawn.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    /// What stands between the tags of the root.
    body: String,
    svg: String,
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picture").field("width", &self.width).field("height", &self.height).finish_non_exhaustive()
    }
}

impl Picture {
    /// An SVG document without a prologue. It has no blank line, so that it can stand in Markdown as it is.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// Width in pixels, 640 unless something needs more or less.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, 420 unless something needs more or less.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The same below a title, which is broken into lines where it must be.
    ///
    /// # Errors
    /// [`Error::Empty`] for a title without a visible character.
    pub fn titled(&self, title: &str) -> Result<Self> {
        let lines = Font::TITLE.wrap(title, f64::from(self.width) - 24.0);
        if lines.is_empty() {
            return Err(Error::Empty { what: "the title" });
        }
        let strip = (12 + 22 * lines.len()) as u32;
        let head = draw(self.width, strip, |canvas| {
            let x = f64::from(self.width) / 2.0;
            lines.iter().zip(0..).try_for_each(|(line, i)| canvas.title(line, (x, 19.0 + 22.0 * f64::from(i))))
        })?;
        let body = format!("{}<g transform=\"translate(0 {})\">\n{}</g>\n", head.body, strip * UNITS, self.body);
        Ok(Self::new(self.width, self.height + strip, body))
    }

    /// Writes the document to a file: beside its place, and moved there when it is whole; a link stays, and a file that was there gives
    /// its mode.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotAFile`]; a file that was there before is then as it was.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        crate::machine::file::replace(path.as_ref(), |file| file.write_all(self.svg.as_bytes()))
    }

    fn new(width: u32, height: u32, body: String) -> Self {
        let (w, h) = (width * UNITS, height * UNITS);
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {w} {h}\">\n\
             {body}</svg>\n"
        );
        Self { width, height, body, svg }
    }
}

/// A picture of so many pixels, white where nothing is drawn.
fn draw(width: u32, height: u32, content: impl FnOnce(&Canvas<'_>) -> Result<()>) -> Result<Picture> {
    let mut text = String::new();
    let canvas = Canvas::new(&mut text, width, height)?;
    content(&canvas)?;
    canvas.finish()?;
    let body = text.split_once('\n').and_then(|(_, rest)| rest.strip_suffix("</svg>\n")).unwrap_or_default();
    Ok(Picture::new(width, height, body.to_owned()))
}

/// `Ok` for a number that can be drawn: finite, and with room for margins.
fn drawable(what: &'static str, example: usize, row: usize, value: f64) -> Result<()> {
    if !value.is_finite() {
        return Err(Error::NotFinite { what, example, row, value });
    }
    crate::error::require(value.abs() <= 1e300, what, "at most 1e300 in size", value)
}
