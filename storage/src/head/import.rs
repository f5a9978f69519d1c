//! The head's side of a snapshot: from bytes back to series.
//!
//! Here: reading a frame of series, for which no head is needed, so that another thread can do it ([`Page`]); and
//! putting what was read into the head ([`Importer`]).
//! Elsewhere: what the bytes are (`head::export`), frames and threads (`snapshot::load`).
//!
//! Invariant: the series of a frame up to its first fault come in, whoever finds the fault.

use super::Head;
use super::export::{Expected, Exported, Files, Place};
use super::pairs::PairId;
use super::series::{Sealed, Series};
use crate::bytes::Reader;
use crate::chunk::{ChunkBytes, Encoder, Parts};
use crate::index::SeriesRef;

/// The series of one frame, not yet in the head. Keep and reuse it.
#[derive(Debug, Default)]
pub(crate) struct Page {
    series: Vec<Restored>,
    /// Places in the frame's table of pairs, as they are named for one series after the other.
    places: Vec<u32>,
    /// Everything after these could be read, too.
    is_whole: bool,
}

/// A series without its labels.
#[derive(Debug)]
struct Restored {
    id: u64,
    /// How many of the page's places are its.
    named_count: usize,
    /// Only its first pair is named; the others are those of the series before it.
    is_shared: bool,
    idle_cuts: u8,
    last_t: i64,
    open: Option<Encoder>,
    sealed: Vec<Sealed>,
    late: Vec<(i64, u64)>,
    count: Count,
}

/// What a series adds to the head's sums.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    chunks: u64,
    samples: u64,
    /// Samples from before the last cut.
    old: u64,
    range: Option<(i64, i64)>,
}

impl Page {
    /// Reads a frame's contents, replacing what is here. `cut_t` is the end of the head's last cut.
    pub(crate) fn read(&mut self, contents: &[u8], files: &Files, cut_t: i64) {
        self.series.clear();
        self.places.clear();
        self.is_whole = self.read_series(contents, files, cut_t).is_some();
    }

    fn read_series(&mut self, contents: &[u8], files: &Files, cut_t: i64) -> Option<()> {
        let mut r = Reader::new(contents);
        read_pairs(&mut r)?;
        let len = r.count(1)?;
        let mut chunks = Reader::new(r.bytes(len)?);
        let mut expected = Expected::default();
        let (mut id, mut last_t, mut pair_count) = (0u64, 0i64, 0);
        for _ in 0..r.count(6)? {
            id = id.checked_add(r.varint()?)?;
            let start = self.places.len();
            let is_shared = self.read_labels(&mut r, &mut pair_count)?;
            let named_count = self.places.len() - start;
            let idle_cuts = r.u8()?;
            last_t = last_t.wrapping_add(r.signed()?);
            let sealed = read_sealed(&mut r, &mut expected, files)?;
            let count = u16::try_from(r.varint()?).ok()?;
            let open = if count == 0 { None } else { Some(read_open(&mut r, &mut chunks, count, last_t)?) };
            let late = read_late(&mut r)?;
            let count = Count::of(open.as_ref(), &sealed, &late, cut_t);
            self.series.push(Restored { id, named_count, is_shared, idle_cuts, last_t, open, sealed, late, count });
        }
        (r.is_at_end() && chunks.is_at_end()).then_some(())
    }

    /// The places of a series' pairs, and whether it shares all but the first with the one before it, which has
    /// `last_count`: that is replaced.
    fn read_labels(&mut self, r: &mut Reader<'_>, last_count: &mut usize) -> Option<bool> {
        let shape = r.varint()?;
        let count = usize::try_from(shape >> 1).ok()?;
        let is_shared = shape & 1 != 0;
        if is_shared && (count != *last_count || count == 0) || count > r.remaining() {
            return None;
        }
        *last_count = count;
        for _ in 0..if is_shared { 1 } else { count } {
            self.places.push(u32::try_from(r.varint()?).ok()?);
        }
        Some(is_shared)
    }
}

impl Count {
    fn of(open: Option<&Encoder>, sealed: &[Sealed], late: &[(i64, u64)], cut_t: i64) -> Self {
        let mut count = Count::default();
        let mut add = |samples: u64, min_t: i64, max_t: i64, is_old: bool| {
            count.samples += samples;
            count.old += if is_old { samples } else { 0 };
            count.range = Some(count.range.map_or((min_t, max_t), |(min, max)| (min.min(min_t), max.max(max_t))));
        };
        sealed.iter().for_each(|c| add(c.count.into(), c.min_t, c.max_t, c.max_t < cut_t));
        late.iter().for_each(|&(t, _)| add(1, t, t, t < cut_t));
        if let Some(open) = open {
            add(open.count().into(), open.first_t(), open.last_t(), false);
        }
        count.chunks = sealed.len() as u64 + u64::from(open.is_some());
        count
    }
}

/// Puts pages into the head; keeps its memory from page to page.
#[derive(Debug, Default)]
pub(crate) struct Importer {
    /// Numbers in the head of the frame's pairs, once a series has used them.
    ids: Vec<Option<PairId>>,
    /// The series' label pairs, and the places of them in the frame.
    labels: Vec<PairId>,
    places: Vec<u32>,
    /// One more than the last series' number.
    next: u64,
    /// What came in.
    pub(crate) done: Exported,
}

impl Importer {
    /// Adds the series of a page, read from `contents`, to `head`, which has no newer ones. `None` if the bytes are not
    /// such a frame; series before the fault have been added then.
    pub(crate) fn page(&mut self, head: &mut Head, contents: &[u8], page: &mut Page) -> Option<()> {
        let pairs = read_pairs(&mut Reader::new(contents))?;
        self.ids.clear();
        self.ids.resize(pairs.len(), None);
        let mut places = page.places.as_slice();
        for restored in page.series.drain(..) {
            let (named, rest) = places.split_at_checked(restored.named_count)?;
            places = rest;
            if restored.is_shared {
                *self.places.first_mut()? = *named.first()?;
            } else {
                self.places.clear();
                self.places.extend_from_slice(named);
            }
            let s = self.insert(head, restored.id, &pairs)?;
            s.restore(restored.last_t, restored.open, restored.sealed, restored.late);
            s.open.tag = restored.idle_cuts;
            self.count(head, restored.count);
        }
        page.is_whole.then_some(())
    }

    /// The new series under its number.
    fn insert<'a>(&mut self, head: &'a mut Head, id: u64, pairs: &[(&str, &str)]) -> Option<&'a mut Series> {
        let series = SeriesRef::try_from(id).ok().filter(|&series| id >= self.next && series < SeriesRef::MAX)?;
        self.labels.clear();
        for &place in &self.places {
            let known = self.ids.get_mut(place as usize)?;
            let pair = match *known {
                Some(pair) => {
                    head.pairs.insert_known(pair, series);
                    pair
                }
                None => {
                    let (name, value) = *pairs.get(place as usize)?;
                    *known.insert(head.pairs.insert(name, value, series))
                }
            };
            self.labels.push(pair);
        }
        self.next = id + 1;
        head.pages.insert(series, &self.labels);
        head.by_labels.insert(head.by_labels.hash_ids(self.labels.iter().copied()), series);
        head.pages.get_mut(series)
    }

    fn count(&mut self, head: &mut Head, count: Count) {
        self.done.series += 1;
        head.chunks += count.chunks;
        head.samples += count.samples;
        head.old += count.old;
        if let Some((min_t, max_t)) = count.range {
            self.done.count(count.samples, min_t, max_t);
            head.range = self.done.range;
        }
    }
}

/// The frame's table of label pairs.
fn read_pairs<'a>(r: &mut Reader<'a>) -> Option<Vec<(&'a str, &'a str)>> {
    let mut texts = Vec::new();
    for _ in 0..r.count(1)? {
        texts.push(r.str()?);
    }
    let mut pairs = Vec::new();
    for _ in 0..r.count(2)? {
        let mut text = || texts.get(usize::try_from(r.varint()?).ok()?).copied();
        pairs.push((text()?, text()?));
    }
    Some(pairs)
}

fn read_open(r: &mut Reader<'_>, chunks: &mut Reader<'_>, count: u16, last_t: i64) -> Option<Encoder> {
    let last_step = u32::try_from(r.varint()?).ok()?;
    let (exponent, flags, last_bits) = (r.u8()?, r.u8()?, r.u64()?);
    let len = usize::try_from(r.varint()?).ok()?;
    Encoder::from_parts(chunks.bytes(len)?, Parts { count, last_t, last_bits, last_step, exponent, flags })
}

/// Chunks whose file is not there are left out: the sum of samples tells.
fn read_sealed(r: &mut Reader<'_>, expected: &mut Expected, files: &Files) -> Option<Vec<Sealed>> {
    let count = r.count(6)?;
    let mut found = Vec::with_capacity(count);
    let mut last_t = None;
    for _ in 0..count {
        let (Place { file, offset }, len) = expected.read(r)?;
        let count = u32::try_from(r.varint()?).ok()?;
        let min_t = last_t.unwrap_or(expected.first_t).wrapping_add(r.signed()?);
        if last_t.is_none() {
            expected.first_t = min_t;
        }
        let max_t = min_t.wrapping_add(r.varint()? as i64);
        last_t = Some(max_t);
        if let Some(file) = files.get(&file) {
            let bytes = ChunkBytes::Mapped { file: file.clone(), offset, len };
            found.push(Sealed { min_t, max_t, count, is_taken: false, bytes });
        }
    }
    Some(found)
}

fn read_late(r: &mut Reader<'_>) -> Option<Vec<(i64, u64)>> {
    let count = r.count(9)?;
    let mut late = Vec::with_capacity(count);
    let mut t = 0i64;
    for _ in 0..count {
        t = t.wrapping_add(r.signed()?);
        late.push((t, r.u64()?));
    }
    Some(late)
}

impl Head {
    /// Before series come from a snapshot: the end of its last cut, and how many series there will be.
    pub(crate) fn begin_load(&mut self, cut_t: i64, series: usize) {
        self.cut_t = cut_t;
        self.by_labels.reserve(series);
    }
}
