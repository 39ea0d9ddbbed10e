//! Layers in flight: how layers are cut into stages, how large micro-batches may be, and how late a stage's step is.

use std::fmt;
use std::ops::Range;

/// Pipeline parallelism: consecutive layers form stages, which all work at every tick, each on another micro-batch.
///
/// A micro-batch passes one stage a tick, up to the output, and then down again with its errors. With S stages, stage s, counted from 0 at the
/// input, sees it again after 2 (S − 1 − s) others have come back, and these may have moved its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightPlan {
    depth: usize,
    stages: usize,
    micro_batch: usize,
}

/// Most updates of the lowest stage between a micro-batch's way up and its way down. On the digits three cost half a point, and six or more
/// everything.
const MAX_DELAY: usize = 2;
/// The learning rate is warmed up over the first `WARM_UP` updates, or `WARM_UP_EPOCHS` epochs if these have fewer. Half of that costs networks
/// of thirty layers a tenth of a point after ten epochs of MNIST, and gains ten layers of sigmoids half a point after four.
const WARM_UP: usize = 300;
const WARM_UP_EPOCHS: usize = 2;

impl FlightPlan {
    /// Plans for `depth` layers at most `stages` stages, one a layer, and at most `micro_batch` examples in each.
    pub(crate) fn new(depth: usize, stages: usize, micro_batch: usize) -> Self {
        Self { depth, stages: stages.clamp(1, depth.max(1)), micro_batch: micro_batch.max(1) }
    }

    /// Returns the plan for an update every `batch` examples, in which no stage is more than two updates late: with smaller micro-batches and,
    /// if even single examples would return too late, fewer stages.
    pub fn for_batch(&self, batch: usize) -> Self {
        let batch = batch.max(1);
        // 2 (S − 1) micro-batches are on their way when one comes back.
        let examples = batch.saturating_mul(MAX_DELAY);
        let stages = self.stages.min(1 + examples / 2);
        let most = examples.checked_div(2 * (stages - 1)).unwrap_or(batch);
        Self { stages, micro_batch: self.micro_batch.min(most).min(batch), ..*self }
    }

    /// Returns the layers of each stage, from the input up. Their numbers differ by one at most.
    pub fn stages(&self) -> Vec<Range<usize>> {
        // The longer stages at the top: the lowest layer usually is the largest. In u128, since no product then overflows.
        let at = |s: usize| (s as u128 * self.depth as u128 / self.stages as u128) as usize;
        (0..self.stages).map(|s| at(s)..at(s + 1)).collect()
    }

    /// Returns the most examples of a micro-batch.
    pub const fn micro_batch(&self) -> usize {
        self.micro_batch
    }

    /// Returns the mean number of updates that stage s takes while a micro-batch is above it, for an update every `batch` examples.
    pub fn delay(&self, s: usize, batch: usize) -> f64 {
        let (above, parts) = (self.stages.saturating_sub(s + 1), batch.div_ceil(self.micro_batch));
        2.0 * above as f64 / parts.max(1) as f64
    }

    /// Returns the factor on the learning rate of the network's update number `update`, counted from 1, for `updates` of them in an epoch.
    pub(crate) fn learning_rate_factor(&self, update: u64, updates: usize) -> f64 {
        if self.stages == 1 {
            // Backpropagation: nothing is late.
            return 1.0;
        }
        let warm_up = updates.saturating_mul(WARM_UP_EPOCHS).min(WARM_UP);
        (update as f64 / warm_up.max(1) as f64).min(1.0)
    }

    /// Counts the products that must follow one another in a tick.
    pub(crate) fn sequential_products(&self) -> usize {
        // Each layer of a stage down, and each of them up; gradients of parameters are taken beside the next pull-back.
        2 * self.depth.div_ceil(self.stages)
    }
}

impl fmt::Display for FlightPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stages, size, products) = (self.stages, self.micro_batch, self.sequential_products());
        write!(
            f,
            "stages: {stages}, examples of a micro-batch: at most {size}; a tick has {products} products in sequence"
        )
    }
}
