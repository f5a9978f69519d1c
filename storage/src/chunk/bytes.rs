//! The bytes of a finished chunk, wherever they are.
//!
//! Here: [`ChunkBytes`], on the heap or in a mapped file.
//! Elsewhere: who writes such a file (`snapshot`), what the bytes mean (`chunk`).
//!
//! Invariant: the range of a mapped chunk lies inside its file: checked when it is made.

use std::ops::Deref;
use std::sync::Arc;

use crate::mmap::Mapped;

/// Cloning shares the bytes.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "snapshots map chunks")]
pub(crate) enum ChunkBytes {
    /// On the heap.
    Heap(Arc<[u8]>),
    /// Part of a file; costs no heap.
    Mapped {
        /// The file.
        file: Arc<Mapped>,
        /// First byte.
        start: u64,
        /// Number of bytes.
        len: u32,
    },
}

#[allow(dead_code, reason = "snapshots map chunks")]
impl ChunkBytes {
    /// A part of `file`; `None` if it lies outside.
    pub(crate) fn mapped(file: &Arc<Mapped>, start: u64, len: u32) -> Option<Self> {
        let end = start.checked_add(u64::from(len))?;
        (end <= file.bytes().len() as u64).then(|| ChunkBytes::Mapped { file: file.clone(), start, len })
    }

    /// The bytes.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            ChunkBytes::Heap(bytes) => bytes,
            ChunkBytes::Mapped { file, start, len } => {
                let start = usize::try_from(*start).unwrap_or(usize::MAX);
                file.bytes().get(start..start.saturating_add(*len as usize)).unwrap_or_default()
            }
        }
    }

    /// Whether they cost heap.
    pub(crate) fn is_heap(&self) -> bool {
        matches!(self, ChunkBytes::Heap(_))
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
        ChunkBytes::Heap(Arc::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_stays_inside_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let map = Arc::new(Mapped::open(file.path()).unwrap());
        let part = ChunkBytes::mapped(&map, 3, 4).unwrap();
        assert_eq!((part.as_slice(), part.is_heap()), (&b"3456"[..], false));
        assert!(ChunkBytes::mapped(&map, 3, 8).is_none() && ChunkBytes::mapped(&map, u64::MAX, 2).is_none());
        assert!(ChunkBytes::from(part.as_slice()).is_heap());
    }
}
