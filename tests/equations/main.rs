//! The numbers of the method against oracles that are not this crate's code: closed forms, brute force, differences, NumPy.

#[path = "../builtin/mod.rs"]
mod builtin;
mod cost;
mod coupling;
mod diagnostics;
mod energy;
mod exact;
mod in_flight;
mod infer;
mod initialise;
mod isometry;
mod matching;
mod missing;
mod numpy;
mod oracles;
mod reach;
mod representation;
mod similarity;
