//! A fit: its settings, the checks before it, the loop over epochs, and the recovery after an error.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use crate::bank::order::{Share, natural_order, shuffled_order};
use crate::bank::{Bank, Column, Plan};
use crate::data::Augmentation;
use crate::diagnostics::{self, Decoupling};
use crate::machine::linalg;
use crate::machine::linalg::matrix::{check_diverged, check_shape};
use crate::method::Method;
use crate::method::coupling::Penalty;
use crate::method::parameter_step::{LayerState, Timing};
use crate::observer::{self, Audience};
use crate::train::augmented;
use crate::train::engine::{self, Engine};
use crate::train::finish;
use crate::train::missing;
use crate::train::tally::Tally;
use crate::train::warning::Baseline;
use crate::{
    Dataset, DecoupledNetwork, EpochReport, Error, Metric, Observer, Result, Scalar, StopReason, Warning, error,
};

#[cfg(feature = "serde")]
mod batch_size;
mod report;

pub use report::FitReport;

/// The settings of a fit; the same for [`fit`](DecoupledNetwork::fit) and
/// [`fit_backprop`](DecoupledNetwork::fit_backprop), which ignores the method.
///
/// Defaults: 10 epochs, batches of 128, seed 0, the network's own method, no validation data, accuracy for class labels and subset
/// accuracy for multi-label data.
///
/// Feature `serde` leaves out the validation data and the metric. Fields that JSON does not name have their defaults.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default, bound = "T: Scalar"))]
pub struct FitConfig<'a, T: Scalar> {
    method: Option<Method<T>>,
    epochs: usize,
    /// None for a full batch.
    #[cfg_attr(feature = "serde", serde(with = "batch_size"))]
    batch_size: Option<usize>,
    accumulate: usize,
    seed: u64,
    block: Option<usize>,
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) validation: Option<&'a Dataset<T>>,
    validation_fraction: Option<f64>,
    #[cfg_attr(feature = "serde", serde(skip))]
    metric: Option<Metric<T>>,
    /// Epochs between measurements, and examples of each.
    decoupling: Option<(usize, usize)>,
    augmentation: Option<Augmentation>,
}

impl<T: Scalar> Default for FitConfig<'_, T> {
    fn default() -> Self {
        Self {
            method: None,
            epochs: 10,
            batch_size: Some(128),
            accumulate: 1,
            seed: 0,
            block: None,
            validation: None,
            validation_fraction: None,
            metric: None,
            decoupling: None,
            augmentation: None,
        }
    }
}

impl<'a, T: Scalar> FitConfig<'a, T> {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the method to train with, instead of the network's own.
    pub fn method(mut self, method: Method<T>) -> Self {
        self.method = Some(method);
        self
    }

    /// Sets the number of epochs: passes over the data.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the examples in a batch; the last batch of an epoch takes the rest.
    pub fn batch_size(mut self, examples: usize) -> Self {
        self.batch_size = Some(examples);
        self
    }

    /// Puts all examples in one batch.
    pub fn full_batch(mut self) -> Self {
        self.batch_size = None;
        self
    }

    /// Takes one parameter step for every `batches` consecutive batches, along the mean gradient over all of their examples:
    /// gradient accumulation. It equals batches `batches` times as large, up to rounding, in the memory of one. 1 by default.
    ///
    /// If fewer are left at the end of an epoch, they take a step of their own, as they do when an [observer](Observer::step) ends the
    /// epoch.
    ///
    /// [`updates`](DecoupledNetwork::updates), and schedules with them, count parameter steps; observers' `step` follows every
    /// batch.
    ///
    /// It applies to backpropagation and to methods whose visits end in one step of the optimizer, such as
    /// [`red_black`](Method::red_black). Others are [`Error::Unsupported`]: several [steps in a visit](Method::parameter_steps), as the
    /// default takes, layers [in flight](Method::in_flight), which accumulate over micro-batches, [`Ridge`](crate::method::Ridge) and exact activation steps.
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.accumulate = batches;
        self
    }

    /// Seeds the order of the examples, which is reshuffled in every epoch, and the [noise](crate::layer::Noise) of layers.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Shuffles by blocks of `examples` consecutive examples (the last block takes the rest): an epoch shuffles the blocks, and then the
    /// examples within each. A batch never mixes blocks: the last batch of a block takes the rest of it, and a full batch is a block.
    ///
    /// Data sorted by class make bad blocks: shuffle such data once before the fit.
    ///
    /// By default all examples are one block, or the blocks are those of the [bank's file](crate::NetworkBuilder::bank_file).
    pub fn shuffle_blocks(mut self, examples: usize) -> Self {
        self.block = Some(examples);
        self
    }

    /// Sets the data to evaluate on after every epoch, by [weights](Dataset::with_weights) of their own.
    pub fn validation(mut self, data: &'a Dataset<T>) -> Self {
        self.validation = Some(data);
        self
    }

    /// Cuts this fraction off the data, 0 < fraction < 1, trains on the rest and evaluates on that part after every epoch. The part is
    /// drawn at random, by the [seed](Self::seed), and stratified for class labels. [`Error::Weight`] when all examples of a part have the
    /// [weight](Dataset::with_weights) 0.
    #[doc(alias = "validation_split")]
    pub fn validation_fraction(mut self, fraction: f64) -> Self {
        self.validation_fraction = Some(fraction);
        self
    }

    /// Returns the part to train on and the part to evaluate on, if `validation_fraction` is set.
    fn cut(&self, data: &Dataset<T>) -> Result<Option<(Dataset<T>, Dataset<T>)>> {
        let Some(fraction) = self.validation_fraction else { return Ok(None) };
        error::require(0.0 < fraction && fraction < 1.0, "validation_fraction", "above 0 and below 1", fraction)?;
        let why = "there are data to validate on: give one of the two";
        error::supported(self.validation.is_none(), "validation_fraction", why)?;
        let train = 1.0 - fraction;
        let by_class = data.labels().is_some();
        Ok(Some(if by_class { data.stratified_split(train, self.seed) } else { data.split(train, self.seed) }?))
    }

    /// Returns these settings with `validation` in place of the fraction.
    fn judged_on<'b>(&self, validation: &'b Dataset<T>) -> FitConfig<'b, T>
    where
        'a: 'b,
    {
        FitConfig { validation: Some(validation), validation_fraction: None, ..self.clone() }
    }

    /// Measures [`Decoupling`] after every `every` epochs, counted over the life of the network, on `examples` examples spaced evenly in
    /// the training data (all, if there are fewer). Expensive: some thousand evaluations of each of them, on 64 examples about as long
    /// as an epoch of 10,000. A fit by backpropagation ignores it, and [`FitReport::time`] leaves it out.
    pub fn measure_decoupling(mut self, every: usize, examples: usize) -> Self {
        self.decoupling = Some((every, examples));
        self
    }

    /// Trains on pictures that are changed at random, in every epoch anew, by [`fit`](DecoupledNetwork::fit) and by
    /// [`fit_backprop`](DecoupledNetwork::fit_backprop) alike. The changes follow from the [seed](Self::seed), the number of the epoch over
    /// the life of the network and the index of the example in the data that are trained on.
    ///
    /// The visits of an epoch see the changed pictures, and its training loss and score are theirs. All else takes pictures as they are in
    /// the data: validation and predictions, a [finish](Method::finish), the [start](DecoupledNetwork::start_isometric) of the hidden layers,
    /// estimates of the curvature, [measurements](Self::measure_decoupling), and warnings that evaluate the data.
    ///
    /// In [`fit`](DecoupledNetwork::fit) it applies to methods that keep nothing of an example from visit to visit, which would be that of
    /// another picture: they start at the forward pass ([`Start::Anchored`](crate::method::Start::Anchored)) and have no multipliers. Others, and
    /// [missing](crate::data::Examples::with_missing) inputs, which the bank keeps, are [`Error::Unsupported`]. A bank for changed pictures
    /// is not one for the same data unchanged: a fit without this, or with it after one without, begins another, and a bank in a file
    /// refuses it.
    ///
    /// Other errors: [`Error::Shape`] for inputs of another length than the pictures, [`Error::ShapeMismatch`] for a lowest layer that
    /// takes pictures of another shape, [`Error::HyperParameter`] for a shift that is not below height and width.
    ///
    /// ```
    /// use decoupled::data::{self, Augmentation};
    /// use decoupled::layer::Activation;
    /// use decoupled::loss::SoftmaxCrossEntropy;
    /// use decoupled::{DecoupledNetwork, FitConfig};
    ///
    /// let digits = data::digits::<f32>()?.take(200)?;
    /// let builder = DecoupledNetwork::builder([1, 8, 8]).conv2d(4, [3, 3], Activation::Relu).dense(10, Activation::Identity);
    /// let mut network = builder.output_loss(SoftmaxCrossEntropy::new()).build()?;
    /// network.fit(&digits, &FitConfig::new().epochs(2).augment(Augmentation::new([1, 8, 8]).shift(1)))?;
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    #[doc(alias = "data augmentation")]
    pub fn augment(mut self, augmentation: Augmentation) -> Self {
        self.augmentation = Some(augmentation);
        self
    }

    /// Sets the score of the report, instead of accuracy for class labels, subset accuracy for multi-label data and none for real
    /// targets. A metric that does not apply to the targets, such as [`Metric::accuracy`] to real numbers, is [`Error::Unsupported`].
    pub fn metric(mut self, metric: Metric<T>) -> Self {
        self.metric = Some(metric);
        self
    }

    /// Returns the examples in a batch of `data`.
    fn batch(&self, data: &Dataset<T>) -> usize {
        self.batch_size.unwrap_or(data.len()).min(data.len())
    }
}

impl<T: Scalar> DecoupledNetwork<T> {
    /// Trains by layer-local gradients over the activation bank.
    ///
    /// Default rates and penalties suit inputs, activations and targets of about unit size; scale others with
    /// [`Scaler`](crate::data::Scaler).
    ///
    /// The first fit replaces the parameters of hidden layers by [an isometry](Self::start_isometric) where a network was built from
    /// [`dense`](crate::NetworkBuilder::dense) alone, its parameters are as drawn, and either a batch shows that the error's norm changes
    /// by more than a factor of 1.8 on its way down, or the network has ten hidden layers or more (15 if all are of the ReLU family);
    /// [`FitReport::restart`] says so. A clone that trains by [`fit_backprop`](Self::fit_backprop) gets the same.
    ///
    /// Inputs that are [missing](crate::data::Examples::with_missing) are inferred in the bank. Exact activation steps, a finish,
    /// a measurement of the decoupling and [`Storage::Nothing`](crate::bank::Storage::Nothing) do not support them: [`Error::Unsupported`]. An input that is missing in every example, or in
    /// the validation data, is [`Error::NotFinite`].
    ///
    /// Continues from the last fit: parameters, optimizers and, for the same data, the bank. Learning rates start at the optimizers' own:
    /// the [factor](crate::EpochReport::learning_rate_factor) of an observer such as
    /// [`ReduceLrOnPlateau`](crate::observer::ReduceLrOnPlateau) ends with the fit that it watched. Other data get a new bank, and so
    /// does an activation optimizer with other state or, if it has state, other settings. A bank in a file is not replaced: it refuses
    /// them.
    ///
    /// # Errors
    /// Before anything changes: [`Error::HyperParameter`] for settings outside their domain and for penalties of a
    /// [`Ridge`](crate::method::Ridge) that are not finite in units of the mean [weight](Dataset::with_weights), [`Error::LossMismatch`],
    /// [`Error::Incapable`], [`Error::LayerIndex`] and [`Error::Unsupported`] for a method that this network, its
    /// [`Storage`](crate::bank::Storage) or missing inputs do not allow, [`Error::Shape`] and [`Error::Target`] for data that do not fit, [`Error::BankTooLarge`] and [`Error::OutOfMemory`];
    /// for a bank in a file [`Error::Io`], [`Error::NotAFile`], [`Error::Format`] and [`Error::BankInUse`].
    ///
    /// In training: [`Error::Panicked`], [`Error::Diverged`], [`Error::NotPositiveDefinite`] from steps in closed form, and
    /// [`Error::Io`], [`Error::Format`] or [`Error::OutOfMemory`] where the bank's file can no longer be read or written. The parameters are then
    /// those at the start of the epoch, the optimizers (after a divergence the bank as well) are reset, and the network can be used and
    /// trained on. A completed epoch stands even if its validation fails.
    pub fn fit(&mut self, data: &Dataset<T>, config: &FitConfig<'_, T>) -> Result<FitReport> {
        self.fit_observed(data, config, &mut [])
    }

    /// Trains as [`fit`](Self::fit), watched by [observers](crate::observer).
    ///
    /// # Errors
    /// As [`fit`](Self::fit), and those of the observers: of `start` before anything changes; of `step` as any error in training;
    /// of the others between epochs, after which completed epochs stand. [`Error::ObserverPanicked`] if one panics.
    pub fn fit_observed(
        &mut self,
        data: &Dataset<T>,
        config: &FitConfig<'_, T>,
        observers: &mut [&mut dyn Observer<T>],
    ) -> Result<FitReport> {
        if let Some((train, validation)) = config.cut(data)? {
            return self.fit_observed(&train, &config.judged_on(&validation), observers);
        }
        let mut method = config.method.clone().unwrap_or_else(|| self.method.clone());
        method.check(&self.objective())?;
        self.check_storage(&method)?;
        if method.coupling.finish {
            finish::check(self)?;
        }
        self.check_fit(data, config)?;
        // All checks come before the bank is opened: an error leaves the network as it was.
        self.check_accumulation(&method, config)?;
        method.parameter = method.parameter.in_units_of(data)?;
        if config.augmentation.is_some() {
            augmented::check_method(&method, data)?;
        }
        if data.missing() > 0 {
            data.known_means()?;
            missing::check(&method, self.storage, config.decoupling.is_some())?;
        }
        // Before the bank is opened as well: an observer may still refuse.
        let mut audience = Audience::start(self, self.plan(data, config), observers)?;
        self.open_bank(data, &method, config)?;
        self.train(Some(&method), data, config, &mut audience)
    }

    /// Trains by backpropagation: the same layers, loss, optimizers and batches, with the gradients of the chain rule. Called on a clone,
    /// it makes the twin to compare with. The first fit may start the hidden layers anew, as [`fit`](Self::fit) does. The bank does not
    /// change.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_backprop(&mut self, data: &Dataset<T>, config: &FitConfig<'_, T>) -> Result<FitReport> {
        self.fit_backprop_observed(data, config, &mut [])
    }

    /// Trains as [`fit_backprop`](Self::fit_backprop), watched by [observers](crate::observer).
    ///
    /// # Errors
    /// As [`fit_observed`](Self::fit_observed).
    pub fn fit_backprop_observed(
        &mut self,
        data: &Dataset<T>,
        config: &FitConfig<'_, T>,
        observers: &mut [&mut dyn Observer<T>],
    ) -> Result<FitReport> {
        if let Some((train, validation)) = config.cut(data)? {
            return self.fit_backprop_observed(&train, &config.judged_on(&validation), observers);
        }
        self.check_fit(data, config)?;
        data.check_known()?;
        let mut audience = Audience::start(self, self.plan(data, config), observers)?;
        self.train(None, data, config, &mut audience)
    }

    fn check_fit(&self, data: &Dataset<T>, config: &FitConfig<'_, T>) -> Result<()> {
        error::require(config.epochs > 0, "epochs", "at least 1", config.epochs as f64)?;
        if let Some(size) = config.batch_size {
            error::require(size > 0, "batch size", "at least 1", size as f64)?;
        }
        error::require(config.accumulate > 0, "batches to accumulate", "at least 1", config.accumulate as f64)?;
        if let Some(found) = config.block {
            error::require(found > 0, "examples in a block", "at least 1", found as f64)?;
            let what = "examples in a block (shuffle_blocks), as the bank's file has them";
            self.bank_file.as_ref().map_or(Ok(()), |&(_, expected)| check_shape(what, expected, found))?;
        }
        if let Some((every, examples)) = config.decoupling {
            error::require(every > 0, "epochs between measurements of the decoupling", "at least 1", every as f64)?;
            error::require(examples > 0, "examples to measure the decoupling on", "at least 1", examples as f64)?;
        }
        self.check_trainable(data)?;
        config.augmentation.map_or(Ok(()), |augmentation| augmented::check_network(self, augmentation, data))?;
        config.validation.map_or(Ok(()), |validation| self.check_data(validation))?;
        let Some(metric) = self.metric(data, config) else { return Ok(()) };
        [data].into_iter().chain(config.validation).try_for_each(|data| metric.check(data, self.decision.outputs))
    }

    /// Fails if gradients are to be accumulated and the method takes other steps.
    fn check_accumulation(&self, method: &Method<T>, config: &FitConfig<'_, T>) -> Result<()> {
        let exact = method.activation.streams();
        let ridge = |t: usize| !method.parameter.by_gradient(t);
        let layers = self.params.iter().zip(&self.training.layers).enumerate();
        let ridge = layers.filter(|(_, (params, own))| !params.is_empty() && !own.frozen).any(|(t, _)| ridge(t));
        // Only a visit with a single optimizer step has one gradient to sum over batches.
        let steps = method.parameter_steps(self.depth());
        let in_flight = matches!(method.parameter.timing, Timing::InFlight { .. });
        let single = !(exact || ridge || in_flight || steps > 1);
        let why = "it is for methods that take one parameter step of all layers in a visit, by their optimizers: take larger batches, \
                   or such a method, as Method::red_black()";
        error::supported(config.accumulate <= 1 || single, "accumulating gradients (accumulate)", why)
    }

    /// Returns the plan of a fit, for its observers; the settings have been checked.
    fn plan(&self, data: &Dataset<T>, config: &FitConfig<'_, T>) -> observer::Plan {
        let (examples, size) = (data.len(), config.batch(data));
        let block = self.block(config).map_or(examples, |block| block.min(examples));
        observer::Plan {
            first_epoch: self.training.epochs + 1,
            epochs: config.epochs,
            // No batch crosses a block: each block ends with a batch of its rest.
            steps: examples / block * block.div_ceil(size) + (examples % block).div_ceil(size),
            has_validation: config.validation.is_some(),
            has_score: self.metric(data, config).is_some(),
        }
    }

    /// Returns the metric of the report.
    fn metric(&self, data: &Dataset<T>, config: &FitConfig<'_, T>) -> Option<Metric<T>> {
        config.metric.clone().or_else(|| Metric::for_data(data, self.decision.outputs))
    }

    /// Keeps the bank if it is that of `data`, augmented or not; otherwise opens or makes one.
    fn open_bank(&mut self, data: &Dataset<T>, method: &Method<T>, config: &FitConfig<'_, T>) -> Result<()> {
        let layout = self.layout(method, if data.missing() > 0 { data.input_dim() } else { 0 });
        let (path, block) = self.bank_file.as_ref().map(|(path, block)| (path.as_path(), *block)).unzip();
        let block = block.unwrap_or(data.len());
        // Activations of changed pictures are none of the data's.
        let data_key = if config.augmentation.is_some() { !data.fingerprint() } else { data.fingerprint() };
        let plan = Plan { layout, examples: data.len(), data_key, block };
        self.bank.open(plan, path, self.bank_limit)
    }

    fn train(
        &mut self,
        method: Option<&Method<T>>,
        data: &Dataset<T>,
        config: &FitConfig<'_, T>,
        audience: &mut Audience<'_, '_, T>,
    ) -> Result<FitReport> {
        let metric = self.metric(data, config);
        let judge = metric.as_ref().map(|metric| metric.judge(self.decision));
        let steps = self.plan(data, config).steps;
        let batches = (config.batch(data), steps, config.accumulate);
        let mut engine = Engine::new(self, method, (data, config.augmentation, config.seed), judge, batches)?;
        let layers = self.params.iter().zip(&self.training.layers);
        let moves: Vec<bool> = layers.map(|(params, state)| !params.is_empty() && !state.frozen).collect();
        let learns = moves.contains(&true);
        let mut warnings = Vec::new();
        if learns {
            warnings.extend(Warning::of_data(data));
            warnings.extend(Warning::bounded_logits(self)?);
            warnings.extend(Warning::no_derivative(&self.layers, &moves, method)?);
        } else {
            let frozen = self.training.layers.iter().filter(|state| state.frozen).count();
            warnings.push(Warning::NothingToTrain { frozen });
        }
        let baseline = Baseline::new(&self.output_loss, data);
        for (t, (state, params)) in self.training.layers.iter_mut().zip(&self.params).enumerate() {
            if method.is_none_or(|method| method.parameter.by_gradient(t)) {
                // All state is allocated before the first epoch: a lack of memory fails while nothing has moved.
                state.make_room(params.len())?;
            }
        }
        // Kept until an epoch stands: an error before that leaves the parameters as they were drawn.
        let mut drawn = self.training.drawn.map(|_| self.params.clone());
        let restart = self.restart(data)?;
        let mut report = FitReport { epochs: Vec::new(), stop: StopReason::Epochs, restart, refit: None, warnings };
        let pool = Arc::clone(&self.pool);
        let widths: Vec<usize> = self.hidden_widths().collect();
        // A resumed fit continues its checkpoint's: the best epoch is over both.
        if !std::mem::take(&mut self.training.resumed) {
            self.training.best_epoch = None;
        }
        self.training.penalty_factor.begin(method.map_or(Penalty::Constant, |method| method.coupling.penalty));
        for _ in 0..config.epochs {
            // An epoch at a time, so that networks with the same threads take turns.
            let epoch = pool.install(|| self.epoch(&mut engine, method, data, config, audience));
            if let (Err(_), Some(drawn)) = (&epoch, &mut drawn) {
                self.params = std::mem::take(drawn);
            }
            let mut epoch = epoch?;
            (self.training.drawn, drawn) = (None, None);
            let measure = |method| self.measure_decoupling(method, data, config);
            epoch.decoupling = method.map_or(Ok(None), measure)?;
            // Outside the epoch's timing.
            epoch.validation = config.validation.map(|v| self.evaluate_with(v, metric.as_ref())).transpose()?;
            report.epochs.push(epoch);
            if let (Some(method), Some(epoch)) = (method, report.last()) {
                self.training.penalty_factor.update(method.coupling.penalty, &epoch.residuals, epoch.train_loss);
            }
            if learns {
                let constant_loss = || baseline.constant_loss();
                Warning::of_history(method, (&moves, &widths), &report.epochs, &constant_loss, &mut report.warnings);
            }
            if let Some(stop) = audience.epoch(self, &report.epochs)? {
                report.stop = stop;
                break;
            }
        }
        // Before the finish: it refits what an observer restores here, such as the best parameters.
        audience.end(self, report.stop)?;
        if method.is_some_and(|method| method.coupling.finish) {
            // The finish reads every example once: no reason to shuffle.
            let blocks = natural_order(data.len(), self.block(config));
            let refit = pool.install(|| finish::finish(self, data, &blocks));
            report.refit = Some(refit.map_err(|error| self.forget(error, method, self.training.epochs))?);
        }
        // After the finish, which may lower the loss.
        if learns {
            report.warnings.extend(Warning::learned_nothing(self, &report.epochs, &baseline));
        }
        Ok(report)
    }

    fn epoch(
        &mut self,
        engine: &mut Engine<'_, T>,
        method: Option<&Method<T>>,
        data: &Dataset<T>,
        config: &FitConfig<'_, T>,
        audience: &mut Audience<'_, '_, T>,
    ) -> Result<EpochReport> {
        let begin = Instant::now();
        let epoch = self.training.epochs + 1;
        let learning_rate_factor = audience.learning_rate_factor(epoch)?;
        // Set in every epoch: a factor ends with the fit whose observer asked for it.
        self.training.layers.iter_mut().for_each(|state| state.rate = T::of(learning_rate_factor));
        let penalty_factor = self.training.penalty_factor.value;
        engine.begin_epoch(epoch, penalty_factor, learning_rate_factor);
        // For recovery after an error, and for the norms of the update.
        let before = self.params.clone();
        // From seed and epoch alone: a resumed fit sees the order of an uninterrupted one.
        let order = shuffled_order(data.len(), self.block(config), config.seed, epoch);

        // Taken out for the epoch: its columns are borrowed while visits borrow the network.
        let mut bank = if method.is_some() { std::mem::take(&mut self.bank) } else { Bank::Nowhere };
        let mut tally = Tally::default();
        let size = config.batch(data);
        let visited =
            bank.visit(&order, |share, columns| self.visit_share(engine, share, size, columns, &mut tally, audience));
        if method.is_some() {
            self.bank = bank;
        }
        // The loss is checked last: a step of the waiting batches can still diverge, and belongs to this epoch.
        let outcome = visited.and_then(|()| engine.end_epoch(self));
        let top = self.depth() - 1;
        let outcome = outcome.and_then(|()| check_diverged(&[tally.energy, tally.forward_loss], top, "the loss"));
        outcome.map_err(|error| self.recover(error, method, before.clone(), epoch))?;

        self.training.epochs = epoch;
        let (n, forward_examples) = (tally.examples as f64, tally.forward_examples as f64);
        let norm =
            |(now, before): (&Vec<T>, &Vec<T>)| linalg::sum_zip(now, before, |a, b| (a - b) * (a - b)).to_f64().sqrt();
        Ok(EpochReport {
            epoch,
            energy: tally.energy / n,
            // Not every visit runs a forward pass, so this mean is over fewer examples than the energy's.
            train_loss: tally.forward_loss / forward_examples,
            train_score: engine.scores().then_some(tally.score / forward_examples),
            validation: None,
            energies: tally.energies.iter().map(|energy| energy / n).collect(),
            // All z_t may be zero, as after dead units: no division by it.
            residuals: tally.residuals.iter().map(|(r, z)| (r / z.max(f64::MIN_POSITIVE)).sqrt()).collect(),
            dead_units: tally.dead_units(self.hidden_widths()),
            staleness: tally.staleness(),
            curvature: engine.curvature(),
            stability_margin: engine.stability_margin(),
            penalty_factor,
            learning_rate_factor,
            update_norms: self.params.iter().zip(&before).map(norm).collect(),
            decoupling: None,
            time: begin.elapsed(),
        })
    }

    fn visit_share(
        &mut self,
        engine: &mut Engine<'_, T>,
        share: &Share,
        size: usize,
        columns: &mut [Column<'_, T>],
        tally: &mut Tally,
        audience: &mut Audience<'_, '_, T>,
    ) -> Result<ControlFlow<()>> {
        let mut share = engine::Share { examples: &share.examples, columns };
        let examples = share.examples.len();
        let batches = (0..examples).step_by(size).map(|from| from..examples.min(from + size));
        // Last, what is in flight.
        for batch in batches.map(Some).chain([None]) {
            for _ in 0..engine.visit(self, &mut share, batch, tally)? {
                if audience.step(self, tally)?.is_break() {
                    // Examples in flight have been seen: their layers still learn from them.
                    engine.visit(self, &mut share, None, tally)?;
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Measures the decoupling, if it is due after this epoch.
    fn measure_decoupling(
        &self,
        method: &Method<T>,
        data: &Dataset<T>,
        config: &FitConfig<'_, T>,
    ) -> Result<Option<Decoupling>> {
        let Some((_, examples)) = config.decoupling.filter(|(every, _)| self.training.epochs.is_multiple_of(*every))
        else {
            return Ok(None);
        };
        diagnostics::measure(self, &data.evenly(examples)?, method, self.training.penalty_factor.value).map(Some)
    }

    /// Returns the examples in a block of an epoch's order.
    fn block(&self, config: &FitConfig<'_, T>) -> Option<usize> {
        config.block.or(self.bank_file.as_ref().map(|&(_, examples)| examples))
    }

    /// Leaves the network usable after an error: restores the parameters at the start of the epoch, resets the optimizers and, after a
    /// divergence, the bank.
    fn recover(&mut self, error: Error, method: Option<&Method<T>>, before: Vec<Vec<T>>, epoch: usize) -> Error {
        self.params = before;
        // Their state has seen the gradients that failed.
        self.training.layers.iter_mut().for_each(LayerState::reset);
        // The failed update counts: columns may have been stored for it.
        self.training.updates += 1;
        self.forget(error, method, epoch)
    }

    /// Discards the bank after a divergence, and sets the error's epoch.
    fn forget(&mut self, error: Error, method: Option<&Method<T>>, epoch: usize) -> Error {
        match error {
            Error::Diverged { layer, quantity, .. } => {
                if method.is_some() {
                    self.bank.forget();
                }
                Error::Diverged { layer, epoch, quantity }
            }
            other => other,
        }
    }
}
