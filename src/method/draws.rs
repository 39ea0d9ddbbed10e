//! The random numbers of a visit, which layers with noise read.

use rand::Rng;

use crate::machine::linalg::matrix::resize;
use crate::machine::random::{Purpose, stream};
use crate::{Result, Scalar};

/// Names the random numbers of a block's examples. Of no examples outside of a training visit: layers then compute their plain maps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draws {
    pub(crate) seed: u64,
    pub(crate) epoch: usize,
    pub(crate) examples: Vec<usize>,
}

impl Draws {
    /// out ← the numbers of layer t, `rows × n`, uniform on [0, 1). They follow from seed, epoch, example and layer alone.
    pub(crate) fn draw<T: Scalar>(&self, t: usize, rows: usize, out: &mut Vec<T>) -> Result<()> {
        resize("the noise of a layer", out, rows.saturating_mul(self.examples.len()), T::zero())?;
        // A layer may say that an example takes no numbers.
        for (out, &example) in out.chunks_exact_mut(rows.max(1)).zip(&self.examples) {
            let mut rng = stream(self.seed, Purpose::Noise, self.epoch, example);
            rng.set_stream(t as u64);
            // The upper 24 bits: the same number in either precision, and never rounded to 1.
            out.fill_with(|| T::of(f64::from(rng.next_u32() >> 8) / f64::from(1 << 24)));
        }
        Ok(())
    }
}
