//! What `decoupling` says where theory knows the answer.

use decoupled::data::{self, Examples};
use decoupled::diagnostics::decoupling;
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::method::{Order, Reads, Start, Sweeps, Timing};
use decoupled::{Dataset, DecoupledNetwork, Method, Result};

fn moons(penalty: f64) -> Result<(DecoupledNetwork<f64>, Dataset<f64>)> {
    let builder = DecoupledNetwork::builder(2).penalty(penalty).output_loss(SoftmaxCrossEntropy::new());
    let builder = builder.dense(7, Activation::Tanh).dense(5, Activation::Gelu).dense(6, Activation::Tanh);
    Ok((builder.dense(2, Activation::Identity).build()?, data::two_moons(40, 0.1, 1)?))
}

fn near(found: &[f64], expected: f64, tolerance: f64) {
    for value in found {
        assert!((value - expected).abs() < tolerance, "{found:?}, expected {expected}");
    }
}

#[test]
fn backpropagation_by_another_road_is_unmasked() -> Result<()> {
    for penalty in [0.1, 1.0, 10.0] {
        let (net, data) = moons(penalty)?;
        let report = decoupling(&net, &data, &Method::backprop_by_sweep())?;
        near(&report.cosine, 1.0, 1e-12);
        near(&report.backprop_fraction, 1.0, 1e-10);
        assert_eq!((report.cosine.len(), report.relaxed_fraction.len()), (4, 3));
    }
    Ok(())
}

#[test]
fn red_black_sweeps_are_not_backpropagation_below_the_output_layer() -> Result<()> {
    let (net, data) = moons(1.0)?;
    let report = decoupling(&net, &data, &Method::red_black())?;
    near(&report.cosine[3..], 1.0, 1e-12);
    assert!(report.cosine[..3].iter().all(|&c| c > 0.5 && c < 1.0 - 1e-6), "{:?}", report.cosine);
    assert!(report.relaxed_fraction.iter().all(|&f| f > 0.0 && f < 0.9), "{:?}", report.relaxed_fraction);
    Ok(())
}

/// A ratio of numbers that are none would be one that looks like any other.
#[test]
fn outputs_that_are_not_finite_are_no_diagnosis() -> Result<()> {
    let mut net =
        DecoupledNetwork::<f64>::builder(2).dense(3, Activation::Relu).dense(2, Activation::Identity).build()?;
    net.set_params(1, &[1e308; 8])?;
    net.set_params(0, &[1e308; 9])?;
    let outcome = decoupling(&net, &data::two_moons(40, 0.1, 1)?, &Method::default());
    assert!(matches!(outcome, Err(decoupled::Error::NotFinite { what: "outputs", .. })), "{outcome:?}");
    Ok(())
}

#[test]
fn data_of_another_width_are_no_diagnosis() -> Result<()> {
    let (net, _) = moons(1.0)?;
    let data = |inputs: usize, outputs: usize| {
        let zeros = |rows: usize| Examples::from_row_slice(&vec![0.0; 5 * rows], 5, rows);
        Dataset::regression(zeros(inputs)?, zeros(outputs)?)
    };
    for (inputs, outputs) in [(3, 2), (2, 3)] {
        let outcome = decoupling(&net, &data(inputs, outputs)?, &Method::default());
        assert!(matches!(outcome, Err(decoupled::Error::Shape { expected: 2, found: 3, .. })), "{outcome:?}");
    }
    Ok(())
}

#[test]
fn a_long_relaxation_goes_all_the_way() -> Result<()> {
    let (net, data) = moons(1.0)?;
    let sweeps = Sweeps::new(Order::Jacobi, 4000, 1.0).stable(1.0);
    let report = decoupling(&net, &data, &Method::predictive_coding(4000, 1.0).activation(sweeps))?;
    near(&report.relaxed_fraction, 1.0, 1e-4);
    assert_eq!(report.backprop_sequential_products, 2 * net.depth());
    assert!(report.equilibrium_error < 1e-4, "{}", report.equilibrium_error);
    Ok(())
}

/// x → z → y with scalar weights: ∂²L/∂z² = μ + w², so K steps of rate η go 1 − (1 − η(μ + w²))^K of the way.
#[test]
fn the_relaxed_fraction_of_a_scalar_chain_is_the_geometric_one() -> Result<()> {
    let (penalty, rate, weight) = (0.7, 0.2, 1.3);
    let builder = DecoupledNetwork::<f64>::builder(1).penalty(penalty);
    let mut net = builder.dense(1, Activation::Identity).dense(1, Activation::Identity).build()?;
    net.set_params(0, &[0.4, 0.1])?;
    net.set_params(1, &[weight, -0.2])?;
    let data = Dataset::regression(Examples::from_rows(&[[1.0], [-2.0]])?, Examples::from_rows(&[[2.0], [1.0]])?)?;
    for steps in [1, 2, 5] {
        let curvature = penalty + weight * weight;
        let relaxed = 1.0 - (1.0 - rate * curvature).powi(steps as i32);
        // The equilibrium displacement is −δ/(μ + w²).
        let of_backprop = relaxed * penalty / curvature;
        let report = decoupling(&net, &data, &Method::predictive_coding(steps, rate))?;
        near(&report.relaxed_fraction, relaxed, 1e-9);
        near(&report.backprop_fraction, of_backprop, 1e-9);
        near(&[report.curvature], curvature, 1e-9);
    }
    Ok(())
}

/// Products that wait for another, counted by hand for three layers: a forward pass is 3, a prediction 1, a pull-back 1, and a
/// parameter's product 1 that the activations' may run beside.
#[test]
fn sequential_products_are_those_counted_by_hand() {
    let pc = Method::<f64>::predictive_coding(4, 0.1);
    for (method, expected) in [
        (Method::joint(0.1), 1 + 1),
        (pc.clone(), 3 + 1 + 3 * 2 + 1),
        (pc.clone().reads(Reads::Stored), 3 + 1 + 3 * 2 + 1 + 1),
        (pc.clone().timing(Timing::AfterRelaxation { local_steps: 3 }), 3 + 1 + 3 * 2 + 1 + 2 + 2),
        (Method::incremental(4, 0.1), 3 + 1 + 3 * 2),
        (Method::backprop_by_sweep(), 3 + 2 + 1),
        (Method::predictive_coding(1, 0.1).start(Start::Persisted), 3 + 2 + 1),
        (pc.activation(Sweeps::new(Order::ReverseGaussSeidel, 2, 0.1)), 3 + 2 + 3 + 1),
        (Method::predictive_coding(1, 0.1).start(Start::Persisted).reads(Reads::Stored), 2 + 1 + 1),
    ] {
        assert_eq!(method.sequential_products(3), expected, "{method:?}");
    }
    // One layer: a prediction and a parameter's product.
    assert_eq!(Method::<f64>::red_black().sequential_products(1), 2);
    // What the joint step promises: no more with depth.
    assert_eq!(Method::<f64>::joint(0.1).sequential_products(100), 2);
}
