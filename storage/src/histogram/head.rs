//! The head's histograms: for each series that has any, an open chunk and full ones.
//!
//! Here: taking one (late ones too), what a query and a cut see and take, rebuilding from a snapshot.
//! Elsewhere: the floats of the same series (`head::series`), labels and postings (`head`), bytes (`chunk`).
//!
//! Invariant: the chunks of a series do not overlap and rise in time, the open one last; no chunk crosses a border of
//! `block_ms`, so a cut takes whole chunks. Series without histograms take no memory here.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::chunk::{self, OpenChunk};
use super::{Histogram, HistogramColumns};
use crate::TimeRange;
use crate::head::series::Verdict;
use crate::index::SeriesRef;

/// A finished run of histograms; cloning shares its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HistogramChunk {
    /// First histogram.
    pub(crate) min_t: i64,
    /// Last histogram.
    pub(crate) max_t: i64,
    /// Histograms.
    pub(crate) count: u32,
    /// A running cut has it in hand and will take it away when its block is published.
    pub(crate) is_taken: bool,
    /// Encoded by `chunk`.
    pub(crate) bytes: Arc<[u8]>,
}

impl HistogramChunk {
    /// Appends those in `range`. `None` if the bytes are damaged, which memory is not.
    pub(crate) fn read_into(&self, range: TimeRange, out: &mut HistogramColumns) -> Option<()> {
        chunk::decode_into(&self.bytes, self.count, range.min_t, range.max_t, out)
    }

    fn overlaps(&self, range: TimeRange) -> bool {
        range.meets(self.min_t, self.max_t)
    }
}

/// Histograms of all series of a head.
#[derive(Debug, Default)]
pub(crate) struct HeadHistograms {
    series: FxHashMap<SeriesRef, HistogramSeries>,
    samples: u64,
}

#[derive(Debug, Default)]
struct HistogramSeries {
    full: Vec<HistogramChunk>,
    open: OpenChunk,
}

impl HeadHistograms {
    /// True if no series has any: then floats need no look here.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// How many histograms.
    pub(crate) fn sample_count(&self) -> u64 {
        self.samples
    }

    /// Whether the series has any.
    #[cfg(test)]
    pub(crate) fn has_any(&self, series: SeriesRef) -> bool {
        self.series.contains_key(&series)
    }

    /// Whether the series has one at `t`.
    pub(crate) fn has_at(&self, series: SeriesRef, t: i64) -> bool {
        self.series.get(&series).is_some_and(|s| s.at(t).is_some())
    }

    /// What would become of a histogram; changes nothing.
    pub(crate) fn check(&self, series: SeriesRef, t: i64, histogram: &Histogram) -> Verdict {
        self.series.get(&series).map_or(Verdict::Accept, |s| s.check(t, histogram))
    }

    /// Takes a valid histogram.
    pub(crate) fn push(&mut self, series: SeriesRef, t: i64, histogram: &Histogram, block_ms: i64) -> Verdict {
        let verdict = self.series.entry(series).or_default().push(t, histogram, block_ms);
        self.samples += u64::from(verdict == Verdict::Accept);
        verdict
    }

    /// The chunks of a series that overlap `range`; the open one as it is now.
    pub(crate) fn snapshot(&self, series: SeriesRef, range: TimeRange) -> Vec<HistogramChunk> {
        let Some(s) = self.series.get(&series) else { return Vec::new() };
        let full = s.full.iter().filter(|c| c.overlaps(range)).cloned();
        full.chain(s.open_chunk().filter(|c| c.overlaps(range))).collect()
    }

    /// Whether a series has any in `range`.
    pub(crate) fn has_chunk_in(&self, series: SeriesRef, range: TimeRange) -> bool {
        let Some(s) = self.series.get(&series) else { return false };
        s.full.iter().any(|c| c.overlaps(range)) || {
            let open = s.open.span();
            open.is_some_and(|(min_t, max_t)| range.meets(min_t, max_t))
        }
    }

    /// Oldest and newest histogram of a series.
    pub(crate) fn range(&self, series: SeriesRef) -> Option<(i64, i64)> {
        self.series.get(&series)?.range()
    }

    /// The series that have any, in no order.
    pub(crate) fn series(&self) -> impl Iterator<Item = SeriesRef> + '_ {
        self.series.keys().copied()
    }

    /// Marks what a series has before `cut_t` as taken by a cut. Calls `found` with the start of each block range
    /// concerned, some of them repeatedly.
    pub(crate) fn take(&mut self, series: SeriesRef, cut_t: i64, block_ms: i64, mut found: impl FnMut(i64)) {
        let Some(s) = self.series.get_mut(&series) else { return };
        if s.open.span().is_some_and(|(_, max_t)| max_t < cut_t) {
            s.seal();
        }
        for chunk in s.full.iter_mut().filter(|chunk| chunk.max_t < cut_t) {
            chunk.is_taken = true;
            found(chunk.min_t.div_euclid(block_ms) * block_ms);
        }
    }

    /// The taken chunks of a series that begin in `range`.
    pub(crate) fn taken(&self, series: SeriesRef, range: TimeRange) -> Vec<HistogramChunk> {
        let Some(s) = self.series.get(&series) else { return Vec::new() };
        s.full.iter().filter(|chunk| chunk.is_taken && range.contains(chunk.min_t)).cloned().collect()
    }

    /// Ends a cut: taken chunks go if it was published, and stay if it failed. One that a late histogram changed
    /// meanwhile is not taken any more; the next cut takes it as it is then.
    pub(crate) fn end_take(&mut self, series: SeriesRef, is_published: bool) {
        let Some(s) = self.series.get_mut(&series) else { return };
        if is_published {
            self.samples -= s.full.iter().filter(|c| c.is_taken).map(|c| u64::from(c.count)).sum::<u64>();
            s.full.retain(|chunk| !chunk.is_taken);
        } else {
            s.full.iter_mut().for_each(|chunk| chunk.is_taken = false);
        }
        if s.range().is_none() {
            self.series.remove(&series);
        }
    }

    /// Removes what is in `range` of a series. Returns how many histograms went.
    pub(crate) fn delete(&mut self, series: SeriesRef, range: TimeRange, block_ms: i64) -> u64 {
        let Some(s) = self.series.get_mut(&series) else { return 0 };
        let deleted = s.remove(range, block_ms);
        self.samples -= deleted;
        if s.range().is_none() {
            self.series.remove(&series);
        }
        deleted
    }

    /// Puts back a chunk from a snapshot; they must come in order. `None`, and nothing done, if it does not fit.
    pub(crate) fn restore(&mut self, series: SeriesRef, chunk: HistogramChunk) -> Option<()> {
        let mut found = HistogramColumns::default();
        chunk.read_into(TimeRange::ALL, &mut found)?;
        let s = self.series.entry(series).or_default();
        let is_after = s.range().is_none_or(|(_, max_t)| max_t < chunk.min_t);
        let is_sound = found.t.first() == Some(&chunk.min_t) && found.t.last() == Some(&chunk.max_t);
        if is_after && is_sound && s.open.count() == 0 {
            self.samples += u64::from(chunk.count);
            s.full.push(chunk);
            return Some(());
        }
        None
    }
}

impl HistogramSeries {
    fn range(&self) -> Option<(i64, i64)> {
        let open = self.open.span();
        let first = self.full.first().map(|c| c.min_t).or(open.map(|o| o.0))?;
        let last = open.map(|o| o.1).or(self.full.last().map(|c| c.max_t))?;
        Some((first, last))
    }

    fn check(&self, t: i64, histogram: &Histogram) -> Verdict {
        match self.at(t) {
            None => Verdict::Accept,
            Some(there) if there.is_same_sample(histogram) => Verdict::Duplicate,
            Some(_) => Verdict::Conflict,
        }
    }

    /// The histogram at exactly `t`.
    fn at(&self, t: i64) -> Option<Histogram> {
        if self.range().is_none_or(|(_, max_t)| t > max_t) {
            return None;
        }
        if let Some((_, last)) = self.open.last().filter(|(last_t, _)| *last_t == t) {
            return Some(last.clone());
        }
        let mut found = HistogramColumns::default();
        let is_open = self.open.span().is_some_and(|(min_t, _)| min_t <= t);
        let (bytes, count) = if is_open {
            (self.open.bytes(), self.open.count())
        } else {
            let chunk = &self.full[self.chunk_holding(t)?];
            (&*chunk.bytes, chunk.count)
        };
        chunk::decode_into(bytes, count, t, t.saturating_add(1), &mut found).expect("memory is as it was encoded");
        found.h.pop()
    }

    fn chunk_holding(&self, t: i64) -> Option<usize> {
        let at = self.full.partition_point(|c| c.max_t < t);
        self.full.get(at).is_some_and(|c| c.min_t <= t).then_some(at)
    }

    fn push(&mut self, t: i64, histogram: &Histogram, block_ms: i64) -> Verdict {
        if self.range().is_some_and(|(_, max_t)| t <= max_t) {
            return self.push_late(t, histogram, block_ms);
        }
        let is_other_block = self.open.span().is_some_and(|(min_t, _)| !is_same_block(min_t, t, block_ms));
        if is_other_block || !self.open.push(t, histogram) {
            self.seal();
            let is_taken = self.open.push(t, histogram);
            assert!(is_taken, "an empty chunk takes any one histogram");
        }
        Verdict::Accept
    }

    fn seal(&mut self) {
        self.full.extend(self.open_chunk());
        self.open = OpenChunk::default();
    }

    fn open_chunk(&self) -> Option<HistogramChunk> {
        let (min_t, max_t) = self.open.span()?;
        Some(HistogramChunk {
            min_t,
            max_t,
            count: self.open.count(),
            is_taken: false,
            bytes: self.open.bytes().into(),
        })
    }

    /// Late ones are rare and chunks are small: the one that it belongs to is written anew.
    fn push_late(&mut self, t: i64, histogram: &Histogram, block_ms: i64) -> Verdict {
        let verdict = self.check(t, histogram);
        if verdict != Verdict::Accept {
            return verdict;
        }
        self.seal();
        let at = self.full.partition_point(|c| c.max_t < t);
        let mut columns = HistogramColumns::default();
        // If it lies in a gap, the chunk after it is not touched.
        let taken = usize::from(self.full.get(at).is_some_and(|c| c.min_t <= t));
        for chunk in &self.full[at..at + taken] {
            chunk.read_into(TimeRange::ALL, &mut columns).expect("memory is as it was encoded");
        }
        let place = columns.t.partition_point(|there| *there < t);
        columns.t.insert(place, t);
        columns.h.insert(place, histogram.clone());
        self.full.splice(at..at + taken, encode_all(&columns, block_ms));
        Verdict::Accept
    }

    /// Removes what is in `range`; returns how many.
    fn remove(&mut self, range: TimeRange, block_ms: i64) -> u64 {
        let is_touched = |(min_t, max_t): (i64, i64)| range.meets(min_t, max_t);
        if !self.range().is_some_and(is_touched) {
            return 0;
        }
        if self.open.span().is_some_and(is_touched) {
            self.seal();
        }
        let mut removed = 0;
        for chunk in std::mem::take(&mut self.full) {
            if !chunk.overlaps(range) {
                self.full.push(chunk);
                continue;
            }
            let mut kept = HistogramColumns::default();
            chunk.read_into(TimeRange::new(i64::MIN, range.min_t), &mut kept).expect("memory is as it was encoded");
            chunk.read_into(TimeRange::new(range.max_t, i64::MAX), &mut kept).expect("memory is as it was encoded");
            removed += u64::from(chunk.count) - kept.len() as u64;
            self.full.extend(encode_all(&kept, block_ms));
        }
        removed
    }
}

fn is_same_block(a: i64, b: i64, block_ms: i64) -> bool {
    a.div_euclid(block_ms) == b.div_euclid(block_ms)
}

/// Full chunks of what rises in time.
pub(crate) fn encode_all(columns: &HistogramColumns, block_ms: i64) -> Vec<HistogramChunk> {
    let mut series = HistogramSeries::default();
    for (t, histogram) in columns.t.iter().zip(&columns.h) {
        series.push(*t, histogram, block_ms);
    }
    series.seal();
    series.full
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::histogram::tests::any_histogram;

    const BLOCK_MS: i64 = 1000;

    fn read(head: &HeadHistograms, series: SeriesRef, range: TimeRange) -> Vec<(i64, Histogram)> {
        let mut out = HistogramColumns::default();
        for chunk in head.snapshot(series, range) {
            assert_eq!(chunk.min_t.div_euclid(BLOCK_MS), chunk.max_t.div_euclid(BLOCK_MS));
            chunk.read_into(range, &mut out).unwrap();
        }
        assert!(out.t.is_sorted_by(|a, b| a < b));
        out.t.into_iter().zip(out.h).collect()
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(
            pushes in proptest::collection::vec((0u32..2, 0i64..3000, any_histogram()), 1..60),
            removed in (0i64..3000, 0i64..1000),
            from in 0i64..3000,
        ) {
            let mut head = HeadHistograms::default();
            let mut model: BTreeMap<(SeriesRef, i64), Histogram> = BTreeMap::new();
            for (series, t, h) in pushes {
                let expected = match model.get(&(series, t)) {
                    None => Verdict::Accept,
                    Some(there) if there.is_same_sample(&h) => Verdict::Duplicate,
                    Some(_) => Verdict::Conflict,
                };
                prop_assert_eq!(head.check(series, t, &h), expected);
                prop_assert_eq!(head.push(series, t, &h, BLOCK_MS), expected);
                model.entry((series, t)).or_insert(h);
                prop_assert!(head.has_at(series, t));
            }
            let range = TimeRange::new(removed.0, removed.0 + removed.1);
            let before = model.len();
            model.retain(|(series, t), _| *series != 0 || !range.contains(*t));
            prop_assert_eq!(head.delete(0, range, BLOCK_MS), (before - model.len()) as u64);
            for series in 0..2 {
                let mut starts = Vec::new();
                head.take(series, 1000, BLOCK_MS, |start| starts.push(start));
                prop_assert!(starts.iter().all(|start| *start == 0));
                let taken: u32 = head.taken(series, TimeRange::new(0, 1000)).iter().map(|c| c.count).sum();
                let expected = model.keys().filter(|(s, t)| *s == series && *t < 1000).count();
                prop_assert_eq!(taken as usize, expected);
                let late = (from % 1000, Histogram::default());
                if head.push(series, late.0, &late.1, BLOCK_MS) == Verdict::Accept {
                    // What it was put beside is written once more: that loses nothing.
                    model.retain(|(s, t), _| *s != series || *t >= 1000 || head.taken(series, TimeRange::ALL).iter().all(|c| *t < c.min_t || c.max_t < *t));
                    model.insert((series, late.0), late.1);
                } else {
                    model.retain(|(s, t), _| *s != series || *t >= 1000);
                }
                head.end_take(series, true);
            }
            prop_assert_eq!(head.sample_count(), model.len() as u64);
            let mut again = HeadHistograms::default();
            for series in 0..2 {
                for wanted in [TimeRange::ALL, TimeRange::new(from, from + 700)] {
                    let of_series = model.iter().filter(|((s, t), _)| *s == series && wanted.contains(*t));
                    let expected: Vec<(i64, Histogram)> = of_series.map(|((_, t), h)| (*t, h.clone())).collect();
                    prop_assert_eq!(read(&head, series, wanted), expected);
                }
                let times: Vec<i64> = model.keys().filter(|(s, _)| *s == series).map(|(_, t)| *t).collect();
                prop_assert_eq!(head.range(series), times.first().copied().zip(times.last().copied()));
                prop_assert_eq!(head.has_any(series), !times.is_empty());
                for chunk in head.snapshot(series, TimeRange::ALL) {
                    prop_assert_eq!(again.restore(series, chunk), Some(()));
                }
                prop_assert_eq!(read(&again, series, TimeRange::ALL), read(&head, series, TimeRange::ALL));
            }
            prop_assert_eq!(again.is_empty(), head.is_empty());
            prop_assert_eq!(again.series().count(), head.series().count());
        }
    }

    #[test]
    fn a_damaged_chunk_is_not_restored() {
        let mut head = HeadHistograms::default();
        (0..5).for_each(|t| {
            head.push(7, t * 10, &Histogram::default(), BLOCK_MS);
        });
        let chunk = head.snapshot(7, TimeRange::ALL).remove(0);
        let mut again = HeadHistograms::default();
        assert!(again.restore(7, HistogramChunk { count: 4, ..chunk.clone() }).is_none());
        assert!(again.restore(7, HistogramChunk { max_t: 41, ..chunk.clone() }).is_none());
        assert!(again.restore(7, chunk.clone()).is_some());
        assert!(again.restore(7, chunk).is_none());
    }
}
