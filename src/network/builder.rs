//! From a description to a network: settings, all checks of them, initial parameters.

use std::path::PathBuf;
use std::sync::Arc;

use crate::bank::{Bank, Storage};
use crate::layer::{
    Activation, CACHE, Chain, Conv2d, Dense, Elementwise, Init, Pool2d, Shape, shape_above, tensors_of,
};
use crate::loss::{Outputs, SquaredError};
use crate::machine::linalg;
use crate::machine::linalg::matrix::filled;
use crate::machine::parallel::{Pool, available, guarded};
use crate::machine::random::{Purpose, stream};
use crate::machine::setting::require_positive;
use crate::method::Method;
use crate::method::circuit::Circuit;
use crate::method::energy::Hidden;
use crate::method::parameter_step::LayerState;
use crate::metrics::Decision;
use crate::optimizer::{Adam, ranges_of_weights};
use crate::{DecoupledNetwork, Error, Layer, Loss, MatRef, Optimizer, Result, Scalar, error};

/// Describes a network; setters never fail, [`build`](Self::build) checks everything once.
///
/// Defaults: squared error at the output and between layers, penalty 1, [`Adam::for_depth`], [`Method::default`], seed 0,
/// the machine's number of [threads](Self::threads) or the environment's, a bank of at most 8 GiB without rounding, a threshold of 0.5.
///
/// Feature `serde` serialises it, if all its parts are built in.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Scalar"))]
pub struct NetworkBuilder<T: Scalar> {
    input: Shape,
    layers: Vec<Arc<dyn Layer<T>>>,
    output_loss: Arc<dyn Loss<T>>,
    hidden_loss: Arc<dyn Loss<T>>,
    penalty: f64,
    layer_penalties: Vec<(usize, f64)>,
    /// None for [`Adam::for_depth`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    optimizer: Option<Arc<dyn Optimizer<T>>>,
    layer_optimizers: Vec<(usize, Arc<dyn Optimizer<T>>)>,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    frozen: Vec<usize>,
    method: Method<T>,
    store_pre_activations: bool,
    /// Whether a layer was given, or an initialiser named: then the parameters stay as drawn.
    #[cfg_attr(feature = "serde", serde(default = "as_they_are"))]
    named: bool,
    seed: u64,
    /// None for [`available`].
    threads: Option<usize>,
    bank_limit: usize,
    storage: Storage,
    bank_file: Option<(PathBuf, usize)>,
    #[cfg_attr(feature = "serde", serde(default = "default_threshold"))]
    threshold: f64,
}

/// What does not say so was written before parameters could be drawn anew.
#[cfg(feature = "serde")]
fn as_they_are() -> bool {
    true
}

#[cfg(feature = "serde")]
fn default_threshold() -> f64 {
    Decision::DEFAULT_THRESHOLD
}

impl<T: Scalar> NetworkBuilder<T> {
    pub(crate) fn new(input: Shape) -> Self {
        Self {
            input,
            layers: Vec::new(),
            output_loss: Arc::new(SquaredError),
            hidden_loss: Arc::new(SquaredError),
            penalty: 1.0,
            layer_penalties: Vec::new(),
            optimizer: None,
            layer_optimizers: Vec::new(),
            frozen: Vec::new(),
            method: Method::default(),
            store_pre_activations: false,
            named: false,
            seed: 0,
            threads: None,
            bank_limit: 8 << 30,
            storage: Storage::Full,
            bank_file: None,
            threshold: Decision::DEFAULT_THRESHOLD,
        }
    }

    /// Returns a builder with these layers and this output loss.
    #[cfg(feature = "save")]
    pub(crate) fn described(layers: Vec<Arc<dyn Layer<T>>>, output_loss: Arc<dyn Loss<T>>) -> Self {
        let input = layers.first().map_or(Shape::Flat(0), |layer| layer.input_shape());
        Self { layers, output_loss, ..Self::new(input) }
    }

    /// Adds a layer: one unit of the circuit, with a stored activation below and above it. Fuse maps that should share a
    /// unit in a [`Chain`].
    pub fn layer(self, layer: impl Layer<T> + 'static) -> Self {
        Self { named: true, ..self.push(layer) }
    }

    fn push(mut self, layer: impl Layer<T> + 'static) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// Returns the shape of the highest layer's output so far, or of the input: the shape that a further layer reads. Ask before
    /// [`layer`](Self::layer), which takes the builder.
    ///
    /// ```
    /// use decoupled::DecoupledNetwork;
    /// use decoupled::layer::{Conv2d, Shape};
    ///
    /// let builder = DecoupledNetwork::<f32>::builder([1, 28, 28]);
    /// let conv = Conv2d::new(builder.shape(), 8, [5, 5]);
    /// assert_eq!(builder.layer(conv).shape(), Shape::from([8, 24, 24]));
    /// ```
    pub fn shape(&self) -> Shape {
        self.layers.iter().fold(self.input, |shape, layer| layer.output_shape(shape))
    }

    /// Adds a [convolution](Conv2d) with its activation as one unit: kernels of this height and width by
    /// [`Init::for_activation`], stride 1, no padding, biases zero. For other settings, or a pooling in the same unit, give
    /// [`layer`](Self::layer) a [`Chain`]; the bank then stores the output of the pooling only:
    ///
    /// ```
    /// use decoupled::DecoupledNetwork;
    /// use decoupled::layer::{Activation, Chain, Conv2d, Elementwise, Pool2d};
    ///
    /// let conv = Conv2d::new([1, 28, 28], 8, [3, 3]).padding([1, 1]);
    /// let unit = Chain::new()
    ///     .then(conv)
    ///     .then(Elementwise::new(conv.output().len(), Activation::Relu))
    ///     .then(Pool2d::max(conv.output(), [2, 2]));
    /// let builder = DecoupledNetwork::<f32>::builder([1, 28, 28]).layer(unit).dense(10, Activation::Identity);
    /// assert_eq!(builder.build()?.summary().layers[0].output, [8, 14, 14].into());
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// A network with such a layer begins a first fit from the weights as drawn.
    pub fn conv2d(self, channels: usize, kernel: [usize; 2], activation: Activation) -> Self {
        let conv = Conv2d::new(self.shape(), channels, kernel).init(Init::for_activation(activation));
        Self { named: true, ..self.activated(conv, activation) }
    }

    /// Adds the largest pixel of each window of this height and width, side by side, as a [unit](Pool2d) of its own.
    pub fn max_pool2d(self, window: [usize; 2]) -> Self {
        let pool = Pool2d::max(self.shape(), window);
        self.layer(pool)
    }

    /// Adds a dense map with its activation as one unit: ẑ = σ(W·z + b), W `units × width below`. [`Init::for_activation`],
    /// biases zero. A network of such layers alone begins its first fit
    /// [from an isometry](crate::DecoupledNetwork::start_isometric) where these weights let no signal through.
    pub fn dense(self, units: usize, activation: Activation) -> Self {
        self.unit(units, activation, Init::for_activation(activation))
    }

    /// Makes every later [`dense`](Self::dense) and [`conv2d`](Self::conv2d) add two units, the map and the activation function, so that
    /// the bank stores the pre-activations as well. Layers added before do not change. Exact activation steps, as in [`Method::bcd`], need
    /// it above the lowest unit.
    pub fn store_pre_activations(mut self) -> Self {
        self.store_pre_activations = true;
        self
    }

    /// Adds a [`dense`](Self::dense) layer with weights from this initialiser.
    pub fn dense_with(self, units: usize, activation: Activation, init: Init) -> Self {
        let init = init.within(activation, self.pairs());
        Self { named: true, ..self.unit(units, activation, init) }
    }

    /// Returns the slope of a pair of the highest units, if they were drawn as pairs.
    fn pairs(&self) -> Option<f64> {
        let unit = |layer: &Arc<dyn Layer<T>>| guarded("unit", None, || layer.unit()).ok().flatten();
        let mut below = self.layers.iter().rev().map_while(unit);
        let top = below.next()?;
        let map = top.map.or_else(|| below.next()?.map)?;
        top.function.pairs().filter(|_| map.has_paired_rows())
    }

    fn unit(self, units: usize, activation: Activation, init: Init) -> Self {
        let dense = Dense::new(self.shape().len(), units).init(init);
        self.activated(dense, activation)
    }

    fn activated(self, map: impl Layer<T> + 'static, activation: Activation) -> Self {
        let function = Elementwise::new(map.output_dim(), activation);
        match activation {
            // No unit for the identity: the bank would store the same activations twice.
            Activation::Identity => self.push(map),
            _ if self.store_pre_activations => Self { named: true, ..self.push(map).push(function) },
            _ => self.push(Chain::new().then(map).then(function)),
        }
    }

    /// Sets L_y, the loss at the output.
    pub fn output_loss(mut self, loss: impl Loss<T> + 'static) -> Self {
        self.output_loss = Arc::new(loss);
        self
    }

    /// Sets L_h, the loss between a stored activation and its prediction.
    pub fn hidden_loss(mut self, loss: impl Loss<T> + 'static) -> Self {
        self.hidden_loss = Arc::new(loss);
        self
    }

    /// Sets μ of all hidden layers.
    pub fn penalty(mut self, penalty: f64) -> Self {
        self.penalty = penalty;
        self
    }

    /// Sets μ_t of the stored activation z_t, t = 1 .. T.
    pub fn layer_penalty(mut self, t: usize, penalty: f64) -> Self {
        self.layer_penalties.push((t, penalty));
        self
    }

    /// Sets the rule that moves the parameters of every layer.
    pub fn optimizer(mut self, optimizer: impl Optimizer<T> + 'static) -> Self {
        self.optimizer = Some(Arc::new(optimizer));
        self
    }

    /// Sets the rule that moves θ_t, t = 0 .. T, instead of the common one.
    pub fn layer_optimizer(mut self, t: usize, optimizer: impl Optimizer<T> + 'static) -> Self {
        self.layer_optimizers.push((t, Arc::new(optimizer)));
        self
    }

    /// Freezes layer t, t = 0 .. T, as [`DecoupledNetwork::freeze`] does.
    pub fn freeze(mut self, t: usize) -> Self {
        self.frozen.push(t);
        self
    }

    /// Sets the default method of a fit. [`build`](Self::build) checks it: a layer may lack an operator that the method needs.
    pub fn method(mut self, method: Method<T>) -> Self {
        self.method = method;
        self
    }

    /// Seeds the initial parameters.
    #[doc(alias = "random_state")]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the number of threads of training, evaluation and large predictions, 1 ..= 256; results do not depend on it, bit
    /// for bit. The default is the environment variable `RAYON_NUM_THREADS`, or the number of processors.
    ///
    /// Networks with the same number share their threads, and only one of them uses these at a time. Another that trains meanwhile
    /// stays on its caller's thread until the next epoch. A call from within a rayon pool (`par_iter`, `rayon::spawn`) always
    /// stays on its thread: that pool is parallel already.
    #[doc(alias = "n_jobs")]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Limits the bytes of memory of the activation bank; of one in a file, three blocks count.
    pub fn bank_limit(mut self, bytes: usize) -> Self {
        self.bank_limit = bytes;
        self
    }

    /// Sets the number format of the bank; the arithmetic stays in `T`. A visit decodes only the examples that a thread works on; exact
    /// activation steps hold a whole batch decoded. With [`Storage::Nothing`] the bank keeps no activations, for methods that need none
    /// of earlier visits; [`build`](Self::build) and [`fit`](DecoupledNetwork::fit) refuse others.
    pub fn bank_storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Keeps the bank in this file instead of memory, in blocks of `examples` consecutive examples, three of which are in memory
    /// at a time. Every fit shuffles by these [blocks](crate::FitConfig::shuffle_blocks), with the same result, bit for bit, as with
    /// a bank in memory. [`BankFile`](crate::bank::BankFile) describes how the file is protected.
    ///
    /// The first fit makes the file if it does not exist (for a moment with a second one, whose name ends in `.new`), or continues
    /// with the bank in it. That must be of the same network shape, scalar, storage, data and activation optimizer, with
    /// multipliers if the method keeps them; for other data give another file. Blocks take disk space when they are first written,
    /// up to twice the size of the bank.
    ///
    /// A method that ends with a finish ([`mac`](crate::Method::mac)) loads the highest hidden activation of all examples into memory,
    /// also if the bank is in a file.
    pub fn bank_file(mut self, path: impl Into<PathBuf>, block_examples: usize) -> Self {
        self.bank_file = Some((path.into(), block_examples));
        self
    }

    /// Sets the number that the probability of a label must exceed to be a yes, in \[0, 1\]: see
    /// [`DecoupledNetwork::threshold`].
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// Checks the description, draws the parameters and calls every layer once on two random examples.
    ///
    /// # Errors
    /// * [`Error::Empty`], [`Error::ZeroWidth`], [`Error::LayerMismatch`], [`Error::ShapeMismatch`] for layers that do not form a circuit,
    /// * [`Error::HyperParameter`] for settings outside their domain, [`Error::LayerIndex`] for a setting of a layer
    ///   that does not exist, [`Error::InLayer`] for an error of one layer or of a setting of its own,
    /// * [`Error::Unsupported`] for a hidden loss that cannot be one, an output loss of classes with one output, a method whose parts
    ///   do not fit each other or the [noise](crate::layer::Noise) of the layers, or one that goes on from a bank that keeps
    ///   [nothing](Storage::Nothing),
    /// * [`Error::LossMismatch`] for a loss that the method does not minimise,
    /// * [`Error::Incapable`] for a layer that lacks an operator that the method needs,
    /// * [`Error::Panicked`] and [`Error::Contract`] for a layer that panics, leaves its output unwritten or is not finite, and in
    ///   [`Error::InLayer`] for one whose [tensors](crate::Layer::tensors) are not its parameters,
    /// * [`Error::OutOfMemory`] for layers that do not fit into memory,
    /// * [`Error::ThreadPool`] when the system gives no threads.
    pub fn build(self) -> Result<DecoupledNetwork<T>> {
        let (seed, drawn) = (self.seed, (!self.named).then_some(self.seed));
        let mut network = self.build_with(|t, layer, len| {
            let mut theta = filled("the parameters of a layer", len, T::zero())?;
            // One stream per layer: another layer's width does not change this one's weights.
            let mut rng = stream(seed, Purpose::Init, 0, t);
            guarded("init_params", t, || layer.init_params(&mut theta, &mut rng))?;
            probe(layer, t, &theta)?;
            Ok(theta)
        })?;
        network.training.drawn = drawn;
        Ok(network)
    }

    /// Builds as [`build`](Self::build), with parameters from a callback that takes each layer, its number and its parameter count.
    pub(crate) fn build_with(
        self,
        mut theta: impl FnMut(usize, &Arc<dyn Layer<T>>, usize) -> Result<Vec<T>>,
    ) -> Result<DecoupledNetwork<T>> {
        let depth = self.layers.len();
        if depth == 0 {
            return Err(Error::Empty { what: "the list of layers" });
        }
        self.check_circuit()?;
        guarded("validate of the output loss", None, || self.output_loss.validate())??;
        guarded("validate of the hidden loss", None, || self.hidden_loss.validate())??;
        let outputs = guarded("outputs of the output loss", None, || self.output_loss.outputs())?;
        let decision = Decision { outputs, threshold: self.threshold };
        decision.validate()?;
        let single = outputs == Outputs::Classes && self.layers.last().is_some_and(|layer| layer.output_dim() == 1);
        let what = "an output loss of classes, as SoftmaxCrossEntropy, with one output";
        let why = "its probability would be 1 whatever it is; use BinaryCrossEntropy, or an output for each class";
        error::supported(!single, what, why)?;
        let why = "it is not bounded below in the stored activation; use SquaredError, Huber or RelativeSquaredError";
        error::supported(self.hidden_loss.serves_hidden(), "hidden loss", why)?;

        let mut penalties = vec![self.penalty; depth - 1];
        for &(t, penalty) in &self.layer_penalties {
            let missing = Error::LayerIndex { what: "layer_penalty", first: 1, count: depth - 1, found: t };
            *t.checked_sub(1).and_then(|t| penalties.get_mut(t)).ok_or(missing)? = penalty;
            require_positive::<T>("penalty", penalty).map_err(|error| error.in_layer(t))?;
        }
        // Also if every layer has its own penalty: a setting outside its domain is never ignored.
        require_positive::<T>("penalty", self.penalty)?;
        if let Some((_, examples)) = self.bank_file {
            error::require(examples > 0, "examples in a block of the bank's file", "at least 1", examples as f64)?;
        }
        let hidden = penalties.into_iter().map(|p| Hidden { loss: self.hidden_loss.clone(), penalty: T::of(p) });

        // Activation functions that are units of their own take no steps.
        let lens = self.layers.iter().enumerate().map(|(t, layer)| guarded("param_len", t, || layer.param_len()));
        let lens = lens.collect::<Result<Vec<_>>>()?;
        let maps = lens.iter().filter(|len| **len > 0).count();
        let optimizer = self.optimizer.unwrap_or_else(|| Arc::new(Adam::for_depth(maps.saturating_sub(1))));
        guarded("validate of the optimizer", None, || optimizer.validate())??;
        let mut optimizers = vec![optimizer; depth];
        for (t, optimizer) in self.layer_optimizers {
            let missing = Error::LayerIndex { what: "layer_optimizer", first: 0, count: depth, found: t };
            let own = optimizers.get_mut(t).ok_or(missing)?;
            guarded("validate of the optimizer", t, || optimizer.validate())?.map_err(|error| error.in_layer(t))?;
            *own = optimizer;
        }

        let (mut params, mut states) = (Vec::with_capacity(depth), Vec::with_capacity(depth));
        for (t, ((layer, optimizer), len)) in self.layers.iter().zip(optimizers).zip(lens).enumerate() {
            let tensors = tensors_of(&**layer, t, len).map_err(|error| error.in_layer(t))?;
            states.push(LayerState::new(optimizer, t, len, ranges_of_weights(&tensors))?);
            params.push(theta(t, layer, len)?);
        }
        for found in self.frozen {
            let missing = Error::LayerIndex { what: "freeze", first: 0, count: depth, found };
            states.get_mut(found).ok_or(missing)?.frozen = true;
        }
        let network = DecoupledNetwork {
            training: super::Training::new(states),
            hidden: hidden.collect(),
            layers: self.layers,
            params,
            output_loss: self.output_loss,
            decision,
            method: self.method,
            bank: Bank::Nowhere,
            bank_limit: self.bank_limit,
            storage: self.storage,
            bank_file: self.bank_file,
            pool: Pool::shared(self.threads.unwrap_or_else(available))?,
        };
        // Last, because the check needs layers and losses that have passed their own.
        network.method.check(&network.objective())?;
        network.check_storage(&network.method)?;
        Ok(network)
    }

    fn check_circuit(&self) -> Result<()> {
        if self.input.is_empty() {
            return Err(Error::Empty { what: "the network's input" });
        }
        let mut shape = self.input;
        for (layer, l) in self.layers.iter().enumerate() {
            let (input, output) = guarded("input_dim or output_dim", layer, || (l.input_dim(), l.output_dim()))?;
            let valid = guarded("validate", layer, || l.validate())?;
            // An empty chain has no width either; its own error is the clearer one.
            // Nor has one whose windows do not fit.
            if (input == 0 || output == 0) && !matches!(valid, Err(Error::Empty { .. } | Error::HyperParameter { .. }))
            {
                return Err(Error::ZeroWidth { layer });
            }
            valid.map_err(|error| error.in_layer(layer))?;
            shape = guarded("input_shape or output_shape", layer, || shape_above(layer, shape, &**l))??;
        }
        Ok(())
    }
}

/// Calls a layer once on two random examples, so that a panic, an unwritten entry or a NaN shows here, not in the middle of a fit.
fn probe<T: Scalar>(layer: &Arc<dyn Layer<T>>, t: usize, params: &Vec<T>) -> Result<()> {
    const EXAMPLES: usize = 2;
    // Buffers full of NaN: an entry that the layer leaves unwritten is not finite below.
    let nan = T::of(f64::NAN);
    let mut rng = stream(0, Purpose::Probe, 0, t);
    let unwritten = |rows: usize| filled("the activations of a layer", rows.saturating_mul(EXAMPLES), nan);
    let (mut output, mut pulled) = (unwritten(layer.output_dim())?, unwritten(layer.input_dim())?);
    let mut draw = |len: usize| (0..len).map(|_| T::standard_normal(&mut rng)).collect::<Vec<_>>();
    let (input, cotangent) = (draw(pulled.len()), draw(output.len()));
    let input = MatRef::new(&input, layer.input_dim(), EXAMPLES);
    let mut grad = vec![nan; params.len()];
    let mut cache = filled(CACHE, guarded("cache_len", t, || layer.cache_len(EXAMPLES))?, nan)?;

    let circuit = Circuit { layers: std::slice::from_ref(layer), params: std::slice::from_ref(params), first: t };
    circuit.forward(0, input, &mut output, &mut cache)?;
    circuit.input_gradient(0, input, &cotangent, &mut pulled, &mut cache)?;
    circuit.param_gradient(0, input, &cotangent, &mut grad, &mut cache)?;
    for (what, rule, values) in [
        ("init_params", "initial_params_are_finite", params),
        ("forward", "forward_overwrites", &output),
        ("input_gradient", "input_gradient_overwrites", &pulled),
        ("param_gradient", "param_gradient_overwrites", &grad),
    ] {
        if !linalg::all_finite(values) {
            let found = values.iter().find(|v| !v.is_finite()).map_or(f64::NAN, |v| v.to_f64());
            return Err(Error::Contract {
                subject: format!("layer {t}, {layer:?}"),
                rule,
                what: format!("{what} writes finite numbers everywhere"),
                expected: 0.0,
                found,
            });
        }
    }
    Ok(())
}
