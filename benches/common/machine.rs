//! What benchmarks measure of the machine, and how they sum up their rounds.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};

/// Operations a second of fused multiply-adds on registers, on so many threads at once.
pub(crate) fn peak(threads: usize) -> f64 {
    struct Chains;
    impl WithSimd for Chains {
        type Output = f64;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f64 {
            const CHAINS: usize = 12;
            const STEPS: usize = 2_000_000;
            let (factor, term) = black_box((simd.splat_f32s(0.5), simd.splat_f32s(1.0)));
            let mut sums = [term; CHAINS];
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = simd.mul_add_f32s(*sum, factor, term);
                }
            }
            black_box(sums);
            (2 * STEPS * CHAINS * S::F32_LANES) as f64
        }
    }
    let begin = Instant::now();
    let operations: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| Arch::new().dispatch(Chains))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a sum")).sum()
    });
    operations / begin.elapsed().as_secs_f64()
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
