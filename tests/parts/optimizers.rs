//! The built-in optimizers against PyTorch's trajectories, and their wrappers against their formulas.

use std::collections::BTreeMap;
use std::sync::Arc;

use decoupled::optimizer::{
    Adam, AdamW, ClipNorm, ClipValue, L1, RmsProp, Schedule, Scheduled, Sgd, Step, WeightDecay,
};
use decoupled::{Error, Optimizer};

use crate::builtin;

/// The rows of a table of `name,number,number,…`, by name.
fn table(csv: &str) -> BTreeMap<&str, Vec<Vec<f64>>> {
    let mut rows = BTreeMap::<_, Vec<_>>::new();
    for line in csv.lines() {
        let (name, numbers) = line.split_once(',').unwrap();
        rows.entry(name).or_default().push(numbers.split(',').map(|x| x.parse().unwrap()).collect());
    }
    rows
}

/// Steps with gradient x³ + c·x − o from the start that tests/torch/optimizers.py uses.
fn trajectory(rule: &dyn Optimizer<f64>, steps: u64) -> Vec<Vec<f64>> {
    let (mut x, c, o) = (vec![1.0f64, -2.0, 0.5], [1.0, 0.5, 3.0], [0.3, -0.2, 2.0]);
    let mut state = vec![0.0; rule.slots() * x.len()];
    let step = |number| {
        let mut grad: Vec<f64> = x.iter().zip(c).zip(o).map(|((x, c), o)| x.powi(3) + c * x - o).collect();
        rule.update(Step::new(number, 1.0), &mut x, &mut grad, &mut state);
        x.clone()
    };
    (1..=steps).map(step).collect()
}

fn boxed(rule: impl Optimizer<f64> + 'static) -> Box<dyn Optimizer<f64>> {
    Box::new(rule)
}

#[test]
fn ten_steps_of_every_rule_are_those_of_pytorch() {
    let halving = Schedule::Step { every: 3, factor: 0.5 };
    let rules = BTreeMap::from([
        ("sgd", boxed(Sgd::new(0.05))),
        ("momentum", boxed(Sgd::new(0.05).momentum(0.8))),
        ("nesterov", boxed(Sgd::new(0.05).momentum(0.8).nesterov())),
        ("l2", boxed(WeightDecay::new(Sgd::new(0.05).momentum(0.8), 0.3))),
        ("adam", boxed(Adam::new(0.1))),
        ("adam_settings", boxed(Adam::new(0.1).beta1(0.5).beta2(0.9).epsilon(1e-2))),
        ("adamw", boxed(AdamW::new(0.1).weight_decay(0.4))),
        ("adamw_scheduled", boxed(Scheduled::new(AdamW::new(0.1).weight_decay(0.4), halving))),
        ("rmsprop", boxed(RmsProp::new(0.02))),
        ("rmsprop_settings", boxed(RmsProp::new(0.02).decay(0.9).epsilon(1e-2))),
        ("clip_value", boxed(ClipValue::new(Adam::new(0.1), 0.7))),
    ]);
    let expected = table(include_str!("../torch/optimizers.csv"));
    assert!(expected.keys().eq(rules.keys()));
    for (name, rule) in rules {
        rule.validate().unwrap();
        for (step, (found, expected)) in trajectory(&rule, 10).iter().zip(&expected[name]).enumerate() {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{name}, step {}: {found} not {expected}", step + 1);
            }
        }
    }
}

#[test]
fn adam_w_passes_its_settings_to_adam() {
    let adam = Adam::new(0.1).beta1(0.5).beta2(0.9).epsilon(1e-2);
    let adam_w = AdamW::new(0.1).weight_decay(0.0).beta1(0.5).beta2(0.9).epsilon(1e-2);
    assert_eq!(trajectory(&adam, 5), trajectory(&adam_w, 5));
}

#[test]
fn f32_steps_follow_f64_steps() {
    type InBoth = (Box<dyn Optimizer<f32>>, Box<dyn Optimizer<f64>>);
    let rules: [InBoth; 3] = [
        (Box::new(Sgd::new(0.05).momentum(0.8)), boxed(Sgd::new(0.05).momentum(0.8))),
        (Box::new(AdamW::new(0.1)), boxed(AdamW::new(0.1))),
        (Box::new(RmsProp::new(0.02)), boxed(RmsProp::new(0.02))),
    ];
    for (single, double) in rules {
        // Nine entries, so that some are left over from any width of a vector.
        let mut x: [f32; 9] = std::array::from_fn(|i| 0.3 * i as f32 - 1.1);
        let mut y = x.map(f64::from);
        let (mut s, mut t) = (vec![0.0; single.slots() * 9], vec![0.0; double.slots() * 9]);
        for number in 1..=50 {
            let mut grad = y.map(|y| y * y * y - 0.1);
            let mut rounded = x.map(|x| x * x * x - 0.1);
            single.update(Step::new(number, 1.0), &mut x, &mut rounded, &mut s);
            double.update(Step::new(number, 1.0), &mut y, &mut grad, &mut t);
        }
        let near = |(x, y): (&f32, &f64)| (f64::from(*x) - y).abs() < 1e-5;
        assert!(x.iter().zip(&y).all(near), "{single:?}: {x:?} not {y:?}");
        let moments = s.iter().zip(&t).all(near);
        assert!(moments, "{single:?}: {s:?} not {t:?}");
    }
}

#[test]
fn the_first_step_of_adam_is_the_learning_rate_whatever_the_gradient() {
    let mut params = [0.0f64; 4];
    Adam::new(0.25).update(Step::new(1, 1.0), &mut params, &mut [1e-3, -7.0, 1e9, 0.0], &mut [0.0; 8]);
    for (found, expected) in params.iter().zip([-0.25, 0.25, -0.25, 0.0]) {
        assert!((found - expected).abs() < 1e-5, "{found} not {expected}");
    }
}

#[test]
fn the_rate_of_the_step_scales_the_learning_rate() {
    for rule in [boxed(Sgd::new(0.1).momentum(0.5).nesterov()), boxed(Adam::new(0.1)), boxed(RmsProp::new(0.1))] {
        let moved = |rate| {
            let (mut params, mut state) = ([0.0; 2], vec![0.0; rule.slots() * 2]);
            rule.update(Step::new(1, rate), &mut params, &mut [0.3, -2.0], &mut state);
            params
        };
        for (half, whole) in moved(0.5).iter().zip(moved(1.0)) {
            assert!((2.0 * half - whole).abs() < 1e-15);
        }
    }
}

#[test]
fn a_clipped_gradient_keeps_its_direction_and_gets_the_norm() {
    let step = Step::new(1, 1.0);
    for (scale, expected) in [(1.0, 2.0), (0.1, 0.5), (0.5, 2.0), (1e30, 2.0)] {
        let (mut params, grad) = ([0.0f32; 2], [3.0 * scale, -4.0 * scale]);
        ClipNorm::new(Sgd::new(1.0), 2.0).update(step, &mut params, &mut grad.clone(), &mut []);
        assert!((params[0].hypot(params[1]) - expected).abs() < 1e-6, "norm of {params:?}");
        assert!((params[0] / params[1] - grad[0] / grad[1]).abs() < 1e-6, "direction of {params:?}");
    }
}

#[test]
fn a_not_a_number_in_the_gradient_is_not_clipped_away() {
    let step = Step::new(1, 1.0);
    for rule in [boxed(ClipNorm::new(Sgd::new(1.0), 1.0)), boxed(ClipValue::new(Sgd::new(1.0), 1.0))] {
        let mut params = [0.0f64; 2];
        rule.update(step, &mut params, &mut [f64::NAN, 1.0], &mut []);
        assert!(params[0].is_nan(), "{rule:?}");
    }
}

#[test]
fn schedules_are_those_of_pytorch() {
    let schedules = BTreeMap::from([
        ("step", Schedule::Step { every: 3, factor: 0.5 }),
        ("exponential", Schedule::Exponential { factor: 0.9 }),
        ("cosine", Schedule::Cosine { total: 10, floor: 0.1 }),
        ("warm_up", Schedule::WarmUp { steps: 4, then: Box::new(Schedule::Constant) }),
        ("one_cycle", Schedule::OneCycle { total: 10, rise: 0.4, start: 0.05, floor: 0.001 }),
    ]);
    let expected = table(include_str!("../torch/schedules.csv"));
    assert!(expected.keys().eq(schedules.keys()));
    for (name, schedule) in schedules {
        for (number, expected) in (1..).zip(&expected[name][0]) {
            let found = schedule.factor(number);
            assert!((found - expected).abs() < 1e-14, "{name}, step {number}: {found} not {expected}");
        }
    }
}

#[test]
fn a_schedule_begins_where_its_warm_up_ends_and_stays_at_its_last_factor() {
    let fall = Schedule::Step { every: 2, factor: 0.1 };
    let warm = Schedule::WarmUp { steps: 4, then: Box::new(fall) };
    let found: Vec<f64> = (1..=8).map(|number| warm.factor(number)).collect();
    for (found, expected) in found.iter().zip([0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.1, 0.1]) {
        assert!((found - expected).abs() < 1e-15, "{found} not {expected}");
    }
    let late = Schedule::OneCycle { total: 10, rise: 0.4, start: 0.2, floor: 0.0 };
    let warm = Schedule::WarmUp { steps: 4, then: Box::new(late) };
    for (number, expected) in [(1, 0.05), (2, 0.1), (4, 0.2), (5, 0.2)] {
        assert!((warm.factor(number) - expected).abs() < 1e-15, "{} at {number}", warm.factor(number));
    }
    for ended in [
        Schedule::Cosine { total: 5, floor: 0.2 },
        Schedule::OneCycle { total: 5, rise: 0.5, start: 0.1, floor: 0.2 },
        Schedule::WarmUp { steps: 3, then: Box::new(Schedule::Cosine { total: 5, floor: 0.2 }) },
    ] {
        assert_eq!(ended.factor(1000), 0.2);
    }
}

#[test]
fn nested_schedules_multiply() {
    let halve = Schedule::Step { every: 1, factor: 0.5 };
    let rule = Scheduled::new(Scheduled::new(Sgd::new(1.0), halve.clone()), halve);
    let mut params = [0.0];
    rule.update(Step::new(3, 1.0), &mut params, &mut [1.0], &mut []);
    assert_eq!(params, [-0.0625]);
}

#[test]
fn wrappers_act_from_the_outside_in_and_reach_through_pointers() {
    let clipped_decay = ClipNorm::new(WeightDecay::new(Sgd::new(1.0), 0.5), 1.0);
    let rules = [boxed(clipped_decay), boxed(Box::new(clipped_decay)), boxed(Arc::new(clipped_decay))];
    for rule in rules {
        let mut params = [2.0];
        rule.update(Step::new(1, 0.5), &mut params, &mut [10.0], &mut []);
        assert_eq!(params, [1.0], "2 − ½·(clip(10) + ½·2)");
    }
    let shared: Arc<dyn Optimizer<f64>> = Arc::new(Adam::new(-1.0));
    let scheduled = Scheduled::new(shared.clone(), Schedule::Constant);
    let wrapped = [
        boxed(scheduled.clone()),
        boxed(ClipNorm::new(scheduled.clone(), 1.0)),
        boxed(ClipValue::new(scheduled.clone(), 1.0)),
        boxed(WeightDecay::new(scheduled, 0.0)),
        boxed(Box::new(shared)),
    ];
    for rule in wrapped {
        assert_eq!(rule.slots(), 2);
        assert!(matches!(rule.validate(), Err(Error::HyperParameter { name: "Adam::learning_rate", .. })));
    }
}

#[test]
fn only_rules_with_a_memory_have_slots() {
    let slots = [boxed(Sgd::new(0.1)), boxed(Sgd::new(0.1).momentum(0.9)), boxed(RmsProp::new(0.1))].map(|r| r.slots());
    assert_eq!(slots, [0, 1, 1]);
    assert_eq!([boxed(Adam::new(0.1)).slots(), boxed(AdamW::new(0.1)).slots()], [2, 2]);
    assert_eq!(boxed(Bare).slots(), 0);
}

/// θ ← θ − g, and all else as the trait has it.
#[derive(Debug)]
struct Bare;

impl Optimizer<f64> for Bare {
    fn update(&self, _: Step<f64>, params: &mut [f64], grad: &mut [f64], _: &mut [f64]) {
        params.iter_mut().zip(grad).for_each(|(p, g)| *p -= *g);
    }
}

#[test]
fn a_rule_is_elementwise_exactly_if_two_halves_updated_apart_are_the_whole() {
    let clip = ClipNorm::new(Sgd::new(0.1), 1.0);
    let clipped = [
        boxed(clip),
        boxed(ClipValue::new(clip, 0.9)),
        boxed(WeightDecay::new(clip, 0.1)),
        boxed(L1::new(clip, 0.1)),
        boxed(Scheduled::new(clip, Schedule::Constant)),
    ];
    let update = |rule: &dyn Optimizer<f64>, params: &mut [f64], grad: &[f64]| {
        let mut state = vec![0.0; rule.slots() * params.len()];
        rule.update(Step::new(1, 1.0), params, &mut grad.to_vec(), &mut state);
    };
    let (start, grad) = ([0.5, -1.0, 2.0, 0.1], [3.0, -2.0, 1.0, 4.0]);
    for rule in builtin::optimizers().into_iter().chain(clipped.map(Arc::from)) {
        let (mut whole, mut halves) = (start, start);
        update(&rule, &mut whole, &grad);
        halves.chunks_mut(2).zip(grad.chunks(2)).for_each(|(params, grad)| update(&rule, params, grad));
        assert_eq!(rule.is_elementwise(), whole == halves, "{rule:?}: {whole:?}, {halves:?}");
    }
}

fn refused(rule: &dyn Optimizer<f64>, setting: &str, value: f64) {
    match rule.validate() {
        Err(Error::HyperParameter { name, found, .. }) => {
            assert_eq!(name, setting);
            assert!(found == value || (found.is_nan() && value.is_nan()), "{found} not {value}");
        }
        other => panic!("{rule:?}: {other:?}"),
    }
}

#[test]
fn settings_outside_their_domain_are_refused_by_name() {
    for x in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused(&Sgd::new(x), "Sgd::learning_rate", x);
        refused(&Adam::new(x), "Adam::learning_rate", x);
        refused(&AdamW::new(x), "Adam::learning_rate", x);
        refused(&RmsProp::new(x), "RmsProp::learning_rate", x);
        refused(&Adam::new(0.1).epsilon(x), "Adam::epsilon", x);
        refused(&RmsProp::new(0.1).epsilon(x), "RmsProp::epsilon", x);
        refused(&ClipNorm::new(Sgd::new(0.1), x), "ClipNorm::max_norm", x);
        refused(&ClipValue::new(Sgd::new(0.1), x), "ClipValue::max_value", x);
    }
    for x in [1.0, -0.1, f64::NAN, f64::INFINITY] {
        refused(&Sgd::new(0.1).momentum(x), "Sgd::momentum", x);
        refused(&Adam::new(0.1).beta1(x), "Adam::beta1", x);
        refused(&Adam::new(0.1).beta2(x), "Adam::beta2", x);
        refused(&RmsProp::new(0.1).decay(x), "RmsProp::decay", x);
    }
    for x in [-0.1, f64::NAN, f64::INFINITY] {
        refused(&AdamW::new(0.1).weight_decay(x), "AdamW::weight_decay", x);
        refused(&WeightDecay::new(Sgd::new(0.1), x), "WeightDecay::decay", x);
    }
    refused(&Sgd::new(0.1).nesterov(), "Sgd::momentum", 0.0);
    assert!(Optimizer::<f64>::validate(&Sgd::new(1e-60)).is_ok());
    assert!(Optimizer::<f32>::validate(&Sgd::new(1e-60)).is_err(), "0 in f32");
    assert!(Optimizer::<f32>::validate(&WeightDecay::new(Sgd::new(0.1), 1e60)).is_err(), "infinite in f32");
}

#[test]
fn schedules_outside_their_domain_are_refused_by_name() {
    let refused = |schedule: Schedule, name, value| {
        refused(&Scheduled::new(Sgd::new(0.1), schedule.clone()), name, value);
        let then = Box::new(schedule);
        refused(&Scheduled::new(Sgd::new(0.1), Schedule::WarmUp { steps: 1, then }), name, value);
    };
    for x in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused(Schedule::Step { every: 1, factor: x }, "Schedule::Step::factor", x);
        refused(Schedule::Exponential { factor: x }, "Schedule::Exponential::factor", x);
    }
    let (total, start, floor) = (9, 0.1, 0.1);
    for x in [-0.1, 1.1, f64::NAN] {
        refused(Schedule::Cosine { total, floor: x }, "Schedule::Cosine::floor", x);
        refused(Schedule::OneCycle { total, rise: 0.3, start: x, floor }, "Schedule::OneCycle::start", x);
        refused(Schedule::OneCycle { total, rise: 0.3, start, floor: x }, "Schedule::OneCycle::floor", x);
    }
    for rise in [0.0, 1.0, f64::NAN] {
        refused(Schedule::OneCycle { total, rise, start, floor }, "Schedule::OneCycle::rise", rise);
    }
    refused(Schedule::Step { every: 0, factor: 0.5 }, "Schedule::Step::every", 0.0);
    refused(Schedule::Cosine { total: 0, floor }, "Schedule::Cosine::total", 0.0);
    refused(Schedule::OneCycle { total: 0, rise: 0.3, start, floor }, "Schedule::OneCycle::total", 0.0);
}
