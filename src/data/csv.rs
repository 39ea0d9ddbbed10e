//! Tables of text with a delimiter: a line is an example, a column a feature or a target.

use std::path::Path;

use crate::data::columns::Dialect;
use crate::data::{Columns, Dataset, Examples, Missing, Unknown};
use crate::machine::file::{format, read_bytes};
use crate::{Error, Result, Scalar};

mod cell;
mod encode;
mod fit;
mod scan;

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

/// How a table is written, which columns are targets, and how the others become features.
///
/// Numbers, booleans and text are told apart by their cells; [`Columns`] has the rules. The schema of the training table comes with
/// it, says how each column was encoded, and reads other tables alike.
///
/// ```no_run
/// use decoupled::data::csv::Options;
///
/// let train = Options::classes("species").read::<f64>("plants-train.csv")?;
/// println!("{}", train.columns);
/// let test = train.columns.read::<f64>("plants-test.csv")?; // the same categories, means and classes
/// let new = train.columns.read_inputs::<f64>("plants-new.csv")?; // without a column of species
///
/// let european = Options::numbers(["price"]).delimiter(b';').decimal(b',').thousands(b'.');
/// let prices = european.categories(["storeys"]).read::<f64>("houses.csv.gz")?;
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # The file
///
/// It is UTF-8, with or without a byte order mark; the feature `gz` unpacks gzip. `\n`, `\r\n` and `\r` end a line, and blank lines are
/// skipped. Quotes are those of [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180): delimiters, line breaks and doubled quotes may stand in
/// them. Spaces around a cell are ignored, within its quotes as well. Errors name line and field: a quote that is not closed or stands inside
/// a field, text behind a closing quote, a NUL byte, a line with more or fewer fields than the first, a name that stands twice in the header.
///
/// # Missing cells
///
/// Empty cells are missing, and so are those that pandas reads as such: `NA`, `N/A`, `n/a`, `<NA>`, `#N/A`, `#N/A N/A`, `#NA`, `NULL`,
/// `null`, `None`, `NaN`, `nan`, `-NaN`, `-nan`, `1.#IND`, `-1.#IND`, `1.#QNAN`, `-1.#QNAN`. Missing features are filled with
/// the column's mean, so that a network can train on them, be evaluated on them and predict from them; [`missing`](Self::missing) has other
/// ways. A target must not be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[doc(alias = "OneHotEncoder")]
#[doc(alias = "SimpleImputer")]
#[doc(alias = "get_dummies")]
#[doc(alias = "read_csv")]
pub struct Options {
    target: Target,
    /// All columns but the targets if none are named.
    features: Option<Vec<Column>>,
    categories: Vec<Column>,
    leave_out: Vec<Column>,
    dialect: Dialect,
    missing: Missing,
    unknown: Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
enum Target {
    Classes { column: Column, known: Option<Vec<String>> },
    Numbers(Vec<Column>),
    Labels(Vec<Column>),
}

/// A table that has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<T: Scalar> {
    /// One example a line, in the order of the file.
    pub dataset: Dataset<T>,
    /// The schema: how each column is encoded. It reads other tables alike.
    pub columns: Columns,
    /// The features' names in their order, as `height` or `colour=red`; empty without a header.
    pub features: Vec<String>,
    /// The name of each class; empty when the targets are no classes.
    pub classes: Vec<String>,
}

impl Options {
    /// Each distinct text in `column` is a class. Classes are in the order of their values when all are numbers, and 1 and 1.0 are one
    /// class; else in the order of code points. A column of continuous numbers is refused: [`numbers`](Self::numbers) takes it.
    pub fn classes(column: impl Into<Column>) -> Self {
        Self::new(Target::Classes { column: column.into(), known: None })
    }

    /// The classes in `column` are `names`, in this order, and no others.
    pub fn known_classes(column: impl Into<Column>, names: &[impl AsRef<str>]) -> Self {
        let known = Some(names.iter().map(|name| name.as_ref().to_owned()).collect());
        Self::new(Target::Classes { column: column.into(), known })
    }

    /// The numbers in `columns` are the targets, in this order.
    pub fn numbers<C: Into<Column>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self::new(Target::Numbers(columns.into_iter().map(Into::into).collect()))
    }

    /// Each of `columns` is a label that an example has (1, `true`, `yes`) or has not (0, `false`, `no`), in this order: the data set is a
    /// [multi-label](Dataset::multi_label) one.
    #[doc(alias = "MultiLabelBinarizer")]
    pub fn labels<C: Into<Column>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self::new(Target::Labels(columns.into_iter().map(Into::into).collect()))
    }

    /// No column is a target.
    pub fn features() -> Self {
        Self::new(Target::Numbers(Vec::new()))
    }

    fn new(target: Target) -> Self {
        let dialect = Dialect {
            header: true,
            delimiter: b',',
            decimal: b'.',
            thousands: None,
            comment: None,
            na_values: Vec::new(),
            keep_default_na: true,
        };
        let (missing, unknown) = (Missing::Mean, Unknown::Refuse);
        Self { target, features: None, categories: Vec::new(), leave_out: Vec::new(), dialect, missing, unknown }
    }

    /// The features are made of `columns`, in this order, and other columns are left out.
    pub fn feature_columns<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.features = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Takes `columns` as categories whatever their cells are: numbers that are codes, or free text.
    pub fn categories<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.categories = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Leaves `columns` out.
    pub fn leave_out<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.leave_out = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the first line names the columns; `true` by default.
    pub fn header(mut self, header: bool) -> Self {
        self.dialect.header = header;
        self
    }

    /// The byte between two fields; a comma by default.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.dialect.delimiter = delimiter;
        self
    }

    /// The byte between a number's whole part and its fraction; a point by default.
    pub fn decimal(mut self, decimal: u8) -> Self {
        self.dialect.decimal = decimal;
        self
    }

    /// The byte between groups of three digits before the decimal mark; none by default.
    pub fn thousands(mut self, thousands: u8) -> Self {
        self.dialect.thousands = Some(thousands);
        self
    }

    /// The byte from which on the rest of a line is a comment, unless it stands in quotes; none by default.
    pub fn comment(mut self, comment: u8) -> Self {
        self.dialect.comment = Some(comment);
        self
    }

    /// Sets further cells that are missing, as `?`, or `-999`, by which -999.0 is missing as well.
    pub fn na_values<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> Self {
        self.dialect.na_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Whether `NA`, `null` and the like are missing, or only empty cells and [`na_values`](Self::na_values); `true` by default.
    pub fn keep_default_na(mut self, keep: bool) -> Self {
        self.dialect.keep_default_na = keep;
        self
    }

    /// Sets how missing features are filled; with the column's mean by default.
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// Sets how a category is encoded that a later table has and this one does not; an error by default. A program that predicts can
    /// still [set it](Columns::set_unknown_categories).
    pub fn unknown_categories(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// Reads the table. Errors count lines and fields from 1.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::Format`] naming line and field for what [the file](Self#the-file) must not
    /// have, a column that is not there or named for two things, no lines, gzip without the feature `gz`, a column that is numbers but for some cells, a cell
    /// that is no finite number, numbers with a unit, continuous numbers as classes, a class that is missing or not known; [`Error::Empty`] without features, classes or target columns;
    /// [`Error::Unsupported`] for a column by name without a header, and marks that are no punctuation or stand for two things;
    /// [`Error::OutOfMemory`].
    pub fn read<T: Scalar>(&self, path: impl AsRef<Path>) -> Result<Table<T>> {
        let path = path.as_ref();
        self.require_target()?;
        let text = read_bytes(path)?;
        fit::fit(self, path, &text)?.table(path, &text)
    }

    /// Fits the schema alone. Without a target this is how features are read: by [`Columns::read_inputs`].
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn fit(&self, path: impl AsRef<Path>) -> Result<Columns> {
        let path = path.as_ref();
        fit::fit(self, path, &read_bytes(path)?)
    }

    /// Reads the features alone, one example a line, if nothing has to be remembered of them: numbers and booleans, none of them
    /// missing (unless [`Missing::Keep`] is set).
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::Format`] for a column of categories and for a missing cell: of another table they would be
    /// other features, so [`fit`](Self::fit) comes first.
    pub fn read_inputs<T: Scalar>(&self, path: impl AsRef<Path>) -> Result<Examples<T>> {
        let path = path.as_ref();
        let text = read_bytes(path)?;
        let missing = if self.missing == Missing::Keep { Missing::Keep } else { Missing::Refuse };
        let columns = fit::fit(&Self { missing, ..self.clone() }, path, &text)?;
        match columns.first_categories() {
            Some(name) => {
                let found =
                    format!("categories in {name:?}; Options::fit remembers them, Columns::read_inputs reads by it");
                Err(format(path, "its columns", "numbers and booleans", found))
            }
            None => columns.inputs(path, &text),
        }
    }

    fn require_target(&self) -> Result<()> {
        if matches!(&self.target, Target::Numbers(columns) | Target::Labels(columns) if columns.is_empty()) {
            return Err(Error::Empty { what: "the list of target columns (Options::fit and read_inputs do without)" });
        }
        Ok(())
    }
}

impl Columns {
    /// Reads a table like the one that these columns are of: by the names of the columns, in any order and among any others, or by
    /// their places without a header; with the same categories, classes, marks and values for missing cells.
    ///
    /// # Errors
    /// As [`Options::read`], and [`Error::UnknownCategory`] for a category that the training table did not have, unless
    /// [`Options::unknown_categories`] or [`set_unknown_categories`](Self::set_unknown_categories) says otherwise.
    pub fn read<T: Scalar>(&self, path: impl AsRef<Path>) -> Result<Table<T>> {
        let path = path.as_ref();
        self.table(path, &read_bytes(path)?)
    }

    /// Reads the features alone, as [`read`](Self::read); the table need not have the targets.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_inputs<T: Scalar>(&self, path: impl AsRef<Path>) -> Result<Examples<T>> {
        let path = path.as_ref();
        self.inputs(path, &read_bytes(path)?)
    }
}
