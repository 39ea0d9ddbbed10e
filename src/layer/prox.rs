//! Proximal operators of the activation functions: in closed form with kinks and jumps, by a search where smooth.

use super::Activation;
use super::activation::{cell, half_steps, level};
use crate::Scalar;
use crate::machine::linalg::dispatch;
use crate::machine::linalg::functions::{gaussian, sigmoid, silu, softplus, tanh};

/// Runs `$body` with `$f: (target, near) -> u` bound to the operator, one copy per function, so that the choice and what
/// depends on the weight alone stay outside of the loops in it.
macro_rules! with_operator {
    ($activation:expr, $weight:expr, $f:ident => $body:expr) => {
        match $activation {
            Activation::Identity => {
                let $f = straight($weight);
                $body
            }
            Activation::Relu => {
                let $f = kinked(T::zero(), $weight);
                $body
            }
            Activation::LeakyRelu(slope) => {
                let $f = kinked(T::of(slope), $weight);
                $body
            }
            Activation::HardTanh => {
                let $f = cut_off($weight);
                $body
            }
            Activation::Sign => {
                let $f = jump(-T::one(), $weight);
                $body
            }
            Activation::Step => {
                let $f = jump(T::zero(), $weight);
                $body
            }
            Activation::Quantize(bits) => {
                let $f = stairs(half_steps(bits), $weight);
                $body
            }
            Activation::Tanh => {
                let tanh = Smooth { jet: tanh_jet, steepest_bend: 0.77, bends_at: 0.0, valley: None, rises: false };
                let $f = |target, near| tanh.rounded(target, near, $weight);
                $body
            }
            Activation::Sigmoid => {
                let sigmoid =
                    Smooth { jet: sigmoid_jet, steepest_bend: 0.097, bends_at: 0.0, valley: None, rises: false };
                let $f = |target, near| sigmoid.rounded(target, near, $weight);
                $body
            }
            Activation::Softplus => {
                let far = f64::INFINITY;
                let softplus =
                    Smooth { jet: softplus_jet, steepest_bend: 0.25, bends_at: far, valley: None, rises: true };
                let $f = |target, near| softplus.rounded(target, near, $weight);
                $body
            }
            Activation::Gelu => {
                let valley = Some(-0.751_791_524_693_564_5);
                let bends_at = std::f64::consts::SQRT_2;
                let gelu = Smooth { jet: gelu_jet, steepest_bend: 0.798, bends_at, valley, rises: true };
                let $f = |target, near| gelu.rounded(target, near, $weight);
                $body
            }
            Activation::Silu => {
                let valley = Some(-1.278_464_542_761_073_7);
                let bends_at = 2.399_357_280_515_467_7;
                let silu = Smooth { jet: silu_jet, steepest_bend: 0.5, bends_at, valley, rises: true };
                let $f = |target, near| silu.rounded(target, near, $weight);
                $body
            }
        }
    };
}

impl Activation {
    /// The proximal operator: the input that brings σ to a target without going far,
    ///
    /// ```text
    /// argmin_u ½ (target − σ(u))² + (weight / 2) (u − near)²        weight > 0
    /// ```
    ///
    /// It is how a method without derivatives goes through an activation function, jumps included. The minimum is the
    /// global one; of two that are equal, one is taken, always the same. For finite arguments the result is not NaN.
    ///
    /// Piecewise linear and piecewise constant functions have it in closed form. The smooth ones take Newton steps between
    /// bounds on f64, about ten evaluations of σ; where the objective has two valleys, both are followed. Where σ jumps the
    /// minimum may lie in a limit from below; the result is then a point just below the jump.
    ///
    /// # Example
    ///
    /// ```
    /// use decoupled::layer::Activation;
    ///
    /// // Crossing the kink costs ½ · 0.1 · 1.1² · 10/11 here, staying below it ½.
    /// assert_eq!(Activation::Relu.prox(1.0, -0.1, 0.1), 0.9);
    /// // The sign flips where that is worth the way.
    /// assert_eq!(Activation::Sign.prox(1.0, -0.5, 1.0), 0.0);
    /// assert_eq!(Activation::Sign.prox(1.0, -0.5, 100.0), -0.5);
    /// ```
    #[inline]
    pub fn prox<T: Scalar>(self, target: T, near: T, weight: T) -> T {
        with_operator!(self, weight, f => f(target, near))
    }

    /// [`prox`](Self::prox) of each pair of entries, written over `near`. As long as the shorter of the two.
    pub fn prox_all<T: Scalar>(self, target: &[T], near: &mut [T], weight: T) {
        with_operator!(self, weight, f => dispatch(#[inline(always)] || each(target, near, f)));
    }
}

// Slices that are arguments are known not to overlap, those that a closure captures are not.

/// u ← f(target, u), pair by pair.
#[inline(always)]
fn each<T: Scalar>(target: &[T], u: &mut [T], f: impl Fn(T, T) -> T) {
    for (u, &target) in u.iter_mut().zip(target) {
        *u = f(target, *u);
    }
}

/// Where ½ (target − slope · u)² + (weight / 2)(u − near)² is least: a mean of target and near, whose weights neither
/// overflow nor give 0 / 0.
struct Pull<T> {
    to_target: T,
    to_near: T,
}

impl<T: Scalar> Pull<T> {
    fn new(slope: T, weight: T) -> Self {
        let one = T::one();
        Self { to_target: one / (slope + weight / slope), to_near: one / (one + slope * (slope / weight)) }
    }

    #[inline(always)]
    fn at(&self, target: T, near: T) -> T {
        self.to_target * target + self.to_near * near
    }
}

/// σ(u) = u.
fn straight<T: Scalar>(weight: T) -> impl Fn(T, T) -> T {
    let pull = Pull::new(T::one(), weight);
    #[inline(always)]
    move |target, near| pull.at(target, near)
}

/// σ(u) = u above 0 and slope · u below. Where both sides have a minimum inside, the values there are
/// ½ (target − s · near)² · weight / (s² + weight), s the side's slope.
fn kinked<T: Scalar>(slope: T, weight: T) -> impl Fn(T, T) -> T {
    let (zero, one) = (T::zero(), T::one());
    let (above, below) = (Pull::new(one, weight), Pull::new(slope, weight));
    let (size_above, size_below) = ((one + weight).sqrt(), (slope * slope + weight).sqrt());
    #[inline(always)]
    move |target, near| {
        let (high, low) = (above.at(target, near), below.at(target, near));
        let better = (target - near).abs() * size_below < (target - slope * near).abs() * size_above;
        // Without a branch, so that it vectorises.
        if (high > zero) & ((low >= zero) | better) { high } else { low.min(zero) }
    }
}

/// σ(u) = u between −1 and 1 and constant outside. From outside the way in must gain more than it costs.
fn cut_off<T: Scalar>(weight: T) -> impl Fn(T, T) -> T {
    let one = T::one();
    let (pull, root) = (Pull::new(one, weight), weight.sqrt());
    #[inline(always)]
    move |target, near| {
        let (inside, value) = (pull.at(target, near).clamp(-one, one), near.clamp(-one, one));
        let stays = near != value && !pays(target, value, inside, root * (inside - near));
        if stays { near } else { inside }
    }
}

/// σ(u) = 1 from 0 on, and `low` below.
fn jump<T: Scalar>(low: T, weight: T) -> impl Fn(T, T) -> T {
    let (zero, one) = (T::zero(), T::one());
    let root = weight.sqrt();
    #[inline(always)]
    move |target, near| {
        let above = near >= zero;
        let (value, other) = if above { (one, low) } else { (low, one) };
        let beyond = if above { -T::of(TINY) } else { zero };
        if pays(target, value, other, root * near) { beyond } else { near }
    }
}

/// σ of [`Activation::Quantize`]. The objective at the points of the cells nearest to `near` is convex in the cell's number,
/// with the minimum on the target's side, and from the next cell on it is a parabola of the level.
fn stairs<T: Scalar>(half: T, weight: T) -> impl Fn(T, T) -> T {
    let (one, half_cell) = (T::one(), T::of(0.5) / half);
    let (pull, root) = (Pull::new(one, weight), weight.sqrt());
    let last = half + T::of(0.5);
    #[inline(always)]
    move |target, near| {
        let own = cell(near, half);
        let value = level(own, half);
        let (other, beyond) = if target > value {
            let other = cell(pull.at(target, near + half_cell), half).max(own + one);
            let edge = other / half;
            let rounded_down = edge * half < other;
            (other, if rounded_down { edge + two_ulps(edge) } else { edge })
        } else {
            let other = cell(pull.at(target, near - half_cell), half).min(own - one);
            let edge = (other + one) / half;
            (other, edge - two_ulps(edge) - T::of(TINY))
        };
        let exists = other >= -last && other < last;
        if exists && pays(target, value, level(other, half), root * (beyond - near)) { beyond } else { near }
    }
}

/// How far below a jump at 0 the result lies; a normal number of both precisions.
const TINY: f64 = 1e-37;

fn two_ulps<T: Scalar>(x: T) -> T {
    x.abs() * (T::default_epsilon() + T::default_epsilon())
}

/// Whether ½ (target − other)² + ½ way² < ½ (target − value)², without cancellation and without overflow of the squares.
#[inline(always)]
fn pays<T: Scalar>(target: T, value: T, other: T, way: T) -> bool {
    let gain = (other - value) * (target - value + (target - other));
    gain.max(T::zero()).sqrt() > way.abs()
}

/// Value, first and second derivative.
type Jet = [f64; 3];

fn tanh_jet(x: f64) -> Jet {
    let (value, slope) = tanh(x);
    [value, slope, -2.0 * value * slope]
}

fn sigmoid_jet(x: f64) -> Jet {
    let (value, slope) = sigmoid(x);
    [value, slope, slope * (1.0 - 2.0 * value)]
}

fn softplus_jet(x: f64) -> Jet {
    let (value, slope) = softplus(x);
    [value, slope, sigmoid(x).1]
}

fn gelu_jet(x: f64) -> Jet {
    let (distribution, density) = gaussian(x);
    [x * distribution, distribution + x * density, density * (2.0 - x * x)]
}

fn silu_jet(x: f64) -> Jet {
    let ((value, slope), (s, ds)) = (silu(x), sigmoid(x));
    [value, slope, ds * (2.0 + x * (1.0 - 2.0 * s))]
}

/// A smooth σ: it rises everywhere, or falls to the left of a valley and rises to the right of it. Where it rises it is
/// convex up to the point where it bends, and concave from there on; where it falls it is so seen from the right.
struct Smooth<F> {
    jet: F,
    /// At least the largest |σ''|.
    steepest_bend: f64,
    /// Where convex turns to concave, and with a valley also minus that.
    bends_at: f64,
    valley: Option<f64>,
    /// Whether σ(u) ≥ u − 1 for u ≥ 0; if not, it is bounded.
    rises: bool,
}

/// From here on the derivative of a function that approaches a constant is zero, in f64.
const FLAT: f64 = 800.0;

impl<F: Fn(f64) -> Jet> Smooth<F> {
    fn rounded<T: Scalar>(&self, target: T, near: T, weight: T) -> T {
        let found = self.minimum(target.to_f64(), near.to_f64(), weight.to_f64());
        let rounded = T::of(found);
        if rounded.is_finite() { rounded } else { near }
    }

    fn minimum(&self, target: f64, near: f64, weight: f64) -> f64 {
        let [value, ..] = (self.jet)(near);
        let (z, top) = (self.bends_at, if self.rises { target.max(0.0) + 1.0 } else { FLAT });
        let climb = |flip_input: bool, flip_output: bool, start: f64, end: f64, bends_at: f64| {
            let sign = |flip: bool| if flip { -1.0 } else { 1.0 };
            let (input, output) = (sign(flip_input), sign(flip_output));
            let (target, near) = (output * target, input * near);
            let climb = Climb { smooth: self, input, output, target, near, weight, bends_at };
            input * climb.minimum(start, end)
        };
        let objective = |u: f64| {
            let [value, ..] = (self.jet)(u);
            0.5 * (target - value) * (target - value) + 0.5 * weight * (u - near) * (u - near)
        };
        let (up, left) = (target > value, self.valley.filter(|&valley| near < valley));
        match (up, left) {
            (true, None) => climb(false, false, near, top, z),
            (false, None) => climb(true, true, -near, self.valley.map_or(FLAT, |valley| -valley), -z),
            (false, Some(valley)) => climb(false, true, near, valley, -z),
            // Back over the left side, or through the valley and up the other side.
            (true, Some(valley)) => {
                let (back, over) = (climb(true, false, -near, FLAT, z), climb(false, false, valley, top, z));
                if objective(over) < objective(back) { over } else { back }
            }
        }
    }
}

/// The search for u ≥ start where a rising σ is still below its target, after reflections that bring every case here. From
/// the target on, σ is taken to stay there, which moves no minimum. So, with g the gap to the target,
///
/// ```text
/// f   = ½ g² + (weight / 2)(u − near)²
/// f'  = weight (u − near) − g σ'
/// f'' = weight + σ'² − g σ''
/// ```
///
/// and f is concave at most on one interval, where σ is convex: f' rises, falls and rises, and there are one or two minima.
struct Climb<'a, F> {
    smooth: &'a Smooth<F>,
    input: f64,
    output: f64,
    target: f64,
    near: f64,
    weight: f64,
    bends_at: f64,
}

/// What a climb sees at a point.
struct View {
    /// The gap g.
    gap: f64,
    /// f'.
    slope: f64,
    /// f''.
    bend: f64,
}

impl<F: Fn(f64) -> Jet> Climb<'_, F> {
    fn at(&self, u: f64) -> View {
        let [value, slope, bend] = (self.smooth.jet)(self.input * u);
        let (value, slope, bend) = (self.output * value, self.input * self.output * slope, self.output * bend);
        let gap = (self.target - value).max(0.0);
        let way = self.weight * (u - self.near);
        if gap > 0.0 {
            View { gap, slope: way - gap * slope, bend: self.weight + slope * slope - gap * bend }
        } else {
            View { gap, slope: way, bend: self.weight }
        }
    }

    fn objective(&self, u: f64) -> f64 {
        let (gap, way) = (self.at(u).gap, u - self.near);
        0.5 * gap * gap + self.cost(way)
    }

    fn cost(&self, way: f64) -> f64 {
        0.5 * self.weight * way * way
    }

    fn minimum(&self, start: f64, end: f64) -> f64 {
        let first = self.at(start);
        // Farther out the way alone costs more than the whole objective does at the start.
        let farthest = self.near + (first.gap / self.weight.sqrt()).hypot(start - self.near);
        let end = farthest.min(end).max(start);
        let Some(middle) = self.concave(start, end, first.gap) else {
            return if first.slope >= 0.0 { start } else { self.root(start, end, start) };
        };
        if self.at(middle).slope > 0.0 {
            let near = if first.slope >= 0.0 { start } else { self.root(start, middle, start) };
            let least = self.objective(near);
            let falls = self.beyond(middle, end, |view| view.slope < 0.0, |u, _| self.cost(u - self.near) >= least);
            self.better(near, falls.map(|falls| self.root(falls, end, falls)))
        } else {
            let far = self.root(middle, end, middle);
            let least = self.objective(far);
            if first.slope >= 0.0 {
                return self.better(start, Some(far));
            }
            let rises =
                self.beyond(middle, start, |view| view.slope > 0.0, |_, view| 0.5 * view.gap * view.gap >= least);
            rises.map_or(far, |rises| self.better(self.root(start, rises, start), Some(far)))
        }
    }

    fn better(&self, near: f64, far: Option<f64>) -> f64 {
        far.filter(|&far| self.objective(far) < self.objective(near)).unwrap_or(near)
    }

    /// A point where f'' < 0, if there is one: f'' has one minimum where σ is convex, and golden sections find it.
    fn concave(&self, start: f64, end: f64, gap: f64) -> Option<f64> {
        const SECTION: f64 = 0.381_966_011_250_105_1;
        let (mut low, mut high) = (start, end.min(self.bends_at));
        let mut widest = gap;
        let inside = |low: f64, high: f64, part: f64| low + part * (high - low);
        let mut points = [inside(low, high, SECTION), inside(low, high, 1.0 - SECTION)];
        let mut views = points.map(|u| self.at(u));
        for _ in 0..SECTIONS {
            if high <= low || widest * self.smooth.steepest_bend <= self.weight {
                return None;
            }
            for (point, view) in points.iter().zip(&views) {
                if view.bend < 0.0 {
                    return Some(*point);
                }
            }
            let [left, right] = &views;
            // Far to the left both may be equal, and the minimum lies to their right; past the target it lies to the left.
            if right.gap == 0.0 || left.bend < right.bend {
                high = points[1];
                points = [inside(low, high, SECTION), points[0]];
                let [left, _] = views;
                views = [self.at(points[0]), left];
            } else {
                (low, widest) = (points[0], left.gap);
                points = [points[1], inside(low, high, 1.0 - SECTION)];
                let [_, right] = views;
                views = [right, self.at(points[1])];
            }
        }
        None
    }

    /// A point that is `wanted`, on the way from `inside`, where f'' < 0, to where f'' turns its sign; none once `hopeless`.
    fn beyond(
        &self,
        mut inside: f64,
        mut outside: f64,
        wanted: impl Fn(&View) -> bool,
        hopeless: impl Fn(f64, &View) -> bool,
    ) -> Option<f64> {
        for _ in 0..SECTIONS {
            let middle = 0.5 * (inside + outside);
            let view = self.at(middle);
            if wanted(&view) {
                return Some(middle);
            }
            if view.bend < 0.0 {
                if hopeless(middle, &view) {
                    return None;
                }
                inside = middle;
            } else {
                outside = middle;
            }
        }
        None
    }

    /// Where f' turns from negative, at `low`, to positive: Newton steps from `u`, halving where they leave the bounds or
    /// shrink too little.
    fn root(&self, mut low: f64, mut high: f64, mut u: f64) -> f64 {
        let (mut step, mut step_before) = (high - low, high - low);
        for _ in 0..STEPS {
            let view = self.at(u);
            if view.slope == 0.0 {
                return u;
            }
            if view.slope < 0.0 {
                low = u;
            } else {
                high = u;
            }
            let newton = -view.slope / view.bend;
            let inside = view.bend > 0.0 && u + newton > low && u + newton < high;
            let quick = inside && newton.abs() <= 0.5 * step_before;
            let next = if quick { u + newton } else { 0.5 * (low + high) };
            (step_before, step) = (step, (next - u).abs());
            u = next;
            // Newton's next step would be the square of this one, and below the rounding.
            let enough = if quick { f64::EPSILON.sqrt() } else { f64::EPSILON };
            if step <= enough * (u.abs() + self.near.abs()) {
                break;
            }
        }
        u
    }
}

/// Golden sections and halvings; a third of the digits is plenty for a sign.
const SECTIONS: usize = 48;
/// Newton steps and halvings.
const STEPS: usize = 200;
