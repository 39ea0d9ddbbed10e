//! A network to be trained, with the scalers and other steps that are fitted before it on the same data.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::data::{Scaling, Transform};
use crate::{Dataset, DecoupledNetwork, FitConfig, FitReport, Model, Observer, Result, Scalar};

/// A network that is yet to be trained, with everything that is fitted on the same data: scalers, other steps, and
/// observers such as early stopping. Each [`fit`](Self::fit) starts from here and gives a [`Model`], so that one
/// pipeline is trained on any number of parts of the data, and nothing of one part reaches another.
///
/// ```text
/// raw data  →  steps, in their order  →  input scaler, target scaler  →  network
/// ```
///
/// Scalers take every example once, whatever its [weight](Dataset::with_weights). Every step is fitted on the training
/// data behind the steps before it, and on nothing else. A part that [`FitConfig::validation_fraction`] cuts off is cut
/// off behind them: it is part of the training data. The other validation data of [`FitConfig::validation`] are in raw
/// units, and are mapped by the steps as they were fitted.
///
/// [`Search`](crate::search::Search) trains pipelines. By hand:
///
/// ```
/// use decoupled::data::{self, Scaling};
/// use decoupled::layer::Activation;
/// use decoupled::observer::EarlyStopping;
/// use decoupled::{DecoupledNetwork, FitConfig, Pipeline};
///
/// let moons = data::two_moons::<f32>(60, 0.1, 0)?;
/// let network = DecoupledNetwork::builder(2).dense(8, Activation::Tanh).dense(2, Activation::Identity).build()?;
/// let config = FitConfig::new().epochs(30).batch_size(10).validation_fraction(0.2);
/// let pipeline = Pipeline::new(network, config)
///     .scale_inputs(Scaling::Standard)
///     .observer(EarlyStopping::new().patience(5).restore_best_weights());
///
/// for (train, held_out) in moons.k_folds(3, 0)? {
///     let (model, report) = pipeline.fit(&train)?;
///     println!("{} epochs, score {:.3}", report.epochs.len(), model.score(&held_out)?);
/// }
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone)]
pub struct Pipeline<'c, T: Scalar> {
    pub(crate) network: DecoupledNetwork<T>,
    config: FitConfig<'c, T>,
    steps: Vec<Arc<dyn FitStep<T> + 'c>>,
    inputs: Option<Scaling>,
    targets: Option<Scaling>,
    observers: Vec<Arc<dyn Copied<T>>>,
    backprop: bool,
}

/// Fits a step on data.
trait FitStep<T: Scalar>: Send + Sync {
    fn fit(&self, data: &Dataset<T>) -> Result<Arc<dyn Transform<T>>>;
}

impl<T: Scalar, S: Transform<T> + 'static, F: Fn(&Dataset<T>) -> Result<S> + Send + Sync> FitStep<T> for F {
    fn fit(&self, data: &Dataset<T>) -> Result<Arc<dyn Transform<T>>> {
        Ok(Arc::new(self(data)?))
    }
}

/// An observer of which every fit gets a copy.
trait Copied<T: Scalar>: Send + Sync {
    fn copy(&self) -> Box<dyn Observer<T>>;
}

impl<T: Scalar, O: Observer<T> + Clone + Sync + 'static> Copied<T> for O {
    fn copy(&self) -> Box<dyn Observer<T>> {
        Box::new(self.clone())
    }
}

impl<T: Scalar> fmt::Debug for Pipeline<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("network", &self.network)
            .field("config", &self.config)
            .field("steps", &self.steps.len())
            .field("inputs", &self.inputs)
            .field("targets", &self.targets)
            .field("observers", &self.observers.len())
            .field("backprop", &self.backprop)
            .finish()
    }
}

impl<'c, T: Scalar> From<(DecoupledNetwork<T>, FitConfig<'c, T>)> for Pipeline<'c, T> {
    fn from((network, config): (DecoupledNetwork<T>, FitConfig<'c, T>)) -> Self {
        Self::new(network, config)
    }
}

impl<'c, T: Scalar> Pipeline<'c, T> {
    /// Creates a pipeline of the network alone, with how it is trained.
    pub fn new(network: DecoupledNetwork<T>, config: FitConfig<'c, T>) -> Self {
        let (steps, observers) = (Vec::new(), Vec::new());
        Self { network, config, steps, inputs: None, targets: None, observers, backprop: false }
    }

    /// Adds a step: `fit` takes the training data behind the steps before it and returns the map of inputs from then
    /// on.
    ///
    /// ```
    /// use decoupled::data::{Examples, two_moons};
    /// use decoupled::{Dataset, DecoupledNetwork, FitConfig, MatRef, Pipeline, layer::Activation};
    ///
    /// // Cuts off what lies beyond the largest value that training had of each feature.
    /// let clip = |train: &Dataset<f32>| {
    ///     let most: Vec<f32> = (0..train.input_dim())
    ///         .map(|row| train.inputs().columns().map(|example| example[row]).fold(f32::MIN, f32::max))
    ///         .collect();
    ///     Ok(move |inputs: MatRef<'_, f32>| {
    ///         let clip = |example: &[f32]| example.iter().zip(&most).map(|(x, most)| x.min(*most)).collect::<Vec<_>>();
    ///         Examples::from_rows(&inputs.columns().map(clip).collect::<Vec<_>>())
    ///     })
    /// };
    /// let network = DecoupledNetwork::builder(2).dense(2, Activation::Identity).build()?;
    /// let pipeline = Pipeline::new(network, FitConfig::new().epochs(1)).step(clip);
    /// let (model, _) = pipeline.fit(&two_moons(30, 0.1, 0)?)?;
    /// assert_eq!(model.predict(&[10.0, 10.0][..])?, model.predict(&[1e6, 1e6][..])?);
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    #[must_use]
    pub fn step<S: Transform<T> + 'static>(
        mut self,
        fit: impl Fn(&Dataset<T>) -> Result<S> + Send + Sync + 'c,
    ) -> Self {
        self.steps.push(Arc::new(fit));
        self
    }

    /// Scales inputs, after all other steps.
    #[must_use]
    pub fn scale_inputs(self, scaling: Scaling) -> Self {
        Self { inputs: Some(scaling), ..self }
    }

    /// Scales targets that are numbers; predictions of the model are in their units.
    #[must_use]
    #[doc(alias = "TransformedTargetRegressor")]
    pub fn scale_targets(self, scaling: Scaling) -> Self {
        Self { targets: Some(scaling), ..self }
    }

    /// Adds an observer: every fit is watched by a copy of it.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer<T> + Clone + Sync + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Trains by [`fit_backprop`](DecoupledNetwork::fit_backprop).
    #[must_use]
    pub fn backprop(self) -> Self {
        Self { backprop: true, ..self }
    }

    /// Fits the steps on data in raw units, one after the other, and trains a copy of the network on the result.
    ///
    /// # Errors
    /// As [`DecoupledNetwork::fit_observed`], [`Scaler::standard`](crate::data::Scaler::standard) and
    /// [`Model::transform`]; and those of the steps.
    pub fn fit(&self, data: &Dataset<T>) -> Result<(Model<T>, FitReport)> {
        self.fit_observed(data, &mut [])
    }

    /// [`fit`](Self::fit), watched by observers beside those of the pipeline: a history, say, which cannot be copied.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`Error::ObserverPanicked`](crate::Error::ObserverPanicked) counts the observers of the
    /// pipeline first.
    pub fn fit_observed(
        &self,
        data: &Dataset<T>,
        observers: &mut [&mut dyn Observer<T>],
    ) -> Result<(Model<T>, FitReport)> {
        let mut model = Model::new(self.network.clone());
        let mut train = Cow::Borrowed(data);
        for step in &self.steps {
            train = Cow::Owned(model.steps.push(step.fit(&train)?, &train)?);
        }
        if let Some(scaling) = self.inputs {
            let scaler = scaling.fit(train.inputs())?;
            train = Cow::Owned(scaler.scale_inputs(&train)?);
            model.input_scaler = Some(scaler);
        }
        if let Some(scaling) = self.targets {
            let scaler = scaling.fit(train.targets())?;
            train = Cow::Owned(scaler.scale_targets(&train)?);
            model.target_scaler = Some(scaler);
        }

        let validation = self.config.validation.map(|data| model.apply(data)).transpose()?;
        let mut config = self.config.clone();
        if let Some(validation) = &validation {
            config = config.validation(validation);
        }
        let mut copies: Vec<_> = self.observers.iter().map(|observer| observer.copy()).collect();
        let mut all: Vec<&mut dyn Observer<T>> = copies.iter_mut().map(|own| &mut **own as _).collect();
        all.extend(observers.iter_mut().map(|given| &mut **given as _));
        let report = match self.backprop {
            true => model.network.fit_backprop_observed(&train, &config, &mut all),
            false => model.network.fit_observed(&train, &config, &mut all),
        }?;
        Ok((model, report))
    }
}
