//! Chunk files: finished chunks of the head, on the disk and out of the heap.
//!
//! Here: one mapped file ([`ChunkFile`]) and writing one ([`ChunkWriter`]).
//! Elsewhere: the bytes of a chunk, in memory or here (`chunk::ChunkBytes`), which chunk is where (the snapshot, `snapshot::format`), when files come and go (`snapshot::write`).
//!
//! Invariant: bytes of a file are handed out only if their checksum holds at that moment; else there are none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::format::{CHUNKS_MAGIC, FILE_HEADER_BYTES, FileHeader, HeaderError};
use super::{chunks_name, temp_name};
use crate::fs::{AtPath, Fs, FsFile, IoAt};
use crate::mmap::Mapped;
use crate::wal::random_u64;

/// Checksum before each chunk.
pub(crate) const CHUNK_CRC_BYTES: usize = 4;
/// Bytes gathered before they are written.
pub(crate) const WRITE_BYTES: usize = 256 << 10;

/// An open chunk file. Dropping the last handle unmaps it; its name may be gone before.
#[derive(Debug)]
pub(crate) struct ChunkFile {
    /// Its number, also in its name.
    pub(crate) number: u64,
    /// Part of every checksum in it.
    pub(crate) salt: u64,
    path: PathBuf,
    map: Mapped,
    /// Damaged chunks met so far, so that each is counted once.
    bad: Mutex<BTreeSet<u64>>,
}

impl ChunkFile {
    /// Opens file `number`; `salt` is what the snapshot says about it.
    pub(crate) fn open(fs: &dyn Fs, dir: &Path, number: u64, salt: u64) -> std::io::Result<ChunkFile> {
        let path = dir.join(chunks_name(number));
        let map = fs.map(&path)?;
        Ok(ChunkFile { number, salt, path, map, bad: Mutex::default() })
    }

    /// Its length.
    pub(crate) fn len(&self) -> u64 {
        self.map.bytes().len() as u64
    }

    /// What its header says. Chunks do not depend on it: their checksums have the salt from the snapshot.
    pub(crate) fn header(&self) -> Result<FileHeader, HeaderError> {
        FileHeader::decode(self.map.bytes(), CHUNKS_MAGIC)
    }

    /// Its place.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nobody has met this damaged chunk before.
    pub(crate) fn is_news(&self, offset: u64) -> bool {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).insert(offset)
    }

    /// A chunk, or the checksums found and expected.
    pub(crate) fn bytes(&self, offset: u64, len: u32) -> Result<&[u8], (u32, u32)> {
        let start = usize::try_from(offset).ok();
        let entry = start
            .and_then(|at| Some(at..at.checked_add(CHUNK_CRC_BYTES)?.checked_add(len as usize)?))
            .and_then(|range| self.map.bytes().get(range));
        let Some((crc, bytes)) = entry.and_then(|entry| entry.split_first_chunk::<CHUNK_CRC_BYTES>()) else {
            return Err((0, 0));
        };
        let (found, expected) = (chunk_crc(self.salt, bytes), u32::from_le_bytes(*crc));
        if found == expected { Ok(bytes) } else { Err((found, expected)) }
    }
}

fn chunk_crc(salt: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// A chunk file in the making.
#[derive(Debug)]
pub(crate) struct ChunkWriter<'a> {
    fs: &'a dyn Fs,
    dir: &'a Path,
    /// Of the file.
    pub(crate) number: u64,
    /// Of the file.
    pub(crate) salt: u64,
    file: Option<Arc<dyn FsFile>>,
    written: u64,
    buf: Vec<u8>,
}

impl<'a> ChunkWriter<'a> {
    /// Begins file `number`; the disk is touched with the first chunk.
    pub(crate) fn new(fs: &'a dyn Fs, dir: &'a Path, number: u64) -> Self {
        let salt = random_u64();
        let buf = FileHeader { number, salt }.encode(CHUNKS_MAGIC).to_vec();
        ChunkWriter { fs, dir, number, salt, file: None, written: 0, buf }
    }

    /// Adds a chunk, in memory only; where it will be.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> u64 {
        let at = self.len();
        self.buf.extend_from_slice(&chunk_crc(self.salt, bytes).to_le_bytes());
        self.buf.extend_from_slice(bytes);
        at
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.buf.len() as u64
    }

    /// Whether it has a chunk.
    pub(crate) fn has_chunks(&self) -> bool {
        self.len() > FILE_HEADER_BYTES as u64
    }

    /// Writes what has gathered if it is worth a write.
    pub(crate) fn flush(&mut self, bytes_min: usize) -> Result<(), IoAt> {
        if self.buf.len() < bytes_min || !self.has_chunks() {
            return Ok(());
        }
        let temp = self.temp();
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(self.fs.create(&temp).at(&temp)?).clone(),
        };
        file.write_at(&self.buf, self.written).at(&temp)?;
        self.written += self.buf.len() as u64;
        self.buf.clear();
        Ok(())
    }

    /// Makes it durable under its name (the directory is the caller's to sync); whether there is a file at all.
    pub(crate) fn finish(&mut self) -> Result<bool, IoAt> {
        self.flush(1)?;
        let Some(file) = &self.file else { return Ok(false) };
        let temp = self.temp();
        file.sync().at(&temp)?;
        let path = self.dir.join(chunks_name(self.number));
        self.fs.rename(&temp, &path).at(&path)?;
        Ok(true)
    }

    fn temp(&self) -> PathBuf {
        self.dir.join(temp_name(&chunks_name(self.number)))
    }
}
