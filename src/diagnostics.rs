//! Instruments: what a method really does, and how near two trained networks are to each other.

mod assignment;
mod cost;
mod decoupling;
mod function;
mod matching;
mod path;
mod representation;
mod similarity;
mod step;

pub use cost::{Cost, Products, cost};
pub(crate) use decoupling::measure;
pub use decoupling::{DESCENT, Decoupling, decoupling};
pub use function::FunctionSimilarity;
pub use matching::{Matching, matching, normalised};
pub use path::{Path, path};
pub use representation::{cka, procrustes};
pub use similarity::{ParameterSimilarity, Similarity, similarity, similarity_from};
pub use step::{StepAdvice, find_step};
