//! Blocks: immutable directories of older samples, read through maps.
//!
//! Here: opening a block, selecting in it, reading its chunks; finding the pages that are damaged.
//! Elsewhere: writing (`block::writer`), the index (`block::index`), which blocks there are (`blocks`).
//!
//! Invariant: a byte of a block is used only after the checksum over it held since the block was opened. A damaged
//! page costs the chunks on it; a damaged index costs the block.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use self::index::Index;
use self::meta::{BlockId, META_FILE, Meta, MetaError};
use self::writer::{CHUNKS_MAGIC, PAGE_BYTES, PAGE_HEADER_BYTES, file_header, page_crc};
use crate::bytes::Reader;
use crate::damage::DamageLog;
use crate::fs::Fs;
use crate::index::{Damage, SeriesRef};
use crate::mmap::Mapped;
use crate::querier::Piece;
use crate::tombstone::{TombstoneError, Tombstones};
use crate::{Columns, Labels, Matcher, ReadError, TimeRange, chunk};

pub(crate) mod index;
pub(crate) mod meta;
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

/// Where a chunk lies in the chunks file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    /// First sample.
    pub(crate) min_t: i64,
    /// Last sample.
    pub(crate) max_t: i64,
    /// Samples.
    pub(crate) count: u32,
    /// Its page's place in the file.
    pub(crate) page: u64,
    /// Its place in the page's contents.
    pub(crate) offset: u32,
    /// Its length.
    pub(crate) len: u32,
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
    /// Whether the index's checksums hold; found out at first use.
    index_state: OnceLock<Result<(), Damage>>,
    /// One bit for each `PAGE_BYTES` of the file: the page that begins there was verified. Pages are longer than that,
    /// so no two share a bit.
    verified: Vec<AtomicU64>,
    /// Damaged pages met so far, so that each is counted once.
    bad_pages: Mutex<BTreeSet<u64>>,
    /// What is deleted of it. Replaced as a whole; whoever took it keeps what it was then.
    tombstones: RwLock<Arc<Tombstones>>,
    /// Why the file of tombstones could not be read at open.
    tombstone_damage: Option<Damage>,
}

impl Block {
    /// Opens the block in `dir`; reads its meta file and the ends of the others.
    pub(crate) fn open(fs: &dyn Fs, dir: &Path) -> Result<Block, BlockError> {
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
        if !chunks.bytes().starts_with(&file_header(CHUNKS_MAGIC)) {
            return Err(damaged(&chunks_path, "header is damaged".to_owned()));
        }
        let bits = chunks.bytes().len() / PAGE_BYTES + 1;
        let (tombstones, tombstone_damage) = match Tombstones::load(fs, dir) {
            Ok(found) => (found, None),
            Err(TombstoneError::Damaged(what)) => (Tombstones::default(), Some(what)),
            Err(TombstoneError::Version(path, found)) => return Err(BlockError::Version(path, found)),
        };
        Ok(Block {
            meta,
            dir: dir.to_owned(),
            index: Index::open(index_path, index_map).map_err(BlockError::Damaged)?,
            chunks,
            index_state: OnceLock::new(),
            verified: (0..bits.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            bad_pages: Mutex::default(),
            tombstones: RwLock::new(Arc::new(tombstones)),
            tombstone_damage,
        })
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
        self.meta.index_bytes + self.meta.chunks_bytes + self.meta.encode().len() as u64
    }

    /// The index, if its checksums hold. Damage is counted when it is found.
    pub(crate) fn index(&self, damage: &DamageLog) -> Result<&Index, Damage> {
        let state = self.index_state.get_or_init(|| {
            let state = self.index.verify();
            if state.is_err() {
                damage.count_one();
            }
            state
        });
        state.clone().map(|()| &self.index)
    }

    /// The index of a block whose checksums were seen to hold ([`Block::index`] succeeded).
    pub(crate) fn index_unchecked(&self) -> &Index {
        &self.index
    }

    /// Whether the index is known to be damaged.
    pub(crate) fn index_damage(&self) -> Option<&Damage> {
        self.index_state.get().and_then(|state| state.as_ref().err())
    }

    /// Series that satisfy the matchers with the chunks that overlap `range`, sorted by labels. Damaged pages are left
    /// out and named in `warnings`.
    pub(crate) fn select(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        damage: &DamageLog,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<(Labels, Vec<Piece>)>, Damage> {
        let index = self.index(damage)?;
        let tombstones = self.tombstones();
        let mut bad = BTreeSet::new();
        let mut found = Vec::new();
        for series in crate::index::select(index, matchers)? {
            let (symbols, mut chunks) = index.series(series)?;
            chunks.retain(|c| c.min_t < range.max_t && range.min_t <= c.max_t && self.is_good(c.page, &mut bad));
            if !chunks.is_empty() {
                let pieces = chunks.into_iter().map(|c| Piece::Block(self.clone(), c));
                let pieces = pieces.map(|piece| piece.without(tombstones.of(series))).collect();
                found.push((index.labels(&symbols)?, pieces));
            }
        }
        for error in bad {
            self.note_page(error.0, damage);
            warnings.push(format!("{}; what it held is missing from this answer", self.page_error(error)));
        }
        Ok(found)
    }

    /// Labels of the series that satisfy the matchers.
    pub(crate) fn select_labels(&self, matchers: &[Matcher], damage: &DamageLog) -> Result<Vec<Labels>, Damage> {
        let index = self.index(damage)?;
        let refs: Vec<SeriesRef> = crate::index::select(index, matchers)?;
        refs.into_iter().map(|series| index.labels(&index.series(series)?.0)).collect()
    }

    fn note_page(&self, page: u64, damage: &DamageLog) {
        if self.bad_pages.lock().unwrap_or_else(PoisonError::into_inner).insert(page) {
            damage.count_one();
        }
    }

    fn is_good(&self, page: u64, bad: &mut BTreeSet<(u64, u32, u32)>) -> bool {
        match self.page(page) {
            Ok(_) => true,
            Err((found, expected)) => {
                bad.insert((page, found, expected));
                false
            }
        }
    }

    fn page_error(&self, (page, found, expected): (u64, u32, u32)) -> ReadError {
        ReadError::Checksum { path: self.dir.join(CHUNKS_FILE), offset: page, found, expected }
    }

    /// The contents of the page at `at`; on damage the checksums found and expected.
    fn page(&self, at: u64) -> Result<&[u8], (u32, u32)> {
        let Some((len, expected, contents)) = self.page_parts(at) else { return Err((0, 0)) };
        let bit = at as usize / PAGE_BYTES;
        let Some(word) = self.verified.get(bit / 64) else { return Err((0, expected)) };
        if word.load(Ordering::Relaxed) & 1 << (bit % 64) != 0 {
            return Ok(contents);
        }
        let found = page_crc(len, contents);
        if found != expected {
            return Err((found, expected));
        }
        word.fetch_or(1 << (bit % 64), Ordering::Relaxed);
        Ok(contents)
    }

    fn page_parts(&self, at: u64) -> Option<([u8; 4], u32, &[u8])> {
        let rest = self.chunks.bytes().get(usize::try_from(at).ok()?..)?;
        let len: [u8; 4] = rest.get(..4)?.try_into().ok()?;
        let expected = Reader::new(rest.get(4..)?).u32()?;
        let contents = rest.get(PAGE_HEADER_BYTES..)?.get(..u32::from_le_bytes(len) as usize)?;
        Some((len, expected, contents))
    }

    /// The encoded bytes of a chunk.
    pub(crate) fn chunk_bytes(&self, chunk: &ChunkRef) -> Result<&[u8], ReadError> {
        let contents = self.page(chunk.page).map_err(|(f, e)| self.page_error((chunk.page, f, e)))?;
        let start = chunk.offset as usize;
        let bytes = start.checked_add(chunk.len as usize).and_then(|end| contents.get(start..end));
        bytes.ok_or_else(|| self.page_error((chunk.page, 0, 0)))
    }

    /// Appends a chunk's samples in `range` to `out`.
    pub(crate) fn read_chunk(&self, chunk: &ChunkRef, range: TimeRange, out: &mut Columns) -> Result<(), ReadError> {
        let bytes = self.chunk_bytes(chunk)?;
        chunk::decode_into(bytes, chunk.count, range.min_t, range.max_t, out)
            .ok_or_else(|| self.page_error((chunk.page, 0, 0)))
    }
}
