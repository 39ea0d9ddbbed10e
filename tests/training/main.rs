//! Training promises the same of every method: results, repeatability, settings that reach what they are meant for.

mod augmentation;
mod bank;
#[path = "../builtin/mod.rs"]
mod builtin;
mod common;
mod crossings;
mod dropout;
mod family;
mod fit;
mod instruments;
mod learning_rate;
mod odd;
mod properties;
mod threads;
mod training;
mod weights;
