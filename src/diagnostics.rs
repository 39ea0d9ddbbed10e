//! Instruments: what a method really does, and how near two trained networks are to each other.

mod assignment;
mod decoupling;
mod matching;
mod path;

pub use decoupling::{DESCENT, Decoupling, decoupling};
pub use matching::{Matching, matching, normalised};
pub use path::{Path, path};
