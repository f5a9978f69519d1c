//! Writing a block.
//!
//! Here: [`BlockWriter`], which takes series in order of their labels and streams their chunks to the disk.
//! Elsewhere: reading (`block::index`, `block`), who calls it (`cut`, `compact`), the layout (`FORMAT.md`).
//!
//! Invariant: the directory gets its name only when all three files are complete and on the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::meta::{BLOCK_VERSION, BlockId, META_FILE, Meta};
use super::{BlockPaths, ChunkRef};
use crate::TimeRange;
use crate::bytes::{put_signed, put_varint};
use crate::fs::{AtPath, Fs, FsFile, IoAt};
use crate::head::series::Sealed;

/// First bytes of a chunks file.
pub(crate) const CHUNKS_MAGIC: [u8; 8] = *b"CAIRNCHK";
/// First bytes of an index file.
pub(crate) const INDEX_MAGIC: [u8; 8] = *b"CAIRNIDX";
/// Magic, version, checksum of both.
pub(crate) const FILE_HEADER_BYTES: usize = 16;
/// A page ends with the chunk that brings its contents to this size.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Length of the contents and checksum of length and contents.
pub(crate) const PAGE_HEADER_BYTES: usize = 8;
/// Three sections (offset, length, checksum), three counts, checksum.
pub(crate) const INDEX_FOOTER_BYTES: usize = 3 * 20 + 3 * 4 + 4;
/// One row of the pairs' table: name, value, place of the list, its length.
pub(crate) const PAIR_ROW_BYTES: usize = 16;

const WRITE_BYTES: usize = 256 << 10;

/// A block in the making. Dropped without [`BlockWriter::finish`], its temporary directory is removed at the next open.
#[derive(Debug)]
pub(crate) struct BlockWriter<'a> {
    fs: &'a dyn Fs,
    paths: BlockPaths,
    temp: PathBuf,
    id: BlockId,
    chunks: PageFile,
    symbols: Vec<Arc<str>>,
    series_ends: Vec<u32>,
    series: Vec<u8>,
    postings: BTreeMap<(u32, u32), Vec<u32>>,
    range: Option<(i64, i64)>,
    samples: u64,
    chunk_count: u64,
    last_labels: Vec<(u32, u32)>,
}

impl<'a> BlockWriter<'a> {
    /// Begins block `id` in `blocks_dir`. `symbols` rise and hold every name and value of the series to come.
    pub(crate) fn new(
        fs: &'a dyn Fs,
        blocks_dir: &Path,
        id: BlockId,
        symbols: Vec<Arc<str>>,
    ) -> Result<BlockWriter<'a>, IoAt> {
        assert!(symbols.windows(2).all(|w| w[0] < w[1]), "symbols rise");
        let paths = BlockPaths::new(blocks_dir, id);
        let temp = paths.temp.clone();
        fs.create_dir_all(&temp).at(&temp)?;
        let chunks = PageFile::create(fs, &paths.temp.join(super::CHUNKS_FILE)).inspect_err(|_| {
            let _ = fs.remove_dir_all(&temp);
        })?;
        Ok(BlockWriter {
            fs,
            paths,
            temp,
            id,
            chunks,
            symbols,
            series_ends: Vec::new(),
            series: Vec::new(),
            postings: BTreeMap::new(),
            range: None,
            samples: 0,
            chunk_count: 0,
            last_labels: Vec::new(),
        })
    }

    /// Adds a series with its chunks, which rise and do not overlap. Series come in rising order of their labels,
    /// given as indices into the symbols.
    pub(crate) fn add(&mut self, labels: &[(u32, u32)], chunks: &[Sealed]) -> Result<(), IoAt> {
        assert!(
            self.series_ends.is_empty() || self.last_labels.as_slice() < labels,
            "series of a block rise by labels"
        );
        assert!(chunks.windows(2).all(|w| w[0].max_t < w[1].min_t), "chunks of a series rise");
        assert!(!chunks.is_empty(), "a series of a block has samples");
        self.last_labels.clear();
        self.last_labels.extend_from_slice(labels);
        let number = self.series_ends.len() as u32;
        put_varint(&mut self.series, labels.len() as u64);
        for &(name, value) in labels {
            put_varint(&mut self.series, u64::from(name));
            put_varint(&mut self.series, u64::from(value));
            self.postings.entry((name, value)).or_default().push(number);
        }
        put_varint(&mut self.series, chunks.len() as u64);
        let (mut last_t, mut last_page) = (0i64, 0u64);
        for chunk in chunks {
            let placed = self.chunks.put(chunk)?;
            put_chunk_ref(&mut self.series, &placed, last_t, last_page);
            (last_t, last_page) = (placed.max_t, placed.page);
            self.samples += u64::from(chunk.count);
            self.chunk_count += 1;
            let span = (chunk.min_t, chunk.max_t);
            self.range = Some(self.range.map_or(span, |(a, b)| (a.min(span.0), b.max(span.1))));
        }
        self.series_ends.push(self.offset32(self.series.len())?);
        Ok(())
    }

    /// Offsets inside a section are 32 bit; a section that would outgrow them is refused, not wrapped.
    fn offset32(&self, offset: usize) -> Result<u32, IoAt> {
        u32::try_from(offset)
            .map_err(|_| {
                std::io::Error::new(std::io::ErrorKind::FileTooLarge, "the index of one block would pass 4 GiB")
            })
            .at(&self.temp)
    }

    /// Completes the files and publishes the block; `None` if no series was added. After an error nothing is
    /// left of it,
    /// as far as the disk allows: a full disk must not fill up with failed attempts.
    pub(crate) fn finish(mut self, rank: u64, sources: Vec<BlockId>) -> Result<Option<Meta>, IoAt> {
        let Some(span) = self.range else {
            self.abandon();
            return Ok(None);
        };
        match self.publish(span, rank, sources) {
            Ok(meta) => Ok(Some(meta)),
            Err(e) => {
                let _ = self.fs.remove_dir_all(&self.paths.dir);
                self.abandon();
                Err(e)
            }
        }
    }

    fn publish(&mut self, (min_t, max_t): (i64, i64), rank: u64, sources: Vec<BlockId>) -> Result<Meta, IoAt> {
        let chunks_bytes = self.chunks.finish()?;
        let index = self.index()?;
        self.write_file(super::INDEX_FILE, &index)?;
        let meta = Meta {
            id: self.id,
            rank,
            range: TimeRange::new(min_t, max_t + 1),
            series: self.series_ends.len() as u64,
            samples: self.samples,
            chunks: self.chunk_count,
            index_bytes: index.len() as u64,
            chunks_bytes,
            sources,
        };
        self.write_file(META_FILE, &meta.encode())?;
        self.fs.sync_dir(&self.temp).at(&self.temp)?;
        self.fs.rename(&self.temp, &self.paths.dir).at(&self.paths.dir)?;
        self.fs.sync_dir(&self.paths.parent).at(&self.paths.parent)?;
        Ok(meta)
    }

    /// Takes the temporary directory away after an error; best effort, the next open does it otherwise.
    pub(crate) fn abandon(self) {
        let _ = self.fs.remove_dir_all(&self.temp);
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), IoAt> {
        let path = self.temp.join(name);
        let file = self.fs.create(&path).at(&path)?;
        file.write_at(bytes, 0).at(&path)?;
        file.sync().at(&path)
    }

    fn index(&mut self) -> Result<Vec<u8>, IoAt> {
        let mut out = file_header(INDEX_MAGIC).to_vec();
        let symbols = self.symbols_section()?;
        let series = self.series_section();
        let (postings, pairs) = self.postings_section()?;
        let mut footer = Vec::with_capacity(INDEX_FOOTER_BYTES);
        for section in [&symbols, &series, &postings] {
            footer.extend_from_slice(&(out.len() as u64).to_le_bytes());
            footer.extend_from_slice(&(section.len() as u64).to_le_bytes());
            footer.extend_from_slice(&crc32fast::hash(section).to_le_bytes());
            out.extend_from_slice(section);
        }
        for count in [self.symbols.len() as u32, self.series_ends.len() as u32, pairs] {
            footer.extend_from_slice(&count.to_le_bytes());
        }
        let crc = crc32fast::hash(&footer);
        footer.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&footer);
        Ok(out)
    }

    /// Ends of the texts, then the texts.
    fn symbols_section(&self) -> Result<Vec<u8>, IoAt> {
        let (mut out, mut end) = (Vec::new(), 0usize);
        for symbol in &self.symbols {
            end += symbol.len();
            out.extend_from_slice(&self.offset32(end)?.to_le_bytes());
        }
        self.symbols.iter().for_each(|symbol| out.extend_from_slice(symbol.as_bytes()));
        Ok(out)
    }

    /// Ends of the entries, then the entries.
    fn series_section(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.series_ends.len() * 4 + self.series.len());
        for end in &self.series_ends {
            out.extend_from_slice(&end.to_le_bytes());
        }
        out.append(&mut self.series);
        out
    }

    /// The table of pairs, then their lists.
    fn postings_section(&mut self) -> Result<(Vec<u8>, u32), IoAt> {
        let (mut out, mut lists) = (Vec::new(), Vec::new());
        let postings = std::mem::take(&mut self.postings);
        let pairs = postings.len() as u32;
        for ((name, value), list) in postings {
            for field in [name, value, self.offset32(lists.len())?, list.len() as u32] {
                out.extend_from_slice(&field.to_le_bytes());
            }
            let mut last = 0;
            for series in list {
                put_varint(&mut lists, u64::from(series - last));
                last = series;
            }
        }
        out.append(&mut lists);
        Ok((out, pairs))
    }
}

fn put_chunk_ref(out: &mut Vec<u8>, chunk: &ChunkRef, last_t: i64, last_page: u64) {
    put_signed(out, chunk.min_t.wrapping_sub(last_t));
    put_varint(out, chunk.max_t.wrapping_sub(chunk.min_t) as u64);
    put_varint(out, u64::from(chunk.count));
    put_varint(out, chunk.page.wrapping_sub(last_page));
    put_varint(out, u64::from(chunk.offset));
    put_varint(out, u64::from(chunk.len));
}

/// Magic, version, checksum.
pub(crate) fn file_header(magic: [u8; 8]) -> [u8; FILE_HEADER_BYTES] {
    let mut out = [0u8; FILE_HEADER_BYTES];
    out[..8].copy_from_slice(&magic);
    out[8..12].copy_from_slice(&BLOCK_VERSION.to_le_bytes());
    let crc = crc32fast::hash(&out[..12]);
    out[12..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The chunks file: pages of whole chunks.
#[derive(Debug)]
struct PageFile {
    path: PathBuf,
    file: Arc<dyn FsFile>,
    /// Bytes in the file.
    written: u64,
    /// Whole pages not yet in the file.
    ready: Vec<u8>,
    /// Contents of the page being filled.
    page: Vec<u8>,
}

impl PageFile {
    fn create(fs: &dyn Fs, path: &Path) -> Result<Self, IoAt> {
        let file = fs.create(path).at(path)?;
        let ready = file_header(CHUNKS_MAGIC).to_vec();
        Ok(PageFile { path: path.to_owned(), file, written: 0, ready, page: Vec::new() })
    }

    fn put(&mut self, chunk: &Sealed) -> Result<ChunkRef, IoAt> {
        let placed = ChunkRef {
            min_t: chunk.min_t,
            max_t: chunk.max_t,
            count: chunk.count,
            page: self.written + self.ready.len() as u64,
            offset: self.page.len() as u32,
            len: chunk.bytes.len() as u32,
        };
        self.page.extend_from_slice(&chunk.bytes);
        if self.page.len() >= PAGE_BYTES {
            self.end_page();
        }
        if self.ready.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(placed)
    }

    fn end_page(&mut self) {
        if self.page.is_empty() {
            return;
        }
        let len = (self.page.len() as u32).to_le_bytes();
        let crc = page_crc(len, &self.page);
        self.ready.extend_from_slice(&len);
        self.ready.extend_from_slice(&crc.to_le_bytes());
        self.ready.append(&mut self.page);
    }

    fn flush(&mut self) -> Result<(), IoAt> {
        self.file.write_at(&self.ready, self.written).at(&self.path)?;
        self.written += self.ready.len() as u64;
        self.ready.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<u64, IoAt> {
        self.end_page();
        self.flush()?;
        self.file.sync().at(&self.path)?;
        Ok(self.written)
    }
}

/// Checksum of a page: its length and its contents.
pub(crate) fn page_crc(len: [u8; 4], contents: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len);
    hasher.update(contents);
    hasher.finalize()
}
