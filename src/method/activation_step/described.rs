//! Activation steps in JSON, by kind.

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};

use super::{ActivationStep, ErrorSteps, Exact, GaussNewton, Sweeps};
use crate::Scalar;
use crate::description::Description;

/// The steps that can be made from their descriptions, by name.
#[derive(Deserialize)]
#[serde(bound = "T: Scalar")]
enum BuiltIn<T> {
    Sweeps(Sweeps<T>),
    Errors(ErrorSteps<T>),
    GaussNewton(GaussNewton),
    Exact(Exact),
}

/// Serialises a step as its kind with its settings; an error if it has no description.
impl<T: Scalar> Serialize for dyn ActivationStep<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let none = || S::Error::custom("ActivationStep that is not built in, or holds an optimizer that is not");
        let Description { kind, settings } = self.describe().ok_or_else(none)?;
        to.collect_map([(kind, settings)])
    }
}

impl<'de, T: Scalar> Deserialize<'de> for Box<dyn ActivationStep<T>> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match BuiltIn::deserialize(from)? {
            BuiltIn::Sweeps(step) => Box::new(step),
            BuiltIn::Errors(step) => Box::new(step),
            BuiltIn::GaussNewton(step) => Box::new(step),
            BuiltIn::Exact(step) => Box::new(step),
        })
    }
}
