//! Feed-forward networks trained without a sequential backward pass.

pub mod activation_step;
pub mod backprop;
pub mod bank;
mod block;
pub mod check;
pub mod data;
pub mod diagnostics;
pub mod energy;
mod error;
pub mod fit;
pub mod layer;
pub mod linalg;
pub mod loss;
mod matrix;
mod method;
mod metric;
mod network;
pub mod optimizer;
mod parallel;
pub mod parameter_step;
mod random;
mod scalar;
mod visit;

pub use activation_step::{ActivationStep, Order};
pub use bank::ActivationBank;
pub use block::{Block, Reads};
pub use data::Dataset;
pub use error::{Error, Result};
pub use fit::{EpochReport, FitConfig, FitReport, StopReason, Warning};
pub use layer::Layer;
pub use loss::Loss;
pub use matrix::{MatMut, MatRef};
pub use method::{Method, Start};
pub use metric::Metric;
pub use network::{DecoupledNetwork, NetworkBuilder, Scores};
pub use optimizer::Optimizer;
pub use parameter_step::Timing;
pub use scalar::Scalar;

pub use nalgebra;
pub use rand;
