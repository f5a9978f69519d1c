//! Reading a block's index where it lies in the map.
//!
//! Here: symbols, series entries and postings of an index file.
//! Elsewhere: writing it (`block::writer`), combining lists (`index`).
//!
//! Invariant: nothing is answered before every section's checksum held once; even then all access is checked.

use std::path::PathBuf;

use super::ChunkRef;
use super::writer::{FILE_HEADER_BYTES, INDEX_FOOTER_BYTES, INDEX_MAGIC, PAIR_ROW_BYTES, file_header};
use crate::Labels;
use crate::bytes::Reader;
use crate::index::{Damage, LabelIndex, SeriesRef, union};
use crate::mmap::Mapped;

/// An index file with its sections located.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    map: Mapped,
    sections: [Section; 3],
    symbol_count: usize,
    series_count: usize,
    pair_count: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Section {
    start: usize,
    end: usize,
    crc: u32,
}

const SYMBOLS: usize = 0;
const SERIES: usize = 1;
const POSTINGS: usize = 2;
const SECTION_NAMES: [&str; 3] = ["symbols", "series", "postings"];

/// A series: labels as symbols, and chunks.
pub(crate) type Entry = (Vec<(u32, u32)>, Vec<ChunkRef>);

/// One row of the pairs' table.
struct Pair {
    name: u32,
    value: u32,
    offset: usize,
    count: usize,
}

impl Index {
    /// Locates the sections; reads the header and the footer only.
    pub(crate) fn open(path: PathBuf, map: Mapped) -> Result<Index, Damage> {
        match locate(map.bytes()) {
            Some((sections, [symbols, series, pairs])) => Ok(Index {
                path,
                map,
                sections,
                symbol_count: symbols as usize,
                series_count: series as usize,
                pair_count: pairs as usize,
            }),
            None => Err(Damage(format!("{}: header or footer is damaged", path.display()))),
        }
    }

    /// Checks every section's checksum: once for each open block, at its first use.
    pub(crate) fn verify(&self) -> Result<(), Damage> {
        for (i, section) in self.sections.iter().enumerate() {
            let found = crc32fast::hash(self.section(i));
            if found != section.crc {
                return Err(self.damage(format!(
                    "the {} are damaged (crc {found:#010x}, expected {:#010x})",
                    SECTION_NAMES[i], section.crc
                )));
            }
        }
        Ok(())
    }

    fn damage(&self, what: impl AsRef<str>) -> Damage {
        Damage(format!("{}: {}", self.path.display(), what.as_ref()))
    }

    fn section(&self, section: usize) -> &[u8] {
        let Section { start, end, .. } = self.sections[section];
        self.map.bytes().get(start..end).unwrap_or_default()
    }

    /// Item `at` of a section that begins with `count` ends.
    fn item(&self, section: usize, count: usize, at: usize) -> Option<&[u8]> {
        let bytes = self.section(section);
        let end_of = |i: usize| Reader::new(bytes.get(i * 4..)?).u32().map(|end| end as usize);
        let start = if at == 0 { 0 } else { end_of(at - 1)? };
        let end = end_of(at).filter(|_| at < count)?;
        bytes.get(count * 4..)?.get(start..end)
    }

    /// The text of a symbol.
    pub(crate) fn symbol(&self, symbol: u32) -> Result<&str, Damage> {
        self.item(SYMBOLS, self.symbol_count, symbol as usize)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .ok_or_else(|| self.damage(format!("symbol {symbol} cannot be read")))
    }

    /// Number of symbols.
    pub(crate) fn symbol_count(&self) -> u32 {
        self.symbol_count as u32
    }

    fn find_symbol(&self, text: &str) -> Result<Option<u32>, Damage> {
        let at = partition(self.symbol_count, |i| Ok(self.symbol(i as u32)? < text))?;
        if at < self.symbol_count && self.symbol(at as u32)? == text {
            return Ok(Some(at as u32));
        }
        Ok(None)
    }

    fn pair(&self, row: usize) -> Result<Pair, Damage> {
        let read = || {
            let mut r = Reader::new(self.section(POSTINGS).get(row * PAIR_ROW_BYTES..)?);
            Some(Pair { name: r.u32()?, value: r.u32()?, offset: r.u32()? as usize, count: r.u32()? as usize })
        };
        read().ok_or_else(|| self.damage(format!("pair {row} cannot be read")))
    }

    fn list(&self, pair: &Pair) -> Result<Vec<SeriesRef>, Damage> {
        let read = || {
            let lists = self.section(POSTINGS).get(self.pair_count * PAIR_ROW_BYTES..)?;
            let mut r = Reader::new(lists.get(pair.offset..)?);
            let mut list = Vec::with_capacity(pair.count.min(self.series_count));
            let mut last = 0u32;
            for i in 0..pair.count {
                let step = u32::try_from(r.varint()?).ok()?;
                if i > 0 && step == 0 {
                    return None;
                }
                last = last.checked_add(step).filter(|&series| (series as usize) < self.series_count)?;
                list.push(last);
            }
            Some(list)
        };
        read().ok_or_else(|| self.damage("a list of series cannot be read"))
    }

    /// Rows of the pairs of one name.
    fn rows_of(&self, name: u32) -> Result<std::ops::Range<usize>, Damage> {
        let start = partition(self.pair_count, |row| Ok(self.pair(row)?.name < name))?;
        let end = partition(self.pair_count, |row| Ok(self.pair(row)?.name <= name))?;
        Ok(start..end)
    }

    /// Calls `each` with every label name, rising.
    pub(crate) fn names(&self, mut each: impl FnMut(&str)) -> Result<(), Damage> {
        let mut row = 0;
        while row < self.pair_count {
            let name = self.pair(row)?.name;
            each(self.symbol(name)?);
            row = self.rows_of(name)?.end;
        }
        Ok(())
    }

    /// Calls `each` with every value of `name`, rising.
    pub(crate) fn values(&self, name: &str, mut each: impl FnMut(&str)) -> Result<(), Damage> {
        if let Some(name) = self.find_symbol(name)? {
            for row in self.rows_of(name)? {
                each(self.symbol(self.pair(row)?.value)?);
            }
        }
        Ok(())
    }

    /// Labels (as symbols) and chunks of a series; the chunks rise.
    pub(crate) fn series(&self, series: SeriesRef) -> Result<Entry, Damage> {
        self.item(SERIES, self.series_count, series as usize)
            .and_then(read_series)
            .ok_or_else(|| self.damage(format!("series {series} cannot be read")))
    }

    /// The label set behind symbols.
    pub(crate) fn labels(&self, symbols: &[(u32, u32)]) -> Result<Labels, Damage> {
        let mut pairs = Vec::with_capacity(symbols.len());
        for &(name, value) in symbols {
            pairs.push((self.symbol(name)?, self.symbol(value)?));
        }
        if pairs.windows(2).any(|w| w[0].0 >= w[1].0) || pairs.iter().any(|p| p.1.is_empty()) {
            return Err(self.damage("a series' labels are not sorted"));
        }
        Ok(Labels::from_sorted(pairs.into_iter()))
    }
}

impl LabelIndex for Index {
    fn all(&self) -> Result<Vec<SeriesRef>, Damage> {
        Ok((0..self.series_count as u32).collect())
    }

    fn postings(&self, name: &str, value: &str) -> Result<Vec<SeriesRef>, Damage> {
        let (Some(name), Some(value)) = (self.find_symbol(name)?, self.find_symbol(value)?) else {
            return Ok(Vec::new());
        };
        let row = partition(self.pair_count, |row| {
            let pair = self.pair(row)?;
            Ok((pair.name, pair.value) < (name, value))
        })?;
        if row == self.pair_count {
            return Ok(Vec::new());
        }
        let pair = self.pair(row)?;
        if (pair.name, pair.value) == (name, value) { self.list(&pair) } else { Ok(Vec::new()) }
    }

    fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        pick: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<SeriesRef>, Damage> {
        let Some(name) = self.find_symbol(name)? else { return Ok(Vec::new()) };
        let rows = self.rows_of(name)?;
        // Symbols rise, so the values with the prefix stand together.
        let before = |i: usize| Ok(self.symbol(self.pair(rows.start + i)?.value)? < prefix);
        let first = rows.start + partition(rows.len(), before)?;
        let mut lists = Vec::new();
        for row in first..rows.end {
            let pair = self.pair(row)?;
            let value = self.symbol(pair.value)?;
            if !value.starts_with(prefix) {
                break;
            }
            if pick(value) {
                lists.push(self.list(&pair)?);
            }
        }
        Ok(union(lists))
    }
}

/// The first index in `0..len` for which `is_before` does not hold.
fn partition(len: usize, is_before: impl Fn(usize) -> Result<bool, Damage>) -> Result<usize, Damage> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn locate(file: &[u8]) -> Option<([Section; 3], [u32; 3])> {
    if file.get(..FILE_HEADER_BYTES)? != file_header(INDEX_MAGIC) {
        return None;
    }
    let footer_at = file.len().checked_sub(INDEX_FOOTER_BYTES).filter(|&at| at >= FILE_HEADER_BYTES)?;
    let footer = &file[footer_at..];
    let mut r = Reader::new(footer);
    let mut sections = [Section::default(); 3];
    let mut end_of_last = FILE_HEADER_BYTES;
    for section in &mut sections {
        let start = usize::try_from(r.u64()?).ok()?;
        let end = start.checked_add(usize::try_from(r.u64()?).ok()?)?;
        *section = Section { start, end, crc: r.u32()? };
        if start != end_of_last {
            return None;
        }
        end_of_last = end;
    }
    let counts = [r.u32()?, r.u32()?, r.u32()?];
    let is_whole = end_of_last == footer_at && r.u32()? == crc32fast::hash(&footer[..INDEX_FOOTER_BYTES - 4]);
    is_whole.then_some((sections, counts))
}

fn read_series(entry: &[u8]) -> Option<Entry> {
    let mut r = Reader::new(entry);
    let small = |r: &mut Reader<'_>| u32::try_from(r.varint()?).ok();
    let count = r.count(2)?;
    let mut labels = Vec::with_capacity(count);
    for _ in 0..count {
        labels.push((small(&mut r)?, small(&mut r)?));
    }
    let count = r.count(6)?;
    let mut chunks: Vec<ChunkRef> = Vec::with_capacity(count);
    for _ in 0..count {
        let (last_t, last_page) = chunks.last().map_or((0, 0), |c| (c.max_t, c.page));
        let min_t = last_t.wrapping_add(r.signed()?);
        let max_t = min_t.checked_add_unsigned(r.varint()?)?;
        let (count, page) = (small(&mut r)?, last_page.wrapping_add(r.varint()?));
        chunks.push(ChunkRef { min_t, max_t, count, page, offset: small(&mut r)?, len: small(&mut r)? });
    }
    let rises = chunks.windows(2).all(|w| w[0].max_t < w[1].min_t);
    (r.is_at_end() && rises).then_some((labels, chunks))
}
