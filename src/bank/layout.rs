//! Where the numbers of an example lie in its record, and how many bytes a bank takes.

use std::fmt;
use std::ops::Range;

use super::Storage;
use crate::{Error, Result, Scalar};

/// Bytes of the two counts before an example's numbers.
const COUNTS: usize = 16;

/// Where what is kept of an example lies in its record: two counts of 8 bytes (activation steps, last update), then numbers:
/// the input where it is kept, activations, the optimizer's state and multipliers, each layer after layer.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "save", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(crate) struct Layout {
    /// First row of every hidden layer, and the number of rows at the end.
    offsets: Vec<usize>,
    /// Rows of the input that is kept, because some of it is inferred; or 0.
    #[cfg_attr(feature = "save", serde(default))]
    pub(super) inputs: usize,
    /// State entries for an activation.
    pub(super) slots: usize,
    /// Whose memory the state is.
    pub(super) rule: String,
    pub(super) multipliers: bool,
    pub(super) storage: Storage,
    /// Bytes of one number, and of the network's own.
    pub(super) width: usize,
    pub(super) scalar: usize,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One that was read from a file may have any offsets.
        let widths = self.offsets.iter().zip(self.offsets.iter().skip(1));
        let widths: Vec<String> = widths.map(|(from, to)| to.saturating_sub(*from).to_string()).collect();
        let widths = if widths.is_empty() { "none".to_owned() } else { widths.join(", ") };
        write!(f, "hidden widths {widths} in numbers of {} bytes, of a network of {} bytes", self.width, self.scalar)?;
        if self.inputs > 0 {
            write!(f, ", {} inputs", self.inputs)?;
        }
        if self.slots > 0 {
            write!(f, ", {} numbers an activation for {}", self.slots, self.rule)?;
        }
        if self.multipliers { f.write_str(", multipliers") } else { Ok(()) }
    }
}

impl Layout {
    /// For hidden layers of the given `widths` above `inputs` rows that are kept, and an activation optimizer `rule` with `slots`
    /// state entries an activation.
    pub(crate) fn new<T: Scalar>(
        inputs: usize,
        widths: impl Iterator<Item = usize>,
        (slots, rule): (usize, String),
        multipliers: bool,
        storage: Storage,
    ) -> Self {
        let mut offsets = vec![0];
        offsets.extend(widths.scan(0usize, |row, width| {
            // Widths that no memory holds are refused by the limit, not by an overflow.
            *row = row.saturating_add(width);
            Some(*row)
        }));
        Self { offsets, inputs, slots, rule, multipliers, storage, width: storage.width::<T>(), scalar: size_of::<T>() }
    }

    /// The same with multipliers.
    pub(super) fn with_multipliers(&self) -> Self {
        Self { multipliers: true, ..self.clone() }
    }

    /// The same memory beside the activations of other layers, from the input on, in another storage.
    #[cfg(feature = "save")]
    pub(crate) fn of<T: Scalar>(&self, mut widths: impl Iterator<Item = usize>, storage: Storage) -> Self {
        let keeps = self.inputs > 0 && storage != Storage::Nothing;
        let inputs = widths.next().filter(|_| keeps).unwrap_or(0);
        Self::new::<T>(inputs, widths, (self.slots, self.rule.clone()), self.multipliers, storage)
    }

    /// Hidden layers that are kept.
    pub(super) fn layers(&self) -> usize {
        if self.storage == Storage::Nothing { 0 } else { self.offsets.len() - 1 }
    }

    /// The widths of all these layers together.
    pub(super) fn rows(&self) -> usize {
        self.offsets[self.layers()]
    }

    /// Numbers kept of an example.
    pub(super) fn numbers(&self) -> u128 {
        // In u128: a product that wrapped around would pass the limit.
        let each = 1 + self.slots as u128 + u128::from(self.multipliers);
        (self.rows() as u128).saturating_mul(each).saturating_add(self.inputs as u128)
    }

    /// Bytes of so many records.
    pub(crate) fn bytes(&self, examples: usize) -> u128 {
        let record = self.numbers().saturating_mul(self.width as u128).saturating_add(COUNTS as u128);
        record.saturating_mul(examples as u128)
    }

    /// # Errors
    /// [`Error::BankTooLarge`] for more bytes than the limit.
    pub(super) fn check_limit(&self, examples: usize, limit: usize) -> Result<()> {
        let bytes = self.bytes(examples);
        if bytes <= limit as u128 {
            return Ok(());
        }
        let rows = usize::try_from(self.numbers()).unwrap_or(usize::MAX);
        Err(Error::BankTooLarge { bytes, rows, examples, limit: limit as u128 })
    }

    /// Bytes of one record, of a bank that exists.
    pub(super) fn record(&self) -> usize {
        self.bytes(1) as usize
    }

    /// Rows of hidden layer t = 1 ..= layers.
    pub(super) fn height(&self, t: usize) -> usize {
        self.offsets[t] - self.offsets[t - 1]
    }

    pub(super) fn input(&self) -> Range<usize> {
        COUNTS..COUNTS + self.inputs * self.width
    }

    pub(super) fn activation(&self, t: usize) -> Range<usize> {
        self.span(0, 1, t)
    }

    pub(super) fn state(&self, t: usize) -> Range<usize> {
        self.span(1, self.slots, t)
    }

    pub(super) fn multiplier(&self, t: usize) -> Range<usize> {
        self.span(1 + self.slots, usize::from(self.multipliers), t)
    }

    /// The bytes of layer t in a part with `each` numbers an activation, behind the input and `before` of them.
    fn span(&self, before: usize, each: usize, t: usize) -> Range<usize> {
        let at = |row: usize| self.input().end + (before * self.rows() + each * row) * self.width;
        at(self.offsets[t - 1])..at(self.offsets[t])
    }
}
