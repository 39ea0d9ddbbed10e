//! The check of an optimizer: its rules, and the gradients that it is tried on.

mod steps;
mod trial;

use super::{Subject, gaussian, guard};
use crate::machine::random::{Purpose, stream};
use crate::{Optimizer, Result, Scalar};
use trial::Trial;

rules! {
    /// What [`optimizer()`] tests, in that order.
    ///
    /// * It takes no more state than its [`slots`](Optimizer::slots), and always says as many.
    /// * Parameters and state are finite after a step, also when gradient and state are zero.
    /// * A step depends on its arguments alone: the same bits each time, wherever the state lies, whatever steps were taken
    ///   elsewhere, its number from [`Step`](crate::optimizer::Step).
    /// * At rate 0 it leaves the parameters as they are, and at a small rate moves them less than at rate 1.
    /// * If it is [elementwise](Optimizer::is_elementwise), two halves updated apart are the whole, bit for bit.
    /// * On ½‖θ‖² every parameter comes closer to zero than it began, within 2000 steps at rate 1, 10⁻³ or 10⁻⁶.
    OPTIMIZER_RULES of Trial:
    steps {
        slots_stay_the_same,
        steps_are_finite,
        state_stays_finite,
        zero_gradients_are_survived,
        steps_repeat,
        state_repeats,
        state_may_be_moved,
        steps_leave_no_trace,
        rate_zero_keeps_the_parameters,
        small_rates_move_less,
        elementwise_updates_divide,
        parabola_is_descended,
    }
}

/// Checks an optimizer against the contract of [`Optimizer`], by the [rules](OPTIMIZER_RULES), on 1, 7 and 40 parameters; before
/// that, [`validate`](Optimizer::validate) accepts it.
///
/// # Errors
/// [`Error::Contract`](crate::Error::Contract) naming the broken rule, [`Error::Panicked`](crate::Error::Panicked) when the
/// optimizer panics (a state that is too short, say), or whatever `validate` finds.
pub fn optimizer<T: Scalar>(optimizer: &dyn Optimizer<T>) -> Result<()> {
    guard("validate", || optimizer.validate())??;
    for len in [1, 7, 40] {
        let mut rng = stream(0, Purpose::Probe, 0, len);
        // Away from zero, so that "closer to zero" leaves every rule some room.
        let start = gaussian::<T>(len, &mut rng).into_iter().map(|p| p + p.signum()).collect();
        let gradients = [(); 3].map(|()| gaussian::<T>(len, &mut rng));
        let slots = guard("slots", || optimizer.slots())?;
        hold(&mut Trial { subject: Subject::new(optimizer), optimizer, slots, start, gradients })?;
    }
    Ok(())
}
