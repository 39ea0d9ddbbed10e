//! The list that the suites take their parts from has every part of the sources.

use std::collections::BTreeSet;

use decoupled::rand::{SeedableRng, rngs::ChaCha12Rng};

use crate::builtin;
use crate::layout::sources;

/// Pointers to any part, and a loss over some of the rows, which is not public.
const OTHERS: [&str; 3] = ["Arc", "$pointer", "Known"];

/// The types that a source has an `impl` of the trait for: without parameters and paths.
fn implementors(of: &str, code: &str) -> BTreeSet<String> {
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = BTreeSet::new();
    for header in code.split("impl").skip(1) {
        let Some((traits, of_type)) = header.split('{').next().unwrap().split_once("> for ") else { continue };
        // The last that is named, not a bound before it or a parameter of another.
        let Some((before, scalar)) = traits.rsplit_once('<') else { continue };
        if last_word(before) == of && !scalar.contains('>') {
            found.insert(last_word(of_type.split(['<', ' ']).next().unwrap()).to_owned());
        }
    }
    found
}

/// What stands behind the last character that is no part of a name.
fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).next().unwrap()
}

/// The names of a public enum's variants.
fn variants(of: &str, code: &str) -> BTreeSet<String> {
    let (_, body) = code.split_once(&format!("pub enum {of} {{\n")).unwrap();
    let lines = body.split("\n}").next().unwrap().lines().filter_map(|line| line.strip_prefix("    "));
    let name = |line: &str| line.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
    lines.filter(|line| line.starts_with(|c: char| c.is_uppercase())).map(name).collect()
}

fn code(file: &str) -> String {
    let found = sources().into_iter().find(|(path, _)| path.ends_with(file));
    found.unwrap_or_else(|| panic!("no {file}")).1
}

#[test]
fn every_layer_loss_optimizer_and_step_is_in_the_list() {
    let layers = builtin::layers::<f64>(&mut ChaCha12Rng::seed_from_u64(0));
    for (of, listed) in [
        ("Layer", builtin::names(layers)),
        ("Loss", builtin::names(builtin::losses::<f64>())),
        ("Optimizer", builtin::names(builtin::optimizers::<f64>())),
        ("ActivationStep", builtin::names(builtin::activation_steps::<f64>())),
        ("ParameterStep", builtin::names(builtin::parameter_steps::<f64>())),
    ] {
        let mut built_in: BTreeSet<_> = sources().iter().flat_map(|(_, code)| implementors(of, code)).collect();
        built_in.retain(|name| !OTHERS.contains(&&**name));
        assert_eq!(listed, built_in, "{of}");
    }
}

#[test]
fn every_activation_function_schedule_and_order_is_in_the_list() {
    assert_eq!(builtin::names(builtin::ACTIVATIONS), variants("Activation", &code("layer/activation.rs")));
    assert_eq!(builtin::names(builtin::schedules()), variants("Schedule", &code("optimizer/schedule.rs")));
    assert_eq!(builtin::names(builtin::ORDERS), variants("Order", &code("activation_step/sweeps.rs")));
}

/// A constructor each, but for the default.
#[test]
fn every_preset_is_in_the_list() {
    let code = code("method/presets.rs");
    let constructors = code.split("    pub fn ").skip(1).map(|rest| rest.split('(').next().unwrap().to_owned());
    let presets: BTreeSet<String> = constructors.chain(["default".to_owned()]).collect();
    assert_eq!(presets, builtin::methods::<f64>().into_iter().map(|(name, _)| name.to_owned()).collect());
}

#[test]
fn an_impl_of_any_form_is_seen() {
    let found = |code: &str| implementors("Loss", code).into_iter().collect::<Vec<_>>().join(", ");
    assert_eq!(found("impl<T: Scalar> Loss<T> for Huber {"), "Huber");
    assert_eq!(found("impl Loss<f32> for own::Own {}"), "Own");
    assert_eq!(
        found("impl<T: Scalar, L: Loss<T>> crate::Loss<T>\n    for Half<'_, L>\nwhere\n    L: Sync,\n{"),
        "Half"
    );
    assert_eq!(found("impl<T: Scalar, L: Loss<T> + ?Sized> Loss<T> for $pointer<L> {"), "$pointer");
    assert_eq!(found("impl<T: Scalar> Serialize for dyn Loss<T> {"), "");
    assert_eq!(found("impl<T: Scalar> From<Loss<T>> for Other {"), "");
    assert_eq!(found("impl<T, L: Loss<T>> Optimizer<T> for Lossy<L> {} fn f(loss: impl Loss<T>) {}"), "");
    assert_eq!(variants("Kind", "pub enum Kind {\n    /// Words.\n    One,\n    Two(\n        f64,\n    ),\n}\n"), {
        BTreeSet::from(["One", "Two"].map(str::to_owned))
    });
}
