use std::fs;
use std::path::{Path, PathBuf};

use decoupled::data::{Npz, Scaler, read_idx_images, read_idx_labels, read_npy, read_npy_labels, write_npy};
use decoupled::layer::{Activation, Chain, Dense, Elementwise, LayerNorm, Residual};
use decoupled::nalgebra::DMatrix;
use decoupled::observer::EarlyStopping;
use decoupled::optimizer::Adam;
use decoupled::{Dataset, DecoupledNetwork, FitConfig, Method, Model, NetworkBuilder, Result, data};

use crate::options::refuse;

/// A reader of files, with small ones that it takes.
pub(crate) struct Loader {
    pub(crate) name: &'static str,
    pub(crate) files: Vec<Vec<u8>>,
    /// Makes lengths and checksums of a mutant agree again; the other is the file that it was made of.
    pub(crate) mend: Option<Mend>,
    /// What reads the file at a path, and uses what it has read.
    pub(crate) reader: fn(PathBuf) -> Result<Reader>,
}

pub(crate) type Mend = fn(&mut [u8], &[u8]);

pub(crate) type Reader = Box<dyn FnMut() -> Result<()>>;

/// All that the crate reads; files are made in this folder.
pub(crate) fn all(folder: &Path) -> Result<Vec<Loader>> {
    let path = folder.join("whole");
    let mut loaders = vec![model(&path)?, checkpoint(&path)?, weights(), idx_images(), idx_labels()];
    #[cfg(feature = "csv")]
    loaders.push(csv());
    #[cfg(all(feature = "csv", feature = "gz"))]
    loaders.push(packed_csv());
    let npy = npy(&path)?;
    loaders.push(npz(&npy.files));
    #[cfg(feature = "gz")]
    loaders.push(gzip(&npy.files));
    loaders.extend([npy, bank(folder.join("whole-bank"))?]);
    for loader in &loaders {
        for file in &loader.files {
            write(&path, file);
            (loader.reader)(path.clone())?()?;
        }
    }
    let _ = fs::remove_file(path);
    Ok(loaders)
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| refuse(format!("{}: {error}", path.display())))
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| refuse(format!("{}: {error}", path.display())));
}

/// Two dense layers with all that a model may have beside it, and one of every other layer.
pub(crate) fn model(path: &Path) -> Result<Loader> {
    let inputs = DMatrix::from_fn(3, 4, |i, j| (i * j) as f32);
    let plain = DecoupledNetwork::builder(3).dense(2, Activation::Tanh).dense(2, Activation::Identity).build()?;
    let plain = Model::new(plain).input_scaler(Scaler::standard(&inputs)?).class_names(["a", "b"]);
    let inner = Chain::new().then(Elementwise::new(2, Activation::Quantize(3))).then(LayerNorm::new(2));
    let inner = inner.then(Residual::new(Dense::new(2, 2).without_bias()));
    let every = DecoupledNetwork::<f32>::builder(2).layer(Residual::new(inner)).dense(1, Activation::LeakyRelu(0.1));
    let mut files = Vec::new();
    for model in [plain, Model::new(every.build()?)] {
        model.save(path)?;
        files.push(read(path));
    }
    let reader = |path: PathBuf| -> Result<Reader> {
        let network = DecoupledNetwork::<f32>::builder(3).dense(2, Activation::Tanh).dense(2, Activation::Identity);
        let mut network = network.threads(1).build()?;
        Ok(Box::new(move || {
            // Its own layers are not those of every file.
            let _ = network.load_params(&path);
            let _ = network.load_params_cast(&path);
            let _ = Model::<f64>::load_cast(&path);
            let model = Model::<f32>::load(&path)?;
            let inputs = DMatrix::from_element(model.network.input_dim(), 2, 0.5);
            // Numbers that are finite may come to others that are not.
            let _ = model.network.predict(&inputs);
            if let Some(scaler) = &model.input_scaler {
                let _ = scaler.apply(&inputs);
            }
            Ok(())
        }))
    };
    Ok(Loader { name: "model", files, mend: Some(mend_tensors), reader })
}

fn moons() -> Result<Dataset<f64>> {
    data::two_moons(6, 0.1, 0)
}

fn small() -> NetworkBuilder<f64> {
    let builder = DecoupledNetwork::builder(2).dense(3, Activation::Tanh).dense(2, Activation::Identity);
    builder.optimizer(Adam::new(0.01)).threads(1)
}

/// A fit of one more epoch, by a method that keeps activations and multipliers.
fn one_epoch() -> FitConfig<'static, f64> {
    FitConfig::new().epochs(1).batch_size(3).method(Method::alm(0.7))
}

/// A training with a bank, an optimizer and an observer that remember, after one epoch and after two.
pub(crate) fn checkpoint(path: &Path) -> Result<Loader> {
    let (data, mut network, mut stopping) = (moons()?, small().build()?, EarlyStopping::new());
    let mut files = Vec::new();
    for _ in 0..2 {
        network.fit_observed(&data, &one_epoch(), &mut [&mut stopping])?;
        network.save_checkpoint(path, &[&stopping])?;
        files.push(read(path));
    }
    let reader = |path: PathBuf| -> Result<Reader> {
        let (data, network) = (moons()?, small().build()?);
        Ok(Box::new(move || {
            let (mut network, mut stopping) = (network.clone(), EarlyStopping::new());
            network.resume(&path, &mut [&mut stopping])?;
            // Numbers of any size may diverge.
            let _ = network.fit_observed(&data, &one_epoch(), &mut [&mut stopping]);
            Ok(())
        }))
    };
    Ok(Loader { name: "checkpoint", files, mend: Some(mend_tensors), reader })
}

/// Tensors of every precision, as other programs write them.
fn weights() -> Loader {
    let file = |header: &str, bytes: &[u8]| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), bytes].concat();
    let files = vec![
        file(
            "{\"0.weight\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},\
             \"0.bias\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[12,16]}}   ",
            &[60; 16],
        ),
        file(
            "{ \"0.bias\":{\"data_offsets\":[0,16],\"shape\":[2],\"dtype\":\"F64\"},\n\
             \"0.weight\":{\"shape\":[2,3],\"dtype\":\"F32\",\"data_offsets\":[16,40]},\
             \"__metadata__\":{\"format\":\"pt\"}}",
            &[62; 40],
        ),
    ];
    let reader = |path: PathBuf| -> Result<Reader> {
        let mut single = DecoupledNetwork::<f32>::builder(3).dense(2, Activation::Identity).threads(1).build()?;
        let mut double = DecoupledNetwork::<f64>::builder(3).dense(2, Activation::Identity).threads(1).build()?;
        Ok(Box::new(move || {
            let _ = double.load_params(&path);
            let _ = double.load_params_cast(&path);
            single.load_params_cast(&path)
        }))
    };
    Loader { name: "weights", files, mend: Some(mend_length), reader }
}

fn idx_images() -> Loader {
    let file = |size: [u32; 3]| {
        let header = [0x0803].into_iter().chain(size).flat_map(u32::to_be_bytes);
        header.chain((0..size.iter().product()).map(|i| i as u8)).collect()
    };
    let reader = |path: PathBuf| -> Result<Reader> {
        Ok(Box::new(move || read_idx_images::<f32>(&path).map(|images| _ = images.matrix().column(0))))
    };
    Loader { name: "IDX images", files: vec![file([2, 3, 4]), file([10, 1, 2])], mend: None, reader }
}

fn idx_labels() -> Loader {
    let file =
        |count: u32| [0x0801, count].into_iter().flat_map(u32::to_be_bytes).chain((0..count as u8).rev()).collect();
    let reader =
        |path: PathBuf| -> Result<Reader> { Ok(Box::new(move || read_idx_labels(&path).map(|labels| _ = labels))) };
    Loader { name: "IDX labels", files: vec![file(9), file(40)], mend: None, reader }
}

#[cfg(feature = "csv")]
fn csv() -> Loader {
    let files = [
        "height,width,kind\n1.5,2e3,0\n-0.25,7,10\n3,4,2\n",
        "\"kind\", a ,b\r\n\"x\"\"y\",1,2\r\n\r\nä,3,-4e-5\r\n",
        "kind,1\n\"two\nlines\",+2\none,3\n",
        ",height,colour,wild,found,kind\n0,1.5,red,yes,2024-01-02,oak\n1,,blue,no,3 Jan 2024,elm\n2,n/a,red,,10:30,oak\n",
        "id;price;kind;code\n# from 2024 on\n3;1.234,5;x;1,0 # dear\n1;0,5;y;1\n2;NA;x;10\n",
        "kind,a\r-1.0,true\r-1,no\r7,null\r",
    ];
    Loader {
        name: "CSV",
        files: files.map(|text| text.as_bytes().to_vec()).to_vec(),
        mend: None,
        reader: |path| Ok(csv_reader(path)),
    }
}

/// A packed table, by Python: `gzip.compress(b"a,s,kind\n1,u,x\n,v,y\n3,u,x\n4.5,NA,y\n", mtime=0)`.
#[cfg(all(feature = "csv", feature = "gz"))]
fn packed_csv() -> Loader {
    let file = vec![
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b, 0xd4, 0x29, 0xd6, 0xc9, 0xce, 0xcc, 0x4b,
        0xe1, 0x32, 0xd4, 0x29, 0xd5, 0xa9, 0xe0, 0xd2, 0x29, 0xd3, 0xa9, 0xe4, 0x32, 0x06, 0x33, 0x4d, 0xf4, 0x4c,
        0x75, 0xfc, 0x1c, 0x81, 0x5c, 0x00, 0xe9, 0xa6, 0x95, 0x8e, 0x23, 0x00, 0x00, 0x00,
    ];
    Loader { name: "gzip CSV", files: vec![file], mend: None, reader: |path| Ok(csv_reader(path)) }
}

#[cfg(feature = "csv")]
fn csv_reader(path: PathBuf) -> Reader {
    use decoupled::data::csv::Options;
    use decoupled::data::{Missing, Unknown};

    Box::new(move || {
        let _ = Options::numbers([0]).header(false).delimiter(b';').read::<f64>(&path);
        let _ = Options::known_classes(2, &["0", "2"]).missing(Missing::Keep).read::<f32>(&path);
        let european = Options::classes("kind").delimiter(b';').decimal(b',').thousands(b'.').comment(b'#');
        let european = european.na_values(["-1", "?"]).missing(Missing::Median).unknown_categories(Unknown::Other);
        // What one table says is held against another, in its numbers and in its places.
        let european = european.categories(["code"]).fit(&path).and_then(|columns| {
            let _ = columns.to_string();
            columns.read::<f32>(&path)
        });
        let plain = Options::features().header(false).missing(Missing::MostFrequent);
        let places = plain.unknown_categories(Unknown::Ignore).fit(&path);
        let table = Options::classes("kind").read::<f64>(&path);
        for columns in places.into_iter().chain(table.as_ref().ok().map(|table| table.columns.clone())) {
            let _ = columns.to_string();
            columns.read_inputs::<f64>(&path)?;
        }
        table.map(drop).or(european.map(drop))
    })
}

fn npy(path: &Path) -> Result<Loader> {
    write_npy(path, &DMatrix::from_fn(3, 4, |i, j| i as f64 - 0.5 * j as f64))?;
    let own = read(path);
    let python = |version: &[u8], dictionary: &str, entries: &[u8]| {
        let length = [dictionary.len() as u8, 0, 0, 0];
        let length = if version == [1, 0] { &length[..2] } else { &length[..] };
        [b"\x93NUMPY", version, length, dictionary.as_bytes(), entries].concat()
    };
    let labels = python(&[1, 0], "{'descr': '>i4', 'fortran_order': True, 'shape': (5, 1)}\n", &[0; 20]);
    let bytes = python(&[1, 0], "{\"shape\": (7,), 'descr': '|u1', 'fortran_order': False}\n", &[200; 7]);
    let cube = python(&[2, 0], "{'descr': '<f2', 'fortran_order': True, 'shape': (2, 3, 2), }\n", &[60; 24]);
    let words = python(&[1, 0], "{u'descr': '>u8', u'fortran_order': False, u'shape': (3L,)}\n", &[1; 24]);
    let reader = |path: PathBuf| -> Result<Reader> {
        Ok(Box::new(move || {
            let _ = read_npy_labels(&path);
            let _ = read_npy::<f32>(&path);
            read_npy::<f64>(&path).map(|table| _ = table.matrix().column(0))
        }))
    };
    Ok(Loader { name: "npy", files: vec![own, labels, bytes, cube, words], mend: None, reader })
}

/// Archives of these arrays: stored, and one that is deflated, with lengths and sums behind its members.
fn npz(arrays: &[Vec<u8>]) -> Loader {
    let mut files: Vec<_> = arrays.chunks(2).map(archive).collect();
    // Without the feature `gz` it would be refused.
    if cfg!(feature = "gz") {
        files.push(PACKED.to_vec());
    }
    let reader = |path: PathBuf| -> Result<Reader> {
        Ok(Box::new(move || {
            let mut file = Npz::open(&path)?;
            let names: Vec<String> = file.names().map(str::to_owned).collect();
            let mut result = Ok(());
            for name in &names {
                let _ = file.read_labels(name);
                let _ = file.read::<f32>(name);
                result = result.and(file.read::<f64>(name).map(|table| _ = table.matrix().column(0)));
            }
            result
        }))
    };
    Loader { name: "npz", files, mend: Some(mend_archive), reader }
}

/// A zip archive of stored files with names of one letter.
fn archive(files: &[Vec<u8>]) -> Vec<u8> {
    let (mut members, mut directory) = (Vec::new(), Vec::new());
    for (file, letter) in files.iter().zip(b'a'..) {
        let length = (file.len() as u32).to_le_bytes();
        let shared =
            [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &crc32(&[file]).to_le_bytes(), &length, &length, &[5, 0, 0, 0]];
        let (shared, name, start) = (shared.concat(), [letter, b'.', b'n', b'p', b'y'], members.len() as u32);
        members.extend([&b"PK\x03\x04"[..], &shared, &name, file].concat());
        let place = [&[0; 10][..], &start.to_le_bytes()].concat();
        directory.extend([&b"PK\x01\x02\x14\0"[..], &shared, &place, &name].concat());
    }
    let (count, start) = ([files.len() as u8, 0], (members.len() as u32).to_le_bytes());
    let length = (directory.len() as u32).to_le_bytes();
    [&members[..], &directory, b"PK\x05\x06\0\0\0\0", &count, &count, &length, &start, &[0, 0]].concat()
}

/// Arrays and images that are gzipped: deflated, and stored in blocks, which a mutant goes through with its sum put right.
#[cfg(feature = "gz")]
fn gzip(arrays: &[Vec<u8>]) -> Loader {
    let plain = arrays.iter().cloned().chain(idx_images().files).chain(idx_labels().files);
    let mut files: Vec<Vec<u8>> = plain
        .map(|file| {
            let length = file.len() as u16;
            let block = [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), &file].concat();
            let end = [crc32(&[&file]), file.len() as u32].map(u32::to_le_bytes).concat();
            [&GZIP[..], &block, &end].concat()
        })
        .collect();
    files.push(DEFLATED.to_vec());
    let reader = |path: PathBuf| -> Result<Reader> {
        Ok(Box::new(move || {
            let _ = read_npy_labels(&path);
            let images = read_idx_images::<f32>(&path).map(|images| _ = images.matrix().column(0));
            let labels = read_idx_labels(&path).map(|labels| _ = labels);
            images.or(labels).or(read_npy::<f64>(&path).map(|table| _ = table.matrix().column(0)))
        }))
    };
    Loader { name: "gzip", files, mend: Some(mend_gzip), reader }
}

/// The header of a gzip file.
#[cfg(feature = "gz")]
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// What NumPy's `savez_compressed` writes of `x = zeros((2, 3), "f4")` to a file that cannot be wound back.
const PACKED: &[u8] =
    b"PK\x03\x04-\x00\x08\x00\x08\x00\x00\x00!\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x05\x00\
    \x14\x00x.npy\x01\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x9b\
    \xec\x17\xea\x1b\x10\xc9\xc8P\xc6P\xad\x9e\x92Z\x9c\x5c\xa4n\xa5\xa0n\x93f\xa2\xae\xa3\xa0\x9e\x96_T\
    R\x94\x98\x17\x9f_\x94\x92\x0a\x12wK\xcc)N\x05\x8a\x17g$\x16\xa4\x02\xf9\x1aF:\x0a\xc6\x9a:\x0a\xb5\
    \x0ad\x03.\x06\x1c\x00\x00PK\x07\x08x\xb3&\x18I\x00\x00\x00\x00\x00\x00\x00\x98\x00\x00\x00\x00\x00\
    \x00\x00PK\x01\x02-\x03-\x00\x08\x00\x08\x00\x00\x00!\x00x\xb3&\x18I\x00\x00\x00\x98\x00\x00\x00\x05\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01\x00\x00\x00\x00x.npyPK\x05\x06\x00\x00\x00\x00\
    \x01\x00\x01\x003\x00\x00\x00\x98\x00\x00\x00\x00\x00";
/// What Python's `gzip` makes of two IDX images of 3 × 4 pixels.
#[cfg(feature = "gz")]
const DEFLATED: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03c`\xe0`f```\x02b\x10\xcd\xc2\xc0\xc8\xc4\xcc\xc2\xca\xc6\xce\
    \xc1\xc9\xc5\xcd\xc3\xcb\xc7/ ($,\x22*&\x0e\x00\x80\x94\xe8\x16(\x00\x00\x00";

/// A bank in a file, three blocks of two examples, never visited and after an epoch.
fn bank(path: PathBuf) -> Result<Loader> {
    fn network(path: PathBuf) -> Result<DecoupledNetwork<f64>> {
        small().bank_file(path, 2).build()
    }
    let (data, config) = (moons()?, one_epoch().batch_size(2).shuffle_blocks(2));
    let mut files = Vec::new();
    for epochs in 1..=2 {
        network(path.clone())?.fit(&data, &config.clone().epochs(epochs))?;
        files.push(read(&path));
    }
    let _ = fs::remove_file(path);
    let reader = |path: PathBuf| -> Result<Reader> {
        let (data, network) = (moons()?, network(path)?);
        let config = one_epoch().batch_size(2).shuffle_blocks(2);
        Ok(Box::new(move || network.clone().fit(&data, &config).map(|report| _ = report)))
    };
    Ok(Loader { name: "bank file", files, mend: Some(mend_bank), reader })
}

/// CRC-32 as in gzip.
fn crc32(parts: &[&[u8]]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let (mut sum, mut bit) = (byte as u32, 0);
            while bit < 8 {
                sum = (sum >> 1) ^ (0xedb8_8320 * (sum & 1));
                bit += 1;
            }
            table[byte] = sum;
            byte += 1;
        }
        table
    };
    !parts.iter().copied().flatten().fold(!0, |sum: u32, &byte| (sum >> 8) ^ TABLE[usize::from(sum as u8 ^ byte)])
}

/// As if all that a mutant has more or less than its file were in the header.
pub(crate) fn mend_tensors(mutant: &mut [u8], file: &[u8]) {
    /// Where the digits of the checksum stand.
    const DIGITS: std::ops::Range<usize> = 34..42;
    let length = |bytes: &[u8]| bytes.first_chunk().map_or(0, |&word| u64::from_le_bytes(word));
    let data = file.len().saturating_sub(8 + length(file) as usize);
    if mutant.len() < DIGITS.end {
        return;
    }
    let header = mutant.len().saturating_sub(8 + data) as u64;
    mutant[..8].copy_from_slice(&header.to_le_bytes());
    mutant[DIGITS].copy_from_slice(b"00000000");
    let digits = format!("{:08x}", crc32(&[mutant]));
    mutant[DIGITS].copy_from_slice(digits.as_bytes());
}

/// As if all that a mutant has more or less than its file were in the header.
fn mend_length(mutant: &mut [u8], file: &[u8]) {
    let length = |bytes: &[u8]| bytes.first_chunk().map_or(0, |&word| u64::from_le_bytes(word));
    let data = file.len().saturating_sub(8 + length(file) as usize);
    let header = mutant.len().saturating_sub(8 + data) as u64;
    if let Some(start) = mutant.first_chunk_mut() {
        *start = header.to_le_bytes();
    }
}

/// Where a signature stands first.
fn find(bytes: &[u8], signature: &[u8]) -> Option<usize> {
    bytes.windows(signature.len()).position(|window| window == signature)
}

/// Makes lengths, places and sums of the directory those of the members that are there.
fn mend_archive(mutant: &mut [u8], _: &[u8]) {
    let Some(mut entry) = find(mutant, b"PK\x01\x02") else { return };
    let directory = entry;
    let mut member = 0;
    while let Some(skipped) = find(&mutant[member.min(directory)..directory], b"PK\x03\x04") {
        let start = member + skipped;
        let stop =
            find(&mutant[(start + 4).min(directory)..directory], b"PK\x03\x04").map_or(directory, |at| start + 4 + at);
        let field = |at: usize| {
            mutant.get(start + at..start + at + 2).map_or(0, |two| usize::from(two[0]) + 256 * usize::from(two[1]))
        };
        let content = (start + 30 + field(26) + field(28)).min(stop);
        let (sum, length) = (crc32(&[&mutant[content..stop]]).to_le_bytes(), ((stop - content) as u32).to_le_bytes());
        let Some(fields) = mutant.get_mut(entry..entry + 46).filter(|fields| fields.starts_with(b"PK\x01\x02")) else {
            return;
        };
        // What is deflated keeps its sum.
        if fields[10] == 0 {
            fields[16..28].copy_from_slice(&[sum, length, length].concat());
            fields[42..46].copy_from_slice(&(start as u32).to_le_bytes());
        }
        let Some(next) = find(&mutant[entry + 4..], b"PK\x01\x02") else { break };
        (member, entry) = (stop, entry + 4 + next);
    }
    if let Some(end) = find(mutant, b"PK\x05\x06").filter(|&end| end > directory && end + 22 <= mutant.len()) {
        mutant[end + 12..end + 16].copy_from_slice(&((end - directory) as u32).to_le_bytes());
        mutant[end + 16..end + 20].copy_from_slice(&(directory as u32).to_le_bytes());
        let comment = (mutant.len() - end - 22) as u16;
        mutant[end + 20..end + 22].copy_from_slice(&comment.to_le_bytes());
    }
}

/// Makes a block of stored bytes as long as it is, with the right sum behind it.
#[cfg(feature = "gz")]
fn mend_gzip(mutant: &mut [u8], file: &[u8]) {
    let (start, Some(stop)) = (GZIP.len() + 5, mutant.len().checked_sub(8)) else { return };
    if file.get(GZIP.len()) != Some(&1) || stop < start {
        return;
    }
    let length = (stop - start) as u16;
    mutant[..GZIP.len()].copy_from_slice(&GZIP);
    mutant[GZIP.len()..start].copy_from_slice(&[&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes()].concat());
    let end = [crc32(&[&mutant[start..stop]]), (stop - start) as u32].map(u32::to_le_bytes).concat();
    mutant[stop..].copy_from_slice(&end);
}

/// Seals every slot anew; here a slot is a page.
fn mend_bank(mutant: &mut [u8], _: &[u8]) {
    for slot in mutant.chunks_mut(4096).skip(1) {
        let Some((seal, records)) = slot.split_at_mut_checked(32) else { continue };
        let length = seal[16..].first_chunk().map_or(0, |&word| u64::from_le_bytes(word)) as usize;
        if let Some(records) = records.get(..length) {
            let sum = crc32(&[&seal[..24], records]);
            seal[24..].copy_from_slice(&u64::from(sum).to_le_bytes());
        }
    }
}
