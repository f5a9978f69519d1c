//! Writing a block.
//!
//! Here: [`BlockWriter`], which takes series in order of their labels, splits them into chunks and streams these to the
//! disk.
//! Elsewhere: pages of chunks (`data`), the index (`index::write`), starts (`starts`), reading (`block`), who calls it (`cut`, `compact`),
//! the layout (`FORMAT.md`).
//!
//! Invariant: the directory gets its name only when all its files are complete and on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::columns::{Columns as TimeColumns, Slice};
use super::data::{ChunkRef, DataWriter};
use super::index::directory::Directory;
use super::index::write::IndexWriter;
use super::meta::{BLOCK_VERSION, BlockId, META_FILE, Meta};
use super::page::PAGE_RAW_BYTES;
use super::starts::StartsWriter;
use super::{BlockPaths, SeriesSamples};
use crate::column::CHUNK_SAMPLES_MAX;
use crate::fs::{AtPath, Fs, IoAt};
use crate::{Columns, TimeRange};

/// First bytes of a chunks file.
pub(crate) const CHUNKS_MAGIC: [u8; 8] = *b"CAIRNCHK";
/// Magic, version, checksum of both.
pub(crate) const FILE_HEADER_BYTES: usize = 24;

/// A block in the making. Dropped without [`BlockWriter::finish`], its temporary directory is removed at the next open.
///
/// Memory: a page of each class, the index in compact form (some 40 bytes a series), the symbols.
#[derive(Debug)]
pub(crate) struct BlockWriter<'a> {
    fs: &'a dyn Fs,
    paths: BlockPaths,
    temp: PathBuf,
    id: BlockId,
    data: DataWriter,
    times: TimeColumns,
    index: IndexWriter,
    starts: StartsWriter,
    symbols: Vec<Arc<str>>,
    range: Option<(i64, i64)>,
    samples: u64,
    chunk_count: u64,
    last_labels: Vec<(u32, u32)>,
    /// The chunks of the series being added.
    chunks: Vec<ChunkRef>,
    slices: Vec<Slice>,
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
        let data = DataWriter::create(fs, &paths.temp.join(super::CHUNKS_FILE), id).inspect_err(|_| {
            let _ = fs.remove_dir_all(&temp);
        })?;
        Ok(BlockWriter {
            fs,
            paths,
            temp,
            id,
            data,
            times: TimeColumns::default(),
            index: IndexWriter::default(),
            starts: StartsWriter::default(),
            symbols,
            range: None,
            samples: 0,
            chunk_count: 0,
            last_labels: Vec::new(),
            chunks: Vec::new(),
            slices: Vec::new(),
        })
    }

    /// Adds a series: floats, opaque records (histograms), or both. Series come in rising order of their labels, given as
    /// indices into the symbols; times rise strictly.
    pub(crate) fn add(&mut self, labels: &[(u32, u32)], samples: &SeriesSamples) -> Result<(), IoAt> {
        self.begin(labels);
        self.put_floats(&samples.floats)?;
        self.put_blobs(&samples.blobs)?;
        self.starts.add(self.fs, &self.temp, self.id, self.index.series(), &samples.starts)?;
        self.end(labels)
    }

    /// Bytes of chunks written so far: what a merge is paced by.
    pub(crate) fn bytes(&self) -> u64 {
        self.data.bytes()
    }

    fn begin(&mut self, labels: &[(u32, u32)]) {
        assert!(self.index.series() == 0 || self.last_labels.as_slice() < labels, "series of a block rise by labels");
        self.last_labels.clear();
        self.last_labels.extend_from_slice(labels);
        self.chunks.clear();
    }

    fn put_floats(&mut self, samples: &Columns) -> Result<(), IoAt> {
        assert_eq!(samples.t.len(), samples.v.len(), "each time has a value");
        self.place(&samples.t)?;
        let mut at = 0;
        for slice in std::mem::take(&mut self.slices) {
            for (column_at, len) in pieces(slice) {
                let place = self.data.put_values(&samples.v[at..at + len])?;
                self.push(&samples.t[at..at + len], slice.column, column_at, place);
                at += len;
            }
        }
        Ok(())
    }

    fn put_blobs(&mut self, blobs: &[(i64, Vec<u8>)]) -> Result<(), IoAt> {
        let times: Vec<i64> = blobs.iter().map(|&(t, _)| t).collect();
        self.place(&times)?;
        let mut at = 0;
        for slice in std::mem::take(&mut self.slices) {
            for (mut column_at, len) in pieces(slice) {
                let end = at + len;
                while at < end {
                    let len = weighed(&blobs[at..end]);
                    let place = self.data.put_blobs(blobs[at..at + len].iter().map(|(_, record)| record.as_slice()))?;
                    self.push(&times[at..at + len], slice.column, column_at, place);
                    at += len;
                    column_at += len as u32;
                }
            }
        }
        Ok(())
    }

    /// Fills `slices`.
    fn place(&mut self, times: &[i64]) -> Result<(), IoAt> {
        assert!(times.windows(2).all(|w| w[0] < w[1]), "samples of a series rise");
        self.slices.clear();
        let data = &mut self.data;
        self.times.place(times, &mut self.slices, |column| data.put_times(column))
    }

    fn push(&mut self, times: &[i64], column: u32, start: u32, place: super::data::Place) {
        let (min_t, max_t) = (times[0], times[times.len() - 1]);
        self.chunks.push(ChunkRef { min_t, max_t, count: times.len() as u32, column, start, place });
        self.samples += times.len() as u64;
        self.chunk_count += 1;
        self.range = Some(self.range.map_or((min_t, max_t), |(a, b)| (a.min(min_t), b.max(max_t))));
    }

    fn end(&mut self, labels: &[(u32, u32)]) -> Result<(), IoAt> {
        assert!(!self.chunks.is_empty(), "a series of a block has samples");
        if self.index.series() == u32::MAX - 1 {
            let full = std::io::Error::new(std::io::ErrorKind::FileTooLarge, "one block holds too many series");
            return Err(full).at(&self.temp);
        }
        self.index.add(labels, &self.chunks);
        Ok(())
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
        let chunks_bytes = self.data.finish()?;
        let mut directory = Directory { data_pages: std::mem::take(&mut self.data.offsets), ..Directory::default() };
        for &(page, columns) in &self.data.time_pages {
            directory.time_pages.push((page, directory.columns));
            directory.columns += columns;
        }
        let index = std::mem::take(&mut self.index);
        let series = u64::from(index.series());
        let index_path = self.temp.join(super::INDEX_FILE);
        let index_bytes = index.finish(self.fs, &index_path, self.id, &self.symbols, directory)?;
        let starts_bytes = self.starts.finish()?;
        let meta = Meta {
            id: self.id,
            rank,
            range: TimeRange::new(min_t, max_t.saturating_add(1)),
            series,
            samples: self.samples,
            chunks: self.chunk_count,
            index_bytes,
            chunks_bytes,
            sources,
            starts_bytes,
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
}

/// How many records make a chunk: at least one, and else no more than a page is large.
fn weighed(blobs: &[(i64, Vec<u8>)]) -> usize {
    let mut bytes = 0;
    let fits = |(_, record): &&(i64, Vec<u8>)| {
        bytes += record.len();
        bytes <= PAGE_RAW_BYTES
    };
    blobs.iter().take_while(fits).count().max(1).min(blobs.len())
}

/// The chunks of a slice, as place in the column and length. They end where the column's own chunks do, so that series
/// which begin late do not need more of them.
fn pieces(slice: Slice) -> impl Iterator<Item = (u32, usize)> {
    let end = slice.start as usize + slice.len;
    let mut at = slice.start as usize;
    std::iter::from_fn(move || {
        let len = (CHUNK_SAMPLES_MAX - at % CHUNK_SAMPLES_MAX).min(end - at);
        let piece = (at as u32, len);
        at += len;
        (len > 0).then_some(piece)
    })
}

/// Magic, version, the block's number, checksum. With the number no file can take the place of another block's.
pub(crate) fn file_header(magic: [u8; 8], id: BlockId) -> [u8; FILE_HEADER_BYTES] {
    let mut out = [0u8; FILE_HEADER_BYTES];
    out[..8].copy_from_slice(&magic);
    out[8..12].copy_from_slice(&BLOCK_VERSION.to_le_bytes());
    out[12..20].copy_from_slice(&id.0.to_le_bytes());
    let crc = crc32fast::hash(&out[..20]);
    out[20..].copy_from_slice(&crc.to_le_bytes());
    out
}
