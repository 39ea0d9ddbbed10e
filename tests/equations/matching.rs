//! Which unit is which: against permutations and scales that were planted by hand.

use decoupled::diagnostics::{Matching, Path, matching, normalised, path};
use decoupled::layer::{Activation, Chain, Dense, Elementwise, LayerNorm, Residual, Tied, Wiring};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::rand::{Rng, RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, Error, FitConfig, Layer, MatMut, MatRef, NetworkBuilder, Result, check, data,
};

type Net = DecoupledNetwork<f64>;

fn shuffled(len: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    (1..len).rev().for_each(|last| order.swap(last, rng.random_range(0..=last)));
    order
}

/// Every parameter off its start, biases too.
fn perturbed(builder: NetworkBuilder<f64>) -> Net {
    let mut net = builder.build().unwrap();
    let mut rng = ChaCha12Rng::seed_from_u64(9);
    for t in 0..net.depth() {
        let params: Vec<f64> = net.params(t).iter().map(|p| p + rng.random_range(-0.3..0.3)).collect();
        net.set_params(t, &params).unwrap();
    }
    net
}

fn dense(activation: Activation) -> NetworkBuilder<f64> {
    let builder = DecoupledNetwork::builder(5).dense(9, activation).dense(7, activation).dense(8, activation);
    builder.dense(3, Activation::Identity).output_loss(SoftmaxCrossEntropy::new())
}

/// The network with unit `orders[t][i]` in the place of unit i of a_t, and each unit multiplied by its factor: by hand, for dense
/// layers.
fn planted(net: &Net, orders: &[Vec<usize>], factors: &[Vec<f64>]) -> Net {
    let mut copy = net.clone();
    for t in 0..net.depth() {
        let (rows, columns) = (&orders[t + 1], &orders[t]);
        let (outputs, inputs) = (rows.len(), columns.len());
        let from = net.params(t);
        let mut params = Vec::new();
        for &k in columns {
            params.extend(rows.iter().map(|&i| from[k * outputs + i] * factors[t + 1][i] / factors[t][k]));
        }
        params.extend(rows.iter().map(|&i| from[outputs * inputs + i] * factors[t + 1][i]));
        copy.set_params(t, &params).unwrap();
    }
    copy
}

fn widths(net: &Net) -> Vec<usize> {
    let hidden = net.activations(&decoupled::nalgebra::DMatrix::zeros(net.input_dim(), 1)).unwrap();
    [net.input_dim()].into_iter().chain(hidden.iter().map(|a| a.nrows())).collect()
}

/// An order for every layer, but for input and output.
fn orders(net: &Net, seed: u64) -> Vec<Vec<usize>> {
    let (widths, mut rng) = (widths(net), ChaCha12Rng::seed_from_u64(seed));
    let last = widths.len() - 1;
    let order = |(t, &width): (usize, &usize)| match t == 0 || t == last {
        true => (0..width).collect(),
        false => shuffled(width, &mut rng),
    };
    widths.iter().enumerate().map(order).collect()
}

fn ones(orders: &[Vec<usize>]) -> Vec<Vec<f64>> {
    orders.iter().map(|order| vec![1.0; order.len()]).collect()
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &unit)| inverse[unit] = i);
    inverse
}

fn params(net: &Net) -> Vec<f64> {
    (0..net.depth()).flat_map(|t| net.params(t).to_vec()).collect()
}

fn assert_same_function(a: &Net, b: &Net) {
    let inputs = decoupled::nalgebra::DMatrix::from_fn(a.input_dim(), 20, |i, j| ((3 * i + 7 * j) as f64).sin());
    let difference = a.predict(&inputs).unwrap() - b.predict(&inputs).unwrap();
    assert!(difference.amax() < 1e-12, "{}", difference.amax());
}

#[test]
fn a_planted_permutation_is_found_exactly() -> Result<()> {
    for activation in [Activation::Relu, Activation::Tanh] {
        let net = perturbed(dense(activation));
        for seed in 0..20 {
            let orders = orders(&net, seed);
            let copy = planted(&net, &orders, &ones(&orders));
            assert_same_function(&net, &copy);
            let found = matching(&net, &copy)?;
            let expected: Vec<_> = orders[1..net.depth()].iter().map(|order| inverse(order)).collect();
            assert_eq!(found.units, expected);
            assert_eq!(params(&found.renumber(&copy)?), params(&net));
        }
    }
    Ok(())
}

#[test]
fn it_is_found_through_noise_of_a_fifth_of_the_weights() -> Result<()> {
    let net = perturbed(dense(Activation::Tanh));
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let orders = orders(&net, 5);
    let mut copy = planted(&net, &orders, &ones(&orders));
    for t in 0..net.depth() {
        let size = (params(&net).iter().map(|p| p * p).sum::<f64>() / net.param_count() as f64).sqrt();
        let noisy: Vec<f64> = copy.params(t).iter().map(|p| p + size * rng.random_range(-0.34..0.34)).collect();
        copy.set_params(t, &noisy)?;
    }
    let expected: Vec<_> = orders[1..net.depth()].iter().map(|order| inverse(order)).collect();
    assert_eq!(matching(&net, &copy)?.units, expected);
    Ok(())
}

/// What goes unit by unit shares its numbering: a permutation of one is a permutation of all.
#[test]
fn units_that_go_through_layers_one_by_one_move_together() -> Result<()> {
    let builder = DecoupledNetwork::builder(5)
        .layer(Chain::new().then(Dense::new(5, 9)).then(LayerNorm::new(9)))
        .layer(Elementwise::new(9, Activation::Tanh))
        .layer(Residual::new(Chain::new().then(Elementwise::new(9, Activation::Relu)).then(Dense::new(9, 9))))
        .layer(Chain::new().then(LayerNorm::new(9)).then(Dense::new(9, 3)));
    let net = perturbed(builder);
    let order = shuffled(9, &mut ChaCha12Rng::seed_from_u64(1));
    let copy = Matching { units: vec![order.clone(); 3] }.renumber(&net)?;
    assert_same_function(&net, &copy);
    assert_ne!(params(&net), params(&copy));
    let found = matching(&net, &copy)?;
    assert_eq!(found.units, vec![inverse(&order); 3]);
    assert_eq!(params(&found.renumber(&copy)?), params(&net));
    Ok(())
}

/// Blocks tie the units to themselves. What they say counts once there is a numbering to start from: some of these networks are
/// lost if it counts before.
#[test]
fn a_planted_permutation_is_found_around_residual_blocks_through_noise() -> Result<()> {
    for seed in 0..40 {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut builder = DecoupledNetwork::builder(2).seed(seed).dense(24, Activation::Identity);
        for _ in 0..4 {
            builder = builder.layer(Residual::new(Dense::new(24, 24)));
        }
        let net = builder.dense(2, Activation::Identity).build()?;
        let order = shuffled(24, &mut rng);
        let mut copy = Matching { units: vec![order.clone(); 5] }.renumber(&net)?;
        for t in 0..net.depth() {
            let params = copy.params(t).to_vec();
            let size = (params.iter().map(|p| p * p).sum::<f64>() / params.len() as f64).sqrt();
            let noisy: Vec<f64> = params.iter().map(|p| p + 0.5 * size * rng.random_range(-1.0..1.0)).collect();
            copy.set_params(t, &noisy)?;
        }
        assert_eq!(matching(&net, &copy)?.units, vec![inverse(&order); 5], "{seed}");
    }
    Ok(())
}

#[test]
fn a_network_has_no_barrier_to_its_permuted_copy_once_matched() -> Result<()> {
    let data = data::two_moons::<f64>(200, 0.1, 0)?;
    let builder = DecoupledNetwork::builder(2).dense(16, Activation::Relu).dense(12, Activation::Relu);
    let mut net = builder.dense(2, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).build()?;
    net.fit_backprop(&data, &FitConfig::new().epochs(60).batch_size(20))?;
    let orders = orders(&net, 2);
    let copy = planted(&net, &orders, &ones(&orders));
    let before = path(&net, &copy, &data, 11)?;
    let after = path(&net, &matching(&net, &copy)?.renumber(&copy)?, &data, 11)?;
    assert!(before.barrier() > 0.1, "{before:?}");
    assert!(after.barrier() < 1e-12, "{after:?}");
    let ends = [net.evaluate(&data)?, copy.evaluate(&data)?];
    assert_eq!((before.losses[0], before.losses[10]), (ends[0].loss, ends[1].loss));
    assert_eq!((before.scores[0], before.scores[10]), (ends[0].score, ends[1].score));
    Ok(())
}

#[test]
fn normalised_relu_units_have_incoming_weights_of_norm_one_and_forget_their_scale() -> Result<()> {
    let net = perturbed(dense(Activation::LeakyRelu(0.1)));
    let normal = normalised(&net)?;
    assert_same_function(&net, &normal);
    let widths = widths(&net);
    for t in 0..net.depth() - 1 {
        for unit in 0..widths[t + 1] {
            let squares =
                |net: &Net| (0..widths[t]).map(|k| net.params(t)[k * widths[t + 1] + unit].powi(2)).sum::<f64>();
            assert!((squares(&normal) - 1.0).abs() < 1e-12);
            assert!((squares(&net) - 1.0).abs() > 1e-3);
        }
    }
    let orders = orders(&net, 11);
    let mut rng = ChaCha12Rng::seed_from_u64(12);
    let mut factors = ones(&orders);
    factors[1..net.depth()].iter_mut().flatten().for_each(|f| *f = rng.random_range(0.05..20.0));
    let copy = planted(&net, &orders, &factors);
    assert_same_function(&net, &copy);
    let found = matching(&normal, &normalised(&copy)?)?;
    let distance =
        params(&normal).into_iter().zip(params(&found.renumber(&normalised(&copy)?)?)).map(|(a, b)| (a - b).abs());
    assert!(distance.fold(0.0, f64::max) < 1e-12);
    Ok(())
}

#[test]
fn units_that_cannot_be_scaled_keep_their_scale() -> Result<()> {
    let net = perturbed(dense(Activation::Tanh));
    assert_eq!(params(&normalised(&net)?), params(&net));
    // A ReLU apart from its map passes a scale on; a layer normalisation above it does not.
    let builder = DecoupledNetwork::builder(3)
        .layer(Dense::new(3, 4))
        .layer(Elementwise::new(4, Activation::Relu))
        .layer(Dense::new(4, 5))
        .layer(Chain::new().then(LayerNorm::new(5)).then(Dense::new(5, 2)));
    let net = perturbed(builder);
    let normal = normalised(&net)?;
    assert_same_function(&net, &normal);
    assert_ne!(net.params(0), normal.params(0));
    assert_eq!(net.params(3), normal.params(3));
    Ok(())
}

/// The affine map, which says something of its wiring.
#[derive(Debug)]
struct Says(Dense, Option<Wiring>);

impl Layer<f64> for Says {
    fn input_dim(&self) -> usize {
        self.0.input_dim()
    }
    fn output_dim(&self) -> usize {
        self.0.output_dim()
    }
    fn param_len(&self) -> usize {
        self.0.param_len()
    }
    fn init_params(&self, params: &mut [f64], rng: &mut dyn Rng) {
        Layer::init_params(&self.0, params, rng);
    }
    fn forward(&self, params: &[f64], input: MatRef<'_, f64>, output: MatMut<'_, f64>, cache: &mut [f64]) {
        self.0.forward(params, input, output, cache);
    }
    fn input_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: MatMut<'_, f64>,
        cache: &mut [f64],
    ) {
        self.0.input_gradient(params, input, cotangent, grad, cache);
    }
    fn param_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: &mut [f64],
        cache: &mut [f64],
    ) {
        self.0.param_gradient(params, input, cotangent, grad, cache);
    }
    fn wiring(&self) -> Option<Wiring> {
        self.1.clone()
    }
}

/// Multiplies every unit by a number of its own.
#[derive(Debug)]
struct Gain(usize, Tied);

impl Layer<f64> for Gain {
    fn input_dim(&self) -> usize {
        self.0
    }
    fn output_dim(&self) -> usize {
        self.0
    }
    fn param_len(&self) -> usize {
        self.0
    }
    fn init_params(&self, params: &mut [f64], _: &mut dyn Rng) {
        params.fill(1.0);
    }
    fn forward(&self, params: &[f64], input: MatRef<'_, f64>, mut output: MatMut<'_, f64>, _: &mut [f64]) {
        let values = output.as_mut_slice().iter_mut().zip(input.as_slice());
        values.zip(params.iter().cycle()).for_each(|((y, x), gain)| *y = gain * x);
    }
    fn input_gradient(
        &self,
        params: &[f64],
        _: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        mut grad: MatMut<'_, f64>,
        _: &mut [f64],
    ) {
        let values = grad.as_mut_slice().iter_mut().zip(cotangent.as_slice());
        values.zip(params.iter().cycle()).for_each(|((g, c), gain)| *g = gain * c);
    }
    fn param_gradient(
        &self,
        _: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: &mut [f64],
        _: &mut [f64],
    ) {
        grad.fill(0.0);
        let products = input.as_slice().iter().zip(cotangent.as_slice()).map(|(x, c)| x * c);
        products.enumerate().for_each(|(place, product)| grad[place % self.0] += product);
    }
    fn wiring(&self) -> Option<Wiring> {
        Some(Wiring::unit_by_unit([self.1]).scales())
    }
}

/// A chain tells of all its parameters, whichever of its layers they are of.
#[test]
fn chains_of_units_with_parameters_of_their_own_are_wired() -> Result<()> {
    let relu = || Elementwise::new(4, Activation::Relu);
    for tied in [Tied::Outputs, Tied::Inputs] {
        let gain = || Gain(4, tied);
        check::layer(&gain())?;
        check::layer(&Chain::new().then(Dense::new(3, 4)).then(gain()))?;
        check::layer(&Chain::new().then(Dense::new(4, 4)).then(gain()))?;
        check::layer(&Chain::new().then(gain()).then(Dense::new(4, 3)))?;
        check::layer(&Chain::new().then(gain()).then(relu()).then(gain()))?;
        check::layer(&Chain::new().then(Dense::new(3, 4)).then(Chain::new().then(relu()).then(gain())))?;
        check::layer(&Chain::new().then(Chain::new().then(gain()).then(Dense::new(4, 4))).then(gain()))?;
        check::layer(&Residual::new(Chain::new().then(gain()).then(Dense::new(4, 4))))?;
        check::layer(&Chain::new().then(Residual::new(Dense::new(4, 4))).then(gain()))?;
    }
    // Sums: of two maps, of a map and units that go through, and of the latter alone.
    check::layer::<f64>(&Residual::new(Dense::new(3, 4)).projection(Dense::new(3, 4).without_bias()))?;
    check::layer::<f64>(&Residual::new(Dense::new(4, 4)).projection(relu()))?;
    check::layer::<f64>(&Residual::new(relu()).projection(Dense::new(4, 4)))?;
    check::layer::<f64>(&Residual::new(relu()).projection(relu()))?;
    check::layer::<f64>(&Residual::new(Gain(4, Tied::Outputs)).projection(relu()))?;
    check::layer::<f64>(&Residual::new(relu()).projection(Chain::new().then(Dense::new(4, 4)).then(relu())))?;
    // A factor goes through the one and not the other; and units are left between two maps.
    let tanh = || Elementwise::new(4, Activation::Tanh);
    check::layer::<f64>(&Chain::new().then(relu()).then(tanh()))?;
    check::layer::<f64>(&Chain::new().then(tanh()).then(relu()))?;
    let maps = Chain::new().then(Residual::new(Dense::new(4, 4))).then(Dense::new(4, 3));
    assert_eq!(Layer::<f64>::wiring(&maps), None);
    let maps = Chain::new().then(Dense::new(3, 4)).then(Residual::new(Dense::new(4, 4)));
    assert_eq!(Layer::<f64>::wiring(&maps), None);
    Ok(())
}

/// Every three of these layers in a row, all of one width: units that can be scaled and numbered and units that cannot.
#[test]
fn normal_and_renumbered_networks_are_the_same_function_whatever_their_layers() -> Result<()> {
    const WIDTH: usize = 4;
    fn map() -> Dense {
        Dense::new(WIDTH, WIDTH)
    }
    fn each(activation: Activation) -> Elementwise {
        Elementwise::new(WIDTH, activation)
    }
    type More = fn(NetworkBuilder<f64>) -> NetworkBuilder<f64>;
    let kinds: [More; 14] = [
        |b| b.layer(map()),
        |b| b.layer(map().without_bias()),
        |b| b.layer(each(Activation::Relu)),
        |b| b.layer(each(Activation::LeakyRelu(-0.5))),
        |b| b.layer(each(Activation::LeakyRelu(2.0))),
        |b| b.layer(each(Activation::Tanh)),
        |b| b.layer(LayerNorm::new(WIDTH)),
        |b| b.layer(Gain(WIDTH, Tied::Outputs)),
        |b| b.layer(Residual::new(map())),
        |b| b.layer(Residual::new(each(Activation::Relu))),
        |b| b.layer(Chain::new().then(map()).then(each(Activation::Relu))),
        |b| b.layer(Chain::new().then(each(Activation::Relu)).then(map())),
        |b| {
            let lower = Chain::new().then(map()).then(each(Activation::LeakyRelu(2.0)));
            b.layer(Chain::new().then(lower).then(Gain(WIDTH, Tied::Outputs)))
        },
        |b| b.layer(Chain::new().then(LayerNorm::new(WIDTH)).then(map())),
    ];
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let (mut scaled, mut renumbered) = (0, 0);
    for three in 0..kinds.len().pow(3) {
        let mut builder = DecoupledNetwork::builder(3).dense(WIDTH, Activation::Identity);
        for place in 0..3 {
            builder = kinds[three / kinds.len().pow(place) % kinds.len()](builder);
        }
        let net = perturbed(builder.dense(2, Activation::Identity));
        let normal = normalised(&net)?;
        assert_same_function(&net, &normal);
        scaled += usize::from(params(&normal) != params(&net));
        // One numbering for all is allowed where all are tied, and others where they are not.
        let one = shuffled(WIDTH, &mut rng);
        let own = |one: &[usize]| Matching { units: (0..net.depth() - 1).map(|_| one.to_vec()).collect() };
        let copy = own(&one).renumber(&net)?;
        assert_same_function(&net, &copy);
        let others = Matching { units: (0..net.depth() - 1).map(|_| shuffled(WIDTH, &mut rng)).collect() };
        if let Ok(copy) = others.renumber(&net) {
            assert_same_function(&net, &copy);
            renumbered += 1;
        }
        let found = matching(&net, &copy)?.renumber(&copy)?;
        assert_same_function(&net, &found);
    }
    assert!(scaled > 500 && renumbered > 100, "{scaled} and {renumbered}");
    Ok(())
}

/// Squares of these are beyond all numbers, and their sums are none.
#[test]
fn weights_whose_products_overflow_end_the_search_all_the_same() -> Result<()> {
    let net = |signs: [f64; 2]| -> Result<Net> {
        let builder = DecoupledNetwork::builder(2).layer(Dense::new(2, 3).without_bias());
        let mut net = builder.layer(Dense::new(3, 1).without_bias()).build()?;
        net.set_params(
            0,
            &[[signs[0]; 3], [signs[1]; 3]].as_flattened().iter().map(|sign| 1e200 * sign).collect::<Vec<_>>(),
        )?;
        Ok(net)
    };
    let found = matching(&net([1.0, 1.0])?, &net([1.0, -1.0])?)?;
    let mut units = found.units[0].clone();
    units.sort_unstable();
    assert_eq!(units, [0, 1, 2]);
    Ok(())
}

#[test]
fn a_layer_that_lies_about_its_wiring_is_caught() {
    let says = |wiring| check::layer(&Says(Dense::new(4, 4), Some(wiring)));
    assert!(says(Wiring::new([Tied::Weights, Tied::Outputs]).scales()).is_ok());
    for lie in [
        Wiring::new([Tied::Weights]),
        Wiring::new([Tied::Weights, Tied::Inputs]),
        Wiring::new([Tied::Outputs, Tied::Weights]),
        Wiring::unit_by_unit([Tied::Weights, Tied::Outputs]).scales(),
    ] {
        assert!(matches!(says(lie.clone()), Err(Error::Contract { .. })), "{lie:?}");
    }
    // A chain of it with a tanh may be renumbered, and not scaled.
    let tanh = Chain::new().then(Dense::new(4, 3)).then(Elementwise::new(3, Activation::Tanh));
    assert!(check::layer::<f64>(&tanh).is_ok());
    // Too short a wiring is refused where it is used, too.
    let net = DecoupledNetwork::builder(4).layer(Says(Dense::new(4, 4), Some(Wiring::new([Tied::Weights])))).build();
    let net = net.unwrap();
    assert!(matches!(matching(&net, &net), Err(Error::Contract { .. })));
    assert!(matches!(normalised(&net), Err(Error::Contract { .. })));
}

#[test]
fn units_around_a_layer_without_a_wiring_stay_as_they_are() -> Result<()> {
    let builder = DecoupledNetwork::builder(3)
        .dense(6, Activation::Tanh)
        .dense(5, Activation::Tanh)
        .layer(Says(Dense::new(5, 4), None))
        .dense(2, Activation::Identity);
    let net = perturbed(builder);
    let order = shuffled(6, &mut ChaCha12Rng::seed_from_u64(4));
    let (still, other) = ((0..5).collect::<Vec<_>>(), (0..4).collect::<Vec<_>>());
    let copy = Matching { units: vec![order.clone(), still.clone(), other.clone()] }.renumber(&net)?;
    assert_same_function(&net, &copy);
    assert_eq!(matching(&net, &copy)?.units, [inverse(&order), still, other]);
    let swapped = Matching { units: vec![order, vec![1, 0, 2, 3, 4], (0..4).collect()] };
    assert!(matches!(swapped.renumber(&net), Err(Error::Contract { .. })));
    Ok(())
}

/// Where the second network's units are in another order that only a wiring could undo.
#[test]
fn units_beside_a_layer_without_a_wiring_are_not_moved_however_much_they_would_gain() -> Result<()> {
    let builder = DecoupledNetwork::builder(3)
        .dense(6, Activation::Tanh)
        .dense(5, Activation::Tanh)
        .layer(Says(Dense::new(5, 4), None))
        .dense(2, Activation::Identity);
    let net = perturbed(builder);
    let orders = orders(&net, 3);
    let copy = planted(&net, &orders, &ones(&orders));
    assert_same_function(&net, &copy);
    let found = matching(&net, &copy)?;
    assert_eq!(found.units[1..], [(0..5).collect::<Vec<_>>(), (0..4).collect()]);
    assert_same_function(&net, &found.renumber(&copy)?);
    Ok(())
}

/// What is left of a network where all weights of a kind are equal.
fn bare(set: impl Fn(usize, &mut [f64])) -> Result<Net> {
    let builder = DecoupledNetwork::builder(2).dense(6, Activation::Tanh).dense(3, Activation::Identity);
    let mut net = builder.build()?;
    for t in 0..2 {
        let mut params = vec![0.0; net.params(t).len()];
        set(t, &mut params);
        net.set_params(t, &params)?;
    }
    Ok(net)
}

#[test]
fn biases_alone_and_outgoing_weights_alone_tell_which_unit_is_which() -> Result<()> {
    let order = [4, 2, 0, 5, 1, 3];
    let biases = |order: [usize; 6]| {
        bare(|t, params| {
            if t == 0 {
                params[12..].iter_mut().zip(order).for_each(|(bias, unit)| *bias = 1.0 + unit as f64);
            }
        })
    };
    let outgoing = |order: [usize; 6]| {
        bare(|t, params| {
            if t == 1 {
                params.chunks_exact_mut(3).zip(order).for_each(|(column, unit)| column[unit % 3] = 1.0 + unit as f64);
            }
        })
    };
    let still = [0, 1, 2, 3, 4, 5];
    assert_eq!(matching(&biases(still)?, &biases(order)?)?.units, [inverse(&order)]);
    assert_eq!(matching(&outgoing(still)?, &outgoing(order)?)?.units, [inverse(&order)]);
    Ok(())
}

/// ⟨θ_a, θ_b⟩.
fn product(a: &Net, b: &Net) -> f64 {
    params(a).into_iter().zip(params(b)).map(|(a, b)| a * b).sum()
}

/// Of networks that have nothing to do with each other: a local optimum all the same, and no worse than no numbering at all.
#[test]
fn no_two_units_that_change_places_gain_anything() -> Result<()> {
    for seed in 0..10 {
        let net = |seed| perturbed(dense(Activation::Tanh).seed(seed));
        let (a, b) = (net(2 * seed), net(2 * seed + 1));
        let found = matching(&a, &b)?;
        let reached = product(&a, &found.renumber(&b)?);
        assert!(reached >= product(&a, &b));
        for t in 0..found.units.len() {
            for (i, j) in (0..found.units[t].len()).flat_map(|j| (0..j).map(move |i| (i, j))) {
                let mut other = found.clone();
                other.units[t].swap(i, j);
                let swapped = product(&a, &other.renumber(&b)?);
                assert!(swapped <= reached * (1.0 + 1e-8), "{swapped} after {reached}, units {i} and {j} of {t}");
            }
        }
    }
    Ok(())
}

/// The lowest weights are small, and say that the units are in another order; all others, that they are not.
#[test]
fn a_numbering_that_is_good_already_is_kept() -> Result<()> {
    let net = perturbed(dense(Activation::Tanh));
    for seed in 0..10 {
        let order = shuffled(9, &mut ChaCha12Rng::seed_from_u64(seed));
        let (mut a, mut b) = (net.clone(), net.clone());
        let small: Vec<f64> = net.params(0).iter().map(|p| 1e-3 * p).collect();
        a.set_params(0, &small)?;
        let columns = small.chunks_exact(9).flat_map(|column| order.iter().map(|&i| column[i]));
        b.set_params(0, &columns.collect::<Vec<_>>())?;
        let still: Vec<Vec<usize>> = [9, 7, 8].map(|width| (0..width).collect()).into();
        assert_eq!(matching(&a, &b)?.units, still);
    }
    Ok(())
}

#[test]
fn a_numbering_that_is_none_is_refused() {
    let net = perturbed(dense(Activation::Relu));
    let renumber = |units: [Vec<usize>; 3]| Matching { units: units.to_vec() }.renumber(&net);
    let own = |len: usize| (0..len).collect::<Vec<usize>>();
    assert!(renumber([own(9), own(7), own(8)]).is_ok());
    assert!(matches!(renumber([own(8), own(7), own(8)]), Err(Error::Shape { .. })));
    assert!(matches!(renumber([vec![0; 9], own(7), own(8)]), Err(Error::Contract { .. })));
    assert!(matches!(Matching { units: vec![own(9)] }.renumber(&net), Err(Error::Shape { .. })));
    // What goes through one by one keeps its number.
    let builder = DecoupledNetwork::builder(2).layer(Dense::new(2, 3)).layer(Elementwise::new(3, Activation::Tanh));
    let apart = perturbed(builder.layer(Dense::new(3, 1)));
    let both = |below: [usize; 3], above: [usize; 3]| Matching { units: vec![below.into(), above.into()] };
    assert!(both([1, 2, 0], [1, 2, 0]).renumber(&apart).is_ok());
    assert!(matches!(both([1, 2, 0], [2, 0, 1]).renumber(&apart), Err(Error::Contract { .. })));
}

#[test]
fn networks_of_other_layers_are_not_compared() -> Result<()> {
    let net = dense(Activation::Relu).build()?;
    let data: Dataset<f64> = data::two_moons(10, 0.1, 0)?;
    let other = DecoupledNetwork::builder(5).dense(9, Activation::Relu).dense(3, Activation::Identity).build()?;
    assert!(matches!(matching(&net, &other), Err(Error::Shape { expected: 4, found: 2, .. })));
    assert!(matches!(path(&net, &other, &data, 3), Err(Error::Shape { .. })));
    let moons = DecoupledNetwork::<f64>::builder(2).dense(2, Activation::Identity).build()?;
    assert!(matches!(path(&moons, &moons, &data, 1), Err(Error::HyperParameter { .. })));
    assert!(matches!(path(&net, &net, &data, 3), Err(Error::Shape { .. })));
    Ok(())
}

#[test]
fn the_barrier_is_the_most_above_the_straight_line() {
    let barrier = |losses: &[f64]| Path { losses: losses.to_vec(), scores: vec![None; losses.len()] }.barrier();
    assert_eq!(barrier(&[1.0, 5.0, 3.0]), 3.0);
    assert_eq!(barrier(&[1.0, 1.5, 1.0, 4.0, 5.0]), 0.0);
    assert_eq!(barrier(&[1.0, 3.0]), 0.0);
    assert_eq!(barrier(&[0.0, 2.0, 0.0, 7.0, 0.0]), 7.0);
    assert_eq!(barrier(&[0.0, f64::INFINITY, 0.0]), f64::INFINITY);
    assert!(barrier(&[0.0, f64::NAN, 3.0, 0.0]).is_nan() && barrier(&[0.0, 3.0, f64::NAN, 0.0]).is_nan());
}
