//! What the tests of training share.

use decoupled::optimizer::Step;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, FitReport, Method, Optimizer, Result, Scalar};

/// Keeps the parameters where they are.
#[derive(Debug)]
pub(crate) struct Still;

impl<T: Scalar> Optimizer<T> for Still {
    fn update(&self, _: Step<T>, _: &mut [T], _: &mut [T], _: &mut [T]) {}
}

/// The bits of all parameters.
pub(crate) fn bits<T: Scalar>(network: &DecoupledNetwork<T>) -> Vec<u64> {
    (0..network.depth()).flat_map(|t| network.params(t)).map(|p| p.to_f64().to_bits()).collect()
}

/// The bits of each epoch's loss, energy and score.
pub(crate) fn losses(report: &FitReport) -> Vec<u64> {
    let of = |epoch: &decoupled::EpochReport| [epoch.train_loss, epoch.energy, epoch.train_score.unwrap_or(0.0)];
    report.epochs.iter().flat_map(of).map(f64::to_bits).collect()
}

/// Trains by the method, or by backpropagation without one.
pub(crate) fn fit<T: Scalar>(
    network: &mut DecoupledNetwork<T>,
    data: &Dataset<T>,
    method: Option<&Method<T>>,
    config: FitConfig<'_, T>,
) -> Result<FitReport> {
    match method {
        Some(method) => network.fit(data, &config.method(method.clone())),
        None => network.fit_backprop(data, &config),
    }
}

/// Backpropagation, and the methods that keep nothing of an example and fix their rates, so that no estimate of the curvature takes
/// examples without what a visit changes about them.
pub(crate) fn forgetful<T: Scalar>() -> Vec<Option<Method<T>>> {
    vec![
        None,
        Some(Method::default()),
        Some(Method::predictive_coding(3, 0.1)),
        Some(Method::incremental(2, 0.02)),
        Some(Method::error_based(2, 0.1)),
        Some(Method::local_targets(3)),
        Some(Method::backprop_by_sweep()),
        Some(Method::in_flight(2, 4)),
    ]
}
