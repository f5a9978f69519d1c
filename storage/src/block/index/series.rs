//! Pages of series: labels as pair numbers, and chunks.
//!
//! Here: writing and reading one page, column by column: what belongs to one label name stands together.
//! Elsewhere: the pairs' texts (`pairs`), the chunks' contents (`block::data`).
//!
//! Invariant: the chunks of a series rise and are disjoint, floats before blobs; the names of its labels rise.

use rustc_hash::FxHashMap;

use crate::block::data::{CLASS_BLOBS, CLASS_CONSTANT, CLASS_VALUES, CLASSES, ChunkRef, Place, is_count};
use crate::bytes::{Reader, put_signed, put_varint, zigzag};
use crate::column::{ints, values};

/// Series of one page.
pub(crate) const SERIES: usize = 256;

/// A label as number of its name and number of its row.
pub(crate) type Pair = (u32, u32);

/// The chunks of the series of one page, while they come.
#[derive(Debug, Default)]
pub(crate) struct ChunksWriter {
    counts: Vec<u8>,
    classes: Vec<u8>,
    times: Vec<u8>,
    places: Vec<u8>,
    constants: Vec<u8>,
    table: Vec<u8>,
    known: FxHashMap<TimesKey, u32>,
    last: (i64, u32),
    /// By class: page and slot of the last chunk.
    last_places: [Option<(u32, u32)>; CLASSES],
}

/// Column, place in it, count: the rest follows from these.
type TimesKey = (u32, u32, u32);

impl ChunksWriter {
    /// Adds the next series' chunks.
    pub(crate) fn push(&mut self, chunks: &[ChunkRef]) {
        put_varint(&mut self.counts, chunks.len() as u64);
        for chunk in chunks {
            let class = chunk.class();
            self.classes.push(class);
            self.push_times(chunk);
            match chunk.place {
                Place::Constant(bits) => values::put_one(&mut self.constants, bits),
                Place::Values { page, slot, .. } | Place::Blobs { page, slot } => self.push_place(class, page, slot),
            }
        }
    }

    fn push_times(&mut self, chunk: &ChunkRef) {
        let next = self.known.len() as u32;
        let number = *self.known.entry((chunk.column, chunk.start, chunk.count)).or_insert(next);
        put_varint(&mut self.times, u64::from(number));
        if number == next {
            put_signed(&mut self.table, i64::from(chunk.column) - i64::from(self.last.1));
            put_varint(&mut self.table, u64::from(chunk.start));
            put_varint(&mut self.table, u64::from(chunk.count));
            put_signed(&mut self.table, chunk.min_t.wrapping_sub(self.last.0));
            put_varint(&mut self.table, chunk.max_t.wrapping_sub(chunk.min_t) as u64);
            self.last = (chunk.min_t, chunk.column);
        }
    }

    /// 0: the slot after the last one of the class. Else the page's distance from the last one, and the slot.
    fn push_place(&mut self, class: u8, page: u32, slot: u32) {
        let last = self.last_places[usize::from(class)].replace((page, slot));
        if last.is_some_and(|(p, s)| p == page && slot == s + 1) {
            self.places.push(0);
            return;
        }
        let last_page = last.map_or(0, |(p, _)| p);
        put_varint(&mut self.places, 1 + zigzag(i64::from(page) - i64::from(last_page)));
        put_varint(&mut self.places, u64::from(slot));
    }

    /// The section: number of rows of the table of times, then all columns, one behind the other.
    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.known.len() as u64);
        for column in [&self.table, &self.counts, &self.classes, &self.times, &self.places, &self.constants] {
            out.extend_from_slice(column);
        }
        out
    }
}

/// The section of labels of one page. `first_rows` are the first rows of the names.
pub(crate) fn encode_labels(series: &[Vec<Pair>], first_rows: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut shapes: Vec<Vec<u32>> = Vec::new();
    let mut which = Vec::new();
    let mut columns: std::collections::BTreeMap<u32, Vec<i64>> = std::collections::BTreeMap::new();
    for labels in series {
        let shape: Vec<u32> = labels.iter().map(|&(name, _)| name).collect();
        let found = shapes.iter().rposition(|s| *s == shape);
        which.push(found.unwrap_or(shapes.len()) as u64);
        if found.is_none() {
            shapes.push(shape);
        }
        for &(name, row) in labels {
            columns.entry(name).or_default().push(i64::from(row - first_rows[name as usize]));
        }
    }
    put_varint(&mut out, series.len() as u64);
    put_varint(&mut out, shapes.len() as u64);
    for shape in &shapes {
        put_varint(&mut out, shape.len() as u64);
        shape.iter().for_each(|&name| put_varint(&mut out, u64::from(name)));
    }
    which.into_iter().for_each(|shape| put_varint(&mut out, shape));
    for column in columns.values() {
        let encoded = ints::encode(column, ints::Nature::Numbers);
        put_varint(&mut out, encoded.head.len() as u64);
        out.extend_from_slice(&encoded.head);
        out.extend_from_slice(&encoded.planes);
    }
    out
}

/// A page taken apart.
#[derive(Debug)]
pub(crate) struct SeriesPage {
    pairs: Vec<Pair>,
    chunks: Vec<ChunkRef>,
    /// Ends in `pairs` and `chunks`.
    ends: Vec<(u32, u32)>,
}

impl SeriesPage {
    /// From its sections. `first_rows` are the first rows of the names, and the end of the last.
    pub(crate) fn parse(sections: &[Vec<u8>], first_rows: &[u32]) -> Option<SeriesPage> {
        let [labels, chunks] = sections else { return None };
        let (pairs, label_ends) = read_labels(labels, first_rows)?;
        let (chunks, chunk_ends) = read_chunks(chunks, label_ends.len())?;
        Some(SeriesPage { pairs, chunks, ends: label_ends.into_iter().zip(chunk_ends).collect() })
    }

    /// Series in it.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.pairs.len() * size_of::<Pair>() + self.chunks.len() * size_of::<ChunkRef>() + self.ends.len() * 8
    }

    /// Labels and chunks of a series of this page.
    pub(crate) fn series(&self, at: usize) -> Option<(&[Pair], &[ChunkRef])> {
        let (pairs, chunks) = *self.ends.get(at)?;
        let (first_pair, first_chunk) = if at == 0 { (0, 0) } else { self.ends[at - 1] };
        Some((
            self.pairs.get(first_pair as usize..pairs as usize)?,
            self.chunks.get(first_chunk as usize..chunks as usize)?,
        ))
    }
}

fn read_labels(bytes: &[u8], first_rows: &[u32]) -> Option<(Vec<Pair>, Vec<u32>)> {
    let mut r = Reader::new(bytes);
    let small = |r: &mut Reader<'_>| u32::try_from(r.varint()?).ok();
    let count = r.count(1).filter(|&n| n <= SERIES)?;
    let names = first_rows.len().checked_sub(1)?;
    let mut shapes = Vec::new();
    for _ in 0..r.count(1)? {
        let mut shape = Vec::new();
        for _ in 0..r.count(1)? {
            shape.push(small(&mut r).filter(|&name| (name as usize) < names)?);
        }
        if shape.windows(2).any(|w| w[0] >= w[1]) {
            return None;
        }
        shapes.push(shape);
    }
    let (mut pairs, mut ends) = (Vec::new(), Vec::with_capacity(count));
    for _ in 0..count {
        let shape: &Vec<u32> = shapes.get(small(&mut r)? as usize)?;
        pairs.extend(shape.iter().map(|&name| (name, 0)));
        ends.push(pairs.len() as u32);
    }
    let mut by_name: std::collections::BTreeMap<u32, Vec<u32>> = std::collections::BTreeMap::new();
    for (at, &(name, _)) in pairs.iter().enumerate() {
        by_name.entry(name).or_default().push(at as u32);
    }
    let mut numbers = Vec::new();
    for (name, places) in by_name {
        let head_len = r.count(1)?;
        let head = r.bytes(head_len)?;
        let planes = r.bytes(ints::width(head)?.checked_mul(places.len() - 1)?)?;
        let planes: Vec<&[u8]> = if planes.is_empty() { Vec::new() } else { planes.chunks(places.len() - 1).collect() };
        ints::decode(&mut Reader::new(head), &planes, places.len(), &mut numbers)?;
        let (first, end) = (first_rows[name as usize], first_rows[name as usize + 1]);
        for (&at, &number) in places.iter().zip(&numbers) {
            let row = u32::try_from(number).ok()?.checked_add(first).filter(|&row| row < end)?;
            pairs[at as usize].1 = row;
        }
    }
    r.is_at_end().then_some((pairs, ends))
}

/// Column, place in it, count, first and last time.
type TimesRow = (u32, u32, u32, i64, i64);

fn read_chunks(bytes: &[u8], series: usize) -> Option<(Vec<ChunkRef>, Vec<u32>)> {
    let mut r = Reader::new(bytes);
    let table = read_times(&mut r)?;
    let mut ends = Vec::with_capacity(series);
    let mut total = 0u32;
    for _ in 0..series {
        total = total.checked_add(u32::try_from(r.varint()?).ok()?)?;
        ends.push(total);
    }
    let classes = r.bytes(total as usize)?;
    let mut chunks = Vec::with_capacity(classes.len());
    for _ in classes {
        let row = usize::try_from(r.varint()?).ok()?;
        let &(column, start, count, min_t, max_t) = table.get(row)?;
        chunks.push(ChunkRef { min_t, max_t, count, column, start, place: Place::Constant(0) });
    }
    let mut last_places = [(0u32, 0u32); CLASSES];
    for (chunk, &class) in chunks.iter_mut().zip(classes).filter(|&(_, &class)| class != CLASS_CONSTANT) {
        let last = last_places.get_mut(usize::from(class))?;
        *last = read_place(&mut r, *last)?;
        let (page, slot) = *last;
        chunk.place = match class {
            CLASS_BLOBS => Place::Blobs { page, slot },
            _ => Place::Values { page, slot, width: class - CLASS_VALUES },
        };
    }
    for (chunk, _) in chunks.iter_mut().zip(classes).filter(|&(_, &class)| class == CLASS_CONSTANT) {
        chunk.place = Place::Constant(values::read_one(&mut r)?);
    }
    let mut start = 0;
    for &end in &ends {
        let of_one = chunks.get(start as usize..end as usize)?;
        let rises = |w: &[ChunkRef]| w[0].max_t < w[1].min_t || (!w[0].is_blobs() && w[1].is_blobs());
        if !of_one.windows(2).all(rises) {
            return None;
        }
        start = end;
    }
    r.is_at_end().then_some((chunks, ends))
}

fn read_times(r: &mut Reader<'_>) -> Option<Vec<TimesRow>> {
    let mut table: Vec<TimesRow> = Vec::new();
    let (mut last_t, mut last_column) = (0i64, 0i64);
    for _ in 0..r.count(5)? {
        last_column = last_column.checked_add(r.signed()?)?;
        let column = u32::try_from(last_column).ok()?;
        let start = u32::try_from(r.varint()?).ok()?;
        let count = r.varint().filter(|&count| is_count(count))? as u32;
        last_t = last_t.wrapping_add(r.signed()?);
        table.push((column, start, count, last_t, last_t.checked_add_unsigned(r.varint()?)?));
    }
    Some(table)
}

fn read_place(r: &mut Reader<'_>, (page, slot): (u32, u32)) -> Option<(u32, u32)> {
    match r.varint()? {
        0 => Some((page, slot.checked_add(1)?)),
        code => {
            let page = i64::from(page).checked_add(crate::bytes::unzigzag(code - 1))?;
            Some((u32::try_from(page).ok()?, u32::try_from(r.varint()?).ok()?))
        }
    }
}
