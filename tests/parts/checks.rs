//! The public checks accept every built-in loss and optimizer.

use decoupled::{
    Loss, Optimizer, Scalar, check,
    loss::{BinaryCrossEntropy, Huber, MeanAbsoluteError, RelativeSquaredError, SoftmaxCrossEntropy, SquaredError},
    optimizer::{Adam, AdamW, ClipNorm, ClipValue, L1, RmsProp, Schedule, Scheduled, Sgd, WeightDecay},
};

fn every_loss<T: Scalar>() -> [Box<dyn Loss<T>>; 7] {
    [
        Box::new(SquaredError),
        Box::new(RelativeSquaredError::new()),
        Box::new(MeanAbsoluteError),
        Box::new(Huber::new(1.0)),
        Box::new(Huber::new(0.01)),
        Box::new(SoftmaxCrossEntropy::new()),
        Box::new(BinaryCrossEntropy),
    ]
}

fn every_optimizer<T: Scalar>() -> [Box<dyn Optimizer<T>>; 12] {
    [
        Box::new(Sgd::new(0.1)),
        Box::new(Sgd::new(10.0).momentum(0.9)),
        Box::new(Sgd::new(0.1).momentum(0.9).nesterov()),
        Box::new(RmsProp::new(0.01)),
        Box::new(Adam::new(1e-3)),
        Box::new(AdamW::new(1e-3).weight_decay(0.1)),
        Box::new(ClipNorm::new(Adam::new(1e-3), 1.0)),
        Box::new(ClipValue::new(Sgd::new(0.1), 0.5)),
        Box::new(WeightDecay::new(Sgd::new(0.1), 1e-2)),
        Box::new(L1::new(Sgd::new(0.1), 1e-2)),
        Box::new(AdamW::new(1e-3).weight_decay(0.1).weights_only()),
        Box::new(Scheduled::new(Adam::new(1e-2), Schedule::Step { every: 10, factor: 0.9 })),
    ]
}

#[test]
fn every_loss_keeps_the_contract_at_many_widths() {
    for dim in 1..=40 {
        every_loss::<f64>().iter().for_each(|loss| check::loss(&**loss, dim).unwrap());
    }
    every_loss::<f32>().iter().for_each(|loss| check::loss(&**loss, 7).unwrap());
}

#[test]
fn every_optimizer_keeps_the_contract() {
    every_optimizer::<f64>().iter().for_each(|rule| check::optimizer(&**rule).unwrap());
    every_optimizer::<f32>().iter().for_each(|rule| check::optimizer(&**rule).unwrap());
}
