//! A bank in a file: the same training as with one in memory, and nothing lost or taken for what it is not, whatever happens.

use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use decoupled::bank::{ActivationBank, Storage};
use decoupled::data::Examples;
use decoupled::layer::Activation;
use decoupled::method::{Order, Start, Sweeps};
use decoupled::optimizer::{Adam, Sgd, Step};
use decoupled::rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use decoupled::{
    Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, Method, NetworkBuilder, Observer, Optimizer, Result,
    Scalar, StopReason, observer,
};

use crate::builtin;
#[cfg(feature = "save")]
use crate::common::crc32;

const EXAMPLES: usize = 90;
/// Bytes of a header, and of a slot that is no larger than a page.
const PAGE: usize = 4096;

/// A folder of a test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("decoupled-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn data_of<T: Scalar>(examples: usize, seed: u64) -> Dataset<T> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let mut draw = |width: usize| {
        let values: Vec<T> = (0..examples * width).map(|_| T::standard_normal(&mut rng)).collect();
        Examples::from_row_slice(&values, examples, width).unwrap()
    };
    Dataset::regression(draw(4), draw(2)).unwrap()
}

fn data<T: Scalar>() -> Dataset<T> {
    data_of(EXAMPLES, 1)
}

fn builder<T: Scalar>() -> NetworkBuilder<T> {
    DecoupledNetwork::builder(4)
        .dense(9, Activation::Tanh)
        .dense(6, Activation::Gelu)
        .dense(2, Activation::Identity)
        .threads(1)
}

fn params<T: Scalar>(net: &DecoupledNetwork<T>) -> Vec<u64> {
    (0..net.depth()).flat_map(|t| net.params(t)).map(|p| p.to_f64().to_bits()).collect()
}

/// All blocks, in order.
fn blocks<T: Scalar>(net: &DecoupledNetwork<T>) -> Vec<ActivationBank<T>> {
    let file = net.bank_file().unwrap();
    (0..file.blocks()).map(|k| file.block(k).unwrap()).collect()
}

/// Everything that can be seen of an example in a bank, as bits.
fn contents<'a, T: Scalar>(
    banks: impl IntoIterator<Item = &'a ActivationBank<T>>,
) -> Vec<(Vec<u64>, Vec<u64>, u64, u64)> {
    let bits = |values: &[T]| values.iter().map(|v| v.to_f64().to_bits()).collect::<Vec<_>>();
    let of = |bank: &ActivationBank<T>| {
        let (steps, visited) = (bank.steps(), bank.visited_at());
        let kept: Vec<_> = (1..=bank.layers()).filter_map(|t| bank.multipliers(t)).collect();
        let multipliers = |i: usize| kept.iter().flat_map(|m| bits(m.column(i).as_slice())).collect();
        (0..bank.examples()).map(|i| (bits(&bank.example(i)), multipliers(i), steps[i], visited[i])).collect::<Vec<_>>()
    };
    banks.into_iter().flat_map(of).collect()
}

fn without_time(epochs: Vec<EpochReport>) -> Vec<EpochReport> {
    epochs.into_iter().map(|epoch| EpochReport { time: Default::default(), ..epoch }).collect()
}

fn same_as_in_memory<T: Scalar>(name: &str) {
    let folder = Folder::new(name);
    let data = data::<T>();
    let jacobi = |steps| Sweeps::new(Order::Jacobi, steps, 0.1);
    let momentum = Method::joint(0.1).activation(jacobi(1).optimizer(Sgd::new(0.05).momentum(0.5)));
    let adam = jacobi(2).optimizer(Adam::new(0.01));
    let adam = Method::predictive_coding(2, 0.1).start(Start::Persisted).activation(adam);
    let blended = Method::predictive_coding(2, 0.1).start(Start::Blend(0.5));
    let split = DecoupledNetwork::builder(4).store_pre_activations().dense(9, Activation::Relu);
    let split = split.dense(2, Activation::Identity);
    let presets = builtin::gradient_methods().into_iter().map(|(_, method)| method);
    let fused = presets.chain([momentum, adam, blended]).map(|method| (method, builder()));
    let apart = builtin::exact_methods().into_iter().map(|(_, method)| (method, split.clone()));
    for (method, builder) in fused.chain(apart) {
        let builder = builder.method(method.clone());
        // Three blocks, and more than are in memory at a time.
        for (block, batch, threads, storage) in [
            (40, 32, 1, Storage::Full),
            (11, 4, 2, Storage::Full),
            (40, 40, 2, Storage::F32),
            (11, 32, 1, Storage::Bf16),
        ] {
            let what = format!("{method:?}, blocks of {block}, {threads} threads, {storage:?}");
            let builder = builder.clone().bank_storage(storage).threads(threads);
            let mut memory = builder.clone().build().unwrap();
            let path = folder.file("bank");
            let mut file = builder.bank_file(&path, block).build().unwrap();
            let config = FitConfig::new().epochs(2).batch_size(batch).seed(3);
            // Two fits: what persists between them counts as well.
            for _ in 0..2 {
                let expected = memory.fit(&data, &config.clone().shuffle_blocks(block)).unwrap();
                let report = file.fit(&data, &config).unwrap();
                assert_eq!(without_time(report.epochs), without_time(expected.epochs), "{what}");
                assert_eq!(report.refit, expected.refit, "{what}");
            }
            assert_eq!(params(&file), params(&memory), "{what}");
            let bank = memory.bank().unwrap();
            assert_eq!(contents(&blocks(&file)), contents([bank]), "{what}");
            assert!(file.bank().is_none());
            let own = file.bank_file().unwrap();
            assert_eq!((own.bytes(), own.examples(), own.path()), (bank.bytes() as u64, EXAMPLES, &*path));
            fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn training_on_a_file_gives_the_bits_of_training_in_memory_in_single_precision() {
    same_as_in_memory::<f32>("single");
}

#[test]
fn training_on_a_file_gives_the_bits_of_training_in_memory_in_double_precision() {
    same_as_in_memory::<f64>("double");
}

#[test]
fn a_network_without_hidden_layers_and_its_twin_train_beside_a_file() {
    let folder = Folder::new("shallow");
    let net = |file: bool| {
        let builder = DecoupledNetwork::<f64>::builder(4).dense(2, Activation::Tanh).threads(1);
        let builder = builder.method(Method::red_black());
        if file { builder.bank_file(folder.file("bank"), 20) } else { builder }.build().unwrap()
    };
    let (mut own, mut memory) = (net(true), net(false));
    let mut twin = own.clone();
    let config = FitConfig::new().epochs(2).batch_size(8);
    own.fit(&data(), &config).unwrap();
    memory.fit(&data(), &config.clone().shuffle_blocks(20)).unwrap();
    // The twin takes the file's blocks as well, and leaves the file alone.
    twin.fit_backprop(&data(), &config).unwrap();
    assert_eq!(params(&own), params(&memory));
    assert_eq!(params(&own), params(&twin));
    assert!(twin.bank_file().is_none());
}

/// Keeps the parameters where they are.
#[derive(Debug)]
struct Still;

impl<T: Scalar> Optimizer<T> for Still {
    fn update(&self, _: Step<T>, _: &mut [T], _: &mut [T], _: &mut [T]) {}
}

#[test]
fn a_bank_in_a_file_goes_on_in_another_network() {
    // With still parameters two steps and three are five, whatever the order.
    let folder = Folder::new("resume");
    let config = |epochs| FitConfig::new().epochs(epochs).full_batch().method(Method::joint(0.1));
    let net = |name: &str| builder::<f64>().optimizer(Still).bank_file(folder.file(name), 25).build().unwrap();
    net("parts").fit(&data(), &config(2)).unwrap();
    let mut parts = net("parts");
    parts.fit(&data(), &config(3)).unwrap();
    let mut whole = net("whole");
    whole.fit(&data(), &config(5)).unwrap();
    for (part, whole) in blocks(&parts).iter().zip(&blocks(&whole)) {
        assert!(part.steps().iter().all(|&steps| steps == 5));
        (1..=2).for_each(|t| assert!((part.layer(t) - whole.layer(t)).norm() < 1e-12));
    }
}

#[test]
fn a_file_has_one_writer_and_a_clone_none() {
    let folder = Folder::new("lock");
    let path = folder.file("bank");
    let net = || builder::<f64>().bank_file(&path, 25).build().unwrap();
    let config = FitConfig::new().epochs(1);
    let mut first = net();
    first.fit(&data(), &config).unwrap();
    let (mut second, mut clone) = (net(), first.clone());
    assert!(clone.bank_file().is_none());
    let before = (params(&first), contents(&blocks(&first)));
    for other in [&mut second, &mut clone] {
        let error = other.fit(&data(), &config).unwrap_err();
        assert!(matches!(&error, Error::BankInUse { path: found } if *found == path), "{error:?}");
    }
    assert_eq!((params(&first), contents(&blocks(&first))), before);
    drop(first);
    second.fit(&data(), &config).unwrap();
    assert!(blocks(&second).iter().all(|block| block.visited_at().iter().all(|&update| update > 0)));
}

#[test]
fn a_divergence_leaves_blocks_that_were_never_visited() {
    let folder = Folder::new("divergence");
    let mut memory = builder::<f64>().build().unwrap();
    let mut file = builder::<f64>().bank_file(folder.file("bank"), 25).build().unwrap();
    let config = |method| FitConfig::new().epochs(3).batch_size(8).shuffle_blocks(25).method(method);
    for net in [&mut memory, &mut file] {
        net.fit(&data(), &config(Method::joint(0.1))).unwrap();
        let error = net.fit(&data(), &config(Method::predictive_coding(60, 1e7))).unwrap_err();
        assert!(matches!(error, Error::Diverged { epoch: 4, .. }), "{error:?}");
    }
    for block in blocks(&file) {
        assert!(block.visited_at().iter().all(|&update| update == 0));
        assert_eq!(block.layer(1).norm(), 0.0);
    }
    for net in [&mut memory, &mut file] {
        net.fit(&data(), &config(Method::joint(0.1))).unwrap();
    }
    assert_eq!(params(&file), params(&memory));
    assert_eq!(contents(&blocks(&file)), contents(memory.bank()));
}

#[test]
fn three_blocks_must_fit_into_the_banks_memory() {
    let folder = Folder::new("limit");
    let net = |limit| builder::<f64>().bank_file(folder.file("bank"), 11).bank_limit(limit).build().unwrap();
    let needed = 3 * 11 * (15 * 8 + 16);
    let error = net(needed - 1).fit(&data(), &FitConfig::new()).unwrap_err();
    assert!(matches!(error, Error::BankTooLarge { bytes, examples: 33, .. } if bytes == needed as u128), "{error:?}");
    assert!(!folder.file("bank").exists());
    net(needed).fit(&data(), &FitConfig::new()).unwrap();
}

/// The bytes of a file with the bank of a network that was trained, three blocks of at most 40.
fn trained(path: &Path) -> Vec<u8> {
    let mut net = builder::<f64>().bank_file(path, 40).build().unwrap();
    net.fit(&data(), &FitConfig::new().epochs(3).method(Method::joint(0.1))).unwrap();
    drop(net);
    fs::read(path).unwrap()
}

/// Fits a new network on the file, expects that it is refused, and that file and network are as they were.
fn refuses(path: &Path, builder: NetworkBuilder<f64>, data: &Dataset<f64>, method: Method<f64>, place: &str) {
    let before = fs::read(path).unwrap();
    let mut net = builder.build().unwrap();
    let start = params(&net);
    match net.fit(data, &FitConfig::new().epochs(1).method(method)) {
        Err(Error::Format { path: found, place: at, .. }) => {
            assert_eq!(found, path);
            assert!(at.contains(place), "{at} instead of {place}");
        }
        other => panic!("{place}: {other:?}"),
    }
    assert_eq!((params(&net), net.epochs()), (start, 0));
    assert!(net.bank_file().is_none());
    assert!(fs::read(path).unwrap() == before, "{place}: the file has changed");
}

#[test]
fn the_bank_of_another_network_method_or_data_set_is_refused_and_kept() {
    let folder = Folder::new("foreign");
    let path = folder.file("bank");
    trained(&path);
    let joint = || Method::joint(0.1);
    let own = || builder::<f64>().bank_file(&path, 40);
    refuses(&path, own(), &data_of(91, 1), joint(), "examples");
    refuses(&path, own(), &data_of(EXAMPLES, 2), joint(), "fingerprint");
    refuses(&path, builder().bank_file(&path, 41), &data(), joint(), "examples in a block");
    refuses(&path, own().bank_storage(Storage::F32), &data(), joint(), "bytes of a stored number");
    refuses(&path, own(), &data(), Method::alm(0.7), "multipliers");
    let momentum = joint().activation(Sweeps::new(Order::Jacobi, 1, 0.1).optimizer(Sgd::new(0.1).momentum(0.5)));
    refuses(&path, own(), &data(), momentum, "state entries");
    let wider = DecoupledNetwork::builder(4).dense(9, Activation::Tanh).dense(7, Activation::Tanh);
    refuses(&path, wider.dense(2, Activation::Identity).bank_file(&path, 40), &data(), joint(), "width");
    let deeper = builder().dense(2, Activation::Identity).bank_file(&path, 40);
    refuses(&path, deeper, &data(), joint(), "hidden layers");
    let mut single = builder::<f32>().bank_file(&path, 40).bank_storage(Storage::Full).build().unwrap();
    let error = single.fit(&data_of::<f32>(EXAMPLES, 1), &FitConfig::new()).unwrap_err();
    assert!(matches!(&error, Error::Format { place, .. } if place.contains("scalar")), "{error:?}");
    // A network that has it open is told as well.
    let mut net = own().build().unwrap();
    net.fit(&data(), &FitConfig::new().epochs(1).method(joint())).unwrap();
    let error = net.fit(&data_of(91, 1), &FitConfig::new()).unwrap_err();
    assert!(matches!(&error, Error::Format { place, .. } if place == "examples"), "{error:?}");
    net.fit(&data(), &FitConfig::new().epochs(1).method(joint())).unwrap();
}

/// They count from the updates of the network that stored them.
#[test]
fn columns_that_another_run_stored_do_not_tell_what_they_missed() {
    let folder = Folder::new("stale");
    let path = folder.file("bank");
    let staleness = |epochs| {
        let mut net = builder::<f64>().bank_file(&path, 40).build().unwrap();
        let config = FitConfig::new().epochs(epochs).batch_size(10).method(Method::joint(0.1));
        net.fit(&data(), &config).unwrap().epochs.iter().map(|epoch| epoch.staleness).collect::<Vec<_>>()
    };
    assert_eq!(staleness(5), [None, Some(8.0), Some(8.0), Some(8.0), Some(8.0)]);
    assert_eq!(staleness(2), [None, Some(8.0)]);
}

#[test]
fn multipliers_in_a_file_stay_when_a_method_keeps_none() {
    let folder = Folder::new("multipliers");
    let path = folder.file("bank");
    let fit = |method| {
        let mut net = builder::<f64>().bank_file(&path, 40).build().unwrap();
        net.fit(&data(), &FitConfig::new().epochs(1).method(method)).unwrap();
        blocks(&net).iter().map(|block| block.multipliers(2).unwrap()).collect::<Vec<_>>()
    };
    let kept = fit(Method::alm(0.7));
    assert!(kept.iter().all(|block| block.norm() > 0.0));
    assert_eq!(fit(Method::predictive_coding(2, 0.1)), kept);
}

#[test]
fn what_is_no_bank_is_refused_and_kept() {
    let folder = Folder::new("text");
    let path = folder.file("bank");
    let own = || builder::<f64>().bank_file(&path, 40);
    for text in [&b""[..], b"notes", &[b'x'; 100_000]] {
        fs::write(&path, text).unwrap();
        refuses(&path, own(), &data(), Method::joint(0.1), "first bytes");
    }
    // Nor is a draft that is not one written over.
    fs::remove_file(&path).unwrap();
    fs::write(folder.file("bank.new"), b"notes").unwrap();
    let error = own().build().unwrap().fit(&data(), &FitConfig::new()).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    assert_eq!(fs::read(folder.file("bank.new")).unwrap(), b"notes");
    // One that a process left half made is.
    fs::write(folder.file("bank.new"), b"decoBANKhalf").unwrap();
    own().build().unwrap().fit(&data(), &FitConfig::new()).unwrap();
    assert!(path.is_file() && !folder.file("bank.new").exists());
}

/// Where a version of block k begins and how many bytes of it mean something.
fn version(k: usize, slot: usize) -> (usize, usize) {
    let examples = if k == 2 { 10 } else { 40 };
    let slot_len = (32 + 40 * (15 * 8 + 16usize)).next_multiple_of(PAGE);
    (PAGE + (2 * k + slot) * slot_len, 32 + examples * (15 * 8 + 16))
}

#[test]
fn a_changed_byte_anywhere_is_detected() {
    let folder = Folder::new("flips");
    let path = folder.file("bank");
    let good = trained(&path);
    let versions = (0..3).flat_map(|k| [version(k, 0), version(k, 1)]);
    let places = (0..PAGE).chain(versions.flat_map(|(start, len)| start..start + len));
    // All of the header's numbers and of the seals, and a sample of the rest.
    let is_tried = |&at: &usize| at < 200 || (at + 8 >= PAGE && at < PAGE) || at % PAGE < 40 || at % 97 == 0;
    let mut tried = 0;
    for at in places.filter(is_tried) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        refuses(&path, builder().bank_file(&path, 40), &data(), Method::joint(0.1), "");
        tried += 1;
    }
    assert!(tried > 500);
    fs::write(&path, &good).unwrap();
    let mut net = builder::<f64>().bank_file(&path, 40).build().unwrap();
    net.fit(&data(), &FitConfig::new().epochs(1).method(Method::joint(0.1))).unwrap();
}

/// The format, by hand: a header of one page, then two versions of each of three blocks, each behind its number, its block, the bytes
/// of its records and the sum over these three and the records.
#[cfg(feature = "save")]
#[test]
fn the_file_is_what_its_format_says() {
    let folder = Folder::new("golden");
    for epochs in [1, 3] {
        let path = folder.file(&format!("after-{epochs}"));
        let mut net = builder::<f64>().bank_file(&path, 40).build().unwrap();
        net.fit(&data(), &FitConfig::new().epochs(epochs).method(Method::joint(0.1))).unwrap();
        let banks = blocks(&net);
        drop(net);
        let bytes = fs::read(&path).unwrap();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(bytes[..8], *b"decoBANK");
        let numbers: Vec<u64> = (1..14).map(|i| word(8 * i)).collect();
        // Version, bytes of a scalar and of a number; fingerprint; block, slots, layers, their widths, no name, no multipliers, and
        // zeros from there on.
        assert_eq!(numbers[..4], [1, 8, 8, EXAMPLES as u64]);
        assert_eq!(numbers[5..], [40, 0, 2, 9, 6, 0, 0, 0]);
        assert!(bytes[8 * 13..PAGE - 8].iter().all(|byte| *byte == 0));
        assert_eq!(bytes[PAGE - 8..PAGE], *b"complete");
        assert_eq!(banks.len(), 3);
        for (k, bank) in banks.iter().enumerate() {
            for slot in 0..2 {
                let (at, len) = version(k, slot);
                // Versions 1 and 2 are empty, and each epoch writes the next one over the older of the two.
                let number = (1..=2 + epochs).rev().find(|number| (number - 1) % 2 == slot).unwrap();
                let records = if number > 2 { len - 32 } else { 0 };
                assert_eq!([0, 8, 16].map(|i| word(at + i) as usize), [number, k, records]);
                let sum = crc32(&[&bytes[at..at + 24], &bytes[at + 32..at + 32 + records]].concat());
                assert_eq!(word(at + 24), u64::from(sum), "block {k}, slot {slot} after {epochs} epochs");
                if number < 2 + epochs {
                    continue;
                }
                // Of each example its two counts and its fifteen activations.
                for (i, (activations, _, steps, update)) in contents([bank]).into_iter().enumerate() {
                    let own: Vec<u64> = (0..17).map(|entry| word(at + 32 + (17 * i + entry) * 8)).collect();
                    assert_eq!(own, [vec![steps, update], activations].concat());
                }
            }
        }
    }
}

#[test]
fn a_file_of_another_length_is_refused_and_kept() {
    let folder = Folder::new("lengths");
    let path = folder.file("bank");
    let good = trained(&path);
    let longer = [&good[..], &[0]].concat();
    for len in
        [1, 7, 8, 50, 100, 4000, PAGE, PAGE + 1, good.len() / 2, good.len() - PAGE, good.len() - 1, good.len() + 1]
    {
        fs::write(&path, &longer[..len]).unwrap();
        refuses(&path, builder().bank_file(&path, 40), &data(), Method::joint(0.1), "");
    }
}

/// Ends a fit after its first step.
struct Once;

impl Observer<f64> for Once {
    fn step(&mut self, _: &observer::Step<'_, f64>) -> Result<ControlFlow<StopReason>> {
        Ok(ControlFlow::Break(StopReason::Observer))
    }
}

#[test]
fn a_version_that_was_half_written_gives_way_to_the_one_before() {
    let folder = Folder::new("torn");
    let path = folder.file("bank");
    let good = trained(&path);
    let number = |slot| u64::from_le_bytes(*good[version(1, slot).0..].first_chunk().unwrap());
    let newest = usize::from(number(1) > number(0));
    assert_eq!(number(newest), number(1 - newest) + 1);
    let mut torn = good.clone();
    // An epoch that did not come to its end, with half of the version that was being written.
    torn[PAGE - 8..PAGE].copy_from_slice(b"training");
    let (start, len) = version(1, newest);
    torn[start + len / 2..start + len].fill(0x55);
    fs::write(&path, &torn).unwrap();
    let mut net = builder::<f64>().optimizer(Still).bank_file(&path, 40).build().unwrap();
    net.fit(&data(), &FitConfig::new().epochs(1).method(Method::joint(0.1))).unwrap();
    // Three epochs and one; but of the third nothing is left in that block.
    for (k, block) in blocks(&net).iter().enumerate() {
        let steps = if k == 1 { 3 } else { 4 };
        assert!(block.steps().iter().all(|&found| found == steps), "block {k}: {:?}", block.steps());
    }
    // Afterwards all is whole again.
    drop(net);
    assert_eq!(fs::read(&path).unwrap()[PAGE - 8..PAGE], *b"complete");
    builder::<f64>().bank_file(&path, 40).build().unwrap().fit(&data(), &FitConfig::new().epochs(1)).unwrap();

    // But not after an epoch that was broken off in another block.
    for seed in 0..4 {
        fs::write(&path, &torn).unwrap();
        let config = FitConfig::new().method(Method::joint(0.1)).batch_size(40).seed(seed);
        let mut net = builder::<f64>().bank_file(&path, 40).build().unwrap();
        net.fit_observed(&data(), &config, &mut [&mut Once]).unwrap();
        assert_eq!(net.updates(), 1);
        drop(net);
        builder::<f64>().bank_file(&path, 40).build().unwrap().fit(&data(), &config).unwrap();
    }

    let (start, _) = version(1, 1 - newest);
    torn[start + 40] ^= 1;
    fs::write(&path, &torn).unwrap();
    refuses(&path, builder().bank_file(&path, 40), &data(), Method::joint(0.1), "block 1");
}

#[test]
fn a_block_that_changes_under_an_open_bank_ends_the_fit_and_nothing_else() {
    let folder = Folder::new("changed");
    let path = folder.file("bank");
    let mut net = builder::<f64>().bank_file(&path, 40).build().unwrap();
    let config = FitConfig::new().epochs(1).batch_size(8).method(Method::joint(0.1));
    net.fit(&data(), &config).unwrap();
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    (0..2).for_each(|slot| bad[version(2, slot).0 + 100] ^= 1);
    write_over(&path, &bad);
    let before = params(&net);
    let error = net.fit(&data(), &config).unwrap_err();
    assert!(matches!(&error, Error::Format { place, .. } if place == "block 2"), "{error:?}");
    assert_eq!((params(&net), net.epochs()), (before, 1));
    assert!(net.predict(data().inputs()).is_ok());
    let error = net.bank_file().unwrap().block(2).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    // The block's own bytes again.
    let mut now = fs::read(&path).unwrap();
    (0..2).for_each(|slot| now[version(2, slot).0 + 100] ^= 1);
    write_over(&path, &now);
    net.fit(&data(), &config).unwrap();
    assert_eq!(blocks(&net).len(), 3);
}

/// Writes into the file that is there, not another in its place.
fn write_over(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_place_where_no_file_can_be_is_an_error_and_the_network_goes_on_without() {
    let folder = Folder::new("places");
    fs::write(folder.file("file"), b"notes").unwrap();
    fs::create_dir(folder.file("taken.new")).unwrap();
    let mut places = vec![folder.file("no/such/folder"), folder.file("file/bank")];
    if cfg!(target_os = "linux") {
        // A folder in which nobody can make a file, not even root.
        places.push(PathBuf::from("/proc/bank"));
    }
    for place in places {
        let mut net = builder::<f64>().bank_file(&place, 40).build().unwrap();
        let before = params(&net);
        let error = net.fit(&data(), &FitConfig::new()).unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if *path == place), "{error:?}");
        assert_eq!((params(&net), net.epochs()), (before, 0));
        net.fit_backprop(&data(), &FitConfig::new().epochs(1)).unwrap();
    }
    for (place, taken) in [(folder.0.clone(), folder.0.clone()), (folder.file("taken"), folder.file("taken.new"))] {
        let error =
            builder::<f64>().bank_file(&place, 40).build().unwrap().fit(&data(), &FitConfig::new()).unwrap_err();
        assert!(matches!(&error, Error::NotAFile { path, found: "a folder" } if *path == taken), "{error:?}");
    }
}

/// What is there when a fit begins must be the file that the fit before it left.
#[cfg(unix)]
#[test]
fn a_file_that_is_deleted_replaced_or_cut_between_two_fits_is_an_error_of_the_second() {
    let folder = Folder::new("gone");
    let (path, copy) = (folder.file("bank"), folder.file("copy"));
    let config = FitConfig::new().epochs(1);
    let trained = || {
        let _ = fs::remove_file(&path);
        let mut net = builder::<f64>().bank_file(&path, 40).build().unwrap();
        net.fit(&data(), &config).unwrap();
        net
    };
    let refused = |net: &mut DecoupledNetwork<f64>| {
        let before = (params(net), net.epochs(), net.updates());
        let error = net.fit(&data(), &config).unwrap_err();
        assert_eq!((params(net), net.epochs(), net.updates()), before);
        assert!(net.bank_file().is_none());
        error
    };

    let mut net = trained();
    fs::remove_file(&path).unwrap();
    let error = refused(&mut net);
    assert!(
        matches!(&error, Error::Io { path: at, source } if *at == path && source.kind() == ErrorKind::NotFound),
        "{error:?}"
    );
    assert!(!path.exists());
    net.fit(&data(), &config).unwrap();
    assert!(path.exists());

    let mut net = trained();
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    let error = refused(&mut net);
    assert!(matches!(&error, Error::Format { place, .. } if place == "what is there"), "{error:?}");
    net.fit(&data(), &config).unwrap();

    let mut net = trained();
    let length = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    for _ in 0..2 {
        let error = refused(&mut net);
        let Error::Format { place, expected, found, .. } = &error else { panic!("{error:?}") };
        assert_eq!(
            (&place[..], &expected[..], &found[..]),
            ("its length", &*format!("{length} bytes"), &*(length - 1).to_string())
        );
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), length - 1);
}

#[test]
fn a_fit_with_other_blocks_than_the_files_is_refused() {
    let folder = Folder::new("blocks");
    let mut net = builder::<f64>().bank_file(folder.file("bank"), 40).build().unwrap();
    for outcome in [
        net.fit(&data(), &FitConfig::new().shuffle_blocks(41)),
        net.fit_backprop(&data(), &FitConfig::new().shuffle_blocks(41)),
    ] {
        assert!(matches!(outcome, Err(Error::Shape { expected: 40, found: 41, .. })), "{outcome:?}");
    }
    assert!(!folder.file("bank").exists());
    net.fit(&data(), &FitConfig::new().epochs(1).shuffle_blocks(40)).unwrap();
}

#[cfg(unix)]
mod processes {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    const ROLE: &str = "DECOUPLED_BANK_ROLE";
    const PLACE: &str = "DECOUPLED_BANK_PLACE";
    const MANY: usize = 3000;

    fn net(path: &Path) -> DecoupledNetwork<f64> {
        builder().bank_file(path, 500).build().unwrap()
    }

    fn config() -> FitConfig<'static, f64> {
        FitConfig::new().epochs(1).batch_size(100).method(Method::joint(0.1))
    }

    /// What a child process does; in the suite itself nothing.
    #[test]
    fn a_child_process_trains() {
        let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(PLACE)) else { return };
        let (data, path) = (data_of::<f64>(MANY, 1), PathBuf::from(path));
        let mut net = net(&path);
        match &*role {
            "until killed" => loop {
                net.fit(&data, &config()).unwrap();
            },
            "no room for a file" => {
                let error = net.fit(&data, &config()).unwrap_err();
                assert!(matches!(error, Error::Io { .. }), "{error:?}");
                assert!(net.bank_file().is_none());
                net.fit_backprop(&data, &config()).unwrap();
            }
            _ => {
                let before = params(&net);
                let error = net.fit(&data, &config()).unwrap_err();
                assert!(matches!(&error, Error::Io { path: found, .. } if *found == path), "{error:?}");
                assert_eq!((params(&net), net.epochs()), (before, 0));
                assert!(net.predict(data.inputs()).unwrap().iter().all(|y| y.is_finite()));
                net.fit_backprop(&data, &config()).unwrap();
                // It is still full, and the blocks are still there.
                net.fit(&data, &config()).unwrap_err();
                assert_eq!(blocks(&net).len(), MANY / 500);
            }
        }
    }

    fn child(role: &str, path: &Path, before: &str) -> Command {
        let mut command = Command::new("sh");
        let run = format!("{before} exec \"$0\" --exact bank_file::processes::a_child_process_trains --nocapture");
        command.args(["-c", &run]).arg(std::env::current_exe().unwrap());
        command.env(ROLE, role).env(PLACE, path).stdout(Stdio::null());
        command
    }

    /// Every example of a block has taken as many steps as the others, in both banks' common past or future.
    fn steps_of_blocks(net: &DecoupledNetwork<f64>) -> Vec<u64> {
        let of = |block: &ActivationBank<f64>| {
            let steps = block.steps();
            assert!(steps.iter().all(|&own| own == steps[0]), "a block of two versions: {steps:?}");
            steps[0]
        };
        blocks(net).iter().map(of).collect()
    }

    fn is_training(path: &Path) -> bool {
        fs::read(path).is_ok_and(|bytes| bytes.get(PAGE - 8..PAGE) == Some(b"training"))
    }

    #[test]
    fn a_process_that_is_killed_at_any_time_leaves_whole_blocks() {
        let folder = Folder::new("killed");
        let path = folder.file("bank");
        let data = data_of::<f64>(MANY, 1);
        let mut rng = ChaCha12Rng::seed_from_u64(5);
        let mut before = vec![0; MANY / 500];
        let mut ahead = 0;
        for round in 0..25 {
            let mut child = child("until killed", &path, "").spawn().unwrap();
            // At first anywhere, while the process starts and makes the file; then while it trains.
            if round >= 5 {
                while !is_training(&path) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            std::thread::sleep(Duration::from_micros(rng.random_range(0..50_000)));
            child.kill().unwrap();
            child.wait().unwrap();
            let mut net = net(&path);
            net.fit(&data, &config()).unwrap_or_else(|error| panic!("round {round}: {error}"));
            let steps = steps_of_blocks(&net);
            let (least, most) = (*steps.iter().min().unwrap(), *steps.iter().max().unwrap());
            // No visit is lost but perhaps those of the epoch that was going on.
            assert!(
                steps.iter().zip(&before).all(|(now, before)| now > before),
                "round {round}: {before:?}, {steps:?}"
            );
            ahead = ahead.max(most - least);
            before = steps;
        }
        assert!(ahead > 0, "no epoch was cut short: {before:?}");
    }

    #[test]
    fn a_disk_without_room_ends_the_fit_and_nothing_is_lost() {
        let folder = Folder::new("full");
        let path = folder.file("bank");
        let data = data_of::<f64>(MANY, 1);
        // The system refuses to write beyond a size, as it does on a full disk; ignored, its signal becomes an error.
        let limited = |role: &str, bytes: u64| {
            let mut command = child(role, &path, &format!("trap '' XFSZ; ulimit -f {};", bytes / 512));
            let output = command.stdout(Stdio::piped()).output().unwrap();
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
        };
        limited("no room for a file", 1 << 16);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "something was left behind");

        net(&path).fit(&data, &config()).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        limited("no room for its blocks", length / 2);
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        let mut net = net(&path);
        net.fit(&data, &config()).unwrap();
        // Each block has its visits of the two whole epochs, and some those of the two that failed.
        let steps = steps_of_blocks(&net);
        assert!(steps.iter().all(|own| (2..=4).contains(own)), "{steps:?}");
    }
}
