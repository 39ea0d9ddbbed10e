//! The handwritten digits that come with the crate.

use std::path::PathBuf;

use crate::data::{Dataset, Examples};
use crate::{Error, Result, Scalar};

const TEXT: &str = include_str!("../../examples/data/digits.csv");
const PIXELS: usize = 64;
const DARKEST: u8 = 16;

/// 1797 handwritten digits, 8 × 8 pixels each, row by row, in 10 classes: inputs `64 × 1797`. They come with the crate.
///
/// A pixel is stored as an integer 0..=16; it is divided by 16 here, so inputs lie in [0, 1].
///
/// The test part of E. Alpaydin, C. Kaynak (1998), *Optical Recognition of Handwritten Digits*, UCI Machine Learning
/// Repository, [DOI 10.24432/C50P49](https://doi.org/10.24432/C50P49), CC BY 4.0.
///
/// # Errors
/// None, unless the crate's own copy was changed: then [`Error::Format`] says where.
pub fn digits<T: Scalar>() -> Result<Dataset<T>> {
    parse(TEXT)
}

fn parse<T: Scalar>(text: &str) -> Result<Dataset<T>> {
    let mut pixels = Vec::with_capacity(text.len() / 2);
    let mut labels = Vec::new();
    for (line, fields) in text.lines().enumerate() {
        let mut fields = fields.split(',').enumerate();
        for (field, pixel) in fields.by_ref().take(PIXELS) {
            let pixel = integer(line, field, pixel, DARKEST)?;
            pixels.push(T::of(f64::from(pixel) / f64::from(DARKEST)));
        }
        let (field, label) = fields.next().ok_or_else(|| format_error(line, PIXELS, "a label", "nothing"))?;
        labels.push(usize::from(integer(line, field, label, 9)?));
        if let Some((field, more)) = fields.next() {
            return Err(format_error(line, field, "the end of the line", more));
        }
    }
    Dataset::classification(Examples::from_columns(pixels, labels.len(), PIXELS)?, &labels, 10)
}

fn integer(line: usize, field: usize, text: &str, max: u8) -> Result<u8> {
    let value = text.parse().ok().filter(|&value| value <= max);
    value.ok_or_else(|| format_error(line, field, &format!("an integer in 0..={max}"), text))
}

fn format_error(line: usize, field: usize, expected: &str, found: &str) -> Error {
    Error::Format {
        path: PathBuf::from("digits.csv"),
        place: format!("line {}, field {}", line + 1, field + 1),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_64_pixels_and_a_label_is_a_format_error() {
        let line = |pixel: &str, tail: &str| format!("{}{pixel},{tail}\n", "0,".repeat(PIXELS - 1));
        let good = line("16", "9");
        assert_eq!(parse::<f32>(&good.repeat(2)).unwrap().inputs().column(1)[PIXELS - 1], 1.0);
        for (bad, at) in [
            (line("17", "9"), "line 2, field 64"),
            (line("-1", "9"), "line 2, field 64"),
            (line("1.5", "9"), "line 2, field 64"),
            (line("", "9"), "line 2, field 64"),
            (line("1", "10"), "line 2, field 65"),
            (line("1", "9,0"), "line 2, field 66"),
            ("0,".repeat(PIXELS - 1) + "0\n", "line 2, field 65"),
            ("\n".to_owned(), "line 2, field 1"),
        ] {
            let error = parse::<f32>(&(good.clone() + &bad)).err();
            assert!(matches!(&error, Some(Error::Format { place, .. }) if place == at), "{error:?}");
        }
    }
}
