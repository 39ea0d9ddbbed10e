//! What it costs to save a network of ten million parameters and to load it, beside its bytes alone: written to a file beside the old
//! one, synchronised and renamed just so, and read.
//!
//! ```text
//! cargo bench --bench persist
//! ```

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use decoupled::DecoupledNetwork;
use decoupled::layer::Activation;

const WIDTH: usize = 2236;

fn persist(criterion: &mut Criterion) {
    let builder = DecoupledNetwork::<f32>::builder(WIDTH).dense(WIDTH, Activation::Relu);
    let mut network = builder.dense(WIDTH, Activation::Identity).build().expect("a sound description");
    let folder = std::env::temp_dir();
    let file = |name: &str| folder.join(format!("decoupled-bench-{name}-{}", std::process::id()));
    let (path, copy, draft) = (file("model"), file("copy"), file("draft"));
    network.save(&path).expect("a place to write to");
    let bytes = fs::read(&path).expect("the file that was written");

    let mut group = criterion.benchmark_group("persist");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
    group.bench_function("write the bytes", |bencher| {
        bencher.iter(|| {
            let mut file = File::create(&draft)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &copy)?;
            File::open(&folder)?.sync_all()
        });
    });
    group.bench_function("save", |bencher| bencher.iter(|| network.save(&path)));
    group.bench_function("read the bytes", |bencher| bencher.iter_with_large_drop(|| fs::read(&path)));
    group.bench_function("load", |bencher| bencher.iter_with_large_drop(|| DecoupledNetwork::<f32>::load(&path)));
    group.bench_function("load_params", |bencher| bencher.iter(|| network.load_params(&path)));
    for path in [&path, &copy] {
        // There is none where a filter leaves it out.
        let _ = fs::remove_file(path);
    }
}

criterion_group!(benches, persist);
criterion_main!(benches);
