//! The crate as its users see it: public names, layout, errors, observers, warnings, pictures.

#[path = "../builtin/mod.rs"]
mod builtin;
mod complete;
mod errors;
mod layout;
mod observers;
mod outputs;
#[cfg(feature = "plot")]
mod plot;
#[cfg(all(feature = "csv", feature = "ndarray", feature = "plot", feature = "progress", feature = "save"))]
mod public_api;
mod sizes;
mod visits;
mod warnings;
