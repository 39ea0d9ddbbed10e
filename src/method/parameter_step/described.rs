//! Parameter steps in JSON, by kind.

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};

use super::{GradientStep, ParameterStep, Ridge};
use crate::Scalar;
use crate::description::Description;

/// The steps that can be made from their descriptions, by name.
#[derive(Deserialize)]
enum BuiltIn {
    Optimizer,
    Ridge(Ridge),
}

/// Serialises a step as its kind, with its settings if it has any; an error if it has no description.
impl<T: Scalar> Serialize for dyn ParameterStep<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let none = || S::Error::custom("ParameterStep that is not built in");
        let Description { kind, settings } = self.describe().ok_or_else(none)?;
        if settings.is_null() {
            return to.serialize_str(&kind);
        }
        to.collect_map([(kind, settings)])
    }
}

impl<'de, T: Scalar> Deserialize<'de> for Box<dyn ParameterStep<T>> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match BuiltIn::deserialize(from)? {
            BuiltIn::Optimizer => Box::new(GradientStep),
            BuiltIn::Ridge(step) => Box::new(step),
        })
    }
}
