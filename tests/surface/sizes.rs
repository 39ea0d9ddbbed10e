//! Sizes that no machine has room for are errors that say so: no product of them wraps.

use decoupled::data::{self, Examples, one_hot};
use decoupled::layer::{Activation, Chain, Dense, Elementwise, LayerNorm};
use decoupled::loss::SquaredError;
use decoupled::method::{GaussNewton, Order, Reads, Ridge, Start, Sweeps, Timing};
use decoupled::optimizer::Step;
use decoupled::{
    Dataset, DecoupledNetwork, Error, FitConfig, Layer, MatMut, MatRef, Method, Optimizer, check, diagnostics,
};

const HUGE: usize = 1 << 40;
const MOST: usize = usize::MAX;

fn network(method: Method<f64>) -> DecoupledNetwork<f64> {
    DecoupledNetwork::builder(2)
        .dense(3, Activation::Tanh)
        .dense(2, Activation::Identity)
        .method(method)
        .threads(1)
        .build()
        .unwrap()
}

fn out_of_memory<R: std::fmt::Debug>(result: Result<R, Error>) {
    assert!(matches!(result, Err(Error::OutOfMemory { .. })), "{result:?}");
}

#[test]
fn layers_too_wide_for_memory_are_refused_when_they_are_built_or_checked() {
    let dense = || Dense::new(HUGE, HUGE);
    out_of_memory(DecoupledNetwork::<f64>::builder(HUGE).layer(dense()).build());
    out_of_memory(DecoupledNetwork::<f64>::builder(HUGE).layer(Chain::new().then(dense()).then(dense())).build());
    out_of_memory(check::layer::<f64>(&dense()));
    out_of_memory(check::layer_at::<f64>(&Dense::new(2, 3), MOST, 0));
    out_of_memory(check::loss::<f64>(&SquaredError, MOST));
    for width in [1 << 62, MOST] {
        let elementwise = || Elementwise::new(width, Activation::Gelu);
        out_of_memory(DecoupledNetwork::<f32>::builder(width).layer(elementwise()).build());
        out_of_memory(DecoupledNetwork::<f32>::builder(width).layer(LayerNorm::new(width)).build());
        out_of_memory(check::layer::<f32>(&elementwise()));
    }
}

#[test]
fn lengths_that_do_not_fit_a_word_are_the_largest_word() {
    let wide: [&dyn Layer<f64>; 3] = [
        &Elementwise::new(MOST, Activation::Tanh),
        &LayerNorm::new(MOST),
        &Chain::new().then(LayerNorm::new(MOST)).then(LayerNorm::new(MOST)),
    ];
    assert!(wide.iter().all(|layer| layer.cache_len(2) == MOST));
    let dense = Dense::new(1 << 62, 1 << 62);
    let regression = Layer::<f64>::regression(&dense).unwrap();
    assert_eq!((Layer::<f64>::param_len(&dense), regression.moments_len()), (MOST, MOST));
}

/// The identity, with a cache that grows beyond all memory with more than two examples, which a network is built with.
#[derive(Debug)]
struct Hoarder;

impl Layer<f64> for Hoarder {
    fn input_dim(&self) -> usize {
        2
    }
    fn output_dim(&self) -> usize {
        2
    }
    fn cache_len(&self, examples: usize) -> usize {
        if examples > 2 { 1 << 60 } else { 0 }
    }
    fn forward(&self, _: &[f64], input: MatRef<'_, f64>, mut output: MatMut<'_, f64>, _: &mut [f64]) {
        output.as_mut_slice().copy_from_slice(input.as_slice());
    }
    fn input_gradient(
        &self,
        _: &[f64],
        _: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        mut grad: MatMut<'_, f64>,
        _: &mut [f64],
    ) {
        grad.as_mut_slice().copy_from_slice(cotangent.as_slice());
    }
}

#[test]
fn a_cache_that_outgrows_memory_with_the_examples_is_refused_wherever_it_is_asked_for() {
    let data = data::two_moons::<f64>(20, 0.1, 0).unwrap();
    let config = FitConfig::new().epochs(1);
    let network = |method: Method<f64>| {
        let builder = DecoupledNetwork::builder(2).dense(2, Activation::Identity).layer(Hoarder).method(method);
        builder.dense(2, Activation::Identity).threads(1).build().unwrap()
    };
    let mut net = network(Method::default());
    out_of_memory(net.predict(data.inputs()));
    out_of_memory(net.activations(data.inputs()));
    out_of_memory(net.fit_backprop(&data, &config));
    for method in [Method::default(), Method::joint(0.1), Method::mac(1)] {
        out_of_memory(network(method).fit(&data, &config));
    }
    assert_eq!((net.epochs(), net.predict(&[0.5, 0.25][..]).unwrap().shape()), (0, (2, 1)));
}

/// An optimizer that asks for more memory than there is.
#[derive(Clone, Debug)]
struct Greedy(usize);

impl Optimizer<f64> for Greedy {
    fn slots(&self) -> usize {
        self.0
    }

    fn update(&self, _: Step<f64>, _: &mut [f64], _: &mut [f64], _: &mut [f64]) {}
}

#[test]
fn optimizers_that_remember_too_much_are_refused_before_the_first_step() {
    let data = data::two_moons::<f64>(20, 0.1, 0).unwrap();
    let config = FitConfig::new().epochs(1);
    for slots in [1 << 62, 1 << 63, MOST] {
        out_of_memory(check::optimizer::<f64>(&Greedy(slots)));
        let sweeps = |steps| Sweeps::new(Order::Jacobi, steps, 0.1).optimizer(Greedy(slots));
        let anchored = Method::predictive_coding(2, 0.1).activation(sweeps(2));
        out_of_memory(network(anchored).fit(&data, &config));
        let persisted = Method::joint(0.1).activation(sweeps(1));
        let found = network(persisted.clone()).fit(&data, &config);
        assert!(matches!(found, Err(Error::BankTooLarge { .. })), "{found:?}");

        let path = std::env::temp_dir().join(format!("decoupled-sizes-{}-{slots}.bank", std::process::id()));
        let mut network = DecoupledNetwork::builder(2)
            .dense(3, Activation::Tanh)
            .dense(2, Activation::Identity)
            .method(persisted)
            .bank_file(&path, MOST)
            .bank_limit(MOST)
            .build()
            .unwrap();
        let found = network.fit(&data, &config);
        assert!(matches!(found, Err(Error::BankTooLarge { .. })) && !path.exists(), "{found:?}");
    }
}

#[test]
fn a_layer_with_more_moments_than_addresses_is_refused_where_it_would_be_solved() {
    // Moments hold the square of the inputs.
    let ones = |rows: usize| Examples::from_row_slice(&vec![1.0; 2 * rows], 2, rows).unwrap();
    let data = Dataset::regression(ones(1 << 22), ones(1)).unwrap();
    let config = FitConfig::new().epochs(1);
    let joint = Method::new(Start::Anchored, GaussNewton::new(1), Reads::Stored).parameter(Ridge::default());
    for method in [Method::bcd(0.1), joint] {
        let mut network = DecoupledNetwork::<f64>::builder(1 << 22)
            .dense(1, Activation::Identity)
            .dense(1, Activation::Identity)
            .method(method)
            .threads(1)
            .build()
            .unwrap();
        out_of_memory(network.start_from_unit_variance(data.inputs(), 1.0));
        out_of_memory(network.fit(&data, &config));
    }
}

#[test]
fn batches_and_blocks_larger_than_the_data_are_one_batch_and_one_block() {
    let data = data::two_moons::<f64>(20, 0.1, 0).unwrap();
    let fitted = |config: FitConfig<'_, f64>| {
        let mut network = network(Method::joint(0.1));
        network.fit(&data, &config.epochs(2)).unwrap();
        network.predict(data.inputs()).unwrap()
    };
    let whole = fitted(FitConfig::new().batch_size(20).shuffle_blocks(20));
    assert_eq!(fitted(FitConfig::new().batch_size(MOST).shuffle_blocks(20)), whole);
    assert_eq!(fitted(FitConfig::new().batch_size(20).shuffle_blocks(MOST)), whole);
    assert_eq!(fitted(FitConfig::new().batch_size(MOST).shuffle_blocks(MOST).measure_decoupling(MOST, MOST)), whole);
}

#[test]
fn a_fit_of_more_epochs_than_can_be_counted_goes_on_until_it_is_stopped() {
    let data = data::two_moons::<f64>(20, 0.1, 0).unwrap();
    let mut early = decoupled::observer::EarlyStopping::new().min_delta(1e9).patience(2);
    let report = network(Method::joint(0.1)).fit_observed(&data, &FitConfig::new().epochs(MOST), &mut [&mut early]);
    assert_eq!(report.unwrap().stop, decoupled::StopReason::EarlyStopping);
}

#[test]
fn steps_beyond_count_are_the_largest_number_of_products() {
    let many = Method::<f64>::predictive_coding(MOST, 0.1);
    assert_eq!(many.sequential_products(4), MOST);
    let local = Method::<f64>::red_black().timing(Timing::AfterRelaxation { local_steps: (1 << 63) + 1 });
    assert_eq!(local.sequential_products(4), MOST);
    assert_eq!(Method::<f64>::red_black().sequential_products(1), 2);
}

#[test]
fn data_for_more_examples_than_fit_into_memory_are_refused() {
    for n in [1 << 62, 1 << 63, MOST] {
        out_of_memory(data::two_moons::<f32>(n, 0.1, 0));
        out_of_memory(data::sine::<f64>(n, 0.1, 0));
        assert!(matches!(one_hot::<f64>(&[0, 0, 0], n), Err(Error::HyperParameter { name: "classes", .. })));
    }
}

#[test]
fn a_line_of_more_points_than_fit_into_memory_is_refused() {
    let data = data::two_moons::<f64>(20, 0.1, 0).unwrap();
    let net = network(Method::default());
    out_of_memory(diagnostics::path(&net, &net, &data, MOST));
}

#[test]
#[should_panic(expected = "matrix of 0 entries")]
fn a_matrix_whose_size_wraps_to_that_of_its_slice_is_no_matrix() {
    MatRef::<f64>::new(&[], 1 << 32, 1 << 32);
}

#[test]
#[should_panic(expected = "matrix of 0 entries")]
fn nor_is_one_to_write_to() {
    MatMut::<f64>::new(&mut [], 1 << 32, 1 << 32);
}

#[test]
#[should_panic(expected = "columns are 0..2")]
fn a_column_whose_place_wraps_to_that_of_another_is_not_there() {
    MatRef::new(&[1.0, 2.0, 3.0, 4.0], 2, 2).column(1 << 63);
}
