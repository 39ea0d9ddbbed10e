//! Training allocates nothing of its own once it is warm: an epoch of ten times as many visits asks for no more memory.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use decoupled::bank::Storage;
use decoupled::data::Examples;
use decoupled::layer::{Activation, Chain, Dense, Dropout, Elementwise, Upsample};
use decoupled::loss::{SoftmaxCrossEntropy, SquaredError};
use decoupled::method::{Order, Sweeps};
use decoupled::nalgebra::DMatrix;
use decoupled::optimizer::{Adam, Sgd};
use decoupled::{Dataset, DecoupledNetwork, EpochReport, FitConfig, Method};

#[path = "builtin/mod.rs"]
mod builtin;

/// Counts requests for memory, but for the packing buffers of the products, which are aligned for vector registers.
struct Counting;

static REQUESTS: AtomicUsize = AtomicUsize::new(0);
/// The largest request since it was last set to 0, in bytes.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

const PACKING_ALIGNMENT: usize = 32;

fn count(layout: Layout, size: usize) {
    LARGEST.fetch_max(size, Ordering::Relaxed);
    if layout.align() < PACKING_ALIGNMENT {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
    }
}

// Every request is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout, size);
        unsafe { System.realloc(memory, layout, size) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout, layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is beside the method.
#[derive(Clone, Copy, PartialEq)]
enum Extra {
    None,
    Weights,
    Accumulation,
    Dropout,
}

/// Requests in each epoch but the first, with so many visits an epoch; no method for backpropagation.
fn requests(method: Option<&Method<f32>>, extra: Extra, visits: usize) -> Vec<usize> {
    const BATCH: usize = 40;
    let inputs = DMatrix::from_fn(20, visits * BATCH, |i, j| ((i * 31 + j * 17) % 97) as f32 / 97.0);
    let labels: Vec<usize> = (0..visits * BATCH).map(|example| example % 3).collect();
    let data = Dataset::classification(Examples::from_column_matrix(inputs).unwrap(), &labels, 3).unwrap();
    let weights: Vec<f64> = (0..visits * BATCH).map(|example| (example % 4) as f64).collect();
    let data = if extra == Extra::Weights { data.with_weights(&weights).unwrap() } else { data };
    let closed = method.is_some_and(|method| method.activation_step().streams());
    let builder = DecoupledNetwork::builder(20);
    // Closed forms want maps and activation functions as units of their own.
    let builder = if closed { builder.store_pre_activations() } else { builder };
    let builder = match extra {
        Extra::Dropout => builder.layer(
            Chain::new()
                .then(Dense::new(20, 16))
                .then(Elementwise::new(16, Activation::Tanh))
                .then(Dropout::new(16, 0.5)),
        ),
        _ => builder.dense(16, Activation::Tanh),
    };
    let builder = builder.dense(12, Activation::Relu).dense(3, Activation::Identity);
    let builder = match closed {
        true => builder.output_loss(SquaredError),
        false => builder.output_loss(SoftmaxCrossEntropy::new()),
    };
    let mut network = builder.optimizer(Adam::new(1e-3)).threads(2).build().unwrap();
    let mut counts = Vec::with_capacity(8);
    let mut observe = |_: &EpochReport| {
        counts.push(REQUESTS.load(Ordering::Relaxed));
        ControlFlow::Continue(())
    };
    let config = FitConfig::new().epochs(5).batch_size(BATCH);
    let config = if extra == Extra::Accumulation { config.accumulate(2) } else { config };
    match method {
        Some(method) => network.fit_observed(&data, &config.method(method.clone()), &mut [&mut observe]),
        None => network.fit_backprop_observed(&data, &config, &mut [&mut observe]),
    }
    .unwrap();
    counts.windows(2).map(|ends| ends[1] - ends[0]).collect()
}

/// The largest request of a fit of pictures that a hidden layer enlarges to 10,000 pixels, 600 of them in batches of 10.
fn largest(storage: Storage) -> usize {
    let inputs = DMatrix::from_fn(100, 600, |i, j| ((i * 31 + j * 17) % 97) as f32 / 97.0);
    let labels: Vec<usize> = (0..600).map(|example| example % 3).collect();
    let data = Dataset::classification(Examples::from_column_matrix(inputs).unwrap(), &labels, 3).unwrap();
    let wide = Upsample::new([1, 10, 10], [10, 10]);
    let builder =
        DecoupledNetwork::builder([1, 10, 10]).layer(wide).max_pool2d([10, 10]).dense(3, Activation::Identity);
    let builder = builder.output_loss(SoftmaxCrossEntropy::new()).bank_storage(storage).threads(2);
    let mut network = builder.build().unwrap();
    LARGEST.store(0, Ordering::Relaxed);
    network.fit(&data, &FitConfig::new().epochs(2).batch_size(10)).unwrap();
    LARGEST.load(Ordering::Relaxed)
}

// One test: another beside it would ask for memory as well.
#[test]
fn a_warm_visit_asks_for_no_memory_and_a_bank_of_nothing_for_no_bank() {
    // An evaluation, which a warning may ask for, goes over 256 examples at a time.
    let (bank, evaluation) = (600 * 10_000 * 4, 256 * 10_000 * 4);
    let (full, nothing) = (largest(Storage::Full), largest(Storage::Nothing));
    assert!(full >= bank, "{full} bytes");
    assert!(nothing <= evaluation, "{nothing} bytes");
    let momentum = Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Sgd::new(0.05).momentum(0.5));
    let presets = builtin::methods().into_iter().map(|(name, method)| (name, Some(method), Extra::None));
    let others = [
        ("backpropagation", None, Extra::None),
        ("momentum", Some(Method::joint(0.1).activation(momentum)), Extra::None),
        ("weights, backpropagation", None, Extra::Weights),
        ("weights, default", Some(Method::default()), Extra::Weights),
        ("weights, alm", Some(Method::alm(0.7)), Extra::Weights),
        ("accumulation, backpropagation", None, Extra::Accumulation),
        ("accumulation, red-black", Some(Method::red_black()), Extra::Accumulation),
        ("dropout, backpropagation", None, Extra::Dropout),
        ("dropout, default", Some(Method::default()), Extra::Dropout),
    ];
    for (name, method, extra) in presets.chain(others) {
        let (few, many) = (requests(method.as_ref(), extra, 5), requests(method.as_ref(), extra, 50));
        // Threads of the pool and the harness may ask for something at any time: the least of the epochs.
        let least = |counts: &[usize]| counts.iter().min().copied().unwrap();
        assert!(least(&few) < 100, "{name}: {few:?} requests in epochs of 5 visits");
        // The bank's columns are handed out anew in every epoch: a list that is collected grows by doubling.
        assert!(least(&many) <= least(&few) + 5, "{name}: {few:?} requests with 5 visits, {many:?} with 50");
    }
}
