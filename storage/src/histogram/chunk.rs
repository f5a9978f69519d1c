//! A run of histograms of one series.
//!
//! Here: records with their times, cut by number and size; a place where one can be opened to append.
//! Elsewhere: one record (`codec`), where the bytes are kept (`head`, `block`, `snapshot`).
//!
//! Invariant: times rise strictly; a chunk needs no other chunk; decoding holds at most [`CHUNK_BUCKETS_MAX`] buckets
//! beyond the last record's, whatever the bytes say.

use super::{Histogram, HistogramColumns, codec};
use crate::bytes::{Reader, put_signed};

/// A chunk of so many histograms is full: about as many as decoding one of them is worth.
pub(crate) const CHUNK_HISTOGRAMS: u32 = 120;
/// A chunk of so many bytes is full.
pub(crate) const CHUNK_BYTES: usize = 16 << 10;
/// A chunk that so many buckets are decoded from is full; this bounds the memory of reading it.
pub(crate) const CHUNK_BUCKETS_MAX: usize = 1 << 18;

/// A chunk that is appended to.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenChunk {
    bytes: Vec<u8>,
    count: u32,
    buckets: usize,
    min_t: i64,
    last_t: i64,
    last_delta: i64,
    last: Histogram,
}

impl OpenChunk {
    /// Adds a valid histogram after the last one. False, and nothing done, if the chunk is full or `t` is not later.
    pub(crate) fn push(&mut self, t: i64, histogram: &Histogram) -> bool {
        let is_first = self.count == 0;
        let is_later = is_first || t > self.last_t;
        let buckets = self.buckets + weight(histogram);
        if !is_later || self.is_full() || (!is_first && buckets > CHUNK_BUCKETS_MAX) {
            return false;
        }
        let delta = if is_first { t } else { t.wrapping_sub(self.last_t) };
        put_signed(&mut self.bytes, delta.wrapping_sub(self.last_delta));
        codec::encode(histogram, (!is_first).then_some(&self.last), &mut self.bytes);
        if is_first {
            self.min_t = t;
        } else {
            self.last_delta = delta;
        }
        self.last_t = t;
        self.last.clone_from(histogram);
        self.count += 1;
        self.buckets = buckets;
        true
    }

    /// Whether nothing more goes in.
    pub(crate) fn is_full(&self) -> bool {
        self.count >= CHUNK_HISTOGRAMS || self.bytes.len() >= CHUNK_BYTES
    }

    /// The bytes so far; with [`OpenChunk::count`] they are a complete chunk at any time.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many histograms.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// First and last time; `None` if there is none.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        (self.count > 0).then_some((self.min_t, self.last_t))
    }

    /// The newest histogram; `None` if there is none.
    pub(crate) fn last(&self) -> Option<(i64, &Histogram)> {
        (self.count > 0).then_some((self.last_t, &self.last))
    }
}

/// A histogram without buckets takes memory too.
fn weight(histogram: &Histogram) -> usize {
    histogram.heap_bytes() / 8
}

/// Appends the histograms of a chunk with `min_t <= t < max_t` to `out`. `None` if the bytes are no chunk of `count`
/// histograms; then `out` holds the good ones before the fault.
pub(crate) fn decode_into(bytes: &[u8], count: u32, min_t: i64, max_t: i64, out: &mut HistogramColumns) -> Option<()> {
    let mut r = Reader::new(bytes);
    let (mut t, mut delta, mut buckets) = (0i64, 0i64, 0usize);
    let mut last: Option<Histogram> = None;
    for at in 0..count {
        delta = delta.wrapping_add(r.signed()?);
        let next = t.wrapping_add(delta);
        if at > 0 && next <= t {
            return None;
        }
        t = next;
        let histogram = codec::decode(&mut r, last.as_ref())?;
        buckets += weight(&histogram);
        if at > 0 && buckets > CHUNK_BUCKETS_MAX {
            return None;
        }
        if at == 0 {
            delta = 0;
        }
        if t >= max_t {
            return Some(());
        }
        if t >= min_t {
            out.push(t, histogram.clone());
        }
        last = Some(histogram);
    }
    r.is_at_end().then_some(())
}
