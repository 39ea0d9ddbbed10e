//! The one error type, and how numbers stand in its texts. Needs of the crate only the shape of an example.

use std::path::PathBuf;

use crate::layer::shape::Shape;

/// `std::result::Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, with what was expected, what was found and where.
///
/// Layers are counted from 0 at the input; examples are counted from 0 in the order of the data set.
///
/// Its text is for people, its debug form for programmers; a `main` that returns it prints the latter. One that prints the text calls
/// what may fail, and prints the error itself:
///
/// ```
/// use decoupled::{DecoupledNetwork, layer::Activation};
///
/// fn main() -> std::process::ExitCode {
///     let Err(error) = run() else { return std::process::ExitCode::SUCCESS };
///     eprintln!("{error}");
///     std::process::ExitCode::FAILURE
/// }
///
/// fn run() -> decoupled::Result<()> {
///     DecoupledNetwork::<f32>::builder(2).dense(1, Activation::Identity).build()?;
///     Ok(())
/// }
/// ```
///
/// A function that meets other errors as well, as of `std::fs`, returns `Box<dyn std::error::Error>`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something that must hold at least one item holds none.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: &'static str,
    },
    /// Two lengths that must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Which length, with the word rows or columns where it applies.
        what: &'static str,
        /// The length that was needed.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
    /// A layer does not accept what the layer below it produces.
    #[error("layer {layer} takes {found} inputs, but what is below it has {expected} outputs")]
    LayerMismatch {
        /// The layer above the seam.
        layer: usize,
        /// Outputs of the layer below (or the width of the network's input).
        expected: usize,
        /// Inputs of this layer.
        found: usize,
    },
    /// A layer that takes pictures does not accept the shape of the output below it.
    #[error("layer {layer} takes inputs of shape {found}, but the output below it has {expected}")]
    ShapeMismatch {
        /// The layer above the seam.
        layer: usize,
        /// Shape of the output below, or of the network's input.
        expected: Shape,
        /// Shape of this layer's input.
        found: Shape,
    },
    /// Two outputs or inputs that must have one shape have two.
    #[error("{what}: expected {expected}, found {found}")]
    UnequalShapes {
        /// Which shape.
        what: &'static str,
        /// The shape that was needed.
        expected: Shape,
        /// The shape that was given.
        found: Shape,
    },
    /// A layer, or the network's input, has width zero.
    #[error("layer {layer} has a width of zero")]
    ZeroWidth {
        /// The layer.
        layer: usize,
    },
    /// What is wrong with one layer, or with what is set for it.
    #[error("in layer {layer}: {source}")]
    InLayer {
        /// The layer.
        layer: usize,
        /// What is wrong; within a chain, layers are counted from 0 at its input.
        source: Box<Error>,
    },
    /// What is wrong with one dimension of the space of a search, or with what is asked of it.
    #[error("in dimension {name} of the search: {source}")]
    InDimension {
        /// Its name.
        name: String,
        /// What is wrong.
        source: Box<Error>,
    },
    /// A setting names a layer that does not exist.
    #[error("{what} names layer {found}, {}", one_of(*.first, *.count))]
    LayerIndex {
        /// The setting.
        what: &'static str,
        /// The first layer that it may name.
        first: usize,
        /// How many it may name; 0 for hidden layers of a network that has none.
        count: usize,
        /// The layer that it names.
        found: usize,
    },
    /// An example that does not exist.
    #[error("there is no example {found}, expected one of 0..{count}")]
    ExampleIndex {
        /// How many there are.
        count: usize,
        /// The one that was asked for.
        found: usize,
    },
    /// More examples than there are.
    #[error("{what}: expected at most {most} examples, found {found}")]
    ExampleCount {
        /// What they are asked for.
        what: &'static str,
        /// How many there are.
        most: usize,
        /// How many were asked for.
        found: usize,
    },
    /// A hyper-parameter outside its domain.
    #[error("{name} must be {expected}, found {}", number(*.found))]
    HyperParameter {
        /// Its name, with the type it belongs to.
        name: &'static str,
        /// Its domain.
        expected: &'static str,
        /// The value given.
        found: f64,
    },
    /// A NaN or an infinity in the data.
    #[error("{what}: example {example}, row {row} is {value}, expected a finite number")]
    NotFinite {
        /// Inputs, targets or outputs, or a number of an example, as the loss; that has row 0.
        what: &'static str,
        /// The example (column).
        example: usize,
        /// The feature or output (row).
        row: usize,
        /// The value found.
        value: f64,
    },
    /// A NaN or an infinity among parameters.
    #[error("parameter {index} of layer {layer} is {value}, expected a finite number")]
    ParameterNotFinite {
        /// The layer.
        layer: usize,
        /// The parameter, in the layer's own order.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// The weight of an example or a class outside its domain.
    #[error("the weight of {what} {index} must be {expected}, found {}", number(*.found))]
    Weight {
        /// Example or class.
        what: &'static str,
        /// Which.
        index: usize,
        /// The domain.
        expected: &'static str,
        /// The weight found.
        found: f64,
    },
    /// A class label that is not one of the classes.
    #[error("label {label} of example {example} is out of range, expected 0..{classes}")]
    LabelOutOfRange {
        /// The example.
        example: usize,
        /// Its label.
        label: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// A target that the loss has no meaning for, or the kind of data set, or a scaler of targets.
    #[error("{loss}: target of example {example} must be {expected}, found {}", number(*.found))]
    Target {
        /// The loss, or what makes or scales the data set.
        loss: &'static str,
        /// The example (column).
        example: usize,
        /// What the loss takes.
        expected: &'static str,
        /// The offending value (an entry or a column's sum).
        found: f64,
    },
    /// Something that a metric has no meaning for.
    #[error("{metric}: {what} {index} must be {expected}, found {}", number(*.found))]
    Metric {
        /// The metric.
        metric: &'static str,
        /// What it looks at.
        what: &'static str,
        /// Which: an example (column) or a class.
        index: usize,
        /// What the metric takes.
        expected: &'static str,
        /// The offending value (an entry, a column's sum or a number of examples).
        found: f64,
    },
    /// A loss that a step in closed form does not minimise.
    #[error("{what}: the {which} above layer {layer} is {found}, expected SquaredError")]
    LossMismatch {
        /// The step.
        what: &'static str,
        /// Output loss or hidden loss.
        which: &'static str,
        /// The layer whose output it judges.
        layer: usize,
        /// Its debug form.
        found: String,
    },
    /// The activation bank would not fit.
    #[error(
        "the activation bank needs {bytes} bytes ({rows} rows × {examples} examples), the limit is {limit}; bank_storage makes it \
         smaller (Storage::Bf16, or Storage::Nothing for methods that start at the forward pass), bank_file keeps three blocks of it \
         in memory, bank_limit sets the limit"
    )]
    BankTooLarge {
        /// Bytes it would take; `u128` because the product may not fit `usize`.
        bytes: u128,
        /// Rows: all hidden widths together (with the activation optimizer's slots).
        rows: usize,
        /// Columns: examples.
        examples: usize,
        /// The limit in bytes.
        limit: u128,
    },
    /// The bank's file is open in another network, of this process or another.
    #[error("{path}: another network has the activation bank in this file open", path = .path.display())]
    BankInUse {
        /// The file.
        path: PathBuf,
    },
    /// The system has not that much memory left.
    #[error("no memory for {what}: {bytes} bytes")]
    OutOfMemory {
        /// What it was for.
        what: &'static str,
        /// Bytes asked for.
        bytes: u128,
    },
    /// Training left the finite numbers. The network has the parameters that the epoch started with.
    #[error(
        "training diverged in epoch {epoch}: {quantity} of layer {layer} is not finite; try a smaller learning rate, activation \
         rate or penalty, and check::layer on a layer of your own"
    )]
    Diverged {
        /// The layer whose quantity is not finite.
        layer: usize,
        /// The epoch, counted from 1 over the life of the network.
        epoch: usize,
        /// What is not finite.
        quantity: &'static str,
    },
    /// The equations of a step in closed form have no single answer in the working precision.
    #[error(
        "the equations for {what} of layer {layer} are not positive definite at row {row} of {size}; raise {raise}"
    )]
    NotPositiveDefinite {
        /// What was to be found.
        what: &'static str,
        /// The layer; 0 from a layer asked by itself, which does not know its place.
        layer: usize,
        /// The first row that shows it.
        row: usize,
        /// Number of rows.
        size: usize,
        /// What would help.
        raise: &'static str,
    },
    /// A layer lacks what a method asks of it.
    #[error("layer {layer}, {name}: {lacks}; it can be trained by {methods}")]
    Incapable {
        /// The layer.
        layer: usize,
        /// Its debug form.
        name: String,
        /// What it lacks, and for which step.
        lacks: &'static str,
        /// Methods that do without.
        methods: &'static str,
    },
    /// A layer, loss, metric or optimizer panicked. In training, the network has the parameters that the epoch started with.
    #[error("{what}{} panicked: {message}", of_layer(*.layer))]
    Panicked {
        /// What was being called.
        what: &'static str,
        /// The layer that it belongs to: none for a loss, a metric or the settings of an optimizer for all layers.
        layer: Option<usize>,
        /// The panic's message.
        message: String,
    },
    /// An observer panicked. In a step, the network has the parameters that the epoch started with; else the epoch stands.
    #[error("`{method}` of observer {observer} panicked: {message}")]
    ObserverPanicked {
        /// The observer, counted from 0 in the order they were given.
        observer: usize,
        /// What was being called.
        method: &'static str,
        /// The panic's message.
        message: String,
    },
    /// The closure that makes a candidate of a search panicked, or something of what it made that is called beside training.
    #[error("the candidate panicked: {message}")]
    CandidatePanicked {
        /// The panic's message.
        message: String,
    },
    /// A layer, loss, optimizer or metric does not keep its contract.
    #[error("{subject} breaks its contract ({rule}): {what}: expected {expected:e}, found {found:e}")]
    Contract {
        /// Debug form of the layer, loss, optimizer or metric.
        subject: String,
        /// The rule that is broken: of [`check`](crate::check), one of its lists.
        rule: &'static str,
        /// How it is broken, and where.
        what: String,
        /// The value that the rule asks for.
        expected: f64,
        /// The value found.
        found: f64,
    },
    /// Two settings that cannot be used together.
    #[error("{what}: {why}")]
    Unsupported {
        /// The setting.
        what: &'static str,
        /// Why not, and what to use instead.
        why: &'static str,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file, or what stands for it where something else was written to.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Something other than a regular file is where one is to be written. Nothing was written to it.
    #[error("{path}: expected a regular file, found {found}", path = .path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// A folder, a FIFO, a socket, a device, or for a draft a symbolic link.
        found: &'static str,
    },
    /// A file is not what it should be.
    #[error("{path}, {place}: expected {expected}, found {found}", path = .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Byte, line or field.
        place: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// An error of your own code, as of an [observer](crate::Observer); see [`other`](Self::other).
    #[error("{source}")]
    Other {
        /// The error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A category in a table that the table which its columns were fitted on did not have.
    #[error(
        "{path}, line {line}, column {column}: {found:?} is none of its {categories} categories; csv::Options::unknown_categories, \
         when the training table is read, can ignore it or give it a feature, Columns::set_unknown_categories can ignore it later",
        path = .path.display()
    )]
    UnknownCategory {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column's name; empty without a header.
        column: String,
        /// What stands there.
        found: String,
        /// How many categories the column has.
        categories: usize,
    },
    /// The thread pool could not be started.
    #[error("no thread pool of {threads} threads: {message}")]
    ThreadPool {
        /// Threads asked for.
        threads: usize,
        /// The system's answer.
        message: String,
    },
}

impl Error {
    /// Makes an error of your own one of these: any error, or a text. Its text is the same, and
    /// [`source`](std::error::Error::source) gives it back.
    ///
    /// # Example
    ///
    /// An observer that asks a server whether to go on:
    ///
    /// ```
    /// use std::error::Error as _;
    /// use std::ops::ControlFlow;
    ///
    /// use decoupled::observer::Epoch;
    /// use decoupled::{Error, Observer, Result, Scalar, StopReason};
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// #[error("the server does not answer after epoch {0}")]
    /// struct Silent(usize);
    ///
    /// struct Ask;
    ///
    /// impl<T: Scalar> Observer<T> for Ask {
    ///     fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
    ///         Err(Error::other(Silent(epoch.report.epoch)))
    ///     }
    /// }
    /// # use decoupled::{DecoupledNetwork, FitConfig, data, layer::Activation};
    /// # let data = data::two_moons::<f32>(20, 0.1, 0)?;
    /// # let mut network = DecoupledNetwork::builder(2).dense(2, Activation::Identity).build()?;
    /// let error = network.fit_observed(&data, &FitConfig::new(), &mut [&mut Ask]).unwrap_err();
    /// assert_eq!(error.to_string(), "the server does not answer after epoch 1");
    /// assert!(error.source().unwrap().is::<Silent>());
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other { source: error.into() }
    }

    /// The same, found in this layer.
    pub(crate) fn in_layer(self, layer: usize) -> Self {
        Self::InLayer { layer, source: Box::new(self) }
    }

    /// The same, found in this dimension of a search.
    pub(crate) fn in_dimension(self, name: &str) -> Self {
        Self::InDimension { name: name.to_owned(), source: Box::new(self) }
    }

    /// The same, of this layer, where it is about equations of a layer that does not know its place.
    pub(crate) fn at_layer(self, layer: usize) -> Self {
        match self {
            Self::NotPositiveDefinite { what, row, size, raise, .. } => {
                Self::NotPositiveDefinite { what, layer, row, size, raise }
            }
            other => other,
        }
    }
}

/// Which layers a setting may name: `count` of them.
fn one_of(first: usize, count: usize) -> String {
    match count {
        0 => "but there is no hidden layer".to_owned(),
        _ => format!("expected one of {first}..{}", first + count),
    }
}

/// The layer, where there is one.
fn of_layer(layer: Option<usize>) -> String {
    layer.map_or_else(String::new, |layer| format!(" of layer {layer}"))
}

/// The shortest decimal that is this number, without hundreds of zeros.
pub(crate) fn number(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-5..1e16).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

/// The shortest decimal of a number that is rounded to four significant digits.
pub(crate) fn four_digits(value: f64) -> String {
    number(format!("{value:.3e}").parse().unwrap_or(value))
}

/// `Ok` when `holds`, else [`Error::HyperParameter`].
pub(crate) fn require(holds: bool, name: &'static str, expected: &'static str, found: f64) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::HyperParameter { name, expected, found }) }
}

/// `Ok` when `holds`, else [`Error::Unsupported`].
pub(crate) fn supported(holds: bool, what: &'static str, why: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Unsupported { what, why }) }
}
