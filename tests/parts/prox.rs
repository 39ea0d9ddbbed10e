//! The proximal operators against brute force: all cells of a step function, a grid and bisection for the others.

use decoupled::layer::Activation;
use decoupled::rand::{Rng, RngExt, SeedableRng, rngs::ChaCha12Rng};

use crate::builtin;

const CASES: usize = 300;

/// Those that bend without a kink.
fn smooth() -> impl Iterator<Item = Activation> {
    builtin::differentiable().filter(|activation| {
        !matches!(activation, Activation::Identity | Activation::Relu | Activation::LeakyRelu(_) | Activation::HardTanh)
    })
}

/// Settings beside those of the list, at the ends of their domains among them.
const SLOPES: [Activation; 5] = [
    Activation::LeakyRelu(0.01),
    Activation::LeakyRelu(-0.5),
    Activation::LeakyRelu(0.0),
    Activation::LeakyRelu(1.0),
    Activation::LeakyRelu(3.0),
];
const LEVELS: [Activation; 4] =
    [Activation::Quantize(1), Activation::Quantize(2), Activation::Quantize(8), Activation::Quantize(16)];

fn continuous() -> impl Iterator<Item = Activation> {
    builtin::differentiable().chain(SLOPES)
}

fn jumping() -> impl Iterator<Item = Activation> {
    builtin::jumping().chain(LEVELS)
}

fn all() -> impl Iterator<Item = Activation> {
    continuous().chain(jumping())
}

#[derive(Clone, Copy, Debug)]
struct Case {
    target: f64,
    near: f64,
    weight: f64,
}

impl Case {
    /// Targets inside and outside of every range, some of them reached at `near`; weights over eight decades.
    fn draw(activation: Activation, rng: &mut impl Rng) -> Self {
        let mut centred = |size: f64| size * (rng.random::<f64>() - 0.5);
        let near = [centred(1.0), centred(6.0), centred(40.0)];
        let target = [centred(2.0), centred(6.0), centred(60.0), activation.value(near[1])];
        let weight = 10f64.powf(centred(8.0));
        Self { target: target[rng.random_range(0..4)], near: near[rng.random_range(0..3)], weight }
    }

    fn objective(self, activation: Activation, u: f64) -> f64 {
        0.5 * (self.target - activation.value(u)).powi(2) + 0.5 * self.weight * (u - self.near).powi(2)
    }

    /// What errors in the last digits of u and of the arguments make of the objective.
    fn rounding(self, u: f64) -> f64 {
        let error = 4.0 * f64::EPSILON * (self.near.abs() + self.target.abs());
        (1.0 + self.weight) * error * (error + (u - self.near).abs())
    }

    fn slope(self, activation: Activation, u: f64) -> f64 {
        self.weight * (u - self.near) - (self.target - activation.value(u)) * activation.derivative(u)
    }

    /// All local minima that a grid sees, to the last digits.
    fn minima(self, activation: Activation) -> Vec<f64> {
        let reach = (self.target - activation.value(self.near)).abs() / self.weight.sqrt() + 1e-3;
        let grid = |from: f64, to: f64, count: i32| {
            (0..=count).map(move |i| from + (to - from) * f64::from(i) / f64::from(count))
        };
        let mut points: Vec<f64> = grid(self.near - reach, self.near + reach, 4_000)
            .chain(grid(-8.0, 8.0, 4_000))
            .chain([self.near])
            .collect();
        points.sort_by(f64::total_cmp);
        let values: Vec<f64> = points.iter().map(|&u| self.objective(activation, u)).collect();
        let mut minima = Vec::new();
        for i in 1..points.len() - 1 {
            if values[i] > values[i - 1] || values[i] > values[i + 1] {
                continue;
            }
            let (mut low, mut high) = (points[i - 1], points[i + 1]);
            for _ in 0..200 {
                let middle = 0.5 * (low + high);
                if self.slope(activation, middle) < 0.0 { low = middle } else { high = middle }
            }
            minima.push(0.5 * (low + high));
        }
        minima
    }
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + b.abs())
}

#[test]
fn continuous_functions_find_the_global_minimum_that_a_grid_finds() {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let mut crossings = 0;
    for activation in continuous() {
        for _ in 0..CASES {
            let case = Case::draw(activation, &mut rng);
            let found = activation.prox(case.target, case.near, case.weight);
            let value = case.objective(activation, found);
            let minima = case.minima(activation);
            let least = minima.iter().map(|&u| case.objective(activation, u)).fold(f64::INFINITY, f64::min);
            assert!(
                value <= least * (1.0 + 1e-12) + case.rounding(found),
                "{activation:?} {case:?}: {found} has {value}, not {least}"
            );
            let tied = |u: f64| case.objective(activation, u) <= least * (1.0 + 1e-12) + case.rounding(found);
            let argmin = minima.iter().any(|&u| tied(u) && close(found, u, 1e-8));
            assert!(argmin, "{activation:?} {case:?}: {found} is none of {minima:?}");
            crossings += usize::from(minima.len() > 1);
        }
    }
    assert!(crossings > 200, "only {crossings} cases had two minima");
}

#[test]
fn step_functions_find_the_best_of_all_their_cells() {
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let mut moves = 0;
    for activation in jumping() {
        let levels: Vec<f64> = match activation {
            Activation::Sign => vec![-1.0, 1.0],
            Activation::Step => vec![0.0, 1.0],
            Activation::Quantize(bits) => {
                let last = 2f64.powi(bits as i32) - 1.0;
                (0..=last as i32).map(|i| 2.0 * f64::from(i) / last - 1.0).collect()
            }
            _ => unreachable!(),
        };
        let edge = |i: usize| if activation == Activation::Step { 0.0 } else { 0.5 * (levels[i - 1] + levels[i]) };
        for _ in 0..CASES {
            let case = Case::draw(activation, &mut rng);
            let nearest = |i: usize| {
                let below = if i == 0 { f64::NEG_INFINITY } else { edge(i) };
                let above = if i + 1 == levels.len() { f64::INFINITY } else { edge(i + 1) };
                case.near.clamp(below, above)
            };
            let cost = |i: usize| {
                0.5 * (case.target - levels[i]).powi(2) + 0.5 * case.weight * (nearest(i) - case.near).powi(2)
            };
            let costs: Vec<f64> = (0..levels.len()).map(cost).collect();
            let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
            let found = activation.prox(case.target, case.near, case.weight);
            let value = case.objective(activation, found);
            assert!(
                value <= least * (1.0 + 1e-12) + case.rounding(found),
                "{activation:?} {case:?}: {found} has {value}, not {least}"
            );
            let mut tied = (0..levels.len()).filter(|&i| costs[i] <= least * (1.0 + 1e-12) + case.rounding(found));
            assert!(tied.any(|i| close(found, nearest(i), 1e-14)), "{activation:?} {case:?}: {found}");
            moves += usize::from(found != case.near);
        }
    }
    assert!(moves > 500, "only {moves} cases moved");
}

#[test]
fn ends_of_cells_are_hit_from_the_right_side() {
    for bits in 1..=16 {
        let activation = Activation::Quantize(bits);
        let last = 2f64.powi(bits as i32) - 1.0;
        for i in (0..=last as i32).step_by(1 + (last / 300.0) as usize) {
            let level = 2.0 * f64::from(i) / last - 1.0;
            for near in [-3.0, 0.9 * level, 3.0] {
                // A weight so small that nothing but the target counts.
                let reached = activation.value(activation.prox(level, near, 1e-30));
                assert!(close(reached, level, 1e-15), "{bits} bits, level {level} from {near}: {reached}");
                let reached = activation.value(activation.prox(level as f32, near as f32, 1e-30));
                assert!(close(f64::from(reached), level, 1e-6), "{bits} bits, level {level} from {near}: {reached}");
            }
        }
    }
}

#[test]
fn tails_are_followed_to_where_the_preimage_is() {
    // With a weight of almost nothing the minimum is the preimage of the target.
    for (activation, target, near, expected) in [
        (Activation::Sigmoid, 1e-12, 0.0, -27.631021115927547),
        (Activation::Sigmoid, 1e-12, -80.0, -27.631021115927547),
        (Activation::Softplus, 1e-12, 3.0, -27.631021115928047),
        (Activation::Softplus, 1e-12, -60.0, -27.631021115928047),
        (Activation::Softplus, 1e6, -9.0, 1e6),
        (Activation::Tanh, 0.999999, -7.0, 7.254328619247669),
    ] {
        let found = activation.prox(target, near, 1e-45);
        assert!(close(found, expected, 1e-8), "{activation:?}: {found} instead of {expected}");
    }
}

#[test]
fn a_minimum_in_single_precision_is_as_good_as_that_precision_can_tell() {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    for activation in all() {
        for _ in 0..CASES {
            let case = Case::draw(activation, &mut rng);
            let (target, near, weight) = (case.target as f32, case.near as f32, case.weight as f32);
            let case = Case { target: target.into(), near: near.into(), weight: weight.into() };
            let single = f64::from(activation.prox(target, near, weight));
            // What the jump costs must be paid with σ in the precision that places the jump.
            let value = 0.5 * (case.target - f64::from(activation.value(single as f32))).powi(2)
                + 0.5 * case.weight * (single - case.near).powi(2);
            let exact = case.objective(activation, activation.prox(case.target, case.near, case.weight));
            let (way, ulps) = ((single - case.near).abs(), 1e-6 * case.near.abs());
            let rounding = case.weight * ulps * (way + ulps) + 1e-6 * case.target.powi(2).max(1e-6);
            assert!(value <= exact * (1.0 + 1e-5) + rounding, "{activation:?} {case:?}: {single}");
        }
    }
}

#[test]
fn slices_get_what_single_entries_get() {
    let mut rng = ChaCha12Rng::seed_from_u64(4);
    for activation in all() {
        let cases: Vec<Case> = (0..50).map(|_| Case::draw(activation, &mut rng)).collect();
        let targets: Vec<f64> = cases.iter().map(|case| case.target).collect();
        let mut near: Vec<f64> = cases.iter().map(|case| case.near).collect();
        let expected: Vec<f64> = cases.iter().map(|case| activation.prox(case.target, case.near, 0.7)).collect();
        activation.prox_all(&targets, &mut near, 0.7);
        assert_eq!(near, expected, "{activation:?}");
    }
}

#[test]
fn nothing_finite_gives_a_nan() {
    let sizes = [0.0, 1e-300, 1e-30, 1e-5, 0.3, 1.0, 7.0, 1e3, 1e30, 1e300];
    let signed: Vec<f64> = sizes.iter().flat_map(|&size| [size, -size]).collect();
    for activation in all().chain([Activation::LeakyRelu(1e200), Activation::LeakyRelu(1e-200)]) {
        for &target in &signed {
            for &near in &signed {
                for &weight in &sizes[1..] {
                    let found = activation.prox(target, near, weight);
                    assert!(!found.is_nan(), "{activation:?} {target} {near} {weight}");
                    let (target, near) = (target as f32, near as f32);
                    if target.is_finite() && near.is_finite() && (1e-38..1e38).contains(&weight) {
                        let found = activation.prox(target, near, weight as f32);
                        assert!(!found.is_nan(), "{activation:?} {target} {near} {weight}, single precision");
                    }
                }
            }
        }
    }
}

/// Weights of the order of the gap to the target times the function's bend: where an objective has two valleys, if anywhere.
#[test]
fn weights_that_make_two_valleys_find_the_deeper_one() {
    let mut rng = ChaCha12Rng::seed_from_u64(5);
    let mut crossings = 0;
    for activation in smooth() {
        for _ in 0..CASES {
            let near = 12.0 * (rng.random::<f64>() - 0.7);
            let size = [1.0, 4.0, 40.0][rng.random_range(0..3)];
            let target = activation.value(near) + size * (rng.random::<f64>() - 0.1);
            let weight = 0.8 * rng.random::<f64>().powi(2) * (target - activation.value(near)).abs() + 1e-6;
            let case = Case { target, near, weight };
            let found = activation.prox(target, near, weight);
            let minima = case.minima(activation);
            let least = minima.iter().map(|&u| case.objective(activation, u)).fold(f64::INFINITY, f64::min);
            let value = case.objective(activation, found);
            let enough = value <= least * (1.0 + 1e-12) + case.rounding(found);
            assert!(enough, "{activation:?} {case:?}: {found} has {value}, not {least}");
            crossings += usize::from(minima.len() > 1);
        }
    }
    assert!(crossings > 300, "only {crossings} cases had two minima");
}

/// Weights between three and five tenths of the gap, from just right of the valley: there SiLU bends the most, by a half, and only a
/// bound that allows for all of it looks for the second valley of the objective.
#[test]
fn the_steepest_bend_of_silu_is_allowed_for() {
    let mut rng = ChaCha12Rng::seed_from_u64(6);
    let mut crossings = 0;
    for _ in 0..CASES {
        let near = -1.275 + 0.575 * rng.random::<f64>().powi(2);
        let gap = [10.0, 100.0, 1000.0][rng.random_range(0..3)];
        let (target, weight) = (Activation::Silu.value(near) + gap, gap * (0.3 + 0.2 * rng.random::<f64>()));
        let case = Case { target, near, weight };
        let found = Activation::Silu.prox(target, near, weight);
        let minima = case.minima(Activation::Silu);
        let least = minima.iter().map(|&u| case.objective(Activation::Silu, u)).fold(f64::INFINITY, f64::min);
        let value = case.objective(Activation::Silu, found);
        assert!(value <= least * (1.0 + 1e-12) + case.rounding(found), "{case:?}: {found} has {value}, not {least}");
        crossings += usize::from(minima.len() > 1);
    }
    assert!(crossings > 10, "only {crossings} cases had two minima");
}
