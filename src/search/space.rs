use std::fmt;

use crate::error::{number, require};
use crate::random::{Purpose, stream};
use crate::{Error, Result, Scalar};

/// What a search may choose: named numbers, each with its range or its values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space(Vec<(&'static str, Dimension)>);

#[derive(Clone, Debug, PartialEq)]
enum Dimension {
    LogUniform { low: f64, high: f64 },
    Uniform { low: f64, high: f64 },
    Choices(Vec<f64>),
}

/// One point of a [`Space`]: a value for every name.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate(Vec<(&'static str, f64)>);

impl Space {
    /// Without dimensions.
    pub fn new() -> Self {
        Self::default()
    }

    /// A number whose logarithm is drawn evenly between those of `low` > 0 and `high`: for rates and penalties, of which one knows
    /// the order of magnitude at best.
    pub fn log_uniform(self, name: &'static str, low: f64, high: f64) -> Self {
        self.with(name, Dimension::LogUniform { low, high })
    }

    /// A number drawn evenly between `low` and `high`.
    pub fn uniform(self, name: &'static str, low: f64, high: f64) -> Self {
        self.with(name, Dimension::Uniform { low, high })
    }

    /// One of these values: the only kind of dimension that a grid takes.
    pub fn choices(self, name: &'static str, values: &[f64]) -> Self {
        self.with(name, Dimension::Choices(values.to_vec()))
    }

    fn with(mut self, name: &'static str, dimension: Dimension) -> Self {
        self.0.push((name, dimension));
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.0.is_empty() {
            return Err(Error::Empty { what: "the space of a search" });
        }
        for (i, (name, dimension)) in self.0.iter().enumerate() {
            if self.0.iter().take(i).any(|(earlier, _)| earlier == name) {
                return Err(Error::Unsupported { what: name, why: "two dimensions of the space have this name" });
            }
            dimension.validate(name)?;
        }
        Ok(())
    }

    /// Draws a candidate. Every number has a stream of its own, so that neither more candidates nor more dimensions change it.
    pub(super) fn draw(&self, seed: u64, candidate: usize) -> Candidate {
        let draw = |(i, (name, dimension)): (usize, &(_, Dimension))| {
            let share = f64::uniform(&mut stream(seed, Purpose::Search, candidate, i));
            (*name, dimension.at(share))
        };
        Candidate(self.0.iter().enumerate().map(draw).collect())
    }

    /// How many combinations of the choices there are.
    pub(super) fn combinations(&self) -> Result<usize> {
        self.0.iter().try_fold(1usize, |all, (name, own)| Ok(all.saturating_mul(own.choices(name)?.len())))
    }

    /// All combinations of the choices; the last dimension changes fastest.
    pub(super) fn grid(&self) -> Result<Vec<Candidate>> {
        let mut all = vec![Candidate(Vec::new())];
        for (name, dimension) in &self.0 {
            let values = dimension.choices(name)?;
            let longer = |candidate: &Candidate, value| Candidate([&candidate.0[..], &[(*name, value)]].concat());
            all = all.iter().flat_map(|candidate| values.iter().map(move |&value| longer(candidate, value))).collect();
        }
        Ok(all)
    }
}

impl Dimension {
    fn validate(&self, name: &'static str) -> Result<()> {
        match self {
            Self::LogUniform { low, high } => {
                require(*low > 0.0, name, "positive from its lower bound on: its logarithm is drawn", *low)?;
                bounds(name, *low, *high)
            }
            Self::Uniform { low, high } => bounds(name, *low, *high),
            Self::Choices(values) if values.is_empty() => Err(Error::Empty { what: "a list of choices" }),
            Self::Choices(values) => {
                let wrong = values.iter().find(|value| !value.is_finite());
                wrong.map_or(Ok(()), |&value| require(false, name, "finite in every choice", value))
            }
        }
    }

    fn choices(&self, name: &'static str) -> Result<&[f64]> {
        match self {
            Self::Choices(values) => Ok(values),
            _ => Err(Error::Unsupported { what: name, why: "a grid takes choices, not a range" }),
        }
    }

    /// The number at this share, in [0, 1), of the way.
    fn at(&self, share: f64) -> f64 {
        let between = |low: f64, high: f64| low * (1.0 - share) + high * share;
        match self {
            Self::LogUniform { low, high } => between(low.ln(), high.ln()).exp().clamp(*low, *high),
            Self::Uniform { low, high } => between(*low, *high),
            // Less than their number, after rounding as well.
            #[expect(clippy::indexing_slicing, reason = "there are choices, and the share is below 1")]
            Self::Choices(values) => values[(share * values.len() as f64) as usize],
        }
    }
}

/// Fails unless low < high, both finite.
fn bounds(name: &'static str, low: f64, high: f64) -> Result<()> {
    require(low.is_finite(), name, "finite at its lower bound", low)?;
    require(high.is_finite() && high > low, name, "finite, and above its lower bound, at its upper bound", high)
}

impl Candidate {
    /// The value of this name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a name that the space does not have.
    pub fn get(&self, name: &'static str) -> Result<f64> {
        let why = "the space of the search has no dimension of this name";
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value).ok_or(Error::Unsupported { what: name, why })
    }

    /// All names with their values, in the order of the space.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.0.iter().copied()
    }
}

impl fmt::Display for Candidate {
    /// `name=value` for every name, in four digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.iter().map(|(name, value)| format!("{name}={}", four_digits(value))).collect();
        f.write_str(&pairs.join(" "))
    }
}

/// The shortest decimal of a number that is rounded to four significant digits.
pub(super) fn four_digits(value: f64) -> String {
    number(format!("{value:.3e}").parse().unwrap_or(value))
}
