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
}
