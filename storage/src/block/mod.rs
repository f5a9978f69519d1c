//! Blocks: immutable directories of older samples, read through maps.
//!
//! Here: opening a block, reading its chunks; finding the pages that are damaged.
//! Elsewhere: selecting (`select`), writing (`writer`), the index (`index`), pages and their contents (`page`, `data`), which blocks there are
//! (`blocks`).
//!
//! Invariant: a byte of a block is used only after the checksum over it held since the block was opened. A damaged
//! page of the chunks file costs the chunks that use it; a damaged page of the index costs the block.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use self::cache::{PageCache, Part};
pub(crate) use self::data::ChunkRef;
use self::data::{DataPage, Place, TimesPage};
use self::index::Index;
use self::index::series::{Pair, SERIES};
use self::meta::{BlockId, META_FILE, Meta, MetaError};
use self::page::{BadPage, PageKind};
use self::starts::{StartsFile, starts_error};
use self::writer::{CHUNKS_MAGIC, file_header};
use crate::damage::DamageLog;
use crate::fs::Fs;
use crate::histogram::blobs;
use crate::index::{Damage, SeriesRef};
use crate::mmap::Mapped;
use crate::starts::Changes;
use crate::tombstone::{TombstoneError, Tombstones, is_gone, strip};
use crate::{Columns, Histogram, HistogramColumns, Labels, ReadError, TimeRange};

pub(crate) mod cache;
pub(crate) mod columns;
pub(crate) mod data;
pub(crate) mod fuzz;
pub(crate) mod index;
pub(crate) mod meta;
pub(crate) mod page;
mod select;
#[cfg(test)]
mod size_tests;
pub(crate) mod starts;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

/// Name of the file of pages.
pub(crate) const CHUNKS_FILE: &str = "chunks";
/// Name of the index.
pub(crate) const INDEX_FILE: &str = "index";
/// Directories of blocks are named so, with sixteen hexadecimal digits.
pub(crate) const BLOCK_PREFIX: &str = "b-";
/// Directories of blocks in the making.
pub(crate) const TEMP_PREFIX: &str = "tmp-";

/// Where a block is and where it is made.
#[derive(Debug, Clone)]
pub(crate) struct BlockPaths {
    /// The directory of all blocks.
    pub(crate) parent: PathBuf,
    /// The block's.
    pub(crate) dir: PathBuf,
    /// While it is written.
    pub(crate) temp: PathBuf,
}

impl BlockPaths {
    /// Of block `id`.
    pub(crate) fn new(parent: &Path, id: BlockId) -> Self {
        let dir = parent.join(format!("{BLOCK_PREFIX}{:016x}", id.0));
        let temp = parent.join(format!("{TEMP_PREFIX}{:016x}", id.0));
        BlockPaths { parent: parent.to_owned(), dir, temp }
    }
}

/// Samples of one series in both kinds, and their starts. A time occurs once in each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SeriesSamples {
    /// The floats.
    pub(crate) floats: Columns,
    /// Opaque records (native histograms) with their times, which rise strictly.
    pub(crate) blobs: Vec<(i64, Vec<u8>)>,
    /// Start timestamps of both kinds.
    pub(crate) starts: Changes,
}

impl SeriesSamples {
    /// Whether there are none of either kind.
    pub(crate) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.blobs.is_empty()
    }

    /// Samples of both kinds.
    pub(crate) fn len(&self) -> usize {
        self.floats.len() + self.blobs.len()
    }

    /// Takes what is deleted out.
    pub(crate) fn strip(&mut self, gone: &[TimeRange]) {
        strip(gone, &mut self.floats, 0);
        self.blobs.retain(|&(t, _)| !is_gone(gone, t));
    }
}

/// Why a directory is no block that can be read.
#[derive(Debug)]
pub(crate) enum BlockError {
    /// Its bytes are wrong: set it aside.
    Damaged(Damage),
    /// Written by a newer program: refuse to open.
    Version(PathBuf, u32),
}

/// An open block.
#[derive(Debug)]
pub(crate) struct Block {
    meta: Meta,
    dir: PathBuf,
    index: Index,
    chunks: Mapped,
    cache: Arc<PageCache>,
    owner: u64,
    /// One bit for each page of the chunks file that was verified; made at first use.
    verified: OnceLock<Box<[AtomicU64]>>,
    /// Files and places of damaged pages met so far, so that each is counted and logged once.
    bad_pages: Mutex<BTreeSet<(PathBuf, u64)>>,
    /// The index is damaged and was counted so.
    is_counted: AtomicBool,
    /// What is deleted of it. Replaced as a whole; whoever took it keeps what it was then.
    tombstones: RwLock<Arc<Tombstones>>,
    /// Why the file of tombstones could not be read at open.
    tombstone_damage: Option<Damage>,
    /// Start timestamps, if it has any.
    starts: Option<StartsFile>,
    /// Why the file of start timestamps could not be used at open.
    starts_damage: Option<Damage>,
}

impl Block {
    /// Opens the block in `dir`; reads its meta file and the ends of the others.
    pub(crate) fn open(fs: &dyn Fs, dir: &Path, cache: &Arc<PageCache>) -> Result<Block, BlockError> {
        let damaged = |path: &Path, what: String| BlockError::Damaged(Damage(format!("{}: {what}", path.display())));
        let meta_path = dir.join(META_FILE);
        let bytes = fs.read(&meta_path).map_err(|e| damaged(&meta_path, e.to_string()))?;
        let meta = Meta::decode(&bytes).map_err(|e| match e {
            MetaError::Damaged => damaged(&meta_path, "checksum does not hold".to_owned()),
            MetaError::Version(found) => BlockError::Version(meta_path.clone(), found),
        })?;
        let map = |name: &str, bytes: u64| {
            let path = dir.join(name);
            let map = fs.map(&path).map_err(|e| damaged(&path, e.to_string()))?;
            if map.bytes().len() as u64 != bytes {
                return Err(damaged(&path, format!("has {} bytes, expected {bytes}", map.bytes().len())));
            }
            Ok((path, map))
        };
        let (index_path, index_map) = map(INDEX_FILE, meta.index_bytes)?;
        let (chunks_path, chunks) = map(CHUNKS_FILE, meta.chunks_bytes)?;
        if !chunks.bytes().starts_with(&file_header(CHUNKS_MAGIC, meta.id)) {
            return Err(damaged(&chunks_path, "header is damaged, or another block's".to_owned()));
        }
        let (tombstones, tombstone_damage) = match Tombstones::load(fs, dir) {
            Ok(found) => (found, None),
            Err(TombstoneError::Damaged(what)) => (Tombstones::default(), Some(what)),
            Err(TombstoneError::Version(path, found)) => return Err(BlockError::Version(path, found)),
        };
        let starts = (meta.starts_bytes > 0).then(|| StartsFile::open(fs, dir, meta.id, meta.starts_bytes));
        let (starts, starts_damage) = match starts.transpose() {
            Ok(found) => (found, None),
            Err(what) => (None, Some(Damage(what))),
        };
        let owner = cache.owner();
        let index =
            Index::open(index_path.clone(), index_map, cache.clone(), owner, meta.id).map_err(BlockError::Damaged)?;
        if u64::from(index.series_count()) != meta.series {
            return Err(damaged(&index_path, format!("has {} series, expected {}", index.series_count(), meta.series)));
        }
        Ok(Block {
            meta,
            dir: dir.to_owned(),
            index,
            chunks,
            cache: cache.clone(),
            owner,
            verified: OnceLock::new(),
            bad_pages: Mutex::default(),
            is_counted: AtomicBool::new(false),
            tombstones: RwLock::new(Arc::new(tombstones)),
            tombstone_damage,
            starts,
            starts_damage,
        })
    }

    /// A number that no other opening of a block of this database has.
    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }

    /// What it says about itself.
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What is deleted of it.
    pub(crate) fn tombstones(&self) -> Arc<Tombstones> {
        self.tombstones.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes reads honour `tombstones`, which are on the disk.
    pub(crate) fn set_tombstones(&self, tombstones: Tombstones) {
        *self.tombstones.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tombstones);
    }

    /// Why deleted samples of it may be read again, if that is so.
    pub(crate) fn tombstone_damage(&self) -> Option<&Damage> {
        self.tombstone_damage.as_ref()
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.meta.index_bytes + self.meta.chunks_bytes + self.meta.starts_bytes + self.meta.encode().len() as u64
    }

    /// The index. What is damaged in it shows when it is read.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Whether the index is known to be damaged.
    pub(crate) fn index_damage(&self) -> Option<&Damage> {
        self.index.damage()
    }

    /// Counts the damage of the index, once.
    pub(crate) fn count_damage(&self, damage: &DamageLog) {
        if self.index_damage().is_some() && !self.is_counted.swap(true, Ordering::Relaxed) {
            damage.count_one();
        }
    }

    /// Takes back what [`Block::count_damage`] counted.
    pub(crate) fn uncount_damage(&self, damage: &DamageLog) {
        if self.is_counted.swap(false, Ordering::Relaxed) {
            damage.forget_one();
        }
    }

    /// Labels of a series, by what [`Block::series_at`] gave.
    pub(crate) fn labels(&self, pairs: &[Pair]) -> Result<Labels, Damage> {
        self.index.texts()?.labels(pairs)
    }

    /// Counts a damaged page, and says it to the log, once.
    pub(crate) fn note_damage(&self, error: &ReadError, damage: &DamageLog) {
        let ReadError::Checksum { path, offset, .. } = error;
        if self.bad_pages.lock().unwrap_or_else(PoisonError::into_inner).insert((path.clone(), *offset)) {
            damage.add_met(format!("{error}; what it held is missing from answers"));
        }
    }

    fn time_page(&self, column: u32) -> Option<(u32, u32)> {
        self.index.directory().ok()?.time_page(column)
    }

    fn offset(&self, page: u32) -> Option<u64> {
        self.index.directory().ok()?.data_pages.get(page as usize).copied()
    }

    fn page_error(&self, page: u32, (found, expected): BadPage) -> ReadError {
        let offset = self.offset(page).unwrap_or(0);
        ReadError::Checksum { path: self.dir.join(CHUNKS_FILE), offset, found, expected }
    }

    /// The body of a page of the chunks file; on damage the checksums found and expected.
    fn page(&self, page: u32) -> Result<&[u8], BadPage> {
        let at = self.offset(page).ok_or((0, 0))?;
        let words = self.verified.get_or_init(|| {
            let pages = self.index.directory().map_or(0, |d| d.data_pages.len());
            (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()
        });
        let word = words.get(page as usize / 64).ok_or((0, 0))?;
        let bit = 1 << (page % 64);
        if word.load(Ordering::Relaxed) & bit != 0 {
            return page::body(self.chunks.bytes(), at);
        }
        let body = page::verified(self.chunks.bytes(), at)?;
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(body)
    }

    fn data_page(&self, page: u32, kind: PageKind) -> Result<Arc<DataPage>, ReadError> {
        self.cache.get((self.owner, Part::Data, u64::from(page)), || {
            let body = self.page(page).map_err(|sums| self.page_error(page, sums))?;
            let parsed = DataPage::parse(body, kind).ok_or_else(|| self.page_error(page, (0, 0)))?;
            let bytes = parsed.bytes();
            Ok((parsed, bytes))
        })
    }

    /// The times of a column.
    fn column(&self, column: u32) -> Result<Arc<Vec<i64>>, ReadError> {
        self.cache.get((self.owner, Part::Column, u64::from(column)), || {
            let (page, slot) = self.time_page(column).ok_or_else(|| self.page_error(u32::MAX, (0, 0)))?;
            let parsed = self.cache.get((self.owner, Part::Data, u64::from(page)), || {
                let body = self.page(page).map_err(|sums| self.page_error(page, sums))?;
                let parsed = TimesPage::parse(body).ok_or_else(|| self.page_error(page, (0, 0)))?;
                let bytes = parsed.size();
                Ok((parsed, bytes))
            })?;
            let times = parsed.column(slot).ok_or_else(|| self.page_error(page, (0, 0)))?;
            let bytes = times.len() * 8;
            Ok((times, bytes))
        })
    }

    /// Appends a chunk's samples in `range` to `out`. After an error `out` is as it was.
    pub(crate) fn read_chunk(&self, chunk: &ChunkRef, range: TimeRange, out: &mut Columns) -> Result<(), ReadError> {
        let column = self.column(chunk.column)?;
        let times = self.times_of(chunk, &column)?;
        let (from, to) = (times.partition_point(|&t| t < range.min_t), times.partition_point(|&t| t < range.max_t));
        let (from, len) = (from, to.saturating_sub(from));
        match chunk.place {
            Place::Constant(bits) => out.v.resize(out.v.len() + len, f64::from_bits(bits)),
            Place::Values { page, slot, .. } => {
                thread_local! {
                    static NUMBERS: RefCell<Vec<i64>> = const { RefCell::new(Vec::new()) };
                }
                let start = out.v.len();
                let parsed = self.data_page(page, PageKind::Values)?;
                let count = chunk.count as usize;
                let read = NUMBERS.with_borrow_mut(|numbers| parsed.values(slot, count, numbers, &mut out.v));
                if read.is_none() {
                    out.v.truncate(start);
                    return Err(self.page_error(page, (0, 0)));
                }
                out.v.truncate(start + from + len);
                out.v.drain(start..start + from);
            }
            Place::Blobs { .. } => return Ok(()),
        }
        out.t.extend_from_slice(&times[from..from + len]);
        Ok(())
    }

    /// Appends a chunk's records in `range` to `out`.
    pub(crate) fn read_blobs(
        &self,
        chunk: &ChunkRef,
        range: TimeRange,
        out: &mut Vec<(i64, Vec<u8>)>,
    ) -> Result<(), ReadError> {
        let Place::Blobs { page, slot } = chunk.place else { return Ok(()) };
        let column = self.column(chunk.column)?;
        let times = self.times_of(chunk, &column)?;
        let parsed = self.data_page(page, PageKind::Blobs)?;
        let records = parsed.blobs(slot, chunk.count as usize).ok_or_else(|| self.page_error(page, (0, 0)))?;
        let wanted = times.iter().zip(records).filter(|&(&t, _)| range.contains(t));
        out.extend(wanted.map(|(&t, record)| (t, record.to_vec())));
        Ok(())
    }

    /// Appends a chunk's native histograms in `range` to `out`. After an error `out` is as it was.
    pub(crate) fn read_histograms(
        &self,
        chunk: &ChunkRef,
        range: TimeRange,
        out: &mut HistogramColumns,
    ) -> Result<(), ReadError> {
        let mut records = Vec::new();
        self.read_blobs(chunk, range, &mut records)?;
        let read: Option<Vec<Histogram>> = records.iter().map(|(_, record)| blobs::histogram(record)).collect();
        out.h.extend(read.ok_or_else(|| self.page_error(chunk.page().unwrap_or(u32::MAX), (0, 0)))?);
        out.t.extend(records.iter().map(|(t, _)| *t));
        Ok(())
    }

    /// The chunk's slice of its column, which must begin and end as the index says.
    fn times_of<'c>(&self, chunk: &ChunkRef, column: &'c [i64]) -> Result<&'c [i64], ReadError> {
        let start = chunk.start as usize;
        let times = column.get(start..).and_then(|rest| rest.get(..chunk.count as usize));
        let times = times.filter(|t| t.first() == Some(&chunk.min_t) && t.last() == Some(&chunk.max_t));
        let page = self.time_page(chunk.column).map_or(u32::MAX, |(page, _)| page);
        times.ok_or_else(|| self.page_error(page, (0, 0)))
    }

    /// Labels (for [`index::Texts`]) and chunks of series number `series`, which is below the block's number of series.
    pub(crate) fn series_at(&self, series: SeriesRef) -> Result<(Vec<Pair>, Vec<ChunkRef>), Damage> {
        let page = self.index.series_page(series as usize / SERIES)?;
        let found = page.series(series as usize % SERIES).map(|(pairs, chunks)| (pairs.to_vec(), chunks.to_vec()));
        Ok(found.unwrap_or_default())
    }

    /// Appends all samples of these chunks to `out`. Chunks that cannot be read are left out and returned, one error for
    /// each.
    pub(crate) fn read_series(&self, chunks: &[ChunkRef], out: &mut SeriesSamples) -> Vec<ReadError> {
        let mut errors = Vec::new();
        for chunk in chunks {
            let read = if chunk.is_blobs() {
                self.read_blobs(chunk, TimeRange::ALL, &mut out.blobs)
            } else {
                self.read_chunk(chunk, TimeRange::ALL, &mut out.floats)
            };
            errors.extend(read.err());
        }
        errors
    }

    /// Reads and checks every page: damage of the index, and each damaged page of chunks and starts.
    pub(crate) fn verify(&self) -> (Option<Damage>, Vec<ReadError>) {
        let index = self.index.verify().err();
        let pages = self.index.directory().map_or(0, |d| d.data_pages.len());
        let check = |page: u32| {
            let checked = self.offset(page).ok_or((0, 0)).and_then(|at| page::verified(self.chunks.bytes(), at));
            checked.err().map(|sums| self.page_error(page, sums))
        };
        let mut errors: Vec<ReadError> = (0..pages as u32).filter_map(check).collect();
        if let Some(file) = &self.starts {
            errors.extend(file.places().filter_map(|at| Some(starts_error(file, at, file.page(at).err()?))));
        }
        (index, errors)
    }
}
