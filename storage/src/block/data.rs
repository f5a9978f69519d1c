//! The chunks file: pages of values, of times and of opaque records.
//!
//! Here: where a chunk lies ([`ChunkRef`]), filling pages by class of chunk, taking pages apart.
//! Elsewhere: a page's frame (`page`), a chunk's codec (`column`), who refers to what (`index`).
//!
//! Invariant: chunks of one page have residuals of the same width, so a plane of the page is the planes of its chunks,
//! one behind the other, and all chunks have the same place in each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::meta::BlockId;
use super::page::{PAGE_RAW_BYTES, Packer, PageKind, sections};
use super::writer::{CHUNKS_MAGIC, file_header};
use crate::TimeRange;
use crate::bytes::{Reader, put_varint};
use crate::column::{CHUNK_SAMPLES_MAX, Encoded, times, values};
use crate::fs::{AtPath, Fs, FsFile, IoAt};

/// Class of a chunk whose one value stands in the index.
pub(crate) const CLASS_CONSTANT: u8 = 0;
/// Class of a chunk whose residuals have no bytes; eight more follow, one for each width.
pub(crate) const CLASS_VALUES: u8 = 1;
/// Class of a chunk of opaque records.
pub(crate) const CLASS_BLOBS: u8 = 10;
/// Classes in all.
pub(crate) const CLASSES: usize = 11;
/// The file is written in portions of this size.
const WRITE_BYTES: usize = 256 << 10;

/// Where a chunk's contents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere else: all values have these bits.
    Constant(u64),
    /// In a page of values: its number, and the chunk's number in it.
    Values { page: u32, slot: u32, width: u8 },
    /// In a page of records.
    Blobs { page: u32, slot: u32 },
}

/// One chunk of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    /// First sample.
    pub(crate) min_t: i64,
    /// Last sample.
    pub(crate) max_t: i64,
    /// Samples.
    pub(crate) count: u32,
    /// Number of its column of times.
    pub(crate) column: u32,
    /// Its first time's place in the column.
    pub(crate) start: u32,
    /// Its values.
    pub(crate) place: Place,
}

impl ChunkRef {
    /// Whether it holds opaque records instead of floats.
    pub(crate) fn is_blobs(&self) -> bool {
        matches!(self.place, Place::Blobs { .. })
    }

    /// Whether it may have a sample in `range`.
    pub(crate) fn reaches(&self, range: TimeRange) -> bool {
        range.meets(self.min_t, self.max_t)
    }

    /// Whether one of the ranges that are deleted of its series holds all of it.
    pub(crate) fn is_gone(&self, deleted: Option<&Arc<[TimeRange]>>) -> bool {
        let holds = |range: &TimeRange| range.contains(self.min_t) && range.contains(self.max_t);
        deleted.is_some_and(|ranges| ranges.iter().any(holds))
    }

    /// The page of its values, if they have one.
    pub(crate) fn page(&self) -> Option<u32> {
        match self.place {
            Place::Constant(_) => None,
            Place::Values { page, .. } | Place::Blobs { page, .. } => Some(page),
        }
    }

    /// The class by which its page was chosen.
    pub(crate) fn class(&self) -> u8 {
        match self.place {
            Place::Constant(_) => CLASS_CONSTANT,
            Place::Values { width, .. } => CLASS_VALUES + width,
            Place::Blobs { .. } => CLASS_BLOBS,
        }
    }
}

/// A file that is written from front to back in large portions.
#[derive(Debug)]
pub(crate) struct Stream {
    path: PathBuf,
    file: Arc<dyn FsFile>,
    written: u64,
    ready: Vec<u8>,
}

impl Stream {
    /// Creates `path`, beginning with `header`.
    pub(crate) fn create(fs: &dyn Fs, path: &Path, header: &[u8]) -> Result<Stream, IoAt> {
        let file = fs.create(path).at(path)?;
        Ok(Stream { path: path.to_owned(), file, written: 0, ready: header.to_vec() })
    }

    /// Where the next byte goes.
    pub(crate) fn end(&self) -> u64 {
        self.written + self.ready.len() as u64
    }

    /// Appends a page and tells where it begins.
    pub(crate) fn put_page(&mut self, packer: &mut Packer, kind: PageKind, sections: &[&[u8]]) -> Result<u64, IoAt> {
        let at = self.end();
        packer.put(kind, sections, &mut self.ready).at(&self.path)?;
        if self.ready.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(at)
    }

    /// Appends bytes as they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.ready.extend_from_slice(bytes);
    }

    fn flush(&mut self) -> Result<(), IoAt> {
        self.file.write_at(&self.ready, self.written).at(&self.path)?;
        self.written += self.ready.len() as u64;
        self.ready.clear();
        Ok(())
    }

    /// Makes everything durable; the file's length.
    pub(crate) fn finish(&mut self) -> Result<u64, IoAt> {
        self.flush()?;
        self.file.sync().at(&self.path)?;
        Ok(self.written)
    }
}

/// A page being filled.
#[derive(Debug, Default)]
struct Filling {
    number: u32,
    slots: u32,
    directory: Vec<u8>,
    heads: Vec<u8>,
    planes: Vec<Vec<u8>>,
    raw_bytes: usize,
}

/// Fills the pages of the chunks file.
#[derive(Debug)]
pub(crate) struct DataWriter {
    stream: Stream,
    packer: Packer,
    filling: [Option<Filling>; CLASSES],
    times: Option<Filling>,
    /// By page number.
    pub(crate) offsets: Vec<u64>,
    /// Number of each page of times, and how many columns it has.
    pub(crate) time_pages: Vec<(u32, u32)>,
}

impl DataWriter {
    /// Begins the file at `path`, of block `id`.
    pub(crate) fn create(fs: &dyn Fs, path: &Path, id: BlockId) -> Result<DataWriter, IoAt> {
        Ok(DataWriter {
            stream: Stream::create(fs, path, &file_header(CHUNKS_MAGIC, id))?,
            packer: Packer::new().at(path)?,
            filling: Default::default(),
            times: None,
            offsets: Vec::new(),
            time_pages: Vec::new(),
        })
    }

    /// Bytes of the file so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.stream.end()
    }

    /// Stores a column of times. Columns are numbered as they come.
    pub(crate) fn put_times(&mut self, column: &[i64]) -> Result<(), IoAt> {
        let bytes = times::encode(column);
        let page =
            self.times.get_or_insert_with(|| Filling { number: reserve(&mut self.offsets), ..Filling::default() });
        put_varint(&mut page.directory, bytes.len() as u64);
        put_varint(&mut page.directory, column.len() as u64);
        page.heads.extend_from_slice(&bytes);
        page.slots += 1;
        if page.heads.len() >= PAGE_RAW_BYTES { self.end_times() } else { Ok(()) }
    }

    /// Stores the values of a chunk.
    pub(crate) fn put_values(&mut self, column: &[f64]) -> Result<Place, IoAt> {
        if let Some(bits) = values::constant(column) {
            return Ok(Place::Constant(bits));
        }
        let encoded = values::encode(column);
        let (page, slot) = self.put(CLASS_VALUES + encoded.width as u8, &encoded)?;
        Ok(Place::Values { page, slot, width: encoded.width as u8 })
    }

    /// Stores the records of a chunk.
    pub(crate) fn put_blobs<'b>(&mut self, records: impl Iterator<Item = &'b [u8]>) -> Result<Place, IoAt> {
        let mut encoded = Encoded::default();
        for record in records {
            put_varint(&mut encoded.head, record.len() as u64);
            encoded.head.extend_from_slice(record);
        }
        let (page, slot) = self.put(CLASS_BLOBS, &encoded)?;
        Ok(Place::Blobs { page, slot })
    }

    fn put(&mut self, class: u8, encoded: &Encoded) -> Result<(u32, u32), IoAt> {
        let class = usize::from(class);
        let page = self.filling[class].get_or_insert_with(|| Filling {
            number: reserve(&mut self.offsets),
            planes: vec![Vec::new(); encoded.width],
            ..Filling::default()
        });
        let placed = (page.number, page.slots);
        put_varint(&mut page.directory, encoded.head.len() as u64);
        put_varint(&mut page.directory, encoded.plane_len() as u64);
        page.heads.extend_from_slice(&encoded.head);
        let planes = encoded.planes.chunks(encoded.plane_len().max(1));
        page.planes.iter_mut().zip(planes).for_each(|(whole, plane)| whole.extend_from_slice(plane));
        page.slots += 1;
        page.raw_bytes += encoded.head.len() + encoded.planes.len();
        if page.raw_bytes >= PAGE_RAW_BYTES {
            self.end_page(class)?;
        }
        Ok(placed)
    }

    fn end_page(&mut self, class: usize) -> Result<(), IoAt> {
        let Some(page) = self.filling[class].take() else { return Ok(()) };
        let mut directory = Vec::new();
        put_varint(&mut directory, u64::from(page.slots));
        directory.extend_from_slice(&page.directory);
        let mut all: Vec<&[u8]> = vec![&directory, &page.heads];
        all.extend(page.planes.iter().map(Vec::as_slice));
        let kind = if class == usize::from(CLASS_BLOBS) { PageKind::Blobs } else { PageKind::Values };
        self.offsets[page.number as usize] = self.stream.put_page(&mut self.packer, kind, &all)?;
        Ok(())
    }

    fn end_times(&mut self) -> Result<(), IoAt> {
        let Some(page) = self.times.take() else { return Ok(()) };
        let mut directory = Vec::new();
        put_varint(&mut directory, u64::from(page.slots));
        directory.extend_from_slice(&page.directory);
        let at = self.stream.put_page(&mut self.packer, PageKind::Times, &[&directory, &page.heads])?;
        self.offsets[page.number as usize] = at;
        self.time_pages.push((page.number, page.slots));
        Ok(())
    }

    /// Ends all pages and makes the file durable; its length.
    pub(crate) fn finish(&mut self) -> Result<u64, IoAt> {
        (0..CLASSES).try_for_each(|class| self.end_page(class))?;
        self.end_times()?;
        self.stream.finish()
    }
}

fn reserve(offsets: &mut Vec<u64>) -> u32 {
    offsets.push(0);
    offsets.len() as u32 - 1
}

/// A page of values or records, taken apart.
#[derive(Debug)]
pub(crate) struct DataPage {
    heads: Vec<u8>,
    planes: Vec<Vec<u8>>,
    /// Ends in `heads` and in each plane.
    ends: Vec<(u32, u32)>,
}

impl DataPage {
    /// Takes a verified body apart.
    pub(crate) fn parse(body: &[u8], kind: PageKind) -> Option<DataPage> {
        let mut sections = sections(body, kind)?.into_iter();
        let (directory, heads) = (sections.next()?, sections.next()?);
        let planes: Vec<Vec<u8>> = sections.collect();
        let ends = read_directory(&directory)?;
        let (head_end, plane_end) = ends.last().copied().unwrap_or_default();
        let is_whole = head_end as usize == heads.len() && planes.iter().all(|p| p.len() == plane_end as usize);
        is_whole.then_some(DataPage { heads, planes, ends })
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.heads.len() + self.planes.iter().map(Vec::len).sum::<usize>() + self.ends.len() * 8
    }

    fn slot(&self, slot: u32) -> Option<((usize, usize), (usize, usize))> {
        let slot = slot as usize;
        let (head, plane) = *self.ends.get(slot)?;
        let (head_start, plane_start) = if slot == 0 { (0, 0) } else { self.ends[slot - 1] };
        Some(((head_start as usize, head as usize), (plane_start as usize, plane as usize)))
    }

    /// Appends the values of a chunk to `out`.
    pub(crate) fn values(&self, slot: u32, count: usize, numbers: &mut Vec<i64>, out: &mut Vec<f64>) -> Option<()> {
        let ((head_start, head_end), (start, end)) = self.slot(slot)?;
        let mut planes: [&[u8]; 8] = [&[]; 8];
        for (plane, whole) in planes.iter_mut().zip(&self.planes) {
            *plane = whole.get(start..end)?;
        }
        let head = self.heads.get(head_start..head_end)?;
        values::decode(head, planes.get(..self.planes.len())?, count, numbers, out)
    }

    /// The records of a chunk.
    pub(crate) fn blobs(&self, slot: u32, count: usize) -> Option<Vec<&[u8]>> {
        let ((start, end), _) = self.slot(slot)?;
        let mut r = Reader::new(self.heads.get(start..end)?);
        let mut out = Vec::with_capacity(count.min(r.remaining()));
        for _ in 0..count {
            let len = r.count(1)?;
            out.push(r.bytes(len)?);
        }
        r.is_at_end().then_some(out)
    }
}

/// A page of times, taken apart but for the columns themselves.
#[derive(Debug)]
pub(crate) struct TimesPage {
    bytes: Vec<u8>,
    /// Where each column's bytes end, and how many times it has.
    columns: Vec<(u32, u32)>,
}

impl TimesPage {
    /// Takes a verified body apart.
    pub(crate) fn parse(body: &[u8]) -> Option<TimesPage> {
        let mut sections = sections(body, PageKind::Times)?.into_iter();
        let (directory, bytes) = (sections.next()?, sections.next()?);
        let mut columns = read_directory(&directory)?;
        // The second number is a count, not a length: its sum is of no use.
        let mut last = 0;
        for (_, sum) in &mut columns {
            let count = *sum - last;
            last = std::mem::replace(sum, count);
        }
        let is_whole = columns.last().map_or(0, |&(end, _)| end as usize) == bytes.len();
        is_whole.then_some(TimesPage { bytes, columns })
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + self.columns.len() * 8
    }

    /// The times of a column of this page.
    pub(crate) fn column(&self, slot: u32) -> Option<Vec<i64>> {
        let slot = slot as usize;
        let (end, count) = *self.columns.get(slot)?;
        let start = if slot == 0 { 0 } else { self.columns[slot - 1].0 };
        let mut out = Vec::new();
        times::decode(self.bytes.get(start as usize..end as usize)?, count as usize, &mut out)?;
        Some(out)
    }
}

/// A number of slots and two lengths for each, as sums.
fn read_directory(bytes: &[u8]) -> Option<Vec<(u32, u32)>> {
    let mut r = Reader::new(bytes);
    let count = r.count(2)?;
    let mut ends = Vec::with_capacity(count);
    let (mut a, mut b) = (0u32, 0u32);
    for _ in 0..count {
        a = a.checked_add(u32::try_from(r.varint()?).ok()?)?;
        b = b.checked_add(u32::try_from(r.varint()?).ok()?)?;
        ends.push((a, b));
    }
    r.is_at_end().then_some(ends)
}

/// Whether a count that was read may be believed.
pub(crate) fn is_count(count: u64) -> bool {
    (1..=CHUNK_SAMPLES_MAX as u64).contains(&count)
}
