//! Networks and models in files: parameters as tensors, with a description from which built-in layers are made anew.

use std::mem;
use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::data::{Columns, Scaler};
use crate::description::Description;
use crate::layer::{Tensor, tensors_of};
use crate::machine::file::{format, replace};
use crate::machine::parallel::guarded;
use crate::metrics::Decision;
use crate::model::Steps;
use crate::{DecoupledNetwork, Error, Layer, Loss, Model, NetworkBuilder, Result, Scalar};

mod checkpoint;
mod container;

pub(crate) use checkpoint::restore;

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
    /// None for the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
    /// None in files that are older than columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Columns>,
    /// In a checkpoint: what a fit needs to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<Training>,
}

impl<L, O> Contents<L, O> {
    /// The network with what the file says beside it.
    fn beside<T: Scalar>(self, network: DecoupledNetwork<T>) -> Result<Model<T>> {
        let Self { input_scaler, target_scaler, feature_names, class_names, columns, .. } = self;
        let steps = Steps::none();
        let model = Model { network, input_scaler, target_scaler, feature_names, class_names, columns, steps };
        model.check()?;
        Ok(model)
    }
}

/// The part that every version has.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// Whatever layers and loss it says, for a network that is there.
type Unread = Contents<IgnoredAny, IgnoredAny>;

type Made<T> = Contents<Arc<dyn Layer<T>>, Arc<dyn Loss<T>>>;

impl<T: Scalar> Model<T> {
    /// Writes all of it to a file, as [`DecoupledNetwork::save`] does.
    ///
    /// ```
    /// use decoupled::data::{self, Scaling};
    /// use decoupled::layer::Activation;
    /// use decoupled::{DecoupledNetwork, FitConfig, Model, Pipeline};
    ///
    /// let moons = data::two_moons::<f32>(100, 0.1, 0)?;
    /// let network = DecoupledNetwork::builder(2).dense(8, Activation::Tanh).dense(2, Activation::Identity).build()?;
    /// let (model, _) = Pipeline::new(network, FitConfig::new()).scale_inputs(Scaling::Standard).fit(&moons)?;
    /// # let path = std::env::temp_dir().join(format!("decoupled-model-{}.safetensors", std::process::id()));
    /// model.class_names(["upper", "lower"]).save(&path)?;
    ///
    /// let model = Model::<f32>::load(&path)?;
    /// println!("{:?}", model.predict_name(moons.inputs())?);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`DecoupledNetwork::save`]; [`Error::Shape`] for a scaler or columns of another width, or names for some
    /// inputs or outputs only; and [`Error::Unsupported`] for a model with a [step](Self::step), which is code.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.check()?;
        if !self.steps.is_empty() {
            let why = "a file holds no code: leave the step out, and add it again to the model that is loaded";
            return Err(Error::Unsupported { what: "saving a model with a step", why });
        }
        let contents = Contents {
            input_scaler: self.input_scaler.clone(),
            target_scaler: self.target_scaler.clone(),
            feature_names: self.feature_names.clone(),
            class_names: self.class_names.clone(),
            columns: self.columns.clone(),
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
        let mut contents: Made<T> = match contents(path, &source)? {
            Some(text) => parse(path, text)?,
            None => return Err(undescribed(path)),
        };
        let names = blobs(path, &source, &contents)?;
        let built_in = "one that is built in; for others build the network and use load_params or load_into";
        let missing = |place: &str| format(path, place, built_in, "another");
        let layers = mem::take(&mut contents.layers).into_iter().enumerate();
        let layers: Vec<_> =
            layers.map(|(t, layer)| layer.ok_or_else(|| missing(&format!("layer {t}")))).collect::<Result<_>>()?;
        let output_loss = contents.output_loss.take().ok_or_else(|| missing("the output loss"))?;
        let tensors: Result<Vec<_>> =
            layers.iter().enumerate().map(|(t, layer)| named_tensors(&**layer, t, layer.param_len())).collect();
        let (params, _) = source.read(&tensors?, &names)?;
        let mut params = params.into_iter();
        let builder = NetworkBuilder::described(layers, output_loss);
        let network = contents
            .threshold
            .into_iter()
            .fold(builder, NetworkBuilder::threshold)
            .build_with(|_, _, _| Ok(params.next().unwrap_or_default()))?;
        require_params(&network)?;
        contents.beside(network)
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
        network.start_with(params);
        let Some(contents) = contents else { return Err(undescribed(path)) };
        network.set_threshold(contents.threshold.unwrap_or(Decision::DEFAULT_THRESHOLD))?;
        contents.beside(network)
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
    /// that is killed leaves one of the two. The path of a symbolic link means its target: the link stays, and a target that is missing
    /// is made. Mode, owner and group are those of the old file, the latter two where the system lets; a new file has those of any new
    /// file. Another hard link to the old file keeps the old file.
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
    /// [`Error::Io`], and the old file is as it was; [`Error::NotAFile`] for a path that leads to a folder, a FIFO, a socket or a
    /// device; [`Error::Empty`] for a network without parameters, [`Error::Unsupported`] for
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
        let (params, _) = read_params(self, path.as_ref(), false)?;
        self.start_with(params);
        Ok(())
    }

    /// The same for tensors of `f64`, `f32`, half precision (F16) or bfloat16 (BF16), which are rounded to the nearest `T`: the explicit
    /// way from one scalar to another, and from weights that another program keeps in 16 bits.
    ///
    /// # Errors
    /// As [`load_params`](Self::load_params), but for the scalar; [`Error::Format`] for a number that is too large for `T`, and for
    /// tensors of integers.
    pub fn load_params_cast(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let (params, _) = read_params(self, path.as_ref(), true)?;
        self.start_with(params);
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
        output_loss: guarded("describe of the output loss", None, || network.output_loss.describe())?,
        input_scaler: None,
        target_scaler: None,
        feature_names: Vec::new(),
        class_names: Vec::new(),
        threshold: Some(network.threshold()).filter(|&threshold| threshold != Decision::DEFAULT_THRESHOLD),
        columns: None,
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
