//! From values to places on an axis, and the numbers that stand along it.

/// How the numbers along an axis are chosen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Linear,
    /// Logarithmic when all values are positive and the largest is more than so many times the smallest, else linear.
    Spread(f64),
    /// Whole numbers only.
    Whole,
}

/// An axis from `low` to `high`, with the numbers along it.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    /// Places from 0 to 1, and what stands there.
    pub(super) ticks: Vec<(f64, String)>,
    /// What the numbers are to be multiplied by, to be put behind the axis' name; mostly nothing.
    pub(super) unit: String,
}

impl Scale {
    /// An axis for these values, with `margin` times their span free at both ends. There is at least one value, and none is
    /// beyond ±1e300.
    pub(super) fn new(values: impl Iterator<Item = f64>, kind: Kind, margin: f64) -> Self {
        let (least, most) = values.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
        let log = matches!(kind, Kind::Spread(ratio) if least > 0.0 && most / ratio > least);
        let (least, most) = if log { (least.log10(), most.log10()) } else { apart(least, most, kind) };
        let free = margin * (most - least);
        Self::between(least - free, most + free, log, kind)
    }

    /// A linear axis without margins.
    pub(super) fn fixed(low: f64, high: f64) -> Self {
        Self::between(low, high, false, Kind::Linear)
    }

    fn between(low: f64, high: f64, log: bool, kind: Kind) -> Self {
        let mut scale = Self { low, high, log, ticks: Vec::new(), unit: String::new() };
        let ticks = if log { decades(low, high) } else { scale.steps(kind) };
        let slack = 1e-9 * (high - low);
        let inside = ticks.into_iter().filter(|(at, _)| (low - slack..=high + slack).contains(at));
        scale.ticks = inside.map(|(at, text)| ((at - low) / (high - low), text)).collect();
        scale
    }

    /// Where a value lies: 0 at the low end, 1 at the high one.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// The value at a place of a linear axis.
    pub(super) fn value(&self, place: f64) -> f64 {
        self.low + place * (self.high - self.low)
    }

    /// Some six numbers of the form {1, 2, 5} · 10ⁿ · k.
    fn steps(&mut self, kind: Kind) -> Vec<(f64, String)> {
        let size = self.low.abs().max(self.high.abs()).log10().floor() as i32;
        let power = if (-3..5).contains(&size) || matches!(kind, Kind::Whole) { 0 } else { size };
        if power != 0 {
            self.unit = format!(" (×{})", ten_to(power));
        }
        let least = if matches!(kind, Kind::Whole) { 1.0 } else { 0.0 };
        let one = 10f64.powi(power);
        let (low, high) = (self.low / one, self.high / one);
        let step = nice((high - low) / 6.0).max(least);
        let digits = (-(step * 1.0001).log10().floor()).max(0.0) as usize;
        let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        let text = |k: i64| format!("{:.digits$}", k as f64 * step).replace('-', "−");
        (first..=last).map(|k| (k as f64 * step * one, text(k))).collect()
    }
}

/// The same ends, unless they lie so near that numbers between them would look alike.
fn apart(least: f64, most: f64, kind: Kind) -> (f64, f64) {
    let size = least.abs().max(most.abs());
    let half = match kind {
        Kind::Whole => (1e-12 * size).max(0.5),
        _ if size < 1e-290 => 1.0,
        _ => 0.05 * size,
    };
    let near = match kind {
        Kind::Whole => half,
        _ if size < 1e-290 => 1.0,
        _ => 1e-4 * size,
    };
    if most - least > near { (least, most) } else { (least / 2.0 + most / 2.0 - half, least / 2.0 + most / 2.0 + half) }
}

/// The smallest of 1, 2, 5 times a power of ten that is not below.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= step * 0.999);
    times.unwrap_or(10.0) * power
}

/// Powers of ten between two exponents; with 2 and 5 times each where there are few.
fn decades(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.floor() as i32, high.ceil() as i32);
    let plain = low >= -3.3 && high <= 4.3;
    let every = nice((high - low) / 6.0).max(1.0) as i32;
    let times: &[u32] = if high - low < 2.6 { &[1, 2, 5] } else { &[1] };
    let text = |times: u32, power: i32| match (plain, times) {
        (true, _) if power < 0 => format!("{}{times}", "0.".to_owned() + &"0".repeat((-power - 1) as usize)),
        (true, _) => format!("{times}{}", "0".repeat(power as usize)),
        (false, 1) => ten_to(power),
        _ => format!("{times}×{}", ten_to(power)),
    };
    let whole = (first..=last).filter(|power| power % every == 0);
    let all = whole.flat_map(|power| times.iter().map(move |&times| (times, power)));
    all.map(|(times, power)| (f64::from(power) + f64::from(times).log10(), text(times, power))).collect()
}

/// 10ⁿ.
fn ten_to(power: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digit = |c: char| c.to_digit(10).and_then(|digit| DIGITS.get(digit as usize)).copied().unwrap_or('⁻');
    "10".chars().chain(power.to_string().chars().map(digit)).collect()
}
