//! Pages that were taken apart, kept for the next reader.
//!
//! Here: [`PageCache`], one for all blocks of a `Db`.
//! Elsewhere: taking pages apart (`data`, `index`).
//!
//! Invariant: it holds at most about its limit; what readers hold beyond that is theirs. The lock is held for a look-up
//! only, so two readers may take the same page apart at once.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

/// Bytes that the blocks of one `Db` keep ready in all.
pub(crate) const CACHE_BYTES_MAX: usize = 8 << 20;

/// What of a block is kept, beside its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// A page of the chunks file.
    Data,
    /// A column of times.
    Column,
    /// A page of the index.
    Index,
    /// A page of start timestamps.
    Starts,
}

/// The opening of a block, the part, and its number or place.
type Key = (u64, Part, u64);
type Kept = Arc<dyn Any + Send + Sync>;

/// Two generations: what is asked for moves to the young one; when that is full it becomes the old one, and what was in
/// the old one goes.
#[derive(Debug)]
pub(crate) struct PageCache {
    bytes_max: usize,
    state: Mutex<State>,
    next_owner: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    young: FxHashMap<Key, (Kept, usize)>,
    old: FxHashMap<Key, (Kept, usize)>,
    young_bytes: usize,
}

impl PageCache {
    /// An empty one.
    pub(crate) fn new(bytes_max: usize) -> PageCache {
        PageCache { bytes_max, state: Mutex::default(), next_owner: AtomicU64::new(0) }
    }

    /// A number for a block that is being opened.
    pub(crate) fn owner(&self) -> u64 {
        self.next_owner.fetch_add(1, Ordering::Relaxed)
    }

    /// What is kept under the key, or what `make` makes, with its size in bytes.
    pub(crate) fn get<T: Any + Send + Sync, E>(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        if let Some(found) = self.find(&key).and_then(|kept| kept.downcast::<T>().ok()) {
            return Ok(found);
        }
        let (made, bytes) = make()?;
        let made = Arc::new(made);
        self.lock().put(key, made.clone(), bytes, self.bytes_max);
        Ok(made)
    }

    fn find(&self, key: &Key) -> Option<Kept> {
        let mut state = self.lock();
        if let Some((kept, _)) = state.young.get(key) {
            return Some(kept.clone());
        }
        let (kept, bytes) = state.old.remove(key)?;
        state.put(*key, kept.clone(), bytes, self.bytes_max);
        Some(kept)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, key: Key, kept: Kept, bytes: usize, bytes_max: usize) {
        // A giant would push out everything else and be gone itself at once.
        if bytes > bytes_max / 2 {
            return;
        }
        if self.young_bytes + bytes > bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, (kept, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_limit_holds() {
        let cache = PageCache::new(100);
        let made = std::cell::Cell::new(0);
        let get = |n: u64| {
            let made_it = || {
                made.set(made.get() + 1);
                Ok::<_, ()>((n, 10))
            };
            assert_eq!(*cache.get((0, Part::Data, n), made_it).unwrap(), n);
        };
        for n in 0..50 {
            get(0);
            get(n);
        }
        assert_eq!(made.get(), 50, "0 was asked for all the time");
        let state = cache.lock();
        assert!(state.young.len() + state.old.len() <= 10);
    }
}
