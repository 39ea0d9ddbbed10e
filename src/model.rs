//! A trained network with the steps before and after it: data come and predictions go in their own units.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use nalgebra::DMatrix;

use crate::data::{Columns, Examples, Scaler, Transform};
use crate::machine::linalg::matrix::{check_finite, check_shape};
use crate::network::{Scores, determination};
use crate::{Dataset, DecoupledNetwork, Error, MatRef, Result, Scalar};

#[cfg(feature = "csv")]
mod table;

/// A trained network with its scalers, names and columns: it takes inputs and gives predictions in the units of the
/// table that it was trained on. [`Pipeline::fit`](crate::Pipeline::fit) makes one; the feature `save` writes it to a
/// file, and the feature `csv` reads tables like that one.
///
/// ```text
/// inputs (features × n)  →  steps, in their order  →  input_scaler  →  network  →  inverse of target_scaler  →  predictions
/// ```
///
/// Columns are examples, in all that it takes and gives.
///
/// # Example
///
/// ```
/// use decoupled::data::{Examples, Scaler};
/// use decoupled::layer::Activation;
/// use decoupled::{DecoupledNetwork, Model};
///
/// let table = Examples::from_rows(&[[150.0, 0.2], [170.0, 0.1], [190.0, 0.6]])?;
/// let network = DecoupledNetwork::<f32>::builder(2).dense(3, Activation::Identity).build()?;
/// let model = Model::new(network)
///     .input_scaler(Scaler::standard(&table)?)
///     .class_names(["setosa", "versicolor", "virginica"]);
///
/// for name in model.predict_name(&table)? {
///     println!("{name}");
/// }
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Model<T: Scalar> {
    /// The network. What it takes and gives is scaled: see [`Model::transform`].
    pub network: DecoupledNetwork<T>,
    /// What its inputs are scaled by.
    pub input_scaler: Option<Scaler>,
    /// What its targets were scaled by; its inverse turns outputs into predictions.
    pub target_scaler: Option<Scaler>,
    /// What the inputs are called, one name for each; empty where they have none.
    pub feature_names: Vec<String>,
    /// What the classes are called, one name for each output, or two for a single one; empty where they have none.
    pub class_names: Vec<String>,
    /// The columns of the table that the data were read from, and how each became features.
    pub columns: Option<Columns>,
    pub(crate) steps: Steps<T>,
}

/// Steps before the input scaler, in their order.
#[derive(Clone)]
pub(crate) struct Steps<T: Scalar>(Vec<Arc<dyn Transform<T>>>);

impl<T: Scalar> fmt::Debug for Steps<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps", self.0.len())
    }
}

impl<T: Scalar> Steps<T> {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a step, and returns the data behind it.
    pub(crate) fn push(&mut self, step: Arc<dyn Transform<T>>, data: &Dataset<T>) -> Result<Dataset<T>> {
        let data = data.with_inputs(mapped(&*step, data.inputs())?)?;
        self.0.push(step);
        Ok(data)
    }
}

impl<T: Scalar> Model<T> {
    /// Creates a model of the network alone, without scalers and names.
    pub fn new(network: DecoupledNetwork<T>) -> Self {
        Self {
            network,
            input_scaler: None,
            target_scaler: None,
            feature_names: Vec::new(),
            class_names: Vec::new(),
            columns: None,
            steps: Steps::none(),
        }
    }

    /// Adds a fitted step, after those that are there and before the input scaler. A file has no place for it: add it
    /// again to the model that was loaded.
    #[must_use]
    pub fn step(mut self, step: impl Transform<T> + 'static) -> Self {
        self.steps.0.push(Arc::new(step));
        self
    }

    /// Sets what inputs are scaled by.
    #[must_use]
    pub fn input_scaler(self, scaler: Scaler) -> Self {
        Self { input_scaler: Some(scaler), ..self }
    }

    /// Sets what targets were scaled by.
    #[must_use]
    pub fn target_scaler(self, scaler: Scaler) -> Self {
        Self { target_scaler: Some(scaler), ..self }
    }

    /// Sets what the inputs are called.
    #[must_use]
    pub fn feature_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { feature_names: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets what the classes are called.
    #[must_use]
    pub fn class_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { class_names: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets the columns of the table that the data were read from, and with them the names of features and classes: the
    /// model then reads tables like that one, by the names of the columns.
    #[must_use]
    pub fn columns(self, columns: Columns) -> Self {
        let (feature_names, class_names) = (columns.features(), columns.classes().to_vec());
        Self { columns: Some(columns), feature_names, class_names, ..self }
    }

    /// Predicts the targets in their own units, `outputs × n`, for inputs `features × n` in theirs; without a target
    /// scaler, the outputs of the network, which are logits for a classifier.
    ///
    /// # Errors
    /// As [`DecoupledNetwork::predict`], those of the steps, [`Error::Shape`] for inputs or a scaler of other features,
    /// and [`Error::NotFinite`] for a prediction that overflows.
    pub fn predict<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<DMatrix<T>> {
        let outputs = self.on_scaled(inputs.into(), |inputs| self.network.predict(inputs))?;
        let Some(scaler) = &self.target_scaler else { return Ok(outputs) };
        let predictions = scaler.invert(&outputs)?;
        check_finite("predictions in the units of the targets", predictions.matrix())?;
        Ok(predictions.matrix().view().into_owned())
    }

    /// Predicts the probability of each class or label for inputs `features × n` in their own units; see
    /// [`DecoupledNetwork::predict_proba`].
    ///
    /// # Errors
    /// As [`DecoupledNetwork::predict_proba`] and [`predict`](Self::predict).
    pub fn predict_proba<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<DMatrix<T>> {
        self.on_scaled(inputs.into(), |inputs| self.network.predict_proba(inputs))
    }

    /// Predicts the class of each example for inputs `features × n` in their own units; see
    /// [`DecoupledNetwork::predict_class`].
    ///
    /// # Errors
    /// As [`DecoupledNetwork::predict_class`] and [`predict`](Self::predict).
    pub fn predict_class<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<Vec<usize>> {
        self.on_scaled(inputs.into(), |inputs| self.network.predict_class(inputs))
    }

    /// Predicts the labels of each example for inputs `features × n` in their own units; see
    /// [`DecoupledNetwork::predict_labels`].
    ///
    /// # Errors
    /// As [`DecoupledNetwork::predict_labels`] and [`predict`](Self::predict).
    pub fn predict_labels<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<DMatrix<T>> {
        self.on_scaled(inputs.into(), |inputs| self.network.predict_labels(inputs))
    }

    /// Predicts the name of each example's class: [`predict_class`](Self::predict_class) in words.
    ///
    /// # Errors
    /// As [`predict_class`](Self::predict_class), [`Error::Empty`] without [class names](Self::class_names), and
    /// [`Error::Shape`] for another number of them.
    pub fn predict_name<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<Vec<&str>> {
        if self.class_names.is_empty() {
            return Err(Error::Empty { what: "the list of class names" });
        }
        self.check()?;
        let classes = self.predict_class(inputs)?;
        Ok(classes.into_iter().filter_map(|class| self.class_names.get(class)).map(String::as_str).collect())
    }

    /// Computes forward loss and score on data in their own units. The loss is in the units that the network was
    /// trained in, of scaled targets, as in the [report](crate::FitReport) of its fit; the score is that of
    /// [`DecoupledNetwork::evaluate`].
    ///
    /// # Errors
    /// As [`DecoupledNetwork::evaluate`] and [`transform`](Self::transform).
    pub fn evaluate(&self, data: &Dataset<T>) -> Result<Scores> {
        self.network.evaluate(&*self.apply(data)?)
    }

    /// Computes how good the model is on data in their own units, at most 1: the score of [`DecoupledNetwork::score`].
    /// Where targets are scaled it is the [R²](crate::metrics::r2) of [`predict`](Self::predict).
    ///
    /// # Errors
    /// As [`DecoupledNetwork::score`] and [`transform`](Self::transform).
    pub fn score(&self, data: &Dataset<T>) -> Result<f64> {
        let scaled = self.apply(data)?;
        if self.target_scaler.is_none() {
            return self.network.score(&scaled);
        }
        self.network.check_data(&scaled)?;
        self.network.check_score(&scaled)?;
        determination(data, &self.predict(data.inputs())?)
    }

    /// Maps data to the network's units: inputs through steps and scaler, targets through theirs. So everything that a
    /// network does can be done with data in their own units, as to go on training:
    /// `model.network.fit(&model.transform(&data)?, &config)`.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs or targets of other widths, [`Error::Unsupported`] for a target scaler where targets
    /// are classes, [`Error::NotFinite`] where a scaled number overflows, and those of the steps.
    pub fn transform(&self, data: &Dataset<T>) -> Result<Dataset<T>> {
        self.apply(data).map(Cow::into_owned)
    }

    /// [`transform`](Self::transform), without a copy where there is nothing to do.
    pub(crate) fn apply<'d>(&self, data: &'d Dataset<T>) -> Result<Cow<'d, Dataset<T>>> {
        let mut data = match self.scale(data.inputs())? {
            Some(inputs) => Cow::Owned(data.with_inputs(inputs)?),
            None => Cow::Borrowed(data),
        };
        if let Some(scaler) = &self.target_scaler {
            data = Cow::Owned(scaler.scale_targets(&data)?);
        }
        Ok(data)
    }

    fn on_scaled<R>(&self, inputs: MatRef<'_, T>, call: impl FnOnce(MatRef<'_, T>) -> Result<R>) -> Result<R> {
        let scaled = self.scale(inputs)?;
        call(scaled.as_ref().map_or(inputs, Examples::matrix))
    }

    /// The inputs as the network takes them; none where they are that already.
    fn scale(&self, inputs: MatRef<'_, T>) -> Result<Option<Examples<T>>> {
        let scaler = self.input_scaler.as_ref().map(|scaler| scaler as &dyn Transform<T>);
        let mut scaled: Option<Examples<T>> = None;
        for step in self.steps.0.iter().map(|step| &**step).chain(scaler) {
            scaled = Some(mapped(step, scaled.as_ref().map_or(inputs, Examples::matrix))?);
        }
        Ok(scaled)
    }

    /// Fails for scalers and names that do not fit the network.
    pub(crate) fn check(&self) -> Result<()> {
        let (inputs, outputs) = (self.network.input_dim(), self.network.output_dim());
        if let Some(scaler) = &self.input_scaler {
            check_shape("features of the input scaler (rows)", inputs, scaler.features())?;
        }
        if let Some(scaler) = &self.target_scaler {
            check_shape("features of the target scaler (rows)", outputs, scaler.features())?;
        }
        // Steps may take other features than the network.
        if self.steps.is_empty() {
            if !self.feature_names.is_empty() {
                check_shape("feature names", inputs, self.feature_names.len())?;
            }
            if let Some(columns) = &self.columns {
                check_shape("features that the columns become", inputs, columns.input_dim())?;
            }
        }
        if !self.class_names.is_empty() {
            // A single output tells two classes apart.
            check_shape("class names", outputs.max(2), self.class_names.len())?;
        }
        Ok(())
    }
}

/// Inputs behind a step, as many as before it.
fn mapped<T: Scalar>(step: &dyn Transform<T>, inputs: MatRef<'_, T>) -> Result<Examples<T>> {
    let mapped = step.transform(inputs)?;
    check_shape("examples (columns) that a step returns", inputs.cols(), mapped.matrix().cols())?;
    Ok(mapped)
}
