//! A picture of pictures: examples, or their reconstructions.

use crate::layer::Shape;
use crate::machine::linalg::matrix::check_shape;
use crate::plot::scale::{Kind, Scale};
use crate::plot::tiles::Tiles;
use crate::plot::{Picture, drawable};
use crate::{Error, MatRef, Result, Scalar, error};

/// Pictures of one shape in rows with a name each, such as inputs above their reconstructions: every column of a row's matrix,
/// `channels · height · width × n`, is one. One channel is grey; three are red, green and blue. A single row is broken into lines.
///
/// Black is 0 and white is 1 in all of them, or the least and the greatest number where these lie beyond; a bar says so. A pixel that is
/// NaN is not known, as in [`Examples::with_missing`](crate::data::Examples::with_missing), and has a colour that says so.
///
/// ```
/// use decoupled::{data, plot};
///
/// let digits = data::digits::<f32>()?.take(12)?;
/// let upper = digits.inputs().view().map_with_location(|pixel, _, ink| if pixel < 32 { ink } else { f32::NAN });
/// let picture = plot::pictures(&[("digits", digits.inputs()), ("upper half", (&upper).into())], [1, 8, 8])?;
/// assert!(picture.svg().contains("not known"));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] without rows, for a row without pictures, or for a shape without pixels, [`Error::HyperParameter`] for channels other
/// than 1 or 3 (a flat shape has a channel for each entry), for a number beyond ±1e300, and for more than a million pixels, [`Error::Shape`] for
/// columns of another length than the shape's, [`Error::NotFinite`] for an infinite number (`example` counts the pictures of all rows,
/// `row` the entries of one).
pub fn pictures<T: Scalar>(rows: &[(&str, MatRef<'_, T>)], shape: impl Into<Shape>) -> Result<Picture> {
    let shape: Shape = shape.into();
    let image = shape.image();
    if shape.is_empty() {
        return Err(Error::Empty { what: "the shape of a picture" });
    }
    error::require([1, 3].contains(&image[0]), "channels of a picture to be drawn", "1 or 3", image[0] as f64)?;
    for (_, pictures) in rows {
        check_shape("rows of the pictures", shape.len(), pictures.rows())?;
        if pictures.cols() == 0 {
            return Err(Error::Empty { what: "a row of pictures" });
        }
    }
    let all = || rows.iter().flat_map(|(_, pictures)| pictures.columns());
    for (example, picture) in all().enumerate() {
        let known = picture.iter().map(|value| value.to_f64()).enumerate().filter(|(_, value)| !value.is_nan());
        known.into_iter().try_for_each(|(row, value)| drawable("pictures", example, row, value))?;
    }
    let values = all().flatten().map(|value| value.to_f64()).filter(|value| !value.is_nan());
    let scale = Scale::new(values.chain([0.0, 1.0]), Kind::Linear, 0.0);
    let rows = rows.iter().map(|(name, pictures)| ((*name).to_owned(), pictures.columns().collect())).collect();
    Tiles { rows, shape: image, scale, meaning: "pixel" }.draw()
}
