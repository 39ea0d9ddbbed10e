//! A network whose target is its input: digits squeezed through eight numbers and unfolded again, 64-32-8-32-64. A narrow
//! middle is where one might fear that stored activations and layers drift apart. Here you see that the code in the middle
//! is worth more than the eight best linear ones, the principal components, and about as much as backpropagation's.
//!
//! ```text
//! cargo run --release --example autoencoder
//! ```

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::nalgebra::{DMatrix, SymmetricEigen};
use decoupled::optimizer::Adam;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, MatRef, Result, data};

const PIXELS: usize = 64;
const CODE: usize = 8;

fn main() -> Result<()> {
    let (train, test) = data::digits::<f32>()?.stratified_split(0.8, 0)?;
    let mut network = DecoupledNetwork::builder(PIXELS)
        .dense(32, Activation::Tanh)
        .dense(CODE, Activation::Tanh)
        .dense(32, Activation::Tanh)
        .dense(PIXELS, Activation::Identity)
        .optimizer(Adam::new(3e-3))
        .build()?;
    let mut twin = network.clone();
    let config = FitConfig::new().epochs(100).batch_size(32);
    let task = onto_itself(&train)?;
    let report = network.fit(&task, &config)?;
    let twin_report = twin.fit_backprop(&task, &config)?;

    let reconstruction = network.predict(test.inputs())?;
    let error = mean_square(&reconstruction, test.inputs());
    let bp_error = mean_square(&twin.predict(test.inputs())?, test.inputs());
    let pca_error = mean_square(&principal_components(train.inputs(), test.inputs(), CODE), test.inputs());
    let mean_error = mean_square(&principal_components(train.inputs(), test.inputs(), 0), test.inputs());

    println!("mean squared error of a pixel in [0, 1], on digits that were not trained on");
    println!("  the mean digit              {mean_error:.4}");
    println!("  {CODE} principal components      {pca_error:.4}");
    println!("  backpropagation             {bp_error:.4}");
    println!("  decoupled                   {error:.4}");
    println!("\nsix of them, and what the decoupled network makes of them");
    draw(test.inputs().as_slice());
    println!();
    draw(reconstruction.as_slice());
    println!(
        "\ndecoupled_error={error:.4} bp_error={bp_error:.4} pca_error={pca_error:.4} seconds={:.3} bp_seconds={:.3}",
        report.time().as_secs_f64(),
        twin_report.time().as_secs_f64()
    );
    Ok(())
}

fn onto_itself(data: &Dataset<f32>) -> Result<Dataset<f32>> {
    let pixels = || Examples::from_column_matrix(data.inputs().view().into_owned());
    Dataset::regression(pixels()?, pixels()?)
}

fn mean_square(reconstruction: &DMatrix<f32>, original: MatRef<'_, f32>) -> f32 {
    (reconstruction - original.view()).norm_squared() / original.as_slice().len() as f32
}

/// The best that `count` linear numbers can do: x ↦ m + V·Vᵀ·(x − m), with m the mean of the training digits and V the
/// leading eigenvectors of their covariance.
fn principal_components(train: MatRef<'_, f32>, test: MatRef<'_, f32>, count: usize) -> DMatrix<f32> {
    let mean = train.view().column_mean();
    let centred = |data: MatRef<'_, f32>| {
        let mut data = data.view().into_owned();
        data.column_iter_mut().for_each(|mut column| column -= &mean);
        data
    };
    let train = centred(train);
    let eigen = SymmetricEigen::new(&train * train.transpose());
    let mut order: Vec<usize> = (0..PIXELS).collect();
    order.sort_by(|&i, &j| eigen.eigenvalues[j].total_cmp(&eigen.eigenvalues[i]));
    let leading = eigen.eigenvectors.select_columns(&order[..count]);
    let mut result = &leading * (leading.transpose() * centred(test));
    result.column_iter_mut().for_each(|mut column| column += &mean);
    result
}

/// The first six digits beside each other, two characters a pixel.
fn draw(digits: &[f32]) {
    const INK: [char; 5] = [' ', '.', 'o', 'O', '@'];
    for line in 0..8 {
        let row = |digit: &[f32]| {
            let pixels = digit[8 * line..8 * (line + 1)].iter();
            pixels.flat_map(|&ink| [INK[(ink * 5.0).clamp(0.0, 4.0) as usize]; 2]).collect::<String>()
        };
        println!("{}", digits.chunks_exact(PIXELS).take(6).map(row).collect::<String>().trim_end());
    }
}
