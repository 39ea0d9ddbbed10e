//! Rules of a layer's own account: sizes, cache, name, tensors and description.

use super::{super::guard, trial::Trial};
use crate::{Result, Scalar, layer::tensors_of};

pub(super) fn sizes_stay_the_same<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let (layer, subject) = (trial.layer, &trial.subject);
    subject.count("input_dim, asked again", trial.inputs, layer.input_dim())?;
    subject.count("output_dim, asked again", trial.outputs, layer.output_dim())?;
    subject.count("param_len, asked again", trial.initial.len(), layer.param_len())
}

pub(super) fn shapes_have_their_dimensions<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let (layer, subject) = (trial.layer, &trial.subject);
    let shape = guard("input_shape", || layer.input_shape())?;
    subject.count("numbers of input_shape", trial.inputs, shape.len())?;
    let above = guard("output_shape", || layer.output_shape(shape))?;
    subject.count("numbers of output_shape", trial.outputs, above.len())
}

pub(super) fn cache_does_not_shrink<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let ask = |examples| guard("cache_len", || trial.layer.cache_len(examples));
    let mut before = 0;
    for examples in 1..=trial.examples + 1 {
        let found = ask(examples)?;
        trial.subject.count("cache_len, asked again", found, ask(examples)?)?;
        if found < before {
            let what = format!("cache_len of {examples} examples is no less than of one example fewer");
            return Err(trial.subject.breach(what, before as f64, found as f64));
        }
        before = found;
    }
    Ok(())
}

pub(super) fn name_is_one_line<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let ask = || guard("name", || trial.layer.name());
    let name = ask()?;
    trial.subject.count("lines of the name", 1, name.lines().count())?;
    let same = ask()? == name;
    trial.subject.count("names, asked twice", 1, 2 - usize::from(same))
}

pub(super) fn tensors_cover_the_parameters<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    tensors_of(trial.layer, 0, trial.initial.len()).map(drop)
}

pub(super) fn tensors_stay_the_same<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let ask = || tensors_of(trial.layer, 0, trial.initial.len());
    let same = ask()? == ask()?;
    trial.subject.count("lists of tensors, asked twice", 1, 2 - usize::from(same))
}

/// The layer that a file makes of the description.
#[cfg(feature = "save")]
pub(super) fn description_computes_the_same<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    use crate::Layer;

    let Some(description) = guard("describe", || trial.layer.describe())? else { return Ok(()) };
    let subject = &trial.subject;
    let made = serde_json::to_value(description).and_then(serde_json::from_value::<Box<dyn Layer<T>>>);
    let made =
        made.map_err(|error| subject.breach(format!("a layer is made of the description ({error})"), 1.0, 0.0))?;
    subject.count("input_dim of the described layer", trial.inputs, made.input_dim())?;
    subject.count("output_dim of the described layer", trial.outputs, made.output_dim())?;
    subject.count("param_len of the described layer", trial.initial.len(), made.param_len())?;
    let twin = Trial::new(&*made, (trial.inputs, trial.outputs), trial.examples, trial.seed)?;
    subject.same("initial parameters of the described layer", &trial.initial, &twin.initial)?;
    let outputs = [trial, &twin].map(|trial| Ok(trial.first_pass()?.output));
    let [own, described] = outputs;
    subject.same("output of the described layer", &own?, &described?)
}
