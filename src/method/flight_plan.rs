//! Layers in flight: how layers are cut into stages, how large micro-batches may be, and how far ahead of its update a stage reads.

use std::fmt;
use std::ops::Range;

/// Stages of consecutive layers that all work at every tick, each on a micro-batch of its own.
///
/// A micro-batch passes one stage a tick: up to the output, then down again as its errors arrive. Stage s, counted from 0 at the input, so
/// sees it again after 2 (S − 1 − s) others have come back, for S stages; these may have moved its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightPlan {
    stages: Vec<Range<usize>>,
    micro_batch: usize,
}

/// Most updates of the lowest stage between a micro-batch's way up and its way down. On the digits three cost half a point, and six or more
/// everything.
const MAX_DELAY: usize = 2;
/// The learning rate is warmed up over so many updates of a layer, and over so many epochs if these have fewer.
const WARM_UP: usize = 300;
const WARM_UP_EPOCHS: usize = 2;

impl FlightPlan {
    /// Cuts `depth` layers into at most `stages` stages, whose numbers of layers differ by one at most.
    pub(crate) fn new(depth: usize, stages: usize, micro_batch: usize) -> Self {
        let count = stages.clamp(1, depth.max(1));
        // The longer stages at the top: the lowest layer usually is the largest.
        let at = |s: usize| s * depth / count;
        Self { stages: (0..count).map(|s| at(s)..at(s + 1)).collect(), micro_batch }
    }

    /// Returns the layers of each stage, from the input up.
    pub fn stages(&self) -> &[Range<usize>] {
        &self.stages
    }

    /// Returns the most examples of a micro-batch, for an update every `batch` examples: as many as were asked for, but so few that the
    /// lowest stage is at most two updates behind.
    pub fn micro_batch(&self, batch: usize) -> usize {
        // 2 (S − 1) micro-batches are on their way when one comes back.
        let others = 2 * (self.stages.len() - 1);
        let most = if others == 0 { batch } else { batch.saturating_mul(MAX_DELAY) / others };
        self.micro_batch.min(most).min(batch).max(1)
    }

    /// Returns the mean number of updates that stage s takes while a micro-batch is above it.
    pub fn delay(&self, s: usize, batch: usize) -> f64 {
        let (above, updates) = (self.stages.len().saturating_sub(s + 1), batch.div_ceil(self.micro_batch(batch)));
        2.0 * above as f64 / updates.max(1) as f64
    }

    /// Returns the factor on the learning rate of a layer's step number `step`, counted from 1, for `updates` of them in an epoch.
    pub(crate) fn learning_rate_factor(&self, step: u64, updates: usize) -> f64 {
        if self.stages.len() == 1 {
            // Backpropagation: nothing is late.
            return 1.0;
        }
        let warm_up = updates.saturating_mul(WARM_UP_EPOCHS).min(WARM_UP);
        (step as f64 / warm_up.max(1) as f64).min(1.0)
    }

    /// Counts the products that must follow one another in a tick.
    pub(crate) fn sequential_products(&self) -> usize {
        // Each layer of a stage up, and each of them down; gradients of parameters are taken beside the next pull-back.
        self.stages.iter().map(|layers| 2 * layers.len()).max().unwrap_or(0)
    }
}

impl fmt::Display for FlightPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stages, size, products) = (self.stages.len(), self.micro_batch, self.sequential_products());
        write!(
            f,
            "{stages} stages at once, micro-batches of at most {size}; a tick has {products} products in sequence"
        )
    }
}
