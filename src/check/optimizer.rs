use super::{Subject, gaussian, guard};
use crate::matrix::filled;
use crate::{
    Optimizer, Result, Scalar,
    optimizer::Step,
    random::{Purpose, stream},
};

/// Steps within which a parabola must be descended.
const STEPS: u64 = 2000;

/// Checks an optimizer against the contract of [`Optimizer`], on 1, 7 and 40 parameters.
///
/// * [`validate`](Optimizer::validate) accepts it.
/// * A step is finite, and gives the same bits each time, also when gradient and state are zero.
/// * It takes no more state than its [`slots`](Optimizer::slots).
/// * At rate 0 it leaves the parameters as they are.
/// * If it is [elementwise](Optimizer::is_elementwise), two halves updated apart are the whole, bit for bit.
/// * On ½‖θ‖² every parameter comes closer to zero than it began, within 2000 steps at rate 1, 10⁻³ or 10⁻⁶.
///
/// # Errors
/// [`Error::Contract`](crate::Error::Contract) naming the broken rule, [`Error::Panicked`](crate::Error::Panicked) when the
/// optimizer panics (a state that is too short, say), or whatever `validate` finds.
pub fn optimizer<T: Scalar>(optimizer: &dyn Optimizer<T>) -> Result<()> {
    guard("validate", || optimizer.validate())??;
    let subject = &Subject::new(optimizer);
    for len in [1, 7, 40] {
        let mut rng = stream(0, Purpose::Probe, 0, len);
        // Away from zero, so that "closer to zero" leaves every rule some room.
        let start: Vec<T> = gaussian::<T>(len, &mut rng).iter().map(|&p| p + p.signum()).collect();
        let gradients = [(); 3].map(|()| gaussian::<T>(len, &mut rng));
        repeatable(subject, optimizer, &start, &gradients)?;
        repeatable(subject, optimizer, &start, &[vec![T::zero(); len]])?;
        still(subject, optimizer, &start, &gradients)?;
        descends(subject, optimizer, &start)?;
        divides(subject, optimizer, &start, &gradients)?;
    }
    Ok(())
}

/// Parameters and state under way.
struct Run<'a, T> {
    optimizer: &'a dyn Optimizer<T>,
    number: u64,
    params: Vec<T>,
    state: Vec<T>,
}

impl<'a, T: Scalar> Run<'a, T> {
    fn new(optimizer: &'a dyn Optimizer<T>, start: &[T]) -> Result<Self> {
        let slots = guard("slots", || optimizer.slots())?;
        let state = filled("what an optimizer remembers", slots.saturating_mul(start.len()), T::zero())?;
        Ok(Self { optimizer, number: 0, params: start.to_vec(), state })
    }

    fn step(&mut self, rate: f64, mut grad: Vec<T>) -> Result<()> {
        self.number += 1;
        let step = Step { number: self.number, rate: T::of(rate) };
        guard("update", || self.optimizer.update(step, &mut self.params, &mut grad, &mut self.state))
    }
}

fn repeatable<T: Scalar>(
    subject: &Subject,
    optimizer: &dyn Optimizer<T>,
    start: &[T],
    gradients: &[Vec<T>],
) -> Result<()> {
    let mut runs = [Run::new(optimizer, start)?, Run::new(optimizer, start)?];
    for grad in gradients {
        for run in &mut runs {
            run.step(1.0, grad.clone())?;
        }
        let [first, again] = &runs;
        subject.finite("parameters after a step", &first.params)?;
        subject.finite("state after a step", &first.state)?;
        subject.same("parameters after the same steps", &first.params, &again.params)?;
        subject.same("state after the same steps", &first.state, &again.state)?;
    }
    Ok(())
}

fn still<T: Scalar>(subject: &Subject, optimizer: &dyn Optimizer<T>, start: &[T], gradients: &[Vec<T>]) -> Result<()> {
    let mut run = Run::new(optimizer, start)?;
    for grad in gradients {
        run.step(0.0, grad.clone())?;
    }
    subject.same("parameters after steps at rate 0", start, &run.params)
}

fn divides<T: Scalar>(
    subject: &Subject,
    optimizer: &dyn Optimizer<T>,
    start: &[T],
    gradients: &[Vec<T>],
) -> Result<()> {
    if !guard("is_elementwise", || optimizer.is_elementwise())? {
        return Ok(());
    }
    let (left, right) = start.split_at(start.len() / 2);
    let mut whole = Run::new(optimizer, start)?;
    let (mut left, mut right) = (Run::new(optimizer, left)?, Run::new(optimizer, right)?);
    for grad in gradients {
        let (of_left, of_right) = grad.split_at(left.params.len());
        whole.step(1.0, grad.clone())?;
        left.step(1.0, of_left.to_vec())?;
        right.step(1.0, of_right.to_vec())?;
    }
    let parts = [left.params, right.params].concat();
    subject.same("parameters of an elementwise rule, updated in two parts", &whole.params, &parts)
}

fn descends<T: Scalar>(subject: &Subject, optimizer: &dyn Optimizer<T>, start: &[T]) -> Result<()> {
    let mut stuck = (0, 0.0);
    for rate in [1.0, 1e-3, 1e-6] {
        let mut run = Run::new(optimizer, start)?;
        let mut came_closer = vec![false; start.len()];
        for _ in 0..STEPS {
            run.step(rate, run.params.clone())?;
            for ((closer, p), s) in came_closer.iter_mut().zip(&run.params).zip(start) {
                *closer |= p.abs() < s.abs();
            }
            match came_closer.iter().zip(start).enumerate().find(|(_, (closer, _))| !**closer) {
                Some((i, (_, began))) => stuck = (i, began.to_f64()),
                None => return Ok(()),
            }
        }
    }
    let what = format!("parameter {} comes closer to the minimum of a parabola than it began", stuck.0);
    Err(subject.breach(what, 0.0, stuck.1))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::{Error, error::require};

    /// Heavy-ball descent with a fault.
    #[derive(Debug, PartialEq)]
    enum Custom {
        Sound,
        HugeRate,
        Ascends,
        SkipsLast,
        IgnoresRate,
        TooFewSlots,
        DividesByGradient,
        Drifts,
        Invalid,
        LooksAtTheNorm,
    }

    static DRIFT: AtomicU64 = AtomicU64::new(0);

    impl Optimizer<f64> for Custom {
        fn slots(&self) -> usize {
            usize::from(*self != Self::TooFewSlots)
        }
        fn is_elementwise(&self) -> bool {
            true
        }
        fn update(&self, step: Step<f64>, params: &mut [f64], grad: &mut [f64], state: &mut [f64]) {
            let rate = 0.1 * if *self == Self::IgnoresRate { 1.0 } else { step.rate };
            let rate = if *self == Self::HugeRate { 1e4 * rate } else { rate };
            let len = params.len();
            let rate = if *self == Self::LooksAtTheNorm {
                rate / (1.0 + grad.iter().map(|g| g * g).sum::<f64>())
            } else {
                rate
            };
            for i in 0..len {
                state[i] = 0.5 * state[i] + grad[i];
                match self {
                    Self::Ascends => params[i] += rate * state[i],
                    Self::SkipsLast if i > 0 && i == len - 1 => {}
                    Self::DividesByGradient => params[i] -= rate * state[i] / grad[i].abs(),
                    Self::Drifts => params[i] -= rate * (state[i] + DRIFT.fetch_add(1, Ordering::Relaxed) as f64),
                    _ => params[i] -= rate * state[i],
                }
            }
        }
        fn validate(&self) -> Result<()> {
            require(*self != Self::Invalid, "a setting", "valid", 0.0)
        }
    }

    #[test]
    fn sound_rules_pass_even_with_a_rate_too_large_for_the_parabola() {
        optimizer(&Custom::Sound).unwrap();
        optimizer(&Custom::HugeRate).unwrap();
    }

    #[test]
    fn each_fault_is_named() {
        let faults = [
            (Custom::Ascends, "closer to the minimum"),
            (Custom::SkipsLast, "parameter 6 comes closer"),
            (Custom::IgnoresRate, "rate 0"),
            (Custom::DividesByGradient, "parameters after a step, entry 0, must be finite"),
            (Custom::Drifts, "parameters after the same steps"),
            (Custom::LooksAtTheNorm, "updated in two parts"),
        ];
        for (faulty, rule) in faults {
            match optimizer(&faulty) {
                Err(Error::Contract { what, .. }) => assert!(what.contains(rule), "{faulty:?}: {what}"),
                other => panic!("{faulty:?}: {other:?}"),
            }
        }
        assert!(matches!(optimizer(&Custom::TooFewSlots), Err(Error::Panicked { what: "update", .. })));
        assert!(matches!(optimizer(&Custom::Invalid), Err(Error::HyperParameter { .. })));
    }
}
