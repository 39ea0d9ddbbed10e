//! A model: predictions in the units of the table that it was trained on.

use decoupled::data::{self, Examples, Scaler, Scaling, Transform};
use decoupled::layer::{Activation, Dense};
use decoupled::loss::{BinaryCrossEntropy, SoftmaxCrossEntropy};
use decoupled::nalgebra::DMatrix;
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, MatRef, Model, Pipeline, Result, Scalar};

fn bits<T: Scalar>(matrix: &DMatrix<T>) -> Vec<u64> {
    matrix.iter().map(|x| x.to_f64().to_bits()).collect()
}

/// ẑ = slope · x + shift.
fn line(slope: f64, shift: f64) -> DecoupledNetwork<f64> {
    let mut network = DecoupledNetwork::builder(1).layer(Dense::new(1, 1)).threads(1).build().unwrap();
    network.set_params(0, &[slope, shift]).unwrap();
    network
}

fn column(values: &[f64]) -> Examples<f64> {
    Examples::from_row_slice(values, values.len(), 1).unwrap()
}

/// Two inputs of other units, and two targets.
fn houses<T: Scalar>() -> Dataset<T> {
    let row = |i: usize| [40.0 + 7.3 * i as f64, 1e-3 * ((i * i) % 11) as f64];
    let rows: Vec<_> = (0..24).map(row).collect();
    let of = |row: &[f64; 2], price: bool| -> [T; 2] {
        let values = if price { [3e5 + 2e3 * row[0], 4.0 - 70.0 * row[1]] } else { *row };
        values.map(T::of)
    };
    let take = |price| Examples::from_rows(&rows.iter().map(|row| of(row, price)).collect::<Vec<_>>()).unwrap();
    Dataset::regression(take(false), take(true)).unwrap()
}

fn small<T: Scalar>() -> DecoupledNetwork<T> {
    let builder = DecoupledNetwork::builder(2).dense(4, Activation::Tanh).dense(2, Activation::Identity);
    builder.seed(3).threads(1).build().unwrap()
}

/// Mean 3 and variance 14/3 of 1, 2, 6; targets 10, 30 scaled by their range.
#[test]
fn predictions_are_worked_by_hand() -> Result<()> {
    let model = Model::new(line(2.0, 0.25))
        .input_scaler(Scaler::standard(&column(&[1.0, 2.0, 6.0]))?)
        .target_scaler(Scaler::min_max(&column(&[10.0, 30.0]))?);
    let found = model.predict(&column(&[3.0, 10.0]))?;
    let expected = [10.0 + 20.0 * 0.25, 10.0 + 20.0 * (2.0 * 7.0 / (14.0f64 / 3.0).sqrt() + 0.25)];
    assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found}");

    // Targets 15 and 25 are 0.25 and 0.75 of the range; the network says 0.25 of both inputs.
    let data = Dataset::regression(column(&[3.0, 3.0]), column(&[15.0, 25.0]))?;
    let scores = model.evaluate(&data)?;
    // ½ (0² + 0.5²) / 2, in the units of the network.
    assert!((scores.loss - 0.0625).abs() < 1e-15 && scores.score.is_none(), "{scores:?}");
    // 1 − 10² / (5² + 5²), in those of the table.
    assert!((model.score(&data)? - (1.0 - 100.0 / 50.0)).abs() < 1e-12);
    // Weights 3 and 1: the mean target is 17.5, and 1 − 10² / (3 · 2.5² + 7.5²).
    let weighted = data.clone().with_weights(&[3.0, 1.0])?;
    assert!((model.score(&weighted)? - (1.0 - 100.0 / 75.0)).abs() < 1e-12);
    assert!((model.evaluate(&weighted)?.loss - 0.125 / 4.0).abs() < 1e-15);
    let scaled = model.transform(&data)?;
    assert_eq!((scaled.inputs().as_slice(), scaled.targets().as_slice()), (&[0.0, 0.0][..], &[0.25, 0.75][..]));
    Ok(())
}

fn equals_scaling_by_hand<T: Scalar>(scaling: Scaling) -> Result<()> {
    let data = houses::<T>();
    let config = FitConfig::new().epochs(20).batch_size(8);
    let (inputs, targets) = (scaling.fit(data.inputs())?, scaling.fit(data.targets())?);
    let scaled = targets.scale_targets(&inputs.scale_inputs(&data)?)?;
    let mut network = small::<T>();
    network.fit(&scaled, &config)?;
    let expected = targets.invert(&network.predict(scaled.inputs())?)?;

    let pipeline = Pipeline::new(small(), config).scale_inputs(scaling).scale_targets(scaling);
    let (fitted, _) = pipeline.fit(&data)?;
    let put_together = Model::new(network.clone()).input_scaler(inputs).target_scaler(targets);
    for model in [fitted, put_together] {
        let found = model.predict(data.inputs())?;
        assert_eq!(bits(&found), bits(&expected.matrix().view().into_owned()), "{scaling:?}");
        assert_eq!(model.evaluate(&data)?, network.evaluate(&scaled)?);
        assert_eq!(model.transform(&data)?, scaled);
        let r2 = network.score(&scaled)?;
        assert!((model.score(&data)? - r2).abs() < 1e-4 * r2.abs().max(1.0), "R² has no units");
    }
    Ok(())
}

#[test]
fn predictions_equal_scaling_by_hand_to_the_last_bit() -> Result<()> {
    for scaling in [Scaling::Standard, Scaling::MinMax, Scaling::StandardChannels(2.into())] {
        equals_scaling_by_hand::<f32>(scaling)?;
        equals_scaling_by_hand::<f64>(scaling)?;
    }
    Ok(())
}

#[test]
fn classes_have_probabilities_and_names() -> Result<()> {
    let moons = data::two_moons::<f32>(40, 0.1, 0)?;
    let builder = DecoupledNetwork::builder(2).dense(6, Activation::Tanh).dense(2, Activation::Identity);
    let network = builder.output_loss(SoftmaxCrossEntropy::new()).threads(1).build()?;
    let pipeline = Pipeline::new(network, FitConfig::new().epochs(30).batch_size(8)).scale_inputs(Scaling::MinMax);
    let (model, report) = pipeline.fit(&moons)?;
    assert_eq!(report.epochs.len(), 30);
    let scaled = model.input_scaler.as_ref().unwrap().scale_inputs(&moons)?;

    assert_eq!(bits(&model.predict(moons.inputs())?), bits(&model.network.predict(scaled.inputs())?));
    assert_eq!(bits(&model.predict_proba(moons.inputs())?), bits(&model.network.predict_proba(scaled.inputs())?));
    let classes = model.network.predict_class(scaled.inputs())?;
    assert!(classes.contains(&0) && classes.contains(&1));
    assert_eq!(model.predict_class(moons.inputs())?, classes);
    assert_eq!(model.evaluate(&moons)?, model.network.evaluate(&scaled)?);
    assert_eq!(model.score(&moons)?, model.network.score(&scaled)?);

    assert!(matches!(model.predict_name(moons.inputs()), Err(Error::Empty { what: "the list of class names" })));
    let model = model.class_names(["upper", "lower"]);
    let expected: Vec<_> = classes.iter().map(|&class| ["upper", "lower"][class]).collect();
    assert_eq!(model.predict_name(moons.inputs())?, expected);
    let three = model.class_names(["a", "b", "c"]);
    let found = three.predict_name(moons.inputs());
    assert!(matches!(found, Err(Error::Shape { what: "class names", expected: 2, found: 3 })));
    Ok(())
}

/// A logit of x − 2, where x is scaled to [0, 1] from 0 to 8: above 0 from x = 16 on.
#[test]
fn one_logit_tells_two_names_apart() -> Result<()> {
    let builder = DecoupledNetwork::builder(1).layer(Dense::new(1, 1)).output_loss(BinaryCrossEntropy);
    let mut network = builder.build()?;
    network.set_params(0, &[1.0, -2.0])?;
    let model = Model::new(network).input_scaler(Scaler::min_max(&column(&[0.0, 8.0]))?).class_names(["no", "yes"]);
    let inputs = column(&[0.0, 15.0, 17.0, 24.0]);
    assert_eq!(model.predict_class(&inputs)?, [0, 0, 1, 1]);
    assert_eq!(model.predict_name(&inputs)?, ["no", "no", "yes", "yes"]);
    assert_eq!(model.predict_labels(&inputs)?.as_slice(), [0.0, 0.0, 1.0, 1.0]);
    // 1 / (1 + exp(−(24/8 − 2)))
    assert!((model.predict_proba(&inputs)?[3] - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-15);
    let data = Dataset::classification(inputs, &[0, 1, 1, 1], 1)?;
    assert_eq!((model.score(&data)?, model.evaluate(&data)?.score), (0.75, Some(0.75)));
    Ok(())
}

#[test]
fn a_model_without_steps_is_its_network() -> Result<()> {
    let data = houses::<f64>();
    let (network, model) = (small::<f64>(), Model::new(small::<f64>()));
    assert_eq!(model.predict(data.inputs())?, network.predict(data.inputs())?);
    assert_eq!(model.evaluate(&data)?, network.evaluate(&data)?);
    assert_eq!(model.score(&data)?, network.score(&data)?);
    assert_eq!(model.transform(&data)?, data);
    Ok(())
}

#[test]
fn steps_come_before_the_scaler_in_their_order() -> Result<()> {
    // ẑ = x, so that predictions are what the steps make of the inputs: (√(x + 1) − 2) / 3.
    let add = |inputs: MatRef<'_, f64>| Ok(column(&inputs.as_slice().iter().map(|x| x + 1.0).collect::<Vec<_>>()));
    let root = |inputs: MatRef<'_, f64>| Ok(column(&inputs.as_slice().iter().map(|x| x.sqrt()).collect::<Vec<_>>()));
    let scaler = Scaler::min_max(&column(&[2.0, 5.0]))?;
    let model = Model::new(line(1.0, 0.0)).step(add).step(root).input_scaler(scaler.clone());
    assert_eq!(model.predict(&column(&[3.0, 24.0, 63.0]))?.as_slice(), [0.0, 1.0, 2.0]);
    assert_eq!(scaler.transform(column(&[5.0]).matrix())?.matrix().as_slice(), [1.0]);

    let fewer = |_: MatRef<'_, f64>| Ok(column(&[1.0]));
    let found = Model::new(line(1.0, 0.0)).step(fewer).predict(&column(&[3.0, 24.0]));
    assert!(matches!(found, Err(Error::Shape { expected: 2, found: 1, .. })), "{found:?}");
    let fails = |_: MatRef<'_, f64>| Err(Error::Empty { what: "this step" });
    let found = Model::new(line(1.0, 0.0)).step(fails).predict(&column(&[3.0]));
    assert!(matches!(found, Err(Error::Empty { what: "this step" })));
    Ok(())
}

#[test]
fn misfits_and_overflow_are_typed_errors() -> Result<()> {
    let scaler = Scaler::min_max(&column(&[0.0, 1e300]))?;
    let model = Model::new(line(1.0, 0.0)).target_scaler(scaler);
    let found = model.predict(&column(&[1.0, 1e10])).unwrap_err();
    assert!(matches!(found, Error::NotFinite { example: 1, row: 0, .. }), "{found}");
    let wide = Examples::from_rows(&[[1.0, 2.0]])?;
    let found = Model::new(line(1.0, 0.0)).input_scaler(Scaler::min_max(&wide)?).predict(&column(&[1.0])).unwrap_err();
    assert!(matches!(found, Error::Shape { expected: 2, found: 1, .. }), "{found}");
    let classes = Dataset::classification(column(&[0.0, 1.0]), &[0, 0], 1)?;
    for found in [model.transform(&classes).map(drop), model.score(&classes).map(drop)] {
        assert!(matches!(found, Err(Error::Unsupported { what: "scale_targets", .. })), "{found:?}");
    }
    Ok(())
}

/// Each of them would scale to 0, and so would the prediction: a loss of 0 that means nothing.
#[test]
fn targets_that_differ_from_a_constant_training_target_are_refused() -> Result<()> {
    let constant = Dataset::regression(column(&[1.0, 2.0, 3.0]), column(&[0.1 + 0.2, 0.3, 0.3]))?;
    let network = DecoupledNetwork::builder(1).dense(1, Activation::Identity).build()?;
    let pipeline = Pipeline::new(network, FitConfig::new().epochs(1)).scale_targets(Scaling::Standard);
    let (model, _) = pipeline.fit(&constant)?;
    assert!(model.predict(&column(&[7.0]))?.iter().all(|y| (y - 0.3).abs() < 1e-15));
    let others = Dataset::regression(column(&[1.0, 2.0]), column(&[0.3, 0.4]))?;
    for found in [model.evaluate(&others).map(drop), model.score(&others).map(drop), model.transform(&others).map(drop)]
    {
        assert!(matches!(found, Err(Error::Target { example: 1, found: 0.4, .. })), "{found:?}");
    }
    Ok(())
}

#[test]
fn training_goes_on_in_the_tables_units() -> Result<()> {
    let data = houses::<f32>();
    let config = FitConfig::new().epochs(5).batch_size(8);
    let pipeline =
        Pipeline::new(small(), config.clone()).scale_inputs(Scaling::Standard).scale_targets(Scaling::MinMax);
    let (mut model, _) = pipeline.fit(&data)?;
    let before = model.evaluate(&data)?.loss;
    model.network.fit(&model.transform(&data)?, &config)?;
    let (twice, _) = Pipeline::new(small(), config.epochs(10))
        .scale_inputs(Scaling::Standard)
        .scale_targets(Scaling::MinMax)
        .fit(&data)?;
    assert_eq!(bits(&model.predict(data.inputs())?), bits(&twice.predict(data.inputs())?));
    assert!(model.evaluate(&data)?.loss < before);
    Ok(())
}

#[cfg(feature = "save")]
mod files {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn path(name: &str) -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("model");
        fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    }

    #[test]
    fn a_loaded_model_predicts_the_same_bits() -> Result<()> {
        let (data, path) = (houses::<f32>(), path("houses"));
        let pipeline = Pipeline::new(small::<f32>(), FitConfig::new().epochs(5));
        let (model, _) = pipeline.scale_inputs(Scaling::Standard).scale_targets(Scaling::Standard).fit(&data)?;
        model.save(&path)?;
        for loaded in [Model::<f32>::load(&path)?, Model::load_into(small(), &path)?] {
            assert_eq!(bits(&loaded.predict(data.inputs())?), bits(&model.predict(data.inputs())?));
            assert_eq!(loaded.evaluate(&data)?, model.evaluate(&data)?);
            assert_eq!(loaded.score(&data)?, model.score(&data)?);
        }
        Ok(())
    }

    #[test]
    fn a_step_is_added_again_to_the_model_that_is_loaded() -> Result<()> {
        let (data, path) = (houses::<f32>(), path("step"));
        let _ = fs::remove_file(&path);
        // The second input alone.
        let second = |inputs: MatRef<'_, f32>| {
            Examples::from_rows(&inputs.columns().map(|example| [example[1]]).collect::<Vec<_>>())
        };
        let network = DecoupledNetwork::builder(1).dense(2, Activation::Identity).build()?;
        let pipeline = Pipeline::new(network, FitConfig::new().epochs(5)).step(move |_| Ok(second));
        let (model, _) = pipeline.scale_inputs(Scaling::Standard).scale_targets(Scaling::Standard).fit(&data)?;
        let found = model.save(&path).unwrap_err();
        assert!(matches!(found, Error::Unsupported { what: "saving a model with a step", .. }), "{found}");
        assert!(!path.exists());

        let mut without = Model::new(model.network.clone());
        (without.input_scaler, without.target_scaler) = (model.input_scaler.clone(), model.target_scaler.clone());
        without.save(&path)?;
        let loaded = Model::<f32>::load(&path)?.step(second);
        assert_eq!(bits(&loaded.predict(data.inputs())?), bits(&model.predict(data.inputs())?));
        Ok(())
    }

    #[test]
    fn a_single_output_may_have_the_names_of_two_classes() -> Result<()> {
        let path = path("two");
        let model = |names: &[&str]| Model::new(line(1.0, 0.0)).class_names(names.iter().copied());
        model(&["no", "yes"]).save(&path)?;
        assert_eq!(Model::<f64>::load(&path)?.class_names, ["no", "yes"]);
        for names in [&["yes"][..], &["no", "perhaps", "yes"]] {
            let found = model(names).save(&path);
            assert!(matches!(found, Err(Error::Shape { what: "class names", expected: 2, .. })), "{found:?}");
        }
        Ok(())
    }
}

#[cfg(all(feature = "csv", feature = "save"))]
mod tables {
    use std::fs;
    use std::path::PathBuf;

    use decoupled::data::csv::Options;

    use super::*;

    fn file(name: &str, text: &str) -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("model-tables");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Mean and variance of 1, 3, 5 and the blank, filled with their mean, are 3 and 2; a third of the colours is red.
    const TRAIN: &str = "\
height,colour,price
1,red,10
3,blue,20
5,blue,30
,red,40
";

    #[test]
    fn a_loaded_model_reads_a_table_by_its_columns_and_predicts_in_its_units() -> Result<()> {
        let (train, path) = (file("train.csv", TRAIN), file("model.safetensors", ""));
        let table = Options::numbers(["price"]).read::<f64>(&train)?;
        assert_eq!(table.features, ["height", "colour=blue", "colour=red"]);
        // ẑ = height + 10 · blue + 100 · red, of scaled inputs, and then half of the range of prices.
        let mut network = DecoupledNetwork::builder(3).layer(Dense::new(3, 1)).build()?;
        network.set_params(0, &[1.0, 10.0, 100.0, 0.0])?;
        let model = Model::new(network)
            .input_scaler(Scaler::standard(table.dataset.inputs())?)
            .target_scaler(Scaler::min_max(table.dataset.targets())?)
            .columns(table.columns);
        model.save(&path)?;

        let loaded = Model::<f64>::load(&path)?;
        assert_eq!((&loaded.columns, &loaded.feature_names), (&model.columns, &table.features));
        // In another order, with a column more, a blank, and without targets.
        let new = file("new.csv", "colour,note,height\nred,a,5\nblue,b,\n");
        let found = loaded.read_and_predict(&new)?;
        // Of height the mean is 3 and the variance 2; colours are 0 or 1 as often, which scales to −1 and 1.
        let scaled = [2.0 / 2f64.sqrt() - 10.0 + 100.0, 10.0 - 100.0];
        let expected = scaled.map(|z| 10.0 + 30.0 * z);
        assert!(found.iter().zip(expected).all(|(found, e)| (found - e).abs() < 1e-9), "{found} for {expected:?}");
        assert_eq!(loaded.predict(&loaded.read_inputs(&new)?)?, found);

        let lacks = file("lacks.csv", "colour,weight\nred,5\n");
        let found = loaded.read_and_predict(&lacks).unwrap_err().to_string();
        assert!(found.contains("height"), "{found}");
        let unseen = file("unseen.csv", "height,colour\n1,green\n");
        let found = loaded.read_and_predict(&unseen).unwrap_err();
        assert!(matches!(&found, Error::UnknownCategory { line: 2, .. }), "{found}");
        Ok(())
    }

    #[test]
    fn a_model_of_names_alone_reads_numbers_and_one_without_them_reads_nothing() -> Result<()> {
        let table = file("names.csv", "b,a\n1,2\n3,4\n");
        let mut network = DecoupledNetwork::builder(2).layer(Dense::new(2, 1)).build()?;
        network.set_params(0, &[1.0, 10.0, 0.0])?;
        let model = Model::new(network);
        assert!(matches!(model.read_inputs(&table), Err(Error::Unsupported { .. })));
        assert_eq!(model.feature_names(["a", "b"]).read_and_predict(&table)?.as_slice(), [12.0, 34.0]);
        Ok(())
    }

    #[test]
    fn classes_are_named_by_the_columns() -> Result<()> {
        let table = Options::classes("colour").read::<f64>(file("classes.csv", TRAIN))?;
        let builder = DecoupledNetwork::builder(table.dataset.input_dim()).dense(2, Activation::Identity);
        let (model, _) = Pipeline::new(builder.build()?, FitConfig::new().epochs(1)).fit(&table.dataset)?;
        let model = model.columns(table.columns);
        assert_eq!(model.class_names, ["blue", "red"]);
        let names = model.predict_name(table.dataset.inputs())?;
        let classes = model.predict_class(table.dataset.inputs())?;
        assert!(names.iter().zip(classes).all(|(name, class)| *name == ["blue", "red"][class]));
        // Columns of another table than the network takes.
        let other = Options::classes("colour").feature_columns(["price"]).read::<f64>(file("other.csv", TRAIN))?;
        let found = model.columns(other.columns).save(file("misfit", "")).unwrap_err();
        assert!(matches!(found, Error::Shape { expected: 2, found: 1, .. }), "{found}");
        Ok(())
    }
}
