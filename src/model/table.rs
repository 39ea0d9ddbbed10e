//! A model's way from a table to predictions.

use std::path::Path;

use nalgebra::DMatrix;

use crate::data::{Examples, csv};
use crate::{Error, Model, Result, Scalar};

impl<T: Scalar> Model<T> {
    /// Reads the inputs from a table like the one that the model was trained on, with or without its targets: by the
    /// names of the [columns](Self::columns), in any order and among any others, with the same categories and the same
    /// values for missing cells. A model that has only feature names reads columns of numbers by them.
    ///
    /// ```no_run
    /// use decoupled::data::{Scaling, csv};
    /// use decoupled::layer::Activation;
    /// use decoupled::loss::SoftmaxCrossEntropy;
    /// use decoupled::{DecoupledNetwork, FitConfig, Model, Pipeline};
    ///
    /// let table = csv::Options::classes("species").read::<f32>("plants.csv")?;
    /// let network = DecoupledNetwork::builder(table.dataset.input_dim())
    ///     .dense(16, Activation::Tanh)
    ///     .dense(table.classes.len(), Activation::Identity)
    ///     .output_loss(SoftmaxCrossEntropy::new())
    ///     .build()?;
    /// let config = FitConfig::new().epochs(50).batch_size(16);
    /// let (model, _) = Pipeline::new(network, config).scale_inputs(Scaling::Standard).fit(&table.dataset)?;
    /// # #[cfg(feature = "save")]
    /// model.columns(table.columns).save("plants.safetensors")?;
    ///
    /// // In another program:
    /// # #[cfg(feature = "save")]
    /// # {
    /// let model = Model::<f32>::load("plants.safetensors")?;
    /// let inputs = model.read_inputs("new.csv")?;
    /// println!("{:?}", model.predict_name(&inputs)?);
    /// # }
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Columns::read_inputs`](crate::data::Columns::read_inputs), with the name of a column that is missing;
    /// [`Error::Unsupported`] for a model without columns and feature names.
    pub fn read_inputs(&self, path: impl AsRef<Path>) -> Result<Examples<T>> {
        match &self.columns {
            Some(columns) => columns.read_inputs(path),
            None if self.feature_names.is_empty() => {
                let why =
                    "the model has neither columns nor feature names: set Model::columns, or read by csv::Options";
                Err(Error::Unsupported { what: "reading a table by a model", why })
            }
            None => csv::Options::features().feature_columns(&self.feature_names).read_inputs(path),
        }
    }

    /// Reads a table by [`read_inputs`](Self::read_inputs) and [predicts](Self::predict), `outputs × lines`.
    ///
    /// # Errors
    /// Those of both.
    pub fn read_and_predict(&self, path: impl AsRef<Path>) -> Result<DMatrix<T>> {
        self.predict(&self.read_inputs(path)?)
    }
}
