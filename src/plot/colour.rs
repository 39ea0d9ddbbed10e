//! Colours of lines, classes and cells, which can still be told apart in grey.

use plotters::style::RGBColor;

/// Okabe and Ito's without yellow, which is lost on white.
const LINES: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Viridis at 0, 1/9, …, 1.
const VIRIDIS: [RGBColor; 10] = [
    RGBColor(68, 1, 84),
    RGBColor(72, 40, 120),
    RGBColor(62, 73, 137),
    RGBColor(49, 104, 142),
    RGBColor(38, 130, 142),
    RGBColor(31, 158, 137),
    RGBColor(53, 183, 121),
    RGBColor(110, 206, 88),
    RGBColor(181, 222, 43),
    RGBColor(253, 231, 37),
];

/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Lines of the grid.
pub(super) const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);
/// A cell without a value.
pub(super) const NONE: RGBColor = RGBColor(0xC8, 0xC8, 0xC8);

/// A pixel that is not known, among greys.
pub(super) const UNKNOWN: RGBColor = RGBColor(0x9D, 0xB8, 0xD9);

/// Of the i-th line or class; they repeat after seven.
#[expect(clippy::indexing_slicing, reason = "a remainder")]
pub(super) fn line(i: usize) -> RGBColor {
    LINES[i % LINES.len()]
}

/// A tint of [`line`] to draw on, by turns lighter and darker.
pub(super) fn pale(i: usize) -> RGBColor {
    let share = if i.is_multiple_of(2) { 0.18 } else { 0.38 };
    mix(RGBColor(255, 255, 255), line(i), share)
}

/// Of a value in 0 ..= 1.
#[expect(clippy::indexing_slicing, reason = "below the last but one")]
pub(super) fn heat(value: f64) -> RGBColor {
    let place = value.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let below = (place as usize).min(VIRIDIS.len() - 2);
    mix(VIRIDIS[below], VIRIDIS[below + 1], place - below as f64)
}

/// Of a value in 0 ..= 1, from black to white.
pub(super) fn grey(value: f64) -> RGBColor {
    rgb([value; 3])
}

/// Of red, green and blue in 0 ..= 1.
pub(super) fn rgb(values: [f64; 3]) -> RGBColor {
    let [red, green, blue] = values.map(|value| (255.0 * value.clamp(0.0, 1.0)).round() as u8);
    RGBColor(red, green, blue)
}

/// What can be read on this colour.
pub(super) fn ink_on(RGBColor(r, g, b): RGBColor) -> RGBColor {
    let light = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    if light > 130.0 { RGBColor(0, 0, 0) } else { RGBColor(255, 255, 255) }
}

fn mix(a: RGBColor, b: RGBColor, share: f64) -> RGBColor {
    let between = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(between(a.0, b.0), between(a.1, b.1), between(a.2, b.2))
}
