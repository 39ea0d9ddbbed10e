//! A batch size in JSON: the number of examples, or `"full"` for all of them.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

const FULL: &str = "full";

pub(super) fn serialize<S: Serializer>(size: &Option<usize>, to: S) -> Result<S::Ok, S::Error> {
    match size {
        Some(examples) => to.serialize_u64(*examples as u64),
        None => to.serialize_str(FULL),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    from.deserialize_any(Size)
}

struct Size;

impl Visitor<'_> for Size {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number of examples, or \"{FULL}\" for all in one batch")
    }

    fn visit_u64<E: Error>(self, examples: u64) -> Result<Self::Value, E> {
        let fits = usize::try_from(examples);
        fits.map(Some).map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(examples), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text == FULL { Ok(None) } else { Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)) }
    }
}
