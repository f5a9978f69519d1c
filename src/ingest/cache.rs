//! From the bytes of a series' labels to its id: the fast lane.
//!
//! Here: one tenant's cache. Elsewhere: what is hashed, and who holds the lock when (`ingester`).
//!
//! Senders repeat their series in the same order, so entries stand in the order in which they came, and a look-up
//! first tries the entry after the last one found: a known series mostly costs one comparison in memory that the
//! processor has fetched already. Looking up changes nothing but a mark of use, so that any number of requests look
//! at once.
//!
//! Invariant: an id in a cache was given by the very `Db` that the cache belongs to. Ids mean nothing in another one,
//! not even in the same directory opened again, so the cache holds on to the `Db`'s identity and starts anew when it
//! changes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use storage::{Db, SeriesId};

/// 96 bits of keyed hash: two label sets of one tenant share it with a chance of 1 in 10^11 at a billion series, and
/// nobody can look for such a pair without knowing the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LabelHash {
    /// Says where to look; the upper bits choose the slot, the lower ones the tag.
    low: u32,
    middle: u32,
    high: u32,
}

impl From<u128> for LabelHash {
    fn from(hash: u128) -> Self {
        LabelHash { low: hash as u32, middle: (hash >> 32) as u32, high: (hash >> 64) as u32 }
    }
}

/// Sixteen bytes a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    hash: LabelHash,
    id: u32,
}

/// Entries that come and go together. What is pushed together stands together, so a page as a whole is idle or not.
#[derive(Debug, Default)]
struct Page {
    entries: Vec<Entry>,
    /// Length of the label bytes of each, 0 if it has more than 16 bits: then they are not foreseen.
    lengths: Vec<u16>,
    /// The tick at which one of them was last found.
    used: AtomicU32,
}

/// Entries of a page.
const PAGE_ENTRIES: usize = 1024;
/// A slot has 24 bits for the entry's number, none of which is 0.
const ENTRIES_MAX: usize = (1 << 24) - PAGE_ENTRIES;
const TAG_SHIFT: u32 = 24;
const NUMBER_MASK: u32 = (1 << TAG_SHIFT) - 1;
/// The table has at least so many slots.
const SLOTS_MIN: usize = 64;

/// Where the last series of a request was found; the next one is expected after it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    next: usize,
    /// The last one was not where it was expected.
    is_lost: bool,
}

/// A tenant's cache: entries in pages, and an open-addressed table of their numbers. The page that has been idle for
/// longest makes room for new series, so series that are no longer pushed go by themselves, and memory is bounded.
#[derive(Debug, Default)]
pub(super) struct SeriesCache {
    db: Weak<Db>,
    pages: Vec<Page>,
    /// The page that takes new entries.
    filling: usize,
    /// Tag and number + 1 of an entry; 0 is free. Linear probing; at most three quarters are taken.
    slots: Vec<u32>,
    len: usize,
    /// Rises with every portion of look-ups.
    tick: AtomicU32,
}

impl SeriesCache {
    /// True if its ids are from `db`.
    pub(super) fn is_of(&self, db: &Arc<Db>) -> bool {
        // The weak reference keeps the allocation, so an equal address is the same Db, not a later one in its place.
        std::ptr::eq(self.db.as_ptr(), Arc::as_ptr(db))
    }

    /// Forgets everything if `db` is not the one that the ids are from.
    pub(super) fn belong_to(&mut self, db: &Arc<Db>) {
        if !self.is_of(db) {
            *self = SeriesCache { db: Arc::downgrade(db), ..SeriesCache::default() };
        }
    }

    /// The time of a portion of look-ups, for [`SeriesCache::get`].
    pub(super) fn tick(&self) -> u32 {
        self.tick.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The series that is expected next: its hash and how many bytes its labels have. `None` while the request does not
    /// come in the order of the cache: then looking would be in vain.
    #[inline]
    pub(super) fn expected(&self, cursor: &Cursor) -> Option<(LabelHash, usize)> {
        let page = self.pages.get(cursor.next / PAGE_ENTRIES).filter(|_| !cursor.is_lost)?;
        let at = cursor.next % PAGE_ENTRIES;
        let length = usize::from(*page.lengths.get(at)?);
        (length > 0).then_some((page.entries.get(at)?.hash, length))
    }

    /// The id of the series with this hash. `cursor` is the request's own.
    #[inline]
    pub(super) fn get(&self, hash: LabelHash, cursor: &mut Cursor, tick: u32) -> Option<SeriesId> {
        let (number, id) = match self.entry(cursor.next) {
            Some(entry) if entry.hash == hash => {
                cursor.is_lost = false;
                (cursor.next, entry.id)
            }
            _ => {
                cursor.is_lost = true;
                let number = self.slot_of(hash).map(|slot| number_in(self.slots[slot]))?;
                (number, self.entry(number)?.id)
            }
        };
        let page = number / PAGE_ENTRIES;
        cursor.next = self.after(number);
        let used = &self.pages[page].used;
        // Written only when it changes: requests on other processors read the same line.
        if used.load(Ordering::Relaxed) != tick {
            used.store(tick, Ordering::Relaxed);
        }
        Some(SeriesId(u64::from(id)))
    }

    /// Remembers `id` for labels of `length` bytes; at most `max` are remembered in all, rounded up to pages.
    pub(super) fn insert(&mut self, hash: LabelHash, length: usize, id: SeriesId, max: usize) {
        // Larger numbers are never given; if they were, they would only be slow.
        let Ok(id) = u32::try_from(id.0) else { return };
        if let Some(slot) = self.slot_of(hash) {
            let number = number_in(self.slots[slot]);
            self.pages[number / PAGE_ENTRIES].entries[number % PAGE_ENTRIES].id = id;
            return;
        }
        if self.pages.get(self.filling).is_none_or(|page| page.entries.len() >= PAGE_ENTRIES) {
            self.begin_page(max);
        }
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let tick = *self.tick.get_mut();
        let page = &mut self.pages[self.filling];
        let number = self.filling * PAGE_ENTRIES + page.entries.len();
        page.entries.push(Entry { hash, id });
        page.lengths.push(u16::try_from(length).unwrap_or(0));
        *page.used.get_mut() = tick;
        self.put(hash, number);
        self.len += 1;
    }

    /// Makes the next look-up of `hash` fail.
    pub(super) fn remove(&mut self, hash: LabelHash) {
        if let Some(slot) = self.slot_of(hash) {
            let number = number_in(self.slots[slot]);
            self.free(slot);
            // The place stays empty until its page goes; nothing hashes to it but by chance.
            self.pages[number / PAGE_ENTRIES].entries[number % PAGE_ENTRIES] = GONE;
            self.len -= 1;
        }
    }

    #[inline]
    fn entry(&self, number: usize) -> Option<&Entry> {
        self.pages.get(number / PAGE_ENTRIES)?.entries.get(number % PAGE_ENTRIES)
    }

    /// The number that comes after `number`; after the last page's last comes the first.
    #[inline]
    fn after(&self, number: usize) -> usize {
        match self.pages.get(number / PAGE_ENTRIES) {
            Some(page) if number % PAGE_ENTRIES + 1 < page.entries.len() => number + 1,
            _ if number / PAGE_ENTRIES + 1 < self.pages.len() => (number / PAGE_ENTRIES + 1) * PAGE_ENTRIES,
            _ => 0,
        }
    }

    /// The slot that a hash is looked for at first.
    #[inline]
    fn home(&self, hash: LabelHash) -> usize {
        ((u64::from(hash.low) * self.slots.len() as u64) >> 32) as usize
    }

    fn slot_of(&self, hash: LabelHash) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot >> TAG_SHIFT == tag(hash) && self.entry(number_in(slot)).is_some_and(|e| e.hash == hash) {
                return Some(at);
            }
            at = self.next_slot(at);
        }
    }

    #[inline]
    fn next_slot(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    fn put(&mut self, hash: LabelHash, number: usize) {
        let mut at = self.home(hash);
        while self.slots[at] != 0 {
            at = self.next_slot(at);
        }
        self.slots[at] = tag(hash) << TAG_SHIFT | (number as u32 + 1);
    }

    /// Frees a slot and moves back those after it that would not be found any more.
    fn free(&mut self, mut hole: usize) {
        let mut at = hole;
        loop {
            at = self.next_slot(at);
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            let home = self.entry(number_in(slot)).map_or(at, |e| self.home(e.hash));
            // Its home is not behind the hole, going round: it would be found there.
            let is_between = if hole <= at { hole < home && home <= at } else { hole < home || home <= at };
            if !is_between {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = 0;
    }

    /// A quarter more: twice as much would leave most of it empty for long.
    fn grow(&mut self) {
        let slots = (self.slots.len() + self.slots.len() / 4).max(SLOTS_MIN);
        self.slots = Vec::new();
        self.slots = vec![0; slots];
        for page in 0..self.pages.len() {
            for at in 0..self.pages[page].entries.len() {
                let entry = self.pages[page].entries[at];
                if entry.hash != GONE.hash {
                    self.put(entry.hash, page * PAGE_ENTRIES + at);
                }
            }
        }
    }

    /// An empty page to fill: a new one, or the one that has been idle for longest if there are `max` entries.
    fn begin_page(&mut self, max: usize) {
        let pages_max = max.clamp(1, ENTRIES_MAX).div_ceil(PAGE_ENTRIES).max(2);
        if self.pages.len() < pages_max {
            self.filling = self.pages.len();
            self.pages.push(Page::default());
            return;
        }
        let tick = *self.tick.get_mut();
        let age = |page: &Page| tick.wrapping_sub(page.used.load(Ordering::Relaxed));
        let oldest = (0..self.pages.len()).filter(|&at| at != self.filling).max_by_key(|&at| age(&self.pages[at]));
        self.filling = oldest.unwrap_or(0);
        for at in 0..self.pages[self.filling].entries.len() {
            self.remove(self.pages[self.filling].entries[at].hash);
        }
        self.pages[self.filling].entries.clear();
        self.pages[self.filling].lengths.clear();
    }

    /// Makes all ids wrong, as if the database had dropped the series.
    #[cfg(test)]
    pub(super) fn replace_ids(&mut self, id: SeriesId) {
        let entries = self.pages.iter_mut().flat_map(|page| &mut page.entries);
        entries.for_each(|entry| entry.id = u32::try_from(id.0).unwrap());
    }
}

/// Stands where an entry was removed. It is in no slot; a hash of a series equals it with a chance of 1 in 2^96.
const GONE: Entry = Entry { hash: LabelHash { low: u32::MAX, middle: u32::MAX, high: u32::MAX }, id: u32::MAX };

#[inline]
fn tag(hash: LabelHash) -> u32 {
    hash.low & 0xff
}

#[inline]
fn number_in(slot: u32) -> usize {
    ((slot & NUMBER_MASK) - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> LabelHash {
        LabelHash::from(xxhash_rust::xxh3::xxh3_128_with_seed(&n.to_le_bytes(), 7))
    }

    fn get(cache: &SeriesCache, n: u64) -> Option<u64> {
        cache.get(hash(n), &mut Cursor::default(), cache.tick()).map(|id| id.0)
    }

    #[test]
    fn what_is_put_in_is_found_in_any_order() {
        let mut cache = SeriesCache::default();
        assert_eq!(get(&cache, 0), None);
        for n in 0..10_000 {
            cache.insert(hash(n), 9, SeriesId(n + 1), 100_000);
        }
        cache.insert(hash(5), 9, SeriesId(77), 100_000);
        let mut cursor = Cursor::default();
        for n in (0..10_000).chain((0..10_000).rev()).chain(0..10_000) {
            let expected = if n == 5 { 77 } else { n + 1 };
            assert_eq!(cache.get(hash(n), &mut cursor, 1), Some(SeriesId(expected)));
        }
        assert_eq!(get(&cache, 10_001), None);
        assert_eq!(cache.len, 10_000);
    }

    #[test]
    fn removed_ones_are_not_found_and_the_others_are() {
        let mut cache = SeriesCache::default();
        for n in 0..5000 {
            cache.insert(hash(n), 9, SeriesId(n), 100_000);
        }
        for n in (0..5000).filter(|n| n % 3 != 0) {
            cache.remove(hash(n));
            cache.remove(hash(n));
        }
        for n in 0..5000 {
            assert_eq!(get(&cache, n), (n % 3 == 0).then_some(n));
        }
        (5000..9000).for_each(|n| cache.insert(hash(n), 9, SeriesId(n), 100_000));
        assert!((0..9000).all(|n| get(&cache, n) == (n % 3 == 0 || n >= 5000).then_some(n)));
    }

    #[test]
    fn a_series_costs_less_than_24_bytes() {
        let mut cache = SeriesCache::default();
        for n in 0..300_000 {
            cache.insert(hash(n), 9, SeriesId(n), 2_000_000);
            if n > 50_000 && n % 1000 == 0 {
                let bytes = cache.slots.capacity() * 4 + cache.pages.len() * PAGE_ENTRIES * size_of::<Entry>();
                assert!(bytes < cache.len * 24, "{bytes} bytes for {}", cache.len);
            }
        }
    }

    #[test]
    fn it_is_bounded_and_drops_what_is_idle() {
        let mut cache = SeriesCache::default();
        let max = 4 * PAGE_ENTRIES as u64;
        for n in 0..20 * max {
            cache.insert(hash(n), 9, SeriesId(n), max as usize);
            if n % 100 == 0 {
                assert_eq!(get(&cache, 3), (n >= 3).then_some(3), "what is asked for stays");
            }
            assert!(cache.len as u64 <= max, "{}", cache.len);
        }
        assert_eq!(get(&cache, 2 * max), None);
        assert_eq!(get(&cache, 20 * max - 1), Some(20 * max - 1));
    }
}
