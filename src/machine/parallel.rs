//! Threads: everything that computes in parallel does so through this file. A bank's file alone has threads of its own.
//!
//! Networks with the same number of threads share one pool, and one piece of work has it at a time. Work stays on its caller's
//! thread if the pool is taken or if the caller is a worker of some rayon pool: a worker that waits for another pool runs other jobs of
//! its own pool meanwhile, which can overflow its stack, or wait for a lock that it holds itself. How work is cut does not depend on
//! the threads, so results do not either.

#[cfg(feature = "parallel")]
use std::cell::Cell;
#[cfg(feature = "parallel")]
use std::panic::resume_unwind;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "parallel")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::{Error, Result};

/// Threads that networks share; work that is installed runs [`for_each`] on them.
#[derive(Debug)]
pub(crate) struct Pool {
    /// None for a single thread, the caller's.
    #[cfg(feature = "parallel")]
    threads: Option<rayon::ThreadPool>,
    #[cfg(feature = "parallel")]
    taken: AtomicBool,
}

#[cfg(feature = "parallel")]
thread_local! {
    /// Whether this thread belongs to a [`Pool`].
    static MEMBER: Cell<bool> = const { Cell::new(false) };
}

impl Pool {
    /// Returns the pool that all networks with this number of threads share while one of them lives. Without the feature `parallel` all
    /// work stays on the caller's thread.
    pub(crate) fn shared(threads: usize) -> Result<Arc<Self>> {
        static POOLS: Mutex<Vec<(usize, Weak<Pool>)>> = Mutex::new(Vec::new());
        require_threads(threads)?;
        // A poisoned lock is harmless: a panic while it is held leaves a valid list.
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        // Weak references only: a pool ends with its last network.
        pools.retain(|(_, pool)| pool.strong_count() > 0);
        if let Some(pool) = pools.iter().filter(|(own, _)| *own == threads).find_map(|(_, pool)| pool.upgrade()) {
            return Ok(pool);
        }
        let pool = Arc::new(Self::new(threads)?);
        pools.push((threads, Arc::downgrade(&pool)));
        Ok(pool)
    }

    #[cfg(feature = "parallel")]
    fn new(threads: usize) -> Result<Self> {
        let builder = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("decoupled-{i}"))
            .start_handler(|_| MEMBER.set(true));
        let build = || builder.build().map_err(|e| Error::ThreadPool { threads, message: e.to_string() });
        Ok(Self { threads: (threads > 1).then(build).transpose()?, taken: AtomicBool::new(false) })
    }

    #[cfg(not(feature = "parallel"))]
    fn new(_: usize) -> Result<Self> {
        Ok(Self {})
    }

    /// Runs `work` inside the pool, or on the caller's thread if the pool is taken or that thread is a worker of any pool.
    /// Entering costs some 10 µs.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        #[cfg(feature = "parallel")]
        // A worker of any rayon pool must not wait for this one: see the head of the file.
        if let Some(threads) = self.threads.as_ref().filter(|_| rayon::current_thread_index().is_none())
            && let Some(_session) = Session::begin(&self.taken)
        {
            return threads.install(work);
        }
        work()
    }

    /// Runs [`for_each`] inside the pool; a single item stays outside, which saves the cost of entering.
    pub(crate) fn for_each<I: Send>(&self, items: &mut [I], f: impl Fn(&mut I) -> Result<()> + Sync) -> Result<()> {
        match items {
            [] => Ok(()),
            [item] => f(item),
            _ => self.install(|| for_each(items, &f)),
        }
    }
}

/// Exclusive use of a pool, until it is dropped, also by a panic.
#[cfg(feature = "parallel")]
struct Session<'p>(&'p AtomicBool);

#[cfg(feature = "parallel")]
impl<'p> Session<'p> {
    fn begin(taken: &'p AtomicBool) -> Option<Self> {
        (!taken.swap(true, Ordering::Acquire)).then(|| Self(taken))
    }
}

#[cfg(feature = "parallel")]
impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Most threads of a pool: threads beyond the parts of the work are idle and only cost time.
const MOST: usize = 256;

fn require_threads(threads: usize) -> Result<()> {
    crate::error::require((1..=MOST).contains(&threads), "threads", "in 1..=256", threads as f64)
}

/// Returns the default number of threads: `RAYON_NUM_THREADS` if it is a positive number, else the machine's.
pub(crate) fn available() -> usize {
    let asked =
        std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok()).filter(|&threads| threads > 0);
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into)).min(MOST)
}

/// A row of items that can be cut in two: a slice, the chunks of one, or two rows zipped, as long as the first of them.
pub(crate) trait Row: Sized + Send {
    type Item;
    fn len(&self) -> usize;
    /// Splits off the first `count` items.
    fn cut(self, count: usize) -> (Self, Self);
    /// Returns the first item of a row that has one.
    fn first(self) -> Self::Item;
}

impl<'a, I: Sync> Row for &'a [I] {
    type Item = &'a I;
    fn len(&self) -> usize {
        <[I]>::len(self)
    }
    fn cut(self, count: usize) -> (Self, Self) {
        self.split_at(count)
    }
    #[expect(clippy::indexing_slicing, reason = "asked of rows that have one")]
    fn first(self) -> &'a I {
        &self[0]
    }
}

impl<'a, I: Send> Row for &'a mut [I] {
    type Item = &'a mut I;
    fn len(&self) -> usize {
        <[I]>::len(self)
    }
    fn cut(self, count: usize) -> (Self, Self) {
        self.split_at_mut(count)
    }
    #[expect(clippy::indexing_slicing, reason = "asked of rows that have one")]
    fn first(self) -> &'a mut I {
        &mut self[0]
    }
}

/// The chunks of a slice, of one width except perhaps the last; beyond the end of the slice they are empty.
pub(crate) struct Chunks<S> {
    pub(crate) slice: S,
    pub(crate) width: usize,
}

impl<'a, I: Sync> Row for Chunks<&'a [I]> {
    type Item = &'a [I];
    fn len(&self) -> usize {
        self.slice.len().div_ceil(self.width)
    }
    fn cut(self, count: usize) -> (Self, Self) {
        let Self { slice, width } = self;
        let (left, right) = slice.split_at(slice.len().min(count * width));
        (Self { slice: left, width }, Self { slice: right, width })
    }
    fn first(self) -> &'a [I] {
        self.cut(1).0.slice
    }
}

impl<'a, I: Send> Row for Chunks<&'a mut [I]> {
    type Item = &'a mut [I];
    fn len(&self) -> usize {
        self.slice.len().div_ceil(self.width)
    }
    fn cut(self, count: usize) -> (Self, Self) {
        let Self { slice, width } = self;
        let (left, right) = slice.split_at_mut(slice.len().min(count * width));
        (Self { slice: left, width }, Self { slice: right, width })
    }
    fn first(self) -> &'a mut [I] {
        self.cut(1).0.slice
    }
}

impl<A: Row, B: Row> Row for (A, B) {
    type Item = (A::Item, B::Item);
    fn len(&self) -> usize {
        self.0.len()
    }
    fn cut(self, count: usize) -> (Self, Self) {
        let (left, right) = (self.0.cut(count), self.1.cut(count));
        ((left.0, right.0), (left.1, right.1))
    }
    fn first(self) -> Self::Item {
        (self.0.first(), self.1.first())
    }
}

/// Runs `f` on every item of a row with its number, possibly in parallel, and returns the error of the first item that has one, which
/// does not depend on the number of threads. Allocates nothing. Calls may be nested.
pub(crate) fn for_row<W: Row>(row: W, f: impl Fn(usize, W::Item) -> Result<()> + Sync) -> Result<()> {
    fn halves<W: Row>(number: usize, row: W, f: &(impl Fn(usize, W::Item) -> Result<()> + Sync)) -> Result<()> {
        match row.len() {
            0 => Ok(()),
            1 => f(number, row.first()),
            len => {
                let (left, right) = row.cut(len / 2);
                let (left, right) = join(|| halves(number, left, f), || halves(number + len / 2, right, f));
                // The left half's error first, whichever half ended first.
                left.and(right)
            }
        }
    }
    halves(0, row, &f)
}

/// Runs [`for_row`] on the items of a slice, without their numbers.
pub(crate) fn for_each<I: Send>(items: &mut [I], f: impl Fn(&mut I) -> Result<()> + Sync) -> Result<()> {
    for_row(items, |_, item| f(item))
}

/// Runs both, in parallel on a thread of a [`Pool`], sequentially on any other.
pub(crate) fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    #[cfg(feature = "parallel")]
    // On any other thread rayon::join would enter rayon's global pool.
    if MEMBER.get() {
        return rayon::join(a, b);
    }
    (a(), b())
}

/// Calls `f` with every item on `threads` new threads; results are in the order of the items. Tasks of a shared pool would begin other
/// items while they wait.
pub(crate) fn map_apart<I: Sync, R: Send>(items: &[I], threads: usize, f: impl Fn(&I) -> R + Sync) -> Result<Vec<R>> {
    require_threads(threads)?;
    let next = AtomicUsize::new(0);
    let work = || {
        // A shared counter: a thread with a short item takes the next one, so none stands idle.
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let own = numbers.map_while(|number| Some((number, f(items.get(number)?))));
        Ok(own.collect::<Vec<_>>())
    };
    let mut results: Vec<_> = on_threads(threads.min(items.len()), work)?.into_iter().flatten().collect();
    // Threads take items in no fixed order.
    results.sort_by_key(|&(number, _)| number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Runs `work` on each of `threads` threads and returns the results; without the feature `parallel` on the caller's thread alone.
#[cfg(feature = "parallel")]
fn on_threads<R: Send>(threads: usize, work: impl Fn() -> Result<R> + Sync) -> Result<Vec<R>> {
    std::thread::scope(|scope| {
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, &work);
        let handles: std::io::Result<Vec<_>> = (0..threads).map(start).collect();
        let handles = handles.map_err(|e| Error::ThreadPool { threads, message: e.to_string() })?;
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(|payload| resume_unwind(payload))).collect()
    })
}

#[cfg(not(feature = "parallel"))]
fn on_threads<R: Send>(_: usize, work: impl Fn() -> Result<R> + Sync) -> Result<Vec<R>> {
    Ok(vec![work()?])
}

/// A pool of scratch values that threads borrow; it grows to the largest number borrowed at a time.
#[derive(Debug, Default)]
pub(crate) struct Spare<S>(Mutex<Vec<S>>);

impl<S: Default> Spare<S> {
    /// Calls `f` with one of them, in the state that the last borrower left.
    pub(crate) fn lend<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = idle().pop().unwrap_or_default();
        // The lock is not held here: other threads can borrow meanwhile. After a panic the value is dropped, not returned.
        let result = f(&mut own);
        idle().push(own);
        result
    }
}

/// Calls a user's code and turns a panic into [`Error::Panicked`]: of a layer, or of none.
///
/// After a panic, the output of `call` may be half written: callers discard it.
pub(crate) fn guarded<R>(what: &'static str, layer: impl Into<Option<usize>>, call: impl FnOnce() -> R) -> Result<R> {
    caught(call).map_err(|message| Error::Panicked { what, layer: layer.into(), message })
}

/// Calls a user's code and turns a panic into its message.
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> std::result::Result<R, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a payload that is no text".to_owned())
    })
}

#[cfg(all(test, feature = "parallel"))]
mod tests {
    use super::*;

    /// Item 0 waits for item 2, so that another thread has 1 and 2, and item 2 for item 3, which then is the first thread's: in the
    /// order of the threads the results would be 0, 3, 1, 2 or 1, 2, 0, 3.
    #[test]
    fn results_stand_in_the_order_of_the_items_whoever_works_on_them() {
        let begun = [const { AtomicUsize::new(0) }; 4];
        let found = map_apart(&[0, 1, 2, 3], 2, |&item: &usize| {
            begun[item].store(1, Ordering::SeqCst);
            for awaited in [(0, 2), (2, 3)].iter().filter(|(own, _)| *own == item).map(|&(_, other)| other) {
                while begun[awaited].load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
            }
            10 * item
        });
        assert_eq!(found.unwrap(), [0, 10, 20, 30]);
    }
}
