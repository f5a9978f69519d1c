//! The directory of a block: label names, and where all pages are.
//!
//! Here: writing and reading it. It is the only part of the index that stays in memory.
//! Elsewhere: the pages themselves (`series`, `lists`, `pairs`, `block::data`).
//!
//! Invariant: places are as they were read; whether a page is there shows when it is asked for.

use super::pairs::ROWS;
use super::series::SERIES;
use crate::bytes::{Reader, put_signed, put_str, put_varint};

/// What is where.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    /// Number of series.
    pub(crate) series: u32,
    /// Label names, rising.
    pub(crate) names: Vec<Box<str>>,
    /// First row of each name, and the number of rows.
    pub(crate) first_rows: Vec<u32>,
    /// Pages of series: places in the index file.
    pub(crate) series_pages: Vec<u64>,
    /// Pages of lists: places in the index file.
    pub(crate) list_pages: Vec<u64>,
    /// Pages of pairs: places in the index file.
    pub(crate) pairs_pages: Vec<u64>,
    /// The first value on each page of pairs.
    pub(crate) first_values: Vec<Box<str>>,
    /// Pages of the chunks file: places by number.
    pub(crate) data_pages: Vec<u64>,
    /// Pages of times: number among the data pages, and number of columns before.
    pub(crate) time_pages: Vec<(u32, u32)>,
    /// Number of columns of times.
    pub(crate) columns: u32,
}

impl Directory {
    /// Its sections.
    pub(crate) fn encode(&self) -> [Vec<u8>; 2] {
        let (mut texts, mut places) = (Vec::new(), Vec::new());
        put_varint(&mut texts, u64::from(self.series));
        put_varint(&mut texts, self.names.len() as u64);
        for (name, rows) in self.names.iter().zip(self.first_rows.windows(2)) {
            put_str(&mut texts, name);
            put_varint(&mut texts, u64::from(rows[1] - rows[0]));
        }
        self.first_values.iter().for_each(|value| put_str(&mut texts, value));
        for list in [&self.series_pages, &self.list_pages, &self.pairs_pages, &self.data_pages] {
            put_varint(&mut places, list.len() as u64);
            let mut last = 0u64;
            for &at in list {
                put_signed(&mut places, at.wrapping_sub(last) as i64);
                last = at;
            }
        }
        put_varint(&mut places, self.time_pages.len() as u64);
        let ends = self.time_pages.iter().skip(1).map(|&(_, first)| first).chain([self.columns]);
        for (&(page, first), end) in self.time_pages.iter().zip(ends) {
            put_varint(&mut places, u64::from(page));
            put_varint(&mut places, u64::from(end - first));
        }
        [texts, places]
    }

    /// From its sections.
    pub(crate) fn decode(sections: &[Vec<u8>]) -> Option<Directory> {
        let [texts, places] = sections else { return None };
        let mut r = Reader::new(texts);
        let mut out = Directory { series: u32::try_from(r.varint()?).ok()?, ..Directory::default() };
        let mut rows = 0u32;
        for _ in 0..r.count(2)? {
            out.names.push(r.str()?.into());
            out.first_rows.push(rows);
            rows = rows.checked_add(u32::try_from(r.varint()?).ok()?)?;
        }
        out.first_rows.push(rows);
        while !r.is_at_end() {
            out.first_values.push(r.str()?.into());
        }
        let mut r = Reader::new(places);
        out.series_pages = read_places(&mut r)?;
        out.list_pages = read_places(&mut r)?;
        out.pairs_pages = read_places(&mut r)?;
        out.data_pages = read_places(&mut r)?;
        for _ in 0..r.count(2)? {
            let page = u32::try_from(r.varint()?).ok()?;
            out.time_pages.push((page, out.columns));
            out.columns = out.columns.checked_add(u32::try_from(r.varint()?).ok()?)?;
        }
        (r.is_at_end() && out.is_sound(rows as usize)).then_some(out)
    }

    fn is_sound(&self, rows: usize) -> bool {
        self.names.windows(2).all(|w| w[0] < w[1])
            && self.series_pages.len() == (self.series as usize).div_ceil(SERIES)
            && self.pairs_pages.len() == rows.div_ceil(ROWS)
            && self.first_values.len() == self.pairs_pages.len()
    }

    /// The page of times on which a column is, and its number there.
    pub(crate) fn time_page(&self, column: u32) -> Option<(u32, u32)> {
        let at = self.time_pages.partition_point(|&(_, first)| first <= column).checked_sub(1)?;
        let (page, first) = self.time_pages[at];
        (column < self.columns).then_some((page, column - first))
    }

    /// Bytes in memory, roughly.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let places = self.series_pages.len() + self.list_pages.len() + self.pairs_pages.len() + self.data_pages.len();
        places * 8 + self.first_values.iter().map(|v| v.len() + 16).sum::<usize>() + self.time_pages.len() * 8
    }
}

fn read_places(r: &mut Reader<'_>) -> Option<Vec<u64>> {
    let count = r.count(1)?;
    let mut out = Vec::with_capacity(count);
    let mut at = 0u64;
    for _ in 0..count {
        at = at.wrapping_add(r.signed()? as u64);
        out.push(at);
    }
    Some(out)
}
