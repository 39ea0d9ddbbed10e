//! The list of built-in layers, losses and optimizers that can be made from their descriptions.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

use crate::description::Description;
use crate::layer::{
    Chain, Conv1d, Conv2d, ConvTranspose2d, Dense, Dropout, Elementwise, GroupNorm, LayerNorm, Pool2d, Residual,
    Upsample,
};
use crate::loss::{
    BinaryCrossEntropy, Huber, MeanAbsoluteError, RelativeSquaredError, SoftmaxCrossEntropy, SquaredError,
};
use crate::optimizer::{Adam, AdamW, ClipNorm, ClipValue, L1, RmsProp, Scheduled, Sgd, WeightDecay};
use crate::{Layer, Loss, Optimizer, Scalar};

/// The kinds that can be made anew from their descriptions.
macro_rules! registry {
    ($trait:ident: $($kind:ident $(<$part:ty>)?),+ $(,)?) => {
        /// As its description; an error where it has none.
        impl<T: Scalar> Serialize for dyn $trait<T> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let none = || S::Error::custom(concat!(stringify!($trait), " that is not built in, or holds one"));
                self.describe().ok_or_else(none)?.serialize(to)
            }
        }

        impl<'de, T: Scalar> Deserialize<'de> for Box<dyn $trait<T>> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let Description { kind, settings } = Description::deserialize(from)?;
                let fault = |error| D::Error::custom(format!("{kind}: {error}"));
                match &*kind {
                    $(stringify!($kind) => {
                        let made = $kind$(::<$part>)?::deserialize(settings).map_err(fault)?;
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
    Dropout,
    LayerNorm,
    GroupNorm,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Pool2d,
    Upsample,
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

registry! {
    Optimizer:
    Sgd,
    Adam,
    AdamW,
    RmsProp,
    Scheduled<Box<dyn Optimizer<T>>>,
    ClipNorm<Box<dyn Optimizer<T>>>,
    ClipValue<Box<dyn Optimizer<T>>>,
    WeightDecay<Box<dyn Optimizer<T>>>,
    L1<Box<dyn Optimizer<T>>>,
}
