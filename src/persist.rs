//! Networks in files.

use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::data::Scaler;
use crate::description::Description;
use crate::file::{format, replace};
use crate::layer::{Tensor, tensors_of};
use crate::matrix::check_shape;
use crate::parallel::guarded;
use crate::{DecoupledNetwork, Error, Layer, Loss, NetworkBuilder, Result, Scalar};

mod checkpoint;
mod container;

use checkpoint::Training;
use container::{Blob, Source};

/// The version of what a file says of a network; others are refused.
const FORMAT: u64 = 1;

/// What a file says of a network beside its parameters.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents<L, O> {
    format: u64,
    written_by: String,
    /// None for one that is not built in.
    layers: Vec<Option<L>>,
    output_loss: Option<O>,
    input_scaler: Option<Scaler>,
    target_scaler: Option<Scaler>,
    #[serde(default)]
    feature_names: Vec<String>,
    class_names: Vec<String>,
    /// In a checkpoint: what a fit needs to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<Training>,
}

/// The part that every version has.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// Whatever layers and loss it says, for a network that is there.
type Unread = Contents<IgnoredAny, IgnoredAny>;

type Made<T> = Contents<Arc<dyn Layer<T>>, Arc<dyn Loss<T>>>;

/// A network with what a program that predicts needs beside it: what files are made of.
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
///     .input_scaler(Scaler::standard(table.matrix())?)
///     .class_names(["setosa", "versicolor", "virginica"]);
/// # let path = std::env::temp_dir().join(format!("decoupled-model-{}.safetensors", std::process::id()));
/// model.save(&path)?;
///
/// let model = Model::<f32>::load(&path)?;
/// let scaler = model.input_scaler.as_ref().unwrap();
/// let logits = model.network.predict(scaler.apply(table.matrix())?.matrix())?;
/// println!("{}", model.class_names[logits.column(0).argmax().0]);
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), decoupled::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Model<T: Scalar> {
    /// The network.
    pub network: DecoupledNetwork<T>,
    /// What its inputs are scaled by.
    pub input_scaler: Option<Scaler>,
    /// What its targets were scaled by; its inverse turns outputs into predictions.
    pub target_scaler: Option<Scaler>,
    /// What the inputs are called, one name for each; empty where they have none.
    pub feature_names: Vec<String>,
    /// What the outputs stand for, one name for each; empty where they have none.
    pub class_names: Vec<String>,
}

impl<T: Scalar> Model<T> {
    /// The network by itself.
    pub fn new(network: DecoupledNetwork<T>) -> Self {
        Self { network, input_scaler: None, target_scaler: None, feature_names: Vec::new(), class_names: Vec::new() }
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

    /// Sets what the inputs are called: [`csv::Options::feature_columns`](crate::data::csv::Options::feature_columns) finds them by
    /// it.
    #[must_use]
    pub fn feature_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { feature_names: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets what the outputs stand for.
    #[must_use]
    pub fn class_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { class_names: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Writes all of it to a file, as [`DecoupledNetwork::save`] does.
    ///
    /// # Errors
    /// As [`DecoupledNetwork::save`], and [`Error::Shape`] for a scaler of other rows than what it scales, or names for some
    /// inputs or outputs only.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.check()?;
        let contents = Contents {
            input_scaler: self.input_scaler.clone(),
            target_scaler: self.target_scaler.clone(),
            feature_names: self.feature_names.clone(),
            class_names: self.class_names.clone(),
            ..describe(&self.network)?
        };
        write(path.as_ref(), &self.network, &contents, &[])
    }

    /// Reads what [`save`](Self::save) wrote: the layers, built-in ones, and the output loss are made anew, and predictions are the
    /// same bit for bit. How the network trains is not in the file, and is as [`NetworkBuilder`] has it at first: hidden losses,
    /// penalties, optimizers, method and storage.
    ///
    /// Nothing is allocated by what the file claims, but by what it holds.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for a file that is damaged in any bit or cut, one of another scalar (that is for
    /// [`load_cast`](Self::load_cast)) or another version, and one with a layer or loss that is not built in: build its network and use
    /// [`load_params`](DecoupledNetwork::load_params). As [`NetworkBuilder::build`] for layers that make no circuit.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(path.as_ref(), false)
    }

    /// Reads what [`save`](Self::save) wrote, or another program after it, and rounds parameters of `f64`, `f32`, half precision
    /// (F16) or bfloat16 (BF16) to the nearest `T`: the explicit way from one scalar to another. Predictions are those of the rounded
    /// parameters.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for the scalar; [`Error::Format`] for a number that is too large for `T`, and for tensors of integers.
    pub fn load_cast(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(path.as_ref(), true)
    }

    fn read(path: &Path, cast: bool) -> Result<Self> {
        let source = Source::open(path)?.casting(cast);
        let contents: Made<T> = match contents(path, &source)? {
            Some(text) => parse(path, text)?,
            None => return Err(undescribed(path)),
        };
        let names = blobs(path, &source, &contents)?;
        let built_in = "one that is built in; for others build the network and use load_params or load_into";
        let missing = |place: &str| format(path, place, built_in, "another");
        let layers: Result<Vec<_>> = contents
            .layers
            .into_iter()
            .enumerate()
            .map(|(t, layer)| layer.ok_or_else(|| missing(&format!("layer {t}"))))
            .collect();
        let (layers, output_loss) = (layers?, contents.output_loss.ok_or_else(|| missing("the output loss"))?);
        let tensors: Result<Vec<_>> =
            layers.iter().enumerate().map(|(t, layer)| named_tensors(&**layer, t, layer.param_len())).collect();
        let (params, _) = source.read(&tensors?, &names)?;
        let mut params = params.into_iter();
        let network = NetworkBuilder::described(layers, output_loss)
            .build_with(|_, _, _| Ok(params.next().unwrap_or_default()))?;
        require_params(&network)?;
        let Contents { input_scaler, target_scaler, feature_names, class_names, .. } = contents;
        let model = Self { network, input_scaler, target_scaler, feature_names, class_names };
        model.check()?;
        Ok(model)
    }

    /// Reads what [`save`](Self::save) wrote into a network that was built alike, as [`DecoupledNetwork::load_params`] does: for layers
    /// or a loss of your own.
    ///
    /// # Errors
    /// As [`DecoupledNetwork::load_params`]; [`Error::Format`] for a file that another program wrote, and [`Error::Shape`] as
    /// [`save`](Self::save).
    pub fn load_into(mut network: DecoupledNetwork<T>, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (params, contents) = read_params(&network, path, false)?;
        network.params = params;
        let Some(contents) = contents else { return Err(undescribed(path)) };
        let Contents { input_scaler, target_scaler, feature_names, class_names, .. } = contents;
        let model = Self { network, input_scaler, target_scaler, feature_names, class_names };
        model.check()?;
        Ok(model)
    }

    fn check(&self) -> Result<()> {
        let (inputs, outputs) = (self.network.input_dim(), self.network.output_dim());
        if let Some(scaler) = &self.input_scaler {
            check_shape("features of the input scaler (rows)", inputs, scaler.features())?;
        }
        if let Some(scaler) = &self.target_scaler {
            check_shape("features of the target scaler (rows)", outputs, scaler.features())?;
        }
        for (what, names, rows) in
            [("feature names", &self.feature_names, inputs), ("class names", &self.class_names, outputs)]
        {
            if !names.is_empty() {
                check_shape(what, rows, names.len())?;
            }
        }
        Ok(())
    }
}

impl<T: Scalar> DecoupledNetwork<T> {
    /// Writes layers, parameters and output loss to a file, which [`load`](Self::load) reads; [`Model`] puts scalers and class names
    /// beside them. The bank is not in it, nor is how the network trains.
    ///
    /// The file is [safetensors](https://huggingface.co/docs/safetensors), which NumPy, PyTorch and others read, with a tensor
    /// for each of [`Layer::tensors`], under the layer's number: `0.weight` is the weight of layer 0, `output × input` and row by
    /// row as in PyTorch's `Linear`, `1.0.bias` the bias of the lowest map in a chain that is layer 1, as
    /// [`dense`](NetworkBuilder::dense) makes them of a map and its activation. Its metadata hold a
    /// description in JSON under `decoupled`, and a CRC-32 of all bytes, by which any bit that changes is found.
    ///
    /// It is written beside the old one, under a name that ends in `.tmp`, and takes its place when it is on the disk: a process
    /// that is killed leaves one of the two.
    ///
    /// ```
    /// use decoupled::layer::Activation;
    /// use decoupled::{DecoupledNetwork, MatRef};
    ///
    /// let builder = DecoupledNetwork::<f32>::builder(2).dense(8, Activation::Tanh);
    /// let network = builder.dense(1, Activation::Identity).build()?;
    /// # let path = std::env::temp_dir().join(format!("decoupled-save-{}.safetensors", std::process::id()));
    /// network.save(&path)?;
    ///
    /// let loaded = DecoupledNetwork::<f32>::load(&path)?;
    /// let input = MatRef::new(&[0.5, -1.0], 2, 1);
    /// assert_eq!(loaded.predict(input)?, network.predict(input)?);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`], and the old file is as it was; [`Error::Empty`] for a network without parameters, [`Error::Unsupported`] for
    /// layers that nest too deeply to be read back; for a layer of your own [`Error::Panicked`], and [`Error::InLayer`] where its
    /// [tensors](Layer::tensors) are not its parameters.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), self, &describe(self)?, &[])
    }

    /// Reads a network that [`save`](Self::save) wrote, of built-in layers; see [`Model::load`], which has what else may be in the
    /// file.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Model::load(path).map(|model| model.network)
    }

    /// Replaces the parameters by those in a file that [`save`](Self::save) wrote, or another program with the same names and shapes
    /// of tensors; layers may be of any kind. As [`set_params`](Self::set_params) of every layer.
    ///
    /// A program that changes a file of ours should leave its metadata out: the checksum would no longer agree.
    ///
    /// # Errors
    /// Nothing has changed then. [`Error::Io`]; [`Error::Format`] for a file that is damaged or cut, of another scalar or version,
    /// or whose tensors are not those of the network: one that lacks, one too many, another shape, a number that is not
    /// finite. [`Error::Panicked`] and [`Error::InLayer`] as [`save`](Self::save).
    pub fn load_params(&mut self, path: impl AsRef<Path>) -> Result<()> {
        (self.params, _) = read_params(self, path.as_ref(), false)?;
        Ok(())
    }

    /// The same for tensors of `f64`, `f32`, half precision (F16) or bfloat16 (BF16), which are rounded to the nearest `T`: the explicit
    /// way from one scalar to another, and from weights that another program keeps in 16 bits.
    ///
    /// # Errors
    /// As [`load_params`](Self::load_params), but for the scalar; [`Error::Format`] for a number that is too large for `T`, and for
    /// tensors of integers.
    pub fn load_params_cast(&mut self, path: impl AsRef<Path>) -> Result<()> {
        (self.params, _) = read_params(self, path.as_ref(), true)?;
        Ok(())
    }
}

/// Parameters for this network, and what the file says of one, if it does.
fn read_params<T: Scalar>(
    network: &DecoupledNetwork<T>,
    path: &Path,
    cast: bool,
) -> Result<(Vec<Vec<T>>, Option<Unread>)> {
    let tensors = named_tensors_of(network)?;
    let source = Source::open(path)?.casting(cast);
    let contents = contents(path, &source)?.map(|text| parse::<IgnoredAny, IgnoredAny>(path, text)).transpose()?;
    let blobs = contents.as_ref().map_or(Ok(Vec::new()), |contents| blobs(path, &source, contents))?;
    let (params, _) = source.read(&tensors, &blobs)?;
    Ok((params, contents))
}

fn undescribed(path: &Path) -> Error {
    format(path, "its metadata", "a description; DecoupledNetwork::load_params does without", "none")
}

/// The tensors of layer t, with their names in a file.
fn named_tensors<T: Scalar>(layer: &dyn Layer<T>, t: usize, params: usize) -> Result<Vec<Tensor>> {
    let tensors = tensors_of(layer, t, params).map_err(|error| error.in_layer(t))?;
    Ok(tensors.into_iter().map(|tensor| tensor.within(t)).collect())
}

fn named_tensors_of<T: Scalar>(network: &DecoupledNetwork<T>) -> Result<Vec<Vec<Tensor>>> {
    let layers = network.layers.iter().zip(&network.params).enumerate();
    layers.map(|(t, (layer, params))| named_tensors(&**layer, t, params.len())).collect()
}

/// Widths are held against tensors; where there are none a file could claim any.
fn require_params<T: Scalar>(network: &DecoupledNetwork<T>) -> Result<()> {
    if network.param_count() == 0 { Err(Error::Empty { what: "the list of parameters in a file" }) } else { Ok(()) }
}

/// The network by itself.
fn describe<T: Scalar>(network: &DecoupledNetwork<T>) -> Result<Contents<Description, Description>> {
    let layers = network.layers.iter().enumerate();
    Ok(Contents {
        format: FORMAT,
        written_by: concat!("decoupled ", env!("CARGO_PKG_VERSION")).to_owned(),
        layers: layers.map(|(t, layer)| guarded("describe", t, || layer.describe())).collect::<Result<_>>()?,
        output_loss: guarded("describe of the loss", network.depth(), || network.output_loss.describe())?,
        input_scaler: None,
        target_scaler: None,
        feature_names: Vec::new(),
        class_names: Vec::new(),
        training: None,
    })
}

/// The names of what stands beside the parameters.
///
/// # Errors
/// [`Error::Format`] for more observers than there are tensors: names take memory as well.
fn blobs<L, O>(path: &Path, source: &Source<'_>, contents: &Contents<L, O>) -> Result<Vec<String>> {
    let Some(training) = &contents.training else { return Ok(Vec::new()) };
    training.check_observers(path, source.tensors())?;
    Ok(training.blobs(contents.layers.len()).collect())
}

/// What the file says of a network, in this version.
fn parse<'t, L: Deserialize<'t>, O: Deserialize<'t>>(path: &Path, text: &'t str) -> Result<Contents<L, O>> {
    serde_json::from_str(text).map_err(|error| {
        format(path, "its description", "layers and losses as this version has them", error.to_string())
    })
}

fn write<T: Scalar>(
    path: &Path,
    network: &DecoupledNetwork<T>,
    contents: &Contents<Description, Description>,
    blobs: &[Blob<'_>],
) -> Result<()> {
    require_params(network)?;
    let why = "layers nest too deeply, or a scaler has a range that is not finite: it could not be read back";
    let text = serde_json::to_string(contents).ok().filter(|text| serde_json::from_str::<Made<T>>(text).is_ok());
    let text = text.ok_or(Error::Unsupported { what: "saving", why })?;
    let layers: Vec<_> = named_tensors_of(network)?.into_iter().zip(network.params.iter().map(Vec::as_slice)).collect();
    replace(path, |file| network.pool.install(|| container::write(file, text, &layers, blobs)))
}

/// What the file says of a network, if it does, in this version.
fn contents<'s>(path: &Path, source: &'s Source<'_>) -> Result<Option<&'s str>> {
    let contents = source.contents()?;
    if let Some(text) = contents {
        let version = serde_json::from_str::<Format>(text).map_or_else(|_| "none".to_owned(), |v| v.format.to_string());
        if version != FORMAT.to_string() {
            return Err(format(path, "the version of its format", FORMAT.to_string(), &version));
        }
    }
    Ok(contents)
}
