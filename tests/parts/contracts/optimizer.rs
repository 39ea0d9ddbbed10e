use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use decoupled::{Optimizer, optimizer::Step};

/// Heavy-ball descent, with one fault.
#[derive(Debug)]
pub(crate) struct Faulty {
    fault: &'static str,
    count: AtomicU64,
    /// The place in memory that was updated last, and how often in a row.
    place: Mutex<(usize, u64)>,
}

impl Faulty {
    pub(crate) fn new(fault: &'static str) -> Self {
        Self { fault, count: AtomicU64::new(0), place: Mutex::default() }
    }
}

impl Optimizer<f64> for Faulty {
    fn slots(&self) -> usize {
        match self.fault {
            "slots_stay_the_same" => 1 + self.count.fetch_add(1, Ordering::Relaxed) as usize,
            _ => 1,
        }
    }
    fn is_elementwise(&self) -> bool {
        true
    }
    fn update(&self, step: Step<f64>, params: &mut [f64], grad: &mut [f64], state: &mut [f64]) {
        let mut rate = 0.1 * step.rate;
        match self.fault {
            "rate_zero_keeps_the_parameters" => rate += 0.01,
            "small_rates_move_less" if rate > 0.0 => rate = 0.1,
            "parabola_is_descended" => rate = -rate,
            "steps_are_finite" => rate /= f64::from(step.number % 2 == 1),
            "elementwise_updates_divide" => rate /= 1.0 + grad.iter().map(|g| g * g).sum::<f64>(),
            "steps_repeat" => rate /= 1.0 + self.count.fetch_add(1, Ordering::Relaxed) as f64,
            "steps_leave_no_trace" => {
                rate /= self.count.fetch_max(step.number, Ordering::Relaxed).max(step.number) as f64;
            }
            "state_may_be_moved" => {
                let (mut last, here) = (self.place.lock().unwrap(), params.as_ptr() as usize);
                *last = (here, if last.0 == here && step.number > 1 { last.1 + 1 } else { 1 });
                rate /= last.1 as f64;
            }
            _ => {}
        }
        for ((p, &g), m) in params.iter_mut().zip(grad.iter()).zip(state) {
            *m = 0.5 * *m + g;
            *p -= match self.fault {
                "zero_gradients_are_survived" => rate * *m / g.abs(),
                _ => rate * *m,
            };
            match self.fault {
                "state_stays_finite" if step.number == 3 => *m = f64::INFINITY,
                "state_repeats" if step.number == 3 => *m += self.count.fetch_add(1, Ordering::Relaxed) as f64,
                _ => {}
            }
        }
    }
}
