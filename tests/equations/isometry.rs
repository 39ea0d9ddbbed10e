//! Isometric starts: distances are kept, pre-activations are of the size that is said, and a fit takes one where no signal passes.

use decoupled::data::{self, Examples};
use decoupled::layer::{Activation, Chain, Dense, Elementwise, Init, LayerNorm, Residual};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::method::backprop;
use decoupled::method::parameter_step::{LayerUpdate, Sum};
use decoupled::nalgebra::DMatrix;
use decoupled::optimizer::Sgd;
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, NetworkBuilder, ParameterStep, Result, Scalar};

/// Digits as drawn by hand, 64 features, 10 classes.
fn digits<T: Scalar>() -> Dataset<T> {
    data::digits().unwrap().take(300).unwrap()
}

fn plain<T: Scalar>(widths: &[usize], activation: Activation) -> NetworkBuilder<T> {
    let builder = widths.iter().fold(DecoupledNetwork::builder(64), |net, &width| net.dense(width, activation));
    builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).threads(1)
}

/// W_t·z + b_t of every hidden layer by nalgebra, from the parameters alone, with z_t.
fn by_hand(
    net: &DecoupledNetwork<f64>,
    widths: &[usize],
    activation: Activation,
    inputs: &DMatrix<f64>,
) -> Vec<DMatrix<f64>> {
    let (mut z, mut below, mut found) = (inputs.clone(), inputs.nrows(), Vec::new());
    for (t, &width) in widths.iter().enumerate() {
        let (weights, bias) = net.params(t).split_at(width * below);
        let mut u = DMatrix::from_column_slice(width, below, weights) * &z;
        u.column_iter_mut().for_each(|mut column| column += DMatrix::from_column_slice(width, 1, bias).column(0));
        z = u.map(|x| activation.value(x));
        found.push(u);
        below = width;
    }
    found
}

fn inputs(data: &Dataset<f64>) -> DMatrix<f64> {
    data.inputs().view().clone_owned()
}

/// Distances between all pairs of the first columns.
fn distances(m: &DMatrix<f64>) -> Vec<f64> {
    let pairs = (0..20).flat_map(|i| (0..i).map(move |j| (i, j)));
    pairs.map(|(i, j)| (m.column(i) - m.column(j)).norm()).collect()
}

/// A hundred layers, each exactly an isometry: linear ones of one width; ReLU and its like in pairs, between the pairs' differences.
#[test]
fn a_hundred_layers_keep_every_distance() {
    let data = digits::<f64>();
    for (activation, slope) in [
        (Activation::Identity, 1.0),
        (Activation::Relu, 1.0),
        (Activation::Gelu, 1.0),
        (Activation::Silu, 1.0),
        (Activation::Softplus, 1.0),
        (Activation::LeakyRelu(0.3), 1.0),
    ] {
        let widths = [64; 100];
        let mut net = plain::<f64>(&widths, activation).build().unwrap();
        assert!(net.start_isometric(data.inputs(), 5).unwrap().is_empty());
        let u = by_hand(&net, &widths, activation, &inputs(&data));
        let seen =
            |u: &DMatrix<f64>| if activation == Activation::Identity { u.clone() } else { u.rows(0, 32).clone_owned() };
        let (first, last) = (distances(&seen(&u[0])), distances(&seen(&u[99])));
        for (first, last) in first.iter().zip(&last) {
            // The identity is scaled in every layer, by what the rounding of the root mean square leaves.
            assert!((last / first - slope).abs() < 1e-9, "{activation:?}: {first} and {last}");
        }
    }
}

/// Mean 0 of every unit and one root mean square for the layer, over the examples given.
#[test]
fn pre_activations_are_centred_and_of_the_size_said() {
    let data = digits::<f64>();
    for (activation, size) in [(Activation::Tanh, 0.5), (Activation::Sigmoid, 1.0), (Activation::HardTanh, 1.0)] {
        // Odd widths, and widths that change.
        for widths in [&[30, 17, 50, 9][..], &[20; 60]] {
            let mut net = plain::<f64>(widths, activation).build().unwrap();
            let output = net.params(widths.len()).to_vec();
            net.start_isometric(data.inputs(), 1).unwrap();
            assert_eq!(net.params(widths.len()), output, "the output layer stands");
            let size = if widths.len() > 50 { size / 2.0 } else { size };
            for u in by_hand(&net, widths, activation, &inputs(&data)) {
                assert!(u.column_mean().amax() < 1e-10, "{activation:?}");
                assert!(((u.norm_squared() / u.len() as f64).sqrt() - size).abs() < 1e-10, "{activation:?}");
            }
        }
    }
}

/// Of an odd width one unit has no partner: the others are as they would be without it, and nothing above it listens at first.
#[test]
fn an_odd_unit_out_leaves_the_pairs_an_isometry() {
    let data = digits::<f64>();
    let widths = [41, 41, 41];
    let mut net = plain::<f64>(&widths, Activation::Relu).build().unwrap();
    net.start_isometric(data.inputs(), 2).unwrap();
    let u = by_hand(&net, &widths, Activation::Relu, &inputs(&data));
    let pairs = |u: &DMatrix<f64>| distances(&u.rows(0, 20).clone_owned());
    for (first, last) in pairs(&u[0]).iter().zip(pairs(&u[2])) {
        assert!((last / first - 1.0).abs() < 1e-10);
    }
    assert!(u[1].row(40).amax() > 0.0, "it is driven itself");
    assert!(net.params(1)[41 * 40..41 * 41 - 1].iter().all(|w| *w == 0.0));
}

/// Bottlenecks of one unit, in pairs or not, and maps without biases.
#[test]
fn the_narrowest_layers_start_as_well() -> Result<()> {
    let data = digits::<f64>();
    for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
        for widths in [&[1][..], &[1, 1, 1], &[8, 1, 8], &[3, 2, 1, 2, 3]] {
            let mut net = plain::<f64>(widths, activation).build()?;
            assert!(net.start_isometric(data.inputs(), 0)?.is_empty());
            assert!((0..widths.len()).all(|t| net.params(t).iter().any(|w| *w != 0.0)), "{activation:?} {widths:?}");
            assert!(net.fit(&data, &still()).is_ok());
        }
        let bare = |input, units| {
            Chain::new().then(Dense::new(input, units).without_bias()).then(Elementwise::new(units, activation))
        };
        let builder = DecoupledNetwork::<f64>::builder(64).layer(bare(64, 6)).layer(bare(6, 6));
        let mut net = builder.dense(10, Activation::Identity).build()?;
        assert!(net.start_isometric(data.inputs(), 0)?.is_empty());
    }
    // Inputs that are all zero give no pre-activations to scale: the map stays orthogonal.
    let mut net = plain::<f64>(&[64], Activation::Tanh).build()?;
    net.start_isometric(decoupled::MatRef::new(&[0.0; 64], 64, 1), 0)?;
    let w = DMatrix::from_column_slice(64, 64, &net.params(0)[..64 * 64]);
    assert!((&w * w.transpose() - DMatrix::identity(64, 64)).amax() < 1e-12);
    Ok(())
}

/// Data-free: the same weights up to the scale, from an initialiser that is named.
#[test]
fn the_initialiser_is_mirrored_where_the_functions_are() {
    let build = |activation| {
        let hidden = |net: NetworkBuilder<f64>| net.dense_with(64, activation, Init::isometric());
        let builder = (0..30).fold(DecoupledNetwork::builder(64), |net, _| hidden(net));
        builder.dense(10, Activation::Identity).seed(3).build().unwrap()
    };
    let data = digits::<f64>();
    for activation in [Activation::Relu, Activation::LeakyRelu(0.2), Activation::Identity] {
        let net = build(activation);
        let u = by_hand(&net, &[64; 30], activation, &inputs(&data));
        let seen =
            |u: &DMatrix<f64>| if activation == Activation::Identity { u.clone() } else { u.rows(0, 32).clone_owned() };
        for (first, last) in distances(&seen(&u[0])).iter().zip(distances(&seen(&u[29]))) {
            assert!((last / first - 1.0).abs() < 1e-10, "{activation:?}");
        }
    }
    // By itself a map is orthogonal; four times that makes up for a sigmoid's slope of a quarter.
    for (net, gain) in [(build(Activation::Tanh), 1.0), (build(Activation::Sigmoid), 4.0)] {
        let w = DMatrix::from_column_slice(64, 64, &net.params(7)[..64 * 64]);
        assert!((&w * w.transpose() - DMatrix::identity(64, 64) * (gain * gain)).amax() < 1e-12 * gain * gain);
    }
}

/// ‖δ_1‖ / ‖δ_{T−1}‖ by the chain rule.
fn passed(net: &DecoupledNetwork<f64>, data: &Dataset<f64>) -> f64 {
    let objective = net.objective();
    let mut block = objective.block(data.len());
    block.stored_mut(0).copy_from_slice(data.inputs().as_slice());
    block.stored_mut(net.depth()).copy_from_slice(data.targets().as_slice());
    let mut grads: Vec<Vec<f64>> = (0..net.depth()).map(|t| vec![0.0; net.params(t).len()]).collect();
    backprop::gradients(&objective, &mut block, &mut grads).unwrap();
    let norm = |t: usize| block.gradient(t).as_slice().iter().map(|g| g * g).sum::<f64>().sqrt();
    norm(1) / norm(net.depth() - 1)
}

fn still() -> FitConfig<'static, f64> {
    FitConfig::new().epochs(1).batch_size(50)
}

/// With a rate of zero a fit leaves what it began with.
fn begun(builder: NetworkBuilder<f64>, data: &Dataset<f64>) -> (DecoupledNetwork<f64>, decoupled::FitReport) {
    let mut net = builder.optimizer(Sgd::new(1e-300)).build().unwrap();
    let report = net.fit(data, &still()).unwrap();
    (net, report)
}

#[test]
fn a_first_fit_restarts_where_the_signal_does_not_pass_and_says_so() -> Result<()> {
    let data = digits::<f64>();
    for (activation, depth) in [(Activation::Sigmoid, 4), (Activation::Sigmoid, 30), (Activation::Tanh, 100)] {
        let builder = plain::<f64>(&vec![32; depth], activation);
        let drawn = builder.clone().build()?;
        let (net, report) = begun(builder.clone(), &data);
        let restart = report.restart.expect("a restart");
        assert!((restart.before / passed(&drawn, &data.take(300)?) - 1.0).abs() < 0.3, "{restart:?}");
        assert!((restart.after.log10()).abs() < 0.5, "{activation:?} {depth}: {restart:?}");
        assert!((restart.after / passed(&net, &data) - 1.0).abs() < 0.3);
        assert!(report.to_string().contains("restarted as an isometry"), "{report}");
        assert_ne!(net.params(0), drawn.params(0));

        // The twin begins with the same parameters, and a second fit begins with none of its own.
        let mut twin = builder.optimizer(Sgd::new(1e-300)).build()?;
        let by_twin = twin.fit_backprop(&data, &still())?;
        assert_eq!(by_twin.restart, report.restart);
        assert!((0..depth).all(|t| twin.params(t) == net.params(t)));
        assert_eq!(twin.fit(&data, &still())?.restart, None);
    }
    Ok(())
}

#[test]
fn parameters_that_pass_the_signal_or_were_chosen_stay() -> Result<()> {
    let data = digits::<f64>();
    // Shallow, and it passes.
    for activation in [Activation::Relu, Activation::Tanh] {
        let (net, report) = begun(plain(&[32, 32], activation), &data);
        let drawn = plain::<f64>(&[32, 32], activation).build()?;
        let near = net.params(0).iter().zip(drawn.params(0)).all(|(a, b)| (a - b).abs() < 1e-200);
        assert!(report.restart.is_none() && near);
    }
    // An initialiser that is named, a layer of one's own, parameters that are set, a layer that is frozen.
    let deep = || plain::<f64>(&[32; 30], Activation::Sigmoid);
    let named = (0..30).fold(DecoupledNetwork::<f64>::builder(64), |net, _| {
        net.dense_with(32, Activation::Sigmoid, Init::glorot_uniform())
    });
    assert_eq!(begun(named.dense(10, Activation::Identity), &data).1.restart, None);
    let own = DecoupledNetwork::<f64>::builder(64).layer(LayerNorm::new(64));
    let own = (0..30).fold(own, |net, _| net.dense(32, Activation::Sigmoid)).dense(10, Activation::Identity);
    assert_eq!(begun(own, &data).1.restart, None);
    assert_eq!(begun(deep().freeze(3), &data).1.restart, None);
    let mut set = deep().optimizer(Sgd::new(1e-300)).build()?;
    let last = set.params(30).to_vec();
    set.set_params(30, &last)?;
    assert_eq!(set.fit(&data, &still())?.restart, None);
    // Unknown inputs give no outputs.
    let mut entries: Vec<f64> = data.inputs().as_slice().to_vec();
    entries[5] = f64::NAN;
    let examples = Examples::from_row_slice(&entries, 300, 64)?.with_missing();
    let missing = Dataset::classification(examples, data.labels().unwrap(), 10)?;
    let mut net = deep().method(Method::red_black()).build()?;
    assert_eq!(net.fit(&missing, &still())?.restart, None);
    Ok(())
}

#[test]
fn what_is_no_affine_map_stays_and_is_named() -> Result<()> {
    let data = digits::<f64>();
    let residual = Residual::new(Chain::new().then(Dense::new(32, 32)).then(Elementwise::new(32, Activation::Tanh)));
    let builder = DecoupledNetwork::<f64>::builder(64).dense(32, Activation::Tanh).layer(residual);
    let mut net =
        builder.layer(LayerNorm::new(32)).dense(32, Activation::Relu).dense(10, Activation::Identity).build()?;
    let before: Vec<Vec<f64>> = (0..5).map(|t| net.params(t).to_vec()).collect();
    assert_eq!(net.start_isometric(data.inputs(), 0)?, [1, 2]);
    let moved: Vec<bool> = (0..5).map(|t| net.params(t) != before[t]).collect();
    assert_eq!(moved, [true, false, false, true, false]);

    let mut none =
        DecoupledNetwork::<f64>::builder(64).layer(LayerNorm::new(64)).dense(10, Activation::Identity).build()?;
    assert!(matches!(none.start_isometric(data.inputs(), 0), Err(Error::Incapable { layer: 0, .. })));
    let mut frozen = plain::<f64>(&[8], Activation::Tanh).freeze(0).build()?;
    assert!(matches!(frozen.start_isometric(data.inputs(), 0), Err(Error::Unsupported { .. })));
    let mut net = plain::<f64>(&[8], Activation::Tanh).build()?;
    let nan = vec![f64::NAN; 64];
    assert!(matches!(net.start_isometric(decoupled::MatRef::new(&nan, 64, 1), 0), Err(Error::NotFinite { .. })));
    assert!(matches!(net.start_isometric(decoupled::MatRef::new(&nan[..63], 63, 1), 0), Err(Error::Shape { .. })));
    Ok(())
}

/// The ratio at which a start is replaced, the depths from which it always is, and a start that would be worse.
#[test]
fn the_bounds_of_a_restart_are_those_that_are_said() -> Result<()> {
    let data = digits::<f64>();
    // ReLU nets of fourteen layers that pass stay, of fifteen not; of tanh nine and ten.
    for (activation, depths) in [(Activation::Relu, [14, 15]), (Activation::Tanh, [9, 10])] {
        let found = depths.map(|depth| {
            let nets = (0..40).map(|seed| plain::<f64>(&vec![64; depth], activation).seed(seed));
            let passes = |net: &NetworkBuilder<f64>| {
                let ratio: f64 = passed(&net.clone().build().unwrap(), &data.take(256).unwrap());
                ratio.log10().abs() < 0.2
            };
            let net = nets.into_iter().find(passes).expect("a net that passes the signal");
            begun(net, &data).1.restart.is_some()
        });
        assert_eq!(found, [false, true], "{activation:?}");
    }
    // Signs pass nothing from any start: the parameters as drawn stay, bit for bit but for the rate.
    let (net, report) = begun(plain(&[16; 12], Activation::Sign), &data);
    let drawn = plain::<f64>(&[16; 12], Activation::Sign).build()?;
    assert!(report.restart.is_none() && (0..12).all(|t| net.params(t) == drawn.params(t)));
    Ok(())
}

#[test]
fn seeds_and_layers_have_weights_of_their_own() -> Result<()> {
    let data = digits::<f64>();
    let started = |seed| {
        let mut net = plain::<f64>(&[64, 64, 64], Activation::Tanh).build().unwrap();
        net.start_isometric(data.inputs(), seed).unwrap();
        net
    };
    let (a, b) = (started(1), started(2));
    assert!((0..3).all(|t| a.params(t) != b.params(t)) && a.params(1) != a.params(2));
    assert_eq!(a.params(1), started(1).params(1));
    let restarted = |seed| begun(plain::<f64>(&[32; 6], Activation::Sigmoid).seed(seed), &data).0;
    assert!(restarted(1).params(2) != restarted(2).params(2));

    // Above a layer that is no unit nothing is paired: the map is orthogonal between all units.
    let builder = DecoupledNetwork::<f64>::builder(64).dense(32, Activation::Relu).layer(LayerNorm::new(32));
    let mut net = builder.dense(16, Activation::Identity).dense(10, Activation::Identity).build()?;
    assert_eq!(net.start_isometric(data.inputs(), 0)?, [1]);
    let w = DMatrix::from_column_slice(16, 32, &net.params(2)[..16 * 32]);
    let gram = &w * w.transpose();
    assert!((&gram - DMatrix::identity(16, 16) * gram[(0, 0)]).amax() < 1e-12 * gram[(0, 0)]);
    Ok(())
}

/// Functions that are units of their own belong to the maps below them.
#[test]
fn activation_functions_apart_start_as_those_that_are_fused() -> Result<()> {
    let data = digits::<f64>();
    for activation in [Activation::Relu, Activation::Tanh] {
        let builder = |apart: bool| {
            let net = DecoupledNetwork::<f64>::builder(64);
            let net = if apart { net.store_pre_activations() } else { net };
            net.dense(20, activation).dense(20, activation).dense(10, Activation::Identity).build().unwrap()
        };
        let (mut fused, mut apart) = (builder(false), builder(true));
        fused.start_isometric(data.inputs(), 4)?;
        assert!(apart.start_isometric(data.inputs(), 4)?.is_empty());
        let size = |w: &[f64]| w.iter().map(|w| w * w).sum::<f64>();
        // Streams are by layer, so the weights are others: of the same size, in pairs or not.
        for (t, s) in [(0, 0), (1, 2)] {
            let (a, b) = (&fused.params(t)[..400], &apart.params(s)[..400]);
            assert!(activation != Activation::Relu || (a[0] == -a[10] && b[0] == -b[10]));
            assert!((size(a) / size(b) - 1.0).abs() < 0.5, "{activation:?}");
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Refuses;

impl ParameterStep<f64> for Refuses {
    fn sum(&self) -> Sum {
        Sum::Gradient
    }
    fn step(&self, _update: &mut LayerUpdate<'_, f64>) -> Result<()> {
        Err(Error::other("not today"))
    }
}

/// An error before the first epoch stands leaves the parameters as they were drawn, and the next fit starts as the first would have.
#[test]
fn a_first_fit_that_fails_leaves_the_parameters_as_drawn() -> Result<()> {
    let data = digits::<f64>();
    let drawn = plain::<f64>(&[16; 6], Activation::Sigmoid).optimizer(Sgd::new(1e-300)).build()?;
    let mut net = drawn.clone();
    let failing = still().epochs(3).method(Method::default().layer_parameter(2, Refuses));
    assert!(matches!(net.fit(&data, &failing), Err(Error::Other { .. })));
    assert!((0..7).all(|t| net.params(t) == drawn.params(t)));
    let (again, first) = (net.fit(&data, &still())?, drawn.clone().fit(&data, &still())?);
    assert!(again.restart.is_some() && again.restart == first.restart);
    Ok(())
}

/// Parameters from a file were chosen; those of a checkpoint before the first epoch were not.
#[cfg(feature = "save")]
#[test]
fn loaded_parameters_stay() -> Result<()> {
    let data = digits::<f64>();
    let path = |name: &str| std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let build = || plain::<f64>(&[16; 30], Activation::Sigmoid).optimizer(Sgd::new(1e-300)).seed(8).build();
    let (saved, checkpoint) = (path("isometry saved"), path("isometry checkpoint"));
    let own = build()?;
    own.save(&saved)?;
    own.save_checkpoint(&checkpoint, &[])?;
    let near = |net: &DecoupledNetwork<f64>| {
        let pairs = (0..31).flat_map(|t| net.params(t).iter().zip(own.params(t)));
        pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-200)
    };
    let other = || plain::<f64>(&[16; 30], Activation::Sigmoid).optimizer(Sgd::new(1e-300)).build();
    let (mut plainly, mut cast) = (other()?, other()?);
    plainly.load_params(&saved)?;
    cast.load_params_cast(&saved)?;
    for mut net in [plainly, cast, DecoupledNetwork::load(&saved)?] {
        net.set_optimizer(Sgd::new(1e-300))?;
        assert_eq!(net.fit(&data, &still())?.restart, None);
        assert!(near(&net));
    }
    let mut resumed = build()?;
    resumed.resume(&checkpoint, &mut [])?;
    assert_eq!(resumed.fit(&data, &still())?.restart, own.clone().fit(&data, &still())?.restart);
    Ok(())
}

/// Thirty sigmoids, which learn nothing as drawn, learn the digits with nothing set.
#[test]
fn thirty_sigmoids_learn_with_nothing_set() -> Result<()> {
    let (train, test) = data::digits::<f32>()?.stratified_split(0.8, 0)?;
    let mut net = plain::<f32>(&[64; 30], Activation::Sigmoid).build()?;
    let named = (0..30).fold(DecoupledNetwork::<f32>::builder(64), |net, _| {
        net.dense_with(64, Activation::Sigmoid, Init::glorot_uniform())
    });
    let mut drawn = named.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).threads(1).build()?;
    let config = FitConfig::new().epochs(12).batch_size(32);
    assert!(net.fit(&train, &config)?.restart.is_some());
    drawn.fit(&train, &config)?;
    let score = |net: &DecoupledNetwork<f32>| net.evaluate(&test).map(|scores| scores.score.unwrap());
    assert!(score(&net)? > 0.9 && score(&drawn)? < 0.3, "{} and {}", score(&net)?, score(&drawn)?);
    Ok(())
}
