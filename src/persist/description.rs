use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::Value;

use crate::layer::{Chain, Dense, Elementwise, LayerNorm, Residual};
use crate::loss::{
    BinaryCrossEntropy, Huber, MeanAbsoluteError, RelativeSquaredError, SoftmaxCrossEntropy, SquaredError,
};
use crate::{Layer, Loss, Scalar};

/// What a file says of a built-in layer or loss: its kind and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    kind: Cow<'static, str>,
    settings: Value,
}

impl Description {
    /// Of a type with an entry below; none where a part of it has no description.
    pub(crate) fn new(kind: &'static str, settings: &impl Serialize) -> Option<Self> {
        let settings = serde_json::to_value(settings).ok()?;
        Some(Self { kind: kind.into(), settings })
    }
}

/// The kinds that can be made anew from their descriptions.
macro_rules! registry {
    ($trait:ident: $($kind:ident $(<$scalar:ident>)?),+ $(,)?) => {
        /// As its description; an error where it has none.
        impl<T: Scalar> Serialize for dyn $trait<T> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let none = || S::Error::custom("one that is not built in");
                self.describe().ok_or_else(none)?.serialize(to)
            }
        }

        impl<'de, T: Scalar> Deserialize<'de> for Box<dyn $trait<T>> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let Description { kind, settings } = Description::deserialize(from)?;
                let fault = |error| D::Error::custom(format!("{kind}: {error}"));
                match &*kind {
                    $(stringify!($kind) => {
                        let made = $kind$(::<$scalar>)?::deserialize(settings).map_err(fault)?;
                        Ok(Box::new(made))
                    })+
                    _ => Err(D::Error::unknown_variant(&kind, &[$(stringify!($kind)),+])),
                }
            }
        }
    };
}

registry! {
    Layer:
    Dense,
    Elementwise,
    LayerNorm,
    Chain<T>,
    Residual<T>,
}

registry! {
    Loss:
    SquaredError,
    RelativeSquaredError,
    MeanAbsoluteError,
    Huber,
    SoftmaxCrossEntropy,
    BinaryCrossEntropy,
}
