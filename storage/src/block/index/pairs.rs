//! Pages of label pairs: values of each name in rising order, and where their lists of series are.
//!
//! Here: writing and reading one page.
//! Elsewhere: which rows belong to which name (`directory`), the lists (`lists`).
//!
//! Invariant: a row's place is its number: page `row / ROWS`, so a pair's text is found without a search.

use super::lists::Growing;
use crate::bytes::{Reader, put_varint};

/// Rows of one page.
pub(crate) const ROWS: usize = 256;
/// Values are no longer than this; the server's limit is far lower.
const TEXT_BYTES_MAX: usize = 1 << 24;

/// Where a pair's series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListPlace {
    /// There is one only: this.
    One(u32),
    /// A number of series, and place of their list: number of the page of lists, place and length in it.
    Many { count: u32, page: u32, offset: u32, len: u32 },
}

impl ListPlace {
    /// Number of series.
    pub(crate) fn count(&self) -> usize {
        match *self {
            ListPlace::One(_) => 1,
            ListPlace::Many { count, .. } => count as usize,
        }
    }
}

/// A page being written.
#[derive(Debug, Default)]
pub(crate) struct PairsWriter {
    texts: Vec<u8>,
    places: Vec<u8>,
    rows: usize,
    last: String,
    /// Page of lists, and the place in it, at which the last list ended.
    end: (u32, u32),
}

impl PairsWriter {
    /// Adds a row whose list lies at `place`.
    pub(crate) fn push(&mut self, value: &str, list: &Growing, place: Option<(u32, u32, u32)>) {
        let shared = self.last.bytes().zip(value.bytes()).take_while(|(a, b)| a == b).count();
        put_varint(&mut self.texts, shared as u64);
        put_varint(&mut self.texts, (value.len() - shared) as u64);
        self.texts.extend_from_slice(&value.as_bytes()[shared..]);
        self.last.clear();
        self.last.push_str(value);
        put_varint(&mut self.places, u64::from(list.count));
        match place {
            None => put_varint(&mut self.places, u64::from(list.single().unwrap_or(0))),
            Some((page, offset, len)) => {
                let follows = (page, offset) == self.end;
                put_varint(&mut self.places, u64::from(len) << 1 | u64::from(!follows));
                if !follows {
                    put_varint(&mut self.places, u64::from(page));
                    put_varint(&mut self.places, u64::from(offset));
                }
                self.end = (page, offset + len);
            }
        }
        self.rows += 1;
    }

    /// Whether it has all its rows.
    pub(crate) fn is_full(&self) -> bool {
        self.rows == ROWS
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Its sections.
    pub(crate) fn sections(&self) -> [&[u8]; 2] {
        [&self.texts, &self.places]
    }
}

/// A page taken apart.
#[derive(Debug)]
pub(crate) struct PairsPage {
    text: String,
    ends: Vec<u32>,
    places: Vec<ListPlace>,
}

impl PairsPage {
    /// From its sections; no series is `limit` or more.
    pub(crate) fn parse(sections: &[Vec<u8>], limit: u32) -> Option<PairsPage> {
        let [texts, places] = sections else { return None };
        let (text, ends) = read_texts(texts)?;
        let places = read_places(places, ends.len(), limit)?;
        Some(PairsPage { text, ends, places })
    }

    /// Rows in it.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * 4 + self.places.len() * size_of::<ListPlace>()
    }

    /// The value of a row of this page.
    pub(crate) fn value(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)? as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        self.text.get(start..end)
    }

    /// Where the series of a row of this page are.
    pub(crate) fn place(&self, at: usize) -> Option<ListPlace> {
        self.places.get(at).copied()
    }
}

fn read_texts(bytes: &[u8]) -> Option<(String, Vec<u32>)> {
    let mut r = Reader::new(bytes);
    let (mut text, mut ends) = (Vec::new(), Vec::new());
    let mut start = 0usize;
    while !r.is_at_end() {
        let shared = usize::try_from(r.varint()?).ok()?;
        let len = r.count(1)?;
        let last_start = start;
        start = text.len();
        // Front coding can make much of little: what one page expands to has a limit, too.
        if ends.len() == ROWS || shared > start - last_start || start + shared + len > TEXT_BYTES_MAX {
            return None;
        }
        text.extend_from_within(last_start..last_start + shared);
        text.extend_from_slice(r.bytes(len)?);
        ends.push(text.len() as u32);
    }
    Some((String::from_utf8(text).ok()?, ends))
}

fn read_places(bytes: &[u8], rows: usize, limit: u32) -> Option<Vec<ListPlace>> {
    let mut r = Reader::new(bytes);
    let small = |r: &mut Reader<'_>| u32::try_from(r.varint()?).ok();
    let mut places = Vec::with_capacity(rows);
    let (mut page, mut offset) = (0u32, 0u32);
    for _ in 0..rows {
        let count = small(&mut r)?;
        if count == 0 || count > limit {
            return None;
        }
        if count == 1 {
            places.push(ListPlace::One(small(&mut r).filter(|&series| series < limit)?));
            continue;
        }
        let code = r.varint()?;
        if code & 1 == 1 {
            (page, offset) = (small(&mut r)?, small(&mut r)?);
        }
        let len = u32::try_from(code >> 1).ok()?;
        places.push(ListPlace::Many { count, page, offset, len });
        offset = offset.checked_add(len)?;
    }
    r.is_at_end().then_some(places)
}
