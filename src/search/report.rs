//! A search's trials, the best of them, and its refit on all data.

use std::fmt;

use super::{Candidate, Scoring};
use crate::error::four_digits;
use crate::observer::Mode;
use crate::{Dataset, Error, FitReport, Model, Pipeline, Result, Scalar, table};

/// What a search has found: every candidate with its scores.
#[derive(Debug)]
pub struct SearchReport {
    /// What the candidates were judged by.
    pub scoring: Scoring,
    /// The candidates, in the order in which they were drawn or stand in the grid.
    pub trials: Vec<Trial>,
}

/// A candidate and what became of it.
#[derive(Debug)]
pub struct Trial {
    /// Its values.
    pub candidate: Candidate,
    /// Its score on the held-out part of each fold, or what went wrong with the first fold that did.
    pub scores: Result<Vec<f64>>,
}

impl Trial {
    /// The mean over the folds; none for a candidate that failed.
    pub fn mean_test_score(&self) -> Option<f64> {
        let scores = self.scores.as_ref().ok()?;
        Some(scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// The standard deviation over the folds, of these as the whole population; none for a candidate that failed.
    pub fn std_test_score(&self) -> Option<f64> {
        let (scores, mean) = (self.scores.as_ref().ok()?, self.mean_test_score()?);
        let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
        Some((squares / scores.len() as f64).sqrt())
    }
}

impl SearchReport {
    /// Returns the candidate with the best mean, the first of equal ones. One that failed, or whose mean is not finite,
    /// never is; where there are no others there is no best.
    #[doc(alias = "best_params_")]
    #[doc(alias = "best_score_")]
    pub fn best(&self) -> Option<&Trial> {
        self.trials.get(self.best_index()?)
    }

    /// Returns the place of the [best](Self::best) candidate among the trials.
    pub fn best_index(&self) -> Option<usize> {
        let worth = |trial: &Trial| {
            let mean = trial.mean_test_score().filter(|mean| mean.is_finite())?;
            Some(match self.scoring.mode() {
                Mode::Max => mean,
                Mode::Min => -mean,
            })
        };
        let judged = self.trials.iter().enumerate().filter_map(|(i, trial)| Some((i, worth(trial)?)));
        // Of equals `max_by` takes the last: reversed, so that the first candidate is taken.
        let best = judged.collect::<Vec<_>>().into_iter().rev().max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map(|(i, _)| i)
    }

    /// Builds the best candidate once more and fits it on all data, with the threads that its network was built with.
    /// `build` is the closure that [`Search::fit`](super::Search::fit) was given.
    ///
    /// # Errors
    /// [`Error::Empty`] where there is no best; those of `build` and of [`Pipeline::fit`].
    #[doc(alias = "best_estimator_")]
    pub fn refit<'c, T: Scalar, P: Into<Pipeline<'c, T>>>(
        &self,
        data: &Dataset<T>,
        build: impl Fn(&Candidate) -> Result<P>,
    ) -> Result<(Model<T>, FitReport)> {
        let best =
            self.best().ok_or(Error::Empty { what: "the list of candidates that could be trained and judged" })?;
        build(&best.candidate)?.into().fit(data)
    }
}

impl fmt::Display for SearchReport {
    /// A table of the candidates with mean and standard deviation of their scores; then the best one, and what went
    /// wrong with others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            self.trials.iter().take(1).flat_map(|trial| trial.candidate.iter().map(|(name, _)| name.to_owned()));
        let head =
            ["candidate".to_owned()].into_iter().chain(names).chain([self.scoring.to_string(), "std".to_owned()]);
        let score = |score: Option<f64>| score.map_or_else(|| "failed".to_owned(), |score| format!("{score:.4}"));
        let row = |(i, trial): (usize, &Trial)| {
            let values = trial.candidate.iter().map(|(_, value)| four_digits(value));
            let judged = [trial.mean_test_score(), trial.std_test_score()].map(score);
            [i.to_string()].into_iter().chain(values).chain(judged).collect()
        };
        let rows = [head.collect()].into_iter().chain(self.trials.iter().enumerate().map(row));
        writeln!(f, "{}", table::aligned(&rows.collect::<Vec<_>>()))?;
        match self.best() {
            Some(best) => write!(f, "best: {}", best.candidate)?,
            None => f.write_str("best: none")?,
        }
        for (i, trial) in self.trials.iter().enumerate() {
            if let Err(error) = &trial.scores {
                write!(f, "\ncandidate {i}: {error}")?;
            }
        }
        Ok(())
    }
}
