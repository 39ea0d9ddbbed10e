//! Layers of pictures against their definitions, pixel by pixel, and against PyTorch.

use std::collections::BTreeMap;
use std::sync::Arc;

use decoupled::layer::{
    Activation, Chain, Conv1d, Conv2d, ConvTranspose2d, Dense, Elementwise, GroupNorm, Init, LayerNorm, Pool2d,
    Residual, Shape, Upsample,
};
use decoupled::optimizer::{Sgd, WeightDecay};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{DecoupledNetwork, Error, FitConfig, Layer, MatMut, MatRef};

/// The settings of a convolution, or of a transposed one; pairs are height and width.
struct Conv {
    input: [usize; 3],
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    /// Of a transposed one.
    output_padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
}

impl Conv {
    fn layer(&self) -> Conv2d {
        let Self { input, channels, kernel, stride, padding, dilation, groups, .. } = *self;
        Conv2d::new(input, channels, kernel).stride(stride).padding(padding).dilation(dilation).groups(groups)
    }

    /// Every use of a weight: output, weight and input, by their numbers, as the definition of the convolution has them.
    fn uses(&self) -> Vec<[usize; 3]> {
        let Self { input: [inputs, height, width], channels, kernel, stride, padding, dilation, groups, .. } = *self;
        let count = |size: usize, axis: usize| {
            (size + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1
        };
        let (down, across, own) = (count(height, 0), count(width, 1), inputs / groups);
        let mut uses = Vec::new();
        for o in 0..channels {
            for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
                for (c, i, j) in
                    (0..own).flat_map(|c| (0..kernel[0]).flat_map(move |i| (0..kernel[1]).map(move |j| (c, i, j))))
                {
                    let row = (y * stride[0] + i * dilation[0]) as isize - padding[0] as isize;
                    let column = (x * stride[1] + j * dilation[1]) as isize - padding[1] as isize;
                    if (0..height as isize).contains(&row) && (0..width as isize).contains(&column) {
                        let channel = o / (channels / groups) * own + c;
                        let weight = ((o * own + c) * kernel[0] + i) * kernel[1] + j;
                        let pixel = (channel * height + row as usize) * width + column as usize;
                        uses.push([(o * down + y) * across + x, weight, pixel]);
                    }
                }
            }
        }
        uses
    }

    /// That of the lowest row alone.
    fn sequential(&self) -> (Conv1d, Self) {
        let Self { input: [inputs, _, length], channels, kernel, stride, padding, dilation, groups, .. } = *self;
        let [kernel, stride, padding, dilation] = [kernel, stride, padding, dilation].map(|[_, across]| across);
        let layer = Conv1d::new([inputs, length], channels, kernel).stride(stride).padding(padding);
        let same = Self {
            input: [inputs, 1, length],
            kernel: [1, kernel],
            stride: [1, stride],
            padding: [0, padding],
            dilation: [1, dilation],
            ..*self
        };
        (layer.dilation(dilation).groups(groups), same)
    }

    fn transposed(&self) -> ConvTranspose2d {
        let Self { input, channels, kernel, stride, padding, output_padding, dilation, groups } = *self;
        let layer = ConvTranspose2d::new(input, channels, kernel).stride(stride).padding(padding);
        layer.output_padding(output_padding).dilation(dilation).groups(groups)
    }

    /// Every use of a weight of the transposed convolution, as its definition has them: each input pixel lays its kernels down.
    fn transposed_uses(&self) -> Vec<[usize; 3]> {
        let Self { input: [inputs, height, width], channels, kernel, stride, padding, .. } = *self;
        let size = |pixels: usize, axis: usize| {
            let reach = self.dilation[axis] * (kernel[axis] - 1) + self.output_padding[axis] + 1;
            (pixels - 1) * stride[axis] + reach - 2 * padding[axis]
        };
        let (down, across, own) = (size(height, 0), size(width, 1), channels / self.groups);
        let mut uses = Vec::new();
        for pixel in 0..inputs * height * width {
            let (c, y, x) = (pixel / (height * width), pixel / width % height, pixel % width);
            for weight in 0..own * kernel[0] * kernel[1] {
                let (o, i, j) = (weight / (kernel[0] * kernel[1]), weight / kernel[1] % kernel[0], weight % kernel[1]);
                let row = (y * stride[0] + i * self.dilation[0]) as isize - padding[0] as isize;
                let column = (x * stride[1] + j * self.dilation[1]) as isize - padding[1] as isize;
                if (0..down as isize).contains(&row) && (0..across as isize).contains(&column) {
                    let channel = c / (inputs / self.groups) * own + o;
                    let output = (channel * down + row as usize) * across + column as usize;
                    uses.push([output, c * own * kernel[0] * kernel[1] + weight, pixel]);
                }
            }
        }
        uses
    }
}

fn near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 1e-12, "{what}, {i}: {found} instead of {expected}");
    }
}

/// A layer whose weights are used so, and which has a bias for each of the output's channels.
fn compare(layer: &dyn Layer<f64>, channels: usize, uses: &[[usize; 3]], rng: &mut ChaCha12Rng) {
    let [inputs, outputs, params] = [layer.input_dim(), layer.output_dim(), layer.param_len()];
    let mut draw = |len: usize| (0..len).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<_>>();
    let (params, x, c) = (draw(params), draw(2 * inputs), draw(2 * outputs));
    let biases = params.len() - channels;
    let pixels = outputs / channels;
    let (mut y, mut by_input, mut by_params) = (vec![0.0; 2 * outputs], vec![0.0; 2 * inputs], vec![0.0; params.len()]);
    for example in 0..2 {
        let (from, to) = (example * inputs, example * outputs);
        for o in 0..outputs {
            y[to + o] = params[biases + o / pixels];
            by_params[biases + o / pixels] += c[to + o];
        }
        for &[o, w, i] in uses {
            y[to + o] += params[w] * x[from + i];
            by_input[from + i] += params[w] * c[to + o];
            by_params[w] += x[from + i] * c[to + o];
        }
    }
    let [output, grad, gradient] = results(layer, &params, &x, &c);
    near(&output, &y, "output");
    near(&grad, &by_input, "input gradient");
    near(&gradient, &by_params, "parameter gradient");
}

#[test]
fn a_convolution_is_its_definition_at_random_settings() {
    for seed in 0..150 {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut draw = |range: std::ops::RangeInclusive<usize>| rng.random_range(range);
        let (groups, kernel) = (draw(1..=3), [draw(1..=4), draw(1..=4)]);
        let dilation = [draw(1..=3), draw(1..=3)];
        let size = [0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1) + draw(1..=7));
        let (stride, padding) = ([draw(1..=3), draw(1..=3)], [draw(0..=3), draw(0..=3)]);
        let (inputs, channels) = (groups * draw(1..=3), groups * draw(1..=4));
        let output_padding = stride.map(|stride| draw(0..=stride - 1));
        let input = [inputs, size[0], size[1]];
        let conv = Conv { input, channels, kernel, stride, padding, output_padding, dilation, groups };
        compare(&conv.layer(), channels, &conv.uses(), &mut rng);
        let (layer, same) = conv.sequential();
        compare(&layer, channels, &same.uses(), &mut rng);
        // As many more as the padding may cut off.
        let conv = Conv { input: [inputs, size[0] + 6, size[1] + 6], ..conv };
        compare(&conv.transposed(), channels, &conv.transposed_uses(), &mut rng);
    }
}

/// More patches than are unfolded at a time.
#[test]
fn many_examples_are_convolved_like_each_alone() {
    let conv = Conv2d::new([3, 20, 18], 20, [5, 3]).padding([2, 1]);
    let transposed = ConvTranspose2d::new([20, 20, 18], 3, [5, 3]).padding([2, 1]);
    for layer in [&conv as &dyn Layer<f64>, &transposed] {
        let (mut rng, n) = (ChaCha12Rng::seed_from_u64(0), 40);
        let mut draw = |len: usize| (0..len).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<_>>();
        let [inputs, outputs] = [layer.input_dim(), layer.output_dim()];
        assert!(layer.cache_len(n) < n * layer.cache_len(1) / 4, "some examples at a time, not all at once");
        let (params, x, c) = (draw(layer.param_len()), draw(n * inputs), draw(n * outputs));
        let [all, alone] = [n, 1].map(|at_once| {
            let (mut y, mut by_input, mut sum) =
                (vec![0.0; n * outputs], vec![0.0; n * inputs], vec![0.0; params.len()]);
            let mut by_params = sum.clone();
            let mut cache = vec![f64::NAN; layer.cache_len(at_once)];
            for first in (0..n).step_by(at_once) {
                let [x, c] = [(&x, inputs), (&c, outputs)]
                    .map(|(all, rows)| MatRef::new(&all[first * rows..(first + at_once) * rows], rows, at_once));
                let y = &mut y[first * outputs..(first + at_once) * outputs];
                layer.forward(&params, x, MatMut::new(y, outputs, at_once), &mut cache);
                let grad = &mut by_input[first * inputs..(first + at_once) * inputs];
                layer.input_gradient(&params, x, c, MatMut::new(grad, inputs, at_once), &mut cache);
                layer.param_gradient(&params, x, c, &mut by_params, &mut cache);
                sum.iter_mut().zip(&by_params).for_each(|(sum, part)| *sum += part);
            }
            (y, by_input, sum)
        });
        assert!(all.0 == alone.0 && all.1 == alone.1, "{layer:?}: the bits of an example");
        near(&all.2, &alone.2, "gradient");
    }
}

/// The output, the input gradient and the parameter gradient of two examples.
fn results(layer: &dyn Layer<f64>, params: &[f64], x: &[f64], c: &[f64]) -> [Vec<f64>; 3] {
    let (inputs, outputs) = (layer.input_dim(), layer.output_dim());
    let [mut y, mut by_input, mut by_params, mut cache] =
        [2 * outputs, 2 * inputs, params.len(), layer.cache_len(2)].map(|len| vec![f64::NAN; len]);
    let (input, cotangent) = (MatRef::new(x, inputs, 2), MatRef::new(c, outputs, 2));
    layer.forward(params, input, MatMut::new(&mut y, outputs, 2), &mut cache);
    layer.input_gradient(params, input, cotangent, MatMut::new(&mut by_input, inputs, 2), &mut cache);
    if !params.is_empty() {
        layer.param_gradient(params, input, cotangent, &mut by_params, &mut cache);
    }
    [y, by_input, by_params]
}

/// The numbers of tests/torch/pictures.py, two examples of each layer. PyTorch's order within an example is that of a column.
#[test]
fn convolutions_and_poolings_are_pytorchs() {
    let mut expected: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for line in include_str!("../torch/pictures.csv").lines() {
        let mut cells = line.split(',');
        let name = (cells.next().unwrap(), cells.next().unwrap());
        expected.insert(name, cells.map(|cell| cell.parse().unwrap()).collect());
    }
    let settings = Conv2d::new([4, 7, 6], 6, [3, 2]).stride([2, 1]).padding([2, 1]).dilation([1, 3]).groups(2);
    let depthwise = Conv2d::new([3, 5, 4], 6, [2, 3]).stride([1, 2]).padding([0, 2]).dilation([2, 1]).groups(3);
    let up = ConvTranspose2d::new([3, 4, 3], 4, [3, 2]).stride([2, 3]).padding([1, 0]).output_padding([1, 2]);
    let narrow = Conv2d::new([2, 5, 4], 3, [3, 3]).stride([2, 2]).padding([1, 1]);
    let block = Residual::new(Chain::new().then(narrow).then(Elementwise::new(18, Activation::Tanh)))
        .projection(Conv2d::new([2, 5, 4], 3, [1, 1]).stride([2, 2]));
    let layers: [(&str, &dyn Layer<f64>); 19] = [
        ("plain", &Conv2d::new([2, 5, 6], 3, [3, 2])),
        ("same", &Conv2d::new([1, 4, 5], 2, [3, 3]).padding([1, 1])),
        ("settings", &settings),
        ("depthwise", &depthwise),
        ("transposed", &ConvTranspose2d::new([2, 3, 4], 3, [3, 2])),
        ("transposed with a stride", &up),
        (
            "transposed in groups",
            &ConvTranspose2d::new([4, 3, 2], 6, [2, 3]).stride([1, 2]).padding([1, 2]).dilation([2, 1]).groups(2),
        ),
        ("sequence", &Conv1d::new([2, 7], 3, 3)),
        ("sequence with settings", &Conv1d::new([4, 9], 6, 3).stride(2).padding(2).dilation(2).groups(2)),
        ("block", &block),
        ("groups", &GroupNorm::new([6, 3, 2], 3)),
        ("a group of all", &GroupNorm::new([3, 4, 2], 1).epsilon(0.1)),
        ("a group each", &GroupNorm::new([3, 4, 2], 3)),
        ("enlarged", &Upsample::new([2, 3, 2], [2, 3])),
        ("max", &Pool2d::max([2, 5, 6], [2, 3])),
        ("max overlapping", &Pool2d::max([2, 5, 6], [3, 2]).stride([1, 2])),
        ("mean", &Pool2d::mean([3, 4, 5], [2, 2])),
        ("mean overlapping", &Pool2d::mean([3, 4, 5], [3, 2]).stride([1, 1])),
        ("mean of all", &Pool2d::global_mean([3, 4, 5])),
    ];
    let numbers = |len: usize, f: fn(f64) -> f64| (0..len).map(|i| f(i as f64)).collect::<Vec<_>>();
    for (name, layer) in layers {
        let (inputs, outputs) = (layer.input_dim(), layer.output_dim());
        let (params, x) = (numbers(layer.param_len(), |i| (0.7 * i).cos()), numbers(2 * inputs, f64::sin));
        let c = numbers(2 * outputs, |i| (1.3 * i + 1.0).sin());
        let found = results(layer, &params, &x, &c);
        for (found, of) in found.iter().zip(["output", "input gradient", "parameter gradient"]) {
            if !found.is_empty() {
                near(found, &expected[&(name, of)], name);
            }
        }
    }
    assert_eq!(expected.len(), 13 * 3 + 6 * 2);
}

/// Each group by itself by its definition, and its gradients through the matrix of all derivatives.
#[test]
fn a_group_normalisation_is_its_definition_at_random_settings() {
    for seed in 0..60 {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut draw = |range: std::ops::RangeInclusive<usize>| rng.random_range(range);
        let (groups, per_group, [height, width]) = (draw(1..=3), draw(1..=3), [draw(1..=3), draw(2..=4)]);
        let (channels, pixels, epsilon) = (groups * per_group, height * width, 0.01 * draw(1..=9) as f64);
        let (dim, numbers) = (channels * pixels, per_group * pixels);
        let mut numbers_of = |len: usize| (0..len).map(|_| rng.random::<f64>() - 0.3).collect::<Vec<_>>();
        let (params, x, c) = (numbers_of(2 * channels), numbers_of(2 * dim), numbers_of(2 * dim));
        let [mut y, mut by_input, mut by_params] = [vec![0.0; 2 * dim], vec![0.0; 2 * dim], vec![0.0; 2 * channels]];
        for first in (0..2 * dim).step_by(numbers) {
            let group = &x[first..first + numbers];
            let mean = group.iter().sum::<f64>() / numbers as f64;
            let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / numbers as f64;
            let deviation = (variance + epsilon).sqrt();
            for i in first..first + numbers {
                let (channel, z) = (i % dim / pixels, (x[i] - mean) / deviation);
                y[i] = params[channel] * z + params[channels + channel];
                by_params[channel] += c[i] * z;
                by_params[channels + channel] += c[i];
                for k in first..first + numbers {
                    // ∂z̄_i/∂z_k = (1[i = k] − 1/m − z̄_i·z̄_k/m) / deviation
                    let (same, other) = (f64::from(u8::from(i == k)), (x[k] - mean) / deviation);
                    let slope = (same - (1.0 + z * other) / numbers as f64) / deviation;
                    by_input[k] += params[channel] * c[i] * slope;
                }
            }
        }
        let layer = GroupNorm::new([channels, height, width], groups).epsilon(epsilon);
        let [output, grad, gradient] = results(&layer, &params, &x, &c);
        near(&output, &y, "output");
        near(&grad, &by_input, "input gradient");
        near(&gradient, &by_params, "parameter gradient");
    }
}

#[test]
fn an_enlarged_picture_is_its_definition_at_random_settings() {
    for seed in 0..60 {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let [channels, height, width, down, across] = std::array::from_fn(|_| rng.random_range(1..=4));
        let layer = Upsample::new([channels, height, width], [down, across]);
        let dims: [usize; 2] = [channels * height * width, channels * height * down * width * across];
        let [x, c] = dims.map(|dim| (0..2 * dim).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<_>>());
        let [mut y, mut grad] = [vec![0.0; c.len()], vec![0.0; x.len()]];
        for picture in 0..2 * channels {
            for (row, column) in (0..height * down).flat_map(|row| (0..width * across).map(move |column| (row, column)))
            {
                let to = (picture * height * down + row) * width * across + column;
                let from = (picture * height + row / down) * width + column / across;
                y[to] = x[from];
                grad[from] += c[to];
            }
        }
        let [output, by_input, _] = results(&layer, &[], &x, &c);
        assert_eq!(output, y);
        near(&by_input, &grad, "input gradient");
    }
}

#[test]
fn enlargements_that_cannot_be_are_refused() {
    let up = |factors| Upsample::new([1, 2, 2], factors);
    for layer in [up([0, 1]), up([2, 0])] {
        let error = refusal([1, 2, 2], layer);
        assert!(matches!(error, Error::HyperParameter { name: "factors of Upsample", found: 0.0, .. }), "{error}");
    }
    let flat = refusal(4, Upsample::new(4, [2, 2]));
    assert!(flat.to_string().contains("builder([channels, height, width])"), "{flat}");
    assert!(matches!(refusal([2, 2, 1], up([2, 2])), Error::ShapeMismatch { layer: 0, .. }));
    for factors in [[usize::MAX, 1], [1, usize::MAX / 2 + 1], [1 << 33, 1 << 33]] {
        let error = refusal([1, 2, 2], up(factors));
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    }
}

/// Its output and gradients are the sums of those of its two maps, or one after the other.
#[test]
fn a_block_with_a_projection_is_the_sum_of_both_maps() {
    let conv = Conv2d::new([2, 6, 5], 4, [3, 3]).stride([2, 1]).padding([1, 1]);
    let maps: [Arc<dyn Layer<f64>>; 5] = [
        Arc::new(Chain::new().then(conv).then(GroupNorm::new(conv.output(), 2))),
        Arc::new(Conv2d::new([2, 6, 5], 4, [1, 1]).stride([2, 1])),
        Arc::new(Chain::new().then(Dense::new(60, 7)).then(LayerNorm::new(7)).then(Dense::new(7, 60))),
        Arc::new(Elementwise::new(60, Activation::Gelu)),
        Arc::new(Dense::new(60, 60).without_bias()),
    ];
    let mut rng = ChaCha12Rng::seed_from_u64(0);
    for (inner, projection) in maps.iter().flat_map(|inner| maps.iter().map(move |other| (inner, other))) {
        let mut numbers = |len: usize| (0..len).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<_>>();
        let (params, others) = (numbers(inner.param_len()), numbers(projection.param_len()));
        let (x, c) = (numbers(120), numbers(120));
        let block = Residual::new(Arc::clone(inner)).projection(Arc::clone(projection));
        let found = results(&block, &[&params[..], &others].concat(), &x, &c);
        let [one, other] = [results(inner, &params, &x, &c), results(projection, &others, &x, &c)];
        for (of, found) in found.iter().take(2).enumerate() {
            let sum: Vec<f64> = one[of].iter().zip(&other[of]).map(|(a, b)| a + b).collect();
            near(found, &sum, &format!("{block:?}, {of}"));
        }
        near(&found[2], &[&one[2][..], &other[2]].concat(), "parameter gradient");
    }
}

#[test]
fn projections_that_do_not_fit_are_refused_and_pictures_go_through_them() {
    let conv = || Conv2d::new([2, 4, 4], 3, [2, 2]).stride([2, 2]);
    let block = |projection: Conv2d| Residual::<f64>::new(conv()).projection(projection);
    let point = |channels| Conv2d::new([2, 4, 4], channels, [1, 1]);
    let net = Net::builder([2, 4, 4]).layer(block(point(3).stride([2, 2]))).max_pool2d([2, 2]).build().unwrap();
    assert_eq!(net.summary().layers[0].output, Shape::from([3, 2, 2]));
    let inputs = "input rows of the projection in a residual block";
    let outputs = "output rows of the projection in a residual block";
    for (projection, expected, found) in [(point(3), 12, 48), (point(4).stride([2, 2]), 12, 16)] {
        let error = refusal([2, 4, 4], block(projection));
        assert!(
            matches!(error, Error::Shape { what, expected: e, found: f } if (what, e, f) == (outputs, expected, found)),
            "{error}"
        );
    }
    let error = refusal([2, 4, 4], block(Conv2d::new([2, 5, 4], 3, [1, 1])));
    assert!(matches!(error, Error::Shape { what, expected: 32, found: 40 } if what == inputs), "{error}");
    let error = refusal([2, 4, 4], block(Conv2d::new([4, 2, 4], 3, [1, 2]).stride([1, 2])));
    assert_eq!(error.to_string(), format!("{inputs}: expected 2×4×4, found 4×2×4"));
    let error = refusal([2, 4, 4], block(Conv2d::new([2, 4, 4], 6, [3, 4])));
    assert_eq!(error.to_string(), format!("{outputs}: expected 3×2×2, found 6×2×1"));
    assert!(Residual::<f64>::new(conv()).projection(Dense::new(32, 12)).validate().is_ok());
    let error = refusal([2, 4, 4], block(point(3).stride([0, 2])));
    assert!(matches!(error, Error::HyperParameter { name: "stride of windows", .. }), "{error}");
    // The picture is known by either of the two.
    let flat = Residual::<f64>::new(Dense::new(32, 12)).projection(conv());
    assert_eq!((flat.input_shape(), flat.output_shape(32.into())), (Shape::from([2, 4, 4]), conv().output()));
    assert!(matches!(refusal([2, 8, 2], flat), Error::ShapeMismatch { layer: 0, .. }));
    assert_eq!(Layer::<f64>::operations(&block(point(3).stride([2, 2]))), 2 * 4 * (3 * 8 + 3) + 2 * 4 * (3 * 2 + 3));
}

/// One group of a picture of one pixel is a vector.
#[test]
fn a_group_of_all_numbers_is_layer_normalisation_to_the_bit() {
    let mut rng = ChaCha12Rng::seed_from_u64(0);
    let mut numbers = |len: usize| (0..len).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<_>>();
    let (params, x, c) = (numbers(74), numbers(74), numbers(74));
    let expected = results(&LayerNorm::new(37), &params, &x, &c);
    assert_eq!(results(&GroupNorm::new(37, 1), &params, &x, &c)[..2], expected[..2]);
    near(&results(&GroupNorm::new([37, 1, 1], 1), &params, &x, &c)[2], &expected[2], "parameter gradient");
}

#[test]
fn normalisations_that_cannot_be_are_refused() {
    let norm = |groups| GroupNorm::new([4, 1, 1], groups);
    for (layer, what, number) in [
        (norm(0), "groups of GroupNorm", 0.0),
        (norm(3), "groups of GroupNorm", 3.0),
        (norm(8), "groups of GroupNorm", 8.0),
        (norm(4), "numbers of a group of GroupNorm", 1.0),
        (GroupNorm::new([0, 2, 2], 1), "numbers of a group of GroupNorm", 0.0),
        (norm(2).epsilon(0.0), "epsilon of GroupNorm", 0.0),
        (norm(2).epsilon(-1.0), "epsilon of GroupNorm", -1.0),
    ] {
        let error = refusal([4, 1, 1], layer);
        assert!(
            matches!(&error, Error::HyperParameter { name, found, .. } if *name == what && *found == number),
            "{layer:?}: {error}"
        );
    }
    assert!(matches!(refusal([2, 2, 3], GroupNorm::new([3, 2, 2], 1)), Error::ShapeMismatch { layer: 0, .. }));
}

#[test]
fn windows_without_an_overlap_are_pooled_as_by_hand() {
    // Two channels of 3 × 5; windows of 2 × 2 leave the last row and column.
    let x: Vec<f64> = (0..30).map(|i| f64::from((i * 7) % 30)).collect();
    let input = MatRef::new(&x, 30, 1);
    let pooled = |layer: &dyn Layer<f64>| {
        let (mut y, mut cache) = (vec![f64::NAN; layer.output_dim()], vec![f64::NAN; layer.cache_len(1)]);
        layer.forward(&[], input, MatMut::new(&mut y, layer.output_dim(), 1), &mut cache);
        let c: Vec<f64> = (1..=layer.output_dim() as u32).map(f64::from).collect();
        let mut grad = vec![f64::NAN; 30];
        let cotangent = MatRef::new(&c, c.len(), 1);
        layer.input_gradient(&[], input, cotangent, MatMut::new(&mut grad, 30, 1), &mut cache);
        (y, grad)
    };
    // Rows 0 7 14 21 28 | 5 12 19 26 3 | 10 17 24 1 8, then 15 22 29 6 13 | 20 27 4 11 18 | 25 2 9 16 23.
    let (y, grad) = pooled(&Pool2d::max([2, 3, 5], [2, 2]));
    assert_eq!(y, [12.0, 26.0, 27.0, 29.0]);
    let mut expected = [0.0; 30];
    (expected[6], expected[8], expected[21], expected[17]) = (1.0, 2.0, 3.0, 4.0);
    assert_eq!(grad, expected);
    let (y, grad) = pooled(&Pool2d::mean([2, 3, 5], [2, 2]));
    assert_eq!(y, [6.0, 20.0, 21.0, 12.5]);
    assert_eq!((grad[0], grad[8], grad[9], grad[15], grad[18]), (0.25, 0.5, 0.0, 0.75, 1.0));
    let (y, _) = pooled(&Pool2d::global_mean([2, 3, 5]));
    assert_eq!(y, [(0..15).map(|i| x[i]).sum::<f64>() / 15.0, (15..30).map(|i| x[i]).sum::<f64>() / 15.0]);
    // Overlapping: three columns of windows, one pixel apart.
    let (y, _) = pooled(&Pool2d::max([2, 3, 5], [3, 3]).stride([1, 1]));
    assert_eq!(y, [24.0, 26.0, 28.0, 29.0, 29.0, 29.0]);
}

#[test]
fn the_first_of_equal_pixels_is_the_largest() {
    let layer = Pool2d::max([1, 2, 2], [2, 2]);
    let (mut y, mut grad, mut cache) = ([f64::NAN], [f64::NAN; 4], [f64::NAN]);
    let ones = MatRef::new(&[1.0; 4], 4, 1);
    layer.forward(&[], ones, MatMut::new(&mut y, 1, 1), &mut cache);
    layer.input_gradient(&[], ones, MatRef::new(&[3.0], 1, 1), MatMut::new(&mut grad, 4, 1), &mut cache);
    assert_eq!(grad, [3.0, 0.0, 0.0, 0.0]);
}

type Net = DecoupledNetwork<f64>;

#[test]
fn shapes_are_followed_through_a_network_and_printed() {
    let builder = Net::builder([1, 8, 8]).conv2d(4, [3, 3], Activation::Relu).max_pool2d([2, 2]);
    assert_eq!(builder.shape(), Shape::from([4, 3, 3]));
    let conv = Conv2d::new(builder.shape(), 2, [2, 2]);
    let unit = Chain::new()
        .then(conv)
        .then(Elementwise::new(conv.output().len(), Activation::Tanh))
        .then(Pool2d::global_mean(conv.output()));
    let net = builder.layer(unit).dense(3, Activation::Identity).build().unwrap();
    let table = "
layer                            unit          shape  parameters
    0                   Conv2d → Relu  1×8×8 → 4×6×6          40
    1                       MaxPool2d  4×6×6 → 4×3×3           0
    2  Conv2d → Tanh → MeanPool2d  4×3×3 → 2×1×1          34
    3                           Dense      2×1×1 → 3           9
83 parameters";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let summary = net.summary();
    assert!(squeezed(&summary.to_string()).starts_with(&squeezed(table)), "{summary}");
    // A multiplication and an addition for each use of a parameter: 40 for each of 36 pixels, 34 for each of 4, 9.
    assert_eq!(summary.backprop.operations, Some(2.0 * (2.0 * 1440.0 + 3.0 * 136.0 + 3.0 * 9.0)));
}

#[test]
fn pictures_that_do_not_fit_are_refused_by_both_shapes() {
    let conv = Conv2d::new([2, 5, 5], 3, [2, 2]);
    let wrong = Net::builder([1, 5, 10]).layer(conv).build().unwrap_err();
    let (expected, found) = (Shape::from([1, 5, 10]), Shape::from([2, 5, 5]));
    assert!(matches!(wrong, Error::ShapeMismatch { layer: 0, expected: e, found: f } if (e, f) == (expected, found)));
    assert_eq!(wrong.to_string(), "layer 0 takes inputs of shape 2×5×5, but the output below it has 1×5×10");
    let wrong = Net::builder(51).layer(conv).build().unwrap_err();
    assert!(matches!(wrong, Error::ShapeMismatch { layer: 0, .. }));
    // A flat input is a picture, and the other way round.
    Net::builder(50).layer(conv).dense(2, Activation::Tanh).build().unwrap();
    let above = |layer: Conv2d| Net::builder([2, 5, 5]).layer(conv).layer(layer).build().unwrap_err();
    let inner =
        |error: Error| if let Error::InLayer { layer: 1, source } = error { *source } else { panic!("{error}") };
    for (layer, what) in [
        (Conv2d::new([3, 4, 4], 3, [5, 2]), "height of a window, dilated"),
        (Conv2d::new([3, 4, 4], 3, [2, 3]).dilation([1, 2]), "width of a window, dilated"),
        (Conv2d::new([3, 4, 4], 3, [0, 2]), "pixels along a side of a window"),
        (Conv2d::new([3, 4, 4], 3, [2, 2]).stride([1, 0]), "stride of windows"),
        (Conv2d::new([3, 4, 4], 3, [2, 2]).dilation([0, 1]), "dilation of a window"),
        (Conv2d::new([3, 4, 4], 3, [2, 2]).groups(2), "groups of a convolution"),
        (Conv2d::new([3, 4, 4], 4, [2, 2]).groups(3), "groups of a convolution"),
        (Conv2d::new([3, 4, 4], 3, [2, 2]).groups(0), "groups of a convolution"),
        (Conv2d::new([3, 4, 4], 3, [2, 2]).bias(f64::NAN), "bias of a convolution"),
    ] {
        let error = inner(above(layer));
        assert!(matches!(&error, Error::HyperParameter { name, .. } if *name == what), "{error}");
    }
    // A flat shape has channels or pixels, nobody knows which.
    let same = Conv2d::new(Net::builder(784).shape(), 8, [3, 3]).padding([1, 1]);
    let flat = Net::builder(784).layer(same).build().unwrap_err();
    let pooled = Net::builder(3).dense(9, Activation::Relu).max_pool2d([1, 1]).build().unwrap_err();
    for error in [flat, pooled] {
        assert!(error.to_string().contains("builder([channels, height, width])"), "{error}");
    }
}

/// The error of a layer above a picture of this shape.
fn refusal(below: impl Into<Shape>, layer: impl Layer<f64> + 'static) -> Error {
    match Net::builder(below).layer(layer).build().unwrap_err() {
        Error::InLayer { layer: 0, source } => *source,
        other => other,
    }
}

#[test]
fn transposed_convolutions_that_cannot_be_are_refused() {
    let up = || ConvTranspose2d::new([2, 3, 3], 4, [2, 2]);
    for (layer, what, number) in [
        (up().groups(0), "groups of a convolution", 0.0),
        (up().groups(4), "groups of a convolution", 4.0),
        (ConvTranspose2d::new([2, 3, 3], 3, [2, 2]).groups(2), "groups of a convolution", 2.0),
        (ConvTranspose2d::new([2, 3, 3], 4, [2, 0]), "pixels along a side of a window", 0.0),
        (up().stride([0, 1]), "stride of windows", 0.0),
        (up().dilation([1, 0]), "dilation of a window", 0.0),
        (up().output_padding([0, 1]), "output padding", 1.0),
        (up().stride([2, 3]).output_padding([2, 2]), "output padding", 2.0),
        // 3 + 1 rows, of which 2 · 2 are cut off; 3 + 1 columns, of which 2 · 3.
        (up().padding([2, 0]), "height of a transposed convolution's output", 0.0),
        (up().padding([0, 3]), "width of a transposed convolution's output", -2.0),
        (up().bias(f64::INFINITY), "bias of a convolution", f64::INFINITY),
        (up().stride([usize::MAX, 1]), "height of a transposed convolution's output", 2f64.powi(65)),
        (up().dilation([1, usize::MAX]), "width of a transposed convolution's output", 2f64.powi(64)),
    ] {
        let error = refusal([2, 3, 3], layer);
        assert!(
            matches!(&error, Error::HyperParameter { name, found, .. } if *name == what && *found == number),
            "{layer:?}: {error}"
        );
    }
    assert!(
        refusal(18, ConvTranspose2d::new(18, 4, [2, 2])).to_string().contains("builder([channels, height, width])")
    );
    assert!(matches!(refusal([1, 3, 6], up()), Error::ShapeMismatch { layer: 0, .. }));
    assert!(matches!(refusal([2, 3, 3], ConvTranspose2d::new([2, 3, 3], 0, [2, 2])), Error::ZeroWidth { layer: 0 }));
}

#[test]
fn convolutions_of_sequences_that_cannot_be_are_refused() {
    let conv = || Conv1d::new([2, 5], 4, 3);
    for (layer, what, number) in [
        (conv().groups(4), "groups of a convolution", 4.0),
        (conv().stride(0), "stride of windows", 0.0),
        (conv().dilation(3), "width of a window, dilated", 7.0),
        (Conv1d::new([2, 5], 4, 0), "pixels along a side of a window", 0.0),
        (Conv1d::new([2, 5], 4, 6), "width of a window, dilated", 6.0),
        (Conv1d::new([2, 2, 5], 4, 3), "rows of what Conv1d goes over", 2.0),
        (Conv1d::new(10, 4, 3), "rows of what Conv1d goes over", 0.0),
        (conv().bias(f64::NAN), "bias of a convolution", f64::NAN),
    ] {
        let error = refusal([2, 5], layer);
        assert!(
            matches!(&error, Error::HyperParameter { name, found, .. } if *name == what && found.total_cmp(&number).is_eq()),
            "{layer:?}: {error}"
        );
    }
    let wrong = refusal([1, 10], conv());
    assert_eq!(wrong.to_string(), "layer 0 takes inputs of shape 2×1×5, but the output below it has 1×1×10");
    assert!(matches!(refusal([2, 5], Conv1d::new([2, 5], 0, 3)), Error::ZeroWidth { layer: 0 }));
    assert!(Net::builder([2, 5]).layer(Conv1d::new([2, 5], usize::MAX, 3)).build().is_err());
}

#[test]
fn pictures_are_followed_through_maps_that_work_number_by_number() {
    let unit = |width: usize| Elementwise::new(width, Activation::Relu);
    let conv = Conv2d::new([1, 6, 8], 4, [3, 3]).padding([1, 1]);
    let chain = || Chain::<f64>::new().then(unit(48)).then(LayerNorm::new(48)).then(conv);
    assert_eq!(
        (chain().input_shape(), Net::builder(48).layer(chain()).shape()),
        (Shape::from([1, 6, 8]), conv.output())
    );
    Net::builder([1, 6, 8]).layer(chain()).build().unwrap();
    let wrong = Net::builder([3, 4, 4]).layer(chain()).build().unwrap_err();
    assert!(matches!(wrong, Error::ShapeMismatch { layer: 0, .. }), "{wrong}");
    // A residual block keeps the picture, or is refused.
    let block =
        Residual::<f64>::new(Chain::new().then(unit(48)).then(Conv2d::new([3, 4, 4], 3, [3, 3]).padding([1, 1])));
    let net = Net::builder([3, 4, 4]).layer(block).layer(Pool2d::max([3, 4, 4], [2, 2])).build().unwrap();
    assert_eq!(net.summary().layers[1].input, Shape::from([3, 4, 4]));
    let halves = Residual::<f64>::new(Conv2d::new([1, 4, 4], 4, [2, 2]).stride([2, 2]));
    assert!(matches!(halves.validate().unwrap_err(), Error::UnequalShapes { .. }));
    // 1 × 1 of one channel, with a bias, over 3 × 3 pixels.
    let small = Residual::<f64>::new(Conv2d::new([1, 3, 3], 1, [1, 1]));
    assert_eq!(small.operations(), 2 * 2 * 9);
    // Each of 2 × 3 kernels of 3 × 2 at each of 3 × 4 pixels, and each of three biases at 5 × 5.
    let up = ConvTranspose2d::new([2, 3, 4], 3, [3, 2]);
    assert_eq!(Layer::<f64>::operations(&up), 2 * (36 * 12 + 3 * 25));
    // A layer of pictures reads the output of a dense map.
    assert!(Net::builder([3, 4, 4]).dense(48, Activation::Relu).layer(unit(48)).layer(conv).build().is_ok());
}

#[test]
fn a_pixel_that_is_no_number_shows_wherever_it_stands() {
    let layer = Pool2d::max([1, 2, 2], [2, 2]);
    for place in 0..4 {
        let mut x = [1.0, 3.0, 2.0, 0.5];
        x[place] = f64::NAN;
        let mut y = [0.0];
        layer.forward(&[], MatRef::new(&x, 4, 1), MatMut::new(&mut y, 1, 1), &mut [0.0]);
        assert!(y[0].is_nan(), "at {place}");
    }
}

#[test]
fn the_check_says_which_setting_leaves_no_outputs() {
    let conv = Conv2d::new([1, 5, 5], 2, [7, 3]);
    let error = decoupled::check::layer::<f64>(&conv).unwrap_err();
    assert!(matches!(error, Error::HyperParameter { found: 7.0, .. }), "{error}");
    assert!(error.to_string().contains("height of a window"), "{error}");
}

#[test]
fn sizes_beyond_all_numbers_are_refused() {
    for padding in [[usize::MAX, 0], [0, usize::MAX], [usize::MAX / 2, 0]] {
        let conv = Conv2d::new([1, 5, 5], 1, [1, 1]).padding(padding).stride([usize::MAX, 1]);
        assert!(Net::builder([1, 5, 5]).layer(conv).build().is_err());
    }
    for conv in [Conv2d::new([usize::MAX, 5, 5], 1, [2, 2]), Conv2d::new([1, 5, 5], usize::MAX, [2, 2])] {
        assert!(Net::builder([1, 5, 5]).layer(conv).build().is_err());
    }
    let up = ConvTranspose2d::new([1, 5, 5], 1, [2, 2]);
    for up in [
        ConvTranspose2d::new([1, 5, 5], usize::MAX, [2, 2]),
        ConvTranspose2d::new([1, 5, 5], 1, [usize::MAX, 2]),
        up.padding([usize::MAX, 0]),
        up.stride([1, usize::MAX / 4]),
        up.stride([1 << 40, 1 << 40]),
    ] {
        assert!(Net::builder([1, 5, 5]).layer(up).build().is_err(), "{up:?}");
    }
}

/// The activation's own initialiser, which is not the layer's for tanh.
#[test]
fn the_builder_draws_kernels_by_their_activation() {
    let params = |net: DecoupledNetwork<f64>| net.params(0).to_vec();
    for activation in [Activation::Relu, Activation::Tanh] {
        let built = Net::builder([2, 6, 6]).conv2d(5, [3, 3], activation).seed(3).build().unwrap();
        let conv = Conv2d::new([2, 6, 6], 5, [3, 3]).init(Init::for_activation(activation));
        let by_hand = Chain::new().then(conv).then(Elementwise::new(80, activation));
        assert_eq!(params(built), params(Net::builder([2, 6, 6]).layer(by_hand).seed(3).build().unwrap()));
    }
}

/// Weight decay of weights alone moves kernels and leaves biases.
#[test]
fn kernels_are_weights_and_their_biases_are_not() {
    let data = decoupled::data::two_moons::<f64>(8, 0.1, 0).unwrap();
    let rule = WeightDecay::new(Sgd::new(1e-9), 1e6).weights_only();
    let layer = Conv2d::new([1, 1, 2], 2, [1, 2]).bias(0.5);
    let mut net = Net::builder([1, 1, 2]).layer(layer).optimizer(rule).build().unwrap();
    let before = net.params(0).to_vec();
    net.fit_backprop(&data, &FitConfig::new().epochs(1).full_batch()).unwrap();
    let moved: Vec<bool> = net.params(0).iter().zip(&before).map(|(p, b)| (p - b).abs() > 1e-6 * b.abs()).collect();
    assert_eq!(moved, [true, true, true, true, false, false]);
}

#[test]
fn pictures_keep_the_contract_in_single_precision() {
    let conv = Conv2d::new([2, 6, 5], 3, [3, 2]).padding([1, 0]);
    let chain = Chain::new().then(conv).then(Elementwise::new(conv.output().len(), Activation::Gelu));
    decoupled::check::layer::<f32>(&chain.then(Pool2d::mean(conv.output(), [2, 2]))).unwrap();
}

/// The variance of He's initialiser, over many kernels: 2 divided by the weights of an output channel.
#[test]
fn kernels_are_drawn_by_their_fans() {
    let fans = |init: Init| {
        let layer = Conv2d::new([8, 3, 3], 400, [3, 3]).without_bias().init(init);
        let mut params = vec![0.0_f64; Layer::<f64>::param_len(&layer)];
        layer.init_params(&mut params, &mut ChaCha12Rng::seed_from_u64(1));
        params.iter().map(|w| w * w).sum::<f64>() / params.len() as f64
    };
    let (inputs, outputs) = (8.0 * 9.0, 400.0 * 9.0);
    assert!((fans(Init::he_normal()) * inputs / 2.0 - 1.0).abs() < 0.03);
    assert!((fans(Init::glorot_uniform()) * (inputs + outputs) / 2.0 - 1.0).abs() < 0.03);
    // A pixel of the output is reached by a kernel of 4 × 4 from 2 × 2 pixels at stride 2.
    let up = ConvTranspose2d::new([80, 3, 3], 20, [4, 4]).stride([2, 2]).without_bias();
    let mut params = vec![0.0_f64; Layer::<f64>::param_len(&up)];
    up.init_params(&mut params, &mut ChaCha12Rng::seed_from_u64(1));
    let variance = params.iter().map(|w| w * w).sum::<f64>() / params.len() as f64;
    assert!((variance * 80.0 * 4.0 / 2.0 - 1.0).abs() < 0.03);
    // Orthogonal kernels: rows of a matrix with more columns have length 1.
    let layer = Conv2d::new([2, 3, 3], 4, [3, 3]).without_bias().init(Init::orthogonal());
    let mut params = vec![0.0_f64; 72];
    layer.init_params(&mut params, &mut ChaCha12Rng::seed_from_u64(1));
    let kernels: Vec<&[f64]> = params.chunks(18).collect();
    for (i, a) in kernels.iter().enumerate() {
        for (j, b) in kernels.iter().enumerate() {
            let dot: f64 = a.iter().zip(*b).map(|(a, b)| a * b).sum();
            assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
        }
    }
}
