//! The space of a search, and the candidates drawn from it or enumerated.

use std::fmt;
use std::sync::Arc;

use crate::error::{four_digits, require};
use crate::machine::random::{Purpose, stream};
use crate::{Error, Result, Scalar};

/// What a search may choose: named numbers, each with its range or its values.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Space(Vec<(Arc<str>, Dimension)>);

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
enum Dimension {
    LogUniform { low: f64, high: f64 },
    Uniform { low: f64, high: f64 },
    Choices(Vec<f64>),
}

/// One point of a [`Space`]: a value for every name.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate(Vec<(Arc<str>, f64)>);

impl Space {
    /// Without dimensions.
    pub fn new() -> Self {
        Self::default()
    }

    /// A number whose logarithm is drawn evenly between those of `low` > 0 and `high`: for rates and penalties, of which one knows
    /// the order of magnitude at best.
    pub fn log_uniform(self, name: impl Into<Arc<str>>, low: f64, high: f64) -> Self {
        self.with(name.into(), Dimension::LogUniform { low, high })
    }

    /// A number drawn evenly between `low` and `high`.
    pub fn uniform(self, name: impl Into<Arc<str>>, low: f64, high: f64) -> Self {
        self.with(name.into(), Dimension::Uniform { low, high })
    }

    /// One of these values: the only kind of dimension that a grid takes.
    pub fn choices(self, name: impl Into<Arc<str>>, values: &[f64]) -> Self {
        self.with(name.into(), Dimension::Choices(values.to_vec()))
    }

    fn with(mut self, name: Arc<str>, dimension: Dimension) -> Self {
        self.0.push((name, dimension));
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.0.is_empty() {
            return Err(Error::Empty { what: "the space of a search" });
        }
        for (i, (name, dimension)) in self.0.iter().enumerate() {
            if self.0.iter().take(i).any(|(earlier, _)| earlier == name) {
                let (what, why) = ("its name", "two dimensions of the space have it");
                return Err(Error::Unsupported { what, why }.in_dimension(name));
            }
            dimension.validate().map_err(|error| error.in_dimension(name))?;
        }
        Ok(())
    }

    /// Draws a candidate. Every number has a stream of its own, so that neither more candidates nor more dimensions change it.
    pub(super) fn draw(&self, seed: u64, candidate: usize) -> Candidate {
        let draw = |(i, (name, dimension)): (usize, &(_, Dimension))| {
            let share = f64::uniform(&mut stream(seed, Purpose::Search, candidate, i));
            (Arc::clone(name), dimension.at(share))
        };
        Candidate(self.0.iter().enumerate().map(draw).collect())
    }

    /// How many combinations of the choices there are.
    pub(super) fn combinations(&self) -> Result<usize> {
        self.choices_of_each().try_fold(1usize, |all, own| Ok(all.saturating_mul(own?.1.len())))
    }

    /// All combinations of the choices; the last dimension changes fastest.
    pub(super) fn grid(&self) -> Result<Vec<Candidate>> {
        let mut all = vec![Candidate(Vec::new())];
        for own in self.choices_of_each() {
            let (name, values) = own?;
            let longer =
                |candidate: &Candidate, value| Candidate([&candidate.0[..], &[(Arc::clone(name), value)]].concat());
            all = all.iter().flat_map(|candidate| values.iter().map(move |&value| longer(candidate, value))).collect();
        }
        Ok(all)
    }

    fn choices_of_each(&self) -> impl Iterator<Item = Result<(&Arc<str>, &[f64])>> {
        self.0.iter().map(|(name, dimension)| match dimension {
            Dimension::Choices(values) => Ok((name, &values[..])),
            _ => {
                let (what, why) = ("a range in a grid", "give its values as choices");
                Err(Error::Unsupported { what, why }.in_dimension(name))
            }
        })
    }
}

impl Dimension {
    fn validate(&self) -> Result<()> {
        match self {
            Self::LogUniform { low, high } => {
                require(*low > 0.0, LOW, "positive: the logarithm is drawn", *low)?;
                bounds(*low, *high)
            }
            Self::Uniform { low, high } => bounds(*low, *high),
            Self::Choices(values) if values.is_empty() => Err(Error::Empty { what: "a list of choices" }),
            Self::Choices(values) => {
                let wrong = values.iter().find(|value| !value.is_finite());
                wrong.map_or(Ok(()), |&value| require(false, "a choice", "finite", value))
            }
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

const LOW: &str = "its lower bound";

/// Fails unless low < high, both finite.
fn bounds(low: f64, high: f64) -> Result<()> {
    require(low.is_finite(), LOW, "finite", low)?;
    require(high.is_finite() && high > low, "its upper bound", "finite and above the lower one", high)
}

impl Candidate {
    /// The value of this name.
    ///
    /// # Errors
    /// [`Error::InDimension`] for a name that the space does not have.
    pub fn get(&self, name: &str) -> Result<f64> {
        let (what, why) = ("Candidate::get", "the space has no dimension of this name");
        let value = self.iter().find(|(own, _)| *own == name).map(|(_, value)| value);
        value.ok_or_else(|| Error::Unsupported { what, why }.in_dimension(name))
    }

    /// All names with their values, in the order of the space.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }
}

impl fmt::Display for Candidate {
    /// `name=value` for every name, in four digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.iter().map(|(name, value)| format!("{name}={}", four_digits(value))).collect();
        f.write_str(&pairs.join(" "))
    }
}
