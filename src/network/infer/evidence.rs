//! Which entries of Z are known, checked against a network and written to a block.

use std::ops::Range;

use crate::machine::linalg::matrix::check_shape;
use crate::method::block::Block;
use crate::method::energy::Objective;
use crate::{Error, MatRef, Result, Scalar};

/// What is known of some examples: entries of z_0 (the input), of the hidden z_t, and of z_T (the output), all `d_t × n`.
///
/// A known entry is clamped: it stays as it is, bit for bit. What is not known is
///
/// * in z_0 and the hidden z_t **free**: it moves to where the energy is least,
/// * in z_T **masked**: L_y is taken over the known rows of each example alone. A free entry beside a squared error would go to
///   its prediction and leave the same; beside a cross-entropy it would have no minimum.
///
/// With nothing said, inputs are free from a start at zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence<'x, T> {
    clamps: Vec<Clamp<'x, T>>,
}

/// What is known of one z_t; all of it without a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Clamp<'x, T> {
    t: usize,
    values: MatRef<'x, T>,
    known: Option<MatRef<'x, bool>>,
}

impl<T> Clamp<'_, T> {
    /// Entries are counted column after column.
    fn knows(&self, entry: usize) -> bool {
        self.known.is_none_or(|known| known.as_slice().get(entry) == Some(&true))
    }
}

impl<T> Default for Evidence<'_, T> {
    fn default() -> Self {
        Self { clamps: Vec::new() }
    }
}

impl<'x, T: Scalar> Evidence<'x, T> {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All of z_t is known: `d_t × n`, t = 0 for the input to t = [`depth`](crate::DecoupledNetwork::depth) for the output. Takes the
    /// place of what was said of z_t before.
    pub fn clamp(self, t: usize, values: impl Into<MatRef<'x, T>>) -> Self {
        self.set(Clamp { t, values: values.into(), known: None })
    }

    /// Those entries of z_t are known where `known`, `d_t × n` as well, is true. The others of an input start where `values` has
    /// them, hidden ones at their predictions; of an output they are not read.
    pub fn clamp_where(self, t: usize, values: impl Into<MatRef<'x, T>>, known: impl Into<MatRef<'x, bool>>) -> Self {
        self.set(Clamp { t, values: values.into(), known: Some(known.into()) })
    }

    fn set(mut self, clamp: Clamp<'x, T>) -> Self {
        self.clamps.retain(|other| other.t != clamp.t);
        self.clamps.push(clamp);
        self
    }

    fn at(&self, t: usize) -> Option<&Clamp<'x, T>> {
        self.clamps.iter().find(|clamp| clamp.t == t)
    }

    /// The number of examples, if the evidence fits activations of these widths.
    pub(super) fn check(&self, widths: &[usize]) -> Result<usize> {
        let top = widths.len() - 1;
        let examples = self.clamps.first().map_or(0, |clamp| clamp.values.cols());
        for &clamp in &self.clamps {
            let Clamp { t, values, known } = clamp;
            let missing = Error::LayerIndex { what: "Evidence::clamp", first: 0, count: widths.len(), found: t };
            let &width = widths.get(t).ok_or(missing)?;
            let shape = |what, expected, found| check_shape(what, expected, found).map_err(|error| error.in_layer(t));
            shape("rows of a clamped z_t", width, values.rows())?;
            shape("columns of a clamped z_t (examples)", examples, values.cols())?;
            if let Some(known) = known {
                shape("rows of the mask of a clamped z_t", width, known.rows())?;
                shape("columns of the mask of a clamped z_t (examples)", examples, known.cols())?;
            }
            // Unknown inputs are read as well: they are where the search starts.
            let bad = |(entry, value): &(usize, &T)| !value.is_finite() && (t == 0 || clamp.knows(*entry));
            if let Some((entry, value)) = values.as_slice().iter().enumerate().find(bad) {
                let what = match t {
                    0 => "evidence of the inputs",
                    _ if t == top => "evidence of the outputs",
                    _ => "evidence of a hidden layer",
                };
                return Err(Error::NotFinite {
                    what,
                    example: entry / width,
                    row: entry % width,
                    value: value.to_f64(),
                });
            }
        }
        let known = |clamp: &Clamp<'_, T>| (0..clamp.values.as_slice().len()).any(|entry| clamp.knows(entry));
        if self.clamps.iter().any(known) { Ok(examples) } else { Err(Error::Empty { what: "the evidence" }) }
    }

    /// z_T of these examples, NaN where it is not known.
    pub(super) fn targets(&self, top: usize, width: usize, span: Range<usize>) -> Vec<T> {
        let known = |entry| self.at(top).filter(|clamp| clamp.knows(entry))?.values.as_slice().get(entry).copied();
        (span.start * width..span.end * width).map(|entry| known(entry).unwrap_or(T::of(f64::NAN))).collect()
    }

    /// Writes what is known of these examples to the block, and predictions or starts to the rest. Returns for each example
    /// which entries of z_0 … z_{T−1}, one after the other, are free.
    pub(super) fn write(
        &self,
        objective: &Objective<'_, T>,
        block: &mut Block<T>,
        span: Range<usize>,
    ) -> Result<Vec<bool>> {
        let top = block.layers();
        let rows: usize = (0..top).map(|t| block.stored(t).rows()).sum();
        let mut free = vec![true; rows * span.len()];
        let mut first = 0;
        for t in 0..top {
            let width = block.stored(t).rows();
            let mut z = match t {
                0 => vec![T::zero(); width * span.len()],
                // From z_{t−1} as it has just been written: the start is consistent with the clamps below.
                _ => objective.predict(block, t)?.as_slice().to_vec(),
            };
            if let Some(clamp) = self.at(t) {
                let columns = free.chunks_exact_mut(rows).zip(z.chunks_exact_mut(width));
                for (example, (free, z)) in span.clone().zip(columns) {
                    let values = (example * width..).zip(clamp.values.column(example));
                    for ((free, z), (entry, &value)) in free.iter_mut().skip(first).zip(z).zip(values) {
                        *free = !clamp.knows(entry);
                        if t == 0 || !*free {
                            *z = value;
                        }
                    }
                }
            }
            block.stored_mut(t).copy_from_slice(&z);
            first += width;
        }
        let targets = self.targets(top, block.stored(top).rows(), span);
        block.stored_mut(top).copy_from_slice(&targets);
        Ok(free)
    }
}
