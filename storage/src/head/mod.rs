//! The head: one `Db`'s newest samples, in memory, recoverable from the WAL.
//!
//! Here: series lookup, taking samples, snapshots for queries, what a cut takes and gives back, cardinality.
//! Elsewhere: bytes on disk (`wal`, `block`), writing a cut (`cut`), who may append (`append`).
//!
//! Invariant: a sample is in the WAL before it is here. No time of one series bears on another series: a wrong clock
//! harms nobody else.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxHashSet, FxHasher};

use self::postings::Postings;
use self::series::{Sealed, Series, SymbolPairs, Verdict};
use self::symbols::{Symbol, Symbols};
use self::table::{HashIndex, Pages};
use crate::index::{self, Damage, LabelIndex, SeriesRef};
use crate::wal::record::WalSample;
use crate::{Labels, Matcher, SeriesId, TimeRange};

mod cardinality;
pub(crate) mod postings;
pub(crate) mod series;
pub(crate) mod symbols;
mod table;

/// After so many cuts in a row that found it empty, a series is forgotten.
const IDLE_CUTS_MAX: u8 = 2;

/// All series with recent samples. Guarded by the `Db`'s lock.
#[derive(Debug)]
pub(crate) struct Head {
    symbols: Symbols,
    postings: Postings,
    pages: Pages,
    by_labels: HashIndex,
    /// Random start of the label hash, so that senders cannot aim for collisions.
    seed: u64,
    block_ms: i64,
    next_id: u64,
    /// Older numbers of live series, which WAL records before the last replay use.
    aliases: Vec<(u64, SeriesRef)>,
    range: Option<(i64, i64)>,
    samples: u64,
    chunks: u64,
    /// End of the last cut, and samples taken since from before it.
    cut_t: i64,
    old: u64,
}

/// One series as a query sees it.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    /// Its labels.
    pub(crate) labels: Labels,
    /// Chunks that overlap the query's range, in no order.
    pub(crate) chunks: Vec<Sealed>,
}

impl Head {
    /// An empty head with blocks of this length.
    pub(crate) fn new(block_ms: i64) -> Self {
        Head {
            symbols: Symbols::default(),
            postings: Postings::default(),
            pages: Pages::default(),
            by_labels: HashIndex::default(),
            seed: crate::wal::random_u64(),
            block_ms,
            next_id: 0,
            aliases: Vec::new(),
            range: None,
            samples: 0,
            chunks: 0,
            cut_t: i64::MIN,
            old: 0,
        }
    }

    /// The series with this number, as an index into this head.
    #[inline]
    pub(crate) fn resolve(&self, id: SeriesId) -> Option<SeriesRef> {
        let series = SeriesRef::try_from(id.0).ok()?;
        self.pages.get(series).map(|_| series)
    }

    /// The series with these labels.
    pub(crate) fn find(&self, labels: &Labels) -> Option<SeriesRef> {
        let is_same = |series: SeriesRef| {
            self.pages.get(series).is_some_and(|s| {
                let texts = s.labels().iter().map(|&(n, v)| (self.symbols.text(n), self.symbols.text(v)));
                texts.eq(labels.iter())
            })
        };
        self.by_labels.find(self.hash(labels), is_same)
    }

    fn hash(&self, labels: &Labels) -> u32 {
        let mut hasher = FxHasher::default();
        self.seed.hash(&mut hasher);
        labels.packed().hash(&mut hasher);
        let hash = hasher.finish();
        (hash ^ hash >> 32) as u32
    }

    /// The number that the next new series gets.
    pub(crate) fn next_id(&self) -> SeriesId {
        SeriesId(self.next_id)
    }

    /// Makes sure that no number below `next` is given out any more.
    pub(crate) fn skip_ids(&mut self, next: u64) {
        self.next_id = self.next_id.max(next);
    }

    /// Adds a series that is not there under a number that was never used; `None` if numbers have run out.
    pub(crate) fn insert(&mut self, id: SeriesId, labels: &Labels) -> Option<SeriesRef> {
        let series = SeriesRef::try_from(id.0).ok().filter(|&r| r < SeriesRef::MAX)?;
        let hash = self.hash(labels);
        let symbols: SymbolPairs =
            labels.iter().map(|(n, v)| (self.symbols.intern(n), self.symbols.intern(v))).collect();
        self.postings.insert(series, &symbols);
        self.pages.insert(series, Series::new(symbols, hash));
        self.by_labels.insert(hash, series);
        self.skip_ids(id.0 + 1);
        Some(series)
    }

    /// Remembers that WAL records call this series by another number, too.
    pub(crate) fn add_alias(&mut self, id: u64, series: SeriesRef) {
        self.aliases.push((id, series));
    }

    /// What would become of a sample; changes nothing.
    #[inline]
    pub(crate) fn check(&self, series: SeriesRef, t: i64, v: f64) -> Verdict {
        self.pages.get(series).map_or(Verdict::Accept, |s| s.check(t, v))
    }

    /// Takes a sample of a series that is here.
    #[inline]
    pub(crate) fn push(&mut self, series: SeriesRef, t: i64, v: f64) -> Verdict {
        let block_ms = self.block_ms;
        let s = self.pages.get_mut(series).expect("the caller resolved the series under the same lock");
        let chunks = s.chunk_count();
        let verdict = s.push(t, v, block_ms);
        if verdict == Verdict::Accept {
            self.chunks += (s.chunk_count() - chunks) as u64;
            self.old += u64::from(t < self.cut_t);
            self.samples += 1;
            self.range = Some(self.range.map_or((t, t), |(min, max)| (min.min(t), max.max(t))));
        }
        verdict
    }

    /// Series in the head.
    pub(crate) fn series_count(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Samples in the head.
    pub(crate) fn sample_count(&self) -> u64 {
        self.samples
    }

    /// Samples from before the last cut, taken since.
    pub(crate) fn old_count(&self) -> u64 {
        self.old
    }

    /// Chunks in the head.
    pub(crate) fn chunk_count(&self) -> u64 {
        self.chunks
    }

    /// Oldest and newest sample.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        self.range
    }

    /// Series that satisfy the matchers.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Vec<SeriesRef> {
        index::select(self, matchers).unwrap_or_default()
    }

    /// The series' labels and chunks in `range`; `None` if it is gone or has no chunk there.
    pub(crate) fn snapshot(&self, series: SeriesRef, range: TimeRange) -> Option<HeadSeries> {
        let s = self.pages.get(series)?;
        let mut chunks = Vec::new();
        s.snapshot(range.min_t, range.max_t, &mut chunks);
        (!chunks.is_empty()).then(|| HeadSeries { labels: self.labels_of(s), chunks })
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.pages.get(series).map(|s| self.labels_of(s))
    }

    fn labels_of(&self, series: &Series) -> Labels {
        Labels::from_sorted(series.labels().iter().map(|&(n, v)| (self.symbols.text(n), self.symbols.text(v))))
    }

    /// All label names, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.postings.names().map(|(name, _)| self.symbols.text(name))
    }

    /// All values of one label, in no order.
    pub(crate) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let values = self.symbols.find(name).and_then(|name| self.postings.values(name));
        values.into_iter().flatten().map(|(&value, _)| self.symbols.text(value))
    }

    /// The number of pages, the steps in which long walks release the lock.
    pub(crate) fn page_count(&self) -> usize {
        self.pages.page_count()
    }

    /// Marks one page's samples before `cut_t` as taken; `found` gets the block ranges and the series, some repeatedly.
    pub(crate) fn take_page(&mut self, page: usize, cut_t: i64, mut found: impl FnMut(i64, SeriesRef)) {
        let block_ms = self.block_ms;
        for (series, s) in self.pages.page_mut(page) {
            let chunks = s.chunk_count();
            s.take(cut_t, block_ms, |start| found(start, series));
            // Late samples became chunks.
            self.chunks += (s.chunk_count() - chunks) as u64;
        }
    }

    /// Labels (as symbols) of a series.
    pub(crate) fn symbols_of(&self, series: SeriesRef) -> Option<SymbolPairs> {
        self.pages.get(series).map(|s| s.labels().clone())
    }

    /// The text of a symbol that a series of this head uses.
    pub(crate) fn text(&self, symbol: Symbol) -> Arc<str> {
        self.symbols.share(symbol)
    }

    /// The taken chunks of a series that begin in `range`.
    pub(crate) fn taken(&self, series: SeriesRef, range: TimeRange) -> Vec<Sealed> {
        let s = self.pages.get(series);
        s.map(|s| s.taken(range.min_t, range.max_t).cloned().collect()).unwrap_or_default()
    }

    /// Ends a cut for one page; see [`Series::end_take`].
    pub(crate) fn end_take_page(&mut self, page: usize, is_published: bool) {
        for (_, s) in self.pages.page_mut(page) {
            let (samples, chunks) = (s.sample_count(), s.chunk_count());
            s.end_take(is_published);
            self.samples -= samples - s.sample_count();
            self.chunks -= (chunks - s.chunk_count()) as u64;
        }
    }

    /// After a cut: the range anew, and series that stayed empty for some cuts are forgotten (cuts out of
    /// turn, for late
    /// samples, do not count). Returns how many.
    pub(crate) fn end_cut(&mut self, counts_idle: bool, cut_t: i64) -> usize {
        self.range = None;
        self.cut_t = cut_t;
        self.old = 0;
        let mut gone = FxHashSet::default();
        for page in 0..self.pages.page_count() {
            for (series, s) in self.pages.page_mut(page) {
                match s.range() {
                    Some((min, max)) => {
                        self.range = Some(self.range.map_or((min, max), |(a, b)| (a.min(min), b.max(max))));
                    }
                    None => {
                        s.idle_cuts = s.idle_cuts.saturating_add(u8::from(counts_idle));
                        if s.idle_cuts >= IDLE_CUTS_MAX {
                            gone.insert(series);
                        }
                    }
                }
            }
        }
        self.forget(&gone);
        gone.len()
    }

    fn forget(&mut self, gone: &FxHashSet<SeriesRef>) {
        if gone.is_empty() {
            return;
        }
        let mut touched = FxHashSet::default();
        for &series in gone {
            if let Some(s) = self.pages.remove(series) {
                touched.extend(s.labels().iter().copied());
            }
        }
        self.postings.remove(gone, &touched);
        self.aliases.retain(|(_, series)| !gone.contains(series));
        self.by_labels = HashIndex::default();
        for (series, s) in self.pages.iter() {
            self.by_labels.insert(s.hash(), series);
        }
        let mut used: FxHashSet<Symbol> = FxHashSet::default();
        for (name, values) in self.postings.names() {
            used.insert(name);
            used.extend(values.keys());
        }
        self.symbols.retain(|symbol| used.contains(&symbol));
    }

    /// The samples of one page's series after `t`.
    pub(crate) fn samples_after(&self, page: usize, t: i64, out: &mut Vec<WalSample>) {
        let mut chunks = Vec::new();
        for (series, s) in self.pages.page(page) {
            chunks.clear();
            s.snapshot(t.saturating_add(1), i64::MAX, &mut chunks);
            for c in &chunks {
                let decoded = crate::chunk::decode(&c.bytes, c.count, |at, v| {
                    if at > t {
                        out.push(WalSample { id: u64::from(series), t: at, v });
                    }
                    true
                });
                assert!(decoded.is_some(), "a chunk in memory is as it was encoded");
            }
        }
    }

    /// Number and labels of the series of one page, and their older numbers: what a checkpoint keeps.
    pub(crate) fn declarations(&self, page: usize, out: &mut Vec<(SeriesId, Labels)>) {
        out.extend(self.pages.page(page).map(|(series, s)| (SeriesId(u64::from(series)), self.labels_of(s))));
    }

    /// Older numbers and labels of series; see [`Head::add_alias`].
    pub(crate) fn alias_declarations(&self) -> Vec<(SeriesId, Labels)> {
        self.aliases.iter().filter_map(|&(id, series)| Some((SeriesId(id), self.labels(series)?))).collect()
    }
}

impl LabelIndex for Head {
    fn all(&self) -> Result<Vec<SeriesRef>, Damage> {
        Ok(self.pages.iter().map(|(series, _)| series).collect())
    }

    fn postings(&self, name: &str, value: &str) -> Result<Vec<SeriesRef>, Damage> {
        let list = self
            .symbols
            .find(name)
            .zip(self.symbols.find(value))
            .and_then(|(name, value)| self.postings.values(name)?.get(&value));
        Ok(list.map(|l| l.refs().to_vec()).unwrap_or_default())
    }

    fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        pick: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<SeriesRef>, Damage> {
        let values = self.symbols.find(name).and_then(|name| self.postings.values(name));
        let lists = values.into_iter().flatten().filter_map(|(&value, list)| {
            let text = self.symbols.text(value);
            (text.starts_with(prefix) && pick(text)).then(|| list.refs().to_vec())
        });
        Ok(index::union(lists.collect()))
    }
}

#[cfg(test)]
mod tests;
