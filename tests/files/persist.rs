//! Networks in files: what comes back, what other programs make of them, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use decoupled::bank::Storage;
use decoupled::data::{Examples, Scaler};
use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init, LayerNorm, Residual, Tensor};
use decoupled::method::{Coupling, GradientStep, Ridge, Start, Timing};
use decoupled::optimizer::{Adam, ClipNorm, Schedule, Scheduled, Sgd};
use decoupled::rand::{SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, Error, FitConfig, Layer, Loss, MatMut, MatRef, Method, Model, NetworkBuilder, Scalar,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::builtin;
use crate::common::{draw, moved, path, place, small};

fn bits<T: Scalar>(values: &[T]) -> Vec<u64> {
    values.iter().map(|v| v.to_f64().to_bits()).collect()
}

/// Layers with settings of every kind, and the layers in them.
fn deep<T: Scalar>(activation: Activation) -> NetworkBuilder<T> {
    let inner = Chain::new()
        .then(Elementwise::new(5, activation))
        .then(Residual::new(Dense::new(5, 5).without_bias().init(Init::orthogonal().gain(0.1 + 0.2))))
        .then(Chain::new().then(LayerNorm::new(5).epsilon(1e-5 / 3.0)));
    DecoupledNetwork::builder(4)
        .layer(Dense::new(4, 5).init(Init::constant(-1.0 / 3.0)).bias(-0.0))
        .layer(Residual::new(inner))
        .layer(Elementwise::new(5, Activation::Sign).straight_through())
        .layer(LayerNorm::new(5))
        .store_pre_activations()
        .dense(3, activation)
}

/// Layers with all their settings, their parameters, and the loss.
fn described_by_debug<T: Scalar>(network: &DecoupledNetwork<T>) -> [String; 2] {
    let all = format!("{network:?}");
    let (layers, loss) = all.split_once(", output_loss: ").unwrap();
    [layers.to_owned(), loss.split_once(", decision: ").unwrap().0.to_owned()]
}

fn comes_back<T: Scalar>(name: &str, builder: NetworkBuilder<T>) {
    let network = moved(builder);
    let path = path(name);
    network.save(&path).unwrap();
    let loaded = DecoupledNetwork::<T>::load(&path).unwrap();
    assert_eq!(described_by_debug(&loaded), described_by_debug(&network));
    let inputs = draw::<T>(network.input_dim() * 300, 9);
    let inputs = MatRef::new(&inputs, network.input_dim(), 300);
    let outputs = |network: &DecoupledNetwork<T>| bits(network.predict(inputs).unwrap().as_slice());
    assert_eq!(outputs(&loaded), outputs(&network));
    let mut again = loaded.clone();
    again.save(&path).unwrap();
    again.load_params(&path).unwrap();
    assert_eq!(outputs(&again), outputs(&network));
}

#[test]
fn every_built_in_layer_comes_back_with_the_same_predictions_bit_for_bit() {
    fn all<T: Scalar>(name: &str) {
        for activation in builtin::ACTIVATIONS {
            comes_back::<T>(name, deep(activation));
        }
        for layer in builtin::layers::<T>(&mut ChaCha12Rng::seed_from_u64(1)) {
            // Beside another, for there is no file of a network without parameters.
            let below = Dense::new(2, layer.input_dim());
            comes_back(name, DecoupledNetwork::builder(2).layer(below).layer(layer));
        }
    }
    all::<f32>("layers-f32");
    all::<f64>("layers-f64");
}

#[test]
fn every_built_in_loss_comes_back() {
    for loss in builtin::losses::<f64>() {
        comes_back("losses", DecoupledNetwork::builder(2).dense(3, Activation::Relu).output_loss(loss));
    }
}

#[test]
fn a_network_that_was_loaded_can_be_trained() {
    let path = path("trained");
    small::<f64>().save(&path).unwrap();
    let mut network = DecoupledNetwork::<f64>::load(&path).unwrap();
    let data = |seed, rows| Examples::from_row_slice(&draw(8 * rows, seed), 8, rows).unwrap();
    let data = Dataset::regression(data(1, 3), data(2, 2)).unwrap();
    let before = network.evaluate(&data).unwrap().loss;
    network.fit(&data, &FitConfig::new().epochs(20)).unwrap();
    assert!(network.evaluate(&data).unwrap().loss < before);
}

#[test]
fn scalers_and_names_come_back_with_the_network() {
    let table = Examples::<f64>::from_row_slice(&draw(30, 5), 10, 3).unwrap();
    let targets = Examples::<f64>::from_row_slice(&draw(20, 6), 10, 2).unwrap();
    for inputs in [Scaler::standard(table.matrix()), Scaler::standard_channels(table.matrix(), [1, 3, 1])] {
        let model = Model::new(small::<f32>())
            .input_scaler(inputs.unwrap())
            .target_scaler(Scaler::min_max(targets.matrix()).unwrap())
            .feature_names(["a", "b", "c"])
            .class_names(["Öl \"\\", "\u{0}"]);
        let path = path("extras");
        model.save(&path).unwrap();
        for loaded in [Model::<f32>::load(&path).unwrap(), Model::load_into(small(), &path).unwrap()] {
            assert_eq!(loaded.input_scaler, model.input_scaler);
            assert_eq!(loaded.target_scaler, model.target_scaler);
            assert_eq!(loaded.feature_names, model.feature_names);
            assert_eq!(loaded.class_names, model.class_names);
            assert_eq!(loaded.network.params(1), model.network.params(1));
        }
        assert_eq!(DecoupledNetwork::<f32>::load(&path).unwrap().params(1), model.network.params(1));
    }
}

#[test]
fn scalers_and_names_that_do_not_fit_are_refused_before_a_file_is_touched() {
    let path = path("misfits");
    let _ = fs::remove_file(&path);
    let scaler = |rows| Scaler::min_max(MatRef::new(&draw::<f64>(2 * rows, 1), rows, 2)).unwrap();
    let model = || Model::new(small::<f32>());
    for (misfit, expected) in [
        (model().input_scaler(scaler(2)), 3),
        (model().target_scaler(scaler(3)), 2),
        (model().feature_names(["one", "two"]), 3),
        (model().class_names(["only one"]), 2),
    ] {
        let error = misfit.save(&path).unwrap_err();
        assert!(matches!(error, Error::Shape { expected: e, .. } if e == expected), "{error:?}");
    }
    let wide = Scaler::min_max(MatRef::new(&[-1e308, 0.0, 0.0, 1e308, 0.0, 0.0], 3, 2)).unwrap();
    assert!(matches!(model().input_scaler(wide).save(&path), Err(Error::Unsupported { what: "saving", .. })));
    assert!(!path.exists());
}

#[test]
fn the_reference_implementation_reads_our_files_row_by_row() {
    let path = path("reference");
    let network = moved(deep::<f64>(Activation::Relu));
    network.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut shapes: Vec<_> = file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    shapes.sort();
    let expected = [
        ("0.bias", vec![5]),
        ("0.weight", vec![5, 4]),
        ("1.1.weight", vec![5, 5]),
        ("1.2.0.bias", vec![5]),
        ("1.2.0.weight", vec![5]),
        ("3.bias", vec![5]),
        ("3.weight", vec![5]),
        ("4.bias", vec![3]),
        ("4.weight", vec![3, 5]),
    ];
    assert_eq!(shapes, expected.map(|(name, shape)| (name.to_owned(), shape)));
    let numbers = |name: &str| -> Vec<f64> {
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Dtype::F64);
        view.data().as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
    };
    let (weight, params) = (numbers("4.weight"), network.params(4));
    for (i, j) in (0..3).flat_map(|i| (0..5).map(move |j| (i, j))) {
        assert_eq!(weight[i * 5 + j], params[j * 3 + i]);
    }
    assert_eq!(numbers("4.bias"), params[15..]);
    assert_eq!(numbers("1.2.0.bias"), network.params(1)[30..]);
}

#[test]
fn matrices_larger_than_what_is_turned_at_a_time_lie_row_by_row() {
    let path = path("large");
    for (inputs, outputs) in [(1, 70_000), (70_000, 1), (9000, 37), (37, 9000), (257, 1030)] {
        let network = moved(DecoupledNetwork::<f32>::builder(inputs).dense(outputs, Activation::Identity));
        network.save(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let view = file.tensor("0.weight").unwrap();
        let params = network.params(0);
        for (k, &bytes) in view.data().as_chunks::<4>().0.iter().enumerate() {
            assert_eq!(f32::from_le_bytes(bytes), params[k % inputs * outputs + k / inputs]);
        }
        assert_eq!(DecoupledNetwork::<f32>::load(&path).unwrap().params(0), params);
    }
}

#[test]
fn parameters_that_the_reference_implementation_wrote_are_read() {
    let (weight, bias): (Vec<f64>, Vec<f64>) = (draw(6, 1), draw(2, 2));
    let bytes = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let (weights, biases) = (bytes(&weight), bytes(&bias));
    let view = |shape: &[usize], data| TensorView::new(Dtype::F64, shape.to_vec(), data).unwrap();
    let tensors = [("0.weight", view(&[2, 3], &weights)), ("0.bias", view(&[2], &biases))];
    let mut network = DecoupledNetwork::<f64>::builder(3).dense(2, Activation::Identity).build().unwrap();
    let path = path("foreign");
    for metadata in [None, Some([("format".to_owned(), "pt".to_owned())].into())] {
        network.set_params(0, &[0.0; 8]).unwrap();
        safetensors::serialize_to_file(tensors.clone(), metadata, &path).unwrap();
        network.load_params(&path).unwrap();
        let x = draw::<f64>(3, 3);
        let outputs = network.predict(MatRef::new(&x, 3, 1)).unwrap();
        for i in 0..2 {
            let expected = (0..3).map(|j| weight[3 * i + j] * x[j]).sum::<f64>() + bias[i];
            assert!((outputs[i] - expected).abs() < 1e-14);
        }
        assert!(place(DecoupledNetwork::<f64>::load(&path)).starts_with("its metadata"));
        assert!(place(Model::load_into(network.clone(), &path)).starts_with("its metadata"));
    }
}

/// A file with layers of most kinds, as the first version of the format wrote it. The predictions are NumPy's, in double precision
/// from the tensors that its `safetensors` reads:
///
/// ```text
/// x = (X − center) / spread                                    of input_scaler in the metadata
/// h = tanh(x·W(0.0)ᵀ + b(0.0))
/// n = (h − mean h) / √(var h + 0.01) · w(1.0) + b(1.0)
/// u = n·W(1.1)ᵀ + b(1.1),  u = where(u > 0, u, 0.1·u)
/// h = h + u·W(1.3)ᵀ
/// h = (clip(⌊3.5·h⌋, −4, 3) + ½) / 3.5
/// y = 1 / (1 + exp(−(h·W(3.0)ᵀ + b(3.0))))
/// ```
#[test]
fn the_file_of_the_first_version_gives_the_predictions_of_numpy() {
    let model = Model::<f32>::load("tests/golden/model-1.safetensors").unwrap();
    assert_eq!(model.class_names, ["yes", "no"]);
    let inputs = [[0.0f32, 10.0, -1.0], [2.0, 30.0, 4.0], [1.0, 20.0, 0.0], [0.5, 22.0, 3.0]];
    let inputs = Examples::from_rows(&inputs).unwrap();
    let inputs = model.input_scaler.unwrap().apply(inputs.matrix()).unwrap();
    let expected =
        [[0.712667039, 0.424174271], [0.623302634, 0.672993696], [0.433961797, 0.447633888], [0.77205448, 0.740163672]];
    let outputs = model.network.predict(inputs.matrix()).unwrap();
    for (found, expected) in outputs.as_slice().iter().zip(expected.as_flattened()) {
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} for {expected}");
    }
    let [_, loss] = described_by_debug(&model.network);
    assert!(loss.starts_with("SoftmaxCrossEntropy { label_smoothing: 0.1 }"), "{loss}");
}

#[test]
fn a_file_of_the_other_scalar_is_refused() {
    let path = path("scalar");
    small::<f64>().save(&path).unwrap();
    let expected = "tensor 0.0.weight: expected F32 [2, 3]; load_cast and load_params_cast round others to it, \
                    found F64 [2, 3]";
    assert_eq!(place(DecoupledNetwork::<f32>::load(&path)), expected);
    assert_eq!(place(small::<f32>().load_params(&path)), expected);
    small::<f32>().save(&path).unwrap();
    assert!(place(DecoupledNetwork::<f64>::load(&path)).ends_with("found F32 [2, 3]"));
}

#[test]
fn a_file_of_the_other_scalar_is_cast_when_it_is_asked_for() {
    let path = path("cast");
    let double = moved(DecoupledNetwork::<f64>::builder(3).dense(4, Activation::Tanh).dense(2, Activation::Identity));
    Model::new(double.clone()).class_names(["a", "b"]).save(&path).unwrap();
    let rounded = |t: usize| double.params(t).iter().map(|&x| x as f32).collect::<Vec<_>>();
    let single = Model::<f32>::load_cast(&path).unwrap();
    assert_eq!(single.class_names, ["a", "b"]);
    let other = DecoupledNetwork::<f32>::builder(3).dense(4, Activation::Tanh).dense(2, Activation::Identity);
    let mut other = other.build().unwrap();
    other.load_params_cast(&path).unwrap();
    for t in 0..2 {
        assert_eq!(single.network.params(t), rounded(t));
        assert_eq!(other.params(t), rounded(t));
    }
    // And back, to the same bits.
    single.save(&path).unwrap();
    let back = Model::<f64>::load_cast(&path).unwrap().network;
    for t in 0..2 {
        assert_eq!(back.params(t), rounded(t).iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
    }
    // One of the same scalar is read as it is.
    assert_eq!(Model::<f32>::load_cast(&path).unwrap().network.params(1), single.network.params(1));
}

/// Made by Python, see foreign.py beside it.
const FOREIGN: &str = include_str!("../persist/foreign.txt");

#[test]
fn whatever_the_reference_implementation_takes_is_read_and_cast_when_it_is_asked_for() {
    fn params<T: Scalar>(path: &Path, cast: bool) -> decoupled::Result<Vec<f64>> {
        let mut network = DecoupledNetwork::<T>::builder(3).dense(2, Activation::Identity).build()?;
        if cast {
            network.load_params_cast(path)?
        } else {
            network.load_params(path)?
        }
        let params: Vec<f64> = network.params(0).iter().map(|x| x.to_f64()).collect();
        // In a file row by row.
        Ok([0, 2, 4, 1, 3, 5, 6, 7].map(|i| params[i]).to_vec())
    }
    let path = path("tensors");
    for line in FOREIGN.lines() {
        let fields: Vec<&str> = line.split(';').collect();
        let [double, single] = [2, 3].map(|i| fields[i].split(',').map(|x| x.parse().unwrap()).collect::<Vec<f64>>());
        let bytes = (0..fields[1].len()).step_by(2).map(|at| u8::from_str_radix(&fields[1][at..at + 2], 16).unwrap());
        fs::write(&path, bytes.collect::<Vec<u8>>()).unwrap();
        assert_eq!(params::<f64>(&path, true).unwrap(), double, "{}", fields[0]);
        assert_eq!(params::<f32>(&path, true).unwrap(), single, "{}", fields[0]);
        let [of_double, of_single] = [params::<f64>(&path, false), params::<f32>(&path, false)];
        assert_eq!(of_single.is_ok(), fields[0] == "F32", "{}", fields[0]);
        assert_eq!(of_double.is_ok(), !["F32", "F16", "BF16", "mixed"].contains(&fields[0]), "{}", fields[0]);
        for error in [of_double.err(), of_single.err()].into_iter().flatten() {
            assert!(error.to_string().contains("load_params_cast"), "{error}");
        }
    }
    assert_eq!(FOREIGN.lines().count(), 11);
}

#[test]
fn a_number_that_the_scalar_cannot_hold_and_tensors_of_integers_are_not_cast() {
    let path = path("too_large");
    let bytes = |values: [f64; 2]| values.map(f64::to_le_bytes).concat();
    let write = |dtype, values| {
        let (weight, bias) = (bytes(values), bytes([0.0, 1.0]));
        let tensors = [
            ("0.weight", TensorView::new(dtype, vec![2, 1], &weight).unwrap()),
            ("0.bias", TensorView::new(dtype, vec![2], &bias).unwrap()),
        ];
        safetensors::serialize_to_file(tensors, None, &path).unwrap();
    };
    let mut network = DecoupledNetwork::<f32>::builder(1).dense(2, Activation::Identity).build().unwrap();
    let before = network.params(0).to_vec();
    write(Dtype::F64, [1.0, 1e300]);
    let expected = "tensor 0.weight: expected finite numbers up to 3.4028235e38, found inf";
    assert_eq!(place(network.load_params_cast(&path)), expected);
    write(Dtype::I64, [1.0, 2.0]);
    let expected = "tensor 0.weight: expected F64, F32, F16 or BF16 [2, 1], found I64 [2, 1]";
    assert_eq!(place(network.load_params_cast(&path)), expected);
    assert_eq!(network.params(0), before);
}

#[test]
fn a_network_without_parameters_is_not_saved() {
    let network = DecoupledNetwork::<f32>::builder(2).layer(Elementwise::new(2, Activation::Relu)).build().unwrap();
    assert!(matches!(network.save(path("none")), Err(Error::Empty { .. })));
}

/// ẑ = θ₀z + θ₁ of one feature, which tells of its tensors what it likes.
#[derive(Debug)]
struct Line(Vec<Tensor>);

impl<T: Scalar> Layer<T> for Line {
    fn input_dim(&self) -> usize {
        1
    }
    fn output_dim(&self) -> usize {
        1
    }
    fn param_len(&self) -> usize {
        2
    }
    fn tensors(&self) -> Vec<Tensor> {
        assert!(!self.0.is_empty(), "no tensors");
        self.0.clone()
    }
    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, _cache: &mut [T]) {
        for (y, &x) in output.as_mut_slice().iter_mut().zip(input.as_slice()) {
            *y = params[0] * x + params[1];
        }
    }
    fn input_gradient(&self, _: &[T], _: MatRef<'_, T>, _: MatRef<'_, T>, mut grad: MatMut<'_, T>, _: &mut [T]) {
        grad.as_mut_slice().fill(T::zero());
    }
    fn param_gradient(&self, _: &[T], _: MatRef<'_, T>, _: MatRef<'_, T>, grad: &mut [T], _: &mut [T]) {
        grad.fill(T::zero());
    }
}

#[derive(Debug)]
struct OwnLoss;

impl<T: Scalar> Loss<T> for OwnLoss {
    fn value(&self, _: MatRef<'_, T>, _: MatRef<'_, T>) -> T {
        T::zero()
    }
    fn gradient(&self, _: MatRef<'_, T>, _: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        grad.as_mut_slice().fill(T::zero());
    }
    fn target_gradient(&self, _: MatRef<'_, T>, _: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        grad.as_mut_slice().fill(T::zero());
    }
}

fn with_line(tensors: &[Tensor]) -> NetworkBuilder<f64> {
    let chain = Chain::new().then(Dense::new(1, 1)).then(Line(tensors.to_vec()));
    DecoupledNetwork::builder(1).layer(Dense::new(1, 1)).layer(chain)
}

fn line(tensors: &[Tensor]) -> DecoupledNetwork<f64> {
    moved(with_line(tensors))
}

#[test]
fn layers_of_ones_own_are_saved_and_loaded_into_a_network_that_has_them() {
    let path = path("own");
    let network = line(&[Tensor::vector("slope", 1), Tensor::matrix("shift", 1, 1)]);
    network.save(&path).unwrap();
    let mut other = line(&[Tensor::vector("slope", 1), Tensor::matrix("shift", 1, 1)]);
    other.set_params(1, &[0.0; 4]).unwrap();
    other.load_params(&path).unwrap();
    assert_eq!(other.params(1), network.params(1));
    let found = place(DecoupledNetwork::<f64>::load(&path));
    assert!(found.starts_with("layer 1: expected one that is built in"), "{found}");

    moved(DecoupledNetwork::<f64>::builder(1).layer(Dense::new(1, 1)).output_loss(OwnLoss)).save(&path).unwrap();
    let found = place(DecoupledNetwork::<f64>::load(&path));
    assert!(found.starts_with("the output loss: expected one that is built in"), "{found}");
}

#[test]
fn a_layer_that_is_wrong_about_its_tensors_makes_no_network() {
    for (tensors, rule) in [
        (vec![Tensor::vector("slope", 1)], "hold all parameters"),
        (vec![Tensor::matrix("slope", usize::MAX, 2), Tensor::vector("shift", 2)], "hold all parameters"),
        (vec![Tensor::vector("same", 1), Tensor::vector("same", 1)], "a name of its own"),
    ] {
        let Err(Error::InLayer { layer: 1, source }) = with_line(&tensors).build() else { panic!("{tensors:?}") };
        assert!(matches!(&*source, Error::Contract { what, .. } if what.contains(rule)), "{source:?}");
    }
    let error = with_line(&[]).build().unwrap_err();
    assert!(matches!(&error, Error::InLayer { layer: 1, source } if matches!(**source, Error::Panicked { .. })));
}

#[test]
fn parameters_stay_as_they_were_when_a_file_is_refused() {
    let path = path("refused");
    moved(DecoupledNetwork::<f32>::builder(3).dense(2, Activation::Tanh).dense(3, Activation::Identity))
        .save(&path)
        .unwrap();
    let mut network = small::<f32>();
    let expected = "tensor 1.weight: expected F32 [2, 2], found F32 [3, 2]";
    assert_eq!(place(network.load_params(&path)), expected);
    let mut bytes = {
        small::<f32>().save(&path).unwrap();
        fs::read(&path).unwrap()
    };
    network.set_params(0, &[0.5; 8]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(place(network.load_params(&path)).starts_with("its checksum"));
    assert_eq!(network.params(0), [0.5; 8]);
}

/// What the folder holds beside the file, and whether that is what it was.
fn is_as_it_was(path: &Path, before: &[u8]) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    !path.with_file_name(format!("{name}.tmp")).exists() && fs::read(path).unwrap() == before
}

#[test]
fn what_a_save_that_was_killed_left_is_replaced_and_one_that_goes_on_is_not_disturbed() {
    let path = path("draft");
    let draft = path.with_file_name("draft.tmp");
    let network = small::<f32>();
    network.save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let other = fs::File::create(&draft).unwrap();
    other.lock().unwrap();
    let error = network.save(&path).unwrap_err();
    assert!(matches!(&error, Error::Io { path: p, .. } if *p == path), "{error:?}");
    assert!(draft.exists());
    drop(other);
    fs::write(&draft, vec![b'x'; 5000]).unwrap();
    network.save(&path).unwrap();
    assert!(is_as_it_was(&path, &before));
}

#[test]
fn places_that_cannot_be_written_or_read_are_io_errors_that_name_them() {
    let network = small::<f32>();
    let folder = path("folder");
    fs::create_dir_all(&folder).unwrap();
    let mut places = vec![folder.clone(), folder.join("missing").join("file"), PathBuf::from("/"), PathBuf::new()];
    if cfg!(target_os = "linux") {
        places.push(PathBuf::from("/proc/model"));
    }
    for place in places {
        let is_own = |error: Error| matches!(error, Error::Io { path, .. } if path == place);
        match network.save(&place).unwrap_err() {
            Error::NotAFile { path, found } => {
                assert_eq!((path, found, place.is_dir()), (place.clone(), "a folder", true))
            }
            other => assert!(is_own(other) && !place.is_dir(), "{place:?}"),
        }
        assert!(is_own(DecoupledNetwork::<f32>::load(&place).unwrap_err()), "{place:?}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert!(!folder.with_file_name("folder.tmp").exists());
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_leaves_the_old_file() {
    use std::process::Command;

    const ROLE: &str = "DECOUPLED_PERSIST_FULL_DISK";
    let path = path("full");
    let large = || moved(DecoupledNetwork::<f32>::builder(100).dense(100, Activation::Relu));
    if std::env::var_os(ROLE).is_some() {
        let error = large().save(&path).unwrap_err();
        assert!(matches!(&error, Error::Io { path: p, .. } if *p == path), "{error:?}");
        return;
    }
    small::<f32>().save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    // Writes fail from 16 kB on, without a signal.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "persist::a_disk_that_is_full_leaves_the_old_file"])
        .env(ROLE, "")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    assert!(is_as_it_was(&path, &before));
    large().save(&path).unwrap();
    assert!(!is_as_it_was(&path, &before));
}

#[test]
fn settings_come_back_from_json() {
    fn same<S: PartialEq + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned>(setting: S) {
        let text = serde_json::to_string(&setting).unwrap();
        assert_eq!(serde_json::from_str::<S>(&text).unwrap(), setting, "{text}");
        if let Ok(serde_json::Value::Object(mut fields)) = serde_json::to_value(&setting) {
            fields.insert("of another version".to_owned(), 1.into());
            assert!(serde_json::from_value::<S>(fields.into()).is_err(), "{text} with a field more");
        }
    }
    let cosine = Schedule::Cosine { total: 7, floor: 0.1 };
    same(Scheduled::new(Adam::new(0.1 + 0.2), Schedule::WarmUp { steps: 3, then: Box::new(cosine) }));
    same(ClipNorm::new(Sgd::new(0.1).momentum(0.9).nesterov(), 1.0 / 3.0));
    same(Coupling { finish: true, ..Coupling::default() });
    let ridge = Ridge { trust: Some(0.1), ..Ridge::default() };
    same(ridge);
    let mut method = Method::<f64>::joint(0.1).layer_parameter(2, ridge).layer_parameter(0, GradientStep);
    let text = serde_json::to_string(&method).unwrap();
    assert!(text.contains(r#""layer_solvers":[[2,{"Ridge":{"#) && text.contains(r#"[0,"Optimizer"]"#), "{text}");
    for (t, step) in builtin::parameter_steps().into_iter().enumerate() {
        method = method.layer_parameter(t, step);
    }
    let text = serde_json::to_string(&method).unwrap();
    assert_eq!(format!("{:?}", serde_json::from_str::<Method<f64>>(&text).unwrap()), format!("{method:?}"));
    same((Start::Blend(0.3), Storage::Bf16, Timing::EveryStep));
}
