//! One network trained twice: decoupled, and by backpropagation from the same start.

use std::fmt::{self, Display, Formatter};
use std::ops::ControlFlow;

use decoupled::bank::ActivationBank;
use decoupled::diagnostics::{Decoupling, decoupling};
use decoupled::train::Refit;
use decoupled::{Dataset, DecoupledNetwork, EpochReport, FitConfig, FitReport, Method, Result, Scores};

/// What the last line of an example reports, for one network or as the mean over several.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    accuracy: f64,
    seconds: f64,
}

/// The outcomes of the network and of its twin.
pub(crate) type Pair = (Outcome, Option<Outcome>);

/// Trains the twin, if there is one, then the network; prints a table with a row for each epoch, or one line.
pub(crate) fn train(
    mut network: DecoupledNetwork<f32>,
    twin: Option<(DecoupledNetwork<f32>, FitConfig<'_, f32>)>,
    data: &Dataset<f32>,
    test: &Dataset<f32>,
    config: &FitConfig<'_, f32>,
    method: &Method<f32>,
    with_table: bool,
) -> Result<Pair> {
    let config = config.clone().method(method.clone()).validation(test);
    let before = if with_table { Some(how_decoupled(&network, data, method)?) } else { None };
    let twin = twin.map(|(mut twin, config)| twin.fit_backprop(data, &config.validation(test))).transpose()?;
    if with_table {
        header(twin.is_some());
    }
    let mut print = |epoch: &EpochReport| {
        if with_table {
            row(epoch, twin.as_ref().and_then(|twin| twin.epochs.get(epoch.epoch - 1)));
        }
        ControlFlow::Continue(())
    };
    let report = network.fit_observed(data, &config, &mut [&mut print])?;
    for warning in &report.warnings {
        println!("warning: {warning}");
    }
    if let Some(Refit { before, after }) = report.refit {
        println!("the last layer refitted to the forward pass: training loss {before:.4} → {after:.4}");
    }
    if let Some(before) = before {
        compare(&before, &how_decoupled(&network, data, method)?);
        let bytes = network.bank().map_or(0, ActivationBank::bytes);
        println!("activation bank: {:.1} MB for {} examples", bytes as f64 / 1e6, data.len());
    }
    let own = Outcome { accuracy: network.evaluate(test)?.score.unwrap_or(f64::NAN), ..Outcome::of(&report) };
    let pair = (own, twin.as_ref().map(Outcome::of));
    let twin = pair.1.map_or_else(String::new, |twin| format!(", backpropagation {twin}"));
    println!("{}decoupled {}{twin}", if with_table { "\n" } else { "" }, pair.0);
    Ok(pair)
}

/// On a few of the training examples.
fn how_decoupled(network: &DecoupledNetwork<f32>, data: &Dataset<f32>, method: &Method<f32>) -> Result<Decoupling> {
    decoupling(network, &data.take(data.len().min(64))?, method)
}

/// How near the method is to its own equilibrium and to backpropagation, before and after training.
fn compare(before: &Decoupling, after: &Decoupling) {
    println!("\nlayer by layer from the input, before training → after (64 examples):");
    let show = |name: &str, part: fn(&Decoupling) -> &[f64]| {
        let show = |values: &[f64]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(" ");
        println!("{name:<52} {} → {}", show(part(before)), show(part(after)));
    };
    show("share of the way to the equilibrium", |d| &d.relaxed_fraction);
    show("displacement in units of backpropagation's", |d| &d.backprop_fraction);
    show("cosine of the parameter gradient with BP's", |d| &d.cosine);
    println!(
        "products that must follow one another: {} (backpropagation: {})",
        after.sequential_products, after.backprop_sequential_products
    );
}

impl Outcome {
    fn of(report: &FitReport) -> Self {
        let accuracy = report.last().and_then(|epoch| epoch.validation).and_then(|scores| scores.score);
        Self { accuracy: accuracy.unwrap_or(f64::NAN), seconds: report.time().as_secs_f64() }
    }

    fn mean(outcomes: impl ExactSizeIterator<Item = Self>) -> Self {
        let share = 1.0 / outcomes.len() as f64;
        outcomes.fold(Self::default(), |mean, outcome| Self {
            accuracy: mean.accuracy + share * outcome.accuracy,
            seconds: mean.seconds + share * outcome.seconds,
        })
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:6.2} % in {:.2} s", 100.0 * self.accuracy, self.seconds)
    }
}

/// The last line of an example: means over the seeds. `own` stands before the accuracy of the network.
pub(crate) fn report(own: &str, pairs: &[Pair]) {
    println!();
    let Outcome { accuracy, seconds } = Outcome::mean(pairs.iter().map(|pair| pair.0));
    let twins: Vec<_> = pairs.iter().filter_map(|pair| pair.1).collect();
    if twins.is_empty() {
        println!("{own}accuracy={accuracy:.4} seconds={seconds:.3}");
    } else {
        let twin = Outcome::mean(twins.into_iter());
        println!(
            "{own}accuracy={accuracy:.4} bp_accuracy={:.4} seconds={seconds:.3} bp_seconds={:.3}",
            twin.accuracy, twin.seconds
        );
    }
}

fn header(with_backprop: bool) {
    let (title, columns) =
        if with_backprop { (" │ backpropagation", " │   loss   train    test") } else { ("", "") };
    println!("{:73}{title}", "       decoupled");
    println!("{:73}{}", "(residual: ‖z − ẑ‖ / ‖z‖)", if with_backprop { " │" } else { "" });
    println!("epoch     energy    loss   train    test   residual of hidden layers      {columns}");
}

fn row(epoch: &EpochReport, twin: Option<&EpochReport>) {
    let residuals = residuals(&epoch.residuals);
    print!("{:5} {:10.4} {}   {residuals:<31}", epoch.epoch, epoch.energy, scores(epoch));
    println!("{}", twin.map_or_else(String::new, |twin| format!("│{}", scores(twin))));
}

fn scores(epoch: &EpochReport) -> String {
    let percent = |score: Option<f64>| 100.0 * score.unwrap_or(f64::NAN);
    let test = percent(epoch.validation.and_then(|Scores { score, .. }| score));
    format!("{:7.4} {:6.2}% {test:6.2}%", epoch.train_loss, percent(epoch.train_score))
}

/// ‖z − ẑ‖ / ‖z‖ from the lowest hidden layer to the highest; the middle of a deep network is left out.
fn residuals(residuals: &[f64]) -> String {
    let show = |part: &[f64]| part.iter().map(|r| format!("{r:.0e}")).collect::<Vec<_>>().join(" ");
    match residuals {
        [low @ .., _] if low.len() >= 5 => {
            format!("{} … {}", show(&residuals[..2]), show(&residuals[residuals.len() - 2..]))
        }
        all => show(all),
    }
}
