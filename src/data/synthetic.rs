//! Synthetic data sets, drawn from a seed.

use std::f64::consts::PI;

use rand::Rng;

use crate::data::{Dataset, Examples};
use crate::error::require;
use crate::machine::linalg::matrix::filled;
use crate::machine::random::{Purpose, stream};
use crate::{Result, Scalar};

/// Two interleaved half circles in the plane, one for each class: inputs `2 × n`, classes alternate 0, 1, 0, 1, …
///
/// ```text
/// class 0: (cos t, sin t)    class 1: (1 − cos t, ½ − sin t)    t uniform on [0, π), plus N(0, noise²) on each
/// ```
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty) when `n` is 0, [`Error::OutOfMemory`](crate::Error::OutOfMemory),
/// [`Error::HyperParameter`](crate::Error::HyperParameter) unless `noise` is finite and at least 0.
pub fn two_moons<T: Scalar>(n: usize, noise: f64, seed: u64) -> Result<Dataset<T>> {
    let mut rng = noisy_stream(noise, seed)?;
    let mut points = filled("the inputs", n.saturating_mul(2), T::zero())?;
    let labels: Vec<usize> = (0..n).map(|i| i % 2).collect();
    for (entries, &label) in points.as_chunks_mut().0.iter_mut().zip(&labels) {
        let (sin, cos) = (PI * f64::uniform(&mut rng)).sin_cos();
        let point = if label == 0 { [cos, sin] } else { [1.0 - cos, 0.5 - sin] };
        *entries = point.map(|x| T::of(x + noise * f64::standard_normal(&mut rng)));
    }
    Dataset::classification(Examples::from_columns(points, n, 2)?, &labels, 2)
}

/// A noisy sine to regress: inputs `1 × n`, targets `1 × n`.
///
/// ```text
/// y = sin x + N(0, noise²)    x uniform on [−π, π)
/// ```
///
/// # Errors
/// As [`two_moons`].
pub fn sine<T: Scalar>(n: usize, noise: f64, seed: u64) -> Result<Dataset<T>> {
    let mut rng = noisy_stream(noise, seed)?;
    let [mut x, mut y] = [filled("the inputs", n, T::zero())?, filled("the targets", n, T::zero())?];
    for (x, y) in x.iter_mut().zip(&mut y) {
        let at = PI * (2.0 * f64::uniform(&mut rng) - 1.0);
        let sine = at.sin() + noise * f64::standard_normal(&mut rng);
        (*x, *y) = (T::of(at), T::of(sine));
    }
    Dataset::regression(Examples::from_columns(x, n, 1)?, Examples::from_columns(y, n, 1)?)
}

fn noisy_stream(noise: f64, seed: u64) -> Result<impl Rng> {
    require(noise >= 0.0 && noise.is_finite(), "noise", "finite and at least 0", noise)?;
    Ok(stream(seed, Purpose::Synthetic, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn moons_without_noise_lie_on_their_half_circles() {
        let data = two_moons::<f64>(1000, 0.0, 1).unwrap();
        assert_eq!((data.len(), data.input_dim(), data.classes()), (1000, 2, Some(2)));
        for (i, (point, &label)) in data.inputs().columns().zip(data.labels().unwrap()).enumerate() {
            assert_eq!(label, i % 2);
            let (x, y) = if label == 0 { (point[0], point[1]) } else { (1.0 - point[0], 0.5 - point[1]) };
            assert!((x * x + y * y - 1.0).abs() < 1e-14 && y >= 0.0);
        }
    }

    #[test]
    fn a_sine_without_noise_is_the_sine_over_its_whole_period() {
        let data = sine::<f64>(1000, 0.0, 1).unwrap();
        let (x, y) = (data.inputs().as_slice(), data.targets().as_slice());
        assert!(x.iter().zip(y).all(|(x, y)| x.sin() == *y && x.abs() <= PI));
        assert!(x.iter().any(|&x| x < -3.0) && x.iter().any(|&x| x > 3.0));
    }

    #[test]
    fn noise_has_the_asked_variance() {
        let data = sine::<f64>(4000, 0.3, 2).unwrap();
        let pairs = data.inputs().as_slice().iter().zip(data.targets().as_slice());
        let variance = pairs.map(|(x, y)| (y - x.sin()).powi(2)).sum::<f64>() / 4000.0;
        // The standard error of a variance is variance · √(2/N) = 0.002; four of them.
        assert!((variance - 0.09).abs() < 0.008, "{variance}");
    }

    #[test]
    fn seeds_decide_the_draws() {
        assert_eq!(two_moons::<f32>(10, 0.1, 3).unwrap(), two_moons(10, 0.1, 3).unwrap());
        assert_ne!(two_moons::<f32>(10, 0.1, 3).unwrap(), two_moons(10, 0.1, 4).unwrap());
    }

    #[test]
    fn no_examples_and_impossible_noise_are_errors() {
        assert!(matches!(two_moons::<f64>(0, 0.1, 0), Err(Error::Empty { .. })));
        assert!(matches!(sine::<f64>(0, 0.1, 0), Err(Error::Empty { .. })));
        for noise in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(two_moons::<f64>(2, noise, 0), Err(Error::HyperParameter { name: "noise", .. })));
            assert!(matches!(sine::<f64>(2, noise, 0), Err(Error::HyperParameter { name: "noise", .. })));
        }
    }
}
