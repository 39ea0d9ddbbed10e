//! How fast micro-batches go through layers in flight: ticks a second on one thread and on two, beside backpropagation with the same
//! micro-batches, and what a model of two numbers, fitted to these, predicts for more cores.
//!
//! ```text
//! cargo bench --bench flight
//! ```
//!
//! 32 hidden layers of 256, a stage a layer. Everything takes turns, round after round; times are medians. A tick takes a + w · ⌈S/p⌉/S
//! seconds on p cores: w for the work of S stages, which are whole, and a for what does not get faster with cores.

use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::nalgebra::DMatrix;
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method};

#[path = "common/machine.rs"]
mod machine;

use machine::{median, peak};

const WIDTH: usize = 256;
const HIDDEN: usize = 32;
/// One for each hidden layer, and one for the output.
const STAGES: usize = HIDDEN + 1;
const CLASSES: usize = 10;
/// Examples of a micro-batch, and of an update: so many that a flight keeps its micro-batches.
const CASES: [(usize, usize); 2] = [(8, 256), (32, 1024)];
const UPDATES: usize = 8;
const ROUNDS: usize = 9;
const CORES: [usize; 3] = [8, 16, 64];

struct Job {
    threads: usize,
    /// In flight, and by backpropagation.
    networks: [DecoupledNetwork<f32>; 2],
    seconds: [Vec<f64>; 2],
}

fn network(threads: usize) -> DecoupledNetwork<f32> {
    let hidden = |net: decoupled::NetworkBuilder<f32>, _| net.dense(WIDTH, Activation::Relu);
    let net = (0..HIDDEN).fold(DecoupledNetwork::builder(WIDTH), hidden).dense(CLASSES, Activation::Identity);
    net.output_loss(SoftmaxCrossEntropy::new()).threads(threads).build().expect("a sound description")
}

fn data(examples: usize) -> Dataset<f32> {
    let mut rng = ChaCha12Rng::seed_from_u64(0);
    let inputs = DMatrix::from_fn(WIDTH, examples, |_, _| rng.random::<f32>());
    let labels: Vec<usize> = (0..examples).map(|_| rng.random_range(0..CLASSES)).collect();
    let inputs = Examples::from_column_matrix(inputs).expect("examples");
    Dataset::classification(inputs, &labels, CLASSES).expect("a label for each example")
}

fn main() {
    println!("{HIDDEN} hidden layers of {WIDTH}; peak of one thread {:.0} GFLOP/s", peak(1) / 1e9);
    println!("micro-batch  threads  ticks a second  backpropagation's  ratio");
    for (micro_batch, batch) in CASES {
        let data = data(batch * UPDATES);
        let own = FitConfig::new().epochs(1).batch_size(batch).method(Method::in_flight(STAGES, micro_batch));
        let twin = FitConfig::new().epochs(1).batch_size(micro_batch).accumulate(batch / micro_batch);
        let plan = Method::<f32>::in_flight(STAGES, micro_batch).schedule(STAGES);
        let plan = plan.flight_plan().expect("a flight").for_batch(batch);
        assert_eq!((plan.stages().len(), plan.micro_batch()), (STAGES, micro_batch), "a batch has room for both");
        let mut jobs = [1, 2].map(|threads| Job {
            threads,
            networks: [network(threads), network(threads)],
            seconds: Default::default(),
        });
        for _ in 0..=ROUNDS {
            for Job { networks: [first, second], seconds, .. } in &mut jobs {
                let reports = [first.fit(&data, &own), second.fit_backprop(&data, &twin)];
                for (seconds, report) in seconds.iter_mut().zip(reports) {
                    seconds.push(report.expect("a stable epoch").time().as_secs_f64());
                }
            }
        }
        // A flight of n micro-batches takes n + 2S − 1 ticks; the work of n is counted, whichever way.
        let ticks = (data.len() / micro_batch) as f64;
        let rates = jobs.each_ref().map(|job| job.seconds.each_ref().map(|seconds| ticks / median(&seconds[1..])));
        for (Job { threads, .. }, [own, twin]) in jobs.iter().zip(&rates) {
            println!("{micro_batch:11}  {threads:7}  {own:14.0}  {twin:17.0}  {:5.2}", own / twin);
        }
        let [one, two] = rates.map(|[own, _]| 1.0 / own);
        println!("{micro_batch:11}   1 → 2: {:.2} times as many ticks", one / two);
        // On two cores ⌈S/2⌉ stages follow one another.
        let share = |cores: usize| STAGES.div_ceil(cores) as f64 / STAGES as f64;
        let work = (one - two) / (1.0 - share(2));
        let rest = (one - work).max(0.0);
        for cores in CORES {
            let predicted = 1.0 / (rest + work * share(cores));
            println!("{micro_batch:11}  {cores:7}  {predicted:14.0}  (predicted)");
        }
    }
}
