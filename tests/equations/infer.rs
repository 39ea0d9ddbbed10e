//! What is inferred from partial knowledge, against dense linear algebra, formulas and identities.

use std::ops::Range;

use decoupled::layer::{Activation, Dense, Init, LayerNorm};
use decoupled::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy};
use decoupled::nalgebra::{DMatrix, DVector};
use decoupled::network::{Evidence, InferConfig, Inference};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{DecoupledNetwork, Error, Scalar};

type Net = DecoupledNetwork<f64>;

fn normal(rng: &mut ChaCha12Rng, rows: usize, cols: usize) -> DMatrix<f64> {
    DMatrix::from_fn(rows, cols, |_, _| f64::standard_normal(rng))
}

fn mask(rng: &mut ChaCha12Rng, rows: usize, cols: usize) -> DMatrix<bool> {
    DMatrix::from_fn(rows, cols, |_, _| rng.random())
}

const WIDTHS: [usize; 5] = [4, 5, 3, 6, 4];
const PENALTIES: [f64; 3] = [0.7, 2.0, 1.3];

/// Affine layers of [`WIDTHS`], squared errors of weights [`PENALTIES`].
fn chain() -> Net {
    let mut builder = Net::builder(WIDTHS[0]);
    for &width in &WIDTHS[1..] {
        builder = builder.dense_with(width, Activation::Identity, Init::lecun_normal());
    }
    for (t, &penalty) in (1..).zip(&PENALTIES) {
        builder = builder.layer_penalty(t, penalty);
    }
    let mut net = builder.build().unwrap();
    let mut rng = ChaCha12Rng::seed_from_u64(5);
    for t in 0..net.depth() {
        let params: Vec<f64> = net.params(t).iter().map(|p| p + 0.2 * f64::standard_normal(&mut rng)).collect();
        net.set_params(t, &params).unwrap();
    }
    net
}

/// W_t and b_t, read off from what the layers make of unit vectors.
fn affine(net: &Net) -> Vec<(DMatrix<f64>, DVector<f64>)> {
    (0..net.depth())
        .map(|t| {
            let (inputs, outputs) = (WIDTHS[t], WIDTHS[t + 1]);
            let single = |x: DMatrix<f64>| {
                let mut layer = Net::builder(inputs).layer(Dense::new(inputs, outputs)).build().unwrap();
                layer.set_params(0, net.params(t)).unwrap();
                layer.predict(&x).unwrap()
            };
            let shift = single(DMatrix::zeros(inputs, 1)).column(0).into_owned();
            let mut weights = single(DMatrix::identity(inputs, inputs));
            weights.column_iter_mut().for_each(|mut column| column -= &shift);
            (weights, shift)
        })
        .collect()
}

/// z_0 … z_{T−1} of one example, the free ones where ½Σ μ_t‖z_t − W z_{t−1} − b‖² over the known rows of the output is least: the
/// normal equations of the free entries, solved densely.
fn least(net: &Net, known: &[Option<f64>], outputs: &[Option<f64>]) -> Vec<f64> {
    let first = |t: usize| WIDTHS[..t].iter().sum::<usize>();
    let top = net.depth();
    let mut rows: Vec<(DVector<f64>, f64)> = Vec::new();
    for (t, (weights, shift)) in (1..).zip(affine(net)) {
        for k in 0..WIDTHS[t] {
            let mut row = DVector::zeros(known.len());
            for j in 0..WIDTHS[t - 1] {
                row[first(t - 1) + j] = -weights[(k, j)];
            }
            let scale = if t < top { PENALTIES[t - 1].sqrt() } else { 1.0 };
            if t < top {
                row[first(t) + k] += 1.0;
                rows.push((row * scale, -shift[k] * scale));
            } else if let Some(y) = outputs[k] {
                rows.push((row, y - shift[k]));
            }
        }
    }
    let free: Vec<usize> = (0..known.len()).filter(|&i| known[i].is_none()).collect();
    let a = DMatrix::from_fn(rows.len(), free.len(), |r, c| rows[r].0[free[c]]);
    let b = DVector::from_fn(rows.len(), |r, _| {
        rows[r].1 + known.iter().enumerate().fold(0.0, |sum, (i, z)| sum + z.map_or(0.0, |z| rows[r].0[i] * z))
    });
    let found = (a.transpose() * &a).cholesky().expect("a single minimum").solve(&(-(a.transpose() * b)));
    let mut z: Vec<f64> = known.iter().map(|z| z.unwrap_or(0.0)).collect();
    free.iter().zip(found.iter()).for_each(|(&i, &value)| z[i] = value);
    z
}

fn stacked(found: &Inference<f64>, example: usize) -> Vec<f64> {
    [&found.inputs]
        .into_iter()
        .chain(&found.hidden)
        .flat_map(|z| z.column(example).iter().copied().collect::<Vec<_>>())
        .collect()
}

fn exact() -> InferConfig {
    InferConfig::new().steps(2000).tolerance(1e-9)
}

#[test]
fn a_linear_chain_goes_to_the_solution_of_its_normal_equations() {
    let net = chain();
    let (n, top) = (7, net.depth());
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let mut values: Vec<DMatrix<f64>> = WIDTHS.iter().map(|&width| normal(&mut rng, width, n)).collect();
    let mut known: Vec<DMatrix<bool>> = WIDTHS.iter().map(|&width| mask(&mut rng, width, n)).collect();
    // As many inputs free as there are outputs known at most, so that there is one minimum.
    for i in 0..n {
        let free = i.min(known[top].column(i).iter().filter(|known| **known).count());
        (0..WIDTHS[0]).for_each(|row| known[0][(row, i)] = row >= free);
    }
    // Hidden layer 2 is free altogether, and nothing is said of it.
    known[2].fill(false);
    // What is not known of an output is not read.
    values[top].iter_mut().zip(known[top].iter()).filter(|(_, known)| !**known).for_each(|(y, _)| *y = f64::NAN);
    let mut evidence = Evidence::new();
    for t in [4, 0, 3, 1] {
        evidence = evidence.clamp_where(t, &values[t], &known[t]);
    }
    let found = net.infer(&evidence, &exact()).unwrap();
    assert!((0..n).any(|i| known[0].column(i).iter().any(|known| !known)));
    for i in 0..n {
        let told = |span: Range<usize>| -> Vec<Option<f64>> {
            span.flat_map(|t| (0..WIDTHS[t]).map(move |row| (t, row)))
                .map(|(t, row)| known[t][(row, i)].then(|| values[t][(row, i)]))
                .collect()
        };
        let expected = least(&net, &told(0..top), &told(top..top + 1));
        let z = stacked(&found, i);
        for (entry, (&z, told)) in z.iter().zip(told(0..top)).enumerate() {
            assert!((z - expected[entry]).abs() < 1e-6, "example {i}, {entry}: {z} instead of {}", expected[entry]);
            assert!(told.is_none_or(|told| told.to_bits() == z.to_bits()));
        }
        // Conjugate gradients are exact after as many steps as there are free entries, but for rounding.
        let free = told(0..top).iter().filter(|told| told.is_none()).count();
        assert!(found.converged[i] && (1..free + 5).contains(&found.steps[i]), "{} steps for {free}", found.steps[i]);
        assert!(found.energies[i] <= found.energies_before[i]);
        let (weights, shift) = &affine(&net)[top - 1];
        let output = weights * found.hidden[top - 2].column(i) + shift;
        assert!((output - found.outputs.column(i)).amax() < 1e-12);
    }
}

#[test]
fn between_a_known_input_and_a_known_output_the_residuals_are_those_of_the_equilibrium_formula() {
    // ε_t = P_tᵀ S⁻¹ r / μ_t, E = ½ rᵀS⁻¹r, S = I + Σ P_t P_tᵀ/μ_t, r = y − forward(x).
    let net = chain();
    let (n, top) = (3, net.depth());
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let (x, y) = (normal(&mut rng, WIDTHS[0], n), normal(&mut rng, WIDTHS[top], n));
    let found = net.infer(&Evidence::new().clamp(0, &x).clamp(top, &y), &exact()).unwrap();
    let layers = affine(&net);
    let pulls: Vec<DMatrix<f64>> = (0..top)
        .map(|t| layers[t..].iter().fold(DMatrix::identity(WIDTHS[t], WIDTHS[t]), |product, (w, _)| w * product))
        .collect();
    let mut s = DMatrix::identity(WIDTHS[top], WIDTHS[top]);
    (1..top).for_each(|t| s += &pulls[t] * pulls[t].transpose() / PENALTIES[t - 1]);
    let r = &y - net.predict(&x).unwrap();
    let solved = s.cholesky().unwrap().solve(&r);
    for t in 1..top {
        let below = if t == 1 { &found.inputs } else { &found.hidden[t - 2] };
        let mut residual = found.hidden[t - 1].clone() - &layers[t - 1].0 * below;
        residual.column_iter_mut().for_each(|mut column| column -= &layers[t - 1].1);
        let expected = pulls[t].transpose() * &solved / PENALTIES[t - 1];
        assert!(expected.amax() > 1e-2);
        assert!((residual - expected).amax() < 1e-6, "layer {t}");
    }
    for i in 0..n {
        assert!((found.energies[i] - 0.5 * r.column(i).dot(&solved.column(i))).abs() < 1e-9);
        assert!((found.energies_before[i] - 0.5 * r.column(i).norm_squared()).abs() < 1e-9);
    }
    assert_eq!(found.inputs, x);
}

fn nonlinear(threads: usize) -> Net {
    Net::builder(6)
        .dense(9, Activation::Tanh)
        .layer(LayerNorm::new(9))
        .dense(8, Activation::Softplus)
        .dense(5, Activation::Identity)
        .layer_penalty(2, 0.3)
        .threads(threads)
        .build()
        .unwrap()
}

#[test]
fn a_known_input_alone_gives_the_forward_pass() {
    let net = nonlinear(2);
    let x = normal(&mut ChaCha12Rng::seed_from_u64(3), 6, 300);
    let found = net.infer(&Evidence::new().clamp(0, &x), &InferConfig::new().tolerance(0.0)).unwrap();
    assert_eq!(found.inputs, x);
    assert_eq!(found.outputs, net.predict(&x).unwrap());
    let activations = net.activations(&x).unwrap();
    assert_eq!(found.hidden, activations[..3]);
    assert!(found.converged.iter().all(|converged| *converged) && found.steps.iter().all(|&steps| steps == 0));
    assert!(found.energies.iter().all(|&energy| energy == 0.0));
}

#[test]
fn clamped_entries_stay_free_ones_move_and_no_energy_rises() {
    let net = nonlinear(1);
    let params: Vec<Vec<f64>> = (0..net.depth()).map(|t| net.params(t).to_vec()).collect();
    let mut rng = ChaCha12Rng::seed_from_u64(4);
    let (n, widths) = (20, [6, 9, 9, 8, 5]);
    let mut values: Vec<DMatrix<f64>> = widths.iter().map(|&width| normal(&mut rng, width, n)).collect();
    values[0].fill(-0.0);
    let known: Vec<DMatrix<bool>> = widths.iter().map(|&width| mask(&mut rng, width, n)).collect();
    let evidence = (0..5).fold(Evidence::new(), |e, t| e.clamp_where(t, &values[t], &known[t]));
    let mut last = None;
    for steps in 1..40 {
        let found = net.infer(&evidence, &InferConfig::new().steps(steps).tolerance(0.0)).unwrap();
        let (mut moved, mut free) = (0, 0);
        for (t, z) in [&found.inputs].into_iter().chain(&found.hidden).enumerate() {
            for ((z, value), known) in z.iter().zip(values[t].iter()).zip(known[t].iter()) {
                assert!(!known || z.to_bits() == value.to_bits());
                free += usize::from(!known);
                moved += usize::from(!known && z != value);
            }
        }
        assert!(free > 200 && moved == free, "{moved} of {free}");
        let before = last.replace(found.clone()).map_or(found.energies_before, |last| last.energies);
        assert!(found.energies.iter().zip(&before).all(|(now, before)| now <= before));
        assert!(steps > 5 || found.energies.iter().zip(&before).all(|(now, before)| now < before));
    }
    assert!((0..net.depth()).all(|t| net.params(t) == params[t]));
}

#[test]
fn where_an_example_has_converged_no_entry_has_a_slope() {
    // Central differences of the energy, and the objective's own energies, over what is free.
    let net = nonlinear(1);
    let mut rng = ChaCha12Rng::seed_from_u64(6);
    let (n, widths) = (4, [6, 9, 9, 8, 5]);
    // Outputs near those of inputs that exist: what no input explains may send one to infinity.
    let x = normal(&mut rng, 6, n);
    let start = &x + 0.3 * normal(&mut rng, 6, n);
    let y = net.predict(&x).unwrap() + 0.1 * normal(&mut rng, 5, n);
    let half = DMatrix::from_fn(6, n, |row, _| row < 3);
    let evidence = Evidence::new().clamp_where(0, &start, &half).clamp(4, &y);
    let found = net.infer(&evidence, &InferConfig::new().steps(2000).tolerance(1e-5)).unwrap();
    assert!(found.converged.iter().all(|converged| *converged), "{:?}", found.steps);
    assert_ne!(found.inputs, start);
    let objective = net.objective();
    let mut block = objective.block(n);
    for (t, z) in [&found.inputs].into_iter().chain(&found.hidden).chain([&y]).enumerate() {
        block.stored_mut(t).copy_from_slice(z.as_slice());
    }
    let total: f64 = found.energies.iter().sum();
    assert!((objective.energy(&mut block).unwrap() - total).abs() < 1e-12 * total);
    for (t, width) in widths.into_iter().enumerate().take(4) {
        for entry in (0..width * n).filter(|entry| t > 0 || entry % 6 >= 3) {
            let mut at = |h: f64| {
                block.stored_mut(t)[entry] += h;
                let energy = objective.energy(&mut block).unwrap();
                block.stored_mut(t)[entry] -= h;
                energy
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(slope.abs() < 2e-5, "z_{t}, entry {entry}: {slope}");
        }
    }
}

#[test]
fn a_loss_counts_the_known_rows_alone() {
    let (n, free) = (2, InferConfig::new().steps(1));
    let target = DMatrix::from_column_slice(3, n, &[1.0, 0.0, 7.0, 0.0, 1.0, 0.0]);
    let known = DMatrix::from_column_slice(3, n, &[true, true, false, true, true, true]);
    let x = DMatrix::from_column_slice(3, n, &[0.5, -0.2, 4.0, 0.1, 0.2, -0.3]);
    let net = Net::builder(3).layer(decoupled::layer::Elementwise::new(3, Activation::Identity));
    let found = net.output_loss(SoftmaxCrossEntropy::new()).build().unwrap();
    let found = found.infer(&Evidence::new().clamp(0, &x).clamp_where(1, &target, &known), &free).unwrap();
    // −log of e^½/(e^½ + e^−⅕), and of e^⅕/(e^⅒ + e^⅕ + e^−3/10).
    let expected = [(1.0 + (-0.7f64).exp()).ln(), (1.0 + (-0.1f64).exp() + (-0.5f64).exp()).ln()];
    assert!(found.energies.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12));
    let net = Net::builder(3).layer(decoupled::layer::Elementwise::new(3, Activation::Identity));
    let found = net.output_loss(BinaryCrossEntropy).build().unwrap();
    let found = found.infer(&Evidence::new().clamp(0, &x).clamp_where(1, &target, &known), &free).unwrap();
    let expected = (1.0 + (-0.5f64).exp()).ln() + (1.0 + (-0.2f64).exp()).ln();
    assert!((found.energies[0] - expected).abs() < 1e-12);
}

#[test]
fn an_example_does_not_depend_on_its_company_and_nothing_on_the_threads() {
    let mut rng = ChaCha12Rng::seed_from_u64(8);
    let n = 300;
    let (x, y) = (normal(&mut rng, 6, n), normal(&mut rng, 5, n));
    let (inputs, outputs) = (mask(&mut rng, 6, n), mask(&mut rng, 5, n));
    let evidence = Evidence::new().clamp_where(0, &x, &inputs).clamp_where(4, &y, &outputs);
    let config = InferConfig::new().steps(20);
    let found = nonlinear(1).infer(&evidence, &config).unwrap();
    assert_eq!(found, nonlinear(2).infer(&evidence, &config).unwrap());
    for i in [0, 255, 256, 299] {
        let one = |m: &DMatrix<f64>| m.columns(i, 1).into_owned();
        let (x, y, inputs, outputs) =
            (one(&x), one(&y), inputs.columns(i, 1).into_owned(), outputs.columns(i, 1).into_owned());
        let evidence = Evidence::new().clamp_where(0, &x, &inputs).clamp_where(4, &y, &outputs);
        let alone = nonlinear(1).infer(&evidence, &config).unwrap();
        assert!((alone.inputs - one(&found.inputs)).amax() < 1e-6, "example {i}");
        assert!((alone.energies[0] - found.energies[i]).abs() < 1e-9, "example {i}");
    }
}

#[test]
fn nothing_said_of_an_input_frees_it_from_zero() {
    let (net, y) = (chain(), DMatrix::from_element(4, 1, 0.5));
    let zero = DMatrix::zeros(4, 1);
    let none = DMatrix::from_element(4, 1, false);
    let said = Evidence::new().clamp(4, &y).clamp_where(0, &zero, &none);
    let found = net.infer(&said, &exact()).unwrap();
    assert!(found.inputs.amax() > 0.0);
    assert_eq!(net.infer(&Evidence::new().clamp(4, &y), &exact()).unwrap(), found);
}

/// ½ (y − x)² with the map x ↦ x: before any step of the start that was given, and zero where x has come to y.
#[test]
fn a_free_input_starts_where_it_is_told() {
    let mut net = Net::builder(2).dense(2, Activation::Identity).build().unwrap();
    net.set_params(0, &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
    let (start, y) = (DMatrix::from_column_slice(2, 1, &[3.0, -2.0]), DMatrix::from_element(2, 1, 1.0));
    for (known, before, after) in [
        ([false, false], 0.5 * (4.0 + 9.0), 0.0),
        ([false, true], 0.5 * (4.0 + 9.0), 0.5 * 9.0),
        ([true, true], 0.5 * (4.0 + 9.0), 0.5 * (4.0 + 9.0)),
    ] {
        let known = DMatrix::from_column_slice(2, 1, &known);
        let found = net.infer(&Evidence::new().clamp(1, &y).clamp_where(0, &start, &known), &exact()).unwrap();
        assert_eq!(found.energies_before, [before], "{known}");
        assert!((found.energies[0] - after).abs() < 1e-12, "{known}: {:?}", found.energies);
    }
    // With nothing said it starts at zero.
    let found = net.infer(&Evidence::new().clamp(1, &y), &exact()).unwrap();
    assert_eq!(found.energies_before, [1.0]);
}

#[test]
fn evidence_that_does_not_fit_is_refused() {
    let net = nonlinear(1);
    let config = InferConfig::new();
    let (x, y, nothing) = (DMatrix::zeros(6, 2), DMatrix::zeros(5, 2), DMatrix::from_element(6, 2, false));
    let error = |evidence: Evidence<'_, f64>| net.infer(&evidence, &config).unwrap_err();
    assert!(matches!(error(Evidence::new()), Error::Empty { .. }));
    assert!(matches!(error(Evidence::new().clamp_where(0, &x, &nothing)), Error::Empty { .. }));
    assert!(matches!(error(Evidence::new().clamp(0, &DMatrix::zeros(6, 0))), Error::Empty { .. }));
    assert!(matches!(error(Evidence::new().clamp(5, &x)), Error::LayerIndex { count: 5, found: 5, .. }));
    let shape = |error: Error, at, wanted, given| match error {
        Error::InLayer { layer, source } => {
            assert!(
                matches!(*source, Error::Shape { expected, found, .. } if (layer, expected, found) == (at, wanted, given))
            );
        }
        other => panic!("{other}"),
    };
    shape(error(Evidence::new().clamp(4, &x)), 4, 5, 6);
    shape(error(Evidence::new().clamp(4, &y).clamp(0, &DMatrix::zeros(6, 3))), 0, 2, 3);
    shape(error(Evidence::new().clamp_where(4, &y, &nothing)), 4, 5, 6);
    shape(error(Evidence::new().clamp_where(0, &x, &DMatrix::from_element(6, 1, true))), 0, 2, 1);

    let mut bad = x.clone();
    bad[(4, 1)] = f64::NAN;
    let finite = |error| matches!(error, Error::NotFinite { example: 1, row: 4, .. });
    assert!(finite(error(Evidence::new().clamp(0, &bad))));
    let mut all_but = nothing.clone();
    all_but[0] = true;
    assert!(finite(error(Evidence::new().clamp_where(0, &bad, &all_but))));
    let mut bad = DMatrix::zeros(9, 2);
    bad[(4, 1)] = f64::INFINITY;
    assert!(finite(error(Evidence::new().clamp(2, &bad))));
    // What is not known of a hidden layer is not read.
    let known = DMatrix::from_fn(9, 2, |row, _| row == 0);
    assert!(net.infer(&Evidence::new().clamp_where(2, &bad, &known), &config).is_ok());
    // Energies beyond the numbers.
    let mut far = y.clone();
    far[(0, 1)] = 1e200;
    assert!(matches!(error(Evidence::new().clamp(0, &x).clamp(4, &far)), Error::NotFinite { example: 1, .. }));

    for config in [config.steps(0), config.tolerance(-1.0), config.tolerance(f64::NAN)] {
        let error = net.infer(&Evidence::new().clamp(0, &x), &config).unwrap_err();
        assert!(matches!(error, Error::HyperParameter { .. }));
    }
    let classifier = Net::builder(6).dense(5, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
    let mut targets = y.clone();
    targets[(2, 0)] = 1.0;
    let error = classifier.build().unwrap().infer(&Evidence::new().clamp(1, &targets), &config).unwrap_err();
    assert!(matches!(error, Error::Target { example: 1, .. }));
}
