//! Descriptions of built-in layers, losses, optimizers and steps in files and JSON: a kind and its settings.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod registry;

/// What a file says of a built-in layer, loss or optimizer: its kind and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub(crate) kind: Cow<'static, str>,
    pub(crate) settings: Value,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.settings)
    }
}

impl Description {
    /// Of a type that the registry has; none where a part of it has no description.
    pub(crate) fn new(kind: &'static str, settings: &impl Serialize) -> Option<Self> {
        let settings = serde_json::to_value(settings).ok()?;
        Some(Self { kind: kind.into(), settings })
    }

    /// The first setting in which two descriptions differ: where it stands, as `layers.0.output`, and its value in each. The place is
    /// empty where they are of different kinds; none is a kind of its own.
    #[cfg(feature = "save")]
    pub(crate) fn difference(one: &Option<Self>, other: &Option<Self>) -> Option<[String; 3]> {
        match (one, other) {
            (Some(one), Some(other)) if one.kind == other.kind => difference("", &one.settings, &other.settings),
            _ if one == other => None,
            _ => Some([String::new(), Self::kind(one), Self::kind(other)]),
        }
    }

    #[cfg(feature = "save")]
    fn kind(description: &Option<Self>) -> String {
        description.as_ref().map_or_else(|| "one that is not built in".to_owned(), |own| own.kind.to_string())
    }
}

/// The first of the values in these that differ, with the names on the way to it.
#[cfg(feature = "save")]
fn difference(place: &str, one: &Value, other: &Value) -> Option<[String; 3]> {
    let within = |name: &str| match (place, name) {
        // A description within one.
        (_, "settings") => place.to_owned(),
        ("", _) => name.to_owned(),
        _ => format!("{place}.{name}"),
    };
    match (one, other) {
        _ if one == other => None,
        (Value::Object(a), Value::Object(b)) => {
            let kinds = a.get("kind").zip(b.get("kind")).filter(|(a, b)| a != b);
            if let Some((a, b)) = kinds.and_then(|(a, b)| a.as_str().zip(b.as_str())) {
                return Some([place.to_owned(), a.to_owned(), b.to_owned()]);
            }
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            let of = |fields: &serde_json::Map<_, _>, name: &String| fields.get(name).cloned().unwrap_or_default();
            names.into_iter().find_map(|name| difference(&within(name), &of(a, name), &of(b, name)))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(i, (a, b))| difference(&within(&i.to_string()), a, b))
        }
        (Value::Array(a), Value::Array(b)) => Some([place.to_owned(), a.len().to_string(), b.len().to_string()]),
        _ => Some([place.to_owned(), one.to_string(), other.to_string()]),
    }
}
