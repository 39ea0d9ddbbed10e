//! Pictures out: a network from labels to digits, 10-32 and then two transposed convolutions, each of which doubles height and width.
//! Forward it paints a picture of each class. The other way, [`infer`](DecoupledNetwork::infer) is given the upper half of a picture, an
//! *output*, and no label: label and hidden activations move to where they explain these pixels, and predict the lower half on the way.
//! The example `occluded` has the idea on dense layers, and tries every label in turn; here the label is free.
//!
//! The network reads stored activations in training, which hold what the label does not say: how a digit is written.
//!
//! The energy does not know which labels are likely. Far down, any mixture of them explains the pixels that are seen, and the others get
//! worse; so the number of steps is chosen, on digits that are held out of the training part. The figures are of the test part.
//!
//! With `MNIST_DIR`, which names the folder with the four unpacked IDX files, it trains on MNIST; without, on the 8 × 8 digits that the
//! crate has.
//!
//! ```text
//! MNIST_DIR=… cargo run --release --features plot --example generate -- --picture generated.svg
//! ```

use std::path::{Path, PathBuf};

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, ConvTranspose2d, Elementwise, Init};
use decoupled::method::{Order, Reads, Start, Sweeps};
use decoupled::nalgebra::DMatrix;
use decoupled::network::{Evidence, InferConfig};
use decoupled::optimizer::AdamW;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, Result, data};

#[expect(dead_code, reason = "no option of this example is a flag")]
#[path = "common/options.rs"]
mod options;

use options::Options;

const USAGE: &str = "\
--epochs N      visits to every example (6, on the digits 50)
--examples N    the first N of MNIST's training part (6000)
--tests N       the first N of MNIST's test part (500)
--seed N        of the parameters, the order and the digits that are held out (0)
--picture FILE  draws each class, and some digits of the test part: occluded, completed, as they are; needs the feature plot";

const CLASSES: usize = 10;
/// Steps of the inference to choose from.
const STEPS: [usize; 4] = [10, 20, 50, 100];

struct Settings {
    epochs: usize,
    seed: u64,
    picture: Option<PathBuf>,
}

fn main() {
    let mut options = Options::from_command_line(USAGE);
    let folder = std::env::var_os("MNIST_DIR");
    let epochs = options.count("epochs", if folder.is_some() { 6 } else { 50 });
    let (examples, tests) = (options.count("examples", 6000), options.count("tests", 500));
    let settings = Settings { epochs, seed: options.value("seed", 0), picture: options.optional("picture") };
    options.finish();
    if settings.picture.is_some() && !cfg!(feature = "plot") {
        options::refuse("--picture needs the feature plot");
    }
    let parts = match folder {
        Some(folder) => data::mnist::<f32>(folder)
            .and_then(|(train, test)| Ok((train.take(examples.min(train.len()))?, test.take(tests.min(test.len()))?))),
        None => {
            println!("MNIST_DIR is not set: the 8 × 8 digits instead\n");
            data::digits().and_then(|data| data.stratified_split(0.8, settings.seed))
        }
    };
    parts.and_then(|(train, test)| settings.run(&train, &test)).unwrap_or_else(|error| options::fail(&error));
}

impl Settings {
    fn run(&self, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<()> {
        let (train, held_out) = train.stratified_split(0.95, self.seed)?;
        let mut network = generator(train.input_dim().isqrt(), self.seed)?;
        println!("{}\n", network.summary());
        let config = FitConfig::new().epochs(self.epochs).batch_size(32).seed(self.seed);
        let report = network.fit(&from_labels(&train)?, &config)?;
        report.warnings.iter().for_each(|warning| println!("warning: {warning}"));

        println!("mean squared error of a pixel of the lower half, and digits that are named by the upper half");
        let mut best = (f64::INFINITY, 0);
        for steps in STEPS {
            let (pictures, named) = complete(&network, &held_out, steps)?;
            let error = hidden_error(&pictures, &held_out);
            println!("  held out, {steps:3} steps  {error:.4}  {:.1} %", 100.0 * right(&named, &held_out));
            best = if error < best.0 { (error, steps) } else { best };
        }
        let (completed, named) = complete(&network, test, best.1)?;
        let mean = train.inputs().view().column_mean();
        let mean = DMatrix::from_fn(mean.len(), test.len(), |pixel, _| mean[pixel]);
        let (own, of_mean, right) = (hidden_error(&completed, test), hidden_error(&mean, test), right(&named, test));
        println!("  test, {:3} steps      {own:.4}  {:.1} %", best.1, 100.0 * right);
        println!("  test, mean picture   {of_mean:.4}  {:.1} % by chance", 100.0 / CLASSES as f64);
        if let Some(path) = &self.picture {
            draw(&network.predict(&DMatrix::identity(CLASSES, CLASSES))?, &completed, test, path)?;
            println!("\ndrawn: {}", path.display());
        }
        println!(
            "\nhidden_mse={own:.4} mean_mse={of_mean:.4} named={right:.4} chance={:.4} seconds={:.3}",
            1.0 / CLASSES as f64,
            report.time().as_secs_f64()
        );
        Ok(())
    }
}

/// From a label to a picture of this side, which is a multiple of four. Weight decay keeps the stored activations from shrinking while
/// the weights above them grow.
fn generator(side: usize, seed: u64) -> Result<DecoupledNetwork<f32>> {
    let double = |input: [usize; 3], channels: usize, activation: Activation| {
        let layer = ConvTranspose2d::new(input, channels, [4, 4]).stride([2, 2]).padding([1, 1]);
        layer.init(Init::for_activation(activation))
    };
    let small = double([16, side / 4, side / 4], 8, Activation::Tanh);
    let large = double(small.output().image(), 1, Activation::Identity);
    let sweeps = Sweeps::new(Order::RedBlack, 8, 0.1).stable(1.8);
    DecoupledNetwork::builder(CLASSES)
        .dense(32, Activation::Identity)
        .dense(16 * (side / 4).pow(2), Activation::Tanh)
        .layer(Chain::new().then(small).then(Elementwise::new(small.output().len(), Activation::Tanh)))
        .layer(large)
        .optimizer(AdamW::new(3e-3).weight_decay(1.0))
        .method(Method::new(Start::Anchored, sweeps, Reads::Stored))
        .seed(seed)
        .build()
}

/// Labels, one-hot, for inputs, and pictures for targets.
fn from_labels(data: &Dataset<f32>) -> Result<Dataset<f32>> {
    let labels = Examples::from_column_matrix(data.targets().view().into_owned())?;
    Dataset::regression(labels, Examples::from_column_matrix(data.inputs().view().into_owned())?)
}

/// Whether a pixel is in the upper half, which is seen.
fn seen(pixel: usize, pixels: usize) -> bool {
    pixel < pixels / 2
}

/// The pictures that go with the upper halves of these, and the class whose entry of the inferred label is the largest.
fn complete(network: &DecoupledNetwork<f32>, data: &Dataset<f32>, steps: usize) -> Result<(DMatrix<f32>, Vec<usize>)> {
    let (pixels, n) = (data.input_dim(), data.len());
    let any = DMatrix::from_element(CLASSES, n, 1.0 / CLASSES as f32);
    let free = DMatrix::from_element(CLASSES, n, false);
    let upper = DMatrix::from_fn(pixels, n, |pixel, _| seen(pixel, pixels));
    let evidence = Evidence::new().clamp_where(0, &any, &free).clamp_where(network.depth(), data.inputs(), &upper);
    let found = network.infer(&evidence, &InferConfig::new().steps(steps))?;
    let named = found.inputs.column_iter().map(|label| label.imax()).collect();
    Ok((found.outputs, named))
}

/// Mean squared error of the pixels that were not seen.
fn hidden_error(pictures: &DMatrix<f32>, data: &Dataset<f32>) -> f64 {
    let lower = pictures.nrows() / 2;
    let rows = pictures.nrows() - lower;
    let difference = pictures.rows(lower, rows) - data.inputs().view().rows(lower, rows);
    f64::from(difference.norm_squared()) / (rows * data.len()) as f64
}

/// The share of digits that have the right name.
fn right(named: &[usize], data: &Dataset<f32>) -> f64 {
    let labels = data.labels().unwrap_or_default();
    labels.iter().zip(named).filter(|(label, named)| label == named).count() as f64 / data.len() as f64
}

#[cfg(feature = "plot")]
fn draw(painted: &DMatrix<f32>, completed: &DMatrix<f32>, test: &Dataset<f32>, path: &Path) -> Result<()> {
    let original = test.take(CLASSES.min(test.len()))?;
    let (pixels, side) = (original.input_dim(), original.input_dim().isqrt());
    let below = |other: &dyn Fn(usize, usize) -> f32| {
        original.inputs().view().map_with_location(|row, i, ink| if seen(row, pixels) { ink } else { other(row, i) })
    };
    let occluded = below(&|_, _| f32::NAN);
    let completed = below(&|row, i| completed[(row, i)]);
    // A printed page has no ink below 0 or beyond 1.
    let [painted, completed] = [painted, &completed].map(|pictures| pictures.map(|ink| ink.clamp(0.0, 1.0)));
    let rows = [
        ("each class", (&painted).into()),
        ("occluded", (&occluded).into()),
        ("completed", (&completed).into()),
        ("original", original.inputs()),
    ];
    decoupled::plot::pictures(&rows, [1, side, side])?.save(path)
}

#[cfg(not(feature = "plot"))]
fn draw(_: &DMatrix<f32>, _: &DMatrix<f32>, _: &Dataset<f32>, _: &Path) -> Result<()> {
    Ok(())
}
