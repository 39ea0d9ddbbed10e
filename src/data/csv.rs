//! Tables of text with a delimiter: a line is an example, a column a feature or a target.

use std::collections::HashMap;
use std::path::Path;

use ::csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Trim};

use crate::data::{Dataset, Examples};
use crate::file::{format, read_bytes};
use crate::{Error, Result, Scalar};

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Column {
    /// By its name in the header.
    Name(String),
    /// By its place, counted from 0.
    Index(usize),
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<&String> for Column {
    fn from(name: &String) -> Self {
        Self::Name(name.clone())
    }
}

impl From<usize> for Column {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// What a table holds: which columns are targets (all others are features, unless these are named), whether it begins
/// with a header (yes, unless said otherwise) and what stands between two fields (a comma).
///
/// Every cell that is not a class must be a finite number, but for features that [may be missing](Self::missing). Spaces around a
/// cell do not count.
///
/// ```no_run
/// use decoupled::data::csv::Options;
///
/// let train = Options::classes("species").read::<f64>("iris-train.csv")?;
/// let test = Options::known_classes("species", &train.classes).read::<f64>("iris-test.csv")?;
/// let new = Options::features().feature_columns(&train.features).read_inputs::<f64>("iris-new.csv")?;
/// let prices = Options::numbers([13]).header(false).delimiter(b';').read::<f64>("boston.csv")?;
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Options {
    target: Target,
    /// All columns but the targets if none are named.
    features: Option<Vec<Column>>,
    header: bool,
    delimiter: u8,
    missing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
enum Target {
    Classes { column: Column, known: Option<Vec<String>> },
    Numbers(Vec<Column>),
}

/// What stands in a table: features, and numbers or names of classes.
struct Cells<T: Scalar> {
    inputs: Examples<T>,
    features: Vec<String>,
    targets: Option<Examples<T>>,
    names: Vec<String>,
}

/// A table that has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<T: Scalar> {
    /// One example a line, in the order of the file.
    pub dataset: Dataset<T>,
    /// What the columns of the features are called, in their order; empty without a header.
    pub features: Vec<String>,
    /// What each label stands for; empty when the targets are numbers.
    pub classes: Vec<String>,
}

impl Options {
    /// Each distinct text in `column` is a class. Classes are in the order of their numbers when all are integers, else in
    /// the order of their bytes.
    pub fn classes(column: impl Into<Column>) -> Self {
        Self::new(Target::Classes { column: column.into(), known: None })
    }

    /// The classes in `column` are `names`, in this order, and no others; to read a test part like its training part.
    pub fn known_classes(column: impl Into<Column>, names: &[impl AsRef<str>]) -> Self {
        let known = Some(names.iter().map(|name| name.as_ref().to_owned()).collect());
        Self::new(Target::Classes { column: column.into(), known })
    }

    /// The numbers in `columns` are the targets, in this order.
    pub fn numbers<C: Into<Column>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self::new(Target::Numbers(columns.into_iter().map(Into::into).collect()))
    }

    /// No column is a target: for [`read_inputs`](Self::read_inputs) of what is to be predicted.
    pub fn features() -> Self {
        Self::new(Target::Numbers(Vec::new()))
    }

    fn new(target: Target) -> Self {
        Self { target, features: None, header: true, delimiter: b',', missing: false }
    }

    /// The features are `columns`, in this order, and other columns are left out; to read a table like the one that a network was
    /// trained on.
    pub fn feature_columns<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.features = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Whether the first line names the columns.
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// The byte between two fields.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Whether features may be [missing](Examples::with_missing): cells that are empty or NaN. Not so, unless it is said.
    pub fn missing(mut self, missing: bool) -> Self {
        self.missing = missing;
        self
    }

    /// Reads the table. Errors count lines and fields from 1.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::Format`] naming line and field for a column that is not there, a
    /// feature that is a target, one whose name is empty unless [features are named](Self::feature_columns), no lines, lines of
    /// unequal length, text that is not UTF-8, a cell that is not a finite number, a class that is empty or not known;
    /// [`Error::Empty`] without features, classes or target columns; [`Error::Unsupported`] for a column by name without a header.
    pub fn read<T: Scalar>(&self, path: impl AsRef<Path>) -> Result<Table<T>> {
        if matches!(&self.target, Target::Numbers(columns) if columns.is_empty()) {
            return Err(Error::Empty { what: "the list of target columns (read_inputs takes features alone)" });
        }
        let Cells { inputs, features, targets, names } = self.cells(path.as_ref())?;
        if let Some(targets) = targets {
            return Ok(Table { dataset: Dataset::regression(inputs, targets)?, features, classes: Vec::new() });
        }
        let classes = self.known().map_or_else(|| distinct(&names), <[_]>::to_vec);
        let labels: HashMap<&String, usize> = classes.iter().zip(0..).collect();
        let labels: Vec<usize> = names.iter().filter_map(|name| labels.get(name).copied()).collect();
        Ok(Table { dataset: Dataset::classification(inputs, &labels, classes.len())?, features, classes })
    }

    /// Reads the features alone, one example a line.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_inputs<T: Scalar>(&self, path: impl AsRef<Path>) -> Result<Examples<T>> {
        self.cells(path.as_ref()).map(|cells| cells.inputs)
    }

    fn cells<T: Scalar>(&self, path: &Path) -> Result<Cells<T>> {
        let text = read_bytes(path)?;
        let failed = |error| table_error(path, &text, error);
        let mut builder = ReaderBuilder::new();
        builder.has_headers(self.header).delimiter(self.delimiter).trim(Trim::All);
        let mut reader = builder.from_reader(text.as_slice());
        // Without a header this is the first line, which comes again as a record.
        let header = reader.headers().map_err(failed)?.clone();

        let (class, numbers) = match &self.target {
            Target::Classes { column, .. } => (Some(self.index(path, &header, column)?), Vec::new()),
            Target::Numbers(columns) => (None, self.indices(path, &header, columns)?),
        };
        let is_feature = |field: &usize| class != Some(*field) && !numbers.contains(field);
        let features = match &self.features {
            Some(columns) => self.indices(path, &header, columns)?,
            None => (0..header.len()).filter(is_feature).collect(),
        };
        let name = |field: usize| format!("{:?}", header.get(field).unwrap_or_default());
        if let Some(&field) = features.iter().find(|field| !is_feature(field)) {
            return Err(format(path, at(field), "a feature that is no target", name(field)));
        }
        // The index of a data frame, say, which may tell the class.
        if let (Some(field), None, true) =
            (features.iter().find(|&&f| header.get(f) == Some("")), &self.features, self.header)
        {
            let expected = "a name, or no such column (feature_columns names those that count)";
            return Err(format(path, at(*field), expected, name(*field)));
        }

        let (mut inputs, mut targets, mut names) = (Vec::<T>::new(), Vec::<T>::new(), Vec::new());
        let mut record = StringRecord::new();
        let mut examples = 0;
        while reader.read_record(&mut record).map_err(failed)? {
            for (fields, numbers, missing) in [(&features, &mut inputs, self.missing), (&numbers, &mut targets, false)]
            {
                for &field in fields {
                    let cell = record.get(field).map(|cell| if missing && cell.is_empty() { "NaN" } else { cell });
                    let number = cell.and_then(|cell| cell.parse().ok()).map(T::of);
                    let finite = number.filter(|x| x.is_finite() || (missing && x.to_f64().is_nan()));
                    numbers.push(finite.ok_or_else(|| cell_error(path, &text, &record, field, "a finite number"))?);
                }
            }
            if let Some(field) = class {
                let name = record.get(field).unwrap_or_default();
                if name.is_empty() || self.known().is_some_and(|known| !known.iter().any(|k| k == name)) {
                    return Err(cell_error(path, &text, &record, field, "the name of a class"));
                }
                names.push(name.to_owned());
            }
            examples += 1;
        }

        if examples == 0 {
            return Err(format(path, "below its header", "lines, an example each", "none"));
        }
        let inputs = Examples::from_columns(inputs, examples, features.len())?;
        let inputs = if self.missing { inputs.with_missing() } else { inputs };
        let targets = (!numbers.is_empty()).then(|| Examples::from_columns(targets, examples, numbers.len()));
        let features = features.iter().filter(|_| self.header).filter_map(|&field| header.get(field));
        let features = features.map(str::to_owned).collect();
        Ok(Cells { inputs, features, targets: targets.transpose()?, names })
    }

    fn known(&self) -> Option<&[String]> {
        match &self.target {
            Target::Classes { known, .. } => known.as_deref(),
            Target::Numbers(_) => None,
        }
    }

    fn indices(&self, path: &Path, header: &StringRecord, columns: &[Column]) -> Result<Vec<usize>> {
        columns.iter().map(|column| self.index(path, header, column)).collect()
    }

    fn index(&self, path: &Path, header: &StringRecord, column: &Column) -> Result<usize> {
        let (mut places, expected) = match column {
            Column::Name(_) if !self.header => {
                let why = "the table has no header: use its index";
                return Err(Error::Unsupported { what: "a column by name", why });
            }
            Column::Name(name) => {
                let places = header.iter().enumerate().filter(|(_, field)| field == name);
                (places.map(|(place, _)| place).collect(), format!("one column named {name:?}"))
            }
            Column::Index(index) => {
                let places = Vec::from_iter((*index < header.len()).then_some(*index));
                (places, format!("a column of index {index}"))
            }
        };
        if let (Some(place), true) = (places.pop(), places.is_empty()) {
            return Ok(place);
        }
        let found = if self.header {
            format!("{:?}", header.iter().collect::<Vec<_>>())
        } else {
            format!("{} columns", header.len())
        };
        Err(format(path, "line 1", expected, found))
    }
}

/// Where a column is named.
fn at(field: usize) -> String {
    format!("line 1, field {}", field + 1)
}

fn distinct(names: &[String]) -> Vec<String> {
    let mut classes = names.to_vec();
    classes.sort_unstable();
    classes.dedup();
    if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<i64>().ok());
    }
    classes
}

fn cell_error(path: &Path, text: &[u8], record: &StringRecord, field: usize, expected: &str) -> Error {
    let place = format!("{}, field {}", line(text, record.position()), field + 1);
    format(path, place, expected, format!("{:?}", record.get(field).unwrap_or_default()))
}

fn table_error(path: &Path, text: &[u8], error: ::csv::Error) -> Error {
    let line = line(text, error.position());
    let (place, expected, found) = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            (line, format!("{expected_len} fields"), len.to_string())
        }
        ErrorKind::Utf8 { err, .. } => {
            (format!("{line}, field {}", err.field() + 1), "UTF-8".to_owned(), "other bytes".to_owned())
        }
        _ => (line, "a table".to_owned(), error.to_string()),
    };
    format(path, place, expected, found)
}

/// The line of a record. A `Position` has a line too, but stands before the blank lines above the record, and in a file
/// with CRLF before the last `\n`.
fn line(text: &[u8], position: Option<&Position>) -> String {
    let at = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
    let (before, after) = text.split_at(at.min(text.len()));
    let blank = after.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let breaks = before.iter().chain(blank).filter(|&&byte| byte == b'\n').count();
    format!("line {}", breaks + 1)
}
