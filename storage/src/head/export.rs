//! The head's side of a snapshot: a page of series as bytes.
//!
//! Here: everything about writing snapshots that must know how the head is laid out.
//! Elsewhere: the way back (`head::import`), frames and files (`snapshot`), why a page may be newer than the snapshot's first segment (`snapshot`).
//!
//! Invariant: what a page says is enough to go on as if nothing had happened: labels, the open chunk with its encoder's
//! state, where sealed chunks are, late samples. Samples that a running cut has taken are left out: blocks have them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Head;
use super::pairs::PairId;
use super::series::{Sealed, Series};
use super::symbols::Symbol;
use crate::SeriesId;
use crate::bytes::{Reader, put_signed, put_str, put_varint};
use crate::chunk::{ChunkBytes, Encoder};
use crate::index::SeriesRef;
use crate::snapshot::chunks::{CHUNK_CRC_BYTES, ChunkFile};

/// Where a sealed chunk is on the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Number of the chunk file.
    pub(crate) file: u64,
    /// Offset in it.
    pub(crate) offset: u64,
}

/// A sealed chunk that a snapshot wrote out.
#[derive(Debug)]
pub(crate) struct Moved {
    series: SeriesRef,
    /// Which chunk; appends may have replaced it since.
    bytes: ChunkBytes,
    /// Offset in the chunk file.
    offset: u64,
}

/// What a reader expects of the next finished chunk of a frame, so that most of them take few bytes: chunks were put into
/// their file in the same order, and series that are scraped together have chunks of the same times.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// File of the last chunk.
    file: u64,
    /// By file: the place after its last chunk.
    next: FxHashMap<u64, u64>,
    /// Time of the first sample of the last series' first chunk.
    pub(super) first_t: i64,
}

impl Expected {
    fn clear(&mut self) {
        self.next.clear();
        (self.file, self.first_t) = (0, 0);
    }

    /// What a place differs by from the one expected, and the length of what is there.
    fn put(&mut self, out: &mut Vec<u8>, at: Place, len: u32) {
        put_signed(out, at.file.wrapping_sub(self.file) as i64);
        put_signed(out, at.offset.wrapping_sub(*self.next.get(&at.file).unwrap_or(&0)) as i64);
        put_varint(out, len.into());
        self.pass(at, len);
    }

    /// The other way round.
    pub(super) fn read(&mut self, r: &mut Reader<'_>) -> Option<(Place, u32)> {
        let file = self.file.wrapping_add(r.signed()? as u64);
        let offset = self.next.get(&file).unwrap_or(&0).wrapping_add(r.signed()? as u64);
        let (at, len) = (Place { file, offset }, u32::try_from(r.varint()?).ok()?);
        self.pass(at, len);
        Some((at, len))
    }

    fn pass(&mut self, at: Place, len: u32) {
        self.file = at.file;
        self.next.insert(at.file, at.offset.wrapping_add(CHUNK_CRC_BYTES as u64).wrapping_add(len.into()));
    }
}

/// What pages came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Exported {
    /// Series.
    pub(crate) series: u64,
    /// Samples.
    pub(crate) samples: u64,
    /// Times of the oldest and the newest sample.
    pub(crate) range: Option<(i64, i64)>,
}

impl Exported {
    /// Counts samples between two times.
    pub(crate) fn count(&mut self, samples: u64, min_t: i64, max_t: i64) {
        self.samples += samples;
        self.range = Some(self.range.map_or((min_t, max_t), |(min, max)| (min.min(min_t), max.max(max_t))));
    }

    /// Adds up two.
    pub(crate) fn add(&mut self, other: Exported) {
        self.series += other.series;
        if let Some((min_t, max_t)) = other.range {
            self.count(other.samples, min_t, max_t);
        }
    }
}

/// Turns pages into bytes; keeps its memory from page to page.
#[derive(Debug, Default)]
pub(crate) struct Exporter {
    symbols: FxHashMap<Symbol, u32>,
    pairs: FxHashMap<PairId, u32>,
    texts: Vec<u8>,
    pair_bytes: Vec<u8>,
    /// Open chunks, apart from what is said about them: alike bytes side by side pack better.
    open: Vec<u8>,
    series: Vec<u8>,
    labels: Vec<PairId>,
    last_labels: Vec<PairId>,
    expected: Expected,
}

impl Exporter {
    /// One page of `head` as the contents of a frame in `out` (replaced). Series from number `ids_end` on are left
    /// out. `place` says where a chunk is or will be, and whether it goes there only now: those are listed in `moved`.
    pub(crate) fn page(
        &mut self,
        head: &Head,
        page: usize,
        ids_end: u64,
        mut place: impl FnMut(&ChunkBytes) -> (Place, bool),
        moved: &mut Vec<Moved>,
        out: &mut Vec<u8>,
    ) -> Exported {
        self.clear();
        let mut done = Exported::default();
        let mut last = (0u64, 0i64);
        for (series, s) in head.page(page).filter(|&(series, _)| u64::from(series) < ids_end) {
            let id = u64::from(series);
            put_varint(&mut self.series, id - last.0);
            self.put_labels(head, series);
            self.series.push(s.open.tag);
            put_signed(&mut self.series, s.last_t().wrapping_sub(last.1));
            last = (id, s.last_t());
            let kept = s.sealed().iter().filter(|c| !c.is_taken);
            put_varint(&mut self.series, kept.clone().count() as u64);
            let mut last_t = None;
            for chunk in kept {
                let (at, is_moved) = place(&chunk.bytes);
                if is_moved {
                    moved.push(Moved { series, bytes: chunk.bytes.clone(), offset: at.offset });
                }
                self.put_sealed(chunk, at, last_t);
                last_t = Some(chunk.max_t);
                done.count(chunk.count.into(), chunk.min_t, chunk.max_t);
            }
            self.put_rest(s, &mut done);
            done.series += 1;
        }
        out.clear();
        put_varint(out, self.symbols.len() as u64);
        out.extend_from_slice(&self.texts);
        put_varint(out, self.pairs.len() as u64);
        out.extend_from_slice(&self.pair_bytes);
        put_varint(out, self.open.len() as u64);
        out.extend_from_slice(&self.open);
        put_varint(out, done.series);
        out.extend_from_slice(&self.series);
        done
    }

    fn clear(&mut self) {
        self.symbols.clear();
        self.pairs.clear();
        self.texts.clear();
        self.pair_bytes.clear();
        self.open.clear();
        self.series.clear();
        self.last_labels.clear();
        self.expected.clear();
    }

    fn put_sealed(&mut self, chunk: &Sealed, at: Place, last_t: Option<i64>) {
        let out = &mut self.series;
        self.expected.put(out, at, chunk.bytes.stored_len());
        put_varint(out, chunk.count.into());
        let expected_t = last_t.unwrap_or_else(|| std::mem::replace(&mut self.expected.first_t, chunk.min_t));
        put_signed(out, chunk.min_t.wrapping_sub(expected_t));
        put_varint(out, chunk.max_t.wrapping_sub(chunk.min_t) as u64);
    }

    /// Series of one target often share all but the first label: those are named once in a row.
    fn put_labels(&mut self, head: &Head, series: SeriesRef) {
        self.labels.clear();
        self.labels.extend(head.pages.pair_ids(series).into_iter().flat_map(|ids| ids.iter()));
        let rest = self.labels.get(1..).unwrap_or_default();
        let is_shared = !rest.is_empty() && self.last_labels.get(1..) == Some(rest);
        put_varint(&mut self.series, (self.labels.len() as u64) << 1 | u64::from(is_shared));
        let named = if is_shared { 1 } else { self.labels.len() };
        for i in 0..named {
            let pair = self.labels[i];
            let number = self.pair(head, pair);
            put_varint(&mut self.series, u64::from(number));
        }
        std::mem::swap(&mut self.labels, &mut self.last_labels);
    }

    fn pair(&mut self, head: &Head, pair: PairId) -> u32 {
        if let Some(&number) = self.pairs.get(&pair) {
            return number;
        }
        let (name, value) = head.pairs.symbols(pair);
        for symbol in [name, value] {
            let number = self.symbol(head, symbol);
            put_varint(&mut self.pair_bytes, u64::from(number));
        }
        let number = self.pairs.len() as u32;
        self.pairs.insert(pair, number);
        number
    }

    fn symbol(&mut self, head: &Head, symbol: Symbol) -> u32 {
        let next = self.symbols.len() as u32;
        *self.symbols.entry(symbol).or_insert_with(|| {
            put_str(&mut self.texts, head.pairs.text(symbol));
            next
        })
    }

    /// The open chunk and the late samples.
    fn put_rest(&mut self, s: &Series, done: &mut Exported) {
        let open = s.open();
        put_varint(&mut self.series, open.map_or(0, |open| u64::from(open.count())));
        if let Some(open) = open {
            put_parts(&mut self.series, open);
            self.open.extend_from_slice(open.bytes());
            done.count(open.count().into(), open.first_t(), open.last_t());
        }
        put_varint(&mut self.series, s.late().len() as u64);
        let mut last_t = 0i64;
        for &(t, bits) in s.late() {
            put_signed(&mut self.series, t.wrapping_sub(last_t));
            self.series.extend_from_slice(&bits.to_le_bytes());
            last_t = t;
            done.count(1, t, t);
        }
    }
}

/// All but the number of samples and the last time, which stand before.
fn put_parts(out: &mut Vec<u8>, open: &Encoder) {
    let parts = open.parts();
    put_varint(out, parts.last_step.into());
    out.extend_from_slice(&[parts.exponent, parts.flags]);
    out.extend_from_slice(&parts.last_bits.to_le_bytes());
    put_varint(out, open.len() as u64);
}

/// The chunk files by number, for chunks that are read back.
pub(crate) type Files = FxHashMap<u64, Arc<ChunkFile>>;

impl Head {
    /// Number of the next new series, and how many pages there are now.
    pub(crate) fn extent(&self) -> (SeriesId, usize) {
        (self.next_id(), self.page_count())
    }

    /// Before a page is written out: ends those of its open chunks that have so many bytes.
    pub(crate) fn seal_long(&mut self, page: usize, bytes_min: usize) {
        self.pages.page_mut(page).for_each(|(_, s)| s.seal_long(bytes_min));
    }

    /// Lets go of chunks on the heap or in a sparse file that `file` has now.
    pub(crate) fn map_chunks(&mut self, moved: &[Moved], file: &Arc<ChunkFile>) {
        for m in moved {
            if let Some(s) = self.pages.get_mut(m.series) {
                let len = m.bytes.stored_len();
                s.map_sealed(&m.bytes, ChunkBytes::Mapped { file: file.clone(), offset: m.offset, len });
            }
        }
    }
}
