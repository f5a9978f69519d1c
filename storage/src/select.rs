//! Selecting: the series that satisfy matchers, with what head and blocks have of them.
//!
//! Here: [`Db::select`] and the head's part of it, copied in short turns at its lock. Elsewhere: which series those are
//! (`listing`, `head::select`, `block`), joining what several sources found (`querier`).
//!
//! Invariant: the head is looked at before the list of blocks, so nothing falls between the two when a cut ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::block::Block;
use crate::db::Db;
use crate::head;
use crate::head::copies::{Copies, LabelCopies};
use crate::head::series::Sealed;
use crate::index::{Damage, SeriesRef};
use crate::querier::{self, SelectedSeries};
use crate::{Labels, Matcher, ReadError, Selection, TimeRange};

/// A select releases the head's lock after so many series, so that appends do not wait for a large query. It is promised
/// (docs/storage.md): a query sees a push of as many series whole or not at all.
pub(crate) const SNAPSHOT_SERIES: usize = 512;
/// A thread for fewer series costs more than it gives.
const PART_SERIES_MIN: usize = if cfg!(test) { 16 } else { 8192 };

/// Asked with how many series there are so far, on any thread.
pub type GoOn<'a> = dyn Fn(usize) -> bool + Sync + 'a;

/// What part of a selection found, and the damaged chunks that it met.
type Part = (Vec<SelectedSeries>, Vec<(SeriesRef, Sealed)>);

impl Db {
    /// Series that satisfy all `matchers` and have a chunk that reaches into `range`; a snapshot that later appends do not
    /// change.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Selection, ReadError> {
        Ok(self.select_while(matchers, range, 1, &|_| true)?.unwrap_or_default())
    }

    /// [`Db::select`] for who may lose patience: `go_on` is asked every few hundred series with how many one source (the
    /// head, or a block) has so far; `None` once it says no. Of many series parts are looked at on `threads` threads.
    pub fn select_while(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        threads: usize,
        go_on: &GoOn<'_>,
    ) -> Result<Option<Selection>, ReadError> {
        // Head first: a cut lists its blocks before the head lets go, so nothing falls between the two.
        let mut warnings = Vec::new();
        let note = |_: SeriesRef, chunk: &Sealed| {
            let (error, count) = (chunk.bytes.error(), chunk.count);
            warnings.push(format!("{error}; its {count} samples are missing from this answer"));
        };
        let Some((head, is_sorted)) = self.select_listed(matchers, range, threads, go_on, note) else {
            return Ok(None);
        };
        warnings.extend(self.damage.warnings(range));
        let mut found = Vec::new();
        for block in self.blocks_in(range) {
            match block.select(matchers, range, (threads, go_on), (&self.listings, &self.damage), &mut warnings) {
                Ok(Some(series)) => found.extend(series),
                Ok(None) => return Ok(None),
                Err(damage) => warnings.push(unserved(&damage)),
            }
        }
        let series = match found.is_empty() && is_sorted {
            true => head,
            false => {
                found.extend(head);
                querier::join(found)
            }
        };
        Ok(Some(Selection { series, warnings }))
    }

    pub(crate) fn blocks_in(&self, range: TimeRange) -> Vec<Arc<Block>> {
        self.blocks.list().iter().filter(|b| b.meta().range.overlaps(&range)).cloned().collect()
    }

    /// The head's part of a selection; chunks that are damaged on the disk are left out and shown to `each_bad`. Refs are
    /// resolved under one lock, samples copied in portions.
    pub(crate) fn select_head(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        each_bad: impl FnMut(SeriesRef, &Sealed),
    ) -> Vec<SelectedSeries> {
        let refs = head::select::select(&self.head, matchers);
        self.snapshots(&refs, |&series| (series, None), range, (1, &|_| true), each_bad).unwrap_or_default()
    }

    /// The same, and whether it is sorted by labels, as where these matchers were asked for before; `None` once `go_on`
    /// says no.
    fn select_listed(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        threads: usize,
        go_on: &GoOn<'_>,
        each_bad: impl FnMut(SeriesRef, &Sealed),
    ) -> Option<(Vec<SelectedSeries>, bool)> {
        if !self.head().reaches(range) {
            return Some((Vec::new(), true));
        }
        let (how, listed) = ((threads, go_on), self.listings.list(&self.head, matchers, &|| go_on(0))?);
        let is_sorted = listed.is_ok();
        let found = match listed {
            Ok(listed) => self.snapshots(&listed, |(series, labels)| (*series, Some(labels)), range, how, each_bad),
            Err(refs) => self.snapshots(&refs, |&series| (series, None), range, how, each_bad),
        };
        Some((found?, is_sorted))
    }

    /// What the head has of these series in `range`, in their order; labels that are not given are put together. Many are
    /// shared out among so many threads; `None` once `go_on` says no.
    fn snapshots<T: Sync>(
        &self,
        series: &[T],
        of: impl Fn(&T) -> (SeriesRef, Option<&Labels>) + Sync,
        range: TimeRange,
        (threads, go_on): (usize, &GoOn<'_>),
        mut each_bad: impl FnMut(SeriesRef, &Sealed),
    ) -> Option<Vec<SelectedSeries>> {
        let count = AtomicUsize::new(0);
        let of_part = |part: &[T]| self.snapshots_of_part(part, &of, range, &count, go_on);
        let part_len = series.len().div_ceil(threads.max(1)).max(PART_SERIES_MIN);
        let parts = in_parts(series, part_len, &of_part).into_iter().collect::<Option<Vec<_>>>()?;
        let mut all = Vec::with_capacity(if parts.len() > 1 { series.len() } else { 0 });
        for (mut found, bad) in parts {
            bad.iter().for_each(|(series, chunk)| each_bad(*series, chunk));
            if all.is_empty() { all = found } else { all.append(&mut found) }
        }
        Some(all)
    }

    /// The same for some of them, and their damaged chunks.
    fn snapshots_of_part<T>(
        &self,
        series: &[T],
        of: &(impl Fn(&T) -> (SeriesRef, Option<&Labels>) + Sync),
        range: TimeRange,
        count: &AtomicUsize,
        go_on: &GoOn<'_>,
    ) -> Option<Part> {
        let (mut found, mut bad) = (Vec::with_capacity(series.len()), Vec::new());
        let (mut copies, mut unlisted) = (Copies::default(), LabelCopies::default());
        let has_labels = series.first().is_some_and(|one| of(one).1.is_some());
        for portion in series.chunks(SNAPSHOT_SERIES) {
            if !go_on(count.load(Ordering::Relaxed)) {
                return None;
            }
            copies.reserve(portion.len());
            unlisted.reserve(if has_labels { 0 } else { portion.len() });
            {
                let head = self.head();
                for (at, one) in portion.iter().enumerate() {
                    let (series, labels) = of(one);
                    if copies.take(&head, at, series, range) && labels.is_none() {
                        unlisted.take(&head, series);
                    }
                }
            }
            count.fetch_add(copies.len(), Ordering::Relaxed);
            let mut made = Vec::with_capacity(if has_labels { 0 } else { copies.len() });
            unlisted.drain(|_, labels| made.push(labels));
            let mut made = made.into_iter();
            copies.drain(|at, mut s| {
                let (series, labels) = of(&portion[at]);
                s.chunks.retain(|chunk| {
                    let is_whole = chunk.bytes.is_whole();
                    if !is_whole {
                        self.note_chunk(chunk);
                        bad.push((series, chunk.clone()));
                    }
                    is_whole
                });
                let labels = labels.cloned().or_else(|| made.next()).unwrap_or_default();
                let pieces = querier::pieces_of(s);
                // Nothing is left where all of it is damaged.
                if !pieces.is_empty() {
                    found.push(SelectedSeries::new(labels, range, pieces));
                }
            });
        }
        Some((found, bad))
    }

    /// Counts a damaged chunk of the head, and says it to the log, once.
    fn note_chunk(&self, chunk: &Sealed) {
        if chunk.bytes.is_news() {
            let (error, count) = (chunk.bytes.error(), chunk.count);
            self.damage.add_met(format!("{error}; its {count} samples are missing from answers"));
        }
    }
}

/// What `of_part` makes of each part of so many items, in order; of all parts at once, each but the first on a thread of its
/// own.
pub(crate) fn in_parts<T: Sync, R: Send>(
    items: &[T],
    part_len: usize,
    of_part: &(impl Fn(&[T]) -> R + Sync),
) -> Vec<R> {
    std::thread::scope(|scope| {
        let mut parts = items.chunks(part_len);
        let own = parts.next().unwrap_or_default();
        let others: Vec<_> = parts.map(|part| scope.spawn(|| of_part(part))).collect();
        let own = of_part(own);
        let joined = others.into_iter().map(|other| other.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        std::iter::once(own).chain(joined).collect()
    })
}

fn unserved(damage: &Damage) -> String {
    format!("{}; what its block held is missing from this answer", damage.0)
}
