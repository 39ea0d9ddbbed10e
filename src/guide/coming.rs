//! Coming from Keras, scikit-learn or PyTorch: the habit, and its counterpart here.
//!
//! Two things differ everywhere. **Columns are examples**: a matrix of inputs is `features × n`, and constructors that take rows say
//! so ([`Examples::from_rows`](crate::data::Examples::from_rows)). And a network is *built* once, with its loss and its optimizer, so
//! that there is no `compile`.
//!
//! # Building
//!
//! | habit | here |
//! |---|---|
//! | `Sequential([Dense(64, "relu"), Dense(10)])`, `nn.Sequential`, `MLPClassifier((64,))` | `builder(inputs).dense(64, Activation::Relu).dense(10, Activation::Identity)` |
//! | `softmax` or `sigmoid` as last activation | leave it out: outputs are logits, the loss knows what they mean, `predict_proba` applies it. A fit [warns](crate::Warning::BoundedLogits) of one that is left in |
//! | `loss="sparse_categorical_crossentropy"`, `CrossEntropyLoss` | [`SoftmaxCrossEntropy`](crate::loss::SoftmaxCrossEntropy) |
//! | `loss="binary_crossentropy"`, `BCEWithLogitsLoss` | [`BinaryCrossEntropy`](crate::loss::BinaryCrossEntropy) |
//! | `loss="mse"`, `MLPRegressor` | [`SquaredError`](crate::loss::SquaredError), the default: half the sum of squares over outputs, where others have a mean |
//! | `kernel_initializer=` | [`dense_with`](crate::NetworkBuilder::dense_with) and [`Init`](crate::layer::Init) |
//! | `BatchNormalization` | [`LayerNorm`](crate::layer::LayerNorm); [`GroupNorm`](crate::layer::GroupNorm) on pictures, which says why no layer here looks at other examples |
//! | `GroupNormalization`, `InstanceNorm2d` | [`GroupNorm`](crate::layer::GroupNorm); a group for each channel |
//! | `Dropout` | [`Dropout::new(width, p)`](crate::layer::Dropout) at the end of a [`Chain`](crate::layer::Chain): one mask for all evaluations of a visit, none in predictions. Not for methods whose bank carries activations from visit to visit, nor for closed forms |
//! | `Conv2D`, `MaxPooling2D`, `AveragePooling2D` | [`Conv2d`](crate::layer::Conv2d), [`Pool2d`](crate::layer::Pool2d), channels first; [`conv2d`](crate::NetworkBuilder::conv2d), and the example `convnet`. Arrays with the channels last need `x.transpose(0, 3, 1, 2)` first |
//! | `padding="same"`, `strides=` | `Conv2d::new(builder.shape(), …).padding([1, 1])` for 3 × 3, [`stride`](crate::layer::Conv2d::stride) |
//! | `Conv2DTranspose`, `nn.ConvTranspose2d` | [`ConvTranspose2d`](crate::layer::ConvTranspose2d), and the example `generate` |
//! | `Conv1D`, `nn.Conv1d` | [`Conv1d`](crate::layer::Conv1d), `builder([channels, length])`; poolings are those of pictures of one row, `Pool2d::max(shape, [1, 2])` |
//! | `UpSampling2D`, `nn.Upsample` | [`Upsample`](crate::layer::Upsample), nearest neighbours |
//! | `GlobalAveragePooling2D`, `AdaptiveAvgPool2d(1)` | [`Pool2d::global_mean`](crate::layer::Pool2d::global_mean) |
//! | `Add()([block(x), shortcut(x)])` | [`Residual::new(block).projection(shortcut)`](crate::layer::Residual::projection); without a projection, the input itself is added |
//! | `Flatten` | nothing: [`dense`](crate::NetworkBuilder::dense) reads a picture |
//! | `LSTM`, `Embedding` | none |
//! | `trainable = False`, `requires_grad_(False)` | [`freeze`](crate::DecoupledNetwork::freeze) |
//! | `random_state=`, `manual_seed` | [`seed`](crate::NetworkBuilder::seed) for parameters, [`FitConfig::seed`](crate::FitConfig::seed) for the order of the examples |
//! | `n_jobs=`, `set_num_threads` | [`threads`](crate::NetworkBuilder::threads), or `RAYON_NUM_THREADS` |
//! | `model.summary()` | [`summary`](crate::DecoupledNetwork::summary) |
//!
//! ```
//! use decoupled::DecoupledNetwork;
//! use decoupled::layer::{Activation, Init};
//! use decoupled::loss::SoftmaxCrossEntropy;
//! use decoupled::optimizer::Adam;
//!
//! // Keras: Sequential([Dense(64, "relu"), Dense(3, "softmax")]); compile(Adam(1e-3), "sparse_categorical_crossentropy")
//! // scikit-learn: MLPClassifier((64,), learning_rate_init=1e-3, random_state=7)
//! let mut network = DecoupledNetwork::<f32>::builder(4)
//!     .dense_with(64, Activation::Relu, Init::he_uniform())
//!     .dense(3, Activation::Identity)
//!     .output_loss(SoftmaxCrossEntropy::new())
//!     .optimizer(Adam::new(1e-3))
//!     .seed(7)
//!     .build()?;
//! network.freeze(0)?; // PyTorch: network[0].requires_grad_(False)
//! network.unfreeze(0)?;
//! println!("{}", network.summary());
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! Pictures:
//!
//! ```
//! use decoupled::DecoupledNetwork;
//! use decoupled::layer::{Activation, Chain, Conv2d, Elementwise, Pool2d};
//! use decoupled::loss::SoftmaxCrossEntropy;
//!
//! // PyTorch: Sequential(Conv2d(1, 8, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(8, 16, 3), ReLU(), Flatten(), Linear(16 * 2 * 2, 10))
//! let builder = DecoupledNetwork::<f32>::builder([1, 8, 8]);
//! let conv = Conv2d::new(builder.shape(), 8, [3, 3]).padding([1, 1]);
//! let unit = Chain::new()
//!     .then(conv)
//!     .then(Elementwise::new(conv.output().len(), Activation::Relu))
//!     .then(Pool2d::max(conv.output(), [2, 2])); // one unit: the bank stores the output of the pooling
//! let network = builder
//!     .layer(unit)
//!     .conv2d(16, [3, 3], Activation::Relu)
//!     .dense(10, Activation::Identity)
//!     .output_loss(SoftmaxCrossEntropy::new())
//!     .build()?;
//! assert_eq!(network.summary().layers[1].output, [16, 2, 2].into());
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! # Data
//!
//! | habit | here |
//! |---|---|
//! | `pandas.read_csv` and `get_dummies`, `SimpleImputer`, `ColumnTransformer` | [`csv::Options`](crate::data) (feature `csv`): text becomes one-hot, blanks are filled, unseen categories are refused or ignored (`handle_unknown="ignore"`), and the table's [`Columns`](crate::data::Columns) remember how |
//! | `to_categorical`, `LabelEncoder` | [`Dataset::classification`](crate::Dataset::classification) takes the labels |
//! | `MultiLabelBinarizer` | [`Dataset::multi_label`](crate::Dataset::multi_label) takes zeros and ones, `labels × n`; `csv::Options::labels` columns of a table |
//! | `StandardScaler`, `MinMaxScaler` | [`Scaler`](crate::data::Scaler) |
//! | `transforms.Normalize(mean, std)`, of each channel | [`Scaler::standard_channels`](crate::data::Scaler::standard_channels), from the training data |
//! | `train_test_split(stratify=y)`, `KFold`, `StratifiedKFold` | [`stratified_split`](crate::Dataset::stratified_split), [`k_folds`](crate::Dataset::k_folds) |
//! | `numpy.load`, `torch.from_numpy` | [`read_npy`](crate::data::read_npy), [`Npz`](crate::data::Npz); arrays of `ndarray` with the feature of that name |
//! | `torchvision.datasets.MNIST`, `EMNIST`, `CIFAR10`, `CIFAR100`, `keras.datasets` | [`data::mnist`](crate::data::mnist), [`emnist`](crate::data::emnist), [`cifar10`](crate::data::cifar10), [`cifar100`](crate::data::cifar100), from the files as they are published |
//! | `sample_weight=`, `class_weight=` | [`with_weights`](crate::Dataset::with_weights), [`with_class_weights`](crate::Dataset::with_class_weights), for every method |
//! | `class_weight="balanced"` | [`with_balanced_classes`](crate::Dataset::with_balanced_classes) |
//! | NaN for missing values | [`with_missing`](crate::data::Examples::with_missing) |
//! | `DataLoader(shuffle=True)`, `tf.data` | nothing to do: `fit` shuffles and cuts into batches |
//!
//! ```
//! use decoupled::Dataset;
//! use decoupled::data::{Examples, Scaler};
//!
//! let x = Examples::from_rows(&[[150.0, 0.2], [170.0, 0.1], [190.0, 0.6], [160.0, 0.3]])?; // scikit-learn's X, a row an example
//! let scaler = Scaler::standard(&x)?; // StandardScaler().fit(X)
//! let y = [0, 0, 1, 0];
//!
//! // fit(X, y, class_weight="balanced"), and one output for two classes
//! let data = Dataset::classification(scaler.apply(&x)?, &y, 1)?.with_balanced_classes()?;
//! let (train, test) = data.stratified_split(0.75, 0)?; // train_test_split(X, y, train_size=0.75, stratify=y)
//!
//! // several labels an example: BCEWithLogitsLoss with targets of zeros and ones
//! let tags = Examples::from_rows(&[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])?;
//! let tagged = Dataset::multi_label(scaler.apply(&x)?, tags)?;
//! assert_eq!((train.len(), test.len(), tagged.target_dim()), (3, 1, 3));
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! # Training
//!
//! | habit | here |
//! |---|---|
//! | `model.fit(x, y, epochs, batch_size, validation_data)` | [`fit`](crate::DecoupledNetwork::fit) with a [`FitConfig`](crate::FitConfig); `fit_backprop` for the chain rule |
//! | `warm_start=True`, calling `fit` again | the default: a fit goes on where the last one ended |
//! | `RandomCrop(32, padding=4)`, `RandomHorizontalFlip()`, `RandomFlip("horizontal")` | [`FitConfig::augment`](crate::FitConfig::augment) with an [`Augmentation`](crate::data::Augmentation)`::new([3, 32, 32]).shift(4).flip()` |
//! | `callbacks=[…]` | [`fit_observed`](crate::DecoupledNetwork::fit_observed) and the module [`observer`](crate::observer) |
//! | `EarlyStopping`, `ReduceLROnPlateau`, `CSVLogger(append=True)`, `LearningRateScheduler` | [`EarlyStopping`](crate::observer::EarlyStopping), [`ReduceLrOnPlateau`](crate::observer::ReduceLrOnPlateau), [`History`](crate::observer::History) with `append`, [`LearningRateScheduler`](crate::observer::LearningRateScheduler): a factor on the rate, epochs from 1. The optimizer keeps its rate: a fit without the observer has it in full again |
//! | `ModelCheckpoint(save_best_only=True)` | `Checkpoint::new(path).best_only()` (feature `save`): the network alone, `model.network = DecoupledNetwork::load(path)?` gives it to a model |
//! | `CosineDecay`, `lr_scheduler.StepLR` | [`Scheduled`](crate::optimizer::Scheduled) around an optimizer: it counts updates, not epochs |
//! | `optimizer.learning_rate = 1e-4` between fits, `param_groups` | [`set_optimizer`](crate::DecoupledNetwork::set_optimizer), [`set_layer_optimizer`](crate::DecoupledNetwork::set_layer_optimizer) |
//! | `clipnorm=`, `clip_grad_norm_` | [`ClipNorm`](crate::optimizer::ClipNorm), [`ClipValue`](crate::optimizer::ClipValue) |
//! | `weight_decay=`, `kernel_regularizer=l2(l)`, `alpha=` | [`AdamW`](crate::optimizer::AdamW); [`WeightDecay`](crate::optimizer::WeightDecay) by `weight_decay`, by `2 l`, or by `alpha / batch_size`, with `weights_only` to leave biases out |
//! | `kernel_regularizer=l1(…)` | [`L1`](crate::optimizer::L1) |
//! | `loss.backward()` several times before `optimizer.step()` | [`FitConfig::accumulate`](crate::FitConfig::accumulate), with a method of one step a visit, as [`red_black`](crate::Method::red_black) |
//! | `validation_split=`, `early_stopping=True` | [`FitConfig::validation_fraction`](crate::FitConfig::validation_fraction), drawn at random and stratified; with [`EarlyStopping`](crate::observer::EarlyStopping) |
//! | `partial_fit`, `tol=`, `verbose=` | a fit of one epoch; [`EarlyStopping`](crate::observer::EarlyStopping); the observers [`Table`](crate::observer::Table) and `Progress` |
//!
//! ```
//! use decoupled::layer::Activation;
//! use decoupled::loss::BinaryCrossEntropy;
//! use decoupled::observer::{EarlyStopping, ReduceLrOnPlateau};
//! use decoupled::optimizer::{AdamW, ClipNorm, L1};
//! use decoupled::{DecoupledNetwork, FitConfig, data};
//!
//! let moons = data::two_moons::<f32>(200, 0.1, 0)?.with_one_output()?;
//! let (train, held_out) = moons.stratified_split(0.8, 0)?;
//! let mut network = DecoupledNetwork::builder(2)
//!     .dense(16, Activation::Tanh)
//!     .dense(1, Activation::Identity)
//!     .output_loss(BinaryCrossEntropy)
//!     .optimizer(ClipNorm::new(AdamW::new(1e-2).weights_only(), 1.0))
//!     .build()?;
//!
//! // Keras: fit(…, validation_data=held_out, callbacks=[EarlyStopping(patience=20), ReduceLROnPlateau(patience=5)])
//! let (mut stopping, mut plateau) = (EarlyStopping::new().patience(20), ReduceLrOnPlateau::new().patience(5));
//! let config = FitConfig::new().epochs(100).batch_size(32).validation(&held_out);
//! let report = network.fit_observed(&train, &config, &mut [&mut stopping, &mut plateau])?;
//! println!("{report}");
//!
//! // PyTorch: a new learning rate, and the optimizer's memory as it was
//! network.set_optimizer(ClipNorm::new(AdamW::new(1e-3).weights_only(), 1.0))?;
//! network.fit(&train, &config)?;
//! network.set_optimizer(L1::new(AdamW::new(1e-3), 1e-4).weights_only())?; // another rule: its memory starts anew
//! network.fit(&train, &config)?;
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! # Predicting and judging
//!
//! | habit | here |
//! |---|---|
//! | `model.predict(x)` of Keras, `model(x)` | [`predict`](crate::DecoupledNetwork::predict): logits of a classifier |
//! | `predict` of scikit-learn | [`predict_class`](crate::DecoupledNetwork::predict_class), or `predict` where targets are numbers |
//! | `predict_proba` | [`predict_proba`](crate::DecoupledNetwork::predict_proba), `classes × n`; one output gives one row, that of class 1 |
//! | a threshold other than ½, for one output or labels | [`threshold`](crate::NetworkBuilder::threshold), [`set_threshold`](crate::DecoupledNetwork::set_threshold) |
//! | `predict` of a multi-label classifier | [`predict_labels`](crate::DecoupledNetwork::predict_labels), `labels × n` |
//! | `model.evaluate`, `score` | [`evaluate`](crate::DecoupledNetwork::evaluate), [`score`](crate::DecoupledNetwork::score) |
//! | `classification_report`, `confusion_matrix` | [`confusion_matrix`](crate::metrics::confusion_matrix), printed with [class names](crate::metrics::ConfusionMatrix::with_names) |
//! | `roc_auc_score`, `average_precision_score`, `hamming_loss` … | the module [`metrics`](crate::metrics), to the same digits |
//! | `scoring="roc_auc"`, `"average_precision"`, `"f1"`, `"neg_log_loss"` … | [`Scoring::RocAuc`](crate::search::Scoring::RocAuc) and its siblings, for a [search](crate::search::Search::scoring), which knows that less of a loss is better |
//! | `OneVsRestClassifier` | several outputs, [`BinaryCrossEntropy`](crate::loss::BinaryCrossEntropy) and class labels: [`score`](crate::DecoupledNetwork::score) takes the largest output |
//! | `metrics=["accuracy"]` | [`FitConfig::metric`](crate::FitConfig::metric), a mean over examples; accuracy is the default for classes, and refused for real numbers |
//! | `get_weights`, `set_weights`; outputs of hidden layers | [`params`](crate::DecoupledNetwork::params), [`set_params`](crate::DecoupledNetwork::set_params); [`activations`](crate::DecoupledNetwork::activations) |
//! | `cross_val_score`, `GridSearchCV`, `RandomizedSearchCV` | [`k_folds`](crate::Dataset::k_folds), [`Search`](crate::search::Search) |
//! | `Pipeline`, `make_pipeline(StandardScaler(), …)` | [`Pipeline`](crate::Pipeline): its steps are fitted in every fold of a search |
//! | `best_params_`, `best_score_`, `best_estimator_` | [`best`](crate::search::SearchReport::best), and [`refit`](crate::search::SearchReport::refit) on all data |
//! | `model.save`, `joblib.dump`, `torch.save(state_dict)` | [`Model`](crate::Model) with its scalers and names: `Model::save`, `Model::load` (feature `save`) |
//!
//! ```
//! use decoupled::data::{self, Scaling};
//! use decoupled::layer::Activation;
//! use decoupled::observer::EarlyStopping;
//! use decoupled::optimizer::Adam;
//! use decoupled::search::{Search, Space};
//! use decoupled::{DecoupledNetwork, FitConfig, Pipeline, Result};
//!
//! let (train, test) = data::two_moons::<f32>(120, 0.2, 0)?.stratified_split(0.75, 0)?;
//!
//! // GridSearchCV(make_pipeline(StandardScaler(), MLPClassifier(early_stopping=True)), {"alpha": [1e-3, 1e-2]}, cv=3)
//! let build = |candidate: &decoupled::search::Candidate| -> Result<_> {
//!     let network = DecoupledNetwork::builder(2)
//!         .dense(8, Activation::Tanh)
//!         .dense(2, Activation::Identity)
//!         .optimizer(Adam::new(candidate.get("rate")?))
//!         .build()?;
//!     let config = FitConfig::new().epochs(30).batch_size(16).validation_fraction(0.1);
//!     let pipeline = Pipeline::new(network, config).scale_inputs(Scaling::Standard);
//!     Ok(pipeline.observer(EarlyStopping::new().patience(10)))
//! };
//! let report = Search::grid(Space::new().choices("rate", &[1e-3, 1e-2])).cv(3).fit(&train, build)?;
//! let (model, _) = report.refit(&train, build)?; // best_estimator_
//! println!("{report}\n{:.3}", model.score(&test)?);
//! # Ok::<(), decoupled::Error>(())
//! ```
