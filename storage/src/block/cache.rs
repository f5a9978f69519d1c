//! Pages that were taken apart, kept for the next reader.
//!
//! Here: [`PageCache`], one for all blocks of a `Db`.
//! Elsewhere: taking pages apart (`data`, `index`).
//!
//! Invariant: it holds at most about its limit; what readers hold beyond that is theirs. The lock is held for a look-up
//! only, so two readers may take the same page apart at once.
//!
//! Who reads series after series looks for the same few pages again and again, so each thread remembers where it found
//! some of them and mostly needs no lock. That keeps no page from going.

use std::any::Any;
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustc_hash::{FxHashMap, FxHasher};

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

/// Pages that a thread remembers: a block has one for each width of values at hand, and its columns of times.
const RECENT: usize = 64;

/// Where a thread found a page.
struct Found {
    /// The cache, and its generation then: in the next one it has to be asked again, so that it knows what is used.
    place: (u64, u64),
    key: Key,
    page: Weak<dyn Any + Send + Sync>,
}

/// By a hash of their keys.
type Recent = [Option<Found>; RECENT];

/// Tells caches from one another.
static NEXT_CACHE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static PAGES: RefCell<Recent> = const { RefCell::new([const { None }; RECENT]) };
}

/// Two generations: what is asked for moves to the young one; when that is full it becomes the old one, and what was in
/// the old one goes.
#[derive(Debug)]
pub(crate) struct PageCache {
    id: u64,
    /// Counts how often the young generation became the old one.
    generation: AtomicU64,
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
        let id = NEXT_CACHE.fetch_add(1, Ordering::Relaxed);
        PageCache {
            id,
            generation: AtomicU64::new(0),
            bytes_max,
            state: Mutex::default(),
            next_owner: AtomicU64::new(0),
        }
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
        let place = (self.id, self.generation.load(Ordering::Relaxed));
        if let Some(found) = recent(place, &key).and_then(|kept| kept.downcast::<T>().ok()) {
            return Ok(found);
        }
        let found = match self.find(&key).and_then(|kept| kept.downcast::<T>().ok()) {
            Some(found) => found,
            None => {
                let (made, bytes) = make()?;
                let made = Arc::new(made);
                self.put(&mut self.lock(), key, made.clone(), bytes);
                made
            }
        };
        let page: Weak<dyn Any + Send + Sync> = Arc::downgrade(&(found.clone() as Kept));
        PAGES.with_borrow_mut(|pages| pages[slot_of(&key)] = Some(Found { place, key, page }));
        Ok(found)
    }

    fn find(&self, key: &Key) -> Option<Kept> {
        let mut state = self.lock();
        if let Some((kept, _)) = state.young.get(key) {
            return Some(kept.clone());
        }
        let (kept, bytes) = state.old.remove(key)?;
        self.put(&mut state, *key, kept.clone(), bytes);
        Some(kept)
    }

    fn put(&self, state: &mut State, key: Key, kept: Kept, bytes: usize) {
        // A giant would push out everything else and be gone itself at once.
        if bytes > self.bytes_max / 2 {
            return;
        }
        if state.young_bytes + bytes > self.bytes_max / 2 {
            state.old = std::mem::take(&mut state.young);
            state.young_bytes = 0;
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        state.young_bytes += bytes;
        state.young.insert(key, (kept, bytes));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot_of(key: &Key) -> usize {
    let mut hasher = FxHasher::default();
    key.hash(&mut hasher);
    // Its high bits are the good ones.
    (hasher.finish() >> 32) as usize % RECENT
}

/// What this thread remembers, if it is still there.
fn recent(place: (u64, u64), key: &Key) -> Option<Kept> {
    PAGES.with_borrow(|pages| {
        pages[slot_of(key)].as_ref().filter(|found| found.place == place && found.key == *key)?.page.upgrade()
    })
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

    #[test]
    fn a_thread_remembers_what_is_there_and_of_which_cache() {
        let (one, other) = (PageCache::new(100), PageCache::new(100));
        let get = |cache: &PageCache, n: u64, value: u64| {
            *cache.get((0, Part::Index, n), || Ok::<_, ()>((value, 10))).unwrap()
        };
        assert_eq!((get(&one, 1, 5), get(&other, 1, 6)), (5, 6));
        assert_eq!((get(&one, 1, 0), get(&other, 1, 0)), (5, 6));
        // Remembering keeps nothing: what went is made anew.
        (100..200).for_each(|n| assert_eq!(get(&one, n, n), n));
        assert_eq!((get(&one, 1, 7), get(&other, 1, 0)), (7, 6));
        assert!(recent((one.id, one.generation.load(Ordering::Relaxed)), &(0, Part::Index, 150)).is_none());
    }
}
