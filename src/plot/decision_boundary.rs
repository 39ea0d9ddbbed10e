//! A picture of a classifier's regions in the plane.

use nalgebra::DMatrix;

use crate::plot::canvas::{Look, Point, Stroke};
use crate::plot::frame::Frame;
use crate::plot::scale::{Kind, Scale};
use crate::plot::{Picture, colour, drawable};
use crate::{Dataset, DecoupledNetwork, Error, Result, Scalar};

/// Cells of the grid on which the network is asked.
const GRID: (usize, usize) = (440, 280);

/// The class that a network of two inputs predicts, as tints of the plane, and the examples of a data set on it. A dark line
/// parts the classes.
///
/// ```
/// use decoupled::{DecoupledNetwork, data, layer::Activation, plot};
///
/// let data = data::two_moons::<f32>(200, 0.1, 0)?;
/// let net = DecoupledNetwork::builder(2).dense(8, Activation::Tanh).dense(2, Activation::Identity);
/// assert!(plot::decision_boundary(&net.build()?, &data)?.svg().contains("class 1"));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] unless network and data have two inputs and equally many classes, [`Error::Unsupported`] for data without
/// labels, [`Error::HyperParameter`] for inputs beyond ±1e300, [`Error::NotFinite`] where an output of the network is not
/// finite, [`Error::Panicked`] when a layer panics.
pub fn decision_boundary<T: Scalar>(network: &DecoupledNetwork<T>, data: &Dataset<T>) -> Result<Picture> {
    for found in [network.input_dim(), data.input_dim()] {
        if found != 2 {
            return Err(Error::Shape { what: "inputs of a decision boundary", expected: 2, found });
        }
    }
    let (Some(labels), Some(classes)) = (data.labels(), data.classes()) else {
        return Err(Error::Unsupported { what: "a decision boundary", why: "the data have no labels; use classes" });
    };
    if network.output_dim() != classes && (network.output_dim(), classes) != (1, 2) {
        let what = "outputs of the network, one for each class, or one for two";
        return Err(Error::Shape { what, expected: classes, found: network.output_dim() });
    }
    let inputs = data.inputs();
    let points: Vec<[f64; 2]> = inputs.as_slice().as_chunks().0.iter().map(|point| point.map(T::to_f64)).collect();
    for (i, point) in points.iter().enumerate() {
        point.iter().enumerate().try_for_each(|(row, &value)| drawable("inputs", i, row, value))?;
    }
    let scale = |values: fn(&[f64; 2]) -> f64| Scale::new(points.iter().map(values), Kind::Linear, 0.08);
    let look = |class: usize| Look { colour: colour::line(class), stroke: None, marker: Some(class) };
    let legend = (0..classes).map(|class| (format!("class {class}"), look(class))).collect();
    let frame = Frame::new((scale(|[x, _]| *x), "input 1"), (scale(|[_, y]| *y), "input 2"), legend);
    let regions = predicted(network, &frame)?;

    let (columns, rows) = GRID;
    let at = |c: usize, r: usize| frame.at(c as f64 / columns as f64, 1.0 - r as f64 / rows as f64);
    frame.draw(false, |canvas| {
        // Runs of one class; each a little over the edges of the next ones, which are drawn later: no seams show.
        for (r, row) in regions.iter().enumerate() {
            let mut begin = 0;
            for run in row.chunk_by(|a, b| a == b) {
                let Some(class) = run.first() else { continue };
                let end = begin + run.len();
                let ((left, top), (right, bottom)) = (at(begin, r), at(end, r + 1));
                let [more, down] = [end < columns, r + 1 < rows].map(|inside| if inside { 1.0 } else { 0.0 });
                canvas.cell((left, top), (right + more, bottom + down), colour::pale(*class))?;
                begin = end;
            }
        }
        let dark = |a: Point, b: Point| canvas.line(&[a, b], colour::INK, Stroke::Solid, 0.8);
        for (r, (above, below)) in (1..).zip(regions.iter().zip(regions.iter().skip(1))) {
            let parted = above.iter().zip(below).map(|(a, b)| a != b);
            stretches(parted).try_for_each(|(begin, end)| dark(at(begin, r), at(end, r)))?;
        }
        for c in 1..columns {
            let parted = regions.iter().map(|row| row.get(c - 1) != row.get(c));
            stretches(parted).try_for_each(|(begin, end)| dark(at(c, begin), at(c, end)))?;
        }
        let marked = points.iter().zip(labels);
        marked
            .into_iter()
            .try_for_each(|(&[x, y], &class)| canvas.marker(frame.point(x, y), class, colour::line(class)))
    })
}

/// Where runs of places whose flag is up begin and end.
fn stretches(flags: impl Iterator<Item = bool>) -> impl Iterator<Item = (usize, usize)> {
    let flags: Vec<bool> = flags.collect();
    let mut begin = 0;
    let runs: Vec<_> = flags
        .chunk_by(|a, b| a == b)
        .map(|run| {
            let from = begin;
            begin += run.len();
            (run.first() == Some(&true), from, begin)
        })
        .collect();
    runs.into_iter().filter(|(held, ..)| *held).map(|(_, begin, end)| (begin, end))
}

/// The class at the middle of each cell, rows from above.
fn predicted<T: Scalar>(network: &DecoupledNetwork<T>, frame: &Frame) -> Result<Vec<Vec<usize>>> {
    let (columns, rows) = GRID;
    let middle = |i: usize, count: usize| (i as f64 + 0.5) / count as f64;
    let inputs = DMatrix::from_fn(2, columns * rows, |row, cell| {
        let (x, y) = frame.values(middle(cell % columns, columns), 1.0 - middle(cell / columns, rows));
        T::of(if row == 0 { x } else { y })
    });
    let classes = network.classes(&network.predict(&inputs)?);
    Ok(classes.chunks_exact(columns).map(<[usize]>::to_vec).collect())
}
