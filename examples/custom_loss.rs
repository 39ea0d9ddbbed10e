//! A loss of one's own, in both of its places: at the output, where targets are given, and between the layers, where the
//! target is a stored activation and is trained as well. The data have gross outliers, so it matters: squared errors
//! follow them, this loss does not.
//!
//! Errors below are root mean squares against the sine without noise.
//!
//! ```text
//! cargo run --release --example custom_loss
//! ```

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::optimizer::Adam;
use decoupled::{
    Dataset, DecoupledNetwork, FitConfig, Loss, MatMut, MatRef, Metric, NetworkBuilder, Result, Scalar, check, data,
};

/// Quadratic near zero and linear far from it, with one formula for both,
///
/// ```text
/// L(z, ẑ) = Σ √(1 + r²) − 1,   r = ẑ − z,   ∂L/∂ẑ = r / √(1 + r²) = −∂L/∂z
/// ```
///
/// Charbonnier, Blanc-Féraud, Aubert and Barlaud (1997), *Deterministic edge-preserving regularization in computed
/// imaging*, IEEE Transactions on Image Processing 6 (2).
#[derive(Clone, Copy, Debug)]
struct Charbonnier;

impl<T: Scalar> Loss<T> for Charbonnier {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        let pairs = target.as_slice().iter().zip(prediction.as_slice());
        pairs.map(|(&z, &p)| (T::one() + (p - z) * (p - z)).sqrt() - T::one()).sum()
    }

    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let pairs = target.as_slice().iter().zip(prediction.as_slice());
        for (g, (&z, &p)) in grad.as_mut_slice().iter_mut().zip(pairs) {
            *g = (p - z) / (T::one() + (p - z) * (p - z)).sqrt();
        }
    }

    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, grad: MatMut<'_, T>) {
        self.gradient(prediction, target, grad);
    }
}

fn main() -> Result<()> {
    check::loss::<f64>(&Charbonnier, 4)?;
    println!("the loss keeps its contract: both gradients, overwriting, independence of the examples\n");

    let train = with_outliers(&data::sine(512, 0.1, 0)?)?;
    let test = data::sine(512, 0.0, 1)?;
    let config = FitConfig::new().epochs(200).batch_size(32);
    let squared = circuit().build()?;
    let robust = circuit().output_loss(Charbonnier).hidden_loss(Charbonnier).build()?;

    let mut errors = Vec::new();
    println!("{:28} error   seconds", "");
    for (name, network, with_backprop) in [
        ("squared error, decoupled", &squared, false),
        ("Charbonnier, decoupled", &robust, false),
        ("Charbonnier, backpropagation", &robust, true),
    ] {
        let mut network = network.clone();
        let report =
            if with_backprop { network.fit_backprop(&train, &config)? } else { network.fit(&train, &config)? };
        let error = root_mean_square_error(&network, &test)?;
        println!("{name:28} {error:.3} {:9.2}", report.time().as_secs_f64());
        errors.push((error, report.time().as_secs_f64()));
    }
    let [(squared, _), (decoupled, seconds), (bp, bp_seconds)] = errors[..] else { return Ok(()) };
    println!(
        "\ndecoupled_error={decoupled:.4} bp_error={bp:.4} squared_error={squared:.4} seconds={seconds:.3} bp_seconds={bp_seconds:.3}"
    );
    Ok(())
}

fn circuit() -> NetworkBuilder<f64> {
    DecoupledNetwork::builder(1)
        .dense(32, Activation::Tanh)
        .dense(32, Activation::Tanh)
        .dense(1, Activation::Identity)
        .optimizer(Adam::new(3e-3))
}

/// The data with every eighth target raised by 4.
fn with_outliers(data: &Dataset<f64>) -> Result<Dataset<f64>> {
    let mut targets = data.targets().view().into_owned();
    targets.column_iter_mut().step_by(8).for_each(|mut target| target[0] += 4.0);
    let inputs = Examples::from_column_matrix(data.inputs().view().into_owned())?;
    Dataset::regression(inputs, Examples::from_column_matrix(targets)?)
}

fn root_mean_square_error(network: &DecoupledNetwork<f64>, data: &Dataset<f64>) -> Result<f64> {
    let square = Metric::new("squared error", |target: &[f64], output: &[f64]| (output[0] - target[0]).powi(2));
    let scores = network.evaluate_with(data, Some(&square))?;
    Ok(scores.score.map_or(f64::NAN, f64::sqrt))
}
