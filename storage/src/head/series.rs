//! One series of the head.
//!
//! Here: its open chunk, sealed chunks and late samples; accepting a sample; what a cut takes.
//! Elsewhere: finding it (`head::table`), the codec (`chunk`), writing blocks (`cut`).
//!
//! Invariant: a chunk never crosses a border of `block_ms`, so a cut takes whole chunks. The open chunk and the sealed
//! ones that are not late rise in time; late ones may overlap anything, but hold no millisecond twice.

use std::sync::Arc;

use super::symbols::Symbol;
use crate::chunk::{self, ChunkBytes, Encoder};

/// Chunks are sealed at this many samples: an hour at 15 s.
pub(crate) const CHUNK_SAMPLES_MAX: u32 = 240;
/// Or at this size.
pub(crate) const CHUNK_BYTES_MAX: usize = 1024;

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

/// Label pairs in rising order of name, as symbols of the head.
pub(crate) type SymbolPairs = Arc<[(Symbol, Symbol)]>;

/// Labels, samples and little else.
#[derive(Debug)]
pub(crate) struct Series {
    labels: SymbolPairs,
    hash: u32,
    /// Cuts in a row that found it empty.
    pub(crate) idle_cuts: u8,
    /// Newest in-order sample ever seen; older ones are late.
    last_t: i64,
    open: Option<Encoder>,
    sealed: Vec<Sealed>,
    /// Sorted by time.
    #[expect(clippy::box_collection, reason = "few series have any: the box saves sixteen bytes in all others")]
    late: Option<Box<Vec<(i64, u64)>>>,
}

impl Series {
    /// A series without samples.
    pub(crate) fn new(labels: SymbolPairs, hash: u32) -> Self {
        Series { labels, hash, idle_cuts: 0, last_t: i64::MIN, open: None, sealed: Vec::new(), late: None }
    }

    /// Label pairs in rising order of name.
    pub(crate) fn labels(&self) -> &SymbolPairs {
        &self.labels
    }

    /// Hash of its labels.
    pub(crate) fn hash(&self) -> u32 {
        self.hash
    }

    /// What would become of a sample; changes nothing.
    #[inline]
    pub(crate) fn check(&self, t: i64, v: f64) -> Verdict {
        if t > self.last_t { Verdict::Accept } else { self.check_late(t, v.to_bits()) }
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
        if let Some(open) = &self.open
            && open.last_t() == t
        {
            return Some(open.last_bits());
        }
        if let Some(late) = &self.late
            && let Ok(at) = late.binary_search_by_key(&t, |&(t, _)| t)
        {
            return Some(late[at].1);
        }
        let open = self.open.as_ref().filter(|o| o.first_t() <= t && t <= o.last_t());
        let sealed = self.sealed.iter().filter(|s| s.min_t <= t && t <= s.max_t);
        open.and_then(|o| find_in(o.bytes(), o.count(), t))
            .or_else(|| sealed.into_iter().find_map(|s| find_in(&s.bytes, s.count, t)))
    }

    /// Takes a sample. `range_end` gives the end of the block range that holds a time.
    #[inline]
    pub(crate) fn push(&mut self, t: i64, v: f64, block_ms: i64) -> Verdict {
        if t <= self.last_t {
            return self.push_late(t, v);
        }
        match &mut self.open {
            Some(open) if is_room(open, t, block_ms) => open.push(t, v),
            _ => {
                self.seal();
                self.open = Some(Encoder::new(t, v));
            }
        }
        self.last_t = t;
        self.idle_cuts = 0;
        Verdict::Accept
    }

    fn push_late(&mut self, t: i64, v: f64) -> Verdict {
        let verdict = self.check_late(t, v.to_bits());
        if verdict == Verdict::Accept {
            let late = self.late.get_or_insert_default();
            let at = late.partition_point(|&(there, _)| there < t);
            late.insert(at, (t, v.to_bits()));
            self.idle_cuts = 0;
        }
        verdict
    }

    /// Ends the open chunk.
    fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            self.sealed.push(seal(&open));
        }
    }

    /// Number of chunks, the open one included.
    pub(crate) fn chunk_count(&self) -> usize {
        self.sealed.len() + usize::from(self.open.is_some())
    }

    /// Number of samples.
    pub(crate) fn sample_count(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|s| u64::from(s.count)).sum();
        sealed + self.open.as_ref().map_or(0, |o| u64::from(o.count())) + self.late_count()
    }

    /// Number of samples in the late buffer.
    pub(crate) fn late_count(&self) -> u64 {
        self.late.as_ref().map_or(0, |l| l.len() as u64)
    }

    /// Times of the oldest and the newest sample held.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        let sealed = self.sealed.iter().map(|s| (s.min_t, s.max_t));
        let open = self.open.iter().map(|o| (o.first_t(), o.last_t()));
        let late = self.late.iter().filter_map(|l| Some((l.first()?.0, l.last()?.0)));
        sealed.chain(open).chain(late).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The chunks that overlap `[min_t, max_t)`, the open one and the late samples as copies.
    pub(crate) fn snapshot(&self, min_t: i64, max_t: i64, out: &mut Vec<Sealed>) {
        out.extend(self.sealed.iter().filter(|s| s.min_t < max_t && min_t <= s.max_t).cloned());
        if let Some(open) = self.open.as_ref().filter(|o| o.first_t() < max_t && min_t <= o.last_t()) {
            out.push(seal(open));
        }
        if let Some(late) = &self.late {
            let from = late.partition_point(|&(t, _)| t < min_t);
            let to = late.partition_point(|&(t, _)| t < max_t);
            out.extend(encode_run(late.get(from..to).unwrap_or_default()));
        }
    }

    /// Marks everything before `cut_t` as taken by a cut: the open chunk is sealed if it ends before it, and late
    /// samples become chunks. Calls `found` with the start of each block range concerned, some of them repeatedly.
    pub(crate) fn take(&mut self, cut_t: i64, block_ms: i64, mut found: impl FnMut(i64)) {
        if self.open.as_ref().is_some_and(|o| o.last_t() < cut_t) {
            self.seal();
        }
        if let Some(late) = &mut self.late {
            let old = late.partition_point(|&(t, _)| t < cut_t);
            let runs = late[..old].chunk_by(|a, b| a.0.div_euclid(block_ms) == b.0.div_euclid(block_ms));
            self.sealed.extend(runs.flat_map(|run| run.chunks(CHUNK_SAMPLES_MAX as usize)).filter_map(encode_run));
            late.drain(..old);
            if late.is_empty() {
                self.late = None;
            }
        }
        for chunk in self.sealed.iter_mut().filter(|s| s.max_t < cut_t) {
            chunk.is_taken = true;
            found(chunk.min_t.div_euclid(block_ms) * block_ms);
        }
    }

    /// The taken chunks that begin in `[min_t, max_t)`.
    pub(crate) fn taken(&self, min_t: i64, max_t: i64) -> impl Iterator<Item = &Sealed> {
        self.sealed.iter().filter(move |s| s.is_taken && min_t <= s.min_t && s.min_t < max_t)
    }

    /// Ends a cut: taken chunks go if it was published, and stay if it failed.
    pub(crate) fn end_take(&mut self, is_published: bool) {
        if is_published {
            self.sealed.retain(|s| !s.is_taken);
            self.sealed.shrink_to_fit();
        } else {
            self.sealed.iter_mut().for_each(|s| s.is_taken = false);
        }
    }
}

fn is_room(open: &Encoder, t: i64, block_ms: i64) -> bool {
    open.count() < CHUNK_SAMPLES_MAX
        && open.bytes().len() < CHUNK_BYTES_MAX
        && t.div_euclid(block_ms) == open.first_t().div_euclid(block_ms)
}

fn seal(open: &Encoder) -> Sealed {
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
    let (&(t, bits), rest) = samples.split_first()?;
    let mut chunk = Encoder::new(t, f64::from_bits(bits));
    for &(t, bits) in rest {
        chunk.push(t, f64::from_bits(bits));
    }
    Some(seal(&chunk))
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
    use super::*;

    const BLOCK: i64 = 1000;

    fn samples(series: &Series) -> Vec<i64> {
        let mut chunks = Vec::new();
        series.snapshot(i64::MIN, i64::MAX, &mut chunks);
        let mut out = crate::Columns::default();
        for c in &chunks {
            chunk::decode_into(&c.bytes, c.count, i64::MIN, i64::MAX, &mut out).unwrap();
        }
        out.t.sort();
        out.t
    }

    #[test]
    fn late_samples_are_judged_like_others() {
        let mut s = Series::new([].into(), 0);
        assert_eq!(s.push(100, 1.0, BLOCK), Verdict::Accept);
        assert_eq!(s.push(100, 1.0, BLOCK), Verdict::Duplicate);
        assert_eq!(s.push(100, -1.0, BLOCK), Verdict::Conflict);
        assert_eq!(s.push(200, 2.0, BLOCK), Verdict::Accept);
        assert_eq!(s.push(100, 3.0, BLOCK), Verdict::Conflict);
        assert_eq!(s.push(50, 1.0, BLOCK), Verdict::Accept);
        assert_eq!(s.push(50, 2.0, BLOCK), Verdict::Conflict);
        assert_eq!(samples(&s), [50, 100, 200]);
    }

    #[test]
    fn a_cut_takes_what_is_before_it_and_nothing_else() {
        let mut s = Series::new([].into(), 0);
        for t in [900, 950, 1100, 1900, 2100] {
            s.push(t, 0.0, BLOCK);
        }
        s.push(1000, 0.0, BLOCK);
        s.push(2050, 0.0, BLOCK);
        let mut ranges = Vec::new();
        s.take(2000, BLOCK, |start| ranges.push(start));
        assert_eq!(ranges, [0, 1000, 1000]);
        assert_eq!(s.taken(1000, 2000).map(|c| c.count).sum::<u32>(), 3);
        s.push(1001, 0.0, BLOCK);
        s.end_take(true);
        assert_eq!(samples(&s), [1001, 2050, 2100]);
    }

    #[test]
    fn a_failed_cut_gives_back() {
        let mut s = Series::new([].into(), 0);
        s.push(1, 0.0, BLOCK);
        s.take(1000, BLOCK, |_| {});
        s.end_take(false);
        s.push(2, 0.0, BLOCK);
        assert_eq!(samples(&s), [1, 2]);
        assert_eq!(s.taken(0, 1000).count(), 0);
    }
}
