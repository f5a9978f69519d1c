//! From the bytes of a series' labels to its id: the fast lane.
//!
//! Here: one tenant's cache. Elsewhere: what is hashed (`ingester`).
//!
//! Invariant: an id in a cache was given by the very `Db` that the cache belongs to. Ids mean nothing in another one,
//! not even in the same directory opened again, so the cache holds on to the `Db`'s identity and starts anew when it
//! changes.

use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;
use storage::{Db, SeriesId};

/// 128 bits of hash, keyed with a random seed: two label sets of one tenant share it with a chance of 1 in 10^20 at a
/// billion series, and nobody can look for such a pair without knowing the seed.
pub(super) type LabelHash = u128;

/// Two generations: what is found in the older one moves to the newer; when the newer is full, the older is dropped. So
/// series that are no longer pushed go by themselves, and memory is bounded.
#[derive(Debug, Default)]
pub(super) struct SeriesCache {
    db: Weak<Db>,
    newer: FxHashMap<LabelHash, SeriesId>,
    older: FxHashMap<LabelHash, SeriesId>,
}

impl SeriesCache {
    /// Forgets everything if `db` is not the one that the ids are from.
    pub(super) fn belong_to(&mut self, db: &Arc<Db>) {
        // The weak reference keeps the allocation, so an equal address is the same Db, not a later one in its place.
        if !std::ptr::eq(self.db.as_ptr(), Arc::as_ptr(db)) {
            *self = SeriesCache { db: Arc::downgrade(db), ..SeriesCache::default() };
        }
    }

    pub(super) fn get(&mut self, hash: LabelHash, max: usize) -> Option<SeriesId> {
        if let Some(id) = self.newer.get(&hash) {
            return Some(*id);
        }
        let id = self.older.remove(&hash)?;
        self.insert(hash, id, max);
        Some(id)
    }

    /// Remembers `id`; at most `max` are remembered in all.
    pub(super) fn insert(&mut self, hash: LabelHash, id: SeriesId, max: usize) {
        if self.newer.len() >= max.div_ceil(2) {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(hash, id);
    }

    pub(super) fn remove(&mut self, hash: LabelHash) {
        self.newer.remove(&hash);
        self.older.remove(&hash);
    }

    /// Makes all ids wrong, as if the database had dropped the series.
    #[cfg(test)]
    pub(super) fn replace_ids(&mut self, id: SeriesId) {
        self.newer.values_mut().chain(self.older.values_mut()).for_each(|old| *old = id);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}
