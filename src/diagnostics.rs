//! Instruments: what a method really does, and how near two trained networks are to each other.

mod decoupling;

pub use decoupling::{DESCENT, Decoupling, decoupling};
