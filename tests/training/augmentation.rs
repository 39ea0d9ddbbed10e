//! Augmented pictures: as their definition has them, others in every epoch, the same in every visit, and in training alone.

use decoupled::data::{Augmentation, Examples, digits};
use decoupled::layer::Activation;
use decoupled::loss::{SoftmaxCrossEntropy, SquaredError};
use decoupled::method::{Exact, GradientStep, Ridge, Start, Timing};
use decoupled::optimizer::Sgd;
use decoupled::rand::{SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, Scalar};

use crate::builtin;
use crate::common::{bits, fit, forgetful, losses};

/// What the test finds out of a draw: rows down, columns to the right, and whether the picture is flipped first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Drawn {
    down: i64,
    right: i64,
    flip: bool,
}

/// The draw for an example, from a picture of one channel that has another number at every pixel: two columns of it stay.
fn drawn(shift: usize, flip: bool, [height, width]: [usize; 2], (seed, epoch, example): (u64, usize, usize)) -> Drawn {
    let numbered: Vec<f64> = (0..height * width).map(|i| 1.0 + i as f64).collect();
    let mut out = vec![f64::NAN; height * width];
    let augmentation = of([1, height, width], shift, flip);
    augmentation.apply(seed, epoch, example, &numbered, &mut out).unwrap();
    let at = (0..out.len()).find(|&i| out[i] > 0.0 && (i + 1) % width > 0 && out[i + 1] > 0.0).unwrap();
    let (from, next) = (out[at] as i64 - 1, out[at + 1] as i64 - 1);
    let flip = next < from;
    assert_eq!((next - from).abs(), 1);
    let (rows, columns) = (width as i64, width as i64);
    let column = if flip { columns - 1 - from % columns } else { from % columns };
    Drawn { down: at as i64 / rows - from / rows, right: at as i64 % columns - column, flip }
}

fn of(shape: [usize; 3], shift: usize, flip: bool) -> Augmentation {
    let shifted = Augmentation::new(shape).shift(shift);
    if flip { shifted.flip() } else { shifted }
}

/// The definition, pixel by pixel.
fn by_hand<T: Scalar>(drawn: Drawn, [channels, height, width]: [usize; 3], picture: &[T]) -> Vec<T> {
    let mut out = Vec::new();
    for c in 0..channels {
        for y in 0..height as i64 {
            for x in 0..width as i64 {
                let (from_y, mut from_x) = (y - drawn.down, x - drawn.right);
                if drawn.flip {
                    from_x = width as i64 - 1 - from_x;
                }
                let inside = (0..height as i64).contains(&from_y) && (0..width as i64).contains(&from_x);
                let at = || (c * height + from_y as usize) * width + from_x as usize;
                out.push(if inside { picture[at()] } else { T::zero() });
            }
        }
    }
    out
}

fn normal<T: Scalar>(len: usize, seed: u64) -> Vec<T> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    (0..len).map(|_| T::standard_normal(&mut rng)).collect()
}

#[test]
fn a_picture_is_shifted_and_flipped_pixel_by_pixel_as_it_is_defined() {
    let mut seen = std::collections::BTreeSet::new();
    for (shape, shift) in [([3, 5, 4], 2), ([1, 4, 7], 3), ([2, 3, 3], 0), ([3, 8, 8], 6)] {
        for flip in [false, true] {
            for key in (0..60).map(|i| (i % 3, (i % 5) as usize, 7 * i as usize)) {
                let drawn = drawn(shift, flip, [shape[1], shape[2]], key);
                assert!(drawn.down.abs().max(drawn.right.abs()) <= shift as i64 && (flip || !drawn.flip), "{drawn:?}");
                seen.insert(drawn);
                let picture = normal::<f32>(shape.iter().product(), key.0);
                let mut out = vec![f32::NAN; picture.len()];
                of(shape, shift, flip).apply(key.0, key.1, key.2, &picture, &mut out).unwrap();
                assert_eq!(out, by_hand(drawn, shape, &picture), "{shape:?}, {drawn:?}");
            }
        }
    }
    assert!(seen.len() > 100, "{}", seen.len());
}

#[test]
fn every_shift_with_and_without_a_flip_is_as_frequent_as_any_other() {
    // Once over examples, once over epochs, once over seeds: 2 · 3 · 3 cells.
    let draws = 18_000;
    for over in 0..3 {
        let mut counts = std::collections::BTreeMap::new();
        for i in 0..draws {
            let key = [(3, 1, i), (3, i, 1), (i as u64, 3, 1)][over];
            *counts.entry(drawn(1, true, [3, 3], key)).or_insert(0) += 1;
        }
        let expected = draws as f64 / 18.0;
        let sigma = (expected * (1.0 - 1.0 / 18.0)).sqrt();
        assert_eq!(counts.len(), 18);
        for (drawn, count) in counts {
            assert!((f64::from(count) - expected).abs() < 5.0 * sigma, "{drawn:?}: {count} of {draws}");
        }
    }
}

#[test]
fn flipping_twice_is_no_flip_and_no_change_is_none() {
    let shape = [2, 3, 5];
    let picture = normal::<f64>(30, 1);
    let (mut once, mut twice, mut flips) = (picture.clone(), picture.clone(), 0);
    for example in 0..50 {
        let flip = Augmentation::new(shape).flip();
        flip.apply(0, 1, example, &picture, &mut once).unwrap();
        flip.apply(0, 1, example, &once, &mut twice).unwrap();
        assert_eq!(twice, picture);
        flips += usize::from(once != picture);
        Augmentation::new(shape).apply(0, 1, example, &picture, &mut once).unwrap();
        assert_eq!(once, picture);
    }
    assert!((10..40).contains(&flips));
}

#[test]
fn pictures_and_shifts_that_do_not_fit_are_refused() {
    let apply = |shape: [usize; 3], shift, len: usize, out: usize| {
        of(shape, shift, true).apply(0, 0, 0, &vec![1.0_f64; len], &mut vec![0.0; out])
    };
    assert!(matches!(apply([3, 2, 2], 1, 11, 12), Err(Error::Shape { expected: 12, found: 11, .. })));
    assert!(matches!(apply([3, 2, 2], 1, 12, 13), Err(Error::Shape { expected: 12, found: 13, .. })));
    for (shape, shift) in [([3, 2, 2], 2), ([1, 2, 6], 2), ([1, 6, 2], 2), ([12, 1, 1], 1), ([1, 3, 4], usize::MAX)] {
        let refused = apply(shape, shift, 12, 12);
        assert!(matches!(refused, Err(Error::HyperParameter { found, .. }) if found == shift as f64), "{refused:?}");
    }
    for shape in [[0, 2, 2], [2, 0, 2], [2, 2, 0], [0, usize::MAX, usize::MAX]] {
        assert!(apply(shape, 0, 0, 0).is_ok());
    }
    assert!(apply([usize::MAX, usize::MAX, 2], 0, 12, 12).is_err());
    let mut flat = [0.0; 3];
    Augmentation::new(3).flip().apply(0, 0, 0, &[1.0, 2.0, 3.0], &mut flat).unwrap();
    assert_eq!(flat, [1.0, 2.0, 3.0]);
}

const DIGITS: [usize; 3] = [1, 8, 8];

fn pictures<T: Scalar>() -> Dataset<T> {
    digits::<T>().unwrap().take(100).unwrap()
}

fn shifted() -> Augmentation {
    Augmentation::new(DIGITS).shift(2).flip()
}

/// Layers whose parameters were set, so that no fit starts them anew by its data.
fn network<T: Scalar>(threads: usize) -> DecoupledNetwork<T> {
    let mut network = DecoupledNetwork::builder(DIGITS)
        .conv2d(3, [3, 3], Activation::Tanh)
        .dense(12, Activation::Tanh)
        .dense(10, Activation::Identity)
        .output_loss(SoftmaxCrossEntropy::new())
        .optimizer(Sgd::new(0.1).momentum(0.5))
        .threads(threads)
        .build()
        .unwrap();
    let params = network.params(0).to_vec();
    network.set_params(0, &params).unwrap();
    network
}

/// Units apart and squared errors, for exact steps.
fn apart<T: Scalar>() -> DecoupledNetwork<T> {
    let mut network = DecoupledNetwork::builder(64)
        .store_pre_activations()
        .dense(9, Activation::Relu)
        .dense(10, Activation::Identity)
        .output_loss(SquaredError)
        .threads(2)
        .build()
        .unwrap();
    let params = network.params(0).to_vec();
    network.set_params(0, &params).unwrap();
    network
}

/// The data as an epoch sees them.
fn made<T: Scalar>(data: &Dataset<T>, augmentation: Augmentation, seed: u64, epoch: usize) -> Dataset<T> {
    let mut rows = Vec::new();
    for (example, picture) in data.inputs().columns().enumerate() {
        let mut row = vec![T::zero(); picture.len()];
        augmentation.apply(seed, epoch, example, picture, &mut row).unwrap();
        rows.push(row);
    }
    Dataset::classification(Examples::from_rows(&rows).unwrap(), data.labels().unwrap(), 10).unwrap()
}

fn equals_pictures_made_epoch_by_epoch<T: Scalar>(
    start: &DecoupledNetwork<T>,
    method: Option<&Method<T>>,
    config: &FitConfig<'_, T>,
    seed: u64,
) {
    let data = pictures::<T>();
    let (mut own, mut other) = (start.clone(), start.clone());
    let config = config.clone().seed(seed);
    let report = fit(&mut own, &data, method, config.clone().epochs(3).augment(shifted())).unwrap();
    let mut expected = Vec::new();
    for epoch in 1..=3 {
        let report = fit(&mut other, &made(&data, shifted(), seed, epoch), method, config.clone().epochs(1)).unwrap();
        expected.extend(losses(&report));
    }
    assert_eq!(losses(&report), expected, "{method:?}");
    assert_eq!(bits(&own), bits(&other), "{method:?}");
    if method.is_some() {
        assert_eq!(own.bank().unwrap().layer(1), other.bank().unwrap().layer(1), "{method:?}");
    }
}

#[test]
fn a_fit_equals_one_on_pictures_that_are_made_epoch_by_epoch() {
    for method in forgetful() {
        for batch in [7, 64, 100] {
            equals_pictures_made_epoch_by_epoch(
                &network::<f64>(2),
                method.as_ref(),
                &FitConfig::new().batch_size(batch),
                5,
            );
        }
    }
    for method in forgetful() {
        equals_pictures_made_epoch_by_epoch(&network::<f32>(1), method.as_ref(), &FitConfig::new().batch_size(50), 6);
    }
    let accumulated = FitConfig::new().batch_size(16).accumulate(3).shuffle_blocks(40);
    for method in [None, Some(Method::predictive_coding(2, 0.1))] {
        equals_pictures_made_epoch_by_epoch(&network::<f64>(2), method.as_ref(), &accumulated, 7);
    }
}

/// Exact steps read one layer at a time, from the bank and from the data.
#[test]
fn a_fit_whose_activations_stream_equals_one_on_pictures_that_are_made() {
    let exact = |timing| {
        let step = Exact { steps: 2, proximal: 1.0 };
        Method::bcd(1.0).start(Start::Anchored).activation(step).timing(timing)
    };
    for timing in [Timing::EveryStep, Timing::AfterRelaxation { local_steps: 2 }] {
        for method in [exact(timing), exact(timing).parameter(GradientStep)] {
            for batch in [30, 100] {
                let config = FitConfig::new().batch_size(batch);
                equals_pictures_made_epoch_by_epoch(&apart::<f64>(), Some(&method), &config, 8);
            }
        }
    }
}

#[test]
fn moments_of_earlier_batches_are_of_changed_pictures_too() {
    let squares = Ridge { ridge: 1.0, memory: 0.5, ..Ridge::default() };
    let method = Method::backprop_by_sweep().parameter(squares);
    let config = FitConfig::new().batch_size(50);
    equals_pictures_made_epoch_by_epoch(&apart::<f64>(), Some(&method), &config, 8);
}

#[test]
fn an_augmentation_that_changes_nothing_changes_no_bit() {
    let data = pictures::<f32>();
    let methods = builtin::gradient_methods().into_iter().map(|(_, method)| Some(method)).chain([None]);
    let mut kept = 0;
    for method in methods.filter(|method| method.as_ref().is_none_or(keeps_nothing)) {
        let config = FitConfig::new().epochs(2).batch_size(32);
        let (mut plain, mut augmented) = (network(2), network(2));
        let expected = fit(&mut plain, &data, method.as_ref(), config.clone()).unwrap();
        let found = fit(&mut augmented, &data, method.as_ref(), config.augment(Augmentation::new(DIGITS))).unwrap();
        assert_eq!((losses(&found), bits(&augmented)), (losses(&expected), bits(&plain)), "{method:?}");
        kept += 1;
    }
    assert!(kept > 6, "{kept}");
}

/// As its debug form says.
fn keeps_nothing<T: Scalar>(method: &Method<T>) -> bool {
    let text = format!("{method:?}");
    text.contains("start: Anchored") && text.contains("multipliers: None")
}

#[test]
fn pictures_are_the_same_at_any_number_of_threads() {
    let data = pictures::<f32>();
    for method in forgetful().into_iter().chain([Some(Method::red_black())]) {
        let run = |threads| {
            let mut network = network(threads);
            let config = FitConfig::new().epochs(2).batch_size(45).augment(shifted());
            let report = fit(&mut network, &data, method.as_ref(), config).unwrap();
            (losses(&report), bits(&network))
        };
        let alone = run(1);
        assert!((2..=4).all(|threads| run(threads) == alone), "{method:?}");
    }
}

#[test]
fn the_twin_by_backpropagation_sees_the_same_pictures() {
    let data = pictures::<f64>();
    let config = FitConfig::new().epochs(3).batch_size(20).augment(shifted());
    let (mut own, mut twin) = (network::<f64>(2), network(2));
    // Its gradients are backpropagation's, up to rounding.
    let report = own.fit(&data, &config.clone().method(Method::backprop_by_sweep())).unwrap();
    // Whatever the method, which backpropagation ignores.
    let of_twin = twin.fit_backprop(&data, &config.method(Method::joint(0.1))).unwrap();
    for (a, b) in report.epochs.iter().zip(&of_twin.epochs) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-9, "{} and {}", a.train_loss, b.train_loss);
    }
    for (a, b) in own.params(0).iter().zip(twin.params(0)) {
        assert!((a - b).abs() < 1e-9);
    }
}

#[test]
fn validation_and_predictions_take_pictures_as_they_are() {
    let data = pictures::<f64>();
    for backprop in [false, true] {
        let mut network = network::<f64>(2);
        let config = FitConfig::new().epochs(1).batch_size(25).augment(shifted()).validation(&data);
        let method = Method::default();
        let report = fit(&mut network, &data, (!backprop).then_some(&method), config).unwrap();
        let mut plain = self::network::<f64>(2);
        for t in 0..plain.depth() {
            plain.set_params(t, network.params(t)).unwrap();
        }
        assert_eq!(report.epochs[0].validation.unwrap(), plain.evaluate(&data).unwrap());
        assert_eq!(network.predict(data.inputs()).unwrap(), plain.predict(data.inputs()).unwrap());
    }
}

#[test]
fn a_finish_takes_pictures_as_they_are() {
    let data = pictures::<f64>();
    let mut network = network::<f64>(2);
    let config = FitConfig::new().epochs(2).batch_size(25).augment(shifted()).method(Method::default().finish(true));
    let refit = network.fit(&data, &config).unwrap().refit.unwrap();
    let loss = network.evaluate(&data).unwrap().loss;
    assert!((refit.after - loss).abs() < 1e-12 * loss && refit.after < refit.before, "{refit:?}, {loss}");
    let (stored, forward) = (network.bank().unwrap().layer(2), &network.activations(data.inputs()).unwrap()[1]);
    assert!((stored - forward).abs().max() < 1e-12);
}

#[test]
fn the_curvature_is_estimated_on_pictures_as_they_are() {
    let data = pictures::<f64>();
    let config = FitConfig::new().epochs(1).batch_size(50).method(Method::red_black());
    let estimate = |config| network::<f64>(1).fit(&data, &config).unwrap().epochs[0].curvature.unwrap();
    // At the first visit, before any parameter moves.
    assert_eq!(estimate(config.clone().augment(shifted())), estimate(config));
}

#[cfg(feature = "save")]
#[test]
fn a_fit_that_resumes_sees_the_pictures_of_one_that_was_not_interrupted() {
    let data = pictures::<f32>();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("augmented.checkpoint");
    let config = |epochs| FitConfig::new().epochs(epochs).batch_size(30).seed(9).augment(shifted());
    let mut whole = network::<f32>(2);
    whole.fit(&data, &config(5)).unwrap();
    let mut first = network::<f32>(2);
    first.fit(&data, &config(2)).unwrap();
    first.save_checkpoint(&path, &[]).unwrap();
    let mut second = network::<f32>(1);
    second.resume(&path, &mut []).unwrap();
    second.fit(&data, &config(3)).unwrap();
    assert_eq!(bits(&second), bits(&whole));
    assert_eq!(second.bank(), whole.bank());
}

#[test]
fn methods_that_keep_something_of_an_example_are_refused_before_anything_changes() {
    let data = pictures::<f64>();
    let config = FitConfig::new().epochs(1).batch_size(25).augment(shifted());
    let blend = Method::default().start(Start::Blend(0.5));
    let multipliers = Method::alm(0.5);
    for method in [Method::joint(0.1), Method::mac(1), blend, multipliers] {
        let mut network = network::<f64>(1);
        let before = bits(&network);
        let refused = network.fit(&data, &config.clone().method(method.clone()));
        assert!(matches!(&refused, Err(Error::Unsupported { what, .. }) if what.contains("augment")), "{refused:?}");
        assert!(bits(&network) == before && network.bank().is_none() && network.updates() == 0, "{method:?}");
    }
    for method in [Method::bcd(1.0), Method::admm(1.0)] {
        let mut network = apart::<f64>();
        let refused = network.fit(&data, &config.clone().method(method));
        assert!(matches!(&refused, Err(Error::Unsupported { what, .. }) if what.contains("augment")), "{refused:?}");
        assert!(network.bank().is_none());
    }
}

#[test]
fn data_and_networks_that_do_not_fit_an_augmentation_are_refused() {
    let data = pictures::<f64>();
    let refused = |augmentation| {
        let mut network = network::<f64>(1);
        let config = FitConfig::new().epochs(1).augment(augmentation);
        let errors = [network.fit(&data, &config).unwrap_err(), network.fit_backprop(&data, &config).unwrap_err()];
        assert!(network.bank().is_none() && network.updates() == 0);
        errors
    };
    for error in refused(Augmentation::new([3, 8, 8])) {
        assert!(matches!(error, Error::Shape { expected: 192, found: 64, .. }), "{error}");
    }
    // As long as the network's pictures, and of another shape.
    for error in refused(Augmentation::new([4, 4, 4])) {
        assert!(matches!(error, Error::ShapeMismatch { layer: 0, .. }), "{error}");
        assert!(error.to_string().contains("1×8×8") && error.to_string().contains("4×4×4"), "{error}");
    }
    for error in refused(Augmentation::new(DIGITS).shift(8)) {
        assert!(matches!(error, Error::HyperParameter { found: 8.0, .. }), "{error}");
    }
    // A dense layer reads pictures of any shape.
    let config = FitConfig::new().epochs(1).augment(Augmentation::new([4, 4, 4]).shift(1));
    apart::<f64>().fit_backprop(&data, &config).unwrap();

    let mut holes = data.inputs().as_slice().to_vec();
    holes[3] = f64::NAN;
    let holes = Examples::from_row_slice(&holes, 100, 64).unwrap().with_missing();
    let holes = Dataset::classification(holes, data.labels().unwrap(), 10).unwrap();
    let mut network = network::<f64>(1);
    let missing = network.fit(&holes, &FitConfig::new().augment(shifted()));
    assert!(matches!(&missing, Err(Error::Unsupported { why, .. }) if why.contains("missing")), "{missing:?}");
}

#[test]
fn a_bank_of_changed_pictures_is_not_gone_on_from_with_unchanged_ones() {
    let data = pictures::<f64>();
    let config = FitConfig::new().epochs(3).batch_size(25);
    let joint = config.clone().epochs(1).method(Method::joint(0.1));
    let (mut network, mut plain) = (network::<f64>(1), network::<f64>(1));
    network.fit(&data, &config.clone().augment(shifted())).unwrap();
    plain.fit(&data, &config).unwrap();
    let before = network.bank().unwrap().steps();
    assert!(before.iter().all(|&steps| steps > 0));
    network.fit(&data, &joint).unwrap();
    plain.fit(&data, &joint).unwrap();
    // One step of each, of a new bank; the other goes on.
    assert!(network.bank().unwrap().steps().iter().all(|&steps| steps == 1));
    assert!(plain.bank().unwrap().steps().iter().zip(&before).all(|(&steps, before)| steps == before + 1));
}

#[test]
fn a_bank_in_a_file_is_of_changed_pictures_or_of_unchanged_ones() {
    let data = pictures::<f64>();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("augmented.bank");
    std::fs::remove_file(&path).unwrap_or_default();
    let builder = DecoupledNetwork::<f64>::builder(64).dense(5, Activation::Tanh).dense(10, Activation::Identity);
    let mut network = builder.bank_file(&path, 40).threads(1).build().unwrap();
    let config = FitConfig::new().epochs(1).batch_size(20);
    network.fit(&data, &config.clone().augment(shifted())).unwrap();
    let before = bits(&network);
    let refused = network.fit(&data, &config);
    assert!(matches!(&refused, Err(Error::Format { place, .. }) if place.contains("fingerprint")), "{refused:?}");
    assert_eq!(bits(&network), before);
    network.fit(&data, &config.augment(shifted().shift(1))).unwrap();
}
