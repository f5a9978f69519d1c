//! Finding series: by number, and by hash.
//!
//! Here: [`Pages`] (number to series and its labels) and [`HashIndex`] (hash to number).
//! Elsewhere: what a series is (`head::series`), comparing what hashes alike (`head`, `head::pairs`).
//!
//! Invariant: numbers rise and are never given twice, so a page whose series are gone is freed for good, and the
//! labels that lie with it.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use super::pairs::PairId;
use super::series::Series;
use crate::index::SeriesRef;

/// Series of one page.
pub(crate) const PAGE_SERIES: usize = 512;

/// Series by number, in pages that come and go.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pages: Vec<Option<Page>>,
    live: usize,
}

#[derive(Debug, Default)]
struct Page {
    slots: Vec<Option<Series>>,
    /// Runs of pair numbers, each after its length. All but a series' first pair: series of one target often differ
    /// in the metric's name alone, which comes first, and then share the rest.
    labels: Vec<PairId>,
    /// Where the last run begins.
    last_run: u32,
    live: usize,
}

/// The pairs of one series, in rising order of name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairIds<'a> {
    first: Option<PairId>,
    rest: &'a [PairId],
}

impl<'a> PairIds<'a> {
    /// One by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PairId> + use<'a> {
        self.first.into_iter().chain(self.rest.iter().copied())
    }

    /// Whether they are `ids`.
    #[inline]
    pub(crate) fn is_same(&self, ids: &[PairId]) -> bool {
        match (ids, self.first) {
            ([], None) => true,
            ([first, rest @ ..], Some(own)) => own == *first && rest == self.rest,
            _ => false,
        }
    }

    /// Whether one of them is `id`.
    #[inline]
    pub(crate) fn contains(&self, id: PairId) -> bool {
        self.first == Some(id) || self.rest.contains(&id)
    }
}

impl Page {
    fn pair_ids(&self, series: &Series) -> PairIds<'_> {
        PairIds { first: series.first_pair(), rest: self.run(series.run) }
    }

    fn run(&self, at: u32) -> &[PairId] {
        let run = self.labels.get(at as usize..).unwrap_or_default();
        run.split_first().and_then(|(&len, ids)| ids.get(..len as usize)).unwrap_or_default()
    }

    /// The place of a run, which is new unless it is the last one again.
    fn put_run(&mut self, rest: &[PairId]) -> u32 {
        if self.labels.is_empty() || self.run(self.last_run) != rest {
            self.last_run = self.labels.len() as u32;
            self.labels.push(rest.len() as PairId);
            self.labels.extend_from_slice(rest);
        }
        self.last_run
    }

    /// Drops the runs of series that are gone.
    fn compact(&mut self) {
        let old = Page { labels: std::mem::take(&mut self.labels), ..Page::default() };
        let mut slots = std::mem::take(&mut self.slots);
        for series in slots.iter_mut().flatten() {
            series.run = self.put_run(old.run(series.run));
        }
        self.slots = slots;
        self.labels.shrink_to_fit();
    }
}

impl Pages {
    /// The series with this number.
    #[inline]
    pub(crate) fn get(&self, series: SeriesRef) -> Option<&Series> {
        let at = series as usize;
        self.pages.get(at / PAGE_SERIES)?.as_ref()?.slots.get(at % PAGE_SERIES)?.as_ref()
    }

    /// The series with this number, to change it.
    #[inline]
    pub(crate) fn get_mut(&mut self, series: SeriesRef) -> Option<&mut Series> {
        let at = series as usize;
        self.pages.get_mut(at / PAGE_SERIES)?.as_mut()?.slots.get_mut(at % PAGE_SERIES)?.as_mut()
    }

    /// The label pairs of a series.
    #[inline]
    pub(crate) fn pair_ids(&self, series: SeriesRef) -> Option<PairIds<'_>> {
        let at = series as usize;
        let page = self.pages.get(at / PAGE_SERIES)?.as_ref()?;
        Some(page.pair_ids(page.slots.get(at % PAGE_SERIES)?.as_ref()?))
    }

    /// Puts a series with these labels at a number that is free.
    pub(crate) fn insert(&mut self, at: SeriesRef, ids: &[PairId]) {
        let (page, slot) = (at as usize / PAGE_SERIES, at as usize % PAGE_SERIES);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_default();
        if slot == 0 && self.live > 0 {
            // It is not the only page, so it will hardly stay a small one.
            page.slots.reserve_exact(PAGE_SERIES);
        }
        if page.slots.len() <= slot {
            page.slots.resize_with(slot + 1, || None);
        }
        assert!(page.slots[slot].is_none(), "a series number is given once");
        let (first, rest) = ids.split_first().map_or((None, &[][..]), |(&first, rest)| (Some(first), rest));
        let run = page.put_run(rest);
        page.slots[slot] = Some(Series::new(first, run));
        page.live += 1;
        self.live += 1;
        if slot + 1 == PAGE_SERIES {
            page.labels.shrink_to_fit();
        }
    }

    /// Takes a series out.
    pub(crate) fn remove(&mut self, at: SeriesRef) -> Option<Series> {
        let slot = self.pages.get_mut(at as usize / PAGE_SERIES)?;
        let page = slot.as_mut()?;
        let series = page.slots.get_mut(at as usize % PAGE_SERIES)?.take()?;
        page.live -= 1;
        self.live -= 1;
        if page.live == 0 {
            *slot = None;
        } else if page.live.is_power_of_two() {
            page.compact();
        }
        Some(series)
    }

    /// Whether all numbers of a series' page are in use.
    pub(crate) fn is_full(&self, series: SeriesRef) -> bool {
        let page = self.pages.get(series as usize / PAGE_SERIES).and_then(Option::as_ref);
        page.is_some_and(|page| page.live == PAGE_SERIES)
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// How many pages have been begun; each holds the numbers of [`Pages::page`].
    pub(crate) fn page_count(&self) -> usize {
        self.pages.len()
    }

    /// The series of one page.
    pub(crate) fn page(&self, page: usize) -> impl Iterator<Item = (SeriesRef, &Series)> {
        let slots = self.pages.get(page).and_then(Option::as_ref).map_or(&[][..], |p| p.slots.as_slice());
        slots.iter().enumerate().filter_map(move |(i, s)| Some(((page * PAGE_SERIES + i) as SeriesRef, s.as_ref()?)))
    }

    /// The series of one page, to change them.
    pub(crate) fn page_mut(&mut self, page: usize) -> impl Iterator<Item = (SeriesRef, &mut Series)> {
        let slots = self.pages.get_mut(page).and_then(Option::as_mut).map_or(&mut [][..], |p| p.slots.as_mut_slice());
        slots
            .iter_mut()
            .enumerate()
            .filter_map(move |(i, s)| Some(((page * PAGE_SERIES + i) as SeriesRef, s.as_mut()?)))
    }
}

const SHARDS: usize = 64;

/// Hash to numbers, open addressing: eight bytes a slot, half of them the hash, so that a miss rarely looks at what
/// a number stands for. In shards, so that growing never moves all entries at once.
#[derive(Debug)]
pub(crate) struct HashIndex {
    shards: Box<[Shard]>,
    /// Random start of each hash, so that senders cannot aim for collisions.
    seed: u64,
}

#[derive(Debug, Clone, Default)]
struct Shard {
    slots: Box<[u64]>,
    used: usize,
}

impl Default for HashIndex {
    fn default() -> Self {
        HashIndex { shards: vec![Shard::default(); SHARDS].into(), seed: crate::wal::random_u64() }
    }
}

impl HashIndex {
    /// The hash of some texts.
    #[inline]
    pub(crate) fn hash_texts(&self, texts: &[&str]) -> u32 {
        self.hash(|hasher| {
            for text in texts {
                hasher.write_usize(text.len());
                hasher.write(text.as_bytes());
            }
        })
    }

    /// The hash of some numbers.
    #[inline]
    pub(crate) fn hash_ids(&self, ids: impl Iterator<Item = u32>) -> u32 {
        self.hash(|hasher| ids.for_each(|id| hasher.write_u32(id)))
    }

    #[inline]
    fn hash(&self, write: impl FnOnce(&mut FxHasher)) -> u32 {
        let mut hasher = FxHasher::default();
        hasher.write_u64(self.seed);
        write(&mut hasher);
        let hash = hasher.finish();
        (hash ^ hash >> 32) as u32
    }

    fn shard(&mut self, hash: u32) -> &mut Shard {
        &mut self.shards[(hash >> 26) as usize % SHARDS]
    }

    /// The first entry with this hash that `is_same` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_same: impl FnMut(u32) -> bool) -> Option<u32> {
        let slots = &self.shards[(hash >> 26) as usize % SHARDS].slots;
        let mask = slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let slot = slots[at];
            if slot == 0 {
                return None;
            }
            let number = (slot as u32).wrapping_sub(1);
            if (slot >> 32) as u32 == hash && is_same(number) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Makes room for so many entries in all, so that none is moved while they come in.
    pub(crate) fn reserve(&mut self, entries: usize) {
        // Shards are not filled alike; three quarters full is when they grow.
        let size = (entries / SHARDS * 3 / 2).next_power_of_two();
        for shard in self.shards.iter_mut().filter(|shard| size >= 16 && shard.slots.len() < size) {
            shard.resize(size);
        }
    }

    /// Adds an entry that is not there.
    pub(crate) fn insert(&mut self, hash: u32, number: u32) {
        self.shard(hash).insert(entry(hash, number));
    }

    /// Takes an entry out, if it is there.
    pub(crate) fn remove(&mut self, hash: u32, number: u32) {
        self.shard(hash).remove(entry(hash, number));
    }
}

fn entry(hash: u32, number: u32) -> u64 {
    u64::from(hash) << 32 | (u64::from(number) + 1)
}

fn home(slot: u64, mask: usize) -> usize {
    (slot >> 32) as usize & mask
}

impl Shard {
    fn insert(&mut self, entry: u64) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.resize((self.slots.len() * 2).max(8));
        }
        self.put(entry);
        self.used += 1;
    }

    fn resize(&mut self, size: usize) {
        let old = std::mem::replace(&mut self.slots, vec![0; size].into());
        for &slot in old.iter().filter(|&&slot| slot != 0) {
            self.put(slot);
        }
    }

    fn put(&mut self, entry: u64) {
        let mask = self.slots.len() - 1;
        let mut at = home(entry, mask);
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = entry;
    }

    /// Closes the gap by moving entries back that may lie nearer to their home: no tombstones pile up.
    fn remove(&mut self, entry: u64) {
        let Some(mask) = self.slots.len().checked_sub(1) else { return };
        let mut gap = home(entry, mask);
        while self.slots[gap] != entry {
            if self.slots[gap] == 0 {
                return;
            }
            gap = (gap + 1) & mask;
        }
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            let distance = at.wrapping_sub(home(slot, mask)) & mask;
            if distance >= at.wrapping_sub(gap) & mask {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = 0;
        self.used -= 1;
        if self.slots.len() > 64 && self.used * 8 < self.slots.len() {
            self.resize(self.slots.len() / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_among_equal_hashes() {
        let mut index = HashIndex::default();
        index.insert(6, 999_999);
        index.reserve(100_000);
        for n in 0..1000 {
            index.insert(n % 7, n);
        }
        for n in 0..1000 {
            assert_eq!(index.find(n % 7, |s| s == n), Some(n));
        }
        assert_eq!((index.find(8, |_| true), index.find(6, |s| s == 999_999)), (None, Some(999_999)));
        for n in (0..1000).step_by(3) {
            index.remove(n % 7, n);
            index.remove(n % 7, n);
        }
        for n in 0..1000 {
            assert_eq!(index.find(n % 7, |s| s == n), (n % 3 != 0).then_some(n));
        }
    }

    #[test]
    fn removal_leaves_all_others() {
        let mut index = HashIndex::default();
        let hash = |n: u32| n.wrapping_mul(0x9e37_79b1) & 0xfc00_00ff;
        (0..5000).for_each(|n| index.insert(hash(n), n));
        (0..5000).filter(|n| n % 10 != 0).for_each(|n| index.remove(hash(n), n));
        for n in 0..5000 {
            assert_eq!(index.find(hash(n), |s| s == n), (n % 10 == 0).then_some(n));
        }
    }

    #[test]
    fn pages_free_themselves() {
        let mut pages = Pages::default();
        for n in [0, 1, 600, 5000] {
            pages.insert(n, &[n, 7, 8]);
        }
        assert!(pages.remove(600).is_some() && pages.remove(600).is_none());
        assert!(pages.get(600).is_none() && pages.get(5000).is_some() && pages.get(9999).is_none());
        assert_eq!(pages.len(), 3);
        assert!(pages.pages[1].is_none());
    }

    #[test]
    fn labels_are_shared_and_survive_their_neighbours() {
        let mut pages = Pages::default();
        let ids = |n: u32| [n, 7, 8, n / 100];
        (0..512).for_each(|n| pages.insert(n, &ids(n)));
        let labels = |pages: &Pages| pages.pages[0].as_ref().unwrap().labels.capacity();
        assert_eq!(labels(&pages), 6 * 4);
        (0..500).for_each(|n| drop(pages.remove(n)));
        assert!((500..512).all(|n| pages.pair_ids(n).unwrap().is_same(&ids(n))));
        assert_eq!(labels(&pages), 2 * 4);
        pages.insert(600, &[]);
        assert!(pages.pair_ids(600).unwrap().is_same(&[]) && !pages.pair_ids(600).unwrap().contains(7));
    }
}
