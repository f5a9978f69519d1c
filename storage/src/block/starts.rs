//! The file of start timestamps, which a block has if any sample of it has one.
//!
//! Here: writing it beside the index, and reading the lists of its series.
//! Elsewhere: what a list means (`crate::starts`), pages (`page`), the layout (`FORMAT.md`).
//!
//! Invariant: a page holds the series of one page of the index, those without starts left out. Damage costs the starts of
//! the page, or of the block if it is in the directory, and never a sample: it is said, and those starts are unknown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Block;
use super::cache::Part;
use super::data::Stream;
use super::index::series::SERIES;
use super::meta::BlockId;
use super::page::{self, BadPage, Packer, PageKind};
use super::writer::{FILE_HEADER_BYTES, file_header};
use crate::ReadError;
use crate::bytes::{Reader, put_signed, put_varint};
use crate::fs::{AtPath, Fs, IoAt};
use crate::index::{Damage, SeriesRef};
use crate::mmap::Mapped;
use crate::starts::{Change, Changes};

/// Name of the file.
pub(crate) const STARTS_FILE: &str = "starts";
/// First bytes of it.
pub(crate) const STARTS_MAGIC: [u8; 8] = *b"CAIRNSTA";
/// Place of the directory and its checksum.
pub(crate) const STARTS_FOOTER_BYTES: usize = 12;

/// Writes the file; it is there once a series has a start.
#[derive(Debug, Default)]
pub(crate) struct StartsWriter {
    out: Option<(Stream, Packer)>,
    /// The page of the index that is being filled.
    number: usize,
    /// Its series with starts: place in the page, and changes.
    filling: Vec<(usize, Changes)>,
    /// Number of each page of the index that has starts, and where they are.
    places: Vec<(u64, u64)>,
}

impl StartsWriter {
    /// Adds the starts of series number `series`, which rise.
    pub(crate) fn add(&mut self, fs: &dyn Fs, dir: &Path, id: BlockId, series: u32, own: &Changes) -> Result<(), IoAt> {
        if own.is_empty() {
            return Ok(());
        }
        if self.out.is_none() {
            let path = dir.join(STARTS_FILE);
            let stream = Stream::create(fs, &path, &file_header(STARTS_MAGIC, id))?;
            self.out = Some((stream, Packer::new().at(&path)?));
        }
        let (number, at) = (series as usize / SERIES, series as usize % SERIES);
        if number != self.number {
            self.end_page()?;
            self.number = number;
        }
        self.filling.push((at, own.clone()));
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), IoAt> {
        let Some((stream, packer)) = self.out.as_mut().filter(|_| !self.filling.is_empty()) else { return Ok(()) };
        let sections = encode(&std::mem::take(&mut self.filling));
        let at = stream.put_page(packer, PageKind::Starts, &[&sections[0], &sections[1], &sections[2]])?;
        self.places.push((self.number as u64, at));
        Ok(())
    }

    /// Ends the file and makes it durable; its length, 0 if there is none.
    pub(crate) fn finish(&mut self) -> Result<u64, IoAt> {
        self.end_page()?;
        let Some((stream, packer)) = &mut self.out else { return Ok(0) };
        let mut directory = Vec::new();
        put_varint(&mut directory, self.places.len() as u64);
        let mut last = (0, 0);
        for &(number, at) in &self.places {
            put_varint(&mut directory, number - last.0);
            put_varint(&mut directory, at - last.1);
            last = (number, at);
        }
        let at = stream.put_page(packer, PageKind::Directory, &[&directory])?.to_le_bytes();
        stream.put(&at);
        stream.put(&crc32fast::hash(&at).to_le_bytes());
        stream.finish()
    }
}

/// The sections of a page: places with numbers of changes; times; starts. Kinds apart, as they pack better.
fn encode(series: &[(usize, Changes)]) -> [Vec<u8>; 3] {
    let mut sections = [Vec::new(), Vec::new(), Vec::new()];
    let [places, times, starts] = &mut sections;
    put_varint(places, series.len() as u64);
    let (mut last_at, mut last) = (0, Change { from: 0, start: 0 });
    for (at, changes) in series {
        put_varint(places, (at - last_at) as u64);
        put_varint(places, changes.as_slice().len() as u64);
        last_at = *at;
        for change in changes.as_slice() {
            put_signed(times, change.from.wrapping_sub(last.from));
            put_signed(starts, change.start.wrapping_sub(last.start));
            last = *change;
        }
    }
    sections
}

/// The starts of one page's series.
#[derive(Debug)]
pub(crate) struct StartsPage {
    by_place: BTreeMap<u64, Arc<Changes>>,
    bytes: usize,
}

impl StartsPage {
    /// Takes a verified body apart.
    pub(crate) fn parse(body: &[u8]) -> Option<StartsPage> {
        let sections = page::sections(body, PageKind::Starts)?;
        let [places, times, starts] = sections.as_slice() else { return None };
        let (mut places, mut times, mut starts) = (Reader::new(places), Reader::new(times), Reader::new(starts));
        let mut by_place = BTreeMap::new();
        let (mut at, mut last) = (0u64, Change { from: 0, start: 0 });
        for _ in 0..places.count(2)? {
            at = at.checked_add(places.varint()?)?;
            let count = usize::try_from(places.varint()?).ok().filter(|count| *count <= times.remaining())?;
            let mut raw = Vec::with_capacity(count);
            for _ in 0..count {
                let (from, start) = (times.signed()?, starts.signed()?);
                last = Change { from: last.from.wrapping_add(from), start: last.start.wrapping_add(start) };
                raw.push(last);
            }
            by_place.insert(at, Arc::new(Changes::new(raw)?));
        }
        let bytes = sections.iter().map(Vec::len).sum::<usize>() * size_of::<Change>();
        (places.is_at_end() && times.is_at_end() && starts.is_at_end()).then_some(StartsPage { by_place, bytes })
    }

    /// Bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The starts of the series at this place of its page.
    pub(crate) fn of(&self, at: usize) -> Option<Arc<Changes>> {
        self.by_place.get(&(at as u64)).cloned()
    }
}

/// The file of an open block.
#[derive(Debug)]
pub(crate) struct StartsFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    map: Mapped,
    /// By number of the index's page: where the starts of its series are.
    places: BTreeMap<u64, u64>,
}

impl StartsFile {
    /// Opens the file in the directory of block `id`, which must have so many bytes; in words why it cannot be used.
    pub(crate) fn open(fs: &dyn Fs, dir: &Path, id: BlockId, bytes: u64) -> Result<StartsFile, String> {
        let path = dir.join(STARTS_FILE);
        let map = fs.map(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if map.bytes().len() as u64 != bytes {
            return Err(format!("{}: has {} bytes, expected {bytes}", path.display(), map.bytes().len()));
        }
        let places = directory(map.bytes(), id);
        let places = places.ok_or_else(|| format!("{}: header, footer or directory is damaged", path.display()))?;
        Ok(StartsFile { path, map, places })
    }

    /// Where the starts of the series of one page of the index are.
    pub(crate) fn place(&self, number: usize) -> Option<u64> {
        self.places.get(&(number as u64)).copied()
    }

    /// The page at `at`, and its bytes in memory.
    pub(crate) fn page(&self, at: u64) -> Result<(StartsPage, usize), BadPage> {
        let page = StartsPage::parse(page::verified(self.map.bytes(), at)?).ok_or((0, 0))?;
        let bytes = page.bytes();
        Ok((page, bytes))
    }

    /// Places of all pages.
    pub(crate) fn places(&self) -> impl Iterator<Item = u64> + '_ {
        self.places.values().copied()
    }
}

impl Block {
    /// Why its samples have no start timestamps, though they should, if that is so.
    pub(crate) fn starts_damage(&self) -> Option<&Damage> {
        self.starts_damage.as_ref()
    }

    /// The start timestamps of series number `series`, if one of its samples has any.
    pub(crate) fn starts_of(&self, series: SeriesRef) -> Result<Option<Arc<Changes>>, ReadError> {
        let Some(file) = &self.starts else { return Ok(None) };
        let Some(at) = file.place(series as usize / SERIES) else { return Ok(None) };
        let page = self
            .cache
            .get((self.owner, Part::Starts, at), || file.page(at).map_err(|sums| starts_error(file, at, sums)))?;
        Ok(page.of(series as usize % SERIES))
    }
}

/// Says that a page at `offset` is damaged.
pub(super) fn starts_error(file: &StartsFile, offset: u64, (found, expected): BadPage) -> ReadError {
    ReadError::Checksum { path: file.path.clone(), offset, found, expected }
}

fn directory(file: &[u8], id: BlockId) -> Option<BTreeMap<u64, u64>> {
    let (body, footer) = file.split_last_chunk::<STARTS_FOOTER_BYTES>()?;
    let mut r = Reader::new(footer);
    let (at, crc) = (r.u64()?, r.u32()?);
    let is_ours = body.get(..FILE_HEADER_BYTES)? == file_header(STARTS_MAGIC, id);
    if !is_ours || crc != crc32fast::hash(&at.to_le_bytes()) {
        return None;
    }
    read_directory(page::verified(body, at).ok()?)
}

/// The directory of a verified body.
pub(crate) fn read_directory(body: &[u8]) -> Option<BTreeMap<u64, u64>> {
    let sections = page::sections(body, PageKind::Directory)?;
    let [section] = sections.as_slice() else { return None };
    let mut r = Reader::new(section);
    let mut places = BTreeMap::new();
    let mut last = (0u64, 0u64);
    for _ in 0..r.count(2)? {
        last = (last.0.checked_add(r.varint()?)?, last.1.checked_add(r.varint()?)?);
        places.insert(last.0, last.1);
    }
    r.is_at_end().then_some(places)
}
