//! Networks, models, checkpoints, settings and banks that are written, come back, and are refused when damaged.

mod bank_file;
#[path = "../builtin/mod.rs"]
mod builtin;
#[cfg(feature = "save")]
mod checkpoint;
#[cfg(feature = "save")]
mod common;
#[cfg(all(unix, feature = "save"))]
mod files;
#[cfg(feature = "save")]
mod hostile;
mod model;
#[cfg(feature = "save")]
mod persist;
#[cfg(feature = "serde")]
mod serde;
