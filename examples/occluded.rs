//! The lower half of a digit from its upper half, which no forward pass of the network gives: it runs the other way, from a
//! label to the image, 10-16-64-64. Digits of one label differ in their *stored activations* alone: the bank holds what makes
//! each its own. So a digit of which half the pixels are known is explained by the hidden activations that leave the least
//! energy, and what these predict for the other half is the answer.
//!
//! The label is not known either. It is one of ten: each is clamped in turn, and counts by e^(−energy/σ²), with σ the error of a
//! pixel. As a by-product that names the digit.
//!
//! ```text
//! cargo run --release --example occluded -- --seeds 3 --out occluded.svg
//! ```

use std::fmt::Write;
use std::path::PathBuf;

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::method::{Order, Reads, Start, Sweeps};
use decoupled::nalgebra::DMatrix;
use decoupled::network::{Evidence, InferConfig};
use decoupled::optimizer::AdamW;
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, Result, data};

#[expect(dead_code, reason = "no option of this example is a flag")]
#[path = "common/options.rs"]
mod options;

const PIXELS: usize = 64;
/// Pixels in the upper half, which is known.
const UPPER: usize = 32;
const LABELS: usize = 10;
/// σ², for pixels in [0, 1].
const VARIANCE: f64 = 0.01;

const USAGE: &str = "\
--seeds N    runs from so many seeds, and reports the mean (1)
--epochs N   visits to every example (50)
--out FILE   draws some digits of the first seed, as SVG: as they are, occluded, inferred, and their nearest neighbour";

fn main() {
    let mut options = options::Options::from_command_line(USAGE);
    let seeds = options.count("seeds", 1);
    let epochs = options.count("epochs", 50);
    let out: Option<PathBuf> = options.optional("out");
    options.finish();
    run(seeds, epochs, out).unwrap_or_else(|error| options::fail(&error));
}

fn run(seeds: usize, epochs: usize, out: Option<PathBuf>) -> Result<()> {
    println!("mean squared error of a pixel of the lower half, on digits that were not trained on");
    let mut sums = [0.0; 3];
    for seed in 0..seeds as u64 {
        let (train, test) = data::digits::<f32>()?.stratified_split(0.8, seed)?;
        let network = generator(&train, epochs, seed)?;
        let (inferred, named) = complete(&network, &test)?;
        let mean = train.inputs().view().column_mean();
        let mean = DMatrix::from_fn(PIXELS, test.len(), |pixel, _| mean[pixel]);
        let neighbour = neighbours(&train, &test);
        let errors = [&inferred, &mean, &neighbour].map(|image| lower_error(image, &test));
        let [own, of_mean, of_neighbour] = errors;
        let right = test.labels().map_or(0, |labels| labels.iter().zip(&named).filter(|(a, b)| a == b).count());
        let right = 100.0 * right as f64 / test.len() as f64;
        println!(
            "  seed {seed}: inferred {own:.4}, mean {of_mean:.4}, neighbour {of_neighbour:.4}; {right:.1} % named by the upper half"
        );
        sums.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error);
        if let Some(path) = out.as_ref().filter(|_| seed == 0) {
            let truth = test.inputs().view().into_owned();
            let occluded = truth.rows(0, UPPER).clone_owned().resize(PIXELS, test.len(), f32::NAN);
            let picture =
                draw(&[("truth", &truth), ("known", &occluded), ("inferred", &inferred), ("neighbour", &neighbour)]);
            std::fs::write(path, picture).map_err(|source| Error::Io { path: path.clone(), source })?;
            println!("  drawn: {}", path.display());
        }
    }
    let [own, of_mean, of_neighbour] = sums.map(|sum| sum / seeds as f64);
    println!("\ninferred_mse={own:.4} mean_mse={of_mean:.4} neighbour_mse={of_neighbour:.4}");
    Ok(())
}

/// A network from labels to images. It reads stored activations, which hold what the label does not say; weight decay keeps
/// these from shrinking while the weights above them grow.
fn generator(train: &Dataset<f32>, epochs: usize, seed: u64) -> Result<DecoupledNetwork<f32>> {
    let sweeps = Sweeps::new(Order::RedBlack, 8, 0.1).stable(1.8);
    let method = Method::new(Start::Anchored, sweeps, Reads::Stored);
    let mut network = DecoupledNetwork::builder(LABELS)
        .dense(16, Activation::Identity)
        .dense(64, Activation::Tanh)
        .dense(PIXELS, Activation::Identity)
        .optimizer(AdamW::new(3e-3).weight_decay(1.0))
        .method(method)
        .seed(seed)
        .build()?;
    let labels = Examples::from_column_matrix(train.targets().view().into_owned())?;
    let images = Examples::from_column_matrix(train.inputs().view().into_owned())?;
    network.fit(&Dataset::regression(labels, images)?, &FitConfig::new().epochs(epochs).batch_size(32).seed(seed))?;
    Ok(network)
}

/// The images, `PIXELS × n`, that go with their upper halves, and the labels that explain these best.
fn complete(network: &DecoupledNetwork<f32>, test: &Dataset<f32>) -> Result<(DMatrix<f32>, Vec<usize>)> {
    let n = test.len();
    let upper = DMatrix::from_fn(PIXELS, n, |pixel, _| pixel < UPPER);
    let explain = |label| {
        let labels = DMatrix::from_fn(LABELS, n, |row, _| f32::from(u8::from(row == label)));
        let evidence = Evidence::new().clamp(0, &labels).clamp_where(network.depth(), test.inputs(), &upper);
        network.infer(&evidence, &InferConfig::new().steps(200))
    };
    let explained = (0..LABELS).map(explain).collect::<Result<Vec<_>>>()?;
    let (mut images, mut named) = (DMatrix::zeros(PIXELS, n), Vec::new());
    for (i, mut image) in images.column_iter_mut().enumerate() {
        let energies = || explained.iter().map(|found| found.energies[i]);
        let least = energies().fold(f64::INFINITY, f64::min);
        let weights: Vec<f64> = energies().map(|energy| ((least - energy) / VARIANCE).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (found, weight) in explained.iter().zip(weights) {
            image += found.outputs.column(i) * (weight / total) as f32;
        }
        named.extend(energies().position(|energy| energy == least));
    }
    Ok((images, named))
}

/// For each test digit the training digit whose upper half is nearest.
fn neighbours(train: &Dataset<f32>, test: &Dataset<f32>) -> DMatrix<f32> {
    let mut images = test.inputs().view().into_owned();
    for mut image in images.column_iter_mut() {
        let distance =
            |other: &[f32]| other.iter().zip(&image).take(UPPER).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let nearest = train.inputs().columns().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.into_iter().for_each(|nearest| image.copy_from_slice(nearest));
    }
    images
}

fn lower_error(images: &DMatrix<f32>, test: &Dataset<f32>) -> f64 {
    let rows = PIXELS - UPPER;
    let difference = images.rows(UPPER, rows) - test.inputs().view().rows(UPPER, rows);
    f64::from(difference.norm_squared()) / (rows * test.len()) as f64
}

/// The first digits of each row beside each other; NaN is a pixel that is not known.
fn draw(rows: &[(&str, &DMatrix<f32>)]) -> String {
    const SHOWN: usize = 12;
    const PIXEL: usize = 6;
    const DIGIT: usize = 9 * PIXEL;
    const MARGIN: usize = 80;
    let (width, height) = (MARGIN + SHOWN * DIGIT, PIXEL + rows.len() * DIGIT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (i, (name, images)) in rows.iter().enumerate() {
        let top = PIXEL + i * DIGIT;
        let _ = writeln!(svg, "<text x=\"{PIXEL}\" y=\"{}\">{name}</text>", top + 5 * PIXEL);
        for (j, image) in images.column_iter().take(SHOWN).enumerate() {
            for (pixel, ink) in image.iter().enumerate() {
                let (x, y) = (MARGIN + j * DIGIT + pixel % 8 * PIXEL, top + pixel / 8 * PIXEL);
                let grey = (255.0 * (1.0 - ink.clamp(0.0, 1.0))) as u8;
                let colour = if ink.is_nan() { "#9db8d9".to_owned() } else { format!("rgb({grey},{grey},{grey})") };
                let _ =
                    writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{PIXEL}\" height=\"{PIXEL}\" fill=\"{colour}\"/>");
            }
        }
    }
    svg + "</svg>\n"
}
