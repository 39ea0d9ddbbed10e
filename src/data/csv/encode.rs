//! From a table's text to numbers, by a schema that has been fitted.

use std::path::Path;

use super::Table;
use super::cell::{Cells, Places, boolean};
use super::fit::check;
use super::scan::{Cell, Source, excerpt};
use crate::data::columns::{Encoding, Input, Place, Target, beginning, unit};
use crate::data::{Columns, Dataset, Examples, Missing, Unknown};
use crate::machine::file::format;
use crate::{Error, Result, Scalar};

/// The numbers of a table, line after line.
struct Numbers<T> {
    inputs: Vec<T>,
    targets: Vec<T>,
    labels: Vec<usize>,
    examples: usize,
}

/// A column with its place in this file.
struct Reader<'c> {
    input: &'c Input,
    field: usize,
    /// Of its categories; none for numbers.
    places: Places,
}

impl Columns {
    pub(super) fn table<T: Scalar>(&self, path: &Path, text: &[u8]) -> Result<Table<T>> {
        let Numbers { inputs, targets, labels, examples } = self.encode(path, text, true)?;
        let inputs = self.examples(inputs, examples)?;
        let dataset = match &self.target {
            Target::Classes { classes, .. } => Dataset::classification(inputs, &labels, classes.len())?,
            Target::Numbers(places) if places.is_empty() => {
                return Err(Error::Empty { what: "the list of target columns (read_inputs takes features alone)" });
            }
            Target::Numbers(places) => {
                Dataset::regression(inputs, Examples::from_columns(targets, examples, places.len())?)?
            }
            Target::Labels(places) => {
                Dataset::multi_label(inputs, Examples::from_columns(targets, examples, places.len())?)?
            }
        };
        let (features, classes) = (self.features(), self.classes().to_vec());
        Ok(Table { dataset, columns: self.clone(), features, classes })
    }

    pub(super) fn inputs<T: Scalar>(&self, path: &Path, text: &[u8]) -> Result<Examples<T>> {
        let Numbers { inputs, examples, .. } = self.encode(path, text, false)?;
        self.examples(inputs, examples)
    }

    /// The first column of categories.
    pub(super) fn first_categories(&self) -> Option<String> {
        let categories = |input: &&Input| matches!(input.encoding, Encoding::OneHot { .. });
        self.inputs.iter().find(categories).map(|input| match input.place.name.as_str() {
            "" => format!("column {}", input.place.index),
            name => beginning(name, 60),
        })
    }

    fn examples<T: Scalar>(&self, inputs: Vec<T>, examples: usize) -> Result<Examples<T>> {
        let inputs = Examples::from_columns(inputs, examples, self.input_dim())?;
        Ok(if self.missing == Missing::Keep { inputs.with_missing() } else { inputs })
    }

    fn encode<T: Scalar>(&self, path: &Path, text: &[u8], with_targets: bool) -> Result<Numbers<T>> {
        check(&self.dialect)?;
        let source = Source::new(path, text, &self.dialect)?;
        let cells = Cells::new(&self.dialect);
        if !self.dialect.header {
            self.check_width(&source, with_targets)?;
        }
        let readers = self.inputs.iter().map(|input| {
            let names = match &input.encoding {
                Encoding::OneHot { categories, .. } => categories.as_slice(),
                Encoding::Number { .. } | Encoding::Boolean { .. } => &[],
            };
            Ok(Reader { input, field: self.field(&source, &input.place)?, places: Places::new(names) })
        });
        let readers = readers.collect::<Result<Vec<Reader<'_>>>>()?;
        let (mut class, mut numbers) = (None, Vec::new());
        match &self.target {
            _ if !with_targets => {}
            Target::Classes { place, classes } => class = Some((self.field(&source, place)?, Places::new(classes))),
            Target::Numbers(places) | Target::Labels(places) => {
                numbers = places.iter().map(|place| self.field(&source, place)).collect::<Result<_>>()?;
            }
        }

        let target = if matches!(self.target, Target::Labels(_)) { target_label } else { target_number };
        let mut out = Numbers { inputs: Vec::new(), targets: Vec::new(), labels: Vec::new(), examples: 0 };
        let (mut records, mut record) = (source.records(), Vec::new());
        let width = self.input_dim();
        while records.next(&mut record)? {
            let bytes = (out.inputs.len() as u128 + width as u128) * size_of::<T>() as u128;
            let full = |_| Error::OutOfMemory { what: "the inputs of a table", bytes };
            out.inputs.try_reserve(width).map_err(full)?;
            for reader in &readers {
                if let Some(cell) = record.get(reader.field) {
                    self.input(&source, &cells, reader, cell, &mut out.inputs)?;
                }
            }
            for &field in &numbers {
                if let Some(cell) = record.get(field) {
                    out.targets.push(target(&source, &cells, field, cell)?);
                }
            }
            if let Some((field, places)) = &class
                && let Some(cell) = record.get(*field)
            {
                out.labels.push(label(&source, &cells, *field, cell, places, self.classes())?);
            }
            out.examples += 1;
        }
        if out.examples == 0 {
            return Err(format(path, "below its header", "lines, an example each", "none"));
        }
        Ok(out)
    }

    /// Without names the places must be those of the training table, but for targets at its end.
    fn check_width(&self, source: &Source<'_>, with_targets: bool) -> Result<()> {
        let targets = self.target.places();
        let width = self.inputs.len() + self.left_out.len() + targets.len();
        let found = source.names.len();
        let at_the_end = found + targets.len() == width && targets.iter().all(|place| place.index >= found);
        if found == width || (!with_targets && at_the_end) {
            return Ok(());
        }
        Err(source.header_fault(format!("{width} columns")))
    }

    fn field(&self, source: &Source<'_>, place: &Place) -> Result<usize> {
        let found = if self.dialect.header {
            source.names.iter().position(|name| *name == place.name && (!name.is_empty()))
        } else {
            Some(place.index).filter(|&index| index < source.names.len())
        };
        // A feature without a name was asked for by its place.
        let found = found.or_else(|| {
            let nameless = place.name.is_empty() && source.names.get(place.index).is_some_and(String::is_empty);
            nameless.then_some(place.index)
        });
        found.ok_or_else(|| source.header_fault(format!("a column named {:?}", place.name)))
    }

    /// Adds the features that a cell becomes.
    fn input<T: Scalar>(
        &self,
        source: &Source<'_>,
        cells: &Cells<'_>,
        reader: &Reader<'_>,
        cell: &Cell<'_>,
        inputs: &mut Vec<T>,
    ) -> Result<()> {
        let fault = |expected: &str, found: String| source.fault(cell.line, reader.field, expected, found);
        let (encoding, text) = (&reader.input.encoding, cell.text.as_ref());
        let missing = cells.is_missing(text);
        if missing && self.missing == Missing::Refuse {
            return Err(fault(
                "a value",
                format!("{}; Options::missing has the ways to fill it, and Options::fit remembers them", excerpt(text)),
            ));
        }
        let kept = missing && self.missing == Missing::Keep;
        let blank = if kept { f64::NAN } else { 0.0 };
        let mut push = |number: Option<f64>| {
            let number = number.map(T::of).filter(|x| x.is_finite() || kept);
            number.map(|number| inputs.push(number)).ok_or_else(|| fault("a finite number", remedies(text)))
        };
        // How many categories there are if the cell is none of them.
        let unknown = match encoding {
            Encoding::Number { fill } => {
                return push(if missing { Some(fill.unwrap_or(f64::NAN)) } else { cells.number(text) });
            }
            Encoding::Boolean { fill } => {
                let bit = if missing { Some(fill.unwrap_or(f64::NAN)) } else { cells.bit(text) };
                push(bit.or(Some(0.0)))?;
                bit.is_none().then_some(2)
            }
            Encoding::OneHot { categories, fill } => {
                let place = if missing { *fill } else { reader.places.get(cells, text) };
                inputs.extend((0..categories.len()).map(|k| T::of(if place == Some(k) { 1.0 } else { blank })));
                (place.is_none() && !missing).then_some(categories.len())
            }
        };
        match (self.unknown, unknown) {
            (Unknown::Refuse, Some(categories)) => Err(Error::UnknownCategory {
                path: source.path.to_owned(),
                line: cell.line,
                column: reader.input.place.name.clone(),
                found: beginning(text, 60),
                categories,
            }),
            (Unknown::Other, _) => {
                inputs.push(T::of(if unknown.is_some() { 1.0 } else { blank }));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn target_number<T: Scalar>(
    source: &Source<'_>,
    cells: &Cells<'_>,
    field: usize,
    cell: &Cell<'_>,
) -> Result<T> {
    let number = Some(&cell.text).filter(|text| !cells.is_missing(text)).and_then(|text| cells.number(text));
    number.map(T::of).filter(|x| x.is_finite()).ok_or_else(|| {
        let remedy = "; Options::classes takes a column of names for targets";
        let hint = if cells.is_missing(&cell.text) || boolean(&cell.text).is_some() { remedy } else { "" };
        let hint = if cell.text.is_empty() { "" } else { hint };
        source.fault(cell.line, field, "a finite number", format!("{}{hint}", excerpt(&cell.text)))
    })
}

pub(super) fn target_label<T: Scalar>(
    source: &Source<'_>,
    cells: &Cells<'_>,
    field: usize,
    cell: &Cell<'_>,
) -> Result<T> {
    let bit = Some(&cell.text).filter(|text| !cells.is_missing(text)).and_then(|text| cells.bit(text));
    bit.map(T::of).ok_or_else(|| source.fault(cell.line, field, "0, 1, true, false, yes or no", excerpt(&cell.text)))
}

fn label(
    source: &Source<'_>,
    cells: &Cells<'_>,
    field: usize,
    cell: &Cell<'_>,
    places: &Places,
    classes: &[String],
) -> Result<usize> {
    places.get(cells, &cell.text).ok_or_else(|| {
        if cells.is_missing(&cell.text) {
            return no_class(source, field, cell);
        }
        let names: Vec<String> = classes.iter().take(8).map(|name| excerpt(name)).collect();
        let more = if classes.len() > names.len() { ", …" } else { "" };
        let expected = format!("the name of a class: {}{more}", names.join(", "));
        source.fault(cell.line, field, expected, excerpt(&cell.text))
    })
}

pub(super) fn no_class(source: &Source<'_>, field: usize, cell: &Cell<'_>) -> Error {
    let hint =
        if cell.text.is_empty() { "" } else { ", which is missing; Options::keep_default_na(false) takes it as text" };
    source.fault(cell.line, field, "the name of a class", format!("{}{hint}", excerpt(&cell.text)))
}

/// A cell that is no number where one should be, and which options take it.
pub(super) fn remedies(text: &str) -> String {
    let marks = match text.is_empty() || !Cells::is_number_elsewhere(text) {
        true => "",
        false => "Options::decimal and thousands read other marks, ",
    };
    let unit = if unit(text).is_some() { "numbers are read without their unit, " } else { "" };
    let found = excerpt(text);
    format!(
        "{found}; {marks}{unit}Options::na_values([{found}]) takes it as missing, categories the column as text, leave_out does without"
    )
}
