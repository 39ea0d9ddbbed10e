//! The machine under the method: threads, products and scalars, random numbers, files. Nothing in it knows the method.

#[expect(clippy::indexing_slicing, reason = "the remainder of a byte in tables of 256")]
pub(crate) mod crc;
pub(crate) mod file;
pub mod linalg;
pub(crate) mod parallel;
pub(crate) mod random;
pub(crate) mod setting;
