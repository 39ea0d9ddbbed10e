//! Conjugate gradients on the free entries of Z, each example by itself; training completes missing inputs by it, too.

use crate::machine::linalg;
use crate::method::block::{Block, Group};
use crate::method::energy::Objective;
use crate::{MatRef, Result, Scalar};

/// How one example came down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<T> {
    pub(super) before: T,
    pub(super) energy: T,
    pub(super) steps: usize,
    pub(super) converged: bool,
}

/// How often a step is halved before the example stays where it is.
const HALVINGS: usize = 30;

/// By how much a step may differ from the last one.
const RANGE: f64 = 1000.0;

/// Takes the free entries of a block to where the energy of each example is least: at most so many steps, until no entry of the
/// gradient is larger than the tolerance. `free` has a column for every example: z_0 … z_{T−1}, one after the other, or fewer from z_0
/// on. Leaves every prediction up to date.
pub(crate) fn descend<T: Scalar>(
    objective: &Objective<'_, T>,
    block: &mut Block<T>,
    free: &[bool],
    (steps, tolerance): (usize, T),
) -> Result<Vec<Outcome<T>>> {
    let rows = free.len() / block.examples();
    let inputs = block.stored(0).rows();
    let inputs = free.chunks_exact(rows).any(|free| free.iter().take(inputs).any(|free| *free));
    let mut terrain = Terrain { objective, block, free, rows, inputs };

    let mut energies = Vec::new();
    objective.energies(terrain.block, &mut energies)?;
    let mut lines: Vec<Line<T>> = energies.iter().map(|&energy| Line::new(energy)).collect();
    let mut home = vec![T::zero(); free.len()];
    let (mut direction, mut gradient, mut next) = (home.clone(), home.clone(), home.clone());
    terrain.gradients(&mut next)?;
    // One turn more than steps: the last only asks whether the gradient is small enough.
    for step in 0..=steps {
        let own = direction.chunks_exact_mut(rows).zip(next.chunks_exact(rows).zip(gradient.chunks_exact(rows)));
        for (line, (d, (next, gradient))) in lines.iter_mut().zip(own) {
            line.turn(d, next, gradient, tolerance);
        }
        if step == steps || lines.iter().all(|line| !line.moving) {
            break;
        }
        std::mem::swap(&mut gradient, &mut next);
        terrain.gather(Block::stored, &mut home);

        // A trial step first: with the slope there the secant gives the step, the exact one where the energy is quadratic.
        terrain.place(&home, &direction, &lines);
        terrain.gradients(&mut next)?;
        for (line, (d, next)) in lines.iter_mut().zip(direction.chunks_exact(rows).zip(next.chunks_exact(rows))) {
            line.aim(linalg::sum_zip(d, next, |d, g| d * g));
        }
        for halving in 0..=HALVINGS {
            terrain.place(&home, &direction, &lines);
            objective.energies(terrain.block, &mut energies)?;
            // The last halving is to 0: the example ends where it was.
            let shorter = if halving + 1 < HALVINGS { T::of(0.5) } else { T::zero() };
            let rising =
                lines.iter_mut().zip(&energies).filter_map(|(line, &energy)| line.rises(energy).then_some(line));
            if rising.map(|line| line.step *= shorter).count() == 0 {
                break;
            }
        }
        lines.iter_mut().zip(&energies).for_each(|(line, &energy)| line.arrive(energy));
        terrain.gradients(&mut next)?;
    }
    Ok(lines.into_iter().map(|line| line.outcome).collect())
}

/// The energy over the free entries of a block.
struct Terrain<'a, T> {
    objective: &'a Objective<'a, T>,
    block: &'a mut Block<T>,
    free: &'a [bool],
    /// Entries of an example in z_0 … z_{T−1}, as far as any may be free.
    rows: usize,
    /// Whether any input is free.
    inputs: bool,
}

impl<T: Scalar> Terrain<'_, T> {
    /// ∂L/∂Z at the block's activations, 0 where they are clamped.
    fn gradients(&mut self, out: &mut [T]) -> Result<()> {
        self.objective.activation_gradients(self.block, &Group::all(1..self.layers()))?;
        if self.inputs {
            self.objective.input_gradient(self.block)?;
        }
        self.gather(Block::gradient, out);
        out.iter_mut().zip(self.free).filter(|(_, free)| !**free).for_each(|(g, _)| *g = T::zero());
        Ok(())
    }

    /// How many of z_0 … z_{T−1} may have free entries.
    fn layers(&self) -> usize {
        let mut rows = 0;
        let above = |&t: &usize| {
            rows += self.block.stored(t).rows();
            rows <= self.rows
        };
        (0..self.block.layers()).take_while(above).count()
    }

    /// What `part` says of z_0 … z_{T−1}, ordered as the free entries are.
    #[expect(clippy::indexing_slicing, reason = "`first` counts rows, as `rows` does")]
    fn gather(&self, part: impl Fn(&Block<T>, usize) -> MatRef<'_, T>, out: &mut [T]) {
        let mut first = 0;
        for t in 0..self.layers() {
            let part = part(self.block, t);
            for (out, column) in out.chunks_exact_mut(self.rows).zip(part.columns()) {
                out[first..first + column.len()].copy_from_slice(column);
            }
            first += part.rows();
        }
    }

    /// z ← home + step · direction, for the free entries.
    #[expect(clippy::indexing_slicing, reason = "all are as long as `free`")]
    fn place(&mut self, home: &[T], direction: &[T], lines: &[Line<T>]) {
        let mut first = 0;
        for t in 0..self.layers() {
            let width = self.block.stored(t).rows();
            // Writing z_0 would make the lowest prediction stale, although no input is free.
            if t > 0 || self.inputs {
                let columns = self.block.stored_mut(t).chunks_exact_mut(width).zip(lines);
                for (i, (column, line)) in columns.enumerate() {
                    for (row, z) in column.iter_mut().enumerate() {
                        let entry = i * self.rows + first + row;
                        // Not home + 0 · direction, which is NaN beside a direction that overflowed.
                        if self.free[entry] && line.step > T::zero() {
                            *z = home[entry] + line.step * direction[entry];
                        } else {
                            *z = home[entry];
                        }
                    }
                }
            }
            first += width;
        }
    }
}

/// One example on its way down.
struct Line<T> {
    outcome: Outcome<T>,
    moving: bool,
    /// Whether the direction is that of the gradient alone.
    steepest: bool,
    /// ‖∂L/∂z‖² where it stands, and ⟨∂L/∂z, direction⟩.
    square: T,
    slope: T,
    /// How far it goes along its direction, and how far it went last.
    step: T,
    last: T,
}

impl<T: Scalar> Line<T> {
    fn new(energy: T) -> Self {
        Self {
            outcome: Outcome { before: energy, energy, steps: 0, converged: false },
            moving: energy.is_finite(),
            steepest: true,
            square: T::zero(),
            slope: T::zero(),
            step: T::zero(),
            last: T::one(),
        }
    }

    /// Takes the next direction, from the gradient here and the one before; or ends.
    fn turn(&mut self, direction: &mut [T], gradient: &[T], before: &[T], tolerance: T) {
        self.step = T::zero();
        self.outcome.converged = self.outcome.energy.is_finite() && gradient.iter().all(|g| g.abs() <= tolerance);
        self.moving &= !self.outcome.converged;
        if !self.moving {
            return;
        }
        let dot = |a: &[T], b: &[T]| linalg::sum_zip(a, b, |a, b| a * b);
        let square = linalg::norm_squared(gradient);
        let conjugate = (square - dot(gradient, before)) / self.square;
        // The first step divides by 0: no gradient came before it.
        let conjugate = if conjugate > T::zero() && conjugate.is_finite() { conjugate } else { T::zero() };
        direction.iter_mut().zip(gradient).for_each(|(d, &g)| *d = conjugate * *d - g);
        self.slope = dot(gradient, direction);
        self.steepest = conjugate == T::zero() || self.slope >= T::zero();
        // A direction that does not descend is dropped for the gradient.
        if self.steepest {
            direction.iter_mut().zip(gradient).for_each(|(d, &g)| *d = -g);
            self.slope = -square;
        }
        self.square = square;
        self.step = self.last;
    }

    /// Sets the step to where the slope is 0, if it goes on as from here to what it is at the step tried.
    fn aim(&mut self, slope: T) {
        let range = T::of(RANGE);
        let bend = (slope - self.slope) / self.step;
        // If the slope does not rise, the secant has no zero ahead: go twice as far.
        let goal = if bend > T::zero() { -self.slope / bend } else { self.step + self.step };
        self.step = goal.max(self.step / range).min(self.step * range);
    }

    /// Whether the example has come to more energy than it had; NaN counts as more.
    fn rises(&self, energy: T) -> bool {
        let descends = energy <= self.outcome.energy;
        self.step > T::zero() && !descends
    }

    /// Stays where the last step led.
    fn arrive(&mut self, energy: T) {
        if self.step > T::zero() {
            self.last = self.step;
            self.outcome.energy = energy;
            self.outcome.steps += 1;
        } else {
            // From here the gradient itself is tried once, if it has not been.
            self.moving &= !self.steepest;
            self.last /= T::of(RANGE);
        }
    }
}
