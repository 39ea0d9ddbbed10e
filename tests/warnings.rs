//! Every warning's first advice, followed on the case that raises the warning, helps; and a fit that is good is not warned of.

use decoupled::data::{self, Examples, Scaler};
use decoupled::layer::{Activation, Chain, Dense, Elementwise};
use decoupled::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy};
use decoupled::optimizer::{Adam, Sgd};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    BankStart, Dataset, DecoupledNetwork, FitConfig, FitReport, Method, NetworkBuilder, Order, Reads, Scalar, Start, Warning,
};

/// A standard normal deviate.
fn normal(rng: &mut ChaCha12Rng) -> f64 {
    f64::standard_normal(rng)
}

fn config<'a, T: Scalar>(epochs: usize) -> FitConfig<'a, T> {
    FitConfig::new().epochs(epochs).batch_size(32)
}

fn accuracy<T: Scalar>(net: &DecoupledNetwork<T>, data: &Dataset<T>) -> f64 {
    net.evaluate(data).unwrap().score.unwrap()
}

fn loss<T: Scalar>(net: &DecoupledNetwork<T>, data: &Dataset<T>) -> f64 {
    net.evaluate(data).unwrap().loss
}

/// Hidden layers of this width and activation function, and a classifier's output.
fn classifier<T: Scalar>(inputs: usize, hidden: &[usize], activation: Activation, classes: usize) -> NetworkBuilder<T> {
    let builder = hidden.iter().fold(DecoupledNetwork::builder(inputs), |net, &width| net.dense(width, activation));
    builder.dense(classes, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).threads(1)
}

fn digits() -> (Dataset<f32>, Dataset<f32>) {
    data::digits::<f32>().unwrap().stratified_split(0.8, 1).unwrap()
}

/// Three classes of 60 examples, told by three features whose units are another's thousandth and thousandfold.
fn units() -> Dataset<f64> {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let labels: Vec<usize> = (0..180).map(|i| i % 3).collect();
    let rows: Vec<[f64; 3]> = labels
        .iter()
        .map(|&label| {
            let class = label as f64 - 1.0;
            [0.3 * (class * 2.0 + normal(&mut rng)), 750.0 + 300.0 * normal(&mut rng), 0.01 * (class * class * 3.0 + normal(&mut rng))]
        })
        .collect();
    Dataset::classification(Examples::from_rows(&rows).unwrap(), &labels, 3).unwrap()
}

#[test]
fn scales() {
    let raw = units();
    let scaled = Scaler::standard(raw.inputs()).unwrap().scale_inputs(&raw).unwrap();
    for backprop in [false, true] {
        let fit = |data: &Dataset<f64>| {
            let mut net = classifier(3, &[16], Activation::Relu, 3).optimizer(Adam::new(3e-3)).build().unwrap();
            let report = if backprop { net.fit_backprop(data, &config(20)) } else { net.fit(data, &config(20)) };
            (report.unwrap().warnings, accuracy(&net, data))
        };
        eprintln!("scales {:?} {:?}", fit(&raw), fit(&scaled));
    }
    // targets
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let x: Vec<f64> = (0..200).map(|_| normal(&mut rng)).collect();
    let y: Vec<f64> = x.iter().map(|x| 150.0 + 80.0 * x.sin()).collect();
    let raw = Dataset::regression(Examples::from_row_slice(&x, 200, 1).unwrap(), Examples::from_row_slice(&y, 200, 1).unwrap()).unwrap();
    let scaler = Scaler::standard(raw.targets()).unwrap();
    let scaled = scaler.scale_targets(&raw).unwrap();
    let fit = |data: &Dataset<f64>| {
        let mut net = DecoupledNetwork::builder(1).dense(16, Activation::Tanh).dense(1, Activation::Identity).optimizer(Adam::new(3e-3)).threads(1).build().unwrap();
        let report = net.fit(data, &config(20)).unwrap();
        (report.warnings, net.predict(data.inputs()).unwrap())
    };
    let r2 = |p: &[f64]| { let m = y.iter().sum::<f64>() / 200.0; 1.0 - p.iter().zip(&y).map(|(p, y)| (p - y).powi(2)).sum::<f64>() / y.iter().map(|y| (y - m).powi(2)).sum::<f64>() };
    let (w, p) = fit(&raw);
    eprintln!("targets {w:?} {}", r2(p.as_slice()));
    let (w, p) = fit(&scaled);
    eprintln!("targets {w:?} {}", r2(scaler.invert(&p).unwrap().matrix().as_slice()));
}

#[test]
fn precision() {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    // An hour, in which something comes and goes every ten minutes.
    let seconds: Vec<f64> = (0..240).map(|_| 1.7e9 + (3600.0 * rng.random::<f64>()).floor()).collect();
    let y: Vec<f32> = seconds.iter().map(|t| ((t - 1.7e9) / 600.0 * std::f64::consts::TAU).sin() as f32).collect();
    let targets = || Examples::from_row_slice(&y, 240, 1).unwrap();
    let raw: Vec<f32> = seconds.iter().map(|&t| t as f32).collect();
    let raw = Dataset::regression(Examples::from_row_slice(&raw, 240, 1).unwrap(), targets()).unwrap();
    let after = Scaler::standard(raw.inputs()).unwrap().scale_inputs(&raw).unwrap();
    let mean = seconds.iter().sum::<f64>() / 240.0;
    let centred: Vec<f32> = seconds.iter().map(|&t| (t - mean) as f32).collect();
    let centred = Dataset::regression(Examples::from_row_slice(&centred, 240, 1).unwrap(), targets()).unwrap();
    let scaled = Scaler::standard(centred.inputs()).unwrap().scale_inputs(&centred).unwrap();
    for data in [&raw, &after, &centred, &scaled] {
        let mut net = DecoupledNetwork::<f32>::builder(1).dense_with(48, Activation::Tanh, decoupled::layer::Init::glorot_uniform().gain(8.0)).dense(1, Activation::Identity).optimizer(Adam::new(1e-2)).threads(1).build().unwrap();
        let report = net.fit(data, &config(150)).unwrap();
        eprintln!("precision {:?} {}", report.warnings, loss(&net, data));
    }
}

#[test]
fn nothing() {
    let (train, test) = digits();
    for rate in [1.0, 0.3, 0.1, 0.03, 0.01, 1e-3] {
        for backprop in [false, true] {
            let mut net = classifier(64, &[32, 32], Activation::Relu, 10).optimizer(Adam::new(rate)).build().unwrap();
            let report = if backprop { net.fit_backprop(&train, &config(5)) } else { net.fit(&train, &config(5)) };
            match report { Ok(report) => eprintln!("nothing {rate} {backprop} {:?} {} {}", report.warnings, accuracy(&net, &test), loss(&net, &train)), Err(e) => eprintln!("nothing {rate} {e}") }
        }
    }
    let small = train.take(160).unwrap();
    for epochs in [4, 5, 8, 10, 40] {
        let mut net = classifier(64, &[32, 32], Activation::Relu, 10).optimizer(Adam::new(1e-4)).build().unwrap();
        let report = net.fit(&small, &config(epochs)).unwrap();
        eprintln!("short {epochs} {:?} {} {}", report.warnings, accuracy(&net, &test), loss(&net, &train));
    }
}

#[test]
fn overshoot() {
    let moons = data::two_moons::<f64>(200, 0.1, 0).unwrap();
    for (name, method) in [("3.0", Method::predictive_coding(6, 3.0)), ("0.3", Method::predictive_coding(6, 0.3)), ("0.1", Method::predictive_coding(6, 0.1)),
        ("joint 3", Method::joint(3.0)), ("joint .3", Method::joint(0.3)), ("pc1", Method::predictive_coding(6, 1.0))] {
        for act in [Activation::Tanh, Activation::Relu] {
        let mut net = classifier(2, &[16, 16], act, 2).optimizer(Adam::new(3e-3)).build().unwrap();
        match net.fit(&moons, &config(30).method(method.clone())) { Ok(report) => eprintln!("overshoot {name} {act:?} {:?} {} {}", report.warnings, accuracy(&net, &moons), loss(&net, &moons)), Err(e) => eprintln!("overshoot {name} {e}") }
        }
    }
}

#[test]
fn reach() {
    let moons = data::two_moons::<f64>(200, 0.1, 0).unwrap();
    for (name, method) in [("1", Method::predictive_coding(1, 0.3)), ("3", Method::predictive_coding(3, 0.3)), ("4", Method::predictive_coding(4, 0.3)), ("rev", Method::predictive_coding(1, 0.3).order(Order::ReverseGaussSeidel))] {
        let mut net = classifier(2, &[8, 4, 4], Activation::Tanh, 2).optimizer(Adam::new(1e-2)).build().unwrap();
        let report = net.fit(&moons, &config(40).method(method)).unwrap();
        eprintln!("reach {name} {:?} {} {}", report.warnings, accuracy(&net, &moons), loss(&net, &moons));
    }
}

#[test]
fn dead() {
    let (train, test) = digits();
    for rate in [1.0, 0.3, 0.1, 0.05, 0.03, 0.01, 3e-3] {
        for backprop in [false, true] {
            let mut net = classifier(64, &[32, 32], Activation::Relu, 10).optimizer(Adam::new(rate)).build().unwrap();
            let report = if backprop { net.fit_backprop(&train, &config(5)) } else { net.fit(&train, &config(5)) };
            match report { Ok(report) => eprintln!("dead {rate} {backprop} {:?} {:?} {}", report.warnings, report.last().unwrap().dead_units, accuracy(&net, &test)), Err(e) => eprintln!("dead {rate} {e}") }
        }
    }
}

#[test]
fn turns() {
    let (train, test) = digits();
    let half = train.take(600).unwrap();
    for (name, method) in [("pc4 .3 stored", Method::predictive_coding(4, 0.3).reads(Reads::Stored)), ("pc4 .1 stored", Method::predictive_coding(4, 0.1).reads(Reads::Stored)), ("pc4 .03 stored", Method::predictive_coding(4, 0.03).reads(Reads::Stored)),
        ("pc4 .3", Method::predictive_coding(4, 0.3)), ("pc4 1.0 st", Method::predictive_coding(4, 1.0).reads(Reads::Stored)), ("pc4 1.0", Method::predictive_coding(4, 1.0)), ("pc4 .1", Method::predictive_coding(4, 0.1)),
        ("sweep stored", Method::backprop_by_sweep().reads(Reads::Stored)),("sweep", Method::backprop_by_sweep()),
        ("pc3 .1 l2", Method::predictive_coding(3, 0.1).timing(decoupled::Timing::AfterRelaxation { local_steps: 3 })),("pc3 .1 l1", Method::predictive_coding(3, 0.1))] {
        let mut net = classifier(64, &[32, 32], Activation::Relu, 10).optimizer(Adam::new(3e-3)).build().unwrap();
        match net.fit(&half, &config(10).method(method).measure_decoupling(5, 32)) { Ok(report) => eprintln!("turns {name} {:?} {:?} {}", report.warnings, report.last().unwrap().decoupling.as_ref().map(|d| d.cosine.clone()), accuracy(&net, &test)), Err(e) => eprintln!("turns {e}") }
    }
}

#[test]
fn jump() {
    let moons = data::two_moons::<f64>(200, 0.1, 0).unwrap();
    for straight in [false, true] {
        for method in [None, Some(Method::default())] {
        let jump = Elementwise::new(8, Activation::Sign);
        let jump = if straight { jump.straight_through() } else { jump };
        let unit = Chain::new().then(Dense::new(8, 8)).then(jump);
        let builder = DecoupledNetwork::<f64>::builder(2).dense(8, Activation::Tanh).layer(unit).dense(2, Activation::Identity);
        let mut net = builder.output_loss(SoftmaxCrossEntropy::new()).optimizer(Adam::new(1e-2)).threads(1).build().unwrap();
        let report = match method { None => net.fit_backprop(&moons, &config(40)), Some(m) => net.fit(&moons, &config(40).method(m)) }.unwrap();
        eprintln!("jump {straight} {:?} {} {}", report.warnings, accuracy(&net, &moons), loss(&net, &moons));
        }
    }
}

#[test]
fn part() {
    let moons = data::two_moons::<f64>(200, 0.1, 0).unwrap();
    for penalty in [1.0, 0.1, 0.01, 1e-3] {
        for steps in [1, 3, 10] {
            for rate in [0.1, 0.5] {
            for start in [Start::Persisted, Start::Anchored] {
            let method = Method::predictive_coding(steps, rate).start(start).reads(Reads::Stored).stable(1.0);
            let mut net = classifier(2, &[16, 16], Activation::Relu, 2).penalty(penalty).optimizer(Adam::new(1e-2)).build().unwrap();
            match net.fit(&moons, &config(60).method(method)) { Ok(report) => eprintln!("part {penalty} {steps} {rate} {start:?} {:?} {} {}", report.warnings, accuracy(&net, &moons), loss(&net, &moons)), Err(e) => eprintln!("part {penalty} {steps} {e}") }
            }}
        }
    }
}

#[test]
fn alike() {
    let mut order: Vec<usize> = (0..200).collect();
    let moons = data::two_moons::<f64>(200, 0.1, 0).unwrap();
    order.sort_by_key(|&i| moons.labels().unwrap()[i]);
    let sorted = moons.select(&order).unwrap();
    for train in [sorted.take(100).unwrap(), sorted.stratified_split(0.5, 0).unwrap().0] {
        let mut net = classifier(2, &[16], Activation::Relu, 2).optimizer(Adam::new(1e-2)).build().unwrap();
        let report = net.fit(&train, &config(20)).unwrap();
        eprintln!("alike {:?} {}", report.warnings, accuracy(&net, &sorted));
    }
}

#[test]
fn good() {
    let (train, test) = digits();
    for backprop in [false, true] {
        let mut net = classifier(64, &[64], Activation::Relu, 10).build().unwrap();
        let report = if backprop { net.fit_backprop(&train, &config(10)) } else { net.fit(&train, &config(10)) }.unwrap();
        eprintln!("good digits {:?} {}", report.warnings, accuracy(&net, &test));
        let mut net = classifier(64, &[64], Activation::Relu, 10).build().unwrap();
        let config = FitConfig::new();
        let report = if backprop { net.fit_backprop(&train, &config) } else { net.fit(&train, &config) }.unwrap();
        eprintln!("good digits default {:?} {}", report.warnings, accuracy(&net, &test));
    }
    let mut net = classifier(64, &[64], Activation::Relu, 10).build().unwrap();
    for _ in 0..3 {
    let report = net.fit(&train, &config(1)).unwrap();
    eprintln!("good digits 1 {:?} {}", report.warnings, accuracy(&net, &test));
    }
    for fitted in [60, 2000] {
        let small = data::two_moons::<f32>(20, 0.05, 0).unwrap();
        let mut net = classifier::<f32>(2, &[16, 16, 16, 16], Activation::Tanh, 2).optimizer(Adam::new(1e-2)).build().unwrap();
        let report = net.fit(&small, &config(fitted)).unwrap();
        eprintln!("good fitted {:?} {} {:?}", report.warnings, loss(&net, &small), report.last().unwrap().residuals);
        let x: Vec<f32> = (0..20).map(|i| i as f32 / 10.0 - 1.0).collect();
        let line = Dataset::regression(Examples::from_row_slice(&x, 20, 1).unwrap(), Examples::from_row_slice(&x, 20, 1).unwrap()).unwrap();
        let mut net = DecoupledNetwork::<f32>::builder(1).dense(16, Activation::Tanh).dense(16, Activation::Tanh).dense(16, Activation::Tanh).dense(1, Activation::Identity).optimizer(Adam::new(1e-3)).threads(1).build().unwrap();
        let report = net.fit(&line, &config(fitted)).unwrap();
        eprintln!("good line {:?} {} {:?}", report.warnings, loss(&net, &line), report.last().unwrap().residuals);
    }
    let _ = (BinaryCrossEntropy, Sgd::new(0.1), BankStart::new(), Option::<(Warning, FitReport)>::None);
}
