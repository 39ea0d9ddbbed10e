//! A picture of a fit's residuals over layers and epochs.

use crate::plot::heat::Heat;
use crate::plot::scale::{Kind, Scale};
use crate::plot::{Picture, drawable};
use crate::{Error, FitReport, Result};

/// More columns than this would be narrower than they can be seen.
const COLUMNS: usize = 200;

/// How far stored and computed activations are apart, layer by layer and epoch by epoch: log₁₀ of
/// [`residuals`](crate::EpochReport::residuals). A residual of zero is grey. Of more than 200 epochs every k-th is shown, with
/// the smallest k that will do.
///
/// ```
/// use decoupled::{DecoupledNetwork, FitConfig, Method, data, layer::Activation, plot};
///
/// let data = data::two_moons::<f64>(100, 0.1, 0)?;
/// let net = DecoupledNetwork::builder(2).dense(8, Activation::Tanh).dense(8, Activation::Tanh);
/// let mut network = net.dense(2, Activation::Identity).build()?;
/// let report = network.fit(&data, &FitConfig::new().epochs(5).method(Method::red_black()))?;
/// assert!(plot::residuals(&report)?.svg().contains("hidden layer"));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] when no residual is positive, as in reports of backpropagation, and of the default, which measures
/// them at the forward pass; [`Error::Shape`] when epochs have unequally
/// many, [`Error::NotFinite`] (`example` is the epoch's place, `row` the layer's), [`Error::HyperParameter`] for one that is
/// negative or beyond 1e300.
pub fn residuals(report: &FitReport) -> Result<Picture> {
    let what = "residuals of a fit";
    let layers = report.epochs.first().map_or(0, |epoch| epoch.residuals.len());
    for (k, epoch) in report.epochs.iter().enumerate() {
        let found = epoch.residuals.len();
        if found != layers {
            return Err(Error::Shape { what: "residuals of an epoch", expected: layers, found });
        }
        for (t, &residual) in epoch.residuals.iter().enumerate() {
            drawable(what, k, t, residual)?;
            crate::error::require(residual >= 0.0, what, "non-negative", residual)?;
        }
    }
    let shown: Vec<_> = report.epochs.iter().step_by(report.epochs.len().div_ceil(COLUMNS).max(1)).collect();
    let log = |residual: f64| (residual > 0.0).then(|| residual.log10());
    let row = |t: usize| shown.iter().map(|epoch| epoch.residuals.get(t).copied().and_then(log)).collect();
    let rows: Vec<Vec<_>> = (0..layers).map(row).collect();
    let values = || rows.iter().flatten().copied().flatten();
    if values().next().is_none() {
        return Err(Error::Empty { what: "the list of positive residuals" });
    }
    let zeros = rows.iter().flatten().any(Option::is_none);
    let meaning =
        if zeros { "log₁₀(‖z − ẑ‖ / ‖z‖), grey: 0" } else { "log₁₀(‖z − ẑ‖ / ‖z‖)" };
    let numbers = [
        shown.iter().map(|epoch| epoch.epoch.to_string()).collect(),
        (1..=layers).map(|layer| layer.to_string()).collect(),
    ];
    let scale = Scale::new(values(), Kind::Linear, 0.0);
    Heat { rows, scale, meaning, names: ["epoch", "hidden layer"], numbers, written: false }.draw()
}
