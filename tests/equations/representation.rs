//! Debiased CKA and Procrustes distances against NumPy, invariances and closed forms.

use std::collections::HashMap;

use decoupled::diagnostics::{cka, procrustes};
use decoupled::nalgebra::DMatrix;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Error, MatRef, Result, Scalar};

/// A `rows × cols` matrix of standard normal entries, by Box and Muller.
fn gaussian(rows: usize, cols: usize, seed: u64) -> DMatrix<f64> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    DMatrix::from_fn(rows, cols, |_, _| {
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    })
}

fn rotation(size: usize, seed: u64) -> DMatrix<f64> {
    gaussian(size, size, seed).qr().q()
}

#[track_caller]
fn near(found: Result<f64>, expected: f64, tolerance: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() <= tolerance, "{found}, expected {expected}");
}

/// Both, in this scalar, of matrices that may need rounding for it.
fn both<T: Scalar>(x: &DMatrix<f64>, y: &DMatrix<f64>) -> (Result<f64>, Result<f64>) {
    let (x, y) = (x.map(T::of), y.map(T::of));
    (cka::<T>((&x).into(), (&y).into()), procrustes::<T>((&x).into(), (&y).into()))
}

/// `tests/numpy/representation.py` forms the kernels, in fractions, and centres nothing.
#[test]
fn both_equal_a_computation_in_numpy() {
    let lines = include_str!("../numpy/representation.txt").lines().filter(|line| !line.starts_with('#'));
    let numbers: HashMap<&str, Vec<f64>> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(key, values)| (key, values.split_whitespace().map(|v| v.parse().unwrap()).collect()))
        .collect();
    let pairs: Vec<&str> = numbers.keys().filter_map(|key| key.strip_suffix("/shape")).collect();
    assert_eq!(pairs.len(), 14);
    for pair in pairs {
        let of = |what: &str| &numbers[&*format!("{pair}/{what}")];
        let [n, above, below] = of("shape")[..] else { panic!("{pair}") };
        let matrix = |what, rows: f64| DMatrix::from_column_slice(rows as usize, n as usize, of(what));
        let (x, y) = (matrix("x", above), matrix("y", below));
        let (alignment, distance) = both::<f64>(&x, &y);
        near(alignment, of("cka")[0], 1e-12);
        near(distance, of("procrustes")[0], 1e-12);
        let (alignment, distance) = both::<f32>(&x, &y);
        near(alignment, of("cka")[0], 1e-4);
        near(distance, of("procrustes")[0], 1e-5);
    }
}

#[test]
fn rotations_factors_and_shifts_change_nothing() {
    for (rows, n) in [(1, 4), (3, 10), (12, 9), (30, 200)] {
        let (x, y) = (gaussian(rows, n, 1), gaussian(5, n, 2));
        let shift = gaussian(rows, 1, 4) * DMatrix::from_element(1, n, 30.0);
        let moved = rotation(rows, 3) * &x * -7.0 + shift;
        // Into more rows as well.
        let wider = rotation(rows + 4, 5) * x.clone().resize_vertically(rows + 4, 0.0);
        for image in [&moved, &wider, &x] {
            let (alignment, distance) = both::<f64>(&x, image);
            near(alignment, 1.0, 1e-12);
            near(distance, 0.0, 1e-12);
            let ((before, far), (after, far_after)) = (both::<f64>(&x, &y), both::<f64>(image, &y));
            near(after, before.unwrap(), 1e-12);
            near(far_after, far.unwrap(), 1e-12);
        }
        assert!(procrustes((&x).into(), (&y).into()).unwrap() > 0.0);
    }
}

#[test]
fn both_are_symmetric_and_stay_within_their_bounds() {
    for seed in 0..200 {
        let (n, rows) = (4 + seed as usize % 7, 1 + seed as usize % 5);
        let (x, y) = (gaussian(rows, n, seed), gaussian(1 + seed as usize % 3, n, seed + 1000));
        let ((alignment, distance), (back, back_distance)) = (both::<f64>(&x, &y), both::<f64>(&y, &x));
        let (alignment, distance) = (alignment.unwrap(), distance.unwrap());
        assert!((-1.0..=1.0).contains(&alignment) && (0.0..=2.0).contains(&distance), "{alignment}, {distance}");
        near(back, alignment, 1e-12);
        near(back_distance, distance, 1e-12);
    }
}

/// The plain estimator, from kernels that are centred and keep their diagonal.
fn biased(x: &DMatrix<f64>, y: &DMatrix<f64>) -> f64 {
    let kernel = |x: &DMatrix<f64>| {
        let mean = x.column_mean();
        let centred = DMatrix::from_fn(x.nrows(), x.ncols(), |i, j| x[(i, j)] - mean[i]);
        centred.transpose() * centred
    };
    let (k, l) = (kernel(x), kernel(y));
    k.dot(&l) / (k.norm() * l.norm())
}

#[test]
fn independent_representations_are_not_alike_however_wide() {
    for (rows, n) in [(200, 20), (500, 50), (20, 200)] {
        let draws = 60;
        let pairs: Vec<_> =
            (0..draws).map(|seed| (gaussian(rows, n, 2 * seed), gaussian(rows, n, 2 * seed + 1))).collect();
        let mean = |f: &dyn Fn(&DMatrix<f64>, &DMatrix<f64>) -> f64| {
            pairs.iter().map(|(x, y)| f(x, y)).sum::<f64>() / draws as f64
        };
        let debiased = mean(&|x, y| both::<f64>(x, y).0.unwrap());
        // Its standard deviation is about √2/n for each draw.
        assert!(debiased.abs() < 4.0 * 2f64.sqrt() / (n as f64 * (draws as f64).sqrt()), "{rows}, {n}: {debiased}");
        let plain = mean(&|x, y| biased(x, y));
        let expected = rows as f64 / (n + rows) as f64;
        assert!((plain - expected).abs() < 0.15 * expected, "{rows}, {n}: {plain} instead of {expected}");
    }
}

#[test]
fn small_distances_have_closed_forms() {
    // XYᵀ = diag(2, 4), ‖X‖ = 2, ‖Y‖ = √10.
    let x = [1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0];
    let y = [1.0, 0.0, -1.0, 0.0, 0.0, 2.0, 0.0, -2.0];
    let wide = |data| MatRef::<f64>::new(data, 2, 4);
    near(procrustes(wide(&x), wide(&y)), 2.0 - 6.0 / 10f64.sqrt(), 1e-14);
    // One row each: 2 − 2·|correlation|; these two have 0, and 1/2.
    let line = |data| MatRef::<f64>::new(data, 1, 4);
    near(procrustes(line(&[1.0, -1.0, 1.0, -1.0]), line(&[1.0, 1.0, -1.0, -1.0])), 2.0, 1e-14);
    near(procrustes(MatRef::new(&[1.0, -1.0, 0.0], 1, 3), MatRef::new(&[0.0, 1.0, -1.0], 1, 3)), 1.0, 1e-14);
    // One row against two that hold it and another as large, which it knows nothing of: ‖XYᵀ‖_* = 1/√2.
    let two = [1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
    near(procrustes(line(&[1.0, -1.0, 1.0, -1.0]), wide(&two)), 2.0 - 2f64.sqrt(), 1e-14);
}

#[test]
fn no_scale_overflows_and_no_shift_cancels() {
    let (x, y) = (gaussian(4, 30, 1), gaussian(6, 30, 2));
    let (alignment, distance) = both::<f64>(&x, &y);
    let (alignment, distance) = (alignment.unwrap(), distance.unwrap());
    for factor in [1e-300, 1e-160, 1e160, 1e300] {
        let (found, far) = both::<f64>(&(&x * factor), &(&y * factor));
        near(found, alignment, 1e-12);
        near(far, distance, 1e-12);
    }
    for factor in [1e-30, 1e30] {
        let (found, far) = both::<f32>(&(&x * factor), &y);
        near(found, alignment, 1e-5);
        near(far, distance, 1e-5);
    }
    let (found, far) = both::<f64>(&x.add_scalar(1e6), &y.add_scalar(-1e6));
    near(found, alignment, 1e-8);
    near(far, distance, 1e-8);
}

#[test]
fn a_representation_that_does_not_vary_is_like_nothing() {
    let x = gaussian(3, 10, 1);
    let rows = [0.1, -1e7, 1.0 / 3.0];
    let constant = DMatrix::from_fn(3, 10, |i, _| rows[i]);
    let outlier = DMatrix::from_fn(3, 10, |i, j| if j == 4 { rows[i] } else { 0.7 });
    let zero = DMatrix::zeros(3, 10);
    for other in [&constant, &zero] {
        let (alignment, distance) = both::<f64>(&x, other);
        near(alignment, 0.0, 0.0);
        near(distance, 1.0, 0.0);
        let (alignment, distance) = both::<f64>(&constant, other);
        near(alignment, 0.0, 0.0);
        near(distance, 0.0, 0.0);
    }
    // Nine equal examples and one other: no two off the diagonal say anything.
    for other in [&x, &outlier] {
        near(both::<f64>(&outlier, other).0, 0.0, 0.0);
    }
    assert!(both::<f64>(&outlier, &outlier).1.unwrap() < 1e-12);
}

#[test]
fn what_has_no_answer_is_a_typed_error() {
    let x = gaussian(3, 10, 1);
    let (fewer, three) = (x.columns(0, 9).into_owned(), x.columns(0, 3).into_owned());
    let (alignment, distance) = both::<f64>(&x, &fewer);
    for result in [alignment, distance] {
        assert!(matches!(result, Err(Error::Shape { expected: 10, found: 9, .. })), "{result:?}");
    }
    let (alignment, distance) = both::<f64>(&three, &three);
    assert!(matches!(alignment, Err(Error::HyperParameter { found: 3.0, .. })), "{alignment:?}");
    near(distance, 0.0, 1e-12);
    near(procrustes(MatRef::new(&[1.0], 1, 1), MatRef::new(&[2.0], 1, 1)), 0.0, 0.0);
    let empty = MatRef::<f64>::new(&[], 0, 10);
    assert!(matches!(cka(empty, empty), Err(Error::Empty { .. })));
    assert!(matches!(procrustes(MatRef::<f64>::new(&[], 2, 0), empty), Err(Error::Empty { .. })));
    for bad in [f64::NAN, f64::INFINITY] {
        let mut y = x.clone();
        y[(2, 7)] = bad;
        let result = both::<f64>(&x, &y).0;
        assert!(matches!(result, Err(Error::NotFinite { example: 7, row: 2, .. })), "{result:?}");
    }
}

#[test]
fn single_precision_costs_no_more_digits_than_its_inputs_lack() {
    for (rows, n) in [(64, 500), (300, 40)] {
        let x = gaussian(rows, n, 1);
        let y = gaussian(rows, rows, 3) * &x + gaussian(rows, n, 2) * 3.0;
        let ((alignment, distance), (single, single_distance)) = (both::<f64>(&x, &y), both::<f32>(&x, &y));
        near(single, alignment.unwrap(), 1e-6);
        near(single_distance, distance.unwrap(), 1e-6);
    }
}
