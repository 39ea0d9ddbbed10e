//! Training: the loop over epochs and batches, the engine that runs a visit, and the report.

pub(crate) mod augmented;
#[expect(
    clippy::indexing_slicing,
    reason = "as many lanes as `cut` makes, one of everything for each layer, parts of a lane's examples"
)]
pub(crate) mod engine;
pub(crate) mod epoch;
pub(crate) mod finish;
pub(crate) mod fit;
pub(crate) mod missing;
pub(crate) mod reduce;
pub(crate) mod tally;
pub(crate) mod warning;

pub use epoch::{EpochReport, StopReason};
pub use finish::Refit;
pub use fit::{FitConfig, FitReport};
pub use warning::Warning;
