//! Reading a block's index where it lies in the map.
//!
//! Here: finding label pairs, their lists and the series, page by page.
//! Elsewhere: the pages themselves (`series`, `pairs`, `lists`, `directory`), writing them (`write`), combining lists
//! (`crate::index`).
//!
//! Invariant: a page is used only after its checksum held. The first damage that is met is remembered: a block whose
//! index is damaged is set aside, as nobody can tell which series it does not name.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use self::directory::Directory;
use self::pairs::{ListPlace, PairsPage, ROWS};
use self::series::{Pair, SERIES, SeriesPage};
use super::cache::{PageCache, Part};
use super::meta::BlockId;
use super::page::{self, PageKind};
use super::writer::{FILE_HEADER_BYTES, file_header};
use crate::Labels;
use crate::bytes::Reader;
use crate::index::{Damage, LabelIndex, SeriesRef, union};
use crate::mmap::Mapped;

pub(crate) mod directory;
pub(crate) mod lists;
pub(crate) mod pairs;
pub(crate) mod series;
#[cfg(test)]
mod tests;
pub(crate) mod write;

/// First bytes of an index file.
pub(crate) const INDEX_MAGIC: [u8; 8] = *b"CAIRNIDX";
/// Place of the directory, number of series, checksum of both.
pub(crate) const INDEX_FOOTER_BYTES: usize = 16;

/// An index file.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    map: Mapped,
    directory_at: u64,
    series_count: u32,
    directory: OnceLock<Result<Directory, Damage>>,
    /// The first damage that was met.
    damage: OnceLock<Damage>,
    cache: Arc<PageCache>,
    owner: u64,
}

impl Index {
    /// Of block `id`; reads the header and the footer only.
    pub(crate) fn open(
        path: PathBuf,
        map: Mapped,
        cache: Arc<PageCache>,
        owner: u64,
        id: BlockId,
    ) -> Result<Index, Damage> {
        let Some((directory_at, series_count)) = locate(map.bytes(), id) else {
            return Err(Damage(format!("{}: header or footer is damaged, or another block's", path.display())));
        };
        let (directory, damage) = (OnceLock::new(), OnceLock::new());
        Ok(Index { path, map, directory_at, series_count, directory, damage, cache, owner })
    }

    /// The first damage that was met so far.
    pub(crate) fn damage(&self) -> Option<&Damage> {
        self.damage.get()
    }

    /// Number of series.
    pub(crate) fn series_count(&self) -> u32 {
        self.series_count
    }

    /// Where everything is; read at first use.
    pub(crate) fn directory(&self) -> Result<&Directory, Damage> {
        let read = || {
            let sections = self.sections(self.directory_at, PageKind::Directory)?;
            let directory = Directory::decode(&sections).filter(|d| d.series == self.series_count);
            directory.ok_or_else(|| self.damaged("the directory cannot be read"))
        };
        self.directory.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// Checks every page's checksum, cached or not.
    pub(crate) fn verify(&self) -> Result<(), Damage> {
        let directory = self.directory()?;
        let pages = directory.series_pages.iter().chain(&directory.list_pages).chain(&directory.pairs_pages);
        pages.chain([&self.directory_at]).try_for_each(|&at| self.verified(at).map(|_| ()))
    }

    fn damaged(&self, what: impl AsRef<str>) -> Damage {
        let damage = Damage(format!("{}: {}", self.path.display(), what.as_ref()));
        // Only the first one is kept.
        let _ = self.damage.set(damage.clone());
        damage
    }

    fn verified(&self, at: u64) -> Result<&[u8], Damage> {
        page::verified(self.map.bytes(), at).map_err(|(found, expected)| {
            self.damaged(format!("the page at byte {at} is damaged (crc {found:#010x}, expected {expected:#010x})"))
        })
    }

    fn sections(&self, at: u64, kind: PageKind) -> Result<Vec<Vec<u8>>, Damage> {
        let body = self.verified(at)?;
        page::sections(body, kind).ok_or_else(|| self.damaged(format!("the page at byte {at} cannot be read")))
    }

    /// Page number `number` of `places`, from the cache or taken apart.
    fn page<T: Send + Sync + 'static>(
        &self,
        places: &[u64],
        number: usize,
        kind: PageKind,
        parse: impl FnOnce(Vec<Vec<u8>>) -> Option<(T, usize)>,
    ) -> Result<Arc<T>, Damage> {
        let &at = places.get(number).ok_or_else(|| self.damaged(format!("there is no page {number} of {kind:?}")))?;
        self.cache.get((self.owner, Part::Index, at), || {
            parse(self.sections(at, kind)?).ok_or_else(|| self.damaged(format!("the page at byte {at} cannot be read")))
        })
    }

    /// Page of series: numbers `number * SERIES` and up.
    pub(crate) fn series_page(&self, number: usize) -> Result<Arc<SeriesPage>, Damage> {
        let directory = self.directory()?;
        let expected = (self.series_count as usize).saturating_sub(number * SERIES).min(SERIES);
        self.page(&directory.series_pages, number, PageKind::Series, |sections| {
            let page = SeriesPage::parse(&sections, &directory.first_rows).filter(|page| page.len() == expected)?;
            let bytes = page.bytes();
            Some((page, bytes))
        })
    }

    fn pairs_page(&self, number: usize) -> Result<Arc<PairsPage>, Damage> {
        let directory = self.directory()?;
        let rows = directory.first_rows.last().map_or(0, |&rows| rows as usize);
        let expected = rows.saturating_sub(number * ROWS).min(ROWS);
        self.page(&directory.pairs_pages, number, PageKind::Pairs, |sections| {
            let page = PairsPage::parse(&sections, self.series_count).filter(|page| page.len() == expected)?;
            let bytes = page.bytes();
            Some((page, bytes))
        })
    }

    /// Calls `use_it` with the bytes of a list.
    fn with_list<R>(
        &self,
        (page, offset, len): (u32, u32, u32),
        use_it: impl FnOnce(&[u8]) -> Option<R>,
    ) -> Result<R, Damage> {
        let directory = self.directory()?;
        let lists = self.page(&directory.list_pages, page as usize, PageKind::Lists, |mut sections| {
            let lists = sections.pop()?;
            let bytes = lists.len();
            Some((lists, bytes))
        })?;
        let list = lists.get(offset as usize..).and_then(|rest| rest.get(..len as usize));
        list.and_then(use_it).ok_or_else(|| self.damaged("a list of series cannot be read"))
    }

    fn read_list(&self, place: ListPlace, out: &mut Vec<SeriesRef>) -> Result<(), Damage> {
        match place {
            ListPlace::One(series) => out.push(series),
            ListPlace::Many { page, offset, len, .. } => {
                self.with_list((page, offset, len), |bytes| lists::read(bytes, self.series_count, out))?;
            }
        }
        Ok(())
    }

    /// Rows of a name.
    fn rows_of(&self, name: &str) -> Result<std::ops::Range<usize>, Damage> {
        let directory = self.directory()?;
        Ok(match directory.names.binary_search_by(|there| (**there).cmp(name)) {
            Ok(at) => directory.first_rows[at] as usize..directory.first_rows[at + 1] as usize,
            Err(_) => 0..0,
        })
    }

    /// The first of these rows, all of one name, whose value is not before `value`.
    fn first_row(&self, rows: std::ops::Range<usize>, value: &str) -> Result<usize, Damage> {
        let directory = self.directory()?;
        if rows.is_empty() {
            return Ok(rows.end);
        }
        // Pages that begin among the rows, with a value before: the answer lies behind the last of these.
        let first_page = rows.start.div_ceil(ROWS);
        let later = &directory.first_values[first_page.min(directory.first_values.len())..rows.end.div_ceil(ROWS)];
        let skipped = later.partition_point(|first| **first < *value);
        let page = if skipped == 0 { rows.start / ROWS } else { first_page + skipped - 1 };
        let pairs = self.pairs_page(page)?;
        let mut low = rows.start.max(page * ROWS);
        let mut high = rows.end.min(page * ROWS + pairs.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.value(&pairs, middle)? < value {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn value<'p>(&self, page: &'p PairsPage, row: usize) -> Result<&'p str, Damage> {
        page.value(row % ROWS).ok_or_else(|| self.damaged(format!("label pair {row} cannot be read")))
    }

    fn find(&self, name: &str, value: &str) -> Result<Option<ListPlace>, Damage> {
        let rows = self.rows_of(name)?;
        let row = self.first_row(rows.clone(), value)?;
        if row >= rows.end {
            return Ok(None);
        }
        let page = self.pairs_page(row / ROWS)?;
        if self.value(&page, row)? == value { Ok(page.place(row % ROWS)) } else { Ok(None) }
    }

    /// Calls `each` with value and list of the rows from `row` on, until it says no.
    fn each_row(
        &self,
        rows: std::ops::Range<usize>,
        mut each: impl FnMut(&str, ListPlace) -> Result<bool, Damage>,
    ) -> Result<(), Damage> {
        let mut row = rows.start;
        while row < rows.end {
            let page = self.pairs_page(row / ROWS)?;
            for row in row..rows.end.min((row / ROWS + 1) * ROWS) {
                let place = page.place(row % ROWS);
                let place = place.ok_or_else(|| self.damaged(format!("label pair {row} cannot be read")))?;
                if !each(self.value(&page, row)?, place)? {
                    return Ok(());
                }
            }
            row = (row / ROWS + 1) * ROWS;
        }
        Ok(())
    }

    /// Calls `each` with every label name, rising.
    pub(crate) fn names(&self, each: impl FnMut(&str)) -> Result<(), Damage> {
        self.directory()?.names.iter().map(|name| &**name).for_each(each);
        Ok(())
    }

    /// Calls `each` with every value of `name`, rising.
    pub(crate) fn values(&self, name: &str, mut each: impl FnMut(&str)) -> Result<(), Damage> {
        self.each_row(self.rows_of(name)?, |value, _| {
            each(value);
            Ok(true)
        })
    }

    /// Calls `each` with every value of every name, by rising row.
    pub(crate) fn all_values(&self, mut each: impl FnMut(&str)) -> Result<(), Damage> {
        let rows = self.directory()?.first_rows.last().map_or(0, |&rows| rows as usize);
        self.each_row(0..rows, |value, _| {
            each(value);
            Ok(true)
        })
    }

    /// A reader of label texts, which keeps the pages it has met.
    pub(crate) fn texts(&self) -> Result<Texts<'_>, Damage> {
        Ok(Texts { index: self, pages: vec![None; self.directory()?.pairs_pages.len()], text: String::new() })
    }
}

/// Turns pairs into label sets. Keeps what it needed, so that a query pays for each page once.
#[derive(Debug)]
pub(crate) struct Texts<'a> {
    index: &'a Index,
    pages: Vec<Option<Arc<PairsPage>>>,
    /// Where a set is put together.
    text: String,
}

impl Texts<'_> {
    /// The label set behind pairs.
    pub(crate) fn labels(&mut self, pairs: &[Pair]) -> Result<Labels, Damage> {
        Ok(Labels::from_packed(self.packed(pairs)?))
    }

    /// Its packed text.
    pub(crate) fn packed(&mut self, pairs: &[Pair]) -> Result<&str, Damage> {
        for &(_, row) in pairs {
            let page = row as usize / ROWS;
            match self.pages.get(page) {
                Some(Some(_)) => {}
                Some(None) => self.pages[page] = Some(self.index.pairs_page(page)?),
                None => return Err(self.index.damaged(format!("label pair {row} is not there"))),
            }
        }
        let names = &self.index.directory()?.names;
        let pages = &self.pages;
        let text = |&(name, row): &Pair| {
            let value = pages[row as usize / ROWS].as_ref()?.value(row as usize % ROWS)?;
            Some((&**names.get(name as usize)?, value)).filter(|_| !value.is_empty())
        };
        let mut is_whole = true;
        let texts = pairs.iter().map_while(|pair| {
            let text = text(pair);
            is_whole = text.is_some();
            text
        });
        self.text.clear();
        Labels::push_packed(&mut self.text, texts);
        if is_whole { Ok(&self.text) } else { Err(self.index.damaged("the labels of a series cannot be read")) }
    }
}

impl LabelIndex for Index {
    fn all(&self) -> Result<Vec<SeriesRef>, Damage> {
        Ok((0..self.series_count).collect())
    }

    fn postings(&self, name: &str, value: &str) -> Result<Vec<SeriesRef>, Damage> {
        let mut out = Vec::new();
        if let Some(place) = self.find(name, value)? {
            self.read_list(place, &mut out)?;
        }
        Ok(out)
    }

    fn count(&self, name: &str, value: &str) -> Result<usize, Damage> {
        Ok(self.find(name, value)?.map_or(0, |place| place.count()))
    }

    fn retain(&self, name: &str, value: &str, keep: bool, found: &mut Vec<SeriesRef>) -> Result<(), Damage> {
        match self.find(name, value)? {
            None if keep => found.clear(),
            None => {}
            Some(ListPlace::One(series)) => found.retain(|&s| (s == series) == keep),
            Some(ListPlace::Many { page, offset, len, .. }) => {
                let retain = |bytes: &[u8]| lists::retain(bytes, self.series_count, found, keep);
                self.with_list((page, offset, len), retain)?;
            }
        }
        Ok(())
    }

    fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        pick: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<SeriesRef>, Damage> {
        let rows = self.rows_of(name)?;
        let first = self.first_row(rows.clone(), prefix)?;
        let mut lists = Vec::new();
        // Values rise, so those with the prefix stand together.
        self.each_row(first..rows.end, |value, place| {
            let goes_on = value.starts_with(prefix);
            if goes_on && pick(value) {
                let mut list = Vec::new();
                self.read_list(place, &mut list)?;
                lists.push(list);
            }
            Ok(goes_on)
        })?;
        Ok(union(lists))
    }
}

fn locate(file: &[u8], id: BlockId) -> Option<(u64, u32)> {
    if file.get(..FILE_HEADER_BYTES)? != file_header(INDEX_MAGIC, id) {
        return None;
    }
    let footer = file.get(file.len().checked_sub(INDEX_FOOTER_BYTES)?..)?;
    let mut r = Reader::new(footer);
    let (at, series) = (r.u64()?, r.u32()?);
    (r.u32()? == crc32fast::hash(&footer[..INDEX_FOOTER_BYTES - 4])).then_some((at, series))
}
