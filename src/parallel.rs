//! The only file that knows threads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Result};

/// A private thread pool; work that is installed in it runs [`for_each`] on its threads.
#[derive(Debug)]
pub(crate) struct Pool {
    #[cfg(feature = "parallel")]
    threads: rayon::ThreadPool,
}

impl Pool {
    /// A pool of `threads` threads; without the feature `parallel` all work stays on the caller's thread.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        crate::error::require((1..=MOST).contains(&threads), "threads", "in 1..=256", threads as f64)?;
        Ok(Self {
            #[cfg(feature = "parallel")]
            threads: rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|i| format!("decoupled-{i}"))
                .build()
                .map_err(|e| Error::ThreadPool { threads, message: e.to_string() })?,
        })
    }

    /// Runs `work` inside the pool: entering costs some 10 µs, so enter once for a whole fit.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        #[cfg(feature = "parallel")]
        return self.threads.install(work);
        #[cfg(not(feature = "parallel"))]
        work()
    }
}

/// The most threads a pool may have: beyond the parts that work comes in, idle threads only get in each other's way.
const MOST: usize = 256;

/// The number of threads a network uses unless told otherwise.
pub(crate) fn available() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into).min(MOST)
}

/// Runs `f` on every item, perhaps at the same time, and returns the error of the first item that has one: the
/// same whatever the number of threads.
pub(crate) fn for_each<I, F>(items: &mut [I], f: F) -> Result<()>
where
    I: Send,
    F: Fn(&mut I) -> Result<()> + Sync + Send,
{
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        let failed = items.par_iter_mut().enumerate().filter_map(|(i, item)| f(item).err().map(|e| (i, e)));
        failed.min_by_key(|(i, _)| *i).map_or(Ok(()), |(_, e)| Err(e))
    }
    #[cfg(not(feature = "parallel"))]
    items.iter_mut().try_for_each(f)
}

/// Calls a user's code and turns a panic into [`Error::Panicked`].
///
/// What `call` was writing may be half written: callers discard it.
pub(crate) fn guarded<R>(what: &'static str, layer: usize, call: impl FnOnce() -> R) -> Result<R> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a payload that is no text".to_owned());
        Error::Panicked { what, layer, message }
    })
}
