//! One series of the head.
//!
//! Here: its open chunk, sealed chunks and late samples; accepting a sample; what a cut takes.
//! Elsewhere: finding it (`head::table`), the codec (`chunk`), late samples and deletion (`head::rewrite`), writing
//! blocks (`cut`).
//!
//! Invariant: a chunk never crosses a border of the block length, so a cut takes whole chunks. The open chunk rises
//! above the sealed ones; late samples may overlap anything, but no millisecond is held twice. While there is an open
//! chunk, its last sample is the newest in-order sample of the series.

use super::BlockWindow;
use super::pairs::PairId;
use crate::TimeRange;
use crate::chunk::{self, ChunkBytes, Encoder};

/// Chunks are sealed at this many samples: an hour at 15 s.
pub(crate) const CHUNK_SAMPLES_MAX: u32 = 240;
/// Or at this size.
pub(crate) const CHUNK_BYTES_MAX: usize = 1024;
/// So many late samples become chunks; more, if the series holds many times that.
pub(super) const LATE_MAX: usize = 512;

/// A finished chunk; cloning shares its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    /// First sample.
    pub(crate) min_t: i64,
    /// Last sample.
    pub(crate) max_t: i64,
    /// Samples.
    pub(crate) count: u32,
    /// A running cut has it in hand and will take it away when its block is published.
    pub(crate) is_taken: bool,
    /// Encoded by `chunk`.
    pub(crate) bytes: ChunkBytes,
}

/// What is to become of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new.
    Accept,
    /// It is there already.
    Duplicate,
    /// Its time is taken by another value.
    Conflict,
}

/// Labels, samples and little else: one line of the processor's cache.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Series {
    /// Its last time is the newest in-order sample ever seen, also while it has no sample; its tag counts the cuts in
    /// a row that found the series empty.
    pub(super) open: Encoder,
    /// What few series have, or not yet.
    pub(super) more: Option<Box<More>>,
    /// [`NO_PAIR`] if there are no labels.
    first_pair: PairId,
    /// The other labels' place in the page.
    pub(super) run: u32,
}

/// The other samples of a series.
#[derive(Debug, Default)]
pub(super) struct More {
    /// By rising first time.
    pub(super) sealed: Vec<Sealed>,
    /// Sorted by time; mostly empty.
    pub(super) late: Vec<(i64, u64)>,
}

const NO_PAIR: PairId = PairId::MAX;
const _: () = assert!(size_of::<Series>() == 64 && size_of::<Option<Series>>() == 64);

impl Series {
    /// A series without samples.
    pub(super) fn new(first_pair: Option<PairId>, run: u32) -> Self {
        let mut open = Encoder::default();
        open.clear_at(i64::MIN);
        Series { open, more: None, first_pair: first_pair.unwrap_or(NO_PAIR), run }
    }

    /// The first of its label pairs.
    pub(super) fn first_pair(&self) -> Option<PairId> {
        (self.first_pair != NO_PAIR).then_some(self.first_pair)
    }

    /// The open chunk.
    pub(crate) fn open(&self) -> Option<&Encoder> {
        (self.open.count() > 0).then_some(&self.open)
    }

    /// The finished chunks, by rising first time.
    pub(crate) fn sealed(&self) -> &[Sealed] {
        self.more.as_ref().map_or(&[], |m| &m.sealed)
    }

    /// Late samples that are in no chunk yet, by time.
    pub(crate) fn late(&self) -> &[(i64, u64)] {
        self.more.as_ref().map_or(&[], |m| &m.late)
    }

    /// Time of the newest in-order sample ever seen, `i64::MIN` before the first.
    pub(crate) fn last_t(&self) -> i64 {
        self.open.last_t()
    }

    /// Fills a series that has no samples; see `head::export`. `open` ends at `last_t`, if there is one.
    pub(crate) fn restore(&mut self, last_t: i64, open: Option<Encoder>, sealed: Vec<Sealed>, late: Vec<(i64, u64)>) {
        let idle_cuts = self.open.tag;
        match open {
            Some(open) => self.open = open,
            None => self.open.clear_at(last_t),
        }
        self.open.tag = idle_cuts;
        if !sealed.is_empty() || !late.is_empty() {
            self.more = Some(Box::new(More { sealed, late }));
        }
    }

    /// Replaces the bytes of a finished chunk by an equal copy elsewhere, if it still has them.
    pub(crate) fn map_sealed(&mut self, old: &ChunkBytes, bytes: ChunkBytes) {
        let is_same = |s: &&mut Sealed| s.bytes.is_same(old);
        if let Some(sealed) = self.more.iter_mut().flat_map(|m| &mut m.sealed).find(is_same) {
            sealed.bytes = bytes;
        }
    }

    /// Counts one more cut that found it empty; how many in a row that is.
    pub(super) fn count_idle_cut(&mut self, is_counted: bool) -> u8 {
        self.open.tag = self.open.tag.saturating_add(u8::from(is_counted));
        self.open.tag
    }

    /// What would become of a sample; changes nothing.
    #[inline]
    pub(crate) fn check(&self, t: i64, v: f64) -> Verdict {
        if t > self.open.last_t() { Verdict::Accept } else { self.check_late(t, v.to_bits()) }
    }

    fn check_late(&self, t: i64, bits: u64) -> Verdict {
        match self.bits_at(t) {
            None => Verdict::Accept,
            Some(there) if there == bits => Verdict::Duplicate,
            Some(_) => Verdict::Conflict,
        }
    }

    /// The value at exactly `t`, if the head has one.
    fn bits_at(&self, t: i64) -> Option<u64> {
        let open = self.open();
        if open.is_some_and(|open| open.last_t() == t) {
            return open.map(Encoder::last_bits);
        }
        let late = self.late();
        if let Ok(at) = late.binary_search_by_key(&t, |&(t, _)| t) {
            return late.get(at).map(|&(_, bits)| bits);
        }
        let open = open.filter(|o| o.first_t() <= t);
        let sealed = self.sealed().iter().filter(|s| s.min_t <= t && t <= s.max_t);
        open.and_then(|o| find_in(o.bytes(), o.count(), t))
            .or_else(|| sealed.into_iter().find_map(|s| find_in(&s.bytes, s.count, t)))
    }

    /// Takes a sample. Also answers by how much the number of chunks changed.
    #[inline]
    pub(crate) fn push(&mut self, t: i64, v: f64, window: &mut BlockWindow) -> (Verdict, i64) {
        let last_t = self.open.last_t();
        if t <= last_t {
            return self.push_late(t, v, window);
        }
        self.open.tag = 0;
        if self.open.count() > 0
            && self.open.count() < CHUNK_SAMPLES_MAX
            && self.open.len() < CHUNK_BYTES_MAX
            && window.holds_both(last_t, t)
        {
            self.open.push(t, v);
            return (Verdict::Accept, 0);
        }
        self.seal();
        self.open.begin(t, v);
        (Verdict::Accept, 1)
    }

    #[cold]
    fn push_late(&mut self, t: i64, v: f64, window: &mut BlockWindow) -> (Verdict, i64) {
        let verdict = self.check_late(t, v.to_bits());
        if verdict != Verdict::Accept {
            return (verdict, 0);
        }
        self.open.tag = 0;
        let more = self.more.get_or_insert_default();
        let at = more.late.partition_point(|&(there, _)| there < t);
        more.late.insert(at, (t, v.to_bits()));
        if !more.late.len().is_multiple_of(LATE_MAX) {
            return (verdict, 0);
        }
        let chunks = self.chunk_count() as i64;
        self.chunk_late(window.block_ms());
        (verdict, self.chunk_count() as i64 - chunks)
    }

    /// Ends the open chunk.
    pub(super) fn seal(&mut self) {
        if self.open.count() > 0 {
            let chunk = seal(&self.open);
            self.put_sealed(chunk);
            self.open.clear();
        }
    }

    /// Ends the open chunk if it has so many bytes.
    pub(super) fn seal_long(&mut self, bytes_min: usize) {
        if self.open.len() >= bytes_min {
            self.seal();
        }
    }

    /// Adds a finished chunk in its place.
    pub(super) fn put_sealed(&mut self, chunk: Sealed) {
        let sealed = &mut self.more.get_or_insert_default().sealed;
        let at = sealed.partition_point(|s| s.min_t <= chunk.min_t);
        if sealed.len() == sealed.capacity() {
            sealed.reserve_exact(1 + sealed.len() / 2);
        }
        sealed.insert(at, chunk);
    }

    /// Number of chunks, the open one included.
    pub(crate) fn chunk_count(&self) -> usize {
        self.sealed().len() + usize::from(self.open.count() > 0)
    }

    /// Number of samples.
    pub(crate) fn sample_count(&self) -> u64 {
        let sealed: u64 = self.sealed().iter().map(|s| u64::from(s.count)).sum();
        sealed + u64::from(self.open.count()) + self.late().len() as u64
    }

    /// Times of the oldest and the newest sample held.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        let sealed = self.sealed().iter().map(|s| (s.min_t, s.max_t));
        let open = self.open().map(|o| (o.first_t(), o.last_t()));
        let late = self.late().first().zip(self.late().last()).map(|(a, b)| (a.0, b.0));
        sealed.chain(open).chain(late).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The finished chunks that overlap `range`.
    pub(super) fn sealed_in(&self, range: TimeRange) -> impl Iterator<Item = &Sealed> {
        self.sealed().iter().filter(move |s| range.meets(s.min_t, s.max_t))
    }

    /// The open chunk if it overlaps `range`.
    pub(super) fn open_in(&self, range: TimeRange) -> Option<&Encoder> {
        self.open().filter(|o| range.meets(o.first_t(), o.last_t()))
    }

    /// The late samples in `range`.
    pub(super) fn late_samples_in(&self, range: TimeRange) -> &[(i64, u64)] {
        let late = self.late();
        let from = late.partition_point(|&(t, _)| t < range.min_t);
        let to = late.partition_point(|&(t, _)| t < range.max_t);
        late.get(from..to).unwrap_or_default()
    }

    /// The same as a chunk.
    pub(super) fn late_in(&self, range: TimeRange) -> Option<Sealed> {
        encode_run(self.late_samples_in(range))
    }

    /// Marks everything before `cut_t` as taken by a cut: the open chunk is sealed if it ends before it, and late
    /// samples become chunks. Calls `found` with the start of each block range concerned, some of them repeatedly.
    pub(crate) fn take(&mut self, cut_t: i64, block_ms: i64, mut found: impl FnMut(i64)) {
        if self.open.last_t() < cut_t {
            self.seal();
        }
        let Some(more) = &mut self.more else { return };
        let old = more.late.partition_point(|&(t, _)| t < cut_t);
        if old > 0 {
            let rest = more.late.split_off(old);
            let old = std::mem::replace(&mut more.late, rest);
            chunks_of(&old, block_ms, |chunk| self.put_sealed(chunk));
        }
        for chunk in self.more.iter_mut().flat_map(|m| &mut m.sealed).filter(|s| s.max_t < cut_t) {
            chunk.is_taken = true;
            found(chunk.min_t.div_euclid(block_ms) * block_ms);
        }
    }

    /// The taken chunks that begin in `[min_t, max_t)`.
    pub(crate) fn taken(&self, min_t: i64, max_t: i64) -> impl Iterator<Item = &Sealed> {
        self.sealed().iter().filter(move |s| s.is_taken && min_t <= s.min_t && s.min_t < max_t)
    }

    /// Ends a cut: taken chunks go if it was published, and stay if it failed.
    pub(crate) fn end_take(&mut self, is_published: bool) {
        let Some(more) = &mut self.more else { return };
        if is_published {
            more.sealed.retain(|s| !s.is_taken);
            more.sealed.shrink_to_fit();
            self.drop_empty();
        } else {
            more.sealed.iter_mut().for_each(|s| s.is_taken = false);
        }
    }

    /// Gives back what is not needed any more.
    pub(super) fn drop_empty(&mut self) {
        if self.more.as_ref().is_some_and(|m| m.sealed.is_empty() && m.late.is_empty()) {
            self.more = None;
        }
    }
}

pub(super) fn seal(open: &Encoder) -> Sealed {
    Sealed {
        min_t: open.first_t(),
        max_t: open.last_t(),
        count: open.count(),
        is_taken: false,
        bytes: open.bytes().into(),
    }
}

/// A chunk of samples that rise in time; `None` of none.
pub(crate) fn encode_run(samples: &[(i64, u64)]) -> Option<Sealed> {
    encode_open(samples).map(|open| seal(&open))
}

/// As [`encode_run`], not yet ended.
pub(super) fn encode_open(samples: &[(i64, u64)]) -> Option<Encoder> {
    let (&(t, bits), rest) = samples.split_first()?;
    let mut chunk = Encoder::new(t, f64::from_bits(bits));
    for &(t, bits) in rest {
        chunk.push(t, f64::from_bits(bits));
    }
    Some(chunk)
}

/// Chunks of about equal size, none across a border of the block length.
pub(super) fn chunks_of(samples: &[(i64, u64)], block_ms: i64, mut each: impl FnMut(Sealed)) {
    for run in samples.chunk_by(|a, b| a.0.div_euclid(block_ms) == b.0.div_euclid(block_ms)) {
        let parts = run.len().div_ceil(CHUNK_SAMPLES_MAX as usize);
        run.chunks(run.len().div_ceil(parts)).filter_map(encode_run).for_each(&mut each);
    }
}

fn find_in(bytes: &[u8], count: u32, t: i64) -> Option<u64> {
    let mut found = None;
    chunk::decode(bytes, count, |there, v| {
        if there == t {
            found = Some(v.to_bits());
        }
        there < t
    });
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const BLOCK: i64 = 1000;

    fn push(s: &mut Series, t: i64, v: f64) -> Verdict {
        s.push(t, v, &mut BlockWindow::new(BLOCK)).0
    }

    fn samples(series: &Series) -> Vec<i64> {
        let range = TimeRange::new(i64::MIN, i64::MAX);
        let mut out = crate::Columns::default();
        let chunks = series.sealed_in(range).cloned().chain(series.open_in(range).map(seal));
        for c in chunks.chain(series.late_in(range)) {
            chunk::decode_into(&c.bytes, c.count, i64::MIN, i64::MAX, &mut out).unwrap();
        }
        out.t.sort();
        out.t
    }

    #[test]
    fn late_samples_are_judged_like_others() {
        let mut s = Series::new(None, 0);
        assert_eq!(push(&mut s, 100, 1.0), Verdict::Accept);
        assert_eq!(push(&mut s, 100, 1.0), Verdict::Duplicate);
        assert_eq!(push(&mut s, 100, -1.0), Verdict::Conflict);
        assert_eq!(push(&mut s, 200, 2.0), Verdict::Accept);
        assert_eq!(push(&mut s, 100, 3.0), Verdict::Conflict);
        assert_eq!(push(&mut s, 50, 1.0), Verdict::Accept);
        assert_eq!(push(&mut s, 50, 2.0), Verdict::Conflict);
        assert_eq!(samples(&s), [50, 100, 200]);
    }

    #[test]
    fn a_cut_takes_what_is_before_it_and_nothing_else() {
        let mut s = Series::new(None, 0);
        for t in [900, 950, 1100, 1900, 2100] {
            push(&mut s, t, 0.0);
        }
        push(&mut s, 1000, 0.0);
        push(&mut s, 2050, 0.0);
        let mut ranges = Vec::new();
        s.take(2000, BLOCK, |start| ranges.push(start));
        assert_eq!(ranges, [0, 1000, 1000]);
        assert_eq!(s.taken(1000, 2000).map(|c| c.count).sum::<u32>(), 3);
        push(&mut s, 1001, 0.0);
        s.end_take(true);
        assert_eq!(samples(&s), [1001, 2050, 2100]);
    }

    #[test]
    fn a_failed_cut_gives_back() {
        let mut s = Series::new(None, 0);
        push(&mut s, 1, 0.0);
        s.take(1000, BLOCK, |_| {});
        s.end_take(false);
        push(&mut s, 2, 0.0);
        assert_eq!(samples(&s), [1, 2]);
        assert_eq!(s.taken(0, 1000).count(), 0);
    }

    #[test]
    fn a_long_open_chunk_is_ended_and_nothing_changes_for_readers() {
        let mut s = Series::new(None, 0);
        (1..=20).for_each(|t| assert_eq!(push(&mut s, t, t as f64 * 0.1), Verdict::Accept));
        let len = s.open.len();
        s.seal_long(len + 1);
        assert_eq!(s.sealed().len(), 0);
        s.seal_long(len);
        assert_eq!((s.sealed().len(), s.open.count(), s.last_t()), (1, 0, 20));
        assert_eq!(push(&mut s, 20, 2.0), Verdict::Duplicate);
        assert_eq!(push(&mut s, 21, 2.1), Verdict::Accept);
        assert_eq!(samples(&s), (1..=21).collect::<Vec<i64>>());
    }

    #[test]
    fn chunks_can_move_elsewhere() {
        let mut s = Series::new(None, 0);
        [1, 2, 1001].into_iter().for_each(|t| assert_eq!(push(&mut s, t, 0.5), Verdict::Accept));
        let ChunkBytes::Heap(old) = s.sealed()[0].bytes.clone() else { panic!("it begins in memory") };
        let (copy, other): (Arc<[u8]>, Arc<[u8]>) = (old[..].into(), old[..].into());
        s.map_sealed(&ChunkBytes::Heap(old.clone()), ChunkBytes::Heap(copy.clone()));
        s.map_sealed(&ChunkBytes::Heap(old), ChunkBytes::Heap(other));
        assert!(matches!(&s.sealed()[0].bytes, ChunkBytes::Heap(now) if Arc::ptr_eq(now, &copy)), "only the same one");
        assert_eq!(samples(&s), [1, 2, 1001]);
    }

    #[test]
    fn a_series_comes_back_from_its_parts() {
        let mut s = Series::new(None, 0);
        [1, 2, 1001, 500].into_iter().for_each(|t| assert_eq!(push(&mut s, t, 0.5), Verdict::Accept));
        let open = s.open().and_then(|o| Encoder::from_parts(o.bytes(), o.parts()));
        let mut copy = Series::new(None, 0);
        copy.restore(s.last_t(), open, s.sealed().to_vec(), s.late().to_vec());
        assert_eq!((samples(&copy), copy.last_t()), (vec![1, 2, 500, 1001], 1001));
        assert_eq!(push(&mut copy, 500, 0.0), Verdict::Conflict);
        assert_eq!(push(&mut copy, 1002, 0.0), Verdict::Accept);
    }
}
