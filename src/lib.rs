//! Feed-forward networks trained without a sequential backward pass.

pub mod data;
mod error;
pub mod layer;
pub mod linalg;
pub mod loss;
mod matrix;
pub mod optimizer;
mod random;
mod scalar;

pub use data::Dataset;
pub use error::{Error, Result};
pub use layer::Layer;
pub use loss::Loss;
pub use matrix::{MatMut, MatRef};
pub use optimizer::Optimizer;
pub use scalar::Scalar;

pub use nalgebra;
pub use rand;
