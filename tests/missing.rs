//! Inputs of the training data that are missing.

use decoupled::data::{Examples, Scaler};
use decoupled::layer::{Activation, Dense, Init};
use decoupled::nalgebra::{DMatrix, DVector};
use decoupled::optimizer::Sgd;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, Error, FitConfig, Method, Scalar, Start, Storage,
};

const NAN: f64 = f64::NAN;

/// N(0, 1).
fn normal(rng: &mut ChaCha12Rng) -> f64 {
    f64::standard_normal(rng)
}

/// Parameters hardly move: their steps are lost in rounding.
fn still() -> Sgd {
    Sgd::new(1e-300)
}

fn inputs(network: &DecoupledNetwork<f64>) -> DMatrix<f64> {
    network.bank().unwrap().inputs().unwrap()
}

/// Inputs `6 × 40` of which about a third is NaN, and targets of a linear map of them.
fn linear(seed: u64, outputs: usize) -> (DMatrix<f64>, DMatrix<f64>, DMatrix<f64>) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let map = DMatrix::from_fn(outputs, 6, |_, _| normal(&mut rng));
    let whole = DMatrix::from_fn(6, 40, |_, _| normal(&mut rng));
    let targets = &map * &whole;
    let holed = whole.map(|x| if rng.random_range(0..3) == 0 { NAN } else { x });
    (whole, holed, targets)
}

fn dataset(inputs: &DMatrix<f64>, targets: &DMatrix<f64>) -> Dataset<f64> {
    let inputs = Examples::from_column_matrix(inputs.clone()).unwrap().with_missing();
    Dataset::regression(inputs, Examples::from_column_matrix(targets.clone()).unwrap()).unwrap()
}

#[test]
fn with_the_parameters_at_rest_a_linear_network_comes_to_least_squares() {
    let (_, holed, targets) = linear(1, 4);
    let data = dataset(&holed, &targets);
    let mut network = DecoupledNetwork::builder(6)
        .layer(Dense::new(6, 4).init(Init::he_normal()).bias(0.3))
        .optimizer(still())
        .build()
        .unwrap();
    let theta = network.params(0).to_vec();
    network.fit(&data, &FitConfig::new().epochs(3000).batch_size(16)).unwrap();
    assert_eq!(network.params(0), theta);
    let zero = network.predict(&DMatrix::zeros(6, 1)).unwrap();
    let weights = network.predict(&DMatrix::identity(6, 6)).unwrap().map_with_location(|r, _, x| x - zero[r]);
    let found = inputs(&network);
    for i in 0..40 {
        let free: Vec<usize> = (0..6).filter(|&row| holed[(row, i)].is_nan()).collect();
        let given = DVector::from_fn(6, |row, _| if holed[(row, i)].is_nan() { 0.0 } else { holed[(row, i)] });
        let rest = targets.column(i) - &zero.column(0) - &weights * given;
        let own = weights.select_columns(&free);
        if free.is_empty() || free.len() > 4 {
            continue;
        }
        let best = own.svd(true, true).solve(&rest, 1e-12).unwrap();
        for (&row, best) in free.iter().zip(best.iter()) {
            assert!((found[(row, i)] - best).abs() < 1e-6, "example {i}, row {row}: {} for {best}", found[(row, i)]);
        }
    }
}
