//! Letting go of series that stay empty.
//!
//! Here: the end of a cut, in portions.
//! Elsewhere: what a cut takes (`head::series`), who runs it (`cut`).
//!
//! A series leaves its page and the hash index first, and the lists of its label pairs later: a number in a list that
//! means no series any more harms nobody, numbers are never given twice. Long lists are filtered without the lock.
//!
//! Invariant: one at a time (it is maintenance), so between two portions lists only grow at their ends.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Head;
use super::extras::join;
use super::pairs::PairId;
use crate::index::SeriesRef;

/// After so many cuts in a row that found it empty, a series is forgotten.
pub(super) const IDLE_CUTS_MAX: u8 = 2;
/// Series or short lists that are handled under one lock.
const PORTION: usize = 256;

/// After a cut: the range anew, and series that stayed empty for some cuts are forgotten (cuts out of turn, for late
/// samples, do not count). Returns how many. Appends and selects go on between portions.
pub(crate) fn end_cut(lock: &RwLock<Head>, counts_idle: bool, cut_t: i64) -> usize {
    let pages = {
        let mut head = write(lock);
        head.cut_t = cut_t;
        head.old = 0;
        head.fresh_min = i64::MAX;
        head.page_count()
    };
    let mut range = None;
    let mut idle = Vec::new();
    for page in 0..pages {
        write(lock).look_for_idle(page, counts_idle, &mut range, &mut idle);
    }
    let gone = drop_series(lock, &idle);
    let mut head = write(lock);
    head.end_range(range);
    gone.len()
}

/// Forgets the series of `idle`, which rise, that are still empty.
fn drop_series(lock: &RwLock<Head>, idle: &[SeriesRef]) -> Vec<SeriesRef> {
    let mut gone = Vec::new();
    let mut pairs = Vec::new();
    for portion in idle.chunks(PORTION) {
        write(lock).drop_portion(portion, &mut gone, &mut pairs);
        if pairs.len() > 1 << 20 {
            pairs.sort_unstable();
            pairs.dedup();
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    for portion in pairs.chunks(PORTION) {
        let mut long = Vec::new();
        {
            let mut head = write(lock);
            for &id in portion {
                if head.pairs.count(id) as usize <= PORTION {
                    head.pairs.remove(id, &gone);
                    head.generation += 1;
                } else {
                    long.push(id);
                }
            }
        }
        long.into_iter().for_each(|id| shorten(lock, id, &gone));
    }
    gone
}

/// Takes series off a long list: what is left of it is worked out while others may read and append.
fn shorten(lock: &RwLock<Head>, id: PairId, gone: &[SeriesRef]) {
    let mut left = Vec::new();
    read(lock).pairs.refs(id, &mut left);
    let last = left.last().copied();
    left.retain(|series| gone.binary_search(series).is_err());
    let mut head = write(lock);
    head.pairs.replace(id, left, last);
    head.generation += 1;
}

impl Head {
    fn look_for_idle(
        &mut self,
        page: usize,
        is_counted: bool,
        range: &mut Option<(i64, i64)>,
        idle: &mut Vec<SeriesRef>,
    ) {
        for (series, s) in self.pages.page_mut(page) {
            match join(s.range(), self.extras.histograms.range(series)) {
                Some((min, max)) => *range = Some(range.map_or((min, max), |(a, b)| (a.min(min), b.max(max)))),
                None => {
                    if s.count_idle_cut(is_counted) >= IDLE_CUTS_MAX {
                        idle.push(series);
                    }
                }
            }
        }
    }

    fn drop_portion(&mut self, portion: &[SeriesRef], gone: &mut Vec<SeriesRef>, pairs: &mut Vec<PairId>) {
        for &series in portion {
            // Samples may have come since.
            if self.pages.get(series).is_none_or(|s| self.join_range(series, s.range()).is_some()) {
                continue;
            }
            let Some(ids) = self.pages.pair_ids(series) else { continue };
            pairs.extend(ids.iter());
            let hash = self.by_labels.hash_ids(ids.iter());
            self.by_labels.remove(hash, series);
            self.pages.remove(series);
            self.extras.starts.remove(series);
            gone.push(series);
        }
    }

    /// The range as found page by page, and what came meanwhile.
    fn end_range(&mut self, found: Option<(i64, i64)>) {
        let newest = self.range.map(|(_, max)| max);
        let is_fresh = self.fresh_min < i64::MAX;
        self.range = match (found, newest) {
            (Some((min, max)), Some(newest)) if is_fresh => Some((min.min(self.fresh_min), max.max(newest))),
            (None, Some(newest)) if is_fresh => Some((self.fresh_min, newest)),
            (found, _) => found,
        };
    }
}

fn read(lock: &RwLock<Head>) -> RwLockReadGuard<'_, Head> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(lock: &RwLock<Head>) -> RwLockWriteGuard<'_, Head> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
