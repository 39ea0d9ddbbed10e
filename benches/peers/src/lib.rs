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

/// The network of a job: convolutions of pictures of 28 × 28 pixels, each with a ReLU and 2 × 2 max pooling above, then dense layers.
pub struct Net {
    pub convolutions: Vec<Convolution>,
    /// Widths from the first dense layer's input to the output.
    pub widths: Vec<usize>,
    /// Whether hidden units of the dense layers are tanh; else they are ReLU.
    pub tanh: bool,
}

/// A convolution of stride 1; the kernel is square.
#[derive(Clone, Copy)]
pub struct Convolution {
    pub inputs: usize,
    pub channels: usize,
    pub kernel: usize,
    pub padding: usize,
}

pub fn net(job: &str) -> Net {
    let dense = |widths: &[usize], tanh| Net { convolutions: Vec::new(), widths: widths.to_vec(), tanh };
    let pictures = |channels: &[usize], kernel: usize, paddings: &[usize], widths: &[usize]| {
        let inputs = [&[1], channels].concat();
        let convolutions = channels.iter().zip(inputs).zip(paddings);
        let convolution = |((&channels, inputs), &padding)| Convolution { inputs, channels, kernel, padding };
        Net { convolutions: convolutions.map(convolution).collect(), widths: widths.to_vec(), tanh: false }
    };
    match job {
        "bp_mlp" | "default" | "memory" => dense(&[784, 256, 256, 10], false),
        "bp_deep" => dense(&[[784].as_slice(), &[256; 10], &[10]].concat(), true),
        "lenet" => pictures(&[6, 16], 5, &[2, 2], &[784, 120, 84, 10]),
        // A padding of 3 makes pictures of 32 × 32 of those of 28 × 28.
        "vgg" => pictures(&[32, 64, 128, 128], 3, &[3, 1, 1, 1], &[512, 10]),
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
