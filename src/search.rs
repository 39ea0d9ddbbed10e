//! A search for hyper-parameters by cross-validation.
//!
//! You say which numbers may vary ([`Space`]), and how a network and its [`FitConfig`] are made from a choice of them
//! ([`Candidate`]); [`Search`] trains every candidate on k parts of the data, judges it on what each of them holds out, and
//! [`SearchReport`] says which was best.
//!
//! ```
//! use decoupled::layer::Activation;
//! use decoupled::optimizer::Adam;
//! use decoupled::search::{Search, Space};
//! use decoupled::{DecoupledNetwork, FitConfig, Method, data};
//!
//! let moons = data::two_moons::<f32>(60, 0.1, 0)?;
//! let space = Space::new().log_uniform("learning_rate", 1e-3, 1e-1).choices("activation_rate", &[0.1, 0.3]);
//! let report = Search::randomized(space, 4).cv(3).fit(&moons, |candidate| {
//!     let network = DecoupledNetwork::builder(2)
//!         .dense(8, Activation::Tanh)
//!         .dense(2, Activation::Identity)
//!         .optimizer(Adam::new(candidate.get("learning_rate")?))
//!         .build()?;
//!     let method = Method::default().activation_rate(candidate.get("activation_rate")?);
//!     Ok((network, FitConfig::new().method(method).epochs(5).batch_size(10)))
//! })?;
//! println!("{report}");
//! let best = report.best().map(|trial| &trial.candidate);
//! assert!(best.is_some_and(|candidate| candidate.get("learning_rate").is_ok()));
//! # Ok::<(), decoupled::Error>(())
//! ```

use std::fmt;
use std::sync::Arc;

use crate::error::require;
use crate::parallel::{Pool, available, caught, map_apart};
use crate::{Dataset, DecoupledNetwork, Error, FitConfig, Result, Scalar};

mod report;
mod space;

pub use report::{SearchReport, Trial};
pub use space::{Candidate, Space};

/// What a candidate is judged by on the examples that are held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scoring {
    /// [`DecoupledNetwork::score`]: accuracy for class labels, subset accuracy for multi-label data, else R²; the more the better.
    Score,
    /// The forward loss, mean over the examples; the less the better.
    Loss,
}

impl Scoring {
    /// Fails before any training where there will be nothing to judge by.
    fn check<T: Scalar>(self, network: &DecoupledNetwork<T>, data: &Dataset<T>) -> Result<()> {
        if self == Self::Score { network.check_score(data) } else { Ok(()) }
    }

    fn judge<T: Scalar>(self, network: &DecoupledNetwork<T>, data: &Dataset<T>) -> Result<f64> {
        match self {
            Self::Score => network.score(data),
            Self::Loss => network.evaluate_with(data, None).map(|scores| scores.loss),
        }
    }
}

impl fmt::Display for Scoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Score => "score",
            Self::Loss => "loss",
        })
    }
}

/// The most candidates: all of them and their scores are kept.
const MOST: usize = 1_000_000;

/// Which candidates are tried, and how they are judged.
///
/// Defaults: five folds, [`Scoring::Score`], seed 0, as many threads as the machine has. The words are scikit-learn's.
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

    /// What candidates are judged by.
    pub fn scoring(mut self, scoring: Scoring) -> Self {
        self.scoring = scoring;
        self
    }

    /// Seeds the folds and the draws. Networks and the order of their examples have seeds of their own, which the closure sets.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// So many candidates are trained at a time, each on one thread; the report is the same at any number.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Trains and judges every candidate. `build` is called once for each, and a copy of its network is trained for each fold, on
    /// one thread whatever the network was built with.
    ///
    /// A candidate that fails, by an error of `build`, of the training (as when it diverges) or by a panic, keeps its error in the
    /// report; the others go on.
    ///
    /// # Errors
    /// Before anything is trained: [`Error::Empty`] for a space without dimensions, [`Error::InDimension`] for a dimension that has
    /// no choices, bounds that are no range, or the name of another, and for a range in a grid, [`Error::HyperParameter`] for
    /// numbers of candidates, folds or threads outside their domain, [`Error::ExampleCount`] for more folds than examples. Else only
    /// [`Error::ThreadPool`].
    pub fn fit<'c, T: Scalar>(
        &self,
        data: &Dataset<T>,
        build: impl Fn(&Candidate) -> Result<(DecoupledNetwork<T>, FitConfig<'c, T>)> + Sync,
    ) -> Result<SearchReport> {
        let candidates = self.candidates()?;
        let folds = data.k_folds(self.cv, self.seed)?;
        let single = Pool::shared(1)?;
        let judge = |candidate: &Candidate| {
            let (mut network, config) = build(candidate)?;
            network.pool = Arc::clone(&single);
            self.scoring.check(&network, data)?;
            let judge = |(train, held_out): &(Dataset<T>, Dataset<T>)| {
                let mut network = network.clone();
                network.fit(train, &config)?;
                self.scoring.judge(&network, held_out)
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
