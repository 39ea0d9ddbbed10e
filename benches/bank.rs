//! What it costs to take a batch out of the bank and to put it back, for each format, in memory and in a file, and to read a block
//! of a file and to save it.
//!
//! ```text
//! cargo bench --bench bank
//! ```
//!
//! The layers hand on what they get, so that little but the bank is left: by backpropagation, which has none, the same layers
//! cost what the first line says. The method persists, so every visit reads and writes all of a column.

use std::path::PathBuf;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use decoupled::bank::Storage;
use decoupled::data::Examples;
use decoupled::layer::{Activation, Elementwise};
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method};

const WIDTH: usize = 512;
const HIDDEN: usize = 4;
const BATCH: usize = 128;
/// Batches in an epoch, and in a block.
const BATCHES: usize = 96;
const BLOCK: usize = 8 * BATCH;

fn data() -> Dataset<f32> {
    let values: Vec<f32> = (0..BATCHES * BATCH * WIDTH).map(|i| (i % 251) as f32 / 251.0).collect();
    let examples = || Examples::from_row_slice(&values, BATCHES * BATCH, WIDTH).expect("a table");
    Dataset::regression(examples(), examples()).expect("as many targets as inputs")
}

fn network(storage: Storage, file: Option<PathBuf>) -> DecoupledNetwork<f32> {
    let builder = DecoupledNetwork::builder(WIDTH).bank_storage(storage);
    let layers = (0..=HIDDEN).fold(builder, |builder, _| builder.layer(Elementwise::new(WIDTH, Activation::Identity)));
    let builder = file.into_iter().fold(layers, |builder, path| builder.bank_file(path, BLOCK));
    builder.build().expect("a sound description")
}

fn bank(criterion: &mut Criterion) {
    let data = data();
    let path = std::env::temp_dir().join(format!("decoupled-bench-{}", std::process::id()));
    let config = FitConfig::new().epochs(1).batch_size(BATCH).shuffle_blocks(BLOCK).method(Method::joint(0.1));
    let mut group = criterion.benchmark_group("bank");
    // Numbers of a batch's columns; every time reported is that of one batch.
    group.throughput(Throughput::Elements((BATCH * WIDTH * HIDDEN) as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));

    let mut twin = network(Storage::Full, None);
    group.bench_function("none (backpropagation)", |bencher| {
        let mut epoch = || twin.fit_backprop(&data, &config).expect("a stable epoch").time();
        bencher.iter_custom(|iterations| (0..iterations).map(|_| epoch()).sum::<Duration>() / BATCHES as u32);
    });
    for (name, storage, file) in [
        ("full", Storage::Full, None),
        ("bf16", Storage::Bf16, None),
        ("full, in a file", Storage::Full, Some(&path)),
        ("bf16, in a file", Storage::Bf16, Some(&path)),
    ] {
        let mut network = network(storage, file.cloned());
        group.bench_function(name, |bencher| {
            let mut epoch = || network.fit(&data, &config).expect("a stable epoch").time();
            bencher.iter_custom(|iterations| (0..iterations).map(|_| epoch()).sum::<Duration>() / BATCHES as u32);
        });
        drop(network);
        // There is none where a filter leaves this one out.
        let _ = std::fs::remove_file(&path);
    }
}

/// A block of a file by itself: read and checked, and visited as well, written and on the disk.
fn file(criterion: &mut Criterion) {
    let data = data().take(BLOCK).expect("a block");
    let path = std::env::temp_dir().join(format!("decoupled-bench-{}", std::process::id()));
    let config = FitConfig::new().epochs(1).batch_size(BATCH).method(Method::joint(0.1));
    let mut group = criterion.benchmark_group("bank file");
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));
    for (name, storage) in [("full", Storage::Full), ("bf16", Storage::Bf16)] {
        let mut network = network(storage, Some(path.clone()));
        // The first epoch makes the file.
        network.fit(&data, &config).expect("a stable epoch");
        group.throughput(Throughput::Bytes(network.bank_file().expect("a file").bytes()));
        group.bench_function(format!("save a block, {name}"), |bencher| {
            let mut epoch = || network.fit(&data, &config).expect("a stable epoch").time();
            bencher.iter_custom(|iterations| (0..iterations).map(|_| epoch()).sum());
        });
        let file = network.bank_file().expect("a file");
        group.bench_function(format!("read a block, {name}"), |bencher| bencher.iter(|| file.block(0)));
        drop(network);
        let _ = std::fs::remove_file(&path);
    }
}

criterion_group!(benches, bank, file);
criterion_main!(benches);
