//! A search for hyper-parameters by cross-validation.
//!
//! You say which numbers may vary ([`Space`]), and how a [`Pipeline`] is made from a choice of them ([`Candidate`]): a
//! network, how it is trained, scalers and other steps. [`Search`] trains every candidate on k parts of the data and
//! judges it on the examples that each of them holds out; [`SearchReport`] says which was best, and trains that one on
//! all data.
//!
//! ```
//! use decoupled::data::{self, Scaling};
//! use decoupled::layer::Activation;
//! use decoupled::observer::EarlyStopping;
//! use decoupled::optimizer::Adam;
//! use decoupled::search::{Candidate, Search, Space};
//! use decoupled::{DecoupledNetwork, FitConfig, Method, Pipeline};
//! use decoupled::method::{Order, Sweeps};
//!
//! let moons = data::two_moons::<f32>(60, 0.1, 0)?;
//! let space = Space::new().log_uniform("learning_rate", 1e-3, 1e-1).choices("activation_rate", &[0.1, 0.3]);
//! let build = |candidate: &Candidate| {
//!     let network = DecoupledNetwork::builder(2)
//!         .dense(8, Activation::Tanh)
//!         .dense(2, Activation::Identity)
//!         .optimizer(Adam::new(candidate.get("learning_rate")?))
//!         .build()?;
//!     let sweeps = Sweeps::reaching(Order::RedBlack, candidate.get("activation_rate")?).stable(1.8);
//!     let method = Method::red_black().activation(sweeps);
//!     // Every fold trains until the loss on a fifth of its training part no longer falls.
//!     let config = FitConfig::new().method(method).epochs(20).batch_size(10).validation_fraction(0.2);
//!     let stopping = EarlyStopping::new().patience(3).restore_best_weights();
//!     Ok(Pipeline::new(network, config).scale_inputs(Scaling::Standard).observer(stopping))
//! };
//! let report = Search::randomized(space, 4).cv(3).fit(&moons, build)?;
//! println!("{report}");
//!
//! let (model, _) = report.refit(&moons, build)?;
//! println!("{:?}", model.predict_class(&[0.5, 0.0][..])?);
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! # Leaks
//!
//! Everything that is learned from data belongs in the pipeline: it is then fitted in every fold, on the part to train
//! on alone. A scaler that is fitted on all data before the search has seen the examples that judge it, and a choice of
//! features by their correlation with the targets gives scores above chance on pure noise. So does a stop by the loss
//! on the held-out part; take [`validation_fraction`](crate::FitConfig::validation_fraction).

use std::sync::Arc;

use crate::error::require;
use crate::machine::parallel::{Pool, available, caught, map_apart};
use crate::{Dataset, Error, Pipeline, Result, Scalar};

mod report;
mod scoring;
mod space;

pub use report::{SearchReport, Trial};
pub use scoring::Scoring;
pub use space::{Candidate, Space};

/// The most candidates: all of them and their scores are kept.
const MOST: usize = 1_000_000;

/// Which candidates are tried, and how they are judged.
///
/// Defaults: five folds, [`Scoring::Score`], seed 0, as many threads as a network has
/// ([`NetworkBuilder::threads`](crate::NetworkBuilder::threads): `RAYON_NUM_THREADS`, or the processors). The words are scikit-learn's.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Search {
    space: Space,
    /// So many draws; without a number, all of a grid.
    n_iter: Option<usize>,
    cv: usize,
    scoring: Scoring,
    seed: u64,
    /// Without a number, as many as the machine has.
    threads: Option<usize>,
}

impl Search {
    /// `n_iter` candidates drawn at random, each by itself: choices may come more than once.
    #[doc(alias = "RandomizedSearchCV")]
    pub fn randomized(space: Space, n_iter: usize) -> Self {
        Self::new(space, Some(n_iter))
    }

    /// All combinations of a space that has only [`choices`](Space::choices); the last dimension changes fastest.
    #[doc(alias = "GridSearchCV")]
    pub fn grid(space: Space) -> Self {
        Self::new(space, None)
    }

    fn new(space: Space, n_iter: Option<usize>) -> Self {
        Self { space, n_iter, cv: 5, scoring: Scoring::Score, seed: 0, threads: None }
    }

    /// The number of folds: see [`Dataset::k_folds`].
    pub fn cv(mut self, folds: usize) -> Self {
        self.cv = folds;
        self
    }

    /// What candidates are judged by: accuracy or R² unless set, or ROC AUC, F1, the log loss and others of
    /// [`metrics`](crate::metrics).
    pub fn scoring(mut self, scoring: Scoring) -> Self {
        self.scoring = scoring;
        self
    }

    /// Seeds the folds and the draws. Networks and the order of their examples have seeds of their own, which the
    /// closure sets.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// So many candidates are trained at a time, each on one thread; the report is the same at any number.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Trains and judges every candidate. `build` is called once for each, and returns its [`Pipeline`], or a network
    /// and how it is trained. The pipeline is [fitted](Pipeline::fit) for each fold, steps and all, on the part to
    /// train on alone, and judged on the part held out; on one thread, whatever the network was built with.
    ///
    /// A candidate that fails, by an error of `build`, of the training (as when it diverges) or by a panic, keeps its
    /// error in the report; the others go on.
    ///
    /// # Errors
    /// Before anything is trained: [`Error::Empty`] for a space without dimensions, [`Error::InDimension`] for a
    /// dimension that has no choices, bounds that are no range, or the name of another, and for a range in a grid,
    /// [`Error::HyperParameter`] for numbers of candidates, folds or threads outside their domain,
    /// [`Error::ExampleCount`] for more folds than examples, [`Error::Weight`] when all examples of a part weigh 0. Else only
    /// [`Error::ThreadPool`].
    pub fn fit<'c, T: Scalar, P: Into<Pipeline<'c, T>>>(
        &self,
        data: &Dataset<T>,
        build: impl Fn(&Candidate) -> Result<P> + Sync,
    ) -> Result<SearchReport> {
        let candidates = self.candidates()?;
        let folds = data.k_folds(self.cv, self.seed)?;
        let single = Pool::shared(1)?;
        let judge = |candidate: &Candidate| {
            let mut pipeline: Pipeline<'c, T> = build(candidate)?.into();
            pipeline.network.pool = Arc::clone(&single);
            self.scoring.check(&pipeline.network, data)?;
            let judge = |(train, held_out): &(Dataset<T>, Dataset<T>)| {
                let (model, _) = pipeline.fit(train)?;
                self.scoring.judge(&model, held_out)
            };
            folds.iter().map(judge).collect()
        };
        let scores = map_apart(&candidates, self.threads.unwrap_or_else(available), |candidate| {
            caught(|| judge(candidate)).unwrap_or_else(|message| Err(Error::CandidatePanicked { message }))
        })?;
        let trials = candidates.into_iter().zip(scores).map(|(candidate, scores)| Trial { candidate, scores });
        Ok(SearchReport { scoring: self.scoring, trials: trials.collect() })
    }

    fn candidates(&self) -> Result<Vec<Candidate>> {
        self.space.validate()?;
        let checked = |name, count: usize| require((1..=MOST).contains(&count), name, "in 1..=1000000", count as f64);
        match self.n_iter {
            Some(count) => {
                checked("n_iter", count)?;
                Ok((0..count).map(|candidate| self.space.draw(self.seed, candidate)).collect())
            }
            None => {
                checked("combinations of a grid", self.space.combinations()?)?;
                self.space.grid()
            }
        }
    }
}
