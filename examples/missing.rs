//! Missing inputs: a share of what is known of the training data is taken away, and either filled with the mean of the feature or
//! inferred in the bank. Both networks are then judged on unseen examples: whole ones, and such that miss as much and get the means.
//!
//! ```text
//! cargo run --release --example missing
//! ```

use decoupled::data::{Examples, Scaler};
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::nalgebra::DMatrix;
use decoupled::optimizer::Adam;
use decoupled::rand::{Rng, RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, MatRef, Method, Result, Scalar, data};

const SEEDS: u64 = 5;
const EPOCHS: usize = 150;

fn main() -> Result<()> {
    println!("means of {SEEDS} seeds, {EPOCHS} epochs: filled with the mean | inferred");
    println!("task               missing   unseen, whole       unseen, as much missing   error of a missing entry");
    for share in [0.1, 0.3, 0.5] {
        let causes = |seed| causes(2300, seed)?.split(2000.0 / 2300.0, seed);
        compare("causes, loss", share, causes, |net, data| Ok(net.evaluate(data)?.loss))?;
    }
    for share in [0.1, 0.3, 0.5] {
        let digits = |seed| data::digits::<f32>()?.stratified_split(0.8, seed);
        compare("digits, accuracy", share, digits, |net, data| net.score(data))?;
    }
    Ok(())
}

/// Four inputs that know nothing of each other, and eight targets that say almost all of them: tanh of as many mixtures.
fn causes(examples: usize, seed: u64) -> Result<Dataset<f32>> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let mut normal = |rows, cols| DMatrix::from_fn(rows, cols, |_, _| f32::standard_normal(&mut rng));
    let (causes, mixtures) = (normal(4, examples), normal(8, 4) / 2.0);
    let targets = (mixtures * &causes).map(f32::tanh);
    Dataset::regression(Examples::from_column_matrix(causes)?, Examples::from_column_matrix(targets)?)
}

fn compare(
    task: &str,
    share: f64,
    draw: impl Fn(u64) -> Result<(Dataset<f32>, Dataset<f32>)>,
    judge: impl Fn(&DecoupledNetwork<f32>, &Dataset<f32>) -> Result<f64>,
) -> Result<()> {
    let mut sums = [[0.0; 3]; 2];
    for seed in 0..SEEDS {
        let (train, test) = draw(seed)?;
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let scaler = Scaler::standard(train.inputs())?;
        let (train, test) = (scaler.scale_inputs(&train)?, scaler.scale_inputs(&test)?);
        let holed = with_inputs(&train, holes(train.inputs(), share, &mut rng))?;
        let means = holed.known_means()?;
        let fill = |data: &Dataset<f32>| with_inputs(data, filled(data.inputs(), &means));
        let test_filled = fill(&with_inputs(&test, holes(test.inputs(), share, &mut rng))?)?;

        let builder =
            DecoupledNetwork::builder(train.input_dim()).dense(64, Activation::Relu).dense(64, Activation::Relu);
        let builder = builder.dense(train.target_dim(), Activation::Identity).optimizer(Adam::new(2e-3)).seed(seed);
        let builder = if train.labels().is_some() { builder.output_loss(SoftmaxCrossEntropy::new()) } else { builder };
        let network = builder.build()?;
        let config = FitConfig::new().epochs(EPOCHS).batch_size(32).seed(seed).method(Method::red_black());
        for (sums, data) in sums.iter_mut().zip([fill(&holed)?, holed.clone()]) {
            let mut network = network.clone();
            network.fit(&data, &config)?;
            let inferred = network.bank().and_then(|bank| bank.inputs());
            let inputs = inferred.as_ref().map_or(data.inputs(), MatRef::from);
            let figures = [judge(&network, &test)?, judge(&network, &test_filled)?, error(&train, &holed, inputs)];
            sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure / SEEDS as f64);
        }
    }
    let [[whole, holed, error], [whole_i, holed_i, error_i]] = sums;
    println!(
        "{task:18} {share:7}   {whole:.4} | {whole_i:.4}     {holed:.4} | {holed_i:.4}           {error:.3} | {error_i:.3}"
    );
    Ok(())
}

/// The data with other inputs, of which NaN are missing.
fn with_inputs(data: &Dataset<f32>, inputs: DMatrix<f32>) -> Result<Dataset<f32>> {
    let inputs = Examples::from_column_matrix(inputs)?.with_missing();
    match data.labels() {
        Some(labels) => Dataset::classification(inputs, labels, data.target_dim()),
        None => Dataset::regression(inputs, Examples::from_column_matrix(data.targets().view().into_owned())?),
    }
}

fn holes(inputs: MatRef<'_, f32>, share: f64, rng: &mut impl Rng) -> DMatrix<f32> {
    inputs.view().map(|x| if rng.random::<f64>() < share { f32::NAN } else { x })
}

fn filled(inputs: MatRef<'_, f32>, means: &[f32]) -> DMatrix<f32> {
    inputs.view().map_with_location(|row, _, x| if x.is_nan() { means[row] } else { x })
}

/// Root mean square error over what is missing.
fn error(whole: &Dataset<f32>, holed: &Dataset<f32>, found: MatRef<'_, f32>) -> f64 {
    let entries = whole.inputs().as_slice().iter().zip(holed.inputs().as_slice()).zip(found.as_slice());
    let missing = entries.filter(|((_, holed), _)| holed.is_nan());
    let (sum, count) =
        missing.fold((0.0, 0.0), |(sum, count), ((x, _), y)| (sum + f64::from(x - y).powi(2), count + 1.0));
    (sum / count).sqrt()
}
