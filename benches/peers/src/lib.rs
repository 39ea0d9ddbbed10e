//! What the three programs share: the data, the order of an epoch, and how they are told what to do.

use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use decoupled::rand::SeedableRng;
use decoupled::rand::rngs::ChaCha8Rng;
use decoupled::rand::seq::SliceRandom;
use decoupled::{Dataset, data};

/// Threads that every program takes.
pub const THREADS: usize = 2;

/// The training part of MNIST, pixels in [0, 1].
pub fn mnist() -> Dataset<f32> {
    let folder = std::env::var_os("MNIST_DIR").expect("MNIST_DIR names a folder with the four IDX files");
    data::mnist(folder).expect("the four IDX files of MNIST").0
}

/// Widths from the input to the output, and whether hidden units are tanh; else they are ReLU.
pub fn net(job: &str) -> (Vec<usize>, bool) {
    match job {
        "bp_mlp" | "default" | "memory" => (vec![784, 256, 256, 10], false),
        "bp_deep" => ([vec![784], vec![256; 10], vec![10]].concat(), true),
        _ => panic!("no such job: {job}"),
    }
}

/// Batches of 128 in a new order.
pub struct Batches {
    order: Vec<u32>,
    rng: ChaCha8Rng,
}

impl Batches {
    pub fn new(examples: usize) -> Self {
        Self { order: (0..examples as u32).collect(), rng: ChaCha8Rng::seed_from_u64(0) }
    }

    pub fn shuffled(&mut self) -> impl Iterator<Item = &[u32]> {
        self.order.shuffle(&mut self.rng);
        self.order.chunks(128)
    }
}

/// Answers the lines of the standard input: to `epoch` with the seconds that an epoch took, to `score` with the score on the
/// training data.
pub fn serve<S>(mut state: S, mut epoch: impl FnMut(&mut S), score: impl Fn(&S) -> f64) {
    let answer = |text: String| {
        println!("{text}");
        stdout().flush().expect("someone listens");
    };
    answer("ready".to_owned());
    for line in stdin().lock().lines() {
        match &*line.expect("a line") {
            "epoch" => {
                let begin = Instant::now();
                epoch(&mut state);
                answer(begin.elapsed().as_secs_f64().to_string());
            }
            "score" => answer(score(&state).to_string()),
            other => panic!("no such command: {other}"),
        }
    }
}
