//! Derivatives by central differences, for the checks of gradients: kinks are found without the gradient under test.

use rand::{Rng, RngExt};

use super::{Subject, gaussian, loose};
use crate::{Result, Scalar};

/// Coordinate axes that are followed; all of them up to twice as many.
const AXES: usize = 32;
/// Dense random directions that are followed.
const DENSE: usize = 8;
/// How often a stencil shrinks before a point counts as too near to a kink, and by how much.
const SHRINKS: i32 = 3;
const SHRINK: f64 = 1.0 / 16.0;

/// Whether differences could be had at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Agrees,
    Unsettled,
}

/// Compares `gradient` at `point` with differences of `value`, whose own size is `scale`.
pub(super) fn compare<T: Scalar>(
    subject: &Subject,
    what: &str,
    (point, gradient): (&[T], &[T]),
    scale: f64,
    rng: &mut dyn Rng,
    mut value: impl FnMut(&[T]) -> Result<f64>,
) -> Result<Outcome> {
    let len = point.len();
    let epsilon = T::default_epsilon().to_f64();
    let tolerance = loose::<T>();
    let squares: f64 = gradient.iter().map(|g| g.to_f64().powi(2)).sum();
    let typical = (squares / len as f64).sqrt();
    let centre = value(point)?;
    let mut moved = point.to_vec();

    for (axis, direction) in directions::<T>(len, rng) {
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g.to_f64() * d.to_f64()).sum();
        let mut at = |t: f64| {
            for ((m, &p), &d) in moved.iter_mut().zip(point).zip(&direction) {
                *m = p + T::of(t) * d;
            }
            value(&moved)
        };
        let mut settled = false;
        for shrink in 0..SHRINKS {
            let step = epsilon.powf(0.2) * SHRINK.powi(shrink);
            let wide = Stencil::at(&mut at, centre, step)?;
            let middle = Stencil::at(&mut at, centre, step / 2.0)?;
            let narrow = Stencil::at(&mut at, centre, step / 4.0)?;
            let (coarse, fine) = (middle.extrapolated(&wide), narrow.extrapolated(&middle));
            let allowed = tolerance * typical.max(fine.abs()) + 32.0 * epsilon * scale / step;
            // Over a quarter of the way a smooth function bends a quarter as much, a kink all the same.
            let smooth = (narrow.bend - wide.bend / 4.0).abs() <= allowed;
            if smooth && (coarse - fine).abs() <= allowed / 2.0 {
                let agrees = (fine - slope).abs() <= allowed;
                if !agrees {
                    let place = axis.map_or("a random direction".to_owned(), |axis| format!("entry {axis}"));
                    return Err(subject.breach(format!("{what} along {place}, by differences"), fine, slope));
                }
                settled = true;
                break;
            }
        }
        if !settled {
            return Ok(Outcome::Unsettled);
        }
    }
    Ok(Outcome::Agrees)
}

/// Differences of a function φ over ±h.
struct Stencil {
    /// (φ(h) − φ(−h)) / 2h.
    slope: f64,
    /// (φ(h) − 2φ(0) + φ(−h)) / h, the difference between the slopes on both sides.
    bend: f64,
}

impl Stencil {
    fn at(phi: &mut impl FnMut(f64) -> Result<f64>, centre: f64, h: f64) -> Result<Self> {
        let (after, before) = (phi(h)?, phi(-h)?);
        Ok(Self { slope: (after - before) / (2.0 * h), bend: (after - centre + (before - centre)) / h })
    }

    /// The derivative to fourth order in h, from this stencil and one twice as wide.
    fn extrapolated(&self, wide: &Self) -> f64 {
        (4.0 * self.slope - wide.slope) / 3.0
    }
}

/// Unit vectors: coordinate axes, each with its index, then dense ones.
fn directions<T: Scalar>(len: usize, rng: &mut dyn Rng) -> Vec<(Option<usize>, Vec<T>)> {
    let mut rng = rng;
    let axes: Vec<usize> =
        if len <= 2 * AXES { (0..len).collect() } else { (0..AXES).map(|_| (&mut rng).random_range(0..len)).collect() };
    let axes = axes.into_iter().map(|axis| {
        let direction = (0..len).map(|i| if i == axis { T::one() } else { T::zero() });
        (Some(axis), direction.collect())
    });
    let dense = (0..DENSE).map(|_| {
        let mut direction: Vec<T> = gaussian(len, rng);
        let norm = direction.iter().map(|&d| d * d).sum::<T>().sqrt();
        direction.iter_mut().for_each(|d| *d /= norm);
        (None, direction)
    });
    axes.chain(dense).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::random::{Purpose, stream};

    fn check(point: &[f64], gradient: &[f64], value: impl Fn(&[f64]) -> f64) -> Result<Outcome> {
        let mut rng = stream(5, Purpose::Probe, 0, 0);
        compare(&Subject::new("a function"), "gradient", (point, gradient), 1.0, &mut rng, |x| Ok(value(x)))
    }

    #[test]
    fn a_gradient_off_by_a_hundred_thousandth_is_found_and_a_right_one_passes() {
        let point: Vec<f64> = (0..300).map(|i| f64::from(i).sin()).collect();
        let value = |x: &[f64]| x.iter().map(|x| x.exp().sin()).sum::<f64>();
        let gradient: Vec<f64> = point.iter().map(|x| x.exp().cos() * x.exp()).collect();
        assert_eq!(check(&point, &gradient, value).unwrap(), Outcome::Agrees);
        let scaled: Vec<f64> = gradient.iter().map(|g| g * (1.0 + 1e-5)).collect();
        assert!(check(&point, &scaled, value).is_err());
        let mut one_wrong = gradient.clone();
        one_wrong[17] += 0.01;
        assert!(check(&point, &one_wrong, value).is_err());
        assert!(check(&point, &[0.0; 300], value).is_err());
        assert!(check(&point, &[f64::NAN; 300], value).is_err());
    }

    #[test]
    fn a_kink_close_by_is_walked_around_and_a_kink_at_the_point_is_never_judged() {
        let relu = |x: &[f64]| x.iter().map(|x| x.max(0.0)).sum::<f64>();
        for distance in [1e-2, 6e-4, 5e-4, 3e-4, 1e-4, 1e-5, 3e-6] {
            assert_eq!(check(&[distance, -distance], &[1.0, 0.0], relu).unwrap(), Outcome::Agrees);
            assert!(check(&[distance, -distance], &[0.999, 0.0], relu).is_err());
        }
        for gradient in [1.0, 0.5, 0.0] {
            for distance in [0.0, 1e-9] {
                assert_eq!(check(&[distance], &[gradient], relu).unwrap(), Outcome::Unsettled);
            }
        }
    }

    #[test]
    fn a_function_without_derivative_is_never_settled() {
        let rough = |x: &[f64]| (1e9 * x[0]).sin();
        assert_eq!(check(&[0.3], &[0.0], rough).unwrap(), Outcome::Unsettled);
    }
}
