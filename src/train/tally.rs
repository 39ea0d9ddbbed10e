//! Sums over the visits of an epoch, from which its report is computed.

use crate::bank::Column;
use crate::machine::linalg;
use crate::{MatRef, Scalar};

/// Sums over the examples of visits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) examples: usize,
    pub(crate) energy: f64,
    /// Its terms for t = 1 ..= T; none for backpropagation.
    pub(crate) energies: Vec<f64>,
    /// Examples that had a forward pass: forward loss and score are sums over these.
    pub(crate) forward_examples: usize,
    pub(crate) forward_loss: f64,
    pub(crate) score: f64,
    /// Σ‖z_t − ẑ_t‖² and Σ‖z_t‖² for t = 1 .. T.
    pub(crate) residuals: Vec<(f64, f64)>,
    /// The least and the largest output of every hidden unit, layer after layer.
    low: Vec<f64>,
    high: Vec<f64>,
    /// Columns with an earlier visit, and the sum of the parameter updates since.
    revisited: usize,
    updates_since: f64,
}

impl Tally {
    /// Resets to `examples` examples without any sums; keeps the buffers.
    pub(crate) fn begin(&mut self, examples: usize) {
        let Self { mut energies, mut residuals, mut low, mut high, .. } = std::mem::take(self);
        energies.clear();
        residuals.clear();
        low.clear();
        high.clear();
        *self = Self { examples, energies, residuals, low, high, ..Self::default() };
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.examples += other.examples;
        self.energy += other.energy;
        self.forward_examples += other.forward_examples;
        self.forward_loss += other.forward_loss;
        self.score += other.score;
        // A new tally has no terms yet: the first lane sets their number.
        self.energies.resize(other.energies.len().max(self.energies.len()), 0.0);
        self.energies.iter_mut().zip(&other.energies).for_each(|(sum, term)| *sum += term);
        self.residuals.resize(other.residuals.len().max(self.residuals.len()), (0.0, 0.0));
        for (sum, term) in self.residuals.iter_mut().zip(&other.residuals) {
            sum.0 += term.0;
            sum.1 += term.1;
        }
        self.make_room(other.low.len());
        self.low.iter_mut().zip(&other.low).for_each(|(low, &other)| *low = low.min(other));
        self.high.iter_mut().zip(&other.high).for_each(|(high, &other)| *high = high.max(other));
        self.revisited += other.revisited;
        self.updates_since += other.updates_since;
    }

    /// Records the `outputs`, `units × n`, of the hidden units from number `first` on.
    pub(crate) fn see_units<T: Scalar>(&mut self, first: usize, outputs: MatRef<'_, T>) {
        self.make_room(first + outputs.rows());
        let ((_, low), (_, high)) = (self.low.split_at_mut(first), self.high.split_at_mut(first));
        linalg::dispatch(
            #[inline(always)]
            || {
                for column in outputs.columns() {
                    for ((low, high), x) in low.iter_mut().zip(&mut *high).zip(column) {
                        let x = x.to_f64();
                        *low = if x < *low { x } else { *low };
                        *high = if x > *high { x } else { *high };
                    }
                }
            },
        );
    }

    /// Counts the units of each hidden layer, of these widths, whose output is the same for every example. A single example gives no
    /// dead units.
    pub(crate) fn dead_units(&self, widths: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut units = self.low.iter().zip(&self.high);
        let dead = |(low, high): &(&f64, &f64)| low == high && self.examples > 1;
        widths.map(|width| units.by_ref().take(width).filter(dead).count()).collect()
    }

    /// Records the number of parameter updates since each column's last visit. Ignores columns of a file that another run stamped with
    /// more updates than there have been.
    pub(crate) fn count_updates_since<T: Scalar>(&mut self, updates: u64, columns: &[Column<'_, T>]) {
        let visits = columns.iter().map(Column::last_visit).filter(|&at| at > 0);
        for since in visits.filter_map(|at| updates.checked_sub(at)) {
            self.revisited += 1;
            self.updates_since += since as f64;
        }
    }

    /// Returns their mean over the columns with an earlier visit.
    pub(crate) fn staleness(&self) -> Option<f64> {
        (self.revisited > 0).then(|| self.updates_since / self.revisited as f64)
    }

    fn make_room(&mut self, units: usize) {
        if self.low.len() < units {
            // The neutral elements of minimum and maximum.
            self.low.resize(units, f64::INFINITY);
            self.high.resize(units, f64::NEG_INFINITY);
        }
    }
}
