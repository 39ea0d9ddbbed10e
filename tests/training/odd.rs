//! Circuits and batches of unusual shape train by every method and by the chain rule.

use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Dense, Elementwise, LayerNorm, Residual};
use decoupled::method::{Order, Reads, Start, Sweeps, Timing};
use decoupled::optimizer::{Adam, RmsProp, Sgd};
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Method, NetworkBuilder, Scalar};

use crate::builtin;

fn data<T: Scalar>(examples: usize, inputs: usize, outputs: usize) -> Dataset<T> {
    let wave = |rows: usize, shift: f64| {
        let values: Vec<T> = (0..rows * examples).map(|i| T::of((shift + 0.7 * i as f64).sin())).collect();
        Examples::from_row_slice(&values, examples, rows).unwrap()
    };
    Dataset::regression(wave(inputs, 0.0), wave(outputs, 1.0)).unwrap()
}

fn methods<T: Scalar>() -> Vec<Method<T>> {
    let timings =
        [Timing::AfterRelaxation { local_steps: 1 }, Timing::AfterRelaxation { local_steps: 3 }, Timing::EveryStep];
    // Not every last layer can be refitted.
    let presets = builtin::gradient_methods().into_iter().map(|(_, method)| method.finish(false));
    let mut methods: Vec<_> = presets.collect();
    for start in [Start::Anchored, Start::Persisted] {
        for order in [Order::Jacobi, Order::ReverseGaussSeidel] {
            for reads in [Reads::Stored, Reads::Forward] {
                methods.extend(timings.map(|timing| {
                    let sweeps = Sweeps::new(order, 2, 0.05);
                    Method::predictive_coding(2, 0.05).start(start).activation(sweeps).reads(reads).timing(timing)
                }));
            }
        }
    }
    let adam = Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Adam::new(0.01)).stable(1.0);
    methods.push(Method::joint(0.1).activation(adam));
    methods
}

fn circuits<T: Scalar>() -> Vec<(NetworkBuilder<T>, usize)> {
    let nested = || {
        let inner = Chain::new().then(Dense::new(3, 2)).then(LayerNorm::new(2)).then(Dense::new(2, 3));
        Chain::new().then(Dense::new(2, 3)).then(Residual::new(inner)).then(Elementwise::new(3, Activation::Relu))
    };
    let new = || DecoupledNetwork::builder(2);
    vec![
        (new().dense(1, Activation::Identity), 1),
        (new().dense(1, Activation::Tanh).dense(1, Activation::Relu).dense(1, Activation::Identity), 1),
        (new().layer(Elementwise::new(2, Activation::Tanh)), 2),
        (new().layer(Elementwise::new(2, Activation::Relu)).layer(Elementwise::new(2, Activation::Silu)), 2),
        (new().layer(nested()).layer(Residual::new(Dense::new(3, 3))).layer(Dense::new(3, 2)), 2),
        (new().layer(LayerNorm::new(2)).layer(LayerNorm::new(2)), 2),
    ]
}

fn all<T: Scalar>(examples: usize, config: impl Fn(FitConfig<'_, T>) -> FitConfig<'_, T>) {
    for (builder, outputs) in circuits::<T>() {
        let (net, data) = (builder.threads(2).build().unwrap(), data(examples, 2, outputs));
        for method in methods() {
            let config = config(FitConfig::new().epochs(2).method(method.clone()));
            let report = net.clone().fit(&data, &config).unwrap_or_else(|e| panic!("{e}: {net:?}, {method:?}"));
            assert!(report.epochs.iter().all(|epoch| epoch.energy.is_finite() && epoch.train_loss.is_finite()));
            if examples < 10 {
                decoupled::diagnostics::decoupling(&net, &data, &method).unwrap();
            }
        }
        net.clone().fit_backprop(&data, &config(FitConfig::new().epochs(2))).unwrap();
    }
}

#[test]
fn one_example() {
    all::<f64>(1, |c| c);
    all::<f32>(1, |c| c.batch_size(1));
}

#[test]
fn a_batch_larger_than_the_data_and_batches_that_do_not_divide_it() {
    all::<f64>(7, |c| c.batch_size(1000));
    all::<f32>(7, |c| c.batch_size(3));
}

#[test]
fn thousands_of_examples_in_one_batch() {
    all::<f32>(2001, |c| c.epochs(1).full_batch());
}

/// Both rules keep one number an activation; a velocity is no mean square.
#[test]
fn a_persisted_bank_forgets_what_another_activation_optimizer_remembered() {
    let data = data::<f64>(20, 2, 1);
    let mut net =
        DecoupledNetwork::builder(2).dense(4, Activation::Tanh).dense(1, Activation::Identity).build().unwrap();
    let by = |step: Sweeps<f64>| FitConfig::new().epochs(2).batch_size(5).method(Method::joint(0.1).activation(step));
    let sweep = || Sweeps::new(Order::Jacobi, 1, 0.1);
    net.fit(&data, &by(sweep().optimizer(Sgd::new(0.1).momentum(0.9)))).unwrap();
    net.fit(&data, &by(sweep().optimizer(RmsProp::new(0.01)))).unwrap();
}

#[test]
fn a_gradient_that_overflows_is_named_as_such() {
    let large = || Examples::from_row_slice(&[1e30f32; 4], 4, 1).unwrap();
    let data = Dataset::regression(large(), large()).unwrap();
    let mut net = DecoupledNetwork::<f32>::builder(1).dense(1, Activation::Identity).build().unwrap();
    net.set_params(0, &[0.0; 2]).unwrap();
    let method = Method::predictive_coding(1, 0.1);
    for error in [net.fit(&data, &FitConfig::new().method(method)), net.fit_backprop(&data, &FitConfig::new())] {
        let error = error.unwrap_err();
        let named = matches!(error, Error::Diverged { layer: 0, epoch: 1, quantity: "the parameter gradient" });
        assert!(named, "{error:?}");
    }
}

#[test]
fn after_a_divergence_the_optimizer_counts_from_one() {
    let fresh = || {
        let builder = DecoupledNetwork::<f64>::builder(2).dense(4, Activation::Tanh).dense(1, Activation::Identity);
        builder.optimizer(Adam::new(0.01)).build().unwrap()
    };
    let (mut net, good) = (fresh(), data::<f64>(20, 2, 1));
    let config = || FitConfig::new().epochs(3).full_batch();
    net.fit_backprop(&good, &config()).unwrap();
    let huge = Examples::from_row_slice(&[1e200], 1, 1).unwrap();
    let bad = Dataset::regression(Examples::from_row_slice(&[1.0, 1.0], 1, 2).unwrap(), huge).unwrap();
    assert!(matches!(net.fit_backprop(&bad, &config()), Err(Error::Diverged { .. })));

    let mut anew = fresh();
    (0..2).for_each(|t| anew.set_params(t, net.params(t)).unwrap());
    for net in [&mut net, &mut anew] {
        net.fit_backprop(&good, &config()).unwrap();
    }
    for (a, b) in (0..2).flat_map(|t| net.params(t).iter().zip(anew.params(t))) {
        assert!((a - b).abs() < 1e-9, "{a} instead of {b}");
    }
}
