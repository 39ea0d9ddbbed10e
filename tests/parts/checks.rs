//! The public checks accept every built-in loss, optimizer and activation step.

use decoupled::{Scalar, check, optimizer::Sgd};

use crate::builtin;

#[test]
fn every_loss_keeps_the_contract_at_many_widths() {
    for dim in 1..=40 {
        builtin::losses::<f64>().iter().for_each(|loss| check::loss(&**loss, dim).unwrap());
    }
    builtin::losses::<f32>().iter().for_each(|loss| check::loss(&**loss, 7).unwrap());
}

#[test]
fn every_optimizer_keeps_the_contract() {
    fn all<T: Scalar>() {
        builtin::optimizers::<T>().iter().for_each(|rule| check::optimizer(&**rule).unwrap());
        // A rate that no training would survive.
        check::optimizer::<T>(&Sgd::new(10.0).momentum(0.9)).unwrap();
    }
    all::<f32>();
    all::<f64>();
}

#[test]
fn every_activation_step_keeps_the_contract() {
    builtin::activation_steps::<f32>().iter().for_each(|step| check::activation_step(&**step).unwrap());
    builtin::activation_steps::<f64>().iter().for_each(|step| check::activation_step(&**step).unwrap());
}
