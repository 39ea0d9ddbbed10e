//! Starts that depend on the data: what they promise, against moments and codes computed here.

use decoupled::layer::{Activation, Dense, Elementwise, Init};
use decoupled::loss::SquaredError;
use decoupled::nalgebra::DMatrix;
use decoupled::network::BankStart;
use decoupled::rand::{SeedableRng, rngs::ChaCha12Rng};
use decoupled::{DecoupledNetwork, Error, Layer, MatMut, MatRef, Method, Scalar};

const EXAMPLES: usize = 400;
const INPUTS: usize = 12;

/// Inputs of unequal scale, correlated, with an offset: `INPUTS × EXAMPLES`.
fn inputs<T: Scalar>() -> DMatrix<T> {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let raw = DMatrix::from_fn(INPUTS, EXAMPLES, |i, _| f64::standard_normal(&mut rng) / (1.0 + i as f64));
    let mixing = DMatrix::from_fn(INPUTS, INPUTS, |_, _| f64::standard_normal(&mut rng));
    (mixing * raw).map(|x| T::of(x + 0.5))
}

fn network<T: Scalar>(layers: usize, width: usize, activation: Activation, gain: f64) -> DecoupledNetwork<T> {
    let init = Init::lecun_normal().gain(gain);
    let mut network = DecoupledNetwork::builder(INPUTS).seed(5).threads(1);
    for _ in 0..layers {
        network = network.dense_with(width, activation, init);
    }
    network.dense_with(3, Activation::Identity, init).output_loss(SquaredError).build().unwrap()
}

/// Pre-activations of all hidden layers in f64, from the parameters alone: W column after column, then b.
fn pre_activations<T: Scalar>(network: &DecoupledNetwork<T>, activation: Activation) -> Vec<DMatrix<f64>> {
    let mut z = inputs::<T>().map(|x| x.to_f64());
    let mut all = Vec::new();
    for t in 0..network.depth() - 1 {
        let params: Vec<f64> = network.params(t).iter().map(|p| p.to_f64()).collect();
        let rows = params.len() / (z.nrows() + 1);
        let (weights, bias) = params.split_at(rows * z.nrows());
        let mut u = DMatrix::from_column_slice(rows, z.nrows(), weights) * &z;
        u.column_iter_mut().for_each(|mut c| c.iter_mut().zip(bias).for_each(|(u, b)| *u += b));
        z = u.map(|u| activation.value(u));
        all.push(u);
    }
    all
}

fn moments(u: &DMatrix<f64>) -> Vec<(f64, f64)> {
    let n = u.ncols() as f64;
    let of = |row: Vec<f64>| {
        let mean = row.iter().sum::<f64>() / n;
        (mean, row.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / n)
    };
    u.row_iter().map(|row| of(row.iter().copied().collect())).collect()
}

fn unit_variance<T: Scalar>(tolerance: f64) {
    let cases = [(Activation::Sigmoid, 1.0, 4.0), (Activation::Tanh, 3.0, 1.0), (Activation::Relu, 0.1, 2.0)];
    for (activation, gain, variance) in cases {
        let mut network = network::<T>(6, 20, activation, gain);
        let (hidden, output) = (network.params(2).to_vec(), network.params(6).to_vec());
        network.start_from_unit_variance(&inputs::<T>(), variance).unwrap();
        for (t, u) in pre_activations(&network, activation).iter().enumerate() {
            for (mean, found) in moments(u) {
                assert!(mean.abs() < tolerance, "{activation:?}, layer {t}: mean {mean}");
                assert!((found / variance - 1.0).abs() < tolerance, "{activation:?}, layer {t}: variance {found}");
            }
        }
        assert_ne!(network.params(2), hidden);
        assert_eq!(network.params(6), output);
    }
}

#[test]
fn the_unit_start_gives_every_pre_activation_the_mean_and_variance_asked_for() {
    unit_variance::<f64>(1e-3);
    unit_variance::<f32>(5e-3);
}

/// ‖u − code‖ / ‖code − its mean‖ in every layer, with the pre-activations of the first layer for the code.
fn departures(all: &[DMatrix<f64>]) -> Vec<f64> {
    let code = &all[0];
    let mean = code.column_mean();
    let spread: f64 = code.column_iter().map(|c| (c - &mean).norm_squared()).sum::<f64>().sqrt();
    all.iter().map(|u| (u - code).norm() / spread).collect()
}

#[test]
fn a_linear_network_carries_the_code_exactly_through_any_depth() {
    for (width, tolerance) in [(12, 1e-6), (7, 1e-6), (20, 1e-6)] {
        let mut network = network::<f64>(100, width, Activation::Identity, 1.0);
        let start = BankStart::new().spread(0.3).centre(0.2).ridge(1e-9);
        let residuals = network.start_from_bank(&inputs::<f64>(), &start).unwrap();
        let all = pre_activations(&network, Activation::Identity);
        assert_eq!((all.len(), residuals.len()), (100, 100));
        assert!(departures(&all).iter().all(|d| *d < tolerance), "width {width}");
        assert!(residuals.iter().all(|r| *r < tolerance), "width {width}");
        for (mean, variance) in moments(&all[99]) {
            assert!((mean - 0.2).abs() < 1e-6 && (variance - 0.09).abs() < 1e-6, "width {width}: {mean}, {variance}");
        }
        assert!(network.params(100).iter().all(|p| *p == 0.0));
    }
}

#[test]
fn the_code_is_the_leading_principal_components_one_a_unit() {
    let mut network = network::<f64>(3, 7, Activation::Identity, 1.0);
    let start = BankStart::new().spread(1.0).ridge(1e-9);
    network.start_from_bank(&inputs::<f64>(), &start).unwrap();
    let u = pre_activations(&network, Activation::Identity).pop().unwrap();
    // Components are orthogonal over the examples, and what they explain is the largest eigenvalues' sum: ‖X·uᵀ‖²/n.
    let n = EXAMPLES as f64;
    let gram = &u * u.transpose() / n;
    assert!((gram - DMatrix::identity(7, 7)).norm() < 1e-5);
    let mut x = inputs::<f64>();
    let mean = x.column_mean();
    x.column_iter_mut().for_each(|mut c| c -= &mean);
    // X·u_kᵀ/n is a principal direction times its standard deviation, so its squared length is the k-th eigenvalue.
    let loadings = &x * u.transpose() / n;
    let found: Vec<f64> = loadings.column_iter().map(|c| c.norm_squared()).collect();
    let mut expected: Vec<f64> = (&x * x.transpose() / n).symmetric_eigenvalues().iter().copied().collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    for (k, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found / expected - 1.0).abs() < 1e-4, "component {k}: {found} instead of {expected}");
    }
}

/// The code comes through, and the residuals that the start reports are those of a forward pass made here.
fn carried<T: Scalar>(layers: usize, activation: Activation, start: BankStart, spread: f64, most: f64) {
    let mut network = network::<T>(layers, 10, activation, 0.1);
    let residuals = network.start_from_bank(&inputs::<T>(), &start).unwrap();
    let found = departures(&pre_activations(&network, activation));
    for (t, (found, reported)) in found.iter().zip(&residuals).enumerate() {
        // The first layer is off the code by its own residual, which is tiny beside the tolerance.
        assert!((found - reported).abs() < 0.01, "{activation:?}, layer {t}: {found}, reported {reported}");
        assert!(*reported < most, "{activation:?}, layer {t}: {reported}");
    }
    let top = pre_activations(&network, activation).pop().unwrap();
    for (_, variance) in moments(&top) {
        assert!(
            variance.sqrt() > (1.0 - most) * spread && variance.sqrt() < 1.01 * spread,
            "{activation:?}: {variance}"
        );
    }
}

#[test]
fn a_hundred_layers_hold_the_code_in_both_precisions() {
    let small = BankStart::new().spread(0.05).ridge(1e-5);
    carried::<f64>(100, Activation::Tanh, small, 0.05, 0.25);
    carried::<f32>(100, Activation::Tanh, small, 0.05, 0.25);
    carried::<f64>(100, Activation::Sigmoid, small, 0.05, 0.25);
    carried::<f32>(100, Activation::Sigmoid, small, 0.05, 0.25);
    // Six spreads above zero a ReLU is the identity.
    let above = BankStart::new().spread(0.1).centre(0.6).ridge(1e-5);
    carried::<f64>(100, Activation::Relu, above, 0.1, 0.05);
    carried::<f32>(100, Activation::Relu, above, 0.1, 0.05);
}

#[test]
fn the_weights_as_drawn_do_not_matter_to_a_start_from_the_bank() {
    let start = BankStart::new();
    let mut networks = [0.01, 100.0].map(|gain| network::<f32>(5, 9, Activation::Tanh, gain));
    let residuals = networks.each_mut().map(|own| own.start_from_bank(&inputs::<f32>(), &start).unwrap());
    assert_eq!(residuals[0], residuals[1]);
    (0..6).for_each(|t| assert_eq!(networks[0].params(t), networks[1].params(t)));
}

#[test]
fn a_wider_layer_above_a_narrow_one_holds_what_came_through() {
    let mut network = DecoupledNetwork::<f64>::builder(INPUTS)
        .dense(9, Activation::Identity)
        .dense(4, Activation::Identity)
        .dense(16, Activation::Identity)
        .dense(2, Activation::Identity)
        .build()
        .unwrap();
    let residuals = network.start_from_bank(&inputs::<f64>(), &BankStart::new().ridge(1e-9)).unwrap();
    assert!(residuals.iter().all(|r| *r < 1e-6), "{residuals:?}");
    let all = pre_activations(&network, Activation::Identity);
    let rank = |u: &DMatrix<f64>| {
        let mut u = u.clone();
        let mean = u.column_mean();
        u.column_iter_mut().for_each(|mut c| c -= &mean);
        u.singular_values().iter().filter(|s| **s > 1e-6).count()
    };
    assert_eq!(all.iter().map(rank).collect::<Vec<_>>(), [9, 4, 4]);
}

/// A layer without regression.
#[derive(Debug)]
struct Halve;

impl<T: Scalar> Layer<T> for Halve {
    fn input_dim(&self) -> usize {
        5
    }
    fn output_dim(&self) -> usize {
        5
    }
    fn forward(&self, _: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _: &mut [T]) {
        output.as_mut_slice().iter_mut().zip(input.as_slice()).for_each(|(y, &x)| *y = x * T::of(0.5));
    }
    fn input_gradient(
        &self,
        _: &[T],
        _: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        _: &mut [T],
    ) {
        grad.as_mut_slice().iter_mut().zip(cotangent.as_slice()).for_each(|(g, &c)| *g = c * T::of(0.5));
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_changes() {
    let builder = || DecoupledNetwork::<f64>::builder(INPUTS).dense(5, Activation::Tanh);
    let mut odd = builder().layer(Halve).dense(2, Activation::Identity).build().unwrap();
    let mut fine = builder().dense(2, Activation::Identity).build().unwrap();
    let before = [odd.params(0).to_vec(), fine.params(0).to_vec()];
    let (x, start) = (inputs::<f64>(), BankStart::new());

    let error = odd.start_from_bank(&x, &start).unwrap_err();
    assert!(matches!(&error, Error::Incapable { layer: 1, name, .. } if name == "Halve"), "{error}");
    let error = odd.start_from_unit_variance(&x, 1.0).unwrap_err();
    assert!(matches!(&error, Error::Incapable { layer: 1, .. }), "{error}");

    let mut apart = builder().store_pre_activations().dense(4, Activation::Tanh).dense(2, Activation::Identity);
    apart = apart.method(Method::bcd(1.0));
    let error = apart.build().unwrap().start_from_bank(&x, &start).unwrap_err();
    assert!(matches!(&error, Error::Incapable { layer: 2, lacks, .. } if lacks.contains("store_pre_activations")));

    let (narrow, mut broken) = (x.rows(0, 5).into_owned(), x.clone());
    broken[(2, 7)] = f64::NAN;
    let empty = DMatrix::zeros(INPUTS, 0);
    let mut both = |x: &DMatrix<f64>| {
        [fine.start_from_bank(x, &start).unwrap_err(), fine.start_from_unit_variance(x, 1.0).unwrap_err()]
    };
    assert!(both(&narrow).iter().all(|e| matches!(e, Error::Shape { expected: INPUTS, found: 5, .. })));
    assert!(both(&broken).iter().all(|e| matches!(e, Error::NotFinite { example: 7, row: 2, .. })));
    assert!(both(&empty).iter().all(|e| matches!(e, Error::Empty { .. })));
    let alike = DMatrix::from_element(INPUTS, 30, 1.5);
    assert!(matches!(fine.start_from_bank(&alike, &start), Err(Error::Unsupported { .. })));
    assert!(matches!(fine.start_from_bank(&(&x * 1e200), &start), Err(Error::Unsupported { .. })));
    for bad in [start.spread(0.0), start.spread(f64::NAN), start.centre(f64::INFINITY), start.ridge(-1.0)] {
        assert!(matches!(fine.start_from_bank(&x, &bad), Err(Error::HyperParameter { .. })));
    }
    assert!(matches!(fine.start_from_unit_variance(&x, 0.0), Err(Error::HyperParameter { .. })));
    assert_eq!([odd.params(0).to_vec(), fine.params(0).to_vec()], before);
}

#[test]
fn bare_affine_maps_and_fused_units_start_alike() {
    let fused = DecoupledNetwork::<f64>::builder(INPUTS).dense(6, Activation::Identity).dense(2, Activation::Identity);
    let bare = DecoupledNetwork::builder(INPUTS).layer(Dense::new(INPUTS, 6)).dense(2, Activation::Identity);
    let [mut fused, mut bare] = [fused, bare].map(|builder| builder.seed(1).build().unwrap());
    fused.start_from_bank(&inputs::<f64>(), &BankStart::new()).unwrap();
    bare.start_from_bank(&inputs::<f64>(), &BankStart::new()).unwrap();
    assert_eq!(fused.params(0), bare.params(0));
    assert!(Layer::<f64>::regression(&Elementwise::new(3, Activation::Tanh)).is_none());
}

#[test]
fn starts_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let mut network = DecoupledNetwork::<f32>::builder(INPUTS).threads(threads);
        for _ in 0..4 {
            network = network.dense(30, Activation::Sigmoid);
        }
        let mut network = network.dense(2, Activation::Identity).build().unwrap();
        network.start_from_unit_variance(&inputs::<f32>(), 1.0).unwrap();
        let unit = network.params(3).to_vec();
        network.start_from_bank(&inputs::<f32>(), &BankStart::new()).unwrap();
        (unit, network.params(3).to_vec())
    };
    assert_eq!(run(1), run(3));
}

/// [W b] of the first layer from the inputs to `wanted`, with a ridge in units of the inputs' mean variance an example.
#[test]
fn the_ridge_of_a_start_is_in_units_of_the_variance_of_what_a_layer_reads() {
    for scale in [1.0, 1e3] {
        let x = inputs::<f64>() * scale;
        let started = |ridge: f64| {
            let mut network = network::<f64>(1, 7, Activation::Identity, 1.0);
            network.start_from_bank(&x, &BankStart::new().ridge(ridge)).unwrap();
            DMatrix::from_column_slice(7, INPUTS + 1, network.params(0))
        };
        let mut centred = x.clone();
        let mean = x.column_mean();
        centred.column_iter_mut().for_each(|mut c| c -= &mean);
        let code = started(1e-12) * x.clone().insert_row(INPUTS, 1.0);
        let variance = centred.norm_squared() / (INPUTS * EXAMPLES) as f64;
        let gram = &centred * centred.transpose() / EXAMPLES as f64;
        let system = gram + DMatrix::identity(INPUTS, INPUTS) * (0.3 * variance);
        let expected = &code * centred.transpose() / EXAMPLES as f64 * system.try_inverse().unwrap();
        let found = started(0.3).columns(0, INPUTS).into_owned();
        assert!((&found - &expected).norm() < 1e-6 * expected.norm(), "{scale}: {}", (found - &expected).norm());
    }
}

#[test]
fn inputs_of_few_dimensions_have_no_more_components_than_that() {
    let mut rng = ChaCha12Rng::seed_from_u64(8);
    let mut normal = |rows, cols| DMatrix::from_fn(rows, cols, |_, _| f64::standard_normal(&mut rng));
    let x = normal(INPUTS, 3) * normal(3, EXAMPLES) + normal(INPUTS, EXAMPLES) * 1e-5;
    let mut network = network::<f64>(2, 7, Activation::Identity, 1.0);
    let residuals = network.start_from_bank(&x, &BankStart::new().ridge(1e-9)).unwrap();
    // Ten powers below the rest is noise: a code of it would ask for weights that no ridge lets be.
    assert!(residuals.iter().all(|r| *r < 1e-4), "{residuals:?}");
}

#[test]
fn units_beyond_the_components_hold_random_mixtures_in_which_all_weigh_the_same() {
    let width = 600;
    let started = |seed| {
        let mut network = network::<f64>(1, width, Activation::Identity, 1.0);
        let start = BankStart::new().spread(1.0).ridge(1e-9).seed(seed);
        network.start_from_bank(&inputs::<f64>(), &start).unwrap();
        (network.params(0).to_vec(), pre_activations(&network, Activation::Identity).remove(0))
    };
    let (params, code) = started(1);
    assert_eq!(started(1).0, params);
    let other = started(2).1;
    assert!((other.rows(0, INPUTS) - code.rows(0, INPUTS)).norm() < 1e-6 * code.norm());
    assert!((other - &code).norm() > 0.5 * code.norm());
    let loadings = code.rows(INPUTS, width - INPUTS) * code.rows(0, INPUTS).transpose() / EXAMPLES as f64;
    for (k, column) in loadings.column_iter().enumerate() {
        let share = column.norm_squared() / (width - INPUTS) as f64 * INPUTS as f64;
        assert!((0.75..1.3).contains(&share), "component {k} has {share} of its share");
    }
}

/// A unit that sees nothing of its input gives its bias, whose mean over the examples rounds to something else.
#[test]
fn a_unit_without_a_spread_gets_the_mean_alone() {
    for bias in [0.1, -0.7, 12.3] {
        let mut network = network::<f64>(1, 4, Activation::Tanh, 1.0);
        let mut params = network.params(0).to_vec();
        params.iter_mut().skip(2).step_by(4).take(INPUTS).for_each(|w| *w = 0.0);
        params[INPUTS * 4 + 2] = bias;
        network.set_params(0, &params).unwrap();
        network.start_from_unit_variance(&inputs::<f64>(), 4.0).unwrap();
        let (mean, variance) = moments(&pre_activations(&network, Activation::Tanh)[0])[2];
        assert!(mean.abs() < 1e-3 && variance < 1e-3, "bias {bias}: mean {mean}, variance {variance}");
    }
}
