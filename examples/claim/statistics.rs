//! Means with their intervals.

use std::fmt::{self, Display, Formatter};

/// A mean with its 95 % interval, by Student's t.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    pub(crate) mean: f64,
    /// Half the interval; infinite for a single value.
    pub(crate) half: f64,
}

/// The 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom.
const QUANTILES: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/// The same for more degrees of freedom, by the first terms of its expansion around the normal quantile z; good to 1e-3 here.
fn far_quantile(freedom: f64) -> f64 {
    let z = 1.959964_f64;
    z + (z.powi(3) + z) / (4.0 * freedom)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * freedom.powi(3))
}

impl Estimate {
    /// Of some values; none without any.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let freedom = n.checked_sub(1)?;
        let half = match freedom {
            0 => f64::INFINITY,
            _ => {
                let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / freedom as f64;
                let quantile = QUANTILES.get(freedom - 1).copied().unwrap_or_else(|| far_quantile(freedom as f64));
                quantile * (variance / n as f64).sqrt()
            }
        };
        Some(Self { mean, half })
    }

    pub(crate) fn low(&self) -> f64 {
        self.mean - self.half
    }

    pub(crate) fn high(&self) -> f64 {
        self.mean + self.half
    }
}

impl Display for Estimate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3);
        // What rounds to zero has no sign.
        let mean = if self.mean.abs() < 0.5 * 0.1_f64.powi(digits as i32) { 0.0 } else { self.mean };
        match self.half.is_finite() {
            true => write!(f, "{mean:.digits$} ± {:.digits$}", self.half),
            false => write!(f, "{mean:.digits$}"),
        }
    }
}
