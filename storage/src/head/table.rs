//! Finding series: by number, and by the hash of their labels.
//!
//! Here: [`Pages`] (number to series) and [`HashIndex`] (hash to number).
//! Elsewhere: what a series is (`head::series`), comparing labels (`head`).
//!
//! Invariant: numbers rise and are never given twice, so a page whose series are gone is freed for good.

use super::series::Series;
use crate::index::SeriesRef;

const PAGE_SERIES: usize = 512;

/// Series by number, in pages that come and go.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pages: Vec<Option<Page>>,
    live: usize,
}

#[derive(Debug)]
struct Page {
    slots: Vec<Option<Series>>,
    live: usize,
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

    /// Puts a series at a number that is free.
    pub(crate) fn insert(&mut self, at: SeriesRef, series: Series) {
        let (page, slot) = (at as usize / PAGE_SERIES, at as usize % PAGE_SERIES);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Page { slots: Vec::new(), live: 0 });
        if page.slots.len() <= slot {
            page.slots.resize_with(slot + 1, || None);
        }
        assert!(page.slots[slot].is_none(), "a series number is given once");
        page.slots[slot] = Some(series);
        page.live += 1;
        self.live += 1;
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
        }
        Some(series)
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

    /// All series, by rising number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SeriesRef, &Series)> {
        (0..self.pages.len()).flat_map(|page| self.page(page))
    }
}

/// Hash to numbers, open addressing: eight bytes a slot, half of them the hash, so that a miss rarely looks at a
/// series.
#[derive(Debug, Default)]
pub(crate) struct HashIndex {
    slots: Vec<u64>,
    used: usize,
}

impl HashIndex {
    /// The first entry with this hash that `is_same` accepts.
    pub(crate) fn find(&self, hash: u32, mut is_same: impl FnMut(SeriesRef) -> bool) -> Option<SeriesRef> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let series = (slot as u32).wrapping_sub(1);
            if (slot >> 32) as u32 == hash && is_same(series) {
                return Some(series);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an entry that is not there.
    pub(crate) fn insert(&mut self, hash: u32, series: SeriesRef) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.put(u64::from(hash) << 32 | (u64::from(series) + 1));
        self.used += 1;
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![0; (old.len() * 2).max(16)];
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            self.put(slot);
        }
    }

    fn put(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_among_equal_hashes() {
        let mut index = HashIndex::default();
        for series in 0..1000 {
            index.insert(series % 7, series);
        }
        for series in 0..1000 {
            assert_eq!(index.find(series % 7, |s| s == series), Some(series));
        }
        assert_eq!(index.find(8, |_| true), None);
    }

    #[test]
    fn pages_free_themselves() {
        let mut pages = Pages::default();
        for n in [0, 1, 600, 5000] {
            pages.insert(n, Series::new([].into(), 0));
        }
        assert_eq!(pages.iter().map(|(n, _)| n).collect::<Vec<_>>(), [0, 1, 600, 5000]);
        assert!(pages.remove(600).is_some() && pages.remove(600).is_none());
        assert!(pages.get(600).is_none() && pages.get(5000).is_some() && pages.get(9999).is_none());
        assert_eq!(pages.len(), 3);
    }
}
