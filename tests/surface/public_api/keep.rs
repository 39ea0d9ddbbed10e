//! A network is kept: files of networks, of checkpoints and of banks, and settings in JSON.

use decoupled::bank::{ActivationBank, BankFile};
use decoupled::data::{Scaler, csv::Options};
use decoupled::description::Description;
use decoupled::layer::{Activation, Dense};
use decoupled::method::Start;
use decoupled::observer::EarlyStopping;
use decoupled::{DecoupledNetwork, FitConfig, Layer, Method, Model, Observer, Result};

use super::{Net, moons, net, path, trained};

#[test]
fn a_model_comes_back_with_all_that_goes_with_it() -> Result<()> {
    let (net, data, file) = (trained(), moons(), path("model"));
    let scaler = Scaler::standard(data.inputs())?;
    let model = Model::new(net.clone()).input_scaler(scaler.clone()).class_names(["upper", "lower"]);
    let model = model.feature_names(["x", "y"]);
    model.clone().target_scaler(Scaler::min_max(data.targets())?).save(&file)?;
    let loaded = Model::<f64>::load(&file)?;
    assert_eq!(
        (&loaded.input_scaler, &*loaded.class_names),
        (&Some(scaler), &["upper", "lower"].map(String::from)[..])
    );
    assert_eq!(loaded.network.predict(data.inputs())?, net.predict(data.inputs())?);
    let names: Vec<&str> = loaded.predict_name(data.inputs())?;
    let classes = loaded.predict_class(data.inputs())?;
    assert!(names.into_iter().zip(classes).all(|(name, class)| name == loaded.class_names[class]));
    assert_eq!(Model::load_into(super::net(), &file)?.feature_names, loaded.feature_names);

    net.save(&file)?;
    assert_eq!(DecoupledNetwork::load(&file)?.predict(data.inputs())?, net.predict(data.inputs())?);
    let mut other = super::net();
    other.load_params(&file)?;
    other.load_params_cast(&file)?;
    assert_eq!(Model::<f32>::load_cast(&file)?.network.depth(), net.depth());
    assert_eq!(other.params(0), net.params(0));
    Ok(())
}

#[test]
fn a_training_goes_on_where_it_was_interrupted() -> Result<()> {
    let (data, file) = (moons(), path("interrupted"));
    let config = || FitConfig::new().method(Method::joint(0.1)).epochs(2);
    let (mut whole, mut resumed, mut stopping) = (net(), net(), EarlyStopping::new());
    whole.fit_observed(&data, &config(), &mut [&mut stopping])?;
    whole.save_checkpoint(&file, &[&stopping])?;
    let mut again = EarlyStopping::new();
    resumed.resume(&file, &mut [&mut again])?;
    assert_eq!(Observer::<f64>::state(&again), Observer::<f64>::state(&stopping));
    for net in [&mut whole, &mut resumed] {
        net.fit(&data, &config())?;
    }
    assert_eq!((whole.params(0), whole.bank()), (resumed.params(0), resumed.bank()));
    Ok(())
}

#[test]
fn a_bank_lies_in_a_file() -> Result<()> {
    let file = path("bank");
    let builder = Net::builder(2).dense(3, Activation::Tanh).dense(2, Activation::Identity).threads(1);
    let mut net = builder.method(Method::default().start(Start::Persisted)).bank_file(&file, 8).build()?;
    net.fit(&moons(), &FitConfig::new().epochs(1))?;
    let bank: &BankFile<f64> = net.bank_file().unwrap();
    assert_eq!((bank.path(), bank.examples(), bank.block_examples(), bank.blocks()), (&*file, 30, 8, 4));
    let last: ActivationBank<f64> = bank.block(3)?;
    assert!(last.examples() == 6 && last.steps().iter().all(|&steps| steps > 0) && bank.bytes() > last.bytes() as u64);
    Ok(())
}

#[test]
fn settings_are_json() {
    let json = serde_json::to_string(&FitConfig::<f64>::new().epochs(7)).unwrap();
    let back: FitConfig<'_, f64> = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
    let description: Description = Layer::<f64>::describe(&Dense::new(2, 3)).unwrap();
    let json = serde_json::to_string(&description).unwrap();
    assert_eq!(serde_json::from_str::<Description>(&json).unwrap(), description);
}

#[test]
fn a_model_reads_tables_like_the_one_it_was_trained_on() -> Result<()> {
    let table = path("trained-on.csv");
    std::fs::write(&table, "x,kind,y\n1,upper,2\n3,lower,4\n").unwrap();
    let columns = Options::classes("kind").read::<f64>(&table)?.columns;
    let model = Model::new(net()).columns(columns.clone());
    assert_eq!((&model.columns, &*model.feature_names), (&Some(columns), &["x", "y"].map(String::from)[..]));
    let inputs = model.read_inputs(&table)?;
    assert_eq!(inputs.matrix().as_slice(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(model.read_and_predict(&table)?, model.predict(&inputs)?);
    Ok(())
}
