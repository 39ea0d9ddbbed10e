//! The built-in losses against finite differences, closed forms and numbers worked by hand.

use std::sync::Arc;

use decoupled::data::Examples;
use decoupled::layer::{Activation, Dense};
use decoupled::loss::{
    BinaryCrossEntropy, Huber, MeanAbsoluteError, Outputs, RelativeSquaredError, SoftmaxCrossEntropy, SquaredError,
};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Loss, MatMut, MatRef, Scalar};
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};

use crate::builtin::losses;

fn value(loss: &dyn Loss<f64>, dim: usize, z: &[f64], p: &[f64]) -> f64 {
    loss.value(MatRef::new(z, dim, z.len() / dim), MatRef::new(p, dim, p.len() / dim))
}

/// ∂L/∂z and ∂L/∂ẑ, written over NaN.
fn gradients(loss: &dyn Loss<f64>, dim: usize, z: &[f64], p: &[f64]) -> [Vec<f64>; 2] {
    let n = z.len() / dim;
    let (target, prediction) = (MatRef::new(z, dim, n), MatRef::new(p, dim, n));
    let mut grads = [vec![f64::NAN; z.len()], vec![f64::NAN; z.len()]];
    loss.target_gradient(target, prediction, MatMut::new(&mut grads[0], dim, n));
    loss.gradient(target, prediction, MatMut::new(&mut grads[1], dim, n));
    grads
}

/// Targets that are columns of probabilities, and predictions no residual of which is near a whole number,
/// where the losses with a kink have theirs.
fn draw(rng: &mut ChaCha12Rng, dim: usize, n: usize) -> [Vec<f64>; 2] {
    let mut z: Vec<f64> = (0..dim * n).map(|_| rng.random::<f64>() + 0.01).collect();
    for column in z.chunks_mut(dim) {
        let sum: f64 = column.iter().sum();
        column.iter_mut().for_each(|z| *z /= sum);
    }
    let mut residual = || f64::from(rng.random_range(-3..3i8)) + rng.random_range(0.05..0.95);
    let p = z.iter().map(|z| z + residual()).collect();
    [z, p]
}

/// What a loss answers to every method of the trait, where no default would answer the same.
fn answers(loss: &dyn Loss<f64>) -> String {
    let (z, p, direction) = ([0.0, 1.0, 0.25, 0.75], [0.5, -1.5, 2.0, 0.125], [1.0, 2.0, -1.0, 3.0]);
    let columns = |entries| MatRef::new(entries, 2, 2);
    let mut product = [f64::NAN; 4];
    loss.hessian_product(columns(&z), columns(&p), columns(&direction), MatMut::new(&mut product, 2, 2));
    #[cfg(feature = "serde")]
    let described = loss.describe();
    #[cfg(not(feature = "serde"))]
    let described = ();
    format!(
        "{} {:?} {product:?} {:?} {} {} {:?} {:?} {described:?}",
        value(loss, 2, &z, &p),
        gradients(loss, 2, &z, &p),
        loss.outputs(),
        loss.is_squared_error(),
        loss.serves_hidden(),
        loss.validate().map_err(|error| error.to_string()),
        loss.check_targets(columns(&[0.5, 0.75, 0.0, 1.0])).map_err(|error| error.to_string()),
    )
}

#[test]
fn an_arc_of_a_loss_answers_as_the_loss() {
    for loss in losses() {
        let own = answers(&*loss);
        assert_eq!(answers(&loss), own);
    }
    let invalid = Huber::new(-1.0);
    assert_eq!(answers(&Arc::new(invalid)), answers(&invalid));
}

#[test]
fn both_gradients_equal_fourth_order_differences_on_a_hundred_shapes() {
    const H: f64 = 1e-3;
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    for loss in losses() {
        loss.validate().unwrap();
        for _ in 0..100 {
            let (dim, n) = (rng.random_range(1..=40), rng.random_range(1..=40));
            let mut at = draw(&mut rng, dim, n);
            loss.check_targets(MatRef::new(&at[0], dim, n)).unwrap();
            let grads = gradients(&*loss, dim, &at[0], &at[1]);
            for side in 0..2 {
                let size = grads[side].iter().fold(0.01, |a: f64, g| a.max(g.abs()));
                for _ in 0..16 {
                    let i = rng.random_range(0..dim * n);
                    let mut moved = |steps: f64| {
                        let old = at[side][i];
                        at[side][i] = old + steps * H;
                        let value = value(&*loss, dim, &at[0], &at[1]);
                        at[side][i] = old;
                        value
                    };
                    let slope = (8.0 * (moved(1.0) - moved(-1.0)) - (moved(2.0) - moved(-2.0))) / (12.0 * H);
                    let error = (grads[side][i] - slope).abs() / size;
                    assert!(error < 1e-6, "{loss:?}, {dim} × {n}, side {side}: {} not {slope}", grads[side][i]);
                }
            }
        }
    }
}

#[test]
fn the_value_is_a_sum_of_one_term_a_column() {
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    for loss in losses() {
        let [z, p] = draw(&mut rng, 7, 13);
        let terms: f64 = z.chunks(7).zip(p.chunks(7)).map(|(z, p)| value(&*loss, 7, z, p)).sum();
        let whole = value(&*loss, 7, &z, &p);
        assert!((terms - whole).abs() < 1e-12 * whole, "{loss:?}: {terms} and {whole}");
    }
}

#[test]
fn values_are_those_worked_by_hand() {
    type Case = (Box<dyn Loss<f64>>, [f64; 2], [f64; 2], f64);
    let cases: [Case; 9] = [
        (Box::new(SquaredError), [1.0, 2.0], [4.0, -2.0], 12.5),
        (Box::new(MeanAbsoluteError), [1.0, 2.0], [4.0, -2.0], 3.5),
        (Box::new(Huber::new(1.0)), [1.0, 2.0], [1.5, -2.0], 0.125 + 3.5),
        // s = (1 + 4 + 16 + 4)/4 + ¼ = 6½.
        (Box::new(RelativeSquaredError::new().epsilon(0.25)), [1.0, 2.0], [4.0, -2.0], 25.0 / 13.0),
        (Box::new(SoftmaxCrossEntropy::new()), [0.0, 1.0], [0.0, 0.0], 2f64.ln()),
        (Box::new(SoftmaxCrossEntropy::new()), [0.25, 0.75], [3f64.ln(), 0.0], 4f64.ln() - 0.25 * 3f64.ln()),
        // t = (0.1, 0.9), p = (¾, ¼).
        (
            Box::new(SoftmaxCrossEntropy::new().label_smoothing(0.2)),
            [0.0, 1.0],
            [3f64.ln(), 0.0],
            4f64.ln() - 0.1 * 3f64.ln(),
        ),
        (Box::new(BinaryCrossEntropy), [1.0, 0.0], [0.0, 0.0], 2.0 * 2f64.ln()),
        (Box::new(BinaryCrossEntropy), [0.25, 1.0], [3f64.ln(), 0.0], 4f64.ln() - 0.25 * 3f64.ln() + 2f64.ln()),
    ];
    for (loss, z, p, expected) in cases {
        let found = value(&*loss, 2, &z, &p);
        assert!((found - expected).abs() < 1e-14, "{loss:?}: {found} not {expected}");
    }
}

#[test]
fn hidden_losses_are_zero_and_flat_where_both_arguments_agree() {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let [_, z] = draw(&mut rng, 9, 4);
    for loss in losses().into_iter().filter(|loss| loss.serves_hidden()) {
        for z in [&z, &vec![0.0; 36]] {
            assert_eq!(value(&*loss, 9, z, z), 0.0, "{loss:?}");
            assert!(gradients(&*loss, 9, z, z).iter().flatten().all(|&g| g == 0.0), "{loss:?}");
        }
    }
}

#[test]
fn cross_entropies_do_not_serve_hidden_layers() {
    for loss in losses::<f64>() {
        assert_eq!(loss.serves_hidden(), !format!("{loss:?}").contains("CrossEntropy"), "{loss:?}");
    }
}

#[test]
fn only_the_relative_error_ignores_a_common_scale_and_charges_nothing_along_it() {
    let mut rng = ChaCha12Rng::seed_from_u64(4);
    let [z, p] = draw(&mut rng, 11, 5);
    let scaled = |x: &[f64], c: f64| x.iter().map(|x| c * x).collect::<Vec<_>>();
    let ratio = |loss: &dyn Loss<f64>| value(loss, 11, &scaled(&z, 0.1), &scaled(&p, 0.1)) / value(loss, 11, &z, &p);
    let relative = RelativeSquaredError::new().epsilon(1e-14);
    assert!((ratio(&relative) - 1.0).abs() < 1e-10, "{}", ratio(&relative));
    assert!((ratio(&SquaredError) - 0.01).abs() < 1e-15);
    let grads = gradients(&relative, 11, &z, &p);
    for j in 0..5 {
        let column = 11 * j..11 * (j + 1);
        let along = |x: &[f64], g: &[f64]| x[column.clone()].iter().zip(&g[column.clone()]).map(|(x, g)| x * g).sum();
        let (dz, dp): (f64, f64) = (along(&z, &grads[0]), along(&p, &grads[1]));
        assert!((dz + dp).abs() < 1e-11, "⟨z, ∂z⟩ + ⟨ẑ, ∂ẑ⟩ = {dz} + {dp}");
    }
}

#[test]
fn the_relative_error_is_the_squared_error_at_unit_mean_square_and_stays_below_its_bound() {
    let relative = RelativeSquaredError::new();
    let (z, p) = ([1.0, -1.0, 1.0, 1.0], [1.0, 1.0, 1.0, -1.0]);
    assert!((value(&relative, 4, &z, &p) - value(&SquaredError, 4, &z, &p)).abs() < 1e-7);
    let opposite = z.map(|z| -z);
    let largest = value(&relative, 4, &z, &opposite);
    assert!(largest < 8.0 && largest > 8.0 - 1e-6, "{largest} not 2d");
    assert!(value(&relative, 4, &[1e3; 4], &[0.0; 4]) < 4.0, "inflating one side does not pay");
}

#[test]
fn softmax_cross_entropy_is_linear_in_targets_of_any_sum() {
    let mut rng = ChaCha12Rng::seed_from_u64(5);
    let [z, p] = draw(&mut rng, 6, 3);
    let double: Vec<f64> = z.iter().map(|z| 2.0 * z).collect();
    let loss = SoftmaxCrossEntropy::new();
    assert_eq!(value(&loss, 6, &double, &p), 2.0 * value(&loss, 6, &z, &p));
    for (double, single) in gradients(&loss, 6, &double, &p)[1].iter().zip(&gradients(&loss, 6, &z, &p)[1]) {
        assert!((double - 2.0 * single).abs() < 1e-14, "{double} not 2 · {single}");
    }
}

#[test]
fn extreme_logits_give_finite_values_and_the_right_limits() {
    let (z, p) = ([1.0, 0.0, 0.0], [-1e4, 1e4, 0.0]);
    for loss in losses() {
        assert!(value(&*loss, 3, &z, &p).is_finite(), "{loss:?}");
        assert!(gradients(&*loss, 3, &z, &p).iter().flatten().all(|g| g.is_finite()), "{loss:?}");
    }
    assert_eq!(value(&SoftmaxCrossEntropy::new(), 3, &z, &p), 2e4);
    assert_eq!(gradients(&SoftmaxCrossEntropy::new(), 3, &z, &p)[1], [-1.0, 1.0, 0.0]);
    assert_eq!(value(&BinaryCrossEntropy, 3, &z, &p), 2e4 + 2f64.ln());
    assert_eq!(gradients(&BinaryCrossEntropy, 3, &z, &p)[1], [-1.0, 1.0, 0.5]);

    let (z, p) = (z.map(|z| z as f32), p.map(|p| p as f32));
    let (z, p) = (MatRef::new(&z, 3, 1), MatRef::new(&p, 3, 1));
    assert_eq!(SoftmaxCrossEntropy::new().value(z, p), 2e4);
    assert_eq!(BinaryCrossEntropy.value(z, p), 2e4 + 2f32.ln());
}

#[test]
fn a_not_a_number_in_the_prediction_reaches_value_and_gradient() {
    for loss in losses() {
        let (z, p) = ([0.5, 0.5], [f64::NAN, 0.0]);
        assert!(value(&*loss, 2, &z, &p).is_nan(), "{loss:?}");
        assert!(gradients(&*loss, 2, &z, &p)[1][0].is_nan(), "{loss:?}");
    }
}

#[test]
fn targets_without_a_meaning_are_refused_with_their_example() {
    let refused = |loss: &dyn Loss<f64>, bad: [f64; 2], offending: f64| {
        let targets = [0.5, 0.5, bad[0], bad[1]];
        match loss.check_targets(MatRef::new(&targets, 2, 2)) {
            Err(Error::Target { example: 1, found, .. }) => {
                assert!(found == offending || (found.is_nan() && offending.is_nan()), "{found} not {offending}")
            }
            other => panic!("{loss:?}, {bad:?}: {other:?}"),
        }
    };
    let softmax = SoftmaxCrossEntropy::new();
    refused(&softmax, [1.5, -0.5], -0.5);
    refused(&softmax, [0.5, f64::NAN], f64::NAN);
    refused(&softmax, [0.5, 0.75], 1.25);
    refused(&softmax, [0.0, 0.0], 0.0);
    refused(&softmax, [0.5, 0.5 + 1.0 / 4096.0], 1.0 + 1.0 / 4096.0);
    refused(&softmax, [f64::INFINITY, 0.0], f64::INFINITY);
    refused(&BinaryCrossEntropy, [0.0, 1.5], 1.5);
    refused(&BinaryCrossEntropy, [-0.1, 1.0], -0.1);
    refused(&BinaryCrossEntropy, [f64::NAN, 1.0], f64::NAN);
    softmax.check_targets(MatRef::new(&[0.3, 0.70005], 2, 1)).unwrap();
    BinaryCrossEntropy.check_targets(MatRef::new(&[0.0, 1.0], 2, 1)).unwrap();
}

#[test]
fn settings_outside_their_domain_are_refused_by_name() {
    let refused = |loss: &dyn Loss<f64>, setting: &str| match loss.validate() {
        Err(Error::HyperParameter { name, .. }) => assert_eq!(name, setting),
        other => panic!("{loss:?}: {other:?}"),
    };
    for x in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused(&Huber::new(x), "Huber::delta");
        refused(&RelativeSquaredError::new().epsilon(x), "RelativeSquaredError::epsilon");
    }
    for x in [-0.1, 1.0, f64::NAN] {
        refused(&SoftmaxCrossEntropy::new().label_smoothing(x), "SoftmaxCrossEntropy::label_smoothing");
    }
}

#[test]
fn the_binary_cross_entropy_gradient_does_not_cancel_where_the_prediction_is_sure() {
    for logit in [-40.0_f64, 40.0, 200.0] {
        for target in [0.0, 1.0] {
            let mut found = [f64::NAN];
            let (z, p) = ([target], [logit]);
            BinaryCrossEntropy.gradient(MatRef::new(&z, 1, 1), MatRef::new(&p, 1, 1), MatMut::new(&mut found, 1, 1));
            // σ(p) for z = 0, −σ(−p) for z = 1.
            let expected = if target == 0.0 { 1.0 / (1.0 + (-logit).exp()) } else { -1.0 / (1.0 + logit.exp()) };
            assert!((found[0] / expected - 1.0).abs() < 1e-12, "{found:?} instead of {expected}");
        }
    }
}

#[test]
fn cross_entropies_say_what_their_outputs_mean_and_others_are_of_numbers() {
    for loss in losses::<f64>() {
        let name = format!("{loss:?}");
        let expected = match name.split(['(', ' ', '{']).next() {
            Some("SoftmaxCrossEntropy") => Outputs::Classes,
            Some("BinaryCrossEntropy") => Outputs::Labels,
            _ => Outputs::Numbers,
        };
        assert_eq!(loss.outputs(), expected, "{name}");
    }
    assert_eq!(Outputs::default(), Outputs::Numbers);
}

#[test]
fn the_softmax_of_extreme_logits_is_certain_and_of_equal_ones_even() {
    let layer = Dense::new(3, 3).without_bias();
    let builder = DecoupledNetwork::builder(3).layer(layer).output_loss(SoftmaxCrossEntropy::new()).threads(1);
    let mut net = builder.build().unwrap();
    net.set_params(0, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
    let logits = [0.5, -1.0, 2.0, 1000.0, 0.0, -1000.0, -3.0, -3.0, -3.0];
    let found = net.predict_proba(MatRef::new(&logits, 3, 3)).unwrap();
    let sum = 0.5f64.exp() + (-1f64).exp() + 2f64.exp();
    let third = 1.0 / 3.0;
    let expected = [0.5f64.exp() / sum, (-1f64).exp() / sum, 2f64.exp() / sum, 1.0, 0.0, 0.0, third, third, third];
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-15, "{found} instead of {expected}");
    }
}

/// A loss at the output alone: neither a gradient of the target, nor a word that there is none.
#[derive(Debug)]
struct Quartic;

impl<T: Scalar> Loss<T> for Quartic {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        target.as_slice().iter().zip(prediction.as_slice()).map(|(&z, &p)| (p - z).powi(4)).sum()
    }
    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        let pairs = target.as_slice().iter().zip(prediction.as_slice());
        for (g, (&z, &p)) in grad.as_mut_slice().iter_mut().zip(pairs) {
            *g = T::of(4.0) * (p - z).powi(3);
        }
    }
}

#[test]
fn a_loss_without_a_target_gradient_has_one_by_differences() {
    let (z, p) = ([0.0, 1.0, 0.25, -0.75], [0.5, -1.5, 2.0, 0.125]);
    let [of_target, of_prediction] = gradients(&Quartic, 2, &z, &p);
    for ((found, opposite), (z, p)) in of_target.iter().zip(of_prediction).zip(z.iter().zip(&p)) {
        let expected = 4.0 * (z - p).powi(3);
        assert!((found - expected).abs() < 1e-8 && (found + opposite).abs() < 1e-8, "{found} instead of {expected}");
    }
    decoupled::check::loss::<f64>(&Quartic, 3).unwrap();
    let inputs = Examples::from_rows(&[[0.0], [1.0], [2.0]]).unwrap();
    let data = Dataset::regression(inputs.clone(), inputs).unwrap();
    let builder = DecoupledNetwork::<f64>::builder(1).dense(2, Activation::Tanh).dense(1, Activation::Identity);
    let mut net = builder.output_loss(Quartic).threads(1).build().unwrap();
    let report = net.fit(&data, &FitConfig::new().epochs(300)).unwrap();
    assert!(report.epochs[299].train_loss < report.epochs[0].train_loss);
}

/// Added up as it comes, which a loss of one's own may do.
#[derive(Debug)]
struct Naive;

impl Loss<f32> for Naive {
    fn value(&self, target: MatRef<'_, f32>, prediction: MatRef<'_, f32>) -> f32 {
        let pairs = target.as_slice().iter().zip(prediction.as_slice());
        pairs.fold(0.0, |sum, (&z, &p)| sum + (p - z).abs())
    }
    fn gradient(&self, target: MatRef<'_, f32>, prediction: MatRef<'_, f32>, mut grad: MatMut<'_, f32>) {
        let pairs = target.as_slice().iter().zip(prediction.as_slice());
        grad.as_mut_slice().iter_mut().zip(pairs).for_each(|(g, (z, p))| *g = (p - z).signum());
    }
}

const MANY: usize = 10_000_000;

/// ln 2 where all logits are 0, and what the definitions say of z = 0, ẑ = 0.3: in f32 a sum stops growing at 2²⁴ of its terms. A
/// block of them rounds 256 times in a lane.
#[test]
fn losses_of_ten_million_examples_in_single_precision_are_their_terms_times_ten_million() {
    let ln_2 = 2f64.ln();
    let x = f64::from(0.3f32);
    let zeros = vec![0f32; MANY];
    let some = vec![0.3f32; MANY];
    let value = |loss: &dyn Loss<f32>, rows: usize, prediction: &[f32]| {
        let target = MatRef::new(&zeros, rows, MANY / rows);
        f64::from(loss.value(target, MatRef::new(prediction, rows, MANY / rows))) / MANY as f64
    };
    let relative = x * x / (x * x + 2e-8);
    for (loss, rows, prediction, expected) in [
        (&BinaryCrossEntropy as &dyn Loss<f32>, 1, &zeros, ln_2),
        (&BinaryCrossEntropy, 4, &zeros, ln_2),
        (&SquaredError, 1, &some, x * x / 2.0),
        (&MeanAbsoluteError, 1, &some, x),
        (&Huber::new(0.1), 1, &some, 0.1 * (x - 0.05)),
        (&RelativeSquaredError::new(), 1, &some, relative),
    ] {
        let found = value(loss, rows, prediction);
        assert!((found / expected - 1.0).abs() < 1e-5, "{loss:?}: {found} instead of {expected}");
    }
    // Half of the mass on either of two classes.
    let halves = vec![0.5f32; MANY];
    let columns = |entries| MatRef::new(entries, 2, MANY / 2);
    let found = SoftmaxCrossEntropy::new().value(columns(&halves), columns(&zeros));
    let found = f64::from(found) / (MANY / 2) as f64;
    assert!((found / ln_2 - 1.0).abs() < 1e-5, "{found} instead of {ln_2}");
}

#[test]
fn a_data_set_of_ten_million_examples_is_evaluated_to_the_last_digits_of_single_precision() {
    let examples = |value: f32| Examples::from_row_slice(&vec![value; MANY], MANY, 1).unwrap();
    let network = |builder: decoupled::NetworkBuilder<f32>| {
        let mut net = builder.layer(Dense::new(1, 1)).threads(2).build().unwrap();
        net.set_params(0, &[0.0, 0.0]).unwrap();
        net
    };
    let bits = Dataset::multi_label(examples(1.0), examples(0.0)).unwrap();
    let net = network(DecoupledNetwork::builder(1).output_loss(BinaryCrossEntropy));
    let scores = net.evaluate(&bits).unwrap();
    assert!((scores.loss / 2f64.ln() - 1.0).abs() < 1e-5, "{}", scores.loss);
    assert_eq!(scores.score, Some(1.0));
    drop(bits);
    let numbers = Dataset::regression(examples(1.0), examples(0.1)).unwrap();
    let net = network(DecoupledNetwork::builder(1).output_loss(Naive));
    let loss = net.evaluate(&numbers).unwrap().loss;
    // 256 of them at a time are good to 256 half units in the last place at most.
    assert!((loss / f64::from(0.1f32) - 1.0).abs() < 1e-5, "{loss}");
    let outputs = net.predict(numbers.inputs()).unwrap();
    let error = decoupled::metrics::mae(numbers.targets(), &outputs).unwrap();
    assert!((error / f64::from(0.1f32) - 1.0).abs() < 1e-9, "{error}");
}
