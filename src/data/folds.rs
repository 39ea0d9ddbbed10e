//! Folds of a data set for cross-validation.

use crate::data::Dataset;
use crate::error::require;
use crate::machine::random::{Purpose, shuffle, stream};
use crate::{Error, Result, Scalar};

impl<T: Scalar> Dataset<T> {
    /// k pairs of a part to train on and a part held out, drawn at random: every example is held out exactly once, and each part
    /// keeps the order of the examples. What scikit-learn calls `KFold`, and `StratifiedKFold` for class labels.
    ///
    /// The sizes of the held-out parts differ by at most one, and so do their numbers of examples of any class. Together the
    /// pairs take k times the memory of the data.
    ///
    /// A scaler, and whatever else is learned from data, is fitted on the part to train on: a [`Pipeline`](crate::Pipeline) does so.
    ///
    /// ```
    /// use decoupled::data;
    ///
    /// let moons = data::two_moons::<f32>(50, 0.1, 0)?;
    /// for (train, held_out) in moons.k_folds(5, 0)? {
    ///     assert_eq!((train.len(), held_out.len()), (40, 10));
    /// }
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::HyperParameter`] for fewer than two folds, [`Error::ExampleCount`] for more than there are examples,
    /// [`Error::Weight`] when all examples of a part have the weight 0.
    #[doc(alias = "cross_val_score")]
    pub fn k_folds(&self, k: usize, seed: u64) -> Result<Vec<(Self, Self)>> {
        require(k >= 2, "folds", "at least 2", k as f64)?;
        if k > self.len() {
            return Err(Error::ExampleCount { what: "folds, one example or more in each", most: self.len(), found: k });
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        shuffle(&mut order, &mut stream(seed, Purpose::Folds, 0, 0));
        if let Some(labels) = self.labels() {
            order.sort_by_key(|&example| labels.get(example));
        }
        // Dealt like cards, class after class without a new start, so that neither sizes nor classes pile up.
        let mut dealt: Vec<_> = order.into_iter().zip((0..k).cycle()).collect();
        dealt.sort_unstable();
        let pair = |fold| {
            let part = |held_out: bool| {
                let own = dealt.iter().filter(|(_, of)| (*of == fold) == held_out);
                self.select(&own.map(|&(example, _)| example).collect::<Vec<_>>())
            };
            Ok((part(false)?, part(true)?))
        };
        (0..k).map(pair).collect()
    }
}
