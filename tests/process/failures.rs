//! What happens when users' code fails or training diverges: a typed error, and a network that can be used on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use decoupled::bank::ActivationBank;
use decoupled::data::Examples;
use decoupled::layer::{Activation, Dense};
use decoupled::loss::SquaredError;
use decoupled::method::{Order, Reads, Start, Sweeps};
use decoupled::optimizer::{Adam, Sgd, Step};
use decoupled::rand::{Rng, RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, Error, FitConfig, Layer, Loss, MatMut, MatRef, Method, Metric, NetworkBuilder,
    Optimizer, Result, Scalar,
};

/// What a [`Fuse`] does when it blows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    Panic,
    Nan,
}

/// Fails at one call site, at the given call after it was armed and at all later ones.
#[derive(Clone, Debug)]
struct Fuse {
    site: &'static str,
    failure: Failure,
    calls_left: Arc<AtomicUsize>,
}

impl Fuse {
    fn new(site: &'static str, failure: Failure) -> Self {
        static QUIET: Once = Once::new();
        QUIET.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let planned = info.payload_as_str().is_some_and(|message| message.starts_with("planned"));
                if !planned {
                    report(info);
                }
            }));
        });
        Self { site, failure, calls_left: Arc::new(AtomicUsize::new(usize::MAX)) }
    }

    fn arm(&self, calls: usize) {
        self.calls_left.store(calls, Ordering::SeqCst);
    }

    fn disarm(&self) {
        self.arm(usize::MAX);
    }

    /// Whether NaN should be written instead of a result.
    fn pass(&self, site: &'static str) -> bool {
        if site != self.site {
            return false;
        }
        let tick = |left| (left > 0).then(|| if left == usize::MAX { left } else { left - 1 });
        if self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, tick).is_ok() {
            return false;
        }
        assert!(self.failure == Failure::Nan, "planned failure in {site}");
        true
    }
}

fn spoil<T: Scalar>(values: &mut [T], spoiled: bool) {
    if spoiled {
        values[0] = T::of(f64::NAN);
    }
}

/// A dense layer, an optimizer and a loss that fail as their fuse says.
#[derive(Clone, Debug)]
struct Fragile<I>(I, Fuse);

impl<T: Scalar> Layer<T> for Fragile<Dense> {
    fn input_dim(&self) -> usize {
        self.1.pass("input_dim");
        self.0.input_dim()
    }
    fn output_dim(&self) -> usize {
        self.1.pass("output_dim");
        self.0.output_dim()
    }
    fn param_len(&self) -> usize {
        self.1.pass("param_len");
        self.0.param_len()
    }
    fn cache_len(&self, _examples: usize) -> usize {
        self.1.pass("cache_len");
        0
    }
    fn validate(&self) -> Result<()> {
        self.1.pass("validate");
        Layer::<T>::validate(&self.0)
    }
    fn has_derivative(&self) -> bool {
        !self.1.pass("has_derivative")
    }
    fn init_params(&self, params: &mut [T], rng: &mut dyn Rng) {
        self.0.init_params(params, rng);
        spoil(params, self.1.pass("init_params"));
    }
    fn forward(&self, params: &[T], input: MatRef<'_, T>, mut output: MatMut<'_, T>, cache: &mut [T]) {
        self.0.forward(params, input, output.reborrow(), cache);
        spoil(output.as_mut_slice(), self.1.pass("forward"));
    }
    fn input_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        mut grad: MatMut<'_, T>,
        cache: &mut [T],
    ) {
        self.0.input_gradient(params, input, cotangent, grad.reborrow(), cache);
        spoil(grad.as_mut_slice(), self.1.pass("input_gradient"));
    }
    fn param_gradient(
        &self,
        params: &[T],
        input: MatRef<'_, T>,
        cotangent: MatRef<'_, T>,
        grad: &mut [T],
        cache: &mut [T],
    ) {
        self.0.param_gradient(params, input, cotangent, grad, cache);
        spoil(grad, self.1.pass("param_gradient"));
    }
}

impl<T: Scalar> Loss<T> for Fragile<SquaredError> {
    fn value(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>) -> T {
        let value = self.0.value(target, prediction);
        if self.1.pass("value") { T::of(f64::NAN) } else { value }
    }
    fn gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        self.0.gradient(target, prediction, grad.reborrow());
        spoil(grad.as_mut_slice(), self.1.pass("gradient"));
    }
    fn target_gradient(&self, target: MatRef<'_, T>, prediction: MatRef<'_, T>, mut grad: MatMut<'_, T>) {
        self.0.target_gradient(target, prediction, grad.reborrow());
        spoil(grad.as_mut_slice(), self.1.pass("target_gradient"));
    }
    fn validate(&self) -> Result<()> {
        self.1.pass("validate");
        Ok(())
    }
    fn check_targets(&self, _targets: MatRef<'_, T>) -> Result<()> {
        self.1.pass("check_targets");
        Ok(())
    }
}

impl<T: Scalar> Optimizer<T> for Fragile<Sgd> {
    fn slots(&self) -> usize {
        self.1.pass("slots");
        Optimizer::<T>::slots(&self.0)
    }
    fn update(&self, step: Step<T>, params: &mut [T], grad: &mut [T], state: &mut [T]) {
        params[0] += T::one();
        let spoiled = self.1.pass("update");
        params[0] -= T::one();
        self.0.update(step, params, grad, state);
        spoil(params, spoiled);
    }
    fn validate(&self) -> Result<()> {
        self.1.pass("validate");
        Optimizer::<T>::validate(&self.0)
    }
}

fn data<T: Scalar>() -> Dataset<T> {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let inputs: Vec<f64> = (0..200 * 3).map(|_| 2.0 * rng.random::<f64>() - 1.0).collect();
    let targets: Vec<T> = inputs.chunks(3).flat_map(|x| [T::of((x[0] + x[1]).sin()), T::of(x[2] - x[0])]).collect();
    let inputs: Vec<T> = inputs.into_iter().map(T::of).collect();
    let [inputs, targets] =
        [(inputs, 3), (targets, 2)].map(|(values, width)| Examples::from_row_slice(&values, 200, width).unwrap());
    Dataset::regression(inputs, targets).unwrap()
}

fn config<'a, T: Scalar>(method: Method<T>) -> FitConfig<'a, T> {
    FitConfig::new().epochs(1).batch_size(80).method(method)
}

/// Two hidden layers, the second one linear and given.
fn with_middle<T: Scalar>(middle: impl Layer<T> + 'static) -> NetworkBuilder<T> {
    DecoupledNetwork::builder(3).dense(6, Activation::Tanh).layer(middle).dense(2, Activation::Identity).threads(2)
}

#[derive(Clone, Debug, PartialEq)]
struct State<T> {
    params: Vec<Vec<T>>,
    epochs: usize,
}

fn state<T: Scalar>(net: &DecoupledNetwork<T>) -> State<T> {
    State { params: (0..net.depth()).map(|t| net.params(t).to_vec()).collect(), epochs: net.epochs() }
}

fn bank_is_finite(bank: Option<&ActivationBank<f64>>) -> bool {
    bank.is_none_or(|bank| (0..bank.examples()).all(|i| bank.example(i).iter().all(|z| z.is_finite())))
}

/// Breaks a fit in its first and in a later batch, checks what is left, mends it and trains on.
#[track_caller]
fn breaks_and_mends(
    net: DecoupledNetwork<f64>,
    fuse: &Fuse,
    method: &Method<f64>,
    is_expected: impl Fn(&Error) -> bool,
) {
    let data = data::<f64>();
    for calls in [0, 1, 2] {
        for backprop in [false, true] {
            let mut net = net.clone();
            let fit = |net: &mut DecoupledNetwork<f64>| match backprop {
                true => net.fit_backprop(&data, &config(method.clone())),
                false => net.fit(&data, &config(method.clone())),
            };
            fit(&mut net).unwrap();
            let before = state(&net);
            fuse.arm(calls);
            let outcome = fit(&mut net);
            fuse.disarm();
            let Err(error) = outcome else {
                assert!(backprop, "{fuse:?} did not end the fit");
                continue;
            };
            assert!(is_expected(&error), "{fuse:?}: {error:?}");
            assert_eq!(state(&net), before, "{fuse:?} after {error}");
            assert!(bank_is_finite(net.bank()));
            // No column is older than it can be, nor of the future.
            assert!(net.bank().is_none_or(|bank| bank.visited_at().iter().all(|&update| update <= net.updates())));
            let loss = net.evaluate(&data).unwrap().loss;
            for _ in 0..20 {
                fit(&mut net).unwrap();
            }
            let later = net.evaluate(&data).unwrap().loss;
            assert!(later < 0.9 * loss, "{fuse:?}: {loss} before, {later} after training on");
            assert_eq!(net.epochs(), 21);
        }
    }
}

#[test]
fn a_layer_that_panics_at_build_is_named() {
    for site in [
        "input_dim",
        "output_dim",
        "param_len",
        "cache_len",
        "validate",
        "init_params",
        "forward",
        "input_gradient",
        "param_gradient",
    ] {
        let fuse = Fuse::new(site, Failure::Panic);
        let builder = with_middle::<f64>(Fragile(Dense::new(6, 5), fuse.clone()));
        fuse.arm(0);
        let error = builder.clone().build().unwrap_err();
        let Error::Panicked { what, layer: Some(1), message } = &error else { panic!("{site}: {error:?}") };
        assert!(what.contains(site) && message.contains(site), "{error}");
        fuse.disarm();
        builder.build().unwrap();
    }
}

#[test]
fn a_layer_that_is_not_finite_at_build_breaks_its_contract() {
    for site in ["init_params", "forward", "input_gradient", "param_gradient"] {
        let fuse = Fuse::new(site, Failure::Nan);
        fuse.arm(0);
        let error = with_middle::<f64>(Fragile(Dense::new(6, 5), fuse)).build().unwrap_err();
        let Error::Contract { subject, what, found, .. } = &error else { panic!("{site}: {error:?}") };
        assert!(subject.starts_with("layer 1") && found.is_nan(), "{error}");
        // Parameters that are NaN make the layer's output NaN as well.
        assert!(what.starts_with(site), "{error}");
    }
}

#[test]
fn a_layer_that_writes_another_width_than_it_says_is_caught_at_build() {
    #[derive(Debug)]
    struct Liar;
    impl Layer<f64> for Liar {
        fn input_dim(&self) -> usize {
            6
        }
        fn output_dim(&self) -> usize {
            5
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
    let error = with_middle(Liar).build().unwrap_err();
    assert!(matches!(error, Error::Panicked { what: "forward", layer: Some(1), .. }), "{error:?}");
}

#[test]
fn a_layer_that_panics_in_the_middle_of_a_fit_leaves_a_usable_network() {
    for site in ["cache_len", "forward", "input_gradient", "param_gradient"] {
        let fuse = Fuse::new(site, Failure::Panic);
        let net = with_middle(Fragile(Dense::new(6, 5), fuse.clone())).build().unwrap();
        for method in [Method::default(), Method::joint(0.1), Method::incremental(3, 0.1)] {
            breaks_and_mends(net.clone(), &fuse, &method, |error| match error {
                Error::Panicked { what, layer: Some(1), message } => {
                    message == &format!("planned failure in {site}") && ["forward", site].contains(what)
                }
                _ => false,
            });
        }
    }
}

#[test]
fn a_layer_that_panics_before_the_first_epoch_changes_nothing() {
    let fuse = Fuse::new("has_derivative", Failure::Panic);
    let mut net = with_middle(Fragile(Dense::new(6, 5), fuse.clone())).build().unwrap();
    let (data, before) = (data::<f64>(), state(&net));
    fuse.arm(0);
    for outcome in [net.fit(&data, &config(Method::default())), net.fit_backprop(&data, &config(Method::default()))] {
        assert!(matches!(outcome, Err(Error::Panicked { what: "has_derivative", layer: Some(1), .. })), "{outcome:?}");
    }
    assert_eq!(state(&net), before);
    fuse.disarm();
    assert!(net.fit(&data, &config(Method::default())).unwrap().warnings.is_empty());
}

#[test]
fn a_layer_that_turns_nan_in_the_middle_of_a_fit_is_a_divergence() {
    for site in ["forward", "input_gradient", "param_gradient"] {
        let fuse = Fuse::new(site, Failure::Nan);
        let net = with_middle(Fragile(Dense::new(6, 5), fuse.clone())).build().unwrap();
        for method in [Method::default(), Method::joint(0.1), Method::predictive_coding(3, 0.1).reads(Reads::Stored)] {
            breaks_and_mends(net.clone(), &fuse, &method, |error| match error {
                // A gradient of its own is the layer's; else z_1 moves by what it says, and in backpropagation what comes down from it
                // is in the gradients of all layers below, the lowest of which is told.
                Error::Diverged { layer, epoch: 2, quantity } => match (site, *quantity) {
                    ("param_gradient", "the parameter gradient") => *layer == 1,
                    ("forward" | "input_gradient", "the stored input") => *layer == 1,
                    ("forward" | "input_gradient", "the parameter gradient") => *layer == 0,
                    _ => false,
                },
                _ => false,
            });
        }
    }
}

#[test]
fn a_loss_that_fails_in_the_middle_of_a_fit_leaves_a_usable_network() {
    for failure in [Failure::Panic, Failure::Nan] {
        for (site, hidden) in
            [("value", false), ("gradient", false), ("value", true), ("gradient", true), ("target_gradient", true)]
        {
            let fuse = Fuse::new(site, failure);
            let loss = Fragile(SquaredError, fuse.clone());
            let builder = with_middle(Dense::new(6, 5));
            let builder = if hidden { builder.hidden_loss(loss) } else { builder.output_loss(loss) };
            let net = builder.build().unwrap();
            breaks_and_mends(net, &fuse, &Method::joint(0.1), |error| match error {
                Error::Panicked { what, layer: None, .. } => {
                    failure == Failure::Panic && *what == if hidden { "the hidden loss" } else { "the output loss" }
                }
                Error::Diverged { layer, epoch: 2, quantity } if failure == Failure::Nan => match (site, *quantity) {
                    ("value", "the loss") => *layer == 2,
                    // The output's error moves the highest activation, and comes down to the lowest gradient.
                    ("gradient", "the stored input") if !hidden => *layer == 2,
                    ("gradient", "the parameter gradient") if !hidden => *layer == 0,
                    // Whichever activation asked for it, or the one below that.
                    ("gradient" | "target_gradient", "the stored input") => hidden && (1..=2).contains(layer),
                    _ => false,
                },
                _ => false,
            });
        }
    }
}

#[test]
fn an_optimizer_that_fails_in_the_middle_of_a_fit_leaves_a_usable_network() {
    for failure in [Failure::Panic, Failure::Nan] {
        let fuse = Fuse::new("update", failure);
        let builder = with_middle(Dense::new(6, 5)).layer_optimizer(1, Fragile(Sgd::new(0.1), fuse.clone()));
        breaks_and_mends(builder.build().unwrap(), &fuse, &Method::joint(0.1), |error| match failure {
            Failure::Panic => matches!(error, Error::Panicked { what: "the optimizer", layer: Some(1), .. }),
            Failure::Nan => matches!(error, Error::Diverged { layer: 1, epoch: 2, .. }),
        });

        let fuse = Fuse::new("update", failure);
        let net = with_middle(Dense::new(6, 5)).build().unwrap();
        let joint = (Method::joint(0.1), Sweeps::new(Order::Jacobi, 1, 0.1));
        let default = (Method::red_black(), Sweeps::reaching(Order::RedBlack, 0.3).stable(1.8));
        for (method, sweeps) in [joint, default] {
            let method = method.activation(sweeps.optimizer(Fragile(Sgd::new(0.1), fuse.clone())));
            breaks_and_mends(net.clone(), &fuse, &method, |error| match failure {
                Failure::Panic => {
                    matches!(error, Error::Panicked { what: "the activation optimizer", layer: Some(1..=2), .. })
                }
                Failure::Nan => {
                    matches!(error, Error::Diverged { layer: 1..=2, epoch: 2, quantity: "the stored input" })
                }
            });
        }
    }
}

#[test]
fn a_step_to_infinity_in_the_last_update_of_a_fit_is_noticed() {
    let data = data::<f64>();
    let fuse = Fuse::new("update", Failure::Nan);
    let builder = with_middle(Dense::new(6, 5)).layer_optimizer(1, Fragile(Sgd::new(0.1), fuse.clone()));
    let net = builder.build().unwrap();
    let before = state(&net);
    let config = config(Method::default()).full_batch();
    for backprop in [false, true] {
        let mut net = net.clone();
        fuse.arm(0);
        let error = if backprop { net.fit_backprop(&data, &config) } else { net.fit(&data, &config) }.unwrap_err();
        assert!(matches!(error, Error::Diverged { layer: 1, epoch: 1, .. }), "{error:?}");
        assert_eq!(state(&net), before);
    }
}

#[test]
fn a_metric_that_panics_is_an_error_in_training_validation_and_evaluation() {
    let data = data::<f64>();
    let panicking = Metric::new("planned", |_: &[f64], _: &[f64]| panic!("planned failure of a metric"));
    let _quiet = Fuse::new("", Failure::Panic);
    let mut net = with_middle(Dense::new(6, 5)).build().unwrap();
    let before = state(&net);
    let is_expected = |error: &Error| matches!(error, Error::Panicked { what: "the metric", layer: None, .. });
    let config = config(Method::default()).metric(panicking.clone());
    assert!(is_expected(&net.fit(&data, &config).unwrap_err()));
    assert!(is_expected(&net.fit_backprop(&data, &config).unwrap_err()));
    assert_eq!(state(&net), before);
    assert!(is_expected(&net.evaluate_with(&data, Some(&panicking)).unwrap_err()));
}

#[test]
fn losses_and_optimizers_that_panic_in_their_checks_are_errors_before_anything_changes() {
    let data = data::<f64>();
    let panicked = |error: Error| matches!(&error, Error::Panicked { message, .. } if message.contains("planned"));
    let armed = |site| {
        let fuse = Fuse::new(site, Failure::Panic);
        fuse.arm(0);
        fuse
    };
    let builder = || with_middle::<f64>(Dense::new(6, 5));
    assert!(panicked(builder().output_loss(Fragile(SquaredError, armed("validate"))).build().unwrap_err()));
    assert!(panicked(builder().hidden_loss(Fragile(SquaredError, armed("validate"))).build().unwrap_err()));
    for site in ["validate", "slots"] {
        assert!(panicked(builder().optimizer(Fragile(Sgd::new(0.1), armed(site))).build().unwrap_err()));
        let mut net = builder().build().unwrap();
        let before = state(&net);
        let sweeps = Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Fragile(Sgd::new(0.1), armed(site)));
        let method = Method::joint(0.1).activation(sweeps);
        assert!(panicked(net.fit(&data, &config(method)).unwrap_err()));
        assert_eq!((state(&net), net.bank()), (before, None));
    }
    // A rule for all layers is of none of them.
    let all = |outcome: Result<()>| match outcome.unwrap_err() {
        Error::Panicked { what: "validate of the optimizer", layer, .. } => layer,
        other => panic!("{other:?}"),
    };
    let mut net = builder().build().unwrap();
    assert_eq!(all(net.set_optimizer(Fragile(Sgd::new(0.1), armed("validate")))), None);
    assert_eq!(all(net.set_layer_optimizer(1, Fragile(Sgd::new(0.1), armed("validate")))), Some(1));
    let mut net = builder().output_loss(Fragile(SquaredError, armed("check_targets"))).build().unwrap();
    let before = state(&net);
    assert!(panicked(net.fit(&data, &config(Method::default())).unwrap_err()));
    assert_eq!((state(&net), net.bank()), (before, None));
}

fn diverges_and_recovers<T: Scalar>(wild: Method<T>) {
    let data = data::<T>();
    let mut net = with_middle::<T>(Dense::new(6, 5)).optimizer(Adam::new(0.01)).build().unwrap();
    let mut twin = net.clone();
    let error = net.fit(&data, &config(wild.clone()).epochs(3000)).unwrap_err();
    let Error::Diverged { layer, epoch, quantity } = error else { panic!("{wild:?}: {error:?}") };
    // Layers 1 and 2 have inputs that are stored, and the last one alone has a loss.
    let layers = match quantity {
        "the parameter gradient" => 0..=2,
        "the stored input" => 1..=2,
        "the loss" => 2..=2,
        other => panic!("{wild:?}: {other}"),
    };
    assert!(layers.contains(&layer), "{wild:?}: {quantity} of layer {layer}");
    assert_eq!(epoch, net.epochs() + 1);
    if epoch > 1 {
        twin.fit(&data, &config(wild.clone()).epochs(epoch - 1)).unwrap();
    }
    assert_eq!(state(&net), state(&twin), "not the parameters of the last whole epoch, {wild:?}");
    assert!(state(&net).params.iter().flatten().all(|p| p.is_finite()));
    assert!(net.predict(data.inputs()).unwrap().iter().all(|y| y.is_finite()));

    // The same data and a persisted bank: nothing that diverged may be left in it.
    let sane = Method::joint(0.05).start(Start::Persisted);
    let report = net.fit(&data, &config(sane).epochs(60)).unwrap();
    let (first, last) = (report.epochs[0].train_loss, report.last().unwrap().train_loss);
    assert!(last < first && last.is_finite(), "{first} to {last} after {wild:?}");
}

#[test]
fn training_that_diverges_is_an_error_that_names_the_epoch_and_can_be_recovered_from() {
    diverges_and_recovers::<f64>(Method::predictive_coding(60, 1e7));
    diverges_and_recovers::<f32>(Method::predictive_coding(20, 1e4));
    diverges_and_recovers::<f64>(Method::joint(50.0));
    diverges_and_recovers::<f32>(Method::joint(30.0));
    diverges_and_recovers::<f64>(Method::joint(4.0));
    diverges_and_recovers::<f64>(Method::incremental(40, 1e9));
}

#[test]
fn a_learning_rate_that_is_far_too_large_is_a_divergence_on_either_road() {
    let data = data::<f32>();
    for backprop in [false, true] {
        let mut net = with_middle::<f32>(Dense::new(6, 5)).optimizer(Sgd::new(1e30)).build().unwrap();
        let before = state(&net);
        let config = config(Method::default()).epochs(5);
        let outcome = if backprop { net.fit_backprop(&data, &config) } else { net.fit(&data, &config) };
        assert!(matches!(outcome, Err(Error::Diverged { epoch: 1, .. })), "{outcome:?}");
        assert_eq!(state(&net), before);
        assert!(net.predict(data.inputs()).is_ok());
    }
}

#[test]
fn backpropagation_that_diverges_leaves_the_bank_alone() {
    let data = data::<f64>();
    let fuse = Fuse::new("param_gradient", Failure::Nan);
    let mut net = with_middle(Fragile(Dense::new(6, 5), fuse.clone())).build().unwrap();
    net.fit(&data, &config(Method::joint(0.1))).unwrap();
    let bank = net.bank().cloned();
    fuse.arm(0);
    net.fit_backprop(&data, &config(Method::default())).unwrap_err();
    assert!(bank.is_some());
    assert_eq!(net.bank().cloned(), bank);
}

#[test]
fn a_metric_that_is_not_finite_is_an_error_and_no_score() {
    let data = data::<f64>();
    let mut net = with_middle(Dense::new(6, 5)).build().unwrap();
    for value in [f64::NAN, f64::INFINITY] {
        let metric = Metric::new("planned", move |_: &[f64], _: &[f64]| value);
        let is_expected =
            |error: &Error| matches!(error, Error::Contract { subject, .. } if subject == "Metric(planned)");
        assert!(is_expected(&net.evaluate_with(&data, Some(&metric)).unwrap_err()));
        assert!(is_expected(&net.fit(&data, &config(Method::default()).metric(metric)).unwrap_err()));
    }
}
