//! The fitted schema of a table: how each column is encoded, and how it prints. Reading files is in `csv`.

use std::fmt;

use crate::error::number;
use crate::{Error, Result};

/// The schema of a table: how each column is encoded, or why it is left out. [`csv::Options`](crate::data::csv::Options) fits it on the
/// training table, and it reads other tables alike.
///
/// Its `Display` is a report, a line for each column of the file:
///
/// ```text
/// id       left out: an index
/// height   number; 2 blanks are filled with the mean, 31.5
/// colour   one-hot: blue, red, white; a blank is 0 in all
/// wild     boolean, yes and true are 1
/// found    left out: dates
/// species  target, 3 classes: aster, daisy, lily
/// ```
///
/// | column | cells, but for those that are missing |
/// |---|---|
/// | number | finite numbers |
/// | boolean | `true` and `yes` are 1, `false` and `no` are 0, in any case |
/// | one-hot | other text: a feature for each category of the training table, in the order of code points |
/// | left out, no name | of any kind; `Unnamed: 0` is no name either |
/// | left out, an index | whole numbers, all different, in a column called `id`, `index`, `row`, `rownames` or `#`; or 0, 1, 2 … or 1, 2, 3 … line by line in one whose name ends in `id`, as `PassengerId` |
/// | left out, dates | dates and times in the usual notations |
/// | left out, free text | text that is different in each line, or of more than 20 categories that are more than half of the lines, or of more than 1000 |
/// | left out, no values | none |
///
/// If half or more of a column's cells are numbers and others are not, or all are numbers by other decimal or thousands marks, that is an error: it
/// names the first such cell and the options that help. So are numbers with a unit (`7%`, `$3`, `12 kg`) where they would be free text; where
/// they are few enough for categories the report says so.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Columns {
    pub(super) dialect: Dialect,
    pub(super) missing: Missing,
    pub(super) unknown: Unknown,
    /// In the order of the features.
    pub(super) inputs: Vec<Input>,
    pub(super) target: Target,
    pub(super) left_out: Vec<(Place, LeftOut)>,
}

/// How a table is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(super) struct Dialect {
    pub(super) header: bool,
    pub(super) delimiter: u8,
    pub(super) decimal: u8,
    pub(super) thousands: Option<u8>,
    pub(super) comment: Option<u8>,
    pub(super) na_values: Vec<String>,
    pub(super) keep_default_na: bool,
}

/// A column of the file, by its number from 0 and its name, which is empty without a header.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) name: String,
}

/// A column that became one or more features.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(super) struct Input {
    pub(super) place: Place,
    pub(super) encoding: Encoding,
    /// Cells of the training table that are missing.
    pub(super) blanks: usize,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(super) enum Encoding {
    /// `fill` stands for a missing cell, if it is to be filled.
    Number {
        fill: Option<f64>,
    },
    Boolean {
        fill: Option<f64>,
    },
    /// `fill` is the category of a missing cell, which else is 0 in all.
    OneHot {
        categories: Vec<String>,
        fill: Option<usize>,
    },
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(super) enum Target {
    Classes {
        place: Place,
        classes: Vec<String>,
    },
    /// None for a table of features alone.
    Numbers(Vec<Place>),
    Labels(Vec<Place>),
}

/// Why a column is no feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum LeftOut {
    /// It was to be left out.
    Asked,
    /// The features were named, and it is none of them.
    NotAsked,
    /// It has no name, as the index of a data frame.
    Unnamed,
    /// Its name and its numbers say that it counts or names the lines.
    Index,
    /// No cell holds a value.
    Blank,
    /// Its cells are dates or times.
    Dates,
    /// Its cells are text, and too many are different for categories.
    FreeText,
}

/// How a missing feature is filled: a cell that is empty, or `NA`, `null` and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Missing {
    /// By the mean of the column's training cells, in which a boolean is 0 or 1; a missing category is 0 in all its features.
    #[default]
    Mean,
    /// By their median; a missing category is 0 in all its features.
    Median,
    /// By the most frequent of them, and of several the first in order; a missing category as well.
    MostFrequent,
    /// By nothing: it stays NaN and is [missing](crate::data::Examples::with_missing), for a fit to infer. Data to validate or
    /// evaluate on and inputs to predict from must not have any.
    Keep,
    /// A missing cell is an error.
    Refuse,
}

/// How a category that the training table did not have is encoded, and text that is no boolean in a column of booleans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Unknown {
    /// As [`Error::UnknownCategory`](crate::Error::UnknownCategory).
    #[default]
    Refuse,
    /// As 0 in all features of its column: a boolean is then false.
    Ignore,
    /// As 1 in one more feature of its column, `colour=(other)`, which is 0 throughout the training table.
    Other,
}

impl Columns {
    /// Returns the features' names in their order: `height`, or `colour=red` for a category; empty without a header.
    pub fn features(&self) -> Vec<String> {
        let inputs = self.inputs.iter().filter(|_| self.dialect.header);
        inputs.flat_map(|input| input.encoding.features(&input.place.name, self.unknown)).collect()
    }

    /// Returns the number of features.
    pub fn input_dim(&self) -> usize {
        self.inputs.iter().map(|input| input.encoding.width(self.unknown)).sum()
    }

    /// Returns the name of each class, in the order of the labels; empty where the targets are no classes.
    pub fn classes(&self) -> &[String] {
        match &self.target {
            Target::Classes { classes, .. } => classes,
            Target::Numbers(_) | Target::Labels(_) => &[],
        }
    }

    /// Sets how a category is encoded that the training table did not have, as
    /// [`csv::Options::unknown_categories`](crate::data::csv::Options::unknown_categories) when that table is read: a program that
    /// predicts may ignore what the one that trained refused.
    ///
    /// # Errors
    /// [`Error::Unsupported`] to or from [`Unknown::Other`] where that changes the number of features; the columns stay as they are.
    pub fn set_unknown_categories(&mut self, unknown: Unknown) -> Result<()> {
        let width: usize = self.inputs.iter().map(|input| input.encoding.width(unknown)).sum();
        if width != self.input_dim() {
            let why = "Unknown::Other is a feature more for each column of categories or booleans: only the options of the training table set it";
            return Err(Error::Unsupported { what: "other features than those of the training table", why });
        }
        self.unknown = unknown;
        Ok(())
    }

    /// Returns the names of the columns that are neither features nor targets, and why.
    pub fn left_out(&self) -> impl Iterator<Item = (&str, LeftOut)> {
        self.left_out.iter().map(|(place, why)| (place.name.as_str(), *why))
    }
}

impl Encoding {
    pub(super) fn width(&self, unknown: Unknown) -> usize {
        match self {
            Self::Number { .. } => 1,
            Self::Boolean { .. } => 1 + usize::from(unknown == Unknown::Other),
            Self::OneHot { categories, .. } => categories.len() + usize::from(unknown == Unknown::Other),
        }
    }

    fn features(&self, name: &str, unknown: Unknown) -> Vec<String> {
        let other = (unknown == Unknown::Other).then(|| format!("{name}=(other)"));
        match self {
            Self::Number { .. } => vec![name.to_owned()],
            Self::Boolean { .. } => [name.to_owned()].into_iter().chain(other).collect(),
            Self::OneHot { categories, .. } => {
                categories.iter().map(|category| format!("{name}={category}")).chain(other).collect()
            }
        }
    }

    fn report(&self, blanks: usize, missing: Missing) -> String {
        let (kind, filled) = match self {
            Self::Number { fill } => ("number".to_owned(), fill.map(number)),
            Self::Boolean { fill } => ("boolean, yes and true are 1".to_owned(), fill.map(number)),
            Self::OneHot { categories, fill } => {
                let fill = fill.and_then(|fill| categories.get(fill)).map(|fill| shortened(fill, MOST_TEXT));
                let unit = common_unit(categories).map(|unit| {
                    let unit = shortened(unit, MOST_TEXT);
                    format!(
                        "; they look like numbers with a unit ({unit}), which are one number without it in the file"
                    )
                });
                (format!("one-hot: {}{}", listed(categories), unit.unwrap_or_default()), fill)
            }
        };
        let filled = match (filled, missing) {
            (Some(value), Missing::Mean) => format!("filled with the mean, {value}"),
            (Some(value), Missing::Median) => format!("filled with the median, {value}"),
            (Some(value), _) => format!("filled with the most frequent, {value}"),
            (None, Missing::Keep) => "missing".to_owned(),
            (None, _) => "0 in all".to_owned(),
        };
        match blanks {
            0 => kind,
            1 => format!("{kind}; 1 blank is {filled}"),
            _ => format!("{kind}; {blanks} blanks are {filled}"),
        }
    }
}

#[cfg(feature = "csv")]
impl Target {
    pub(super) fn places(&self) -> &[Place] {
        match self {
            Self::Classes { place, .. } => std::slice::from_ref(place),
            Self::Numbers(places) | Self::Labels(places) => places,
        }
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(&Place, String)> = Vec::new();
        lines.extend(self.inputs.iter().map(|i| (&i.place, i.encoding.report(i.blanks, self.missing))));
        lines.extend(self.left_out.iter().map(|(place, why)| (place, format!("left out: {why}"))));
        match &self.target {
            Target::Classes { place, classes } => {
                lines.push((place, format!("target, {} classes: {}", classes.len(), listed(classes))));
            }
            Target::Numbers(places) => lines.extend(places.iter().map(|place| (place, "target, number".to_owned()))),
            Target::Labels(places) => lines.extend(places.iter().map(|place| (place, "target, label".to_owned()))),
        }
        lines.sort_by_key(|(place, _)| place.index);
        let name = |place: &Place| match place.name.is_empty() {
            true => format!("({})", place.index),
            false => shortened(&place.name, MOST_TEXT),
        };
        let width = lines.iter().map(|(place, _)| name(place).chars().count()).max().unwrap_or(0);
        let lines = lines.iter().map(|(place, became)| format!("{:<width$}  {became}", name(place)));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "as asked",
            Self::NotAsked => "not among the features that are named",
            Self::Unnamed => "it has no name",
            Self::Index => "an index",
            Self::Blank => "no values",
            Self::Dates => "dates",
            Self::FreeText => "free text",
        })
    }
}

/// Characters of a name that are printed.
const MOST_TEXT: usize = 30;

/// The first of the names.
fn listed(names: &[String]) -> String {
    const MOST: usize = 8;
    let mut shown: Vec<String> = names.iter().take(MOST).map(|name| shortened(name, MOST_TEXT)).collect();
    if names.len() > MOST {
        shown.push(format!("… ({} in all)", names.len()));
    }
    shown.join(", ")
}

/// The text on one line, or how it begins.
fn shortened(text: &str, most: usize) -> String {
    beginning(text, most).replace(char::is_control, " ")
}

/// The text, or how it begins: a cell may be as long as the file.
pub(super) fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The unit that all texts are numbers with.
pub(super) fn common_unit<'t>(texts: impl IntoIterator<Item = &'t (impl AsRef<str> + 't)>) -> Option<&'t str> {
    let mut units = texts.into_iter().map(|text| unit(text.as_ref()));
    let first = units.next()??;
    units.all(|unit| unit == Some(first)).then_some(first)
}

/// The unit of a text that looks like a number with one: `%` of `7%`, `$` of `-$3`, `kg` of `12 kg`.
pub(super) fn unit(text: &str) -> Option<&str> {
    const MONEY: [char; 5] = ['$', '€', '£', '¥', '₹'];
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '\'');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, unit) = match unsigned.strip_prefix(MONEY) {
        Some(rest) => {
            (rest.trim_start().strip_prefix(['+', '-']).unwrap_or(rest.trim_start()), unsigned.strip_suffix(rest)?)
        }
        None => {
            let (number, unit) = unsigned.split_at(unsigned.find(|c| !in_number(c)).unwrap_or(unsigned.len()));
            (number, unit.trim_start())
        }
    };
    let is_number = number.chars().all(in_number) && number.contains(|c: char| c.is_ascii_digit());
    let is_unit = unit.starts_with(|c: char| c.is_alphabetic() || matches!(c, '%' | '‰' | '°') || MONEY.contains(&c))
        && !unit.contains(char::is_whitespace);
    (is_number && is_unit).then_some(unit)
}
