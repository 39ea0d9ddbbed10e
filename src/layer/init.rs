//! Distributions of initial weights.

use nalgebra::DMatrix;
use rand::Rng;

use super::Activation;
use crate::{MatMut, Result, Scalar, error::require};

/// How initial weights are drawn: a scheme, and a gain that multiplies every weight.
///
/// For a weight matrix `out × in` with gain g, each scheme gives independent entries of mean 0 and variance
///
/// ```text
/// Glorot      g² · 2 / (in + out)
/// He          g² · 2 / in
/// LeCun       g² · 1 / in
/// ```
///
/// either normal, or uniform on ±√(3 · variance). Glorot suits maps that are about linear near zero (tanh), He suits ReLU,
/// LeCun keeps the variance of a linear map.
///
/// # References
/// * Glorot: X. Glorot, Y. Bengio (2010), *Understanding the difficulty of training deep feedforward neural
///   networks*, AISTATS, PMLR 9:249–256.
/// * He: K. He, X. Zhang, S. Ren, J. Sun (2015), *Delving Deep into Rectifiers*, arXiv:1502.01852.
/// * LeCun: Y. LeCun, L. Bottou, G. Orr, K.-R. Müller (1998), *Efficient BackProp*, doi:10.1007/3-540-49430-8_2.
/// * Orthogonal: A. Saxe, J. McClelland, S. Ganguli (2013), *Exact solutions to the nonlinear dynamics of learning in
///   deep linear neural networks*, arXiv:1312.6120.
///
/// # Example
///
/// ```
/// use decoupled::layer::{Dense, Init};
///
/// let layer = Dense::new(784, 256).init(Init::he_normal().gain(0.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Init {
    scheme: Scheme,
    gain: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Scheme {
    Normal(Fan),
    Uniform(Fan),
    Orthogonal,
    /// Orthogonal between halves: rows, columns or both come in pairs of opposite sign.
    Mirrored {
        rows: bool,
        columns: bool,
    },
    Constant(f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Fan {
    Glorot,
    He,
    LeCun,
}

impl Fan {
    fn variance(self, fan_in: usize, fan_out: usize) -> f64 {
        match self {
            Self::Glorot => 2.0 / (fan_in + fan_out) as f64,
            Self::He => 2.0 / fan_in as f64,
            Self::LeCun => 1.0 / fan_in as f64,
        }
    }
}

impl Init {
    const fn new(scheme: Scheme) -> Self {
        Self { scheme, gain: 1.0 }
    }

    /// Normal with variance 2 / (in + out).
    pub const fn glorot_normal() -> Self {
        Self::new(Scheme::Normal(Fan::Glorot))
    }

    /// Uniform with variance 2 / (in + out).
    pub const fn glorot_uniform() -> Self {
        Self::new(Scheme::Uniform(Fan::Glorot))
    }

    /// Normal with variance 2 / in.
    pub const fn he_normal() -> Self {
        Self::new(Scheme::Normal(Fan::He))
    }

    /// Uniform with variance 2 / in.
    pub const fn he_uniform() -> Self {
        Self::new(Scheme::Uniform(Fan::He))
    }

    /// Normal with variance 1 / in.
    pub const fn lecun_normal() -> Self {
        Self::new(Scheme::Normal(Fan::LeCun))
    }

    /// Uniform with variance 1 / in.
    pub const fn lecun_uniform() -> Self {
        Self::new(Scheme::Uniform(Fan::LeCun))
    }

    /// Returns the initialiser of [`dense`](crate::NetworkBuilder::dense) and [`conv2d`](crate::NetworkBuilder::conv2d): He's for the ReLU
    /// family, whose variance makes up for the half of a layer's inputs that is cut off, Glorot's for the others. Named in
    /// [`dense_with`](crate::NetworkBuilder::dense_with), it leaves the parameters as drawn.
    pub const fn for_activation(activation: Activation) -> Self {
        match activation {
            Activation::Relu
            | Activation::LeakyRelu(_)
            | Activation::Gelu
            | Activation::Silu
            | Activation::Softplus => Self::he_normal(),
            Activation::Identity
            | Activation::Tanh
            | Activation::Sigmoid
            | Activation::HardTanh
            | Activation::Sign
            | Activation::Step
            | Activation::Quantize(_) => Self::glorot_uniform(),
        }
    }

    /// A random matrix with orthonormal columns, or orthonormal rows when it is wider than tall; uniformly
    /// distributed (Haar).
    pub const fn orthogonal() -> Self {
        Self::new(Scheme::Orthogonal)
    }

    /// Keeps distances, so that a signal neither fades nor explodes on its way through a deep network: orthogonal for functions that are
    /// nearly linear at zero (tanh, sigmoid), mirrored for the ReLU family. A mirrored layer has its units in pairs that see u and −u; as
    /// ReLU(u) − ReLU(−u) = u, and the same holds of softplus, GELU and SiLU, a layer above that takes the difference gets u itself, and a
    /// deep network begins as a linear isometry. Of an odd width one unit has no partner, and starts without one above it.
    ///
    /// For [`NetworkBuilder::dense_with`](crate::NetworkBuilder::dense_with), which knows the functions; a [`Dense`](super::Dense) by
    /// itself is orthogonal. [`start_isometric`](crate::DecoupledNetwork::start_isometric) also centres and scales by the data.
    ///
    /// Orthogonal: Saxe et al., above. Mirrored: as the looks-linear start of D. Balduzzi et al. (2017), *The Shattered Gradients
    /// Problem*, arXiv:1702.08591.
    pub const fn isometric() -> Self {
        Self::mirrored(false, false)
    }

    pub(crate) const fn mirrored(rows: bool, columns: bool) -> Self {
        Self::new(Scheme::Mirrored { rows, columns })
    }

    pub(crate) const fn has_paired_rows(&self) -> bool {
        matches!(self.scheme, Scheme::Mirrored { rows: true, .. })
    }

    /// Returns this for a layer with `activation` above one whose units are `paired`, if this is [`isometric`](Self::isometric).
    pub(crate) fn within(self, activation: Activation, paired: Option<f64>) -> Self {
        if self.scheme != Self::isometric().scheme {
            return self;
        }
        let scheme = Scheme::Mirrored { rows: activation.pairs().is_some(), columns: paired.is_some() };
        // The slope of a sigmoid at zero is a quarter.
        let slope = if activation == Activation::Sigmoid { 0.25 } else { 1.0 };
        Self { scheme, gain: self.gain / (slope * paired.unwrap_or(1.0)) }
    }

    /// Every weight equal to `value`.
    pub const fn constant(value: f64) -> Self {
        Self::new(Scheme::Constant(value))
    }

    /// Every weight zero.
    pub const fn zeros() -> Self {
        Self::constant(0.0)
    }

    /// Multiplies every weight by `gain` (1 unless set).
    #[must_use]
    pub const fn gain(self, gain: f64) -> Self {
        Self { gain, ..self }
    }

    /// Draws `weights`, `out × in`.
    pub fn fill<T: Scalar>(&self, weights: MatMut<'_, T>, rng: &mut dyn Rng) {
        let fans = [weights.cols(), weights.rows()];
        self.fill_fans(weights, fans, rng);
    }

    /// Draws `weights`, with these numbers of inputs and outputs in the variance of independent entries.
    pub(crate) fn fill_fans<T: Scalar>(&self, mut weights: MatMut<'_, T>, fans: [usize; 2], rng: &mut dyn Rng) {
        let (fan_out, fan_in) = (weights.rows(), weights.cols());
        let gain = T::of(self.gain);
        match self.scheme {
            Scheme::Normal(fan) => {
                let deviation = gain * T::of(fan.variance(fans[0], fans[1]).sqrt());
                weights.as_mut_slice().fill_with(|| deviation * T::standard_normal(rng));
            }
            Scheme::Uniform(fan) => {
                let bound = gain * T::of((3.0 * fan.variance(fans[0], fans[1])).sqrt());
                let two = T::of(2.0);
                weights.as_mut_slice().fill_with(|| bound * (two * T::uniform(rng) - T::one()));
            }
            Scheme::Orthogonal => {
                let q = orthogonal(fan_out, fan_in, rng);
                for (w, &q) in weights.as_mut_slice().iter_mut().zip(q.as_slice()) {
                    *w = gain * q;
                }
            }
            Scheme::Mirrored { rows, columns } => {
                // A single unit has no partner.
                let (rows, columns) = (rows && fan_out > 1, columns && fan_in > 1);
                let (height, width) =
                    (if rows { fan_out / 2 } else { fan_out }, if columns { fan_in / 2 } else { fan_in });
                let q = orthogonal::<T>(height, width, rng);
                for (j, column) in weights.columns_mut().enumerate() {
                    for (i, w) in column.iter_mut().enumerate() {
                        // Pairs stand half the width apart; the last of an odd number has no partner.
                        let entry =
                            if j < 2 * width || !columns { q.get((i % height.max(1), j % width.max(1))) } else { None };
                        *w = match entry {
                            Some(&q) if i < 2 * height || !rows => {
                                if (i < height) == (j < width) {
                                    gain * q
                                } else {
                                    -gain * q
                                }
                            }
                            // Above a unit without a partner nothing stands at first; such a unit itself is as any other.
                            Some(_) => gain * T::standard_normal(rng) / T::of(fan_in as f64).sqrt(),
                            None => T::zero(),
                        };
                    }
                }
            }
            Scheme::Constant(value) => weights.as_mut_slice().fill(gain * T::of(value)),
        }
    }

    /// Checks gain and constant.
    ///
    /// # Errors
    /// [`Error::HyperParameter`](crate::Error::HyperParameter) when one is not finite.
    pub fn validate(&self) -> Result<()> {
        require(self.gain.is_finite(), "gain of Init", "finite", self.gain)?;
        match self.scheme {
            Scheme::Constant(value) => require(value.is_finite(), "constant of Init", "finite", value),
            _ => Ok(()),
        }
    }
}

/// Returns a random matrix with orthonormal columns, or rows if it is wider than tall.
fn orthogonal<T: Scalar>(rows: usize, columns: usize, rng: &mut dyn Rng) -> DMatrix<T> {
    // nalgebra's R has a non-negative diagonal, which makes Q unique and hence Haar (Mezzadri 2007).
    let q = DMatrix::from_fn(rows.max(columns), rows.min(columns), |_, _| T::standard_normal(&mut *rng)).qr().q();
    if rows >= columns { q } else { q.transpose() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::random::{Purpose, stream};

    fn draw(init: Init, rows: usize, cols: usize, seed: u64) -> Vec<f64> {
        let mut weights = vec![f64::NAN; rows * cols];
        init.fill(MatMut::new(&mut weights, rows, cols), &mut stream(seed, Purpose::Init, 0, 0));
        weights
    }

    #[test]
    fn moments_and_bounds_are_those_of_the_papers() {
        let (out, fan_in) = (150, 200);
        let variances = [
            (Init::glorot_normal(), Init::glorot_uniform(), 2.0 / 350.0),
            (Init::he_normal(), Init::he_uniform(), 2.0 / 200.0),
            (Init::lecun_normal(), Init::lecun_uniform(), 1.0 / 200.0),
        ];
        for (normal, uniform, variance) in variances {
            // Kurtosis 3 of a normal and 9/5 of a uniform tell the two apart.
            for (init, kurtosis) in [(normal, 3.0), (uniform, 1.8)] {
                for gain in [1.0, 0.5, 3.0] {
                    let expected = gain * gain * variance;
                    let weights = draw(init.gain(gain), out, fan_in, 3);
                    let moment = |k: i32| weights.iter().map(|w| w.powi(k)).sum::<f64>() / weights.len() as f64;
                    // 30,000 draws: standard errors σ/173, σ²·√2/173, and about 0.03 of the kurtosis.
                    assert!(moment(1).abs() < 5.0 * expected.sqrt() / 173.0);
                    assert!((moment(2) / expected - 1.0).abs() < 5.0 * 2f64.sqrt() / 173.0, "{init:?}");
                    assert!((moment(4) / moment(2).powi(2) - kurtosis).abs() < 0.15, "{init:?}");
                    if init == uniform {
                        let bound = (3.0 * expected).sqrt();
                        let largest = weights.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
                        assert!(largest <= bound && largest > 0.999 * bound);
                    }
                }
            }
        }
    }

    #[test]
    fn orthogonal_weights_have_gram_matrix_gain_squared_times_the_identity() {
        for (rows, cols) in [(1, 1), (7, 7), (12, 5), (5, 12), (1, 9), (9, 1)] {
            let weights = DMatrix::from_vec(rows, cols, draw(Init::orthogonal().gain(1.5), rows, cols, 4));
            let small = if rows >= cols { weights.transpose() * &weights } else { &weights * weights.transpose() };
            let identity = DMatrix::identity(small.nrows(), small.ncols()) * 2.25;
            assert!((small - identity).amax() < 1e-13, "{rows} × {cols}");
        }
    }

    #[test]
    fn orthogonal_weights_favour_no_sign_and_no_direction() {
        let draws: Vec<_> = (0..400).map(|seed| draw(Init::orthogonal(), 3, 3, seed)).collect();
        for entry in 0..9 {
            let moment = |k: i32| draws.iter().map(|q| q[entry].powi(k)).sum::<f64>() / draws.len() as f64;
            // A Haar entry has mean 0 and variance 1/3; four standard errors of 400 draws.
            assert!(moment(1).abs() < 4.0 * (1.0 / 3.0 / 400f64).sqrt(), "entry {entry}: {}", moment(1));
            assert!((moment(2) - 1.0 / 3.0).abs() < 4.0 * 0.3 / 20.0);
        }
    }

    #[test]
    fn constants_are_exact_and_numbers_that_are_not_finite_are_refused() {
        assert_eq!(draw(Init::constant(0.25).gain(2.0), 2, 3, 0), [0.5; 6]);
        assert_eq!(draw(Init::zeros(), 2, 2, 0), [0.0; 4]);
        assert!(Init::he_normal().gain(-1.0).validate().is_ok());
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(Init::he_normal().gain(bad).validate().is_err());
            assert!(Init::constant(bad).validate().is_err());
        }
    }
}
