//! The process around a network: callers' threads, the threads that are made, and users' code that panics.

mod callers;
mod failures;
#[cfg(all(feature = "csv", feature = "save"))]
mod reported;
