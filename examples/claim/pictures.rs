//! The pictures of the study, from its rows; training curves from two fits that are made again.

use std::path::Path;

use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::plot::{self, Picture};
use decoupled::{DecoupledNetwork, FitConfig, Method, Result, data};
use serde_json::Value;

use crate::Parts;
use crate::immunity::Profile;
use crate::rows::{Row, word};
use crate::study::{LOCAL_TARGETS, Task, Way};
use crate::tables::Table;

/// Draws what a task has found for its first seed.
pub(crate) fn draw(task: &Task, table: &Table<'_>, (train, _): &Parts, folder: &Path) -> Result<()> {
    let save = |what: &str, picture: Picture| picture.save(folder.join(file_name(task.name, what)));
    let first = |name: &str, at: &str| -> Option<&Row> {
        table.rows.iter().copied().find(|row| word(row, "name") == name && word(row, "at") == at)
    };
    if let Some(row) = first(LOCAL_TARGETS, "epochs") {
        save("cka", plot::cka("BP", "local_targets(2)", &matrix(row))?)?;
        let order = first("other seed", "epochs").unwrap_or(row);
        let lines = [
            ("targets, raw", numbers(row, "path")),
            ("targets, matched", numbers(row, "matched_path")),
            ("BP, other seed, raw", numbers(order, "path")),
            ("BP, other seed, matched", numbers(order, "matched_path")),
        ];
        let lines: Vec<(&str, &[f64])> = lines.iter().map(|(name, losses)| (*name, &losses[..])).collect();
        save("barrier", plot::barrier(&lines)?)?;
    }
    if task.widths.len() > 6 {
        let shown = ["other order", "other seed", LOCAL_TARGETS, "red_black", "joint"];
        let lines = shown.iter().filter_map(|name| Some((*name, numbers(first(name, "epochs")?, "cka_layers"))));
        let lines: Vec<(&str, Vec<f64>)> = lines.collect();
        let lines: Vec<(&str, &[f64])> = lines.iter().map(|(name, values)| (*name, &values[..])).collect();
        save("profile", plot::depth_profile("CKA with BP", &lines)?)?;
    }
    if !task.mnist {
        let way = Way { method: None, seeds: (0, 0), sgd: false };
        let (local, joint) = (Method::local_targets(2), Method::joint(0.1));
        let train = |method| Ok(task.train(Way { method, ..way }, train, task.epochs)?.report);
        let (bp, own, literal) = (train(None)?, train(Some(&local))?, train(Some(&joint))?);
        save("training", plot::training_curves(&[("BP", &bp), ("targets", &own), ("joint", &literal)])?)?;
        save("residuals", plot::residuals(&literal)?)?;
        boundaries(folder)?;
    }
    Ok(())
}

/// A signal below this share of the highest layer's is drawn at it, and so is none.
const LEAST: f64 = 1e-20;

/// Where the signal lives in each deep network.
pub(crate) fn signals(profiles: &[Profile], folder: &Path) -> Result<()> {
    for (net, lines) in profiles {
        let bounded = |values: &[f64]| values.iter().map(|value| value.max(LEAST)).collect();
        let lines: Vec<(&str, Vec<f64>)> = lines.iter().map(|(name, values)| (&**name, bounded(values))).collect();
        let lines: Vec<(&str, &[f64])> = lines.iter().map(|(name, values)| (*name, &values[..])).collect();
        plot::depth_profile("signal, in units of the top layer's (0: at 10⁻²⁰)", &lines)?
            .save(folder.join(file_name(net, "signal")))?;
    }
    Ok(())
}

fn file_name(name: &str, what: &str) -> String {
    let name = name.to_lowercase().replace('×', "x");
    let name: String = name.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect();
    format!("{}-{what}.svg", name.replace(' ', "-"))
}

/// The same network on two moons, trained either way.
fn boundaries(folder: &Path) -> Result<()> {
    let moons = data::two_moons::<f32>(400, 0.15, 0)?;
    let builder = DecoupledNetwork::builder(2).dense(32, Activation::Tanh).dense(32, Activation::Tanh);
    let builder = builder.dense(2, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
    let mut own = builder.optimizer(decoupled::optimizer::Adam::new(5e-3)).build()?;
    let mut twin = own.clone();
    let config = FitConfig::new().epochs(60).batch_size(20);
    own.fit(&moons, &config)?;
    twin.fit_backprop(&moons, &config)?;
    plot::decision_boundary(&own, &moons)?.save(folder.join("moons-local-targets.svg"))?;
    plot::decision_boundary(&twin, &moons)?.save(folder.join("moons-bp.svg"))
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn numbers(row: &Row, key: &str) -> Vec<f64> {
    row.get(key).map(list).unwrap_or_default()
}

fn matrix(row: &Row) -> Vec<Vec<f64>> {
    row.get("cka_pairs").and_then(Value::as_array).into_iter().flatten().map(list).collect()
}
