//! The start of unit variance: what it promises, against moments computed here.

use decoupled::layer::{Activation, Dense, Elementwise, Init};
use decoupled::loss::SquaredError;
use decoupled::nalgebra::DMatrix;
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
    let x = inputs::<f64>();

    let error = odd.start_from_unit_variance(&x, 1.0).unwrap_err();
    assert!(matches!(&error, Error::Incapable { layer: 1, name, .. } if name == "Halve"), "{error}");

    let mut apart = builder().store_pre_activations().dense(4, Activation::Tanh).dense(2, Activation::Identity);
    apart = apart.method(Method::bcd(1.0));
    let error = apart.build().unwrap().start_from_unit_variance(&x, 1.0).unwrap_err();
    assert!(matches!(&error, Error::Incapable { layer: 2, lacks, .. } if lacks.contains("store_pre_activations")));

    let (narrow, mut broken) = (x.rows(0, 5).into_owned(), x.clone());
    broken[(2, 7)] = f64::NAN;
    let empty = DMatrix::zeros(INPUTS, 0);
    let mut refused = |x: &DMatrix<f64>| fine.start_from_unit_variance(x, 1.0).unwrap_err();
    assert!(matches!(refused(&narrow), Error::Shape { expected: INPUTS, found: 5, .. }));
    assert!(matches!(refused(&broken), Error::NotFinite { example: 7, row: 2, .. }));
    assert!(matches!(refused(&empty), Error::Empty { .. }));
    assert!(matches!(fine.start_from_unit_variance(&x, 0.0), Err(Error::HyperParameter { .. })));
    assert_eq!([odd.params(0).to_vec(), fine.params(0).to_vec()], before);
}

#[test]
fn bare_affine_maps_and_fused_units_start_alike() {
    let fused = DecoupledNetwork::<f64>::builder(INPUTS).dense(6, Activation::Identity).dense(2, Activation::Identity);
    let bare = DecoupledNetwork::builder(INPUTS).layer(Dense::new(INPUTS, 6)).dense(2, Activation::Identity);
    let [mut fused, mut bare] = [fused, bare].map(|builder| builder.seed(1).build().unwrap());
    fused.start_from_unit_variance(&inputs::<f64>(), 1.0).unwrap();
    bare.start_from_unit_variance(&inputs::<f64>(), 1.0).unwrap();
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
        network.params(3).to_vec()
    };
    assert_eq!(run(1), run(3));
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
