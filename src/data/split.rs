//! Parts of a data set: random and stratified splits, shuffles and selections.

use crate::data::{Dataset, Examples, Kind};
use crate::error::require;
use crate::machine::random::{Purpose, shuffle, stream};
use crate::{Error, MatRef, Result, Scalar};

impl<T: Scalar> Dataset<T> {
    /// Two parts drawn at random, the first with `fraction_of_first` of the examples (rounded, but neither part is
    /// empty).
    ///
    /// # Errors
    /// [`Error::HyperParameter`] unless 0 < fraction < 1, [`Error::Empty`] when there is only one example, [`Error::Weight`] when
    /// all examples of a part have the weight 0.
    pub fn split(&self, fraction_of_first: f64, seed: u64) -> Result<(Self, Self)> {
        self.split_by_group(&vec![0; self.len()], 1, fraction_of_first, seed)
    }

    /// Two parts drawn at random so that each class is divided in the same ratio, by largest remainders.
    ///
    /// The first part has `fraction_of_first` of the examples, rounded; a class of two or more is in both parts, which
    /// goes before the fraction when it leaves no choice.
    ///
    /// ```
    /// let (train, test) = decoupled::data::digits::<f32>()?.stratified_split(0.8, 7)?;
    /// assert_eq!((train.len(), test.len()), (1438, 359));
    /// # Ok::<(), decoupled::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`split`](Self::split), and [`Error::Unsupported`] when the targets are not classes.
    #[doc(alias = "train_test_split")]
    pub fn stratified_split(&self, fraction_of_first: f64, seed: u64) -> Result<(Self, Self)> {
        let why = "the targets are not classes: use split";
        let classes = self.labels().zip(self.classes());
        let (labels, classes) = classes.ok_or(Error::Unsupported { what: "stratified_split", why })?;
        self.split_by_group(labels, classes, fraction_of_first, seed)
    }

    fn split_by_group(&self, groups: &[usize], count: usize, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        require(0.0 < fraction && fraction < 1.0, "fraction_of_first", "above 0 and below 1", fraction)?;
        if self.len() < 2 {
            return Err(Error::Empty { what: "one part of a split" });
        }
        let mut sizes = vec![0; count];
        for &group in groups {
            sizes.get_mut(group).into_iter().for_each(|size| *size += 1);
        }
        let mut left = quotas(&sizes, fraction);

        let mut order: Vec<usize> = (0..self.len()).collect();
        shuffle(&mut order, &mut stream(seed, Purpose::Split, 0, 0));
        let (first, second): (Vec<_>, Vec<_>) = order.into_iter().partition(|&example| {
            let Some(left) = groups.get(example).and_then(|&group| left.get_mut(group)) else { return false };
            let goes_first = *left > 0;
            *left -= usize::from(goes_first);
            goes_first
        });
        Ok((self.select(&first)?, self.select(&second)?))
    }

    /// The same examples in an order drawn at random.
    ///
    /// # Errors
    /// None in practice: those of [`select`](Self::select).
    pub fn shuffled(&self, seed: u64) -> Result<Self> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        shuffle(&mut order, &mut stream(seed, Purpose::Shuffle, 0, 0));
        self.select(&order)
    }

    /// The first `count` examples.
    ///
    /// # Errors
    /// [`Error::Empty`] for none, [`Error::ExampleCount`] for more than there are, [`Error::Weight`] when all of them have the
    /// weight 0.
    pub fn take(&self, count: usize) -> Result<Self> {
        if count > self.len() {
            return Err(Error::ExampleCount { what: "take", most: self.len(), found: count });
        }
        self.select(&(0..count).collect::<Vec<_>>())
    }

    /// `count` examples that lie evenly among all, or all if there are fewer; without weights.
    pub(crate) fn evenly(&self, count: usize) -> Result<Self> {
        let count = count.min(self.len());
        self.gather(&(0..count).map(|i| i * self.len() / count).collect::<Vec<_>>())
    }

    /// The examples at `indices`, in that order; an index may come more than once.
    ///
    /// # Errors
    /// [`Error::Empty`] without indices, [`Error::ExampleIndex`] for an index that is not in `0..len`, and [`Error::Weight`] when
    /// all of these examples have the [weight](Self::with_weights) 0.
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        if let Some(&found) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(Error::ExampleIndex { count: self.len(), found });
        }
        let own = self.gather(indices)?;
        match self.weights() {
            Some(weights) => {
                let weights: Vec<f64> = indices.iter().filter_map(|&index| weights.get(index)).copied().collect();
                own.with_weights(&weights)
            }
            None => Ok(own),
        }
    }

    /// The examples at indices that there are, without weights.
    fn gather(&self, indices: &[usize]) -> Result<Self> {
        // What is NaN among them was said to be missing.
        let inputs = gather(self.inputs(), indices)?.with_missing();
        let targets = gather(self.targets(), indices)?;
        let kind = match &self.kind {
            Kind::Classes(labels) => {
                Kind::Classes(indices.iter().filter_map(|&index| labels.get(index)).copied().collect())
            }
            other => other.clone(),
        };
        Self::checked(inputs, targets, kind)
    }
}

fn gather<T: Scalar>(matrix: MatRef<'_, T>, indices: &[usize]) -> Result<Examples<T>> {
    let mut data = Vec::with_capacity(matrix.rows() * indices.len());
    indices.iter().for_each(|&index| data.extend_from_slice(matrix.column(index)));
    Examples::from_columns(data, indices.len(), matrix.rows())
}

/// How many of each group go first: one at a time to the group that is furthest below its exact share, which ends at the
/// largest remainders. A group of two or more keeps at least one in either part.
fn quotas(sizes: &[usize], fraction: f64) -> Vec<usize> {
    let all: usize = sizes.iter().sum();
    let most = |size: usize| if size > 1 { size - 1 } else { size };
    let mut quotas: Vec<usize> = sizes.iter().map(|&size| usize::from(size > 1)).collect();
    let given: usize = quotas.iter().sum();
    let available = sizes.iter().map(|&size| most(size)).sum::<usize>().min(all - 1);
    let wanted = ((fraction * all as f64).round() as usize).clamp(given.max(1), available);
    for _ in given..wanted {
        let missing = |(quota, size): &(&mut usize, &usize)| fraction * **size as f64 - **quota as f64;
        let open = quotas.iter_mut().zip(sizes).filter(|(quota, size)| **quota < most(**size));
        // Of equals `max_by` takes the last: reversed, so that the lowest class goes first.
        if let Some((quota, _)) = open.rev().max_by(|a, b| missing(a).total_cmp(&missing(b))) {
            *quota += 1;
        }
    }
    quotas
}
