//! The network: layers, their parameters, and the bank.

use std::path::PathBuf;
use std::sync::Arc;

use nalgebra::DMatrix;

use crate::bank::{ActivationBank, Bank, BankFile, Layout, Storage};
use crate::error::supported;
use crate::layer::Shape;
use crate::machine::linalg::matrix::{check_finite, check_shape};
use crate::machine::parallel::{Pool, guarded};
use crate::method::Method;
use crate::method::circuit::Circuit;
use crate::method::coupling::PenaltyFactor;
use crate::method::energy::{Hidden, OUTPUT_LOSS, Objective};
use crate::method::parameter_step::LayerState;
use crate::method::start::Start;
use crate::metrics::Decision;
use crate::{Dataset, Error, Layer, Loss, MatRef, Metric, Optimizer, Result, Scalar};

mod builder;
pub(crate) mod infer;
#[expect(clippy::indexing_slicing, reason = "one of everything for each layer, and the axes of one matrix")]
pub(crate) mod initialise;
#[expect(clippy::indexing_slicing, reason = "one of everything for each layer")]
pub(crate) mod isometry;
mod prediction;
pub(crate) mod summary;

pub use builder::NetworkBuilder;
pub use infer::{Evidence, InferConfig, Inference};
pub use isometry::Restart;
pub(crate) use prediction::determination;
pub use summary::{LayerSummary, Summary};

/// A feed-forward network that is trained by layer-local objectives: layers, their parameters, and one stored
/// activation for every hidden layer of every training example.
///
/// Built by [`builder`](Self::builder), trained by [`fit`](Self::fit) or, for comparison, by
/// [`fit_backprop`](Self::fit_backprop). A clone is independent: train one copy each way and you have twins. A bank in a file
/// stays with the network that opened it: a clone has none, and cannot open that file while the network is there.
#[derive(Clone, Debug)]
pub struct DecoupledNetwork<T: Scalar> {
    pub(crate) layers: Vec<Arc<dyn Layer<T>>>,
    pub(crate) params: Vec<Vec<T>>,
    pub(crate) output_loss: Arc<dyn Loss<T>>,
    /// How outputs are read: as classes, labels or numbers.
    pub(crate) decision: Decision,
    pub(crate) hidden: Vec<Hidden<T>>,
    pub(crate) method: Method<T>,
    pub(crate) bank: Bank<T>,
    pub(crate) bank_limit: usize,
    pub(crate) storage: Storage,
    /// The path of a bank in a file, and the examples in a block of it; none for a bank in memory.
    pub(crate) bank_file: Option<(PathBuf, usize)>,
    pub(crate) training: Training<T>,
    pub(crate) pool: Arc<Pool>,
}

/// The state of a network's training, which continues from one fit to the next and in checkpoints.
#[derive(Clone, Debug)]
pub(crate) struct Training<T> {
    pub(crate) layers: Vec<LayerState<T>>,
    /// Parameter updates taken so far.
    pub(crate) updates: u64,
    /// Epochs trained so far.
    pub(crate) epochs: usize,
    /// The epoch of the lowest loss in the last fit, with those that it resumed, and that loss.
    pub(crate) best_epoch: Option<(usize, f64)>,
    /// Whether the next fit continues from a checkpoint.
    pub(crate) resumed: bool,
    pub(crate) penalty_factor: PenaltyFactor,
    /// The seed of the parameters, while they are as drawn, by initialisers that nobody named: then the first fit may draw them anew.
    pub(crate) drawn: Option<u64>,
}

impl<T> Training<T> {
    /// Starts from layers that have not been trained.
    pub(crate) fn new(layers: Vec<LayerState<T>>) -> Self {
        let penalty_factor = PenaltyFactor::new();
        Self { layers, updates: 0, epochs: 0, best_epoch: None, resumed: false, penalty_factor, drawn: None }
    }
}

/// The result of [`DecoupledNetwork::evaluate`] on a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// The forward loss, mean over the examples by their [weights](Dataset::with_weights).
    pub loss: f64,
    /// The metric, mean over the examples by their weights: accuracy as a fraction of one for class labels, subset accuracy for
    /// multi-label data, else the requested metric.
    pub score: Option<f64>,
}

/// As errors name a bank without numbers.
const NOTHING: &str = "a bank that keeps nothing (Storage::Nothing)";

/// Columns that one task predicts at a time.
pub(crate) const CHUNK: usize = 256;

impl<T: Scalar> DecoupledNetwork<T> {
    /// Starts a network for vectors of `input` features, or for pictures of `[channels, height, width]`.
    ///
    /// ```
    /// use decoupled::DecoupledNetwork;
    ///
    /// let flat = DecoupledNetwork::<f32>::builder(784);
    /// let pictures = DecoupledNetwork::<f32>::builder([1, 28, 28]);
    /// ```
    pub fn builder(input: impl Into<Shape>) -> NetworkBuilder<T> {
        NetworkBuilder::new(input.into())
    }

    /// Returns d_0, the rows of the input.
    pub fn input_dim(&self) -> usize {
        self.layers.first().map_or(0, |l| l.input_dim())
    }

    /// Returns d_T, the rows of the output.
    pub fn output_dim(&self) -> usize {
        self.layers.last().map_or(0, |l| l.output_dim())
    }

    /// Returns the number of layers T: units of the circuit, with a stored activation between each two.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Returns the number of parameters of all layers.
    pub fn param_count(&self) -> usize {
        self.params.iter().map(Vec::len).sum()
    }

    /// Returns θ_t, in the layer's own order.
    ///
    /// # Panics
    /// When t ≥ T.
    #[expect(clippy::indexing_slicing, reason = "panics as documented")]
    pub fn params(&self, t: usize) -> &[T] {
        &self.params[t]
    }

    /// Replaces θ_t.
    ///
    /// # Errors
    /// [`Error::LayerIndex`], [`Error::InLayer`] for another number of parameters, [`Error::ParameterNotFinite`]. Nothing has changed
    /// in that case.
    pub fn set_params(&mut self, t: usize, params: &[T]) -> Result<()> {
        let count = self.depth();
        let own = self.params.get_mut(t).ok_or(Error::LayerIndex { what: "set_params", first: 0, count, found: t })?;
        check_shape("parameters", own.len(), params.len()).map_err(|error| error.in_layer(t))?;
        if let Some((index, value)) = params.iter().enumerate().find(|(_, p)| !p.is_finite()) {
            return Err(Error::ParameterNotFinite { layer: t, index, value: value.to_f64() });
        }
        own.copy_from_slice(params);
        self.training.drawn = None;
        Ok(())
    }

    /// Replaces the parameters of all layers, of the same number in every layer, by chosen ones.
    pub(crate) fn start_with(&mut self, params: Vec<Vec<T>>) {
        self.params = params;
        self.training.drawn = None;
    }

    /// Freezes layer t, t = 0 .. T: no fit and no [refit](Self::refit_output) moves its parameters, whatever the method, and its
    /// optimizer and regression keep their memory. Signals still pass through it, to activations below and above.
    /// [Checkpoints](Self::save_checkpoint) store it.
    ///
    /// A method that ends with a [finish](crate::Method::finish) refits the last layer, and is refused if that is frozen, as are
    /// [`start_isometric`](Self::start_isometric) and [`start_from_unit_variance`](Self::start_from_unit_variance) of a network with
    /// frozen layers. [`set_params`](Self::set_params), [`load_params`](Self::load_params) and [`resume`](Self::resume) set
    /// parameters of frozen layers, too.
    ///
    /// # Errors
    /// [`Error::LayerIndex`].
    #[doc(alias = "trainable")]
    #[doc(alias = "requires_grad")]
    pub fn freeze(&mut self, t: usize) -> Result<()> {
        self.state_mut("freeze", t)?.frozen = true;
        Ok(())
    }

    /// Lets the parameters of layer t, t = 0 .. T, move again. Its optimizer keeps its state, and its schedule continues: it counts
    /// the steps that the layer has taken.
    ///
    /// # Errors
    /// [`Error::LayerIndex`].
    pub fn unfreeze(&mut self, t: usize) -> Result<()> {
        self.state_mut("unfreeze", t)?.frozen = false;
        Ok(())
    }

    /// Returns whether layer t is [frozen](Self::freeze).
    ///
    /// # Panics
    /// When t ≥ T.
    #[expect(clippy::indexing_slicing, reason = "panics as documented")]
    pub fn is_frozen(&self, t: usize) -> bool {
        self.training.layers[t].frozen
    }

    /// Replaces the rule that moves the parameters of every layer, also those that had a
    /// [rule of their own](NetworkBuilder::layer_optimizer): between fits, or after a [`resume`](Self::resume).
    ///
    /// A layer keeps its state (momenta, and the number of its steps) if the new rule is the old one up to numbers: another
    /// learning rate, β, decay, or length of a schedule. Two rules are compared by their `{:?}` texts, in which everything but numbers
    /// must agree, and by [`slots`](Optimizer::slots) and [`is_elementwise`](Optimizer::is_elementwise). Any other rule starts
    /// from its first step.
    ///
    /// ```
    /// use decoupled::{DecoupledNetwork, layer::Activation, optimizer::Adam};
    ///
    /// let builder = DecoupledNetwork::<f32>::builder(2).dense(1, Activation::Identity);
    /// let mut network = builder.optimizer(Adam::new(1e-3)).build()?;
    /// // After a fit:
    /// network.set_optimizer(Adam::new(1e-4))?;
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`NetworkBuilder::build`] for the optimizer; nothing has changed then.
    pub fn set_optimizer(&mut self, optimizer: impl Optimizer<T> + 'static) -> Result<()> {
        let optimizer: Arc<dyn Optimizer<T>> = Arc::new(optimizer);
        guarded("validate of the optimizer", None, || optimizer.validate())??;
        let layers = self.training.layers.iter().zip(&self.params).enumerate();
        let replace = |(t, (state, params)): (usize, (&LayerState<T>, &Vec<T>))| {
            state.with_optimizer(Arc::clone(&optimizer), t, params.len())
        };
        // All are made before the first is replaced: an error changes nothing.
        self.training.layers = layers.map(replace).collect::<Result<_>>()?;
        Ok(())
    }

    /// Replaces the rule that moves θ_t, t = 0 .. T, as [`set_optimizer`](Self::set_optimizer) does for all layers.
    ///
    /// # Errors
    /// [`Error::LayerIndex`], and as [`NetworkBuilder::build`] for the optimizer; nothing has changed then.
    pub fn set_layer_optimizer(&mut self, t: usize, optimizer: impl Optimizer<T> + 'static) -> Result<()> {
        let params = self.params.get(t).map_or(0, Vec::len);
        let own = self.state_mut("set_layer_optimizer", t)?;
        // Checked before the layer's own is replaced: an error changes nothing.
        guarded("validate of the optimizer", t, || optimizer.validate())?.map_err(|error| error.in_layer(t))?;
        *own = own.with_optimizer(Arc::new(optimizer), t, params)?;
        Ok(())
    }

    fn state_mut(&mut self, what: &'static str, t: usize) -> Result<&mut LayerState<T>> {
        let count = self.depth();
        self.training.layers.get_mut(t).ok_or(Error::LayerIndex { what, first: 0, count, found: t })
    }

    /// Fails if a layer is frozen, for `what`, which sets the parameters of all.
    pub(crate) fn check_unfrozen(&self, what: &'static str) -> Result<()> {
        let why = "a layer is frozen, and it sets the parameters of all: unfreeze it";
        supported(!self.training.layers.iter().any(|state| state.frozen), what, why)
    }

    /// Returns the stored activations; none before the first [`fit`](Self::fit), and none if they are in a
    /// [file](Self::bank_file). With [`Storage::Nothing`] it has no layers, and the counts alone.
    pub fn bank(&self) -> Option<&ActivationBank<T>> {
        self.bank.memory()
    }

    /// Returns the file with the stored activations; none before the first [`fit`](Self::fit), and none unless the network was built
    /// with one.
    pub fn bank_file(&self) -> Option<&BankFile<T>> {
        self.bank.file()
    }

    /// Returns the parameter updates taken so far, by [`fit`](Self::fit) and [`fit_backprop`](Self::fit_backprop), those of failed
    /// epochs included. The age of a column of the bank is this less its [`visited_at`](ActivationBank::visited_at).
    pub fn updates(&self) -> u64 {
        self.training.updates
    }

    /// Returns the epochs trained so far, by [`fit`](Self::fit) and [`fit_backprop`](Self::fit_backprop).
    pub fn epochs(&self) -> usize {
        self.training.epochs
    }

    /// Returns the objective at the present parameters, to compute energies and gradients of your own examples.
    pub fn objective(&self) -> Objective<'_, T> {
        Objective { circuit: self.circuit(), output_loss: &*self.output_loss, hidden: &self.hidden, factor: T::one() }
    }

    /// Returns the layers with their parameters.
    pub(crate) fn circuit(&self) -> Circuit<'_, T> {
        Circuit::new(&self.layers, &self.params)
    }

    /// Computes the ordinary forward pass: outputs `d_T × n` for inputs `d_0 × n` (a [`MatRef`], a `&DMatrix`,
    /// [`&Examples`](crate::data::Examples), or a slice for one example), columns are examples. For a classifier they are
    /// logits: see [`predict_proba`](Self::predict_proba) and [`predict_class`](Self::predict_class).
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::NotFinite`] for inputs that do not fit, [`Error::NotFinite`] for an output that is NaN or infinite,
    /// [`Error::Panicked`] when a layer panics.
    pub fn predict<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<DMatrix<T>> {
        let inputs = inputs.into();
        check_shape("rows of the inputs (features)", self.input_dim(), inputs.rows())?;
        check_finite("inputs", inputs)?;
        let mut outputs = DMatrix::zeros(self.output_dim(), inputs.cols());
        let (below, above) = (self.input_dim() * CHUNK, self.output_dim() * CHUNK);
        // Chunks of a fixed width: outputs have the same bits on any number of threads.
        let chunks = inputs.as_slice().chunks(below).zip(outputs.as_mut_slice().chunks_mut(above));
        let mut chunks: Vec<_> = chunks.collect();
        self.pool.for_each(&mut chunks, |(x, y)| self.forward(x, y))?;
        check_finite("outputs", (&outputs).into())?;
        Ok(outputs)
    }

    /// Computes the forward activations a_t, `d_t × n`, of the hidden layers t = 1 .. T for inputs `d_0 × n`, and last the outputs.
    ///
    /// # Errors
    /// As [`predict`](Self::predict); a number that is not finite is [`Error::InLayer`] of the lowest layer that outputs one.
    pub fn activations<'x>(&self, inputs: impl Into<MatRef<'x, T>>) -> Result<Vec<DMatrix<T>>> {
        let inputs = inputs.into();
        check_shape("rows of the inputs (features)", self.input_dim(), inputs.rows())?;
        check_finite("inputs", inputs)?;
        let mut activations: Vec<DMatrix<T>> = Vec::with_capacity(self.depth());
        for (t, layer) in self.layers.iter().enumerate() {
            let mut outputs = DMatrix::zeros(layer.output_dim(), inputs.cols());
            let below = activations.last().map_or(inputs, MatRef::from);
            let chunks = below.as_slice().chunks(layer.input_dim() * CHUNK);
            let mut chunks: Vec<_> =
                chunks.zip(outputs.as_mut_slice().chunks_mut(layer.output_dim() * CHUNK)).collect();
            self.pool.for_each(&mut chunks, |(x, y)| {
                let input = MatRef::new(x, layer.input_dim(), x.len() / layer.input_dim());
                self.circuit().forward(t, input, y, &mut Vec::new())
            })?;
            check_finite("outputs", (&outputs).into()).map_err(|error| error.in_layer(t))?;
            activations.push(outputs);
        }
        Ok(activations)
    }

    /// Computes forward loss and score on a data set. The score is the [accuracy](Metric::accuracy) for class labels, the
    /// [subset accuracy](Metric::subset_accuracy) for multi-label data, and none for real-valued targets; see
    /// [`evaluate_with`](Self::evaluate_with) for others.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), [`Error::Shape`] or [`Error::Target`] for targets that do not fit, and [`Error::NotFinite`] for
    /// an example whose loss is not finite.
    pub fn evaluate(&self, data: &Dataset<T>) -> Result<Scores> {
        self.evaluate_with(data, Metric::for_data(data, self.decision.outputs).as_ref())
    }

    /// Computes forward loss and the mean of `metric` on a data set.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and [`Error::Unsupported`] for a metric that does not apply to such targets, such as the
    /// [accuracy](Metric::accuracy) to real numbers.
    pub fn evaluate_with(&self, data: &Dataset<T>, metric: Option<&Metric<T>>) -> Result<Scores> {
        self.check_data(data)?;
        metric.map_or(Ok(()), |metric| metric.check(data, self.decision.outputs))?;
        let outputs = self.predict(data.inputs())?;
        self.scores(data, metric, (&outputs).into())
    }

    /// Computes forward loss and the mean of `metric` for `outputs`, `d_T × N`, on a data set that has been checked.
    pub(crate) fn scores(
        &self,
        data: &Dataset<T>,
        metric: Option<&Metric<T>>,
        outputs: MatRef<'_, T>,
    ) -> Result<Scores> {
        let n = data.len() as f64;
        let judge = metric.map(|metric| metric.judge(self.decision));
        let score = judge.map(|judge| judge.sum(data.targets(), outputs, |i| data.weight(i))).transpose()?;
        Ok(Scores { loss: self.loss(data, outputs)? / n, score: score.map(|s| s / n) })
    }

    /// Computes Σ w_i · L_y over the columns.
    fn loss(&self, data: &Dataset<T>, outputs: MatRef<'_, T>) -> Result<f64> {
        let targets = data.targets();
        let weights = data.weights_of(0..data.len());
        let sum = self.objective().loss_of(targets, outputs, &weights)?;
        if sum.is_finite() {
            return Ok(sum);
        }
        // The sum over a chunk may leave the range of `T` although every term is in it: add the terms in f64.
        let rows = self.output_dim();
        let column = |entries| MatRef::new(entries, rows, 1);
        let mut sum = 0.0;
        for (example, (target, output)) in targets.columns().zip(outputs.columns()).enumerate() {
            let value = self.objective().loss_of(column(target), column(output), &[])?;
            if !value.is_finite() {
                return Err(Error::NotFinite { what: OUTPUT_LOSS, example, row: 0, value });
            }
            sum += data.weight(example) * value;
        }
        match sum.is_finite() {
            true => Ok(sum),
            false => Err(Error::NotFinite { what: OUTPUT_LOSS, example: data.len() - 1, row: 0, value: sum }),
        }
    }

    /// Returns the widths d_t of z_t, t = 0 ..= T.
    pub(crate) fn widths(&self) -> Vec<usize> {
        self.layers.iter().map(|layer| layer.input_dim()).chain([self.output_dim()]).collect()
    }

    /// Returns the widths d_t of the hidden z_t, t = 1 .. T.
    pub(crate) fn hidden_widths(&self) -> impl Iterator<Item = usize> {
        self.layers.iter().skip(1).map(|layer| layer.input_dim())
    }

    /// Returns the layout of the bank that a fit by this method opens, with this number of rows of the input.
    pub(crate) fn layout(&self, method: &Method<T>, inputs: usize) -> Layout {
        // An anchored start resets the state in every visit: the bank has no need to keep it.
        let optimizer = method.activation.optimizer().filter(|_| method.start != Start::Anchored);
        let slots = optimizer.map_or(0, |optimizer| optimizer.slots());
        let rule = optimizer.filter(|_| slots > 0).map_or_else(String::new, |optimizer| format!("{optimizer:?}"));
        let keeps = method.coupling.multipliers.is_some();
        Layout::new::<T>(inputs, self.hidden_widths(), (slots, rule), keeps, self.storage)
    }

    /// Fails if the bank keeps nothing, and this method needs it to, or it is to be in a file.
    pub(crate) fn check_storage(&self, method: &Method<T>) -> Result<()> {
        let start = "the method starts at the activations of the last visit (Start::Persisted, Start::Blend), as Method::joint, mac, bcd \
                     and admm do; set Start::Anchored, or another bank_storage";
        let multipliers = "the method keeps multipliers, as Method::alm and admm do; set Method::multipliers(None), or another bank_storage";
        let streams = "the activation step moves activations in the bank, layer by layer, as Exact does; take Sweeps, ErrorSteps or \
                       GaussNewton, or set another bank_storage";
        let file = "there is nothing to put into a file; leave out bank_file, or set another bank_storage";
        let needs = [
            (method.start == Start::Anchored, start),
            (method.coupling.multipliers.is_none(), multipliers),
            (!method.activation.streams(), streams),
            (self.bank_file.is_none(), file),
        ];
        let keeps = self.storage != Storage::Nothing;
        needs.into_iter().try_for_each(|(holds, why)| supported(keeps || holds, NOTHING, why))
    }

    /// Returns this network with other parameters, of the same number in every layer, without a bank and with optimizers reset.
    pub(crate) fn with_params(&self, params: Vec<Vec<T>>) -> Self {
        let mut layers = self.training.layers.clone();
        // Their state belongs to the old parameters.
        layers.iter_mut().for_each(LayerState::reset);
        let training = Training { layers, best_epoch: None, resumed: false, drawn: None, ..self.training.clone() };
        Self {
            layers: self.layers.clone(),
            params,
            training,
            output_loss: Arc::clone(&self.output_loss),
            decision: self.decision,
            hidden: self.hidden.clone(),
            method: self.method.clone(),
            bank: Bank::Nowhere,
            bank_limit: self.bank_limit,
            storage: self.storage,
            bank_file: self.bank_file.clone(),
            pool: Arc::clone(&self.pool),
        }
    }

    /// Fails unless the data fit this network and all inputs are known, as training by backpropagation and evaluation need.
    pub(crate) fn check_data(&self, data: &Dataset<T>) -> Result<()> {
        self.check_trainable(data)?;
        data.check_known()
    }

    /// Fails unless the data fit this network; inputs may be missing.
    pub(crate) fn check_trainable(&self, data: &Dataset<T>) -> Result<()> {
        check_shape("rows of the inputs (features)", self.input_dim(), data.input_dim())?;
        let what = match (self.output_dim(), data.target_dim(), data.classes()) {
            (1, 2, Some(2)) => "rows of the targets (outputs; Dataset::with_one_output makes one of two classes)",
            (2, 1, Some(2)) => "rows of the targets (outputs; Dataset::classification with 2 outputs makes two)",
            _ => "rows of the targets (outputs)",
        };
        check_shape(what, self.output_dim(), data.target_dim())?;
        // Last, because a loss may rely on targets of the right shape.
        guarded("check_targets of the output loss", None, || self.output_loss.check_targets(data.targets()))?
    }

    fn forward(&self, inputs: &[T], outputs: &mut [T]) -> Result<()> {
        let circuit = self.circuit();
        let examples = inputs.len() / self.input_dim();
        // Only one layer's activations are held at a time.
        let mut z = inputs.to_vec();
        for (t, layer) in self.layers.iter().enumerate() {
            z = circuit.output(t, MatRef::new(&z, layer.input_dim(), examples))?;
        }
        outputs.copy_from_slice(&z);
        Ok(())
    }
}
