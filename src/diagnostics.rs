//! Instruments: how decoupled a method is, what it costs, and how near two trained networks are to each other.

#[expect(clippy::indexing_slicing, reason = "the matrix is asserted to be square")]
mod assignment;
#[expect(clippy::indexing_slicing, reason = "one of everything for each layer")]
mod cost;
mod decoupling;
mod function;
#[expect(
    clippy::indexing_slicing,
    reason = "one of everything for each layer of two networks that were found to be twins"
)]
mod matching;
mod path;
mod representation;
mod similarity;
mod step;

pub use crate::method::schedule::Products;
pub use cost::{Cost, cost};
pub(crate) use decoupling::measure;
pub use decoupling::{DESCENT, Decoupling, decoupling};
pub use function::FunctionSimilarity;
pub use matching::{Matching, matching, normalised};
pub use path::{Path, path};
pub use representation::{cka, procrustes};
pub use similarity::{ParameterSimilarity, Similarity, similarity, similarity_from};
pub use step::{StepAdvice, find_step};
