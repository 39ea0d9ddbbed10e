//! Every public name of the crate, used the way its reader would, group by group; and that none is left out.

use std::fs;
use std::path::{Path, PathBuf};

use decoupled::data::{self, Examples};
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, MatRef};

mod describe;
mod infer;
mod judge;
mod keep;
mod names;
mod own;
mod read;
mod train;
mod watch;

type Net = DecoupledNetwork<f64>;

fn moons() -> Dataset<f64> {
    data::two_moons(30, 0.1, 0).unwrap()
}

/// Three numbers that follow from two.
fn numbers() -> Dataset<f64> {
    let inputs = Examples::from_rows(&[[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, -1.0]]).unwrap();
    let targets = Examples::from_rows(&[[1.0, 1.0], [1.0, -1.0], [2.0, 0.0], [-0.5, 1.5]]).unwrap();
    Dataset::regression(inputs, targets).unwrap()
}

fn net() -> Net {
    let builder = Net::builder(2).dense(4, Activation::Tanh).dense(3, Activation::Tanh).dense(2, Activation::Identity);
    builder.output_loss(SoftmaxCrossEntropy::new()).threads(1).build().unwrap()
}

fn trained() -> Net {
    let mut net = net();
    net.fit(&moons(), &FitConfig::new().epochs(3).batch_size(10)).unwrap();
    net
}

fn one(values: &[f64]) -> MatRef<'_, f64> {
    MatRef::new(values, values.len(), 1)
}

fn path(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("public_api");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::remove_file(&path).unwrap_or_default();
    path
}
