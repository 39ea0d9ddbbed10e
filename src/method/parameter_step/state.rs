//! The state of one layer's training: its optimizer, and what steps keep between visits.

use std::ops::Range;
use std::sync::Arc;

use crate::machine::linalg::matrix::{check_diverged, filled};
use crate::machine::parallel::{Chunks, for_row, guarded};
use crate::optimizer::{Step, Weights};
use crate::{Optimizer, Result, Scalar};

/// Parameters in one call of an elementwise optimizer: few enough that they, their gradient and their state stay in the cache.
const PIECE: usize = 4096;

/// The optimizer of one layer with its state, and the memory of its parameter step.
#[derive(Clone, Debug)]
pub(crate) struct LayerState<T> {
    optimizer: Arc<dyn Optimizer<T>>,
    /// Entries of state for each parameter. With any, a parameter may move without a gradient, if it had one before.
    pub(crate) slots: usize,
    /// Parameters in one call of the optimizer: all, unless it is elementwise.
    piece: usize,
    /// The factor on its learning rate in this epoch.
    pub(crate) rate: T,
    /// The optimizer's state: piece after piece, in each slot after slot; empty before the first fit that needs it.
    pub(crate) state: Vec<T>,
    /// Where the weights lie among the parameters.
    weights: Vec<Range<usize>>,
    /// Steps that the state has seen. Frozen layers take none, so Adam still corrects the bias of its moments by the right number.
    pub(crate) steps: u64,
    pub(crate) frozen: bool,
    /// The memory of the parameter step between visits, such as the moments of a regression; empty before the first.
    pub(crate) memory: Vec<T>,
}

impl<T: Scalar> LayerState<T> {
    /// Makes the initial record of layer t, with `params` parameters; allocates no state yet.
    ///
    /// # Errors
    /// [`Error::Panicked`] when the optimizer panics.
    pub(crate) fn new(
        optimizer: Arc<dyn Optimizer<T>>,
        t: usize,
        params: usize,
        weights: Vec<Range<usize>>,
    ) -> Result<Self> {
        let (slots, elementwise) = guarded("the optimizer", t, || (optimizer.slots(), optimizer.is_elementwise()))?;
        // A rule that looks at all parameters, as a clipped norm does, gets them in one piece; a width of 0 cannot be cut.
        let piece = if elementwise { PIECE } else { params.max(1) };
        let (state, memory) = (Vec::new(), Vec::new());
        Ok(Self { optimizer, slots, piece, rate: T::one(), state, weights, steps: 0, frozen: false, memory })
    }

    /// Allocates the optimizer's state for `params` parameters, before the first fit that needs it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn make_room(&mut self, params: usize) -> Result<()> {
        // Not at the build: a network that only predicts needs no such memory.
        if self.state.is_empty() {
            let len = self.slots.saturating_mul(params);
            self.state = filled("what the optimizer of a layer remembers", len, T::zero())?;
        }
        Ok(())
    }

    /// Returns the optimizer's `Debug` text, its state and the parameter step's memory.
    #[cfg(feature = "save")]
    pub(crate) fn parts(&self) -> (String, [&[T]; 2]) {
        (format!("{:?}", self.optimizer), [&self.state, &self.memory])
    }

    /// Discards the state, the memory and the number of steps.
    pub(crate) fn reset(&mut self) {
        self.state.fill(T::zero());
        self.memory.clear();
        self.steps = 0;
    }

    /// Replaces the optimizer. The new one keeps the old one's state if both are the same rule up to numbers.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn with_optimizer(&self, optimizer: Arc<dyn Optimizer<T>>, t: usize, params: usize) -> Result<Self> {
        let new = Self { frozen: self.frozen, ..Self::new(optimizer, t, params, self.weights.clone())? };
        let form =
            |own: &Self| guarded("Debug of the optimizer", t, || without_numbers(&format!("{:?}", own.optimizer)));
        // Compare the text without its numbers: a new learning rate must not cost Adam its moments.
        let same = new.slots == self.slots && new.piece == self.piece && form(&new)? == form(self)?;
        let (state, steps) = if same { (self.state.clone(), self.steps) } else { (Vec::new(), 0) };
        // The memory is the parameter step's, which does not change with the optimizer.
        Ok(Self { state, steps, memory: self.memory.clone(), ..new })
    }

    /// Takes one step of the optimizer along the mean of the gradient, which is the sum over `examples` and is overwritten.
    pub(super) fn descend(&mut self, t: usize, params: &mut [T], gradient: &mut [T], examples: usize) -> Result<()> {
        // The fit makes room only where the step reads gradients; one that reads moments may still take an optimizer step.
        self.make_room(params.len())?;
        self.steps += 1;
        let Self { optimizer, slots, piece, rate, state, weights, steps, .. } = self;
        let share = T::one() / T::of(examples as f64);
        let chunks = |slice, slots| Chunks { slice, width: *piece * slots };
        for_row(((chunks(params, 1), chunks(gradient, 1)), chunks(state, *slots)), |i, ((params, gradient), state)| {
            // Once, after the sum: the lanes' gradients are sums, not means, so lanes of unequal width weigh right.
            gradient.iter_mut().for_each(|g| *g *= share);
            // Before the optimizer: its state would keep a NaN for all later steps.
            check_diverged(gradient, t, "the parameter gradient")?;
            let step = Step { weights: Weights::of_layer(weights, i * *piece), ..Step::new(*steps, *rate) };
            guarded("the optimizer", t, || optimizer.update(step, params, gradient, state))?;
            check_diverged(params, t, "a parameter")
        })
    }
}

/// Replaces each number in a `Debug` text by `#`.
fn without_numbers(debug: &str) -> String {
    let breaks = |c: char| " ,:;()[]{}<>\"".contains(c);
    let parts = debug.split_inclusive(breaks).map(|part| {
        let word = part.trim_end_matches(breaks);
        if word.parse::<f64>().is_ok() { part.replacen(word, "#", 1) } else { part.to_owned() }
    });
    parts.collect()
}
