//! Copies of what series of the head have, made in a short moment under its lock.
//!
//! Here: [`Copies`] of samples and [`LabelCopies`], which are filled under the lock and taken apart after it. Elsewhere:
//! which series, and how many under one lock (`select`, `listing`).
//!
//! Invariant: for what most series have, nothing is allocated under the lock once the memory here has grown to what a
//! portion needs. An allocation may last for tens of milliseconds, for it is then that the allocator gives memory back to
//! the kernel, and every push would wait for it.

use std::sync::{Arc, RwLock};

use super::Head;
use super::series::Sealed;
use crate::chunk::{ChunkBytes, Encoder};
use crate::db::read;
use crate::histogram::head::HistogramChunk;
use crate::index::SeriesRef;
use crate::starts::Changes;
use crate::{Labels, TimeRange};

/// Bytes of an open chunk that are usual.
const OPEN_BYTES: usize = 256;
/// Finished chunks of a series that are usual.
const SEALED: usize = 4;
/// Bytes of a label set that are usual.
const LABELS_BYTES: usize = 192;

/// One series as a query sees it.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    /// Chunks that overlap the query's range, in no order.
    pub(crate) chunks: Vec<Sealed>,
    /// Time and bits of the last sample of the open chunk, if that is one of them.
    pub(crate) newest: Option<(i64, u64)>,
    /// Histograms likewise.
    pub(crate) histograms: Vec<HistogramChunk>,
    /// Start timestamps of both, if there are any.
    pub(crate) starts: Option<Arc<Changes>>,
}

/// What several series have in a range.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    series: Vec<Copied>,
    /// The finished chunks of all, series after series.
    sealed: Vec<Sealed>,
    /// The bytes of all open chunks likewise.
    open: Vec<u8>,
}

/// What one has, beside what stands in the lists for all.
#[derive(Debug)]
struct Copied {
    /// Its place among those that were asked for.
    at: usize,
    /// How many of the finished chunks are its own.
    sealed: usize,
    open: Option<Open>,
    late: Option<Sealed>,
    histograms: Vec<HistogramChunk>,
    starts: Option<Changes>,
}

/// An open chunk, less its bytes.
#[derive(Debug)]
struct Open {
    min_t: i64,
    newest: (i64, u64),
    count: u32,
    len: u32,
}

impl Copies {
    /// Room for so many series; to be called outside the lock.
    pub(crate) fn reserve(&mut self, series: usize) {
        self.series.reserve(series);
        self.sealed.reserve(series * SEALED);
        self.open.reserve(series * OPEN_BYTES);
    }

    /// Copies what a series has in `range`; whether that is something. `at` is its place among those that were asked for.
    pub(crate) fn take(&mut self, head: &Head, at: usize, series: SeriesRef, range: TimeRange) -> bool {
        let Some(s) = head.pages.get(series) else { return false };
        let sealed_before = self.sealed.len();
        self.sealed.extend(s.sealed_in(range).cloned());
        let sealed = self.sealed.len() - sealed_before;
        let open = s.open_in(range).map(|open| self.take_open(open));
        let late = s.late_in(range);
        let histograms = head.extras.histograms.snapshot(series, range);
        if sealed == 0 && open.is_none() && late.is_none() && histograms.is_empty() {
            return false;
        }
        let starts = head.starts_of(series, range);
        self.series.push(Copied { at, sealed, open, late, histograms, starts });
        true
    }

    fn take_open(&mut self, open: &Encoder) -> Open {
        self.open.extend_from_slice(open.bytes());
        let len = open.bytes().len() as u32;
        Open { min_t: open.first_t(), newest: (open.last_t(), open.last_bits()), count: open.count(), len }
    }

    /// How many series have something.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Hands on what was copied, in that order; nothing is left but the memory.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(usize, HeadSeries)) {
        let bytes = Arc::new(self.open.as_slice().to_vec());
        self.open.clear();
        let mut sealed = self.sealed.drain(..);
        let mut start = 0;
        for one in self.series.drain(..) {
            let count = one.sealed + usize::from(one.open.is_some()) + usize::from(one.late.is_some());
            let mut chunks = Vec::with_capacity(count);
            chunks.extend(sealed.by_ref().take(one.sealed));
            let newest = one.open.as_ref().map(|open| open.newest);
            chunks.extend(one.open.map(|open| {
                let Open { min_t, newest: (max_t, _), count, len } = open;
                let bytes = ChunkBytes::Shared { all: bytes.clone(), start, len };
                start += len;
                Sealed { min_t, max_t, count, is_taken: false, bytes }
            }));
            chunks.extend(one.late);
            let starts = one.starts.map(Arc::new);
            each(one.at, HeadSeries { chunks, newest, histograms: one.histograms, starts });
        }
    }
}

/// The labels of several series.
#[derive(Debug, Default)]
pub(crate) struct LabelCopies {
    /// Packed, one after the other.
    text: String,
    /// Where each one's end.
    ends: Vec<(SeriesRef, usize)>,
}

impl LabelCopies {
    /// Room for so many series; to be called outside the lock.
    pub(crate) fn reserve(&mut self, series: usize) {
        self.text.reserve(series * LABELS_BYTES);
        self.ends.reserve(series);
    }

    /// Copies the labels of a series, if it is there.
    pub(crate) fn take(&mut self, head: &Head, series: SeriesRef) {
        if head.pages.get(series).is_some() {
            Labels::push_packed(&mut self.text, head.label_texts(series));
            self.ends.push((series, self.text.len()));
        }
    }

    /// Copies those of a whole portion that are wanted, under one lock.
    pub(crate) fn take_all(
        &mut self,
        head: &RwLock<Head>,
        portion: &[SeriesRef],
        is_wanted: impl Fn(&Head, SeriesRef) -> bool,
    ) {
        self.reserve(portion.len());
        let head = read(head);
        portion.iter().filter(|&&series| is_wanted(&head, series)).for_each(|&series| self.take(&head, series));
    }

    /// Hands them on in the order in which they were copied; nothing is left but the memory.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(SeriesRef, Labels)) {
        let mut start = 0;
        for (series, end) in self.ends.drain(..) {
            each(series, Labels::from_packed(&self.text[start..end]));
            start = end;
        }
        self.text.clear();
    }
}

impl Head {
    /// The series' chunks in `range`; `None` if it is gone or has no chunk there. For who looks at few series.
    pub(crate) fn snapshot(&self, series: SeriesRef, range: TimeRange) -> Option<HeadSeries> {
        let (mut copies, mut found) = (Copies::default(), None);
        copies.take(self, 0, series, range);
        copies.drain(|_, series| found = Some(series));
        found
    }

    /// Whether the series has a chunk in `range`.
    pub(crate) fn has_chunk_in(&self, series: SeriesRef, range: TimeRange) -> bool {
        let Some(s) = self.pages.get(series) else { return false };
        s.sealed_in(range).next().is_some()
            || s.open_in(range).is_some()
            || !s.late_samples_in(range).is_empty()
            || self.extras.histograms.has_chunk_in(series, range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk;

    /// So many series, each with a finished chunk and an open one.
    fn head(series: u32) -> Head {
        let mut head = Head::new(1_000_000);
        for number in 0..series {
            let labels = Labels::from_pairs([("__name__", "m"), ("n", &number.to_string())]).unwrap();
            let series = head.insert(head.next_id(), &labels).unwrap();
            (0..260).for_each(|t| {
                assert_eq!(head.push(series, t, f64::from(number)), super::super::series::Verdict::Accept)
            });
        }
        head
    }

    #[test]
    fn under_the_lock_nothing_is_allocated_for_usual_series() {
        let head = head(300);
        let (mut copies, mut labels) = (Copies::default(), LabelCopies::default());
        let room = |c: &Copies, l: &LabelCopies| {
            [c.series.capacity(), c.sealed.capacity(), c.open.capacity(), l.text.capacity(), l.ends.capacity()]
        };
        for _ in 0..2 {
            copies.reserve(300);
            labels.reserve(300);
            let before = room(&copies, &labels);
            for series in 0..300 {
                assert!(copies.take(&head, series as usize, series, TimeRange::new(0, 1000)));
                labels.take(&head, series);
            }
            assert_eq!(room(&copies, &labels), before);
            let mut count = 0;
            copies.drain(|at, found| {
                assert_eq!((at, found.chunks.len(), found.newest), (count, 2, Some((259, (at as f64).to_bits()))));
                let mut read = crate::Columns::default();
                for c in &found.chunks {
                    chunk::decode_into(&c.bytes, c.count, 0, 1000, &mut read).unwrap();
                }
                assert_eq!((read.t, read.v), ((0..260).collect(), vec![at as f64; 260]));
                count += 1;
            });
            assert_eq!(count, 300);
            labels.drain(|series, labels| {
                count -= 1;
                assert_eq!(labels.get("n"), Some(series.to_string().as_str()));
            });
            assert_eq!(count, 0);
        }
    }

    #[test]
    fn what_has_nothing_in_the_range_is_not_there() {
        let head = head(2);
        let mut copies = Copies::default();
        assert!(!copies.take(&head, 0, 1, TimeRange::new(260, 1000)) && !copies.take(&head, 0, 7, TimeRange::ALL));
        assert_eq!(copies.len(), 0);
        assert!(head.has_chunk_in(1, TimeRange::new(259, 260)) && !head.has_chunk_in(1, TimeRange::new(260, 261)));
        assert_eq!(head.snapshot(1, TimeRange::new(0, 1)).map(|s| (s.chunks.len(), s.newest)), Some((1, None)));
    }
}
