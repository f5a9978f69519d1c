//! The head: one `Db`'s newest samples, in memory, recoverable from the WAL.
//!
//! Here: series lookup, taking samples, snapshots for queries, what a cut takes and gives back.
//! Elsewhere: bytes on disk (`wal`, `block`), writing a cut (`cut`), who may append (`append`), finding by matchers
//! (`head::select`), letting go (`head::forget`).
//!
//! Memory of a series: 64 bytes, its open chunk's buffer, four bytes for each label that its neighbour does not
//! share, a place in the hash index (16) and in the lists of its label pairs (runs: mostly far below a byte each).
//!
//! Invariant: a sample is in the WAL before it is here. No time of one series bears on another series: a wrong clock
//! harms nobody else.

use std::sync::Arc;

use self::lookup::UNKNOWN;
use self::pairs::{PairId, Pairs};
use self::series::{Sealed, Series, Verdict};
use self::symbols::Symbol;
use self::table::{HashIndex, Pages};
use crate::index::SeriesRef;
use crate::{Labels, SeriesId, TimeRange};

pub(crate) mod backlog;
mod cardinality;
pub(crate) mod copies;
pub(crate) mod export;
mod extras;
pub(crate) mod forget;
pub(crate) mod import;
pub(crate) mod lookup;
mod pairs;
mod postings;
mod rewrite;
pub(crate) mod select;
pub(crate) mod series;
pub(crate) mod symbols;
pub(crate) mod table;

/// Label pairs in rising order of name, as symbols of the head.
pub(crate) type SymbolPairs = Arc<[(Symbol, Symbol)]>;

/// All series with recent samples. Guarded by the `Db`'s lock.
#[derive(Debug)]
pub(crate) struct Head {
    pairs: Pairs,
    extras: extras::Extras,
    pages: Pages,
    by_labels: HashIndex,
    window: BlockWindow,
    /// Label pairs of the newest series: the next one mostly has the same at the same places.
    recent: Vec<PairId>,
    next_id: u64,
    range: Option<(i64, i64)>,
    samples: u64,
    chunks: u64,
    /// End of the last cut, and samples taken since from before it.
    cut_t: i64,
    old: u64,
    /// Oldest sample taken since `forget` began to look for the range.
    fresh_min: i64,
    /// How often label pairs were given up; numbers of pairs hold as long as it stays the same.
    generation: u64,
}

/// The block range that the last sample fell into: most samples need no division to find theirs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockWindow {
    block_ms: i64,
    start: i64,
    end: i64,
}

impl BlockWindow {
    /// For blocks of this length.
    pub(crate) fn new(block_ms: i64) -> Self {
        BlockWindow { block_ms, start: 0, end: 0 }
    }

    /// The length.
    pub(crate) fn block_ms(&self) -> i64 {
        self.block_ms
    }

    /// Whether one block holds both times.
    #[inline]
    pub(crate) fn holds_both(&mut self, a: i64, b: i64) -> bool {
        let range = self.start..self.end;
        if range.contains(&a) && range.contains(&b) {
            return true;
        }
        self.start = b.div_euclid(self.block_ms) * self.block_ms;
        self.end = self.start + self.block_ms;
        (self.start..self.end).contains(&a)
    }
}

impl Head {
    /// An empty head with blocks of this length.
    pub(crate) fn new(block_ms: i64) -> Self {
        Head {
            pairs: Pairs::default(),
            extras: extras::Extras::default(),
            pages: Pages::default(),
            by_labels: HashIndex::default(),
            window: BlockWindow::new(block_ms),
            recent: Vec::new(),
            next_id: 0,
            range: None,
            samples: 0,
            chunks: 0,
            cut_t: i64::MIN,
            old: 0,
            fresh_min: i64::MAX,
            generation: 0,
        }
    }

    /// The series with this number, as an index into this head.
    #[inline]
    pub(crate) fn resolve(&self, id: SeriesId) -> Option<SeriesRef> {
        let series = SeriesRef::try_from(id.0).ok()?;
        self.pages.get(series).map(|_| series)
    }

    /// The series with these labels; of many in a row, [`lookup::Lookup`] asks for less.
    pub(crate) fn find(&self, labels: &Labels) -> Option<SeriesRef> {
        let mut few = [0; 32];
        let mut count = 0;
        for (name, value) in labels.iter() {
            // Labels with an unknown pair belong to no series.
            let id = self.pair_at(count, name, value)?;
            match few.get_mut(count) {
                Some(slot) => *slot = id,
                None => return self.find_long(labels),
            }
            count += 1;
        }
        self.find_ids(&few[..count])
    }

    /// The number of a pair, which stands at place `at` of its labels.
    #[inline]
    fn pair_at(&self, at: usize, name: &str, value: &str) -> Option<PairId> {
        match self.recent.get(at) {
            Some(&id) if self.pairs.is_pair(id, name, value) => Some(id),
            _ => self.pairs.find(name, value),
        }
    }

    fn find_long(&self, labels: &Labels) -> Option<SeriesRef> {
        let ids: Option<Vec<PairId>> = labels.iter().map(|(name, value)| self.pairs.find(name, value)).collect();
        self.find_ids(&ids?)
    }

    fn find_ids(&self, ids: &[PairId]) -> Option<SeriesRef> {
        if ids.contains(&UNKNOWN) {
            return None;
        }
        let hash = self.by_labels.hash_ids(ids.iter().copied());
        self.by_labels.find(hash, |series| self.pages.pair_ids(series).is_some_and(|own| own.is_same(ids)))
    }

    /// The number that the next new series gets.
    pub(crate) fn next_id(&self) -> SeriesId {
        SeriesId(self.next_id)
    }

    /// Makes sure that no number below `next` is given out any more.
    pub(crate) fn skip_ids(&mut self, next: u64) {
        self.next_id = self.next_id.max(next);
    }

    /// Adds a series that is not there, under this number if it is above all others, else under the next one (lists
    /// of series only grow at their ends); `None` if numbers have run out.
    pub(crate) fn insert(&mut self, id: SeriesId, labels: &Labels) -> Option<SeriesRef> {
        self.insert_known(id, labels, &[])
    }

    /// As [`Head::insert`]; `known` has the numbers of its pairs, as far as they are known: their texts are not read.
    fn insert_known(&mut self, id: SeriesId, labels: &Labels, known: &[PairId]) -> Option<SeriesRef> {
        let id = SeriesId(id.0.max(self.next_id));
        let series = SeriesRef::try_from(id.0).ok().filter(|&r| r < SeriesRef::MAX)?;
        if known.is_empty() || known.contains(&UNKNOWN) {
            self.insert_pairs(series, labels, known);
        } else {
            known.iter().for_each(|&id| self.pairs.insert_known(id, series));
            self.recent.clear();
            self.recent.extend_from_slice(known);
        }
        self.pages.insert(series, &self.recent);
        self.by_labels.insert(self.by_labels.hash_ids(self.recent.iter().copied()), series);
        self.skip_ids(id.0 + 1);
        Some(series)
    }

    /// Adds a series to its pairs, which are in `recent` afterwards.
    fn insert_pairs(&mut self, series: SeriesRef, labels: &Labels, known: &[PairId]) {
        let mut count = 0;
        for (name, value) in labels.iter() {
            let recent = self.recent.get(count).copied();
            let known = known.get(count).copied().filter(|&id| id != UNKNOWN);
            let id = match known.or(recent.filter(|&id| self.pairs.is_pair(id, name, value))) {
                Some(id) => {
                    self.pairs.insert_known(id, series);
                    id
                }
                None => self.pairs.insert(name, value, series),
            };
            match self.recent.get_mut(count) {
                Some(slot) => *slot = id,
                None => self.recent.push(id),
            }
            count += 1;
        }
        self.recent.truncate(count);
    }

    /// Whether all numbers of the series' page are in use.
    pub(crate) fn is_page_full(&self, series: SeriesRef) -> bool {
        self.pages.is_full(series)
    }

    /// What would become of a sample; changes nothing.
    #[inline]
    pub(crate) fn check(&self, series: SeriesRef, t: i64, v: f64) -> Verdict {
        if self.has_histogram_at(series, t) {
            return Verdict::Conflict;
        }
        self.pages.get(series).map_or(Verdict::Accept, |s| s.check(t, v))
    }

    /// Takes a sample of a series that is here.
    #[inline]
    pub(crate) fn push(&mut self, series: SeriesRef, t: i64, v: f64) -> Verdict {
        self.try_push(series, t, v).expect("the caller resolved the series under the same lock")
    }

    /// Takes a sample; `None` if there is no such series. Resolves, checks and stores in one step.
    #[inline]
    pub(crate) fn try_push(&mut self, series: SeriesRef, t: i64, v: f64) -> Option<Verdict> {
        if self.has_histogram_at(series, t) {
            return Some(Verdict::Conflict);
        }
        let s = self.pages.get_mut(series)?;
        let (verdict, chunks) = s.push(t, v, &mut self.window);
        self.chunks = self.chunks.wrapping_add_signed(chunks);
        if verdict == Verdict::Accept {
            self.old += u64::from(t < self.cut_t);
            self.samples += 1;
            self.fresh_min = self.fresh_min.min(t);
            self.range = Some(self.range.map_or((t, t), |(min, max)| (min.min(t), max.max(t))));
        }
        Some(verdict)
    }

    /// Takes the samples of a series with `min_t <= t < max_t` out; how many there were. Not while a cut runs.
    pub(crate) fn delete(&mut self, series: SeriesRef, min_t: i64, max_t: i64) -> u64 {
        let Some(s) = self.pages.get_mut(series) else { return 0 };
        let chunks = s.chunk_count();
        let deleted = s.delete_range(min_t, max_t);
        self.chunks = self.chunks + s.chunk_count() as u64 - chunks as u64;
        self.samples -= deleted;
        let range = TimeRange::new(min_t, max_t);
        deleted + self.extras.histograms.delete(series, range, self.window.block_ms)
    }

    /// The series of one page, by rising number.
    pub(crate) fn page(&self, page: usize) -> impl Iterator<Item = (SeriesRef, &Series)> {
        self.pages.page(page)
    }

    /// Names and values of a series, by rising name.
    pub(crate) fn label_texts(&self, series: SeriesRef) -> impl Iterator<Item = (&str, &str)> {
        self.pages.pair_ids(series).into_iter().flat_map(|ids| ids.iter()).map(|id| self.pairs.texts(id))
    }

    /// Series in the head.
    pub(crate) fn series_count(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Samples in the head.
    pub(crate) fn sample_count(&self) -> u64 {
        self.samples + self.extras.histograms.sample_count()
    }

    /// Samples from before the last cut, taken since.
    pub(crate) fn old_count(&self) -> u64 {
        self.old
    }

    /// Chunks in the head.
    pub(crate) fn chunk_count(&self) -> u64 {
        self.chunks
    }

    /// Whether it may have a sample in `range`.
    pub(crate) fn reaches(&self, range: TimeRange) -> bool {
        self.range.is_some_and(|(min_t, max_t)| range.meets(min_t, max_t))
    }

    /// Oldest and newest sample.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        self.range
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.pages.get(series).map(|_| Labels::from_sorted(self.label_texts(series)))
    }

    /// All label names, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.rows().map(|(name, _)| name)
    }

    /// All values of one label, in no order.
    #[cfg(test)]
    pub(crate) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.row(name).iter().map(|&id| self.pairs.texts(id).1)
    }

    /// The number of pages, the steps in which long walks release the lock.
    pub(crate) fn page_count(&self) -> usize {
        self.pages.page_count()
    }

    /// Marks one page's samples before `cut_t` as taken; `found` gets the block ranges and the series, some repeatedly.
    pub(crate) fn take_page(&mut self, page: usize, cut_t: i64, mut found: impl FnMut(i64, SeriesRef)) {
        let block_ms = self.window.block_ms();
        for (series, s) in self.pages.page_mut(page) {
            let chunks = s.chunk_count();
            s.take(cut_t, block_ms, |start| found(start, series));
            self.extras.histograms.take(series, cut_t, block_ms, |start| found(start, series));
            // Late samples became chunks.
            self.chunks += (s.chunk_count() - chunks) as u64;
        }
    }

    /// Labels (as symbols) of a series.
    pub(crate) fn symbols_of(&self, series: SeriesRef) -> Option<SymbolPairs> {
        self.pages.pair_ids(series).map(|ids| ids.iter().map(|id| self.pairs.symbols(id)).collect())
    }

    /// The text of a symbol that a series of this head uses.
    pub(crate) fn text(&self, symbol: Symbol) -> Arc<str> {
        self.pairs.text(symbol).into()
    }

    /// The taken chunks of a series that begin in `range`.
    pub(crate) fn taken(&self, series: SeriesRef, range: TimeRange) -> Vec<Sealed> {
        let s = self.pages.get(series);
        s.map(|s| s.taken(range.min_t, range.max_t).cloned().collect()).unwrap_or_default()
    }

    /// Ends a cut for one page; see [`Series::end_take`].
    pub(crate) fn end_take_page(&mut self, page: usize, is_published: bool) {
        for (series, s) in self.pages.page_mut(page) {
            self.extras.histograms.end_take(series, is_published);
            let (samples, chunks) = (s.sample_count(), s.chunk_count());
            s.end_take(is_published);
            self.samples -= samples - s.sample_count();
            self.chunks -= (chunks - s.chunk_count()) as u64;
        }
    }
}

#[cfg(test)]
mod figures;
#[cfg(test)]
mod tests;
