//! Networks in the hands of callers with threads of their own: every call returns, with the numbers of a call from one thread.

use std::ops::ControlFlow;
use std::sync::{Mutex, RwLock};
use std::thread;
#[cfg(all(target_os = "linux", feature = "parallel"))]
use std::{env, fs, iter, process::Command};

use decoupled::data::{Examples, two_moons};
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::network::{Evidence, InferConfig};
use decoupled::observer::{Epoch, Step};
use decoupled::search::{Search, Space};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, Observer, Result, StopReason, diagnostics};
use rayon::prelude::*;

/// Of the networks, and of the pools that call them.
const THREADS: [usize; 3] = [1, 2, 8];
/// More than one task of a prediction.
const MANY: usize = 1000;

fn network(inputs: usize, threads: usize) -> DecoupledNetwork<f32> {
    let builder = DecoupledNetwork::builder(inputs).dense(4, Activation::Tanh).dense(2, Activation::Identity);
    builder.output_loss(SoftmaxCrossEntropy::new()).threads(threads).build().unwrap()
}

fn moons() -> Dataset<f32> {
    two_moons(40, 0.1, 0).unwrap()
}

/// Numbers of a network that has been built and trained from this seed.
fn swept(seed: u64, threads: usize) -> (u32, u64) {
    let mut network = network(2, threads);
    network.fit(&moons(), &FitConfig::new().epochs(1).batch_size(20).seed(seed)).unwrap();
    (network.params(0)[0].to_bits(), network.score(&moons()).unwrap().to_bits())
}

/// Calls `work` in pools of each size, and in the global one.
fn in_pools(work: impl Fn(usize) + Sync) {
    for threads in THREADS {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        THREADS.iter().for_each(|&own| pool.install(|| work(own)));
    }
    work(2);
}

#[test]
fn predictions_within_par_iter() {
    let sum = |network: &DecoupledNetwork<f32>, i: i32| network.predict(&[i as f32][..]).unwrap()[0].to_bits();
    let expected: Vec<u32> = (0..10_000).map(|i| sum(&network(1, 1), i)).collect();
    in_pools(|threads| {
        let network = network(1, threads);
        let found: Vec<u32> = (0..10_000).into_par_iter().map(|i| sum(&network, i)).collect();
        assert!(found == expected);
    });
}

#[test]
fn large_predictions_within_par_iter() {
    let inputs = Examples::from_row_slice(&(0..MANY).map(|i| i as f32 / 100.0).collect::<Vec<_>>(), MANY, 1).unwrap();
    let expected = network(1, 1).predict(&inputs).unwrap();
    in_pools(|threads| {
        let network = network(1, threads);
        (0..200).into_par_iter().for_each(|_| assert_eq!(network.predict(&inputs).unwrap(), expected));
    });
}

#[test]
fn a_sweep_of_build_fit_and_score_within_par_iter() {
    let expected: Vec<_> = (0..3000).map(|seed| swept(seed, 1)).collect();
    for threads in THREADS {
        let found: Vec<_> = (0..3000).into_par_iter().map(|seed| swept(seed, threads)).collect();
        assert!(found == expected);
    }
}

#[test]
fn a_lock_around_a_network_within_par_iter() {
    let data = moons();
    let inputs = Examples::from_row_slice(&vec![0.5; 2 * MANY], MANY, 2).unwrap();
    in_pools(|threads| {
        let (mutex, rw_lock) = (Mutex::new(network(2, threads)), RwLock::new(network(2, threads)));
        (0..200).into_par_iter().for_each(|i| {
            mutex.lock().unwrap().predict(&inputs).unwrap();
            match i % 4 {
                0 => drop(rw_lock.write().unwrap().fit(&data, &FitConfig::new().epochs(1).batch_size(20)).unwrap()),
                1 => drop(mutex.lock().unwrap().fit_backprop(&data, &FitConfig::new().epochs(1)).unwrap()),
                _ => drop(rw_lock.read().unwrap().evaluate(&data).unwrap()),
            }
        });
        assert_eq!((mutex.into_inner().unwrap().epochs(), rw_lock.into_inner().unwrap().epochs()), (50, 50));
    });
}

type Entry<'a> = dyn Fn(&mut DecoupledNetwork<f32>) -> Result<()> + Sync + 'a;

/// A worker that waits must not begin another job here: that would wait for the lock which this one holds.
#[test]
fn everything_that_may_use_threads_under_a_lock_within_par_iter() {
    let data = two_moons::<f32>(MANY, 0.1, 0).unwrap();
    let inputs = || data.inputs();
    let base = network(2, 2);
    let lock = Mutex::new(());
    let config = || FitConfig::new().epochs(1).batch_size(250);
    let entries: [(&str, &Entry<'_>); 14] = [
        ("predict_class", &|n| n.predict_class(inputs()).map(drop)),
        ("predict_proba", &|n| n.predict_proba(inputs()).map(drop)),
        ("score", &|n| n.score(&data).map(drop)),
        ("activations", &|n| n.activations(inputs()).map(drop)),
        ("a fit that is measured", &|n| n.fit(&data, &config().measure_decoupling(1, 8)).map(drop)),
        ("mac", &|n| n.fit(&data, &config().method(Method::mac(1))).map(drop)),
        ("refit_output", &|n| n.refit_output(&data).map(drop)),
        ("start_from_unit_variance", &|n| n.start_from_unit_variance(inputs(), 1.0)),
        ("start_isometric", &|n| n.start_isometric(inputs(), 0).map(drop)),
        ("infer", &|n| n.infer(&Evidence::new().clamp(0, inputs()), &InferConfig::new()).map(drop)),
        ("find_step", &|n| diagnostics::find_step(n, &data).map(drop)),
        ("similarity", &|n| diagnostics::similarity(n, &base, &data).map(drop)),
        ("objective", &|n| {
            let objective = n.objective();
            objective.anchor(&mut objective.block(MANY))
        }),
        ("save", &|n| {
            #[cfg(feature = "save")]
            n.save(std::env::temp_dir().join(format!("decoupled-callers-{}.safetensors", std::process::id())))?;
            n.evaluate(&data).map(drop)
        }),
    ];
    (0..8 * entries.len()).into_par_iter().for_each(|i| {
        let (name, enter) = entries[i % entries.len()];
        let _held = lock.lock().unwrap();
        let outcome = enter(&mut base.clone());
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    });
    #[cfg(feature = "save")]
    std::fs::remove_file(std::env::temp_dir().join(format!("decoupled-callers-{}.safetensors", std::process::id())))
        .unwrap();
}

/// As those are that a runtime for asynchronous tasks keeps for work that blocks: many, and most of them waiting.
#[test]
fn more_threads_than_processors() {
    let expected = swept(7, 1);
    for threads in THREADS {
        let lock = Mutex::new(network(2, threads));
        thread::scope(|scope| {
            let work = || {
                lock.lock().unwrap().fit(&moons(), &FitConfig::new().epochs(1)).unwrap();
                swept(7, threads)
            };
            let handles: Vec<_> = (0..100).map(|_| scope.spawn(work)).collect();
            handles.into_iter().for_each(|handle| assert_eq!(handle.join().unwrap(), expected));
        });
        assert_eq!(lock.into_inner().unwrap().epochs(), 100);
    }
}

/// Predicts with a network that others use as well, while it holds its lock.
struct Predicts<'n>(&'n Mutex<DecoupledNetwork<f32>>, Examples<f32>);

impl Observer<f32> for Predicts<'_> {
    fn step(&mut self, _: &Step<'_, f32>) -> Result<ControlFlow<StopReason>> {
        self.0.lock().unwrap().predict(&self.1)?;
        Ok(ControlFlow::Continue(()))
    }

    fn epoch(&mut self, epoch: &Epoch<'_, f32>) -> Result<ControlFlow<StopReason>> {
        epoch.network.predict(&self.1)?;
        Ok(ControlFlow::Continue(()))
    }
}

#[test]
fn observers_that_predict_with_a_shared_network() {
    let shared = Mutex::new(network(2, 2));
    let inputs = || Examples::from_row_slice(&vec![0.5; 2 * MANY], MANY, 2).unwrap();
    (0..50).into_par_iter().for_each(|_| {
        let config = FitConfig::new().epochs(2).batch_size(10);
        network(2, 2).fit_observed(&moons(), &config, &mut [&mut Predicts(&shared, inputs())]).unwrap();
    });
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let config = FitConfig::new().epochs(2).batch_size(10);
                network(2, 2).fit_observed(&moons(), &config, &mut [&mut Predicts(&shared, inputs())]).unwrap();
            });
        }
    });
}

#[test]
fn a_search_within_par_iter() {
    let search = |threads| {
        let space = Space::new().choices("seed", &[0.0, 1.0]);
        let build = |_: &_| Ok((network(2, 2), FitConfig::new().epochs(1)));
        let report = Search::grid(space).cv(2).threads(threads).fit(&moons(), build).unwrap();
        report.trials.iter().map(|trial| trial.mean_test_score().unwrap().to_bits()).collect::<Vec<_>>()
    };
    let expected = search(1);
    (0..20).into_par_iter().for_each(|_| assert_eq!(search(2), expected));
}

/// The names of this process's threads.
#[cfg(all(target_os = "linux", feature = "parallel"))]
fn names() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok()).map(|s| s.trim().to_owned()).collect()
}

#[cfg(all(target_os = "linux", feature = "parallel"))]
#[test]
fn a_hundred_networks_share_their_threads() {
    // No other test has a thirteenth thread.
    let networks: Vec<_> = iter::repeat_with(|| network(2, 13)).take(100).collect();
    let inputs = Examples::from_row_slice(&vec![0.5; 2 * MANY], MANY, 2).unwrap();
    networks.iter().for_each(|network| drop(network.predict(&inputs).unwrap()));
    // A thread takes its name when it first runs.
    while !names().iter().any(|name| name == "decoupled-12") {
        thread::yield_now();
    }
    assert_eq!(names().iter().filter(|name| *name == "decoupled-12").count(), 1);
}

#[cfg(all(target_os = "linux", feature = "parallel"))]
const CHILD: &str = "DECOUPLED_TEST_COUNTS_THREADS";

/// The number of threads of a network whose builder says nothing, in a process of its own.
#[cfg(all(target_os = "linux", feature = "parallel"))]
#[test]
fn the_environment_says_how_many_threads_unless_the_builder_does() {
    const NAME: &str = "callers::the_environment_says_how_many_threads_unless_the_builder_does";
    if env::var_os(CHILD).is_some() {
        let before = names().len();
        let network = DecoupledNetwork::<f32>::builder(1).dense(1, Activation::Identity).build().unwrap();
        println!("threads={}.", names().len() - before);
        drop(network);
        return;
    }
    let processors = thread::available_parallelism().unwrap().get();
    let machine = if processors == 1 { 0 } else { processors };
    for (asked, expected) in [("3", 3), ("1", 0), ("0", machine), ("many", machine), ("-2", machine), ("", machine)] {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", NAME, "--nocapture"]).env(CHILD, "1").env("RAYON_NUM_THREADS", asked);
        let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
        assert!(output.contains(&format!("threads={expected}.")), "{asked:?}: {output}");
    }
}
