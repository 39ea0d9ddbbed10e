//! Data before and after training: tables and arrays that are read, scaled and split, and predictions that are judged.

mod arrays;
mod case;
mod classifiers;
#[cfg(feature = "csv")]
mod csv;
mod data;
mod metrics;
#[cfg(feature = "ndarray")]
mod ndarray;
mod npy;
mod pictures;
mod pipeline;
mod scaler;
mod search;
#[cfg(feature = "csv")]
mod tables;
