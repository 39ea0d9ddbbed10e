//! One cell of a table: whether it is missing, a number, a boolean or a date, whatever marks the table uses.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use crate::data::columns::Dialect;

/// Texts that pandas takes as missing as well.
const NA: [&str; 18] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
];

/// The cells of one table: how its numbers are written, and which cells are missing.
pub(super) struct Cells<'d> {
    dialect: &'d Dialect,
    /// Those of `na_values` that are numbers: -999 is missing as -999.0 as well.
    na_numbers: Vec<Number>,
}

/// A number that can be a class or a category: equal however it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Number {
    Whole(i128),
    /// The bits of one that is not whole.
    Real(u64),
}

impl<'d> Cells<'d> {
    pub(super) fn new(dialect: &'d Dialect) -> Self {
        let na_numbers = dialect.na_values.iter().filter_map(|text| Number::of(text, b'.', None)).collect();
        Self { dialect, na_numbers }
    }

    pub(super) fn is_missing(&self, text: &str) -> bool {
        text.is_empty()
            || (self.dialect.keep_default_na && NA.contains(&text))
            || self.dialect.na_values.iter().any(|na| na.trim() == text)
            || (!self.na_numbers.is_empty() && self.key(text).is_some_and(|key| self.na_numbers.contains(&key)))
    }

    /// The number that is written here, infinite where it is too large.
    pub(super) fn number(&self, text: &str) -> Option<f64> {
        plain(text, self.dialect.decimal, self.dialect.thousands)?.parse().ok()
    }

    /// 1 for true and yes, 0 for false and no, in words or as a number.
    pub(super) fn bit(&self, text: &str) -> Option<f64> {
        let bit = || self.number(text).filter(|&bit| bit == 0.0 || bit == 1.0);
        boolean(text).map(|yes| f64::from(u8::from(yes))).or_else(bit)
    }

    pub(super) fn key(&self, text: &str) -> Option<Number> {
        Number::of(text, self.dialect.decimal, self.dialect.thousands)
    }

    /// Whether another decimal mark or thousands separator would make a number of this.
    pub(super) fn is_number_elsewhere(text: &str) -> bool {
        const MARKS: [(u8, Option<u8>); 7] = [
            (b'.', None),
            (b',', None),
            (b'.', Some(b',')),
            (b',', Some(b'.')),
            (b',', Some(b' ')),
            (b'.', Some(b' ')),
            (b'.', Some(b'\'')),
        ];
        MARKS.iter().any(|&(decimal, thousands)| plain(text, decimal, thousands).is_some())
    }
}

impl Number {
    fn of(text: &str, decimal: u8, thousands: Option<u8>) -> Option<Self> {
        let plain = plain(text, decimal, thousands)?;
        if plain.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-')) {
            // One of forty digits stays text: as a float it would be that of its neighbours.
            return plain.parse().ok().map(Self::Whole);
        }
        let number: f64 = plain.parse().ok().filter(|number: &f64| number.is_finite())?;
        let whole = number.fract() == 0.0 && number.abs() < 1e38;
        Some(if whole { Self::Whole(number as i128) } else { Self::Real(number.to_bits()) })
    }

    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Whole(_))
    }

    fn value(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Real(bits) => f64::from_bits(bits),
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let tie = |number: &Self| match number {
            Self::Whole(whole) => *whole,
            Self::Real(_) => 0,
        };
        self.value().total_cmp(&other.value()).then_with(|| tie(self).cmp(&tie(other)))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Real(bits) => f.write_str(&crate::error::number(f64::from_bits(*bits))),
        }
    }
}

/// The place of every name of a list: of numbers by their value if all are, else by their text.
pub(super) enum Places {
    Numbers(HashMap<Number, usize>),
    Texts(HashMap<String, usize>),
}

impl Places {
    pub(super) fn new(names: &[String]) -> Self {
        let numbers: Option<Vec<Number>> = names.iter().map(|name| Number::of(name, b'.', None)).collect();
        match numbers {
            Some(numbers) => Self::Numbers(numbers.into_iter().zip(0..).collect()),
            None => Self::Texts(names.iter().cloned().zip(0..).collect()),
        }
    }

    /// How many names are different.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(places) => places.len(),
            Self::Texts(places) => places.len(),
        }
    }

    pub(super) fn get(&self, cells: &Cells<'_>, text: &str) -> Option<usize> {
        match self {
            Self::Numbers(places) => places.get(&cells.key(text)?).copied(),
            Self::Texts(places) => places.get(text).copied(),
        }
    }
}

/// The different texts in order, and how often each comes: by value if all are numbers, then as the shortest way of writing
/// it, else by code points.
pub(super) fn distinct(cells: &Cells<'_>, counts: HashMap<Cow<'_, str>, usize>) -> Vec<(String, usize)> {
    let mut numbers: HashMap<Number, usize> = HashMap::new();
    for (text, count) in &counts {
        let Some(number) = cells.key(text) else {
            let mut texts: Vec<(String, usize)> =
                counts.into_iter().map(|(text, count)| (text.into_owned(), count)).collect();
            texts.sort_unstable();
            return texts;
        };
        *numbers.entry(number).or_default() += count;
    }
    let mut numbers: Vec<(Number, usize)> = numbers.into_iter().collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|(number, count)| (number.to_string(), count)).collect()
}

/// True and false in words, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let is = |word: &&str| text.eq_ignore_ascii_case(word);
    match (["true", "yes"].iter().any(is), ["false", "no"].iter().any(is)) {
        (false, false) => None,
        (yes, _) => Some(yes),
    }
}

pub(super) fn is_infinite(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    text.eq_ignore_ascii_case("inf") || text.eq_ignore_ascii_case("infinity")
}

/// The number as Rust writes one, if it is one: thousands stand in groups of three.
fn plain(text: &str, decimal: u8, thousands: Option<u8>) -> Option<Cow<'_, str>> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
    let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once(char::from(decimal)).unwrap_or((unsigned, ""));
    let groups: Vec<&str> = match thousands {
        Some(mark) if whole.contains(char::from(mark)) => whole.split(char::from(mark)).collect(),
        _ => Vec::new(),
    };
    let whole_is = match groups.split_first() {
        None => digits(whole),
        Some((first, rest)) => {
            (1..=3).contains(&first.len()) && digits(first) && rest.iter().all(|g| g.len() == 3 && digits(g))
        }
    };
    let power = exponent.get(1..).map(|power| power.strip_prefix(['+', '-']).unwrap_or(power));
    let is_number = whole_is
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && power.is_none_or(|power| !power.is_empty() && digits(power));
    if !is_number {
        return None;
    }
    if groups.is_empty() && decimal == b'.' {
        return Some(Cow::Borrowed(text));
    }
    let sign = mantissa.get(..mantissa.len() - unsigned.len()).unwrap_or_default();
    let whole = if groups.is_empty() { whole.to_owned() } else { groups.concat() };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(Cow::Owned(format!("{sign}{whole}{point}{fraction}{exponent}")))
}

/// Whether this is a date, a time, or both: 2024-02-29, 29.2.2024, 2/29/24, 29 Feb 2024, 2024-02, 10:30, 2024-02-29T10:30:00Z.
pub(super) fn is_date(text: &str) -> bool {
    if text.len() > 40 || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let both = |(at, _): (usize, char)| {
        let (date, time) = text.split_at(at);
        is_day(date) && time.get(1..).is_some_and(is_time)
    };
    is_day(text) || is_time(text) || text.char_indices().filter(|(_, c)| matches!(c, 'T' | ' ')).any(both)
}

fn is_day(text: &str) -> bool {
    let number = |text: &str, most: usize| {
        let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        fits && text.parse().is_ok_and(|number: usize| (1..=most).contains(&number))
    };
    let year = |text: &str| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let in_either_order = |a: &str, b: &str| (number(a, 31) && number(b, 12)) || (number(a, 12) && number(b, 31));
    let separator = text.chars().find(|c| matches!(c, '-' | '/' | '.'));
    let parts: Vec<&str> = separator.map_or(Vec::new(), |separator| text.split(separator).collect());
    let numbers = match (parts.as_slice(), separator) {
        ([y, m], Some('-' | '/')) => year(y) && number(m, 12),
        ([y, m, d], _) if year(y) => number(m, 12) && number(d, 31),
        ([a, b, y], _) if year(y) => in_either_order(a, b),
        ([a, b, y], Some('/')) => in_either_order(a, b) && number(y.trim_start_matches('0'), 99),
        _ => false,
    };
    numbers || {
        let words: Vec<&str> = text.split([' ', ',', '-', '.']).filter(|word| !word.is_empty()).collect();
        let (years, rest): (Vec<&str>, Vec<&str>) = words.into_iter().partition(|word| year(word));
        match (years.len(), rest.as_slice()) {
            (1, [month]) => is_month(month),
            (1, [a, b]) => (is_month(a) && number(b, 31)) || (is_month(b) && number(a, 31)),
            _ => false,
        }
    }
}

fn is_month(word: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_ascii_lowercase();
    word.len() >= 3 && MONTHS.iter().any(|month| month.starts_with(&word))
}

fn is_time(text: &str) -> bool {
    let zone = text.strip_suffix('Z').or_else(|| {
        let at = text.rfind(['+', '-'])?;
        let (time, zone) = text.split_at(at);
        let digits = zone.bytes().filter(u8::is_ascii_digit).count();
        ((digits == 2 || digits == 4) && zone.bytes().skip(1).all(|b| b.is_ascii_digit() || b == b':')).then_some(time)
    });
    let half = |text: &str| {
        let upper = text.to_ascii_uppercase();
        ["AM", "PM"].iter().find_map(|half| upper.strip_suffix(half).map(|time| time.trim_end().to_owned()))
    };
    let text = zone.unwrap_or(text).trim_end();
    let text = half(text).unwrap_or_else(|| text.to_owned());
    let whole = |text: &str, most: usize| {
        let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        fits && text.parse().is_ok_and(|number: usize| number <= most)
    };
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [h, m] => whole(h, 24) && whole(m, 59),
        [h, m, s] => {
            let (s, fraction) = s.split_once(['.', ',']).unwrap_or((s, "0"));
            let fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
            whole(h, 24) && whole(m, 59) && whole(s, 60) && fraction
        }
        _ => false,
    }
}
