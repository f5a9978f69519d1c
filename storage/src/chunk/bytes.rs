//! The bytes of a finished chunk, wherever they are.
//!
//! Here: [`ChunkBytes`], on the heap or in a chunk file.
//! Elsewhere: such files (`snapshot::chunks`), what the bytes mean (`chunk`).
//!
//! Invariant: bytes of a file are handed out only if their checksum holds at that moment; else there are none.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use crate::ReadError;
use crate::snapshot::chunks::ChunkFile;

/// Cloning shares the bytes. Dereferencing verifies what is on the disk; damaged bytes are none.
#[derive(Debug, Clone)]
pub(crate) enum ChunkBytes {
    /// In memory.
    Heap(Arc<[u8]>),
    /// In memory beside those of other series, for a query.
    Shared {
        /// The bytes of all.
        all: Arc<Vec<u8>>,
        /// Where these begin.
        start: u32,
        /// How many they are.
        len: u32,
    },
    /// In a chunk file; costs no heap.
    Mapped {
        /// The file.
        file: Arc<ChunkFile>,
        /// Where the chunk's checksum stands.
        offset: u64,
        /// Length without the checksum.
        len: u32,
    },
}

impl ChunkBytes {
    /// The bytes.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            ChunkBytes::Heap(bytes) => bytes,
            ChunkBytes::Shared { all, start, len } => {
                all.get(*start as usize..).and_then(|rest| rest.get(..*len as usize)).unwrap_or_default()
            }
            ChunkBytes::Mapped { file, offset, len } => file.bytes(*offset, *len).unwrap_or_default(),
        }
    }

    /// Length, known without verifying.
    pub(crate) fn stored_len(&self) -> u32 {
        match self {
            ChunkBytes::Heap(bytes) => bytes.len() as u32,
            ChunkBytes::Shared { len, .. } | ChunkBytes::Mapped { len, .. } => *len,
        }
    }

    /// Whether it is the same copy in the same place.
    pub(crate) fn is_same(&self, other: &ChunkBytes) -> bool {
        match (self, other) {
            (ChunkBytes::Heap(a), ChunkBytes::Heap(b)) => Arc::ptr_eq(a, b),
            (ChunkBytes::Mapped { file: a, offset, .. }, ChunkBytes::Mapped { file: b, offset: there, .. }) => {
                a.number == b.number && offset == there
            }
            _ => false,
        }
    }

    /// Whether the bytes are as they were written.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            ChunkBytes::Heap(_) | ChunkBytes::Shared { .. } => true,
            ChunkBytes::Mapped { file, offset, len } => file.bytes(*offset, *len).is_ok(),
        }
    }

    /// Whether nobody has met this damage before.
    pub(crate) fn is_news(&self) -> bool {
        match self {
            ChunkBytes::Heap(_) | ChunkBytes::Shared { .. } => false,
            ChunkBytes::Mapped { file, offset, .. } => file.is_news(*offset),
        }
    }

    /// What to say about bytes that cannot be used.
    pub(crate) fn error(&self) -> ReadError {
        let (path, offset, (found, expected)) = match self {
            ChunkBytes::Heap(_) | ChunkBytes::Shared { .. } => (PathBuf::from("memory"), 0, (0, 0)),
            ChunkBytes::Mapped { file, offset, len } => {
                (file.path().to_owned(), *offset, file.bytes(*offset, *len).err().unwrap_or_default())
            }
        };
        ReadError::Checksum { path, offset, found, expected }
    }
}

impl Deref for ChunkBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<&[u8]> for ChunkBytes {
    fn from(bytes: &[u8]) -> Self {
        ChunkBytes::Heap(bytes.into())
    }
}
