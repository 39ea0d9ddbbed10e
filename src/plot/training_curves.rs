//! A picture of loss and energy over epochs.

use crate::plot::Picture;
use crate::plot::canvas::{Look, Stroke};
use crate::plot::chart::{Line, chart};
use crate::plot::colour;
use crate::plot::scale::Kind;
use crate::{EpochReport, FitReport, Result};

/// Forward loss against the epoch: of the training (solid) and, where there is one, of the validation (dashed); and the energy
/// L(Θ, Z) (dotted) where it is not the training's loss. Reports have a colour, lines a marker each. The axis of losses is
/// logarithmic when all are positive and the largest is more than 20 times the smallest.
///
/// ```
/// use decoupled::{DecoupledNetwork, FitConfig, Method, data, layer::Activation, plot};
///
/// let data = data::two_moons::<f64>(100, 0.1, 0)?;
/// let net = DecoupledNetwork::builder(2).dense(8, Activation::Tanh).dense(2, Activation::Identity);
/// let mut network = net.build()?;
/// let report = network.fit(&data, &FitConfig::new().epochs(5).method(Method::red_black()))?;
/// let picture = plot::training_curves(&[("two moons", &report)])?;
/// assert!(picture.svg().contains("two moons, energy"));
/// # Ok::<(), decoupled::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty) without reports or for one without epochs,
/// [`Error::NotFinite`](crate::Error::NotFinite) (`row` is the line, `example` the point),
/// [`Error::HyperParameter`](crate::Error::HyperParameter) for a loss beyond ±1e300.
pub fn training_curves(reports: &[(&str, &FitReport)]) -> Result<Picture> {
    let mut lines = Vec::new();
    let mut energies = false;
    for (i, (name, report)) in reports.iter().enumerate() {
        let mut line = |what: &str, stroke, value: &dyn Fn(&EpochReport) -> Option<f64>| {
            let point = |epoch: &EpochReport| Some((epoch.epoch as f64, value(epoch)?));
            let points: Vec<_> = report.epochs.iter().filter_map(point).collect();
            let name = if name.trim().is_empty() { what.to_owned() } else { format!("{name}, {what}") };
            let look = Look { colour: colour::line(i), stroke: Some(stroke), marker: Some(lines.len()) };
            lines.push(Line { name, look, points });
        };
        line("training", Stroke::Solid, &|epoch| Some(epoch.train_loss));
        if report.epochs.iter().any(|epoch| epoch.validation.is_some()) {
            line("validation", Stroke::Dashes(7.0, 4.0), &|epoch| Some(epoch.validation?.loss));
        }
        let parts = |epoch: &EpochReport| {
            !epoch.energy.is_finite() || (epoch.energy - epoch.train_loss).abs() > 1e-6 * epoch.train_loss.abs()
        };
        if report.epochs.iter().any(parts) {
            line("energy", Stroke::Dashes(1.8, 2.6), &|epoch| Some(epoch.energy));
            energies = true;
        }
    }
    let y = if energies { "loss, energy (mean per example)" } else { "loss (mean per example)" };
    chart("losses of a fit", &lines, ("epoch", Kind::Whole), (y, Kind::Spread(20.0)))
}
