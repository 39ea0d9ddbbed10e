//! Layers, losses, optimizers and proximal operators by themselves: contracts, formulas, numbers from elsewhere.

#[path = "../builtin/mod.rs"]
mod builtin;
mod checks;
// One rule is of descriptions.
#[cfg(feature = "save")]
mod contracts;
mod layers;
mod losses;
mod optimizers;
mod pictures;
mod prox;
mod steps;
