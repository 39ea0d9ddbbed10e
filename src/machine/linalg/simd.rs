//! The one door to wider vector instructions than those that the crate is compiled for.

/// What `work` returns, with its loops compiled for the widest vectors that this processor has: AVX-512, AVX2, or those of
/// the compilation target; the last alone without the feature `simd`. Nothing rounds otherwise on one than on another, since
/// no product is fused with a sum, so the bits are the same everywhere.
///
/// Only what is inlined into `work` is compiled anew: mark closures and functions in it `#[inline(always)]`. A call costs
/// some nanoseconds; one for a pass over a slice, none for an element.
#[inline(always)]
pub(crate) fn dispatch<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "simd")]
    return pulp::Arch::new().dispatch(work);
    #[cfg(not(feature = "simd"))]
    work()
}

/// From which length on a cheap pass gains more than the call costs.
const LONG: usize = 64;

/// [`dispatch`] for a cheap pass over `len` entries, if they are many.
#[inline(always)]
pub(crate) fn dispatch_from<R>(len: usize, work: impl FnOnce() -> R) -> R {
    if len < LONG { work() } else { dispatch(work) }
}
