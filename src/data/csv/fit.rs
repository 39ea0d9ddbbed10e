//! From a table's text to its schema: two passes that decide what each column becomes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::cell::{Cells, Number, Places, boolean, distinct, is_date, is_infinite};
use super::encode::{no_class, remedies, target_label, target_number};
use super::scan::{Cell, Source, excerpt};
use super::{Column, Options, Target};
use crate::data::columns::{self, Dialect, Encoding, Input, Place, beginning, common_unit};
use crate::data::{Columns, LeftOut, Missing};
use crate::machine::file::format;
use crate::{Error, Result};

/// More categories than this are free text if they are more than half of the lines, and more than `MOST_CATEGORIES` always.
const FEW_CATEGORIES: usize = 20;
const MOST_CATEGORIES: usize = 1000;
const TWO_32: f64 = 4_294_967_296.0;
/// Names, in any case, of columns that count or name the lines.
const INDEX: [&str; 5] = ["id", "index", "row", "rownames", "#"];

/// What a column is to be, before its cells have been looked at.
#[derive(Clone, Copy, PartialEq)]
enum Plan {
    LeftOut(LeftOut),
    Target,
    Label,
    Class,
    /// A feature that was named, or may as well be left out.
    Feature {
        named: bool,
    },
    Categories,
}

/// What the cells of a column are.
#[derive(Default)]
struct Kinds {
    known: usize,
    blanks: usize,
    numbers: usize,
    booleans: usize,
    dates: usize,
    infinite: usize,
    /// Numbers by other marks.
    elsewhere: usize,
    /// Line and text of the first cell that is no finite number.
    first_other: Option<(usize, String)>,
    /// Σ x, and Σ x / 2³² for one that overflows.
    sum: f64,
    scaled: f64,
    /// The different whole numbers of a column whose name says that it may be an index.
    whole: Option<HashSet<Number>>,
    /// Whether they must count the lines, from 0 or 1 on.
    counts: bool,
}

/// What a column is.
#[derive(Clone, Copy)]
enum Decision {
    LeftOut(LeftOut),
    Target,
    Class,
    Number,
    Boolean,
    /// Categories, or free text unless it was to be a feature.
    Text {
        named: bool,
        forced: bool,
    },
}

/// What a second look at a column is for.
enum Look<'t> {
    Nothing,
    Counts(HashMap<Cow<'t, str>, usize>),
    Values(Vec<f64>),
}

/// Fails for marks that are no punctuation, or stand for two things.
pub(super) fn check(dialect: &Dialect) -> Result<()> {
    let Dialect { delimiter, decimal, thousands, comment, .. } = *dialect;
    let what = "how a table is written";
    let is_mark = |byte: u8| byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n\0".contains(&byte);
    let in_number = |byte: u8| is_mark(byte) && !b"+-".contains(&byte);
    let refusals = [
        (is_mark(delimiter), "the delimiter must be an ASCII byte that is no letter, digit, quote, line break or NUL"),
        (comment.is_none_or(is_mark), "the comment's byte must be punctuation, and no quote or line break"),
        (in_number(decimal), "the decimal mark must be punctuation, and no sign, quote or line break"),
        (
            thousands.is_none_or(in_number),
            "the thousands separator must be punctuation, and no sign, quote or line break",
        ),
        (thousands != Some(decimal), "decimal mark and thousands separator are the same"),
        (
            comment.is_none_or(|byte| byte != delimiter && byte != decimal && Some(byte) != thousands),
            "the comment's byte is another mark as well",
        ),
    ];
    match refusals.into_iter().find(|(good, _)| !good) {
        Some((_, why)) => Err(Error::Unsupported { what, why }),
        None => Ok(()),
    }
}

/// The columns of this table.
pub(super) fn fit(options: &Options, path: &Path, text: &[u8]) -> Result<Columns> {
    check(&options.dialect)?;
    let source = Source::new(path, text, &options.dialect)?;
    let cells = Cells::new(&options.dialect);
    let (plans, order, targets) = plans(options, &source)?;
    let known_classes = matches!(&options.target, Target::Classes { known: Some(_), .. });
    let kinds = survey(&source, &cells, &plans, known_classes)?;
    let lines = kinds.first().map_or(0, |kinds| kinds.known + kinds.blanks);
    if lines == 0 {
        return Err(format(path, "below its header", "lines, an example each", "none"));
    }
    let place = |index: usize| Place { index, name: source.names.get(index).cloned().unwrap_or_default() };

    let decide = |(field, (plan, kinds))| decide(&source, field, plan, kinds);
    let decided = plans.into_iter().zip(&kinds).enumerate().map(decide).collect::<Result<Vec<Decision>>>()?;
    let needs_values = matches!(options.missing, Missing::Median | Missing::MostFrequent);
    let mut looks: Vec<Look<'_>> = decided
        .iter()
        .map(|decision| match decision {
            Decision::Text { .. } | Decision::Class => Look::Counts(HashMap::new()),
            Decision::Number | Decision::Boolean if needs_values => Look::Values(Vec::new()),
            _ => Look::Nothing,
        })
        .collect();
    survey_again(&source, &cells, &mut looks)?;

    let (mut inputs, mut left_out, mut classes) = (HashMap::new(), Vec::new(), Vec::new());
    for (field, ((decision, look), kinds)) in decided.into_iter().zip(looks).zip(&kinds).enumerate() {
        let number = |look| fill(options.missing, kinds, look);
        let encoding = match (decision, look) {
            (Decision::Number, look) => Ok(Encoding::Number { fill: number(look) }),
            (Decision::Boolean, look) => Ok(Encoding::Boolean { fill: number(look) }),
            (Decision::Text { named, forced: false }, Look::Counts(counts))
                if is_free_text(counts.len(), kinds.known) =>
            {
                match (common_unit(counts.keys()), named) {
                    (Some(unit), _) => return Err(with_unit(&source, field, kinds, unit)),
                    (None, true) => {
                        return Err(no_feature(&source, field, &format!("{} different texts", counts.len())));
                    }
                    (None, false) => Err(LeftOut::FreeText),
                }
            }
            (Decision::Text { .. }, Look::Counts(counts)) => Ok(one_hot(options.missing, distinct(&cells, counts))),
            (Decision::Class, Look::Counts(counts)) => {
                if !known_classes {
                    refuse_continuous(&source, &cells, field, &counts, kinds.known)?;
                }
                classes = distinct(&cells, counts).into_iter().map(|(name, _)| name).collect();
                continue;
            }
            (Decision::LeftOut(why), _) => Err(why),
            _ => continue,
        };
        match encoding {
            Ok(encoding) => drop(inputs.insert(field, Input { place: place(field), encoding, blanks: kinds.blanks })),
            Err(why) => left_out.push((place(field), why)),
        }
    }
    if inputs.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(|(place, why)| format!("{} ({why})", place.name)).collect();
        return Err(match reasons.is_empty() {
            true => Error::Empty { what: "the list of features" },
            false => format(
                path,
                "its columns",
                "a feature",
                beginning(&format!("none: {}", reasons.join(", ")), 500) + &source.hint(),
            ),
        });
    }
    let inputs = order.into_iter().filter_map(|field| inputs.remove(&field)).collect();
    let target = match &options.target {
        Target::Classes { known, .. } => {
            let classes = known.clone().unwrap_or(classes);
            if Places::new(&classes).len() < classes.len() {
                return Err(Error::Unsupported { what: "known_classes", why: "a class is named twice" });
            }
            // With one class there is one output, which would tell it from a class that nobody named.
            if let [only] = &classes[..] {
                return Err(format(path, "its classes", "two or more", format!("{:?} alone", beginning(only, 60))));
            }
            let place = place(targets.first().copied().unwrap_or_default());
            columns::Target::Classes { place, classes }
        }
        Target::Numbers(_) => columns::Target::Numbers(targets.into_iter().map(place).collect()),
        Target::Labels(_) => columns::Target::Labels(targets.into_iter().map(place).collect()),
    };
    let Options { dialect, missing, unknown, .. } = options.clone();
    Ok(Columns { dialect, missing, unknown, inputs, target, left_out })
}

/// What is to become of each column; the fields of the features and of the targets, in their orders.
fn plans(options: &Options, source: &Source<'_>) -> Result<(Vec<Plan>, Vec<usize>, Vec<usize>)> {
    let header = options.dialect.header;
    let indices = |columns: &[Column]| columns.iter().map(|c| index(source, header, c)).collect::<Result<Vec<_>>>();
    let named = options.features.is_some();
    let rest = if named { Plan::LeftOut(LeftOut::NotAsked) } else { Plan::Feature { named } };
    let mut plans = vec![rest; source.names.len()];
    if header && !named {
        let nameless = |name: &String| name.is_empty() || is_nameless(name);
        let nameless = plans.iter_mut().zip(&source.names).filter(|(_, name)| nameless(name));
        nameless.for_each(|(plan, _)| *plan = Plan::LeftOut(LeftOut::Unnamed));
    }
    let twice =
        |field| Err(source.fault(source.first_line, field, "a column that is named for one thing", "one for two"));
    // Each list of columns, what they become, and what they must not be already.
    let mut set = |fields: &[usize], plan: Plan, taken: &dyn Fn(Plan) -> bool| {
        for &field in fields {
            match plans.get_mut(field) {
                Some(old) if !taken(*old) => *old = plan,
                _ => return twice(field),
            }
        }
        Ok(())
    };
    let (targets, plan) = match &options.target {
        Target::Classes { column, .. } => (vec![index(source, header, column)?], Plan::Class),
        Target::Numbers(columns) => (indices(columns)?, Plan::Target),
        Target::Labels(columns) => (indices(columns)?, Plan::Label),
    };
    let is_target = |plan| matches!(plan, Plan::Target | Plan::Label | Plan::Class);
    set(&targets, plan, &is_target)?;
    let features = options.features.as_deref().map(indices).transpose()?;
    if let Some(features) = &features {
        set(features, Plan::Feature { named }, &|plan| is_target(plan) || plan == Plan::Feature { named })?;
    }
    set(&indices(&options.leave_out)?, Plan::LeftOut(LeftOut::Asked), &is_target)?;
    let asked = Plan::LeftOut(LeftOut::Asked);
    let categories = indices(&options.categories)?;
    let unused = |plan| is_target(plan) || plan == asked || plan == Plan::LeftOut(LeftOut::NotAsked);
    set(&categories, Plan::Categories, &unused)?;
    let order = features.unwrap_or_else(|| (0..source.names.len()).collect());
    Ok((plans, order, targets))
}

/// What pandas calls a column without a name.
fn is_nameless(name: &str) -> bool {
    name.strip_prefix("Unnamed: ").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn index(source: &Source<'_>, header: bool, column: &Column) -> Result<usize> {
    match column {
        Column::Name(_) if !header => {
            Err(Error::Unsupported { what: "a column by name", why: "the table has no header: use its index" })
        }
        Column::Name(name) => {
            let place = source.names.iter().position(|field| field == name && !name.is_empty());
            place.ok_or_else(|| source.header_fault(format!("a column named {name:?}")))
        }
        Column::Index(index) => {
            let place = Some(*index).filter(|&index| index < source.names.len());
            place.ok_or_else(|| source.header_fault(format!("a column of index {index}")))
        }
    }
}

/// Looks at all cells once.
fn survey(source: &Source<'_>, cells: &Cells<'_>, plans: &[Plan], known_classes: bool) -> Result<Vec<Kinds>> {
    let is_index = |name: &String| INDEX.iter().any(|index| name.eq_ignore_ascii_case(index));
    let ends_in_id =
        |name: &String| name.get(name.len().saturating_sub(2)..).is_some_and(|end| end.eq_ignore_ascii_case("id"));
    let new = |name| Kinds {
        whole: (is_index(name) || ends_in_id(name)).then(HashSet::new),
        counts: !is_index(name),
        ..Kinds::default()
    };
    let mut kinds: Vec<Kinds> = source.names.iter().map(new).collect();
    let (mut records, mut record) = (source.records(), Vec::new());
    while records.next(&mut record)? {
        for (field, ((cell, kinds), plan)) in record.iter().zip(&mut kinds).zip(plans).enumerate() {
            let missing = cells.is_missing(&cell.text);
            kinds.blanks += usize::from(missing);
            kinds.known += usize::from(!missing);
            match plan {
                Plan::Target => drop(target_number::<f64>(source, cells, field, cell)?),
                Plan::Label => drop(target_label::<f64>(source, cells, field, cell)?),
                Plan::Class if missing && !known_classes => return Err(no_class(source, field, cell)),
                Plan::Feature { .. } if !missing => kinds.add(cells, cell),
                _ => {}
            }
        }
    }
    Ok(kinds)
}

impl Kinds {
    fn add(&mut self, cells: &Cells<'_>, cell: &Cell<'_>) {
        let text = cell.text.as_ref();
        let number = cells.number(text);
        let (finite, infinite) = (number.filter(|x| x.is_finite()), number.is_some_and(f64::is_infinite));
        let bit = boolean(text).map(|yes| f64::from(u8::from(yes)));
        if let Some(value) = finite.or(bit) {
            self.sum += value;
            self.scaled += value / TWO_32;
        }
        self.numbers += usize::from(finite.is_some());
        self.booleans += usize::from(bit.is_some());
        if finite.is_some() {
            let counts = self.counts;
            let fits = self.whole.as_mut().zip(cells.key(text)).map(|(seen, key)| {
                let new = key.is_whole() && seen.insert(key);
                // They began at 0 if it is among them.
                let next = seen.len() as i128 - i128::from(seen.contains(&Number::Whole(0)));
                new && (!counts || key == Number::Whole(next))
            });
            if fits != Some(true) {
                self.whole = None;
            }
            return;
        }
        if infinite || is_infinite(text) {
            self.infinite += 1;
        } else if is_date(text) {
            self.dates += 1;
        } else if Cells::is_number_elsewhere(text) {
            self.elsewhere += 1;
        }
        if self.first_other.is_none() {
            self.first_other = Some((cell.line, text.to_owned()));
        }
    }

    fn mean(&self) -> f64 {
        let known = self.known as f64;
        let scaled = || (self.scaled / known * TWO_32).clamp(f64::MIN, f64::MAX);
        if self.sum.is_finite() { self.sum / known } else { scaled() }
    }
}

fn decide(source: &Source<'_>, field: usize, plan: Plan, kinds: &Kinds) -> Result<Decision> {
    let named = match plan {
        Plan::LeftOut(why) => return Ok(Decision::LeftOut(why)),
        Plan::Target | Plan::Label => return Ok(Decision::Target),
        Plan::Class => return Ok(Decision::Class),
        Plan::Categories => return Ok(Decision::Text { named: true, forced: true }),
        Plan::Feature { named } => named,
    };
    let left_out = |why: LeftOut| {
        if named { Err(no_feature(source, field, &why.to_string())) } else { Ok(Decision::LeftOut(why)) }
    };
    let Kinds { known, numbers, .. } = *kinds;
    let not_a_number = || match &kinds.first_other {
        Some((line, text)) => Err(source.fault(*line, field, "a finite number", remedies(text))),
        None => Ok(Decision::Number),
    };
    if known == 0 {
        left_out(LeftOut::Blank)
    } else if numbers == known {
        let is_index = kinds.whole.as_ref().is_some_and(|whole| whole.len() == known);
        Ok(if is_index && !named { Decision::LeftOut(LeftOut::Index) } else { Decision::Number })
    } else if kinds.booleans == known {
        Ok(Decision::Boolean)
    } else if kinds.dates == known {
        left_out(LeftOut::Dates)
    } else if 2 * (numbers + kinds.infinite) >= known || numbers + kinds.infinite + kinds.elsewhere == known {
        not_a_number()
    } else {
        Ok(Decision::Text { named, forced: false })
    }
}

/// The error of a column that was named as a feature and cannot be one.
fn no_feature(source: &Source<'_>, field: usize, found: &str) -> Error {
    let found = format!("{found}; Options::categories takes it as categories");
    source.fault(source.first_line, field, "numbers, booleans or few categories", found)
}

/// The error of numbers with a unit that are no categories either.
fn with_unit(source: &Source<'_>, field: usize, kinds: &Kinds, unit: &str) -> Error {
    let (line, text) = kinds.first_other.as_ref().map_or((source.first_line, ""), |(line, text)| (*line, text));
    let unit = beginning(unit, 60);
    let found = format!(
        "{}; they look like numbers with a unit ({unit}), which are read without it in the file; Options::categories takes the column as \
         text, leave_out does without",
        excerpt(text)
    );
    source.fault(line, field, "a finite number", found)
}

/// Fails for a column of classes whose numbers are not whole and as different as free text.
fn refuse_continuous(
    source: &Source<'_>,
    cells: &Cells<'_>,
    field: usize,
    counts: &HashMap<Cow<'_, str>, usize>,
    known: usize,
) -> Result<()> {
    let numbers: Option<HashSet<Number>> = counts.keys().map(|text| cells.key(text)).collect();
    match numbers {
        Some(numbers) if is_free_text(numbers.len(), known) && numbers.iter().any(|number| !number.is_whole()) => {
            let found = format!(
                "{} different numbers in {known} lines; Options::numbers takes them as targets, known_classes as classes",
                numbers.len()
            );
            Err(source.fault(source.first_line, field, "classes", found))
        }
        _ => Ok(()),
    }
}

fn is_free_text(different: usize, known: usize) -> bool {
    different == known || different > MOST_CATEGORIES || (different > FEW_CATEGORIES && 2 * different > known)
}

fn survey_again<'t>(source: &Source<'t>, cells: &Cells<'_>, looks: &mut [Look<'t>]) -> Result<()> {
    if looks.iter().all(|look| matches!(look, Look::Nothing)) {
        return Ok(());
    }
    let (mut records, mut record) = (source.records(), Vec::new());
    while records.next(&mut record)? {
        for (cell, look) in record.iter_mut().zip(&mut *looks) {
            match look {
                Look::Nothing => {}
                _ if cells.is_missing(&cell.text) => {}
                Look::Counts(counts) => *counts.entry(std::mem::take(&mut cell.text)).or_default() += 1,
                Look::Values(values) => {
                    let bit = || boolean(&cell.text).map(|yes| f64::from(u8::from(yes)));
                    values.extend(cells.number(&cell.text).or_else(bit));
                }
            }
        }
    }
    Ok(())
}

/// What stands for a missing number.
fn fill(missing: Missing, kinds: &Kinds, look: Look<'_>) -> Option<f64> {
    let mut values = match look {
        Look::Values(values) => values,
        Look::Nothing | Look::Counts(_) => return (missing == Missing::Mean).then(|| kinds.mean()),
    };
    values.sort_unstable_by(f64::total_cmp);
    if missing == Missing::Median {
        let middle = |at: usize| values.get(at).copied().unwrap_or_default();
        let (low, high) = (middle((values.len() - 1) / 2), middle(values.len() / 2));
        return Some(if low == high { low } else { low / 2.0 + high / 2.0 });
    }
    // The first of the longest runs.
    let runs = values.chunk_by(|a, b| a == b);
    let longest = runs.rev().max_by_key(|run| run.len());
    longest.and_then(|run| run.first().copied())
}

fn one_hot(missing: Missing, counts: Vec<(String, usize)>) -> Encoding {
    let most = counts.iter().enumerate().rev().max_by_key(|(_, (_, count))| *count).map(|(place, _)| place);
    let fill = most.filter(|_| missing == Missing::MostFrequent);
    Encoding::OneHot { categories: counts.into_iter().map(|(name, _)| name).collect(), fill }
}
