//! Data come in, are split and scaled, and go out.

use std::fs;

use decoupled::data::csv::{Column, Options, Table};
use decoupled::data::{self, Columns, EmnistSplit, Examples, LeftOut, Missing, Scaler, Unknown};
use decoupled::nalgebra::dmatrix;
use decoupled::ndarray::{Array2, ArrayView2, array};
use decoupled::{Dataset, Error, MatRef, Result};

use super::{moons, numbers, path};

#[test]
fn examples_come_in_rows_columns_and_features() -> Result<()> {
    let rows = Examples::from_rows(&[[1.0, 2.0], [3.0, 4.0]])?;
    assert_eq!(rows, Examples::from_row_slice(&[1.0, 2.0, 3.0, 4.0], 2, 2)?);
    assert_eq!(rows, Examples::from_features(&[[1.0, 3.0], [2.0, 4.0]])?);
    assert_eq!(rows, Examples::from_row_matrix(&dmatrix![1.0, 2.0; 3.0, 4.0])?);
    assert_eq!(rows, Examples::from_column_matrix(dmatrix![1.0, 3.0; 2.0, 4.0])?);
    assert_eq!(rows, Examples::try_from(array![[1.0, 2.0], [3.0, 4.0]].view())?);
    assert_eq!(ArrayView2::from(rows.matrix()), array![[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(Array2::from(rows.matrix()).shape(), [2, 2]);
    Ok(())
}

#[test]
fn data_sets_are_taken_apart() -> Result<()> {
    let data = moons();
    assert_eq!((data.len(), data.input_dim(), data.target_dim(), data.classes()), (30, 2, 2, Some(2)));
    let labels = data.labels().unwrap();
    assert_eq!(data::one_hot::<f64>(labels, 2)?.matrix(), data.targets());
    for (first, second) in [data.split(0.8, 1)?, data.stratified_split(0.8, 1)?] {
        assert_eq!((first.len(), second.len()), (24, 6));
    }
    assert_eq!(data.k_folds(3, 0)?.len(), 3);
    assert_eq!(data.take(3)?, data.select(&[0, 1, 2])?);
    assert_ne!(data.shuffled(1)?.fingerprint(), data.fingerprint());
    assert_eq!(data::sine::<f64>(8, 0.0, 0)?.classes(), None);
    assert_eq!(data::digits::<f32>()?.len(), 1797);
    let same = Dataset::classification(Examples::from_row_slice(data.inputs().as_slice(), 30, 2)?, labels, 2)?;
    assert_eq!(same, data);
    Ok(())
}

#[test]
fn scalers_go_there_and_back() -> Result<()> {
    let data = numbers();
    let of_channels = Scaler::standard_channels(data.inputs(), [2, 1, 1])?;
    for scaler in [Scaler::standard(data.inputs())?, Scaler::min_max(data.inputs())?, of_channels] {
        assert_eq!(scaler.features(), 2);
        let scaled = scaler.apply(data.inputs())?;
        assert_eq!(scaler.scale_inputs(&data)?.inputs(), scaled.matrix());
        let back = scaler.invert(scaled.matrix())?;
        let pairs = back.matrix().as_slice().iter().zip(data.inputs().as_slice());
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(scaler.scale_targets(&data)?.inputs(), data.inputs());
    }
    Ok(())
}

#[test]
fn files_are_read() -> Result<()> {
    let table = path("table.csv");
    fs::write(&table, "a,kind,b\n1,x,2\n3,y,4\n").unwrap();
    let Table { dataset, columns, features, classes } = Options::classes("kind").read::<f64>(&table)?;
    assert_eq!((dataset.len(), &classes), (2, &vec!["x".to_owned(), "y".to_owned()]));
    assert_eq!((columns.input_dim(), columns.features(), columns.classes()), (2, features.clone(), &classes[..]));
    let turned = Options::features().feature_columns(features.iter().rev()).read_inputs::<f64>(&table)?;
    assert_eq!(turned.matrix().as_slice(), [2.0, 1.0, 4.0, 3.0]);
    let known = Options::known_classes(Column::Name("kind".to_owned()), &["y", "x"]).read::<f64>(&table)?;
    assert_eq!(known.dataset.labels(), Some(&[1, 0][..]));
    fs::write(&table, "a,kind\n1,x\n,y\n3,x\n").unwrap();
    let Table { dataset, .. } = Options::classes("kind").missing(Missing::Keep).read::<f64>(&table)?;
    assert_eq!((dataset.missing(), dataset.known_means()?), (1, vec![2.0]));
    let one = Examples::from_rows(&[[f64::NAN], [1.0]])?.with_missing();
    assert_eq!(Dataset::classification(one, &[0, 1], 2)?.missing(), 1);
    let balanced = dataset.clone().with_balanced_classes()?.with_class_weights(&[1.0, 4.0])?;
    assert_eq!(balanced.weights(), Some(&[0.75, 6.0, 0.75][..]));
    assert_eq!(dataset.with_weights(&[1.0, 2.0, 3.0])?.weights(), Some(&[1.0, 2.0, 3.0][..]));
    fs::write(&table, "1;2\n3;4\n").unwrap();
    let plain = |options: Options| options.header(false).delimiter(b';');
    let read = plain(Options::numbers([Column::Index(1)])).read::<f64>(&table)?;
    assert_eq!(read.dataset.targets().as_slice(), [2.0, 4.0]);
    assert_eq!(plain(Options::features()).read_inputs::<f64>(&table)?.matrix().as_slice(), [1.0, 2.0, 3.0, 4.0]);

    fs::write(&table, "id;a;kind;code;when\n4;1.000,5;x;7;2024-01-02\n# none\n9;?;y;8;2024-01-03\n8;-;x;7;NA\n")
        .unwrap();
    let options = Options::classes("kind").delimiter(b';').decimal(b',').thousands(b'.').comment(b'#');
    let options = options.na_values(["?", "-"]).keep_default_na(true).categories(["code"]).leave_out(["when"]);
    let columns: Columns = options.clone().unknown_categories(Unknown::Other).missing(Missing::Median).fit(&table)?;
    assert_eq!(columns.left_out().collect::<Vec<_>>(), [("id", LeftOut::Index), ("when", LeftOut::Asked)]);
    assert_eq!(columns.read::<f64>(&table)?.dataset.inputs().column(1), [1000.5, 0.0, 1.0, 0.0]);
    assert_eq!(columns.read_inputs::<f64>(&table)?.matrix().cols(), 3);
    for missing in [Missing::Mean, Missing::MostFrequent, Missing::Keep, Missing::Refuse] {
        assert_eq!(options.clone().missing(missing).read::<f64>(&table).is_ok(), missing != Missing::Refuse);
    }
    for unknown in [Unknown::Refuse, Unknown::Ignore] {
        let mut text = options.clone().unknown_categories(unknown);
        text = text.leave_out(["when", "id"]).feature_columns(["code"]);
        fs::write(&table, "id;a;kind;code;when\n4;1;x;7;\n5;2;y;7;\n").unwrap();
        let columns = text.fit(&table)?;
        assert_eq!(
            columns.left_out().map(|(_, why)| why).collect::<Vec<_>>(),
            [LeftOut::Asked, LeftOut::NotAsked, LeftOut::Asked]
        );
        fs::write(&table, "kind;code\nx;9\n").unwrap();
        let read = columns.read::<f64>(&table);
        assert_eq!(matches!(read, Err(Error::UnknownCategory { .. })), unknown == Unknown::Refuse);
    }
    fs::write(&table, "a,code\n1,yes\n2,no\n").unwrap();
    let mut columns = Options::features().fit(&table)?;
    assert!(Options::labels(["code"]).read::<f64>(&table)?.dataset.is_multi_label());
    fs::write(&table, "a,code\n1,maybe\n").unwrap();
    columns.set_unknown_categories(Unknown::Ignore)?;
    assert_eq!(columns.read_inputs::<f64>(&table)?.matrix().as_slice(), [1.0, 0.0]);
    fs::write(&table, ",a,b,c,y\n0,1,,2024-01-02,1\n1,2,,2024-01-03,2\n").unwrap();
    let columns = Options::numbers(["y"]).fit(&table)?;
    assert_eq!(
        columns.left_out().map(|(_, why)| why).collect::<Vec<_>>(),
        [LeftOut::Unnamed, LeftOut::Blank, LeftOut::Dates]
    );
    assert!(columns.left_out().all(|(_, why)| why != LeftOut::FreeText));

    let npy = path("table.npy");
    data::write_npy(&npy, MatRef::new(&[1.0, 2.0, 3.0, 4.0], 2, 2))?;
    assert_eq!(data::read_npy::<f64>(&npy)?.matrix().as_slice(), [1.0, 2.0, 3.0, 4.0]);
    // One row of whole numbers below 256 is labels as numpy writes them: version 1.0, a dictionary, four bytes.
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }";
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes().chain([2, 0, 1, 1]));
    fs::write(&npy, bytes).unwrap();
    assert_eq!(data::read_npy_labels(&npy)?, [2, 0, 1, 1]);

    // An archive without arrays is no more than its end.
    let npz = path("arrays.npz");
    fs::write(&npz, [&b"PK\x05\x06"[..], &[0; 18]].concat()).unwrap();
    let mut file = data::Npz::open(&npz)?;
    assert_eq!(file.names().len(), 0);
    assert!(file.read::<f64>("x").is_err() && file.read_labels("y").is_err());

    let folder = path("idx");
    fs::create_dir_all(&folder).unwrap();
    for name in ["train", "t10k"] {
        let images = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255];
        fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 1, 7]).unwrap();
    }
    let images = data::read_idx_images::<f64>(folder.join("train-images-idx3-ubyte"))?;
    assert_eq!(images.matrix().as_slice(), [0.0, 1.0]);
    assert_eq!(data::read_idx_labels(folder.join("t10k-labels-idx1-ubyte"))?, [7]);
    let (train, test) = data::mnist::<f64>(&folder)?;
    assert_eq!(train, test);
    let splits = [
        (EmnistSplit::ByClass, "byclass", 7),
        (EmnistSplit::ByMerge, "bymerge", 7),
        (EmnistSplit::Balanced, "balanced", 7),
        (EmnistSplit::Letters, "letters", 6),
        (EmnistSplit::Digits, "digits", 7),
        (EmnistSplit::Mnist, "mnist", 7),
    ];
    for (split, name, label) in splits {
        for kind in ["images-idx3", "labels-idx1"] {
            for part in ["train", "test"] {
                let to = folder.join(format!("emnist-{name}-{part}-{kind}-ubyte"));
                fs::copy(folder.join(format!("train-{kind}-ubyte")), to).unwrap();
            }
        }
        let (train, test) = data::emnist::<f64>(&folder, split)?;
        assert_eq!(train.labels(), Some(&[label][..]));
        assert_eq!(train, test);
    }
    fs::remove_dir_all(&folder).unwrap();

    let folder = path("cifar");
    fs::create_dir_all(&folder).unwrap();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        fs::write(folder.join(name).with_extension("bin"), [&[7][..], &[255; 3072]].concat()).unwrap();
    }
    let (train, test) = data::cifar10::<f64>(&folder)?;
    assert_eq!((train.labels(), test.labels()), (Some(&[7; 5][..]), Some(&[7][..])));
    for name in ["train.bin", "test.bin"] {
        fs::write(folder.join(name), [&[1, 77][..], &[255; 3072]].concat()).unwrap();
    }
    let (train, test) = data::cifar100::<f64>(&folder)?;
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!((train.labels(), train.inputs().as_slice()), (Some(&[77][..]), &[1.0; 3072][..]));
    assert_eq!(train, test);
    Ok(())
}
